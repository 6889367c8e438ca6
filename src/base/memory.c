/* SPDX-License-Identifier: MIT */
/* malloc and friends that never return NULL. A size of 0 gives a block that may be freed. */
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory_check(void *block, size_t size)
{
    if (!block) {
        fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return block;
}

void *memory_allocate(size_t size)
{
    return memory_check(malloc(size ? size : 1), size);
}

void *memory_zeroed(size_t count, size_t size)
{
    return memory_check(calloc(count ? count : 1, size ? size : 1), size);
}

void *memory_resize(void *block, size_t size)
{
    return memory_check(realloc(block, size ? size : 1), size);
}

void *memory_copy(const void *data, size_t size)
{
    void *copy = memory_allocate(size);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

void memory_free(void *block)
{
    free(block);
}
