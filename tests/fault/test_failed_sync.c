/* SPDX-License-Identifier: MIT */
/* The n-th call of a kind fails, n = 1, 2, 3 ... until none fails. A failed sync or write of the
 * log is final for the run: writes get STATUS_READ_ONLY, reads see what was acknowledged and no
 * more, and the next open finds at least that. A failure in the background is tried again and harms
 * nothing. */
#include "lib/engine_run.h"
#include "lib/seed.h"
#include "lib/soundness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { STEPS = 90, CALLS_MAX = 100000, RETRIES = 3, A_SECOND_US = 1100000 };

struct failing {
    unsigned calls;
    enum status error;
    bool for_good;
    enum engine_policy policy;
    unsigned stride; /* n goes up by this, so that a kind with many calls takes no longer */
};

static void check(bool holds, const struct engine_failure *failure, uint64_t n)
{
    if (!holds)
        fail_msg("SEED=%llu, call %llu fails: %s", (unsigned long long)test_seed(),
                 (unsigned long long)n, failure->text);
}

static bool is_read_only(struct engine_run *run)
{
    struct lsm_stats stats;
    lsm_get_stats(run->db, &stats);
    return stats.read_only;
}

/* What a run that goes on must be like after a failure that was not the log's. */
static void expect_recovered_background(struct engine_run *run, uint64_t n)
{
    struct engine_failure failure = {""};
    struct lsm_stats stats;
    size_t count;
    vfs_fault_fail(run->fault, 0, 0, STATUS_OK, false);
    for (int i = 0; i < RETRIES; i++) {
        run->clock_us += A_SECOND_US;
        engine_run_work(run);
    }
    lsm_get_stats(run->db, &stats);
    assert_int_equal(stats.background_error, STATUS_OK);
    assert_int_equal(engine_run_batch(run), STATUS_OK);
    assert_int_equal(engine_run_sync(run), STATUS_OK);
    check(engine_holds_history(run->db, &run->history, run->history.count, run->history.count,
                               &count, &failure),
          &failure, n);
    const struct power_loss loss = {.mode = VFS_LOSE_UNSYNCED, .seed = n, .go_on = true};
    check(power_loss_check(run, &loss, &failure), &failure, n);
}

static void expect_read_only_at_the_acknowledged(struct engine_run *run, uint64_t n)
{
    struct engine_failure failure = {""};
    size_t count, before = run->history.count;
    /* A later success of the device does not make the lost bytes come back. */
    vfs_fault_fail(run->fault, 0, 0, STATUS_OK, false);
    assert_int_equal(engine_run_batch(run), STATUS_READ_ONLY);
    assert_int_equal(lsm_wal_sync(run->db), STATUS_READ_ONLY);
    assert_int_equal(lsm_wal_write(run->db), STATUS_READ_ONLY);
    assert_int_equal(run->history.count, before);
    lsn_t acked =
        run->policy == POLICY_ALWAYS ? lsm_durable_lsn(run->db) : lsm_written_lsn(run->db);
    size_t expected = engine_run_count_below(run, acked);
    assert_true(expected >= (run->policy == POLICY_ALWAYS ? run->synced : run->written));
    check(engine_holds_history(run->db, &run->history, expected, expected, &count, &failure),
          &failure, n);
    engine_run_work(run); /* background work may go on or not; it harms nothing */
    check(engine_holds_history(run->db, &run->history, expected, expected, &count, &failure),
          &failure, n);
    for (int mode = VFS_LOSE_UNSYNCED; mode <= VFS_REORDER; mode++) {
        const struct power_loss loss = {
            .mode = (enum vfs_power_loss)mode, .seed = n, .go_on = mode == VFS_TEAR};
        check(power_loss_check(run, &loss, &failure), &failure, n);
    }
    struct lsm *db = run->db;
    run->db = NULL;
    require_sound_engine(db, "after a failed sync");
    assert_int_not_equal(lsm_close(db), STATUS_OK);
}

/* false: the n-th call was never made. */
static bool fail_nth(const struct failing *failing, uint64_t n)
{
    struct engine_run run;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    engine_run_init(&run, NULL, test_seed());
    run.policy = failing->policy;
    vfs_fault_fail(run.fault, failing->calls, n, failing->error, failing->for_good);
    enum status status = engine_run_open(&run, &report);
    if (status != STATUS_OK) {
        assert_int_not_equal(vfs_fault_failed_count(run.fault), 0);
        vfs_fault_fail(run.fault, 0, 0, STATUS_OK, false);
        if (engine_run_open(&run, &report) != STATUS_OK)
            fail_msg("open again after call %llu failed: %s", (unsigned long long)n, report.text);
    }
    for (int step = 0; step < STEPS && vfs_fault_failed_count(run.fault) == 0; step++) {
        if (!engine_run_step(&run, &failure) && vfs_fault_failed_count(run.fault) == 0)
            check(false, &failure, n);
    }
    bool failed = vfs_fault_failed_count(run.fault) > 0;
    if (failed && !run.db) { /* it was the close, or the open behind it */
        vfs_fault_fail(run.fault, 0, 0, STATUS_OK, false);
        const struct power_loss loss = {.mode = VFS_LOSE_UNSYNCED, .seed = n, .go_on = true};
        failure = (struct engine_failure){""};
        check(power_loss_check(&run, &loss, &failure), &failure, n);
    } else if (failed && is_read_only(&run)) {
        expect_read_only_at_the_acknowledged(&run, n);
    } else if (failed) {
        expect_recovered_background(&run, n);
    }
    engine_run_release(&run);
    return failed;
}

static void fail_every(const struct failing *failing)
{
    uint64_t n = 1, count = 0;
    while (n < CALLS_MAX && fail_nth(failing, n)) {
        n += failing->stride;
        count++;
    }
    printf("%llu failures\n", (unsigned long long)count);
    assert_true(count > 5);
}

static void failed_sync_under_always_is_final(void **state)
{
    (void)state;
    fail_every(&(struct failing){1u << VFS_CALL_SYNC, STATUS_IO, false, POLICY_ALWAYS, 1});
}

static void failed_sync_under_everysec_is_final(void **state)
{
    (void)state;
    fail_every(&(struct failing){1u << VFS_CALL_SYNC, STATUS_IO, true, POLICY_EVERYSEC, 1});
}

/* Under the old policy what is written was acknowledged: replies have left, old versions are gone. */
static void failed_sync_after_a_change_to_always_takes_nothing_acknowledged_back(void **state)
{
    (void)state;
    enum { BATCHES = 20 };
    struct engine_run run;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    size_t count;
    engine_run_init(&run, NULL, test_seed());
    run.policy = POLICY_NO;
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    for (int i = 0; i < BATCHES; i++) {
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
        assert_int_equal(engine_run_write(&run), STATUS_OK);
    }
    lsm_set_ack_durable(run.db, true);
    for (int i = 0; i < BATCHES; i++)
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
    assert_int_equal(engine_run_write(&run), STATUS_OK);
    vfs_fault_fail(run.fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    lsm_set_ack_durable(run.db, true); /* no change: what was written meanwhile does not count */
    assert_int_equal(engine_run_sync(&run), STATUS_READ_ONLY);
    check(engine_holds_history(run.db, &run.history, BATCHES, BATCHES, &count, &failure), &failure,
          1);
    engine_run_release(&run);
}

static void failed_directory_sync_loses_nothing(void **state)
{
    (void)state;
    fail_every(
        &(struct failing){1u << VFS_CALL_SYNC_DIRECTORY, STATUS_IO, false, POLICY_ALWAYS, 1});
}

static void failed_write_is_final_or_tried_again(void **state)
{
    (void)state;
    fail_every(&(struct failing){1u << VFS_CALL_WRITE, STATUS_IO, false, POLICY_ALWAYS, 3});
    fail_every(&(struct failing){1u << VFS_CALL_WRITE, STATUS_NO_SPACE, true, POLICY_NO, 5});
}

static void failed_call_on_names_loses_nothing(void **state)
{
    (void)state;
    fail_every(&(struct failing){1u << VFS_CALL_OPEN | 1u << VFS_CALL_REMOVE |
                                     1u << VFS_CALL_RENAME | 1u << VFS_CALL_TRUNCATE |
                                     1u << VFS_CALL_LIST | 1u << VFS_CALL_MKDIR,
                                 STATUS_IO, false, POLICY_ALWAYS, 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_sync_under_always_is_final),
        cmocka_unit_test(failed_sync_under_everysec_is_final),
        cmocka_unit_test(failed_sync_after_a_change_to_always_takes_nothing_acknowledged_back),
        cmocka_unit_test(failed_directory_sync_loses_nothing),
        cmocka_unit_test(failed_write_is_final_or_tried_again),
        cmocka_unit_test(failed_call_on_names_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
