/* SPDX-License-Identifier: MIT */
/* Lengths and strings of the RDB format (rdb_format.h), out of foreign bytes: nothing outside of them is read,
 * and no memory is taken that they could not fill. */
#ifndef TYPES_RDB_READER_H
#define TYPES_RDB_READER_H

#include "base/buffer.h"
#include "base/status.h"

enum { RDB_STRING_BYTES_MAX = 1 << 30, RDB_NUMBER_BYTES_MAX = 24 };

struct rdb_reader {
    struct slice input;                /* what is left */
    char number[RDB_NUMBER_BYTES_MAX]; /* a string that was written as a number */
    struct buffer unpacked;            /* or compressed */
};

/* All return STATUS_INVALID for bytes that are not what they should be. */
enum status rdb_take_length(struct rdb_reader *reader, uint64_t *length);
/* *string is valid until the next string is taken. STATUS_NO_MEMORY. */
enum status rdb_take_string(struct rdb_reader *reader, struct slice *string);
enum status rdb_take_bytes(struct rdb_reader *reader, size_t size, struct slice *bytes);
void rdb_reader_release(struct rdb_reader *reader);

/* Appended; the buffers may fail (buffer.h). */
void rdb_put_length(struct buffer *out, uint64_t length);
void rdb_put_string(struct buffer *out, struct slice string);
/* A length that is known later: rdb_set_length at the offset that is returned. At most UINT32_MAX. */
size_t rdb_put_later_length(struct buffer *out);
void rdb_set_length(struct buffer *out, size_t offset, uint64_t length);

#endif
