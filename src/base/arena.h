/* SPDX-License-Identifier: MIT */
/* Bytes with a scope: allocated one after another, freed all at once. Nothing that is allocated is moved,
 * so a failure leaves all as it was. One thread allocates; other
 * threads may read what was published to them and read arena_bytes (atomic). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 8 };

/* Chunks of one size that arenas of several threads take and give back. What is given back is kept for the
 * next, so that memory of one purpose is not scattered over a heap that others use: a heap can give
 * nothing back to the system that lies below something that lives.
 *
 * A pool for much memory takes a huge page at a time and divides it; one for little takes chunks from the
 * heap. Either is a region here, and comes and goes as a whole. */
struct arena_pool {
    pthread_mutex_t lock; /* guards what follows */
    struct arena_region *regions; /* with chunks that nobody has; their chunks know the others */
    size_t chunk_bytes, region_bytes, region_chunks, bytes_max;
    size_t bytes, kept_bytes; /* of all its regions, of chunks that nobody has */
};

/* So long as all its regions together have at most `bytes_max`, it keeps what is given back. */
void arena_pool_init(struct arena_pool *pool, size_t chunk_bytes, size_t bytes_max);
void arena_pool_release(struct arena_pool *pool); /* its arenas are released */
size_t arena_pool_kept_bytes(struct arena_pool *pool);

struct arena {
    struct arena_chunk *chunks; /* newest first */
    struct arena_pool *pool;    /* NULL: chunks come from the heap */
    uint8_t *next;
    size_t left;
    size_t chunk_bytes;
    atomic_size_t bytes; /* taken, chunk heads included */
};

void arena_init(struct arena *arena, size_t chunk_bytes);
void arena_init_pooled(struct arena *arena, struct arena_pool *pool); /* which outlives it */
void arena_release(struct arena *arena);
/* NULL: there is no memory. */
void *arena_try_allocate(struct arena *arena, size_t size); /* ARENA_ALIGNMENT */
void *arena_try_copy(struct arena *arena, const void *data, size_t size);
size_t arena_bytes(const struct arena *arena);

#endif
