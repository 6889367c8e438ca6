/* SPDX-License-Identifier: MIT */
/* The option wal-compression: what it saves, as INFO says it, and that kills and starts without it lose
 * nothing. */
#include "server/server_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ENTRIES = 1000 };

static uint64_t info_number(struct fixture *f, const char *name)
{
    const char *info = resp_client_ask(&f->client, &f->shown, "INFO", "cordwood");
    const char *at = strstr(info, name);
    assert_non_null(at);
    return strtoull(at + strlen(name), NULL, 10);
}

/* In one transaction, so that one write of the log takes them all, however slow the server is. */
static void add_entries(struct fixture *f)
{
    struct buffer requests = {0};
    struct resp_reply reply = {0};
    buffer_append_text(&requests, "MULTI\r\n");
    for (int i = 0; i < ENTRIES; i++)
        buffer_printf(&requests,
                      "XADD s * message the-same-words-are-in-every-line-of-this-log-%d\r\n", i);
    buffer_append_text(&requests, "EXEC\r\n");
    assert_true(resp_client_send(&f->client, buffer_slice(&requests)));
    for (int i = 0; i < ENTRIES + 2; i++) {
        assert_true(resp_client_read(&f->client, &reply));
        resp_reply_release(&reply);
    }
    buffer_release(&requests);
}

static void expect_entries(struct fixture *f, int count)
{
    char length[32];
    snprintf(length, sizeof(length), ":%d", count);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "XLEN", "s"), length);
}

static void a_compressed_log_is_smaller_and_lost_by_no_kill(void **state)
{
    struct fixture *f = *state;
    static const char *const policies[] = {"always", "everysec", "no"};
    for (int i = 0; i < 3; i++) {
        start(f, (const char *const[]){"--wal-compression", "lz4", "--appendfsync", policies[i],
                                       NULL});
        expect_entries(f, i * ENTRIES);
        add_entries(f);
        uint64_t logged = info_number(f, "wal_bytes_logged:");
        assert_true(logged > ENTRIES * 60);
        assert_true(info_number(f, "wal_bytes_written:") < logged / 2);
        test_server_kill(&f->server);
        resp_client_close(&f->client);
    }
    start(f, NULL);
    expect_entries(f, 3 * ENTRIES);
    add_entries(f);
    assert_true(info_number(f, "wal_bytes_logged:") == info_number(f, "wal_bytes_written:"));
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "CONFIG", "GET", "wal-compression"),
                        "[\"wal-compression\", \"no\"]");
    test_server_kill(&f->server);
    resp_client_close(&f->client);
    start(f, (const char *const[]){"--wal-compression", "lz4", NULL});
    expect_entries(f, 4 * ENTRIES);
}

static void another_word_is_refused_with_those_that_there_are(void **state)
{
    struct fixture *f = *state;
    const char *const flags[] = {"--wal-compression", "zstd", NULL};
    assert_int_equal(test_server_start_fails(&f->server, flags), 1);
    assert_non_null(strstr(log_text(f), "wal-compression"));
    assert_non_null(strstr(log_text(f), "lz4"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_compressed_log_is_smaller_and_lost_by_no_kill),
        TEST(another_word_is_refused_with_those_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
