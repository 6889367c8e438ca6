/* SPDX-License-Identifier: MIT */
/* MULTI: the requests that wait for EXEC, and the keys that were watched before; for src/commands alone.
 *
 *      WATCH k        MULTI   SET a 1   INCR b           EXEC
 *      registered     open    queued    queued           one batch: k checked, all executed, published
 *
 * A batch touches the watchers of its keys while its thread holds the write lock, and EXEC looks at them under
 * that lock. So a key that was changed before the transaction's batch is known to be.
 *
 * The session's loop owns it, or the worker that executes for it; `is_broken`, and
 * `is_flushed` of watches, are set by any thread. */
#ifndef COMMANDS_TRANSACTION_H
#define COMMANDS_TRANSACTION_H

#include "commands/waiters.h"

#include <stdatomic.h>

struct access;
struct command;
struct command_context;
struct session;

/* One block: the words' bytes lie behind the slices. */
struct queued_request {
    const struct command *command;
    size_t count;
    struct slice arguments[];
};

struct watch {
    struct waiter waiter;
    struct watch *next;
    bool was_there;         /* the key existed */
    atomic_bool is_flushed; /* its database was emptied or swapped */
    uint8_t key[];
};

struct transaction {
    bool is_open;    /* between MULTI and its end */
    bool is_refused; /* a request could not be queued: EXEC does nothing */
    struct queued_request **requests;
    size_t count, capacity;
    atomic_size_t bytes;   /* of words, of requests and watches; the loop counts them at any time */
    struct watch *watches; /* newest first */
    size_t watch_count;
    atomic_int shown;      /* by CLIENT LIST: `count`; -1: not open */
    atomic_bool is_broken; /* a watched key was touched */
};

void transaction_open(struct session *session);
/* The request is queued if it is one that waits for EXEC; then it is answered, +QUEUED or why not. */
bool transaction_takes(struct command_context *c);
/* The request was answered with an error before it was executed or queued; `reply_start` is where. An open
 * transaction is refused by it, and EXEC is told so in EXECABORT's words. */
void transaction_reject(struct command_context *c, size_t reply_start);
/* Ends it, executed or not: requests and watches are forgotten. */
void transaction_end(struct session *session);
void transaction_forget_watches(struct session *session);

/* What EXEC needs: the flags of its requests, enum command_flags, DENYOOM only if all writes have it; 0: it will
 * execute none of them. Watches make it a write, since they must be looked at under the lock. */
uint32_t transaction_flags(const struct session *session);
/* Whether anything that is queued has COMMAND_DENYOOM, whatever will become of EXEC. */
bool transaction_adds_data(const struct session *session);
/* Whether executing it on a loop's thread holds up nobody: it is short, and the keys are in memory and have no
 * parts elsewhere. The access is not open. */
bool transaction_is_quick(struct command_context *c, struct access *access);

/* Whole databases that a batch has emptied or swapped. */
struct touched_databases {
    enum { TOUCHED_NONE, TOUCHED_ONE, TOUCHED_TWO, TOUCHED_ALL } extent;
    unsigned numbers[2];
};
void touched_databases_add(struct touched_databases *touched, unsigned database);

/* To watchers of a key, by whoever touched it. */
void transaction_break(void *context, void *session);
/* To each watch, by whoever touched these databases. */
void transaction_flush(void *touched_databases, struct waiter *waiter);

#endif
