/* SPDX-License-Identifier: MIT */
/* What all sessions of a server share: the store, the configuration, counters, the client list, the
 * blocked waiters, and a few things only the host can do. */
#ifndef COMMANDS_SERVICE_H
#define COMMANDS_SERVICE_H

#include "commands/config.h"
#include "commands/iteration_times.h"
#include "commands/session.h"
#include "types/store.h"

#include <stdatomic.h>

enum { SERVICE_LARGE_BYTES = 1 << 20 };

/* Given by the host. All may be called from any thread; none may call back into the service. */
struct service_host {
    /* A BLOCKED session can go on: call session_resume on its loop, soon. Wakes may be spurious and
     * may come for a session that is not blocked any more. `owner` as in session_options. */
    void (*wake)(void *context, void *owner);
    /* Messages have come for the session: call session_deliver on its loop, soon. NULL: the host calls it anyway. */
    void (*deliver)(void *context, void *owner);
    void (*shutdown)(void *context, bool now); /* SHUTDOWN: stop cleanly; the reply never comes */
    void (*disconnect)(void *context, void *owner); /* close it after its output */
    void (*evict)(void *context,
                  void *owner); /* close it at once; NULL: clients are never evicted */
    /* DEBUG RELOAD: all loops hold still, the store is closed and opened again. false: failed, with a
     * text. Called while the session that asked is PARKED (from session_work). */
    bool (*reload)(void *context, struct lsm_report *report);
    /* Frees `memory` (memory_free), SERVICE_LARGE_BYTES or more, on a thread that may be held up: the
     * system takes 0.2 ms a mebibyte. NULL: it is freed at once. */
    void (*free_large)(void *context, void *memory);
    /* A call that executes a session's requests gives way about so many milliseconds after its begin,
     * behind the request that runs then; 0: never. See session_has_given_way. */
    unsigned turn_ms_max;
    /* After CONFIG SET, so that the host may take over what it keeps elsewhere. */
    void (*config_changed)(void *context, const char *name);
    void *context;
};

struct service_stats { /* counters since start; INFO shows them */
    atomic_ullong connections_received, connections_rejected; /* counted by the host */
    atomic_ullong net_input_bytes, net_output_bytes;
    atomic_ullong reads, writes;   /* of connections: how often bytes came in, and went out */
    atomic_ullong saves, rewrites; /* SAVE and BGSAVE, BGREWRITEAOF */
    atomic_ullong expired_keys, error_replies;
    atomic_ullong json_requests, json_errors;
    atomic_ullong evicted_clients;
};

struct service *service_create(const struct env *env, struct store *store, struct config *config,
                               const struct service_host *host);
void service_destroy(struct service *service);
/* Logs it if maxmemory leaves no room for anything. */
void service_warn_of_memory(const struct service *service);
struct store *service_store(struct service *service);
/* For reload, while no session runs on any other thread: NULL lets go of the old store (all threads'
 * readers are destroyed) so that it can be closed, then the new one. */
void service_set_store(struct service *service, struct store *store);
struct config *service_config(struct service *service);
struct service_stats *service_stats(struct service *service);
/* The server is about to stop: requests that may take minutes end with an error soon. Any thread. */
void service_stop(struct service *service);
/* Active expiry: deletes some due keys; true: more are due now. Called by the host every tenth of a
 * second or so, and again at once while it says true; not on a loop, since it may wait for the disk
 * and for the write lock. */
bool service_expire(struct service *service);
/* By a host's event loop, on its own thread, behind each of its iterations: INFO shows them. */
void service_count_iteration(struct service *service, const struct iteration *iteration);

enum { SERVICE_THREADS_MAX = 224 }; /* threads that ever run sessions of one service */

/* Lets go of what the calling thread's reader keeps from its last command (old memtables and tables
 * could not be freed otherwise). A loop calls it from a timer of a tenth of a second or so, a worker
 * before it waits for work. */
void service_thread_idle(struct service *service);

#endif
