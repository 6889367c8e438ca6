/* SPDX-License-Identifier: MIT */
#include "types/list_build.h"

#include "types/list_state.h"

#include <assert.h>

/* The first byte of a header's body (ENCODING.md). */
enum { FORM_INLINE = 0x00, FORM_DENSE = 0x01, FORM_DENSE_WITH_PIECES = 0x11 };

enum {
    OWN_KEY_BYTES = LIST_KEY_BYTES + LIST_PIECE_BYTES_MORE - OBJECT_PREFIX_BYTES
}; /* of keys behind the prefix */

void list_build_begin(struct list_build *build, struct object_build *object)
{
    *build = (struct list_build){.object = object};
}

/* `key` is the element's; its pieces follow. */
static enum status put_pieces(struct list_build *build, uint8_t key[OWN_KEY_BYTES],
                              struct slice element)
{
    enum status status = STATUS_OK;
    key[OWN_KEY_BYTES - 5] = 0;
    for (uint32_t index = 0; element.size > 0 && !status; index++) {
        size_t size = element.size < LIST_PIECE_BYTES ? element.size : LIST_PIECE_BYTES;
        be32_store(key + OWN_KEY_BYTES - 4, index);
        status = object_build_put(build->object, TREE_PARTS, slice_make(key, OWN_KEY_BYTES),
                                  slice_make(element.data, size));
        element = slice_skip(element, size);
    }
    return status;
}

static enum status put_element(struct list_build *build, uint64_t position, struct slice element)
{
    uint8_t key[OWN_KEY_BYTES] = {TAG_LIST}, record[1 + LIST_PIECE_BYTES];
    bool is_whole = element.size <= LIST_PIECE_BYTES;
    size_t size = 1;
    be64_store(key + 1, position);
    record[0] = is_whole ? ELEMENT_WHOLE : ELEMENT_PIECES;
    if (!is_whole) {
        size += varint_store(record + 1, element.size);
    } else if (element.size) {
        memcpy(record + 1, element.data, element.size);
        size += element.size;
    }
    build->has_pieces |= !is_whole;
    enum status status = object_build_put(build->object, TREE_PARTS, slice_make(key, 1 + 8),
                                          slice_make(record, size));
    return status || is_whole ? status : put_pieces(build, key, element);
}

/* The first elements leave the header for records of their own. */
static enum status spread(struct list_build *build)
{
    struct slice few = buffer_slice(&build->few), element;
    enum status status = STATUS_OK;
    build->has_parts = true;
    for (uint64_t i = 0; slice_take_sized(&few, &element) && !status; i++)
        status = put_element(build, POSITION_MIDDLE + i, element);
    return status;
}

enum status list_build_add(struct list_build *build, struct slice element)
{
    enum status status = STATUS_OK;
    if (element.size > LIST_ELEMENT_BYTES_MAX)
        return STATUS_TOO_LARGE;
    size_t bytes = build->few.size + varint_size(element.size) + element.size;
    if (!build->has_parts && build->count < LIST_INLINE_COUNT_MAX &&
        bytes <= LIST_INLINE_BYTES_MAX) {
        buffer_append_sized(&build->few, element);
        build->count++;
        return STATUS_OK;
    }
    if (!build->has_parts)
        status = spread(build);
    if (!status)
        status = put_element(build, POSITION_MIDDLE + build->count, element);
    build->count += !status;
    return status;
}

void list_build_end(struct list_build *build)
{
    struct buffer *body = &build->body;
    assert(build->count > 0);
    if (!build->has_parts) {
        buffer_append_byte(body, FORM_INLINE);
        buffer_append_varint(body, build->count);
        buffer_append_slice(body, buffer_slice(&build->few));
        return;
    }
    buffer_append_byte(body, build->has_pieces ? FORM_DENSE_WITH_PIECES : FORM_DENSE);
    buffer_append_varint(body, 0); /* the first element stands in the middle of all positions */
    buffer_append_varint(body, build->count);
    buffer_append_varint(body, 0); /* nothing waits below or above to be given back */
    buffer_append_varint(body, 0);
}

void list_build_release(struct list_build *build)
{
    buffer_release(&build->few);
    buffer_release(&build->body);
}
