/* SPDX-License-Identifier: MIT */
/* Lists: small ones in the header, others by position. A command reads the header, works on a
 * struct list, and writes the header back. */
#include "types/list.h"

#include "base/coding.h"

#include <assert.h>

/* The first byte of a header's body. 2 is kept for lists with gaps (ENCODING.md). */
enum { FORM_INLINE = 0, FORM_DENSE = 1, FORM_MASK = 0x0f, FORM_HAS_PIECES = 0x10 };
/* The first byte of an element's record. */
enum { ELEMENT_WHOLE = 0, ELEMENT_PIECES = 1 };

enum {
    TAG_LIST = 'l',
    ELEMENT_KEY_BYTES = OBJECT_PREFIX_BYTES + 1 + 8,
    PIECE_KEY_BYTES = ELEMENT_KEY_BYTES + 1 + 4,
    BODY_BYTES_MAX = 1 + VARINT_BYTES_MAX + LIST_INLINE_BYTES_MAX,
    WEIGHT_BYTES = 4096,
    POINT_READS_MAX = 3, /* more elements are read through an iterator */
};

#define POSITION_MIDDLE ((uint64_t)1 << 63)

struct list {
    struct object object; /* as found; id 0: inline or missing */
    bool found;
    uint64_t count;
    /* A list by position: elements at head .. head + count - 1. */
    bool has_pieces; /* an element that lies in pieces was pushed once */
    uint64_t head;
    uint64_t low_weight, high_weight; /* popped below and above, not reclaimed yet */
    /* An inline one. */
    struct slice elements[LIST_INLINE_COUNT_MAX];
};

static bool list_is_inline(const struct list *list)
{
    return list->object.id == 0;
}

/* ---- The header's body. ---------------------------------------------------------------------- */

static enum status decode_inline(struct slice body, struct list *list)
{
    if (!slice_take_varint(&body, &list->count) || list->count == 0 ||
        list->count > LIST_INLINE_COUNT_MAX || body.size > LIST_INLINE_BYTES_MAX)
        return STATUS_CORRUPT;
    for (uint64_t i = 0; i < list->count; i++)
        if (!slice_take_sized(&body, &list->elements[i]))
            return STATUS_CORRUPT;
    return body.size ? STATUS_CORRUPT : STATUS_OK;
}

static enum status decode_dense(struct slice body, struct list *list)
{
    uint64_t offset;
    if (!slice_take_varint(&body, &offset) || !slice_take_varint(&body, &list->count) ||
        !slice_take_varint(&body, &list->low_weight) ||
        !slice_take_varint(&body, &list->high_weight) || body.size || list->count == 0 ||
        list->count > INT64_MAX)
        return STATUS_CORRUPT;
    list->head = POSITION_MIDDLE + (uint64_t)zigzag_decode(offset);
    return list->head + list->count < list->head ? STATUS_CORRUPT : STATUS_OK;
}

static enum status list_decode(struct list *list)
{
    struct slice body = list->object.body;
    uint8_t form;
    if (!slice_take_byte(&body, &form))
        return STATUS_CORRUPT;
    list->has_pieces = form & FORM_HAS_PIECES;
    if (form == FORM_INLINE && list_is_inline(list))
        return decode_inline(body, list);
    if ((form & FORM_MASK) == FORM_DENSE && !list_is_inline(list) &&
        (form & ~(FORM_MASK | FORM_HAS_PIECES)) == 0)
        return decode_dense(body, list);
    return form == FORM_INLINE || form == FORM_DENSE ? STATUS_CORRUPT : STATUS_UNSUPPORTED;
}

/* Finds and decodes. */
static enum status list_find(struct access *access, struct slice key, struct list *list)
{
    enum status status = keyspace_find_type(access, key, OBJECT_LIST, &list->object);
    list->found = !status;
    return status ? status : list_decode(list);
}

static struct slice encode_inline(uint8_t at[BODY_BYTES_MAX], const struct slice *elements,
                                  size_t count)
{
    uint8_t *end = at;
    *end++ = FORM_INLINE;
    end += varint_store(end, count);
    for (size_t i = 0; i < count; i++) {
        end += varint_store(end, elements[i].size);
        if (elements[i].size)
            memcpy(end, elements[i].data, elements[i].size);
        end += elements[i].size;
    }
    assert(end - at <= BODY_BYTES_MAX);
    return slice_make(at, (size_t)(end - at));
}

static struct slice encode_dense(uint8_t at[BODY_BYTES_MAX], const struct list *list)
{
    uint8_t *end = at;
    *end++ = (uint8_t)(FORM_DENSE | (list->has_pieces ? FORM_HAS_PIECES : 0));
    end += varint_store(end, zigzag_encode((int64_t)(list->head - POSITION_MIDDLE)));
    end += varint_store(end, list->count);
    end += varint_store(end, list->low_weight);
    end += varint_store(end, list->high_weight);
    return slice_make(at, (size_t)(end - at));
}

/* Writes the header; `id` is the list's (new) one. */
static void put_header(struct access *access, struct slice key, const struct list *list,
                       uint64_t id, struct slice body)
{
    struct object object = {
        .type = OBJECT_LIST,
        .expire_ms = list->found ? list->object.expire_ms : 0,
        .id = id,
        .body = body,
    };
    keyspace_put(access, key, &object, list->found ? &list->object : NULL);
}

static void put_inline(struct access *access, struct slice key, const struct list *list,
                       const struct slice *elements, size_t count)
{
    uint8_t body[BODY_BYTES_MAX];
    put_header(access, key, list, 0, encode_inline(body, elements, count));
}

static void put_dense(struct access *access, struct slice key, const struct list *list, uint64_t id)
{
    uint8_t body[BODY_BYTES_MAX];
    put_header(access, key, list, id, encode_dense(body, list));
}

/* ---- Elements by position. ------------------------------------------------------------------- */

static struct slice element_key(uint8_t at[PIECE_KEY_BYTES], const struct access *access,
                                uint64_t id, uint64_t position)
{
    object_prefix_store(at, access->generation, id);
    at[OBJECT_PREFIX_BYTES] = TAG_LIST;
    be64_store(at + OBJECT_PREFIX_BYTES + 1, position);
    return slice_make(at, ELEMENT_KEY_BYTES);
}

/* Extends an element's key, in place. */
static struct slice piece_key(uint8_t at[PIECE_KEY_BYTES], uint64_t index)
{
    at[ELEMENT_KEY_BYTES] = 0;
    be32_store(at + ELEMENT_KEY_BYTES + 1, (uint32_t)index);
    return slice_make(at, PIECE_KEY_BYTES);
}

static void put_pieces(struct access *access, uint8_t key[PIECE_KEY_BYTES], struct slice value)
{
    for (uint64_t index = 0; value.size > 0; index++) {
        size_t size = value.size < LIST_PIECE_BYTES ? value.size : LIST_PIECE_BYTES;
        access_put(access, TREE_PARTS, piece_key(key, index), slice_make(value.data, size));
        value = slice_skip(value, size);
    }
}

static void put_element(struct access *access, struct list *list, uint64_t id, uint64_t position,
                        struct slice value)
{
    uint8_t key[PIECE_KEY_BYTES];
    struct buffer *record = &access->scratch_value;
    struct slice at = element_key(key, access, id, position);
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

static enum status read_pieces(struct access *access, uint8_t key[PIECE_KEY_BYTES], uint64_t size,
                               struct slice *value)
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

static enum status decode_pieces(struct access *access, uint8_t key[PIECE_KEY_BYTES],
                                 struct slice record, struct slice *value)
{
    uint8_t kind;
    uint64_t size;
    if (!slice_take_byte(&record, &kind) || kind != ELEMENT_PIECES ||
        !slice_take_varint(&record, &size) || record.size || size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_CORRUPT;
    return read_pieces(access, key, size, value);
}

/* The value in an element's record; `key` is the element's, with room for a piece's. */
static inline enum status decode_element(struct access *access, uint8_t key[PIECE_KEY_BYTES],
                                         struct slice record, struct slice *value)
{
    if (record.size == 0 || record.data[0] != ELEMENT_WHOLE)
        return decode_pieces(access, key, record, value);
    *value = slice_skip(record, 1);
    return STATUS_OK;
}

static enum status read_element(struct access *access, const struct list *list, uint64_t position,
                                struct slice *value)
{
    uint8_t key[PIECE_KEY_BYTES];
    struct slice record;
    enum status status = access_get(access, TREE_PARTS,
                                    element_key(key, access, list->object.id, position), &record);
    if (status == STATUS_NOT_FOUND)
        return STATUS_CORRUPT; /* the header says that it is there */
    return status ? status : decode_element(access, key, record, value);
}

/* ---- Walking: `count` > 0 elements from an index on, towards either end. --------------------- */

struct walk {
    const struct list *list;
    uint64_t index, count;
    bool backwards;
    const struct list_visitor *visitor;
    uint64_t *weight; /* NULL, or where the weight of what was visited is added */
};

static enum status walk_visit(const struct walk *walk, struct slice value)
{
    walk->visitor->element(walk->visitor->context, value);
    if (walk->weight)
        *walk->weight += 1 + value.size / WEIGHT_BYTES;
    return walk->visitor->check ? walk->visitor->check(walk->visitor->context) : STATUS_OK;
}

static uint64_t walk_index(const struct walk *walk, uint64_t step)
{
    return walk->backwards ? walk->index - step : walk->index + step;
}

static enum status walk_inline(const struct walk *walk)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < walk->count && !status; i++)
        status = walk_visit(walk, walk->list->elements[walk_index(walk, i)]);
    return status;
}

static enum status walk_points(struct access *access, const struct walk *walk)
{
    for (uint64_t i = 0; i < walk->count; i++) {
        struct slice value;
        enum status status =
            read_element(access, walk->list, walk->list->head + walk_index(walk, i), &value);
        if (!status)
            status = walk_visit(walk, value);
        if (status)
            return status;
    }
    return STATUS_OK;
}

/* Within the walk's bounds all keys have the list's prefix. */
static bool stands_at(const struct lsm_iter *iter, uint64_t position)
{
    if (!lsm_iter_valid(iter))
        return false;
    struct slice key = lsm_iter_key(iter);
    return key.size == ELEMENT_KEY_BYTES && be64_load(key.data + ELEMENT_KEY_BYTES - 8) == position;
}

/* Moves to the element with that key, the next in the direction of the walk; pieces may lie
 * between. */
static bool walk_move(struct lsm_iter *iter, bool backwards, struct slice key, uint64_t position)
{
    if (lsm_iter_valid(iter)) {
        if (backwards)
            lsm_iter_prev(iter);
        else
            lsm_iter_next(iter);
        if (stands_at(iter, position))
            return true;
    }
    if (!lsm_iter_status(iter))
        lsm_iter_seek(iter, key);
    return stands_at(iter, position);
}

static enum status walk_steps(struct access *access, struct lsm_iter *iter, const struct walk *walk)
{
    uint8_t at[PIECE_KEY_BYTES];
    const struct list *list = walk->list;
    struct slice key = element_key(at, access, list->object.id, 0);
    for (uint64_t i = 0; i < walk->count; i++) {
        struct slice value;
        uint64_t position = list->head + walk_index(walk, i);
        be64_store(at + ELEMENT_KEY_BYTES - 8, position);
        if (!walk_move(iter, walk->backwards, key, position))
            return lsm_iter_status(iter) ? lsm_iter_status(iter) : STATUS_CORRUPT;
        enum status status = decode_element(access, at, lsm_iter_value(iter), &value);
        if (!status)
            status = walk_visit(walk, value);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status walk_run(struct access *access, const struct walk *walk)
{
    uint8_t lower[PIECE_KEY_BYTES], upper[PIECE_KEY_BYTES];
    const struct list *list = walk->list;
    assert(walk->count > 0);
    if (walk->visitor->begin)
        walk->visitor->begin(walk->visitor->context, walk->count);
    if (list_is_inline(list))
        return walk_inline(walk);
    if (walk->count <= POINT_READS_MAX)
        return walk_points(access, walk);
    uint64_t first = walk->backwards ? walk->index - (walk->count - 1) : walk->index;
    uint64_t id = list->object.id;
    struct lsm_iter *iter =
        lsm_iter_open(access->reader, TREE_PARTS,
                      &(struct lsm_iter_options){
                          .lower = element_key(lower, access, id, list->head + first),
                          .upper = element_key(upper, access, id, list->head + first + walk->count),
                          .ignore_range_deletes = true,
                      });
    enum status status = walk_steps(access, iter, walk);
    lsm_iter_close(iter);
    return status;
}

/* ---- Reclaiming. ----------------------------------------------------------------------------- */

static void reclaim_low(struct access *access, struct list *list)
{
    uint8_t from[PIECE_KEY_BYTES], to[PIECE_KEY_BYTES];
    uint64_t id = list->object.id;
    if (list->head > 0)
        access_delete_range(access, TREE_PARTS, element_key(from, access, id, 0),
                            element_key(to, access, id, list->head));
    list->low_weight = 0;
}

static void reclaim_high(struct access *access, struct list *list)
{
    uint8_t from[PIECE_KEY_BYTES], to[OBJECT_PREFIX_BYTES + 1];
    object_prefix_store(to, access->generation, list->object.id);
    to[OBJECT_PREFIX_BYTES] = TAG_LIST + 1;
    access_delete_range(access, TREE_PARTS,
                        element_key(from, access, list->object.id, list->head + list->count),
                        slice_make(to, sizeof to));
    list->high_weight = 0;
}

/* Writes back a list that lost elements, or removes it. */
static void put_shrunk(struct access *access, struct slice key, struct list *list, uint64_t first)
{
    if (list->count == 0) {
        keyspace_remove(access, key, &list->object);
    } else if (list_is_inline(list)) {
        put_inline(access, key, list, list->elements + first, list->count);
    } else {
        list->head += first;
        if (list->low_weight >= LIST_RECLAIM_WEIGHT)
            reclaim_low(access, list);
        if (list->high_weight >= LIST_RECLAIM_WEIGHT)
            reclaim_high(access, list);
        put_dense(access, key, list, list->object.id);
    }
}

/* ---- Pushing. -------------------------------------------------------------------------------- */

static bool fits_inline(const struct list *list, const struct slice *values, size_t count)
{
    size_t bytes = 0;
    if (!list_is_inline(list) || count + list->count > LIST_INLINE_COUNT_MAX)
        return false;
    for (uint64_t i = 0; i < list->count; i++)
        bytes += varint_size(list->elements[i].size) + list->elements[i].size;
    for (size_t i = 0; i < count && bytes <= LIST_INLINE_BYTES_MAX; i++)
        bytes += varint_size(values[i].size) + values[i].size;
    return bytes <= LIST_INLINE_BYTES_MAX;
}

static void push_inline(struct access *access, struct slice key, const struct list *list,
                        enum list_end end, const struct slice *values, size_t count)
{
    struct slice elements[LIST_INLINE_COUNT_MAX];
    size_t old_count = list->count, shift = end == LIST_LEFT ? count : 0;
    for (size_t i = 0; i < old_count; i++)
        elements[shift + i] = list->elements[i];
    for (size_t i = 0; i < count; i++)
        elements[end == LIST_LEFT ? count - 1 - i : old_count + i] = values[i];
    put_inline(access, key, list, elements, old_count + count);
}

/* Gives an inline (or new) list records of its own; returns the id. */
static uint64_t spread(struct access *access, struct list *list)
{
    uint64_t id = access_new_id(access);
    list->head = POSITION_MIDDLE;
    for (uint64_t i = 0; i < list->count; i++)
        put_element(access, list, id, list->head + i, list->elements[i]);
    return id;
}

static void push_dense(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count)
{
    uint64_t id = list_is_inline(list) ? spread(access, list) : list->object.id;
    for (size_t i = 0; i < count; i++) {
        uint64_t position = end == LIST_LEFT ? --list->head : list->head + list->count;
        put_element(access, list, id, position, values[i]);
        list->count++;
    }
    put_dense(access, key, list, id);
}

enum status list_push(struct access *access, struct slice key, enum list_end end,
                      const struct slice *values, size_t count, bool only_existing,
                      uint64_t *length)
{
    struct list list;
    assert(count > 0);
    list.count = 0;
    list.has_pieces = false;
    list.low_weight = list.high_weight = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i].size > LIST_ELEMENT_BYTES_MAX)
            return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status && (status != STATUS_NOT_FOUND || only_existing))
        return status;
    if (status)
        list.object.id = 0;
    *length = list.count + count;
    if (fits_inline(&list, values, count))
        push_inline(access, key, &list, end, values, count);
    else
        push_dense(access, key, &list, end, values, count);
    access_fact(access, 'l', end == LIST_LEFT ? "lpush" : "rpush", key);
    return STATUS_OK;
}

/* ---- The other verbs. ------------------------------------------------------------------------ */

enum status list_length(struct access *access, struct slice key, uint64_t *length)
{
    struct list list;
    enum status status = list_find(access, key, &list);
    if (!status)
        *length = list.count;
    return status;
}

enum status list_object_length(const struct object *object, uint64_t *length)
{
    struct list list = {.object = *object};
    assert(object->type == OBJECT_LIST);
    enum status status = list_decode(&list);
    if (!status)
        *length = list.count;
    return status;
}

enum status list_pop(struct access *access, struct slice key, enum list_end end, uint64_t count_max,
                     const struct list_visitor *visitor)
{
    struct list list;
    uint64_t weight = 0;
    assert(count_max > 0);
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    uint64_t count = count_max < list.count ? count_max : list.count;
    status = walk_run(access, &(struct walk){
                                  .list = &list,
                                  .index = end == LIST_LEFT ? 0 : list.count - 1,
                                  .count = count,
                                  .backwards = end == LIST_RIGHT,
                                  .visitor = visitor,
                                  .weight = &weight,
                              });
    if (status)
        return status;
    list.count -= count;
    if (!list_is_inline(&list))
        *(end == LIST_LEFT ? &list.low_weight : &list.high_weight) += weight;
    put_shrunk(access, key, &list, end == LIST_LEFT ? count : 0);
    access_fact(access, 'l', end == LIST_LEFT ? "lpop" : "rpop", key);
    if (list.count == 0)
        access_fact(access, 'g', "del", key);
    return STATUS_OK;
}

/* LRANGE's indices, to [*first, *first + *count). */
static void clip(uint64_t length, int64_t start, int64_t stop, uint64_t *first, uint64_t *count)
{
    int64_t size = (int64_t)length;
    if (start < 0)
        start = start + size < 0 ? 0 : start + size;
    if (stop < 0)
        stop += size;
    if (stop >= size)
        stop = size - 1;
    *first = (uint64_t)start;
    *count = start > stop ? 0 : (uint64_t)(stop - start) + 1;
}

enum status list_range(struct access *access, struct slice key, int64_t start, int64_t stop,
                       const struct list_visitor *visitor)
{
    struct list list;
    uint64_t first, count;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    clip(list.count, start, stop, &first, &count);
    if (count == 0) {
        if (visitor->begin)
            visitor->begin(visitor->context, 0);
        return STATUS_OK;
    }
    return walk_run(access, &(struct walk){
                                .list = &list,
                                .index = first,
                                .count = count,
                                .visitor = visitor,
                            });
}

enum status list_index(struct access *access, struct slice key, int64_t index, struct slice *value)
{
    struct list list;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    if (index < 0)
        index += (int64_t)list.count;
    if (index < 0 || (uint64_t)index >= list.count)
        return STATUS_NOT_FOUND;
    if (!list_is_inline(&list))
        return read_element(access, &list, list.head + (uint64_t)index, value);
    *value = list.elements[index];
    return STATUS_OK;
}

enum status list_trim(struct access *access, struct slice key, int64_t start, int64_t stop)
{
    struct list list;
    uint64_t first, count;
    enum status status = list_find(access, key, &list);
    if (status)
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    clip(list.count, start, stop, &first, &count);
    uint64_t dropped_high = count ? list.count - first - count : 0;
    if (count < list.count) {
        /* How large the dropped ones are is not known without reading them. */
        uint64_t each = !list_is_inline(&list) && list.has_pieces ? LIST_RECLAIM_WEIGHT : 1;
        if (!list_is_inline(&list)) {
            list.low_weight += first ? first * each : 0;
            list.high_weight += dropped_high * each;
        }
        list.count = count;
        put_shrunk(access, key, &list, first);
    }
    access_fact(access, 'l', "ltrim", key);
    if (list.count == 0)
        access_fact(access, 'g', "del", key);
    return STATUS_OK;
}

/* ---- For checks. ----------------------------------------------------------------------------- */

enum status list_object_bounds(const struct object *object, struct list_bounds *bounds)
{
    struct list list = {.object = *object};
    enum status status = list_decode(&list);
    if (!status)
        *bounds = (struct list_bounds){.has_pieces = list.has_pieces,
                                       .head = list.head,
                                       .count = list.count,
                                       .low_weight = list.low_weight,
                                       .high_weight = list.high_weight};
    return status;
}

/* ---- For repairs. ---------------------------------------------------------------------------- */

enum status list_object_visit(struct access *access, const struct object *object,
                              const struct list_visitor *visitor)
{
    struct list list = {.object = *object};
    enum status status = list_decode(&list);
    if (status)
        return status;
    return walk_run(access, &(struct walk){.list = &list, .count = list.count, .visitor = visitor});
}

/* Copies until the batch is full or the list is at its end. */
static enum status rebuild_elements(struct access *access, struct list *list,
                                    struct list_rebuild *rebuild)
{
    uint64_t room = LIST_REBUILD_BYTES + rebuild->bytes_needed;
    rebuild->bytes_needed = 0;
    for (; rebuild->next < list->count; rebuild->next++) {
        struct slice value;
        enum status status = read_element(access, list, list->head + rebuild->next, &value);
        if (status && status != STATUS_CORRUPT)
            return status;
        if (status) {
            rebuild->lost++;
            continue;
        }
        uint64_t bytes = 64 + value.size + value.size / 512;
        if (bytes > room) {
            rebuild->bytes_needed = bytes;
            return STATUS_OK;
        }
        room -= bytes;
        put_element(access, list, rebuild->id, POSITION_MIDDLE + rebuild->kept, value);
        rebuild->kept++;
    }
    return STATUS_OK;
}

enum status list_rebuild_step(struct access *access, struct slice key, struct list_rebuild *rebuild,
                              bool *done)
{
    struct list list;
    enum status status = list_find(access, key, &list);
    *done = status == STATUS_NOT_FOUND; /* its time has come */
    if (status)
        return *done ? STATUS_OK : status;
    assert(!list_is_inline(&list));
    if (rebuild->id == 0)
        rebuild->id = access_new_id(access);
    status = rebuild_elements(access, &list, rebuild);
    if (status || rebuild->next < list.count)
        return status;
    *done = true;
    list.head = POSITION_MIDDLE;
    list.count = rebuild->kept;
    list.low_weight = list.high_weight = 0;
    if (list.count == 0)
        keyspace_remove(access, key, &list.object);
    else
        put_dense(access, key, &list, rebuild->id);
    return STATUS_OK;
}
