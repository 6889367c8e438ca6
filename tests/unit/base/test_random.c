/* SPDX-License-Identifier: MIT */
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

/* The state after seeding is splitmix64's published sequence for the seed 0; from a known state the
 * first number can be worked out by hand: rotate(5 * s1, 7) * 9. */
static void random_is_xoshiro256_seeded_by_splitmix64(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 0);
    assert_true(random.state[0] == 0xe220a8397b1dcdafu);
    assert_true(random.state[1] == 0x6e789e6aa1b965f4u);
    assert_true(random.state[2] == 0x06c45d188009454fu);
    assert_true(random.state[3] == 0xf88bb8a8724c81ecu);
    random = (struct random){{1, 2, 3, 4}};
    assert_true(random_next(&random) == 11520);
    assert_true(random_next(&random) == 0);
    assert_true(random_next(&random) == 1509978240);
    assert_true(random_next(&random) == 1215971899390074240u);
}

static void random_below_stays_below_and_reaches_everything(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (uint64_t bound = 1; bound < 40; bound++) {
        unsigned seen[40] = {0};
        for (uint64_t i = 0; i < bound * 200; i++) {
            uint64_t number = random_below(&random, bound);
            assert_true(number < bound);
            seen[number]++;
        }
        for (uint64_t i = 0; i < bound; i++)
            assert_true(seen[i] > 50); /* 200 are expected */
    }
    uint64_t large = (UINT64_MAX / 2) + 2;
    for (int i = 0; i < 1000; i++)
        assert_true(random_below(&random, large) < large);
}

static void random_of_one_seed_is_always_the_same(void **state)
{
    (void)state;
    struct random a, b, c;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t number = random_next(&a);
        assert_true(number == random_next(&b));
        differs |= number != random_next(&c);
    }
    assert_true(differs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_is_xoshiro256_seeded_by_splitmix64),
        cmocka_unit_test(random_below_stays_below_and_reaches_everything),
        cmocka_unit_test(random_of_one_seed_is_always_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
