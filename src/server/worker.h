/* SPDX-License-Identifier: MIT */
/* A pool of threads for jobs that may wait for the disk: parked sessions, active expiry. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "commands/service.h"

enum { WORKER_THREADS_MAX = 64 };

struct workers;

/* Lies inside its owner; zeroed, then `run` is set. `run` may free it. */
struct worker_job {
    void (*run)(struct worker_job *job);
    struct worker_job *next;
};

/* `service` is told when a thread is idle. NULL: no thread could be started. */
struct workers *workers_create(struct service *service, unsigned thread_count);
/* All jobs that were submitted are done first. NULL is fine. */
void workers_destroy(struct workers *workers);
void workers_submit(struct workers *workers, struct worker_job *job); /* any thread */

/* From inside a job: returns when no other job runs; none begins until workers_release. One at a
 * time. */
void workers_hold(struct workers *workers);
void workers_release(struct workers *workers);

#endif
