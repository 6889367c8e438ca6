/* SPDX-License-Identifier: MIT */
#include "base/random.h"
#include "lib/seed.h"
#include "types/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct buffer bytes;

static void tree_keys_come_back_and_sort_by_generation_then_position(void **state)
{
    struct buffer lower = {0};
    uint32_t generation;
    uint64_t position, greatest = ((uint64_t)1 << POSITION_BITS) - 1;
    struct slice key;
    (void)state;
    tree_key_encode(&lower, 7, greatest, slice_from("b"));
    tree_key_encode(&bytes, 8, 0, slice_from(""));
    assert_true(slice_compare(buffer_slice(&lower), buffer_slice(&bytes)) < 0);
    assert_int_equal(tree_key_decode(buffer_slice(&lower), &generation, &position, &key),
                     STATUS_OK);
    assert_int_equal(generation, 7);
    assert_int_equal(position, greatest);
    assert_true(slice_equal(key, slice_from("b")));
    tree_key_encode(&bytes, 7, greatest - 1, slice_from("c"));
    assert_true(slice_compare(buffer_slice(&bytes), buffer_slice(&lower)) < 0);
    buffer_release(&lower);
}

static void damaged_tree_keys_are_refused(void **state)
{
    uint32_t generation;
    uint64_t position;
    struct slice key;
    uint8_t at[TREE_KEY_PREFIX_BYTES] = {0, 0, 0, 1};
    (void)state;
    assert_int_equal(tree_key_decode(slice_make(at, 10), &generation, &position, &key),
                     STATUS_CORRUPT);
    at[4] = 0x10; /* a position of 53 bits */
    assert_int_equal(tree_key_decode(slice_make(at, sizeof at), &generation, &position, &key),
                     STATUS_CORRUPT);
    at[4] = 0;
    assert_int_equal(tree_key_decode(slice_make(at, sizeof at), &generation, &position, &key),
                     STATUS_OK);
    at[3] = 0;
    assert_int_equal(tree_key_decode(slice_make(at, sizeof at), &generation, &position, &key),
                     STATUS_CORRUPT);
}

static void headers_come_back(void **state)
{
    const uint64_t times[] = {0, 1, 1700000000000, UINT64_MAX}, ids[] = {0, 1, UINT64_MAX};
    (void)state;
    for (size_t t = 0; t < 4; t++)
        for (size_t i = 0; i < 3; i++)
            for (unsigned type = OBJECT_STRING; type <= OBJECT_STREAM; type++) {
                struct object found, object = {type, times[t], ids[i], slice_from("body")};
                header_encode(&bytes, &object);
                assert_int_equal(header_decode(buffer_slice(&bytes), &found), STATUS_OK);
                assert_int_equal(found.type, type);
                assert_int_equal(found.expire_ms, times[t]);
                assert_int_equal(found.id, ids[i]);
                assert_true(slice_equal(found.body, object.body));
            }
}

static enum status decode_text(const char *text, size_t size)
{
    struct object object;
    return header_decode(slice_make(text, size), &object);
}

static void damaged_headers_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_text("", 0), STATUS_CORRUPT);
    assert_int_equal(decode_text("\x00", 1), STATUS_CORRUPT);         /* no type */
    assert_int_equal(decode_text("\x21", 1), STATUS_CORRUPT);         /* a time is missing */
    assert_int_equal(decode_text("\x21\x00", 2), STATUS_CORRUPT);     /* time 0 */
    assert_int_equal(decode_text("\x41\x80", 2), STATUS_CORRUPT);     /* half an id */
    assert_int_equal(decode_text("\x41\x00", 2), STATUS_CORRUPT);     /* id 0 */
    assert_int_equal(decode_text("\x81\x00", 2), STATUS_UNSUPPORTED); /* more flags */
    assert_int_equal(decode_text("\x1f", 1), STATUS_UNSUPPORTED);     /* a later type */
}

static void expiry_keys_come_back_and_sort_by_time(void **state)
{
    struct buffer tree_key = {0}, later = {0};
    uint64_t expire_ms;
    struct slice suffix;
    (void)state;
    tree_key_encode(&tree_key, 3, 99, slice_from("key"));
    expiry_key_encode(&bytes, 255, buffer_slice(&tree_key));
    expiry_key_encode(&later, 256, buffer_slice(&tree_key));
    assert_true(slice_compare(buffer_slice(&bytes), buffer_slice(&later)) < 0);
    assert_int_equal(expiry_key_decode(buffer_slice(&later), &expire_ms, &suffix), STATUS_OK);
    assert_int_equal(expire_ms, 256);
    assert_true(slice_equal(suffix, slice_skip(buffer_slice(&tree_key), 4)));
    for (size_t size = 0; size < EXPIRY_KEY_PREFIX_BYTES + POSITION_BYTES; size++)
        assert_int_equal(expiry_key_decode(slice_make(later.data, size), &expire_ms, &suffix),
                         STATUS_CORRUPT);
    later.data[OBJECT_PREFIX_BYTES - 1] = 1; /* under an object's id */
    assert_int_equal(expiry_key_decode(buffer_slice(&later), &expire_ms, &suffix), STATUS_CORRUPT);
    buffer_release(&tree_key);
    buffer_release(&later);
}

static void the_map_names_only_what_differs(void **state)
{
    uint32_t generations[STORE_DATABASES_MAX], found[STORE_DATABASES_MAX], next;
    (void)state;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    meta_map_encode(&bytes, 1025, generations);
    assert_int_equal(bytes.size, 3);
    generations[0] = 2;
    generations[1] = 1;
    generations[1023] = 1030;
    meta_map_encode(&bytes, 1031, generations);
    assert_int_equal(meta_map_decode(buffer_slice(&bytes), &next, found), STATUS_OK);
    assert_int_equal(next, 1031);
    assert_memory_equal(found, generations, sizeof found);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(meta_map_decode(slice_make(bytes.data, size), &next, found),
                         STATUS_CORRUPT);
    meta_map_encode(&bytes, 1030, generations); /* a generation that was not given yet */
    assert_int_equal(meta_map_decode(buffer_slice(&bytes), &next, found), STATUS_CORRUPT);
}

static void a_map_out_of_order_is_refused(void **state)
{
    uint32_t found[STORE_DATABASES_MAX], next;
    const uint64_t numbers[] = {1026, 2, 5, 9, 5, 8};
    (void)state;
    buffer_clear(&bytes);
    for (size_t i = 0; i < 6; i++)
        buffer_append_varint(&bytes, numbers[i]);
    assert_int_equal(meta_map_decode(buffer_slice(&bytes), &next, found), STATUS_CORRUPT);
}

static void small_meta_records_come_back_and_refuse_what_is_too_much(void **state)
{
    uint64_t a, b;
    (void)state;
    meta_store_encode(&bytes, 0x1122334455667788);
    assert_int_equal(meta_store_decode(buffer_slice(&bytes), &a), STATUS_OK);
    assert_true(a == 0x1122334455667788);
    buffer_append_byte(&bytes, 0);
    assert_int_equal(meta_store_decode(buffer_slice(&bytes), &a), STATUS_CORRUPT);
    bytes.data[0] = STORE_FORMAT + 1;
    assert_int_equal(meta_store_decode(buffer_slice(&bytes), &a), STATUS_UNSUPPORTED);
    assert_int_equal(meta_store_decode(slice_make(NULL, 0), &a), STATUS_CORRUPT);

    meta_ids_encode(&bytes, 5000);
    assert_int_equal(meta_ids_decode(buffer_slice(&bytes), &a), STATUS_OK);
    assert_int_equal(a, 5000);
    assert_int_equal(meta_ids_decode(slice_make("\0", 1), &a), STATUS_CORRUPT);
    buffer_append_byte(&bytes, 0);
    assert_int_equal(meta_ids_decode(buffer_slice(&bytes), &a), STATUS_CORRUPT);

    meta_counts_encode(&bytes, 300, 299);
    assert_int_equal(meta_counts_decode(buffer_slice(&bytes), &a, &b), STATUS_OK);
    assert_int_equal(a, 300);
    assert_int_equal(b, 299);
    assert_int_equal(meta_counts_decode(slice_make("\x01\x02", 2), &a, &b), STATUS_CORRUPT);
    assert_int_equal(meta_counts_decode(slice_make("\x01", 1), &a, &b), STATUS_CORRUPT);
}

static void a_record_of_builds_comes_back_and_refuses_what_is_none(void **state)
{
    static struct store_build_id builds[STORE_BUILDS_MAX], found[STORE_BUILDS_MAX];
    static const char *const bad[] = {"\x01\x01",
                                      "\x01\x01\x80\x00",
                                      "\x02\x01\x01",
                                      "\x01\x01\x01\x01",
                                      "\x81\x02",
                                      "\x01\x01"
                                      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    size_t count = 0;
    (void)state;
    for (size_t i = 0; i < STORE_BUILDS_MAX; i++)
        builds[i] = (struct store_build_id){(uint32_t)i + 1, 1000 * i + 1};
    for (size_t n = 1; n <= STORE_BUILDS_MAX; n *= 4) {
        meta_builds_encode(&bytes, builds, n);
        assert_int_equal(meta_builds_decode(buffer_slice(&bytes), found, &count), STATUS_OK);
        assert_int_equal(count, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(found[i].generation, builds[i].generation);
            assert_int_equal(found[i].id, builds[i].id);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(meta_builds_decode(slice_from(bad[i]), found, &count), STATUS_CORRUPT);
    assert_int_equal(meta_builds_decode(slice_make("\0", 1), found, &count), STATUS_CORRUPT);
    assert_int_equal(meta_builds_decode(slice_make("\1\0\1", 3), found, &count), STATUS_CORRUPT);
    assert_int_equal(meta_builds_decode(slice_make("\1\1\0", 3), found, &count), STATUS_CORRUPT);
    assert_int_equal(meta_builds_decode(slice_make(NULL, 0), found, &count), STATUS_CORRUPT);
}

/* Under the sanitizers: nothing is read outside. */
static void decoders_take_any_bytes(void **state)
{
    struct random random;
    uint32_t next, generations[STORE_DATABASES_MAX];
    static struct store_build_id builds[STORE_BUILDS_MAX];
    uint64_t a, b;
    size_t count;
    struct slice slice;
    struct object object;
    (void)state;
    random_init(&random, test_seed());
    for (int round = 0; round < 100000; round++) {
        buffer_clear(&bytes);
        size_t size = random_below(&random, 30);
        for (size_t i = 0; i < size; i++)
            buffer_append_byte(&bytes, random_below(&random, 3) ? (uint8_t)random_below(&random, 4)
                                                                : (uint8_t)random_next(&random));
        struct slice input = buffer_slice(&bytes);
        (void)tree_key_decode(input, &next, &a, &slice); /* any result will do */
        (void)expiry_key_decode(input, &a, &slice);
        (void)meta_map_decode(input, &next, generations);
        (void)meta_store_decode(input, &a);
        (void)meta_ids_decode(input, &a);
        (void)meta_counts_decode(input, &a, &b);
        (void)meta_builds_decode(input, builds, &count);
        if (header_decode(input, &object) == STATUS_OK) {
            struct buffer again = {0};
            header_encode(&again, &object);
            assert_true(slice_equal(buffer_slice(&again), input));
            buffer_release(&again);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_keys_come_back_and_sort_by_generation_then_position),
        cmocka_unit_test(damaged_tree_keys_are_refused),
        cmocka_unit_test(headers_come_back),
        cmocka_unit_test(damaged_headers_are_refused),
        cmocka_unit_test(expiry_keys_come_back_and_sort_by_time),
        cmocka_unit_test(the_map_names_only_what_differs),
        cmocka_unit_test(a_map_out_of_order_is_refused),
        cmocka_unit_test(small_meta_records_come_back_and_refuse_what_is_too_much),
        cmocka_unit_test(a_record_of_builds_comes_back_and_refuses_what_is_none),
        cmocka_unit_test(decoders_take_any_bytes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buffer_release(&bytes);
    return failed;
}
