/* SPDX-License-Identifier: MIT */
/* Commands that remove millions of entries at once: XTRIM and DEL of streams, LTRIM of a list, FLUSHDB. Round
 * trips over a unix socket, and the longest iteration of the event loop meanwhile, which is the time
 * that others of the loop wait. The space comes back in the background, meanwhile and later. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <string.h>

enum { TRIMS = 5, STREAMS = 3, LINES = 500 /* of one LOG.MWRITE */, PIECE = 100 };

struct deletes {
    const struct server_bench *bench;
    struct server_pair pair;
    struct resp_client client;
    struct random random;
};

/* ---- Filling --------------------------------------------------------------------------------- */

/* `count` lines by commands that take LINES of them. */
static void fill(struct deletes *deletes, const char *const *head, size_t head_words)
{
    static char lines[LINES][LOG_LINE_BYTES_MAX];
    const char *words[8 + LINES];
    struct load_pool pool = {0};
    struct load load = {.connections = 1, .pipeline = 4, .pool = &pool, .once = true};
    struct load_result result;

    memcpy(words, head, head_words * sizeof *words);
    for (unsigned i = 0; i < LINES; i++) {
        log_line(&deletes->random, lines[i]);
        words[head_words + i] = lines[i];
    }
    unsigned commands = deletes->bench->deleted / LINES;
    for (unsigned i = 0; i < PIECE && i < commands; i++)
        load_pool_add(&pool, words, head_words + LINES);
    for (unsigned sent = 0; sent < commands; sent += (unsigned)pool.count) {
        if (commands - sent < pool.count)
            break; /* the last, incomplete piece is left out */
        server_pair_load(&deletes->pair, SERVER_CORDWOOD, load, &result);
    }
    load_pool_release(&pool);
}

static void fill_all(struct deletes *deletes)
{
    char number[16];

    snprintf(number, sizeof number, "%d", LINES);
    for (unsigned i = 0; i < STREAMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "stream:%u", i);
        fill(deletes, (const char *const[]){"LOG.MWRITE", key, "LINES", number}, 4);
    }
    fill(deletes, (const char *const[]){"RPUSH", "list"}, 2);
    server_pair_settle(&deletes->pair);
}

/* ---- One command ----------------------------------------------------------------------------- */

static int64_t ask_integer(struct deletes *deletes, const char *const *words)
{
    struct resp_reply reply = {0};

    if (!resp_client_call_texts(&deletes->client, &reply, words) || reply.type != ':')
        bench_fail("a command failed");
    int64_t integer = reply.integer;
    resp_reply_release(&reply);
    return integer;
}

static void measure(struct deletes *deletes, const char *name, unsigned round,
                    const char *const *words)
{
    struct resp_reply reply = {0};

    server_pair_command(&deletes->pair, SERVER_CORDWOOD,
                        (const char *const[]){"CONFIG", "RESETSTAT", NULL});
    uint64_t began_ns = latency_clock();
    bool ok = resp_client_call_texts(&deletes->client, &reply, words);
    uint64_t took_ns = latency_clock() - began_ns;
    if (!ok || reply.type == '-')
        bench_fail("a command failed");
    resp_reply_release(&reply);
    uint64_t loop_us = server_pair_info(&deletes->pair, "loop_wall_us_max");
    results_add(deletes->bench->results, "deletes", name, "cordwood", "round_trip_us", round,
                (double)took_ns / 1e3);
    results_add(deletes->bench->results, "deletes", name, "cordwood", "loop_us_max", round,
                (double)loop_us);
}

static void trim(struct deletes *deletes, const char *name, const char *key, bool is_list)
{
    const char *length = is_list ? "LLEN" : "XLEN";
    int64_t entries = ask_integer(deletes, (const char *const[]){length, key, NULL});
    char number[32];

    for (unsigned round = 1; round <= TRIMS; round++) {
        int64_t cut = entries * round / (2 * TRIMS); /* half of it, in TRIMS steps */
        if (is_list) {
            snprintf(number, sizeof number, "%lld", (long long)(entries / (2 * TRIMS)));
            measure(deletes, name, round, (const char *const[]){"LTRIM", key, number, "-1", NULL});
        } else {
            snprintf(number, sizeof number, "%lld", (long long)(entries - cut));
            measure(deletes, name, round,
                    (const char *const[]){"XTRIM", key, "MAXLEN", number, NULL});
        }
    }
    int64_t left = ask_integer(deletes, (const char *const[]){length, key, NULL});
    if (left > entries / 2 + TRIMS)
        bench_fail("a trim left too much");
}

void bench_deletes(const struct server_bench *bench)
{
    struct deletes deletes = {.bench = bench};
    char title[160];

    server_pair_start_with(&deletes.pair, NULL, true);
    random_init(&deletes.random, REQUEST_SEED);
    fill_all(&deletes);
    test_server_connect(&deletes.pair.servers[SERVER_CORDWOOD], &deletes.client);
    for (unsigned round = 1; round <= TRIMS; round++)
        measure(&deletes, "PING, to compare with", round, (const char *const[]){"PING", NULL});
    trim(&deletes, "XTRIM, half in 5 steps", "stream:0", false);
    trim(&deletes, "LTRIM, half in 5 steps", "list", true);
    for (unsigned i = 1; i < STREAMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "stream:%u", i);
        measure(&deletes, "DEL", i, (const char *const[]){"DEL", key, NULL});
    }
    measure(&deletes, "FLUSHDB", 1, (const char *const[]){"FLUSHDB", NULL});
    snprintf(title, sizeof title,
             "Deletions of and in streams and a list of %u entries: round trip, us",
             bench->deleted);
    results_print(bench->results, "deletes", title, "round_trip_us",
                  (const char *const[]){"cordwood", NULL}, 1);
    results_print(bench->results, "deletes", "The loop's longest iteration meanwhile, us",
                  "loop_us_max", (const char *const[]){"cordwood", NULL}, 1);
    resp_client_close(&deletes.client);
    server_pair_release(&deletes.pair);
}
