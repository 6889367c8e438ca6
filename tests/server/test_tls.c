/* SPDX-License-Identifier: MIT */
/* A server's TLS ports, and what CONFIG SET does to them while clients are there. */
#include "server/server_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#ifdef CORDWOOD_TLS

#include "lib/tls_client.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = TEMP_DIRECTORY_BYTES + 32, FLAGS_MAX = 40 };

static struct tls_identity authority, stranger, server_identity, client_identity, stray;

static struct files {
    char authority[PATH_BYTES], certificate[PATH_BYTES], key[PATH_BYTES];
    char client_certificate[PATH_BYTES], client_key[PATH_BYTES];
    int port;
    char port_text[16];
} files;

static int make_identities(void **state)
{
    (void)state;
    tls_identity_make(&authority, "authority", NULL);
    tls_identity_make(&stranger, "stranger", NULL);
    tls_identity_make(&server_identity, "server", &authority);
    tls_identity_make(&client_identity, "client", &authority);
    tls_identity_make(&stray, "stray", &stranger);
    return 0;
}

static int release_identities(void **state)
{
    (void)state;
    tls_identity_release(&authority);
    tls_identity_release(&stranger);
    tls_identity_release(&server_identity);
    tls_identity_release(&client_identity);
    tls_identity_release(&stray);
    return 0;
}

static void name_file(struct fixture *f, char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%.*s/%.24s", TEMP_DIRECTORY_BYTES, f->server.directory, name);
}

static int setup_tls(void **state)
{
    setup(state);
    struct fixture *f = *state;
    name_file(f, files.authority, "authority.pem");
    name_file(f, files.certificate, "server.pem");
    name_file(f, files.key, "server.key");
    name_file(f, files.client_certificate, "client.pem");
    name_file(f, files.client_key, "client.key");
    tls_identity_write(&authority, files.authority, NULL, NULL);
    tls_identity_write(&server_identity, files.certificate, files.key, NULL);
    tls_identity_write(&client_identity, files.client_certificate, files.client_key, NULL);
    files.port = test_server_free_port();
    snprintf(files.port_text, sizeof(files.port_text), "%d", files.port);
    return 0;
}

/* With a TLS port, no certificates of clients, and what else `flags` say. */
static void start_tls(struct fixture *f, const char *const *flags)
{
    static const char *const usual[] = {"--io-threads",       "2",  "--loglevel",         "verbose",
                                        "--tls-auth-clients", "no", "--wal-segment-size", "1mb"};
    const char *all[FLAGS_MAX] = {
        "--tls-port",     files.port_text, "--tls-cert-file",    files.certificate,
        "--tls-key-file", files.key,       "--tls-ca-cert-file", files.authority,
    };
    size_t count = 8;
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
        all[count++] = usual[i];
    while (flags && *flags && count + 1 < FLAGS_MAX)
        all[count++] = *flags++;
    start(f, all);
}
#define START_TLS(f, ...) start_tls(f, (const char *const[]){__VA_ARGS__, NULL})

static bool try_open(struct tls_client *client, const struct tls_identity *identity)
{
    return tls_client_open(
        client, "127.0.0.1", files.port,
        &(struct tls_peer_options){.authority = &authority, .identity = identity});
}

static void open_client(struct tls_client *client)
{
    assert_true(try_open(client, NULL));
}

static void expect(struct fixture *f, struct resp_client *client, const char *shown,
                   const char *const *words)
{
    assert_string_equal(resp_client_ask_texts(client, &f->shown, words), shown);
}
#define EXPECT(f, client, shown, ...) \
    expect(f, client, shown, (const char *const[]){__VA_ARGS__, NULL})

static void expect_reply(struct resp_client *client, const char *shown)
{
    struct resp_reply reply = {0};
    assert_true(resp_client_read(client, &reply));
    assert_true(resp_reply_is(&reply, shown));
    resp_reply_release(&reply);
}

/* The log says it, now or soon: it is written before a connection closes, or about then. */
static void expect_log(struct fixture *f, const char *words)
{
    for (int i = 0; i < 1000 && !strstr(log_text(f), words); i++)
        usleep(2000);
    if (!strstr(log_text(f), words))
        fail_msg("\"%s\" is not in: %s", words, log_text(f));
}

/* ---- Commands ---------------------------------------------------------------------------------- */

static void commands_are_answered_in_both_protocols(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, NULL);
    open_client(&client);
    EXPECT(f, &client.plain, "+OK", "SET", "k", "v");
    EXPECT(f, &client.plain, "\"v\"", "GET", "k");
    EXPECT(f, &f->client, "\"v\"", "GET", "k");
    const char *shown = resp_client_ask(&client.plain, &f->shown, "HELLO", "3");
    assert_non_null(strstr(shown, "\"proto\": :3"));
    EXPECT(f, &client.plain, "nil", "GET", "nothing");
    char port[32];
    snprintf(port, sizeof(port), "laddr=127.0.0.1:%d", files.port);
    shown = resp_client_ask(&client.plain, &f->shown, "CLIENT", "INFO");
    assert_non_null(strstr(shown, port));
    assert_non_null(strstr(shown, "addr=127.0.0.1:"));
    snprintf(port, sizeof(port), "tcp_port:%d\\r", files.port);
    assert_non_null(strstr(resp_client_ask(&client.plain, &f->shown, "INFO", "server"), port));
    EXPECT(f, &client.plain, "+OK", "QUIT");
    assert_true(resp_client_sees_close(&client.plain));
    assert_int_equal(tls_client_close(&client), PEER_ENDED); /* TLS has said so, too */
    expect_log(f, "(Redis protocol over TLS)");
    assert_int_equal(test_server_stop(&f->server), 0);
}

struct sending {
    struct resp_client *client;
    struct slice bytes;
};

static void *send_all(void *context)
{
    struct sending *sending = context;
    return resp_client_send(sending->client, sending->bytes) ? sending : NULL;
}

/* 48 values of 128 KiB in, and out again, in one pipeline. */
static void pipelines_of_megabytes_come_in_and_go_out(void **state)
{
    enum { COUNT = 48, BYTES = 128 * 1024 };
    struct fixture *f = *state;
    struct tls_client client;
    struct buffer request = {0}, value = {0};
    START_TLS(f, NULL);
    open_client(&client);
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        buffer_clear(&value);
        for (int j = 0; j < BYTES; j++)
            buffer_append_byte(&value, (uint8_t)(i + j * 7 + j / 251));
        const struct slice set[] = {slice_from("SET"), slice_from(key), buffer_slice(&value)};
        resp_client_encode(&request, set, 3);
        resp_client_encode(&request, (const struct slice[]){slice_from("GET"), slice_from(key)}, 2);
    }
    struct sending sending = {&client.plain, buffer_slice(&request)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &sending), 0);
    for (int i = 0; i < COUNT; i++) {
        struct resp_reply reply = {0};
        expect_reply(&client.plain, "+OK");
        assert_true(resp_client_read(&client.plain, &reply));
        assert_int_equal(reply.type, '$');
        assert_int_equal(reply.text.size, BYTES);
        for (int j = 0; j < BYTES; j++)
            assert_int_equal(reply.text.data[j], (uint8_t)(i + j * 7 + j / 251));
        resp_reply_release(&reply);
    }
    void *sent = NULL;
    pthread_join(thread, &sent);
    assert_non_null(sent);
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
    buffer_release(&request);
    buffer_release(&value);
}

static void messages_and_served_waits_arrive(void **state)
{
    struct fixture *f = *state;
    struct tls_client subscriber, waiter;
    START_TLS(f, NULL);
    open_client(&subscriber);
    open_client(&waiter);
    EXPECT(f, &subscriber.plain, "[\"subscribe\", \"news\", :1]", "SUBSCRIBE", "news");
    assert_true(resp_client_send(&waiter.plain, slice_from("BLPOP list 0\r\n")));
    EXPECT(f, &f->client, ":1", "PUBLISH", "news", "hello");
    expect_reply(&subscriber.plain, "[\"message\", \"news\", \"hello\"]");
    EXPECT(f, &f->client, ":1", "RPUSH", "list", "element");
    expect_reply(&waiter.plain, "[\"list\", \"element\"]");
    EXPECT(f, &waiter.plain, "nil-array", "BLPOP", "list", "0.01");
    assert_int_equal(tls_client_close(&subscriber), PEER_ENDED);
    assert_int_equal(tls_client_close(&waiter), PEER_ENDED);
}

static void always_answers_when_it_is_synced(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, "--appendfsync", "always");
    open_client(&client);
    struct buffer request = {0};
    for (int i = 0; i < 100; i++)
        buffer_append_text(&request, "RPUSH list element\r\nLLEN list\r\n");
    assert_true(resp_client_send(&client.plain, buffer_slice(&request)));
    for (int i = 1; i <= 100; i++) {
        char shown[16];
        snprintf(shown, sizeof(shown), ":%d", i);
        expect_reply(&client.plain, shown);
        expect_reply(&client.plain, shown);
    }
    buffer_release(&request);
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
    test_server_kill(&f->server);
    resp_client_close(&f->client);
    start(f, NULL);
    EXPECT(f, &f->client, ":100", "LLEN", "list");
}

static void connections_stay_over_a_reload_of_the_store(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, NULL);
    open_client(&client);
    EXPECT(f, &client.plain, "+OK", "SET", "k", "v");
    EXPECT(f, &client.plain, "+OK", "DEBUG", "RELOAD");
    EXPECT(f, &client.plain, "\"v\"", "GET", "k");
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

static void json_lines_go_over_tls_too(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    char port[16];
    int json_port = test_server_free_port();
    snprintf(port, sizeof(port), "%d", json_port);
    START_TLS(f, "--json-tls-port", port, "--tls-port", "0");
    assert_true(tls_client_open(&client, "127.0.0.1", json_port,
                                &(struct tls_peer_options){.authority = &authority}));
    struct slice line;
    assert_true(resp_client_send(
        &client.plain, slice_from("{\"action\":\"write\",\"log\":\"l\",\"message\":\"hello\"}\n")));
    assert_true(resp_client_read_line(&client.plain, &line));
    assert_true(slice_starts_with(line, slice_from("{\"status\":\"ok\"")));
    EXPECT(f, &f->client, ":1", "XLEN", "l");
    /* Half a line is answered when the client says that no more comes. */
    assert_true(resp_client_send(&client.plain, slice_from("{\"action\":")));
    shutdown(client.plain.socket, SHUT_WR);
    assert_true(resp_client_read_line(&client.plain, &line));
    assert_true(slice_starts_with(line, slice_from("{\"status\":\"error\"")));
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

static void redis_cli_gets_in(void **state)
{
    struct fixture *f = *state;
    char command[1024], answer[256] = "";
    if (system("redis-cli --help 2>&1 | grep -q -- --tls") != 0)
        skip();
    START_TLS(f, "--tls-auth-clients", "yes");
    snprintf(command, sizeof(command),
             "redis-cli --tls --cacert %s --cert %s --key %s -p %d ECHO hello 2>&1",
             files.authority, files.client_certificate, files.client_key, files.port);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = fread(answer, 1, sizeof(answer) - 1, pipe);
    answer[size] = 0;
    assert_int_equal(pclose(pipe), 0);
    assert_string_equal(answer, "hello\n");
}

/* ---- Who gets in ------------------------------------------------------------------------------- */

/* With TLS 1.3 the client is done before the server has looked at its certificate. */
static void expect_turned_away(const struct tls_identity *identity)
{
    struct tls_client client;
    if (!try_open(&client, identity))
        return;
    assert_true(resp_client_send(&client.plain, slice_from("PING\r\n")) ||
                resp_client_sees_close(&client.plain));
    assert_true(resp_client_sees_close(&client.plain));
    assert_int_equal(tls_client_close(&client), PEER_FAILED);
}

static void expect_let_in(struct fixture *f, const struct tls_identity *identity)
{
    struct tls_client client;
    assert_true(try_open(&client, identity));
    EXPECT(f, &client.plain, "+PONG", "PING");
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

static void a_client_shows_a_certificate_as_configured(void **state)
{
    struct fixture *f = *state;
    START_TLS(f, "--tls-auth-clients", "yes");
    expect_let_in(f, &client_identity);
    expect_turned_away(NULL);
    expect_log(f, "peer did not return a certificate");
    expect_turned_away(&stray);
    expect_log(f, "the client's certificate is refused: ");
    EXPECT(f, &f->client, "+OK", "CONFIG", "SET", "tls-auth-clients", "optional");
    expect_let_in(f, &client_identity);
    expect_let_in(f, NULL);
    expect_turned_away(&stray);
    EXPECT(f, &f->client, "+OK", "CONFIG", "SET", "tls-auth-clients", "no");
    expect_let_in(f, NULL);
    expect_let_in(f, &stray);
}

static void who_does_not_speak_tls_is_closed(void **state)
{
    struct fixture *f = *state;
    struct resp_client client;
    struct tls_client other;
    START_TLS(f, NULL);
    open_client(&other);
    assert_true(resp_client_open_tcp(&client, "127.0.0.1", files.port));
    assert_true(resp_client_send(&client, slice_from("*1\r\n$4\r\nPING\r\n")));
    struct resp_reply reply = {0};
    assert_false(resp_client_read(&client, &reply)); /* an alert, which is no reply */
    resp_reply_release(&reply);
    resp_client_close(&client);
    expect_log(f, "has failed: the client does not speak TLS");
    EXPECT(f, &other.plain, "+PONG", "PING");
    assert_int_equal(tls_client_close(&other), PEER_ENDED);
}

/* One that is silent, and one that has begun. */
static void a_handshake_that_does_not_end_is_closed(void **state)
{
    struct fixture *f = *state;
    struct resp_client silent, begun;
    START_TLS(f, "--tls-handshake-timeout", "10ms");
    assert_true(resp_client_open_tcp(&silent, "127.0.0.1", files.port));
    assert_true(resp_client_open_tcp(&begun, "127.0.0.1", files.port));
    assert_true(resp_client_send(&begun, slice_make("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9)));
    assert_true(resp_client_sees_close(&silent));
    assert_true(resp_client_sees_close(&begun));
    resp_client_close(&silent);
    resp_client_close(&begun);
    expect_log(f, "its handshake has taken too long");
    EXPECT(f, &f->client, "+OK", "CONFIG", "SET", "tls-handshake-timeout", "10s");
    expect_let_in(f, NULL);
}

/* One place is taken already, another perhaps still by who waited for the start. */
static void clients_beyond_maxclients_are_closed_without_a_handshake(void **state)
{
    enum { CLIENTS_MAX = 3 };
    struct fixture *f = *state;
    struct tls_client clients[CLIENTS_MAX];
    int count = 0;
    START_TLS(f, "--maxclients", "3");
    while (count < CLIENTS_MAX && try_open(&clients[count], NULL))
        count++;
    assert_in_range(count, 1, CLIENTS_MAX - 1);
    assert_non_null(
        strstr(resp_client_ask(&f->client, &f->shown, "INFO", "stats"), "rejected_connections:1"));
    while (count > 0) {
        EXPECT(f, &clients[--count].plain, "+PONG", "PING");
        assert_int_equal(tls_client_close(&clients[count]), PEER_ENDED);
    }
}

/* Everything that is not loopback counts as outside; a machine without such an address skips this. */
static void protected_mode_is_explained_over_tls(void **state)
{
    struct fixture *f = *state;
    char outer[INET_ADDRSTRLEN] = "";
    struct ifaddrs *first = NULL;
    if (getifaddrs(&first) != 0)
        skip();
    for (struct ifaddrs *at = first; at && !outer[0]; at = at->ifa_next)
        if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET && (at->ifa_flags & IFF_UP) &&
            !(at->ifa_flags & IFF_LOOPBACK))
            inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr,
                      outer, sizeof(outer));
    freeifaddrs(first);
    if (!outer[0])
        skip();
    START_TLS(f, "--bind", "*");
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct tls_client client;
        struct resp_reply reply = {0};
        assert_true(tls_client_open(
            &client, outer, files.port,
            &(struct tls_peer_options){.authority = &authority, .version_max = versions[i]}));
        assert_true(resp_client_read(&client.plain, &reply));
        assert_true(slice_starts_with(buffer_slice(&reply.text), slice_from("DENIED ")));
        resp_reply_release(&reply);
        assert_true(resp_client_sees_close(&client.plain));
        assert_int_equal(tls_client_close(&client), PEER_ENDED);
    }
}

static void a_client_that_is_killed_is_told_the_end(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, NULL);
    open_client(&client);
    EXPECT(f, &client.plain, "+OK", "CLIENT", "SETNAME", "victim");
    EXPECT(f, &f->client, "+PONG", "PING"); /* the server has accepted it */
    EXPECT(f, &client.plain, ":1", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    assert_true(resp_client_sees_close(&f->client));
    resp_client_close(&f->client);
    test_server_connect(&f->server, &f->client);
    EXPECT(f, &f->client, ":1", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    assert_true(resp_client_sees_close(&client.plain));
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

/* The subscriber reads nothing; what it is owed is bounded, records included. */
static void a_subscriber_that_does_not_read_is_closed(void **state)
{
    enum { MESSAGE_BYTES = 256 * 1024 };
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, "--client-output-buffer-limit", "pubsub 1mb 0 0");
    open_client(&client);
    EXPECT(f, &client.plain, "[\"subscribe\", \"c\", :1]", "SUBSCRIBE", "c");
    struct buffer message = {0};
    for (int i = 0; i < MESSAGE_BYTES; i++)
        buffer_append_byte(&message, 'x');
    buffer_append_byte(&message, 0);
    const char *receivers = ":1";
    int published = 0;
    for (; published < 1000 && strcmp(receivers, ":1") == 0; published++)
        receivers = resp_client_ask(&f->client, &f->shown, "PUBLISH", "c", (char *)message.data);
    assert_string_equal(receivers, ":0");
    assert_true(published > 4);
    buffer_release(&message);
    assert_int_equal(tls_client_close(&client),
                     PEER_OPEN); /* no end was said: it was just closed */
}

/* ---- Settings ---------------------------------------------------------------------------------- */

static void a_server_does_not_start_with_what_cannot_be_used(void **state)
{
    struct fixture *f = *state;
    const char *const unset[] = {"--tls-port", files.port_text, NULL};
    assert_int_equal(test_server_start_fails(&f->server, unset), 1);
    assert_non_null(strstr(log_text(f), "tls-cert-file is not set"));
    const char *const wrong[] = {"--tls-port",         files.port_text,  "--tls-cert-file",
                                 files.certificate,    "--tls-key-file", files.client_key,
                                 "--tls-ca-cert-file", files.authority,  NULL};
    assert_int_equal(test_server_start_fails(&f->server, wrong), 1);
    assert_non_null(strstr(log_text(f), "does not belong to the certificate"));
    /* Without a TLS port nobody looks at it. */
    test_server_start(&f->server, wrong + 2);
    test_server_connect(&f->server, &f->client);
    EXPECT(f, &f->client, "+OK", "CONFIG", "SET", "tls-cert-file", "/nowhere");
}

static bool shows(const struct tls_client *client, const struct tls_identity *identity)
{
    return X509_cmp(client->server.certificate, identity->certificate) == 0;
}

static void a_renewed_certificate_is_for_new_connections(void **state)
{
    struct fixture *f = *state;
    struct tls_client old, middle, new;
    struct tls_identity renewed;
    START_TLS(f, NULL);
    open_client(&old);
    assert_true(shows(&old, &server_identity));
    tls_identity_make(&renewed, "server", &authority);
    tls_identity_write(&renewed, files.certificate, files.key, NULL);
    open_client(&middle);
    assert_true(shows(&middle, &server_identity)); /* nobody has said so yet */
    EXPECT(f, &old.plain, "+OK", "CONFIG", "SET", "tls-cert-file", files.certificate);
    open_client(&new);
    assert_true(shows(&new, &renewed));
    EXPECT(f, &old.plain, "+PONG", "PING");
    EXPECT(f, &middle.plain, "+PONG", "PING");
    EXPECT(f, &new.plain, "+PONG", "PING");
    expect_log(f, "TLS has new settings");
    assert_int_equal(tls_client_close(&old), PEER_ENDED);
    assert_int_equal(tls_client_close(&middle), PEER_ENDED);
    assert_int_equal(tls_client_close(&new), PEER_ENDED);
    tls_identity_release(&renewed);
}

static void a_bad_file_is_refused_and_all_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct tls_client client;
    START_TLS(f, NULL);
    EXPECT(f, &f->client,
           "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - tls-cert-file "
           "/nowhere/at.all cannot be read: No such file or directory",
           "CONFIG", "SET", "timeout", "77", "tls-cert-file", "/nowhere/at.all");
    EXPECT(f, &f->client, "[\"timeout\", \"0\"]", "CONFIG", "GET", "timeout");
    const char *shown = resp_client_ask(&f->client, &f->shown, "CONFIG", "GET", "tls-cert-file");
    assert_non_null(strstr(shown, files.certificate));
    EXPECT(f, &f->client,
           "-ERR CONFIG SET failed (possibly related to argument 'tls-protocols') - tls-protocols: "
           "SSLv3 is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3",
           "CONFIG", "SET", "tls-protocols", "SSLv3");
    open_client(&client);
    assert_true(shows(&client, &server_identity));
    /* A transaction asks no worker. */
    EXPECT(f, &f->client, "+OK", "MULTI");
    EXPECT(f, &f->client, "+QUEUED", "CONFIG", "SET", "tls-key-file", files.client_key,
           "tls-cert-file", files.client_certificate);
    EXPECT(f, &f->client, "[+OK]", "EXEC");
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
    open_client(&client);
    assert_true(shows(&client, &client_identity));
    assert_int_equal(tls_client_close(&client), PEER_ENDED);
}

/* Of many clients that come and go while it changes, none is turned away. */
static void *renew_often(void *context)
{
    struct fixture *f = context;
    struct buffer shown = {0};
    bool ok = true;
    for (int i = 0; i < 30; i++)
        ok &=
            strcmp(resp_client_ask(&f->client, &shown, "CONFIG", "SET", "tls-key-file", files.key),
                   "+OK") == 0;
    buffer_release(&shown);
    return ok ? f : NULL;
}

static void renewals_and_new_clients_do_not_disturb_each_other(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    void *result = NULL;
    START_TLS(f, NULL);
    struct buffer shown = {0};
    assert_int_equal(pthread_create(&thread, NULL, renew_often, f), 0);
    for (int i = 0; i < 30; i++) {
        struct tls_client client;
        open_client(&client);
        assert_string_equal(resp_client_ask(&client.plain, &shown, "PING"), "+PONG");
        assert_int_equal(tls_client_close(&client), PEER_ENDED);
    }
    pthread_join(thread, &result);
    assert_non_null(result);
    buffer_release(&shown);
}

static void a_password_is_not_shown_where_commands_are(void **state)
{
    struct fixture *f = *state;
    START_TLS(f, "--slowlog-log-slower-than", "0");
    EXPECT(f, &f->client, "+OK", "CONFIG", "SET", "tls-key-file-pass", "open sesame");
    const char *shown = resp_client_ask(&f->client, &f->shown, "SLOWLOG", "GET");
    assert_non_null(strstr(shown, "\"tls-key-file-pass\", \"(redacted)\""));
    assert_null(strstr(shown, "sesame"));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_tls, teardown)
    const struct CMUnitTest tests[] = {
        TEST(commands_are_answered_in_both_protocols),
        TEST(pipelines_of_megabytes_come_in_and_go_out),
        TEST(messages_and_served_waits_arrive),
        TEST(always_answers_when_it_is_synced),
        TEST(connections_stay_over_a_reload_of_the_store),
        TEST(json_lines_go_over_tls_too),
        TEST(redis_cli_gets_in),
        TEST(a_client_shows_a_certificate_as_configured),
        TEST(who_does_not_speak_tls_is_closed),
        TEST(a_handshake_that_does_not_end_is_closed),
        TEST(clients_beyond_maxclients_are_closed_without_a_handshake),
        TEST(protected_mode_is_explained_over_tls),
        TEST(a_client_that_is_killed_is_told_the_end),
        TEST(a_subscriber_that_does_not_read_is_closed),
        TEST(a_server_does_not_start_with_what_cannot_be_used),
        TEST(a_renewed_certificate_is_for_new_connections),
        TEST(a_bad_file_is_refused_and_all_stays_as_it_was),
        TEST(renewals_and_new_clients_do_not_disturb_each_other),
        TEST(a_password_is_not_shown_where_commands_are),
    };
    return cmocka_run_group_tests(tests, make_identities, release_identities);
}

#else

static void without_openssl_a_tls_port_is_refused_with_a_sentence(void **state)
{
    struct fixture *f = *state;
    const char *const flags[] = {"--tls-port", "1", NULL};
    assert_int_equal(test_server_start_fails(&f->server, flags), 1);
    assert_non_null(strstr(log_text(f), "tls-port: this server was built without TLS."));
    const char *const json_flags[] = {"--json-tls-port", "1", NULL};
    assert_int_equal(test_server_start_fails(&f->server, json_flags), 1);
    start(f, NULL);
    assert_string_equal(resp_client_ask(&f->client, &f->shown, "PING"), "+PONG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_openssl_a_tls_port_is_refused_with_a_sentence,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
