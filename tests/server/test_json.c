/* SPDX-License-Identifier: MIT */
/* The JSON protocol over its socket: every action, every error, and what other lines of the
 * connection have to do with a bad one: nothing. */
#include "lib/test_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct test_server server;

static int set_up(void **state)
{
    static struct resp_client client;
    struct resp_client redis;
    struct buffer shown = {0};

    test_server_connect(&server, &redis);
    assert_string_equal(resp_client_ask(&redis, &shown, "FLUSHALL"), "+OK");
    resp_client_close(&redis);
    buffer_release(&shown);
    test_server_connect_json(&server, &client);
    *state = &client;
    return 0;
}

static int tear_down(void **state)
{
    resp_client_close(*state);
    return 0;
}

static void expect_line(struct resp_client *client, const char *expected)
{
    struct slice line = {0};

    assert_true(resp_client_read_line(client, &line));
    if (!slice_equal(line, slice_from(expected))) {
        print_error("%.*s\n", (int)line.size, (const char *)line.data);
        fail_msg("expected %s", expected);
    }
}

/* Sends a line and expects one. */
static void check(struct resp_client *client, const char *line, const char *expected)
{
    assert_true(resp_client_send(client, slice_from(line)));
    assert_true(resp_client_send(client, slice_from("\n")));
    expect_line(client, expected);
}

/* What the Redis protocol says about it. */
static void check_redis(const char *shown_reply, const char *const *words)
{
    struct resp_client redis;
    struct buffer shown = {0};

    test_server_connect(&server, &redis);
    assert_string_equal(resp_client_ask_texts(&redis, &shown, words), shown_reply);
    resp_client_close(&redis);
    buffer_release(&shown);
}

#define REDIS(shown, ...) check_redis(shown, (const char *const[]){__VA_ARGS__, NULL})
#define ERROR(code, text) \
    "{\"status\":\"error\",\"errcode\":\"" code "\",\"detail\":{\"message\":\"" text "\"}}"

static void what_is_written_is_read_back_as_it_was(void **state)
{
    struct resp_client *client = *state;

    check(client,
          "{\"action\":\"write\",\"message\":\"hello\\n\\u00e9\",\"timestamp\":123456789,"
          "\"metadata\":"
          "{\"level\":\"INFO\",\"n\":1.10,\"big\":18446744073709551616,\"e\":1E5,\"zero\":-0,"
          "\"yes\":true,"
          "\"none\":null,\"text\":\"1\",\"deep\":{\"a\": [1,{\"b\":\"\\u0041\"}]}}}",
          "{\"status\":\"ok\",\"id\":\"123456789-0\"}");
    check(client, "{\"action\":\"read\",\"start_ts\":0,\"end_ts\":18446744073709551615}",
          "{\"status\":\"ok\",\"data\":[{\"timestamp\":123456789,\"message\":\"hello\\n\xc3\xa9\","
          "\"metadata\":{\"level\":\"INFO\",\"n\":1.10,\"big\":18446744073709551616,\"e\":1E5,"
          "\"zero\":-0,"
          "\"yes\":true,\"none\":null,\"text\":\"1\",\"deep\":{\"a\": [1,{\"b\":\"\\u0041\"}]}},"
          "\"version\":1}]}");
    REDIS(":1", "XLEN", "dls");
}

static void logs_are_keys(void **state)
{
    struct resp_client *client = *state;

    check(client, "{\"action\":\"write\",\"message\":\"a\",\"timestamp\":5,\"log\":\"one\"}",
          "{\"status\":\"ok\",\"id\":\"5-0\"}");
    REDIS("[[\"5-0\", [\"message\", \"a\"]]]", "XRANGE", "one", "-", "+");
    REDIS("\"6-0\"", "XADD", "one", "6-0", "message", "b\xff", "host", "h");
    check(client, "{\"action\":\"read\",\"log\":\"one\"}",
          "{\"status\":\"ok\",\"data\":[{\"timestamp\":5,\"message\":\"a\",\"metadata\":{},"
          "\"version\":1},"
          "{\"timestamp\":6,\"message\":\"b\xef\xbf\xbd\",\"metadata\":{\"host\":\"h\"},"
          "\"version\":1}]}");
    check(client, "{\"action\":\"read\",\"log\":\"missing\"}", "{\"status\":\"ok\",\"data\":[]}");
    REDIS("+OK", "SET", "text", "v");
    check(client, "{\"action\":\"read\"}", "{\"status\":\"ok\",\"data\":[]}");
}

static void write_many_is_all_or_nothing(void **state)
{
    struct resp_client *client = *state;

    check(
        client,
        "{\"action\":\"write_many\",\"log\":\"m\",\"entries\":[{\"message\":\"a\",\"timestamp\":1},"
        "{\"message\":\"b\",\"timestamp\":1},{\"message\":\"c\",\"timestamp\":9}]}",
        "{\"status\":\"ok\",\"ids\":[\"1-0\",\"1-1\",\"9-0\"]}");
    check(client,
          "{\"action\":\"write_many\",\"log\":\"m\",\"entries\":[{\"message\":\"d\"},{\"message\":"
          "7}]}",
          "{\"status\":\"error\",\"errcode\":\"invalid_message\",\"detail\":{\"message\":"
          "\"message must be a string\",\"entry\":1}}");
    REDIS(":3", "XLEN", "m");
}

static void times_are_bounds_of_event_time(void **state)
{
    struct resp_client *client = *state;

    check(client, "{\"action\":\"write\",\"message\":\"new\",\"timestamp\":2000}",
          "{\"status\":\"ok\",\"id\":\"2000-0\"}");
    check(client, "{\"action\":\"write\",\"message\":\"late\",\"timestamp\":1000}",
          "{\"status\":\"ok\",\"id\":\"2000-1\"}");
    check(client, "{\"action\":\"read\",\"end_ts\":1999}",
          "{\"status\":\"ok\",\"data\":[{\"timestamp\":1000,\"message\":\"late\",\"metadata\":{},"
          "\"version\":1}]}");
    check(client, "{\"action\":\"read\",\"start_ts\":1001,\"end_ts\":2000}",
          "{\"status\":\"ok\",\"data\":[{\"timestamp\":2000,\"message\":\"new\",\"metadata\":{},"
          "\"version\":1}]}");
    check(client, "{\"action\":\"read\",\"start_ts\":3000,\"end_ts\":2000}",
          "{\"status\":\"ok\",\"data\":[]}");
}

/* Follows the cursors to the end and counts what comes: each entry once. */
static void a_limited_read_goes_on_by_its_cursor(void **state)
{
    struct resp_client *client = *state;
    struct buffer request = {0};
    struct slice line;
    size_t seen = 0, rounds = 0;

    for (int i = 0; i < 25; i++) {
        buffer_clear(&request);
        buffer_printf(&request, "{\"action\":\"write\",\"message\":\"m%d\",\"timestamp\":%d}\n", i,
                      100 + i % 7 * 10);
        assert_true(resp_client_send(client, buffer_slice(&request)));
        assert_true(resp_client_read_line(client, &line));
        assert_true(slice_starts_with(line, slice_from("{\"status\":\"ok\",\"id\":")));
    }
    buffer_clear(&request);
    buffer_append_text(&request, "{\"action\":\"read\",\"limit\":4}\n");
    for (bool more = true; more; rounds++) {
        assert_true(rounds < 20);
        assert_true(resp_client_send(client, buffer_slice(&request)));
        assert_true(resp_client_read_line(client, &line));
        for (const uint8_t *at = line.data;
             (at = memmem(at, line.size - (size_t)(at - line.data), "\"message\"", 9)); at++)
            seen++;
        const uint8_t *cursor = memmem(line.data, line.size, "\"cursor\":\"", 10);
        more = cursor != NULL;
        if (more) {
            const uint8_t *end = memchr(cursor + 10, '"', 64);
            buffer_clear(&request);
            buffer_printf(&request, "{\"action\":\"read\",\"limit\":4,\"cursor\":\"%.*s\"}\n",
                          (int)(end - cursor - 10), (const char *)cursor + 10);
        }
    }
    assert_int_equal(seen, 25);
    check(client, "{\"action\":\"read\",\"cursor\":\"nonsense\"}",
          ERROR("invalid_cursor", "not a cursor of a reply"));
    buffer_release(&request);
}

static void a_bad_line_harms_no_other(void **state)
{
    struct resp_client *client = *state;
    static const char with_nul[] = "{\"action\":\"write\",\"message\":\"\0\"}\n";
    struct buffer lines = {0};

    buffer_append_text(&lines,
                       "{\"action\":\"write\",\"message\":\"a\",\"timestamp\":1}\n{nonsense\n");
    buffer_append(&lines, with_nul, sizeof with_nul - 1);
    buffer_append_text(&lines, "{\"deep\":");
    for (int i = 0; i < 1000; i++)
        buffer_append_text(&lines, "[");
    buffer_append_text(&lines, "\n{\"action\":\"fly\"}\n[]\n"
                               "{\"action\":\"write\",\"message\":\"b\",\"timestamp\":2}\r\n");
    assert_true(resp_client_send(client, buffer_slice(&lines)));
    expect_line(client, "{\"status\":\"ok\",\"id\":\"1-0\"}");
    expect_line(client, ERROR("invalid_json", "byte 1: a key in double quotes is expected"));
    expect_line(client,
                ERROR("invalid_json", "byte 29: a control character in a string must be escaped"));
    expect_line(client, ERROR("invalid_json", "byte 71: nested too deep"));
    expect_line(client, ERROR("unknown_action", "action must be write, write_many, read or auth"));
    expect_line(client, ERROR("invalid_json", "byte 0: '{' is expected"));
    expect_line(client, "{\"status\":\"ok\",\"id\":\"2-0\"}");
    buffer_release(&lines);
}

static void numbers_must_be_u64(void **state)
{
    struct resp_client *client = *state;

    check(client, "{\"action\":\"read\",\"start_ts\":-1}", ERROR("invalid_start_ts", "InvalidU64"));
    check(client, "{\"action\":\"read\",\"end_ts\":18446744073709551616}",
          ERROR("invalid_end_ts", "InvalidU64"));
    check(client, "{\"action\":\"write\",\"message\":\"\",\"timestamp\":1.5}",
          ERROR("invalid_timestamp", "InvalidU64"));
    check(client, "{\"action\":\"write\",\"message\":\"\",\"timestamp\":\"5\"}",
          ERROR("invalid_timestamp", "InvalidU64"));
}

static void a_large_message_is_refused_and_the_largest_is_not(void **state)
{
    struct resp_client *client = *state;
    struct buffer line = {0};
    enum { MAX = 1 << 20 };

    for (int extra = 0; extra < 2; extra++) {
        buffer_clear(&line);
        buffer_append_text(&line, "{\"action\":\"write\",\"timestamp\":7,\"message\":\"");
        buffer_reserve(&line, MAX + 1);
        memset(line.data + line.size, 'x', MAX + 1);
        line.size += (size_t)MAX + (size_t)extra;
        buffer_append_text(&line, "\"}\n");
        assert_true(resp_client_send(client, buffer_slice(&line)));
        expect_line(client,
                    extra ? "{\"status\":\"error\",\"errcode\":\"message_too_large\",\"detail\":"
                            "{\"max_size\":1048576,\"unit\":\"byte\"}}"
                          : "{\"status\":\"ok\",\"id\":\"7-0\"}");
    }
    buffer_release(&line);
}

static void half_a_line_at_the_end_is_an_error(void **state)
{
    struct resp_client *client = *state;
    struct slice line;

    assert_true(resp_client_send(
        client,
        slice_from("{\"action\":\"write\",\"message\":\"a\",\"timestamp\":1}\n{\"action\":\"wri")));
    shutdown(client->socket, SHUT_WR);
    expect_line(client, "{\"status\":\"ok\",\"id\":\"1-0\"}");
    assert_true(resp_client_read_line(client, &line));
    assert_true(
        slice_starts_with(line, slice_from("{\"status\":\"error\",\"errcode\":\"invalid_json\"")));
    assert_true(resp_client_sees_close(client));
}

static void a_browser_is_closed_without_an_answer(void **state)
{
    struct resp_client *client = *state;

    assert_true(resp_client_send(
        client,
        slice_from(
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n{\"action\":\"write\",\"message\":\"x\"}\n")));
    assert_true(resp_client_sees_close(client));
    REDIS(":0", "EXISTS", "dls");
}

static void with_a_password_auth_comes_first(void **state)
{
    struct resp_client *client = *state, redis;
    struct buffer shown = {0};
    struct slice line;

    test_server_connect(&server, &redis);
    resp_client_ask(&redis, &shown, "CONFIG", "SET", "requirepass", "secret");
    resp_client_close(client);
    test_server_connect_json(&server, client);
    assert_true(resp_client_send(client, slice_from("{\"action\":\"read\"}\n")));
    assert_true(resp_client_read_line(client, &line));
    assert_true(slice_starts_with(line, slice_from("{\"status\":\"error\",")));
    assert_true(
        resp_client_send(client, slice_from("{\"action\":\"auth\",\"password\":\"wrong\"}\n")));
    assert_true(resp_client_read_line(client, &line));
    assert_true(slice_starts_with(line, slice_from("{\"status\":\"error\",")));
    check(client, "{\"action\":\"auth\",\"user\":\"default\",\"password\":\"secret\"}",
          "{\"status\":\"ok\"}");
    check(client, "{\"action\":\"read\"}", "{\"status\":\"ok\",\"data\":[]}");
    resp_client_ask(&redis, &shown, "CONFIG", "SET", "requirepass", "");
    resp_client_close(&redis);
    buffer_release(&shown);
}

static void a_restart_after_kill_keeps_what_was_answered(void **state)
{
    struct resp_client *client = *state;

    check(client,
          "{\"action\":\"write\",\"message\":\"kept\",\"timestamp\":1,\"metadata\":{\"n\":5}}",
          "{\"status\":\"ok\",\"id\":\"1-0\"}");
    test_server_kill(&server);
    test_server_start(&server, NULL);
    resp_client_close(client);
    test_server_connect_json(&server, client);
    check(
        client, "{\"action\":\"read\"}",
        "{\"status\":\"ok\",\"data\":[{\"timestamp\":1,\"message\":\"kept\",\"metadata\":{\"n\":5},"
        "\"version\":1}]}");
}

static int start_server(void **state)
{
    (void)state;
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, NULL);
    return 0;
}

static int stop_code; /* cmocka does not count a failed teardown */

static int stop_server(void **state)
{
    (void)state;
    stop_code = test_server_stop(&server); /* a sanitizer's complaint is not 0 */
    test_server_release(&server);
    return stop_code;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back_as_it_was),
        TEST(logs_are_keys),
        TEST(write_many_is_all_or_nothing),
        TEST(times_are_bounds_of_event_time),
        TEST(a_limited_read_goes_on_by_its_cursor),
        TEST(a_bad_line_harms_no_other),
        TEST(numbers_must_be_u64),
        TEST(a_large_message_is_refused_and_the_largest_is_not),
        TEST(half_a_line_at_the_end_is_an_error),
        TEST(a_browser_is_closed_without_an_answer),
        TEST(with_a_password_auth_comes_first),
        TEST(a_restart_after_kill_keeps_what_was_answered),
    };
    int failed = cmocka_run_group_tests(tests, start_server, stop_server);

    return failed || stop_code;
}
