/* SPDX-License-Identifier: MIT */
#include "bench/disk.h"
#include "bench/results.h"
#include "lib/temp_directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void median_is_the_middle_or_the_mean_of_both(void **state)
{
    (void)state;
    assert_true(results_median_of((double[]){7}, 1) == 7);
    assert_true(results_median_of((double[]){9, 1, 5}, 3) == 5);
    assert_true(results_median_of((double[]){100, 1, 4, 2}, 4) == 3);
}

/* Three rounds of two cases; the best peer differs, and so does what is better. */
static void ratio_compares_medians_with_the_best_peer(void **state)
{
    struct results *results = results_create(NULL);
    double median, min, max, ratio;

    (void)state;
    for (unsigned round = 1; round <= 3; round++) {
        results_add(results, "s", "get", "cordwood", "ops_per_s", round, 10.0 * round);
        results_add(results, "s", "get", "rocksdb", "ops_per_s", round, 40);
        results_add(results, "s", "get", "leveldb", "ops_per_s", round, 5);
        results_add(results, "s", "get", "cordwood", "p99_us", round, 10);
        results_add(results, "s", "get", "rocksdb", "p99_us", round, 40);
        results_add(results, "s", "get", "leveldb", "p99_us", round, 5);
        results_add(results, "s", "alone", "cordwood", "ops_per_s", round, 1);
    }
    results_note(results, "s", "get", "cordwood", "ops_per_s", "before", 1e9);
    assert_true(results_median(results, "s", "get", "cordwood", "ops_per_s", &median, &min, &max));
    assert_true(median == 20 && min == 10 && max == 30);
    assert_true(results_ratio(results, "s", "get", "ops_per_s", &ratio) && ratio == 0.5);
    assert_true(results_ratio(results, "s", "get", "p99_us", &ratio) && ratio == 0.5);
    assert_false(results_ratio(results, "s", "alone", "ops_per_s", &ratio));
    assert_false(results_median(results, "t", "get", "cordwood", "ops_per_s", &median, NULL, NULL));
    assert_true(results_finish(results));
}

static void file_has_conditions_figures_and_medians(void **state)
{
    static const char expected[] = "suite\tcase\tsubject\tmeasure\tround\tvalue\n"
                                   "s\tfill\tcordwood\tops_per_s\t1\t300\n"
                                   "s\tfill\tredis\tops_per_s\t1\t100\n"
                                   "s\tfill\tcordwood\tops_per_s\t2\t500\n"
                                   "s\tfill\tredis\tops_per_s\t2\t100\n"
                                   "s\tfill\tcordwood\tops_per_s\tmedian\t400\n"
                                   "s\tfill\tcordwood\tratio:ops_per_s\tmedian\t4\n"
                                   "s\tfill\tredis\tops_per_s\tmedian\t100\n";
    char directory[TEMP_DIRECTORY_BYTES], path[512], content[4096] = "";

    (void)state;
    temp_directory_make(directory);
    snprintf(path, sizeof path, "%s/results.tsv", directory);
    setenv("BENCH_COMMIT", "abc123", 1);
    struct results *results = results_create(path);
    assert_non_null(results);
    results_condition(results, "option", "%d bits", 10);
    results_add(results, "s", "fill", "cordwood", "ops_per_s", 1, 300);
    results_add(results, "s", "fill", "redis", "ops_per_s", 1, 100);
    results_add(results, "s", "fill", "cordwood", "ops_per_s", 2, 500);
    results_add(results, "s", "fill", "redis", "ops_per_s", 2, 100);
    results_print(results, "s", "a table", "ops_per_s",
                  (const char *const[]){"cordwood", "redis", NULL}, 1);
    assert_true(results_finish(results));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    content[fread(content, 1, sizeof content - 1, file)] = 0;
    fclose(file);
    assert_non_null(strstr(content, "# commit\tabc123\n"));
    assert_non_null(strstr(content, "# option\t10 bits\n"));
    assert_non_null(strstr(content, "# cpu\t"));
    assert_string_equal(strstr(content, "suite\t"), expected);
    temp_directory_remove(directory);
}

static void disk_is_measured_and_leaves_nothing_behind(void **state)
{
    char directory[TEMP_DIRECTORY_BYTES];
    struct disk_sync sync = {0};

    (void)state;
    temp_directory_make(directory);
    assert_true(disk_measure(directory, 5, &sync));
    assert_int_equal(sync.count, 5);
    assert_true(sync.p50_us > 0 && sync.p50_us <= sync.p99_us && sync.p99_us <= sync.max_us);
    assert_int_equal(rmdir(directory), 0); /* it is empty */
    assert_false(disk_measure(directory, 5, &sync));
}

static void disk_difference_is_the_same_in_both_directions(void **state)
{
    struct disk_sync fast = {.p50_us = 100}, slow = {.p50_us = 250};

    (void)state;
    assert_true(disk_difference(&fast, &slow) == 2.5);
    assert_true(disk_difference(&slow, &fast) == 2.5);
    assert_true(disk_difference(&fast, &fast) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_is_the_middle_or_the_mean_of_both),
        cmocka_unit_test(ratio_compares_medians_with_the_best_peer),
        cmocka_unit_test(file_has_conditions_figures_and_medians),
        cmocka_unit_test(disk_is_measured_and_leaves_nothing_behind),
        cmocka_unit_test(disk_difference_is_the_same_in_both_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
