/* SPDX-License-Identifier: MIT */
/* Any bytes as a WAL. The first byte chooses: 0: the rest is the content of a segment behind a good
 * header. 1: the rest is a segment file. 2: the fields of a header, sealed, and then frames. Else the rest
 * is a row of frames (flags, count, epoch and payload each; of a group its frames, which are compressed, and
 * by how much its span is wrong), sealed at their places: what is recovered is what a model says. Recovery ends without reading too far, applies only whole
 * batches, and what it leaves can be opened, written to and recovered again with the same batches.
 */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "lsm/wal.h"
#include "lsm/wal_frame.h"
#include "lsm/wal_group.h"
#include "lsm/wal_segment.h"
#include "unit/lsm/memory_env.h"

#include <lz4.h>

enum { STORE_ID = 7, SEGMENT_BYTES = 16384 };

/* What recovery must give of frames that lie one behind the other: the whole batches up to the first
 * frame that does not count, each as its LSN, its number of records and its payload. */
static struct model {
    struct buffer batches, chain;
    uint32_t epoch;
    uint32_t chain_count;
    lsn_t chain_lsn; /* 0: none is open */
    bool has_ended;
} model;
static struct buffer applied; /* the same of the last recovery */

static void note_whole_batch(struct buffer *batches, lsn_t lsn, uint64_t count,
                             struct slice payload)
{
    buffer_append_le64(batches, lsn);
    buffer_append_le64(batches, count);
    buffer_append_sized(batches, payload);
}

/* A frame as it is packed in a group. false: `frames` is as it was. */
static bool take_packed(struct slice *frames, uint64_t *records, struct slice *payload)
{
    uint64_t length;
    struct slice rest = *frames;
    if (!slice_take_varint(&rest, &length) || !slice_take_varint(&rest, records) ||
        !slice_take(&rest, length, payload))
        return false;
    *frames = rest;
    return true;
}

static bool model_counts(const struct wal_frame *frame)
{
    bool is_first = frame->flags & WAL_FRAME_FIRST, is_last = frame->flags & WAL_FRAME_LAST;
    if (frame->epoch < model.epoch)
        return false;
    if (frame->flags & WAL_FRAME_SKIP)
        return frame->flags == WAL_FRAME_SKIP && frame->length == 0 && frame->count == 0 &&
               !model.chain_lsn;
    if (frame->length == 0 ? !is_first || !is_last || frame->count > 0 : frame->count == 0)
        return false;
    if (is_first)
        return !model.chain_lsn;
    return model.chain_lsn && frame->count == model.chain_count;
}

static void model_frame(const struct wal_frame *frame, struct slice payload)
{
    if (model.has_ended || !model_counts(frame) || frame->flags == WAL_FRAME_SKIP) {
        model.has_ended = true;
        return;
    }
    model.epoch = frame->epoch;
    if (frame->flags & WAL_FRAME_FIRST) {
        buffer_clear(&model.chain);
        model.chain_lsn = frame->lsn;
        model.chain_count = frame->count;
    }
    buffer_append_slice(&model.chain, payload);
    if (frame->flags & WAL_FRAME_LAST) {
        note_whole_batch(&model.batches, model.chain_lsn, frame->count, buffer_slice(&model.chain));
        model.chain_lsn = 0;
    }
}

/* The frames of a group, which all count or none does: the model goes on with them only when they are
 * exactly what FORMAT.md says. */
static void model_group(const struct wal_frame *group, struct slice frames, uint64_t room)
{
    enum { WHOLE = WAL_FRAME_FIRST | WAL_FRAME_LAST };
    bool is_whole = (group->flags & WHOLE) == WHOLE;
    bool fits = !(group->flags & WAL_FRAME_SKIP) && (group->count == 1 || is_whole) &&
                group->span > WAL_FRAME_HEAD_BYTES + group->length && group->span <= room;
    struct wal_frame frame = *group;
    uint64_t count = 0, records;
    frame.flags &= WHOLE;
    for (int pass = 0; pass < 2 && fits; pass++) {
        struct slice rest = frames, payload;
        frame.lsn = group->lsn;
        for (count = 0; rest.size > 0; count++) {
            if (!take_packed(&rest, &records, &payload) || records > UINT32_MAX)
                break;
            frame.length = (uint32_t)payload.size;
            frame.count = (uint32_t)records;
            if (model.has_ended || !model_counts(&frame))
                break;
            if (pass == 1)
                model_frame(&frame, payload);
            frame.lsn += WAL_FRAME_HEAD_BYTES + payload.size;
        }
        fits = rest.size == 0 && count == group->count && frame.lsn == group->lsn + group->span;
    }
    model.has_ended |= !fits;
}

struct seen {
    uint64_t batches;
    uint64_t bytes;
    uint64_t foreseen_bytes; /* read as records, whatever they are */
    lsn_t last;
};

static enum status note_batch(void *context, lsn_t lsn, struct slice records, uint64_t count)
{
    struct seen *seen = context;
    struct wal_record record;
    bool bad = false;
    note_whole_batch(&applied, lsn, count, records);
    fuzz_require(lsn > seen->last);
    fuzz_require((records.size == 0) == (count == 0));
    seen->last = lsn;
    seen->batches++;
    for (size_t i = 0; i < records.size; i++)
        seen->bytes += records.data[i];
    while (wal_record_next(&records, &record, &bad))
        seen->bytes += record.key.size + record.value.size;
    return STATUS_OK;
}

static void note_foreseen(void *context, const struct slice *batches, size_t count)
{
    struct seen *seen = context;
    for (size_t i = 0; i < count; i++) {
        struct slice records = batches[i];
        struct wal_record record;
        bool bad = false;
        while (wal_record_next(&records, &record, &bad))
            seen->foreseen_bytes += record.key.size + record.value.size;
        fuzz_require(records.size <= batches[i].size);
    }
}

/* A group whose frames are `content`, behind a byte that is how much its span is too large. Bytes that it
 * takes of the segment. */
static size_t seal_group(struct wal_frame *group, struct slice content, uint8_t *at, size_t room)
{
    uint8_t wrong = fuzz_byte(&content);
    int size = LZ4_compress_default(
        (const char *)content.data, (char *)at + WAL_FRAME_HEAD_BYTES + WAL_GROUP_SPAN_BYTES,
        (int)content.size, (int)(room - WAL_FRAME_HEAD_BYTES - WAL_GROUP_SPAN_BYTES));
    struct slice rest = content, payload;
    uint64_t count;
    group->span = wrong;
    while (take_packed(&rest, &count, &payload))
        group->span += WAL_FRAME_HEAD_BYTES + (uint32_t)payload.size;
    group->length = WAL_GROUP_SPAN_BYTES + (uint32_t)size;
    le32_store(at + WAL_FRAME_HEAD_BYTES, group->span);
    wal_frame_seal(at, group, wal_frame_seed(STORE_ID));
    model_group(group, content, room);
    return model.has_ended ? WAL_FRAME_HEAD_BYTES + (size_t)group->length : group->span;
}

/* A row of frames; each takes its length, flags, count, epoch and durable distance from the input.
 */
static void seal_frames(struct slice input, uint8_t *content, size_t size)
{
    lsn_t lsn = WAL_FIRST_LSN;
    uint8_t flags, count, epoch, back;
    struct slice payload;
    uint32_t seed = wal_frame_seed(STORE_ID);
    while (slice_take_byte(&input, &flags) && slice_take_byte(&input, &count) &&
           slice_take_byte(&input, &epoch) && slice_take_byte(&input, &back) &&
           slice_take_sized(&input, &payload)) {
        size_t at = lsn - WAL_FIRST_LSN;
        if (payload.size + WAL_FRAME_HEAD_BYTES > size - at)
            return;
        struct wal_frame frame = {.lsn = lsn,
                                  .durable_lsn = lsn - back,
                                  .epoch = epoch,
                                  .count = count,
                                  .length = (uint32_t)payload.size,
                                  .flags = flags};
        if (flags & WAL_FRAME_COMPRESSED) {
            if ((size_t)LZ4_compressBound((int)payload.size) + 64 > size - at)
                return;
            lsn += seal_group(&frame, payload, content + at, size - at);
            if (lsn - WAL_FIRST_LSN > size)
                return;
            continue;
        }
        if (payload.size)
            memcpy(content + at + WAL_FRAME_HEAD_BYTES, payload.data, payload.size);
        wal_frame_seal(content + at, &frame, seed);
        model_frame(&frame, payload);
        lsn += WAL_FRAME_HEAD_BYTES + payload.size;
    }
}

/* Any number in any field behind a right checksum. */
static void seal_header(struct slice *input, uint8_t *page)
{
    unsigned field = 8 * fuzz_below(input, 4); /* store, base, segment bytes, epoch */
    le64_store(page + 16 + field, fuzz_number(input));
    le32_store(page, crc32c_mask(crc32c(page + 4, WAL_HEADER_BYTES - 4)));
}

static void write_segment(struct vfs *vfs, const uint8_t *data, size_t size)
{
    static uint8_t file_bytes[SEGMENT_BYTES];
    struct vfs_file *file = NULL;
    const struct wal_header header = {
        .store_id = STORE_ID, .base = WAL_FIRST_LSN, .segment_bytes = SEGMENT_BYTES, .epoch = 1};
    size_t room = SEGMENT_BYTES - WAL_HEADER_BYTES, used = SEGMENT_BYTES;
    memset(file_bytes, 0, sizeof(file_bytes));
    wal_header_encode(file_bytes, &header);
    if (data[0] == 0) {
        memcpy(file_bytes + WAL_HEADER_BYTES, data + 1, size - 1 < room ? size - 1 : room);
    } else if (data[0] == 1) {
        used = size - 1 < sizeof(file_bytes) ? size - 1 : sizeof(file_bytes);
        memcpy(file_bytes, data + 1, used);
    } else {
        struct slice input = slice_make(data + 1, size - 1);
        if (data[0] == 2)
            seal_header(&input, file_bytes);
        seal_frames(input, file_bytes + WAL_HEADER_BYTES, room);
    }
    fuzz_require(vfs_open(vfs, "db/0000000000001000.wal", VFS_WRITE | VFS_CREATE, &file) ==
                 STATUS_OK);
    fuzz_require(vfs_write_at(file, 0, file_bytes, used) == STATUS_OK);
    vfs_close(file);
}

static enum status recover(const struct env *env, lsn_t durable, bool repair, struct seen *seen,
                           struct wal_tail *tail)
{
    struct lsm_report report = {0};
    const struct wal_recovery recovery = {.env = env,
                                          .directory = "db",
                                          .manifest_durable = durable,
                                          .store_id = STORE_ID,
                                          .repair = repair,
                                          .apply = note_batch,
                                          .foresee = note_foreseen,
                                          .context = seen};
    *seen = (struct seen){0};
    buffer_clear(&applied);
    enum status status = wal_recover(&recovery, tail, &report);
    fuzz_require(status == STATUS_OK || report.text[0]);
    return status;
}

static void go_on(const struct env *env, const struct wal_tail *tail)
{
    enum { BATCHES = 8 };
    const struct wal_options options = {
        .segment_bytes = SEGMENT_BYTES, .is_compressed = true, .page_bytes = 1};
    struct wal *wal = NULL;
    struct buffer payload = {0};
    if (tail->epoch == UINT32_MAX)
        return; /* no later epoch is left */
    fuzz_require(wal_open(env, "db", &options, STORE_ID, tail, tail->epoch + 1, &wal) == STATUS_OK);
    fuzz_require(wal_reserve(wal, 0, false) == STATUS_OK);
    wal_append(wal, (struct slice){0}, 0);
    fuzz_require(wal_sync(wal) == STATUS_OK);
    wal_record_append(&payload, ENTRY_PUT, 0, slice_from("key"), slice_from("value"));
    for (int i = 0; i < BATCHES; i++) { /* together they are a group */
        fuzz_require(wal_reserve(wal, payload.size, false) == STATUS_OK);
        wal_append(wal, buffer_slice(&payload), 1);
    }
    fuzz_require(wal_sync(wal) == STATUS_OK);
    lsn_t end = wal_next_lsn(wal);
    wal_close(wal);
    buffer_release(&payload);
    struct seen again;
    struct wal_tail found;
    fuzz_require(recover(env, end, false, &again, &found) == STATUS_OK);
    fuzz_require(found.next_lsn == end);
    fuzz_require(again.batches == tail->batches + 1 + BATCHES);
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const frames[] = {
        "\x03\x03\x01\x01\x00\x06\x01\x01k\x02vv",                                   /* one batch */
        "\x03\x01\x02\x01\x05\x03\x01\x01k\x00\x02\x01\x20\x03\x01\x00",             /* a chain */
        "\x03\x04\x01\x01\x00\x01\x01",                                              /* a skip */
        "\x03\x0b\x02\x01\x00\x11\x00\x06\x01\x01\x01k\x02vv\x06\x01\x01\x01k\x02vv" /* a group, */
        "\x03\x01\x01\x00\x06\x01\x01k\x02vv", /* and a batch */
    };
    static const size_t sizes[] = {12, 17, 7, 34};
    if (index < 4)
        buffer_append(out, frames[index], sizes[index]);
    else if (index == 4)
        buffer_append(out, "\0zeros", 6);
    return index < 5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct seen seen, repaired;
    buffer_clear(&model.batches);
    model.epoch = 1;
    model.chain_lsn = 0;
    model.has_ended = false;
    struct wal_tail tail;
    fuzz_require(vfs->ops->make_directory(vfs, "db") == STATUS_OK);
    write_segment(vfs, data, size);
    enum status status = recover(&env, 0, false, &seen, &tail);
    fuzz_require(status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
    if (status == STATUS_OK && data[0] > 2)
        fuzz_require(slice_equal(buffer_slice(&applied), buffer_slice(&model.batches)));
    if (status == STATUS_CORRUPT)
        fuzz_require(recover(&env, 0, true, &repaired, &tail) == STATUS_OK);
    if (status != STATUS_UNSUPPORTED)
        go_on(&env, &tail);
    vfs_destroy(vfs);
    return 0;
}
