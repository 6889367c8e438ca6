/* SPDX-License-Identifier: MIT */
/* What a run consists of; for tests/sim/sim_*.c and simulation.c alone. */
#ifndef SIM_SIM_STATE_H
#define SIM_SIM_STATE_H

#include "commands/service.h"
#include "sim/commands.h"
#include "sim/observe.h"
#include "sim/simulation.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

enum {
    CLIENTS_MAX = 5,
    QUEUE_MAX = 24,
    RECEIPTS_MAX = 4096,
    WATCHES_MAX = MODEL_DATABASES * MODEL_KEYS,
    PICTURES_MAX = 3,
    RECENT_STEPS = 20,
    RECENT_BYTES = 160,
    WORK_ROUNDS_MAX = 20000,
};

enum policy { ALWAYS, EVERYSEC, NO };

struct write {
    struct model_state state; /* after it */
    lsn_t end;                /* the log up to here holds it */
};

/* A reply in a session's output: when it has left, the write that it tells of must not be lost. */
struct receipt {
    size_t size;
    uint64_t needs;
};

enum told { TOLD_NOTHING, TOLD_TIMEOUT, TOLD_ERROR }; /* by CLIENT UNBLOCK */

/* A key that a client watches. */
struct sim_watch {
    unsigned database, key;
    uint64_t since; /* number of the first write that it would see */
    bool was_there;
    bool is_unsure; /* a command named it that may have left it as it was */
};

struct client {
    struct session *session; /* NULL: not connected */
    bool json, woken;
    unsigned database;
    struct model_command queue[QUEUE_MAX]; /* sent and not answered */
    size_t queue_count;
    struct buffer unsent; /* of requests in the queue */
    size_t checked;       /* bytes of the session's output that were compared */
    struct receipt receipts[RECEIPTS_MAX];
    size_t receipt_first, receipt_count;
    size_t receipt_taken; /* bytes of the first one that have left */

    bool waits;    /* its first request was blocked */
    uint64_t line; /* its place among those who wait for an element; 0: it does not */
    bool
        is_served; /* the pop was made for it: `served` is the reply, which tells of `served_needs` */
    struct buffer served;
    uint64_t served_needs;
    enum told told;
    struct sim_watch watches[WATCHES_MAX];
    size_t watch_count;
};

/* The writes that must be there after a kill, and after a power loss. */
struct promise {
    size_t kill, power;
};

/* A crash that strikes before the n-th call from now that changes the disk. */
struct strike {
    struct vfs *memory;
    uint64_t countdown; /* 0: none */
    enum vfs_power_loss mode;
    uint64_t seed;
    struct vfs *world; /* NULL: it has not struck */
    struct sim *sim;   /* NULL: during a start */
    struct promise promise;
};

struct fault {
    bool armed, for_good;
    unsigned calls;
    enum status error;
};

struct sim {
    const struct sim_options *options;
    struct sim_counts *counts;
    struct random random, entropy; /* decisions; what the store asks for */
    struct random log;             /* how the log is stored, apart from all other decisions */
    uint64_t step, hash;
    char recent[RECENT_STEPS][RECENT_BYTES];

    struct vfs *memory, *vfs;
    struct env env;
    uint64_t monotonic_us;
    struct store_options store_options;
    struct store *store;
    struct config *config;
    struct service *service;
    enum policy policy;
    lsn_t acked_floor; /* was acknowledged when the policy became `always` */
    bool read_only;    /* a write to the log has failed: nothing is written until a restart */
    struct fault fault;
    bool disk_is_full, doubtful; /* a command was refused: an expired key may be gone or not */
    uint64_t failed_before;      /* calls, before the call of a session that runs now */
    struct strike strike;

    struct model model;
    struct sim_mood mood;
    struct write *writes;
    size_t write_count, write_capacity;
    uint64_t received_durable, received_written; /* what replies need that have left under `always`,
                                                  * under the others */
    struct client clients[CLIENTS_MAX];
    size_t client_count;
    uint64_t line_count; /* places given so far */
    struct picture *pictures[PICTURES_MAX];
    struct observed observed;
    uint64_t flushes, compactions;
    unsigned weights[32];
};

static inline void count(struct sim *sim, enum sim_event event)
{
    sim->counts->events[event]++;
}

static inline uint64_t below(struct sim *sim, uint64_t bound)
{
    return random_below(&sim->random, bound);
}

static inline bool one_in(struct sim *sim, uint64_t bound)
{
    return below(sim, bound) == 0;
}

static inline struct lsm *engine(struct sim *sim)
{
    return store_engine(sim->store);
}

static inline size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline void before_call(struct sim *sim)
{
    sim->failed_before = vfs_fault_failed_count(sim->vfs);
}

/* ---- sim_report.c */

/* Until _end a failed assertion is told with seed and step. */
void sim_report_begin(struct sim *sim);
void sim_report_end(void);
void sim_hash_bytes(struct sim *sim, const void *data, size_t size);
void sim_hash_number(struct sim *sim, uint64_t number);
/* Adds to the line of this step; ends the process. */
void sim_note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* ---- sim_world.c */

/* Takes `memory` over: file systems and env. */
void sim_world_init(struct sim *sim, struct vfs *memory);
enum vfs_power_loss sim_pick_loss(struct sim *sim);
void sim_strike_cancel(struct sim *sim);
void sim_strike_arm(struct sim *sim, uint64_t calls, bool serving);
void sim_fault_disarm(struct sim *sim);
void sim_fault_arm(struct sim *sim);
/* One of the next syncs of a file fails, and is not made. */
void sim_fault_arm_sync(struct sim *sim);
/* What only looks is not to be failed. */
void sim_fault_pause(struct sim *sim);
void sim_fault_go_on(struct sim *sim);
bool sim_engine_is_read_only(struct sim *sim);

/* ---- sim_journal.c */

/* After model_run: a change becomes a write of the journal. */
void sim_commit(struct sim *sim);
/* The model takes the state after that write; the state that it has becomes the first one. */
void sim_become(struct sim *sim, size_t index);
void sim_forget_writes(struct sim *sim);
size_t sim_writes_below(const struct sim *sim, lsn_t lsn);
struct promise sim_promised_now(struct sim *sim);
/* The newest state from `min` to `max` that the store holds. */
size_t sim_find_state(struct sim *sim, size_t min, size_t max, const char *when);
void sim_check_state(struct sim *sim, const char *when);
void sim_check_invariants(struct sim *sim);
/* A key that is due may have been met and deleted: the store says whether it was. */
void sim_remove_if_gone(struct sim *sim, unsigned database, unsigned key);
/* After a refused command: what it met and deleted before is found out. */
void sim_settle_doubt(struct sim *sim);

/* ---- sim_clients.c */

void sim_clients_leave(struct sim *sim);
void sim_clients_join(struct sim *sim);
/* Whether commands may be refused now. */
bool sim_is_faulty(struct sim *sim);
void sim_check_blocked(struct sim *sim, struct client *client);
void sim_client_step(struct sim *sim, struct client *client);
/* The client is at rest: it waits for an element; it pushes to what the other one waits for; it watches, and it
 * begins and ends a transaction. */
void sim_client_wait(struct sim *sim, struct client *client);
void sim_client_watch(struct sim *sim, struct client *client);
void sim_client_transact(struct sim *sim, struct client *client);
void sim_client_push_for(struct sim *sim, struct client *client, const struct client *waiter);
bool sim_client_is_at_rest(const struct client *client);
void sim_client_reconnect(struct sim *sim, struct client *client);
lsn_t sim_acked(struct sim *sim);
void sim_client_send(struct sim *sim, struct client *client, bool whole);
void sim_step_send(struct sim *sim);
void sim_step_sync(struct sim *sim);
void sim_expect_log(struct sim *sim, enum status status, const char *what);

/* ---- sim_line.c */

/* Somebody who waits in his place; NULL: nobody does. */
struct client *sim_line_pick(struct sim *sim);
/* After a call of its session: it may wait now. */
void sim_line_join(struct sim *sim, struct client *client);
void sim_line_leave(struct client *client);
/* Before the model runs its pop: for which keys somebody came before. */
void sim_line_look(struct sim *sim, struct client *client);
/* The command has run, and its writes are in the journal: what it brought goes to who waits for it. */
void sim_line_serve(struct sim *sim, const struct model_command *command);
/* Its request has ended: it was served, or told to wait no more. The reply is compared; returns the write that
 * it tells of. */
uint64_t sim_line_end(struct sim *sim, struct client *client, struct slice reply);
/* Nobody has something that the model has not, or waits for what is there. */
void sim_line_check(struct sim *sim, struct client *client);
/* CLIENT UNBLOCK for somebody who waits; false: nobody does. */
bool sim_line_make_unblock(struct sim *sim, struct client *client, struct model_command *command);
/* Before the model runs it: whether it finds somebody. */
void sim_line_unblock(struct sim *sim, struct model_command *command);

/* ---- sim_watch.c */

void sim_watch_add(struct sim *sim, struct client *client, const struct model_command *command);
/* A command has run, or (NULL) one was refused: keys that it names may have changed. */
void sim_watch_note(struct sim *sim, const struct model_command *command);
/* Whether EXEC was answered with nothing, as it may and must be. */
bool sim_watch_is_broken(struct sim *sim, struct client *client, struct slice reply);

/* ---- sim_crash.c */

void sim_pick_options(struct sim *sim);
void sim_open_or_fail(struct sim *sim);
/* The service and its clients, on an open store; the end of all of it. */
void sim_serve(struct sim *sim);
enum status sim_stop(struct sim *sim);
/* The log ends where a segment begins, and nothing of its own is in that segment yet. */
void sim_end_log_at_segment(struct sim *sim);
void sim_step_crash(struct sim *sim);
void sim_crash(struct sim *sim, enum vfs_power_loss mode);
/* The crash that was armed has struck inside the last step. */
void sim_crash_inside(struct sim *sim);
void sim_step_restart(struct sim *sim);
/* A write to the log has failed: what is not acknowledged is taken back. */
void sim_go_read_only(struct sim *sim);

#endif
