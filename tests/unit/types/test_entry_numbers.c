/* SPDX-License-Identifier: MIT */
#include "lib/seed.h"

#include "base/random.h"
#include "types/entry_numbers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static uint64_t parse(enum number_kind kind, const char *text)
{
    return number_parse(kind, (const uint8_t *)text, strlen(text));
}

static void expect_text(enum number_kind kind, const char *text)
{
    uint8_t printed[NUMBER_DIGITS_MAX];
    size_t size = number_print(kind, parse(kind, text), printed);
    assert_true(slice_equal(slice_make(printed, size), slice_from(text)));
}

static void leading_zeros_are_kept(void **state)
{
    (void)state;
    assert_int_equal(parse(NUMBER_DECIMAL, "0"), 1);
    assert_int_equal(parse(NUMBER_DECIMAL, "9"), 10);
    assert_int_equal(parse(NUMBER_DECIMAL, "00"), 11);
    assert_int_equal(parse(NUMBER_DECIMAL, "000"), 111);
    assert_int_equal(parse(NUMBER_DECIMAL, "007"), 118);
    assert_int_equal(parse(NUMBER_HEX_LOWER, "f"), 16);
    assert_int_equal(parse(NUMBER_HEX_LOWER, "00"), 17);
    expect_text(NUMBER_DECIMAL, "0");
    expect_text(NUMBER_DECIMAL, "00000000042");
    expect_text(NUMBER_DECIMAL, "0000000000000000000");
    expect_text(NUMBER_HEX_LOWER, "0000dead00");
    expect_text(NUMBER_HEX_UPPER, "00BEEF");
}

static void the_longest_runs_fit(void **state)
{
    uint8_t printed[NUMBER_DIGITS_MAX];
    (void)state;
    expect_text(NUMBER_DECIMAL, "9999999999999999999");
    expect_text(NUMBER_HEX_LOWER, "ffffffffffffff");
    expect_text(NUMBER_HEX_UPPER, "0123456789ABCD");
    uint64_t last = parse(NUMBER_DECIMAL, "9999999999999999999");
    assert_int_equal(number_print(NUMBER_DECIMAL, last + 1, printed), 0);
    assert_int_equal(number_print(NUMBER_DECIMAL, UINT64_MAX, printed), 0);
    last = parse(NUMBER_HEX_LOWER, "ffffffffffffff");
    assert_int_equal(number_print(NUMBER_HEX_LOWER, last + 1, printed), 0);
    assert_int_equal(number_print(NUMBER_HEX_UPPER, UINT64_MAX, printed), 0);
    assert_int_equal(number_print(NUMBER_DECIMAL, 0, printed), 0);
    assert_int_equal(number_print(NUMBER_HEX_LOWER, 0, printed), 0);
}

/* Numbers and texts are the same set: each length's last text is followed by the next length's first. */
static void every_number_is_a_text(void **state)
{
    static const enum number_kind kinds[] = {NUMBER_DECIMAL, NUMBER_HEX_LOWER, NUMBER_HEX_UPPER};
    uint8_t text[NUMBER_DIGITS_MAX];
    struct random random;
    (void)state;
    random_init(&random, test_seed());
    for (int i = 0; i < 100000; i++) {
        enum number_kind kind = kinds[i % 3];
        uint64_t number = (random_next(&random) >> random_below(&random, 64)) | (i < 3);
        if (i > 50000) /* around the lengths' ends */
            number = parse(NUMBER_DECIMAL, "0000000000000000000" + random_below(&random, 19)) +
                     random_below(&random, 3) - 1;
        size_t size = number_print(kind, number, text);
        if (size > 0)
            assert_int_equal(number_parse(kind, text, size), number);
    }
}

static unsigned encode(struct number_context *context, uint64_t number, uint64_t *payload,
                       unsigned *bytes)
{
    struct number_context before = *context;
    unsigned code = number_encode(context, number, payload, bytes);
    assert_int_equal(number_payload_bytes[code], *bytes);
    assert_int_equal(number_decode(&before, code, *payload), number);
    assert_int_equal(before.last, context->last);
    assert_int_equal(before.last2, context->last2);
    return code;
}

static void the_shortest_code_is_taken(void **state)
{
    struct number_context context = {0};
    uint64_t payload;
    unsigned bytes;
    (void)state;
    assert_int_equal(encode(&context, 7, &payload, &bytes), NUMBER_WHOLE + 1);
    assert_int_equal(encode(&context, 7, &payload, &bytes), NUMBER_LAST);
    assert_int_equal(bytes, 0);
    assert_int_equal(encode(&context, 1000000, &payload, &bytes), NUMBER_WHOLE + 3);
    assert_int_equal(encode(&context, 7, &payload, &bytes), NUMBER_LAST2);
    assert_int_equal(bytes, 0);
    assert_int_equal(encode(&context, 1000000, &payload, &bytes), NUMBER_LAST2);
    assert_int_equal(encode(&context, 1000001, &payload, &bytes), NUMBER_DELTA + 1);
    assert_int_equal(payload, 2);
    assert_int_equal(encode(&context, 1000000 - 128, &payload, &bytes), NUMBER_DELTA + 1 + 1);
    assert_int_equal(encode(&context, UINT64_MAX, &payload, &bytes), NUMBER_DELTA + 3);
    assert_int_equal(encode(&context, (uint64_t)1 << 63, &payload, &bytes), NUMBER_WHOLE + 8);
    assert_int_equal(encode(&context, ((uint64_t)1 << 63) + 3000000000u, &payload, &bytes),
                     NUMBER_WHOLE + 8);
    assert_int_equal(encode(&context, ((uint64_t)1 << 63) + 1000000000u, &payload, &bytes),
                     NUMBER_DELTA + 4);
}

static void any_numbers_come_back(void **state)
{
    struct number_context context = {0};
    struct random random;
    uint64_t payload, number = 0;
    unsigned bytes;
    (void)state;
    random_init(&random, test_seed());
    for (int i = 0; i < 100000; i++) {
        uint64_t step = random_next(&random) >> random_below(&random, 64);
        number = random_below(&random, 4) ? number + step : step;
        encode(&context, number, &payload, &bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leading_zeros_are_kept), cmocka_unit_test(the_longest_runs_fit),
        cmocka_unit_test(every_number_is_a_text), cmocka_unit_test(the_shortest_code_is_taken),
        cmocka_unit_test(any_numbers_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
