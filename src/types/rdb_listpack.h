/* SPDX-License-Identifier: MIT */
/* Redis's listpacks: strings and numbers one after the other, in a list's nodes and in a stream's.
 *
 *      listpack  le32 bytes of all | le16 entries (ffff: unknown) | entry... | ff
 *      entry     data | bytes of the data, 7 bits a byte, high group first, all but the first marked by 80
 *
 *      0nnnnnnn               0 .. 127              | 110nnnnn n8        13 bits, signed
 *      10llllll bytes         up to 63              | 1110llll l8 bytes  up to 4095 | f0 le32 bytes
 *      f1 le16 | f2 le24 | f3 le32 | f4 le64        signed */
#ifndef TYPES_RDB_LISTPACK_H
#define TYPES_RDB_LISTPACK_H

#include "base/buffer.h"
#include "types/rdb_reader.h"

/* A value: a string, or a number, whose text is in `text`. */
struct listpack_value {
    bool is_number;
    int64_t number;
    struct slice bytes;
    char text[RDB_NUMBER_BYTES_MAX];
};

struct listpack_reader {
    struct slice left; /* entries and the end */
    uint64_t taken;    /* entries so far */
    uint16_t announced;
};

/* STATUS_INVALID where the bytes are no listpack; nothing is read outside of them. */
enum status listpack_open(struct slice bytes, struct listpack_reader *reader);
/* STATUS_NOT_FOUND at the end. A string's bytes are those of the listpack. */
enum status listpack_next(struct listpack_reader *reader, struct listpack_value *value);
/* The next one, which must be a number. */
enum status listpack_next_number(struct listpack_reader *reader, int64_t *number);

/* ---- Writing. Entries are appended to a buffer of their own, which may fail; then the whole to another. -------- */

struct listpack_writer {
    struct buffer entries;
    uint64_t count;
};

/* A string that is a number in its only form becomes one. */
void listpack_put(struct listpack_writer *writer, struct slice value);
void listpack_put_number(struct listpack_writer *writer, int64_t number);
/* Of a listpack with these entries, and of an entry at most. */
size_t listpack_bytes(const struct listpack_writer *writer);
size_t listpack_entry_bytes_max(size_t value_bytes);
/* As a string of RDB (its length first), appended to `out`. */
void listpack_put_as_string(const struct listpack_writer *writer, struct buffer *out);
void listpack_clear(struct listpack_writer *writer);
void listpack_release(struct listpack_writer *writer);

/* A signed number of `bits` bits, little-endian, as ziplists have it, too; false: there are not so many. */
bool listpack_take_integer(struct slice *left, unsigned bits, struct listpack_value *value);

#endif
