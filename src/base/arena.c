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
    struct arena_chunk *older;   /* in an arena; in a region, the next */
    struct arena_region *region; /* NULL: it is no pool's */
    size_t size;                 /* of `bytes` */
    _Alignas(16) uint8_t bytes[];
};

struct arena_region {
    struct arena_region *next, *previous; /* in the pool's list */
    struct arena_chunk *kept;             /* that nobody has */
    size_t kept_count;
    _Alignas(16) uint8_t bytes[]; /* its chunks, one behind the other */
};

enum {
    ARENA_CHUNK_BYTES_MIN = 256,
    ARENA_HUGE_REGIONS_MIN = 32, /* a pool of fewer would notice one that it has for a few chunks */
};

/* ---- Pools ------------------------------------------------------------------------------------ */

static size_t chunk_stride(const struct arena_pool *pool)
{
    return sizeof(struct arena_chunk) + pool->chunk_bytes;
}

static bool is_huge(const struct arena_pool *pool)
{
    return pool->region_chunks > 1;
}

void arena_pool_init(struct arena_pool *pool, size_t chunk_bytes, size_t bytes_max)
{
    assert(chunk_bytes >= ARENA_CHUNK_BYTES_MIN);
    *pool = (struct arena_pool){.chunk_bytes = chunk_bytes, .bytes_max = bytes_max};
    pthread_mutex_init(&pool->lock, NULL);
    const size_t room = MEMORY_HUGE_BYTES - sizeof(struct arena_region);
    if (bytes_max >= (size_t)ARENA_HUGE_REGIONS_MIN * MEMORY_HUGE_BYTES &&
        chunk_bytes <= MEMORY_HUGE_BYTES / 4) {
        pool->region_bytes = MEMORY_HUGE_BYTES;
        pool->region_chunks = MEMORY_HUGE_BYTES / chunk_bytes;
        pool->chunk_bytes = (room / pool->region_chunks - sizeof(struct arena_chunk)) / 16 * 16;
    } else {
        pool->region_bytes = sizeof(struct arena_region) + chunk_stride(pool);
        pool->region_chunks = 1;
    }
}

static void region_list(struct arena_pool *pool, struct arena_region *region)
{
    region->previous = NULL;
    region->next = pool->regions;
    if (region->next)
        region->next->previous = region;
    pool->regions = region;
}

static void region_unlist(struct arena_pool *pool, struct arena_region *region)
{
    *(region->previous ? &region->previous->next : &pool->regions) = region->next;
    if (region->next)
        region->next->previous = region->previous;
}

static void region_keep(struct arena_pool *pool, struct arena_region *region,
                        struct arena_chunk *chunk)
{
    ASAN_POISON_MEMORY_REGION(chunk->bytes, pool->chunk_bytes);
    chunk->older = region->kept;
    region->kept = chunk;
    region->kept_count++;
    pool->kept_bytes += chunk_stride(pool);
}

/* A listed region with all of its chunks. NULL: there is no memory. */
static struct arena_region *region_create(struct arena_pool *pool)
{
    struct arena_region *region = is_huge(pool) ? memory_try_map(pool->region_bytes)
                                                : memory_try_allocate(pool->region_bytes);
    if (!region)
        return NULL;
    *region = (struct arena_region){0};
    for (size_t i = pool->region_chunks; i-- > 0;) {
        struct arena_chunk *chunk = (void *)(region->bytes + i * chunk_stride(pool));
        *chunk = (struct arena_chunk){.region = region, .size = pool->chunk_bytes};
        region_keep(pool, region, chunk);
    }
    pool->bytes += pool->region_bytes;
    region_list(pool, region);
    return region;
}

/* A listed region of which nobody has a chunk. */
static void region_destroy(struct arena_pool *pool, struct arena_region *region)
{
    assert(region->kept_count == pool->region_chunks);
    region_unlist(pool, region);
    pool->bytes -= pool->region_bytes;
    pool->kept_bytes -= pool->region_chunks * chunk_stride(pool);
    ASAN_UNPOISON_MEMORY_REGION(region, pool->region_bytes);
    if (is_huge(pool))
        memory_unmap(region, pool->region_bytes);
    else
        memory_free(region);
}

void arena_pool_release(struct arena_pool *pool)
{
    while (pool->regions)
        region_destroy(pool, pool->regions);
    assert(pool->bytes == 0);
    pthread_mutex_destroy(&pool->lock);
}

size_t arena_pool_kept_bytes(struct arena_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t bytes = pool->kept_bytes;
    pthread_mutex_unlock(&pool->lock);
    return bytes;
}

static struct arena_chunk *pool_take(struct arena_pool *pool)
{
    struct arena_chunk *chunk = NULL;
    pthread_mutex_lock(&pool->lock);
    struct arena_region *region = pool->regions ? pool->regions : region_create(pool);
    if (region) {
        chunk = region->kept;
        region->kept = chunk->older;
        pool->kept_bytes -= chunk_stride(pool);
        if (--region->kept_count == 0)
            region_unlist(pool, region);
        ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, pool->chunk_bytes);
    }
    pthread_mutex_unlock(&pool->lock);
    return chunk;
}

static void pool_give(struct arena_pool *pool, struct arena_chunk *chunk)
{
    struct arena_region *region = chunk->region;
    pthread_mutex_lock(&pool->lock);
    if (region->kept_count == 0)
        region_list(pool, region);
    region_keep(pool, region, chunk);
    if (region->kept_count == pool->region_chunks && pool->bytes > pool->bytes_max)
        region_destroy(pool, region);
    pthread_mutex_unlock(&pool->lock);
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
        if (chunk->region)
            pool_give(pool, chunk);
        else
            memory_free(chunk);
        chunk = older;
    }
    arena_init(arena, arena->chunk_bytes);
    arena->pool = pool;
}

static struct arena_chunk *allocate_chunk(size_t size)
{
    struct arena_chunk *chunk = memory_try_allocate(sizeof *chunk + size);
    if (chunk)
        *chunk = (struct arena_chunk){.size = size};
    return chunk;
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
