/* SPDX-License-Identifier: MIT */
/* libcordwood: an ordered, durable key-value store in a directory, used by one process.
 *
 *     struct cordwood *db;
 *     cordwood_open("data", NULL, NULL, &db);
 *     cordwood_put(db, 0, cordwood_text("key"), cordwood_text("value"));
 *     struct cordwood_buffer value = {0};
 *     cordwood_get(db, 0, cordwood_text("key"), &value);
 *     cordwood_buffer_release(&value);
 *     cordwood_close(db);
 *
 * Trees. A database has up to 8 trees, each ordered by its keys' bytes; without a word about it there is
 * one, number 0. A batch and a transaction write to several of them at once, or to none.
 *
 * Results. What can fail returns an enum cordwood_status; 0 is success. Outputs are untouched on failure.
 * Arguments that no program should pass (a tree that is not there, a key above the limit) give
 * CORDWOOD_INVALID and do nothing.
 *
 * Ownership. Keys and values passed in are copied before a call returns. What is handed out belongs to
 * the library and stays as long as it says there, but for struct cordwood_buffer, which is the caller's.
 *
 * Threads. A struct cordwood is for any number of threads at once. A batch, an iterator, a transaction
 * with its iterators: one thread at a time.
 *
 * The ABI. Structs that only the library makes are opaque. Those that a program fills begin with
 * struct_bytes, which CORDWOOD_OPTIONS and its like set, so that fields can be added behind. */
#ifndef CORDWOOD_H
#define CORDWOOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CORDWOOD_API __attribute__((visibility("default")))
#else
#define CORDWOOD_API
#endif

struct cordwood;
struct cordwood_batch;
struct cordwood_snapshot;
struct cordwood_iterator;
struct cordwood_transaction;

enum {
    CORDWOOD_TREES_MAX = 8,
    CORDWOOD_TREE_NAME_BYTES_MAX = 64,
    CORDWOOD_KEY_BYTES_MAX = 1 << 20,
    CORDWOOD_BATCH_BYTES_MAX = 1 << 30, /* keys and values of a batch or a transaction */
    CORDWOOD_ITERATORS_MAX = 128,       /* open at once in a database */
    CORDWOOD_THREADS_MAX = 16,
};

/* ---- Results ------------------------------------------------------------------------------- */

/* Numbers are never reused. */
enum cordwood_status {
    CORDWOOD_OK = 0,
    CORDWOOD_NOT_FOUND = 1, /* no such key; no such database, where one must exist */
    CORDWOOD_CONFLICT = 2,  /* a transaction lost: begin it anew */
    CORDWOOD_INVALID = 3,   /* an argument; a call that makes no sense now */
    CORDWOOD_TOO_LARGE = 4, /* a batch or a transaction above its limit */
    CORDWOOD_NO_MEMORY = 5,
    CORDWOOD_NO_SPACE = 6, /* the disk is full; writing resumes by itself when there is room */
    CORDWOOD_IO = 7,       /* the system could not read or write */
    CORDWOOD_CORRUPT =
        8, /* damaged data: cordwood_verify shows it, cordwood_repair rescues the rest */
    CORDWOOD_READ_ONLY = 9, /* opened so; or a write or sync of the log has failed: open it anew */
    CORDWOOD_BUSY = 10,     /* another process has it open; too many iterators are */
    CORDWOOD_EXISTS = 11,   /* the directory of a new checkpoint is there */
    CORDWOOD_UNSUPPORTED = 12,      /* written by a newer version */
    CORDWOOD_WRONG_TYPE = 13,       /* cordwood_log.h: the name is not a log's */
    CORDWOOD_SNAPSHOT_EXPIRED = 14, /* older than options.snapshot_age_max_ms */
};

/* A short lower-case text, static; also for unknown numbers. */
CORDWOOD_API const char *cordwood_status_text(enum cordwood_status status);
/* Of the library that runs, as "0.1.0"; static. */
CORDWOOD_API const char *cordwood_version(void);

/* One sentence for people, with file and offset where there is one. */
struct cordwood_error {
    char text[512];
};

/* ---- Bytes --------------------------------------------------------------------------------- */

/* Bytes that somebody else owns. {NULL, 0}: none. */
struct cordwood_slice {
    const void *data;
    size_t size;
};

static inline struct cordwood_slice cordwood_slice(const void *data, size_t size)
{
    struct cordwood_slice slice = {data, size};
    return slice;
}

static inline struct cordwood_slice cordwood_text(const char *text)
{
    return cordwood_slice(text, strlen(text));
}

/* Bytes that the caller owns. Zeroed before the first use, used as often as one likes, released at
 * the end. */
struct cordwood_buffer {
    void *data;
    size_t size;
    size_t capacity; /* the library's */
};

CORDWOOD_API void cordwood_buffer_release(struct cordwood_buffer *buffer);

/* ---- Opening ------------------------------------------------------------------------------- */

/* When a write is safe. A crash of the process (kill -9) loses nothing that a call has returned from, in
 * all three; a crash of the system loses nothing (COMMIT), about the last interval (INTERVAL), or what
 * the system had not written yet (NONE). What is lost is a tail, never something from the middle.
 * Reads may show a write of another thread that has not returned yet. */
enum cordwood_durability {
    CORDWOOD_SYNC_COMMIT = 0,   /* a write returns when it is synced; threads share syncs */
    CORDWOOD_SYNC_INTERVAL = 1, /* a sync each sync_interval_ms */
    CORDWOOD_SYNC_NONE = 2,     /* at cordwood_sync and cordwood_close */
};

enum cordwood_compression { CORDWOOD_LZ4 = 0, CORDWOOD_ZSTD = 1 };

struct cordwood_tree_options {
    const char *name;             /* the same at each open; up to 64 bytes */
    uint32_t block_bytes;         /* raw bytes that are read at once; 0: 16 KiB */
    uint32_t filter_bits_per_key; /* memory for quick misses; 0: 10; UINT32_MAX: no filter */
    bool append_only;             /* keys mostly grow and are rarely written again: merged less */
};

struct cordwood_options {
    size_t struct_bytes; /* sizeof(struct cordwood_options) */
    enum cordwood_durability durability;
    uint32_t sync_interval_ms; /* 0: 1000 */
    /* Threads of the library for flush and compaction, up to 16; 0: none, the host calls cordwood_work,
     * and a writer that is too fast does a piece of it itself. CORDWOOD_OPTIONS says 1. */
    uint32_t background_threads;
    size_t memtable_bytes;    /* memory for what is not yet in tables; 0: 64 MiB */
    size_t block_cache_bytes; /* 0: 64 MiB */
    size_t log_segment_bytes; /* of the log's files, two or more; 64 KiB to 1 GiB; 0: 32 MiB */
    size_t batch_bytes_max;   /* of a batch, transaction or value; 0: 64 MiB */
    /* The trees in their order; new ones may be added behind. 0: one tree, "default". */
    const struct cordwood_tree_options *trees;
    uint32_t tree_count;
    bool must_exist; /* CORDWOOD_NOT_FOUND instead of making a database */
    /* Nothing is changed on disk, no lock is taken: for a look at a database that no process writes. */
    bool read_only;
    /* With background_threads = 0: told, from any thread, that cordwood_work has something to do. It
     * only signals. May be NULL. */
    void (*work_ready)(void *context);
    void *context;
    /* A snapshot or transaction that is older can no longer be read or committed, and the old versions that
     * it kept on disk may go; an iterator that is open goes on. 0: no limit. */
    uint64_t snapshot_age_max_ms;
    /* Of merged tables of append-only trees and of logs. CORDWOOD_ZSTD takes less room, for logs about a
     * sixth, and more time to read what is not in memory; it stays readable without the option.
     * CORDWOOD_UNSUPPORTED: the library was built without Zstandard. */
    enum cordwood_compression cold_compression;
};

/* struct cordwood_options options = CORDWOOD_OPTIONS; */
#define CORDWOOD_OPTIONS                                                                         \
    {                                                                                            \
        sizeof(struct cordwood_options), CORDWOOD_SYNC_COMMIT, 0, 1, 0, 0, 0, 0, NULL, 0, false, \
            false, NULL, NULL, 0, CORDWOOD_LZ4                                                   \
    }

/* `directory` is made if missing. `options` NULL: CORDWOOD_OPTIONS. `error` may be NULL. */
CORDWOOD_API enum cordwood_status cordwood_open(const char *directory,
                                                const struct cordwood_options *options,
                                                struct cordwood_error *error, struct cordwood **db);
/* All that was made of it is closed or released, and no thread is inside. Writes what is in memory to
 * tables and syncs. In any case `db` is gone; the status is of the last sync. NULL is fine. */
CORDWOOD_API enum cordwood_status cordwood_close(struct cordwood *db);

/* ---- Single writes and reads --------------------------------------------------------------- */

/* A write is atomic and visible at once to reads that begin later; it returns when it is as safe as
 * the durability says. CORDWOOD_IO and _READ_ONLY: it may or may not be there after the next open;
 * with all other errors it has not happened. A write waits while flush and compaction are behind. */
CORDWOOD_API enum cordwood_status cordwood_put(struct cordwood *db, uint32_t tree,
                                               struct cordwood_slice key,
                                               struct cordwood_slice value);
/* CORDWOOD_OK also if there is no such key. */
CORDWOOD_API enum cordwood_status cordwood_delete(struct cordwood *db, uint32_t tree,
                                                  struct cordwood_slice key);
/* All keys in [from, to); O(1) whatever their number. */
CORDWOOD_API enum cordwood_status cordwood_delete_range(struct cordwood *db, uint32_t tree,
                                                        struct cordwood_slice from,
                                                        struct cordwood_slice to);
/* The newest value, copied into the buffer. */
CORDWOOD_API enum cordwood_status cordwood_get(struct cordwood *db, uint32_t tree,
                                               struct cordwood_slice key,
                                               struct cordwood_buffer *value);
/* Everything that was written before the call is synced, whatever the durability. */
CORDWOOD_API enum cordwood_status cordwood_sync(struct cordwood *db);

/* ---- Batches ------------------------------------------------------------------------------- */

/* Writes that happen together or not at all, in their order. Of at most options.batch_bytes_max bytes:
 * CORDWOOD_TOO_LARGE then, and the batch is as before. */
CORDWOOD_API struct cordwood_batch *cordwood_batch_create(struct cordwood *db);
CORDWOOD_API void cordwood_batch_destroy(struct cordwood_batch *batch); /* NULL is fine */
CORDWOOD_API void cordwood_batch_clear(struct cordwood_batch *batch);
CORDWOOD_API enum cordwood_status cordwood_batch_put(struct cordwood_batch *batch, uint32_t tree,
                                                     struct cordwood_slice key,
                                                     struct cordwood_slice value);
CORDWOOD_API enum cordwood_status cordwood_batch_delete(struct cordwood_batch *batch, uint32_t tree,
                                                        struct cordwood_slice key);
CORDWOOD_API enum cordwood_status cordwood_batch_delete_range(struct cordwood_batch *batch,
                                                              uint32_t tree,
                                                              struct cordwood_slice from,
                                                              struct cordwood_slice to);
CORDWOOD_API uint64_t cordwood_batch_count(const struct cordwood_batch *batch);
/* Writes it; the batch stays as it is, for another time or for cordwood_batch_clear. */
CORDWOOD_API enum cordwood_status cordwood_batch_write(struct cordwood_batch *batch);

/* ---- Snapshots ----------------------------------------------------------------------------- */

/* The database as it is now. Old versions are kept on disk as long as a snapshot may show them. */
CORDWOOD_API struct cordwood_snapshot *cordwood_snapshot_acquire(struct cordwood *db);
CORDWOOD_API void cordwood_snapshot_release(struct cordwood_snapshot *snapshot); /* NULL is fine */
CORDWOOD_API enum cordwood_status cordwood_snapshot_get(struct cordwood_snapshot *snapshot,
                                                        uint32_t tree, struct cordwood_slice key,
                                                        struct cordwood_buffer *value);

/* ---- Iterators ----------------------------------------------------------------------------- */

struct cordwood_iterator_options {
    size_t struct_bytes;          /* sizeof(struct cordwood_iterator_options) */
    struct cordwood_slice lower;  /* first key, inclusive; empty: no bound */
    struct cordwood_slice upper;  /* end, exclusive; empty: no bound */
    struct cordwood_slice prefix; /* only keys that begin so; within the bounds */
    bool keep_cache;              /* a long scan: what it reads does not displace the cache */
};
#define CORDWOOD_ITERATOR_OPTIONS                                                        \
    {                                                                                    \
        sizeof(struct cordwood_iterator_options), {NULL, 0}, {NULL, 0}, {NULL, 0}, false \
    }

/* An iterator shows one moment: that of its opening, of the snapshot, or of the transaction. It keeps
 * memory and old versions, so close it soon. It begins invalid, before a first seek. `options` NULL: all
 * keys. CORDWOOD_BUSY: CORDWOOD_ITERATORS_MAX are open. */
CORDWOOD_API enum cordwood_status
cordwood_iterator_open(struct cordwood *db, uint32_t tree,
                       const struct cordwood_iterator_options *options,
                       struct cordwood_iterator **iterator);
CORDWOOD_API enum cordwood_status
cordwood_snapshot_iterator_open(struct cordwood_snapshot *snapshot, uint32_t tree,
                                const struct cordwood_iterator_options *options,
                                struct cordwood_iterator **iterator);
CORDWOOD_API void cordwood_iterator_close(struct cordwood_iterator *iterator); /* NULL is fine */
CORDWOOD_API void cordwood_iterator_seek_first(struct cordwood_iterator *iterator);
CORDWOOD_API void cordwood_iterator_seek_last(struct cordwood_iterator *iterator);
/* To the first key at or above `key`; to the last at or below. */
CORDWOOD_API void cordwood_iterator_seek(struct cordwood_iterator *iterator,
                                         struct cordwood_slice key);
CORDWOOD_API void cordwood_iterator_seek_for_prev(struct cordwood_iterator *iterator,
                                                  struct cordwood_slice key);
/* Of a valid iterator. */
CORDWOOD_API void cordwood_iterator_next(struct cordwood_iterator *iterator);
CORDWOOD_API void cordwood_iterator_prev(struct cordwood_iterator *iterator);
/* false: at an end, or something has failed: look at the status. */
CORDWOOD_API bool cordwood_iterator_valid(const struct cordwood_iterator *iterator);
CORDWOOD_API enum cordwood_status
cordwood_iterator_status(const struct cordwood_iterator *iterator);
/* Of a valid iterator; until it moves. */
CORDWOOD_API struct cordwood_slice cordwood_iterator_key(const struct cordwood_iterator *iterator);
CORDWOOD_API struct cordwood_slice
cordwood_iterator_value(const struct cordwood_iterator *iterator);

/* ---- Transactions -------------------------------------------------------------------------- */

/* Snapshot isolation: all reads are of one moment, that of cordwood_transaction_begin, and of the
 * transaction's own writes. What it writes is kept in memory until the commit, which fails with
 * CORDWOOD_CONFLICT if a key (or one in a range) that it writes was written by another since that moment:
 * the first committer wins. Nothing waits for anything, so there is no deadlock.
 *
 * `serializable`: the commit fails also if anything that it read has changed since, keys that were not
 * there and ranges that were walked included. Committed transactions are then as if each had run alone,
 * at its commit. */
struct cordwood_transaction_options {
    size_t struct_bytes; /* sizeof(struct cordwood_transaction_options) */
    bool serializable;
};
#define CORDWOOD_TRANSACTION_OPTIONS                       \
    {                                                      \
        sizeof(struct cordwood_transaction_options), false \
    }

/* `options` NULL: snapshot isolation. */
CORDWOOD_API enum cordwood_status
cordwood_transaction_begin(struct cordwood *db, const struct cordwood_transaction_options *options,
                           struct cordwood_transaction **transaction);
/* CORDWOOD_TOO_LARGE above options.batch_bytes_max: the transaction is as before. For a serializable one
 * what it reads counts too, so that reads may return it. */
CORDWOOD_API enum cordwood_status cordwood_transaction_put(struct cordwood_transaction *transaction,
                                                           uint32_t tree, struct cordwood_slice key,
                                                           struct cordwood_slice value);
CORDWOOD_API enum cordwood_status
cordwood_transaction_delete(struct cordwood_transaction *transaction, uint32_t tree,
                            struct cordwood_slice key);
/* Costs a look at all that the transaction has written before. */
CORDWOOD_API enum cordwood_status
cordwood_transaction_delete_range(struct cordwood_transaction *transaction, uint32_t tree,
                                  struct cordwood_slice from, struct cordwood_slice to);
CORDWOOD_API enum cordwood_status cordwood_transaction_get(struct cordwood_transaction *transaction,
                                                           uint32_t tree, struct cordwood_slice key,
                                                           struct cordwood_buffer *value);
/* Shows what was written before its last seek; of later writes any part. Closed before the commit. */
CORDWOOD_API enum cordwood_status
cordwood_transaction_iterator_open(struct cordwood_transaction *transaction, uint32_t tree,
                                   const struct cordwood_iterator_options *options,
                                   struct cordwood_iterator **iterator);
/* Writes all or nothing, as one batch. CORDWOOD_CONFLICT: nothing; begin anew. CORDWOOD_NO_SPACE,
 * _NO_MEMORY, _CORRUPT: nothing; it may be committed again. CORDWOOD_TOO_LARGE: nothing; what a
 * serializable one has read is above the limit. CORDWOOD_IO, _READ_ONLY: as cordwood_put.
 * CORDWOOD_INVALID: an iterator is open, or it was committed already. */
CORDWOOD_API enum cordwood_status
cordwood_transaction_commit(struct cordwood_transaction *transaction);
/* At the end, committed or not: what was not committed never happened. NULL is fine. */
CORDWOOD_API void cordwood_transaction_destroy(struct cordwood_transaction *transaction);

/* ---- Checkpoints, verification, repair ----------------------------------------------------- */

/* Makes `directory`, which does not exist yet and is on the same file system, a database of its own: all
 * that was written before the call, and nothing half. Tables are hard links, so it takes little time and
 * space; reading and writing go on. It is there as a whole, durably, when CORDWOOD_OK is returned, or not
 * at all. To restore it, open it; to keep it as it is, open it and make a checkpoint of that. */
CORDWOOD_API enum cordwood_status cordwood_checkpoint(struct cordwood *db, const char *directory,
                                                      struct cordwood_error *error);
/* Reads every byte of a closed database and checks it. `each` (may be NULL) is told of every file:
 * `finding` NULL: it is sound. CORDWOOD_CORRUPT: there was a finding; CORDWOOD_UNSUPPORTED: tables of a
 * compression that the library was built without, and else none. */
CORDWOOD_API enum cordwood_status
cordwood_verify(const char *directory,
                void (*each)(void *context, const char *file, const char *finding), void *context);
/* Makes a damaged database usable again. What is lost is told to `each` (may be NULL), a sentence a
 * line; damaged files are kept under lost/. */
CORDWOOD_API enum cordwood_status cordwood_repair(const char *directory,
                                                  void (*each)(void *context, const char *line),
                                                  void *context);

/* ---- Background work and statistics -------------------------------------------------------- */

/* For background_threads = 0: one bounded piece of flush, compaction, or a sync that is due. Any thread,
 * several at once. false: nothing to do now. */
CORDWOOD_API bool cordwood_work(struct cordwood *db);
/* Asks for what is in memory to become tables / for all tables to be merged; background work does it. */
CORDWOOD_API void cordwood_request_flush(struct cordwood *db);
CORDWOOD_API void cordwood_request_compact(struct cordwood *db);

struct cordwood_statistics {
    uint64_t table_count, table_bytes;
    uint64_t entry_count; /* in tables; old versions and deletions included */
    uint64_t memtable_bytes, memtable_keys;
    uint64_t log_bytes_written, log_syncs;
    uint64_t flush_count, flush_bytes;
    uint64_t compaction_count, compaction_read_bytes, compaction_write_bytes;
    uint64_t cache_bytes, cache_hits, cache_misses, block_reads;
    uint64_t snapshot_count; /* of transactions too */
    uint64_t iterator_count;
    uint64_t recovered_batches, recovery_us; /* of the open: what came from the log */
    bool was_clean;                          /* the last process had closed it */
    bool read_only;                          /* now: writes are refused */
    enum cordwood_status background_error; /* of the last flush or compaction; it is tried again */
};
/* `bytes`: sizeof(*statistics), which may be an older header's. */
CORDWOOD_API void cordwood_get_statistics(struct cordwood *db,
                                          struct cordwood_statistics *statistics, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
