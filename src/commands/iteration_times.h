/* SPDX-License-Identifier: MIT */
/* How long the iterations of one event loop took: two histograms in constant memory (log-linear: every
 * power of two of microseconds is cut into 16 parts, so a percentile is known to 6%; below 16 us and
 * the maxima exactly). Written by the loop's thread, read by any: counters on their own, no lock. */
#ifndef COMMANDS_ITERATION_TIMES_H
#define COMMANDS_ITERATION_TIMES_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    ITERATION_PART_BITS = 4,
    ITERATION_BITS_MAX = 32, /* longer ones count as the longest: 71 minutes */
    ITERATION_PARTS = (ITERATION_BITS_MAX - ITERATION_PART_BITS + 1) << ITERATION_PART_BITS,
};

/* One iteration: from the first callback after the poll to the end of what precedes the next poll. */
struct iteration {
    /* The time that the thread itself was at work: what the others of this loop wait for because of
     * the code. Never less than its CPU time; waits for a lock, the disk or a core are not in it. */
    uint64_t own_us;
    uint64_t wall_us; /* by the clock, all of these waits included, without log_us */
    uint64_t log_us;  /* in the write of the log */
};

struct iteration_histogram {
    atomic_ullong max_us;
    atomic_ullong parts[ITERATION_PARTS];
};

/* Zeroed: empty. 7 KiB. */
struct iteration_times {
    struct iteration_histogram own, wall;
    atomic_ullong log_us_max;
};

struct iteration_summary {
    uint64_t count;
    uint64_t own_us_p50, own_us_p999, own_us_max;
    uint64_t wall_us_p999, wall_us_max;
    uint64_t log_us_max;
};

/* The loop's thread. */
void iteration_times_add(struct iteration_times *times, const struct iteration *iteration);
void iteration_times_clear(struct iteration_times *times);

/* Any thread: adds `from` to what this one has gathered in `into`. */
void iteration_times_merge(struct iteration_times *into, const struct iteration_times *from);
void iteration_times_summarize(const struct iteration_times *times,
                               struct iteration_summary *summary);

#endif
