/* SPDX-License-Identifier: MIT */
/* BITFIELD: the pieces that its steps touch are read into a draft, all steps are done there, and what has changed of
 * it is written at the end. */
#include "base/memory.h"
#include "types/string_bits.h"
#include "types/string_pieces.h"

#include <assert.h>

struct draft_piece {
    uint8_t *bytes; /* NULL: not read */
    bool is_changed;
};

struct draft {
    struct access *access;
    const struct object *old; /* NULL: missing */
    uint64_t old_length, length;
    struct draft_piece *pieces; /* of the new length */
    size_t piece_count, changed_count, changed_bytes;
};

/* ---- The draft. ------------------------------------------------------------------------------ */

/* How long the string must become. */
static uint64_t length_needed(const struct bit_field_step *steps, size_t count, uint64_t length)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t end = (steps[i].position + steps[i].bits - 1) / 8 + 1;
        if (steps[i].action != BIT_FIELD_GET && end > length)
            length = end;
    }
    return length;
}

static enum status draft_init(struct draft *draft, struct access *access, const struct object *old,
                              const struct bit_field_step *steps, size_t count)
{
    *draft = (struct draft){.access = access, .old = old};
    enum status status = old ? string_length(old, &draft->old_length) : STATUS_OK;
    if (status)
        return status;
    draft->length = length_needed(steps, count, draft->old_length);
    if (draft->length > STRING_BYTES_MAX)
        return STATUS_TOO_LARGE;
    draft->piece_count = (draft->length + STRING_PIECE_BYTES - 1) / STRING_PIECE_BYTES;
    if (draft->piece_count == 0)
        return STATUS_OK;
    draft->pieces = memory_ask_allocate(draft->piece_count * sizeof *draft->pieces);
    if (!draft->pieces)
        return STATUS_NO_MEMORY;
    memset(draft->pieces, 0, draft->piece_count * sizeof *draft->pieces);
    return STATUS_OK;
}

static void draft_release(struct draft *draft)
{
    for (size_t i = 0; i < draft->piece_count && draft->pieces; i++)
        memory_free(draft->pieces[i].bytes);
    memory_free(draft->pieces);
}

/* Reads the piece, which lies in the string's new length, unless it is there. */
static enum status draft_read(struct draft *draft, uint64_t index)
{
    struct draft_piece *piece = &draft->pieces[index];
    struct slice stored = {0};
    size_t place = string_piece_place(draft->length, index);
    if (piece->bytes)
        return STATUS_OK;
    enum status status = STATUS_OK;
    if (string_piece_place(draft->old_length, index) > 0)
        status = string_piece_read(draft->access, draft->old, draft->old_length, index, &stored);
    uint8_t *bytes = status ? NULL : memory_try_allocate(place);
    if (!bytes)
        return status ? status : STATUS_NO_MEMORY;
    if (stored.size)
        memcpy(bytes, stored.data, stored.size);
    memset(bytes + stored.size, 0, place - stored.size);
    piece->bytes = bytes;
    return STATUS_OK;
}

/* All pieces that a field lies in. */
static enum status draft_read_field(struct draft *draft, const struct bit_field_step *step)
{
    enum status status = STATUS_OK;
    uint64_t last = (step->position + step->bits - 1) / 8;
    for (uint64_t at = step->position / 8; at <= last && at < draft->length && !status; at++)
        status = draft_read(draft, at / STRING_PIECE_BYTES);
    return status;
}

static void draft_mark(struct draft *draft, uint64_t index)
{
    struct draft_piece *piece = &draft->pieces[index];
    if (piece->is_changed)
        return;
    piece->is_changed = true;
    draft->changed_count++;
    draft->changed_bytes += string_piece_place(draft->length, index);
}

/* ---- Fields in it. --------------------------------------------------------------------------- */

/* The bits of one byte that belong to a field: `take` of them, of which the last has `shift` others behind it. */
struct byte_part {
    uint64_t at;
    unsigned take, shift;
};

static struct byte_part next_part(uint64_t position, unsigned bits_left)
{
    unsigned in_byte = 8 - position % 8;
    unsigned take = in_byte < bits_left ? in_byte : bits_left;
    return (struct byte_part){position / 8, take, in_byte - take};
}

static uint64_t field_read(const struct draft *draft, uint64_t position, unsigned bits)
{
    uint64_t value = 0;
    while (bits > 0) {
        struct byte_part part = next_part(position, bits);
        unsigned byte = 0;
        if (part.at < draft->length)
            byte = draft->pieces[part.at / STRING_PIECE_BYTES].bytes[part.at % STRING_PIECE_BYTES];
        value = value << part.take | (byte >> part.shift & ((1u << part.take) - 1));
        position += part.take;
        bits -= part.take;
    }
    return value;
}

static void field_write(struct draft *draft, uint64_t position, unsigned bits, uint64_t value)
{
    while (bits > 0) {
        struct byte_part part = next_part(position, bits);
        uint64_t index = part.at / STRING_PIECE_BYTES;
        uint8_t *byte = &draft->pieces[index].bytes[part.at % STRING_PIECE_BYTES];
        unsigned mask = ((1u << part.take) - 1) << part.shift;
        bits -= part.take;
        uint8_t changed =
            (uint8_t)((*byte & ~mask) | ((unsigned)(value >> bits) << part.shift & mask));
        if (changed != *byte)
            draft_mark(draft, index);
        *byte = changed;
        position += part.take;
    }
}

/* ---- Steps. ---------------------------------------------------------------------------------- */

/* A value in a field's range, and everything that is added to one or set. */
typedef __int128 wide_t;

static wide_t value_of(const struct bit_field_step *step, uint64_t raw)
{
    bool is_negative = step->is_signed && raw >> (step->bits - 1) & 1;
    return (wide_t)raw - (is_negative ? (wide_t)1 << step->bits : 0);
}

/* false: it does not fit, and the step says that it fails then. */
static bool fit(const struct bit_field_step *step, wide_t *value)
{
    wide_t range = (wide_t)1 << step->bits;
    wide_t least = step->is_signed ? -(range / 2) : 0, most = least + range - 1;
    if (*value >= least && *value <= most)
        return true;
    if (step->overflow == BIT_FIELD_SATURATE)
        *value = *value < least ? least : most;
    else if (step->overflow == BIT_FIELD_WRAP)
        *value = value_of(step, (uint64_t)(*value & (range - 1)));
    return step->overflow != BIT_FIELD_FAIL;
}

static enum status do_step(struct draft *draft, struct bit_field_step *step)
{
    enum status status = draft_read_field(draft, step);
    if (status)
        return status;
    wide_t before = value_of(step, field_read(draft, step->position, step->bits)), after = before;
    if (step->action == BIT_FIELD_INCREMENT)
        after += step->value;
    else if (step->action == BIT_FIELD_SET) /* an unsigned field takes it for an unsigned number */
        after = step->is_signed ? (wide_t)step->value : (wide_t)(uint64_t)step->value;
    step->has_failed = !fit(step, &after);
    if (step->has_failed)
        return STATUS_OK;
    if (step->action != BIT_FIELD_GET)
        field_write(draft, step->position, step->bits, (uint64_t)after);
    step->result = (int64_t)(step->action == BIT_FIELD_INCREMENT ? after : before);
    return STATUS_OK;
}

/* All that has changed, piece by piece. */
static enum status write_draft(struct draft *draft, struct slice key)
{
    struct string_part *parts = memory_ask_allocate(draft->changed_count * sizeof *parts);
    if (!parts)
        return STATUS_NO_MEMORY;
    enum status status = access_reserve(draft->access, draft->changed_bytes +
                                                           draft->changed_count * LSM_RECORD_BYTES);
    size_t count = 0;
    for (size_t i = 0; i < draft->piece_count; i++)
        if (draft->pieces[i].is_changed)
            parts[count++] = (struct string_part){
                i * STRING_PIECE_BYTES,
                slice_make(draft->pieces[i].bytes, string_piece_place(draft->length, i))};
    assert(count == draft->changed_count);
    if (!status)
        status = string_write_parts(draft->access, key, draft->old, draft->old_length, parts, count,
                                    "setbit");
    memory_free(parts);
    return status;
}

enum status string_bit_fields(struct access *access, struct slice key, const struct object *old,
                              struct bit_field_step *steps, size_t count)
{
    struct draft draft;
    enum status status = draft_init(&draft, access, old, steps, count);
    for (size_t i = 0; i < count && !status; i++)
        status = do_step(&draft, &steps[i]);
    if (!status && draft.length > draft.old_length) { /* it grows, whatever the steps did */
        status = draft_read(&draft, draft.piece_count - 1);
        if (!status)
            draft_mark(&draft, draft.piece_count - 1);
    }
    if (!status && draft.changed_count > 0)
        status = write_draft(&draft, key);
    draft_release(&draft);
    return status;
}
