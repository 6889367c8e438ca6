/* SPDX-License-Identifier: MIT */
/* A small codec of blocks for the engine's tests. The first four bytes of a key are a prefix; a table
 * has at most sixteen, in its dictionary:
 *
 *   dictionary = prefix 4...
 *   row        = number of the prefix << 4 | size of the key's tail | tail | varint size | value
 *
 * A block that has a key with fewer than 4 or more than 19 bytes, or a seventeenth prefix, or that
 * is not smaller for it, stays rows. The head of a value is its first byte. */
#ifndef LIB_PREFIX_CODEC_H
#define LIB_PREFIX_CODEC_H

#include "lsm/block_codec.h"

enum { PREFIX_HEAD_BYTES = 1 };

extern const struct block_codec prefix_codec;
/* It alone, then NULL: for table_open, lsm_verify, lsm_repair. */
extern const struct block_codec *const prefix_codecs[];

#endif
