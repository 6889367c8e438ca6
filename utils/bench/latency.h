/* SPDX-License-Identifier: MIT */
/* A histogram of latencies in constant memory (log-linear, after Gil Tene's HdrHistogram): every power
 * of two is cut into 128 equal parts, so a value is known to better than 1% (0.4% at the middle of its
 * part), and below 128 ns exactly.
 *
 *      0  1  2 ... 127 | 128 129 ... 255 | 256 258 ... 510 | 512 516 ... | ... 2^42 ns (73 minutes)
 *
 * One thread records into one histogram; merge them afterwards. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

enum {
    LATENCY_PART_BITS = 7, /* parts of a power of two: 128 */
    LATENCY_BITS_MAX = 42, /* larger values count as the largest */
    LATENCY_PARTS = (LATENCY_BITS_MAX - LATENCY_PART_BITS + 1) << LATENCY_PART_BITS
};

/* Zeroed: empty. 36 KiB. */
struct latency {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns, max_ns; /* exact; 0 when empty */
    uint64_t parts[LATENCY_PARTS];
};

void latency_record(struct latency *latency, uint64_t ns);
void latency_merge(struct latency *into, const struct latency *from);
/* The smallest value that at least `percent` (0 .. 100) of all are not above; 100 gives the maximum.
 * 0 when empty. */
uint64_t latency_percentile(const struct latency *latency, double percent);
double latency_mean(const struct latency *latency);

uint64_t latency_clock(void); /* nanoseconds, monotonic */

#endif
