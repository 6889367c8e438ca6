/* SPDX-License-Identifier: MIT */
/* Allocation. The plain functions abort on out-of-memory: they are for sizes that the program decides,
 * or has bounded to something small. Sizes that a client or a file decides are bounded first and asked
 * for with _try_ or, where most are small, with _ask_. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

void *memory_allocate(size_t size);           /* uninitialised */
void *memory_zeroed(size_t count, size_t size); /* calloc */
void *memory_resize(void *block, size_t size); /* realloc */
void *memory_copy(const void *data, size_t size);
void memory_free(void *block); /* NULL is fine */
_Noreturn void memory_run_out(size_t size); /* what they do when there is none: says so, aborts */

/* NULL when there is no memory; then nothing has changed. */
void *memory_try_allocate(size_t size);
void *memory_try_resize(void *block, size_t size);

/* Up to MEMORY_SURE_BYTES as the plain ones, above as _try_. */
enum { MEMORY_SURE_BYTES = 64 * 1024 };
void *memory_ask_allocate(size_t size);
void *memory_ask_resize(void *block, size_t size);

/* Pages of the system, zeros, for what is large and lives long: `size` bytes, a multiple of
 * MEMORY_HUGE_BYTES, and aligned to it, so that a huge page may take the place of 512 small ones. A fault of a
 * page costs more than to fill it. NULL: there is no memory (a _try_). */
enum { MEMORY_HUGE_BYTES = 2 << 20 };
void *memory_try_map(size_t size);
void memory_unmap(void *block, size_t size);
uint64_t memory_mapped_bytes(void); /* of all that is mapped so */
/* The same wish for memory of the heap that nobody has touched yet; of a small block nothing comes of it. */
void memory_prefer_huge_pages(void *block, size_t size);

/* For tests: the n-th _try_ from now (1: the next), of whatever thread, gets no memory; with `for_good`
 * all later ones too. 0: none fails. */
void memory_fail_try(uint64_t n, bool for_good);
uint64_t memory_try_count(void);        /* of all _try_ since the start of the program */
uint64_t memory_failed_try_count(void); /* of those that memory_fail_try has failed */

#endif
