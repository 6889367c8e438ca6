/* SPDX-License-Identifier: MIT */
#include "base/arena.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void arena_blocks_are_aligned_and_keep_their_bytes(void **state)
{
    (void)state;
    enum { BLOCKS = 3000 };
    static uint8_t *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    struct random random;
    random_init(&random, test_seed());
    struct arena arena;
    arena_init(&arena, 4096);
    for (int i = 0; i < BLOCKS; i++) {
        sizes[i] = random_below(&random, random_below(&random, 50) ? 200 : 9000);
        blocks[i] = arena_try_allocate(&arena, sizes[i]);
        assert_int_equal((uintptr_t)blocks[i] % 8, 0);
        memset(blocks[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(blocks[i][k], i & 0xff);
    }
    arena_release(&arena);
    assert_int_equal(arena_bytes(&arena), 0);
}

static void arena_counts_its_bytes_and_wastes_little(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 65536);
    assert_int_equal(arena_bytes(&arena), 0);
    size_t used = 0;
    for (int i = 0; i < 10000; i++) {
        arena_try_allocate(&arena, 48);
        used += 48;
        assert_true(arena_bytes(&arena) >= used);
        assert_true(arena_bytes(&arena) <= used + used / 50 + 65536 + 64);
    }
    size_t before = arena_bytes(&arena);
    arena_try_allocate(&arena, 1000000); /* a chunk of its own ... */
    assert_in_range(arena_bytes(&arena), before + 1000000, before + 1000100);
    before = arena_bytes(&arena);
    arena_try_allocate(&arena, 8); /* ... and the current one goes on */
    assert_int_equal(arena_bytes(&arena), before);
    arena_release(&arena);
}

static void arena_is_usable_after_release(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_memory_equal(arena_try_copy(&arena, "first", 5), "first", 5);
    arena_release(&arena);
    assert_memory_equal(arena_try_copy(&arena, "second", 6), "second", 6);
    assert_non_null(arena_try_copy(&arena, NULL, 0));
    arena_release(&arena);
}

static void an_arena_without_memory_gives_nothing_and_goes_on(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1024);
    uint8_t *first = arena_try_copy(&arena, "first", 5);
    size_t bytes = arena_bytes(&arena);
    memory_fail_try(1, true);
    assert_null(arena_try_allocate(&arena, 2000));     /* a chunk of its own */
    assert_non_null(arena_try_allocate(&arena, 1000)); /* what is left of this one */
    assert_null(arena_try_copy(&arena, "second, in a chunk to come", 26));
    memory_fail_try(0, false);
    assert_int_equal(arena_bytes(&arena), bytes);
    assert_memory_equal(arena_try_copy(&arena, "second", 6), "second", 6);
    assert_memory_equal(first, "first", 5);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_aligned_and_keep_their_bytes),
        cmocka_unit_test(arena_counts_its_bytes_and_wastes_little),
        cmocka_unit_test(arena_is_usable_after_release),
        cmocka_unit_test(an_arena_without_memory_gives_nothing_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
