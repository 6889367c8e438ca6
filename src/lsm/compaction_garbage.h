/* SPDX-License-Identifier: MIT */
/* How much of a table is dead. */
#ifndef LSM_COMPACTION_GARBAGE_H
#define LSM_COMPACTION_GARBAGE_H

#include "lsm/range_map.h"
#include "lsm/version.h"

/* How many percent of the table's bytes, at least, lie under deletions of the map that are newer than
 * all of the table. Reads the table's index, about one 300th of it. 0 when that fails. `set` is the
 * struct version_set. */
unsigned compaction_dead_percent(void *set, struct table_ref *table, const struct range_map *map);

#endif
