/* SPDX-License-Identifier: MIT */
/* Snapshots that grow old, and what goes when they do. */
#include "unit/lsm/space_fixture.h"

#include "lsm/db.h"

enum { KEYS = 300, AGE_MAX_MS = 5000 };

static void limit_age(struct lsm_options *options)
{
    options->snapshot_age_max_ms = AGE_MAX_MS;
}

static void grow_old(struct space *space)
{
    space->now_us += AGE_MAX_MS * 1000;
}

static enum status read_at(struct space *space, struct lsm_snapshot *snapshot)
{
    char text[24];
    struct slice value;
    struct lsm_reader *reader = lsm_reader_create(space->db);
    lsm_read_begin_at(reader, snapshot);
    enum status status = lsm_get(reader, SPACE_KEYS, space_key(7, text), &value);
    struct lsm_iter *iter = lsm_iter_open(reader, SPACE_KEYS, &(struct lsm_iter_options){0});
    lsm_iter_seek_first(iter);
    assert_int_equal(lsm_iter_status(iter), status);
    assert_int_equal(lsm_iter_valid(iter), status == STATUS_OK);
    lsm_iter_seek_last(iter);
    assert_int_equal(lsm_iter_status(iter), status);
    lsm_iter_close(iter);
    lsm_read_end(reader);
    /* The reader itself goes on. */
    lsm_read_begin(reader);
    assert_int_equal(lsm_get(reader, SPACE_KEYS, space_key(7, text), &value), STATUS_OK);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    return status;
}

static uint64_t entries_when_merged(struct space *space)
{
    lsm_request_compact(space->db);
    space_work(space);
    return space_tree(space, SPACE_KEYS).entry_count;
}

static void reads_at_an_old_snapshot_say_so(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, limit_age);
    space_put_keys(&space, 0, KEYS);
    struct lsm_snapshot *old = lsm_snapshot_acquire(space.db);
    space.now_us += AGE_MAX_MS * 1000 - 1;
    assert_int_equal(read_at(&space, old), STATUS_OK);
    space.now_us++;
    assert_int_equal(read_at(&space, old), STATUS_SNAPSHOT_EXPIRED);
    assert_string_equal(status_text(STATUS_SNAPSHOT_EXPIRED),
                        "the snapshot is older than the limit");
    struct lsm_snapshot *young = lsm_snapshot_acquire(space.db);
    space_work(&space);
    assert_int_equal(read_at(&space, old), STATUS_SNAPSHOT_EXPIRED);
    assert_int_equal(read_at(&space, young), STATUS_OK);
    assert_int_equal(atomic_load(&space.db->oldest_snapshot), lsm_snapshot_lsn(young));
    lsm_snapshot_release(young);
    lsm_snapshot_release(old);
    space_release(&space);
}

static void without_a_limit_no_snapshot_grows_old(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    space_put_keys(&space, 0, KEYS);
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(space.db);
    grow_old(&space);
    space_put_keys(&space, 0, KEYS);
    assert_int_equal(entries_when_merged(&space), 2 * KEYS);
    assert_int_equal(read_at(&space, snapshot), STATUS_OK);
    lsm_snapshot_release(snapshot);
    space_release(&space);
}

/* A younger one keeps its own versions; so does a read that had begun. */
static void what_an_old_snapshot_kept_goes(void **state)
{
    (void)state;
    struct space space;
    char text[24];
    struct slice before, after;
    space_init(&space, limit_age);
    space_put_keys(&space, 0, KEYS);
    struct lsm_snapshot *old = lsm_snapshot_acquire(space.db);
    space_put_keys(&space, 0, KEYS);
    space_flush(&space);
    struct lsm_reader *reader = lsm_reader_create(space.db);
    lsm_read_begin_at(reader, old);
    assert_int_equal(lsm_get(reader, SPACE_KEYS, space_key(7, text), &before), STATUS_OK);
    grow_old(&space);
    struct lsm_snapshot *young = lsm_snapshot_acquire(space.db);
    space_put_keys(&space, 0, KEYS);
    assert_int_equal(entries_when_merged(&space), 3 * KEYS);
    assert_int_equal(lsm_get(reader, SPACE_KEYS, space_key(7, text), &after), STATUS_OK);
    assert_true(slice_equal(before, after));
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    space_put_keys(&space, 0, 1); /* so that there is something to merge */
    assert_int_equal(entries_when_merged(&space), 2 * KEYS);
    lsm_snapshot_release(young);
    lsm_snapshot_release(old);
    space_release(&space);
}

static unsigned wake_count;

static void count_wake(void *context)
{
    (void)context;
    wake_count++;
}

static void count_wakes(struct lsm_options *options)
{
    options->work_ready = count_wake;
}

/* By itself, in both kinds of trees and in flushed tables too. */
static void old_versions_go_with_their_last_snapshot(void **state)
{
    (void)state;
    for (int merged = 0; merged < 2; merged++) {
        struct space space;
        space_init(&space, count_wakes);
        space_put_keys(&space, 0, KEYS);
        space_put_entries(&space, 1, 0, KEYS);
        struct lsm_snapshot *first = lsm_snapshot_acquire(space.db);
        struct lsm_snapshot *second = lsm_snapshot_acquire(space.db);
        space_put_keys(&space, 0, KEYS);
        space_put_entries(&space, 1, 0, KEYS);
        merged ? lsm_request_compact(space.db) : lsm_request_flush(space.db);
        space_work(&space);
        lsm_snapshot_release(first);
        space_work(&space);
        assert_int_equal(space_tree(&space, SPACE_KEYS).entry_count, 2 * KEYS);
        assert_int_equal(space_tree(&space, SPACE_ENTRIES).entry_count, 2 * KEYS);
        wake_count = 0;
        lsm_snapshot_release(second);
        assert_int_equal(wake_count, 1);
        space_work(&space);
        assert_int_equal(space_tree(&space, SPACE_KEYS).entry_count, KEYS);
        assert_int_equal(space_tree(&space, SPACE_ENTRIES).entry_count, KEYS);
        assert_int_equal(lsm_is_idle(space.db), true);
        space_release(&space);
    }
}

/* A deletion of one of its keys, and what it deleted, may be gone: no conflict could be found. */
static void a_transaction_at_an_old_snapshot_is_not_committed(void **state)
{
    (void)state;
    struct space space;
    char text[24];
    lsn_t lsn = 1;
    space_init(&space, limit_age);
    space_put_keys(&space, 0, KEYS);
    struct lsm_transaction *transaction =
        lsm_transaction_create(space.db, &(struct lsm_transaction_options){.bytes_max = 1 << 20});
    assert_int_equal(
        lsm_transaction_put(transaction, SPACE_KEYS, space_key(7, text), slice_from("value")),
        STATUS_OK);
    space_delete_keys(&space, 7, 8);
    space_flush(&space);
    grow_old(&space);
    assert_int_equal(entries_when_merged(&space), KEYS - 1);
    struct lsm_reader *reader = lsm_reader_create(space.db);
    assert_int_equal(lsm_transaction_commit(transaction, reader, &lsn), STATUS_SNAPSHOT_EXPIRED);
    assert_int_equal(lsn, 1);
    lsm_transaction_destroy(transaction);
    lsm_reader_destroy(reader);
    space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_at_an_old_snapshot_say_so),
        cmocka_unit_test(without_a_limit_no_snapshot_grows_old),
        cmocka_unit_test(what_an_old_snapshot_kept_goes),
        cmocka_unit_test(old_versions_go_with_their_last_snapshot),
        cmocka_unit_test(a_transaction_at_an_old_snapshot_is_not_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
