/* SPDX-License-Identifier: MIT */
#include "base/coding.h"
#include "base/memory.h"
#include "types/entry_skeleton.h"
#include "types/entry_templates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct template_learner learner;
static struct template_dictionary *dictionary;
static struct buffer bytes;

static int begin(void **state)
{
    (void)state;
    template_learner_init(&learner);
    return 0;
}

static int end(void **state)
{
    (void)state;
    template_learner_release(&learner);
    template_dictionary_close(dictionary);
    dictionary = NULL;
    buffer_release(&bytes);
    return 0;
}

static enum status open_bytes(void)
{
    size_t memory_bytes;
    return template_dictionary_open(buffer_slice(&bytes), &dictionary, &memory_bytes);
}

static void expect_corrupt(const void *data, size_t size)
{
    struct template_dictionary *opened = NULL;
    uint8_t *exact = memory_copy(data, size);
    size_t memory_bytes = 7;
    assert_int_equal(template_dictionary_open(slice_make(exact, size), &opened, &memory_bytes),
                     STATUS_CORRUPT);
    assert_null(opened);
    assert_int_equal(memory_bytes, 7);
    memory_free(exact);
}

static void the_second_sight_makes_a_template(void **state)
{
    (void)state;
    assert_int_equal(template_learner_find(&learner, slice_from("user \1")), 0);
    assert_int_equal(template_learner_find(&learner, slice_from("user \1")), 1);
    assert_int_equal(template_learner_find(&learner, slice_from("user \1")), 1);
    assert_int_equal(template_learner_find(&learner, slice_from("")), 0);
    assert_int_equal(template_learner_find(&learner, slice_from("other")), 0);
    assert_int_equal(template_learner_find(&learner, slice_from("")), 2);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(bytes.size, 3 + 7 + 1);
    assert_memory_equal(bytes.data, "\1\2\0user \1\0\0", bytes.size);
}

static void nothing_learned_is_no_dictionary(void **state)
{
    (void)state;
    template_learner_find(&learner, slice_from("once"));
    template_learner_finish(&learner, &bytes);
    assert_int_equal(bytes.size, 0);
}

static void codes_become_patterns_at_their_second_sight(void **state)
{
    const struct slice codes = slice_from("\x88\x01"), others = slice_from("\x88\x01\x05");
    (void)state;
    assert_int_equal(template_learner_find(&learner, codes), 0); /* nothing but the same bytes */
    assert_int_equal(template_learner_find_pattern(&learner, codes), 0);
    assert_int_equal(template_learner_find_pattern(&learner, others), 0);
    assert_int_equal(template_learner_find_pattern(&learner, codes), 1);
    assert_int_equal(template_learner_find_pattern(&learner, others), 2);
    assert_int_equal(template_learner_find_pattern(&learner, codes), 1);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(bytes.size, 3 + 3 + 4);
    assert_memory_equal(bytes.data, "\1\0\2\2\x88\x01\3\x88\x01\x05", bytes.size);
    assert_int_equal(open_bytes(), STATUS_OK);
    assert_int_equal(dictionary->count, 0);
    assert_int_equal(dictionary->pattern_count, 2);
    assert_true(slice_equal(dictionary->patterns[0], codes));
    assert_true(slice_equal(dictionary->patterns[1], others));
}

static void patterns_are_bounded(void **state)
{
    uint8_t codes[PATTERN_BYTES_MAX + 1] = {0};
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(template_learner_find_pattern(&learner, slice_make(codes, sizeof codes)),
                         0);
    for (uint32_t i = 0; i < 2 * PATTERNS_BYTES_MAX / PATTERN_BYTES_MAX; i++) {
        le32_store(codes, i);
        template_learner_find_pattern(&learner, slice_make(codes, PATTERN_BYTES_MAX));
        template_learner_find_pattern(&learner, slice_make(codes, PATTERN_BYTES_MAX));
    }
    assert_in_range(learner.patterns.bytes.size, PATTERNS_BYTES_MAX - PATTERN_BYTES_MAX,
                    PATTERNS_BYTES_MAX);
    for (uint32_t i = 0; i < 3 * PATTERN_COUNT_MAX; i++) {
        le32_store(codes, i);
        template_learner_find_pattern(&learner, slice_make(codes, 4));
        template_learner_find_pattern(&learner, slice_make(codes, 4));
    }
    assert_in_range(learner.patterns.bytes.size, PATTERNS_BYTES_MAX - 3, PATTERNS_BYTES_MAX);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(open_bytes(), STATUS_OK);
}

static void no_more_than_8160_patterns_are_learned(void **state)
{
    uint8_t codes[4];
    (void)state;
    for (uint32_t i = 0; i < 3 * PATTERN_COUNT_MAX; i++) {
        le32_store(codes, i * 2654435761u);
        template_learner_find_pattern(&learner, slice_make(codes, 4));
        template_learner_find_pattern(&learner, slice_make(codes, 4));
    }
    assert_int_equal(learner.patterns.count, PATTERN_COUNT_MAX);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(open_bytes(), STATUS_OK);
}

static uint32_t learn_number(unsigned i)
{
    char text[16];
    snprintf(text, sizeof text, "%08x", i * 0x9e3779b9u);
    return template_learner_find(&learner, slice_from(text));
}

static void no_more_than_8160_templates_are_learned(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3 * TEMPLATE_COUNT_MAX; i++) {
        learn_number(i);
        learn_number(i);
    }
    assert_int_equal(learner.templates.count, TEMPLATE_COUNT_MAX);
    assert_int_equal(learn_number(0), 1);
    assert_int_equal(learn_number(2 * TEMPLATE_COUNT_MAX), 0);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(open_bytes(), STATUS_OK);
    assert_int_equal(dictionary->count, TEMPLATE_COUNT_MAX);
}

static void long_skeletons_are_not_learned(void **state)
{
    struct buffer text = {0};
    (void)state;
    for (int i = 0; i <= TEMPLATE_BYTES_MAX; i++)
        buffer_append_byte(&text, 'x');
    for (int i = 0; i < 3; i++)
        assert_int_equal(template_learner_find(&learner, buffer_slice(&text)), 0);
    text.size--;
    template_learner_find(&learner, buffer_slice(&text));
    for (uint32_t i = 0; i < 2u * TEMPLATES_BYTES_MAX / TEMPLATE_BYTES_MAX; i++) {
        le32_store(text.data, i * 2654435761u | 0x20202020u);
        template_learner_find(&learner, buffer_slice(&text));
        template_learner_find(&learner, buffer_slice(&text));
    }
    assert_int_equal(learner.templates.bytes.size, TEMPLATES_BYTES_MAX);
    template_learner_finish(&learner, &bytes);
    assert_int_equal(open_bytes(), STATUS_OK);
    buffer_release(&text);
}

static void a_dictionary_lists_numbers_and_literals(void **state)
{
    static const uint8_t stored[] = "\1\3\0at \1: \4\24 0x\2\0\0plain";
    size_t memory_bytes;
    (void)state;
    assert_int_equal(
        template_dictionary_open(slice_make(stored, sizeof stored), &dictionary, &memory_bytes),
        STATUS_OK);
    assert_true(memory_bytes > sizeof stored);
    assert_int_equal(dictionary->count, 3);
    const struct entry_template *first = &dictionary->templates[0];
    assert_int_equal(first->number_count, 2);
    assert_int_equal(first->literal_bytes, 9);
    assert_memory_equal(dictionary->literals + first->literals_at, "at : \4 0x", 9);
    const struct template_number *numbers = dictionary->numbers + first->numbers_at;
    assert_int_equal(numbers[0].literal_bytes, 3);
    assert_int_equal(numbers[0].kind, NUMBER_DECIMAL);
    assert_int_equal(numbers[1].literal_bytes, 6);
    assert_int_equal(numbers[1].kind, NUMBER_HEX_LOWER);
    assert_int_equal(numbers[1].place, skeleton_place(stored + 3, stored + 14));
    assert_int_equal(dictionary->templates[1].literal_bytes, 0);
    assert_int_equal(dictionary->templates[2].literal_bytes, 5);
    assert_int_equal(dictionary->templates[2].number_count, 0);
}

static void damaged_dictionaries_are_refused(void **state)
{
    (void)state;
    expect_corrupt("", 0);
    expect_corrupt("\2\1\0a", 5); /* unknown format */
    expect_corrupt("\1", 1);      /* no counts */
    expect_corrupt("\1\1", 2);
    expect_corrupt("\1\0\0", 3);      /* nothing in it */
    expect_corrupt("\1\2\0a", 5);     /* fewer than it says */
    expect_corrupt("\1\1\0a\0b", 7);  /* more than it says */
    expect_corrupt("\1\1\0a", 4);     /* no end */
    expect_corrupt("\1\1\0\4", 4);    /* half an escape */
    expect_corrupt("\1\1\0\4\17", 6); /* escapes of no such bytes */
    expect_corrupt("\1\1\0\4\25", 6);
    expect_corrupt("\1\xe1\x3f\0"
                   "a",
                   6); /* more than 8,160 */
    expect_corrupt("\1\0\xe1\x3f"
                   "a",
                   6);
    expect_corrupt("\1\0\1\1\x88", 5);     /* a pattern that is too short */
    expect_corrupt("\1\0\1\3\x88\x88", 6); /* cut */
    struct buffer large = {0};
    buffer_append(&large, "\1\1\0", 3);
    for (int i = 0; i <= TEMPLATE_BYTES_MAX; i++)
        buffer_append_byte(&large, 'x');
    buffer_append_byte(&large, 0);
    expect_corrupt(large.data, large.size);
    large.size = 0;
    buffer_append(&large, "\1\0\1\x80\2", 5); /* a pattern that is too long */
    for (int i = 0; i < PATTERN_BYTES_MAX + 1; i++)
        buffer_append_byte(&large, 0x88);
    expect_corrupt(large.data, large.size);
    large.size = 0;
    buffer_append(&large, "\1\2\0", 3); /* more than all may have together */
    for (int i = 0; i <= TEMPLATES_BYTES_MAX + PATTERNS_BYTES_MAX + 2; i++)
        buffer_append_byte(&large, 0);
    expect_corrupt(large.data, large.size);
    buffer_release(&large);
}

static void a_dictionary_without_memory_is_not_opened(void **state)
{
    static const uint8_t stored[] = "\1\1\0plain";
    size_t memory_bytes;
    (void)state;
    memory_fail_try(1, false);
    assert_int_equal(
        template_dictionary_open(slice_make(stored, sizeof stored), &dictionary, &memory_bytes),
        STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    assert_null(dictionary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_second_sight_makes_a_template, begin, end),
        cmocka_unit_test_setup_teardown(nothing_learned_is_no_dictionary, begin, end),
        cmocka_unit_test_setup_teardown(no_more_than_8160_templates_are_learned, begin, end),
        cmocka_unit_test_setup_teardown(codes_become_patterns_at_their_second_sight, begin, end),
        cmocka_unit_test_setup_teardown(patterns_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(no_more_than_8160_patterns_are_learned, begin, end),
        cmocka_unit_test_setup_teardown(long_skeletons_are_not_learned, begin, end),
        cmocka_unit_test_setup_teardown(a_dictionary_lists_numbers_and_literals, begin, end),
        cmocka_unit_test_setup_teardown(damaged_dictionaries_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_dictionary_without_memory_is_not_opened, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
