/* SPDX-License-Identifier: MIT */
/* Which objects take much room in the inputs of a compaction. An object is all keys of one prefix.
 * Tables are cut where such an object begins and ends. In time runs what is merged again later is then
 * the small objects alone; in a leveled tree an object that grows at either end, as a list does, makes
 * tables that no table of others spans, so that they are moved. */
#ifndef LSM_COMPACTION_OBJECTS_H
#define LSM_COMPACTION_OBJECTS_H

#include "lsm/compaction_pick.h"

struct object_size {
    struct buffer prefix;
    uint64_t bytes;
};

struct large_objects {
    size_t prefix_bytes;
    struct object_size *items; /* ascending */
    size_t count;
    struct buffer current; /* prefix of the last key asked for */
    bool has_current, current_is_large;
};

/* Reads the indexes of the inputs. What has `bytes_min` or more, of blocks, in all of them is large.
 * *objects is zeroed by the caller, and released by it in any case. */
enum status large_objects_find(struct version_set *versions, const struct compaction_pick *pick,
                               size_t prefix_bytes, uint64_t bytes_min,
                               struct large_objects *objects);
/* Keys come in ascending order: is there, between the last key and this one, an end of a large
 * object? */
bool large_objects_cut_before(struct large_objects *objects, struct slice key);
void large_objects_release(struct large_objects *objects);

#endif
