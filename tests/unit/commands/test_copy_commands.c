/* SPDX-License-Identifier: MIT */
/* COPY and MOVE of objects that are too large for one batch: what others do meanwhile, what stops them. */
#include "unit/commands/session_fixture.h"

#include <pthread.h>
#include <stdlib.h>

enum { ENTRIES = 400, READS_BETWEEN = 10 };

/* ---- What another client does while blocks are read -------------------------------------------- */

static struct meanwhile {
    struct session_fixture *f;
    const char
        *line; /* sent by client b, from another thread, since this one is inside a command */
    int times; /* so often at most */
    int reads;
    bool is_busy;
} meanwhile;

static void *send_line(void *context)
{
    struct session_fixture *f = context;
    fixture_feed(f->b, meanwhile.line);
    fixture_feed(f->b, "\r\n");
    fixture_settle(f->b);
    session_output_consume(f->b, session_output(f->b).size);
    return NULL;
}

static void on_read(void *context, enum vfs_call call, const char *path, const char *site)
{
    pthread_t thread;
    (void)context;
    (void)call;
    (void)path;
    (void)site;
    struct lsm *engine = store_engine(service_store(meanwhile.f->service));
    if (meanwhile.is_busy || meanwhile.times == 0 || ++meanwhile.reads % READS_BETWEEN)
        return;
    if (!lsm_try_lock(engine, 0)) /* this thread has it */
        return;
    lsm_unlock(engine);
    meanwhile.is_busy = true;
    meanwhile.times--;
    assert_int_equal(pthread_create(&thread, NULL, send_line, meanwhile.f), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    meanwhile.is_busy = false;
}

/* Of the reads of the next command. */
static void do_meanwhile(struct session_fixture *f, const char *line, int times)
{
    meanwhile = (struct meanwhile){.f = f, .line = line, .times = times};
    vfs_fault_watch(f->ms.vfs, 1u << VFS_CALL_READ, on_read, NULL);
}

static void check_meanwhile(struct session_fixture *f, const char *line, const char *reply)
{
    assert_reply(f, f->a, line, reply);
    vfs_fault_watch(f->ms.vfs, 0, NULL, NULL);
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

/* ---- A store whose blocks are read again and again ---------------------------------------------- */

static int setup_tight(void **state)
{
    static struct session_fixture fixture;
    fixture_open(&fixture, &(struct store_options){.block_cache_bytes = 1,
                                                   .block_bytes = 4096,
                                                   .build_bytes_max = 50000});
    *state = &fixture;
    return 0;
}

/* A stream "s" of several batches, in tables. */
static void fill(struct session_fixture *f)
{
    char line[1200];
    for (int i = 1; i <= ENTRIES; i++) {
        snprintf(line, sizeof line, "XADD s %d-1 f ", i);
        size_t size = strlen(line);
        for (size_t j = 0; j < 1000; j++) /* no two lines alike */
            line[size + j] = (char)('a' + (i * 7919 + j * j * 31 + j * i) % 23);
        line[size + 1000] = 0;
        fixture_feed(f->a, line);
        fixture_feed(f->a, "\r\n");
        fixture_settle(f->a);
        session_output_consume(f->a, session_output(f->a).size);
    }
    memory_store_work(&f->ms, true);
}

static void check_copied(struct session_fixture *f, const char *from, const char *to)
{
    char line[64];
    struct buffer first = {0};
    snprintf(line, sizeof line, "XRANGE %s - +", from);
    buffer_append_text(&first, fixture_ask(f, f->a, line));
    buffer_append_byte(&first, 0);
    snprintf(line, sizeof line, "XRANGE %s - +", to);
    assert_reply(f, f->a, line, (const char *)first.data);
    buffer_release(&first);
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void a_large_object_is_copied_and_moved(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    assert_reply(f, f->a, "PEXPIRE s 500000", ":1");
    assert_reply(f, f->a, "COPY s t", ":1");
    assert_reply(f, f->a, "PTTL t", ":500000");
    check_copied(f, "s", "t");
    assert_reply(f, f->a, "COPY s t", ":0");
    assert_reply(f, f->a, "XADD t 5000-1 f v", "\"5000-1\"");
    assert_reply(f, f->a, "COPY s t REPLACE", ":1");
    check_copied(f, "s", "t");
    assert_reply(f, f->a, "COPY s u DB 3", ":1");
    assert_reply(f, f->a, "MOVE t 3", ":1");
    assert_reply(f, f->a, "EXISTS t", ":0");
    assert_reply(f, f->a, "DBSIZE", ":1");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
    assert_reply(f, f->a, "SELECT 3", "+OK");
    assert_reply(f, f->a, "DBSIZE", ":2");
    assert_reply(f, f->a, "PTTL t", ":500000");
    check_copied(f, "t", "u");
    assert_reply(f, f->a, "XLEN t", ":400");
    assert_reply(f, f->a, "DEBUG COMPACT", "+OK");
    check_copied(f, "t", "u");
}

static void other_clients_are_served_meanwhile(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    fixture_feed(f->a, "COPY s t\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "SET x 1", "+OK");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), ":1\r\n");
    check_copied(f, "s", "t");
}

static void a_source_that_has_changed_is_copied_again(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "XADD s * f late", 1);
    check_meanwhile(f, "COPY s t", ":1");
    assert_reply(f, f->a, "XLEN t", ":401");
    check_copied(f, "s", "t");
    memory_store_work(&f->ms, true);
    do_meanwhile(f, "XADD t * f late", 1);
    check_meanwhile(f, "MOVE t 1", ":1");
    assert_reply(f, f->a, "SELECT 1", "+OK");
    assert_reply(f, f->a, "XLEN t", ":402");
}

static void one_that_changes_all_the_time_is_copied_as_it_was_at_a_moment(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "XADD s * f late", 1000000);
    check_meanwhile(f, "COPY s t", ":1");
    const char *length = fixture_ask(f, f->a, "XLEN t");
    int copied = atoi(length + 1);
    assert_true(copied > 400);
    assert_true(copied < atoi(fixture_ask(f, f->a, "XLEN s") + 1));
}

static void and_does_not_move(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "XADD s * f late", 1000000);
    check_meanwhile(f, "MOVE s 1",
                    "-ERR the key is written to too often, or its database is emptied or swapped: "
                    "try again later");
    assert_true(atoi(fixture_ask(f, f->a, "XLEN s") + 1) > 400);
    assert_reply(f, f->a, "SELECT 1", "+OK");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void a_source_that_goes_away_is_not_copied(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "DEL s", 1);
    check_meanwhile(f, "COPY s t", ":0");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void a_target_that_appears_stays(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "SET t mine", 1);
    check_meanwhile(f, "COPY s t", ":0");
    assert_reply(f, f->a, "GET t", "\"mine\"");
}

static void what_becomes_small_is_taken_as_it_is_then(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "SET s small", 1);
    check_meanwhile(f, "COPY s t", ":1");
    assert_reply(f, f->a, "GET t", "\"small\"");
}

static void a_target_database_that_is_swapped_gets_the_copy_all_the_same(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "SWAPDB 4 5", 1);
    check_meanwhile(f, "COPY s t DB 4", ":1");
    assert_reply(f, f->a, "SELECT 4", "+OK");
    assert_reply(f, f->a, "XLEN t", ":400");
}

static void a_source_database_that_is_swapped_moves_what_it_has_then(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    assert_reply(f, f->a, "COPY s s DB 2", ":1");
    assert_reply(f, f->a, "SELECT 2", "+OK");
    assert_reply(f, f->a, "XADD s 9000-1 f v", "\"9000-1\"");
    assert_reply(f, f->a, "SELECT 0", "+OK");
    memory_store_work(&f->ms, true);
    do_meanwhile(f, "SWAPDB 0 2", 1);
    check_meanwhile(f, "MOVE s 1", ":1");
    assert_reply(f, f->a, "EXISTS s", ":0");
    assert_reply(f, f->a, "SELECT 1", "+OK");
    assert_reply(f, f->a, "XLEN s", ":401");
    assert_reply(f, f->a, "SELECT 2", "+OK");
    assert_reply(f, f->a, "XLEN s", ":400");
}

static void one_that_is_swapped_all_the_time_does_not(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    do_meanwhile(f, "SWAPDB 4 5", 1000000);
    check_meanwhile(f, "COPY s t DB 4",
                    "-ERR the key is written to too often, or its database is emptied or swapped: "
                    "try again later");
    assert_reply(f, f->a, "SELECT 4", "+OK");
    assert_reply(f, f->a, "DBSIZE", ":0");
}

static void a_server_that_stops_does_not_wait_for_a_copy(void **state)
{
    struct session_fixture *f = *state;
    fill(f);
    service_stop(f->service);
    assert_reply(f, f->a, "COPY s t", "-ERR the server is stopping");
    assert_reply(f, f->a, "EXISTS t", ":0");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

static void small_objects_are_copied_at_once_also_from_tables(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "RPUSH l a b c");
    fixture_ask(f, f->a, "XADD s 1-1 f v");
    fixture_feed(f->a, "COPY s t\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY);
    fixture_take(f, f->a);
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_reply(f, f->a, "COPY l m DB 1", ":1");
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_reply(f, f->a, "COPY s u", ":1");
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_reply(f, f->a, "MOVE t 2", ":1");
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_reply(f, f->a, "MOVE l 1", ":1");
    assert_reply(f, f->a, "XRANGE u - +", "[[\"1-1\", [\"f\", \"v\"]]]");
    assert_reply(f, f->a, "SELECT 1", "+OK");
    assert_reply(f, f->a, "LRANGE l 0 -1", "[\"a\", \"b\", \"c\"]");
    assert_reply(f, f->a, "LRANGE m 0 -1", "[\"a\", \"b\", \"c\"]");
    assert_reply(f, f->a, "DEBUG INVARIANTS", "+OK");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_tight, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_object_is_copied_and_moved),
        TEST(other_clients_are_served_meanwhile),
        TEST(a_source_that_has_changed_is_copied_again),
        TEST(one_that_changes_all_the_time_is_copied_as_it_was_at_a_moment),
        TEST(and_does_not_move),
        TEST(a_source_that_goes_away_is_not_copied),
        TEST(a_target_that_appears_stays),
        TEST(what_becomes_small_is_taken_as_it_is_then),
        TEST(a_target_database_that_is_swapped_gets_the_copy_all_the_same),
        TEST(a_source_database_that_is_swapped_moves_what_it_has_then),
        TEST(one_that_is_swapped_all_the_time_does_not),
        TEST(a_server_that_stops_does_not_wait_for_a_copy),
        TEST(small_objects_are_copied_at_once_also_from_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
