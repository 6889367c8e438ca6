/* SPDX-License-Identifier: MIT */
/* Frames, records and segment headers of the WAL. The first byte chooses: 0: a frame as it is;
 * 1: a frame whose checksum is put right; 2: records; 3: records to be written; 4: a segment's
 * header with its checksum put right; 5: as it is; 6: a header to be written; 7: a group whose checksum is
 * put right; 8: frames to be stored as a group. What is accepted is encoded to the same bytes. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "lsm/wal.h"
#include "lsm/wal_frame.h"
#include "lsm/wal_group.h"
#include "lsm/wal_segment.h"

static void check_frame(struct slice input, bool seal)
{
    uint32_t seed = wal_frame_seed(fuzz_byte(&input));
    uint32_t epoch_min = fuzz_byte(&input);
    struct wal_frame frame;
    uint8_t *bytes = memory_copy(input.data, input.size);
    lsn_t position = input.size >= 16 ? le64_load(bytes + 8) : 4096;
    if (seal && input.size >= WAL_FRAME_HEAD_BYTES) {
        uint32_t length = le32_load(bytes + 4);
        if (length <= input.size - WAL_FRAME_HEAD_BYTES)
            le32_store(bytes, crc32c_mask(crc32c_extend(seed, bytes + 4,
                                                        WAL_FRAME_HEAD_BYTES - 4 + length)));
    }
    struct slice sealed = slice_make(bytes, input.size);
    if (wal_frame_decode(sealed, position, epoch_min, seed, &frame) == WAL_FRAME_VALID) {
        size_t size = WAL_FRAME_HEAD_BYTES + (size_t)frame.length;
        fuzz_require(size <= input.size && frame.lsn == position && frame.epoch >= epoch_min);
        fuzz_require(frame.durable_lsn <= frame.lsn);
        uint8_t *again = memory_copy(bytes, size);
        memset(again, 0, WAL_FRAME_HEAD_BYTES);
        wal_frame_seal(again, &frame, seed);
        fuzz_require(memcmp(again, bytes, size) == 0);
        memory_free(again);
        /* It counts nowhere else, in no other store, and not once its epoch is over. */
        fuzz_require(wal_frame_decode(sealed, position + 1, epoch_min, seed, &frame) ==
                     WAL_FRAME_BAD);
        fuzz_require(wal_frame_decode(sealed, position, epoch_min, seed ^ 1, &frame) ==
                     WAL_FRAME_BAD);
        fuzz_require(frame.epoch == UINT32_MAX ||
                     wal_frame_decode(sealed, position, frame.epoch + 1, seed, &frame) ==
                         WAL_FRAME_BAD);
        fuzz_require(wal_frame_decode(slice_make(bytes, size - 1), position, epoch_min, seed,
                                      &frame) == WAL_FRAME_BAD);
    }
    memory_free(bytes);
}

static void check_records(struct slice input)
{
    struct buffer again = {0};
    struct slice rest = input;
    struct wal_record record;
    bool bad = true;
    while (wal_record_next(&rest, &record, &bad))
        wal_record_append(&again, record.kind, record.tree, record.key, record.value);
    fuzz_require(bad == (rest.size > 0));
    fuzz_require(slice_equal(buffer_slice(&again), slice_make(input.data, input.size - rest.size)));
    buffer_release(&again);
}

static void write_records(struct slice input)
{
    struct buffer payload = {0};
    struct slice drawn = input, records;
    struct wal_record record;
    bool bad;
    for (int pass = 0; pass < 2; pass++) {
        records = buffer_slice(&payload);
        for (input = drawn; input.size > 0;) {
            enum entry_kind kind = fuzz_below(&input, 3);
            unsigned tree = fuzz_below(&input, LSM_TREES_MAX);
            struct slice key = fuzz_bytes(&input), value = {0};
            if (kind != ENTRY_DELETE)
                value = fuzz_bytes(&input);
            if (pass == 0) {
                wal_record_append(&payload, kind, tree, key, value);
                continue;
            }
            fuzz_require(wal_record_next(&records, &record, &bad) && !bad);
            fuzz_require(record.kind == kind && record.tree == tree);
            fuzz_require(slice_equal(record.key, key) && slice_equal(record.value, value));
        }
    }
    fuzz_require(!wal_record_next(&records, &record, &bad) && !bad);
    buffer_release(&payload);
}

static void check_header(struct slice input, bool seal)
{
    static uint8_t page[WAL_HEADER_BYTES], again[WAL_HEADER_BYTES];
    struct wal_header header;
    memset(page, 0, sizeof page);
    memcpy(page, input.data, input.size < sizeof page ? input.size : sizeof page);
    if (seal)
        le32_store(page, crc32c_mask(crc32c(page + 4, sizeof page - 4)));
    if (wal_header_decode(page, &header) != STATUS_OK)
        return;
    fuzz_require(header.base > 0);
    fuzz_require(header.segment_bytes >= WAL_SEGMENT_BYTES_MIN);
    fuzz_require(wal_header_end(&header) > header.base);
    wal_header_encode(again, &header);
    if (memcmp(page, again, sizeof page) != 0) /* bytes behind the fields are not looked at */
        fuzz_require(memcmp(page + 4, again + 4, 44) == 0);
}

static void write_header(struct slice input)
{
    static uint8_t page[WAL_HEADER_BYTES];
    const struct wal_header header = {
        .store_id = fuzz_number(&input),
        .base = WAL_FIRST_LSN + (fuzz_number(&input) >> 5),
        .segment_bytes = WAL_SEGMENT_BYTES_MIN + (fuzz_number(&input) & 0xffffff),
        .epoch = 1 + (fuzz_number(&input) & 0x7fffffff),
    };
    struct wal_header found;
    wal_header_encode(page, &header);
    fuzz_require(wal_header_decode(page, &found) == STATUS_OK);
    fuzz_require(found.store_id == header.store_id && found.base == header.base &&
                 found.segment_bytes == header.segment_bytes && found.epoch == header.epoch);
    page[fuzz_number(&input) % sizeof page] ^= 1;
    fuzz_require(wal_header_decode(page, &found) == STATUS_CORRUPT);
}

/* ---- Groups -------------------------------------------------------------------------------- */

enum { GROUP_SEED = 7, GROUP_LSN = 5000, GROUP_EPOCH = 3 };

/* The frames that a group gives keep to what its head says, one behind the other. */
static void walk_group(const struct wal_frame *group, struct slice frames)
{
    struct wal_frame frame;
    struct slice payload;
    lsn_t lsn = group->lsn, expected = lsn;
    uint32_t count = 0;
    while (wal_group_next(group, &frames, &lsn, &frame, &payload)) {
        fuzz_require(frame.lsn == expected && payload.size == frame.length);
        fuzz_require(frame.epoch == group->epoch && frame.durable_lsn == group->durable_lsn);
        fuzz_require((frame.flags | WAL_FRAME_COMPRESSED) == group->flags);
        expected += WAL_FRAME_HEAD_BYTES + frame.length;
        count++;
    }
    fuzz_require(frames.size == 0 && count == group->count);
    fuzz_require(expected == group->lsn + group->span);
}

/* Unpacked where not a byte is left over. */
static bool unpack_group(struct slice stored)
{
    struct wal_frame group;
    struct slice frames = {0};
    if (wal_frame_decode(stored, GROUP_LSN, 0, GROUP_SEED, &group) != WAL_FRAME_VALID ||
        !(group.flags & WAL_FRAME_COMPRESSED))
        return false;
    uint8_t *to = memory_allocate(group.span);
    bool is_sound = wal_group_unpack(
        &group, slice_make(stored.data + WAL_FRAME_HEAD_BYTES, group.length), to, &frames);
    if (is_sound)
        walk_group(&group, frames);
    memory_free(to);
    return is_sound;
}

/* Flags, count and span, then a block as it is. */
static void check_group(struct slice input)
{
    struct wal_frame group = {.lsn = GROUP_LSN, .durable_lsn = GROUP_LSN, .epoch = GROUP_EPOCH};
    group.flags = WAL_FRAME_COMPRESSED | fuzz_below(&input, 8);
    group.count = (uint32_t)fuzz_number(&input);
    uint32_t span = (uint32_t)fuzz_number(&input);
    group.length = WAL_GROUP_SPAN_BYTES + (uint32_t)input.size;
    if (group.length > WAL_FRAME_PAYLOAD_MAX)
        return;
    size_t size = WAL_FRAME_HEAD_BYTES + (size_t)group.length;
    uint8_t *stored = memory_allocate(size);
    le32_store(stored + WAL_FRAME_HEAD_BYTES, span);
    if (input.size)
        memcpy(stored + size - input.size, input.data, input.size);
    wal_frame_seal(stored, &group, GROUP_SEED);
    (void)unpack_group(slice_make(stored, size)); /* what it is, nobody else knows */
    memory_free(stored);
}

/* Frames of the input, sealed one behind the other; stored as groups they come back. */
static void store_groups(struct slice input)
{
    struct wal_group_writer *writer =
        wal_group_writer_create(GROUP_SEED, 1u << fuzz_below(&input, 13), WAL_FRAME_BYTES_MAX);
    struct buffer bytes = {0};
    uint64_t offset = WAL_HEADER_BYTES + fuzz_number(&input) % (1 << 20);
    while (input.size > 0) {
        static const uint8_t head[WAL_FRAME_HEAD_BYTES];
        uint8_t flags = fuzz_below(&input, 4), repeated = fuzz_byte(&input);
        struct slice piece = fuzz_bytes(&input);
        size_t at = bytes.size;
        buffer_append(&bytes, head, sizeof head);
        for (unsigned i = 0; i <= repeated; i++)
            buffer_append_slice(&bytes, piece);
        const struct wal_frame frame = {.lsn = GROUP_LSN,
                                        .durable_lsn = GROUP_LSN,
                                        .epoch = GROUP_EPOCH,
                                        .count = piece.size ? 1 + repeated : 0,
                                        .length = (uint32_t)(bytes.size - at - sizeof head),
                                        .flags = piece.size ? flags : 3};
        wal_frame_seal(bytes.data + at, &frame, GROUP_SEED);
    }
    for (struct slice rest = buffer_slice(&bytes); rest.size > 0;) {
        size_t span = wal_group_span(rest);
        fuzz_require(span >= WAL_FRAME_HEAD_BYTES && span <= rest.size);
        struct slice stored =
            wal_group_store(writer, slice_make(rest.data, span), offset, GROUP_LSN);
        fuzz_require(stored.size < span);
        fuzz_require(stored.size == 0 || unpack_group(stored));
        offset += span;
        rest = slice_skip(rest, span);
    }
    buffer_release(&bytes);
    wal_group_writer_destroy(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    unsigned choice = fuzz_below(&input, 9);
    if (choice < 2)
        check_frame(input, choice == 1);
    else if (choice == 2)
        check_records(input);
    else if (choice == 3)
        write_records(input);
    else if (choice < 6)
        check_header(input, choice == 4);
    else if (choice == 6)
        write_header(input);
    else if (choice == 7)
        check_group(input);
    else
        store_groups(input);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    const struct wal_frame frame = {
        .lsn = 5000, .durable_lsn = 4096, .epoch = 1, .count = 1, .length = 6, .flags = 3};
    const struct wal_header header = {
        .store_id = 7, .base = WAL_FIRST_LSN, .segment_bytes = 16384, .epoch = 1};
    static uint8_t page[WAL_HEADER_BYTES];
    uint8_t bytes[WAL_FRAME_HEAD_BYTES + 6];
    if (index > 8)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    if (index == 7) { /* two frames of 20 bytes, from FORMAT.md's grammar */
        buffer_append(out, "\3\2\142", 3);
        buffer_append(out, "\x1f\x14\1x\1\0\x0f\x50xxxxx", 13);
        return true;
    }
    if (index == 8) { /* groups on pages of one byte */
        buffer_append(out, "\0\0\3\7\4abcd\3\7\4abcd\1\x20\2xy", 21);
        return true;
    }
    if (index < 2) {
        memcpy(bytes + WAL_FRAME_HEAD_BYTES, "\1\1k\2vv", 6);
        wal_frame_seal(bytes, &frame, wal_frame_seed(7));
        buffer_append_text(out, "\7\1");
        buffer_append(out, bytes, sizeof bytes);
    } else if (index == 2) {
        buffer_append_text(out, "\1\1k\2vv\x10\1x\x22\1a\1z");
    } else if (index == 3) {
        buffer_append_text(out, "\1\1\1k\2vv\3\1\1x\2\2\1a\1z");
    } else {
        wal_header_encode(page, &header);
        buffer_append(out, page, index == 5 ? sizeof page : 64);
    }
    return true;
}
