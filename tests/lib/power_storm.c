/* SPDX-License-Identifier: MIT */
#include "lib/power_storm.h"

#include <stdio.h>

struct strikes {
    struct engine_run *run;
    struct random random;
    struct power_storm_result *result;
};

static const unsigned STRUCK_CALLS =
    1u << VFS_CALL_OPEN | 1u << VFS_CALL_WRITE | 1u << VFS_CALL_SYNC | 1u << VFS_CALL_TRUNCATE |
    1u << VFS_CALL_REMOVE | 1u << VFS_CALL_RENAME | 1u << VFS_CALL_LINK | 1u << VFS_CALL_MKDIR |
    1u << VFS_CALL_SYNC_DIRECTORY;

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
    if (survived)
        return;
    char why[sizeof(failure->text)];
    snprintf(why, sizeof(why), "%s", failure->text);
    snprintf(failure->text, sizeof(failure->text),
             "before call %d on %.60s (site %.40s), batches %zu, synced %zu: %.800s", (int)call,
             path, site ? site : "-", strikes->run->history.count, strikes->run->synced, why);
}

void power_storm_run(const struct power_storm *storm, struct power_storm_result *result,
                     void (*each_site)(void *context, const char *site, uint64_t calls),
                     void *context)
{
    struct engine_run run;
    struct strikes strikes = {.run = &run, .result = result};
    struct lsm_report report = {""};
    *result = (struct power_storm_result){0};
    engine_run_init(&run, NULL, storm->seed);
    run.policy = storm->policy;
    random_init(&strikes.random, storm->seed + 1);
    vfs_fault_skip_sync(run.fault, storm->skipped_site);
    vfs_fault_watch(run.fault, STRUCK_CALLS, strike, &strikes);
    bool going = engine_run_open(&run, &report) == STATUS_OK ||
                 engine_fail(&result->failure, STATUS_OK, "first open: %s", report.text);
    for (unsigned step = 0; going && step < storm->steps; step++)
        going = engine_run_step(&run, &result->failure) && !result->failure.text[0];
    if (run.db)
        lsm_get_stats(run.db, &result->stats);
    if (going && engine_run_close(&run) != STATUS_OK)
        engine_fail(&result->failure, STATUS_OK, "the last close failed");
    result->skipped_count = vfs_fault_skipped_count(run.fault);
    if (each_site)
        vfs_fault_sync_sites(run.fault, each_site, context);
    vfs_fault_watch(run.fault, 0, NULL, NULL);
    engine_run_release(&run);
}
