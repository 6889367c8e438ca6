/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_garbage.h"

struct garbage {
    const struct range_map *map;
    size_t hint;
    lsn_t newest;      /* of the table */
    struct buffer low; /* no row of the next block is before it */
    uint64_t dead_bytes, bytes;
};

/* A block counts as dead when one piece covers all keys between the separators on both sides: then all
 * of it goes when the table is written again, so doing that always pays. */
static void count_block(void *context, struct slice high, uint32_t stored_bytes)
{
    struct garbage *garbage = context;
    garbage->bytes += stored_bytes;
    if (range_map_find(garbage->map, high, &garbage->hint) > garbage->newest &&
        slice_compare(garbage->map->pieces[garbage->hint].from, buffer_slice(&garbage->low)) <= 0)
        garbage->dead_bytes += stored_bytes;
    buffer_clear(&garbage->low);
    buffer_append_slice(&garbage->low, high);
}

unsigned compaction_dead_percent(void *set, struct table_ref *ref, const struct range_map *map)
{
    struct garbage garbage = {.map = map, .newest = ref->properties.lsn_max};
    struct table *table;
    buffer_append_slice(&garbage.low, buffer_slice(&ref->properties.smallest));
    enum status status = table_ref_open(set, ref, false, &table);
    if (status == STATUS_OK)
        status = table_walk_index(table, count_block, &garbage);
    buffer_release(&garbage.low);
    if (status != STATUS_OK || garbage.bytes == 0)
        return 0;
    return (unsigned)(garbage.dead_bytes * 100 / garbage.bytes);
}
