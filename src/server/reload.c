/* SPDX-License-Identifier: MIT */
/* DEBUG RELOAD: the store is closed and opened again under the feet of everybody. On a worker thread:
 *
 *   1. other workers finish their jobs, none begins          workers_hold
 *   2. every loop enters hold_still                          nobody calls the service any more
 *   3. the log thread and the runner leave the engine        gate_pause, runner_stop
 *   4. readers go, the store closes, opens, and back up      service_set_store ... */
#include "server/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void hold_still(struct loop_task *task, unsigned events)
{
    (void)events;
    struct server *server = LINK_OWNER(task, struct server_task, task)->server;
    pthread_mutex_lock(&server->lock);
    uint64_t before = server->releases;
    server->holding++;
    pthread_cond_broadcast(&server->changed);
    while (server->releases == before)
        pthread_cond_wait(&server->changed, &server->lock);
    server->holding--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static void hold_loops(struct server *server)
{
    assert(server->holding == 0);
    for (unsigned i = 0; i < server->loop_count; i++) {
        server->loop_tasks[i].task.run = hold_still;
        loop_post(&server->loops[i], &server->loop_tasks[i].task, 0);
    }
    pthread_mutex_lock(&server->lock);
    while (server->holding < server->loop_count)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

/* Returns when all have gone on: the next reload must not count one that is about to. */
static void release_loops(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->releases++;
    pthread_cond_broadcast(&server->changed);
    while (server->holding > 0)
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
}

static bool begin(struct server *server, struct lsm_report *report)
{
    pthread_mutex_lock(&server->lock);
    bool may = server->phase == SERVER_RUNNING && !gate_has_failed(server->gate);
    if (may)
        server->phase = SERVER_RELOADING;
    else
        snprintf(report->text, sizeof(report->text), "%s",
                 server->phase == SERVER_RUNNING ? "a write to the log has failed; restart the server"
                                                 : "the server is stopping or reloading already");
    pthread_mutex_unlock(&server->lock);
    return may;
}

static void end(struct server *server)
{
    pthread_mutex_lock(&server->lock);
    server->phase = SERVER_RUNNING;
    bool stop_wanted = server->stop_wanted, now = server->stop_now;
    pthread_mutex_unlock(&server->lock);
    if (stop_wanted)
        server_stop(server, now);
}

static bool reopen(struct server *server, struct lsm_report *report)
{
    service_set_store(server->service, NULL);
    enum status status = store_close(server->store);
    server->store = NULL;
    if (status == STATUS_OK)
        status = server_open_store(server, report);
    else
        snprintf(report->text, sizeof(report->text), "closing failed: %s", status_text(status));
    if (status != STATUS_OK)
        return false;
    service_set_store(server->service, server->store);
    gate_resume(server->gate, store_engine(server->store));
    return runner_start(server->runner, store_engine(server->store)) == STATUS_OK;
}

bool server_reload(void *context, struct lsm_report *report)
{
    struct server *server = context;
    if (!begin(server, report))
        return false;
    workers_hold(server->workers);
    hold_loops(server);
    gate_pause(server->gate);
    runner_stop(server->runner);
    if (!reopen(server, report)) {
        /* Without a store there is nothing left that a server could do. */
        env_log(server->env, LOG_WARNING, "The store could not be opened again: %s", report->text);
        exit(1);
    }
    release_loops(server);
    workers_release(server->workers);
    end(server);
    return true;
}
