/* SPDX-License-Identifier: MIT */
#include "commands/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool matches(const char *pattern, const char *text)
{
    return glob_matches(slice_from(pattern), slice_from(text), false);
}

static void stars_and_question_marks_stand_for_bytes(void **state)
{
    (void)state;
    assert_true(matches("", ""));
    assert_false(matches("", "a"));
    assert_true(matches("*", ""));
    assert_true(matches("**", "abc"));
    assert_true(matches("a*", "abc"));
    assert_true(matches("*c", "abc"));
    assert_true(matches("a*c", "abc"));
    assert_true(matches("a*b*c", "aXbYbZc"));
    assert_false(matches("a*b*c", "aXbYbZ"));
    assert_true(matches("a?c", "abc"));
    assert_false(matches("a?c", "ac"));
    assert_false(matches("abc", "ab"));
    assert_false(matches("ab", "abc"));
    assert_true(matches("*ab", "aab"));
}

static void classes_hold_bytes_and_ranges(void **state)
{
    (void)state;
    assert_true(matches("h[ae]llo", "hello"));
    assert_true(matches("h[ae]llo", "hallo"));
    assert_false(matches("h[ae]llo", "hillo"));
    assert_false(matches("h[^e]llo", "hello"));
    assert_true(matches("h[^e]llo", "hallo"));
    assert_true(matches("k[0-9]", "k7"));
    assert_true(matches("k[9-0]", "k7"));
    assert_false(matches("k[0-9]", "kx"));
    assert_true(matches("k[\\]x]", "k]"));
    assert_true(matches("k[a-", "k-"));
    assert_false(matches("[", "a"));
    assert_true(matches("*[0-9]*", "ab5c"));
}

static void a_class_goes_on_behind_an_escape_once_it_has_matched(void **state)
{
    (void)state;
    assert_true(matches("[\\]\\]]", "]"));
    assert_false(matches("[\\]\\]]", "]]"));
    assert_true(matches("[a\\]b]c", "ac"));
    assert_false(matches("[a\\]b]c", "ab]c"));
}

static void a_backslash_takes_the_meaning_away(void **state)
{
    (void)state;
    assert_true(matches("a\\*c", "a*c"));
    assert_false(matches("a\\*c", "abc"));
    assert_true(matches("\\?", "?"));
    assert_true(matches("a\\", "a\\"));
}

static void case_counts_unless_told(void **state)
{
    (void)state;
    assert_false(matches("MAX*", "maxclients"));
    assert_true(glob_matches(slice_from("MAX[A-M]*"), slice_from("maxclients"), true));
}

static void many_stars_take_no_exponential_time(void **state)
{
    (void)state;
    char pattern[201], text[5001];
    for (int i = 0; i < 200; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    pattern[199] = 'b';
    pattern[200] = '\0';
    memset(text, 'a', 5000);
    text[5000] = '\0';
    assert_false(matches(pattern, text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_and_question_marks_stand_for_bytes),
        cmocka_unit_test(classes_hold_bytes_and_ranges),
        cmocka_unit_test(a_class_goes_on_behind_an_escape_once_it_has_matched),
        cmocka_unit_test(a_backslash_takes_the_meaning_away),
        cmocka_unit_test(case_counts_unless_told),
        cmocka_unit_test(many_stars_take_no_exponential_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
