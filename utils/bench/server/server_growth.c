/* SPDX-License-Identifier: MIT */
/* Memory while data grows to twenty times memtable-size + block-cache-size: half of the bytes as keys with
 * values of 100 bytes, half as log lines in streams. At each step everything was read since the last one,
 * so that all tables are open; resident memory is what the system says (VmRSS), after background work has
 * come to rest. There is no peer: redis keeps all of it in memory. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CONNECTIONS = 10, /* few, and short pages: what clients keep is bounded by itself */
    PIPELINE = 16,
    PIECE = 50000, /* requests made at once */
    VALUE_BYTES = 100,
    KEY_BYTES = 16,
    LINE_BYTES = 120, /* about, of a log line */
    STREAMS = 1000,
    DATA_TIMES = 20, /* so many times both sizes is the last step */
    MIB = 1 << 20,
};

static const unsigned steps[] = {1, 2, 5, 10, 20}; /* of the last: twentieths */
enum { STEPS = sizeof steps / sizeof *steps };

struct growth {
    const struct server_bench *bench;
    struct server_pair pair;
    double budget_mib; /* memtable-size + block-cache-size */
    struct values values;
    struct random random;
    uint64_t keys, lines; /* that are there */
    struct load_pool pool;
};

static void send_pool(struct growth *growth)
{
    struct load load = {
        .connections = CONNECTIONS, .pipeline = PIPELINE, .pool = &growth->pool, .once = true};
    struct load_result result;

    if (growth->pool.count > 0)
        server_pair_load(&growth->pair, SERVER_CORDWOOD, load, &result);
    load_pool_clear(&growth->pool);
}

static void send_when_full(struct growth *growth)
{
    if (growth->pool.count == PIECE)
        send_pool(growth);
}

/* Keys come in an order that has nothing to do with their names' order on the disk. */
static void add_key(struct growth *growth, const char *command, uint64_t number)
{
    char key[32], value[VALUE_BYTES + 1];

    snprintf(key, sizeof key, "%0*llx", KEY_BYTES, (unsigned long long)number);
    memcpy(value, values_half(&growth->values, number, VALUE_BYTES).data, VALUE_BYTES);
    value[VALUE_BYTES] = 0;
    load_pool_add(&growth->pool, (const char *const[]){command, key, value},
                  strcmp(command, "SET") == 0 ? 3 : 2);
    send_when_full(growth);
}

static void add_line(struct growth *growth, uint64_t number)
{
    char key[32], line[LOG_LINE_BYTES_MAX];

    snprintf(key, sizeof key, "stream:%04u", (unsigned)(number % STREAMS));
    log_line(&growth->random, line);
    load_pool_add(&growth->pool, (const char *const[]){"XADD", key, "*", "message", line}, 5);
    send_when_full(growth);
}

static void grow_to(struct growth *growth, uint64_t bytes)
{
    uint64_t keys = bytes / 2 / (KEY_BYTES + VALUE_BYTES), lines = bytes / 2 / LINE_BYTES;

    while (growth->keys < keys || growth->lines < lines) {
        for (unsigned i = 0; i < 1000 && growth->keys < keys; i++)
            add_key(growth, "SET", growth->keys++);
        for (unsigned i = 0; i < 1000 && growth->lines < lines; i++)
            add_line(growth, growth->lines++);
    }
    send_pool(growth);
    server_pair_settle(&growth->pair);
}

/* A part of the keys, from all tables; pages from all over the streams. */
static void read_all(struct growth *growth)
{
    uint64_t reads = growth->keys < 100000 ? growth->keys : 100000;

    for (uint64_t i = 0; i < reads; i++)
        add_key(growth, "GET", random_below(&growth->random, growth->keys));
    for (unsigned i = 0; i < STREAMS; i++) {
        char key[32];
        snprintf(key, sizeof key, "stream:%04u", i);
        load_pool_add(&growth->pool, (const char *const[]){"XRANGE", key, "-", "+", "COUNT", "100"},
                      6);
        load_pool_add(&growth->pool,
                      (const char *const[]){"XREVRANGE", key, "+", "-", "COUNT", "100"}, 6);
    }
    send_pool(growth);
    server_pair_settle(&growth->pair);
}

static void report(struct growth *growth, unsigned step, double data_mib, double start_mib)
{
    char name[32];
    struct server_pair *pair = &growth->pair;
    double rss_mib = (double)server_pair_resident_bytes(pair, SERVER_CORDWOOD) / MIB;
    double disk_mib = (double)server_pair_file_bytes(pair, SERVER_CORDWOOD, ".cwt") / MIB;

    snprintf(name, sizeof name, "data x %u", step);
    printf("%-12s %12.0f %12.0f %10u %12.1f %12.1f %12.1f\n", name, data_mib, disk_mib,
           server_pair_file_count(pair, SERVER_CORDWOOD, ".cwt"), rss_mib,
           rss_mib - growth->budget_mib, rss_mib - start_mib);
    fflush(stdout);
    results_add(growth->bench->results, "growth", name, "cordwood", "data_mib", 1, data_mib);
    results_add(growth->bench->results, "growth", name, "cordwood", "tables_mib", 1, disk_mib);
    results_add(growth->bench->results, "growth", name, "cordwood", "rss_mib", 1, rss_mib);
    results_add(growth->bench->results, "growth", name, "cordwood", "rss_above_budget_mib", 1,
                rss_mib - growth->budget_mib);
}

void bench_growth(const struct server_bench *bench)
{
    struct growth growth = {.bench = bench, .budget_mib = (double)bench->growth_mib / DATA_TIMES};
    char half[16];
    const char *const flags[] = {"--memtable-size", half, "--block-cache-size", half, NULL};

    snprintf(half, sizeof half, "%.0fkb", growth.budget_mib / 2 * 1024);
    server_pair_start_with(&growth.pair, flags, true);
    values_init(&growth.values, REQUEST_SEED);
    random_init(&growth.random, REQUEST_SEED);
    double start_mib = (double)server_pair_resident_bytes(&growth.pair, SERVER_CORDWOOD) / MIB;
    printf("\nMemory while data grows, MiB: memtable-size and block-cache-size %s each; empty it "
           "takes "
           "%.1f\n%-12s %12s %12s %10s %12s %12s %12s\n",
           half, start_mib, "", "data", "tables", "in files", "resident", "above both",
           "above empty");
    results_add(bench->results, "growth", "empty", "cordwood", "rss_mib", 1, start_mib);
    for (unsigned i = 0; i < STEPS; i++) {
        double data_mib = (double)bench->growth_mib * steps[i] / steps[STEPS - 1];
        grow_to(&growth, (uint64_t)(data_mib * MIB));
        read_all(&growth);
        report(&growth, steps[i], data_mib, start_mib);
    }
    load_pool_release(&growth.pool);
    values_release(&growth.values);
    server_pair_release(&growth.pair);
}
