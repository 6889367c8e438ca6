/* SPDX-License-Identifier: MIT */
/* Client-side caching beyond what the transcripts show: order, redirection, limits. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

static const char *heard(struct session_fixture *f, struct session *session)
{
    session_deliver(session);
    return fixture_take(f, session);
}

static const char of_a[] = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n";

static void an_invalidation_waits_for_its_write_and_for_the_reply_of_a_worker(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "HELLO 3");
    assert_reply(f, f->a, "CLIENT TRACKING ON", "+OK");
    assert_reply(f, f->a, "GET a", "nil");
    lsn_t before = lsm_visible_lsn(store_engine(f->ms.store));
    assert_reply(f, f->b, "SET a 1", "+OK");
    session_deliver(f->a);
    assert_int_equal(session_output_released(f->a, before), 0);
    assert_string_equal(fixture_take(f, f->a), of_a);
    /* A worker reads the old value, then somebody writes: the reply is first. */
    struct buffer request = {0};
    buffer_append_text(&request, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n");
    for (int i = 0; i < 300000; i++)
        buffer_append_byte(&request, 'v');
    buffer_append_text(&request, "\r\n");
    session_feed(f->b, buffer_slice(&request));
    fixture_settle(f->b);
    fixture_feed(f->a, "GET k\r\n");
    assert_int_equal(session_state(f->a), SESSION_PARKED);
    session_give(f->a, slice_from(of_a), 0);
    session_deliver(f->a);
    assert_int_equal(session_output(f->a).size, 0);
    fixture_settle(f->a);
    session_deliver(f->a);
    const char *output = fixture_take(f, f->a);
    assert_int_equal(strncmp(output, "$300000\r\nvvv", 12), 0);
    assert_string_equal(output + strlen(output) - strlen(of_a), of_a);
    buffer_release(&request);
}

static void invalidations_go_to_another_client_while_it_is_there(void **state)
{
    struct session_fixture *f = *state;
    struct session *other = fixture_session(f, true, false, NULL);
    char line[64];
    snprintf(line, sizeof line, "CLIENT TRACKING ON REDIRECT %llu", (unsigned long long)other->id);
    fixture_ask(f, f->a, "HELLO 3");
    assert_reply(f, f->a, line, "+OK");
    assert_reply(f, f->a, "GET a", "nil");
    assert_reply(f, f->b, "SET a 1", "+OK");
    assert_string_equal(heard(f, other), ""); /* RESP2, and not subscribed */
    fixture_ask(f, other, "SUBSCRIBE __redis__:invalidate");
    assert_reply(f, f->a, "GET a", "\"1\"");
    assert_reply(f, f->b, "SET a 2", "+OK");
    assert_string_equal(heard(f, other),
                        "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n");
    fixture_ask(f, other, "RESET");
    fixture_ask(f, other, "HELLO 3");
    assert_reply(f, f->a, "GET a", "\"2\"");
    assert_reply(f, f->b, "SET a 3", "+OK");
    assert_string_equal(heard(f, other), of_a);
    assert_string_equal(heard(f, f->a), "");
    session_destroy(other);
    for (int i = 0; i < 2; i++) {
        assert_reply(f, f->a, "GET a", i ? "\"4\"" : "\"3\"");
        assert_reply(f, f->b, i ? "SET a 5" : "SET a 4", "+OK");
        assert_string_equal(heard(f, f->a), ">2\r\n$21\r\ntracking-redir-broken\r\n:3\r\n");
    }
    assert_non_null(strstr(fixture_ask(f, f->a, "CLIENT TRACKINGINFO"), "broken_redirect"));
    const char *info = fixture_ask(f, f->a, "CLIENT INFO");
    assert_non_null(strstr(info, "flags=tR "));
    assert_non_null(strstr(info, " redir=3 "));
}

static void a_broadcast_names_the_keys_of_a_batch_in_their_order(void **state)
{
    struct session_fixture *f = *state;
    static const char of_b_and_c[] = ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nb\r\n$2\r\nbc\r\n";
    struct session *other = fixture_session(f, true, false, NULL);
    char line[96];
    fixture_ask(f, f->a, "HELLO 3");
    fixture_ask(f, other, "HELLO 3");
    assert_reply(f, f->a, "CLIENT TRACKING ON BCAST PREFIX b PREFIX x", "+OK");
    assert_reply(f, other, "CLIENT TRACKING ON BCAST PREFIX a PREFIX b", "+OK");
    assert_reply(f, f->b, "MSET bc 1 c 1 a 1 b 1 B 1", "+OK");
    assert_string_equal(heard(f, f->a), of_b_and_c);
    const char *both = heard(f, other);
    assert_int_equal(strncmp(both, of_a, strlen(of_a)), 0);
    assert_string_equal(both + strlen(of_a), of_b_and_c);
    session_destroy(other);
    /* In RESP2 all keys are a null bulk string. */
    fixture_ask(f, f->a, "RESET");
    fixture_ask(f, f->b, "SUBSCRIBE __redis__:invalidate");
    snprintf(line, sizeof line, "CLIENT TRACKING ON BCAST REDIRECT %llu",
             (unsigned long long)f->b->id);
    assert_reply(f, f->a, line, "+OK");
    assert_reply(f, f->a, "FLUSHALL", "+OK");
    assert_string_equal(heard(f, f->b),
                        "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n");
}

static void without_memory_for_the_keys_all_are_invalid(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "HELLO 3");
    assert_reply(f, f->a, "CLIENT TRACKING ON BCAST", "+OK");
    uint64_t tries = memory_try_count();
    assert_reply(f, f->b, "SET a 1", "+OK");
    assert_string_equal(heard(f, f->a), of_a);
    tries = memory_try_count() - tries;
    static const char of_all[] = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
    bool is_told = false;
    for (uint64_t n = 1; n <= tries; n++) {
        memory_fail_try(n, false);
        fixture_ask(f, f->b, "SET a 1");
        memory_fail_try(0, false);
        const char *told = heard(f, f->a);
        is_told |= strcmp(told, of_all) == 0;
        assert_true(!*told || strcmp(told, of_a) == 0 || strcmp(told, of_all) == 0);
    }
    assert_true(is_told);
}

static void beyond_the_limit_keys_are_let_go_and_told(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "tracking-table-max-keys", "2");
    fixture_ask(f, f->a, "HELLO 3");
    assert_reply(f, f->a, "CLIENT TRACKING ON", "+OK");
    for (char key = 'a'; key < 'g'; key++) {
        char line[8];
        snprintf(line, sizeof line, "GET %c", key);
        assert_reply(f, f->a, line, "nil");
    }
    assert_int_equal(atomic_load(&f->service->tracking.key_count), 2);
    const char *told = heard(f, f->a);
    unsigned count = 0;
    for (const char *at = told; (at = strstr(at, "invalidate")); at++)
        count++;
    assert_int_equal(count, 4);
    const char *info = fixture_ask(f, f->b, "INFO stats");
    assert_non_null(strstr(info, "tracking_total_keys:2\\r"));
}

static void who_ends_is_told_nothing_and_remembered_no_longer(void **state)
{
    struct session_fixture *f = *state;
    struct session *gone = fixture_session(f, true, false, NULL);
    fixture_ask(f, gone, "HELLO 3");
    assert_reply(f, gone, "CLIENT TRACKING ON", "+OK");
    assert_reply(f, gone, "GET a", "nil");
    assert_non_null(strstr(fixture_ask(f, f->b, "INFO clients"), "tracking_clients:1\\r"));
    session_destroy(gone);
    assert_int_equal(atomic_load(&f->service->tracking.client_count), 0);
    assert_reply(f, f->a, "CLIENT TRACKING ON", "+OK");
    assert_reply(f, f->a, "SET a 1", "+OK");
    assert_int_equal(atomic_load(&f->service->tracking.key_count), 0);
}

static void an_expired_key_is_invalid(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "HELLO 3");
    assert_reply(f, f->b, "SET a 1 PX 100", "+OK");
    assert_reply(f, f->a, "CLIENT TRACKING ON", "+OK");
    assert_reply(f, f->a, "GET a", "\"1\"");
    f->ms.now_ms += 101;
    while (service_expire(f->service)) {
    }
    assert_string_equal(heard(f, f->a), of_a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_invalidation_waits_for_its_write_and_for_the_reply_of_a_worker),
        TEST(invalidations_go_to_another_client_while_it_is_there),
        TEST(a_broadcast_names_the_keys_of_a_batch_in_their_order),
        TEST(without_memory_for_the_keys_all_are_invalid),
        TEST(beyond_the_limit_keys_are_let_go_and_told),
        TEST(who_ends_is_told_nothing_and_remembered_no_longer),
        TEST(an_expired_key_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
