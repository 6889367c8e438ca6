/* SPDX-License-Identifier: MIT */
/* Where a manifest ends, and what is damage. */
#include "lsm/manifest.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct vfs *vfs;
    struct env env;
    struct vfs_file *file;
    struct manifest_content content; /* what was written */
    struct manifest_content found;   /* what was read */
    struct lsm_report report;
    uint64_t ends[16]; /* of the edits */
    size_t edit_count;
    char log[256];
};

static void keep_log(void *context, enum log_level level, const char *line)
{
    struct fixture *f = context;
    (void)level;
    snprintf(f->log, sizeof(f->log), "%s", line);
}

static void touch(struct fixture *f, const char *path)
{
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(f->vfs, path, VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    vfs_close(file);
}

static void touch_table(struct fixture *f, uint64_t number)
{
    char path[64];
    table_path("db", number, path, sizeof(path));
    touch(f, path);
}

static void append_edit(struct fixture *f, uint64_t add, uint64_t remove)
{
    struct version_edit edit = {.flushed_lsn = 5000 + add, .durable_lsn = 6000 + add, .epoch = 1};
    struct buffer fields = {0};
    struct table_properties properties = {.lsn_min = 10, .lsn_max = 20};
    buffer_append_text(&properties.smallest, "a");
    buffer_append_text(&properties.largest, "b");
    if (remove)
        version_edit_remove(&edit, 0, 0, remove);
    if (add) {
        version_edit_add(&edit, 0, 0, add, &properties);
        touch_table(f, add);
    }
    version_edit_encode(&fields, &edit);
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(&fields)), STATUS_OK);
    f->ends[f->edit_count++] = f->content.end;
    table_properties_release(&properties);
    version_edit_release(&edit);
    buffer_release(&fields);
}

/* Tables 1, 2, 3 added one by one. */
static struct fixture *create(void)
{
    struct fixture *f = memory_zeroed(1, sizeof(*f));
    f->vfs = vfs_memory_create();
    f->env = (struct env){.vfs = f->vfs, .log = keep_log, .context = f};
    assert_int_equal(f->vfs->ops->make_directory(f->vfs, "db"), STATUS_OK);
    f->content.state = (struct version_state){.store_id = 42, .next_number = 9};
    f->content.tree_count = 1;
    strcpy(f->content.trees[0].name, "keys");
    assert_int_equal(manifest_create(&f->env, "db", 7, &f->content, &f->file), STATUS_OK);
    for (uint64_t number = 1; number <= 3; number++)
        append_edit(f, number, 0);
    return f;
}

static void destroy(struct fixture *f)
{
    manifest_content_release(&f->found);
    vfs_close(f->file);
    vfs_destroy(f->vfs);
    memory_free(f);
}

static enum status read_manifest(struct fixture *f)
{
    struct directory_files files = {0};
    manifest_content_release(&f->found);
    f->report.text[0] = 0;
    f->log[0] = 0;
    assert_int_equal(directory_files_read(&f->env, "db", &files), STATUS_OK);
    enum status status = manifest_read(&f->env, "db", &files, &f->found, &f->report);
    directory_files_release(&files);
    return status;
}

static void flip(struct fixture *f, const char *path, uint64_t offset)
{
    assert_int_equal(vfs_memory_flip(f->vfs, path, offset, 0x20), STATUS_OK);
}

static const char MANIFEST[] = "db/MANIFEST-000007";

static void what_was_appended_is_read(void **state)
{
    (void)state;
    struct fixture *f = create();
    append_edit(f, 4, 2);
    assert_int_equal(read_manifest(f), STATUS_OK);
    assert_int_equal(f->found.table_count, 3);
    assert_int_equal(f->found.tables[0].number, 1);
    assert_int_equal(f->found.tables[1].number, 3);
    assert_int_equal(f->found.tables[2].number, 4);
    assert_int_equal(f->found.state.store_id, 42);
    assert_int_equal(f->found.state.flushed_lsn, 5004);
    assert_int_equal(f->found.state.durable_lsn, 6004);
    assert_int_equal(f->found.state.epoch, 1);
    assert_int_equal(f->found.state.next_number, 9);
    assert_false(f->found.state.clean);
    assert_string_equal(f->found.trees[0].name, "keys");
    assert_int_equal(f->found.number, 7);
    assert_int_equal(f->found.end, f->content.end);
    assert_false(f->found.torn);
    destroy(f);
}

static void only_the_last_edit_says_clean(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct version_edit edit = {.clean = true};
    struct buffer fields = {0};
    version_edit_encode(&fields, &edit);
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(&fields)), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_OK);
    assert_true(f->found.state.clean);
    append_edit(f, 4, 0);
    assert_int_equal(read_manifest(f), STATUS_OK);
    assert_false(f->found.state.clean);
    buffer_release(&fields);
    destroy(f);
}

static void a_torn_last_record_is_the_end(void **state)
{
    (void)state;
    struct fixture *f = create();
    for (uint64_t size = f->ends[2] - 1; size > f->ends[1]; size--) {
        assert_int_equal(vfs_truncate(f->file, size), STATUS_OK);
        assert_int_equal(read_manifest(f), STATUS_OK);
        assert_true(f->found.torn);
        assert_int_equal(f->found.end, f->ends[1]);
        assert_int_equal(f->found.table_count, 2);
        assert_non_null(strstr(f->log, "unfinished"));
    }
    destroy(f);
}

static void damage_before_a_valid_record_is_refused_with_its_offset(void **state)
{
    (void)state;
    struct fixture *f = create();
    char offset[64];
    snprintf(offset, sizeof(offset), "MANIFEST-000007 offset %d", (int)f->ends[0]);
    for (uint64_t at = f->ends[0]; at < f->ends[1]; at++) {
        flip(f, MANIFEST, at);
        assert_int_equal(read_manifest(f), STATUS_CORRUPT);
        assert_non_null(strstr(f->report.text, offset));
        flip(f, MANIFEST, at);
    }
    destroy(f);
}

static void a_torn_end_with_a_table_missing_is_damage_and_names_both(void **state)
{
    (void)state;
    struct fixture *f = create();
    append_edit(f, 4, 2);
    assert_int_equal(vfs_remove(f->vfs, "db/000002.cwt"), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_OK);
    flip(f, MANIFEST, f->ends[3] - 1); /* the edit that had removed table 2 */
    char offset[64];
    snprintf(offset, sizeof(offset), "offset %d:", (int)f->ends[2]);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, offset));
    assert_non_null(strstr(f->report.text, "000002.cwt is missing"));
    destroy(f);
}

static void a_last_edit_whose_tables_were_taken_back_did_not_happen(void **state)
{
    (void)state;
    struct fixture *f = create();
    assert_int_equal(vfs_remove(f->vfs, "db/000003.cwt"), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_OK);
    assert_int_equal(f->found.table_count, 2);
    assert_int_equal(f->found.state.flushed_lsn, 5002);
    assert_true(f->found.torn);
    assert_int_equal(vfs_remove(f->vfs, "db/000002.cwt"), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "000002.cwt is missing"));
    destroy(f);
}

static void every_flipped_byte_is_detected_or_leaves_a_whole_state(void **state)
{
    (void)state;
    struct fixture *f = create();
    append_edit(f, 4, 2);
    assert_int_equal(vfs_remove(f->vfs, "db/000002.cwt"), STATUS_OK);
    for (uint64_t at = 0; at < f->content.end; at++) {
        flip(f, MANIFEST, at);
        assert_int_equal(read_manifest(f), STATUS_CORRUPT);
        assert_non_null(strstr(f->report.text, "MANIFEST-000007 offset"));
        flip(f, MANIFEST, at);
    }
    for (uint64_t at = 0; at < 25; at++) {
        flip(f, "db/CURRENT", at);
        assert_int_equal(read_manifest(f), STATUS_CORRUPT);
        assert_non_null(strstr(f->report.text, "CURRENT"));
        flip(f, "db/CURRENT", at);
    }
    assert_int_equal(read_manifest(f), STATUS_OK);
    destroy(f);
}

static void a_missing_manifest_is_named(void **state)
{
    (void)state;
    struct fixture *f = create();
    assert_int_equal(vfs_remove(f->vfs, MANIFEST), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "MANIFEST-000007, which is missing"));
    destroy(f);
}

static void a_field_of_a_later_version_is_refused_by_number(void **state)
{
    (void)state;
    struct fixture *f = create();
    assert_int_equal(manifest_append(f->file, &f->content, slice_from("\x63")), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->report.text, "field 99"));
    destroy(f);
}

static void edits_that_do_not_fit_the_state_are_damage(void **state)
{
    (void)state;
    struct fixture *f = create();
    append_edit(f, 0, 77);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "removes a table that is not there"));
    destroy(f);
}

static void expect_damage(struct buffer *fields, const char *why)
{
    struct fixture *f = create();
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(fields)), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    if (!strstr(f->report.text, why))
        fail_msg("%s, not: %s", f->report.text, why);
    buffer_release(fields);
    destroy(f);
}

static void trees_and_tables_that_do_not_fit_are_damage(void **state)
{
    (void)state;
    struct table_properties properties = {.lsn_min = 10, .lsn_max = 20};
    struct buffer fields = {0};
    char long_name[MANIFEST_TREE_NAME_MAX + 2];
    buffer_append_text(&properties.smallest, "a");
    buffer_append_text(&properties.largest, "b");
    version_edit_encode_tree(&fields, 2, LSM_LEVELED, "third before second");
    expect_damage(&fields, "declares a tree out of order");
    version_edit_encode_tree(&fields, 0, LSM_LEVELED, "another name");
    expect_damage(&fields, "declares a tree out of order");
    version_edit_encode_tree(&fields, 0, LSM_TIME_RUNS, "keys");
    expect_damage(&fields, "declares a tree out of order");
    memset(long_name, 'n', sizeof(long_name));
    buffer_append_text(&fields, "\1\1");
    buffer_append_byte(&fields, LSM_LEVELED);
    buffer_append_sized(&fields, slice_make(long_name, MANIFEST_TREE_NAME_MAX + 1));
    expect_damage(&fields, "is malformed");
    version_edit_encode_added(&fields, 1, 0, 9, &properties);
    expect_damage(&fields, "adds a table to an unknown tree");
    version_edit_encode_added(&fields, 0, 3, 2, &properties);
    expect_damage(&fields, "table 000002 is named twice");
    buffer_append_byte(&fields, 0xff);
    expect_damage(&fields, "is malformed");
    table_properties_release(&properties);
}

static void a_lenient_parse_takes_of_two_tables_with_one_number_one(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct table_properties properties = {.lsn_min = 10, .lsn_max = 20};
    struct buffer fields = {0}, bytes = {0};
    version_edit_encode_added(&fields, 0, 3, 1, &properties);
    version_edit_encode_added(&fields, 0, 3, 2, &properties);
    version_edit_encode_added(&fields, 1, 3, 8, &properties); /* no such tree */
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(&fields)), STATUS_OK);
    assert_int_equal(vfs_read_file(f->vfs, MANIFEST, 1 << 20, &bytes), STATUS_OK);
    assert_int_equal(manifest_parse(buffer_slice(&bytes), true, &f->found, &f->report), STATUS_OK);
    assert_int_equal(f->found.table_count, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(f->found.tables[i].number, i + 1);
    buffer_release(&fields);
    buffer_release(&bytes);
    destroy(f);
}

static void a_header_of_the_future_and_a_cut_snapshot_are_refused(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct buffer bytes = {0};
    assert_int_equal(vfs_read_file(f->vfs, MANIFEST, 1 << 20, &bytes), STATUS_OK);
    struct slice cut = slice_make(bytes.data, f->content.snapshot_end - 1);
    assert_int_equal(manifest_parse(cut, false, &f->found, &f->report), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "the file ends within its snapshot"));
    le32_store(bytes.data + 12, 2);
    le32_store(bytes.data, crc32c_mask(crc32c(bytes.data + 4, 32 - 4)));
    assert_int_equal(manifest_parse(buffer_slice(&bytes), false, &f->found, &f->report),
                     STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->report.text, "format version 2 is not of this program"));
    assert_int_equal(manifest_parse(buffer_slice(&bytes), true, &f->found, &f->report),
                     STATUS_UNSUPPORTED);
    buffer_release(&bytes);
    destroy(f);
}

static void a_current_that_is_too_long_is_damage(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct vfs_file *file = NULL;
    char junk[5000];
    memset(junk, 'M', sizeof(junk));
    assert_int_equal(vfs_open(f->vfs, "db/CURRENT", VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, junk, sizeof(junk)), STATUS_OK);
    vfs_close(file);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->report.text, "CURRENT"));
    destroy(f);
}

static void a_large_snapshot_is_cut_into_records(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct manifest_content big = {.state = f->content.state, .tree_count = 1};
    strcpy(big.trees[0].name, "keys");
    big.tables = memory_zeroed(2000, sizeof(*big.tables));
    big.table_count = 2000;
    for (size_t i = 0; i < big.table_count; i++) {
        big.tables[i].number = i + 1;
        touch_table(f, i + 1);
        for (int k = 0; k < 100; k++)
            buffer_append_text(&big.tables[i].properties.largest, "0123456789");
    }
    vfs_close(f->file);
    assert_int_equal(manifest_create(&f->env, "db", 8, &big, &f->file), STATUS_OK);
    assert_true(big.next_sequence > 1);
    assert_int_equal(read_manifest(f), STATUS_OK);
    assert_int_equal(f->found.number, 8);
    assert_int_equal(f->found.table_count, 2000);
    assert_int_equal(f->found.next_sequence, big.next_sequence);
    manifest_content_release(&big);
    destroy(f);
}

/* Fails every call of a switch in turn: CURRENT names one of the two, and both say the same. */
static void a_failed_switch_leaves_a_readable_manifest(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fixture *f = create();
        struct vfs *fault = vfs_fault_create(f->vfs);
        struct vfs_file *file = NULL;
        struct manifest_content content = {.state = f->content.state, .tree_count = 1};
        strcpy(content.trees[0].name, "keys");
        f->env.vfs = fault;
        vfs_fault_fail(fault, (1u << VFS_CALL_COUNT) - 1, n, STATUS_IO, true);
        enum status status = manifest_create(&f->env, "db", 8, &content, &file);
        vfs_fault_fail(fault, 0, 0, STATUS_OK, false);
        assert_int_equal(read_manifest(f), STATUS_OK);
        assert_int_equal(f->found.table_count, f->found.number == 8 ? 0 : 3);
        assert_true(status == STATUS_IO || f->found.number == 8);
        vfs_close(file);
        f->env.vfs = f->vfs;
        destroy(f);
        vfs_destroy(fault);
        if (status == STATUS_OK) {
            assert_true(n > 6);
            break;
        }
    }
}

/* Looks, before every sync of a switch, at what losses of power would leave. */
struct switch_watch {
    struct fixture *f;
    size_t unreadable;
};

static void look_at_losses(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct switch_watch *watch = context;
    (void)call;
    (void)path;
    (void)site;
    for (uint64_t seed = 0; seed < 16; seed++) {
        enum vfs_power_loss mode = seed ? VFS_REORDER : VFS_LOSE_UNSYNCED;
        struct fixture after = {.vfs = vfs_memory_after_power_loss(watch->f->vfs, mode, seed)};
        after.env = (struct env){.vfs = after.vfs, .log = keep_log, .context = &after};
        watch->unreadable += read_manifest(&after) != STATUS_OK;
        manifest_content_release(&after.found);
        vfs_destroy(after.vfs);
    }
}

static size_t count_unreadable(const char *skipped)
{
    struct fixture *f = create();
    struct vfs *fault = vfs_fault_create(f->vfs);
    struct switch_watch watch = {.f = f};
    struct vfs_file *file = NULL;
    struct manifest_content content = {.state = f->content.state, .tree_count = 1};
    strcpy(content.trees[0].name, "keys");
    assert_int_equal(vfs_sync_directory(f->vfs, "/"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(f->vfs, "/db"), STATUS_OK);
    f->env.vfs = fault;
    vfs_fault_skip_sync(fault, skipped);
    vfs_fault_watch(fault, 1u << VFS_CALL_SYNC | 1u << VFS_CALL_SYNC_DIRECTORY, look_at_losses,
                    &watch);
    assert_int_equal(manifest_create(&f->env, "db", 8, &content, &file), STATUS_OK);
    look_at_losses(&watch, VFS_CALL_SYNC, "", "");
    f->env.vfs = f->vfs;
    vfs_close(file);
    vfs_destroy(fault);
    destroy(f);
    return watch.unreadable;
}

/* Without the last, CURRENT may still name the old file, which is fine until that is removed. */
static void a_switch_is_safe_at_every_moment_by_each_of_its_syncs(void **state)
{
    (void)state;
    assert_int_equal(count_unreadable(NULL), 0);
    assert_true(count_unreadable("manifest.snapshot") > 0);
    assert_true(count_unreadable("manifest.name") > 0);
    assert_true(count_unreadable("replace_file.content") > 0);
    assert_int_equal(count_unreadable("replace_file.directory"), 0);
}

static size_t count_tables_after_loss(const char *skipped)
{
    struct fixture *f = create();
    struct vfs *fault = vfs_fault_create(f->vfs);
    struct buffer fields = {0};
    assert_int_equal(vfs_sync_directory(f->vfs, "/"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(f->vfs, "/db"), STATUS_OK);
    vfs_close(f->file);
    f->file = NULL;
    assert_int_equal(vfs_open(fault, MANIFEST, VFS_WRITE, &f->file), STATUS_OK);
    vfs_fault_skip_sync(fault, skipped);
    buffer_append(&fields, "\x03\x00\x00\x02", 4); /* removes table 2 */
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(&fields)), STATUS_OK);
    vfs_close(f->file);
    f->file = NULL;
    struct vfs *after = vfs_memory_after_power_loss(f->vfs, VFS_LOSE_UNSYNCED, 0);
    vfs_destroy(fault);
    vfs_destroy(f->vfs);
    f->vfs = f->env.vfs = after;
    assert_int_equal(read_manifest(f), STATUS_OK);
    size_t count = f->found.table_count;
    buffer_release(&fields);
    destroy(f);
    return count;
}

static void an_edit_survives_power_loss_by_its_sync(void **state)
{
    (void)state;
    assert_int_equal(count_tables_after_loss(NULL), 2);
    assert_int_equal(count_tables_after_loss("manifest.edit"), 3);
}

static void a_lenient_parse_passes_over_damage(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct buffer bytes = {0};
    flip(f, MANIFEST, 3);              /* the header */
    flip(f, MANIFEST, f->ends[0] + 3); /* the edit that adds table 2 */
    assert_int_equal(vfs_read_file(f->vfs, MANIFEST, 1 << 20, &bytes), STATUS_OK);
    assert_int_equal(manifest_parse(buffer_slice(&bytes), true, &f->found, &f->report), STATUS_OK);
    assert_int_equal(f->found.table_count, 2);
    assert_int_equal(f->found.tables[0].number, 1);
    assert_int_equal(f->found.tables[1].number, 3);
    assert_non_null(strstr(f->report.text, "offset 0"));
    buffer_release(&bytes);
    destroy(f);
}

static void a_lenient_parse_keeps_the_epoch_when_another_is_out_of_range(void **state)
{
    (void)state;
    struct fixture *f = create();
    struct buffer fields = {0}, bytes = {0};
    version_edit_encode_value(&fields, VERSION_FIELD_EPOCH, (uint64_t)UINT32_MAX + 1);
    assert_int_equal(manifest_append(f->file, &f->content, buffer_slice(&fields)), STATUS_OK);
    assert_int_equal(read_manifest(f), STATUS_CORRUPT);
    assert_int_equal(vfs_read_file(f->vfs, MANIFEST, 1 << 20, &bytes), STATUS_OK);
    assert_int_equal(manifest_parse(buffer_slice(&bytes), true, &f->found, &f->report), STATUS_OK);
    assert_int_equal(f->found.state.epoch, 1);
    buffer_release(&fields);
    buffer_release(&bytes);
    destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_is_read),
        cmocka_unit_test(only_the_last_edit_says_clean),
        cmocka_unit_test(a_torn_last_record_is_the_end),
        cmocka_unit_test(damage_before_a_valid_record_is_refused_with_its_offset),
        cmocka_unit_test(a_torn_end_with_a_table_missing_is_damage_and_names_both),
        cmocka_unit_test(a_last_edit_whose_tables_were_taken_back_did_not_happen),
        cmocka_unit_test(every_flipped_byte_is_detected_or_leaves_a_whole_state),
        cmocka_unit_test(a_missing_manifest_is_named),
        cmocka_unit_test(a_field_of_a_later_version_is_refused_by_number),
        cmocka_unit_test(edits_that_do_not_fit_the_state_are_damage),
        cmocka_unit_test(trees_and_tables_that_do_not_fit_are_damage),
        cmocka_unit_test(a_lenient_parse_takes_of_two_tables_with_one_number_one),
        cmocka_unit_test(a_header_of_the_future_and_a_cut_snapshot_are_refused),
        cmocka_unit_test(a_current_that_is_too_long_is_damage),
        cmocka_unit_test(a_large_snapshot_is_cut_into_records),
        cmocka_unit_test(a_failed_switch_leaves_a_readable_manifest),
        cmocka_unit_test(a_switch_is_safe_at_every_moment_by_each_of_its_syncs),
        cmocka_unit_test(an_edit_survives_power_loss_by_its_sync),
        cmocka_unit_test(a_lenient_parse_passes_over_damage),
        cmocka_unit_test(a_lenient_parse_keeps_the_epoch_when_another_is_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
