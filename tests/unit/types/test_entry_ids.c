/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include "base/random.h"
#include "types/entry_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct buffer bytes;
static struct entry_id written, was_read;

static int begin(void **state)
{
    (void)state;
    buffer_clear(&bytes);
    written = was_read = (struct entry_id){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    buffer_release(&bytes);
    return 0;
}

/* Writes one id behind the others, and reads it back; how many bytes it took. */
static size_t put(uint32_t generation, uint64_t object, uint64_t ms, uint64_t seq, uint64_t ordinal)
{
    struct entry_id id = {generation, object, {ms, seq}, ordinal, true};
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    size_t before = bytes.size;
    entry_id_write(&bytes, &written, &id);
    struct slice rest = slice_skip(buffer_slice(&bytes), before);
    assert_true(entry_id_read(&rest, &was_read));
    assert_int_equal(rest.size, 0);
    entry_id_store_key(&was_read, key);
    struct entry_id again = entry_id_make(key, was_read.ordinal);
    assert_int_equal(again.generation, generation);
    assert_true(again.object == object && again.id.ms == ms && again.id.seq == seq);
    assert_true(again.ordinal == ordinal);
    return bytes.size - before;
}

static void the_next_entry_takes_a_byte(void **state)
{
    (void)state;
    put(1, 5, 1700000000000, 0, 77);
    assert_int_equal(put(1, 5, 1700000000010, 0, 78), 1);
    assert_int_equal(put(1, 5, 1700000000010, 1, 79), 1);
    assert_int_equal(put(1, 5, 1700000000010, 2, 80), 1);
    assert_int_equal(put(1, 5, 1700000000073, 0, 81), 1);
    assert_int_equal(put(1, 5, 1700000000137, 0, 82), 2);
}

static void what_is_not_expected_is_written(void **state)
{
    (void)state;
    put(1, 5, 1000, 7, 0);
    assert_int_equal(put(1, 5, 1000, 9, 1), 3); /* flags, step, seq */
    assert_int_equal(put(1, 5, 1001, 4, 2), 3); /* flags, step, seq */
    assert_int_equal(put(1, 5, 1002, 0, 9), 3); /* flags, step, ordinal */
    assert_int_equal(put(1, 5, 1003, 1, 4), 4); /* flags, step, seq, ordinal */
    assert_int_equal(put(1, 5, 1003, 2, 5), 1);
}

static void another_stream_takes_few_bytes(void **state)
{
    (void)state;
    put(1, 5, 1700000000000, 0, 99);
    assert_int_equal(put(1, 6, 1700000000040, 0, 0), 3); /* flags, object, step */
    assert_int_equal(put(1, 7, 1700000000000, 0, 0), 3);
    assert_int_equal(put(1, 9, 1700000000000, 3, 60), 5);
    assert_int_equal(put(2, 1, 1700000000000, 0, 0), 4); /* flags, generation, object, step */
    assert_int_equal(put(9, 1, 0, 0, 0), 9);
}

static void the_widest_numbers_fit(void **state)
{
    (void)state;
    put(0, 0, 0, 0, 0);
    put(0, 0, UINT64_MAX / 2 + 1, 0, 1);
    put(0, 0, UINT64_MAX, 0, UINT64_MAX);
    put(0, 0, UINT64_MAX, UINT64_MAX, 0);
    put(0, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
    put(UINT32_MAX, 0, 0, 0, 5);
    put(UINT32_MAX, UINT64_MAX, 1, UINT64_MAX, 5);
    put(UINT32_MAX, UINT64_MAX, UINT64_MAX, 0, 5);
}

static void any_ids_come_back(void **state)
{
    struct random random;
    struct entry_id id = {.ordinal = 0};
    random_init(&random, test_seed());
    begin(state);
    for (int i = 0; i < 20000; i++) {
        uint64_t step = random_next(&random) >> (40 + random_below(&random, 24));
        switch (random_below(&random, 12)) {
        case 0:
            id.generation += 1 + (uint32_t)step;
            id.object = step;
            id.id = (struct stream_id){random_next(&random) >> 30, step};
            break;
        case 1:
            id.object += 1 + step;
            id.id = (struct stream_id){random_next(&random) >> 30, 0};
            break;
        case 2:
            id.id.seq += 1 + step;
            break;
        case 3:
            id.ordinal = random_next(&random);
            id.id.ms += 1 + step;
            break;
        default:
            id.id.ms += 1 + step;
            id.id.seq = step % 3;
        }
        put(id.generation, id.object, id.id.ms, id.id.seq, ++id.ordinal);
    }
}

/* Reads hex behind an entry 1/5/1000-7, ordinal 3, or, with `is_first`, at the beginning. */
static bool reads(bool is_first, const uint8_t *data, size_t size)
{
    struct entry_id id = {0};
    if (!is_first)
        id = (struct entry_id){1, 5, {1000, 7}, 3, true};
    struct slice input = slice_make(data, size);
    return entry_id_read(&input, &id);
}
#define READS(is_first, ...) \
    reads(is_first, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void damaged_ids_are_refused(void **state)
{
    (void)state;
    assert_false(reads(false, NULL, 0));
    assert_true(READS(false, 2));
    assert_false(READS(true, 2));           /* the first one needs all */
    assert_false(READS(true, 3, 5, 0));     /* ... a generation */
    assert_true(READS(true, 7, 1, 5, 0));   /* flags 3: both; object 5; ms 0 */
    assert_true(READS(true, 7, 0, 0, 0));   /* as 0/0/0-0 */
    assert_false(READS(false, 7, 0, 5, 0)); /* no other generation */
    assert_false(READS(false, 3, 0, 0));    /* no other object */
    assert_true(READS(false, 3, 1, 0));
    assert_false(READS(false, 5, 1, 0)); /* a generation without an object */
    assert_false(READS(false, 33, 1));   /* unknown flag */
    assert_false(READS(false, 3));       /* cut */
    assert_false(READS(false, 7, 1));
    assert_false(READS(false, 3, 1));
    assert_false(READS(false, 9, 1));
    assert_false(READS(false, 17, 1));
    assert_true(READS(false, 25, 1, 1, 1));
    /* over the ends of numbers: generation, object, ms, seq */
    assert_false(READS(false, 7, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0));
    assert_false(READS(false, 3, 0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0));
    assert_false(READS(false, 1, 0x98, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
    assert_false(READS(false, 9, 0, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
    assert_true(READS(false, 9, 0, 0xf7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
}

static void nothing_follows_the_last_id(void **state)
{
    struct entry_id id = {1, 5, {UINT64_MAX, UINT64_MAX}, 3, true};
    const uint8_t same_ms[] = {0}, flagged[] = {17, 0, 0}, next_ms[] = {2};
    struct slice input = slice_make(same_ms, 1);
    (void)state;
    assert_false(entry_id_read(&input, &id));
    input = slice_make(flagged, 3);
    assert_false(entry_id_read(&input, &id));
    input = slice_make(next_ms, 1);
    assert_false(entry_id_read(&input, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_next_entry_takes_a_byte, begin),
        cmocka_unit_test_setup(what_is_not_expected_is_written, begin),
        cmocka_unit_test_setup(another_stream_takes_few_bytes, begin),
        cmocka_unit_test_setup(the_widest_numbers_fit, begin),
        cmocka_unit_test_setup(any_ids_come_back, begin),
        cmocka_unit_test(damaged_ids_are_refused),
        cmocka_unit_test(nothing_follows_the_last_id),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
