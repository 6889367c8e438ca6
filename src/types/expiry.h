/* SPDX-License-Identifier: MIT */
/* The expiry index: keys of a generation in the order of their times. Kept by keyspace_put and
 * keyspace_remove, read by keyspace_expire_due. */
#ifndef TYPES_EXPIRY_H
#define TYPES_EXPIRY_H

#include "types/keyspace.h"

/* Expired means: hidden from everybody. As Redis, a key lives until its millisecond has passed. */
static inline bool expiry_is_due(uint64_t expire_ms, uint64_t now_ms)
{
    return expire_ms != 0 && now_ms > expire_ms;
}

/* Moves the key's entry from the old to the new time (0: none) and counts keys with a time. */
void expiry_change(struct access *access, struct slice tree_key, uint64_t old_ms, uint64_t new_ms);

#endif
