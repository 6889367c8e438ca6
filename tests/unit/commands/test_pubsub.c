/* SPDX-License-Identifier: MIT */
/* Pub/sub beyond what the transcripts show: the gate, limits, memory, ends of subscriptions. */
#include "unit/commands/session_fixture.h"

#include "base/memory.h"
#include "commands/service_state.h"

static const char *messages(struct session_fixture *f, struct session *session)
{
    session_deliver(session);
    return fixture_take(f, session);
}

static void a_notification_waits_until_its_write_is_acknowledged(void **state)
{
    struct session_fixture *f = *state;
    struct lsm *engine = store_engine(f->ms.store);
    fixture_set(f, "notify-keyspace-events", "KEA");
    fixture_ask(f, f->a, "SUBSCRIBE __keyevent@0__:set plain");
    fixture_take(f, f->a);
    lsn_t before = lsm_visible_lsn(engine);
    assert_reply(f, f->b, "SET k v", "+OK");
    session_deliver(f->a);
    assert_true(session_output(f->a).size > 0);
    assert_int_equal(session_output_released(f->a, before), 0);
    /* A message without an LSN stays behind it. */
    assert_reply(f, f->b, "PUBLISH plain x", ":1");
    session_deliver(f->a);
    assert_int_equal(session_output_released(f->a, before), 0);
    assert_int_equal(session_output_released(f->a, lsm_visible_lsn(engine)),
                     session_output(f->a).size);
    fixture_take(f, f->a);
    assert_reply(f, f->b, "PUBLISH plain y", ":1");
    session_deliver(f->a);
    assert_int_equal(session_output_released(f->a, 0), session_output(f->a).size);
}

/* Read again when what was cold is there; no change of the key, either. */
static void a_missed_key_is_told_once_and_touches_nobody(void **state)
{
    struct session_fixture *f = *state;
    struct session *watcher = fixture_session(f, true, false, NULL);
    static const char told[] =
        "*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:keymiss\r\n$4\r\nnone\r\n";
    fixture_set(f, "notify-keyspace-events", "Em");
    fixture_ask(f, f->a, "SUBSCRIBE __keyevent@0__:keymiss");
    fixture_take(f, f->a);
    assert_reply(f, f->b, "SET cold v", "+OK");
    assert_reply(f, watcher, "WATCH none", "+OK");
    memory_store_work(&f->ms, true);
    assert_reply(f, f->b, "DEBUG RELOAD", "+OK");
    vfs_fault_set_cold(f->ms.vfs, ".cwt");
    assert_reply(f, f->b, "MGET none cold", "[nil, \"v\"]");
    assert_string_equal(messages(f, f->a), told);
    assert_reply(f, f->b, "DEBUG RELOAD", "+OK");
    fixture_feed(f->b, "MULTI\r\nGET none\r\nGET cold\r\nSET x 1\r\n");
    fixture_take(f, f->b);
    assert_reply(f, f->b, "EXEC", "[nil, \"v\", +OK]");
    vfs_fault_set_cold(f->ms.vfs, NULL);
    assert_string_equal(messages(f, f->a), told);
    assert_reply(f, watcher, "MULTI", "+OK");
    assert_reply(f, watcher, "EXEC", "[]");
    session_destroy(watcher);
}

/* What is missed and written in one transaction is told to whoever has read it. */
static void a_missed_key_that_is_written_is_invalidated(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "notify-keyspace-events", "EAm");
    fixture_ask(f, f->b, "SUBSCRIBE plain");
    fixture_ask(f, f->b, "UNSUBSCRIBE");
    fixture_feed(f->a, "HELLO 3\r\nSUBSCRIBE plain\r\nCLIENT TRACKING ON\r\nGET k\r\n");
    fixture_take(f, f->a);
    fixture_feed(f->b, "MULTI\r\nGET k\r\nSET k 1\r\nEXEC\r\n");
    fixture_settle(f->b);
    fixture_take(f, f->b);
    assert_string_equal(messages(f, f->a), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n");
}

static void messages_come_before_the_end_of_a_subscription(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SUBSCRIBE c");
    assert_reply(f, f->b, "PUBLISH c one", ":1");
    assert_reply(f, f->a, "UNSUBSCRIBE c",
                 "[\"message\", \"c\", \"one\"] [\"unsubscribe\", \"c\", :0]");
    assert_reply(f, f->b, "PUBLISH c two", ":0");
    assert_string_equal(messages(f, f->a), "");
}

static void reset_and_the_end_of_a_session_end_its_subscriptions(void **state)
{
    struct session_fixture *f = *state;
    fixture_ask(f, f->a, "SUBSCRIBE a b");
    fixture_ask(f, f->a, "PSUBSCRIBE p* q*");
    fixture_ask(f, f->a, "SSUBSCRIBE s");
    assert_true(session_is_subscribed(f->a));
    assert_reply(f, f->b, "PUBSUB NUMPAT", ":2");
    fixture_ask(f, f->a, "RESET");
    assert_false(session_is_subscribed(f->a));
    assert_reply(f, f->b, "PUBSUB CHANNELS", "[]");
    assert_reply(f, f->b, "PUBSUB NUMPAT", ":0");
    struct session *gone = fixture_session(f, true, false, NULL);
    fixture_ask(f, gone, "SUBSCRIBE a b");
    assert_reply(f, f->b, "PUBLISH a x", ":1");
    session_destroy(gone);
    assert_reply(f, f->b, "PUBSUB NUMSUB a b", "[\"a\", :0, \"b\", :0]");
}

static void an_inbox_that_nobody_takes_is_bounded(void **state)
{
    struct session_fixture *f = *state;
    fixture_set(f, "client-output-buffer-limit", "pubsub 100000 0 0");
    fixture_ask(f, f->a, "SUBSCRIBE c");
    char line[4100] = "PUBLISH c ";
    memset(line + 10, 'm', 4000);
    for (int i = 0; i < 30; i++)
        assert_reply(f, f->b, line, ":1");
    assert_true(f->a->inbox.bytes.size <= 100000);
    assert_false(session_is_over_limit(f->a));
    session_deliver(f->a);
    assert_true(session_is_over_limit(f->a));
}

static void who_subscribes_has_the_limit_of_its_class(void **state)
{
    struct session_fixture *f = *state;
    char line[2600] = "PUBLISH c ";
    fixture_set(f, "client-output-buffer-limit", "normal 1000 0 0 pubsub 4000 0 0");
    struct session *publisher = fixture_session(f, true, false, NULL);
    fixture_ask(f, f->a, "SUBSCRIBE c");
    memset(line + 10, 'm', 2500);
    assert_reply(f, publisher, line, ":1");
    session_deliver(f->a);
    session_output_released(f->a, UINT64_MAX);
    assert_false(session_is_over_limit(f->a));
    assert_reply(f, publisher, line, ":1");
    session_deliver(f->a);
    session_output_released(f->a, UINT64_MAX);
    assert_true(session_is_over_limit(f->a));
    memcpy(line, "ECHO      ", 10);
    fixture_feed(f->b, line);
    fixture_feed(f->b, "\r\n");
    session_output_released(f->b, UINT64_MAX);
    assert_true(session_is_over_limit(f->b));
    session_destroy(publisher);
}

static void without_memory_the_client_is_closed_or_told(void **state)
{
    struct session_fixture *f = *state;
    assert_reply(f, f->a, "PING", "+PONG"); /* there is room for an answer */
    memory_fail_try(1, false);
    assert_reply(f, f->a, "SUBSCRIBE c", "-ERR out of memory");
    memory_fail_try(0, false);
    assert_int_equal(pubsub_count(&f->service->pubsub, PUBSUB_CHANNEL), 0);
    fixture_ask(f, f->a, "SUBSCRIBE c");
    struct buffer large = {0};
    buffer_append_text(&large, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$100000\r\n");
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&large, 'm');
    buffer_append_text(&large, "\r\n");
    memory_fail_try(1, true);
    session_feed(f->b, buffer_slice(&large));
    memory_fail_try(0, false);
    assert_string_equal(fixture_take(f, f->b), ":1\r\n");
    session_deliver(f->a);
    assert_true(session_is_over_limit(f->a));
    buffer_release(&large);
}

static void names_and_counts_are_bounded(void **state)
{
    struct session_fixture *f = *state;
    struct buffer request = {0};
    buffer_printf(&request, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n", PUBSUB_NAME_BYTES_MAX + 1);
    for (int i = 0; i <= PUBSUB_NAME_BYTES_MAX; i++)
        buffer_append_byte(&request, 'n');
    buffer_append_text(&request, "\r\n");
    session_feed(f->a, buffer_slice(&request));
    assert_string_equal(fixture_take(f, f->a), "-ERR channel name is longer than 512 KiB\r\n");
    buffer_release(&request);
    f->a->subscriptions[PUBSUB_PATTERN].count = PUBSUB_SUBSCRIPTIONS_MAX;
    assert_reply(f, f->a, "PSUBSCRIBE one more", "-ERR too many subscriptions");
    f->a->subscriptions[PUBSUB_PATTERN].count = 0;
}

static void classes_are_shown_as_redis_shows_them(void **state)
{
    static const struct {
        const char *set, *shown;
    } rows[] = {
        {"", ""}, {"KEA", "AKE"}, {"Kgm$nE", "g$nKEm"}, {"AKEmn", "AKEm"}, {"g$lshzxetd", "A"},
    };
    struct session_fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer text = {0};
        fixture_set(f, "notify-keyspace-events", rows[i].set);
        config_get_text(f->config, CONFIG_notify_keyspace_events, &text);
        assert_true(slice_equal(buffer_slice(&text), slice_from(rows[i].shown)));
        buffer_release(&text);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_notification_waits_until_its_write_is_acknowledged),
        TEST(a_missed_key_is_told_once_and_touches_nobody),
        TEST(a_missed_key_that_is_written_is_invalidated),
        TEST(messages_come_before_the_end_of_a_subscription),
        TEST(reset_and_the_end_of_a_session_end_its_subscriptions),
        TEST(an_inbox_that_nobody_takes_is_bounded),
        TEST(who_subscribes_has_the_limit_of_its_class),
        TEST(without_memory_the_client_is_closed_or_told),
        TEST(names_and_counts_are_bounded),
        TEST(classes_are_shown_as_redis_shows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
