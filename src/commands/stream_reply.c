/* SPDX-License-Identifier: MIT */
/* Entries of streams as replies. */
#include "commands/stream_reply.h"

#include "commands/stream_pages.h"
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

/* An ID's ms without the last four digits, as text: from one entry to the next they are mostly the same. */
struct id_front {
    uint64_t value; /* 0: none */
    size_t size;
    uint8_t text[DECIMAL_BYTES_MAX];
};

enum { ID_FRONT_BYTES_MAX = 16, ID_MS_TAIL = 10000 };

static uint8_t *put_id(uint8_t *at, struct id_front *front, struct stream_id id)
{
    uint64_t value = id.ms / ID_MS_TAIL, tail = id.ms % ID_MS_TAIL;
    if (value == 0 || id.seq >= RESP_LINES) {
        char text[STREAM_ID_TEXT_MAX];
        return resp_put_bulk(at, slice_make(text, stream_id_format(id, text)));
    }
    if (value != front->value) {
        front->value = value;
        front->size = (size_t)(decimal_put(front->text, value) - front->text);
    }
    const struct resp_line *seq = &resp_lines[id.seq];
    at = resp_put_header(at, '$', front->size + 5 + seq->size - 2); /* 5: the tail and '-' */
    memcpy(at, front->text, ID_FRONT_BYTES_MAX);
    at += front->size;
    memcpy(at, decimal_pairs + tail / 100 * 2, 2);
    memcpy(at + 2, decimal_pairs + tail % 100 * 2, 2);
    at[4] = '-';
    memcpy(at + 5, seq, sizeof(*seq));
    return at + 5 + seq->size;
}

/* The whole entry with one look at the room; its fields are few. */
static inline enum status put_entry(struct resp_writer *reply, struct id_front *front,
                                    const struct stream_entry *entry)
{
    const uint8_t *part = entry->fields, *end = entry->end;
    size_t parts = 2 * entry->field_count;
    uint8_t *at = resp_room(reply, 2 * RESP_HEADER_BYTES_MAX + (parts + 1) * RESP_BULK_EXTRA_BYTES +
                                       STREAM_ID_TEXT_MAX + (size_t)(end - part));
    if (!at)
        return STATUS_NO_MEMORY;
    at = resp_put_header(at, '*', 2);
    at = put_id(at, front, entry->id);
    at = resp_put_header(at, '*', parts);
    for (; parts > 0; parts--) {
        uint64_t size;
        part = stream_part_load(part, end, &size);
        if (!part)
            return STATUS_CORRUPT;
        at = resp_put_bulk(at, slice_make(part, (size_t)size));
        part += size;
    }
    if (part < end)
        return STATUS_CORRUPT;
    resp_finish(reply, at);
    return STATUS_OK;
}

static inline enum status reply_entry(struct resp_writer *reply, struct id_front *front,
                                      const struct stream_entry *entry)
{
    if (entry->field_count <= SMALL_ENTRY_FIELDS_MAX)
        return put_entry(reply, front, entry);
    resp_array(reply, 2);
    reply_stream_id(reply, entry->id);
    return reply_stream_fields(reply, entry);
}

enum status reply_stream_entry(struct resp_writer *reply, const struct stream_entry *entry)
{
    struct id_front front = {0};
    return reply_entry(reply, &front, entry);
}

/* An entry that was read, where no page has it. */
static enum status reply_read_entry(struct stream_pages *pages, struct id_front *front,
                                    const struct stream_entry *entry)
{
    size_t begin = pages->c->reply->out->size;
    enum status status = reply_entry(pages->c->reply, front, entry);
    if (!status)
        stream_pages_pass(pages, entry, begin);
    return status;
}

enum status reply_stream_range(struct command_context *c, const struct stream *stream,
                               struct stream_id first, struct stream_id last, bool is_reverse,
                               uint64_t count)
{
    struct stream_range range;
    struct stream_pages pages;
    struct stream_entry entry;
    struct stream_id id; /* of the newest one that a page had */
    struct id_front front = {0};
    size_t mark = resp_deferred_expecting(c->reply, count), shown = 0;
    uint64_t most = count > 0 ? count : UINT64_MAX, ordinal = 0;
    bool is_behind = false, may_be_paged = true; /* the range is behind what was shown */
    enum status status = STATUS_OK;
    stream_range_open(c->access, stream, first, last, is_reverse, &range);
    stream_pages_begin(&pages, c, stream, is_reverse);
    while (!status && shown < most) {
        if (!is_behind) {
            status = stream_range_next(&range, &entry);
            if (status)
                break;
            ordinal = entry.ordinal;
            may_be_paged |= ordinal % STREAM_PAGE_ENTRIES == 0;
        }
        size_t paged = 0;
        if (may_be_paged)
            paged = stream_pages_put(&pages, ordinal, range.last, most - shown, &id);
        if (paged > 0) {
            shown += paged;
            ordinal += paged;
            is_behind = true;
        } else if (is_behind) {
            stream_range_skip(&range, stream, id);
            is_behind = may_be_paged = false;
            continue;
        } else {
            status = reply_read_entry(&pages, &front, &entry);
            shown += !status;
            may_be_paged = false;
        }
        if (!status)
            status = command_reply_check(c);
    }
    stream_range_close(&range);
    resp_deferred_array(c->reply, mark, shown);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
