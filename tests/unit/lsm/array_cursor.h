/* SPDX-License-Identifier: MIT */
/* A cursor over an array of versions in cursor order: the simplest source there is, for tests. */
#ifndef TESTS_ARRAY_CURSOR_H
#define TESTS_ARRAY_CURSOR_H

#include "base/memory.h"
#include "lsm/cursor.h"

enum { ARRAY_RUN_MAX = 5 };

struct array_cursor {
    struct cursor base;
    const struct entry *entries;
    size_t count, at;
    size_t fail_after; /* moves until `failure` is reported; 0: never */
    enum status failure;
};

static inline int array_entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = slice_compare(a->key, b->key);
    return order ? order : (a->lsn < b->lsn) - (a->lsn > b->lsn);
}

static inline void array_cursor_place(struct array_cursor *cursor, size_t at)
{
    struct cursor *base = &cursor->base;
    base->status = STATUS_OK;
    if (cursor->fail_after && --cursor->fail_after == 0) {
        base->status = cursor->failure;
        at = cursor->count;
    }
    cursor->at = at;
    base->valid = at < cursor->count;
    if (!base->valid)
        return;
    base->key = cursor->entries[at].key;
    base->value = cursor->entries[at].value;
    base->lsn = cursor->entries[at].lsn;
    base->kind = cursor->entries[at].kind;
}

static inline void array_cursor_seek(struct cursor *base, struct slice key, lsn_t lsn)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    size_t at = 0;
    for (; at < cursor->count; at++) {
        int order = slice_compare(cursor->entries[at].key, key);
        if (order > 0 || (order == 0 && cursor->entries[at].lsn <= lsn))
            break;
    }
    array_cursor_place(cursor, at);
}

static inline void array_cursor_seek_for_prev(struct cursor *base, struct slice key)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    size_t at = cursor->count;
    while (at > 0 && slice_compare(cursor->entries[at - 1].key, key) > 0)
        at--;
    array_cursor_place(cursor, at ? at - 1 : cursor->count);
}

static inline void array_cursor_first(struct cursor *base)
{
    array_cursor_place((struct array_cursor *)base, 0);
}

static inline void array_cursor_last(struct cursor *base)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    array_cursor_place(cursor, cursor->count ? cursor->count - 1 : 0);
}

static inline void array_cursor_next(struct cursor *base)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    array_cursor_place(cursor, cursor->at + 1);
}

static inline void array_cursor_prev(struct cursor *base)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    array_cursor_place(cursor, cursor->at ? cursor->at - 1 : cursor->count);
}

/* Whether the entry may be in a run in which it comes behind (backward: before) another. */
static inline bool array_cursor_is_new(const struct array_cursor *cursor, size_t at)
{
    return cursor->entries[at].kind == ENTRY_PUT &&
           (at == 0 || !slice_equal(cursor->entries[at].key, cursor->entries[at - 1].key));
}

static inline struct cursor_run array_cursor_run(struct cursor *base, bool backward)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    struct cursor_run run = {.first = &cursor->entries[cursor->at], .lsn_max = UINT64_MAX};
    size_t at = cursor->at;
    if (cursor->entries[at].kind != ENTRY_PUT || (backward && !array_cursor_is_new(cursor, at)))
        return run;
    do {
        run.count++;
        at += backward ? (size_t)-1 : 1;
    } while (at < cursor->count && run.count < ARRAY_RUN_MAX && array_cursor_is_new(cursor, at));
    return run;
}

static inline void array_cursor_advance(struct cursor *base, ptrdiff_t steps)
{
    struct array_cursor *cursor = (struct array_cursor *)base;
    array_cursor_place(cursor, cursor->at + (size_t)steps);
}

/* Goes as far as `steps` through the run that `cursor` tells, and the model step by step; both stand on the
 * same. false: it is not a run of what the model has. */
static inline bool array_cursor_follow_run(struct cursor *cursor, struct cursor *model,
                                           bool backward, size_t steps)
{
    struct cursor_run run = cursor->ops->run(cursor, backward);
    size_t at = 0;
    if (run.count == 0)
        return true;
    if (steps > run.count - 1)
        steps = run.count - 1;
    for (;; at++) {
        const struct entry *entry = cursor_run_at(&run, backward, at);
        bool is_same = model->valid && slice_equal(entry->key, model->key) &&
                       slice_equal(entry->value, model->value) && entry->lsn == model->lsn &&
                       model->kind == ENTRY_PUT && entry->kind == ENTRY_PUT &&
                       entry->lsn <= run.lsn_max;
        if (!is_same ||
            (at > 0 && slice_equal(entry->key, cursor_run_at(&run, backward, at - 1)->key)))
            return false;
        if (at == steps)
            break;
        (backward ? model->ops->prev : model->ops->next)(model);
    }
    cursor->ops->advance(cursor, backward ? -(ptrdiff_t)steps : (ptrdiff_t)steps);
    if (!backward)
        return true;
    /* Of the last one, too, there is no newer version. */
    struct entry last = {.key = model->key, .lsn = model->lsn};
    model->ops->prev(model);
    bool is_newest = !model->valid || !slice_equal(model->key, last.key);
    model->ops->seek(model, last.key, last.lsn);
    return is_newest;
}

static inline void array_cursor_destroy(struct cursor *base)
{
    memory_free(base);
}

static const struct cursor_ops array_cursor_ops = {
    .seek = array_cursor_seek,
    .seek_for_prev = array_cursor_seek_for_prev,
    .first = array_cursor_first,
    .last = array_cursor_last,
    .next = array_cursor_next,
    .prev = array_cursor_prev,
    .destroy = array_cursor_destroy,
    .run = array_cursor_run,
    .advance = array_cursor_advance,
};

/* The entries are borrowed and sorted by array_entry_compare. */
static inline struct cursor *array_cursor_create(const struct entry *entries, size_t count)
{
    struct array_cursor *cursor = memory_zeroed(1, sizeof(*cursor));
    cursor->base.ops = &array_cursor_ops;
    cursor->base.may_run = true;
    cursor->entries = entries;
    cursor->count = count;
    return &cursor->base;
}

#endif
