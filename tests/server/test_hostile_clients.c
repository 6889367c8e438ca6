/* SPDX-License-Identifier: MIT */
/* Clients that announce much, send half, read nothing: the server's memory stays bounded and others
 * are served. */
#include "lib/test_server.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { MANY = 200, MEBIBYTE = 1 << 20 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { BOUND_MEBIBYTES = 1500 }; /* the sanitizers' own memory, and what they keep from reuse */
#else
enum { BOUND_MEBIBYTES = 200 };
#endif

struct fixture {
    struct test_server server;
    struct resp_client client;
    struct resp_client many[MANY];
    struct buffer shown;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.client.socket = -1};
    for (int i = 0; i < MANY; i++)
        fixture.many[i].socket = -1;
    test_server_init(&fixture.server, SERVER_CORDWOOD);
    test_server_start(&fixture.server, (const char *const[]){"--memtable-size", "16mb",
                                                             "--block-cache-size", "16mb", NULL});
    test_server_connect(&fixture.server, &fixture.client);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < MANY; i++)
        if (f->many[i].socket >= 0)
            resp_client_close(&f->many[i]);
    resp_client_close(&f->client);
    test_server_release(&f->server);
    buffer_release(&f->shown);
    return 0;
}

#define ask(f, ...) resp_client_ask(&(f)->client, &(f)->shown, __VA_ARGS__)

/* The largest memory that the server ever had, in MiB. */
static long memory_peak(const struct fixture *f)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)f->server.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    fclose(file);
    assert_true(kib > 0);
    return kib / 1024;
}

static void connect_many(struct fixture *f)
{
    for (int i = 0; i < MANY; i++)
        test_server_connect(&f->server, &f->many[i]);
}

static void announced_lengths_take_no_memory(void **state)
{
    struct fixture *f = *state;
    connect_many(f);
    for (int i = 0; i < MANY; i++)
        assert_true(resp_client_send(
            &f->many[i], slice_from(i % 2 ? "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc"
                                          : "*1048576\r\n$3\r\nDEL\r\n$1\r\n")));
    assert_string_equal(ask(f, "PING"), "+PONG");
    assert_true(memory_peak(f) < BOUND_MEBIBYTES);
}

static void half_requests_wait_and_can_be_completed(void **state)
{
    struct fixture *f = *state;
    static const char request[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
    connect_many(f);
    for (size_t at = 0; at < sizeof(request) - 1; at++)
        for (int i = 0; i < MANY; i += 10)
            assert_true(resp_client_send(&f->many[i], slice_make(request + at, 1)));
    for (int i = 0; i < MANY; i += 10) {
        struct resp_reply reply = {0};
        assert_true(resp_client_read(&f->many[i], &reply));
        assert_true(resp_reply_is(&reply, "+OK"));
        resp_reply_release(&reply);
    }
    assert_string_equal(ask(f, "GET", "key"), "\"value\"");
}

static void lengths_beyond_the_limits_are_protocol_errors(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *reply;
    } cases[] = {
        {"*1048577\r\n", "-ERR Protocol error: invalid multibulk length"},
        {"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length"},
        {"*1\r\n$-5\r\n", "-ERR Protocol error: invalid bulk length"},
        {"*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct resp_reply reply = {0};
        test_server_connect(&f->server, &f->many[i]);
        assert_true(resp_client_send(&f->many[i], slice_from(cases[i].request)));
        assert_true(resp_client_read(&f->many[i], &reply));
        assert_true(resp_reply_is(&reply, cases[i].reply));
        resp_reply_release(&reply);
        assert_true(resp_client_sees_close(&f->many[i]));
    }
}

/* Sends until the socket takes no more for a while; returns the bytes sent. */
static size_t send_until_stuck(struct resp_client *client, struct slice request, size_t limit)
{
    size_t sent = 0, at = 0;
    struct timeval patience = {.tv_usec = 200000};
    assert_int_equal(
        setsockopt(client->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    while (sent < limit) {
        ssize_t count = send(client->socket, request.data + at, request.size - at, MSG_NOSIGNAL);
        if (count < 0)
            return sent;
        sent += (size_t)count;
        at = (at + (size_t)count) % request.size;
    }
    return sent;
}

static void set_large_value(struct fixture *f)
{
    static char value[MEBIBYTE / 2 + 1];
    memset(value, 'v', sizeof(value) - 1);
    assert_string_equal(ask(f, "SET", "large", value), "+OK");
}

static void a_client_that_never_reads_is_not_read_either(void **state)
{
    struct fixture *f = *state;
    set_large_value(f);
    for (int i = 0; i < 10; i++) {
        test_server_connect(&f->server, &f->many[i]);
        size_t sent = send_until_stuck(&f->many[i], slice_from("GET large\r\n"), 8 * MEBIBYTE);
        assert_true(sent < 8 * MEBIBYTE);
    }
    assert_string_equal(ask(f, "PING"), "+PONG");
    assert_true(memory_peak(f) < BOUND_MEBIBYTES);
}

static void a_client_that_reads_late_gets_every_reply(void **state)
{
    struct fixture *f = *state;
    set_large_value(f);
    struct resp_client *late = &f->many[0];
    test_server_connect(&f->server, late);
    struct buffer requests = {0};
    for (int i = 0; i < 200; i++)
        buffer_append_text(&requests, "GET large\r\n");
    assert_true(resp_client_send(late, buffer_slice(&requests)));
    buffer_release(&requests);
    assert_int_equal(shutdown(late->socket, SHUT_WR), 0);
    for (int i = 0; i < 200; i++) {
        struct resp_reply reply = {0};
        assert_true(resp_client_read(late, &reply));
        assert_int_equal(reply.text.size, MEBIBYTE / 2);
        resp_reply_release(&reply);
    }
    assert_true(resp_client_sees_close(late));
    assert_true(memory_peak(f) < BOUND_MEBIBYTES);
}

/* Both have something to read when the server wakes: of the flood no more than one read is executed
 * before the other is served. */
static void a_flooding_client_does_not_hold_up_the_others(void **state)
{
    struct fixture *f = *state;
    enum { READ_BYTES = 64 * 1024, REQUEST_BYTES = 1024 };
    static char flood[32 * REQUEST_BYTES];
    memset(flood, 'x', sizeof(flood));
    for (size_t at = 0; at < sizeof(flood); at += REQUEST_BYTES) {
        memcpy(flood + at, "ECHO ", 5);
        memcpy(flood + at + REQUEST_BYTES - 2, "\r\n", 2);
    }
    test_server_connect(&f->server, &f->many[0]);
    assert_string_equal(resp_client_ask(&f->many[0], &f->shown, "PING"), "+PONG");
    kill(f->server.pid, SIGSTOP);
    assert_int_equal(waitpid(f->server.pid, NULL, WUNTRACED), f->server.pid); /* it stands still */
    size_t sent = send_until_stuck(&f->many[0], slice_make(flood, sizeof(flood)), MEBIBYTE);
    assert_true(resp_client_send(&f->client, slice_from("INFO commandstats\r\n")));
    kill(f->server.pid, SIGCONT);
    struct resp_reply reply = {0};
    assert_true(resp_client_read(&f->client, &reply));
    buffer_append_byte(&reply.text, 0);
    const char *at = strstr((const char *)reply.text.data, "cmdstat_echo:calls=");
    size_t calls = at ? strtoul(at + 19, NULL, 10) : 0;
    resp_reply_release(&reply);
    assert_true(sent > 2 * READ_BYTES);
    assert_true(calls <= READ_BYTES / REQUEST_BYTES);
}

static void a_client_over_its_output_limit_is_closed(void **state)
{
    struct fixture *f = *state;
    set_large_value(f);
    assert_string_equal(
        ask(f, "CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0"), "+OK");
    struct resp_client *client = &f->many[0];
    test_server_connect(&f->server, client);
    assert_true(resp_client_send(client, slice_from("GET large\r\n")));
    assert_true(resp_client_sees_close(client));
}

static void clients_that_vanish_are_forgotten(void **state)
{
    struct fixture *f = *state;
    connect_many(f);
    for (int i = 0; i < MANY; i++) {
        assert_true(resp_client_send(&f->many[i], slice_from(i % 2 ? "XREAD BLOCK 0 STREAMS s $\r\n"
                                                                   : "*2\r\n$3\r\nGET\r\n$100")));
        resp_client_close(&f->many[i]);
        f->many[i].socket = -1;
    }
    /* Each look is a round trip; the closes are there already. */
    const char *shown = "";
    while (!strstr(shown, "connected_clients:1\r\n") && !strstr(shown, "connected_clients:1\\r"))
        shown = ask(f, "INFO", "clients");
}

static void a_browser_is_hung_up_on(void **state)
{
    struct fixture *f = *state;
    test_server_connect(&f->server, &f->many[0]);
    assert_true(resp_client_send(&f->many[0], slice_from("POST / HTTP/1.1\r\nHost: x\r\n\r\n")));
    assert_true(resp_client_sees_close(&f->many[0]));
    test_server_connect_json(&f->server, &f->many[1]);
    assert_true(resp_client_send(&f->many[1], slice_from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    assert_true(resp_client_sees_close(&f->many[1]));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(announced_lengths_take_no_memory),
        TEST(half_requests_wait_and_can_be_completed),
        TEST(lengths_beyond_the_limits_are_protocol_errors),
        TEST(a_client_that_never_reads_is_not_read_either),
        TEST(a_client_that_reads_late_gets_every_reply),
        TEST(a_flooding_client_does_not_hold_up_the_others),
        TEST(a_client_over_its_output_limit_is_closed),
        TEST(clients_that_vanish_are_forgotten),
        TEST(a_browser_is_hung_up_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
