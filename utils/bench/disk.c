/* SPDX-License-Identifier: MIT */
#include "bench/disk.h"

#include "base/memory.h"
#include "bench/latency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 4096 };
static const double DIFFERENCE_MAX = 1.5;

static bool failed(const char *what, const char *path)
{
    fprintf(stderr, "bench: %s %s: %s\n", what, path, strerror(errno));
    return false;
}

/* Writes real zeros and syncs them, so that the syncs to be measured change no metadata. */
static bool preallocate(int file, unsigned count)
{
    static const char zeros[PIECE_BYTES];

    for (unsigned i = 0; i < count; i++)
        if (pwrite(file, zeros, PIECE_BYTES, (off_t)i * PIECE_BYTES) != PIECE_BYTES)
            return false;
    return fsync(file) == 0;
}

static bool measure_file(int file, unsigned count, struct latency *latency)
{
    char piece[PIECE_BYTES];

    memset(piece, 'd', sizeof piece);
    for (unsigned i = 0; i < count; i++) {
        uint64_t began = latency_clock();
        memcpy(piece, &i, sizeof i);
        if (pwrite(file, piece, PIECE_BYTES, (off_t)i * PIECE_BYTES) != PIECE_BYTES ||
            fdatasync(file) != 0)
            return false;
        latency_record(latency, latency_clock() - began);
    }
    return true;
}

bool disk_measure(const char *directory, unsigned count, struct disk_sync *sync)
{
    char path[1024];
    struct latency *latency = memory_zeroed(1, sizeof *latency);

    snprintf(path, sizeof path, "%s/bench-disk-%d", directory, (int)getpid());
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = file >= 0 && preallocate(file, count) && measure_file(file, count, latency);
    if (ok)
        *sync = (struct disk_sync){.p50_us = (double)latency_percentile(latency, 50) * 1e-3,
                                   .p99_us = (double)latency_percentile(latency, 99) * 1e-3,
                                   .max_us = (double)latency->max_ns * 1e-3,
                                   .count = count};
    else
        failed("the disk's sync latency could not be measured in", path);
    if (file >= 0) {
        close(file);
        unlink(path);
    }
    memory_free(latency);
    return ok;
}

static bool note(struct results *results, const char *directory, const char *when,
                 struct disk_sync *sync)
{
    if (!disk_measure(directory, DISK_SYNCS, sync))
        return false;
    printf("disk, 4 KiB and fdatasync, %s the run: p50 %.0f us, p99 %.0f us, max %.0f us (%u)\n",
           when, sync->p50_us, sync->p99_us, sync->max_us, sync->count);
    results_note(results, "disk", "disk", "disk", "sync_p50_us", when, sync->p50_us);
    results_note(results, "disk", "disk", "disk", "sync_p99_us", when, sync->p99_us);
    return true;
}

bool disk_begin(struct results *results, const char *directory, struct disk_sync *before)
{
    return note(results, directory, "before", before);
}

bool disk_end(struct results *results, const char *directory, const struct disk_sync *before)
{
    struct disk_sync after;

    if (!note(results, directory, "after", &after))
        return false;
    double difference = disk_difference(before, &after);
    if (difference > DIFFERENCE_MAX)
        printf(
            "WARNING: the disk's sync latency changed by %.1fx during the run; do not compare its "
            "synced writes with other runs.\n",
            difference);
    return true;
}

double disk_difference(const struct disk_sync *before, const struct disk_sync *after)
{
    double ratio = after->p50_us / before->p50_us;

    return ratio < 1 ? 1 / ratio : ratio;
}
