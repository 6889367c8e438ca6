/* SPDX-License-Identifier: MIT */
#include "resp/resp.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* In memory of its own, so that the sanitizer sees what is read behind its end. */
static bool skim(const char *text, size_t size, struct buffer *second, size_t *consumed)
{
    struct slice found;
    uint8_t *copy = memory_copy(text, size);
    bool is_whole = resp_skim(slice_make(copy, size), &found, consumed);
    buffer_clear(second);
    if (is_whole)
        buffer_append_slice(second, found);
    memory_free(copy);
    return is_whole;
}

static void a_whole_request_has_a_size_and_a_second_word(void **state)
{
    static const struct {
        const char *text, *second;
    } rows[] = {
        {"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "key"},
        {"*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\nv\r\n", "\r\n"},
        {"*1\r\n$4\r\nPING\r\n", ""},
        {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", ""},
    };
    struct buffer second = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t consumed, size = strlen(rows[i].text);
        assert_true(skim(rows[i].text, size, &second, &consumed));
        assert_int_equal(consumed, size);
        assert_true(slice_equal(buffer_slice(&second), slice_from(rows[i].second)));
        for (size_t cut = 0; cut < size; cut++)
            assert_false(skim(rows[i].text, cut, &second, &consumed));
    }
    buffer_release(&second);
}

static void what_is_no_plain_array_of_bulks_is_left_to_the_parser(void **state)
{
    static const char *const texts[] = {
        "GET key\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*65\r\n$1\r\na\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$-1\r\n",
        "*x\r\n",
        "*1\n$1\r\na\r\n",
        "*1\r\n$9999999999\r\na\r\n",
        "*1\r\n$999999999\r\na\r\n",
    };
    struct buffer second = {0};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t consumed;
        assert_false(skim(texts[i], strlen(texts[i]), &second, &consumed));
    }
    buffer_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_request_has_a_size_and_a_second_word),
        cmocka_unit_test(what_is_no_plain_array_of_bulks_is_left_to_the_parser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
