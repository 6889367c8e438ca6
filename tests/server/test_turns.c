/* SPDX-License-Identifier: MIT */
/* No client has a loop for itself: what it sends at once is executed in turns with the others'. */
#include "server/server_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <cmocka.h>

enum { KEYS = 2000, REQUESTS = 1500 }; /* which fit into one read */

static void set_keys(struct fixture *f)
{
    struct buffer requests = {0};
    for (int i = 0; i < KEYS; i++)
        buffer_printf(&requests, "SET key:%d v\r\n", i);
    assert_true(resp_client_send(&f->client, buffer_slice(&requests)));
    for (int i = 0; i < KEYS; i++) {
        struct resp_reply reply = {0};
        assert_true(resp_client_read(&f->client, &reply));
        assert_true(resp_reply_is(&reply, "+OK"));
        resp_reply_release(&reply);
    }
    buffer_release(&requests);
}

static void stop_running(struct fixture *f)
{
    int status;
    assert_int_equal(kill(f->server.pid, SIGSTOP), 0);
    assert_int_equal(waitpid(f->server.pid, &status, WUNTRACED), f->server.pid);
    assert_true(WIFSTOPPED(status));
}

/* When the server looks, both have sent: one much that takes long, the other, behind it, a question. */
static void a_long_pipeline_is_interrupted_for_others(void **state)
{
    struct fixture *f = *state;
    struct resp_client other;
    struct buffer requests = {0};
    start(f, NULL);
    test_server_connect(&f->server, &other);
    set_keys(f);
    assert_string_equal(resp_client_ask(&other, &f->shown, "CONFIG", "RESETSTAT"), "+OK");
    for (int i = 0; i < REQUESTS; i++)
        buffer_append_text(&requests, "SCAN 0 MATCH no COUNT 2000\r\n");
    stop_running(f);
    assert_true(resp_client_send(&f->client, buffer_slice(&requests)));
    assert_true(resp_client_send(&other, slice_from("INFO stats\r\n")));
    assert_int_equal(kill(f->server.pid, SIGCONT), 0);

    struct resp_reply reply = {0};
    assert_true(resp_client_read(&other, &reply));
    buffer_append_byte(&reply.text, 0);
    const char *count = strstr((const char *)reply.text.data, "total_commands_processed:");
    assert_non_null(count);
    assert_true(strtoul(strchr(count, ':') + 1, NULL, 10) < REQUESTS);
    resp_reply_release(&reply);
    for (int i = 0; i < REQUESTS; i++) {
        assert_true(resp_client_read(&f->client, &reply));
        assert_true(resp_reply_is(&reply, "[\"0\", []]"));
        resp_reply_release(&reply);
    }
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "PING"), "+PONG");
    resp_client_close(&other);
    buffer_release(&requests);
}

/* What a stop finds begun, it finishes. */
static void a_stop_waits_for_the_turns_of_what_was_read(void **state)
{
    struct fixture *f = *state;
    struct buffer requests = {0};
    struct resp_reply reply = {0};
    start(f, NULL);
    set_keys(f);
    for (int i = 0; i < REQUESTS; i++)
        buffer_append_text(&requests, "SCAN 0 MATCH no COUNT 200\r\n");
    assert_true(resp_client_send(&f->client, buffer_slice(&requests)));
    assert_true(resp_client_read(&f->client, &reply)); /* all of it has come */
    resp_reply_release(&reply);
    assert_int_equal(kill(f->server.pid, SIGTERM), 0);
    for (int i = 1; i < REQUESTS; i++) {
        assert_true(resp_client_read(&f->client, &reply));
        assert_int_equal(reply.count, 2);
        resp_reply_release(&reply);
    }
    assert_true(resp_client_sees_close(&f->client));
    assert_int_equal(test_server_wait(&f->server), 0);
    buffer_release(&requests);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_long_pipeline_is_interrupted_for_others),
        TEST(a_stop_waits_for_the_turns_of_what_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
