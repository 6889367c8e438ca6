/* SPDX-License-Identifier: MIT */
#include "types/list_slots.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/memory_store.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ID = 7, WIDTH = 200000, ROUNDS = 80, CHANGES_MAX = 300 };

#define MIDDLE ((uint64_t)1 << 63)

static struct memory_store ms;
static struct slots slots;

static int setup(void **state)
{
    (void)state;
    memory_store_open(
        &ms, &(struct store_options){.memtable_bytes = 4 << 20, .wal_segment_bytes = 1 << 20});
    ms.is_damaged = true; /* the slots belong to no key */
    slots = (struct slots){.access = &ms.access, .id = ID, .low = 1, .high = 0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

static void change(const struct slot_change *changes, size_t count)
{
    struct slot_plan plan = {.known = 0};
    memory_store_write(&ms);
    assert_int_equal(slots_plan_changes(&slots, changes, count, &plan), STATUS_OK);
    assert_true(slot_plan_bytes(&plan) > 0);
    slots_apply(&slots, &plan);
    slot_plan_release(&plan);
    memory_store_end(&ms);
}

static void change_one(uint64_t position, int64_t delta)
{
    change(&(struct slot_change){position, delta}, 1);
}

static void clear(uint64_t from, uint64_t to)
{
    struct slot_plan plan = {.known = 0};
    memory_store_write(&ms);
    assert_int_equal(slots_plan_clear(&slots, from, to, &plan), STATUS_OK);
    slots_apply(&slots, &plan);
    slot_plan_release(&plan);
    memory_store_end(&ms);
}

static uint64_t count_at(uint64_t position)
{
    struct slot_span span;
    assert_int_equal(slots_look(&slots, position, &span), STATUS_OK);
    assert_true(span.first <= position && position <= span.last);
    return slot_span_count(&span, position);
}

static void expect_select(uint64_t rank, uint64_t position, uint64_t offset)
{
    uint64_t found_position, found_offset;
    assert_int_equal(slots_select(&slots, rank, &found_position, &found_offset), STATUS_OK);
    assert_int_equal(found_position, position);
    assert_int_equal(found_offset, offset);
}

static uint64_t rank_of(uint64_t position)
{
    uint64_t rank;
    assert_int_equal(slots_rank(&slots, position, &rank), STATUS_OK);
    return rank;
}

/* How many nodes there are, and that no others are in the store. */
static uint64_t node_count(void)
{
    uint64_t nodes, lines = 0;
    struct buffer dump = {0};
    assert_int_equal(slots_verify(&slots, &nodes), STATUS_OK);
    memory_store_end(&ms);
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    memory_store_read(&ms);
    assert_int_equal(lines, nodes);
    return nodes;
}

static void a_slot_counts_one_more_or_none(void **state)
{
    (void)state;
    change_one(MIDDLE + 5, 1);
    change_one(MIDDLE + 7, -1);
    change_one(MIDDLE + 5, 1);
    assert_true(slots.low == MIDDLE + 5 && slots.high == MIDDLE + 7);
    memory_store_read(&ms);
    assert_int_equal(count_at(MIDDLE + 5), 3);
    assert_int_equal(count_at(MIDDLE + 6), 1);
    assert_int_equal(count_at(MIDDLE + 7), 0);
    expect_select(0, MIDDLE + 5, 0);
    expect_select(2, MIDDLE + 5, 2);
    expect_select(3, MIDDLE + 6, 0);
    assert_int_equal(rank_of(MIDDLE + 5), 0);
    assert_int_equal(rank_of(MIDDLE + 6), 3);
    assert_int_equal(rank_of(MIDDLE + 8), 4);
    uint64_t position, offset;
    assert_int_equal(slots_select(&slots, 4, &position, &offset), STATUS_CORRUPT);
    assert_int_equal(slots_select(&slots, 1000, &position, &offset), STATUS_CORRUPT);
    assert_int_equal(node_count(), 1);
    memory_store_end(&ms);
}

/* The root level rises when the zone does not lie in two neighbours any more, and only then. */
static void a_wider_zone_needs_more_levels(void **state)
{
    (void)state;
    change_one(MIDDLE - 1, -1);
    change_one(MIDDLE, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 2); /* two roots of level 0 */
    memory_store_end(&ms);
    change_one(MIDDLE + 1000, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 3 + 2); /* and two of level 1 */
    memory_store_end(&ms);
    change_one(MIDDLE - 20000000, 4);
    memory_store_read(&ms);
    assert_int_equal(count_at(MIDDLE - 20000000), 5);
    assert_int_equal(count_at(MIDDLE), 0);
    assert_int_equal(count_at(MIDDLE + 1000), 0);
    assert_int_equal(rank_of(MIDDLE + 1001), 20000000 + 1001 + 4 - 3);
    expect_select(20000000 - 1 + 4, MIDDLE + 1, 0);
    memory_store_end(&ms);
}

/* Nodes of nothing but empty slots, or of nothing to say, have no record. */
static void uniform_nodes_have_no_record(void **state)
{
    (void)state;
    change_one(MIDDLE + 3, 1);
    change_one(MIDDLE + 5000, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 3);
    memory_store_end(&ms);
    change_one(MIDDLE + 3, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 2);
    memory_store_end(&ms);
    for (uint64_t i = 0; i < SLOTS_FANOUT; i++)
        change_one(MIDDLE + 256 + i, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 2);
    assert_int_equal(count_at(MIDDLE + 300), 0);
    assert_int_equal(count_at(MIDDLE + 512), 1);
    expect_select(256 - 3, MIDDLE + 512, 0);
    memory_store_end(&ms);
    clear(MIDDLE + 100, MIDDLE + 4999);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 3); /* at 100, at 4,864 .. 5,000, and the root */
    assert_int_equal(rank_of(MIDDLE + 5001), 97);
    memory_store_end(&ms);
}

/* A full root becomes a child that needs no record. */
static void a_full_root_is_taken_in_by_the_next_level(void **state)
{
    (void)state;
    clear(MIDDLE, MIDDLE + 255);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 1);
    memory_store_end(&ms);
    change_one(MIDDLE + 70000, -1);
    memory_store_read(&ms);
    assert_int_equal(node_count(), 3);
    assert_int_equal(count_at(MIDDLE + 17), 0);
    expect_select(0, MIDDLE + 256, 0);
    memory_store_end(&ms);
}

/* ---- Against an array. ----------------------------------------------------------------------- */

static int64_t deviations[WIDTH];
static uint64_t first_used = WIDTH, last_used;

static uint64_t position_at(uint64_t index)
{
    return MIDDLE - WIDTH / 2 + index;
}

static void use(uint64_t from, uint64_t to)
{
    first_used = from < first_used ? from : first_used;
    last_used = to > last_used ? to : last_used;
}

static int compare_changes(const void *a, const void *b)
{
    const struct slot_change *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* Around one place, far or near; several at once. */
static size_t make_changes(struct random *random, struct slot_change *changes)
{
    uint64_t reach = 1ull << random_below(random, 18);
    uint64_t start = random_below(random, WIDTH - reach);
    size_t count = 1 + random_below(random, random_below(random, 4) ? 4 : CHANGES_MAX), merged = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = start + random_below(random, reach);
        int64_t delta = random_below(random, 3) ? -1 : 1 + (int64_t)random_below(random, 3);
        if (deviations[index] + delta < -1)
            continue;
        deviations[index] += delta;
        use(index, index);
        changes[merged++] = (struct slot_change){position_at(index), delta};
    }
    qsort(changes, merged, sizeof *changes, compare_changes);
    size_t kept = 0;
    for (size_t i = 0; i < merged; i++) {
        if (kept > 0 && changes[kept - 1].position == changes[i].position)
            changes[kept - 1].delta += changes[i].delta;
        else
            changes[kept++] = changes[i];
    }
    return kept;
}

static void check_against_array(struct random *random)
{
    uint64_t rank = 0, asked = first_used + random_below(random, last_used - first_used + 1);
    assert_true(slots.low == position_at(first_used) && slots.high == position_at(last_used));
    memory_store_read(&ms);
    (void)node_count();
    for (uint64_t i = first_used; i <= last_used; i++) {
        if (i == asked) {
            assert_int_equal(rank_of(position_at(i)), rank);
            assert_int_equal(count_at(position_at(i)), 1 + deviations[i]);
            if (deviations[i] >= 0)
                expect_select(rank + (uint64_t)deviations[i], position_at(i),
                              (uint64_t)deviations[i]);
        }
        rank += (uint64_t)(1 + deviations[i]);
    }
    assert_int_equal(rank_of(slots.high + 1), rank);
    memory_store_end(&ms);
}

static void the_tree_says_what_an_array_says(void **state)
{
    static struct slot_change changes[CHANGES_MAX];
    struct random random;
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < ROUNDS; round++) {
        if (random_below(&random, 8) == 0) {
            uint64_t width = 1ull << random_below(&random, 17);
            uint64_t from = random_below(&random, WIDTH - width);
            for (uint64_t i = from; i < from + width; i++)
                deviations[i] = -1;
            use(from, from + width - 1);
            clear(position_at(from), position_at(from + width - 1));
        } else {
            size_t count = make_changes(&random, changes);
            if (count == 0)
                continue;
            change(changes, count);
        }
        if (random_below(&random, 20) == 0)
            memory_store_work(&ms, true);
        check_against_array(&random);
    }
}

/* A change and then a clearing in one plan: the second sees what the first has made. */
static void changes_of_one_plan_follow_each_other(void **state)
{
    struct slot_plan plan = {.known = 0};
    struct slot_change both[] = {{MIDDLE + 10, 2}, {MIDDLE + 1000, 1}};
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(slots_plan_changes(&slots, both, 2, &plan), STATUS_OK);
    assert_int_equal(slots_plan_clear(&slots, MIDDLE + 900, MIDDLE + 1100, &plan), STATUS_OK);
    assert_int_equal(slots_plan_clear(&slots, MIDDLE - 300, MIDDLE, &plan), STATUS_OK);
    slots_apply(&slots, &plan);
    slot_plan_release(&plan);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(count_at(MIDDLE + 10), 3);
    assert_int_equal(count_at(MIDDLE + 1000), 0);
    assert_int_equal(count_at(MIDDLE - 1), 0);
    assert_int_equal(rank_of(MIDDLE + 1101), 899 + 2);
    (void)node_count();
    memory_store_end(&ms);
}

/* A root that has nothing to say any more, and then has again. */
static void a_node_that_a_plan_deletes_is_empty_for_its_next_change(void **state)
{
    struct slot_plan plan = {.known = 0};
    (void)state;
    change_one(MIDDLE + 10, 1);
    memory_store_write(&ms);
    assert_int_equal(slots_plan_changes(&slots, &(struct slot_change){MIDDLE + 10, -1}, 1, &plan),
                     STATUS_OK);
    assert_int_equal(slots_plan_clear(&slots, MIDDLE + 11, MIDDLE + 12, &plan), STATUS_OK);
    slots_apply(&slots, &plan);
    slot_plan_release(&plan);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(count_at(MIDDLE + 10), 1);
    assert_int_equal(count_at(MIDDLE + 11), 0);
    assert_int_equal(rank_of(MIDDLE + 13), 1);
    assert_int_equal(node_count(), 1);
    memory_store_end(&ms);
}

static void a_plan_without_memory_is_refused(void **state)
{
    enum { FAR = 6000 };
    static struct slot_change changes[FAR];
    struct slot_plan plan = {.known = 0};
    struct slots copy = slots;
    (void)state;
    for (size_t i = 0; i < FAR; i++)
        changes[i] = (struct slot_change){MIDDLE + 256 * i, 1}; /* a node each */
    memory_store_write(&ms);
    memory_fail_try(1, true);
    assert_int_equal(slots_plan_changes(&copy, changes, FAR, &plan), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    slot_plan_release(&plan);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    memory_store_end(&ms);
}

/* ---- Damage. --------------------------------------------------------------------------------- */

static struct slice node_key(uint8_t at[OBJECT_PREFIX_BYTES + 10], uint8_t level, uint64_t position)
{
    object_prefix_store(at, ms.access.generation, ID);
    at[OBJECT_PREFIX_BYTES] = 'i';
    at[OBJECT_PREFIX_BYTES + 1] = level;
    be64_store(at + OBJECT_PREFIX_BYTES + 2, level < 7 ? position >> 8 * (level + 1) : 0);
    return slice_make(at, OBJECT_PREFIX_BYTES + 10);
}

/* "" deletes it. */
static void put_node(uint8_t level, uint64_t position, const char *value, size_t size)
{
    uint8_t at[OBJECT_PREFIX_BYTES + 10];
    memory_store_write(&ms);
    struct slice key = node_key(at, level, position);
    if (size > 0)
        access_put(&ms.access, TREE_PARTS, key, slice_make(value, size));
    else
        access_delete(&ms.access, TREE_PARTS, key);
    memory_store_end(&ms);
}

static enum status status_of_all(void)
{
    struct slot_span span;
    struct slot_plan plan = {.known = 0};
    uint64_t number;
    memory_store_read(&ms);
    enum status status = slots_verify(&slots, &number);
    (void)slots_look(&slots, MIDDLE + 3, &span);
    (void)slots_rank(&slots, MIDDLE + 1001, &number);
    (void)slots_select(&slots, 251, &number, &number);
    (void)slots_select(&slots, 500, &number, &number);
    memory_store_end(&ms);
    memory_store_write(&ms);
    struct slots copy = slots;
    (void)slots_plan_changes(&copy, &(struct slot_change){MIDDLE + 3, 1}, 1, &plan);
    (void)slots_plan_clear(&copy, MIDDLE + 2, MIDDLE + 600, &plan);
    slot_plan_release(&plan);
    memory_store_end(&ms);
    return status;
}

static void damaged_nodes_are_refused(void **state)
{
    static const struct {
        uint8_t level;
        const char *value;
        size_t size;
    } cases[] = {
        {0, "", 0},           /* a child's record is missing */
        {0, "\2", 1},         /* half a run */
        {0, "\0\1", 2},       /* an empty run */
        {0, "\3\1", 2},       /* a leaf has nothing below */
        {0, "\2\3", 2},       /* fewer than no element */
        {0, "\2\0", 2},       /* a run of nothing at the end */
        {0, "\2\1\2\1", 4},   /* two runs that are one */
        {0, "\x84\x04\1", 3}, /* 258 slots */
        {0, "\2\2", 2},       /* another sum than the node above has of it */
        {0, "\2\x82\x80\x80\x80\x80\x80\x80\x01", 9}, /* more than can be */
        {0, "\6\0\4\1", 4},   /* of fewer elements than the node above has of it */
        {1, "\2\2", 2},       /* a child without record is empty or has nothing to say */
        {1, "\2\xff\x03", 3}, /* an empty one that begins below the zone */
        {1, "\3\xff\x03", 3}, /* one with a record is not empty */
    };
    (void)state;
    change_one(MIDDLE + 3, -1);
    change_one(MIDDLE + 1000, -1);
    assert_int_equal(status_of_all(), STATUS_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice value;
        uint8_t at[OBJECT_PREFIX_BYTES + 10];
        struct buffer old = {0};
        memory_store_read(&ms);
        assert_int_equal(
            access_get(&ms.access, TREE_PARTS, node_key(at, cases[i].level, MIDDLE + 3), &value),
            STATUS_OK);
        buffer_append_slice(&old, value);
        memory_store_end(&ms);
        put_node(cases[i].level, MIDDLE + 3, cases[i].value, cases[i].size);
        if (status_of_all() != STATUS_CORRUPT)
            fail_msg("case %zu", i);
        put_node(cases[i].level, MIDDLE + 3, (const char *)old.data, old.size);
        buffer_release(&old);
    }
    assert_int_equal(status_of_all(), STATUS_OK);
}

/* Two roots, whose levels do not suffice for what is to come. */
static void a_damaged_root_is_met_where_it_is_counted_or_sinks(void **state)
{
    struct slot_plan plan = {.known = 0};
    uint64_t rank;
    (void)state;
    change_one(MIDDLE - 3, 1);
    change_one(MIDDLE + 3, 1);
    put_node(0, MIDDLE - 3, "\2", 1);
    memory_store_write(&ms);
    assert_int_equal(slots_rank(&slots, MIDDLE + 4, &rank), STATUS_CORRUPT);
    assert_int_equal(slots_plan_changes(&slots, &(struct slot_change){MIDDLE + 5000, 1}, 1, &plan),
                     STATUS_CORRUPT);
    assert_int_equal(slots_plan_clear(&slots, MIDDLE + 5000, MIDDLE + 5001, &plan), STATUS_CORRUPT);
    assert_int_equal(plan.nodes.size, 0);
    assert_int_equal(slots.high, MIDDLE + 3);
    slot_plan_release(&plan);
    memory_store_end(&ms);
}

static void a_slot_cannot_lose_what_it_has_not(void **state)
{
    struct slot_plan plan = {.known = 0};
    (void)state;
    change_one(MIDDLE, -1);
    memory_store_write(&ms);
    assert_int_equal(slots_plan_changes(&slots, &(struct slot_change){MIDDLE, -1}, 1, &plan),
                     STATUS_CORRUPT);
    slot_plan_release(&plan);
    memory_store_end(&ms);
}

static void a_record_is_told_from_others(void **state)
{
    uint8_t at[OBJECT_PREFIX_BYTES + 10];
    (void)state;
    memory_store_read(&ms);
    struct slice key = node_key(at, 6, MIDDLE);
    assert_int_equal(slots_check_record(key, slice_from("\3\1")), STATUS_OK);
    assert_int_equal(slots_check_record(key, slice_from("")), STATUS_CORRUPT);
    assert_int_equal(slots_check_record(slice_make(at, 20), slice_from("\3\1")), STATUS_CORRUPT);
    key = node_key(at, 7, MIDDLE >> 8);
    assert_int_equal(slots_check_record(key, slice_from("\3\1")), STATUS_CORRUPT);
    at[OBJECT_PREFIX_BYTES] = 'l';
    assert_int_equal(slots_check_record(slice_make(at, sizeof at), slice_from("\3\1")),
                     STATUS_CORRUPT);
    memory_store_end(&ms);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_slot_counts_one_more_or_none),
        TEST(a_wider_zone_needs_more_levels),
        TEST(uniform_nodes_have_no_record),
        TEST(a_full_root_is_taken_in_by_the_next_level),
        TEST(the_tree_says_what_an_array_says),
        TEST(changes_of_one_plan_follow_each_other),
        TEST(a_node_that_a_plan_deletes_is_empty_for_its_next_change),
        TEST(a_plan_without_memory_is_refused),
        TEST(damaged_nodes_are_refused),
        TEST(a_damaged_root_is_met_where_it_is_counted_or_sinks),
        TEST(a_slot_cannot_lose_what_it_has_not),
        TEST(a_record_is_told_from_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
