/* SPDX-License-Identifier: MIT */
/* A run in which the power is lost, in a copy of the world, before every call that changes the
 * disk: before a sync in every mode, before others in one that the seed chooses. */
#ifndef LIB_POWER_STORM_H
#define LIB_POWER_STORM_H

#include "lib/engine_run.h"

enum power_storm_kind {
    STORM_OF_STEPS,     /* engine_run_step: everything that the seed chooses */
    STORM_OF_RECYCLING, /* flushes that release WAL segments, each followed by enough batches to get
                         * into the recycled ones without a directory sync between */
    STORM_OF_FAILED_EDITS, /* every third sync of the manifest fails */
};

struct power_storm {
    enum power_storm_kind kind;
    enum engine_policy policy;
    uint64_t seed;
    unsigned steps;
    const char *skipped_site; /* syncs of this site are left out; NULL: none */
};

struct power_storm_result {
    uint64_t points, losses;       /* calls that were struck, power losses tried */
    struct engine_failure failure; /* empty: nothing was lost */
    struct lsm_stats stats;        /* of the last moment before the final close */
};

/* Runs until the first failure or the end. `each_site` (may be NULL) is told the sites that synced.
 */
void power_storm_run(const struct power_storm *storm, struct power_storm_result *result,
                     void (*each_site)(void *context, const char *site, uint64_t calls),
                     void *context);

#endif
