/* SPDX-License-Identifier: MIT */
/* What clients make the server keep: requests that are not complete or wait, replies that were not
 * taken. Every session counts its own; small ones as nothing, so that the common case touches no
 * shared counter. When all together hold more than maxmemory-clients, the host is told to close the
 * largest. maxmemory bounds that and what the engine is given; beyond, nothing is added. */
#include "commands/service_state.h"
#include "commands/serving.h"

enum { COUNTED_BYTES_MIN = 16 * 1024 };

/* A reply that is built is counted in steps. */
enum { BUILDING_STEP_BYTES = 1 << 20 };

static size_t held_by(const struct session *session)
{
    return atomic_load_explicit(&session->memory_bytes, memory_order_relaxed) +
           atomic_load_explicit(&session->building_bytes, memory_order_relaxed);
}

static struct session *largest_client(const struct service *service)
{
    struct session *largest = NULL;
    for (struct session *session = service->clients; session; session = session->next)
        if (!atomic_load_explicit(&session->is_evicted, memory_order_relaxed) &&
            !atomic_load_explicit(&session->is_kept, memory_order_relaxed) &&
            (!largest || held_by(session) > held_by(largest)))
            largest = session;
    return largest;
}

/* What it holds is taken from client_bytes at once. It may change a counter of its own at this
 * moment, or later: client_memory_forget makes up for the difference. */
static void evict(struct service *service, struct session *session)
{
    env_log(service->env, LOG_NOTICE,
            "Evicting client id=%llu addr=%s, which holds %zu of %zu bytes (maxmemory-clients)",
            (unsigned long long)session->id, session->address, held_by(session),
            atomic_load(&service->client_bytes));
    atomic_store(&session->is_evicted, true);
    (void)session_tell(session, WAITING_KILLED); /* from now on nothing is taken for it */
    session->evicted_bytes = held_by(session);
    atomic_fetch_sub(&service->client_bytes, session->evicted_bytes);
    atomic_fetch_add(&service->evicted_bytes, session->evicted_bytes);
    atomic_fetch_add_explicit(&service->stats.evicted_clients, 1, memory_order_relaxed);
    service->host.evict(service->host.context, session->owner);
}

static size_t limit_of(struct service *service)
{
    return service->host.evict ? (size_t)config_integer(service->config, CONFIG_maxmemory_clients)
                               : 0;
}

static void evict_largest(struct service *service, size_t limit)
{
    struct session *largest;
    pthread_mutex_lock(&service->clients_mutex);
    while (atomic_load(&service->client_bytes) > limit && (largest = largest_client(service)) &&
           held_by(largest) > 0)
        evict(service, largest);
    pthread_mutex_unlock(&service->clients_mutex);
}

static void change(struct session *session, atomic_size_t *counter, size_t bytes)
{
    struct service *service = session->service;
    size_t before = atomic_load_explicit(counter, memory_order_relaxed);
    if (bytes < COUNTED_BYTES_MIN)
        bytes = 0;
    if (bytes == before || atomic_load(&session->is_evicted))
        return;
    atomic_store_explicit(counter, bytes, memory_order_relaxed);
    size_t all = atomic_fetch_add(&service->client_bytes, bytes - before) + bytes - before;
    size_t limit = limit_of(service);
    if (bytes > before && limit > 0 && all > limit)
        evict_largest(service, limit);
}

void client_memory_count(struct session *session)
{
    change(session, &session->memory_bytes,
           session->input.size + session->held.size + session->output.size + session->unsent_bytes +
               session->transaction.bytes +
               session->request.capacity * sizeof(*session->request.arguments));
}

bool client_memory_build(struct session *session, size_t bytes)
{
    struct service *service = session->service;
    size_t before = atomic_load_explicit(&session->building_bytes, memory_order_relaxed);
    if (bytes < before || bytes - before >= BUILDING_STEP_BYTES)
        change(session, &session->building_bytes, bytes);
    size_t limit = limit_of(service);
    bool is_room = limit == 0 || bytes == 0 || atomic_load(&service->evicted_bytes) <= limit;
    return is_room && !atomic_load(&session->is_evicted);
}

uint64_t service_memory_bytes(const struct service *service)
{
    const struct config *config = service->config;
    return (uint64_t)config_integer(config, CONFIG_memtable_size) +
           (uint64_t)config_integer(config, CONFIG_block_cache_size) +
           atomic_load_explicit(&service->client_bytes, memory_order_relaxed) +
           atomic_load_explicit(&service->evicted_bytes, memory_order_relaxed);
}

bool service_is_out_of_memory(const struct service *service)
{
    uint64_t maximum = (uint64_t)config_integer(service->config, CONFIG_maxmemory);
    return maximum > 0 && service_memory_bytes(service) > maximum;
}

void service_warn_of_memory(const struct service *service)
{
    if (service_is_out_of_memory(service))
        env_log(service->env, LOG_WARNING,
                "maxmemory is %lld bytes, memtable-size, block-cache-size and clients have %llu: "
                "commands that add data are refused (OOM)",
                (long long)config_integer(service->config, CONFIG_maxmemory),
                (unsigned long long)service_memory_bytes(service));
}

void client_memory_forget(struct session *session)
{
    /* Nobody evicts it any more: it is in no list. */
    struct service *service = session->service;
    atomic_fetch_sub(&service->client_bytes, held_by(session) - session->evicted_bytes);
    atomic_fetch_sub(&service->evicted_bytes, session->evicted_bytes);
}
