/* SPDX-License-Identifier: MIT */
/* A run of the engine in a file system in memory under a faulty one, with a clock and randomness of
 * its own: one seed decides all of it. Keeps the history of batches, and how many of them a power
 * loss and a kill may not take back.
 *
 * power_loss_check looks at the world as it would be found after a power loss right now: reopens
 * it, compares it with the history, loses power again during that recovery, writes on behind it. */
#ifndef LIB_ENGINE_RUN_H
#define LIB_ENGINE_RUN_H

#include "lib/engine_history.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

enum engine_policy { POLICY_ALWAYS, POLICY_EVERYSEC, POLICY_NO };

struct engine_run {
    struct vfs *memory, *fault;
    struct env env;
    struct lsm_options options;
    struct lsm *db; /* NULL: closed */
    enum engine_policy policy;
    const char *skipped_site; /* of engine_run_skip_sync */
    bool is_damaged;          /* on purpose, or found to be: its end checks no invariants */
    struct random random;
    uint64_t clock_us;
    struct engine_history history;
    lsn_t *lsns;            /* of its batches */
    size_t synced, written; /* so many batches survive a power loss / a kill */
};

/* The directory of the database in every run. */
#define ENGINE_DIRECTORY "/db"

/* Takes `memory` over (NULL: a new one). Opens nothing. One seed in three wants the cold tables of tree 2
 * compressed by Zstandard. */
void engine_run_init(struct engine_run *run, struct vfs *memory, uint64_t seed);
void engine_run_release(struct engine_run *run); /* closes what is open, whatever it says */

/* Leaves the syncs of this site out, also in the worlds that power_loss_check opens. */
void engine_run_skip_sync(struct engine_run *run, const char *site);

enum status engine_run_open(struct engine_run *run, struct lsm_report *report);
enum status engine_run_close(struct engine_run *run);
/* One more batch, not synced and not written. */
enum status engine_run_batch(struct engine_run *run);
/* The same through a transaction that is serializable and has read everything. With `others` > 0 so many
 * batches are written, and flushed, between its snapshot and its commit, which is then refused. */
enum status engine_run_transaction(struct engine_run *run, int others);
enum status engine_run_sync(struct engine_run *run);
enum status engine_run_write(struct engine_run *run);
/* How many of the batches have an LSN below this. */
size_t engine_run_count_below(const struct engine_run *run, lsn_t lsn);
/* Background work until there is none. */
void engine_run_work(struct engine_run *run);
/* A flush alone: no other work, which would sync the directory or merge what it made. */
void engine_run_flush(struct engine_run *run);
/* A step that the seed chooses: batches, syncs by the policy, background work, rotation, reopening,
 * comparing. false with the reason when something is not as it must be. */
bool engine_run_step(struct engine_run *run, struct engine_failure *failure);

struct power_loss {
    enum vfs_power_loss mode;
    uint64_t seed;
    bool again; /* lose power once more somewhere in the recovery */
    bool go_on; /* write on after the recovery, lose power, recover */
};
bool power_loss_check(struct engine_run *run, const struct power_loss *loss,
                      struct engine_failure *failure);

#endif
