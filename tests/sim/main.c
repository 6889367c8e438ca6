/* SPDX-License-Identifier: MIT */
/* simulate [--seed N] [--seeds N | --time SECONDS] [--steps N]    seed after seed
 * simulate --seed N --step N --trace                              one seed up to a step, each printed */
#include "sim/simulation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 2000, SEEDS_FOR_COVERAGE = 100 };

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct arguments {
    uint64_t seed, seeds, seconds, steps, step;
    bool trace;
};

static bool parse(int count, char **words, struct arguments *arguments)
{
    struct {
        const char *name;
        uint64_t *number;
    } known[] = {{"--seed", &arguments->seed},
                 {"--seeds", &arguments->seeds},
                 {"--time", &arguments->seconds},
                 {"--steps", &arguments->steps},
                 {"--step", &arguments->step}};
    for (int i = 1; i < count; i++) {
        size_t k = 0;
        if (strcmp(words[i], "--trace") == 0) {
            arguments->trace = true;
            continue;
        }
        while (k < 5 && strcmp(words[i], known[k].name) != 0)
            k++;
        if (k == 5 || i + 1 == count)
            return false;
        *known[k].number = strtoull(words[++i], NULL, 10);
    }
    return true;
}

int main(int count, char **words)
{
    struct arguments arguments = {.seed = 1, .steps = STEPS};
    struct sim_counts counts = {0};
    if (!parse(count, words, &arguments)) {
        fprintf(stderr,
                "usage: %s [--seed N] [--seeds N | --time SECONDS] [--steps N] [--step N] "
                "[--trace]\n",
                words[0]);
        return 2;
    }
    if (arguments.step || (!arguments.seeds && !arguments.seconds))
        arguments.seeds = 1;
    double began = now_seconds();
    uint64_t hash = 0;
    for (uint64_t i = 0;
         arguments.seeds ? i < arguments.seeds : now_seconds() - began < (double)arguments.seconds;
         i++) {
        struct sim_options options = {.seed = arguments.seed + i,
                                      .steps = arguments.step ? arguments.step : arguments.steps,
                                      .trace = arguments.trace,
                                      .program = words[0]};
        hash = sim_run(&options, &counts);
    }
    printf("seeds %" PRIu64 " to %" PRIu64 ", %.1f s\n", arguments.seed,
           arguments.seed + counts.seeds - 1, now_seconds() - began);
    sim_counts_print(&counts);
    const char *missing = sim_counts_missing(&counts);
    if (counts.seeds == 1)
        printf("hash %016" PRIx64 "\n", hash);
    if (missing && counts.seeds >= SEEDS_FOR_COVERAGE) {
        printf("FAILED: in so many seeds this never happened: %s\n", missing);
        return 1;
    }
    return 0;
}
