/* SPDX-License-Identifier: MIT */
/* What tables with encoded blocks have beside rows: a codec that must be known, a dictionary that
 * lives in the block cache, and their own ways to be damaged. test_table.c builds, reads, flips and
 * truncates them. */
#include "base/coding.h"
#include "base/memory.h"
#include "lib/prefix_codec.h"
#include "lsm/table_reader.h"
#include "unit/lsm/format_example.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PATH "000007.cwt"
enum { ROWS = 2000, BASE = 1000 };

struct fixture {
    struct vfs *memory, *vfs; /* vfs: the fault-injecting one above */
    struct env env;
    struct block_cache *cache;
};

static int setup(void **state)
{
    struct fixture *f = memory_zeroed(1, sizeof(*f));
    f->memory = vfs_memory_create();
    f->vfs = vfs_fault_create(f->memory);
    f->env = memory_env(f->vfs);
    f->cache = block_cache_create(1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    block_cache_destroy(f->cache);
    vfs_destroy(f->vfs);
    vfs_destroy(f->memory);
    memory_free(f);
    return 0;
}

static struct slice numbered_key(char text[16], unsigned i)
{
    snprintf(text, 16, "key:%06u", i % 1000000);
    return slice_make(text, 10);
}

/* Rows of one LSN, without deletions. */
static void build(struct fixture *f, const struct block_codec *codec)
{
    const struct table_options options = {.block_bytes = 500, .codec = codec};
    struct table_builder *builder = NULL;
    struct table_properties properties = {0};
    char key[16];
    assert_int_equal(table_builder_create(&f->env, PATH, &options, &builder), STATUS_OK);
    for (unsigned i = 0; i < ROWS; i++)
        assert_int_equal(table_builder_add(builder, numbered_key(key, i), BASE, ENTRY_PUT,
                                           slice_from("a value of a row")),
                         STATUS_OK);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_properties_release(&properties);
    table_builder_destroy(builder);
}

static struct table *open_table(struct fixture *f)
{
    struct table *table = NULL;
    struct lsm_report report = {""};
    if (table_open(&f->env, PATH, 7, f->cache, prefix_codecs, false, &report, &table) != STATUS_OK)
        fail_msg("%s", report.text);
    return table;
}

static enum status get(struct table *table, unsigned i, const struct table_read *read)
{
    char key[16];
    enum entry_kind kind;
    lsn_t lsn;
    struct slice value;
    struct block_pin pin = {NULL};
    enum status status =
        table_get(table, numbered_key(key, i), UINT64_MAX, read, &kind, &lsn, &value, &pin);
    if (status == STATUS_OK) {
        assert_true(slice_equal(value, slice_from("a value of a row")));
        assert_int_equal(lsn, BASE);
    }
    block_unpin(&pin);
    return status;
}

/* How many rows a cursor shows, all of whose values have this size. */
static unsigned count_values(struct table *table, const struct table_read *read, size_t size)
{
    struct cursor *cursor = table_cursor_create(table, read);
    unsigned count = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) {
        count += cursor->value.size == size;
        assert_memory_equal(cursor->value.data, "a value of a row", cursor->value.size);
    }
    assert_int_equal(cursor->status, STATUS_OK);
    cursor->ops->destroy(cursor);
    return count;
}

static uint64_t cache_bytes(struct fixture *f)
{
    struct block_cache_stats stats;
    block_cache_get_stats(f->cache, &stats);
    return stats.bytes;
}

static uint32_t file_version(struct fixture *f)
{
    struct buffer bytes = {0};
    assert_int_equal(vfs_read_file(f->vfs, PATH, 1 << 20, &bytes), STATUS_OK);
    uint32_t version = le32_load(bytes.data + bytes.size - 16);
    buffer_release(&bytes);
    return version;
}

/* ---- Heads ----------------------------------------------------------------------------------- */

static const struct table_read whole = {0}, heads = {.heads = true};

/* Heads are kept beside the whole blocks, and neither is taken for the other. */
static void heads_are_decoded_alone_and_kept_apart(void **state)
{
    struct fixture *f = *state;
    build(f, &prefix_codec);
    struct table *table = open_table(f);
    size_t size = strlen("a value of a row");
    uint64_t before = cache_bytes(f);
    assert_int_equal(count_values(table, &heads, PREFIX_HEAD_BYTES), ROWS);
    uint64_t heads_bytes = cache_bytes(f) - before;
    assert_int_equal(count_values(table, &whole, size), ROWS);
    assert_true(cache_bytes(f) - before - heads_bytes > heads_bytes);
    for (unsigned i = 0; i < ROWS; i += 11)
        assert_int_equal(get(table, i, &whole), STATUS_OK);
    /* What is whole and at hand is not decoded again. */
    uint64_t both = cache_bytes(f);
    assert_int_equal(count_values(table, &heads, size), ROWS);
    assert_int_equal(cache_bytes(f), both);
    table_close(table);
    block_cache_erase_table(f->cache, 7);
    table = open_table(f);
    assert_int_equal(count_values(table, &heads, PREFIX_HEAD_BYTES), ROWS); /* all is gone */
    table_close(table);
}

static void heads_that_are_at_hand_are_not_read_again(void **state)
{
    struct fixture *f = *state;
    struct block_cache_stats before, after;
    build(f, &prefix_codec);
    struct table *table = open_table(f);
    assert_int_equal(count_values(table, &heads, PREFIX_HEAD_BYTES), ROWS);
    block_cache_get_stats(f->cache, &before);
    assert_int_equal(count_values(table, &heads, PREFIX_HEAD_BYTES), ROWS);
    block_cache_get_stats(f->cache, &after);
    assert_int_equal(after.inserts, before.inserts);
    assert_int_equal(after.misses, before.misses); /* that there are no whole ones is none */
    table_close(table);
}

/* Rows have no heads, and a codec need not know any. */
static void without_heads_the_whole_is_told(void **state)
{
    struct fixture *f = *state;
    struct block_codec headless = prefix_codec;
    const struct block_codec *const codecs[] = {&headless, NULL};
    struct lsm_report report;
    size_t size = strlen("a value of a row");
    build(f, NULL);
    struct table *table = open_table(f);
    assert_int_equal(count_values(table, &heads, size), ROWS);
    table_close(table);
    block_cache_erase_table(f->cache, 7);
    headless.decode_heads = NULL;
    build(f, &headless);
    assert_int_equal(table_open(&f->env, PATH, 7, f->cache, codecs, false, &report, &table),
                     STATUS_OK);
    assert_int_equal(count_values(table, &heads, size), ROWS);
    table_close(table);
}

/* ---- Codecs -------------------------------------------------------------------------------- */

static void encoded_tables_are_of_version_two(void **state)
{
    struct fixture *f = *state;
    struct lsm_report report = {""};
    build(f, NULL);
    assert_int_equal(file_version(f), TABLE_VERSION);
    build(f, &prefix_codec);
    assert_int_equal(file_version(f), TABLE_VERSION_ENCODED);
    assert_int_equal(table_verify(&f->env, PATH, prefix_codecs, &report), STATUS_OK);
}

static bool never_encode(void *encoder, const struct block_codec_row *rows, size_t count,
                         struct buffer *out)
{
    (void)encoder;
    (void)rows;
    (void)count;
    (void)out;
    return false;
}

/* Programs that know no codec read it. */
static void a_table_of_rows_alone_names_no_codec(void **state)
{
    struct fixture *f = *state;
    struct block_codec unwilling = prefix_codec;
    struct lsm_report report = {""};
    unwilling.encode = never_encode;
    build(f, &unwilling);
    assert_int_equal(file_version(f), TABLE_VERSION);
    assert_int_equal(table_verify(&f->env, PATH, NULL, &report), STATUS_OK);
    struct table *table = open_table(f);
    assert_int_equal(get(table, 77, &(struct table_read){0}), STATUS_OK);
    table_close(table);
}

static void a_table_of_an_unknown_codec_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct block_codec other = prefix_codec;
    other.name = "other";
    const struct block_codec *const others[] = {&other, NULL};
    const struct block_codec *const *const lists[] = {NULL, others, others + 1};
    build(f, &prefix_codec);
    for (size_t i = 0; i < 3; i++) {
        struct lsm_report report = {""};
        struct table *table = NULL;
        assert_int_equal(table_open(&f->env, PATH, 7, f->cache, lists[i], false, &report, &table),
                         STATUS_UNSUPPORTED);
        assert_null(table);
        assert_non_null(strstr(report.text, PATH));
        assert_non_null(strstr(report.text, "'prefix'"));
        assert_int_equal(table_verify(&f->env, PATH, lists[i], &report), STATUS_UNSUPPORTED);
        assert_int_equal(table_open(&f->env, PATH, 7, f->cache, lists[i], false, NULL, &table),
                         STATUS_UNSUPPORTED);
    }
}

/* ---- The dictionary ------------------------------------------------------------------------ */

static unsigned opened, closed;
static enum status counted_open(struct slice bytes, void **dictionary, size_t *memory_bytes)
{
    opened++;
    return prefix_codec.dictionary_open(bytes, dictionary, memory_bytes);
}
static void counted_close(void *dictionary)
{
    closed++;
    prefix_codec.dictionary_close(dictionary);
}

static struct table *open_counted(struct fixture *f, struct block_codec *counted)
{
    const struct block_codec *const codecs[] = {counted, NULL};
    struct table *table = NULL;
    *counted = prefix_codec;
    counted->dictionary_open = counted_open;
    counted->dictionary_close = counted_close;
    opened = closed = 0;
    build(f, &prefix_codec);
    assert_int_equal(table_open(&f->env, PATH, 7, f->cache, codecs, false, NULL, &table),
                     STATUS_OK);
    return table;
}

static void the_dictionary_is_read_with_the_first_block_and_goes_with_the_table(void **state)
{
    struct fixture *f = *state;
    struct block_codec counted;
    struct table *table = open_counted(f, &counted);
    const struct table_read read = {0};
    assert_int_equal(opened, 0);
    for (unsigned i = 0; i < ROWS; i += 7)
        assert_int_equal(get(table, i, &read), STATUS_OK);
    assert_int_equal(opened, 1);
    assert_int_equal(closed, 0);
    table_close(table);
    block_cache_erase_table(f->cache, 7);
    assert_int_equal(closed, 1);
}

/* It counts as a block does, and is read again when it was pushed out. */
static void the_dictionary_is_charged_and_evicted(void **state)
{
    struct fixture *f = *state;
    struct block_codec counted;
    struct table *table = open_counted(f, &counted);
    const struct table_read read = {0}, scan = {.keep_cache = true};
    struct block_cache_stats before, after;
    block_cache_get_stats(f->cache, &before);
    assert_int_equal(get(table, 1, &scan), STATUS_OK);
    block_cache_get_stats(f->cache, &after);
    assert_int_equal(after.inserts - before.inserts, 1); /* the dictionary alone */
    assert_true(after.bytes > before.bytes);
    block_cache_set_capacity(f->cache, 0);
    block_cache_get_stats(f->cache, &after);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(closed, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(get(table, i * 20, &read), STATUS_OK);
    assert_true(opened > 1);
    table_close(table);
    block_cache_erase_table(f->cache, 7);
    assert_int_equal(opened, closed);
}

/* Without a cache each block opens it for itself. */
static void a_table_without_a_cache_keeps_no_dictionary(void **state)
{
    struct fixture *f = *state;
    struct table *table = NULL;
    build(f, &prefix_codec);
    assert_int_equal(table_open(&f->env, PATH, 7, NULL, prefix_codecs, false, NULL, &table),
                     STATUS_OK);
    for (unsigned i = 0; i < ROWS; i += 100)
        assert_int_equal(get(table, i, &(struct table_read){0}), STATUS_OK);
    table_close(table);
}

/* The block comes from memory, the dictionary would have to be read: the fetch brings both. */
static void a_dictionary_that_is_not_in_memory_is_a_miss_of_the_block(void **state)
{
    struct fixture *f = *state;
    build(f, &prefix_codec);
    struct table *table = open_table(f);
    struct table_miss miss = {0};
    const struct table_read nowait = {.nowait = true, .miss = &miss}, wait = {0};
    assert_int_equal(get(table, 0, &wait), STATUS_OK);
    uint64_t dictionary = table->dictionary.offset;
    assert_true(dictionary >= table->data_bytes);
    block_cache_erase_table(f->cache, 7);
    vfs_fault_set_cold(f->vfs, PATH);
    struct block_pin pins[3] = {{NULL}};
    unsigned fetches = 0;
    while (get(table, 0, &nowait) == STATUS_WOULD_BLOCK) {
        assert_true(miss.offset < table->data_bytes);
        assert_true(fetches < 2);
        assert_int_equal(table_fetch(&miss, &pins[fetches++]), STATUS_OK);
    }
    assert_int_equal(fetches, 2); /* a leaf and a block */
    for (int i = 0; i < 3; i++)
        block_unpin(&pins[i]);
    vfs_fault_set_cold(f->vfs, NULL);
    table_close(table);
}

/* Of the nowait reads the second finds no bytes: that of the dictionary. */
static void reads_of_a_dictionary_that_fail_are_told(void **state)
{
    struct fixture *f = *state;
    build(f, &prefix_codec);
    struct table *table = open_table(f);
    static const enum status failures[] = {STATUS_WOULD_BLOCK, STATUS_IO};
    for (int i = 0; i < 2; i++) {
        struct table_miss miss = {0};
        const struct table_read read = {.nowait = i == 0, .miss = &miss};
        block_cache_erase_table(f->cache, 7);
        vfs_fault_fail(f->vfs, 1u << VFS_CALL_READ, 3, failures[i], false);
        assert_int_equal(get(table, 0, &read), failures[i]); /* leaf, block, dictionary */
        vfs_fault_fail(f->vfs, 0, 0, STATUS_OK, false);
        if (i == 0) {
            assert_ptr_equal(miss.table, table);
            assert_int_equal(miss.offset, 0);
            assert_int_equal(table_fetch(&miss, NULL), STATUS_OK);
        }
        assert_int_equal(get(table, 0, &(struct table_read){0}), STATUS_OK);
    }
    table_close(table);
}

/* Of a read, and of verify: each piece of memory in turn is not to be had. */
static void missing_memory_is_told_and_is_no_damage(void **state)
{
    struct fixture *f = *state;
    for (int verifies = 0; verifies < 2; verifies++) {
        uint64_t n = 0;
        enum status status;
        build(f, &prefix_codec);
        struct table *table = open_table(f);
        do {
            struct lsm_report report = {""};
            block_cache_erase_table(f->cache, 7);
            memory_fail_try(++n, false);
            status = verifies ? table_verify(&f->env, PATH, prefix_codecs, &report)
                              : get(table, 7, &(struct table_read){0});
            memory_fail_try(0, false);
            assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        } while (status != STATUS_OK);
        assert_true(n > 6); /* bytes and content of leaf, block, dictionary, and what they become */
        table_close(table);
    }
}

/* ---- Damage behind good checksums ---------------------------------------------------------- */

enum twist {
    NO_TWIST,
    BLOCK_MALFORMED,
    BLOCK_OF_FEWER_BYTES,
    BLOCK_AMONG_ROWS_ONLY, /* in a table that names no codec */
    DICTIONARY_MALFORMED,
    DICTIONARY_OF_ANOTHER_KIND,
    DICTIONARY_IS_MISSING,
    DICTIONARY_AMONG_THE_DATA,
    DICTIONARY_BEYOND_THE_FILE,
    DICTIONARY_WITHOUT_A_CODEC,
    NAME_WITHOUT_THE_VERSION,
    VERSION_WITHOUT_A_NAME,
    BASE_LSN_OF_ANOTHER_ROW,
    TWIST_COUNT
};

static const struct {
    enum twist twist;
    const char *finding;
    bool opens;
} expected[] = {
    {BLOCK_MALFORMED, "offset 0: an encoded block is malformed", true},
    {BLOCK_OF_FEWER_BYTES, "offset 0: an encoded block is malformed", true},
    {BLOCK_AMONG_ROWS_ONLY, "offset 0: a block of another kind", true},
    {DICTIONARY_MALFORMED, "the dictionary is damaged", true},
    {DICTIONARY_OF_ANOTHER_KIND, "the dictionary is damaged", true},
    {DICTIONARY_IS_MISSING, "offset 0: an encoded block is malformed", true},
    {DICTIONARY_AMONG_THE_DATA, "properties are malformed", false},
    {DICTIONARY_BEYOND_THE_FILE, "properties are malformed", false},
    {DICTIONARY_WITHOUT_A_CODEC, "properties are malformed", false},
    {NAME_WITHOUT_THE_VERSION, "properties are malformed", false},
    {VERSION_WITHOUT_A_NAME, "properties are malformed", false},
    {BASE_LSN_OF_ANOTHER_ROW, "properties differ from the content", true},
};
_Static_assert(sizeof(expected) / sizeof(expected[0]) == TWIST_COUNT - 1, "a line for each twist");

static struct block_handle end_block(const struct buffer *file, uint64_t offset)
{
    return (struct block_handle){offset, (uint32_t)(file->size - offset)};
}

static struct block_handle put_block(struct buffer *file, enum block_kind kind, struct slice raw)
{
    uint64_t offset = file->size;
    block_seal(file, kind, NULL, raw, offset);
    return end_block(file, offset);
}

/* The puts key:a and key:b of LSN 9 in one block, their prefix in the dictionary. */
static struct block_handle put_data(struct buffer *file, enum twist twist)
{
    static const char block[] = "\0\x01"
                                "a\x03one\x01"
                                "b\x03two";
    struct slice content = slice_make(block, sizeof(block) - 1);
    if (twist == BLOCK_MALFORMED)
        content.size--;
    block_seal_encoded(file, NULL, content, NULL, twist == BLOCK_OF_FEWER_BYTES ? 17 : 16, 0);
    return end_block(file, 0);
}

static struct block_handle put_index(struct buffer *file, struct block_handle below)
{
    uint8_t value[TABLE_HANDLE_BYTES_MAX];
    struct rows_builder rows;
    rows_builder_init(&rows, 4);
    rows_builder_add(&rows, slice_from("key:b"), 0, ENTRY_PUT,
                     slice_make(value, block_handle_encode(below, value)));
    struct block_handle handle = put_block(file, BLOCK_INDEX, rows_builder_finish(&rows));
    rows_builder_release(&rows);
    return handle;
}

static struct block_handle put_dictionary(struct buffer *file, enum twist twist)
{
    struct block_handle none = {0};
    if (twist == DICTIONARY_IS_MISSING || twist == BLOCK_AMONG_ROWS_ONLY)
        return none;
    if (twist == DICTIONARY_BEYOND_THE_FILE)
        return (struct block_handle){1 << 20, 100};
    if (twist == DICTIONARY_AMONG_THE_DATA)
        return (struct block_handle){0, 30};
    return put_block(file,
                     twist == DICTIONARY_OF_ANOTHER_KIND ? BLOCK_PROPERTIES : BLOCK_DICTIONARY,
                     slice_from(twist == DICTIONARY_MALFORMED ? "key" : "key:"));
}

static struct block_handle put_properties(struct buffer *file, enum twist twist,
                                          uint64_t data_bytes, struct block_handle dictionary)
{
    bool is_named = twist != VERSION_WITHOUT_A_NAME && twist != BLOCK_AMONG_ROWS_ONLY;
    struct table_file_properties properties = {
        .shared = {.entry_count = 2, .raw_bytes = 16, .lsn_min = 9, .lsn_max = 9},
        .options = {.block_bytes = 4096},
        .data_bytes = data_bytes,
        .block_count = 1,
        .codec_name = slice_from(is_named ? "prefix" : ""),
        .dictionary = dictionary,
        .base_lsn = twist == BASE_LSN_OF_ANOTHER_ROW ? 8 : 9,
    };
    struct buffer raw = {0};
    buffer_append_text(&properties.shared.smallest, "key:a");
    buffer_append_text(&properties.shared.largest, "key:b");
    table_file_properties_encode(&properties, &raw);
    if (twist == DICTIONARY_WITHOUT_A_CODEC) { /* the field of the name becomes an unknown one */
        uint8_t *name = memmem(raw.data, raw.size, "\x11\x06prefix", 8);
        assert_non_null(name);
        *name = 99;
    }
    struct block_handle handle = put_block(file, BLOCK_PROPERTIES, buffer_slice(&raw));
    table_properties_release(&properties.shared);
    buffer_release(&raw);
    return handle;
}

static void make(struct fixture *f, enum twist twist)
{
    struct buffer file = {0};
    struct table_footer footer = {0};
    uint8_t end[TABLE_FOOTER_BYTES];
    struct block_handle leaf = put_index(&file, put_data(&file, twist));
    uint64_t data_bytes = file.size;
    struct block_handle dictionary = put_dictionary(&file, twist);
    footer.top_index = put_index(&file, leaf);
    footer.properties = put_properties(&file, twist, data_bytes, dictionary);
    bool is_of_rows = twist == NAME_WITHOUT_THE_VERSION || twist == BLOCK_AMONG_ROWS_ONLY ||
                      twist == DICTIONARY_WITHOUT_A_CODEC;
    footer.version = is_of_rows ? TABLE_VERSION : TABLE_VERSION_ENCODED;
    table_footer_encode(&footer, end);
    buffer_append(&file, end, sizeof(end));
    struct vfs_file *out = NULL;
    assert_int_equal(vfs_open(f->vfs, PATH, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &out),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(out, 0, file.data, file.size), STATUS_OK);
    vfs_close(out);
    buffer_release(&file);
}

static enum status scan(struct table *table)
{
    const struct table_read read = {0};
    struct cursor *cursor = table_cursor_create(table, &read);
    unsigned count = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor)) {
        assert_true(slice_starts_with(cursor->key, slice_from("key:")));
        count++;
    }
    enum status status = cursor->status;
    assert_true(status != STATUS_OK || count == 2);
    cursor->ops->destroy(cursor);
    return status;
}

static void damage_behind_good_checksums_is_told(void **state)
{
    struct fixture *f = *state;
    struct lsm_report report = {""};
    make(f, NO_TWIST);
    if (table_verify(&f->env, PATH, prefix_codecs, &report) != STATUS_OK)
        fail_msg("%s", report.text);
    for (size_t i = 0; i < TWIST_COUNT - 1; i++) {
        struct table *table = NULL;
        block_cache_erase_table(f->cache, 7);
        make(f, expected[i].twist);
        assert_int_equal(table_verify(&f->env, PATH, prefix_codecs, &report), STATUS_CORRUPT);
        if (!strstr(report.text, expected[i].finding))
            fail_msg("twist %d: \"%s\"", expected[i].twist, report.text);
        enum status status =
            table_open(&f->env, PATH, 7, f->cache, prefix_codecs, false, &report, &table);
        assert_int_equal(status, expected[i].opens ? STATUS_OK : STATUS_CORRUPT);
        if (table) {
            bool is_read = expected[i].twist == BASE_LSN_OF_ANOTHER_ROW;
            assert_int_equal(scan(table), is_read ? STATUS_OK : STATUS_CORRUPT);
        }
        table_close(table);
    }
}

/* ---- The document -------------------------------------------------------------------------- */

static void example_of_the_document_is_reproduced(void **state)
{
    struct fixture *f = *state;
    const struct table_options options = {.uncompressed = true, .codec = &prefix_codec};
    struct table_builder *builder = NULL;
    struct table_properties properties = {0};
    struct buffer expected_bytes = {0}, built = {0};
    char key[] = "log:a";
    assert_int_equal(table_builder_create(&f->env, PATH, &options, &builder), STATUS_OK);
    for (; key[4] <= 'p'; key[4]++) {
        bool is_deleted = key[4] == 'b';
        lsn_t lsn = is_deleted ? 1300 : key[4] == 'a' ? 1000 : 1200;
        assert_int_equal(table_builder_add(builder, slice_from(key), lsn,
                                           is_deleted ? ENTRY_DELETE : ENTRY_PUT,
                                           slice_from(is_deleted ? "" : "in")),
                         STATUS_OK);
    }
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    table_properties_release(&properties);
    format_example_read("### Example: an encoded block in a table", &expected_bytes);
    assert_int_equal(vfs_read_file(f->vfs, PATH, 1 << 20, &built), STATUS_OK);
    assert_int_equal(built.size, expected_bytes.size);
    assert_memory_equal(built.data, expected_bytes.data, expected_bytes.size);
    buffer_release(&expected_bytes);
    buffer_release(&built);
}

#define encoded_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        encoded_test(heads_are_decoded_alone_and_kept_apart),
        encoded_test(heads_that_are_at_hand_are_not_read_again),
        encoded_test(without_heads_the_whole_is_told),
        encoded_test(encoded_tables_are_of_version_two),
        encoded_test(a_table_of_rows_alone_names_no_codec),
        encoded_test(a_table_of_an_unknown_codec_is_refused_by_name),
        encoded_test(the_dictionary_is_read_with_the_first_block_and_goes_with_the_table),
        encoded_test(the_dictionary_is_charged_and_evicted),
        encoded_test(a_table_without_a_cache_keeps_no_dictionary),
        encoded_test(a_dictionary_that_is_not_in_memory_is_a_miss_of_the_block),
        encoded_test(reads_of_a_dictionary_that_fail_are_told),
        encoded_test(missing_memory_is_told_and_is_no_damage),
        encoded_test(damage_behind_good_checksums_is_told),
        encoded_test(example_of_the_document_is_reproduced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
