/* SPDX-License-Identifier: MIT */
/* Any bytes as a line of the JSON protocol: decoded or refused, and what was decoded, written out
 * as a reply, reads back as the same. */
#include "fuzz/fuzz.h"

#include "json/json.h"
#include "json/json_reader.h"

#include <stdlib.h>

static const char *const seeds[] = {
    "{\"action\":\"write\",\"message\":\"a\\u00e9\\ud83d\\ude00\",\"metadata\":{\"level\":\"INFO\","
    "\"n\":1.10e5,\"deep\":[{\"x\":null}]},\"timestamp\":123,\"log\":\"name\"}",
    "{\"action\":\"write_many\",\"entries\":[{\"message\":\"a\"},{\"message\":\"\\n\",\"metadata\":"
    "{}}]}",
    "{\"action\":\"read\",\"start_ts\":0,\"end_ts\":18446744073709551615,\"limit\":5,\"cursor\":"
    "\"1\"}",
    "{\"action\":\"auth\",\"user\":\"u\",\"password\":\"p\"}",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(seeds, sizeof seeds / sizeof *seeds, index, out);
}

/* Encodes all entries as a read would and aborts unless it is one line of valid JSON. */
static void encode(const struct json_line *line, struct buffer *out)
{
    struct json_list list;
    struct json_reader reader;
    struct json_value value;

    json_reply_data_begin(&list, out);
    for (size_t i = 0; i < line->entry_count; i++) {
        const struct json_entry *entry = &line->entries[i];
        json_reply_data_add(&list, entry->timestamp, entry->message,
                            line->fields + entry->field_first, entry->field_count);
    }
    json_reply_data_end(&list, line->cursor);
    json_reader_init(&reader, buffer_slice(out));
    if (!json_reader_value(&reader, &value) || !json_reader_ends(&reader))
        abort();
}

/* The entries of a reply, sent back as a write_many, are encoded to the same reply. */
static void check_round_trip(const struct json_line *line, const struct json_limits *limits)
{
    struct buffer reply = {0}, again = {0}, request = {0};
    struct json_line second = {0};
    struct json_error error;
    static const char head[] = "{\"status\":\"ok\",\"data\":[";

    encode(line, &reply);
    buffer_append_text(&request, "{\"action\":\"write_many\",\"entries\":[");
    buffer_append_slice(&request, slice_skip(buffer_slice(&reply), sizeof head - 1));
    if (!json_line_decode(&second, buffer_slice(&request), limits, &error))
        abort();
    second.cursor = line->cursor;
    encode(&second, &again);
    if (!slice_equal(buffer_slice(&reply), buffer_slice(&again)))
        abort();
    json_line_release(&second);
    buffer_release(&reply);
    buffer_release(&again);
    buffer_release(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct json_limits limits = {.message_bytes_max = 1000};
    static struct json_line line; /* reused, as a session does */
    struct json_error error;
    struct buffer out = {0};

    if (json_line_decode(&line, slice_make(data, size), &limits, &error)) {
        bool has_newline = memchr(data, '\n', size);
        if (!has_newline)
            check_round_trip(&line, &limits);
    } else {
        json_reply_error(&out, &error);
        if (out.size == 0 || memchr(out.data, '\n', out.size) != out.data + out.size - 1)
            abort();
    }
    json_string(&out, slice_make(data, size));
    buffer_release(&out);
    json_line_release(&line);
    return 0;
}
