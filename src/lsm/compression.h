/* SPDX-License-Identifier: MIT */
/* What blocks are compressed by: LZ4, and Zstandard where the program was built with it. No other file knows
 * their libraries. */
#ifndef LSM_COMPRESSION_H
#define LSM_COMPRESSION_H

#include "base/buffer.h"
#include "base/status.h"
#include "lsm/block_codec.h"

/* On disk; never reuse a number. */
enum block_compression {
    COMPRESSION_PLAIN = 0,
    COMPRESSION_LZ4 = 1,  /* one block of its block format */
    COMPRESSION_ZSTD = 2, /* one frame that states the size of its content */
};

/* Whether this program can unfold it. Not a number that it does not know, nor Zstandard if it was built
 * without. */
bool compression_is_known(unsigned compression);
/* For tests: Zstandard is as unknown as to a program without it. */
void compression_hide_zstd(bool hide);
/* Nothing unfolds to more than this many times its size. */
uint32_t compression_ratio_max(enum block_compression compression);

/* What blocks are to be compressed by. Belongs to one thread at a time. */
struct compressor {
    enum block_compression compression; /* COMPRESSION_PLAIN: by nothing */
    int level;                          /* of Zstandard, 1 to 19 */
    void *context;                      /* of Zstandard: made when it is first used, and kept */
};
void compressor_release(struct compressor *compressor);
/* Appends `raw` compressed and returns by what; COMPRESSION_PLAIN, and nothing appended, when that is
 * not smaller by a sixteenth. `parts` (NULL: one) are of `raw`. Where there is no memory for Zstandard, LZ4
 * serves. */
enum block_compression compressor_append(struct compressor *compressor, struct slice raw,
                                         const struct block_parts *parts, struct buffer *out);

/* The content of `stored`, of at most size_max bytes; *raw comes from memory_allocate. Any thread; safe
 * on any input. STATUS_CORRUPT, _NO_MEMORY, _UNSUPPORTED (not known, see above). */
enum status compression_unfold(enum block_compression compression, struct slice stored,
                               size_t size_max, uint8_t **raw, size_t *raw_bytes);

#endif
