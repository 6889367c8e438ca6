/* SPDX-License-Identifier: MIT */
/* Blocks in the layout of the table's codec (FORMAT.md, "Encoded blocks"). The codec lays out puts of
 * distinct keys; deletions, older versions of a key, and LSNs stand before what it made. */
#ifndef LSM_ENCODED_BLOCK_H
#define LSM_ENCODED_BLOCK_H

#include "lsm/block_codec.h"
#include "lsm/rows.h"

struct collected_row {
    size_t at; /* of the key in `bytes`; the value follows */
    size_t key_size, value_size;
    lsn_t lsn;
    enum entry_kind kind;
};

/* The rows of one block, until it is decided how they are stored. A zeroed struct is empty. */
struct collected_rows {
    struct buffer bytes; /* keys and values */
    struct collected_row *items;
    size_t count, capacity;
    struct block_codec_row *puts; /* `capacity` of them: what the codec is shown */
};

void collected_rows_release(struct collected_rows *rows);
void collected_rows_clear(struct collected_rows *rows);
/* In cursor order. */
void collected_rows_add(struct collected_rows *rows, struct slice key, lsn_t lsn,
                        enum entry_kind kind, struct slice value);
/* Adds them to a block of rows instead. */
void collected_rows_copy(const struct collected_rows *rows, struct rows_builder *out);

/* Appends the content of an encoded block to `out`; false, and nothing appended, when rows serve
 * better. `base_lsn`: the LSN of the table's first row. */
bool encoded_block_append(const struct block_codec *codec, void *encoder,
                          struct collected_rows *rows, lsn_t base_lsn, struct buffer *out);

struct encoded_block {
    const struct block_codec *codec;
    const void *dictionary; /* NULL: the table has none */
    struct slice content;
    size_t raw_bytes; /* of keys and values, exactly */
    lsn_t base_lsn;
    bool heads; /* of the codec's values the heads; it has decode_heads */
};
/* The same rows as the content of a block of rows; *rows comes from memory_allocate. STATUS_CORRUPT
 * for what encoded_block_append has not made, STATUS_NO_MEMORY. */
enum status encoded_block_decode(const struct encoded_block *block, uint8_t **rows,
                                 size_t *rows_bytes);

#endif
