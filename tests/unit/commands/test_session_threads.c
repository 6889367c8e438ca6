/* SPDX-License-Identifier: MIT */
/* Sessions of one service on several threads at once: for ThreadSanitizer, and for sums that must
 * come out. */
#include "unit/commands/session_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 300, PIPELINE = 20 };

struct loop {
    struct session_fixture *f;
    pthread_t thread;
    int number;
    uint64_t pushed;
    atomic_bool woken;
};

static void wake_loop(void *context, void *owner)
{
    (void)context;
    atomic_store(&((struct loop *)owner)->woken, true);
}

static struct session *new_session(struct loop *loop)
{
    return session_create(loop->f->service,
                          &(struct session_options){.is_local = true, .owner = loop});
}

/* Everything that is written is answered, in order: an integer each. */
static void *push_elements(void *context)
{
    struct loop *loop = context;
    struct session *session = new_session(loop);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < PIPELINE; i++) {
            fixture_feed(session, i % 5 ? "RPUSH shared x\r\n" : "CLIENT LIST\r\n");
            loop->pushed += i % 5 != 0;
        }
        if (round % 50 == 0)
            fixture_feed(session,
                         "INFO all\r\nCLIENT SETNAME me\r\nLRANGE shared 0 5\r\nnosuch\r\n");
        fixture_settle(session);
        session_output_consume(session, session_output(session).size);
    }
    while (session_state(session) == SESSION_PARKED)
        fixture_settle(session);
    session_destroy(session);
    return NULL;
}

static void threads_share_the_store_and_lose_no_write(void **state)
{
    struct session_fixture *f = *state;
    struct loop loops[THREADS];
    uint64_t pushed = 0;
    char expected[64];
    for (int i = 0; i < THREADS; i++) {
        loops[i] = (struct loop){.f = f, .number = i};
        assert_int_equal(pthread_create(&loops[i].thread, NULL, push_elements, &loops[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(loops[i].thread, NULL), 0);
        pushed += loops[i].pushed;
    }
    snprintf(expected, sizeof expected, ":%llu", (unsigned long long)pushed);
    assert_reply(f, f->a, "LLEN shared", expected);
}

/* Reads its stream with XREAD BLOCK 0 until it has seen all entries; sleeps only until it is woken,
 * so a lost wake-up would hang. */
static void *read_blocked(void *context)
{
    struct loop *loop = context;
    struct session *session = new_session(loop);
    char request[64];
    for (int entry = 0; entry < ROUNDS; entry++) {
        snprintf(request, sizeof request, "XREAD COUNT 1 BLOCK 0 STREAMS s 0-%d\r\n", entry);
        fixture_feed(session, request);
        fixture_settle(session);
        while (session_state(session) == SESSION_BLOCKED) {
            while (!atomic_exchange(&loop->woken, false))
                sched_yield();
            session_resume(session);
            fixture_settle(session);
        }
        session_output_consume(session, session_output(session).size);
    }
    session_destroy(session);
    return NULL;
}

static void *write_entries(void *context)
{
    struct loop *loop = context;
    struct session *session = new_session(loop);
    char request[64];
    for (int entry = 1; entry <= ROUNDS; entry++) {
        snprintf(request, sizeof request, "XADD s 0-%d f v\r\n", entry);
        fixture_feed(session, request);
        fixture_settle(session);
        session_output_consume(session, session_output(session).size);
    }
    session_destroy(session);
    return NULL;
}

static void no_wake_up_is_lost_between_threads(void **state)
{
    struct session_fixture *f = *state;
    struct loop loops[THREADS];
    for (int i = 0; i < THREADS; i++) {
        loops[i] = (struct loop){.f = f, .number = i};
        assert_int_equal(pthread_create(&loops[i].thread, NULL,
                                        i == 0 ? write_entries : read_blocked, &loops[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(loops[i].thread, NULL), 0);
    assert_reply(f, f->a, "XLEN s", ":300");
}

/* Adds entries in pipelines, so that some are not published yet, and trims behind. */
static void *write_and_trim(void *context)
{
    struct loop *loop = context;
    struct session *session = new_session(loop);
    struct buffer requests = {0};
    for (int entry = 1; entry <= ROUNDS * PIPELINE; entry++) {
        buffer_printf(&requests, "XADD s %d-0 field value-%d\r\n", entry, entry);
        if (entry % 500 == 0)
            buffer_printf(&requests, "XTRIM s MINID %d\r\n", entry - 400);
        if (entry % PIPELINE > 0)
            continue;
        session_feed(session, buffer_slice(&requests));
        fixture_settle(session);
        session_output_consume(session, session_output(session).size);
        buffer_clear(&requests);
    }
    buffer_release(&requests);
    session_destroy(session);
    return NULL;
}

/* How many entries with IDs one behind the other the output is, each with its value; *last is the ID of the last. */
static size_t check_entries(struct session *session, unsigned long *last)
{
    struct resp_reply reply = {0};
    size_t consumed = 0, count;
    char value[32];
    assert_int_equal(resp_reply_read(session_output(session), &reply, &consumed), REPLY_COMPLETE);
    count = reply.count;
    for (size_t i = 0; i < count; i++) {
        struct resp_reply *id = &reply.children[i].children[0];
        struct resp_reply *fields = &reply.children[i].children[1];
        buffer_append_byte(&id->text, 0);
        unsigned long number = strtoul((const char *)id->text.data, NULL, 10);
        if (i > 0)
            assert_int_equal(number, *last + 1);
        *last = number;
        snprintf(value, sizeof value, "value-%lu", number);
        assert_int_equal(fields->count, 2);
        assert_true(slice_equal(buffer_slice(&fields->children[1].text), slice_from(value)));
    }
    session_output_consume(session, consumed);
    resp_reply_release(&reply);
    return count;
}

/* Reads the same hundreds of entries again and again, until it has seen the newest. */
static void *read_pages(void *context)
{
    struct loop *loop = context;
    struct session *session = new_session(loop);
    unsigned long last = 0, newest = 0, first = 0;
    char request[64];
    for (unsigned turn = 0; newest < ROUNDS * PIPELINE; turn++) {
        snprintf(request, sizeof request, "XRANGE s %lu + COUNT %d\r\n", first,
                 turn % 8 ? 300 : 70);
        fixture_feed(session, request);
        fixture_settle(session);
        if (check_entries(session, &last) > 0 && last > newest)
            newest = last;
        first = turn % 4 ? first : newest > 200 ? newest - 200 : 0;
    }
    session_destroy(session);
    return NULL;
}

static void threads_share_the_pages_of_a_stream(void **state)
{
    struct session_fixture *f = *state;
    struct loop loops[THREADS];
    for (int i = 0; i < THREADS; i++) {
        loops[i] = (struct loop){.f = f, .number = i};
        assert_int_equal(
            pthread_create(&loops[i].thread, NULL, i == 0 ? write_and_trim : read_pages, &loops[i]),
            0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(loops[i].thread, NULL), 0);
    struct lsm_stats stats;
    lsm_get_stats(store_engine(f->ms.store), &stats);
    assert_true(stats.cache_hits > 0);
}

/* Output of a session at work may be sent meanwhile. */
static void *work(void *context)
{
    session_work(context);
    return NULL;
}

static void a_loop_sends_while_a_worker_works(void **state)
{
    struct session_fixture *f = *state;
    pthread_t thread;
    fixture_feed(f->a, "ECHO before\r\nDEBUG INVARIANTS\r\nECHO after\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    assert_int_equal(pthread_create(&thread, NULL, work, f->a), 0);
    fixture_feed(f->a, "ECHO more\r\n");
    assert_string_equal(fixture_take(f, f->a), "$6\r\nbefore\r\n");
    session_resume(f->a);
    assert_int_equal(pthread_join(thread, NULL), 0);
    session_resume(f->a);
    assert_int_equal(session_state(f->a), SESSION_READY);
    assert_string_equal(fixture_take(f, f->a), "+OK\r\n$5\r\nafter\r\n$4\r\nmore\r\n");
}

static int setup(void **state)
{
    fixture_setup(state);
    struct session_fixture *f = *state;
    session_destroy(f->a);
    session_destroy(f->b);
    service_destroy(f->service);
    f->service = service_create(&f->ms.env, f->ms.store, f->config,
                                &(struct service_host){.wake = wake_loop});
    f->a = fixture_session(f, true, false, NULL);
    f->b = fixture_session(f, true, false, NULL);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(threads_share_the_store_and_lose_no_write),
        TEST(no_wake_up_is_lost_between_threads),
        TEST(threads_share_the_pages_of_a_stream),
        TEST(a_loop_sends_while_a_worker_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
