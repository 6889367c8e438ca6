/* SPDX-License-Identifier: MIT */
/* Where a large string's bytes lie, and how several of its pieces change at once; for the files of
 * strings alone. */
#ifndef TYPES_STRING_PIECES_H
#define TYPES_STRING_PIECES_H

#include "types/string.h"

/* Bytes that piece `index` has in a string of that length; 0: it lies behind the end. */
static inline size_t string_piece_place(uint64_t length, uint64_t index)
{
    uint64_t begin = index * STRING_PIECE_BYTES;
    if (length <= begin)
        return 0;
    return length - begin < STRING_PIECE_BYTES ? (size_t)(length - begin) : STRING_PIECE_BYTES;
}

/* What is stored of piece `index`, up to its place, zeros follow; a value in the header has pieces too.
 * `length` is the object's. STATUS_CORRUPT. */
enum status string_piece_read(struct access *access, const struct object *object, uint64_t length,
                              uint64_t index, struct slice *piece);

/* What changes: bytes at an offset. */
struct string_part {
    uint64_t offset;
    struct slice bytes;
};
/* string_write of `count` (> 0) parts in ascending order, all of them whole pieces unless it is one alone. Room for
 * their bytes was reserved. `old_length` is 0 without an old one. */
enum status string_write_parts(struct access *access, struct slice key, const struct object *old,
                               uint64_t old_length, const struct string_part *parts, size_t count,
                               const char *event);

#endif
