/* SPDX-License-Identifier: MIT */
/* The store: one engine database that holds 16 (or as many as configured) Redis databases, and the
 * access that a command has to it. Bytes of keys and values: ENCODING.md.
 *
 * A command reads and writes through a struct access, on one thread. A write access holds the
 * store's write lock and one engine batch; what it does is atomic and visible at once at its end.
 */
#ifndef TYPES_STORE_H
#define TYPES_STORE_H

#include "base/coding.h"
#include "lsm/lsm.h"

enum store_tree { TREE_KEYS, TREE_PARTS, TREE_ENTRIES, TREE_COUNT };

enum {
    STORE_DATABASES_MAX = 1024,
    STORE_KEY_BYTES_MAX = 512 * 1024, /* a user's key */
};

struct store;

struct store_options {
    unsigned databases;                       /* 0: 16 */
    size_t memtable_bytes, block_cache_bytes; /* 0: the engine's defaults */
    uint64_t wal_segment_bytes;
    enum lsm_wal_compression wal_compression;
    uint64_t compaction_bytes_per_second; /* 0: no limit */
    uint64_t table_bytes_max;     /* 0: the engine's default, as the next two; small ones make a */
    uint32_t block_bytes;         /* small store have many tables and blocks, and compressed */
    uint32_t wal_page_bytes;      /* writes of the log */
    uint32_t filter_bits_per_key; /* 0: 10 */
    /* Of the entries' merged tables, as in struct lsm_tree_options. */
    enum lsm_compression cold_compression;
    int cold_level;
    uint32_t cold_block_bytes;
    uint32_t
        build_bytes_max; /* a batch of an object that is built; 0: OBJECT_BUILD_BATCH_BYTES, the most */
    bool ack_durable; /* policy `always` */
    void (*work_ready)(void *context);
    void *context;
    bool compares_copies; /* for repairs: the newest copy of the store's own records counts */
};

/* The codecs of the trees, then NULL: for lsm_verify and lsm_repair. */
extern const struct block_codec *const store_codecs[];

/* STATUS_UNSUPPORTED: written by a newer format, or a cold compression that this program was built without; otherwise as lsm_open, with a report. */
enum status store_open(const struct env *env, const char *directory,
                       const struct store_options *options, struct lsm_report *report,
                       struct store **store);
enum status store_close(struct store *store);
struct lsm *store_engine(struct store *store);
const struct env *store_env(struct store *store);
unsigned store_database_count(const struct store *store);

/* What a write did to a key, for the layer above (wake readers, WATCH, notifications). A key that a read missed
 * is no change of it: class m. */
struct fact {
    unsigned database;
    char class_letter;           /* as in notify-keyspace-events: g $ l t x n m */
    const char *event;           /* static: "set", "lpush", "expired" ... */
    size_t key_offset, key_size; /* in access.fact_bytes */
};

struct access {
    struct store *store;
    struct lsm_reader *reader; /* when writing: the batch's own reader, which sees its writes */
    struct lsm_writer *writer; /* NULL: reading only */
    uint64_t now_ms;           /* stands still; set at begin, the caller may set it again */
    uint64_t told_ms;          /* the caller's clock, which begin takes for now_ms; 0: it looks itself */
    unsigned database;         /* the selected one; access_select changes it */
    uint32_t generation;       /* of that database */
    bool nowait;               /* reads do not wait now; false from the first write on */
    bool open;                 /* between a begin and its end */
    bool may_hold;             /* an object's header need not be written yet */
    bool is_holding;           /* `hold` is one that is not written yet */
    bool map_changed;          /* this batch changed which generation a database has */

    struct fact *facts;
    size_t fact_count, fact_capacity;
    struct buffer fact_bytes;
    bool facts_are_lost; /* there was no memory for all: anything may have been touched */
    bool tells_new;      /* facts "new", n, are wanted; by the caller, after each begin */
    struct slice missed; /* what keyspace_find looked for last, the caller's; NULL: it was there */
    struct buffer scratch_key, scratch_value; /* for encoding; contents end at the next call */
    struct buffer scratch_large; /* a value put together from pieces; until the next such read */

    struct lsm_reader *own_reader; /* the one given to access_init */
    lsn_t map_lsn;                 /* of the newest change of the map that this access saw */
    uint64_t map_version;
    enum status map_status; /* the map could not be read: keyspace.c returns it */
    struct header_hold *hold; /* header_hold.h; NULL: not used yet */
    struct buffer tree_key; /* keyspace.c: the tree key that was made last */
};

/* `reader` belongs to the caller's thread or session and is reused from access to access;
 * access_init tells it to ignore range deletions (see access_delete_range). Nothing else of the
 * access may be in use when it is released. */
void access_init(struct access *access, struct store *store, struct lsm_reader *reader);
void access_release(struct access *access);

/* Pins a moment. With `nowait`, types' functions return STATUS_WOULD_BLOCK for what is not in
 * memory. */
void access_begin_read(struct access *access, unsigned database, bool nowait);
/* The same at the moment of a snapshot. Waits. */
void access_begin_read_at(struct access *access, unsigned database, struct lsm_snapshot *snapshot);
/* Opens a batch; the engine's lock is held (lsm_lock). STATUS_NO_SPACE, _READ_ONLY: nothing is
 * open. With `nowait`, reads return STATUS_WOULD_BLOCK as long as nothing was written; after the
 * first write they wait, so a command never stops half done. A command therefore reads all it can
 * before it writes. `bytes_max` as access_write_bytes. */
enum status access_begin_write(struct access *access, unsigned database, bool nowait,
                               size_t bytes_max, bool may_use_reserve);
/* What a command with so many argument bytes in so many arguments writes at most, if it names at
 * most two keys: each stands in the header's and in two records of the expiry index. */
static inline size_t access_write_bytes(size_t argument_bytes, size_t argument_count)
{
    size_t key_bytes = 2 * STORE_KEY_BYTES_MAX;
    return argument_bytes + 2 * (argument_bytes < key_bytes ? argument_bytes : key_bytes) +
           argument_bytes / 512 + 64 * argument_count;
}
/* What a command that deletes any number of keys adds to it. */
static inline size_t access_delete_bytes(size_t key_bytes, size_t key_count)
{
    return key_bytes + 128 * key_count;
}
/* Room for `bytes` more, for what only reading has told; before the first put (an expired key that was met does not
 * count). As access_begin_write, but for STATUS_IO, which a caller has of reads: the log's is STATUS_READ_ONLY. On
 * failure the batch stands as before. */
enum status access_reserve(struct access *access, size_t bytes);
/* Another operation's writes go into the open batch, as if they had a batch of their own behind it: its own reads
 * and writes see all, what was read before ends to be valid, facts stay. `may_hold`: it looks for one
 * object by its key, and for nothing else (header_hold.h). false: there is no room at hand, or the batch
 * has changed which databases there are (FLUSHALL, SWAPDB); it is as before, and to be ended. */
bool access_continue_write(struct access *access, unsigned database, bool nowait, size_t bytes_max,
                           bool may_use_reserve, bool may_hold);
lsn_t access_lsn(const struct access *access); /* of an open batch, what access_end would return now */
/* Ends it. Returns the LSN that a reply must wait for: the batch's if it wrote anything, else the
 * newest that was revealed by what was read (0: none). The facts stay until the next begin. */
lsn_t access_end(struct access *access);
/* Selects another database. In a write access always OK; in a read access it may fail as a read
 * does (a FLUSHDB or SWAPDB came between). */
enum status access_select(struct access *access, unsigned database);
/* After STATUS_WOULD_BLOCK and access_end, on any thread, without the lock: reads what was missing;
 * may wait. */
enum status access_fetch_missing(struct access *access);

/* Writing; keys and values are copied. */
void access_put(struct access *access, enum store_tree tree, struct slice key, struct slice value);
void access_delete(struct access *access, enum store_tree tree, struct slice key);
/* Gives the space of [from, to) back. O(1). It reclaims and does not hide: reads look past range
 * deletions, so a header must already say that nothing in the range is alive, and a key in it comes
 * to life again by being written, never by being read. Single keys that are looked up without a
 * header's bounds are deleted with access_delete. */
void access_delete_range(struct access *access, enum store_tree tree, struct slice from,
                         struct slice to);
/* A point read; *value is valid until access_end. STATUS_NOT_FOUND, _WOULD_BLOCK, _IO, _CORRUPT. */
enum status access_get(struct access *access, enum store_tree tree, struct slice key,
                       struct slice *value);
/* Ends the validity of all that was read so far, so that whoever reads many values holds one at a time. */
void access_forget(struct access *access);
/* Iterators: lsm_iter_open(access->reader, tree, ...), closed before access_end. */

/* Notes what happened to a key of the selected database; `event` is static. Write accesses only. */
void access_fact(struct access *access, char class_letter, const char *event, struct slice key);
/* "new", n, if it is wanted. keyspace_put tells of a key that was not there; the caller of one that replaces another
 * in a way that Redis takes for a deletion before. */
void access_fact_new(struct access *access, struct slice key);

/* A new object id, never given before, also not before a crash. Write accesses only. */
uint64_t access_new_id(struct access *access);
/* Prefix of an object's parts and entries: generation (4, BE) | id (8, BE). What follows is a tag
 * byte of the type and its own key: ENCODING.md. */
enum { OBJECT_PREFIX_BYTES = 12 };
static inline void object_prefix_store(uint8_t at[OBJECT_PREFIX_BYTES], uint32_t generation,
                                       uint64_t id)
{
    be32_store(at, generation);
    be64_store(at + 4, id);
}

#endif
