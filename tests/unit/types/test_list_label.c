/* SPDX-License-Identifier: MIT */
#include "types/list_label.h"

#include "base/coding.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { COUNT = 5000 };

struct label {
    uint8_t bytes[LIST_LABEL_BYTES_MAX];
    size_t size;
};

static struct slice slice_of(const struct label *label)
{
    return slice_make(label->bytes, label->size);
}

/* From text in hex. */
static struct label make(const char *hex)
{
    struct label label = {.size = 0};
    unsigned byte;
    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        label.bytes[label.size++] = (uint8_t)byte;
    return label;
}

static void expect_label(const struct label *label)
{
    struct slice rest = slice_of(label), taken;
    assert_true(list_label_take(&rest, &taken));
    assert_int_equal(taken.size, label->size);
    assert_true(label->size > 0);
    assert_int_equal(rest.size, 0);
}

/* "b" NULL: none. */
static struct label between(const struct label *a, const struct label *b)
{
    struct label new;
    struct slice above = b ? slice_of(b) : slice_make(NULL, 0);
    assert_true(list_label_between(slice_of(a), b ? &above : NULL, new.bytes, &new.size));
    expect_label(&new);
    assert_true(slice_compare(slice_of(a), slice_of(&new)) < 0);
    assert_true(!b || slice_compare(slice_of(&new), above) < 0);
    return new;
}

static void expect_between(const char *a, const char *b, const char *expected)
{
    struct label low = make(a), high = make(b), wanted = make(expected);
    struct label new = between(&low, *b ? &high : NULL);
    assert_int_equal(new.size, wanted.size);
    assert_memory_equal(new.bytes, wanted.bytes, wanted.size);
}

static void a_label_lies_between_its_neighbours(void **state)
{
    (void)state;
    expect_between("", "", "80000000");
    expect_between("80000000", "", "80001000"); /* a step, where nothing is on the other side */
    expect_between("", "80000000", "7ffff000");
    expect_between("80000000", "80001000", "80000800");
    expect_between("80000000", "80000001", "8000000080000000");
    expect_between("8000000080000000", "80000001", "8000000080001000");
    expect_between("80000000", "8000000080000000", "800000007ffff000");
    expect_between("feffffff", "", "feffffff80000000");
    expect_between("", "01000001", "0100000080000000");
    expect_between("", "0100000080000000", "010000007ffff000");
    expect_between("0100000080000000", "01000001", "0100000080001000");
    expect_between("80000000feffffff", "80000001", "80000000feffffff80000000");
    expect_between("80000000", "80000002", "80000001");
    expect_between("fefffffe", "", "feffffff");
}

/* Many at random places of one slot: all different and in order, and none is long. */
static void labels_of_many_insertions_keep_their_order(void **state)
{
    struct label *labels = calloc(COUNT, sizeof *labels); /* as they were made */
    struct label **order = calloc(COUNT, sizeof *order);
    static const struct label none;
    struct random random;
    size_t longest = 0;
    (void)state;
    random_init(&random, test_seed());
    for (size_t count = 0; count < COUNT; count++) {
        size_t at = random_below(&random, count + 1);
        labels[count] = between(at > 0 ? order[at - 1] : &none, at < count ? order[at] : NULL);
        memmove(&order[at + 1], &order[at], (count - at) * sizeof *order);
        order[at] = &labels[count];
        longest = labels[count].size > longest ? labels[count].size : longest;
    }
    for (size_t i = 1; i < COUNT; i++)
        assert_true(slice_compare(slice_of(order[i - 1]), slice_of(order[i])) < 0);
    assert_true(longest <= 3 * LIST_LABEL_PART_BYTES);
    free(order);
    free(labels);
}

static void insertions_in_one_direction_stay_short(void **state)
{
    static const struct label none;
    (void)state;
    for (int is_up = 0; is_up < 2; is_up++) {
        struct label last = between(&none, NULL);
        for (int i = 0; i < 500000; i++)
            last = is_up ? between(&last, NULL) : between(&none, &last);
        assert_int_equal(last.size, LIST_LABEL_PART_BYTES);
        for (int i = 0; i < 500000; i++)
            last = is_up ? between(&last, NULL) : between(&none, &last);
        assert_int_equal(last.size, 2 * LIST_LABEL_PART_BYTES);
    }
}

/* Each between the last two: a part for every 13. */
static void nested_insertions_end_with_an_error(void **state)
{
    static const struct label none;
    struct label low = between(&none, NULL), high = between(&low, NULL), new;
    unsigned count = 0;
    (void)state;
    for (;; count++) {
        struct slice above = slice_of(&high);
        if (!list_label_between(slice_of(&low), &above, new.bytes, &new.size))
            break;
        expect_label(&new);
        assert_true(new.size <= (2 + count / 12) * LIST_LABEL_PART_BYTES);
        if (count % 2)
            low = new;
        else
            high = new;
    }
    assert_true(count > 12000);
}

static bool is_label(const char *hex, size_t taken)
{
    struct label label = make(hex);
    struct slice rest = slice_of(&label), found;
    bool is_one = list_label_take(&rest, &found);
    assert_true(!is_one || (found.size == taken && rest.size == label.size - taken));
    return is_one;
}

static void what_is_no_label_is_refused(void **state)
{
    (void)state;
    assert_true(is_label("", 0));
    assert_true(is_label("0000000001", 0)); /* a piece of the element without label */
    assert_true(is_label("80000000", 4));
    assert_true(is_label("80000000000000002a", 4));
    assert_true(is_label("0100000080000000", 8));
    assert_false(is_label("800000", 0));
    assert_false(is_label("8000000001", 0));
    assert_false(is_label("ff000000", 0));
    assert_false(is_label("01000000", 0)); /* nothing could be put before it */
    struct label label = {.size = LIST_LABEL_BYTES_MAX};
    memset(label.bytes, 0x80, sizeof label.bytes);
    expect_label(&label);
    uint8_t longer[LIST_LABEL_BYTES_MAX + 4];
    memset(longer, 0x80, sizeof longer);
    struct slice rest = slice_make(longer, sizeof longer), found;
    assert_false(list_label_take(&rest, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_label_lies_between_its_neighbours),
        cmocka_unit_test(labels_of_many_insertions_keep_their_order),
        cmocka_unit_test(insertions_in_one_direction_stay_short),
        cmocka_unit_test(nested_insertions_end_with_an_error),
        cmocka_unit_test(what_is_no_label_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
