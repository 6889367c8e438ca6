/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_garbage.h"

enum { WORTHWHILE_PERCENT = 50 };

struct garbage {
    const struct range_map *map;
    size_t hint;
    lsn_t newest;      /* of the table */
    struct buffer low; /* no row of the next block is before it */
    bool low_is_dead;
    uint64_t dead_bytes, doubtful_bytes, bytes;
};

/* A block is dead when one piece covers all keys between the separators on both sides. When several
 * do, there may be living keys between the pieces. */
static void count_block(void *context, struct slice high, uint32_t stored_bytes)
{
    struct garbage *garbage = context;
    bool high_is_dead = range_map_find(garbage->map, high, &garbage->hint) > garbage->newest;
    garbage->bytes += stored_bytes;
    if (high_is_dead &&
        slice_compare(garbage->map->pieces[garbage->hint].from, buffer_slice(&garbage->low)) <= 0)
        garbage->dead_bytes += stored_bytes;
    else if (high_is_dead || garbage->low_is_dead)
        garbage->doubtful_bytes += stored_bytes;
    garbage->low_is_dead = high_is_dead;
    buffer_clear(&garbage->low);
    buffer_append_slice(&garbage->low, high);
}

/* Weight of the rows that no newer deletion covers: a row weighs its bytes and one. What is covered
 * is jumped over; stops above `limit`. */
static enum status count_living(struct table *table, const struct range_map *map, lsn_t newest,
                                uint64_t limit, uint64_t *living)
{
    const struct table_read read = {.keep_cache = true};
    struct cursor *cursor = table_cursor_create(table, &read);
    size_t hint = 0;
    *living = 0;
    cursor->ops->first(cursor);
    while (cursor->valid && *living <= limit) {
        if (range_map_find(map, cursor->key, &hint) > newest) {
            cursor->ops->seek(cursor, map->pieces[hint].to, UINT64_MAX);
        } else {
            *living += cursor->key.size + cursor->value.size + 1;
            cursor->ops->next(cursor);
        }
    }
    enum status status = cursor->status;
    cursor->ops->destroy(cursor);
    return status;
}

static unsigned percent_of(uint64_t part, uint64_t whole)
{
    return whole ? (unsigned)(part * 100 / whole) : 0;
}

unsigned compaction_dead_percent(void *set, struct table_ref *ref, const struct range_map *map)
{
    const struct table_properties *properties = &ref->properties;
    struct garbage garbage = {.map = map, .newest = properties->lsn_max};
    struct table *table;
    uint64_t living;
    buffer_append_slice(&garbage.low, buffer_slice(&properties->smallest));
    enum status status = table_ref_open(set, ref, false, &table);
    if (status == STATUS_OK)
        status = table_walk_index(table, count_block, &garbage);
    buffer_release(&garbage.low);
    unsigned sure = percent_of(garbage.dead_bytes, garbage.bytes);
    unsigned at_most = percent_of(garbage.dead_bytes + garbage.doubtful_bytes, garbage.bytes);
    if (status != STATUS_OK)
        return 0;
    if (sure >= WORTHWHILE_PERCENT || at_most < WORTHWHILE_PERCENT)
        return sure;
    uint64_t weight = properties->raw_bytes + properties->entry_count, limit = weight / 2;
    status = count_living(table, map, properties->lsn_max, limit, &living);
    if (status != STATUS_OK || living > limit) /* then it has not counted to the end */
        return status == STATUS_OK ? sure : 0;
    return 100 - percent_of(living, weight);
}
