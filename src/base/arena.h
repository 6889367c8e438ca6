/* SPDX-License-Identifier: MIT */
/* Bytes with a scope: allocated one after another, freed all at once. Nothing that is allocated is moved,
 * so a failure leaves all as it was. One thread allocates; other
 * threads may read what was published to them and read arena_bytes (atomic). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 8 };

struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *next;
    size_t left;
    size_t chunk_bytes;
    atomic_size_t bytes; /* taken from the heap, chunk heads included */
};

void arena_init(struct arena *arena, size_t chunk_bytes);
void arena_release(struct arena *arena);
/* NULL: there is no memory. */
void *arena_try_allocate(struct arena *arena, size_t size); /* ARENA_ALIGNMENT */
void *arena_try_copy(struct arena *arena, const void *data, size_t size);
size_t arena_bytes(const struct arena *arena);

#endif
