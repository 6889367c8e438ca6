/* SPDX-License-Identifier: MIT */
/* The writer's side of the WAL, as wal.c (segments, appending) and wal_commit.c (writing, syncing)
 * see it. Internal to src/lsm. */
#ifndef LSM_WAL_WRITER_H
#define LSM_WAL_WRITER_H

#include "lsm/wal.h"
#include "lsm/wal_group.h"
#include "lsm/wal_segment.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

/* Of wal.pending_bytes. */
enum {
    WAL_PENDING_BYTES_MIN = 256 << 10, /* small batches need no more memory */
    WAL_PENDING_BYTES_MAX = 1 << 20,
};

/* Neighbouring frames of one segment in a pending batch of bytes. */
struct extent {
    struct wal_segment *segment;
    uint64_t file_offset;
    size_t size;
    bool is_closed; /* what follows is an extent of its own */
};

struct pending {
    struct buffer bytes;
    struct extent *extents;
    size_t extent_count, extent_capacity;
};

/* A thread that waits for the sync that covers `target`, on its own stack. */
struct sync_waiter {
    struct sync_waiter *next;
    lsn_t target;
    sem_t woken;
};

struct wal {
    const struct env *env;
    char *directory;
    struct wal_options options;
    uint64_t store_id;
    uint32_t epoch;
    uint32_t seed;
    size_t pending_bytes; /* held ready in each of the two pending buffers */

    lsn_t next_lsn;                         /* guarded by the engine's write lock */
    _Atomic lsn_t prepared_lsn;             /* end of the last segment; changed under `mutex` */
    _Atomic lsn_t written_lsn, durable_lsn; /* changed under `mutex` */
    atomic_bool poisoned, rotate_requested;
    _Atomic uint64_t bytes_logged, bytes_written, sync_count;
    struct wal_group_writer *groups; /* of the thread that writes; NULL: all is written as it is */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct wal_segment **segments;
    size_t segment_count, segment_capacity;
    size_t tail; /* index of the segment that the next frame goes to */
    lsn_t appended_lsn;
    uint64_t left_free_bytes; /* of the disk, by new segments */
    struct pending *active, *idle;
    struct pending pending[2];
    struct sync_waiter *waiters; /* of the syncs behind the running one */
    struct buffer spare; /* takes the active one's place when the batch to come has no room in it */
    unsigned hold_count;
    bool writing, syncing, preparing;
    bool has_company;        /* the last sync had others waiting */
    enum status first_error; /* that poisoned the log */
};

/* The first error is final: says so once; all later calls get STATUS_READ_ONLY, which it returns. The
 * mutex is held. */
enum status wal_poison(struct wal *wal, enum status status, const char *what);

#endif
