/* SPDX-License-Identifier: MIT */
#include "lsm/table_format.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lsm/rows.h"

#include <assert.h>
#include <stdio.h>

/*   footer = handle{4} | version le32 | checksum le32 | magic 8
 *   handle = offset le64 | stored bytes le32      top index, filter, range deletes, properties */
enum {
    HANDLE_BYTES = 12,
    VERSION_AT = 4 * HANDLE_BYTES,
    FOOTER_CHECKSUM_AT = VERSION_AT + 4,
    MAGIC_AT = FOOTER_CHECKSUM_AT + 4,
};
static const uint8_t table_magic[8] = {'C', 'W', 'T', 'A', 'B', 'L', 'E', '\n'};

_Static_assert(MAGIC_AT + sizeof(table_magic) == TABLE_FOOTER_BYTES, "the footer's size is fixed");

/* ---- Footer -------------------------------------------------------------------------------- */

static void footer_handle_store(uint8_t *at, struct block_handle handle)
{
    le64_store(at, handle.offset);
    le32_store(at + 8, handle.stored_bytes);
}

static struct block_handle footer_handle_load(const uint8_t *at)
{
    return (struct block_handle){le64_load(at), le32_load(at + 8)};
}

void table_footer_encode(const struct table_footer *footer, uint8_t at[TABLE_FOOTER_BYTES])
{
    footer_handle_store(at, footer->top_index);
    footer_handle_store(at + HANDLE_BYTES, footer->filter);
    footer_handle_store(at + 2 * HANDLE_BYTES, footer->range_deletes);
    footer_handle_store(at + 3 * HANDLE_BYTES, footer->properties);
    le32_store(at + VERSION_AT, footer->version);
    le32_store(at + FOOTER_CHECKSUM_AT, crc32c_mask(crc32c(at, FOOTER_CHECKSUM_AT)));
    memcpy(at + MAGIC_AT, table_magic, sizeof(table_magic));
}

static bool handle_is_within(struct block_handle handle, uint64_t limit)
{
    return handle.stored_bytes > BLOCK_HEAD_BYTES && handle.offset <= limit &&
           handle.stored_bytes <= limit - handle.offset;
}

enum status table_footer_decode(const uint8_t at[TABLE_FOOTER_BYTES], uint64_t file_bytes,
                                struct table_footer *footer)
{
    assert(file_bytes >= TABLE_FOOTER_BYTES);
    if (memcmp(at + MAGIC_AT, table_magic, sizeof(table_magic)) != 0)
        return STATUS_CORRUPT;
    if (le32_load(at + FOOTER_CHECKSUM_AT) != crc32c_mask(crc32c(at, FOOTER_CHECKSUM_AT)))
        return STATUS_CORRUPT;
    uint32_t version = le32_load(at + VERSION_AT);
    if (version < TABLE_VERSION || version > TABLE_VERSION_COMPRESSED)
        return STATUS_UNSUPPORTED;
    struct block_handle handles[4];
    for (int i = 0; i < 4; i++) {
        handles[i] = footer_handle_load(at + i * HANDLE_BYTES);
        bool is_none = handles[i].stored_bytes == 0 && handles[i].offset == 0;
        if (!is_none && !handle_is_within(handles[i], file_bytes - TABLE_FOOTER_BYTES))
            return STATUS_CORRUPT;
    }
    if (handles[3].stored_bytes == 0)
        return STATUS_CORRUPT; /* every table has properties */
    *footer = (struct table_footer){handles[0], handles[1], handles[2], handles[3], version};
    return STATUS_OK;
}

/* ---- Properties ---------------------------------------------------------------------------- */

/* properties = (varint tag | varint size | bytes)...   Numbers are one varint. Never reuse a
 * tag. */
enum property_tag {
    PROPERTY_ENTRY_COUNT = 1,
    PROPERTY_DELETE_COUNT = 2,
    PROPERTY_RANGE_DELETE_COUNT = 3,
    PROPERTY_RAW_BYTES = 4,
    PROPERTY_LSN_MIN = 5,
    PROPERTY_LSN_MAX = 6,
    PROPERTY_SMALLEST = 7,
    PROPERTY_LARGEST = 8,
    PROPERTY_LARGEST_IS_EXCLUSIVE = 9,
    PROPERTY_BLOCK_BYTES = 10,
    PROPERTY_FILTER_BITS_PER_KEY = 11,
    PROPERTY_FILTER_PREFIX_BYTES = 12,
    PROPERTY_DATA_BYTES = 13,
    PROPERTY_BLOCK_COUNT = 14,
    /* 15, 16: kept for the minimum and maximum event time. */
    PROPERTY_CODEC = 17,
    PROPERTY_DICTIONARY = 18,
    PROPERTY_BASE_LSN = 19,
    PROPERTY_COMPRESSION = 20,
};

static void property_number(struct buffer *out, enum property_tag tag, uint64_t value)
{
    buffer_append_varint(out, tag);
    buffer_append_varint(out, varint_size(value));
    buffer_append_varint(out, value);
}

static void property_bytes(struct buffer *out, enum property_tag tag, struct slice value)
{
    buffer_append_varint(out, tag);
    buffer_append_sized(out, value);
}

void table_file_properties_encode(const struct table_file_properties *properties,
                                  struct buffer *out)
{
    const struct table_properties *shared = &properties->shared;
    property_number(out, PROPERTY_ENTRY_COUNT, shared->entry_count);
    property_number(out, PROPERTY_DELETE_COUNT, shared->delete_count);
    property_number(out, PROPERTY_RANGE_DELETE_COUNT, shared->range_delete_count);
    property_number(out, PROPERTY_RAW_BYTES, shared->raw_bytes);
    property_number(out, PROPERTY_LSN_MIN, shared->lsn_min);
    property_number(out, PROPERTY_LSN_MAX, shared->lsn_max);
    property_bytes(out, PROPERTY_SMALLEST, buffer_slice(&shared->smallest));
    property_bytes(out, PROPERTY_LARGEST, buffer_slice(&shared->largest));
    property_number(out, PROPERTY_LARGEST_IS_EXCLUSIVE, shared->largest_is_exclusive);
    property_number(out, PROPERTY_BLOCK_BYTES, properties->options.block_bytes);
    property_number(out, PROPERTY_FILTER_BITS_PER_KEY, properties->options.filter_bits_per_key);
    property_number(out, PROPERTY_FILTER_PREFIX_BYTES, properties->options.filter_prefix_bytes);
    property_number(out, PROPERTY_DATA_BYTES, properties->data_bytes);
    property_number(out, PROPERTY_BLOCK_COUNT, properties->block_count);
    if (properties->compression)
        property_number(out, PROPERTY_COMPRESSION, properties->compression);
    if (properties->codec_name.size == 0)
        return;
    property_bytes(out, PROPERTY_CODEC, properties->codec_name);
    if (properties->dictionary.stored_bytes) {
        uint8_t handle[TABLE_HANDLE_BYTES_MAX];
        size_t size = block_handle_encode(properties->dictionary, handle);
        property_bytes(out, PROPERTY_DICTIONARY, slice_make(handle, size));
    }
    property_number(out, PROPERTY_BASE_LSN, properties->base_lsn);
}

static bool take_number(struct slice field, uint64_t max, uint64_t *value)
{
    uint64_t number;
    if (!slice_take_varint(&field, &number) || field.size > 0 || number > max)
        return false;
    *value = number;
    return true;
}

static bool take_small(struct slice field, uint32_t *value)
{
    uint64_t number;
    if (!take_number(field, UINT32_MAX, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool take_bytes(struct slice field, struct buffer *into)
{
    if (field.size > LSM_KEY_BYTES_MAX)
        return false;
    buffer_clear(into);
    buffer_append_slice(into, field);
    return true;
}

static bool property_decode(uint64_t tag, struct slice field,
                            struct table_file_properties *properties)
{
    struct table_properties *shared = &properties->shared;
    uint64_t flag;
    switch (tag) {
    case PROPERTY_ENTRY_COUNT:
        return take_number(field, UINT64_MAX, &shared->entry_count);
    case PROPERTY_DELETE_COUNT:
        return take_number(field, UINT64_MAX, &shared->delete_count);
    case PROPERTY_RANGE_DELETE_COUNT:
        return take_number(field, UINT64_MAX, &shared->range_delete_count);
    case PROPERTY_RAW_BYTES:
        return take_number(field, UINT64_MAX, &shared->raw_bytes);
    case PROPERTY_LSN_MIN:
        return take_number(field, UINT64_MAX, &shared->lsn_min);
    case PROPERTY_LSN_MAX:
        return take_number(field, UINT64_MAX, &shared->lsn_max);
    case PROPERTY_SMALLEST:
        return take_bytes(field, &shared->smallest);
    case PROPERTY_LARGEST:
        return take_bytes(field, &shared->largest);
    case PROPERTY_LARGEST_IS_EXCLUSIVE:
        if (!take_number(field, 1, &flag))
            return false;
        shared->largest_is_exclusive = flag == 1;
        return true;
    case PROPERTY_BLOCK_BYTES:
        return take_small(field, &properties->options.block_bytes);
    case PROPERTY_FILTER_BITS_PER_KEY:
        return take_small(field, &properties->options.filter_bits_per_key);
    case PROPERTY_FILTER_PREFIX_BYTES:
        return take_small(field, &properties->options.filter_prefix_bytes);
    case PROPERTY_DATA_BYTES:
        return take_number(field, UINT64_MAX, &properties->data_bytes);
    case PROPERTY_BLOCK_COUNT:
        return take_number(field, UINT64_MAX, &properties->block_count);
    case PROPERTY_CODEC:
        properties->codec_name = field;
        return field.size > 0;
    case PROPERTY_DICTIONARY:
        return block_handle_decode(field, UINT64_MAX, &properties->dictionary);
    case PROPERTY_COMPRESSION:
        return take_small(field, &properties->compression);
    case PROPERTY_BASE_LSN:
        return take_number(field, ROWS_LSN_MAX, &properties->base_lsn);
    default:
        return true;
    }
}

enum status table_file_properties_decode(struct slice content,
                                         struct table_file_properties *properties)
{
    while (content.size > 0) {
        uint64_t tag;
        struct slice field;
        if (!slice_take_varint(&content, &tag) || !slice_take_sized(&content, &field) ||
            !property_decode(tag, field, properties))
            return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

void table_properties_release(struct table_properties *properties)
{
    buffer_release(&properties->smallest);
    buffer_release(&properties->largest);
}

void table_properties_see_lsn(struct table_properties *properties, lsn_t lsn)
{
    assert(lsn > 0);
    assert(lsn <= ROWS_LSN_MAX);
    if (properties->lsn_min == 0 || lsn < properties->lsn_min)
        properties->lsn_min = lsn;
    if (lsn > properties->lsn_max)
        properties->lsn_max = lsn;
}

void table_properties_see_range(struct table_properties *properties, struct range_delete range)
{
    bool is_first = properties->entry_count == 0 && properties->range_delete_count == 0;
    if (is_first || slice_compare(range.from, buffer_slice(&properties->smallest)) < 0) {
        buffer_clear(&properties->smallest);
        buffer_append_slice(&properties->smallest, range.from);
    }
    if (is_first || slice_compare(range.to, buffer_slice(&properties->largest)) > 0) {
        buffer_clear(&properties->largest);
        buffer_append_slice(&properties->largest, range.to);
        properties->largest_is_exclusive = true;
    }
    properties->range_delete_count++;
}

/* ---- Index --------------------------------------------------------------------------------- */

size_t block_handle_encode(struct block_handle handle, uint8_t at[TABLE_HANDLE_BYTES_MAX])
{
    size_t size = varint_store(at, handle.offset);
    return size + varint_store(at + size, handle.stored_bytes);
}

bool block_handle_decode(struct slice value, uint64_t limit, struct block_handle *handle)
{
    uint64_t offset, stored_bytes;
    if (!slice_take_varint(&value, &offset) || !slice_take_varint(&value, &stored_bytes) ||
        value.size > 0 || stored_bytes > UINT32_MAX)
        return false;
    struct block_handle decoded = {offset, (uint32_t)stored_bytes};
    if (!handle_is_within(decoded, limit))
        return false;
    *handle = decoded;
    return true;
}

struct slice table_separator(struct slice last, lsn_t last_lsn, struct slice next, lsn_t *lsn)
{
    size_t limit = last.size < next.size ? last.size : next.size;
    size_t shared = 0;
    while (shared < limit && last.data[shared] == next.data[shared])
        shared++;
    if (shared == next.size) { /* the versions of one key go on in the next block */
        assert(last.size == next.size);
        *lsn = last_lsn;
        return last;
    }
    *lsn = 0;
    if (shared + 1 < next.size && shared + 1 < last.size)
        return slice_make(next.data, shared + 1);
    return last;
}

/* ---- Reports ------------------------------------------------------------------------------- */

enum status table_damaged(struct lsm_report *report, const char *path, uint64_t offset,
                          const char *what)
{
    if (report)
        snprintf(report->text, sizeof(report->text), "%.300s: offset %llu: %s", path,
                 (unsigned long long)offset, what);
    return STATUS_CORRUPT;
}
