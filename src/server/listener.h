/* SPDX-License-Identifier: MIT */
/* Where clients come in: TCP addresses and unix sockets of both protocols. All listeners belong to loop
 * 0; accepted sockets are dealt to the loops in turn. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include "base/buffer.h"
#include "server/link.h"
#include "server/loop.h"

#include <stdbool.h>

struct listener;

struct listener_options {
    struct loop *loop;
    const char *path;    /* a unix socket, or NULL: */
    const char *address; /* as a word of `bind`, without its leading "-" */
    unsigned port;
    int backlog;
    unsigned permissions; /* of a unix socket; 0: as the umask has it */
    bool json;
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
bool listener_is_json(const struct listener *listener);
struct listener *listener_next(const struct listener *listener); /* the server's chain */
void listener_set_next(struct listener *listener, struct listener *next);

#endif
