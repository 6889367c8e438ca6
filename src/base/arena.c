/* SPDX-License-Identifier: MIT */
/* An arena is a list of chunks; allocation moves a pointer through the newest one. What is larger
 * than a quarter of a chunk gets a chunk of its own, so that the rest of the current one is not lost. */
#include "base/arena.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *older;
    _Alignas(16) uint8_t bytes[];
};

enum { ARENA_CHUNK_BYTES_MIN = 256 };

void arena_init(struct arena *arena, size_t chunk_bytes)
{
    *arena = (struct arena){0};
    arena->chunk_bytes =
        chunk_bytes < ARENA_CHUNK_BYTES_MIN ? ARENA_CHUNK_BYTES_MIN : chunk_bytes;
}

void arena_release(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    while (chunk) {
        struct arena_chunk *older = chunk->older;
        memory_free(chunk);
        chunk = older;
    }
    arena_init(arena, arena->chunk_bytes);
}

/* NULL: there is no memory. */
static struct arena_chunk *arena_add_chunk(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = memory_try_allocate(sizeof *chunk + size);
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
