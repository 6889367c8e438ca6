/* SPDX-License-Identifier: MIT */
/* maxmemory where a transcript against redis-server cannot look: clients that hold memory, JSON, what the log says. */
#include "commands/service_state.h"
#include "unit/commands/session_fixture.h"

enum { STORE_BYTES = 2 * (64 << 20), ROOM_BYTES = 1 << 20, HELD_BYTES = 2 << 20 };

static const char oom[] = "-OOM command not allowed when used memory > 'maxmemory'.";

static char logged[1000];

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    if (level == LOG_WARNING)
        snprintf(logged, sizeof logged, "%s", line);
}

static void set_limit(struct session_fixture *f, uint64_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    fixture_set(f, "maxmemory", text);
}

/* The client sends half of a value, and later the rest. */
static void hold(struct session *session)
{
    static char half[HELD_BYTES];
    memset(half, 'v', sizeof half);
    fixture_feed(session, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$2097153\r\n");
    session_feed(session, slice_make(half, sizeof half));
}

static void writes_are_refused_while_clients_hold_more(void **state)
{
    struct session_fixture *f = *state;
    set_limit(f, STORE_BYTES + ROOM_BYTES);
    assert_int_equal(service_memory_bytes(f->service), STORE_BYTES);
    assert_reply(f, f->a, "SET k 1", "+OK");
    hold(f->b);
    assert_in_range(service_memory_bytes(f->service), STORE_BYTES + HELD_BYTES,
                    STORE_BYTES + 3 * HELD_BYTES);
    assert_reply(f, f->a, "SET k 2", oom);
    assert_reply(f, f->a, "GET k", "\"1\"");
    assert_reply(f, f->a, "DEL k", ":1");
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO errorstats"), "errorstat_OOM:count=1"));
    fixture_feed(f->b, "v\r\n"); /* its own write comes too late, and sets the memory free */
    fixture_settle(f->b);
    (void)fixture_take(f, f->b);
    assert_reply(f, f->a, "SET k 3", "+OK");
    assert_int_equal(service_memory_bytes(f->service), STORE_BYTES);
}

static void json_writes_are_refused_too(void **state)
{
    struct session_fixture *f = *state;
    struct session *json = fixture_session(f, true, true, NULL);
    static const char line[] = "{\"action\":\"write\",\"log\":\"l\",\"message\":\"m\"}\n";
    set_limit(f, 1);
    fixture_feed(json, line);
    fixture_settle(json);
    assert_non_null(strstr(fixture_take(f, json), "\"no_memory\""));
    fixture_feed(json, "{\"action\":\"read\",\"log\":\"l\"}\n");
    fixture_settle(json);
    assert_null(strstr(fixture_take(f, json), "no_memory"));
    set_limit(f, 0);
    fixture_feed(json, line);
    fixture_settle(json);
    assert_null(strstr(fixture_take(f, json), "no_memory"));
    assert_reply(f, f->a, "XLEN l", ":1");
    session_destroy(json);
}

static void a_limit_that_leaves_no_room_is_logged(void **state)
{
    struct session_fixture *f = *state;
    f->ms.env.log = keep_line;
    assert_reply(f, f->a, "CONFIG SET maxmemory 200mb", "+OK");
    assert_string_equal(logged, "");
    assert_reply(f, f->a, "CONFIG SET timeout 5 maxmemory 100mb", "+OK");
    assert_non_null(strstr(logged, "maxmemory is 104857600 bytes"));
    logged[0] = 0;
    service_warn_of_memory(f->service);
    assert_non_null(strstr(logged, "refused (OOM)"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_are_refused_while_clients_hold_more),
        TEST(json_writes_are_refused_too),
        TEST(a_limit_that_leaves_no_room_is_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
