/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/spare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_is_taken_lies_in_the_block_apart_and_aligned(void **state)
{
    (void)state;
    struct spare spare = {0};
    struct spare_block *list = NULL;
    assert_true(spare_try_fill(&spare, 104));
    uint8_t *first = spare_take(&spare, 13), *second = spare_take(&spare, 84);
    assert_int_equal((uintptr_t)first % 8, 0);
    assert_ptr_equal(second, first + 16);
    memset(first, 1, 13);
    memset(second, 2, 84);
    assert_int_equal(spare_move_used(&spare, &list), 104);
    assert_int_equal(spare.size, 0);
    assert_int_equal(first[12], 1);
    assert_int_equal(second[0], 2);
    spare_blocks_release(list);
}

static void an_unused_block_stays_and_is_enough_for_less(void **state)
{
    (void)state;
    struct spare spare = {0};
    struct spare_block *list = NULL;
    assert_int_equal(spare_move_used(&spare, &list), 0);
    assert_true(spare_try_fill(&spare, 1000));
    struct spare_block *block = spare.block;
    assert_int_equal(spare_move_used(&spare, &list), 0);
    assert_null(list);
    uint64_t tried = memory_try_count();
    assert_true(spare_try_fill(&spare, 500));
    assert_ptr_equal(spare.block, block);
    assert_int_equal(memory_try_count(), tried);
    spare_release(&spare);
    assert_int_equal(spare.size, 0);
}

static void used_blocks_are_kept_in_a_list(void **state)
{
    (void)state;
    struct spare spare = {0};
    struct spare_block *list = NULL;
    for (size_t i = 1; i <= 3; i++) {
        assert_true(spare_try_fill(&spare, i * 64));
        memset(spare_take(&spare, i * 64), 7, i * 64);
        assert_int_equal(spare_move_used(&spare, &list), i * 64);
    }
    spare_blocks_release(list);
}

static void without_memory_a_spare_is_as_before(void **state)
{
    (void)state;
    struct spare spare = {0};
    assert_true(spare_try_fill(&spare, 64));
    struct spare before = spare;
    memory_fail_try(1, false);
    assert_false(spare_try_fill(&spare, 65));
    memory_fail_try(0, false);
    assert_memory_equal(&spare, &before, sizeof spare);
    spare_release(&spare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_lies_in_the_block_apart_and_aligned),
        cmocka_unit_test(an_unused_block_stays_and_is_enough_for_less),
        cmocka_unit_test(used_blocks_are_kept_in_a_list),
        cmocka_unit_test(without_memory_a_spare_is_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
