/* SPDX-License-Identifier: MIT */
/* A binary heap over the children that are valid; its root is the current entry. Going forward the
 * root is the smallest, going backward the largest. Only the root moves in a step, so a step costs
 * one sift. When the direction turns, the other children are first placed on the other side of the
 * current entry. */
#include "lsm/merge_cursor.h"

#include "base/memory.h"

#include <assert.h>

struct merge_cursor {
    struct cursor base;
    struct cursor **children;
    struct cursor **heap; /* the valid children; heap[0] is current */
    size_t child_count;
    size_t heap_count;
    size_t second; /* of heap[1] and [2] the one nearer to the root; 0: not known */
    bool backward;
    bool stayed; /* the root has moved and is the nearest still */
};

static bool entry_before(const struct cursor *a, const struct cursor *b)
{
    int order = slice_compare(a->key, b->key);
    return order ? order < 0 : a->lsn > b->lsn;
}

/* Whether `a` belongs nearer to the root. */
static bool merge_is_above(const struct merge_cursor *merge, const struct cursor *a,
                           const struct cursor *b)
{
    return merge->backward ? entry_before(b, a) : entry_before(a, b);
}

static void merge_sift_down(struct merge_cursor *merge, size_t at)
{
    struct cursor **heap = merge->heap;
    struct cursor *moving = heap[at];
    merge->second = 0;
    merge->stayed = false;
    for (;;) {
        size_t below = 2 * at + 1;
        if (below >= merge->heap_count)
            break;
        if (below + 1 < merge->heap_count && merge_is_above(merge, heap[below + 1], heap[below]))
            below++;
        if (!merge_is_above(merge, heap[below], moving))
            break;
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = moving;
}

/* Shows the root, or the end. */
static void merge_show(struct merge_cursor *merge)
{
    struct cursor *base = &merge->base;
    base->valid = merge->heap_count > 0;
    if (!base->valid)
        return;
    const struct cursor *root = merge->heap[0];
    base->kind = root->kind;
    base->lsn = root->lsn;
    base->key = root->key;
    base->value = root->value;
    base->may_run = root->may_run && (merge->heap_count == 1 || merge->stayed);
}

static void merge_fail(struct merge_cursor *merge, enum status status)
{
    merge->heap_count = 0;
    merge->base.valid = false;
    merge->base.status = status;
}

/* All children were placed: builds the heap. */
static void merge_rebuild(struct merge_cursor *merge, bool backward)
{
    merge->backward = backward;
    merge->heap_count = merge->second = 0;
    merge->stayed = false;
    merge->base.status = STATUS_OK;
    for (size_t i = 0; i < merge->child_count; i++) {
        struct cursor *child = merge->children[i];
        if (child->status != STATUS_OK) {
            merge_fail(merge, child->status);
            return;
        }
        if (child->valid)
            merge->heap[merge->heap_count++] = child;
    }
    for (size_t i = merge->heap_count / 2; i-- > 0;)
        merge_sift_down(merge, i);
    merge_show(merge);
}

static void merge_seek(struct cursor *cursor, struct slice key, lsn_t lsn)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    for (size_t i = 0; i < merge->child_count; i++)
        merge->children[i]->ops->seek(merge->children[i], key, lsn);
    merge_rebuild(merge, false);
}

static void merge_seek_for_prev(struct cursor *cursor, struct slice key)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    for (size_t i = 0; i < merge->child_count; i++)
        merge->children[i]->ops->seek_for_prev(merge->children[i], key);
    merge_rebuild(merge, true);
}

static void merge_first(struct cursor *cursor)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    for (size_t i = 0; i < merge->child_count; i++)
        merge->children[i]->ops->first(merge->children[i]);
    merge_rebuild(merge, false);
}

static void merge_last(struct cursor *cursor)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    for (size_t i = 0; i < merge->child_count; i++)
        merge->children[i]->ops->last(merge->children[i]);
    merge_rebuild(merge, true);
}

/* Places `child` at its last entry before the current one, or at none. */
static void merge_place_before(struct cursor *child, const struct cursor *current)
{
    child->ops->seek(child, current->key, current->lsn);
    if (child->valid)
        child->ops->prev(child);
    else if (child->status == STATUS_OK)
        child->ops->last(child);
}

/* Turns around: the current child stays, the others go to the other side of it. Its key stays valid
 * meanwhile, since it does not move. */
static bool merge_turn(struct merge_cursor *merge, bool backward)
{
    struct cursor *current = merge->heap[0];
    for (size_t i = 0; i < merge->child_count; i++) {
        struct cursor *child = merge->children[i];
        if (child == current)
            continue;
        if (backward)
            merge_place_before(child, current);
        else
            child->ops->seek(child, current->key, current->lsn);
    }
    merge_rebuild(merge, backward);
    assert(merge->base.status != STATUS_OK || merge->heap[0] == current);
    return merge->base.status == STATUS_OK;
}

/* The nearest but the root: as long as that stays, the others stay as they are, and it is looked for
 * once. */
static struct cursor *merge_second(struct merge_cursor *merge)
{
    struct cursor **heap = merge->heap;
    if (merge->second == 0)
        merge->second = merge->heap_count > 2 && merge_is_above(merge, heap[2], heap[1]) ? 2 : 1;
    return heap[merge->second];
}

/* The root may have to change places with the second, and then to go on from there. */
static void merge_sink_root(struct merge_cursor *merge)
{
    struct cursor **heap = merge->heap, *root = heap[0], *second = merge_second(merge);
    merge->stayed = !merge_is_above(merge, second, root);
    if (merge->stayed)
        return;
    heap[0] = second;
    heap[merge->second] = root;
    merge_sift_down(merge, merge->second);
}

/* The root has moved. */
static void merge_settle(struct merge_cursor *merge)
{
    struct cursor *root = merge->heap[0];
    if (root->status != STATUS_OK) {
        merge_fail(merge, root->status);
        return;
    }
    if (!root->valid) {
        merge->heap[0] = merge->heap[--merge->heap_count];
        merge_sift_down(merge, 0);
    } else if (merge->heap_count > 1) {
        merge_sink_root(merge);
    }
    merge_show(merge);
}

static void merge_next(struct cursor *cursor)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    assert(cursor->valid);
    if (merge->backward && !merge_turn(merge, false))
        return;
    merge->heap[0]->ops->next(merge->heap[0]);
    merge_settle(merge);
}

static void merge_prev(struct cursor *cursor)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    assert(cursor->valid);
    if (!merge->backward && !merge_turn(merge, true))
        return;
    merge->heap[0]->ops->prev(merge->heap[0]);
    merge_settle(merge);
}

/* What the current child has at hand before the next of the others. */
static struct cursor_run merge_run(struct cursor *cursor, bool backward)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    struct cursor *root = merge->heap[0];
    if (backward != merge->backward)
        return (struct cursor_run){NULL};
    struct cursor_run run = root->ops->run(root, backward);
    if (run.count > 0 && merge->heap_count > 1)
        run.count = cursor_run_before(&run, backward, merge_second(merge)->key);
    return run;
}

static void merge_advance(struct cursor *cursor, ptrdiff_t steps)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    struct cursor *root = merge->heap[0];
    root->ops->advance(root, steps);
    merge_show(merge);
}

static void merge_destroy(struct cursor *cursor)
{
    struct merge_cursor *merge = (struct merge_cursor *)cursor;
    for (size_t i = 0; i < merge->child_count; i++)
        merge->children[i]->ops->destroy(merge->children[i]);
    memory_free(merge->children);
    memory_free(merge);
}

static const struct cursor_ops merge_ops = {
    .seek = merge_seek,
    .seek_for_prev = merge_seek_for_prev,
    .first = merge_first,
    .last = merge_last,
    .next = merge_next,
    .prev = merge_prev,
    .destroy = merge_destroy,
    .run = merge_run,
    .advance = merge_advance,
};

struct cursor *merge_cursor_create(struct cursor **children, size_t count)
{
    if (count == 1)
        return children[0];
    struct merge_cursor *merge = memory_zeroed(1, sizeof(*merge));
    merge->base.ops = &merge_ops;
    merge->child_count = count;
    if (count > 0) {
        /* One allocation for both arrays. */
        merge->children = memory_allocate(2 * count * sizeof(children[0]));
        merge->heap = merge->children + count;
        memcpy(merge->children, children, count * sizeof(children[0]));
    }
    return &merge->base;
}
