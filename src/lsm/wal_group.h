/* SPDX-License-Identifier: MIT */
/* Groups: neighbouring frames of the WAL that are stored as one, compressed (FORMAT.md, "Groups").
 *
 *   positions     a                                                    a + span
 *                 | frame | frame | frame | frame | frame | frame | frame |
 *   in the file   | head | span le32 | LZ4 block |  bytes that count for nothing |
 *
 * A group takes the positions of its frames, so LSNs are what they are without compression; what it
 * saves is not written. Its head is that of a frame at `a` with the flag COMPRESSED and the flags that
 * all its frames have; `count` is the number of its frames. A frame in the block is
 *
 *   length varint | count varint | payload
 *
 * for the rest of its head follows from the group's. The frames are batches of one frame each, or one
 * frame of a chain: so no batch ends within a group unless the group ends with a whole batch too, and
 * the log is never cut within one. */
#ifndef LSM_WAL_GROUP_H
#define LSM_WAL_GROUP_H

#include "lsm/wal_frame.h"

enum {
    WAL_GROUP_SPAN_BYTES = 4,          /* in front of the block */
    WAL_GROUP_SPAN_TARGET = 256 << 10, /* several frames together take no more; one may */
};

/* ---- Writing ------------------------------------------------------------------------------- */

/* Of a log's writing side, used by one thread at a time. */
struct wal_group_writer;

/* `page_bytes`: what the file system writes at least; `span_max`: of frames to be stored as one group. NULL: no
 * memory. */
struct wal_group_writer *wal_group_writer_create(uint32_t seed, uint32_t page_bytes,
                                                 size_t span_max);
void wal_group_writer_destroy(struct wal_group_writer *writer); /* NULL is fine */

/* Frames of fewer bytes are not worth a look. */
size_t wal_group_span_min(const struct wal_group_writer *writer);
/* `frames`: sealed frames that lie one behind the other, at least one. Bytes of those at the front that
 * may be one group. */
size_t wal_group_span(struct slice frames);
/* What to write instead of `frames`, which are as many as wal_group_span said and belong at
 * `file_offset`; valid until the next call. Empty: they are to be written as they are, since too few
 * pages would stay unwritten; after such a failure some later ones are not tried. `durable`: the log is
 * durable up to there, at most the first frame's LSN. */
struct slice wal_group_store(struct wal_group_writer *writer, struct slice frames,
                             uint64_t file_offset, lsn_t durable);

/* ---- Reading ------------------------------------------------------------------------------- */

/* Unpacks the payload of a decoded group into `to`, which has group->span bytes; *frames is there. false:
 * the payload does not hold what the head states, and the group is no frame of the log. */
bool wal_group_unpack(const struct wal_frame *group, struct slice payload, uint8_t *to,
                      struct slice *frames);
/* Takes the next of the unpacked frames; *lsn is its position, and then that of the one behind it (at first
 * the group's). false at the end, or where there is none that could be sealed. */
bool wal_group_next(const struct wal_frame *group, struct slice *frames, lsn_t *lsn,
                    struct wal_frame *frame, struct slice *payload);

#endif
