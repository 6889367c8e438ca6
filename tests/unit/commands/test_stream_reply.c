/* SPDX-License-Identifier: MIT */
/* Entries of streams as replies, byte for byte. */
#include "unit/commands/session_fixture.h"

#include <inttypes.h>

struct id {
    uint64_t ms, seq;
};

/* In order; where digits are added, and where the front of an ID is or is not the one before it. */
static const struct id ids[] = {
    {0, 1},
    {9, 9},
    {9999, 0},
    {9999, 999},
    {9999, 1000},
    {10000, 0},
    {10000, 9},
    {10000, 10},
    {10000, 99},
    {10000, 100},
    {10000, 999},
    {10000, 1000},
    {10001, 0},
    {19999, 5},
    {20000, 5},
    {99999999, 1},
    {100000000, 1},
    {100000000, UINT64_MAX},
    {1700000000000, 0},
    {1700000000007, 0},
    {1700000009999, 12},
    {1700000010000, 12},
    {9999999999999999, 3},
    {10000000000000000, 3},
    {UINT64_MAX - 1, 0},
    {UINT64_MAX, 999},
    {UINT64_MAX, UINT64_MAX},
};
enum { IDS = sizeof ids / sizeof *ids };

static void put_expected(struct buffer *out, struct id id, const char *name, const char *value)
{
    char text[64];
    int size = snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    buffer_printf(out, "*2\r\n$%d\r\n%s\r\n*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", size, text,
                  strlen(name), name, strlen(value), value);
}

static void expect_reply(struct session *session, const char *request,
                         const struct buffer *expected)
{
    session_output_consume(session, session_output(session).size);
    fixture_feed(session, request);
    struct slice given = session_output(session);
    assert_int_equal(given.size, expected->size);
    assert_memory_equal(given.data, expected->data, given.size);
}

static void ids_are_written_as_they_are(void **state)
{
    struct session_fixture *f = *state;
    struct buffer expected = {0};
    char request[128];
    for (size_t i = 0; i < IDS; i++) {
        snprintf(request, sizeof request, "XADD s %" PRIu64 "-%" PRIu64 " field value-%zu\r\n",
                 ids[i].ms, ids[i].seq, i);
        fixture_feed(f->a, request);
    }
    for (int reverse = 0; reverse < 2; reverse++) {
        buffer_clear(&expected);
        buffer_printf(&expected, "*%d\r\n", IDS);
        for (size_t i = 0; i < IDS; i++) {
            size_t place = reverse ? IDS - 1 - i : i;
            char value[32];
            snprintf(value, sizeof value, "value-%zu", place);
            put_expected(&expected, ids[place], "field", value);
        }
        expect_reply(f->a, reverse ? "XREVRANGE s + -\r\n" : "XRANGE s - +\r\n", &expected);
    }
    buffer_release(&expected);
}

/* Every pair of sizes up to where sizes have two digits in the record, and a few beyond. */
static void fields_are_written_as_they_are(void **state)
{
    static const size_t sizes[] = {0,  1,  2,  3,   4,   7,   8,   9,    15,
                                   16, 17, 99, 100, 127, 128, 999, 1000, 20000};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    struct session_fixture *f = *state;
    struct buffer expected = {0}, text = {0};
    for (size_t i = 0; i < 20000; i++)
        buffer_append_byte(&text, (uint8_t)('a' + i % 26));
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            struct buffer request = {0};
            buffer_printf(&request, "*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$3\r\n7-7\r\n$%zu\r\n",
                          sizes[i]);
            buffer_append(&request, text.data, sizes[i]);
            buffer_printf(&request, "\r\n$%zu\r\n", sizes[j]);
            buffer_append(&request, text.data, sizes[j]);
            buffer_append_text(&request, "\r\nXREAD STREAMS s 0\r\nDEL s\r\n");
            buffer_clear(&expected);
            buffer_printf(
                &expected,
                "$3\r\n7-7\r\n*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n7-7\r\n*2\r\n$%zu\r\n",
                sizes[i]);
            buffer_append(&expected, text.data, sizes[i]);
            buffer_printf(&expected, "\r\n$%zu\r\n", sizes[j]);
            buffer_append(&expected, text.data, sizes[j]);
            buffer_append_text(&expected, "\r\n:1\r\n");
            buffer_append_byte(&request, 0);
            expect_reply(f->a, (const char *)request.data, &expected);
            buffer_release(&request);
        }
    }
    buffer_release(&expected);
    buffer_release(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(ids_are_written_as_they_are),
        TEST(fields_are_written_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
