/* SPDX-License-Identifier: MIT */
/* Sessions without sockets: splitting, parking, the lock, the gate, limits, passwords. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/session_state.h"
#include "lib/soundness.h"

#include <pthread.h>
#include <sched.h>

/* ---- Bytes in
 * ------------------------------------------------------------------------------------- */

static const char pipeline[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhe\r\no\r\n"
                               "GET k\r\n"
                               "\r\n"
                               "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
                               "*0\r\n"
                               "*4\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n$2\r\nab\r\n$0\r\n\r\n"
                               "*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n"
                               "nosuch \"x y\"\r\n"
                               "*2\r\n$3\r\nDEL\r\n$1\r\nl\r\n"
                               "PING\r\n";
static const char pipeline_replies[] = "+OK\r\n$5\r\nhe\r\no\r\n$5\r\nhe\r\no\r\n:2\r\n"
                                       "*2\r\n$2\r\nab\r\n$0\r\n\r\n"
                                       "-ERR unknown command 'nosuch', with args beginning with: "
                                       "'x y' \r\n:1\r\n+PONG\r\n";

static void a_pipeline_gives_the_same_replies_wherever_it_is_split(void **state)
{
    struct session_fixture *f = *state;
    struct slice all = slice_make(pipeline, sizeof pipeline - 1);
    for (size_t cut = 0; cut <= all.size; cut++) {
        session_feed(f->a, slice_make(all.data, cut));
        session_feed(f->a, slice_skip(all, cut));
        assert_string_equal(fixture_take(f, f->a), pipeline_replies);
        assert_int_equal(session_input_bytes(f->a), 0);
    }
}

static void a_pipeline_may_come_byte_by_byte(void **state)
{
    struct session_fixture *f = *state;
    for (size_t i = 0; i + 1 < sizeof pipeline; i++)
        session_feed(f->a, slice_make(pipeline + i, 1));
    assert_string_equal(fixture_take(f, f->a), pipeline_replies);
}

static void a_large_value_comes_in_pieces(void **state)
{
    struct session_fixture *f = *state;
    enum { VALUE_BYTES = 300000 };
    struct buffer request = {0}, reply = {0};
    buffer_append_text(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n");
    for (int i = 0; i < VALUE_BYTES; i++)
        buffer_append_byte(&request, (uint8_t)(i * 7));
    buffer_append_text(&request, "\r\nPING\r\n");
    for (size_t at = 0; at < request.size; at += 65536) {
        size_t left = request.size - at;
        session_feed(f->a, slice_make(request.data + at, left < 65536 ? left : 65536));
    }
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+PONG\r\n");
    fixture_feed(f->a, "GET k\r\n");
    fixture_settle(f->a);
    struct slice output = session_output(f->a);
    buffer_append_text(&reply, "$300000\r\n");
    for (int i = 0; i < VALUE_BYTES; i++)
        buffer_append_byte(&reply, (uint8_t)(i * 7));
    buffer_append_text(&reply, "\r\n");
    assert_true(slice_equal(output, buffer_slice(&reply)));
    session_output_consume(f->a, output.size);
    buffer_release(&request);
    buffer_release(&reply);
}

/* More requests than are looked ahead for, over keys in memory that is being flushed and in the one after
 * it; a key that is too long to be looked up ahead, requests that are not skimmed, a new database. */
static void a_long_pipeline_over_many_keys_is_answered_in_order(void **state)
{
    enum { KEYS = 3000 };
    struct session_fixture *f = *state;
    struct buffer requests = {0}, replies = {0};
    char long_key[200];
    memset(long_key, 'x', sizeof long_key);
    long_key[sizeof long_key - 1] = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < KEYS; i++) {
            buffer_printf(&requests,
                          "*3\r\n$3\r\nSET\r\n$5\r\nk%04d\r\n$4\r\n%04d\r\n*2\r\n$3\r\nGET\r\n"
                          "$5\r\nk%04d\r\n",
                          i, i, i * 7 % KEYS);
            if (i % 100 == 0)
                buffer_printf(&requests, "EXISTS %s\r\n*2\r\n$6\r\nEXISTS\r\n$199\r\n%s\r\n",
                              long_key, long_key);
            buffer_append_text(&replies, "+OK\r\n");
            if (round || i * 7 % KEYS <= i)
                buffer_printf(&replies, "$4\r\n%04d\r\n", i * 7 % KEYS);
            else
                buffer_append_text(&replies, "$-1\r\n");
            if (i % 100 == 0)
                buffer_append_text(&replies, ":0\r\n:0\r\n");
        }
        lsm_request_flush(store_engine(service_store(f->service)));
    }
    buffer_append_byte(&replies, 0);
    struct slice rest = buffer_slice(&requests);
    while (rest.size > 0) {
        struct slice piece = slice_make(rest.data, rest.size < 16000 ? rest.size : 16000);
        session_feed(f->a, piece);
        fixture_settle(f->a);
        rest = slice_skip(rest, piece.size);
    }
    assert_string_equal(fixture_take(f, f->a), (char *)replies.data);
    buffer_release(&requests);
    buffer_release(&replies);
}

static void a_malformed_request_is_answered_and_closes(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "PING\r\n*1\r\n$abc\r\nPING\r\n");
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a),
                        "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n");
    fixture_feed(f->a, "PING\r\n");
    assert_string_equal(fixture_take(f, f->a), "");
}

static void a_browser_is_closed_without_a_word(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "POST / HTTP/1.1\r\nHost: x\r\n\r\nFLUSHALL\r\n");
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "");
}

static void quit_answers_and_closes_and_drops_what_follows(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "QUIT\r\nSET k v\r\n");
    assert_int_equal(session_state(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    assert_reply(f, f->b, "GET k", "nil");
}

static void end_of_input_closes_after_the_last_request(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "PING\r\nPIN");
    assert_int_equal(session_end_input(f->a), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, f->a), "+PONG\r\n");
}

static void too_much_unread_input_ends_the_session(void **state)
{
    struct session_fixture *f = *state;
    enum { CHUNK = 65536 };
    fixture_set(f, "client-query-buffer-limit", "1mb");
    char *chunk = memory_zeroed(1, CHUNK);
    fixture_feed(f->a, "*2\r\n$3\r\nGET\r\n$3000000\r\n");
    for (int i = 0; i < 15; i++)
        assert_int_equal(session_feed(f->a, slice_make(chunk, CHUNK)), SESSION_READY);
    assert_false(session_is_over_limit(f->a));
    session_feed(f->a, slice_make(chunk, CHUNK));
    assert_int_equal(session_feed(f->a, slice_make(chunk, CHUNK)), SESSION_CLOSING);
    assert_true(session_is_over_limit(f->a));
    memory_free(chunk);
}

/* ---- Parking
 * -------------------------------------------------------------------------------------- */

struct working {
    struct session *session;
    pthread_t thread;
};

static void *work(void *context)
{
    session_work(((struct working *)context)->session);
    return NULL;
}

static void begin_work(struct working *working, struct session *session)
{
    working->session = session;
    assert_int_equal(pthread_create(&working->thread, NULL, work, working), 0);
}

static void end_work(struct working *working)
{
    assert_int_equal(pthread_join(working->thread, NULL), 0);
}

enum { COLD_BYTES = 70000 };

/* The values lie in a table, and nothing of them in memory. */
static void put_cold(struct session_fixture *f, const char *command)
{
    struct buffer line = {0};
    buffer_append_text(&line, command);
    for (int i = 0; i < COLD_BYTES; i++)
        buffer_append_byte(&line, 'c');
    buffer_append_byte(&line, 0);
    fixture_feed(f->a, "*3\r\n");
    const char *words[] = {strtok((char *)line.data, " "), strtok(NULL, " "), strtok(NULL, " ")};
    for (int i = 0; i < 3; i++) {
        struct buffer word = {0};
        buffer_printf(&word, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
        session_feed(f->a, buffer_slice(&word));
        buffer_release(&word);
    }
    buffer_release(&line);
    fixture_take(f, f->a);
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
}

static void wait_until_held(struct session_fixture *f)
{
    while (vfs_fault_held_count(f->ms.vfs) == 0)
        sched_yield();
}

static void a_cold_read_parks_its_session_and_the_others_go_on(void **state)
{
    struct session_fixture *f = *state;
    struct working working;
    put_cold(f, "SET cold ");
    assert_reply(f, f->b, "SET warm here", "+OK");

    vfs_fault_hold(f->ms.vfs, 1u << VFS_CALL_READ, "");
    fixture_feed(f->a, "PING\r\nGET cold\r\nPING after\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_string_equal(fixture_take(f, f->a), "+PONG\r\n");
    assert_int_equal(session_delay_us(f->a), 0);
    begin_work(&working, f->a);
    wait_until_held(f);

    assert_reply(f, f->b, "PING", "+PONG");
    assert_reply(f, f->b, "SET other 1", "+OK");
    assert_reply(f, f->b, "GET warm", "\"here\"");
    fixture_feed(f->a, "PING later\r\n");
    assert_int_equal(session_resume(f->a), SESSION_PARKED); /* a spurious wake */
    assert_string_equal(fixture_take(f, f->a), "");

    vfs_fault_release(f->ms.vfs);
    end_work(&working);
    assert_int_equal(session_resume(f->a), SESSION_READY);
    const char *replies = fixture_take(f, f->a);
    assert_int_equal(strlen(replies), 8 + COLD_BYTES + 2 + 2 * 11);
    assert_int_equal(strncmp(replies, "$70000\r\ncccc", 12), 0);
    assert_string_equal(replies + 8 + COLD_BYTES, "\r\n$5\r\nafter\r\n$5\r\nlater\r\n");
}

static void a_write_that_needs_the_disk_parks_without_the_lock(void **state)
{
    struct session_fixture *f = *state;
    struct working working;
    put_cold(f, "RPUSH cold ");
    vfs_fault_hold(f->ms.vfs, 1u << VFS_CALL_READ, "");
    fixture_feed(f->a, "SET x 1\r\nLPOP cold 1\r\nEXISTS cold\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    begin_work(&working, f->a);
    wait_until_held(f);
    assert_reply(f, f->b, "GET x", "\"1\"");
    assert_reply(f, f->b, "SET x 2", "+OK"); /* nobody holds the lock */
    vfs_fault_release(f->ms.vfs);
    end_work(&working);
    session_resume(f->a);
    fixture_settle(f->a);
    const char *replies = fixture_take(f, f->a);
    assert_int_equal(strlen(replies), 5 + 4 + 8 + COLD_BYTES + 2 + 4);
    assert_int_equal(strncmp(replies, "+OK\r\n*1\r\n$70000\r\n", 17), 0);
    assert_string_equal(replies + 17 + COLD_BYTES, "\r\n:0\r\n");
}

/* In memory all of it; but the loop has other clients. */
static void a_large_reply_is_built_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    static char push[2048];
    memset(push, 'e', sizeof(push) - 1);
    memcpy(push, "RPUSH large ", 12);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(fixture_ask(f, f->a, push)[0], ':');
    fixture_feed(f->a, "LRANGE large 0 99\r\n");
    assert_int_equal(session_state(f->a), SESSION_READY);
    fixture_take(f, f->a);
    static const char *const requests[] = {"PING\r\nLRANGE large 0 -1\r\nPING\r\n",
                                           "PING\r\nLPOP large 1000\r\nPING\r\n"};
    for (int i = 0; i < 2; i++) {
        fixture_feed(f->a, requests[i]);
        assert_int_equal(session_state(f->a), SESSION_PARKED);
        assert_string_equal(fixture_take(f, f->a), "+PONG\r\n");
        assert_reply(f, f->b, "LLEN large", ":1000");
        assert_int_equal(fixture_settle(f->a), SESSION_READY);
        const char *replies = fixture_take(f, f->a);
        assert_int_equal(strncmp(replies, "*1000\r\n$2035\r\neeee", 18), 0);
        session_feed(f->a, slice_make(NULL, 0)); /* it had paused */
        if (!strstr(replies, "+PONG\r\n"))
            assert_string_equal(fixture_take(f, f->a), "+PONG\r\n");
    }
    assert_reply(f, f->b, "EXISTS large", ":0");
}

static void a_large_string_is_read_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    static char value[300000 + 1];
    memset(value, 'v', sizeof(value) - 1);
    fixture_feed(f->a, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n");
    fixture_feed(f->a, value);
    fixture_feed(f->a, "\r\n");
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    fixture_feed(f->a, "GET k\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "EXISTS k", ":1");
    assert_int_equal(fixture_settle(f->a), SESSION_READY);
    assert_int_equal(strlen(fixture_take(f, f->a)), 9 + 300000 + 2);
}

static void a_busy_write_lock_parks_writes_and_not_reads(void **state)
{
    struct session_fixture *f = *state;
    struct working working;
    struct lsm *engine = store_engine(f->ms.store);
    assert_reply(f, f->a, "SET k 1", "+OK");
    lsm_lock(engine);
    fixture_feed(f->a, "SET k 2\r\nGET k\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_reply(f, f->b, "GET k", "\"1\"");
    begin_work(&working, f->a);
    assert_reply(f, f->b, "PING", "+PONG");
    lsm_unlock(engine);
    end_work(&working);
    assert_int_equal(session_resume(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n$1\r\n2\r\n");
}

static void a_feed_leaves_the_write_lock(void **state)
{
    struct session_fixture *f = *state;
    for (int writes = 1; writes < 200; writes++) {
        for (int i = 0; i < writes; i++)
            fixture_feed(f->a, "SET k 1\r\n");
        assert_true(lsm_try_lock(store_engine(f->ms.store), 0));
        lsm_unlock(store_engine(f->ms.store));
        fixture_take(f, f->a);
    }
}

static void reload_closes_and_opens_the_store(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_reply(f, f->a, "DEBUG LOADAOF", "+OK");
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    assert_int_equal(f->reloads, 2);
    assert_reply(f, f->b, "GET k", "\"v\"");
    assert_reply(f, f->b, "DEBUG INVARIANTS", "+OK");
}

static void debug_sleep_holds_up_one_client(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->a, "DEBUG SLEEP 0.5\r\nPING\r\n");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    assert_int_equal(session_deadline_us(f->a), f->ms.now_ms * 1000 + 500000);
    assert_reply(f, f->b, "PING", "+PONG");
    assert_int_equal(session_timeout(f->a), SESSION_BLOCKED); /* too early */
    f->ms.now_ms += 500;
    assert_int_equal(session_timeout(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+PONG\r\n");
}

/* ---- The gate
 * -------------------------------------------------------------------------------------- */

static size_t released(struct session *session, lsn_t acked)
{
    return session_output_released(session, acked);
}

static void replies_wait_for_what_they_reveal(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    lsm_set_ack_durable(engine, true);
    fixture_feed(f->a, "PING\r\n");
    assert_int_equal(released(f->a, 0), 7); /* reveals nothing */
    assert_int_equal(session_output_awaits(f->a), 0);
    fixture_take(f, f->a);

    lsn_t before = lsm_durable_lsn(engine);
    fixture_feed(f->a, "SET k 1\r\n");
    assert_int_equal(released(f->a, before), 0);
    assert_true(session_output_awaits(f->a) >= before);
    fixture_feed(f->b, "PING\r\n");
    fixture_feed(f->b, "GET k\r\n"); /* shows what is not durable yet */
    assert_int_equal(released(f->b, before), 7);
    session_output_consume(f->b, 7);
    assert_int_equal(released(f->b, before), 0);
    assert_true(session_output_awaits(f->b) >= before);

    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    lsn_t after = lsm_durable_lsn(engine);
    assert_true(after > session_output_awaits(f->a));
    assert_int_equal(released(f->a, after), 5);
    assert_int_equal(released(f->b, after), 7);
    assert_int_equal(session_output_awaits(f->a), 0);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    assert_string_equal(fixture_take(f, f->b), "$1\r\n1\r\n");
}

static void an_absence_is_revealed_too(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    assert_reply(f, f->a, "SET k 1", "+OK");
    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    lsn_t before = lsm_durable_lsn(engine);
    fixture_feed(f->a, "DEL k\r\n");
    fixture_feed(f->b, "GET k\r\n");
    assert_int_equal(released(f->b, before), 0);
    assert_int_equal(lsm_wal_sync(engine), STATUS_OK);
    assert_int_equal(released(f->b, lsm_durable_lsn(engine)), 5);
    assert_string_equal(fixture_take(f, f->b), "$-1\r\n");
    fixture_take(f, f->a);
}

static void later_replies_wait_behind_held_ones(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    lsn_t zero = lsm_durable_lsn(engine);
    fixture_feed(f->a, "SET k 1\r\n");
    lsn_t first = session_output_awaits(f->a);
    fixture_feed(f->a, "PING\r\n");
    fixture_feed(f->a, "SET k 2\r\nSET k 3\r\n");
    fixture_feed(f->a, "PING\r\n");
    assert_int_equal(released(f->a, zero), 0);
    assert_int_equal(released(f->a, first), 0);      /* above, not at */
    assert_int_equal(released(f->a, first + 1), 12); /* OK and the PONG behind it */
    session_output_consume(f->a, 5);
    assert_int_equal(released(f->a, first + 1), 7);
    session_output_consume(f->a, 7);
    assert_int_equal(released(f->a, first + 1), 0);
    assert_true(session_output_awaits(f->a) > first);
    assert_int_equal(released(f->a, session_output_awaits(f->a) + 1), 17);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n+OK\r\n+PONG\r\n");
}

static void a_client_that_does_not_read_pauses(void **state)
{
    struct session_fixture *f = *state;
    struct buffer value = {0};
    buffer_append_text(&value, "SET k ");
    for (int i = 0; i < 50000; i++)
        buffer_append_byte(&value, 'v');
    buffer_append_byte(&value, 0);
    fixture_ask(f, f->a, (const char *)value.data);
    buffer_release(&value);
    for (int i = 0; i < 100; i++)
        fixture_feed(f->a, "GET k\r\n");
    size_t waiting = session_output(f->a).size;
    assert_true(waiting > SESSION_OUTPUT_PAUSE_BYTES);
    assert_true(waiting < SESSION_OUTPUT_PAUSE_BYTES + 60000);
    assert_true(session_is_paused(f->a));
    size_t replies = 0;
    while (session_output(f->a).size > 0) {
        replies += session_output(f->a).size;
        session_output_consume(f->a, session_output(f->a).size);
        session_feed(f->a, slice_make(NULL, 0));
    }
    assert_false(session_is_paused(f->a));
    assert_int_equal(replies, 100 * (sizeof "$50000\r\n\r\n" - 1 + 50000));
}

static void ask_and_take(struct session *session, const char *line)
{
    fixture_feed(session, line);
    session_output_consume(session, session_output(session).size);
}

/* As much room as the last large reply took, until many small ones have come; an idle client keeps none. */
static void room_for_a_large_reply_is_given_back_and_made_at_once(void **state)
{
    struct session_fixture *f = *state;
    struct buffer value = {0};
    buffer_append_text(&value, "SET k ");
    for (int i = 0; i < 50000; i++)
        buffer_append_byte(&value, 'v');
    buffer_append_byte(&value, 0);
    fixture_ask(f, f->a, (const char *)value.data);
    buffer_release(&value);
    fixture_feed(f->a, "GET k\r\nGET k\r\n");
    size_t size = session_output(f->a).size;
    session_output_consume(f->a, size);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i + 1 < OUTPUTS_BELOW_MAX; i++) {
            assert_int_equal(f->a->output.capacity, 0);
            fixture_feed(f->a, "PING\r\n");
            assert_true(f->a->output.capacity >= size);
            session_output_consume(f->a, session_output(f->a).size);
        }
        ask_and_take(f->a, "GET k\r\nGET k\r\n");
    }
    for (int i = 0; i < OUTPUTS_BELOW_MAX; i++)
        ask_and_take(f->a, "PING\r\n");
    assert_int_equal(f->a->output_expected, 0);
    fixture_feed(f->a, "PING\r\n");
    assert_true(f->a->output.capacity < size);
    for (int i = 0; i < 100; i++)
        fixture_feed(f->a, "GET k\r\n");
    assert_true(session_output(f->a).size > SESSION_OUTPUT_PAUSE_BYTES);
    session_output_consume(f->a, session_output(f->a).size);
    assert_true(f->a->output_expected > SESSION_OUTPUT_PAUSE_BYTES);
    assert_true(f->a->output_expected <= OUTPUT_EXPECTED_MAX);
    while (session_feed(f->a, slice_make(NULL, 0)), session_output(f->a).size > 0)
        session_output_consume(f->a, session_output(f->a).size);
}

static void output_over_the_hard_limit_is_noticed(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "client-output-buffer-limit", "normal 100 0 0");
    fixture_feed(f->a, "ECHO 0123456789012345678901234567890123456789\r\n");
    session_output_released(f->a, 1);
    assert_false(session_is_over_limit(f->a));
    fixture_feed(f->a,
                 "ECHO 0123456789012345678901234567890123456789\r\nECHO 01234567890123456789\r\n");
    session_output_released(f->a, 1);
    assert_true(session_is_over_limit(f->a));
}

static void output_over_the_soft_limit_is_noticed_after_its_time(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "client-output-buffer-limit", "normal 0 10 2");
    fixture_feed(f->a, "ECHO 0123456789012345678901234567890123456789\r\n");
    session_output_released(f->a, 1);
    f->ms.now_ms += 2000;
    session_output_released(f->a, 1);
    assert_false(session_is_over_limit(f->a));
    f->ms.now_ms += 1;
    session_output_released(f->a, 1);
    assert_true(session_is_over_limit(f->a));
}

/* ---- Who may
 * ---------------------------------------------------------------------------------------- */

static void a_password_is_asked_for(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "requirepass", "secret");
    struct session *session = fixture_session(f, false, false, f);
    assert_reply(f, session, "GET k", "-NOAUTH Authentication required.");
    assert_reply(f, session, "nosuch", "-ERR unknown command 'nosuch', with args beginning with: ");
    assert_reply(f, session, "GET", "-ERR wrong number of arguments for 'get' command");
    assert_reply(f, session, "AUTH wrong",
                 "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_reply(f, session, "AUTH other secret",
                 "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_reply(f, session, "AUTH secret", "+OK");
    assert_reply(f, session, "GET k", "nil");
    assert_reply(f, session, "RESET", "+RESET");
    assert_reply(f, session, "GET k", "-NOAUTH Authentication required.");
    assert_reply(f, session, "HELLO 3 AUTH default secret SETNAME me",
                 "{\"server\": \"redis\", \"version\": \"7.2.4\", \"proto\": :3, \"id\": :3, "
                 "\"mode\": \"standalone\", \"role\": \"master\", \"modules\": []}");
    assert_reply(f, session, "CLIENT GETNAME", "\"me\"");
    assert_reply(f, f->a, "PING", "+PONG"); /* it was here before the password */
    session_destroy(session);
}

static void before_auth_requests_are_small(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "requirepass", "secret");
    struct session *session = fixture_session(f, true, false, f);
    fixture_feed(session, "*2\r\n$4\r\nAUTH\r\n$20000\r\n");
    assert_int_equal(session_state(session), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, session),
                        "-ERR Protocol error: unauthenticated bulk length\r\n");
    session_destroy(session);
}

static void protected_mode_denies_outsiders(void **state)
{
    struct session_fixture *f = *state;
    struct session *session = fixture_session(f, false, false, f);
    assert_int_equal(session_state(session), SESSION_CLOSING);
    assert_int_equal(strncmp(fixture_take(f, session), "-DENIED Redis is running in protected", 37),
                     0);
    session_destroy(session);
    assert_reply(f, f->a, "CONFIG SET protected-mode no", "+OK");
    session = fixture_session(f, false, false, f);
    assert_reply(f, session, "PING", "+PONG");
    session_destroy(session);
}

/* ---- Errors
 * ------------------------------------------------------------------------------------------ */

static void a_failed_disk_stops_writes_and_not_reads(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    assert_int_equal(lsm_wal_sync(store_engine(f->ms.store)), STATUS_OK);
    vfs_fault_fail(f->ms.vfs, 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
    assert_reply(f, f->a, "SET k w", "+OK");
    assert_int_not_equal(lsm_wal_sync(store_engine(f->ms.store)), STATUS_OK);
    assert_reply(f, f->a, "SET k x", "-MISCONF Errors writing to the AOF file: Input/output error");
    assert_reply(f, f->b, "PING", "+PONG");
}

static void a_full_disk_stops_writes_but_not_deletions_nor_reads(void **state)
{
    struct session_fixture *f = *state;
    static const char no_space[] =
        "-MISCONF Errors writing to the AOF file: No space left on device";
    char value[2001] = "";
    char line[2100];
    bool is_full = false;
    memset(value, 'v', 2000);
    assert_reply(f, f->a, "SET k v", "+OK");
    vfs_fault_set_free_bytes(f->ms.vfs, 0);
    for (int i = 0; i < 200000 && !is_full; i++) {
        snprintf(line, sizeof line, "SET key:%d %s", i % 100, value);
        is_full = strcmp(fixture_ask(f, f->a, line), no_space) == 0;
    }
    assert_true(is_full);
    assert_reply(f, f->a, "GET k", "\"v\"");
    assert_reply(f, f->a, "DEL k", ":1");
    assert_reply(f, f->a, "EXISTS k", ":0");
    assert_reply(f, f->a, line, no_space);
    vfs_fault_set_free_bytes(f->ms.vfs, UINT64_MAX);
    assert_reply(f, f->a, line, "+OK"); /* goes on by itself */
}

static void writers_are_held_back_by_parking(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    char line[1100];
    unsigned delay_us = 0, owed_us = 0, held_back = 0;
    memset(line, 'v', sizeof line);
    for (int i = 0; i < 100000 && delay_us == 0; i++) {
        int size = snprintf(line, sizeof line, "SET key:%d ", i);
        memset(line + size, 'v', 1000);
        strcpy(line + size + 1000, "\r\n");
        owed_us += lsm_write_delay_us(engine);
        held_back += lsm_write_delay_us(engine) > 0;
        fixture_feed(f->a, line);
        if (session_state(f->a) == SESSION_PARKED)
            delay_us = session_delay_us(f->a);
        else
            fixture_take(f, f->a);
    }
    assert_true(held_back > 1); /* the first delays are too short for a timer: they add up */
    assert_true(delay_us >= SESSION_DELAY_US_MIN);
    assert_int_equal(delay_us, owed_us);
    assert_true(delay_us <= 1000000);
    assert_reply(f, f->b, "GET key:0", fixture_ask(f, f->b, "GET key:1")); /* reads are not */
    session_work(f->a);                                                    /* the host has waited */
    assert_int_equal(session_resume(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    memory_store_work(&f->ms, true);
}

static int setup_small(void **state)
{
    static struct session_fixture fixture;
    fixture_open(&fixture,
                 &(struct store_options){.memtable_bytes = 1 << 20, .wal_segment_bytes = 1 << 20});
    *state = &fixture;
    return 0;
}

/* The store cannot say that it closed well. */
static int teardown_broken(void **state)
{
    struct session_fixture *f = *state;
    session_destroy(f->a);
    session_destroy(f->b);
    service_destroy(f->service);
    config_destroy(f->config);
    require_sound_store(f->ms.store, "after a failed sync");
    access_release(&f->ms.access);
    lsm_reader_destroy(f->ms.reader);
    assert_int_not_equal(store_close(f->ms.store), STATUS_OK);
    vfs_destroy(f->ms.vfs);
    vfs_destroy(f->ms.memory);
    buffer_release(&f->shown);
    return 0;
}

static void errors_are_counted_by_kind(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SET k v", "+OK");
    fixture_ask(f, f->a, "LPUSH k v");
    fixture_ask(f, f->a, "nosuch");
    fixture_ask(f, f->a, "nosuch");
    const char *info = fixture_ask(f, f->a, "INFO errorstats");
    assert_non_null(strstr(info, "errorstat_WRONGTYPE:count=1"));
    assert_non_null(strstr(info, "errorstat_ERR:count=2"));
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO stats"), "total_error_replies:3"));
    assert_reply(f, f->a, "CONFIG RESETSTAT", "+OK");
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO stats"), "total_error_replies:0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_pipeline_gives_the_same_replies_wherever_it_is_split),
        TEST(a_pipeline_may_come_byte_by_byte),
        TEST(a_large_value_comes_in_pieces),
        TEST(a_long_pipeline_over_many_keys_is_answered_in_order),
        TEST(a_malformed_request_is_answered_and_closes),
        TEST(a_browser_is_closed_without_a_word),
        TEST(quit_answers_and_closes_and_drops_what_follows),
        TEST(end_of_input_closes_after_the_last_request),
        TEST(too_much_unread_input_ends_the_session),
        TEST(a_cold_read_parks_its_session_and_the_others_go_on),
        TEST(a_write_that_needs_the_disk_parks_without_the_lock),
        TEST(a_large_reply_is_built_by_a_worker),
        TEST(a_large_string_is_read_by_a_worker),
        TEST(a_busy_write_lock_parks_writes_and_not_reads),
        TEST(a_feed_leaves_the_write_lock),
        TEST(reload_closes_and_opens_the_store),
        TEST(debug_sleep_holds_up_one_client),
        TEST(replies_wait_for_what_they_reveal),
        TEST(an_absence_is_revealed_too),
        TEST(later_replies_wait_behind_held_ones),
        TEST(a_client_that_does_not_read_pauses),
        TEST(room_for_a_large_reply_is_given_back_and_made_at_once),
        TEST(output_over_the_hard_limit_is_noticed),
        TEST(output_over_the_soft_limit_is_noticed_after_its_time),
        TEST(a_password_is_asked_for),
        TEST(before_auth_requests_are_small),
        TEST(protected_mode_denies_outsiders),
        cmocka_unit_test_setup_teardown(a_failed_disk_stops_writes_and_not_reads, fixture_setup,
                                        teardown_broken),
        cmocka_unit_test_setup_teardown(a_full_disk_stops_writes_but_not_deletions_nor_reads,
                                        setup_small, fixture_teardown),
        cmocka_unit_test_setup_teardown(writers_are_held_back_by_parking, setup_small,
                                        fixture_teardown),
        TEST(errors_are_counted_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
