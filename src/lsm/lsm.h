/* SPDX-License-Identifier: MIT */
/* The engine: an ordered key-value store of several trees on one write-ahead log. This is the header
 * for everybody outside src/lsm.
 *
 *   one writer at a time: lsm_lock; then for each batch lsm_write_begin, lsm_put..., lsm_write_end;
 *   lsm_unlock. A batch is atomic over all trees and visible to readers from lsm_write_end on.
 *   many readers: each thread has a struct lsm_reader; between lsm_read_begin and lsm_read_end it
 *   sees one moment, and every slice that it was given stays valid. Readers take no lock.
 *   no thread of its own: the host calls lsm_work, and lsm_wal_write / lsm_wal_sync.
 *
 * LSN: every batch has one, the logical byte position of its first WAL frame. *Visible*: published to
 * readers. *Written*: write(2) took it (safe from kill -9). *Durable*: synced (safe from power loss).
 * A bound `x` of these kinds covers all LSNs < x. */
#ifndef LSM_LSM_H
#define LSM_LSM_H

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "vfs/vfs.h"

typedef uint64_t lsn_t; /* 0: none */

struct block_codec; /* block_codec.h */
struct lsm;
struct lsm_writer;
struct lsm_reader;
struct lsm_iter;
struct lsm_snapshot;
struct lsm_batch;
struct lsm_transaction;

enum {
    LSM_TREES_MAX = 8,
    LSM_KEY_BYTES_MAX = 1 << 20,      /* asserted; hosts bound their keys first */
    LSM_READERS_MAX = 256,
    LSM_BATCH_BYTES_MAX = 1 << 30,    /* of one batch's keys and values */
};

enum lsm_compaction { LSM_LEVELED, LSM_TIME_RUNS };
enum lsm_wal_compression { LSM_WAL_PLAIN, LSM_WAL_LZ4 };
enum lsm_compression { LSM_LZ4, LSM_ZSTD };
enum { LSM_ZSTD_LEVEL_MAX = 19 };

struct lsm_tree_options {
    const char *name;            /* stands in the manifest; must be the same at every open */
    enum lsm_compaction compaction;
    uint32_t block_bytes;        /* raw bytes a data block; 0: 16 KiB */
    uint32_t filter_bits_per_key; /* 0: no filter */
    uint32_t filter_prefix_bytes; /* > 0: filter holds the keys' first bytes, not whole keys */
    uint32_t finger_prefix_bytes; /* > 0: appends below one such prefix are O(1) in the memtable */
    bool uncompressed;           /* blocks are stored as they are, for values that do not compress */
    const struct block_codec *codec; /* lays the tree's blocks out where it can; NULL: rows */
    /* Of cold tables: what a compaction of time runs writes. With LSM_ZSTD flushed runs are always merged, never
     * only moved. lsm_open refuses it, STATUS_UNSUPPORTED, if the program was built without Zstandard. */
    enum lsm_compression cold_compression;
    int cold_level;            /* of LSM_ZSTD, up to LSM_ZSTD_LEVEL_MAX; 0: 3 */
    uint32_t cold_block_bytes; /* 0: with LSM_ZSTD 128 KiB, else block_bytes */
};

struct lsm_options {
    struct lsm_tree_options trees[LSM_TREES_MAX];
    unsigned tree_count;
    size_t memtable_bytes;       /* all trees, active and flushing; 0: 64 MiB */
    size_t block_cache_bytes;    /* blocks and, up to half of it, open tables; 0: 64 MiB */
    uint64_t wal_segment_bytes;  /* 0: 32 MiB */
    /* LZ4: what waits to be written to the log at one time is compressed, by who writes it, where that saves
     * pages. A log is read the same, whatever this says. */
    enum lsm_wal_compression wal_compression;
    uint32_t wal_page_bytes;     /* what the file system writes at least; 0: 4096 */
    uint64_t table_bytes_max;    /* a compaction's output is cut here; 0: 64 MiB */
    /* What compactions read in a second; they write about as much. 0: no limit. It does not hold while writers
     * are held back. */
    uint64_t compaction_bytes_per_second;
    /* A snapshot that is older gives STATUS_SNAPSHOT_EXPIRED to reads that begin then, and the old versions
     * that it kept may go. 0: no limit. */
    uint64_t snapshot_age_max_ms;
    bool read_only;              /* for tools: no WAL segment is made, nothing is changed on disk */
    bool must_exist;             /* STATUS_NOT_FOUND instead of making a database */
    /* Told, from any thread, that lsm_work has something to do. The write lock may be held: it only
     * signals. May be NULL. */
    void (*work_ready)(void *context);
    void *context;
};

/* Whether this program was built with Zstandard: it writes LSM_ZSTD, and reads tables of it. */
bool lsm_has_zstd(void);

/* Why an open was refused or a call failed: one sentence with file and offset, for people. */
struct lsm_report {
    char text[512];
};

/* `directory` is made if missing. Refuses with STATUS_CORRUPT, and a report, when data below the
 * durable LSN is damaged. */
enum status lsm_open(const struct env *env, const char *directory,
                     const struct lsm_options *options, struct lsm_report *report, struct lsm **db);
/* Syncs the WAL, writes the clean mark, frees. All readers, iterators and snapshots are gone by now,
 * and no other thread is inside. The status is of the last sync. */
enum status lsm_close(struct lsm *db);

/* ---- Writing ------------------------------------------------------------------------------- */

void lsm_lock(struct lsm *db);
bool lsm_try_lock(struct lsm *db, unsigned wait_us);
void lsm_unlock(struct lsm *db);

/* Opens a batch; the lock is held. `bytes_max`: an upper bound of keys and values to come, where there are
 * many small ones with LSM_RECORD_BYTES for each; WAL room and memory are reserved for it now. STATUS_NO_SPACE (disk full; the reserve is used when
 * `may_use_reserve`), STATUS_NO_MEMORY, STATUS_TOO_LARGE (above 1 GiB), STATUS_READ_ONLY (a sync or write
 * has failed in this run). No later call of the batch can fail. */
enum { LSM_RECORD_BYTES = 64 };
enum status lsm_write_begin(struct lsm *db, size_t bytes_max, bool may_use_reserve,
                            struct lsm_writer **writer);
/* `bytes` more than was asked for so far, when only what the batch has read says how large it will be. As
 * lsm_write_begin; on failure the batch is as before. */
enum status lsm_write_reserve(struct lsm_writer *writer, size_t bytes);
/* The open batch takes the writes of one more operation, of at most `bytes_max` as in lsm_write_begin; what its
 * reader has shown so far ends to be valid. false: the batch is as before, and whoever wants to write more ends it
 * and begins another, which may say why. */
bool lsm_write_continue(struct lsm_writer *writer, size_t bytes_max, bool may_use_reserve);
void lsm_put(struct lsm_writer *writer, unsigned tree, struct slice key, struct slice value);
void lsm_delete(struct lsm_writer *writer, unsigned tree, struct slice key);
/* Hides every key in [from, to) written before, in this batch too. O(1), and the batch's records so far
 * if it has put something into this tree. */
void lsm_delete_range(struct lsm_writer *writer, unsigned tree, struct slice from, struct slice to);
/* A reader that sees the batch's own writes too. Belongs to the writer; no begin and end. */
struct lsm_reader *lsm_writer_reader(struct lsm_writer *writer);
lsn_t lsm_writer_lsn(const struct lsm_writer *writer);
bool lsm_writer_is_empty(const struct lsm_writer *writer);
/* Publishes. Returns the batch's LSN, 0 if it was empty (then nothing is logged). */
lsn_t lsm_write_end(struct lsm_writer *writer);

/* A batch that one thread makes ahead, without the lock, of at most `bytes_max` bytes of keys and values
 * (up to LSM_BATCH_BYTES_MAX; a few bytes a record count too). Adding to it: STATUS_TOO_LARGE,
 * _NO_MEMORY; the batch is as before then. */
struct lsm_batch *lsm_batch_create(size_t bytes_max);
void lsm_batch_destroy(struct lsm_batch *batch);
void lsm_batch_clear(struct lsm_batch *batch);
enum status lsm_batch_put(struct lsm_batch *batch, unsigned tree, struct slice key,
                          struct slice value);
enum status lsm_batch_delete(struct lsm_batch *batch, unsigned tree, struct slice key);
enum status lsm_batch_delete_range(struct lsm_batch *batch, unsigned tree, struct slice from,
                                   struct slice to);
uint64_t lsm_batch_count(const struct lsm_batch *batch);
size_t lsm_batch_bytes(const struct lsm_batch *batch);
size_t lsm_batch_room(const struct lsm_batch *batch); /* bytes_max of lsm_write_begin for it alone */
/* Its records in order, as part of an open batch that was begun for lsm_batch_room at least. */
void lsm_write_batch(struct lsm_writer *writer, const struct lsm_batch *batch);

/* Microseconds a writer should be held back now so that flush and compaction keep up: 0 .. 1000000,
 * growing smoothly. The host waits (or parks its client); the engine never sleeps. */
unsigned lsm_write_delay_us(struct lsm *db);

/* ---- Durability ---------------------------------------------------------------------------- */

lsn_t lsm_visible_lsn(const struct lsm *db);
lsn_t lsm_written_lsn(const struct lsm *db);
lsn_t lsm_durable_lsn(const struct lsm *db);
/* Hands everything visible to the operating system (write(2)), at once if another thread did. */
enum status lsm_wal_write(struct lsm *db);
/* Makes everything that was visible at the call durable. Both: any thread; a failure is final for
 * this run (STATUS_READ_ONLY from then on), and readers see nothing above `acked`: see below. */
enum status lsm_wal_sync(struct lsm *db);
/* What a failure must not take back from readers: true (policy `always`): the durable LSN, and what was
 * written when this was set; false: the written LSN. Old versions that such a roll-back needs are kept. */
void lsm_set_ack_durable(struct lsm *db, bool durable);
/* Moves the WAL to a new segment now. */
enum status lsm_wal_rotate(struct lsm *db);

/* ---- Reading ------------------------------------------------------------------------------- */

/* One a thread (or one a nesting level); at most LSM_READERS_MAX. */
struct lsm_reader *lsm_reader_create(struct lsm *db);
void lsm_reader_destroy(struct lsm_reader *reader);
void lsm_read_begin(struct lsm_reader *reader);
/* Past the snapshot's age limit every read gives STATUS_SNAPSHOT_EXPIRED. */
void lsm_read_begin_at(struct lsm_reader *reader, struct lsm_snapshot *snapshot);
void lsm_read_end(struct lsm_reader *reader);
/* Lets go of memtables and tables that are kept for the next lsm_read_begin; call when idle. */
void lsm_reader_idle(struct lsm_reader *reader);
/* With `nowait`, what is not in memory gives STATUS_WOULD_BLOCK, and lsm_reader_fetch_missing, on
 * any thread that owns the reader then, reads just that from disk into the cache. */
void lsm_reader_set_nowait(struct lsm_reader *reader, bool nowait);
enum status lsm_reader_fetch_missing(struct lsm_reader *reader);
/* Moves what a read through `from` lacked (a batch's own reader, before lsm_write_end) to a reader that
 * the caller keeps, so that it is fetched without the write lock. */
void lsm_reader_adopt_missing(struct lsm_reader *reader, struct lsm_reader *from);
/* The caller's keys are never read again once a range deletion hides them (a header above decides what
 * is alive): reads through this reader need not look at range deletions. */
void lsm_reader_ignore_range_deletes(struct lsm_reader *reader, bool ignore);
lsn_t lsm_reader_lsn(const struct lsm_reader *reader); /* sees all batches with an LSN <= this */
/* The newest LSN of all versions and deletions that this reader was shown (or hidden by) since
 * lsm_reader_reset_revealed: a reply waits for it. */
lsn_t lsm_reader_revealed(const struct lsm_reader *reader);
void lsm_reader_reset_revealed(struct lsm_reader *reader);

enum { LSM_PREFETCH_MAX = 16 };
/* Up to LSM_PREFETCH_MAX keys will be read or written soon: what memtables hold of them is brought toward the
 * processor. Only a hint. `reader`: NULL when the caller holds the write lock. */
void lsm_prefetch(struct lsm *db, struct lsm_reader *reader, unsigned tree, const struct slice *keys,
                  size_t count);

/* STATUS_NOT_FOUND, _WOULD_BLOCK, _CORRUPT, _IO, _SNAPSHOT_EXPIRED. *value is valid until lsm_read_end. */
enum status lsm_get(struct lsm_reader *reader, unsigned tree, struct slice key, struct slice *value);
/* The same, and the LSN of the version found. A flush may lower it, but not past an LSN at which somebody
 * reads, nor past what another flush has written (FORMAT.md, "LSNs of a flush"): compare it with the LSN
 * of a snapshot or reader that is still held, or with that of a copy, to know the newer one. */
enum status lsm_get_lsn(struct lsm_reader *reader, unsigned tree, struct slice key,
                        struct slice *value, lsn_t *lsn);

/* Lets go of all that lsm_get has given so far within this lsm_read_begin .. end: for who reads much and keeps none of it. */
void lsm_reader_forget(struct lsm_reader *reader);

struct lsm_iter_options {
    struct slice lower; /* first key, inclusive; empty: none. Copied. */
    struct slice upper; /* end, exclusive; empty: none. Copied. */
    bool ignore_range_deletes; /* for keys whose liveness the caller knows otherwise */
    bool keep_cache;    /* a long scan: blocks read do not displace the cache */
    bool heads; /* values may be their heads alone (block_codec.decode_heads), or whole: what is at hand sooner */
};

/* An iterator lives inside lsm_read_begin..end, starts invalid, and must be closed before the end. */
struct lsm_iter *lsm_iter_open(struct lsm_reader *reader, unsigned tree,
                               const struct lsm_iter_options *options);
void lsm_iter_close(struct lsm_iter *iter);
void lsm_iter_seek_first(struct lsm_iter *iter);
void lsm_iter_seek_last(struct lsm_iter *iter);
void lsm_iter_seek(struct lsm_iter *iter, struct slice key);         /* first key >= */
void lsm_iter_seek_for_prev(struct lsm_iter *iter, struct slice key); /* last key <= */
void lsm_iter_next(struct lsm_iter *iter);
void lsm_iter_prev(struct lsm_iter *iter);
bool lsm_iter_valid(const struct lsm_iter *iter); /* false: at an end, or look at the status */
enum status lsm_iter_status(const struct lsm_iter *iter);
/* Valid until the iterator moves. */
struct slice lsm_iter_key(const struct lsm_iter *iter);
struct slice lsm_iter_value(const struct lsm_iter *iter);

/* Keeps the versions that it shows until it is released, or is too old (options.snapshot_age_max_ms). */
struct lsm_snapshot *lsm_snapshot_acquire(struct lsm *db);
void lsm_snapshot_release(struct lsm_snapshot *snapshot);
lsn_t lsm_snapshot_lsn(const struct lsm_snapshot *snapshot);

/* ---- Transactions -------------------------------------------------------------------------- */

struct lsm_transaction_options {
    size_t bytes_max; /* of keys and values written and noted as read; up to LSM_BATCH_BYTES_MAX */
    bool serializable;
};

/* A transaction reads at one snapshot, its own writes laid over it, and writes them at once when it is
 * committed, unless somebody has written one of its keys since the snapshot: the first committer wins
 * (snapshot isolation). `serializable`: nor may anything have changed that was noted as read.
 * One thread at a time. While it lives, the versions that it can see are kept. */
struct lsm_transaction *lsm_transaction_create(struct lsm *db,
                                               const struct lsm_transaction_options *options);
/* What was not committed never happened. No reader is inside. NULL is fine. */
void lsm_transaction_destroy(struct lsm_transaction *transaction);
/* STATUS_TOO_LARGE, _NO_MEMORY: nothing has changed. A range deletion costs the records so far. */
enum status lsm_transaction_put(struct lsm_transaction *transaction, unsigned tree,
                                struct slice key, struct slice value);
enum status lsm_transaction_delete(struct lsm_transaction *transaction, unsigned tree,
                                   struct slice key);
enum status lsm_transaction_delete_range(struct lsm_transaction *transaction, unsigned tree,
                                         struct slice from, struct slice to);
size_t lsm_transaction_bytes(const struct lsm_transaction *transaction); /* of what it writes */
/* As lsm_read_begin_at: the reader sees the snapshot and the transaction's writes. An iterator sees those
 * that were made before its last seek, of later ones any part. */
void lsm_read_begin_in(struct lsm_reader *reader, struct lsm_transaction *transaction);
/* The caller has relied on what it was shown in [from, to) (`to` empty: up to the end), that keys are
 * missing there too; for serializable ones, otherwise nothing. STATUS_TOO_LARGE, _NO_MEMORY. */
enum status lsm_transaction_note_key(struct lsm_transaction *transaction, unsigned tree,
                                     struct slice key);
enum status lsm_transaction_note_range(struct lsm_transaction *transaction, unsigned tree,
                                       struct slice from, struct slice to);
/* Writes it as one batch with *lsn (0: it wrote nothing). Takes the write lock itself; what must be read
 * from disk is read before, through `reader`, which is not active. STATUS_CONFLICT, _SNAPSHOT_EXPIRED, or what
 * lsm_write_begin and reads may return: nothing was written. Once committed a transaction takes no more
 * writes; after an error but STATUS_CONFLICT it may be committed again. */
enum status lsm_transaction_commit(struct lsm_transaction *transaction, struct lsm_reader *reader,
                                   lsn_t *lsn);

/* ---- Checkpoints --------------------------------------------------------------------------- */

/* Makes `directory`, which does not exist yet, a database of its own: all batches below one LSN, which
 * is at or above what was visible at the call and is durable in both databases, and nothing else. Any
 * thread; reading, writing and background work go on. Tables become hard links, so both must be on one
 * file system, and little is written: the manifest, and the WAL since the last flush. Meanwhile no WAL
 * segment is recycled. The result opens as after a clean stop and shares nothing that either changes.
 *
 * It is there as a whole or not at all, also after a power loss, and durably when STATUS_OK is
 * returned. It is built in `directory`.tmp, which a failure removes; what a crash leaves of it is
 * swept by the next checkpoint of the same name. STATUS_EXISTS (`directory` is there), _BUSY (another
 * one is building it), _READ_ONLY (a sync or write has failed in this run), _NO_SPACE, _IO, _INVALID
 * (the path is too long); the report (may be NULL) names the file. */
enum status lsm_checkpoint(struct lsm *db, const char *directory, struct lsm_report *report);

/* ---- Background work and inspection -------------------------------------------------------- */

/* Does one bounded piece (about `budget_bytes` of input) of flush, compaction or reclaim. Any
 * thread, several at once. false: nothing to do now. An error is kept, retried later with a pause,
 * and shown in the statistics. */
bool lsm_work(struct lsm *db, size_t budget_bytes);
/* When lsm_work had nothing to do: after so many microseconds it may have, since a compaction rests for
 * its limit's sake. 0: only when told, or after the pause behind an error. */
uint64_t lsm_work_pause_us(struct lsm *db);
/* Asks for the active memtable to be flushed / for all levels to be merged; lsm_work does it. */
void lsm_request_flush(struct lsm *db);
void lsm_request_compact(struct lsm *db);
bool lsm_is_idle(struct lsm *db); /* no flush or compaction is due or running */

/* ---- What is derived --------------------------------------------------------------------------
 * Bytes that the host has made of what it has read, kept in the block cache beside the blocks as long as they are
 * worth their room. A name, two numbers of the host's, stands for the same bytes for ever; of two that were
 * given the same one the first stays. Any thread. */

/* Held until lsm_derived_release, which is before the database is closed. Zeroed: nothing is held. */
struct lsm_derived {
    struct slice bytes; /* as aligned as memory from the heap */
    void *block;
};

bool lsm_derived_find(struct lsm *db, uint64_t group, uint64_t number,
                      struct lsm_derived *derived);
/* Takes `bytes` over, which come from memory.h. */
void lsm_derived_keep(struct lsm *db, uint64_t group, uint64_t number, uint8_t *bytes, size_t size);
void lsm_derived_release(struct lsm_derived *derived);

struct lsm_tree_stats {
    const char *name;
    uint64_t table_count, table_bytes, l0_count, levels;
    uint64_t entry_count; /* in tables, versions and deletions included */
    uint64_t range_delete_count;
    /* In this run. Write amplification of the tables: (flushed + written) / flushed. */
    uint64_t flush_bytes, compaction_read_bytes, compaction_write_bytes;
    uint64_t tables_moved, tables_dropped_unread; /* without being read */
};

struct lsm_stats {
    struct lsm_tree_stats trees[LSM_TREES_MAX];
    unsigned tree_count;
    lsn_t visible_lsn, written_lsn, durable_lsn, flushed_lsn;
    uint64_t epoch;
    uint64_t memtable_bytes, memtable_nodes, memtable_versions;
    uint64_t wal_bytes_logged, wal_bytes_written; /* before and after compression */
    uint64_t wal_syncs, wal_segments;
    uint64_t recovered_batches, recovered_bytes, recovery_us, recovery_cut_bytes;
    uint64_t flush_count, flush_bytes, compaction_count, compaction_read_bytes,
        compaction_write_bytes, tables_moved, tables_dropped_unread; /* of all trees */
    uint64_t open_table_bytes; /* filters and top indexes of the tables that are open */
    uint64_t cache_bytes, cache_hits, cache_misses, filter_checks, filter_negatives, block_reads;
    uint64_t snapshot_count, reader_count;
    bool was_clean, read_only;
    enum status background_error;
};

void lsm_get_stats(struct lsm *db, struct lsm_stats *stats);

/* Checks every checksum and invariant of a closed database. `codecs`: those of its trees, then NULL
 * (NULL: none). `each` is called for every finding and for every file (finding = NULL when it is
 * sound). STATUS_CORRUPT if there was a finding, but STATUS_UNSUPPORTED if all that was found are tables of
 * a codec that is not among these, or of a compression that this program was built without. */
enum status lsm_verify(const struct env *env, const char *directory,
                       const struct block_codec *const *codecs,
                       void (*each)(void *context, const char *file, const char *finding),
                       void *context);
/* Does what a refused open offers: cuts the WAL before the damage, drops damaged tables and manifest
 * edits; what was lost is told to `each`, a sentence a line. Damaged files are kept under lost/. A
 * table of a codec that is not among `codecs`, or of an unknown compression (as above), ends it,
 * STATUS_UNSUPPORTED. */
enum status lsm_repair(const struct env *env, const char *directory,
                       const struct block_codec *const *codecs,
                       void (*each)(void *context, const char *line), void *context);
/* The structure of the open database: levels disjoint, counts, references. Text of the first broken
 * invariant in the report. */
enum status lsm_check_invariants(struct lsm *db, struct lsm_report *report);

#endif
