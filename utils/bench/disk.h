/* SPDX-License-Identifier: MIT */
/* The disk's sync latency, noted before and after a run: what a disk does changes with its owner's
 * other guests, and a figure for synced writes means nothing without it. */
#ifndef BENCH_DISK_H
#define BENCH_DISK_H

#include "bench/results.h"

enum { DISK_SYNCS = 200 };

struct disk_sync {
    double p50_us, p99_us, max_us;
    unsigned count;
};

/* 4 KiB and fdatasync, `count` times one behind the other in a preallocated file, as a log does.
 * The file is made in `directory` and removed. false: it says so on stderr. */
bool disk_measure(const char *directory, unsigned count, struct disk_sync *sync);

/* Around a run: measures DISK_SYNCS times, prints and notes the figures ("disk" is suite, case and
 * subject; measures sync_p50_us, sync_p99_us; round "before" and "after"). The second warns when the
 * p50 differ by more than 1.5x: then the run's synced figures are not to be compared. */
bool disk_begin(struct results *results, const char *directory, struct disk_sync *before);
bool disk_end(struct results *results, const char *directory, const struct disk_sync *before);
/* By how much two p50 differ: at least 1. */
double disk_difference(const struct disk_sync *before, const struct disk_sync *after);

#endif
