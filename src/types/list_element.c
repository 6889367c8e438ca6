/* SPDX-License-Identifier: MIT */
/* Elements as records of their own: whole, or a length and pieces. */
#include "types/list_state.h"

struct slice list_element_key(uint8_t at[LIST_KEY_BYTES], const struct access *access, uint64_t id,
                              uint64_t position)
{
    object_prefix_store(at, access->generation, id);
    at[OBJECT_PREFIX_BYTES] = TAG_LIST;
    be64_store(at + OBJECT_PREFIX_BYTES + 1, position);
    return slice_make(at, LIST_KEY_BYTES);
}

bool list_key_parse(struct slice key, struct list_key *parsed)
{
    if (key.size < LIST_KEY_BYTES || key.data[OBJECT_PREFIX_BYTES] != TAG_LIST)
        return false;
    struct slice rest = slice_skip(key, LIST_KEY_BYTES);
    parsed->position = be64_load(key.data + OBJECT_PREFIX_BYTES + 1);
    if (!list_label_take(&rest, &parsed->label))
        return false;
    parsed->is_piece = rest.size > 0;
    return rest.size == 0 || rest.size == LIST_PIECE_BYTES_MORE;
}

/* ---- Pieces. --------------------------------------------------------------------------------- */

/* Extends an element's key, in place. */
static struct slice piece_key(uint8_t *key, size_t key_size, uint64_t index)
{
    key[key_size] = 0;
    be32_store(key + key_size + 1, (uint32_t)index);
    return slice_make(key, key_size + LIST_PIECE_BYTES_MORE);
}

static void put_pieces(struct access *access, uint8_t *key, size_t key_size, struct slice value)
{
    for (uint64_t index = 0; value.size > 0; index++) {
        size_t size = value.size < LIST_PIECE_BYTES ? value.size : LIST_PIECE_BYTES;
        access_put(access, TREE_PARTS, piece_key(key, key_size, index),
                   slice_make(value.data, size));
        value = slice_skip(value, size);
    }
}

static enum status read_pieces(struct access *access, uint8_t *key, size_t key_size, uint64_t size,
                               struct slice *value)
{
    struct buffer *whole = &access->scratch_large;
    buffer_clear(whole);
    enum status status = buffer_try_reserve(whole, size);
    for (uint64_t index = 0; whole->size < size && !status; index++) {
        struct slice piece;
        uint64_t left = size - whole->size;
        status = access_get(access, TREE_PARTS, piece_key(key, key_size, index), &piece);
        if (!status && piece.size == (left < LIST_PIECE_BYTES ? left : LIST_PIECE_BYTES))
            buffer_append_slice(whole, piece);
        else if (!status || status == STATUS_NOT_FOUND)
            return STATUS_CORRUPT;
    }
    if (!status)
        *value = buffer_slice(whole);
    return status;
}

void list_drop_pieces(struct access *access, uint8_t *key, size_t key_size, uint64_t from,
                      uint64_t pieces)
{
    uint8_t end[LIST_KEY_BYTES_MAX];
    if (from >= pieces)
        return;
    memcpy(end, key, key_size);
    access_delete_range(access, TREE_PARTS, piece_key(key, key_size, from),
                        piece_key(end, key_size, pieces));
}

/* ---- Elements. ------------------------------------------------------------------------------- */

void list_put_record(struct access *access, struct list *list, uint8_t *key, size_t key_size,
                     struct slice value)
{
    struct buffer *record = &access->scratch_value;
    buffer_clear(record);
    if (value.size <= LIST_PIECE_BYTES) {
        buffer_append_byte(record, ELEMENT_WHOLE);
        buffer_append_slice(record, value);
    } else {
        buffer_append_byte(record, ELEMENT_PIECES);
        buffer_append_varint(record, value.size);
        list->has_pieces = true;
    }
    access_put(access, TREE_PARTS, slice_make(key, key_size), buffer_slice(record));
    if (value.size > LIST_PIECE_BYTES)
        put_pieces(access, key, key_size, value);
}

void list_put_element(struct access *access, struct list *list, uint64_t id, uint64_t position,
                      struct slice value)
{
    uint8_t key[LIST_KEY_BYTES + LIST_PIECE_BYTES_MORE];
    (void)list_element_key(key, access, id, position);
    list_put_record(access, list, key, LIST_KEY_BYTES, value);
}

enum status list_record_size(struct slice record, uint64_t *bytes, uint64_t *pieces)
{
    uint8_t kind;
    if (!slice_take_byte(&record, &kind) || kind > ELEMENT_PIECES)
        return STATUS_CORRUPT;
    if (kind == ELEMENT_WHOLE) {
        *bytes = record.size;
        *pieces = 0;
        return STATUS_OK;
    }
    uint64_t size;
    if (!slice_take_varint(&record, &size) || record.size || size > LIST_ELEMENT_BYTES_MAX ||
        size <= LIST_PIECE_BYTES)
        return STATUS_CORRUPT;
    *bytes = size;
    *pieces = list_pieces_of(size);
    return STATUS_OK;
}

enum status list_decode_pieces(struct access *access, uint8_t *key, size_t key_size,
                               struct slice record, struct slice *value)
{
    uint64_t bytes, pieces;
    enum status status = list_record_size(record, &bytes, &pieces);
    return status ? status : read_pieces(access, key, key_size, bytes, value);
}
