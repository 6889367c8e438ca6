/* SPDX-License-Identifier: MIT */
/* Sessions that wait for keys: found by database and key. XREAD BLOCK is woken by any write to the key. BLPOP
 * and the like wait *in line*: what comes is handed to the first one (serving.h), no write wakes them.
 *
 * No wake-up is lost. The waiting side registers, then looks at the keys; the writing side
 * publishes its batch, then looks for waiters. waiters_any and waiters_add are both
 * read-modify-writes of one counter, hence ordered: either the writer finds the waiter, or the
 * waiter's look comes after the publication and finds the data.
 *
 * Thread-safe: shards by key, a mutex each. A wake is called under the shard's mutex, so that a
 * session that has removed its waiters is never woken. */
#ifndef COMMANDS_WAITERS_H
#define COMMANDS_WAITERS_H

#include "base/slice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { WAITER_SHARDS = 16, WAITER_BUCKETS = 64 };

/* One key that one session waits for. Lives in the session, from _add to _remove. */
struct waiter {
    struct waiter *next, *previous; /* in its bucket, oldest first; guarded by the shard's mutex */
    uint64_t hash;
    unsigned database;
    struct slice key; /* owned by the session, unchanged until _remove */
    void *owner;      /* given to wake */
    void *in_line;    /* who waits in line; NULL: woken */
};

struct waiter_shard {
    pthread_mutex_t mutex; /* guards the lists */
    struct waiter *first[WAITER_BUCKETS], *last[WAITER_BUCKETS];
};

struct waiters {
    atomic_size_t count;      /* registered now */
    atomic_size_t line_count; /* of these, in line */
    struct waiter_shard shards[WAITER_SHARDS];
    void (*wake)(void *context, void *owner);
    void *context;
};

void waiters_init(struct waiters *waiters, void (*wake)(void *context, void *owner), void *context);
void waiters_release(struct waiters *waiters); /* none is registered any more */
/* Fills in the waiter and appends it to its key's queue. */
void waiters_add(struct waiters *waiters, struct waiter *waiter, unsigned database,
                 struct slice key, void *owner);
void waiters_add_in_line(struct waiters *waiters, struct waiter *waiter, unsigned database,
                         struct slice key, void *owner, void *in_line);
void waiters_remove(struct waiters *waiters, struct waiter *waiter);
/* After a batch is published: is anybody waiting at all? */
static inline bool waiters_any(struct waiters *waiters)
{
    return atomic_fetch_add(&waiters->count, 0) > 0;
}
/* The same of those in line, by who holds the write lock: all come and look under it. */
static inline bool waiters_any_in_line(struct waiters *waiters)
{
    return atomic_load(&waiters->line_count) > 0;
}
/* Wakes those who wait for the key and not in line, first come first. */
void waiters_signal(struct waiters *waiters, unsigned database, struct slice key);
void waiters_signal_all(struct waiters *waiters); /* databases were flushed or swapped */
/* Shows those who wait in line for the key, first come first, until `accept` says true of one. Called under
 * the shard's mutex: who is shown is still registered. */
void waiters_walk_line(struct waiters *waiters, unsigned database, struct slice key,
                       bool (*accept)(void *context, struct waiter *waiter), void *context);
/* All of them, key by key in no order. */
void waiters_each_in_line(struct waiters *waiters,
                          void (*each)(void *context, struct waiter *waiter), void *context);
/* Calls `each` for all of them, under their shards' mutexes. */
void waiters_each(struct waiters *waiters, void (*each)(void *context, struct waiter *waiter),
                  void *context);

#endif
