/* SPDX-License-Identifier: MIT */
/* What a server tells of its event loops' iterations. */
#include "server/server_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Of INFO's field; the test fails when it is not there. */
static uint64_t info(struct fixture *f, const char *field)
{
    char name[64];
    snprintf(name, sizeof name, "%s:", field);
    const char *found = strstr(resp_client_ask(&f->client, &f->shown, "INFO", "cordwood"), name);
    assert_non_null(found);
    return strtoull(found + strlen(name), NULL, 10);
}

static void iterations_are_counted_and_the_longest_is_known(void **state)
{
    struct fixture *f = *state;
    start(f, NULL);
    uint64_t before = info(f, "loop_iterations");
    for (int i = 0; i < 10;
         i++) /* each is answered before the next comes: an iteration of its own */
        assert_string_equal(resp_client_ask(&f->client, &f->shown, "SET", "k", "v"), "+OK");
    assert_true(info(f, "loop_iterations") >= before + 10);
    uint64_t max_us = info(f, "loop_iteration_us_max");
    assert_true(max_us > 0); /* the first command of a thread makes its reader */
    assert_true(info(f, "loop_iteration_us_p50") <= info(f, "loop_iteration_us_p999"));
    assert_true(info(f, "loop_wall_us_max") >= max_us);
    before = info(f, "loop_iterations");
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "CONFIG", "RESETSTAT"), "+OK");
    assert_true(info(f, "loop_iterations") < before);
}

static void every_loop_has_a_line_of_its_own(void **state)
{
    struct fixture *f = *state;
    start(f, (const char *const[]){"--io-threads", "2", NULL});
    struct resp_client other;
    test_server_connect(&f->server, &other); /* the other loop's */
    assert_string_equal(resp_client_ask(&other, &f->shown, "PING"), "+PONG");
    resp_client_close(&other);
    const char *shown = resp_client_ask(&f->client, &f->shown, "INFO", "cordwood");
    assert_non_null(strstr(shown, "loop_0:iterations="));
    assert_non_null(strstr(shown, "loop_1:iterations="));
    assert_null(strstr(shown, "loop_2:"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(iterations_are_counted_and_the_longest_is_known),
        TEST(every_loop_has_a_line_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
