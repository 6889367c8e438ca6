/* SPDX-License-Identifier: MIT */
#include "unit/lsm/wal_fixture.h"

#include "base/crc32c.h"

static struct wal_header header_at(lsn_t base)
{
    return (struct wal_header){
        .store_id = STORE_ID, .base = base, .segment_bytes = 16384, .epoch = 2};
}

static void a_header_decodes_to_what_it_was(void **state)
{
    (void)state;
    uint8_t page[WAL_HEADER_BYTES];
    struct wal_header header = header_at(70000), found;
    wal_header_encode(page, &header);
    assert_int_equal(wal_header_decode(page, &found), STATUS_OK);
    assert_int_equal(found.store_id, STORE_ID);
    assert_int_equal(found.base, 70000);
    assert_int_equal(found.segment_bytes, 16384);
    assert_int_equal(found.epoch, 2);
    assert_int_equal(wal_header_end(&found), 70000 + 16384 - WAL_HEADER_BYTES);
    assert_int_equal(wal_header_offset(&found, 70010), WAL_HEADER_BYTES + 10);
}

static void every_flipped_byte_of_a_header_is_noticed(void **state)
{
    (void)state;
    uint8_t page[WAL_HEADER_BYTES];
    struct wal_header header = header_at(70000), found;
    wal_header_encode(page, &header);
    for (size_t i = 0; i < sizeof(page); i++) {
        page[i] ^= 0x80;
        assert_int_equal(wal_header_decode(page, &found), STATUS_CORRUPT);
        page[i] ^= 0x80;
    }
}

static void reseal(uint8_t *page)
{
    le32_store(page, crc32c_mask(crc32c(page + 4, WAL_HEADER_BYTES - 4)));
}

static void a_header_of_the_future_or_with_impossible_numbers_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
    } bad[] = {
        {24, 0},                         /* base */
        {24, UINT64_MAX},                /* no room behind it */
        {32, WAL_SEGMENT_BYTES_MIN - 1}, /* size */
        {32, (uint64_t)WAL_SEGMENT_BYTES_MAX + 1},
        {40, 0}, /* epoch */
        {40, (uint64_t)UINT32_MAX + 1},
    };
    uint8_t page[WAL_HEADER_BYTES];
    struct wal_header header = header_at(70000), found;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wal_header_encode(page, &header);
        le64_store(page + bad[i].at, bad[i].value);
        reseal(page);
        assert_int_equal(wal_header_decode(page, &found), STATUS_CORRUPT);
    }
    wal_header_encode(page, &header);
    le32_store(page + 12, 2);
    reseal(page);
    assert_int_equal(wal_header_decode(page, &found), STATUS_UNSUPPORTED);
}

/* The syncs of a new segment are what its promise stands on: without either it fails. */
static void check_new_segment(const char *skipped, enum status expected)
{
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000);
    struct wal_segment *segment = NULL;
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    wal_segment_close(segment);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_open(&f->env, "db", 70000, STORE_ID, &segment), expected);
    if (expected == STATUS_OK) {
        uint64_t size = 0;
        assert_int_equal(vfs_size(segment->file, &size), STATUS_OK);
        assert_int_equal(size, 16384);
        wal_segment_close(segment);
    }
    fixture_destroy(f);
}

static void a_new_segment_survives_power_loss_by_its_syncs(void **state)
{
    (void)state;
    check_new_segment(NULL, STATUS_OK);
    check_new_segment("wal_segment.create", STATUS_CORRUPT);
    check_new_segment("wal_segment.create_name", STATUS_NOT_FOUND);
}

static void check_recycled_segment(const char *skipped, enum status expected)
{
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000);
    struct wal_segment *segment = NULL;
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(wal_segment_recycle(&f->env, "db", segment, 90000, 3), STATUS_OK);
    wal_segment_close(segment);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_open(&f->env, "db", 90000, STORE_ID, &segment), expected);
    if (expected == STATUS_OK) {
        assert_int_equal(segment->header.epoch, 3);
        wal_segment_close(segment);
    }
    fixture_destroy(f);
}

static void a_recycled_segment_survives_power_loss_by_its_syncs(void **state)
{
    (void)state;
    check_recycled_segment(NULL, STATUS_OK);
    check_recycled_segment("wal_segment.recycle", STATUS_CORRUPT);
    check_recycled_segment("wal_segment.recycle_name", STATUS_NOT_FOUND);
}

static void a_failed_creation_leaves_nothing(void **state)
{
    (void)state;
    const unsigned calls[] = {1u << VFS_CALL_OPEN, 1u << VFS_CALL_WRITE, 1u << VFS_CALL_SYNC,
                              1u << VFS_CALL_RENAME, 1u << VFS_CALL_SYNC_DIRECTORY};
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct wal_fixture *f = fixture_create(16384);
        struct wal_header header = header_at(70000);
        struct wal_segment *segment = NULL;
        vfs_fault_fail(f->fault, calls[i], 1, STATUS_NO_SPACE, false);
        assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_NO_SPACE);
        assert_null(segment);
        assert_int_equal(fixture_segment_count(f), 0);
        fixture_destroy(f);
    }
}

/* The next process would take it for whole, and its zeros may never reach the medium. */
static void a_segment_whose_sync_failed_has_no_name(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000);
    struct wal_segment *segment = NULL;
    bool left_behind = false;
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC | 1u << VFS_CALL_REMOVE, 1, STATUS_IO, true);
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_IO);
    assert_int_equal(fixture_segment_count(f), 0);
    const char *path = "db/0000000000011170.wal.tmp";
    assert_int_equal(f->memory->ops->exists(f->memory, path, &left_behind), STATUS_OK);
    assert_true(left_behind);
    fixture_destroy(f);
}

static void segments_that_are_not_what_they_say_are_refused(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000), found;
    struct wal_segment *segment = NULL;
    const char *why = NULL;
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    assert_int_equal(wal_header_read(segment->file, 70000, STORE_ID, &found, &why), STATUS_OK);
    assert_int_equal(wal_header_read(segment->file, 70001, STORE_ID, &found, &why), STATUS_CORRUPT);
    assert_non_null(strstr(why, "name"));
    assert_int_equal(wal_header_read(segment->file, 70000, 1, &found, &why), STATUS_CORRUPT);
    assert_non_null(strstr(why, "another store"));
    assert_int_equal(vfs_truncate(segment->file, 16383), STATUS_OK);
    assert_int_equal(wal_header_read(segment->file, 70000, STORE_ID, &found, &why), STATUS_CORRUPT);
    assert_non_null(strstr(why, "shorter"));
    assert_int_equal(vfs_truncate(segment->file, 100), STATUS_OK);
    assert_int_equal(wal_header_read(segment->file, 70000, STORE_ID, &found, &why), STATUS_CORRUPT);
    assert_non_null(strstr(why, "ends within"));
    wal_segment_close(segment);
    fixture_destroy(f);
}

static void only_segment_names_are_listed_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"db/0000000000003000.wal",     "db/0000000000001000.wal",
                                        "db/00000000000000ab.wal",     "db/000012.cwt",
                                        "db/0000000000000000.wal",     "db/000000000000300G.wal",
                                        "db/0000000000004000.wal.tmp", "db/5000.wal"};
    struct wal_fixture *f = fixture_create(16384);
    lsn_t *bases = NULL;
    size_t count = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct vfs_file *file = NULL;
        assert_int_equal(vfs_open(f->memory, names[i], VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
        vfs_close(file);
    }
    assert_int_equal(wal_segment_list(&f->env, "db", &bases, &count), STATUS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(bases[0], 0xab);
    assert_int_equal(bases[1], 0x1000);
    assert_int_equal(bases[2], 0x3000);
    memory_free(bases);
    bases = NULL;
    assert_int_equal(wal_segment_list(&f->env, "nowhere", &bases, &count), STATUS_OK);
    assert_int_equal(count, 0);
    fixture_destroy(f);
}

static void check_erased(const char *skipped, uint8_t expected)
{
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000);
    struct wal_segment *segment = NULL;
    uint8_t bytes[200];
    memset(bytes, 7, sizeof(bytes));
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    assert_int_equal(vfs_write_at(segment->file, WAL_HEADER_BYTES, bytes, 200), STATUS_OK);
    assert_int_equal(vfs_sync(segment->file), STATUS_OK);
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(wal_segment_erase(segment, 70050, 70100), STATUS_OK);
    wal_segment_close(segment);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_open(&f->env, "db", 70000, STORE_ID, &segment), STATUS_OK);
    assert_int_equal(vfs_read_exactly(segment->file, WAL_HEADER_BYTES, bytes, 200, false),
                     STATUS_OK);
    for (int i = 0; i < 200; i++)
        assert_int_equal(bytes[i], i >= 50 && i < 100 ? expected : 7);
    wal_segment_close(segment);
    fixture_destroy(f);
}

static void erased_bytes_are_zero_after_power_loss_by_a_sync(void **state)
{
    (void)state;
    check_erased(NULL, 0);
    check_erased("wal_segment.erase", 7);
}

static void check_epoch(const char *skipped, uint64_t expected)
{
    struct wal_fixture *f = fixture_create(16384);
    struct wal_header header = header_at(70000);
    struct wal_segment *segment = NULL;
    assert_int_equal(wal_segment_create(&f->env, "db", &header, &segment), STATUS_OK);
    vfs_fault_skip_sync(f->fault, skipped);
    assert_int_equal(wal_segment_set_epoch(segment, 9), STATUS_OK);
    wal_segment_close(segment);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    assert_int_equal(wal_segment_open(&f->env, "db", 70000, STORE_ID, &segment), STATUS_OK);
    assert_int_equal(segment->header.epoch, expected);
    wal_segment_close(segment);
    fixture_destroy(f);
}

static void a_new_epoch_survives_power_loss_by_a_sync(void **state)
{
    (void)state;
    check_epoch(NULL, 9);
    check_epoch("wal_segment.epoch", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_decodes_to_what_it_was),
        cmocka_unit_test(every_flipped_byte_of_a_header_is_noticed),
        cmocka_unit_test(a_header_of_the_future_or_with_impossible_numbers_is_refused),
        cmocka_unit_test(a_new_segment_survives_power_loss_by_its_syncs),
        cmocka_unit_test(a_recycled_segment_survives_power_loss_by_its_syncs),
        cmocka_unit_test(a_failed_creation_leaves_nothing),
        cmocka_unit_test(a_segment_whose_sync_failed_has_no_name),
        cmocka_unit_test(segments_that_are_not_what_they_say_are_refused),
        cmocka_unit_test(only_segment_names_are_listed_in_order),
        cmocka_unit_test(erased_bytes_are_zero_after_power_loss_by_a_sync),
        cmocka_unit_test(a_new_epoch_survives_power_loss_by_a_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
