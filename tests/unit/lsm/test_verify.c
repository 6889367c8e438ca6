/* SPDX-License-Identifier: MIT */
/* Verify finds damage wherever it is; and what the engine serves from a damaged database is right.
 */
#include "unit/lsm/damage_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
#include "lib/soundness.h"
#include "lsm/compression.h"
#include "lsm/manifest.h"
#include "vfs/vfs_fault.h"

static void a_sound_database_has_no_finding_and_names_its_files(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct damage_fixture *f = damage_fixture_create(clean);
        damage_fixture_copy(f);
        assert_int_equal(damage_verify(f), STATUS_OK);
        assert_int_equal(f->findings, 0);
        assert_non_null(strstr(f->text, "CURRENT"));
        assert_non_null(strstr(f->text, "MANIFEST-"));
        assert_non_null(strstr(f->text, ".cwt"));
        if (!clean)
            assert_non_null(strstr(f->text, ".wal"));
        damage_fixture_destroy(f);
    }
}

static void verify_changes_nothing(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct vfs_fault_counters counters;
    damage_fixture_copy(f);
    struct vfs *fault = vfs_fault_create(f->copy);
    f->env.vfs = fault;
    assert_int_equal(damage_verify(f), STATUS_OK);
    vfs_fault_counters(fault, &counters);
    for (int call = 0; call < VFS_CALL_COUNT; call++)
        if ((VFS_CALLS_CHANGING & 1u << call) && call != VFS_CALL_OPEN && call != VFS_CALL_LOCK)
            assert_int_equal(counters.calls[call], 0);
    vfs_destroy(fault);
    damage_fixture_destroy(f);
}

static void a_table_of_an_unknown_codec_is_named(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    damage_fixture_copy(f);
    f->codecs = NULL;
    assert_int_equal(damage_verify(f), STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->text, ".cwt: its blocks are encoded by 'prefix'"));
    damage_fixture_destroy(f);
}

/* The merged tables of one tree are; what a program without Zstandard can look at is looked at. */
static void a_table_of_an_unknown_compression_is_no_damage(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    if (!lsm_has_zstd())
        skip();
    for (int damaged = 0; damaged < 2; damaged++) {
        damage_fixture_copy(f);
        for (size_t i = 0; damaged && i < f->name_count; i++)
            if (strstr(f->names[i], ".cwt"))
                assert_int_equal(vfs_memory_flip(f->copy, damage_path(f->names[i]), 40, 1),
                                 STATUS_OK);
        compression_hide_zstd(true);
        enum status status = damage_verify(f);
        compression_hide_zstd(false);
        assert_int_equal(status, damaged ? STATUS_CORRUPT : STATUS_UNSUPPORTED);
        assert_non_null(strstr(f->text, ".cwt: its blocks are compressed by Zstandard"));
    }
    damage_fixture_destroy(f);
}

/* The engine opens no table when it starts, so reads say it; the other tree is read as ever. */
static void a_database_without_its_codec_refuses_the_reads_of_that_tree(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    struct lsm_report report;
    struct lsm *db = NULL;
    struct slice value;
    damage_fixture_copy(f);
    f->options.trees[1].codec = NULL;
    assert_int_equal(lsm_open(&f->env, "db", &f->options, &report, &db), STATUS_OK);
    struct lsm_reader *reader = lsm_reader_create(db);
    lsm_read_begin(reader);
    assert_int_equal(lsm_get(reader, 0, slice_from("key00001"), &value), STATUS_OK);
    assert_int_equal(lsm_get(reader, 1, slice_from("key00001"), &value), STATUS_UNSUPPORTED);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    assert_int_equal(lsm_close(db), STATUS_OK);
    damage_fixture_destroy(f);
}

static void a_database_without_zstandard_refuses_the_reads_of_that_tree(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    struct lsm_report report;
    struct lsm *db = NULL;
    struct slice value;
    if (!lsm_has_zstd())
        skip();
    damage_fixture_copy(f);
    compression_hide_zstd(true);
    enum status to_write = lsm_open(&f->env, "db", &f->options, &report, &db);
    assert_int_equal(to_write, STATUS_UNSUPPORTED);
    assert_non_null(strstr(report.text, "tree entries is to be compressed by Zstandard"));
    f->options.trees[1].cold_compression = LSM_LZ4;
    assert_int_equal(lsm_open(&f->env, "db", &f->options, &report, &db), STATUS_OK);
    struct lsm_reader *reader = lsm_reader_create(db);
    lsm_read_begin(reader);
    enum status other = lsm_get(reader, 0, slice_from("key00001"), &value);
    struct lsm_iter *iter = lsm_iter_open(reader, 1, &(struct lsm_iter_options){0});
    lsm_iter_seek_first(iter);
    enum status merged = lsm_iter_status(iter);
    compression_hide_zstd(false);
    assert_int_equal(other, STATUS_OK);
    assert_int_equal(merged, STATUS_UNSUPPORTED);
    lsm_iter_close(iter);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    assert_int_equal(lsm_close(db), STATUS_OK);
    damage_fixture_destroy(f);
}

static void an_empty_or_missing_directory_is_no_database(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    damage_fixture_copy(f);
    assert_int_equal(lsm_verify(&f->env, "nowhere", NULL, damage_note_finding, f),
                     STATUS_NOT_FOUND);
    assert_int_equal(f->copy->ops->make_directory(f->copy, "empty"), STATUS_OK);
    assert_int_equal(lsm_verify(&f->env, "empty", NULL, damage_note_finding, f), STATUS_NOT_FOUND);
    damage_fixture_destroy(f);
}

static void a_database_in_use_is_left_alone(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    struct lsm_report report;
    struct lsm *db = NULL;
    damage_fixture_copy(f);
    assert_int_equal(lsm_open(&f->env, "db", &f->options, &report, &db), STATUS_OK);
    assert_int_equal(damage_verify(f), STATUS_BUSY);
    assert_int_equal(damage_repair(f), STATUS_BUSY);
    require_sound_engine(db, "before a close");
    assert_int_equal(lsm_close(db), STATUS_OK);
    damage_fixture_destroy(f);
}

static void a_missing_file_of_each_kind_is_named(void **state)
{
    (void)state;
    static const char *const parts[] = {"CURRENT", "MANIFEST-", ".cwt"};
    struct damage_fixture *f = damage_fixture_create(false);
    for (size_t i = 0; i < 3; i++) {
        damage_fixture_copy(f);
        const char *name = damage_find(f, parts[i]);
        assert_int_equal(vfs_remove(f->copy, damage_path(name)), STATUS_OK);
        assert_int_equal(damage_verify(f), STATUS_CORRUPT);
        assert_non_null(strstr(f->text, name));
    }
    damage_fixture_destroy(f);
}

static void a_table_in_the_place_of_another_is_found(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    char first[64];
    const char *second = NULL;
    damage_fixture_copy(f);
    snprintf(first, sizeof(first), "%s", damage_path(damage_find(f, ".cwt")));
    for (size_t i = 0; i < f->name_count; i++)
        if (strstr(f->names[i], ".cwt"))
            second = f->names[i];
    assert_string_not_equal(first, damage_path(second));
    assert_int_equal(vfs_remove(f->copy, first), STATUS_OK);
    assert_int_equal(f->copy->ops->link(f->copy, damage_path(second), first), STATUS_OK);
    assert_int_equal(damage_verify(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->text, "manifest states"));
    damage_fixture_destroy(f);
}

/* For each file bytes by chance, and all of short files. */
static void a_flipped_byte_is_detected_and_named_or_harmless_but_never_served(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct buffer expected = {0}, content = {0};
    struct random random;
    size_t detected = 0, harmless = 0;
    random_init(&random, test_seed());
    damage_fixture_copy(f);
    assert_int_equal(damage_read_all(f, true, &expected), STATUS_OK);
    for (size_t i = 0; i < f->name_count; i++) {
        const char *name = f->names[i];
        uint64_t size = damage_file_size(f, name);
        uint64_t count = size < 200 ? size : 150;
        for (uint64_t k = 0; k < count; k++) {
            uint64_t offset = size < 200 ? k : random_below(&random, size);
            damage_fixture_copy(f);
            assert_int_equal(vfs_memory_flip(f->copy, damage_path(name), offset, 0x11), STATUS_OK);
            buffer_clear(&content);
            enum status found = damage_verify(f);
            enum status read = damage_read_all(f, true, &content);
            if (read == STATUS_OK && !slice_equal(buffer_slice(&content), buffer_slice(&expected)))
                fail_msg("%s offset %d: wrong data served", name, (int)offset);
            if (found == STATUS_OK && read != STATUS_OK)
                fail_msg("%s offset %d: not found by verify", name, (int)offset);
            if (found != STATUS_OK) {
                assert_int_equal(found, STATUS_CORRUPT);
                if (!strstr(f->text, name) && strcmp(name, "CURRENT") != 0)
                    fail_msg("%s offset %d is not named: %s", name, (int)offset, f->text);
            }
            if (strstr(name, ".cwt") || strcmp(name, "CURRENT") == 0)
                assert_int_equal(found, STATUS_CORRUPT); /* no byte of these is without use */
            detected += found != STATUS_OK;
            harmless += found == STATUS_OK;
        }
    }
    print_message("%zu detected, %zu harmless\n", detected, harmless);
    assert_true(detected > 500);
    buffer_release(&expected);
    buffer_release(&content);
    damage_fixture_destroy(f);
}

/* ---- A manifest that states something else ---------------------------------------------------- */

typedef void restate(struct manifest_content *content);

/* Switches the copy to a new manifest; checksums hold. */
static void damage_restate(struct damage_fixture *f, restate *change)
{
    struct directory_files files = {0};
    struct manifest_content content = {0};
    struct lsm_report report;
    struct vfs_file *file = NULL;
    damage_fixture_copy(f);
    assert_int_equal(directory_files_read(&f->env, "db", &files), STATUS_OK);
    assert_int_equal(manifest_read(&f->env, "db", &files, &content, &report), STATUS_OK);
    change(&content);
    assert_int_equal(manifest_create(&f->env, "db", content.number + 1, &content, &file),
                     STATUS_OK);
    vfs_close(file);
    manifest_content_release(&content);
    directory_files_release(&files);
}

static struct table_properties *first_table(struct manifest_content *content)
{
    assert_true(content->table_count > 1);
    return &content->tables[0].properties;
}

static void more_entries(struct manifest_content *content)
{
    first_table(content)->entry_count++;
}

static void more_raw_bytes(struct manifest_content *content)
{
    first_table(content)->raw_bytes++;
}

static void other_lsns(struct manifest_content *content)
{
    first_table(content)->lsn_min--;
}

static void other_smallest_key(struct manifest_content *content)
{
    first_table(content)->smallest.data[0]--;
}

static void other_end(struct manifest_content *content)
{
    first_table(content)->largest_is_exclusive = true;
}

static void other_size(struct manifest_content *content)
{
    first_table(content)->file_bytes++;
}

static void less_flushed(struct manifest_content *content)
{
    content->state.flushed_lsn = first_table(content)->lsn_max;
}

static void more_flushed_than_durable(struct manifest_content *content)
{
    content->state.durable_lsn = content->state.flushed_lsn - 1;
}

static void one_level(struct manifest_content *content)
{
    size_t moved = 0;
    for (size_t i = 0; i < content->table_count; i++)
        if (content->tables[i].tree == 0) {
            content->tables[i].level = 3;
            moved++;
        }
    assert_true(moved > 1);
}

static void what_a_manifest_states_wrongly_is_found(void **state)
{
    (void)state;
    static const struct {
        restate *change;
        const char *finding;
    } wrong[] = {
        {more_entries, "its counts are not those that the manifest states"},
        {more_raw_bytes, "its counts are not those that the manifest states"},
        {other_lsns, "its LSNs are not those that the manifest states"},
        {other_smallest_key, "its keys are not those that the manifest states"},
        {other_end, "its keys are not those that the manifest states"},
        {other_size, "its size are not those that the manifest states"},
        {less_flushed, "but the manifest says that tables end at"},
        {more_flushed_than_durable, "tables run ahead of the durable WAL"},
        {one_level, "overlaps another table of its level"},
    };
    struct damage_fixture *f = damage_fixture_create(true);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        damage_restate(f, wrong[i].change);
        assert_int_equal(damage_verify(f), STATUS_CORRUPT);
        if (!strstr(f->text, wrong[i].finding))
            fail_msg("%s, not: %s", f->text, wrong[i].finding);
    }
    damage_fixture_destroy(f);
}

/* Of tables that cover each other's keys in one level those with the newest entries stay. */
static void repair_drops_the_older_ones_of_overlapping_tables(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    struct buffer content = {0};
    damage_restate(f, one_level);
    assert_int_equal(damage_repair(f), STATUS_OK);
    assert_non_null(strstr(f->text, "a newer table of its level covers its keys"));
    assert_int_equal(damage_verify(f), STATUS_OK);
    assert_int_equal(damage_read_all(f, false, &content), STATUS_OK);
    assert_true(content.size > 0);
    buffer_release(&content);
    damage_fixture_destroy(f);
}

static void one_tree_less(struct manifest_content *content)
{
    size_t kept = 0;
    content->tree_count = 1;
    for (size_t i = 0; i < content->table_count; i++) {
        if (content->tables[i].tree == 0)
            content->tables[kept++] = content->tables[i];
        else
            table_properties_release(&content->tables[i].properties);
    }
    content->table_count = kept;
}

/* The checksums of the log hold, but its records are of a tree that is not there. */
static void a_log_for_other_trees_is_found_and_not_replayed(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct lsm *db = NULL;
    struct lsm_report report;
    damage_restate(f, one_tree_less);
    assert_int_equal(damage_verify(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->text, "holds malformed records"));
    f->options.tree_count = 1;
    assert_int_equal(lsm_open(&f->env, "db", &f->options, &report, &db), STATUS_CORRUPT);
    assert_true(report.text[0] != 0);
    damage_fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_database_has_no_finding_and_names_its_files),
        cmocka_unit_test(verify_changes_nothing),
        cmocka_unit_test(a_table_of_an_unknown_codec_is_named),
        cmocka_unit_test(a_table_of_an_unknown_compression_is_no_damage),
        cmocka_unit_test(a_database_without_zstandard_refuses_the_reads_of_that_tree),
        cmocka_unit_test(a_database_without_its_codec_refuses_the_reads_of_that_tree),
        cmocka_unit_test(an_empty_or_missing_directory_is_no_database),
        cmocka_unit_test(a_database_in_use_is_left_alone),
        cmocka_unit_test(a_missing_file_of_each_kind_is_named),
        cmocka_unit_test(a_table_in_the_place_of_another_is_found),
        cmocka_unit_test(what_a_manifest_states_wrongly_is_found),
        cmocka_unit_test(repair_drops_the_older_ones_of_overlapping_tables),
        cmocka_unit_test(a_log_for_other_trees_is_found_and_not_replayed),
        cmocka_unit_test(a_flipped_byte_is_detected_and_named_or_harmless_but_never_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
