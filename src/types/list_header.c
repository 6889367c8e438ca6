/* SPDX-License-Identifier: MIT */
/* The body of a list's header: all elements of a small list, the bounds of another (ENCODING.md). */
#include "types/list_state.h"

#include <assert.h>

/* The first byte. 2 is kept for lists with gaps (ENCODING.md). */
enum { FORM_INLINE = 0, FORM_DENSE = 1, FORM_MASK = 0x0f, FORM_HAS_PIECES = 0x10 };

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

enum status list_decode(struct list *list)
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

enum status list_find(struct access *access, struct slice key, struct list *list)
{
    enum status status = keyspace_find_type(access, key, OBJECT_LIST, &list->object);
    list->found = !status;
    if (!status)
        return list_decode(list);
    list->object.id = 0;
    list->count = list->low_weight = list->high_weight = 0;
    list->has_pieces = false;
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

void list_put_header(struct access *access, struct slice key, const struct list *list, uint64_t id)
{
    uint8_t body[BODY_BYTES_MAX];
    put_header(access, key, list, id, encode_dense(body, list));
}
