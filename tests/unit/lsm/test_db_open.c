/* SPDX-License-Identifier: MIT */
#include "unit/lsm/db_fixture.h"

static void a_database_opened_to_be_read_has_no_background_work(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "a", "1");
    db_fixture_work(f, false);
    db_fixture_put(f, 0, "b", "2");
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_KEEP_ALL);
    f->options.read_only = true;
    db_fixture_open(f);
    struct vfs_fault_counters before, after;
    vfs_fault_counters(f->fault, &before);
    lsm_request_compact(f->db);
    assert_false(lsm_work(f->db, 1 << 20));
    vfs_fault_counters(f->fault, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "1");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "2");
}

/* The segments that the last run has left are too small for what this one keeps in reserve. */
static void a_start_that_cannot_prepare_its_log_is_refused_and_may_be_done_again(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "a", "1");
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_KEEP_ALL);
    f->options.wal_segment_bytes = 1 << 20;
    vfs_fault_fail(f->fault, 1u << VFS_CALL_FREE_BYTES, 1, STATUS_IO, false);
    assert_int_equal(db_fixture_try_open(f), STATUS_IO);
    assert_non_null(strstr(f->report.text, "the log cannot be written to"));
    assert_int_equal(vfs_memory_open_count(f->memory), 0);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "1");
    db_fixture_put(f, 0, "b", "2");
    db_fixture_reopen(f);
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_database_opened_to_be_read_has_no_background_work,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            a_start_that_cannot_prepare_its_log_is_refused_and_may_be_done_again, db_fixture_setup,
            db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
