/* SPDX-License-Identifier: MIT */
/* The other side of TLS, by OpenSSL: identities made for a test, and a client in memory. Built where TLS is
 * (CORDWOOD_TLS). Whatever fails here aborts the test program and says why. */
#ifndef LIB_TLS_PEER_H
#define LIB_TLS_PEER_H

#include "base/buffer.h"

#include <openssl/ssl.h>

/* A key (P-256) and a certificate of it. */
struct tls_identity {
    X509 *certificate;
    EVP_PKEY *key;
};

/* Signed by `issuer`; NULL: by itself. Each may sign others. */
void tls_identity_make(struct tls_identity *identity, const char *name,
                       const struct tls_identity *issuer);
void tls_identity_release(struct tls_identity *identity);
/* PEM files; either path may be NULL. `password`: the key is encrypted; NULL: it is not. */
void tls_identity_write(const struct tls_identity *identity, const char *certificate_path,
                        const char *key_path, const char *password);

struct tls_peer_options {
    const struct tls_identity *authority; /* whom it trusts */
    const struct tls_identity *identity;  /* shown to a server that asks; NULL: none */
    int version_max;                      /* TLS1_2_VERSION ...; 0: the newest */
    SSL_SESSION *session;                 /* to be resumed, or NULL */
};

enum tls_peer_state { PEER_HANDSHAKE, PEER_OPEN, PEER_ENDED, PEER_FAILED };

struct tls_peer {
    SSL_CTX *context;
    SSL *openssl;
    struct buffer output; /* records for the server; the caller takes them away */
    enum tls_peer_state state;
};

/* Its hello lies in the output. */
void tls_peer_init(struct tls_peer *peer, const struct tls_peer_options *options);
void tls_peer_release(struct tls_peer *peer);
/* Takes records of the server in; what they hold is appended to *plaintext. */
enum tls_peer_state tls_peer_feed(struct tls_peer *peer, struct slice records,
                                  struct buffer *plaintext);
void tls_peer_send(struct tls_peer *peer, struct slice plaintext); /* OPEN or ENDED */
void tls_peer_finish(struct tls_peer *peer);                       /* says that it sends no more */

#endif
