/* SPDX-License-Identifier: MIT */
#include "types/string.h"

#include "base/coding.h"
#include "base/memory.h"
#include "types/string_pieces.h"

#include <assert.h>
#include <stdlib.h>

enum {
    TAG_STRING_PIECE = 's',
    PIECE_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 4,
    POINT_READS_MAX = 8, /* more pieces are read through an iterator, which holds one at a time */
    CACHED_BYTES_MAX = 1 << 20, /* longer parts do not displace what is in the block cache */
};

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

/* ---- Reading. -------------------------------------------------------------------------------- */

enum status string_piece_read(struct access *access, const struct object *object, uint64_t length,
                              uint64_t index, struct slice *piece)
{
    uint8_t key[PIECE_KEY_BYTES];
    size_t place = string_piece_place(length, index);
    if (object->id == 0) {
        *piece = place ? slice_make(object->body.data + index * STRING_PIECE_BYTES, place)
                       : slice_make(NULL, 0);
        return STATUS_OK;
    }
    struct slice found = {0};
    enum status status =
        access_get(access, TREE_PARTS, piece_key(key, access, object->id, index), &found);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (found.size > place)
        return STATUS_CORRUPT;
    *piece = found;
    return STATUS_OK;
}

/* A part of a string that is shown piece by piece. */
struct walk {
    const struct string_visitor *visitor;
    uint64_t length; /* of the string */
    uint64_t at, end;
};

static bool show_zeros_up_to(struct walk *walk, uint64_t offset)
{
    uint64_t zeros = offset - walk->at;
    walk->at = offset;
    return zeros == 0 || walk->visitor->visit(walk->visitor->context, slice_make(NULL, 0), zeros);
}

/* The next piece that is stored; those between are not. */
static bool show_piece(struct walk *walk, uint64_t index, struct slice piece)
{
    uint64_t begin = index * STRING_PIECE_BYTES;
    uint64_t end = begin + string_piece_place(walk->length, index);
    if (end > walk->end)
        end = walk->end;
    if (begin > walk->at && !show_zeros_up_to(walk, begin))
        return false;
    size_t from = (size_t)(walk->at - begin), to = (size_t)(end - begin);
    size_t stored = piece.size < to ? piece.size : to;
    struct slice bytes =
        stored > from ? slice_make(piece.data + from, stored - from) : slice_make(NULL, 0);
    walk->at = end;
    return walk->visitor->visit(walk->visitor->context, bytes, to - from - bytes.size);
}

static enum status walk_by_point_reads(struct access *access, const struct object *object,
                                       struct walk *walk)
{
    bool goes_on = true;
    while (goes_on && walk->at < walk->end) {
        struct slice piece;
        uint64_t index = walk->at / STRING_PIECE_BYTES;
        enum status status = string_piece_read(access, object, walk->length, index, &piece);
        if (status)
            return status;
        goes_on = show_piece(walk, index, piece);
    }
    return STATUS_OK;
}

static enum status walk_stored(struct lsm_iter *iter, struct walk *walk)
{
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
        struct slice key = lsm_iter_key(iter), piece = lsm_iter_value(iter);
        if (key.size != PIECE_KEY_BYTES)
            return STATUS_CORRUPT;
        uint64_t index = be32_load(key.data + OBJECT_PREFIX_BYTES + 1);
        if (piece.size > string_piece_place(walk->length, index))
            return STATUS_CORRUPT;
        if (!show_piece(walk, index, piece))
            return STATUS_OK;
    }
    enum status status = lsm_iter_status(iter);
    if (!status)
        (void)show_zeros_up_to(walk, walk->end); /* it ends here anyway */
    return status;
}

static enum status walk_by_iterator(struct access *access, const struct object *object,
                                    struct walk *walk)
{
    uint8_t lower[PIECE_KEY_BYTES], upper[PIECE_KEY_BYTES];
    uint64_t last = (walk->end - 1) / STRING_PIECE_BYTES;
    struct lsm_iter *iter = lsm_iter_open(
        access->reader, TREE_PARTS,
        &(struct lsm_iter_options){
            .lower = piece_key(lower, access, object->id, walk->at / STRING_PIECE_BYTES),
            .upper = piece_key(upper, access, object->id, last + 1),
            .ignore_range_deletes = true,
            .keep_cache = walk->end - walk->at > CACHED_BYTES_MAX,
        });
    enum status status = walk_stored(iter, walk);
    lsm_iter_close(iter);
    return status;
}

enum status string_visit(struct access *access, const struct object *object, uint64_t offset,
                         uint64_t size, const struct string_visitor *visitor)
{
    struct walk walk = {.visitor = visitor, .at = offset, .end = offset + size};
    enum status status = string_length(object, &walk.length);
    if (status)
        return status;
    assert(offset <= walk.length);
    assert(size <= walk.length - offset);
    if (size == 0)
        return STATUS_OK;
    uint64_t pieces = (walk.end - 1) / STRING_PIECE_BYTES - offset / STRING_PIECE_BYTES + 1;
    if (pieces <= POINT_READS_MAX)
        return walk_by_point_reads(access, object, &walk);
    return walk_by_iterator(access, object, &walk);
}

static bool append_to(void *context, struct slice bytes, uint64_t zeros)
{
    struct buffer *whole = context; /* has room */
    buffer_append_slice(whole, bytes);
    memset(whole->data + whole->size, 0, zeros);
    whole->size += zeros;
    return true;
}

/* Of a part that lies in one piece and is stored as a whole. */
static enum status read_in_place(struct access *access, const struct object *object,
                                 uint64_t length, uint64_t offset, uint64_t size,
                                 struct slice *bytes)
{
    uint64_t index = offset / STRING_PIECE_BYTES, from = offset % STRING_PIECE_BYTES;
    struct slice piece;
    if (from + size > STRING_PIECE_BYTES)
        return STATUS_NOT_FOUND;
    enum status status = string_piece_read(access, object, length, index, &piece);
    if (!status && piece.size < from + size)
        return STATUS_NOT_FOUND;
    if (!status)
        *bytes = slice_make(piece.data + from, size);
    return status;
}

enum status string_read(struct access *access, const struct object *object, uint64_t offset,
                        uint64_t size, struct slice *bytes)
{
    struct buffer *whole = &access->scratch_large;
    uint64_t length;
    enum status status = string_length(object, &length);
    if (status)
        return status;
    assert(offset <= length);
    assert(size <= length - offset);
    if (object->id == 0 || size == 0) {
        *bytes = size ? slice_make(object->body.data + offset, size) : slice_make(NULL, 0);
        return STATUS_OK;
    }
    status = read_in_place(access, object, length, offset, size, bytes);
    if (status != STATUS_NOT_FOUND)
        return status;
    buffer_clear(whole);
    status = buffer_try_reserve(whole, size);
    if (!status)
        status =
            string_visit(access, object, offset, size, &(struct string_visitor){append_to, whole});
    if (!status)
        *bytes = buffer_slice(whole);
    return status;
}

enum status string_value(struct access *access, const struct object *object, struct slice *value)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    return status ? status : string_read(access, object, 0, length, value);
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

/* ---- Whole values. --------------------------------------------------------------------------- */

static void put_piece(struct access *access, uint64_t id, uint64_t index, struct slice piece)
{
    uint8_t key[PIECE_KEY_BYTES];
    access_put(access, TREE_PARTS, piece_key(key, access, id, index), piece);
}

/* `bytes` from the start of piece `index` on. */
static void put_pieces(struct access *access, uint64_t id, uint64_t index, struct slice bytes)
{
    for (; bytes.size > 0; index++) {
        size_t size = bytes.size < STRING_PIECE_BYTES ? bytes.size : STRING_PIECE_BYTES;
        put_piece(access, id, index, slice_make(bytes.data, size));
        bytes = slice_skip(bytes, size);
    }
}

static void put_value(struct access *access, struct slice key, struct slice value,
                      const struct object *old, uint64_t expire_ms)
{
    uint8_t body[VARINT_BYTES_MAX];
    struct object object = {.type = OBJECT_STRING, .expire_ms = expire_ms, .body = value};
    assert(value.size <= STRING_BYTES_MAX);
    if (value.size > STRING_INLINE_BYTES_MAX) {
        object.id = access_new_id(access);
        object.body = slice_make(body, varint_store(body, value.size));
        put_pieces(access, object.id, 0, value);
    }
    keyspace_put(access, key, &object, old);
}

static uint64_t time_of(const struct object *old)
{
    return old ? old->expire_ms : 0;
}

void string_set(struct access *access, struct slice key, struct slice value,
                const struct object *old, const struct string_set_options *options)
{
    put_value(access, key, value, old, options->keep_ttl ? time_of(old) : options->expire_ms);
    access_fact(access, '$', "set", key);
    if (options->expire_ms && !options->keep_ttl)
        access_fact(access, 'g', "expire", key);
}

void string_replace(struct access *access, struct slice key, struct slice value,
                    const struct object *old, const char *event)
{
    put_value(access, key, value, old, time_of(old));
    access_fact(access, '$', event, key);
}

/* One of many to set. */
struct setting {
    struct slice key, value;
    struct object old;
    bool is_there;
    bool comes_again;
};

static int compare_settings(const void *a, const void *b)
{
    const struct setting *x = *(struct setting *const *)a, *y = *(struct setting *const *)b;
    int order = slice_compare(x->key, y->key);
    return order ? order : (x > y) - (x < y);
}

static enum status mark_coming_again(struct setting *settings, size_t count)
{
    struct setting **sorted = memory_ask_allocate(count * sizeof *sorted);
    if (!sorted)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &settings[i];
    qsort(sorted, count, sizeof *sorted, compare_settings);
    for (size_t i = 1; i < count; i++)
        sorted[i - 1]->comes_again = slice_equal(sorted[i - 1]->key, sorted[i]->key);
    memory_free(sorted);
    return STATUS_OK;
}

/* *found: one of the keys is there. */
static enum status find_all(struct access *access, struct setting *settings, size_t count,
                            bool *found)
{
    for (size_t i = 0; i < count; i++) {
        enum status status = keyspace_find(access, settings[i].key, &settings[i].old);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        settings[i].is_there = !status;
        *found |= !status;
    }
    return mark_coming_again(settings, count);
}

enum status string_set_many(struct access *access, const struct slice *pairs, size_t count,
                            bool only_new, bool *written)
{
    bool found = false;
    struct setting *settings = memory_ask_allocate(count * sizeof *settings);
    if (!settings)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        settings[i] = (struct setting){.key = pairs[2 * i], .value = pairs[2 * i + 1]};
    enum status status = find_all(access, settings, count, &found);
    bool writes = !status && !(only_new && found);
    for (size_t i = 0; i < count && writes; i++) {
        const struct setting *setting = &settings[i];
        if (!setting->comes_again)
            put_value(access, setting->key, setting->value,
                      setting->is_there ? &setting->old : NULL, 0);
        access_fact(access, '$', "set", setting->key);
    }
    if (!status)
        *written = writes;
    memory_free(settings);
    return status;
}

/* ---- Parts. ---------------------------------------------------------------------------------- */

/* A string that gets new parts. */
struct change {
    const struct object *old; /* NULL: missing */
    uint64_t old_length, length;
    const struct string_part *parts;
    size_t count;
};

/* What `part` covers of piece `index`. */
static void part_in_piece(const struct string_part *part, uint64_t index, size_t *from, size_t *to)
{
    uint64_t begin = index * STRING_PIECE_BYTES, end = part->offset + part->bytes.size;
    *from = part->offset > begin ? (size_t)(part->offset - begin) : 0;
    *to = end - begin < STRING_PIECE_BYTES ? (size_t)(end - begin) : STRING_PIECE_BYTES;
}

static uint64_t first_piece(const struct string_part *part)
{
    return part->offset / STRING_PIECE_BYTES;
}

static uint64_t last_piece(const struct string_part *part)
{
    return (part->offset + part->bytes.size - 1) / STRING_PIECE_BYTES;
}

/* Reads a piece that the part changes, unless nothing is left of it. */
static enum status read_what_stays(struct access *access, const struct change *change,
                                   const struct string_part *part, uint64_t index,
                                   struct slice *piece)
{
    size_t from, to, place = string_piece_place(change->old_length, index);
    part_in_piece(part, index, &from, &to);
    if (place == 0 || (from == 0 && to >= place))
        return STATUS_OK;
    return string_piece_read(access, change->old, change->old_length, index, piece);
}

/* Piece `index` of the part, over what stays of the old one. */
static void put_changed_piece(struct access *access, uint64_t id, const struct string_part *part,
                              uint64_t index, struct slice old)
{
    struct buffer *piece = &access->scratch_large;
    size_t from, to;
    part_in_piece(part, index, &from, &to);
    struct slice bytes = slice_make(
        part->bytes.data + (index * STRING_PIECE_BYTES + from - part->offset), to - from);
    if (from == 0 && to >= old.size) {
        put_piece(access, id, index, bytes);
        return;
    }
    buffer_clear(piece);
    buffer_reserve(piece, STRING_PIECE_BYTES);
    buffer_append_slice(piece, slice_make(old.data, old.size < from ? old.size : from));
    (void)append_to(piece, slice_make(NULL, 0), from - piece->size);
    buffer_append_slice(piece, bytes);
    if (old.size > to)
        buffer_append_slice(piece, slice_skip(old, to));
    put_piece(access, id, index, buffer_slice(piece));
}

static bool is_covered(const struct change *change, uint64_t index)
{
    for (size_t i = 0; i < change->count; i++)
        if (first_piece(&change->parts[i]) <= index && index <= last_piece(&change->parts[i]))
            return true;
    return false;
}

/* A value that sat in the header: its pieces that do not change. */
static void move_to_pieces(struct access *access, const struct change *change, uint64_t id)
{
    struct slice body = change->old ? change->old->body : slice_make(NULL, 0);
    for (uint64_t index = 0; string_piece_place(body.size, index) > 0; index++)
        if (!is_covered(change, index))
            put_piece(access, id, index,
                      slice_make(body.data + index * STRING_PIECE_BYTES,
                                 string_piece_place(body.size, index)));
}

static void put_header(struct access *access, struct slice key, const struct change *change,
                       uint64_t id, struct slice body)
{
    struct object object = {
        .type = OBJECT_STRING, .expire_ms = time_of(change->old), .id = id, .body = body};
    keyspace_put(access, key, &object, change->old);
}

static enum status write_in_pieces(struct access *access, struct slice key,
                                   const struct change *change)
{
    uint8_t body[VARINT_BYTES_MAX];
    const struct string_part *part = change->parts;
    uint64_t first = first_piece(part), last = last_piece(part);
    struct slice head = {0}, tail = {0};
    enum status status = STATUS_OK;
    uint64_t id = change->old ? change->old->id : 0;
    if (change->count == 1) { /* others are whole pieces */
        status = read_what_stays(access, change, part, first, &head);
        if (!status && last != first)
            status = read_what_stays(access, change, part, last, &tail);
    }
    if (!status)
        status = access_reserve(access, head.size + tail.size + (id ? 0 : change->old_length));
    if (status)
        return status;
    if (id == 0) {
        id = access_new_id(access);
        move_to_pieces(access, change, id);
    }
    for (size_t i = 0; i < change->count; i++, part++)
        for (uint64_t index = first_piece(part); index <= last_piece(part); index++)
            put_changed_piece(access, id, part, index,
                              index == first  ? head
                              : index == last ? tail
                                              : slice_make(NULL, 0));
    put_header(access, key, change, id, slice_make(body, varint_store(body, change->length)));
    return STATUS_OK;
}

static enum status write_in_header(struct access *access, struct slice key,
                                   const struct change *change)
{
    struct buffer *value = &access->scratch_large;
    enum status status = access_reserve(access, change->length);
    if (status)
        return status;
    buffer_clear(value);
    buffer_reserve(value, change->length);
    if (change->old)
        buffer_append_slice(value, change->old->body);
    (void)append_to(value, slice_make(NULL, 0), change->length - value->size);
    for (size_t i = 0; i < change->count; i++)
        memcpy(value->data + change->parts[i].offset, change->parts[i].bytes.data,
               change->parts[i].bytes.size);
    put_header(access, key, change, 0, buffer_slice(value));
    return STATUS_OK;
}

enum status string_write_parts(struct access *access, struct slice key, const struct object *old,
                               uint64_t old_length, const struct string_part *parts, size_t count,
                               const char *event)
{
    const struct string_part *last = &parts[count - 1];
    struct change change = {old, old_length, old_length, parts, count};
    if (last->offset + last->bytes.size > change.length)
        change.length = last->offset + last->bytes.size;
    assert(change.length <= STRING_BYTES_MAX);
    bool has_pieces = (old && old->id) || change.length > STRING_INLINE_BYTES_MAX;
    enum status status =
        has_pieces ? write_in_pieces(access, key, &change) : write_in_header(access, key, &change);
    if (!status)
        access_fact(access, '$', event, key);
    return status;
}

enum status string_write(struct access *access, struct slice key, const struct object *old,
                         uint64_t offset, struct slice bytes, const char *event)
{
    uint64_t old_length = 0;
    struct string_part part = {offset, bytes};
    assert(bytes.size > 0);
    enum status status = old ? string_length(old, &old_length) : STATUS_OK;
    if (status)
        return status;
    return string_write_parts(access, key, old, old_length, &part, 1, event);
}
