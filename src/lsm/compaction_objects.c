/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_objects.h"

#include "base/memory.h"

#include <stdlib.h>

static struct slice prefix_of(const struct large_objects *objects, struct slice key)
{
    return slice_make(key.data,
                      key.size < objects->prefix_bytes ? key.size : objects->prefix_bytes);
}

/* A block counts for the object that its separator lies in; at the border that may be the next. */
static void count_block(void *context, struct slice separator, uint32_t stored_bytes)
{
    struct large_objects *objects = context;
    struct slice prefix = prefix_of(objects, separator);
    struct object_size *last = objects->count ? &objects->items[objects->count - 1] : NULL;
    if (last && slice_equal(buffer_slice(&last->prefix), prefix)) {
        last->bytes += stored_bytes;
        return;
    }
    if ((objects->count & (objects->count - 1)) == 0) /* a power of two is a full array */
        objects->items = memory_resize(objects->items, (objects->count ? 2 * objects->count : 1) *
                                                           sizeof(objects->items[0]));
    objects->items[objects->count] = (struct object_size){.bytes = stored_bytes};
    buffer_append_slice(&objects->items[objects->count++].prefix, prefix);
}

/* Of the objects from `first` on, keeps those with `bytes_min` or more. */
static void drop_small(struct large_objects *objects, size_t first, uint64_t bytes_min)
{
    size_t kept = first;
    for (size_t i = first; i < objects->count; i++) {
        if (objects->items[i].bytes >= bytes_min)
            objects->items[kept++] = objects->items[i];
        else
            buffer_release(&objects->items[i].prefix);
    }
    objects->count = kept;
}

static int compare_prefixes(const void *a, const void *b)
{
    const struct object_size *left = a, *right = b;
    return slice_compare(buffer_slice(&left->prefix), buffer_slice(&right->prefix));
}

/* One item for each object. */
static void add_up(struct large_objects *objects)
{
    size_t kept = 0;
    if (objects->count)
        qsort(objects->items, objects->count, sizeof(objects->items[0]), compare_prefixes);
    for (size_t i = 0; i < objects->count; i++) {
        struct object_size *item = &objects->items[i];
        if (kept > 0 && compare_prefixes(&objects->items[kept - 1], item) == 0) {
            objects->items[kept - 1].bytes += item->bytes;
            buffer_release(&item->prefix);
        } else {
            objects->items[kept++] = *item;
        }
    }
    objects->count = kept;
}

enum status large_objects_find(struct version_set *versions, const struct compaction_pick *pick,
                               size_t prefix_bytes, uint64_t bytes_min,
                               struct large_objects *objects)
{
    enum status status = STATUS_OK;
    objects->prefix_bytes = prefix_bytes;
    for (size_t i = 0; i < pick->input_count && status == STATUS_OK; i++) {
        struct table *table;
        size_t first = objects->count;
        status = table_ref_open(versions, pick->inputs[i].table, false, &table);
        if (status == STATUS_OK)
            status = table_walk_index(table, count_block, objects);
        /* What a large one loses by this is less than a quarter of bytes_min. */
        drop_small(objects, first, bytes_min / pick->input_count / 4);
    }
    add_up(objects);
    drop_small(objects, 0, bytes_min);
    return status;
}

bool large_objects_cut_before(struct large_objects *objects, struct slice key)
{
    struct object_size wanted = {.prefix = {0}};
    struct slice prefix = prefix_of(objects, key);
    if (objects->count == 0 ||
        (objects->has_current && slice_equal(buffer_slice(&objects->current), prefix)))
        return false;
    bool before_is_large = objects->has_current && objects->current_is_large;
    buffer_clear(&objects->current);
    buffer_append_slice(&objects->current, prefix);
    objects->has_current = true;
    wanted.prefix = objects->current;
    objects->current_is_large = bsearch(&wanted, objects->items, objects->count,
                                        sizeof(objects->items[0]), compare_prefixes) != NULL;
    return before_is_large || objects->current_is_large;
}

void large_objects_release(struct large_objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        buffer_release(&objects->items[i].prefix);
    memory_free(objects->items);
    buffer_release(&objects->current);
    *objects = (struct large_objects){0};
}
