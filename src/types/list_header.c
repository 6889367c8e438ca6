/* SPDX-License-Identifier: MIT */
/* The body of a list's header: all elements of a small list, the bounds of another (ENCODING.md). */
#include "types/header_hold.h"
#include "types/list_state.h"

#include <assert.h>

/* The first byte. */
enum {
    FORM_INLINE = 0,
    FORM_DENSE = 1,
    FORM_SPARSE = 2,
    FORM_MASK = 0x0f,
    FORM_HAS_PIECES = 0x10,
};

/* From the lowest to the highest position of a sparse list, dead ones included: far from what a list can
 * reach, so that no position and no sum overflows. */
static const uint64_t WIDTH_MAX = SLOTS_ZONE_WIDTH_MAX / 2;

enum { BODY_BYTES_MAX = 1 + VARINT_BYTES_MAX + LIST_INLINE_BYTES_MAX };

static enum status decode_inline(struct slice body, struct list *list)
{
    list->low_weight = list->high_weight = 0;
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

void list_count_outside(const struct list *list, uint64_t *below, uint64_t *above)
{
    *below = *above = 0;
    if (list->low > list->high || list->tail < list->low)
        *below = list->tail - list->head + 1;
    else if (list->head > list->high)
        *above = list->tail - list->head + 1;
    else {
        *below = list->head < list->low ? list->low - list->head : 0;
        *above = list->tail > list->high ? list->tail - list->high : 0;
    }
}

static bool is_plausible(const struct list *list)
{
    uint64_t below, above;
    uint64_t lowest = list->head < list->low ? list->head : list->low;
    uint64_t highest = list->tail > list->high ? list->tail : list->high;
    if (list->tail < list->head || list->high < list->low || list->tail == UINT64_MAX ||
        highest - lowest >= WIDTH_MAX || list->count == 0 || list->count > INT64_MAX)
        return false;
    if ((list->dead_low > 0 && list->head <= list->low) ||
        (list->dead_high > 0 && list->tail >= list->high) || list->dead_low > INT64_MAX)
        return false;
    list_count_outside(list, &below, &above);
    bool is_apart = list->tail < list->low || list->head > list->high;
    return is_apart ? below + above == list->count : below + above <= list->count;
}

static enum status decode_sparse(struct slice body, struct list *list)
{
    uint64_t head, width, low, zone;
    if (!slice_take_varint(&body, &head) || !slice_take_varint(&body, &width) ||
        !slice_take_varint(&body, &list->count) || !slice_take_varint(&body, &list->low_weight) ||
        !slice_take_varint(&body, &list->high_weight) || !slice_take_varint(&body, &low) ||
        !slice_take_varint(&body, &zone) || !slice_take_varint(&body, &list->dead_low) ||
        !slice_take_varint(&body, &list->dead_high) || body.size)
        return STATUS_CORRUPT;
    list->is_sparse = true;
    list->head = POSITION_MIDDLE + (uint64_t)zigzag_decode(head);
    list->tail = list->head + width;
    list->low = list->head + (uint64_t)zigzag_decode(low);
    list->high = list->low + zone;
    return is_plausible(list) ? STATUS_OK : STATUS_CORRUPT;
}

enum status list_decode(struct list *list)
{
    struct slice body = list->object.body;
    uint8_t form;
    if (!slice_take_byte(&body, &form))
        return STATUS_CORRUPT;
    list->has_pieces = form & FORM_HAS_PIECES;
    list->is_sparse = false;
    if (form == FORM_INLINE && list_is_inline(list))
        return decode_inline(body, list);
    bool has_other_flags = form & ~(FORM_MASK | FORM_HAS_PIECES);
    if ((form & FORM_MASK) == FORM_DENSE && !list_is_inline(list) && !has_other_flags)
        return decode_dense(body, list);
    if ((form & FORM_MASK) == FORM_SPARSE && !list_is_inline(list) && !has_other_flags)
        return decode_sparse(body, list);
    return form <= FORM_SPARSE ? STATUS_CORRUPT : STATUS_UNSUPPORTED;
}

static void write_held(struct access *access, struct slice key, void *decoded);

/* Of a dense list: all that stands before the elements of an inline one. */
static const struct header_hold_kind hold_kind = {offsetof(struct list, elements), write_held};

enum status list_find(struct access *access, struct slice key, struct list *list)
{
    if (header_hold_take(access, key, &hold_kind, list))
        return STATUS_OK;
    enum status status = keyspace_find_type(access, key, OBJECT_LIST, &list->object);
    list->found = !status;
    if (!status)
        return list_decode(list);
    list->object.id = 0;
    list->count = list->low_weight = list->high_weight = 0;
    list->has_pieces = list->is_sparse = false;
    return status;
}

bool list_fits_inline(const struct slice *elements, size_t count)
{
    size_t bytes = 0;
    if (count > LIST_INLINE_COUNT_MAX)
        return false;
    for (size_t i = 0; i < count && bytes <= LIST_INLINE_BYTES_MAX; i++)
        bytes += varint_size(elements[i].size) + elements[i].size;
    return bytes <= LIST_INLINE_BYTES_MAX;
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

static struct slice encode_sparse(uint8_t at[BODY_BYTES_MAX], const struct list *list)
{
    uint8_t *end = at;
    *end++ = (uint8_t)(FORM_SPARSE | (list->has_pieces ? FORM_HAS_PIECES : 0));
    end += varint_store(end, zigzag_encode((int64_t)(list->head - POSITION_MIDDLE)));
    end += varint_store(end, list->tail - list->head);
    end += varint_store(end, list->count);
    end += varint_store(end, list->low_weight);
    end += varint_store(end, list->high_weight);
    end += varint_store(end, zigzag_encode((int64_t)(list->low - list->head)));
    end += varint_store(end, list->high - list->low);
    end += varint_store(end, list->dead_low);
    end += varint_store(end, list->dead_high);
    return slice_make(at, (size_t)(end - at));
}

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

void list_put_inline(struct access *access, struct slice key, const struct list *list,
                     const struct slice *elements, size_t count)
{
    uint8_t body[BODY_BYTES_MAX];
    put_header(access, key, list, 0, encode_inline(body, elements, count));
}

static void write_header(struct access *access, struct slice key, const struct list *list,
                         uint64_t id)
{
    uint8_t body[BODY_BYTES_MAX];
    put_header(access, key, list, id,
               list->is_sparse ? encode_sparse(body, list) : encode_dense(body, list));
}

void list_put_header(struct access *access, struct slice key, const struct list *list, uint64_t id)
{
    bool has_header = list->found && id == list->object.id && !list->is_sparse;
    if (!has_header ||
        !header_hold_keep(access, key, &hold_kind, list->object.expire_ms, list))
        write_header(access, key, list, id);
}

static void write_held(struct access *access, struct slice key, void *decoded)
{
    const struct list *list = decoded;
    write_header(access, key, list, list->object.id);
}
