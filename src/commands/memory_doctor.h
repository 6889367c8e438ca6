/* SPDX-License-Identifier: MIT */
/* MEMORY DOCTOR: figures of memory, and what they say to an operator. */
#ifndef COMMANDS_MEMORY_DOCTOR_H
#define COMMANDS_MEMORY_DOCTOR_H

#include "base/buffer.h"

/* Bytes, where nothing else is said; limits of 0 are none. */
struct memory_facts {
    uint64_t counted_bytes, counted_bytes_max; /* maxmemory */
    uint64_t client_bytes, client_bytes_max;   /* maxmemory-clients */
    uint64_t memtable_bytes, memtable_bytes_max;
    uint64_t write_delay_us; /* of a write, since flushes or compactions are behind */
    uint64_t cache_bytes, cache_bytes_max, cache_hits, cache_misses;
    uint64_t heap_used_bytes, heap_held_bytes;
    uint64_t resident_bytes, peak_bytes;
};

/* A line for each problem, each with what mends it; one line if there is none. Appended. */
void memory_doctor_report(const struct memory_facts *facts, struct buffer *out);

#endif
