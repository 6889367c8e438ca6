/* SPDX-License-Identifier: MIT */
/* Late entries: an entry whose event time is older than the entries before it gets the next ID like
 * any other, so whoever follows the stream by IDs never misses it, and it gets three things more,
 * so that whoever reads by time finds it where it belongs:
 *
 *   prefix | 'L' | event ms (8) | ms (8) | seq (8)  -> nothing        late entries by event time
 *   prefix | 'I' | ms (8) | seq (8)                 -> varint event   the same by ID, to reclaim
 *   prefix | 'R' | last ms (8) | last seq (8)       -> first ms, seq  a run of many late entries,
 *                                                                     for readers to jump over
 *
 * all in TREE_PARTS, numbers big-endian in keys. A read by time merges two ordered streams: the
 * entries in ID order without the late ones, and 'L'.
 *
 * Trimming cannot name its victims in 'L', which is in another order. It leaves their index
 * records, which readers skip because the ID is below the first one; every later write to the
 * stream removes up to STREAM_LATE_RECLAIM_MAX of them by means of 'I', and when the newest late
 * entry is gone, three range tombstones remove all. */
#ifndef TYPES_STREAM_LATE_H
#define TYPES_STREAM_LATE_H

#include "types/stream.h"

enum {
    STREAM_LATE_RECLAIM_MAX = 16,
    STREAM_LATE_RUN_MIN = 32, /* shorter runs are not noted; readers step through them */
};

/* Index records that point to nothing, found before a write and removed within it. */
struct stream_late_dead {
    size_t count;
    bool all; /* every record of the index */
    struct stream_id ids[STREAM_LATE_RECLAIM_MAX];
    uint64_t event_ms[STREAM_LATE_RECLAIM_MAX];
    bool has_next;
    struct stream_id next_id; /* no record that stays has a lower ID */
};

/* Reads only. */
enum status stream_late_find_dead(struct access *access, const struct stream *stream,
                                  struct stream_late_dead *dead);
void stream_late_remove_dead(struct access *access, struct stream *stream,
                             const struct stream_late_dead *dead);
/* After an entry was added at the end; `event_ms` < id.ms means a late one. */
void stream_late_note_add(struct access *access, struct stream *stream, struct stream_id id,
                          uint64_t event_ms);
/* After a late entry was deleted by itself. */
void stream_late_note_delete(struct access *access, struct stream *stream, struct stream_id id,
                             uint64_t event_ms);

/* With a range tombstone on the entries below first_id: one on their runs. */
void stream_late_trim_runs(struct access *access, const struct stream *stream);

/* The run of late entries that `id` lies in. STATUS_NOT_FOUND: none is noted. */
enum status stream_late_run(struct access *access, const struct stream *stream, struct stream_id id,
                            struct stream_id *first, struct stream_id *last);

/* A place in the order of time: by event time, then by ID. */
struct stream_moment {
    uint64_t event_ms;
    struct stream_id id;
};

static inline int stream_moment_compare(struct stream_moment a, struct stream_moment b)
{
    if (a.event_ms != b.event_ms)
        return a.event_ms < b.event_ms ? -1 : 1;
    return stream_id_compare(a.id, b.id);
}

/* Late entries of [first, last] by event time; records whose entry is not visible are skipped. */
struct stream_late_range {
    struct lsm_iter *iter; /* NULL: nothing to read */
    const struct stream *stream;
    struct stream_moment first, last;
    bool is_reverse;
    bool is_started;
};

void stream_late_range_open(struct access *access, const struct stream *stream,
                            struct stream_moment first, struct stream_moment last, bool is_reverse,
                            struct stream_late_range *range);
/* STATUS_NOT_FOUND at the end. */
enum status stream_late_range_next(struct stream_late_range *range, struct stream_moment *moment);
void stream_late_range_close(struct stream_late_range *range);

#endif
