/* SPDX-License-Identifier: MIT */
#include "base/crc64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void the_check_value_is_that_of_redis(void **state)
{
    (void)state;
    assert_true(crc64_extend(0, "123456789", 9) == UINT64_C(0xe9c6d914c4b8d9ca));
    assert_true(crc64_extend(0, "", 0) == 0);
}

/* A bit at a time, as the polynomial is defined. */
static uint64_t slow(uint64_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT64_C(0x95ac9329ac4bc9b5) : 0);
    }
    return crc;
}

static void every_size_and_alignment_gives_what_bits_give(void **state)
{
    uint8_t bytes[80];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i * 7 + 3);
    for (size_t from = 0; from < 9; from++)
        for (size_t size = 0; size + from <= sizeof bytes; size++) {
            uint64_t expected = slow(0, bytes + from, size);
            assert_true(crc64_extend(0, bytes + from, size) == expected);
            uint64_t half = crc64_extend(0, bytes + from, size / 3);
            assert_true(crc64_extend(half, bytes + from + size / 3, size - size / 3) == expected);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_value_is_that_of_redis),
        cmocka_unit_test(every_size_and_alignment_gives_what_bits_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
