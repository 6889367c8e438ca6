/* SPDX-License-Identifier: MIT */
/* A log is a stream whose entries have a field `message`, perhaps `level`, and any others. The
 * write function of LOG.WRITE, LOG.MWRITE and the JSON protocol, and reading by event time. */
#ifndef TYPES_LOG_H
#define TYPES_LOG_H

#include "types/log_time.h"
#include "types/stream.h"

struct log_line {
    struct slice message;
    struct slice level; /* size 0: no such field */
    bool has_time;
    uint64_t event_ms;          /* has_time */
    const struct slice *fields; /* the others: names and values by turns */
    size_t field_count;         /* pairs */
    const uint8_t *kinds;       /* enum stream_field_kind each; NULL: all bytes */
};

struct log_limits {
    uint64_t message_bytes_max;
    uint64_t future_ms_max;
};

/* The limits, before anything is touched: "message too large, ..." or "time is ... in the future"
 */
bool log_check_message(const struct log_limits *limits, struct slice message,
                       struct log_error *error);
bool log_check_time(const struct log_limits *limits, uint64_t event_ms, uint64_t now_ms,
                    struct log_error *error);

/* What _begin needs to know, and the IDs that were given. */
struct log_writer {
    struct stream stream;
    uint64_t count;
    struct stream_id first_id, last_id;
};

/* Memory for lines of at most so many fields with so many bytes, the message included, before _begin:
 * see stream_reserve. STATUS_NO_MEMORY. */
enum status log_reserve(struct access *access, size_t field_count, size_t bytes);
/* Writes lines to one log in one batch: _begin, _line ..., _end. STATUS_NOT_FOUND with `no_create`
 * when the key is missing; STATUS_WRONG_TYPE; STATUS_TOO_LARGE when fewer than `count` IDs are
 * left. After _begin nothing can fail. */
enum status log_write_begin(struct access *access, struct slice key, bool no_create, uint64_t count,
                            struct log_writer *writer);
struct stream_id log_write_line(struct access *access, struct log_writer *writer,
                                const struct log_line *line);
void log_write_end(struct access *access, struct log_writer *writer);

/* Entries between two moments, both inclusive, in the order (event time, ID): the entries that were
 * on time in the order of their IDs, merged with the index of the late ones. */
struct log_range {
    struct access *access;
    const struct stream *stream;
    bool is_reverse;
    struct stream_range on_time;
    struct stream_late_range late;
    bool has_on_time, has_late; /* the heads are filled */
    struct stream_entry on_time_entry;
    struct stream_moment late_moment;
    unsigned late_passed; /* late entries stepped over without one on time */
};

void log_range_open(struct access *access, const struct stream *stream, struct stream_moment first,
                    struct stream_moment last, bool is_reverse, struct log_range *range);
/* STATUS_NOT_FOUND at the end. The entry is valid until the next call. */
enum status log_range_next(struct log_range *range, struct stream_entry *entry);
void log_range_close(struct log_range *range);

static inline struct stream_moment log_entry_moment(const struct stream_entry *entry)
{
    return (struct stream_moment){entry->event_ms, entry->id};
}

/* A cursor names the last entry that was looked at: "event-ms-seq", or "0" before the first. */
enum { LOG_CURSOR_TEXT_MAX = 64 };
size_t log_cursor_format(struct stream_moment moment, char at[LOG_CURSOR_TEXT_MAX]);
/* *is_start for "0". */
bool log_cursor_parse(struct slice text, bool *is_start, struct stream_moment *moment);

#endif
