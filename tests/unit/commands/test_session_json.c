/* SPDX-License-Identifier: MIT */
/* JSON sessions: lines, their limits, and the end of a connection. What the lines say is
 * test_json_request.c's. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"

static int setup(void **state)
{
    fixture_setup(state);
    struct session_fixture *f = *state;
    session_destroy(f->a);
    f->a = fixture_session(f, true, true, f);
    return 0;
}

static bool is_error(const char *line, const char *code)
{
    char begin[128];
    snprintf(begin, sizeof begin, "{\"status\":\"error\",\"errcode\":\"%s\"", code);
    return strncmp(line, begin, strlen(begin)) == 0;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; (text = strchr(text, '\n')); text++)
        lines++;
    return lines;
}

static const char writes[] =
    "{\"action\":\"write\",\"message\":\"one\"}\n"
    "{\"action\":\"write\",\"message\":\"two\"}\r\n"
    "\r\n  \n"
    "{\"action\":\"read\",\"start_ts\":0,\"end_ts\":18446744073709551615}\n";

static void lines_give_the_same_replies_wherever_they_are_split(void **state)
{
    struct session_fixture *f = *state;
    struct slice all = slice_make(writes, sizeof writes - 1);
    for (size_t cut = 0; cut <= all.size; cut++) {
        struct session *session = fixture_session(f, true, true, f);
        session_feed(session, slice_make(all.data, cut));
        session_feed(session, slice_skip(all, cut));
        const char *replies = fixture_take(f, session);
        assert_int_equal(count_lines(replies), 3);
        assert_int_equal(strncmp(replies, "{\"status\":\"ok\",\"id\":\"", 20), 0);
        assert_non_null(strstr(replies, "\"message\":\"two\""));
        assert_int_equal(session_state(session), SESSION_READY);
        session_destroy(session);
        assert_reply(f, f->b, "FLUSHALL", "+OK");
    }
}

static void a_first_line_without_a_brace_closes(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "P");
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "");
    struct session *session = fixture_session(f, true, true, f);
    fixture_feed(session, "{\"action\":\"nosuch\"}\nPOST / HTTP/1.1\n");
    assert_int_equal(session_state(session),
                     SESSION_READY); /* only the first line is a browser's */
    assert_int_equal(count_lines(fixture_take(f, session)), 2);
    session_destroy(session);
}

static void half_a_line_at_the_end_is_answered(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "{\"action\":\"write\",\"message\":\"x\"}\n{\"action\":");
    assert_int_equal(session_end_input(f->a), SESSION_CLOSING);
    const char *replies = fixture_take(f, f->a);
    assert_int_equal(count_lines(replies), 2);
    assert_true(is_error(strchr(replies, '\n') + 1, "invalid_json"));
}

static void a_whole_line_at_the_end_is_no_half_one(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "{\"action\":\"write\",\"message\":\"x\"}\n");
    assert_int_equal(session_end_input(f->a), SESSION_CLOSING);
    assert_int_equal(count_lines(fixture_take(f, f->a)), 1);
}

static void a_line_over_the_limit_is_answered_and_the_connection_goes_on(void **state)
{
    struct session_fixture *f = *state;
    enum { CHUNK = 1 << 20 };
    char *chunk = memory_allocate(CHUNK);
    memset(chunk, 'x', CHUNK);
    fixture_feed(f->a, "{\"action\":\"write\",\"message\":\"");
    size_t held_max = 0;
    for (int i = 0; i < 70; i++) {
        session_feed(f->a, slice_make(chunk, CHUNK));
        if (session_input_bytes(f->a) > held_max)
            held_max = session_input_bytes(f->a);
    }
    assert_int_equal(session_input_bytes(f->a), 0); /* thrown away */
    assert_true(held_max <= 66 << 20);
    assert_string_equal(fixture_take(f, f->a), "");
    fixture_feed(f->a, "\"}\n{\"action\":\"write\",\"message\":\"fits\"}\n");
    const char *replies = fixture_take(f, f->a);
    assert_int_equal(count_lines(replies), 2);
    assert_true(is_error(replies, "line_too_long"));
    assert_non_null(strstr(replies, "\n{\"status\":\"ok\""));
    memory_free(chunk);
}

static void a_password_is_asked_for_and_lines_are_short_before(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "requirepass", "secret");
    struct session *session = fixture_session(f, true, true, f);
    fixture_feed(session, "{\"action\":\"write\",\"message\":\"x\"}\n");
    assert_int_equal(strncmp(fixture_take(f, session), "{\"status\":\"error\"", 17), 0);
    fixture_feed(session, "{\"action\":\"write\",\"message\":\"");
    for (int i = 0; i < 2000; i++)
        fixture_feed(session, "0123456789");
    assert_int_equal(session_input_bytes(session), 0);
    fixture_feed(session, "\"}\n");
    assert_int_equal(strncmp(fixture_take(f, session), "{\"status\":\"error\"", 17), 0);
    fixture_feed(session, "{\"action\":\"auth\",\"user\":\"default\",\"password\":\"secret\"}\n"
                          "{\"action\":\"write\",\"message\":\"x\"}\n");
    const char *replies = fixture_take(f, session);
    assert_int_equal(count_lines(replies), 2);
    assert_null(strstr(replies, "error"));
    session_destroy(session);
}

static void json_replies_wait_for_durability(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    lsn_t before = lsm_durable_lsn(engine);
    fixture_feed(f->a, "{\"action\":\"write\",\"message\":\"x\"}\n");
    assert_int_equal(session_output_released(f->a, before), 0);
    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    assert_int_equal(session_output_released(f->a, lsm_durable_lsn(engine)),
                     session_output(f->a).size);
    fixture_take(f, f->a);
}

static void json_writes_wake_blocked_readers(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->b, "XREAD BLOCK 0 STREAMS dls $\r\n");
    assert_int_equal(session_state(f->b), SESSION_BLOCKED);
    fixture_feed(f->a, "{\"action\":\"write\",\"message\":\"x\"}\n");
    assert_int_equal(f->wake_count, 1);
    assert_int_equal(session_resume(f->b), SESSION_READY);
    assert_non_null(strstr(fixture_take(f, f->b), "message"));
    fixture_take(f, f->a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(lines_give_the_same_replies_wherever_they_are_split),
        TEST(a_first_line_without_a_brace_closes),
        TEST(half_a_line_at_the_end_is_answered),
        TEST(a_whole_line_at_the_end_is_no_half_one),
        TEST(a_line_over_the_limit_is_answered_and_the_connection_goes_on),
        TEST(a_password_is_asked_for_and_lines_are_short_before),
        TEST(json_replies_wait_for_durability),
        TEST(json_writes_wake_blocked_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
