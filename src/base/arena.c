/* SPDX-License-Identifier: MIT */
/* An arena is a list of chunks; allocation moves a pointer through the newest one. What is larger
 * than a quarter of a chunk gets a chunk of its own, so that the rest of the current one is not lost. */
#include "base/arena.h"

#include "base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* What a pool keeps must not be touched, and AddressSanitizer is to say so as of memory that is free. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(data, size) ((void)(data), (void)(size))
#endif

struct arena_chunk {
    struct arena_chunk *older; /* in an arena; in a pool, the next */
    size_t size;               /* of `bytes` */
    _Alignas(16) uint8_t bytes[];
};

enum { ARENA_CHUNK_BYTES_MIN = 256 };

/* ---- Pools ------------------------------------------------------------------------------------ */

void arena_pool_init(struct arena_pool *pool, size_t chunk_bytes, size_t bytes_max)
{
    assert(chunk_bytes >= ARENA_CHUNK_BYTES_MIN);
    *pool = (struct arena_pool){.chunk_bytes = chunk_bytes, .bytes_max = bytes_max};
    pthread_mutex_init(&pool->lock, NULL);
}

void arena_pool_release(struct arena_pool *pool)
{
    assert(pool->bytes == pool->kept_bytes);
    while (pool->kept) {
        struct arena_chunk *chunk = pool->kept;
        pool->kept = chunk->older;
        ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, pool->chunk_bytes);
        memory_free(chunk);
    }
    pthread_mutex_destroy(&pool->lock);
}

size_t arena_pool_kept_bytes(struct arena_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t bytes = pool->kept_bytes;
    pthread_mutex_unlock(&pool->lock);
    return bytes;
}

static struct arena_chunk *allocate_chunk(size_t size)
{
    struct arena_chunk *chunk = memory_try_allocate(sizeof *chunk + size);
    if (chunk)
        chunk->size = size;
    return chunk;
}

static struct arena_chunk *pool_take(struct arena_pool *pool)
{
    size_t bytes = sizeof(struct arena_chunk) + pool->chunk_bytes;
    pthread_mutex_lock(&pool->lock);
    struct arena_chunk *chunk = pool->kept;
    if (chunk) {
        pool->kept = chunk->older;
        pool->kept_bytes -= bytes;
    } else {
        pool->bytes += bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    if (chunk) {
        ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, pool->chunk_bytes);
        return chunk;
    }
    chunk = allocate_chunk(pool->chunk_bytes);
    if (!chunk) {
        pthread_mutex_lock(&pool->lock);
        pool->bytes -= bytes;
        pthread_mutex_unlock(&pool->lock);
    }
    return chunk;
}

static void pool_give(struct arena_pool *pool, struct arena_chunk *chunk)
{
    size_t bytes = sizeof *chunk + pool->chunk_bytes;
    pthread_mutex_lock(&pool->lock);
    bool is_kept = pool->bytes <= pool->bytes_max;
    if (is_kept) {
        ASAN_POISON_MEMORY_REGION(chunk->bytes, pool->chunk_bytes);
        chunk->older = pool->kept;
        pool->kept = chunk;
        pool->kept_bytes += bytes;
    } else {
        pool->bytes -= bytes;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!is_kept)
        memory_free(chunk);
}

/* ---- Arenas ----------------------------------------------------------------------------------- */

void arena_init(struct arena *arena, size_t chunk_bytes)
{
    *arena = (struct arena){0};
    arena->chunk_bytes = chunk_bytes < ARENA_CHUNK_BYTES_MIN ? ARENA_CHUNK_BYTES_MIN : chunk_bytes;
}

void arena_init_pooled(struct arena *arena, struct arena_pool *pool)
{
    arena_init(arena, pool->chunk_bytes);
    arena->pool = pool;
}

void arena_release(struct arena *arena)
{
    struct arena_pool *pool = arena->pool;
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *older = chunk->older;
        if (pool && chunk->size == pool->chunk_bytes)
            pool_give(pool, chunk);
        else
            memory_free(chunk);
        chunk = older;
    }
    arena_init(arena, arena->chunk_bytes);
    arena->pool = pool;
}

/* NULL: there is no memory. */
static struct arena_chunk *arena_add_chunk(struct arena *arena, size_t size)
{
    bool is_pooled = arena->pool && size == arena->chunk_bytes;
    struct arena_chunk *chunk = is_pooled ? pool_take(arena->pool) : allocate_chunk(size);
    if (!chunk)
        return NULL;
    chunk->older = arena->chunks;
    arena->chunks = chunk;
    atomic_fetch_add_explicit(&arena->bytes, sizeof *chunk + size, memory_order_relaxed);
    return chunk;
}

static void *arena_allocate_slowly(struct arena *arena, size_t size)
{
    bool is_large = size > arena->chunk_bytes / 4;
    struct arena_chunk *chunk = arena_add_chunk(arena, is_large ? size : arena->chunk_bytes);
    if (!chunk || is_large)
        return chunk ? chunk->bytes : NULL;
    arena->next = chunk->bytes + size;
    arena->left = arena->chunk_bytes - size;
    return chunk->bytes;
}

void *arena_try_allocate(struct arena *arena, size_t size)
{
    assert(arena->chunk_bytes);
    assert(size <= SIZE_MAX / 2);
    size = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (size > arena->left)
        return arena_allocate_slowly(arena, size);
    void *block = arena->next;
    arena->next += size;
    arena->left -= size;
    return block;
}

void *arena_try_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_try_allocate(arena, size);
    if (size && copy)
        memcpy(copy, data, size);
    return copy;
}

size_t arena_bytes(const struct arena *arena)
{
    return atomic_load_explicit(&arena->bytes, memory_order_relaxed);
}
