/* SPDX-License-Identifier: MIT */
#include "base/decimal.h"

const char decimal_pairs[200] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

unsigned decimal_size(uint64_t value)
{
    unsigned count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

uint8_t *decimal_put_long(uint8_t *at, uint64_t value)
{
    uint8_t *end = at + decimal_size(value);
    uint8_t *p = end;
    for (; value >= 100; value /= 100)
        memcpy(p -= 2, decimal_pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(p - 2, decimal_pairs + value * 2, 2);
    else
        p[-1] = (uint8_t)('0' + value);
    return end;
}
