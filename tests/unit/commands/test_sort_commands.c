/* SPDX-License-Identifier: MIT */
/* SORT where a transcript against redis-server cannot look: large lists, cold data, what others do meanwhile. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"

#include <stdlib.h>

enum { NUMBERS = 4000 };

static int setup_small_batches(void **state)
{
    static struct session_fixture fixture;
    fixture_open(&fixture,
                 &(struct store_options){.build_bytes_max = 20000, .wal_segment_bytes = 2 << 20});
    *state = &fixture;
    return 0;
}

/* A list "l" of the numbers below NUMBERS in disorder. */
static void fill(struct session_fixture *f)
{
    char line[4096];
    for (int i = 0; i < NUMBERS; i += 100) {
        size_t size = (size_t)snprintf(line, sizeof line, "RPUSH l");
        for (int j = i; j < i + 100; j++)
            size += (size_t)snprintf(line + size, sizeof line - size, " %d", j * 1009 % NUMBERS);
        (void)fixture_ask(f, f->a, line);
    }
}

static void check_sorted(struct session_fixture *f, const char *key)
{
    char line[64];
    static const int places[] = {0, 1, 999, 2000, NUMBERS - 1};
    char reply[16];
    snprintf(line, sizeof line, "LLEN %s", key);
    assert_reply(f, f->a, line, ":4000");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(line, sizeof line, "LINDEX %s %d", key, places[i]);
        snprintf(reply, sizeof reply, "\"%d\"", places[i]);
        assert_reply(f, f->a, line, reply);
    }
}

static void a_large_list_is_sorted_beside_the_loop(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    fixture_feed(f->a, "SORT l LIMIT 0 3\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY); /* numbers of 4 bytes are few */
    assert_string_equal(fixture_take(f, f->a), "*3\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n");
    fixture_feed(f->a, "SORT l BY w_* GET # LIMIT 0 3\r\n"); /* so many lookups are not */
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "PING", "+PONG");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "*3\r\n$1\r\n0\r\n$1\r\n1\r\n$2\r\n10\r\n");
}

static void a_large_list_is_stored_in_batches(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    fixture_feed(f->a, "SORT l STORE d\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "SET x 1", "+OK");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), ":4000\r\n");
    check_sorted(f, "d");
    assert_reply(f, f->a, "SORT l LIMIT 0 2 STORE d", ":2"); /* few of many */
    assert_reply(f, f->a, "LRANGE d 0 -1", "[\"0\", \"1\"]");
    assert_reply(f, f->a, "SORT l LIMIT 5000 2 STORE d", ":0");
    assert_reply(f, f->a, "EXISTS d", ":0");
    assert_reply(f, f->a, "SORT l STORE l", ":4000");
    check_sorted(f, "l");
    assert_reply(f, f->a, "RPUSH l word", ":4001");
    assert_reply(f, f->a, "SORT l STORE d",
                 "-ERR One or more scores can't be converted into double");
    assert_reply(f, f->a, "EXISTS d", ":0");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

static void a_cold_list_and_cold_weights_are_found(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {"SORT l BY w_* GET v_*", "SORT_RO l BY w_* GET v_*",
                                        "SORT l BY w_* GET v_* STORE d", "LRANGE d 0 -1"};
    static const char *const replies[] = {"[\"three\", nil, \"one\"]", "[\"three\", nil, \"one\"]",
                                          ":3", "[\"three\", \"\", \"one\"]"};
    fixture_ask(f, f->a, "RPUSH l 1 2 3");
    fixture_ask(f, f->a, "SET w_1 30");
    fixture_ask(f, f->a, "SET w_2 20");
    fixture_ask(f, f->a, "SET w_3 10");
    fixture_ask(f, f->a, "SET v_1 one");
    fixture_ask(f, f->a, "SET v_3 three");
    for (size_t i = 0; i < 4; i++) {
        memory_store_work(&f->ms, true);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        assert_reply(f, f->a, lines[i], replies[i]);
    }
}

static void expired_keys_are_none(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "RPUSH l 1 2");
    fixture_ask(f, f->a, "SET w_1 30 PX 5");
    fixture_ask(f, f->a, "SET d text");
    fixture_ask(f, f->a, "PEXPIRE d 5");
    f->ms.now_ms += 6;
    assert_reply(f, f->a, "SORT l BY w_* DESC GET # GET w_* STORE d", ":4");
    assert_reply(f, f->a, "LRANGE d 0 -1", "[\"2\", \"\", \"1\", \"\"]");
    assert_reply(f, f->a, "PEXPIRE l 5", ":1");
    f->ms.now_ms += 6;
    assert_reply(f, f->a, "SORT l STORE d", ":0");
    assert_reply(f, f->a, "DBSIZE", ":1"); /* w_1, which nobody met in a write */
}

/* Weights of nothing but a name longer than keys may be. */
static void a_pattern_that_makes_no_key_finds_nothing(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    fixture_ask(f, f->a, "RPUSH l 2 1");
    size_t size = STORE_KEY_BYTES_MAX + 1;
    buffer_printf(&request, "*4\r\n$4\r\nSORT\r\n$1\r\nl\r\n$3\r\nGET\r\n$%zu\r\n*", size);
    for (size_t i = 1; i < size; i++)
        buffer_append_byte(&request, 'k');
    buffer_append_text(&request, "\r\n");
    session_feed(f->a, buffer_slice(&request));
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "*2\r\n$-1\r\n$-1\r\n");
    buffer_release(&request);
}

static void a_transaction_sorts_what_is_small(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "RPUSH s 2 1");
    fill(f);
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "SORT s STORE d", "+QUEUED");
    assert_reply(f, f->a, "SORT s", "+QUEUED");
    assert_reply(f, f->a, "SORT l STORE e", "+QUEUED");
    assert_reply(f, f->a, "EXEC",
                 "[:2, [\"1\", \"2\"], -ERR a value above 64 KiB is not copied, sorted or restored "
                 "inside a transaction]");
    assert_reply(f, f->a, "LRANGE d 0 -1", "[\"1\", \"2\"]");
    assert_reply(f, f->a, "EXISTS e", ":0");
}

/* At each of them in turn: elements, weights, keys, the list that is built. */
static void without_memory_sorting_says_so(void **state)
{
    struct session_fixture *f = *state;
    char line[9000] = "RPUSH l ";
    static const char *const lines[] = {"SORT l ALPHA LIMIT 0 0", "SORT l BY w_* ALPHA LIMIT 0 0",
                                        "SORT l ALPHA STORE d"};
    size_t failures = 0;
    memset(line + strlen(line), 'e', 8000);
    for (int i = 0; i < 2500; i++) {
        line[8] = (char)('a' + i % 26);
        if (i % 100 == 0)
            (void)fixture_ask(f, f->a, line);
        else
            (void)fixture_ask(f, f->a, "RPUSH l x");
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (uint64_t n = 1;; n++) {
            memory_fail_try(n, false);
            const char *reply = fixture_ask(f, f->a, lines[i]);
            memory_fail_try(0, false);
            bool is_over = session_state(f->a) == SESSION_CLOSING; /* no room for any reply */
            if (is_over) {
                session_destroy(f->a);
                f->a = fixture_session(f, true, false, NULL);
            }
            if (!is_over && strcmp(reply, "-ERR out of memory") != 0)
                break;
            failures++;
        }
    assert_true(failures > 6);
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_small_batches, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_list_is_sorted_beside_the_loop),
        TEST(a_large_list_is_stored_in_batches),
        TEST(a_cold_list_and_cold_weights_are_found),
        TEST(expired_keys_are_none),
        TEST(a_pattern_that_makes_no_key_finds_nothing),
        TEST(a_transaction_sorts_what_is_small),
        TEST(without_memory_sorting_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
