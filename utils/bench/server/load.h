/* SPDX-License-Identifier: MIT */
/* A load generator: so many connections on one thread, each with so many requests on the way. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buffer.h"
#include "bench/latency.h"

/* Requests made before the clock starts: sending a pipeline of them is no work. */
struct load_pool {
    struct buffer bytes;
    size_t *ends; /* of each request in bytes */
    size_t count, capacity;
};

void load_pool_add(struct load_pool *pool, const char *const *words, size_t count); /* a command */
void load_pool_add_bytes(struct load_pool *pool, struct slice request); /* as it is sent */
void load_pool_clear(struct load_pool *pool);
void load_pool_release(struct load_pool *pool);

/* What ended in one second of a run. */
struct load_second {
    uint64_t requests;
    uint64_t max_ns; /* the longest of its pipelines */
};

struct load {
    int port; /* on 127.0.0.1 */
    size_t connections;
    size_t pipeline; /* requests that are sent together, and awaited together */
    const struct load_pool *pool;
    double seconds; /* so long pipelines are sent from anywhere in the pool ... */
    bool once;      /* ... or each request of the pool once, in order */
    struct load_second
        *timeline; /* zeroed, one for each second, later ones are not told; NULL: none */
    size_t timeline_seconds;
};

struct load_result {
    uint64_t requests, errors; /* errors: replies that begin with '-' */
    double seconds;
    struct latency latency; /* from sending a pipeline to its last reply */
};

/* false: a connection failed; it says so on stderr. */
bool load_run(const struct load *load, struct load_result *result);

#endif
