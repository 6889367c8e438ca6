/* SPDX-License-Identifier: MIT */
/* Tables: immutable sorted files (FORMAT.md, "Tables"). A builder makes one, a reader serves it.
 * A reader is thread-safe; a cursor belongs to one thread. */
#ifndef LSM_TABLE_H
#define LSM_TABLE_H

#include "lsm/block_cache.h"
#include "lsm/cursor.h"

struct table_options {
    uint32_t block_bytes;
    uint32_t filter_bits_per_key;
    uint32_t filter_prefix_bytes;
    bool uncompressed;
    const struct block_codec *codec; /* NULL: blocks are rows */
    enum lsm_compression compression;
    int compression_level; /* of LSM_ZSTD; 0: 3 */
};
struct table_options table_options_of(const struct lsm_tree_options *tree);
struct table_options table_options_of_cold(const struct lsm_tree_options *tree);

/* What the manifest keeps of a table. */
struct table_properties {
    uint64_t file_bytes;
    uint64_t entry_count; /* puts and deletions */
    uint64_t delete_count;
    uint64_t range_delete_count;
    uint64_t raw_bytes;     /* keys and values */
    lsn_t lsn_min, lsn_max; /* range deletions included */
    /* User keys; range deletions included (largest: their `to`, exclusive). */
    struct buffer smallest;
    struct buffer largest;
    bool largest_is_exclusive;
    /* Versions below newer ones of their keys, kept for a snapshot. Not on disk: who opens a database finds
     * no snapshot that was kept for, and such versions go with the next merge. */
    uint64_t old_count;
};

void table_properties_release(struct table_properties *properties);

struct table_builder;
struct table_ref;

/* Makes the file; the caller adds in cursor order, range deletions at any time before finish. */
enum status table_builder_create(const struct env *env, const char *path,
                                 const struct table_options *options,
                                 struct table_builder **builder);
enum status table_builder_add(struct table_builder *builder, struct slice key, lsn_t lsn,
                              enum entry_kind kind, struct slice value);
/* Copied, and written by finish. */
void table_builder_add_range_delete(struct table_builder *builder, struct range_delete range);
uint64_t table_builder_file_bytes(const struct table_builder *builder); /* so far, about */
bool table_builder_is_empty(const struct table_builder *builder);
/* Writes index, filter, properties and footer and syncs the file (not the directory). Fills
 * *properties (released by the caller). */
enum status table_builder_finish(struct table_builder *builder,
                                 struct table_properties *properties);
/* Frees; removes the file unless finish returned OK. */
void table_builder_destroy(struct table_builder *builder);

struct table;

/* Opens lazily from the manifest's point of view: reads footer, top index and filter. `number` keys
 * the block cache. `codecs` (NULL: none) ends with NULL; a table with encoded blocks of another codec,
 * or of a compression that this program was built without, is refused, STATUS_UNSUPPORTED. Errors carry
 * file and offset into *report (may be NULL). With
 * `nowait` STATUS_WOULD_BLOCK instead of reading from the device. */
enum status table_open(const struct env *env, const char *path, uint64_t number,
                       struct block_cache *cache, const struct block_codec *const *codecs,
                       bool nowait, struct lsm_report *report, struct table **table);
void table_close(struct table *table);
size_t table_memory_bytes(const struct table *table);

/* What a nowait read lacked: a block, or, when `ref` is set (by cursors that open tables
 * themselves, level_cursor.h), the open table: the caller calls table_ref_open without nowait then.
 * The table or reference is kept alive by the caller until the fetch. */
struct table_miss {
    struct table_ref *ref;
    struct table *table;
    uint64_t offset;
    uint32_t stored_bytes; /* head of the block included */
    uint32_t ahead_bytes;  /* what a scan is likely to want behind it */
};

struct table_read {
    bool nowait;             /* STATUS_WOULD_BLOCK when a block is not in memory */
    bool keep_cache;         /* do not insert what is read */
    bool heads;              /* of values the heads are enough (block_codec.decode_heads) */
    struct table_miss *miss; /* filled on STATUS_WOULD_BLOCK; not NULL with nowait */
};

/* Reads a missing block (and, for scans, a few behind it) into the cache; may wait. The read that
 * failed is then repeated from its seek. *pin (may be NULL) keeps the block in the cache until the
 * caller unpins it: who needs many or large blocks at once keeps the pins until the read succeeds,
 * so that a small cache cannot make it repeat for ever. */
enum status table_fetch(const struct table_miss *miss, struct block_pin *pin);

/* false: no version of the key is in the table (the filter says so); reads no data block. */
bool table_may_contain(struct table *table, struct slice key);
/* The newest version of `key` with an LSN <= lsn. STATUS_NOT_FOUND if none. Does not ask the filter. *value lies in a cached
 * block that is pinned: *pin is released by block_unpin. */
enum status table_get(struct table *table, struct slice key, lsn_t lsn,
                      const struct table_read *read, enum entry_kind *kind, lsn_t *found_lsn,
                      struct slice *value, struct block_pin *pin);
/* A cursor over all versions; *read is copied. After a move that ended in STATUS_WOULD_BLOCK the
 * cursor is invalid and must be placed by a seek again. */
struct cursor *table_cursor_create(struct table *table, const struct table_read *read);
/* The range deletions, sorted by `from`; loaded with the table. */
void table_range_deletes(const struct table *table, const struct range_delete **ranges,
                         size_t *count);
/* Tells, by reading the index alone, for each block of rows a key (not before the block's last one,
 * and before the next block's first) and its stored bytes. May wait; does not displace the
 * cache. */
enum status table_walk_index(struct table *table,
                             void (*each)(void *context, struct slice key, uint32_t stored_bytes),
                             void *context);
/* Reads every block and checks checksums, order, counts, filter and index. `codecs` as above. */
enum status table_verify(const struct env *env, const char *path,
                         const struct block_codec *const *codecs, struct lsm_report *report);

#endif
