/* SPDX-License-Identifier: MIT */
/* CRC-32C three ways: slicing-by-8 (Kounavis and Berry 2005) from tables built at first use, the
 * SSE4.2 instruction, and the ARMv8 one. The choice is made once, at the first call.
 *
 * Long inputs go through the SSE4.2 instruction in three independent lanes, because it has a latency
 * of three cycles and a throughput of one: the lanes' checksums are joined by shifting a checksum over
 * the bytes of the lanes behind it, which is a linear map and here four table look-ups. */
#include "base/crc32c.h"

#include "base/coding.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define CRC32C_POLYNOMIAL 0x82f63b78u /* reflected */

enum { CRC32C_LANE_BYTES = 1024 };

static pthread_once_t crc32c_once = PTHREAD_ONCE_INIT;
static uint32_t crc32c_table[8][256]; /* [k][b]: byte b followed by k zero bytes */
/* [k][b]: what byte k, of value b, of a checksum becomes CRC32C_LANE_BYTES zero bytes later. */
static uint32_t crc32c_lane_shift[4][256];
static bool crc32c_has_hardware;

static uint32_t crc32c_shift_byte(uint32_t crc)
{
    return crc32c_table[0][crc & 0xff] ^ (crc >> 8);
}

static bool crc32c_detect_hardware(void);

static void crc32c_setup(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
        crc32c_table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int k = 1; k < 8; k++)
            crc32c_table[k][byte] = crc32c_shift_byte(crc32c_table[k - 1][byte]);
    }
    for (int k = 0; k < 4; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = byte << (8 * k);
            for (int i = 0; i < CRC32C_LANE_BYTES; i++)
                crc = crc32c_shift_byte(crc);
            crc32c_lane_shift[k][byte] = crc;
        }
    }
    crc32c_has_hardware = crc32c_detect_hardware();
}

uint32_t crc32c_extend_portable(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&crc32c_once, crc32c_setup);
    const uint8_t *at = data;
    crc = ~crc;
    while (size >= 8) {
        uint32_t low = crc ^ le32_load(at);
        uint32_t high = le32_load(at + 4);
        crc = crc32c_table[7][low & 0xff] ^ crc32c_table[6][low >> 8 & 0xff] ^
              crc32c_table[5][low >> 16 & 0xff] ^ crc32c_table[4][low >> 24] ^
              crc32c_table[3][high & 0xff] ^ crc32c_table[2][high >> 8 & 0xff] ^
              crc32c_table[1][high >> 16 & 0xff] ^ crc32c_table[0][high >> 24];
        at += 8;
        size -= 8;
    }
    while (size--)
        crc = crc32c_table[0][(crc ^ *at++) & 0xff] ^ (crc >> 8);
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

static bool crc32c_detect_hardware(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static uint32_t crc32c_skip_lane(uint32_t crc)
{
    return crc32c_lane_shift[0][crc & 0xff] ^ crc32c_lane_shift[1][crc >> 8 & 0xff] ^
           crc32c_lane_shift[2][crc >> 16 & 0xff] ^ crc32c_lane_shift[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_instruction(uint32_t crc,
                                                                     const uint8_t *at, size_t size)
{
    uint64_t first = ~crc;
    while (size >= 3 * CRC32C_LANE_BYTES) {
        uint64_t second = 0, third = 0, word;
        for (const uint8_t *end = at + CRC32C_LANE_BYTES; at < end; at += 8) {
            memcpy(&word, at, 8);
            first = _mm_crc32_u64(first, word);
            memcpy(&word, at + CRC32C_LANE_BYTES, 8);
            second = _mm_crc32_u64(second, word);
            memcpy(&word, at + 2 * CRC32C_LANE_BYTES, 8);
            third = _mm_crc32_u64(third, word);
        }
        second ^= crc32c_skip_lane((uint32_t)first);
        first = third ^ crc32c_skip_lane((uint32_t)second);
        at += 2 * CRC32C_LANE_BYTES;
        size -= 3 * CRC32C_LANE_BYTES;
    }
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        first = _mm_crc32_u64(first, word);
        at += 8;
        size -= 8;
    }
    uint32_t rest = (uint32_t)first;
    while (size--)
        rest = _mm_crc32_u8(rest, *at++);
    return ~rest;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>

static bool crc32c_detect_hardware(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

__attribute__((target("+crc"))) static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *at,
                                                                   size_t size)
{
    crc = ~crc;
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        crc = __crc32cd(crc, word);
        at += 8;
        size -= 8;
    }
    while (size--)
        crc = __crc32cb(crc, *at++);
    return ~crc;
}

#else

static bool crc32c_detect_hardware(void)
{
    return false;
}

static uint32_t crc32c_instruction(uint32_t crc, const uint8_t *at, size_t size)
{
    return crc32c_extend_portable(crc, at, size);
}

#endif

uint32_t crc32c_extend_hardware(uint32_t crc, const void *data, size_t size)
{
    pthread_once(&crc32c_once, crc32c_setup);
    if (!crc32c_has_hardware)
        return crc32c_extend_portable(crc, data, size);
    return crc32c_instruction(crc, data, size);
}

uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size)
{
    return crc32c_extend_hardware(crc, data, size);
}
