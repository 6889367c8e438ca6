/* SPDX-License-Identifier: MIT */
/* What an iterator merges: memtables and tables that may have something between its bounds, and the range
 * deletions that reach into them. */
#ifndef LSM_ITER_SOURCES_H
#define LSM_ITER_SOURCES_H

#include "lsm/db.h"

struct iter_sources {
    /* Set by the caller. The bounds' bytes outlive this. */
    struct lsm_reader *reader;
    unsigned tree;
    struct slice lower, upper; /* empty: none */
    bool ignore_ranges, keep_cache, heads;

    size_t table_sources; /* what is opened: how many of the sources are of tables */

    struct range_delete *ranges;
    size_t range_count, range_capacity;
    struct cursor **cursors; /* while it opens; the first memtable_count are of memtables */
    size_t cursor_count, cursor_capacity, memtable_count;
    struct table_ref **tables; /* of levels that overlap; disjoint ones stand together */
    size_t table_count, table_capacity;
};

/* Makes *cursor, always, over whatever could be opened: what is returned is why not all. STATUS_WOULD_BLOCK,
 * _CORRUPT, _IO, _NO_MEMORY, _SNAPSHOT_EXPIRED. *keys_are_unique: it shows each key once. It is destroyed before the release. */
enum status iter_sources_open(struct iter_sources *sources, struct cursor **cursor,
                              bool *keys_are_unique);
/* Adds a range deletion, unless the reader does not see it or it lies outside of the bounds. */
void iter_sources_add_range(struct iter_sources *sources, const struct range_delete *range);
void iter_sources_release(struct iter_sources *sources);

#endif
