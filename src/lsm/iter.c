/* SPDX-License-Identifier: MIT */
/* Iterators: the merged versions of all memtables and tables, reduced to what one moment shows.
 *
 * Forward, the cursor stands on the shown version. Backward, versions of a key come oldest first, so
 * the cursor has already passed the key when its newest visible version is known; key and value are
 * copied then. With a single memtable as source every key comes once, and nothing is copied.
 *
 * In a run (cursor.h) of which nothing is hidden the iterator goes on alone, and the cursor stays where the
 * run was found. It is moved to the shown version before it is asked for anything else. */
#include "lsm/db.h"
#include "lsm/iter_sources.h"

#include "base/memory.h"

#include <assert.h>

struct lsm_iter {
    struct lsm_reader *reader;
    unsigned tree;
    struct iter_sources sources;
    struct cursor *cursor;
    struct buffer lower, upper;
    bool has_lower, has_upper;
    bool keys_are_unique; /* the cursor shows each key once */
    bool valid;
    bool backward; /* the cursor stands before the shown entry, which is copied */
    enum status status;
    enum status open_status; /* what kept a source from being opened */
    const struct entry *shown;
    struct entry settled;  /* what is shown outside of a run */
    struct cursor_run run; /* count 0: none */
    bool run_is_backward;
    size_t ahead, behind; /* how many of the run are left, forward or backward */
    struct buffer saved_key, saved_value;
    uint64_t seek_count;
    const struct memtable_range *overlay_ranges; /* those from here on are among the ranges */
};

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
    iter->sources = (struct iter_sources){
        .reader = reader,
        .tree = tree,
        .lower = buffer_slice(&iter->lower),
        .upper = buffer_slice(&iter->upper),
        .ignore_ranges = options->ignore_range_deletes || reader->ignore_range_deletes,
        .keep_cache = options->keep_cache,
        .heads = options->heads,
    };
    iter->open_status = iter_sources_open(&iter->sources, &iter->cursor, &iter->keys_are_unique);
    iter->status = iter->open_status;
    return iter;
}

/* Where a seek goes into several sources of tables, merging them may pay. */
static void note_seeks(const struct lsm_iter *iter)
{
    struct lsm *db = iter->reader->db;
    if (iter->sources.table_sources > 1 && iter->seek_count > 0 &&
        db->options.trees[iter->tree].compaction == LSM_LEVELED)
        db_note_extra_seeks(db, iter->tree, iter->seek_count * (iter->sources.table_sources - 1));
}

void lsm_iter_close(struct lsm_iter *iter)
{
    if (!iter)
        return;
    note_seeks(iter);
    iter->cursor->ops->destroy(iter->cursor);
    buffer_release(&iter->lower);
    buffer_release(&iter->upper);
    buffer_release(&iter->saved_key);
    buffer_release(&iter->saved_value);
    iter_sources_release(&iter->sources);
    memory_free(iter);
}

/* ---- Steps of the cursor ------------------------------------------------------------------- */

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
    for (size_t i = 0; i < iter->sources.range_count; i++) {
        const struct range_delete *range = &iter->sources.ranges[i];
        if (range->lsn > lsn && slice_compare(range->from, key) <= 0 &&
            slice_compare(key, range->to) < 0) {
            reader_reveal(iter->reader, range->lsn);
            hidden = true;
        }
    }
    return hidden;
}

/* `entry` stays until the iterator moves. */
static void show(struct lsm_iter *iter, const struct entry *entry)
{
    iter->shown = entry;
    iter->valid = true;
    iter->status = STATUS_OK;
    reader_reveal(iter->reader, entry->lsn);
}

static void show_cursor(struct lsm_iter *iter)
{
    const struct cursor *cursor = iter->cursor;
    iter->settled = (struct entry){cursor->key, cursor->value, cursor->lsn, cursor->kind};
    show(iter, &iter->settled);
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

/* ---- Runs ---------------------------------------------------------------------------------- */

static void forget_run(struct lsm_iter *iter)
{
    iter->run.count = iter->ahead = iter->behind = 0;
}

/* Moves the cursor to what is shown. */
static void leave_run(struct lsm_iter *iter)
{
    if (iter->run.count == 0)
        return;
    ptrdiff_t steps = iter->shown - iter->run.first;
    if (steps != 0)
        iter->cursor->ops->advance(iter->cursor, steps);
    forget_run(iter);
}

/* How many at the run's front are visible: not all where the source has newer versions, too. */
static size_t count_visible(const struct lsm_iter *iter, const struct cursor_run *run,
                            bool backward)
{
    size_t count = 0;
    while (count < run->count && cursor_run_at(run, backward, count)->lsn <= iter->reader->lsn)
        count++;
    return count;
}

/* Whether the cursor stands at the front of a run, which is shown as it is as far as the bound.
 * The writer's own reader enters none, as what its batch puts into the middle would be missing. */
static bool enter_run(struct lsm_iter *iter, bool backward)
{
    struct cursor *cursor = iter->cursor;
    const struct buffer *bound = backward ? &iter->lower : &iter->upper;
    if (iter->sources.range_count > 0 || !iter->reader->slot)
        return false;
    struct cursor_run run = cursor->ops->run(cursor, backward);
    if (run.lsn_max > iter->reader->lsn)
        run.count = count_visible(iter, &run, backward);
    if (run.count > 0 && bound->size > 0)
        run.count = cursor_run_before(&run, backward, buffer_slice(bound));
    if (run.count == 0)
        return false;
    iter->run = run;
    iter->run_is_backward = backward;
    *(backward ? &iter->behind : &iter->ahead) = run.count - 1;
    show(iter, run.first);
    return true;
}

/* ---- Settling on what is visible ----------------------------------------------------------- */

static void settle_forward(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    iter->backward = false;
    while (cursor->valid) {
        if (cursor->may_run && enter_run(iter, false))
            return;
        if (iter->has_upper && slice_compare(cursor->key, buffer_slice(&iter->upper)) >= 0)
            break;
        if (cursor->lsn > iter->reader->lsn) {
            cursor->ops->next(cursor);
            continue;
        }
        reader_reveal(iter->reader, cursor->lsn);
        if (cursor->kind == ENTRY_PUT &&
            (iter->sources.range_count == 0 || !is_hidden(iter, cursor->key, cursor->lsn))) {
            show_cursor(iter);
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
        if (cursor->may_run && enter_run(iter, true))
            return;
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
        if (kind == ENTRY_PUT && (iter->sources.range_count == 0 || !is_hidden(iter, key, lsn))) {
            iter->settled = (struct entry){key, buffer_slice(&iter->saved_value), lsn, kind};
            iter->backward = true;
            show(iter, &iter->settled);
            return;
        }
    }
    stop(iter);
}

/* The same where each key comes once: the cursor stays on the shown entry. */
static void settle_backward_unique(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    while (cursor->valid) {
        if (cursor->may_run && enter_run(iter, true))
            return;
        if (iter->has_lower && slice_compare(cursor->key, buffer_slice(&iter->lower)) < 0)
            break;
        reader_reveal(iter->reader, cursor->lsn);
        if (cursor->kind == ENTRY_PUT &&
            (iter->sources.range_count == 0 || !is_hidden(iter, cursor->key, cursor->lsn))) {
            show_cursor(iter);
            return;
        }
        cursor->ops->prev(cursor);
    }
    stop(iter);
}

static void settle_backward_any(struct lsm_iter *iter)
{
    iter->backward = false;
    if (iter->keys_are_unique)
        settle_backward_unique(iter);
    else
        settle_backward(iter);
}

/* ---- Moves --------------------------------------------------------------------------------- */

/* A transaction may have deleted ranges since the last seek. */
static void take_overlay_ranges(struct lsm_iter *iter)
{
    const struct memtable_range *newest = memtable_ranges(iter->reader->overlay->trees[iter->tree]);
    for (const struct memtable_range *range = newest; range != iter->overlay_ranges;
         range = range->next)
        iter_sources_add_range(&iter->sources, &range->range);
    iter->overlay_ranges = newest;
}

static bool begin_seek(struct lsm_iter *iter)
{
    forget_run(iter);
    if (iter->open_status == STATUS_OK) {
        iter->seek_count++;
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

/* Apart, so that a step within a run saves no registers. */
__attribute__((noinline)) static void next_outside_of_run(struct lsm_iter *iter)
{
    leave_run(iter);
    if (iter->backward) /* LSN 0 is before every version of a later key and behind all of this */
        iter->cursor->ops->seek(iter->cursor, buffer_slice(&iter->saved_key), 0);
    else
        skip_key(iter);
    settle_forward(iter);
}

void lsm_iter_next(struct lsm_iter *iter)
{
    assert(iter->valid);
    if (iter->ahead == 0) {
        next_outside_of_run(iter);
        return;
    }
    iter->ahead--;
    iter->shown++;
    reader_reveal(iter->reader, iter->shown->lsn);
}

__attribute__((noinline)) static void prev_outside_of_run(struct lsm_iter *iter)
{
    struct cursor *cursor = iter->cursor;
    bool is_only_version = iter->keys_are_unique || (iter->run.count > 0 && iter->run_is_backward);
    leave_run(iter);
    if (is_only_version) {
        cursor->ops->prev(cursor);
    } else if (!iter->backward) {
        save(&iter->saved_key, iter->shown->key);
        struct slice key = buffer_slice(&iter->saved_key);
        cursor->ops->seek_for_prev(cursor, key);
        while (cursor->valid && slice_equal(cursor->key, key))
            cursor->ops->prev(cursor);
    }
    settle_backward_any(iter);
}

void lsm_iter_prev(struct lsm_iter *iter)
{
    assert(iter->valid);
    if (iter->behind == 0) {
        prev_outside_of_run(iter);
        return;
    }
    iter->behind--;
    iter->shown--;
    reader_reveal(iter->reader, iter->shown->lsn);
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
    return iter->shown->key;
}

struct slice lsm_iter_value(const struct lsm_iter *iter)
{
    assert(iter->valid);
    return iter->shown->value;
}
