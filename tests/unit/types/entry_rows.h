/* SPDX-License-Identifier: MIT */
/* Rows of TREE_ENTRIES for tests of their layout, and the way through the codec and back. */
#ifndef UNIT_TYPES_ENTRY_ROWS_H
#define UNIT_TYPES_ENTRY_ROWS_H

#include "base/memory.h"
#include "types/entry_codec.h"
#include "types/stream_entry.h"

enum { ENTRY_ROWS_MAX = 12000 };

/* Rows that own their bytes. */
struct entry_rows {
    struct block_codec_row list[ENTRY_ROWS_MAX];
    size_t count;
    size_t raw_bytes;
};

static inline void entry_rows_clear(struct entry_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        memory_free((void *)rows->list[i].key.data);
        memory_free((void *)rows->list[i].value.data);
    }
    rows->count = rows->raw_bytes = 0;
}

static inline void entry_rows_add_raw(struct entry_rows *rows, struct slice key, struct slice value)
{
    rows->list[rows->count].key = slice_make(memory_copy(key.data, key.size), key.size);
    rows->list[rows->count++].value = slice_make(memory_copy(value.data, value.size), value.size);
    rows->raw_bytes += key.size + value.size;
}

static inline void entry_rows_add(struct entry_rows *rows, uint64_t object, struct stream_id id,
                                  const struct stream_record *record)
{
    uint8_t prefix[OBJECT_PREFIX_BYTES], key[STREAM_ENTRY_KEY_BYTES];
    struct buffer value = {0};
    object_prefix_store(prefix, 1, object);
    stream_entry_key_store(key, prefix, id);
    stream_record_encode(record, &value);
    entry_rows_add_raw(rows, slice_make(key, sizeof(key)), buffer_slice(&value));
    buffer_release(&value);
}

/* The next entry, 10 ms after the last: names and values by turns. */
static inline void entry_rows_add_texts(struct entry_rows *rows, const char *const *texts,
                                        size_t field_count)
{
    struct slice fields[64];
    for (size_t i = 0; i < 2 * field_count; i++)
        fields[i] = slice_from(texts[i]);
    entry_rows_add(rows, 1, (struct stream_id){1000 + 10 * rows->count, 0},
                   &(struct stream_record){
                       .ordinal = rows->count, .fields = fields, .field_count = field_count});
}

/* What a decoded block must be; `matches` tells whether it was so far. */
struct entry_rows_check {
    const struct entry_rows *rows;
    size_t next;
    bool matches;
};

static inline void entry_rows_check_row(void *context, struct slice key, struct slice value)
{
    struct entry_rows_check *check = context;
    const struct block_codec_row *row = &check->rows->list[check->next];
    check->matches = check->matches && check->next < check->rows->count &&
                     slice_equal(row->key, key) && slice_equal(row->value, value);
    check->next++;
}

/* What the head of an entry says is what the whole says. A row may be no entry. */
static inline bool entry_head_agrees(const struct block_codec_row *row, struct slice head_value)
{
    struct stream_entry whole = {.ordinal = 0}, head = {.ordinal = 1};
    if (stream_entry_decode(row->key, row->value, &whole) != STATUS_OK)
        return true;
    return stream_entry_decode_head(row->key, head_value, &head) == STATUS_OK &&
           stream_id_compare(whole.id, head.id) == 0 && whole.ordinal == head.ordinal &&
           whole.event_ms == head.event_ms && whole.is_late == head.is_late &&
           head.field_count == 0 && head_value.size < row->value.size;
}

/* The same rows, of whose values there is what stands before the fields. */
static inline void entry_rows_check_head(void *context, struct slice key, struct slice value)
{
    struct entry_rows_check *check = context;
    const struct block_codec_row *row = &check->rows->list[check->next];
    check->matches = check->matches && check->next < check->rows->count &&
                     slice_equal(row->key, key) && slice_starts_with(row->value, value) &&
                     entry_head_agrees(row, value);
    check->next++;
}

/* Whole, or the heads. */
static inline enum status entry_rows_decode_as(const struct entry_rows *rows,
                                               const void *dictionary, struct slice content,
                                               size_t raw_bytes_max, bool heads, bool *matches)
{
    struct entry_rows_check check = {rows, 0, true};
    uint8_t *exact = memory_copy(content.data, content.size);
    struct slice input = slice_make(exact, content.size);
    enum status status =
        heads ? entry_codec.decode_heads(dictionary, input, raw_bytes_max, entry_rows_check_head,
                                         &check)
              : entry_codec.decode(dictionary, input, raw_bytes_max, entry_rows_check_row, &check);
    memory_free(exact);
    *matches = check.matches && check.next == rows->count;
    return status;
}

static inline enum status entry_rows_decode(const struct entry_rows *rows, const void *dictionary,
                                            struct slice content, size_t raw_bytes_max,
                                            bool *matches)
{
    return entry_rows_decode_as(rows, dictionary, content, raw_bytes_max, false, matches);
}

static inline enum status entry_rows_decode_heads(const struct entry_rows *rows,
                                                  const void *dictionary, struct slice content,
                                                  size_t raw_bytes_max, bool *matches)
{
    return entry_rows_decode_as(rows, dictionary, content, raw_bytes_max, true, matches);
}

#endif
