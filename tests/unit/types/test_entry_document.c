/* SPDX-License-Identifier: MIT */
/* The example of a block of entries in src/types/ENCODING.md, byte by byte: its rows give its block and
 * dictionary, and these give the rows. */
#include "unit/types/entry_rows.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { DOCUMENT_BYTES_MAX = 1 << 20, FIELDS_MAX = 8 };

static struct entry_rows rows;

static char *read_document(void)
{
    const char *path = getenv("ENCODING_MD");
    FILE *file = fopen(path ? path : "src/types/ENCODING.md", "r");
    assert_non_null(file);
    char *text = calloc(1, DOCUMENT_BYTES_MAX);
    assert_true(fread(text, 1, DOCUMENT_BYTES_MAX - 1, file) > 0);
    fclose(file);
    return text;
}

/* "1 1090-0 5 late 80 | message: text | level: info" */
static void add_row(char *line)
{
    struct slice fields[2 * FIELDS_MAX];
    struct stream_record record = {.fields = fields};
    struct stream_id id;
    uint64_t object;
    char *rest = strstr(line, " | ");
    assert_non_null(rest);
    *rest = 0;
    assert_in_range(sscanf(line, "%" SCNu64 " %" SCNu64 "-%" SCNu64 " %" SCNu64 " late %" SCNu64,
                           &object, &id.ms, &id.seq, &record.ordinal, &record.late_ms),
                    4, 5);
    while (rest) {
        char *name = rest + 3, *value = strstr(name, ": ");
        assert_non_null(value);
        assert_true(record.field_count < FIELDS_MAX);
        fields[2 * record.field_count] = slice_make(name, (size_t)(value - name));
        rest = strstr(value, " | ");
        if (rest)
            *rest = 0;
        fields[2 * record.field_count++ + 1] = slice_from(value + 2);
    }
    entry_rows_add(&rows, object, id, &record);
}

/* Digits up to a comment; "|" and spaces are for the eye. */
static void append_hex(struct buffer *into, const char *line)
{
    char pair[3] = {0};
    size_t count = 0;
    for (; *line && *line != '#'; line++) {
        if (*line == ' ' || *line == '|')
            continue;
        pair[count++ % 2] = *line;
        if (count % 2 == 0)
            buffer_append_byte(into, (uint8_t)strtoul(pair, NULL, 16));
    }
    assert_int_equal(count % 2, 0);
}

static void expect_bytes(const struct buffer *found, const struct buffer *expected)
{
    for (size_t i = 0; i < found->size; i++)
        if (i >= expected->size || found->data[i] != expected->data[i])
            fprintf(stderr, "%zu: %02x\n", i, found->data[i]);
    assert_true(slice_equal(buffer_slice(found), buffer_slice(expected)));
}

static void check_block(const struct buffer *block, const struct buffer *dictionary)
{
    struct buffer found = {0};
    size_t memory_bytes;
    void *encoder = entry_codec.encoder_create(), *opened;
    bool matches;
    assert_true(entry_codec.encode(encoder, rows.list, rows.count, &found));
    expect_bytes(&found, block);
    buffer_clear(&found);
    entry_codec.finish(encoder, &found);
    expect_bytes(&found, dictionary);
    assert_int_equal(entry_codec.dictionary_open(buffer_slice(dictionary), &opened, &memory_bytes),
                     STATUS_OK);
    assert_int_equal(
        entry_rows_decode(&rows, opened, buffer_slice(block), rows.raw_bytes, &matches), STATUS_OK);
    assert_true(matches);
    entry_codec.dictionary_close(opened);
    entry_codec.encoder_destroy(encoder);
    buffer_release(&found);
}

static void the_worked_example_is_what_is_encoded(void **state)
{
    struct buffer block = {0}, dictionary = {0};
    char *text = read_document(), *end;
    (void)state;
    char *line = strstr(text, "<!-- example of a block of entries -->");
    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; strncmp(line, "<!-- end -->", 12) != 0; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        line += strspn(line, " ");
        if (strncmp(line, "> ", 2) == 0)
            add_row(line + 2);
        else if (strncmp(line, "block = ", 8) == 0)
            append_hex(&block, line + 8);
        else if (strncmp(line, "dictionary = ", 13) == 0)
            append_hex(&dictionary, line + 13);
    }
    assert_true(rows.count > 3);
    check_block(&block, &dictionary);
    entry_rows_clear(&rows);
    buffer_release(&block);
    buffer_release(&dictionary);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_is_what_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
