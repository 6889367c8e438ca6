/* SPDX-License-Identifier: MIT */
/* Any bytes into the server's side of TLS. The first byte of an input says in which pieces they come, and whether
 * before a handshake or behind one; there they are also sent by the client as plaintext, in records that may be
 * damaged on the way. Plaintext comes out only of whole records, as it went in; what has failed stays so. */
#include "fuzz/fuzz.h"

#ifdef CORDWOOD_TLS

#include "lib/temp_directory.h"
#include "lib/tls_peer.h"
#include "server/tls.h"

#include <string.h>

enum { BEHIND_A_HANDSHAKE = 0x80, RAW = 0x40, OLDER = 0x20, OUTPUT_BYTES_MAX = 64 * 1024 };

static struct tls_identity identity;
static struct tls_context *context;

/* The rest of an input is, behind a handshake, pairs of a size and what the client sends; before one, records. */
static const char *const texts[] = {
    "\x81\x10PING\r\nPING\r\nPING\r\n\x05hello",
    "\xa3\x10PING\r\nPING\r\nPING\r\n\x05hello",
    "\xc1\x17\x03\x03\x40\x01no record of this client",
    "\x01\x16\x03\x01\x02\x05\x01",
    "\x02GET / HTTP/1.1\r\n\r\n",
    "\x05*1\r\n$4\r\nPING\r\n",
    "\x07\x15\x03\x01\x01\x02\x02\x28",
};

bool fuzz_seed(size_t index, struct buffer *out)
{
    return fuzz_seed_text(texts, sizeof texts / sizeof *texts, index, out);
}

static void make_context(void)
{
    char directory[TEMP_DIRECTORY_BYTES], certificate[128], key[128];
    struct buffer error = {0};
    temp_directory_make(directory);
    snprintf(certificate, sizeof certificate, "%s/c", directory);
    snprintf(key, sizeof key, "%s/k", directory);
    tls_identity_make(&identity, "fuzz", NULL);
    tls_identity_write(&identity, certificate, key, NULL);
    const struct tls_settings settings = {
        .cert_file = certificate,
        .key_file = key,
        .key_file_pass = "",
        .ca_cert_file = certificate,
        .ca_cert_dir = "",
        .protocols = "",
        .ciphers = "",
        .ciphersuites = "",
        .auth_clients = TLS_CLIENTS_OPTIONAL,
    };
    context = tls_context_create(&settings, &error);
    fuzz_require(context);
    temp_directory_remove(directory);
}

/* In pieces of `step`; returns whether it still takes something. */
static bool feed(struct tls_session *session, struct slice bytes, size_t step,
                 struct buffer *plaintext)
{
    while (bytes.size > 0) {
        size_t size = bytes.size < step ? bytes.size : step;
        uint8_t *copy = malloc(size); /* of its own, so that a sanitizer sees a read behind it */
        memcpy(copy, bytes.data, size);
        size_t before = plaintext->size;
        bool had_failed = tls_session_state(session) == TLS_FAILED;
        enum tls_state state = tls_session_feed(session, slice_make(copy, size), plaintext);
        free(copy);
        fuzz_require(state == tls_session_state(session));
        fuzz_require(!had_failed || (state == TLS_FAILED && plaintext->size == before));
        fuzz_require((state == TLS_FAILED) == (tls_session_failure(session)[0] != 0));
        fuzz_require(tls_session_was_open(session) || plaintext->size == 0);
        fuzz_require(plaintext->size - before <= size + TLS_RECORD_BYTES_MAX);
        bytes = slice_skip(bytes, size);
    }
    enum tls_state state = tls_session_state(session);
    return state == TLS_HANDSHAKE || state == TLS_OPEN;
}

static void shake_hands(struct tls_session *session, struct tls_peer *peer, size_t step)
{
    struct buffer none = {0}, *output = tls_session_output(session);
    while (peer->output.size > 0 || output->size > 0) {
        fuzz_require(feed(session, buffer_slice(&peer->output), step, &none));
        buffer_clear(&peer->output);
        tls_peer_feed(peer, buffer_slice(output), &none);
        buffer_clear(output);
    }
    fuzz_require(tls_session_state(session) == TLS_OPEN && peer->state == PEER_OPEN);
    fuzz_require(none.size == 0);
    buffer_release(&none);
}

/* What the client has sent up to a record that is damaged comes out, and nothing else. */
static void converse(struct tls_session *session, struct tls_peer *peer, struct slice input,
                     size_t step)
{
    struct buffer sent = {0}, heard = {0};
    bool is_whole = true;
    while (input.size > 0 && is_whole) {
        struct slice part = fuzz_bytes(&input);
        uint8_t damage = fuzz_byte(&input);
        if (part.size == 0)
            continue;
        tls_peer_send(peer, part);
        if (damage & 1)
            peer->output.data[damage % peer->output.size] ^= (uint8_t)(damage | 2);
        is_whole = !(damage & 1);
        if (is_whole)
            buffer_append_slice(&sent, part);
        bool goes_on = feed(session, buffer_slice(&peer->output), step, &heard);
        fuzz_require(goes_on || !is_whole);
        fuzz_require(slice_equal(buffer_slice(&sent), buffer_slice(&heard)));
        buffer_clear(&peer->output);
    }
    if (tls_session_state(session) == TLS_OPEN && heard.size > 0)
        fuzz_require(tls_session_send(session, buffer_slice(&heard)));
    buffer_release(&sent);
    buffer_release(&heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!context)
        make_context();
    struct slice input = slice_make(data, size);
    uint8_t choice = fuzz_byte(&input);
    size_t step = 1 + (size_t)(choice & 31) * (choice & 31) * 8;
    struct tls_session *session = tls_session_create(context);
    fuzz_require(session);
    struct tls_peer peer = {0};
    struct buffer plaintext = {0};
    if (choice & BEHIND_A_HANDSHAKE) {
        const struct tls_peer_options options = {
            .authority = &identity, .version_max = choice & OLDER ? TLS1_2_VERSION : 0};
        tls_peer_init(&peer, &options);
        shake_hands(session, &peer, step);
        if (!(choice & RAW))
            converse(session, &peer, input, step);
    }
    if (!(choice & BEHIND_A_HANDSHAKE) || (choice & RAW)) {
        (void)feed(session, input, step, &plaintext);
        fuzz_require(plaintext.size == 0); /* nobody guesses the keys */
        fuzz_require(tls_session_output(session)->size <= OUTPUT_BYTES_MAX);
    }
    tls_session_finish(session);
    tls_session_destroy(session);
    tls_peer_release(&peer);
    buffer_release(&plaintext);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return 0;
}

#endif
