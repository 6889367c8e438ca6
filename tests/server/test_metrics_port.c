/* SPDX-License-Identifier: MIT */
/* The page for Prometheus, by HTTP over real sockets. */
#include "server/server_fixture.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONNECTIONS_MAX = 64, TIMEOUT_SECONDS = 60 };

static int port_of_test;

static void start_with_page(struct fixture *f, const char *flag, const char *value)
{
    char port[16];
    port_of_test = test_server_free_port();
    snprintf(port, sizeof port, "%d", port_of_test);
    start(f, (const char *const[]){"--metrics-port", port, flag, value, NULL});
}

static int connect_to_page(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port_of_test)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    assert_int_equal(connect(fd, (const void *)&address, sizeof address), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All up to the end of the stream, which is closed. */
static const char *receive_all(struct fixture *f, int fd)
{
    char bytes[4096];
    ssize_t count;
    buffer_clear(&f->shown);
    while ((count = recv(fd, bytes, sizeof bytes, 0)) > 0)
        buffer_append(&f->shown, bytes, (size_t)count);
    assert_int_equal(count, 0);
    close(fd);
    buffer_append_byte(&f->shown, 0);
    return (const char *)f->shown.data;
}

static const char *ask_http(struct fixture *f, const char *request)
{
    int fd = connect_to_page();
    send_text(fd, request);
    return receive_all(f, fd);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char *body_of(const char *response)
{
    const char *end = strstr(response, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static size_t content_length(const char *response)
{
    const char *found = strstr(response, "\r\nContent-Length: ");
    assert_non_null(found);
    return strtoul(found + strlen("\r\nContent-Length: "), NULL, 10);
}

static void get_answers_the_figures(void **state)
{
    struct fixture *f = *state;
    start_with_page(f, "--io-threads", "2");
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "SET", "k", "v"), "+OK");
    const char *response = ask_http(f, "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(starts_with(response, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(
        strstr(response, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(response, "\r\nConnection: close\r\n"));
    assert_int_equal(content_length(response), strlen(body_of(response)));
    assert_non_null(strstr(response, "\ncordwood_command_calls_total{cmd=\"set\"} 1\n"));
    assert_non_null(strstr(response, "\ncordwood_database_keys{db=\"0\"} 1\n"));
    assert_non_null(
        strstr(response, "\ncordwood_connected_clients 1\n")); /* it is no client itself */
    response = ask_http(f, "HEAD /metrics HTTP/1.0\r\n\r\n");
    assert_true(starts_with(response, "HTTP/1.1 200 OK\r\n"));
    assert_true(content_length(response) > 1000);
    assert_string_equal(body_of(response), "");
}

static void what_is_not_there_is_said_by_the_status(void **state)
{
    struct fixture *f = *state;
    start_with_page(f, NULL, NULL);
    assert_true(starts_with(ask_http(f, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 "));
    assert_true(starts_with(ask_http(f, "GET /metrics/ HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 "));
    const char *response = ask_http(f, "POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody");
    assert_true(starts_with(response, "HTTP/1.1 405 "));
    assert_non_null(strstr(response, "\r\nAllow: GET, HEAD\r\n"));
    assert_true(starts_with(ask_http(f, "*1\r\n$4\r\nPING\r\n"), "HTTP/1.1 400 "));
}

static void a_head_beyond_8_kib_is_bad_and_its_rest_is_thrown_away(void **state)
{
    struct fixture *f = *state;
    static char text[64 * 1024];
    start_with_page(f, NULL, NULL);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "GET /metrics HTTP/1.1\r\nName: ", 29);
    assert_true(starts_with(ask_http(f, text), "HTTP/1.1 400 "));
}

static void a_head_may_come_in_pieces_and_its_sender_may_end(void **state)
{
    struct fixture *f = *state;
    start_with_page(f, NULL, NULL);
    int fd = connect_to_page();
    send_text(fd, "GET /met");
    assert_true(starts_with(ask_http(f, "GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 200 "));
    send_text(fd, "rics HTTP/1.1\r\n\r");
    send_text(fd, "\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(starts_with(receive_all(f, fd), "HTTP/1.1 200 "));
    fd = connect_to_page(); /* half a head, then the end: no answer */
    send_text(fd, "GET /met");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_string_equal(receive_all(f, fd), "");
}

static void many_at_once_all_get_a_page(void **state)
{
    struct fixture *f = *state;
    int fds[32];
    start_with_page(f, NULL, NULL);
    for (size_t i = 0; i < 32; i++) {
        fds[i] = connect_to_page();
        send_text(fds[i], "GET /metrics HTTP/1.1\r\n\r\n");
    }
    for (size_t i = 0; i < 32; i++) {
        const char *response = receive_all(f, fds[i]);
        assert_true(starts_with(response, "HTTP/1.1 200 "));
        assert_int_equal(content_length(response), strlen(body_of(response)));
    }
}

static void more_than_64_connections_are_refused(void **state)
{
    struct fixture *f = *state;
    int fds[CONNECTIONS_MAX];
    start_with_page(f, NULL, NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        fds[i] = connect_to_page();
    assert_true(starts_with(receive_all(f, connect_to_page()), "HTTP/1.1 503 "));
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "PING"), "+PONG");
    send_text(fds[0], "GET /metrics HTTP/1.1\r\n\r\n"); /* those that are there go on */
    assert_true(starts_with(receive_all(f, fds[0]), "HTTP/1.1 200 "));
    /* A client has read the end of the stream before the server knows that it went. */
    const char *response = "";
    for (int i = 0; i < 1000 && !starts_with(response, "HTTP/1.1 200 "); i++) {
        int fd = connect_to_page();
        (void)send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, MSG_NOSIGNAL);
        char bytes[16] = "";
        (void)recv(fd, bytes, 13,
                   MSG_WAITALL); /* refused: maybe a reset, for the request nobody read */
        response = strcmp(bytes, "HTTP/1.1 200 ") == 0 ? "HTTP/1.1 200 " : "";
        close(fd);
    }
    assert_string_equal(response, "HTTP/1.1 200 ");
    for (size_t i = 1; i < CONNECTIONS_MAX; i++)
        close(fds[i]);
}

static void a_stop_does_not_wait_for_connections(void **state)
{
    struct fixture *f = *state;
    start_with_page(f, NULL, NULL);
    int idle = connect_to_page(), asking = connect_to_page();
    send_text(idle, "GET /met");
    send_text(asking, "GET /metrics HTTP/1.1\r\n\r\n");
    resp_client_close(&f->client);
    assert_int_equal(test_server_stop(&f->server), 0);
    close(idle);
    close(asking);
}

static void the_store_may_be_reloaded_meanwhile(void **state)
{
    struct fixture *f = *state;
    start_with_page(f, NULL, NULL);
    for (int i = 0; i < 3; i++) {
        int fd = connect_to_page();
        send_text(fd, "GET /metrics HTTP/1.1\r\n\r\n");
        assert_string_equal(resp_client_ask(&f->client, &f->shown, "DEBUG", "RELOAD"), "+OK");
        assert_true(starts_with(receive_all(f, fd), "HTTP/1.1 200 "));
    }
}

static void a_port_in_use_is_named(void **state)
{
    struct fixture *f = *state;
    struct test_server second;
    char port[16];
    start_with_page(f, NULL, NULL);
    snprintf(port, sizeof port, "%d", port_of_test);
    test_server_init(&second, SERVER_CORDWOOD);
    assert_int_not_equal(
        test_server_start_fails(&second, (const char *const[]){"--metrics-port", port, NULL}), 0);
    struct buffer log = {0};
    test_server_read_log(&second, &log);
    buffer_append_byte(&log, 0);
    assert_non_null(strstr((const char *)log.data, "--metrics-port"));
    buffer_release(&log);
    test_server_release(&second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(get_answers_the_figures),
        TEST(what_is_not_there_is_said_by_the_status),
        TEST(a_head_beyond_8_kib_is_bad_and_its_rest_is_thrown_away),
        TEST(a_head_may_come_in_pieces_and_its_sender_may_end),
        TEST(many_at_once_all_get_a_page),
        TEST(more_than_64_connections_are_refused),
        TEST(a_stop_does_not_wait_for_connections),
        TEST(the_store_may_be_reloaded_meanwhile),
        TEST(a_port_in_use_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
