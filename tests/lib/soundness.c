/* SPDX-License-Identifier: MIT */
#include "lib/soundness.h"

#include <stdio.h>
#include <stdlib.h>

static void require(enum status status, const struct lsm_report *report, const char *where)
{
    if (status != STATUS_CORRUPT)
        return;
    fprintf(stderr, "invariants, %s: %s\n", where, report->text);
    abort();
}

void require_sound_engine(struct lsm *engine, const char *where)
{
    struct lsm_report report = {""};
    require(lsm_check_invariants(engine, &report), &report, where);
}
