/* SPDX-License-Identifier: MIT */
/* Strings as arrays of bits: bit 0 is the highest of byte 0. Positions count bits. Behind a string's end all bits
 * are 0. Reading looks at the pieces concerned, and at one at a time; writing as string_write. Failing reads
 * as in keyspace.h. */
#ifndef TYPES_STRING_BITS_H
#define TYPES_STRING_BITS_H

#include "types/string.h"

/* GETBIT of a found string. */
enum status string_get_bit(struct access *access, const struct object *object, uint64_t position,
                           bool *bit);
/* SETBIT; `old` as for string_write. *was: the bit before. Writes nothing (no fact) if neither the bit nor
 * the length changes. */
enum status string_set_bit(struct access *access, struct slice key, const struct object *old,
                           uint64_t position, bool bit, bool *was);
/* The bits that are 1 from `first` to `last`, which lie in the string. */
enum status string_count_bits(struct access *access, const struct object *object, uint64_t first,
                              uint64_t last, uint64_t *count);
/* The first bit of that value from `first` to `last`, which lie in the string. STATUS_NOT_FOUND. */
enum status string_find_bit(struct access *access, const struct object *object, bool bit,
                            uint64_t first, uint64_t last, uint64_t *position);

enum bit_operation { BIT_AND, BIT_OR, BIT_XOR, BIT_NOT };
/* BITOP over `count` (> 0; BIT_NOT: 1) objects, those with type 0 being missing: what comes out replaces what is in the
 * buffer; it is as long as the longest of them. STATUS_NO_MEMORY. */
enum status string_combine(struct access *access, enum bit_operation operation,
                           const struct object *objects, size_t count, struct buffer *result);

/* ---- Fields of up to 64 bits: BITFIELD. -------------------------------------------------------- */

enum bit_field_action { BIT_FIELD_GET, BIT_FIELD_SET, BIT_FIELD_INCREMENT };
enum bit_field_overflow { BIT_FIELD_WRAP, BIT_FIELD_SATURATE, BIT_FIELD_FAIL };

struct bit_field_step {
    enum bit_field_action action;
    enum bit_field_overflow overflow;
    bool is_signed;
    unsigned bits;     /* 1 .. 64, unsigned ones 63 */
    uint64_t position; /* of the first bit */
    int64_t value;     /* to set, or to add */
    /* What comes out. */
    bool has_failed; /* BIT_FIELD_FAIL, and it did not fit: nothing was changed */
    int64_t result;  /* what was read, SET: what was there before, INCREMENT: what is there now */
};

/* Does the steps in order, each seeing those before it. `old` as for string_write; with a step that may write,
 * the string reaches up to the last bit of all of them. Fact "setbit", $, if anything is written. STATUS_NO_MEMORY,
 * STATUS_TOO_LARGE (longer than STRING_BYTES_MAX), access_reserve's: nothing was written. */
enum status string_bit_fields(struct access *access, struct slice key, const struct object *old,
                              struct bit_field_step *steps, size_t count);

#endif
