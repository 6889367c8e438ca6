/* SPDX-License-Identifier: MIT */
/* The reader, as a table of text in, text out; each request also cut in two at every byte, and fed
 * byte by byte from memory that moves. */
#include "resp/resp.h"

#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct resp_limits default_limits = {
    .bulk_bytes_max = 512 << 20,
    .inline_bytes_max = 64 << 10,
    .arguments_max = 1 << 20,
    .authenticated = true,
};

/* "2:[GET][k]" for a request, "!text" for an error, "?" for a partial one, "closed" for a browser.
 */
static void show(enum resp_result result, const struct resp_request *request, struct buffer *text)
{
    buffer_clear(text);
    if (result == RESP_PARTIAL) {
        buffer_append_text(text, "?");
    } else if (result == RESP_BAD) {
        buffer_printf(text, "%s%s", request->error ? "!" : "closed",
                      request->error ? request->error : "");
    } else {
        buffer_printf(text, "%zu:", request->count);
        for (size_t i = 0; i < request->count; i++) {
            buffer_append_text(text, "[");
            buffer_append_slice(text, request->arguments[i]);
            buffer_append_text(text, "]");
        }
    }
    buffer_append_byte(text, 0);
}

/* Parses growing prefixes of the input, `step` bytes more each time after `first`, each in a copy
 * of its own so that a stale pointer is found by the sanitizer. */
static void parse_in_steps(struct slice input, const struct resp_limits *limits, size_t first,
                           size_t step, struct buffer *text, size_t *consumed)
{
    struct resp_request request = {0};
    uint8_t *copy = NULL;
    enum resp_result result = RESP_PARTIAL;

    *consumed = 0;
    for (size_t size = first; result == RESP_PARTIAL; size += step) {
        if (size > input.size)
            size = input.size;
        uint8_t *next = memory_allocate(size + 1);
        memcpy(next, input.data, size);
        memory_free(copy);
        copy = next;
        result = resp_parse(slice_make(copy, size), limits, &request, consumed);
        if (result == RESP_PARTIAL && request.bytes_needed)
            assert_true(request.bytes_needed > size);
        if (size == input.size)
            break;
    }
    show(result, &request, text);
    memory_free(copy);
    resp_request_release(&request);
}

static void check(const void *bytes, size_t size, const struct resp_limits *limits,
                  const char *expected, size_t expected_consumed)
{
    struct buffer text = {0};
    struct slice input = slice_make(bytes, size);
    size_t consumed;

    for (size_t first = 0; first <= size; first += 1 + size / 1000) {
        parse_in_steps(input, limits, first, size, &text, &consumed);
        assert_string_equal((char *)text.data, expected);
        assert_int_equal(consumed, expected_consumed);
    }
    parse_in_steps(input, limits, 0, 1 + size / 1000, &text, &consumed);
    assert_string_equal((char *)text.data, expected);
    assert_int_equal(consumed, expected_consumed);
    buffer_release(&text);
}

static void check_text(const char *input, const char *expected, size_t consumed)
{
    check(input, strlen(input), &default_limits, expected, consumed);
}

static void arrays_of_bulks_are_parsed(void **state)
{
    (void)state;
    check_text("*1\r\n$4\r\nPING\r\n", "1:[PING]", 14);
    check_text("*2\r\n$3\r\nGET\r\n$0\r\n\r\nrest", "2:[GET][]", 19);
    check_text("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nline\r\n\r\nline\r\n",
               "3:[SET][k][line\r\n\r\nline]", 39);
    check_text("*0\r\nx", "0:", 4);
    check_text("*-1\r\nx", "0:", 5);
    check_text("*2\r\n$1\r\na\r\n$1\r\n", "?", 0);
    check_text("*1\r\n$1\r\na\r", "?", 0);
    check_text("", "?", 0);
    /* The two bytes behind a length and a bulk are not looked at, as in Redis. */
    check_text("*1\rX$1\r\naXY", "1:[a]", 11);
}

static void arrays_that_break_the_protocol_are_named(void **state)
{
    (void)state;
    check_text("*x\r\n", "!invalid multibulk length", 0);
    check_text("*\r\n", "!invalid multibulk length", 0);
    check_text("*01\r\n", "!invalid multibulk length", 0);
    check_text("*+1\r\n", "!invalid multibulk length", 0);
    check_text("*-0\r\n", "!invalid multibulk length", 0);
    check_text("* 1\r\n", "!invalid multibulk length", 0);
    check_text("*1048577\r\n", "!invalid multibulk length", 0);
    check_text("*99999999999999999999\r\n", "!invalid multibulk length", 0);
    check_text("*1\r\n$-1\r\n", "!invalid bulk length", 0);
    check_text("*1\r\n$x\r\n", "!invalid bulk length", 0);
    check_text("*1\r\n$\r\n", "!invalid bulk length", 0);
    check_text("*1\r\n$536870913\r\n", "!invalid bulk length", 0);
    check_text("*1\r\n$18446744073709551617\r\n", "!invalid bulk length", 0);
    check_text("*2\r\n$1\r\na\r\n:5\r\n", "!expected '$', got ':'", 0);
    check_text("*1\r\nx\r\n", "!expected '$', got 'x'", 0);
    check_text("*1\r\n\r\n\r\n", "!expected '$', got '\r'", 0);
    check("*1\r\n\0\r\n", 7, &default_limits, "!expected '$', got ' '", 0);
}

static void endless_lines_are_refused(void **state)
{
    (void)state;
    size_t size = 70000;
    char *line = memory_allocate(size);

    memset(line, '1', size);
    check(line, size, &default_limits, "!too big inline request", 0);
    line[0] = '*';
    check(line, size, &default_limits, "!too big mbulk count string", 0);
    memcpy(line, "*1\r\n$", 5);
    check(line, size, &default_limits, "!too big bulk count string", 0);
    memset(line, 'x', size);
    line[65537] = '\n'; /* one too many, also when it comes in one piece */
    check(line, size, &default_limits, "!too big inline request", 0);
    memory_free(line);
}

static void the_longest_inline_request_is_accepted(void **state)
{
    (void)state;
    size_t size = (64 << 10) + 1, consumed = 0;
    char *line = memory_allocate(size);
    struct resp_request request = {0};

    memset(line, 'x', size);
    line[size - 1] = '\n';
    assert_int_equal(resp_parse(slice_make(line, size), &default_limits, &request, &consumed),
                     RESP_CONSUMED);
    assert_int_equal(consumed, size);
    assert_int_equal(request.count, 1);
    assert_int_equal(request.arguments[0].size, size - 1);
    resp_request_reset(&request);
    assert_int_equal(request.unquoted.capacity, 0);
    resp_request_release(&request);
    memory_free(line);
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    struct resp_limits limits = default_limits;

    limits.bulk_bytes_max = 3;
    limits.arguments_max = 2;
    check("*2\r\n$3\r\nabc\r\n$0\r\n\r\n", 19, &limits, "2:[abc][]", 19);
    check("*1\r\n$4\r\nabcd\r\n", 14, &limits, "!invalid bulk length", 0);
    check("*3\r\n", 4, &limits, "!invalid multibulk length", 0);
}

static void strangers_may_say_little(void **state)
{
    (void)state;
    struct resp_limits limits = default_limits;

    limits.authenticated = false;
    check("*11\r\n", 5, &limits, "!unauthenticated multibulk length", 0);
    check("*1\r\n$16385\r\n", 12, &limits, "!unauthenticated bulk length", 0);
    check("*10\r\n", 5, &limits, "?", 0);
    check("*1\r\n$16384\r\n", 12, &limits, "?", 0);
}

static void inline_commands_are_parsed(void **state)
{
    (void)state;
    check_text("PING\r\nx", "1:[PING]", 6);
    check_text("PING\n", "1:[PING]", 5);
    check_text("\r\n", "0:", 2);
    check_text("  \t \n", "0:", 5);
    check_text("  set  k\tv \r\n", "3:[set][k][v]", 13);
    check_text("set k \"a b\"\n", "3:[set][k][a b]", 12);
    check_text("set k \"\"\n", "3:[set][k][]", 9);
    check_text("set k ''\n", "3:[set][k][]", 9);
    check_text("echo \"\\x41\\n\\r\\t\\b\\a\\q\\\"\\\\\"\n", "2:[echo][A\n\r\t\b\aq\"\\]", 28);
    check_text("echo \"\\xg1\\x4\"\n", "2:[echo][xg1x4]", 15);
    check_text("echo 'a\\'b\\n\"'\n", "2:[echo][a'b\\n\"]", 15);
    check_text("echo a\"b c\"\n", "2:[echo][ab c]", 12);
    check_text("echo \"a\" \"b\"\n", "3:[echo][a][b]", 13);
    check_text("GET", "?", 0);
    check_text("posts\n", "1:[posts]", 6);
    check("echo a\0b c\n", 11, &default_limits, "2:[echo][a]", 11);
}

static void unbalanced_quotes_are_refused(void **state)
{
    (void)state;
    check_text("set \"k\n", "!unbalanced quotes in request", 0);
    check_text("set 'k\n", "!unbalanced quotes in request", 0);
    check_text("set \"k\"v\n", "!unbalanced quotes in request", 0);
    check_text("set 'k'v\n", "!unbalanced quotes in request", 0);
    check_text("set \"k\\\"\n", "!unbalanced quotes in request", 0);
    check_text("set \"k\\\n", "!unbalanced quotes in request", 0);
}

static void a_browser_is_closed_without_an_answer(void **state)
{
    (void)state;
    check_text("POST / HTTP/1.1\r\n", "closed", 0);
    check_text("post / HTTP/1.1\r\n", "closed", 0);
    check_text("Host: localhost\r\n", "closed", 0);
}

static void requests_follow_one_another_with_one_struct(void **state)
{
    (void)state;
    const char *text = "*1\r\n$1\r\na\r\nPING x\r\n*0\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n";
    const char *expected[] = {"1:[a]", "2:[PING][x]", "0:", "2:[b][c]"};
    struct slice input = slice_from(text);
    struct resp_request request = {0};
    struct buffer shown = {0};

    for (int i = 0; i < 4; i++) {
        size_t consumed = 0;
        enum resp_result result = resp_parse(input, &default_limits, &request, &consumed);
        show(result, &request, &shown);
        assert_string_equal((char *)shown.data, expected[i]);
        input = slice_skip(input, consumed);
    }
    assert_int_equal(input.size, 0);
    buffer_release(&shown);
    resp_request_release(&request);
}

static void a_large_request_is_not_scanned_again(void **state)
{
    (void)state;
    enum { ARGUMENTS = 5000 };
    struct buffer input = {0};
    struct resp_request request = {0};
    size_t consumed = 0;

    buffer_printf(&input, "*%d\r\n", ARGUMENTS);
    for (int i = 0; i < ARGUMENTS; i++)
        buffer_printf(&input, "$4\r\n%04d\r\n", i);
    assert_int_equal(
        resp_parse(slice_make(input.data, input.size - 1), &default_limits, &request, &consumed),
        RESP_PARTIAL);
    assert_int_equal(request.bytes_needed, input.size);
    /* All but the last bulk are behind us: what stands there is not read again. */
    memset(input.data, 'X', 1000);
    input.data[0] = '*';
    assert_int_equal(resp_parse(buffer_slice(&input), &default_limits, &request, &consumed),
                     RESP_CONSUMED);
    assert_int_equal(consumed, input.size);
    assert_int_equal(request.count, ARGUMENTS);
    assert_memory_equal(request.arguments[ARGUMENTS - 1].data, "4999", 4);
    assert_memory_equal(request.arguments[0].data, "XXXX", 4);
    resp_request_reset(&request);
    assert_int_equal(request.capacity, 0);
    resp_request_release(&request);
    buffer_release(&input);
}

static void a_reset_forgets_a_partial_request(void **state)
{
    (void)state;
    struct resp_request request = {0};
    size_t consumed = 0;

    assert_int_equal(
        resp_parse(slice_from("*2\r\n$1\r\na\r\n"), &default_limits, &request, &consumed),
        RESP_PARTIAL);
    resp_request_reset(&request);
    assert_int_equal(
        resp_parse(slice_from("*1\r\n$1\r\nb\r\n"), &default_limits, &request, &consumed),
        RESP_CONSUMED);
    assert_int_equal(request.count, 1);
    resp_request_release(&request);
}

/* Random requests, cut at random places, come out as they went in. */
static void random_requests_survive_any_cuts(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20240607;
    struct random random;
    struct buffer input = {0}, expected = {0}, shown = {0};

    print_message("SEED=%llu\n", (unsigned long long)seed);
    random_init(&random, seed);
    for (int round = 0; round < 500; round++) {
        size_t count = 1 + random_below(&random, 20), consumed;
        buffer_clear(&input);
        buffer_clear(&expected);
        buffer_printf(&input, "*%zu\r\n", count);
        buffer_printf(&expected, "%zu:", count);
        for (size_t i = 0; i < count; i++) {
            size_t size = random_below(&random, random_below(&random, 10) ? 12 : 300);
            buffer_printf(&input, "$%zu\r\n", size);
            buffer_append_text(&expected, "[");
            for (size_t j = 0; j < size; j++) {
                uint8_t byte = (uint8_t)("a\r\n$*\\\"9"[random_below(&random, 8)]);
                buffer_append_byte(&input, byte);
                buffer_append_byte(&expected, byte);
            }
            buffer_append_text(&input, "\r\n");
            buffer_append_text(&expected, "]");
        }
        buffer_append_byte(&expected, 0);
        parse_in_steps(buffer_slice(&input), &default_limits, random_below(&random, input.size),
                       1 + random_below(&random, 40), &shown, &consumed);
        assert_string_equal((char *)shown.data, (char *)expected.data);
        assert_int_equal(consumed, input.size);
    }
    buffer_release(&input);
    buffer_release(&expected);
    buffer_release(&shown);
}

/* The list of arguments is above MEMORY_SURE_BYTES from 4096 on. */
static void a_long_list_of_arguments_without_memory_is_told(void **state)
{
    (void)state;
    enum { WORDS = 5000 };
    struct buffer array = {0}, line = {0};
    buffer_printf(&array, "*%d\r\n", WORDS);
    for (int i = 0; i < WORDS; i++) {
        buffer_append_text(&array, "$1\r\na\r\n");
        buffer_append_text(&line, "a ");
    }
    buffer_append_text(&line, "\r\n");
    const struct buffer *inputs[] = {&array, &line};
    for (int i = 0; i < 2; i++) {
        struct resp_request request = {0};
        size_t consumed = 0;
        memory_fail_try(1, true);
        assert_int_equal(resp_parse(buffer_slice(inputs[i]), &default_limits, &request, &consumed),
                         RESP_NO_MEMORY);
        memory_fail_try(0, false);
        assert_int_equal(consumed, 0);
        resp_request_release(&request);
        assert_int_equal(resp_parse(buffer_slice(inputs[i]), &default_limits, &request, &consumed),
                         RESP_CONSUMED);
        assert_int_equal(request.count, WORDS);
        resp_request_release(&request);
    }
    buffer_release(&array);
    buffer_release(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_of_bulks_are_parsed),
        cmocka_unit_test(arrays_that_break_the_protocol_are_named),
        cmocka_unit_test(endless_lines_are_refused),
        cmocka_unit_test(the_longest_inline_request_is_accepted),
        cmocka_unit_test(limits_hold_at_their_edges),
        cmocka_unit_test(strangers_may_say_little),
        cmocka_unit_test(inline_commands_are_parsed),
        cmocka_unit_test(unbalanced_quotes_are_refused),
        cmocka_unit_test(a_browser_is_closed_without_an_answer),
        cmocka_unit_test(requests_follow_one_another_with_one_struct),
        cmocka_unit_test(a_large_request_is_not_scanned_again),
        cmocka_unit_test(a_reset_forgets_a_partial_request),
        cmocka_unit_test(random_requests_survive_any_cuts),
        cmocka_unit_test(a_long_list_of_arguments_without_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
