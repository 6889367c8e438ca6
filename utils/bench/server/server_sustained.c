/* SPDX-License-Identifier: MIT */
/* More than compaction can take, for a while: small memtables, data many times their size. What a client
 * should see is a rate that falls gradually to what the disk and the cores sustain, and no second in which
 * nothing happens. Beside the rate of every second stands how long the event loop's iterations were, as
 * cordwood's INFO has it.
 *
 *      overwrites  SET of 1 KiB, random keys
 *      mixed       XADD to 16 streams, SET of 1 KiB, XRANGE of 100 anywhere in a stream larger than
 *                  memory and at its end, LRANGE of 100, DEL of the streams */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    CONNECTIONS = 50,
    PIPELINE = 16,
    POOL_REQUESTS = 100000,
    VALUE_BYTES = 1024,
    STREAMS = 16,
    SECONDS_MAX = 600,
    GAP_NS = 500000000,
};

static const char *const flags[] = {"--memtable-size", "8mb", "--block-cache-size", "8mb", NULL};

struct sustained {
    const struct server_bench *bench;
    struct server_pair pair;
    struct values values;
    struct load_pool pool;
};

/* ---- Requests -------------------------------------------------------------------------------- */

static void add_set(struct sustained *sustained, struct random *random)
{
    char key[32], value[VALUE_BYTES + 1];
    uint64_t number = random_next(random);

    snprintf(key, sizeof key, "key:%08u",
             (unsigned)random_below(random, 2 * sustained->bench->records));
    memcpy(value, values_half(&sustained->values, number, VALUE_BYTES).data, VALUE_BYTES);
    value[VALUE_BYTES] = 0;
    load_pool_add(&sustained->pool, (const char *const[]){"SET", key, value}, 3);
}

static void add_mixed(struct sustained *sustained, struct random *random)
{
    struct load_pool *pool = &sustained->pool;
    unsigned kind = (unsigned)random_below(random, 1000);
    char key[32], id[32], line[LOG_LINE_BYTES_MAX];

    snprintf(key, sizeof key, "stream:%02u", (unsigned)random_below(random, STREAMS));
    snprintf(id, sizeof id, "%u", 1 + (unsigned)random_below(random, sustained->bench->entries));
    if (kind < 500) {
        log_line(random, line);
        load_pool_add(pool, (const char *const[]){"XADD", key, "*", "message", line}, 5);
    } else if (kind < 700) {
        add_set(sustained, random);
    } else if (kind < 800) {
        load_pool_add(pool, (const char *const[]){"XRANGE", "filled", id, "+", "COUNT", "100"}, 6);
    } else if (kind < 900) {
        load_pool_add(pool, (const char *const[]){"XREVRANGE", "filled", "+", "-", "COUNT", "100"},
                      6);
    } else if (kind < 999) {
        load_pool_add(pool, (const char *const[]){"LRANGE", "filled-list", "0", "99"}, 4);
    } else {
        load_pool_add(pool, (const char *const[]){"DEL", key}, 2);
    }
}

static void make_pool(struct sustained *sustained,
                      void (*add)(struct sustained *sustained, struct random *random))
{
    struct random random;

    load_pool_clear(&sustained->pool);
    random_init(&random, REQUEST_SEED);
    for (unsigned i = 0; i < POOL_REQUESTS; i++)
        add(sustained, &random);
}

/* ---- A run ----------------------------------------------------------------------------------- */

static void add_figure(const struct sustained *sustained, const char *name,
                       enum test_server_kind kind, const char *measure, double value)
{
    results_add(sustained->bench->results, "sustained", name, server_pair_name(kind), measure, 1,
                value);
}

/* What the machine itself does to a thread: the longest piece of its CPU time between two looks at the clock
 * that do nothing else. Under a hypervisor it is what another guest took; so much of an iteration's
 * time may be no work. */
static double machine_gap_us(void)
{
    struct timespec time;
    uint64_t began_ns = latency_clock(), last_ns = 0, longest_ns = 0;

    while (latency_clock() - began_ns < GAP_NS) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        uint64_t now_ns = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
        if (last_ns && now_ns - last_ns > longest_ns)
            longest_ns = now_ns - last_ns;
        last_ns = now_ns;
    }
    return (double)longest_ns / 1e3;
}

/* The rates of the seconds that were whole: a line for people, a line each for machines. */
static void report_seconds(const struct sustained *sustained, const char *name,
                           enum test_server_kind kind, const struct load_second *timeline,
                           size_t seconds)
{
    uint64_t least = UINT64_MAX;

    printf("  thousands in each second:");
    for (size_t i = 0; i < seconds; i++) {
        char second[32];
        snprintf(second, sizeof second, "second %zu", i + 1);
        results_note(sustained->bench->results, "sustained", name, server_pair_name(kind),
                     "ops_in_second", second, (double)timeline[i].requests);
        printf(" %.0f", (double)timeline[i].requests / 1e3);
        least = timeline[i].requests < least ? timeline[i].requests : least;
    }
    printf("\n");
    if (seconds > 0)
        add_figure(sustained, name, kind, "least_ops_in_second", (double)least);
}

static void report_loop(struct sustained *sustained, const char *name)
{
    static const char *const fields[] = {"loop_iterations",        "loop_iteration_us_p50",
                                         "loop_iteration_us_p999", "loop_iteration_us_max",
                                         "loop_wall_us_p999",      "loop_wall_us_max",
                                         "loop_log_write_us_max"};

    printf("  event loop:");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint64_t value = server_pair_info(&sustained->pair, fields[i]);
        printf(" %s %llu", fields[i] + strlen("loop_"), (unsigned long long)value);
        add_figure(sustained, name, SERVER_CORDWOOD, fields[i], (double)value);
    }
    double gap_us = machine_gap_us();
    printf("\n  the machine takes a thread up to %.0f us at once\n", gap_us);
    results_add(sustained->bench->results, "sustained", name, "machine", "cpu_gap_us_max", 1,
                gap_us);
}

static void run(struct sustained *sustained, const char *name, enum test_server_kind kind)
{
    static struct load_second timeline[SECONDS_MAX];
    struct load load = {.connections = CONNECTIONS,
                        .pipeline = PIPELINE,
                        .seconds = sustained->bench->sustained_seconds,
                        .pool = &sustained->pool,
                        .timeline = timeline,
                        .timeline_seconds = SECONDS_MAX};
    struct load_result result;

    memset(timeline, 0, sizeof timeline);
    server_pair_give_turn(&sustained->pair, kind);
    server_pair_command(&sustained->pair, kind, (const char *const[]){"CONFIG", "RESETSTAT", NULL});
    double cpu_before = server_pair_cpu_seconds(&sustained->pair, kind);
    server_pair_load(&sustained->pair, kind, load, &result);
    double cpu = server_pair_cpu_seconds(&sustained->pair, kind) - cpu_before;
    bench_add_load(sustained->bench, "sustained", name, kind, 1, &result, result.requests, cpu);
    printf("%-9s %8.1f thousand/s, p50 %.2f p99 %.2f p99.9 %.2f max %.2f ms\n",
           server_pair_name(kind), (double)result.requests / result.seconds / 1e3,
           (double)latency_percentile(&result.latency, 50) / 1e6,
           (double)latency_percentile(&result.latency, 99) / 1e6,
           (double)latency_percentile(&result.latency, 99.9) / 1e6,
           (double)result.latency.max_ns / 1e6);
    report_seconds(sustained, name, kind, timeline, (size_t)load.seconds);
    if (kind == SERVER_CORDWOOD)
        report_loop(sustained, name);
    fflush(stdout);
}

static void run_both(struct sustained *sustained, const char *name)
{
    printf("%s\n", name);
    for (EACH_SERVER(kind))
        run(sustained, name, kind);
    server_pair_let_both_run(&sustained->pair);
    server_pair_settle(&sustained->pair);
}

void bench_sustained(const struct server_bench *bench)
{
    struct sustained sustained = {.bench = bench};

    server_pair_start_with(&sustained.pair, flags, false);
    values_init(&sustained.values, REQUEST_SEED);
    printf(
        "\nSustained load, memtable-size 8mb, block-cache-size 8mb, %u keys of 1 KiB, a stream of "
        "%u entries\n",
        2 * bench->records, bench->entries);
    for (EACH_SERVER(kind)) {
        request_fill(&sustained.pair, kind, bench->entries, 1, request_stream_entry);
        request_fill(&sustained.pair, kind, REQUEST_FILLED_ELEMENTS, 1, request_list_element);
    }
    make_pool(&sustained, add_set);
    run_both(&sustained, "overwrites");
    make_pool(&sustained, add_mixed);
    run_both(&sustained, "mixed");
    load_pool_release(&sustained.pool);
    values_release(&sustained.values);
    server_pair_release(&sustained.pair);
}
