/* SPDX-License-Identifier: MIT */
/* Frames of the WAL and the records in them; drawn in wal_frame.h.
 *
 *   record = kind | tree << 4 (one byte), key size varint, key, [value size varint, value]
 *            a deletion has no value; a range deletion's key and value are its bounds */
#include "lsm/wal_frame.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lsm/wal.h"
#include "lsm/wal_group.h"

#include <assert.h>

enum {
    WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST,
    FLAGS_KNOWN = WHOLE | WAL_FRAME_SKIP | WAL_FRAME_COMPRESSED,
};

_Static_assert(LSM_TREES_MAX <= 16, "a tree fits half a byte");

uint32_t wal_frame_seed(uint64_t store_id)
{
    uint8_t bytes[8];
    le64_store(bytes, store_id);
    return crc32c(bytes, sizeof(bytes));
}

void wal_frame_seal(uint8_t *at, const struct wal_frame *frame, uint32_t seed)
{
    assert(frame->length <= WAL_FRAME_PAYLOAD_MAX);
    assert(frame->durable_lsn <= frame->lsn);
    lsn_t distance = frame->lsn - frame->durable_lsn;
    le32_store(at + 4, frame->length);
    le64_store(at + 8, frame->lsn);
    le32_store(at + 16, frame->epoch);
    le32_store(at + 20, distance > UINT32_MAX ? UINT32_MAX : (uint32_t)distance);
    le32_store(at + 24, frame->count);
    at[28] = frame->flags;
    uint32_t crc = crc32c_extend(seed, at + 4, WAL_FRAME_HEAD_BYTES - 4 + (size_t)frame->length);
    le32_store(at, crc32c_mask(crc));
}

struct wal_frame wal_frame_peek(const uint8_t *at)
{
    struct wal_frame frame = {
        .lsn = le64_load(at + 8),
        .epoch = le32_load(at + 16),
        .count = le32_load(at + 24),
        .length = le32_load(at + 4),
        .flags = at[28],
    };
    frame.durable_lsn = frame.lsn - le32_load(at + 20);
    frame.span = WAL_FRAME_HEAD_BYTES + frame.length;
    return frame;
}

bool wal_frame_is_plausible(const uint8_t *at, lsn_t position, uint32_t epoch_min,
                            struct wal_frame *frame)
{
    if (le64_load(at + 8) != position)
        return false;
    const struct wal_frame found = wal_frame_peek(at);
    if (found.length > WAL_FRAME_PAYLOAD_MAX || found.epoch < epoch_min ||
        found.durable_lsn > position)
        return false;
    *frame = found;
    return true;
}

/* SKIP stands alone and empty; an empty payload is a whole batch without records. */
bool wal_frame_is_well_formed(const struct wal_frame *frame)
{
    if (frame->flags & WAL_FRAME_SKIP)
        return frame->flags == WAL_FRAME_SKIP && frame->length == 0 && frame->count == 0;
    if (frame->length == 0)
        return (frame->flags & WHOLE) == WHOLE && frame->count == 0;
    return frame->count > 0;
}

/* It saves something, takes no more than a frame may, and holds whole batches or one frame. */
static bool group_is_well_formed(const struct wal_frame *group)
{
    if (group->flags & WAL_FRAME_SKIP)
        return false;
    if (group->span <= WAL_FRAME_HEAD_BYTES + group->length || group->span > WAL_FRAME_BYTES_MAX)
        return false;
    return group->count == 1 || (group->count > 1 && (group->flags & WHOLE) == WHOLE);
}

enum wal_frame_result wal_frame_decode(struct slice input, lsn_t position, uint32_t epoch_min,
                                       uint32_t seed, struct wal_frame *frame)
{
    struct wal_frame found;
    if (input.size < WAL_FRAME_HEAD_BYTES ||
        !wal_frame_is_plausible(input.data, position, epoch_min, &found))
        return WAL_FRAME_BAD;
    size_t covered = WAL_FRAME_HEAD_BYTES - 4 + (size_t)found.length;
    if (input.size - 4 < covered)
        return WAL_FRAME_BAD;
    uint32_t crc = crc32c_extend(seed, input.data + 4, covered);
    if (crc32c_mask(crc) != le32_load(input.data))
        return WAL_FRAME_BAD;
    if (found.flags & ~FLAGS_KNOWN)
        return WAL_FRAME_FOREIGN;
    bool is_group = found.flags & WAL_FRAME_COMPRESSED;
    if (is_group && found.length <= WAL_GROUP_SPAN_BYTES)
        return WAL_FRAME_BAD;
    if (is_group)
        found.span = le32_load(input.data + WAL_FRAME_HEAD_BYTES);
    if (!(is_group ? group_is_well_formed(&found) : wal_frame_is_well_formed(&found)))
        return WAL_FRAME_BAD;
    *frame = found;
    return WAL_FRAME_VALID;
}

void wal_record_append(struct buffer *payload, enum entry_kind kind, unsigned tree,
                       struct slice key, struct slice value)
{
    assert(tree < LSM_TREES_MAX);
    assert(kind <= ENTRY_DELETE_RANGE);
    assert(kind != ENTRY_DELETE || value.size == 0);
    buffer_reserve(payload, 1 + 2 * VARINT_BYTES_MAX + key.size + value.size);
    uint8_t *at = payload->data + payload->size;
    *at++ = (uint8_t)(kind | tree << 4);
    at += varint_store(at, key.size);
    if (key.size)
        memcpy(at, key.data, key.size);
    at += key.size;
    if (kind != ENTRY_DELETE) {
        at += varint_store(at, value.size);
        if (value.size)
            memcpy(at, value.data, value.size);
        at += value.size;
    }
    payload->size = (size_t)(at - payload->data);
}

bool wal_record_next(struct slice *records, struct wal_record *record, bool *bad)
{
    *bad = false;
    if (records->size == 0)
        return false;
    struct slice rest = *records;
    struct wal_record found = {0};
    uint8_t head = rest.data[0];
    rest = slice_skip(rest, 1);
    *bad = true;
    found.kind = head & 15;
    found.tree = head >> 4;
    if (found.kind > ENTRY_DELETE_RANGE || found.tree >= LSM_TREES_MAX)
        return false;
    if (!slice_take_sized(&rest, &found.key) || found.key.size > LSM_KEY_BYTES_MAX)
        return false;
    if (found.kind != ENTRY_DELETE && !slice_take_sized(&rest, &found.value))
        return false;
    *bad = false;
    *record = found;
    *records = rest;
    return true;
}
