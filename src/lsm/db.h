/* SPDX-License-Identifier: MIT */
/* The inside of struct lsm, shared by the files that make it: db.c (open, close), writer.c, reader.c,
 * iter.c, snapshot.c, flush.c, work.c.
 *
 * Locks, in the order in which they are taken:
 *   write_lock   the writer, the active memtables' content, switching them, wal_append
 *   work_lock    which background jobs exist and run
 *   view_lock    the current view, the lists of readers and snapshots
 * (the WAL's, the version set's and the cache's own locks are leaves).
 *
 * What readers see. A *view* is an immutable, counted list of places to look in: the active memtables,
 * those that wait for their flush, and a version of the tables. A reader keeps a reference of the
 * view it used last and compares view_number at each lsm_read_begin. It announces in its slot the LSN
 * that it reads at; whoever wants to drop old versions asks db_safe_lsn. */
#ifndef LSM_DB_H
#define LSM_DB_H

#include "base/arena.h"
#include "lsm/compaction_pick.h"
#include "lsm/memtable.h"
#include "lsm/version.h"
#include "lsm/wal.h"

#include <pthread.h>
#include <stdatomic.h>

/* The memtables of all trees; they are switched and flushed together. */
struct memtable_set {
    struct memtable *trees[LSM_TREES_MAX];
    unsigned tree_count;
    atomic_uint references;
    lsn_t first_lsn;      /* batches from here ... */
    lsn_t end_lsn;        /* ... below here; 0 while active */
    struct spare_block *spares; /* memory set aside for batches that was needed; the writer's */
    atomic_size_t spare_bytes;
};

enum { FLUSHING_MAX = 64 };

struct view {
    atomic_uint references;
    uint64_t number;
    struct memtable_set *active;
    struct memtable_set *flushing[FLUSHING_MAX]; /* newest first */
    unsigned flushing_count;
    struct version *version;
    struct lsm *db;
    struct view *newer, *older; /* all views that somebody holds, or the remains; view_lock */
};

/* LSN that a reader reads at; IDLE_LSN when it does not. One cache line each. The counters are its
 * reader's to change, and stay when another one takes the slot. */
struct reader_slot {
    _Alignas(64) _Atomic lsn_t lsn;
    atomic_ullong filter_checks, filter_negatives;
    bool in_use; /* view_lock */
};
#define IDLE_LSN UINT64_MAX

struct lsm_reader {
    struct lsm *db;
    struct reader_slot *slot; /* NULL: the writer's */
    struct view *view;
    lsn_t lsn;
    lsn_t revealed;
    bool active;
    bool nowait;
    bool ignore_range_deletes;
    bool is_expired;           /* of this read: at a snapshot that is too old */
    struct block_pin *pins;    /* of blocks that given slices lie in */
    size_t pin_count, pin_capacity;
    struct block_pin *fetched; /* kept in the cache until a read succeeds */
    size_t fetched_count, fetched_capacity;
    struct table_miss miss;    /* of the read under way */
    struct table_miss noted_miss; /* what lsm_reader_fetch_missing reads; see miss_view */
    struct view *miss_view;    /* keeps the miss's table; NULL: nothing is missing */
    const struct memtable_set *overlay; /* a transaction's writes, above all of the view; or NULL */
    /* > 0: only what was written above this LSN counts. Tables and memtables without it are left out,
     * and range deletions above it are revealed whether or not they hide something. */
    lsn_t newer_than;
};

/* A tree's records in the payload of the open batch. */
struct logged {
    bool has_puts, ends_with_put; /* the last of them is a put, which begins at: */
    uint32_t last_put, key_size, value_size;
};

struct lsm_writer {
    struct lsm *db;
    struct lsm_reader reader;
    lsn_t lsn;
    struct buffer payload;
    struct spare spare; /* where the batch's puts find memory when the heap has none */
    size_t bytes_ready; /* `payload` and `spare` suffice for a batch of so many */
    size_t bytes_max;   /* of the open batch, RECORD_OVERHEAD_BYTES included; they are reserved */
    bool may_use_reserve; /* the open batch */
    struct logged logged[LSM_TREES_MAX];
    uint64_t record_count;
    bool open;
};

struct lsm_snapshot {
    struct lsm *db;
    lsn_t lsn;
    uint64_t acquired_us;
    atomic_bool expired; /* nothing is kept for it any more; for good */
    struct lsm_snapshot *previous, *next;
};

/* A kind of background work; work_lock. */
struct background_job {
    bool busy;        /* somebody has claimed it */
    uint64_t rest_us; /* after an error, or for its limit's sake, it rests until then */
    enum status error;
};

/* Whether little is written: looked at once a second. */
struct log_pace {
    uint64_t looked_us;
    lsn_t visible;           /* then */
    bool is_quiet;
    uint64_t may_flush_us;   /* from then on deletions alone may cause a flush again */
};

/* What flushes and compactions did to a tree, in this run. */
struct tree_counters {
    atomic_ullong flush_bytes, compaction_read_bytes, compaction_write_bytes, tables_moved,
        tables_dropped_unread;
};

struct flush_job;
struct compaction;

struct lsm {
    struct env env;
    char *directory;
    struct lsm_options options;
    struct vfs_file *lock_file;
    struct block_cache *cache;
    struct version_set *versions;
    struct wal *wal;

    pthread_mutex_t write_lock;
    struct lsm_writer writer;
    _Atomic lsn_t visible_bound;  /* all batches below are visible */
    _Atomic lsn_t read_cap;       /* after a failed sync or write: no reader at or above */
    atomic_bool ack_durable;
    _Atomic lsn_t acked_floor;    /* was acknowledged before ack_durable was set */
    atomic_bool flush_requested, compact_requested;
    atomic_uint delay_us;         /* what lsm_write_delay_us says */
    uint64_t batches_until_delay; /* the delay is computed anew when this is 0; write_lock */

    struct arena_pool chunks; /* of all memtables: what a flush sets free is the next ones' */

    pthread_mutex_t view_lock;
    struct view *view;
    struct view *live_views;      /* the newest of all that somebody holds */
    /* Views that nobody holds any more, with what they held alone. To give the memory of a memtable back
     * takes milliseconds (6 for 32 MiB, 50 for 128), to unlink a table as long as the disk likes: whoever
     * lets go last does neither, lsm_work does. view_lock */
    _Atomic(struct view *) remains;
    atomic_ullong view_number;
    struct reader_slot slots[LSM_READERS_MAX];
    atomic_uint slot_count;       /* slots ever used */
    struct lsm_snapshot snapshots; /* a ring; oldest is snapshots.next */
    _Atomic lsn_t oldest_snapshot; /* that has not expired; IDLE_LSN: none */
    uint64_t snapshot_count, reader_count;

    pthread_mutex_t work_lock;
    pthread_cond_t work_done;
    struct flush_job *flush;
    struct background_job flushing;
    struct compaction *compaction;
    struct background_job compacting;
    struct compaction_memory compaction_memory;
    struct log_pace pace; /* of whoever has claimed `compacting` */

    struct wal_tail recovered;
    uint64_t recovery_us, epoch;
    bool was_clean;
    struct tree_counters counters[LSM_TREES_MAX];
    atomic_ullong extra_seeks[LSM_TREES_MAX]; /* since the tree's last merge; compaction_pick.h */
    atomic_ullong flush_count, compaction_count, block_reads;
    atomic_ullong filter_checks, filter_negatives; /* of the writer's reader; others count in their slots */
};

/* ---- Views (db.c) -------------------------------------------------------------------------- */

struct memtable_set *memtable_set_create(struct lsm *db, lsn_t first_lsn);
size_t memtable_set_bytes(const struct memtable_set *set);
bool memtable_set_is_empty(const struct memtable_set *set);
struct view *db_view(struct lsm *db); /* the current one, with a reference */
void view_unref(struct view *view); /* any thread, at once; NULL is fine */
bool db_free_remains(struct lsm *db); /* true: there were some */
/* Makes a view out of the current one with some parts replaced, and makes it current. `active` may be
 * NULL (kept; else the old active joins the flushing ones); `flushed` is dropped if not NULL; the
 * version is the version set's current one. */
void db_install_view(struct lsm *db, struct memtable_set *active, struct memtable_set *flushed);
/* No reader reads, or will read, below this LSN, and a roll-back to what is acknowledged stays
 * possible. The write lock is held. */
lsn_t db_safe_lsn(void *db);
/* LSNs at which somebody may read now, ascending and unique; the caller frees *lsns. Newer readers
 * read at or above what is visible at the call. */
void db_read_lsns(struct lsm *db, lsn_t **lsns, size_t *count);
lsn_t db_acked_bound(struct lsm *db);
/* Snapshots over their age limit expire. */
void db_expire_snapshots(struct lsm *db);
bool snapshot_is_expired(const struct lsm_snapshot *snapshot);
/* A failed WAL write or sync: readers go back to what is acknowledged. */
void db_poison(struct lsm *db);
void db_work_ready(struct lsm *db);

/* Applies a range deletion to a batch's memtable. A range deletion hides what has a lower LSN; puts of
 * its own batch that stand before it (in `earlier`, the batch's records so far) are deleted one by one. */
void db_apply_range_delete(struct memtable_set *set, unsigned tree, struct range_delete range,
                           struct slice earlier);
/* After a batch: what was needed of the memory set aside for it belongs to the memtables. */
void db_spare_settle(struct lsm *db, struct memtable_set *set);
/* An iterator's seeks went into so many sources of tables beside one each (work.c). Any thread. */
void db_note_extra_seeks(struct lsm *db, unsigned tree, uint64_t count);
/* Computes anew how long writers are to be held back (work.c). */
void db_update_delay(struct lsm *db);

/* Switches to new memtables if the active ones are full, or not empty and `always`. Write lock held. */
void db_switch_memtables(struct lsm *db, bool always);

/* ---- Readers (reader.c) -------------------------------------------------------------------- */

/* Announces in the slot, and returns, the LSN to read at. */
lsn_t reader_announce(struct lsm *db, _Atomic lsn_t *slot);
void reader_bind_writer(struct lsm_reader *reader, struct lsm *db);
void reader_release(struct lsm_reader *reader);
void reader_refresh_view(struct lsm_reader *reader);
/* Lets go of what the slices given so far lie in. */
void reader_unpin(struct lsm_reader *reader);
/* Is what holds nothing above `newest` of no interest to this reader? */
static inline bool reader_skips(const struct lsm_reader *reader, lsn_t newest)
{
    return reader->newer_than && newest <= reader->newer_than;
}
/* Notes what a WOULD_BLOCK lacked; keeps the view. */
void reader_note_miss(struct lsm_reader *reader);
/* As table_ref_open; notes what is missing. */
enum status reader_open_table(struct lsm_reader *reader, struct table_ref *ref,
                              struct table **table);
static inline void reader_reveal(struct lsm_reader *reader, lsn_t lsn)
{
    if (lsn > reader->revealed)
        reader->revealed = lsn;
}

/* ---- Background (flush.c, work.c) ---------------------------------------------------------- */

/* One piece of the flush of the oldest waiting memtables. */
enum status flush_step(struct lsm *db, size_t budget_bytes, bool *finished);
void flush_abandon(struct lsm *db);
void compaction_abandon(struct lsm *db);

/* ---- The debug build: the engine looks at its own structure and aborts with a sentence ------- */

#ifdef CORDWOOD_DEBUG
void db_debug_batch(struct lsm *db); /* the write lock is held */
void db_debug_freeze(struct lsm *db, const struct memtable_set *set); /* likewise */
void db_debug_install(struct lsm *db, const char *moment);
#else
static inline void db_debug_batch(struct lsm *db)
{
    (void)db;
}
static inline void db_debug_freeze(struct lsm *db, const struct memtable_set *set)
{
    (void)db;
    (void)set;
}
static inline void db_debug_install(struct lsm *db, const char *moment)
{
    (void)db;
    (void)moment;
}
#endif

#endif
