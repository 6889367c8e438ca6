/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include "base/random.h"
#include "types/stream_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { IN_HALF = 1 }; /* ordinals, and counts of entries, are below 2^63 */

static struct stream_header everything(void)
{
    return (struct stream_header){
        .next_ordinal = UINT64_MAX >> IN_HALF,
        .first_ordinal = 1000,
        .length = 5,
        .entries_added = 77,
        .last_id = STREAM_ID_MAX,
        .first_id = {1, UINT64_MAX},
        .max_deleted_id = STREAM_ID_MAX,
        .garbage_id = {1, 2},
        .garbage_ordinal = 0,
        .deletion_levels = 10,
        .deletion_reclaimed_leaf = UINT64_MAX,
        .late = {.count = UINT64_MAX >> IN_HALF,
                 .first_id = {1, 1},
                 .last_id = STREAM_ID_MAX,
                 .event_ms_min = 1,
                 .event_ms_max = UINT64_MAX,
                 .run_first_id = STREAM_ID_MAX,
                 .run_count = UINT64_MAX >> IN_HALF,
                 .run_records = UINT64_MAX >> IN_HALF},
    };
}

static size_t expect_round_trip(const struct stream_header *header)
{
    uint8_t bytes[STREAM_HEADER_BYTES_MAX], again[STREAM_HEADER_BYTES_MAX];
    struct stream_header decoded;
    size_t size = stream_header_encode(header, bytes);
    assert_int_equal(stream_header_decode(slice_make(bytes, size), &decoded), STATUS_OK);
    size_t levels = offsetof(struct stream_header, deletion_levels); /* padding follows it */
    size_t leaf = offsetof(struct stream_header, deletion_reclaimed_leaf);
    assert_memory_equal(&decoded, header, levels);
    assert_int_equal(decoded.deletion_levels, header->deletion_levels);
    assert_memory_equal((uint8_t *)&decoded + leaf, (const uint8_t *)header + leaf,
                        sizeof decoded - leaf);
    assert_int_equal(stream_header_encode(&decoded, again), size);
    assert_memory_equal(again, bytes, size);
    return size;
}

static void a_header_is_what_was_written(void **state)
{
    (void)state;
    struct stream_header empty = {0}, plain = {.next_ordinal = 3,
                                               .length = 3,
                                               .entries_added = 3,
                                               .first_id = {1526919030474, 0},
                                               .last_id = {1526919030500, 2}};
    plain.garbage_id = plain.first_id;
    struct stream_header full = everything();
    assert_int_equal(expect_round_trip(&empty), 5);
    assert_int_equal(expect_round_trip(&plain), 12);
    assert_in_range(expect_round_trip(&full), 100, STREAM_HEADER_BYTES_MAX);
}

static void a_cut_header_is_refused(void **state)
{
    uint8_t bytes[STREAM_HEADER_BYTES_MAX];
    struct stream_header full = everything(), decoded;
    (void)state;
    size_t size = stream_header_encode(&full, bytes);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(stream_header_decode(slice_make(bytes, cut), &decoded), STATUS_CORRUPT);
    bytes[size] = 0;
    assert_int_equal(stream_header_decode(slice_make(bytes, size + 1), &decoded), STATUS_CORRUPT);
}

static void flags_of_later_versions_are_refused(void **state)
{
    struct stream_header decoded;
    (void)state;
    assert_int_equal(stream_header_decode(slice_make("\x40\0\0\0\0", 5), &decoded), STATUS_CORRUPT);
    assert_int_equal(stream_header_decode(slice_make("\x80\0\0\0\0", 5), &decoded), STATUS_CORRUPT);
}

static void a_header_that_contradicts_itself_is_refused(void **state)
{
    /* flags | next ordinal | span | last ms, seq | first: ms below the last, seq ... */
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\0\1\2\5\0\0\0", 7},            /* more ordinals than were given */
        {"\0\1\1\5\0\0\1", 7},            /* the first ID above the last one */
        {"\0\1\1\5\0\6\0", 7},            /* a first ID before time began */
        {"\1\2\2\5\0\0\0\1", 8},          /* one deleted, and no set of deletions */
        {"\x11\2\2\5\0\0\0\2\1\0", 10},   /* all deleted */
        {"\x11\2\2\5\0\0\0\1\x0b\0", 10}, /* a set of 11 levels */
        {"\x08\2\1\5\0\0\0\2\0\0", 10},   /* more garbage than ordinals before the first */
        {"\x20\1\1\5\0\0\0\0", 8},        /* no late entry */
        {"\x20\1\1\5\0\0\0\1\0\1\0\0\1\1\0\0", 16}, /* the first late ID above the last */
        {"\x20\1\1\5\0\0\0\1\0\0\0\0\1\2\0\0", 16}, /* the lowest time above the highest */
    };
    struct stream_header decoded;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(stream_header_decode(slice_make(bad[i].bytes, bad[i].size), &decoded),
                         STATUS_CORRUPT);
    assert_int_equal(stream_header_decode(slice_make("\0\1\1\5\0\0\0", 7), &decoded), STATUS_OK);
    assert_int_equal(stream_header_decode(slice_make("\x11\2\2\5\0\0\0\1\1\0", 10), &decoded),
                     STATUS_OK);
    assert_int_equal(
        stream_header_decode(slice_make("\x20\1\1\5\0\0\0\1\0\0\0\0\2\1\0\0", 16), &decoded),
        STATUS_OK);
}

/* The same header in two forms would be two records. */
static void a_part_that_says_nothing_is_refused(void **state)
{
    struct stream_header decoded;
    (void)state;
    assert_int_equal(stream_header_decode(slice_make("\2\5\0\1\1\5", 6), &decoded),
                     STATUS_CORRUPT); /* entries-added: the next ordinal */
    assert_int_equal(stream_header_decode(slice_make("\4\5\0\1\1\1\0", 7), &decoded),
                     STATUS_CORRUPT); /* the highest deleted ID: 0-0 */
    assert_int_equal(stream_header_decode(slice_make("\6\5\0\1\1\6\0\0", 8), &decoded), STATUS_OK);
}

static void any_bytes_are_safe_to_decode(void **state)
{
    struct random rng;
    uint8_t bytes[STREAM_HEADER_BYTES_MAX];
    struct stream_header full = everything(), decoded;
    unsigned good = 0;
    (void)state;
    random_init(&rng, test_seed());
    size_t size = stream_header_encode(&full, bytes);
    for (int round = 0; round < 100000; round++) {
        uint8_t damaged[STREAM_HEADER_BYTES_MAX];
        memcpy(damaged, bytes, size);
        for (uint64_t i = random_below(&rng, 4); i > 0; i--)
            damaged[random_below(&rng, size)] = (uint8_t)random_next(&rng);
        if (stream_header_decode(
                slice_make(damaged, random_below(&rng, 8) ? size : random_below(&rng, size)),
                &decoded))
            continue;
        /* What is taken can be written again. */
        (void)stream_header_encode(&decoded, damaged);
        good++;
    }
    assert_true(good > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_what_was_written),
        cmocka_unit_test(a_cut_header_is_refused),
        cmocka_unit_test(flags_of_later_versions_are_refused),
        cmocka_unit_test(a_header_that_contradicts_itself_is_refused),
        cmocka_unit_test(a_part_that_says_nothing_is_refused),
        cmocka_unit_test(any_bytes_are_safe_to_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
