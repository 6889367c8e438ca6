/* SPDX-License-Identifier: MIT */
#include "lsm/range_map.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

static int compare_by_from(const void *a, const void *b)
{
    const struct range_delete *left = a, *right = b;
    return slice_compare(left->from, right->from);
}

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* ---- A heap of ranges, the newest on top --------------------------------------------------- */

struct range_heap {
    const struct range_delete **items;
    size_t count;
};

static void heap_push(struct range_heap *heap, const struct range_delete *range)
{
    size_t at = heap->count++;
    while (at > 0 && heap->items[(at - 1) / 2]->lsn < range->lsn) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = range;
}

static void heap_pop(struct range_heap *heap)
{
    const struct range_delete *last = heap->items[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t below = 2 * at + 1;
        if (below >= heap->count)
            break;
        if (below + 1 < heap->count && heap->items[below + 1]->lsn > heap->items[below]->lsn)
            below++;
        if (heap->items[below]->lsn <= last->lsn)
            break;
        heap->items[at] = heap->items[below];
        at = below;
    }
    heap->items[at] = last;
}

/* ---- Building ------------------------------------------------------------------------------ */

/* All places where something begins or ends, sorted. */
static struct slice *boundaries_of(const struct range_delete *ranges, size_t count)
{
    struct slice *boundaries = memory_allocate(2 * count * sizeof(struct slice));
    for (size_t i = 0; i < count; i++) {
        boundaries[2 * i] = ranges[i].from;
        boundaries[2 * i + 1] = ranges[i].to;
    }
    qsort(boundaries, 2 * count, sizeof(struct slice), compare_slices);
    return boundaries;
}

static void map_add(struct range_map *map, struct slice from, struct slice to, lsn_t lsn)
{
    struct range_delete *last = map->count ? &map->pieces[map->count - 1] : NULL;
    if (last && last->lsn == lsn && slice_equal(last->to, from))
        last->to = to;
    else
        map->pieces[map->count++] = (struct range_delete){from, to, lsn};
}

/* Goes from boundary to boundary; the heap holds what began before, and its top is over the piece
 * once those that have ended are popped. */
void range_map_init(struct range_map *map, struct range_delete *ranges, size_t count, lsn_t lsn_max)
{
    *map = (struct range_map){0};
    if (count == 0)
        return;
    qsort(ranges, count, sizeof(ranges[0]), compare_by_from);
    struct slice *boundaries = boundaries_of(ranges, count);
    struct range_heap heap = {memory_allocate(count * sizeof(heap.items[0])), 0};
    map->pieces = memory_allocate(2 * count * sizeof(map->pieces[0]));
    size_t begun = 0;
    for (size_t i = 0; i + 1 < 2 * count; i++) {
        struct slice from = boundaries[i], to = boundaries[i + 1];
        for (; begun < count && slice_compare(ranges[begun].from, from) <= 0; begun++) {
            if (ranges[begun].lsn <= lsn_max)
                heap_push(&heap, &ranges[begun]);
        }
        while (heap.count > 0 && slice_compare(heap.items[0]->to, from) <= 0)
            heap_pop(&heap);
        if (heap.count > 0 && slice_compare(from, to) < 0)
            map_add(map, from, to, heap.items[0]->lsn);
    }
    memory_free(heap.items);
    memory_free(boundaries);
}

void range_map_release(struct range_map *map)
{
    memory_free(map->pieces);
    *map = (struct range_map){0};
}

/* ---- Asking -------------------------------------------------------------------------------- */

/* The first piece from `low` on that ends behind the key; count: none. */
static size_t map_seek(const struct range_map *map, size_t low, struct slice key)
{
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(map->pieces[middle].to, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

lsn_t range_map_find(const struct range_map *map, struct slice key, size_t *hint)
{
    /* Mostly the same piece as for the key before, or the next one. */
    size_t at = *hint;
    for (int step = 0; step < 2 && at < map->count; step++) {
        if (slice_compare(map->pieces[at].to, key) > 0)
            break;
        at++;
    }
    if (at < map->count && slice_compare(map->pieces[at].to, key) <= 0)
        at = map_seek(map, at, key);
    *hint = at;
    if (at == map->count || slice_compare(map->pieces[at].from, key) > 0)
        return 0;
    return map->pieces[at].lsn;
}

bool range_map_covers(const struct range_map *map, const struct table_properties *table)
{
    struct slice at = buffer_slice(&table->smallest), end = buffer_slice(&table->largest);
    for (size_t i = map_seek(map, 0, at); i < map->count; i++) {
        const struct range_delete *piece = &map->pieces[i];
        if (slice_compare(piece->from, at) > 0 || piece->lsn <= table->lsn_max)
            return false;
        int order = slice_compare(end, piece->to);
        if (order < 0 || (order == 0 && table->largest_is_exclusive))
            return true;
        at = piece->to;
    }
    return false;
}
