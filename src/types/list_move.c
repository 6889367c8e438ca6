/* SPDX-License-Identifier: MIT */
/* From one end of a list to an end of another, or of itself. */
#include "types/list_state.h"

/* What is moved, and to where. */
struct move {
    struct slice from, to;
    enum list_end from_end, to_end;
    struct list source, target; /* target: not when it is the same */
    struct list_edit source_edit, target_edit;
    struct slice value;
};

static enum status find_both(struct access *access, struct move *move, bool is_same)
{
    enum status status = list_find(access, move->from, &move->source);
    if (status || is_same)
        return status;
    status = list_find(access, move->to, &move->target);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Reads the value, shows it, and makes room for it. */
static enum status take_value(struct access *access, struct move *move,
                              const struct list_visitor *visitor)
{
    const struct list *list = &move->source;
    enum status status =
        list_read(access, list, move->from_end == LIST_LEFT ? 0 : list->count - 1, &move->value);
    if (!status)
        status = access_reserve(access, list_element_bytes(move->value.size));
    if (status)
        return status;
    visitor->element(visitor->context, move->value);
    return visitor->check ? visitor->check(visitor->context) : STATUS_OK;
}

/* ---- To another list. ------------------------------------------------------------------------ */

/* The push first: the value may lie in the header or record that the pop writes anew. */
static enum status move_between(struct access *access, struct move *move)
{
    struct list *source = &move->source, *target = &move->target;
    enum status status = list_plan_push(access, target, move->to_end, 1, &move->target_edit);
    if (!status)
        status = list_plan_pop(access, source, move->from_end, 1, list_weight(move->value.size),
                               &move->source_edit);
    if (status)
        return status;
    list_push_planned(access, move->to, target, move->to_end, &move->value, 1, &move->target_edit);
    list_put_cut(access, move->from, source, &move->source_edit);
    return STATUS_OK;
}

/* ---- Within one list. ------------------------------------------------------------------------ */

static void rotate_small(struct access *access, struct move *move)
{
    struct list *list = &move->source;
    bool from_left = move->from_end == LIST_LEFT;
    memmove(&list->elements[!from_left], &list->elements[from_left],
            (list->count - 1) * sizeof *list->elements);
    list->elements[from_left ? list->count - 1 : 0] = move->value;
    list_put_inline(access, move->from, list, list->elements, list->count);
}

static enum status rotate(struct access *access, struct move *move)
{
    struct list *list = &move->source;
    struct list_edit *edit = &move->source_edit;
    bool from_left = move->from_end == LIST_LEFT;
    uint64_t position;
    *(from_left ? &list->low_weight : &list->high_weight) += list_weight(move->value.size);
    enum status status = list_edit_cut(access, list, from_left, !from_left, edit);
    if (status)
        return status;
    list_edit_make_way(list, move->to_end, 1, edit);
    status = list_edit_plan(access, list, 0, edit);
    if (status)
        return status;
    if (!from_left)
        position = --list->head;
    else
        position = list->is_sparse ? ++list->tail : list->head + list->count;
    list_put_element(access, list, list->object.id, position, move->value);
    list->count++;
    list_edit_apply(access, list, edit);
    list_put_reclaimed(access, move->from, list);
    return STATUS_OK;
}

static enum status move_within(struct access *access, struct move *move)
{
    if (move->source.count == 1 || move->from_end == move->to_end)
        return STATUS_OK;
    if (!list_is_inline(&move->source))
        return rotate(access, move);
    rotate_small(access, move);
    return STATUS_OK;
}

enum status list_move(struct access *access, struct slice from, enum list_end from_end,
                      struct slice to, enum list_end to_end, const struct list_visitor *visitor)
{
    struct move move;
    bool is_same = slice_equal(from, to);
    move.from = from;
    move.to = to;
    move.from_end = from_end;
    move.to_end = to_end;
    move.source_edit = move.target_edit = (struct list_edit){0};
    enum status status = find_both(access, &move, is_same);
    if (!status)
        status = take_value(access, &move, visitor);
    if (!status)
        status = is_same ? move_within(access, &move) : move_between(access, &move);
    if (!status) {
        access_fact(access, 'l', to_end == LIST_LEFT ? "lpush" : "rpush", to);
        list_note_pop(access, from, from_end, move.source.count == 0);
    }
    list_edit_release(&move.source_edit);
    list_edit_release(&move.target_edit);
    return status;
}
