/* SPDX-License-Identifier: MIT */
/* Numbers as decimal digits. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdint.h>

enum { DECIMAL_BYTES_MAX = 20 }; /* of a u64 */

unsigned decimal_size(uint64_t value); /* digits, 1 to DECIMAL_BYTES_MAX */
/* Writes the digits at `at`, which has room for DECIMAL_BYTES_MAX; returns the end. No zero follows. */
uint8_t *decimal_put(uint8_t *at, uint64_t value);

#endif
