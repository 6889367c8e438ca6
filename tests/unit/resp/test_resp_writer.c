/* SPDX-License-Identifier: MIT */
/* The writer, byte for byte, in both protocols. */
#include "resp/resp.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct pair {
    struct buffer bytes2, bytes3;
    struct resp_writer two, three;
};

static int set_up(void **state)
{
    static struct pair pair;

    pair = (struct pair){0};
    pair.two = (struct resp_writer){&pair.bytes2, 2};
    pair.three = (struct resp_writer){&pair.bytes3, 3};
    *state = &pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;

    buffer_release(&pair->bytes2);
    buffer_release(&pair->bytes3);
    return 0;
}

static void expect(struct buffer *bytes, const char *text)
{
    buffer_append_byte(bytes, 0);
    assert_string_equal((char *)bytes->data, text);
    buffer_clear(bytes);
}

/* What both protocols were told is written as text2 and text3. */
static void expect_both(struct pair *pair, const char *text2, const char *text3)
{
    expect(&pair->bytes2, text2);
    expect(&pair->bytes3, text3);
}

#define BOTH(call, ...)                    \
    do {                                   \
        call(&pair->two, ##__VA_ARGS__);   \
        call(&pair->three, ##__VA_ARGS__); \
    } while (0)

static void texts_and_errors(void **state)
{
    struct pair *pair = *state;

    BOTH(resp_simple, "OK");
    expect_both(pair, "+OK\r\n", "+OK\r\n");
    BOTH(resp_error, "ERR two\r\nlines");
    expect_both(pair, "-ERR two  lines\r\n", "-ERR two  lines\r\n");
    BOTH(resp_errorf, "ERR %d of '%s'", 3, "a\nb");
    expect_both(pair, "-ERR 3 of 'a b'\r\n", "-ERR 3 of 'a b'\r\n");
}

static void integers_of_every_width(void **state)
{
    struct pair *pair = *state;
    char text[128];

    for (int width = 0; width < 19; width++) {
        int64_t power = 1;
        for (int i = 0; i < width; i++)
            power *= 10;
        for (int64_t value = power - 1; value <= power + 1; value++) {
            resp_integer(&pair->two, value);
            resp_integer(&pair->two, -value);
            resp_bulk_u64(&pair->two, (uint64_t)value);
            int digits = snprintf(NULL, 0, "%lld", (long long)value);
            snprintf(text, sizeof text, ":%lld\r\n:%lld\r\n$%d\r\n%lld\r\n", (long long)value,
                     (long long)-value, digits, (long long)value);
            expect(&pair->bytes2, text);
        }
    }
    resp_integer(&pair->two, INT64_MIN);
    resp_integer(&pair->two, INT64_MAX);
    resp_bulk_u64(&pair->two, UINT64_MAX);
    expect(&pair->bytes2,
           ":-9223372036854775808\r\n:9223372036854775807\r\n$20\r\n18446744073709551615\r\n");
}

static void bulks_and_nulls(void **state)
{
    struct pair *pair = *state;

    BOTH(resp_bulk, slice_make(NULL, 0));
    expect_both(pair, "$0\r\n\r\n", "$0\r\n\r\n");
    BOTH(resp_bulk_text, "twelve bytes");
    expect_both(pair, "$12\r\ntwelve bytes\r\n", "$12\r\ntwelve bytes\r\n");
    BOTH(resp_null);
    expect_both(pair, "$-1\r\n", "_\r\n");
    BOTH(resp_null_array);
    expect_both(pair, "*-1\r\n", "_\r\n");
}

/* Lengths that are ready made, and others; copies in place, and others. */
static void bulks_of_every_size(void **state)
{
    enum { SIZE_MAX_TRIED = 1100 };
    struct pair *pair = *state;
    uint8_t bytes[SIZE_MAX_TRIED];
    char header[16];

    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 7 + size);
        buffer_append_text(&pair->bytes2, "before");
        resp_bulk(&pair->two, slice_make(bytes, size));
        resp_array(&pair->two, size);
        size_t digits = (size_t)snprintf(header, sizeof header, "$%zu\r\n", size);
        struct slice written = slice_skip(buffer_slice(&pair->bytes2), sizeof "before" - 1);
        assert_int_equal(written.size, 2 * digits + size + 2);
        assert_memory_equal(written.data, header, digits);
        assert_memory_equal(written.data + digits, bytes, size);
        assert_memory_equal(written.data + digits + size, "\r\n*", 3);
        assert_memory_equal(written.data + digits + size + 3, header + 1, digits - 1);
        buffer_release(&pair->bytes2); /* room is exact again, for the sanitizer */
    }
}

static void types_of_resp3_fall_back_in_resp2(void **state)
{
    struct pair *pair = *state;

    BOTH(resp_boolean, true);
    BOTH(resp_boolean, false);
    expect_both(pair, ":1\r\n:0\r\n", "#t\r\n#f\r\n");
    BOTH(resp_verbatim, "txt", slice_from("hello"));
    expect_both(pair, "$5\r\nhello\r\n", "=9\r\ntxt:hello\r\n");
    BOTH(resp_array, 3);
    expect_both(pair, "*3\r\n", "*3\r\n");
    BOTH(resp_map, 3);
    expect_both(pair, "*6\r\n", "%3\r\n");
    BOTH(resp_set, 10);
    expect_both(pair, "*10\r\n", "~10\r\n");
    BOTH(resp_push, 2);
    expect_both(pair, "*2\r\n", ">2\r\n");
}

static void doubles_are_short_and_exact(void **state)
{
    struct pair *pair = *state;

    BOTH(resp_double, 0.1);
    expect_both(pair, "$3\r\n0.1\r\n", ",0.1\r\n");
    BOTH(resp_double, 3);
    expect_both(pair, "$1\r\n3\r\n", ",3\r\n");
    BOTH(resp_double, 1.0 / 3);
    expect_both(pair, "$18\r\n0.3333333333333333\r\n", ",0.3333333333333333\r\n");
    BOTH(resp_double, 5e-324);
    expect_both(pair, "$21\r\n4.94065645841247e-324\r\n", ",4.94065645841247e-324\r\n");
    BOTH(resp_double, INFINITY);
    BOTH(resp_double, -INFINITY);
    BOTH(resp_double, NAN);
    expect_both(pair, "$3\r\ninf\r\n$4\r\n-inf\r\n$3\r\nnan\r\n", ",inf\r\n,-inf\r\n,nan\r\n");
}

static void a_length_may_come_last(void **state)
{
    struct pair *pair = *state;
    const size_t guesses[] = {0, 7, 42, 12345};

    for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++) {
        resp_simple(&pair->two, "before");
        size_t outer = resp_deferred_expecting(&pair->two, guesses[i]);
        size_t inner = resp_deferred_expecting(&pair->two, guesses[i]);
        resp_integer(&pair->two, 1);
        resp_deferred_array(&pair->two, inner, 120);
        resp_integer(&pair->two, 2);
        resp_deferred_array(&pair->two, outer, 0);
        expect(&pair->bytes2, "+before\r\n*0\r\n*120\r\n:1\r\n:2\r\n");
    }
    size_t two = resp_deferred(&pair->two), three = resp_deferred(&pair->three);
    resp_deferred_map(&pair->two, two, 60);
    resp_deferred_map(&pair->three, three, 60);
    expect_both(pair, "*120\r\n", "%60\r\n");
    two = resp_deferred(&pair->two), three = resp_deferred(&pair->three);
    resp_deferred_set(&pair->two, two, 5);
    resp_deferred_set(&pair->three, three, 5);
    expect_both(pair, "*5\r\n", "~5\r\n");
}

/* Whatever is written: it is left out as a whole, and what stands before it stays. */
static void a_writer_without_memory_leaves_pieces_out(void **state)
{
    struct pair *pair = *state;
    struct resp_writer *w = &pair->three;
    struct buffer *out = w->out;
    uint8_t *filler = memory_zeroed(1, MEMORY_SURE_BYTES);
    out->may_fail = true;
    buffer_append(out, filler, MEMORY_SURE_BYTES - 4);
    size_t mark = resp_deferred(w);
    buffer_append(out, filler, out->capacity - out->size);
    size_t size = out->size;
    for (int i = 0; i < 9; i++) {
        memory_fail_try(1, true);
        switch (i) {
        case 0:
            resp_simple(w, "OK");
            break;
        case 1:
            resp_error(w, "ERR text");
            break;
        case 2:
            resp_integer(w, -5);
            break;
        case 3:
            resp_bulk_text(w, "text");
            break;
        case 4:
            resp_bulk_u64(w, 77);
            break;
        case 5:
            resp_map(w, 3);
            break;
        case 6:
            resp_double(w, 0.5);
            break;
        case 7:
            assert_int_equal(resp_deferred(w), size);
            resp_deferred_array(w, size, 1); /* it has no place */
            break;
        case 8:
            resp_deferred_array(w, mark, 1234567); /* wider than its place */
            break;
        }
        memory_fail_try(0, false);
        assert_true(out->failed);
        assert_int_equal(out->size, size);
        out->failed = false;
    }
    resp_deferred_array(w, mark, 1234567);
    assert_false(out->failed);
    assert_memory_equal(out->data + mark, "*1234567\r\n", 10);
    memory_free(filler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_and_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(integers_of_every_width, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bulks_and_nulls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bulks_of_every_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(types_of_resp3_fall_back_in_resp2, set_up, tear_down),
        cmocka_unit_test_setup_teardown(doubles_are_short_and_exact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_length_may_come_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_writer_without_memory_leaves_pieces_out, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
