/* SPDX-License-Identifier: MIT */
#include "lsm/level_cursor.h"

#include "base/memory.h"

#include <assert.h>

struct level_cursor {
    struct cursor base;
    struct version_set *set;
    struct table_ref **tables; /* borrowed */
    size_t count;
    struct table_read read;
    size_t at;            /* the table of `inner` */
    struct cursor *inner; /* NULL: none entered yet */
};

/* Shows what the inner cursor stands on. */
static void level_show(struct level_cursor *level)
{
    const struct cursor *inner = level->inner;
    struct cursor *base = &level->base;
    base->valid = inner->valid;
    base->status = inner->status;
    if (!inner->valid)
        return;
    base->kind = inner->kind;
    base->lsn = inner->lsn;
    base->key = inner->key;
    base->value = inner->value;
}

static void level_end(struct level_cursor *level, enum status status)
{
    level->base.valid = false;
    level->base.status = status;
}

/* Opens the table `at` and a cursor in it, unless it is the one entered already. */
static bool level_enter(struct level_cursor *level, size_t at)
{
    if (level->inner && level->at == at)
        return true;
    struct table *table;
    enum status status = table_ref_open(level->set, level->tables[at], level->read.nowait, &table);
    if (status == STATUS_WOULD_BLOCK)
        *level->read.miss = (struct table_miss){.ref = level->tables[at]};
    if (status != STATUS_OK) {
        level_end(level, status);
        return false;
    }
    if (level->inner)
        level->inner->ops->destroy(level->inner);
    level->inner = table_cursor_create(table, &level->read);
    level->at = at;
    return true;
}

/* The inner cursor has run out in the one direction or the other: goes on in the next table. A
 * table may hold range deletions only, so it may take several. */
static void level_skip_forward(struct level_cursor *level)
{
    while (!level->inner->valid && level->inner->status == STATUS_OK) {
        if (level->at + 1 == level->count || !level_enter(level, level->at + 1)) {
            if (level->base.status == STATUS_OK)
                level_end(level, STATUS_OK);
            return;
        }
        level->inner->ops->first(level->inner);
    }
    level_show(level);
}

static void level_skip_backward(struct level_cursor *level)
{
    while (!level->inner->valid && level->inner->status == STATUS_OK) {
        if (level->at == 0 || !level_enter(level, level->at - 1)) {
            if (level->base.status == STATUS_OK)
                level_end(level, STATUS_OK);
            return;
        }
        level->inner->ops->last(level->inner);
    }
    level_show(level);
}

/* The first table that does not end before the key; count: none. */
static size_t level_find(const struct level_cursor *level, struct slice key)
{
    size_t low = 0, high = level->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct table_properties *properties = &level->tables[middle]->properties;
        int order = slice_compare(buffer_slice(&properties->largest), key);
        if (order < 0 || (order == 0 && properties->largest_is_exclusive))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void level_seek(struct cursor *cursor, struct slice key, lsn_t lsn)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    level_end(level, STATUS_OK);
    size_t at = level_find(level, key);
    if (at == level->count || !level_enter(level, at))
        return;
    level->inner->ops->seek(level->inner, key, lsn);
    level_skip_forward(level);
}

static void level_seek_for_prev(struct cursor *cursor, struct slice key)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    level_end(level, STATUS_OK);
    if (level->count == 0)
        return;
    size_t at = level_find(level, key);
    if (!level_enter(level, at < level->count ? at : level->count - 1))
        return;
    level->inner->ops->seek_for_prev(level->inner, key);
    level_skip_backward(level);
}

static void level_first(struct cursor *cursor)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    level_end(level, STATUS_OK);
    if (level->count == 0 || !level_enter(level, 0))
        return;
    level->inner->ops->first(level->inner);
    level_skip_forward(level);
}

static void level_last(struct cursor *cursor)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    level_end(level, STATUS_OK);
    if (level->count == 0 || !level_enter(level, level->count - 1))
        return;
    level->inner->ops->last(level->inner);
    level_skip_backward(level);
}

static void level_next(struct cursor *cursor)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    assert(cursor->valid);
    level->inner->ops->next(level->inner);
    level_skip_forward(level);
}

static void level_prev(struct cursor *cursor)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    assert(cursor->valid);
    level->inner->ops->prev(level->inner);
    level_skip_backward(level);
}

static void level_destroy(struct cursor *cursor)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    if (level->inner)
        level->inner->ops->destroy(level->inner);
    memory_free(level);
}

static struct cursor_run level_run(struct cursor *cursor, bool backward)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    return level->inner->ops->run(level->inner, backward);
}

static void level_advance(struct cursor *cursor, ptrdiff_t steps)
{
    struct level_cursor *level = (struct level_cursor *)cursor;
    level->inner->ops->advance(level->inner, steps);
    level_show(level);
}

static const struct cursor_ops level_ops = {
    .seek = level_seek,
    .seek_for_prev = level_seek_for_prev,
    .first = level_first,
    .last = level_last,
    .next = level_next,
    .prev = level_prev,
    .destroy = level_destroy,
    .run = level_run,
    .advance = level_advance,
};

struct cursor *level_cursor_create(struct version_set *set, struct table_ref **tables, size_t count,
                                   const struct table_read *read)
{
    assert(!read->nowait || read->miss);
    struct level_cursor *level = memory_zeroed(1, sizeof(*level));
    level->base.ops = &level_ops;
    level->base.may_run = true;
    level->set = set;
    level->tables = tables;
    level->count = count;
    level->read = *read;
    return &level->base;
}
