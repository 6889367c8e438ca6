/* SPDX-License-Identifier: MIT */
/* One block, from which pieces are taken in order. */
#include "base/spare.h"

#include "base/memory.h"

#include <assert.h>
#include <stdint.h>

struct spare_block {
    struct spare_block *next;
    _Alignas(16) uint8_t bytes[];
};

enum { SPARE_ALIGNMENT = 8 };

bool spare_try_fill(struct spare *spare, size_t size)
{
    assert(spare->used == 0);
    if (size <= spare->size)
        return true;
    struct spare_block *block = memory_try_allocate(sizeof *block + size);
    if (!block)
        return false;
    memory_free(spare->block);
    *spare = (struct spare){.block = block, .size = size};
    return true;
}

void *spare_take(struct spare *spare, size_t size)
{
    size = (size + SPARE_ALIGNMENT - 1) & ~(size_t)(SPARE_ALIGNMENT - 1);
    if (!spare || spare->size - spare->used < size)
        memory_run_out(size);
    void *taken = spare->block->bytes + spare->used;
    spare->used += size;
    return taken;
}

size_t spare_move_used(struct spare *spare, struct spare_block **list)
{
    size_t size = spare->size;
    if (spare->used == 0)
        return 0;
    spare->block->next = *list;
    *list = spare->block;
    *spare = (struct spare){0};
    return size;
}

void spare_release(struct spare *spare)
{
    assert(spare->used == 0);
    memory_free(spare->block);
    *spare = (struct spare){0};
}

void spare_blocks_release(struct spare_block *list)
{
    while (list) {
        struct spare_block *next = list->next;
        memory_free(list);
        list = next;
    }
}
