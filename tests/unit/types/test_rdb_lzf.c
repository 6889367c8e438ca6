/* SPDX-License-Identifier: MIT */
#include "types/rdb_lzf.h"

#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* What it fills `size` bytes with; NULL: it does not. */
static const char *unpack(const char *packed, size_t packed_size, size_t size)
{
    static char bytes[1000];
    assert_true(size < sizeof bytes);
    memset(bytes, '?', sizeof bytes);
    bool done = lzf_unpack(slice_make(packed, packed_size), (uint8_t *)bytes, size);
    assert_int_equal(bytes[size], '?'); /* nothing behind */
    bytes[size] = 0;
    return done ? bytes : NULL;
}

static void literals_and_copies_of_both_lengths_come_out(void **state)
{
    char expected[400] = "";
    (void)state;
    assert_string_equal(unpack("", 0, 0), "");
    assert_string_equal(unpack("\2abc", 4, 3), "abc");
    assert_string_equal(unpack("\2abc\x40\x02", 6, 7), "abcabca"); /* 4 bytes from 3 before */
    assert_string_equal(unpack("\0a\x20\x00", 4, 4), "aaaa");      /* of what it writes itself */
    assert_string_equal(unpack("\0a\xe0\x00\x00", 5, 10), "aaaaaaaaaa"); /* the shortest long one */
    memset(expected, 'a', 265);
    assert_string_equal(unpack("\0a\xe0\xff\x00", 5, 265), expected);
    assert_string_equal(unpack("\0a\x20\x00\1xy", 7, 6), "aaaaxy");
}

static void what_does_not_fill_the_place_is_refused(void **state)
{
    static const struct {
        const char *packed;
        size_t packed_size, size;
    } bad[] = {
        {"", 0, 1},             /* too little */
        {"\2abc", 4, 2},        /* too much */
        {"\2abc", 4, 4},        /* too little */
        {"\2ab", 3, 3},         /* a literal that is cut */
        {"\0a\x20", 3, 4},      /* a copy without its distance */
        {"\0a\xe0", 3, 10},     /* ... and without its length */
        {"\0a\xe0\x00", 4, 10}, /* a long copy without its distance */
        {"\0a\x20\x01", 4, 4},  /* from before the beginning */
        {"\x20\x00", 2, 3},     /* of nothing */
        {"\0a\x20\x00", 4, 3},  /* a copy that is too long */
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(unpack(bad[i].packed, bad[i].packed_size, bad[i].size));
}

static void any_bytes_end(void **state)
{
    struct random random;
    char packed[40];
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 50000; round++) {
        size_t size = random_below(&random, sizeof packed);
        for (size_t i = 0; i < size; i++)
            packed[i] =
                (char)(random_below(&random, 2) ? random_below(&random, 4) : random_next(&random));
        (void)unpack(packed, size, random_below(&random, 300)); /* any result will do */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_copies_of_both_lengths_come_out),
        cmocka_unit_test(what_does_not_fill_the_place_is_refused),
        cmocka_unit_test(any_bytes_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
