/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
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

/* ---- A batch that goes on ------------------------------------------------------------------- */

static void a_batch_goes_on_within_what_is_ready(void **state)
{
    struct db_fixture *f = *state;
    static char line[1024];
    memset(line, 'l', sizeof line);
    struct lsm_writer *writer = db_fixture_begin(f);
    lsn_t lsn = lsm_writer_lsn(writer);
    lsm_put(writer, 0, slice_from("a"), slice_from("first"));
    assert_true(lsm_write_continue(writer, 1024, false));
    lsm_put(writer, 0, slice_from("b"), slice_from("second"));
    assert_false(lsm_write_continue(writer, SIZE_MAX, false));
    assert_false(lsm_write_continue(writer, 256 << 10, false));
    assert_true(lsm_write_continue(writer, 64 << 10, true));
    assert_int_equal(lsm_writer_lsn(writer), lsn);
    size_t lines = 0;
    for (; lsm_write_continue(writer, sizeof line, false); lines++) {
        char key[16];
        snprintf(key, sizeof key, "%zu", lines);
        lsm_put(writer, 1, slice_from(key), slice_make(line, sizeof line));
    }
    assert_true(lines > 60 && lines < 70); /* 64 KiB */
    db_fixture_end(f, writer);
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_LOSE_UNSYNCED);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 0, "a"), "first");
    assert_string_equal(db_fixture_get_now(f, 0, "b"), "second");
    assert_int_equal(db_fixture_get_now(f, 1, "59")[0], 'l');
}

/* The batch that was begun has its room; what more would need is for a batch that can be refused. */
static void a_batch_does_not_go_on_without_room_in_the_log(void **state)
{
    struct db_fixture *f = *state;
    struct lsm_writer *writer = NULL;
    bool has_begun = false, has_ended = false;
    db_fixture_put(f, 0, "k", "makes segments ready");
    vfs_fault_set_free_bytes(f->fault, 0);
    for (int i = 0; i < 5000 && !has_ended; i++) {
        lsm_lock(f->db);
        enum status status = lsm_write_begin(f->db, 16, false, &writer);
        lsm_unlock(f->db);
        if (status == STATUS_NO_SPACE)
            break;
        assert_int_equal(status, STATUS_OK);
        has_begun = true;
        lsm_put(writer, 0, slice_from("k"), slice_from("a value"));
        has_ended = !lsm_write_continue(writer, 64, false);
        (void)lsm_write_end(writer);
    }
    assert_true(has_begun && has_ended);
    assert_string_equal(db_fixture_get_now(f, 0, "k"), "a value");
    vfs_fault_set_free_bytes(f->fault, UINT64_MAX);
    writer = db_fixture_begin(f);
    lsm_put(writer, 0, slice_from("k"), slice_from("for nobody"));
    vfs_fault_fail(f->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_equal(lsm_wal_sync(f->db), STATUS_READ_ONLY);
    assert_false(lsm_write_continue(writer, 64, true));
    db_fixture_end(f, writer);
}

/* A key that is written again and again within a batch, as a log's header is, is logged once. */
static void the_last_put_of_a_tree_is_logged_once(void **state)
{
    struct db_fixture *f = *state;
    lsn_t before = lsm_visible_lsn(f->db);
    struct lsm_writer *writer = db_fixture_begin(f);
    for (int i = 0; i < 8; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        lsm_put(writer, 1, slice_from(text), slice_from("entry"));
        lsm_put(writer, 0, slice_from("header"), slice_from(text));
    }
    db_fixture_end(f, writer);
    lsn_t bytes = lsm_visible_lsn(f->db) - before;
    enum { FRAME_HEAD = 29, RECORD_HEAD = 3 };
    assert_int_equal(bytes, FRAME_HEAD + 8 * (RECORD_HEAD + 1 + 5) + RECORD_HEAD + 6 + 1);
    assert_string_equal(db_fixture_get_now(f, 0, "header"), "7");
    assert_int_equal(lsm_wal_write(f->db), STATUS_OK);
    db_fixture_crash(f, VFS_KEEP_ALL);
    db_fixture_open(f);
    assert_string_equal(db_fixture_get_now(f, 1, "6"), "entry");
}

enum { MODEL_KEYS = 4, MODEL_TREES = 2 };
static const char *const model_keys[MODEL_KEYS + 1] = {"a", "b", "cc", "dd", "e"};

static void expect_model(struct db_fixture *f, char model[MODEL_TREES][MODEL_KEYS][8])
{
    for (unsigned tree = 0; tree < MODEL_TREES; tree++)
        for (size_t i = 0; i < MODEL_KEYS; i++) {
            const char *expected = model[tree][i][0] ? model[tree][i] : "(not found)";
            assert_string_equal(db_fixture_get_now(f, tree, model_keys[i]), expected);
        }
}

static void write_at_random(struct lsm_writer *writer, struct random *random,
                            char model[MODEL_TREES][MODEL_KEYS][8])
{
    unsigned tree = (unsigned)random_below(random, MODEL_TREES);
    size_t i = random_below(random, MODEL_KEYS);
    switch (random_below(random, 8)) {
    case 0:
        lsm_delete(writer, tree, slice_from(model_keys[i]));
        model[tree][i][0] = '\0';
        break;
    case 1: {
        size_t to = i + random_below(random, MODEL_KEYS + 1 - i);
        lsm_delete_range(writer, tree, slice_from(model_keys[i]), slice_from(model_keys[to]));
        for (; i < to; i++)
            model[tree][i][0] = '\0';
        break;
    }
    default:
        snprintf(model[tree][i], sizeof model[tree][i], "%u",
                 (unsigned)random_below(random, 110)); /* mostly of two digits */
        lsm_put(writer, tree, slice_from(model_keys[i]), slice_from(model[tree][i]));
    }
}

/* What is put, deleted and put again in one batch is the same for its readers and for a recovery. */
static void a_batch_that_changes_a_key_often_is_recovered_as_it_was(void **state)
{
    struct db_fixture *f = *state;
    char model[MODEL_TREES][MODEL_KEYS][8] = {0};
    struct random random;
    random_init(&random, test_seed());
    for (int batch = 0; batch < 400; batch++) {
        struct lsm_writer *writer = db_fixture_begin(f);
        lsm_put(writer, 0, slice_from(model_keys[MODEL_KEYS]), slice_from("always there"));
        for (size_t i = random_below(&random, 12); i > 0; i--) {
            write_at_random(writer, &random, model);
            (void)lsm_write_continue(writer, 16, false);
        }
        db_fixture_end(f, writer);
        expect_model(f, model);
        if (batch % 8 == 0) {
            assert_int_equal(lsm_wal_write(f->db), STATUS_OK);
            db_fixture_crash(f, VFS_KEEP_ALL);
            db_fixture_open(f);
            expect_model(f, model);
        }
    }
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
        cmocka_unit_test_setup_teardown(a_batch_goes_on_within_what_is_ready, db_fixture_setup,
                                        db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_does_not_go_on_without_room_in_the_log,
                                        db_fixture_setup, db_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_last_put_of_a_tree_is_logged_once, db_fixture_setup,
                                        db_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_changes_a_key_often_is_recovered_as_it_was,
                                        db_fixture_setup, db_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
