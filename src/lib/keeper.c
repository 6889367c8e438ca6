/* SPDX-License-Identifier: MIT */
/* Host of an engine. A reader keeps the memtables that it saw last; so that readers which nobody uses
 * do not keep old ones for ever, writers make them let go each time that a part of the memtables' size
 * was written. */
#include "lib/keeper.h"

#include "base/memory.h"

#include <assert.h>
#include <time.h>

enum {
    WORK_BUDGET_BYTES = 4 << 20,
    OWED_US_MIN = 200, /* shorter waits are put off: a sleep takes longer than it says */
    SWEEP_BYTES_MIN = 64 << 10,
};

/* ---- Life ---------------------------------------------------------------------------------- */

void keeper_init(struct keeper *keeper, const struct env *env,
                 const struct cordwood_options *options)
{
    memset(keeper, 0, sizeof(*keeper));
    if (env) {
        keeper->env = *env;
    } else {
        keeper->vfs = vfs_posix_create();
        env_init_posix(&keeper->env, keeper->vfs);
    }
    keeper->durability = options->durability;
    keeper->sync_interval_ms = options->sync_interval_ms;
    keeper->read_only = options->read_only;
    keeper->sweep_each_bytes = (int64_t)(options->memtable_bytes / 4);
    if (keeper->sweep_each_bytes < SWEEP_BYTES_MIN)
        keeper->sweep_each_bytes = SWEEP_BYTES_MIN;
    atomic_init(&keeper->sweep_bytes, keeper->sweep_each_bytes);
    if (options->background_threads && !options->read_only)
        keeper->runner = runner_create(options->background_threads);
    for (unsigned i = 0; i < KEEPER_READERS; i++)
        pthread_mutex_init(&keeper->readers[i].lock, NULL);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void keeper_release(struct keeper *keeper)
{
    assert(!keeper->is_syncing);
    runner_destroy(keeper->runner);
    for (unsigned i = 0; i < KEEPER_READERS; i++)
        pthread_mutex_destroy(&keeper->readers[i].lock);
    pthread_cond_destroy(&keeper->changed);
    pthread_mutex_destroy(&keeper->lock);
    vfs_destroy(keeper->vfs);
}

/* ---- Background work ----------------------------------------------------------------------- */

/* Sleeps for the interval, or until the stop. The lock is held. */
static void sleep_interval(struct keeper *keeper)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + (uint64_t)keeper->sync_interval_ms * 1000000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    int timed_out = 0;
    while (!keeper->is_stopping && !timed_out)
        timed_out = pthread_cond_timedwait(&keeper->changed, &keeper->lock, &until);
}

static void sync_if_needed(struct keeper *keeper)
{
    if (lsm_durable_lsn(keeper->engine) < lsm_visible_lsn(keeper->engine))
        (void)lsm_wal_sync(keeper->engine); /* a failure is final: the next write tells it */
}

static void *sync_each_interval(void *context)
{
    struct keeper *keeper = context;
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->is_stopping) {
        sleep_interval(keeper);
        pthread_mutex_unlock(&keeper->lock);
        sync_if_needed(keeper);
        pthread_mutex_lock(&keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

enum status keeper_start(struct keeper *keeper, struct lsm *engine)
{
    keeper->engine = engine;
    keeper->synced_us = env_monotonic_us(&keeper->env);
    lsm_set_ack_durable(engine, keeper->durability == CORDWOOD_SYNC_COMMIT);
    if (!keeper->runner)
        return STATUS_OK;
    enum status status = runner_start(keeper->runner, engine);
    if (status != STATUS_OK || keeper->durability != CORDWOOD_SYNC_INTERVAL)
        return status;
    keeper->is_syncing =
        pthread_create(&keeper->sync_thread, NULL, sync_each_interval, keeper) == 0;
    if (keeper->is_syncing)
        return STATUS_OK;
    runner_stop(keeper->runner);
    return STATUS_NO_MEMORY;
}

void keeper_stop(struct keeper *keeper)
{
    if (keeper->is_syncing) {
        pthread_mutex_lock(&keeper->lock);
        keeper->is_stopping = true;
        pthread_cond_broadcast(&keeper->changed);
        pthread_mutex_unlock(&keeper->lock);
        pthread_join(keeper->sync_thread, NULL);
        keeper->is_syncing = false;
    }
    if (keeper->runner)
        runner_stop(keeper->runner);
    assert(atomic_load(&keeper->lent_count) == 0);
    for (unsigned i = 0; i < KEEPER_READERS; i++) {
        lsm_reader_destroy(keeper->readers[i].reader);
        keeper->readers[i].reader = NULL;
    }
}

void keeper_work_ready(void *context)
{
    struct keeper *keeper = context;
    runner_wake(keeper->runner);
}

/* Without a thread for it: is it this caller's to sync now? */
static bool take_interval_sync(struct keeper *keeper)
{
    if (keeper->durability != CORDWOOD_SYNC_INTERVAL || keeper->runner)
        return false;
    uint64_t now_us = env_monotonic_us(&keeper->env);
    pthread_mutex_lock(&keeper->lock);
    bool is_due = now_us - keeper->synced_us >= (uint64_t)keeper->sync_interval_ms * 1000;
    if (is_due)
        keeper->synced_us = now_us;
    pthread_mutex_unlock(&keeper->lock);
    return is_due;
}

bool keeper_work(struct keeper *keeper)
{
    if (keeper->read_only)
        return false;
    if (take_interval_sync(keeper))
        sync_if_needed(keeper);
    return lsm_work(keeper->engine, WORK_BUDGET_BYTES);
}

/* ---- Writes -------------------------------------------------------------------------------- */

void keeper_hold_back(struct keeper *keeper)
{
    if (keeper->read_only)
        return;
    unsigned delay_us = lsm_write_delay_us(keeper->engine);
    if (delay_us == 0)
        return;
    if (!keeper->runner && lsm_work(keeper->engine, WORK_BUDGET_BYTES))
        return;
    unsigned owed_us = atomic_fetch_add(&keeper->owed_us, delay_us) + delay_us;
    if (owed_us < OWED_US_MIN)
        return;
    owed_us = atomic_exchange(&keeper->owed_us, 0); /* another thread may have taken it */
    const struct timespec pause = {.tv_sec = owed_us / 1000000,
                                   .tv_nsec = (long)(owed_us % 1000000) * 1000};
    (void)nanosleep(&pause, NULL); /* a signal makes it shorter: no harm */
}

static void sweep_readers(struct keeper *keeper)
{
    for (unsigned i = 0; i < KEEPER_READERS; i++) {
        struct keeper_reader *reader = &keeper->readers[i];
        if (pthread_mutex_trylock(&reader->lock) != 0)
            continue; /* in use: it looks for the newest memtables itself */
        if (reader->reader)
            lsm_reader_idle(reader->reader);
        pthread_mutex_unlock(&reader->lock);
    }
}

enum status keeper_finish_write(struct keeper *keeper, size_t bytes)
{
    int64_t left = atomic_fetch_sub(&keeper->sweep_bytes, (int64_t)bytes) - (int64_t)bytes;
    if (left <= 0) {
        atomic_store(&keeper->sweep_bytes, keeper->sweep_each_bytes);
        sweep_readers(keeper);
    }
    if (keeper->durability == CORDWOOD_SYNC_COMMIT)
        return lsm_wal_sync(keeper->engine);
    enum status status = lsm_wal_write(keeper->engine);
    if (status == STATUS_OK && take_interval_sync(keeper))
        status = lsm_wal_sync(keeper->engine);
    return status;
}

enum status keeper_sync(struct keeper *keeper)
{
    return keeper->read_only ? STATUS_READ_ONLY : lsm_wal_sync(keeper->engine);
}

/* ---- Readers ------------------------------------------------------------------------------- */

/* Where this thread looks first. */
static unsigned thread_place(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned place; /* 0: none yet */
    if (place == 0)
        place = atomic_fetch_add(&threads, 1) % KEEPER_READERS + 1;
    return place - 1;
}

/* Locked by the caller. */
static struct keeper_reader *take(struct keeper *keeper, struct keeper_reader *reader)
{
    if (!reader->reader)
        reader->reader = lsm_reader_create(keeper->engine);
    return reader;
}

struct keeper_reader *keeper_take_reader(struct keeper *keeper)
{
    unsigned first = thread_place();
    for (unsigned i = 0; i < KEEPER_READERS; i++) {
        struct keeper_reader *reader = &keeper->readers[(first + i) % KEEPER_READERS];
        if (pthread_mutex_trylock(&reader->lock) == 0)
            return take(keeper, reader);
    }
    pthread_mutex_lock(&keeper->readers[first].lock);
    return take(keeper, &keeper->readers[first]);
}

void keeper_give_reader(struct keeper_reader *reader)
{
    pthread_mutex_unlock(&reader->lock);
}

enum status keeper_lend_reader(struct keeper *keeper, struct lsm_reader **reader)
{
    if (atomic_fetch_add(&keeper->lent_count, 1) >= KEEPER_READERS_LENT_MAX) {
        atomic_fetch_sub(&keeper->lent_count, 1);
        return STATUS_BUSY;
    }
    *reader = lsm_reader_create(keeper->engine);
    return STATUS_OK;
}

void keeper_return_reader(struct keeper *keeper, struct lsm_reader *reader)
{
    lsm_reader_destroy(reader);
    atomic_fetch_sub(&keeper->lent_count, 1);
}
