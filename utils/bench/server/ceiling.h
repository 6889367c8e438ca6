/* SPDX-License-Identifier: MIT */
/* The least that a server can do: a child process with one epoll loop that parses nothing. It counts the
 * bytes of requests, which are all of one size, and answers each with the same bytes, made ready. What it
 * reaches is what the load generator and the kernel allow at all. */
#ifndef BENCH_CEILING_H
#define BENCH_CEILING_H

#include "base/slice.h"

#include <sys/types.h>

struct ceiling {
    pid_t pid; /* 0: not running */
    int port;  /* on 127.0.0.1 */
};

/* false: it could not be started; it says so on stderr. */
bool ceiling_start(struct ceiling *ceiling, size_t request_bytes, struct slice reply);
void ceiling_stop(struct ceiling *ceiling); /* nothing when it does not run */
double ceiling_cpu_seconds(const struct ceiling *ceiling);

#endif
