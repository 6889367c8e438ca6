/* SPDX-License-Identifier: MIT */
/* What tables with blocks of Zstandard have beside others: a version, a name in the properties, programs that do not
 * know it. test_table.c builds, reads, flips and truncates them. */
#include "base/coding.h"
#include "base/memory.h"
#include "base/random.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"
#include "lsm/block_cache.h"
#include "lsm/rows.h"
#include "lsm/table_reader.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PATH "000007.cwt"
enum { ROWS = 500, VALUE_BYTES = 100 };

struct fixture {
    struct vfs *memory;
    struct env env;
    struct random random;
};

static int setup(void **state)
{
    struct fixture *f = memory_zeroed(1, sizeof(*f));
    f->memory = vfs_memory_create();
    f->env = memory_env(f->memory);
    random_init(&f->random, test_seed());
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vfs_destroy(f->memory);
    memory_free(f);
    return 0;
}

static void skip_without_zstd(void)
{
    if (!lsm_has_zstd())
        skip();
}

static void build(struct fixture *f, const struct table_options *options, bool noise)
{
    struct table_builder *builder = NULL;
    struct table_properties properties = {0};
    uint8_t value[VALUE_BYTES];
    char key[16];
    assert_int_equal(table_builder_create(&f->env, PATH, options, &builder), STATUS_OK);
    for (unsigned i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "key:%06u", i);
        for (size_t at = 0; at < sizeof(value); at++)
            value[at] = noise ? (uint8_t)random_next(&f->random) : "abc"[at % 3];
        assert_int_equal(table_builder_add(builder, slice_from(key), 9, ENTRY_PUT,
                                           slice_make(value, sizeof(value))),
                         STATUS_OK);
    }
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_properties_release(&properties);
    table_builder_destroy(builder);
}

static uint32_t file_version(struct fixture *f)
{
    struct buffer bytes = {0};
    assert_int_equal(vfs_read_file(f->memory, PATH, 1 << 20, &bytes), STATUS_OK);
    uint32_t version = le32_load(bytes.data + bytes.size - 16);
    buffer_release(&bytes);
    return version;
}

/* Compressions of the blocks in the file, by their kinds. */
static void find_compressions(struct fixture *f, unsigned counts[BLOCK_DICTIONARY + 1][3])
{
    struct buffer bytes = {0};
    struct block_head head;
    assert_int_equal(vfs_read_file(f->memory, PATH, 1 << 20, &bytes), STATUS_OK);
    for (struct slice left = buffer_slice(&bytes); block_head_parse(left, &head);
         left = slice_skip(left, BLOCK_HEAD_BYTES + head.stored_bytes))
        counts[head.kind][head.compression]++;
    buffer_release(&bytes);
}

static void rows_and_the_dictionary_are_compressed_by_it_and_nothing_else_is(void **state)
{
    struct fixture *f = *state;
    unsigned counts[BLOCK_DICTIONARY + 1][3] = {{0}};
    struct table_options options = {
        .block_bytes = 2000, .filter_bits_per_key = 10, .compression = LSM_ZSTD};
    skip_without_zstd();
    build(f, &options, false);
    find_compressions(f, counts);
    assert_true(counts[BLOCK_ROWS][COMPRESSION_ZSTD] > 10);
    assert_int_equal(counts[BLOCK_ROWS][COMPRESSION_LZ4], 0);
    options.codec = &prefix_codec;
    build(f, &options, false);
    find_compressions(f, counts);
    assert_true(counts[BLOCK_ENCODED][COMPRESSION_ZSTD] > 10);
    for (int kind = BLOCK_INDEX; kind <= BLOCK_PROPERTIES; kind++)
        assert_int_equal(counts[kind][COMPRESSION_ZSTD], 0);
}

static void tables_that_need_zstandard_are_of_version_three(void **state)
{
    struct fixture *f = *state;
    struct lsm_report report = {""};
    skip_without_zstd();
    for (int encoded = 0; encoded < 2; encoded++) {
        struct table_options options = {.compression = LSM_ZSTD,
                                        .codec = encoded ? &prefix_codec : NULL};
        build(f, &options, false);
        assert_int_equal(file_version(f), TABLE_VERSION_COMPRESSED);
        assert_int_equal(table_verify(&f->env, PATH, prefix_codecs, &report), STATUS_OK);
        options.compression = LSM_LZ4;
        build(f, &options, false);
        assert_int_equal(file_version(f), encoded ? TABLE_VERSION_ENCODED : TABLE_VERSION);
    }
}

/* Nothing in it needs Zstandard, so that programs without it, and older ones, read it. */
static void a_table_that_gained_nothing_by_zstandard_is_one_of_rows(void **state)
{
    struct fixture *f = *state;
    struct lsm_report report = {""};
    const struct table_options options = {.compression = LSM_ZSTD, .compression_level = 1},
                               plain = {.compression = LSM_ZSTD, .uncompressed = true};
    for (int i = 0; i < 2; i++) {
        build(f, i ? &plain : &options, i == 0);
        assert_int_equal(file_version(f), TABLE_VERSION);
        compression_hide_zstd(true);
        enum status status = table_verify(&f->env, PATH, NULL, &report);
        compression_hide_zstd(false);
        assert_int_equal(status, STATUS_OK);
    }
}

static void a_program_without_zstandard_refuses_its_tables(void **state)
{
    struct fixture *f = *state;
    struct lsm_report report = {""};
    struct table *table = NULL;
    const struct table_options options = {.compression = LSM_ZSTD};
    skip_without_zstd();
    build(f, &options, false);
    compression_hide_zstd(true);
    enum status opened = table_open(&f->env, PATH, 7, NULL, NULL, false, &report, &table);
    enum status without_report = table_open(&f->env, PATH, 7, NULL, NULL, false, NULL, &table);
    enum status verified = table_verify(&f->env, PATH, NULL, &report);
    compression_hide_zstd(false);
    assert_null(table);
    assert_int_equal(opened, STATUS_UNSUPPORTED);
    assert_int_equal(without_report, STATUS_UNSUPPORTED);
    assert_int_equal(verified, STATUS_UNSUPPORTED);
    assert_non_null(strstr(report.text, PATH));
    assert_non_null(strstr(report.text, "compressed by Zstandard, which this program was built"));
    assert_int_equal(table_verify(&f->env, PATH, NULL, &report), STATUS_OK);
}

/* ---- Tables that no builder made ------------------------------------------------------------ */

enum twist {
    NO_TWIST,
    NAME_WITHOUT_THE_VERSION,
    VERSION_WITHOUT_A_NAME,
    BLOCKS_WITHOUT_NAME_AND_VERSION,
    A_LATER_COMPRESSION,
};

static struct block_handle put_block(struct buffer *file, enum block_kind kind,
                                     struct compressor *compressor, struct slice raw)
{
    struct block_handle handle = {.offset = file->size};
    block_seal(file, kind, compressor, raw, handle.offset);
    handle.stored_bytes = (uint32_t)(file->size - handle.offset);
    return handle;
}

/* One row, `key` = 300 times x; `below`: an index that names that block under its key. */
static struct block_handle put_row(struct buffer *file, struct compressor *compressor,
                                   const struct block_handle *below)
{
    uint8_t value[300];
    struct rows_builder rows;
    size_t size = sizeof(value);
    memset(value, 'x', sizeof(value));
    if (below)
        size = block_handle_encode(*below, value);
    rows_builder_init(&rows, ROWS_RESTART_INTERVAL);
    rows_builder_add(&rows, slice_from("key"), below ? 0 : 9, ENTRY_PUT, slice_make(value, size));
    struct block_handle handle =
        put_block(file, below ? BLOCK_INDEX : BLOCK_ROWS, compressor, rows_builder_finish(&rows));
    rows_builder_release(&rows);
    return handle;
}

static void make(struct fixture *f, enum twist twist)
{
    struct compressor zstd = {.compression = COMPRESSION_ZSTD, .level = 3};
    struct buffer file = {0}, raw = {0};
    uint8_t end[TABLE_FOOTER_BYTES];
    struct block_handle data = put_row(&file, &zstd, NULL);
    struct block_handle leaf = put_row(&file, NULL, &data);
    struct table_file_properties properties = {
        .shared = {.entry_count = 1, .raw_bytes = 303, .lsn_min = 9, .lsn_max = 9},
        .options = {.block_bytes = 4096},
        .data_bytes = file.size,
        .block_count = 1,
        .compression = twist == A_LATER_COMPRESSION ? 77 : COMPRESSION_ZSTD,
    };
    struct table_footer footer = {.version = TABLE_VERSION_COMPRESSED};
    if (twist == VERSION_WITHOUT_A_NAME || twist == BLOCKS_WITHOUT_NAME_AND_VERSION)
        properties.compression = 0;
    if (twist == NAME_WITHOUT_THE_VERSION || twist == BLOCKS_WITHOUT_NAME_AND_VERSION)
        footer.version = TABLE_VERSION;
    buffer_append_text(&properties.shared.smallest, "key");
    buffer_append_text(&properties.shared.largest, "key");
    footer.top_index = put_row(&file, NULL, &leaf);
    table_file_properties_encode(&properties, &raw);
    footer.properties = put_block(&file, BLOCK_PROPERTIES, NULL, buffer_slice(&raw));
    table_footer_encode(&footer, end);
    buffer_append(&file, end, sizeof(end));
    struct vfs_file *out = NULL;
    assert_int_equal(vfs_open(f->memory, PATH, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &out),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(out, 0, file.data, file.size), STATUS_OK);
    vfs_close(out);
    table_properties_release(&properties.shared);
    compressor_release(&zstd);
    buffer_release(&raw);
    buffer_release(&file);
}

static void version_and_name_go_together(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum twist twist;
        enum status status;
        const char *finding;
    } expected[] = {
        {NO_TWIST, STATUS_OK, ""},
        {NAME_WITHOUT_THE_VERSION, STATUS_CORRUPT, "properties are malformed"},
        {VERSION_WITHOUT_A_NAME, STATUS_CORRUPT, "properties are malformed"},
        {BLOCKS_WITHOUT_NAME_AND_VERSION, STATUS_CORRUPT, "properties differ from the content"},
        {A_LATER_COMPRESSION, STATUS_UNSUPPORTED, "compressed by method 77, which this program"},
    };
    skip_without_zstd();
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        struct lsm_report report = {""};
        make(f, expected[i].twist);
        assert_int_equal(table_verify(&f->env, PATH, NULL, &report), expected[i].status);
        assert_non_null(strstr(report.text, expected[i].finding));
    }
}

/* Its open could not know: the table names nothing. */
static void a_block_of_zstandard_is_no_damage_to_a_program_without_it(void **state)
{
    struct fixture *f = *state;
    const struct table_read read = {0};
    struct table *table = NULL;
    struct slice value;
    struct block_pin pin = {NULL};
    enum entry_kind kind;
    lsn_t lsn;
    skip_without_zstd();
    make(f, BLOCKS_WITHOUT_NAME_AND_VERSION);
    assert_int_equal(table_open(&f->env, PATH, 7, NULL, NULL, false, NULL, &table), STATUS_OK);
    compression_hide_zstd(true);
    enum status status = table_get(table, slice_from("key"), 9, &read, &kind, &lsn, &value, &pin);
    compression_hide_zstd(false);
    assert_int_equal(status, STATUS_UNSUPPORTED);
    assert_null(pin.block);
    assert_int_equal(table_get(table, slice_from("key"), 9, &read, &kind, &lsn, &value, &pin),
                     STATUS_OK);
    assert_int_equal(value.size, 300);
    block_unpin(&pin);
    table_close(table);
}

#define compressed_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        compressed_test(rows_and_the_dictionary_are_compressed_by_it_and_nothing_else_is),
        compressed_test(tables_that_need_zstandard_are_of_version_three),
        compressed_test(a_table_that_gained_nothing_by_zstandard_is_one_of_rows),
        compressed_test(a_program_without_zstandard_refuses_its_tables),
        compressed_test(version_and_name_go_together),
        compressed_test(a_block_of_zstandard_is_no_damage_to_a_program_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
