/* SPDX-License-Identifier: MIT */
/* Bytes with a scope: allocated one after another, freed all at once. One thread allocates; other
 * threads may read what was published to them and read arena_bytes (atomic). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *next;
    size_t left;
    size_t chunk_bytes;
    atomic_size_t bytes; /* taken from the heap, chunk heads included */
};

void arena_init(struct arena *arena, size_t chunk_bytes);
void arena_release(struct arena *arena);
void *arena_allocate(struct arena *arena, size_t size);         /* 8-byte aligned */
void *arena_copy(struct arena *arena, const void *data, size_t size);
size_t arena_bytes(const struct arena *arena);

#endif
