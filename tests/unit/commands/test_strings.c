/* SPDX-License-Identifier: MIT */
/* The string and bitmap families where a transcript against redis-server cannot look: cold data, what a worker
 * does, limits, facts, times. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

#include <pthread.h>

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

static void bits_of_cold_strings_are_read_and_changed(void **state)
{
    static const struct exchange exchanges[] = {
        {"SETBIT large 800000 1", ":0"},
        {"SETBIT large 3 1", ":0"},
        {"GETBIT large 800000", ":1"},
        {"BITCOUNT large", ":2"},
        {"BITPOS large 1 10", ":800000"},
        {"SETBIT small 5 1", ":0"},
        {"BITOP XOR mixed large small missing", ":100001"},
        {"BITCOUNT mixed", ":3"},
        {"BITFIELD mixed GET u8 0 INCRBY u8 800000 3 SET i8 524288 -1", "[:20, :131, :0]"},
        {"BITFIELD_RO mixed GET u16 799992", "[:131]"},
        {"BITOP NOT mixed mixed", ":100001"},
        {"LCS small missing", "\"\""},
        {"BITPOS mixed 0", ":3"},
        {"BITCOUNT mixed", ":799995"},
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
        {"SETBIT n 100 1", "$ setbit n"},
        {"SETBIT n 100 1", ""},
        {"BITFIELD n SET u8 0 1 INCRBY u8 8 1", "$ setbit n"},
        {"BITFIELD n GET u8 0", ""},
        {"BITOP NOT inverse n", "$ set inverse"},
        {"BITOP AND inverse none", "g del inverse"},
        {"BITOP AND inverse none", ""},
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

static void a_common_subsequence_of_long_strings_is_found_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "SETRANGE a 1500 middle", ":1506");
    assert_reply(f, f->a, "SETRANGE b 1200 medal", ":1205");
    assert_reply(f, f->a, "SETRANGE large 70000 middle", ":70006");
    assert_reply(f, f->a, "SETRANGE other 70000 dell", ":70004");
    fixture_feed(f->a, "LCS a b LEN\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), ":1203\r\n"); /* m, d, l */
    assert_reply(f, f->a, "SET s dle", "+OK");
    assert_reply(f, f->a, "LCS large s", "\"dle\"");
    assert_reply(f, f->a, "LCS s large", "\"dle\"");
    fixture_set(f, "proto-max-bulk-len", "1mb");
    assert_reply(f, f->a, "LCS large s",
                 "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    fixture_set(f, "proto-max-bulk-len", "512mb");
    memory_fail_try(1, true);
    const char *reply = fixture_ask(f, f->a, "LCS large s IDX");
    memory_fail_try(0, false);
    assert_string_equal(reply, "-ERR out of memory");
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

static void what_looks_at_more_than_a_mib_is_done_by_a_worker(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *line;
        enum session_state state;
    } requests[] = {
        {"BITCOUNT k\r\n", SESSION_PARKED},         {"BITCOUNT k 0 1000000\r\n", SESSION_READY},
        {"BITPOS k 1\r\n", SESSION_PARKED},         {"BITPOS k 1 2000000\r\n", SESSION_READY},
        {"BITOP OR d k k\r\n", SESSION_PARKED},     {"BITOP OR d small\r\n", SESSION_READY},
        {"BITOP OR d small k\r\n", SESSION_PARKED},
    };
    assert_reply(f, f->a, "SETRANGE k 2000000 x", ":2000001");
    assert_reply(f, f->a, "SET small x", "+OK");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        fixture_feed(f->a, requests[i].line);
        if (session_state(f->a) != requests[i].state)
            fail_msg("%s", requests[i].line);
        fixture_settle(f->a);
        fixture_take(f, f->a);
    }
    assert_reply(f, f->a, "BITCOUNT d", ":8"); /* of the two x */
}

/* ---- Reading before the lock is taken ---------------------------------------------------------- */

enum {
    LARGE_PIECES = 120, /* more than are fetched one by one before a write waits under its lock */
    READS_TO_OPEN = 4,  /* at most, of a table */
};

/* A value of many pieces, in tables; few of them are in the cache, and its header, which would be looked for under
 * the lock. Its first byte is `first`. */
static void put_large(struct session_fixture *f, char first)
{
    struct buffer value = {0}, request = {0};
    size_t size = LARGE_PIECES * 32768;
    buffer_reserve(&value, size);
    for (size_t i = 0; i < size; i++)
        value.data[i] = (uint8_t)(i * 2654435761u >> 13); /* nothing to compress */
    memset(value.data, 'a', 4);
    value.data[0] = (uint8_t)first;
    buffer_printf(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);
    buffer_append(&request, value.data, size);
    buffer_append_text(&request, "\r\n");
    session_feed(f->a, buffer_slice(&request));
    fixture_settle(f->a);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n");
    buffer_release(&value);
    buffer_release(&request);
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "STRLEN k", ":3932160");
}

/* The reads of one command, and what another client says meanwhile, from another thread. */
struct reads {
    struct session_fixture *f;
    const char *line; /* of client b; NULL: nothing */
    unsigned times;   /* so often at most */
    unsigned count, under_lock;
    bool is_busy;
};

static void *say_line(void *context)
{
    struct reads *reads = context;
    fixture_feed(reads->f->b, reads->line);
    fixture_feed(reads->f->b, "\r\n");
    fixture_settle(reads->f->b);
    session_output_consume(reads->f->b, session_output(reads->f->b).size);
    return NULL;
}

static void note_read(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct reads *reads = context;
    struct lsm *engine = store_engine(reads->f->ms.store);
    pthread_t thread;
    (void)call;
    (void)path;
    (void)site;
    if (reads->is_busy)
        return;
    reads->count++;
    bool is_locked = !lsm_try_lock(engine, 0);
    reads->under_lock += is_locked;
    if (!is_locked)
        lsm_unlock(engine);
    if (is_locked || !reads->line || reads->times == 0 || reads->count <= READS_TO_OPEN)
        return;
    reads->is_busy = true;
    reads->times--;
    assert_int_equal(pthread_create(&thread, NULL, say_line, reads), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    reads->is_busy = false;
}

/* What is replied when all pieces are cold. */
static const char *ask_cold(struct session_fixture *f, const char *line, struct reads *reads)
{
    reads->f = f;
    vfs_fault_watch(f->ms.vfs, 1u << VFS_CALL_READ, note_read, reads);
    fixture_feed(f->a, line);
    fixture_feed(f->a, "\r\n");
    fixture_settle(f->a);
    vfs_fault_watch(f->ms.vfs, 0, NULL, NULL);
    return fixture_take(f, f->a);
}

static void large_old_values_are_not_read_under_the_lock(void **state)
{
    struct session_fixture *f = *state;
    static const char *const lines[] = {"SET k v GET", "GETSET k v", "GETEX k EX 100", "GETDEL k",
                                        "BITOP NOT k k"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct reads reads = {0};
        put_large(f, 'A');
        const char *reply = ask_cold(f, lines[i], &reads);
        if (i < 4)
            assert_int_equal(strncmp(reply, "$3932160\r\nAaaa", 14), 0);
        else
            assert_string_equal(reply, ":3932160\r\n");
        if (reads.count < 4 || reads.under_lock > 0) /* a long part is read a MiB at a time */
            fail_msg("%s: %u reads, %u under the lock", lines[i], reads.count, reads.under_lock);
    }
    assert_reply(f, f->a, "GETRANGE k 0 3", "\"\\xbe\\x9e\\x9e\\x9e\"");
    assert_reply(f, f->a, "DEL k", ":1");
}

static void an_old_value_that_changes_meanwhile_is_read_again(void **state)
{
    struct session_fixture *f = *state;
    struct reads reads = {.line = "SETRANGE k 3930000 x", .times = 1};
    put_large(f, 'A');
    const char *reply = ask_cold(f, "GETSET k new", &reads);
    assert_int_equal(strncmp(reply, "$3932160\r\nAaaa", 14), 0);
    assert_int_equal(reply[10 + 3930000], 'x');
    assert_int_equal(reads.under_lock, 0);
    assert_reply(f, f->a, "GET k", "\"new\"");
}

/* In the end the lock is kept. */
static void an_old_value_that_never_rests_is_read_under_the_lock(void **state)
{
    struct session_fixture *f = *state;
    struct reads reads = {.line = "APPEND k x", .times = 1000};
    put_large(f, 'A');
    const char *reply = ask_cold(f, "GETDEL k", &reads);
    assert_int_equal(strncmp(reply, "$39321", 6), 0);
    assert_int_equal(strncmp(reply + 8, "\r\nAaaa", 6), 0);
    assert_true(reads.under_lock > 0);
    assert_reply(f, f->a, "EXISTS k", ":0");
}

static void an_old_value_that_goes_away_meanwhile_is_none(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *line, *reply;
    } cases[] = {
        {"DEL k", "$-1\r\n"},
        {"RENAME l k", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"SWAPDB 0 1", "$3932160\r\nBaaa"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reads reads = {.line = cases[i].line, .times = 1};
        assert_reply(f, f->a, "SELECT 1", "+OK");
        put_large(f, 'B');
        assert_reply(f, f->a, "SELECT 0", "+OK");
        assert_reply(f, f->a, "RPUSH l x", ":1");
        put_large(f, 'A');
        const char *reply = ask_cold(f, "GETDEL k", &reads);
        assert_int_equal(strncmp(reply, cases[i].reply, strlen(cases[i].reply)), 0);
        assert_reply(f, f->a, "DEL l k", i == 0 ? ":1" : i == 1 ? ":1" : ":0");
    }
}

static void what_bits_are_combined_of_is_read_again_when_it_changes(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *line;
        unsigned times;
        const char *reply, *begin;
    } cases[] = {
        {"SET s \"\\x03\"", 1, ":3932160\r\n", "\"Ba\""},
        {"DEL s", 1, ":3932160\r\n", "\"Aa\""},
        {"SET t \"\\x02\"", 1, ":3932160\r\n", "\"Ba\""}, /* it was missing */
        {"SET k x", 1, ":1\r\n", "\"y\""},
        {"LPUSH t x", 1, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
         "\"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reads reads = {.line = cases[i].line, .times = cases[i].times};
        (void)fixture_ask(f, f->a, "DEL d t");
        assert_reply(f, f->a, "SET s \"\\x01\"", "+OK");
        put_large(f, 'A');
        const char *reply = ask_cold(f, "BITOP XOR d k s t", &reads);
        assert_string_equal(reply, cases[i].reply);
        assert_int_equal(reads.under_lock, 0);
        assert_reply(f, f->a, "GETRANGE d 0 1", cases[i].begin);
    }
}

static void what_bits_are_combined_of_and_never_rests_is_read_under_the_lock(void **state)
{
    struct session_fixture *f = *state;
    struct reads reads = {.line = "INCR s", .times = 1000};
    put_large(f, 'A');
    assert_int_equal(strncmp(ask_cold(f, "BITOP OR d k s", &reads), ":3932160\r\n", 10), 0);
    assert_true(reads.under_lock > 0);
    assert_reply(f, f->a, "STRLEN d", ":3932160");
}

/* What is within a transaction holds the lock already. */
static void a_large_old_value_is_replied_within_a_transaction(void **state)
{
    struct session_fixture *f = *state;
    struct reads reads = {0};
    put_large(f, 'A');
    fixture_feed(f->a, "MULTI\r\nGETDEL k\r\n");
    session_output_consume(f->a, session_output(f->a).size);
    const char *reply = ask_cold(f, "EXEC", &reads);
    assert_int_equal(strncmp(reply, "*1\r\n$3932160\r\nAaaa", 18), 0);
    assert_reply(f, f->a, "EXISTS k", ":0");
}

/* Of a request of many words. */
static const char *ask_many(struct session_fixture *f, const char *begin, const char *more)
{
    struct buffer line = {0};
    buffer_append_text(&line, begin);
    for (int i = 0; i < 3000; i++)
        buffer_append_text(&line, more);
    buffer_append_byte(&line, 0);
    const char *reply = fixture_ask(f, f->a, (const char *)line.data);
    buffer_release(&line);
    return reply;
}

/* With each allocation that may fail failing in turn: an error or the end of the session, and nothing was done. */
static void many_words_need_memory_before_anything_is_done(void **state)
{
    struct session_fixture *f = *state;
    static const struct {
        const char *begin, *more, *reply;
    } requests[] = {
        {"BITOP OR d", " k", ":1"},
        {"BITFIELD d", " INCRBY u8 0 1", NULL},
        {"MSET d w", " d v", "+OK"},
    };
    assert_reply(f, f->a, "SET k v", "+OK");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        unsigned refused = 0;
        for (uint64_t n = 1;; n++) {
            memory_fail_try(n, false);
            const char *reply = ask_many(f, requests[i].begin, requests[i].more);
            memory_fail_try(0, false);
            bool is_refused = strcmp(reply, "-ERR out of memory") == 0;
            refused += is_refused;
            if (!is_refused && reply[0] != 0) {
                assert_true(!requests[i].reply || strcmp(reply, requests[i].reply) == 0);
                break;
            }
            if (session_state(f->a) == SESSION_CLOSING) {
                session_destroy(f->a);
                f->a = fixture_session(f, true, false, NULL);
            }
            assert_reply(f, f->a, "EXISTS d", ":0");
        }
        assert_true(refused > 0);
        assert_reply(f, f->a, "DEL d", ":1");
    }
}

/* A store that keeps little of such a value in its cache. */
static int cold_setup(void **state)
{
    static struct session_fixture fixture;
    fixture_open(&fixture, &(struct store_options){.memtable_bytes = 4 << 20,
                                                   .block_cache_bytes = 1 << 20,
                                                   .wal_segment_bytes = 1 << 20});
    *state = &fixture;
    return 0;
}

#define STRING_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define COLD_TEST(name)   cmocka_unit_test_setup_teardown(name, cold_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STRING_TEST(parts_of_cold_strings_are_read_and_written),
        STRING_TEST(whole_cold_strings_are_read_and_replaced),
        STRING_TEST(cold_numbers_are_counted_on),
        COLD_TEST(large_old_values_are_not_read_under_the_lock),
        COLD_TEST(an_old_value_that_changes_meanwhile_is_read_again),
        COLD_TEST(an_old_value_that_never_rests_is_read_under_the_lock),
        COLD_TEST(an_old_value_that_goes_away_meanwhile_is_none),
        COLD_TEST(what_bits_are_combined_of_is_read_again_when_it_changes),
        COLD_TEST(what_bits_are_combined_of_and_never_rests_is_read_under_the_lock),
        COLD_TEST(a_large_old_value_is_replied_within_a_transaction),
        STRING_TEST(bits_of_cold_strings_are_read_and_changed),
        STRING_TEST(what_looks_at_more_than_a_mib_is_done_by_a_worker),
        STRING_TEST(many_words_need_memory_before_anything_is_done),
        STRING_TEST(every_change_is_told_as_redis_names_it),
        STRING_TEST(many_values_are_replied_within_the_limit_and_by_a_worker),
        STRING_TEST(a_part_above_256_kib_is_replied_by_a_worker),
        STRING_TEST(a_part_beyond_the_limit_of_a_reply_is_an_error),
        STRING_TEST(a_common_subsequence_of_long_strings_is_found_by_a_worker),
        STRING_TEST(a_reply_without_memory_is_an_error),
        STRING_TEST(a_string_grows_up_to_the_largest_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
