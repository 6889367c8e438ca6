/* SPDX-License-Identifier: MIT */
/* The write-ahead log: the order of everything (FORMAT.md, "WAL").
 *
 *   segment file 0000000000001000.wal (its base LSN in hex)
 *     = header (base LSN, store id, size, epoch, CRC) | frame | frame | ... | zeros or old bytes
 *   frame = crc32c | length | LSN | epoch | durable LSN known | count | flags, then payload bytes
 *
 * The LSN of a frame is its logical byte position: base LSN + offset behind the header. A frame
 * counts only if its LSN is its position and its epoch is not below the epoch before it, so
 * leftovers of a recycled segment never count. A batch is one frame or a chain FIRST..LAST of them
 * (the payload is cut anywhere); a chain without LAST is no batch. A frame never crosses a
 * segment's end: a rest too small for a frame with one byte is skipped, and the next LSN is the
 * next segment's base. Neighbouring frames may be stored as a group, compressed, at the same positions
 * (wal_group.h).
 *
 * Segments are zero-filled ahead and recycled (renamed) when no longer needed.
 *
 * Threads: append and reserve under the engine's write lock; write, sync and the background calls
 * from any thread. */
#ifndef LSM_WAL_H
#define LSM_WAL_H

#include "lsm/cursor.h"

struct wal;
struct wal_header;

enum {
    WAL_FIRST_LSN = 4096, /* of a new database */
    WAL_SEGMENT_BYTES_MIN = 8192,
    WAL_SEGMENT_BYTES_MAX = 1 << 30,
    WAL_BATCH_BYTES_MAX = (1 << 30) + (1 << 26), /* of a payload: 1 GiB and its records' heads */
};

struct wal_options {
    uint64_t segment_bytes; /* of new segments, header included; those that exist keep theirs */
    uint64_t reserve_bytes; /* prepared room that only deletions may use when the disk is full */
    bool is_compressed;     /* frames are stored in groups where that saves pages (wal_group.h) */
    uint32_t page_bytes;    /* what the file system writes at least; 0: 4096 */
};

/* Where recovery stands; filled by wal_recover, used by wal_open. */
struct wal_tail {
    lsn_t next_lsn;          /* where the first new frame goes */
    uint64_t epoch;          /* of the newest valid frame or segment; 0: none */
    lsn_t durable_lsn;       /* newest statement found in a frame; 0: none */
    uint64_t batches, bytes; /* replayed */
    uint64_t cut_bytes;      /* from next_lsn to the end of the last remains of frames behind it */
};

/* One decoded record of a batch. */
struct wal_record {
    enum entry_kind kind;
    unsigned tree;
    struct slice key, value; /* range deletion: from, to */
};

/* Replays all whole batches with an LSN >= start, in order. `apply` gets a batch's LSN and its
 * encoded records (walk them with wal_record_next); an error of it ends the recovery.
 * STATUS_CORRUPT, with file and offset in the report, when data below a stated durable LSN is
 * missing or damaged; otherwise a bad frame is the end. STATUS_UNSUPPORTED: a frame of a newer
 * format. Changes nothing on disk: the cut takes effect in wal_open. */
struct wal_recovery {
    const struct env *env;
    const char *directory;
    lsn_t start;            /* 0: the first LSN of all */
    lsn_t manifest_durable; /* the durable LSN that the manifest states */
    uint64_t store_id;
    bool clean;  /* the manifest's last edit is a clean stop's: nothing lies behind
                  * manifest_durable, so it is not searched */
    bool repair; /* take damage for the end of the log; *report says what was lost */
    /* Before a batch with which a later recovery may start: one that does not lie behind another in a group
     * of frames. May be NULL. */
    void (*may_start)(void *context, lsn_t lsn);
    enum status (*apply)(void *context, lsn_t lsn, struct slice records, uint64_t count);
    /* Of batches that are probably applied next, the records, which may be anything: they are not checked yet.
     * May be NULL. */
    void (*foresee)(void *context, const struct slice *batches, size_t count);
    void *context;
};
enum status wal_recover(const struct wal_recovery *recovery, struct wal_tail *tail,
                        struct lsm_report *report);

/* Opens for appending at tail->next_lsn with `epoch` (1 .. 2^32-1). When the last stop was unclean
 * the caller passes an epoch above those of the tail and the manifest, and appends a seal (an empty
 * batch) and syncs it before any other write. Makes what is cut unreadable. STATUS_NO_SPACE,
 * STATUS_NO_MEMORY, STATUS_IO. */
enum status wal_open(const struct env *env, const char *directory,
                     const struct wal_options *options, uint64_t store_id,
                     const struct wal_tail *tail, uint64_t epoch, struct wal **wal);
/* Neither writes nor syncs what is pending. NULL is fine. */
void wal_close(struct wal *wal);

/* Room for a batch whose payload has up to `bytes` (frame heads are added inside): segments exist
 * and are zero-filled, and there is memory until they are written. Needed before every wal_append.
 * STATUS_NO_SPACE (tried anew at every call), STATUS_NO_MEMORY, STATUS_IO, STATUS_READ_ONLY. The write lock is held. May move wal_next_lsn (rotation). */
enum status wal_reserve(struct wal *wal, uint64_t bytes, bool may_use_reserve);
/* The same for a batch that has begun and turns out to be larger, of `bytes` in all: wal_next_lsn stays. On failure
 * what was reserved before is there still. */
enum status wal_reserve_more(struct wal *wal, uint64_t bytes, bool may_use_reserve);

/* The batch does not come: its memory is given back. The write lock is held. */
void wal_unreserve(struct wal *wal);

/* Encoding of records, appended to a batch's payload. */
void wal_record_append(struct buffer *payload, enum entry_kind kind, unsigned tree,
                       struct slice key, struct slice value);
/* false at the end or, with *bad set, at a malformed record. */
bool wal_record_next(struct slice *records, struct wal_record *record, bool *bad);

/* The LSN that the next batch will have. The write lock is held. */
lsn_t wal_next_lsn(const struct wal *wal);
/* Frames the payload (`count` records) and puts it into the pending buffer. Returns the batch's end =
 * the next LSN. A batch larger than was reserved finds room now; if there is none the log is poisoned,
 * as by a failed write. The write lock is held. */
lsn_t wal_append(struct wal *wal, struct slice payload, uint64_t count);

/* write(2) of everything appended before the call; returns when it is done by whomever. */
enum status wal_write(struct wal *wal);
/* wal_write and a sync of it. Overlapping callers share one sync. An error poisons the log: this
 * and all later calls, and wal_reserve, return STATUS_READ_ONLY. */
enum status wal_sync(struct wal *wal);
/* The end of the last whole batch that was appended, whichever thread asks. A recovery may start or end
 * there from now on: no group of frames goes across. */
lsn_t wal_fence(struct wal *wal);
lsn_t wal_written_lsn(const struct wal *wal); /* all frames below are written / durable */
lsn_t wal_durable_lsn(const struct wal *wal);
bool wal_is_poisoned(const struct wal *wal);
/* `status` of a call on this log, told by its cause: STATUS_READ_ONLY becomes the first error that
 * poisoned the log. For an open, whose caller has not seen that error. */
enum status wal_status_cause(struct wal *wal, enum status status);

/* From now on new segments leave so much of the disk free: for a flush, without which no room comes back. */
void wal_leave_free(struct wal *wal, uint64_t bytes);
/* Starts a new segment with the next wal_reserve, unless the current one is empty. */
void wal_request_rotate(struct wal *wal);
/* Segments that end at or below `lsn` and are durable are recycled or removed, unless they are held;
 * then the next call does it. Any thread. */
enum status wal_release_below(struct wal *wal, lsn_t lsn);
/* Between the two no segment is recycled or removed; they nest. Any thread. */
void wal_hold(struct wal *wal);
void wal_unhold(struct wal *wal);
/* Headers of the segments that hold LSNs in [from, to), ascending; *headers from memory_allocate. */
void wal_headers_between(struct wal *wal, lsn_t from, lsn_t to, struct wal_header **headers,
                         size_t *count);
/* Prepares the next segment ahead if none is ready. true: did something. Any thread. */
bool wal_work(struct wal *wal);
bool wal_wants_work(struct wal *wal);

struct wal_stats {
    uint64_t bytes_logged; /* of frames, before compression ... */
    uint64_t bytes_written; /* ... and what was written of them */
    uint64_t sync_count, segment_count;
};
void wal_get_stats(struct wal *wal, struct wal_stats *stats);

/* Segments follow each other, LSNs are in order, what is pending has its place; tables hold
 * everything below `flushed`. STATUS_CORRUPT and a sentence about the first fault. The write lock is
 * held. */
enum status wal_check(struct wal *wal, lsn_t flushed, struct lsm_report *report);

#endif
