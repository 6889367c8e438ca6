/* SPDX-License-Identifier: MIT */
/* The gate: up to which LSN replies may go to clients, by the policy of appendfsync, and the log thread
 * that moves it.
 *
 *   always     acknowledged = durable. The log thread syncs as long as somebody waits; what arrives
 *              during a sync shares the next one (group commit).
 *   everysec   acknowledged = written; a loop writes before it sends. The log thread syncs each second.
 *   no         acknowledged = written; nobody syncs until the stop.
 *
 * A failed write or sync is final: gate_has_failed from then on, replies that were held stay held. */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include "lsm/lsm.h"

enum gate_policy { GATE_ALWAYS, GATE_EVERYSEC, GATE_NO }; /* indexes of appendfsync's choices */

struct gate;

struct gate_options {
    const struct env *env; /* for the message about a failure */
    struct lsm *engine;
    enum gate_policy policy;
    /* The acknowledged LSN moved, or the gate failed. From the log thread or from gate_write. */
    void (*moved)(void *context);
    void *context;
};

/* Starts the log thread; NULL: none could be started. */
struct gate *gate_create(const struct gate_options *options);
void gate_destroy(struct gate *gate); /* ends the log thread; does not sync. NULL is fine */

/* Any thread, without a lock. */
lsn_t gate_acked(const struct gate *gate);
bool gate_has_failed(const struct gate *gate);
/* Before replies are sent: makes what this process acknowledges by writing written. Nothing under
 * `always`. */
void gate_write(struct gate *gate);
bool gate_has_unwritten(const struct gate *gate); /* gate_write has something to do */
/* A reply is held: the gate moves soon, or fails. */
void gate_request(struct gate *gate);
void gate_set_policy(struct gate *gate, enum gate_policy policy);

/* The engine is closed and opened again: between the two calls the log thread is outside of it. No
 * other thread may use the gate meanwhile. */
void gate_pause(struct gate *gate);
void gate_resume(struct gate *gate, struct lsm *engine);

#endif
