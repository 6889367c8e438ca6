/* SPDX-License-Identifier: MIT */
/* After a repair a database opens, is sound, and holds nothing but what was written. */
#include "unit/lsm/damage_fixture.h"

#include "base/random.h"
#include "lib/seed.h"
#include "lsm/compression.h"
#include "vfs/vfs_fault.h"

static void count_lines(const struct buffer *content, size_t *lines)
{
    *lines = 0;
    for (size_t i = 0; i < content->size; i++)
        *lines += content->data[i] == '\n';
}

/* Repairs, and checks that all is well then. Returns how many entries are left. */
static size_t repair_and_read(struct damage_fixture *f, const char *what)
{
    struct buffer content = {0};
    size_t lines;
    char told[sizeof(f->text)];
    enum status status = damage_repair(f);
    memcpy(told, f->text, sizeof(told));
    if (status != STATUS_OK)
        fail_msg("%s: repair: %s %s", what, status_text(status), f->text);
    if (damage_verify(f) != STATUS_OK)
        fail_msg("%s: unsound after the repair: %s\nwhich said: %s", what, f->text, told);
    if (damage_read_all(f, false, &content) != STATUS_OK)
        fail_msg("%s: does not open after the repair", what);
    if (damage_verify(f) != STATUS_OK)
        fail_msg("%s: unsound after open and close: %s", what, f->text);
    count_lines(&content, &lines);
    buffer_release(&content);
    memcpy(f->text, told, sizeof(told));
    return lines;
}

static size_t whole_lines(struct damage_fixture *f)
{
    struct buffer content = {0};
    size_t lines;
    damage_fixture_copy(f);
    assert_int_equal(damage_read_all(f, true, &content), STATUS_OK);
    count_lines(&content, &lines);
    buffer_release(&content);
    return lines;
}

static bool is_lost(struct damage_fixture *f, const char *name)
{
    char path[128];
    bool exists = false;
    snprintf(path, sizeof(path), "db/lost/%s", name);
    assert_int_equal(f->copy->ops->exists(f->copy, path, &exists), STATUS_OK);
    return exists;
}

static void a_sound_database_is_not_changed(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct vfs_fault_counters counters;
    damage_fixture_copy(f);
    struct vfs *fault = vfs_fault_create(f->copy);
    f->env.vfs = fault;
    assert_int_equal(damage_repair(f), STATUS_OK);
    assert_non_null(strstr(f->text, "nothing was changed"));
    vfs_fault_counters(fault, &counters);
    assert_int_equal(counters.calls[VFS_CALL_WRITE], 0);
    assert_int_equal(counters.calls[VFS_CALL_RENAME], 0);
    assert_int_equal(counters.calls[VFS_CALL_REMOVE], 0);
    vfs_destroy(fault);
    damage_fixture_destroy(f);
}

/* That a program does not know the codec says nothing against the table. */
static void a_table_of_an_unknown_codec_ends_the_repair(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct vfs_fault_counters counters;
    damage_fixture_copy(f);
    struct vfs *fault = vfs_fault_create(f->copy);
    f->env.vfs = fault;
    f->codecs = NULL;
    assert_int_equal(damage_repair(f), STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->text, ".cwt: its blocks are encoded by 'prefix'"));
    vfs_fault_counters(fault, &counters);
    assert_int_equal(counters.calls[VFS_CALL_WRITE], 0);
    assert_int_equal(counters.calls[VFS_CALL_RENAME], 0);
    assert_int_equal(counters.calls[VFS_CALL_REMOVE], 0);
    f->env.vfs = f->copy;
    f->codecs = prefix_codecs;
    assert_int_equal(damage_repair(f), STATUS_OK);
    assert_non_null(strstr(f->text, "nothing was changed"));
    vfs_destroy(fault);
    damage_fixture_destroy(f);
}

/* Nor that it was built without a compression. */
static void a_table_of_an_unknown_compression_ends_the_repair(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct vfs_fault_counters counters;
    if (!lsm_has_zstd())
        skip();
    damage_fixture_copy(f);
    struct vfs *fault = vfs_fault_create(f->copy);
    f->env.vfs = fault;
    compression_hide_zstd(true);
    enum status status = damage_repair(f);
    compression_hide_zstd(false);
    assert_int_equal(status, STATUS_UNSUPPORTED);
    assert_non_null(strstr(f->text, ".cwt: its blocks are compressed by Zstandard"));
    vfs_fault_counters(fault, &counters);
    assert_int_equal(counters.calls[VFS_CALL_WRITE], 0);
    assert_int_equal(counters.calls[VFS_CALL_RENAME], 0);
    assert_int_equal(counters.calls[VFS_CALL_REMOVE], 0);
    f->env.vfs = f->copy;
    assert_int_equal(damage_repair(f), STATUS_OK);
    assert_non_null(strstr(f->text, "nothing was changed"));
    vfs_destroy(fault);
    damage_fixture_destroy(f);
}

static void a_damaged_table_is_dropped_and_kept_as_lost(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    size_t before = whole_lines(f);
    const char *name = damage_find(f, ".cwt");
    damage_fixture_copy(f);
    assert_int_equal(vfs_memory_flip(f->copy, damage_path(name), 40, 1), STATUS_OK);
    size_t after = repair_and_read(f, name);
    assert_true(after <= before);
    assert_true(after > 0);
    assert_true(is_lost(f, name));
    assert_non_null(strstr(f->text, name));
    assert_non_null(strstr(f->text, "is dropped with its"));
    damage_fixture_destroy(f);
}

static void a_missing_table_is_dropped(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    const char *name = damage_find(f, ".cwt");
    damage_fixture_copy(f);
    assert_int_equal(vfs_remove(f->copy, damage_path(name)), STATUS_OK);
    repair_and_read(f, name);
    assert_non_null(strstr(f->text, "is missing"));
    damage_fixture_destroy(f);
}

static void a_damaged_wal_is_cut_before_the_damage(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    const char *name = NULL;
    for (size_t i = 0; i < f->name_count; i++) {
        /* The last segment that recovery needs is the last that verify names. */
        damage_fixture_copy(f);
        if (strstr(f->names[i], ".wal") &&
            vfs_memory_flip(f->copy, damage_path(f->names[i]), 4096 + 100, 1) == STATUS_OK &&
            damage_verify(f) == STATUS_CORRUPT) {
            name = f->names[i];
            break;
        }
    }
    assert_non_null(name);
    struct buffer content = {0};
    assert_int_equal(damage_read_all(f, false, &content), STATUS_CORRUPT);
    assert_true(repair_and_read(f, name) > 0);
    assert_non_null(strstr(f->text, name));
    assert_non_null(strstr(f->text, "cut off"));
    assert_true(is_lost(f, name));
    buffer_release(&content);
    damage_fixture_destroy(f);
}

static void a_lost_current_is_found_again_and_costs_nothing(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    size_t before = whole_lines(f);
    damage_fixture_copy(f);
    assert_int_equal(vfs_remove(f->copy, "db/CURRENT"), STATUS_OK);
    assert_int_equal(repair_and_read(f, "CURRENT"), before);
    damage_fixture_destroy(f);
}

static void a_lost_manifest_cannot_be_repaired_and_says_why(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    damage_fixture_copy(f);
    assert_int_equal(vfs_remove(f->copy, damage_path(damage_find(f, "MANIFEST-"))), STATUS_OK);
    assert_int_equal(damage_repair(f), STATUS_CORRUPT);
    assert_non_null(strstr(f->text, "No manifest is left"));
    damage_fixture_destroy(f);
}

static void one_flipped_byte_of_a_manifest_costs_at_most_one_edit(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    const char *name = damage_find(f, "MANIFEST-");
    uint64_t size = damage_file_size(f, name);
    for (uint64_t offset = 0; offset < size; offset += 3) {
        char what[64];
        snprintf(what, sizeof(what), "%s offset %d", name, (int)offset);
        damage_fixture_copy(f);
        assert_int_equal(vfs_memory_flip(f->copy, damage_path(name), offset, 0x40), STATUS_OK);
        assert_true(repair_and_read(f, what) > 0);
    }
    damage_fixture_destroy(f);
}

static void any_flipped_byte_can_be_repaired(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    struct random random;
    random_init(&random, test_seed());
    for (int round = 0; round < 400; round++) {
        const char *name = f->names[random_below(&random, f->name_count)];
        uint64_t size = damage_file_size(f, name);
        char what[64];
        if (size == 0)
            continue; /* LOCK */
        uint64_t offset = random_below(&random, size);
        snprintf(what, sizeof(what), "%s offset %d", name, (int)offset);
        damage_fixture_copy(f);
        assert_int_equal(vfs_memory_flip(f->copy, damage_path(name), offset, 0x22), STATUS_OK);
        repair_and_read(f, what);
    }
    damage_fixture_destroy(f);
}

/* What a loss of power after a repair leaves in lost/: the table, and a copy of the cut segment. */
static size_t count_lost(struct damage_fixture *f, const char *skipped)
{
    const char *table = damage_find(f, ".cwt");
    char segment[64] = "";
    size_t count = 0;
    damage_fixture_copy(f);
    assert_int_equal(vfs_memory_flip(f->copy, damage_path(table), 50, 1), STATUS_OK);
    for (size_t i = 0; i < f->name_count; i++)
        if (strstr(f->names[i], ".wal") && damage_verify(f) == STATUS_CORRUPT) {
            assert_int_equal(vfs_memory_flip(f->copy, damage_path(f->names[i]), 4096 + 700, 1),
                             STATUS_OK);
            assert_int_equal(damage_verify(f), STATUS_CORRUPT);
            snprintf(segment, sizeof(segment), "%s", f->names[i]);
            if (strstr(f->text, "WAL: "))
                break;
        }
    struct vfs *fault = vfs_fault_create(f->copy);
    f->env.vfs = fault;
    vfs_fault_skip_sync(fault, skipped);
    assert_int_equal(damage_repair(f), STATUS_OK);
    vfs_destroy(fault);
    struct vfs *after = vfs_memory_after_power_loss(f->copy, VFS_LOSE_UNSYNCED, 0);
    vfs_destroy(f->copy);
    f->copy = f->env.vfs = after;
    count += is_lost(f, table);
    if (is_lost(f, segment)) {
        char path[128];
        struct buffer bytes = {0};
        snprintf(path, sizeof(path), "db/lost/%s", segment);
        assert_int_equal(vfs_read_file(after, path, 1 << 20, &bytes), STATUS_OK);
        count += bytes.size > 0;
        buffer_release(&bytes);
    }
    return count;
}

static void what_is_lost_stays_in_lost_by_each_sync(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    assert_int_equal(count_lost(f, NULL), 2);
    assert_int_equal(count_lost(f, "repair.copy"), 1);
    assert_int_equal(count_lost(f, "repair.lost_names"), 0);
    damage_fixture_destroy(f);
}

/* Fails the n-th call, n = 1, 2, 3 ..., then repairs without failures: it always ends well. */
static void a_repair_that_was_cut_short_is_done_again(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    const char *name = damage_find(f, ".cwt");
    for (uint64_t n = 1;; n++) {
        damage_fixture_copy(f);
        assert_int_equal(vfs_memory_flip(f->copy, damage_path(name), 50, 1), STATUS_OK);
        for (size_t i = 0; i < f->name_count; i++)
            if (strstr(f->names[i], ".wal"))
                assert_int_equal(vfs_memory_flip(f->copy, damage_path(f->names[i]), 4096 + 700, 1),
                                 STATUS_OK);
        struct vfs *fault = vfs_fault_create(f->copy);
        f->env.vfs = fault;
        vfs_fault_fail(fault, (1u << VFS_CALL_COUNT) - 1, n, STATUS_IO, true);
        enum status status = damage_repair(f);
        bool failed = vfs_fault_failed_count(fault) > 0;
        f->env.vfs = f->copy;
        vfs_destroy(fault);
        assert_true(status == STATUS_OK || failed);
        repair_and_read(f, "after a failed repair");
        if (!failed)
            break;
    }
    damage_fixture_destroy(f);
}

struct lost_names {
    char names[16][64];
    size_t count;
};

static void note_lost(void *context, const char *name)
{
    struct lost_names *lost = context;
    assert_true(lost->count < 16);
    snprintf(lost->names[lost->count++], sizeof(lost->names[0]), "%s", name);
}

/* What is in lost/ has the size that it had in the database. */
static void expect_whole_copies(struct damage_fixture *f)
{
    struct lost_names lost = {.count = 0};
    enum status status = f->copy->ops->list(f->copy, "db/lost", note_lost, &lost);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    for (size_t i = 0; i < lost.count; i++) {
        char path[128];
        struct vfs_file *file = NULL;
        uint64_t size = 0;
        snprintf(path, sizeof(path), "db/lost/%s", lost.names[i]);
        assert_int_equal(vfs_open(f->copy, path, VFS_READ, &file), STATUS_OK);
        assert_int_equal(vfs_size(file, &size), STATUS_OK);
        vfs_close(file);
        char *number = strstr(lost.names[i], ".wal.");
        if (number)
            number[4] = 0; /* a second copy of one name */
        assert_int_equal(size, damage_file_size(f, lost.names[i]));
    }
}

/* A file that cannot be read, or is read short, is not damaged: the repair fails, and a later one
 * loses what it would have lost at once. */
static void a_failed_read_costs_a_repair_nothing(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(false);
    static const enum vfs_fault_form forms[] = {VFS_FAULT_HALF, VFS_FAULT_ENDS};
    struct buffer expected = {0}, found = {0};
    for (int damage = 0; damage < 2; damage++) {
        for (int form = 0; form < 2; form++) {
            uint64_t n = 0; /* 0: no failure */
            bool failed = true;
            for (; failed; n++) {
                damage_fixture_copy(f);
                for (size_t i = 0; i < f->name_count; i++) {
                    uint64_t at = damage ? 40 : 4096 + 700;
                    if (strstr(f->names[i], damage ? "MANIFEST-" : ".wal"))
                        assert_int_equal(
                            vfs_memory_flip(f->copy, damage_path(f->names[i]), at, 1), STATUS_OK);
                }
                struct vfs *fault = vfs_fault_create(f->copy);
                f->env.vfs = fault;
                vfs_fault_set_form(fault, forms[form]);
                vfs_fault_fail(fault, 1u << VFS_CALL_READ | 1u << VFS_CALL_OPEN, n, STATUS_IO,
                               false);
                enum status status = damage_repair(f);
                failed = n == 0 || vfs_fault_failed_count(fault) > 0;
                f->env.vfs = f->copy;
                vfs_destroy(fault);
                assert_int_equal(status, n && failed ? STATUS_IO : STATUS_OK);
                assert_int_equal(damage_repair(f), STATUS_OK);
                expect_whole_copies(f);
                buffer_clear(n ? &found : &expected);
                assert_int_equal(damage_read_all(f, true, n ? &found : &expected), STATUS_OK);
                assert_true(n == 0 || slice_equal(buffer_slice(&found), buffer_slice(&expected)));
            }
            assert_true(n > 10);
        }
    }
    buffer_release(&expected);
    buffer_release(&found);
    damage_fixture_destroy(f);
}

static void keep_first_bytes(struct damage_fixture *f, const char *name, size_t count)
{
    struct vfs_file *file = NULL;
    uint8_t bytes[64];
    assert_true(count <= sizeof(bytes));
    assert_int_equal(vfs_open(f->copy, damage_path(name), VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_read_exactly(file, 0, bytes, count, false), STATUS_OK);
    vfs_close(file);
    assert_int_equal(vfs_open(f->copy, damage_path(name), VFS_WRITE | VFS_TRUNCATE, &file),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, bytes, count), STATUS_OK);
    vfs_close(file);
}

static void a_manifest_that_says_nothing_is_told_and_nothing_is_touched(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    const char *name = damage_find(f, "MANIFEST-"), *table = damage_find(f, ".cwt");
    for (size_t kept = 10; kept <= 32; kept += 22) { /* half a header; a header and no tree */
        bool exists = false;
        damage_fixture_copy(f);
        keep_first_bytes(f, name, kept);
        assert_int_equal(damage_repair(f), STATUS_CORRUPT);
        assert_non_null(strstr(f->text, "cannot be used"));
        assert_int_equal(f->copy->ops->exists(f->copy, damage_path(table), &exists), STATUS_OK);
        assert_true(exists);
    }
    damage_fixture_destroy(f);
}

static void a_store_whose_name_is_lost_gets_a_new_one(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    struct buffer content = {0};
    damage_fixture_copy(f);
    assert_int_equal(vfs_memory_flip(f->copy, damage_path(damage_find(f, "MANIFEST-")), 3, 1),
                     STATUS_OK);
    for (size_t i = 0; i < f->name_count; i++)
        if (strstr(f->names[i], ".wal"))
            assert_int_equal(vfs_remove(f->copy, damage_path(f->names[i])), STATUS_OK);
    assert_int_equal(damage_repair(f), STATUS_OK);
    assert_int_equal(damage_verify(f), STATUS_OK);
    assert_int_equal(damage_read_all(f, false, &content), STATUS_OK);
    assert_true(content.size > 0);
    buffer_release(&content);
    damage_fixture_destroy(f);
}

static void an_empty_directory_and_an_endless_name_are_not_repaired(void **state)
{
    (void)state;
    struct damage_fixture *f = damage_fixture_create(true);
    static char name[6000];
    for (size_t i = 0; i + 1 < sizeof(name); i++)
        name[i] = i % 10 == 9 ? '/' : 'n';
    damage_fixture_copy(f);
    assert_int_equal(f->copy->ops->make_directory(f->copy, "empty"), STATUS_OK);
    assert_int_equal(lsm_repair(&f->env, "empty", NULL, damage_note_line, f), STATUS_NOT_FOUND);
    assert_int_equal(lsm_repair(&f->env, name, NULL, damage_note_line, f), STATUS_INVALID);
    assert_int_equal(lsm_verify(&f->env, name, NULL, damage_note_finding, f), STATUS_INVALID);
    damage_fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_that_says_nothing_is_told_and_nothing_is_touched),
        cmocka_unit_test(a_store_whose_name_is_lost_gets_a_new_one),
        cmocka_unit_test(an_empty_directory_and_an_endless_name_are_not_repaired),
        cmocka_unit_test(a_sound_database_is_not_changed),
        cmocka_unit_test(a_table_of_an_unknown_codec_ends_the_repair),
        cmocka_unit_test(a_table_of_an_unknown_compression_ends_the_repair),
        cmocka_unit_test(a_damaged_table_is_dropped_and_kept_as_lost),
        cmocka_unit_test(a_missing_table_is_dropped),
        cmocka_unit_test(a_damaged_wal_is_cut_before_the_damage),
        cmocka_unit_test(a_lost_current_is_found_again_and_costs_nothing),
        cmocka_unit_test(a_lost_manifest_cannot_be_repaired_and_says_why),
        cmocka_unit_test(one_flipped_byte_of_a_manifest_costs_at_most_one_edit),
        cmocka_unit_test(any_flipped_byte_can_be_repaired),
        cmocka_unit_test(what_is_lost_stays_in_lost_by_each_sync),
        cmocka_unit_test(a_repair_that_was_cut_short_is_done_again),
        cmocka_unit_test(a_failed_read_costs_a_repair_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
