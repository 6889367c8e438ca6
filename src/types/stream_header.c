/* SPDX-License-Identifier: MIT */
/* The header's bytes. Numbers that most streams do not need stand behind a flag; times are written
 * as the distance below the last ID's, since nothing in a stream is newer:
 *
 *   flags | next_ordinal | next - first ordinal | last ms | last seq
 *   [next > first:] first ID
 *   [DELETED]     deleted count
 *   [ADDED]       entries_added                 (else next_ordinal)
 *   [MAX_DELETED] ID
 *   [GARBAGE]     first ordinal - garbage ordinal | ID
 *   [DELETIONS]   levels | reclaimed leaf
 *   [LATE]        count | first ID | last ID | lowest time | highest time | run count
 *                 [| its first ID] | run records
 *
 * where an ID is last ms - ms | seq and a time last ms - ms. */
#include "types/stream_header.h"

#include <assert.h>

enum header_flags {
    HEADER_DELETED = 1,
    HEADER_ADDED = 2,
    HEADER_MAX_DELETED = 4,
    HEADER_GARBAGE = 8,
    HEADER_DELETIONS = 16,
    HEADER_LATE = 32,
    HEADER_KNOWN = 63,
};

enum { DELETION_LEVELS_MAX = 10 };

/* No stream ever gives so many; what follows can be counted without an overflow. */
#define ORDINAL_MAX (UINT64_MAX / 2)

static uint8_t header_flags(const struct stream_header *header)
{
    uint8_t flags = 0;
    if (stream_header_deleted_count(header) > 0)
        flags |= HEADER_DELETED;
    if (header->entries_added != header->next_ordinal)
        flags |= HEADER_ADDED;
    if (stream_id_compare(header->max_deleted_id, STREAM_ID_MIN) != 0)
        flags |= HEADER_MAX_DELETED;
    if (header->garbage_ordinal < header->first_ordinal)
        flags |= HEADER_GARBAGE;
    if (header->deletion_levels > 0)
        flags |= HEADER_DELETIONS;
    if (header->late.count > 0)
        flags |= HEADER_LATE;
    return flags;
}

static uint8_t *put_id(uint8_t *at, uint64_t last_ms, struct stream_id id)
{
    assert(id.ms <= last_ms);
    at += varint_store(at, last_ms - id.ms);
    return at + varint_store(at, id.seq);
}

static uint8_t *put_late(uint8_t *at, uint64_t last_ms, const struct stream_late_info *late)
{
    assert(late->event_ms_max <= last_ms);
    at += varint_store(at, late->count);
    at = put_id(at, last_ms, late->first_id);
    at = put_id(at, last_ms, late->last_id);
    at += varint_store(at, last_ms - late->event_ms_min);
    at += varint_store(at, last_ms - late->event_ms_max);
    at += varint_store(at, late->run_count);
    if (late->run_count > 0)
        at = put_id(at, last_ms, late->run_first_id);
    return at + varint_store(at, late->run_records);
}

/* What the bytes could contradict: they cannot state any other disorder. */
static bool header_is_sound(const struct stream_header *header)
{
    if (header->length > 0 && stream_id_compare(header->first_id, header->last_id) > 0)
        return false;
    if (header->deletion_levels == 0 && stream_header_deleted_count(header) > 0)
        return false;
    const struct stream_late_info *late = &header->late;
    if (late->count > 0 && (stream_id_compare(late->first_id, late->last_id) > 0 ||
                            late->event_ms_min > late->event_ms_max))
        return false;
    if (header->next_ordinal > ORDINAL_MAX || late->count > header->next_ordinal ||
        late->run_count > header->next_ordinal || late->run_records > header->next_ordinal)
        return false;
    return late->run_count == 0 || late->count > 0;
}

size_t stream_header_encode(const struct stream_header *header, uint8_t at[STREAM_HEADER_BYTES_MAX])
{
    assert(header->first_ordinal <= header->next_ordinal);
    uint64_t span = header->next_ordinal - header->first_ordinal;
    assert(header->length <= span);
    assert((span == 0) == (header->length == 0));
    assert(header->garbage_ordinal <= header->first_ordinal);
    assert(header->deletion_levels <= DELETION_LEVELS_MAX);
    assert(header_is_sound(header));
    uint8_t flags = header_flags(header);
    uint64_t last_ms = header->last_id.ms;
    uint8_t *next = at;
    *next++ = flags;
    next += varint_store(next, header->next_ordinal);
    next += varint_store(next, span);
    next += varint_store(next, last_ms);
    next += varint_store(next, header->last_id.seq);
    if (header->length > 0)
        next = put_id(next, last_ms, header->first_id);
    if (flags & HEADER_DELETED)
        next += varint_store(next, stream_header_deleted_count(header));
    if (flags & HEADER_ADDED)
        next += varint_store(next, header->entries_added);
    if (flags & HEADER_MAX_DELETED)
        next = put_id(next, last_ms, header->max_deleted_id);
    if (flags & HEADER_GARBAGE) {
        next += varint_store(next, header->first_ordinal - header->garbage_ordinal);
        next = put_id(next, last_ms, header->garbage_id);
    }
    if (flags & HEADER_DELETIONS) {
        next += varint_store(next, header->deletion_levels);
        next += varint_store(next, header->deletion_reclaimed_leaf);
    }
    if (flags & HEADER_LATE)
        next = put_late(next, last_ms, &header->late);
    assert(next - at <= STREAM_HEADER_BYTES_MAX);
    return (size_t)(next - at);
}

/* A time that is written as the distance below the last ID's. */
static bool take_ms(struct slice *body, uint64_t last_ms, uint64_t *ms)
{
    uint64_t back;
    if (!slice_take_varint(body, &back) || back > last_ms)
        return false;
    *ms = last_ms - back;
    return true;
}

static bool take_id(struct slice *body, uint64_t last_ms, struct stream_id *id)
{
    return take_ms(body, last_ms, &id->ms) && slice_take_varint(body, &id->seq);
}

static bool take_late(struct slice *body, uint64_t last_ms, struct stream_late_info *late)
{
    if (!slice_take_varint(body, &late->count) || late->count == 0)
        return false;
    if (!take_id(body, last_ms, &late->first_id) || !take_id(body, last_ms, &late->last_id))
        return false;
    if (!take_ms(body, last_ms, &late->event_ms_min) ||
        !take_ms(body, last_ms, &late->event_ms_max) || !slice_take_varint(body, &late->run_count))
        return false;
    if (late->run_count > 0 && !take_id(body, last_ms, &late->run_first_id))
        return false;
    return slice_take_varint(body, &late->run_records);
}

/* What stands before the optional parts. */
static bool take_base(struct slice *body, struct stream_header *header, uint8_t *flags)
{
    uint64_t span;
    if (!slice_take_byte(body, flags) || (*flags & ~HEADER_KNOWN))
        return false;
    if (!slice_take_varint(body, &header->next_ordinal) || !slice_take_varint(body, &span) ||
        span > header->next_ordinal || !slice_take_varint(body, &header->last_id.ms) ||
        !slice_take_varint(body, &header->last_id.seq))
        return false;
    header->first_ordinal = header->next_ordinal - span;
    header->length = span;
    return span == 0 || take_id(body, header->last_id.ms, &header->first_id);
}

static bool take_options(struct slice *body, uint8_t flags, struct stream_header *header)
{
    uint64_t number, last_ms = header->last_id.ms;
    if (flags & HEADER_DELETED) {
        if (!slice_take_varint(body, &number) || number == 0 || number >= header->length)
            return false;
        header->length -= number;
    }
    header->entries_added = header->next_ordinal;
    if ((flags & HEADER_ADDED) && !slice_take_varint(body, &header->entries_added))
        return false;
    if ((flags & HEADER_MAX_DELETED) && !take_id(body, last_ms, &header->max_deleted_id))
        return false;
    header->garbage_ordinal = header->first_ordinal;
    header->garbage_id = header->first_id;
    if (flags & HEADER_GARBAGE) {
        if (!slice_take_varint(body, &number) || number == 0 || number > header->first_ordinal ||
            !take_id(body, last_ms, &header->garbage_id))
            return false;
        header->garbage_ordinal = header->first_ordinal - number;
    }
    if (flags & HEADER_DELETIONS) {
        if (!slice_take_varint(body, &number) || number == 0 || number > DELETION_LEVELS_MAX ||
            !slice_take_varint(body, &header->deletion_reclaimed_leaf))
            return false;
        header->deletion_levels = (unsigned)number;
    }
    return !(flags & HEADER_LATE) || take_late(body, last_ms, &header->late);
}

enum status stream_header_decode(struct slice body, struct stream_header *header)
{
    uint8_t flags;
    memset(header, 0, sizeof *header);
    if (!take_base(&body, header, &flags) || !take_options(&body, flags, header) || body.size > 0 ||
        !header_is_sound(header) || header_flags(header) != flags)
        return STATUS_CORRUPT;
    return STATUS_OK;
}
