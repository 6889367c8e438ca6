/* SPDX-License-Identifier: MIT */
/* The invariants of a list against its parts. All records of it that are not given back are met in
 * their order: nodes of the slots first, then elements and pieces. */
#include "types/list_state.h"
#include "types/parts_check.h"

struct walk {
    struct list list;
    struct slots slots;
    const char **fault;
    uint64_t nodes;       /* records of the slots */
    uint64_t seen;        /* elements within the bounds */
    uint64_t slot;        /* the position of the element met last, */
    uint64_t in_slot;     /* how many were met there; 0: none was met yet */
    uint64_t low, high;   /* elements below and above that wait to be given back */
    uint64_t pieces_left; /* bytes of the element met last that its pieces still have to bring */
    uint64_t piece_index;
    size_t key_size; /* of the element met last, behind the prefix */
    uint8_t key[LIST_KEY_BYTES_MAX];
    struct slot_span span;
};

static enum status fail(struct walk *walk, const char *what)
{
    *walk->fault = what;
    return STATUS_CORRUPT;
}

/* ---- Elements and pieces. -------------------------------------------------------------------- */

/* How many elements a position should have. */
static enum status count_at(struct walk *walk, uint64_t position, uint64_t *count)
{
    *count = 1;
    if (!walk->list.is_sparse || position < walk->list.low || position > walk->list.high)
        return STATUS_OK;
    if (position < walk->span.first || position > walk->span.last) {
        enum status status = slots_look(&walk->slots, position, &walk->span);
        if (status)
            return status == STATUS_CORRUPT ? fail(walk, "a node of the slots is damaged") : status;
    }
    *count = slot_span_count(&walk->span, position);
    return STATUS_OK;
}

/* Positions between two that have elements have none. */
static enum status check_gap(struct walk *walk, uint64_t from, uint64_t to)
{
    for (uint64_t position = from; position < to; position++) {
        uint64_t count;
        enum status status = count_at(walk, position, &count);
        if (!status && count > 0)
            status = fail(walk, "an element is missing");
        if (status)
            return status;
        if (walk->span.is_uniform && position >= walk->span.first)
            position = walk->span.last;
    }
    return STATUS_OK;
}

/* All elements of the slot at hand were met. */
static enum status leave_slot(struct walk *walk)
{
    uint64_t count;
    if (walk->in_slot == 0)
        return STATUS_OK;
    enum status status = count_at(walk, walk->slot, &count);
    if (!status && count != walk->in_slot)
        status = fail(walk, count > walk->in_slot ? "an element is missing"
                                                  : "a position has too many elements");
    return status;
}

static enum status enter_slot(struct walk *walk, uint64_t position)
{
    uint64_t next = walk->in_slot > 0 ? walk->slot + 1 : walk->list.head;
    enum status status = leave_slot(walk);
    if (!status)
        status = check_gap(walk, next, position);
    walk->slot = position;
    walk->in_slot = 0;
    return status;
}

static enum status see_element(struct walk *walk, const struct list_key *key, struct slice record)
{
    uint64_t bytes, pieces;
    enum status status = STATUS_OK;
    if (walk->pieces_left > 0)
        return fail(walk, "an element lacks pieces");
    if (walk->in_slot == 0 || key->position != walk->slot)
        status = enter_slot(walk, key->position);
    if (status)
        return status;
    walk->in_slot++;
    walk->seen++;
    if (list_record_size(record, &bytes, &pieces))
        return fail(walk, "an element's record is damaged");
    if (pieces > 0 && !walk->list.has_pieces)
        return fail(walk, "an element lies in pieces and the header does not say so");
    walk->pieces_left = pieces > 0 ? bytes : 0;
    walk->piece_index = 0;
    return STATUS_OK;
}

/* Pieces of an element that is gone may be left under one that was put in its place, or alone. */
static enum status see_piece(struct walk *walk, struct slice key, size_t size)
{
    size_t element_size = key.size - LIST_PIECE_BYTES_MORE;
    if (!walk->list.has_pieces)
        return fail(walk, "pieces of elements that the header does not know of");
    if (walk->pieces_left == 0 ||
        !slice_equal(slice_make(walk->key, walk->key_size), slice_make(key.data, element_size)))
        return STATUS_OK;
    uint64_t place = walk->pieces_left < LIST_PIECE_BYTES ? walk->pieces_left : LIST_PIECE_BYTES;
    if (be32_load(key.data + element_size + 1) != walk->piece_index++ || size != place)
        return fail(walk, "an element lacks pieces");
    walk->pieces_left -= place;
    return STATUS_OK;
}

static enum status see_part(struct walk *walk, struct slice key, struct slice value)
{
    struct list_key parsed;
    if (walk->list.is_sparse && !slots_check_record(key, value)) {
        walk->nodes++;
        return STATUS_OK;
    }
    if (!list_key_parse(key, &parsed) || (parsed.label.size > 0 && !walk->list.is_sparse))
        return fail(walk, "a part of the list is none");
    if (parsed.is_piece)
        return see_piece(walk, key, value.size);
    walk->key_size = key.size;
    memcpy(walk->key, key.data, key.size);
    if (parsed.position >= walk->list.head && parsed.position <= list_tail(&walk->list))
        return see_element(walk, &parsed, value);
    *(parsed.position < walk->list.head ? &walk->low : &walk->high) += 1;
    return STATUS_OK;
}

/* ---- The whole. ------------------------------------------------------------------------------ */

/* What the slots count outside of the list's bounds is what the header says. */
static enum status check_dead(struct walk *walk)
{
    const struct list *list = &walk->list;
    uint64_t below, until_tail, all, nodes;
    uint64_t head = list->head < list->low        ? list->low
                    : list->head > list->high + 1 ? list->high + 1
                                                  : list->head;
    uint64_t end = list->tail < list->low    ? list->low
                   : list->tail > list->high ? list->high + 1
                                             : list->tail + 1;
    enum status status = slots_verify(&walk->slots, &nodes);
    if (!status)
        status = slots_rank(&walk->slots, head, &below);
    if (!status)
        status = slots_rank(&walk->slots, end, &until_tail);
    if (!status)
        status = slots_rank(&walk->slots, list->high + 1, &all);
    if (status)
        return status == STATUS_CORRUPT ? fail(walk, "a node of the slots is damaged") : status;
    if (nodes != walk->nodes)
        return fail(walk, "nodes of the slots that nothing leads to");
    if (below != list->dead_low || all - until_tail != list->dead_high)
        return fail(walk, "the slots count others outside of the list than its header");
    return STATUS_OK;
}

static enum status check_end(struct walk *walk)
{
    if (walk->pieces_left > 0)
        return fail(walk, "an element lacks pieces");
    enum status status = leave_slot(walk);
    if (status)
        return status;
    if (walk->seen != walk->list.count || walk->slot != list_tail(&walk->list))
        return fail(walk, "an element is missing");
    if (walk->low > walk->list.low_weight || walk->high > walk->list.high_weight)
        return fail(walk, "elements outside of its bounds will never be given back");
    return walk->list.is_sparse ? check_dead(walk) : STATUS_OK;
}

enum status list_check(struct access *access, const struct object *object, const char **fault)
{
    struct walk walk = {.fault = fault, .list.object = *object, .span = {.first = 1, .last = 0}};
    enum status status = list_decode(&walk.list);
    if (status)
        return fail(&walk, "its header is damaged");
    if (object->id == 0)
        return STATUS_OK;
    walk.slots = (struct slots){access, object->id, walk.list.low, walk.list.high};
    struct lsm_iter *iter = parts_iter_open_object(access, TREE_PARTS, object->id);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter))
        status = see_part(&walk, lsm_iter_key(iter), lsm_iter_value(iter));
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status ? status : check_end(&walk);
}
