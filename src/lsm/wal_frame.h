/* SPDX-License-Identifier: MIT */
/* Frames of the WAL and the records in them (FORMAT.md, "WAL"). Pure functions over bytes.
 *
 *   0         4        8     16      20                 24      28      29
 *   | crc32c  | length | LSN | epoch | durable distance | count | flags | payload ...
 *
 * The checksum is masked, covers everything behind itself, and is seeded by the store's id, so that
 * neither another store's frame nor a value that imitates a frame is taken for one. The durable
 * distance is LSN - durable LSN known when the frame was written, at most 2^32-1 (a longer one is
 * stated as that: still true, only weaker). */
#ifndef LSM_WAL_FRAME_H
#define LSM_WAL_FRAME_H

#include "lsm/cursor.h"

enum {
    WAL_FRAME_HEAD_BYTES = 29,
    WAL_FRAME_PAYLOAD_MAX = 1 << 20,
    WAL_FRAME_BYTES_MAX = WAL_FRAME_HEAD_BYTES + WAL_FRAME_PAYLOAD_MAX,
};

enum wal_frame_flag {
    WAL_FRAME_FIRST = 1,      /* begins a batch */
    WAL_FRAME_LAST = 2,       /* ends a batch */
    WAL_FRAME_SKIP = 4,       /* the rest of the segment is unused; alone, no payload */
    WAL_FRAME_COMPRESSED = 8, /* a group of frames, wal_group.h */
};

struct wal_frame {
    lsn_t lsn;
    lsn_t durable_lsn;
    uint32_t epoch;
    uint32_t
        count; /* records of the whole batch, the same in all frames of a chain; of a group: frames */
    uint32_t length; /* payload bytes */
    uint32_t
        span; /* positions that it takes: those of its bytes, of a group those of its frames; not
                      * in the head: decoding sets it, sealing does not look at it */
    uint8_t flags;
};

enum wal_frame_result {
    WAL_FRAME_VALID,
    WAL_FRAME_BAD,
    WAL_FRAME_FOREIGN, /* the checksum is right, but the flags are not of this version */
};

uint32_t wal_frame_seed(uint64_t store_id);

/* Writes the head at `at`; the payload (frame->length bytes) already lies behind it. */
void wal_frame_seal(uint8_t *at, const struct wal_frame *frame, uint32_t seed);

/* The head of a frame that this program has sealed, and that is no group. */
struct wal_frame wal_frame_peek(const uint8_t *at);
/* Whether flags, length and count agree; of what is no group. */
bool wal_frame_is_well_formed(const struct wal_frame *frame);

/* A head that could be of a frame at LSN `position` with an epoch >= epoch_min, checksum apart.
 * `at` has WAL_FRAME_HEAD_BYTES bytes. */
bool wal_frame_is_plausible(const uint8_t *at, lsn_t position, uint32_t epoch_min,
                            struct wal_frame *frame);
/* Decodes the frame at the front of `input`. BAD also when the input ends within it. Of a group only the
 * head and the span are looked at. */
enum wal_frame_result wal_frame_decode(struct slice input, lsn_t position, uint32_t epoch_min,
                                       uint32_t seed, struct wal_frame *frame);

#endif
