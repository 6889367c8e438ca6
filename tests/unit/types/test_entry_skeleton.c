/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include "base/random.h"
#include "types/entry_skeleton.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static struct skeleton skeleton;

/* A skeleton to be read: # decimal, h and H hex, 0x00 .. 0x04 escaped as ^0 .. ^4. */
static void append_readable(struct buffer *into, struct slice bytes)
{
    static const char marks[] = ".#hH";
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] == SKELETON_ESCAPE)
            buffer_printf(into, "^%c", '0' + bytes.data[++i] - SKELETON_ESCAPED);
        else
            buffer_append_byte(into,
                               bytes.data[i] < 4 ? (uint8_t)marks[bytes.data[i]] : bytes.data[i]);
    }
    buffer_append_byte(into, 0);
}

/* The text back, as a reader of blocks does it. */
static void append_joined(struct buffer *into, struct slice bytes)
{
    const struct skeleton_number *next = skeleton.numbers;
    uint8_t digits[NUMBER_DIGITS_MAX];
    const uint8_t *end = bytes.data + bytes.size;
    for (const uint8_t *at = bytes.data; at < end; at++) {
        size_t literal = skeleton_literal_bytes(at, end);
        buffer_append(into, at, literal);
        at += literal;
        if (at == end)
            break;
        if (*at == SKELETON_ESCAPE) {
            buffer_append_byte(into, *++at - SKELETON_ESCAPED);
            continue;
        }
        assert_int_equal(next->place, skeleton_place(bytes.data, at));
        size_t size = number_print((enum number_kind) * at, next++->number, digits);
        assert_true(size > 0);
        buffer_append(into, digits, size);
    }
    assert_ptr_equal(next, skeleton.numbers + skeleton.number_count);
}

static void split(struct slice text)
{
    struct buffer joined = {0};
    skeleton.number_count = 0;
    skeleton_split(&skeleton, text);
    append_joined(&joined, skeleton_slice(&skeleton));
    assert_true(slice_equal(buffer_slice(&joined), text));
    buffer_release(&joined);
}

static void expect(const char *text, const char *readable)
{
    struct buffer found = {0};
    split(slice_from(text));
    append_readable(&found, skeleton_slice(&skeleton));
    assert_string_equal(found.data, readable);
    buffer_release(&found);
}

static void runs_of_digits_are_numbers(void **state)
{
    (void)state;
    expect("", "");
    expect("no number", "no number");
    expect("7", "#");
    expect("2015-07-29 17:41:44,747", "#-#-# #:#:#,#");
    expect("blk_-1608999687919862906 took 10ms", "blk_-# took #ms");
    expect("R02-M1-N0-C:J12-U11", "R#-M#-N#-C:J#-U#");
    expect("\xc3\xa4"
           "12\xc3\xa4",
           "\xc3\xa4#\xc3\xa4");
}

static void long_runs_are_taken_in_pieces(void **state)
{
    (void)state;
    expect("1234567890123456789", "#");
    expect("12345678901234567890", "##");
    expect("00000000000000000000000000000000000000", "##");
    expect("000000000000000000000000000000000000000", "###");
    expect("a000000000000f", "h");
    expect("a0000000000000f", "hh");
    expect("d41d8cd98f00b204e9800998ecf8427e", "hhh");
}

static void words_of_hex_digits_are_numbers(void **state)
{
    (void)state;
    expect("9f4ef63 de9265d", "h h");
    expect("550e8400-e29b-41d4-a716-446655440000", "h-h-h-h-#");
    expect("DEAD01, 0BEE", "H, H");
    expect("abcd1 1abcd", "h h");
    expect("1ab ab1 3dd", "#ab ab# #dd"); /* too short */
    expect("abcd feed", "abcd feed");     /* no digit */
    expect("ab12CD 12abG3", "ab#CD #abG#");
    expect("node12 task1a2b3 x1234", "node# task#a#b# x#");
    expect("\1abc1", "^1h");
}

static void what_follows_0x_is_hex(void **state)
{
    (void)state;
    expect("0x1 0xff 0x00FF 0x7f3a", "0xh 0xh 0xH 0xh");
    expect("0x", "#x");
    expect("0xg 0x1g 10x1 a0x1", "#xg #x#g #x# a#x#");
    expect("0X1f", "#X#f");
}

static void low_bytes_are_escaped(void **state)
{
    const uint8_t bytes[] = {0, 1, 2, 3, 4, 5, 16, 20, '1', 0};
    struct buffer found = {0};
    (void)state;
    split(slice_make(bytes, sizeof bytes));
    append_readable(&found, skeleton_slice(&skeleton));
    assert_string_equal(found.data, "^0^1^2^3^4\5\20\24#^0");
    buffer_release(&found);
}

static void places_go_by_what_stands_before(void **state)
{
    (void)state;
    expect("some user 1 and user 2", "some user # and user #");
    expect("another some user 3", "another some user #");
    split(slice_from("with the user 1, the user 2; no user 3"));
    assert_int_equal(skeleton.number_count, 3);
    assert_int_equal(skeleton.numbers[0].place, skeleton.numbers[1].place);
    assert_int_not_equal(skeleton.numbers[1].place, skeleton.numbers[2].place);
    assert_true(skeleton.numbers[2].place < NUMBER_CONTEXTS);
}

/* A long word is looked at once, not again for each of its digits. */
static void a_long_word_takes_no_square_of_its_length(void **state)
{
    struct buffer text = {0};
    (void)state;
    for (int i = 0; i < 1 << 19; i++)
        buffer_append(&text, "1a", 2);
    buffer_append_byte(&text, 'z');
    clock_t before = clock();
    split(buffer_slice(&text));
    assert_true(clock() - before < 10 * CLOCKS_PER_SEC);
    assert_int_equal(skeleton.number_count, 1 << 19);
    buffer_release(&text);
}

static void any_text_comes_back(void **state)
{
    static const char *const words[] = {"0x", "a",  "ff", "F", "1", "00", "z", " ",
                                        "-",  "\1", "G",  "9", "x", "0",  ".", "12345678901"};
    struct buffer text = {0};
    struct random random;
    (void)state;
    random_init(&random, test_seed());
    for (int i = 0; i < 20000; i++) {
        buffer_clear(&text);
        for (uint64_t left = random_below(&random, 30); left > 0; left--) {
            if (i % 3 == 0)
                buffer_append_byte(&text, (uint8_t)random_next(&random));
            else
                buffer_append_text(&text, words[random_below(&random, 16)]);
        }
        uint8_t *exact = malloc(text.size + 1); /* ASan sees what is read behind it */
        memcpy(exact + 1, text.data ? text.data : exact, text.size);
        split(slice_make(exact + 1, text.size));
        free(exact);
    }
    buffer_release(&text);
}

static int release(void **state)
{
    (void)state;
    skeleton_release(&skeleton);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_digits_are_numbers),
        cmocka_unit_test(long_runs_are_taken_in_pieces),
        cmocka_unit_test(words_of_hex_digits_are_numbers),
        cmocka_unit_test(what_follows_0x_is_hex),
        cmocka_unit_test(low_bytes_are_escaped),
        cmocka_unit_test(places_go_by_what_stands_before),
        cmocka_unit_test(a_long_word_takes_no_square_of_its_length),
        cmocka_unit_test(any_text_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
