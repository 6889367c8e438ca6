/* SPDX-License-Identifier: MIT */
/* The server: everything that runs, put together, started and stopped.
 *
 * Threads: loop 0 (the one that calls server_run; it also has the listeners, signals and the expiry
 * timer), the other loops, the log thread of the gate, workers for what waits for the disk, the runner's
 * threads for flush and compaction. Who may touch what: the headers of each. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "commands/config.h"
#include "commands/service.h"
#include "runner/runner.h"
#include "server/gate.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/metrics_port.h"
#include "server/tls_keeper.h"
#include "server/worker.h"
#include "vfs/vfs.h"

struct server_options {
    const struct env *env;   /* outlives the server */
    struct config *config;   /* outlives the server */
    bool catches_signals;    /* SIGTERM and SIGINT stop it; of one server a process */
    void (*config_changed)(void *context, const char *name); /* CONFIG SET; any thread; may be NULL */
    void *context;
};

/* Opens the store and the listeners. NULL: *error is a text for people, perhaps of several lines. */
struct server *server_create(const struct server_options *options, struct buffer *error);
/* Serves until a stop, then closes the store. STATUS_OK: everything acknowledged is durable. */
enum status server_run(struct server *server);
void server_destroy(struct server *server); /* after server_run, or when it never ran; NULL is fine */
/* Any thread: stop cleanly; `now`: without waiting for clients to take their replies. */
void server_stop(struct server *server, bool now);

/* ---- For the files of this folder ------------------------------------------------------------- */

enum server_phase { SERVER_RUNNING, SERVER_RELOADING, SERVER_STOPPING };

struct server_task {
    struct loop_task task;
    struct server *server;
    struct loop *loop;
};

struct server {
    const struct env *env;
    struct config *config;
    struct server_options options;
    struct store *store; /* changed by a reload while everything holds still */
    struct service *service;
    struct gate *gate;
    struct workers *workers;
    struct runner *runner;

    struct loop *loops;
    unsigned loop_count; /* initialised */
    unsigned next_loop;  /* the next socket goes there; loop 0 */
    pthread_t *threads;  /* of loops 1 .. */
    unsigned thread_count;
    atomic_uint client_count;

    struct listener *listeners; /* loop 0 */
    struct metrics_port *metrics_port; /* loop 0; NULL: not asked for */
    struct tls_keeper *tls_keeper;     /* NULL: nobody listens for TLS */
    uv_signal_t signals[2];
    uv_timer_t expiry_timer;
    bool has_handles; /* signals and timer are initialised */
    struct worker_job expiry_job;
    atomic_bool is_expiring;
    uint64_t expiries; /* jobs that ran; the running one's */
    struct loop_task stop_task;
    struct server_task *loop_tasks; /* one a loop: for holding still, at last for the stop */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum server_phase phase;
    bool stop_wanted, stop_now;
    unsigned holding;  /* loops that hold still */
    uint64_t releases; /* counts up when they may go on */
};

/* Opens the store as configured; used by start and reload. */
enum status server_open_store(struct server *server, struct lsm_report *report);
/* service_host.reload. */
bool server_reload(void *server, struct lsm_report *report);

#endif
