/* SPDX-License-Identifier: MIT */
/* LOG.RANGE and LOG.REVRANGE: entries by event time, with predicates. */
#include "commands/stream_reply.h"

#include "types/log.h"
#include "types/log_filter.h"

enum { ENTRIES_PER_CLOCK = 64 }; /* looked at between two questions for the time */

struct range_arguments {
    bool is_reverse;
    struct stream_moment first, last;
    bool is_empty; /* nothing can lie between the bounds */
    bool has_count;
    uint64_t count;
    uint64_t bytes_max;  /* of the reply's entries; 0: no limit */
    uint64_t timeout_ms; /* 0: none */
    bool with_time, with_cursor, no_values;
    size_t return_first, return_count; /* fields to show; 0: all */
    bool has_cursor;
    struct stream_moment cursor;
    struct log_filter filter;
};

struct range_result {
    size_t shown;
    uint64_t scanned_bytes;
    bool is_partial;
    bool has_last;
    struct stream_moment last; /* the last entry that was looked at */
};

/* ---- Arguments ------------------------------------------------------------------------------ */

static bool take_number(struct command_context *c, size_t index, uint64_t *number)
{
    int64_t value;
    if (!argument_count(c, index, &value))
        return false;
    *number = (uint64_t)value;
    return true;
}

static bool take_return(struct command_context *c, size_t *index, struct range_arguments *taken)
{
    uint64_t count;
    if (!take_number(c, *index + 1, &count))
        return false;
    if (count == 0 || count > c->count - *index - 2 || taken->no_values) {
        reply_syntax_error(c);
        return false;
    }
    taken->return_first = *index + 2;
    taken->return_count = (size_t)count;
    *index += 1 + (size_t)count;
    return true;
}

static bool take_cursor(struct command_context *c, size_t index, struct range_arguments *taken)
{
    bool is_start;
    if (!log_cursor_parse(c->arguments[index], &is_start, &taken->cursor)) {
        reply_error(c, "ERR invalid cursor");
        return false;
    }
    taken->has_cursor = !is_start;
    return true;
}

/* One option at *index, left at its last word. *taken_any: it was one. */
static bool take_option(struct command_context *c, size_t *index, struct range_arguments *taken,
                        bool *taken_any)
{
    bool has_more = *index + 1 < c->count;
    *taken_any = true;
    if (has_more && argument_is(c, *index, "COUNT")) {
        taken->has_count = true;
        return take_number(c, ++*index, &taken->count);
    }
    if (has_more && argument_is(c, *index, "MAXSIZE"))
        return take_number(c, ++*index, &taken->bytes_max);
    if (has_more && argument_is(c, *index, "TIMEOUT"))
        return take_number(c, ++*index, &taken->timeout_ms);
    if (has_more && argument_is(c, *index, "CURSOR"))
        return take_cursor(c, ++*index, taken);
    if (has_more && argument_is(c, *index, "RETURN"))
        return take_return(c, index, taken);
    if (argument_is(c, *index, "WITHTIME"))
        taken->with_time = true;
    else if (argument_is(c, *index, "WITHCURSOR"))
        taken->with_cursor = true;
    else if (argument_is(c, *index, "NOVALUES") && taken->return_count == 0)
        taken->no_values = true;
    else
        *taken_any = false;
    return true;
}

static bool take_range_options(struct command_context *c, struct range_arguments *taken)
{
    struct log_error error;
    for (size_t i = 4; i < c->count; i++) {
        bool taken_any;
        size_t used;
        if (!take_option(c, &i, taken, &taken_any))
            return false;
        if (taken_any)
            continue;
        if (!log_filter_take(&taken->filter, c->arguments + i, c->count - i, &used, &error)) {
            reply_errorf(c, "ERR %s", error.text);
            return false;
        }
        if (used == 0) {
            reply_syntax_error(c);
            return false;
        }
        i += used - 1;
    }
    if (log_filter_compile(&taken->filter, &error))
        return true;
    reply_errorf(c, "ERR %s", error.text);
    return false;
}

/* What is left behind the cursor. */
static void apply_cursor(struct range_arguments *taken)
{
    struct stream_moment moment = taken->cursor;
    bool is_more =
        taken->is_reverse ? stream_moment_decrement(&moment) : stream_moment_increment(&moment);
    if (!is_more)
        taken->is_empty = true;
    else if (taken->is_reverse && stream_moment_compare(moment, taken->last) < 0)
        taken->last = moment;
    else if (!taken->is_reverse && stream_moment_compare(moment, taken->first) > 0)
        taken->first = moment;
    taken->is_empty |= stream_moment_compare(taken->first, taken->last) > 0;
}

static bool take_range(struct command_context *c, struct range_arguments *taken)
{
    struct log_error error;
    struct slice first = c->arguments[taken->is_reverse ? 3 : 2];
    struct slice last = c->arguments[taken->is_reverse ? 2 : 3];
    if (!log_bounds_parse(first, last, c->now_ms, &taken->first, &taken->last, &taken->is_empty,
                          &error)) {
        reply_errorf(c, "ERR %s", error.text);
        return false;
    }
    if (!take_range_options(c, taken))
        return false;
    if (taken->has_cursor)
        apply_cursor(taken);
    return true;
}

/* ---- The reply ------------------------------------------------------------------------------ */

static bool is_returned(const struct command_context *c, const struct range_arguments *taken,
                        struct slice name)
{
    for (size_t i = 0; i < taken->return_count; i++)
        if (slice_equal(c->arguments[taken->return_first + i], name))
            return true;
    return taken->return_count == 0;
}

static enum status reply_some_fields(struct command_context *c, const struct range_arguments *taken,
                                     const struct stream_entry *entry)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    size_t mark = resp_deferred(c->reply), count = 0;
    while (stream_fields_next(&fields, &field)) {
        if (!is_returned(c, taken, field.name))
            continue;
        resp_bulk(c->reply, field.name);
        count++;
        if (taken->no_values)
            continue;
        resp_bulk(c->reply, field.value);
        count++;
    }
    resp_deferred_array(c->reply, mark, count);
    return fields.is_corrupt ? STATUS_CORRUPT : STATUS_OK;
}

static enum status reply_log_entry(struct command_context *c, const struct range_arguments *taken,
                                   const struct stream_entry *entry)
{
    resp_array(c->reply, taken->with_time ? 3 : 2);
    reply_stream_id(c->reply, entry->id);
    enum status status = taken->return_count > 0 || taken->no_values
                             ? reply_some_fields(c, taken, entry)
                             : reply_stream_fields(c->reply, entry);
    if (!status && taken->with_time)
        resp_integer(c->reply, (int64_t)entry->event_ms);
    return status;
}

/* Whether a limit of the call is reached, which the client did not count in entries. */
static bool is_cut(struct command_context *c, const struct range_arguments *taken,
                   size_t reply_bytes, uint64_t looked_at, uint64_t deadline_us)
{
    if (taken->bytes_max > 0 && reply_bytes >= taken->bytes_max)
        return true;
    return taken->timeout_ms > 0 && looked_at % ENTRIES_PER_CLOCK == 0 &&
           env_monotonic_us(store_env(c->access->store)) >= deadline_us;
}

static uint64_t deadline_after(struct command_context *c, uint64_t ms)
{
    uint64_t now_us = env_monotonic_us(store_env(c->access->store));
    return ms < (UINT64_MAX - now_us) / 1000 ? now_us + ms * 1000 : UINT64_MAX;
}

static enum status reply_entries(struct command_context *c, const struct range_arguments *taken,
                                 const struct stream *stream, struct range_result *result)
{
    struct log_range range;
    struct stream_entry entry;
    size_t mark = resp_deferred(c->reply), start = c->reply->out->size;
    uint64_t deadline_us = 0, looked_at = 0;
    enum status status = STATUS_OK;
    if (taken->timeout_ms > 0)
        deadline_us = deadline_after(c, taken->timeout_ms);
    log_range_open(c->access, stream, taken->first, taken->last, taken->is_reverse, &range);
    while (!(taken->has_count && result->shown >= taken->count)) {
        status = log_range_next(&range, &entry);
        if (status)
            break;
        result->has_last = true;
        result->last = log_entry_moment(&entry);
        result->scanned_bytes += (uint64_t)(entry.end - entry.fields);
        if (log_filter_passes(&taken->filter, &entry)) {
            status = reply_log_entry(c, taken, &entry);
            if (!status)
                status = command_reply_check(c);
            if (status)
                break;
            result->shown++;
        }
        status = command_work_check(c, result->scanned_bytes);
        if (status)
            break;
        result->is_partial =
            is_cut(c, taken, c->reply->out->size - start, ++looked_at, deadline_us);
        if (result->is_partial)
            break;
    }
    log_range_close(&range);
    resp_deferred_array(c->reply, mark, result->shown);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Where to go on: behind the last entry that was looked at; else where the call began. */
static void reply_cursor(struct command_context *c, const struct range_arguments *taken,
                         const struct range_result *result)
{
    char text[LOG_CURSOR_TEXT_MAX] = "0";
    size_t size = 1;
    if (result->has_last)
        size = log_cursor_format(result->last, text);
    else if (taken->has_cursor)
        size = log_cursor_format(taken->cursor, text);
    resp_bulk(c->reply, slice_make(text, size));
}

static enum status log_range_reply(struct command_context *c, bool is_reverse)
{
    struct range_arguments taken = {.is_reverse = is_reverse};
    struct range_result result = {0};
    struct stream stream = {0};
    struct buffer *out = c->reply->out;
    if (!take_range(c, &taken))
        return STATUS_OK;
    enum status status = command_lookup(c, stream_find(c->access, c->arguments[1], &stream));
    if (status && status != STATUS_NOT_FOUND)
        return status;
    /* The cursor stands in front and is known last: the entries are written behind its place. */
    size_t start = out->size;
    if (status == STATUS_NOT_FOUND || taken.is_empty)
        resp_array(c->reply, 0);
    else if ((status = reply_entries(c, &taken, &stream, &result)) != STATUS_OK)
        return status;
    if (!taken.with_cursor)
        return STATUS_OK;
    size_t entries_end = out->size;
    resp_array(c->reply, 4);
    reply_cursor(c, &taken, &result);
    size_t head = out->size - entries_end;
    status = command_reply_reserve(c, head);
    if (status)
        return status;
    memmove(out->data + start + head, out->data + start, entries_end + head - start);
    memcpy(out->data + start, out->data + entries_end + head, head);
    resp_integer(c->reply, (int64_t)result.scanned_bytes);
    resp_integer(c->reply, result.is_partial);
    return STATUS_OK;
}

enum status log_range_command(struct command_context *c)
{
    return log_range_reply(c, false);
}

enum status log_revrange_command(struct command_context *c)
{
    return log_range_reply(c, true);
}
