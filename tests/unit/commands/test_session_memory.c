/* SPDX-License-Identifier: MIT */
/* What sessions do when there is no memory for what their clients ask for; whole commands under every
 * failing allocation are tests/fault/test_every_command.c. */
#include "base/memory.h"
#include "commands/service_state.h"
#include "unit/commands/session_fixture.h"

static const char no_memory[] = "-ERR out of memory\r\n";

static void append_bulk(struct buffer *request, const char *text)
{
    buffer_printf(request, "$%zu\r\n%s\r\n", strlen(text), text);
}

/* A value of `size` bytes. */
static void set_large(struct session_fixture *f, const char *key, size_t size)
{
    struct buffer request = {0};
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, size);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&request, 'v');
    buffer_append_text(&request, "\r\n");
    session_feed(f->a, buffer_slice(&request));
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    buffer_release(&request);
}

static void a_request_without_memory_for_its_words_ends_the_session(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    buffer_append_text(&request, "*1\r\n$4\r\nPING\r\n*5001\r\n$3\r\nDEL\r\n");
    for (int i = 0; i < 5000; i++)
        append_bulk(&request, "k");
    unsigned told = 0;
    for (uint64_t n = 1;; n++) {
        struct session *session = fixture_session(f, true, false, NULL);
        memory_fail_try((n + 1) / 2, false);
        if (n % 2 == 0) { /* in pieces: they are kept first */
            session_feed(session, slice_make(request.data, 20));
            session_feed(session, slice_make(request.data + 20, 5));
        }
        session_feed(session, slice_skip(buffer_slice(&request), n % 2 ? 0 : 25));
        memory_fail_try(0, false);
        bool is_whole = session_state(session) != SESSION_CLOSING;
        const char *reply = fixture_take(f, session);
        told += strcmp(reply, "+PONG\r\n-ERR out of memory\r\n") == 0;
        assert_int_equal(strncmp(reply, "+PONG\r\n", 7), 0);
        session_destroy(session);
        if (is_whole && n % 2 == 0)
            break;
    }
    assert_true(told >= 2);
    assert_reply(f, f->b, "PING", "+PONG");
    buffer_release(&request);
}

/* A parked request is copied; without memory it is answered, and the session goes on. */
static void a_request_that_cannot_be_held_is_refused(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    set_large(f, "large", 400 << 10);
    buffer_append_text(&request, "*9001\r\n$6\r\nEXISTS\r\n"); /* a worker's */
    for (int i = 0; i < 9000; i++)
        append_bulk(&request, "small");
    fixture_feed(f->a, "GET large\r\n"); /* small enough to be held whatever comes */
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    fixture_settle(f->a);
    fixture_take(f, f->a);
    assert_true(f->a->request.capacity > 0);
    /* Once parsed, what is asked for is the copy alone. */
    for (uint64_t n = 1;; n++) {
        memory_fail_try(n, false);
        session_feed(f->a, buffer_slice(&request));
        memory_fail_try(0, false);
        if (session_state(f->a) == SESSION_PARKED)
            break;
        assert_string_equal(fixture_take(f, f->a), no_memory);
        if (session_state(f->a) == SESSION_CLOSING) { /* its words found no place */
            session_destroy(f->a);
            f->a = fixture_session(f, true, false, NULL);
        } else {
            assert_reply(f, f->a, "PING", "+PONG");
        }
        assert_true(n < 20);
    }
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), ":0\r\n");
    buffer_release(&request);
}

/* XREAD BLOCK of many streams: IDs that are resolved, the copy, a waiter for each. */
static void a_wait_without_memory_is_refused(void **state)
{
    struct session_fixture *f = *state;
    enum { STREAMS = 1000 };
    struct buffer request = {0};
    uint64_t n = 1;
    buffer_printf(&request, "*%d\r\n", 4 + 2 * STREAMS);
    append_bulk(&request, "XREAD");
    append_bulk(&request, "BLOCK");
    append_bulk(&request, "0");
    append_bulk(&request, "STREAMS");
    for (int i = 0; i < 2 * STREAMS; i++) {
        char key[40];
        snprintf(key, sizeof key, "stream with a longer name %d", i);
        append_bulk(&request, i < STREAMS ? key : "$");
    }
    for (;; n++) {
        memory_fail_try(n, n % 2 == 0);
        session_feed(f->a, buffer_slice(&request));
        memory_fail_try(0, false);
        if (session_state(f->a) == SESSION_BLOCKED)
            break;
        assert_string_equal(fixture_take(f, f->a), no_memory);
        assert_int_equal(session_state(f->a), SESSION_READY);
        assert_false(waiters_any(&f->service->waiters));
        if (n == 4) /* IDs come in small pieces: on to what comes behind them */
            n = 200;
    }
    assert_true(n > 4);
    fixture_feed(f->b, "XADD \"stream with a longer name 7\" 1-1 f v\r\n");
    assert_int_equal(f->wake_count, 1);
    session_resume(f->a);
    assert_non_null(strstr(fixture_take(f, f->a), "longer name 7"));
    buffer_release(&request);
}

/* Replies that nobody takes fill the output: when not even an error has room, the session ends. */
static void a_session_without_room_for_an_error_ends(void **state)
{
    struct session_fixture *f = *state;
    size_t size;
    set_large(f, "k", 30000);
    fixture_feed(f->a, "GET k\r\nGET k\r\n");
    do {
        size = session_output(f->a).size;
        memory_fail_try(1, true);
        fixture_feed(f->a, "GET k\r\n");
        memory_fail_try(0, false);
        fixture_settle(f->a);
    } while (session_state(f->a) != SESSION_CLOSING);
    /* The last replies but one told what happened, if anything could be told. */
    assert_true(session_output(f->a).size == size);
    assert_true(session_output(f->a).size > 60000);
    assert_non_null(strstr(fixture_take(f, f->a), "\r\nvvvv"));
    assert_reply(f, f->b, "PING", "+PONG");
}

static void a_reply_without_memory_is_an_error_and_the_next_is_whole(void **state)
{
    struct session_fixture *f = *state;
    set_large(f, "k", 70000);
    memory_fail_try(1, true);
    fixture_feed(f->a, "PING\r\nGET k\r\nPING\r\n");
    memory_fail_try(0, false);
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+PONG\r\n-ERR out of memory\r\n+PONG\r\n");
    fixture_feed(f->a, "GET k\r\n");
    fixture_settle(f->a);
    assert_int_equal(strlen(fixture_take(f, f->a)), 70000 + sizeof "$70000\r\n\r\n" - 1);
}

/* A worker's reply joins those that wait; without memory it is lost, and with it the session. */
static void a_workers_reply_without_memory_ends_the_session(void **state)
{
    struct session_fixture *f = *state;
    set_large(f, "k", 400 << 10);
    for (int fails = 1; fails >= 0; fails--) {
        fixture_feed(f->b, "PING\r\nGET k\r\nPING\r\n");
        assert_int_equal(session_state(f->b), SESSION_PARKED);
        session_work(f->b);
        memory_fail_try((uint64_t)fails, true);
        session_resume(f->b);
        memory_fail_try(0, false);
        if (!fails)
            break;
        assert_int_equal(session_state(f->b), SESSION_CLOSING);
        assert_string_equal(fixture_take(f, f->b), "+PONG\r\n");
        session_destroy(f->b);
        f->b = fixture_session(f, true, false, NULL);
    }
    assert_int_equal(session_state(f->b), SESSION_READY);
    assert_true(strlen(fixture_take(f, f->b)) > 400 << 10);
}

/* Marks that find no place stand for what came before them too. */
static void held_replies_without_memory_wait_a_little_longer(void **state)
{
    struct session_fixture *f = *state;
    enum { WRITES = 6000 };
    lsn_t first = 0;
    memory_fail_try(1, true);
    for (int i = 0; i < WRITES; i++) {
        fixture_feed(f->a, "SET k v\r\n");
        if (i == 0)
            first = session_output_awaits(f->a);
    }
    memory_fail_try(0, false);
    assert_int_equal(session_output(f->a).size, WRITES * 5);
    assert_int_equal(session_output_released(f->a, first), 0);
    assert_int_equal(session_output_released(f->a, first + 1), 5);
    lsn_t last = first;
    for (lsn_t next; (next = session_output_awaits(f->a)) > 0; last = next) {
        assert_true(next > last);
        assert_int_equal(session_output_released(f->a, next) % 5, 0);
        if (session_output_released(f->a, next + 1) == WRITES * 5)
            assert_true(session_output_awaits(f->a) == 0);
        else
            assert_true(session_output_released(f->a, next + 1) <= 4096 * 5);
    }
    assert_true(last < lsm_visible_lsn(store_engine(f->ms.store)));
}

/* What was touched is not known any more: all who wait look. */
static void lost_facts_wake_everybody(void **state)
{
    struct session_fixture *f = *state;
    enum { KEYS = 2000 };
    struct buffer request = {0};
    char key[80];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "SET a-key-with-a-name-as-long-as-this-one-is-%d v\r\n", i);
        fixture_feed(f->a, key);
    }
    fixture_take(f, f->a);
    fixture_feed(f->b, "XREAD BLOCK 0 STREAMS elsewhere $\r\n");
    assert_int_equal(session_state(f->b), SESSION_BLOCKED);
    buffer_printf(&request, "*%d\r\n", KEYS + 1);
    append_bulk(&request, "DEL");
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "a-key-with-a-name-as-long-as-this-one-is-%d", i);
        append_bulk(&request, key);
    }
    for (uint64_t n = 1; f->wake_count == 0; n++) {
        memory_fail_try(n, false);
        session_feed(f->a, buffer_slice(&request));
        memory_fail_try(0, false);
        fixture_take(f, f->a);
        assert_true(n < 100);
    }
    assert_string_equal((char *)f->shown.data, ":2000\r\n");
    assert_reply(f, f->a, "DBSIZE", ":0");
    buffer_release(&request);
}

static void a_long_key_needs_memory(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    const size_t size = 200 << 10;
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$%zu\r\n", size);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&request, 'k');
    buffer_append_text(&request, "\r\n$1\r\nv\r\n");
    uint64_t n = 1;
    for (;; n++) {
        memory_fail_try(n, n % 2 == 0);
        session_feed(f->a, buffer_slice(&request));
        memory_fail_try(0, false);
        if (strcmp(fixture_take(f, f->a), "+OK\r\n") == 0)
            break;
        assert_string_equal((char *)f->shown.data, no_memory);
    }
    assert_true(n > 2);
    buffer_release(&request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_request_without_memory_for_its_words_ends_the_session),
        TEST(a_request_that_cannot_be_held_is_refused),
        TEST(a_wait_without_memory_is_refused),
        TEST(a_session_without_room_for_an_error_ends),
        TEST(a_reply_without_memory_is_an_error_and_the_next_is_whole),
        TEST(a_workers_reply_without_memory_ends_the_session),
        TEST(held_replies_without_memory_wait_a_little_longer),
        TEST(lost_facts_wake_everybody),
        TEST(a_long_key_needs_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
