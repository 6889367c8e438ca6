/* SPDX-License-Identifier: MIT */
/* Operations on lists, carried out on the model. */
#include "stress/stress_expectation.h"

#include "base/memory.h"

#include <math.h>
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

/* The first that has the bytes of `tag`; slot->count: none has. */
static size_t find(const struct model_slot *slot, uint64_t tag)
{
    size_t at = 0;
    while (at < slot->count && !is_same_value(slot->items[at].tag, tag))
        at++;
    return at;
}

static void apply_linsert(const struct operation *o, struct model_slot *slot,
                          struct expectation *expected)
{
    size_t at = find(slot, (uint64_t)o->from);
    if (at == slot->count) {
        expect_integer(expected, slot->type == TYPE_NONE ? 0 : -1);
        return;
    }
    at += !o->to_left;
    slot_push(slot, o->tag, false);
    memmove(slot->items + at + 1, slot->items + at, (slot->count - 1 - at) * sizeof(*slot->items));
    slot->items[at] = (struct model_item){.tag = o->tag};
    expect_integer(expected, (int64_t)slot->count);
}

/* `from`: how many at most, negative: from the right; 0: all. */
static void apply_lrem(const struct operation *o, struct model_slot *slot,
                       struct expectation *expected)
{
    int64_t removed = 0, wanted = o->from ? llabs(o->from) : INT64_MAX;
    for (size_t i = 0, size = slot->count; i < size && removed < wanted; i++) {
        size_t at = o->from < 0 ? size - 1 - i : i - (size_t)removed;
        if (!is_same_value(slot->items[at].tag, o->tag))
            continue;
        slot_remove(slot, at, 1);
        removed++;
    }
    expect_integer(expected, removed);
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
    case OP_LINSERT:
        apply_linsert(o, slot, expected);
        break;
    case OP_LREM:
        apply_lrem(o, slot, expected);
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

/* Those that block, too: where there is nothing, they wait in vain, since only this client writes to its keys. */
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
        bool is_single = o->kind == OP_BLPOP || o->kind == OP_BRPOP;
        model_key_name(model, o->db, o->keys[i], name);
        expect_text(expected, "");
        buffer_printf(&expected->text, is_single ? "[\"%s\", " : "[\"%s\", [", name);
        take(slot, o->from_left, o->count ? o->count : 1, &expected->text);
        buffer_append_text(&expected->text, is_single ? "]" : "]]");
        return;
    }
    expect_text(expected, "nil");
}

void apply_lists(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *slots = model->slots[o->db];
    switch (o->kind) {
    case OP_LMOVE:
    case OP_RPOPLPUSH:
    case OP_BLMOVE:
    case OP_BRPOPLPUSH:
        apply_move(o, &slots[o->keys[0]], &slots[o->keys[1]], expected);
        break;
    default:
        apply_lmpop(model, o, slots, expected);
        break;
    }
}

/* ---- SORT ------------------------------------------------------------------------------------ */

struct sortable {
    uint64_t tag;
    struct buffer value; /* a NUL follows it */
    double score;
};

/* Those that compare equal have the same bytes. */
static int compare_bytes(const void *a, const void *b)
{
    const struct sortable *left = a, *right = b;
    return slice_compare(buffer_slice(&left->value), buffer_slice(&right->value));
}

static int compare_scores(const void *a, const void *b)
{
    const struct sortable *left = a, *right = b;
    if (left->score != right->score)
        return left->score < right->score ? -1 : 1;
    return compare_bytes(a, b);
}

/* false: it is no number; hardly any value is. */
static bool weigh(struct sortable *item)
{
    char *end;
    item->score = strtod((const char *)item->value.data, &end);
    return *end == 0 && !isnan(item->score);
}

static struct sortable *sortables_of(const struct model_slot *slot, bool *are_numbers)
{
    struct sortable *items = memory_zeroed(slot->count + 1, sizeof(*items));
    *are_numbers = true;
    for (size_t i = 0; i < slot->count; i++) {
        items[i].tag = slot->items[i].tag;
        value_append(&items[i].value, items[i].tag);
        buffer_append_byte(&items[i].value, 0);
        *are_numbers &= weigh(&items[i]);
    }
    return items;
}

/* Shows the sorted ones, or puts them into `to`. */
static void put_sorted(const struct operation *o, const struct sortable *items, size_t size,
                       struct model_slot *to, struct expectation *expected)
{
    size_t first = (size_t)o->from < size ? (size_t)o->from : size;
    size_t end = o->count && o->count < size - first ? first + o->count : size;
    size_t times = o->get ? 2 : 1;
    if (to)
        slot_clear(to);
    else
        expect_text(expected, "[");
    for (size_t i = first * times; i < end * times; i++) {
        uint64_t tag = items[o->is_descending ? size - 1 - i / times : i / times].tag;
        if (to) {
            to->type = TYPE_LIST;
            slot_push(to, tag, false);
            continue;
        }
        buffer_append_text(&expected->text, i > first * times ? ", " : "");
        value_show(tag, &expected->text);
    }
    if (to)
        expect_integer(expected, (int64_t)((end - first) * times));
    else
        buffer_append_text(&expected->text, "]");
}

void apply_sort(struct model *model, const struct operation *o, struct expectation *expected)
{
    struct model_slot *slots = model->slots[o->db], *from = &slots[o->keys[0]];
    bool are_numbers;
    size_t size = from->count;
    struct sortable *items = sortables_of(from, &are_numbers);
    if (!o->is_unsorted)
        qsort(items, size, sizeof(*items), o->is_alpha ? compare_bytes : compare_scores);
    if (are_numbers || o->is_alpha || o->is_unsorted)
        put_sorted(o, items, size, o->key_count > 1 ? &slots[o->keys[1]] : NULL, expected);
    else
        expect_text(expected, "-ERR One or more scores can't be converted into double");
    for (size_t i = 0; i < size; i++)
        buffer_release(&items[i].value);
    memory_free(items);
}
