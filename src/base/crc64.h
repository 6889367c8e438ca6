/* SPDX-License-Identifier: MIT */
/* CRC-64 as in Redis's dumps: the reflected polynomial 0x95ac9329ac4bc9b5 (Jones), begun with 0 and not inverted
 * at the end. "123456789" gives 0xe9c6d914c4b8d9ca. */
#ifndef BASE_CRC64_H
#define BASE_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over `size` bytes. */
uint64_t crc64_extend(uint64_t crc, const void *data, size_t size);

#endif
