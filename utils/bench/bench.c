/* SPDX-License-Identifier: MIT */
/* Measures cordwood-server against redis-server (appendonly yes, the same appendfsync) in one run.
 * The two take turns, A B A B; while one is measured the other stands still (SIGSTOP), so that its
 * work in the background is paid in its own turn. Figures are medians of the turns.
 *
 *      bench [output.tsv]      BENCH_SECONDS= a turn (0.5)  BENCH_ROUNDS= turns each (3)
 *                              BENCH_ENTRIES= for disk and start-up (500000)
 *                              BENCH_ONLY= a part's name: throughput, disk, write_many */
#include "load.h"

#include "base/random.h"
#include "lib/test_server.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

enum {
    SEED = 1,
    SETTLE_TRIES_MAX = 300,
    POOL_REQUESTS = 20000,
    FILL_PIECE = 50000,
    CONNECTIONS = 50,
    KEYS = 100000,
    FILLED_ENTRIES = 100000,
    ROUNDS_MAX = 15,
    RANGE = 100
};

static const char *const kind_names[] = {"cordwood", "redis"};
static struct test_server servers[2];
static int ports[2];
static FILE *table; /* tab-separated: part, case, measure, server, value */

static double environment_number(const char *name, double otherwise)
{
    const char *given = getenv(name);

    return given ? strtod(given, NULL) : otherwise;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    for (int kind = 0; kind < 2; kind++)
        test_server_release(&servers[kind]);
    exit(1);
}

static void note(const char *part, const char *name, const char *measure,
                 enum test_server_kind kind, double value)
{
    if (table)
        fprintf(table, "%s\t%s\t%s\t%s\t%.6g\n", part, name, measure, kind_names[kind], value);
}

/* ---- Servers
 * --------------------------------------------------------------------------------------- */

static void start_server(enum test_server_kind kind)
{
    char port[16];

    ports[kind] = test_server_free_port();
    snprintf(port, sizeof port, "%d", ports[kind]);
    test_server_start(&servers[kind], (const char *const[]){"--port", port, NULL});
}

static void start_servers(void)
{
    for (int kind = 0; kind < 2; kind++) {
        test_server_init(&servers[kind], kind);
        start_server(kind);
    }
}

static void release_servers(void)
{
    for (int kind = 0; kind < 2; kind++)
        test_server_release(&servers[kind]);
}

/* Lets one run and holds the other. */
static void give_turn(enum test_server_kind kind)
{
    kill(servers[kind].pid, SIGCONT);
    kill(servers[!kind].pid, SIGSTOP);
}

static void let_both_run(void)
{
    kill(servers[0].pid, SIGCONT);
    kill(servers[1].pid, SIGCONT);
}

/* What the server's threads have used so far. */
static double cpu_seconds(enum test_server_kind kind)
{
    clockid_t clock;
    struct timespec time = {0};

    if (clock_getcpuclockid(servers[kind].pid, &clock) == 0)
        clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Waits until both have done their work in the background. */
static void settle(void)
{
    const struct timespec pause = {0, 100 * 1000000};

    for (int tries = 0; tries < SETTLE_TRIES_MAX; tries++) {
        double began = cpu_seconds(SERVER_CORDWOOD) + cpu_seconds(SERVER_REDIS);
        nanosleep(&pause, NULL);
        if (cpu_seconds(SERVER_CORDWOOD) + cpu_seconds(SERVER_REDIS) - began < 0.01)
            return;
    }
}

static void command(enum test_server_kind kind, const char *const *texts)
{
    struct resp_client client;
    struct resp_reply reply;

    test_server_connect(&servers[kind], &client);
    client.timeout_ms = 120000;
    if (!resp_client_call_texts(&client, &reply, texts) || reply.type == '-') {
        fprintf(stderr, "%s: %s %s: %.*s\n", kind_names[kind], texts[0], texts[1] ? texts[1] : "",
                (int)reply.text.size, (const char *)reply.text.data);
        give_up("a command failed");
    }
    resp_reply_release(&reply);
    resp_client_close(&client);
}

/* ---- Requests
 * -------------------------------------------------------------------------------------- */

/* A line such as services write, 100 to 140 bytes. */
static size_t log_line(struct random *random, char *line, size_t capacity)
{
    static const char *const shapes[] = {
        "2024-06-07T12:%02u:%02u.%03uZ INFO  api-gateway request id=%08x path=/v1/orders/%u "
        "status=200 took=%u ms",
        "2024-06-07T12:%02u:%02u.%03uZ WARN  storage slow flush of segment %08x: %u bytes in %u "
        "ms, queue is growing",
        "2024-06-07T12:%02u:%02u.%03uZ DEBUG scheduler task %08x moved to worker %u after %u "
        "retries on this node",
        "2024-06-07T12:%02u:%02u.%03uZ ERROR payments card %08x was declined for account %u, "
        "attempt number %u",
    };
    uint64_t bits = random_next(random);

    return (size_t)snprintf(line, capacity, shapes[bits % 4], (unsigned)(bits >> 8) % 60,
                            (unsigned)(bits >> 16) % 60, (unsigned)(bits >> 24) % 1000,
                            (unsigned)(bits >> 32), (unsigned)random_below(random, 1000000),
                            (unsigned)random_below(random, 1000));
}

/* Adds one request to the pool; `number` counts from 1. */
typedef void request_function(struct load_pool *pool, struct random *random, unsigned number);

#define ADD(pool, ...)                                      \
    load_pool_add(pool, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void set_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char key[32], line[256];

    (void)number;
    snprintf(key, sizeof key, "key:%06u", (unsigned)random_below(random, KEYS));
    log_line(random, line, sizeof line);
    ADD(pool, "SET", key, line);
}

static void get_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char key[32];

    (void)number;
    snprintf(key, sizeof key, "key:%06u", (unsigned)random_below(random, KEYS));
    ADD(pool, "GET", key);
}

static void lpush_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char line[256];

    (void)number;
    log_line(random, line, sizeof line);
    ADD(pool, "LPUSH", "list", line);
}

static void lrange_request(struct load_pool *pool, struct random *random, unsigned number)
{
    (void)number;
    (void)random;
    ADD(pool, "LRANGE", "filled-list", "0", "99");
}

static void xadd_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char line[256];

    (void)number;
    log_line(random, line, sizeof line);
    ADD(pool, "XADD", "stream", "*", "message", line);
}

static void xrange_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char id[32];

    (void)number;
    snprintf(id, sizeof id, "%u", 1 + (unsigned)random_below(random, FILLED_ENTRIES - RANGE));
    ADD(pool, "XRANGE", "filled", id, "+", "COUNT", "100");
}

static void fill_stream_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char id[32], line[256];

    snprintf(id, sizeof id, "%u-0", number);
    log_line(random, line, sizeof line);
    ADD(pool, "XADD", "filled", id, "message", line);
}

static void fill_list_request(struct load_pool *pool, struct random *random, unsigned number)
{
    char line[256];

    (void)number;
    log_line(random, line, sizeof line);
    ADD(pool, "RPUSH", "filled-list", line);
}

/* Sends `count` requests, each made once, in pieces. `connections` is 1 when their order matters.
 */
static void fill(enum test_server_kind kind, unsigned count, size_t connections,
                 request_function *request)
{
    struct load_pool pool = {0};
    struct load load = {.port = ports[kind],
                        .connections = connections,
                        .pipeline = 100,
                        .pool = &pool,
                        .once = true};
    struct load_result result;
    struct random random;

    random_init(&random, SEED);
    for (unsigned number = 1; number <= count; number++) {
        request(&pool, &random, number);
        if (pool.count < FILL_PIECE && number < count)
            continue;
        if (!load_run(&load, &result) || result.errors || result.requests != pool.count)
            give_up("filling failed");
        load_pool_clear(&pool);
    }
    load_pool_release(&pool);
}

/* ---- Throughput
 * ------------------------------------------------------------------------------------ */

struct operation {
    const char *name;
    request_function *request;
    bool writes;
};

static const struct operation operations[] = {
    {"GET", get_request, false},           {"LRANGE_100", lrange_request, false},
    {"XRANGE_100", xrange_request, false}, {"SET", set_request, true},
    {"LPUSH", lpush_request, true},        {"XADD", xadd_request, true},
};

enum { OPERATIONS = sizeof operations / sizeof *operations };

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void measure_operation(const struct operation *operation, const struct load_pool *pool,
                              const char *policy, size_t pipeline, size_t rounds, double seconds)
{
    double rates[2][ROUNDS_MAX], p99[2][ROUNDS_MAX], cpu[2][ROUNDS_MAX];
    double rate[2], latency[2], cost[2];
    char name[64];

    settle();
    for (size_t round = 0; round < rounds; round++) {
        for (int kind = 0; kind < 2; kind++) {
            struct load load = {.port = ports[kind],
                                .connections = CONNECTIONS,
                                .pipeline = pipeline,
                                .seconds = seconds,
                                .pool = pool};
            struct load_result result;
            give_turn(kind);
            double began = cpu_seconds(kind);
            if (!load_run(&load, &result) || result.errors)
                give_up("requests failed");
            cpu[kind][round] = (cpu_seconds(kind) - began) * 1e6 / (double)result.requests;
            rates[kind][round] = (double)result.requests / result.seconds;
            p99[kind][round] = result.p99_ms;
        }
    }
    let_both_run();
    snprintf(name, sizeof name, "%s/%s/%zu", operation->name, policy, pipeline);
    for (int kind = 0; kind < 2; kind++) {
        rate[kind] = median(rates[kind], rounds);
        latency[kind] = median(p99[kind], rounds);
        cost[kind] = median(cpu[kind], rounds);
        note("throughput", name, "requests_per_second", kind, rate[kind]);
        note("throughput", name, "p99_ms", kind, latency[kind]);
        note("throughput", name, "cpu_us_per_request", kind, cost[kind]);
    }
    printf("%-11s %-9s %4zu %11.0f %11.0f %6.2fx %8.2f %8.2f %8.2f %8.2f\n", operation->name,
           policy, pipeline, rate[0], rate[1], rate[0] / rate[1], latency[0], latency[1], cost[0],
           cost[1]);
    fflush(stdout);
}

static void measure_throughput(size_t rounds, double seconds)
{
    static const char *const policies[] = {"everysec", "always", "no"};
    static const size_t pipelines[] = {1, 16, 64};
    struct load_pool pools[OPERATIONS] = {0};
    struct random random;

    random_init(&random, SEED);
    for (size_t o = 0; o < OPERATIONS; o++)
        for (unsigned number = 1; number <= POOL_REQUESTS; number++)
            operations[o].request(&pools[o], &random, number);
    start_servers();
    for (int kind = 0; kind < 2; kind++) {
        fill(kind, FILLED_ENTRIES, 1, fill_stream_request);
        fill(kind, 1000, 1, fill_list_request);
        fill(kind, 2 * KEYS, CONNECTIONS, set_request);
    }
    printf("\n%d connections, %zu turns of %.2f s each; cordwood, redis\n"
           "%-11s %-9s %4s %23s %7s %17s %17s\n",
           CONNECTIONS, rounds, seconds, "", "fsync", "pipe", "requests a second", "ratio",
           "p99 ms a pipeline", "us CPU a request");
    for (size_t p = 0; p < 3; p++) {
        for (int kind = 0; kind < 2; kind++)
            command(kind, (const char *const[]){"CONFIG", "SET", "appendfsync", policies[p], NULL});
        for (size_t o = 0; o < OPERATIONS; o++)
            for (size_t i = 0; i < 3 && (operations[o].writes || p == 0); i++)
                measure_operation(&operations[o], &pools[o], policies[p], pipelines[i], rounds,
                                  seconds);
    }
    for (size_t o = 0; o < OPERATIONS; o++)
        load_pool_release(&pools[o]);
    release_servers();
}

/* ---- Disk and start-up
 * ----------------------------------------------------------------------------- */

/* Bytes of the regular files below a directory whose names contain `part` ("" for all). */
static uint64_t directory_bytes(const char *path, const char *part)
{
    DIR *directory = opendir(path);
    uint64_t bytes = 0;
    struct dirent *entry;
    struct stat status;
    char child[1024];

    while (directory && (entry = readdir(directory))) {
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || lstat(child, &status) != 0)
            continue;
        if (S_ISDIR(status.st_mode))
            bytes += directory_bytes(child, part);
        else if (strstr(entry->d_name, part))
            bytes += (uint64_t)status.st_size;
    }
    if (directory)
        closedir(directory);
    return bytes;
}

static double restart_seconds(enum test_server_kind kind)
{
    test_server_kill(&servers[kind]);
    double began = load_clock();
    start_server(kind);
    return load_clock() - began;
}

static void wait_for_rewrite(void)
{
    struct resp_client client;
    struct buffer shown = {0};
    const struct timespec pause = {0, 50 * 1000000};

    test_server_connect(&servers[SERVER_REDIS], &client);
    for (;;) {
        const char *info = resp_client_ask(&client, &shown, "INFO", "persistence");
        if (strstr(info, "aof_rewrite_in_progress:0") && strstr(info, "aof_rewrite_scheduled:0"))
            break;
        nanosleep(&pause, NULL);
    }
    resp_client_close(&client);
    buffer_release(&shown);
}

/* What fill_stream_request writes as text, each line with its line end. */
static uint64_t raw_bytes(uint64_t entries)
{
    struct random random;
    uint64_t bytes = 0;
    char line[256];

    random_init(&random, SEED); /* as fill does */
    for (uint64_t i = 0; i < entries; i++)
        bytes += log_line(&random, line, sizeof line) + 1;
    return bytes;
}

static void report_bytes(const char *what, enum test_server_kind kind, uint64_t bytes, uint64_t raw,
                         uint64_t entries)
{
    printf("%-44s %12llu %8.1f %7.2fx\n", what, (unsigned long long)bytes,
           (double)bytes / (double)entries, (double)bytes / (double)raw);
    note("disk", what, "bytes_per_entry", kind, (double)bytes / (double)entries);
}

static void measure_disk(unsigned entries)
{
    uint64_t raw = raw_bytes(entries), full;
    double seconds[2];

    start_servers();
    printf("\n%u stream entries, one log line each\n%-44s %12s %8s %8s\n", entries, "", "bytes",
           "an entry", "of raw");
    for (int kind = 0; kind < 2; kind++) {
        fill(kind, entries, 1, fill_stream_request);
        seconds[kind] = restart_seconds(kind);
        note("start", "after kill -9", "seconds", kind, seconds[kind]);
    }
    report_bytes("raw text", SERVER_CORDWOOD, raw, raw, entries);
    command(SERVER_CORDWOOD, (const char *const[]){"DEBUG", "COMPACT", NULL});
    settle(); /* replaced tables go in the background */
    full = directory_bytes(servers[SERVER_CORDWOOD].data, "");
    report_bytes("cordwood, compacted, all but the WAL", SERVER_CORDWOOD,
                 full - directory_bytes(servers[SERVER_CORDWOOD].data, ".wal"), raw, entries);
    report_bytes("cordwood, compacted, with the WAL's segments", SERVER_CORDWOOD, full, raw,
                 entries);
    report_bytes("redis, append-only file as it is", SERVER_REDIS,
                 directory_bytes(servers[SERVER_REDIS].data, ""), raw, entries);
    command(SERVER_REDIS, (const char *const[]){"BGREWRITEAOF", NULL});
    wait_for_rewrite();
    report_bytes("redis, rewritten append-only file", SERVER_REDIS,
                 directory_bytes(servers[SERVER_REDIS].data, ""), raw, entries);
    printf("start-up after kill -9 with them: cordwood %.3f s, redis %.3f s\n", seconds[0],
           seconds[1]);
    release_servers();
}

/* ---- write_many
 * ------------------------------------------------------------------------------------ */

static void write_many_line(struct random *random, unsigned entries, struct buffer *line)
{
    char message[256];

    buffer_append_text(line, "{\"action\":\"write_many\",\"log\":\"many\",\"entries\":[");
    for (unsigned i = 0; i < entries; i++) {
        log_line(random, message, sizeof message);
        buffer_printf(line, "%s{\"message\":\"%s\",\"metadata\":{\"level\":\"INFO\",\"n\":%u}}",
                      i ? "," : "", message, i);
    }
    buffer_append_text(line, "]}\n");
}

/* The same as one pipeline of XADDs. */
static void xadd_pipeline(struct random *random, unsigned entries, struct load_pool *pool)
{
    char message[256], number[16];

    for (unsigned i = 0; i < entries; i++) {
        log_line(random, message, sizeof message);
        snprintf(number, sizeof number, "%u", i);
        ADD(pool, "XADD", "many", "*", "message", message, "level", "INFO", "n", number);
    }
}

static double time_write_many(struct slice line)
{
    struct resp_client client;
    struct slice reply;

    test_server_connect_json(&servers[SERVER_CORDWOOD], &client);
    client.timeout_ms = 60000;
    double began = load_clock();
    if (!resp_client_send(&client, line) || !resp_client_read_line(&client, &reply))
        give_up("write_many got no reply");
    double seconds = load_clock() - began;
    if (!slice_starts_with(reply, slice_from("{\"status\":\"ok\""))) {
        fprintf(stderr, "%.200s\n", (const char *)reply.data);
        give_up("write_many failed");
    }
    resp_client_close(&client);
    return seconds;
}

static double time_xadd_pipeline(const struct load_pool *pool)
{
    struct load load = {.port = ports[SERVER_REDIS],
                        .connections = 1,
                        .pipeline = pool->count,
                        .pool = pool,
                        .once = true};
    struct load_result result;

    if (!load_run(&load, &result) || result.errors)
        give_up("a pipeline of XADD failed");
    return result.seconds;
}

static void measure_write_many(size_t rounds)
{
    static const unsigned counts[] = {10000, 100000};
    struct random random;

    start_servers();
    random_init(&random, 1);
    printf("\nentries written at once, milliseconds\n%-10s %26s %26s\n", "entries",
           "cordwood, JSON write_many", "redis, XADD pipelined");
    for (size_t i = 0; i < 2; i++) {
        double seconds[2][ROUNDS_MAX], middle[2];
        struct buffer line = {0};
        char name[32];
        struct load_pool pool = {0};
        write_many_line(&random, counts[i], &line);
        xadd_pipeline(&random, counts[i], &pool);
        for (size_t round = 0; round < rounds; round++) {
            give_turn(SERVER_CORDWOOD);
            seconds[0][round] = time_write_many(buffer_slice(&line));
            give_turn(SERVER_REDIS);
            seconds[1][round] = time_xadd_pipeline(&pool);
        }
        let_both_run();
        snprintf(name, sizeof name, "%u", counts[i]);
        for (int kind = 0; kind < 2; kind++) {
            middle[kind] = median(seconds[kind], rounds);
            note("write_many", name, "seconds", kind, middle[kind]);
        }
        printf("%-10u %26.1f %26.1f\n", counts[i], middle[0] * 1e3, middle[1] * 1e3);
        buffer_release(&line);
        load_pool_release(&pool);
    }
    release_servers();
}

int main(int argc, char **argv)
{
    size_t rounds = (size_t)environment_number("BENCH_ROUNDS", 3);
    double seconds = environment_number("BENCH_SECONDS", 0.5);
    unsigned entries = (unsigned)environment_number("BENCH_ENTRIES", 500000);
    const char *only = getenv("BENCH_ONLY");

    if (rounds < 1 || rounds > ROUNDS_MAX || entries < 1)
        give_up("BENCH_ROUNDS is 1 to 15, BENCH_ENTRIES at least 1");
    if (!test_server_available(SERVER_CORDWOOD) || !test_server_available(SERVER_REDIS))
        give_up("cordwood-server and redis-server 7 are needed");
    if (argc > 1 && !(table = fopen(argv[1], "w")))
        give_up("cannot write the table");
    if (!only || strcmp(only, "throughput") == 0)
        measure_throughput(rounds, seconds);
    if (!only || strcmp(only, "disk") == 0)
        measure_disk(entries);
    if (!only || strcmp(only, "write_many") == 0)
        measure_write_many(rounds);
    return table && fclose(table) != 0;
}
