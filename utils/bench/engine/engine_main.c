/* SPDX-License-Identifier: MIT */
/* Measures our engine against RocksDB and LevelDB as libraries: the engines take turns (A B C A B C), each
 * turn in a process of its own; figures are medians of the rounds. README.md tells the cases.
 *
 *      bench_engine [output.tsv]
 *          BENCH_ENTRIES=300000    of fills and logs       BENCH_ROUNDS=3     turns of each engine
 *          BENCH_RECORDS=50000     of YCSB, 1 KiB each     BENCH_SECONDS=0.5  a case that runs for a time
 *          BENCH_BUFFER_MIB=8      a memtable              BENCH_CACHE_MIB=16 of blocks
 *          BENCH_BLOCK_KIB=16      a block                 BENCH_BLOOM_BITS=10
 *          BENCH_THREADS=2         in the background       BENCH_WRITES=20000 a second, readwhilewriting
 *          BENCH_DIR=.             where the databases are made (a real disk)
 *          BENCH_ONLY=             groups: order random logs ycsb; with a comma between
 *          BENCH_ENGINES=          cordwood,rocksdb,leveldb: only these
 *          BENCH_COMPRESSION=both  lz4 or none: one of the passes
 *          BENCH_COMMIT=           noted in the results    SEED=1 */
#include "bench/disk.h"
#include "bench/engine/cases.h"

#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS_MAX = 99, MIB = 1 << 20, KIB = 1 << 10 };

static const struct engine *const engines[] = {&engine_cordwood, &engine_rocksdb, &engine_leveldb};
static const char *const subjects[] = {"cordwood", "rocksdb", "leveldb", NULL};
enum { ENGINES = sizeof engines / sizeof *engines };

static const struct group {
    const char *word;  /* in BENCH_ONLY */
    const char *suite; /* in the results */
    void (*cases)(struct turn *turn);
    bool without_compression; /* in that pass too */
} groups[] = {
    {"order", "order", cases_in_order, true},   {"random", "random", cases_at_random, true},
    {"logs", "logs", cases_of_logs, true},      {"ycsb", "ycsb/1", cases_of_ycsb_1, false},
    {"ycsb", "ycsb/4", cases_of_ycsb_4, false},
};

enum { GROUPS = sizeof groups / sizeof *groups };

static const struct {
    const char *measure, *title;
    double unit;
} tables[] = {
    {"ops_per_s", "thousand operations a second", 1000},
    {"p50_us", "p50, us", 1},
    {"p99_us", "p99, us", 1},
    {"p999_us", "p99.9, us", 1},
    {"cpu_us_per_op", "CPU of all threads, us an operation", 1},
    {"bytes_per_entry", "bytes an entry in tables, all merged", 1},
    {"write_amplification", "bytes written (log, tables) a byte given", 1},
    {"space_amplification", "bytes of tables at rest a byte when all is merged", 1},
    {"peak_rss_mib", "peak memory, MiB", 1},
};

static double number(const char *name, double otherwise, double min, double max)
{
    const char *given = getenv(name);
    char *end = NULL;
    double value = given && *given ? strtod(given, &end) : otherwise;

    if ((end && *end) || value < min || value > max) {
        fprintf(stderr, "bench: %s must be a number, %g to %g\n", name, min, max);
        exit(2);
    }
    return value;
}

/* `word` stands in the list that the environment names, or there is none. */
static bool is_wanted(const char *list, const char *word)
{
    const char *only = getenv(list);
    size_t size = strlen(word);

    if (!only || !*only)
        return true;
    for (const char *at = only; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, size) == 0 && (at[size] == 0 || at[size] == ','))
            return true;
    }
    return false;
}

static bool wants_pass(bool compress)
{
    const char *given = getenv("BENCH_COMPRESSION");

    if (!given || !*given || strcmp(given, "both") == 0)
        return true;
    return strcmp(given, compress ? "lz4" : "none") == 0;
}

static void write_conditions(struct results *results, const struct engine_options *options,
                             const struct turn_settings *settings, unsigned rounds)
{
    char version[64];

    for (size_t e = 0; e < ENGINES; e++) {
        engines[e]->version(version, sizeof version);
        results_condition(results, engines[e]->name,
                          "%s, compression %s (pass lz4) or none (pass "
                          "none)",
                          version, engines[e]->compression);
    }
    results_condition(results, "sizes",
                      "%llu entries (keys of %d bytes, values of %d), %llu YCSB "
                      "records of %d bytes, rounds %u, %g s a timed case, seed %llu",
                      (unsigned long long)settings->entries, TURN_KEY_BYTES, TURN_VALUE_BYTES,
                      (unsigned long long)settings->records, YCSB_RECORD_BYTES, rounds,
                      settings->seconds, (unsigned long long)settings->seed);
    results_condition(results, "options",
                      "two memtables of %zu MiB, tables of %llu MiB, block cache "
                      "%zu MiB, blocks of %u KiB, bloom filter %u bits a key, checksums verified, "
                      "%u background threads (leveldb: 1)",
                      options->write_buffer_bytes / MIB,
                      (unsigned long long)(options->table_bytes / MIB), options->cache_bytes / MIB,
                      options->block_bytes / KIB, options->bloom_bits, options->background_threads);
    results_condition(results, "writes",
                      "plain: acknowledged after write(2); fillsync: after "
                      "fdatasync; readwhilewriting beside %llu writes a second",
                      (unsigned long long)settings->writes_per_s);
}

static bool measure_group(const struct group *group, struct engine_options *options,
                          const struct turn_settings *settings, unsigned rounds,
                          struct results *results)
{
    const char *name_suffix = options->compress ? "" : "/none";

    for (unsigned round = 1; round <= rounds; round++) {
        for (size_t e = 0; e < ENGINES; e++) {
            if (!is_wanted("BENCH_ENGINES", engines[e]->name))
                continue;
            if (isatty(2))
                fprintf(stderr, "%s%s, round %u of %u: %s          \r", group->suite, name_suffix,
                        round, rounds, engines[e]->name);
            if (!turn_take(engines[e], options, settings, group->cases, results, group->suite,
                           name_suffix, round))
                return false;
        }
    }
    return true;
}

static bool measure(struct results *results, struct engine_options *options,
                    const struct turn_settings *settings, unsigned rounds)
{
    for (size_t g = 0; g < GROUPS; g++) {
        if (!is_wanted("BENCH_ONLY", groups[g].word))
            continue;
        for (int pass = 0; pass < 2; pass++) {
            options->compress = pass == 0;
            if (!wants_pass(options->compress) || (pass == 1 && !groups[g].without_compression))
                continue;
            if (!measure_group(&groups[g], options, settings, rounds, results))
                return false;
        }
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
            char title[128];
            snprintf(title, sizeof title, "%s: %s", groups[g].suite, tables[t].title);
            results_print(results, groups[g].suite, title, tables[t].measure, subjects,
                          tables[t].unit);
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *parent = getenv("BENCH_DIR");
    char directory[512];
    struct disk_sync before;
    unsigned rounds = (unsigned)number("BENCH_ROUNDS", 3, 1, ROUNDS_MAX);
    struct turn_settings settings = {
        .entries = (uint64_t)number("BENCH_ENTRIES", 300000, 100, 1e10) / 2 * 2,
        .records = (uint64_t)number("BENCH_RECORDS", 50000, 10, 1e9),
        .seconds = number("BENCH_SECONDS", 0.5, 0.001, 3600),
        .writes_per_s = (uint64_t)number("BENCH_WRITES", 20000, 1, 1e8),
        .seed = (uint64_t)number("SEED", 1, 0, 1e18),
    };
    struct engine_options options = {
        .directory = directory,
        .write_buffer_bytes = (size_t)(number("BENCH_BUFFER_MIB", 8, 1, 4096) * MIB),
        .cache_bytes = (size_t)(number("BENCH_CACHE_MIB", 16, 1, 1 << 20) * MIB),
        .block_bytes = (uint32_t)(number("BENCH_BLOCK_KIB", 16, 1, 1024) * KIB),
        .bloom_bits = (unsigned)number("BENCH_BLOOM_BITS", 10, 0, 24),
        .background_threads = (unsigned)number("BENCH_THREADS", 2, 1, 16),
    };

    settings.quiet_ms = settings.seconds < 0.1 ? 10 : 100;
    options.table_bytes = options.write_buffer_bytes;
    parent = parent && *parent ? parent : ".";
    snprintf(directory, sizeof directory, "%s/engine-bench-%d", parent, (int)getpid());
    struct results *results = results_create(argc > 1 ? argv[1] : NULL);
    if (!results)
        return 1;
    write_conditions(results, &options, &settings, rounds);
    values_init(&settings.values, settings.seed);
    ycsb_texts_init(&settings.texts, settings.seed);
    bool ok = disk_begin(results, parent, &before) &&
              measure(results, &options, &settings, rounds) && disk_end(results, parent, &before);
    ok = results_finish(results) && ok;
    values_release(&settings.values);
    ycsb_texts_release(&settings.texts);
    return ok ? 0 : 1;
}
