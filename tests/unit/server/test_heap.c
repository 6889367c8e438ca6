/* SPDX-License-Identifier: MIT */
#include "server/heap.h"

#include "base/memory.h"
#include "commands/process_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 640, BLOCK_BYTES = 100 * 1024, MIB = 1 << 20 };

static uint64_t free_resident_bytes(void)
{
    struct process_memory memory;
    struct process_heap heap;
    process_memory_read(&memory);
    process_heap_read(&heap);
    return memory.resident_bytes > heap.used_bytes ? memory.resident_bytes - heap.used_bytes : 0;
}

static void what_lies_free_between_things_that_live_goes_back_to_the_system(void **state)
{
    (void)state;
    static void *blocks[BLOCKS], *live[BLOCKS];
    struct process_heap heap;
    heap_configure(1);
    process_heap_read(&heap);
    if (heap.used_bytes == 0)
        skip(); /* this C library, or a sanitizer's heap, says nothing and is left alone */
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_allocate(BLOCK_BYTES);
        memset(blocks[i], 'x', BLOCK_BYTES);
        live[i] = memory_allocate(64);
    }
    for (int i = 0; i < BLOCKS; i++)
        memory_free(blocks[i]);
    assert_true(free_resident_bytes() > 55 * MIB); /* free() has given none of it back */
    heap_trim();
    assert_true(free_resident_bytes() < 16 * MIB);
    for (int i = 0; i < BLOCKS; i++)
        memory_free(live[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_free_between_things_that_live_goes_back_to_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
