/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void buffer_holds_what_was_appended_in_order(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_text(&buffer, "one ");
    buffer_append_byte(&buffer, '2');
    buffer_append_slice(&buffer, slice_from(" three"));
    buffer_append(&buffer, NULL, 0);
    buffer_printf(&buffer, " %d%s", 4, "!");
    assert_true(slice_equal(buffer_slice(&buffer), slice_from("one 2 three 4!")));
    buffer_consume(&buffer, 4);
    assert_true(slice_equal(buffer_slice(&buffer), slice_from("2 three 4!")));
    buffer_consume(&buffer, buffer.size);
    assert_int_equal(buffer.size, 0);
    buffer_consume(&buffer, 0);
    buffer_append_text(&buffer, "again");
    assert_true(slice_equal(buffer_slice(&buffer), slice_from("again")));
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    buffer_release(&buffer);
    assert_null(buffer.data);
    buffer_append_byte(&buffer, 'x');
    assert_int_equal(buffer.size, 1);
    buffer_release(&buffer);
}

static void buffer_agrees_with_a_plain_array(void **state)
{
    (void)state;
    enum { MODEL_BYTES = 1 << 16 };
    struct random random;
    random_init(&random, test_seed());
    uint8_t *model = memory_allocate(MODEL_BYTES);
    size_t size = 0;
    struct buffer buffer = {0};
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[300];
        size_t count = random_below(&random, sizeof bytes);
        if (random_below(&random, 3) == 0 || size + count > MODEL_BYTES) {
            count = count < size ? count : size;
            memmove(model, model + count, size - count);
            size -= count;
            buffer_consume(&buffer, count);
        } else {
            for (size_t k = 0; k < count; k++)
                bytes[k] = (uint8_t)random_next(&random);
            memcpy(model + size, bytes, count);
            size += count;
            buffer_append(&buffer, bytes, count);
        }
        assert_true(slice_equal(buffer_slice(&buffer), slice_make(model, size)));
    }
    memory_free(model);
    buffer_release(&buffer);
}

static void buffer_printf_makes_room_for_any_length(void **state)
{
    (void)state;
    for (int width = 1; width < 400; width++) {
        struct buffer buffer = {0};
        buffer_printf(&buffer, "%*d", width, 7);
        buffer_printf(&buffer, "%*d", width, 8);
        assert_int_equal(buffer.size, 2 * width);
        assert_int_equal(buffer.data[width - 1], '7');
        assert_int_equal(buffer.data[2 * width - 1], '8');
        buffer_release(&buffer);
    }
}

static void buffer_try_reserve_refuses_the_impossible_and_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_text(&buffer, "kept");
    struct buffer before = buffer;
    assert_int_equal(buffer_try_reserve(&buffer, SIZE_MAX), STATUS_NO_MEMORY);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they end the program */
    assert_int_equal(buffer_try_reserve(&buffer, SIZE_MAX / 2 - 100), STATUS_NO_MEMORY);
#endif
    assert_memory_equal(&before, &buffer, sizeof buffer);
    assert_int_equal(buffer_try_reserve(&buffer, 1000), STATUS_OK);
    assert_true(buffer.capacity >= 1004);
    const uint8_t *data = buffer.data;
    assert_int_equal(buffer_try_reserve(&buffer, 1000), STATUS_OK);
    assert_ptr_equal(buffer.data, data);
    assert_true(slice_equal(buffer_slice(&buffer), slice_from("kept")));
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_holds_what_was_appended_in_order),
        cmocka_unit_test(buffer_agrees_with_a_plain_array),
        cmocka_unit_test(buffer_printf_makes_room_for_any_length),
        cmocka_unit_test(buffer_try_reserve_refuses_the_impossible_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
