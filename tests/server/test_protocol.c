/* SPDX-License-Identifier: MIT */
/* Bytes on the wire, good and bad: our server answers, and closes, as redis-server 7 does. */
#include "lib/test_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct test_server servers[2];
static bool has_redis;

/* Sends the bytes in pieces of `step`, reads as much as is expected, ends the sending side, and
 * reads on until the server closes. (Redis drops replies of a client that has ended before.) */
static void converse(enum test_server_kind kind, struct slice bytes, size_t step, size_t expected,
                     struct buffer *reply)
{
    struct resp_client client;
    char input[4096];
    ssize_t got = 1;

    test_server_connect(&servers[kind], &client);
    for (size_t at = 0; at < bytes.size; at += step) {
        size_t size = bytes.size - at < step ? bytes.size - at : step;
        if (!resp_client_send(&client, slice_make(bytes.data + at, size)))
            break; /* it has closed already */
    }
    buffer_clear(reply);
    for (bool ended = false; got > 0;) {
        if (!ended && reply->size >= expected)
            ended = shutdown(client.socket, SHUT_WR) == 0 || errno == ENOTCONN;
        got = recv(client.socket, input, sizeof input, 0);
        if (got > 0)
            buffer_append(reply, input, (size_t)got);
    }
    buffer_append_byte(reply, 0);
    resp_client_close(&client);
}

static void check_bytes(const void *bytes, size_t size, const char *expected)
{
    struct buffer reply = {0};

    for (int kind = 0; kind < 2; kind++) {
        for (size_t step = 1; step <= size; step = step * 7 + 3) {
            if (kind == SERVER_REDIS && !has_redis)
                continue;
            converse(kind, slice_make(bytes, size), step, strlen(expected), &reply);
            assert_string_equal((char *)reply.data, expected);
        }
    }
    buffer_release(&reply);
}

static void check(const char *text, const char *expected)
{
    check_bytes(text, strlen(text), expected);
}

static void good_requests_are_answered(void **state)
{
    (void)state;
    check("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
    check("PING\r\n", "+PONG\r\n");
    check("ping\n\r\n  \nECHO \"a\\x00\\nb\"\n", "+PONG\r\n$4\r\na");
    check("*0\r\n*-1\r\nECHO 'it\\'s'\r\n", "$4\r\nit's\r\n");
    check("*2\r\n$4\r\nECHO\r\n$0\r\n\r\nPING\r\n", "$0\r\n\r\n+PONG\r\n");
    check("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n",
          "$4\r\n\r\n\r\n\r\n+PONG\r\n");
    check("QUIT\r\nPING\r\n", "+OK\r\n");
    check("*1\r\n$4\r\nPING", "");
}

#define PROTOCOL_ERROR(text) "-ERR Protocol error: " text "\r\n"
static void broken_requests_are_refused_and_close(void **state)
{
    (void)state;
    check("*x\r\nPING\r\n", PROTOCOL_ERROR("invalid multibulk length"));
    check("*99999999999\r\n", PROTOCOL_ERROR("invalid multibulk length"));
    check("PING\r\n*1\r\n:1\r\n", "+PONG\r\n" PROTOCOL_ERROR("expected '$', got ':'"));
    check("*1\r\n$-1\r\n", PROTOCOL_ERROR("invalid bulk length"));
    check("*1\r\n$x\r\n", PROTOCOL_ERROR("invalid bulk length"));
    check("*1\r\n$536870913\r\n", PROTOCOL_ERROR("invalid bulk length"));
    check("set \"k\r\nPING\r\n", PROTOCOL_ERROR("unbalanced quotes in request"));
}

static void endless_lines_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *head, *error;
    } cases[] = {
        {"x", PROTOCOL_ERROR("too big inline request")},
        {"*", PROTOCOL_ERROR("too big mbulk count string")},
        {"*1\r\n$", PROTOCOL_ERROR("too big bulk count string")},
    };
    enum { SIZE = 70000 };
    char *line = malloc(SIZE);
    struct buffer reply = {0};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(line, '1', SIZE);
        memcpy(line, cases[i].head, strlen(cases[i].head));
        for (int kind = 0; kind < 2; kind++) {
            if (kind == SERVER_REDIS && !has_redis)
                continue;
            converse(kind, slice_make(line, SIZE), SIZE, strlen(cases[i].error), &reply);
            assert_string_equal((char *)reply.data, cases[i].error);
        }
    }
    free(line);
    buffer_release(&reply);
}

static void a_browser_is_closed_and_nothing_is_executed(void **state)
{
    (void)state;
    check("POST / HTTP/1.1\r\nSET browser 1\r\n", "");
    check("EXISTS browser\r\n", ":0\r\n");
}

static void a_thousand_requests_come_back_in_order(void **state)
{
    (void)state;
    struct buffer requests = {0}, expected = {0};

    for (int i = 0; i < 1000; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "%d", i);
        buffer_printf(&requests, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", size, text);
        buffer_printf(&expected, "$%d\r\n%s\r\n", size, text);
    }
    buffer_append_byte(&expected, 0);
    check_bytes(requests.data, requests.size, (char *)expected.data);
    buffer_release(&requests);
    buffer_release(&expected);
}

/* Without the password little may be said: count and size of arguments are bounded. */
static void strangers_may_say_little(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *reply;
    } cases[] = {
        {"PING\r\n", "-NOAUTH Authentication required.\r\n"},
        {"*11\r\n", PROTOCOL_ERROR("unauthenticated multibulk length")},
        {"*1\r\n$16385\r\n", PROTOCOL_ERROR("unauthenticated bulk length")},
        {"AUTH wrong\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n"},
        {"AUTH default secret\r\n*11\r\n$4\r\nPING", "+OK\r\n"},
        {"HELLO 2 AUTH default wrong\r\n",
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"NOSUCH\r\n", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"},
        {"GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"RESET\r\n", "+RESET\r\n"},
        {"QUIT\r\n", "+OK\r\n"},
    };
    struct buffer reply = {0}, shown = {0};

    for (int kind = 0; kind < 2; kind++) {
        struct resp_client client;
        if (kind == SERVER_REDIS && !has_redis)
            continue;
        test_server_connect(&servers[kind], &client);
        resp_client_ask(&client, &shown, "CONFIG", "SET", "requirepass", "secret");
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            converse(kind, slice_from(cases[i].bytes), 1000, strlen(cases[i].reply), &reply);
            assert_string_equal((char *)reply.data, cases[i].reply);
        }
        resp_client_ask(&client, &shown, "CONFIG", "SET", "requirepass", "");
        resp_client_close(&client);
    }
    buffer_release(&reply);
    buffer_release(&shown);
}

static int start_servers(void **state)
{
    (void)state;
    has_redis = test_server_available(SERVER_REDIS);
    for (int kind = 0; kind < 1 + has_redis; kind++) {
        test_server_init(&servers[kind], kind);
        test_server_start(&servers[kind], NULL);
    }
    return 0;
}

static int stop_code; /* cmocka does not count a failed teardown */

static int stop_servers(void **state)
{
    (void)state;
    for (int kind = 0; kind < 1 + has_redis; kind++) {
        stop_code |= test_server_stop(&servers[kind]); /* a sanitizer's complaint is not 0 */
        test_server_release(&servers[kind]);
    }
    return stop_code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_answered),
        cmocka_unit_test(broken_requests_are_refused_and_close),
        cmocka_unit_test(endless_lines_are_refused),
        cmocka_unit_test(a_browser_is_closed_and_nothing_is_executed),
        cmocka_unit_test(a_thousand_requests_come_back_in_order),
        cmocka_unit_test(strangers_may_say_little),
    };
    int failed = cmocka_run_group_tests(tests, start_servers, stop_servers);

    return failed || stop_code;
}
