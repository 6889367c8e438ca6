/* SPDX-License-Identifier: MIT */
/* Very large buffers come from the system and go back to it: glibc would raise the threshold to 32 MiB
 * with those that are freed, and keep such pieces for each thread that once built a large reply. The
 * replies of a pipeline lie below it, and a heap keeps what many of them take when they are freed: a page
 * that comes anew from the system costs as much as to copy a reply into it. (At 128 KiB, a mapping each,
 * or when a heap keeps 8 MiB, range reads in pipelines cost a third to twice more.)
 *
 * Each thread would get a heap of its own, and each heap keeps what was once its most. There are as many as
 * loops, and one for all that wait for the disk anyway.
 *
 * What a heap keeps, and what lies free in its middle, because a block of the cache was allocated while many
 * replies were built, is given back by heap_trim, so that it does not add up. */
#include "server/heap.h"

#include "commands/process_memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum {
    LARGE_BUFFER_BYTES = 4 << 20,
    KEPT_BYTES = 64 << 20,        /* at the end of a heap, when something is freed ... */
    KEPT_BYTES_TRIMMED = 8 << 20, /* ... and by heap_trim */
    FREE_BYTES_MAX = 16 << 20,    /* resident, not allocated: program and stacks are 6 MiB of it */
};

void heap_configure(unsigned loop_count)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES); /* a wish, like the others */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_ARENA_MAX, (int)loop_count + 1);
#else
    (void)loop_count;
#endif
}

void heap_trim(void)
{
    struct process_memory memory;
    struct process_heap heap;
    process_memory_read(&memory);
    process_heap_read(&heap);
    if (heap.used_bytes > 0 && memory.resident_bytes > heap.used_bytes + FREE_BYTES_MAX)
        process_heap_trim(KEPT_BYTES_TRIMMED);
}
