/* SPDX-License-Identifier: MIT */
/* What the host has derived has names in the block cache that no table has. */
#include "lsm/db.h"

static const uint64_t DERIVED_NAME = UINT64_C(1)
                                     << 63; /* of a group; numbers of tables are below */

bool lsm_derived_find(struct lsm *db, uint64_t group, uint64_t number, struct lsm_derived *derived)
{
    struct block_pin pin;
    /* That it was not derived yet is no miss of the cache. */
    if (!block_cache_find_first(db->cache, group | DERIVED_NAME, number, &pin, &derived->bytes))
        return false;
    derived->block = pin.block;
    return true;
}

void lsm_derived_keep(struct lsm *db, uint64_t group, uint64_t number, uint8_t *bytes, size_t size)
{
    struct block_pin pin;
    struct slice kept;
    block_cache_insert(db->cache, group | DERIVED_NAME, number, bytes, size, true, &pin, &kept);
    block_unpin(&pin);
}

void lsm_derived_release(struct lsm_derived *derived)
{
    struct block_pin pin = {derived->block};
    block_unpin(&pin);
    *derived = (struct lsm_derived){0};
}
