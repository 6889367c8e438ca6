/* SPDX-License-Identifier: MIT */
/* Power is lost before every call that changes the disk while sessions write to a store: what is found
 * is the state after some command, whole, at or behind the last that was acknowledged; it keeps the
 * invariants, stands a second and a third power loss during its recovery, and goes on. STEPS= sets the
 * length of a run. */
#include "lib/seed.h"
#include "lib/store_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 80 };

static void run_storm(enum engine_policy policy, uint64_t seed, unsigned steps, const char *skipped,
                      struct engine_failure *failure)
{
    static const char *const policies[] = {"always", "everysec", "no"};
    const struct store_storm storm = {
        .policy = policy, .seed = seed, .steps = steps, .skipped_site = skipped};
    struct store_loss_counts counts;
    struct lsm_stats stats = {0};
    store_storm_run(&storm, &counts, failure, &stats);
    printf(
        "%s, seed %llu%s%s: %llu points, %llu losses, %llu second and %llu third ones, %llu went "
        "on; %llu segments recycled, %llu flushes, %llu compactions\n",
        policies[policy], (unsigned long long)seed, skipped ? ", without " : "",
        skipped ? skipped : "", (unsigned long long)counts.points,
        (unsigned long long)counts.losses, (unsigned long long)counts.again,
        (unsigned long long)counts.third, (unsigned long long)counts.continued,
        (unsigned long long)counts.recycled, (unsigned long long)stats.flush_count,
        (unsigned long long)stats.compaction_count);
}

static void storm(enum engine_policy policy, uint64_t seed)
{
    const char *given = getenv("STEPS");
    struct engine_failure failure = {.text = ""};
    run_storm(policy, seed, given ? (unsigned)strtoul(given, NULL, 10) : STEPS, NULL, &failure);
    if (failure.text[0])
        fail_msg("seed %llu: %s", (unsigned long long)seed, failure.text);
}

static void always_loses_no_command_that_was_acknowledged(void **state)
{
    (void)state;
    storm(POLICY_ALWAYS, test_seed());
}

static void everysec_loses_a_tail_of_whole_commands(void **state)
{
    (void)state;
    storm(POLICY_EVERYSEC, test_seed() + 1);
}

static void no_loses_a_tail_of_whole_commands(void **state)
{
    (void)state;
    storm(POLICY_NO, test_seed() + 2);
}

/* The canary: without these syncs something is lost, and the storm says so. */
static void a_sync_that_is_left_out_is_noticed(void **state)
{
    static const char *const sites[] = {"wal.frames", "manifest.edit", "table_builder.finish",
                                        "wal_segment.create_name"};
    (void)state;
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        struct engine_failure failure = {.text = ""};
        for (uint64_t seed = 1; seed <= 5 && !failure.text[0]; seed++)
            run_storm(POLICY_ALWAYS, seed, STEPS, sites[i], &failure);
        if (!failure.text[0])
            fail_msg("%s was left out, and nothing was lost", sites[i]);
        printf("without %s: %s\n", sites[i], failure.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_loses_no_command_that_was_acknowledged),
        cmocka_unit_test(everysec_loses_a_tail_of_whole_commands),
        cmocka_unit_test(no_loses_a_tail_of_whole_commands),
        cmocka_unit_test(a_sync_that_is_left_out_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
