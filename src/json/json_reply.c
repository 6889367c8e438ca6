/* SPDX-License-Identifier: MIT */
/* Replies, one line each. A stored string goes out as it is as far as it is plain ASCII or UTF-8.
 */
#include "json/json.h"

#include "json/json_reader.h"

#include <inttypes.h>

static void append(struct buffer *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* ---- Strings
 * --------------------------------------------------------------------------------------- */

static void append_escape(struct buffer *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char letters[] = "btn.fr"; /* of 8, 9, 10, 12 and 13 */
    char text[6] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};

    if (byte == '"' || byte == '\\')
        text[1] = (char)byte;
    else if (byte >= 8 && byte <= 13 && byte != 11)
        text[1] = letters[byte - 8];
    buffer_append(out, text, text[1] == 'u' ? 6 : 2);
}

/* How many bytes at `at` one U+FFFD stands for: the longest beginning of a sequence, else one byte.
 */
static size_t unreadable_size(const uint8_t *at, const uint8_t *end)
{
    uint8_t tail[4] = {0x80, 0x80, 0x80, 0x80};

    /* n bytes are such a beginning when continuation bytes make them valid: from the third byte on
     * any will do. */
    for (size_t n = 3; n > 1; n--) {
        if ((size_t)(end - at) < n)
            continue;
        memcpy(tail, at, n);
        memset(tail + n, 0x80, sizeof tail - n);
        if (utf8_sequence(tail, tail + sizeof tail) > n)
            return n;
    }
    return 1;
}

void json_string(struct buffer *out, struct slice text)
{
    const uint8_t *at = text.data, *end = text.data + text.size;

    buffer_reserve(out, text.size + 2);
    buffer_append_byte(out, '"');
    while (at < end) {
        size_t plain = json_plain_prefix(at, end);
        buffer_append(out, at, plain);
        at += plain;
        if (at == end)
            break;
        if (*at < 0x80) {
            append_escape(out, *at++);
            continue;
        }
        size_t size = utf8_sequence(at, end);
        if (size) {
            buffer_append(out, at, size);
            at += size;
        } else {
            append(out, "\xef\xbf\xbd");
            at += unreadable_size(at, end);
        }
    }
    buffer_append_byte(out, '"');
}

static void append_u64(struct buffer *out, uint64_t value)
{
    char text[20], *at = text + sizeof text;

    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    buffer_append(out, at, (size_t)(text + sizeof text - at));
}

/* ---- Replies
 * --------------------------------------------------------------------------------------- */

void json_reply_error(struct buffer *out, const struct json_error *error)
{
    buffer_printf(out, "{\"status\":\"error\",\"errcode\":\"%s\",\"detail\":{", error->code);
    if (error->text[0]) {
        append(out, "\"message\":");
        json_string(out, slice_from(error->text));
    } else {
        buffer_printf(out, "\"max_size\":%" PRIu64 ",\"unit\":\"byte\"", error->bytes_max);
    }
    if (error->has_entry)
        buffer_printf(out, ",\"entry\":%zu", error->entry);
    append(out, "}}\n");
}

void json_reply_ok(struct buffer *out)
{
    append(out, "{\"status\":\"ok\"}\n");
}

void json_reply_id(struct buffer *out, struct slice id)
{
    append(out, "{\"status\":\"ok\",\"id\":");
    json_string(out, id);
    append(out, "}\n");
}

static void begin(struct json_list *list, struct buffer *out, const char *head)
{
    *list = (struct json_list){.out = out};
    append(out, head);
}

static void next(struct json_list *list)
{
    if (list->count++)
        buffer_append_byte(list->out, ',');
}

void json_reply_ids_begin(struct json_list *list, struct buffer *out)
{
    begin(list, out, "{\"status\":\"ok\",\"ids\":[");
}

void json_reply_ids_add(struct json_list *list, struct slice id)
{
    next(list);
    json_string(list->out, id);
}

void json_reply_ids_end(struct json_list *list)
{
    append(list->out, "]}\n");
}

void json_reply_data_begin(struct json_list *list, struct buffer *out)
{
    begin(list, out, "{\"status\":\"ok\",\"data\":[");
}

void json_reply_entry_begin(struct json_list *list, uint64_t timestamp, struct slice message)
{
    next(list);
    append(list->out, "{\"timestamp\":");
    append_u64(list->out, timestamp);
    append(list->out, ",\"message\":");
    json_string(list->out, message);
    append(list->out, ",\"metadata\":{");
}

void json_reply_entry_field(struct json_list *list, bool first, const struct json_field *field)
{
    if (!first)
        buffer_append_byte(list->out, ',');
    json_string(list->out, field->name);
    buffer_append_byte(list->out, ':');
    if (field->is_json)
        buffer_append_slice(list->out, field->value);
    else
        json_string(list->out, field->value);
}

void json_reply_entry_end(struct json_list *list)
{
    append(list->out, "},\"version\":1}");
}

void json_reply_data_add(struct json_list *list, uint64_t timestamp, struct slice message,
                         const struct json_field *metadata, size_t metadata_count)
{
    json_reply_entry_begin(list, timestamp, message);
    for (size_t i = 0; i < metadata_count; i++)
        json_reply_entry_field(list, i == 0, &metadata[i]);
    json_reply_entry_end(list);
}

void json_reply_data_end(struct json_list *list, struct slice cursor)
{
    append(list->out, "]");
    if (cursor.size) {
        append(list->out, ",\"cursor\":");
        json_string(list->out, cursor);
    }
    append(list->out, "}\n");
}
