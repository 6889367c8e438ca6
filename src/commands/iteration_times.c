/* SPDX-License-Identifier: MIT */
#include "commands/iteration_times.h"

#include <assert.h>

static uint64_t load(const atomic_ullong *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* Each value has one writing thread. */
static void store(atomic_ullong *value, uint64_t number)
{
    atomic_store_explicit(value, number, memory_order_relaxed);
}

static void raise(atomic_ullong *value, uint64_t number)
{
    if (number > load(value))
        store(value, number);
}

static unsigned part_of(uint64_t us)
{
    if (us >> ITERATION_BITS_MAX)
        us = ((uint64_t)1 << ITERATION_BITS_MAX) - 1;
    if (us >> ITERATION_PART_BITS == 0)
        return (unsigned)us;
    unsigned shift = 63 - ITERATION_PART_BITS - (unsigned)__builtin_clzll(us);
    /* us >> shift is 16 .. 31: its lower 4 bits say which part of this power of two. */
    return (shift << ITERATION_PART_BITS) + (unsigned)(us >> shift);
}

/* The last value that a part holds: a percentile is never shown too low. */
static uint64_t end_of(unsigned part)
{
    if (part >> ITERATION_PART_BITS == 0)
        return part;
    unsigned shift = (part >> ITERATION_PART_BITS) - 1;
    return ((uint64_t)(part - (shift << ITERATION_PART_BITS) + 1) << shift) - 1;
}

static void add(struct iteration_histogram *histogram, uint64_t us)
{
    atomic_ullong *part = &histogram->parts[part_of(us)];
    store(part, load(part) + 1);
    raise(&histogram->max_us, us);
}

void iteration_times_add(struct iteration_times *times, const struct iteration *iteration)
{
    add(&times->own, iteration->own_us);
    add(&times->wall, iteration->wall_us);
    raise(&times->log_us_max, iteration->log_us);
}

static void clear(struct iteration_histogram *histogram)
{
    for (unsigned i = 0; i < ITERATION_PARTS; i++)
        store(&histogram->parts[i], 0);
    store(&histogram->max_us, 0);
}

void iteration_times_clear(struct iteration_times *times)
{
    clear(&times->own);
    clear(&times->wall);
    store(&times->log_us_max, 0);
}

static void merge(struct iteration_histogram *into, const struct iteration_histogram *from)
{
    for (unsigned i = 0; i < ITERATION_PARTS; i++)
        store(&into->parts[i], load(&into->parts[i]) + load(&from->parts[i]));
    raise(&into->max_us, load(&from->max_us));
}

void iteration_times_merge(struct iteration_times *into, const struct iteration_times *from)
{
    merge(&into->own, &from->own);
    merge(&into->wall, &from->wall);
    raise(&into->log_us_max, load(&from->log_us_max));
}

static uint64_t count_of(const struct iteration_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < ITERATION_PARTS; i++)
        count += load(&histogram->parts[i]);
    return count;
}

/* At least so many thousandths of all are not above it; 0: there are none. */
static uint64_t percentile(const struct iteration_histogram *histogram, uint64_t thousandths)
{
    uint64_t rank = (count_of(histogram) * thousandths + 999) / 1000, seen = 0;
    uint64_t max_us = load(&histogram->max_us);
    assert(thousandths > 0);
    for (unsigned i = 0; i < ITERATION_PARTS; i++) {
        seen += load(&histogram->parts[i]);
        if (seen > 0 && seen >= rank)
            return end_of(i) < max_us ? end_of(i) : max_us;
    }
    return max_us;
}

void iteration_times_summarize(const struct iteration_times *times,
                               struct iteration_summary *summary)
{
    *summary = (struct iteration_summary){
        .count = count_of(&times->own),
        .own_us_p50 = percentile(&times->own, 500),
        .own_us_p999 = percentile(&times->own, 999),
        .own_us_max = load(&times->own.max_us),
        .wall_us_p999 = percentile(&times->wall, 999),
        .wall_us_max = load(&times->wall.max_us),
        .log_us_max = load(&times->log_us_max),
    };
}
