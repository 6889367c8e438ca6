/* SPDX-License-Identifier: MIT */
/* Iterators: the merged versions of all memtables and tables, reduced to what one moment shows.
 *
 * Forward, the cursor stands on the shown version. Backward, versions of a key come oldest first, so
 * the cursor has already passed the key when its newest visible version is known; key and value are
 * copied then. With a single memtable as source every key comes once, and nothing is copied. */
#include "lsm/db.h"
#include "lsm/level_cursor.h"
#include "lsm/merge_cursor.h"

#include "base/memory.h"

#include <assert.h>

struct lsm_iter {
    struct lsm_reader *reader;
    unsigned tree;
    struct cursor *cursor;
    struct buffer lower, upper;
    bool has_lower, has_upper;
    bool keys_are_unique; /* the cursor shows each key once */
    bool valid;
    bool backward;        /* the cursor stands before the shown entry, which is copied */
    enum status status;
    enum status open_status; /* what kept a source from being opened */
    struct slice key, value;
    struct buffer saved_key, saved_value;
    struct range_delete *ranges;
    size_t range_count, range_capacity;
    const struct memtable_range *overlay_ranges; /* those from here on are among the ranges */
};

/* ---- Sources ------------------------------------------------------------------------------- */

struct sources {
    struct cursor **cursors;
    size_t count, capacity;
};

static void sources_add(struct sources *sources, struct cursor *cursor)
{
    if (sources->count == sources->capacity) {
        sources->capacity = sources->capacity ? 2 * sources->capacity : 8;
        sources->cursors =
            memory_resize(sources->cursors, sources->capacity * sizeof(struct cursor *));
    }
    sources->cursors[sources->count++] = cursor;
}

static void add_range(struct lsm_iter *iter, const struct range_delete *range)
{
    if (range->lsn > iter->reader->lsn ||
        (iter->has_upper && slice_compare(range->from, buffer_slice(&iter->upper)) >= 0) ||
        (iter->has_lower && slice_compare(range->to, buffer_slice(&iter->lower)) <= 0))
        return;
    if (iter->reader->newer_than && range->lsn > iter->reader->newer_than)
        reader_reveal(iter->reader, range->lsn);
    if (iter->range_count == iter->range_capacity) {
        iter->range_capacity = iter->range_capacity ? 2 * iter->range_capacity : 8;
        iter->ranges = memory_resize(iter->ranges,
                                     iter->range_capacity * sizeof(struct range_delete));
    }
    iter->ranges[iter->range_count++] = *range;
}

static bool table_overlaps(const struct lsm_iter *iter, const struct table_ref *ref)
{
    const struct table_properties *p = &ref->properties;
    return !reader_skips(iter->reader, p->lsn_max) &&
           (!iter->has_upper ||
            slice_compare(buffer_slice(&p->smallest), buffer_slice(&iter->upper)) < 0) &&
           (!iter->has_lower ||
            slice_compare(buffer_slice(&p->largest), buffer_slice(&iter->lower)) >= 0);
}

static enum status open_table(struct lsm_iter *iter, struct table_ref *ref, struct table **table)
{
    struct lsm_reader *reader = iter->reader;
    enum status status =
        table_ref_open(reader->db->versions, ref, reader->nowait, table);
    if (status == STATUS_WOULD_BLOCK) {
        reader->miss = (struct table_miss){.ref = ref};
        reader_note_miss(reader);
    }
    return status;
}

/* true: all keys between the bounds share the prefix that the tree's filters hold. */
static bool bounds_share_prefix(const struct lsm_iter *iter, unsigned tree)
{
    uint32_t prefix = iter->reader->db->options.trees[tree].filter_prefix_bytes;
    if (!prefix || iter->lower.size < prefix || iter->upper.size < prefix)
        return false;
    if (memcmp(iter->lower.data, iter->upper.data, prefix) == 0)
        return true;
    /* [prefix..., prefix + 1) is one prefix too. */
    struct slice upper = buffer_slice(&iter->upper);
    if (upper.size != prefix)
        return false;
    size_t last = prefix;
    while (last > 0 && upper.data[last - 1] == 0)
        last--;
    if (last == 0)
        return false;
    for (size_t i = 0; i < prefix; i++) {
        uint8_t expected = i < last - 1 ? upper.data[i]
                           : i == last - 1 ? (uint8_t)(upper.data[i] - 1)
                                           : 0xff;
        if (iter->lower.data[i] != expected)
            return false;
    }
    return true;
}

static enum status add_table(struct lsm_iter *iter, unsigned tree, struct table_ref *ref,
                             const struct table_read *read, struct sources *sources)
{
    struct table *table;
    enum status status = open_table(iter, ref, &table);
    if (status != STATUS_OK)
        return status;
    if (bounds_share_prefix(iter, tree) && !table_may_contain(table, buffer_slice(&iter->lower)))
        return STATUS_OK;
    sources_add(sources, table_cursor_create(table, read));
    return STATUS_OK;
}

static enum status add_table_ranges(struct lsm_iter *iter, const struct version_level *level)
{
    for (size_t i = 0; i < level->count; i++) {
        struct table_ref *ref = level->tables[i];
        if (!ref->properties.range_delete_count || !table_overlaps(iter, ref))
            continue;
        struct table *table;
        enum status status = open_table(iter, ref, &table);
        if (status != STATUS_OK)
            return status;
        const struct range_delete *ranges;
        size_t count;
        table_range_deletes(table, &ranges, &count);
        for (size_t n = 0; n < count; n++)
            add_range(iter, &ranges[n]);
    }
    return STATUS_OK;
}

static enum status add_level(struct lsm_iter *iter, unsigned tree, unsigned depth,
                             const struct table_read *read, struct sources *sources)
{
    const struct version_level *level = &iter->reader->view->version->trees[tree].levels[depth];
    bool disjoint = depth > 0 && iter->reader->db->options.trees[tree].compaction == LSM_LEVELED &&
                    !iter->reader->newer_than;
    if (!disjoint) {
        for (size_t i = 0; i < level->count; i++) {
            enum status status = STATUS_OK;
            if (table_overlaps(iter, level->tables[i]))
                status = add_table(iter, tree, level->tables[i], read, sources);
            if (status != STATUS_OK)
                return status;
        }
        return STATUS_OK;
    }
    size_t first = 0, end = level->count;
    while (first < end && !table_overlaps(iter, level->tables[first]))
        first++;
    while (end > first && !table_overlaps(iter, level->tables[end - 1]))
        end--;
    if (end - first == 1)
        return add_table(iter, tree, level->tables[first], read, sources);
    if (end > first)
        sources_add(sources, level_cursor_create(iter->reader->db->versions, level->tables + first,
                                                 end - first, read));
    return STATUS_OK;
}

/* Whether the cursor of a memtable has something to show between the bounds. */
static bool has_entries(const struct lsm_iter *iter, struct cursor *cursor)
{
    if (iter->has_lower)
        cursor->ops->seek(cursor, buffer_slice(&iter->lower), iter->reader->lsn);
    else
        cursor->ops->first(cursor);
    return cursor->valid &&
           (!iter->has_upper || slice_compare(cursor->key, buffer_slice(&iter->upper)) < 0);
}

/* Of several sources, a memtable with nothing between the bounds is left out: what comes in later is not
 * visible to this reader, unless it is the writer's or a transaction's own. The first `memtable_count`
 * cursors are of memtables. Returns how many of these are left. */
static size_t drop_empty_memtables(const struct lsm_iter *iter, struct sources *sources,
                                   size_t memtable_count)
{
    size_t kept = 0, left = sources->count;
    if (!iter->reader->slot)
        return memtable_count;
    for (size_t i = 0; i < sources->count; i++) {
        struct cursor *cursor = sources->cursors[i];
        bool is_overlay = i == 0 && iter->reader->overlay; /* more may come into it */
        if (i >= memtable_count || left == 1 || is_overlay || has_entries(iter, cursor)) {
            sources->cursors[kept++] = cursor;
            continue;
        }
        cursor->ops->destroy(cursor);
        left--;
    }
    memtable_count -= sources->count - kept;
    sources->count = kept;
    return memtable_count;
}

static enum status open_sources(struct lsm_iter *iter, unsigned tree, bool ignore_ranges,
                                bool keep_cache)
{
    struct lsm_reader *reader = iter->reader;
    const struct view *view = reader->view;
    const struct table_read read = {
        .nowait = reader->nowait, .keep_cache = keep_cache, .miss = &reader->miss};
    struct sources sources = {0};
    enum status status = reader->is_expired ? STATUS_SNAPSHOT_EXPIRED : STATUS_OK;
    reader->miss = (struct table_miss){0};
    if (reader->overlay)
        sources_add(&sources, memtable_cursor_create(reader->overlay->trees[tree], reader->lsn));
    for (unsigned i = 0; i <= view->flushing_count; i++) {
        const struct memtable_set *set = i ? view->flushing[i - 1] : view->active;
        struct memtable *table = set->trees[tree];
        if (i && reader_skips(reader, set->end_lsn - 1))
            continue;
        if (memtable_node_count(table) || i == 0)
            sources_add(&sources, memtable_cursor_create(table, reader->lsn));
        if (ignore_ranges)
            continue;
        for (const struct memtable_range *range = memtable_ranges(table); range;
             range = range->next)
            add_range(iter, &range->range);
    }
    size_t memtable_count = sources.count;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX && status == STATUS_OK; depth++) {
        status = add_level(iter, tree, depth, &read, &sources);
        if (status == STATUS_OK && !ignore_ranges)
            status = add_table_ranges(iter, &view->version->trees[tree].levels[depth]);
    }
    memtable_count = drop_empty_memtables(iter, &sources, memtable_count);
    iter->keys_are_unique = sources.count == 1 && memtable_count == 1;
    iter->cursor = merge_cursor_create(sources.cursors, sources.count);
    memory_free(sources.cursors);
    return status;
}

struct lsm_iter *lsm_iter_open(struct lsm_reader *reader, unsigned tree,
                               const struct lsm_iter_options *options)
{
    assert(reader->active);
    assert(tree < reader->db->options.tree_count);
    struct lsm_iter *iter = memory_zeroed(1, sizeof(struct lsm_iter));
    iter->saved_value.may_fail = true;
    iter->reader = reader;
    iter->tree = tree;
    iter->has_lower = options->lower.size > 0;
    iter->has_upper = options->upper.size > 0;
    buffer_append_slice(&iter->lower, options->lower);
    buffer_append_slice(&iter->upper, options->upper);
    iter->open_status =
        open_sources(iter, tree, options->ignore_range_deletes || reader->ignore_range_deletes,
                     options->keep_cache);
    iter->status = iter->open_status;
    return iter;
}

void lsm_iter_close(struct lsm_iter *iter)
{
    if (!iter)
        return;
    iter->cursor->ops->destroy(iter->cursor);
    buffer_release(&iter->lower);
    buffer_release(&iter->upper);
    buffer_release(&iter->saved_key);
    buffer_release(&iter->saved_value);
    memory_free(iter->ranges);
    memory_free(iter);
}

/* ---- Settling on what is visible ----------------------------------------------------------- */

static void save(struct buffer *saved, struct slice bytes)
{
    buffer_clear(saved);
    if (saved->capacity < bytes.size && !buffer_reserve(saved, bytes.size))
        return;
    if (bytes.size > 0)
        memcpy(saved->data, bytes.data, bytes.size);
    saved->size = bytes.size;
}

static bool is_hidden(const struct lsm_iter *iter, struct slice key, lsn_t lsn)
{
    bool hidden = false;
    for (size_t i = 0; i < iter->range_count; i++) {
        const struct range_delete *range = &iter->ranges[i];
        if (range->lsn > lsn && slice_compare(range->from, key) <= 0 &&
            slice_compare(key, range->to) < 0) {
            reader_reveal(iter->reader, range->lsn);
            hidden = true;
        }
    }
    return hidden;
}

/* The iterator is at an end, or the cursor failed. */
static void stop(struct lsm_iter *iter)
{
    iter->valid = false;
    iter->status = iter->cursor->status;
    if (iter->status == STATUS_WOULD_BLOCK)
        reader_note_miss(iter->reader);
}

/* Moves the cursor behind all versions of its key. */
static void skip_key(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    if (iter->keys_are_unique) {
        cursor->ops->next(cursor);
        return;
    }
    save(&iter->saved_key, cursor->key);
    struct slice key = buffer_slice(&iter->saved_key);
    do
        cursor->ops->next(cursor);
    while (cursor->valid && slice_equal(cursor->key, key));
}

static void settle_forward(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    iter->backward = false;
    while (cursor->valid) {
        if (iter->has_upper && slice_compare(cursor->key, buffer_slice(&iter->upper)) >= 0)
            break;
        if (cursor->lsn > iter->reader->lsn) {
            cursor->ops->next(cursor);
            continue;
        }
        reader_reveal(iter->reader, cursor->lsn);
        if (cursor->kind == ENTRY_PUT &&
            (iter->range_count == 0 || !is_hidden(iter, cursor->key, cursor->lsn))) {
            iter->key = cursor->key;
            iter->value = cursor->value;
            iter->valid = true;
            iter->status = STATUS_OK;
            return;
        }
        skip_key(iter);
    }
    stop(iter);
}

static void fail_for_memory(struct lsm_iter *iter)
{
    iter->saved_value.failed = false;
    iter->valid = false;
    iter->status = STATUS_NO_MEMORY;
}

/* The cursor stands on the last version of a key or behind it, going backward. */
static void settle_backward(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    while (cursor->valid) {
        if (iter->has_lower && slice_compare(cursor->key, buffer_slice(&iter->lower)) < 0)
            break;
        save(&iter->saved_key, cursor->key);
        struct slice key = buffer_slice(&iter->saved_key);
        lsn_t lsn = 0;
        enum entry_kind kind = ENTRY_DELETE;
        do {
            if (cursor->lsn <= iter->reader->lsn && cursor->lsn > lsn) {
                lsn = cursor->lsn;
                kind = cursor->kind;
                save(&iter->saved_value, cursor->value);
                if (iter->saved_value.failed) {
                    fail_for_memory(iter);
                    return;
                }
            }
            cursor->ops->prev(cursor);
        } while (cursor->valid && slice_equal(cursor->key, key));
        if (cursor->status != STATUS_OK)
            break;
        if (!lsn)
            continue;
        reader_reveal(iter->reader, lsn);
        if (kind == ENTRY_PUT && (iter->range_count == 0 || !is_hidden(iter, key, lsn))) {
            iter->key = key;
            iter->value = buffer_slice(&iter->saved_value);
            iter->valid = true;
            iter->backward = true;
            iter->status = STATUS_OK;
            return;
        }
    }
    stop(iter);
}

/* The same where each key comes once: the cursor stays on the shown entry. */
static void settle_backward_unique(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    iter->backward = false;
    while (cursor->valid) {
        if (iter->has_lower && slice_compare(cursor->key, buffer_slice(&iter->lower)) < 0)
            break;
        reader_reveal(iter->reader, cursor->lsn);
        if (cursor->kind == ENTRY_PUT &&
            (iter->range_count == 0 || !is_hidden(iter, cursor->key, cursor->lsn))) {
            iter->key = cursor->key;
            iter->value = cursor->value;
            iter->valid = true;
            iter->status = STATUS_OK;
            return;
        }
        cursor->ops->prev(cursor);
    }
    stop(iter);
}

static void settle_backward_any(struct lsm_iter *iter)
{
    if (iter->keys_are_unique)
        settle_backward_unique(iter);
    else
        settle_backward(iter);
}

/* ---- Moves --------------------------------------------------------------------------------- */

/* A transaction may have deleted ranges since the last seek. */
static void take_overlay_ranges(struct lsm_iter *iter)
{
    const struct memtable_range *newest =
        memtable_ranges(iter->reader->overlay->trees[iter->tree]);
    for (const struct memtable_range *range = newest; range != iter->overlay_ranges;
         range = range->next)
        add_range(iter, &range->range);
    iter->overlay_ranges = newest;
}

static bool begin_seek(struct lsm_iter *iter)
{
    if (iter->open_status == STATUS_OK) {
        if (iter->reader->overlay)
            take_overlay_ranges(iter);
        return true;
    }
    iter->valid = false;
    iter->status = iter->open_status;
    return false;
}

void lsm_iter_seek(struct lsm_iter *iter, struct slice key)
{
    if (!begin_seek(iter))
        return;
    if (iter->has_lower && slice_compare(key, buffer_slice(&iter->lower)) < 0)
        key = buffer_slice(&iter->lower);
    iter->cursor->ops->seek(iter->cursor, key, iter->reader->lsn);
    settle_forward(iter);
}

void lsm_iter_seek_first(struct lsm_iter *iter)
{
    if (!begin_seek(iter))
        return;
    if (iter->has_lower)
        iter->cursor->ops->seek(iter->cursor, buffer_slice(&iter->lower), iter->reader->lsn);
    else
        iter->cursor->ops->first(iter->cursor);
    settle_forward(iter);
}

void lsm_iter_seek_for_prev(struct lsm_iter *iter, struct slice key)
{
    if (!begin_seek(iter))
        return;
    if (iter->has_upper && slice_compare(key, buffer_slice(&iter->upper)) >= 0) {
        lsm_iter_seek_last(iter);
        return;
    }
    iter->cursor->ops->seek_for_prev(iter->cursor, key);
    settle_backward_any(iter);
}

void lsm_iter_seek_last(struct lsm_iter *iter)
{
    if (!begin_seek(iter))
        return;
    struct cursor *cursor = iter->cursor;
    if (iter->has_upper) {
        struct slice upper = buffer_slice(&iter->upper);
        cursor->ops->seek_for_prev(cursor, upper);
        while (cursor->valid && slice_compare(cursor->key, upper) >= 0)
            cursor->ops->prev(cursor);
    } else {
        cursor->ops->last(cursor);
    }
    settle_backward_any(iter);
}

void lsm_iter_next(struct lsm_iter *iter)
{
    assert(iter->valid);
    if (iter->backward) /* LSN 0 is before every version of a later key and behind all of this */
        iter->cursor->ops->seek(iter->cursor, buffer_slice(&iter->saved_key), 0);
    else
        skip_key(iter);
    settle_forward(iter);
}

void lsm_iter_prev(struct lsm_iter *iter)
{
    assert(iter->valid);
    struct cursor *cursor = iter->cursor;
    if (iter->keys_are_unique) {
        cursor->ops->prev(cursor);
    } else if (!iter->backward) {
        save(&iter->saved_key, iter->key);
        struct slice key = buffer_slice(&iter->saved_key);
        cursor->ops->seek_for_prev(cursor, key);
        while (cursor->valid && slice_equal(cursor->key, key))
            cursor->ops->prev(cursor);
    }
    settle_backward_any(iter);
}

bool lsm_iter_valid(const struct lsm_iter *iter)
{
    return iter->valid;
}

enum status lsm_iter_status(const struct lsm_iter *iter)
{
    return iter->status;
}

struct slice lsm_iter_key(const struct lsm_iter *iter)
{
    assert(iter->valid);
    return iter->key;
}

struct slice lsm_iter_value(const struct lsm_iter *iter)
{
    assert(iter->valid);
    return iter->value;
}
