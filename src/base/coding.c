/* SPDX-License-Identifier: MIT */
/* Varints, and numbers at the ends of buffers and slices. */
#include "base/coding.h"

#include <assert.h>

size_t varint_store_long(uint8_t *at, uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        at[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    at[size++] = (uint8_t)value;
    assert(size <= VARINT_BYTES_MAX);
    return size;
}

size_t varint_size(uint64_t value)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

void buffer_append_varint(struct buffer *buffer, uint64_t value)
{
    if (!buffer_reserve(buffer, VARINT_BYTES_MAX))
        return;
    buffer->size += varint_store(buffer->data + buffer->size, value);
}

void buffer_append_le16(struct buffer *buffer, uint16_t value)
{
    if (!buffer_reserve(buffer, 2))
        return;
    le16_store(buffer->data + buffer->size, value);
    buffer->size += 2;
}

void buffer_append_le32(struct buffer *buffer, uint32_t value)
{
    if (!buffer_reserve(buffer, 4))
        return;
    le32_store(buffer->data + buffer->size, value);
    buffer->size += 4;
}

void buffer_append_le64(struct buffer *buffer, uint64_t value)
{
    if (!buffer_reserve(buffer, 8))
        return;
    le64_store(buffer->data + buffer->size, value);
    buffer->size += 8;
}

void buffer_append_be16(struct buffer *buffer, uint16_t value)
{
    if (!buffer_reserve(buffer, 2))
        return;
    be16_store(buffer->data + buffer->size, value);
    buffer->size += 2;
}

void buffer_append_be32(struct buffer *buffer, uint32_t value)
{
    if (!buffer_reserve(buffer, 4))
        return;
    be32_store(buffer->data + buffer->size, value);
    buffer->size += 4;
}

void buffer_append_be64(struct buffer *buffer, uint64_t value)
{
    if (!buffer_reserve(buffer, 8))
        return;
    be64_store(buffer->data + buffer->size, value);
    buffer->size += 8;
}

void buffer_append_sized(struct buffer *buffer, struct slice value)
{
    buffer_append_varint(buffer, value.size);
    buffer_append_slice(buffer, value);
}

const uint8_t *varint_load_long(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    size_t size = (size_t)(end - at);
    if (size >= sizeof(uint64_t)) {
        unsigned used = varint_of_word(le64_load(at), value);
        if (used > 0)
            return at + used;
    }
    uint64_t result = 0;
    for (size_t i = 0; i < size && i < VARINT_BYTES_MAX; i++) {
        uint8_t byte = at[i];
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80)
            continue;
        if (byte == 0 && i > 0)
            return NULL; /* a shorter form exists */
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return NULL; /* more than 64 bits */
        *value = result;
        return at + i + 1;
    }
    return NULL;
}

bool slice_take(struct slice *input, size_t size, struct slice *value)
{
    if (size > input->size)
        return false;
    *value = slice_make(input->data, size);
    if (size)
        *input = slice_skip(*input, size);
    return true;
}

bool slice_take_byte(struct slice *input, uint8_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 1, &bytes))
        return false;
    *value = bytes.data[0];
    return true;
}

bool slice_take_le16(struct slice *input, uint16_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 2, &bytes))
        return false;
    *value = le16_load(bytes.data);
    return true;
}

bool slice_take_le32(struct slice *input, uint32_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 4, &bytes))
        return false;
    *value = le32_load(bytes.data);
    return true;
}

bool slice_take_le64(struct slice *input, uint64_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 8, &bytes))
        return false;
    *value = le64_load(bytes.data);
    return true;
}

bool slice_take_be16(struct slice *input, uint16_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 2, &bytes))
        return false;
    *value = be16_load(bytes.data);
    return true;
}

bool slice_take_be32(struct slice *input, uint32_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 4, &bytes))
        return false;
    *value = be32_load(bytes.data);
    return true;
}

bool slice_take_be64(struct slice *input, uint64_t *value)
{
    struct slice bytes;
    if (!slice_take(input, 8, &bytes))
        return false;
    *value = be64_load(bytes.data);
    return true;
}

bool slice_take_sized(struct slice *input, struct slice *value)
{
    struct slice rest = *input;
    uint64_t size;
    if (!slice_take_varint(&rest, &size))
        return false;
    if (size > rest.size || !slice_take(&rest, (size_t)size, value))
        return false;
    *input = rest;
    return true;
}
