/* SPDX-License-Identifier: MIT */
/* Scripts of the engine for a fault campaign. A script is a world, made without faults, and an act
 * that is performed under a fault. After it:
 *   - each status that the act was told is the fault's, or follows from it;
 *   - reads go on and equal the model (while reads themselves are made to fail: an error, never
 *     something else);
 *   - a power loss right then loses nothing that was acknowledged;
 *   - without the fault everything goes on, unless the log has failed, which is final for the run;
 *   - after the close no file is open, and the next open is clean: the history, invariants, verify,
 *     and no file that belongs to nothing. */
#ifndef LIB_ENGINE_FAULT_H
#define LIB_ENGINE_FAULT_H

#include "lib/engine_run.h"
#include "lib/fault_campaign.h"

struct engine_act {
    struct engine_run run;
    const struct fault_plan *plan;
    bool disarmed;
    struct vfs_fault_counters armed; /* calls made until then */
};

struct engine_script {
    const char *name;
    enum engine_policy policy;
    uint64_t wal_segment_bytes; /* 0: as engine_small_options says */
    /* Makes the world in an open database and leaves it open. NULL: there is none before. */
    void (*prepare)(struct engine_run *run);
    enum vfs_power_loss left_by;        /* how the run that made the world ended ... */
    bool left_clean;                    /* ... unless it was closed */
    void (*damage)(struct vfs *memory); /* of the world, while it is closed; may be NULL */
    /* Acts on the open database; or, if `on_closed`, on the closed one. */
    void (*act)(struct engine_act *act);
    bool on_closed;
    bool may_lose; /* the damage may cost batches from anywhere on, down to none */
};

/* Notes what a call of the act was told; fails the test if the plan does not explain it. */
void engine_act_told(struct engine_act *act, enum status status, const char *what);
/* The fault has passed: from here on nothing fails. */
void engine_act_disarm(struct engine_act *act);
/* Fails the test. */
void engine_act_broken(const struct engine_act *act, const char *why) __attribute__((noreturn));

void engine_script_run(const struct engine_script *script, unsigned sample,
                       struct fault_totals *totals);

#endif
