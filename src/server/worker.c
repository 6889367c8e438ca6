/* SPDX-License-Identifier: MIT */
#include "server/worker.h"

#include "base/memory.h"

#include <assert.h>
#include <pthread.h>

struct workers {
    struct service *service;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct worker_job *first, **last; /* first come, first served */
    unsigned busy;
    bool held, stopping;
    unsigned thread_count;
    pthread_t threads[WORKER_THREADS_MAX];
};

static void run_next(struct workers *workers)
{
    struct worker_job *job = workers->first;
    workers->first = job->next;
    if (!workers->first)
        workers->last = &workers->first;
    workers->busy++;
    pthread_mutex_unlock(&workers->lock);
    job->next = NULL;
    job->run(job);
    pthread_mutex_lock(&workers->lock);
    workers->busy--;
    if (workers->held)
        pthread_cond_broadcast(&workers->changed);
}

static void *run(void *context)
{
    struct workers *workers = context;
    bool idle = true;
    pthread_mutex_lock(&workers->lock);
    for (;;) {
        if (workers->first && !workers->held) {
            run_next(workers);
            idle = false;
        } else if (!idle && !workers->held) {
            /* Counts as busy: a hold must not find this thread inside the store. */
            workers->busy++;
            pthread_mutex_unlock(&workers->lock);
            service_thread_idle(workers->service);
            pthread_mutex_lock(&workers->lock);
            workers->busy--;
            if (workers->held)
                pthread_cond_broadcast(&workers->changed);
            idle = true;
        } else if (workers->stopping) {
            break;
        } else {
            pthread_cond_wait(&workers->changed, &workers->lock);
        }
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

struct workers *workers_create(struct service *service, unsigned thread_count)
{
    assert(thread_count >= 1);
    assert(thread_count <= WORKER_THREADS_MAX);
    struct workers *workers = memory_zeroed(1, sizeof(*workers));
    workers->service = service;
    workers->last = &workers->first;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->changed, NULL);
    while (workers->thread_count < thread_count) {
        if (pthread_create(&workers->threads[workers->thread_count], NULL, run, workers) != 0) {
            workers_destroy(workers);
            return NULL;
        }
        workers->thread_count++;
    }
    return workers;
}

void workers_destroy(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    assert(!workers->held);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    assert(!workers->first);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    memory_free(workers);
}

void workers_submit(struct workers *workers, struct worker_job *job)
{
    assert(!job->next);
    pthread_mutex_lock(&workers->lock);
    *workers->last = job;
    workers->last = &job->next;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
}

void workers_hold(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    assert(!workers->held);
    workers->held = true;
    while (workers->busy > 1)
        pthread_cond_wait(&workers->changed, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
}

void workers_release(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->held = false;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
}
