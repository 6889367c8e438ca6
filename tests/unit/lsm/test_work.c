/* SPDX-License-Identifier: MIT */
#include "unit/lsm/db_fixture.h"

enum { RETRY_US = 1100000 };

static void note_name(void *context, const char *name)
{
    size_t length = strlen(name);
    *(unsigned *)context += length > 4 && strcmp(name + length - 4, ".cwt") == 0;
}

static unsigned table_count(struct db_fixture *f)
{
    unsigned count = 0;
    assert_int_equal(f->memory->ops->list(f->memory, "db", note_name, &count), STATUS_OK);
    return count;
}

/* Its table is begun at the very end: every open of a file fails in turn until it is there. */
static void a_merge_of_range_deletions_alone_that_fails_is_tried_again(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_stats stats;
    struct lsm_snapshot *snapshot =
        lsm_snapshot_acquire(f->db); /* sees what they hide, had there been any */
    for (int i = 0; i < 2; i++) {
        db_fixture_delete_range(f, 0, i ? "n" : "m", i ? "z" : "p");
        db_fixture_work(f, false);
    }
    lsm_request_compact(f->db);
    uint64_t n = 1;
    for (;; n++) {
        vfs_fault_fail(f->fault, 1u << VFS_CALL_OPEN, n, STATUS_IO, false);
        while (lsm_work(f->db, 1 << 20))
            ;
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        lsm_get_stats(f->db, &stats);
        if (stats.compaction_count > 0)
            break;
        assert_int_equal(stats.background_error, STATUS_IO);
        assert_int_equal(table_count(f), 2);
        f->clock_us += RETRY_US;
    }
    assert_true(n > 1);
    lsm_snapshot_release(snapshot);
    assert_int_equal(stats.trees[0].l0_count, 0);
    assert_int_equal(stats.trees[0].table_count, 1);
    assert_int_equal(stats.trees[0].range_delete_count, 2);
}

static uint64_t removals(struct db_fixture *f)
{
    struct vfs_fault_counters counters;
    vfs_fault_counters(f->fault, &counters);
    return counters.calls[VFS_CALL_REMOVE];
}

/* A reader that is the last to hold replaced tables and flushed memtables, as a thread that serves
 * clients may be. */
static void who_lets_go_last_leaves_what_remains_to_the_work(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "a", "1");
    db_fixture_work(f, false);
    db_fixture_put(f, 0, "a", "2");
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "2"); /* the reader keeps this view */
    db_fixture_work(f, true);
    unsigned tables = table_count(f);
    uint64_t before = removals(f);
    assert_true(tables > 1);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "2"); /* and now a newer one */
    assert_int_equal(removals(f), before);
    require_sound_engine(f->db, "with remains");
    assert_true(lsm_work(f->db, 1 << 20));
    assert_true(removals(f) > before);
    assert_int_equal(table_count(f), 1);
    assert_false(lsm_work(f->db, 1 << 20));
}

static void count_wake(void *context)
{
    ++*(unsigned *)context;
}

/* An iterator that goes into so many seeks, half of them backward. */
static void seek_often(struct db_fixture *f, unsigned tree, unsigned count)
{
    const struct lsm_iter_options options = {.lower = slice_make(NULL, 0)};
    lsm_read_begin(f->reader);
    struct lsm_iter *iter = lsm_iter_open(f->reader, tree, &options);
    for (unsigned i = 0; i < count; i++) {
        if (i % 2)
            lsm_iter_seek(iter, slice_from("b"));
        else
            lsm_iter_seek_for_prev(iter, slice_from("b"));
        assert_true(lsm_iter_valid(iter));
    }
    lsm_iter_close(iter);
    lsm_read_end(f->reader);
}

static uint64_t l0_count(struct db_fixture *f, unsigned tree)
{
    struct lsm_stats stats;
    while (lsm_work(f->db, 1 << 20))
        ;
    lsm_get_stats(f->db, &stats);
    return stats.trees[tree].l0_count;
}

static void tables_that_many_seeks_go_into_are_merged(void **state)
{
    struct db_fixture *f = *state;
    unsigned wakes = 0;
    f->options.work_ready = count_wake;
    f->options.context = &wakes;
    db_fixture_reopen(f);
    for (int i = 0; i < 2; i++) {
        for (unsigned tree = 0; tree < 2; tree++) {
            db_fixture_put(f, tree, "a", "1");
            db_fixture_put(f, tree, "b", "2");
            db_fixture_put(f, tree, "c", "3");
        }
        db_fixture_work(f, false);
    }
    seek_often(f, 0, 999);
    seek_often(f, 1, 999);
    assert_int_equal(l0_count(f, 0), 2);
    wakes = 0;
    seek_often(f, 0, 1);
    assert_int_equal(wakes, 0); /* whoever looks round finds it */
    assert_int_equal(l0_count(f, 0), 0);
    seek_often(f, 0, 5000); /* there is one table: these count for nothing */
    db_fixture_put(f, 0, "b", "4");
    db_fixture_work(f, false);
    seek_often(f, 0, 1); /* the reader comes to the newest view */
    assert_int_equal(l0_count(f, 0), 1);
    wakes = 0;
    seek_often(f, 0, 4094);
    assert_int_equal(wakes, 0);
    seek_often(f, 0, 1);
    assert_int_equal(wakes, 1);
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "4");
    assert_int_equal(l0_count(f, 1), 2); /* runs wait for more of them */
}

/* Blocks are large and small once compressed, so what the table being built has so far is a bad guess. */
static void a_merge_of_runs_that_fit_into_one_table_makes_one(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_stats stats;
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    f->options.trees[1].block_bytes = 64 << 10;
    db_fixture_open(f);
    for (int i = 0; i < 800; i++) {
        char key[16], value[256];
        snprintf(key, sizeof(key), "key%06d", i);
        snprintf(value, sizeof(value), "%0200d", i);
        db_fixture_put(f, 1, key, value);
        if (i % 200 == 199)
            db_fixture_work(f, false);
    }
    lsm_get_stats(f->db, &stats);
    assert_int_equal(stats.trees[1].table_count, 4);
    db_fixture_work(f, true);
    lsm_get_stats(f->db, &stats);
    assert_int_equal(stats.trees[1].table_count, 1);
    assert_int_equal(stats.trees[1].entry_count, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_lets_go_last_leaves_what_remains_to_the_work,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(tables_that_many_seeks_go_into_are_merged, db_fixture_setup,
                                        db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_merge_of_runs_that_fit_into_one_table_makes_one,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_merge_of_range_deletions_alone_that_fails_is_tried_again,
                                        db_fixture_setup, db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
