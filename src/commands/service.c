/* SPDX-License-Identifier: MIT */
/* What sessions share. Lock order: a shard of waiters, clients_mutex, threads_mutex, errors_mutex
 * and rates_mutex are leaves; none is taken while another is held. The engine's write lock may be
 * held when a leaf is taken, never the other way round. serving_mutex stands between: it is taken
 * under the write lock, or alone. */
#include "commands/service.h"

#include "base/memory.h"
#include "commands/process_memory.h"
#include "commands/service_state.h"
#include "types/keyspace.h"

#include <assert.h>
#include <stdio.h>

enum {
    EXPIRE_KEYS_A_BATCH = 64,
    EXPIRE_FETCHES_MAX = 8, /* blocks read for one call of service_expire */
    RATE_INTERVAL_US = 1000000,
};

static atomic_ullong next_service_number = 1;

/* The calling thread's entry of the service that it used last. The number keeps a thread from
 * following the pointer into a service that is gone. */
static __thread struct {
    uint64_t service_number;
    struct service_thread *thread;
} cached;

/* Counters at the begin of the present interval, and the rates of the one before. */
struct service_rates {
    uint64_t began_us;
    uint64_t commands, input_bytes, output_bytes;
    double commands_per_second, input_bytes_per_second, output_bytes_per_second;
};

/* What RESETSTAT takes off the sums over threads. */
struct service_baseline {
    uint64_t commands, hits, misses;
    struct command_totals of[COMMANDS_MAX];
};

static void wake(void *context, void *owner)
{
    struct service *service = context;
    service->host.wake(service->host.context, owner);
}

struct service *service_create(const struct env *env, struct store *store, struct config *config,
                               const struct service_host *host)
{
    assert(command_table_size <= COMMANDS_MAX);
    struct service *service = memory_zeroed(1, sizeof *service);
    service->number = atomic_fetch_add(&next_service_number, 1);
    service->env = env;
    service->store = store;
    service->config = config;
    service->host = *host;
    service->started_ms = env_wall_ms(env);
    service->started_us = env_monotonic_us(env);
    struct process_memory memory;
    process_memory_read(&memory);
    service->startup_bytes = memory.resident_bytes;
    service->rates = memory_zeroed(1, sizeof *service->rates);
    service->rates->began_us = service->started_us;
    service->baseline = memory_zeroed(1, sizeof *service->baseline);
    atomic_init(&service->active_expire, true);
    atomic_init(&service->next_client_id, 1);
    uint8_t random[20];
    env->random_bytes(env->context, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(service->run_id + 2 * i, 3, "%02x", random[i]);
    waiters_init(&service->waiters, wake, service);
    waiters_init(&service->watchers, transaction_break, service);
    timing_init(&service->timing);
    pubsub_init(&service->pubsub);
    tracking_init(&service->tracking);
    atomic_init(&service->last_save_ms, service->started_ms);
    pthread_mutex_init(&service->threads_mutex, NULL);
    pthread_mutex_init(&service->serving_mutex, NULL);
    pthread_mutex_init(&service->clients_mutex, NULL);
    pthread_mutex_init(&service->errors_mutex, NULL);
    pthread_mutex_init(&service->rates_mutex, NULL);
    return service;
}

/* Destroys a thread's reader; no thread is inside. */
static void close_access(struct service_thread *thread)
{
    if (!thread->reader)
        return;
    assert(!thread->has_lock);
    access_release(&thread->access);
    memset(&thread->access, 0, sizeof thread->access);
    lsm_reader_destroy(thread->reader);
    thread->reader = NULL;
}

void service_destroy(struct service *service)
{
    if (!service)
        return;
    assert(!service->clients);
    while (service->threads) {
        struct service_thread *thread = service->threads;
        service->threads = thread->next;
        close_access(thread);
        if (thread->json)
            json_request_destroy(thread->json);
        buffer_release(&thread->ready);
        for (size_t i = 0; i < COMMANDS_MAX; i++)
            memory_free(atomic_load(&thread->histograms[i]));
        memory_free(atomic_load(&thread->iterations));
        memory_free(thread);
    }
    waiters_release(&service->waiters);
    waiters_release(&service->watchers);
    pubsub_release(&service->pubsub);
    tracking_release(&service->tracking);
    timing_release(&service->timing);
    pthread_mutex_destroy(&service->threads_mutex);
    pthread_mutex_destroy(&service->serving_mutex);
    pthread_mutex_destroy(&service->clients_mutex);
    pthread_mutex_destroy(&service->errors_mutex);
    pthread_mutex_destroy(&service->rates_mutex);
    memory_free(service->rates);
    memory_free(service->baseline);
    memory_free(service);
}

struct store *service_store(struct service *service)
{
    return service->store;
}

void service_set_store(struct service *service, struct store *store)
{
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next)
        close_access(thread);
    service->store = store;
    pthread_mutex_unlock(&service->threads_mutex);
}

struct config *service_config(struct service *service)
{
    return service->config;
}

struct service_stats *service_stats(struct service *service)
{
    return &service->stats;
}

void service_stop(struct service *service)
{
    atomic_store(&service->is_stopping, true);
}

/* ---- Threads
 * ------------------------------------------------------------------------------------- */

static struct service_thread *find_thread(struct service *service)
{
    pthread_t self = pthread_self();
    pthread_mutex_lock(&service->threads_mutex);
    struct service_thread *thread = service->threads;
    while (thread && !pthread_equal(thread->id, self))
        thread = thread->next;
    if (!thread) {
        assert(service->thread_count < SERVICE_THREADS_MAX);
        thread = memory_zeroed(1, sizeof *thread);
        thread->service = service;
        thread->id = self;
        thread->next = service->threads;
        service->threads = thread;
        service->thread_count++;
    }
    pthread_mutex_unlock(&service->threads_mutex);
    return thread;
}

struct service_thread *service_thread(struct service *service)
{
    if (cached.service_number != service->number) {
        cached.thread = find_thread(service);
        cached.service_number = service->number;
    }
    return cached.thread;
}

struct access *service_thread_access(struct service_thread *thread)
{
    if (!thread->reader) {
        thread->reader = lsm_reader_create(store_engine(thread->service->store));
        access_init(&thread->access, thread->service->store, thread->reader);
    }
    return &thread->access;
}

void service_thread_idle(struct service *service)
{
    struct service_thread *thread = service_thread(service);
    if (thread->reader)
        lsm_reader_idle(thread->reader);
}

/* ---- Iterations
 * ---------------------------------------------------------------------------------- */

void service_count_iteration(struct service *service, const struct iteration *iteration)
{
    struct service_thread *thread = service_thread(service);
    struct iteration_times *times = atomic_load_explicit(&thread->iterations, memory_order_relaxed);
    if (!times) {
        times = memory_zeroed(1, sizeof *times);
        atomic_store_explicit(&thread->iterations, times, memory_order_release);
    }
    unsigned resets = atomic_load_explicit(&service->iteration_resets, memory_order_relaxed);
    if (resets != atomic_load_explicit(&thread->iteration_resets, memory_order_relaxed)) {
        iteration_times_clear(times);
        atomic_store_explicit(&thread->iteration_resets, resets, memory_order_release);
    }
    iteration_times_add(times, iteration);
}

unsigned service_iterations(struct service *service, struct iteration_summary *all,
                            struct iteration_summary *loops, unsigned capacity)
{
    struct iteration_times *sum = memory_zeroed(1, sizeof *sum);
    unsigned resets = atomic_load_explicit(&service->iteration_resets, memory_order_relaxed);
    unsigned count = 0;
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next) {
        const struct iteration_times *times =
            atomic_load_explicit(&thread->iterations, memory_order_acquire);
        static const struct iteration_summary none;
        if (!times || count == capacity)
            continue;
        bool is_cleared =
            atomic_load_explicit(&thread->iteration_resets, memory_order_acquire) == resets;
        if (is_cleared) {
            iteration_times_summarize(times, &loops[count]);
            iteration_times_merge(sum, times);
        } else { /* what it holds is from before the reset */
            loops[count] = none;
        }
        count++;
    }
    pthread_mutex_unlock(&service->threads_mutex);
    iteration_times_summarize(sum, all);
    memory_free(sum);
    return count;
}

void service_release_buffer(struct service *service, struct buffer *buffer)
{
    if (buffer->capacity >= SERVICE_LARGE_BYTES && service->host.free_large) {
        service->host.free_large(service->host.context, buffer->data);
        buffer->data = NULL;
    }
    buffer_release(buffer);
}

/* ---- Expiry
 * -------------------------------------------------------------------------------------- */

static void signal_facts(struct waiters *waiters, const struct access *access)
{
    if (!waiters_any(waiters))
        return;
    if (access->facts_are_lost) {
        waiters_signal_all(waiters);
        return;
    }
    for (size_t i = 0; i < access->fact_count; i++) {
        const struct fact *fact = &access->facts[i];
        if (fact->class_letter == 'm')
            continue;
        waiters_signal(waiters, fact->database,
                       slice_make(access->fact_bytes.data + fact->key_offset, fact->key_size));
    }
}

void service_handle_facts(struct service *service, const struct access *access,
                          const struct session *writer, lsn_t lsn)
{
    service_notify(service, access, lsn);
    tracking_invalidate(service, access, writer, lsn);
    for (size_t i = 0; writer && i < access->fact_count; i++)
        if (access->facts[i].class_letter == 'x')
            atomic_fetch_add_explicit(&service->stats.expired_keys, 1, memory_order_relaxed);
    signal_facts(&service->waiters, access);
    signal_facts(&service->watchers, access);
}

/* One batch under the lock. */
static enum status expire_batch(struct service *service, struct access *access, bool *more)
{
    struct lsm *engine = store_engine(service->store);
    size_t expired = 0;
    lsm_lock(engine);
    enum status status =
        access_begin_write(access, 0, true, keyspace_expire_bytes(EXPIRE_KEYS_A_BATCH), true);
    if (status == STATUS_OK) {
        status = keyspace_expire_due(access, EXPIRE_KEYS_A_BATCH, &expired, more);
        lsn_t lsn = access_end(access);
        service_handle_facts(service, access, NULL, lsn);
    }
    lsm_unlock(engine);
    atomic_fetch_add_explicit(&service->stats.expired_keys, expired, memory_order_relaxed);
    return status;
}

bool service_expire(struct service *service)
{
    if (!service->store || !atomic_load(&service->active_expire))
        return false;
    struct access *access = service_thread_access(service_thread(service));
    bool more = false;
    for (unsigned fetches = 0; fetches < EXPIRE_FETCHES_MAX; fetches++) {
        enum status status = expire_batch(service, access, &more);
        if (status != STATUS_WOULD_BLOCK)
            return status == STATUS_OK && more;
        if (access_fetch_missing(access) != STATUS_OK)
            return false;
    }
    return true;
}

/* ---- Clients
 * ------------------------------------------------------------------------------------- */

void service_add_client(struct service *service, struct session *session)
{
    session->id = atomic_fetch_add(&service->next_client_id, 1);
    pthread_mutex_lock(&service->clients_mutex);
    session->previous = service->clients_last;
    if (session->previous)
        session->previous->next = session;
    else
        service->clients = session;
    service->clients_last = session;
    service->client_count++;
    pthread_mutex_unlock(&service->clients_mutex);
}

void service_remove_client(struct service *service, struct session *session)
{
    pthread_mutex_lock(&service->clients_mutex);
    if (session->previous)
        session->previous->next = session->next;
    else
        service->clients = session->next;
    if (session->next)
        session->next->previous = session->previous;
    else
        service->clients_last = session->previous;
    service->client_count--;
    pthread_mutex_unlock(&service->clients_mutex);
}

void service_each_client(struct service *service,
                         void (*each)(void *context, struct session *session), void *context)
{
    pthread_mutex_lock(&service->clients_mutex);
    for (struct session *session = service->clients; session; session = session->next)
        each(context, session);
    pthread_mutex_unlock(&service->clients_mutex);
}

/* ---- Statistics
 * ---------------------------------------------------------------------------------- */

/* `reply` begins with "-KIND "; what does not look like a kind counts as ERR. */
void service_count_error(struct service *service, struct slice reply)
{
    atomic_fetch_add_explicit(&service->stats.error_replies, 1, memory_order_relaxed);
    size_t size = 0;
    while (size + 1 < reply.size && size < ERROR_KIND_BYTES - 1 && reply.data[size + 1] > ' ')
        size++;
    struct slice kind = slice_make(reply.data + 1, size);
    pthread_mutex_lock(&service->errors_mutex);
    size_t i = 0;
    while (i < service->error_kind_count && !slice_equal(slice_from(service->errors[i].name), kind))
        i++;
    if (i == service->error_kind_count && i < ERROR_KINDS_MAX) {
        memcpy(service->errors[i].name, kind.data, size);
        service->errors[i].name[size] = '\0';
        service->error_kind_count++;
    }
    if (i < service->error_kind_count)
        service->errors[i].count++;
    pthread_mutex_unlock(&service->errors_mutex);
}

static uint64_t counter_value(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void sum_threads(struct service *service, struct service_totals *totals)
{
    *totals = (struct service_totals){0};
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next) {
        totals->commands += counter_value(&thread->commands);
        totals->hits += counter_value(&thread->hits);
        totals->misses += counter_value(&thread->misses);
    }
    pthread_mutex_unlock(&service->threads_mutex);
}

/* Begins a new interval when the present one is over. */
static void sample_rates(struct service *service, uint64_t commands)
{
    struct service_rates *rates = service->rates;
    uint64_t now_us = env_monotonic_us(service->env);
    if (now_us - rates->began_us < RATE_INTERVAL_US)
        return;
    double seconds = (double)(now_us - rates->began_us) / 1e6;
    uint64_t input = counter_value(&service->stats.net_input_bytes);
    uint64_t output = counter_value(&service->stats.net_output_bytes);
    rates->commands_per_second = (double)(commands - rates->commands) / seconds;
    rates->input_bytes_per_second = (double)(input - rates->input_bytes) / seconds;
    rates->output_bytes_per_second = (double)(output - rates->output_bytes) / seconds;
    rates->began_us = now_us;
    rates->commands = commands;
    rates->input_bytes = input;
    rates->output_bytes = output;
}

void service_totals(struct service *service, struct service_totals *totals)
{
    sum_threads(service, totals);
    pthread_mutex_lock(&service->rates_mutex);
    sample_rates(service, totals->commands);
    totals->commands_per_second = service->rates->commands_per_second;
    totals->input_bytes_per_second = service->rates->input_bytes_per_second;
    totals->output_bytes_per_second = service->rates->output_bytes_per_second;
    totals->commands -= service->baseline->commands;
    totals->hits -= service->baseline->hits;
    totals->misses -= service->baseline->misses;
    pthread_mutex_unlock(&service->rates_mutex);
}

static void sum_command(struct service *service, size_t index, struct command_totals *totals)
{
    *totals = (struct command_totals){0};
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next) {
        totals->calls += counter_value(&thread->calls[index]);
        totals->failed += counter_value(&thread->failed[index]);
        totals->rejected += counter_value(&thread->rejected[index]);
        totals->duration_us += counter_value(&thread->duration_us[index]);
    }
    pthread_mutex_unlock(&service->threads_mutex);
}

void service_command_totals(struct service *service, const struct command *command,
                            struct command_totals *totals)
{
    size_t index = (size_t)(command - command_table);
    const struct command_totals *before = &service->baseline->of[index];
    sum_command(service, index, totals);
    pthread_mutex_lock(&service->rates_mutex);
    totals->calls -= before->calls;
    totals->failed -= before->failed;
    totals->rejected -= before->rejected;
    totals->duration_us -= before->duration_us;
    pthread_mutex_unlock(&service->rates_mutex);
}

/* A thread that counts at this moment may keep a run of before. */
static void reset_histograms(struct service *service)
{
    pthread_mutex_lock(&service->threads_mutex);
    for (struct service_thread *thread = service->threads; thread; thread = thread->next)
        for (size_t i = 0; i < COMMANDS_MAX; i++) {
            struct timing_histogram *own = atomic_load(&thread->histograms[i]);
            for (unsigned bucket = 0; own && bucket < TIMING_BUCKETS; bucket++)
                atomic_store_explicit(&own->counts[bucket], 0, memory_order_relaxed);
        }
    pthread_mutex_unlock(&service->threads_mutex);
}

static void reset_baseline(struct service *service)
{
    struct service_baseline fresh;
    struct service_totals totals;
    sum_threads(service, &totals);
    fresh.commands = totals.commands;
    fresh.hits = totals.hits;
    fresh.misses = totals.misses;
    for (size_t i = 0; i < COMMANDS_MAX; i++)
        sum_command(service, i, &fresh.of[i]);
    pthread_mutex_lock(&service->rates_mutex);
    *service->baseline = fresh;
    service->rates->input_bytes = service->rates->output_bytes = 0;
    pthread_mutex_unlock(&service->rates_mutex);
}

void service_reset_stats(struct service *service)
{
    struct service_stats *stats = &service->stats;
    atomic_ullong *counters[] = {
        &stats->connections_received,
        &stats->connections_rejected,
        &stats->net_input_bytes,
        &stats->net_output_bytes,
        &stats->expired_keys,
        &stats->error_replies,
        &stats->json_requests,
        &stats->json_errors,
        &stats->evicted_clients,
        &stats->reads,
        &stats->writes,
        &stats->saves,
        &stats->rewrites,
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        atomic_store(counters[i], 0);
    reset_baseline(service);
    reset_histograms(service);
    atomic_fetch_add_explicit(&service->iteration_resets, 1, memory_order_relaxed);
    pthread_mutex_lock(&service->errors_mutex);
    service->error_kind_count = 0;
    pthread_mutex_unlock(&service->errors_mutex);
}
