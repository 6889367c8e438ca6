/* SPDX-License-Identifier: MIT */
/* A short run of the simulator, from a seed that stays the same in `make check`; and that a seed
 * decides all that happens. SEED= chooses the first seed, SEEDS= how many. */
#include "lib/seed.h"
#include "sim/simulation.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEEDS = 20, STEPS = 2000, STEPS_TWICE = 1200 };

static char program[4096]; /* this one */

static uint64_t run(uint64_t seed, uint64_t steps, struct sim_counts *counts)
{
    struct sim_options options = {.seed = seed, .steps = steps, .program = "build/sim/simulate"};
    return sim_run(&options, counts);
}

static void many_seeds_are_as_the_model_says(void **state)
{
    struct sim_counts counts = {0};
    const char *given = getenv("SEEDS");
    uint64_t seeds = given ? strtoull(given, NULL, 10) : SEEDS;
    (void)state;
    for (uint64_t i = 0; i < seeds; i++)
        (void)run(test_seed() + i, STEPS, &counts);
    sim_counts_print(&counts);
    assert_int_equal(counts.seeds, seeds);
}

/* In this process, where the heap is another one by then, and in one with other addresses. */
static void a_seed_decides_everything(void **state)
{
    struct sim_counts counts = {0};
    char command[sizeof program + 64], line[64] = "";
    uint64_t first = run(test_seed(), STEPS_TWICE, &counts);
    (void)state;
    assert_true(run(test_seed(), STEPS_TWICE, &counts) == first);
    assert_true(run(test_seed() + 1, STEPS_TWICE, &counts) != first);
    snprintf(command, sizeof command, "%s --hash %" PRIu64, program, test_seed());
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    assert_int_equal(pclose(pipe), 0);
    assert_true(strtoull(line, NULL, 16) == first);
}

int main(int count, char **words)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_decides_everything),
        cmocka_unit_test(many_seeds_are_as_the_model_says),
    };
    if (count == 3 && strcmp(words[1], "--hash") == 0) {
        struct sim_counts counts = {0};
        printf("%016" PRIx64 "\n", run(strtoull(words[2], NULL, 10), STEPS_TWICE, &counts));
        return 0;
    }
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
