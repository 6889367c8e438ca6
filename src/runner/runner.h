/* SPDX-License-Identifier: MIT */
/* Threads that call the engine's work, for the server and for hosts of the library. The engine itself
 * starts none.
 *
 *      runner = runner_create(threads);
 *      options.work_ready = runner_wake; options.context = runner;   lsm_open(...)
 *      runner_start(runner, db);  ...  runner_stop(runner);          lsm_close(db)
 *      runner_destroy(runner); */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include "lsm/lsm.h"

enum { RUNNER_THREADS_MAX = 16 };

struct runner;

struct runner *runner_create(unsigned thread_count); /* 1 .. RUNNER_THREADS_MAX; none runs yet */
void runner_destroy(struct runner *runner);          /* stopped; NULL is fine */
/* lsm_options.work_ready: any thread, cheap. Without effect while stopped. */
void runner_wake(void *runner);
enum status runner_start(struct runner *runner, struct lsm *db); /* STATUS_NO_MEMORY: no thread */
/* Returns when no thread is inside the engine any more; pieces of work begun are finished. */
void runner_stop(struct runner *runner);

#endif
