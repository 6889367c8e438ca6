/* SPDX-License-Identifier: MIT */
/* One compaction: what compaction_pick.h chose, done in steps, ending in a version edit. One thread
 * at a time owns it.
 *
 * What is not written again:
 *   a version that nobody reads any more         (version_filter.h)
 *   a version under a range deletion of the tree if the deletion is durable, and nobody reads below
 *   a deletion                                   if nobody reads below it, and no table outside the
 *                                                inputs may hold an older version of its key
 *   a range deletion                             the same for its whole range; and it is durable */
#ifndef LSM_COMPACTION_RUN_H
#define LSM_COMPACTION_RUN_H

#include "lsm/compaction_pick.h"
#include "lsm/version_filter.h"

struct compaction;

struct compaction_host {
    const struct env *env;
    const char *directory;
    const struct lsm_options *options;
    struct version_set *versions;
};

/* Takes over the pick and `read_lsns`: those at which somebody reads now, ascending; who begins
 * later reads at an LSN above all in the tables. `durable`: range deletions at or above it do not
 * count yet. Holds a reference of `version`. */
struct compaction *compaction_create(const struct compaction_host *host, struct version *version,
                                     struct compaction_pick *pick, lsn_t *read_lsns,
                                     size_t read_count, lsn_t durable);
/* Works through about budget_bytes of input. *finished: compaction_edit is complete, its tables and
 * the directory are synced. */
enum status compaction_step(struct compaction *compaction, size_t budget_bytes, bool *finished);
struct version_edit *compaction_edit(struct compaction *compaction);

struct compaction_counts {
    unsigned tree;
    uint64_t read_bytes, write_bytes, tables_moved, tables_dropped_unread;
};
void compaction_get_counts(const struct compaction *compaction, struct compaction_counts *counts);
/* Frees; removes the outputs unless they were installed. NULL is fine. */
void compaction_destroy(struct compaction *compaction, bool installed);

#endif
