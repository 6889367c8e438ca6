/* SPDX-License-Identifier: MIT */
/* The verbs on lists. A small list is rewritten in its header as a whole, another one changes by position. */
#include "types/header_hold.h"
#include "types/list_state.h"

#include <assert.h>

/* ---- Reclaiming. ----------------------------------------------------------------------------- */

static void reclaim_low(struct access *access, struct list *list)
{
    uint8_t from[LIST_KEY_BYTES], to[LIST_KEY_BYTES];
    uint64_t id = list->object.id;
    if (list->head > 0)
        access_delete_range(access, TREE_PARTS, list_element_key(from, access, id, 0),
                            list_element_key(to, access, id, list->head));
    list->low_weight = 0;
}

static void reclaim_high(struct access *access, struct list *list)
{
    uint8_t from[LIST_KEY_BYTES], to[OBJECT_PREFIX_BYTES + 1];
    object_prefix_store(to, access->generation, list->object.id);
    to[OBJECT_PREFIX_BYTES] = TAG_LIST + 1;
    access_delete_range(access, TREE_PARTS,
                        list_element_key(from, access, list->object.id, list_tail(list) + 1),
                        slice_make(to, sizeof to));
    list->high_weight = 0;
}

void list_put_reclaimed(struct access *access, struct slice key, struct list *list)
{
    if (list->low_weight >= LIST_RECLAIM_WEIGHT)
        reclaim_low(access, list);
    if (list->high_weight >= LIST_RECLAIM_WEIGHT)
        reclaim_high(access, list);
    list_put_header(access, key, list, list->object.id);
}

/* ---- Pushing. -------------------------------------------------------------------------------- */

/* Gives an inline (or new) list records of its own; returns the id. */
static uint64_t spread(struct access *access, struct list *list, const struct slice *elements,
                       uint64_t count)
{
    uint64_t id = access_new_id(access);
    list->head = POSITION_MIDDLE;
    list->count = count;
    for (uint64_t i = 0; i < count; i++)
        list_put_element(access, list, id, list->head + i, elements[i]);
    return id;
}

void list_put_small(struct access *access, struct slice key, struct list *list,
                    const struct slice *elements, size_t count)
{
    assert(list_is_inline(list));
    if (list_fits_inline(elements, count))
        list_put_inline(access, key, list, elements, count);
    else
        list_put_header(access, key, list, spread(access, list, elements, count));
}

static void push_small(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count)
{
    struct slice elements[LIST_INLINE_COUNT_MAX];
    size_t old_count = list->count, shift = end == LIST_LEFT ? count : 0;
    for (size_t i = 0; i < old_count; i++)
        elements[shift + i] = list->elements[i];
    for (size_t i = 0; i < count; i++)
        elements[end == LIST_LEFT ? count - 1 - i : old_count + i] = values[i];
    list_put_small(access, key, list, elements, old_count + count);
}

static void push_by_position(struct access *access, struct slice key, struct list *list,
                             enum list_end end, const struct slice *values, size_t count)
{
    uint64_t id = list->object.id;
    if (list_is_inline(list))
        id = spread(access, list, list->elements, list->count);
    for (size_t i = 0; i < count; i++) {
        uint64_t position = end == LIST_LEFT  ? --list->head
                            : list->is_sparse ? ++list->tail
                                              : list->head + list->count;
        list_put_element(access, list, id, position, values[i]);
        list->count++;
    }
    list_put_header(access, key, list, id);
}

enum status list_plan_push(struct access *access, struct list *list, enum list_end end,
                           size_t count, struct list_edit *edit)
{
    if (!list->is_sparse)
        return STATUS_OK;
    list_edit_make_way(list, end, count, edit);
    return list_edit_plan(access, list, 0, edit);
}

void list_push_planned(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count,
                       const struct list_edit *edit)
{
    if (list_is_inline(list) && list->count + count <= LIST_INLINE_COUNT_MAX) {
        push_small(access, key, list, end, values, count);
        return;
    }
    if (list->is_sparse)
        list_edit_apply(access, list, edit);
    push_by_position(access, key, list, end, values, count);
}

static enum status push_sparse(struct access *access, struct slice key, struct list *list,
                               enum list_end end, const struct slice *values, size_t count)
{
    struct list_edit edit = {0};
    enum status status = list_plan_push(access, list, end, count, &edit);
    if (!status)
        list_push_planned(access, key, list, end, values, count, &edit);
    list_edit_release(&edit);
    return status;
}

enum status list_push(struct access *access, struct slice key, enum list_end end,
                      const struct slice *values, size_t count, bool only_existing,
                      uint64_t *length)
{
    struct list list;
    assert(count > 0);
    for (size_t i = 0; i < count; i++)
        if (values[i].size > LIST_ELEMENT_BYTES_MAX)
            return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status && (status != STATUS_NOT_FOUND || only_existing))
        return status;
    *length = list.count + count;
    if (!list.is_sparse)
        list_push_planned(access, key, &list, end, values, count, NULL);
    else if ((status = push_sparse(access, key, &list, end, values, count)) != STATUS_OK)
        return status;
    access_fact(access, 'l', end == LIST_LEFT ? "lpush" : "rpush", key);
    return STATUS_OK;
}

/* ---- Taking off the ends. -------------------------------------------------------------------- */

enum status list_plan_cut(struct access *access, struct list *list, uint64_t left, uint64_t right,
                          struct list_edit *edit)
{
    if (left + right == list->count) {
        list->count = 0;
        return STATUS_OK;
    }
    if (list_is_inline(list)) {
        list->count -= left + right;
        if (left > 0)
            memmove(list->elements, list->elements + left, list->count * sizeof *list->elements);
        return STATUS_OK;
    }
    enum status status = list_edit_cut(access, list, left, right, edit);
    return status || !list->is_sparse ? status : list_edit_plan(access, list, 0, edit);
}

void list_put_cut(struct access *access, struct slice key, struct list *list,
                  const struct list_edit *edit)
{
    if (list->count == 0) {
        header_hold_drop(access);
        keyspace_remove(access, key, &list->object);
    } else if (list_is_inline(list)) {
        list_put_inline(access, key, list, list->elements, list->count);
    } else {
        if (list->is_sparse)
            list_edit_apply(access, list, edit);
        list_put_reclaimed(access, key, list);
    }
}

enum status list_plan_pop(struct access *access, struct list *list, enum list_end end,
                          uint64_t count, uint64_t weight, struct list_edit *edit)
{
    bool from_left = end == LIST_LEFT;
    if (!list_is_inline(list))
        *(from_left ? &list->low_weight : &list->high_weight) += weight;
    return list_plan_cut(access, list, from_left ? count : 0, from_left ? 0 : count, edit);
}

void list_note_pop(struct access *access, struct slice key, enum list_end end, bool is_last)
{
    access_fact(access, 'l', end == LIST_LEFT ? "lpop" : "rpop", key);
    if (is_last)
        access_fact(access, 'g', "del", key);
}

enum status list_pop(struct access *access, struct slice key, enum list_end end, uint64_t count_max,
                     const struct list_visitor *visitor)
{
    struct list list;
    struct list_edit edit; /* of a sparse one */
    uint64_t weight = 0;
    assert(count_max > 0);
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    bool is_sparse = list.is_sparse;
    if (is_sparse)
        edit = (struct list_edit){0};
    uint64_t count = count_max < list.count ? count_max : list.count;
    status = list_walk(access, &list, end == LIST_LEFT ? 0 : list.count - 1, count,
                       end == LIST_RIGHT, visitor, &weight);
    if (!status)
        status = list_plan_pop(access, &list, end, count, weight, &edit);
    if (!status) {
        list_put_cut(access, key, &list, &edit);
        list_note_pop(access, key, end, list.count == 0);
    }
    if (is_sparse)
        list_edit_release(&edit);
    return status;
}

/* LRANGE's indices, to [*first, *first + *count). */
static void clip(uint64_t length, int64_t start, int64_t stop, uint64_t *first, uint64_t *count)
{
    int64_t size = (int64_t)length;
    if (start < 0)
        start = start + size < 0 ? 0 : start + size;
    if (stop < 0)
        stop += size;
    if (stop >= size)
        stop = size - 1;
    *first = (uint64_t)start;
    *count = start > stop ? 0 : (uint64_t)(stop - start) + 1;
}

enum status list_trim(struct access *access, struct slice key, int64_t start, int64_t stop)
{
    struct list list;
    struct list_edit edit = {0};
    uint64_t first, count;
    enum status status = list_find(access, key, &list);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    clip(list.count, start, stop, &first, &count);
    if (count < list.count) {
        uint64_t left = count ? first : list.count, right = list.count - left - count;
        if (!list_is_inline(&list)) {
            /* How large the dropped ones are is not known without reading them. */
            uint64_t each = list.has_pieces ? LIST_RECLAIM_WEIGHT : 1;
            list.low_weight += left * each;
            list.high_weight += right * each;
        }
        status = list_plan_cut(access, &list, left, right, &edit);
        if (!status)
            list_put_cut(access, key, &list, &edit);
    }
    if (!status) {
        access_fact(access, 'l', "ltrim", key);
        if (list.count == 0)
            access_fact(access, 'g', "del", key);
    }
    list_edit_release(&edit);
    return status;
}

/* ---- The other verbs. ------------------------------------------------------------------------ */

enum status list_length(struct access *access, struct slice key, uint64_t *length)
{
    struct list list;
    enum status status = list_find(access, key, &list);
    if (!status)
        *length = list.count;
    return status;
}

enum status list_object_length(const struct object *object, uint64_t *length)
{
    struct list list = {.object = *object};
    assert(object->type == OBJECT_LIST);
    enum status status = list_decode(&list);
    if (!status)
        *length = list.count;
    return status;
}

enum status list_object_visit(struct access *access, const struct object *object,
                              const struct list_visitor *visitor)
{
    struct list list = {.object = *object};
    assert(object->type == OBJECT_LIST);
    enum status status = list_decode(&list);
    return status ? status : list_walk(access, &list, 0, list.count, false, visitor, NULL);
}

enum status list_range(struct access *access, struct slice key, int64_t start, int64_t stop,
                       const struct list_visitor *visitor)
{
    struct list list;
    uint64_t first, count;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    clip(list.count, start, stop, &first, &count);
    if (count > 0)
        return list_walk(access, &list, first, count, false, visitor, NULL);
    if (visitor->begin)
        visitor->begin(visitor->context, 0);
    return STATUS_OK;
}

/* An index that counts from either end, as one from the left; false: there is no such element. */
static bool take_index(const struct list *list, int64_t index, uint64_t *from_left)
{
    if (index < 0)
        index += (int64_t)list->count;
    *from_left = (uint64_t)index;
    return index >= 0 && *from_left < list->count;
}

enum status list_index(struct access *access, struct slice key, int64_t index, struct slice *value)
{
    struct list list;
    uint64_t at;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    return take_index(&list, index, &at) ? list_read(access, &list, at, value) : STATUS_NOT_FOUND;
}

/* Puts another value in the place of an element by position. */
static enum status replace(struct access *access, struct slice key, struct list *list,
                           uint64_t index, struct slice value)
{
    struct list_cursor cursor;
    uint64_t bytes, pieces = 0; /* of the old one */
    bool had_pieces = list->has_pieces;
    enum status status = list_cursor_open(&cursor, access, list, index, 1, false);
    if (!status && (had_pieces || list->is_sparse))
        status = list_cursor_move(&cursor);
    if (!status && had_pieces)
        status = list_record_size(cursor.record, &bytes, &pieces);
    list_cursor_close(&cursor);
    if (!status && cursor.key_size > LIST_KEY_BYTES)
        status = access_reserve(access, cursor.key_size + list_element_bytes(value.size) +
                                            cursor.key_size * (value.size / LIST_PIECE_BYTES));
    if (status)
        return status;
    list_put_record(access, list, cursor.key, cursor.key_size, value);
    list_drop_pieces(access, cursor.key, cursor.key_size, list_pieces_of(value.size), pieces);
    list_put_header(access, key, list, list->object.id); /* it is as new as the elements */
    return STATUS_OK;
}

enum status list_set(struct access *access, struct slice key, int64_t index, struct slice value)
{
    struct list list;
    uint64_t at;
    if (value.size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    if (!take_index(&list, index, &at))
        return STATUS_INVALID;
    if (list_is_inline(&list)) {
        list.elements[at] = value;
        list_put_small(access, key, &list, list.elements, list.count);
    } else {
        status = replace(access, key, &list, at, value);
    }
    if (!status)
        access_fact(access, 'l', "lset", key);
    return status;
}
