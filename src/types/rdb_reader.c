/* SPDX-License-Identifier: MIT */
#include "types/rdb_reader.h"

#include "base/coding.h"
#include "types/rdb_format.h"
#include "types/rdb_lzf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* *is_special: what follows is a string in another form, and *length says which. */
static bool take_length(struct slice *input, uint64_t *length, bool *is_special)
{
    uint8_t first, low;
    uint32_t word;
    *is_special = false;
    if (!slice_take_byte(input, &first))
        return false;
    switch (first >> 6) {
    case RDB_LENGTH_6:
        *length = first & 0x3f;
        return true;
    case RDB_LENGTH_14:
        if (!slice_take_byte(input, &low))
            return false;
        *length = (uint64_t)(first & 0x3f) << 8 | low;
        return true;
    case RDB_SPECIAL:
        *is_special = true;
        *length = first & 0x3f;
        return true;
    default:
        break;
    }
    if (first == RDB_LENGTH_64)
        return slice_take_be64(input, length);
    if (first != RDB_LENGTH_32 || !slice_take_be32(input, &word))
        return false;
    *length = word;
    return true;
}

enum status rdb_take_length(struct rdb_reader *reader, uint64_t *length)
{
    bool is_special;
    return take_length(&reader->input, length, &is_special) && !is_special ? STATUS_OK
                                                                           : STATUS_INVALID;
}

enum status rdb_take_bytes(struct rdb_reader *reader, size_t size, struct slice *bytes)
{
    return slice_take(&reader->input, size, bytes) ? STATUS_OK : STATUS_INVALID;
}

static enum status take_number(struct rdb_reader *reader, uint64_t form, struct slice *string)
{
    uint8_t byte;
    uint16_t half;
    uint32_t word;
    int64_t value;
    if (form == RDB_INT8 && slice_take_byte(&reader->input, &byte))
        value = (int8_t)byte;
    else if (form == RDB_INT16 && slice_take_le16(&reader->input, &half))
        value = (int16_t)half;
    else if (form == RDB_INT32 && slice_take_le32(&reader->input, &word))
        value = (int32_t)word;
    else
        return STATUS_INVALID;
    int size = snprintf(reader->number, sizeof reader->number, "%" PRId64, value);
    *string = slice_make(reader->number, (size_t)size);
    return STATUS_OK;
}

static enum status take_packed(struct rdb_reader *reader, struct slice *string)
{
    uint64_t packed_size, size;
    struct slice packed;
    if (rdb_take_length(reader, &packed_size) || rdb_take_length(reader, &size) ||
        packed_size > reader->input.size || size > RDB_STRING_BYTES_MAX ||
        size / LZF_EXPANSION_MAX > packed_size)
        return STATUS_INVALID;
    (void)slice_take(&reader->input, (size_t)packed_size, &packed); /* they are there */
    buffer_clear(&reader->unpacked);
    if (buffer_try_reserve(&reader->unpacked, (size_t)size + 1))
        return STATUS_NO_MEMORY;
    if (!lzf_unpack(packed, reader->unpacked.data, (size_t)size))
        return STATUS_INVALID;
    reader->unpacked.size = (size_t)size;
    *string = buffer_slice(&reader->unpacked);
    return STATUS_OK;
}

enum status rdb_take_string(struct rdb_reader *reader, struct slice *string)
{
    uint64_t length;
    bool is_special;
    if (!take_length(&reader->input, &length, &is_special))
        return STATUS_INVALID;
    if (is_special)
        return length == RDB_LZF ? take_packed(reader, string)
                                 : take_number(reader, length, string);
    if (length > RDB_STRING_BYTES_MAX)
        return STATUS_INVALID;
    return rdb_take_bytes(reader, (size_t)length, string);
}

void rdb_reader_release(struct rdb_reader *reader)
{
    buffer_release(&reader->unpacked);
}

void rdb_put_length(struct buffer *out, uint64_t length)
{
    if (length < 1 << 6) {
        buffer_append_byte(out, (uint8_t)length);
    } else if (length < 1 << 14) {
        buffer_append_be16(out, (uint16_t)(RDB_LENGTH_14 << 14 | length));
    } else if (length <= UINT32_MAX) {
        buffer_append_byte(out, RDB_LENGTH_32);
        buffer_append_be32(out, (uint32_t)length);
    } else {
        buffer_append_byte(out, RDB_LENGTH_64);
        buffer_append_be64(out, length);
    }
}

void rdb_put_string(struct buffer *out, struct slice string)
{
    rdb_put_length(out, string.size);
    buffer_append_slice(out, string);
}

size_t rdb_put_later_length(struct buffer *out)
{
    size_t offset = out->size;
    buffer_append_byte(out, RDB_LENGTH_32);
    buffer_append_be32(out, 0);
    return offset;
}

void rdb_set_length(struct buffer *out, size_t offset, uint64_t length)
{
    assert(length <= UINT32_MAX);
    if (out->failed)
        return;
    assert(out->data[offset] == RDB_LENGTH_32);
    be32_store(out->data + offset + 1, (uint32_t)length);
}
