/* SPDX-License-Identifier: MIT */
/* The ordered set of ordinals whose entries were deleted one by one (XDEL) among entries that are
 * still there. With it, "how many entries between two ordinals" and "which entry is the n-th" need
 * no entry: each costs one record a level, and there are at most ten levels.
 *
 *   level 0   a bitmap of 1024 ordinals
 *   level k   counts of deleted ordinals below each of 64 nodes of level k - 1
 *
 * Ordinals below the stream's first one stay in the set until whole leaves of them are reclaimed by
 * a range tombstone; questions are only asked about ordinals from the first one on, so they do no
 * harm. Key: prefix | 'D' | level | index (8, BE), in TREE_PARTS; values: ENCODING.md. */
#ifndef TYPES_STREAM_DELETIONS_H
#define TYPES_STREAM_DELETIONS_H

#include "types/stream.h"

/* Deleted ordinals in [from, to); first_ordinal <= from <= to. */
enum status stream_deletions_count(struct access *access, const struct stream *stream,
                                   uint64_t from, uint64_t to, uint64_t *count);
/* The ordinal that has exactly `rank` entries between first_ordinal and itself and is not deleted;
 * rank <= length. */
enum status stream_deletions_select(struct access *access, const struct stream *stream,
                                    uint64_t rank, uint64_t *ordinal);

/* An insertion, found before anything is written: the nodes as they will be. Zeroed at first. */
struct stream_deletions_plan {
    unsigned levels;     /* of the set afterwards */
    struct buffer nodes; /* { level (1), varint index, varint size, value } */
};

/* For ordinals that are not in the set; ascending. Reads only. */
enum status stream_deletions_find(struct access *access, const struct stream *stream,
                                  const uint64_t *ordinals, size_t count,
                                  struct stream_deletions_plan *plan);
/* Writes the nodes and changes the header's levels; reads nothing, so that nothing can fail between
 * the writes of one command. */
void stream_deletions_apply(struct access *access, struct stream *stream,
                            const struct stream_deletions_plan *plan);
void stream_deletions_plan_release(struct stream_deletions_plan *plan);
/* Puts a range tombstone on nodes below first_ordinal, when there are enough of them. */
void stream_deletions_reclaim(struct access *access, struct stream *stream);

#endif
