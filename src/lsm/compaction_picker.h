/* SPDX-License-Identifier: MIT */
/* What the files that choose a compaction share: compaction_pick.c,
 * compaction_runs.c, compaction_reclaim.c. */
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

static inline bool has_deletions(const struct table_ref *table)
{
    return table->properties.delete_count + table->properties.range_delete_count > 0;
}

static inline uint64_t level_bytes(const struct version_level *level)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < level->count; i++)
        bytes += level->tables[i]->properties.file_bytes;
    return bytes;
}

static inline bool is_large(const struct table_ref *table, const struct lsm_options *options)
{
    return table->properties.file_bytes >= options->table_bytes_max / COMPACTION_LARGE_SHARE;
}

struct compaction_pick *pick_new(unsigned tree, unsigned output_level);
void pick_add(struct compaction_pick *pick, unsigned level, struct table_ref *table);
void pick_add_level(struct compaction_pick *pick, unsigned depth,
                    const struct version_level *level);

/* Adds the tables of the output level that overlap the inputs' hull. */
void pick_add_overlaps(struct compaction_pick *pick, const struct version_level *output);

/* A level's compaction into the next one (compaction_pick.c); it is not the last that there may be. */
struct compaction_pick *leveled_pick(const struct version_tree *tables,
                                     const struct compaction_request *request, unsigned tree,
                                     unsigned depth);

/* ---- Room given back (compaction_reclaim.c) ------------------------------------------------ */

/* Tables that lie, all of them or in good part, under range deletions. */
struct compaction_pick *reclaim_pick_covered(const struct version_tree *tables,
                                             const struct compaction_request *request,
                                             unsigned tree);
/* Tables with versions that were kept for snapshots which are gone. */
struct compaction_pick *reclaim_pick_old(const struct version_tree *tables,
                                         const struct compaction_request *request, unsigned tree);
/* When there is nothing else to do: a leveled tree with too many deletions, or old versions. */
struct compaction_pick *reclaim_pick_leveled(const struct version_tree *tables,
                                             const struct compaction_request *request,
                                             unsigned tree);

/* ---- Time runs (compaction_runs.c) --------------------------------------------------------- */

/* In percent of what makes a compaction of the level due. */
uint64_t runs_score(const struct version_tree *tables, unsigned depth,
                    const struct lsm_options *options);
/* The compaction of a level that is due. */
struct compaction_pick *runs_pick(const struct version_tree *tables,
                                  const struct lsm_options *options, unsigned tree, unsigned depth);
/* When there is nothing else to do: small tables in a row. NULL: there are none. */
struct compaction_pick *runs_pick_quiet(const struct version_tree *tables,
                                        const struct lsm_options *options, unsigned tree);
/* Everything into one level, NULL: it is there. */
struct compaction_pick *runs_pick_all(const struct version_tree *tables, unsigned tree);

#endif
