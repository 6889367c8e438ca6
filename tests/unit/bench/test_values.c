/* SPDX-License-Identifier: MIT */
#include "bench/values.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <lz4.h>

#include <cmocka.h>

static void a_number_has_always_the_same_value(void **state)
{
    struct values a, b;

    (void)state;
    values_init(&a, 1);
    values_init(&b, 1);
    for (uint64_t i = 0; i < 200000; i++) {
        struct slice half = values_half(&a, i, 100), line = values_line(&a, i);
        assert_true(slice_equal(half, values_half(&b, i, 100)));
        assert_false(slice_equal(half, values_half(&a, i + 1, 100)));
        assert_true(slice_equal(line, values_line(&b, i)));
        assert_in_range(line.size, 80, 140);
        assert_int_equal(line.data[line.size], 0);
    }
    values_release(&a);
    values_release(&b);
}

/* A block of the engines: 16 KiB of values. */
static void half_of_a_block_is_left_by_lz4(void **state)
{
    enum { VALUES = 160, SIZE = 100 };
    char block[VALUES * SIZE], packed[2 * VALUES * SIZE];
    struct values values;

    (void)state;
    values_init(&values, 1);
    for (uint64_t i = 0; i < VALUES; i++)
        memcpy(block + i * SIZE, values_half(&values, i, SIZE).data, SIZE);
    int size = LZ4_compress_default(block, packed, sizeof block, sizeof packed);
    assert_in_range(size, sizeof block * 45 / 100, sizeof block * 62 / 100);
    values_release(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_has_always_the_same_value),
        cmocka_unit_test(half_of_a_block_is_left_by_lz4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
