/* SPDX-License-Identifier: MIT */
/* Pipelined writes that share a batch: what they leave in the store, what they answer and whom they tell is as if each
 * had come alone. */
#include "unit/commands/session_fixture.h"

#include "base/random.h"
#include "commands/service_state.h"
#include "lib/seed.h"

enum { FRAME_HEAD_BYTES = 29 };

static lsn_t visible(struct session_fixture *f)
{
    return lsm_visible_lsn(store_engine(f->ms.store));
}

/* Bytes of the log that the pipeline took: lines with their ends, in one feed. */
static lsn_t log_bytes(struct session_fixture *f, const char *pipeline)
{
    lsn_t before = visible(f);
    fixture_feed(f->a, pipeline);
    (void)fixture_take(f, f->a);
    return visible(f) - before;
}

static void writes_of_a_pipeline_are_one_frame_with_one_header(void **state)
{
    struct session_fixture *f = *state;
    enum { HEADER_BYTES = 20 }; /* of a stream, with its key, at least */
    fixture_ask(f, f->a, "XADD s 1-1 f v");
    lsn_t alone = log_bytes(f, "XADD s 1-2 f v\r\n");
    lsn_t four =
        log_bytes(f, "XADD s 1-3 f v\r\nXADD s 1-4 f v\r\nXADD s 1-5 f v\r\nXADD s 1-6 f v\r\n");
    assert_true(four + 3 * (FRAME_HEAD_BYTES + HEADER_BYTES) < 4 * alone);
    assert_reply(f, f->a, "XLEN s\r\nXREVRANGE s + - COUNT 1", ":6 [[\"1-6\", [\"f\", \"v\"]]]");
    lsn_t sets = log_bytes(f, "SET a 1\r\nSET b 2\r\nSET c 3\r\n");
    lsn_t set = log_bytes(f, "SET d 1\r\n");
    assert_true(sets + 2 * FRAME_HEAD_BYTES < 3 * set); /* and counts of keys */
}

/* A read looks at what is published: the batch ends before it. */
static void a_read_between_writes_sees_those_before_it(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(
        f, f->a,
        "XADD s 1-1 f v\r\nXADD s 1-2 f v\r\nXLEN s\r\nXADD s 1-3 f v\r\nXADD s 1-4 f v\r\nXLEN s",
        "\"1-1\" \"1-2\" :2 \"1-3\" \"1-4\" :4");
    assert_reply(f, f->b, "XRANGE s 1-4 +", "[[\"1-4\", [\"f\", \"v\"]]]");
}

static void other_writes_see_the_header_that_appends_have_left(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "XADD s 1-1 f v\r\nXADD other 1-1 f v");
    assert_reply(
        f, f->a,
        "XADD s 1-2 f v\r\nXADD s 1-3 f v\r\nXADD s 1-4 f v\r\nXDEL s 1-3\r\n"
        "XADD s 1-5 f v\r\nXADD s 1-6 f v\r\nXADD other 1-2 f v\r\nXADD s 1-7 f v\r\nXADD s 1-8 f "
        "v\r\n"
        "RENAME s t\r\nXADD t 1-9 f v\r\nXADD t 1-9 f v\r\nXTRIM t MAXLEN 2\r\nDEL t\r\n"
        "XADD t 0-1 f v\r\nXADD t 0-2 f v",
        "\"1-2\" \"1-3\" \"1-4\" :1 \"1-5\" \"1-6\" \"1-2\" \"1-7\" \"1-8\" +OK \"1-9\" "
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item "
        ":6 :1 \"0-1\" \"0-2\"");
    assert_reply(f, f->b, "XRANGE t - +\r\nXLEN other\r\nEXISTS s",
                 "[[\"0-1\", [\"f\", \"v\"]], [\"0-2\", [\"f\", \"v\"]]] :2 :0");
}

static void the_header_of_a_long_key_is_written_each_time(void **state)
{
    struct session_fixture *f = *state;
    char key[301], pipeline[2000];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    snprintf(pipeline, sizeof pipeline,
             "XADD %s 1-1 f v\r\nXADD %s 1-2 f v\r\nXADD %s 1-3 f v\r\nXLEN %s\r\n", key, key, key,
             key);
    fixture_feed(f->a, pipeline);
    assert_non_null(strstr(fixture_take(f, f->a), ":3\r\n"));
}

/* Its time comes between two appends of one batch: what is behind it has no time. */
static void a_stream_that_expires_while_it_is_held_begins_anew(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "XADD s 1-1 f v\r\nPEXPIRE s 35");
    f->ms.look_ms = 10; /* the clock goes on with each request */
    fixture_feed(f->a, "XADD s 1-2 f v\r\nXADD s 1-3 f v\r\nXADD s 1-4 f v\r\n"
                       "XADD s 1-5 f v\r\nXADD s 1-6 f v\r\nXADD s 1-7 f v\r\n");
    f->ms.look_ms = 0;
    (void)fixture_take(f, f->a);
    assert_reply(f, f->b, "PTTL s", ":-1");
    assert_string_equal(fixture_ask(f, f->b, "XRANGE s 1-1 1-2"), "[]");
    assert_reply(f, f->b, "XRANGE s 1-7 +", "[[\"1-7\", [\"f\", \"v\"]]]");
}

/* Elements of which a list is long enough to have records of its own. */
#define A100                                                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"
#define LONG_ELEMENTS A100 A100 A100 A100 A100 A100 " b c"

static void pushes_and_pops_of_a_list_write_its_header_once(void **state)
{
    struct session_fixture *f = *state;
    enum { HEADER_BYTES = 15 };
    fixture_ask(f, f->a, "RPUSH l " LONG_ELEMENTS);
    lsn_t alone = log_bytes(f, "RPUSH l v\r\n");
    lsn_t four = log_bytes(f, "LPUSH l v\r\nRPUSHX l v\r\nLPUSHX l v\r\nRPUSH l v\r\n");
    assert_true(four + 3 * (FRAME_HEAD_BYTES + HEADER_BYTES) < 4 * alone);
    lsn_t pops = log_bytes(f, "LPOP l\r\nRPOP l 2\r\nRPOP l\r\n");
    lsn_t pop = log_bytes(f, "LPOP l\r\n");
    assert_true(pops <= pop + 2); /* nothing but the header, whose numbers may be a byte longer */
    assert_reply(f, f->a, "LLEN l", ":3");
}

static void a_held_list_that_is_popped_empty_is_gone(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "RPUSH l " LONG_ELEMENTS "\r\nLPOP l 2");
    assert_reply(
        f, f->a,
        "RPUSH l x\r\nLPOP l 0\r\nRPUSH l y\r\nLPUSHX l z\r\nRPOP l 2\r\nLPOP l\r\nRPOP l\r\n"
        "RPOP l\r\nLPUSHX l z\r\nRPUSH l new\r\nLPOP l\r\nEXISTS l\r\nDBSIZE",
        ":2 [] :3 :4 [\"y\", \"x\"] \"z\" \"c\" nil :0 :1 \"new\" :0 :0");
}

static void what_is_held_is_of_its_own_type(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "RPUSH l " LONG_ELEMENTS "\r\nXADD s 1-1 f v");
    assert_reply(
        f, f->a,
        "RPUSH l x\r\nRPUSH l y\r\nXADD l 1-1 f v\r\nRPUSH l z\r\nXADD s 1-2 f v\r\n"
        "XADD s 1-3 f v\r\nLPUSH s x\r\nXADD s 1-4 f v\r\nLLEN l\r\nXLEN s",
        ":4 :5 -WRONGTYPE Operation against a key holding the wrong kind of value :6 "
        "\"1-2\" \"1-3\" -WRONGTYPE Operation against a key holding the wrong kind of value "
        "\"1-4\" :6 :4");
}

static void who_waits_in_line_is_served_between_two_commands(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->b, "BLPOP l 0\r\n");
    assert_int_equal(fixture_settle(f->b), SESSION_BLOCKED);
    assert_reply(f, f->a, "RPUSH l x\r\nRPUSH l y\r\nLPOP l", ":1 :1 \"y\"");
    assert_int_equal(session_resume(f->b), SESSION_READY);
    assert_string_equal(fixture_take(f, f->b), "*2\r\n$1\r\nl\r\n$1\r\nx\r\n");
}

static void a_reader_that_waits_is_woken_by_the_pipeline(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(f->b, "XREAD BLOCK 0 STREAMS s 0\r\n");
    assert_int_equal(fixture_settle(f->b), SESSION_BLOCKED);
    f->wake_count = 0;
    fixture_ask(f, f->a, "XADD s 1-1 f v\r\nXADD s 1-2 f v\r\nXADD s 1-3 f v");
    assert_true(f->wake_count > 0);
    assert_int_equal(session_resume(f->b), SESSION_READY);
    assert_non_null(strstr(fixture_take(f, f->b), "1-3"));
}

static void a_watched_key_of_the_same_pipeline_breaks_the_transaction(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "WATCH k\r\nSET k 1\r\nSET j 1\r\nMULTI\r\nGET k\r\nEXEC",
                 "+OK +OK +OK +OK +QUEUED nil-array");
    assert_reply(f, f->b, "WATCH k\r\nMULTI\r\nSET k 3", "+OK +OK +QUEUED");
    assert_reply(f, f->a, "SET other 1\r\nSET k 2\r\nSET other 2", "+OK +OK +OK");
    assert_reply(f, f->b, "EXEC", "nil-array");
}

static void events_of_a_pipeline_come_in_its_order(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "notify-keyspace-events", "KEA");
    fixture_ask(f, f->b, "SUBSCRIBE __keyevent@0__:set __keyevent@0__:del __keyevent@0__:xadd");
    fixture_ask(f, f->a, "SET k 1\r\nXADD s * f v\r\nDEL k\r\nXADD s * f v");
    session_deliver(f->b);
    const char *seen = fixture_take(f, f->b);
    static const char *const order[] = {":set\r\n", ":xadd\r\n", ":del\r\n", ":xadd\r\n"};
    for (size_t i = 0; i < 4; i++) {
        seen = strstr(seen, order[i]);
        assert_non_null(seen);
        seen++;
    }
    assert_null(strstr(seen, "__keyevent"));
}

/* Whole databases change in the middle. */
static void a_flush_in_a_pipeline_ends_what_was_before(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "XADD s 5-1 f v\r\nXADD s 5-2 f v\r\nSELECT 1\r\nSET one 1\r\nSELECT 0");
    assert_reply(
        f, f->a,
        "XADD s 5-3 f v\r\nXADD s 5-4 f v\r\nFLUSHDB\r\nXADD s 1-1 f v\r\nXADD s 1-2 f v\r\n"
        "SWAPDB 0 1\r\nXADD s 1-1 f v\r\nXADD s 1-2 f v\r\nDBSIZE\r\nSELECT 1\r\nXLEN s",
        "\"5-3\" \"5-4\" +OK \"1-1\" \"1-2\" +OK \"1-1\" \"1-2\" :2 +OK :2");
}

/* ---- At random ------------------------------------------------------------------------------- */

/* Stores with the same clock and the same random bytes: `together` is sent pipelines, `apart` their commands. */
struct pair {
    struct session_fixture together, apart;
    struct random random;
    struct buffer pipeline, replies;
    uint64_t last_ms;
};

static unsigned below(struct pair *pair, unsigned bound)
{
    return (unsigned)random_below(&pair->random, bound);
}

/* One command, without the line's end. */
static void choose_command(struct pair *pair, struct buffer *line)
{
    unsigned s = below(pair, 3), k = below(pair, 3), n = below(pair, 1000);
    switch (below(pair, 40)) {
    case 0:
        buffer_printf(line, "XADD s%u MAXLEN %u * f value%u", s, below(pair, 6), n);
        break;
    case 1:
        buffer_printf(line, "XADD s%u MAXLEN ~ 100 * f value%u", s, n);
        break;
    case 2:
        buffer_printf(line, "XADD s%u NOMKSTREAM * f value%u", s, n);
        break;
    case 3:
        buffer_printf(line, "XADD s%u %u f value", s, n);
        break;
    case 4:
        buffer_printf(line, "LOG.WRITE s%u TS %llu LEVEL warn line%u", s,
                      (unsigned long long)(pair->last_ms - below(pair, 20)), n);
        break;
    case 5:
        buffer_printf(line, "XDEL s%u %llu-0", s, (unsigned long long)pair->last_ms);
        break;
    case 6:
        buffer_printf(line, "XTRIM s%u MAXLEN %u", s, below(pair, 20));
        break;
    case 7:
        buffer_printf(line, "XSETID s%u %llu-5", s, (unsigned long long)pair->last_ms);
        break;
    case 8:
        buffer_printf(line, "RENAME s%u s%u", s, below(pair, 3));
        break;
    case 9:
        buffer_printf(line, "COPY s%u s%u REPLACE", s, below(pair, 3));
        break;
    case 10:
        buffer_printf(line, "DEL s%u k%u", s, k);
        break;
    case 11:
        buffer_printf(line, "PEXPIRE s%u %u", s, below(pair, 30));
        break;
    case 12:
        buffer_printf(line, "SET k%u %u PX %u", k, n, 1 + below(pair, 30));
        break;
    case 13:
        buffer_printf(line, "APPEND k%u %u", k, n);
        break;
    case 14:
        buffer_printf(line, "INCR k%u", k);
        break;
    case 15:
        buffer_printf(line, "SET s%u text", s);
        break;
    case 16:
        buffer_printf(line, "RPUSH l%u a b %u", k, n);
        break;
    case 17:
        buffer_printf(line, "LPUSH l%u %u", k, n);
        break;
    case 18:
        buffer_printf(line, "LPOP l%u %u", k, 1 + below(pair, 4));
        break;
    case 19:
        buffer_printf(line, "LTRIM l%u 0 %u", k, below(pair, 6));
        break;
    case 20:
        buffer_printf(line, "XLEN s%u", s);
        break;
    case 21:
        buffer_printf(line, "XREVRANGE s%u + - COUNT 3", s);
        break;
    case 22:
        buffer_printf(line, "MULTI\r\nXADD s%u * f v\r\nSET k%u %u\r\nXADD s%u * f v\r\nEXEC", s, k,
                      n, s);
        break;
    case 23:
        buffer_printf(line, "SELECT %u", below(pair, 2));
        break;
    case 24:
        buffer_append_text(line, below(pair, 6) ? "DBSIZE" : "FLUSHDB");
        break;
    case 25:
        buffer_printf(line, "RPUSH l%u " LONG_ELEMENTS, k);
        break;
    case 26:
        buffer_printf(line, "LPUSH l%u %0100u", k, n);
        break;
    case 27:
        buffer_printf(line, "%cPOP l%u", below(pair, 2) ? 'L' : 'R', k);
        break;
    case 28:
        buffer_printf(line, "%s l%u c", below(pair, 2) ? "LPUSHX" : "RPUSHX", k);
        break;
    case 29:
        buffer_printf(line, "LINSERT l%u BEFORE b %u", k, n);
        break;
    case 30:
        buffer_printf(line, below(pair, 2) ? "XADD l%u * f v" : "PEXPIRE l%u 20", k);
        break;
    case 31:
        buffer_printf(line, "LPUSH s%u element", s);
        break;
    default: /* mostly to the same stream */
        buffer_printf(line, "XADD s%u * f value%u g %u", below(pair, 8) ? 0 : s, n, below(pair, 9));
    }
}

static void send_pipeline(struct pair *pair, bool is_cold)
{
    struct session_fixture *f = &pair->together;
    if (is_cold)
        vfs_fault_set_cold(f->ms.vfs, ".cwt");
    session_feed(f->a, buffer_slice(&pair->pipeline));
    vfs_fault_set_cold(f->ms.vfs, NULL);
    fixture_settle(f->a);
}

static void send_apart(struct pair *pair)
{
    struct session_fixture *f = &pair->apart;
    struct slice rest = buffer_slice(&pair->pipeline);
    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        size_t size = (size_t)(end - rest.data) + 1;
        session_feed(f->a, slice_make(rest.data, size));
        fixture_settle(f->a);
        rest = slice_skip(rest, size);
    }
}

/* A database whose keys came and went between two flushes may have counts of 0 or none. */
static void forget_empty_counts(struct buffer *dump)
{
    static const char key[] = "0000000004", none[] = " = 0000";
    for (char *line = (char *)dump->data; *line;) {
        char *end = strchr(line, '\n') + 1;
        bool is_none = strncmp(line, key, sizeof key - 1) == 0 &&
                       strncmp(strchr(line, ' '), none, sizeof none - 1) == 0;
        if (is_none)
            memmove(line, end, strlen(end) + 1);
        else
            line = end;
    }
}

static void expect_same_store(struct pair *pair)
{
    for (int tree = TREE_KEYS; tree <= TREE_ENTRIES; tree++) {
        struct buffer together = {0}, apart = {0};
        memory_store_dump(&pair->together.ms, (enum store_tree)tree, &together);
        memory_store_dump(&pair->apart.ms, (enum store_tree)tree, &apart);
        buffer_append_byte(&together, 0);
        buffer_append_byte(&apart, 0);
        forget_empty_counts(&together);
        forget_empty_counts(&apart);
        assert_string_equal((const char *)together.data, (const char *)apart.data);
        buffer_release(&together);
        buffer_release(&apart);
    }
}

/* As after kill -9 when all was written. */
static void crash(struct session_fixture *f)
{
    assert_int_equal(lsm_wal_write(store_engine(f->ms.store)), STATUS_OK);
    service_set_store(f->service, NULL);
    memory_store_crash(&f->ms, VFS_KEEP_ALL, 0);
    service_set_store(f->service, f->ms.store);
}

static void run_pipeline(struct pair *pair)
{
    buffer_clear(&pair->pipeline);
    for (unsigned i = 1 + below(pair, 24); i > 0; i--) {
        choose_command(pair, &pair->pipeline);
        buffer_append_text(&pair->pipeline, "\r\n");
    }
    send_pipeline(pair, below(pair, 3) == 0);
    send_apart(pair);
    buffer_clear(&pair->replies);
    buffer_append_text(&pair->replies, fixture_take(&pair->apart, pair->apart.a));
    buffer_append_byte(&pair->replies, 0);
    assert_string_equal(fixture_take(&pair->together, pair->together.a),
                        (const char *)pair->replies.data);
}

static void tick(struct pair *pair)
{
    pair->last_ms = pair->together.ms.now_ms;
    pair->together.ms.now_ms += below(pair, 10);
    pair->apart.ms.now_ms = pair->together.ms.now_ms;
}

static void random_pipelines_leave_what_their_commands_leave(void **state)
{
    static struct pair pair;
    lsn_t logged_together = 0, logged_apart = 0;
    (void)state;
    pair = (struct pair){.last_ms = 1000000};
    random_init(&pair.random, test_seed());
    fixture_open(&pair.together, &(struct store_options){.wal_segment_bytes = 2 << 20});
    fixture_open(&pair.apart, &(struct store_options){.wal_segment_bytes = 2 << 20});
    for (int i = 0; i < 1500; i++) {
        lsn_t together = visible(&pair.together), apart = visible(&pair.apart);
        run_pipeline(&pair);
        logged_together += visible(&pair.together) - together;
        logged_apart += visible(&pair.apart) - apart;
        tick(&pair);
        if (i % 10 == 0)
            expect_same_store(&pair);
        if (i % 50 == 0) {
            memory_store_work(&pair.together.ms, true);
            memory_store_work(&pair.apart.ms, true);
        }
        if (i % 100 == 0) {
            crash(&pair.together);
            crash(&pair.apart);
            expect_same_store(&pair);
        }
    }
    assert_true(logged_together * 10 < logged_apart * 9);
    fixture_close(&pair.together);
    fixture_close(&pair.apart);
    buffer_release(&pair.pipeline);
    buffer_release(&pair.replies);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_of_a_pipeline_are_one_frame_with_one_header),
        TEST(a_read_between_writes_sees_those_before_it),
        TEST(other_writes_see_the_header_that_appends_have_left),
        TEST(the_header_of_a_long_key_is_written_each_time),
        TEST(a_stream_that_expires_while_it_is_held_begins_anew),
        TEST(pushes_and_pops_of_a_list_write_its_header_once),
        TEST(a_held_list_that_is_popped_empty_is_gone),
        TEST(what_is_held_is_of_its_own_type),
        TEST(who_waits_in_line_is_served_between_two_commands),
        TEST(a_reader_that_waits_is_woken_by_the_pipeline),
        TEST(a_watched_key_of_the_same_pipeline_breaks_the_transaction),
        TEST(events_of_a_pipeline_come_in_its_order),
        TEST(a_flush_in_a_pipeline_ends_what_was_before),
        cmocka_unit_test(random_pipelines_leave_what_their_commands_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
