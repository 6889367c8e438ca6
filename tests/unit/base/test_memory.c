/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_nth_try_fails_once_or_for_good(void **state)
{
    (void)state;
    for (int for_good = 0; for_good < 2; for_good++) {
        uint64_t tried = memory_try_count(), failed = memory_failed_try_count();
        memory_fail_try(3, for_good);
        for (int i = 1; i <= 5; i++) {
            void *block = memory_try_allocate(100);
            bool fails = i == 3 || (for_good && i > 3);
            assert_int_equal(block == NULL, fails);
            memory_free(block);
        }
        memory_fail_try(0, false);
        assert_int_equal(memory_try_count() - tried, 5);
        assert_int_equal(memory_failed_try_count() - failed, for_good ? 3 : 1);
        void *block = memory_try_allocate(0);
        assert_non_null(block);
        memory_free(block);
    }
}

static void a_failed_try_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_text(&buffer, "kept");
    size_t capacity = buffer.capacity;
    memory_fail_try(1, false);
    assert_int_equal(buffer_try_reserve(&buffer, 1 << 20), STATUS_NO_MEMORY);
    assert_int_equal(buffer.capacity, capacity);
    assert_memory_equal(buffer.data, "kept", 4);
    assert_int_equal(buffer_try_reserve(&buffer, 1 << 20), STATUS_OK);
    assert_memory_equal(buffer.data, "kept", 4);
    buffer_release(&buffer);
}

/* Memory that the program decides about is not asked for in this way: it is there, or all ends. */
static void plain_allocations_are_not_tried(void **state)
{
    (void)state;
    uint64_t tried = memory_try_count();
    memory_fail_try(1, true);
    void *block = memory_resize(memory_allocate(10), 20);
    assert_non_null(block);
    memory_free(block);
    memory_fail_try(0, false);
    assert_int_equal(memory_try_count(), tried);
}

static void what_is_asked_for_is_tried_only_when_it_is_large(void **state)
{
    (void)state;
    uint64_t tried = memory_try_count();
    memory_fail_try(1, true);
    void *block = memory_ask_resize(memory_ask_allocate(10), MEMORY_SURE_BYTES);
    assert_non_null(block);
    assert_int_equal(memory_try_count(), tried);
    assert_null(memory_ask_resize(block, MEMORY_SURE_BYTES + 1));
    assert_null(memory_ask_allocate(MEMORY_SURE_BYTES + 1));
    memory_fail_try(0, false);
    assert_int_equal(memory_try_count(), tried + 2);
    block = memory_ask_resize(block, MEMORY_SURE_BYTES + 1);
    assert_non_null(block);
    memory_free(block);
}

static void mapped_memory_is_aligned_zeroed_and_counted(void **state)
{
    (void)state;
    enum { SIZE = 3 * MEMORY_HUGE_BYTES, BLOCKS = 4 };
    uint8_t *blocks[BLOCKS];
    const uint64_t before = memory_mapped_bytes();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = memory_try_map(SIZE);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % MEMORY_HUGE_BYTES, 0);
        assert_int_equal(blocks[i][0] | blocks[i][SIZE / 2] | blocks[i][SIZE - 1], 0);
        blocks[i][0] = blocks[i][SIZE - 1] = (uint8_t)(1 + i);
        assert_int_equal(memory_mapped_bytes() - before, (uint64_t)(1 + i) * SIZE);
    }
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(blocks[i][0], 1 + i);
        assert_int_equal(blocks[i][SIZE - 1], 1 + i);
        memory_unmap(blocks[i], SIZE);
    }
    assert_int_equal(memory_mapped_bytes(), before);
    memory_fail_try(1, false);
    assert_null(memory_try_map(SIZE));
    memory_fail_try(0, false);
    assert_null(memory_try_map((size_t)1 << 62)); /* more than there are addresses */
    assert_int_equal(memory_mapped_bytes(), before);
}

/* A wish changes nothing of what is there, whatever lies around. */
static void the_wish_for_huge_pages_keeps_what_is_there(void **state)
{
    (void)state;
    enum { SIZE = 5 * MEMORY_HUGE_BYTES + 12345 };
    uint8_t *block = memory_allocate(SIZE);
    memset(block, 7, SIZE);
    memory_prefer_huge_pages(block, SIZE);
    memory_prefer_huge_pages(block + 1, 100);
    memory_prefer_huge_pages(block, 0);
    for (size_t i = 0; i < SIZE; i++)
        if (block[i] != 7)
            fail_msg("byte %zu is %u", i, block[i]);
    memory_free(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_try_fails_once_or_for_good),
        cmocka_unit_test(mapped_memory_is_aligned_zeroed_and_counted),
        cmocka_unit_test(the_wish_for_huge_pages_keeps_what_is_there),
        cmocka_unit_test(a_failed_try_changes_nothing),
        cmocka_unit_test(plain_allocations_are_not_tried),
        cmocka_unit_test(what_is_asked_for_is_tried_only_when_it_is_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
