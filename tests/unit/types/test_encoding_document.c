/* SPDX-License-Identifier: MIT */
/* The worked example of src/types/ENCODING.md, byte by byte: its commands run on a new store, and
 * the trees hold exactly its records. */
#include "lib/memory_store.h"
#include "types/list.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct memory_store ms;

/* A word of a command; "x*70000" is so many x. */
static struct slice word_value(const char *word, struct buffer *into)
{
    size_t count = strlen(word) > 2 && word[1] == '*' ? strtoul(word + 2, NULL, 10) : 0;
    buffer_clear(into);
    for (size_t i = 0; i < count; i++)
        buffer_append_byte(into, (uint8_t)word[0]);
    if (count == 0)
        buffer_append_text(into, word);
    return buffer_slice(into);
}

static void run_set(struct slice key, struct slice value, const char *expire)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, key, &old);
    string_set(&ms.access, key, value, status ? NULL : &old,
               &(struct string_set_options){.expire_ms = expire ? strtoull(expire, NULL, 10) : 0});
}

static void ignore_element(void *context, struct slice value)
{
    (void)context;
    (void)value;
}

static void run_words(char **word, int count)
{
    static struct buffer value;
    uint64_t length;
    struct slice key = count > 1 ? slice_from(word[1]) : slice_make(NULL, 0);
    memory_store_write(&ms);
    if (strcmp(word[0], "SET") == 0) {
        run_set(key, word_value(word[2], &value), count > 4 ? word[4] : NULL);
    } else if (strcmp(word[0], "RPUSH") == 0 || strcmp(word[0], "LPUSH") == 0) {
        enum list_end end = word[0][0] == 'L' ? LIST_LEFT : LIST_RIGHT;
        for (int i = 2; i < count; i++) {
            struct slice element = word_value(word[i], &value);
            assert_int_equal(list_push(&ms.access, key, end, &element, 1, false, &length), 0);
        }
    } else if (strcmp(word[0], "LPOP") == 0) {
        assert_int_equal(list_pop(&ms.access, key, LIST_LEFT, 1,
                                  &(struct list_visitor){.element = ignore_element}),
                         0);
    } else if (strcmp(word[0], "LINSERT") == 0) {
        struct list_insertion insertion = {.is_before = strcmp(word[2], "BEFORE") == 0,
                                           .pivot = slice_from(word[3]),
                                           .value = slice_from(word[4])};
        assert_int_equal(list_insert(&ms.access, key, &insertion, &length), 0);
    } else if (strcmp(word[0], "LREM") == 0) {
        struct list_removal removal = {.count = atoi(word[2]), .value = slice_from(word[3])};
        assert_int_equal(list_remove(&ms.access, key, &removal, &length), 0);
    } else if (strcmp(word[0], "FLUSHDB") == 0) {
        assert_int_equal(keyspace_flush(&ms.access, (unsigned)atoi(word[1])), 0);
    } else {
        fail_msg("unknown command %s", word[0]);
    }
    memory_store_end(&ms);
    buffer_release(&value);
}

static void run_command(char *line)
{
    char *word[16];
    int count = 0;
    for (char *at = strtok(line, " "); at && count < 16; at = strtok(NULL, " "))
        word[count++] = at;
    run_words(word, count);
}

/* "keys 0000 01 = 78*3 # text" becomes "000001 = 787878\n". */
static void append_record(struct buffer *into, const char *line)
{
    for (const char *at = line; *at && *at != '#'; at++) {
        if (*at == '=') {
            buffer_append_text(into, " = ");
        } else if (*at == '*') {
            unsigned long count = strtoul(at + 1, (char **)&at, 10) - 1;
            uint8_t pair[2] = {into->data[into->size - 2], into->data[into->size - 1]};
            for (; count > 0; count--)
                buffer_append(into, pair, 2);
            at--;
        } else if (*at != ' ') {
            buffer_append_byte(into, (uint8_t)*at);
        }
    }
    buffer_append_byte(into, '\n');
}

static char *read_document(void)
{
    const char *path = getenv("ENCODING_MD");
    FILE *file = fopen(path ? path : "src/types/ENCODING.md", "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
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
    buffer_release(expected);
}

static void the_worked_example_is_what_is_stored(void **state)
{
    static const char *const names[TREE_COUNT] = {"keys ", "parts ", "entries "};
    struct buffer expected[TREE_COUNT] = {{0}};
    char *text = read_document(), *end;
    (void)state;
    memory_store_open(&ms, &(struct store_options){0});
    char *line = strstr(text, "<!-- example of keys, strings and lists -->");
    assert_non_null(line);
    int commands = 0;
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
    assert_true(commands > 5);
    for (int tree = 0; tree < TREE_COUNT; tree++)
        expect_tree(tree, &expected[tree]);
    memory_store_release(&ms);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_is_what_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
