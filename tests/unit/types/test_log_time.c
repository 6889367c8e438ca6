/* SPDX-License-Identifier: MIT */
#include "types/log_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { NOW_MS = 2000000000 };

static void expect_time(const char *text, uint64_t expected)
{
    struct log_error error;
    uint64_t ms = 0;
    if (!log_time_parse(slice_from(text), NOW_MS, &ms, &error))
        fail_msg("%s: %s", text, error.text);
    assert_int_equal(ms, expected);
}

static void expect_error(const char *text, const char *expected)
{
    struct log_error error;
    uint64_t ms = 7;
    assert_false(log_time_parse(slice_from(text), NOW_MS, &ms, &error));
    assert_string_equal(error.text, expected);
    assert_int_equal(ms, 7);
}

static void milliseconds_and_ids_are_times(void **state)
{
    (void)state;
    expect_time("0", 0);
    expect_time("1714552200000", 1714552200000);
    expect_time("18446744073709551615", UINT64_MAX);
    expect_time("1714552200000-7", 1714552200000);
    expect_error("18446744073709551616", "invalid time '18446744073709551616'");
    expect_error("12a", "invalid time '12a'");
    expect_error("12-", "invalid time '12-'");
    expect_error("", "invalid time ''");
    expect_error("now", "invalid time 'now'");
}

static void relative_times_need_a_unit(void **state)
{
    (void)state;
    expect_time("-5ms", NOW_MS - 5);
    expect_time("-2s", NOW_MS - 2000);
    expect_time("-15m", NOW_MS - 900000);
    expect_time("-2H", NOW_MS - 7200000);
    expect_time("-7d", NOW_MS - 604800000);
    expect_time("-1w", NOW_MS - 604800000);
    expect_time("+1h", (uint64_t)NOW_MS + 3600000);
    expect_time("-99999w", 0);
    expect_time("-18446744073709551615w", 0);
    expect_time("+18446744073709551615w", UINT64_MAX);
    expect_error("-15", "invalid time '-15', unit required (ms s m h d w)");
    expect_error("-15y", "invalid time '-15y', unknown unit (ms s m h d w)");
    expect_error("-m", "invalid time '-m'");
    expect_error("-", "invalid time '-'");
}

static void iso_times_know_dates_fractions_and_zones(void **state)
{
    (void)state;
    expect_time("1970-01-01", 0);
    expect_time("2024-05-01T08:30:00Z", 1714552200000);
    expect_time("2024-05-01T08:30", 1714552200000);
    expect_time("2024-05-01 08:30:00.25Z", 1714552200250);
    expect_time("2024-05-01T08:30:00,123456789Z", 1714552200123);
    expect_time("2024-05-01T10:30:00+02:00", 1714552200000);
    expect_time("2024-05-01T05:00:00-0330", 1714552200000);
    expect_time("2024-05-01T09:30:00+01", 1714552200000);
    expect_time("2024-02-29", 1709164800000);
    expect_time("2000-02-29", 951782400000);
    expect_time("2016-12-31T23:59:60Z", 1483228800000);
    expect_time("9999-12-31T23:59:59.999Z", 253402300799999);
    static const char *const bad[] = {"2023-02-29",
                                      "1900-02-29",
                                      "2024-13-01",
                                      "2024-00-01",
                                      "2024-01-32",
                                      "2024-01-00",
                                      "2024-1-1",
                                      "2024-05-01T",
                                      "2024-05-01T08",
                                      "2024-05-01T24:00",
                                      "2024-05-01T08:60",
                                      "2024-05-01T08:30:61",
                                      "2024-05-01T08:30:00.",
                                      "2024-05-01T08:30:00x",
                                      "2024-05-01T08:30:00+",
                                      "2024-05-01T08:30:00+02:",
                                      "2024-05-01T08:30Zx",
                                      "1969-12-31",
                                      "1970-01-01T00:00+01:00",
                                      "2024-05-01X08:30"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "invalid time '%s'", bad[i]);
        expect_error(bad[i], expected);
    }
}

/* "first .. last" as moments, or "empty". */
static const char *bounds(const char *first_text, const char *last_text)
{
    static char text[200];
    struct stream_moment first, last;
    struct log_error error;
    bool is_empty;
    if (!log_bounds_parse(slice_from(first_text), slice_from(last_text), NOW_MS, &first, &last,
                          &is_empty, &error))
        return strcpy(text, error.text);
    if (is_empty)
        return "empty";
    char a[STREAM_ID_TEXT_MAX], b[STREAM_ID_TEXT_MAX];
    stream_id_format(first.id, a);
    stream_id_format(last.id, b);
    snprintf(text, sizeof text, "%llu:%s .. %llu:%s", (unsigned long long)first.event_ms, a,
             (unsigned long long)last.event_ms, b);
    return text;
}

#define TOP "18446744073709551615"

static void bounds_are_made_inclusive(void **state)
{
    (void)state;
    assert_string_equal(bounds("-", "+"), "0:0-0 .. " TOP ":" TOP "-" TOP);
    assert_string_equal(bounds("5", "9"), "5:0-0 .. 9:" TOP "-" TOP);
    assert_string_equal(bounds("(5", "(9"), "6:0-0 .. 8:" TOP "-" TOP);
    assert_string_equal(bounds("5-1", "9-2"), "5:5-1 .. 9:9-2");
    assert_string_equal(bounds("(5-1", "(9-2"), "5:5-2 .. 9:9-1");
    assert_string_equal(bounds("(5-" TOP, "(9-0"), "5:6-0 .. 9:8-" TOP);
    assert_string_equal(bounds("-1s", "+"), "1999999000:0-0 .. " TOP ":" TOP "-" TOP);
    assert_string_equal(bounds("9", "5"), "empty");
    assert_string_equal(bounds("(5", "(6"), "empty");
    assert_string_equal(bounds("-", "(0"), "empty");
    assert_string_equal(bounds("(" TOP, "+"), "empty");
    assert_string_equal(bounds("-", "(-"), "empty");
    assert_string_equal(bounds("(+", "+"), "empty");
    assert_string_equal(bounds("x", "+"), "invalid time 'x'");
    assert_string_equal(bounds("-", "(x"), "invalid time 'x'");
}

static void an_error_shows_no_more_than_it_can(void **state)
{
    char text[300];
    struct log_error error;
    uint64_t ms;
    (void)state;
    memset(text, 'x', sizeof text);
    assert_false(log_time_parse(slice_make(text, sizeof text), NOW_MS, &ms, &error));
    assert_int_equal(strlen(error.text), strlen("invalid time ''") + 64);
}

static void durations_are_shown_in_their_largest_whole_unit(void **state)
{
    char text[32];
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0 ms"},      {250, "250 ms"},   {1000, "1 s"},     {1500, "1500 ms"},
                 {600000, "10 m"}, {10800000, "3 h"}, {172800000, "2 d"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        log_duration_format(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(milliseconds_and_ids_are_times),
        cmocka_unit_test(relative_times_need_a_unit),
        cmocka_unit_test(iso_times_know_dates_fractions_and_zones),
        cmocka_unit_test(bounds_are_made_inclusive),
        cmocka_unit_test(an_error_shows_no_more_than_it_can),
        cmocka_unit_test(durations_are_shown_in_their_largest_whole_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
