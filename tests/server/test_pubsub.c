/* SPDX-License-Identifier: MIT */
/* Messages between two event loops: every subscriber gets all of every publisher's, in order; one that does not read is closed and
 * nobody else notices. */
#include "lib/test_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PUBLISHERS = 3, SUBSCRIBERS = 8, MESSAGES = 2000, PIPELINE = 50, LARGE_BYTES = 64 * 1024 };

static const char *const two_loops[] = {"--io-threads", "2", NULL};

struct publisher {
    struct test_server *server;
    unsigned number;
    pthread_t thread;
    bool failed;
};

static void *publish_all(void *context)
{
    struct publisher *publisher = context;
    struct resp_client client;
    struct buffer requests = {0};
    test_server_connect(publisher->server, &client);
    for (unsigned first = 0; first < MESSAGES && !publisher->failed; first += PIPELINE) {
        buffer_clear(&requests);
        for (unsigned i = first; i < first + PIPELINE; i++) {
            char text[32];
            snprintf(text, sizeof text, "%u %u", publisher->number, i);
            struct slice words[] = {slice_from("PUBLISH"), slice_from("news"), slice_from(text)};
            resp_client_encode(&requests, words, 3);
        }
        publisher->failed = !resp_client_send(&client, buffer_slice(&requests));
        for (unsigned i = 0; i < PIPELINE && !publisher->failed; i++) {
            struct resp_reply reply = {0};
            publisher->failed = !resp_client_read(&client, &reply) || reply.type != ':' ||
                                reply.integer != SUBSCRIBERS;
            resp_reply_release(&reply);
        }
    }
    buffer_release(&requests);
    resp_client_close(&client);
    return NULL;
}

/* Each publisher's numbers one after another; half of the subscribers know the channel by a pattern. */
static void expect_all(struct resp_client *client)
{
    unsigned next[PUBLISHERS] = {0};
    for (unsigned i = 0; i < PUBLISHERS * MESSAGES; i++) {
        struct resp_reply reply = {0};
        unsigned publisher, number;
        assert_true(resp_client_read(client, &reply));
        assert_true(reply.count == 3 || reply.count == 4);
        buffer_append_byte(&reply.children[reply.count - 1].text, 0);
        const char *text = (const char *)reply.children[reply.count - 1].text.data;
        assert_int_equal(sscanf(text, "%u %u", &publisher, &number), 2);
        assert_true(publisher < PUBLISHERS);
        assert_int_equal(number, next[publisher]);
        next[publisher]++;
        resp_reply_release(&reply);
    }
}

static void every_subscriber_gets_every_message_in_order(void **state)
{
    struct test_server server;
    struct resp_client subscribers[SUBSCRIBERS];
    struct publisher publishers[PUBLISHERS];
    struct buffer shown = {0};
    (void)state;
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, two_loops);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        test_server_connect(&server, &subscribers[i]);
        if (i % 2 == 0)
            resp_client_ask(&subscribers[i], &shown, "SUBSCRIBE", "news");
        else
            resp_client_ask(&subscribers[i], &shown, "PSUBSCRIBE", "n?ws");
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.server = &server, .number = i};
        pthread_create(&publishers[i].thread, NULL, publish_all, &publishers[i]);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        pthread_join(publishers[i].thread, NULL);
        assert_false(publishers[i].failed);
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        expect_all(&subscribers[i]);
        resp_client_close(&subscribers[i]);
    }
    buffer_release(&shown);
    assert_int_equal(test_server_stop(&server), 0);
    test_server_release(&server);
}

/* Its own loop writes replies, the publisher's one messages, to the same socket; often it has no room for all. */
static void messages_and_replies_of_one_subscriber_do_not_mix(void **state)
{
    enum { PINGS = 20, LARGE_MESSAGES = 400 };
    struct test_server server;
    struct resp_client subscriber, publisher;
    struct buffer shown = {0}, requests = {0};
    static char text[8000];
    unsigned pings = 0, messages = 0;
    (void)state;
    memset(text, 'x', sizeof text);
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, two_loops);
    test_server_connect(&server, &subscriber);
    test_server_connect(&server, &publisher);
    resp_client_ask(&subscriber, &shown, "HELLO", "3");
    resp_client_ask(&subscriber, &shown, "SUBSCRIBE", "news");
    while (messages < LARGE_MESSAGES || pings < LARGE_MESSAGES) {
        buffer_clear(&requests);
        for (unsigned i = 0; i < PINGS; i++) {
            snprintf(text, 16, "%015u", messages + i);
            struct slice words[] = {slice_from("PUBLISH"), slice_from("news"),
                                    slice_make(text, sizeof text)};
            resp_client_encode(&requests, words, 3);
        }
        assert_true(resp_client_send(&publisher, buffer_slice(&requests)));
        buffer_clear(&requests);
        for (unsigned i = 0; i < PINGS; i++) {
            snprintf(text, 16, "%015u", pings + i);
            struct slice words[] = {slice_from("PING"), slice_make(text, sizeof text)};
            resp_client_encode(&requests, words, 2);
        }
        assert_true(resp_client_send(&subscriber, buffer_slice(&requests)));
        for (unsigned i = 0; i < 2 * PINGS; i++) {
            struct resp_reply reply = {0};
            assert_true(resp_client_read(&subscriber, &reply));
            bool is_message = reply.count == 3;
            struct buffer *got = is_message ? &reply.children[2].text : &reply.text;
            assert_int_equal(got->size, sizeof text);
            assert_int_equal(strtoul((const char *)got->data, NULL, 10),
                             is_message ? messages : pings);
            messages += is_message;
            pings += !is_message;
            resp_reply_release(&reply);
        }
        for (unsigned i = 0; i < PINGS; i++) {
            struct resp_reply reply = {0};
            assert_true(resp_client_read(&publisher, &reply));
            assert_true(resp_reply_is(&reply, ":1"));
            resp_reply_release(&reply);
        }
    }
    buffer_release(&requests);
    buffer_release(&shown);
    resp_client_close(&subscriber);
    resp_client_close(&publisher);
    assert_int_equal(test_server_stop(&server), 0);
    test_server_release(&server);
}

static void a_subscriber_that_does_not_read_is_closed_and_the_others_are_not(void **state)
{
    struct test_server server;
    struct resp_client reader, sleeper, publisher;
    struct buffer shown = {0};
    char *text = calloc(1, LARGE_BYTES + 1);
    (void)state;
    memset(text, 'x', LARGE_BYTES);
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, two_loops);
    test_server_connect(&server, &reader);
    test_server_connect(&server, &sleeper);
    test_server_connect(&server, &publisher);
    assert_string_equal(resp_client_ask(&publisher, &shown, "CONFIG", "SET",
                                        "client-output-buffer-limit", "pubsub 1mb 0 0"),
                        "+OK");
    resp_client_ask(&sleeper, &shown, "SUBSCRIBE", "news");
    resp_client_ask(&reader, &shown, "SUBSCRIBE", "news");
    /* What the sockets take is the system's business; the rest passes a mebibyte some time. */
    bool is_closed = false;
    for (unsigned i = 0; i < 4000 && !is_closed; i++) {
        struct resp_reply reply = {0};
        const char *receivers = resp_client_ask(&publisher, &shown, "PUBLISH", "news", text);
        is_closed = strcmp(receivers, ":1") == 0;
        assert_true(is_closed || strcmp(receivers, ":2") == 0);
        assert_true(resp_client_read(&reader, &reply));
        assert_int_equal(reply.children[2].text.size, LARGE_BYTES);
        resp_reply_release(&reply);
    }
    assert_true(is_closed);
    free(text);
    resp_client_close(&reader);
    resp_client_close(&sleeper);
    resp_client_close(&publisher);
    buffer_release(&shown);
    assert_int_equal(test_server_stop(&server), 0);
    test_server_release(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subscriber_gets_every_message_in_order),
        cmocka_unit_test(messages_and_replies_of_one_subscriber_do_not_mix),
        cmocka_unit_test(a_subscriber_that_does_not_read_is_closed_and_the_others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
