/* SPDX-License-Identifier: MIT */
/* Where clients come in: TCP addresses and unix sockets of both protocols, and the addresses of the metrics page. All
 * listeners belong to loop 0; accepted sockets are dealt to the loops in turn, those for the page stay. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "base/buffer.h"
#include "server/link.h"
#include "server/loop.h"

#include <stdbool.h>

struct listener;
struct metrics_port;

struct listener_options {
    struct loop *loop;
    const char *path;    /* a unix socket, or NULL: */
    const char *address; /* as a word of `bind`, without its leading "-" */
    unsigned port;
    int backlog;
    unsigned permissions; /* of a unix socket; 0: as the umask has it */
    bool json, tls;
    struct metrics_port *metrics; /* takes what is accepted; NULL: clients do */
};

enum listener_result {
    LISTENER_OK,
    LISTENER_NO_ADDRESS, /* this machine does not have the address */
    LISTENER_FAILED,
};

/* *error gets a sentence unless OK. */
enum listener_result listener_open(const struct listener_options *options,
                                   struct listener **listener, struct buffer *error);
/* On its loop; it is freed when libuv has closed it. A unix socket's path is removed. */
void listener_close(struct listener *listener);
const char *listener_name(const struct listener *listener); /* "127.0.0.1:6379", "/tmp/x.sock" */
const char *listener_protocol(const struct listener *listener);  /* for people */
struct listener *listener_next(const struct listener *listener); /* the server's chain */
void listener_set_next(struct listener *listener, struct listener *next);

#endif
