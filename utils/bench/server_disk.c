/* SPDX-License-Identifier: MIT */
/* Bytes on the disk, memory, and start-up. Two fillings, each into empty servers:
 *
 *      log entries      one log line each, appended to one stream
 *      overwritten keys values of one log line, every key set several times, then half of them deleted
 *
 * settled: what is there when the server does nothing more by itself. compacted: after DEBUG COMPACT;
 * redis after BGREWRITEAOF. Cordwood's figures are with the segments of its log that it keeps to write
 * them anew; "without the log" says what the tables take. */
#include "bench/server_bench.h"
#include "bench/server_requests.h"

#include <stdio.h>
#include <unistd.h>

enum { CONNECTIONS = 50, OVERWRITES = 5, MIB = 1 << 20 };

struct disk {
    const struct server_bench *bench;
    struct server_pair pair;
    uint64_t given; /* bytes: what clients wrote; keys count where they are part of it */
    uint64_t live;  /* bytes of it that are not overwritten or deleted */
};

static void add(const struct disk *disk, const char *name, enum test_server_kind kind,
                const char *measure, double value)
{
    results_add(disk->bench->results, "disk", name, server_pair_name(kind), measure, 1, value);
}

static void print_header(const char *title)
{
    printf("\n%s\n%-44s %12s %12s\n", title, "", "cordwood", "redis");
}

/* A line of the table, and the figures. */
static void report(const struct disk *disk, const char *name, const char *measure,
                   const double values[SERVER_KINDS])
{
    printf("%-26s %-17s %12.3f %12.3f\n", name, measure, values[0], values[1]);
    fflush(stdout);
    for (EACH_SERVER(kind))
        add(disk, name, kind, measure, values[kind]);
}

static void report_space(struct disk *disk, const char *name, const char *measure, double divisor)
{
    double values[SERVER_KINDS];

    for (EACH_SERVER(kind))
        values[kind] = (double)server_pair_file_bytes(&disk->pair, kind, "") / divisor;
    report(disk, name, measure, values);
}

static void report_resident(struct disk *disk, const char *name)
{
    double values[SERVER_KINDS];

    for (EACH_SERVER(kind))
        values[kind] = (double)server_pair_resident_bytes(&disk->pair, kind) / MIB;
    report(disk, name, "rss_mib", values);
}

/* What both caused to be written, from their start on, through the page cache as well. */
static void report_written(struct disk *disk, const char *name)
{
    double values[SERVER_KINDS];

    sync(); /* what is dirtied twice in the page cache is written once: give it its time */
    for (EACH_SERVER(kind))
        values[kind] = (double)server_pair_written_bytes(&disk->pair, kind) / (double)disk->given;
    report(disk, name, "write_amplification", values);
}

static void compact(struct disk *disk)
{
    for (EACH_SERVER(kind))
        server_pair_compact(&disk->pair, kind);
    server_pair_settle(&disk->pair); /* replaced tables go in the background */
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

static void report_start(struct disk *disk, const char *name, bool clean)
{
    double values[SERVER_KINDS];

    for (EACH_SERVER(kind)) {
        struct test_server *server = &disk->pair.servers[kind];
        if (clean && test_server_stop(server) != 0)
            bench_fail("a server did not stop cleanly");
        test_server_kill(server); /* nothing to do after a clean stop */
        uint64_t began_ns = latency_clock();
        server_pair_start_one(&disk->pair, kind);
        values[kind] = (double)(latency_clock() - began_ns) * 1e-9;
    }
    report(disk, name, "start_s", values);
}

static void measure_log(const struct server_bench *bench)
{
    struct disk disk = {.bench = bench, .given = line_bytes(bench->entries)};
    char title[128];

    server_pair_start(&disk.pair, 0);
    snprintf(title, sizeof title, "%u stream entries, one log line of %.0f bytes each",
             bench->entries, (double)disk.given / bench->entries);
    print_header(title);
    for (EACH_SERVER(kind))
        request_fill(&disk.pair, kind, bench->entries, 1, request_stream_entry);
    server_pair_settle(&disk.pair);
    report_resident(&disk, "log entries, settled");
    report_written(&disk, "log entries, settled");
    report_space(&disk, "log entries, settled", "bytes_per_entry", bench->entries);
    report_start(&disk, "log entries, kill -9", false);
    report_start(&disk, "log entries, clean stop", true);
    compact(&disk);
    report_space(&disk, "log entries, compacted", "bytes_per_entry", bench->entries);
    uint64_t bytes = server_pair_file_bytes(&disk.pair, SERVER_CORDWOOD, "") -
                     server_pair_file_bytes(&disk.pair, SERVER_CORDWOOD, ".wal");
    printf("%-26s %-17s %12.3f\n", "log entries, without log", "bytes_per_entry",
           (double)bytes / bench->entries);
    add(&disk, "log entries, without log", SERVER_CORDWOOD, "bytes_per_entry",
        (double)bytes / bench->entries);
    server_pair_release(&disk.pair);
}

/* ---- Overwritten keys ------------------------------------------------------------------------ */

/* The n-th of `keys` sets in a row goes to key n; see fill_keys. */
static void key_text(unsigned number, char text[32])
{
    snprintf(text, 32, "key:%08u", number);
}

/* Sets every key once; the bytes of keys and values. */
static uint64_t set_keys(struct disk *disk, enum test_server_kind kind, unsigned keys,
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
    server_pair_load(&disk->pair, kind, load, &result);
    load_pool_release(&pool);
    return bytes;
}

/* Deletes every other key. */
static void delete_half(struct disk *disk, enum test_server_kind kind, unsigned keys)
{
    struct load_pool pool = {0};
    struct load load = {.connections = CONNECTIONS, .pipeline = 100, .pool = &pool, .once = true};
    struct load_result result;

    for (unsigned number = 0; number < keys; number += 2) {
        char key[32];
        key_text(number, key);
        load_pool_add(&pool, (const char *const[]){"DEL", key}, 2);
    }
    server_pair_load(&disk->pair, kind, load, &result);
    load_pool_release(&pool);
}

static void measure_overwrites(const struct server_bench *bench)
{
    struct disk disk = {.bench = bench};
    unsigned keys = bench->entries / OVERWRITES + 1;
    char title[128];

    server_pair_start(&disk.pair, 0);
    snprintf(title, sizeof title, "%u keys with a log line each, set %d times, then half deleted",
             keys, OVERWRITES);
    print_header(title);
    for (EACH_SERVER(kind)) {
        disk.given = 0;
        for (unsigned time = 1; time <= OVERWRITES; time++) {
            disk.live = set_keys(&disk, kind, keys, time);
            disk.given += disk.live;
        }
    }
    server_pair_settle(&disk.pair);
    report_written(&disk, "keys, overwritten");
    report_space(&disk, "keys, overwritten", "space_amplification", (double)disk.live);
    report_resident(&disk, "keys, overwritten");
    compact(&disk);
    report_space(&disk, "keys, compacted", "space_amplification", (double)disk.live);
    for (EACH_SERVER(kind))
        delete_half(&disk, kind, keys);
    disk.live /= 2; /* the keys are alike */
    server_pair_settle(&disk.pair);
    report_space(&disk, "keys, half deleted", "space_amplification", (double)disk.live);
    compact(&disk);
    report_space(&disk, "keys, half del., compacted", "space_amplification", (double)disk.live);
    report_written(&disk, "keys, half del., compacted");
    server_pair_release(&disk.pair);
}

void bench_disk(const struct server_bench *bench)
{
    measure_log(bench);
    measure_overwrites(bench);
}
