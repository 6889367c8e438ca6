/* SPDX-License-Identifier: MIT */
/* The invariants between records of an open store: what must hold whatever commands ran and however
 * often they were cut short. */
#ifndef TYPES_STORE_CHECK_H
#define TYPES_STORE_CHECK_H

#include "types/store.h"

/* Every key stands at its position with a header that can be read; ids are below the first free one
 * and given once; counts are right; the index of times has an entry for each key with a time, and no
 * other; what headers say is what their parts say; what no range deletion covers belongs to a key of
 * a database; the store's own records are the same in all trees.
 * Reads everything but the bytes of strings, waiting; any thread. STATUS_CORRUPT, and the first fault
 * in the report. */
enum status store_check(struct store *store, struct lsm_report *report);

#endif
