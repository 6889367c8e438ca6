/* SPDX-License-Identifier: MIT */
/* A store in memory for tests of the types: its clock stands where the test puts it, its random
 * bytes are all 0x5a, and calls of the file system are counted. Zeroed before the first use. */
#ifndef LIB_MEMORY_STORE_H
#define LIB_MEMORY_STORE_H

#include "types/keyspace.h"
#include "types/store.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

struct memory_store {
    struct vfs *memory, *vfs; /* vfs: the counting one over memory */
    struct env env;
    uint64_t now_ms; /* what the clock says; 1,000,000 at first */
    uint64_t look_ms; /* so much later is it after each look at the monotonic clock */
    bool is_damaged; /* by the test itself: else the invariants are checked at every close */
    size_t write_bytes; /* what a write reserves; 0: 64 KiB */
    struct store_options options;
    struct store *store;
    struct lsm_reader *reader;
    struct access access;
};

/* Asserts that all goes well, as everything here does. Without another size the log has small segments. */
void memory_store_open(struct memory_store *ms, const struct store_options *options);
/* In a file system in memory that it takes over; the store is in /data, if there is one. */
void memory_store_open_in(struct memory_store *ms, struct vfs *memory,
                          const struct store_options *options);
void memory_store_reopen(struct memory_store *ms);
/* Only for its cache to be empty: nothing has been written that a check must see. */
void memory_store_reopen_cold(struct memory_store *ms);
/* As after kill -9 (VFS_KEEP_ALL) or a power loss. */
void memory_store_crash(struct memory_store *ms, enum vfs_power_loss mode, uint64_t seed);
void memory_store_release(struct memory_store *ms);

/* Within a write: gives a key this header as no command would, uncounted; its parts are not touched. The
 * store is damaged from then on. */
void memory_store_plant(struct memory_store *ms, struct slice key, const struct object *object);

/* Runs background work until nothing is due; with `flush`, all memtables become tables first. */
void memory_store_work(struct memory_store *ms, bool flush);

/* ms->access in database 0, waiting. A write takes and releases the engine's lock. */
void memory_store_write(struct memory_store *ms);
void memory_store_read(struct memory_store *ms);
lsn_t memory_store_end(struct memory_store *ms);

/* The facts of the last write: "class event key" each, joined by ", ". Static. */
const char *memory_store_facts(struct memory_store *ms);
/* Every record of a tree in order, a line each: "key = value" in hex, appended; what a range
 * deletion covers is not shown, nor the copies of the store's own records outside of TREE_KEYS. */
void memory_store_dump(struct memory_store *ms, enum store_tree tree, struct buffer *into);

#endif
