/* SPDX-License-Identifier: MIT */
/* How long until a server answers: after a clean stop and after kill -9, with data of two sizes, ten times
 * apart, and with a log since the last flush that is as long as it may be said to be (BENCH_WAL_MIB). What
 * counts is the log, not the data. The bench looks every 2 ms. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>

enum { CONNECTIONS = 10, PIPELINE = 100, PIECE = 20000, MIB = 1 << 20 };

struct start {
    const struct server_bench *bench;
    struct server_pair pair;
};

static void report(struct start *start, const char *name, const char *measure, double value)
{
    printf("%-44s %-20s %10.3f\n", name, measure, value);
    fflush(stdout);
    results_add(start->bench->results, "start", name, "cordwood", measure, 1, value);
}

static void time_start(struct start *start, const char *name)
{
    uint64_t began_ns = latency_clock();

    server_pair_start_one(&start->pair, SERVER_CORDWOOD);
    report(start, name, "start_s", (double)(latency_clock() - began_ns) * 1e-9);
}

/* kill -9, with what the log holds since the last flush. */
static void kill_and_start(struct start *start, const char *name)
{
    report(start, name, "wal_mib",
           (double)server_pair_info(&start->pair, "aof_current_size") / MIB);
    test_server_kill(&start->pair.servers[SERVER_CORDWOOD]);
    time_start(start, name);
    report(start, name, "recovery_s",
           (double)server_pair_info(&start->pair, "recovery_usec") * 1e-6);
}

static void stop_and_start(struct start *start, const char *name)
{
    if (test_server_stop(&start->pair.servers[SERVER_CORDWOOD]) != 0)
        bench_fail("a server did not stop cleanly");
    time_start(start, name);
}

static void measure_size(const struct server_bench *bench, unsigned entries)
{
    struct start start = {.bench = bench};
    char name[64];

    server_pair_start_with(&start.pair, NULL, true);
    request_fill(&start.pair, SERVER_CORDWOOD, entries, 1, request_stream_entry);
    server_pair_settle(&start.pair);
    snprintf(name, sizeof name, "%u entries, kill -9", entries);
    kill_and_start(&start, name);
    snprintf(name, sizeof name, "%u entries, clean stop", entries);
    stop_and_start(&start, name);
    server_pair_release(&start.pair);
}

/* Keys in no order until the log is long enough: their replay searches, an appended log's does not. */
static void fill_log(struct start *start)
{
    struct load_pool pool = {0};
    struct load load = {
        .connections = CONNECTIONS, .pipeline = PIPELINE, .pool = &pool, .once = true};
    struct load_result result;
    struct random random;
    uint64_t bytes = (uint64_t)start->bench->wal_mib * MIB;

    random_init(&random, REQUEST_SEED);
    while (server_pair_info(&start->pair, "aof_current_size") < bytes) {
        load_pool_clear(&pool);
        for (unsigned i = 0; i < PIECE; i++) {
            char key[32], line[LOG_LINE_BYTES_MAX];
            snprintf(key, sizeof key, "%016llx", (unsigned long long)random_next(&random));
            log_line(&random, line);
            if (i % 2)
                load_pool_add(&pool, (const char *const[]){"SET", key, line}, 3);
            else
                load_pool_add(&pool, (const char *const[]){"XADD", "log", "*", "message", line}, 5);
        }
        server_pair_load(&start->pair, SERVER_CORDWOOD, load, &result);
    }
    load_pool_release(&pool);
}

static void measure_long_log(const struct server_bench *bench)
{
    static const char *const flags[] = {"--memtable-size", "2gb", NULL}; /* nothing is flushed */
    struct start start = {.bench = bench};
    char name[64];

    server_pair_start_with(&start.pair, flags, true);
    fill_log(&start);
    snprintf(name, sizeof name, "a log of %u MiB, kill -9", bench->wal_mib);
    kill_and_start(&start, name);
    snprintf(name, sizeof name, "a log of %u MiB, clean stop", bench->wal_mib);
    stop_and_start(&start, name);
    server_pair_release(&start.pair);
}

void bench_start(const struct server_bench *bench)
{
    printf("\nStart\n");
    measure_size(bench, bench->entries);
    measure_size(bench, 10 * bench->entries);
    measure_long_log(bench);
}
