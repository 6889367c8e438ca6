/* SPDX-License-Identifier: MIT */
/* Memory set aside for a change that can no longer fail once it has begun: set aside before, taken from
 * only where the heap has none. A block of which something was taken belongs to the taker's data and goes
 * with it. A zeroed struct has nothing set aside. */
#ifndef BASE_SPARE_H
#define BASE_SPARE_H

#include <stdbool.h>
#include <stddef.h>

struct spare_block;

struct spare {
    struct spare_block *block;
    size_t size, used;
};

/* Sets at least `size` bytes aside; nothing has been taken yet. false: there is no memory, and nothing
 * has changed. */
bool spare_try_fill(struct spare *spare, size_t size);
/* 8-byte aligned. More than is left, or of NULL, ends the process as memory_allocate does. */
void *spare_take(struct spare *spare, size_t size);
/* A block of which something was taken moves to the list (NULL: empty); the spare is empty then. Returns
 * its size, 0: nothing was taken. */
size_t spare_move_used(struct spare *spare, struct spare_block **list);
void spare_release(struct spare *spare); /* nothing of it is in use */
void spare_blocks_release(struct spare_block *list);

#endif
