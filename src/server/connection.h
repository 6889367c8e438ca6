/* SPDX-License-Identifier: MIT */
/* A client's socket and its session. Belongs to one loop; other threads may call only connection_wake, _disconnect,
 * _deliver and _evict, and other loops may send messages to a subscriber that is offered to them.
 *
 * Life: OPEN (with TLS it begins with the handshake), then FINISHING (no more input; what the gate
 * lets go is sent), then CLOSING (libuv closes the handles, a worker may still be at the session), then
 * it is freed. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include "lsm/lsm.h"
#include "server/loop.h"

struct connection;

enum {
    CONNECTION_INPUT_KEPT_MAX = 256 * 1024,  /* unexecuted input after which a socket is not read */
    CONNECTION_OUTPUT_HELD_MAX = 256 * 1024, /* the same for replies that were not sent */
    CONNECTION_SEND_BYTES_MAX =
        1 << 20, /* copied for one uv_write; put into TLS records in one flush */
    CONNECTION_EARLY_BYTES = 64 * 1024, /* replies of so much do not wait for the iteration's end */
    CONNECTION_EARLY_NS = 1000000,      /* then it is the others' turn, after a read and what it brought */
    CONNECTION_RECORDS_BYTES = 64 * 1024, /* of plaintext, put into TLS records at one time */
    CONNECTION_RECORDS_KEPT_MAX =
        4 * 1024, /* of memory for records that were sent, for the next ones */
};

/* A socket that was accepted. */
struct connection_socket {
    int file_descriptor;
    bool json;
    bool tls;
    bool is_unix;
    bool is_local;      /* loopback or unix */
    char address[128];  /* of the peer, as CLIENT LIST shows it */
    char local_address[128];
};

/* Takes the descriptor over in any case. */
void connection_open(struct loop *loop, const struct connection_socket *socket);

/* What could not be sent or was not tried yet: sends as much as `acked` and the socket allow. */
void connection_flush(struct connection *connection, lsn_t acked);
/* It was in loop.waiting: executes more of what it has. */
void connection_go_on(struct connection *connection);
/* Once a second: time limits. `force`: close it in any case (a stop that waited long enough). */
void connection_tick(struct connection *connection, bool force);
/* Closes it: a parcel of its waits for what never comes. */
void connection_drop(struct connection *connection);
/* A stop: no more input, send what is there, close. */
void connection_finish(struct connection *connection);

void connection_wake(struct connection *connection);       /* any thread: session_resume, soon */
void connection_disconnect(struct connection *connection); /* any thread: close after its output */
void connection_deliver(struct connection *connection);    /* any thread: session_deliver, soon */
void connection_evict(struct connection *connection);      /* any thread: close at once */

struct connection *connection_of_link(struct link *link);     /* in loop.dirty and loop.held */
struct connection *connection_of_parcel(struct parcel *parcel);
struct connection *connection_of_waiting_link(struct link *link);
struct connection *connection_of_all_link(struct link *link); /* in loop.connections */

#endif
