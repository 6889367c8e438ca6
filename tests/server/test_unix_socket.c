/* SPDX-License-Identifier: MIT */
#include "lib/test_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    struct test_server server;
    struct buffer shown;
    char path[TEMP_DIRECTORY_BYTES + 32]; /* a socket that the harness does not tidy up */
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    test_server_init(&fixture.server, SERVER_CORDWOOD);
    snprintf(fixture.path, sizeof(fixture.path), "%s/own.sock", fixture.server.directory);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    test_server_release(&f->server);
    buffer_release(&f->shown);
    return 0;
}

static const char *log_text(struct fixture *f)
{
    buffer_clear(&f->shown);
    test_server_read_log(&f->server, &f->shown);
    buffer_append_byte(&f->shown, 0);
    return (const char *)f->shown.data;
}

static void permissions_are_as_configured(void **state)
{
    struct fixture *f = *state;
    test_server_start(&f->server, (const char *const[]){"--unixsocketperm", "700", NULL});
    struct stat status;
    assert_int_equal(stat(f->server.socket, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(stat(f->server.json_socket, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
}

static void a_client_is_shown_with_the_sockets_path(void **state)
{
    struct fixture *f = *state;
    test_server_start(&f->server, NULL);
    struct resp_client client;
    test_server_connect(&f->server, &client);
    const char *shown = resp_client_ask(&client, &f->shown, "CLIENT", "INFO");
    char expected[TEMP_DIRECTORY_BYTES + 64];
    snprintf(expected, sizeof(expected), "addr=%s:0 ", f->server.socket);
    assert_non_null(strstr(shown, expected));
    resp_client_close(&client);
}

static void the_path_is_gone_after_a_stop(void **state)
{
    struct fixture *f = *state;
    test_server_start(&f->server, NULL);
    assert_int_equal(test_server_stop(&f->server), 0);
    assert_int_not_equal(access(f->server.socket, F_OK), 0);
    assert_int_not_equal(access(f->server.json_socket, F_OK), 0);
}

/* A socket file that nobody listens on, as a killed server leaves it. */
static void leave_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (void *)&address, sizeof(address)), 0);
    close(fd);
}

static void what_a_killed_server_left_is_replaced(void **state)
{
    struct fixture *f = *state;
    leave_socket(f->path);
    test_server_start(&f->server, (const char *const[]){"--json-unixsocket", f->path, NULL});
    struct resp_client client;
    assert_true(resp_client_open_unix(&client, f->path));
    resp_client_close(&client);
}

static void a_socket_in_use_is_not_taken_away(void **state)
{
    struct fixture *f = *state;
    test_server_start(&f->server, NULL);
    struct test_server second;
    test_server_init(&second, SERVER_CORDWOOD);
    const char *const flags[] = {"--json-unixsocket", f->server.json_socket, NULL};
    assert_int_equal(test_server_start_fails(&second, flags), 1);
    buffer_clear(&f->shown);
    test_server_read_log(&second, &f->shown);
    buffer_append_byte(&f->shown, 0);
    assert_non_null(strstr((char *)f->shown.data, "another server is using it"));
    test_server_release(&second);
    struct resp_client client;
    assert_true(resp_client_open_unix(&client, f->server.json_socket));
    resp_client_close(&client);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen(f->path, "w");
    assert_int_not_equal(fputs("precious", file), EOF);
    fclose(file);
    const char *const flags[] = {"--json-unixsocket", f->path, NULL};
    assert_int_equal(test_server_start_fails(&f->server, flags), 1);
    assert_non_null(strstr(log_text(f), "it is not a socket"));
    struct stat status;
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_size, 8);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[200];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = 0;
    const char *const flags[] = {"--json-unixsocket", path, NULL};
    assert_int_equal(test_server_start_fails(&f->server, flags), 1);
    assert_non_null(strstr(log_text(f), "Cannot listen on /xxx"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(permissions_are_as_configured),
        TEST(a_client_is_shown_with_the_sockets_path),
        TEST(the_path_is_gone_after_a_stop),
        TEST(what_a_killed_server_left_is_replaced),
        TEST(a_socket_in_use_is_not_taken_away),
        TEST(a_file_that_is_no_socket_is_left_alone),
        TEST(a_path_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
