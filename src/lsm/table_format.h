/* SPDX-License-Identifier: MIT */
/* What builder and reader of tables share: footer, properties, handles and separators (FORMAT.md,
 * "Tables"). Internal to src/lsm. */
#ifndef LSM_TABLE_FORMAT_H
#define LSM_TABLE_FORMAT_H

#include "lsm/block.h"
#include "lsm/table.h"

enum {
    TABLE_FOOTER_BYTES = 64,
    TABLE_VERSION = 1,
    TABLE_VERSION_ENCODED = 2,    /* some blocks of rows are encoded */
    TABLE_VERSION_COMPRESSED = 3, /* some blocks are compressed by what the properties name */
    TABLE_BLOCK_BYTES_DEFAULT = 16 * 1024,
    TABLE_BLOCK_BYTES_MAX = 1 << 20,
    TABLE_INDEX_BYTES = 8 * 1024, /* raw size at which a leaf of the index is cut */
    TABLE_HANDLE_BYTES_MAX = 16,
};

/* The last bytes of the file. */
struct table_footer {
    struct block_handle top_index, filter, range_deletes, properties; /* stored_bytes 0: none */
    uint32_t version;
};
void table_footer_encode(const struct table_footer *footer, uint8_t at[TABLE_FOOTER_BYTES]);
/* STATUS_CORRUPT; STATUS_UNSUPPORTED for a version that this code does not know. Handles lie within
 * the file. */
enum status table_footer_decode(const uint8_t at[TABLE_FOOTER_BYTES], uint64_t file_bytes,
                                struct table_footer *footer);

/* The properties that the file itself keeps. */
struct table_file_properties {
    struct table_properties shared; /* file_bytes is not in the file */
    struct table_options options;
    uint64_t data_bytes;  /* data blocks and leaves of the index: the first so many of the file */
    uint64_t block_count; /* data blocks */
    uint32_t compression; /* what some blocks are compressed by, if not by LZ4; else 0 */
    /* Of a table with encoded blocks. */
    struct slice codec_name;        /* lies elsewhere; empty: none is encoded */
    struct block_handle dictionary; /* stored_bytes 0: none */
    lsn_t base_lsn;                 /* of the first row */
};
void table_file_properties_encode(const struct table_file_properties *properties,
                                  struct buffer *out);
/* *properties is zeroed before; released by table_properties_release(&properties->shared), also
 * after STATUS_CORRUPT. Fields with unknown tags are skipped. The codec's name lies in `content`. */
enum status table_file_properties_decode(struct slice content,
                                         struct table_file_properties *properties);

/* Widens the LSNs, and the keys, so that they cover one more version or range deletion; counts
 * that. Rows come first: `largest` is then the last row's key. */
void table_properties_see_lsn(struct table_properties *properties, lsn_t lsn);
void table_properties_see_range(struct table_properties *properties, struct range_delete range);

/* Handles as values of index rows. */
size_t block_handle_encode(struct block_handle handle, uint8_t at[TABLE_HANDLE_BYTES_MAX]);
/* false: malformed, or not within the first `limit` bytes of the file. */
bool block_handle_decode(struct slice value, uint64_t limit, struct block_handle *handle);

/* A short key with last <= key and key < next in cursor order, where last < next. *lsn belongs to
 * it. The slice is one of the two or a part of one. */
struct slice table_separator(struct slice last, lsn_t last_lsn, struct slice next, lsn_t *lsn);

/* Damage at `offset`: fills the report (may be NULL). Returns STATUS_CORRUPT. */
enum status table_damaged(struct lsm_report *report, const char *path, uint64_t offset,
                          const char *what);

#endif
