/* SPDX-License-Identifier: MIT */
/* A load generator: so many connections on one thread, each with so many requests on the way. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buffer.h"
#include "base/random.h"

struct load {
    int port; /* on 127.0.0.1 */
    size_t connections;
    size_t pipeline;   /* requests that are sent together, and awaited together */
    double seconds;    /* stop after so long ... */
    uint64_t requests; /* ... or after so many; 0: no such bound */
    /* Appends one request. */
    void (*request)(void *context, struct random *random, struct buffer *out);
    void *context;
};

struct load_result {
    uint64_t requests, errors; /* errors: replies that begin with '-' */
    double seconds;
    double p50_ms, p99_ms; /* from sending a pipeline to its last reply */
};

/* false: a connection failed; it says so on stderr. */
bool load_run(const struct load *load, struct load_result *result);
double load_clock(void); /* seconds, monotonic */

#endif
