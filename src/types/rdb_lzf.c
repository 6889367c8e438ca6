/* SPDX-License-Identifier: MIT */
#include "types/rdb_lzf.h"

#include "base/coding.h"

enum { COPY_FLAG = 0xe0, LONG_COPY = 7 };

/* Source and place may overlap: what is written is read again. */
static void copy_back(uint8_t *at, size_t distance, size_t count)
{
    const uint8_t *from = at - distance;
    for (size_t i = 0; i < count; i++)
        at[i] = from[i];
}

/* The length and distance behind the first byte. */
static bool take_copy(struct slice *packed, uint8_t first, size_t *count, size_t *distance)
{
    uint8_t more = 0, low;
    size_t length = first >> 5;
    if (length == LONG_COPY && !slice_take_byte(packed, &more))
        return false;
    if (!slice_take_byte(packed, &low))
        return false;
    *count = length + more + 2;
    *distance = ((size_t)(first & 0x1f) << 8 | low) + 1;
    return true;
}

bool lzf_unpack(struct slice packed, uint8_t *into, size_t size)
{
    size_t done = 0, count, distance;
    uint8_t first;
    while (slice_take_byte(&packed, &first)) {
        struct slice literal;
        if (first & COPY_FLAG) {
            if (!take_copy(&packed, first, &count, &distance) || distance > done ||
                count > size - done)
                return false;
            copy_back(into + done, distance, count);
        } else {
            count = (size_t)first + 1;
            if (!slice_take(&packed, count, &literal) || count > size - done)
                return false;
            memcpy(into + done, literal.data, count);
        }
        done += count;
    }
    return done == size;
}
