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

/* Two arenas in turn: what the first gives back is the second's. */
static void a_pool_keeps_chunks_for_the_next_arena(void **state)
{
    (void)state;
    enum { CHUNK_BYTES = 4096, CHUNKS = 3, HEAD_BYTES_MAX = 64 };
    struct arena_pool pool;
    struct arena first, second;
    arena_pool_init(&pool, CHUNK_BYTES, CHUNKS * (CHUNK_BYTES + HEAD_BYTES_MAX));
    arena_init_pooled(&first, &pool);
    arena_init_pooled(&second, &pool);
    uint8_t *blocks[CHUNKS];
    for (int i = 0; i < CHUNKS; i++) {
        blocks[i] = arena_try_allocate(&first, 1000);
        for (int k = 1; k < 4; k++)
            assert_non_null(arena_try_allocate(&first, 1000));
    }
    assert_non_null(arena_try_allocate(&first, 100000)); /* not one of the pool's */
    assert_int_equal(arena_pool_kept_bytes(&pool), 0);
    arena_release(&first);
    assert_in_range(arena_pool_kept_bytes(&pool), CHUNKS * CHUNK_BYTES,
                    CHUNKS * (CHUNK_BYTES + HEAD_BYTES_MAX));
    uint64_t asked = memory_try_count();
    uint8_t *again = arena_try_allocate(&second, 1000);
    assert_true(again == blocks[0] || again == blocks[1] || again == blocks[2]);
    assert_int_equal(memory_try_count(), asked);
    arena_release(&second);
    assert_non_null(arena_try_copy(&second, "usable after release", 20));
    arena_release(&second);
    arena_pool_release(&pool);
}

static void a_pool_keeps_no_more_than_its_bytes(void **state)
{
    (void)state;
    enum { CHUNK_BYTES = 4096 };
    struct arena_pool pool;
    struct arena first, second;
    arena_pool_init(&pool, CHUNK_BYTES, CHUNK_BYTES + 100); /* one, with its head */
    arena_init_pooled(&first, &pool);
    arena_init_pooled(&second, &pool);
    assert_non_null(arena_try_allocate(&first, 8));
    assert_non_null(arena_try_allocate(&second, 8));
    arena_release(&first);
    assert_int_equal(arena_pool_kept_bytes(&pool), 0); /* the second's counts */
    arena_release(&second);
    assert_in_range(arena_pool_kept_bytes(&pool), CHUNK_BYTES, CHUNK_BYTES + 100);
    arena_pool_release(&pool);
}

static void a_pool_without_memory_counts_nothing(void **state)
{
    (void)state;
    struct arena_pool pool;
    struct arena arena;
    arena_pool_init(&pool, 4096, 100000);
    arena_init_pooled(&arena, &pool);
    memory_fail_try(1, false);
    assert_null(arena_try_allocate(&arena, 8));
    memory_fail_try(0, false);
    assert_int_equal(arena_bytes(&arena), 0);
    assert_non_null(arena_try_allocate(&arena, 8));
    arena_release(&arena);
    arena_pool_release(&pool); /* asserts that what it has is all it counts */
}

/* A pool of so many bytes divides huge pages among its arenas, and gives back those of which nobody has a
 * part, once there are more than it keeps. */
static void a_pool_for_much_memory_divides_huge_pages(void **state)
{
    (void)state;
    enum { CHUNK_BYTES = 256 * 1024, BYTES_MAX = 32 * MEMORY_HUGE_BYTES, ROUNDS = 2 };
    const size_t block_bytes = CHUNK_BYTES / 8;
    const uint64_t mapped = memory_mapped_bytes();
    struct arena_pool pool;
    struct arena arenas[2];
    arena_pool_init(&pool, CHUNK_BYTES, BYTES_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        arena_init_pooled(&arenas[0], &pool);
        arena_init_pooled(&arenas[1], &pool);
        for (size_t bytes = 0; bytes < BYTES_MAX; bytes += block_bytes)
            for (int i = 0; i < 2; i++)
                memset(arena_try_allocate(&arenas[i], block_bytes), i + 1, block_bytes);
        size_t used = arena_bytes(&arenas[0]) + arena_bytes(&arenas[1]);
        assert_in_range(memory_mapped_bytes() - mapped, used, used + used / 64 + MEMORY_HUGE_BYTES);
        assert_non_null(
            arena_try_allocate(&arenas[1], CHUNK_BYTES / 2)); /* not one of the pool's */
        arena_release(&arenas[0]);
        arena_release(&arenas[1]);
        assert_int_equal(memory_mapped_bytes() - mapped, BYTES_MAX);
        assert_in_range(arena_pool_kept_bytes(&pool), BYTES_MAX - BYTES_MAX / 64, BYTES_MAX);
    }
    arena_pool_release(&pool);
    assert_int_equal(memory_mapped_bytes(), mapped);
}

static void a_huge_page_that_there_is_no_memory_for_changes_nothing(void **state)
{
    (void)state;
    const uint64_t mapped = memory_mapped_bytes();
    struct arena_pool pool;
    struct arena arena;
    arena_pool_init(&pool, 65536, 64 * MEMORY_HUGE_BYTES);
    arena_init_pooled(&arena, &pool);
    memory_fail_try(1, false);
    assert_null(arena_try_allocate(&arena, 8));
    memory_fail_try(0, false);
    assert_int_equal(arena_bytes(&arena), 0);
    assert_int_equal(memory_mapped_bytes(), mapped);
    assert_non_null(arena_try_allocate(&arena, 8));
    assert_int_equal(memory_mapped_bytes() - mapped, MEMORY_HUGE_BYTES);
    arena_release(&arena);
    arena_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_blocks_are_aligned_and_keep_their_bytes),
        cmocka_unit_test(arena_counts_its_bytes_and_wastes_little),
        cmocka_unit_test(arena_is_usable_after_release),
        cmocka_unit_test(an_arena_without_memory_gives_nothing_and_goes_on),
        cmocka_unit_test(a_pool_keeps_chunks_for_the_next_arena),
        cmocka_unit_test(a_pool_keeps_no_more_than_its_bytes),
        cmocka_unit_test(a_pool_without_memory_counts_nothing),
        cmocka_unit_test(a_pool_for_much_memory_divides_huge_pages),
        cmocka_unit_test(a_huge_page_that_there_is_no_memory_for_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
