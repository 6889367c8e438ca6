/* SPDX-License-Identifier: MIT */
/* An open table, as table_reader.c and table_cursor.c see it. Internal to src/lsm.
 *
 *   top index (in memory) --> leaf of the index --> block of rows
 *
 * A seek reads at most the last two, each through the cache. */
#ifndef LSM_TABLE_READER_H
#define LSM_TABLE_READER_H

#include "lsm/block_codec.h"
#include "lsm/rows.h"
#include "lsm/table_format.h"

/* Immutable after table_open. */
struct table {
    const struct env *env;
    struct vfs_file *file;
    struct block_cache *cache; /* NULL: blocks are not kept (verify) */
    uint64_t number;
    uint64_t data_bytes; /* blocks of rows and leaves lie in the first so many bytes */
    uint32_t filter_prefix_bytes;
    struct slice top_index; /* content of a block of rows; empty: no entries */
    struct slice filter;    /* empty: none */
    struct range_delete *ranges;
    size_t range_count;
    size_t memory_bytes, charged_bytes; /* the latter: as the cache knows it */
    const struct block_codec *codec; /* of encoded blocks; NULL: there are none */
    struct block_handle dictionary;  /* behind the data; stored_bytes 0: none */
    lsn_t base_lsn;                  /* encoded blocks count from here */
    lsn_t lsn_max;                   /* of the rows, or more */
    uint8_t *top_memory, *filter_memory, *range_memory;
    char path[];
};

/* What a scan has read ahead, or backward before: file bytes from `offset` on. Belongs to one cursor. */
struct table_ahead {
    uint8_t *bytes;
    size_t size, capacity;
    uint64_t offset;
    uint64_t last_begin, last_end; /* of the block of rows that it has loaded last; UINT64_MAX: none */
    uint64_t passed;               /* how many it has loaded beside the one before */
    bool is_long;                  /* it is known from the start that it will want much */
};

/* The content of a block, pinned. `ahead` may be NULL. On failure *pin is untouched. */
enum status table_load(struct table *table, struct block_handle handle, enum block_kind kind,
                       const struct table_read *read, struct table_ahead *ahead,
                       struct block_pin *pin, struct slice *content);

/* Whether this program knows what the blocks are compressed by; STATUS_UNSUPPORTED. table_decode.c, as the
 * next three. */
enum status table_check_compression(const struct table *table, uint32_t compression,
                                    struct lsm_report *report);
/* Finds the codec of encoded blocks by its name; STATUS_UNSUPPORTED. */
enum status table_choose_codec(struct table *table, struct slice name,
                               const struct block_codec *const *codecs, struct lsm_report *report);
/* The opened dictionary, for as long as it is pinned; NULL: the table has none. STATUS_WOULD_BLOCK
 * with `nowait`. Damage is logged. */
enum status table_pin_dictionary(struct table *table, bool nowait, struct block_pin *pin,
                                 const void **dictionary);
/* The content of an encoded block as that of a block of rows; *rows comes from memory_allocate. `heads`: of the
 * codec's values the heads, if it can tell them. */
enum status table_decode(const struct table *table, const void *dictionary, struct slice content,
                         size_t raw_bytes, bool heads, uint8_t **rows, size_t *rows_bytes);

/* Logs damage of this table at `offset`; returns STATUS_CORRUPT. */
enum status table_log_damage(const struct table *table, uint64_t offset, const char *what);

#endif
