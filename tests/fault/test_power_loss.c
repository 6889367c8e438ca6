/* SPDX-License-Identifier: MIT */
/* Power is lost before every call that changes the disk, in every mode, and sometimes again during
 * the recovery. `always` loses nothing that was acknowledged; the others lose a tail only, in
 * order, and never half a batch. STEPS= sets the length of a run. */
#include "lib/power_storm.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 120 };

static unsigned steps(void)
{
    const char *given = getenv("STEPS");
    return given ? (unsigned)strtoul(given, NULL, 10) : STEPS;
}

static void storm(enum engine_policy policy, uint64_t seed)
{
    const struct power_storm options = {.policy = policy, .seed = seed, .steps = steps()};
    struct power_storm_result result;
    power_storm_run(&options, &result, NULL, NULL);
    printf(
        "policy %d, seed %llu: %llu points, %llu losses, %llu flushes, %llu compactions; the log "
        "%llu of %llu bytes\n",
        (int)policy, (unsigned long long)seed, (unsigned long long)result.points,
        (unsigned long long)result.losses, (unsigned long long)result.stats.flush_count,
        (unsigned long long)result.stats.compaction_count,
        (unsigned long long)result.stats.wal_bytes_written,
        (unsigned long long)result.stats.wal_bytes_logged);
    if (result.failure.text[0])
        fail_msg("policy %d, seed %llu: %s", (int)policy, (unsigned long long)seed,
                 result.failure.text);
    assert_true(result.points > 100);
}

static void always_loses_nothing_acknowledged(void **state)
{
    (void)state;
    storm(POLICY_ALWAYS, test_seed());
}

static void everysec_loses_a_tail_only(void **state)
{
    (void)state;
    storm(POLICY_EVERYSEC, test_seed() + 1);
}

static void no_loses_a_tail_only(void **state)
{
    (void)state;
    storm(POLICY_NO, test_seed() + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_loses_nothing_acknowledged),
        cmocka_unit_test(everysec_loses_a_tail_only),
        cmocka_unit_test(no_loses_a_tail_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
