/* SPDX-License-Identifier: MIT */
/* bench_server [RESULTS]: cordwood-server against redis-server, in turns, in one run.
 *
 *      BENCH_SECONDS= of a turn (0.3)         BENCH_ROUNDS= turns of each (3)
 *      BENCH_ENTRIES= for storage (500000)        BENCH_RECORDS= of YCSB (50000)
 *      BENCH_SUSTAINED_SECONDS= of a run of sustained (15)
 *      BENCH_GROWTH_MIB= of data that memory is measured beside (640)
 *      BENCH_DELETED= entries of what is deleted at once (10000000)
 *      BENCH_WAL_MIB= of the log that a start reads (256)
 *      BENCH_ONLY= parts: throughput, io-threads, handover, fanout, ycsb, storage, write_many,
 *          sustained, growth, churn, start, deletes, scan
 *      BENCH_FILTER= cases of the first five whose names contain it */
#include "bench/disk.h"
#include "bench/server/server_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double environment_number(const char *name, double otherwise)
{
    const char *given = getenv(name);

    return given ? strtod(given, NULL) : otherwise;
}

/* The first line a program prints. */
static void program_version(const char *command, char *line, int capacity)
{
    FILE *pipe = popen(command, "r");

    if (!pipe || !fgets(line, capacity, pipe))
        snprintf(line, (size_t)capacity, "unknown");
    if (pipe)
        pclose(pipe);
    line[strcspn(line, "\n")] = 0;
}

static void note_conditions(const struct server_bench *bench)
{
    char line[256], path[4096], command[4200];

    test_server_find_program(path, sizeof path);
    snprintf(command, sizeof command, "'%s' --version", path);
    program_version(command, line, sizeof line);
    results_condition(bench->results, "cordwood", "%s", line);
    program_version("redis-server --version", line, sizeof line);
    results_condition(bench->results, "redis", "%s; appendonly yes, save \"\"", line);
    results_condition(bench->results, "turns", "%u of %g s for each server, the other stopped",
                      bench->rounds, bench->seconds);
    results_condition(bench->results, "load",
                      "one thread on the same %ld cores, over TCP on 127.0.0.1; latencies are from "
                      "sending a pipeline to its last reply",
                      sysconf(_SC_NPROCESSORS_ONLN));
}

static void bench_throughput_1(const struct server_bench *bench)
{
    bench_throughput(bench, 0);
}

static void bench_throughput_2(const struct server_bench *bench)
{
    bench_throughput(bench, 2);
}

static void bench_handover_both(const struct server_bench *bench)
{
    bench_handover(bench, 1);
    bench_handover(bench, 2);
}

static void bench_fanout_both(const struct server_bench *bench)
{
    bench_fanout(bench, 1);
    bench_fanout(bench, 2);
}

static const struct part {
    const char *name;
    void (*run)(const struct server_bench *bench);
} parts[] = {
    {"throughput", bench_throughput_1},
    {"io-threads", bench_throughput_2},
    {"handover", bench_handover_both},
    {"fanout", bench_fanout_both},
    {"ycsb", bench_ycsb},
    {"storage", bench_storage},
    {"write_many", bench_write_many},
    {"scan", bench_scan},
    {"start", bench_start},
    {"deletes", bench_deletes},
    {"churn", bench_churn},
    {"growth", bench_growth},
    {"sustained", bench_sustained},
};

/* `only`: names with a comma between; NULL: all. */
static bool is_wanted(const char *only, const char *name)
{
    size_t size = strlen(name);

    if (!only)
        return true;
    for (const char *at = only; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ',')) {
        if (strcspn(at, ",") == size && memcmp(at, name, size) == 0)
            return true;
    }
    return false;
}

static void run_parts(const struct server_bench *bench, const char *only)
{
    bool any = false;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!is_wanted(only, parts[i].name))
            continue;
        any = true;
        parts[i].run(bench);
    }
    if (!any)
        bench_fail("BENCH_ONLY names no part");
}

int main(int argc, char **argv)
{
    struct server_bench bench = {
        .rounds = (unsigned)environment_number("BENCH_ROUNDS", 3),
        .seconds = environment_number("BENCH_SECONDS", 0.3),
        .entries = (unsigned)environment_number("BENCH_ENTRIES", 500000),
        .records = (unsigned)environment_number("BENCH_RECORDS", 50000),
        .sustained_seconds = environment_number("BENCH_SUSTAINED_SECONDS", 15),
        .growth_mib = (unsigned)environment_number("BENCH_GROWTH_MIB", 640),
        .deleted = (unsigned)environment_number("BENCH_DELETED", 10000000),
        .wal_mib = (unsigned)environment_number("BENCH_WAL_MIB", 256),
        .filter = getenv("BENCH_FILTER"),
    };
    const char *directory = getenv("TMPDIR"); /* where the servers' data goes */
    struct disk_sync before;

    if (!directory || !*directory)
        directory = "/tmp";
    if (bench.rounds < 1 || bench.rounds > ROUNDS_MAX || bench.entries < 1000 ||
        bench.records < 100)
        bench_fail("BENCH_ROUNDS is 1 to 15, BENCH_ENTRIES at least 1000, BENCH_RECORDS 100");
    if (!test_server_available(SERVER_CORDWOOD) || !test_server_available(SERVER_REDIS))
        bench_fail("cordwood-server and redis-server 7 are needed");
    if (!(bench.results = results_create(argc > 1 ? argv[1] : NULL)))
        return 1;
    note_conditions(&bench);
    if (!disk_begin(bench.results, directory, &before))
        return 1;
    run_parts(&bench, getenv("BENCH_ONLY"));
    bool ok = disk_end(bench.results, directory, &before);
    return results_finish(bench.results) && ok ? 0 : 1;
}
