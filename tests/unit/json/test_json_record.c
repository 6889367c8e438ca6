/* SPDX-License-Identifier: MIT */
/* Log records of NDJSON: a table of lines and what they mean. */
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct json_limits limits = {.message_bytes_max = 20};
static struct json_line line;

/* "message|timestamp|name=value name:json", or "code: text". */
static const char *decoded(const char *text)
{
    static char shown[512];
    struct json_error error;
    if (!json_record_decode(&line, slice_from(text), &limits, &error)) {
        snprintf(shown, sizeof shown, "%s: %s", error.code, error.text);
        return shown;
    }
    const struct json_entry *entry = &line.entries[0];
    assert_int_equal(line.entry_count, 1);
    assert_int_equal(entry->field_count, line.field_count);
    size_t size = (size_t)snprintf(shown, sizeof shown, "%.*s|", (int)entry->message.size,
                                   (const char *)entry->message.data);
    if (entry->timestamp_text.data)
        size += (size_t)snprintf(shown + size, sizeof shown - size, "'%.*s'",
                                 (int)entry->timestamp_text.size,
                                 (const char *)entry->timestamp_text.data);
    else if (entry->has_timestamp)
        size += (size_t)snprintf(shown + size, sizeof shown - size, "%llu",
                                 (unsigned long long)entry->timestamp);
    for (size_t i = 0; i < line.field_count; i++)
        size +=
            (size_t)snprintf(shown + size, sizeof shown - size, "%s%.*s%s%.*s", i ? " " : "|",
                             (int)line.fields[i].name.size, (const char *)line.fields[i].name.data,
                             line.fields[i].is_json ? ":" : "=", (int)line.fields[i].value.size,
                             (const char *)line.fields[i].value.data);
    return shown;
}

static void message_and_timestamp_are_picked_out(void **state)
{
    (void)state;
    assert_string_equal(decoded("{\"message\":\"m\"}"), "m|");
    assert_string_equal(decoded(" { \"timestamp\" : 18446744073709551615 , \"message\":\"m\" } "),
                        "m|18446744073709551615");
    assert_string_equal(decoded("{\"message\":\"m\",\"timestamp\":\"2024-05-01\"}"),
                        "m|'2024-05-01'");
    assert_string_equal(decoded("{\"message\":\"m\",\"timestamp\":null}"), "m|");
    assert_string_equal(decoded("{\"message\":\"a\\nb\"}"), "a\nb|");
}

static void other_members_are_fields_as_they_were_written(void **state)
{
    (void)state;
    assert_string_equal(
        decoded("{\"level\":\"warn\",\"message\":\"m\",\"n\":1.50,\"o\":{\"a\":[1, 2]},\"b\":true,"
                "\"z\":null,\"e\\u0041\":\"\"}"),
        "m||level=warn n:1.50 o:{\"a\":[1, 2]} b:true z:null eA=");
}

static void the_last_of_equal_members_wins(void **state)
{
    (void)state;
    assert_string_equal(
        decoded("{\"message\":\"a\",\"x\":1,\"timestamp\":\"t\",\"message\":\"b\",\"timestamp\":5,"
                "\"x\":\"2\"}"),
        "b|5|x=2");
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    assert_string_equal(decoded("{}"), "invalid_message: message must be a string");
    assert_string_equal(decoded("{\"message\":5}"), "invalid_message: message must be a string");
    assert_string_equal(decoded("{\"message\":\"m\",\"timestamp\":-1}"),
                        "invalid_timestamp: InvalidU64");
    assert_string_equal(decoded("{\"message\":\"m\",\"timestamp\":[]}"),
                        "invalid_timestamp: InvalidU64");
    assert_string_equal(decoded("{\"message\":\"123456789012345678901\"}"), "message_too_large: ");
    assert_string_equal(decoded("[]"), "invalid_json: byte 0: '{' is expected");
    assert_string_equal(decoded("{\"message\":\"m\"}x"),
                        "invalid_json: byte 15: nothing may follow the object");
    assert_int_equal(strncmp(decoded("{\"message\":\"m\""), "invalid_json:", 13), 0);
    assert_int_equal(strncmp(decoded(""), "invalid_json:", 13), 0);
}

static int release(void **state)
{
    (void)state;
    json_line_release(&line);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_and_timestamp_are_picked_out),
        cmocka_unit_test(other_members_are_fields_as_they_were_written),
        cmocka_unit_test(the_last_of_equal_members_wins),
        cmocka_unit_test(what_is_no_record_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
