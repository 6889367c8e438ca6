/* SPDX-License-Identifier: MIT */
/* A stream's own part of its header: what is visible, what comes next, and what waits to be
 * reclaimed. Bytes: ENCODING.md, "Streams". */
#ifndef TYPES_STREAM_HEADER_H
#define TYPES_STREAM_HEADER_H

#include "base/status.h"
#include "types/stream_id.h"

enum { STREAM_HEADER_BYTES_MAX = 256 };

/* Late entries: their event time is older than their ID. See stream_late.h. */
struct stream_late_info {
    uint64_t count;            /* in the index; 0: all other fields are 0 */
    struct stream_id first_id; /* no index record has a lower ID */
    struct stream_id last_id;  /* the newest late entry */
    uint64_t event_ms_min;     /* bounds of the event times in the index; they only widen */
    uint64_t event_ms_max;
    struct stream_id run_first_id; /* run_count > 0: the newest entries are late from here on */
    uint64_t run_count;
    uint64_t run_records; /* closed runs written to the index */
};

struct stream_header {
    uint64_t next_ordinal;  /* of the next entry; never goes back */
    uint64_t first_ordinal; /* of the first entry; next_ordinal when there is none */
    uint64_t length;        /* next_ordinal - first_ordinal, less single deletions between */
    uint64_t entries_added;
    struct stream_id last_id;  /* last generated; the upper bound of what is visible */
    struct stream_id first_id; /* of the first entry: the lower bound; 0-0 when there is none */
    struct stream_id max_deleted_id; /* by XDEL, not by trimming */

    /* Records of [garbage_id, first_id) may still be there, without a range tombstone. */
    struct stream_id garbage_id;
    uint64_t garbage_ordinal; /* first_ordinal - this = at most so many records; 0 wide: none */

    unsigned deletion_levels;         /* of the set of deleted ordinals; 0: it has no records */
    uint64_t deletion_reclaimed_leaf; /* leaves below have a range tombstone */

    struct stream_late_info late;
};

static inline uint64_t stream_header_deleted_count(const struct stream_header *header)
{
    return header->next_ordinal - header->first_ordinal - header->length;
}

/* Whether the ID lies within the bounds. */
static inline bool stream_header_covers(const struct stream_header *header, struct stream_id id)
{
    return header->length > 0 && stream_id_compare(id, header->first_id) >= 0 &&
           stream_id_compare(id, header->last_id) <= 0;
}

/* Returns the size. */
size_t stream_header_encode(const struct stream_header *header,
                            uint8_t at[STREAM_HEADER_BYTES_MAX]);
/* STATUS_CORRUPT for anything that _encode does not write; *header holds nothing useful then. */
enum status stream_header_decode(struct slice body, struct stream_header *header);

#endif
