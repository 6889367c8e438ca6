/* SPDX-License-Identifier: MIT */
/* struct slice: bytes that somebody else owns. Passed by value; may be empty (size 0, data NULL). */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t size;
};

static inline struct slice slice_make(const void *data, size_t size)
{
    return (struct slice){(const uint8_t *)data, size};
}

static inline struct slice slice_from(const char *text)
{
    return slice_make(text, strlen(text));
}

/* Byte order; a proper prefix sorts first. <0, 0 or >0. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_starts_with(struct slice text, struct slice prefix)
{
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/* The rest of `text` behind its first `count` bytes; count <= text.size. */
static inline struct slice slice_skip(struct slice text, size_t count)
{
    return slice_make(text.data + count, text.size - count);
}

/* ASCII case is ignored, as Redis does for command and option names. */
bool slice_equal_nocase(struct slice a, const char *b);

#endif
