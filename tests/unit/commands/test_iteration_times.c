/* SPDX-License-Identifier: MIT */
#include "commands/iteration_times.h"

#include "base/random.h"
#include "lib/seed.h"
#include "unit/commands/session_fixture.h"

#include <pthread.h>
#include <stdlib.h>

static void add_one(struct iteration_times *times, uint64_t own_us, uint64_t wall_us)
{
    iteration_times_add(times, &(struct iteration){.own_us = own_us, .wall_us = wall_us});
}

static struct iteration_summary summary_of(const struct iteration_times *times)
{
    struct iteration_summary summary;
    iteration_times_summarize(times, &summary);
    return summary;
}

static void nothing_is_all_zeros(void **state)
{
    (void)state;
    static struct iteration_times times;
    struct iteration_summary summary = summary_of(&times);
    assert_int_equal(summary.count, 0);
    assert_int_equal(summary.own_us_p999, 0);
    assert_int_equal(summary.own_us_max, 0);
}

static void small_times_and_maxima_are_exact(void **state)
{
    (void)state;
    static struct iteration_times times;
    add_one(&times, 3, 5);
    struct iteration_summary summary = summary_of(&times);
    assert_int_equal(summary.count, 1);
    assert_int_equal(summary.own_us_p50, 3);
    assert_int_equal(summary.wall_us_p999, 5);
    iteration_times_add(&times, &(struct iteration){.own_us = 12345, .log_us = 77});
    add_one(&times, UINT64_MAX, 0); /* beyond the last part */
    summary = summary_of(&times);
    assert_int_equal(summary.count, 3);
    assert_int_equal(summary.own_us_max, UINT64_MAX);
    assert_in_range(summary.own_us_p50, 12345, 12345 * 17 / 16);
    assert_int_equal(summary.log_us_max, 77);
    iteration_times_clear(&times);
    assert_int_equal(summary_of(&times).count, 0);
    assert_int_equal(summary_of(&times).own_us_max, 0);
    assert_int_equal(summary_of(&times).log_us_max, 0);
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void percentiles_are_those_of_sorted_times_and_never_less(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static struct iteration_times parts[2], all;
    static uint64_t sorted[COUNT];
    struct random random;
    random_init(&random, test_seed());
    for (size_t i = 0; i < COUNT; i++) {
        sorted[i] = random_next(&random) >> (34 + random_below(&random, 28));
        add_one(&parts[i % 2], sorted[i], 0);
    }
    iteration_times_merge(&all, &parts[0]);
    iteration_times_merge(&all, &parts[1]);
    qsort(sorted, COUNT, sizeof *sorted, compare);
    struct iteration_summary summary = summary_of(&all);
    assert_int_equal(summary.count, COUNT);
    assert_int_equal(summary.own_us_max, sorted[COUNT - 1]);
    uint64_t p50 = sorted[COUNT / 2 - 1], p999 = sorted[COUNT * 999 / 1000 - 1];
    assert_in_range(summary.own_us_p50, p50, p50 + p50 / 16);
    assert_in_range(summary.own_us_p999, p999, p999 + p999 / 16);
}

/* ---- In INFO ----------------------------------------------------------------------------------- */

static void count_one(struct session_fixture *f, uint64_t own_us)
{
    service_count_iteration(
        f->service, &(struct iteration){.own_us = own_us, .wall_us = own_us + 1, .log_us = 2});
}

static void *count_on_another_loop(void *context)
{
    count_one(context, 9);
    return NULL;
}

static void expect_info(struct session_fixture *f, const char *part)
{
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO cordwood"), part));
}

static void info_shows_all_loops_and_each(void **state)
{
    struct session_fixture *f = *state;
    pthread_t thread;
    expect_info(f, "\\nloop_iterations:0\\r\\nloop_iteration_us_p50:0\\r\\n");
    count_one(f, 4);
    count_one(f, 7);
    expect_info(f,
                "\\nloop_iterations:2\\r\\nloop_iteration_us_p50:4\\r\\n"
                "loop_iteration_us_p999:7\\r\\nloop_iteration_us_max:7\\r\\n"
                "loop_wall_us_p999:8\\r\\nloop_wall_us_max:8\\r\\nloop_log_write_us_max:2\\r\\n");
    assert_null(strstr(fixture_ask(f, f->a, "INFO cordwood"), "loop_0:"));
    assert_int_equal(pthread_create(&thread, NULL, count_on_another_loop, f), 0);
    pthread_join(thread, NULL);
    expect_info(f, "\\nloop_iterations:3\\r\\n");
    expect_info(f, ":iterations=2,iteration_us_p50=4,iteration_us_p999=7,iteration_us_max=7,"
                   "wall_us_p999=8,wall_us_max=8,log_write_us_max=2\\r\\n");
    expect_info(f, ":iterations=1,iteration_us_p50=9,iteration_us_p999=9,iteration_us_max=9,"
                   "wall_us_p999=10,wall_us_max=10,log_write_us_max=2\\r\\n");
}

static void resetstat_begins_anew_also_for_a_loop_that_rests(void **state)
{
    struct session_fixture *f = *state;
    count_one(f, 4);
    assert_string_equal(fixture_ask(f, f->a, "CONFIG RESETSTAT"), "+OK");
    expect_info(f, "\\nloop_iterations:0\\r\\nloop_iteration_us_p50:0\\r\\n");
    count_one(f, 5);
    expect_info(f, "\\nloop_iterations:1\\r\\nloop_iteration_us_p50:5\\r\\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_all_zeros),
        cmocka_unit_test(small_times_and_maxima_are_exact),
        cmocka_unit_test(percentiles_are_those_of_sorted_times_and_never_less),
        TEST(info_shows_all_loops_and_each),
        TEST(resetstat_begins_anew_also_for_a_loop_that_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
