/* SPDX-License-Identifier: MIT */
/* TLS by OpenSSL, between a socket and a session. It knows neither: bytes in, bytes out.
 *
 *      socket --records--> tls_session_feed --plaintext--> session_feed
 *      socket <--tls_session_output-- tls_session_send <--plaintext-- session_output
 *
 * A context is what the configuration of one moment makes: certificates, keys, protocols. It never changes; a
 * new configuration is a new context, and the sessions of the old one keep that. A server that was built without
 * TLS (make TLS=no) has these functions, too: no context can be made there, so the others are never called. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include "base/buffer.h"

enum {
    TLS_RECORD_BYTES_MAX = 16 * 1024,    /* of plaintext in one record */
    TLS_HANDSHAKE_BYTES_MAX = 64 * 1024, /* from a client; a chain of certificates has a few KiB */
    TLS_FAILURE_BYTES = 160,
};

bool tls_is_built(void);

/* ---- Contexts --------------------------------------------------------------------------------- */

enum tls_clients {
    TLS_CLIENTS_NO,
    TLS_CLIENTS_YES,
    TLS_CLIENTS_OPTIONAL
}; /* tls-auth-clients's choices */

/* As the configuration names have it; texts are never NULL, and empty where nothing is set. */
struct tls_settings {
    const char *cert_file, *key_file, *key_file_pass, *ca_cert_file, *ca_cert_dir;
    const char *protocols, *ciphers, *ciphersuites;
    enum tls_clients auth_clients;
    bool prefer_server_ciphers, session_caching;
    int64_t session_cache_size, session_cache_timeout_s;
};

struct tls_context;

/* Reads the files. NULL: *error gets a sentence that names the setting and what is wrong with it. */
struct tls_context *tls_context_create(const struct tls_settings *settings, struct buffer *error);
struct tls_context *tls_context_ref(struct tls_context *context); /* any thread; the same pointer */
void tls_context_unref(struct tls_context *context);              /* any thread; NULL is fine */

/* ---- Sessions: one thread each ---------------------------------------------------------------- */

struct tls_session;

enum tls_state {
    TLS_HANDSHAKE, /* not open yet: more records are awaited */
    TLS_OPEN,
    TLS_ENDED,  /* the peer has said that it sends no more; it may still be sent to */
    TLS_FAILED, /* for good: send tls_session_output, which may hold an alert, and close */
};

/* Keeps the context. NULL: no memory. */
struct tls_session *tls_session_create(struct tls_context *context);
void tls_session_destroy(struct tls_session *session); /* NULL is fine */

enum tls_state tls_session_state(const struct tls_session *session);
/* Its handshake is complete, which it stays: it ends or fails after that. */
bool tls_session_was_open(const struct tls_session *session);
/* Takes all of the bytes in, and appends to *plaintext what they hold: at most their size and TLS_RECORD_BYTES_MAX.
 * Answers of TLS itself go to the output. */
enum tls_state tls_session_feed(struct tls_session *session, struct slice records,
                                struct buffer *plaintext);
/* Puts plaintext, not none of it, into records behind the output. OPEN or ENDED before. false: it has FAILED. */
bool tls_session_send(struct tls_session *session, struct slice plaintext);
/* Says to the peer that nothing more comes, unless that was said; nothing before it is open. */
void tls_session_finish(struct tls_session *session);
/* Records for the socket. The caller takes them away, in whole or in part. */
struct buffer *tls_session_output(struct tls_session *session);
/* Why it has FAILED, for people; empty otherwise. */
const char *tls_session_failure(const struct tls_session *session);

#endif
