/* SPDX-License-Identifier: MIT */
/* Closed loop: CONNECTIONS clients, each sends a pipeline, waits for its last reply, and sends the
 * next. The load shares the machine's cores with the server; CPU seconds are the server's alone. */
#include "bench/server/ceiling.h"
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <string.h>

enum { CONNECTIONS = 50, POOL_REQUESTS = 20000 };

struct throughput {
    const struct server_bench *bench;
    const char *suite;
    struct server_pair pair;
    struct load_pool pools[SERVER_KINDS]; /* of one operation */
    struct load_pool ceiling_pool;        /* its first request, again and again */
    struct ceiling ceiling;               /* not running: the operation has none */
};

static void make_pools(struct throughput *throughput, const struct operation *operation)
{
    struct random random;

    for (EACH_SERVER(kind)) {
        load_pool_clear(&throughput->pools[kind]);
        random_init(&random, REQUEST_SEED);
        for (unsigned number = 1; number <= POOL_REQUESTS; number++)
            operation->request(&throughput->pools[kind], &random, number, kind);
    }
}

static void take_turn(struct throughput *throughput, enum test_server_kind kind, const char *name,
                      size_t pipeline, unsigned round)
{
    struct load load = {.connections = CONNECTIONS,
                        .pipeline = pipeline,
                        .seconds = throughput->bench->seconds,
                        .pool = &throughput->pools[kind]};
    struct load_result result;

    server_pair_give_turn(&throughput->pair, kind);
    double cpu_before = server_pair_cpu_seconds(&throughput->pair, kind);
    server_pair_load(&throughput->pair, kind, load, &result);
    double cpu = server_pair_cpu_seconds(&throughput->pair, kind) - cpu_before;
    bench_add_load(throughput->bench, throughput->suite, name, kind, round, &result,
                   result.requests, cpu);
}

/* ---- The ceiling ------------------------------------------------------------------------------- */

static bool has_ceiling(const struct operation *operation)
{
    static const char *const names[] = {"GET", "SET", "XADD", "LRANGE_100", "XRANGE_100"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(operation->name, names[i]) == 0)
            return true;
    return false;
}

/* What cordwood answers to the pool's first request, as bytes. */
static void ask_once(struct throughput *throughput, struct slice request, struct buffer *reply)
{
    struct resp_client client;
    struct resp_reply parsed = {0};

    test_server_connect(&throughput->pair.servers[SERVER_CORDWOOD], &client);
    if (!resp_client_send(&client, request) || !resp_client_read(&client, &parsed) ||
        parsed.type == '-')
        bench_fail("a request failed");
    buffer_append(reply, client.input.data, client.consumed);
    resp_reply_release(&parsed);
    resp_client_close(&client);
}

static void start_ceiling(struct throughput *throughput, const struct operation *operation)
{
    struct load_pool *pool = &throughput->ceiling_pool;
    struct buffer reply = {0};

    if (!has_ceiling(operation))
        return;
    const struct load_pool *from = &throughput->pools[SERVER_CORDWOOD];
    struct slice request = slice_make(from->bytes.data, from->ends[0]);
    ask_once(throughput, request, &reply);
    load_pool_clear(pool);
    for (unsigned i = 0; i < POOL_REQUESTS; i++)
        load_pool_add_bytes(pool, request);
    if (!ceiling_start(&throughput->ceiling, request.size, buffer_slice(&reply)))
        bench_fail("no ceiling");
    buffer_release(&reply);
}

static void take_ceiling_turn(struct throughput *throughput, const char *name, size_t pipeline,
                              unsigned round)
{
    struct load load = {.port = throughput->ceiling.port,
                        .connections = CONNECTIONS,
                        .pipeline = pipeline,
                        .seconds = throughput->bench->seconds,
                        .pool = &throughput->ceiling_pool};
    struct load_result result;

    server_pair_let_none_run(&throughput->pair);
    double cpu_before = ceiling_cpu_seconds(&throughput->ceiling);
    if (!load_run(&load, &result))
        bench_fail("the ceiling failed");
    double cpu = ceiling_cpu_seconds(&throughput->ceiling) - cpu_before;
    bench_add_load_of(throughput->bench, throughput->suite, name, "ceiling", round, &result,
                      result.requests, cpu);
}

/* ---- Cases ------------------------------------------------------------------------------------- */

static void measure(struct throughput *throughput, const struct operation *operation,
                    const char *policy, size_t pipeline)
{
    char name[64];

    snprintf(name, sizeof name, "%s/%s/%zu", operation->name, policy, pipeline);
    if (!bench_wants(throughput->bench, name))
        return;
    make_pools(throughput, operation);
    start_ceiling(throughput, operation);
    server_pair_settle(&throughput->pair);
    for (unsigned round = 1; round <= throughput->bench->rounds; round++) {
        for (EACH_SERVER(kind))
            take_turn(throughput, kind, name, pipeline, round);
        if (throughput->ceiling.pid > 0)
            take_ceiling_turn(throughput, name, pipeline, round);
    }
    ceiling_stop(&throughput->ceiling);
    server_pair_let_both_run(&throughput->pair);
    bench_print_load(throughput->bench, throughput->suite, name);
}

/* Everything, with one event loop. Policies make no difference to reads. */
static void measure_all(struct throughput *throughput)
{
    static const char *const policies[] = {"everysec", "always", "no"};
    static const size_t pipelines[] = {1, 16, 64};

    for (size_t o = 0; o < operation_count; o++) {
        const struct operation *operation = &operations[o];
        if (operation->command && !server_pair_knows(&throughput->pair, operation->command)) {
            printf("%-24s is left out: not both have it\n", operation->name);
            continue;
        }
        for (size_t p = 0; p < (operation->writes ? 3 : 1); p++) {
            server_pair_configure(&throughput->pair, "appendfsync", policies[p]);
            for (size_t i = 0; i < 3; i++)
                measure(throughput, operation, policies[p], pipelines[i]);
        }
    }
}

/* What more event loops change. */
static void measure_some(struct throughput *throughput)
{
    static const char *const names[] = {"GET", "XRANGE_100", "SET", "XADD"};
    static const size_t pipelines[] = {1, 16};

    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t o = 0; o < operation_count; o++)
            for (size_t i = 0; i < 2 && strcmp(operations[o].name, names[n]) == 0; i++)
                measure(throughput, &operations[o], "everysec", pipelines[i]);
}

void bench_throughput(const struct server_bench *bench, unsigned io_threads)
{
    struct throughput throughput = {.bench = bench, .suite = "throughput"};
    char suite[32], title[128];

    if (io_threads) {
        snprintf(suite, sizeof suite, "io_threads_%u", io_threads);
        throughput.suite = suite;
    }
    server_pair_start(&throughput.pair, io_threads);
    for (EACH_SERVER(kind)) {
        request_fill(&throughput.pair, kind, REQUEST_FILLED_ENTRIES, 1, request_stream_entry);
        request_fill(&throughput.pair, kind, REQUEST_FILLED_ELEMENTS, 1, request_list_element);
        request_fill(&throughput.pair, kind, 2 * REQUEST_KEYS, CONNECTIONS, request_key);
    }
    snprintf(title, sizeof title,
             "Requests (command/appendfsync/pipeline), io-threads %u, %d connections",
             io_threads ? io_threads : 1, CONNECTIONS);
    bench_print_load_header(title);
    if (io_threads)
        measure_some(&throughput);
    else
        measure_all(&throughput);
    for (EACH_SERVER(kind))
        load_pool_release(&throughput.pools[kind]);
    load_pool_release(&throughput.ceiling_pool);
    server_pair_release(&throughput.pair);
}
