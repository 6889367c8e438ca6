/* SPDX-License-Identifier: MIT */
#include "bench/values.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

enum { PIECES = 10000, PIECE_BYTES = 100, LINES = 1 << 16 };

size_t log_line(struct random *random, char line[LOG_LINE_BYTES_MAX])
{
    static const char *const shapes[] = {
        "2024-06-07T12:%02u:%02u.%03uZ INFO  api-gateway request id=%08x path=/v1/orders/%u "
        "status=200 took=%u ms",
        "2024-06-07T12:%02u:%02u.%03uZ WARN  storage slow flush of segment %08x: %u bytes in %u "
        "ms, queue is growing",
        "2024-06-07T12:%02u:%02u.%03uZ DEBUG scheduler task %08x moved to worker %u after %u "
        "retries on this node",
        "2024-06-07T12:%02u:%02u.%03uZ ERROR payments card %08x was declined for account %u, "
        "attempt number %u",
    };
    uint64_t bits = random_next(random);

    return (size_t)snprintf(line, LOG_LINE_BYTES_MAX, shapes[bits % 4], (unsigned)(bits >> 8) % 60,
                            (unsigned)(bits >> 16) % 60, (unsigned)(bits >> 24) % 1000,
                            (unsigned)(bits >> 32), (unsigned)random_below(random, 1000000),
                            (unsigned)random_below(random, 1000));
}

static void make_halves(uint8_t *data, struct random *random)
{
    for (size_t piece = 0; piece < PIECES + VALUES_BYTES_MAX / PIECE_BYTES + 1; piece++) {
        uint8_t *at = data + piece * PIECE_BYTES;
        for (size_t i = 0; i < PIECE_BYTES / 2; i++)
            at[i] = (uint8_t)(' ' + random_below(random, '~' - ' ' + 1));
        memcpy(at + PIECE_BYTES / 2, at, PIECE_BYTES / 2);
    }
}

void values_init(struct values *values, uint64_t seed)
{
    struct random random;

    random_init(&random, seed);
    values->halves = memory_allocate(PIECES * PIECE_BYTES + VALUES_BYTES_MAX + PIECE_BYTES);
    make_halves(values->halves, &random);
    values->lines = memory_allocate((size_t)LINES * LOG_LINE_BYTES_MAX);
    values->line_sizes = memory_allocate(LINES);
    for (size_t i = 0; i < LINES; i++)
        values->line_sizes[i] =
            (uint8_t)log_line(&random, (char *)values->lines + i * LOG_LINE_BYTES_MAX);
}

void values_release(struct values *values)
{
    memory_free(values->halves);
    memory_free(values->lines);
    memory_free(values->line_sizes);
    *values = (struct values){0};
}

struct slice values_half(const struct values *values, uint64_t number, size_t size)
{
    assert(size <= VALUES_BYTES_MAX);
    /* Fibonacci hashing: neighbours lie far apart. A value begins where a piece does, so that it
     * compresses to half by itself. */
    uint64_t piece = (number * 0x9e3779b97f4a7c15 >> 32) * PIECES >> 32;
    return slice_make(values->halves + piece * PIECE_BYTES, size);
}

struct slice values_line(const struct values *values, uint64_t number)
{
    size_t at = number % LINES;

    return slice_make(values->lines + at * LOG_LINE_BYTES_MAX, values->line_sizes[at]);
}
