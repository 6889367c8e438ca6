/* SPDX-License-Identifier: MIT */
#include "lsm/wal_group.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>
#include <lz4.h>

enum {
    WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST,
    PAGES_MIN = 3,          /* of a group; of less hardly a page can be saved */
    SAVED_SHARE = 8,        /* one n-th of a group must be saved, in whole pages */
    UNTRIED_COUNT_MAX = 63, /* groups in a row that are not tried */
};

_Static_assert(2 * VARINT_BYTES_MAX < (int)WAL_FRAME_HEAD_BYTES, "unpacked frames take no more");
_Static_assert(WAL_FRAME_BYTES_MAX < LZ4_MAX_INPUT_SIZE, "any frame can be compressed");

struct wal_group_writer {
    uint32_t seed, page_bytes;
    unsigned untried_count,
        untried_left;         /* by the last failure: groups not to try, those still to come */
    size_t span_max;          /* of frames */
    uint8_t *packed, *stored; /* span_max each */
};

/* ---- Writing ------------------------------------------------------------------------------- */

struct wal_group_writer *wal_group_writer_create(uint32_t seed, uint32_t page_bytes,
                                                 size_t span_max)
{
    assert(page_bytes > 0);
    struct wal_group_writer *writer = memory_zeroed(1, sizeof(*writer));
    writer->seed = seed;
    writer->page_bytes = page_bytes;
    writer->span_max = span_max;
    writer->packed = memory_try_allocate(span_max);
    writer->stored = memory_try_allocate(span_max);
    if (writer->packed && writer->stored)
        return writer;
    wal_group_writer_destroy(writer);
    return NULL;
}

void wal_group_writer_destroy(struct wal_group_writer *writer)
{
    if (!writer)
        return;
    memory_free(writer->packed);
    memory_free(writer->stored);
    memory_free(writer);
}

size_t wal_group_span_min(const struct wal_group_writer *writer)
{
    return (size_t)PAGES_MIN * writer->page_bytes;
}

size_t wal_group_span(struct slice frames)
{
    size_t span = 0;
    do {
        const struct wal_frame frame = wal_frame_peek(frames.data + span);
        if (span > 0 && (frame.flags != WHOLE || span + frame.span > WAL_GROUP_SPAN_TARGET))
            break;
        span += frame.span;
        if (frame.flags != WHOLE)
            break;
    } while (span < frames.size);
    assert(span <= frames.size);
    return span;
}

/* How many bytes of a group at `file_offset` may be written so that enough is saved: of the pages behind
 * them none holds anything of its neighbours. 0: none. */
static size_t stored_bytes_max(const struct wal_group_writer *writer, uint64_t file_offset,
                               size_t span)
{
    uint64_t page_bytes = writer->page_bytes;
    if (span < wal_group_span_min(writer))
        return 0;
    uint64_t pages = (span / SAVED_SHARE + page_bytes - 1) / page_bytes;
    uint64_t end = (file_offset + span) / page_bytes * page_bytes;
    return (size_t)(end - pages * page_bytes - file_offset);
}

/* Packs the frames; returns their number. */
static uint32_t pack(struct wal_group_writer *writer, struct slice frames, size_t *packed_bytes)
{
    uint32_t count = 0;
    uint8_t *at = writer->packed;
    while (frames.size > 0) {
        const struct wal_frame frame = wal_frame_peek(frames.data);
        at += varint_store(at, frame.length);
        at += varint_store(at, frame.count);
        if (frame.length)
            memcpy(at, frames.data + WAL_FRAME_HEAD_BYTES, frame.length);
        at += frame.length;
        frames = slice_skip(frames, frame.span);
        count++;
    }
    *packed_bytes = (size_t)(at - writer->packed);
    return count;
}

static void note_failure(struct wal_group_writer *writer)
{
    writer->untried_count = 2 * writer->untried_count + 1;
    if (writer->untried_count > UNTRIED_COUNT_MAX)
        writer->untried_count = UNTRIED_COUNT_MAX;
    writer->untried_left = writer->untried_count;
}

struct slice wal_group_store(struct wal_group_writer *writer, struct slice frames,
                             uint64_t file_offset, lsn_t durable)
{
    enum { BEFORE_BLOCK = WAL_FRAME_HEAD_BYTES + WAL_GROUP_SPAN_BYTES };
    const struct slice none = {0};
    assert(frames.size <= writer->span_max);
    const struct wal_frame first = wal_frame_peek(frames.data);
    size_t packed_bytes, bytes_max = stored_bytes_max(writer, file_offset, frames.size);
    if (bytes_max <= BEFORE_BLOCK)
        return none;
    assert((first.flags & ~WHOLE) == 0); /* a skip is too small */
    if (writer->untried_left > 0) {
        writer->untried_left--;
        return none;
    }
    uint32_t count = pack(writer, frames, &packed_bytes);
    uint8_t *block = writer->stored + BEFORE_BLOCK;
    int block_bytes = LZ4_compress_default((const char *)writer->packed, (char *)block,
                                           (int)packed_bytes, (int)(bytes_max - BEFORE_BLOCK));
    if (block_bytes <= 0) {
        note_failure(writer);
        return none;
    }
    writer->untried_count = 0;
    const struct wal_frame group = {
        .lsn = first.lsn,
        .durable_lsn = durable,
        .epoch = first.epoch,
        .count = count,
        .length = WAL_GROUP_SPAN_BYTES + (uint32_t)block_bytes,
        .flags = first.flags | WAL_FRAME_COMPRESSED,
    };
    le32_store(writer->stored + WAL_FRAME_HEAD_BYTES, (uint32_t)frames.size);
    wal_frame_seal(writer->stored, &group, writer->seed);
    return slice_make(writer->stored, WAL_FRAME_HEAD_BYTES + (size_t)group.length);
}

/* ---- Reading ------------------------------------------------------------------------------- */

bool wal_group_next(const struct wal_frame *group, struct slice *frames, lsn_t *lsn,
                    struct wal_frame *frame, struct slice *payload)
{
    uint64_t length, count;
    struct slice rest = *frames;
    if (!slice_take_varint(&rest, &length) || !slice_take_varint(&rest, &count) ||
        length > rest.size || length > WAL_FRAME_PAYLOAD_MAX || count > UINT32_MAX)
        return false;
    struct wal_frame found = {
        .lsn = *lsn,
        .durable_lsn = group->durable_lsn,
        .epoch = group->epoch,
        .count = (uint32_t)count,
        .length = (uint32_t)length,
        .span = WAL_FRAME_HEAD_BYTES + (uint32_t)length,
        .flags = group->flags & WHOLE,
    };
    if (!wal_frame_is_well_formed(&found))
        return false;
    *frame = found;
    *payload = slice_make(rest.data, (size_t)length);
    *frames = slice_skip(rest, (size_t)length);
    *lsn += found.span;
    return true;
}

bool wal_group_unpack(const struct wal_frame *group, struct slice payload, uint8_t *to,
                      struct slice *frames)
{
    assert(group->flags & WAL_FRAME_COMPRESSED);
    assert(payload.size == group->length);
    struct slice block = slice_skip(payload, WAL_GROUP_SPAN_BYTES);
    int size = LZ4_decompress_safe((const char *)block.data, (char *)to, (int)block.size,
                                   (int)group->span);
    if (size <= 0)
        return false;
    struct slice all = slice_make(to, (size_t)size), rest = all, ignored;
    struct wal_frame frame;
    lsn_t lsn = group->lsn;
    uint32_t count = 0;
    while (wal_group_next(group, &rest, &lsn, &frame, &ignored))
        count++;
    if (rest.size > 0 || count != group->count || lsn != group->lsn + group->span)
        return false;
    *frames = all;
    return true;
}
