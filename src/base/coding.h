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

static inline void le16_store(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}
/* Written out, not as loops: compilers make one move of this. */
static inline void le32_store(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}
static inline void le64_store(uint8_t *at, uint64_t value)
{
    le32_store(at, (uint32_t)value);
    le32_store(at + 4, (uint32_t)(value >> 32));
}
static inline uint16_t le16_load(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}
static inline uint32_t le32_load(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static inline uint64_t le64_load(const uint8_t *at)
{
    return (uint64_t)le32_load(at) | (uint64_t)le32_load(at + 4) << 32;
}
static inline void be16_store(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}
static inline void be32_store(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}
static inline void be64_store(uint8_t *at, uint64_t value)
{
    be32_store(at, (uint32_t)(value >> 32));
    be32_store(at + 4, (uint32_t)value);
}
static inline uint16_t be16_load(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}
static inline uint32_t be32_load(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}
static inline uint64_t be64_load(const uint8_t *at)
{
    return (uint64_t)be32_load(at) << 32 | be32_load(at + 4);
}

static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}
static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Writes at most VARINT_BYTES_MAX bytes; returns how many. */
size_t varint_store(uint8_t *at, uint64_t value);
size_t varint_size(uint64_t value);

void buffer_append_varint(struct buffer *buffer, uint64_t value);
void buffer_append_le16(struct buffer *buffer, uint16_t value);
void buffer_append_le32(struct buffer *buffer, uint32_t value);
void buffer_append_le64(struct buffer *buffer, uint64_t value);
void buffer_append_be16(struct buffer *buffer, uint16_t value);
void buffer_append_be32(struct buffer *buffer, uint32_t value);
void buffer_append_be64(struct buffer *buffer, uint64_t value);
void buffer_append_sized(struct buffer *buffer, struct slice value); /* varint size, bytes */

/* Takes a value off the front of *input. false: too short or malformed; nothing is changed. */
bool slice_take_varint(struct slice *input, uint64_t *value);
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
