/* SPDX-License-Identifier: MIT */
/* Trimming in two halves, so that reads come before writes: finding the new first entry, and moving
 * the bound. Used by the verbs of stream.h. */
#ifndef TYPES_STREAM_TRIM_H
#define TYPES_STREAM_TRIM_H

#include "types/stream.h"

struct stream_trim_plan {
    uint64_t removed; /* 0: nothing is to be done */
    uint64_t first_ordinal;
    struct stream_id first_id; /* unless all are removed */
};

/* `is_pending`: the newest entry stands in the header, but has no record yet. */
enum status stream_trim_find(struct access *access, const struct stream *stream,
                             const struct stream_trim *trim, bool is_pending,
                             struct stream_trim_plan *plan);
/* Changes the header, and gives a range tombstone to what lies below once that is worth one. */
void stream_trim_apply(struct access *access, struct stream *stream,
                       const struct stream_trim_plan *plan, bool is_pending);

/* The first bound goes up to (id, ordinal), or beyond the end when length is 0. `leaves_records`:
 * records below it are still there. */
void stream_move_first(struct access *access, struct stream *stream, struct stream_id id,
                       uint64_t ordinal, bool leaves_records);

#endif
