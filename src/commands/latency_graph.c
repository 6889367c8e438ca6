/* SPDX-License-Identifier: MIT */
#include "commands/latency_graph.h"

#include <stdio.h>

enum { COLUMNS = 80, ROWS = 4, AGE_CHARS_MAX = 16 };

static const char heights[] = "_o#"; /* within a row */
enum { HEIGHTS = sizeof heights - 1, STEPS = ROWS * HEIGHTS };

/* From 0 to STEPS - 1. */
static unsigned step_of(uint64_t duration_ms, uint64_t least_ms, uint64_t greatest_ms)
{
    uint64_t range = greatest_ms > least_ms ? greatest_ms - least_ms : 1;
    uint64_t step = (duration_ms - least_ms) * STEPS / range;
    return step < STEPS ? (unsigned)step : STEPS - 1;
}

/* `row` counts from the top. */
static char cell(unsigned step, unsigned row)
{
    unsigned below = (ROWS - 1 - row) * HEIGHTS;
    if (step < below)
        return ' ';
    return step < below + HEIGHTS ? heights[step - below] : '|';
}

static void age(uint64_t time_s, uint64_t now_s, char text[AGE_CHARS_MAX])
{
    uint64_t passed_s = now_s > time_s ? now_s - time_s : 0;
    const char *unit = "s";
    if (passed_s >= 24 * 3600) {
        passed_s /= 24 * 3600;
        unit = "d";
    } else if (passed_s >= 3600) {
        passed_s /= 3600;
        unit = "h";
    } else if (passed_s >= 60) {
        passed_s /= 60;
        unit = "m";
    }
    snprintf(text, AGE_CHARS_MAX, "%u%s", (unsigned)passed_s, unit);
}

/* Downwards, a column each. */
static void append_ages(const struct latency_sample *samples, size_t count, uint64_t now_s,
                        struct buffer *out)
{
    char ages[COLUMNS][AGE_CHARS_MAX];
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        age(samples[i].time_s, now_s, ages[i]);
        longest = strlen(ages[i]) > longest ? strlen(ages[i]) : longest;
    }
    for (size_t line = 0; line <= longest; line++) { /* the first one is empty */
        for (size_t i = 0; i < count; i++)
            buffer_append_byte(out, line > 0 && line <= strlen(ages[i]) ? (uint8_t)ages[i][line - 1]
                                                                        : ' ');
        buffer_append_byte(out, '\n');
    }
}

static void append_head(struct slice event, uint64_t least_ms, uint64_t greatest_ms,
                        uint64_t greatest_ever_ms, struct buffer *out)
{
    buffer_append_slice(out, event);
    buffer_printf(out, " - high %llu ms, low %llu ms (all time high %llu ms)\n",
                  (unsigned long long)greatest_ms, (unsigned long long)least_ms,
                  (unsigned long long)greatest_ever_ms);
    for (int i = 0; i < COLUMNS; i++)
        buffer_append_byte(out, '-');
    buffer_append_byte(out, '\n');
}

void latency_graph(struct slice event, const struct latency_sample *samples, size_t count,
                   uint64_t greatest_ever_ms, uint64_t now_s, struct buffer *out)
{
    uint64_t least_ms = UINT64_MAX, greatest_ms = 0;
    for (size_t i = 0; i < count; i++) {
        least_ms = samples[i].duration_ms < least_ms ? samples[i].duration_ms : least_ms;
        greatest_ms = samples[i].duration_ms > greatest_ms ? samples[i].duration_ms : greatest_ms;
    }
    append_head(event, least_ms, greatest_ms, greatest_ever_ms, out);
    for (size_t first = 0; first < count; first += COLUMNS) {
        size_t columns = count - first < COLUMNS ? count - first : COLUMNS;
        if (first > 0)
            buffer_append_byte(out, '\n');
        for (unsigned row = 0; row < ROWS; row++) {
            for (size_t i = first; i < first + columns; i++)
                buffer_append_byte(
                    out,
                    (uint8_t)cell(step_of(samples[i].duration_ms, least_ms, greatest_ms), row));
            buffer_append_byte(out, '\n');
        }
        append_ages(samples + first, columns, now_s, out);
    }
}
