/* SPDX-License-Identifier: MIT */
/* Sessions of one service on several threads at once: for ThreadSanitizer, and for sums that must
 * come out. */
#include "unit/commands/session_fixture.h"

#include <pthread.h>
#include <sched.h>

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
        TEST(a_loop_sends_while_a_worker_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
