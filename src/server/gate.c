/* SPDX-License-Identifier: MIT */
/* The log thread sleeps on `changed`. Under `always` it works off `requested`; under `everysec` it
 * wakes each second. `inside` is set while it is in the engine, so that gate_pause can wait. */
#include "server/gate.h"

#include "base/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { EVERYSEC_SECONDS = 1 };

struct gate {
    struct gate_options options; /* engine: changed only while paused */
    _Atomic int policy;
    atomic_bool failed;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool requested, inside, paused, stopping;
    pthread_t thread;
};

lsn_t gate_acked(const struct gate *gate)
{
    return atomic_load(&gate->policy) == GATE_ALWAYS ? lsm_durable_lsn(gate->options.engine)
                                                     : lsm_written_lsn(gate->options.engine);
}

bool gate_has_failed(const struct gate *gate)
{
    return atomic_load(&gate->failed);
}

/* Says so once; the engine has gone read-only by itself. */
static void fail(struct gate *gate, const char *what, enum status status)
{
    if (atomic_exchange(&gate->failed, true))
        return;
    env_log(gate->options.env, LOG_WARNING,
            "%s of the log failed (%s): writes are refused until a restart, clients with replies "
            "that wait for it are closed",
            what, status_text(status));
    gate->options.moved(gate->options.context);
}

bool gate_has_unwritten(const struct gate *gate)
{
    const struct lsm *engine = gate->options.engine;
    return atomic_load(&gate->policy) != GATE_ALWAYS && !gate_has_failed(gate) &&
           lsm_written_lsn(engine) < lsm_visible_lsn(engine);
}

void gate_write(struct gate *gate)
{
    if (!gate_has_unwritten(gate))
        return;
    enum status status = lsm_wal_write(gate->options.engine);
    if (status != STATUS_OK)
        fail(gate, "A write", status);
}

void gate_request(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    if (!gate->requested) {
        gate->requested = true;
        pthread_cond_broadcast(&gate->changed);
    }
    pthread_mutex_unlock(&gate->lock);
}

void gate_set_policy(struct gate *gate, enum gate_policy policy)
{
    atomic_store(&gate->policy, (int)policy);
    lsm_set_ack_durable(gate->options.engine, policy == GATE_ALWAYS);
    /* The log thread may be asleep with a request that its last policy did not look at. */
    pthread_mutex_lock(&gate->lock);
    gate->requested = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
    gate->options.moved(gate->options.context);
}

void gate_pause(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->paused = true;
    while (gate->inside)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

void gate_resume(struct gate *gate, struct lsm *engine)
{
    pthread_mutex_lock(&gate->lock);
    assert(gate->paused);
    gate->options.engine = engine;
    gate->paused = false;
    gate->requested = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* Until there is something to sync. The lock is held. */
static void sleep_for_work(struct gate *gate)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += EVERYSEC_SECONDS;
    while (!gate->stopping) {
        bool always = atomic_load(&gate->policy) == GATE_ALWAYS;
        if (!gate->paused && always && gate->requested)
            return;
        if (pthread_cond_timedwait(&gate->changed, &gate->lock, &until) != 0 && !gate->paused)
            return;
        if (gate->paused)
            clock_gettime(CLOCK_MONOTONIC, &until); /* a second from the resume on, at the least */
    }
}

static void sync_log(struct gate *gate)
{
    if (gate_has_failed(gate))
        return;
    enum status status = lsm_wal_sync(gate->options.engine);
    if (status != STATUS_OK)
        fail(gate, "A sync", status);
    else if (atomic_load(&gate->policy) == GATE_ALWAYS)
        gate->options.moved(gate->options.context);
}

static void *run(void *context)
{
    struct gate *gate = context;
    pthread_mutex_lock(&gate->lock);
    for (;;) {
        sleep_for_work(gate);
        if (gate->stopping)
            break;
        gate->requested = false;
        gate->inside = true;
        pthread_mutex_unlock(&gate->lock);
        if (atomic_load(&gate->policy) != GATE_NO)
            sync_log(gate);
        pthread_mutex_lock(&gate->lock);
        gate->inside = false;
        pthread_cond_broadcast(&gate->changed);
    }
    pthread_mutex_unlock(&gate->lock);
    return NULL;
}

struct gate *gate_create(const struct gate_options *options)
{
    struct gate *gate = memory_zeroed(1, sizeof(*gate));
    gate->options = *options;
    atomic_init(&gate->policy, (int)options->policy);
    atomic_init(&gate->failed, false);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    lsm_set_ack_durable(options->engine, options->policy == GATE_ALWAYS);
    if (pthread_create(&gate->thread, NULL, run, gate) == 0)
        return gate;
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    memory_free(gate);
    return NULL;
}

void gate_destroy(struct gate *gate)
{
    if (!gate)
        return;
    pthread_mutex_lock(&gate->lock);
    gate->stopping = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
    pthread_join(gate->thread, NULL);
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    memory_free(gate);
}
