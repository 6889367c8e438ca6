/* SPDX-License-Identifier: MIT */
/* The numbers that entry_skeleton takes out of texts: a run of digits as a number that keeps its
 * leading zeros, and the prediction of a number from those that stood in the same place before.
 * Bytes: ENCODING.md, "Blocks of entries". */
#ifndef TYPES_ENTRY_NUMBERS_H
#define TYPES_ENTRY_NUMBERS_H

#include "base/slice.h"

/* Also the byte that stands for the number in a skeleton. On disk; never reuse a number. */
enum number_kind { NUMBER_DECIMAL = 1, NUMBER_HEX_LOWER = 2, NUMBER_HEX_UPPER = 3 };

enum {
    NUMBER_DECIMAL_DIGITS_MAX = 19,
    NUMBER_HEX_DIGITS_MAX = 14,
    NUMBER_DIGITS_MAX = 19,
    NUMBER_CONTEXT_BITS = 10,
    NUMBER_CONTEXTS = 1 << NUMBER_CONTEXT_BITS,
    NUMBER_PAYLOAD_BYTES_MAX = 8,
};

/* 0 < count <= the kind's maximum; digits of that kind only. Distinct texts, also of distinct lengths,
 * give distinct numbers, from 1 on: the shorter ones come first. */
uint64_t number_parse(enum number_kind kind, const uint8_t *digits, size_t count);
/* The first decimal number of each length; the last of them ends the longest. */
extern const uint64_t number_decimal_first[NUMBER_DECIMAL_DIGITS_MAX + 2];
/* Writes the digits; how many. 0: no text of that kind has this number. */
size_t number_print(enum number_kind kind, uint64_t number, uint8_t at[NUMBER_DIGITS_MAX]);

/* What stood in a place: the newest number and the newest that differed from it. */
struct number_context {
    uint64_t last, last2;
};

/* The place of a number, from the 8 bytes of skeleton before it. */
static inline uint32_t number_place(uint64_t before)
{
    return (uint32_t)((before * 0x9e3779b97f4a7c15u) >> (64 - NUMBER_CONTEXT_BITS));
}

/* How a number is written: 4 bits of code, and a payload of 0 .. 8 bytes. On disk; never reuse. */
enum number_code {
    NUMBER_LAST = 0,
    NUMBER_DELTA = 0, /* + 1 .. 4: bytes of zigzag(number - last) */
    NUMBER_DELTA_BYTES_MAX = 4,
    NUMBER_LAST2 = 5, /* 6 and 7 are free */
    NUMBER_WHOLE = 7, /* + 1 .. 8: bytes of the number */
    NUMBER_CODES = 16,
};

static inline unsigned number_bytes(uint64_t number)
{
    return (71 - (unsigned)__builtin_clzll(number | 1)) / 8;
}

static inline void number_learn(struct number_context *context, uint64_t number)
{
    if (number != context->last) {
        context->last2 = context->last;
        context->last = number;
    }
}

/* The code of the number in its context, which learns it; *payload has *bytes bytes. */
static inline unsigned number_encode(struct number_context *context, uint64_t number,
                                     uint64_t *payload, unsigned *bytes)
{
    unsigned code;
    *payload = 0;
    *bytes = 0;
    if (number == context->last)
        return NUMBER_LAST;
    int64_t step = (int64_t)(number - context->last);
    uint64_t delta = ((uint64_t)step << 1) ^ (uint64_t)(step >> 63);
    unsigned whole = number_bytes(number), change = number_bytes(delta);
    if (number == context->last2) {
        code = NUMBER_LAST2;
    } else if (change < whole && change <= NUMBER_DELTA_BYTES_MAX) {
        code = NUMBER_DELTA + change;
        *payload = delta;
        *bytes = change;
    } else {
        code = NUMBER_WHOLE + whole;
        *payload = number;
        *bytes = whole;
    }
    number_learn(context, number);
    return code;
}

/* The payload's bytes by code; NUMBER_NO_CODE: it does not exist. */
enum { NUMBER_NO_CODE = 0xff };
extern const uint8_t number_payload_bytes[NUMBER_CODES];

/* The way back; `code` exists and `payload` is its. */
static inline uint64_t number_decode(struct number_context *context, unsigned code,
                                     uint64_t payload)
{
    uint64_t number = payload;
    if (code == NUMBER_LAST)
        return context->last;
    if (code == NUMBER_LAST2)
        number = context->last2;
    else if (code < NUMBER_LAST2)
        number = context->last + ((payload >> 1) ^ -(payload & 1));
    number_learn(context, number);
    return number;
}

#endif
