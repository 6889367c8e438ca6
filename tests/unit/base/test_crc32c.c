/* SPDX-License-Identifier: MIT */
#include "base/crc32c.h"
#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, B.4; the checksums stand there as bytes, low byte first. */
static void crc32c_gives_the_vectors_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(bytes, 32), 0x113fdb5c);
    static const uint8_t read_command[48] = {
        [0] = 0x01,  [1] = 0xc0,  [16] = 0x14, [22] = 0x04,
        [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02,
    };
    assert_int_equal(crc32c(read_command, 48), 0xd9963a56);
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_extend_portable(0, read_command, 48), 0xd9963a56);
    assert_int_equal(crc32c(NULL, 0), 0);
}

static void crc32c_is_the_same_in_hardware_and_tables(void **state)
{
    (void)state;
    enum { SIZE_MAX_TESTED = 20000, ROUNDS = 3000 };
    struct random random;
    random_init(&random, test_seed());
    uint8_t *bytes = malloc(SIZE_MAX_TESTED + 16);
    for (size_t i = 0; i < SIZE_MAX_TESTED + 16; i++)
        bytes[i] = (uint8_t)random_next(&random);
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = random_below(&random, round % 2 ? SIZE_MAX_TESTED : 70);
        size_t from = random_below(&random, 16);
        uint32_t begin = (uint32_t)random_next(&random);
        assert_int_equal(crc32c_extend_hardware(begin, bytes + from, size),
                         crc32c_extend_portable(begin, bytes + from, size));
    }
    free(bytes);
}

static void crc32c_of_parts_is_the_crc32c_of_the_whole(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    static uint8_t bytes[9000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)random_next(&random);
    uint32_t whole = crc32c(bytes, sizeof bytes);
    for (int round = 0; round < 200; round++) {
        size_t cut = random_below(&random, sizeof bytes + 1);
        uint32_t first = crc32c(bytes, cut);
        assert_int_equal(crc32c_extend(first, bytes + cut, sizeof bytes - cut), whole);
    }
}

static void crc32c_mask_can_be_taken_off(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 1000; round++) {
        uint32_t crc = (uint32_t)random_next(&random);
        assert_int_equal(crc32c_unmask(crc32c_mask(crc)), crc);
        assert_int_not_equal(crc32c_mask(crc), crc);
    }
    /* Stands in formats, so it may never change. */
    assert_int_equal(crc32c_mask(0), 0xa282ead8);
    assert_int_equal(crc32c_mask(0xe3069283), 0xc78ab0e5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_vectors_of_rfc_3720),
        cmocka_unit_test(crc32c_is_the_same_in_hardware_and_tables),
        cmocka_unit_test(crc32c_of_parts_is_the_crc32c_of_the_whole),
        cmocka_unit_test(crc32c_mask_can_be_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
