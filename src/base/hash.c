/* SPDX-License-Identifier: MIT */
/* XXH3, compiled in: a hash of a short key then costs no call into a shared library. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(struct slice data, uint64_t seed)
{
    return XXH3_64bits_withSeed(data.data, data.size, seed);
}
