/* SPDX-License-Identifier: MIT */
#include "unit/lsm/db_fixture.h"

/* Reads without waiting, fetching what is missing between two tries; returns how many fetches that took. */
static unsigned get_with_fetches(struct db_fixture *f, const char *key, const char *expected)
{
    unsigned fetches = 0;
    lsm_reader_set_nowait(f->reader, true);
    vfs_fault_set_cold(f->fault, ".cwt");
    const char *text;
    while (strstr(text = db_fixture_get_now(f, 0, key), "not in memory") && fetches < 10) {
        assert_int_equal(lsm_reader_fetch_missing(f->reader), STATUS_OK);
        fetches++;
    }
    assert_string_equal(text, expected);
    lsm_reader_set_nowait(f->reader, false);
    vfs_fault_set_cold(f->fault, NULL);
    return fetches;
}

/* What is hidden, and what hides it, stay for somebody who still sees it. */
static void delete_all_and_flush(struct db_fixture *f)
{
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(f->db);
    db_fixture_delete_range(f, 0, "a", "z");
    db_fixture_work(f, false);
    lsm_snapshot_release(snapshot);
    db_fixture_reopen(f);
}

/* The key itself is in the memtable: only what may hide it has to be looked up in a table. */
static void range_deletions_in_a_table_that_is_not_open_are_missed_and_fetched(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "b", "old");
    db_fixture_put(f, 0, "y", "old");
    delete_all_and_flush(f);
    db_fixture_put(f, 0, "b", "new");
    assert_int_equal(get_with_fetches(f, "b", "new"), 1);
    assert_int_equal(get_with_fetches(f, "b", "new"), 0);
    assert_true(get_with_fetches(f, "y", "(not found)") > 0);
}

static void a_read_that_cannot_see_what_hides_its_key_gives_no_value(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "b", "old");
    delete_all_and_flush(f);
    db_fixture_put(f, 0, "b", "new");
    vfs_fault_fail(f->fault, 1u << VFS_CALL_OPEN, 1, STATUS_IO, false);
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "(input/output error)");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "new");
}

/* The key lies between those of the table. */
static void ask(struct lsm_reader *reader, const char *key, bool is_there)
{
    struct slice value;
    lsm_read_begin(reader);
    assert_int_equal(lsm_get(reader, 0, slice_from(key), &value),
                     is_there ? STATUS_OK : STATUS_NOT_FOUND);
    lsm_read_end(reader);
}

static void assert_filter_counts(struct db_fixture *f, uint64_t checks, uint64_t negatives)
{
    struct lsm_stats stats;
    lsm_get_stats(f->db, &stats);
    assert_int_equal(stats.filter_checks, checks);
    assert_int_equal(stats.filter_negatives, negatives);
}

static void what_all_readers_asked_of_filters_is_counted(void **state)
{
    struct db_fixture *f = *state;
    struct slice value;
    db_fixture_put(f, 0, "a", "1");
    db_fixture_put(f, 0, "z", "1");
    db_fixture_work(f, false);
    assert_filter_counts(f, 0, 0);
    ask(f->reader, "a", true);
    ask(f->reader, "m", false);
    assert_filter_counts(f, 2, 1);
    struct lsm_reader *other = lsm_reader_create(f->db);
    ask(other, "m", false);
    lsm_reader_destroy(other);
    assert_filter_counts(f, 3, 2); /* also of one that is gone */
    struct lsm_writer *writer = db_fixture_begin(f);
    assert_int_equal(lsm_get(lsm_writer_reader(writer), 0, slice_from("z"), &value), STATUS_OK);
    assert_int_equal(lsm_get(lsm_writer_reader(writer), 0, slice_from("m"), &value),
                     STATUS_NOT_FOUND);
    lsm_put(writer, 0, slice_from("b"), slice_from("1"));
    db_fixture_end(f, writer);
    assert_filter_counts(f, 5, 3);
}

/* A table of a deeper level is opened when the iterator comes to it; its range deletions, at once. */
static void an_iterator_that_lacks_range_deletions_says_so_at_every_move(void **state)
{
    struct db_fixture *f = *state;
    db_fixture_put(f, 0, "b", "old");
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(f->db); /* still sees b */
    db_fixture_delete_range(f, 0, "a", "m");
    db_fixture_put(f, 0, "n", "new");
    db_fixture_put(f, 0, "o", "newest");
    db_fixture_work(f, true);
    lsm_snapshot_release(snapshot);
    db_fixture_reopen(f);
    struct lsm_stats stats;
    lsm_get_stats(f->db, &stats);
    assert_int_equal(stats.trees[0].l0_count, 0);
    assert_true(stats.trees[0].range_delete_count > 0);
    for (int failing = 1; failing >= 0; failing--) {
        lsm_read_begin(f->reader);
        vfs_fault_fail(f->fault, 1u << VFS_CALL_OPEN, failing, STATUS_IO, false);
        struct lsm_iter *iter = lsm_iter_open(f->reader, 0, &(struct lsm_iter_options){0});
        for (int move = 0; move < 4; move++) {
            if (move == 0)
                lsm_iter_seek_first(iter);
            else if (move == 1)
                lsm_iter_seek_last(iter);
            else if (move == 2)
                lsm_iter_seek(iter, slice_from("b"));
            else
                lsm_iter_seek_for_prev(iter, slice_from("z"));
            assert_int_equal(lsm_iter_status(iter), failing ? STATUS_IO : STATUS_OK);
            assert_int_equal(lsm_iter_valid(iter), !failing);
            if (!failing) /* b is hidden */
                assert_true(slice_equal(lsm_iter_key(iter), slice_from(move % 2 ? "o" : "n")));
        }
        lsm_iter_close(iter);
        lsm_read_end(f->reader);
    }
}

/* The table has a key in front of the end, and one behind the start. */
static void bounds_the_wrong_way_round_show_nothing(void **state)
{
    struct db_fixture *f = *state;
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    f->options.trees[1].filter_prefix_bytes = 2;
    f->options.trees[1].filter_bits_per_key = 10;
    db_fixture_open(f);
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_put(writer, 1, slice_make("", 1), slice_from("first"));
    lsm_put(writer, 1, slice_from("zz"), slice_from("last"));
    db_fixture_end(f, writer);
    db_fixture_work(f, false);
    const struct slice lower = slice_from("kk"),
                       uppers[] = {slice_make("\0\0", 2), slice_from("bb")};
    for (int i = 0; i < 2; i++) {
        lsm_read_begin(f->reader);
        struct lsm_iter *iter = lsm_iter_open(
            f->reader, 1, &(struct lsm_iter_options){.lower = lower, .upper = uppers[i]});
        lsm_iter_seek_first(iter);
        assert_false(lsm_iter_valid(iter));
        lsm_iter_seek_last(iter);
        assert_false(lsm_iter_valid(iter));
        assert_int_equal(lsm_iter_status(iter), STATUS_OK);
        lsm_iter_close(iter);
        lsm_read_end(f->reader);
    }
}

/* Bytes that the cache keeps after each of 200 blocks was read at one moment. */
static uint64_t read_many(struct db_fixture *f, bool forgets)
{
    struct lsm_stats stats;
    lsm_read_begin(f->reader);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03d", i);
        assert_string_equal(db_fixture_get(f, 0, key), key);
        if (forgets)
            lsm_reader_forget(f->reader);
    }
    lsm_get_stats(f->db, &stats);
    lsm_read_end(f->reader);
    return stats.cache_bytes;
}

static void who_forgets_what_it_has_read_holds_a_block_at_a_time(void **state)
{
    struct db_fixture *f = *state;
    f->options.block_cache_bytes = 1;
    f->options.trees[0].block_bytes = 1; /* a key each */
    db_fixture_reopen(f);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%03d", i);
        db_fixture_put(f, 0, key, key);
    }
    db_fixture_work(f, false);
    db_fixture_reopen(f);
    uint64_t forgotten = read_many(f, true);
    db_fixture_reopen(f);
    uint64_t held = read_many(f, false);
    assert_true(forgotten * 2 < held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            range_deletions_in_a_table_that_is_not_open_are_missed_and_fetched, db_fixture_setup,
            db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_read_that_cannot_see_what_hides_its_key_gives_no_value,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(
            an_iterator_that_lacks_range_deletions_says_so_at_every_move, db_fixture_setup,
            db_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_all_readers_asked_of_filters_is_counted,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(bounds_the_wrong_way_round_show_nothing, db_fixture_setup,
                                        db_fixture_teardown),
        cmocka_unit_test_setup_teardown(who_forgets_what_it_has_read_holds_a_block_at_a_time,
                                        db_fixture_setup, db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
