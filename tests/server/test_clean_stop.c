/* SPDX-License-Identifier: MIT */
/* Start and stop: what a stop promises, and what a start that cannot be says. */
#include "server/server_fixture.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static void sigterm_ends_with_zero_and_everything_is_there(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    for (int i = 0; i < 500; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key:%d", i);
        assert_string_equal(resp_client_ask(&f->client, &f->shown, "SET", key, key), "+OK");
    }
    resp_client_close(&f->client);
    assert_int_equal(test_server_stop(&f->server), 0);
    assert_non_null(strstr(log_text(f), "everything is on the disk"));
    start(f, NULL);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "DBSIZE"), ":500");
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "GET", "key:499"), "\"key:499\"");
    assert_null(strstr(log_text(f), "not a clean one"));
}

static void shutdown_ends_like_a_signal_and_gives_no_reply(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "SET", "a", "1"), "+OK");
    assert_true(resp_client_send(&f->client, slice_from("SHUTDOWN\r\n")));
    assert_true(resp_client_sees_close(&f->client));
    assert_int_equal(test_server_wait(&f->server), 0);
    assert_int_not_equal(access(f->server.socket, F_OK), 0);
}

static void a_stop_closes_clients_that_wait(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--io-threads", "2", NULL});
    struct resp_client blocked[4];
    for (int i = 0; i < 4; i++) {
        test_server_connect(&f->server, &blocked[i]);
        assert_true(resp_client_send(&blocked[i], slice_from("XREAD BLOCK 0 STREAMS s $\r\n")));
    }
    assert_int_equal(test_server_stop(&f->server), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(resp_client_sees_close(&blocked[i]));
        resp_client_close(&blocked[i]);
    }
}

static void replies_that_wait_for_their_sync_come_before_the_end(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--appendfsync", "always", NULL});
    for (int i = 0; i < 100; i++)
        assert_true(resp_client_send(&f->client, slice_from("RPUSH list element\r\n")));
    struct resp_reply reply = {0};
    for (int i = 0; i < 50; i++) {
        assert_true(resp_client_read(&f->client, &reply));
        resp_reply_release(&reply);
    }
    assert_int_equal(kill(f->server.pid, SIGTERM), 0);
    int64_t answered = 50;
    while (resp_client_read(&f->client, &reply)) {
        assert_int_equal(reply.integer, ++answered);
        resp_reply_release(&reply);
    }
    assert_int_equal(test_server_wait(&f->server), 0);
    resp_client_close(&f->client);
    start(f, NULL);
    struct resp_reply length = {0};
    assert_true(resp_client_call(&f->client, &length, "LLEN", "list"));
    assert_true(length.integer >= answered);
    resp_reply_release(&length);
}

static void a_directory_in_use_is_refused_with_a_sentence(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    struct test_server second;
    test_server_init(&second, SERVER_CORDWOOD);
    const char *const flags[] = {"--dir", f->server.data, NULL};
    assert_int_equal(test_server_start_fails(&second, flags), 1);
    buffer_clear(&f->shown);
    test_server_read_log(&second, &f->shown);
    buffer_append_byte(&f->shown, 0);
    assert_non_null(strstr((char *)f->shown.data, "is in use by another server"));
    test_server_release(&second);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "PING"), "+PONG");
}

static void a_port_in_use_is_refused_with_a_sentence(void **state)
{
    struct fixture *f = *state;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    assert_int_equal(bind(fd, (void *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (void *)&address, &size), 0);
    char port[16];
    snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
    const char *const flags[] = {"--port", port, "--bind", "127.0.0.1", NULL};
    assert_int_equal(test_server_start_fails(&f->server, flags), 1);
    assert_non_null(strstr(log_text(f), "the port is in use"));
    close(fd);
}

static void an_address_of_another_machine_is_refused_unless_optional(void **state)
{
    struct fixture *f = *state;
    char port[16];
    snprintf(port, sizeof(port), "%d", test_server_free_port());
    const char *const foreign[] = {"--port", port, "--bind", "198.51.100.1", NULL};
    assert_int_equal(test_server_start_fails(&f->server, foreign), 1);
    assert_non_null(strstr(log_text(f), "does not have the address"));
    start(f, (const char *const[]){"--port", port, "--bind", "127.0.0.1", "-198.51.100.1", NULL});
    struct resp_client tcp;
    assert_true(resp_client_open_tcp(&tcp, "127.0.0.1", atoi(port)));
    assert_string_equal(resp_client_ask(&tcp, &f->shown, "PING"), "+PONG");
    resp_client_close(&tcp);
}

static void damaged_data_is_refused_and_repair_is_offered(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "SET", "a", "1"), "+OK");
    resp_client_close(&f->client);
    assert_int_equal(test_server_stop(&f->server), 0);
    char path[TEMP_DIRECTORY_BYTES + 64];
    snprintf(path, sizeof(path), "%s/CURRENT", f->server.data);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_not_equal(fputs("garbage garbage garbage\n", file), EOF);
    fclose(file);
    assert_int_equal(test_server_start_fails(&f->server, NULL), 1);
    assert_non_null(strstr(log_text(f), "is damaged"));
    assert_non_null(strstr(log_text(f), "cordwood repair"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sigterm_ends_with_zero_and_everything_is_there),
        TEST(shutdown_ends_like_a_signal_and_gives_no_reply),
        TEST(a_stop_closes_clients_that_wait),
        TEST(replies_that_wait_for_their_sync_come_before_the_end),
        TEST(a_directory_in_use_is_refused_with_a_sentence),
        TEST(a_port_in_use_is_refused_with_a_sentence),
        TEST(an_address_of_another_machine_is_refused_unless_optional),
        TEST(damaged_data_is_refused_and_repair_is_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
