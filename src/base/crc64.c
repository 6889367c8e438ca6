/* SPDX-License-Identifier: MIT */
/* Slicing-by-8 (Kounavis and Berry 2005): eight bytes a step, from tables that are built at first use. */
#include "base/crc64.h"

#include "base/coding.h"

#include <pthread.h>

#define CRC64_POLYNOMIAL UINT64_C(0x95ac9329ac4bc9b5) /* reflected */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t table[8][256]; /* [k][b]: byte b followed by k zero bytes */

static void setup(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC64_POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (unsigned byte = 0; byte < 256; byte++)
        for (int k = 1; k < 8; k++)
            table[k][byte] = table[0][table[k - 1][byte] & 0xff] ^ table[k - 1][byte] >> 8;
}

uint64_t crc64_extend(uint64_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    pthread_once(&once, setup);
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word = crc ^ le64_load(at);
        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= table[7 - k][word >> (8 * k) & 0xff];
    }
    for (; size > 0; at++, size--)
        crc = table[0][(crc ^ *at) & 0xff] ^ crc >> 8;
    return crc;
}
