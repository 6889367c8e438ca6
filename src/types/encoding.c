/* SPDX-License-Identifier: MIT */
#include "types/encoding.h"

#include <assert.h>

/* The first byte of a header. */
enum {
    HEADER_TYPE_MASK = 0x1f,
    HEADER_HAS_EXPIRE = 0x20,
    HEADER_HAS_ID = 0x40,
    HEADER_MORE = 0x80, /* a second byte of flags, for later */
};

void position_store(uint8_t at[POSITION_BYTES], uint64_t position)
{
    assert(position >> POSITION_BITS == 0);
    for (int i = 0; i < POSITION_BYTES; i++)
        at[i] = (uint8_t)(position >> (8 * (POSITION_BYTES - 1 - i)));
}

uint64_t position_load(const uint8_t at[POSITION_BYTES])
{
    uint64_t position = 0;
    for (int i = 0; i < POSITION_BYTES; i++)
        position = position << 8 | at[i];
    return position;
}

void tree_key_encode(struct buffer *into, uint32_t generation, uint64_t position,
                     struct slice user_key)
{
    assert(generation != 0);
    buffer_clear(into);
    buffer_reserve(into, TREE_KEY_PREFIX_BYTES + user_key.size);
    be32_store(into->data, generation);
    position_store(into->data + 4, position);
    if (user_key.size)
        memcpy(into->data + TREE_KEY_PREFIX_BYTES, user_key.data, user_key.size);
    into->size = TREE_KEY_PREFIX_BYTES + user_key.size;
}

enum status tree_key_decode(struct slice tree_key, uint32_t *generation, uint64_t *position,
                            struct slice *user_key)
{
    if (tree_key.size < TREE_KEY_PREFIX_BYTES || be32_load(tree_key.data) == 0)
        return STATUS_CORRUPT;
    uint64_t found = position_load(tree_key.data + 4);
    if (found >> POSITION_BITS)
        return STATUS_CORRUPT;
    *generation = be32_load(tree_key.data);
    *position = found;
    *user_key = slice_skip(tree_key, TREE_KEY_PREFIX_BYTES);
    return STATUS_OK;
}

void header_encode(struct buffer *into, const struct object *object)
{
    assert(object->type > 0);
    assert((unsigned)object->type <= HEADER_TYPE_MASK);
    buffer_clear(into);
    buffer_reserve(into, 1 + 2 * VARINT_BYTES_MAX + object->body.size);
    uint8_t *at = into->data;
    *at++ = (uint8_t)(object->type | (object->expire_ms ? HEADER_HAS_EXPIRE : 0) |
                      (object->id ? HEADER_HAS_ID : 0));
    if (object->expire_ms)
        at += varint_store(at, object->expire_ms);
    if (object->id)
        at += varint_store(at, object->id);
    if (object->body.size)
        memcpy(at, object->body.data, object->body.size);
    into->size = (size_t)(at - into->data) + object->body.size;
}

enum status header_decode(struct slice record, struct object *object)
{
    uint8_t first;
    struct object found = {0};
    if (!slice_take_byte(&record, &first))
        return STATUS_CORRUPT;
    found.type = first & HEADER_TYPE_MASK;
    if (found.type == 0)
        return STATUS_CORRUPT;
    if (first & HEADER_MORE || found.type > OBJECT_STREAM)
        return STATUS_UNSUPPORTED;
    if (first & HEADER_HAS_EXPIRE &&
        (!slice_take_varint(&record, &found.expire_ms) || found.expire_ms == 0))
        return STATUS_CORRUPT;
    if (first & HEADER_HAS_ID && (!slice_take_varint(&record, &found.id) || found.id == 0))
        return STATUS_CORRUPT;
    found.body = record;
    *object = found;
    return STATUS_OK;
}

void expiry_key_encode(struct buffer *into, uint64_t expire_ms, struct slice tree_key)
{
    assert(expire_ms != 0);
    assert(tree_key.size >= TREE_KEY_PREFIX_BYTES);
    buffer_clear(into);
    buffer_reserve(into, EXPIRY_KEY_PREFIX_BYTES + tree_key.size - 4);
    object_prefix_store(into->data, be32_load(tree_key.data), 0);
    be64_store(into->data + OBJECT_PREFIX_BYTES, expire_ms);
    memcpy(into->data + EXPIRY_KEY_PREFIX_BYTES, tree_key.data + 4, tree_key.size - 4);
    into->size = EXPIRY_KEY_PREFIX_BYTES + tree_key.size - 4;
}

enum status expiry_key_decode(struct slice expiry_key, uint64_t *expire_ms, struct slice *suffix)
{
    if (expiry_key.size < EXPIRY_KEY_PREFIX_BYTES + POSITION_BYTES)
        return STATUS_CORRUPT;
    uint64_t time = be64_load(expiry_key.data + OBJECT_PREFIX_BYTES);
    if (time == 0 || be64_load(expiry_key.data + 4) != 0)
        return STATUS_CORRUPT;
    *expire_ms = time;
    *suffix = slice_skip(expiry_key, EXPIRY_KEY_PREFIX_BYTES);
    return STATUS_OK;
}

struct slice meta_key(uint8_t at[META_KEY_BYTES_MAX], enum meta_tag tag, uint32_t generation)
{
    be32_store(at, 0);
    at[4] = (uint8_t)tag;
    if (tag != META_COUNTS)
        return slice_make(at, 5);
    be32_store(at + 5, generation);
    return slice_make(at, META_KEY_BYTES_MAX);
}

void meta_store_encode(struct buffer *into, uint64_t hash_seed)
{
    buffer_clear(into);
    buffer_append_varint(into, STORE_FORMAT);
    buffer_append_le64(into, hash_seed);
}

enum status meta_store_decode(struct slice record, uint64_t *hash_seed)
{
    uint64_t format, seed;
    if (!slice_take_varint(&record, &format))
        return STATUS_CORRUPT;
    if (format != STORE_FORMAT)
        return STATUS_UNSUPPORTED;
    if (!slice_take_le64(&record, &seed) || record.size != 0)
        return STATUS_CORRUPT;
    *hash_seed = seed;
    return STATUS_OK;
}

void meta_map_encode(struct buffer *into, uint32_t next_generation, const uint32_t *generations)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        count += generations[i] != generation_default(i);
    buffer_clear(into);
    buffer_append_varint(into, next_generation);
    buffer_append_varint(into, count);
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        if (generations[i] != generation_default(i)) {
            buffer_append_varint(into, i);
            buffer_append_varint(into, generations[i]);
        }
}

enum status meta_map_decode(struct slice record, uint32_t *next_generation, uint32_t *generations)
{
    uint64_t next, count, database, generation, least = 0;
    uint32_t found[STORE_DATABASES_MAX];
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        found[i] = generation_default(i);
    if (!slice_take_varint(&record, &next) || next <= STORE_DATABASES_MAX || next > UINT32_MAX ||
        !slice_take_varint(&record, &count) || count > STORE_DATABASES_MAX)
        return STATUS_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        if (!slice_take_varint(&record, &database) || !slice_take_varint(&record, &generation) ||
            database < least || database >= STORE_DATABASES_MAX || generation == 0 ||
            generation >= next)
            return STATUS_CORRUPT;
        found[database] = (uint32_t)generation;
        least = database + 1;
    }
    if (record.size != 0)
        return STATUS_CORRUPT;
    *next_generation = (uint32_t)next;
    memcpy(generations, found, sizeof found);
    return STATUS_OK;
}

void meta_ids_encode(struct buffer *into, uint64_t first_free_id)
{
    buffer_clear(into);
    buffer_append_varint(into, first_free_id);
}

enum status meta_ids_decode(struct slice record, uint64_t *first_free_id)
{
    uint64_t id;
    if (!slice_take_varint(&record, &id) || id == 0 || record.size != 0)
        return STATUS_CORRUPT;
    *first_free_id = id;
    return STATUS_OK;
}

void meta_counts_encode(struct buffer *into, uint64_t keys, uint64_t expires)
{
    buffer_clear(into);
    buffer_append_varint(into, keys);
    buffer_append_varint(into, expires);
}

enum status meta_counts_decode(struct slice record, uint64_t *keys, uint64_t *expires)
{
    uint64_t all, timed;
    if (!slice_take_varint(&record, &all) || !slice_take_varint(&record, &timed) || timed > all ||
        record.size != 0)
        return STATUS_CORRUPT;
    *keys = all;
    *expires = timed;
    return STATUS_OK;
}

void meta_builds_encode(struct buffer *into, const struct store_build_id *builds, size_t count)
{
    assert(count > 0);
    assert(count <= STORE_BUILDS_MAX);
    buffer_clear(into);
    buffer_append_varint(into, count);
    for (size_t i = 0; i < count; i++) {
        buffer_append_varint(into, builds[i].generation);
        buffer_append_varint(into, builds[i].id);
    }
}

enum status meta_builds_decode(struct slice record, struct store_build_id builds[STORE_BUILDS_MAX],
                               size_t *count)
{
    uint64_t all, generation;
    if (!slice_take_varint(&record, &all) || all == 0 || all > STORE_BUILDS_MAX)
        return STATUS_CORRUPT;
    for (uint64_t i = 0; i < all; i++) {
        if (!slice_take_varint(&record, &generation) || generation == 0 ||
            generation >= UINT32_MAX || !slice_take_varint(&record, &builds[i].id) ||
            builds[i].id == 0 || builds[i].id == UINT64_MAX)
            return STATUS_CORRUPT;
        builds[i].generation = (uint32_t)generation;
    }
    if (record.size != 0)
        return STATUS_CORRUPT;
    *count = (size_t)all;
    return STATUS_OK;
}
