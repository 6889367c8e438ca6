/* SPDX-License-Identifier: MIT */
/* The slots of a sparse list: a slot is a position, and holds one element unless the list says otherwise.
 * What it says is kept here, as deviations: -1 where the element was removed, n where n more were inserted.
 * With their sums "which slot has the n-th element" needs no element: a record a level.
 *
 *   level 0   deviations of 256 slots
 *   level k   sums of the deviations below each of 256 nodes of level k - 1. A node all of whose slots are
 *             0, or all -1, has no record: its sum says it
 *
 * The tree speaks of the positions of a zone, which the list's header names and which only widens; its
 * root level is the lowest one at which the zone lies in one node or in two neighbours. Records have the
 * key prefix | 'i' | level | index (8, BE), in TREE_PARTS; values: ENCODING.md.
 *
 * It is not the stream's set of deletions (stream_deletions.h): ordinals begin at 0, only grow, and each is
 * a member or is not; positions grow to both sides from the middle of 64 bits, and a slot counts. */
#ifndef TYPES_LIST_SLOTS_H
#define TYPES_LIST_SLOTS_H

#include "types/store.h"

enum { SLOTS_FANOUT = 256 };

#define SLOTS_ZONE_WIDTH_MAX ((uint64_t)1 << 56)

/* Which list, and its zone: from low to high, both included; low > high: none yet. */
struct slots {
    struct access *access;
    uint64_t id;
    uint64_t low, high;
};

/* What is known of the positions from first to last. */
struct slot_span {
    uint64_t first, last;
    bool is_uniform;
    int64_t deviation;                /* of each, if uniform: 0 or -1 */
    int64_t deviations[SLOTS_FANOUT]; /* otherwise */
};

static inline uint64_t slot_span_count(const struct slot_span *span, uint64_t position)
{
    int64_t deviation =
        span->is_uniform ? span->deviation : span->deviations[position - span->first];
    return (uint64_t)(1 + deviation);
}

/* The span around a position of the zone. Reads may fail; STATUS_CORRUPT. */
enum status slots_look(const struct slots *slots, uint64_t position, struct slot_span *span);
/* The slot of the element that has `rank` elements of the zone before it, and how many of these are in the
 * same slot. STATUS_CORRUPT also when the zone has not so many. */
enum status slots_select(const struct slots *slots, uint64_t rank, uint64_t *position,
                         uint64_t *offset);

/* A change, found before anything is written: the nodes as they will be. Zeroed at first; several may
 * follow each other. */
struct slot_plan {
    struct buffer
        nodes;    /* of { put or delete (1), level (1), varint index, sized value }, may fail */
    size_t known; /* bytes of it that a node is looked for in */
    struct buffer
        ranges; /* of { level (1), be64 from, be64 to }: nodes that nothing leads to any more */
};

struct slot_change {
    uint64_t position;
    int64_t delta;
};

/* Ascending positions, which the zone comes to cover; no slot goes below -1. Reads only. STATUS_NO_MEMORY. */
enum status slots_plan_changes(struct slots *slots, const struct slot_change *changes, size_t count,
                               struct slot_plan *plan);
/* All slots from `from` to `to`, which the zone comes to cover, are without elements. O(levels). */
enum status slots_plan_clear(struct slots *slots, uint64_t from, uint64_t to,
                             struct slot_plan *plan);
size_t slot_plan_bytes(const struct slot_plan *plan); /* what it adds to a batch */
/* Writes the nodes; nothing can fail. */
void slots_apply(const struct slots *slots, const struct slot_plan *plan);
void slot_plan_release(struct slot_plan *plan);

/* ---- For checks. ----------------------------------------------------------------------------- */

/* Elements of the zone below a position (at most high + 1). */
enum status slots_rank(const struct slots *slots, uint64_t position, uint64_t *rank);
/* Every node is one that is written, and the sum that the node above has of it. *nodes: how many there
 * are. STATUS_CORRUPT. */
enum status slots_verify(const struct slots *slots, uint64_t *nodes);
/* The key and value of a record, as it lies in the store. STATUS_CORRUPT. */
enum status slots_check_record(struct slice key, struct slice value);

#endif
