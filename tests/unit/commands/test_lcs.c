/* SPDX-License-Identifier: MIT */
/* Longest common subsequences against a table of lengths as the book has it. */
#include "commands/lcs.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { STEPS = 3000, BYTES_MAX = 60 };

static unsigned lengths[BYTES_MAX + 1][BYTES_MAX + 1];

static void fill_lengths(struct slice a, struct slice b)
{
    for (size_t i = 0; i <= a.size; i++)
        for (size_t j = 0; j <= b.size; j++) {
            if (i == 0 || j == 0)
                lengths[i][j] = 0;
            else if (a.data[i - 1] == b.data[j - 1])
                lengths[i][j] = lengths[i - 1][j - 1] + 1;
            else
                lengths[i][j] =
                    lengths[i - 1][j] > lengths[i][j - 1] ? lengths[i - 1][j] : lengths[i][j - 1];
        }
}

/* What the ranges must be, walked by the table, and what they are. */
struct ranges {
    struct lcs_range all[BYTES_MAX];
    size_t count;
};

static void note_range(void *context, const struct lcs_range *range)
{
    struct ranges *ranges = context;
    ranges->all[ranges->count++] = *range;
}

static void expect_ranges(struct slice a, struct slice b, struct ranges *expected)
{
    size_t i = a.size, j = b.size;
    struct lcs_range *open = NULL;
    while (i > 0 && j > 0) {
        if (a.data[i - 1] != b.data[j - 1]) {
            open = NULL;
            if (lengths[i - 1][j] > lengths[i][j - 1])
                i--;
            else
                j--;
            continue;
        }
        i--;
        j--;
        if (!open) {
            open = &expected->all[expected->count++];
            *open = (struct lcs_range){i, i, j, j};
        }
        open->a_first = i;
        open->b_first = j;
    }
}

static void check(struct slice a, struct slice b)
{
    struct buffer common = {0};
    struct ranges expected = {.count = 0}, found = {.count = 0};
    uint64_t length, at = 0;
    fill_lengths(a, b);
    expect_ranges(a, b, &expected);
    assert_int_equal(lcs_length(a, b, &length), STATUS_OK);
    assert_int_equal(length, lengths[a.size][b.size]);
    assert_int_equal(lcs_find(a, b, &common, note_range, &found), STATUS_OK);
    assert_int_equal(common.size, length);
    assert_int_equal(found.count, expected.count);
    for (size_t i = 0; i < found.count; i++)
        assert_memory_equal(&found.all[i], &expected.all[i], sizeof found.all[i]);
    for (size_t i = found.count; i-- > 0;) { /* the last one first */
        uint64_t size = found.all[i].a_last - found.all[i].a_first + 1;
        assert_memory_equal(a.data + found.all[i].a_first, b.data + found.all[i].b_first, size);
        assert_memory_equal(common.data + at, a.data + found.all[i].a_first, size);
        at += size;
    }
    assert_int_equal(at, length);
    buffer_clear(&common);
    assert_int_equal(lcs_find(a, b, &common, NULL, NULL), STATUS_OK);
    assert_int_equal(common.size, length);
    buffer_release(&common);
}

static void random_strings_have_what_the_table_says(void **state)
{
    struct random random;
    uint8_t bytes[2][BYTES_MAX];
    (void)state;
    random_init(&random, test_seed());
    for (int step = 0; step < STEPS; step++) {
        size_t sizes[2], letters = 1 + random_below(&random, 5);
        for (int n = 0; n < 2; n++) {
            sizes[n] = random_below(&random, BYTES_MAX + 1);
            for (size_t i = 0; i < sizes[n]; i++)
                bytes[n][i] = (uint8_t)('a' + random_below(&random, letters));
        }
        check(slice_make(bytes[0], sizes[0]), slice_make(bytes[1], sizes[1]));
    }
}

static void of_several_longest_ones_it_is_always_the_same(void **state)
{
    struct buffer common = {0};
    (void)state;
    assert_int_equal(lcs_find(slice_from("ab"), slice_from("ba"), &common, NULL, NULL), STATUS_OK);
    assert_true(
        slice_equal(buffer_slice(&common), slice_from("b"))); /* b's last byte is left out */
    buffer_clear(&common);
    assert_int_equal(lcs_find(slice_from("ohmytext"), slice_from("mynewtext"), &common, NULL, NULL),
                     STATUS_OK);
    assert_true(slice_equal(buffer_slice(&common), slice_from("mytext")));
    buffer_release(&common);
}

static void what_finds_no_memory_says_so(void **state)
{
    enum { LARGE = 300000 };
    static uint8_t a[LARGE], b[LARGE];
    struct buffer common = {0};
    uint64_t length;
    (void)state;
    memory_fail_try(1, true);
    assert_int_equal(lcs_length(slice_make(a, 20000), slice_make(b, LARGE), &length),
                     STATUS_NO_MEMORY);
    for (uint64_t n = 1; n <= 3; n++) { /* the row, the choices, the result */
        memory_fail_try(n, true);
        assert_int_equal(lcs_find(slice_make(a, 20000), slice_make(b, 20001), &common, NULL, NULL),
                         STATUS_NO_MEMORY);
        assert_int_equal(common.size, 0);
    }
    memory_fail_try(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_strings_have_what_the_table_says),
        cmocka_unit_test(of_several_longest_ones_it_is_always_the_same),
        cmocka_unit_test(what_finds_no_memory_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
