/* SPDX-License-Identifier: MIT */
/* A text as its skeleton and its numbers: each run of digits is replaced by a byte that tells its
 * kind, so that lines which differ in their numbers alone have the same skeleton. */
#ifndef TYPES_ENTRY_SKELETON_H
#define TYPES_ENTRY_SKELETON_H

#include "base/buffer.h"
#include "types/entry_numbers.h"

/* Bytes of a skeleton besides enum number_kind; from 5 on they are the text's own. On disk. */
enum skeleton_byte {
    SKELETON_END = 0, /* behind every skeleton that is stored */
    SKELETON_ESCAPE = 4,
    SKELETON_LITERAL = 5,  /* the first byte that stands for itself */
    SKELETON_ESCAPED = 16, /* + the byte, behind SKELETON_ESCAPE */
};

enum { SKELETON_CONTEXT_BYTES = 8 };

struct skeleton_number {
    uint64_t number;
    uint32_t place; /* number_place */
};

/* A text taken apart, and the memory for it; a zeroed struct is empty. */
struct skeleton {
    struct buffer bytes; /* SKELETON_CONTEXT_BYTES zeros, the skeleton, SKELETON_END */
    struct skeleton_number *numbers;
    size_t number_count;
    size_t number_capacity;
};

void skeleton_release(struct skeleton *skeleton);
/* Replaces the skeleton and appends the text's numbers to `numbers`. */
void skeleton_split(struct skeleton *skeleton, struct slice text);
/* Without SKELETON_END. */
static inline struct slice skeleton_slice(const struct skeleton *skeleton)
{
    return slice_make(skeleton->bytes.data + SKELETON_CONTEXT_BYTES,
                      skeleton->bytes.size - SKELETON_CONTEXT_BYTES - 1);
}

/* How many of the bytes from `at` to `end` stand for themselves. */
size_t skeleton_literal_bytes(const uint8_t *at, const uint8_t *end);
/* The place of the number at `at` in the skeleton that begins at `start`. */
uint32_t skeleton_place(const uint8_t *start, const uint8_t *at);

#endif
