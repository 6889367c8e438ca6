/* SPDX-License-Identifier: MIT */
#include "types/list_label.h"

#include "base/coding.h"

#include <assert.h>

/* Parts lie between these two, both exclusive. */
static const uint32_t PART_BELOW = 0x01000000, PART_ABOVE = 0xff000000;
/* How far from a neighbour that has none on its other side. */
static const uint32_t STEP = 4096;

/* The part at an offset of a label. */
static uint32_t part_at(struct slice label, size_t offset)
{
    return be32_load(label.data + offset);
}

static uint32_t between_parts(uint32_t below, uint32_t above, bool has_below, bool has_above)
{
    uint32_t half = (above - below) / 2, step = half < STEP ? half : STEP;
    if (has_below && !has_above)
        return below + step;
    return has_above && !has_below ? above - step : below + half;
}

bool list_label_between(struct slice a, const struct slice *b, uint8_t at[LIST_LABEL_BYTES_MAX],
                        size_t *size)
{
    bool has_above = b;
    assert(!b || slice_compare(a, *b) < 0);
    for (size_t offset = 0; offset + LIST_LABEL_PART_BYTES <= LIST_LABEL_BYTES_MAX;
         offset += LIST_LABEL_PART_BYTES) {
        bool has_below = offset < a.size;
        uint32_t below = has_below ? part_at(a, offset) : PART_BELOW;
        uint32_t above = has_above ? part_at(*b, offset) : PART_ABOVE;
        if (above - below >= 2) {
            be32_store(at + offset, between_parts(below, above, has_below, has_above));
            *size = offset + LIST_LABEL_PART_BYTES;
            return true;
        }
        /* No room here: behind `below` there is, with or without more of a; as long as both have the same
         * part, b is still above. */
        be32_store(at + offset, below);
        has_above = has_above && below == above;
    }
    return false;
}

bool list_label_take(struct slice *rest, struct slice *label)
{
    size_t size = 0;
    bool is_bound = false;
    while (size < rest->size && rest->data[size] != 0) {
        if (rest->size - size < LIST_LABEL_PART_BYTES || rest->data[size] == 0xff ||
            size == LIST_LABEL_BYTES_MAX)
            return false;
        is_bound = part_at(*rest, size) == PART_BELOW;
        size += LIST_LABEL_PART_BYTES;
    }
    if (is_bound)
        return false;
    *label = slice_make(rest->data, size);
    *rest = slice_skip(*rest, size);
    return true;
}
