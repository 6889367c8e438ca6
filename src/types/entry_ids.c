/* SPDX-License-Identifier: MIT */
/*   id = varint ms step << 1                        seq and ordinal are the expected ones
 *      | varint flags << 1 | 1 | [GENERATION: varint step] | [OBJECT: varint]
 *        | varint ms step | [SEQ: varint] | [ORDINAL: zigzag]
 *
 *   ms step   in a stream: ms - ms before; in another one: zigzag of it
 *   OBJECT    in a generation: object - object before, in another one: object
 *   SEQ       seq - expected: 0, or, if ms is the one before, seq before + 1
 *   ORDINAL   ordinal - expected: ordinal before + 1, or, in another stream, 0 */
#include "types/entry_ids.h"

#include "base/coding.h"

#include <assert.h>

enum id_flags {
    ID_OBJECT = 1,
    ID_GENERATION = 2, /* with ID_OBJECT */
    ID_SEQ = 4,
    ID_ORDINAL = 8,
    ID_KNOWN = 15,
};

struct entry_id entry_id_make(const uint8_t key[STREAM_ENTRY_KEY_BYTES], uint64_t ordinal)
{
    return (struct entry_id){
        .generation = be32_load(key),
        .object = be64_load(key + 4),
        .id = {be64_load(key + OBJECT_PREFIX_BYTES), be64_load(key + OBJECT_PREFIX_BYTES + 8)},
        .ordinal = ordinal,
        .is_entry = true,
    };
}

void entry_id_store_key(const struct entry_id *id, uint8_t key[STREAM_ENTRY_KEY_BYTES])
{
    object_prefix_store(key, id->generation, id->object);
    stream_id_store(key + OBJECT_PREFIX_BYTES, id->id);
}

void entry_id_write(struct buffer *out, struct entry_id *before, const struct entry_id *id)
{
    bool same_generation = before->is_entry && id->generation == before->generation;
    bool same_object = same_generation && id->object == before->object;
    uint64_t ms_step = id->id.ms - before->id.ms;
    uint64_t seq = id->id.seq - (same_object && ms_step == 0 ? before->id.seq + 1 : 0);
    uint64_t ordinal = id->ordinal - (same_object ? before->ordinal + 1 : 0);
    unsigned flags = (same_object ? 0u : ID_OBJECT) | (same_generation ? 0u : ID_GENERATION) |
                     (seq ? ID_SEQ : 0u) | (ordinal ? ID_ORDINAL : 0u);
    uint32_t generation_step = id->generation - before->generation;
    uint64_t object_step = id->object - (same_generation ? before->object : 0);
    *before = *id;
    if (flags == 0 && ms_step <= UINT64_MAX / 2) {
        buffer_append_varint(out, ms_step << 1);
        return;
    }
    buffer_append_varint(out, flags << 1 | 1);
    if (flags & ID_GENERATION)
        buffer_append_varint(out, generation_step);
    if (flags & ID_OBJECT)
        buffer_append_varint(out, object_step);
    buffer_append_varint(out, same_object ? ms_step : zigzag_encode((int64_t)ms_step));
    if (flags & ID_SEQ)
        buffer_append_varint(out, seq);
    if (flags & ID_ORDINAL)
        buffer_append_varint(out, zigzag_encode((int64_t)ordinal));
}

/* The object that follows *id's by what the flags announce; false: damaged, or not above it. */
static bool take_object(struct slice *input, uint64_t flags, struct entry_id *id)
{
    uint64_t step = 0, object;
    if (flags & ID_GENERATION) {
        if (!slice_take_varint(input, &step) || step > UINT32_MAX - id->generation ||
            (step == 0 && id->is_entry))
            return false;
        id->generation += (uint32_t)step;
        id->object = 0;
    }
    if (!slice_take_varint(input, &object) || object > UINT64_MAX - id->object ||
        (object == 0 && !(flags & ID_GENERATION)))
        return false;
    id->object += object;
    return true;
}

/* An id whose first number has its lowest bit set; `flags` are the others. */
static bool take_flagged(struct slice *input, uint64_t flags, struct entry_id *id)
{
    uint64_t ms_step, seq = 0, ordinal = 0;
    bool same_object = !(flags & ID_OBJECT);
    if (flags > ID_KNOWN || ((flags & ID_GENERATION) && same_object) ||
        (!id->is_entry && !(flags & ID_GENERATION)) ||
        (!same_object && !take_object(input, flags, id)))
        return false;
    if (!slice_take_varint(input, &ms_step) ||
        ((flags & ID_SEQ) && !slice_take_varint(input, &seq)) ||
        ((flags & ID_ORDINAL) && !slice_take_varint(input, &ordinal)))
        return false;
    uint64_t expected_seq = same_object && ms_step == 0 ? id->id.seq + 1 : 0;
    if (same_object && (ms_step > UINT64_MAX - id->id.ms || seq > UINT64_MAX - expected_seq ||
                        (ms_step == 0 && expected_seq == 0)))
        return false;
    id->id.ms += same_object ? ms_step : (uint64_t)zigzag_decode(ms_step);
    id->id.seq = expected_seq + seq;
    id->ordinal = (same_object ? id->ordinal + 1 : 0) + (uint64_t)zigzag_decode(ordinal);
    id->is_entry = true;
    return true;
}

bool entry_id_read(struct slice *input, struct entry_id *id)
{
    uint64_t first;
    if (!slice_take_varint(input, &first))
        return false;
    if (first & 1)
        return take_flagged(input, first >> 1, id);
    uint64_t ms_step = first >> 1;
    if (!id->is_entry || ms_step > UINT64_MAX - id->id.ms ||
        (ms_step == 0 && id->id.seq == UINT64_MAX))
        return false;
    id->id.ms += ms_step;
    id->id.seq = ms_step ? 0 : id->id.seq + 1;
    id->ordinal++;
    return true;
}
