/* SPDX-License-Identifier: MIT */
#include "base/decimal.h"

#include "base/random.h"
#include "lib/seed.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check(uint64_t value)
{
    char expected[DECIMAL_BYTES_MAX + 1];
    uint8_t given[DECIMAL_BYTES_MAX];
    int size = snprintf(expected, sizeof(expected), "%" PRIu64, value);
    uint8_t *end = decimal_put(given, value);
    assert_int_equal(decimal_size(value), size);
    assert_int_equal(end - given, size);
    assert_memory_equal(given, expected, (size_t)size);
}

static void around_every_power_of_ten(void **state)
{
    (void)state;
    uint64_t power = 1;
    for (int digits = 1; digits <= DECIMAL_BYTES_MAX; digits++, power *= 10)
        for (uint64_t value = power - 1; value <= power + 1; value++)
            check(value);
    check(UINT64_MAX);
}

static void of_every_length(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 100000; i++)
        check(random_next(&random) >> random_next(&random) % 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(around_every_power_of_ten),
        cmocka_unit_test(of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
