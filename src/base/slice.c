/* SPDX-License-Identifier: MIT */
/* What is too long to be inline in slice.h. */
#include "base/slice.h"

static uint8_t ascii_lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool slice_equal_nocase(struct slice a, const char *b)
{
    for (size_t i = 0; i < a.size; i++) {
        /* The NUL of `b` differs from every byte but a NUL of `a`, which b's text cannot hold. */
        if (b[i] == 0 || ascii_lower(a.data[i]) != ascii_lower((uint8_t)b[i]))
            return false;
    }
    return b[a.size] == 0;
}
