/* SPDX-License-Identifier: MIT */
/* Pages change how fast a stream is read, never what is read. XREVRANGE uses none: what it says, turned round, is what
 * XRANGE and XREAD must say. */
#include "commands/stream_pages.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "unit/commands/session_fixture.h"

#include <inttypes.h>

enum { N = STREAM_PAGE_ENTRIES, STEPS = 3000, KEYS = 2 };

static uint64_t cache_hits(struct session_fixture *f)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(f->ms.store), &stats);
    return stats.cache_hits;
}

/* Entries with IDs `first`-0 on. */
static void add(struct session_fixture *f, const char *key, unsigned first, unsigned count)
{
    char line[128];
    for (unsigned i = first; i < first + count; i++) {
        snprintf(line, sizeof line, "XADD %s %u-0 field value-%u-%x\r\n", key, i, i,
                 i * 2654435761u);
        fixture_feed(f->a, line);
    }
    session_output_consume(f->a, session_output(f->a).size);
}

static void ask(struct session_fixture *f, const char *line, struct resp_reply *reply)
{
    size_t consumed = 0;
    fixture_feed(f->a, line);
    fixture_feed(f->a, "\r\n");
    fixture_settle(f->a);
    *reply = (struct resp_reply){0};
    assert_int_equal(resp_reply_read(session_output(f->a), reply, &consumed), REPLY_COMPLETE);
    assert_int_equal(consumed, session_output(f->a).size);
    session_output_consume(f->a, consumed);
}

/* "a b" of a stream, at most `count` entries (0: all), forward and as the other direction has them. */
static void expect_range(struct session_fixture *f, const char *key, const char *first,
                         const char *last, unsigned count)
{
    char line[128];
    struct resp_reply forward, backward;
    struct buffer given = {0}, expected = {0};
    snprintf(line, sizeof line, "XREVRANGE %s %s %s", key, last, first);
    ask(f, line, &backward);
    int size = snprintf(line, sizeof line, "XRANGE %s %s %s", key, first, last);
    if (count > 0)
        snprintf(line + size, sizeof line - (size_t)size, " COUNT %u", count);
    ask(f, line, &forward);
    assert_int_equal(forward.count, count > 0 && count < backward.count ? count : backward.count);
    for (size_t i = 0; i < forward.count; i++) {
        buffer_clear(&given);
        buffer_clear(&expected);
        resp_reply_show(&forward.children[i], &given);
        resp_reply_show(&backward.children[backward.count - 1 - i], &expected);
        assert_int_equal(given.size, expected.size);
        assert_memory_equal(given.data, expected.data, given.size);
    }
    buffer_release(&given);
    buffer_release(&expected);
    resp_reply_release(&forward);
    resp_reply_release(&backward);
}

/* Everything is in the memtable: what is found in the cache are pages. */
static uint64_t pages_used(struct session_fixture *f, const char *first, const char *last,
                           unsigned count)
{
    uint64_t before = cache_hits(f);
    expect_range(f, "s", first, last, count);
    return cache_hits(f) - before;
}

static void a_page_is_kept_when_it_is_passed_again(void **state)
{
    struct session_fixture *f = *state;
    add(f, "s", 1, 3 * N + 10);
    assert_int_equal(pages_used(f, "-", "+", 0), 0);
    assert_int_equal(pages_used(f, "-", "+", 0), 0);
    assert_int_equal(pages_used(f, "-", "+", 0), 3); /* the rest is no page yet */
    add(f, "s", 3 * N + 11, N);
    assert_int_equal(pages_used(f, "-", "+", 0), 3);
    assert_int_equal(pages_used(f, "-", "+", 0), 3);
    assert_int_equal(pages_used(f, "-", "+", 0), 4);
}

/* From and to everywhere in and between pages. */
static void ranges_begin_and_end_anywhere(void **state)
{
    static const unsigned places[] = {0,         1,     2,         N / 2,     N - 1,      N,
                                      N + 1,     N + 2, 2 * N - 1, 2 * N,     2 * N + 1,  2 * N + 2,
                                      3 * N - 1, 3 * N, 3 * N + 1, 3 * N + 9, 3 * N + 10, 4 * N};
    enum { PLACES = sizeof places / sizeof *places };
    struct session_fixture *f = *state;
    char first[16], last[16];
    add(f, "s", 1, 3 * N + 10);
    for (int i = 0; i < 2; i++)
        pages_used(f, "-", "+", 0);
    uint64_t before = cache_hits(f);
    for (size_t i = 0; i < PLACES; i++) {
        for (size_t j = 0; j < PLACES; j++) {
            snprintf(first, sizeof first, "%u", places[i]);
            snprintf(last, sizeof last, "%u", places[j]);
            expect_range(f, "s", first, last, 0);
            expect_range(f, "s", first, "+", places[j] + 1);
            snprintf(first, sizeof first, "(%u-0", places[i]);
            expect_range(f, "s", first, last, 2 * N);
        }
    }
    assert_true(cache_hits(f) - before > 500);
}

static void a_single_deletion_turns_pages_off(void **state)
{
    struct session_fixture *f = *state;
    char line[64];
    add(f, "s", 1, 4 * N);
    for (int i = 0; i < 2; i++)
        pages_used(f, "-", "+", 0);
    snprintf(line, sizeof line, "XDEL s %d-0", N + 7);
    assert_reply(f, f->a, line, ":1");
    assert_int_equal(pages_used(f, "-", "+", 0), 0);
    /* Trimmed away, it leaves a stream whose other pages are as they were. */
    snprintf(line, sizeof line, "XTRIM s MINID %d", N + 20);
    fixture_ask(f, f->a, line);
    assert_int_equal(pages_used(f, "-", "+", 0), 3);
    snprintf(line, sizeof line, "XDEL s %d-0", N + 20); /* the first one */
    assert_reply(f, f->a, line, ":1");
    assert_int_equal(pages_used(f, "-", "+", 0), 3);
}

static void another_stream_of_the_name_has_its_own(void **state)
{
    struct session_fixture *f = *state;
    static const char *const ends[] = {
        "DEL s", "FLUSHALL", "RENAME other s", "COPY other s REPLACE", "SET s text", NULL};
    for (size_t i = 0; ends[i]; i++) {
        fixture_ask(f, f->a, "FLUSHALL");
        add(f, "s", 1, 2 * N);
        add(f, "other", 500, 2 * N + 3);
        for (int j = 0; j < 3; j++)
            expect_range(f, "other", "-", "+", 0);
        pages_used(f, "-", "+", 0);
        pages_used(f, "-", "+", 0);
        assert_int_equal(pages_used(f, "-", "+", 0), 2);
        fixture_ask(f, f->a, ends[i]);
        if (strncmp(ends[i], "SET", 3) == 0)
            fixture_ask(f, f->a, "DEL s");
        for (int j = 0; j < 3; j++)
            expect_range(f, "s", "-", "+", 0);
        add(f, "s", 1000, 2 * N);
        for (int j = 0; j < 3; j++)
            expect_range(f, "s", "-", "+", 0);
    }
}

static void what_a_transaction_adds_is_seen_in_it(void **state)
{
    struct session_fixture *f = *state;
    add(f, "s", 1, 2 * N - 1);
    for (int i = 0; i < 3; i++)
        pages_used(f, "-", "+", 0);
    fixture_ask(f, f->a, "MULTI");
    fixture_ask(f, f->a, "XADD s 1000-0 f v");
    for (int i = 0; i < 3; i++)
        fixture_ask(f, f->a, "XRANGE s 0 + COUNT 1000");
    const char *shown = fixture_ask(f, f->a, "EXEC");
    unsigned found = 0;
    for (const char *at = shown; (at = strstr(at, "\"1000-0\"")); at++)
        found++;
    assert_int_equal(found, 1 + 3); /* the reply to XADD */
    for (int i = 0; i < 3; i++)
        expect_range(f, "s", "-", "+", 0);
}

static void large_entries_make_no_page(void **state)
{
    struct session_fixture *f = *state;
    struct buffer line = {0};
    for (unsigned i = 1; i <= N; i++) {
        buffer_clear(&line);
        buffer_printf(&line, "XADD s %u-0 field ", i);
        for (unsigned j = 0; j < STREAM_PAGE_TEXT_BYTES_MAX / N; j++)
            buffer_append_byte(&line, 'x');
        buffer_append_byte(&line, 0);
        fixture_ask(f, f->a, (const char *)line.data);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pages_used(f, "-", "+", 0), 0);
    buffer_release(&line);
}

/* ---- At random ---------------------------------------------------------------------------------- */

static void change(struct session_fixture *f, struct random *random, unsigned *next_id)
{
    char line[128];
    const char *key = random_below(random, KEYS) ? "s" : "t";
    unsigned any = 1 + (unsigned)random_below(random, *next_id);
    switch (random_below(random, 40)) {
    case 0:
        snprintf(line, sizeof line, "XDEL %s %u-0", key, any);
        break;
    case 1:
    case 2:
    case 3:
        snprintf(line, sizeof line, "XTRIM %s MINID %u", key, any);
        break;
    case 4:
        snprintf(line, sizeof line, "XTRIM %s MAXLEN ~ %u", key,
                 (unsigned)random_below(random, 900));
        break;
    case 5:
        snprintf(line, sizeof line, random_below(random, 3) ? "RENAME s t" : "COPY t s REPLACE");
        break;
    case 6:
        snprintf(line, sizeof line, random_below(random, 3) ? "PING" : "DEL %s", key);
        break;
    case 7:
        memory_store_work(&f->ms, random_below(random, 2));
        return;
    case 8:
        snprintf(line, sizeof line, "XSETID %s %u-0", key, *next_id + 1);
        *next_id += 2;
        break;
    default: {
        unsigned count = 1 + (unsigned)random_below(random, 3 * N);
        add(f, key, *next_id, count);
        *next_id += count;
        return;
    }
    }
    fixture_ask(f, f->a, line);
}

static void whatever_happens_ranges_are_the_same(void **state)
{
    struct session_fixture *f = *state;
    struct random random;
    unsigned next_id = 1;
    char first[16], last[16];
    random_init(&random, test_seed());
    for (int step = 0; step < STEPS; step++) {
        const char *key = random_below(&random, KEYS) ? "s" : "t";
        if (random_below(&random, 6) == 0)
            change(f, &random, &next_id);
        unsigned from = next_id > 2000 ? next_id - 2000 : 0;
        snprintf(first, sizeof first, "%u", from + (unsigned)random_below(&random, 2000));
        snprintf(last, sizeof last, "%u", from + (unsigned)random_below(&random, 2500));
        expect_range(f, key, first, random_below(&random, 3) ? "+" : last,
                     (unsigned)random_below(&random, 5 * N));
    }
    assert_true(cache_hits(f) > STEPS / 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_page_is_kept_when_it_is_passed_again), TEST(ranges_begin_and_end_anywhere),
        TEST(a_single_deletion_turns_pages_off),      TEST(another_stream_of_the_name_has_its_own),
        TEST(what_a_transaction_adds_is_seen_in_it),  TEST(large_entries_make_no_page),
        TEST(whatever_happens_ranges_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
