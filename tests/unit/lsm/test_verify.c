/* SPDX-License-Identifier: MIT */
/* Verify finds damage wherever it is; and what the engine serves from a damaged database is right.
 */
#include "unit/lsm/damage_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
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

static void an_empty_or_missing_directory_is_no_database(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    damage_fixture_copy(f);
    assert_int_equal(lsm_verify(&f->env, "nowhere", damage_note_finding, f), STATUS_NOT_FOUND);
    assert_int_equal(f->copy->ops->make_directory(f->copy, "empty"), STATUS_OK);
    assert_int_equal(lsm_verify(&f->env, "empty", damage_note_finding, f), STATUS_NOT_FOUND);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_database_has_no_finding_and_names_its_files),
        cmocka_unit_test(verify_changes_nothing),
        cmocka_unit_test(an_empty_or_missing_directory_is_no_database),
        cmocka_unit_test(a_database_in_use_is_left_alone),
        cmocka_unit_test(a_missing_file_of_each_kind_is_named),
        cmocka_unit_test(a_table_in_the_place_of_another_is_found),
        cmocka_unit_test(a_flipped_byte_is_detected_and_named_or_harmless_but_never_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
