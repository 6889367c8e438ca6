/* SPDX-License-Identifier: MIT */
#include "lsm/table_format.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct table_footer sample_footer = {
    .top_index = {1000, 50},
    .filter = {0, 0},
    .range_deletes = {1050, 20},
    .properties = {1070, 30},
    .version = TABLE_VERSION_COMPRESSED,
};

static void assert_same_handle(struct block_handle a, struct block_handle b)
{
    assert_int_equal(a.offset, b.offset);
    assert_int_equal(a.stored_bytes, b.stored_bytes);
}

static void footer_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[TABLE_FOOTER_BYTES];
    struct table_footer footer;
    table_footer_encode(&sample_footer, bytes);
    assert_int_equal(table_footer_decode(bytes, 1100 + sizeof(bytes), &footer), STATUS_OK);
    assert_same_handle(footer.top_index, sample_footer.top_index);
    assert_same_handle(footer.filter, sample_footer.filter);
    assert_same_handle(footer.range_deletes, sample_footer.range_deletes);
    assert_same_handle(footer.properties, sample_footer.properties);
    assert_int_equal(footer.version, TABLE_VERSION_COMPRESSED);
    /* A handle that leaves the file. */
    assert_int_equal(table_footer_decode(bytes, 1099 + sizeof(bytes), &footer), STATUS_CORRUPT);
}

static void flipped_footer_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[TABLE_FOOTER_BYTES];
    struct table_footer footer;
    table_footer_encode(&sample_footer, bytes);
    for (size_t at = 0; at < sizeof(bytes); at++) {
        bytes[at] ^= 1;
        assert_int_equal(table_footer_decode(bytes, 2000, &footer), STATUS_CORRUPT);
        bytes[at] ^= 1;
    }
}

static void later_version_is_told_apart_from_damage(void **state)
{
    (void)state;
    uint8_t bytes[TABLE_FOOTER_BYTES];
    struct table_footer footer;
    table_footer_encode(&sample_footer, bytes);
    for (int later = 0; later < 2; later++) { /* or none that was ever written */
        le32_store(bytes + 48, later ? TABLE_VERSION_COMPRESSED + 1 : 0);
        le32_store(bytes + 52, crc32c_mask(crc32c(bytes, 52)));
        assert_int_equal(table_footer_decode(bytes, 2000, &footer), STATUS_UNSUPPORTED);
    }
}

static void properties_with_unknown_tags_come_back(void **state)
{
    (void)state;
    struct table_file_properties properties = {
        .shared = {.entry_count = 1000000,
                   .delete_count = 3,
                   .range_delete_count = 2,
                   .raw_bytes = (uint64_t)1 << 50,
                   .lsn_min = 1,
                   .lsn_max = (uint64_t)1 << 59,
                   .largest_is_exclusive = true},
        .options = {.block_bytes = 4096, .filter_bits_per_key = 10, .filter_prefix_bytes = 12},
        .data_bytes = 99,
        .block_count = 7,
        .compression = 12,
    };
    struct table_file_properties read = {{0}};
    struct buffer content = {0};
    buffer_append_text(&properties.shared.smallest, "a");
    buffer_append_varint(&content, 900); /* of the future */
    buffer_append_sized(&content, slice_from("whatever"));
    table_file_properties_encode(&properties, &content);
    assert_int_equal(table_file_properties_decode(buffer_slice(&content), &read), STATUS_OK);
    assert_int_equal(read.shared.entry_count, 1000000);
    assert_int_equal(read.shared.delete_count, 3);
    assert_int_equal(read.shared.range_delete_count, 2);
    assert_int_equal(read.shared.raw_bytes, (uint64_t)1 << 50);
    assert_int_equal(read.shared.lsn_min, 1);
    assert_int_equal(read.shared.lsn_max, (uint64_t)1 << 59);
    assert_true(read.shared.largest_is_exclusive);
    assert_true(slice_equal(buffer_slice(&read.shared.smallest), slice_from("a")));
    assert_int_equal(read.shared.largest.size, 0);
    assert_int_equal(read.options.block_bytes, 4096);
    assert_int_equal(read.options.filter_bits_per_key, 10);
    assert_int_equal(read.options.filter_prefix_bytes, 12);
    assert_int_equal(read.data_bytes, 99);
    assert_int_equal(read.block_count, 7);
    assert_int_equal(read.compression, 12);
    table_properties_release(&read.shared);
    /* Cut anywhere it is malformed, or at the end of a field whole. */
    size_t whole = 0;
    for (size_t kept = 0; kept < content.size; kept++) {
        struct table_file_properties part = {{0}};
        whole += table_file_properties_decode(slice_make(content.data, kept), &part) == STATUS_OK;
        table_properties_release(&part.shared);
    }
    assert_int_equal(whole, 16); /* 15 fields and the unknown one; none is left without the last */
    buffer_release(&content);
    table_properties_release(&properties.shared);
}

static void malformed_properties_are_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        {(const uint8_t *)"\x01\x00", 2},         /* a number without bytes */
        {(const uint8_t *)"\x01\x02\x05\x05", 4}, /* more than a number */
        {(const uint8_t *)"\x09\x01\x02", 3},     /* a flag that is 2 */
        {(const uint8_t *)"\x07\x05"
                          "ab",
         4},                                                  /* too short */
        {(const uint8_t *)"\x0a\x05\xff\xff\xff\xff\x7f", 7}, /* block bytes above 32 bits */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct table_file_properties properties = {{0}};
        assert_int_equal(table_file_properties_decode(bad[i], &properties), STATUS_CORRUPT);
        table_properties_release(&properties.shared);
    }
}

static void separator_lies_between(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 20000; round++) {
        char a[9], b[9];
        size_t sizes[2] = {random_below(&random, 8), random_below(&random, 8)};
        for (int i = 0; i < 8; i++) {
            a[i] = (char)('a' + random_below(&random, 2));
            b[i] = random_below(&random, 4) ? a[i] : (char)('a' + random_below(&random, 3));
        }
        struct slice last = slice_make(a, sizes[0]), next = slice_make(b, sizes[1]);
        lsn_t last_lsn = 1 + random_below(&random, 5), next_lsn = 1 + random_below(&random, 5);
        if (entry_compare(last, last_lsn, next, next_lsn) >= 0)
            continue;
        lsn_t lsn;
        struct slice separator = table_separator(last, last_lsn, next, &lsn);
        assert_true(entry_compare(last, last_lsn, separator, lsn) <= 0);
        assert_true(entry_compare(separator, lsn, next, next_lsn) < 0);
        assert_true(separator.size <= last.size);
    }
}

static void handles_are_bounded(void **state)
{
    (void)state;
    uint8_t bytes[TABLE_HANDLE_BYTES_MAX];
    struct block_handle handle;
    const struct block_handle sample = {(uint64_t)1 << 40, 1000};
    size_t size = block_handle_encode(sample, bytes);
    struct slice value = slice_make(bytes, size);
    assert_true(block_handle_decode(value, ((uint64_t)1 << 40) + 1000, &handle));
    assert_int_equal(handle.offset, sample.offset);
    assert_int_equal(handle.stored_bytes, sample.stored_bytes);
    assert_false(block_handle_decode(value, ((uint64_t)1 << 40) + 999, &handle));
    assert_false(block_handle_decode(value, 5, &handle));
    assert_false(block_handle_decode(slice_make(bytes, size - 1), UINT64_MAX, &handle));
    size = block_handle_encode((struct block_handle){0, BLOCK_HEAD_BYTES}, bytes);
    assert_false(block_handle_decode(slice_make(bytes, size), UINT64_MAX, &handle));
}

static void a_key_beyond_all_bounds_is_no_property(void **state)
{
    (void)state;
    for (size_t size = LSM_KEY_BYTES_MAX; size <= LSM_KEY_BYTES_MAX + 1; size++) {
        struct table_file_properties properties = {{0}};
        struct buffer raw = {0};
        uint8_t *key = memory_zeroed(1, size);
        buffer_append_varint(&raw, 7); /* smallest */
        buffer_append_sized(&raw, slice_make(key, size));
        assert_int_equal(table_file_properties_decode(buffer_slice(&raw), &properties),
                         size > LSM_KEY_BYTES_MAX ? STATUS_CORRUPT : STATUS_OK);
        table_properties_release(&properties.shared);
        memory_free(key);
        buffer_release(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_beyond_all_bounds_is_no_property),
        cmocka_unit_test(footer_comes_back),
        cmocka_unit_test(flipped_footer_is_refused),
        cmocka_unit_test(later_version_is_told_apart_from_damage),
        cmocka_unit_test(properties_with_unknown_tags_come_back),
        cmocka_unit_test(malformed_properties_are_refused),
        cmocka_unit_test(separator_lies_between),
        cmocka_unit_test(handles_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
