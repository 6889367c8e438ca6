/* SPDX-License-Identifier: MIT */
/* Checkpoints while the database goes on: between any two calls of a checkpoint there are batches,
 * flushes, compactions and recycled segments, or the power is lost. It is a whole database of one
 * moment, or it is not there. */
#include "lib/engine_run.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#define COPY "/copy"

enum { SEGMENT_BYTES = 16 << 10 };

static void open_run(struct engine_run *run, enum engine_policy policy)
{
    struct lsm_report report;
    engine_run_init(run, NULL, test_seed());
    run->policy = policy;
    run->options.wal_segment_bytes = SEGMENT_BYTES; /* many, soon recycled */
    assert_int_equal(engine_run_open(run, &report), STATUS_OK);
}

static void write_batches(struct engine_run *run, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(engine_run_batch(run), STATUS_OK);
}

/* Tables in several levels, recycled segments, and batches that no table has. */
static void fill(struct engine_run *run)
{
    for (int i = 0; i < 4; i++) {
        write_batches(run, 20);
        lsm_request_flush(run->db);
        engine_run_work(run);
    }
    lsm_request_compact(run->db);
    engine_run_work(run);
    write_batches(run, 15);
}

static bool is_there(struct vfs *vfs, const char *path)
{
    bool exists = false;
    assert_int_equal(vfs->ops->exists(vfs, path, &exists), STATUS_OK);
    return exists;
}

static void note_finding(void *context, const char *file, const char *finding)
{
    struct engine_failure *failure = context;
    if (finding)
        engine_fail(failure, STATUS_CORRUPT, "verify: %s: %s", file, finding);
}

/* The checkpoint in `vfs` holds the first n batches, min <= n <= max; it is verified, opened, written
 * to and opened again. Returns n. */
static size_t check_copy(struct engine_run *run, struct vfs *vfs, size_t min, size_t max)
{
    struct env env = run->env;
    struct lsm_report report = {""};
    struct engine_failure failure = {""};
    struct lsm *db = NULL;
    size_t count = 0;
    env.vfs = vfs;
    if (lsm_verify(&env, COPY, prefix_codecs, note_finding, &failure) != STATUS_OK)
        fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
    for (int i = 0; i < 2; i++) {
        if (lsm_open(&env, COPY, &run->options, &report, &db) != STATUS_OK)
            fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), report.text);
        struct lsm_stats stats;
        lsm_get_stats(db, &stats);
        assert_true(stats.was_clean);
        if (!engine_holds_history(db, &run->history, i ? count : min, i ? count : max, &count,
                                  &failure))
            fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
        /* A deletion of nothing, synced: the log is gone on with. */
        struct lsm_writer *writer = NULL;
        lsm_lock(db);
        assert_int_equal(lsm_write_begin(db, 100, false, &writer), STATUS_OK);
        lsm_delete(writer, 0, slice_from("no such key"));
        lsm_write_end(writer);
        lsm_unlock(db);
        assert_int_equal(lsm_wal_sync(db), STATUS_OK);
        while (lsm_work(db, SIZE_MAX))
            ;
        assert_int_equal(lsm_close(db), STATUS_OK);
    }
    return count;
}

static void note_name(void *context, const char *name)
{
    buffer_append(context, name, strlen(name) + 1);
}

static void remove_copy(struct engine_run *run)
{
    struct vfs *vfs = run->memory;
    struct buffer names = {0};
    char path[128];
    assert_int_equal(vfs->ops->list(vfs, COPY, note_name, &names), STATUS_OK);
    for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
        snprintf(path, sizeof(path), COPY "/%s", (char *)names.data + at);
        assert_int_equal(vfs_remove(vfs, path), STATUS_OK);
    }
    buffer_release(&names);
    assert_int_equal(vfs->ops->remove_directory(vfs, COPY), STATUS_OK);
}

static void expect_whole(struct engine_run *run)
{
    struct engine_failure failure = {""};
    size_t count;
    if (!engine_holds_history(run->db, &run->history, run->history.count, run->history.count,
                              &count, &failure))
        fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
}

/* ---- Work in flight ------------------------------------------------------------------------ */

struct flight {
    struct engine_run *run;
    unsigned calls;
    bool busy; /* the calls of the work itself are not acted on */
};

/* Before each call of the checkpoint, but within its sync of the log, which the work would wait for. */
static void work_between(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct flight *flight = context;
    struct engine_run *run = flight->run;
    bool is_log = strstr(path, ENGINE_DIRECTORY) == path && strstr(path, ".wal");
    (void)site;
    if (flight->busy || (is_log && (call == VFS_CALL_WRITE || call == VFS_CALL_SYNC)))
        return;
    flight->busy = true;
    flight->calls++;
    write_batches(run, 2);
    if (flight->calls % 3 == 0)
        assert_int_equal(engine_run_sync(run), STATUS_OK);
    if (flight->calls % 4 == 0)
        lsm_request_flush(run->db);
    if (flight->calls % 9 == 0)
        lsm_request_compact(run->db);
    if (flight->calls % 5 == 0)
        assert_int_equal(lsm_wal_rotate(run->db), STATUS_OK);
    engine_run_work(run);
    flight->busy = false;
}

static void checkpoint_is_one_moment_while_all_goes_on(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_report report;
    struct flight flight = {.run = &run};
    unsigned calls = 0;
    open_run(&run, POLICY_EVERYSEC);
    fill(&run);
    for (int i = 0; i < 6; i++) {
        size_t min = run.history.count;
        vfs_fault_watch(run.fault, ~0u, work_between, &flight);
        assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
        vfs_fault_watch(run.fault, 0, NULL, NULL);
        assert_true(run.history.count > min + 20);
        struct vfs *lost = vfs_memory_after_power_loss(run.memory, VFS_LOSE_UNSYNCED, 1);
        size_t count = check_copy(&run, lost, min, run.history.count);
        vfs_destroy(lost);
        assert_true(count < run.history.count); /* the moment was before the end */
        assert_int_equal(check_copy(&run, run.memory, count, count), count);
        expect_whole(&run);
        remove_copy(&run);
        calls += flight.calls;
    }
    struct lsm_stats stats;
    struct vfs_fault_counters counters;
    lsm_get_stats(run.db, &stats);
    vfs_fault_counters(run.fault, &counters);
    assert_true(counters.calls[VFS_CALL_RENAME] > 12); /* two each; the others recycled segments */
    printf("ran: 6 checkpoints, %u calls with work before each: %llu flushes, %llu compactions\n", calls,
           (unsigned long long)stats.flush_count, (unsigned long long)stats.compaction_count);
    assert_true(stats.compaction_count > 6);
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    engine_run_release(&run);
}

static void copy_and_original_share_nothing_that_changes(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_report report;
    open_run(&run, POLICY_ALWAYS);
    fill(&run);
    size_t count = run.history.count;
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
    /* The original rewrites all its tables and its log. */
    for (int i = 0; i < 5; i++) {
        write_batches(&run, 30);
        lsm_request_compact(run.db);
        engine_run_work(&run);
    }
    assert_int_equal(check_copy(&run, run.memory, count, count), count);
    /* check_copy has written to the copy, flushed and compacted it. */
    expect_whole(&run);
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    expect_whole(&run);
    engine_run_release(&run);
}

static void empty_and_unflushed_databases_have_checkpoints(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_report report;
    open_run(&run, POLICY_NO);
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
    check_copy(&run, run.memory, 0, 0);
    remove_copy(&run);
    write_batches(&run, 1);
    assert_int_equal(lsm_checkpoint(run.db, COPY, NULL), STATUS_OK);
    check_copy(&run, run.memory, 1, 1);
    remove_copy(&run);
    assert_int_equal(lsm_wal_rotate(run.db), STATUS_OK);
    lsm_request_flush(run.db); /* a log that is empty behind its tables */
    engine_run_work(&run);
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
    check_copy(&run, run.memory, 1, 1);
    engine_run_release(&run);
}

/* ---- Power loss ---------------------------------------------------------------------------- */

struct strikes {
    struct engine_run *run;
    size_t count; /* batches */
    unsigned losses, there;
};

static void strike(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct strikes *strikes = context;
    (void)call;
    (void)path;
    (void)site;
    for (int mode = VFS_LOSE_UNSYNCED; mode <= VFS_REORDER; mode++) {
        struct engine_failure failure = {""};
        const struct power_loss loss = {.mode = (enum vfs_power_loss)mode,
                                        .seed = test_seed() + strikes->losses};
        struct vfs *lost = vfs_memory_after_power_loss(strikes->run->memory, loss.mode, loss.seed);
        if (is_there(lost, COPY)) {
            check_copy(strikes->run, lost, strikes->count, strikes->count);
            strikes->there++;
        }
        vfs_destroy(lost);
        if (!power_loss_check(strikes->run, &loss, &failure))
            fail_msg("SEED=%llu: %s", (unsigned long long)test_seed(), failure.text);
        strikes->losses++;
    }
}

static void power_loss_leaves_all_of_it_or_nothing(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_report report;
    open_run(&run, POLICY_ALWAYS);
    fill(&run);
    assert_int_equal(engine_run_sync(&run), STATUS_OK);
    struct strikes strikes = {.run = &run, .count = run.history.count};
    vfs_fault_watch(run.fault, VFS_CALLS_CHANGING, strike, &strikes);
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
    vfs_fault_watch(run.fault, 0, NULL, NULL);
    assert_true(strikes.there > 0); /* before the last sync it may be there */
    unsigned before = strikes.losses, there = strikes.there;
    strike(&strikes, VFS_CALL_COUNT, "", NULL);
    assert_int_equal(strikes.there - there, strikes.losses - before); /* now it must be */
    printf("ran: %u power losses, %u of them found a checkpoint\n", strikes.losses, strikes.there);
    engine_run_release(&run);
}

/* Skips each sync of it in turn: it is missed. */
static void note_site(void *context, const char *site, uint64_t calls)
{
    (void)calls;
    char(*sites)[40] = context;
    if (strncmp(site, "checkpoint.", 11) == 0) {
        while ((*sites)[0])
            sites++;
        snprintf(*sites, sizeof(*sites), "%s", site);
    }
}

static void every_sync_of_a_checkpoint_is_needed(void **state)
{
    (void)state;
    char sites[8][40] = {""};
    unsigned site_count = 0;
    for (int round = 0; round == 0 || sites[round - 1][0]; round++) {
        struct engine_run run;
        struct lsm_report report;
        open_run(&run, POLICY_ALWAYS);
        fill(&run);
        if (round > 0)
            vfs_fault_skip_sync(run.fault, sites[round - 1]);
        assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
        if (round == 0)
            vfs_fault_sync_sites(run.fault, note_site, sites);
        struct vfs *lost = vfs_memory_after_power_loss(run.memory, VFS_LOSE_UNSYNCED, 1);
        struct env env = run.env;
        env.vfs = lost;
        bool whole =
            is_there(lost, COPY) && lsm_verify(&env, COPY, prefix_codecs, NULL, NULL) == STATUS_OK;
        assert_int_equal(whole, round == 0);
        vfs_destroy(lost);
        engine_run_release(&run);
        site_count += round > 0;
    }
    assert_int_equal(site_count, 2);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

static void what_is_there_is_never_replaced(void **state)
{
    (void)state;
    struct engine_run run;
    struct lsm_report report;
    struct vfs_file *lock = NULL;
    open_run(&run, POLICY_ALWAYS);
    fill(&run);
    assert_int_equal(lsm_checkpoint(run.db, ENGINE_DIRECTORY, &report), STATUS_EXISTS);
    assert_non_null(strstr(report.text, ENGINE_DIRECTORY));
    assert_int_equal(lsm_checkpoint(run.db, "/no/such/parent", &report), STATUS_NOT_FOUND);
    assert_non_null(strstr(report.text, "/no/such/parent"));
    /* Another one is building it. */
    assert_int_equal(run.memory->ops->make_directory(run.memory, COPY ".tmp"), STATUS_OK);
    assert_int_equal(run.memory->ops->lock(run.memory, COPY ".tmp/LOCK", &lock), STATUS_OK);
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_BUSY);
    assert_true(is_there(run.memory, COPY ".tmp/LOCK"));
    vfs_close(lock);
    /* It was cut short: its remains are swept. */
    assert_int_equal(vfs_open(run.memory, COPY ".tmp/000099.cwt", VFS_WRITE | VFS_CREATE, &lock),
                     STATUS_OK);
    vfs_close(lock);
    assert_int_equal(lsm_checkpoint(run.db, COPY, &report), STATUS_OK);
    assert_false(is_there(run.memory, COPY ".tmp"));
    assert_false(is_there(run.memory, COPY "/000099.cwt"));
    check_copy(&run, run.memory, run.history.count, run.history.count);
    /* A log that has failed. */
    write_batches(&run, 1);
    vfs_fault_fail(run.fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    assert_int_not_equal(engine_run_sync(&run), STATUS_OK);
    assert_int_equal(lsm_checkpoint(run.db, "/other", &report), STATUS_READ_ONLY);
    assert_false(is_there(run.memory, "/other") || is_there(run.memory, "/other.tmp"));
    engine_run_release(&run);
}

/* ---- Threads ------------------------------------------------------------------------------- */

struct writing {
    struct engine_run *run;
    atomic_size_t count;
    atomic_bool stop;
};

static void *write_on(void *context)
{
    struct writing *writing = context;
    while (!atomic_load(&writing->stop) && writing->run->history.count < 4000) {
        assert_int_equal(engine_run_batch(writing->run), STATUS_OK);
        atomic_store(&writing->count, writing->run->history.count);
        if (writing->run->history.count % 50 == 0)
            lsm_request_flush(writing->run->db);
    }
    return NULL;
}

static void *work_on(void *context)
{
    struct writing *writing = context;
    while (!atomic_load(&writing->stop))
        (void)lsm_work(writing->run->db, 16 << 10);
    return NULL;
}

static void threads_write_and_work_meanwhile(void **state)
{
    (void)state;
    enum { CHECKPOINTS = 4 };
    struct engine_run run;
    struct lsm_report report;
    struct writing writing = {.run = &run};
    pthread_t writer, worker;
    size_t min[CHECKPOINTS], max[CHECKPOINTS];
    char path[CHECKPOINTS][32];
    open_run(&run, POLICY_EVERYSEC);
    fill(&run);
    atomic_store(&writing.count, run.history.count);
    assert_int_equal(pthread_create(&writer, NULL, write_on, &writing), 0);
    assert_int_equal(pthread_create(&worker, NULL, work_on, &writing), 0);
    for (int i = 0; i < CHECKPOINTS; i++) {
        snprintf(path[i], sizeof(path[i]), "/copy%d", i);
        min[i] = atomic_load(&writing.count);
        enum status status = lsm_checkpoint(run.db, path[i], &report);
        if (status != STATUS_OK)
            fail_msg("%s", report.text);
        max[i] = atomic_load(&writing.count) + 1;
    }
    atomic_store(&writing.stop, true);
    pthread_join(writer, NULL);
    pthread_join(worker, NULL);
    for (int i = 0; i < CHECKPOINTS; i++) {
        if (max[i] > run.history.count)
            max[i] = run.history.count;
        assert_int_equal(vfs_rename(run.memory, path[i], COPY), STATUS_OK);
        check_copy(&run, run.memory, min[i], max[i]);
        assert_int_equal(vfs_rename(run.memory, COPY, path[i]), STATUS_OK);
    }
    expect_whole(&run);
    engine_run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoint_is_one_moment_while_all_goes_on),
        cmocka_unit_test(copy_and_original_share_nothing_that_changes),
        cmocka_unit_test(empty_and_unflushed_databases_have_checkpoints),
        cmocka_unit_test(power_loss_leaves_all_of_it_or_nothing),
        cmocka_unit_test(every_sync_of_a_checkpoint_is_needed),
        cmocka_unit_test(what_is_there_is_never_replaced),
        cmocka_unit_test(threads_write_and_work_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
