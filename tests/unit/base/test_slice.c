/* SPDX-License-Identifier: MIT */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void slices_sort_by_bytes_and_prefixes_first(void **state)
{
    (void)state;
    static const char *const ordered[] = {"", "a", "a\x01", "ab", "b", "\x7f", "\x80", "\xff"};
    enum { COUNT = sizeof ordered / sizeof ordered[0] };
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < COUNT; j++) {
            int order = slice_compare(slice_from(ordered[i]), slice_from(ordered[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(slice_equal(slice_from(ordered[i]), slice_from(ordered[j])), i == j);
        }
    }
    assert_int_equal(slice_compare(slice_make(NULL, 0), slice_make(NULL, 0)), 0);
}

static void slice_starts_with_its_prefixes_only(void **state)
{
    (void)state;
    assert_true(slice_starts_with(slice_from("abc"), slice_from("ab")));
    assert_true(slice_starts_with(slice_from("abc"), slice_from("abc")));
    assert_true(slice_starts_with(slice_from("abc"), slice_make(NULL, 0)));
    assert_false(slice_starts_with(slice_from("abc"), slice_from("abcd")));
    assert_false(slice_starts_with(slice_from("abc"), slice_from("b")));
    assert_true(slice_equal(slice_skip(slice_from("abc"), 1), slice_from("bc")));
}

static void slice_equal_nocase_ignores_ascii_case_alone(void **state)
{
    (void)state;
    assert_true(slice_equal_nocase(slice_from("MaxLen"), "maxlen"));
    assert_true(slice_equal_nocase(slice_from(""), ""));
    assert_false(slice_equal_nocase(slice_from("max"), "maxlen"));
    assert_false(slice_equal_nocase(slice_from("maxlen"), "max"));
    assert_false(slice_equal_nocase(slice_make("a\0", 2), "a"));
    assert_false(slice_equal_nocase(slice_make("\0", 1), ""));
    assert_false(slice_equal_nocase(slice_from("["), "{"));
    assert_false(slice_equal_nocase(slice_from("@"), "`"));
    assert_false(slice_equal_nocase(slice_from("\xc4"), "\xe4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_sort_by_bytes_and_prefixes_first),
        cmocka_unit_test(slice_starts_with_its_prefixes_only),
        cmocka_unit_test(slice_equal_nocase_ignores_ascii_case_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
