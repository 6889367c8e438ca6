/* SPDX-License-Identifier: MIT */
/* MULTI, EXEC and WATCH beyond what the transcripts show: one batch, cold keys, time, memory, limits. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

/* What is in the store lies in tables, of which nothing is in memory. */
static void make_cold(struct session_fixture *f)
{
    /* Several blocks: the one with the store's own records is read at the start. */
    static char line[20100];
    for (int i = 0; i < 10; i++) {
        int size = snprintf(line, sizeof line, "SET pad%d ", i);
        memset(line + size, 'p', sizeof line - 1 - (size_t)size);
        assert_reply(f, f->a, line, "+OK");
    }
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
}

/* Parks over a cold key; then the disk answers. */
static void feed_and_park(struct session_fixture *f, const char *lines)
{
    vfs_fault_set_cold(f->ms.vfs, ".cwt");
    fixture_feed(f->a, lines);
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    vfs_fault_set_cold(f->ms.vfs, NULL);
}

static lsn_t log_bytes(struct session_fixture *f, const char *const *lines)
{
    lsn_t before = lsm_visible_lsn(store_engine(f->ms.store));
    for (; *lines; lines++)
        fixture_ask(f, f->a, *lines);
    return lsm_visible_lsn(store_engine(f->ms.store)) - before;
}

static void a_transaction_is_one_batch_seen_as_a_whole(void **state)
{
    struct session_fixture *f = *state;
    static const char *const begin[] = {"MULTI", "SET a 1", "RPUSH k x y", "XADD s 1-1 f v", NULL};
    static const char *const end[] = {"EXEC", NULL};
    static const char *const apart[] = {"SET b 1", "RPUSH l x y", "XADD t 1-1 f v", NULL};
    static const char *const empty[] = {"MULTI", "GET a", "EXEC", "MULTI", "EXEC", NULL};
    enum { FRAME_HEAD_BYTES = 29 };
    fixture_ask(f, f->a, "XADD first 1-1 f v"); /* the store sets IDs aside */
    assert_int_equal(log_bytes(f, begin), 0);
    assert_reply(f, f->b, "GET a", "nil");
    lsn_t together = log_bytes(f, end);
    assert_reply(f, f->b, "GET a", "\"1\"");
    assert_reply(f, f->b, "LRANGE k 0 -1", "[\"x\", \"y\"]");
    assert_true(log_bytes(f, apart) >= together + 2 * FRAME_HEAD_BYTES);
    assert_int_equal(log_bytes(f, empty), 0);
}

static void a_transaction_sees_its_own_writes_and_goes_on_after_an_error(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "SET k v", "+QUEUED");
    assert_reply(f, f->a, "LPUSH k x", "+QUEUED");
    assert_reply(f, f->a, "GET k", "+QUEUED");
    assert_reply(f, f->a, "DEL k", "+QUEUED");
    assert_reply(f, f->a, "EXISTS k", "+QUEUED");
    assert_reply(f, f->a, "EXEC",
                 "[+OK, -WRONGTYPE Operation against a key holding the wrong kind of value, "
                 "\"v\", :1, :0]");
}

static void a_transaction_over_cold_keys_parks_before_it_writes(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SET cold there");
    fixture_ask(f, f->a, "RPUSH list a b c d");
    make_cold(f);
    feed_and_park(f, "MULTI\r\nSET new 1\r\nGET cold\r\nLPOP list\r\nEXEC\r\n");
    assert_reply(f, f->b, "EXISTS new", ":0");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                                               "*3\r\n+OK\r\n$5\r\nthere\r\n$1\r\na\r\n");
}

static void a_transaction_that_runs_again_begins_in_its_own_database(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SET cold there");
    make_cold(f);
    feed_and_park(f, "MULTI\r\nEXISTS here\r\nSELECT 1\r\nSELECT 0\r\nGET cold\r\nSELECT 2\r\n"
                     "EXEC\r\n");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a),
                        "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
                        "*5\r\n:0\r\n+OK\r\n+OK\r\n$5\r\nthere\r\n+OK\r\n");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void a_long_transaction_is_executed_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "MULTI\r\n");
    for (int i = 0; i < 100; i++)
        fixture_feed(f->a, "RPUSH l x\r\n");
    fixture_take(f, f->a);
    fixture_feed(f->a, "EXEC\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    fixture_settle(f->a);
    fixture_take(f, f->a);
    assert_reply(f, f->b, "LLEN l", ":100");
}

static void a_watched_key_that_expires_breaks_the_transaction(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v PX 100", "+OK");
    assert_reply(f, f->a, "WATCH k missing", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "SET r 1", "+QUEUED");
    f->ms.now_ms += 101;
    assert_reply(f, f->a, "EXEC", "nil-array");
    assert_reply(f, f->b, "EXISTS r", ":0");
    /* Watched when its time is over already: missing. */
    assert_reply(f, f->a, "SET k v PX 100", "+OK");
    f->ms.now_ms += 101;
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "GET k", "+QUEUED");
    assert_reply(f, f->a, "EXEC", "[nil]");
}

static void a_key_that_comes_by_a_swap_breaks_the_transaction(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->b, "SELECT 1", "+OK");
    assert_reply(f, f->b, "SET k v", "+OK");
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->b, "SWAPDB 0 1", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "EXEC", "nil-array");
    /* And one that is in neither does not. */
    assert_reply(f, f->a, "WATCH other", "+OK");
    assert_reply(f, f->b, "SWAPDB 0 1", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "EXEC", "[]");
}

static void
databases_that_are_emptied_or_swapped_break_the_transactions_that_watch_them(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *by;
        bool breaks;
    } cases[] = {
        {"FLUSHDB", false},   {"SWAPDB 1 2", false}, {"SWAPDB 2 0", true},
        {"SWAPDB 0 3", true}, {"FLUSHALL", true},
    };
    assert_reply(f, f->b, "SELECT 1", "+OK");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_reply(f, f->a, "SET k v", "+OK");
        assert_reply(f, f->a, "WATCH k", "+OK");
        assert_reply(f, f->b, cases[i].by, "+OK");
        assert_reply(f, f->a, "MULTI", "+OK");
        assert_reply(f, f->a, "EXEC", cases[i].breaks ? "nil-array" : "[]");
    }
    /* Emptied and filled again, and three of them at once. */
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "WATCH k", "+OK");
    fixture_feed(f->b,
                 "MULTI\r\nFLUSHDB\r\nFLUSHDB\r\nSELECT 2\r\nFLUSHDB\r\nSELECT 0\r\nFLUSHDB\r\n"
                 "SET k v\r\nSELECT 1\r\nEXEC\r\n");
    fixture_settle(f->b);
    fixture_take(f, f->b);
    assert_reply(f, f->b, "FLUSHDB", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "EXEC", "nil-array");
    /* Keys of several databases: each one has its own. */
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "SELECT 1", "+OK");
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->a, "SELECT 0", "+OK");
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->b, "FLUSHDB", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "EXEC", "[]");
}

static void a_transaction_that_fails_before_it_runs_is_over(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "SET k v", "+QUEUED");
    f->service->store = NULL;
    assert_reply(f, f->a, "EXEC", "-LOADING Cordwood is loading the dataset from disk");
    f->service->store = f->ms.store;
    assert_reply(f, f->a, "EXEC", "-ERR EXEC without MULTI");
    assert_reply(f, f->a, "EXISTS k", ":0");
}

static void watching_is_over_after_exec_discard_unwatch_reset_and_the_end(void **state)
{
    struct session_fixture *f = *state;
    static const char *const ends[] = {"EXEC", "DISCARD", "RESET"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        assert_reply(f, f->a, "WATCH k k l", "+OK");
        assert_true(waiters_any(&f->service->watchers));
        assert_reply(f, f->a, "MULTI", "+OK");
        fixture_ask(f, f->a, ends[i]);
        assert_false(waiters_any(&f->service->watchers));
    }
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->b, "SET k 1", "+OK");
    assert_reply(f, f->a, "UNWATCH", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "EXEC", "[]");
    struct session *gone = fixture_session(f, true, false, NULL);
    assert_reply(f, gone, "WATCH k", "+OK");
    assert_reply(f, gone, "MULTI", "+OK");
    assert_reply(f, gone, "SET k 2", "+QUEUED");
    session_destroy(gone);
    assert_false(waiters_any(&f->service->watchers));
    assert_reply(f, f->b, "GET k", "\"1\"");
}

static void cold_watched_keys_are_looked_up_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SET cold there");
    make_cold(f);
    feed_and_park(f, "WATCH missing cold\r\n");
    assert_int_equal(f->a->transaction.watch_count, 0);
    fixture_settle(f->a);
    assert_int_equal(f->a->transaction.watch_count, 2);
    fixture_take(f, f->a);
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "DEL cold", "+QUEUED");
    assert_reply(f, f->a, "EXEC", "[:1]");
}

static void what_is_queued_is_bounded_and_counted(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "client-query-buffer-limit", "1mb");
    struct buffer request = {0};
    char *value = memory_zeroed(1, 300001);
    memset(value, 'v', 300000);
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n%s\r\n", value);
    assert_reply(f, f->a, "MULTI", "+OK");
    for (int i = 0; i < 3; i++) {
        session_feed(f->a, buffer_slice(&request));
        assert_string_equal(fixture_take(f, f->a), "+QUEUED\r\n");
    }
    assert_true(atomic_load(&f->a->memory_bytes) > 900000);
    session_feed(f->a, buffer_slice(&request));
    assert_string_equal(fixture_take(f, f->a),
                        "-ERR transaction is larger than client-query-buffer-limit\r\n");
    assert_reply(f, f->a, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    assert_int_equal(atomic_load(&f->a->memory_bytes), 0);
    /* Without memory it is said, too. */
    assert_reply(f, f->a, "MULTI", "+OK");
    memory_fail_try(1, false);
    session_feed(f->a, buffer_slice(&request));
    memory_fail_try(0, false);
    assert_string_equal(fixture_take(f, f->a), "-ERR out of memory\r\n");
    assert_reply(f, f->a, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    assert_reply(f, f->b, "EXISTS k", ":0");
    memory_free(value);
    buffer_release(&request);
}

static void debug_and_shutdown_do_not_wait_for_exec(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "DEBUG RELOAD", "-ERR Command not allowed inside a transaction");
    assert_reply(f, f->a, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    assert_int_equal(f->reloads, 0);
}

static void a_blocking_read_inside_answers_at_once(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "XREAD BLOCK 0 STREAMS s $", "+QUEUED");
    assert_reply(f, f->a, "EXEC", "[nil-array]");
}

static void the_client_list_shows_a_transaction(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "WATCH k", "+OK");
    assert_reply(f, f->a, "MULTI", "+OK");
    assert_reply(f, f->a, "PING", "+QUEUED");
    assert_reply(f, f->b, "SET k v", "+OK");
    const char *list = fixture_ask(f, f->b, "CLIENT LIST");
    assert_non_null(strstr(list, "flags=xd "));
    assert_non_null(strstr(list, "multi=1 "));
    assert_non_null(strstr(list, "multi=-1 "));
}

static void a_large_object_is_not_copied_inside(void **state)
{
    struct session_fixture *f = *state;
    char element[4001] = "";
    memset(element, 'e', sizeof element - 1);
    for (int i = 0; i < 30; i++) {
        struct buffer line = {0};
        buffer_printf(&line, "RPUSH l %s\r\n", element);
        session_feed(f->a, buffer_slice(&line));
        buffer_release(&line);
    }
    fixture_take(f, f->a);
    fixture_feed(f->a, "MULTI\r\nSET k 1\r\nCOPY k k2\r\nCOPY l l2\r\nINCR k\r\nEXEC\r\n");
    fixture_settle(f->a);
    const char *replies = fixture_take(f, f->a);
    assert_non_null(strstr(replies, "*4\r\n+OK\r\n:1\r\n-ERR a value above 64 KiB is not copied, "
                                    "sorted or restored inside a transaction\r\n:2\r\n"));
    assert_reply(f, f->b, "EXISTS l2 k2", ":1");
}

static void replies_of_a_transaction_are_bounded_together(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    char *value = memory_zeroed(1, 200001);
    memset(value, 'v', 200000);
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$200000\r\n%s\r\n", value);
    session_feed(f->a, buffer_slice(&request));
    fixture_take(f, f->a);
    fixture_set(f, "max-reply-size", "300000");
    fixture_feed(f->a, "MULTI\r\nGET k\r\nGET k\r\nSET done 1\r\nEXEC\r\n");
    fixture_settle(f->a);
    const char *replies = fixture_take(f, f->a);
    assert_true(strlen(replies) < 210000);
    assert_non_null(strstr(replies, "\r\n-ERR "));
    assert_reply(f, f->b, "EXISTS done", ":1");
    memory_free(value);
    buffer_release(&request);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_transaction_is_one_batch_seen_as_a_whole),
        TEST(a_transaction_sees_its_own_writes_and_goes_on_after_an_error),
        TEST(a_transaction_over_cold_keys_parks_before_it_writes),
        TEST(a_transaction_that_runs_again_begins_in_its_own_database),
        TEST(a_long_transaction_is_executed_by_a_worker),
        TEST(a_watched_key_that_expires_breaks_the_transaction),
        TEST(a_key_that_comes_by_a_swap_breaks_the_transaction),
        TEST(a_transaction_that_fails_before_it_runs_is_over),
        TEST(databases_that_are_emptied_or_swapped_break_the_transactions_that_watch_them),
        TEST(watching_is_over_after_exec_discard_unwatch_reset_and_the_end),
        TEST(cold_watched_keys_are_looked_up_by_a_worker),
        TEST(what_is_queued_is_bounded_and_counted),
        TEST(debug_and_shutdown_do_not_wait_for_exec),
        TEST(a_blocking_read_inside_answers_at_once),
        TEST(the_client_list_shows_a_transaction),
        TEST(a_large_object_is_not_copied_inside),
        TEST(replies_of_a_transaction_are_bounded_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
