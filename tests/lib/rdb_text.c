/* SPDX-License-Identifier: MIT */
#include "lib/rdb_text.h"

#include "base/coding.h"
#include "base/crc64.h"

#include <inttypes.h>
#include <stdlib.h>

static enum status next(struct rdb_text *text)
{
    return text->fail_after && ++text->calls > text->fail_after ? STATUS_NO_SPACE : STATUS_OK;
}

static void append_value(struct rdb_text *text, const char *what, struct slice value)
{
    buffer_append_text(&text->text, what);
    buffer_append_slice(&text->text, value);
}

static enum status on_string(void *context, struct slice value)
{
    append_value(context, "string ", value);
    append_value(context, "\n", slice_make(NULL, 0));
    return next(context);
}

static enum status on_element(void *context, struct slice value)
{
    append_value(context, "element ", value);
    append_value(context, "\n", slice_make(NULL, 0));
    return next(context);
}

static enum status on_entry(void *context, struct stream_id id, uint64_t count)
{
    struct rdb_text *text = context;
    (void)count;
    buffer_printf(&text->text, "entry %" PRIu64 "-%" PRIu64, id.ms, id.seq);
    return next(text);
}

static enum status on_field(void *context, struct slice name, struct slice value)
{
    append_value(context, " ", name);
    append_value(context, "=", value);
    return next(context);
}

static enum status on_entry_end(void *context)
{
    append_value(context, "\n", slice_make(NULL, 0));
    return next(context);
}

static enum status on_stream(void *context, const struct rdb_stream *stream)
{
    struct rdb_text *text = context;
    buffer_printf(&text->text,
                  "stream %" PRIu64 " %" PRIu64 "-%" PRIu64 " %" PRIu64 "-%" PRIu64 " %" PRIu64
                  " %" PRIu64 "\n",
                  stream->length, stream->last_id.ms, stream->last_id.seq,
                  stream->max_deleted_id.ms, stream->max_deleted_id.seq, stream->entries_added,
                  stream->group_count);
    return next(text);
}

struct rdb_sink rdb_text_sink(struct rdb_text *text)
{
    return (struct rdb_sink){.string = on_string,
                             .element = on_element,
                             .entry = on_entry,
                             .field = on_field,
                             .entry_end = on_entry_end,
                             .stream = on_stream,
                             .context = text};
}

void rdb_text_seal(struct slice value, unsigned version, struct buffer *payload)
{
    buffer_clear(payload);
    buffer_append_slice(payload, value);
    buffer_append_le16(payload, (uint16_t)version);
    buffer_append_le64(payload, crc64_extend(0, payload->data, payload->size));
}

void rdb_text_from_hex(const char *hex, struct buffer *bytes)
{
    buffer_clear(bytes);
    for (; *hex; hex++) {
        char digits[3] = {hex[0], hex[1], 0};
        if (*hex == ' ' || *hex == '\n')
            continue;
        buffer_append_byte(bytes, (uint8_t)strtoul(digits, NULL, 16));
        hex++;
    }
}
