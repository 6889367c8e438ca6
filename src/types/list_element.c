/* SPDX-License-Identifier: MIT */
/* Elements as records of their own: whole, or a length and pieces. */
#include "types/list_state.h"

struct slice list_element_key(uint8_t at[LIST_PIECE_KEY_BYTES], const struct access *access,
                              uint64_t id, uint64_t position)
{
    object_prefix_store(at, access->generation, id);
    at[OBJECT_PREFIX_BYTES] = TAG_LIST;
    be64_store(at + OBJECT_PREFIX_BYTES + 1, position);
    return slice_make(at, LIST_KEY_BYTES);
}

/* Extends an element's key, in place. */
static struct slice piece_key(uint8_t at[LIST_PIECE_KEY_BYTES], uint64_t index)
{
    at[LIST_KEY_BYTES] = 0;
    be32_store(at + LIST_KEY_BYTES + 1, (uint32_t)index);
    return slice_make(at, LIST_PIECE_KEY_BYTES);
}

static uint64_t pieces_of(uint64_t size)
{
    return (size + LIST_PIECE_BYTES - 1) / LIST_PIECE_BYTES;
}

static void put_pieces(struct access *access, uint8_t key[LIST_PIECE_KEY_BYTES], struct slice value)
{
    for (uint64_t index = 0; value.size > 0; index++) {
        size_t size = value.size < LIST_PIECE_BYTES ? value.size : LIST_PIECE_BYTES;
        access_put(access, TREE_PARTS, piece_key(key, index), slice_make(value.data, size));
        value = slice_skip(value, size);
    }
}

void list_put_element(struct access *access, struct list *list, uint64_t id, uint64_t position,
                      struct slice value)
{
    uint8_t key[LIST_PIECE_KEY_BYTES];
    struct buffer *record = &access->scratch_value;
    struct slice at = list_element_key(key, access, id, position);
    buffer_clear(record);
    if (value.size <= LIST_PIECE_BYTES) {
        buffer_append_byte(record, ELEMENT_WHOLE);
        buffer_append_slice(record, value);
    } else {
        buffer_append_byte(record, ELEMENT_PIECES);
        buffer_append_varint(record, value.size);
        list->has_pieces = true;
    }
    access_put(access, TREE_PARTS, at, buffer_slice(record));
    if (value.size > LIST_PIECE_BYTES)
        put_pieces(access, key, value);
}

static enum status read_pieces(struct access *access, uint8_t key[LIST_PIECE_KEY_BYTES],
                               uint64_t size, struct slice *value)
{
    struct buffer *whole = &access->scratch_large;
    buffer_clear(whole);
    enum status status = buffer_try_reserve(whole, size);
    for (uint64_t index = 0; whole->size < size && !status; index++) {
        struct slice piece;
        uint64_t left = size - whole->size;
        status = access_get(access, TREE_PARTS, piece_key(key, index), &piece);
        if (!status && piece.size == (left < LIST_PIECE_BYTES ? left : LIST_PIECE_BYTES))
            buffer_append_slice(whole, piece);
        else if (!status || status == STATUS_NOT_FOUND)
            return STATUS_CORRUPT;
    }
    if (!status)
        *value = buffer_slice(whole);
    return status;
}

enum status list_decode_pieces(struct access *access, uint8_t key[LIST_PIECE_KEY_BYTES],
                               struct slice record, struct slice *value)
{
    uint8_t kind;
    uint64_t size;
    if (!slice_take_byte(&record, &kind) || kind != ELEMENT_PIECES ||
        !slice_take_varint(&record, &size) || record.size || size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_CORRUPT;
    return read_pieces(access, key, size, value);
}

enum status list_read_element(struct access *access, const struct list *list, uint64_t position,
                              struct slice *value)
{
    uint8_t key[LIST_PIECE_KEY_BYTES];
    struct slice record;
    enum status status = access_get(
        access, TREE_PARTS, list_element_key(key, access, list->object.id, position), &record);
    if (status == STATUS_NOT_FOUND)
        return STATUS_CORRUPT;
    return status ? status : list_decode_element(access, key, record, value);
}

enum status list_count_pieces(struct access *access, const struct list *list, uint64_t position,
                              uint64_t *pieces)
{
    uint8_t key[LIST_PIECE_KEY_BYTES], kind;
    struct slice record;
    uint64_t size = 0;
    enum status status = access_get(
        access, TREE_PARTS, list_element_key(key, access, list->object.id, position), &record);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
    if (!slice_take_byte(&record, &kind) ||
        (kind != ELEMENT_WHOLE && !slice_take_varint(&record, &size)))
        return STATUS_CORRUPT;
    *pieces = pieces_of(size);
    return STATUS_OK;
}

void list_drop_pieces(struct access *access, const struct list *list, uint64_t position,
                      uint64_t value_bytes, uint64_t pieces)
{
    uint8_t from[LIST_PIECE_KEY_BYTES], to[LIST_PIECE_KEY_BYTES];
    uint64_t kept = value_bytes > LIST_PIECE_BYTES ? pieces_of(value_bytes) : 0;
    if (kept >= pieces)
        return;
    (void)list_element_key(from, access, list->object.id, position);
    (void)list_element_key(to, access, list->object.id, position);
    access_delete_range(access, TREE_PARTS, piece_key(from, kept), piece_key(to, pieces));
}
