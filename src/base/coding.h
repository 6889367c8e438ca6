/* SPDX-License-Identifier: MIT */
/* Numbers as bytes: little-endian and varint for values, big-endian where byte order must be number
 * order (keys). Getters never read outside their slice.
 *
 *   varint: 7 bits a byte, low group first, high bit = more follow; at most 10 bytes for 64 bits.
 *           A longer form than needed is refused, so every number has one encoding. */
#ifndef BASE_CODING_H
#define BASE_CODING_H

#include "base/buffer.h"

enum { VARINT_BYTES_MAX = 10 };

/* By memcpy, and a byte swap where the machine's order is the other one: compilers make one move of
 * it. Shifts and single bytes are not always recognised (gcc 12 packs the bytes of two neighbouring
 * numbers into a vector, one by one). */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CODING_LE(bits, value) (value)
#define CODING_BE(bits, value) __builtin_bswap##bits(value)
#else
#define CODING_LE(bits, value) __builtin_bswap##bits(value)
#define CODING_BE(bits, value) (value)
#endif

static inline void le16_store(uint8_t *at, uint16_t value)
{
    value = CODING_LE(16, value);
    memcpy(at, &value, sizeof(value));
}
static inline void le32_store(uint8_t *at, uint32_t value)
{
    value = CODING_LE(32, value);
    memcpy(at, &value, sizeof(value));
}
static inline void le64_store(uint8_t *at, uint64_t value)
{
    value = CODING_LE(64, value);
    memcpy(at, &value, sizeof(value));
}
static inline uint16_t le16_load(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_LE(16, value);
}
static inline uint32_t le32_load(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_LE(32, value);
}
static inline uint64_t le64_load(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_LE(64, value);
}
static inline void be16_store(uint8_t *at, uint16_t value)
{
    value = CODING_BE(16, value);
    memcpy(at, &value, sizeof(value));
}
static inline void be32_store(uint8_t *at, uint32_t value)
{
    value = CODING_BE(32, value);
    memcpy(at, &value, sizeof(value));
}
static inline void be64_store(uint8_t *at, uint64_t value)
{
    value = CODING_BE(64, value);
    memcpy(at, &value, sizeof(value));
}
static inline uint16_t be16_load(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_BE(16, value);
}
static inline uint32_t be32_load(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_BE(32, value);
}
static inline uint64_t be64_load(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return CODING_BE(64, value);
}

#undef CODING_LE
#undef CODING_BE

static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}
static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

size_t varint_store_long(uint8_t *at, uint64_t value);
/* Writes at most VARINT_BYTES_MAX bytes; returns how many. Most are one. */
static inline size_t varint_store(uint8_t *at, uint64_t value)
{
    if (value >= 0x80)
        return varint_store_long(at, value);
    *at = (uint8_t)value;
    return 1;
}
size_t varint_size(uint64_t value);

void buffer_append_varint(struct buffer *buffer, uint64_t value);
void buffer_append_le16(struct buffer *buffer, uint16_t value);
void buffer_append_le32(struct buffer *buffer, uint32_t value);
void buffer_append_le64(struct buffer *buffer, uint64_t value);
void buffer_append_be16(struct buffer *buffer, uint16_t value);
void buffer_append_be32(struct buffer *buffer, uint32_t value);
void buffer_append_be64(struct buffer *buffer, uint64_t value);
void buffer_append_sized(struct buffer *buffer, struct slice value); /* varint size, bytes */

/* Reads the varint at `at`, nothing at or behind `end`; the place behind it. NULL: too short or
 * malformed; *value is unchanged. Most are one byte, or two. */
const uint8_t *varint_load_long(const uint8_t *at, const uint8_t *end, uint64_t *value);
static inline const uint8_t *varint_load(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && at[0] < 0x80) {
        *value = at[0];
        return at + 1;
    }
    if (end - at >= 2 && at[1] > 0 && at[1] < 0x80) {
        *value = (at[0] & 0x7fu) | (uint64_t)at[1] << 7;
        return at + 2;
    }
    return varint_load_long(at, end, value);
}

/* The number whose encoding begins `word`, 8 bytes loaded at once, and its size in bytes. 0: malformed, or
 * longer than the word. It ends in the first byte without its high bit; then the gaps of one bit between
 * pieces of 7, 14 and 28 bits are closed. */
static inline unsigned varint_of_word(uint64_t word, uint64_t *value)
{
    uint64_t ends = ~word & 0x8080808080808080;
    if (!ends)
        return 0;
    unsigned bits = (unsigned)__builtin_ctzll(ends) + 1;
    word &= UINT64_MAX >> (64 - bits);
    if (bits > 8 && word >> (bits - 8) == 0)
        return 0; /* a shorter form exists */
    word &= 0x7f7f7f7f7f7f7f7f;
    word = (word & 0x007f007f007f007f) | (word & 0x7f007f007f007f00) >> 1;
    word = (word & 0x00003fff00003fff) | (word & 0x3fff00003fff0000) >> 2;
    *value = (word & 0x000000000fffffff) | (word & 0x0fffffff00000000) >> 4;
    return bits / 8;
}

/* Takes a value off the front of *input. false: too short or malformed; nothing is changed. */
static inline bool slice_take_varint(struct slice *input, uint64_t *value)
{
    const uint8_t *behind = varint_load(input->data, input->data + input->size, value);
    if (!behind)
        return false;
    input->size -= (size_t)(behind - input->data);
    input->data = behind;
    return true;
}
bool slice_take_byte(struct slice *input, uint8_t *value);
bool slice_take_le16(struct slice *input, uint16_t *value);
bool slice_take_le32(struct slice *input, uint32_t *value);
bool slice_take_le64(struct slice *input, uint64_t *value);
bool slice_take_be16(struct slice *input, uint16_t *value);
bool slice_take_be32(struct slice *input, uint32_t *value);
bool slice_take_be64(struct slice *input, uint64_t *value);
bool slice_take(struct slice *input, size_t size, struct slice *value);
bool slice_take_sized(struct slice *input, struct slice *value);

#endif
