/* SPDX-License-Identifier: MIT */
/* The writing side of entry_codec. */
#ifndef TYPES_ENTRY_WRITER_H
#define TYPES_ENTRY_WRITER_H

#include "lsm/block_codec.h"
#include "types/entry_columns.h"

enum { ENTRY_BLOCK_FORMAT = 1 };

/* Flags of an entry's record and of its schema. */
enum entry_flags { ENTRY_LATE = 1, ENTRY_KINDS = 2, ENTRY_FLAGS_KNOWN = 3 };

struct entry_writer;

struct entry_writer *entry_writer_create(void);
void entry_writer_destroy(struct entry_writer *writer);
/* As block_codec.encode and block_codec.finish. */
bool entry_writer_encode(struct entry_writer *writer, const struct block_codec_row *rows,
                         size_t count, struct buffer *out);
void entry_writer_finish(struct entry_writer *writer, struct buffer *out);

/* Sizes of the last block's sections, in their order. */
struct entry_block_sizes {
    size_t shape, ids, columns[SECTION_COUNT];
};
struct entry_block_sizes entry_writer_sizes(const struct entry_writer *writer);

#endif
