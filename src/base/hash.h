/* SPDX-License-Identifier: MIT */
/* XXH3 64-bit (libxxhash; the function is stable across versions since 0.8.0, so it may stand in
 * file formats). The seed of key hashes is a secret of the store, against crafted collisions. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

uint64_t hash64(struct slice data, uint64_t seed);

#endif
