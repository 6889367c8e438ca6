/* SPDX-License-Identifier: MIT */
/* YCSB on the servers (ycsb.h has the workloads): A, B, C, D, F on strings, read GET, update and insert
 * SET; E on a stream, insert XADD *, scan XRANGE from a record's ID with COUNT 1 .. 100. A
 * read-modify-write is GET and then SET, and counts as one operation; latencies are of commands.
 *
 * Unpipelined, as YCSB's clients are. Every turn runs the same operations, made before the clock
 * starts; each workload begins with records freshly written. */
#include "bench/server/server_bench.h"
#include "bench/ycsb.h"

#include <stdio.h>

enum {
    OPERATIONS_PER_SECOND = 100000, /* how many are made for a second of BENCH_SECONDS */
    OPERATIONS_PER_SECOND_SYNCED = 30000,
    FILL_PIPELINE = 100,
    FILL_PIECE = 10000
};

static const char STREAM[] = "usertable";

struct workload_run {
    const struct server_bench *bench;
    struct server_pair *pair;
    const struct ycsb_workload *workload;
    const struct ycsb_texts *texts;
    struct ycsb_records records;
    struct ycsb_chooser chooser;
    struct random random; /* for values */
    struct load_pool pool;
};

static void add_set(struct workload_run *run, uint64_t number)
{
    char key[YCSB_KEY_BYTES_MAX + 1], value[YCSB_RECORD_BYTES + 1];

    key[ycsb_key(number, key)] = 0;
    ycsb_record(run->texts, &run->random, number, value);
    value[YCSB_RECORD_BYTES] = 0;
    load_pool_add(&run->pool, (const char *const[]){"SET", key, value}, 3);
}

static void add_get(struct workload_run *run, uint64_t number)
{
    char key[YCSB_KEY_BYTES_MAX + 1];

    key[ycsb_key(number, key)] = 0;
    load_pool_add(&run->pool, (const char *const[]){"GET", key}, 2);
}

/* `id` "*" or that of a record. */
static void add_entry(struct workload_run *run, uint64_t number, const char *id)
{
    char value[YCSB_RECORD_BYTES + 1];

    ycsb_record(run->texts, &run->random, number, value);
    value[YCSB_RECORD_BYTES] = 0;
    load_pool_add(&run->pool, (const char *const[]){"XADD", STREAM, id, "record", value}, 5);
}

/* Inserted entries have IDs of their own (*): scans begin at records of the filling. */
static void add_scan(struct workload_run *run, uint64_t number, unsigned count)
{
    char id[32], text[16];

    snprintf(id, sizeof id, "%llu", (unsigned long long)(number % run->bench->records + 1));
    snprintf(text, sizeof text, "%u", count);
    load_pool_add(&run->pool, (const char *const[]){"XRANGE", STREAM, id, "+", "COUNT", text}, 6);
}

static void add_operation(struct workload_run *run)
{
    struct ycsb_request request;

    ycsb_next(&run->chooser, &request);
    switch (request.operation) {
    case YCSB_READ:
        add_get(run, request.number);
        break;
    case YCSB_SCAN:
        add_scan(run, request.number, request.scan_count);
        break;
    case YCSB_INSERT:
        if (run->workload->letter == 'E')
            add_entry(run, request.number, "*");
        else
            add_set(run, request.number);
        ycsb_inserted(&run->records, request.number);
        break;
    case YCSB_READ_MODIFY_WRITE:
        add_get(run, request.number);
        add_set(run, request.number);
        break;
    case YCSB_UPDATE:
        add_set(run, request.number);
        break;
    }
}

/* Empty servers get the records. */
static void fill(struct workload_run *run)
{
    struct load load = {
        .connections = 1, .pipeline = FILL_PIPELINE, .pool = &run->pool, .once = true};
    struct load_result result;

    for (EACH_SERVER(kind))
        server_pair_command(run->pair, kind, (const char *const[]){"FLUSHALL", NULL});
    for (uint64_t number = 0; number < run->bench->records; number++) {
        char id[32];
        snprintf(id, sizeof id, "%llu-0", (unsigned long long)number + 1);
        if (run->workload->letter == 'E')
            add_entry(run, number, id);
        else
            add_set(run, number);
        if (run->pool.count < FILL_PIECE && number + 1 < run->bench->records)
            continue;
        for (EACH_SERVER(kind))
            server_pair_load(run->pair, kind, load, &result);
        load_pool_clear(&run->pool);
    }
}

static void take_turns(struct workload_run *run, const char *name, size_t connections,
                       unsigned round, uint64_t operations)
{
    struct load load = {
        .connections = connections, .pipeline = 1, .pool = &run->pool, .once = true};
    struct load_result result;

    load_pool_clear(&run->pool);
    for (uint64_t i = 0; i < operations; i++)
        add_operation(run);
    for (EACH_SERVER(kind)) {
        server_pair_give_turn(run->pair, kind);
        double cpu_before = server_pair_cpu_seconds(run->pair, kind);
        server_pair_load(run->pair, kind, load, &result);
        double cpu = server_pair_cpu_seconds(run->pair, kind) - cpu_before;
        bench_add_load(run->bench, "ycsb", name, kind, round, &result, operations, cpu);
    }
}

static void measure(struct workload_run *run, const char *policy, size_t connections,
                    uint64_t operations)
{
    char name[64];

    snprintf(name, sizeof name, "%c/%s/%zu", run->workload->letter, policy, connections);
    if (!bench_wants(run->bench, name))
        return;
    server_pair_settle(run->pair);
    for (unsigned round = 1; round <= run->bench->rounds; round++)
        take_turns(run, name, connections, round, operations);
    server_pair_let_both_run(run->pair);
    bench_print_load(run->bench, "ycsb", name);
}

static void run_workload(const struct server_bench *bench, struct server_pair *pair,
                         const struct ycsb_texts *texts, char letter)
{
    struct workload_run run = {
        .bench = bench, .pair = pair, .workload = ycsb_workload(letter), .texts = texts};
    uint64_t operations = (uint64_t)(OPERATIONS_PER_SECOND * bench->seconds) + 1;
    uint64_t synced = (uint64_t)(OPERATIONS_PER_SECOND_SYNCED * bench->seconds) + 1;

    ycsb_records_init(&run.records, bench->records);
    ycsb_chooser_init(&run.chooser, run.workload, &run.records, 1);
    random_init(&run.random, 1);
    server_pair_configure(pair, "appendfsync", "everysec");
    fill(&run);
    measure(&run, "everysec", 16, operations);
    measure(&run, "everysec", 50, operations);
    server_pair_configure(pair, "appendfsync", "always");
    measure(&run, "always", 16, synced);
    measure(&run, "always", 50, synced);
    load_pool_release(&run.pool);
    ycsb_records_release(&run.records);
}

void bench_ycsb(const struct server_bench *bench)
{
    static const char letters[] = "ABCDEF";
    struct server_pair pair;
    struct ycsb_texts texts;
    char title[128];

    ycsb_texts_init(&texts, 1);
    server_pair_start(&pair, 0);
    snprintf(title, sizeof title,
             "YCSB (workload/appendfsync/connections), %u records of %d bytes, unpipelined",
             bench->records, YCSB_RECORD_BYTES);
    bench_print_load_header(title);
    for (const char *letter = letters; *letter; letter++)
        run_workload(bench, &pair, &texts, *letter);
    server_pair_release(&pair);
    ycsb_texts_release(&texts);
}
