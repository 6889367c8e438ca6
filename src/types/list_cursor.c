/* SPDX-License-Identifier: MIT */
/* Walking over a list's elements in either direction: those of a header by index, others one by one
 * or, when there are more than a few, through an iterator. In a sparse list the slots say which position
 * comes next and how many elements it has; what else lies in the tree, pieces and what waits to be given
 * back, is passed over. */
#include "types/list_state.h"

#include <assert.h>

enum { POINT_READS_MAX = 3 };

static struct slots slots_of(struct access *access, const struct list *list)
{
    return (struct slots){access, list->object.id, list->low, list->high};
}

static bool is_in_zone(const struct list *list, uint64_t position)
{
    return position >= list->low && position <= list->high;
}

enum status list_locate(struct access *access, const struct list *list, uint64_t index,
                        struct list_place *place)
{
    uint64_t below, above;
    assert(index < list->count);
    assert(list->is_sparse);
    *place = (struct list_place){list->head + index, 0, 1};
    list_count_outside(list, &below, &above);
    if (index < below)
        return STATUS_OK;
    if (index >= list->count - above) {
        place->position = list->tail - (list->count - 1 - index);
        return STATUS_OK;
    }
    struct slots slots = slots_of(access, list);
    struct slot_span span;
    enum status status =
        slots_select(&slots, list->dead_low + (index - below), &place->position, &place->offset);
    if (!status && (place->position < list->head || place->position > list->tail))
        status = STATUS_CORRUPT;
    if (!status)
        status = slots_look(&slots, place->position, &span);
    if (status)
        return status;
    place->count = slot_span_count(&span, place->position);
    return place->offset < place->count ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- Opening. -------------------------------------------------------------------------------- */

/* Over the slots from first to last. */
static void open_iter(struct list_cursor *cursor, uint64_t first, uint64_t last)
{
    uint8_t lower[LIST_KEY_BYTES], upper[LIST_KEY_BYTES];
    struct access *access = cursor->access;
    uint64_t id = cursor->list->object.id;
    cursor->iter = lsm_iter_open(access->reader, TREE_PARTS,
                                 &(struct lsm_iter_options){
                                     .lower = list_element_key(lower, access, id, first),
                                     .upper = list_element_key(upper, access, id, last + 1),
                                     .ignore_range_deletes = true,
                                 });
}

static void open_sparse_iter(struct list_cursor *cursor)
{
    const struct list *list = cursor->list;
    if (cursor->backwards)
        open_iter(cursor, list->head, cursor->position);
    else
        open_iter(cursor, cursor->position, list->tail);
}

static enum status open_sparse(struct list_cursor *cursor)
{
    struct list_place place;
    enum status status = list_locate(cursor->access, cursor->list, cursor->index, &place);
    if (status)
        return status;
    cursor->position = place.position;
    cursor->in_slot = cursor->backwards ? place.offset + 1 : place.count - place.offset;
    cursor->to_skip = place.count - cursor->in_slot;
    cursor->span.first = 1; /* nothing is known yet */
    cursor->span.last = 0;
    if (cursor->left > POINT_READS_MAX)
        open_sparse_iter(cursor);
    return STATUS_OK;
}

enum status list_cursor_open(struct list_cursor *cursor, struct access *access,
                             const struct list *list, uint64_t index, uint64_t count,
                             bool backwards)
{
    cursor->access = access;
    cursor->list = list;
    cursor->backwards = backwards;
    cursor->left = count;
    cursor->index = index;
    cursor->iter = NULL;
    cursor->is_placed = false;
    if (list_is_inline(list))
        return STATUS_OK;
    (void)list_element_key(cursor->key, access, list->object.id, list->head + index);
    cursor->key_size = LIST_KEY_BYTES;
    if (list->is_sparse)
        return open_sparse(cursor);
    if (count <= POINT_READS_MAX)
        return STATUS_OK;
    uint64_t first = list->head + (backwards ? index - (count - 1) : index);
    open_iter(cursor, first, first + (count - 1));
    return STATUS_OK;
}

void list_cursor_close(struct list_cursor *cursor)
{
    if (cursor->iter)
        lsm_iter_close(cursor->iter);
    cursor->iter = NULL;
}

/* ---- A dense list. --------------------------------------------------------------------------- */

/* Within the cursor's bounds all keys have the list's prefix. */
static bool stands_at(const struct lsm_iter *iter, uint64_t position)
{
    if (!lsm_iter_valid(iter))
        return false;
    struct slice key = lsm_iter_key(iter);
    return key.size == LIST_KEY_BYTES && be64_load(key.data + LIST_KEY_BYTES - 8) == position;
}

/* To the element with the cursor's key, the next in its direction; pieces may lie between. */
static bool step_to(struct list_cursor *cursor, uint64_t position)
{
    struct lsm_iter *iter = cursor->iter;
    if (lsm_iter_valid(iter)) {
        if (cursor->backwards)
            lsm_iter_prev(iter);
        else
            lsm_iter_next(iter);
        if (stands_at(iter, position))
            return true;
    }
    if (!lsm_iter_status(iter))
        lsm_iter_seek(iter, slice_make(cursor->key, LIST_KEY_BYTES));
    return stands_at(iter, position);
}

static enum status read_point(struct list_cursor *cursor)
{
    enum status status = access_get(cursor->access, TREE_PARTS,
                                    slice_make(cursor->key, cursor->key_size), &cursor->record);
    return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
}

static enum status iter_failure(const struct list_cursor *cursor)
{
    enum status status = lsm_iter_status(cursor->iter);
    return status ? status : STATUS_CORRUPT;
}

static inline enum status move_dense(struct list_cursor *cursor, uint64_t position)
{
    be64_store(cursor->key + LIST_KEY_BYTES - 8, position);
    if (!cursor->iter)
        return read_point(cursor);
    if (!step_to(cursor, position))
        return iter_failure(cursor);
    cursor->record = lsm_iter_value(cursor->iter);
    return STATUS_OK;
}

/* ---- A sparse list. -------------------------------------------------------------------------- */

/* Goes on to the next slot that has elements. */
static enum status next_slot(struct list_cursor *cursor)
{
    const struct list *list = cursor->list;
    struct slot_span *span = &cursor->span;
    uint64_t position = cursor->position, end = cursor->backwards ? list->head : list->tail;
    do {
        if (position == end)
            return STATUS_CORRUPT;
        position += cursor->backwards ? UINT64_MAX : 1;
        if (!is_in_zone(list, position)) {
            cursor->in_slot = 1;
            break;
        }
        if (position < span->first || position > span->last) {
            struct slots slots = slots_of(cursor->access, list);
            enum status status = slots_look(&slots, position, span);
            if (status)
                return status;
        }
        cursor->in_slot = slot_span_count(span, position);
        if (span->is_uniform && cursor->in_slot == 0)
            position = cursor->backwards ? span->first : span->last;
        bool is_beyond = cursor->backwards ? position < end : position > end;
        if (is_beyond)
            return STATUS_CORRUPT;
    } while (cursor->in_slot == 0);
    cursor->position = position;
    return STATUS_OK;
}

static void seek_slot(struct list_cursor *cursor)
{
    uint8_t key[LIST_KEY_BYTES + 1];
    (void)list_element_key(key, cursor->access, cursor->list->object.id, cursor->position);
    key[LIST_KEY_BYTES] = 0xff; /* behind all labels */
    if (cursor->backwards)
        lsm_iter_seek_for_prev(cursor->iter, slice_make(key, sizeof key));
    else
        lsm_iter_seek(cursor->iter, slice_make(key, LIST_KEY_BYTES));
}

/* From one of its pieces to the element, or, forward, behind them. */
static void pass_pieces(struct list_cursor *cursor, struct slice piece)
{
    uint8_t key[LIST_KEY_BYTES_MAX];
    size_t size = piece.size - LIST_PIECE_BYTES_MORE;
    memcpy(key, piece.data, size);
    key[size] = 1;
    if (cursor->backwards)
        lsm_iter_seek_for_prev(cursor->iter, slice_make(key, size));
    else
        lsm_iter_seek(cursor->iter, slice_make(key, size + 1));
}

static void step(struct list_cursor *cursor)
{
    if (!cursor->is_placed)
        seek_slot(cursor);
    else if (cursor->backwards)
        lsm_iter_prev(cursor->iter);
    else
        lsm_iter_next(cursor->iter);
    cursor->is_placed = true;
}

/* To the next element of the slot at hand. */
static enum status step_in_slot(struct list_cursor *cursor)
{
    bool is_sought = !cursor->is_placed;
    step(cursor);
    for (;;) {
        struct list_key key;
        if (!lsm_iter_valid(cursor->iter))
            return iter_failure(cursor);
        struct slice bytes = lsm_iter_key(cursor->iter);
        if (!list_key_parse(bytes, &key))
            return STATUS_CORRUPT;
        if (key.position != cursor->position) {
            bool is_short = cursor->backwards ? key.position > cursor->position
                                              : key.position < cursor->position;
            if (!is_short || is_sought)
                return STATUS_CORRUPT;
            seek_slot(cursor);
            is_sought = true;
        } else if (key.is_piece) {
            pass_pieces(cursor, bytes);
        } else {
            memcpy(cursor->key, bytes.data, bytes.size);
            cursor->key_size = bytes.size;
            cursor->record = lsm_iter_value(cursor->iter);
            return STATUS_OK;
        }
    }
}

static enum status move_sparse(struct list_cursor *cursor)
{
    enum status status = STATUS_OK;
    if (cursor->in_slot == 0)
        status = next_slot(cursor);
    if (status)
        return status;
    if (!cursor->iter && cursor->in_slot == 1 && cursor->to_skip == 0) {
        /* Mostly it is the one without label. */
        be64_store(cursor->key + LIST_KEY_BYTES - 8, cursor->position);
        cursor->key_size = LIST_KEY_BYTES;
        status = read_point(cursor);
        cursor->in_slot -= !status;
        if (status != STATUS_CORRUPT)
            return status;
        status = STATUS_OK;
    }
    if (!cursor->iter)
        open_sparse_iter(cursor);
    for (; cursor->to_skip > 0 && !status; cursor->to_skip--)
        status = step_in_slot(cursor);
    if (!status)
        status = step_in_slot(cursor);
    cursor->in_slot--;
    return status;
}

/* ---- Any list. ------------------------------------------------------------------------------- */

static inline enum status move_on(struct list_cursor *cursor)
{
    const struct list *list = cursor->list;
    assert(cursor->left > 0);
    uint64_t index = cursor->index;
    cursor->index += cursor->backwards ? UINT64_MAX : 1;
    cursor->left--;
    if (list_is_inline(list)) {
        cursor->record = list->elements[index];
        return STATUS_OK;
    }
    return list->is_sparse ? move_sparse(cursor) : move_dense(cursor, list->head + index);
}

static inline enum status value_of(struct list_cursor *cursor, struct slice *value)
{
    *value = cursor->record;
    if (list_is_inline(cursor->list))
        return STATUS_OK;
    return list_decode_element(cursor->access, cursor->key, cursor->key_size, cursor->record,
                               value);
}

enum status list_cursor_move(struct list_cursor *cursor)
{
    return move_on(cursor);
}

enum status list_cursor_value(struct list_cursor *cursor, struct slice *value)
{
    return value_of(cursor, value);
}

enum status list_cursor_size(const struct list_cursor *cursor, uint64_t *bytes)
{
    uint64_t pieces;
    if (!list_is_inline(cursor->list))
        return list_record_size(cursor->record, bytes, &pieces);
    *bytes = cursor->record.size;
    return STATUS_OK;
}

static enum status visit_all(struct list_cursor *cursor, const struct list_visitor *visitor,
                             uint64_t *weight)
{
    while (cursor->left > 0) {
        struct slice value;
        enum status status = move_on(cursor);
        if (!status)
            status = value_of(cursor, &value);
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
    enum status status = list_cursor_open(&cursor, access, list, index, count, backwards);
    if (!status)
        status = visit_all(&cursor, visitor, weight);
    list_cursor_close(&cursor);
    return status;
}

enum status list_read(struct access *access, const struct list *list, uint64_t index,
                      struct slice *value)
{
    struct list_cursor cursor;
    enum status status = list_cursor_open(&cursor, access, list, index, 1, false);
    if (!status)
        status = list_cursor_move(&cursor);
    if (!status && cursor.iter) { /* what it shows ends with it */
        list_cursor_close(&cursor);
        status = read_point(&cursor);
    }
    if (!status)
        status = list_cursor_value(&cursor, value);
    list_cursor_close(&cursor);
    return status;
}
