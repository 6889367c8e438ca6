/* SPDX-License-Identifier: MIT */
/* A list that is built (object_build.h) element by element: SORT STORE. Few small elements stay in its header. */
#ifndef TYPES_LIST_BUILD_H
#define TYPES_LIST_BUILD_H

#include "types/list.h"
#include "types/object_build.h"

/* Elements in order, one at least, then the end. */
struct list_build {
    struct object_build *object; /* not owned */
    uint64_t count;
    bool has_parts; /* the elements are records of the object; else there are none of these */
    bool has_pieces;
    struct buffer few;  /* the elements while they are few */
    struct buffer body; /* of the header, behind list_build_end */
};

void list_build_begin(struct list_build *build, struct object_build *object);
/* STATUS_TOO_LARGE (an element above LIST_ELEMENT_BYTES_MAX), and what object_build_put returns. */
enum status list_build_add(struct list_build *build, struct slice element);
void list_build_end(struct list_build *build);
void list_build_release(struct list_build *build);

#endif
