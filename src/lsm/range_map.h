/* SPDX-License-Identifier: MIT */
/* Range deletions as disjoint pieces of the key space: for every key the newest deletion over it.
 *
 *     m......................9......       pieces, sorted:   [a d) 5  [d m) 7  [m z) 9
 *     |  d.......7......q    |
 *  a..5......h               |      z */
#ifndef LSM_RANGE_MAP_H
#define LSM_RANGE_MAP_H

#include "lsm/table.h"

struct range_map {
    struct range_delete *pieces; /* sorted by `from`, disjoint, not empty; slices are the input's */
    size_t count;
};

/* Of those of the ranges whose LSN is at most lsn_max. `ranges` is sorted by the call; its keys
 * outlive the map. */
void range_map_init(struct range_map *map, struct range_delete *ranges, size_t count,
                    lsn_t lsn_max);
void range_map_release(struct range_map *map);

/* The LSN of the newest deletion over the key; 0: none. *hint: where the search begins, 0 at first;
 * calls with one hint come with ascending keys. */
lsn_t range_map_find(const struct range_map *map, struct slice key, size_t *hint);
/* Whether everything in the table is older than a deletion over it. */
bool range_map_covers(const struct range_map *map, const struct table_properties *table);

#endif
