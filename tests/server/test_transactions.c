/* SPDX-License-Identifier: MIT */
/* Isolation of transactions, at random: clients on two event loops move amounts between accounts, each with WATCH, GET and
 * MULTI, or with a blind transaction over lists; others read all accounts in one transaction. The sum is the
 * same for everybody, all the time, and after kill -9: a transaction is seen and kept as a whole. */
#include "lib/seed.h"
#include "lib/test_server.h"

#include "base/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ACCOUNTS = 6, AMOUNT = 1000, MOVERS = 3, ROUNDS = 300, KILLS = 2 };

struct client {
    struct test_server *server;
    uint64_t seed;
    atomic_ullong *done; /* moves that were executed */
    atomic_bool *stop;
    uint64_t broken; /* moves whose accounts had changed */
    bool failed;     /* a reply that must not be */
    pthread_t thread;
};

static int64_t balance(struct resp_client *client, unsigned account, bool *gone)
{
    char key[16];
    struct buffer shown = {0};
    snprintf(key, sizeof key, "account%u", account);
    const char *text = resp_client_ask(client, &shown, "GET", key);
    *gone = !text || text[0] != '"';
    int64_t value = *gone ? 0 : strtoll(text + 1, NULL, 10);
    buffer_release(&shown);
    return value;
}

/* Sends without looking at the reply's content; false: the server is gone. */
static bool tell(struct resp_client *client, struct buffer *shown, const char *expected,
                 const char *a, const char *b, const char *c)
{
    struct slice words[3] = {slice_from(a)};
    size_t count = 1;
    if (b)
        words[count++] = slice_from(b);
    if (c)
        words[count++] = slice_from(c);
    struct buffer request = {0};
    struct resp_reply reply = {0};
    resp_client_encode(&request, words, count);
    bool is_there =
        resp_client_send(client, buffer_slice(&request)) && resp_client_read(client, &reply);
    buffer_release(&request);
    buffer_clear(shown);
    if (is_there) {
        resp_reply_show(&reply, shown);
        is_there = !expected || slice_equal(buffer_slice(shown), slice_from(expected));
    }
    resp_reply_release(&reply);
    return is_there;
}

static bool move_once(struct client *client, struct resp_client *connection, struct random *random)
{
    unsigned from = (unsigned)random_below(random, ACCOUNTS);
    unsigned to = (from + 1 + (unsigned)random_below(random, ACCOUNTS - 1)) % ACCOUNTS;
    int64_t amount = 1 + (int64_t)random_below(random, 50);
    char from_key[16], to_key[16], from_value[24], to_value[24];
    struct buffer shown = {0};
    bool gone_from, gone_to;
    snprintf(from_key, sizeof from_key, "account%u", from);
    snprintf(to_key, sizeof to_key, "account%u", to);
    bool ok = tell(connection, &shown, "+OK", "WATCH", from_key, to_key);
    int64_t from_balance = ok ? balance(connection, from, &gone_from) : 0;
    int64_t to_balance = ok ? balance(connection, to, &gone_to) : 0;
    ok = ok && !gone_from && !gone_to;
    snprintf(from_value, sizeof from_value, "%lld", (long long)(from_balance - amount));
    snprintf(to_value, sizeof to_value, "%lld", (long long)(to_balance + amount));
    ok = ok && tell(connection, &shown, "+OK", "MULTI", NULL, NULL) &&
         tell(connection, &shown, "+QUEUED", "SET", from_key, from_value) &&
         tell(connection, &shown, "+QUEUED", "SET", to_key, to_value) &&
         tell(connection, &shown, "+QUEUED", "RPUSH", "moves", from_key) &&
         tell(connection, &shown, NULL, "EXEC", NULL, NULL);
    if (ok && slice_starts_with(buffer_slice(&shown), slice_from("[+OK")))
        atomic_fetch_add(client->done, 1);
    else if (ok)
        client->broken++;
    buffer_release(&shown);
    return ok;
}

static void *move(void *context)
{
    struct client *client = context;
    struct resp_client connection;
    struct random random;
    random_init(&random, client->seed);
    test_server_connect(client->server, &connection);
    for (unsigned round = 0; round < ROUNDS && !client->failed; round++)
        client->failed = !move_once(client, &connection, &random);
    resp_client_close(&connection);
    return NULL;
}

/* The sum of all accounts as one transaction shows them, and how many moves the list has; -1: no such reply. */
static int64_t look(struct resp_client *connection, struct buffer *shown, int64_t *moves)
{
    char key[16];
    int64_t sum = 0;
    if (!tell(connection, shown, "+OK", "MULTI", NULL, NULL))
        return -1;
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        snprintf(key, sizeof key, "account%u", account);
        if (!tell(connection, shown, "+QUEUED", "GET", key, NULL))
            return -1;
    }
    if (!tell(connection, shown, "+QUEUED", "LLEN", "moves", NULL) ||
        !tell(connection, shown, NULL, "EXEC", NULL, NULL))
        return -1;
    buffer_append_byte(shown, 0);
    const char *at = (const char *)shown->data;
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        at = strchr(at, '"');
        if (!at)
            return -1;
        sum += strtoll(at + 1, (char **)&at, 10);
        at++;
    }
    at = strchr(at, ':');
    *moves = at ? strtoll(at + 1, NULL, 10) : -1;
    return sum;
}

static void *watch_the_sum(void *context)
{
    struct client *client = context;
    struct resp_client connection;
    struct buffer shown = {0};
    int64_t newest = 0;
    test_server_connect(client->server, &connection);
    while (!atomic_load(client->stop) && !client->failed) {
        int64_t moves, sum = look(&connection, &shown, &moves);
        client->failed = sum != ACCOUNTS * AMOUNT || moves < newest;
        newest = moves;
    }
    resp_client_close(&connection);
    buffer_release(&shown);
    return NULL;
}

static void run_clients(struct test_server *server, uint64_t seed, atomic_ullong *done)
{
    struct client movers[MOVERS], watcher = {.server = server};
    atomic_bool stop = false;
    uint64_t broken = 0;
    watcher.stop = &stop;
    pthread_create(&watcher.thread, NULL, watch_the_sum, &watcher);
    for (unsigned i = 0; i < MOVERS; i++) {
        movers[i] = (struct client){.server = server, .seed = seed + i, .done = done};
        pthread_create(&movers[i].thread, NULL, move, &movers[i]);
    }
    for (unsigned i = 0; i < MOVERS; i++) {
        pthread_join(movers[i].thread, NULL);
        assert_false(movers[i].failed);
        broken += movers[i].broken;
    }
    atomic_store(&stop, true);
    pthread_join(watcher.thread, NULL);
    assert_false(watcher.failed);
    print_message("moves: %llu executed in all, %llu met another one\n",
                  (unsigned long long)atomic_load(done), (unsigned long long)broken);
}

static void the_sum_of_all_accounts_never_changes(void **state)
{
    static const char *const flags[] = {"--io-threads", "2", "--memtable-size", "1mb", NULL};
    struct test_server server;
    struct resp_client connection;
    struct buffer shown = {0};
    atomic_ullong done = 0;
    uint64_t seed = test_seed();
    char key[16], value[24];
    int64_t moves;
    (void)state;
    test_server_init(&server, SERVER_CORDWOOD);
    test_server_start(&server, flags);
    test_server_connect(&server, &connection);
    snprintf(value, sizeof value, "%d", AMOUNT);
    for (unsigned account = 0; account < ACCOUNTS; account++) {
        snprintf(key, sizeof key, "account%u", account);
        assert_string_equal(resp_client_ask(&connection, &shown, "SET", key, value), "+OK");
    }
    for (unsigned kill = 0; kill <= KILLS; kill++) {
        run_clients(&server, seed + 100 * kill, &done);
        resp_client_close(&connection);
        test_server_kill(&server);
        test_server_start(&server, flags);
        test_server_connect(&server, &connection);
        assert_int_equal(look(&connection, &shown, &moves), ACCOUNTS * AMOUNT);
        assert_int_equal(moves, atomic_load(&done));
    }
    assert_string_equal(resp_client_ask(&connection, &shown, "DEBUG", "INVARIANTS"), "+OK");
    buffer_release(&shown);
    resp_client_close(&connection);
    assert_int_equal(test_server_stop(&server), 0);
    test_server_release(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_of_all_accounts_never_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
