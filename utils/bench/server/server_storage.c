/* SPDX-License-Identifier: MIT */
/* Bytes on the disk, memory, and start-up. Two fillings, each into empty servers:
 *
 *      log entries      one log line each, appended to one stream
 *      overwritten keys values of one log line, every key set several times, then half of them deleted
 *
 * settled: what is there when the server does nothing more by itself. compacted: after DEBUG COMPACT;
 * redis after BGREWRITEAOF. Cordwood's figures are with the segments of its log that it keeps to write
 * them anew; "tables" is without them. */
#include "bench/server/server_bench.h"
#include "bench/server/server_requests.h"

#include <stdio.h>
#include <unistd.h>

enum { CONNECTIONS = 50, OVERWRITES = 5, MIB = 1 << 20 };

struct storage {
    const struct server_bench *bench;
    struct server_pair pair;
    uint64_t given; /* bytes: what clients wrote; keys count where they are part of it */
    uint64_t live;  /* bytes of it that are not overwritten or deleted */
};

static void add(const struct storage *storage, const char *name, enum test_server_kind kind,
                const char *measure, double value)
{
    results_add(storage->bench->results, "storage", name, server_pair_name(kind), measure, 1,
                value);
}

static void print_header(const char *title)
{
    printf("\n%s\n%-55s %10s %10s\n", title, "", "cordwood", "redis");
}

/* A line of the table, and the figures. */
static void report(const struct storage *storage, const char *name, const char *measure,
                   const double values[SERVER_KINDS])
{
    printf("%-34s %-20s %10.3f %10.3f\n", name, measure, values[0], values[1]);
    fflush(stdout);
    for (EACH_SERVER(kind))
        add(storage, name, kind, measure, values[kind]);
}

/* With and without the segments of cordwood's log. */
static void report_space(struct storage *storage, const char *name, const char *measure,
                         double divisor)
{
    double values[SERVER_KINDS], log_bytes;
    char name_without[64];

    for (EACH_SERVER(kind))
        values[kind] = (double)server_pair_file_bytes(&storage->pair, kind, "") / divisor;
    log_bytes = (double)server_pair_file_bytes(&storage->pair, SERVER_CORDWOOD, ".wal") / divisor;
    report(storage, name, measure, values);
    values[SERVER_CORDWOOD] -= log_bytes;
    snprintf(name_without, sizeof name_without, "%s, tables", name);
    printf("%-34s %-20s %10.3f\n", name_without, measure, values[SERVER_CORDWOOD]);
    add(storage, name_without, SERVER_CORDWOOD, measure, values[SERVER_CORDWOOD]);
}

static void report_resident(struct storage *storage, const char *name)
{
    double values[SERVER_KINDS];

    for (EACH_SERVER(kind))
        values[kind] = (double)server_pair_resident_bytes(&storage->pair, kind) / MIB;
    report(storage, name, "rss_mib", values);
}

/* What both caused to be written, from their start on, through the page cache as well. */
static void report_written(struct storage *storage, const char *name)
{
    double values[SERVER_KINDS];

    sync(); /* what is dirtied twice in the page cache is written once: give it its time */
    for (EACH_SERVER(kind))
        values[kind] =
            (double)server_pair_written_bytes(&storage->pair, kind) / (double)storage->given;
    report(storage, name, "write_amplification", values);
}

static void compact(struct storage *storage)
{
    for (EACH_SERVER(kind))
        server_pair_compact(&storage->pair, kind);
    server_pair_settle(&storage->pair); /* replaced tables go in the background */
}

/* ---- Log entries ----------------------------------------------------------------------------- */

/* What request_stream_entry writes as text, each line with its line end. */
static uint64_t line_bytes(unsigned count)
{
    struct random random;
    uint64_t bytes = 0;
    char line[LOG_LINE_BYTES_MAX];

    random_init(&random, REQUEST_SEED); /* as request_fill does */
    for (unsigned i = 0; i < count; i++)
        bytes += log_line(&random, line) + 1;
    return bytes;
}

static void report_start(struct storage *storage, const char *name, bool clean)
{
    double values[SERVER_KINDS];

    for (EACH_SERVER(kind)) {
        struct test_server *server = &storage->pair.servers[kind];
        if (clean && test_server_stop(server) != 0)
            bench_fail("a server did not stop cleanly");
        test_server_kill(server); /* nothing to do after a clean stop */
        uint64_t began_ns = latency_clock();
        server_pair_start_one(&storage->pair, kind);
        values[kind] = (double)(latency_clock() - began_ns) * 1e-9;
    }
    report(storage, name, "start_s", values);
}

static void measure_log(const struct server_bench *bench)
{
    struct storage storage = {.bench = bench, .given = line_bytes(bench->entries)};
    char title[128];

    server_pair_start(&storage.pair, 0);
    snprintf(title, sizeof title, "%u stream entries, one log line of %.0f bytes each",
             bench->entries, (double)storage.given / bench->entries);
    print_header(title);
    results_add(bench->results, "storage", "log entries, raw text", "raw", "bytes_per_entry", 1,
                (double)storage.given / bench->entries);
    for (EACH_SERVER(kind))
        request_fill(&storage.pair, kind, bench->entries, 1, request_stream_entry);
    server_pair_settle(&storage.pair);
    report_resident(&storage, "log entries, settled");
    report_written(&storage, "log entries, settled");
    report_space(&storage, "log entries, settled", "bytes_per_entry", bench->entries);
    report_start(&storage, "log entries, kill -9", false);
    report_start(&storage, "log entries, clean stop", true);
    compact(&storage);
    report_space(&storage, "log entries, compacted", "bytes_per_entry", bench->entries);
    server_pair_release(&storage.pair);
}

/* ---- Overwritten keys ------------------------------------------------------------------------ */

/* The n-th of `keys` sets in a row goes to key n; see fill_keys. */
static void key_text(unsigned number, char text[32])
{
    snprintf(text, 32, "key:%08u", number);
}

/* Sets every key once; the bytes of keys and values. */
static uint64_t set_keys(struct storage *storage, enum test_server_kind kind, unsigned keys,
                         uint64_t seed)
{
    struct load_pool pool = {0};
    struct load load = {.connections = CONNECTIONS, .pipeline = 100, .pool = &pool, .once = true};
    struct load_result result;
    struct random random;
    uint64_t bytes = 0;

    random_init(&random, seed);
    for (unsigned number = 0; number < keys; number++) {
        char key[32], line[LOG_LINE_BYTES_MAX];
        key_text(number, key);
        bytes += strlen(key) + log_line(&random, line);
        load_pool_add(&pool, (const char *const[]){"SET", key, line}, 3);
    }
    server_pair_load(&storage->pair, kind, load, &result);
    load_pool_release(&pool);
    return bytes;
}

/* Deletes every other key. */
static void delete_half(struct storage *storage, enum test_server_kind kind, unsigned keys)
{
    struct load_pool pool = {0};
    struct load load = {.connections = CONNECTIONS, .pipeline = 100, .pool = &pool, .once = true};
    struct load_result result;

    for (unsigned number = 0; number < keys; number += 2) {
        char key[32];
        key_text(number, key);
        load_pool_add(&pool, (const char *const[]){"DEL", key}, 2);
    }
    server_pair_load(&storage->pair, kind, load, &result);
    load_pool_release(&pool);
}

static void measure_overwrites(const struct server_bench *bench)
{
    struct storage storage = {.bench = bench};
    unsigned keys = bench->entries / OVERWRITES + 1;
    char title[128];

    server_pair_start(&storage.pair, 0);
    snprintf(title, sizeof title, "%u keys with a log line each, set %d times, then half deleted",
             keys, OVERWRITES);
    print_header(title);
    for (EACH_SERVER(kind)) {
        storage.given = 0;
        for (unsigned time = 1; time <= OVERWRITES; time++) {
            storage.live = set_keys(&storage, kind, keys, time);
            storage.given += storage.live;
        }
    }
    server_pair_settle(&storage.pair);
    report_written(&storage, "keys, overwritten");
    report_space(&storage, "keys, overwritten", "space_amplification", (double)storage.live);
    report_resident(&storage, "keys, overwritten");
    compact(&storage);
    report_space(&storage, "keys, compacted", "space_amplification", (double)storage.live);
    for (EACH_SERVER(kind))
        delete_half(&storage, kind, keys);
    storage.live /= 2; /* the keys are alike */
    server_pair_settle(&storage.pair);
    report_space(&storage, "keys, half deleted", "space_amplification", (double)storage.live);
    compact(&storage);
    report_space(&storage, "keys, half deleted, compacted", "space_amplification",
                 (double)storage.live);
    report_written(&storage, "keys, half deleted, compacted");
    server_pair_release(&storage.pair);
}

void bench_storage(const struct server_bench *bench)
{
    measure_log(bench);
    measure_overwrites(bench);
}
