/* SPDX-License-Identifier: MIT */
#include "commands/process_memory.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#if __GLIBC_PREREQ(2, 33) /* mallinfo2; mallinfo counts in int */
#define HAS_HEAP_FIGURES
#endif
#endif

/* From /proc/self/statm; 0 where there is none. */
static uint64_t resident_bytes(void)
{
    unsigned long long pages_all = 0, pages_resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &pages_all, &pages_resident) != 2)
        pages_resident = 0;
    fclose(file);
    return pages_resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_memory_read(struct process_memory *memory)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    memory->resident_bytes = resident_bytes();
    memory->peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    if (memory->peak_bytes < memory->resident_bytes)
        memory->peak_bytes = memory->resident_bytes;
    memory->system_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_heap_read(struct process_heap *heap)
{
    *heap = (struct process_heap){0};
#ifdef HAS_HEAP_FIGURES
    struct mallinfo2 info = mallinfo2();
    uint64_t mapped = info.hblkhd + memory_mapped_bytes();
    heap->used_bytes = info.uordblks + mapped;
    heap->held_bytes = info.arena + mapped;
#endif
}

#ifdef __GLIBC__

void process_heap_trim(size_t kept_bytes)
{
    (void)malloc_trim(kept_bytes); /* nothing follows from what it found */
}

bool process_heap_report(struct buffer *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return false;
    bool is_told = malloc_info(0, file) == 0;
    is_told &= fclose(file) == 0;
    if (is_told)
        buffer_append(out, text, size);
    free(text);
    return is_told;
}

#else

void process_heap_trim(size_t kept_bytes)
{
    (void)kept_bytes;
}

bool process_heap_report(struct buffer *out)
{
    (void)out;
    return false;
}

#endif
