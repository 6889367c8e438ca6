/* SPDX-License-Identifier: MIT */
/* A cursor over an array of versions in cursor order: the simplest source there is, for tests. */
#ifndef TESTS_ARRAY_CURSOR_H
#define TESTS_ARRAY_CURSOR_H

#include "base/memory.h"
#include "lsm/cursor.h"

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
};

/* The entries are borrowed and sorted by array_entry_compare. */
static inline struct cursor *array_cursor_create(const struct entry *entries, size_t count)
{
    struct array_cursor *cursor = memory_zeroed(1, sizeof(*cursor));
    cursor->base.ops = &array_cursor_ops;
    cursor->entries = entries;
    cursor->count = count;
    return &cursor->base;
}

#endif
