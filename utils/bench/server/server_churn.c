/* SPDX-License-Identifier: MIT */
/* The same keys overwritten, round after round: how much the disk holds at the end of each, with the next one
 * behind it, and when all has come to rest. Bounded means: a multiple of one round's data, whatever the
 * number of rounds. Cordwood's log, whose segments are recycled, does not count; redis' AOF is its data. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <string.h>

enum {
    CONNECTIONS = 50,
    PIPELINE = 16,
    PIECE = 20000,
    CHURN_ROUNDS = 20,
    VALUE_BYTES = 1000,
    MIB = 1 << 20
};

static const char *const flags[] = {"--memtable-size", "8mb", NULL};

struct churn {
    const struct server_bench *bench;
    struct server_pair pair;
    struct values values;
};

static void set_keys(struct churn *churn, enum test_server_kind kind, unsigned round)
{
    struct load_pool pool = {0};
    struct load load = {
        .connections = CONNECTIONS, .pipeline = PIPELINE, .pool = &pool, .once = true};
    struct load_result result;

    for (unsigned i = 0; i < churn->bench->records; i++) {
        char key[32], value[VALUE_BYTES + 1];
        snprintf(key, sizeof key, "key:%08u", i);
        uint64_t number = (uint64_t)round * churn->bench->records + i;
        memcpy(value, values_half(&churn->values, number, VALUE_BYTES).data, VALUE_BYTES);
        value[VALUE_BYTES] = 0;
        load_pool_add(&pool, (const char *const[]){"SET", key, value}, 3);
        if (pool.count < PIECE && i + 1 < churn->bench->records)
            continue;
        server_pair_load(&churn->pair, kind, load, &result);
        load_pool_clear(&pool);
    }
    load_pool_release(&pool);
}

static double disk_mib(const struct churn *churn, enum test_server_kind kind)
{
    const char *part = kind == SERVER_CORDWOOD ? ".cwt" : "";

    return (double)server_pair_file_bytes(&churn->pair, kind, part) / MIB;
}

static void run(struct churn *churn, enum test_server_kind kind)
{
    struct results *results = churn->bench->results;
    const char *subject = server_pair_name(kind);
    double most_mib = 0;

    server_pair_give_turn(&churn->pair, kind);
    printf("%-9s MiB after each round:", subject);
    for (unsigned round = 1; round <= CHURN_ROUNDS; round++) {
        char name[32];
        set_keys(churn, kind, round);
        double mib = disk_mib(churn, kind);
        snprintf(name, sizeof name, "round %u", round);
        results_note(results, "churn", "overwrites", subject, "disk_mib", name, mib);
        printf(" %.0f", mib);
        fflush(stdout);
        most_mib = mib > most_mib ? mib : most_mib;
    }
    server_pair_settle_one(&churn->pair, kind);
    double rest_mib = disk_mib(churn, kind);
    server_pair_compact(&churn->pair, kind);
    server_pair_settle_one(&churn->pair, kind);
    double least_mib = disk_mib(churn, kind);
    printf("; at rest %.0f, merged %.0f: %.2f times that at most, %.2f at rest\n", rest_mib,
           least_mib, most_mib / least_mib, rest_mib / least_mib);
    results_add(results, "churn", "overwrites", subject, "most_disk_mib", 1, most_mib);
    results_add(results, "churn", "overwrites", subject, "disk_at_rest_mib", 1, rest_mib);
    results_add(results, "churn", "overwrites", subject, "disk_merged_mib", 1, least_mib);
}

void bench_churn(const struct server_bench *bench)
{
    struct churn churn = {.bench = bench};

    server_pair_start_with(&churn.pair, flags, false);
    values_init(&churn.values, REQUEST_SEED);
    printf(
        "\nChurn: %u keys of 1000 bytes that compress to half, overwritten %d times; memtable-size "
        "8mb\n",
        bench->records, CHURN_ROUNDS);
    for (EACH_SERVER(kind))
        run(&churn, kind);
    server_pair_let_both_run(&churn.pair);
    values_release(&churn.values);
    server_pair_release(&churn.pair);
}
