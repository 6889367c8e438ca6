/* SPDX-License-Identifier: MIT */
#include "lsm/lsn_intervals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void without_cuts_all_lsns_are_one(void **state)
{
    (void)state;
    struct lsn_intervals intervals = {NULL};
    lsn_intervals_begin(&intervals, 100);
    lsn_intervals_finish(&intervals);
    assert_int_equal(lsn_intervals_start(&intervals, 100), 100);
    assert_int_equal(lsn_intervals_start(&intervals, UINT64_MAX), 100);
    lsn_intervals_release(&intervals);
}

static void cuts_come_in_any_order_and_twice(void **state)
{
    (void)state;
    static const lsn_t cuts[] = {300, 150, 100, 7, 150, 200, 999};
    static const lsn_t expected[][2] = {{100, 100}, {149, 100}, {150, 150}, {199, 150},
                                        {200, 200}, {299, 200}, {300, 300}, {998, 300},
                                        {999, 999}, {5000, 999}};
    struct lsn_intervals intervals = {NULL};
    for (int again = 0; again < 2; again++) { /* a tree after another */
        lsn_intervals_begin(&intervals, 100);
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
            lsn_intervals_cut(&intervals, cuts[i]);
        lsn_intervals_finish(&intervals);
        assert_int_equal(intervals.count, 5);
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
            assert_int_equal(lsn_intervals_start(&intervals, expected[i][0]), expected[i][1]);
    }
    lsn_intervals_release(&intervals);
}

static void many_cuts_are_found(void **state)
{
    (void)state;
    struct lsn_intervals intervals = {NULL};
    lsn_intervals_begin(&intervals, 1);
    for (lsn_t lsn = 10000; lsn > 0; lsn -= 10)
        lsn_intervals_cut(&intervals, lsn);
    lsn_intervals_finish(&intervals);
    for (lsn_t lsn = 1; lsn < 10050; lsn++)
        assert_int_equal(lsn_intervals_start(&intervals, lsn), lsn < 10      ? 1
                                                               : lsn > 10000 ? 10000
                                                                             : lsn / 10 * 10);
    lsn_intervals_release(&intervals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_cuts_all_lsns_are_one),
        cmocka_unit_test(cuts_come_in_any_order_and_twice),
        cmocka_unit_test(many_cuts_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
