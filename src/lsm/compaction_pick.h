/* SPDX-License-Identifier: MIT */
/* Which compaction to do next: a pure function of a version's table properties and the options. */
#ifndef LSM_COMPACTION_PICK_H
#define LSM_COMPACTION_PICK_H

#include "lsm/version.h"

struct compaction_pick; /* compaction_pick.c and compaction_run.c see inside */

struct compaction_request {
    const struct lsm_options *options;
    bool everything;     /* lsm_request_compact: merge until nothing is left to gain */
    lsn_t oldest_read;   /* nobody reads below; UINT64_MAX: only at the newest */
    lsn_t durable;
    /* Where the last pick of (tree, level) ended, so that a level is gone through in turn; kept by the
     * caller from pick to pick, zeroed at first, released by compaction_memory_release. */
    struct compaction_memory *memory;
};

struct compaction_memory {
    struct buffer next_key[LSM_TREES_MAX][LSM_LEVELS_MAX];
};
void compaction_memory_release(struct compaction_memory *memory);

/* The most urgent job, NULL: none is due. Freed by compaction_pick_destroy or taken by
 * compaction_create. */
struct compaction_pick *compaction_pick_create(const struct version *version,
                                               const struct compaction_request *request);
void compaction_pick_destroy(struct compaction_pick *pick);
/* One line for logs and tests: "keys L0 [3 2 1] + L1 [7] -> L1". */
void compaction_pick_describe(const struct compaction_pick *pick, struct buffer *text);
/* How far compaction is behind, in percent: 0 up to date, 100: level 0 is as long as it may become. */
unsigned compaction_debt_percent(const struct version *version, const struct lsm_options *options);

#endif
