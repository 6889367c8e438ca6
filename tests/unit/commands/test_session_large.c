/* SPDX-License-Identifier: MIT */
/* Large requests are a worker's, large memory is freed elsewhere. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

/* ---- Large requests ---------------------------------------------------------------------------- */

/* COMMAND of `size` bytes, all but the first piece without a copy of what came. */
static void feed_large(struct session_fixture *f, const char *head, size_t size)
{
    struct buffer request = {0};
    buffer_printf(&request, "%s$%zu\r\n", head, size);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&request, 'v');
    buffer_append_text(&request, "\r\nPING\r\n");
    session_feed(f->a, slice_make(request.data, 1000));
    session_feed(f->a, slice_skip(buffer_slice(&request), 1000));
    buffer_release(&request);
}

static void a_large_request_is_run_by_a_worker_where_it_lies(void **state)
{
    struct session_fixture *f = *state;
    feed_large(f, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 200 << 10);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+PONG\r\n");
    feed_large(f, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 300 << 10);
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_true(f->a->held.capacity > 300 << 10);   /* what came, not a copy of it */
    assert_int_equal(session_input_bytes(f->a), 6); /* PING */
    assert_int_equal(fixture_settle(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+PONG\r\n");
    assert_int_equal(f->a->held.capacity, 0);
    fixture_feed(f->a, "GET k\r\n");
    fixture_settle(f->a);
    assert_int_equal(strlen(fixture_take(f, f->a)), 9 + (300 << 10) + 2);
}

static void many_lines_are_a_workers_sooner(void **state)
{
    struct session_fixture *f = *state;
    feed_large(f, "*5\r\n$10\r\nLOG.MWRITE\r\n$1\r\nl\r\n$5\r\nLINES\r\n$1\r\n1\r\n", 70 << 10);
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_int_equal(fixture_settle(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "*4\r\n$9\r\n1000000-0\r\n$9\r\n1000000-0\r\n"
                                               ":1\r\n:0\r\n+PONG\r\n");
}

static void a_line_of_json_that_is_long_is_a_workers(void **state)
{
    struct session_fixture *f = *state;
    static int owner;
    struct session *json = fixture_session(f, true, true, &owner);
    struct buffer line = {0};
    buffer_append_text(&line, "{\"action\":\"write_many\",\"log\":\"l\",\"entries\":[");
    for (int i = 0; i < 4000; i++)
        buffer_append_text(&line, i ? ",{\"message\":\"hello\"}" : "{\"message\":\"hello\"}");
    buffer_append_text(&line, "]}\n");
    session_feed(json, slice_make(line.data, 20));
    session_feed(json, slice_skip(buffer_slice(&line), 20));
    assert_int_equal(session_state(json), SESSION_PARKED);
    assert_int_equal(fixture_settle(json), SESSION_READY);
    assert_int_equal(strncmp(fixture_take(f, json), "{\"status\":\"ok\"", 14), 0);
    assert_reply(f, f->a, "XLEN l", ":4000");
    session_destroy(json);
    buffer_release(&line);
}

/* ---- Large memory ------------------------------------------------------------------------------ */

static unsigned large_freed;

static void free_large(void *context, void *memory)
{
    (void)context;
    large_freed++;
    memory_free(memory);
}

static void large_memory_is_left_to_the_host(void **state)
{
    struct session_fixture *f = *state;
    f->service->host.free_large = free_large;
    large_freed = 0;
    feed_large(f, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 300 << 10);
    fixture_settle(f->a);
    fixture_take(f, f->a);
    assert_int_equal(large_freed, 0); /* this is not large */
    feed_large(f, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", 3 << 20);
    assert_int_equal(large_freed, 0);
    fixture_settle(f->a);
    assert_int_equal(large_freed, 1); /* the request */
    fixture_take(f, f->a);
    fixture_feed(f->a, "GET k\r\n");
    fixture_settle(f->a);
    assert_int_equal(large_freed, 1);
    assert_int_equal(strlen(fixture_take(f, f->a)), 10 + (3 << 20) + 2);
    assert_int_equal(large_freed, 2); /* the reply, once all of it is sent */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_request_is_run_by_a_worker_where_it_lies),
        TEST(many_lines_are_a_workers_sooner),
        TEST(a_line_of_json_that_is_long_is_a_workers),
        TEST(large_memory_is_left_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
