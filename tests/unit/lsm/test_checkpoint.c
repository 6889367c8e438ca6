/* SPDX-License-Identifier: MIT */
/* Names of checkpoints, and what is refused before or undone behind; checkpoints beside writers and under
 * power losses: tests/fault/test_checkpoint.c. */
#include "lib/engine_run.h"

#include "base/memory.h"
#include "lsm/db.h"
#include "lsm/wal_writer.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct engine_run run;

static int setup(void **state)
{
    struct lsm_report report;
    (void)state;
    engine_run_init(&run, NULL, 1);
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    for (int i = 0; i < 40; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
    engine_run_flush(&run);
    assert_int_equal(engine_run_batch(&run), STATUS_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_run_release(&run);
    return 0;
}

static bool is_there(const char *path)
{
    bool exists = false;
    assert_int_equal(run.memory->ops->exists(run.memory, path, &exists), STATUS_OK);
    return exists;
}

/* As a power loss would find it now: it holds so many batches. */
static void expect_count(const char *path, size_t expected)
{
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    struct env env = run.env;
    struct lsm *copy = NULL;
    size_t count;
    env.vfs = vfs_memory_after_power_loss(run.memory, VFS_LOSE_UNSYNCED, 1);
    if (lsm_open(&env, path, &run.options, &report, &copy) != STATUS_OK)
        fail_msg("%s", report.text);
    if (!engine_holds_history(copy, &run.history, expected, expected, &count, &failure))
        fail_msg("%s", failure.text);
    assert_int_equal(lsm_close(copy), STATUS_OK);
    vfs_destroy(env.vfs);
}

static void expect_whole(const char *path)
{
    expect_count(path, run.history.count);
}

static void slashes_behind_the_name_are_no_part_of_it(void **state)
{
    struct lsm_report report;
    (void)state;
    assert_int_equal(lsm_checkpoint(run.db, "/copy//", &report), STATUS_OK);
    assert_false(is_there("/copy.tmp") || is_there("/copy/.tmp"));
    expect_whole("/copy");
}

static void a_name_without_a_slash_is_one_of_the_working_directory(void **state)
{
    struct lsm_report report;
    (void)state;
    assert_int_equal(lsm_checkpoint(run.db, "copy", &report), STATUS_OK);
    assert_false(is_there("copy.tmp"));
    expect_whole("copy"); /* the working directory was synced, or it would be gone */
}

/* "/././ ... /copie" of so many bytes. */
static void long_name(char *name, size_t size)
{
    size_t at = 0;
    for (; size - at > 6; at += 2)
        memcpy(name + at, "/.", 2);
    memcpy(name + at, "/copies", size - at);
    name[size] = 0;
}

static void no_name_and_one_too_long_are_refused(void **state)
{
    enum { LONGEST = 4096 - 64 }; /* a table's name fits behind it */
    char name[LONGEST + 2];
    struct lsm_report report;
    (void)state;
    assert_int_equal(lsm_checkpoint(run.db, "", &report), STATUS_INVALID);
    long_name(name, LONGEST + 1);
    assert_int_equal(lsm_checkpoint(run.db, name, &report), STATUS_INVALID);
    assert_non_null(strstr(report.text, "/./."));
    assert_false(is_there("/copies") || is_there("/copie"));
    long_name(name, LONGEST);
    assert_int_equal(lsm_checkpoint(run.db, name, &report), STATUS_OK);
    expect_whole(name);
}

static void a_database_opened_to_be_read_makes_none(void **state)
{
    struct lsm_report report;
    (void)state;
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    run.options.read_only = true;
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    assert_int_equal(lsm_checkpoint(run.db, "/copy", &report), STATUS_READ_ONLY);
    assert_non_null(strstr(report.text, ENGINE_DIRECTORY));
    assert_false(is_there("/copy") || is_there("/copy.tmp"));
}

static void what_a_failed_one_cannot_remove_the_next_one_sweeps(void **state)
{
    struct lsm_report report;
    (void)state;
    /* The first rename is that of CURRENT. */
    vfs_fault_fail(run.fault, 1u << VFS_CALL_RENAME | 1u << VFS_CALL_REMOVE, 2, STATUS_IO, true);
    assert_int_equal(lsm_checkpoint(run.db, "/copy", &report), STATUS_IO);
    vfs_fault_fail(run.fault, 0, 0, STATUS_OK, false);
    assert_non_null(strstr(report.text, "/copy"));
    assert_false(is_there("/copy"));
    assert_true(is_there("/copy.tmp/CURRENT"));
    assert_int_equal(vfs_rename(run.memory, "/copy.tmp/CURRENT", "/copy.tmp/other"), STATUS_OK);
    assert_int_equal(engine_run_batch(&run), STATUS_OK);
    assert_int_equal(lsm_checkpoint(run.db, "/copy", &report), STATUS_OK);
    assert_false(is_there("/copy.tmp") || is_there("/copy/other"));
    expect_whole("/copy");
}

/* ---- Beside writers of a compressed log ------------------------------------------------------ */

static void *sync_log(void *context)
{
    assert_int_equal(lsm_wal_sync(context), STATUS_OK);
    return NULL;
}

static void *make_checkpoint(void *context)
{
    struct lsm_report report;
    assert_int_equal(lsm_checkpoint(context, "/copy", &report), STATUS_OK);
    return NULL;
}

static void await_a_waiter(struct wal *wal)
{
    bool waits = false;
    while (!waits) {
        sched_yield();
        pthread_mutex_lock(&wal->mutex);
        waits = wal->waiters != NULL;
        pthread_mutex_unlock(&wal->mutex);
    }
}

static void append(int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
}

/* Its end is fixed, and its sync waits for another one, while more batches come behind. They are written
 * together, and not as one group. */
static void no_group_goes_across_the_end_of_a_checkpoint(void **state)
{
    struct lsm_report report;
    pthread_t syncing, making;
    char tail[64];
    (void)state;
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    run.options.wal_compression = LSM_WAL_LZ4;
    run.options.wal_page_bytes = 1;
    run.options.memtable_bytes = 8 << 20;
    run.options.wal_segment_bytes = 8 << 20;
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    append(10);
    const struct wal *wal = run.db->wal;
    wal_segment_path("", wal->segments[wal->tail]->header.base, tail, sizeof(tail));
    vfs_fault_hold(run.fault, 1u << VFS_CALL_WRITE, tail); /* new segments can be made */
    pthread_create(&syncing, NULL, sync_log, run.db);
    while (vfs_fault_held_count(run.fault) == 0)
        sched_yield();
    append(10);
    size_t count = run.history.count;
    pthread_create(&making, NULL, make_checkpoint, run.db);
    await_a_waiter(run.db->wal);
    append(10);
    vfs_fault_release(run.fault);
    pthread_join(syncing, NULL);
    pthread_join(making, NULL);
    expect_count("/copy", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(slashes_behind_the_name_are_no_part_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_without_a_slash_is_one_of_the_working_directory,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(no_name_and_one_too_long_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_opened_to_be_read_makes_none, setup, teardown),
        cmocka_unit_test_setup_teardown(no_group_goes_across_the_end_of_a_checkpoint, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_a_failed_one_cannot_remove_the_next_one_sweeps, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
