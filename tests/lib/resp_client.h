/* SPDX-License-Identifier: MIT */
/* A client of RESP2 and RESP3 over a socket, blocking, with a timeout on every wait. */
#ifndef LIB_RESP_CLIENT_H
#define LIB_RESP_CLIENT_H

#include "lib/resp_reply.h"

struct resp_client {
    int socket; /* -1: closed */
    struct buffer input;
    size_t consumed; /* bytes at the front of input that were read already */
    int timeout_ms;  /* of one wait; 10 s unless changed */
};

/* false: no connection. */
bool resp_client_open_unix(struct resp_client *client, const char *path);
bool resp_client_open_tcp(struct resp_client *client, const char *address, int port);
void resp_client_close(struct resp_client *client);

/* Bytes as they are; false: the connection is gone. */
bool resp_client_send(struct resp_client *client, struct slice bytes);
void resp_client_encode(struct buffer *out, const struct slice *arguments, size_t count);
bool resp_client_send_command(struct resp_client *client, const struct slice *arguments,
                              size_t count);
/* The next reply into a zeroed struct; false: closed, timed out or malformed. */
bool resp_client_read(struct resp_client *client, struct resp_reply *reply);
/* The next line without its line end, for JSON; valid until the next read. */
bool resp_client_read_line(struct resp_client *client, struct slice *line);
/* true: the server closed the connection and nothing more came before. */
bool resp_client_sees_close(struct resp_client *client);

/* Sends texts as one command and reads its reply; the list ends with NULL. An I/O failure gives a
 * reply of type '!'. */
#define resp_client_call(client, reply, ...) \
    resp_client_call_texts(client, reply, (const char *const[]){__VA_ARGS__, NULL})
bool resp_client_call_texts(struct resp_client *client, struct resp_reply *reply,
                            const char *const *texts);
/* The same, shown as text; *shown is cleared first, NUL-terminated, and "(no reply)" on failure. */
#define resp_client_ask(client, shown, ...) \
    resp_client_ask_texts(client, shown, (const char *const[]){__VA_ARGS__, NULL})
const char *resp_client_ask_texts(struct resp_client *client, struct buffer *shown,
                                  const char *const *texts);

#endif
