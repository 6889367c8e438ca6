/* SPDX-License-Identifier: MIT */
/* Decoding as a table of lines and what they mean; json-c is the judge of what is JSON at all. */
#include "json/json.h"

#include "base/memory.h"
#include "base/random.h"
#include "json/json_reader.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct json_limits limits = {.message_bytes_max = 20};

static void show_text(struct buffer *out, const char *name, struct slice text)
{
    buffer_printf(out, " %s=[", name);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i])
            buffer_append_byte(out, text.data[i]);
        else
            buffer_append_text(out, "<0>");
    buffer_append_text(out, "]");
}

static void show_entry(struct buffer *out, const struct json_line *request,
                       const struct json_entry *entry)
{
    show_text(out, "message", entry->message);
    if (entry->has_timestamp)
        buffer_printf(out, " ts=%llu", (unsigned long long)entry->timestamp);
    if (entry->has_metadata)
        buffer_printf(out, " metadata(%zu)", entry->field_count);
    for (size_t i = 0; i < entry->field_count; i++) {
        const struct json_field *field = &request->fields[entry->field_first + i];
        show_text(out, field->is_json ? "json" : "string", field->name);
        show_text(out, "", field->value);
    }
}

static void show_request(struct buffer *out, const struct json_line *request)
{
    static const char *const actions[] = {"write", "write_many", "read", "auth"};

    buffer_append_text(out, actions[request->action]);
    if (request->has_log)
        show_text(out, "log", request->log);
    for (size_t i = 0; i < request->entry_count; i++)
        show_entry(out, request, &request->entries[i]);
    if (request->action == JSON_READ)
        buffer_printf(out, " %llu..%llu", (unsigned long long)request->start_ts,
                      (unsigned long long)request->end_ts);
    if (request->has_limit)
        buffer_printf(out, " limit=%llu", (unsigned long long)request->limit);
    if (request->has_cursor)
        show_text(out, "cursor", request->cursor);
    if (request->has_user)
        show_text(out, "user", request->user);
    if (request->action == JSON_AUTH)
        show_text(out, "password", request->password);
}

/* The request as text, or the error reply without its line end. The line is copied to memory of
 * just its size, so that reading too far is found. */
static void check_bytes(const void *bytes, size_t size, const char *expected)
{
    static struct json_line request; /* reused, as a session does */
    struct json_error error;
    struct buffer out = {0};
    uint8_t *line = memory_copy(bytes, size);

    if (json_line_decode(&request, slice_make(line, size), &limits, &error)) {
        show_request(&out, &request);
    } else {
        json_reply_error(&out, &error);
        assert_true(out.size > 0);
        assert_int_equal(out.data[out.size - 1], '\n');
        out.size--;
    }
    buffer_append_byte(&out, 0);
    assert_string_equal((char *)out.data, expected);
    buffer_release(&out);
    json_line_release(&request);
    memory_free(line);
}

static void check(const char *line, const char *expected)
{
    check_bytes(line, strlen(line), expected);
}

#define ERROR(code, text) \
    "{\"status\":\"error\",\"errcode\":\"" code "\",\"detail\":{\"message\":\"" text "\"}}"
#define ERROR_AT(code, text, entry)                                                  \
    "{\"status\":\"error\",\"errcode\":\"" code "\",\"detail\":{\"message\":\"" text \
    "\",\"entry\":" entry "}}"
#define WRITE "{\"action\":\"write\",\"message\":\"m\""

static void a_write_has_its_members(void **state)
{
    (void)state;
    check("{\"action\":\"write\",\"message\":\"\"}", "write message=[]");
    check(
        "{\"timestamp\":123,\"metadata\":{\"level\":\"INFO\"},\"log\":\"name\",\"message\":\"hi\","
        "\"action\":\"write\"}",
        "write log=[name] message=[hi] ts=123 metadata(1) string=[level] =[INFO]");
    check(" {\t\"action\" : \"write\" , \"message\" : \"m\" } \r", "write message=[m]");
    check(WRITE ",\"metadata\":{}}", "write message=[m] metadata(0)");
    check(WRITE ",\"metadata\":null,\"timestamp\":null,\"log\":null}", "write message=[m]");
    check(WRITE ",\"log\":\"\"}", "write log=[] message=[m]");
    check(WRITE ",\"unknown\":[{\"x\":1}]}", "write message=[m]");
    check("{\"\\u0061ction\":\"wri\\u0074e\",\"message\":\"m\"}", "write message=[m]");
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    check("{\"action\":\"write\",\"message\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
          "write message=[\"\\/\b\f\n\r\t]");
    check("{\"action\":\"write\",\"message\":\"a\\u0000b\"}", "write message=[a<0>b]");
    check("{\"action\":\"write\",\"message\":\"\\u00e9\\u20AC\\ud83d\\ude00\"}",
          "write message=[\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80]");
    check("{\"action\":\"write\",\"message\":\"\xc3\xa9\xf0\x9f\x98\x80 \x7f\"}",
          "write message=[\xc3\xa9\xf0\x9f\x98\x80 \x7f]");
    check(WRITE ",\"metadata\":{\"a\\tb\":\"c\\nd\",\"\":\"\\u0001\"}}",
          "write message=[m] metadata(2) string=[a\tb] =[c\nd] string=[] =[\x01]");
}

static void metadata_keeps_types_and_digits(void **state)
{
    (void)state;
    check(WRITE
          ",\"metadata\":{\"a\":1.10,\"b\":1e400,\"c\":-0,\"d\":18446744073709551616,\"e\":1E5,"
          "\"f\":0.0e-7}}",
          "write message=[m] metadata(6) json=[a] =[1.10] json=[b] =[1e400] json=[c] =[-0] "
          "json=[d] =[18446744073709551616] json=[e] =[1E5] json=[f] =[0.0e-7]");
    check(WRITE ",\"metadata\":{\"a\":true,\"b\":false,\"c\":null,\"d\":\"null\"}}",
          "write message=[m] metadata(4) json=[a] =[true] json=[b] =[false] json=[c] =[null] "
          "string=[d] =[null]");
    check(WRITE ",\"metadata\":{\"a\":{\"b\": [1,\"x\\n\",{}]},\"c\":[]}}",
          "write message=[m] metadata(2) json=[a] =[{\"b\": [1,\"x\\n\",{}]}] json=[c] =[[]]");
}

static void the_last_of_equal_keys_wins(void **state)
{
    (void)state;
    check("{\"action\":\"read\",\"action\":\"write\",\"message\":1,\"message\":\"m\"}",
          "write message=[m]");
    check(WRITE ",\"metadata\":{\"a\":1,\"b\":2,\"a\":\"3\",\"\\u0062\":4}}",
          "write message=[m] metadata(2) string=[a] =[3] json=[b] =[4]");
    check(WRITE ",\"timestamp\":5,\"timestamp\":null}", "write message=[m]");
}

static void the_last_of_many_equal_keys_wins(void **state)
{
    (void)state;
    struct buffer line = {0}, expected = {0};

    buffer_append_text(&line, WRITE ",\"metadata\":{");
    for (int i = 0; i < 100; i++)
        buffer_printf(&line, "%s\"k%d\":%d", i ? "," : "", i % 40, i);
    buffer_append_text(&line, "}}");
    buffer_append_text(&expected, "write message=[m] metadata(40)");
    for (int i = 60; i < 100; i++)
        buffer_printf(&expected, " json=[k%d] =[%d]", i % 40, i);
    buffer_append_byte(&expected, 0);
    check_bytes(line.data, line.size, (char *)expected.data);
    buffer_release(&line);
    buffer_release(&expected);
}

static void write_many_has_entries(void **state)
{
    (void)state;
    check("{\"action\":\"write_many\",\"entries\":[]}", "write_many");
    check("{\"entries\":[{\"message\":\"a\",\"timestamp\":1},{\"metadata\":{\"x\":2,\"y\":\"\\t\"},"
          "\"message\":\"\\u0062\"} , {\"message\":\"c\",\"metadata\":{\"z\":[]}}],"
          "\"action\":\"write_many\",\"log\":\"l\"}",
          "write_many log=[l] message=[a] ts=1 message=[b] metadata(2) json=[x] =[2] "
          "string=[y] =[\t] message=[c] metadata(1) json=[z] =[[]]");
}

static void read_and_auth_have_their_members(void **state)
{
    (void)state;
    check("{\"action\":\"read\"}", "read 0..18446744073709551615");
    check("{\"action\":\"read\",\"start_ts\":0,\"end_ts\":18446744073709551615,\"limit\":10,"
          "\"cursor\":\"1-1\",\"log\":\"l\"}",
          "read log=[l] 0..18446744073709551615 limit=10 cursor=[1-1]");
    check("{\"action\":\"read\",\"start_ts\":9007199254740993,\"end_ts\":18446744073709551614}",
          "read 9007199254740993..18446744073709551614");
    check("{\"action\":\"auth\",\"password\":\"p\\u0000\"}", "auth password=[p<0>]");
    check("{\"action\":\"auth\",\"user\":\"u\",\"password\":\"p\"}", "auth user=[u] password=[p]");
}

static void what_is_not_u64_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "-1",    "-0",   "1.0", "1e3", "18446744073709551616",   "1E0",
        "\"1\"", "true", "[]",  "{}",  "99999999999999999999999"};
    char line[128];

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "{\"action\":\"read\",\"start_ts\":%s}", wrong[i]);
        check(line, ERROR("invalid_start_ts", "InvalidU64"));
        snprintf(line, sizeof line, "{\"action\":\"read\",\"end_ts\":%s}", wrong[i]);
        check(line, ERROR("invalid_end_ts", "InvalidU64"));
        snprintf(line, sizeof line, "{\"action\":\"read\",\"limit\":%s}", wrong[i]);
        check(line, ERROR("invalid_limit", "InvalidU64"));
        snprintf(line, sizeof line, WRITE ",\"timestamp\":%s}", wrong[i]);
        check(line, ERROR("invalid_timestamp", "InvalidU64"));
    }
}

static void wrong_members_are_named(void **state)
{
    (void)state;
    check("{}", ERROR("unknown_action", "action must be write, write_many, read or auth"));
    check("{\"action\":\"WRITE\"}",
          ERROR("unknown_action", "action must be write, write_many, read or auth"));
    check("{\"action\":7}",
          ERROR("unknown_action", "action must be write, write_many, read or auth"));
    check("{\"action\":\"write\"}", ERROR("invalid_message", "message must be a string"));
    check("{\"action\":\"write\",\"message\":null}",
          ERROR("invalid_message", "message must be a string"));
    check("{\"action\":\"write\",\"message\":5}",
          ERROR("invalid_message", "message must be a string"));
    check(WRITE ",\"metadata\":[]}", ERROR("invalid_metadata", "metadata must be an object"));
    check(WRITE ",\"metadata\":\"x\"}", ERROR("invalid_metadata", "metadata must be an object"));
    check(WRITE ",\"log\":1}", ERROR("invalid_log", "log must be a string"));
    check("{\"action\":\"read\",\"log\":1}", ERROR("invalid_log", "log must be a string"));
    check("{\"action\":\"read\",\"cursor\":1}", ERROR("invalid_cursor", "cursor must be a string"));
    check("{\"action\":\"auth\"}", ERROR("invalid_auth", "password must be a string"));
    check("{\"action\":\"auth\",\"user\":1,\"password\":\"\"}",
          ERROR("invalid_auth", "user must be a string"));
    check("{\"action\":\"auth\",\"password\":1}",
          ERROR("invalid_auth", "password must be a string"));
    check("{\"action\":\"write_many\"}",
          ERROR("invalid_entries", "entries must be an array of objects"));
    check("{\"action\":\"write_many\",\"entries\":{}}",
          ERROR("invalid_entries", "entries must be an array of objects"));
}

static void a_wrong_entry_is_numbered(void **state)
{
    (void)state;
    check("{\"action\":\"write_many\",\"entries\":[{\"message\":\"m\"},5]}",
          ERROR_AT("invalid_entries", "an entry must be an object", "1"));
    check("{\"action\":\"write_many\",\"entries\":[{}]}",
          ERROR_AT("invalid_message", "message must be a string", "0"));
    check("{\"action\":\"write_many\",\"entries\":[{\"message\":\"\",\"metadata\":1}]}",
          ERROR_AT("invalid_metadata", "metadata must be an object", "0"));
    check("{\"action\":\"write_many\",\"entries\":[{\"message\":\"\",\"timestamp\":-1}]}",
          ERROR_AT("invalid_timestamp", "InvalidU64", "0"));
    check("{\"action\":\"write_many\",\"entries\":[{\"message\":\"123456789012345678901\"}]}",
          "{\"status\":\"error\",\"errcode\":\"message_too_large\",\"detail\":{\"max_size\":20,"
          "\"unit\":\"byte\",\"entry\":0}}");
}

static void a_message_is_measured_unescaped(void **state)
{
    (void)state;
    check("{\"action\":\"write\",\"message\":\"1234567890123456789\\u0041\"}",
          "write message=[1234567890123456789A]");
    check("{\"action\":\"write\",\"message\":\"12345678901234567890\\u0041\"}",
          "{\"status\":\"error\",\"errcode\":\"message_too_large\",\"detail\":{\"max_size\":20,"
          "\"unit\":\"byte\"}}");
}

static void what_is_not_json_is_located(void **state)
{
    (void)state;
    static const struct {
        const char *line, *text;
    } cases[] = {
        {"", "byte 0: '{' is expected"},
        {"[]", "byte 0: '{' is expected"},
        {"{", "byte 1: a key in double quotes is expected"},
        {"{1:2}", "byte 1: a key in double quotes is expected"},
        {"{'a':1}", "byte 1: a key in double quotes is expected"},
        {"{\"a\"}", "byte 4: ':' is expected"},
        {"{\"a\":}", "byte 5: a value is expected"},
        {"{\"a\":1", "byte 6: ',' or '}' is expected"},
        {"{\"a\":1,}", "byte 7: a key in double quotes is expected"},
        {"{\"a\":1 \"b\":2}", "byte 7: ',' or '}' is expected"},
        {"{\"a\":[1 2]}", "byte 8: ',' or ']' is expected"},
        {"{\"a\":[1,]}", "byte 8: a value is expected"},
        {"{\"a\":[}", "byte 6: a value is expected"},
        {"{\"a\":1}x", "byte 7: nothing may follow the object"},
        {"{}{}", "byte 2: nothing may follow the object"},
        {"{\"a\":01}", "byte 6: a number must not begin with 0"},
        {"{\"a\":-}", "byte 6: a digit is missing"},
        {"{\"a\":1.}", "byte 7: a digit is missing"},
        {"{\"a\":.5}", "byte 5: a value is expected"},
        {"{\"a\":+5}", "byte 5: a value is expected"},
        {"{\"a\":1e}", "byte 7: a digit is missing"},
        {"{\"a\":1e+}", "byte 8: a digit is missing"},
        {"{\"a\":NaN}", "byte 5: a value is expected"},
        {"{\"a\":Infinity}", "byte 5: a value is expected"},
        {"{\"a\":nul}", "byte 5: a value is expected"},
        {"{\"a\":truE}", "byte 5: a value is expected"},
        {"{\"a\":falsy}", "byte 5: a value is expected"},
        {"{\"a\":nulls}", "byte 9: ',' or '}' is expected"},
        {"{\"a\":\"x", "byte 7: a string is not closed"},
        {"{\"a\":\"x\\", "byte 7: an escape is not valid"},
        {"{\"a\":\"\\x\"}", "byte 6: an escape is not valid"},
        {"{\"a\":\"\\u12g4\"}", "byte 6: an escape is not valid"},
        {"{\"a\":\"\\u12", "byte 6: an escape is not valid"},
        {"{\"a\":\"\\ud800\"}", "byte 6: an escape is not valid"},
        {"{\"a\":\"\\ud800\\u0041\"}", "byte 6: an escape is not valid"},
        {"{\"a\":\"\\udc00\"}", "byte 6: an escape is not valid"},
        {"{\"a\":\"12345678\t\"}", "byte 14: a control character in a string must be escaped"},
        {"{\"a\":\"\xff\"}", "byte 6: a string is not UTF-8"},
        {"{\"a\":\"\xc0\x80\"}", "byte 6: a string is not UTF-8"},
        {"{\"a\":\"\xed\xa0\x80\"}", "byte 6: a string is not UTF-8"},
        {"{\"a\":\"\xf4\x90\x80\x80\"}", "byte 6: a string is not UTF-8"},
        {"{\"a\":\"\xe2\x82\"}", "byte 6: a string is not UTF-8"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer expected = {0};
        buffer_append_text(
            &expected,
            "{\"status\":\"error\",\"errcode\":\"invalid_json\",\"detail\":{\"message\":");
        json_string(&expected, slice_from(cases[i].text));
        buffer_append(&expected, "}}", 3);
        check(cases[i].line, (char *)expected.data);
        buffer_release(&expected);
    }
}

static void nul_bytes_are_refused(void **state)
{
    (void)state;
    check_bytes("{\"a\":\"x\0y\"}", 11,
                ERROR("invalid_json", "byte 7: a control character in a string must be escaped"));
    check_bytes("{\"a\":\0 1}", 9, ERROR("invalid_json", "byte 5: a value is expected"));
    check_bytes("{}\0", 3, ERROR("invalid_json", "byte 2: nothing may follow the object"));
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    struct buffer line = {0};
    char expected[200];

    for (int depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX; depth++) {
        buffer_clear(&line);
        buffer_append_text(&line, WRITE ",\"deep\":");
        for (int i = 0; i < depth; i++)
            buffer_append_text(&line, "[");
        for (int i = 0; i < depth; i++)
            buffer_append_text(&line, "]");
        buffer_append_text(&line, "}");
        snprintf(expected, sizeof expected, ERROR("invalid_json", "byte %zu: nested too deep"),
                 strlen(WRITE ",\"deep\":") + JSON_DEPTH_MAX - 1);
        check_bytes(line.data, line.size, depth < JSON_DEPTH_MAX ? "write message=[m]" : expected);
    }
    buffer_clear(&line);
    for (int i = 0; i < 1000000; i++)
        buffer_append_text(&line, i ? "[" : "{\"a\":");
    check_bytes(line.data, line.size, ERROR("invalid_json", "byte 68: nested too deep"));
    buffer_release(&line);
}

/* What we take for JSON, json-c takes for JSON too. (It also takes more: NaN, "1.", raw tabs.) */
static void json_c_agrees(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "{",   "}",     "[",       "]",        ",",
        ":",   "\"a\"", "\"\\n\"", "1",        "-2.5",
        "1e9", "true",  " ",       "null",     "\"\\ud83d\\ude00\"",
        "0",   "\"\"",  "false",   "\xc3\xa9", "\\",
        "\"",  "-",     "e5"};
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 42;
    struct random random;
    struct buffer text = {0};
    size_t accepted = 0;

    print_message("SEED=%llu\n", (unsigned long long)seed);
    random_init(&random, seed);
    for (int round = 0; round < 200000; round++) {
        struct json_reader reader;
        struct json_value value;
        size_t count = 1 + random_below(&random, 9);
        buffer_clear(&text);
        for (size_t i = 0; i < count; i++)
            buffer_append_text(&text,
                               pieces[random_below(&random, sizeof pieces / sizeof *pieces)]);
        json_reader_init(&reader, buffer_slice(&text));
        if (!json_reader_value(&reader, &value) || !json_reader_ends(&reader))
            continue;
        accepted++;
        buffer_append_byte(&text, 0);
        struct json_tokener *tokener = json_tokener_new();
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        struct json_object *object =
            json_tokener_parse_ex(tokener, (char *)text.data, (int)text.size);
        if (json_tokener_get_error(tokener) != json_tokener_success)
            fail_msg("json-c refuses %s", (char *)text.data);
        json_object_put(object);
        json_tokener_free(tokener);
    }
    assert_true(accepted > 1000);
    buffer_release(&text);
}

enum { MEMBERS = 9000, LARGE_LINES = 2 };

/* Lines whose fields, entries and escapes are above MEMORY_SURE_BYTES. */
static void append_large_line(struct buffer *line, int which)
{
    buffer_append_text(line, which ? "{\"action\":\"write_many\",\"entries\":["
                                   : "{\"action\":\"write\",\"message\":\"\\n\",\"metadata\":{");
    for (int i = 0; i < MEMBERS; i++) {
        if (which)
            buffer_printf(line, "%s{\"message\":\"%d\"}", i ? "," : "", i);
        else
            buffer_printf(line, "%s\"key %d\":\"\\t%d\"", i ? "," : "", i % (MEMBERS - 1), i);
    }
    buffer_append_text(line, which ? "]}" : "}}");
}

static void a_line_without_memory_is_refused(void **state)
{
    (void)state;
    for (int which = 0; which < LARGE_LINES; which++) {
        struct buffer line = {0};
        uint64_t n = 1;
        append_large_line(&line, which);
        for (bool good = false; !good; n++) {
            struct json_line request = {0};
            struct json_error error;
            memory_fail_try(n, n % 2 == 0);
            good = json_line_decode(&request, buffer_slice(&line), &limits, &error);
            memory_fail_try(0, false);
            if (!good)
                assert_string_equal(error.code, "no_memory");
            else
                assert_int_equal(which ? request.entry_count : request.field_count,
                                 which ? MEMBERS : MEMBERS - 1);
            json_line_release(&request);
        }
        assert_true(n > 3);
        buffer_release(&line);
    }
}

/* As lines of NDJSON are: checked first, written afterwards. */
static void a_second_reading_takes_no_memory(void **state)
{
    (void)state;
    struct json_line request = {.keeps_memory = true};
    struct json_error error;
    struct buffer lines[LARGE_LINES] = {{0}};
    for (int i = 0; i < LARGE_LINES; i++) {
        append_large_line(&lines[i], i);
        assert_true(json_line_decode(&request, buffer_slice(&lines[i]), &limits, &error));
    }
    memory_fail_try(1, true);
    for (int i = 0; i < LARGE_LINES; i++)
        assert_true(json_line_decode(&request, buffer_slice(&lines[i]), &limits, &error));
    memory_fail_try(0, false);
    json_line_release(&request);
    for (int i = 0; i < LARGE_LINES; i++)
        buffer_release(&lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_has_its_members),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(metadata_keeps_types_and_digits),
        cmocka_unit_test(the_last_of_equal_keys_wins),
        cmocka_unit_test(the_last_of_many_equal_keys_wins),
        cmocka_unit_test(write_many_has_entries),
        cmocka_unit_test(read_and_auth_have_their_members),
        cmocka_unit_test(what_is_not_u64_is_refused),
        cmocka_unit_test(wrong_members_are_named),
        cmocka_unit_test(a_wrong_entry_is_numbered),
        cmocka_unit_test(a_message_is_measured_unescaped),
        cmocka_unit_test(what_is_not_json_is_located),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(json_c_agrees),
        cmocka_unit_test(a_line_without_memory_is_refused),
        cmocka_unit_test(a_second_reading_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
