/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "unit/lsm/db_fixture.h"

static void a_large_batch_without_memory_is_refused_before_it_begins(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_writer *writer = NULL;
    db_fixture_put(f, 0, "first", "makes a little ready");
    memory_fail_try(1, true);
    lsm_lock(f->db);
    assert_int_equal(lsm_write_begin(f->db, 3 << 20, false, &writer), STATUS_NO_MEMORY);
    assert_null(writer);
    lsm_unlock(f->db);
    db_fixture_put(f, 0, "small", "needs none");
    memory_fail_try(0, false);
    lsm_lock(f->db);
    assert_int_equal(lsm_write_begin(f->db, 3 << 20, false, &writer), STATUS_OK);
    lsm_put(writer, 0, slice_from("large"), slice_from("has room"));
    db_fixture_end(f, writer);
    assert_string_equal(db_fixture_get_now(f, 0, "small"), "needs none");
    assert_string_equal(db_fixture_get_now(f, 0, "large"), "has room");
}

/* It has begun while the log was whole, and must end; nobody reads it then, neither now nor later. */
static void a_batch_that_is_open_while_the_log_fails_is_never_seen(void **state)
{
    struct db_fixture *f = *state;
    lsm_set_ack_durable(f->db, true);
    db_fixture_put(f, 0, "a", "durable");
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    lsn_t durable = lsm_durable_lsn(f->db);
    db_fixture_put(f, 0, "b", "not synced");
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_put(writer, 0, slice_from("c"), slice_from("open"));
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_equal(lsm_wal_sync(f->db), STATUS_READ_ONLY);
    db_fixture_end(f, writer);
    lsm_lock(f->db);
    assert_int_equal(lsm_write_begin(f->db, 100, true, &writer), STATUS_READ_ONLY);
    lsm_unlock(f->db);
    assert_int_equal(lsm_durable_lsn(f->db), durable);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "durable");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "(not found)");
    assert_string_equal(db_fixture_get_now(f, 0, "c"), "(not found)");
    db_fixture_crash(f, VFS_LOSE_UNSYNCED);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "durable");
    assert_string_equal(db_fixture_get_now(f, 0, "c"), "(not found)");
}

/* Its caller has counted wrongly, and there is no room to make up for it: what the log cannot hold is shown
 * to nobody. */
static void a_batch_beyond_its_bound_on_a_full_disk_is_never_seen(void **state)
{
    struct db_fixture *f = *state;
    size_t size = 3 << 20;
    uint8_t *large = memory_zeroed(1, size);
    db_fixture_put(f, 0, "a", "written");
    assert_int_equal(lsm_wal_write(f->db), STATUS_OK);
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_put(writer, 0, slice_from("b"), slice_make(large, size));
    vfs_fault_set_free_bytes(f->fault, 0);
    db_fixture_end(f, writer);
    vfs_fault_set_free_bytes(f->fault, UINT64_MAX);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "written");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "(not found)");
    assert_int_equal(lsm_wal_write(f->db), STATUS_READ_ONLY);
    db_fixture_crash(f, VFS_KEEP_ALL);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "written");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "(not found)");
    memory_free(large);
}

/* Only what it has read tells how large a batch becomes. */
static void a_batch_that_grows_has_room_for_all_of_it(void **state)
{
    struct db_fixture *f = *state;
    size_t size = 3 << 20;
    char *large = memory_allocate(size);
    memset(large, 'l', size);
    struct lsm_writer *writer = NULL;
    lsm_lock(f->db);
    assert_int_equal(lsm_write_begin(f->db, 201 << 10, false, &writer), STATUS_OK);
    memory_fail_try(1, true); /* what was made ready for the batch is taken from */
    lsm_put(writer, 0, slice_from("medium"), slice_make(large, 200 << 10));
    memory_fail_try(0, false);
    lsm_put(writer, 0, slice_from("before"), slice_from("put"));
    lsn_t lsn = lsm_writer_lsn(writer);
    assert_int_equal(lsm_write_reserve(writer, 10), STATUS_OK);
    assert_int_equal(lsm_write_reserve(writer, size), STATUS_OK);
    memory_fail_try(1, true);
    lsm_put(writer, 0, slice_from("large"), slice_make(large, size));
    assert_int_equal(lsm_writer_lsn(writer), lsn);
    db_fixture_end(f, writer);
    memory_fail_try(0, false);
    assert_string_equal(db_fixture_get_now(f, 0, "before"), "put");
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_LOSE_UNSYNCED);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "before"), "put");
    struct slice found;
    lsm_read_begin(f->reader);
    assert_int_equal(lsm_get(f->reader, 0, slice_from("medium"), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_make(large, 200 << 10)));
    assert_int_equal(lsm_get(f->reader, 0, slice_from("large"), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_make(large, size)));
    lsm_read_end(f->reader);
    memory_free(large);
}

static void a_batch_that_cannot_grow_is_as_before(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_put(writer, 0, slice_from("a"), slice_from("put"));
    assert_int_equal(lsm_write_reserve(writer, SIZE_MAX), STATUS_TOO_LARGE);
    enum status status;
    unsigned refused = 0; /* for the payload, for the memtables, for the log */
    do {
        memory_fail_try(refused ? 2 : 1, true); /* what an earlier try has got is kept */
        status = lsm_write_reserve(writer, 2 << 20);
        memory_fail_try(0, false);
        refused += status == STATUS_NO_MEMORY;
    } while (status == STATUS_NO_MEMORY);
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(refused, 3);
    vfs_fault_set_free_bytes(f->fault, 0);
    assert_int_equal(lsm_write_reserve(writer, 40 << 20), STATUS_NO_SPACE);
    vfs_fault_set_free_bytes(f->fault, UINT64_MAX);
    lsm_put(writer, 0, slice_from("b"), slice_from("put, too"));
    db_fixture_end(f, writer);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "put");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "put, too");
    writer = db_fixture_begin(f);
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_equal(lsm_wal_sync(f->db), STATUS_READ_ONLY);
    assert_int_equal(lsm_write_reserve(writer, 1), STATUS_READ_ONLY);
    lsm_put(writer, 0, slice_from("c"), slice_from("for nobody"));
    db_fixture_end(f, writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_batch_without_memory_is_refused_before_it_begins,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_is_open_while_the_log_fails_is_never_seen,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_beyond_its_bound_on_a_full_disk_is_never_seen,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_grows_has_room_for_all_of_it, db_fixture_setup,
                                        db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_cannot_grow_is_as_before, db_fixture_setup,
                                        db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
