/* SPDX-License-Identifier: MIT */
/* A host's own layout for the blocks of a tree. A block is made from rows and decodes to the same
 * rows; what the blocks of one table share (templates) is the table's dictionary. The engine
 * compresses, checksums, caches, and falls back to rows. The caller keeps the table of functions as
 * long as a database, or a tool that was handed it, may use it. */
#ifndef LSM_BLOCK_CODEC_H
#define LSM_BLOCK_CODEC_H

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

struct block_codec_row {
    struct slice key, value; /* a put */
};

/* Parts of a block that are unlike each other, front to end: a compressor may keep statistics for each. */
enum { BLOCK_PARTS_MAX = 8 };
struct block_parts {
    size_t sizes[BLOCK_PARTS_MAX]; /* bytes */
    size_t count;
};

struct block_codec {
    const char *name; /* stands in a table's properties; a table with another name is refused,
                         STATUS_UNSUPPORTED */
    /* Building: one encoder a table, one thread at a time. */
    void *(*encoder_create)(void);
    void (*encoder_destroy)(void *encoder);
    /* Appends the block of these rows (count > 0, keys ascending, distinct) to `out`. false, and
     * nothing appended, when rows serve better: a row is not of its kind, or the result is not
     * smaller. */
    bool (*encode)(void *encoder, const struct block_codec_row *rows, size_t count,
                   struct buffer *out);
    /* The parts of what the last encode appended; what else it has belongs to the first. NULL: one part. */
    void (*parts)(const void *encoder, struct block_parts *parts);
    /* The table's dictionary, after its last block. Leaves `out` empty when there is none. */
    void (*finish)(void *encoder, struct buffer *out);
    /* Reading: any thread. `bytes` need not stay. STATUS_CORRUPT, STATUS_NO_MEMORY. *memory_bytes:
     * what it takes. */
    enum status (*dictionary_open)(struct slice bytes, void **dictionary, size_t *memory_bytes);
    void (*dictionary_close)(void *dictionary);
    /* Tells every row in order; keys and values together are at most raw_bytes_max, else
     * STATUS_CORRUPT. dictionary may be NULL (none). Safe on any input. */
    enum status (*decode)(const void *dictionary, struct slice content, size_t raw_bytes_max,
                          void (*row)(void *context, struct slice key, struct slice value),
                          void *context);
    /* The same, but of each value its head alone, whatever that is to the host: for reads that want no more
     * (lsm_iter_options.heads), faster than `decode`. NULL: there is no such thing. */
    enum status (*decode_heads)(const void *dictionary, struct slice content, size_t raw_bytes_max,
                                void (*row)(void *context, struct slice key, struct slice value),
                                void *context);
};

#endif
