/* SPDX-License-Identifier: MIT */
/* A block as it lies in a file: a head, then the content, compressed if that helps (FORMAT.md,
 * "Blocks").
 *
 *   kind 1 | compression 1 | stored bytes le32 | raw bytes le32 | checksum le32 | stored bytes...
 *
 * The checksum is a masked CRC32C over the block's file offset (le64), the head before the
 * checksum, and the stored bytes: a block that lies at the wrong place is damaged, too. */
#ifndef LSM_BLOCK_H
#define LSM_BLOCK_H

#include "lsm/compression.h"

/* On disk; never reuse a number. A reader refuses kinds and compressions that it does not know; what a
 * compression is called in the head: compression.h. */
enum block_kind {
    BLOCK_ROWS = 1,          /* entries of the table, rows.h */
    BLOCK_INDEX = 2,         /* rows of separators and handles */
    BLOCK_FILTER = 3,        /* filter.h */
    BLOCK_RANGE_DELETES = 4, /* rows: from, to */
    BLOCK_PROPERTIES = 5,    /* tagged fields */
    BLOCK_ENCODED = 6,       /* entries in the layout of the table's codec, encoded_block.h */
    BLOCK_DICTIONARY = 7,    /* what the encoded blocks of the table share */
};

enum {
    BLOCK_HEAD_BYTES = 14,
    BLOCK_RAW_BYTES_MAX = (512 + 16) << 20, /* a value of 512 MiB, its key, a little more */
};

/* Where a block lies. stored_bytes includes the head; 0: there is no such block. */
struct block_handle {
    uint64_t offset;
    uint32_t stored_bytes;
};

struct block_head {
    enum block_kind kind;
    enum block_compression compression;
    uint32_t stored_bytes; /* behind the head */
    uint32_t raw_bytes;    /* of the content, uncompressed; of an encoded block: of its keys and
                              values, decoded */
    uint32_t checksum;
};

/* Appends head and content of a block that will lie at `offset`. raw.size <=
 * BLOCK_RAW_BYTES_MAX. `compressor` NULL: it stays plain. Returns what it was compressed by. */
enum block_compression block_seal(struct buffer *out, enum block_kind kind,
                                  struct compressor *compressor, struct slice raw, uint64_t offset);
/* An encoded block: its head tells the bytes of the keys and values that it decodes to, which are
 * more than the content has. `parts` (NULL: one) are the content's. */
enum block_compression block_seal_encoded(struct buffer *out, struct compressor *compressor,
                                          struct slice content, const struct block_parts *parts,
                                          size_t raw_bytes, uint64_t offset);
/* false: too short, or not a head that block_seal could have made. */
bool block_head_parse(struct slice bytes, struct block_head *head);
/* `stored`: exactly head and content. STATUS_CORRUPT when it is not what block_seal made for this place. */
enum status block_check(struct slice stored, uint64_t offset, struct block_head *head);
/* The content of a block that was checked. *raw, uncompressed, comes from memory_allocate; of an encoded
 * block it is not decoded. STATUS_CORRUPT, _NO_MEMORY, _UNSUPPORTED (a compression that this program was
 * built without); *raw and *raw_bytes are then unchanged. */
enum status block_unfold(const struct block_head *head, struct slice stored, uint8_t **raw,
                         size_t *raw_bytes);
/* Both. */
enum status block_unseal(struct slice stored, uint64_t offset, enum block_kind *kind, uint8_t **raw,
                         size_t *raw_bytes);

#endif
