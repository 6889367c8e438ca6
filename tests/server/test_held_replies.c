/* SPDX-License-Identifier: MIT */
/* The gate in a whole server, in this process, over a file system whose syncs the test holds and
 * fails. */
#include "lib/resp_client.h"
#include "lib/temp_directory.h"
#include "lib/test_server.h"
#ifdef CORDWOOD_TLS
#include "lib/tls_client.h"
#endif
#include "server/server.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <poll.h>
#include <setjmp.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

static const unsigned syncs = 1u << VFS_CALL_SYNC;

struct fixture {
    char directory[TEMP_DIRECTORY_BYTES];
    char path[TEMP_DIRECTORY_BYTES + 32];
    struct vfs *memory, *fault;
    struct env env;
    struct config *config;
    struct server *server;
    pthread_t thread;
    enum status result;
    struct resp_client a, b;
    struct buffer shown;
};

/* The loop that closes a client for its output limit, and says so, can be held there. */
static struct {
    atomic_bool is_wanted;
    sem_t reached, go_on;
} held_log;

static void take_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (!strstr(line, "output buffer limits") || !atomic_exchange(&held_log.is_wanted, false))
        return;
    sem_post(&held_log.reached);
    sem_wait(&held_log.go_on);
}

static void *run(void *context)
{
    struct fixture *f = context;
    f->result = server_run(f->server);
    return NULL;
}

static void set(struct fixture *f, const char *name, const char *value)
{
    assert_true(config_set(f->config, slice_from(name), slice_from(value), true, &f->shown));
}

static void start(struct fixture *f, const char *appendfsync)
{
    set(f, "appendfsync", appendfsync);
    const struct server_options options = {.env = &f->env, .config = f->config};
    f->server = server_create(&options, &f->shown);
    assert_non_null(f->server);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    assert_true(resp_client_open_unix(&f->a, f->path));
    assert_true(resp_client_open_unix(&f->b, f->path));
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    *f = (struct fixture){.a.socket = -1, .b.socket = -1};
    temp_directory_make(f->directory);
    snprintf(f->path, sizeof(f->path), "%.*s/s.sock", TEMP_DIRECTORY_BYTES, f->directory);
    f->memory = vfs_memory_create();
    f->fault = vfs_fault_create(f->memory);
    env_init_posix(&f->env, f->fault);
    f->env.log = take_log;
    sem_init(&held_log.reached, 0, 0);
    sem_init(&held_log.go_on, 0, 0);
    atomic_store(&held_log.is_wanted, false);
    f->config = config_create();
    set(f, "port", "0");
    set(f, "json-port", "0");
    set(f, "unixsocket", f->path);
    set(f, "dir", "/data");
    set(f, "io-threads", "2");
    *state = f;
    return 0;
}

static int setup_one_loop(void **state)
{
    (void)setup(state);
    set(*state, "io-threads", "1");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vfs_fault_release(f->fault);
    sem_post(&held_log.go_on);
    if (f->server) {
        server_stop(f->server, true);
        pthread_join(f->thread, NULL);
        server_destroy(f->server);
    }
    if (f->a.socket >= 0)
        resp_client_close(&f->a);
    if (f->b.socket >= 0)
        resp_client_close(&f->b);
    config_destroy(f->config);
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    temp_directory_remove(f->directory);
    buffer_release(&f->shown);
    return 0;
}

static void send_text(struct resp_client *client, const char *text)
{
    assert_true(resp_client_send(client, slice_from(text)));
}

static void expect_reply(struct resp_client *client, const char *shown)
{
    struct resp_reply reply = {0};
    assert_true(resp_client_read(client, &reply));
    assert_true(resp_reply_is(&reply, shown));
    resp_reply_release(&reply);
}

/* Nothing has come up to now. The syncs are held, so it cannot come later either. */
static void expect_nothing(struct resp_client *client)
{
    int timeout_ms = client->timeout_ms;
    struct resp_reply reply = {0};
    client->timeout_ms = 50;
    assert_false(resp_client_read(client, &reply));
    client->timeout_ms = timeout_ms;
}

static void wait_for_held_call(struct fixture *f)
{
    while (vfs_fault_held_count(f->fault) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Its reply is held, so another client looks. */
static void wait_for_executed(struct fixture *f, const char *statistic)
{
    while (!strstr(resp_client_ask(&f->b, &f->shown, "INFO", "commandstats"), statistic))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void always_sends_no_reply_before_its_sync(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    send_text(&f->a, "SET k before\r\n");
    expect_reply(&f->a, "+OK");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k after\r\nPING\r\n");
    wait_for_held_call(f);
    expect_nothing(&f->a); /* not even the PING: replies keep their order */
    send_text(&f->b, "PING\r\n");
    expect_reply(&f->b, "+PONG"); /* who waits for nothing is answered */
    vfs_fault_release(f->fault);
    expect_reply(&f->a, "+OK");
    expect_reply(&f->a, "+PONG");
}

/* So long that it would be sent at once. */
static void a_large_reply_waits_for_its_sync_too(void **state)
{
    enum { LARGE_BYTES = 100000 };
    struct fixture *f = *state;
    struct resp_reply reply = {0};
    start(f, "always");
    send_text(&f->a, "SETRANGE large 99999 x\r\n");
    expect_reply(&f->a, ":100000");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k v\r\nGET large\r\n");
    wait_for_held_call(f);
    expect_nothing(&f->a);
    send_text(&f->b, "GET large\r\n");
    assert_true(resp_client_read(&f->b, &reply));
    assert_int_equal(reply.text.size, LARGE_BYTES);
    vfs_fault_release(f->fault);
    expect_reply(&f->a, "+OK");
    assert_true(resp_client_read(&f->a, &reply));
    assert_int_equal(reply.text.size, LARGE_BYTES);
    resp_reply_release(&reply);
}

static void always_reveals_to_nobody_what_is_not_synced(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    send_text(&f->a, "SET gone 1\r\nSET other 1\r\n");
    expect_reply(&f->a, "+OK");
    expect_reply(&f->a, "+OK");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k v\r\nDEL gone\r\n");
    wait_for_executed(f, "cmdstat_del:calls=1,");
    wait_for_held_call(f); /* of the log's next segment, perhaps */
    send_text(&f->b, "GET other\r\n");
    expect_reply(&f->b, "\"1\"");
    send_text(&f->b, "GET k\r\n");
    expect_nothing(&f->b);
    send_text(&f->b, "GET gone\r\n");
    expect_nothing(&f->b);
    vfs_fault_release(f->fault);
    expect_reply(&f->a, "+OK");
    expect_reply(&f->a, ":1");
    expect_reply(&f->b, "\"v\"");
    expect_reply(&f->b, "nil");
}

static void everysec_replies_while_the_disk_syncs(void **state)
{
    struct fixture *f = *state;
    start(f, "everysec");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k v\r\n");
    expect_reply(&f->a, "+OK");
    wait_for_held_call(f);
    send_text(&f->a, "SET k w\r\n");
    expect_reply(&f->a, "+OK");
    send_text(&f->b, "GET k\r\n");
    expect_reply(&f->b, "\"w\"");
}

static void a_change_to_everysec_lets_held_replies_go(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k v\r\n");
    wait_for_held_call(f);
    send_text(&f->b, "CONFIG SET appendfsync everysec\r\n");
    expect_reply(&f->b, "+OK");
    expect_reply(&f->a, "+OK");
}

/* The second one's write came while the disk was syncing, and was not written either. */
static void such_a_change_writes_what_was_not_written(void **state)
{
    struct fixture *f = *state;
    struct resp_client second;
    start(f, "always");
    assert_true(resp_client_open_unix(&second, f->path));
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "SET k v\r\n");
    wait_for_held_call(f);
    send_text(&second, "INCR other\r\n");
    wait_for_executed(f, "cmdstat_incr:calls=1,");
    send_text(&f->b, "CONFIG SET appendfsync everysec\r\n");
    expect_reply(&f->b, "+OK");
    expect_reply(&f->a, "+OK");
    expect_reply(&second, ":1");
    resp_client_close(&second);
}

static void a_failed_sync_closes_those_who_wait_and_refuses_writes(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    send_text(&f->a, "SET k durable\r\n");
    expect_reply(&f->a, "+OK");
    vfs_fault_fail(f->fault, syncs, 1, STATUS_IO, true);
    send_text(&f->a, "SET k lost\r\n");
    assert_true(resp_client_sees_close(&f->a));
    send_text(&f->b, "GET k\r\n");
    expect_reply(&f->b, "\"durable\"");
    struct resp_reply reply = {0};
    send_text(&f->b, "SET k again\r\n");
    assert_true(resp_client_read(&f->b, &reply));
    assert_int_equal(reply.type, '-');
    assert_true(slice_starts_with(buffer_slice(&reply.text), slice_from("MISCONF")));
    resp_reply_release(&reply);
}

/* ---- Parcels ----------------------------------------------------------------------------------- */

/* More than the log thread sends. */
static void each_of_many_clients_gets_its_reply(void **state)
{
    enum { CLIENTS = 60, ROUNDS = 3 };
    struct fixture *f = *state;
    struct resp_client clients[CLIENTS];
    start(f, "always");
    for (int i = 0; i < CLIENTS; i++)
        assert_true(resp_client_open_unix(&clients[i], f->path));
    for (int round = 0; round < ROUNDS; round++) {
        char calls[40];
        vfs_fault_hold(f->fault, syncs, ".wal");
        for (int i = 0; i < CLIENTS; i++)
            send_text(&clients[i], "INCR k\r\n");
        snprintf(calls, sizeof calls, "cmdstat_incr:calls=%d,", (round + 1) * CLIENTS);
        wait_for_executed(f, calls);
        vfs_fault_release(f->fault);
        for (int i = 0; i < CLIENTS; i++) {
            struct resp_reply reply = {0};
            assert_true(resp_client_read(&clients[i], &reply));
            assert_int_equal(reply.type, ':');
            resp_reply_release(&reply);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        resp_client_close(&clients[i]);
}

static void replies_behind_one_that_waits_keep_their_order(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "INCR k\r\n");
    wait_for_executed(f, "cmdstat_incr:calls=1,");
    send_text(&f->a, "ECHO first\r\nINCR k\r\n");
    wait_for_executed(f, "cmdstat_incr:calls=2,");
    send_text(&f->a, "ECHO second\r\nQUIT\r\n");
    wait_for_executed(f, "cmdstat_echo:calls=2,");
    expect_nothing(&f->a);
    vfs_fault_release(f->fault);
    expect_reply(&f->a, ":1");
    expect_reply(&f->a, "\"first\"");
    expect_reply(&f->a, ":2");
    expect_reply(&f->a, "\"second\"");
    expect_reply(&f->a, "+OK");
    assert_true(resp_client_sees_close(&f->a));
}

static void a_client_that_sends_no_more_gets_what_waits(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "INCR k\r\n");
    wait_for_executed(f, "cmdstat_incr:calls=1,");
    assert_int_equal(shutdown(f->a.socket, SHUT_WR), 0); /* it ends behind it, too */
    send_text(&f->b, "PING\r\n");
    expect_reply(&f->b, "+PONG");
    vfs_fault_release(f->fault);
    expect_reply(&f->a, ":1");
    assert_true(resp_client_sees_close(&f->a));
}

static void a_client_may_go_while_its_reply_waits(void **state)
{
    struct fixture *f = *state;
    start(f, "always");
    char kill[64];
    snprintf(kill, sizeof kill, "CLIENT KILL ID %s\r\n",
             resp_client_ask(&f->a, &f->shown, "CLIENT", "ID") + 1); /* :number */
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&f->a, "INCR k\r\n");
    wait_for_executed(f, "cmdstat_incr:calls=1,");
    send_text(&f->b, kill);
    expect_reply(&f->b, ":1");
    vfs_fault_release(f->fault);
    (void)resp_client_sees_close(&f->a); /* before its reply, or behind it */
    send_text(&f->b, "INCR k\r\n");
    expect_reply(&f->b, ":2");
}

/* Its socket is full soon; what does not find room there is sent as it reads. */
static void who_does_not_read_gets_all_later(void **state)
{
    enum { REQUESTS = 80, VALUE_BYTES = 4000 };
    struct fixture *f = *state;
    char text[64];
    start(f, "always");
    snprintf(text, sizeof text, "SETRANGE v %d x\r\n", VALUE_BYTES - 1);
    send_text(&f->b, text);
    expect_reply(&f->b, ":4000");
    for (int i = 1; i <= REQUESTS; i++) {
        send_text(&f->a, "INCR k\r\nGET v\r\n");
        snprintf(text, sizeof text, "cmdstat_incr:calls=%d,", i);
        wait_for_executed(f, text); /* one by one, so that each is small */
        send_text(&f->b, "SET other v\r\n");
        expect_reply(&f->b, "+OK");
    }
    for (int i = 1; i <= REQUESTS; i++) {
        struct resp_reply reply = {0};
        snprintf(text, sizeof text, ":%d", i);
        expect_reply(&f->a, text);
        assert_true(resp_client_read(&f->a, &reply));
        assert_int_equal(reply.text.size, VALUE_BYTES);
        resp_reply_release(&reply);
    }
}

#ifdef CORDWOOD_TLS

/* Starts with a TLS port, and connects. */
static void start_tls(struct fixture *f, struct tls_client *client)
{
    struct tls_identity identity;
    char certificate[TEMP_DIRECTORY_BYTES + 32], key[TEMP_DIRECTORY_BYTES + 32], text[16];
    int port = test_server_free_port();
    snprintf(certificate, sizeof(certificate), "%.*s/s.pem", TEMP_DIRECTORY_BYTES, f->directory);
    snprintf(key, sizeof(key), "%.*s/s.key", TEMP_DIRECTORY_BYTES, f->directory);
    snprintf(text, sizeof(text), "%d", port);
    tls_identity_make(&identity, "server", NULL);
    tls_identity_write(&identity, certificate, key, NULL);
    set(f, "tls-port", text);
    set(f, "tls-cert-file", certificate);
    set(f, "tls-key-file", key);
    set(f, "tls-auth-clients", "no");
    start(f, "always");
    assert_true(tls_client_open(client, "127.0.0.1", port,
                                &(struct tls_peer_options){.authority = &identity}));
    tls_identity_release(&identity);
}

static void over_tls_always_sends_no_reply_before_its_sync(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    start_tls(f, &client);
    send_text(&client.plain, "SET k before\r\n");
    expect_reply(&client.plain, "+OK");
    vfs_fault_hold(f->fault, syncs, ".wal");
    send_text(&client.plain, "SET k after\r\nPING\r\n");
    wait_for_held_call(f);
    expect_nothing(&client.plain);
    send_text(&f->b, "PING\r\n");
    expect_reply(&f->b, "+PONG");
    vfs_fault_release(f->fault);
    expect_reply(&client.plain, "+OK");
    expect_reply(&client.plain, "+PONG");
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

static void over_tls_a_failed_sync_closes_those_who_wait(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    start_tls(f, &client);
    vfs_fault_fail(f->fault, syncs, 1, STATUS_IO, true);
    send_text(&client.plain, "SET k lost\r\n");
    assert_true(resp_client_sees_close(&client.plain));
    assert_int_equal(tls_client_close(&client), PEER_OPEN); /* no end was said */
}

#endif

/* Connections are dealt to the two loops in turn: b and the subscriber live on the one that is held, a on the
 * other. b is closed. */
static void hold_the_loop_of_a_subscriber(struct fixture *f, struct resp_client clients[2])
{
    char large[2000];
    memset(large, 'x', sizeof(large));
    start(f, "everysec");
    atomic_store(&held_log.is_wanted, true);
    assert_true(resp_client_open_unix(&clients[0], f->path));
    assert_true(resp_client_open_unix(&clients[1], f->path));
    send_text(&clients[1], "SUBSCRIBE news\r\n");
    expect_reply(&clients[1], "[\"subscribe\", \"news\", :1]");
    send_text(&f->a, "CONFIG SET client-output-buffer-limit \"normal 1000 0 0\"\r\n");
    expect_reply(&f->a, "+OK");
    send_text(&f->b, "PING "); /* behind the subscription: its loop is done with that */
    assert_true(resp_client_send(&f->b, slice_make(large, sizeof(large))));
    send_text(&f->b, "\r\n");
    assert_int_equal(sem_wait(&held_log.reached), 0);
}

static void let_it_go_on(struct resp_client clients[2])
{
    sem_post(&held_log.go_on);
    resp_client_close(&clients[0]);
    resp_client_close(&clients[1]);
}

static void a_message_reaches_a_subscriber_whose_loop_is_held(void **state)
{
    struct fixture *f = *state;
    struct resp_client clients[2];
    hold_the_loop_of_a_subscriber(f, clients);
    send_text(&f->a, "PUBLISH news hello\r\n");
    expect_reply(&f->a, ":1");
    expect_reply(&clients[1], "[\"message\", \"news\", \"hello\"]");
    let_it_go_on(clients);
}

/* Of two clients whose requests one iteration reads, the second one's holds the loop: the first has its large
 * reply all the same. */
static void a_large_reply_does_not_wait_for_who_comes_after_it(void **state)
{
    enum { LARGE_BYTES = 100000, CLIENTS = 3 };
    struct fixture *f = *state;
    struct resp_client clients[CLIENTS]; /* the first and the last are on the loop of a */
    struct resp_reply reply = {0};
    start(f, "everysec");
    for (int i = 0; i < CLIENTS; i++)
        assert_true(resp_client_open_unix(&clients[i], f->path));
    send_text(&f->a, "CONFIG SET client-output-buffer-limit \"normal 200000 0 0\"\r\n");
    expect_reply(&f->a, "+OK");
    send_text(&f->a, "SETRANGE large 99999 x\r\nSETRANGE huge 299999 x\r\n");
    expect_reply(&f->a, ":100000");
    expect_reply(&f->a, ":300000");
    atomic_store(&held_log.is_wanted, true);
    send_text(&clients[0], "GET huge\r\n");
    assert_int_equal(sem_wait(&held_log.reached), 0);
    atomic_store(&held_log.is_wanted, true);
    send_text(&f->a, "GET large\r\n");
    send_text(&clients[2], "GET huge\r\n");
    sem_post(&held_log.go_on);
    assert_int_equal(sem_wait(&held_log.reached), 0);
    assert_true(resp_client_read(&f->a, &reply));
    assert_int_equal(reply.text.size, LARGE_BYTES);
    resp_reply_release(&reply);
    sem_post(&held_log.go_on);
    for (int i = 0; i < CLIENTS; i++)
        resp_client_close(&clients[i]);
}

/* The socket takes a part of it. The subscriber's loop then sees its request before it hears of the rest. */
static void a_message_that_is_cut_goes_on_before_a_reply(void **state)
{
    enum { LARGE_BYTES = 250000 };
    struct fixture *f = *state;
    struct resp_client clients[2];
    struct resp_reply reply = {0};
    struct buffer request = {0};
    static char text[LARGE_BYTES];
    memset(text, 'x', sizeof text);
    hold_the_loop_of_a_subscriber(f, clients);
    send_text(&clients[1], "PING\r\n");
    struct slice words[] = {slice_from("PUBLISH"), slice_from("news"),
                            slice_make(text, sizeof text)};
    resp_client_encode(&request, words, 3);
    assert_true(resp_client_send(&f->a, buffer_slice(&request)));
    struct pollfd has_come = {clients[1].socket, POLLIN, 0};
    assert_int_equal(poll(&has_come, 1, clients[1].timeout_ms), 1);
    sem_post(&held_log.go_on);
    assert_true(resp_client_read(&clients[1], &reply));
    assert_int_equal(reply.count, 3);
    assert_int_equal(reply.children[2].text.size, LARGE_BYTES);
    resp_reply_release(&reply);
    expect_reply(&clients[1], "[\"pong\", \"\"]");
    let_it_go_on(clients);
    buffer_release(&request);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ONE_LOOP(name)                                               \
    {                                                                \
#name "_with_one_loop", name, setup_one_loop, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        TEST(always_sends_no_reply_before_its_sync),
        TEST(a_large_reply_waits_for_its_sync_too),
        TEST(a_large_reply_does_not_wait_for_who_comes_after_it),
        TEST(always_reveals_to_nobody_what_is_not_synced),
        TEST(everysec_replies_while_the_disk_syncs),
        TEST(a_change_to_everysec_lets_held_replies_go),
        TEST(such_a_change_writes_what_was_not_written),
        TEST(a_message_reaches_a_subscriber_whose_loop_is_held),
        TEST(a_message_that_is_cut_goes_on_before_a_reply),
        TEST(a_failed_sync_closes_those_who_wait_and_refuses_writes),
        ONE_LOOP(always_sends_no_reply_before_its_sync),
        ONE_LOOP(a_large_reply_waits_for_its_sync_too),
        ONE_LOOP(always_reveals_to_nobody_what_is_not_synced),
        ONE_LOOP(a_change_to_everysec_lets_held_replies_go),
        ONE_LOOP(such_a_change_writes_what_was_not_written),
        ONE_LOOP(a_failed_sync_closes_those_who_wait_and_refuses_writes),
        TEST(each_of_many_clients_gets_its_reply),
        ONE_LOOP(each_of_many_clients_gets_its_reply),
        TEST(replies_behind_one_that_waits_keep_their_order),
        ONE_LOOP(replies_behind_one_that_waits_keep_their_order),
        TEST(a_client_that_sends_no_more_gets_what_waits),
        ONE_LOOP(a_client_that_sends_no_more_gets_what_waits),
        TEST(a_client_may_go_while_its_reply_waits),
        ONE_LOOP(a_client_may_go_while_its_reply_waits),
        TEST(who_does_not_read_gets_all_later),
        ONE_LOOP(who_does_not_read_gets_all_later),
#ifdef CORDWOOD_TLS
        TEST(over_tls_always_sends_no_reply_before_its_sync),
        TEST(over_tls_a_failed_sync_closes_those_who_wait),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
