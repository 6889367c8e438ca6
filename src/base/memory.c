/* SPDX-License-Identifier: MIT */
/* malloc and friends that never return NULL. A size of 0 gives a block that may be freed. */
#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* glibc's malloc keeps so small ones for each thread; its calloc goes past them. */
enum { SMALL_BYTES = 1024 };

static _Atomic uint64_t try_count, failed_try_count;
static _Atomic uint64_t fail_at; /* the value of try_count that fails; 0: none does */
static atomic_bool fail_for_good;
static _Atomic uint64_t mapped_bytes;

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

void memory_prefer_huge_pages(void *block, size_t size)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t mask = MEMORY_HUGE_BYTES - 1;
    uintptr_t first = ((uintptr_t)block + mask) & ~mask;
    uintptr_t end = ((uintptr_t)block + size) & ~mask;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* a wish */
#else
    (void)block, (void)size;
#endif
}

/* Where a mapping is aligned is the system's choice: of a larger one the ends are given back. */
void *memory_try_map(size_t size)
{
    assert(size % MEMORY_HUGE_BYTES == 0);
    if (!memory_may_try())
        return NULL;
    uint8_t *all = mmap(NULL, size + MEMORY_HUGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return NULL;
    size_t skipped = -(uintptr_t)all % MEMORY_HUGE_BYTES;
    uint8_t *block = all + skipped;
    if (skipped > 0)
        (void)munmap(all, skipped);
    if (skipped < MEMORY_HUGE_BYTES)
        (void)munmap(block + size, MEMORY_HUGE_BYTES - skipped);
    memory_prefer_huge_pages(block, size);
    atomic_fetch_add_explicit(&mapped_bytes, size, memory_order_relaxed);
    return block;
}

void memory_unmap(void *block, size_t size)
{
    (void)munmap(block, size); /* fails if the process has too many mappings: then it stays */
    atomic_fetch_sub_explicit(&mapped_bytes, size, memory_order_relaxed);
}

uint64_t memory_mapped_bytes(void)
{
    return atomic_load_explicit(&mapped_bytes, memory_order_relaxed);
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
