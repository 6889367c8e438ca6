/* SPDX-License-Identifier: MIT */
/* LSNs that nobody can tell apart (FORMAT.md, "LSNs of a flush"). The LSNs of one flush are cut into
 * intervals: behind each LSN at which somebody reads, and before each range deletion of the tree. What
 * is written takes the first LSN of its interval, so that rows have few LSNs, mostly one.
 *
 *      first         a reader at r      a range deletion at d        end
 *      |--- first ---------|--- r + 1 ----------|--- d -----------------|
 *
 * This changes nothing for anybody:
 *   readers      one at r sees an interval as a whole or not at all; who begins later reads behind
 *                the end
 *   deletions    one at d hides what is below d, and nothing that is in its own interval
 *   order        for one key version_filter leaves at most one version an interval; other tables and
 *                memtables hold LSNs below `first` or from the end on alone */
#ifndef LSM_LSN_INTERVALS_H
#define LSM_LSN_INTERVALS_H

#include "lsm/lsm.h"

/* A zeroed struct is empty. */
struct lsn_intervals {
    lsn_t *starts; /* ascending, unique when finished; the first is that of all LSNs */
    size_t count, capacity;
};

/* All LSNs to come are at or above `first`. Then lsn_intervals_cut..., then lsn_intervals_finish. */
void lsn_intervals_begin(struct lsn_intervals *intervals, lsn_t first);
/* An interval begins at `lsn`; no effect at or below `first`. */
void lsn_intervals_cut(struct lsn_intervals *intervals, lsn_t lsn);
void lsn_intervals_finish(struct lsn_intervals *intervals);
/* The first LSN of the interval that `lsn` is in. */
lsn_t lsn_intervals_start(const struct lsn_intervals *intervals, lsn_t lsn);
void lsn_intervals_release(struct lsn_intervals *intervals);

#endif
