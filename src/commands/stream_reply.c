/* SPDX-License-Identifier: MIT */
/* Entries of streams as replies. */
#include "commands/stream_reply.h"

#include "resp/resp_put.h"

enum { SMALL_ENTRY_FIELDS_MAX = 32 }; /* room is made as if each size had 20 digits */

void reply_stream_id(struct resp_writer *reply, struct stream_id id)
{
    char text[STREAM_ID_TEXT_MAX];
    size_t size = stream_id_format(id, text);
    resp_bulk(reply, slice_make(text, size));
}

enum status reply_stream_fields(struct resp_writer *reply, const struct stream_entry *entry)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    resp_array(reply, 2 * entry->field_count);
    while (stream_fields_next(&fields, &field)) {
        resp_bulk(reply, field.name);
        resp_bulk(reply, field.value);
    }
    return fields.is_corrupt ? STATUS_CORRUPT : STATUS_OK;
}

/* The whole entry with one look at the room; its fields are few. */
static enum status reply_small_entry(struct resp_writer *reply, const struct stream_entry *entry)
{
    char text[STREAM_ID_TEXT_MAX];
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    size_t parts = 2 * entry->field_count + 1;
    uint8_t *at = resp_room(reply, 2 * RESP_HEADER_BYTES_MAX + parts * RESP_BULK_EXTRA_BYTES +
                                       sizeof text + (size_t)(entry->end - entry->fields));
    if (!at)
        return STATUS_NO_MEMORY;
    at = resp_put_header(at, '*', 2);
    at = resp_put_bulk(at, slice_make(text, stream_id_format(entry->id, text)));
    at = resp_put_header(at, '*', 2 * entry->field_count);
    while (stream_fields_next(&fields, &field)) {
        at = resp_put_bulk(at, field.name);
        at = resp_put_bulk(at, field.value);
    }
    resp_finish(reply, at);
    return fields.is_corrupt ? STATUS_CORRUPT : STATUS_OK;
}

enum status reply_stream_entry(struct resp_writer *reply, const struct stream_entry *entry)
{
    if (entry->field_count <= SMALL_ENTRY_FIELDS_MAX)
        return reply_small_entry(reply, entry);
    resp_array(reply, 2);
    reply_stream_id(reply, entry->id);
    return reply_stream_fields(reply, entry);
}

enum status reply_stream_range(struct command_context *c, const struct stream *stream,
                               struct stream_id first, struct stream_id last, bool is_reverse,
                               uint64_t count)
{
    struct stream_range range;
    struct stream_entry entry;
    size_t mark = resp_deferred_expecting(c->reply, count), shown = 0;
    enum status status = STATUS_OK;
    stream_range_open(c->access, stream, first, last, is_reverse, &range);
    while (!status && (count == 0 || shown < count)) {
        status = stream_range_next(&range, &entry);
        if (!status)
            status = reply_stream_entry(c->reply, &entry);
        if (!status)
            status = command_reply_check(c);
        shown += !status;
    }
    stream_range_close(&range);
    resp_deferred_array(c->reply, mark, shown);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
