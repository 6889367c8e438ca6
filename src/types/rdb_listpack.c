/* SPDX-License-Identifier: MIT */
#include "types/rdb_listpack.h"

#include "base/coding.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    HEAD_BYTES = 4 + 2,
    END = 0xff,
    COUNT_UNKNOWN = 0xffff,
    STRING_32 = 0xf0,
    INT_16 = 0xf1,
    INT_24 = 0xf2,
    INT_32 = 0xf3,
    INT_64 = 0xf4,
    BACK_BYTES_MAX = 5,
    DIGITS_MAX = 20, /* of an int64, sign included */
};

/* How many bytes say the size of an entry's data; the bounds are Redis's, one below what would fit. */
static size_t back_bytes(uint64_t size)
{
    return size <= 127 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : size < 268435455 ? 4 : 5;
}

static void back_store(uint8_t at[BACK_BYTES_MAX], uint64_t size)
{
    size_t bytes = back_bytes(size);
    for (size_t i = bytes; i-- > 0; size >>= 7)
        at[i] = (uint8_t)((size & 0x7f) | (i > 0 ? 0x80 : 0));
}

/* ---- Reading. -------------------------------------------------------------------------------- */

enum status listpack_open(struct slice bytes, struct listpack_reader *reader)
{
    uint32_t size;
    uint16_t count;
    struct slice left = bytes;
    if (!slice_take_le32(&left, &size) || !slice_take_le16(&left, &count) || size != bytes.size ||
        left.size == 0 || left.data[left.size - 1] != END)
        return STATUS_INVALID;
    *reader = (struct listpack_reader){.left = left, .announced = count};
    return STATUS_OK;
}

static bool take_string(struct slice *left, uint64_t size, struct listpack_value *value)
{
    value->is_number = false;
    return size <= left->size && slice_take(left, (size_t)size, &value->bytes);
}

bool listpack_take_integer(struct slice *left, unsigned bits, struct listpack_value *value)
{
    struct slice bytes;
    uint64_t number = 0;
    if (!slice_take(left, bits / 8, &bytes))
        return false;
    for (unsigned i = 0; i < bits / 8; i++)
        number |= (uint64_t)bytes.data[i] << (8 * i);
    value->number = (int64_t)(number << (64 - bits)) >> (64 - bits);
    return true;
}

static bool take_long_form(struct slice *left, uint8_t first, struct listpack_value *value)
{
    uint32_t size;
    switch (first) {
    case STRING_32:
        return slice_take_le32(left, &size) && take_string(left, size, value);
    case INT_16:
        return listpack_take_integer(left, 16, value);
    case INT_24:
        return listpack_take_integer(left, 24, value);
    case INT_32:
        return listpack_take_integer(left, 32, value);
    case INT_64:
        return listpack_take_integer(left, 64, value);
    default:
        return false;
    }
}

static bool take_data(struct slice *left, struct listpack_value *value)
{
    uint8_t first, low;
    if (!slice_take_byte(left, &first))
        return false;
    value->is_number = true;
    if (first < 0x80) {
        value->number = first;
        return true;
    }
    if (first < 0xc0)
        return take_string(left, first & 0x3f, value);
    if (first >= 0xf0)
        return take_long_form(left, first, value);
    if (!slice_take_byte(left, &low))
        return false;
    uint32_t number = (uint32_t)first << 8 | low;
    if (first >= 0xe0)
        return take_string(left, number & 0xfff, value);
    value->number = (int64_t)((uint64_t)number << 51) >> 51;
    return true;
}

/* What stands behind the data, so that a listpack is read backwards too. */
static bool take_back(struct slice *left, uint64_t size)
{
    uint8_t expected[BACK_BYTES_MAX];
    struct slice back;
    back_store(expected, size);
    return slice_take(left, back_bytes(size), &back) && memcmp(back.data, expected, back.size) == 0;
}

enum status listpack_next(struct listpack_reader *reader, struct listpack_value *value)
{
    struct slice *left = &reader->left;
    if (left->size == 1 && left->data[0] == END)
        return reader->announced == COUNT_UNKNOWN || reader->announced == reader->taken
                   ? STATUS_NOT_FOUND
                   : STATUS_INVALID;
    size_t before = left->size;
    if (!take_data(left, value) || !take_back(left, before - left->size) || left->size == 0)
        return STATUS_INVALID;
    reader->taken++;
    if (value->is_number) {
        int size = snprintf(value->text, sizeof value->text, "%" PRId64, value->number);
        value->bytes = slice_make(value->text, (size_t)size);
    }
    return STATUS_OK;
}

enum status listpack_next_number(struct listpack_reader *reader, int64_t *number)
{
    struct listpack_value value;
    enum status status = listpack_next(reader, &value);
    if (status || !value.is_number)
        return STATUS_INVALID;
    *number = value.number;
    return STATUS_OK;
}

/* ---- Writing. -------------------------------------------------------------------------------- */

/* Whether the text is what printing the number gives. */
static bool parse_number(struct slice text, int64_t *number)
{
    bool is_negative = text.size > 0 && text.data[0] == '-';
    struct slice digits = is_negative ? slice_skip(text, 1) : text;
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + is_negative;
    if (digits.size == 0 || text.size > DIGITS_MAX ||
        (digits.data[0] == '0' && text.size > 1)) /* "-0" neither */
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        unsigned digit = (unsigned)digits.data[i] - '0';
        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = (int64_t)(is_negative ? 0 - value : value);
    return true;
}

static void end_entry(struct listpack_writer *writer, size_t data_bytes)
{
    uint8_t back[BACK_BYTES_MAX];
    back_store(back, data_bytes);
    buffer_append(&writer->entries, back, back_bytes(data_bytes));
    writer->count++;
}

static size_t put_integer(struct buffer *out, uint8_t form, unsigned bytes, int64_t number)
{
    uint8_t data[8];
    le64_store(data, (uint64_t)number);
    buffer_append_byte(out, form);
    buffer_append(out, data, bytes);
    return 1 + bytes;
}

static bool fits(int64_t number, unsigned bits)
{
    int64_t limit = (int64_t)1 << (bits - 1);
    return number >= -limit && number < limit;
}

void listpack_put_number(struct listpack_writer *writer, int64_t number)
{
    struct buffer *out = &writer->entries;
    size_t bytes = 1;
    if (number >= 0 && number < 128) {
        buffer_append_byte(out, (uint8_t)number);
    } else if (fits(number, 13)) {
        buffer_append_be16(out, (uint16_t)(0xc000 | ((uint64_t)number & 0x1fff)));
        bytes = 2;
    } else if (fits(number, 16)) {
        bytes = put_integer(out, INT_16, 2, number);
    } else if (fits(number, 24)) {
        bytes = put_integer(out, INT_24, 3, number);
    } else if (fits(number, 32)) {
        bytes = put_integer(out, INT_32, 4, number);
    } else {
        bytes = put_integer(out, INT_64, 8, number);
    }
    end_entry(writer, bytes);
}

void listpack_put(struct listpack_writer *writer, struct slice value)
{
    struct buffer *out = &writer->entries;
    int64_t number;
    size_t head = 1;
    if (parse_number(value, &number)) {
        listpack_put_number(writer, number);
        return;
    }
    if (value.size < 1 << 6) {
        buffer_append_byte(out, (uint8_t)(0x80 | value.size));
    } else if (value.size < 1 << 12) {
        buffer_append_be16(out, (uint16_t)(0xe000 | value.size));
        head = 2;
    } else {
        buffer_append_byte(out, STRING_32);
        buffer_append_le32(out, (uint32_t)value.size);
        head = 5;
    }
    buffer_append_slice(out, value);
    end_entry(writer, head + value.size);
}

size_t listpack_bytes(const struct listpack_writer *writer)
{
    return HEAD_BYTES + writer->entries.size + 1;
}

size_t listpack_entry_bytes_max(size_t value_bytes)
{
    return 5 + value_bytes + BACK_BYTES_MAX;
}

void listpack_put_as_string(const struct listpack_writer *writer, struct buffer *out)
{
    uint64_t count = writer->count < COUNT_UNKNOWN ? writer->count : COUNT_UNKNOWN;
    rdb_put_length(out, listpack_bytes(writer));
    buffer_append_le32(out, (uint32_t)listpack_bytes(writer));
    buffer_append_le16(out, (uint16_t)count);
    buffer_append_slice(out, buffer_slice(&writer->entries));
    buffer_append_byte(out, END);
}

void listpack_clear(struct listpack_writer *writer)
{
    buffer_clear(&writer->entries);
    writer->count = 0;
}

void listpack_release(struct listpack_writer *writer)
{
    buffer_release(&writer->entries);
}
