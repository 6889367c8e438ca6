/* SPDX-License-Identifier: MIT */
#include "lib/power_storm.h"

#include <stdio.h>

enum {
    RECYCLING_PERIOD = 300, /* batches from flush to flush */
    RECYCLING_BATCHES_PER_SYNC = 3,
    RECYCLING_MEMTABLE_BYTES = 4 << 20,
    RECYCLING_SEGMENT_BYTES = 160 << 10,
    BATCHES_PER_EDIT = 6,
    EDITS_PER_FAILURE = 3,
    A_SECOND_US = 1100000, /* background work rests so long after a failure */
};

struct strikes {
    struct engine_run *run;
    const struct power_storm *storm;
    struct random random;
    struct power_storm_result *result;
    unsigned edits;
};

/* ---- Striking ------------------------------------------------------------------------------ */

static bool strike_once(struct strikes *strikes, enum vfs_power_loss mode)
{
    const struct power_loss loss = {
        .mode = mode,
        .seed = random_next(&strikes->random),
        .again = random_below(&strikes->random, 3) == 0,
        .go_on = random_below(&strikes->random, 4) == 0,
    };
    strikes->result->losses++;
    return power_loss_check(strikes->run, &loss, &strikes->result->failure);
}

static void fail_edit(struct strikes *strikes, const char *site)
{
    bool is_edit = strikes->storm->kind == STORM_OF_FAILED_EDITS && strikes->run->db && site &&
                   strcmp(site, "manifest.edit") == 0;
    if (is_edit && ++strikes->edits % EDITS_PER_FAILURE == 0)
        vfs_fault_fail(strikes->run->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
}

static void strike(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct strikes *strikes = context;
    struct engine_failure *failure = &strikes->result->failure;
    if (failure->text[0])
        return;
    strikes->result->points++;
    bool survived = true;
    if (call == VFS_CALL_SYNC || call == VFS_CALL_SYNC_DIRECTORY) {
        for (int mode = VFS_LOSE_UNSYNCED; survived && mode <= VFS_REORDER; mode++)
            survived = strike_once(strikes, (enum vfs_power_loss)mode);
    } else {
        survived = strike_once(strikes, (enum vfs_power_loss)random_below(&strikes->random, 4));
    }
    fail_edit(strikes, site);
    if (survived)
        return;
    char why[sizeof(failure->text)];
    snprintf(why, sizeof(why), "%s", failure->text);
    snprintf(failure->text, sizeof(failure->text),
             "before call %d on %.60s (site %.40s), batches %zu, synced %zu: %.800s", (int)call,
             path, site ? site : "-", strikes->run->history.count, strikes->run->synced, why);
}

/* ---- Steps --------------------------------------------------------------------------------- */

static enum status recycling_step(struct engine_run *run, unsigned step)
{
    enum status status = engine_run_batch(run);
    if (status == STATUS_OK && step % RECYCLING_BATCHES_PER_SYNC == 0)
        status = engine_run_sync(run);
    if (step % RECYCLING_PERIOD == RECYCLING_PERIOD / 4)
        engine_run_flush(run);
    return status;
}

static enum status failed_edits_step(struct engine_run *run, unsigned step)
{
    enum status status = engine_run_batch(run);
    if (status == STATUS_OK)
        status = engine_run_sync(run);
    if (step % BATCHES_PER_EDIT == 0) {
        lsm_request_flush(run->db);
        engine_run_work(run);
        run->clock_us += A_SECOND_US;
    }
    return status;
}

static bool storm_step(const struct power_storm *storm, struct engine_run *run, unsigned step,
                       struct engine_failure *failure)
{
    if (storm->kind == STORM_OF_STEPS)
        return engine_run_step(run, failure);
    enum status status = storm->kind == STORM_OF_RECYCLING ? recycling_step(run, step)
                                                           : failed_edits_step(run, step);
    return status == STATUS_OK ||
           engine_fail(failure, status, "step %u: %s", step, status_text(status));
}

void power_storm_run(const struct power_storm *storm, struct power_storm_result *result,
                     void (*each_site)(void *context, const char *site, uint64_t calls),
                     void *context)
{
    struct engine_run run;
    struct strikes strikes = {.run = &run, .storm = storm, .result = result};
    struct lsm_report report = {""};
    *result = (struct power_storm_result){0};
    engine_run_init(&run, NULL, storm->seed);
    run.policy = storm->policy;
    if (storm->kind == STORM_OF_RECYCLING) {
        run.options.memtable_bytes = RECYCLING_MEMTABLE_BYTES;
        run.options.wal_segment_bytes = RECYCLING_SEGMENT_BYTES;
    }
    random_init(&strikes.random, storm->seed + 1);
    engine_run_skip_sync(&run, storm->skipped_site);
    vfs_fault_watch(run.fault, VFS_CALLS_CHANGING, strike, &strikes);
    bool going = engine_run_open(&run, &report) == STATUS_OK ||
                 engine_fail(&result->failure, STATUS_OK, "first open: %s", report.text);
    for (unsigned step = 0; going && step < storm->steps; step++)
        going = storm_step(storm, &run, step, &result->failure) && !result->failure.text[0];
    if (run.db)
        lsm_get_stats(run.db, &result->stats);
    enum status closed = going ? engine_run_close(&run) : STATUS_OK;
    if (closed != STATUS_OK && storm->kind != STORM_OF_FAILED_EDITS)
        engine_fail(&result->failure, closed, "the last close: %s", status_text(closed));
    if (each_site)
        vfs_fault_sync_sites(run.fault, each_site, context);
    vfs_fault_watch(run.fault, 0, NULL, NULL);
    engine_run_release(&run);
}
