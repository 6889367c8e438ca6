/* SPDX-License-Identifier: MIT */
/* The slot of a key, as Redis Cluster has it: CRC16 (polynomial 0x1021, from 0, not reflected:
 * "XMODEM") of the key, or of what stands between its first `{` and the next `}` if that is not
 * empty; the lower 14 bits. */
#ifndef TYPES_SLOT_H
#define TYPES_SLOT_H

#include "base/slice.h"

enum { SLOT_BITS = 14, SLOT_COUNT = 1 << SLOT_BITS };

/* remainder[k][b]: what byte b adds to the checksum when k bytes follow it. */
struct slot_table {
    uint16_t remainder[8][256];
};

void slot_table_init(struct slot_table *table);
unsigned slot_of_key(const struct slot_table *table, struct slice key);

#endif
