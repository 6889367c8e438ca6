/* SPDX-License-Identifier: MIT */
/* How much of a table is dead. */
#ifndef LSM_COMPACTION_GARBAGE_H
#define LSM_COMPACTION_GARBAGE_H

#include "lsm/range_map.h"
#include "lsm/version.h"

/* How many percent of the table, at least, lie under deletions of the map that are newer than all
 * of it. Reads the index, about one 300th of the table, and, if that leaves it open, some blocks. 0
 * when that fails. `set` is the struct version_set. */
unsigned compaction_dead_percent(void *set, struct table_ref *table, const struct range_map *map);

#endif
