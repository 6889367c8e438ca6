/* SPDX-License-Identifier: MIT */
/* Numbers in bijective notation: a text of L digits is its value + 1 + b + ... + b^(L-1) (b the base,
 * L terms), so all texts of L digits follow all those of L - 1. */
#include "types/entry_numbers.h"

#include "base/decimal.h"

#include <assert.h>

const uint8_t number_payload_bytes[NUMBER_CODES] = {
    0, 1, 2, 3, 4, 0, NUMBER_NO_CODE, NUMBER_NO_CODE, 1, 2, 3, 4, 5, 6, 7, 8,
};

const uint64_t number_decimal_first[NUMBER_DECIMAL_DIGITS_MAX + 2] = {
    0,
    1,
    11,
    111,
    1111,
    11111,
    111111,
    1111111,
    11111111,
    111111111,
    1111111111,
    11111111111,
    111111111111,
    1111111111111,
    11111111111111,
    111111111111111,
    1111111111111111,
    11111111111111111,
    111111111111111111,
    1111111111111111111,
    11111111111111111111u,
};

static uint64_t hex_first(size_t digits)
{
    return 0x1111111111111111u >> (64 - 4 * digits);
}

static const char hex_digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};

uint64_t number_parse(enum number_kind kind, const uint8_t *digits, size_t count)
{
    uint64_t value = 0;
    assert(count > 0);
    if (kind == NUMBER_DECIMAL) {
        assert(count <= NUMBER_DECIMAL_DIGITS_MAX);
        for (size_t i = 0; i < count; i++)
            value = 10 * value + (digits[i] - '0');
        return value + number_decimal_first[count];
    }
    assert(count <= NUMBER_HEX_DIGITS_MAX);
    for (size_t i = 0; i < count; i++)
        value = value << 4 | ((digits[i] & 15u) + 9u * (digits[i] >> 6));
    return value + hex_first(count);
}

static size_t long_decimal_print(uint64_t number, uint8_t *at)
{
    /* bits x log10(2), rounded down: the length is this, one more or two more */
    size_t count = (size_t)(63 - __builtin_clzll(number)) * 1233 >> 12;
    while (count <= NUMBER_DECIMAL_DIGITS_MAX && number >= number_decimal_first[count + 1])
        count++;
    if (count > NUMBER_DECIMAL_DIGITS_MAX)
        return 0;
    uint64_t value = number - number_decimal_first[count];
    size_t left = count;
    for (; left >= 2; left -= 2, value /= 100)
        memcpy(at + left - 2, decimal_pairs + 2 * (value % 100), 2);
    if (left)
        at[0] = (uint8_t)('0' + value);
    return count;
}

/* Most have up to four digits. */
static size_t decimal_print(uint64_t number, uint8_t *at)
{
    if (number >= number_decimal_first[5])
        return long_decimal_print(number, at);
    unsigned value = (unsigned)number;
    if (value < number_decimal_first[2]) {
        at[0] = (uint8_t)('0' + value - 1);
        return 1;
    }
    if (value < number_decimal_first[3]) {
        memcpy(at, decimal_pairs + 2 * (value - 11), 2);
        return 2;
    }
    if (value < number_decimal_first[4]) {
        value -= 111;
        at[0] = (uint8_t)('0' + value / 100);
        memcpy(at + 1, decimal_pairs + 2 * (value % 100), 2);
        return 3;
    }
    value -= 1111;
    memcpy(at, decimal_pairs + 2 * (value / 100), 2);
    memcpy(at + 2, decimal_pairs + 2 * (value % 100), 2);
    return 4;
}

static size_t hex_print(uint64_t number, const char *digits, uint8_t *at)
{
    size_t count = (size_t)(63 - __builtin_clzll(number)) / 4;
    while (count <= NUMBER_HEX_DIGITS_MAX && number >= hex_first(count + 1))
        count++;
    if (count > NUMBER_HEX_DIGITS_MAX)
        return 0;
    uint64_t value = number - hex_first(count);
    for (size_t left = count; left > 0; left--, value >>= 4)
        at[left - 1] = (uint8_t)digits[value & 15];
    return count;
}

size_t number_print(enum number_kind kind, uint64_t number, uint8_t at[NUMBER_DIGITS_MAX])
{
    if (number == 0)
        return 0;
    if (kind == NUMBER_DECIMAL)
        return decimal_print(number, at);
    return hex_print(number, hex_digits[kind == NUMBER_HEX_UPPER], at);
}
