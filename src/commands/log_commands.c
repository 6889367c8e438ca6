/* SPDX-License-Identifier: MIT */
/* LOG.WRITE and LOG.MWRITE: lines become entries of a stream, with a level and their own time. */
#include "commands/log_limits.h"
#include "commands/stream_reply.h"

#include "json/json.h"
#include "types/log_severity.h"

#include <stdio.h>

static enum status reply_log_error(struct command_context *c, const struct log_error *error)
{
    return reply_errorf(c, "ERR %s", error->text);
}

/* The level's own name. false: the error is replied. */
static bool take_level(struct command_context *c, size_t index, struct slice *level)
{
    enum log_severity severity;
    struct slice text = c->arguments[index];
    if (log_severity_parse(text, &severity)) {
        *level = slice_from(log_severity_name(severity));
        return true;
    }
    reply_errorf(c, "ERR unknown level '%.*s'", (int)(text.size < 64 ? text.size : 64),
                 text.size ? (const char *)text.data : "");
    return false;
}

/* The status of log_write_begin. */
static enum status reply_begin_failure(struct command_context *c, enum status status)
{
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (status == STATUS_TOO_LARGE)
        return reply_error(c, "ERR The stream has exhausted the last possible ID, unable to add "
                              "more items");
    return status;
}

static size_t line_bytes(const struct log_line *line)
{
    size_t bytes = line->message.size;
    for (size_t i = 0; i < 2 * line->field_count; i++)
        bytes += line->fields[i].size;
    return bytes;
}

/* ---- LOG.WRITE ------------------------------------------------------------------------------ */

struct write_arguments {
    bool no_create;
    struct log_line line;
};

static bool take_time(struct command_context *c, size_t index, struct log_line *line)
{
    struct log_error error;
    struct log_limits limits = log_limits_of(service_config(c->service));
    if (log_time_parse(c->arguments[index], c->now_ms, &line->event_ms, &error) &&
        log_check_time(&limits, line->event_ms, c->now_ms, &error)) {
        line->has_time = true;
        return true;
    }
    reply_log_error(c, &error);
    return false;
}

/* Options up to "--" or the message, whose place is *index. false: the error is replied. */
static bool take_write_options(struct command_context *c, struct write_arguments *taken,
                               size_t *index)
{
    for (size_t i = 2; i < c->count; i++) {
        bool has_more = i + 1 < c->count;
        if (slice_equal(c->arguments[i], slice_from("--"))) {
            *index = i + 1;
            return true;
        }
        if (argument_is(c, i, "NOMKSTREAM")) {
            taken->no_create = true;
        } else if (has_more && argument_is(c, i, "TS")) {
            if (!take_time(c, ++i, &taken->line))
                return false;
        } else if (has_more && argument_is(c, i, "LEVEL")) {
            if (!take_level(c, ++i, &taken->line.level))
                return false;
        } else if (argument_is(c, i, "IDMP") || argument_is(c, i, "IDMPAUTO")) {
            reply_error(c, "ERR syntax error, IDMP and IDMPAUTO are not known yet; a message of "
                           "that text goes behind --");
            return false;
        } else {
            *index = i;
            return true;
        }
    }
    *index = c->count;
    return true;
}

enum status log_write_command(struct command_context *c)
{
    struct write_arguments taken = {0};
    struct log_limits limits = log_limits_of(service_config(c->service));
    struct log_writer writer;
    struct log_error error;
    size_t index;
    if (!take_write_options(c, &taken, &index))
        return STATUS_OK;
    if (index >= c->count || (c->count - index) % 2 == 0)
        return reply_wrong_arity(c);
    struct log_line *line = &taken.line;
    line->message = c->arguments[index];
    line->fields = c->arguments + index + 1;
    line->field_count = (c->count - index - 1) / 2;
    if (!log_check_message(&limits, line->message, &error))
        return reply_log_error(c, &error);
    enum status status = log_reserve(c->access, line->field_count, line_bytes(line));
    if (!status)
        status = log_write_begin(c->access, c->arguments[1], taken.no_create, 1, &writer);
    if (status)
        return reply_begin_failure(c, status);
    reply_stream_id(c->reply, log_write_line(c->access, &writer, line));
    log_write_end(c->access, &writer);
    return STATUS_OK;
}

/* ---- LOG.MWRITE ----------------------------------------------------------------------------- */

/* [first-id, last-id, written, duplicates] */
static enum status reply_written(struct command_context *c, const struct log_writer *writer)
{
    resp_array(c->reply, 4);
    reply_stream_id(c->reply, writer->first_id);
    reply_stream_id(c->reply, writer->last_id);
    resp_integer(c->reply, (int64_t)writer->count);
    resp_integer(c->reply, 0);
    return STATUS_OK;
}

static enum status write_lines(struct command_context *c, struct slice level, size_t first)
{
    struct log_limits limits = log_limits_of(service_config(c->service));
    struct log_writer writer;
    struct log_error error;
    size_t count = c->count - first, longest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!log_check_message(&limits, c->arguments[first + i], &error))
            return reply_errorf(c, "ERR line %zu: %s", i + 1, error.text);
        if (c->arguments[first + i].size > longest)
            longest = c->arguments[first + i].size;
    }
    enum status status = log_reserve(c->access, 0, longest);
    if (!status)
        status = log_write_begin(c->access, c->arguments[1], false, count, &writer);
    if (status)
        return reply_begin_failure(c, status);
    for (size_t i = 0; i < count; i++)
        (void)log_write_line(c->access, &writer,
                             &(struct log_line){.message = c->arguments[first + i],
                                                .level = level}); /* the reply names two of them */
    log_write_end(c->access, &writer);
    return reply_written(c, &writer);
}

/* A blob of NDJSON, read twice: first every line is checked, then every line is written. The memory that
 * the first reading takes is kept for the second, which cannot fail. */
struct records {
    struct command_context *c;
    struct slice default_level;
    struct log_limits limits;
    struct json_line json;
    struct buffer fields; /* struct slice: names and values of one record by turns */
    struct buffer kinds;
    size_t field_count_max, bytes_max; /* of a line, as log_reserve counts */
    bool lack_memory;                  /* why a line was not decoded */
};

/* The next line that is not blank. *number counts all lines, from 1. */
static bool next_line(struct slice *blob, struct slice *line, size_t *number)
{
    while (blob->size > 0) {
        const uint8_t *end = memchr(blob->data, '\n', blob->size);
        size_t size = end ? (size_t)(end - blob->data) : blob->size;
        *line = slice_make(blob->data, size);
        *blob = slice_skip(*blob, end ? size + 1 : size);
        ++*number;
        for (size_t i = 0; i < size; i++)
            if (!memchr(" \t\r", line->data[i], 3))
                return true;
    }
    return false;
}

/* The decoded line's fields; false: there is no memory. */
static bool collect_fields(struct records *records, bool *has_level)
{
    buffer_clear(&records->fields);
    buffer_clear(&records->kinds);
    for (size_t i = 0; i < records->json.field_count; i++) {
        const struct json_field *field = &records->json.fields[i];
        *has_level |= slice_equal(field->name, slice_from("level"));
        buffer_append(&records->fields, &field->name, sizeof field->name);
        buffer_append(&records->fields, &field->value, sizeof field->value);
        buffer_append_byte(&records->kinds,
                           field->is_json ? STREAM_FIELD_JSON : STREAM_FIELD_BYTES);
    }
    records->lack_memory = records->fields.failed || records->kinds.failed;
    return !records->lack_memory;
}

/* A line of the blob as a line of the log, valid until the next. */
static bool decode_record(struct records *records, struct slice text, struct log_line *line,
                          struct log_error *error)
{
    struct json_error json_error;
    const struct json_limits json_limits = {.message_bytes_max =
                                                (size_t)records->limits.message_bytes_max};
    if (!json_record_decode(&records->json, text, &json_limits, &json_error)) {
        records->lack_memory = strcmp(json_error.code, JSON_NO_MEMORY) == 0;
        if (json_error.text[0])
            snprintf(error->text, sizeof error->text, "%s", json_error.text);
        else
            (void)log_check_message(&records->limits, slice_make(NULL, SIZE_MAX), error);
        return false;
    }
    const struct json_entry *entry = &records->json.entries[0];
    bool has_level = false;
    if (!collect_fields(records, &has_level))
        return false;
    *line = (struct log_line){.message = entry->message,
                              .level = has_level ? slice_make(NULL, 0) : records->default_level,
                              .has_time = entry->has_timestamp,
                              .event_ms = entry->timestamp,
                              .fields = (const struct slice *)records->fields.data,
                              .field_count = records->json.field_count};
    if (memchr(records->kinds.data ? records->kinds.data : (const uint8_t *)"", STREAM_FIELD_JSON,
               records->kinds.size))
        line->kinds = records->kinds.data;
    if (entry->timestamp_text.data &&
        !log_time_parse(entry->timestamp_text, records->c->now_ms, &line->event_ms, error))
        return false;
    return !line->has_time ||
           log_check_time(&records->limits, line->event_ms, records->c->now_ms, error);
}

static bool check_records(struct records *records, struct slice blob, uint64_t *count)
{
    struct slice text;
    struct log_line line;
    struct log_error error;
    size_t number = 0;
    *count = 0;
    while (next_line(&blob, &text, &number)) {
        if (!decode_record(records, text, &line, &error)) {
            if (!records->lack_memory)
                reply_errorf(records->c, "ERR line %zu: %s", number, error.text);
            return false;
        }
        if (line.field_count > records->field_count_max)
            records->field_count_max = line.field_count;
        if (line_bytes(&line) > records->bytes_max)
            records->bytes_max = line_bytes(&line);
        ++*count;
    }
    if (*count == 0)
        reply_error(records->c, "ERR no lines");
    return *count > 0;
}

static enum status write_records(struct records *records, struct slice blob)
{
    struct command_context *c = records->c;
    struct log_writer writer;
    struct log_line line;
    struct log_error error;
    struct slice text;
    uint64_t count;
    size_t number = 0;
    if (!check_records(records, blob, &count))
        return records->lack_memory ? STATUS_NO_MEMORY : STATUS_OK;
    enum status status = log_reserve(c->access, records->field_count_max, records->bytes_max);
    if (!status)
        status = log_write_begin(c->access, c->arguments[1], false, count, &writer);
    if (status)
        return reply_begin_failure(c, status);
    while (next_line(&blob, &text, &number)) {
        (void)decode_record(records, text, &line, &error); /* it was checked */
        (void)log_write_line(c->access, &writer, &line);   /* the reply names two of them */
    }
    log_write_end(c->access, &writer);
    return reply_written(c, &writer);
}

enum status log_mwrite_command(struct command_context *c)
{
    struct slice level = {0};
    size_t index = 2;
    if (argument_is(c, index, "LEVEL") && index + 1 < c->count) {
        if (!take_level(c, index + 1, &level))
            return STATUS_OK;
        index += 2;
    }
    if (argument_is(c, index, "LINES") && index + 1 < c->count) {
        int64_t count;
        if (!argument_count(c, index + 1, &count))
            return STATUS_OK;
        if (count < 1 || (uint64_t)count != c->count - index - 2)
            return reply_error(c, "ERR the number of lines does not match LINES");
        return write_lines(c, level, index + 2);
    }
    if (!argument_is(c, index, "NDJSON") || index + 2 != c->count)
        return reply_syntax_error(c);
    struct records records = {
        .c = c,
        .default_level = level,
        .limits = log_limits_of(service_config(c->service)),
        .json.keeps_memory = true,
        .fields.may_fail = true,
        .kinds.may_fail = true,
    };
    enum status status = write_records(&records, c->arguments[index + 1]);
    json_line_release(&records.json);
    buffer_release(&records.fields);
    buffer_release(&records.kinds);
    return status;
}
