/* SPDX-License-Identifier: MIT */
#ifdef CORDWOOD_TLS

#include "lib/tls_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, KEPT_BYTES_MAX = 256 * 1024, WAIT_MS = 60000 };

/* What lies between the two sockets. */
struct carrying {
    struct tls_client *client;
    struct buffer plaintext; /* for the test */
    bool test_has_ended, server_has_ended;
};

/* Sends what is there of the buffer; false: nobody takes it any more. */
static bool push(int socket, struct buffer *bytes)
{
    ssize_t sent = send(socket, bytes->data, bytes->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    buffer_consume(bytes, (size_t)sent);
    return true;
}

static void pull_records(struct carrying *c)
{
    uint8_t bytes[PIECE_BYTES];
    ssize_t got = recv(c->client->socket, bytes, sizeof bytes, 0);
    if (got <= 0)
        c->server_has_ended = true;
    else if (tls_peer_feed(&c->client->peer, slice_make(bytes, (size_t)got), &c->plaintext) >=
             PEER_ENDED)
        c->server_has_ended = true;
}

static void pull_plaintext(struct carrying *c)
{
    uint8_t bytes[PIECE_BYTES];
    ssize_t got = recv(c->client->inner, bytes, sizeof bytes, 0);
    if (got > 0) {
        tls_peer_send(&c->client->peer, slice_make(bytes, (size_t)got));
        return;
    }
    c->test_has_ended = true;
    tls_peer_finish(&c->client->peer);
}

/* Waits, and does what is possible. */
static void step(struct carrying *c)
{
    struct tls_client *client = c->client;
    struct buffer *records = &client->peer.output;
    struct pollfd polls[2] = {{.fd = client->socket}, {.fd = client->inner}};
    if (!c->server_has_ended && c->plaintext.size < KEPT_BYTES_MAX)
        polls[0].events |= POLLIN;
    if (records->size > 0)
        polls[0].events |= POLLOUT;
    if (!c->test_has_ended && !c->server_has_ended && records->size < KEPT_BYTES_MAX)
        polls[1].events |= POLLIN;
    if (c->plaintext.size > 0)
        polls[1].events |= POLLOUT;
    if (!polls[0].events)
        polls[0].fd = -1;
    if (!polls[1].events)
        polls[1].fd = -1;
    if (poll(polls, 2, WAIT_MS) <= 0) {
        fprintf(stderr, "tls_client: nothing has moved for a minute\n");
        abort();
    }
    if ((polls[1].revents & (POLLOUT | POLLERR)) && c->plaintext.size > 0 &&
        !push(client->inner, &c->plaintext))
        buffer_clear(&c->plaintext);
    if ((polls[0].revents & (POLLOUT | POLLERR)) && records->size > 0 &&
        !push(client->socket, records))
        buffer_clear(records);
    if ((polls[0].revents & ~POLLOUT) && (polls[0].events & POLLIN))
        pull_records(c);
    if ((polls[1].revents & ~POLLOUT) && (polls[1].events & POLLIN) && !c->server_has_ended)
        pull_plaintext(c);
}

static void *carry(void *context)
{
    struct carrying c = {.client = context};
    c.plaintext = c.client->early;
    c.server_has_ended = c.client->peer.state == PEER_ENDED;
    while (!c.server_has_ended || c.plaintext.size > 0)
        step(&c);
    c.client->end = c.client->peer.state;
    if (c.client->peer.output.size > 0)
        (void)push(c.client->socket, &c.client->peer.output); /* an alert; it may be too late */
    shutdown(c.client->inner, SHUT_RDWR);
    buffer_release(&c.plaintext);
    return NULL;
}

/* Blocking. What the server may have said right behind it is `early`. */
static bool shake_hands(struct tls_client *client)
{
    struct carrying c = {.client = client};
    while (client->peer.state == PEER_HANDSHAKE && !c.server_has_ended) {
        if (client->peer.output.size > 0 && !push(client->socket, &client->peer.output))
            break;
        if (client->peer.output.size == 0)
            pull_records(&c);
    }
    bool ok = client->peer.state == PEER_OPEN || client->peer.state == PEER_ENDED;
    if (client->peer.output.size > 0)
        ok &= push(client->socket, &client->peer.output); /* Finished, or an alert */
    client->early = c.plaintext;
    return ok;
}

bool tls_client_open(struct tls_client *client, const char *address, int port,
                     const struct tls_peer_options *options)
{
    int pair[2];
    struct resp_client connected;
    *client = (struct tls_client){.socket = -1, .plain.socket = -1};
    if (!resp_client_open_tcp(&connected, address, port))
        return false;
    client->socket = connected.socket;
    tls_peer_init(&client->peer, options);
    if (!shake_hands(client) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        tls_peer_release(&client->peer);
        buffer_release(&client->early);
        close(client->socket);
        return false;
    }
    client->server.certificate = SSL_get_peer_certificate(client->peer.openssl);
    client->plain = (struct resp_client){.socket = pair[0], .timeout_ms = connected.timeout_ms};
    client->inner = pair[1];
    if (pthread_create(&client->thread, NULL, carry, client) != 0)
        abort();
    return true;
}

enum tls_peer_state tls_client_close(struct tls_client *client)
{
    if (client->plain.socket < 0)
        return PEER_FAILED;
    shutdown(client->plain.socket, SHUT_WR);
    /* Replies that nobody has read must not hold up the thread. */
    uint8_t bytes[PIECE_BYTES];
    while (recv(client->plain.socket, bytes, sizeof bytes, 0) > 0)
        ;
    pthread_join(client->thread, NULL);
    resp_client_close(&client->plain);
    close(client->inner);
    close(client->socket);
    tls_peer_release(&client->peer);
    tls_identity_release(&client->server);
    return client->end;
}

#endif
