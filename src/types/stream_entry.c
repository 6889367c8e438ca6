/* SPDX-License-Identifier: MIT */
/* The record of an entry:
 *
 *   key    generation (4, BE) | object id (8, BE) | ms (8, BE) | seq (8, BE)
 *   value  flags | varint ordinal | [LATE: varint (ms - event time)] | varint field count
 *          | [KINDS: a byte a field] | { varint size, name, varint size, value } a field         */
#include "types/stream_entry.h"

#include <assert.h>

enum record_flags {
    RECORD_LATE = 1,
    RECORD_KINDS = 2,
    RECORD_KNOWN = 3,
};

void stream_entry_key_store(uint8_t at[STREAM_ENTRY_KEY_BYTES],
                            const uint8_t prefix[OBJECT_PREFIX_BYTES], struct stream_id id)
{
    memcpy(at, prefix, OBJECT_PREFIX_BYTES);
    stream_id_store(at + OBJECT_PREFIX_BYTES, id);
}

static size_t record_bytes_max(const struct stream_record *record)
{
    size_t size = 1 + 3 * VARINT_BYTES_MAX + record->field_count;
    for (size_t i = 0; i < 2 * record->field_count; i++)
        size += VARINT_BYTES_MAX + record->fields[i].size;
    return size;
}

void stream_record_encode(const struct stream_record *record, struct buffer *value)
{
    assert(record->field_count > 0);
    buffer_clear(value);
    buffer_reserve(value, record_bytes_max(record));
    uint8_t *next = value->data;
    *next++ = (uint8_t)((record->late_ms ? RECORD_LATE : 0) | (record->kinds ? RECORD_KINDS : 0));
    next += varint_store(next, record->ordinal);
    if (record->late_ms)
        next += varint_store(next, record->late_ms);
    next += varint_store(next, record->field_count);
    if (record->kinds) {
        memcpy(next, record->kinds, record->field_count);
        next += record->field_count;
    }
    for (size_t i = 0; i < 2 * record->field_count; i++) {
        struct slice part = record->fields[i];
        next += varint_store(next, part.size);
        if (part.size)
            memcpy(next, part.data, part.size);
        next += part.size;
    }
    value->size = (size_t)(next - value->data);
    assert(value->size <= value->capacity);
}

/* Nearly all sizes fit one byte. */
static inline bool take_varint(struct slice *input, uint64_t *value)
{
    if (input->size > 0 && input->data[0] < 0x80) {
        *value = input->data[0];
        input->data++;
        input->size--;
        return true;
    }
    return slice_take_varint(input, value);
}

static inline bool take_sized(struct slice *input, struct slice *value)
{
    uint64_t size;
    struct slice rest = *input;
    if (!take_varint(&rest, &size) || size > rest.size)
        return false;
    *value = slice_make(rest.data, (size_t)size);
    *input = slice_skip(rest, (size_t)size);
    return true;
}

enum status stream_entry_decode(struct slice key, struct slice value, struct stream_entry *entry)
{
    struct stream_entry decoded = {0};
    uint64_t late_ms, field_count;
    if (key.size != STREAM_ENTRY_KEY_BYTES || value.size == 0)
        return STATUS_CORRUPT;
    decoded.id = stream_id_load(key.data + OBJECT_PREFIX_BYTES);
    decoded.event_ms = decoded.id.ms;
    uint8_t flags = value.data[0];
    value = slice_skip(value, 1);
    if ((flags & ~RECORD_KNOWN) || !take_varint(&value, &decoded.ordinal))
        return STATUS_CORRUPT;
    if (flags & RECORD_LATE) {
        if (!take_varint(&value, &late_ms) || late_ms == 0 || late_ms > decoded.id.ms)
            return STATUS_CORRUPT;
        decoded.event_ms -= late_ms;
        decoded.is_late = true;
    }
    /* A field is two bytes at least, so the count is bounded by the record. */
    if (!take_varint(&value, &field_count) || field_count == 0 || field_count > value.size / 2)
        return STATUS_CORRUPT;
    decoded.field_count = (size_t)field_count;
    if ((flags & RECORD_KINDS) && !slice_take(&value, decoded.field_count, &decoded.kinds))
        return STATUS_CORRUPT;
    decoded.fields = value;
    *entry = decoded;
    return STATUS_OK;
}

bool stream_fields_next(struct stream_fields *fields, struct stream_field *field)
{
    if (fields->left == 0) {
        fields->is_corrupt |= fields->rest.size > 0;
        return false;
    }
    uint8_t kind = STREAM_FIELD_BYTES;
    if (fields->kinds.size > 0) {
        kind = fields->kinds.data[0];
        fields->kinds = slice_skip(fields->kinds, 1);
    }
    if (kind > STREAM_FIELD_JSON || !take_sized(&fields->rest, &field->name) ||
        !take_sized(&fields->rest, &field->value)) {
        fields->is_corrupt = true;
        fields->left = 0;
        return false;
    }
    field->kind = (enum stream_field_kind)kind;
    fields->left--;
    return true;
}

bool stream_entry_find_field(const struct stream_entry *entry, struct slice name,
                             struct stream_field *field)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field each;
    while (stream_fields_next(&fields, &each)) {
        if (slice_equal(each.name, name)) {
            *field = each;
            return true;
        }
    }
    return false;
}
