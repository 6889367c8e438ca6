/* SPDX-License-Identifier: MIT */
/* The page /metrics over HTTP, on a port of its own (metrics-port). Its connections are no clients: they have no
 * session, ask for no password, and count neither for maxclients nor in INFO.
 *
 *      accepted -> READING  a request's head comes in, at most HTTP_HEAD_BYTES_MAX
 *               -> ASKED    one job of the workers makes the page, for all that wait when it begins
 *               -> SENDING  the response, then the end of the stream
 *               -> DRAINING what else comes is thrown away, so that a reset does not overtake the response
 *               -> CLOSING  from any of them: the peer is gone, the time is over, the server stops
 *
 * All of it belongs to loop 0 but the job. */
#ifndef SERVER_METRICS_PORT_H
#define SERVER_METRICS_PORT_H

struct metrics_port;
struct server;

enum {
    METRICS_CONNECTIONS_MAX = 64, /* more are answered 503 and closed at once */
    METRICS_TIME_MS_MAX = 10000,  /* from accept to close */
};

struct metrics_port *metrics_port_create(struct server *server);
/* Takes the descriptor over, which does not block. */
void metrics_port_accept(struct metrics_port *port, int file_descriptor);
/* Closes all connections, on loop 0. Until the last one is gone, and the job, loop 0 counts them as
 * connections, so it goes on running. */
void metrics_port_stop(struct metrics_port *port);
/* Without connections: loop 0 has ended, or never ran. NULL is fine. */
void metrics_port_destroy(struct metrics_port *port);

#endif
