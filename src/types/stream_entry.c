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

static size_t sum_of_sizes(const struct slice *fields, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < 2 * count; i++)
        size += fields[i].size;
    return size;
}

static uint8_t *put_fields(uint8_t *next, const struct slice *fields, size_t count)
{
    for (size_t i = 0; i < 2 * count; i++) {
        struct slice part = fields[i];
        next += varint_store(next, part.size);
        if (part.size)
            memcpy(next, part.data, part.size);
        next += part.size;
    }
    return next;
}

void stream_record_encode(const struct stream_record *record, struct buffer *value)
{
    size_t count = record->first_count + record->field_count;
    size_t bytes = sum_of_sizes(record->first, record->first_count) +
                   sum_of_sizes(record->fields, record->field_count);
    assert(count > 0);
    buffer_clear(value);
    buffer_reserve(value, stream_record_bytes_max(count, bytes));
    uint8_t *next = value->data;
    *next++ = (uint8_t)((record->late_ms ? RECORD_LATE : 0) | (record->kinds ? RECORD_KINDS : 0));
    next += varint_store(next, record->ordinal);
    if (record->late_ms)
        next += varint_store(next, record->late_ms);
    next += varint_store(next, count);
    if (record->kinds) {
        memset(next, STREAM_FIELD_BYTES, record->first_count);
        memcpy(next + record->first_count, record->kinds, record->field_count);
        next += count;
    }
    next = put_fields(next, record->first, record->first_count);
    next = put_fields(next, record->fields, record->field_count);
    value->size = (size_t)(next - value->data);
    assert(value->size <= value->capacity);
}

/* Reading goes by two pointers, and results are stored member by member: a struct slice that is
 * copied as a whole right after its halves were written costs more than all the rest. */

/* Most have three bytes and more. */
static inline const uint8_t *load_ordinal(const uint8_t *at, const uint8_t *end, uint64_t *ordinal)
{
    unsigned size =
        end - at >= (ptrdiff_t)sizeof(uint64_t) ? varint_of_word(le64_load(at), ordinal) : 0;
    return size > 0 ? at + size : varint_load_long(at, end, ordinal);
}

/* What stands before the count of fields; NULL: damaged. */
static inline const uint8_t *load_head(struct slice key, struct slice value, uint8_t *flags,
                                       struct stream_entry *entry)
{
    uint64_t ordinal, late_ms = 0;
    const uint8_t *at = value.data, *end = at + value.size;
    if (key.size != STREAM_ENTRY_KEY_BYTES || value.size == 0)
        return NULL;
    uint64_t ms = be64_load(key.data + OBJECT_PREFIX_BYTES);
    *flags = *at++;
    if ((*flags & ~RECORD_KNOWN) || !(at = load_ordinal(at, end, &ordinal)))
        return NULL;
    if ((*flags & RECORD_LATE) &&
        (!(at = varint_load(at, end, &late_ms)) || late_ms == 0 || late_ms > ms))
        return NULL;
    entry->id.ms = ms;
    entry->id.seq = be64_load(key.data + OBJECT_PREFIX_BYTES + 8);
    entry->ordinal = ordinal;
    entry->event_ms = ms - late_ms;
    entry->is_late = late_ms > 0;
    return at;
}

enum status stream_entry_decode_head(struct slice key, struct slice value,
                                     struct stream_entry *entry)
{
    uint8_t flags;
    if (!load_head(key, value, &flags, entry))
        return STATUS_CORRUPT;
    entry->field_count = 0;
    entry->kinds = NULL;
    entry->fields = entry->end = value.data + value.size;
    return STATUS_OK;
}

static bool kinds_are_known(const uint8_t *kinds, size_t count)
{
    uint8_t highest = 0;
    for (size_t i = 0; i < count; i++)
        highest = kinds[i] > highest ? kinds[i] : highest;
    return highest <= STREAM_FIELD_JSON;
}

enum status stream_entry_decode(struct slice key, struct slice value, struct stream_entry *entry)
{
    uint64_t field_count;
    uint8_t flags;
    const uint8_t *at = load_head(key, value, &flags, entry), *end = value.data + value.size;
    const uint8_t *kinds = NULL;
    if (!at)
        return STATUS_CORRUPT;
    /* A field is two bytes at least, so the count is bounded by the record. */
    if (!(at = varint_load(at, end, &field_count)) || field_count == 0 ||
        field_count > (uint64_t)(end - at) / 2)
        return STATUS_CORRUPT;
    if (flags & RECORD_KINDS) {
        kinds = at;
        at += field_count;
        if (!kinds_are_known(kinds, (size_t)field_count))
            return STATUS_CORRUPT;
    }
    entry->field_count = (size_t)field_count;
    entry->kinds = kinds;
    entry->fields = at;
    entry->end = end;
    return STATUS_OK;
}

static bool fields_fail(struct stream_fields *fields)
{
    fields->is_corrupt = true;
    fields->left = 0;
    return false;
}

bool stream_fields_next(struct stream_fields *fields, struct stream_field *field)
{
    const uint8_t *at = fields->at, *end = fields->end;
    uint64_t name_size, value_size;
    if (fields->left == 0) {
        fields->is_corrupt |= at < end;
        return false;
    }
    const uint8_t *name = stream_part_load(at, end, &name_size);
    at = name ? stream_part_load(name + name_size, end, &value_size) : NULL;
    if (!at)
        return fields_fail(fields);
    field->name.data = name;
    field->name.size = (size_t)name_size;
    field->value.data = at;
    field->value.size = (size_t)value_size;
    field->kind = fields->kinds ? (enum stream_field_kind) * fields->kinds++ : STREAM_FIELD_BYTES;
    fields->at = at + value_size;
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
