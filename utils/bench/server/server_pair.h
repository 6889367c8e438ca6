/* SPDX-License-Identifier: MIT */
/* cordwood-server and redis-server side by side. They take turns; while one is measured the other
 * stands still (SIGSTOP), so that its work in the background is paid in its own turn. Whatever fails
 * ends the program with a message, and both servers with it. */
#ifndef BENCH_SERVER_PAIR_H
#define BENCH_SERVER_PAIR_H

#include "bench/server/load.h"
#include "lib/test_server.h"

enum { SERVER_KINDS = 2 };
/* For `for (enum test_server_kind kind ...)`, in the order of their turns. */
#define EACH_SERVER(kind)                         \
    enum test_server_kind kind = SERVER_CORDWOOD; \
    (kind) <= SERVER_REDIS;                       \
    (kind)++

struct server_pair {
    struct test_server servers[SERVER_KINDS]; /* by kind */
    int ports[SERVER_KINDS];
    unsigned io_threads;      /* of both; 0: their default */
    const char *const *flags; /* of cordwood alone, NULL at their end; NULL: none */
    bool is_alone;            /* there is no redis; for what has no peer */
};

const char *server_pair_name(enum test_server_kind kind); /* as results.h's subjects */

/* Empty data directories; redis with appendonly yes. */
void server_pair_start(struct server_pair *pair, unsigned io_threads);
/* With flags for cordwood; `is_alone`: without redis. */
void server_pair_start_with(struct server_pair *pair, const char *const *flags, bool is_alone);
void server_pair_release(struct server_pair *pair);
/* Starts one that has ended, on its data. */
void server_pair_start_one(struct server_pair *pair, enum test_server_kind kind);

void server_pair_give_turn(struct server_pair *pair, enum test_server_kind kind);
void server_pair_let_both_run(struct server_pair *pair);
void server_pair_let_none_run(struct server_pair *pair);
/* Waits until both have done their work in the background. */
void server_pair_settle(struct server_pair *pair);
void server_pair_settle_one(struct server_pair *pair, enum test_server_kind kind);

/* One command; its reply must not be an error. */
void server_pair_command(struct server_pair *pair, enum test_server_kind kind,
                         const char *const *texts);
void server_pair_configure(struct server_pair *pair, const char *name,
                           const char *value); /* both */
/* true: both have the command. */
bool server_pair_knows(struct server_pair *pair, const char *command);
/* Flushes and merges, or BGREWRITEAOF, until it is done. */
void server_pair_compact(struct server_pair *pair, enum test_server_kind kind);

/* All requests must succeed. The port is set here. */
void server_pair_load(struct server_pair *pair, enum test_server_kind kind, struct load load,
                      struct load_result *result);

/* A number of cordwood's INFO, whose field is named; 0: there is none. */
uint64_t server_pair_info(struct server_pair *pair, const char *field);

double server_pair_cpu_seconds(const struct server_pair *pair, enum test_server_kind kind);
/* Bytes that the process, and children it waited for, caused to be written to a disk. */
uint64_t server_pair_written_bytes(const struct server_pair *pair, enum test_server_kind kind);
uint64_t server_pair_resident_bytes(const struct server_pair *pair, enum test_server_kind kind);
/* Of the files whose names contain `part`; "" for all. */
uint64_t server_pair_file_bytes(const struct server_pair *pair, enum test_server_kind kind,
                                const char *part);
unsigned server_pair_file_count(const struct server_pair *pair, enum test_server_kind kind,
                                const char *part);

/* Prints "bench: what", ends the servers and the program. */
_Noreturn void bench_fail(const char *what);

#endif
