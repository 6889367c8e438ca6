/* SPDX-License-Identifier: MIT */
/* The server's side against a client in memory. OpenSSL's memory is the test's: counted, and refused. */
#ifdef CORDWOOD_TLS

#include "unit/server/tls_fixture.h"

#include <malloc.h>
#include <stdlib.h>

/* ---- OpenSSL's memory --------------------------------------------------------------------------- */

static size_t held_bytes, held_bytes_max;
static uint64_t allocations, failing_allocation; /* 0: none fails */

static bool fails_now(void)
{
    return ++allocations == failing_allocation;
}

static void count(void *block)
{
    held_bytes += malloc_usable_size(block);
    if (held_bytes > held_bytes_max)
        held_bytes_max = held_bytes;
}

static void *ssl_allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *block = fails_now() ? NULL : malloc(size);
    if (block)
        count(block);
    return block;
}

static void *ssl_resize(void *block, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (fails_now())
        return NULL;
    held_bytes -= block ? malloc_usable_size(block) : 0;
    block = realloc(block, size);
    if (block)
        count(block);
    return block;
}

static void ssl_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    held_bytes -= block ? malloc_usable_size(block) : 0;
    free(block);
}

/* ---- Both sides --------------------------------------------------------------------------------- */

struct pair {
    struct tls_session *session;
    struct tls_peer peer;
    struct buffer at_server, at_peer; /* plaintext that has arrived */
    size_t piece;                     /* bytes at a time; 0: all */
};

static void pair_open(struct pair *pair, struct tls_context *context,
                      const struct tls_peer_options *options)
{
    struct tls_peer_options given = *options;
    if (!given.authority)
        given.authority = &world.authority;
    *pair = (struct pair){.session = tls_session_create(context)};
    assert_non_null(pair->session);
    tls_peer_init(&pair->peer, &given);
}

static void pair_close(struct pair *pair)
{
    tls_session_destroy(pair->session);
    tls_peer_release(&pair->peer);
    buffer_release(&pair->at_server);
    buffer_release(&pair->at_peer);
}

static void feed_session(struct pair *pair, struct slice records)
{
    size_t step = pair->piece ? pair->piece : records.size;
    while (records.size > 0) {
        struct slice part = slice_make(records.data, records.size < step ? records.size : step);
        size_t before = pair->at_server.size;
        tls_session_feed(pair->session, part, &pair->at_server);
        assert_true(pair->at_server.size - before <= part.size + TLS_RECORD_BYTES_MAX);
        records = slice_skip(records, part.size);
    }
}

/* Carries what is there over to the other side. */
static void to_session(struct pair *pair)
{
    feed_session(pair, buffer_slice(&pair->peer.output));
    buffer_clear(&pair->peer.output);
}

static void to_peer(struct pair *pair)
{
    struct buffer *output = tls_session_output(pair->session);
    tls_peer_feed(&pair->peer, buffer_slice(output), &pair->at_peer);
    buffer_clear(output);
}

/* Until neither has anything to say. */
static void settle(struct pair *pair)
{
    while (pair->peer.output.size > 0 || tls_session_output(pair->session)->size > 0) {
        to_session(pair);
        to_peer(pair);
    }
}

static struct slice pattern(struct buffer *buffer, size_t size)
{
    buffer_clear(buffer);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(buffer, (uint8_t)(i * 7 + i / 251));
    return buffer_slice(buffer);
}

static void send_to_peer(struct pair *pair, struct slice bytes)
{
    buffer_clear(&pair->at_peer);
    assert_true(tls_session_send(pair->session, bytes));
    settle(pair);
    assert_true(slice_equal(buffer_slice(&pair->at_peer), bytes));
}

static void send_to_session(struct pair *pair, struct slice bytes)
{
    buffer_clear(&pair->at_server);
    tls_peer_send(&pair->peer, bytes);
    settle(pair);
    assert_true(slice_equal(buffer_slice(&pair->at_server), bytes));
}

static void expect_conversation(struct pair *pair)
{
    settle(pair);
    assert_int_equal(tls_session_state(pair->session), TLS_OPEN);
    assert_true(tls_session_was_open(pair->session));
    assert_int_equal(pair->peer.state, PEER_OPEN);
    assert_string_equal(tls_session_failure(pair->session), "");
    send_to_session(pair, slice_from("PING\r\n"));
    send_to_peer(pair, slice_from("+PONG\r\n"));
}

static void expect_failure(struct pair *pair, const char *words)
{
    settle(pair);
    assert_int_equal(tls_session_state(pair->session), TLS_FAILED);
    if (!strstr(tls_session_failure(pair->session), words))
        fail_msg("\"%s\" is not in: %s", words, tls_session_failure(pair->session));
}

/* A context that differs in one thing, and a client; `failure` NULL: they understand each other. */
static void meet(const struct tls_settings *settings, const struct tls_peer_options *options,
                 const char *failure)
{
    struct tls_context *context = make_context(settings);
    struct pair pair;
    pair_open(&pair, context, options);
    tls_context_unref(context);
    if (failure)
        expect_failure(&pair, failure);
    else
        expect_conversation(&pair);
    pair_close(&pair);
}

static const struct tls_peer_options any_client;

/* ---- Tests -------------------------------------------------------------------------------------- */

static void both_sides_hear_each_other(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    meet(&settings, &any_client, NULL);
    meet(&settings, &(struct tls_peer_options){.version_max = TLS1_2_VERSION}, NULL);
}

static void records_may_come_in_any_pieces(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    const size_t pieces[] = {1, 2, 5, 17, 16384};
    struct buffer bytes = {0};
    for (size_t i = 0; i < 10; i++) {
        struct pair pair;
        pair_open(&pair, context, &(struct tls_peer_options){.version_max = versions[i % 2]});
        pair.piece = pieces[i / 2];
        expect_conversation(&pair);
        send_to_session(&pair, pattern(&bytes, 40000));
        pair_close(&pair);
    }
    buffer_release(&bytes);
    tls_context_unref(context);
}

static void megabytes_come_over_in_both_directions(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct pair pair;
    struct buffer bytes = {0};
    pair_open(&pair, context, &any_client);
    expect_conversation(&pair);
    const size_t sizes[] = {1, 16383, 16384, 16385, 3 << 20};
    for (size_t i = 0; i < 5; i++) {
        send_to_peer(&pair, pattern(&bytes, sizes[i]));
        send_to_session(&pair, pattern(&bytes, sizes[i]));
    }
    pair_close(&pair);
    tls_context_unref(context);
    buffer_release(&bytes);
}

static void only_the_protocols_that_are_set_are_spoken(void **state)
{
    (void)state;
    struct tls_settings settings = world_settings();
    const struct tls_peer_options old = {.version_max = TLS1_1_VERSION};
    const struct tls_peer_options middle = {.version_max = TLS1_2_VERSION};
    meet(&settings, &old, "unsupported protocol");
    settings.protocols = "TLSv1.3";
    meet(&settings, &middle, "unsupported protocol");
    meet(&settings, &any_client, NULL);
    settings.protocols = "TLSv1.2";
    struct tls_context *context = make_context(&settings);
    struct pair pair;
    pair_open(&pair, context, &any_client);
    expect_conversation(&pair);
    assert_int_equal(SSL_version(pair.peer.openssl), TLS1_2_VERSION);
    pair_close(&pair);
    tls_context_unref(context);
    settings.protocols = "TLSv1.1";
    settings.ciphers = "ALL:@SECLEVEL=0";
    meet(&settings, &old, NULL);
}

static const char *cipher_of(const struct tls_settings *settings, int version_max)
{
    struct tls_context *context = make_context(settings);
    struct pair pair;
    pair_open(&pair, context, &(struct tls_peer_options){.version_max = version_max});
    expect_conversation(&pair);
    const char *name = SSL_get_cipher_name(pair.peer.openssl);
    pair_close(&pair);
    tls_context_unref(context);
    return name;
}

static void the_ciphers_that_are_set_are_used(void **state)
{
    (void)state;
    struct tls_settings settings = world_settings();
    settings.ciphers = "ECDHE-ECDSA-AES128-SHA256";
    settings.ciphersuites = "TLS_CHACHA20_POLY1305_SHA256";
    assert_string_equal(cipher_of(&settings, TLS1_2_VERSION), "ECDHE-ECDSA-AES128-SHA256");
    assert_string_equal(cipher_of(&settings, 0), "TLS_CHACHA20_POLY1305_SHA256");
    /* The client likes AES-256 best. */
    settings.ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";
    assert_string_equal(cipher_of(&settings, 0), "TLS_AES_256_GCM_SHA384");
    settings.prefer_server_ciphers = true;
    assert_string_equal(cipher_of(&settings, 0), "TLS_AES_128_GCM_SHA256");
}

static void a_client_certificate_is_asked_for_as_set(void **state)
{
    (void)state;
    struct tls_identity stray;
    tls_identity_make(&stray, "stray", &world.stranger);
    const struct tls_peer_options known = {.identity = &world.client};
    const struct tls_peer_options unknown = {.identity = &stray};
    struct tls_settings settings = world_settings();
    meet(&settings, &known, NULL); /* not asked for */
    meet(&settings, &unknown, NULL);
    settings.auth_clients = TLS_CLIENTS_YES;
    meet(&settings, &known, NULL);
    meet(&settings, &any_client, "peer did not return a certificate");
    meet(&settings, &unknown, "the client's certificate is refused: ");
    settings.auth_clients = TLS_CLIENTS_OPTIONAL;
    meet(&settings, &known, NULL);
    meet(&settings, &any_client, NULL);
    meet(&settings, &unknown, "the client's certificate is refused: ");
    tls_identity_release(&stray);
}

static void authorities_may_lie_in_a_directory(void **state)
{
    (void)state;
    char name[24], path[TLS_PATH_BYTES];
    snprintf(name, sizeof(name), "%08lx.0", X509_subject_name_hash(world.authority.certificate));
    world_path(path, name);
    tls_identity_write(&world.authority, path, NULL, NULL);
    struct tls_settings settings = world_settings();
    settings.ca_cert_file = "";
    settings.ca_cert_dir = world.directory;
    settings.auth_clients = TLS_CLIENTS_YES;
    meet(&settings, &(struct tls_peer_options){.identity = &world.client}, NULL);
    meet(&settings, &(struct tls_peer_options){.identity = &world.stranger}, "is refused: ");
}

static void the_chain_in_the_certificate_file_is_sent(void **state)
{
    (void)state;
    struct tls_identity middle, leaf;
    char chain[TLS_PATH_BYTES], key[TLS_PATH_BYTES], part[TLS_PATH_BYTES];
    world_path(chain, "leaf-chain.pem");
    world_path(key, "leaf.key");
    world_path(part, "middle.pem");
    tls_identity_make(&middle, "middle", &world.authority);
    tls_identity_make(&leaf, "leaf", &middle);
    tls_identity_write(&leaf, chain, key, NULL);
    struct tls_settings settings = world_settings();
    settings.cert_file = chain;
    settings.key_file = key;
    meet(&settings, &any_client, "alert unknown ca"); /* the client cannot know what lies between */
    tls_identity_write(&middle, part, NULL, NULL);
    FILE *from = fopen(part, "r"), *to = fopen(chain, "a");
    for (int byte; (byte = fgetc(from)) != EOF;)
        fputc(byte, to);
    fclose(from);
    fclose(to);
    meet(&settings, &any_client, NULL);
    tls_identity_release(&middle);
    tls_identity_release(&leaf);
}

static void what_is_not_tls_fails_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *failure;
    } cases[] = {
        {"*1\r\n$4\r\nPING\r\n", "the client does not speak TLS"},
        {"PING\r\n", "the client does not speak TLS"},
        {"GET / HTTP/1.1\r\n\r\n", "http request"},
        {"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", "excessive message size"},
        {"\x15\x03\x01\x00\x02\x02\x28", "unexpected message"},
        {"\x17\x03\x03\x00\x04 abcd", ""},
    };
    static const size_t sizes[] = {14, 6, 18, 10, 7, 9};
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct tls_session *session = tls_session_create(context);
        struct buffer plaintext = {0};
        assert_int_equal(
            tls_session_feed(session, slice_make(cases[i].bytes, sizes[i]), &plaintext),
            TLS_FAILED);
        assert_int_equal(plaintext.size, 0);
        if (!strstr(tls_session_failure(session), cases[i].failure) ||
            !*tls_session_failure(session))
            fail_msg("\"%s\" is not in: %s", cases[i].failure, tls_session_failure(session));
        /* It stays so. */
        assert_int_equal(tls_session_feed(session, slice_from("more"), &plaintext), TLS_FAILED);
        tls_session_finish(session);
        assert_false(tls_session_was_open(session));
        buffer_release(&plaintext);
        tls_session_destroy(session);
    }
    tls_context_unref(context);
}

/* Who begins and never ends holds little, however much it sends. */
static void a_handshake_holds_bounded_memory(void **state)
{
    (void)state;
    struct tls_settings settings = world_settings();
    settings.auth_clients = TLS_CLIENTS_YES;
    struct tls_context *context = make_context(&settings);
    struct tls_session *session = tls_session_create(context);
    struct buffer plaintext = {0};
    static const uint8_t head[] = {0x16, 3,    1,    0x40, 0,
                                   1,    0x01, 0xff, 0xf0}; /* a hello of 128 KiB */
    uint8_t record[5 + 0x4000] = {0};
    size_t before = held_bytes;
    held_bytes_max = held_bytes;
    memcpy(record, head, sizeof(head));
    enum tls_state reached = TLS_HANDSHAKE;
    for (int i = 0; i < 1000 && reached == TLS_HANDSHAKE; i++) {
        reached = tls_session_feed(session, slice_make(record, sizeof(record)), &plaintext);
        memset(record + 5, 0, 4);
    }
    assert_int_equal(reached, TLS_FAILED);
    assert_string_equal(tls_session_failure(session), "its handshake is longer than 65536 bytes");
    assert_true(held_bytes_max - before < 256 * 1024);
    assert_true(tls_session_output(session)->size < 1024);
    assert_int_equal(plaintext.size, 0);
    buffer_release(&plaintext);
    tls_session_destroy(session);
    tls_context_unref(context);
}

static void an_idle_session_holds_no_record_buffers(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct buffer bytes = {0};
    struct pair pair;
    pair_open(&pair, context, &any_client);
    expect_conversation(&pair);
    size_t before = held_bytes;
    assert_true(tls_session_send(pair.session, pattern(&bytes, 100000)));
    assert_true(held_bytes <= before);
    settle(&pair);
    /* Half a record is kept, until the rest comes. */
    tls_peer_send(&pair.peer, pattern(&bytes, 16384));
    before = held_bytes;
    feed_session(&pair, slice_make(pair.peer.output.data, 8000));
    assert_true(held_bytes > before + 8000);
    assert_true(held_bytes < before + 32 * 1024);
    feed_session(&pair, slice_skip(buffer_slice(&pair.peer.output), 8000));
    assert_true(held_bytes <= before);
    buffer_release(&bytes);
    pair_close(&pair);
    tls_context_unref(context);
}

static void an_end_is_heard_and_answered(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        pair_open(&pair, context, &(struct tls_peer_options){.version_max = versions[i]});
        expect_conversation(&pair);
        buffer_clear(&pair.at_server);
        tls_peer_send(&pair.peer, slice_from("last words"));
        tls_peer_finish(&pair.peer);
        to_session(&pair);
        assert_int_equal(tls_session_state(pair.session), TLS_ENDED);
        assert_true(slice_equal(buffer_slice(&pair.at_server), slice_from("last words")));
        /* What comes behind an end is nobody's. */
        assert_int_equal(tls_session_feed(pair.session, slice_from("more"), &pair.at_server),
                         TLS_ENDED);
        assert_int_equal(pair.at_server.size, 10);
        send_to_peer(&pair, slice_from("the reply"));
        tls_session_finish(pair.session);
        size_t said = tls_session_output(pair.session)->size;
        assert_true(said > 0);
        tls_session_finish(pair.session); /* once is enough */
        assert_int_equal(tls_session_output(pair.session)->size, said);
        to_peer(&pair);
        assert_int_equal(pair.peer.state, PEER_ENDED);
        pair_close(&pair);
    }
    tls_context_unref(context);
}

static void an_end_within_the_handshake_is_a_failure(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct tls_session *session = tls_session_create(context);
    struct buffer plaintext = {0};
    tls_session_finish(session); /* there is nothing to say yet */
    assert_int_equal(tls_session_output(session)->size, 0);
    assert_int_equal(
        tls_session_feed(session, slice_make("\x15\x03\x01\x00\x02\x01\x00", 7), &plaintext),
        TLS_FAILED);
    assert_string_not_equal(tls_session_failure(session), "");
    buffer_release(&plaintext);
    tls_session_destroy(session);
    tls_context_unref(context);
}

static void a_changed_byte_is_noticed(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    for (size_t at = 0; at < 40; at += 3) {
        struct pair pair;
        pair_open(&pair, context, &any_client);
        expect_conversation(&pair);
        tls_peer_send(&pair.peer, slice_from("SET key value\r\n"));
        buffer_clear(&pair.at_server);
        struct buffer *records = &pair.peer.output;
        records->data[at < records->size ? at : records->size - 1] ^= 0x40;
        feed_session(&pair, buffer_slice(records));
        assert_int_equal(pair.at_server.size, 0);
        /* A length that was changed may make it wait; then what comes next does not fit. */
        uint8_t more[16384] = {0};
        for (int i = 0; i < 3; i++)
            feed_session(&pair, slice_make(more, sizeof(more)));
        assert_int_equal(tls_session_state(pair.session), TLS_FAILED);
        assert_int_equal(pair.at_server.size, 0);
        assert_true(tls_session_was_open(pair.session));
        pair_close(&pair);
    }
    tls_context_unref(context);
}

static void renegotiation_is_refused(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct pair pair;
    pair_open(&pair, context, &(struct tls_peer_options){.version_max = TLS1_2_VERSION});
    expect_conversation(&pair);
    assert_int_equal(SSL_renegotiate(pair.peer.openssl), 1);
    tls_peer_feed(&pair.peer, slice_make(NULL, 0), &pair.at_peer);
    assert_true(pair.peer.output.size > 0); /* a hello */
    to_session(&pair);
    assert_true(tls_session_output(pair.session)->size < 64); /* a refusal, and no handshake */
    to_peer(&pair);
    assert_int_equal(pair.peer.state, PEER_FAILED);
    pair_close(&pair);
    tls_context_unref(context);
}

/* Each is answered by a record of a few bytes; the caller stops reading while the output is not taken. */
static void keys_may_be_changed(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct pair pair;
    pair_open(&pair, context, &any_client);
    expect_conversation(&pair);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(SSL_key_update(pair.peer.openssl, SSL_KEY_UPDATE_REQUESTED), 1);
        tls_peer_send(&pair.peer, slice_from("x"));
    }
    size_t sent = pair.peer.output.size;
    buffer_clear(&pair.at_server);
    to_session(&pair);
    assert_int_equal(pair.at_server.size, 100);
    assert_true(tls_session_output(pair.session)->size < sent);
    expect_conversation(&pair);
    pair_close(&pair);
    tls_context_unref(context);
}

/* A session whose connection just went away is not resumed. */
static void finish_both(struct pair *pair)
{
    tls_peer_finish(&pair->peer);
    to_session(pair);
    tls_session_finish(pair->session);
    to_peer(pair);
}

/* The client's session of a first connection, kept for a second. */
static SSL_SESSION *kept_session(struct tls_context *context, int version)
{
    struct pair pair;
    pair_open(&pair, context, &(struct tls_peer_options){.version_max = version});
    expect_conversation(&pair);
    SSL_SESSION *session = SSL_get1_session(pair.peer.openssl);
    finish_both(&pair);
    pair_close(&pair);
    return session;
}

static bool is_resumed(struct tls_context *context, SSL_SESSION *session, int version)
{
    struct pair pair;
    pair_open(&pair, context,
              &(struct tls_peer_options){.version_max = version, .session = session});
    expect_conversation(&pair);
    bool resumed = SSL_session_reused(pair.peer.openssl);
    finish_both(&pair);
    pair_close(&pair);
    return resumed;
}

static void sessions_are_resumed_with_caching_and_by_the_same_context_only(void **state)
{
    (void)state;
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct tls_settings settings = world_settings();
        struct tls_context *context = make_context(&settings), *other = make_context(&settings);
        settings.session_caching = false;
        struct tls_context *without = make_context(&settings);
        SSL_SESSION *kept = kept_session(context, versions[i]);
        assert_false(is_resumed(other, kept, versions[i]));
        assert_true(is_resumed(context, kept, versions[i]));
        SSL_SESSION_free(kept);
        kept = kept_session(without, versions[i]);
        assert_false(is_resumed(without, kept, versions[i]));
        SSL_SESSION_free(kept);
        tls_context_unref(context);
        tls_context_unref(other);
        tls_context_unref(without);
    }
}

static struct slice hello_of(struct buffer *bytes)
{
    struct tls_peer peer;
    tls_peer_init(&peer, &(struct tls_peer_options){.authority = &world.authority});
    buffer_append_slice(bytes, buffer_slice(&peer.output));
    tls_peer_release(&peer);
    return buffer_slice(bytes);
}

/* The n-th allocation of OpenSSL fails, n = 1, 2, ... until none is left to fail. */
static void without_memory_a_context_or_session_fails_and_nothing_else(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct buffer hello = {0}, error = {0}, plaintext = {0};
    hello_of(&hello);
    unsigned refused = 0;
    bool is_done = false;
    for (uint64_t n = 1; !is_done; n += 1 + n / 16) {
        allocations = 0;
        failing_allocation = n;
        buffer_clear(&error);
        struct tls_context *context = tls_context_create(&settings, &error);
        assert_true(context || error.size > 0);
        struct tls_session *session = context ? tls_session_create(context) : NULL;
        enum tls_state reached = TLS_FAILED;
        if (session)
            reached = tls_session_feed(session, buffer_slice(&hello), &plaintext);
        is_done = allocations < n;
        failing_allocation = 0;
        if (session && reached == TLS_FAILED)
            assert_string_not_equal(tls_session_failure(session), "");
        refused += reached == TLS_FAILED;
        assert_true(!is_done || reached == TLS_HANDSHAKE);
        tls_session_destroy(session);
        tls_context_unref(context);
    }
    assert_true(refused > 10);
    buffer_release(&hello);
    buffer_release(&error);
    buffer_release(&plaintext);
}

static void without_memory_to_send_it_fails(void **state)
{
    (void)state;
    const struct tls_settings settings = world_settings();
    struct tls_context *context = make_context(&settings);
    struct pair pair;
    pair_open(&pair, context, &any_client);
    expect_conversation(&pair);
    failing_allocation = allocations + 1; /* of the buffer for a record */
    assert_false(tls_session_send(pair.session, slice_from("reply")));
    failing_allocation = 0;
    assert_int_equal(tls_session_state(pair.session), TLS_FAILED);
    assert_string_not_equal(tls_session_failure(pair.session), "");
    tls_session_finish(pair.session);
    pair_close(&pair);
    tls_context_unref(context);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(ssl_allocate, ssl_resize, ssl_free) != 1) {
        fprintf(stderr, "OpenSSL has allocated already\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_hear_each_other),
        cmocka_unit_test(records_may_come_in_any_pieces),
        cmocka_unit_test(megabytes_come_over_in_both_directions),
        cmocka_unit_test(only_the_protocols_that_are_set_are_spoken),
        cmocka_unit_test(the_ciphers_that_are_set_are_used),
        cmocka_unit_test(a_client_certificate_is_asked_for_as_set),
        cmocka_unit_test(authorities_may_lie_in_a_directory),
        cmocka_unit_test(the_chain_in_the_certificate_file_is_sent),
        cmocka_unit_test(what_is_not_tls_fails_at_once),
        cmocka_unit_test(a_handshake_holds_bounded_memory),
        cmocka_unit_test(an_idle_session_holds_no_record_buffers),
        cmocka_unit_test(an_end_is_heard_and_answered),
        cmocka_unit_test(an_end_within_the_handshake_is_a_failure),
        cmocka_unit_test(a_changed_byte_is_noticed),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(keys_may_be_changed),
        cmocka_unit_test(sessions_are_resumed_with_caching_and_by_the_same_context_only),
        cmocka_unit_test(without_memory_a_context_or_session_fails_and_nothing_else),
        cmocka_unit_test(without_memory_to_send_it_fails),
    };
    return cmocka_run_group_tests(tests, world_make, world_release);
}

#else

#include "server/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void without_openssl_there_is_no_session(void **state)
{
    (void)state;
    assert_null(tls_session_create(NULL));
    tls_session_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_openssl_there_is_no_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
