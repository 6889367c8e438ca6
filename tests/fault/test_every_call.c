/* SPDX-License-Identifier: MIT */
/* Every vfs call of the engine fails in turn, in every form, once and for good, n = 1, 2, 3 ... until
 * none fails, over scripts of all that the engine does with the disk; lib/engine_fault.h says what
 * must hold then. A sample of the n is tried; all with FAULTS=all (make faults). */
#include "lib/engine_fault.h"
#include "lib/prefix_codec.h"

#include "lsm/wal_segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { SAMPLE = 1 };

static struct fault_totals totals;

/* ---- Acts ---------------------------------------------------------------------------------- */

/* What the log could not write or sync is final for the run. */
static void told_by_log(struct engine_act *act, enum status status, const char *what)
{
    struct lsm_stats stats;
    engine_act_told(act, status, what);
    lsm_get_stats(act->run.db, &stats);
    if (status != STATUS_OK && !stats.read_only)
        engine_act_broken(act, "the log has failed, and writes go on");
}

static void write_some(struct engine_act *act, int batches, int batches_a_sync)
{
    struct engine_run *run = &act->run;
    for (int i = 1; i <= batches; i++) {
        engine_act_told(act, engine_run_batch(run), "batch");
        if (i % batches_a_sync != 0)
            continue;
        if (run->policy == POLICY_NO)
            told_by_log(act, engine_run_write(run), "write");
        else
            told_by_log(act, engine_run_sync(run), "sync");
    }
}

static void act_writing(struct engine_act *act)
{
    write_some(act, 16, act->run.policy == POLICY_ALWAYS ? 1 : 3);
}

/* A commit that fails leaves nothing; one that somebody was before is refused whatever can be read. */
static void act_transactions(struct engine_act *act)
{
    for (int i = 0; i < 4; i++) {
        engine_act_told(act, engine_run_transaction(&act->run, 0), "commit");
        told_by_log(act, engine_run_sync(&act->run), "sync");
        enum status status = engine_run_transaction(&act->run, 2);
        if (status == STATUS_OK)
            engine_act_broken(act, "a conflict was not found");
        if (status != STATUS_CONFLICT)
            engine_act_told(act, status, "a commit that came too late");
        told_by_log(act, engine_run_sync(&act->run), "sync");
    }
}

static void act_flush(struct engine_act *act)
{
    write_some(act, 20, 4);
    lsm_request_flush(act->run.db);
    engine_run_work(&act->run);
    write_some(act, 6, 2);
}

static void act_compaction(struct engine_act *act)
{
    write_some(act, 4, 2);
    lsm_request_compact(act->run.db);
    engine_run_work(&act->run);
    write_some(act, 4, 2);
}

static void act_rotation(struct engine_act *act)
{
    for (int i = 0; i < 3; i++) {
        write_some(act, 8, 4);
        engine_act_told(act, lsm_wal_rotate(act->run.db), "rotate");
        write_some(act, 2, 2);
        lsm_request_flush(act->run.db);
        engine_run_work(&act->run);
    }
}

static void act_few_writes(struct engine_act *act)
{
    write_some(act, 4, 2);
}

static bool is_there(struct engine_act *act, const char *path)
{
    bool exists = true;
    assert_int_equal(act->run.memory->ops->exists(act->run.memory, path, &exists), STATUS_OK);
    return exists;
}

static void note_finding(void *context, const char *file, const char *finding)
{
    struct engine_failure *failure = context;
    if (finding)
        engine_fail(failure, STATUS_CORRUPT, "%s: %s", file, finding);
}

static void expect_checkpoint(struct engine_act *act)
{
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    struct env env = act->run.env;
    struct lsm *copy = NULL;
    size_t count, expected = act->run.history.count;
    env.vfs = vfs_memory_after_power_loss(act->run.memory, VFS_LOSE_UNSYNCED, 1);
    if (lsm_verify(&env, "/copy", prefix_codecs, note_finding, &failure) != STATUS_OK)
        engine_act_broken(act, failure.text);
    if (lsm_open(&env, "/copy", &act->run.options, &report, &copy) != STATUS_OK)
        engine_act_broken(act, report.text);
    if (!engine_holds_history(copy, &act->run.history, expected, expected, &count, &failure))
        engine_act_broken(act, failure.text);
    assert_int_equal(lsm_close(copy), STATUS_OK);
    vfs_destroy(env.vfs);
}

/* A failed checkpoint is not there, is no reason for the database to stop, and is in nobody's way. */
static void act_checkpoint(struct engine_act *act)
{
    struct lsm_report report = {""};
    write_some(act, 3, 2);
    enum status status = lsm_checkpoint(act->run.db, "/copy", &report);
    engine_act_told(act, status, "checkpoint");
    if (status != STATUS_OK && !strstr(report.text, "/"))
        engine_act_broken(act, "the report names no file");
    if (status != STATUS_OK && !act->plan->for_good && is_there(act, "/copy"))
        engine_act_broken(act, "a failed checkpoint is there");
    write_some(act, 2, 2);
    struct lsm_stats stats;
    lsm_get_stats(act->run.db, &stats);
    if (status != STATUS_OK && !stats.read_only && act->plan->n % 2 == 1) {
        engine_act_disarm(act);
        status = lsm_checkpoint(act->run.db, is_there(act, "/copy") ? "/again" : "/copy", &report);
        if (status != STATUS_OK)
            engine_act_broken(act, report.text);
        if (is_there(act, "/copy.tmp") || is_there(act, "/again"))
            engine_act_broken(act, "remains of the failed checkpoint are there");
        expect_checkpoint(act);
    }
}

/* ---- Acts on the closed database ----------------------------------------------------------- */

/* A verify that could not look says so; that it is sound it says of a whole database alone. */
static void act_verify(struct engine_act *act)
{
    struct engine_failure finding = {""};
    enum status status =
        lsm_verify(&act->run.env, ENGINE_DIRECTORY, prefix_codecs, note_finding, &finding);
    bool struck = vfs_fault_failed_count(act->run.fault) > 0;
    if (status == STATUS_OK && (struck || finding.text[0]))
        engine_act_broken(act, "verify did not notice");
    if (status == STATUS_CORRUPT && (!struck || !finding.text[0]))
        engine_act_broken(act, finding.text);
    if (status != STATUS_CORRUPT)
        engine_act_told(act, status, "verify");
}

static size_t repaired_count; /* batches that a repair without faults leaves */

static void note_line(void *context, const char *line)
{
    *(bool *)context = true;
    (void)line;
}

/* A repair that failed is done again, and loses no more than one that did not. */
static void act_repair(struct engine_act *act)
{
    struct engine_run *run = &act->run;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    bool said = false;
    size_t count = 0;
    enum status status = lsm_repair(&run->env, ENGINE_DIRECTORY, prefix_codecs, note_line, &said);
    engine_act_told(act, status, "repair");
    if (status != STATUS_OK && vfs_memory_open_count(run->memory) > 0)
        engine_act_broken(act, "files are open");
    uint64_t failed = vfs_fault_failed_count(run->fault);
    engine_act_disarm(act);
    status = lsm_repair(&run->env, ENGINE_DIRECTORY, prefix_codecs, note_line, &said);
    if (status != STATUS_OK || !said)
        engine_act_broken(act, "the repair without faults did not succeed");
    if (engine_run_open(run, &report) != STATUS_OK)
        engine_act_broken(act, report.text);
    if (!engine_holds_history(run->db, &run->history, 0, run->history.count, &count, &failure))
        engine_act_broken(act, failure.text);
    if (act->plan->error == STATUS_OK) {
        repaired_count = count;
        assert_int_equal(failed, 0);
        assert_in_range(count, 1, run->history.count - 1); /* some were lost, not all */
    } else if (act->plan->form != VFS_FAULT_ENDS && count < repaired_count) {
        engine_act_broken(act, "the repeated repair has lost more");
    }
    run->history.count = run->synced = count;
    assert_int_equal(engine_run_close(run), STATUS_OK);
}

/* ---- Worlds -------------------------------------------------------------------------------- */

static void prepare_batches(struct engine_run *run, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(engine_run_batch(run), STATUS_OK);
        if (i % 5 == 4)
            assert_int_equal(engine_run_sync(run), STATUS_OK);
    }
}

static void prepare_tables(struct engine_run *run)
{
    for (int i = 0; i < 4; i++) {
        prepare_batches(run, 25);
        engine_run_flush(run);
    }
    lsm_request_compact(run->db);
    engine_run_work(run);
    for (int i = 0; i < 3; i++) {
        prepare_batches(run, 15);
        engine_run_flush(run);
    }
}

static void prepare_unflushed(struct engine_run *run)
{
    prepare_batches(run, 20);
    engine_run_flush(run);
    prepare_batches(run, 30);
    assert_int_equal(lsm_wal_rotate(run->db), STATUS_OK);
    prepare_batches(run, 10);
    assert_int_equal(engine_run_batch(run), STATUS_OK);
    assert_int_equal(engine_run_write(run), STATUS_OK);
}

/* Segments with old frames behind the tail. */
static void prepare_recycled(struct engine_run *run)
{
    for (int i = 0; i < 3; i++) {
        prepare_batches(run, 25);
        lsm_request_flush(run->db);
        engine_run_work(run);
    }
    prepare_batches(run, 12);
    assert_int_equal(engine_run_batch(run), STATUS_OK);
    assert_int_equal(engine_run_write(run), STATUS_OK);
}

struct found_name {
    const char *part;
    char name[64]; /* the first in order */
};

static void find_name(void *context, const char *name)
{
    struct found_name *found = context;
    if (strstr(name, found->part) && (!found->name[0] || strcmp(name, found->name) < 0))
        snprintf(found->name, sizeof(found->name), "%s", name);
}

static void path_of(struct vfs *memory, const char *part, char path[128])
{
    struct found_name found = {.part = part};
    assert_int_equal(memory->ops->list(memory, ENGINE_DIRECTORY, find_name, &found), STATUS_OK);
    assert_true(found.name[0] != 0);
    snprintf(path, 128, ENGINE_DIRECTORY "/%s", found.name);
}

/* Bytes behind the last record, as a torn edit leaves them: the next edit begins a new manifest. */
static void tear_manifest(struct vfs *memory)
{
    char path[128];
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    path_of(memory, "MANIFEST-", path);
    assert_int_equal(vfs_open(memory, path, VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_size(file, &size), STATUS_OK);
    assert_int_equal(vfs_write_at(file, size, "torn edit", 9), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    vfs_close(file);
}

static bool opens(struct vfs *memory)
{
    struct engine_run run;
    struct lsm_report report;
    engine_run_init(&run, vfs_memory_after_power_loss(memory, VFS_KEEP_ALL, 1), 1);
    bool opened = engine_run_open(&run, &report) == STATUS_OK;
    engine_run_release(&run);
    return opened;
}

/* Flips a bit of a frame that was durable. */
static void damage_log(struct vfs *memory)
{
    enum { STEP_BYTES = 499, TRIES = 1000 };
    char path[128];
    bool found = false;
    path_of(memory, ".wal", path);
    for (uint64_t i = 40; !found && i < TRIES; i++) {
        uint64_t at = WAL_HEADER_BYTES + i * STEP_BYTES;
        if (vfs_memory_flip(memory, path, at, 0x40) != STATUS_OK)
            break;
        found = !opens(memory);
        if (!found)
            assert_int_equal(vfs_memory_flip(memory, path, at, 0x40), STATUS_OK);
    }
    assert_true(found);
}

/* ---- Scripts ------------------------------------------------------------------------------- */

static void run_script(const struct engine_script *script)
{
    engine_script_run(script, SAMPLE, &totals);
}

static void writing_in_every_policy(void **state)
{
    (void)state;
    static const char *const names[] = {"create and write, always", "create and write, everysec",
                                        "create and write, no"};
    for (enum engine_policy policy = POLICY_ALWAYS; policy <= POLICY_NO; policy++)
        run_script(
            &(struct engine_script){.name = names[policy], .policy = policy, .act = act_writing});
}

static void transactions(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "transactions",
                                       .policy = POLICY_ALWAYS,
                                       .prepare = prepare_tables,
                                       .left_by = VFS_KEEP_ALL,
                                       .act = act_transactions});
}

static void flush(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "flush, always", .act = act_flush});
    run_script(&(struct engine_script){.name = "flush, no", .policy = POLICY_NO, .act = act_flush});
}

static void compaction(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "compaction",
                                       .policy = POLICY_EVERYSEC,
                                       .prepare = prepare_tables,
                                       .left_clean = true,
                                       .left_by = VFS_KEEP_ALL,
                                       .act = act_compaction});
}

static void switch_to_a_new_manifest(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "a new manifest",
                                       .prepare = prepare_tables,
                                       .left_clean = true,
                                       .left_by = VFS_KEEP_ALL,
                                       .damage = tear_manifest,
                                       .act = act_few_writes});
}

static void rotation_and_recycling(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "rotation and recycling",
                                       .policy = POLICY_ALWAYS,
                                       .wal_segment_bytes = 16 << 10,
                                       .act = act_rotation});
}

static void recovery_after_a_kill(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "recovery after a kill",
                                       .policy = POLICY_NO,
                                       .prepare = prepare_unflushed,
                                       .left_by = VFS_KEEP_ALL,
                                       .act = act_few_writes});
}

static void recovery_after_a_power_loss(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "recovery after a power loss",
                                       .prepare = prepare_unflushed,
                                       .left_by = VFS_TEAR,
                                       .act = act_few_writes});
    run_script(&(struct engine_script){.name = "recovery on recycled segments",
                                       .wal_segment_bytes = 16 << 10,
                                       .prepare = prepare_recycled,
                                       .left_by = VFS_REORDER,
                                       .act = act_few_writes});
}

static void checkpoint(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "checkpoint",
                                       .policy = POLICY_EVERYSEC,
                                       .prepare = prepare_unflushed,
                                       .left_by = VFS_KEEP_ALL,
                                       .act = act_checkpoint});
}

static void verify(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "verify",
                                       .prepare = prepare_tables,
                                       .left_by = VFS_KEEP_ALL,
                                       .act = act_verify,
                                       .on_closed = true});
}

static void repair(void **state)
{
    (void)state;
    run_script(&(struct engine_script){.name = "repair",
                                       .prepare = prepare_unflushed,
                                       .left_by = VFS_KEEP_ALL,
                                       .damage = damage_log,
                                       .act = act_repair,
                                       .on_closed = true,
                                       .may_lose = true});
}

static void print_totals(void **state)
{
    (void)state;
    fault_totals_print(&totals);
    assert_true(totals.strikes > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing_in_every_policy),
        cmocka_unit_test(transactions),
        cmocka_unit_test(flush),
        cmocka_unit_test(compaction),
        cmocka_unit_test(switch_to_a_new_manifest),
        cmocka_unit_test(rotation_and_recycling),
        cmocka_unit_test(recovery_after_a_kill),
        cmocka_unit_test(recovery_after_a_power_loss),
        cmocka_unit_test(checkpoint),
        cmocka_unit_test(verify),
        cmocka_unit_test(repair),
        cmocka_unit_test(print_totals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
