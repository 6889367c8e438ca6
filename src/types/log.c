/* SPDX-License-Identifier: MIT */
/* Writing lines with their own times, and reading them back in the order of time. */
#include "types/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    LEVEL_BYTES = 64, /* at least the names "message" and "level", and a level */
    LATE_STEPS_MAX = STREAM_LATE_RUN_MIN, /* then a jump over the run is looked for */
};

/* ---- Limits --------------------------------------------------------------------------------- */

bool log_check_message(const struct log_limits *limits, struct slice message,
                       struct log_error *error)
{
    if (message.size <= limits->message_bytes_max)
        return true;
    snprintf(error->text, sizeof error->text,
             "message too large, limit %" PRIu64 " bytes (log-max-message)",
             limits->message_bytes_max);
    return false;
}

bool log_check_time(const struct log_limits *limits, uint64_t event_ms, uint64_t now_ms,
                    struct log_error *error)
{
    if (event_ms <= now_ms || event_ms - now_ms <= limits->future_ms_max)
        return true;
    char limit[32], distance[32];
    uint64_t ahead_ms = event_ms - now_ms;
    /* Whole units are enough to see what went wrong. */
    uint64_t unit = ahead_ms >= 86400000  ? 86400000
                    : ahead_ms >= 3600000 ? 3600000
                    : ahead_ms >= 60000   ? 60000
                                          : 1000;
    log_duration_format(ahead_ms - ahead_ms % unit, distance);
    log_duration_format(limits->future_ms_max, limit);
    snprintf(error->text, sizeof error->text, "time is %s in the future, limit %s (log-max-future)",
             distance, limit);
    return false;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* At least `count` IDs above the last one, also when each line goes to the next millisecond. */
static bool has_ids_left(const struct stream_header *header, uint64_t count)
{
    unsigned __int128 last = (unsigned __int128)header->last_id.ms << 64 | header->last_id.seq;
    return ~last >= count;
}

enum status log_reserve(struct access *access, size_t field_count, size_t bytes)
{
    return stream_reserve(access, field_count + 2, bytes + LEVEL_BYTES);
}

enum status log_write_begin(struct access *access, struct slice key, bool no_create, uint64_t count,
                            struct log_writer *writer)
{
    struct stream *stream = &writer->stream;
    writer->count = 0;
    enum status status =
        no_create ? stream_find(access, key, stream) : stream_find_or_new(access, key, stream);
    if (!status && !has_ids_left(&stream->header, count))
        status = STATUS_TOO_LARGE;
    return status ? status : stream_append_begin(access, stream);
}

/* A time that is not older than the newest entry becomes the ID; an older one, kept in the record,
 * gets the next ID, which stays as near to the newest as it can, so that the entries after it are
 * not late as well. */
static struct stream_id line_id(const struct stream_header *header, uint64_t event_ms)
{
    struct stream_id id = {event_ms, 0};
    if (event_ms <= header->last_id.ms) {
        id = header->last_id;
        (void)stream_id_increment(&id); /* has_ids_left */
    }
    return id;
}

struct stream_id log_write_line(struct access *access, struct log_writer *writer,
                                const struct log_line *line)
{
    const struct slice first[] = {slice_from("message"), line->message, slice_from("level"),
                                  line->level};
    struct stream_header *header = &writer->stream.header;
    struct stream_id id = line_id(header, line->has_time ? line->event_ms : access->now_ms);
    bool is_late = line->has_time && line->event_ms < id.ms;
    stream_append(access, &writer->stream, id,
                  &(struct stream_input){.first = first,
                                         .first_count = line->level.size > 0 ? 2 : 1,
                                         .fields = line->fields,
                                         .field_count = line->field_count,
                                         .kinds = line->kinds,
                                         .event_ms = is_late ? line->event_ms : id.ms});
    if (writer->count++ == 0)
        writer->first_id = id;
    writer->last_id = id;
    return id;
}

void log_write_end(struct access *access, struct log_writer *writer)
{
    assert(writer->count > 0);
    stream_append_end(access, &writer->stream);
}

/* ---- Reading by event time ------------------------------------------------------------------ */

/* Of entries on time the time is the ID's, so a bound of moments is a bound of IDs. */
static void first_on_time(struct stream_moment first, struct stream_id *id)
{
    *id = (struct stream_id){first.event_ms, 0};
    if (first.id.ms == first.event_ms)
        *id = first.id;
    else if (first.id.ms > first.event_ms)
        id->ms++; /* first.id.ms is not lower, so there is a next one */
}

static void last_on_time(struct stream_moment last, struct stream_id *id)
{
    *id = (struct stream_id){last.event_ms, UINT64_MAX};
    if (last.id.ms == last.event_ms)
        *id = last.id;
    else if (last.id.ms < last.event_ms)
        id->ms--; /* last.id.ms is not higher, so there is one before */
}

void log_range_open(struct access *access, const struct stream *stream, struct stream_moment first,
                    struct stream_moment last, bool is_reverse, struct log_range *range)
{
    struct stream_id first_id, last_id;
    *range = (struct log_range){.access = access, .stream = stream, .is_reverse = is_reverse};
    first_on_time(first, &first_id);
    last_on_time(last, &last_id);
    stream_range_open(access, stream, first_id, last_id, is_reverse, &range->on_time);
    stream_late_range_open(access, stream, first, last, is_reverse, &range->late);
}

/* Many late entries in a row: jump over their run, if it is noted. */
static enum status jump_over_run(struct log_range *range, struct stream_id id)
{
    struct stream_id first, last;
    range->late_passed = 0;
    enum status status = stream_late_run(range->access, range->stream, id, &first, &last);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    stream_range_skip(&range->on_time, range->stream, range->is_reverse ? first : last);
    return STATUS_OK;
}

static enum status fill_on_time(struct log_range *range)
{
    for (;;) {
        enum status status = stream_range_next(&range->on_time, &range->on_time_entry);
        if (status) {
            stream_range_close(&range->on_time);
            return status;
        }
        if (!range->on_time_entry.is_late) {
            range->late_passed = 0;
            range->has_on_time = true;
            return STATUS_OK;
        }
        if (++range->late_passed < LATE_STEPS_MAX)
            continue;
        status = jump_over_run(range, range->on_time_entry.id);
        if (status)
            return status;
    }
}

static enum status fill_heads(struct log_range *range)
{
    enum status status = STATUS_OK;
    if (!range->has_on_time)
        status = fill_on_time(range);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (range->has_late)
        return STATUS_OK;
    status = stream_late_range_next(&range->late, &range->late_moment);
    range->has_late = status == STATUS_OK;
    if (status)
        stream_late_range_close(&range->late);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static bool late_is_next(const struct log_range *range)
{
    if (!range->has_late || !range->has_on_time)
        return range->has_late;
    int order = stream_moment_compare(range->late_moment, log_entry_moment(&range->on_time_entry));
    assert(order != 0);
    return range->is_reverse ? order > 0 : order < 0;
}

enum status log_range_next(struct log_range *range, struct stream_entry *entry)
{
    for (;;) {
        enum status status = fill_heads(range);
        if (status)
            return status;
        if (!range->has_late && !range->has_on_time)
            return STATUS_NOT_FOUND;
        if (!late_is_next(range)) {
            range->has_on_time = false;
            *entry = range->on_time_entry;
            return STATUS_OK;
        }
        range->has_late = false;
        status = stream_get(range->access, range->stream, range->late_moment.id, entry);
        if (status != STATUS_NOT_FOUND)
            return status;
    }
}

void log_range_close(struct log_range *range)
{
    stream_range_close(&range->on_time);
    stream_late_range_close(&range->late);
}

/* ---- Cursors -------------------------------------------------------------------------------- */

size_t log_cursor_format(struct stream_moment moment, char at[LOG_CURSOR_TEXT_MAX])
{
    int size = snprintf(at, LOG_CURSOR_TEXT_MAX, "%" PRIu64 "-%" PRIu64 "-%" PRIu64,
                        moment.event_ms, moment.id.ms, moment.id.seq);
    assert(size > 0 && size < LOG_CURSOR_TEXT_MAX);
    return (size_t)size;
}

bool log_cursor_parse(struct slice text, bool *is_start, struct stream_moment *moment)
{
    if (text.size == 1 && text.data[0] == '0') {
        *is_start = true;
        return true;
    }
    const uint8_t *dash = text.size ? memchr(text.data, '-', text.size) : NULL;
    if (!dash)
        return false;
    size_t size = (size_t)(dash - text.data);
    struct stream_id event, id;
    struct slice id_text = slice_skip(text, size + 1);
    if (!stream_id_parse_strict(slice_make(text.data, size), 0, &event) || id_text.size == 0 ||
        !memchr(id_text.data, '-', id_text.size) || !stream_id_parse_strict(id_text, 0, &id))
        return false;
    *is_start = false;
    *moment = (struct stream_moment){event.ms, id};
    return true;
}
