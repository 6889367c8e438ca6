/* SPDX-License-Identifier: MIT */
/* The string and bitmap families where a transcript against redis-server cannot look: cold data, what a worker
 * does, limits, facts, times. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

/* ---- Cold data ------------------------------------------------------------------------------- */

struct exchange {
    const char *line, *reply;
};

/* Each command runs where nothing is in memory and where it may not wait, at first. */
static void run_cold(struct session_fixture *f, const struct exchange *exchanges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memory_store_work(&f->ms, true);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        assert_reply(f, f->a, exchanges[i].line, exchanges[i].reply);
    }
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

static void parts_of_cold_strings_are_read_and_written(void **state)
{
    static const struct exchange exchanges[] = {
        {"SETRANGE large 100000 abcdef", ":100006"},
        {"SETRANGE small 3 def", ":6"},
        {"APPEND large ghi", ":100009"},
        {"APPEND small ghi", ":9"},
        {"STRLEN large", ":100009"},
        {"GETRANGE large -10 -1", "\"\\x00abcdefghi\""},
        {"SUBSTR small 2 -1", "\"\\x00defghi\""},
        {"SETRANGE large 98303 xy", ":100009"},
        {"GETRANGE large 98302 98305", "\"\\x00xy\\x00\""},
    };
    run_cold(*state, exchanges, sizeof exchanges / sizeof *exchanges);
}

static void whole_cold_strings_are_read_and_replaced(void **state)
{
    static const struct exchange exchanges[] = {
        {"SETRANGE large 100000 abcdef", ":100006"},
        {"MSET a 1 b 2 c 3 a 4", "+OK"},
        {"MGET a b missing c", "[\"4\", \"2\", nil, \"3\"]"},
        {"MSETNX d 1 c 2", ":0"},
        {"MSETNX d 1 e 2", ":1"},
        {"SETNX d 2", ":0"},
        {"SETEX e 100 3", "+OK"},
        {"PSETEX d 100000 4", "+OK"},
        {"GETEX a EX 50", "\"4\""},
        {"GETEX d PERSIST", "\"4\""},
        {"TTL d", ":-1"},
        {"TTL a", ":50"},
        {"GETSET a 5", "\"4\""},
        {"GETDEL b", "\"2\""},
        {"GETDEL b", "nil"},
        {"SETNX b 6", ":1"},
        {"DBSIZE", ":6"},
    };
    run_cold(*state, exchanges, sizeof exchanges / sizeof *exchanges);
}

static void cold_numbers_are_counted_on(void **state)
{
    static const struct exchange exchanges[] = {
        {"INCR n", ":1"},
        {"INCRBY n 10", ":11"},
        {"DECR n", ":10"},
        {"DECRBY n 20", ":-10"},
        {"INCRBYFLOAT n 0.5", "\"-9.5\""},
        {"INCR n", "-ERR value is not an integer or out of range"},
        {"SETRANGE large 70000 1", ":70001"},
        {"INCR large", "-ERR value is not an integer or out of range"},
        {"INCRBYFLOAT large 1", "-ERR value is not a valid float"},
    };
    run_cold(*state, exchanges, sizeof exchanges / sizeof *exchanges);
}

/* ---- Facts ----------------------------------------------------------------------------------- */

/* What the last write of the session did: "class event key, ...". */
static const char *facts_of(struct session_fixture *f, const char *line)
{
    static char text[1024];
    size_t size = 0;
    text[0] = 0;
    (void)fixture_ask(f, f->a, line);
    const struct access *access = &service_thread(f->service)->access;
    for (size_t i = 0; i < access->fact_count; i++) {
        const struct fact *fact = &access->facts[i];
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%c %s %.*s", i ? ", " : "",
                                 fact->class_letter, fact->event, (int)fact->key_size,
                                 (const char *)access->fact_bytes.data + fact->key_offset);
        assert_true(size < sizeof text);
    }
    return text;
}

static void every_change_is_told_as_redis_names_it(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *line, *facts;
    } changes[] = {
        {"APPEND k v", "$ append k"},
        {"APPEND k \"\"", "$ append k"},
        {"SETRANGE k 5 v", "$ setrange k"},
        {"SETRANGE k 5 \"\"", ""},
        {"SETNX k v", ""},
        {"SETNX n v", "$ set n"},
        {"SETEX k 10 v", "$ set k, g expire k"},
        {"PSETEX k 10 v", "$ set k, g expire k"},
        {"GETSET k v", "$ set k"},
        {"GETEX k", ""},
        {"GETEX k PERSIST", ""},
        {"GETEX k EX 10", "g expire k"},
        {"GETEX k PERSIST", "g persist k"},
        {"GETEX k PXAT 1", "g del k"},
        {"GETDEL k", ""},
        {"GETDEL n", "g del n"},
        {"INCR n", "$ incrby n"},
        {"DECRBY n 1", "$ incrby n"},
        {"INCRBYFLOAT n 1", "$ incrbyfloat n"},
        {"INCR d", "$ incrby d"},
        {"GETDEL d", "g del d"},
        {"MSET a 1 b 2", "$ set a, $ set b"},
        {"MSETNX a 1 c 2", ""},
        {"MSETNX d 1 c 2", "$ set d, $ set c"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *facts = facts_of(f, changes[i].line);
        if (strcmp(facts, changes[i].facts) != 0)
            fail_msg("%s: %s", changes[i].line, facts);
    }
}

/* ---- Large replies --------------------------------------------------------------------------- */

static void a_part_above_256_kib_is_replied_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SETRANGE k 1000000 x", ":1000001");
    fixture_feed(f->a, "GETRANGE k 0 200000\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY);
    assert_int_equal(session_output(f->a).size, 200001 + 11);
    fixture_take(f, f->a);
    fixture_feed(f->a, "GETRANGE k 100000 400000\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    fixture_settle(f->a);
    assert_int_equal(session_output(f->a).size, 300001 + 11);
    fixture_take(f, f->a);
}

static void a_part_beyond_the_limit_of_a_reply_is_an_error(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "max-reply-size", "100kb");
    assert_reply(f, f->a, "SETRANGE k 200000 x", ":200001");
    assert_reply(f, f->a, "GETRANGE k 0 10",
                 "\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\"");
    static const char refused[] = "-ERR the reply is larger than max-reply-size (102400 bytes): "
                                  "read it in pages, with COUNT or a "
                                  "smaller range";
    assert_reply(f, f->a, "GETRANGE k 0 -1", refused);
    assert_reply(f, f->a, "GET k", refused);
    assert_reply(f, f->a, "SET k v GET", refused);
    assert_reply(f, f->a, "STRLEN k", ":200001"); /* it was not set */
}

static void many_values_are_replied_within_the_limit_and_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SETRANGE large 150000 x", ":150001");
    assert_reply(f, f->a, "SETRANGE small 50000 x", ":50001");
    fixture_feed(f->a, "MGET large small\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY);
    fixture_take(f, f->a);
    fixture_feed(f->a, "MGET large small small small\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    fixture_settle(f->a);
    assert_true(session_output(f->a).size > 300000);
    fixture_take(f, f->a);
    fixture_set(f, "max-reply-size", "240kb");
    static const char refused[] = "-ERR the reply is larger than max-reply-size (245760 bytes): "
                                  "read it in pages, with COUNT or a "
                                  "smaller range";
    assert_reply(f, f->a, "MGET small small small small small", refused);
    assert_reply(f, f->a, "MGET small small large", refused);
    fixture_set(f, "max-reply-size", "120kb");
    static const char refused_now[] = "-ERR the reply is larger than max-reply-size (122880 "
                                      "bytes): read it in pages, with COUNT or a "
                                      "smaller range";
    assert_reply(f, f->a, "GETDEL large", refused_now); /* and nothing is done */
    assert_reply(f, f->a, "GETSET large v", refused_now);
    assert_reply(f, f->a, "GETEX large EX 10", refused_now);
    assert_reply(f, f->a, "STRLEN large", ":150001");
    assert_reply(f, f->a, "TTL large", ":-1");
}

static void a_reply_without_memory_is_an_error(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SETRANGE k 200000 x", ":200001");
    memory_fail_try(1, true);
    const char *reply = fixture_ask(f, f->a, "GETRANGE k 0 -1");
    memory_fail_try(0, false);
    assert_string_equal(reply, "-ERR out of memory");
}

static void a_string_grows_up_to_the_largest_argument(void **state)
{
    struct session_fixture *f = *state;
    static const char too_large[] = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    fixture_set(f, "proto-max-bulk-len", "1mb");
    assert_reply(f, f->a, "SETRANGE k 1048575 x", ":1048576");
    assert_reply(f, f->a, "SETRANGE k 1048576 x", too_large);
    assert_reply(f, f->a, "SETRANGE k 1048575 xx", too_large);
    assert_reply(f, f->a, "APPEND k x", too_large);
    assert_reply(f, f->a, "APPEND k \"\"", ":1048576");
}

#define STRING_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STRING_TEST(parts_of_cold_strings_are_read_and_written),
        STRING_TEST(whole_cold_strings_are_read_and_replaced),
        STRING_TEST(cold_numbers_are_counted_on),
        STRING_TEST(every_change_is_told_as_redis_names_it),
        STRING_TEST(many_values_are_replied_within_the_limit_and_by_a_worker),
        STRING_TEST(a_part_above_256_kib_is_replied_by_a_worker),
        STRING_TEST(a_part_beyond_the_limit_of_a_reply_is_an_error),
        STRING_TEST(a_reply_without_memory_is_an_error),
        STRING_TEST(a_string_grows_up_to_the_largest_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
