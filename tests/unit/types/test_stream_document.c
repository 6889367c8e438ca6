/* SPDX-License-Identifier: MIT */
/* The example of streams and logs in src/types/ENCODING.md, byte by byte: its commands run on a new
 * store, and the trees hold exactly its records. */
#include "unit/types/stream_fixture.h"

#include <stdlib.h>

enum { DOCUMENT_BYTES_MAX = 1 << 20, WORDS_MAX = 16 };

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

static void run_xadd(char **word, int count)
{
    struct stream stream;
    struct slice fields[WORDS_MAX];
    struct stream_id id = make_id(word[2]);
    for (int i = 3; i < count; i++)
        fields[i - 3] = slice_from(word[i]);
    assert_int_equal(stream_find_or_new(&ms.access, slice_from(word[1]), &stream), STATUS_OK);
    assert_int_equal(stream_add(&ms.access, &stream, id,
                                &(struct stream_input){.fields = fields,
                                                       .field_count = (size_t)(count - 3) / 2,
                                                       .event_ms = id.ms},
                                &(struct stream_trim){0}),
                     STATUS_OK);
}

static void run_xdel(char **word)
{
    struct stream stream;
    struct stream_id id = make_id(word[2]);
    uint64_t removed;
    assert_int_equal(stream_find(&ms.access, slice_from(word[1]), &stream), STATUS_OK);
    assert_int_equal(stream_delete(&ms.access, &stream, &id, 1, &removed), STATUS_OK);
    assert_int_equal(removed, 1);
}

static void run_xtrim(char **word)
{
    struct stream stream;
    struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = strtoull(word[3], NULL, 10)};
    uint64_t removed;
    assert_int_equal(stream_find(&ms.access, slice_from(word[1]), &stream), STATUS_OK);
    assert_int_equal(stream_trim(&ms.access, &stream, &trim, &removed), STATUS_OK);
}

/* LOG.WRITE key TS time LEVEL level message [field json] */
static void run_log_write(char **word, int count)
{
    struct log_writer writer;
    const struct slice fields[] = {slice_from(count > 7 ? word[7] : ""),
                                   slice_from(count > 7 ? word[8] : "")};
    const uint8_t kinds[] = {STREAM_FIELD_JSON};
    assert_int_equal(log_write_begin(&ms.access, slice_from(word[1]), false, 1, &writer),
                     STATUS_OK);
    (void)log_write_line(&ms.access, &writer,
                         &(struct log_line){.message = slice_from(word[6]),
                                            .level = slice_from(word[5]),
                                            .has_time = true,
                                            .event_ms = strtoull(word[3], NULL, 10),
                                            .fields = fields,
                                            .field_count = count > 7,
                                            .kinds = count > 7 ? kinds : NULL});
    log_write_end(&ms.access, &writer);
}

static void run_command(char *line)
{
    char *word[WORDS_MAX];
    int count = 0;
    for (char *at = strtok(line, " "); at && count < WORDS_MAX; at = strtok(NULL, " "))
        word[count++] = at;
    memory_store_write(&ms);
    if (strcmp(word[0], "XADD") == 0)
        run_xadd(word, count);
    else if (strcmp(word[0], "XDEL") == 0)
        run_xdel(word);
    else if (strcmp(word[0], "XTRIM") == 0)
        run_xtrim(word);
    else if (strcmp(word[0], "LOG.WRITE") == 0)
        run_log_write(word, count);
    else
        fail_msg("unknown command %s", word[0]);
    memory_store_end(&ms);
}

/* "0000 01 = 78 # text" becomes "000001 = 78\n". */
static void append_record(struct buffer *into, const char *line)
{
    for (const char *at = line; *at && *at != '#'; at++) {
        if (*at == '=')
            buffer_append_text(into, " = ");
        else if (*at != ' ')
            buffer_append_byte(into, (uint8_t)*at);
    }
    buffer_append_byte(into, '\n');
}

static void expect_tree(enum store_tree tree, struct buffer *expected)
{
    struct buffer found = {0};
    memory_store_dump(&ms, tree, &found);
    buffer_append_byte(&found, 0);
    buffer_append_byte(expected, 0);
    if (strcmp((char *)found.data, (char *)expected->data) != 0)
        fprintf(stderr, "tree %d holds:\n%s", tree, (char *)found.data);
    assert_string_equal(found.data, expected->data);
    buffer_release(&found);
}

static void the_example_of_streams_is_what_is_stored(void **state)
{
    static const char *const names[TREE_COUNT] = {"keys ", "parts ", "entries "};
    struct buffer expected[TREE_COUNT] = {{0}};
    char *text = read_document(), *end;
    unsigned commands = 0;
    (void)state;
    char *line = strstr(text, "<!-- example of streams and logs -->");
    assert_non_null(line);
    for (line = strchr(line, '\n') + 1; strncmp(line, "<!-- end -->", 12) != 0; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        line += strspn(line, " ");
        for (int tree = 0; tree < TREE_COUNT; tree++)
            if (strncmp(line, names[tree], strlen(names[tree])) == 0)
                append_record(&expected[tree], line + strlen(names[tree]));
        if (line[0] == '>') {
            run_command(line + 1);
            commands++;
        }
    }
    assert_true(commands >= 5);
    for (int tree = 0; tree < TREE_COUNT; tree++) {
        expect_tree(tree, &expected[tree]);
        buffer_release(&expected[tree]);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_example_of_streams_is_what_is_stored, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
