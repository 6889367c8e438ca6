/* SPDX-License-Identifier: MIT */
/* The parts of the server bench. Each starts its own pair of servers, prints a table and adds its
 * figures to the results. */
#ifndef BENCH_SERVER_BENCH_H
#define BENCH_SERVER_BENCH_H

#include "bench/results.h"
#include "bench/server/server_pair.h"

enum { ROUNDS_MAX = 15 };

struct server_bench {
    struct results *results;
    unsigned rounds;          /* turns of each server */
    double seconds;           /* a turn */
    unsigned entries;         /* for disk and start-up */
    unsigned records;         /* of YCSB */
    unsigned growth_mib;      /* to which data grows */
    unsigned deleted;         /* entries of a stream or list that is deleted */
    unsigned wal_mib;         /* of the log that a start reads */
    double sustained_seconds; /* a run under more load than is sustained */
    const char *filter;       /* only cases whose names contain it; NULL: all */
};

/* Requests of one kind: rates, latencies and CPU, by policy and pipeline. `io_threads` 0: the full
 * table with one event loop; otherwise some cases with so many. */
void bench_throughput(const struct server_bench *bench, unsigned io_threads);
/* Elements from who pushes to who waits for them; messages to who has subscribed. With so many event loops of
 * cordwood's; redis has one thread, as more of them keep the cores of the load busy. */
void bench_handover(const struct server_bench *bench, unsigned io_threads);
void bench_fanout(const struct server_bench *bench, unsigned io_threads);
void bench_ycsb(const struct server_bench *bench);
void bench_storage(const struct server_bench *bench);   /* space, amplification, memory, start-up */
void bench_sustained(const struct server_bench *bench); /* more load than compaction takes */
void bench_growth(const struct server_bench *bench);    /* memory while data grows */
void bench_churn(const struct server_bench *bench);     /* disk while keys are overwritten */
void bench_deletes(const struct server_bench *bench);   /* of millions of entries at once */
void bench_scan(const struct server_bench *bench);      /* a whole stream by hiredis */
void bench_start(const struct server_bench *bench);
void bench_write_many(const struct server_bench *bench);

/* ---- What the parts share ---------------------------------------------------------------------- */

/* One turn's figures, as measures of a case. `operations` is what rate and CPU are divided by. */
void bench_add_load(const struct server_bench *bench, const char *suite, const char *name,
                    enum test_server_kind kind, unsigned round, const struct load_result *result,
                    uint64_t operations, double cpu_seconds);
/* The same for a subject by name. */
void bench_add_load_of(const struct server_bench *bench, const char *suite, const char *name,
                       const char *subject, unsigned round, const struct load_result *result,
                       uint64_t operations, double cpu_seconds);
/* Two lines of column names, and a line of medians for a case. */
void bench_print_load_header(const char *title);
void bench_print_load(const struct server_bench *bench, const char *suite, const char *name);
bool bench_wants(const struct server_bench *bench, const char *name);

#endif
