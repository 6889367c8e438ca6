/* SPDX-License-Identifier: MIT */
#include "lib/fault_campaign.h"

#include "base/random.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const CALL_NAMES[VFS_CALL_COUNT] = {
    [VFS_CALL_OPEN] = "open",
    [VFS_CALL_READ] = "read",
    [VFS_CALL_WRITE] = "write",
    [VFS_CALL_SYNC] = "sync",
    [VFS_CALL_TRUNCATE] = "truncate",
    [VFS_CALL_REMOVE] = "remove",
    [VFS_CALL_RENAME] = "rename",
    [VFS_CALL_LINK] = "link",
    [VFS_CALL_MKDIR] = "make_directory",
    [VFS_CALL_SYNC_DIRECTORY] = "sync_directory",
    [VFS_CALL_LIST] = "list",
    [VFS_CALL_SIZE] = "size",
    [VFS_CALL_EXISTS] = "exists",
    [VFS_CALL_LOCK] = "lock",
    [VFS_CALL_FREE_BYTES] = "free_bytes",
    [VFS_CALL_RMDIR] = "remove_directory",
};

static const struct {
    enum status error;
    enum vfs_fault_form form;
    const char *text;
} WAYS[] = {
    {STATUS_IO, VFS_FAULT_HALF, "EIO, half done"},
    {STATUS_NO_SPACE, VFS_FAULT_HALF, "ENOSPC, half done"},
    {STATUS_IO, VFS_FAULT_DONE, "EIO, though done"},
    {STATUS_IO, VFS_FAULT_NOTHING, "EIO, nothing done"}, /* of reads and writes */
    {STATUS_IO, VFS_FAULT_ENDS, "as if the file ended"}, /* of reads */
};
enum { WAY_COUNT = sizeof(WAYS) / sizeof(WAYS[0]) };

static bool way_fits(enum vfs_call call, size_t way)
{
    if (WAYS[way].form == VFS_FAULT_ENDS)
        return call == VFS_CALL_READ;
    if (WAYS[way].form == VFS_FAULT_NOTHING)
        return call == VFS_CALL_READ || call == VFS_CALL_WRITE;
    return true;
}

void fault_plan_arm(const struct fault_plan *plan, struct vfs *fault)
{
    vfs_fault_set_form(fault, plan->form);
    vfs_fault_fail(fault, 1u << plan->call, plan->error == STATUS_OK ? 0 : plan->n, plan->error,
                   plan->for_good);
}

void fault_plan_disarm(struct vfs *fault)
{
    vfs_fault_fail(fault, 0, 0, STATUS_OK, false);
}

const char *fault_plan_text(const struct fault_plan *plan)
{
    static char text[160];
    const char *way = "no fault";
    for (size_t i = 0; i < WAY_COUNT; i++) {
        if (plan->error == WAYS[i].error && plan->form == WAYS[i].form)
            way = WAYS[i].text;
    }
    snprintf(text, sizeof(text), "%s number %llu: %s, %s", CALL_NAMES[plan->call],
             (unsigned long long)plan->n, way, plan->for_good ? "for good" : "once");
    return text;
}

bool fault_plan_explains(const struct fault_plan *plan, enum status status)
{
    if (plan->error == STATUS_OK)
        return false;
    return status == plan->error || (plan->form == VFS_FAULT_ENDS && status == STATUS_CORRUPT);
}

bool fault_plan_hurts_reads(const struct fault_plan *plan)
{
    return plan->error != STATUS_OK && (plan->call == VFS_CALL_READ ||
                                        plan->call == VFS_CALL_OPEN || plan->call == VFS_CALL_SIZE);
}

static void note_run(const struct fault_campaign *campaign, const struct fault_plan *plan,
                     struct fault_counts *counts, struct fault_totals *totals)
{
    *counts = (struct fault_counts){{0}};
    if (getenv("VERBOSE"))
        fprintf(stderr, "%s: %s\n", campaign->name, fault_plan_text(plan));
    campaign->run(campaign->context, plan, counts);
    totals->runs++;
    totals->strikes += counts->failed;
}

bool fault_campaign_is_whole(void)
{
    const char *faults = getenv("FAULTS");
    return faults && strcmp(faults, "all") == 0;
}

/* Tries the plan with n of 1 .. count, all or a sample of them. */
static void run_plan(const struct fault_campaign *campaign, struct fault_plan *plan, uint64_t count,
                     struct random *random, struct fault_totals *totals)
{
    bool all = fault_campaign_is_whole() || count <= campaign->sample;
    uint64_t tries = all ? count : campaign->sample;
    totals->plans++;
    for (uint64_t i = 0; i < tries; i++) {
        struct fault_counts counts;
        /* Of a sample, one in each of so many equal parts. */
        uint64_t from = count * i / tries, to = count * (i + 1) / tries;
        plan->n = all ? i + 1 : 1 + from + random_below(random, to - from);
        note_run(campaign, plan, &counts, totals);
        if (counts.failed == 0)
            fail_msg("%s: %s was never made", campaign->name, fault_plan_text(plan));
    }
}

void fault_campaign_run(const struct fault_campaign *campaign, struct fault_totals *totals)
{
    struct fault_counts baseline;
    struct fault_plan none = {.n = 0};
    struct random random;
    random_init(&random, test_seed());
    note_run(campaign, &none, &baseline, totals);
    assert_int_equal(baseline.failed, 0);
    totals->scripts++;
    for (enum vfs_call call = 0; call < VFS_CALL_COUNT; call++) {
        totals->calls += baseline.calls[call];
        for (size_t way = 0; way < WAY_COUNT; way++) {
            for (int for_good = 0; for_good < 2; for_good++) {
                struct fault_plan plan = {.call = call,
                                          .error = WAYS[way].error,
                                          .form = WAYS[way].form,
                                          .for_good = for_good};
                if (way_fits(call, way) && baseline.calls[call] > 0)
                    run_plan(campaign, &plan, baseline.calls[call], &random, totals);
            }
        }
    }
    printf("%s:", campaign->name);
    for (enum vfs_call call = 0; call < VFS_CALL_COUNT; call++) {
        if (baseline.calls[call])
            printf(" %s %llu", CALL_NAMES[call], (unsigned long long)baseline.calls[call]);
    }
    printf("\n");
    fflush(stdout);
}

void fault_totals_print(const struct fault_totals *totals)
{
    printf("ran: %llu scripts of %llu calls, %llu ways to fail, %llu runs, %llu faults struck\n",
           (unsigned long long)totals->scripts, (unsigned long long)totals->calls,
           (unsigned long long)totals->plans, (unsigned long long)totals->runs,
           (unsigned long long)totals->strikes);
}
