/* SPDX-License-Identifier: MIT */
/* What benches store: values that compress to about half, as db_bench's do, and log lines. All are made
 * before the clock starts, and belong to a number, so that what is read back can be checked. */
#ifndef BENCH_VALUES_H
#define BENCH_VALUES_H

#include "base/random.h"
#include "base/slice.h"

enum { VALUES_BYTES_MAX = 4096, LOG_LINE_BYTES_MAX = 256 };

/* Shared by threads once made. */
struct values {
    uint8_t
        *halves; /* 100 random printable bytes after the other, of which 50 repeat the 50 before */
    uint8_t *lines; /* each in its own LOG_LINE_BYTES_MAX bytes */
    uint8_t *line_sizes;
};

void values_init(struct values *values, uint64_t seed);
void values_release(struct values *values);
/* Bytes that belong to `number`; at most VALUES_BYTES_MAX. Neighbours differ. */
struct slice values_half(const struct values *values, uint64_t number, size_t size);
/* A log line; 2^16 different ones take turns. */
struct slice values_line(const struct values *values, uint64_t number);

/* Writes a line such as services write, 100 to 140 bytes, with a terminator; returns its length. */
size_t log_line(struct random *random, char line[LOG_LINE_BYTES_MAX]);

#endif
