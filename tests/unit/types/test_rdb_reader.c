/* SPDX-License-Identifier: MIT */
#include "types/rdb_reader.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define BYTES(text) slice_make(text, sizeof(text) - 1)

static uint64_t length_of(struct slice bytes, size_t left)
{
    struct rdb_reader reader = {.input = bytes};
    uint64_t length = 77;
    assert_int_equal(rdb_take_length(&reader, &length), STATUS_OK);
    assert_int_equal(reader.input.size, left);
    return length;
}

static void lengths_have_four_forms(void **state)
{
    (void)state;
    assert_int_equal(length_of(BYTES("\0"), 0), 0);
    assert_int_equal(length_of(BYTES("\x3f!"), 1), 63);
    assert_int_equal(length_of(BYTES("\x40\x40"), 0), 64);
    assert_int_equal(length_of(BYTES("\x7f\xff"), 0), 16383);
    assert_int_equal(length_of(BYTES("\x80\x00\x00\x40\x00"), 0), 16384);
    assert_int_equal(length_of(BYTES("\x80\x00\x00\x00\x01"), 0), 1); /* longer than needed */
    assert_true(length_of(BYTES("\x81\xff\xff\xff\xff\xff\xff\xff\xff"), 0) == UINT64_MAX);
}

static void a_length_that_is_cut_or_none_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "\x40", "\x80\1\1\1", "\x81\1\1\1\1\1\1\1", "\x82\1\1\1\1", "\xc1\1\1"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rdb_reader reader = {.input = slice_from(bad[i])};
        uint64_t length = 77;
        assert_int_equal(rdb_take_length(&reader, &length), STATUS_INVALID);
    }
}

static void written_lengths_are_read(void **state)
{
    static const uint64_t lengths[] = {
        0, 1, 63, 64, 16383, 16384, UINT32_MAX, (uint64_t)UINT32_MAX + 1, 1 << 20, UINT64_MAX};
    struct buffer out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        buffer_clear(&out);
        rdb_put_length(&out, lengths[i]);
        assert_true(length_of(buffer_slice(&out), 0) == lengths[i]);
    }
    buffer_clear(&out);
    buffer_append_byte(&out, 9);
    size_t offset = rdb_put_later_length(&out);
    rdb_set_length(&out, offset, 300);
    assert_int_equal(length_of(slice_skip(buffer_slice(&out), 1), 0), 300);
    out.failed = true; /* then it means nothing */
    rdb_set_length(&out, offset, 301);
    assert_int_equal(length_of(slice_skip(buffer_slice(&out), 1), 0), 300);
    buffer_release(&out);
}

static void check_string(struct slice bytes, const char *expected)
{
    struct rdb_reader reader = {.input = bytes};
    struct slice string;
    enum status status = rdb_take_string(&reader, &string);
    assert_int_equal(status, expected ? STATUS_OK : STATUS_INVALID);
    if (expected) {
        assert_true(slice_equal(string, slice_from(expected)));
        assert_int_equal(reader.input.size, 0);
    }
    rdb_reader_release(&reader);
}

static void strings_are_bytes_numbers_or_compressed(void **state)
{
    (void)state;
    check_string(BYTES("\0"), "");
    check_string(BYTES("\3abc"), "abc");
    check_string(BYTES("\xc0\xff"), "-1");
    check_string(BYTES("\xc0\x7f"), "127");
    check_string(BYTES("\xc1\x00\x80"), "-32768");
    check_string(BYTES("\xc2\xff\xff\xff\x7f"), "2147483647");
    check_string(BYTES("\xc2\x00\x00\x00\x80"), "-2147483648");
    check_string(BYTES("\xc3\x05\x0a\x00"
                       "a\xe0\x00\x00"),
                 "aaaaaaaaaa");
}

static void a_string_that_is_cut_or_none_is_refused(void **state)
{
    (void)state;
    check_string(BYTES(""), NULL);
    check_string(BYTES("\3ab"), NULL);
    check_string(BYTES("\x80\x7f\xff\xff\xff"), NULL);
    check_string(BYTES("\x81\xff\xff\xff\xff\xff\xff\xff\xff"), NULL);
    check_string(BYTES("\xc0"), NULL);
    check_string(BYTES("\xc1\x01"), NULL);
    check_string(BYTES("\xc2\x01\x01\x01"), NULL);
    check_string(BYTES("\xc4\x01\x01\x01\x01\x01"), NULL);
    check_string(BYTES("\xc3"), NULL);
    check_string(BYTES("\xc3\x05"), NULL);
    check_string(BYTES("\xc3\x06\x0a\x00"
                       "a\xe0\x00\x00"),
                 NULL); /* less than is said */
    check_string(BYTES("\xc3\x05\x0b\x00"
                       "a\xe0\x00\x00"),
                 NULL); /* it does not fill it */
    check_string(BYTES("\xc3\x05\x80\x40\x00\x00\x01\x00"
                       "a\xe0\x00\x00"),
                 NULL);                                            /* above 1 GiB */
    check_string(BYTES("\xc3\x01\x80\x00\x00\x10\x00\x00"), NULL); /* no byte can stand for 4096 */
}

static void without_memory_a_compressed_string_says_so(void **state)
{
    struct rdb_reader reader = {.input = BYTES("\xc3\x05\x0a\x00"
                                               "a\xe0\x00\x00")};
    struct slice string;
    (void)state;
    memory_fail_try(1, false);
    assert_int_equal(rdb_take_string(&reader, &string), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    rdb_reader_release(&reader);
}

static void a_written_string_is_read(void **state)
{
    struct buffer out = {0};
    (void)state;
    rdb_put_string(&out, slice_from("value"));
    check_string(buffer_slice(&out), "value");
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_have_four_forms),
        cmocka_unit_test(a_length_that_is_cut_or_none_is_refused),
        cmocka_unit_test(written_lengths_are_read),
        cmocka_unit_test(strings_are_bytes_numbers_or_compressed),
        cmocka_unit_test(a_string_that_is_cut_or_none_is_refused),
        cmocka_unit_test(without_memory_a_compressed_string_says_so),
        cmocka_unit_test(a_written_string_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
