/* SPDX-License-Identifier: MIT */
/* A full disk is found before a batch is executed; reads go on, batches that only delete may use
 * the reserve, and writing resumes by itself when there is room again. */
#include "lib/engine_run.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { BATCHES_MAX = 3000, REFUSED = 50, A_SECOND_US = 1100000 };

static void open_run(struct engine_run *run, uint64_t seed)
{
    struct lsm_report report;
    engine_run_init(run, NULL, seed);
    run->policy = POLICY_ALWAYS;
    assert_int_equal(engine_run_open(run, &report), STATUS_OK);
}

static void expect_all(struct engine_run *run)
{
    struct engine_failure failure = {""};
    size_t count;
    if (!engine_holds_history(run->db, &run->history, run->history.count, run->history.count,
                              &count, &failure))
        fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
}

/* Batches until the disk is full for small ones too. Background work would free WAL segments, so
 * there is none. */
static void fill(struct engine_run *run)
{
    int refused = 0;
    for (int i = 0; refused < REFUSED && i < BATCHES_MAX; i++) {
        enum status status = engine_run_batch(run);
        assert_true(status == STATUS_OK || status == STATUS_NO_SPACE);
        refused = status == STATUS_OK ? 0 : refused + 1;
    }
    assert_int_equal(refused, REFUSED);
}

static enum status delete_one(struct engine_run *run)
{
    struct lsm_writer *writer = NULL;
    lsm_lock(run->db);
    enum status status = lsm_write_begin(run->db, 100, true, &writer);
    if (status == STATUS_OK) {
        lsm_delete(writer, 0, slice_from("no such key"));
        lsm_write_end(writer);
    }
    lsm_unlock(run->db);
    return status;
}

/* Asks for room only; nothing is written when it is there. */
static enum status write_large(struct engine_run *run)
{
    struct lsm_writer *writer = NULL;
    lsm_lock(run->db);
    enum status status = lsm_write_begin(run->db, 20000, false, &writer);
    if (status == STATUS_OK)
        lsm_write_end(writer);
    lsm_unlock(run->db);
    return status;
}

static void full_disk_is_found_before_execution_and_reads_go_on(void **state)
{
    (void)state;
    struct engine_run run;
    open_run(&run, test_seed());
    for (int i = 0; i < 20; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
    vfs_fault_set_free_bytes(run.fault, 100000);
    fill(&run);
    size_t count = run.history.count;
    lsn_t visible = lsm_visible_lsn(run.db);
    for (int i = 0; i < 10; i++)
        assert_int_equal(write_large(&run), STATUS_NO_SPACE);
    assert_int_equal(run.history.count, count);
    assert_true(lsm_visible_lsn(run.db) == visible);
    expect_all(&run);
    /* What was executed can still be made durable: its room was there before. */
    assert_int_equal(engine_run_sync(&run), STATUS_OK);
    struct engine_failure failure = {""};
    const struct power_loss loss = {.mode = VFS_LOSE_UNSYNCED, .seed = test_seed()};
    if (!power_loss_check(&run, &loss, &failure))
        fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
    engine_run_release(&run);
}

static void deletions_use_the_reserve(void **state)
{
    (void)state;
    struct engine_run run;
    open_run(&run, test_seed());
    vfs_fault_set_free_bytes(run.fault, 200000); /* of which a memtable is left for the flush */
    fill(&run);
    for (int i = 0; i < 50; i++)
        assert_int_equal(delete_one(&run), STATUS_OK);
    assert_int_equal(write_large(&run), STATUS_NO_SPACE);
    assert_int_equal(engine_run_sync(&run), STATUS_OK);
    expect_all(&run);
    /* The reserve ends too, and then a deletion is refused as a write is. */
    enum status status = STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < 1000000; i++)
        status = delete_one(&run);
    assert_int_equal(status, STATUS_NO_SPACE);
    expect_all(&run);
    engine_run_release(&run);
}

static void writing_resumes_by_itself(void **state)
{
    (void)state;
    struct engine_run run;
    open_run(&run, test_seed());
    for (int round = 0; round < 3; round++) {
        vfs_fault_set_free_bytes(run.fault, 60000);
        fill(&run);
        vfs_fault_set_free_bytes(run.fault, 1 << 20);
        for (int i = 0; i < 20; i++)
            assert_int_equal(engine_run_batch(&run), STATUS_OK);
        assert_int_equal(engine_run_sync(&run), STATUS_OK);
        expect_all(&run);
    }
    vfs_fault_set_free_bytes(run.fault, UINT64_MAX);
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    struct lsm_report report;
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    expect_all(&run);
    engine_run_release(&run);
}

static void flush_that_finds_no_room_is_tried_again(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_stats stats;
    open_run(&run, test_seed());
    for (int i = 0; i < 40; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
    vfs_fault_set_free_bytes(run.fault, 3000);
    lsm_request_flush(run.db);
    engine_run_work(&run);
    lsm_get_stats(run.db, &stats);
    assert_int_equal(stats.background_error, STATUS_NO_SPACE);
    assert_int_equal(stats.flush_count, 0);
    assert_false(stats.read_only);
    expect_all(&run);
    vfs_fault_set_free_bytes(run.fault, UINT64_MAX);
    run.clock_us += A_SECOND_US;
    engine_run_work(&run);
    lsm_get_stats(run.db, &stats);
    assert_int_equal(stats.background_error, STATUS_OK);
    assert_true(stats.flush_count > 0);
    expect_all(&run);
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    struct lsm_report report;
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    expect_all(&run);
    engine_run_release(&run);
}

/* Full and not full at random moments, with background work, power losses and reopening between. */
static void disk_that_fills_again_and_again_loses_nothing(void **state)
{
    (void)state;
    struct engine_run run;
    struct random random;
    unsigned refused = 0;
    open_run(&run, test_seed());
    random_init(&random, test_seed() + 1);
    for (int step = 0; step < 600; step++) {
        if (step % 60 == 0)
            vfs_fault_set_free_bytes(run.fault, random_below(&random, 150000));
        if (step % 60 == 45) {
            vfs_fault_set_free_bytes(run.fault, UINT64_MAX);
            run.clock_us += A_SECOND_US;
        }
        enum status status = engine_run_batch(&run);
        assert_true(status == STATUS_OK || status == STATUS_NO_SPACE);
        refused += status == STATUS_NO_SPACE;
        if (random_below(&random, 4) == 0)
            assert_int_equal(engine_run_sync(&run), STATUS_OK);
        if (random_below(&random, 10) == 0)
            lsm_request_flush(run.db);
        if (random_below(&random, 20) == 0)
            lsm_request_compact(run.db);
        (void)lsm_work(run.db, 16 << 10); /* false: nothing to do, or no room for it */
        if (step % 30 == 29) {
            struct engine_failure failure = {""};
            const struct power_loss loss = {
                .mode = VFS_TEAR, .seed = random_next(&random), .go_on = true};
            expect_all(&run);
            if (!power_loss_check(&run, &loss, &failure))
                fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
        }
    }
    assert_true(refused > 0);
    vfs_fault_set_free_bytes(run.fault, UINT64_MAX);
    engine_run_release(&run);
}

/* A database on a full disk opens, or says that it is full and opens when there is room. */
static void open_on_a_full_disk_harms_nothing(void **state)
{
    (void)state;
    struct engine_run run;
    open_run(&run, test_seed());
    for (int i = 0; i < 60; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
    assert_int_equal(engine_run_sync(&run), STATUS_OK);
    for (uint64_t room = 0; room < 200000; room += 9973) {
        struct engine_run found;
        struct lsm_report report = {""};
        engine_run_init(&found, vfs_memory_after_power_loss(run.memory, VFS_KEEP_ALL, 1), 1);
        engine_history_copy(&run.history, run.history.count, &found.history);
        vfs_fault_set_free_bytes(found.fault, room);
        enum status status = engine_run_open(&found, &report);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_NO_SPACE);
            vfs_fault_set_free_bytes(found.fault, UINT64_MAX);
            assert_int_equal(engine_run_open(&found, &report), STATUS_OK);
        }
        expect_all(&found);
        engine_run_release(&found);
    }
    engine_run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_is_found_before_execution_and_reads_go_on),
        cmocka_unit_test(deletions_use_the_reserve),
        cmocka_unit_test(writing_resumes_by_itself),
        cmocka_unit_test(flush_that_finds_no_room_is_tried_again),
        cmocka_unit_test(disk_that_fills_again_and_again_loses_nothing),
        cmocka_unit_test(open_on_a_full_disk_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
