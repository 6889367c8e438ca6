/* SPDX-License-Identifier: MIT */
#include "types/log_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { WORDS_MAX = 300 };

/* Splits at spaces, '_' in a word becomes a space. */
static size_t split(char *text, struct slice *words)
{
    size_t count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        for (char *c = word; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        words[count++] = slice_from(word);
    }
    return count;
}

static bool build(const char *predicates, struct log_filter *filter, char *text,
                  struct log_error *error)
{
    struct slice words[WORDS_MAX];
    size_t count = split(strcpy(text, predicates), words), at = 0, used;
    *filter = (struct log_filter){0};
    while (at < count) {
        if (!log_filter_take(filter, words + at, count - at, &used, error))
            return false;
        if (used == 0) {
            strcpy(error->text, "not a predicate");
            return false;
        }
        at += used;
    }
    return log_filter_compile(filter, error);
}

static bool passes_bytes(struct slice message, const char *level, const char *predicates,
                         struct slice wanted)
{
    struct log_filter filter;
    struct log_error error;
    char text[4096];
    struct buffer value = {0};
    struct stream_entry entry;
    uint8_t key[STREAM_ENTRY_KEY_BYTES] = {0};
    const struct slice fields[] = {
        slice_from("x"),     slice_from("message"), slice_from("message"), message,
        slice_from("level"), slice_from(level),     slice_from("message"), slice_from("second")};
    if (!build(predicates, &filter, text, &error))
        fail_msg("%s: %s", predicates, error.text);
    if (wanted.data)
        filter.terms[0].text = wanted;
    stream_record_encode(&(struct stream_record){.fields = fields, .field_count = 4}, &value);
    assert_int_equal(stream_entry_decode(slice_make(key, sizeof key), buffer_slice(&value), &entry),
                     STATUS_OK);
    bool result = log_filter_passes(&filter, &entry);
    buffer_release(&value);
    return result;
}

static bool passes(const char *message, const char *level, const char *predicates)
{
    return passes_bytes(slice_from(message), level, predicates, (struct slice){0});
}

static const char *error_of(const char *predicates)
{
    static struct log_error error;
    struct log_filter filter;
    char text[4096];
    assert_false(build(predicates, &filter, text, &error));
    return error.text;
}

static void no_predicate_lets_everything_pass(void **state)
{
    (void)state;
    assert_true(passes("a", "info", ""));
}

static void match_word_and_exact_look_at_the_first_message(void **state)
{
    (void)state;
    assert_true(passes("disk full", "info", "MATCH sk_fu"));
    assert_false(passes("disk full", "info", "MATCH Disk"));
    assert_false(passes("disk full", "info", "MATCH second"));
    assert_true(passes("disk full", "info", "NOCASE MATCH DISK"));
    assert_true(passes("disk full", "info", "WORD full"));
    assert_false(passes("disk fuller", "info", "WORD full"));
    assert_true(passes("fuller than full", "info", "WORD full"));
    assert_true(passes("a-full-b", "info", "WORD full"));
    assert_false(passes("a full_b", "info", "WORD full"));
    assert_true(passes("x Full.", "info", "NOCASE WORD full"));
    assert_true(passes("disk full", "info", "EXACT disk_full"));
    assert_false(passes("disk full!", "info", "EXACT disk_full"));
    assert_true(passes("Disk Full", "info", "NOCASE EXACT disk_full"));
}

static void a_nul_is_a_byte_like_any_other(void **state)
{
    (void)state;
    struct slice message = slice_make("x A\0b y", 7);
    assert_true(passes_bytes(message, "info", "NOCASE MATCH _", slice_make("a\0B", 3)));
    assert_false(passes_bytes(message, "info", "NOCASE MATCH _", slice_make("a\0c", 3)));
    assert_false(passes_bytes(message, "info", "NOCASE WORD _", slice_make("a\0C", 3)));
    assert_false(passes_bytes(message, "info", "NOCASE EXACT _", slice_make("X a\0B z", 7)));
    assert_false(passes_bytes(message, "info", "MATCH _", slice_make("A\0c", 3)));
}

static void an_entry_without_a_message_matches_nothing(void **state)
{
    struct log_filter filter;
    struct log_error error;
    char text[64];
    struct buffer value = {0};
    struct stream_entry entry;
    uint8_t key[STREAM_ENTRY_KEY_BYTES] = {0};
    const struct slice fields[] = {slice_from("text"), slice_from("disk full")};
    static const char *const never[] = {"MATCH disk", "WORD disk", "EXACT disk_full", "MATCH _",
                                        "LEVEL trace"};
    (void)state;
    stream_record_encode(&(struct stream_record){.fields = fields, .field_count = 1}, &value);
    assert_int_equal(stream_entry_decode(slice_make(key, sizeof key), buffer_slice(&value), &entry),
                     STATUS_OK);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        assert_true(build(never[i], &filter, text, &error));
        assert_false(log_filter_passes(&filter, &entry));
    }
    assert_true(build("NOT MATCH disk", &filter, text, &error));
    assert_true(log_filter_passes(&filter, &entry));
    buffer_release(&value);
}

static void where_no_arguments_are_left_no_predicate_is_taken(void **state)
{
    struct log_filter filter = {0};
    struct log_error error;
    size_t used = 7;
    (void)state;
    assert_true(log_filter_take(&filter, NULL, 0, &used, &error));
    assert_int_equal(used, 0);
    assert_int_equal(filter.count, 0);
}

static void levels_are_compared(void **state)
{
    (void)state;
    assert_true(passes("m", "error", "LEVEL warn"));
    assert_true(passes("m", "WARNING", "LEVEL >= warn"));
    assert_false(passes("m", "info", "LEVEL warn"));
    assert_true(passes("m", "info", "LEVEL <= notice"));
    assert_false(passes("m", "error", "LEVEL <= notice"));
    assert_true(passes("m", "3", "LEVEL = err"));
    assert_false(passes("m", "crit", "LEVEL = err"));
    assert_false(passes("m", "strange", "LEVEL trace"));
    assert_false(passes("m", "strange", "LEVEL <= emerg"));
}

static void operators_bind_as_they_should(void **state)
{
    (void)state;
    assert_true(passes("a b", "info", "MATCH a MATCH b"));
    assert_false(passes("a", "info", "MATCH a MATCH b"));
    assert_true(passes("a", "info", "MATCH a OR MATCH b AND MATCH c"));
    assert_false(passes("a", "info", "( MATCH a OR MATCH b ) AND MATCH c"));
    assert_true(passes("b c", "info", "( MATCH a OR MATCH b ) MATCH c"));
    assert_true(passes("b", "info", "NOT MATCH a"));
    assert_true(passes("a", "info", "NOT NOT MATCH a"));
    assert_false(passes("a b", "info", "NOT MATCH x AND NOT MATCH b"));
    assert_true(passes("a", "info", "NOT ( MATCH b OR MATCH c )"));
    assert_true(passes("a", "info", "NOT MATCH b NOT MATCH c"));
    assert_true(passes("b", "info", "MATCH x AND MATCH y OR MATCH b"));
    assert_true(passes("a", "error", "match a and level error or match b"));
}

static void malformed_filters_are_refused(void **state)
{
    (void)state;
    assert_string_equal(error_of("MATCH"), "syntax error");
    assert_string_equal(error_of("LEVEL"), "syntax error");
    assert_string_equal(error_of("LEVEL >="), "syntax error");
    assert_string_equal(error_of("LEVEL fatl"), "unknown level 'fatl'");
    assert_string_equal(error_of("AND MATCH a"), "syntax error");
    assert_string_equal(error_of("MATCH a OR"), "syntax error");
    assert_string_equal(error_of("MATCH a AND OR MATCH b"), "syntax error");
    assert_string_equal(error_of("( MATCH a"), "syntax error");
    assert_string_equal(error_of("MATCH a )"), "syntax error");
    assert_string_equal(error_of("( )"), "syntax error");
    assert_string_equal(error_of("NOT"), "syntax error");
    assert_string_equal(error_of("MATCH a NOCASE"), "syntax error");
    assert_string_equal(error_of("NOCASE NOCASE MATCH a"), "syntax error");
    assert_string_equal(error_of("NOCASE LEVEL info"), "NOCASE goes before MATCH, WORD or EXACT");
    assert_string_equal(error_of("GLOB x"), "not a predicate");
}

static void the_number_of_terms_is_bounded(void **state)
{
    char text[2048] = "";
    (void)state;
    for (int i = 0; i < 32; i++)
        strcat(text, "MATCH a ");
    assert_true(passes("a", "info", text));
    strcat(text, "MATCH a ");
    assert_string_equal(error_of(text), "too many predicates");
    strcpy(text, "");
    for (int i = 0; i < 63; i++)
        strcat(text, "NOT ");
    strcat(text, "MATCH a");
    assert_false(passes("a", "info", text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_predicate_lets_everything_pass),
        cmocka_unit_test(match_word_and_exact_look_at_the_first_message),
        cmocka_unit_test(a_nul_is_a_byte_like_any_other),
        cmocka_unit_test(an_entry_without_a_message_matches_nothing),
        cmocka_unit_test(where_no_arguments_are_left_no_predicate_is_taken),
        cmocka_unit_test(levels_are_compared),
        cmocka_unit_test(operators_bind_as_they_should),
        cmocka_unit_test(malformed_filters_are_refused),
        cmocka_unit_test(the_number_of_terms_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
