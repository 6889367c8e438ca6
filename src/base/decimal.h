/* SPDX-License-Identifier: MIT */
/* Numbers as decimal digits. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdint.h>
#include <string.h>

enum { DECIMAL_BYTES_MAX = 20 }; /* of a u64 */

extern const char decimal_pairs[200]; /* 00 01 02 ... 99 */

unsigned decimal_size(uint64_t value); /* digits, 1 to DECIMAL_BYTES_MAX */

uint8_t *decimal_put_long(uint8_t *at, uint64_t value);
/* Writes the digits at `at`, which has room for DECIMAL_BYTES_MAX; returns the end. No zero follows. Most
 * numbers are lengths, below 1000. */
static inline uint8_t *decimal_put(uint8_t *at, uint64_t value)
{
    if (value >= 1000)
        return decimal_put_long(at, value);
    if (value >= 100) {
        *at++ = (uint8_t)('0' + value / 100);
        value %= 100;
    } else if (value < 10) {
        *at = (uint8_t)('0' + value);
        return at + 1;
    }
    memcpy(at, decimal_pairs + 2 * value, 2);
    return at + 2;
}

#endif
