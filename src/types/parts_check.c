/* SPDX-License-Identifier: MIT */
#include "types/parts_check.h"

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
