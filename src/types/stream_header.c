/* SPDX-License-Identifier: MIT */
/* The header's bytes. Numbers that most streams do not need stand behind a flag, IDs near another one
 * as the difference of their milliseconds:
 *
 *   flags | next_ordinal | next - first ordinal | last ms | last seq
 *   [next > first:] last ms - first ms | first seq
 *   [DELETED]    deleted count
 *   [ADDED]      entries_added                 (else next_ordinal)
 *   [MAX_DELETED] ms | seq
 *   [GARBAGE]    first ordinal - garbage ordinal | ms | seq
 *   [DELETIONS]  levels | reclaimed leaf
 *   [LATE]       count | first ms, seq | last ms, seq | event min, max | run count [| ms, seq]
 *                | run records                                                                  */
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

static uint8_t *put_id(uint8_t *at, struct stream_id id)
{
    at += varint_store(at, id.ms);
    return at + varint_store(at, id.seq);
}

static uint8_t *put_late(uint8_t *at, const struct stream_late_info *late)
{
    at += varint_store(at, late->count);
    at = put_id(at, late->first_id);
    at = put_id(at, late->last_id);
    at += varint_store(at, late->event_ms_min);
    at += varint_store(at, late->event_ms_max);
    at += varint_store(at, late->run_count);
    if (late->run_count > 0)
        at = put_id(at, late->run_first_id);
    return at + varint_store(at, late->run_records);
}

static bool header_is_sound(const struct stream_header *header)
{
    uint64_t span = header->next_ordinal - header->first_ordinal;
    if (header->first_ordinal > header->next_ordinal || header->length > span)
        return false;
    if ((span == 0) != (header->length == 0))
        return false;
    if (header->length > 0 && stream_id_compare(header->first_id, header->last_id) > 0)
        return false;
    if (header->garbage_ordinal > header->first_ordinal)
        return false;
    if (header->deletion_levels > DELETION_LEVELS_MAX)
        return false;
    const struct stream_late_info *late = &header->late;
    if (late->count > 0 && (stream_id_compare(late->first_id, late->last_id) > 0 ||
                            late->event_ms_min > late->event_ms_max))
        return false;
    return late->run_count == 0 || late->count > 0;
}

size_t stream_header_encode(const struct stream_header *header, uint8_t at[STREAM_HEADER_BYTES_MAX])
{
    assert(header_is_sound(header));
    uint8_t flags = header_flags(header);
    uint8_t *next = at;
    *next++ = flags;
    next += varint_store(next, header->next_ordinal);
    next += varint_store(next, header->next_ordinal - header->first_ordinal);
    next = put_id(next, header->last_id);
    if (header->length > 0) {
        next += varint_store(next, header->last_id.ms - header->first_id.ms);
        next += varint_store(next, header->first_id.seq);
    }
    if (flags & HEADER_DELETED)
        next += varint_store(next, stream_header_deleted_count(header));
    if (flags & HEADER_ADDED)
        next += varint_store(next, header->entries_added);
    if (flags & HEADER_MAX_DELETED)
        next = put_id(next, header->max_deleted_id);
    if (flags & HEADER_GARBAGE) {
        next += varint_store(next, header->first_ordinal - header->garbage_ordinal);
        next = put_id(next, header->garbage_id);
    }
    if (flags & HEADER_DELETIONS) {
        next += varint_store(next, header->deletion_levels);
        next += varint_store(next, header->deletion_reclaimed_leaf);
    }
    if (flags & HEADER_LATE)
        next = put_late(next, &header->late);
    assert(next - at <= STREAM_HEADER_BYTES_MAX);
    return (size_t)(next - at);
}

static bool take_id(struct slice *body, struct stream_id *id)
{
    return slice_take_varint(body, &id->ms) && slice_take_varint(body, &id->seq);
}

static bool take_late(struct slice *body, struct stream_late_info *late)
{
    if (!slice_take_varint(body, &late->count) || late->count == 0)
        return false;
    if (!take_id(body, &late->first_id) || !take_id(body, &late->last_id))
        return false;
    if (!slice_take_varint(body, &late->event_ms_min) ||
        !slice_take_varint(body, &late->event_ms_max) ||
        !slice_take_varint(body, &late->run_count))
        return false;
    if (late->run_count > 0 && !take_id(body, &late->run_first_id))
        return false;
    return slice_take_varint(body, &late->run_records);
}

/* What stands before the optional parts. */
static bool take_base(struct slice *body, struct stream_header *header, uint8_t *flags)
{
    uint64_t span, ms_back;
    if (!slice_take_byte(body, flags) || (*flags & ~HEADER_KNOWN))
        return false;
    if (!slice_take_varint(body, &header->next_ordinal) || !slice_take_varint(body, &span) ||
        span > header->next_ordinal || !take_id(body, &header->last_id))
        return false;
    header->first_ordinal = header->next_ordinal - span;
    header->length = span;
    if (span == 0)
        return true;
    if (!slice_take_varint(body, &ms_back) || ms_back > header->last_id.ms ||
        !slice_take_varint(body, &header->first_id.seq))
        return false;
    header->first_id.ms = header->last_id.ms - ms_back;
    return true;
}

static bool take_options(struct slice *body, uint8_t flags, struct stream_header *header)
{
    uint64_t number;
    if (flags & HEADER_DELETED) {
        if (!slice_take_varint(body, &number) || number == 0 || number >= header->length)
            return false;
        header->length -= number;
    }
    header->entries_added = header->next_ordinal;
    if ((flags & HEADER_ADDED) && !slice_take_varint(body, &header->entries_added))
        return false;
    if ((flags & HEADER_MAX_DELETED) && !take_id(body, &header->max_deleted_id))
        return false;
    header->garbage_ordinal = header->first_ordinal;
    header->garbage_id = header->first_id;
    if (flags & HEADER_GARBAGE) {
        if (!slice_take_varint(body, &number) || number == 0 || number > header->first_ordinal ||
            !take_id(body, &header->garbage_id))
            return false;
        header->garbage_ordinal = header->first_ordinal - number;
    }
    if (flags & HEADER_DELETIONS) {
        if (!slice_take_varint(body, &number) || number == 0 || number > DELETION_LEVELS_MAX ||
            !slice_take_varint(body, &header->deletion_reclaimed_leaf))
            return false;
        header->deletion_levels = (unsigned)number;
    }
    return !(flags & HEADER_LATE) || take_late(body, &header->late);
}

enum status stream_header_decode(struct slice body, struct stream_header *header)
{
    struct stream_header decoded = {0};
    uint8_t flags;
    if (!take_base(&body, &decoded, &flags) || !take_options(&body, flags, &decoded) ||
        body.size > 0 || !header_is_sound(&decoded))
        return STATUS_CORRUPT;
    *header = decoded;
    return STATUS_OK;
}
