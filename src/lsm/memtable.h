/* SPDX-License-Identifier: MIT */
/* The memtable of one tree: what was written since the last flush, sorted.
 *
 *   skiplist of unique keys        node -> node -> node        (p = 1/4, at most 12 levels,
 *                                    |       |                  level 0 linked both ways)
 *   each with a chain of versions  (lsn 90) (lsn 70)
 *     newest first                 (lsn 60)
 *   hash index for point reads     bucket -> node -> node      (not in trees that only grow)
 *   finger per key prefix          where the last key of that prefix went in: growing a run of
 *                                  keys at either end is O(1)
 *
 * Threads: one writer (under the engine's write lock), any number of readers without a lock. A reader
 * looks at versions with an LSN <= its own, and nothing that it may reach is reused before every
 * announced reader has passed it (`safe_lsn`).
 *
 * Overwriting the same key again and again costs no memory: a version that nobody can see any more is
 * recycled. Which ones is decided by LSN alone: a version that was superseded at LSN b is never
 * touched by a reader at b or later, since it meets the newer version first. */
#ifndef LSM_MEMTABLE_H
#define LSM_MEMTABLE_H

#include "base/spare.h"
#include "lsm/cursor.h"

struct memtable;

/* What a put or a range deletion takes at most, besides its key and value (or two keys). */
enum { MEMTABLE_RECORD_BYTES = 96 };

struct memtable_options {
    size_t bytes_expected;        /* sizes the hash index */
    uint32_t finger_prefix_bytes; /* 0: no fingers */
    bool has_hash;
    /* The LSN below which no reader looks: versions superseded at or below it are recycled. */
    lsn_t (*safe_lsn)(void *context);
    void *context;
    /* Where writing finds memory when the heap has none; what was taken lives as long as the memtable.
     * NULL, or too little: the process ends. */
    struct spare *spare;
    struct arena_pool *chunks; /* for nodes and values; NULL: the heap */
};

size_t memtable_chunk_bytes(size_t bytes_expected); /* a pool's for such memtables */

struct memtable *memtable_create(const struct memtable_options *options);
void memtable_destroy(struct memtable *table);

/* The writer. LSNs never go down; the same (key, lsn) again replaces the value. */
void memtable_put(struct memtable *table, struct slice key, lsn_t lsn, enum entry_kind kind,
                  struct slice value);
void memtable_delete_range(struct memtable *table, struct range_delete range);
/* Of an empty memtable into which many keys come that nobody reads in order, as in a recovery: those whose
 * place is not at hand are found by an index alone, and stand in no cursor before memtable_order_end, which
 * sorts them; it takes 32 bytes of each for a while, if there is memory. Nothing else differs. The writer. */
void memtable_order_defer(struct memtable *table);
void memtable_order_end(struct memtable *table); /* before a freeze; fine if nothing is deferred */
/* No more puts: recycling ends. */
void memtable_freeze(struct memtable *table);

enum { MEMTABLE_PREFETCH_MAX = 16 };
/* Of keys that will be looked up at once, up to MEMTABLE_PREFETCH_MAX: brings what is known of them toward
 * the processor, all at a time instead of one miss after another. Changes nothing. Any thread. */
void memtable_prefetch(const struct memtable *table, const struct slice *keys, size_t count);
/* The newest version of `key` with an LSN <= lsn; false: none. The value stays while the reader is
 * announced. */
bool memtable_get(struct memtable *table, struct slice key, lsn_t lsn, enum entry_kind *kind,
                  lsn_t *found, struct slice *value);

/* A cursor that shows, for each key, only the newest version with an LSN <= lsn. */
struct cursor *memtable_cursor_create(struct memtable *table, lsn_t lsn);
/* A cursor over all versions of a frozen memtable. It moves forward only. */
struct cursor *memtable_cursor_create_all(struct memtable *table);

/* Newest first; the list grows at its head only. */
struct memtable_range {
    struct memtable_range *next;
    struct range_delete range;
};
const struct memtable_range *memtable_ranges(const struct memtable *table);

size_t memtable_bytes(const struct memtable *table);
uint64_t memtable_node_count(const struct memtable *table);
uint64_t memtable_version_count(const struct memtable *table); /* in use, recycled ones not */
uint64_t memtable_delete_count(const struct memtable *table);  /* keys that are deleted here */
bool memtable_is_empty(const struct memtable *table);           /* neither keys nor ranges */
/* Order of keys and versions, links, counts, index; all LSNs in [first, end). STATUS_CORRUPT and a
 * sentence about the first fault. No writer is at work. */
enum status memtable_check(const struct memtable *table, lsn_t first, lsn_t end,
                           struct lsm_report *report);

#endif
