/* SPDX-License-Identifier: MIT */
/* The store: one engine database that holds 16 (or as many as configured) Redis databases, and the
 * access that a command has to it. Bytes of keys and values: ENCODING.md.
 *
 * A command reads and writes through a struct access, on one thread. A write access holds the store's
 * write lock and one engine batch; what it does is atomic and visible at once at its end. */
#ifndef TYPES_STORE_H
#define TYPES_STORE_H

#include "lsm/lsm.h"

enum store_tree { TREE_KEYS, TREE_PARTS, TREE_ENTRIES, TREE_COUNT };

enum {
    STORE_DATABASES_MAX = 1024,
    STORE_KEY_BYTES_MAX = 512 * 1024, /* a user's key */
};

struct store;

struct store_options {
    unsigned databases;         /* 0: 16 */
    size_t memtable_bytes, block_cache_bytes; /* 0: the engine's defaults */
    uint64_t wal_segment_bytes;
    bool ack_durable;           /* policy `always` */
    void (*work_ready)(void *context);
    void *context;
};

enum status store_open(const struct env *env, const char *directory,
                       const struct store_options *options, struct lsm_report *report,
                       struct store **store);
enum status store_close(struct store *store);
struct lsm *store_engine(struct store *store);
const struct env *store_env(struct store *store);
unsigned store_database_count(const struct store *store);

/* What a write did to a key, for the layer above (wake readers, WATCH, notifications). */
struct fact {
    unsigned database;
    char class_letter; /* as in notify-keyspace-events: g $ l t x ... */
    const char *event; /* static: "set", "lpush", "expired" ... */
    size_t key_offset, key_size; /* in access.fact_bytes */
};

struct access {
    struct store *store;
    struct lsm_reader *reader; /* when writing: the batch's own reader, which sees its writes */
    struct lsm_writer *writer; /* NULL: reading only */
    uint64_t now_ms;           /* stands still */
    unsigned database;         /* the selected one; access_select changes it */
    uint32_t generation;       /* of that database, see store_generation */
    bool nowait;               /* what was asked for; see access_begin_write */

    struct fact *facts;
    size_t fact_count, fact_capacity;
    struct buffer fact_bytes;
    struct buffer scratch_key, scratch_value; /* for encoding; contents end at the next call */
};

/* `reader` belongs to the caller's thread or session and is reused from access to access. The struct
 * is zeroed before the first use and released after the last. */
void access_init(struct access *access, struct store *store, struct lsm_reader *reader);
void access_release(struct access *access);

/* Pins a moment. With `nowait`, types' functions return STATUS_WOULD_BLOCK for what is not in
 * memory. */
void access_begin_read(struct access *access, unsigned database, bool nowait);
/* Opens a batch; the engine's lock is held (lsm_lock). STATUS_NO_SPACE, _READ_ONLY. With `nowait`,
 * reads return STATUS_WOULD_BLOCK as long as nothing was written; after the first write they wait,
 * so a command never stops half done. A command therefore reads all it can before it writes. */
enum status access_begin_write(struct access *access, unsigned database, bool nowait,
                               size_t bytes_max, bool may_use_reserve);
/* Returns the batch's LSN (0: read only or nothing was written). The facts stay until the next begin. */
lsn_t access_end(struct access *access);
void access_select(struct access *access, unsigned database);
/* After STATUS_WOULD_BLOCK and access_end, on any thread: reads what was missing; may wait. */
enum status access_fetch_missing(struct access *access);

void access_put(struct access *access, enum store_tree tree, struct slice key, struct slice value);
void access_delete(struct access *access, enum store_tree tree, struct slice key);
void access_delete_range(struct access *access, enum store_tree tree, struct slice from,
                         struct slice to);
enum status access_get(struct access *access, enum store_tree tree, struct slice key,
                       struct slice *value);
void access_fact(struct access *access, char class_letter, const char *event, struct slice key);

/* A new object id, never given before, also not before a crash. */
uint64_t access_new_id(struct access *access);
/* Prefix of an object's parts and entries: generation (4, BE) | id (8, BE). */
enum { OBJECT_PREFIX_BYTES = 12 };
void object_prefix_store(uint8_t at[OBJECT_PREFIX_BYTES], uint32_t generation, uint64_t id);

#endif
