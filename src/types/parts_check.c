/* SPDX-License-Identifier: MIT */
#include "types/parts_check.h"

#include "types/list.h"
#include "types/string.h"

struct lsm_iter *parts_iter_open(struct access *access, enum store_tree tree, struct slice from,
                                 struct slice to)
{
    struct lsm_iter_options options = {.lower = from, .upper = to, .keep_cache = true};
    lsm_reader_ignore_range_deletes(access->reader, false);
    struct lsm_iter *iter = lsm_iter_open(access->reader, tree, &options);
    lsm_reader_ignore_range_deletes(access->reader, true);
    return iter;
}

struct lsm_iter *parts_iter_open_object(struct access *access, enum store_tree tree, uint64_t id)
{
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    object_prefix_store(from, access->generation, id);
    object_prefix_store(to, access->generation, id + 1);
    return parts_iter_open(access, tree, slice_make(from, sizeof from), slice_make(to, sizeof to));
}

static enum status fail(const char **fault, const char *what)
{
    *fault = what;
    return STATUS_CORRUPT;
}

/* ---- Strings. -------------------------------------------------------------------------------- */

/* A piece may be missing or short: zeros stand there. */
static enum status check_string_piece(struct slice key, struct slice piece, uint64_t length,
                                      const char **fault)
{
    if (key.size != OBJECT_PREFIX_BYTES + 5 || key.data[OBJECT_PREFIX_BYTES] != 's')
        return fail(fault, "a part of the string is none");
    uint64_t begin = (uint64_t)be32_load(key.data + OBJECT_PREFIX_BYTES + 1) * STRING_PIECE_BYTES;
    if (begin >= length)
        return fail(fault, "a piece lies behind the string's end");
    if (piece.size > STRING_PIECE_BYTES || piece.size > length - begin)
        return fail(fault, "a piece is longer than its place");
    return STATUS_OK;
}

enum status string_check(struct access *access, const struct object *object, const char **fault)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    if (status || object->id == 0)
        return status ? fail(fault, "its header is damaged") : STATUS_OK;
    if (length <= STRING_INLINE_BYTES_MAX)
        return fail(fault, "a string in pieces is short enough for its header");
    struct lsm_iter *iter = parts_iter_open_object(access, TREE_PARTS, object->id);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter))
        status = check_string_piece(lsm_iter_key(iter), lsm_iter_value(iter), length, fault);
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    return status;
}

/* ---- Lists. ---------------------------------------------------------------------------------- */

enum { ELEMENT_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 8, PIECE_KEY_BYTES = ELEMENT_KEY_BYTES + 5 };

struct list_walk {
    struct list_bounds bounds;
    const char **fault;
    uint64_t next;        /* index of the next element to be met */
    uint64_t low, high;   /* elements below and above that wait to be given back */
    uint64_t pieces_left; /* bytes of the element met last that its pieces still have to bring */
    uint64_t piece_index;
};

static enum status see_element(struct list_walk *walk, uint64_t index, struct slice record)
{
    uint8_t kind;
    if (walk->pieces_left > 0)
        return fail(walk->fault, "an element lacks pieces");
    if (index != walk->next)
        return fail(walk->fault, "an element is missing");
    walk->next++;
    if (!slice_take_byte(&record, &kind) || kind > 1)
        return fail(walk->fault, "an element's record is damaged");
    if (kind == 0)
        return STATUS_OK;
    if (!slice_take_varint(&record, &walk->pieces_left) || record.size > 0 ||
        walk->pieces_left <= LIST_PIECE_BYTES || walk->pieces_left > LIST_ELEMENT_BYTES_MAX)
        return fail(walk->fault, "an element's record is damaged");
    walk->piece_index = 0;
    if (!walk->bounds.has_pieces)
        return fail(walk->fault, "an element lies in pieces and the header does not say so");
    return STATUS_OK;
}

/* Pieces of an element that was popped may be left under one that was pushed in its place. */
static enum status see_piece(struct list_walk *walk, uint64_t index, uint64_t piece, size_t size)
{
    if (!walk->bounds.has_pieces)
        return fail(walk->fault, "pieces of elements that the header does not know of");
    if (walk->pieces_left == 0 || index + 1 != walk->next)
        return STATUS_OK;
    uint64_t place = walk->pieces_left < LIST_PIECE_BYTES ? walk->pieces_left : LIST_PIECE_BYTES;
    if (piece != walk->piece_index++ || size != place)
        return fail(walk->fault, "an element lacks pieces");
    walk->pieces_left -= place;
    return STATUS_OK;
}

static enum status see_list_part(struct list_walk *walk, struct slice key, struct slice value)
{
    bool is_piece = key.size == PIECE_KEY_BYTES && key.data[ELEMENT_KEY_BYTES] == 0;
    if ((key.size != ELEMENT_KEY_BYTES && !is_piece) || key.data[OBJECT_PREFIX_BYTES] != 'l')
        return fail(walk->fault, "a part of the list is none");
    uint64_t position = be64_load(key.data + OBJECT_PREFIX_BYTES + 1);
    uint64_t index = position - walk->bounds.head;
    bool is_below = position < walk->bounds.head;
    if (is_piece)
        return see_piece(walk, index, be32_load(key.data + ELEMENT_KEY_BYTES + 1), value.size);
    if (!is_below && index < walk->bounds.count)
        return see_element(walk, index, value);
    *(is_below ? &walk->low : &walk->high) += 1;
    return STATUS_OK;
}

enum status list_check(struct access *access, const struct object *object, const char **fault)
{
    struct list_walk walk = {.fault = fault};
    enum status status = list_object_bounds(object, &walk.bounds);
    if (status)
        return fail(fault, "its header is damaged");
    if (object->id == 0)
        return STATUS_OK;
    struct lsm_iter *iter = parts_iter_open_object(access, TREE_PARTS, object->id);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter) && !status; lsm_iter_next(iter))
        status = see_list_part(&walk, lsm_iter_key(iter), lsm_iter_value(iter));
    if (!status)
        status = lsm_iter_status(iter);
    lsm_iter_close(iter);
    if (status)
        return status;
    if (walk.pieces_left > 0)
        return fail(fault, "an element lacks pieces");
    if (walk.next != walk.bounds.count)
        return fail(fault, "an element is missing");
    if (walk.low > walk.bounds.low_weight || walk.high > walk.bounds.high_weight)
        return fail(fault, "elements outside of its bounds will never be given back");
    return STATUS_OK;
}
