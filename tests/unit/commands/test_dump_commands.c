/* SPDX-License-Identifier: MIT */
/* DUMP, RESTORE and MEMORY USAGE where the tests against redis-server cannot look: large values, what happens
 * meanwhile, cold data, memory. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "lib/rdb_text.h"

#include <stdlib.h>

static int setup_small_batches(void **state)
{
    static struct session_fixture fixture;
    fixture_open(&fixture,
                 &(struct store_options){.build_bytes_max = 20000, .wal_segment_bytes = 2 << 20});
    *state = &fixture;
    return 0;
}

/* The reply of DUMP, without its head and end. */
static void dump(struct session_fixture *f, const char *key, struct buffer *payload)
{
    char line[64];
    snprintf(line, sizeof line, "DUMP %s\r\n", key);
    fixture_feed(f->a, line);
    fixture_settle(f->a);
    struct slice output = session_output(f->a);
    struct resp_reply reply = {0};
    size_t consumed = 0;
    assert_int_equal(resp_reply_read(output, &reply, &consumed), REPLY_COMPLETE);
    assert_int_equal(consumed, output.size);
    assert_int_equal(reply.type, '$');
    buffer_clear(payload);
    buffer_append_slice(payload, buffer_slice(&reply.text));
    resp_reply_release(&reply);
    session_output_consume(f->a, consumed);
}

static void feed_restore(struct session *session, const char *key, const char *time,
                         struct slice payload, bool replaces)
{
    struct buffer request = {0};
    buffer_printf(&request, "*%d\r\n$7\r\nRESTORE\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n",
                  replaces ? 5 : 4, strlen(key), key, strlen(time), time, payload.size);
    buffer_append_slice(&request, payload);
    buffer_append_text(&request, replaces ? "\r\n$7\r\nREPLACE\r\n" : "\r\n");
    session_feed(session, buffer_slice(&request));
    buffer_release(&request);
}

static const char *restore(struct session_fixture *f, const char *key, const char *time,
                           struct slice payload, bool replaces)
{
    feed_restore(f->a, key, time, payload, replaces);
    fixture_settle(f->a);
    return fixture_take(f, f->a);
}

/* Several batches of a list, a string and a stream. */
static void fill(struct session_fixture *f)
{
    char line[1200] = "SET k ";
    for (int i = 0; i < 300; i++) {
        size_t size =
            (size_t)snprintf(line, sizeof line, i % 2 ? "RPUSH l " : "XADD s %d-1 f ", i + 1);
        for (int j = 0; j < 500; j++)
            line[size++] = (char)('a' + (i * j + j) % 26);
        line[size] = 0;
        (void)fixture_ask(f, f->a, line);
    }
    struct buffer request = {0};
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", 200000);
    for (unsigned i = 0; i < 200000; i++)
        buffer_append_byte(&request, (uint8_t)(i * i >> 5));
    buffer_append_text(&request, "\r\n");
    session_feed(f->a, buffer_slice(&request));
    fixture_settle(f->a);
    (void)fixture_take(f, f->a);
    buffer_release(&request);
}

static void check_same(struct session_fixture *f, const char *format, const char *key,
                       const char *other)
{
    char line[64];
    struct buffer first = {0};
    snprintf(line, sizeof line, format, key);
    buffer_append_text(&first, fixture_ask(f, f->a, line));
    buffer_append_byte(&first, 0);
    snprintf(line, sizeof line, format, other);
    assert_reply(f, f->a, line, (const char *)first.data);
    buffer_release(&first);
}

static void large_values_are_dumped_and_restored_beside_the_loop(void **state)
{
    struct session_fixture *f = *state;
    static const char *const keys[] = {"k", "l", "s"};
    static const char *const reads[] = {"GET %s", "LRANGE %s 0 -1", "XRANGE %s - +"};
    struct buffer payload = {0};
    fill(f);
    for (size_t i = 0; i < 3; i++) {
        dump(f, keys[i], &payload);
        assert_true(payload.size > 70000);
        feed_restore(f->a, "other", "0", buffer_slice(&payload), true);
        assert_int_equal(session_state(f->a), SESSION_PARKED);
        assert_reply(f, f->b, "SET x 1", "+OK");
        fixture_settle(f->a);
        assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
        check_same(f, reads[i], keys[i], "other");
        assert_string_equal(restore(f, "other", "0", buffer_slice(&payload), false),
                            "-BUSYKEY Target key name already exists.\r\n");
    }
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
    buffer_release(&payload);
}

/* What is found out late: batches of it were written already. */
static void a_large_payload_that_is_damaged_leaves_nothing(void **state)
{
    struct session_fixture *f = *state;
    struct buffer payload = {0}, damaged = {0};
    fill(f);
    dump(f, "s", &payload);
    struct slice value = slice_make(payload.data, payload.size - 10);
    payload.data[value.size - 1] ^= 1; /* it has a group now, of which there is nothing */
    rdb_text_seal(value, 11, &damaged);
    assert_string_equal(restore(f, "other", "0", buffer_slice(&damaged), false),
                        "-ERR Bad data format\r\n");
    assert_string_equal(restore(f, "other", "0", buffer_slice(&payload), false),
                        "-ERR DUMP payload version or checksum are wrong\r\n");
    assert_reply(f, f->a, "EXISTS other", ":0");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
    buffer_release(&payload);
    buffer_release(&damaged);
}

static void time_is_counted_from_now(void **state)
{
    struct session_fixture *f = *state;
    struct buffer payload = {0};
    fixture_ask(f, f->a, "SET k v");
    dump(f, "k", &payload);
    struct slice bytes = buffer_slice(&payload);
    assert_string_equal(restore(f, "other", "500", bytes, false), "+OK\r\n");
    assert_reply(f, f->a, "PTTL other", ":500");
    f->ms.now_ms += 501;
    assert_string_equal(restore(f, "other", "0", bytes, false),
                        "+OK\r\n"); /* the old one is over */
    assert_reply(f, f->a, "PTTL other", ":-1");
    assert_reply(f, f->a, "DBSIZE", ":2");
    buffer_release(&payload);
}

static void cold_values_are_dumped_and_their_keys_are_busy(void **state)
{
    struct session_fixture *f = *state;
    struct buffer payload = {0};
    static const char *const keys[] = {"k", "l", "s"};
    fill(f);
    for (size_t i = 0; i < 3; i++) {
        memory_store_work(&f->ms, true);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        dump(f, keys[i], &payload);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        assert_string_equal(restore(f, keys[i], "0", buffer_slice(&payload), false),
                            "-BUSYKEY Target key name already exists.\r\n");
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        assert_string_equal(restore(f, keys[i], "0", buffer_slice(&payload), true), "+OK\r\n");
    }
    assert_reply(f, f->a, "DUMP none", "nil");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
    buffer_release(&payload);
}

static void a_dump_has_the_size_of_a_reply_at_most(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {"DUMP k", "DUMP l", "DUMP s"};
    fill(f);
    fixture_set(f, "max-reply-size", "66kb");
    for (size_t i = 0; i < 3; i++)
        assert_non_null(
            strstr(fixture_ask(f, f->a, lines[i]), "-ERR the reply is larger than max-reply-size"));
}

static void without_memory_dump_and_restore_say_so(void **state)
{
    struct session_fixture *f = *state;
    struct buffer payload = {0};
    size_t failures = 0;
    fill(f);
    for (uint64_t n = 1;; n++) {
        memory_fail_try(n, false);
        bool failed = strcmp(fixture_ask(f, f->a, "DUMP k"), "-ERR out of memory") == 0;
        memory_fail_try(0, false);
        if (!failed)
            break;
        failures++;
    }
    dump(f, "l", &payload);
    feed_restore(f->a, "other", "0", buffer_slice(&payload), true);
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    memory_fail_try(1, false);
    fixture_settle(f->a);
    memory_fail_try(0, false);
    assert_string_equal(fixture_take(f, f->a), "-ERR out of memory\r\n");
    assert_true(failures > 0);
    assert_reply(f, f->a, "EXISTS other", ":0");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
    buffer_release(&payload);
}

static void a_transaction_restores_what_is_small(void **state)
{
    struct session_fixture *f = *state;
    struct buffer small = {0}, large = {0};
    fixture_ask(f, f->a, "RPUSH small a b");
    fill(f);
    dump(f, "small", &small);
    dump(f, "l", &large);
    fixture_ask(f, f->a, "MULTI");
    assert_string_equal(restore(f, "other", "0", buffer_slice(&small), false), "+QUEUED\r\n");
    assert_string_equal(restore(f, "third", "0", buffer_slice(&large), false), "+QUEUED\r\n");
    assert_reply(f, f->a, "EXEC",
                 "[+OK, -ERR a value above 64 KiB is not copied, sorted or restored inside a "
                 "transaction]");
    assert_reply(f, f->a, "LRANGE other 0 -1", "[\"a\", \"b\"]");
    assert_reply(f, f->a, "EXISTS third", ":0");
    buffer_release(&small);
    buffer_release(&large);
}

static char logged[200];

static void keep_line(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void of_groups_that_are_left_out_the_log_tells(void **state)
{
    struct session_fixture *f = *state;
    struct buffer payload = {0};
    static const char two_groups[] = /* of redis-server 7.0, as in test_rdb_load.c */
        "1301100000000000000001000000000000000128280000000f0002010001010181660200010201000100"
        "0181760204010201010100018176020401ff020201010100000202016702010202000000000000000100"
        "000000000000012aa5aa28a201000001000000000000000200000000000000012aa5aa28a20100000102"
        "05616c6963652aa5aa28a2010000010000000000000001000000000000000103626f622aa5aa28a20100"
        "0001000000000000000200000000000000010168020181ffffffffffffffff00000a0055a4a77f648542"
        "9d";
    f->ms.env.log = keep_line;
    rdb_text_from_hex(two_groups, &payload);
    assert_string_equal(restore(f, "s", "0", buffer_slice(&payload), false), "+OK\r\n");
    assert_non_null(strstr(logged, "without its 2 consumer groups"));
    assert_reply(f, f->a, "XLEN s", ":2");
    buffer_release(&payload);
}

/* ---- MEMORY USAGE -------------------------------------------------------------------------------- */

static void memory_usage_is_about_what_was_written(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    static const char *const lines[] = {"MEMORY USAGE k", "MEMORY USAGE l", "MEMORY USAGE s",
                                        "MEMORY USAGE l SAMPLES 0", "MEMORY USAGE s SAMPLES 0"};
    static const int sizes[] = {200000, 75000, 75000, 75000, 75000};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        memory_store_work(&f->ms, true);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        int bytes = atoi(fixture_ask(f, f->a, lines[i]) + 1);
        assert_in_range(bytes, sizes[i], sizes[i] * 11 / 10);
    }
    assert_reply(f, f->a, "MEMORY USAGE none", "nil");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_small_batches, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(large_values_are_dumped_and_restored_beside_the_loop),
        TEST(a_large_payload_that_is_damaged_leaves_nothing),
        TEST(time_is_counted_from_now),
        TEST(cold_values_are_dumped_and_their_keys_are_busy),
        TEST(a_dump_has_the_size_of_a_reply_at_most),
        TEST(without_memory_dump_and_restore_say_so),
        TEST(a_transaction_restores_what_is_small),
        TEST(of_groups_that_are_left_out_the_log_tells),
        TEST(memory_usage_is_about_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
