/* SPDX-License-Identifier: MIT */
/* Many entries at once: one line of JSON, or one pipeline of XADD. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>

static void write_many_line(struct random *random, unsigned entries, struct buffer *line)
{
    char message[LOG_LINE_BYTES_MAX];

    buffer_append_text(line, "{\"action\":\"write_many\",\"log\":\"many\",\"entries\":[");
    for (unsigned i = 0; i < entries; i++) {
        log_line(random, message);
        buffer_printf(line, "%s{\"message\":\"%s\",\"metadata\":{\"level\":\"INFO\",\"n\":%u}}",
                      i ? "," : "", message, i);
    }
    buffer_append_text(line, "]}\n");
}

static void xadd_pipeline(struct random *random, unsigned entries, struct load_pool *pool)
{
    char message[LOG_LINE_BYTES_MAX], number[16];

    for (unsigned i = 0; i < entries; i++) {
        log_line(random, message);
        snprintf(number, sizeof number, "%u", i);
        load_pool_add(pool,
                      (const char *const[]){"XADD", "many", "*", "message", message, "level",
                                            "INFO", "n", number},
                      9);
    }
}

static double time_write_many(struct server_pair *pair, struct slice line)
{
    struct resp_client client;
    struct slice reply;

    test_server_connect_json(&pair->servers[SERVER_CORDWOOD], &client);
    client.timeout_ms = 60000;
    uint64_t began_ns = latency_clock();
    if (!resp_client_send(&client, line) || !resp_client_read_line(&client, &reply))
        bench_fail("write_many got no reply");
    double seconds = (double)(latency_clock() - began_ns) * 1e-9;
    if (!slice_starts_with(reply, slice_from("{\"status\":\"ok\""))) {
        fprintf(stderr, "%.*s\n", reply.size < 200 ? (int)reply.size : 200,
                (const char *)reply.data);
        bench_fail("write_many failed");
    }
    resp_client_close(&client);
    return seconds;
}

static double time_pipeline(struct server_pair *pair, const struct load_pool *pool)
{
    struct load load = {.connections = 1, .pipeline = pool->count, .pool = pool, .once = true};
    struct load_result result;

    server_pair_load(pair, SERVER_REDIS, load, &result);
    return result.seconds;
}

static void measure(const struct server_bench *bench, struct server_pair *pair, unsigned entries)
{
    struct buffer line = {0};
    struct load_pool pool = {0};
    struct random random;
    char name[32];

    snprintf(name, sizeof name, "%u entries", entries);
    random_init(&random, REQUEST_SEED);
    write_many_line(&random, entries, &line);
    random_init(&random, REQUEST_SEED);
    xadd_pipeline(&random, entries, &pool);
    for (unsigned round = 1; round <= bench->rounds; round++) {
        for (EACH_SERVER(kind)) {
            server_pair_give_turn(pair, kind);
            double seconds = kind == SERVER_CORDWOOD ? time_write_many(pair, buffer_slice(&line))
                                                     : time_pipeline(pair, &pool);
            results_add(bench->results, "write_many", name, server_pair_name(kind), "entries_per_s",
                        round, entries / seconds);
        }
    }
    server_pair_let_both_run(pair);
    buffer_release(&line);
    load_pool_release(&pool);
}

void bench_write_many(const struct server_bench *bench)
{
    struct server_pair pair;

    server_pair_start(&pair, 0);
    measure(bench, &pair, 10000);
    measure(bench, &pair, bench->entries < 100000 ? bench->entries : 100000);
    results_print(
        bench->results, "write_many",
        "Entries written at once, thousands a second: cordwood by one JSON line (write_many), "
        "redis by one pipeline of XADD",
        "entries_per_s", (const char *const[]){"cordwood", "redis", NULL}, 1000);
    server_pair_release(&pair);
}
