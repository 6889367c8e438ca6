/* SPDX-License-Identifier: MIT */
#include "lsm/range_map.h"

#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RANGES_MAX = 30, KEYS = 40 };

static char keys[KEYS + 1][16];

static struct slice key_at(uint64_t index)
{
    snprintf(keys[index], sizeof(keys[index]), "%02u", (unsigned)index);
    return slice_from(keys[index]);
}

static lsn_t model_find(const struct range_delete *ranges, size_t count, lsn_t lsn_max,
                        struct slice key)
{
    lsn_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].lsn <= lsn_max && ranges[i].lsn > newest &&
            slice_compare(ranges[i].from, key) <= 0 && slice_compare(key, ranges[i].to) < 0)
            newest = ranges[i].lsn;
    }
    return newest;
}

static size_t make_ranges(struct random *random, struct range_delete *ranges)
{
    size_t count = random_below(random, RANGES_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t from = random_below(random, KEYS);
        uint64_t to = from + 1 + random_below(random, random_below(random, 2) ? 3 : KEYS - from);
        ranges[i] = (struct range_delete){key_at(from), key_at(to < KEYS ? to : KEYS),
                                          1 + random_below(random, 100)};
    }
    return count;
}

static void newest_deletion_over_each_key_is_found(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 2000; round++) {
        struct range_delete ranges[RANGES_MAX];
        size_t count = make_ranges(&random, ranges), hint = 0;
        lsn_t lsn_max = random_below(&random, 120);
        struct range_map map;
        range_map_init(&map, ranges, count, lsn_max);
        for (size_t i = 1; i < map.count; i++)
            assert_true(slice_compare(map.pieces[i - 1].to, map.pieces[i].from) <= 0);
        for (uint64_t key = 0; key <= KEYS; key += 1 + random_below(&random, 3))
            assert_int_equal(range_map_find(&map, key_at(key), &hint),
                             model_find(ranges, count, lsn_max, key_at(key)));
        range_map_release(&map);
    }
}

static void table_is_covered_when_each_of_its_keys_is(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    int covered_count = 0;
    for (int round = 0; round < 20000; round++) {
        struct range_delete ranges[RANGES_MAX];
        size_t count = make_ranges(&random, ranges);
        uint64_t first = random_below(&random, KEYS), last = first + random_below(&random, 6);
        if (last > KEYS)
            last = KEYS;
        struct table_properties table = {.lsn_max = 1 + random_below(&random, 60)};
        table.largest_is_exclusive = last > first && random_below(&random, 2);
        buffer_append_slice(&table.smallest, key_at(first));
        buffer_append_slice(&table.largest, key_at(last));
        bool expected = true;
        for (uint64_t key = first; key < last + !table.largest_is_exclusive; key++)
            expected =
                expected && model_find(ranges, count, UINT64_MAX, key_at(key)) > table.lsn_max;
        /* Keys between those of the model: a gap there is a gap at a boundary of some range,
         * too. */
        struct range_map map;
        range_map_init(&map, ranges, count, UINT64_MAX);
        assert_int_equal(range_map_covers(&map, &table), expected);
        covered_count += expected;
        range_map_release(&map);
        table_properties_release(&table);
    }
    assert_true(covered_count > 1000);
}

static void neighbours_of_one_lsn_are_one_piece(void **state)
{
    (void)state;
    struct range_delete ranges[] = {
        {slice_from("c"), slice_from("e"), 5},
        {slice_from("a"), slice_from("c"), 5},
        {slice_from("b"), slice_from("d"), 3},
        {slice_from("x"), slice_from("y"), 9},
    };
    struct range_map map;
    range_map_init(&map, ranges, 4, 8);
    assert_int_equal(map.count, 1);
    assert_true(slice_equal(map.pieces[0].from, slice_from("a")));
    assert_true(slice_equal(map.pieces[0].to, slice_from("e")));
    assert_int_equal(map.pieces[0].lsn, 5);
    range_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_deletion_over_each_key_is_found),
        cmocka_unit_test(table_is_covered_when_each_of_its_keys_is),
        cmocka_unit_test(neighbours_of_one_lsn_are_one_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
