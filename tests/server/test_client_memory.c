/* SPDX-License-Identifier: MIT */
/* What clients can make the server keep is bounded: one reply by max-reply-size and the hard output
 * limit, all requests and replies together by maxmemory-clients. */
#include "server/server_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

enum { MANY = 40, ELEMENTS = 60, ELEMENT_BYTES = 64 * 1024, MEBIBYTE = 1 << 20 };
static struct resp_client many[MANY];

#define ask(f, ...) resp_client_ask(&(f)->client, &(f)->shown, __VA_ARGS__)

static void close_many(void)
{
    for (int i = 0; i < MANY; i++)
        resp_client_close(&many[i]);
}

/* A list, a stream and a string of about 4 MiB each. */
static void fill(struct fixture *f)
{
    static char element[ELEMENT_BYTES + 1], large[4 * MEBIBYTE + 1];
    memset(element, 'e', ELEMENT_BYTES);
    memset(large, 'l', sizeof(large) - 1);
    for (int i = 0; i < ELEMENTS; i++) {
        assert_int_equal(ask(f, "RPUSH", "list", element)[0], ':');
        assert_int_equal(ask(f, "LOG.WRITE", "log", "--", element)[0], '"');
    }
    assert_string_equal(ask(f, "SET", "string", large), "+OK");
}

static void expect_too_large(const char *shown)
{
    static const char text[] = "-ERR the reply is larger than max-reply-size (1048576 bytes): ";
    if (strncmp(shown, text, sizeof(text) - 1) != 0)
        fail_msg("%.200s", shown);
}

/* Replies before and after it come whole. */
static void expect_alone(struct fixture *f, const char *command)
{
    struct buffer requests = {0};
    struct resp_reply reply = {0};
    buffer_printf(&requests, "PING\r\n%s\r\nECHO behind\r\n", command);
    assert_true(resp_client_send(&f->client, buffer_slice(&requests)));
    assert_true(resp_client_read(&f->client, &reply));
    assert_true(resp_reply_is(&reply, "+PONG"));
    resp_reply_release(&reply);
    assert_true(resp_client_read(&f->client, &reply));
    buffer_clear(&f->shown);
    resp_reply_show(&reply, &f->shown);
    buffer_append_byte(&f->shown, 0);
    expect_too_large((const char *)f->shown.data);
    resp_reply_release(&reply);
    assert_true(resp_client_read(&f->client, &reply));
    assert_true(resp_reply_is(&reply, "\"behind\""));
    resp_reply_release(&reply);
    buffer_release(&requests);
}

static void a_reply_beyond_max_reply_size_is_an_error(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--max-reply-size", "1mb", NULL});
    fill(f);
    expect_alone(f, "LRANGE list 0 -1");
    expect_alone(f, "XRANGE log - +");
    expect_alone(f, "XREVRANGE log + -");
    expect_alone(f, "XREAD STREAMS log 0");
    expect_alone(f, "XINFO STREAM log FULL COUNT 0");
    expect_alone(f, "LOG.RANGE log - +");
    expect_alone(f, "LOG.REVRANGE log + -");
    expect_alone(f, "GET string");
    struct resp_reply reply;
    assert_true(resp_client_call(&f->client, &reply, "LOG.RANGE", "log", "-", "+", "COUNT", "10"));
    assert_int_equal(reply.count, 10);
    resp_reply_release(&reply);
    struct resp_client json;
    struct slice line;
    test_server_connect_json(&f->server, &json);
    assert_true(resp_client_send(&json, slice_from("{\"action\":\"read\",\"log\":\"log\"}\n")));
    assert_true(resp_client_read_line(&json, &line));
    assert_true(slice_starts_with(
        line, slice_from("{\"status\":\"error\",\"errcode\":\"reply_too_large\"")));
    resp_client_close(&json);
    assert_string_equal(ask(f, "CONFIG", "SET", "max-reply-size", "0"), "+OK");
    assert_true(resp_client_call(&f->client, &reply, "LRANGE", "list", "0", "-1"));
    assert_int_equal(reply.count, ELEMENTS);
    resp_reply_release(&reply);
}

static void elements_whose_reply_is_too_large_are_not_popped(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--max-reply-size", "1mb", NULL});
    fill(f);
    expect_alone(f, "LPOP list 50");
    expect_alone(f, "RPOP list 50");
    assert_string_equal(ask(f, "LLEN", "list"), ":60");
    struct resp_reply reply;
    assert_true(resp_client_call(&f->client, &reply, "LPOP", "list", "10"));
    assert_int_equal(reply.count, 10);
    resp_reply_release(&reply);
    assert_string_equal(ask(f, "LLEN", "list"), ":50");
}

static void many_keys_are_one_reply_too(void **state)
{
    struct fixture *f = *state;
    static char key[16 * 1024 + 1];
    start(f, (const char *const[]){"--max-reply-size", "1mb", NULL});
    memset(key, 'k', sizeof(key) - 1);
    for (int i = 0; i < 80; i++) {
        int size = snprintf(key, sizeof(key), "%d", i);
        key[size] = 'k';
        assert_string_equal(ask(f, "SET", key, "v"), "+OK");
    }
    expect_alone(f, "KEYS *");
    expect_alone(f, "SCAN 0 COUNT 1000");
    assert_int_equal(ask(f, "SCAN", "0", "COUNT", "5")[0], '[');
}

static void a_reply_beyond_the_hard_limit_closes_its_client(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    fill(f);
    assert_string_equal(ask(f, "CONFIG", "SET", "client-output-buffer-limit", "normal 1000000 0 0"),
                        "+OK");
    struct resp_client greedy;
    test_server_connect(&f->server, &greedy);
    assert_true(resp_client_send(&greedy, slice_from("LRANGE list 0 -1\r\nPING\r\n")));
    assert_true(resp_client_sees_close(&greedy));
    resp_client_close(&greedy);
    assert_string_equal(ask(f, "PING"), "+PONG");
}

static unsigned long long info(struct fixture *f, const char *name)
{
    struct resp_reply reply;
    char line[64];
    assert_true(resp_client_call(&f->client, &reply, "INFO"));
    buffer_append_byte(&reply.text, 0);
    snprintf(line, sizeof(line), "\n%s:", name);
    const char *at = strstr((const char *)reply.text.data, line);
    assert_non_null(at);
    unsigned long long number = strtoull(at + strlen(line), NULL, 10);
    resp_reply_release(&reply);
    return number;
}

static unsigned long long calls(struct fixture *f, const char *command)
{
    struct resp_reply reply;
    char line[64];
    assert_true(resp_client_call(&f->client, &reply, "INFO", "commandstats"));
    buffer_append_byte(&reply.text, 0);
    snprintf(line, sizeof(line), "cmdstat_%s:calls=", command);
    const char *at = strstr((const char *)reply.text.data, line);
    unsigned long long count = at ? strtoull(at + strlen(line), NULL, 10) : 0;
    resp_reply_release(&reply);
    return count;
}

/* All have come, and all but so many are gone again. */
static void wait_for_evictions(struct fixture *f, unsigned clients_left)
{
    while (info(f, "total_connections_received") < MANY + 1 ||
           info(f, "connected_clients") > clients_left + 1)
        ;
}

/* 40 of 2 MiB each, of which at most 16 fit. */
static void half_sent_requests_beyond_maxmemory_clients_are_evicted(void **state)
{
    struct fixture *f = *state;
    static char part[2 * MEBIBYTE];
    start(f, (const char *const[]){"--maxmemory-clients", "32mb", NULL});
    memset(part, 'p', sizeof(part));
    for (int i = 0; i < MANY; i++) {
        test_server_connect(&f->server, &many[i]);
        /* It may be closed in the midst of it. */
        (void)(resp_client_send(&many[i],
                                slice_from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n")) &&
               resp_client_send(&many[i], slice_make(part, sizeof(part))));
    }
    wait_for_evictions(f, 16);
    assert_true(info(f, "evicted_clients") >= MANY - 16);
    assert_true(info(f, "mem_clients_normal") <= 32 * MEBIBYTE);
    assert_string_equal(ask(f, "SET", "other", "value"), "+OK");
    close_many();
    wait_for_evictions(f, 0);
    assert_int_equal(info(f, "mem_clients_normal"), 0);
}

/* 40 replies of 4 MiB that nobody reads. */
static void unread_replies_beyond_maxmemory_clients_are_evicted(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--maxmemory-clients", "32mb", NULL});
    fill(f);
    for (int i = 0; i < MANY; i++) {
        test_server_connect(&f->server, &many[i]);
        assert_true(resp_client_send(
            &many[i], slice_from(i % 2 ? "GET string\r\n" : "LRANGE list 0 -1\r\n")));
    }
    /* Some may be told that there is no room at the moment, instead. */
    while (calls(f, "lrange") + calls(f, "get") < MANY)
        ;
    assert_true(info(f, "evicted_clients") > 0);
    assert_true(info(f, "mem_clients_normal") <= 32 * MEBIBYTE);
    close_many();
    wait_for_evictions(f, 0);
    assert_int_equal(info(f, "mem_clients_normal"), 0);
}

/* The largest goes, the small ones stay. */
static void small_clients_are_not_evicted(void **state)
{
    struct fixture *f = *state;
    static char part[3 * MEBIBYTE];
    start(f, (const char *const[]){"--maxmemory-clients", "2mb", NULL});
    memset(part, 'p', sizeof(part));
    for (int i = 0; i < 10; i++) {
        test_server_connect(&f->server, &many[i]);
        assert_true(
            resp_client_send(&many[i], slice_from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nva")));
    }
    test_server_connect(&f->server, &many[10]);
    (void)(resp_client_send(&many[10],
                            slice_from("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n")) &&
           resp_client_send(&many[10], slice_make(part, sizeof(part))));
    assert_true(resp_client_sees_close(&many[10]));
    for (int i = 0; i < 10; i++) {
        struct resp_reply reply = {0};
        assert_true(resp_client_send(&many[i], slice_from("lue\r\n")));
        assert_true(resp_client_read(&many[i], &reply));
        assert_true(resp_reply_is(&reply, "+OK"));
        resp_reply_release(&reply);
    }
    assert_int_equal(info(f, "evicted_clients"), 1);
    close_many();
}

/* Others complete all they want while of 18 large replies that nobody reads a few were made. */
static void others_are_served_while_hostile_clients_are_not(void **state)
{
    struct fixture *f = *state;
    enum { HOSTILE = 6, EACH = 3 };
    start(f, NULL);
    fill(f);
    struct buffer requests = {0};
    for (int i = 0; i < EACH; i++)
        buffer_append_text(&requests, "LRANGE list 0 -1\r\n");
    for (int i = 0; i < HOSTILE; i++) {
        test_server_connect(&f->server, &many[i]);
        assert_true(resp_client_send(&many[i], buffer_slice(&requests)));
    }
    for (int i = 0; i < 500; i++)
        assert_string_equal(ask(f, "SET", "other", "value"), "+OK");
    while (calls(f, "lrange") < HOSTILE)
        ;
    for (int i = 0; i < 500; i++)
        assert_string_equal(ask(f, "GET", "other"), "\"value\"");
    assert_int_equal(calls(f, "lrange"), HOSTILE); /* one each: nobody took it */
    for (int i = 0; i < HOSTILE; i++) {
        for (int j = 0; j < EACH; j++) {
            struct resp_reply reply = {0};
            assert_true(resp_client_read(&many[i], &reply));
            assert_int_equal(reply.count, ELEMENTS);
            resp_reply_release(&reply);
        }
        resp_client_close(&many[i]);
    }
    assert_int_equal(calls(f, "lrange"), HOSTILE * EACH);
    buffer_release(&requests);
}

static void clients_beyond_maxclients_are_told_so(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--maxclients", "20", NULL});
    unsigned refused = 0;
    for (int i = 0; i < MANY; i++) {
        struct resp_reply reply = {0};
        test_server_connect(&f->server, &many[i]);
        (void)!send(many[i].socket, "PING\r\n", 6, MSG_NOSIGNAL);
        assert_true(resp_client_read(&many[i], &reply));
        bool is_refused = resp_reply_is(&reply, "-ERR max number of clients reached");
        assert_true(is_refused || resp_reply_is(&reply, "+PONG"));
        refused += is_refused;
        resp_reply_release(&reply);
    }
    assert_int_equal(refused, MANY - 19);
    assert_int_equal(info(f, "rejected_connections"), refused);
    close_many();
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < MANY; i++)
        many[i].socket = -1;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_reply_beyond_max_reply_size_is_an_error),
        TEST(elements_whose_reply_is_too_large_are_not_popped),
        TEST(many_keys_are_one_reply_too),
        TEST(a_reply_beyond_the_hard_limit_closes_its_client),
        TEST(half_sent_requests_beyond_maxmemory_clients_are_evicted),
        TEST(unread_replies_beyond_maxmemory_clients_are_evicted),
        TEST(small_clients_are_not_evicted),
        TEST(others_are_served_while_hostile_clients_are_not),
        TEST(clients_beyond_maxclients_are_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
