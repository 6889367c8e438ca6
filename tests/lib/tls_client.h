/* SPDX-License-Identifier: MIT */
/* A client over TLS for tests that know struct resp_client: a thread carries bytes between that one's socket and the
 * server's, by tls_peer. */
#ifndef LIB_TLS_CLIENT_H
#define LIB_TLS_CLIENT_H

#include "lib/resp_client.h"
#include "lib/tls_peer.h"

#include <pthread.h>

struct tls_client {
    struct resp_client plain; /* what the test talks to; closed when the server has closed */
    struct tls_peer peer;     /* the thread's, until tls_client_close has joined it */
    int socket, inner;        /* to the server, to `plain` */
    pthread_t thread;
    struct buffer early;        /* the thread's */
    enum tls_peer_state end;    /* ENDED: the server has said so, and has not just gone */
    struct tls_identity server; /* its certificate, counted; no key */
};

/* Connects and shakes hands. false: the server has refused, all is closed. A server that asks for a certificate may
 * accept first and refuse then (TLS 1.3): the first read sees the close. */
bool tls_client_open(struct tls_client *client, const char *address, int port,
                     const struct tls_peer_options *options);
/* Says the end, and waits for the server's. Returns how that was. */
enum tls_peer_state tls_client_close(struct tls_client *client);

#endif
