/* SPDX-License-Identifier: MIT */
/* Waiters by themselves, and sessions that block on streams. */
#include "commands/waiters.h"

#include "unit/commands/session_fixture.h"

#include <pthread.h>

/* ---- The registry
 * -------------------------------------------------------------------------------- */

struct wakes {
    void *owners[16];
    size_t count;
};

static void note_wake(void *context, void *owner)
{
    struct wakes *wakes = context;
    assert_true(wakes->count < 16);
    wakes->owners[wakes->count++] = owner;
}

static void waiters_of_a_key_wake_in_the_order_of_their_coming(void **state)
{
    (void)state;
    static struct waiters waiters;
    struct wakes wakes = {0};
    struct waiter list[4];
    int owners[4];
    waiters_init(&waiters, note_wake, &wakes);
    assert_false(waiters_any(&waiters));
    waiters_add(&waiters, &list[0], 0, slice_from("k"), &owners[0]);
    waiters_add(&waiters, &list[1], 0, slice_from("other"), &owners[1]);
    waiters_add(&waiters, &list[2], 0, slice_from("k"), &owners[2]);
    waiters_add(&waiters, &list[3], 1, slice_from("k"), &owners[3]);
    assert_true(waiters_any(&waiters));
    waiters_signal(&waiters, 0, slice_from("k"));
    assert_int_equal(wakes.count, 2);
    assert_ptr_equal(wakes.owners[0], &owners[0]);
    assert_ptr_equal(wakes.owners[1], &owners[2]);
    waiters_signal(&waiters, 0, slice_from("none"));
    waiters_signal(&waiters, 2, slice_from("k"));
    assert_int_equal(wakes.count, 2);
    waiters_remove(&waiters, &list[0]);
    waiters_signal(&waiters, 0, slice_from("k"));
    assert_int_equal(wakes.count, 3);
    waiters_signal_all(&waiters);
    assert_int_equal(wakes.count, 6);
    for (int i = 1; i < 4; i++)
        waiters_remove(&waiters, &list[i]);
    assert_false(waiters_any(&waiters));
    waiters_release(&waiters);
}

static void many_waiters_come_and_go(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static struct waiters waiters;
    static struct waiter list[COUNT];
    static char keys[COUNT][16];
    struct wakes wakes = {0};
    waiters_init(&waiters, note_wake, &wakes);
    for (int i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i);
        waiters_add(&waiters, &list[i], 0, slice_from(keys[i]), &list[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        wakes.count = 0;
        waiters_signal(&waiters, 0, slice_from(keys[i]));
        assert_int_equal(wakes.count, 1);
        assert_ptr_equal(wakes.owners[0], &list[i]);
    }
    for (int i = 0; i < COUNT; i += 2)
        waiters_remove(&waiters, &list[i]);
    wakes.count = 0;
    for (int i = 0; i < COUNT; i += 2)
        waiters_signal(&waiters, 0, slice_from(keys[i]));
    assert_int_equal(wakes.count, 0);
    for (int i = 1; i < COUNT; i += 2)
        waiters_remove(&waiters, &list[i]);
    waiters_release(&waiters);
}

/* ---- Sessions
 * ------------------------------------------------------------------------------------ */

static void a_blocked_reader_wakes_with_the_entry(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "XREAD BLOCK 0 STREAMS s $\r\nPING\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    assert_int_equal(session_deadline_us(f->a), 0);
    assert_string_equal(fixture_take(f, f->a), "");
    assert_reply(f, f->b, "SET other 1", "+OK");
    assert_int_equal(f->wake_count, 0);
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    assert_int_equal(f->wake_count, 1);
    assert_ptr_equal(f->woken[0], session_owner(f->a));
    assert_int_equal(session_resume(f->a), SESSION_READY);
    assert_string_equal(
        fixture_take(f, f->a),
        "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        "+PONG\r\n");
    assert_reply(f, f->b, "XADD s 5-2 f v", "\"5-2\"");
    assert_int_equal(f->wake_count, 1); /* nobody waits any more */
}

static void a_wake_without_data_blocks_again_with_the_same_deadline(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    fixture_feed(f->a, "XREAD BLOCK 1000 STREAMS s none $ 0\r\n");
    uint64_t deadline = session_deadline_us(f->a);
    assert_int_equal(deadline, f->ms.now_ms * 1000 + 1000000);
    f->ms.now_ms += 300;
    assert_int_equal(session_resume(f->a), SESSION_BLOCKED);
    assert_int_equal(session_deadline_us(f->a), deadline);
    assert_reply(f, f->b, "DEL s", ":1");
    assert_int_equal(session_resume(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 699;
    assert_int_equal(session_timeout(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 1;
    assert_int_equal(session_timeout(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "*-1\r\n");
}

static void an_entry_that_is_there_needs_no_wait(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    assert_reply(f, f->a, "XREAD BLOCK 0 STREAMS s 0", "[[\"s\", [[\"5-1\", [\"f\", \"v\"]]]]]");
}

static void the_answer_of_a_blocked_reader_waits_for_durability(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    fixture_feed(f->a, "XREAD BLOCK 0 STREAMS s $\r\n");
    lsn_t before = lsm_durable_lsn(engine);
    fixture_feed(f->b, "XADD s 5-1 f v\r\n");
    session_resume(f->a);
    assert_int_equal(session_output_released(f->a, before), 0);
    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    assert_int_equal(session_output_released(f->a, lsm_durable_lsn(engine)),
                     session_output(f->a).size);
    fixture_take(f, f->a);
    fixture_take(f, f->b);
}

/* ---- A write between the reader's look and its registration ------------------------------------------ */

static struct {
    struct session_fixture *f;
    bool armed;
} between;

static void *write_entry(void *context)
{
    struct session_fixture *f = context;
    fixture_feed(f->b, "XADD s 5-1 f v\r\n");
    return NULL;
}

/* The deadline is computed after the handler found nothing and before the waiters are registered. */
static uint64_t clock_that_lets_a_write_in(void *context)
{
    if (between.armed) {
        pthread_t thread;
        between.armed = false;
        assert_int_equal(pthread_create(&thread, NULL, write_entry, between.f), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    return ((struct memory_store *)context)->now_ms * 1000;
}

static void a_write_just_before_the_registration_is_seen(void **state)
{
    struct session_fixture *f = *state;
    f->ms.env.monotonic_us = clock_that_lets_a_write_in;
    between.f = f;
    between.armed = true;
    fixture_feed(f->a, "XREAD BLOCK 1000 STREAMS s 0\r\n");
    assert_false(between.armed);
    assert_int_equal(f->wake_count, 0); /* nobody was registered yet */
    assert_int_equal(session_state(f->a), SESSION_READY);
    assert_non_null(strstr(fixture_take(f, f->a), "5-1"));
    fixture_take(f, f->b);
}

static void a_blocked_client_may_leave(void **state)
{
    struct session_fixture *f = *state;
    struct session *session = fixture_session(f, true, false, f);
    fixture_feed(session, "XREAD BLOCK 0 STREAMS s t $ $\r\n");
    assert_int_equal(session_state(session), SESSION_BLOCKED);
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO clients"), "blocked_clients:1"));
    session_destroy(session);
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    assert_int_equal(f->wake_count, 0);
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO clients"), "blocked_clients:0"));
}

static void input_of_a_blocked_client_is_kept(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "XREAD BLOCK 0 STREAMS s $\r\n");
    for (int i = 0; i < 1000; i++)
        fixture_feed(f->a, "ECHO x\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    assert_int_equal(session_resume(f->a), SESSION_READY);
    assert_int_equal(session_output(f->a).size, 50 + 1000 * 7);
    fixture_take(f, f->a);
}

static void swapping_databases_wakes_who_may_find_something(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->b, "SELECT 1", "+OK");
    assert_reply(f, f->b, "XADD s 5-1 f v", "\"5-1\"");
    fixture_feed(f->a, "XREAD BLOCK 0 STREAMS s 0\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    assert_reply(f, f->b, "SWAPDB 0 1", "+OK");
    assert_int_equal(f->wake_count, 1);
    assert_int_equal(session_resume(f->a), SESSION_READY);
    fixture_take(f, f->a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_of_a_key_wake_in_the_order_of_their_coming),
        cmocka_unit_test(many_waiters_come_and_go),
        TEST(a_blocked_reader_wakes_with_the_entry),
        TEST(a_wake_without_data_blocks_again_with_the_same_deadline),
        TEST(an_entry_that_is_there_needs_no_wait),
        TEST(the_answer_of_a_blocked_reader_waits_for_durability),
        TEST(a_write_just_before_the_registration_is_seen),
        TEST(a_blocked_client_may_leave),
        TEST(input_of_a_blocked_client_is_kept),
        TEST(swapping_databases_wakes_who_may_find_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
