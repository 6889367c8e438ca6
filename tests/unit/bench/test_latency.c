/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/random.h"
#include "bench/latency.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void small_values_are_exact(void **state)
{
    struct latency *latency = memory_zeroed(1, sizeof *latency);

    (void)state;
    assert_int_equal(latency_percentile(latency, 50), 0);
    for (uint64_t ns = 1; ns <= 100; ns++)
        latency_record(latency, ns);
    assert_int_equal(latency->count, 100);
    assert_int_equal(latency->min_ns, 1);
    assert_int_equal(latency->max_ns, 100);
    assert_int_equal(latency_percentile(latency, 0), 1);
    assert_int_equal(latency_percentile(latency, 50), 50);
    assert_int_equal(latency_percentile(latency, 95), 95);
    assert_int_equal(latency_percentile(latency, 99), 99);
    assert_int_equal(latency_percentile(latency, 99.9), 100);
    assert_int_equal(latency_percentile(latency, 100), 100);
    assert_true(latency_mean(latency) == 50.5);
    memory_free(latency);
}

/* Every power of two, its neighbours, and the end of the scale. */
static void one_value_comes_back_exactly_or_within_a_percent(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int step = -1; step <= 1; step++) {
            struct latency *latency = memory_zeroed(1, sizeof *latency);
            uint64_t ns = ((uint64_t)1 << bit) + (uint64_t)step;
            latency_record(latency, ns);
            latency_record(latency, ns);
            assert_int_equal(latency_percentile(latency, 50), ns); /* bounded by min and max */
            latency_record(latency, 0);
            latency_record(latency, UINT64_MAX);
            double error = ((double)latency_percentile(latency, 60) - (double)ns) / (double)ns;
            if (ns > 0 && ns >> LATENCY_BITS_MAX == 0)
                assert_true(error <= 0.005 && error >= -0.005);
            assert_true(latency_percentile(latency, 100) == UINT64_MAX);
            memory_free(latency);
        }
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* Against sorting; the values span 1 ns to a minute, as many in each power of two. */
static void percentiles_agree_with_sorting_within_a_percent(void **state)
{
    enum { COUNT = 20000 };
    static const double percents[] = {0.1, 1, 25, 50, 90, 95, 99, 99.9, 99.99};
    uint64_t *values = memory_allocate(COUNT * sizeof *values);
    struct latency *parts[2] = {memory_zeroed(1, sizeof **parts), memory_zeroed(1, sizeof **parts)};
    struct latency *merged = memory_zeroed(1, sizeof *merged);
    struct random random;

    (void)state;
    random_init(&random, test_seed());
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = 1 + random_below(&random, (uint64_t)1 << (1 + random_below(&random, 36)));
        latency_record(parts[i % 2], values[i]);
    }
    latency_merge(merged, parts[0]);
    latency_merge(merged, parts[1]);
    latency_merge(merged, &(struct latency){0});
    qsort(values, COUNT, sizeof *values, compare_numbers);
    assert_int_equal(merged->count, COUNT);
    assert_int_equal(merged->min_ns, values[0]);
    assert_int_equal(merged->max_ns, values[COUNT - 1]);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        size_t rank = (size_t)((double)COUNT * percents[i] / 100 + 0.999999) - 1;
        double exact = (double)values[rank];
        double error = ((double)latency_percentile(merged, percents[i]) - exact) / exact;
        assert_true(error < 0.01 && error > -0.01);
    }
    memory_free(values);
    memory_free(parts[0]);
    memory_free(parts[1]);
    memory_free(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(one_value_comes_back_exactly_or_within_a_percent),
        cmocka_unit_test(percentiles_agree_with_sorting_within_a_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
