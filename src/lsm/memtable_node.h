/* SPDX-License-Identifier: MIT */
/* The inside of a memtable, shared by memtable.c (reading, writing) and memtable_check.c. */
#ifndef LSM_MEMTABLE_NODE_H
#define LSM_MEMTABLE_NODE_H

#include "base/arena.h"
#include "base/coding.h"
#include "base/hash.h"
#include "base/random.h"
#include "lsm/memtable.h"

#include <stdatomic.h>

enum {
    HEIGHT_MAX = 12,
    FINGERS = 256,
    CHUNK_BYTES_MIN = 4096,
    CHUNK_BYTES_MAX = 256 * 1024,
    CLASS_STEP = 16,  /* version sizes are rounded up to this ... */
    CLASS_COUNT = 64, /* ... and recycled by class up to 1 KiB; larger ones by the heap */
    CLASS_HEAP = CLASS_COUNT,
    CLASS_SPARE,               /* from memory set aside: never recycled */
    RETIRED_BEFORE_CHECK = 64, /* so many wait before readers are looked at again */
    CACHE_LINE_BYTES = 64,
    PREFETCH_LINES = 3,
    PREFETCH_STEPS = 12, /* of a walk */
    PREFETCH_STRIDE_MAX = 1024,
    PREFETCH_NODES_MIN = 2048, /* fewer are in the processor's caches anyway */
};

struct mem_version {
    lsn_t lsn;
    _Atomic(struct mem_version *) older;
    uint32_t size;
    uint8_t kind;
    uint8_t size_class; /* CLASS_HEAP and CLASS_SPARE have no list of free ones */
    uint8_t bytes[];
};

/* A search reads `front` and `next`, nearly always of one cache line, and the key only where the fronts are
 * equal. */
struct mem_node {
    _Atomic(struct mem_version *) newest;
    _Atomic(struct mem_node *) prev; /* level 0; the head for the first */
    struct mem_node *hash_next;      /* set before the node is published in its bucket */
    uint32_t hash;
    uint32_t key_size : 24;
    uint32_t height : 8;
    uint64_t front;                    /* of the key; see key_front */
    _Atomic(struct mem_node *) next[]; /* as many as the node is high; then the key */
};
_Static_assert(LSM_KEY_BYTES_MAX < 1 << 24, "the size of a key");
_Static_assert(HEIGHT_MAX < 1 << 8, "the height of a node");

/* A version that hangs below `newer` and is recycled when safe_lsn >= superseded. */
struct retired {
    struct mem_version *version;
    struct mem_version *newer;
    lsn_t superseded;
};

/* Where a key of this prefix went in last. Its neighbours' places are known from it, so growing a run
 * of keys at either end costs no search. */
struct finger {
    struct mem_node *last; /* NULL: unused */
    int last_height;
    struct mem_node *before[HEIGHT_MAX]; /* a node of each level that stands before `last` */
};

struct memtable {
    struct memtable_options options;
    struct arena arena;
    struct mem_node *head;
    _Atomic(struct mem_node *) last;    /* level 0; the head when empty */
    struct mem_node *lasts[HEIGHT_MAX]; /* of all levels, the writer's */
    _Atomic int height;
    struct random random;
    _Atomic(struct mem_node *) *buckets;
    uint64_t bucket_mask;
    struct finger *fingers;
    _Atomic(struct memtable_range *) ranges;

    bool is_deferring;         /* new nodes whose place is not at hand join `deferred` */
    struct mem_node *deferred; /* in the index, not yet in the list; newest first, by next[0] */
    size_t deferred_count;

    struct retired *retired; /* a ring */
    size_t retired_first, retired_count, retired_capacity, retired_checked;
    struct mem_version *free_versions[CLASS_COUNT];
    size_t heap_version_count; /* alive, too large for the arena; the writer's */

    atomic_size_t heap_bytes;
    atomic_ullong node_count, version_count, delete_count;
};

static inline struct slice node_key(const struct mem_node *node)
{
    return slice_make(&node->next[node->height], node->key_size);
}

/* The first 8 bytes as a number, zeros behind a shorter key: where they differ, so do the keys, and in the
 * same direction. */
static inline uint64_t key_front(struct slice key)
{
    uint8_t bytes[sizeof(uint64_t)] = {0};
    if (key.size >= sizeof(bytes))
        return be64_load(key.data);
    if (key.size > 0)
        memcpy(bytes, key.data, key.size);
    return be64_load(bytes);
}

/* `front` is the key's. */
static inline int node_compare(const struct mem_node *node, struct slice key, uint64_t front)
{
    if (node->front != front)
        return node->front < front ? -1 : 1;
    return slice_compare(node_key(node), key);
}

/* Of the hash index. Keys of a run, as the elements of a list, differ in their last byte mostly: they have
 * neighbouring buckets, so that the next one is no cache miss. */
static inline uint64_t memtable_hash(const struct memtable *table, struct slice key)
{
    if (table->options.finger_prefix_bytes == 0 || key.size == 0)
        return hash64(key, 0);
    size_t rest = key.size - 1;
    return hash64(slice_make(key.data, rest), 0) + key.data[rest];
}

static inline struct mem_node *node_next(const struct mem_node *node, int level)
{
    return atomic_load_explicit(&node->next[level], memory_order_acquire);
}

/* Puts a node into the list behind before[level], on levels 0 .. height - 1. */
void memtable_link_node(struct memtable *table, struct mem_node *node, int height,
                        struct mem_node *before[HEIGHT_MAX]);
/* Puts all deferred nodes into the list. */
void memtable_link_deferred(struct memtable *table);

#endif
