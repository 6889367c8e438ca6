/* SPDX-License-Identifier: MIT */
/* Walking over a list's elements in either direction: those of a header by index, others one by one
 * or, when there are more than a few, through an iterator. */
#include "types/list_state.h"

#include <assert.h>

enum { POINT_READS_MAX = 3 };

void list_cursor_open(struct list_cursor *cursor, struct access *access, const struct list *list,
                      uint64_t index, uint64_t count, bool backwards)
{
    cursor->access = access;
    cursor->list = list;
    cursor->backwards = backwards;
    cursor->left = count;
    cursor->index = index;
    cursor->iter = NULL;
    if (list_is_inline(list) || count <= POINT_READS_MAX)
        return;
    uint64_t first = backwards ? index - (count - 1) : index, id = list->object.id;
    uint8_t upper[LIST_PIECE_KEY_BYTES];
    cursor->iter =
        lsm_iter_open(access->reader, TREE_PARTS,
                      &(struct lsm_iter_options){
                          .lower = list_element_key(cursor->key, access, id, list->head + first),
                          .upper = list_element_key(upper, access, id, list->head + first + count),
                          .ignore_range_deletes = true,
                      });
}

/* Within the cursor's bounds all keys have the list's prefix. */
static bool stands_at(const struct lsm_iter *iter, uint64_t position)
{
    if (!lsm_iter_valid(iter))
        return false;
    struct slice key = lsm_iter_key(iter);
    return key.size == LIST_KEY_BYTES && be64_load(key.data + LIST_KEY_BYTES - 8) == position;
}

/* Moves to the element with that key, the next in the direction of the walk; pieces may lie
 * between. */
static bool move_to(struct lsm_iter *iter, bool backwards, struct slice key, uint64_t position)
{
    if (lsm_iter_valid(iter)) {
        if (backwards)
            lsm_iter_prev(iter);
        else
            lsm_iter_next(iter);
        if (stands_at(iter, position))
            return true;
    }
    if (!lsm_iter_status(iter))
        lsm_iter_seek(iter, key);
    return stands_at(iter, position);
}

static inline enum status next_element(struct list_cursor *cursor, struct slice *value)
{
    const struct list *list = cursor->list;
    assert(cursor->left > 0);
    uint64_t index = cursor->index;
    cursor->index += cursor->backwards ? UINT64_MAX : 1;
    cursor->left--;
    if (list_is_inline(list)) {
        *value = list->elements[index];
        return STATUS_OK;
    }
    uint64_t position = list->head + index;
    if (!cursor->iter)
        return list_read_element(cursor->access, list, position, value);
    be64_store(cursor->key + LIST_KEY_BYTES - 8, position);
    if (!move_to(cursor->iter, cursor->backwards, slice_make(cursor->key, LIST_KEY_BYTES),
                 position)) {
        enum status status = lsm_iter_status(cursor->iter);
        return status ? status : STATUS_CORRUPT;
    }
    return list_decode_element(cursor->access, cursor->key, lsm_iter_value(cursor->iter), value);
}

enum status list_cursor_next(struct list_cursor *cursor, struct slice *value)
{
    return next_element(cursor, value);
}

void list_cursor_close(struct list_cursor *cursor)
{
    if (cursor->iter)
        lsm_iter_close(cursor->iter);
    cursor->iter = NULL;
}

static enum status visit_all(struct list_cursor *cursor, const struct list_visitor *visitor,
                             uint64_t *weight)
{
    while (cursor->left > 0) {
        struct slice value;
        enum status status = next_element(cursor, &value);
        if (status)
            return status;
        visitor->element(visitor->context, value);
        if (weight)
            *weight += list_weight(value.size);
        status = visitor->check ? visitor->check(visitor->context) : STATUS_OK;
        if (status)
            return status;
    }
    return STATUS_OK;
}

enum status list_walk(struct access *access, const struct list *list, uint64_t index,
                      uint64_t count, bool backwards, const struct list_visitor *visitor,
                      uint64_t *weight)
{
    struct list_cursor cursor;
    assert(count > 0);
    if (visitor->begin)
        visitor->begin(visitor->context, count);
    list_cursor_open(&cursor, access, list, index, count, backwards);
    enum status status = visit_all(&cursor, visitor, weight);
    list_cursor_close(&cursor);
    return status;
}
