/* SPDX-License-Identifier: MIT */
#include "bench/latency.h"

#include <assert.h>
#include <time.h>

static unsigned part_of(uint64_t ns)
{
    if (ns >> LATENCY_BITS_MAX)
        ns = ((uint64_t)1 << LATENCY_BITS_MAX) - 1;
    if (ns >> LATENCY_PART_BITS == 0)
        return (unsigned)ns;
    unsigned shift = 63 - LATENCY_PART_BITS - (unsigned)__builtin_clzll(ns);
    /* ns >> shift is 128 .. 255: its lower 7 bits say which part of this power of two. */
    return (shift << LATENCY_PART_BITS) + (unsigned)(ns >> shift);
}

/* The middle of what a part holds. */
static uint64_t value_of(unsigned part)
{
    if (part >> LATENCY_PART_BITS == 0)
        return part;
    unsigned shift = (part >> LATENCY_PART_BITS) - 1;
    uint64_t first = (uint64_t)(part - (shift << LATENCY_PART_BITS)) << shift;
    return first + (((uint64_t)1 << shift) >> 1);
}

void latency_record(struct latency *latency, uint64_t ns)
{
    if (latency->count == 0 || ns < latency->min_ns)
        latency->min_ns = ns;
    if (ns > latency->max_ns)
        latency->max_ns = ns;
    latency->count++;
    latency->sum_ns += ns;
    latency->parts[part_of(ns)]++;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    for (unsigned i = 0; i < LATENCY_PARTS; i++)
        into->parts[i] += from->parts[i];
}

uint64_t latency_percentile(const struct latency *latency, double percent)
{
    assert(percent >= 0 && percent <= 100);
    /* The rank, rounded up; a millionth of leeway for percents such as 99.9 that binary cannot hold. */
    double rank = (double)latency->count * percent / 100 - 1e-6;
    uint64_t seen = 0;

    if (percent >= 100)
        return latency->max_ns;
    for (unsigned i = 0; i < LATENCY_PARTS; i++) {
        seen += latency->parts[i];
        if (seen && (double)seen >= rank) {
            uint64_t value = value_of(i);
            if (value < latency->min_ns)
                return latency->min_ns;
            return value < latency->max_ns ? value : latency->max_ns;
        }
    }
    return latency->max_ns;
}

double latency_mean(const struct latency *latency)
{
    return latency->count ? (double)latency->sum_ns / (double)latency->count : 0;
}

uint64_t latency_clock(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}
