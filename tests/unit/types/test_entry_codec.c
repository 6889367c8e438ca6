/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"
#include "unit/types/entry_rows.h"

#include "base/coding.h"
#include "base/random.h"
#include "types/entry_columns.h"
#include "types/entry_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct entry_rows rows;
static void *encoder, *dictionary;
static struct buffer content;

static int begin(void **state)
{
    (void)state;
    encoder = entry_codec.encoder_create();
    return 0;
}

static int end(void **state)
{
    (void)state;
    entry_rows_clear(&rows);
    entry_codec.encoder_destroy(encoder);
    if (dictionary)
        entry_codec.dictionary_close(dictionary);
    dictionary = NULL;
    buffer_release(&content);
    return 0;
}

/* The dictionary of all blocks so far. */
static void open_dictionary(void)
{
    struct buffer bytes = {0};
    size_t memory_bytes;
    if (dictionary)
        entry_codec.dictionary_close(dictionary);
    dictionary = NULL;
    entry_codec.finish(encoder, &bytes);
    if (bytes.size > 0)
        assert_int_equal(
            entry_codec.dictionary_open(buffer_slice(&bytes), &dictionary, &memory_bytes), 0);
    buffer_release(&bytes);
}

static void expect_same(void)
{
    bool matches;
    open_dictionary();
    assert_int_equal(
        entry_rows_decode(&rows, dictionary, buffer_slice(&content), rows.raw_bytes, &matches),
        STATUS_OK);
    assert_true(matches);
    assert_int_equal(
        entry_rows_decode(&rows, dictionary, buffer_slice(&content), rows.raw_bytes - 1, &matches),
        STATUS_CORRUPT);
    assert_int_equal(entry_rows_decode_heads(&rows, dictionary, buffer_slice(&content),
                                             rows.raw_bytes, &matches),
                     STATUS_OK);
    assert_true(matches);
}

/* Encodes the rows, and reads them again; the size of the block. */
static size_t encode(void)
{
    buffer_clear(&content);
    assert_true(entry_codec.encode(encoder, rows.list, rows.count, &content));
    expect_same();
    return content.size;
}

static void expect_rows_serve_better(void)
{
    buffer_clear(&content);
    buffer_append_text(&content, "before");
    assert_false(entry_codec.encode(encoder, rows.list, rows.count, &content));
    assert_true(slice_equal(buffer_slice(&content), slice_from("before")));
}

#define ADD(...)                                                    \
    entry_rows_add_texts(&rows, (const char *const[]){__VA_ARGS__}, \
                         sizeof((const char *const[]){__VA_ARGS__}) / (2 * sizeof(char *)))

static void lines_that_differ_in_numbers_take_few_bytes(void **state)
{
    char line[128];
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        snprintf(line, sizeof line,
                 "2026-07-29 17:%02u:44,%03u INFO request %u from 10.0.0.%u took %ums", i / 60,
                 i * 37 % 1000, 100000 + i, i % 7, i * 13 % 100);
        ADD("message", line);
    }
    assert_true(encode() < 200 * 20);
    assert_true(encode() < 200 * 18); /* all of it is known by now */
}

static void short_values_that_repeat_take_next_to_nothing(void **state)
{
    static const char *const levels[] = {"INFO", "WARN", "INFO", "ERROR"};
    (void)state;
    for (unsigned i = 0; i < 400; i++)
        ADD("level", levels[i % 4], "host", "web-01.example.org", "status", "200");
    encode();
    size_t size = encode();
    assert_true(size < 400 * 6 + 100); /* ID, a byte a value, a code for each number */
}

/* The head joins the first. */
static void the_parts_of_a_block_are_its_sections(void **state)
{
    (void)state;
    struct block_parts parts = {.count = 0};
    for (unsigned i = 0; i < 50; i++) {
        char line[64];
        snprintf(line, sizeof line, "request %u of %08x", 1000 + i * i, i * 2654435761u);
        ADD("message", line, "level", i % 3 ? "info" : "error");
    }
    encode();
    struct entry_block_sizes sizes = entry_writer_sizes(encoder);
    size_t sum = 0;
    entry_codec.parts(encoder, &parts);
    assert_int_equal(parts.count, 2 + SECTION_COUNT);
    assert_int_equal(parts.sizes[0], sizes.shape);
    assert_int_equal(parts.sizes[1], sizes.ids);
    for (int i = 0; i < SECTION_COUNT; i++)
        assert_int_equal(parts.sizes[2 + i], sizes.columns[i]);
    for (size_t i = 0; i < parts.count; i++)
        sum += parts.sizes[i];
    assert_true(sum < content.size);
    assert_true(sum + 20 > content.size);
}

static void several_schemas_share_columns(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        ADD("message", "a line of some length, without a number", "level", "info");
        ADD("level", "warn", "message", "a line of some length, without a number");
        ADD("message", "a line of some length, without a number");
        ADD("a", "1", "a", "2", "a", "1"); /* a name may come again */
    }
    encode();
    struct entry_block_sizes sizes = entry_writer_sizes(encoder);
    assert_int_equal(content.data[0], ENTRY_BLOCK_FORMAT);
    assert_int_equal(content.data[3], 3); /* columns: message, level, a */
    assert_int_equal(content.data[4], 4); /* schemas */
    assert_int_equal(sizes.shape, 4 + (2 + 2) + (2 + 2) + (2 + 1) + (2 + 3) + 200);
}

static void more_than_255_schemas_and_columns_fit(void **state)
{
    char name[16], other[16];
    (void)state;
    for (unsigned i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "name %u", i);
        snprintf(other, sizeof other, "%u", i * 7 % 300);
        ADD(name, "the value of this field", other, "another value that is long enough");
    }
    encode();
    for (unsigned i = 0; i < 700; i++)
        ADD("name 5", "the value of this field");
    encode();
}

static void late_entries_and_kinds_come_back(void **state)
{
    const struct slice fields[] = {slice_from("message"), slice_from("a line that is long enough"),
                                   slice_from("n"), slice_from("12.50")};
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        uint8_t kinds[2] = {0, i % 5 == 0}; /* kinds that are all 0 are kept, too */
        entry_rows_add(&rows, 3, (struct stream_id){50000 + i, i % 3},
                       &(struct stream_record){.ordinal = i,
                                               .late_ms = i % 2 ? 40000 - 7 * i : 0,
                                               .fields = fields,
                                               .field_count = 2,
                                               .kinds = i % 3 ? kinds : NULL});
    }
    encode();
}

static void many_streams_share_a_block(void **state)
{
    const struct slice fields[] = {slice_from("message"), slice_from("started 17 workers")};
    (void)state;
    for (uint64_t i = 0; i < 600; i++)
        entry_rows_add(
            &rows, 1 + i / 3, (struct stream_id){1700000000000 + i, 0},
            &(struct stream_record){.ordinal = i % 3, .fields = fields, .field_count = 1});
    encode();
    assert_true(encode() < 600 * 5);
}

static void ordinals_that_are_missing_come_back(void **state)
{
    const struct slice fields[] = {slice_from("message"), slice_from("started 17 workers")};
    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        entry_rows_add(&rows, 1, (struct stream_id){1700000000000 + i, 0},
                       &(struct stream_record){.ordinal = i % 9 ? 2 * i : UINT64_MAX - i,
                                               .fields = fields,
                                               .field_count = 1});
    encode();
}

static void random_bytes_stay_as_they_are(void **state)
{
    struct random random;
    uint8_t bytes[200];
    (void)state;
    random_init(&random, 5);
    for (uint64_t i = 0; i < 50; i++) {
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (uint8_t)random_next(&random);
        const struct slice fields[] = {slice_from("b"), slice_make(bytes, sizeof bytes)};
        entry_rows_add(&rows, 1, (struct stream_id){i, 0},
                       &(struct stream_record){.ordinal = i, .fields = fields, .field_count = 1});
    }
    encode();
    assert_int_equal(entry_writer_sizes(encoder).columns[SECTION_TEXT], 50 * sizeof bytes + 1);
    assert_true(content.size < rows.raw_bytes - 50 * 25);
}

/* A digit is a byte; as a number it is three, unless it can be predicted. */
static void a_column_whose_numbers_are_not_predicted_is_plain(void **state)
{
    char digit[8];
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        snprintf(digit, sizeof digit, "%u", i * i * 7 % 11 % 10);
        ADD("digit", digit, "steady", "77", "message", "user 17 did that");
    }
    encode();
    encode();
    struct entry_block_sizes sizes = entry_writer_sizes(encoder);
    assert_memory_equal(content.data + content.size - sizes.columns[SECTION_TEXT] -
                            sizes.columns[SECTION_TEMPLATES] - sizes.columns[SECTION_PAYLOAD] -
                            sizes.columns[SECTION_CODES] - sizes.ids - sizes.shape,
                        "\0\1\0\0", 4); /* forms: names, digit, steady, message */
}

static void values_of_1_mib_come_back(void **state)
{
    struct buffer value = {0};
    struct random random;
    (void)state;
    random_init(&random, 6);
    while (value.size < 1 << 20)
        buffer_printf(&value, "%llu word ", (unsigned long long)random_below(&random, 1000));
    for (uint64_t i = 0; i < 3; i++) {
        const struct slice fields[] = {slice_from("m"), buffer_slice(&value)};
        entry_rows_add(&rows, 1, (struct stream_id){i, 0},
                       &(struct stream_record){.ordinal = i, .fields = fields, .field_count = 1});
    }
    encode();
    entry_rows_add_raw(&rows, rows.list[0].key, buffer_slice(&value));
    expect_rows_serve_better(); /* over 4 MiB */
    buffer_release(&value);
}

static void templates_up_to_the_last_are_named(void **state)
{
    char value[32];
    (void)state;
    for (unsigned i = 0; i < ENTRY_ROWS_MAX; i++) {
        unsigned word = i * 0x9e3779b9u;
        for (int at = 0; at < 8; at++, word >>= 4)
            value[at] = (char)('g' + (word & 15));
        value[8] = 0;
        ADD("v", value);
    }
    encode();
    encode(); /* the second sight */
    open_dictionary();
    assert_int_equal(((const struct template_dictionary *)dictionary)->count, TEMPLATE_COUNT_MAX);
    encode();
}

/* Where texts are few, rows may still be many times as large. */
static void no_more_than_what_is_allowed_is_told(void **state)
{
    bool matches;
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        ADD("a name of thirty-two characters!", "", "a name of thirty-two characters!", "",
            "a name of thirty-two characters!", "");
    encode();
    for (size_t max = 0; max < rows.raw_bytes; max++)
        assert_int_equal(
            entry_rows_decode(&rows, dictionary, buffer_slice(&content), max, &matches),
            STATUS_CORRUPT);
    entry_rows_clear(&rows);
    for (unsigned i = 0; i < 10; i++)
        ADD("m", "a text of some bytes, again and again, and 17 more");
    encode();
    for (size_t max = 0; max < rows.raw_bytes; max++)
        assert_int_equal(
            entry_rows_decode(&rows, dictionary, buffer_slice(&content), max, &matches),
            STATUS_CORRUPT);
}

static void empty_names_and_values_come_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        ADD("", "");
        ADD("", "", "", "", "x", "something that can be repeated");
    }
    encode();
}

static void rows_of_another_kind_stay_rows(void **state)
{
    static const struct {
        const char *value;
        size_t size;
    } others[] = {
        {"", 0},                 /* no flags */
        {"\4\0\1\1a\1b", 6},     /* unknown flags */
        {"\0\x80\0\1\1a\1b", 7}, /* ordinal not in its shortest form */
        {"\0\0\1\x81\0"
         "a\1b",
         7},
        {"\0\0\1\1a\1b!", 7}, /* something behind it */
        {"\0\0\2\1a\1b", 6},  /* fewer fields */
        {"\0\0\1\1a\2b", 6},  /* cut */
        {"\1\0\1\1a\1b", 5},
        {"\2\0\1", 3}, /* no kinds */
        {"\0\0", 2},
        {"\0", 1},
    };
    uint8_t key[STREAM_ENTRY_KEY_BYTES] = {0};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        entry_rows_clear(&rows);
        ADD("message", "a line of some length, without a number");
        entry_rows_add_raw(&rows, slice_make(key, sizeof key),
                           slice_make(others[i].value, others[i].size));
        expect_rows_serve_better();
    }
    entry_rows_clear(&rows);
    entry_rows_add_raw(&rows, slice_make(key, 5), slice_make("\0\0\1\1a\1b", 6));
    expect_rows_serve_better();
    entry_rows_clear(&rows);
    ADD("a", "b"); /* alone it is smaller as a row */
    expect_rows_serve_better();
    ADD("message", "a line of some length, without a number");
    ADD("message", "a line of some length, without a number");
    ADD("message", "a line of some length, without a number");
    encode(); /* what was refused left nothing behind */
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void add_mixed_rows(void)
{
    const struct slice late[] = {slice_from("message"), slice_from("late by 500 ms"),
                                 slice_from("n"), slice_from("1")};
    for (unsigned i = 0; i < 6; i++) {
        ADD("message", "user 0017 of 12ab34 logged in", "level", "info");
        ADD("message", "a \1 byte, 12345678901234567890 digits", "level", "warn");
        entry_rows_add(&rows, 1, (struct stream_id){1000 + 10 * rows.count, 0},
                       &(struct stream_record){.ordinal = rows.count,
                                               .late_ms = 500,
                                               .fields = late,
                                               .field_count = 2,
                                               .kinds = (const uint8_t *)"\0\1"});
    }
}

static void a_block_without_memory_is_not_decoded(void **state)
{
    bool matches;
    (void)state;
    add_mixed_rows();
    encode();
    uint64_t n = 1;
    for (enum status status = STATUS_NO_MEMORY; status != STATUS_OK; n++) {
        memory_fail_try(n, false);
        status =
            entry_rows_decode(&rows, dictionary, buffer_slice(&content), rows.raw_bytes, &matches);
        memory_fail_try(0, false);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
    }
    assert_true(matches);
    assert_true(n > 5);
}

/* What is cut anywhere is damaged; what was changed anywhere is, or gives other rows, or, where bits mean
 * nothing (padding of codes, a place that nothing refers to), the same. */
static void damaged_blocks_are_refused_or_give_rows(void **state)
{
    bool matches;
    (void)state;
    add_mixed_rows();
    encode();
    size_t size = content.size;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(entry_rows_decode(&rows, dictionary, slice_make(content.data, cut),
                                           rows.raw_bytes, &matches),
                         STATUS_CORRUPT);
    buffer_append_byte(&content, 0);
    assert_int_equal(
        entry_rows_decode(&rows, dictionary, buffer_slice(&content), rows.raw_bytes, &matches),
        STATUS_CORRUPT);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        content.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum status status =
            entry_rows_decode(&rows, dictionary, slice_make(content.data, size), 1 << 20, &matches);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        content.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(
        entry_rows_decode(&rows, NULL, slice_make(content.data, size), rows.raw_bytes, &matches),
        STATUS_CORRUPT); /* its templates are missing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(lines_that_differ_in_numbers_take_few_bytes),
        TEST(short_values_that_repeat_take_next_to_nothing),
        TEST(the_parts_of_a_block_are_its_sections),
        TEST(several_schemas_share_columns),
        TEST(more_than_255_schemas_and_columns_fit),
        TEST(late_entries_and_kinds_come_back),
        TEST(many_streams_share_a_block),
        TEST(ordinals_that_are_missing_come_back),
        TEST(random_bytes_stay_as_they_are),
        TEST(a_column_whose_numbers_are_not_predicted_is_plain),
        TEST(values_of_1_mib_come_back),
        TEST(templates_up_to_the_last_are_named),
        TEST(no_more_than_what_is_allowed_is_told),
        TEST(empty_names_and_values_come_back),
        TEST(rows_of_another_kind_stay_rows),
        TEST(a_block_without_memory_is_not_decoded),
        TEST(damaged_blocks_are_refused_or_give_rows),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
