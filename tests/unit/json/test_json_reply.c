/* SPDX-License-Identifier: MIT */
/* Replies byte for byte, and any bytes as a string that is valid JSON. */
#include "json/json.h"

#include "base/random.h"
#include "json/json_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void expect(struct buffer *out, const char *text)
{
    buffer_append_byte(out, 0);
    assert_string_equal((char *)out->data, text);
    buffer_release(out);
}

static void check_string(const char *text, const char *expected)
{
    struct buffer out = {0};

    json_string(&out, slice_from(text));
    expect(&out, expected);
}

static void strings_are_escaped(void **state)
{
    (void)state;
    check_string("", "\"\"");
    check_string("a plain line, longer than eight", "\"a plain line, longer than eight\"");
    check_string("\"\\/", "\"\\\"\\\\/\"");
    check_string("\b\t\n\v\f\r\x01\x1f\x7f", "\"\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7f\"");
    check_string("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    struct buffer out = {0};
    json_string(&out, slice_make("a\0b", 3));
    expect(&out, "\"a\\u0000b\"");
}

#define LOST "\xef\xbf\xbd"
static void what_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    check_string("\xff", "\"" LOST "\"");
    check_string("a\x80z", "\"a" LOST "z\"");
    check_string("\xe2\x82z", "\"" LOST "z\""); /* one beginning, one replacement */
    check_string("\xf0\x9f\x98", "\"" LOST "\"");
    check_string("\xf0\x9fz", "\"" LOST "z\"");
    check_string("\xc0\x80", "\"" LOST LOST "\""); /* no sequence begins so */
    check_string("\xed\xa0\x80", "\"" LOST LOST LOST "\"");
    check_string("\xf4\x90\x80\x80", "\"" LOST LOST LOST LOST "\"");
    check_string("\xe2\xe2\x82\xac", "\"" LOST "\xe2\x82\xac\"");
}

static void any_bytes_become_valid_json(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 7;
    struct random random;
    struct buffer out = {0};

    print_message("SEED=%llu\n", (unsigned long long)seed);
    random_init(&random, seed);
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[24];
        size_t size = random_below(&random, sizeof bytes + 1);
        bool ascii = random_below(&random, 2);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_below(&random, ascii ? 128 : 256);
        buffer_clear(&out);
        json_string(&out, slice_make(bytes, size));
        struct json_reader reader;
        struct json_value value;
        json_reader_init(&reader, buffer_slice(&out));
        assert_true(json_reader_value(&reader, &value));
        assert_true(json_reader_ends(&reader));
        if (ascii) {
            struct buffer back = {0};
            json_unescape(value.text, &back);
            assert_true(slice_equal(buffer_slice(&back), slice_make(bytes, size)));
            buffer_release(&back);
        }
    }
    buffer_release(&out);
}

static void replies_to_writes(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json_list list;

    json_reply_ok(&out);
    expect(&out, "{\"status\":\"ok\"}\n");
    json_reply_id(&out, slice_from("1-0"));
    expect(&out, "{\"status\":\"ok\",\"id\":\"1-0\"}\n");
    json_reply_ids_begin(&list, &out);
    json_reply_ids_end(&list);
    expect(&out, "{\"status\":\"ok\",\"ids\":[]}\n");
    json_reply_ids_begin(&list, &out);
    json_reply_ids_add(&list, slice_from("1-0"));
    json_reply_ids_add(&list, slice_from("1-1"));
    json_reply_ids_end(&list);
    expect(&out, "{\"status\":\"ok\",\"ids\":[\"1-0\",\"1-1\"]}\n");
}

static void replies_to_reads(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json_list list;
    const struct json_field fields[] = {
        {slice_from("level"), slice_from("INFO"), false},
        {slice_from("n"), slice_from("1.10"), true},
    };

    json_reply_data_begin(&list, &out);
    json_reply_data_end(&list, slice_make(NULL, 0));
    expect(&out, "{\"status\":\"ok\",\"data\":[]}\n");
    json_reply_data_begin(&list, &out);
    json_reply_data_add(&list, 0, slice_from("a"), NULL, 0);
    json_reply_data_add(&list, UINT64_MAX, slice_from("b\n"), fields, 2);
    json_reply_data_end(&list, slice_from("5-5"));
    expect(&out, "{\"status\":\"ok\",\"data\":["
                 "{\"timestamp\":0,\"message\":\"a\",\"metadata\":{},\"version\":1},"
                 "{\"timestamp\":18446744073709551615,\"message\":\"b\\n\",\"metadata\":"
                 "{\"level\":\"INFO\",\"n\":1.10},\"version\":1}],\"cursor\":\"5-5\"}\n");
}

static void errors_say_what_to_mend(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json_error error;

    json_error_set(&error, "storage_full", "free %d \"bytes\"", 5);
    json_reply_error(&out, &error);
    expect(&out, "{\"status\":\"error\",\"errcode\":\"storage_full\",\"detail\":{\"message\":"
                 "\"free 5 \\\"bytes\\\"\"}}\n");
    error = (struct json_error){.code = "message_too_large", .bytes_max = 1048576};
    json_reply_error(&out, &error);
    expect(&out, "{\"status\":\"error\",\"errcode\":\"message_too_large\",\"detail\":{\"max_size\":"
                 "1048576,\"unit\":\"byte\"}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(any_bytes_become_valid_json),
        cmocka_unit_test(replies_to_writes),
        cmocka_unit_test(replies_to_reads),
        cmocka_unit_test(errors_say_what_to_mend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
