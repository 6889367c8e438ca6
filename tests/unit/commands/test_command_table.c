/* SPDX-License-Identifier: MIT */
/* The table's own rules, finding by name, keys of a request, and its documents. */
#include "commands/command.h"
#include "commands/command_syntax.h"
#include "lib/resp_reply.h"

#include <ctype.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <strings.h>

#include <cmocka.h>

static const struct command *find(const char *name, const char *subcommand)
{
    return command_find(slice_from(name), slice_from(subcommand));
}

static void every_command_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_size; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", command_table[i].name);
        char *bar = strchr(name, '|');
        if (bar)
            *bar++ = '\0';
        assert_ptr_equal(find(name, bar ? bar : ""), &command_table[i]);
        for (char *at = name; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        assert_ptr_equal(find(name, bar ? bar : ""), &command_table[i]);
    }
}

/* What a pipeline says again is found without a look into the table; spellings may share a place. */
static void any_spelling_is_found_again(void **state)
{
    (void)state;
    const char *const spellings[] = {"get", "GET", "Get", "gEt", "set", "dEl", "XADD", "xadd"};
    enum { COUNT = sizeof spellings / sizeof spellings[0] };
    bool has_subcommands;
    for (int i = 0; i < 8 * COUNT; i++) {
        const char *spelling = spellings[(i ^ i >> 2) % COUNT];
        const struct command *found = command_find_top(slice_from(spelling), &has_subcommands);
        assert_non_null(found);
        assert_int_equal(strcasecmp(found->name, spelling), 0);
        assert_false(has_subcommands);
        assert_null(command_find_top(slice_from("gat"), &has_subcommands));
        assert_string_equal(command_find_top(slice_from("Client"), &has_subcommands)->name,
                            "client");
        assert_true(has_subcommands);
    }
}

static void unknown_names_are_not_found(void **state)
{
    (void)state;
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    assert_null(find("", ""));
    assert_null(find("nosuch", ""));
    assert_null(find("client|id", ""));
    assert_null(find("client", "nosuch"));
    assert_null(command_find(slice_make(long_name, sizeof long_name), slice_from("")));
    assert_null(command_find(slice_from("client"), slice_make(long_name, sizeof long_name)));
    assert_null(command_find(slice_make("get\0", 4), slice_from("")));
    assert_ptr_equal(find("get", "nosuch"), find("get", ""));
}

static void every_line_of_the_table_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        bool is_container = i + 1 < command_table_size && strchr(command_table[i + 1].name, '|') &&
                            !strchr(command->name, '|');
        print_message("%s\n", command->name);
        assert_true(command->arity != 0);
        assert_true(command->run || is_container);
        assert_true(command->group[0] && command->since[0] && command->summary[0]);
        assert_true(command->complexity[0] && command->categories[0] == '@');
        assert_true(command_syntax_is_valid(command->syntax));
        assert_int_not_equal(command->flags & (COMMAND_WRITE | COMMAND_READONLY),
                             COMMAND_WRITE | COMMAND_READONLY);
        bool is_fast = command->flags & COMMAND_FAST;
        assert_int_equal(is_fast, strstr(command->categories, "@fast") != NULL);
        if (!is_container)
            assert_int_equal(!is_fast, strstr(command->categories, "@slow") != NULL);
        if (command->flags & COMMAND_WRITE)
            assert_non_null(strstr(command->categories, "@write"));
        if (command->flags & COMMAND_READONLY)
            assert_non_null(strstr(command->categories, "@read"));
    }
}

struct keys {
    size_t indexes[8];
    size_t count;
};

static void note_key(void *context, size_t index)
{
    struct keys *keys = context;
    keys->indexes[keys->count++] = index;
}

/* The indexes of the keys, as digits; "-" when the arguments do not fit. */
static const char *keys_of(const char *const *words, size_t count)
{
    static char text[16];
    struct slice arguments[8];
    struct keys keys = {{0}, 0};
    for (size_t i = 0; i < count; i++)
        arguments[i] = slice_from(words[i]);
    const struct command *command =
        command_find(arguments[0], count > 1 ? arguments[1] : slice_from(""));
    assert_non_null(command);
    if (!command_each_key(command, arguments, count, note_key, &keys))
        return "-";
    for (size_t i = 0; i < keys.count; i++)
        text[i] = (char)('0' + keys.indexes[i]);
    text[keys.count] = '\0';
    return text;
}

static void keys_are_where_the_table_says(void **state)
{
    (void)state;
    assert_string_equal(keys_of((const char *[]){"get", "a"}, 2), "1");
    assert_string_equal(keys_of((const char *[]){"del", "a", "b", "c"}, 4), "123");
    assert_string_equal(keys_of((const char *[]){"rename", "a", "b"}, 3), "12");
    assert_string_equal(keys_of((const char *[]){"ping"}, 1), "-");
    assert_string_equal(
        keys_of((const char *[]){"xread", "count", "1", "streams", "a", "b", "0", "0"}, 8), "45");
    assert_string_equal(keys_of((const char *[]){"xread", "count", "1"}, 3), "-");
    assert_string_equal(keys_of((const char *[]){"xinfo", "stream", "a"}, 3), "2");
}

/* The arguments of COMMAND DOCS, shown. */
static const char *docs_of(const char *syntax)
{
    static struct buffer shown;
    struct buffer out = {0};
    struct resp_writer writer = {.out = &out, .protocol = 3};
    struct resp_reply reply = {0};
    size_t consumed = 0;
    command_syntax_reply(&writer, syntax);
    assert_int_equal(resp_reply_read(buffer_slice(&out), &reply, &consumed), REPLY_COMPLETE);
    assert_int_equal(consumed, out.size);
    buffer_clear(&shown);
    resp_reply_show(&reply, &shown);
    buffer_append_byte(&shown, 0);
    resp_reply_release(&reply);
    buffer_release(&out);
    return (const char *)shown.data;
}

static void syntax_becomes_a_tree_of_arguments(void **state)
{
    (void)state;
    assert_string_equal(docs_of(""), "[]");
    assert_string_equal(docs_of("key value"), "[{\"name\": \"key\", \"type\": \"key\"}, "
                                              "{\"name\": \"value\", \"type\": \"string\"}]");
    assert_string_equal(docs_of("[COUNT count]"),
                        "[{\"name\": \"count\", \"type\": \"integer\", \"token\": \"COUNT\", "
                        "\"flags\": ~[+optional]}]");
    assert_string_equal(docs_of("[GET]"), "[{\"name\": \"get\", \"type\": \"pure-token\", "
                                          "\"token\": \"GET\", \"flags\": ~[+optional]}]");
    assert_string_equal(docs_of("key [key ...]"),
                        "[{\"name\": \"key\", \"type\": \"key\"}, {\"name\": \"key\", \"type\": "
                        "\"key\", \"flags\": ~[+optional, +multiple]}]");
    assert_string_equal(docs_of("[<NX | EX seconds>]"),
                        "[{\"name\": \"nx\", \"type\": \"oneof\", \"flags\": ~[+optional], "
                        "\"arguments\": [{\"name\": \"nx\", \"type\": \"pure-token\", \"token\": "
                        "\"NX\"}, {\"name\": \"seconds\", \"type\": \"integer\", \"token\": "
                        "\"EX\"}]}]");
    assert_string_equal(docs_of("[a b]"),
                        "[{\"name\": \"a\", \"type\": \"block\", \"flags\": ~[+optional], "
                        "\"arguments\": [{\"name\": \"a\", \"type\": \"string\"}, {\"name\": "
                        "\"b\", \"type\": \"string\"}]}]");
}

static void brackets_must_match(void **state)
{
    (void)state;
    assert_true(command_syntax_is_valid("a [<b | c>] ..."));
    assert_false(command_syntax_is_valid("[a"));
    assert_false(command_syntax_is_valid("a]"));
    assert_false(command_syntax_is_valid("[a>"));
}

static void the_document_has_a_row_for_every_command(void **state)
{
    (void)state;
    struct buffer out = {0};
    size_t rows = 0;
    command_print_document(&out);
    buffer_append_byte(&out, 0);
    for (const char *at = (const char *)out.data; (at = strstr(at, "\n| `")); at++)
        rows++;
    assert_int_equal(rows, command_table_size);
    buffer_release(&out);
}

/* Arguments as numbers, as Redis's string2ll takes them. */
static void numbers_are_strict_decimals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "01",
                                      "-0",
                                      "1.0",
                                      "0x1",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "999999999999999999999"};
    int64_t value = 7;
    uint64_t number = 7;
    double real = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(slice_parse_integer(slice_from(bad[i]), &value));
    assert_int_equal(value, 7);
    assert_true(slice_parse_integer(slice_from("-9223372036854775808"), &value));
    assert_true(value == INT64_MIN);
    assert_true(slice_parse_integer(slice_from("9223372036854775807"), &value));
    assert_true(value == INT64_MAX);
    assert_true(slice_parse_integer(slice_from("0"), &value));
    assert_int_equal(value, 0);
    assert_true(slice_parse_unsigned(slice_from("18446744073709551615"), &number));
    assert_true(number == UINT64_MAX);
    assert_false(slice_parse_unsigned(slice_from("18446744073709551616"), &number));
    assert_true(slice_parse_double(slice_from("-1.5e3"), &real));
    assert_true(real == -1500);
    assert_false(slice_parse_double(slice_from("nan"), &real));
    assert_false(slice_parse_double(slice_from(" 1"), &real));
    assert_false(slice_parse_double(slice_from("1 "), &real));
    assert_false(slice_parse_double(slice_make("1\0", 2), &real));
    assert_false(slice_parse_double(slice_from(""), &real));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_found_by_its_name),
        cmocka_unit_test(any_spelling_is_found_again),
        cmocka_unit_test(unknown_names_are_not_found),
        cmocka_unit_test(every_line_of_the_table_is_complete),
        cmocka_unit_test(keys_are_where_the_table_says),
        cmocka_unit_test(syntax_becomes_a_tree_of_arguments),
        cmocka_unit_test(brackets_must_match),
        cmocka_unit_test(the_document_has_a_row_for_every_command),
        cmocka_unit_test(numbers_are_strict_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
