/* SPDX-License-Identifier: MIT */
/* The log when a call fails at a place that needs another failure, or a long log, before it. */
#include "unit/lsm/wal_fixture.h"

/* It is asked for once more by each batch, and keeps none from being logged meanwhile. */
static void a_rotation_on_a_full_disk_waits_for_room(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(64 << 10);
    fixture_start(f);
    fixture_append(f, 0, 100);
    wal_request_rotate(f->wal);
    vfs_fault_set_free_bytes(f->fault, 0);
    lsn_t first = fixture_append(f, 1, 100), second = fixture_append(f, 2, 100);
    assert_int_equal(fixture_segment_count(f), 1);
    assert_true(second - first < 1000);
    vfs_fault_set_free_bytes(f->fault, UINT64_MAX);
    assert_true(fixture_append(f, 3, 100) - second > 32 << 10);
    assert_int_equal(fixture_segment_count(f), 2);
    fixture_append(f, 4, 100); /* once only */
    assert_int_equal(fixture_segment_count(f), 2);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_start(f);
    fixture_expect(f, 0, 5);
    fixture_destroy(f);
}

static void a_rotation_that_fails_refuses_the_batch(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(64 << 10);
    enum status status;
    fixture_start(f);
    fixture_append(f, 0, 100);
    wal_request_rotate(f->wal);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_FREE_BYTES, 1, STATUS_IO, false);
    assert_int_equal(fixture_try_append(f, 1, 100, &status), 0);
    assert_int_equal(status, STATUS_IO);
    fixture_append(f, 1, 100);
    assert_int_equal(fixture_segment_count(f), 2);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_start(f);
    fixture_expect(f, 0, 2);
    fixture_destroy(f);
}

/* Its room was reserved while the log was whole. */
static void a_batch_beyond_its_reservation_in_a_failed_log_stands_nowhere(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(64 << 10);
    static uint8_t payload[200 << 10];
    fixture_start(f);
    fixture_append(f, 0, 100);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_append(f, 1, 100);
    assert_int_equal(wal_reserve(f->wal, 0, false), STATUS_OK);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_WRITE, 1, STATUS_IO, false);
    assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
    lsn_t lsn = wal_next_lsn(f->wal);
    struct vfs_fault_counters before, after;
    vfs_fault_counters(f->fault, &before);
    assert_true(wal_append(f->wal, slice_make(payload, sizeof(payload)), 1) > lsn);
    assert_int_equal(wal_sync(f->wal), STATUS_READ_ONLY);
    assert_true(wal_written_lsn(f->wal) <= lsn);
    vfs_fault_counters(f->fault, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    fixture_crash(f, VFS_KEEP_ALL, 1);
    fixture_start(f);
    fixture_expect(f, 0, 1);
    fixture_destroy(f);
}

/* Damage in front, and behind it more than is read at once: that a frame there cannot be read decides
 * nothing, neither that the log ends nor that it is damaged. */
static void a_search_behind_the_end_that_cannot_read_is_no_verdict(void **state)
{
    (void)state;
    struct wal_fixture *f = fixture_create(16 << 20);
    fixture_start(f);
    lsn_t first = fixture_append(f, 0, 100);
    for (uint64_t n = 1; n < 12; n++)
        fixture_append(f, n, 900 << 10);
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_append(f, 12, 100); /* states that they were durable */
    assert_int_equal(wal_sync(f->wal), STATUS_OK);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 0);
    fixture_flip(f, first + 40);
    uint64_t n = 1;
    for (;; n++) {
        vfs_fault_fail(f->fault, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        enum status status = fixture_recover(f, 0, 0, false, false);
        if (vfs_fault_failed_count(f->fault) < n)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(f->report.text, ".wal"));
    }
    assert_true(n > 4);
    vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
    assert_int_equal(fixture_recover(f, 0, 0, false, false), STATUS_CORRUPT);
    fixture_destroy(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rotation_on_a_full_disk_waits_for_room),
        cmocka_unit_test(a_rotation_that_fails_refuses_the_batch),
        cmocka_unit_test(a_batch_beyond_its_reservation_in_a_failed_log_stands_nowhere),
        cmocka_unit_test(a_search_behind_the_end_that_cannot_read_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
