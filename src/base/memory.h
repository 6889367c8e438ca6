/* SPDX-License-Identifier: MIT */
/* Allocation that aborts on out-of-memory. Sizes from clients are bounded before they come here. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

void *memory_allocate(size_t size);           /* uninitialised */
void *memory_zeroed(size_t count, size_t size); /* calloc */
void *memory_resize(void *block, size_t size); /* realloc */
void *memory_copy(const void *data, size_t size);
void memory_free(void *block); /* NULL is fine */

#endif
