/* SPDX-License-Identifier: MIT */
#include "commands/waiters.h"

#include "base/hash.h"

#include <assert.h>

void waiters_init(struct waiters *waiters, void (*wake)(void *context, void *owner), void *context)
{
    memset(waiters, 0, sizeof *waiters);
    for (size_t i = 0; i < WAITER_SHARDS; i++)
        pthread_mutex_init(&waiters->shards[i].mutex, NULL);
    waiters->wake = wake;
    waiters->context = context;
}

void waiters_release(struct waiters *waiters)
{
    assert(atomic_load(&waiters->count) == 0);
    for (size_t i = 0; i < WAITER_SHARDS; i++)
        pthread_mutex_destroy(&waiters->shards[i].mutex);
}

static struct waiter_shard *shard_of(struct waiters *waiters, uint64_t hash)
{
    return &waiters->shards[hash % WAITER_SHARDS];
}

static size_t bucket_of(uint64_t hash)
{
    return hash / WAITER_SHARDS % WAITER_BUCKETS;
}

static void add(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter_shard *shard = shard_of(waiters, waiter->hash);
    size_t bucket = bucket_of(waiter->hash);
    pthread_mutex_lock(&shard->mutex);
    waiter->previous = shard->last[bucket];
    if (waiter->previous)
        waiter->previous->next = waiter;
    else
        shard->first[bucket] = waiter;
    shard->last[bucket] = waiter;
    pthread_mutex_unlock(&shard->mutex);
    atomic_fetch_add(&waiters->count, 1);
}

void waiters_add(struct waiters *waiters, struct waiter *waiter, unsigned database,
                 struct slice key, void *owner)
{
    *waiter = (struct waiter){
        .hash = hash64(key, database), .database = database, .key = key, .owner = owner};
    add(waiters, waiter);
}

void waiters_add_in_line(struct waiters *waiters, struct waiter *waiter, unsigned database,
                         struct slice key, void *owner, void *in_line)
{
    assert(in_line);
    *waiter = (struct waiter){.hash = hash64(key, database),
                              .database = database,
                              .key = key,
                              .owner = owner,
                              .in_line = in_line};
    add(waiters, waiter);
    atomic_fetch_add(&waiters->line_count, 1);
}

void waiters_remove(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter_shard *shard = shard_of(waiters, waiter->hash);
    size_t bucket = bucket_of(waiter->hash);
    pthread_mutex_lock(&shard->mutex);
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        shard->first[bucket] = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        shard->last[bucket] = waiter->previous;
    pthread_mutex_unlock(&shard->mutex);
    atomic_fetch_sub(&waiters->count, 1);
    if (waiter->in_line)
        atomic_fetch_sub(&waiters->line_count, 1);
}

/* ---- Those who wait for a key. --------------------------------------------------------------- */

static bool waits_for(const struct waiter *waiter, uint64_t hash, unsigned database,
                      struct slice key)
{
    return waiter->hash == hash && waiter->database == database && slice_equal(waiter->key, key);
}

void waiters_signal(struct waiters *waiters, unsigned database, struct slice key)
{
    uint64_t hash = hash64(key, database);
    struct waiter_shard *shard = shard_of(waiters, hash);
    pthread_mutex_lock(&shard->mutex);
    for (struct waiter *waiter = shard->first[bucket_of(hash)]; waiter; waiter = waiter->next) {
        if (!waiter->in_line && waits_for(waiter, hash, database, key))
            waiters->wake(waiters->context, waiter->owner);
    }
    pthread_mutex_unlock(&shard->mutex);
}

void waiters_walk_line(struct waiters *waiters, unsigned database, struct slice key,
                       bool (*accept)(void *context, struct waiter *waiter), void *context)
{
    uint64_t hash = hash64(key, database);
    struct waiter_shard *shard = shard_of(waiters, hash);
    pthread_mutex_lock(&shard->mutex);
    for (struct waiter *waiter = shard->first[bucket_of(hash)]; waiter; waiter = waiter->next) {
        if (waiter->in_line && waits_for(waiter, hash, database, key) && accept(context, waiter))
            break;
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* ---- All of them. ---------------------------------------------------------------------------- */

void waiters_each(struct waiters *waiters, void (*each)(void *context, struct waiter *waiter),
                  void *context)
{
    for (size_t i = 0; i < WAITER_SHARDS; i++) {
        struct waiter_shard *shard = &waiters->shards[i];
        pthread_mutex_lock(&shard->mutex);
        for (size_t bucket = 0; bucket < WAITER_BUCKETS; bucket++)
            for (struct waiter *waiter = shard->first[bucket]; waiter; waiter = waiter->next)
                each(context, waiter);
        pthread_mutex_unlock(&shard->mutex);
    }
}

static void wake_unless_in_line(void *context, struct waiter *waiter)
{
    struct waiters *waiters = context;
    if (!waiter->in_line)
        waiters->wake(waiters->context, waiter->owner);
}

void waiters_signal_all(struct waiters *waiters)
{
    waiters_each(waiters, wake_unless_in_line, waiters);
}

struct walk {
    void (*each)(void *context, struct waiter *waiter);
    void *context;
};

static void show_in_line(void *context, struct waiter *waiter)
{
    const struct walk *walk = context;
    if (waiter->in_line)
        walk->each(walk->context, waiter);
}

void waiters_each_in_line(struct waiters *waiters,
                          void (*each)(void *context, struct waiter *waiter), void *context)
{
    waiters_each(waiters, show_in_line, &(struct walk){each, context});
}
