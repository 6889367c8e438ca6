/* SPDX-License-Identifier: MIT */
/* What clients make the server keep: requests that are not complete or wait, replies that were not taken.
 * Every session counts its own; small ones as nothing, so that the common case touches no shared counter.
 * When all together hold more than maxmemory-clients, the host is told to close the largest. */
#include "commands/service_state.h"

enum { COUNTED_BYTES_MIN = 16 * 1024 };

static size_t held_by(const struct session *session)
{
    return atomic_load_explicit(&session->memory_bytes, memory_order_relaxed) +
           atomic_load_explicit(&session->building_bytes, memory_order_relaxed);
}

/* The largest that is not on its way out; *bytes: what all such hold. Under the clients mutex. */
static struct session *largest_client(const struct service *service, size_t *bytes)
{
    struct session *largest = NULL;
    *bytes = 0;
    for (struct session *session = service->clients; session; session = session->next) {
        if (atomic_load_explicit(&session->is_evicted, memory_order_relaxed))
            continue;
        *bytes += held_by(session);
        if (!largest || held_by(session) > held_by(largest))
            largest = session;
    }
    return largest;
}

static void evict_largest(struct service *service, size_t limit)
{
    size_t bytes;
    struct session *largest;
    pthread_mutex_lock(&service->clients_mutex);
    while ((largest = largest_client(service, &bytes)) && bytes > limit && held_by(largest) > 0) {
        env_log(service->env, LOG_NOTICE,
                "Evicting client id=%llu addr=%s, which holds %zu of %zu bytes (maxmemory-clients)",
                (unsigned long long)largest->id, largest->address, held_by(largest), bytes);
        atomic_store(&largest->is_evicted, true);
        atomic_fetch_add_explicit(&service->stats.evicted_clients, 1, memory_order_relaxed);
        service->host.evict(service->host.context, largest->owner);
    }
    pthread_mutex_unlock(&service->clients_mutex);
}

static void change(struct session *session, atomic_size_t *counter, size_t bytes)
{
    struct service *service = session->service;
    size_t before = atomic_load_explicit(counter, memory_order_relaxed);
    if (bytes < COUNTED_BYTES_MIN)
        bytes = 0;
    if (bytes == before)
        return;
    atomic_store_explicit(counter, bytes, memory_order_relaxed);
    size_t all = atomic_fetch_add(&service->client_bytes, bytes - before) + bytes - before;
    if (bytes < before || !service->host.evict)
        return;
    size_t limit = (size_t)config_integer(service->config, CONFIG_maxmemory_clients);
    if (limit > 0 && all > limit)
        evict_largest(service, limit);
}

void client_memory_count(struct session *session)
{
    change(session, &session->memory_bytes,
           session->input.size + session->held.size + session->output.size + session->unsent_bytes +
               session->request.capacity * sizeof(*session->request.arguments));
}

void client_memory_build(struct session *session, size_t bytes)
{
    change(session, &session->building_bytes, bytes);
}

void client_memory_forget(struct session *session)
{
    change(session, &session->memory_bytes, 0);
    change(session, &session->building_bytes, 0);
}
