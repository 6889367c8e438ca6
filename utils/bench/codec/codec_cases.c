/* SPDX-License-Identifier: MIT */
#include "bench/codec/codec_cases.h"

#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "types/stream_entry.h"

#include <stdio.h>

enum { LINE_BYTES = 133, RANDOM_BYTES = 128, STREAM_ENTRIES = 100 };

/* Where rows come from: IDs are 10 ms apart, a little more or less. */
struct source {
    struct codec_rows *rows;
    struct random random;
    uint64_t ms;
};

static struct source source_make(struct codec_rows *rows)
{
    struct source source = {.rows = rows, .ms = 1700000000000};
    random_init(&source.random, 1);
    return source;
}

/* Places are filled in when all rows are there. */
static void add(struct source *source, uint64_t object, uint64_t ordinal,
                const struct slice *fields, size_t field_count)
{
    static struct buffer value;
    struct codec_rows *rows = source->rows;
    uint8_t prefix[OBJECT_PREFIX_BYTES], key[STREAM_ENTRY_KEY_BYTES];
    source->ms += 5 + random_below(&source->random, 11);
    object_prefix_store(prefix, 1, object);
    stream_entry_key_store(key, prefix, (struct stream_id){source->ms, 0});
    stream_record_encode(
        &(struct stream_record){.ordinal = ordinal, .fields = fields, .field_count = field_count},
        &value);
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 1024;
        rows->list = memory_resize(rows->list, rows->capacity * sizeof(rows->list[0]));
    }
    struct block_codec_row *row = &rows->list[rows->count++];
    row->key.size = sizeof(key);
    buffer_append(&rows->bytes, key, sizeof(key));
    row->value.size = value.size;
    buffer_append_slice(&rows->bytes, buffer_slice(&value));
    for (size_t i = 0; i < field_count; i++) {
        buffer_append_slice(&rows->text, fields[2 * i + 1]);
        buffer_append_byte(&rows->text, i + 1 < field_count ? ' ' : '\n');
    }
}

static struct slice next_line(struct slice *lines)
{
    const uint8_t *end = memchr(lines->data, '\n', lines->size);
    struct slice line = slice_make(lines->data, end ? (size_t)(end - lines->data) : lines->size);
    *lines = slice_skip(*lines, end ? line.size + 1 : line.size);
    return line;
}

static void make_lines(struct codec_rows *rows, struct slice lines)
{
    struct source source = source_make(rows);
    for (uint64_t i = 0; lines.size > 0; i++) {
        const struct slice fields[] = {slice_from("message"), next_line(&lines)};
        add(&source, 1, i, fields, 1);
    }
}

static void make_streams(struct codec_rows *rows, struct slice lines)
{
    struct source source = source_make(rows);
    for (uint64_t i = 0; lines.size > 0; i++) {
        const struct slice fields[] = {slice_from("message"), next_line(&lines)};
        add(&source, 1 + i / STREAM_ENTRIES, i % STREAM_ENTRIES, fields, 1);
    }
}

static void make_fields(struct codec_rows *rows, struct slice lines)
{
    static const char *const levels[] = {"INFO", "INFO", "INFO", "WARN",  "INFO",
                                         "INFO", "INFO", "INFO", "DEBUG", "ERROR"};
    struct source source = source_make(rows);
    char host[32];
    for (uint64_t i = 0; lines.size > 0; i++) {
        snprintf(host, sizeof(host), "web-%02u.example.org",
                 (unsigned)random_below(&source.random, 20));
        const struct slice fields[] = {
            slice_from("level"),   slice_from(levels[random_below(&source.random, 10)]),
            slice_from("host"),    slice_from(host),
            slice_from("message"), next_line(&lines),
        };
        add(&source, 1, i, fields, 3);
    }
}

/* Every digit is drawn anew: no line repeats another, no number follows another. */
static void make_unlike(struct codec_rows *rows, struct slice lines)
{
    struct source source = source_make(rows);
    struct buffer line = {0};
    for (uint64_t i = 0; lines.size > 0; i++) {
        buffer_clear(&line);
        buffer_append_slice(&line, next_line(&lines));
        for (size_t at = 0; at < line.size; at++)
            if (line.data[at] >= '0' && line.data[at] <= '9')
                line.data[at] = (uint8_t)('0' + random_below(&source.random, 10));
        const struct slice fields[] = {slice_from("message"), buffer_slice(&line)};
        add(&source, 1, i, fields, 1);
    }
    buffer_release(&line);
}

static const char *random_word(struct source *source)
{
    static const char *const words[] = {
        "timeout", "connection", "user", "request", "payment",  "order",    "refused", "accepted",
        "pending", "cache",      "miss", "retry",   "upstream", "database", "slow",    "query"};
    return words[random_below(&source->random, sizeof(words) / sizeof(words[0]))];
}

/* Objects with a UUID, an id, and words that are drawn. */
static void make_json(struct codec_rows *rows, struct slice lines)
{
    struct source source = source_make(rows);
    struct buffer line = {0};
    for (uint64_t i = 0; i < lines.size / LINE_BYTES; i++) {
        uint64_t a = random_next(&source.random), b = random_next(&source.random);
        buffer_clear(&line);
        buffer_printf(
            &line,
            "{\"trace\":\"%08x-%04x-%04x-%04x-%012llx\",\"user\":%u,\"path\":\"/api/v1/%s/%s\",",
            (unsigned)a, (unsigned)(a >> 32) & 0xffff, (unsigned)(a >> 48), (unsigned)b & 0xffff,
            (unsigned long long)(b >> 16), (unsigned)random_below(&source.random, 1000000),
            random_word(&source), random_word(&source));
        buffer_printf(&line, "\"ms\":%u.%03u,\"msg\":\"%s %s %s %s\"}",
                      (unsigned)random_below(&source.random, 256),
                      (unsigned)random_below(&source.random, 1000), random_word(&source),
                      random_word(&source), random_word(&source), random_word(&source));
        const struct slice fields[] = {slice_from("message"), buffer_slice(&line)};
        add(&source, 1, i, fields, 1);
    }
    buffer_release(&line);
}

static void make_random(struct codec_rows *rows, struct slice lines)
{
    struct source source = source_make(rows);
    uint8_t line[RANDOM_BYTES];
    for (uint64_t i = 0; i < lines.size / LINE_BYTES; i++) {
        for (size_t at = 0; at < sizeof(line); at += sizeof(uint64_t))
            le64_store(line + at, random_next(&source.random));
        const struct slice fields[] = {slice_from("message"), slice_make(line, sizeof(line))};
        add(&source, 1, i, fields, 1);
    }
}

const struct codec_case codec_cases[] = {
    {"lines", make_lines},     {"unlike", make_unlike}, {"fields", make_fields},
    {"streams", make_streams}, {"json", make_json},     {"random", make_random},
};
const size_t codec_case_count = sizeof(codec_cases) / sizeof(codec_cases[0]);

void codec_rows_make(struct codec_rows *rows, const struct codec_case *each, struct slice lines)
{
    *rows = (struct codec_rows){0};
    each->make(rows, lines);
    const uint8_t *at = rows->bytes.data;
    for (size_t i = 0; i < rows->count; i++) {
        rows->list[i].key.data = at;
        at += rows->list[i].key.size;
        rows->list[i].value.data = at;
        at += rows->list[i].value.size;
    }
}

void codec_rows_release(struct codec_rows *rows)
{
    buffer_release(&rows->bytes);
    buffer_release(&rows->text);
    memory_free(rows->list);
    *rows = (struct codec_rows){0};
}
