/* SPDX-License-Identifier: MIT */
/* malloc and friends that never return NULL. A size of 0 gives a block that may be freed. */
#include "base/memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* glibc's malloc keeps so small ones for each thread; its calloc goes past them. */
enum { SMALL_BYTES = 1024 };

static _Atomic uint64_t try_count, failed_try_count;
static _Atomic uint64_t fail_at; /* the value of try_count that fails; 0: none does */
static atomic_bool fail_for_good;

void memory_run_out(size_t size)
{
    fprintf(stderr, "out of memory: %zu bytes\n", size);
    abort();
}

static void *memory_check(void *block, size_t size)
{
    if (!block)
        memory_run_out(size);
    return block;
}

void *memory_allocate(size_t size)
{
    return memory_check(malloc(size ? size : 1), size);
}

void *memory_zeroed(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SMALL_BYTES)
        return memory_check(calloc(count, size), size);
    return memset(memory_allocate(bytes), 0, bytes);
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

/* Sizes that are tried are large, or come one to a read of a disk: two atomic operations are nothing. */
static bool memory_may_try(void)
{
    uint64_t number = atomic_fetch_add_explicit(&try_count, 1, memory_order_relaxed) + 1;
    uint64_t failing = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (failing == 0 || number < failing || (number > failing && !atomic_load(&fail_for_good)))
        return true;
    atomic_fetch_add(&failed_try_count, 1);
    return false;
}

void *memory_try_allocate(size_t size)
{
    return memory_may_try() ? malloc(size ? size : 1) : NULL;
}

void *memory_try_resize(void *block, size_t size)
{
    return memory_may_try() ? realloc(block, size ? size : 1) : NULL;
}

void *memory_ask_allocate(size_t size)
{
    return size > MEMORY_SURE_BYTES ? memory_try_allocate(size) : memory_allocate(size);
}

void *memory_ask_resize(void *block, size_t size)
{
    return size > MEMORY_SURE_BYTES ? memory_try_resize(block, size) : memory_resize(block, size);
}

void memory_fail_try(uint64_t n, bool for_good)
{
    atomic_store(&fail_for_good, for_good);
    atomic_store(&fail_at, n ? atomic_load(&try_count) + n : 0);
}

uint64_t memory_try_count(void)
{
    return atomic_load(&try_count);
}

uint64_t memory_failed_try_count(void)
{
    return atomic_load(&failed_try_count);
}
