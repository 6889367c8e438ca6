/* SPDX-License-Identifier: MIT */
#include "unit/lsm/db_fixture.h"

#include "base/memory.h"

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

/* After an unclean stop a start writes a seal, and the manifest. */
static void a_start_that_cannot_sync_is_refused_and_may_be_done_again(void **state)
{
    struct db_fixture *f = *state;
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        db_fixture_put(f, 0, "a", "1");
        assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
        db_fixture_crash(f, VFS_KEEP_ALL);
        uint64_t before = vfs_fault_failed_count(f->fault);
        vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, n, STATUS_IO, false);
        enum status status = db_fixture_try_open(f);
        failed = vfs_fault_failed_count(f->fault) > before;
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        assert_int_equal(status, failed ? STATUS_IO : STATUS_OK);
        if (failed)
            db_fixture_open(f);
        assert_string_equal(db_fixture_get_now(f, 0, "a"), "1");
    }
    assert_true(n > 3);
}

enum { PUTS = 500 };

/* Values that compress, all in one write of the log. */
static void put_many(struct db_fixture *f, unsigned round)
{
    char key[32], value[300];
    for (int i = 0; i < PUTS; i++) {
        snprintf(key, sizeof(key), "%u:%d", round, i);
        snprintf(value, sizeof(value), "%0250d", i);
        db_fixture_put(f, 0, key, value);
    }
    assert_int_equal(lsm_wal_write(f->db), STATUS_OK);
}

static void expect_many(struct db_fixture *f, unsigned rounds)
{
    char key[32];
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < PUTS; i++) {
            snprintf(key, sizeof(key), "%u:%d", round, i);
            assert_int_equal(strspn(db_fixture_get_now(f, 0, key), "0"), 63);
        }
    }
}

/* A memtable that is full in the middle of a group: what is flushed of a log ends where a later recovery
 * can start, both when it is written and when it is replayed. */
static void what_is_flushed_of_a_compressed_log_ends_between_groups(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_stats stats;
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    f->options.wal_compression = LSM_WAL_LZ4;
    f->options.wal_segment_bytes = 4 << 20;
    for (unsigned round = 0; round < 6; round++) {
        f->options.memtable_bytes = round % 2 ? 128 << 10 : 8 << 20;
        db_fixture_open(f);
        if (round % 2) { /* only what the replay has frozen is flushed */
            while (lsm_work(f->db, 1 << 20))
                ;
            db_fixture_crash(f, VFS_KEEP_ALL);
            db_fixture_open(f);
        }
        expect_many(f, round);
        put_many(f, round);
        lsm_get_stats(f->db, &stats);
        assert_true(stats.wal_bytes_written < stats.wal_bytes_logged / 2);
        if (round % 2)
            while (lsm_work(f->db, 1 << 20))
                ;
        lsm_get_stats(f->db, &stats);
        assert_int_equal(stats.flush_count > 0, round % 2);
        assert_true(stats.flushed_lsn < stats.visible_lsn);
        db_fixture_crash(f, VFS_KEEP_ALL);
    }
    f->options.wal_compression = LSM_WAL_PLAIN; /* whatever the option is */
    db_fixture_open(f);
    expect_many(f, 6);
    lsm_get_stats(f->db, &stats);
    assert_int_equal(stats.wal_bytes_written, stats.wal_bytes_logged);
}

/* Keys in no order, overwritten and deleted now and then, in trees with and without an index, and more than one
 * memtable holds. */
static void what_was_written_in_no_order_is_recovered_in_order(void **state)
{
    enum { KEYS = 1500, STRIDE = 611, ROUNDS = 3 };
    struct db_fixture *f = *state;
    char key[32], value[300];
    for (unsigned i = 0; i < ROUNDS * KEYS; i++) {
        unsigned number = i * STRIDE % KEYS, round = i / KEYS;
        snprintf(key, sizeof(key), "%06u", number);
        snprintf(value, sizeof(value), "%0250u", 10 * number + round);
        struct lsm_writer *writer = db_fixture_begin(f);
        for (unsigned tree = 0; tree < 2; tree++) {
            if (number % ROUNDS == round)
                lsm_delete(writer, tree, slice_from(key));
            else
                lsm_put(writer, tree, slice_from(key), slice_from(value));
        }
        db_fixture_end(f, writer);
    }
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_KEEP_ALL);
    f->options.memtable_bytes = 512 << 10;
    db_fixture_open(f);
    require_sound_engine(f->db, "after a recovery");
    lsm_read_begin(f->reader);
    for (unsigned tree = 0; tree < 2; tree++) {
        struct lsm_iter *iter = lsm_iter_open(f->reader, tree, &(struct lsm_iter_options){0});
        lsm_iter_seek_first(iter);
        for (unsigned number = 0; number < KEYS; number++) {
            if (number % ROUNDS == ROUNDS - 1) /* deleted in the last round */
                continue;
            assert_true(lsm_iter_valid(iter));
            snprintf(key, sizeof(key), "%06u", number);
            snprintf(value, sizeof(value), "%0250u", 10 * number + ROUNDS - 1);
            assert_true(slice_equal(lsm_iter_key(iter), slice_from(key)));
            assert_true(slice_equal(lsm_iter_value(iter), slice_from(value)));
            lsm_iter_next(iter);
        }
        assert_false(lsm_iter_valid(iter));
        lsm_iter_close(iter);
    }
    lsm_read_end(f->reader);
}

static void a_compressed_log_without_memory_refuses_the_start(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "a", "1");
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    f->options.wal_compression = LSM_WAL_LZ4;
    memory_fail_try(1, true);
    assert_int_equal(db_fixture_try_open(f), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    assert_non_null(strstr(f->report.text, "out of memory"));
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_database_opened_to_be_read_has_no_background_work,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            a_start_that_cannot_prepare_its_log_is_refused_and_may_be_done_again, db_fixture_setup,
            db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_start_that_cannot_sync_is_refused_and_may_be_done_again,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_flushed_of_a_compressed_log_ends_between_groups,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_was_written_in_no_order_is_recovered_in_order,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_compressed_log_without_memory_refuses_the_start,
                                        db_fixture_setup, db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
