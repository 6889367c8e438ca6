/* SPDX-License-Identifier: MIT */
/* What a fuzzer is: one function that must stand any input, and optionally inputs to begin with.
 * Each fuzz_<name>.c is built with driver.c, which has a main, or with clang's -fsanitize=fuzzer.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/buffer.h"

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

#endif
