/* SPDX-License-Identifier: MIT */
/* Segment files of the WAL (FORMAT.md, "WAL"): made, zero-filled ahead, recycled, listed.
 *
 *   | header, 4096 bytes | capacity = segment bytes - 4096, where the frames are |
 *
 * The file's name is its base LSN: 16 hex digits and ".wal". */
#ifndef LSM_WAL_SEGMENT_H
#define LSM_WAL_SEGMENT_H

#include "lsm/cursor.h"

enum { WAL_HEADER_BYTES = 4096, WAL_SEGMENT_PATH_MAX = 4096 };

struct wal_header {
    uint64_t store_id;
    lsn_t base;
    uint64_t segment_bytes; /* of the file, this header included */
    uint64_t epoch;         /* no frame of a lower one counts here */
};

struct wal_segment {
    struct wal_header header;
    struct vfs_file *file;
    bool dirty; /* written since the last sync began; guarded by the WAL's mutex */
};

static inline lsn_t wal_header_end(const struct wal_header *header)
{
    return header->base + header->segment_bytes - WAL_HEADER_BYTES;
}

static inline uint64_t wal_header_offset(const struct wal_header *header, lsn_t lsn)
{
    return WAL_HEADER_BYTES + (lsn - header->base);
}

void wal_segment_path(const char *directory, lsn_t base, char *path, size_t size);

/* `at` has WAL_HEADER_BYTES bytes. */
void wal_header_encode(uint8_t *at, const struct wal_header *header);
/* STATUS_CORRUPT (checksum, magic, sizes), STATUS_UNSUPPORTED (a later version). */
enum status wal_header_decode(const uint8_t *at, struct wal_header *header);
/* Reads a segment's header and checks it against the file: its name, its size and the store.
 * STATUS_CORRUPT with `why` (static) set. */
enum status wal_header_read(struct vfs_file *file, lsn_t base, uint64_t store_id,
                            struct wal_header *header, const char **why);

/* Base LSNs of all files that have a segment's name, ascending; *bases from memory_allocate. A
 * missing directory is an empty list. */
enum status wal_segment_list(const struct env *env, const char *directory, lsn_t **bases,
                             size_t *count);

/* A new file, zero-filled, header and directory synced. Leaves nothing behind on failure. */
enum status wal_segment_create(const struct env *env, const char *directory,
                               const struct wal_header *header, struct wal_segment **segment);
/* Zeros from file offset `from` to `to`. */
enum status wal_segment_fill(struct vfs_file *file, uint64_t from, uint64_t to);
/* Opens an existing one whose header is sound. STATUS_CORRUPT otherwise. */
enum status wal_segment_open(const struct env *env, const char *directory, lsn_t base,
                             uint64_t store_id, struct wal_segment **segment);
/* Gives the segment a new base and epoch; old frames stay in it, at positions that are not theirs.
 * After an error the segment is of no use: close and remove it. */
enum status wal_segment_recycle(const struct env *env, const char *directory,
                                struct wal_segment *segment, lsn_t base, uint64_t epoch);
/* Rewrites the header with a new epoch and syncs. */
enum status wal_segment_set_epoch(struct wal_segment *segment, uint64_t epoch);
/* Zeros the log from `from` to `to`, both within the segment, and syncs. */
enum status wal_segment_erase(struct wal_segment *segment, lsn_t from, lsn_t to);
void wal_segment_close(struct wal_segment *segment); /* NULL is fine */
enum status wal_segment_remove(const struct env *env, const char *directory, lsn_t base);

#endif
