/* SPDX-License-Identifier: MIT */
/* Tables whose checksums all hold and whose content is wrong: put together block by block, each with
 * one twist. No reader crashes on them, verify says what is wrong, and no read gives a wrong entry.
 *
 *   rows a9 b8 | rows c7 d6 | leaf | [filter] top index [range deletions] properties footer */
#include "base/coding.h"
#include "lsm/filter.h"
#include "lsm/table_reader.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PATH "table.cwt"

enum twist {
    NO_TWIST,
    ROW_WITHOUT_LSN,
    ROW_OF_A_RANGE,
    DELETION_WITH_A_VALUE,
    BLOCKS_OUT_OF_ORDER,
    ROWS_MALFORMED,
    ROWS_WITHOUT_FRAME,
    ROWS_CUT_IN_THE_SECOND,
    ROWS_OF_ANOTHER_KIND,
    JUNK_WITHIN_THE_DATA,
    HEAD_BEYOND_THE_DATA,
    ROWS_BEHIND_THE_LEAF,
    LEAF_NAMES_TOO_MANY,
    LEAF_NAMES_TOO_FEW,
    LEAF_ROW_IS_A_DELETION,
    LEAF_ROW_IS_NO_HANDLE,
    LEAF_NAMES_ONE_TWICE,
    LEAF_SEPARATOR_TOO_LOW,
    LEAF_SEPARATOR_TOO_HIGH,
    LEAF_ENDS_EARLY,
    LEAF_MALFORMED,
    LEAF_WITHOUT_FRAME,
    LEAF_MALFORMED_IN_FRONT,
    TOP_IS_MISSING,
    TOP_IS_MALFORMED,
    TOP_IS_OF_ANOTHER_KIND,
    TOP_NAMES_ROWS,
    TOP_ROW_IS_NO_HANDLE,
    JUNK_BEFORE_THE_TOP,
    JUNK_BEFORE_THE_FOOTER,
    FILTER_LACKS_A_KEY,
    FILTER_MALFORMED,
    RANGES_MALFORMED,
    RANGE_THAT_ENDS_BEFORE_IT_BEGINS,
    PROPERTIES_MALFORMED,
    PROPERTIES_COUNT_WRONGLY,
    PROPERTIES_BEYOND_THE_FILE,
    PROPERTIES_ARE_MISSING,
    TWIST_COUNT
};

struct maker {
    enum twist twist;
    struct buffer file;
    struct rows_builder rows;
    struct block_handle data[2], leaf;
};

static struct block_handle put_block(struct maker *m, enum block_kind kind, struct slice raw)
{
    struct block_handle handle = {.offset = m->file.size};
    block_seal(&m->file, kind, NULL, raw, handle.offset);
    handle.stored_bytes = (uint32_t)(m->file.size - handle.offset);
    return handle;
}

static void put_junk(struct maker *m)
{
    buffer_append_text(&m->file, "junk!");
}

/* What the builder holds; `cut`: with its last byte but the restarts' gone wrong. */
static struct block_handle put_rows(struct maker *m, enum block_kind kind, bool damage,
                                    bool frameless)
{
    struct slice raw = rows_builder_finish(&m->rows);
    if (damage)
        m->rows.bytes.data[m->rows.entries_at + 1] = 0x7f; /* a key that leaves the block */
    struct block_handle handle = put_block(m, kind, frameless ? slice_from("no") : raw);
    rows_builder_clear(&m->rows);
    return handle;
}

static void row(struct maker *m, const char *key, lsn_t lsn, enum entry_kind kind,
                const char *value)
{
    rows_builder_add(&m->rows, slice_from(key), lsn, kind, slice_from(value));
}

static void put_data(struct maker *m)
{
    enum twist twist = m->twist;
    bool swapped = twist == BLOCKS_OUT_OF_ORDER;
    row(m, swapped ? "c" : "a", 9, ENTRY_PUT, swapped ? "3" : "1");
    row(m, swapped ? "d" : "b", twist == ROW_WITHOUT_LSN ? 0 : 8,
        twist == ROW_OF_A_RANGE          ? ENTRY_DELETE_RANGE
        : twist == DELETION_WITH_A_VALUE ? ENTRY_DELETE
                                         : ENTRY_PUT,
        swapped ? "4" : "2");
    m->data[0] = put_rows(m, twist == ROWS_OF_ANOTHER_KIND ? BLOCK_FILTER : BLOCK_ROWS,
                          twist == ROWS_MALFORMED, twist == ROWS_WITHOUT_FRAME);
    row(m, swapped ? "a" : "c", 7, ENTRY_PUT, swapped ? "1" : "3");
    row(m, swapped ? "b" : "d", 6, ENTRY_PUT, swapped ? "2" : "4");
    if (twist == ROWS_CUT_IN_THE_SECOND) {
        /* The first row is sound, the second shares more than there is. */
        struct slice raw = rows_builder_finish(&m->rows);
        m->rows.bytes.data[m->rows.entries_at + 6] = 5;
        m->data[1] = put_block(m, BLOCK_ROWS, raw);
        rows_builder_clear(&m->rows);
        return;
    }
    m->data[1] = put_rows(m, BLOCK_ROWS, false, false);
}

static void name(struct maker *m, const char *key, lsn_t lsn, struct block_handle handle)
{
    uint8_t value[TABLE_HANDLE_BYTES_MAX];
    size_t size = block_handle_encode(handle, value);
    rows_builder_add(&m->rows, slice_from(key), lsn, ENTRY_PUT, slice_make(value, size));
}

static void put_leaf(struct maker *m)
{
    enum twist twist = m->twist;
    if (twist == LEAF_MALFORMED_IN_FRONT) {
        rows_builder_release(&m->rows);
        rows_builder_init(&m->rows,
                          1); /* a restart each: the last row is found without the first */
    }
    const char *separator = twist == LEAF_SEPARATOR_TOO_LOW    ? "a"
                            : twist == LEAF_SEPARATOR_TOO_HIGH ? "cc"
                                                               : "b";
    if (twist == LEAF_ROW_IS_A_DELETION)
        row(m, separator, 8, ENTRY_DELETE, "");
    else if (twist == LEAF_ROW_IS_NO_HANDLE)
        row(m, separator, 8, ENTRY_PUT, "\xff");
    else
        name(m, separator, 8, m->data[0]);
    if (twist != LEAF_NAMES_TOO_FEW)
        name(m, twist == LEAF_ENDS_EARLY ? "c" : "d", 6, m->data[twist != LEAF_NAMES_ONE_TWICE]);
    if (twist == LEAF_NAMES_TOO_MANY)
        name(m, "e", 5, m->data[1]);
    bool is_malformed = twist == LEAF_MALFORMED || twist == LEAF_MALFORMED_IN_FRONT;
    m->leaf = put_rows(m, BLOCK_INDEX, is_malformed, twist == LEAF_WITHOUT_FRAME);
}

static struct block_handle put_top(struct maker *m)
{
    enum twist twist = m->twist;
    if (twist == TOP_ROW_IS_NO_HANDLE)
        row(m, "d", 6, ENTRY_PUT, "\xff");
    else
        name(m, "d", 6, twist == TOP_NAMES_ROWS ? m->data[1] : m->leaf);
    return put_rows(m, twist == TOP_IS_OF_ANOTHER_KIND ? BLOCK_ROWS : BLOCK_INDEX,
                    twist == TOP_IS_MALFORMED, false);
}

static struct block_handle put_filter(struct maker *m)
{
    struct filter_builder filter = {0};
    struct buffer bytes = {0};
    for (const char *key = "abd"; *key; key++) /* not c */
        filter_builder_add(&filter, filter_hash(slice_make(key, 1), 0));
    filter_builder_finish(&filter, 20, &bytes);
    if (m->twist == FILTER_MALFORMED)
        bytes.data[bytes.size - 1] = 77; /* a layout of the future */
    struct block_handle handle = put_block(m, BLOCK_FILTER, buffer_slice(&bytes));
    filter_builder_release(&filter);
    buffer_release(&bytes);
    return handle;
}

static struct block_handle put_ranges(struct maker *m)
{
    if (m->twist == RANGE_THAT_ENDS_BEFORE_IT_BEGINS)
        row(m, "y", 5, ENTRY_DELETE_RANGE, "x");
    else
        row(m, "x", 5, ENTRY_DELETE_RANGE, "y");
    return put_rows(m, BLOCK_RANGE_DELETES, m->twist == RANGES_MALFORMED, false);
}

static struct block_handle put_properties(struct maker *m, uint64_t data_bytes)
{
    struct table_file_properties properties = {
        .shared = {.entry_count = m->twist == PROPERTIES_COUNT_WRONGLY ? 5 : 4,
                   .raw_bytes = 8,
                   .lsn_min = 6,
                   .lsn_max = 9},
        .options = {.block_bytes = 4096},
        .data_bytes = m->twist == PROPERTIES_BEYOND_THE_FILE ? 1 << 20 : data_bytes,
        .block_count = 2,
    };
    struct buffer raw = {0};
    buffer_append_text(&properties.shared.smallest, "a");
    buffer_append_text(&properties.shared.largest, "d");
    table_file_properties_encode(&properties, &raw);
    struct slice bytes = buffer_slice(&raw);
    if (m->twist == PROPERTIES_MALFORMED)
        bytes.size--;
    struct block_handle handle = put_block(m, BLOCK_PROPERTIES, bytes);
    table_properties_release(&properties.shared);
    buffer_release(&raw);
    return handle;
}

static void put_file(struct env *env, struct slice bytes)
{
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(env->vfs, PATH, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, bytes.data, bytes.size), STATUS_OK);
    vfs_close(file);
}

static void make(struct env *env, enum twist twist)
{
    struct maker m = {.twist = twist};
    struct table_footer footer = {.version = TABLE_VERSION};
    uint8_t end[TABLE_FOOTER_BYTES];
    rows_builder_init(&m.rows, ROWS_RESTART_INTERVAL);
    put_data(&m);
    put_leaf(&m);
    if (twist == JUNK_WITHIN_THE_DATA)
        put_junk(&m);
    if (twist == ROWS_BEHIND_THE_LEAF) {
        row(&m, "e", 5, ENTRY_PUT, "5");
        put_rows(&m, BLOCK_ROWS, false, false);
    }
    uint64_t data_bytes = m.file.size - (twist == HEAD_BEYOND_THE_DATA ? 3 : 0);
    if (twist == FILTER_LACKS_A_KEY || twist == FILTER_MALFORMED)
        footer.filter = put_filter(&m);
    if (twist == JUNK_BEFORE_THE_TOP)
        put_junk(&m);
    if (twist != TOP_IS_MISSING)
        footer.top_index = put_top(&m);
    if (twist == RANGES_MALFORMED || twist == RANGE_THAT_ENDS_BEFORE_IT_BEGINS)
        footer.range_deletes = put_ranges(&m);
    footer.properties = put_properties(&m, data_bytes);
    if (twist == JUNK_BEFORE_THE_FOOTER)
        put_junk(&m);
    if (twist == PROPERTIES_ARE_MISSING)
        footer.properties = (struct block_handle){0};
    table_footer_encode(&footer, end);
    buffer_append(&m.file, end, sizeof(end));
    put_file(env, buffer_slice(&m.file));
    rows_builder_release(&m.rows);
    buffer_release(&m.file);
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* What the entries of these tables are; a read may give these or an error. */
static bool is_sound_entry(const struct cursor *cursor)
{
    static const char keys[] = "abcd", values[] = "1234";
    if (cursor->key.size != 1 || cursor->value.size != 1)
        return false;
    const char *at = memchr(keys, cursor->key.data[0], 4);
    return at && cursor->value.data[0] == values[at - keys];
}

/* Both ways, and a seek to each key. The first error, or STATUS_OK. */
static enum status scan(struct table *table, size_t *seen)
{
    const struct table_read read = {0};
    struct cursor *cursor = table_cursor_create(table, &read);
    enum status status = STATUS_OK;
    *seen = 0;
    for (int backward = 0; backward < 2; backward++) {
        size_t steps = 0;
        for (backward ? cursor->ops->last(cursor) : cursor->ops->first(cursor); cursor->valid;
             backward ? cursor->ops->prev(cursor) : cursor->ops->next(cursor)) {
            assert_true(++steps < 20);
            assert_true(is_sound_entry(cursor));
            ++*seen;
        }
        status = status ? status : cursor->status;
    }
    for (const char *key = "`abcde"; *key; key++) {
        cursor->ops->seek(cursor, slice_make(key, 1), UINT64_MAX);
        status = status || cursor->valid ? status : cursor->status;
        cursor->ops->seek_for_prev(cursor, slice_make(key, 1));
        status = status || cursor->valid ? status : cursor->status;
    }
    cursor->ops->destroy(cursor);
    return status;
}

static void ignore_block(void *context, struct slice key, uint32_t stored_bytes)
{
    (void)key;
    (void)stored_bytes;
    assert_true(++*(size_t *)context < 20);
}

static enum status get_all(struct table *table)
{
    const struct table_read read = {0};
    enum status all = STATUS_OK;
    for (const char *key = "abcd"; *key; key++) {
        enum entry_kind kind;
        lsn_t lsn;
        struct slice value;
        struct block_pin pin = {NULL};
        enum status status =
            table_get(table, slice_make(key, 1), UINT64_MAX, &read, &kind, &lsn, &value, &pin);
        block_unpin(&pin);
        if (status != STATUS_NOT_FOUND && all == STATUS_OK)
            all = status;
    }
    return all;
}

struct reading {
    enum status opened, scanned, got, walked;
    size_t seen;
};

static struct reading read_with(struct env *env, struct block_cache *cache)
{
    struct table *table = NULL;
    struct reading reading = {.opened = table_open(env, PATH, 7, cache, NULL, false, NULL, &table)};
    if (reading.opened != STATUS_OK)
        return reading;
    size_t blocks = 0;
    reading.scanned = scan(table, &reading.seen);
    reading.got = get_all(table);
    reading.walked = table_walk_index(table, ignore_block, &blocks);
    table_close(table);
    return reading;
}

static const struct {
    enum twist twist;
    const char *finding;
    bool opens;
    enum status scanned, got; /* when it opens */
} expected[] = {
    {ROW_WITHOUT_LSN, "a row without an LSN", true, STATUS_OK, STATUS_OK},
    {ROW_OF_A_RANGE, "a row of a wrong kind", true, STATUS_OK, STATUS_OK},
    {DELETION_WITH_A_VALUE, "a row of a wrong kind", true, STATUS_OK, STATUS_OK},
    {BLOCKS_OUT_OF_ORDER, "rows out of order", true, STATUS_OK, STATUS_OK},
    {ROWS_MALFORMED, "rows are malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {ROWS_WITHOUT_FRAME, "rows are malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {ROWS_CUT_IN_THE_SECOND, "rows are malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {ROWS_OF_ANOTHER_KIND, "a block of another kind", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {JUNK_WITHIN_THE_DATA, "bytes that belong to no block", true, STATUS_OK, STATUS_OK},
    {HEAD_BEYOND_THE_DATA, "head of a block", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {ROWS_BEHIND_THE_LEAF, "blocks that no index names", true, STATUS_OK, STATUS_OK},
    {LEAF_NAMES_TOO_MANY, "an index names too many blocks", true, STATUS_OK, STATUS_OK},
    {LEAF_NAMES_TOO_FEW, "an index does not name a block", true, STATUS_CORRUPT, STATUS_OK},
    {LEAF_ROW_IS_A_DELETION, "a row of an index is malformed", true, STATUS_CORRUPT,
     STATUS_CORRUPT},
    {LEAF_ROW_IS_NO_HANDLE, "a row of an index is malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {LEAF_NAMES_ONE_TWICE, "an index names a wrong place", true, STATUS_OK, STATUS_OK},
    {LEAF_SEPARATOR_TOO_LOW, "a separator before the end of its block", true, STATUS_OK, STATUS_OK},
    {LEAF_SEPARATOR_TOO_HIGH, "a separator behind the start of the next block", true, STATUS_OK,
     STATUS_OK},
    {LEAF_ENDS_EARLY, "a separator before the end of its block", true, STATUS_CORRUPT, STATUS_OK},
    {LEAF_MALFORMED, "an index is malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {LEAF_WITHOUT_FRAME, "an index is malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {LEAF_MALFORMED_IN_FRONT, "an index is malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {TOP_IS_MISSING, "the top index is missing", true, STATUS_OK, STATUS_OK},
    {TOP_IS_MALFORMED, "the top index is malformed", false, 0, 0},
    {TOP_IS_OF_ANOTHER_KIND, "a block of another kind", false, 0, 0},
    {TOP_NAMES_ROWS, "an index names a wrong place", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {TOP_ROW_IS_NO_HANDLE, "a row of an index is malformed", true, STATUS_CORRUPT, STATUS_CORRUPT},
    {JUNK_BEFORE_THE_TOP, "bytes that belong to no block", true, STATUS_OK, STATUS_OK},
    {JUNK_BEFORE_THE_FOOTER, "bytes that belong to no block", true, STATUS_OK, STATUS_OK},
    {FILTER_LACKS_A_KEY, "the filter does not know a key", true, STATUS_OK, STATUS_OK},
    {FILTER_MALFORMED, "the filter is malformed", false, 0, 0},
    {RANGES_MALFORMED, "range deletions are malformed", false, 0, 0},
    {RANGE_THAT_ENDS_BEFORE_IT_BEGINS, "range deletions are malformed", false, 0, 0},
    {PROPERTIES_MALFORMED, "properties are malformed", false, 0, 0},
    {PROPERTIES_COUNT_WRONGLY, "properties differ from the content", true, STATUS_OK, STATUS_OK},
    {PROPERTIES_BEYOND_THE_FILE, "properties are malformed", false, 0, 0},
    {PROPERTIES_ARE_MISSING, "the footer is damaged", false, 0, 0},
};
_Static_assert(sizeof(expected) / sizeof(expected[0]) == TWIST_COUNT - 1, "a line for each twist");

static void a_table_put_together_right_is_sound(void **state)
{
    struct env *env = *state;
    struct lsm_report report = {""};
    make(env, NO_TWIST);
    if (table_verify(env, PATH, NULL, &report) != STATUS_OK)
        fail_msg("%s", report.text);
    struct reading reading = read_with(env, NULL);
    assert_int_equal(reading.opened, STATUS_OK);
    assert_int_equal(reading.scanned, STATUS_OK);
    assert_int_equal(reading.got, STATUS_OK);
    assert_int_equal(reading.walked, STATUS_OK);
    assert_int_equal(reading.seen, 8);
}

static void verify_says_what_is_wrong(void **state)
{
    struct env *env = *state;
    for (size_t i = 0; i < TWIST_COUNT - 1; i++) {
        struct lsm_report report = {""};
        make(env, expected[i].twist);
        assert_int_equal(table_verify(env, PATH, NULL, &report), STATUS_CORRUPT);
        if (!strstr(report.text, expected[i].finding) || !strstr(report.text, "table.cwt: offset "))
            fail_msg("twist %d: \"%s\", not \"%s\"", expected[i].twist, report.text,
                     expected[i].finding);
    }
}

static void readers_report_what_they_meet(void **state)
{
    struct env *env = *state;
    for (size_t i = 0; i < TWIST_COUNT - 1; i++) {
        for (int cached = 0; cached < 2; cached++) {
            struct block_cache *cache = cached ? block_cache_create(1 << 20) : NULL;
            make(env, expected[i].twist);
            struct reading reading = read_with(env, cache);
            block_cache_destroy(cache);
            bool as_expected = reading.opened == (expected[i].opens ? STATUS_OK : STATUS_CORRUPT) &&
                               (!expected[i].opens || (reading.scanned == expected[i].scanned &&
                                                       reading.got == expected[i].got));
            if (!as_expected)
                fail_msg("twist %d: open %d scan %d get %d", expected[i].twist, reading.opened,
                         reading.scanned, reading.got);
        }
    }
}

static void a_scan_from_behind_ends_with_an_error_where_the_index_does(void **state)
{
    struct env *env = *state;
    const struct table_read read = {0};
    struct table *table = NULL;
    make(env, LEAF_MALFORMED_IN_FRONT);
    assert_int_equal(table_open(env, PATH, 7, NULL, NULL, false, NULL, &table), STATUS_OK);
    struct cursor *cursor = table_cursor_create(table, &read);
    cursor->ops->last(cursor);
    for (const char *key = "dc"; *key; key++) {
        assert_true(cursor->valid);
        assert_true(slice_equal(cursor->key, slice_make(key, 1)));
        cursor->ops->prev(cursor);
    }
    assert_false(cursor->valid);
    assert_int_equal(cursor->status, STATUS_CORRUPT);
    cursor->ops->destroy(cursor);
    table_close(table);
}

static void a_walk_over_the_index_reports_what_it_meets(void **state)
{
    struct env *env = *state;
    static const enum twist damaged[] = {LEAF_ROW_IS_NO_HANDLE, LEAF_MALFORMED, LEAF_WITHOUT_FRAME,
                                         TOP_NAMES_ROWS, TOP_ROW_IS_NO_HANDLE};
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        make(env, damaged[i]);
        assert_int_equal(read_with(env, NULL).walked, STATUS_CORRUPT);
    }
    make(env, TOP_IS_MISSING);
    assert_int_equal(read_with(env, NULL).walked, STATUS_OK);
}

static int setup(void **state)
{
    static struct env env;
    env = memory_env(vfs_memory_create());
    *state = &env;
    return 0;
}

static int teardown(void **state)
{
    vfs_destroy(((struct env *)*state)->vfs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_table_put_together_right_is_sound, setup, teardown),
        cmocka_unit_test_setup_teardown(verify_says_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(readers_report_what_they_meet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_from_behind_ends_with_an_error_where_the_index_does,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_walk_over_the_index_reports_what_it_meets, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
