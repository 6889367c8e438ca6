/* SPDX-License-Identifier: MIT */
#include "base/coding.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_varint(uint64_t value, size_t expected_size)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t size = varint_store(bytes, value);
    assert_int_equal(size, varint_size(value));
    if (expected_size)
        assert_int_equal(size, expected_size);
    assert_in_range(size, 1, VARINT_BYTES_MAX);
    struct slice input = slice_make(bytes, size);
    uint64_t got = ~value;
    assert_true(slice_take_varint(&input, &got));
    assert_true(got == value);
    assert_int_equal(input.size, 0);
    /* With more behind it the number is read by words. */
    uint8_t longer[2 * VARINT_BYTES_MAX];
    memset(longer, 0xff, sizeof longer);
    memcpy(longer, bytes, size);
    got = ~value;
    assert_ptr_equal(varint_load(longer, longer + sizeof longer, &got), longer + size);
    assert_true(got == value);
    for (size_t cut = 0; cut < size; cut++) {
        input = slice_make(bytes, cut);
        got = 77;
        assert_false(slice_take_varint(&input, &got));
        assert_int_equal(input.size, cut);
        assert_int_equal(got, 77);
    }
}

static void varint_of_every_boundary_comes_back_in_the_fewest_bytes(void **state)
{
    (void)state;
    check_varint(0, 1);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        check_varint(power, bit / 7 + 1);
        check_varint(power + 1, (bit ? bit : 1) / 7 + 1);
        if (bit > 0)
            check_varint(power - 1, (bit - 1) / 7 + 1);
    }
    check_varint(UINT64_MAX, 10);
}

static void varint_of_random_numbers_comes_back(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 200000; i++)
        check_varint(random_next(&random) >> random_below(&random, 64), 0);
}

/* Whatever is accepted is the encoding of what it was taken for. */
static void varint_has_one_form_only(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    unsigned accepted = 0;
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[12], again[VARINT_BYTES_MAX];
        for (size_t k = 0; k < sizeof bytes; k++) {
            uint8_t byte = (uint8_t)random_next(&random);
            bytes[k] = random_below(&random, 4) ? byte | 0x80 : (uint8_t)(byte & 0x81);
        }
        struct slice input = slice_make(bytes, random_below(&random, sizeof bytes + 1));
        size_t before = input.size;
        uint64_t value;
        if (!slice_take_varint(&input, &value))
            continue;
        accepted++;
        size_t size = varint_store(again, value);
        assert_int_equal(size, before - input.size);
        assert_memory_equal(bytes, again, size);
    }
    assert_true(accepted > 1000);
}

static void refuse_varint(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_make(bytes, size);
    uint64_t value;
    assert_false(slice_take_varint(&input, &value));
    assert_int_equal(input.size, size);
}

static void varint_that_is_too_long_or_too_large_is_refused(void **state)
{
    (void)state;
    refuse_varint((const uint8_t[]){0x80, 0x00}, 2);
    refuse_varint((const uint8_t[]){0xff, 0x80, 0x00}, 3);
    refuse_varint((const uint8_t[]){0x80, 0x00, 1, 1, 1, 1, 1, 1}, 8);
    refuse_varint((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 0}, 8);
    /* 2^64 and above */
    refuse_varint((const uint8_t[]){0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}, 10);
    refuse_varint((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255, 255, 127}, 10);
    /* eleven bytes */
    refuse_varint((const uint8_t[]){255, 255, 255, 255, 255, 255, 255, 255, 255, 129, 0}, 11);
}

static void fixed_numbers_have_the_byte_order_of_their_name(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_le16(&buffer, 0x0102);
    buffer_append_le32(&buffer, 0x01020304);
    buffer_append_le64(&buffer, 0x0102030405060708);
    buffer_append_be16(&buffer, 0x0102);
    buffer_append_be32(&buffer, 0x01020304);
    buffer_append_be64(&buffer, 0x0102030405060708);
    static const uint8_t expected[] = {2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1,
                                       1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(buffer.size, sizeof expected);
    assert_memory_equal(buffer.data, expected, sizeof expected);

    struct slice input = buffer_slice(&buffer);
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    assert_true(slice_take_le16(&input, &u16));
    assert_int_equal(u16, 0x0102);
    assert_true(slice_take_le32(&input, &u32));
    assert_int_equal(u32, 0x01020304);
    assert_true(slice_take_le64(&input, &u64));
    assert_true(u64 == 0x0102030405060708);
    assert_true(slice_take_be16(&input, &u16));
    assert_int_equal(u16, 0x0102);
    assert_true(slice_take_be32(&input, &u32));
    assert_int_equal(u32, 0x01020304);
    assert_true(slice_take_be64(&input, &u64));
    assert_true(u64 == 0x0102030405060708);
    assert_int_equal(input.size, 0);
    buffer_release(&buffer);
}

static void taking_from_too_few_bytes_changes_nothing(void **state)
{
    (void)state;
    static const uint8_t bytes[7] = {9, 9, 9, 9, 9, 9, 9};
    uint8_t u8 = 5;
    uint16_t u16 = 5;
    uint32_t u32 = 5;
    uint64_t u64 = 5;
    struct slice piece = {0};
    struct slice none = slice_make(NULL, 0), one = slice_make(bytes, 1);
    struct slice three = slice_make(bytes, 3), seven = slice_make(bytes, 7);
    assert_false(slice_take_byte(&none, &u8));
    assert_false(slice_take_le16(&one, &u16));
    assert_false(slice_take_be16(&one, &u16));
    assert_false(slice_take_le32(&three, &u32));
    assert_false(slice_take_be32(&three, &u32));
    assert_false(slice_take_le64(&seven, &u64));
    assert_false(slice_take_be64(&seven, &u64));
    assert_false(slice_take(&seven, 8, &piece));
    assert_false(slice_take_sized(&seven, &piece)); /* says 9 bytes, 6 are there */
    assert_false(slice_take_sized(&none, &piece));
    assert_int_equal(none.size, 0);
    assert_int_equal(one.size, 1);
    assert_int_equal(three.size, 3);
    assert_int_equal(seven.size, 7);
    assert_true(u8 == 5 && u16 == 5 && u32 == 5 && u64 == 5);
    assert_null(piece.data);
}

static void sized_slices_come_back(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_sized(&buffer, slice_from("hello"));
    buffer_append_sized(&buffer, slice_make(NULL, 0));
    buffer_append_byte(&buffer, 42);
    struct slice input = buffer_slice(&buffer), value;
    uint8_t byte;
    assert_true(slice_take_sized(&input, &value));
    assert_true(slice_equal(value, slice_from("hello")));
    assert_true(slice_take_sized(&input, &value));
    assert_int_equal(value.size, 0);
    assert_true(slice_take_byte(&input, &byte));
    assert_int_equal(byte, 42);
    assert_int_equal(input.size, 0);
    buffer_release(&buffer);
}

static void sized_slice_with_an_enormous_size_is_refused(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_varint(&buffer, UINT64_MAX);
    buffer_append_byte(&buffer, 1);
    struct slice input = buffer_slice(&buffer), value;
    assert_false(slice_take_sized(&input, &value));
    assert_int_equal(input.size, buffer.size);
    buffer_release(&buffer);
}

static void zigzag_keeps_small_numbers_small(void **state)
{
    (void)state;
    assert_int_equal(zigzag_encode(0), 0);
    assert_int_equal(zigzag_encode(-1), 1);
    assert_int_equal(zigzag_encode(1), 2);
    assert_int_equal(zigzag_encode(-2), 3);
    assert_true(zigzag_encode(INT64_MAX) == UINT64_MAX - 1);
    assert_true(zigzag_encode(INT64_MIN) == UINT64_MAX);
    struct random random;
    random_init(&random, test_seed());
    for (int i = 0; i < 10000; i++) {
        int64_t value = (int64_t)random_next(&random) >> random_below(&random, 64);
        assert_true(zigzag_decode(zigzag_encode(value)) == value);
    }
    assert_true(zigzag_decode(zigzag_encode(INT64_MIN)) == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varint_of_every_boundary_comes_back_in_the_fewest_bytes),
        cmocka_unit_test(varint_of_random_numbers_comes_back),
        cmocka_unit_test(varint_has_one_form_only),
        cmocka_unit_test(varint_that_is_too_long_or_too_large_is_refused),
        cmocka_unit_test(fixed_numbers_have_the_byte_order_of_their_name),
        cmocka_unit_test(taking_from_too_few_bytes_changes_nothing),
        cmocka_unit_test(sized_slices_come_back),
        cmocka_unit_test(sized_slice_with_an_enormous_size_is_refused),
        cmocka_unit_test(zigzag_keeps_small_numbers_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
