/* SPDX-License-Identifier: MIT */
#include "lib/engine_fault.h"

#include "base/memory.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { A_SECOND_US = 1100000, RETRIES = 4, BATCHES_AFTER = 2 };

/* The world of a script: copied for each run. */
struct world {
    const struct engine_script *script;
    struct vfs *memory;
    struct engine_history history;
    lsn_t *lsns;
};

static void broken(const struct engine_act *act, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
static void broken(const struct engine_act *act, const char *format, ...)
{
    char text[1400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fail_msg("SEED=%llu, %s: %s", (unsigned long long)test_seed(), fault_plan_text(act->plan),
             text);
    __builtin_unreachable();
}

void engine_act_broken(const struct engine_act *act, const char *why)
{
    broken(act, "%s", why);
}

void engine_act_disarm(struct engine_act *act)
{
    if (!act->disarmed)
        vfs_fault_counters(act->run.fault, &act->armed);
    act->disarmed = true;
    fault_plan_disarm(act->run.fault);
}

static bool is_struck(const struct engine_act *act)
{
    return vfs_fault_failed_count(act->run.fault) > 0;
}

static bool is_read_only(const struct engine_act *act)
{
    struct lsm_stats stats;
    lsm_get_stats(act->run.db, &stats);
    return stats.read_only;
}

void engine_act_told(struct engine_act *act, enum status status, const char *what)
{
    if (status == STATUS_OK || fault_plan_explains(act->plan, status))
        return;
    if (status == STATUS_READ_ONLY && act->run.db && is_struck(act) && is_read_only(act))
        return;
    broken(act, "%s: %s", what, status_text(status));
}

/* ---- The world ----------------------------------------------------------------------------- */

static void script_init(struct engine_run *run, const struct engine_script *script,
                        struct vfs *memory)
{
    engine_run_init(run, memory, test_seed());
    run->policy = script->policy;
    if (script->wal_segment_bytes)
        run->options.wal_segment_bytes = script->wal_segment_bytes;
}

/* How many batches the world has. */
static size_t world_count(const struct world *world, const struct engine_history *history)
{
    struct engine_run found;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    size_t count = 0;
    script_init(&found, world->script, vfs_memory_after_power_loss(world->memory, VFS_KEEP_ALL, 1));
    if (engine_run_open(&found, &report) != STATUS_OK)
        fail_msg("%s: the world does not open: %s", world->script->name, report.text);
    if (!engine_holds_history(found.db, history, 0, history->count, &count, &failure))
        fail_msg("%s: the world: %s", world->script->name, failure.text);
    engine_run_release(&found);
    return count;
}

static void world_init(struct world *world, const struct engine_script *script)
{
    struct engine_run run;
    struct lsm_report report = {""};
    *world = (struct world){.script = script};
    if (!script->prepare) {
        world->memory = vfs_memory_create();
        return;
    }
    script_init(&run, script, NULL);
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    script->prepare(&run);
    if (script->left_clean)
        assert_int_equal(engine_run_close(&run), STATUS_OK);
    world->memory = vfs_memory_after_power_loss(run.memory, script->left_by, test_seed());
    size_t count = world_count(world, &run.history);
    assert_true(count > 0);
    engine_history_copy(&run.history, count, &world->history);
    world->lsns = memory_copy(run.lsns, count * sizeof(lsn_t));
    if (script->damage)
        script->damage(world->memory);
    engine_run_release(&run);
}

static void world_release(struct world *world)
{
    vfs_destroy(world->memory);
    engine_history_release(&world->history);
    memory_free(world->lsns);
}

static void world_enter(const struct world *world, struct engine_act *act)
{
    struct engine_run *run = &act->run;
    size_t count = world->history.count;
    script_init(run, world->script, vfs_memory_after_power_loss(world->memory, VFS_KEEP_ALL, 1));
    engine_history_copy(&world->history, count, &run->history);
    run->lsns = memory_copy(world->lsns, count * sizeof(lsn_t));
    run->synced = run->written = world->script->may_lose ? 0 : count;
}

/* ---- What must hold ------------------------------------------------------------------------ */

/* Batches that readers of the run must see now. */
static size_t expected_count(struct engine_act *act)
{
    struct engine_run *run = &act->run;
    if (!is_read_only(act))
        return run->history.count;
    lsn_t acked =
        run->policy == POLICY_ALWAYS ? lsm_durable_lsn(run->db) : lsm_written_lsn(run->db);
    return engine_run_count_below(run, acked);
}

/* `tolerant`: reads may be told an error. */
static void expect_reads(struct engine_act *act, bool tolerant, const char *when)
{
    struct engine_failure failure = {""};
    size_t count, expected = expected_count(act);
    size_t min = act->run.policy == POLICY_ALWAYS ? act->run.synced : act->run.written;
    if (expected < min)
        broken(act, "%s: %zu batches are left of %zu acknowledged", when, expected, min);
    if (!engine_holds_history(act->run.db, &act->run.history, expected, expected, &count,
                              &failure) &&
        !(tolerant && failure.status != STATUS_OK))
        broken(act, "%s: %s", when, failure.text);
}

static void expect_power_loss_harmless(struct engine_act *act)
{
    static const enum vfs_power_loss modes[] = {VFS_LOSE_UNSYNCED, VFS_TEAR, VFS_REORDER};
    struct engine_failure failure = {""};
    const struct power_loss loss = {
        .mode = modes[act->plan->n % 3], .seed = act->plan->n, .go_on = act->plan->n % 4 == 0};
    if (!power_loss_check(&act->run, &loss, &failure))
        broken(act, "%s", failure.text);
}

/* The fault has passed. */
static void expect_going_on(struct engine_act *act)
{
    struct engine_run *run = &act->run;
    struct lsm_stats stats;
    for (int i = 0; i < RETRIES; i++) {
        run->clock_us += A_SECOND_US;
        engine_run_work(run);
    }
    lsm_get_stats(run->db, &stats);
    if (stats.read_only) {
        if (engine_run_batch(run) != STATUS_READ_ONLY || lsm_wal_sync(run->db) != STATUS_READ_ONLY)
            broken(act, "the log has failed, and it takes writes again");
        expect_reads(act, false, "after the log has failed");
        return;
    }
    if (stats.background_error != STATUS_OK)
        broken(act, "background work has not come over it: %s",
               status_text(stats.background_error));
    for (int i = 0; i < BATCHES_AFTER; i++) {
        enum status status = engine_run_batch(run);
        if (status == STATUS_OK)
            status = engine_run_sync(run);
        if (status != STATUS_OK)
            broken(act, "writing on: %s", status_text(status));
    }
    expect_reads(act, false, "going on");
}

struct file_counts {
    uint64_t tables, manifests, segments, others;
    char other[64];
};

static void count_file(void *context, const char *name)
{
    struct file_counts *counts = context;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".cwt") == 0)
        counts->tables++;
    else if (length > 4 && strcmp(name + length - 4, ".wal") == 0)
        counts->segments++;
    else if (strncmp(name, "MANIFEST-", 9) == 0)
        counts->manifests++;
    else if (strcmp(name, "CURRENT") != 0 && strcmp(name, "LOCK") != 0 &&
             strcmp(name, "lost") != 0) {
        counts->others++;
        snprintf(counts->other, sizeof(counts->other), "%s", name);
    }
}

static void expect_no_stray_files(struct engine_act *act)
{
    struct engine_run *run = &act->run;
    struct file_counts files = {0};
    struct lsm_stats stats;
    uint64_t tables = 0;
    lsm_get_stats(run->db, &stats);
    for (unsigned i = 0; i < stats.tree_count; i++)
        tables += stats.trees[i].table_count;
    assert_int_equal(run->memory->ops->list(run->memory, ENGINE_DIRECTORY, count_file, &files),
                     STATUS_OK);
    if (files.tables != tables || files.segments != stats.wal_segments || files.manifests != 1 ||
        files.others > 0)
        broken(act,
               "stray files: %llu tables of %llu, %llu segments of %llu, %llu manifests, %llu "
               "others (%s)",
               (unsigned long long)files.tables, (unsigned long long)tables,
               (unsigned long long)files.segments, (unsigned long long)stats.wal_segments,
               (unsigned long long)files.manifests, (unsigned long long)files.others, files.other);
}

struct findings {
    char text[300];
};

static void note_finding(void *context, const char *file, const char *finding)
{
    struct findings *findings = context;
    if (finding && !findings->text[0])
        snprintf(findings->text, sizeof(findings->text), "%.60s: %.200s", file, finding);
}

static void reopen(struct engine_act *act, const char *when)
{
    struct lsm_report report = {""};
    enum status status = engine_run_open(&act->run, &report);
    if (status != STATUS_OK)
        broken(act, "%s: open: %s (%s)", when, status_text(status), report.text);
}

static void close_without_fault(struct engine_act *act, const char *when)
{
    enum status status = engine_run_close(&act->run);
    if (status != STATUS_OK)
        broken(act, "%s: close: %s", when, status_text(status));
}

/* The next two runs, without faults. */
static void expect_recovery(struct engine_act *act)
{
    struct engine_run *run = &act->run;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    struct findings findings = {""};
    size_t count = 0, min = run->written > run->synced ? run->written : run->synced;
    assert_null(run->db);
    if (vfs_memory_open_count(run->memory) > 0)
        broken(act, "%u files are still open", vfs_memory_open_count(run->memory));
    reopen(act, "recovery");
    if (!engine_holds_history(run->db, &run->history, min, run->history.count, &count, &failure))
        broken(act, "after the recovery: %s", failure.text);
    if (lsm_check_invariants(run->db, &report) != STATUS_OK)
        broken(act, "invariants after the recovery: %s", report.text);
    run->history.count = count;
    close_without_fault(act, "recovery");
    if (lsm_verify(&run->env, ENGINE_DIRECTORY, prefix_codecs, note_finding, &findings) !=
        STATUS_OK)
        broken(act, "verify: %s", findings.text);
    reopen(act, "second open");
    if (!engine_holds_history(run->db, &run->history, count, count, &count, &failure))
        broken(act, "second open: %s", failure.text);
    expect_no_stray_files(act);
    close_without_fault(act, "second open");
    if (vfs_memory_open_count(run->memory) > 0)
        broken(act, "%u files are open at the end", vfs_memory_open_count(run->memory));
}

/* ---- A run --------------------------------------------------------------------------------- */

static void expect_clear_report(struct engine_act *act, enum status status,
                                const struct lsm_report *report)
{
    if (!is_struck(act) || !fault_plan_explains(act->plan, status))
        broken(act, "open: %s (%s)", status_text(status), report->text);
    bool names = strstr(report->text, ENGINE_DIRECTORY) || strstr(report->text, ".wal") ||
                 strstr(report->text, ".cwt") || strstr(report->text, "MANIFEST-") ||
                 strstr(report->text, "CURRENT");
    if (!names || (status != STATUS_CORRUPT && !strstr(report->text, status_text(status))))
        broken(act, "open: %s, but its report says: %s", status_text(status), report->text);
}

/* The act, the comparison and the close. */
static void perform(const struct world *world, struct engine_act *act)
{
    struct engine_run *run = &act->run;
    struct lsm_report report = {""};
    enum status status = engine_run_open(run, &report);
    if (status != STATUS_OK) {
        expect_clear_report(act, status, &report);
        return;
    }
    if (world->script->act)
        world->script->act(act);
    expect_reads(act, fault_plan_hurts_reads(act->plan), "under the fault");
    bool struck = is_struck(act);
    if (struck && !world->script->may_lose)
        expect_power_loss_harmless(act);
    bool passes = struck && (!act->plan->for_good || act->plan->n % 2 == 1);
    if (passes) {
        engine_act_disarm(act);
        expect_reads(act, false, "after the fault");
        expect_going_on(act);
    }
    bool final = is_read_only(act);
    status = engine_run_close(run);
    bool explained = final ||
                     (!passes && is_struck(act) && fault_plan_explains(act->plan, status)) ||
                     (!passes && is_struck(act) && status == STATUS_READ_ONLY);
    if (status != STATUS_OK && !explained)
        broken(act, "close: %s", status_text(status));
    if (status == STATUS_OK && final)
        broken(act, "the log has failed, and the close says that all is well");
}

static void run_once(void *context, const struct fault_plan *plan, struct fault_counts *counts)
{
    const struct world *world = context;
    struct engine_act act = {.plan = plan};
    world_enter(world, &act);
    fault_plan_arm(plan, act.run.fault);
    if (world->script->on_closed)
        world->script->act(&act);
    else
        perform(world, &act);
    engine_act_disarm(&act);
    memcpy(counts->calls, act.armed.calls, sizeof(counts->calls));
    counts->failed = vfs_fault_failed_count(act.run.fault);
    if (act.run.db) /* an act on the closed database has opened it */
        (void)engine_run_close(&act.run);
    expect_recovery(&act);
    engine_run_release(&act.run);
}

void engine_script_run(const struct engine_script *script, unsigned sample,
                       struct fault_totals *totals)
{
    struct world world;
    world_init(&world, script);
    const struct fault_campaign campaign = {
        .name = script->name, .run = run_once, .context = &world, .sample = sample};
    fault_campaign_run(&campaign, totals);
    world_release(&world);
}
