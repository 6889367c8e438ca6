/* SPDX-License-Identifier: MIT */
#include "types/log_severity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static const char *canonical(const char *text)
{
    enum log_severity severity;
    if (!log_severity_parse(slice_from(text), &severity))
        return "?";
    return log_severity_name(severity);
}

static void names_in_any_case_are_levels_in_their_order(void **state)
{
    static const char *const names[] = {"trace", "DEBUG", "Info",  "notice", "warn",
                                        "error", "crit",  "alert", "emerg"};
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        enum log_severity severity;
        assert_true(log_severity_parse(slice_from(names[i]), &severity));
        assert_int_equal(severity, i);
    }
}

static void other_names_and_syslog_numbers_are_known(void **state)
{
    (void)state;
    assert_string_equal(canonical("WARNING"), "warn");
    assert_string_equal(canonical("err"), "error");
    assert_string_equal(canonical("fatal"), "crit");
    assert_string_equal(canonical("critical"), "crit");
    assert_string_equal(canonical("panic"), "emerg");
    assert_string_equal(canonical("informational"), "info");
    assert_string_equal(canonical("0"), "emerg");
    assert_string_equal(canonical("3"), "error");
    assert_string_equal(canonical("7"), "debug");
}

static void anything_else_is_no_level(void **state)
{
    (void)state;
    assert_string_equal(canonical("fatl"), "?");
    assert_string_equal(canonical(""), "?");
    assert_string_equal(canonical("8"), "?");
    assert_string_equal(canonical("33"), "?");
    assert_string_equal(canonical("infos"), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_any_case_are_levels_in_their_order),
        cmocka_unit_test(other_names_and_syslog_numbers_are_known),
        cmocka_unit_test(anything_else_is_no_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
