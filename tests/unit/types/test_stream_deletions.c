/* SPDX-License-Identifier: MIT */
#include "lib/memory_store.h"
#include "lib/seed.h"

#include "base/memory.h"
#include "base/random.h"
#include "types/stream_deletions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { MEMBERS_MAX = 4000 };

static struct memory_store ms;
static struct stream stream; /* by hand: only its header and prefix are used */
static uint64_t members[MEMBERS_MAX];
static size_t member_count;

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    ms.is_damaged = true; /* a stream without a header */
    stream = (struct stream){0};
    object_prefix_store(stream.prefix, 1, 77);
    member_count = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

/* A stream with these ordinals and nothing deleted. */
static void span(uint64_t first, uint64_t next)
{
    stream.header.first_ordinal = first;
    stream.header.next_ordinal = next;
    stream.header.length = next - first;
}

/* Ascending, none of them a member yet. */
static void insert(const uint64_t *ordinals, size_t count)
{
    memory_store_write(&ms);
    struct stream_deletions_plan plan = {0};
    assert_int_equal(stream_deletions_find(&ms.access, &stream, ordinals, count, &plan), STATUS_OK);
    stream_deletions_apply(&ms.access, &stream, &plan);
    stream_deletions_plan_release(&plan);
    memory_store_end(&ms);
    stream.header.length -= count;
    for (size_t i = 0; i < count; i++) {
        size_t at = member_count++;
        for (; at > 0 && members[at - 1] > ordinals[i]; at--)
            members[at] = members[at - 1];
        members[at] = ordinals[i];
    }
}

static size_t members_below(uint64_t ordinal)
{
    size_t count = 0;
    while (count < member_count && members[count] < ordinal)
        count++;
    return count;
}

static void check_count(uint64_t from, uint64_t to)
{
    uint64_t count;
    memory_store_read(&ms);
    assert_int_equal(stream_deletions_count(&ms.access, &stream, from, to, &count), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(count, members_below(to) - members_below(from));
}

static void check_select(uint64_t rank)
{
    uint64_t ordinal, expected = stream.header.first_ordinal + rank;
    for (size_t i = members_below(stream.header.first_ordinal);
         i < member_count && members[i] <= expected; i++)
        expected++;
    memory_store_read(&ms);
    assert_int_equal(stream_deletions_select(&ms.access, &stream, rank, &ordinal), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(ordinal, rank == stream.header.length ? stream.header.next_ordinal : expected);
}

static void an_empty_set_needs_no_record(void **state)
{
    (void)state;
    span(100, 5000);
    check_count(100, 5000);
    check_select(0);
    check_select(4899);
    check_select(4900);
    assert_int_equal(stream.header.deletion_levels, 0);
}

static void members_are_counted_over_leaves_and_nodes(void **state)
{
    (void)state;
    span(0, 300000);
    insert((uint64_t[]){0, 1, 1023, 1024, 65535, 65536, 70000, 299999}, 8);
    assert_int_equal(stream.header.deletion_levels, 3);
    const uint64_t edges[] = {0,     1,     2,     1023,  1024,   1025,   65535,
                              65536, 65537, 70000, 70001, 299999, 300000, 131072};
    for (size_t i = 0; i < 14; i++)
        for (size_t j = 0; j < 14; j++)
            if (edges[i] <= edges[j])
                check_count(edges[i], edges[j]);
    const uint64_t ranks[] = {0,     1,     1020,  1021,   1022,   65530,
                              65531, 65532, 69994, 299990, 299991, 299992};
    for (size_t i = 0; i < 12; i++)
        check_select(ranks[i]);
}

static void ordinals_behind_a_lone_leaf_are_selected(void **state)
{
    (void)state;
    span(0, 1169);
    insert((uint64_t[]){3, 500, 1023}, 3);
    assert_int_equal(stream.header.deletion_levels, 1);
    check_select(1020);
    check_select(1021);
    check_select(1137);
    check_select(1166);
}

static void whole_leaves_and_nodes_may_be_deleted(void **state)
{
    uint64_t ordinals[3072];
    (void)state;
    span(0, 200000);
    for (size_t i = 0; i < 3072; i++)
        ordinals[i] = 1024 + i;
    insert(ordinals, 3072);
    check_select(1023);
    check_select(1024);
    check_count(1000, 5000);
    insert((uint64_t[]){1023, 4096}, 2);
    check_select(1022);
    check_select(1023);
}

static void the_tree_grows_with_the_ordinals(void **state)
{
    (void)state;
    span(0, 1000);
    insert((uint64_t[]){3, 500}, 2);
    assert_int_equal(stream.header.deletion_levels, 1);
    span(0, (uint64_t)1 << 40);
    stream.header.length -= 2;
    insert((uint64_t[]){1000, 100000, ((uint64_t)1 << 39) + 7}, 3);
    assert_int_equal(stream.header.deletion_levels, 6);
    check_count(0, (uint64_t)1 << 40);
    check_count(4, 501);
    check_count(100000, ((uint64_t)1 << 39) + 8);
    check_select(2);
    check_select(3);
    check_select(498);
    check_select(99995);
    check_select(((uint64_t)1 << 39) + 2);
    check_select(((uint64_t)1 << 39) + 3);
}

/* The new levels count the old root also when the new ordinals lie beside it. */
static void a_tree_that_grows_sideways_counts_what_it_had(void **state)
{
    (void)state;
    span(0, 1000);
    insert((uint64_t[]){3, 500}, 2);
    span(0, 10000000);
    stream.header.length -= 2;
    insert((uint64_t[]){5000000, 5000001}, 2);
    assert_int_equal(stream.header.deletion_levels, 4);
    check_count(0, 10000000);
    check_count(0, 5000001);
    check_count(4, 5000002);
    check_select(0);
    check_select(3);
    check_select(498);
    check_select(4999997);
    check_select(4999998);
}

static size_t part_records(void)
{
    struct buffer dump = {0};
    size_t lines = 0;
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    return lines;
}

static void move_first(uint64_t first)
{
    uint64_t passed = members_below(first) - members_below(stream.header.first_ordinal);
    stream.header.length -= first - stream.header.first_ordinal - passed;
    stream.header.first_ordinal = first;
    memory_store_write(&ms);
    stream_deletions_reclaim(&ms.access, &stream);
    memory_store_end(&ms);
}

static void nodes_below_the_first_ordinal_are_given_back(void **state)
{
    (void)state;
    span(0, 1 << 20);
    for (uint64_t i = 0; i < 1000; i++)
        insert((uint64_t[]){i * 1024 + 5}, 1);
    size_t before = part_records();
    move_first(10 * 1024);
    assert_int_equal(part_records(), before);
    move_first(500 * 1024 + 3);
    assert_in_range(part_records(), 500, 520);
    check_count(500 * 1024 + 3, 1 << 20);
    check_select(0);
    check_select(1);
    check_select(2);
    check_select(2000);
    check_select(stream.header.length - 1);
    /* And beyond everything that the tree covers. */
    span((uint64_t)1 << 30, ((uint64_t)1 << 30) + 5000);
    memory_store_write(&ms);
    stream_deletions_reclaim(&ms.access, &stream);
    memory_store_end(&ms);
    insert((uint64_t[]){((uint64_t)1 << 30) + 10}, 1);
    check_select(9);
    check_select(10);
    check_select(4998);
    check_count((uint64_t)1 << 30, ((uint64_t)1 << 30) + 5000);
}

static void damaged_nodes_are_reported(void **state)
{
    uint8_t key[OBJECT_PREFIX_BYTES + 10];
    uint64_t number;
    (void)state;
    span(0, 1000);
    insert((uint64_t[]){5}, 1);
    memcpy(key, stream.prefix, OBJECT_PREFIX_BYTES);
    key[OBJECT_PREFIX_BYTES] = 'D';
    memset(key + OBJECT_PREFIX_BYTES + 1, 0, 9);
    const struct slice damaged[] = {slice_make("", 0), slice_make("\x05", 1),
                                    slice_make("\x80\x01", 2)};
    for (size_t i = 0; i < 3; i++) {
        memory_store_write(&ms);
        access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key), damaged[i]);
        memory_store_end(&ms);
        memory_store_read(&ms);
        assert_int_equal(stream_deletions_count(&ms.access, &stream, 0, 10, &number),
                         STATUS_CORRUPT);
        assert_int_equal(stream_deletions_select(&ms.access, &stream, 0, &number), STATUS_CORRUPT);
        memory_store_end(&ms);
    }
}

static void put_node(unsigned level, uint64_t index, const char *value, size_t size)
{
    uint8_t key[OBJECT_PREFIX_BYTES + 10];
    memcpy(key, stream.prefix, OBJECT_PREFIX_BYTES);
    key[OBJECT_PREFIX_BYTES] = 'D';
    key[OBJECT_PREFIX_BYTES + 1] = (uint8_t)level;
    be64_store(key + OBJECT_PREFIX_BYTES + 2, index);
    memory_store_write(&ms);
    access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key), slice_make(value, size));
    memory_store_end(&ms);
}

static enum status select_rank(uint64_t rank)
{
    uint64_t ordinal;
    memory_store_read(&ms);
    enum status status = stream_deletions_select(&ms.access, &stream, rank, &ordinal);
    memory_store_end(&ms);
    return status;
}

static enum status count_all(void)
{
    uint64_t count;
    memory_store_read(&ms);
    enum status status = stream_deletions_count(&ms.access, &stream, stream.header.first_ordinal,
                                                stream.header.next_ordinal, &count);
    memory_store_end(&ms);
    return status;
}

static void a_damaged_root_is_reported(void **state)
{
    static const struct slice damaged[] = {
        {(const uint8_t *)"\x40\1", 2},   /* no such child */
        {(const uint8_t *)"\1\1\0\1", 4}, /* children out of order */
        {(const uint8_t *)"\0\0", 2},     /* an empty child */
        {(const uint8_t *)"\0", 1},       /* the count is missing */
    };
    (void)state;
    span(0, 5000);
    insert((uint64_t[]){5, 3000}, 2);
    assert_int_equal(stream.header.deletion_levels, 2);
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        put_node(1, 0, (const char *)damaged[i].data, damaged[i].size);
        assert_int_equal(count_all(), STATUS_CORRUPT);
        assert_int_equal(select_rank(4000), STATUS_CORRUPT);
    }
}

static void counts_that_contradict_each_other_are_reported(void **state)
{
    (void)state;
    span(0, 5000);
    insert((uint64_t[]){5, 3000}, 2);
    put_node(1, 0, "\0\x81\x08\2\1", 5); /* 1025 deleted of the first 1024 */
    assert_int_equal(select_rank(0), STATUS_CORRUPT);
    put_node(1, 0, "\0\x80\x08\2\x80\x40\4\x80\x40", 9); /* 17408 deleted of 5000 */
    assert_int_equal(count_all(), STATUS_CORRUPT);
    put_node(1, 0, "\2\1", 2); /* none below 1024; but the leaf has one */
    put_node(0, 0, "\0\xff\xff", 3);
    assert_int_equal(select_rank(1023), STATUS_CORRUPT);
    put_node(1, 0, "\0\x10\2\1", 4); /* sound again */
    assert_int_equal(select_rank(1023), STATUS_OK);
    /* The root hides all that the stream has: what is selected lies behind its end. */
    put_node(1, 0, "\0\x80\x08\1\x80\x08\2\x80\x08\3\x80\x08\4\x80\x08", 15);
    assert_int_equal(select_rank(0), STATUS_CORRUPT);
    /* More deleted below the first ordinal than there are ordinals. */
    stream.header.first_ordinal = 1024;
    put_node(1, 0, "\0\x81\x08\2\1", 5);
    assert_int_equal(select_rank(0), STATUS_CORRUPT);
    /* Fewer below the end than below the first one. */
    stream.header.first_ordinal = 3500;
    stream.header.next_ordinal = 3600;
    put_node(1, 0, "\2\1", 2);
    put_node(0, 3, "\x35\xff\xff", 3);
    assert_int_equal(count_all(), STATUS_OK);
    stream.header.next_ordinal = (uint64_t)1 << 17; /* beyond the tree: the root alone is asked */
    put_node(0, 3, "\0\xff\xff", 3);
    assert_int_equal(count_all(), STATUS_CORRUPT);
}

static void all_children_of_a_full_root_lie_before_what_is_selected(void **state)
{
    (void)state;
    span(0, 100000);
    insert((uint64_t[]){5, 3000}, 2);
    assert_int_equal(stream.header.deletion_levels, 2);
    check_select(65536 - 2);
    check_select(65536);
    check_select(99997);
}

static void a_set_is_what_a_sorted_array_would_be(void **state)
{
    struct random rng;
    (void)state;
    random_init(&rng, test_seed());
    uint64_t next = 1 + random_below(&rng, 5000);
    span(0, next);
    for (int step = 0; step < 400 && member_count + 20 < MEMBERS_MAX; step++) {
        uint64_t ordinals[16];
        size_t count = 0;
        uint64_t at =
            stream.header.first_ordinal + random_below(&rng, next - stream.header.first_ordinal);
        for (size_t i = 0; i < 16 && at < next; i++, at += 1 + random_below(&rng, 3000))
            if (members_below(at) == members_below(at + 1))
                ordinals[count++] = at;
        if (count < stream.header.length)
            insert(ordinals, count);
        uint64_t from = stream.header.first_ordinal;
        from += random_below(&rng, next - from);
        check_count(from, from + random_below(&rng, next - from + 1));
        check_select(random_below(&rng, stream.header.length + 1));
        if (random_below(&rng, 8) == 0 && from > stream.header.first_ordinal &&
            stream.header.length - (from - stream.header.first_ordinal) < stream.header.length)
            move_first(from);
        uint64_t more =
            random_below(&rng, 4) ? 1 : random_below(&rng, (uint64_t)1 << random_below(&rng, 24));
        next += more;
        stream.header.next_ordinal = next;
        stream.header.length += more;
    }
}

/* The nodes to be are collected before the first is written. */
static void a_large_change_without_memory_is_refused(void **state)
{
    (void)state;
    enum { LEAVES = 600, LEAF = 1024 };
    uint64_t ordinals[2 * LEAVES];
    struct stream_deletions_plan plan = {0};
    span(0, LEAVES * LEAF);
    for (uint64_t i = 0; i < LEAVES; i++) { /* a leaf's first and last: all of its bytes count */
        ordinals[2 * i] = i * LEAF;
        ordinals[2 * i + 1] = i * LEAF + LEAF - 1;
    }
    memory_store_write(&ms);
    memory_fail_try(1, true);
    assert_int_equal(stream_deletions_find(&ms.access, &stream, ordinals, 2 * LEAVES, &plan),
                     STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    stream_deletions_plan_release(&plan);
    memory_store_end(&ms);
    assert_int_equal(stream.header.deletion_levels, 0);
    insert(ordinals, 2 * LEAVES);
    check_count(0, LEAVES * LEAF);
    check_select(LEAF - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(an_empty_set_needs_no_record),
        TEST(members_are_counted_over_leaves_and_nodes),
        TEST(ordinals_behind_a_lone_leaf_are_selected),
        TEST(whole_leaves_and_nodes_may_be_deleted),
        TEST(the_tree_grows_with_the_ordinals),
        TEST(a_tree_that_grows_sideways_counts_what_it_had),
        TEST(nodes_below_the_first_ordinal_are_given_back),
        TEST(damaged_nodes_are_reported),
        TEST(a_damaged_root_is_reported),
        TEST(counts_that_contradict_each_other_are_reported),
        TEST(all_children_of_a_full_root_lie_before_what_is_selected),
        TEST(a_set_is_what_a_sorted_array_would_be),
        TEST(a_large_change_without_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
