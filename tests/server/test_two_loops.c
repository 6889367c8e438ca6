/* SPDX-License-Identifier: MIT */
/* Several event loops: connections are dealt to them in turn, so two clients that connect one after
 * the other live on different threads. */
#include "lib/test_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { THREADS = 4, WRITES = 500 };

struct fixture {
    struct test_server server;
    struct buffer shown;
};

static int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){0};
    test_server_init(&fixture.server, SERVER_CORDWOOD);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    test_server_release(&f->server);
    buffer_release(&f->shown);
    return 0;
}

static void start(struct fixture *f, const char *appendfsync)
{
    test_server_start(
        &f->server, (const char *const[]){"--io-threads", "3", "--appendfsync", appendfsync, NULL});
}

struct writer {
    struct test_server *server;
    unsigned number;
    bool ok;
    unsigned taken; /* by take_all */
};

/* Own keys and a common list; reads back what it wrote. */
static void *write_and_read(void *context)
{
    struct writer *writer = context;
    struct resp_client client;
    struct buffer shown = {0};
    test_server_connect(writer->server, &client);
    bool ok = true;
    for (unsigned i = 0; ok && i < WRITES; i++) {
        char key[48], expected[64];
        snprintf(key, sizeof(key), "key:%u:%u", writer->number, i);
        snprintf(expected, sizeof(expected), "\"%s\"", key);
        ok = strcmp(resp_client_ask(&client, &shown, "SET", key, key), "+OK") == 0 &&
             resp_client_ask(&client, &shown, "RPUSH", "list", key)[0] == ':' &&
             strcmp(resp_client_ask(&client, &shown, "GET", key), expected) == 0;
    }
    writer->ok = ok;
    resp_client_close(&client);
    buffer_release(&shown);
    return NULL;
}

static void write_from_threads(struct fixture *f, const char *appendfsync)
{
    start(f, appendfsync);
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.server = &f->server, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_read, &writers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(writers[i].ok);
    }
    struct resp_client client;
    test_server_connect(&f->server, &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "LLEN", "list"), ":2000");
    assert_string_equal(resp_client_ask(&client, &f->shown, "DBSIZE"), ":2001");
    resp_client_close(&client);
    assert_int_equal(test_server_stop(&f->server), 0);
}

static void clients_of_all_loops_write_and_read_everysec(void **state)
{
    write_from_threads(*state, "everysec");
}

static void clients_of_all_loops_write_and_read_always(void **state)
{
    write_from_threads(*state, "always");
}

static void a_reader_is_woken_by_a_writer_of_another_loop(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    struct resp_client readers[3], writer;
    for (int i = 0; i < 3; i++) {
        test_server_connect(&f->server, &readers[i]);
        assert_true(resp_client_send(&readers[i], slice_from("XREAD BLOCK 0 STREAMS s 0\r\n")));
    }
    test_server_connect(&f->server, &writer);
    assert_string_equal(resp_client_ask(&writer, &f->shown, "XADD", "s", "1-1", "f", "v"),
                        "\"1-1\"");
    for (int i = 0; i < 3; i++) {
        struct resp_reply reply = {0};
        assert_true(resp_client_read(&readers[i], &reply));
        assert_true(resp_reply_is(&reply, "[[\"s\", [[\"1-1\", [\"f\", \"v\"]]]]]"));
        resp_reply_release(&reply);
        resp_client_close(&readers[i]);
    }
    resp_client_close(&writer);
}

static void wait_until_blocked(struct fixture *f, struct resp_client *client, unsigned count)
{
    char expected[40];
    snprintf(expected, sizeof(expected), "blocked_clients:%u\\r", count);
    while (!strstr(resp_client_ask(client, &f->shown, "INFO", "clients"), expected))
        ;
}

/* Whatever loop they are on, they are served in the order in which they came. */
static void who_waits_is_served_by_a_writer_of_another_loop(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    struct resp_client waiting[4], writer;
    test_server_connect(&f->server, &writer);
    for (unsigned i = 0; i < 4; i++) {
        test_server_connect(&f->server, &waiting[i]);
        assert_true(resp_client_send(&waiting[i], slice_from("BLPOP k none 0\r\n")));
        wait_until_blocked(f, &writer, i + 1);
    }
    assert_string_equal(resp_client_ask(&writer, &f->shown, "RPUSH", "k", "0", "1", "2", "3"),
                        ":4");
    assert_string_equal(resp_client_ask(&writer, &f->shown, "EXISTS", "k"), ":0");
    for (unsigned i = 0; i < 4; i++) {
        char expected[20];
        struct resp_reply reply = {0};
        snprintf(expected, sizeof(expected), "[\"k\", \"%u\"]", i);
        assert_true(resp_client_read(&waiting[i], &reply));
        assert_true(resp_reply_is(&reply, expected));
        resp_reply_release(&reply);
        resp_client_close(&waiting[i]);
    }
    resp_client_close(&writer);
}

/* Takes what the others push, until it meets an end. */
static void *take_all(void *context)
{
    struct writer *writer = context;
    struct resp_client client;
    struct buffer shown = {0};
    test_server_connect(writer->server, &client);
    for (;; writer->taken++) {
        const char *reply =
            resp_client_ask(&client, &shown, "BLMPOP", "0", "2", "list", "end", "LEFT");
        if (strstr(reply, "[\"end\""))
            break;
        if (!strstr(reply, "[\"list\", [\"key:"))
            writer->ok = false;
    }
    resp_client_close(&client);
    buffer_release(&shown);
    return NULL;
}

static void each_element_comes_to_one_client_of_any_loop(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    pthread_t threads[2 * THREADS];
    struct writer writers[2 * THREADS];
    struct resp_client client;
    unsigned taken = 0;
    for (unsigned i = 0; i < 2 * THREADS; i++) {
        writers[i] = (struct writer){.server = &f->server, .number = i, .ok = true};
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < THREADS ? take_all : write_and_read, &writers[i]),
            0);
    }
    for (unsigned i = THREADS; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    test_server_connect(&f->server, &client);
    for (unsigned i = 0; i < THREADS; i++)
        resp_client_ask(&client, &f->shown, "RPUSH", "end", "x");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 2 * THREADS; i++) {
        assert_true(writers[i].ok);
        taken += writers[i].taken;
    }
    assert_int_equal(taken, 2000);
    assert_string_equal(resp_client_ask(&client, &f->shown, "EXISTS", "list", "end"), ":0");
    resp_client_close(&client);
}

static void *reload_again_and_again(void *context)
{
    struct writer *writer = context;
    struct resp_client client;
    struct buffer shown = {0};
    test_server_connect(writer->server, &client);
    writer->ok = true;
    for (int i = 0; writer->ok && i < 10; i++)
        writer->ok = strcmp(resp_client_ask(&client, &shown, "DEBUG", "RELOAD"), "+OK") == 0;
    resp_client_close(&client);
    buffer_release(&shown);
    return NULL;
}

static void reloads_under_load_lose_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.server = &f->server, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i == 0 ? reload_again_and_again : write_and_read,
                                        &writers[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(writers[i].ok);
    }
    struct resp_client client;
    test_server_connect(&f->server, &client);
    assert_string_equal(resp_client_ask(&client, &f->shown, "LLEN", "list"), ":1500");
    resp_client_close(&client);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(clients_of_all_loops_write_and_read_everysec),
        TEST(clients_of_all_loops_write_and_read_always),
        TEST(a_reader_is_woken_by_a_writer_of_another_loop),
        TEST(who_waits_is_served_by_a_writer_of_another_loop),
        TEST(each_element_comes_to_one_client_of_any_loop),
        TEST(reloads_under_load_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
