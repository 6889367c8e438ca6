/* SPDX-License-Identifier: MIT */
#include "types/string_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { MANY = 1000 };

static struct slice string_of(unsigned i, char text[16])
{
    snprintf(text, 16, "%u", i);
    return slice_from(text);
}

static void numbers_go_by_the_order_of_coming(void **state)
{
    struct string_table table = {0};
    char text[16];
    (void)state;
    assert_int_equal(string_table_find(&table, slice_from("0"), 5), STRING_NONE);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(string_table_add(&table, string_of(i, text), i * 0x9e3779b9u), i);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(string_table_find(&table, string_of(i, text), i * 0x9e3779b9u), i);
        assert_true(slice_equal(string_table_get(&table, i), string_of(i, text)));
    }
    assert_int_equal(string_table_find(&table, slice_from("none"), 7), STRING_NONE);
    assert_int_equal(table.count, MANY);
    string_table_release(&table);
}

static void strings_of_one_hash_stay_apart(void **state)
{
    struct string_table table = {0};
    (void)state;
    assert_int_equal(string_table_add(&table, slice_from("a"), 15), 0);
    assert_int_equal(string_table_add(&table, slice_from(""), 15), 1);
    assert_int_equal(string_table_add(&table, slice_from("b"), 15 + 16), 2);
    assert_int_equal(string_table_find(&table, slice_from(""), 15), 1);
    assert_int_equal(string_table_find(&table, slice_from("b"), 15), STRING_NONE);
    assert_int_equal(string_table_find(&table, slice_from("b"), 15 + 16), 2);
    string_table_release(&table);
}

static void a_cleared_table_is_empty(void **state)
{
    struct string_table table = {0};
    (void)state;
    string_table_clear(&table);
    string_table_add(&table, slice_from("a"), 1);
    string_table_clear(&table);
    assert_int_equal(string_table_find(&table, slice_from("a"), 1), STRING_NONE);
    assert_int_equal(string_table_add(&table, slice_from("b"), 1), 0);
    assert_true(slice_equal(string_table_get(&table, 0), slice_from("b")));
    string_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_go_by_the_order_of_coming),
        cmocka_unit_test(strings_of_one_hash_stay_apart),
        cmocka_unit_test(a_cleared_table_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
