/* SPDX-License-Identifier: MIT */
#include "lsm/filter.h"

#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static uint64_t hash_of(uint64_t number)
{
    return filter_hash(slice_make(&number, sizeof(number)), 0);
}

static void build(struct buffer *out, uint64_t keys, uint32_t bits_per_key)
{
    struct filter_builder builder = {0};
    for (uint64_t i = 0; i < keys; i++)
        filter_builder_add(&builder, hash_of(i));
    filter_builder_finish(&builder, bits_per_key, out);
    filter_builder_release(&builder);
}

static void filter_knows_every_key(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 10, 1000, 30000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (uint32_t bits = 1; bits <= FILTER_BITS_PER_KEY_MAX; bits += 3) {
            struct buffer out = {0};
            build(&out, counts[i], bits);
            assert_true(filter_is_sound(buffer_slice(&out)));
            for (uint64_t n = 0; n < counts[i]; n++)
                assert_true(filter_may_contain(buffer_slice(&out), hash_of(n)));
            buffer_release(&out);
        }
    }
}

/* The formula against the filter, and both against the promise: within a tenth. Keys are fixed, so
 * the outcome is too. */
static void false_positives_keep_the_promise(void **state)
{
    (void)state;
    enum { KEYS = 200000, PROBES = 2000000 };
    static const uint32_t bits[] = {6, 8, 10, 12};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        struct buffer out = {0};
        build(&out, KEYS, bits[i]);
        uint64_t wrong = 0;
        for (uint64_t n = 0; n < PROBES; n++)
            wrong += filter_may_contain(buffer_slice(&out), hash_of(KEYS + n));
        double rate = (double)wrong / PROBES, promised = filter_promised_rate(bits[i]);
        double lines = (double)(out.size - 2) / FILTER_LINE_BYTES;
        double formula = filter_rate(KEYS / lines, out.data[out.size - 2]);
        printf("%u bits a key: promised %.5f, formula %.5f, measured %.5f, %.2f bits used\n",
               bits[i], promised, formula, rate, (double)out.size * 8 / KEYS);
        assert_true(formula <= promised);
        assert_true(rate < promised * 1.1);
        assert_true(rate > promised * 0.9);
        buffer_release(&out);
    }
}

static void prefix_stands_for_the_key(void **state)
{
    (void)state;
    assert_int_equal(filter_hash(slice_from("abcdef"), 3), filter_hash(slice_from("abcxyz"), 3));
    assert_int_equal(filter_hash(slice_from("ab"), 3), filter_hash(slice_from("ab"), 0));
    assert_int_not_equal(filter_hash(slice_from("abcdef"), 0),
                         filter_hash(slice_from("abcxyz"), 0));
}

static void repeated_hashes_count_once(void **state)
{
    (void)state;
    struct filter_builder builder = {0};
    for (int i = 0; i < 1000; i++)
        filter_builder_add(&builder, 42);
    assert_int_equal(builder.count, 1);
    filter_builder_release(&builder);
}

static void malformed_filters_are_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    build(&out, 100, 10);
    assert_true(filter_is_sound(buffer_slice(&out)));
    for (size_t size = 0; size < out.size; size++)
        assert_false(filter_is_sound(slice_make(out.data, size)) && size % 64 != 2);
    uint8_t probes = out.data[out.size - 2];
    out.data[out.size - 2] = 0;
    assert_false(filter_is_sound(buffer_slice(&out)));
    out.data[out.size - 2] = 200;
    assert_false(filter_is_sound(buffer_slice(&out)));
    out.data[out.size - 2] = probes;
    out.data[out.size - 1] = 2; /* a layout of the future */
    assert_false(filter_is_sound(buffer_slice(&out)));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filter_knows_every_key),
        cmocka_unit_test(false_positives_keep_the_promise),
        cmocka_unit_test(prefix_stands_for_the_key),
        cmocka_unit_test(repeated_hashes_count_once),
        cmocka_unit_test(malformed_filters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
