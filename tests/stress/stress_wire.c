/* SPDX-License-Identifier: MIT */
/* Operations as requests: RESP arrays, inline commands, JSON lines. */
#include "stress/stress_operation.h"

#include <assert.h>
#include <inttypes.h>

enum { WORDS_MAX = 64, INLINE_BYTES_MAX = 32 * 1024 };

struct words {
    struct buffer bytes;
    size_t ends[WORDS_MAX];
    size_t count;
};

static void end_word(struct words *words)
{
    assert(words->count < WORDS_MAX);
    words->ends[words->count++] = words->bytes.size;
}

static void add(struct words *words, const char *text)
{
    buffer_append_text(&words->bytes, text);
    end_word(words);
}

static void add_number(struct words *words, int64_t number)
{
    buffer_printf(&words->bytes, "%" PRId64, number);
    end_word(words);
}

static void add_value(struct words *words, uint64_t tag)
{
    value_append(&words->bytes, tag);
    end_word(words);
}

static void add_id(struct words *words, struct model_id id, const char *none)
{
    if (id.ms == 0 && id.seq == 0)
        buffer_append_text(&words->bytes, none);
    else
        buffer_printf(&words->bytes, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    end_word(words);
}

static void add_key(struct words *words, const struct model *model,
                    const struct operation *operation, size_t index)
{
    char name[MODEL_NAME_BYTES];
    bool is_copy = operation->kind == OP_COPY && index == 1;
    model_key_name(model, is_copy ? operation->other_db : operation->db, operation->keys[index],
                   name);
    add(words, name);
}

static void add_condition(struct words *words, const struct operation *operation)
{
    if (operation->nx)
        add(words, "NX");
    if (operation->xx)
        add(words, "XX");
    if (operation->gt)
        add(words, "GT");
    if (operation->lt)
        add(words, "LT");
}

static void add_set_options(struct words *words, const struct operation *operation)
{
    add_condition(words, operation);
    if (operation->get)
        add(words, "GET");
    if (operation->keep_ttl)
        add(words, "KEEPTTL");
    if (operation->time_ms == 0)
        return;
    bool in_seconds = operation->time_ms % 1000 == 0;
    if (operation->time_is_absolute)
        add(words, in_seconds ? "EXAT" : "PXAT");
    else
        add(words, in_seconds ? "EX" : "PX");
    add_number(words, in_seconds ? operation->time_ms / 1000 : operation->time_ms);
}

static void add_trim(struct words *words, const struct operation *operation)
{
    if (operation->trims_length) {
        add(words, "MAXLEN");
        add_number(words, (int64_t)operation->length);
    } else if (operation->trims_id) {
        add(words, "MINID");
        add(words, "=");
        add_id(words, operation->ids[OPERATION_IDS_MAX - 1], "0-0");
    }
}

static void add_count(struct words *words, const struct operation *operation)
{
    if (operation->count == 0)
        return;
    add(words, "COUNT");
    add_number(words, (int64_t)operation->count);
}

static void append_ndjson(struct buffer *out, uint64_t tag)
{
    buffer_append_text(out, "{\"message\":\"");
    value_append(out, tag);
    buffer_printf(out, "\",\"n\":\"%" PRIu64 "\"}\n", tag);
}

static void add_log_lines(struct words *words, const struct operation *operation)
{
    if (operation->level) {
        add(words, "LEVEL");
        add(words, level_name(operation->level));
    }
    if (operation->is_ndjson) {
        add(words, "NDJSON");
        for (size_t i = 0; i < operation->count; i++)
            append_ndjson(&words->bytes, operation->tag + i);
        end_word(words);
        return;
    }
    add(words, "LINES");
    add_number(words, (int64_t)operation->count);
    for (size_t i = 0; i < operation->count; i++)
        add_value(words, operation->tag + i);
}

static void add_log_line(struct words *words, const struct operation *operation)
{
    if (operation->no_create)
        add(words, "NOMKSTREAM");
    if (operation->time_ms) {
        add(words, "TS");
        add_number(words, operation->time_ms);
    }
    if (operation->level) {
        add(words, "LEVEL");
        add(words, level_name(operation->level));
    }
    add(words, "--");
    add_value(words, operation->tag);
    add(words, "n");
    add_number(words, (int64_t)operation->tag);
}

static void add_log_range(struct words *words, const struct operation *operation)
{
    bool is_reverse = operation->kind == OP_LOG_REVRANGE;
    if (is_reverse)
        add(words, "+");
    if (operation->from)
        add_number(words, operation->from);
    else
        add(words, "-");
    if (!is_reverse)
        add(words, "+");
    add_count(words, operation);
    if (operation->level) {
        add(words, "LEVEL");
        add(words, level_name(operation->level));
    }
}

static void add_wait(struct words *words, const struct operation *operation)
{
    buffer_printf(&words->bytes, "%.3f", (double)operation->time_ms / 1000);
    end_word(words);
}

/* The key stands before. */
static void add_sort_options(struct words *words, const struct model *model,
                             const struct operation *operation)
{
    if (operation->is_unsorted) {
        add(words, "BY");
        add(words, "nosort");
    }
    if (operation->count) {
        add(words, "LIMIT");
        add_number(words, operation->from);
        add_number(words, (int64_t)operation->count);
    }
    for (int i = 0; operation->get && i < 2; i++) {
        add(words, "GET");
        add(words, "#");
    }
    if (operation->is_descending)
        add(words, "DESC");
    if (operation->is_alpha)
        add(words, "ALPHA");
    if (operation->key_count > 1) {
        add(words, "STORE");
        add_key(words, model, operation, 1);
    }
}

static void add_restore_options(struct words *words, const struct model *model,
                                const struct operation *operation)
{
    add_number(words, operation->time_ms);
    buffer_append_slice(&words->bytes, buffer_slice(&model->payload));
    end_word(words);
    if (operation->xx)
        add(words, "REPLACE");
    if (operation->time_is_absolute)
        add(words, "ABSTTL");
}

static void add_set_id(struct words *words, const struct operation *operation)
{
    add_id(words, operation->ids[0], "0-0");
    if (operation->trims_length) {
        add(words, "ENTRIESADDED");
        add_number(words, (int64_t)operation->length);
    }
    if (operation->xx) {
        add(words, "MAXDELETEDID");
        add_id(words, operation->ids[1], "0-0");
    }
}

static void add_arguments(struct words *words, const struct model *model,
                          const struct operation *operation)
{
    switch (operation->kind) {
    case OP_SELECT:
        add_number(words, model_server_db(model, operation->db));
        return;
    case OP_DBSIZE:
    case OP_FLUSHDB:
    case OP_UNWATCH:
    case OP_MULTI:
    case OP_EXEC:
    case OP_DISCARD:
        return;
    case OP_KEYS:
        add(words, "*");
        return;
    case OP_SWAPDB:
        add_number(words, model_server_db(model, 0));
        add_number(words, model_server_db(model, 1));
        return;
    case OP_XREAD:
        add_count(words, operation);
        add(words, "STREAMS");
        add_key(words, model, operation, 0);
        add_id(words, operation->ids[0], "0-0");
        return;
    case OP_MSET:
    case OP_MSETNX:
        for (size_t i = 0; i < operation->key_count; i++) {
            add_key(words, model, operation, i);
            add_value(words, operation->tag + i);
        }
        return;
    case OP_SORT_RO:
    case OP_SORT:
        add_key(words, model, operation, 0);
        add_sort_options(words, model, operation);
        return;
    default:
        break;
    }
    if (operation->kind == OP_BITOP)
        add(words, "XOR");
    if (operation->kind == OP_BLMPOP)
        add_wait(words, operation);
    if (operation->kind == OP_LMPOP || operation->kind == OP_BLMPOP)
        add_number(words, (int64_t)operation->key_count);
    for (size_t i = 0; i < operation->key_count; i++)
        add_key(words, model, operation, i);
    switch (operation->kind) {
    case OP_SETNX:
    case OP_GETSET:
    case OP_APPEND:
        add_value(words, operation->tag);
        break;
    case OP_SETRANGE:
        add_number(words, operation->from);
        add_value(words, operation->tag);
        break;
    case OP_GETRANGE:
    case OP_SUBSTR:
        add_number(words, operation->from);
        add_number(words, operation->to);
        break;
    case OP_SETBIT:
        add_number(words, operation->from);
        add_number(words, operation->to);
        break;
    case OP_GETBIT:
        add_number(words, operation->from);
        break;
    case OP_BITPOS:
        add_number(words, operation->to);
        break;
    case OP_BITFIELD:
        add(words, "INCRBY");
        add(words, "u16");
        add_number(words, operation->from);
        add_number(words, operation->to);
        break;
    case OP_INCRBY:
    case OP_DECRBY:
        add_number(words, operation->from);
        break;
    case OP_INCRBYFLOAT:
        buffer_printf(&words->bytes, "%.2f", (double)operation->from / 4);
        end_word(words);
        break;
    case OP_SETEX:
        add_number(words, operation->time_ms / 1000);
        add_value(words, operation->tag);
        break;
    case OP_PSETEX:
        add_number(words, operation->time_ms);
        add_value(words, operation->tag);
        break;
    case OP_GETEX:
        if (operation->persist)
            add(words, "PERSIST");
        add_set_options(words, operation);
        break;
    case OP_SET:
        add_value(words, operation->tag);
        add_set_options(words, operation);
        break;
    case OP_EXPIRE:
    case OP_EXPIREAT:
        add_number(words, operation->time_ms / 1000);
        add_condition(words, operation);
        break;
    case OP_PEXPIRE:
    case OP_PEXPIREAT:
        add_number(words, operation->time_ms);
        add_condition(words, operation);
        break;
    case OP_LPUSH:
    case OP_RPUSH:
    case OP_LPUSHX:
    case OP_RPUSHX:
        for (size_t i = 0; i < operation->count; i++)
            add_value(words, operation->tag + i);
        break;
    case OP_LPOP:
    case OP_RPOP:
        if (operation->count)
            add_number(words, (int64_t)operation->count);
        break;
    case OP_COPY:
        if (operation->other_db != operation->db) {
            add(words, "DB");
            add_number(words, model_server_db(model, operation->other_db));
        }
        if (operation->xx)
            add(words, "REPLACE");
        break;
    case OP_MOVE:
        add_number(words, model_server_db(model, operation->other_db));
        break;
    case OP_LPOS:
        add_value(words, operation->tag);
        if (operation->from) {
            add(words, "RANK");
            add_number(words, operation->from);
        }
        add_count(words, operation);
        break;
    case OP_LSET:
        add_number(words, operation->from);
        add_value(words, operation->tag);
        break;
    case OP_LINSERT:
        add(words, operation->to_left ? "BEFORE" : "AFTER");
        add_value(words, (uint64_t)operation->from);
        add_value(words, operation->tag);
        break;
    case OP_LREM:
        add_number(words, operation->from);
        add_value(words, operation->tag);
        break;
    case OP_RESTORE:
        add_restore_options(words, model, operation);
        break;
    case OP_XSETID:
        add_set_id(words, operation);
        break;
    case OP_LMOVE:
    case OP_BLMOVE:
        add(words, operation->from_left ? "LEFT" : "RIGHT");
        add(words, operation->to_left ? "LEFT" : "RIGHT");
        if (operation->kind == OP_BLMOVE)
            add_wait(words, operation);
        break;
    case OP_BRPOPLPUSH:
    case OP_BLPOP:
    case OP_BRPOP:
        add_wait(words, operation);
        break;
    case OP_LMPOP:
    case OP_BLMPOP:
        add(words, operation->from_left ? "LEFT" : "RIGHT");
        add_count(words, operation);
        break;
    case OP_LINDEX:
        add_number(words, operation->from);
        break;
    case OP_LRANGE:
    case OP_LTRIM:
        add_number(words, operation->from);
        add_number(words, operation->to);
        break;
    case OP_XADD:
        if (operation->no_create)
            add(words, "NOMKSTREAM");
        add_trim(words, operation);
        add_id(words, operation->ids[0], "*");
        add(words, "n");
        add_number(words, (int64_t)operation->tag);
        add(words, "v");
        add_value(words, operation->tag);
        break;
    case OP_XDEL:
        for (size_t i = 0; i < operation->id_count; i++)
            add_id(words, operation->ids[i], "0-1");
        break;
    case OP_XRANGE:
        add_id(words, operation->ids[0], "-");
        add_id(words, operation->ids[1], "+");
        add_count(words, operation);
        break;
    case OP_XREVRANGE:
        add_id(words, operation->ids[1], "+");
        add_id(words, operation->ids[0], "-");
        add_count(words, operation);
        break;
    case OP_XTRIM:
        add_trim(words, operation);
        break;
    case OP_LOG_WRITE:
        add_log_line(words, operation);
        break;
    case OP_LOG_MWRITE:
        add_log_lines(words, operation);
        break;
    case OP_LOG_RANGE:
    case OP_LOG_REVRANGE:
        add_log_range(words, operation);
        break;
    default:
        break;
    }
}

static void add_command(struct words *words, enum operation_kind kind)
{
    const char *name = operation_name(kind), *bar = strchr(name, '|');
    if (bar) {
        buffer_append(&words->bytes, name, (size_t)(bar - name));
        end_word(words);
        add(words, bar + 1);
    } else {
        add(words, name);
    }
}

/* What an inline command cannot carry goes as an array; a connection may mix the two. */
static void append_words(const struct words *words, enum wire wire, struct buffer *out)
{
    if (wire == WIRE_INLINE && (words->bytes.size > INLINE_BYTES_MAX ||
                                memchr(words->bytes.data, '\n', words->bytes.size)))
        wire = WIRE_RESP2;
    if (wire != WIRE_INLINE)
        buffer_printf(out, "*%zu\r\n", words->count);
    for (size_t i = 0, at = 0; i < words->count; at = words->ends[i++]) {
        size_t size = words->ends[i] - at;
        if (wire == WIRE_INLINE)
            buffer_append_text(out, i % 2 ? "\"" : "'");
        else
            buffer_printf(out, "$%zu\r\n", size);
        buffer_append(out, words->bytes.data + at, size);
        if (wire == WIRE_INLINE)
            buffer_append_text(out, i % 2 ? "\" " : "' ");
        else
            buffer_append_text(out, "\r\n");
    }
    if (wire == WIRE_INLINE)
        buffer_append_text(out, "\r\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void append_json_entry(const struct operation *operation, size_t index, struct buffer *out)
{
    uint64_t tag = operation->tag + index;
    buffer_append_text(out, "\"message\":\"");
    value_append(out, tag);
    buffer_append_text(out, "\",\"metadata\":{");
    if (operation->level)
        buffer_printf(out, "\"level\":\"%s\",", level_name(operation->level));
    buffer_printf(out, "\"n\":\"%" PRIu64 "\"}", tag);
    if (operation->time_ms)
        buffer_printf(out, ",\"timestamp\":%" PRId64, operation->time_ms);
}

static void append_json(const struct model *model, const struct operation *operation,
                        struct buffer *out)
{
    char name[MODEL_NAME_BYTES];
    model_key_name(model, operation->db, operation->keys[0], name);
    switch (operation->kind) {
    case OP_JSON_WRITE:
        buffer_printf(out, "{\"action\":\"write\",\"log\":\"%s\",", name);
        append_json_entry(operation, 0, out);
        break;
    case OP_JSON_WRITE_MANY:
        buffer_printf(out, "{\"action\":\"write_many\",\"log\":\"%s\",\"entries\":[", name);
        for (size_t i = 0; i < operation->count; i++) {
            buffer_append_text(out, i ? ",{" : "{");
            append_json_entry(operation, i, out);
            buffer_append_text(out, "}");
        }
        buffer_append_text(out, "]");
        break;
    default:
        assert(operation->kind == OP_JSON_READ);
        buffer_printf(out, "{\"action\":\"read\",\"log\":\"%s\",\"start_ts\":%" PRId64, name,
                      operation->from);
        if (operation->count)
            buffer_printf(out, ",\"limit\":%zu", operation->count);
        break;
    }
    buffer_append_text(out, "}\n");
}

void operation_encode(const struct model *model, const struct operation *operation, enum wire wire,
                      struct buffer *out)
{
    if (wire == WIRE_JSON) {
        append_json(model, operation, out);
        return;
    }
    struct words words = {0};
    if (operation->kind == OP_RESTORE && wire == WIRE_INLINE)
        wire = WIRE_RESP2; /* any bytes */
    add_command(&words, operation->kind);
    add_arguments(&words, model, operation);
    append_words(&words, wire, out);
    buffer_release(&words.bytes);
}
