/* SPDX-License-Identifier: MIT */
/* What the system and the heap say of this process's memory, in bytes; 0 where they do not say it. */
#ifndef COMMANDS_PROCESS_MEMORY_H
#define COMMANDS_PROCESS_MEMORY_H

#include "base/buffer.h"

struct process_memory {
    uint64_t resident_bytes, peak_bytes; /* the peak is not below what is resident now */
    uint64_t system_bytes;
};

void process_memory_read(struct process_memory *memory);

struct process_heap {
    uint64_t used_bytes; /* allocated */
    uint64_t held_bytes; /* these, and what is free and kept */
};

/* Looks at every arena. */
void process_heap_read(struct process_heap *heap);
/* Gives back what is free, but for so much at the heap's end; takes its time. */
void process_heap_trim(size_t kept_bytes);
/* A report for people, appended; false: this C library has none. */
bool process_heap_report(struct buffer *out);

#endif
