/* SPDX-License-Identifier: MIT */
#include "base/random.h"
#include "lib/seed.h"
#include "types/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct slot_table table;

static unsigned slot_of(const char *key)
{
    return slot_of_key(&table, slice_from(key));
}

/* The check value of CRC16/XMODEM for "123456789" is 0x31c3; the others are known from Redis
 * Cluster. */
static void known_keys_have_their_slots(void **state)
{
    (void)state;
    assert_int_equal(slot_of("123456789"), 0x31c3 % SLOT_COUNT);
    assert_int_equal(slot_of("foo"), 12182);
    assert_int_equal(slot_of("bar"), 5061);
    assert_int_equal(slot_of(""), 0);
}

static void a_hash_tag_stands_for_the_key(void **state)
{
    (void)state;
    assert_int_equal(slot_of("{user1000}.following"), slot_of("user1000"));
    assert_int_equal(slot_of("{user1000}.followers"), slot_of("user1000"));
    assert_int_equal(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    assert_int_equal(slot_of("foo{bar}{zap}"), slot_of("bar"));
}

static void an_empty_or_open_hash_tag_is_no_tag(void **state)
{
    (void)state;
    assert_int_not_equal(slot_of("foo{}{bar}"), slot_of("bar"));
    assert_int_not_equal(slot_of("foo{bar"), slot_of("bar"));
    assert_int_not_equal(slot_of("{"), slot_of(""));
}

static unsigned slot_bit_by_bit(struct slice key)
{
    unsigned crc = 0;
    for (size_t i = 0; i < key.size; i++) {
        crc ^= (unsigned)key.data[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
    }
    return crc % SLOT_COUNT;
}

static void eight_bytes_at_once_are_bit_by_bit(void **state)
{
    struct random random;
    uint8_t bytes[64];
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 20000; round++) {
        size_t size = random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)random_next(&random);
            bytes[i] = bytes[i] == '{' ? 0 : bytes[i];
        }
        struct slice key = slice_make(bytes, size);
        assert_int_equal(slot_of_key(&table, key), slot_bit_by_bit(key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_keys_have_their_slots),
        cmocka_unit_test(a_hash_tag_stands_for_the_key),
        cmocka_unit_test(an_empty_or_open_hash_tag_is_no_tag),
        cmocka_unit_test(eight_bytes_at_once_are_bit_by_bit),
    };
    slot_table_init(&table);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
