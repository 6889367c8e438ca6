/* SPDX-License-Identifier: MIT */
/* A request out of one line. The line is read once as a whole, which checks it to its end and finds
 * the members of the outer object; entries and metadata are then read again in place. No tree is
 * built: strings without escapes stay in the line. */
#include "json/json.h"

#include "base/memory.h"
#include "json/json_reader.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES_KEPT_MAX = 1 << 20, FEW_FIELDS_MAX = 16 };

/* The members that are known; those of an entry first. */
enum member {
    MEMBER_MESSAGE,
    MEMBER_METADATA,
    MEMBER_TIMESTAMP,
    ENTRY_MEMBER_COUNT,
    MEMBER_ACTION = ENTRY_MEMBER_COUNT,
    MEMBER_LOG,
    MEMBER_ENTRIES,
    MEMBER_START_TS,
    MEMBER_END_TS,
    MEMBER_LIMIT,
    MEMBER_CURSOR,
    MEMBER_USER,
    MEMBER_PASSWORD,
    MEMBER_COUNT
};

static const char *const member_names[MEMBER_COUNT] = {
    "message",  "metadata", "timestamp", "action", "log",  "entries",
    "start_ts", "end_ts",   "limit",     "cursor", "user", "password",
};

/* An object's members; what was not sent, or is null, has kind JSON_NULL. */
struct members {
    struct json_value values[MEMBER_COUNT];
};

void json_error_set(struct json_error *error, const char *code, const char *format, ...)
{
    va_list arguments;

    *error = (struct json_error){.code = code};
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
}

static bool fail(struct json_error *error, const char *code, const char *text)
{
    json_error_set(error, code, "%s", text);
    return false;
}

static bool fail_for_memory(struct json_error *error)
{
    return fail(error, JSON_NO_MEMORY, status_text(STATUS_NO_MEMORY));
}

/* A string's bytes. Each string of a line is asked for at most once, so all of them fit into
 * `unescaped`, which never moves. */
static struct slice string_bytes(struct json_line *request, const struct json_value *value)
{
    assert(value->kind == JSON_STRING);
    if (!value->has_escapes)
        return value->text;
    size_t start = request->unescaped.size;
    assert(request->unescaped.capacity - start >= value->text.size);
    json_unescape(value->text, &request->unescaped);
    return slice_make(request->unescaped.data + start, request->unescaped.size - start);
}

/* Takes the members of the object that comes next, the first `known` names' values. */
static bool take_members(struct json_line *request, struct json_reader *reader, size_t known,
                         struct members *members)
{
    struct json_value key, value;

    for (size_t i = 0; i < known; i++)
        members->values[i].kind = JSON_NULL;
    if (!json_reader_enter(reader, JSON_OBJECT))
        return false;
    while (json_reader_member(reader, &key)) {
        if (!json_reader_value(reader, &value))
            return false;
        struct slice name = string_bytes(request, &key);
        for (size_t i = 0; i < known; i++) {
            if (slice_equal(name, slice_from(member_names[i]))) {
                members->values[i] = value;
                break;
            }
        }
    }
    return !reader->error;
}

/* ---- Values
 * ---------------------------------------------------------------------------------------- */

/* Digits only: a sign, a fraction, an exponent or a number above u64 is not one. */
static bool u64_exact(const struct json_value *value, uint64_t *number)
{
    uint64_t result = 0;

    if (value->kind != JSON_NUMBER)
        return false;
    for (size_t i = 0; i < value->text.size; i++) {
        unsigned digit = (unsigned)value->text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, digit, &result))
            return false;
    }
    *number = result;
    return true;
}

/* The three below leave the output alone when the member is not there. */
static bool take_u64(const struct json_value *value, const char *error_code, bool *has,
                     uint64_t *number, struct json_error *error)
{
    if (value->kind == JSON_NULL)
        return true;
    if (!u64_exact(value, number))
        return fail(error, error_code, "InvalidU64");
    *has = true;
    return true;
}

static bool take_text(struct json_line *request, const struct json_value *value,
                      const char *error_code, const char *must_be, bool *has, struct slice *text,
                      struct json_error *error)
{
    if (value->kind == JSON_NULL)
        return true;
    if (value->kind != JSON_STRING)
        return fail(error, error_code, must_be);
    *text = string_bytes(request, value);
    *has = true;
    return true;
}

static bool take_message(struct json_line *request, const struct json_value *value,
                         const struct json_limits *limits, struct slice *message,
                         struct json_error *error)
{
    if (value->kind != JSON_STRING)
        return fail(error, "invalid_message", "message must be a string");
    *message = string_bytes(request, value);
    if (message->size > limits->message_bytes_max) {
        *error = (struct json_error){.code = "message_too_large",
                                     .bytes_max = limits->message_bytes_max};
        return false;
    }
    return true;
}

/* ---- Metadata
 * -------------------------------------------------------------------------------------- */

static bool grow_fields(struct json_line *request)
{
    size_t capacity = request->field_capacity ? 2 * request->field_capacity : 16;
    struct json_field *fields = memory_ask_resize(request->fields, capacity * sizeof *fields);
    if (!fields)
        return false;
    request->fields = fields;
    request->field_capacity = capacity;
    return true;
}

/* NULL: there is no memory, and *error says so. */
static struct json_field *add_field(struct json_line *request, struct json_error *error)
{
    if (request->field_count == request->field_capacity && !grow_fields(request)) {
        (void)fail_for_memory(error); /* false */
        return NULL;
    }
    return &request->fields[request->field_count++];
}

/* By name; of equal names the one that came later first. */
static int compare_fields(const void *a, const void *b)
{
    const struct json_field *const *left = a, *const *right = b;
    int order = slice_compare((*left)->name, (*right)->name);

    return order ? order : (*left < *right) - (*left > *right);
}

static bool grow_order(struct json_line *request, size_t count)
{
    struct json_field **order = memory_ask_resize(request->order, count * sizeof *order);
    if (!order)
        return false;
    request->order = order;
    request->order_capacity = count;
    return true;
}

/* Marks a field that a later one of the same name replaces: no name has NULL as its data. false: there
 * is no memory. */
static bool mark_replaced(struct json_line *request, struct json_field *fields, size_t count)
{
    if (count <= FEW_FIELDS_MAX) {
        for (size_t i = 0; i + 1 < count; i++)
            for (size_t j = i + 1; j < count && fields[i].name.data; j++)
                if (slice_equal(fields[i].name, fields[j].name))
                    fields[i].name.data = NULL;
        return true;
    }
    if (count > request->order_capacity && !grow_order(request, count))
        return false;
    struct json_field **order = request->order;
    for (size_t i = 0; i < count; i++)
        order[i] = &fields[i];
    qsort(order, count, sizeof *order, compare_fields);
    struct slice kept = order[0]->name;
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(order[i]->name, kept))
            order[i]->name.data = NULL;
        else
            kept = order[i]->name;
    }
    return true;
}

static bool drop_replaced(struct json_line *request, size_t first, struct json_error *error)
{
    size_t kept = first;

    if (!mark_replaced(request, request->fields + first, request->field_count - first))
        return fail_for_memory(error);
    for (size_t i = first; i < request->field_count; i++)
        if (request->fields[i].name.data)
            request->fields[kept++] = request->fields[i];
    request->field_count = kept;
    return true;
}

static bool take_metadata(struct json_line *request, const struct json_value *value,
                          struct json_entry *entry, struct json_error *error)
{
    struct json_reader reader;
    struct json_value key, member;

    entry->field_first = request->field_count;
    if (value->kind == JSON_NULL)
        return true;
    if (value->kind != JSON_OBJECT)
        return fail(error, "invalid_metadata", "metadata must be an object");
    json_reader_init(&reader, value->text);
    (void)json_reader_enter(&reader, JSON_OBJECT); /* the whole line was read before */
    while (json_reader_member(&reader, &key)) {
        (void)json_reader_value(&reader, &member); /* likewise */
        struct json_field *field = add_field(request, error);
        if (!field)
            return false;
        field->name = string_bytes(request, &key);
        field->is_json = member.kind != JSON_STRING;
        field->value = field->is_json ? member.text : string_bytes(request, &member);
    }
    assert(!reader.error);
    if (request->field_count - entry->field_first > 1 &&
        !drop_replaced(request, entry->field_first, error))
        return false;
    entry->has_metadata = true;
    entry->field_count = request->field_count - entry->field_first;
    return true;
}

/* ---- Actions
 * --------------------------------------------------------------------------------------- */

static bool grow_entries(struct json_line *request)
{
    size_t capacity = request->entry_capacity ? 2 * request->entry_capacity : 1;
    struct json_entry *entries = memory_ask_resize(request->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    request->entries = entries;
    request->entry_capacity = capacity;
    return true;
}

static bool put_entry(struct json_line *request, const struct json_entry *entry,
                      struct json_error *error)
{
    if (request->entry_count == request->entry_capacity && !grow_entries(request))
        return fail_for_memory(error);
    request->entries[request->entry_count++] = *entry;
    return true;
}

static bool add_entry(struct json_line *request, const struct members *members,
                      const struct json_limits *limits, struct json_error *error)
{
    struct json_entry entry = {0};

    if (!take_message(request, &members->values[MEMBER_MESSAGE], limits, &entry.message, error))
        return false;
    if (!take_metadata(request, &members->values[MEMBER_METADATA], &entry, error))
        return false;
    if (!take_u64(&members->values[MEMBER_TIMESTAMP], "invalid_timestamp", &entry.has_timestamp,
                  &entry.timestamp, error))
        return false;
    return put_entry(request, &entry, error);
}

static bool take_entries(struct json_line *request, const struct json_value *value,
                         const struct json_limits *limits, struct json_error *error)
{
    struct json_reader reader;
    struct members members;
    enum json_kind kind = JSON_NULL;

    if (value->kind != JSON_ARRAY)
        return fail(error, "invalid_entries", "entries must be an array of objects");
    json_reader_init(&reader, value->text);
    (void)json_reader_enter(&reader, JSON_ARRAY); /* the whole line was read before */
    while (json_reader_element(&reader)) {
        bool good = json_reader_peek(&reader, &kind) && kind == JSON_OBJECT;
        if (!good)
            (void)fail(error, "invalid_entries", "an entry must be an object");
        else
            good = take_members(request, &reader, ENTRY_MEMBER_COUNT, &members) &&
                   add_entry(request, &members, limits, error);
        if (!good) {
            error->has_entry = true;
            error->entry = request->entry_count;
            return false;
        }
    }
    assert(!reader.error);
    return true;
}

static bool take_action(struct json_line *request, const struct json_value *value,
                        struct json_error *error)
{
    static const char *const names[] = {"write", "write_many", "read", "auth"};

    if (value->kind == JSON_STRING) {
        struct slice text = string_bytes(request, value);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (slice_equal(text, slice_from(names[i]))) {
                request->action = (enum json_action)i;
                return true;
            }
        }
    }
    return fail(error, "unknown_action", "action must be write, write_many, read or auth");
}

static bool take_read(struct json_line *request, const struct members *members,
                      struct json_error *error)
{
    const struct json_value *values = members->values;
    bool has = false;

    return take_u64(&values[MEMBER_START_TS], "invalid_start_ts", &has, &request->start_ts,
                    error) &&
           take_u64(&values[MEMBER_END_TS], "invalid_end_ts", &has, &request->end_ts, error) &&
           take_u64(&values[MEMBER_LIMIT], "invalid_limit", &request->has_limit, &request->limit,
                    error) &&
           take_text(request, &values[MEMBER_CURSOR], "invalid_cursor", "cursor must be a string",
                     &request->has_cursor, &request->cursor, error);
}

static bool take_auth(struct json_line *request, const struct members *members,
                      struct json_error *error)
{
    bool has_password = false;

    if (!take_text(request, &members->values[MEMBER_USER], "invalid_auth", "user must be a string",
                   &request->has_user, &request->user, error) ||
        !take_text(request, &members->values[MEMBER_PASSWORD], "invalid_auth",
                   "password must be a string", &has_password, &request->password, error))
        return false;
    return has_password || fail(error, "invalid_auth", "password must be a string");
}

static bool take_request(struct json_line *request, const struct members *members,
                         const struct json_limits *limits, struct json_error *error)
{
    if (!take_action(request, &members->values[MEMBER_ACTION], error))
        return false;
    if (request->action == JSON_AUTH)
        return take_auth(request, members, error);
    if (!take_text(request, &members->values[MEMBER_LOG], "invalid_log", "log must be a string",
                   &request->has_log, &request->log, error))
        return false;
    if (request->action == JSON_WRITE)
        return add_entry(request, members, limits, error);
    if (request->action == JSON_WRITE_MANY)
        return take_entries(request, &members->values[MEMBER_ENTRIES], limits, error);
    return take_read(request, members, error);
}

static bool holds_much(const struct json_line *request)
{
    return request->entry_capacity * sizeof *request->entries > BYTES_KEPT_MAX ||
           request->field_capacity * sizeof *request->fields > BYTES_KEPT_MAX ||
           request->order_capacity * sizeof *request->order > BYTES_KEPT_MAX ||
           request->unescaped.capacity > BYTES_KEPT_MAX;
}

/* Empties the request; small memory is kept for the next line. */
static void forget(struct json_line *request)
{
    if (!request->keeps_memory && holds_much(request))
        json_line_release(request);
    struct json_line kept = {
        .end_ts = UINT64_MAX,
        .entries = request->entries,
        .entry_capacity = request->entry_capacity,
        .fields = request->fields,
        .field_capacity = request->field_capacity,
        .order = request->order,
        .order_capacity = request->order_capacity,
        .unescaped = request->unescaped,
        .keeps_memory = request->keeps_memory,
    };
    buffer_clear(&kept.unescaped);
    *request = kept;
}

/* false: there is no memory for its strings, and *error says so. */
static bool begin_line(struct json_line *request, struct slice line, struct json_reader *reader,
                       struct json_error *error)
{
    forget(request);
    request->unescaped.may_fail = true;
    json_reader_init(reader, line);
    if (line.size == 0 || !memchr(line.data, '\\', line.size) ||
        buffer_reserve(&request->unescaped, line.size))
        return true;
    request->unescaped.failed = false;
    return fail_for_memory(error);
}

/* After the outer object: nothing went wrong, and nothing follows. */
static bool end_line(struct json_reader *reader, struct json_error *error)
{
    if (!reader->error && !json_reader_ends(reader))
        reader->error = "nothing may follow the object";
    if (reader->error)
        json_error_set(error, "invalid_json", "byte %zu: %s", (size_t)(reader->at - reader->start),
                       reader->error);
    return !reader->error;
}

bool json_line_decode(struct json_line *request, struct slice line,
                      const struct json_limits *limits, struct json_error *error)
{
    struct json_reader reader;
    struct members members;

    if (!begin_line(request, line, &reader, error))
        return false;
    (void)take_members(request, &reader, MEMBER_COUNT, &members); /* end_line tells */
    return end_line(&reader, error) && take_request(request, &members, limits, error);
}

/* A member of a log record. */
static bool take_record_member(struct json_line *request, const struct json_value *key,
                               const struct json_value *value, struct json_entry *entry,
                               bool *has_message, const struct json_limits *limits,
                               struct json_error *error)
{
    struct slice name = string_bytes(request, key);
    if (slice_equal(name, slice_from("message"))) {
        *has_message = true;
        return take_message(request, value, limits, &entry->message, error);
    }
    if (slice_equal(name, slice_from("timestamp"))) {
        bool is_text = value->kind == JSON_STRING;
        entry->timestamp_text = is_text ? string_bytes(request, value) : slice_make(NULL, 0);
        entry->has_timestamp = is_text;
        return is_text || take_u64(value, "invalid_timestamp", &entry->has_timestamp,
                                   &entry->timestamp, error);
    }
    struct json_field *field = add_field(request, error);
    if (!field)
        return false;
    field->name = name;
    field->is_json = value->kind != JSON_STRING;
    field->value = field->is_json ? value->text : string_bytes(request, value);
    return true;
}

bool json_record_decode(struct json_line *request, struct slice line,
                        const struct json_limits *limits, struct json_error *error)
{
    struct json_reader reader;
    struct json_value key, value;
    struct json_entry entry = {0};
    bool has_message = false, good = true;

    if (!begin_line(request, line, &reader, error))
        return false;
    (void)json_reader_enter(&reader, JSON_OBJECT); /* end_line tells */
    while (good && !reader.error && json_reader_member(&reader, &key) &&
           json_reader_value(&reader, &value))
        good = take_record_member(request, &key, &value, &entry, &has_message, limits, error);
    if (!good || !end_line(&reader, error))
        return false;
    if (!has_message)
        return fail(error, "invalid_message", "message must be a string");
    if (request->field_count > 1 && !drop_replaced(request, 0, error))
        return false;
    entry.field_count = request->field_count;
    return put_entry(request, &entry, error);
}

void json_line_release(struct json_line *request)
{
    memory_free(request->entries);
    memory_free(request->fields);
    memory_free(request->order);
    buffer_release(&request->unescaped);
    *request = (struct json_line){0};
}
