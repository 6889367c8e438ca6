/* SPDX-License-Identifier: MIT */
/* The inside of a batch that is made before the lock is taken: the records of the WAL, in order. */
#ifndef LSM_BATCH_H
#define LSM_BATCH_H

#include "lsm/lsm.h"

struct lsm_batch {
    struct buffer records; /* as wal_record_append writes them */
    uint64_t count;
    size_t bytes_max; /* of keys and values, and a few bytes a record */
};

#endif
