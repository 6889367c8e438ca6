/* SPDX-License-Identifier: MIT */
/* SHARDS independent caches, each with a lock. In each the S3-FIFO policy (Yang et al., "FIFO
 * queues are all you need for cache eviction", SOSP 2023):
 *
 *   new block --> probation queue (a tenth of the bytes) --seen again--> main queue (CLOCK)
 *                      | not seen                                            | not seen
 *                      v                                                     v
 *                 evicted; its hash is remembered (ghost): if it soon       evicted
 *                 comes back, it goes to the main queue at once
 *
 * So a scan runs through the probation queue only. A block lives as long as somebody holds it: the
 * cache holds one reference, each pin one. Pinned blocks are passed over by eviction, and so is the
 * newest one; the cache may therefore be above its capacity while much is pinned. */
#include "lsm/block_cache.h"

#include "base/memory.h"
#include "lsm/finding.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    SHARDS = 16,
    BUCKETS_MIN = 64,
    GHOSTS = 4096,         /* remembered hashes a shard */
    PROBATION_SHARE = 10,  /* one n-th of the bytes */
    CHARGED_SHARE_MAX = 2, /* the same of the capacity, for what lies beside the cache */
    SEEN_MAX = 3,
    HEAP_HEAD_BYTES = 16, /* what malloc adds to a piece of memory */
};

enum queue_name { QUEUE_PROBATION, QUEUE_MAIN, QUEUE_COUNT };

struct cached_block {
    uint64_t table_number, offset; /* the name */
    void *data;
    size_t size;
    void (*destroy)(void *data);
    atomic_uint references; /* goes from 1 (the cache alone) up only under the shard's lock */
    uint32_t hash;
    /* Guarded by the shard's lock; unused by wrapped blocks. */
    uint8_t seen;
    uint8_t queue;
    struct cached_block *bucket_next;
    struct cached_block *newer, *older;
};

struct block_queue {
    struct cached_block *newest, *oldest;
    size_t bytes;
    size_t count;
};

struct shard {
    pthread_mutex_t lock; /* guards all below */
    struct cached_block **buckets;
    size_t bucket_count; /* a power of 2 */
    struct block_queue queues[QUEUE_COUNT];
    size_t capacity_bytes;
    uint32_t ghosts[GHOSTS]; /* by hash; 0: none */
    uint64_t hits, misses, inserts, evictions;
};

struct block_cache {
    struct shard shards[SHARDS];
    atomic_size_t capacity_bytes, charged_bytes;
};

/* ---- Blocks -------------------------------------------------------------------------------- */

static uint64_t name_hash(uint64_t table_number, uint64_t offset)
{
    uint64_t hash = table_number * 0x9e3779b97f4a7c15u ^ offset;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    return hash ^ hash >> 32;
}

static size_t block_charge(const struct cached_block *block)
{
    return block->size + sizeof(*block) + 2 * HEAP_HEAD_BYTES;
}

static struct cached_block *block_create(uint64_t table_number, uint64_t offset,
                                         struct cached_object object)
{
    struct cached_block *block = memory_zeroed(1, sizeof(*block));
    block->table_number = table_number;
    block->offset = offset;
    block->data = object.data;
    block->size = object.bytes;
    block->destroy = object.destroy;
    block->hash = (uint32_t)name_hash(table_number, offset);
    atomic_init(&block->references, 1);
    return block;
}

static void block_unref(struct cached_block *block)
{
    unsigned before = atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1) {
        block->destroy(block->data);
        memory_free(block);
    }
}

void block_pin_copy(struct block_pin from, struct block_pin *to)
{
    if (from.block)
        atomic_fetch_add_explicit(&from.block->references, 1, memory_order_relaxed);
    to->block = from.block;
}

void block_unpin(struct block_pin *pin)
{
    if (pin->block)
        block_unref(pin->block);
    pin->block = NULL;
}

/* ---- Queues and buckets of a shard; its lock is held ---------------------------------------- */

static void queue_push(struct shard *shard, enum queue_name name, struct cached_block *block)
{
    struct block_queue *queue = &shard->queues[name];
    block->queue = (uint8_t)name;
    block->newer = NULL;
    block->older = queue->newest;
    if (queue->newest)
        queue->newest->newer = block;
    else
        queue->oldest = block;
    queue->newest = block;
    queue->bytes += block_charge(block);
    queue->count++;
}

static void queue_remove(struct shard *shard, struct cached_block *block)
{
    struct block_queue *queue = &shard->queues[block->queue];
    if (block->newer)
        block->newer->older = block->older;
    else
        queue->newest = block->older;
    if (block->older)
        block->older->newer = block->newer;
    else
        queue->oldest = block->newer;
    assert(queue->bytes >= block_charge(block));
    queue->bytes -= block_charge(block);
    queue->count--;
}

static size_t shard_bytes(const struct shard *shard)
{
    return shard->queues[QUEUE_PROBATION].bytes + shard->queues[QUEUE_MAIN].bytes +
           shard->bucket_count * sizeof(shard->buckets[0]);
}

static size_t shard_count(const struct shard *shard)
{
    return shard->queues[QUEUE_PROBATION].count + shard->queues[QUEUE_MAIN].count;
}

static struct cached_block **shard_slot(struct shard *shard, uint32_t hash, uint64_t table_number,
                                        uint64_t offset)
{
    struct cached_block **slot = &shard->buckets[hash & (shard->bucket_count - 1)];
    while (*slot && ((*slot)->table_number != table_number || (*slot)->offset != offset))
        slot = &(*slot)->bucket_next;
    return slot;
}

static void shard_grow(struct shard *shard)
{
    size_t count = shard->bucket_count ? 2 * shard->bucket_count : BUCKETS_MIN;
    struct cached_block **buckets = memory_zeroed(count, sizeof(buckets[0]));
    for (size_t i = 0; i < shard->bucket_count; i++) {
        for (struct cached_block *block = shard->buckets[i], *next; block; block = next) {
            next = block->bucket_next;
            block->bucket_next = buckets[block->hash & (count - 1)];
            buckets[block->hash & (count - 1)] = block;
        }
    }
    memory_free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
}

/* Forgets the block; whoever has pinned it keeps it. */
static void shard_drop(struct shard *shard, struct cached_block *block)
{
    struct cached_block **slot = shard_slot(shard, block->hash, block->table_number, block->offset);
    assert(*slot == block);
    *slot = block->bucket_next;
    queue_remove(shard, block);
    block_unref(block);
}

/* ---- Eviction ------------------------------------------------------------------------------ */

static uint32_t *shard_ghost(struct shard *shard, uint32_t hash)
{
    return &shard->ghosts[hash % GHOSTS];
}

/* Whether nobody but the cache has the block. Pins are taken under the lock only, or copied from a
 * pin, so a count of 1 cannot grow meanwhile. */
static bool block_is_free(const struct cached_block *block)
{
    return atomic_load_explicit(&block->references, memory_order_acquire) == 1;
}

/* Looks at the oldest block of a queue: evicts it, or gives it another round. */
static void shard_evict_one(struct shard *shard, enum queue_name name,
                            const struct cached_block *newest)
{
    struct cached_block *block = shard->queues[name].oldest;
    bool keep = block == newest || !block_is_free(block);
    if (!keep && block->seen == 0) {
        if (name == QUEUE_PROBATION)
            *shard_ghost(shard, block->hash) = block->hash;
        shard->evictions++;
        shard_drop(shard, block);
        return;
    }
    /* A pinned block on probation stays there: being held by one scan is not being seen again. */
    enum queue_name to = name == QUEUE_PROBATION && !keep ? QUEUE_MAIN : name;
    if (!keep)
        block->seen = name == QUEUE_PROBATION ? 0 : block->seen - 1;
    queue_remove(shard, block);
    queue_push(shard, to, block);
}

/* The queue to evict from: probation while it has more than its share. `other`: the other one,
 * since all of the first are pinned. */
static enum queue_name shard_victim(const struct shard *shard, bool other)
{
    const struct block_queue *probation = &shard->queues[QUEUE_PROBATION];
    if (probation->count == 0)
        return QUEUE_MAIN;
    if (shard->queues[QUEUE_MAIN].count == 0)
        return QUEUE_PROBATION;
    bool is_full = probation->bytes > shard->capacity_bytes / PROBATION_SHARE;
    return is_full != other ? QUEUE_PROBATION : QUEUE_MAIN;
}

/* Evicts until the shard fits. `newest` is passed over; it may be NULL. Looks are bounded, so a
 * shard full of pinned blocks ends it too. */
static void shard_shrink(struct shard *shard, const struct cached_block *newest)
{
    size_t looks_max = 2 * (SEEN_MAX + 2) * shard_count(shard);
    for (size_t look = 0; look < looks_max; look++) {
        if (shard_bytes(shard) <= shard->capacity_bytes || shard_count(shard) == 0)
            break;
        shard_evict_one(shard, shard_victim(shard, look >= looks_max / 2), newest);
    }
}

/* ---- Public -------------------------------------------------------------------------------- */

struct block_cache *block_cache_create(size_t capacity_bytes)
{
    struct block_cache *cache = memory_zeroed(1, sizeof(*cache));
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&cache->shards[i].lock, NULL);
        shard_grow(&cache->shards[i]);
        cache->shards[i].capacity_bytes = capacity_bytes / SHARDS;
    }
    atomic_init(&cache->capacity_bytes, capacity_bytes);
    return cache;
}

void block_cache_destroy(struct block_cache *cache)
{
    if (!cache)
        return;
    assert(atomic_load(&cache->charged_bytes) == 0);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        for (int name = 0; name < QUEUE_COUNT; name++) {
            while (shard->queues[name].oldest) {
                assert(block_is_free(shard->queues[name].oldest)); /* no pin outlives the cache */
                shard_drop(shard, shard->queues[name].oldest);
            }
        }
        memory_free(shard->buckets);
        pthread_mutex_destroy(&shard->lock);
    }
    memory_free(cache);
}

/* Both numbers are read under each shard's lock: who changed one last also comes last. */
static void apply_capacity(struct block_cache *cache)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        size_t capacity = atomic_load(&cache->capacity_bytes);
        size_t charged = atomic_load(&cache->charged_bytes), most = capacity / CHARGED_SHARE_MAX;
        shard->capacity_bytes = (capacity - (charged < most ? charged : most)) / SHARDS;
        shard_shrink(shard, NULL);
        pthread_mutex_unlock(&shard->lock);
    }
}

void block_cache_set_capacity(struct block_cache *cache, size_t capacity_bytes)
{
    atomic_store(&cache->capacity_bytes, capacity_bytes);
    apply_capacity(cache);
}

void block_cache_charge(struct block_cache *cache, size_t bytes)
{
    atomic_fetch_add(&cache->charged_bytes, bytes);
    apply_capacity(cache);
}

void block_cache_discharge(struct block_cache *cache, size_t bytes)
{
    assert(atomic_load(&cache->charged_bytes) >= bytes);
    atomic_fetch_sub(&cache->charged_bytes, bytes);
    apply_capacity(cache);
}

static struct shard *cache_shard(struct block_cache *cache, uint64_t hash)
{
    return &cache->shards[(hash >> 32) % SHARDS];
}

static void block_pin_new(struct cached_block *block, struct block_pin *pin, struct slice *data)
{
    atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    pin->block = block;
    *data = slice_make(block->data, block->size);
}

static bool find(struct block_cache *cache, uint64_t table_number, uint64_t offset, bool may_miss,
                 struct block_pin *pin, struct slice *data)
{
    uint64_t hash = name_hash(table_number, offset);
    struct shard *shard = cache_shard(cache, hash);
    pthread_mutex_lock(&shard->lock);
    struct cached_block *block = *shard_slot(shard, (uint32_t)hash, table_number, offset);
    if (block) {
        if (block->seen < SEEN_MAX)
            block->seen++;
        shard->hits++;
        block_pin_new(block, pin, data);
    } else if (may_miss) {
        shard->misses++;
    }
    pthread_mutex_unlock(&shard->lock);
    return block != NULL;
}

bool block_cache_find(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                      struct block_pin *pin, struct slice *data)
{
    return find(cache, table_number, offset, true, pin, data);
}

bool block_cache_find_first(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                            struct block_pin *pin, struct slice *data)
{
    return find(cache, table_number, offset, false, pin, data);
}

/* Whether the block was evicted lately; forgets it. Before the first eviction there are none, and their memory, of
 * which each page would be a fault, is not looked at. */
static bool take_ghost(struct shard *shard, uint32_t hash)
{
    uint32_t *ghost = shard_ghost(shard, hash);
    if (shard->evictions == 0 || *ghost != hash || hash == 0)
        return false;
    *ghost = 0;
    return true;
}

/* Puts a new block into its queue. The shard's lock is held. */
static void shard_insert(struct shard *shard, struct cached_block *block)
{
    if (shard_count(shard) >= shard->bucket_count)
        shard_grow(shard);
    struct cached_block **bucket = &shard->buckets[block->hash & (shard->bucket_count - 1)];
    block->bucket_next = *bucket;
    *bucket = block;
    queue_push(shard, take_ghost(shard, block->hash) ? QUEUE_MAIN : QUEUE_PROBATION, block);
    shard->inserts++;
    shard_shrink(shard, block);
}

void block_cache_insert_object(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                               struct cached_object object, bool insert, struct block_pin *pin,
                               struct slice *out)
{
    struct cached_block *block = block_create(table_number, offset, object);
    if (!insert) {
        pin->block = block;
        *out = slice_make(block->data, block->size);
        return;
    }
    struct shard *shard = cache_shard(cache, name_hash(table_number, offset));
    pthread_mutex_lock(&shard->lock);
    struct cached_block *other = *shard_slot(shard, block->hash, table_number, offset);
    if (other) {
        block_pin_new(other, pin, out);
    } else {
        block_pin_new(block, pin, out);
        shard_insert(shard, block);
    }
    pthread_mutex_unlock(&shard->lock);
    if (other)
        block_unref(block);
}

void block_cache_insert(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                        uint8_t *data, size_t size, bool insert, struct block_pin *pin,
                        struct slice *out)
{
    const struct cached_object object = {data, size, memory_free};
    block_cache_insert_object(cache, table_number, offset, object, insert, pin, out);
}

void block_cache_erase_table(struct block_cache *cache, uint64_t table_number)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (int name = 0; name < QUEUE_COUNT; name++) {
            for (struct cached_block *block = shard->queues[name].oldest, *next; block;
                 block = next) {
                next = block->newer;
                if (block->table_number == table_number)
                    shard_drop(shard, block);
            }
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

void block_cache_get_stats(struct block_cache *cache, struct block_cache_stats *stats)
{
    *stats = (struct block_cache_stats){.charged_bytes = atomic_load(&cache->charged_bytes)};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        stats->bytes += shard_bytes(shard);
        stats->hits += shard->hits;
        stats->misses += shard->misses;
        stats->inserts += shard->inserts;
        stats->evictions += shard->evictions;
        pthread_mutex_unlock(&shard->lock);
    }
}

/* ---- Checking ------------------------------------------------------------------------------ */

static enum status block_finding(struct lsm_report *report, const struct cached_block *block,
                                 const char *what)
{
    return finding(report, "block cache: table %06llu, offset %llu: %s",
                   (unsigned long long)block->table_number, (unsigned long long)block->offset,
                   what);
}

static enum status check_queue(struct shard *shard, enum queue_name name,
                               struct lsm_report *report)
{
    const struct block_queue *queue = &shard->queues[name];
    const struct cached_block *older = NULL;
    size_t count = 0, bytes = 0;
    for (struct cached_block *block = queue->oldest; block; block = block->newer) {
        if (block->older != older || block->queue != name)
            return block_finding(report, block, "its place in the queue is wrong");
        if (*shard_slot(shard, block->hash, block->table_number, block->offset) != block ||
            block->hash != (uint32_t)name_hash(block->table_number, block->offset))
            return block_finding(report, block, "it is not found under its name");
        if (atomic_load(&block->references) == 0)
            return block_finding(report, block, "nobody holds it");
        older = block;
        count++;
        bytes += block_charge(block);
    }
    if (queue->newest != older)
        return finding(report, "block cache: the newest block of a queue is not its last");
    if (queue->count != count || queue->bytes != bytes)
        return finding(report, "block cache: a queue counts %zu blocks, %zu bytes and has %zu, %zu",
                       queue->count, queue->bytes, count, bytes);
    return STATUS_OK;
}

static enum status check_shard(struct shard *shard, struct lsm_report *report)
{
    size_t indexed = 0;
    for (int name = 0; name < QUEUE_COUNT; name++) {
        enum status status = check_queue(shard, (enum queue_name)name, report);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = 0; i < shard->bucket_count; i++)
        for (const struct cached_block *block = shard->buckets[i]; block;
             block = block->bucket_next)
            indexed++;
    if (indexed != shard_count(shard))
        return finding(report, "block cache: %zu blocks have a name, %zu are in queues", indexed,
                       shard_count(shard));
    return STATUS_OK;
}

enum status block_cache_check(struct block_cache *cache, struct lsm_report *report)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < SHARDS && status == STATUS_OK; i++) {
        pthread_mutex_lock(&cache->shards[i].lock);
        status = check_shard(&cache->shards[i], report);
        pthread_mutex_unlock(&cache->shards[i].lock);
    }
    return status;
}
