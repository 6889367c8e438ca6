/* SPDX-License-Identifier: MIT */
/* An engine behind a table of functions: Cordwood's, RocksDB's or LevelDB's. An adapter translates and
 * does nothing else. A call that fails ends the process (engine_failed): a bench does not go on.
 *
 * A plain write returns when the operating system has the log (write(2)), a synced one when the disk has
 * it; that is what all three promise. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "base/slice.h"

/* The same for all engines. */
struct engine_options {
    const char *directory; /* made if missing */
    bool compress;
    size_t write_buffer_bytes; /* a memtable is flushed at this size; there may be two */
    size_t cache_bytes;        /* of decompressed blocks */
    uint32_t block_bytes;
    unsigned bloom_bits;
    unsigned background_threads;
    uint64_t table_bytes; /* where compactions cut their outputs */
};

/* Ours has trees of two kinds; the peers keep all keys in their ordinary tree. */
enum engine_tree { ENGINE_KEYS, ENGINE_ENTRIES };

enum {
    ENGINE_STREAM_BYTES = 8
}; /* keys of ENGINE_ENTRIES begin with so many bytes of a stream's */

struct engine_pair {
    struct slice key, value;
};

/* lower <= key < upper; empty: no bound. The slices live as long as the iterator. */
struct engine_range {
    struct slice lower, upper;
    bool keep_cache; /* a long scan: blocks that it reads are not cached */
};

struct engine_db;     /* as the adapter defines it */
struct engine_thread; /* what one thread needs */
struct engine_iter;

struct engine {
    const char *name;         /* as the results say it */
    const char *table_suffix; /* of the files that hold entries for good */
    const char *compression;  /* that it uses when it is to compress */
    void (*version)(char *text, size_t capacity);

    struct engine_db *(*open)(const struct engine_options *options);
    void (*close)(struct engine_db *db);
    struct engine_thread *(*thread_create)(struct engine_db *db);
    void (*thread_destroy)(struct engine_thread *thread);

    void (*put)(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice value, bool sync);
    void (*remove)(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                   bool sync);
    /* All or nothing. */
    void (*put_many)(struct engine_thread *thread, enum engine_tree tree,
                     const struct engine_pair *pairs, size_t count, bool sync);

    /* false: not found. `value` lives until get_end, which follows in any case. */
    bool (*get)(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice *value);
    void (*get_end)(struct engine_thread *thread);

    /* One at a time for each thread, whose it is. It sees what was written before it was opened. */
    struct engine_iter *(*iter_open)(struct engine_thread *thread, enum engine_tree tree,
                                     const struct engine_range *range);
    void (*iter_close)(struct engine_iter *iter);
    void (*iter_first)(struct engine_iter *iter); /* of the range */
    void (*iter_last)(struct engine_iter *iter);
    void (*iter_seek)(struct engine_iter *iter, struct slice key);
    void (*iter_next)(struct engine_iter *iter);
    void (*iter_prev)(struct engine_iter *iter);
    bool (*iter_valid)(struct engine_iter *iter);
    struct slice (*iter_key)(struct engine_iter *iter);
    struct slice (*iter_value)(struct engine_iter *iter);

    void (*flush)(
        struct engine_db *db); /* asks for the memtable's flush; may return before its end */
    void (*compact)(struct engine_db *db); /* asks for all tables to be merged */
    bool (*is_idle)(struct engine_db *db); /* knows of no work in the background */
};

extern const struct engine engine_cordwood, engine_rocksdb, engine_leveldb;

/* `error` may be NULL: an adapter's way to say that a call went wrong. */
_Noreturn void engine_failed(const struct engine *engine, const char *call, const char *error);

#endif
