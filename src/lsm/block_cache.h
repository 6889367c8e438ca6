/* SPDX-License-Identifier: MIT */
/* A cache of decompressed, decoded blocks and of dictionaries, shared by all tables, sharded, bounded in bytes. CLOCK with a
 * probation queue, so that one scan cannot flush it. Thread-safe. Its bytes are those of the blocks,
 * their heads and the hash tables; 280 KiB besides are fixed. */
#ifndef LSM_BLOCK_CACHE_H
#define LSM_BLOCK_CACHE_H

#include "base/slice.h"
#include "base/status.h"

struct lsm_report;
struct block_cache;
struct cached_block;

/* A held reference; the bytes stay until block_unpin. {NULL} is empty and may be unpinned. */
struct block_pin {
    struct cached_block *block;
};

struct block_cache *block_cache_create(size_t capacity_bytes);
void block_cache_destroy(struct block_cache *cache);
void block_cache_set_capacity(struct block_cache *cache, size_t capacity_bytes);
/* Memory beside the cache that its capacity is to cover, too (open tables: filters and top indexes): blocks
 * make room for it, up to half of the capacity. */
void block_cache_charge(struct block_cache *cache, size_t bytes);
void block_cache_discharge(struct block_cache *cache, size_t bytes);

/* true: found, pinned, *data is the block. */
bool block_cache_find(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                      struct block_pin *pin, struct slice *data);
/* The same for the first of two names under which a block will do: that it is not there is no miss yet. */
bool block_cache_find_first(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                            struct block_pin *pin, struct slice *data);
/* Takes ownership of `data` (from memory_allocate). With `insert` false the block is only wrapped
 * and freed at block_unpin. If another thread inserted the same block first, that one is pinned. */
void block_cache_insert(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                        uint8_t *data, size_t size, bool insert, struct block_pin *pin,
                        struct slice *out);
/* The same for what is not bytes, as a table's opened dictionary: found, it is *data. */
struct cached_object {
    void *data;
    size_t bytes; /* that it takes */
    void (*destroy)(void *data);
};
void block_cache_insert_object(struct block_cache *cache, uint64_t table_number, uint64_t offset,
                               struct cached_object object, bool insert, struct block_pin *pin,
                               struct slice *out);
void block_pin_copy(struct block_pin from, struct block_pin *to);
void block_unpin(struct block_pin *pin);
void block_cache_erase_table(struct block_cache *cache, uint64_t table_number);

struct block_cache_stats {
    uint64_t bytes, charged_bytes, hits, misses, inserts, evictions;
};
void block_cache_get_stats(struct block_cache *cache, struct block_cache_stats *stats);
/* Queues, index, bytes and references agree. STATUS_CORRUPT and a sentence about the first fault. */
enum status block_cache_check(struct block_cache *cache, struct lsm_report *report);

#endif
