/* SPDX-License-Identifier: MIT */
/* maxmemory where a transcript against redis-server cannot look: clients that hold memory, JSON, what the log says. And
 * what MEMORY tells of it. */
#include "commands/service_state.h"
#include "unit/commands/session_fixture.h"

#include <stdlib.h>

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

/* ---- MEMORY ------------------------------------------------------------------------------------- */

static uint64_t figure(struct session_fixture *f, const char *name)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\", :", name);
    const char *at = strstr(fixture_ask(f, f->a, "MEMORY STATS"), quoted);
    assert_non_null(at);
    return strtoull(at + strlen(quoted), NULL, 10);
}

static void memory_stats_are_about_this_process(void **state)
{
    struct session_fixture *f = *state;
    assert_int_equal(figure(f, "keys.count"), 0);
    assert_int_equal(figure(f, "keys.bytes-per-key"), 0);
    uint64_t empty = figure(f, "memtables.bytes");
    for (int i = 0; i < 20; i++) /* memtables take memory in pieces */
        fixture_ask(f, f->a, "SETRANGE a 60000 v");
    fixture_ask(f, f->a, "SELECT 1");
    fixture_ask(f, f->a, "SET b 2");
    hold(f->b);
    assert_int_equal(figure(f, "keys.count"), 2);
    assert_true(figure(f, "memtables.bytes") > empty);
    assert_int_equal(figure(f, "dataset.bytes"),
                     figure(f, "memtables.bytes") + figure(f, "block-cache.bytes"));
    assert_int_equal(figure(f, "keys.bytes-per-key"), figure(f, "dataset.bytes") / 2);
    assert_in_range(figure(f, "clients.normal"), HELD_BYTES, 3 * HELD_BYTES);
    assert_int_equal(figure(f, "maxmemory.counted"), STORE_BYTES + figure(f, "clients.normal"));
    assert_true(figure(f, "total.allocated") > 1 << 20);
    assert_true(figure(f, "peak.allocated") >= HELD_BYTES);
    fixture_feed(f->a, "HELLO 3\r\n");
    (void)fixture_take(f, f->a);
    assert_non_null(strstr(fixture_ask(f, f->a, "MEMORY STATS"), "\"peak.percentage\": ,"));
}

static void the_doctor_looks_at_the_limits(void **state)
{
    struct session_fixture *f = *state;
    set_limit(f, 1);
    assert_non_null(strstr(fixture_ask(f, f->a, "MEMORY DOCTOR"), "maxmemory is 1 bytes"));
    set_limit(f, 0);
    assert_null(strstr(fixture_ask(f, f->a, "MEMORY DOCTOR"), "maxmemory is"));
}

static void the_heap_is_left_to_a_worker(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {"MEMORY PURGE\r\n", "MEMORY MALLOC-STATS\r\n"};
    for (size_t i = 0; i < 2; i++) {
        fixture_feed(f->a, lines[i]);
        assert_int_equal(session_state(f->a), SESSION_PARKED);
        fixture_settle(f->a);
        assert_true(strlen(fixture_take(f, f->a)) >= 5);
    }
    assert_reply(f, f->a, "MEMORY PURGE", "+OK");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_are_refused_while_clients_hold_more),
        TEST(json_writes_are_refused_too),
        TEST(a_limit_that_leaves_no_room_is_logged),
        TEST(memory_stats_are_about_this_process),
        TEST(the_doctor_looks_at_the_limits),
        TEST(the_heap_is_left_to_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
