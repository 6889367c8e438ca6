/* SPDX-License-Identifier: MIT */
/* The verbs on lists. A small list is rewritten in its header as a whole, another one changes by position. */
#include "types/list_state.h"

#include <assert.h>

/* ---- Reclaiming. ----------------------------------------------------------------------------- */

static void reclaim_low(struct access *access, struct list *list)
{
    uint8_t from[LIST_PIECE_KEY_BYTES], to[LIST_PIECE_KEY_BYTES];
    uint64_t id = list->object.id;
    if (list->head > 0)
        access_delete_range(access, TREE_PARTS, list_element_key(from, access, id, 0),
                            list_element_key(to, access, id, list->head));
    list->low_weight = 0;
}

static void reclaim_high(struct access *access, struct list *list)
{
    uint8_t from[LIST_PIECE_KEY_BYTES], to[OBJECT_PREFIX_BYTES + 1];
    object_prefix_store(to, access->generation, list->object.id);
    to[OBJECT_PREFIX_BYTES] = TAG_LIST + 1;
    access_delete_range(access, TREE_PARTS,
                        list_element_key(from, access, list->object.id, list->head + list->count),
                        slice_make(to, sizeof to));
    list->high_weight = 0;
}

void list_put_shrunk(struct access *access, struct slice key, struct list *list, uint64_t first)
{
    if (list->count == 0) {
        keyspace_remove(access, key, &list->object);
    } else if (list_is_inline(list)) {
        list_put_inline(access, key, list, list->elements + first, list->count);
    } else {
        list->head += first;
        if (list->low_weight >= LIST_RECLAIM_WEIGHT)
            reclaim_low(access, list);
        if (list->high_weight >= LIST_RECLAIM_WEIGHT)
            reclaim_high(access, list);
        list_put_header(access, key, list, list->object.id);
    }
}

/* ---- Pushing. -------------------------------------------------------------------------------- */

/* Gives an inline (or new) list records of its own; returns the id. */
static uint64_t spread(struct access *access, struct list *list, const struct slice *elements,
                       uint64_t count)
{
    uint64_t id = access_new_id(access);
    list->head = POSITION_MIDDLE;
    list->count = count;
    for (uint64_t i = 0; i < count; i++)
        list_put_element(access, list, id, list->head + i, elements[i]);
    return id;
}

void list_put_small(struct access *access, struct slice key, struct list *list,
                    const struct slice *elements, size_t count)
{
    assert(list_is_inline(list));
    if (list_fits_inline(elements, count))
        list_put_inline(access, key, list, elements, count);
    else
        list_put_header(access, key, list, spread(access, list, elements, count));
}

static void push_small(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count)
{
    struct slice elements[LIST_INLINE_COUNT_MAX];
    size_t old_count = list->count, shift = end == LIST_LEFT ? count : 0;
    for (size_t i = 0; i < old_count; i++)
        elements[shift + i] = list->elements[i];
    for (size_t i = 0; i < count; i++)
        elements[end == LIST_LEFT ? count - 1 - i : old_count + i] = values[i];
    list_put_small(access, key, list, elements, old_count + count);
}

static void push_dense(struct access *access, struct slice key, struct list *list,
                       enum list_end end, const struct slice *values, size_t count)
{
    uint64_t id = list->object.id;
    if (list_is_inline(list))
        id = spread(access, list, list->elements, list->count);
    for (size_t i = 0; i < count; i++) {
        uint64_t position = end == LIST_LEFT ? --list->head : list->head + list->count;
        list_put_element(access, list, id, position, values[i]);
        list->count++;
    }
    list_put_header(access, key, list, id);
}

void list_push_found(struct access *access, struct slice key, struct list *list, enum list_end end,
                     const struct slice *values, size_t count)
{
    if (list_is_inline(list) && list->count + count <= LIST_INLINE_COUNT_MAX)
        push_small(access, key, list, end, values, count);
    else
        push_dense(access, key, list, end, values, count);
    access_fact(access, 'l', end == LIST_LEFT ? "lpush" : "rpush", key);
}

enum status list_push(struct access *access, struct slice key, enum list_end end,
                      const struct slice *values, size_t count, bool only_existing,
                      uint64_t *length)
{
    struct list list;
    assert(count > 0);
    for (size_t i = 0; i < count; i++)
        if (values[i].size > LIST_ELEMENT_BYTES_MAX)
            return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status && (status != STATUS_NOT_FOUND || only_existing))
        return status;
    *length = list.count + count;
    list_push_found(access, key, &list, end, values, count);
    return STATUS_OK;
}

/* ---- Popping. -------------------------------------------------------------------------------- */

void list_pop_found(struct access *access, struct slice key, struct list *list, enum list_end end,
                    uint64_t count, uint64_t weight)
{
    list->count -= count;
    if (!list_is_inline(list))
        *(end == LIST_LEFT ? &list->low_weight : &list->high_weight) += weight;
    list_put_shrunk(access, key, list, end == LIST_LEFT ? count : 0);
    access_fact(access, 'l', end == LIST_LEFT ? "lpop" : "rpop", key);
    if (list->count == 0)
        access_fact(access, 'g', "del", key);
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
    status = list_walk(access, &list, end == LIST_LEFT ? 0 : list.count - 1, count,
                       end == LIST_RIGHT, visitor, &weight);
    if (status)
        return status;
    list_pop_found(access, key, &list, end, count, weight);
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
    if (count > 0)
        return list_walk(access, &list, first, count, false, visitor, NULL);
    if (visitor->begin)
        visitor->begin(visitor->context, 0);
    return STATUS_OK;
}

/* An index that counts from either end, as one from the left; false: there is no such element. */
static bool take_index(const struct list *list, int64_t index, uint64_t *from_left)
{
    if (index < 0)
        index += (int64_t)list->count;
    *from_left = (uint64_t)index;
    return index >= 0 && *from_left < list->count;
}

enum status list_index(struct access *access, struct slice key, int64_t index, struct slice *value)
{
    struct list list;
    uint64_t at;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    if (!take_index(&list, index, &at))
        return STATUS_NOT_FOUND;
    if (!list_is_inline(&list))
        return list_read_element(access, &list, list.head + at, value);
    *value = list.elements[at];
    return STATUS_OK;
}

enum status list_set(struct access *access, struct slice key, int64_t index, struct slice value)
{
    struct list list;
    uint64_t at;
    if (value.size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_TOO_LARGE;
    enum status status = list_find(access, key, &list);
    if (status)
        return status;
    if (!take_index(&list, index, &at))
        return STATUS_INVALID;
    if (list_is_inline(&list)) {
        list.elements[at] = value;
        list_put_small(access, key, &list, list.elements, list.count);
    } else {
        uint64_t pieces = 0; /* of the old element */
        bool had_pieces = list.has_pieces;
        if (had_pieces)
            status = list_count_pieces(access, &list, list.head + at, &pieces);
        if (status)
            return status;
        list_put_element(access, &list, list.object.id, list.head + at, value);
        list_drop_pieces(access, &list, list.head + at, value.size, pieces);
        if (list.has_pieces != had_pieces)
            list_put_header(access, key, &list, list.object.id);
    }
    access_fact(access, 'l', "lset", key);
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
        list_put_shrunk(access, key, &list, first);
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
    return status ? status : list_walk(access, &list, 0, list.count, false, visitor, NULL);
}

/* Copies until the batch is full or the list is at its end. */
static enum status rebuild_elements(struct access *access, struct list *list,
                                    struct list_rebuild *rebuild)
{
    uint64_t room = LIST_REBUILD_BYTES + rebuild->bytes_needed;
    rebuild->bytes_needed = 0;
    for (; rebuild->next < list->count; rebuild->next++) {
        struct slice value;
        enum status status = list_read_element(access, list, list->head + rebuild->next, &value);
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
        list_put_element(access, list, rebuild->id, POSITION_MIDDLE + rebuild->kept, value);
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
        list_put_header(access, key, &list, rebuild->id);
    return STATUS_OK;
}
