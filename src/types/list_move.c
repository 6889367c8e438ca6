/* SPDX-License-Identifier: MIT */
/* From one end of a list to an end of another, or of itself. */
#include "types/list_state.h"

/* What is moved, and to where. */
struct move {
    struct slice from, to;
    enum list_end from_end, to_end;
    struct list source, target;
    struct slice value;
};

static enum status read_value(struct access *access, struct move *move)
{
    const struct list *list = &move->source;
    uint64_t index = move->from_end == LIST_LEFT ? 0 : list->count - 1;
    if (!list_is_inline(list))
        return list_read_element(access, list, list->head + index, &move->value);
    move->value = list->elements[index];
    return STATUS_OK;
}

static enum status show_value(const struct move *move, const struct list_visitor *visitor)
{
    visitor->element(visitor->context, move->value);
    return visitor->check ? visitor->check(visitor->context) : STATUS_OK;
}

static void rotate_small(struct access *access, struct move *move)
{
    struct list *list = &move->source;
    bool from_left = move->from_end == LIST_LEFT;
    memmove(&list->elements[!from_left], &list->elements[from_left],
            (list->count - 1) * sizeof *list->elements);
    list->elements[from_left ? list->count - 1 : 0] = move->value;
    list_put_inline(access, move->from, list, list->elements, list->count);
}

static void rotate(struct access *access, struct move *move)
{
    struct list *list = &move->source;
    bool from_left = move->from_end == LIST_LEFT;
    if (list->count == 1 || move->from_end == move->to_end)
        return;
    if (list_is_inline(list)) {
        rotate_small(access, move);
        return;
    }
    list_put_element(access, list, list->object.id,
                     from_left ? list->head + list->count : list->head - 1, move->value);
    *(from_left ? &list->low_weight : &list->high_weight) += list_weight(move->value.size);
    list_put_shrunk(access, move->from, list, from_left ? 1 : UINT64_MAX);
}

static enum status find_both(struct access *access, struct move *move, bool is_same)
{
    enum status status = list_find(access, move->from, &move->source);
    if (status || is_same)
        return status;
    status = list_find(access, move->to, &move->target);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

enum status list_move(struct access *access, struct slice from, enum list_end from_end,
                      struct slice to, enum list_end to_end, const struct list_visitor *visitor)
{
    struct move move = {.from = from, .to = to, .from_end = from_end, .to_end = to_end};
    bool is_same = slice_equal(from, to);
    enum status status = find_both(access, &move, is_same);
    if (!status)
        status = read_value(access, &move);
    if (!status)
        status = access_reserve(access, list_element_bytes(move.value.size));
    if (!status)
        status = show_value(&move, visitor);
    if (status)
        return status;
    /* The push first: the value may lie in the header that the pop writes anew. */
    if (is_same) {
        rotate(access, &move);
        access_fact(access, 'l', to_end == LIST_LEFT ? "lpush" : "rpush", to);
        access_fact(access, 'l', from_end == LIST_LEFT ? "lpop" : "rpop", from);
        return STATUS_OK;
    }
    list_push_found(access, to, &move.target, to_end, &move.value, 1);
    list_pop_found(access, from, &move.source, from_end, 1, list_weight(move.value.size));
    return STATUS_OK;
}
