/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"
#include "base/coding.h"
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

/* Whatever is appended: all of it, or nothing and `failed`. */
static void a_buffer_that_may_fail_leaves_out_what_finds_no_memory(void **state)
{
    (void)state;
    struct buffer buffer = {.may_fail = true};
    uint8_t *large = memory_zeroed(1, MEMORY_SURE_BYTES);
    buffer_append(&buffer, large, MEMORY_SURE_BYTES - 30);
    while (buffer.size < buffer.capacity)
        buffer_append_byte(&buffer, 1);
    assert_true(buffer.size <= MEMORY_SURE_BYTES);
    assert_false(buffer.failed);
    size_t size = buffer.size;
    for (int i = 0; i < 7; i++) {
        memory_fail_try(1, true);
        switch (i) {
        case 0:
            buffer_append_byte(&buffer, 2);
            break;
        case 1:
            buffer_append(&buffer, large, MEMORY_SURE_BYTES);
            break;
        case 2:
            buffer_printf(&buffer, "%d", 12345);
            break;
        case 3:
            buffer_append_varint(&buffer, UINT64_MAX);
            buffer_append_le64(&buffer, 1);
            break;
        case 4:
            buffer_append_le16(&buffer, 1);
            buffer_append_be16(&buffer, 1);
            break;
        case 5:
            buffer_append_le32(&buffer, 1);
            buffer_append_be32(&buffer, 1);
            break;
        case 6:
            buffer_append_be64(&buffer, 1);
            assert_false(buffer_reserve(&buffer, SIZE_MAX));
            break;
        }
        memory_fail_try(0, false);
        assert_int_equal(buffer.size, size);
        assert_true(buffer.failed);
        buffer.failed = false;
    }
    buffer_append_byte(&buffer, 2);
    assert_int_equal(buffer.size, size + 1);
    buffer_release(&buffer);
    assert_true(buffer.may_fail);
    memory_free(large);
}

/* Up to MEMORY_SURE_BYTES nothing is tried. */
static void a_small_buffer_that_may_fail_does_not(void **state)
{
    (void)state;
    struct buffer buffer = {.may_fail = true};
    uint64_t tried = memory_try_count();
    for (size_t i = 0; i < MEMORY_SURE_BYTES; i++)
        buffer_append_byte(&buffer, 3);
    assert_int_equal(memory_try_count(), tried);
    buffer_append_byte(&buffer, 3);
    assert_int_equal(memory_try_count(), tried + 1);
    assert_false(buffer.failed);
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_holds_what_was_appended_in_order),
        cmocka_unit_test(buffer_agrees_with_a_plain_array),
        cmocka_unit_test(buffer_printf_makes_room_for_any_length),
        cmocka_unit_test(buffer_try_reserve_refuses_the_impossible_and_changes_nothing),
        cmocka_unit_test(a_buffer_that_may_fail_leaves_out_what_finds_no_memory),
        cmocka_unit_test(a_small_buffer_that_may_fail_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
