/* SPDX-License-Identifier: MIT */
/* What a fuzzer is: one function that must stand any input, and optionally inputs to begin with.
 * Each fuzz_<name>.c is built with driver.c, which has a main, or with clang's -fsanitize=fuzzer.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Appends the index-th input to begin with, from 0 on; false: there is none. Optional. */
bool fuzz_seed(size_t index, struct buffer *out) __attribute__((weak));

/* Seeds that are texts: return fuzz_seed_text(texts, count, index, out). */
static inline bool fuzz_seed_text(const char *const *texts, size_t count, size_t index,
                                  struct buffer *out)
{
    if (index >= count)
        return false;
    buffer_append_text(out, texts[index]);
    return true;
}

/* What must hold of every input; names the place and aborts. */
#define fuzz_require(condition)                                                            \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* An input as a row of choices: each takes what it needs off the front; at the end all are 0. */
static inline uint8_t fuzz_byte(struct slice *input)
{
    if (input->size == 0)
        return 0;
    uint8_t byte = input->data[0];
    *input = slice_skip(*input, 1);
    return byte;
}

static inline unsigned fuzz_below(struct slice *input, unsigned bound)
{
    return fuzz_byte(input) % bound;
}

/* Numbers of all sizes: the first byte says how many bytes follow and what is done to them. */
static inline uint64_t fuzz_number(struct slice *input)
{
    uint8_t form = fuzz_byte(input);
    uint64_t value = 0;
    if (form < 0xc0)
        return form;
    for (unsigned i = 0; i <= (form & 7u); i++)
        value = value << 8 | fuzz_byte(input);
    if (form & 8)
        value = UINT64_MAX - value; /* near the end */
    if (form & 16)
        value = (uint64_t)1 << (value & 63); /* where sizes change */
    if (form & 32)
        value -= 1;
    return value;
}

/* A byte of size, then so many bytes, as far as they are there. They belong to the input. */
static inline struct slice fuzz_bytes(struct slice *input)
{
    size_t size = fuzz_byte(input);
    if (size > input->size)
        size = input->size;
    struct slice bytes = slice_make(input->data, size);
    *input = slice_skip(*input, size);
    return bytes;
}

#endif
