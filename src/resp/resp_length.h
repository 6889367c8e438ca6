/* SPDX-License-Identifier: MIT */
/* The lengths that nearly all words have, read without a loop. */
#ifndef RESP_RESP_LENGTH_H
#define RESP_RESP_LENGTH_H

#include <stddef.h>
#include <stdint.h>

/* "$5\r\n" at `at`, 1 to 999 without leading zeros: what follows it, and the length. NULL: something
 * else, or not all of it is there. */
static inline const uint8_t *resp_take_short_length(const uint8_t *at, const uint8_t *end,
                                                    uint8_t marker, size_t *length)
{
    if (end - at < 6 || at[0] != marker)
        return NULL;
    unsigned value = (unsigned)at[1] - '0';
    if (value - 1 > 8)
        return NULL;
    const uint8_t *p = at + 2;
    for (unsigned more = 0; *p != '\r'; more++, p++) {
        unsigned digit = (unsigned)*p - '0';
        if (more == 2 || digit > 9)
            return NULL;
        value = 10 * value + digit;
    }
    *length = value;
    return p + 2;
}

#endif
