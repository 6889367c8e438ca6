/* SPDX-License-Identifier: MIT */
/* The families of keys, strings, lists and the server where a transcript against redis-server
 * cannot look: exact times, cold data, many keys, documents, counters. */
#include "unit/commands/session_fixture.h"

#include <stdlib.h>

/* ---- Time
 * ----------------------------------------------------------------------------------------- */

static void a_key_lives_until_its_millisecond(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v PX 1500", "+OK");
    assert_reply(f, f->a, "PTTL k", ":1500");
    assert_reply(f, f->a, "TTL k", ":2"); /* rounded to the nearest */
    f->ms.now_ms += 1;
    assert_reply(f, f->a, "TTL k", ":1");
    f->ms.now_ms += 1498;
    assert_reply(f, f->a, "GET k", "\"v\"");
    assert_reply(f, f->a, "PTTL k", ":1");
    f->ms.now_ms += 1; /* its last one, as in Redis */
    assert_reply(f, f->a, "PTTL k", ":0");
    f->ms.now_ms += 1;
    assert_reply(f, f->a, "GET k", "nil");
    assert_reply(f, f->a, "TTL k", ":-2");
    assert_reply(f, f->a, "PERSIST k", ":0");
    assert_reply(f, f->a, "SET k new NX", "+OK");
    assert_reply(f, f->a, "TTL k", ":-1");
}

static void set_keeps_or_replaces_the_time(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k 1 EX 100", "+OK");
    assert_reply(f, f->a, "SET k 2 KEEPTTL GET", "\"1\"");
    assert_reply(f, f->a, "TTL k", ":100");
    assert_reply(f, f->a, "SET k 3 PXAT 1000001", "+OK"); /* a millisecond from now */
    assert_reply(f, f->a, "PTTL k", ":1");
    assert_reply(f, f->a, "SET k 4", "+OK");
    assert_reply(f, f->a, "TTL k", ":-1");
    assert_reply(f, f->a, "SET k 5 EXAT 999", "+OK"); /* over already */
    assert_reply(f, f->a, "EXISTS k", ":0");
}

static void a_time_in_the_past_deletes(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "RPUSH l a", ":1");
    assert_reply(f, f->a, "PEXPIREAT l 1000000", ":1"); /* now */
    assert_reply(f, f->a, "EXISTS l", ":0");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void active_expiry_deletes_what_is_due_and_can_be_turned_off(void **state)
{
    struct session_fixture *f = *state;
    char line[64];
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "SET key:%d v PX %d", i, i + 1);
        assert_reply(f, f->a, line, "+OK");
    }
    assert_reply(f, f->a, "DBSIZE", ":200");
    assert_false(service_expire(f->service)); /* nothing is due */
    f->ms.now_ms += 151;
    assert_reply(f, f->a, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK");
    assert_false(service_expire(f->service));
    assert_reply(f, f->a, "DBSIZE", ":200");
    assert_reply(f, f->a, "DEBUG SET-ACTIVE-EXPIRE 1", "+OK");
    while (service_expire(f->service))
        ;
    assert_reply(f, f->a, "DBSIZE", ":50");
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO stats"), "expired_keys:150\\r"));
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO keyspace"), "db0:keys=50,expires=50,"));
}

static void expiry_wakes_those_who_wait_for_the_key(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "XADD s 1-1 f v", "\"1-1\"");
    assert_reply(f, f->a, "PEXPIRE s 10", ":1");
    fixture_feed(f->a, "XREAD BLOCK 0 STREAMS s $\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    f->ms.now_ms += 11;
    service_expire(f->service);
    assert_int_equal(f->wake_count, 1);
    assert_int_equal(session_resume(f->a), SESSION_BLOCKED);
}

/* ---- Logs ---------------------------------------------------------------------------------- */

static void the_longest_timeout_cuts_nothing_off(void **state)
{
    struct session_fixture *f = *state;
    char line[64];
    for (int i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "XADD s %d-1 message m", i + 1);
        (void)fixture_ask(f, f->a, line); /* the range shows it */
    }
    const char *reply =
        fixture_ask(f, f->a, "LOG.RANGE s - + NOVALUES WITHCURSOR TIMEOUT 9223372036854775807");
    assert_non_null(strstr(reply, "\"200-1\""));
    assert_string_equal(reply + strlen(reply) - 5, ", :0]");
}

/* Few fields are written in one piece, many one by one. */
static void entries_with_any_number_of_fields_are_replied(void **state)
{
    struct session_fixture *f = *state;
    struct buffer command = {0}, reply = {0};
    for (int count = 1; count <= 40; count++) {
        buffer_clear(&command);
        buffer_clear(&reply);
        buffer_printf(&command, "XADD s%d 18446744073709551615-18446744073709551615", count);
        buffer_append_text(&reply, "[[\"18446744073709551615-18446744073709551615\", [");
        for (int i = 0; i < count; i++) {
            buffer_printf(&command, " name%d %0*d", i, 1 + 17 * i, i);
            buffer_printf(&reply, "%s\"name%d\", \"%0*d\"", i ? ", " : "", i, 1 + 17 * i, i);
        }
        buffer_append_text(&reply, "]]]");
        buffer_append_byte(&command, 0);
        buffer_append_byte(&reply, 0);
        fixture_ask(f, f->a, (const char *)command.data);
        buffer_clear(&command);
        buffer_printf(&command, "XRANGE s%d - +", count);
        assert_reply(f, f->a, (const char *)command.data, (const char *)reply.data);
    }
    buffer_release(&command);
    buffer_release(&reply);
}

static void a_line_of_zero_bytes_is_not_a_blank_line(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "LOG.MWRITE s NDJSON \"{\\\"message\\\":\\\"a\\\"}\\n \\t\\r\\n\"",
                 "[\"1000000-0\", \"1000000-0\", :1, :0]");
    const char *reply =
        fixture_ask(f, f->a, "LOG.MWRITE s NDJSON \"{\\\"message\\\":\\\"a\\\"}\\n\\x00\\n\"");
    if (strncmp(reply, "-ERR line 2: ", 13) != 0)
        fail_msg("%s", reply);
    assert_reply(f, f->a, "XLEN s", ":1");
}

/* ---- Cold data
 * -------------------------------------------------------------------------------------- */

/* Everything lies in tables and nothing in memory; each command is then run where it may not wait.
 */
static void commands_run_again_until_their_data_is_there(void **state)
{
    struct session_fixture *f = *state;
    static const char *const writes[] = {
        "SET k value",    "SET x 1 EX 100",        "RPUSH l a b c d e",
        "XADD s 1-1 f v", "LOG.WRITE g TS 5 -- m", "SET y 2",
    };
    static const struct {
        const char *line, *reply;
    } exchanges[] = {
        {"GET k", "\"value\""},
        {"SET k other GET", "\"value\""},
        {"TTL x", ":100"},
        {"DEL x y nokey", ":2"},
        {"LRANGE l 0 -1", "[\"a\", \"b\", \"c\", \"d\", \"e\"]"},
        {"LPOP l 2", "[\"a\", \"b\"]"},
        {"LTRIM l 1 -1", "+OK"},
        {"LINDEX l 0", "\"d\""},
        {"RENAME l m", "+OK"},
        {"TYPE m", "+list"},
        {"XRANGE s - +", "[[\"1-1\", [\"f\", \"v\"]]]"},
        {"XADD s 1-* f w", "\"1-2\""},
        {"EXISTS k l m s g", ":4"},
        {"PEXPIRE m 5000", ":1"},
        {"DBSIZE", ":4"},
        {"FLUSHDB", "+OK"},
        {"DBSIZE", ":0"},
    };
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++)
        fixture_ask(f, f->a, writes[i]);
    for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
        memory_store_work(&f->ms, true);
        assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
        assert_reply(f, f->a, exchanges[i].line, exchanges[i].reply);
    }
    assert_reply(f, f->a, "DEBUG COMPACT", "+OK");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

/* ---- Many keys
 * -------------------------------------------------------------------------------------- */

enum { KEYS = 12000 };

static void fill(struct session_fixture *f)
{
    char line[64];
    for (int i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, i % 4 ? "SET key:%d v\r\n" : "RPUSH key:%d v\r\n", i);
        fixture_feed(f->a, line);
        fixture_settle(f->a);
        fixture_take(f, f->a);
    }
}

/* Adds the keys of a SCAN reply to `seen`; returns the cursor. */
static uint64_t scan_once(struct session_fixture *f, uint64_t cursor, const char *options,
                          uint8_t *seen, size_t *found)
{
    char line[128];
    snprintf(line, sizeof line, "SCAN %llu %s\r\n", (unsigned long long)cursor, options);
    fixture_feed(f->a, line);
    fixture_settle(f->a);
    struct slice output = session_output(f->a);
    struct resp_reply reply = {0};
    size_t consumed = 0;
    assert_int_equal(resp_reply_read(output, &reply, &consumed), REPLY_COMPLETE);
    assert_int_equal(reply.count, 2);
    buffer_append_byte(&reply.children[0].text, 0);
    uint64_t next = strtoull((const char *)reply.children[0].text.data, NULL, 10);
    *found = reply.children[1].count;
    for (size_t i = 0; i < *found; i++) {
        struct buffer *key = &reply.children[1].children[i].text;
        buffer_append_byte(key, 0);
        int number = atoi((const char *)key->data + 4);
        assert_in_range(number, 0, KEYS - 1);
        seen[number]++;
    }
    resp_reply_release(&reply);
    session_output_consume(f->a, consumed);
    return next;
}

static void scan_sees_every_key_once(void **state)
{
    struct session_fixture *f = *state;
    static uint8_t seen[KEYS];
    uint64_t cursor = 0;
    size_t found = 0, calls = 0;
    fill(f);
    memset(seen, 0, sizeof seen);
    do {
        cursor = scan_once(f, cursor, "COUNT 100", seen, &found);
        assert_true(found <= 110);
        calls++;
    } while (cursor);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], 1);
    assert_in_range(calls, KEYS / 110, KEYS / 90);

    memset(seen, 0, sizeof seen);
    do
        cursor = scan_once(f, cursor, "COUNT 5000 TYPE list MATCH key:1*", seen, &found);
    while (cursor);
    for (int i = 0; i < KEYS; i++) {
        int first = i;
        while (first >= 10)
            first /= 10;
        assert_int_equal(seen[i], i % 4 == 0 && first == 1);
    }
}

static void keys_of_a_large_database_does_not_hold_up_the_loop(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    fixture_feed(f->a, "KEYS key:1199?\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "PING", "+PONG");
    session_work(f->a);
    assert_int_equal(session_resume(f->a), SESSION_READY);
    assert_int_equal(strncmp(fixture_take(f, f->a), "*10\r\n", 5), 0);
    assert_reply(f, f->a, "FLUSHALL", "+OK");
    assert_reply(f, f->a, "KEYS *", "[]");
}

/* ---- The server
 * -------------------------------------------------------------------------------------- */

static void info_counts_what_happened(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "GET k", "\"v\"");
    assert_reply(f, f->a, "GET none", "nil");
    assert_reply(f, f->a, "EXISTS none k", ":1");
    fixture_ask(f, f->a, "LPUSH k x");
    const char *stats = fixture_ask(f, f->a, "INFO stats");
    assert_non_null(strstr(stats, "keyspace_hits:2\\r"));
    assert_non_null(strstr(stats, "keyspace_misses:2\\r"));
    assert_non_null(strstr(stats, "total_commands_processed:5\\r"));
    const char *commands = fixture_ask(f, f->a, "INFO commandstats");
    assert_non_null(strstr(commands, "cmdstat_get:calls=2,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"));
    assert_non_null(strstr(commands, "cmdstat_lpush:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1"));
    assert_reply(f, f->a, "CONFIG RESETSTAT", "+OK");
    stats = fixture_ask(f, f->a, "INFO stats");
    assert_non_null(strstr(stats, "keyspace_hits:0\\r"));
    assert_null(strstr(fixture_ask(f, f->a, "INFO commandstats"), "cmdstat_get"));
}

static void info_shows_the_sections_that_are_asked_for(void **state)
{
    struct session_fixture *f = *state;
    static const char *const titles[] = {"Server",     "Clients",     "Memory",   "Persistence",
                                         "Stats",      "Replication", "CPU",      "Modules",
                                         "Errorstats", "Cluster",     "Keyspace", "Cordwood"};
    char title[64];
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        snprintf(title, sizeof title, "# %s\\r\\n", titles[i]);
        assert_non_null(strstr(fixture_ask(f, f->a, "INFO"), title));
        assert_non_null(strstr(fixture_ask(f, f->a, "INFO everything"), title));
    }
    assert_null(strstr(fixture_ask(f, f->a, "INFO"), "# Commandstats"));
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO all"), "# Commandstats"));
    const char *two = fixture_ask(f, f->a, "INFO cluster cpu");
    assert_non_null(strstr(two, "# CPU"));
    assert_non_null(strstr(two, "cluster_enabled:0"));
    assert_null(strstr(two, "# Server"));
    assert_reply(f, f->a, "INFO nosuch", "\"\"");
}

static void info_says_what_was_written_into_tables(void **state)
{
    struct session_fixture *f = *state;
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO cordwood"),
                           "range_deletes=0,flush_bytes=0,compaction_write_bytes=0,"
                           "write_amplification=0.00\\r"));
    assert_reply(f, f->a, "SET k v", "+OK");
    memory_store_work(&f->ms, true);
    const char *tree = strstr(fixture_ask(f, f->a, "INFO cordwood"), "tree_keys:");
    assert_non_null(tree);
    const char *flushed = strstr(tree, "flush_bytes=");
    assert_non_null(flushed);
    assert_true(atoi(flushed + strlen("flush_bytes=")) > 0);
    assert_non_null(strstr(flushed, "write_amplification=1.00\\r"));
}

static void info_says_what_recovery_found(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "SET l v", "+OK");
    service_set_store(f->service, NULL);
    memory_store_crash(&f->ms, VFS_KEEP_ALL, 1);
    service_set_store(f->service, f->ms.store);
    const char *info = fixture_ask(f, f->a, "INFO cordwood");
    assert_non_null(strstr(info, "started_clean:0"));
    const char *batches = strstr(info, "recovered_batches:");
    assert_non_null(batches);
    assert_true(atoi(batches + strlen("recovered_batches:")) >= 2);
    assert_reply(f, f->a, "GET l", "\"v\"");
}

static void documents_are_well_formed_in_both_protocols(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {
        "COMMAND",     "COMMAND DOCS", "COMMAND LIST", "COMMAND HELP", "CONFIG GET *",
        "CLIENT HELP", "CONFIG HELP",  "DEBUG HELP",   "CLIENT LIST",  "INFO everything"};
    for (int protocol = 2; protocol <= 3; protocol++) {
        fixture_ask(f, f->a, protocol == 2 ? "HELLO 2" : "HELLO 3");
        for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
            assert_true(strlen(fixture_ask(f, f->a, lines[i])) > 100);
    }
}

static void shutdown_asks_the_host_and_never_answers(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SHUTDOWN ABORT", "-ERR No shutdown in progress.");
    assert_reply(f, f->a, "SHUTDOWN SAVE NOSAVE", "-ERR syntax error");
    assert_int_equal(f->shutdowns, 0);
    fixture_feed(f->a, "SHUTDOWN NOSAVE NOW FORCE\r\nPING\r\n");
    assert_int_equal(f->shutdowns, 1);
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "");
}

static void client_list_tells_who_is_there(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT SETNAME alice", "+OK");
    assert_reply(f, f->a, "CLIENT SETINFO lib-name tester", "+OK");
    assert_reply(f, f->a, "CLIENT SETINFO LIB-VER 1.2", "+OK");
    assert_reply(f, f->b, "SELECT 3", "+OK");
    f->ms.now_ms += 7000;
    const char *list = fixture_ask(f, f->a, "CLIENT LIST");
    assert_non_null(strstr(list, "\"id=1 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=7 name=alice "
                                 "age=7 idle=0 flags=N db=0 "));
    assert_non_null(strstr(list, "cmd=client|list user=default redir=-1 resp=2 lib-name=tester "
                                 "lib-ver=1.2\\n"));
    assert_non_null(strstr(list, "id=2 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=7 name= age=7 "
                                 "idle=7 flags=N db=3 "));
    assert_null(strstr(fixture_ask(f, f->a, "CLIENT LIST ID 2"), "alice"));
    assert_null(strstr(fixture_ask(f, f->a, "CLIENT INFO"), "id=2"));
    assert_reply(f, f->a, "RESET", "+RESET");
    assert_reply(f, f->a, "CLIENT GETNAME", "nil");
}

static void databases_are_separate_and_swap(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k zero", "+OK");
    assert_reply(f, f->b, "SELECT 1", "+OK");
    assert_reply(f, f->b, "GET k", "nil");
    assert_reply(f, f->b, "SET k one", "+OK");
    assert_reply(f, f->a, "SWAPDB 0 1", "+OK");
    assert_reply(f, f->a, "GET k", "\"one\"");
    assert_reply(f, f->b, "GET k", "\"zero\"");
    assert_reply(f, f->b, "FLUSHDB ASYNC", "+OK");
    assert_reply(f, f->b, "DBSIZE", ":0");
    assert_reply(f, f->a, "DBSIZE", ":1");
    assert_reply(f, f->a, "FLUSHALL SYNC", "+OK");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void keys_have_a_longest_size(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    for (int more = 0; more <= 1; more++) {
        size_t size = STORE_KEY_BYTES_MAX + (size_t)more;
        buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$%zu\r\n", size);
        for (size_t i = 0; i < size; i++)
            buffer_append_byte(&request, 'k');
        buffer_append_text(&request, "\r\n$1\r\nv\r\n");
        session_feed(f->a, buffer_slice(&request));
        fixture_settle(f->a);
        const char *reply = fixture_take(f, f->a);
        if (more)
            assert_int_equal(reply[0], '-');
        else
            assert_string_equal(reply, "+OK\r\n");
        buffer_clear(&request);
    }
    buffer_release(&request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_key_lives_until_its_millisecond),
        TEST(set_keeps_or_replaces_the_time),
        TEST(a_time_in_the_past_deletes),
        TEST(the_longest_timeout_cuts_nothing_off),
        TEST(entries_with_any_number_of_fields_are_replied),
        TEST(a_line_of_zero_bytes_is_not_a_blank_line),
        TEST(active_expiry_deletes_what_is_due_and_can_be_turned_off),
        TEST(expiry_wakes_those_who_wait_for_the_key),
        TEST(commands_run_again_until_their_data_is_there),
        TEST(scan_sees_every_key_once),
        TEST(keys_of_a_large_database_does_not_hold_up_the_loop),
        TEST(info_counts_what_happened),
        TEST(info_shows_the_sections_that_are_asked_for),
        TEST(info_says_what_was_written_into_tables),
        TEST(info_says_what_recovery_found),
        TEST(documents_are_well_formed_in_both_protocols),
        TEST(shutdown_asks_the_host_and_never_answers),
        TEST(client_list_tells_who_is_there),
        TEST(databases_are_separate_and_swap),
        TEST(keys_have_a_longest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
