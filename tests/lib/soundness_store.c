/* SPDX-License-Identifier: MIT */
/* Apart from soundness.c, so that the engine's tests link without the layers above it. */
#include "lib/soundness.h"
#include "types/store_check.h"

#include <stdio.h>
#include <stdlib.h>

void require_sound_store(struct store *store, const char *where)
{
    struct lsm_report report = {""};
    require_sound_engine(store_engine(store), where);
    if (store_check(store, &report) != STATUS_CORRUPT)
        return;
    fprintf(stderr, "invariants, %s: %s\n", where, report.text);
    abort();
}
