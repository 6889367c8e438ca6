/* SPDX-License-Identifier: MIT */
/* What changes in a list by position: which elements leave its ends, which are deleted between them, what
 * the slots count then. All of it is found first; writing it cannot fail. */
#include "types/list_state.h"

#include <assert.h>
#include <stdlib.h>

/* ---- Noting. --------------------------------------------------------------------------------- */

void list_edit_change(struct list_edit *edit, uint64_t position, int64_t delta)
{
    struct slot_change change = {position, delta};
    edit->changes.may_fail = true;
    buffer_append(&edit->changes, &change, sizeof change);
}

enum status list_edit_doom(struct list_edit *edit, const struct list_cursor *cursor)
{
    uint64_t bytes, pieces;
    enum status status = list_record_size(cursor->record, &bytes, &pieces);
    if (status)
        return status;
    edit->doomed.may_fail = true;
    buffer_append_sized(&edit->doomed, slice_make(cursor->key + OBJECT_PREFIX_BYTES + 1,
                                                  cursor->key_size - OBJECT_PREFIX_BYTES - 1));
    buffer_append_varint(&edit->doomed, pieces);
    return edit->doomed.failed ? STATUS_NO_MEMORY : STATUS_OK;
}

/* ---- Taking off the ends. -------------------------------------------------------------------- */

static enum status doom_some(struct access *access, const struct list *list, uint64_t index,
                             uint64_t count, struct list_edit *edit)
{
    struct list_cursor cursor;
    if (count == 0)
        return STATUS_OK;
    enum status status = list_cursor_open(&cursor, access, list, index, count, false);
    while (!status && cursor.left > 0) {
        status = list_cursor_move(&cursor);
        if (!status)
            status = list_edit_doom(edit, &cursor);
    }
    list_cursor_close(&cursor);
    return status;
}

/* Positions of [from, to) outside of the zone. */
static uint64_t count_plain(const struct list *list, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    if (from >= to)
        return 0;
    if (list->low > list->high)
        return to - from;
    if (from < list->low)
        count += (to < list->low ? to : list->low) - from;
    if (to - 1 > list->high)
        count += to - (from > list->high ? from : list->high + 1);
    return count;
}

/* Dead slots that the header alone tells from others are given back together with the elements. */
static void clear_dead(struct list *list, struct list_edit *edit)
{
    if (list->low_weight >= LIST_RECLAIM_WEIGHT && list->dead_low > 0) {
        edit->clears_low = true;
        edit->low_from = list->low;
        edit->low_to = (list->head - 1 < list->high ? list->head - 1 : list->high);
        list->dead_low = 0;
    }
    if (list->high_weight >= LIST_RECLAIM_WEIGHT && list->dead_high > 0) {
        edit->clears_high = true;
        edit->high_from = list->tail + 1 > list->low ? list->tail + 1 : list->low;
        edit->high_to = list->high;
        list->dead_high = 0;
    }
}

static enum status cut_sparse(struct access *access, struct list *list, uint64_t left,
                              uint64_t right, struct list_edit *edit)
{
    struct list_place first, last;
    enum status status = list_locate(access, list, left, &first);
    if (!status)
        status = list_locate(access, list, list->count - 1 - right, &last);
    if (status)
        return status;
    /* Elements that leave a slot which keeps others: they are deleted. */
    uint64_t before = first.offset, behind = last.count - 1 - last.offset;
    status = before > left || behind > right ? STATUS_CORRUPT : STATUS_OK;
    if (!status)
        status = doom_some(access, list, left - before, before, edit);
    if (!status)
        status = doom_some(access, list, list->count - right, behind, edit);
    if (status)
        return status;
    if (before > 0)
        list_edit_change(edit, first.position, -(int64_t)before);
    if (behind > 0)
        list_edit_change(edit, last.position, -(int64_t)behind);
    /* Others leave with their slots. */
    list->dead_low += left - before - count_plain(list, list->head, first.position);
    list->dead_high += right - behind - count_plain(list, last.position + 1, list->tail + 1);
    list->head = first.position;
    list->tail = last.position;
    return STATUS_OK;
}

enum status list_edit_cut(struct access *access, struct list *list, uint64_t left, uint64_t right,
                          struct list_edit *edit)
{
    enum status status = STATUS_OK;
    assert(left + right < list->count);
    if (list->is_sparse)
        status = cut_sparse(access, list, left, right, edit);
    else
        list->head += left;
    if (status)
        return status;
    list->count -= left + right;
    if (list->is_sparse)
        clear_dead(list, edit);
    return STATUS_OK;
}

/* ---- Making way. ----------------------------------------------------------------------------- */

static void make_way_low(struct list *list, uint64_t count, struct list_edit *edit)
{
    if (list->head <= list->low || list->head - count > list->high)
        return;
    if (list->dead_low > 0 || list->head - 1 > list->high) {
        edit->clears_low = true;
        edit->low_from = list->low;
        edit->low_to = list->head - 1;
        list->dead_low = 0;
    }
    list->head = list->low;
}

static void make_way_high(struct list *list, uint64_t count, struct list_edit *edit)
{
    if (list->tail >= list->high || list->tail + count < list->low)
        return;
    if (list->dead_high > 0 || list->tail + 1 < list->low) {
        edit->clears_high = true;
        edit->high_from = list->tail + 1;
        edit->high_to = list->high;
        list->dead_high = 0;
    }
    list->tail = list->high;
}

void list_edit_make_way(struct list *list, enum list_end end, uint64_t count,
                        struct list_edit *edit)
{
    if (!list->is_sparse || list->low > list->high)
        return;
    if (end == LIST_LEFT)
        make_way_low(list, count, edit);
    else
        make_way_high(list, count, edit);
}

/* ---- The plan. ------------------------------------------------------------------------------- */

static int compare_changes(const void *a, const void *b)
{
    const struct slot_change *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* Ascending, one for each position. Returns their number. */
static size_t merge_changes(struct slot_change *changes, size_t count)
{
    size_t merged = 0;
    qsort(changes, count, sizeof *changes, compare_changes);
    for (size_t i = 1; i < count; i++) {
        if (changes[i].position == changes[merged].position)
            changes[merged].delta += changes[i].delta;
        else
            changes[++merged] = changes[i];
    }
    return merged + 1;
}

/* The zone has grown over slots that nobody counted: those that lie dead between it and the list have one
 * element each. */
static void count_dead_between(struct list *list, const struct slots *slots)
{
    bool had_zone = list->low <= list->high;
    if (had_zone && list->high < list->head && slots->high >= list->head)
        list->dead_low += list->head - list->high - 1;
    if (had_zone && list->low > list->tail && slots->low <= list->tail)
        list->dead_high += list->low - list->tail - 1;
}

static enum status plan_slots(struct list *list, struct slots *slots, struct list_edit *edit)
{
    struct slot_change *changes = (struct slot_change *)(void *)edit->changes.data;
    size_t count = edit->changes.size / sizeof *changes;
    enum status status = edit->changes.failed ? STATUS_NO_MEMORY : STATUS_OK;
    if (!status && count > 0)
        status = slots_plan_changes(slots, changes, merge_changes(changes, count), &edit->plan);
    if (!status)
        count_dead_between(list, slots);
    if (!status && edit->clears_low)
        status = slots_plan_clear(slots, edit->low_from, edit->low_to, &edit->plan);
    if (!status && edit->clears_high)
        status = slots_plan_clear(slots, edit->high_from, edit->high_to, &edit->plan);
    return status;
}

enum status list_edit_plan(struct access *access, struct list *list, size_t bytes,
                           struct list_edit *edit)
{
    if (list->is_sparse) {
        struct slots slots = {access, list->object.id, list->low, list->high};
        enum status status = plan_slots(list, &slots, edit);
        if (status)
            return status;
        list->low = slots.low;
        list->high = slots.high;
        list->is_sparse = slots.low <= slots.high; /* nothing but its ends has changed */
    }
    bytes += slot_plan_bytes(&edit->plan);
    struct slice doomed = buffer_slice(&edit->doomed), key;
    uint64_t pieces;
    while (slice_take_sized(&doomed, &key) && slice_take_varint(&doomed, &pieces))
        bytes += LSM_RECORD_BYTES + key.size * (pieces > 0 ? 3 : 1);
    return bytes > 0 ? access_reserve(access, bytes) : STATUS_OK;
}

/* ---- Writing. -------------------------------------------------------------------------------- */

static void delete_doomed(struct access *access, const struct list *list,
                          const struct list_edit *edit)
{
    struct slice doomed = buffer_slice(&edit->doomed), rest;
    uint8_t key[LIST_KEY_BYTES_MAX];
    uint64_t pieces;
    (void)list_element_key(key, access, list->object.id, 0);
    while (slice_take_sized(&doomed, &rest) && slice_take_varint(&doomed, &pieces)) {
        size_t size = OBJECT_PREFIX_BYTES + 1 + rest.size;
        memcpy(key + OBJECT_PREFIX_BYTES + 1, rest.data, rest.size);
        access_delete(access, TREE_PARTS, slice_make(key, size));
        list_drop_pieces(access, key, size, 0, pieces);
    }
}

/* The elements that were in slots which are clear now. */
static void give_back(struct access *access, const struct list *list, uint64_t from, uint64_t to)
{
    uint8_t first[LIST_KEY_BYTES], end[LIST_KEY_BYTES];
    uint64_t id = list->object.id;
    access_delete_range(access, TREE_PARTS, list_element_key(first, access, id, from),
                        list_element_key(end, access, id, to + 1));
}

void list_edit_apply(struct access *access, struct list *list, const struct list_edit *edit)
{
    struct slots slots = {access, list->object.id, list->low, list->high};
    delete_doomed(access, list, edit);
    slots_apply(&slots, &edit->plan);
    if (edit->clears_low)
        give_back(access, list, edit->low_from, edit->low_to);
    if (edit->clears_high)
        give_back(access, list, edit->high_from, edit->high_to);
}

void list_edit_release(struct list_edit *edit)
{
    buffer_release(&edit->changes);
    buffer_release(&edit->doomed);
    slot_plan_release(&edit->plan);
}
