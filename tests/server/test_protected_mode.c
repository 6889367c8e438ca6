/* SPDX-License-Identifier: MIT */
/* Without a password only this machine gets in. A connection from one of the machine's own outer
 * addresses counts as one from outside; a machine without such an address skips these tests. */
#include "lib/test_server.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

struct fixture {
    struct test_server server;
    struct buffer shown;
    char outer[INET_ADDRSTRLEN]; /* empty: none */
    int port;
};

static void find_outer_address(char outer[INET_ADDRSTRLEN])
{
    struct ifaddrs *first = NULL;
    outer[0] = 0;
    if (getifaddrs(&first) != 0)
        return;
    for (struct ifaddrs *at = first; at && !outer[0]; at = at->ifa_next) {
        if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET || !(at->ifa_flags & IFF_UP) ||
            (at->ifa_flags & IFF_LOOPBACK))
            continue;
        const struct sockaddr_in *address = (const void *)at->ifa_addr;
        inet_ntop(AF_INET, &address->sin_addr, outer, INET_ADDRSTRLEN);
    }
    freeifaddrs(first);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.port = test_server_free_port()};
    find_outer_address(fixture.outer);
    test_server_init(&fixture.server, SERVER_CORDWOOD);
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

static void start(struct fixture *f, const char *flag, const char *value)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", f->port);
    test_server_start(&f->server,
                      (const char *const[]){"--bind", "*", "--port", port, flag, value, NULL});
}

static void connect_from(struct fixture *f, const char *address, struct resp_client *client)
{
    assert_true(resp_client_open_tcp(client, address, f->port));
}

static void strangers_are_told_why_and_closed(void **state)
{
    struct fixture *f = *state;
    if (!f->outer[0])
        skip();
    start(f, NULL, NULL);
    struct resp_client client;
    struct resp_reply reply = {0};
    connect_from(f, f->outer, &client);
    assert_true(resp_client_read(&client, &reply));
    assert_int_equal(reply.type, '-');
    assert_true(slice_starts_with(buffer_slice(&reply.text), slice_from("DENIED ")));
    resp_reply_release(&reply);
    assert_true(resp_client_sees_close(&client));
    resp_client_close(&client);
}

static void loopback_and_unix_sockets_get_in(void **state)
{
    struct fixture *f = *state;
    start(f, NULL, NULL);
    struct resp_client client;
    connect_from(f, "127.0.0.1", &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "PING"), "+PONG");
    resp_client_close(&client);
    test_server_connect(&f->server, &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "PING"), "+PONG");
    resp_client_close(&client);
}

static void strangers_get_in_with_the_password(void **state)
{
    struct fixture *f = *state;
    if (!f->outer[0])
        skip();
    start(f, "--requirepass", "secret");
    struct resp_client client;
    connect_from(f, f->outer, &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "PING"),
                        "-NOAUTH Authentication required.");
    assert_string_equal(resp_client_ask(&client, &f->shown, "AUTH", "secret"), "+OK");
    assert_string_equal(resp_client_ask(&client, &f->shown, "PING"), "+PONG");
    resp_client_close(&client);
}

static void strangers_get_in_when_it_is_off(void **state)
{
    struct fixture *f = *state;
    if (!f->outer[0])
        skip();
    start(f, "--protected-mode", "no");
    struct resp_client client;
    connect_from(f, f->outer, &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "PING"), "+PONG");
    resp_client_close(&client);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(strangers_are_told_why_and_closed),
        TEST(loopback_and_unix_sockets_get_in),
        TEST(strangers_get_in_with_the_password),
        TEST(strangers_get_in_when_it_is_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
