/* SPDX-License-Identifier: MIT */
/* Clients that play different parts (who waits, who pushes, who listens), on one thread. Each is a connection
 * without blocking: what it is to say is put into its output, what has come stands in its input until it is
 * taken. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "base/buffer.h"

struct peer {
    int socket;
    size_t index;         /* among all */
    struct buffer output; /* not sent yet */
    struct buffer input;  /* not taken yet */
    bool awaits_room;     /* the socket took no more */
};

struct peers {
    struct peer *all;
    size_t count;
    int epoll;
};

/* Whatever fails ends the program (bench_fail). The port is on 127.0.0.1. */
void peers_connect(struct peers *peers, int port, size_t count);
void peers_close(struct peers *peers);
/* Appends a command to its output. */
void peer_say(struct peer *peer, const char *const *words, size_t count);
/* Sends the output as far as the socket takes it; the rest goes by itself. */
void peer_send(struct peer *peer, const struct peers *peers);
/* Waits for something to come and shows each peer to which something did; `take` returns how many bytes of its input
 * it has used up. A peer that hears nothing for seconds ends the program. */
void peers_wait(struct peers *peers, size_t (*take)(void *context, struct peer *peer),
                void *context);
/* Reads until the peer's input holds so many lines, which must not be errors; drops them. Alone, before a run. */
void peer_await_lines(struct peer *peer, size_t lines);

#endif
