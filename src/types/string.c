/* SPDX-License-Identifier: MIT */
#include "types/string.h"

#include "base/coding.h"

#include <assert.h>

enum { TAG_STRING_PIECE = 's', PIECE_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 4 };

static struct slice piece_key(uint8_t at[PIECE_KEY_BYTES], const struct access *access, uint64_t id,
                              uint64_t index)
{
    object_prefix_store(at, access->generation, id);
    at[OBJECT_PREFIX_BYTES] = TAG_STRING_PIECE;
    be32_store(at + OBJECT_PREFIX_BYTES + 1, (uint32_t)index);
    return slice_make(at, PIECE_KEY_BYTES);
}

enum status string_length(const struct object *object, uint64_t *length)
{
    struct slice body = object->body;
    uint64_t size;
    assert(object->type == OBJECT_STRING);
    if (object->id == 0) {
        *length = body.size;
        return STATUS_OK;
    }
    if (!slice_take_varint(&body, &size) || body.size != 0 || size > STRING_BYTES_MAX)
        return STATUS_CORRUPT;
    *length = size;
    return STATUS_OK;
}

/* Appends piece `index`, which has `size` bytes; what is not stored of it is zeros. */
static enum status append_piece(struct access *access, uint64_t id, uint64_t index, size_t size,
                                struct buffer *into)
{
    uint8_t key[PIECE_KEY_BYTES];
    struct slice piece = {0};
    enum status status = access_get(access, TREE_PARTS, piece_key(key, access, id, index), &piece);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (piece.size > size)
        return STATUS_CORRUPT;
    buffer_append_slice(into, piece);
    memset(into->data + into->size, 0, size - piece.size);
    into->size += size - piece.size;
    return STATUS_OK;
}

enum status string_value(struct access *access, const struct object *object, struct slice *value)
{
    struct buffer *whole = &access->scratch_large;
    uint64_t length;
    enum status status = string_length(object, &length);
    if (status)
        return status;
    if (object->id == 0) {
        *value = object->body;
        return STATUS_OK;
    }
    buffer_clear(whole);
    status = buffer_try_reserve(whole, length);
    for (uint64_t at = 0; at < length && !status; at += STRING_PIECE_BYTES) {
        uint64_t left = length - at;
        status = append_piece(access, object->id, at / STRING_PIECE_BYTES,
                              left < STRING_PIECE_BYTES ? left : STRING_PIECE_BYTES, whole);
    }
    if (!status)
        *value = buffer_slice(whole);
    return status;
}

enum status string_get(struct access *access, struct slice key, struct slice *value)
{
    struct object object;
    enum status status = keyspace_find_type(access, key, OBJECT_STRING, &object);
    return status ? status : string_value(access, &object, value);
}

enum status string_count_missing(struct access *access, const struct object *object,
                                 uint64_t *missing)
{
    uint8_t key[PIECE_KEY_BYTES];
    struct slice piece;
    uint64_t length, count = 0;
    enum status status = string_length(object, &length);
    if (status || object->id == 0)
        return status;
    for (uint64_t i = 0; i * STRING_PIECE_BYTES < length; i++) {
        status = access_get(access, TREE_PARTS, piece_key(key, access, object->id, i), &piece);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        count += status == STATUS_NOT_FOUND;
    }
    *missing = count;
    return STATUS_OK;
}

static void put_pieces(struct access *access, uint64_t id, struct slice value)
{
    uint8_t key[PIECE_KEY_BYTES];
    for (uint64_t index = 0; value.size > 0; index++) {
        size_t size = value.size < STRING_PIECE_BYTES ? value.size : STRING_PIECE_BYTES;
        access_put(access, TREE_PARTS, piece_key(key, access, id, index),
                   slice_make(value.data, size));
        value = slice_skip(value, size);
    }
}

void string_set(struct access *access, struct slice key, struct slice value,
                const struct object *old, const struct string_set_options *options)
{
    uint8_t body[VARINT_BYTES_MAX];
    struct object object = {.type = OBJECT_STRING, .body = value};
    assert(value.size <= STRING_BYTES_MAX);
    object.expire_ms = options->keep_ttl ? (old ? old->expire_ms : 0) : options->expire_ms;
    if (value.size > STRING_INLINE_BYTES_MAX) {
        object.id = access_new_id(access);
        object.body = slice_make(body, varint_store(body, value.size));
        put_pieces(access, object.id, value);
    }
    keyspace_put(access, key, &object, old);
    access_fact(access, '$', "set", key);
    if (options->expire_ms && !options->keep_ttl)
        access_fact(access, 'g', "expire", key);
}
