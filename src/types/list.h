/* SPDX-License-Identifier: MIT */
/* Lists. A small one (LIST_INLINE_BYTES_MAX) sits in the key's header; a larger one has an element
 * a record in TREE_PARTS, keyed by a position that counts from the middle of 64 bits, so that both
 * ends grow and the n-th element is a point read. LINSERT and LREM leave the others where they are: a
 * position may then have no element or several, and the n-th one is found in O(log n). Bytes: ENCODING.md.
 * Keys and failing reads as in keyspace.h. */
#ifndef TYPES_LIST_H
#define TYPES_LIST_H

#include "types/keyspace.h"

enum list_end { LIST_LEFT, LIST_RIGHT };

enum {
    LIST_INLINE_BYTES_MAX = 512, /* elements and their lengths */
    LIST_INLINE_COUNT_MAX = 128,
    LIST_PIECE_BYTES = 32 * 1024, /* longer elements lie in pieces */
    LIST_ELEMENT_BYTES_MAX = 512 * 1024 * 1024,
    /* Popped elements are reclaimed by one range deletion an end whenever their weight (1 an
     * element, and 1 for each 4 KiB) reaches this. */
    LIST_RECLAIM_WEIGHT = 1024,
};

/* Gets elements in order. `begin` (may be NULL) is called once before the first, with their count.
 * A value is valid during the call. When a read fails in between, the function returns that status
 * and the caller forgets what came. */
struct list_visitor {
    void (*begin)(void *context, uint64_t count);
    void (*element)(void *context, struct slice value);
    void *context;
    /* Asked after each element (may be NULL): another status ends the walk, and is what the function
     * returns; nothing was popped then. */
    enum status (*check)(void *context);
};

/* LLEN: STATUS_NOT_FOUND, _WRONG_TYPE. */
enum status list_length(struct access *access, struct slice key, uint64_t *length);
/* The same of an object (a list) that was found already. STATUS_CORRUPT. */
enum status list_object_length(const struct object *object, uint64_t *length);
/* LPUSH, RPUSH (LPUSHX, RPUSHX: only_existing): pushes one after another; count > 0. *length is the
 * new one; a missing key with only_existing is STATUS_NOT_FOUND. STATUS_WRONG_TYPE,
 * STATUS_TOO_LARGE (an element above LIST_ELEMENT_BYTES_MAX). Facts "lpush" or "rpush", l. */
enum status list_push(struct access *access, struct slice key, enum list_end end,
                      const struct slice *values, size_t count, bool only_existing,
                      uint64_t *length);
/* LPOP, RPOP: takes up to count_max (> 0) from the end; the visitor sees them in the order of
 * popping. The last one takes the key along. STATUS_NOT_FOUND, _WRONG_TYPE. Facts "lpop" or "rpop",
 * l; "del", g. */
enum status list_pop(struct access *access, struct slice key, enum list_end end, uint64_t count_max,
                     const struct list_visitor *visitor);
/* LRANGE: from `start` to `stop`, both inclusive, negative ones from the end (-1 is the last). Out
 * of range is empty: begin(0). STATUS_NOT_FOUND, _WRONG_TYPE. */
enum status list_range(struct access *access, struct slice key, int64_t start, int64_t stop,
                       const struct list_visitor *visitor);
/* LINDEX: STATUS_NOT_FOUND also when the index is out of range. *value is valid until the access
 * ends, or (longer than LIST_PIECE_BYTES) until the next large value is read. */
enum status list_index(struct access *access, struct slice key, int64_t index, struct slice *value);
/* LSET: STATUS_NOT_FOUND, _WRONG_TYPE, _INVALID (no such index), _TOO_LARGE. Fact "lset", l. */
enum status list_set(struct access *access, struct slice key, int64_t index, struct slice value);
/* LMOVE, RPOPLPUSH: takes an element from an end of one list and puts it at an end of another, or of the
 * same. The visitor sees it before anything is written. STATUS_NOT_FOUND (no `from`), _WRONG_TYPE, or of
 * access_reserve. Facts: that of the push, then that of the pop, l; "del", g. */
enum status list_move(struct access *access, struct slice from, enum list_end from_end,
                      struct slice to, enum list_end to_end, const struct list_visitor *visitor);

/* A walk over many elements asks now and then whether to go on, with the bytes looked at so far; another
 * status ends it, and nothing was written. `check` may be NULL. */
struct list_patience {
    enum status (*check)(void *context, uint64_t bytes);
    void *context;
};

/* LPOS: which elements are equal to `value`. */
struct list_search {
    struct slice value;
    int64_t rank;       /* 1: from the first match on; -1: from the last one on, towards the left */
    uint64_t count_max; /* of matches; 0: all */
    uint64_t looked_max; /* elements compared; 0: all */
    void (*found)(void *context, uint64_t index);
    void *context;
    struct list_patience patience;
};
/* STATUS_NOT_FOUND (no key), _WRONG_TYPE. O(elements looked at). */
enum status list_find_elements(struct access *access, struct slice key,
                               const struct list_search *options);

/* LINSERT: a value before or behind the first element that is equal to the pivot. */
struct list_insertion {
    bool is_before;
    struct slice pivot, value;
    struct list_patience patience;
};
/* *length is the new one; 0: the pivot is not there. STATUS_NOT_FOUND (no key), _WRONG_TYPE, _TOO_LARGE,
 * _INVALID (tens of thousands of elements were inserted there, each between the last two). Reads the
 * elements up to the pivot, and writes one. Fact "linsert", l. */
enum status list_insert(struct access *access, struct slice key,
                        const struct list_insertion *options, uint64_t *length);

/* LREM: count > 0: the first so many elements that are equal to `value`, < 0: the last ones, 0: all. */
struct list_removal {
    int64_t count;
    struct slice value;
    struct list_patience patience;
};
/* STATUS_NOT_FOUND, _WRONG_TYPE, or of access_reserve. Reads until it has found them, and deletes these.
 * Facts, if there are any: "lrem", l; "del", g. */
enum status list_remove(struct access *access, struct slice key, const struct list_removal *options,
                        uint64_t *removed);
/* LTRIM: keeps that range. O(1). A missing key is STATUS_OK. STATUS_WRONG_TYPE. Facts "ltrim", l;
 * "del", g. */
enum status list_trim(struct access *access, struct slice key, int64_t start, int64_t stop);

/* All elements of a found object; STATUS_CORRUPT where one is missing. */
enum status list_object_visit(struct access *access, const struct object *object,
                              const struct list_visitor *visitor);

/* ---- For repairs. ---------------------------------------------------------------------------- */

enum { LIST_REBUILD_BYTES = 4 << 20 };

/* How far a list was copied; zeroed at first. */
struct list_rebuild {
    uint64_t id;          /* of the new list */
    struct buffer behind; /* the key of the element copied last; empty: none was */
    bool is_copied;       /* to the end; kept and lost are known: */
    uint64_t kept, lost;
    uint64_t bytes_needed; /* by the next step, besides LIST_REBUILD_BYTES */
};

/* Copies a piece of a list that is not inline, without the elements that are missing, to a new id, dense;
 * the last step (*done) puts it in the old one's place, or removes the key when nothing is left. Goes by the
 * elements' records: what the slots of a sparse list say is not asked. */
enum status list_rebuild_step(struct access *access, struct slice key, struct list_rebuild *rebuild,
                              bool *done);
void list_rebuild_release(struct list_rebuild *rebuild);

#endif
