/* SPDX-License-Identifier: MIT */
/* A session gives way to the others of its loop when its time is over. */
#include "unit/commands/session_fixture.h"

#include "commands/service_state.h"

/* Each look at the monotonic clock takes a millisecond: one at the begin of a call, one a command. */
static void give_turns_of(struct session_fixture *f, unsigned turn_ms_max)
{
    f->service->host.turn_ms_max = turn_ms_max;
    f->ms.look_ms = 1;
}

static void go_on(struct session *session)
{
    session_feed(session, slice_make(NULL, 0));
}

static void a_session_gives_way_when_its_turn_is_over(void **state)
{
    struct session_fixture *f = *state;
    give_turns_of(f, 3);
    fixture_feed(f->a,
                 "SET a 1\r\nSET b 2\r\nGET a\r\nGET b\r\nEXISTS a\r\nEXISTS b\r\nEXISTS c\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY);
    assert_true(session_has_given_way(f->a));
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+OK\r\n$1\r\n1\r\n");
    assert_true(lsm_try_lock(store_engine(f->ms.store), 0)); /* it keeps nothing from others */
    lsm_unlock(store_engine(f->ms.store));
    go_on(f->a);
    assert_true(session_has_given_way(f->a));
    assert_string_equal(fixture_take(f, f->a), "$1\r\n2\r\n:1\r\n:1\r\n");
    go_on(f->a);
    assert_false(session_has_given_way(f->a));
    assert_string_equal(fixture_take(f, f->a), ":0\r\n");
    assert_int_equal(session_input_bytes(f->a), 0);
}

static void what_comes_meanwhile_is_behind_what_waits(void **state)
{
    struct session_fixture *f = *state;
    give_turns_of(f, 1);
    fixture_feed(f->a, "SET a 1\r\nSET a 2\r\nGE"); /* a partial one at the end */
    assert_true(session_has_given_way(f->a));
    fixture_feed(f->a, "T a\r\nGET");
    fixture_feed(f->a, " a\r\n");
    for (int i = 0; i < 9 && session_has_given_way(f->a); i++)
        go_on(f->a);
    assert_false(session_has_given_way(f->a));
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+OK\r\n$1\r\n2\r\n$1\r\n2\r\n");
}

static void the_end_of_the_input_waits_for_what_was_given_way(void **state)
{
    struct session_fixture *f = *state;
    give_turns_of(f, 1);
    fixture_feed(f->a, "SET a 1\r\nGET a\r\n");
    assert_int_equal(session_end_input(f->a), SESSION_READY);
    go_on(f->a);
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n$1\r\n1\r\n");
}

static void a_clock_that_is_set_back_ends_no_turn(void **state)
{
    struct session_fixture *f = *state;
    give_turns_of(f, 3);
    fixture_feed(f->a, "SET a 1\r\n");
    f->ms.now_ms -= 1000;
    fixture_feed(f->a, "GET a\r\nGET a\r\n");
    assert_false(session_has_given_way(f->a));
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n$1\r\n1\r\n$1\r\n1\r\n");
}

static void a_host_without_turns_executes_all_at_once(void **state)
{
    struct session_fixture *f = *state;
    give_turns_of(f, 0);
    for (int i = 0; i < 100; i++)
        fixture_feed(f->a, "GET a\r\nGET a\r\nGET a\r\n");
    assert_false(session_has_given_way(f->a));
    assert_int_equal(session_input_bytes(f->a), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_session_gives_way_when_its_turn_is_over),
        TEST(what_comes_meanwhile_is_behind_what_waits),
        TEST(the_end_of_the_input_waits_for_what_was_given_way),
        TEST(a_clock_that_is_set_back_ends_no_turn),
        TEST(a_host_without_turns_executes_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
