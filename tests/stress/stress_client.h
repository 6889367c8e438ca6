/* SPDX-License-Identifier: MIT */
/* A client with keys of its own: a thread that sends random operations over one connection, in one
 * of four ways of writing requests, pipelined or not, until the server goes away. */
#ifndef STRESS_STRESS_CLIENT_H
#define STRESS_STRESS_CLIENT_H

#include "stress/stress_compare.h"

#include <stdatomic.h>

enum {
    CLIENT_PIPELINE_MAX = 24,
    CLIENT_PENDING_MAX = 2 * CLIENT_PIPELINE_MAX + TRANSACTION_OPERATIONS_MAX,
};

/* What all threads of a run know. */
struct stress_life {
    const char *socket, *json_socket;
    const char *data;       /* the directory */
    const char *password;   /* NULL: none */
    atomic_bool is_ending;  /* connections may break from now on */
    atomic_bool must_stop;  /* threads finish what is under way and end */
    atomic_bool has_failed; /* some thread found something wrong */
    atomic_ulong *sent;     /* of each operation_kind, over all lives */
};

struct stress_client {
    struct model model;
    struct random random;
    struct stress_life *life;
    uint64_t next_tag;
    struct operation pending[CLIENT_PENDING_MAX]; /* of the last pipeline */
    size_t pending_count, answered;
    bool has_failed;
    struct buffer failure;
    uint64_t operations, connections[WIRE_COUNT];
};

void stress_client_init(struct stress_client *client, unsigned id, uint64_t seed,
                        struct stress_life *life);
void stress_client_release(struct stress_client *client);
void *stress_client_run(void *client); /* the thread */
/* After the thread has ended and the server is up again; false: `failure` says why. *happened: how
 * many of the *in_flight operations that were not answered. */
bool stress_client_check(struct stress_client *client, size_t *in_flight, size_t *happened);

/* For the other threads of a run: a connection that is authenticated; false: the server is gone. */
bool stress_connect(struct stress_life *life, bool json, bool resp3,
                    struct resp_client *connection);

#endif
