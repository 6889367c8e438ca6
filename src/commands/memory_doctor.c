/* SPDX-License-Identifier: MIT */
#include "commands/memory_doctor.h"

#include <inttypes.h>

enum {
    CACHE_LOOKS_MIN = 100000,   /* before its misses say anything */
    HEAP_KEPT_BYTES = 64 << 20, /* free memory that the heap keeps on purpose */
};

static bool is_most_of(uint64_t part, uint64_t whole)
{
    return part / 9 >= whole / 10;
}

static void look_at_limits(const struct memory_facts *facts, struct buffer *out)
{
    if (facts->counted_bytes_max > 0 && facts->counted_bytes > facts->counted_bytes_max)
        buffer_printf(out,
                      " * maxmemory is %" PRIu64 " bytes, and %" PRIu64
                      " are reserved or held by clients: commands that add data are refused. "
                      "Raise it, or lower memtable-size or block-cache-size.\n",
                      facts->counted_bytes_max, facts->counted_bytes);
    if (facts->client_bytes_max > 0 && facts->client_bytes > facts->client_bytes_max / 2)
        buffer_printf(out,
                      " * Clients hold %" PRIu64 " of %" PRIu64
                      " bytes (maxmemory-clients); beyond, the largest is closed. CLIENT LIST "
                      "shows who holds them (tot-mem).\n",
                      facts->client_bytes, facts->client_bytes_max);
}

static void look_at_engine(const struct memory_facts *facts, struct buffer *out)
{
    uint64_t looks = facts->cache_hits + facts->cache_misses;
    if (facts->write_delay_us > 0)
        buffer_printf(out,
                      " * Writes are slowed down by %" PRIu64
                      " us each: flushes and compactions are behind, memtables have %" PRIu64
                      " of %" PRIu64 " bytes. The disk is slow for so many writes; memtable-size "
                      "and background-threads help with bursts.\n",
                      facts->write_delay_us, facts->memtable_bytes, facts->memtable_bytes_max);
    if (is_most_of(facts->cache_bytes, facts->cache_bytes_max) && looks >= CACHE_LOOKS_MIN &&
        facts->cache_misses > looks / 2)
        buffer_printf(out,
                      " * The block cache is full, and %" PRIu64
                      "%% of the blocks that are asked for are not in it. Raise "
                      "block-cache-size.\n",
                      facts->cache_misses * 100 / looks);
}

static void look_at_process(const struct memory_facts *facts, struct buffer *out)
{
    if (facts->heap_held_bytes >
        facts->heap_used_bytes + facts->heap_used_bytes / 2 + HEAP_KEPT_BYTES)
        buffer_printf(out,
                      " * The heap keeps %" PRIu64
                      " bytes that are free. MEMORY PURGE gives them back.\n",
                      facts->heap_held_bytes - facts->heap_used_bytes);
    if (facts->peak_bytes > facts->resident_bytes + facts->resident_bytes / 2 + HEAP_KEPT_BYTES)
        buffer_printf(out,
                      " * The process once had %" PRIu64 " bytes, now %" PRIu64
                      ". Large values, replies or pipelines take memory while they are under "
                      "way; max-reply-size and maxmemory-clients bound them.\n",
                      facts->peak_bytes, facts->resident_bytes);
}

void memory_doctor_report(const struct memory_facts *facts, struct buffer *out)
{
    size_t start = out->size;
    look_at_limits(facts, out);
    look_at_engine(facts, out);
    look_at_process(facts, out);
    if (out->size == start)
        buffer_append_text(out, "No memory problems.\n");
}
