/* SPDX-License-Identifier: MIT */
/* Times as people and programs write them:
 *
 *   1714552200000 | 1714552200000-5 | 2024-05-01 | 2024-05-01T08:30[:00[.250]][Z | +02:00]
 *   | -15m | +1h (from now; ms s m h d w)
 *
 * and, as bounds of a range, - and +, and ( before any of them to leave it out. Without a zone UTC
 * is meant. */
#ifndef TYPES_LOG_TIME_H
#define TYPES_LOG_TIME_H

#include "types/stream_late.h"

struct log_error {
    char text[200]; /* behind "ERR " */
};

/* A point in time, unix milliseconds; of a stream ID the first half. */
bool log_time_parse(struct slice text, uint64_t now_ms, uint64_t *ms, struct log_error *error);

/* The two bounds of a range by event time, made inclusive. *is_empty: nothing can lie between. */
bool log_bounds_parse(struct slice first_text, struct slice last_text, uint64_t now_ms,
                      struct stream_moment *first, struct stream_moment *last, bool *is_empty,
                      struct log_error *error);

/* The next or the previous place in the order of time; false at the end of the range. */
bool stream_moment_increment(struct stream_moment *moment);
bool stream_moment_decrement(struct stream_moment *moment);

/* "3 h", "10 m", "250 ms": the largest unit that divides, for error texts. */
void log_duration_format(uint64_t ms, char at[32]);

#endif
