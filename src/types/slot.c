/* SPDX-License-Identifier: MIT */
/* CRC16 eight bytes a step ("slicing by 8", Kounavis and Berry 2005), since every command pays for
 * it. */
#include "types/slot.h"

void slot_table_init(struct slot_table *table)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint16_t crc = (uint16_t)(byte << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
        table->remainder[0][byte] = crc;
    }
    for (unsigned byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++) {
            uint16_t crc = table->remainder[k - 1][byte];
            table->remainder[k][byte] = (uint16_t)(crc << 8 ^ table->remainder[0][crc >> 8]);
        }
}

static uint16_t crc16(const struct slot_table *table, struct slice data)
{
    const uint8_t *at = data.data;
    size_t left = data.size;
    uint16_t crc = 0;
    for (; left >= 8; at += 8, left -= 8)
        crc = (uint16_t)(table->remainder[7][at[0] ^ crc >> 8] ^
                         table->remainder[6][at[1] ^ (crc & 0xff)] ^ table->remainder[5][at[2]] ^
                         table->remainder[4][at[3]] ^ table->remainder[3][at[4]] ^
                         table->remainder[2][at[5]] ^ table->remainder[1][at[6]] ^
                         table->remainder[0][at[7]]);
    for (; left > 0; at++, left--)
        crc = (uint16_t)(crc << 8 ^ table->remainder[0][*at ^ crc >> 8]);
    return crc;
}

static struct slice hashed_part(struct slice key)
{
    const uint8_t *open = key.size ? memchr(key.data, '{', key.size) : NULL;
    if (!open)
        return key;
    size_t rest = key.size - (size_t)(open + 1 - key.data);
    const uint8_t *close = rest ? memchr(open + 1, '}', rest) : NULL;
    if (!close || close == open + 1)
        return key;
    return slice_make(open + 1, (size_t)(close - open - 1));
}

unsigned slot_of_key(const struct slot_table *table, struct slice key)
{
    return crc16(table, hashed_part(key)) & (SLOT_COUNT - 1);
}
