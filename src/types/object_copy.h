/* SPDX-License-Identifier: MIT */
/* Copies an object's parts as they are, whatever its type: keys of records begin with the object's
 * generation and id, and nothing else in them or in the header's body names these. What a range deletion
 * covers is not copied.
 *
 * A small object is copied within the access that found it; of a large one the copy is built (object_build.h)
 * from a snapshot, a piece at a time, and linked if keyspace_changed says that the object is still the same. */
#ifndef TYPES_OBJECT_COPY_H
#define TYPES_OBJECT_COPY_H

#include "types/object_build.h"

/* How far an object was copied. */
struct object_copy {
    uint32_t generation;
    uint64_t id;
    enum object_type type;
    enum store_tree tree; /* of the next record; TREE_COUNT: all are copied */
    struct buffer next;   /* where it begins, behind the prefix */
};

/* `object` has an id and was found in the access's selected database. */
void object_copy_begin(struct object_copy *copy, const struct access *access,
                       const struct object *object);
/* Puts records until all are there (*done) or the next one does not fit. The access shows the moment at which
 * the object was found; which database is selected does not matter. STATUS_WOULD_BLOCK, _IO, _CORRUPT,
 * _NO_MEMORY. */
enum status object_copy_step(struct object_copy *copy, struct access *access,
                             struct object_build *build, bool *done);
void object_copy_release(struct object_copy *copy);

#endif
