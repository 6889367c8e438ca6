/* SPDX-License-Identifier: MIT */
#include "types/rdb_ziplist.h"

#include "base/coding.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    HEAD_BYTES = 4 + 4 + 2,
    END = 0xff,
    COUNT_UNKNOWN = 0xffff,
    LONG_SIZE = 0xfe, /* of the entry before: four bytes follow */
    STRING_32 = 0x80,
    INT_16 = 0xc0,
    INT_32 = 0xd0,
    INT_64 = 0xe0,
    INT_24 = 0xf0,
    INT_8 = 0xfe,
    SMALL_FIRST = 0xf1,
    SMALL_LAST = 0xfd,
};

enum status ziplist_open(struct slice bytes, struct ziplist_reader *reader)
{
    uint32_t size, last;
    uint16_t count;
    struct slice left = bytes;
    if (!slice_take_le32(&left, &size) || !slice_take_le32(&left, &last) ||
        !slice_take_le16(&left, &count) || size != bytes.size || left.size == 0 ||
        left.data[left.size - 1] != END)
        return STATUS_INVALID;
    *reader = (struct ziplist_reader){
        .left = left, .announced = count, .last_offset = last, .offset = HEAD_BYTES};
    return STATUS_OK;
}

static bool take_number(struct slice *left, uint8_t first, struct listpack_value *value)
{
    value->is_number = true;
    value->number = first - SMALL_FIRST;
    switch (first) {
    case INT_8:
        return listpack_take_integer(left, 8, value);
    case INT_16:
        return listpack_take_integer(left, 16, value);
    case INT_24:
        return listpack_take_integer(left, 24, value);
    case INT_32:
        return listpack_take_integer(left, 32, value);
    case INT_64:
        return listpack_take_integer(left, 64, value);
    default:
        return first >= SMALL_FIRST && first <= SMALL_LAST;
    }
}

static bool take_string(struct slice *left, uint8_t first, struct listpack_value *value)
{
    uint32_t size = first & 0x3f;
    uint8_t low;
    value->is_number = false;
    if (first == STRING_32) {
        if (!slice_take_be32(left, &size))
            return false;
    } else if (first >= 0x80) {
        return false;
    } else if (first >= 0x40) {
        if (!slice_take_byte(left, &low))
            return false;
        size = size << 8 | low;
    }
    return slice_take(left, size, &value->bytes);
}

/* The size of the entry before; it may be written long although it is short. */
static bool take_size_before(struct slice *left, uint64_t expected)
{
    uint8_t size;
    uint32_t long_size;
    if (!slice_take_byte(left, &size))
        return false;
    if (size < LONG_SIZE)
        return size == expected;
    return size == LONG_SIZE && slice_take_le32(left, &long_size) && long_size == expected;
}

static enum status end_of(const struct ziplist_reader *reader)
{
    bool is_counted = reader->announced == COUNT_UNKNOWN || reader->announced == reader->taken;
    uint64_t last = reader->taken > 0 ? reader->offset - reader->entry_bytes : HEAD_BYTES;
    return is_counted && reader->last_offset == last ? STATUS_NOT_FOUND : STATUS_INVALID;
}

enum status ziplist_next(struct ziplist_reader *reader, struct listpack_value *value)
{
    struct slice *left = &reader->left;
    uint8_t first;
    size_t before = left->size;
    if (left->size == 1)
        return end_of(reader);
    if (!take_size_before(left, reader->entry_bytes) || !slice_take_byte(left, &first))
        return STATUS_INVALID;
    bool is_taken =
        first >= INT_16 ? take_number(left, first, value) : take_string(left, first, value);
    if (!is_taken || left->size == 0)
        return STATUS_INVALID;
    reader->taken++;
    reader->entry_bytes = before - left->size;
    reader->offset += reader->entry_bytes;
    if (value->is_number) {
        int size = snprintf(value->text, sizeof value->text, "%" PRId64, value->number);
        value->bytes = slice_make(value->text, (size_t)size);
    }
    return STATUS_OK;
}
