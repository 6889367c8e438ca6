/* SPDX-License-Identifier: MIT */
/* The JSON protocol's requests, on the write and read functions of logs. */
#include "commands/json_request.h"

#include "base/memory.h"
#include "commands/log_limits.h"
#include "json/json.h"

#include <assert.h>
#include <stdio.h>

enum {
    ENTRY_BYTES = 256,                        /* an entry's keys, index records and lengths */
    ENTRIES_KEPT_MAX = 4096,                  /* a line with more leaves nothing behind */
    ID_REPLY_BYTES = STREAM_ID_TEXT_MAX + 32, /* an ID of a reply, or the rest of the reply */
};

struct json_request {
    struct json_line line;
    struct slice key; /* of the log */
    struct buffer default_key;
    struct slice *fields;  /* names and values by turns, of all entries of the line */
    size_t field_capacity; /* slices */
    uint8_t *kinds;        /* a byte a pair */
};

struct json_request *json_request_create(void)
{
    return memory_zeroed(1, sizeof(struct json_request));
}

void json_request_end(struct json_request *request)
{
    const struct json_line *line = &request->line;
    if (line->entry_capacity <= ENTRIES_KEPT_MAX && line->field_capacity <= ENTRIES_KEPT_MAX)
        return;
    json_line_release(&request->line);
    memory_free(request->fields);
    memory_free(request->kinds);
    request->fields = NULL;
    request->kinds = NULL;
    request->field_capacity = 0;
}

void json_request_destroy(struct json_request *request)
{
    if (!request)
        return;
    json_line_release(&request->line);
    buffer_release(&request->default_key);
    memory_free(request->fields);
    memory_free(request->kinds);
    memory_free(request);
}

static void reply_error_code(struct command_context *c, const char *code, const char *text)
{
    struct json_error error;
    json_error_set(&error, code, "%s", text);
    json_reply_error(c->reply->out, &error);
}

/* ---- Parsing -------------------------------------------------------------------------------- */

static void authenticate(struct json_request *request, struct command_context *c)
{
    struct slice user = request->line.has_user ? request->line.user : slice_from("default");
    if (session_authenticate(c->session, user, request->line.password))
        json_reply_ok(c->reply->out);
    else
        reply_error_code(c, "invalid_auth", "wrong user or password");
}

/* false: an entry's time is too far in the future; the error is replied. */
static bool check_times(struct json_request *request, struct command_context *c)
{
    struct log_limits limits = log_limits_of(service_config(c->service));
    const struct json_line *line = &request->line;
    struct log_error log_error;
    for (size_t i = 0; i < line->entry_count; i++) {
        if (!line->entries[i].has_timestamp ||
            log_check_time(&limits, line->entries[i].timestamp, c->now_ms, &log_error))
            continue;
        struct json_error error;
        json_error_set(&error, "invalid_timestamp", "%s", log_error.text);
        error.has_entry = line->action == JSON_WRITE_MANY;
        error.entry = i;
        json_reply_error(c->reply->out, &error);
        return false;
    }
    return true;
}

/* Room for the fields of all entries; false: there is no memory. */
static bool reserve_fields(struct json_request *request, size_t count)
{
    if (2 * count <= request->field_capacity)
        return true;
    struct slice *fields = memory_ask_resize(request->fields, 2 * count * sizeof *request->fields);
    if (fields)
        request->fields = fields;
    uint8_t *kinds = fields ? memory_ask_resize(request->kinds, count) : NULL;
    if (!kinds)
        return false;
    request->kinds = kinds;
    request->field_capacity = 2 * count;
    return true;
}

static void collect_fields(struct json_request *request)
{
    const struct json_line *line = &request->line;
    for (size_t i = 0; i < line->field_count; i++) {
        request->fields[2 * i] = line->fields[i].name;
        request->fields[2 * i + 1] = line->fields[i].value;
        request->kinds[i] = line->fields[i].is_json ? STREAM_FIELD_JSON : STREAM_FIELD_BYTES;
    }
}

static bool check_cursor(struct json_request *request, struct command_context *c)
{
    bool is_start;
    struct stream_moment moment;
    if (!request->line.has_cursor || log_cursor_parse(request->line.cursor, &is_start, &moment))
        return true;
    reply_error_code(c, "invalid_cursor", "not a cursor of a reply");
    return false;
}

static void choose_key(struct json_request *request, struct command_context *c)
{
    request->key = request->line.log;
    if (request->line.has_log)
        return;
    buffer_clear(&request->default_key);
    config_string(service_config(c->service), CONFIG_json_log, &request->default_key);
    request->key = buffer_slice(&request->default_key);
}

enum json_request_access json_request_parse(struct json_request *request, struct command_context *c)
{
    struct json_error error;
    struct log_limits limits = log_limits_of(service_config(c->service));
    struct json_limits json_limits = {.message_bytes_max = (size_t)limits.message_bytes_max};
    bool is_decoded = json_line_decode(&request->line, c->arguments[0], &json_limits, &error);
    bool is_auth = is_decoded && request->line.action == JSON_AUTH;
    if (!session_is_authenticated(c->session) && !is_auth) {
        reply_error_code(c, "auth_required",
                         "send {\"action\":\"auth\",\"user\":...,\"password\":...} first");
        return JSON_ACCESS_NONE;
    }
    if (!is_decoded) {
        json_reply_error(c->reply->out, &error);
        return JSON_ACCESS_NONE;
    }
    if (is_auth) {
        authenticate(request, c);
        return JSON_ACCESS_NONE;
    }
    choose_key(request, c);
    if (request->line.action == JSON_READ)
        return check_cursor(request, c) ? JSON_ACCESS_READ : JSON_ACCESS_NONE;
    if (!check_times(request, c))
        return JSON_ACCESS_NONE;
    if (request->line.entry_count == 0) {
        struct json_list list;
        json_reply_ids_begin(&list, c->reply->out);
        json_reply_ids_end(&list);
        return JSON_ACCESS_NONE;
    }
    if (!reserve_fields(request, request->line.field_count)) {
        json_reply_status(c, STATUS_NO_MEMORY);
        return JSON_ACCESS_NONE;
    }
    collect_fields(request);
    return JSON_ACCESS_WRITE;
}

size_t json_request_bytes_max(const struct json_request *request)
{
    const struct json_line *line = &request->line;
    size_t bytes = request->key.size;
    for (size_t i = 0; i < line->entry_count; i++)
        bytes += line->entries[i].message.size + ENTRY_BYTES;
    for (size_t i = 0; i < line->field_count; i++)
        bytes += line->fields[i].name.size + line->fields[i].value.size;
    return access_write_bytes(bytes, 2 * line->field_count + 2);
}

/* ---- Writing -------------------------------------------------------------------------------- */

static struct slice id_text(struct stream_id id, char at[STREAM_ID_TEXT_MAX])
{
    size_t size = stream_id_format(id, at);
    return slice_make(at, size);
}

static struct stream_id write_entry(struct json_request *request, struct command_context *c,
                                    struct log_writer *writer, const struct json_entry *entry)
{
    struct log_line line = {.message = entry->message,
                            .has_time = entry->has_timestamp,
                            .event_ms = entry->timestamp,
                            .field_count = entry->field_count};
    if (entry->field_count > 0) {
        line.fields = request->fields + 2 * entry->field_first;
        const uint8_t *kinds = request->kinds + entry->field_first;
        if (memchr(kinds, STREAM_FIELD_JSON, entry->field_count))
            line.kinds = kinds;
    }
    return log_write_line(c->access, writer, &line);
}

/* For the largest entry. */
static enum status reserve_entries(struct json_request *request, struct command_context *c)
{
    const struct json_line *line = &request->line;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < line->entry_count && !status; i++) {
        const struct json_entry *entry = &line->entries[i];
        size_t bytes = entry->message.size;
        for (size_t k = 0; k < entry->field_count; k++) {
            const struct json_field *field = &line->fields[entry->field_first + k];
            bytes += field->name.size + field->value.size;
        }
        status = log_reserve(c->access, entry->field_count, bytes);
    }
    return status;
}

static enum status run_write(struct json_request *request, struct command_context *c)
{
    const struct json_line *line = &request->line;
    struct log_writer writer;
    struct json_list list;
    char text[STREAM_ID_TEXT_MAX];
    bool is_many = line->action == JSON_WRITE_MANY;
    enum status status = command_reply_reserve(c, (line->entry_count + 1) * ID_REPLY_BYTES);
    if (!status)
        status = reserve_entries(request, c);
    if (!status)
        status = log_write_begin(c->access, request->key, false, line->entry_count, &writer);
    if (status)
        return status;
    if (is_many)
        json_reply_ids_begin(&list, c->reply->out);
    for (size_t i = 0; i < line->entry_count; i++) {
        struct slice id = id_text(write_entry(request, c, &writer, &line->entries[i]), text);
        if (is_many)
            json_reply_ids_add(&list, id);
        else
            json_reply_id(c->reply->out, id);
    }
    if (is_many)
        json_reply_ids_end(&list);
    log_write_end(c->access, &writer);
    return STATUS_OK;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* The message is the first field of that name, everything else is metadata. */
static enum status reply_entry(struct json_list *list, const struct stream_entry *entry)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field, message = {0};
    bool has_message = stream_entry_find_field(entry, slice_from("message"), &message);
    bool is_first = true;
    json_reply_entry_begin(list, entry->event_ms, message.value);
    while (stream_fields_next(&fields, &field)) {
        if (has_message && field.name.data == message.name.data)
            continue;
        json_reply_entry_field(list, is_first,
                               &(struct json_field){.name = field.name,
                                                    .value = field.value,
                                                    .is_json = field.kind == STREAM_FIELD_JSON});
        is_first = false;
    }
    json_reply_entry_end(list);
    return fields.is_corrupt ? STATUS_CORRUPT : STATUS_OK;
}

/* The moment to begin at; false: nothing can follow. */
static bool first_moment(const struct json_line *line, struct stream_moment *first)
{
    bool is_start = true;
    struct stream_moment cursor;
    *first = (struct stream_moment){line->start_ts, STREAM_ID_MIN};
    if (line->has_cursor)
        (void)log_cursor_parse(line->cursor, &is_start, &cursor); /* it was checked */
    if (is_start)
        return true;
    if (!stream_moment_increment(&cursor))
        return false;
    if (stream_moment_compare(cursor, *first) > 0)
        *first = cursor;
    return true;
}

/* Entries up to the limit. *next: the cursor, if there are more; size 0 if not. */
static enum status reply_entries(struct command_context *c, const struct json_line *line,
                                 struct log_range *range, struct json_list *list,
                                 char next[LOG_CURSOR_TEXT_MAX], size_t *next_size)
{
    struct stream_entry entry;
    struct stream_moment last = {0};
    enum status status;
    uint64_t shown = 0;
    while ((status = log_range_next(range, &entry)) == STATUS_OK) {
        if (line->has_limit && shown == line->limit) {
            if (shown > 0)
                *next_size = log_cursor_format(last, next);
            return STATUS_OK;
        }
        status = reply_entry(list, &entry);
        if (!status)
            status = command_reply_check(c);
        if (status)
            return status;
        last = log_entry_moment(&entry);
        shown++;
    }
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status run_read(struct json_request *request, struct command_context *c)
{
    const struct json_line *line = &request->line;
    struct stream stream;
    struct json_list list;
    struct stream_moment first, last = {line->end_ts, STREAM_ID_MAX};
    char next[LOG_CURSOR_TEXT_MAX];
    size_t next_size = 0;
    enum status status = command_lookup(c, stream_find(c->access, request->key, &stream));
    if (status && status != STATUS_NOT_FOUND)
        return status;
    json_reply_data_begin(&list, c->reply->out);
    bool is_readable =
        !status && first_moment(line, &first) && stream_moment_compare(first, last) <= 0;
    status = STATUS_OK;
    if (is_readable) {
        struct log_range range;
        log_range_open(c->access, &stream, first, last, false, &range);
        status = reply_entries(c, line, &range, &list, next, &next_size);
        log_range_close(&range);
    }
    json_reply_data_end(&list, slice_make(next, next_size));
    return status;
}

enum status json_request_run(struct json_request *request, struct command_context *c)
{
    return request->line.action == JSON_READ ? run_read(request, c) : run_write(request, c);
}

/* ---- Errors of the session ------------------------------------------------------------------ */

void json_reply_status(struct command_context *c, enum status status)
{
    switch (status) {
    case STATUS_NO_SPACE:
        reply_error_code(c, "storage_full",
                         "no space left on the disk; writing goes on by itself when there is");
        break;
    case STATUS_READ_ONLY:
        reply_error_code(c, "read_only",
                         "a write to the disk has failed; reads go on, writes after a restart");
        break;
    case STATUS_WRONG_TYPE:
        reply_error_code(c, "wrong_type", "the key of this log holds another type");
        break;
    case STATUS_NO_MEMORY:
        reply_error_code(c, JSON_NO_MEMORY, status_text(status));
        break;
    case STATUS_TOO_LARGE:
        if (c->has_no_memory)
            reply_error_code(
                c, JSON_NO_MEMORY,
                "the memory for clients is used up for the moment (maxmemory-clients)");
        else if (c->reply_is_too_large)
            reply_error_code(c, "reply_too_large",
                             "the reply is larger than max-reply-size; read it in pages, by limit "
                             "and cursor");
        else
            reply_error_code(c, "too_large", "the log's name is too long, or it has no ID left");
        break;
    default:
        reply_error_code(c, "internal_error", status_text(status));
    }
}

void json_reply_out_of_memory(struct command_context *c)
{
    reply_error_code(c, JSON_NO_MEMORY,
                     "writes are refused while used memory is above maxmemory; reads go on");
}

void json_reply_line_too_long(struct command_context *c, size_t bytes_max)
{
    struct json_error error = {.code = "line_too_long", .bytes_max = bytes_max};
    json_reply_error(c->reply->out, &error);
}

void json_reply_half_line(struct command_context *c)
{
    reply_error_code(c, "invalid_json", "the connection ended inside a line");
}
