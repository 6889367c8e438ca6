/* SPDX-License-Identifier: MIT */
/* The worked examples of the WAL and of the manifest in src/lsm/FORMAT.md, byte by byte. */
#include "lsm/manifest.h"
#include "lsm/wal.h"
#include "lsm/wal_segment.h"
#include "unit/lsm/format_example.h"
#include "unit/lsm/memory_env.h"

static const uint64_t EXAMPLE_STORE_ID = 0x1122334455667788;

static struct vfs *make_directory(struct env *env)
{
    struct vfs *vfs = vfs_memory_create();
    *env = memory_env(vfs);
    assert_int_equal(vfs->ops->make_directory(vfs, "db"), STATUS_OK);
    return vfs;
}

static void expect(const char *heading, struct slice found)
{
    struct buffer expected = {0};
    format_example_read(heading, &expected);
    assert_true(expected.size > 0);
    assert_int_equal(expected.size, found.size);
    for (size_t i = 0; i < found.size; i++)
        if (expected.data[i] != found.data[i])
            fail_msg("%s: offset %04zx is %02x, the page has %02x", heading, i, found.data[i],
                     expected.data[i]);
    buffer_release(&expected);
}

static void the_examples_of_the_wal_are_what_is_written(void **state)
{
    (void)state;
    struct env env;
    struct vfs *vfs = make_directory(&env);
    const struct wal_tail tail = {.next_lsn = WAL_FIRST_LSN};
    const struct wal_options options = {.segment_bytes = 8192};
    struct wal *wal = NULL;
    struct buffer payload = {0}, file = {0};
    assert_int_equal(wal_open(&env, "db", &options, EXAMPLE_STORE_ID, &tail, 1, &wal), STATUS_OK);
    assert_int_equal(wal_reserve(wal, 0, false), STATUS_OK);
    wal_append(wal, buffer_slice(&payload), 0);
    assert_int_equal(wal_sync(wal), STATUS_OK);
    wal_record_append(&payload, ENTRY_PUT, 0, slice_from("apple"), slice_from("red"));
    wal_record_append(&payload, ENTRY_DELETE, 1, slice_from("apricot"), (struct slice){0});
    wal_record_append(&payload, ENTRY_DELETE_RANGE, 2, slice_from("b"), slice_from("c"));
    assert_int_equal(wal_reserve(wal, payload.size, false), STATUS_OK);
    wal_append(wal, buffer_slice(&payload), 3);
    wal_request_rotate(wal);
    assert_int_equal(wal_reserve(wal, 0, false), STATUS_OK);
    assert_int_equal(wal_next_lsn(wal), 8192);
    assert_int_equal(wal_sync(wal), STATUS_OK);
    assert_int_equal(vfs_read_file(vfs, "db/0000000000001000.wal", 1 << 20, &file), STATUS_OK);
    expect("### Example: a header of the WAL", slice_make(file.data, 48));
    expect("### Example: frames of the WAL", slice_make(file.data + WAL_HEADER_BYTES, 0x70));
    wal_close(wal);
    buffer_release(&payload);
    buffer_release(&file);
    vfs_destroy(vfs);
}

static void the_example_of_a_group_is_what_is_written(void **state)
{
    (void)state;
    struct env env;
    struct vfs *vfs = make_directory(&env);
    const struct wal_tail tail = {.next_lsn = WAL_FIRST_LSN};
    const struct wal_options options = {
        .segment_bytes = 8192, .is_compressed = true, .page_bytes = 1};
    struct wal *wal = NULL;
    struct buffer payload = {0}, file = {0};
    assert_int_equal(wal_open(&env, "db", &options, EXAMPLE_STORE_ID, &tail, 1, &wal), STATUS_OK);
    wal_record_append(&payload, ENTRY_PUT, 0, slice_from("apple"), slice_from("redredredredred"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wal_reserve(wal, payload.size, false), STATUS_OK);
        wal_append(wal, buffer_slice(&payload), 1);
    }
    assert_int_equal(wal_next_lsn(wal), WAL_FIRST_LSN + 104);
    assert_int_equal(wal_sync(wal), STATUS_OK);
    assert_int_equal(vfs_read_file(vfs, "db/0000000000001000.wal", 1 << 20, &file), STATUS_OK);
    expect("### Example: a group", slice_make(file.data + WAL_HEADER_BYTES, 0x3b));
    wal_close(wal);
    buffer_release(&payload);
    buffer_release(&file);
    vfs_destroy(vfs);
}

static void the_example_of_a_manifest_is_what_is_written(void **state)
{
    (void)state;
    struct env env;
    struct vfs *vfs = make_directory(&env);
    struct version_edit_table table = {.tree = 0,
                                       .level = 1,
                                       .number = 3,
                                       .properties = {.file_bytes = 367,
                                                      .entry_count = 3,
                                                      .delete_count = 1,
                                                      .range_delete_count = 1,
                                                      .raw_bytes = 28,
                                                      .lsn_min = 1000,
                                                      .lsn_max = 1060,
                                                      .largest_is_exclusive = true}};
    buffer_append_text(&table.properties.smallest, "apple");
    buffer_append_text(&table.properties.largest, "c");
    struct manifest_content content = {.state = {.store_id = EXAMPLE_STORE_ID,
                                                 .flushed_lsn = 5000,
                                                 .durable_lsn = 6000,
                                                 .epoch = 1,
                                                 .next_number = 9},
                                       .trees = {{"keys", LSM_LEVELED}, {"entries", LSM_TIME_RUNS}},
                                       .tree_count = 2,
                                       .tables = &table,
                                       .table_count = 1};
    struct version_edit edit = {
        .flushed_lsn = 6000, .durable_lsn = 7000, .epoch = 2, .clean = true};
    struct vfs_file *file = NULL;
    struct buffer fields = {0}, bytes = {0};
    assert_int_equal(manifest_create(&env, "db", 7, &content, &file), STATUS_OK);
    version_edit_remove(&edit, 0, 1, 3);
    version_edit_encode(&fields, &edit);
    version_edit_encode_value(&fields, VERSION_FIELD_NEXT_NUMBER, 9);
    assert_int_equal(manifest_append(file, &content, buffer_slice(&fields)), STATUS_OK);
    assert_int_equal(vfs_read_file(vfs, "db/MANIFEST-000007", 1 << 20, &bytes), STATUS_OK);
    expect("### Example: a manifest", buffer_slice(&bytes));
    buffer_clear(&bytes);
    assert_int_equal(vfs_read_file(vfs, "db/CURRENT", 1 << 20, &bytes), STATUS_OK);
    assert_true(slice_equal(buffer_slice(&bytes), slice_from("MANIFEST-000007 5872ce62\n")));
    vfs_close(file);
    table_properties_release(&table.properties);
    version_edit_release(&edit);
    buffer_release(&fields);
    buffer_release(&bytes);
    vfs_destroy(vfs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_wal_are_what_is_written),
        cmocka_unit_test(the_example_of_a_group_is_what_is_written),
        cmocka_unit_test(the_example_of_a_manifest_is_what_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
