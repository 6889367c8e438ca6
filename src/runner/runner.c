/* SPDX-License-Identifier: MIT */
/* A thread calls lsm_work until there is nothing to do, then sleeps until a wake, but looks again
 * after a second by itself: the engine retries failed work after a pause of its own. A compaction that
 * rests for its limit's sake says for how long. */
#include "runner/runner.h"

#include "base/memory.h"

#include <assert.h>
#include <pthread.h>
#include <time.h>

enum { WORK_BUDGET_BYTES = 4 << 20, LOOK_AGAIN_SECONDS = 1 };

struct runner {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t wakes; /* counts up; a thread sleeps only if none came since it last looked */
    bool running;
    struct lsm *db;
    unsigned thread_count;
    unsigned started; /* touched by _start and _stop alone */
    pthread_t threads[RUNNER_THREADS_MAX];
};

struct runner *runner_create(unsigned thread_count)
{
    assert(thread_count >= 1);
    assert(thread_count <= RUNNER_THREADS_MAX);
    struct runner *runner = memory_zeroed(1, sizeof(*runner));
    runner->thread_count = thread_count;
    pthread_mutex_init(&runner->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&runner->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return runner;
}

void runner_destroy(struct runner *runner)
{
    if (!runner)
        return;
    assert(!runner->running);
    pthread_cond_destroy(&runner->changed);
    pthread_mutex_destroy(&runner->lock);
    memory_free(runner);
}

void runner_wake(void *context)
{
    struct runner *runner = context;
    pthread_mutex_lock(&runner->lock);
    runner->wakes++;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
}

/* Sleeps, `pause_us` at most (0: LOOK_AGAIN_SECONDS), unless a wake came after `seen`. The lock is
 * held. */
static void sleep_for_wake(struct runner *runner, uint64_t seen, uint64_t pause_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (pause_us == 0 || pause_us > LOOK_AGAIN_SECONDS * 1000000)
        pause_us = LOOK_AGAIN_SECONDS * 1000000;
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + pause_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    int timed_out = 0;
    while (runner->running && runner->wakes == seen && !timed_out)
        timed_out = pthread_cond_timedwait(&runner->changed, &runner->lock, &until);
}

static void *work(void *context)
{
    struct runner *runner = context;
    pthread_mutex_lock(&runner->lock);
    while (runner->running) {
        uint64_t seen = runner->wakes;
        pthread_mutex_unlock(&runner->lock);
        bool did_something = lsm_work(runner->db, WORK_BUDGET_BYTES);
        uint64_t pause_us = did_something ? 0 : lsm_work_pause_us(runner->db);
        pthread_mutex_lock(&runner->lock);
        if (!did_something)
            sleep_for_wake(runner, seen, pause_us);
    }
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}

enum status runner_start(struct runner *runner, struct lsm *db)
{
    assert(!runner->running);
    assert(runner->started == 0);
    runner->db = db;
    runner->running = true;
    while (runner->started < runner->thread_count) {
        if (pthread_create(&runner->threads[runner->started], NULL, work, runner) != 0) {
            runner_stop(runner);
            return STATUS_NO_MEMORY;
        }
        runner->started++;
    }
    return STATUS_OK;
}

void runner_stop(struct runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    runner->running = false;
    pthread_cond_broadcast(&runner->changed);
    pthread_mutex_unlock(&runner->lock);
    for (; runner->started > 0; runner->started--)
        pthread_join(runner->threads[runner->started - 1], NULL);
    runner->db = NULL;
}
