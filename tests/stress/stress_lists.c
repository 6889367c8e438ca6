/* SPDX-License-Identifier: MIT */
/* Operations on lists, carried out on the model. */
#include "stress/stress_expectation.h"

#include <stdlib.h>

static void apply_push(const struct operation *o, struct model_slot *slot,
                       struct expectation *expected)
{
    bool at_front = o->kind == OP_LPUSH || o->kind == OP_LPUSHX;
    bool only_existing = o->kind == OP_LPUSHX || o->kind == OP_RPUSHX;
    if (slot->type == TYPE_NONE && only_existing) {
        expect_integer(expected, 0);
        return;
    }
    slot->type = TYPE_LIST;
    slot->may_linger = false;
    for (size_t i = 0; i < o->count; i++)
        slot_push(slot, o->tag + i, at_front);
    expect_integer(expected, (int64_t)slot->count);
}

/* Takes up to `count` elements off an end, and shows them, separated by commas. */
static void take(struct model_slot *slot, bool is_left, size_t count, struct buffer *out)
{
    if (count > slot->count)
        count = slot->count;
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_text(out, ", ");
        value_show(slot->items[is_left ? i : slot->count - 1 - i].tag, out);
    }
    slot_remove(slot, is_left ? 0 : slot->count - count, count);
}

static void apply_pop(const struct operation *o, struct model_slot *slot,
                      struct expectation *expected)
{
    if (slot->type == TYPE_NONE) {
        expect_text(expected, "nil");
        return;
    }
    expect_text(expected, o->count ? "[" : "");
    take(slot, o->kind == OP_LPOP, o->count ? o->count : 1, &expected->text);
    if (o->count)
        buffer_append_text(&expected->text, "]");
}

/* As LRANGE's: *count elements from *first on. */
static void clip(const struct model_slot *slot, int64_t from, int64_t to, size_t *first,
                 size_t *count)
{
    int64_t size = (int64_t)slot->count;
    from = from < 0 ? from + size : from;
    to = to < 0 ? to + size : to;
    from = from < 0 ? 0 : from;
    to = to >= size ? size - 1 : to;
    *first = from > to ? 0 : (size_t)from;
    *count = from > to ? 0 : (size_t)(to - from + 1);
}

static void apply_lset(const struct operation *o, struct model_slot *slot, int64_t index,
                       struct expectation *expected)
{
    bool is_inside = index >= 0 && index < (int64_t)slot->count;
    expect_text(expected, slot->type == TYPE_NONE ? "-ERR no such key"
                          : is_inside             ? "+OK"
                                                  : "-ERR index out of range");
    if (is_inside)
        slot->items[index].tag = o->tag;
}

/* Tags of small values may have the same bytes. */
static bool is_same_value(uint64_t a, uint64_t b)
{
    struct buffer left = {0}, right = {0};
    if (a == b || value_size(a) != value_size(b))
        return a == b;
    value_append(&left, a);
    value_append(&right, b);
    bool is_same = slice_equal(buffer_slice(&left), buffer_slice(&right));
    buffer_release(&left);
    buffer_release(&right);
    return is_same;
}

/* `from`: the rank, 0: not given. */
static void apply_lpos(const struct operation *o, const struct model_slot *slot,
                       struct expectation *expected)
{
    int64_t matches_before = llabs(o->from) - (o->from != 0);
    size_t wanted = o->count ? o->count : 1, found = 0;
    expect_text(expected, o->count ? "[" : "");
    for (size_t i = 0; i < slot->count && found < wanted; i++) {
        size_t at = o->from < 0 ? slot->count - 1 - i : i;
        if (!is_same_value(slot->items[at].tag, o->tag) || matches_before-- > 0)
            continue;
        buffer_printf(&expected->text, "%s:%zu", found++ ? ", " : "", at);
    }
    if (o->count)
        buffer_append_text(&expected->text, "]");
    else if (found == 0)
        buffer_append_text(&expected->text, "nil");
}

void apply_list(const struct operation *o, struct model_slot *slot, struct expectation *expected)
{
    size_t first, count;
    int64_t index = o->from < 0 ? o->from + (int64_t)slot->count : o->from;
    switch (o->kind) {
    case OP_LLEN:
        expect_integer(expected, (int64_t)slot->count);
        break;
    case OP_LINDEX:
        expect_text(expected, "");
        if (index >= 0 && index < (int64_t)slot->count)
            value_show(slot->items[index].tag, &expected->text);
        else
            buffer_append_text(&expected->text, "nil");
        break;
    case OP_LRANGE:
        clip(slot, o->from, o->to, &first, &count);
        expect_text(expected, "[");
        for (size_t i = 0; i < count; i++) {
            if (i)
                buffer_append_text(&expected->text, ", ");
            value_show(slot->items[first + i].tag, &expected->text);
        }
        buffer_append_text(&expected->text, "]");
        break;
    case OP_LTRIM:
        expect_text(expected, "+OK");
        if (slot->type == TYPE_NONE)
            break;
        clip(slot, o->from, o->to, &first, &count);
        size_t behind = slot->count - first - count;
        if (count == 0) {
            slot_clear(slot);
            break;
        }
        slot_remove(slot, first + count, behind);
        slot_remove(slot, 0, first);
        break;
    case OP_LSET:
        apply_lset(o, slot, index, expected);
        break;
    case OP_LPOS:
        apply_lpos(o, slot, expected);
        break;
    case OP_LPOP:
    case OP_RPOP:
        apply_pop(o, slot, expected);
        break;
    default:
        apply_push(o, slot, expected);
        break;
    }
}

static bool is_another_type(const struct model_slot *slot)
{
    return slot->type != TYPE_NONE && slot->type != TYPE_LIST;
}

static void apply_move(const struct operation *o, struct model_slot *from, struct model_slot *to,
                       struct expectation *expected)
{
    if (from->type == TYPE_NONE) {
        expect_text(expected, "nil");
        return;
    }
    if (is_another_type(from) || is_another_type(to)) {
        expect_text(expected, WRONG_TYPE);
        return;
    }
    uint64_t tag = from->items[o->from_left ? 0 : from->count - 1].tag;
    expect_text(expected, "");
    if (from == to) { /* its end of life stays, even of a single element */
        slot_push(to, tag, o->to_left);
        slot_remove(to, o->from_left ? (size_t)o->to_left : to->count - 1 - !o->to_left, 1);
        value_show(tag, &expected->text);
        return;
    }
    take(from, o->from_left, 1, &expected->text);
    to->type = TYPE_LIST;
    to->may_linger = false;
    slot_push(to, tag, o->to_left);
}

static void apply_lmpop(const struct model *model, const struct operation *o,
                        struct model_slot *slots, struct expectation *expected)
{
    for (size_t i = 0; i < o->key_count; i++) {
        char name[MODEL_NAME_BYTES];
        struct model_slot *slot = &slots[o->keys[i]];
        if (slot->type == TYPE_NONE)
            continue;
        if (is_another_type(slot)) {
            expect_text(expected, WRONG_TYPE);
            return;
        }
        model_key_name(model, o->db, o->keys[i], name);
        expect_text(expected, "");
        buffer_printf(&expected->text, "[\"%s\", [", name);
        take(slot, o->from_left, o->count ? o->count : 1, &expected->text);
        buffer_append_text(&expected->text, "]]");
        return;
    }
    expect_text(expected, "nil");
}

void apply_lists(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *slots = model->slots[o->db];
    if (o->kind == OP_LMPOP)
        apply_lmpop(model, o, slots, expected);
    else
        apply_move(o, &slots[o->keys[0]], &slots[o->keys[1]], expected);
}
