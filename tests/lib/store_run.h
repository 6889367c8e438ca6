/* SPDX-License-Identifier: MIT */
/* A run of the whole store: commands of every type through a session, on a file system in memory, with
 * a clock and randomness of its own: one seed decides all of it. After every command the state of all
 * databases, read back through another session, becomes a digest; a power loss or a kill must leave a
 * state that was there after some command, at or behind the last one that may not be lost. */
#ifndef LIB_STORE_RUN_H
#define LIB_STORE_RUN_H

#include "base/random.h"
#include "commands/service.h"
#include "lib/engine_run.h"

struct store_run {
    struct vfs *memory, *fault;
    struct env env;
    struct random random;
    uint64_t seed; /* it also chooses how the log is stored */
    uint64_t clock_us;
    bool is_observing; /* the clock stands before all expiry */
    bool is_damaged;   /* found to be: its end checks no invariants */
    enum engine_policy policy;
    enum lsm_compression cold_compression; /* Zstandard for one seed in three */
    const char *skipped_site;
    struct store *store; /* NULL: closed */
    struct config *config;
    struct service *service;
    struct session *client, *observer;
    struct buffer command;

    /* Of each command so far, number 0 being none at all: the state behind it, and the end of the log. */
    uint64_t *digests;
    lsn_t *ends;
    size_t *replies; /* up to it; active expiry has none */
    size_t count;
    size_t replies_due, replies_taken;
    size_t replied;         /* the last command that wrote and whose reply passed the gate */
    size_t synced, written; /* commands that survive a power loss / a kill */
};

/* Takes `memory` over (NULL: a new one). */
void store_run_init(struct store_run *run, struct vfs *memory, enum engine_policy policy,
                    uint64_t seed);
void store_run_release(struct store_run *run);
enum status store_run_open(struct store_run *run, struct lsm_report *report);
/* A step that the seed chooses. false with the reason when something is not as it must be. */
bool store_run_step(struct store_run *run, struct engine_failure *failure);

struct store_loss_counts {
    uint64_t points, losses, again, third, continued;
    uint64_t recycled; /* WAL segments that got a new name, old frames in them */
};

/* Loses power now, in a copy of the world, and looks at what is found; sometimes again during the
 * recovery, and a third time during that one's; sometimes goes on with commands behind it. */
bool store_run_lose_power(const struct store_run *run, enum vfs_power_loss mode, uint64_t seed,
                          struct store_loss_counts *counts, struct engine_failure *failure);

struct store_storm {
    enum engine_policy policy;
    uint64_t seed;
    unsigned steps;
    const char *skipped_site; /* syncs of this site are left out; NULL: none */
};
/* A run with a power loss before every call that changes the disk: before a sync in every mode, before
 * others in one that the seed chooses. Ends at the first failure. */
void store_storm_run(const struct store_storm *storm, struct store_loss_counts *counts,
                     struct engine_failure *failure, struct lsm_stats *stats);

#endif
