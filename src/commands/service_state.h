/* SPDX-License-Identifier: MIT */
/* What a service consists of; for src/commands alone. */
#ifndef COMMANDS_SERVICE_STATE_H
#define COMMANDS_SERVICE_STATE_H

#include "commands/command.h"
#include "commands/json_request.h"
#include "commands/notify.h"
#include "commands/session_state.h"
#include "commands/stream_pages.h"
#include "commands/timing.h"
#include "commands/waiters.h"

#include <pthread.h>

enum {
    COMMANDS_MAX = 256,    /* lines of commands.def */
    ERROR_KINDS_MAX = 128, /* kinds of errorstats that are told apart */
    ERROR_KIND_BYTES = 24,
    LOCK_COMMANDS_MAX = 64, /* pipelined writes that share one taking of the write lock */
    LOCK_TIME_US_MAX = 200,
    LOCK_WAIT_US_MAX = 1000, /* no loop waits longer */
    FETCHES_MAX = 64,        /* of a write's missing blocks, before it waits under the lock */
};

/* What one thread needs to run commands: the engine allows few readers, so they belong to threads
 * and not to sessions. Made at the thread's first call, kept until the service ends. All but the
 * counters is touched by the thread alone. */
struct service_thread {
    struct service_thread *next; /* guarded by service->threads_mutex */
    struct service *service;
    pthread_t id;
    struct lsm_reader *reader; /* NULL: no store, or not used since it was set */
    struct access access;
    struct json_request *json; /* NULL until the first JSON line */

    bool has_lock; /* the engine's write lock is held, for the pipelined writes of one feed */
    struct session *batch_session; /* whose writes the open batch has, NULL: none is open (write_batch.h) */
    unsigned lock_commands;
    uint64_t lock_began_us;
    /* Both clocks when this feed began, and the monotonic one when its last request ended (0: there is no feed).
     * What the wall clock shows follows from them: one look a request instead of two. */
    uint64_t feed_ms, feed_us, clock_us;

    /* Written by the thread, read by INFO. */
    atomic_ullong commands, hits, misses;
    atomic_ullong calls[COMMANDS_MAX], failed[COMMANDS_MAX], rejected[COMMANDS_MAX];
    atomic_ullong duration_us[COMMANDS_MAX];
    _Atomic(struct timing_histogram *) histograms[COMMANDS_MAX];
    _Atomic(struct iteration_times *) iterations; /* NULL: not a loop's thread */
    struct buffer ready; /* { varint database, sized key } whose line is to be served; may fail */
    uint32_t pages_passed[STREAM_PAGES_PASSED]; /* stream_pages.c: hashes; 0: none */
    atomic_uint iteration_resets; /* up to which `iterations` was cleared; the service counts */
};

struct error_kind {
    char name[ERROR_KIND_BYTES]; /* "ERR", "WRONGTYPE" */
    uint64_t count;
};

struct service {
    uint64_t number; /* of all services of the process; never reused */
    const struct env *env;
    struct store *store;
    struct config *config;
    struct service_host host;
    struct service_stats stats;
    struct waiters waiters;
    pthread_mutex_t serving_mutex; /* held while a session is SERVING (serving.h) */
    struct timing timing;
    struct pubsub pubsub;
    struct tracking tracking;
    atomic_ullong pause_until_us; /* CLIENT PAUSE; monotonic, 0: none */
    atomic_bool pause_is_total;   /* not only of writes */
    atomic_ullong last_save_ms;
    struct waiters watchers; /* of WATCH; touched under the write lock, transaction.h */
    uint64_t started_ms, started_us;
    uint64_t startup_bytes; /* resident when it was created */
    char run_id[41];
    atomic_bool active_expire;
    atomic_bool is_stopping;

    pthread_mutex_t threads_mutex; /* guards the list */
    struct service_thread *threads;
    unsigned thread_count;

    pthread_mutex_t clients_mutex; /* guards the list and the sessions' names */
    struct session *clients;       /* oldest first */
    struct session *clients_last;
    size_t client_count;
    atomic_ullong next_client_id;
    atomic_size_t client_bytes;  /* what all sessions keep but the evicted; client_memory.c */
    atomic_size_t evicted_bytes; /* what the evicted ones keep until they are closed */

    pthread_mutex_t errors_mutex;
    struct error_kind errors[ERROR_KINDS_MAX];
    size_t error_kind_count;

    pthread_mutex_t rates_mutex; /* guards the samples, see service_expire */
    struct service_rates *rates;
    struct service_baseline *baseline; /* guarded by rates_mutex */
    atomic_uint iteration_resets;      /* each loop clears its own times when it sees a new one */
};

/* Sums over threads, and rates of the last second or so. */
struct service_totals {
    uint64_t commands, hits, misses;
    double commands_per_second, input_bytes_per_second, output_bytes_per_second;
};

/* ---- client_memory.c ----------------------------------------------------------------------------- */

/* On the session's loop, after whatever it keeps has changed. May evict. */
void client_memory_count(struct session *session);
/* On the thread that builds a reply: it has so many bytes. May evict. false: there is no room for
 * it, since those who were evicted are not closed yet, or this client is one of them. */
bool client_memory_build(struct session *session, size_t bytes);
void client_memory_forget(struct session *session); /* at its end */
/* What maxmemory is about: memtables and block cache in full, and what clients hold. */
uint64_t service_memory_bytes(const struct service *service);
bool service_is_out_of_memory(const struct service *service);

/* Whether a reply may have so many bytes; if not, the context and the session know it. */
bool command_reply_fits(struct command_context *c, size_t bytes);

struct service_thread *service_thread(struct service *service); /* the calling thread's */
/* Its access, with a reader of the present store. */
struct access *service_thread_access(struct service_thread *thread);
/* Ends the batch that pipelined writes share, and lets the lock go; no-op without the lock (write_batch.h). */
void service_thread_unlock(struct service_thread *thread);

/* ---- monitor.c -------------------------------------------------------------------------------------- */

void monitor_feed(const struct command_context *c); /* shows the request to who watches */

/* ---- look_ahead.c ----------------------------------------------------------------------------------- */

/* Tells the store which keys the requests at the start of `rest` will find; returns how many bytes these
 * requests have. */
size_t session_look_ahead(struct session *session, struct service_thread *thread,
                          struct slice rest);
/* As buffer_release. A large one is left to the host: to give its memory back would hold up a loop. */
void service_release_buffer(struct service *service, struct buffer *buffer);

void service_add_client(struct service *service, struct session *session);
void service_remove_client(struct service *service, struct session *session);
/* Under the clients mutex, oldest first. */
void service_each_client(struct service *service,
                         void (*each)(void *context, struct session *session), void *context);
/* After a batch: notifications, invalidations, and wakes for who waits for what it touched. `writer` NULL:
 * active expiry, which counts its keys itself. */
void service_handle_facts(struct service *service, const struct access *access,
                          const struct session *writer, lsn_t lsn);
void service_count_error(struct service *service, struct slice reply);
void service_totals(struct service *service, struct service_totals *totals);
struct command_totals {
    uint64_t calls, failed, rejected, duration_us;
};
void service_command_totals(struct service *service, const struct command *command,
                            struct command_totals *totals);
/* All loops together, and each of them: in the order in which they began, at most `capacity` of *loops;
 * returns how many. */
unsigned service_iterations(struct service *service, struct iteration_summary *all,
                            struct iteration_summary *loops, unsigned capacity);
void service_reset_stats(struct service *service);

/* A counter with one writing thread. */
static inline void counter_add(atomic_ullong *counter, uint64_t count)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

#endif
