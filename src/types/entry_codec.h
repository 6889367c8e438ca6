/* SPDX-License-Identifier: MIT */
/* The layout of the blocks of TREE_ENTRIES: columns instead of rows. Bytes: ENCODING.md, "Blocks of
 * entries". */
#ifndef TYPES_ENTRY_CODEC_H
#define TYPES_ENTRY_CODEC_H

#include "lsm/block_codec.h"

/* More than this in a block stays rows. */
enum { ENTRY_BLOCK_BYTES_MAX = 4 << 20 };

extern const struct block_codec entry_codec;

#endif
