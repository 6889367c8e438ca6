/* SPDX-License-Identifier: MIT */
#include "lsm/block.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/rows.h"
#include "unit/lsm/format_example.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct compressor lz4 = {.compression = COMPRESSION_LZ4};

static void assert_round_trip(struct slice raw, struct compressor *compressor, uint64_t offset,
                              enum block_compression compression)
{
    struct buffer stored = {0};
    struct block_head head;
    enum block_kind kind;
    uint8_t *got;
    size_t got_size;
    buffer_append_text(&stored, "before");
    assert_int_equal(block_seal(&stored, BLOCK_FILTER, compressor, raw, offset), compression);
    struct slice block = slice_skip(buffer_slice(&stored), 6);
    assert_true(block_head_parse(block, &head));
    assert_int_equal(head.kind, BLOCK_FILTER);
    assert_int_equal(head.compression, compression);
    assert_int_equal(head.raw_bytes, raw.size);
    assert_int_equal(head.stored_bytes, block.size - BLOCK_HEAD_BYTES);
    struct block_head checked;
    assert_int_equal(block_check(block, offset, &checked), STATUS_OK);
    assert_memory_equal(&checked, &head, sizeof(head));
    assert_int_equal(block_check(block, offset + 1, &checked), STATUS_CORRUPT);
    assert_int_equal(block_unseal(block, offset, &kind, &got, &got_size), STATUS_OK);
    assert_int_equal(kind, BLOCK_FILTER);
    assert_true(slice_equal(slice_make(got, got_size), raw));
    memory_free(got);
    buffer_release(&stored);
}

static void sealed_block_comes_back(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    uint8_t noise[5000], same[5000];
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)random_next(&random);
    memset(same, 'x', sizeof(same));
    assert_round_trip(slice_make(noise, sizeof(noise)), &lz4, 77, COMPRESSION_PLAIN);
    assert_round_trip(slice_make(same, sizeof(same)), NULL, 0, COMPRESSION_PLAIN);
    assert_round_trip(slice_make(same, sizeof(same)), &lz4, (uint64_t)1 << 40, COMPRESSION_LZ4);
    assert_round_trip(slice_from("1"), &lz4, 1, COMPRESSION_PLAIN);
    struct compressor zstd = {.compression = COMPRESSION_ZSTD, .level = 3};
    if (!compression_is_known(COMPRESSION_ZSTD))
        skip();
    assert_round_trip(slice_make(noise, sizeof(noise)), &zstd, 77, COMPRESSION_PLAIN);
    assert_round_trip(slice_make(same, sizeof(same)), &zstd, (uint64_t)1 << 40, COMPRESSION_ZSTD);
    compressor_release(&zstd);
}

static void block_is_sound_at_its_own_place_only(void **state)
{
    (void)state;
    struct buffer stored = {0};
    enum block_kind kind;
    uint8_t *raw = NULL;
    size_t size = 0;
    block_seal(&stored, BLOCK_ROWS, &lz4, slice_from("content"), 1000);
    assert_int_equal(block_unseal(buffer_slice(&stored), 1001, &kind, &raw, &size), STATUS_CORRUPT);
    for (size_t at = 0; at < stored.size; at++) {
        stored.data[at] ^= 4;
        assert_int_equal(block_unseal(buffer_slice(&stored), 1000, &kind, &raw, &size),
                         STATUS_CORRUPT);
        stored.data[at] ^= 4;
    }
    for (size_t kept = 0; kept < stored.size; kept++)
        assert_int_equal(block_unseal(slice_make(stored.data, kept), 1000, &kind, &raw, &size),
                         STATUS_CORRUPT);
    assert_null(raw);
    buffer_release(&stored);
}

static bool parses(uint8_t kind, uint8_t compression, uint32_t stored_bytes, uint32_t raw_bytes)
{
    uint8_t bytes[BLOCK_HEAD_BYTES] = {kind, compression};
    struct block_head head;
    le32_store(bytes + 2, stored_bytes);
    le32_store(bytes + 6, raw_bytes);
    return block_head_parse(slice_make(bytes, sizeof(bytes)), &head);
}

static void impossible_heads_are_refused(void **state)
{
    (void)state;
    assert_true(parses(BLOCK_ROWS, COMPRESSION_PLAIN, 10, 10));
    assert_true(parses(BLOCK_ROWS, COMPRESSION_LZ4, 10, 2000));
    assert_false(parses(0, COMPRESSION_PLAIN, 10, 10));
    assert_false(parses(BLOCK_DICTIONARY + 1, COMPRESSION_PLAIN, 10, 10));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_ZSTD + 1, 10, 11));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_PLAIN, 10, 11));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_PLAIN, 0, 0));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_LZ4, 10, 10));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_LZ4, 10, 2551)); /* LZ4 never shrinks so much */
    assert_true(parses(BLOCK_ROWS, COMPRESSION_ZSTD, 10, 2551));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_ZSTD, 10, 10));
    assert_false(parses(BLOCK_ROWS, COMPRESSION_ZSTD, 10, 327681)); /* nor does Zstandard */
    assert_true(parses(BLOCK_ENCODED, COMPRESSION_ZSTD, 10, 1 << 20));
    assert_false(parses(BLOCK_ENCODED, COMPRESSION_ZSTD, 10, 10));
    assert_false(
        parses(BLOCK_ROWS, COMPRESSION_PLAIN, BLOCK_RAW_BYTES_MAX + 1, BLOCK_RAW_BYTES_MAX + 1));
    /* An encoded one decodes to more than it has, however much that is. */
    assert_true(parses(BLOCK_ENCODED, COMPRESSION_PLAIN, 10, 11));
    assert_true(parses(BLOCK_ENCODED, COMPRESSION_LZ4, 10, 1 << 20));
    assert_false(parses(BLOCK_ENCODED, COMPRESSION_PLAIN, 10, 10));
    assert_false(parses(BLOCK_ENCODED, COMPRESSION_LZ4, 10, 9));
    assert_false(parses(BLOCK_ENCODED, COMPRESSION_PLAIN, 0, 10));
    assert_false(parses(BLOCK_ENCODED, COMPRESSION_PLAIN, 10, BLOCK_RAW_BYTES_MAX + 1));
}

/* What an encoded block says of its rows asks for no memory that its bytes cannot fill. */
static void an_encoded_block_unfolds_within_what_its_bytes_can_fill(void **state)
{
    (void)state;
    uint8_t same[300] = {0};
    struct buffer block = {0};
    enum block_kind kind = 0;
    uint8_t *content = NULL;
    size_t size = 0;
    block_seal_encoded(&block, &lz4, slice_make(same, sizeof(same)), NULL, BLOCK_RAW_BYTES_MAX, 0);
    assert_true(block.size < 100);
    assert_int_equal(block_unseal(buffer_slice(&block), 0, &kind, &content, &size), STATUS_OK);
    assert_true(slice_equal(slice_make(content, size), slice_make(same, sizeof(same))));
    memory_free(content);
    buffer_release(&block);
}

static void encoded_content_comes_back_as_it_is(void **state)
{
    (void)state;
    uint8_t same[300] = {0};
    struct compressor zstd = {.compression = COMPRESSION_ZSTD, .level = 3};
    struct compressor *const compressors[] = {NULL, &lz4, &zstd};
    for (int i = 0; i < 2 + compression_is_known(COMPRESSION_ZSTD); i++) {
        for (size_t raw_bytes = sizeof(same) + 1; raw_bytes > sizeof(same) - 1; raw_bytes--) {
            struct buffer block = {0};
            enum block_kind kind = 0;
            uint8_t *content = NULL, place[8] = {0};
            size_t size = 0;
            block_seal_encoded(&block, compressors[i], slice_make(same, sizeof(same)), NULL,
                               sizeof(same) + 1, 0);
            /* With less room than the content needs it is none that was sealed. */
            le32_store(block.data + 6, (uint32_t)raw_bytes);
            uint32_t crc = crc32c_extend(crc32c(place, 8), block.data, 10);
            crc = crc32c_extend(crc, block.data + BLOCK_HEAD_BYTES, block.size - BLOCK_HEAD_BYTES);
            le32_store(block.data + 10, crc32c_mask(crc));
            enum status status = block_unseal(buffer_slice(&block), 0, &kind, &content, &size);
            assert_int_equal(status, raw_bytes > sizeof(same) ? STATUS_OK : STATUS_CORRUPT);
            if (status == STATUS_OK) {
                assert_int_equal(kind, BLOCK_ENCODED);
                assert_true(slice_equal(slice_make(content, size), slice_make(same, sizeof(same))));
            }
            memory_free(content);
            buffer_release(&block);
        }
    }
    compressor_release(&zstd);
}

/* Before any memory is asked for. */
static void huge_claims_are_refused_at_once(void **state)
{
    (void)state;
    static const uint32_t claims[] = {2551, 1 << 20, BLOCK_RAW_BYTES_MAX, UINT32_MAX};
    uint64_t tried = memory_try_count();
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        uint8_t block[BLOCK_HEAD_BYTES + 10] = {BLOCK_ROWS, COMPRESSION_LZ4};
        enum block_kind kind;
        uint8_t *raw = NULL;
        size_t size = 0;
        le32_store(block + 2, 10);
        le32_store(block + 6, claims[i]);
        assert_int_equal(block_unseal(slice_make(block, sizeof(block)), 0, &kind, &raw, &size),
                         STATUS_CORRUPT);
        le32_store(block + 2, claims[i]); /* stored bytes that are not there */
        le32_store(block + 6, BLOCK_RAW_BYTES_MAX);
        assert_int_equal(block_unseal(slice_make(block, sizeof(block)), 0, &kind, &raw, &size),
                         STATUS_CORRUPT);
    }
    assert_true(memory_try_count() == tried);
}

/* The checksum holds, what it covers is no LZ4. */
static void compressed_bytes_that_do_not_unfold_are_refused(void **state)
{
    (void)state;
    static const char content[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff";
    uint8_t block[BLOCK_HEAD_BYTES + 10] = {BLOCK_ROWS, COMPRESSION_LZ4}, place[8];
    enum block_kind kind;
    uint8_t *raw = NULL;
    size_t size = 0;
    for (uint32_t raw_bytes = 11; raw_bytes < 200; raw_bytes += 50) {
        le32_store(block + 2, 10);
        le32_store(block + 6, raw_bytes);
        memcpy(block + BLOCK_HEAD_BYTES, content, 10);
        le64_store(place, 77);
        uint32_t crc = crc32c_extend(crc32c(place, sizeof(place)), block, 10);
        le32_store(block + 10, crc32c_mask(crc32c_extend(crc, content, 10)));
        assert_int_equal(block_unseal(slice_make(block, sizeof(block)), 77, &kind, &raw, &size),
                         STATUS_CORRUPT);
        assert_null(raw);
    }
}

/* The library may compress it in another way one day; what it once made, it unfolds. */
static void the_example_of_the_document_unfolds_to_its_rows(void **state)
{
    (void)state;
    struct buffer block = {0};
    struct rows_builder rows;
    uint8_t value[300], *raw = NULL;
    size_t raw_bytes = 0;
    enum block_kind kind;
    if (!compression_is_known(COMPRESSION_ZSTD))
        skip();
    memset(value, 'x', sizeof(value));
    rows_builder_init(&rows, ROWS_RESTART_INTERVAL);
    rows_builder_add(&rows, slice_from("log:a"), 1000, ENTRY_PUT, slice_make(value, sizeof(value)));
    format_example_read("### Example: a block of Zstandard", &block);
    assert_int_equal(block_unseal(buffer_slice(&block), 0, &kind, &raw, &raw_bytes), STATUS_OK);
    assert_int_equal(kind, BLOCK_ROWS);
    assert_true(slice_equal(slice_make(raw, raw_bytes), rows_builder_finish(&rows)));
    memory_free(raw);
    buffer_release(&block);
    rows_builder_release(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_block_comes_back),
        cmocka_unit_test(block_is_sound_at_its_own_place_only),
        cmocka_unit_test(compressed_bytes_that_do_not_unfold_are_refused),
        cmocka_unit_test(impossible_heads_are_refused),
        cmocka_unit_test(encoded_content_comes_back_as_it_is),
        cmocka_unit_test(an_encoded_block_unfolds_within_what_its_bytes_can_fill),
        cmocka_unit_test(huge_claims_are_refused_at_once),
        cmocka_unit_test(the_example_of_the_document_unfolds_to_its_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
