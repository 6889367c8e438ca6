/* SPDX-License-Identifier: MIT */
/* What compactions of time runs write is laid out and compressed as the tree wants its cold tables; what flushes and
 * other compactions write is not. */
#include "base/memory.h"
#include "lib/prefix_codec.h"
#include "lsm/db.h"
#include "lsm/table_format.h"
#include "lsm/version_set.h"
#include "unit/lsm/db_fixture.h"

enum { ROWS = 400, BLOCK_BYTES = 512, COLD_BLOCK_BYTES = 8192 };

/* Of all tables of one level of a tree. */
struct tables {
    unsigned count;
    unsigned
        blocks[COMPRESSION_ZSTD + 1];  /* of rows, encoded or not, by what they are compressed by */
    uint32_t block_bytes, compression; /* as the properties say; the same in all */
};

static void look_at_properties(struct slice block, uint64_t offset, struct tables *tables)
{
    struct table_file_properties properties = {{0}};
    enum block_kind kind;
    uint8_t *raw;
    size_t raw_bytes;
    assert_int_equal(block_unseal(block, offset, &kind, &raw, &raw_bytes), STATUS_OK);
    assert_int_equal(table_file_properties_decode(slice_make(raw, raw_bytes), &properties),
                     STATUS_OK);
    if (tables->count++ > 0)
        assert_true(tables->block_bytes == properties.options.block_bytes &&
                    tables->compression == properties.compression);
    tables->block_bytes = properties.options.block_bytes;
    tables->compression = properties.compression;
    table_properties_release(&properties.shared);
    memory_free(raw);
}

static void look_at_file(struct db_fixture *f, uint64_t number, struct tables *tables)
{
    char path[64];
    struct buffer bytes = {0};
    struct block_head head;
    uint64_t offset = 0;
    table_path("db", number, path, sizeof(path));
    assert_int_equal(vfs_read_file(f->memory, path, 1 << 24, &bytes), STATUS_OK);
    for (struct slice left = buffer_slice(&bytes); block_head_parse(left, &head);) {
        size_t size = BLOCK_HEAD_BYTES + head.stored_bytes;
        if (head.kind == BLOCK_ROWS || head.kind == BLOCK_ENCODED)
            tables->blocks[head.compression]++;
        if (head.kind == BLOCK_PROPERTIES)
            look_at_properties(slice_make(left.data, size), offset, tables);
        left = slice_skip(left, size);
        offset += size;
    }
    buffer_release(&bytes);
}

static struct tables look_at(struct db_fixture *f, unsigned tree, bool flushed)
{
    struct tables tables = {0};
    struct version *version = version_set_current(f->db->versions);
    for (unsigned depth = flushed ? 0 : 1; depth < (flushed ? 1 : LSM_LEVELS_MAX); depth++)
        for (size_t i = 0; i < version->trees[tree].levels[depth].count; i++)
            look_at_file(f, version->trees[tree].levels[depth].tables[i]->number, &tables);
    version_unref(version);
    return tables;
}

/* Rows that prefix_codec encodes. */
static void put_rows(struct db_fixture *f, unsigned tree, int from)
{
    for (int i = from; i < from + ROWS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%06d", i);
        db_fixture_put(f, tree, key,
                       "a value that is of some length, of some length, of some length");
    }
}

static void open_with(struct db_fixture *f, enum lsm_compression compression,
                      uint32_t cold_block_bytes, const struct block_codec *codec)
{
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    for (unsigned tree = 0; tree < 2; tree++) {
        struct lsm_tree_options *options = &f->options.trees[tree];
        options->block_bytes = BLOCK_BYTES;
        options->codec = codec;
        options->cold_compression = compression;
        options->cold_level = 1;
        options->cold_block_bytes = cold_block_bytes;
    }
    db_fixture_open(f);
}

static void assert_all_rows(struct db_fixture *f, unsigned tree, int end)
{
    struct lsm_iter_options all = {0};
    int count = 0;
    lsm_read_begin(f->reader);
    struct lsm_iter *iter = lsm_iter_open(f->reader, tree, &all);
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter), count++) {
        char key[16];
        snprintf(key, sizeof(key), "key:%06d", count);
        assert_true(slice_equal(lsm_iter_key(iter), slice_from(key)));
    }
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    assert_int_equal(count, end);
    lsm_iter_close(iter);
    lsm_read_end(f->reader);
}

static void merged_runs_are_cold_flushed_ones_and_levels_are_not(void **state)
{
    struct db_fixture *f = *state;
    if (!lsm_has_zstd())
        skip();
    for (int encoded = 0; encoded < 2; encoded++) {
        open_with(f, LSM_ZSTD, COLD_BLOCK_BYTES, encoded ? &prefix_codec : NULL);
        for (int i = 0; i < 2; i++) {
            put_rows(f, 0, i * ROWS);
            put_rows(f, 1, i * ROWS);
            db_fixture_work(f, false);
        }
        const struct tables flushed = look_at(f, 1, true);
        assert_true(flushed.count > 0);
        assert_true(flushed.blocks[COMPRESSION_LZ4] > 10);
        assert_int_equal(flushed.blocks[COMPRESSION_ZSTD], 0);
        assert_int_equal(flushed.block_bytes, BLOCK_BYTES);
        db_fixture_work(f, true);
        const struct tables cold = look_at(f, 1, false), leveled = look_at(f, 0, false);
        assert_int_equal(cold.count, 1);
        assert_int_equal(cold.compression, COMPRESSION_ZSTD);
        assert_int_equal(cold.block_bytes, COLD_BLOCK_BYTES);
        assert_true(cold.blocks[COMPRESSION_ZSTD] > 1);
        assert_int_equal(cold.blocks[COMPRESSION_LZ4], 0);
        assert_true(leveled.count > 0);
        assert_int_equal(leveled.compression, 0);
        assert_int_equal(leveled.block_bytes, BLOCK_BYTES);
        assert_all_rows(f, 0, 2 * ROWS);
        assert_all_rows(f, 1, 2 * ROWS);
    }
}

static void lz4_may_have_larger_blocks_in_cold_tables_too(void **state)
{
    struct db_fixture *f = *state;
    open_with(f, LSM_LZ4, COLD_BLOCK_BYTES, NULL);
    for (int i = 0; i < 2; i++) {
        put_rows(f, 1, i * ROWS);
        db_fixture_work(f, false);
    }
    db_fixture_work(f, true);
    const struct tables cold = look_at(f, 1, false);
    assert_int_equal(cold.block_bytes, COLD_BLOCK_BYTES);
    assert_int_equal(cold.compression, 0);
    assert_all_rows(f, 1, 2 * ROWS);
}

/* The option is for what is written from now on: tables of both kinds are read beside each other. */
static void the_option_may_come_and_go(void **state)
{
    struct db_fixture *f = *state;
    int end = 0;
    if (!lsm_has_zstd())
        skip();
    for (int round = 0; round < 4; round++) {
        open_with(f, round % 2 ? LSM_ZSTD : LSM_LZ4, 0, &prefix_codec);
        for (int i = 0; i < 2; i++, end += ROWS) {
            put_rows(f, 1, end);
            db_fixture_work(f, false);
        }
        if (round < 3)
            db_fixture_work(f, true);
        assert_all_rows(f, 1, end);
    }
    assert_int_equal(look_at(f, 1, false).block_bytes, BLOCK_BYTES); /* of round 2 */
    db_fixture_work(f, true);
    const struct tables cold = look_at(f, 1, false);
    assert_int_equal(cold.compression, COMPRESSION_ZSTD);
    assert_int_equal(cold.block_bytes, 128 << 10);
    assert_all_rows(f, 1, end);
}

static void cold_tables_have_defaults(void **state)
{
    (void)state;
    struct lsm_tree_options tree = {.block_bytes = 4096, .filter_bits_per_key = 7};
    struct table_options cold = table_options_of_cold(&tree);
    assert_int_equal(cold.block_bytes, 4096);
    assert_int_equal(cold.compression, LSM_LZ4);
    assert_int_equal(cold.filter_bits_per_key, 7);
    tree.cold_compression = LSM_ZSTD;
    tree.cold_level = 6;
    cold = table_options_of_cold(&tree);
    assert_int_equal(cold.block_bytes, 128 << 10);
    assert_int_equal(cold.compression, LSM_ZSTD);
    assert_int_equal(cold.compression_level, 6);
    tree.cold_block_bytes = 64 << 10;
    assert_int_equal(table_options_of_cold(&tree).block_bytes, 64 << 10);
    assert_int_equal(table_options_of(&tree).compression, LSM_LZ4);
}

#define cold_test(name) cmocka_unit_test_setup_teardown(name, db_fixture_setup, db_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cold_test(merged_runs_are_cold_flushed_ones_and_levels_are_not),
        cold_test(lz4_may_have_larger_blocks_in_cold_tables_too),
        cold_test(the_option_may_come_and_go),
        cmocka_unit_test(cold_tables_have_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
