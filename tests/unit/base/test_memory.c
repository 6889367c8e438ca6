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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_try_fails_once_or_for_good),
        cmocka_unit_test(a_failed_try_changes_nothing),
        cmocka_unit_test(plain_allocations_are_not_tried),
        cmocka_unit_test(what_is_asked_for_is_tried_only_when_it_is_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
