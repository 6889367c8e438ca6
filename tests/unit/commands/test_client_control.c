/* SPDX-License-Identifier: MIT */
/* CLIENT PAUSE, KILL, REPLY beyond the transcripts; SAVE, WAIT and WAITAOF, which wait for the disk or for time. */
#include "unit/commands/session_fixture.h"

#include "commands/service_state.h"

static void a_paused_write_waits_for_its_time_and_no_read_does(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT PAUSE 1000 WRITE", "+OK");
    assert_reply(f, f->b, "GET k", "nil");
    fixture_feed(f->b, "SET k v\r\nGET k\r\n");
    assert_int_equal(session_state(f->b), SESSION_BLOCKED);
    uint64_t deadline_us = session_deadline_us(f->b);
    assert_true(deadline_us > 0);
    assert_int_equal(session_timeout(f->b), SESSION_BLOCKED); /* too early */
    assert_int_equal(session_resume(f->b), SESSION_BLOCKED);  /* a spurious wake */
    f->ms.now_ms += 1001;
    assert_int_equal(session_timeout(f->b), SESSION_READY);
    assert_string_equal(fixture_take(f, f->b), "+OK\r\n$1\r\nv\r\n");
}

static void unpause_wakes_who_waits(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT PAUSE 100000 WRITE", "+OK");
    assert_reply(f, f->a, "CLIENT PAUSE 10 WRITE", "+OK"); /* does not shorten it */
    fixture_feed(f->b, "MULTI\r\nSET k v\r\nEXEC\r\n");
    assert_int_equal(session_state(f->b), SESSION_BLOCKED);
    f->wake_count = 0;
    assert_reply(f, f->a, "CLIENT UNPAUSE", "+OK");
    assert_int_equal(f->wake_count, 2);
    assert_int_equal(session_resume(f->b), SESSION_READY);
    assert_string_equal(fixture_take(f, f->b), "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
}

static void json_lines_wait_as_writes_do(void **state)
{
    struct session_fixture *f = *state;
    struct session *json = fixture_session(f, true, true, NULL);
    assert_reply(f, f->a, "CLIENT PAUSE 100000 WRITE", "+OK");
    fixture_feed(json, "{\"action\":\"write\",\"log\":\"l\",\"message\":\"m\"}\n");
    assert_int_equal(session_state(json), SESSION_BLOCKED);
    assert_reply(f, f->a, "XLEN l", ":0");
    assert_reply(f, f->a, "CLIENT UNPAUSE", "+OK");
    assert_int_equal(session_resume(json), SESSION_READY);
    assert_reply(f, f->a, "XLEN l", ":1");
    session_destroy(json);
}

static void kill_finds_by_every_filter_and_ends_itself_behind_its_reply(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT KILL ID 2 ADDR 127.0.0.1:50000 LADDR 127.0.0.1:6379", ":1");
    assert_reply(f, f->a, "CLIENT KILL ID 2 LADDR 127.0.0.1:1", ":0");
    assert_reply(f, f->a, "CLIENT KILL TYPE normal USER default", ":1");
    assert_reply(f, f->a, "CLIENT KILL TYPE replica SKIPME no", ":0");
    assert_int_equal(session_state(f->a), SESSION_READY);
    assert_reply(f, f->a, "CLIENT KILL ID 1 SKIPME no", ":1");
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
}

static void a_client_kept_by_no_evict_is_not_the_largest(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT NO-EVICT ON", "+OK");
    assert_true(atomic_load(&f->a->is_kept));
    assert_reply(f, f->a, "RESET", "+RESET");
    assert_false(atomic_load(&f->a->is_kept));
}

static void no_touch_is_shown_until_it_ends(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT NO-TOUCH",
                 "-ERR wrong number of arguments for 'client|no-touch' command");
    assert_reply(f, f->a, "CLIENT NO-TOUCH MAYBE", "-ERR syntax error");
    assert_null(strstr(fixture_ask(f, f->a, "CLIENT INFO"), "flags=T "));
    assert_reply(f, f->a, "CLIENT NO-TOUCH on", "+OK");
    assert_non_null(strstr(fixture_ask(f, f->a, "CLIENT INFO"), "flags=T "));
    assert_reply(f, f->a, "CLIENT NO-TOUCH off", "+OK");
    assert_null(strstr(fixture_ask(f, f->a, "CLIENT INFO"), "flags=T "));
    assert_reply(f, f->a, "CLIENT NO-TOUCH on", "+OK");
    assert_reply(f, f->a, "RESET", "+RESET");
    assert_null(strstr(fixture_ask(f, f->a, "CLIENT INFO"), "flags=T "));
}

static void save_and_waitaof_sync_the_log(void **state)
{
    static const char *const lines[] = {"SAVE", "WAITAOF 1 0 0"};
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_reply(f, f->b, i ? "SET k 2" : "SET k 1", "+OK");
        assert_true(lsm_durable_lsn(engine) < lsm_visible_lsn(engine));
        assert_reply(f, f->a, lines[i], i ? "[:1, :0]" : "+OK");
        assert_int_equal(lsm_durable_lsn(engine), lsm_visible_lsn(engine));
    }
    f->ms.now_ms += 5000;
    assert_reply(f, f->a, "BGSAVE", "+Background saving started");
    assert_reply(f, f->a, "LASTSAVE", ":1005");
}

static void wait_answers_when_its_time_is_over(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "WAIT 1 500\r\nWAITAOF 0 1 500\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 501;
    session_timeout(f->a);
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), ":0\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 501;
    assert_int_equal(session_timeout(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "*2\r\n:1\r\n:0\r\n");
    assert_reply(f, f->a, "WAITAOF 2 0 0",
                 "-ERR value is out of range, value must between 0 and 1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_paused_write_waits_for_its_time_and_no_read_does),
        TEST(unpause_wakes_who_waits),
        TEST(json_lines_wait_as_writes_do),
        TEST(kill_finds_by_every_filter_and_ends_itself_behind_its_reply),
        TEST(a_client_kept_by_no_evict_is_not_the_largest),
        TEST(no_touch_is_shown_until_it_ends),
        TEST(save_and_waitaof_sync_the_log),
        TEST(wait_answers_when_its_time_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
