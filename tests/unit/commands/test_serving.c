/* SPDX-License-Identifier: MIT */
/* Waiting in line, where transcripts do not come: who is served without looking, what is left to who waits, and what
 * ends a wait. Which replies the commands give: transcripts/lists_blocking.txt. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"
#include "commands/serving.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

static struct session *line[3];

/* Three more sessions; each is its own owner, so that wakes tell who was woken. */
static int setup(void **state)
{
    int failed = fixture_setup(state);
    for (size_t i = 0; i < 3; i++) {
        line[i] = fixture_session(*state, true, false, &line[i]);
        line[i]->owner = line[i];
    }
    return failed;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < 3; i++)
        session_destroy(line[i]);
    return fixture_teardown(state);
}

static void wait_for(struct session *session, const char *request)
{
    fixture_feed(session, request);
    assert_int_equal(fixture_settle(session), SESSION_BLOCKED);
}

static bool was_woken(struct session_fixture *f, const struct session *session)
{
    bool found = false;
    for (size_t i = 0; i < f->wake_count; i++)
        found = found || f->woken[i] == session;
    f->wake_count = 0;
    return found;
}

static void expect_served(struct session_fixture *f, struct session *session, const char *reply)
{
    assert_true(was_woken(f, session));
    assert_int_equal(session_resume(session), SESSION_READY);
    assert_string_equal(fixture_take(f, session), reply);
}

static const char element_a[] = "*2\r\n$1\r\nk\r\n$1\r\na\r\n";
static const char element_b[] = "*2\r\n$1\r\nk\r\n$1\r\nb\r\n";

/* ---- Being served. --------------------------------------------------------------------------- */

static void an_element_is_gone_before_a_later_request_can_take_it(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "RPUSH k a\r\nLPOP k\r\nLLEN k\r\nBLPOP k 0.001", ":1 nil :0");
    assert_int_equal(session_state(f->a), SESSION_BLOCKED);
    expect_served(f, line[0], element_a);
}

static void who_came_first_is_served_first(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[2], "BLPOP k 0\r\n");
    wait_for(line[0], "BLPOP k 0\r\n");
    wait_for(line[1], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "RPUSH k a", ":1");
    expect_served(f, line[2], element_a);
    /* A wake without reason costs nobody his place. */
    assert_int_equal(session_resume(line[0]), SESSION_BLOCKED);
    wait_for(line[2], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "RPUSH k b", ":1");
    expect_served(f, line[0], element_b);
    assert_reply(f, f->a, "EXISTS k", ":0");
}

static void who_is_served_does_not_count_as_blocked(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "BLPOP k 0\r\n");
    assert_non_null(strstr(fixture_ask(f, f->a, "CLIENT LIST ID 3"), " flags=b db=0 "));
    assert_non_null(strstr(fixture_ask(f, f->a, "CLIENT LIST ID 3"), " cmd=blpop "));
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO clients"), "blocked_clients:1"));
    assert_reply(f, f->a, "RPUSH k a", ":1");
    assert_non_null(strstr(fixture_ask(f, f->a, "INFO clients"), "blocked_clients:0"));
    expect_served(f, line[0], element_a);
}

/* The reply waits for the batch that popped, which comes behind the one that pushed. */
static void a_served_reply_waits_at_the_gate(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    wait_for(line[0], "BLPOP k 0\r\n");
    fixture_feed(f->a, "RPUSH k a\r\n");
    assert_int_equal(session_resume(line[0]), SESSION_READY);
    lsn_t pushed = session_output_awaits(f->a), popped = session_output_awaits(line[0]);
    assert_true(popped > pushed);
    assert_int_equal(session_output_released(line[0], pushed), 0);
    assert_int_equal(session_output_released(line[0], lsm_visible_lsn(engine) + 1),
                     sizeof element_a - 1);
}

static void a_reply_that_is_not_wanted_is_dropped(void **state)
{
    struct session_fixture *f = *state;
    fixture_feed(line[0], "CLIENT REPLY OFF\r\n");
    wait_for(line[0], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "RPUSH k a", ":1");
    expect_served(f, line[0], "");
}

static void so_many_are_served_that_the_last_ones_look_for_themselves(void **state)
{
    enum { CLIENTS = 1030 };
    static struct session *clients[CLIENTS];
    struct session_fixture *f = *state;
    struct buffer request = {0};
    buffer_append_text(&request, "RPUSH k");
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fixture_session(f, true, false, &clients[i]);
        wait_for(clients[i], "BLPOP k 0\r\n");
        buffer_append_text(&request, " a");
    }
    buffer_append_byte(&request, 0);
    assert_reply(f, f->a, (const char *)request.data, ":1030");
    assert_reply(f, f->a, "LLEN k", ":6");
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(session_resume(clients[i]), SESSION_READY);
        assert_string_equal(fixture_take(f, clients[i]), element_a);
        session_destroy(clients[i]);
    }
    assert_reply(f, f->a, "LLEN k", ":0");
    buffer_release(&request);
}

/* ---- The end of a wait. ---------------------------------------------------------------------- */

static void what_nobody_waits_for_any_more_stays(void **state)
{
    struct session_fixture *f = *state;
    struct session *gone = fixture_session(f, true, false, NULL);
    wait_for(gone, "BLPOP k 0\r\n");
    session_destroy(gone);
    wait_for(line[0], "BLPOP k 0.01\r\n");
    f->ms.now_ms += 10;
    assert_int_equal(session_timeout(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), "*-1\r\n");
    assert_reply(f, f->a, "RPUSH k a", ":1");
    assert_reply(f, f->a, "LRANGE k 0 -1", "[\"a\"]");
}

static void a_time_that_is_over_when_one_was_served_comes_too_late(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "BLPOP k 0.01\r\n");
    assert_reply(f, f->a, "RPUSH k a", ":1");
    f->ms.now_ms += 10;
    assert_int_equal(session_timeout(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), element_a);
}

static void who_is_killed_is_not_served(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "BLPOP k 0.01\r\n");
    wait_for(line[1], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "CLIENT KILL ID 3", ":1");
    assert_true(was_woken(f, line[0]));
    assert_reply(f, f->a, "RPUSH k a b", ":2");
    expect_served(f, line[1], element_a);
    assert_int_equal(session_resume(line[0]), SESSION_CLOSING);
    assert_string_equal(fixture_take(f, line[0]), "");
    assert_reply(f, f->a, "LRANGE k 0 -1", "[\"b\"]");
}

static void who_is_unblocked_is_not_served(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "BLPOP k 0\r\n");
    wait_for(line[1], "BLMOVE k k2 LEFT LEFT 0\r\n");
    assert_reply(f, f->a, "CLIENT UNBLOCK 3", ":1");
    assert_reply(f, f->a, "CLIENT UNBLOCK 3", ":0");
    assert_reply(f, f->a, "CLIENT UNBLOCK 4 ERROR", ":1");
    assert_reply(f, f->a, "CLIENT UNBLOCK 1", ":0");
    assert_reply(f, f->a, "CLIENT UNBLOCK 99 timeout", ":0");
    assert_reply(f, f->a, "RPUSH k a", ":1");
    assert_int_equal(f->wake_count, 2);
    assert_int_equal(session_resume(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), "*-1\r\n");
    assert_int_equal(session_resume(line[1]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[1]),
                        "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_reply(f, f->a, "LLEN k", ":1");
}

static void other_waits_are_unblocked_as_well(void **state)
{
    struct session_fixture *f = *state;
    wait_for(line[0], "XREAD BLOCK 0 STREAMS s $\r\n");
    wait_for(line[1], "WAIT 1 0\r\n");
    wait_for(line[2], "XREAD BLOCK 0 STREAMS s $\r\n");
    assert_reply(f, f->a, "CLIENT UNBLOCK 3 TIMEOUT", ":1");
    assert_reply(f, f->a, "CLIENT UNBLOCK 4", ":1");
    assert_reply(f, f->a, "CLIENT UNBLOCK 5 error", ":1");
    assert_int_equal(session_resume(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), "*-1\r\n");
    assert_int_equal(session_resume(line[1]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[1]), ":0\r\n");
    assert_int_equal(session_resume(line[2]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[2]),
                        "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    assert_reply(f, line[2], "PING", "+PONG");
}

/* Whoever waited for CLIENT PAUSE has his own time from then on. */
static void a_pause_is_not_the_time_of_what_it_held_back(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "CLIENT PAUSE 10 WRITE", "+OK");
    wait_for(line[0], "BLPOP k 0\r\n");
    assert_reply(f, f->a, "CLIENT UNBLOCK 3", ":0");
    f->ms.now_ms += 11;
    assert_int_equal(session_timeout(line[0]), SESSION_BLOCKED);
    assert_int_equal(session_deadline_us(line[0]), 0);
    assert_reply(f, f->a, "CLIENT PAUSE 1000 ALL", "+OK");
    assert_int_equal(session_resume(line[0]), SESSION_BLOCKED);
    assert_int_equal(session_deadline_us(line[0]), 0);
    f->ms.now_ms += 1001;
    assert_reply(f, f->a, "RPUSH k a", ":1");
    expect_served(f, line[0], element_a);
}

/* ---- What is left to who waits. -------------------------------------------------------------- */

/* A list whose elements are on disk alone comes to k, for which all three wait. */
static void bring_a_cold_list(struct session_fixture *f)
{
    assert_reply(f, f->a, "RPUSH cold a b a", ":3");
    for (int i = 0; i < 130; i++)
        fixture_ask(f, f->a, "RPUSH cold x");
    memory_store_work(&f->ms, true);
    assert_reply(f, f->a, "DEBUG RELOAD", "+OK");
    vfs_fault_set_cold(f->ms.vfs, ".cwt");
    for (size_t i = 0; i < 3; i++)
        wait_for(line[i], "BLPOP k 0.01\r\n");
    f->wake_count = 0;
    assert_reply(f, f->a, "RENAME cold k", "+OK");
    assert_int_equal(f->wake_count, 1);
    assert_ptr_equal(f->woken[0], line[0]);
    assert_reply(f, f->a, "LLEN k", ":133");
}

static void who_finds_it_cold_looks_for_himself_and_others_wait_for_him(void **state)
{
    struct session_fixture *f = *state;
    bring_a_cold_list(f);
    /* Neither one who is behind nor a new one goes before. */
    assert_int_equal(session_resume(line[1]), SESSION_BLOCKED);
    wait_for(f->b, "BLPOP k 0\r\n");
    f->wake_count = 0;
    assert_int_equal(session_resume(line[0]), SESSION_PARKED);
    assert_int_equal(fixture_settle(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), element_a);
    /* With that the others have it, in their order. */
    assert_int_equal(f->wake_count, 3);
    assert_int_equal(session_resume(line[1]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[1]), element_b);
    assert_int_equal(session_resume(line[2]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[2]), element_a);
    assert_int_equal(session_resume(f->b), SESSION_READY);
    assert_reply(f, f->a, "LLEN k", ":129");
}

static void expect_passed_on(struct session_fixture *f)
{
    assert_true(was_woken(f, line[1]));
    assert_int_equal(session_resume(line[1]), SESSION_PARKED);
    assert_int_equal(fixture_settle(line[1]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[1]), element_a);
    assert_int_equal(session_resume(line[2]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[2]), element_b);
}

static void who_goes_before_he_has_looked_tells_the_next(void **state)
{
    struct session_fixture *f = *state;
    bring_a_cold_list(f);
    f->wake_count = 0;
    session_destroy(line[0]);
    line[0] = NULL;
    expect_passed_on(f);
}

static void whose_time_is_over_before_he_has_looked_tells_the_next(void **state)
{
    struct session_fixture *f = *state;
    bring_a_cold_list(f);
    f->ms.now_ms += 10;
    f->wake_count = 0;
    assert_int_equal(session_timeout(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), "*-1\r\n");
    expect_passed_on(f);
}

static void who_is_unblocked_before_he_has_looked_tells_the_next(void **state)
{
    struct session_fixture *f = *state;
    bring_a_cold_list(f);
    assert_reply(f, f->a, "CLIENT UNBLOCK 3", ":1");
    f->wake_count = 0;
    assert_int_equal(session_resume(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]), "*-1\r\n");
    expect_passed_on(f);
}

/* While it is parked. */
static void who_is_unblocked_while_he_looks_takes_nothing(void **state)
{
    struct session_fixture *f = *state;
    bring_a_cold_list(f);
    assert_int_equal(session_resume(line[0]), SESSION_PARKED);
    assert_reply(f, f->a, "CLIENT UNBLOCK 3 ERROR", ":1");
    session_work(line[0]);
    assert_int_equal(session_resume(line[0]), SESSION_BLOCKED);
    f->wake_count = 0;
    assert_int_equal(session_resume(line[0]), SESSION_READY);
    assert_string_equal(fixture_take(f, line[0]),
                        "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    expect_passed_on(f);
}

static void who_finds_no_memory_is_served_all_the_same(void **state)
{
    struct session_fixture *f = *state;
    for (size_t n = 1; n < 8; n++) {
        wait_for(line[0], "BLPOP k 0\r\n");
        wait_for(line[1], "BLPOP k 0\r\n");
        fixture_feed(f->a, "RPUSH k a b\r");
        memory_fail_try(n, false);
        fixture_feed(f->a, "\n");
        memory_fail_try(0, false);
        fixture_settle(f->a);
        if (strcmp(fixture_take(f, f->a), ":2\r\n") != 0)
            assert_reply(f, f->a, "RPUSH k a b", ":2");
        for (size_t i = 0; i < 2; i++) {
            session_resume(line[i]);
            assert_int_equal(fixture_settle(line[i]), SESSION_READY);
            assert_string_equal(fixture_take(f, line[i]), i ? element_b : element_a);
        }
    }
    assert_reply(f, f->a, "EXISTS k", ":0");
}

/* ---- Threads. -------------------------------------------------------------------------------- */

enum { POPPERS = 3, PUSHERS = 2, ELEMENTS = 600 };

struct thread {
    struct session_fixture *f;
    pthread_t id;
    int number;
    atomic_bool woken;
    uint64_t popped, sum;
};

static void wake_thread(void *context, void *owner)
{
    (void)context;
    if (owner)
        atomic_store(&((struct thread *)owner)->woken, true);
}

/* Until "0" comes, from the last of the keys. */
static void *pop_all(void *context)
{
    struct thread *thread = context;
    struct session *session = fixture_session(thread->f, true, false, thread);
    for (unsigned round = 0;; round++) {
        fixture_feed(session, round % 2 ? "BLPOP k1 k2 end 0\r\n" : "BLPOP k2 k1 end 0\r\n");
        fixture_settle(session);
        while (session_state(session) == SESSION_BLOCKED) {
            while (!atomic_exchange(&thread->woken, false))
                sched_yield();
            session_resume(session);
            fixture_settle(session);
        }
        struct slice output = session_output(session);
        assert_true(output.size > 16);
        const uint8_t *digits = output.data + output.size - 3;
        while (digits[-1] != '\n')
            digits--;
        uint64_t number = strtoull((const char *)digits, NULL, 10);
        session_output_consume(session, output.size);
        if (number == 0)
            break;
        thread->popped++;
        thread->sum += number;
    }
    session_destroy(session);
    return NULL;
}

static void *push_all(void *context)
{
    struct thread *thread = context;
    struct session *session = fixture_session(thread->f, true, false, thread);
    char request[64];
    for (int i = 1; i <= ELEMENTS; i++) {
        snprintf(request, sizeof request, "RPUSH k%d %d\r\n", 1 + (i + thread->number) % 2, i);
        fixture_feed(session, request);
        fixture_settle(session);
        session_output_consume(session, session_output(session).size);
    }
    session_destroy(session);
    return NULL;
}

static void between_threads_each_element_comes_to_one(void **state)
{
    struct session_fixture *f = *state;
    struct thread threads[POPPERS + PUSHERS];
    uint64_t popped = 0, sum = 0;
    f->service->host.wake = wake_thread;
    for (int i = 0; i < POPPERS + PUSHERS; i++) {
        threads[i] = (struct thread){.f = f, .number = i};
        assert_int_equal(
            pthread_create(&threads[i].id, NULL, i < POPPERS ? pop_all : push_all, &threads[i]), 0);
    }
    for (int i = POPPERS; i < POPPERS + PUSHERS; i++)
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
    assert_reply(f, f->a, "RPUSH end 0 0 0", ":3");
    for (int i = 0; i < POPPERS; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
        popped += threads[i].popped;
        sum += threads[i].sum;
    }
    assert_int_equal(popped, PUSHERS * ELEMENTS);
    assert_int_equal(sum, PUSHERS * (ELEMENTS * (ELEMENTS + 1) / 2));
    assert_reply(f, f->a, "EXISTS k1 k2 end", ":0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_element_is_gone_before_a_later_request_can_take_it),
        TEST(who_came_first_is_served_first),
        TEST(who_is_served_does_not_count_as_blocked),
        TEST(a_served_reply_waits_at_the_gate),
        TEST(a_reply_that_is_not_wanted_is_dropped),
        TEST(so_many_are_served_that_the_last_ones_look_for_themselves),
        TEST(what_nobody_waits_for_any_more_stays),
        TEST(a_time_that_is_over_when_one_was_served_comes_too_late),
        TEST(who_is_killed_is_not_served),
        TEST(who_is_unblocked_is_not_served),
        TEST(other_waits_are_unblocked_as_well),
        TEST(a_pause_is_not_the_time_of_what_it_held_back),
        TEST(who_finds_it_cold_looks_for_himself_and_others_wait_for_him),
        TEST(who_goes_before_he_has_looked_tells_the_next),
        TEST(whose_time_is_over_before_he_has_looked_tells_the_next),
        TEST(who_is_unblocked_before_he_has_looked_tells_the_next),
        TEST(who_is_unblocked_while_he_looks_takes_nothing),
        TEST(who_finds_no_memory_is_served_all_the_same),
        TEST(between_threads_each_element_comes_to_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
