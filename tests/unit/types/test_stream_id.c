/* SPDX-License-Identifier: MIT */
#include "types/stream_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define TOP "18446744073709551615"

static const char *shown(struct stream_id id)
{
    static char text[STREAM_ID_TEXT_MAX];
    size_t size = stream_id_format(id, text);
    assert_int_equal(size, strlen(text));
    return text;
}

static void expect_strict(const char *text, uint64_t missing_seq, const char *expected)
{
    struct stream_id id = {7, 7};
    assert_int_equal(stream_id_parse_strict(slice_from(text), missing_seq, &id), expected != NULL);
    assert_string_equal(shown(id), expected ? expected : "7-7");
}

static void an_id_is_read_with_and_without_its_sequence(void **state)
{
    (void)state;
    expect_strict("5-3", 9, "5-3");
    expect_strict("5", 9, "5-9");
    expect_strict("0-0", 9, "0-0");
    expect_strict(TOP "-" TOP, 0, TOP "-" TOP);
    expect_strict(TOP, UINT64_MAX, TOP "-" TOP);
}

static void numbers_are_read_as_strtoull_does(void **state)
{
    (void)state;
    expect_strict("007-01", 0, "7-1");
    expect_strict("+5-+3", 0, "5-3");
    expect_strict(" 5- 3", 0, "5-3");
    expect_strict("00000000000000000000000000000000005", 0, "5-0");
}

static void what_is_no_id_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "-5",
                                      "5-",
                                      "5--3",
                                      "a",
                                      "5-a",
                                      "5a",
                                      "5-3-1",
                                      "18446744073709551616",
                                      "5-18446744073709551616",
                                      "5 ",
                                      "*",
                                      "5-*",
                                      "(5",
                                      "$",
                                      ">"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_strict(bad[i], 0, NULL);
    struct stream_id id;
    char many[200];
    memset(many, '0', sizeof many);
    assert_false(stream_id_parse_strict(slice_make(many, 128), 0, &id));
    assert_true(stream_id_parse_strict(slice_make(many, 127), 0, &id));
    assert_false(stream_id_parse_strict(slice_make("5\0001", 3), 0, &id));
}

static void bounds_know_minus_plus_and_parentheses(void **state)
{
    struct stream_id id = {7, 7};
    bool exclusive = true;
    (void)state;
    assert_true(stream_id_parse_bound(slice_from("-"), 0, &id, &exclusive));
    assert_string_equal(shown(id), "0-0");
    assert_false(exclusive);
    assert_true(stream_id_parse_bound(slice_from("+"), 0, &id, &exclusive));
    assert_string_equal(shown(id), TOP "-" TOP);
    assert_true(stream_id_parse_bound(slice_from("(5"), 4, &id, &exclusive));
    assert_string_equal(shown(id), "5-4");
    assert_true(exclusive);
    assert_false(stream_id_parse_bound(slice_from("("), 0, &id, &exclusive));
    assert_false(stream_id_parse_bound(slice_from("(-"), 0, &id, &exclusive));
    assert_false(stream_id_parse_bound(slice_from("(+"), 0, &id, &exclusive));
    assert_string_equal(shown(id), "5-4");
}

static void the_id_of_xadd_may_leave_parts_open(void **state)
{
    struct stream_id_spec spec;
    (void)state;
    assert_true(stream_id_parse_spec(slice_from("*"), &spec));
    assert_int_equal(spec.kind, STREAM_ID_AUTO);
    assert_true(stream_id_parse_spec(slice_from("5-*"), &spec));
    assert_int_equal(spec.kind, STREAM_ID_AUTO_SEQ);
    assert_string_equal(shown(spec.id), "5-0");
    assert_true(stream_id_parse_spec(slice_from("5"), &spec));
    assert_int_equal(spec.kind, STREAM_ID_GIVEN);
    assert_string_equal(shown(spec.id), "5-0");
    assert_false(stream_id_parse_spec(slice_from("*-5"), &spec));
    assert_false(stream_id_parse_spec(slice_from("5-**"), &spec));
    assert_false(stream_id_parse_spec(slice_from("-"), &spec));
}

static void neighbours_carry_over_and_stop_at_the_ends(void **state)
{
    struct stream_id id = {4, UINT64_MAX};
    (void)state;
    assert_true(stream_id_increment(&id));
    assert_string_equal(shown(id), "5-0");
    assert_true(stream_id_decrement(&id));
    assert_string_equal(shown(id), "4-" TOP);
    id = STREAM_ID_MAX;
    assert_false(stream_id_increment(&id));
    assert_string_equal(shown(id), TOP "-" TOP);
    id = STREAM_ID_MIN;
    assert_false(stream_id_decrement(&id));
    assert_string_equal(shown(id), "0-0");
}

static void the_order_of_bytes_is_the_order_of_ids(void **state)
{
    static const struct stream_id ids[] = {{0, 0},   {0, 1},   {0, 256},          {1, 0},
                                           {255, 9}, {256, 0}, {256, UINT64_MAX}, {UINT64_MAX, 0}};
    uint8_t a[STREAM_ID_BYTES], b[STREAM_ID_BYTES];
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        for (size_t j = 0; j < 8; j++) {
            stream_id_store(a, ids[i]);
            stream_id_store(b, ids[j]);
            int bytes = memcmp(a, b, sizeof a), order = stream_id_compare(ids[i], ids[j]);
            assert_int_equal((bytes > 0) - (bytes < 0), (order > 0) - (order < 0));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
        assert_int_equal(stream_id_compare(stream_id_load(a), ids[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_read_with_and_without_its_sequence),
        cmocka_unit_test(numbers_are_read_as_strtoull_does),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(bounds_know_minus_plus_and_parentheses),
        cmocka_unit_test(the_id_of_xadd_may_leave_parts_open),
        cmocka_unit_test(neighbours_carry_over_and_stop_at_the_ends),
        cmocka_unit_test(the_order_of_bytes_is_the_order_of_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
