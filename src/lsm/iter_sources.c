/* SPDX-License-Identifier: MIT */
/* Tables that overlap nothing are one source, one behind the other, whatever levels they stand in: a seek
 * goes into one of them alone, and where nothing else has a say there is no merge. */
#include "lsm/iter_sources.h"

#include "base/memory.h"
#include "lsm/level_cursor.h"
#include "lsm/merge_cursor.h"

#include <assert.h>
#include <stdlib.h>

static void add_cursor(struct iter_sources *sources, struct cursor *cursor)
{
    if (sources->cursor_count == sources->cursor_capacity) {
        sources->cursor_capacity = sources->cursor_capacity ? 2 * sources->cursor_capacity : 8;
        sources->cursors =
            memory_resize(sources->cursors, sources->cursor_capacity * sizeof(sources->cursors[0]));
    }
    sources->cursors[sources->cursor_count++] = cursor;
}

void iter_sources_add_range(struct iter_sources *sources, const struct range_delete *range)
{
    struct lsm_reader *reader = sources->reader;
    if (range->lsn > reader->lsn ||
        (sources->upper.size && slice_compare(range->from, sources->upper) >= 0) ||
        (sources->lower.size && slice_compare(range->to, sources->lower) <= 0))
        return;
    if (reader->newer_than && range->lsn > reader->newer_than)
        reader_reveal(reader, range->lsn);
    if (sources->range_count == sources->range_capacity) {
        sources->range_capacity = sources->range_capacity ? 2 * sources->range_capacity : 8;
        sources->ranges =
            memory_resize(sources->ranges, sources->range_capacity * sizeof(sources->ranges[0]));
    }
    sources->ranges[sources->range_count++] = *range;
}

/* ---- Memtables ----------------------------------------------------------------------------- */

static void add_memtables(struct iter_sources *sources)
{
    struct lsm_reader *reader = sources->reader;
    const struct view *view = reader->view;
    if (reader->overlay)
        add_cursor(sources,
                   memtable_cursor_create(reader->overlay->trees[sources->tree], reader->lsn));
    for (unsigned i = 0; i <= view->flushing_count; i++) {
        const struct memtable_set *set = i ? view->flushing[i - 1] : view->active;
        struct memtable *table = set->trees[sources->tree];
        if (i && reader_skips(reader, set->end_lsn - 1))
            continue;
        if (memtable_node_count(table) || i == 0)
            add_cursor(sources, memtable_cursor_create(table, reader->lsn));
        if (sources->ignore_ranges)
            continue;
        for (const struct memtable_range *range = memtable_ranges(table); range;
             range = range->next)
            iter_sources_add_range(sources, &range->range);
    }
    sources->memtable_count = sources->cursor_count;
}

/* Whether the cursor of a memtable has something to show between the bounds. */
static bool has_entries(const struct iter_sources *sources, struct cursor *cursor)
{
    if (sources->lower.size)
        cursor->ops->seek(cursor, sources->lower, sources->reader->lsn);
    else
        cursor->ops->first(cursor);
    return cursor->valid &&
           (!sources->upper.size || slice_compare(cursor->key, sources->upper) < 0);
}

/* Of several sources, a memtable with nothing between the bounds is left out: what comes in later is not
 * visible to this reader. It is in a transaction's own writes, which come first, and in all of the writer's
 * reader. */
static void drop_empty_memtables(struct iter_sources *sources)
{
    const struct lsm_reader *reader = sources->reader;
    size_t kept = reader->overlay ? 1 : 0, left = sources->cursor_count;
    if (!reader->slot)
        return;
    for (size_t i = kept; i < sources->cursor_count; i++) {
        struct cursor *cursor = sources->cursors[i];
        if (i >= sources->memtable_count || left == 1 || has_entries(sources, cursor)) {
            sources->cursors[kept++] = cursor;
            continue;
        }
        cursor->ops->destroy(cursor);
        left--;
    }
    sources->memtable_count -= sources->cursor_count - kept;
    sources->cursor_count = kept;
}

/* ---- Tables -------------------------------------------------------------------------------- */

static bool table_overlaps(const struct iter_sources *sources, const struct table_ref *ref)
{
    const struct table_properties *p = &ref->properties;
    return !reader_skips(sources->reader, p->lsn_max) &&
           (!sources->upper.size ||
            slice_compare(buffer_slice(&p->smallest), sources->upper) < 0) &&
           (!sources->lower.size || slice_compare(buffer_slice(&p->largest), sources->lower) >= 0);
}

/* true: all keys between the bounds share the prefix that the tree's filters hold. */
static bool bounds_share_prefix(const struct iter_sources *sources)
{
    struct slice lower = sources->lower, upper = sources->upper;
    uint32_t prefix = sources->reader->db->options.trees[sources->tree].filter_prefix_bytes;
    if (!prefix || lower.size < prefix || upper.size < prefix)
        return false;
    if (memcmp(lower.data, upper.data, prefix) == 0)
        return true;
    /* [prefix..., prefix + 1) is one prefix too. */
    if (upper.size != prefix)
        return false;
    size_t last = prefix;
    while (last > 0 && upper.data[last - 1] == 0)
        last--;
    if (last == 0)
        return false;
    for (size_t i = 0; i < prefix; i++) {
        uint8_t expected = i < last - 1    ? upper.data[i]
                           : i == last - 1 ? (uint8_t)(upper.data[i] - 1)
                                           : 0xff;
        if (lower.data[i] != expected)
            return false;
    }
    return true;
}

/* One more source, unless its filter knows nothing between the bounds. */
static enum status add_table(struct iter_sources *sources, struct table_ref *ref)
{
    if (bounds_share_prefix(sources)) {
        struct table *table;
        enum status status = reader_open_table(sources->reader, ref, &table);
        if (status != STATUS_OK)
            return status;
        if (!table_may_contain(table, sources->lower))
            return STATUS_OK;
    }
    if (sources->table_count == sources->table_capacity) {
        sources->table_capacity = sources->table_capacity ? 2 * sources->table_capacity : 8;
        sources->tables =
            memory_resize(sources->tables, sources->table_capacity * sizeof(sources->tables[0]));
    }
    sources->tables[sources->table_count++] = ref;
    return STATUS_OK;
}

static enum status add_table_ranges(struct iter_sources *sources, const struct version_level *level)
{
    for (size_t i = 0; i < level->count; i++) {
        struct table_ref *ref = level->tables[i];
        if (!ref->properties.range_delete_count || !table_overlaps(sources, ref))
            continue;
        struct table *table;
        enum status status = reader_open_table(sources->reader, ref, &table);
        if (status != STATUS_OK)
            return status;
        const struct range_delete *ranges;
        size_t count;
        table_range_deletes(table, &ranges, &count);
        for (size_t n = 0; n < count; n++)
            iter_sources_add_range(sources, &ranges[n]);
    }
    return STATUS_OK;
}

/* Some of a sorted, disjoint level, or one that stands alone. `tables` outlive the cursor. */
static enum status add_run(struct iter_sources *sources, struct table_ref **tables, size_t count)
{
    struct lsm_reader *reader = sources->reader;
    const struct table_read read = {.nowait = reader->nowait,
                                    .keep_cache = sources->keep_cache,
                                    .heads = sources->heads,
                                    .miss = &reader->miss};
    if (count > 1) {
        add_cursor(sources, level_cursor_create(reader->db->versions, tables, count, &read));
        return STATUS_OK;
    }
    struct table *table;
    enum status status = reader_open_table(reader, tables[0], &table);
    if (status == STATUS_OK)
        add_cursor(sources, table_cursor_create(table, &read));
    return status;
}

static enum status add_level(struct iter_sources *sources, unsigned depth)
{
    const struct lsm_reader *reader = sources->reader;
    const struct version_level *level = &reader->view->version->trees[sources->tree].levels[depth];
    size_t first = 0, end = level->count;
    bool is_disjoint = depth > 0 &&
                       reader->db->options.trees[sources->tree].compaction == LSM_LEVELED &&
                       !reader->newer_than;
    if (is_disjoint) {
        while (first < end && !table_overlaps(sources, level->tables[first]))
            first++;
        while (end > first && !table_overlaps(sources, level->tables[end - 1]))
            end--;
        if (end - first > 1)
            return add_run(sources, level->tables + first, end - first);
    }
    enum status status = STATUS_OK;
    for (size_t i = first; i < end && status == STATUS_OK; i++)
        if (table_overlaps(sources, level->tables[i]))
            status = add_table(sources, level->tables[i]);
    return status;
}

static int compare_smallest(const void *a, const void *b)
{
    const struct table_ref *left = *(struct table_ref *const *)a;
    const struct table_ref *right = *(struct table_ref *const *)b;
    return slice_compare(buffer_slice(&left->properties.smallest),
                         buffer_slice(&right->properties.smallest));
}

/* Whether all of `a` is before `b`. */
static bool table_is_before(const struct table_ref *a, const struct table_ref *b)
{
    int order =
        slice_compare(buffer_slice(&a->properties.largest), buffer_slice(&b->properties.smallest));
    return order < 0 || (order == 0 && a->properties.largest_is_exclusive);
}

/* Moves those of tables[0 .. count) that follow the first one, and each other, without overlapping to the
 * front; the others keep their order. Returns how many they are. */
static size_t gather_run(struct table_ref **tables, size_t count)
{
    size_t run = 1;
    for (size_t i = 1; i < count; i++) {
        struct table_ref *ref = tables[i];
        if (!table_is_before(tables[run - 1], ref))
            continue;
        memmove(tables + run + 1, tables + run, (i - run) * sizeof(tables[0]));
        tables[run++] = ref;
    }
    return run;
}

static enum status add_runs(struct iter_sources *sources)
{
    struct table_ref **tables = sources->tables;
    size_t left = sources->table_count;
    enum status status = STATUS_OK;
    if (left > 1)
        qsort(tables, left, sizeof(tables[0]), compare_smallest);
    while (left > 0 && status == STATUS_OK) {
        size_t count = gather_run(tables, left);
        status = add_run(sources, tables, count);
        tables += count;
        left -= count;
    }
    return status;
}

/* ---- Public -------------------------------------------------------------------------------- */

enum status iter_sources_open(struct iter_sources *sources, struct cursor **cursor,
                              bool *keys_are_unique)
{
    struct lsm_reader *reader = sources->reader;
    const struct version_tree *tree = &reader->view->version->trees[sources->tree];
    enum status status = reader->is_expired ? STATUS_SNAPSHOT_EXPIRED : STATUS_OK;
    reader->miss = (struct table_miss){0};
    add_memtables(sources);
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX && status == STATUS_OK; depth++) {
        status = add_level(sources, depth);
        if (status == STATUS_OK && !sources->ignore_ranges)
            status = add_table_ranges(sources, &tree->levels[depth]);
    }
    if (status == STATUS_OK)
        status = add_runs(sources);
    sources->table_sources = sources->cursor_count - sources->memtable_count;
    drop_empty_memtables(sources);
    *keys_are_unique = sources->cursor_count == 1 && sources->memtable_count == 1;
    *cursor = merge_cursor_create(sources->cursors, sources->cursor_count);
    memory_free(sources->cursors);
    sources->cursors = NULL;
    return status;
}

void iter_sources_release(struct iter_sources *sources)
{
    memory_free(sources->tables);
    memory_free(sources->ranges);
}
