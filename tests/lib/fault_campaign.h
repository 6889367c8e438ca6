/* SPDX-License-Identifier: MIT */
/* A campaign: a script is run once for every way in which one of its vfs calls can fail. A plan is
 * one such way: the n-th call of a kind fails, with an error, in a form, once or for good; n = 1, 2,
 * 3 ... up to the count of such calls in a run without faults. The script decides what must hold. */
#ifndef LIB_FAULT_CAMPAIGN_H
#define LIB_FAULT_CAMPAIGN_H

#include "vfs/vfs_fault.h"

struct fault_plan {
    enum vfs_call call;
    enum status error; /* STATUS_OK: the run without faults */
    enum vfs_fault_form form;
    bool for_good;
    uint64_t n;
};

/* From here on calls are counted, and the plan's n-th fails. */
void fault_plan_arm(const struct fault_plan *plan, struct vfs *fault);
/* No more failures. */
void fault_plan_disarm(struct vfs *fault);
/* For messages; valid until the next call. */
const char *fault_plan_text(const struct fault_plan *plan);
/* May this be what a call says that the plan has struck? What a file that ends early means is the
 * reader's to say. */
bool fault_plan_explains(const struct fault_plan *plan, enum status status);
/* Does the plan make reading fail, and may it still? */
bool fault_plan_hurts_reads(const struct fault_plan *plan);

struct fault_counts {
    uint64_t calls[VFS_CALL_COUNT]; /* made between arming and disarming */
    uint64_t failed;
};

struct fault_campaign {
    const char *name;
    /* One run; adds the calls and failures of the time when the plan was armed. Fails the test if
     * something is not as it must be. */
    void (*run)(void *context, const struct fault_plan *plan, struct fault_counts *counts);
    void *context;
    unsigned
        sample; /* so many n of each plan are tried, at random all over, unless the environment has
                      * FAULTS=all */
};

struct fault_totals {
    uint64_t scripts, plans, runs, strikes, calls;
};

/* FAULTS=all: no sample. */
bool fault_campaign_is_whole(void);
void fault_campaign_run(const struct fault_campaign *campaign, struct fault_totals *totals);
void fault_totals_print(const struct fault_totals *totals);

#endif
