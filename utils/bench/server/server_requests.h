/* SPDX-License-Identifier: MIT */
/* The requests of the server bench: made before the clock starts, the same for both servers. */
#ifndef BENCH_SERVER_REQUESTS_H
#define BENCH_SERVER_REQUESTS_H

#include "base/random.h"
#include "bench/server/load.h"
#include "bench/server/server_pair.h"
#include "bench/values.h"

enum {
    REQUEST_SEED = 1,                /* of every sequence of requests: the same in each run */
    REQUEST_KEYS = 100000,           /* that SET and GET choose from */
    REQUEST_FILLED_ENTRIES = 100000, /* of the stream that is read, with IDs from 1-0 */
    REQUEST_FILLED_ELEMENTS = 1000,  /* of the list that is read */
    REQUEST_RANGE = 100              /* entries or elements that one read returns */
};

/* Adds the `number`-th request (from 1) to a server's pool. */
typedef void request_function(struct load_pool *pool, struct random *random, unsigned number,
                              enum test_server_kind kind);

struct operation {
    const char *name;
    const char *command; /* what both must know; NULL: they do */
    request_function *request;
    bool writes;
};

extern const struct operation operations[];
extern const size_t operation_count;

/* For fillings. */
request_function request_stream_entry, request_list_element, request_key;
/* Sends `count` requests, each made once from SEED, in pieces. `connections` is 1 when their order
 * matters. */
void request_fill(struct server_pair *pair, enum test_server_kind kind, unsigned count,
                  size_t connections, request_function *request);

#endif
