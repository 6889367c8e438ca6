/* SPDX-License-Identifier: MIT */
/* What the files that choose a compaction share: compaction_pick.c and compaction_runs.c. */
#ifndef LSM_COMPACTION_PICKER_H
#define LSM_COMPACTION_PICKER_H

#include "lsm/compaction_pick.h"

static inline struct slice smallest_of(const struct table_ref *table)
{
    return buffer_slice(&table->properties.smallest);
}

static inline struct slice largest_of(const struct table_ref *table)
{
    return buffer_slice(&table->properties.largest);
}

static inline bool overlap(const struct table_ref *a, const struct table_ref *b)
{
    return slice_compare(smallest_of(a), largest_of(b)) <= 0 &&
           slice_compare(smallest_of(b), largest_of(a)) <= 0;
}

static inline bool is_large(const struct table_ref *table, const struct lsm_options *options)
{
    return table->properties.file_bytes >= options->table_bytes_max / COMPACTION_LARGE_SHARE;
}

struct compaction_pick *pick_new(unsigned tree, unsigned output_level);
void pick_add(struct compaction_pick *pick, unsigned level, struct table_ref *table);
void pick_add_level(struct compaction_pick *pick, unsigned depth,
                    const struct version_level *level);

/* ---- Time runs (compaction_runs.c) --------------------------------------------------------- */

/* In percent of what makes a compaction of the level due. */
uint64_t runs_score(const struct version_tree *tables, unsigned depth,
                    const struct lsm_options *options);
/* The compaction of a level that is due. */
struct compaction_pick *runs_pick(const struct version_tree *tables,
                                  const struct lsm_options *options, unsigned tree, unsigned depth);
/* Everything into one level, NULL: it is there. */
struct compaction_pick *runs_pick_all(const struct version_tree *tables, unsigned tree);

#endif
