/* SPDX-License-Identifier: MIT */
/* Bytes as LibLZF compresses them (rdbcompression of redis-server), read only.
 *
 *      000LLLLL                            L + 1 bytes follow as they are
 *      LLLooooo oooooooo                   L + 2 bytes from o + 1 before, L = 1 .. 6
 *      111ooooo LLLLLLLL oooooooo          L + 9 bytes from o + 1 before */
#ifndef TYPES_RDB_LZF_H
#define TYPES_RDB_LZF_H

#include "base/slice.h"

#include <stdbool.h>

enum { LZF_EXPANSION_MAX = 88 }; /* no byte stands for more than this: three for 264 */

/* Fills exactly `size` bytes at `into`; false: it does not. */
bool lzf_unpack(struct slice packed, uint8_t *into, size_t size);

#endif
