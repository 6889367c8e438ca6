/* SPDX-License-Identifier: MIT */
#include "lsm/db.h"
#include "unit/lsm/db_fixture.h"

enum { KEYS = 6000, RETRY_US = 1100000 };

/* In each tree more than a builder collects before it writes. */
static void fill(struct db_fixture *f)
{
    for (unsigned i = 0; i < KEYS; i++) {
        char key[24], value[100];
        struct lsm_writer *writer = db_fixture_begin(f);
        snprintf(key, sizeof(key), "key%06u", i);
        for (size_t k = 0; k < sizeof(value); k++)
            value[k] = (char)((i * 31 + k) * 2654435761u >> 24); /* does not compress */
        lsm_put(writer, 0, slice_from(key), slice_make(value, sizeof(value)));
        lsm_put(writer, 1, slice_from(key), slice_make(value, sizeof(value)));
        db_fixture_end(f, writer);
    }
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    while (lsm_work(f->db, 1 << 20))
        ; /* the log's next segments */
}

static void count_table(void *context, const char *name)
{
    size_t length = strlen(name);
    *(unsigned *)context += length > 4 && strcmp(name + length - 4, ".cwt") == 0;
}

static unsigned table_count(struct db_fixture *f)
{
    unsigned count = 0;
    assert_int_equal(f->memory->ops->list(f->memory, "db", count_table, &count), STATUS_OK);
    return count;
}

static size_t entry_count(struct db_fixture *f, unsigned tree)
{
    size_t count = 0;
    lsm_read_begin(f->reader);
    struct lsm_iter *iter = lsm_iter_open(f->reader, tree, &(struct lsm_iter_options){0});
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter))
        count++;
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    lsm_iter_close(iter);
    lsm_read_end(f->reader);
    return count;
}

/* In pieces, so that it fails in the middle of a tree too. It begins anew after a pause. */
static void a_flush_that_cannot_write_leaves_no_table_and_is_tried_again(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_stats stats;
    fill(f);
    lsm_request_flush(f->db);
    uint64_t n = 1;
    for (;; n++) {
        vfs_fault_fail(f->fault, 1u << VFS_CALL_WRITE, n, STATUS_NO_SPACE, false);
        while (lsm_work(f->db, 64 << 10))
            ;
        vfs_fault_fail(f->fault, 0, 0, STATUS_OK, false);
        lsm_get_stats(f->db, &stats);
        if (stats.flush_count > 0)
            break; /* the write that failed, if one did, was of a segment to be recycled */
        assert_int_equal(stats.background_error, STATUS_NO_SPACE);
        assert_int_equal(table_count(f), 0);
        while (lsm_work(f->db, 64 << 10)) /* the old view is let go ... */
            ;
        lsm_get_stats(f->db, &stats);
        assert_int_equal(stats.flush_count, 0); /* ... and the flush is not tried at once */
        f->clock_us += RETRY_US;
    }
    assert_true(n > 6); /* two writes and more of each tree, and the manifest's */
    assert_int_equal(stats.background_error, STATUS_OK);
    assert_int_equal(stats.flush_count, 1);
    assert_int_equal(table_count(f), 2);
    assert_int_equal(entry_count(f, 0), KEYS);
    assert_int_equal(entry_count(f, 1), KEYS);
}

/* Another thread may have done it between the look at what is due and the step. */
static void a_step_of_a_flush_that_is_done_already_is_the_last_one(void **state)
{
    struct db_fixture *f = *state;
    bool finished = false;
    db_fixture_put(f, 0, "a", "1");
    assert_int_equal(flush_step(f->db, 1 << 20, &finished), STATUS_OK);
    assert_true(finished);
    assert_int_equal(table_count(f), 0);
    db_fixture_work(f, false);
    assert_int_equal(table_count(f), 1);
    assert_int_equal(flush_step(f->db, 1 << 20, &finished), STATUS_OK);
    assert_true(finished);
    assert_int_equal(table_count(f), 1);
}

static void memtables_take_the_chunks_that_a_flush_set_free(void **state)
{
    struct db_fixture *f = *state;
    fill(f);
    assert_int_equal(arena_pool_kept_bytes(&f->db->chunks), 0);
    db_fixture_work(f, false);
    size_t kept = arena_pool_kept_bytes(&f->db->chunks);
    assert_in_range(kept, (size_t)2 * KEYS * 100, f->options.memtable_bytes);
    fill(f);
    assert_in_range(arena_pool_kept_bytes(&f->db->chunks), 0, kept - (size_t)2 * KEYS * 100);
    db_fixture_work(f, false);
    assert_int_equal(arena_pool_kept_bytes(&f->db->chunks), kept); /* it was enough for all */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_flush_that_cannot_write_leaves_no_table_and_is_tried_again, db_fixture_setup,
            db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_step_of_a_flush_that_is_done_already_is_the_last_one,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(memtables_take_the_chunks_that_a_flush_set_free,
                                        db_fixture_setup, db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
