/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as in iSCSI (RFC 3720, B.4).
 * Hardware where the processor has it (SSE4.2, ARMv8 CRC), tables otherwise; same result. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over `size` bytes. */
uint32_t crc32c_extend(uint32_t crc, const void *data, size_t size);
/* The two implementations, for tests; _hardware falls back where there is none. */
uint32_t crc32c_extend_portable(uint32_t crc, const void *data, size_t size);
uint32_t crc32c_extend_hardware(uint32_t crc, const void *data, size_t size);

static inline uint32_t crc32c(const void *data, size_t size)
{
    return crc32c_extend(0, data, size);
}

/* A stored checksum is masked, so that the checksum of bytes that hold checksums is not degenerate. */
static inline uint32_t crc32c_mask(uint32_t crc)
{
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}
static inline uint32_t crc32c_unmask(uint32_t masked)
{
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}

#endif
