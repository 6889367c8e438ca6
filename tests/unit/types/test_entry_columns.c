/* SPDX-License-Identifier: MIT */
/* How a column is written; that it is read again is tested with whole blocks, in test_entry_codec.c. */
#include "base/memory.h"
#include "types/entry_columns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { VALUES = 200 };

static struct template_learner templates;
static struct column_writer *writer;
static char texts[VALUES][32];
static struct slice values[VALUES];

static int begin(void **state)
{
    (void)state;
    template_learner_init(&templates);
    writer = memory_zeroed(1, sizeof *writer);
    column_writer_init(writer, &templates);
    column_writer_begin(writer);
    return 0;
}

static int end(void **state)
{
    (void)state;
    column_writer_release(writer);
    memory_free(writer);
    template_learner_release(&templates);
    return 0;
}

/* `format` of a number each; `random` numbers cannot be predicted. */
static enum column_form write(uint32_t index, const char *format, bool random)
{
    for (unsigned i = 0; i < VALUES; i++) {
        snprintf(texts[i], sizeof texts[i], format, random ? (i * 2654435761u >> 16) % 10 : 7);
        values[i] = slice_from(texts[i]);
    }
    return column_write(writer, index, values, VALUES);
}

static void a_column_that_was_taken_back_leaves_no_trace(void **state)
{
    static struct number_context contexts[NUMBER_CONTEXTS];
    size_t sizes[SECTION_COUNT];
    (void)state;
    assert_int_equal(write(1, "user %u of", false), COLUMN_SPLIT);
    memcpy(contexts, writer->contexts, sizeof contexts);
    for (int i = 0; i < SECTION_COUNT; i++)
        sizes[i] = writer->sections[i].size;
    assert_int_equal(write(2, "%u", true), COLUMN_PLAIN);
    assert_memory_equal(contexts, writer->contexts, sizeof contexts);
    assert_int_equal(writer->sections[SECTION_CODES].size, sizes[SECTION_CODES]);
    assert_int_equal(writer->sections[SECTION_PAYLOAD].size, sizes[SECTION_PAYLOAD]);
    assert_int_equal(writer->sections[SECTION_TEMPLATES].size, sizes[SECTION_TEMPLATES] + VALUES);
    assert_int_equal(writer->sections[SECTION_TEXT].size, sizes[SECTION_TEXT] + VALUES);
}

static void columns_have_places_of_their_own(void **state)
{
    (void)state;
    write(1, "user %u of", false);
    size_t payload = writer->sections[SECTION_PAYLOAD].size;
    assert_int_equal(payload, 1);
    write(2, "user %u of", false);
    assert_int_equal(writer->sections[SECTION_PAYLOAD].size, 2 * payload);
}

static void predicted_digits_stay_split(void **state)
{
    (void)state;
    assert_int_equal(write(1, "7%u", false), COLUMN_SPLIT);
    assert_int_equal(write(2, "%u", true), COLUMN_PLAIN);
    assert_int_equal(write(3, "70%u", true), COLUMN_SPLIT);
}

static void a_new_block_knows_nothing_but_templates(void **state)
{
    (void)state;
    write(1, "user %u of", false);
    assert_int_equal(writer->sections[SECTION_TEXT].size, sizeof "user \1 of");
    column_writer_begin(writer);
    for (int i = 0; i < SECTION_COUNT; i++)
        assert_int_equal(writer->sections[i].size, 0);
    write(1, "user %u of", false);
    assert_int_equal(writer->sections[SECTION_TEXT].size, 0);
    assert_int_equal(writer->sections[SECTION_PAYLOAD].size, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_column_that_was_taken_back_leaves_no_trace, begin, end),
        cmocka_unit_test_setup_teardown(columns_have_places_of_their_own, begin, end),
        cmocka_unit_test_setup_teardown(predicted_digits_stay_split, begin, end),
        cmocka_unit_test_setup_teardown(a_new_block_knows_nothing_but_templates, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
