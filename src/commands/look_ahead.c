/* SPDX-License-Identifier: MIT */
/* In a pipeline over many keys most of a command's time is waiting for memory: bucket, node and value
 * of a key that nobody has touched for a while, each address known only from the one before. The keys of the
 * next requests are known already, so these waits are made to overlap. */
#include "commands/service_state.h"
#include "types/keyspace.h"

enum { SAME_KEY_REQUESTS = 2 };

size_t session_look_ahead(struct session *session, struct service_thread *thread, struct slice rest)
{
    struct slice keys[KEYSPACE_PREFETCH_MAX];
    size_t count = 0, looked = 0;
    if (session->json || !session->service->store)
        return rest.size;
    for (size_t requests = 0; requests < KEYSPACE_PREFETCH_MAX; requests++) {
        struct slice key;
        size_t size;
        if (!resp_skim(slice_skip(rest, looked), &key, &size))
            break;
        looked += size;
        /* A hot key, as of one log or list, is in the processor's caches. */
        if (key.size > 0 && (count == 0 || !slice_equal(key, keys[count - 1])))
            keys[count++] = key;
        if (requests == SAME_KEY_REQUESTS && count <= 1)
            return rest.size; /* so are the keys behind it, probably */
    }
    if (count > 1)
        keyspace_prefetch(service_thread_access(thread),
                          atomic_load_explicit(&session->database, memory_order_relaxed),
                          thread->has_lock, keys, count);
    return looked > 0 ? looked : rest.size;
}
