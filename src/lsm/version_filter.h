/* SPDX-License-Identifier: MIT */
/* Which versions of a key have to be kept: the newest, and for each LSN at which somebody reads the
 * newest at or below it. Fed in cursor order. */
#ifndef LSM_VERSION_FILTER_H
#define LSM_VERSION_FILTER_H

#include "lsm/cursor.h"

struct version_filter {
    lsn_t *read_lsns; /* ascending, unique */
    size_t read_count;
    struct buffer key; /* of the version seen last */
    lsn_t lsn;         /* of the version seen last; 0: none yet */
    uint64_t old_count;
};

void version_filter_init(struct version_filter *filter, lsn_t *read_lsns /* taken over */,
                         size_t count);
void version_filter_release(struct version_filter *filter);
/* The next version belongs to another run of keys. */
void version_filter_restart(struct version_filter *filter);
bool version_filter_keeps(struct version_filter *filter, struct slice key, lsn_t lsn);
/* How many versions were kept since the last call although there are newer ones. */
uint64_t version_filter_take_old_count(struct version_filter *filter);
/* Nobody reads below it. UINT64_MAX: nobody reads at an older moment than the newest. */
lsn_t version_filter_oldest_read(const struct version_filter *filter);

#endif
