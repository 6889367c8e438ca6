/* SPDX-License-Identifier: MIT */
#include "bench/server/server_bench.h"

#include <stdio.h>
#include <string.h>

static const double percents[] = {50, 95, 99, 99.9};
static const char *const percentile_names[] = {"p50_us", "p95_us", "p99_us", "p999_us"};
enum { PERCENTILES = sizeof percents / sizeof *percents };

bool bench_wants(const struct server_bench *bench, const char *name)
{
    return !bench->filter || strstr(name, bench->filter);
}

void bench_add_load_of(const struct server_bench *bench, const char *suite, const char *name,
                       const char *subject, unsigned round, const struct load_result *result,
                       uint64_t operations, double cpu_seconds)
{
    struct results *results = bench->results;

    results_add(results, suite, name, subject, "ops_per_s", round,
                (double)operations / result->seconds);
    for (size_t i = 0; i < PERCENTILES; i++)
        results_add(results, suite, name, subject, percentile_names[i], round,
                    (double)latency_percentile(&result->latency, percents[i]) / 1e3);
    results_add(results, suite, name, subject, "max_us", round,
                (double)result->latency.max_ns / 1e3);
    results_add(results, suite, name, subject, "cpu_s_per_million", round,
                cpu_seconds * 1e6 / (double)operations);
}

void bench_add_load(const struct server_bench *bench, const char *suite, const char *name,
                    enum test_server_kind kind, unsigned round, const struct load_result *result,
                    uint64_t operations, double cpu_seconds)
{
    bench_add_load_of(bench, suite, name, server_pair_name(kind), round, result, operations,
                      cpu_seconds);
}

void bench_print_load_header(const char *title)
{
    printf("\n%s\n%-24s %33s %6s %15s %15s %15s %15s %15s %13s\n"
           "%-24s %33s %6s %15s %15s %15s %15s %15s %13s\n",
           title, "cordwood / redis", "thousands a second, median", "ratio", "ceiling", "p50 us",
           "p95 us", "p99 us", "p99.9 us", "CPU s", "", "(min..max)", "", "(of redis)", "", "", "",
           "", "a million");
}

static double median(const struct server_bench *bench, const char *suite, const char *name,
                     const char *subject, const char *measure)
{
    double value = 0;

    (void)results_median(bench->results, suite, name, subject, measure, &value, NULL,
                         NULL); /* 0 where there is none */
    return value;
}

/* How far a server that does nothing gets, and how many times redis' rate that is. */
static void show_ceiling(const struct server_bench *bench, const char *suite, const char *name,
                         char *cell, size_t capacity)
{
    double ceiling = median(bench, suite, name, "ceiling", "ops_per_s");
    double redis = median(bench, suite, name, "redis", "ops_per_s");

    cell[0] = 0;
    if (ceiling > 0 && redis > 0)
        snprintf(cell, capacity, "%.1f(%.2fx)", ceiling / 1e3, ceiling / redis);
}

void bench_print_load(const struct server_bench *bench, const char *suite, const char *name)
{
    char cell[64];
    double ratio = 0;

    printf("%-24s", name);
    for (EACH_SERVER(kind)) {
        double value = 0, min = 0, max = 0;
        (void)results_median(bench->results, suite, name, server_pair_name(kind), "ops_per_s",
                             &value, &min, &max);
        snprintf(cell, sizeof cell, "%.1f(%.0f..%.0f)", value / 1e3, min / 1e3, max / 1e3);
        printf(" %16s", cell);
    }
    (void)results_ratio(bench->results, suite, name, "ops_per_s", &ratio);
    show_ceiling(bench, suite, name, cell, sizeof cell);
    printf(" %5.2fx %15s", ratio, cell);
    for (size_t i = 0; i < PERCENTILES; i++) {
        snprintf(cell, sizeof cell, "%.0f/%.0f",
                 median(bench, suite, name, "cordwood", percentile_names[i]),
                 median(bench, suite, name, "redis", percentile_names[i]));
        printf(" %15s", cell);
    }
    snprintf(cell, sizeof cell, "%.2f/%.2f",
             median(bench, suite, name, "cordwood", "cpu_s_per_million"),
             median(bench, suite, name, "redis", "cpu_s_per_million"));
    printf(" %13s\n", cell);
    fflush(stdout);
}
