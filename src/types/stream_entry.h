/* SPDX-License-Identifier: MIT */
/* One entry of a stream as a record of TREE_ENTRIES: key and value, written and read in place.
 * Bytes: ENCODING.md, "Streams". */
#ifndef TYPES_STREAM_ENTRY_H
#define TYPES_STREAM_ENTRY_H

#include "base/buffer.h"
#include "base/coding.h"
#include "types/store.h"
#include "types/stream_id.h"

enum { STREAM_ENTRY_KEY_BYTES = OBJECT_PREFIX_BYTES + STREAM_ID_BYTES };

/* How a field's value is to be understood. On disk; never reuse a number. */
enum stream_field_kind {
    STREAM_FIELD_BYTES = 0,
    STREAM_FIELD_JSON = 1, /* the text of a JSON value that is not a string */
};

struct stream_field {
    struct slice name;
    struct slice value;
    enum stream_field_kind kind;
};

/* A decoded record; slices point into it. */
struct stream_entry {
    struct stream_id id;
    uint64_t ordinal;
    uint64_t event_ms; /* when it happened; id.ms unless is_late */
    bool is_late;
    size_t field_count;
    const uint8_t *kinds;  /* a byte a field; NULL: all STREAM_FIELD_BYTES */
    const uint8_t *fields; /* encoded, up to end; for stream_fields_begin */
    const uint8_t *end;
};

/* What goes into a record, beside its key. Fields are names and values by turns, counted in pairs; those
 * of `first` stand in front and are bytes. */
struct stream_record {
    uint64_t ordinal;
    uint64_t late_ms; /* id.ms - event time; 0: not late */
    const struct slice *first;
    size_t first_count;
    const struct slice *fields;
    size_t field_count;
    const uint8_t *kinds; /* enum stream_field_kind, one for each of `fields`; NULL: all bytes */
};

void stream_entry_key_store(uint8_t at[STREAM_ENTRY_KEY_BYTES],
                            const uint8_t prefix[OBJECT_PREFIX_BYTES], struct stream_id id);
/* Bounds the size of a record with so many fields of so many bytes. */
static inline size_t stream_record_bytes_max(size_t field_count, size_t field_bytes)
{
    return 1 + 3 * VARINT_BYTES_MAX + field_count * (1 + 2 * VARINT_BYTES_MAX) + field_bytes;
}
/* Replaces the buffer's contents. */
void stream_record_encode(const struct stream_record *record, struct buffer *value);

/* STATUS_CORRUPT for damaged records, except inside the fields: see stream_fields_next. */
enum status stream_entry_decode(struct slice key, struct slice value, struct stream_entry *entry);
/* Of a record, or of its head alone (lsm_iter_options.heads): an entry without fields. */
enum status stream_entry_decode_head(struct slice key, struct slice value,
                                     struct stream_entry *entry);

/* The parts of the fields, names and values by turns, as they lie between `fields` and `end`: the size of the one
 * whose encoding begins at `at`, and where its bytes are; NULL: damaged. */
static inline const uint8_t *stream_part_load(const uint8_t *at, const uint8_t *end, uint64_t *size)
{
    at = varint_load(at, end, size);
    return at && *size <= (uint64_t)(end - at) ? at : NULL;
}

struct stream_fields {
    const uint8_t *at, *end, *kinds;
    size_t left;
    bool is_corrupt;
};

static inline struct stream_fields stream_fields_begin(const struct stream_entry *entry)
{
    return (struct stream_fields){
        .at = entry->fields, .end = entry->end, .kinds = entry->kinds, .left = entry->field_count};
}
/* false at the end; is_corrupt tells whether it is the right end. */
bool stream_fields_next(struct stream_fields *fields, struct stream_field *field);
/* The first field of that name. */
bool stream_entry_find_field(const struct stream_entry *entry, struct slice name,
                             struct stream_field *field);

#endif
