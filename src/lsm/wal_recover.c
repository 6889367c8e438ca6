/* SPDX-License-Identifier: MIT */
/* Recovery: replays the whole batches of the log and decides where it ends.
 *
 *   start                      tail            stop
 *     | batch | batch | batch  | half a chain  | not a frame ... [valid frames?] ...
 *
 *  1. From `start` on, frames are read one behind the other until a position holds none
 *     (`stop`). The tail is the end of the last whole batch.
 *  2. Unless the last stop was clean, every later offset, also of later segments, is searched for
 *     valid frames: a later frame or the manifest may state a durable LSN.
 *     Segments go oldest first, so one behind a missing first one states as much.
 *  3. A stated durable LSN beyond the tail: the log is damaged at `stop`, and the start is refused.
 *     Otherwise the log ends at the tail, whatever lies behind it.
 *
 * An offset is compared with its LSN and epoch before a checksum is computed, so the search costs
 * about as much as reading. A group (wal_group.h) is one frame here until it is taken: all of its
 * frames count or none, and what lies in the file at its positions behind it is passed over. */
#include "lsm/wal.h"

#include "base/coding.h"
#include "base/memory.h"
#include "lsm/wal_frame.h"
#include "lsm/wal_group.h"
#include "lsm/wal_segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    WINDOW_BYTES = 4 << 20,
    FIRST_READ_BYTES =
        64 *
        1024, /* of a log that mostly ends here; each read is twice as long as the one before */
    ZEROS_BYTES = 4096, /* passed over at once */
    /* What is foreseen at a time: frames, and bytes of their records. */
    FORESEEN_MAX = 16,
    FORESEEN_BYTES = 4096,
};

_Static_assert(WINDOW_BYTES >= 2 * WAL_FRAME_BYTES_MAX, "a window holds any frame");

/* A moving view of one segment file. */
struct window {
    struct vfs_file *file;
    uint64_t file_offset; /* of data[0] */
    size_t size;
    uint64_t file_bytes; /* the file is known to have at least so many; 0: nothing is known */
    uint8_t *data;
    size_t capacity;   /* of data: a small file needs no more than it has */
    size_t read_bytes; /* of the last read; 0: there was none */
};

struct scan {
    const struct wal_recovery *recovery;
    uint32_t seed;
    lsn_t *bases;
    size_t base_count;
    struct window window;

    size_t index;             /* the segment that is open */
    struct wal_header header; /* of it */
    lsn_t position;           /* of the next frame */
    uint32_t epoch;           /* frames below it do not count */
    lsn_t read_lsn;           /* of the frame, or the group, that was read last */
    lsn_t foreseen_lsn;       /* frames below it have been foreseen */
    struct buffer unpacked;   /* the frames of a group */
    struct wal_tail tail;
    struct buffer chain; /* payload of a chain that has begun */
    lsn_t chain_lsn;     /* 0: none has */
    uint32_t chain_count;
    char stop[256];        /* why `position` holds no frame; a file name with offset */
    bool start_is_missing; /* no segment holds the first position */
    lsn_t remains_end;     /* end of the last thing that looks like a frame; 0: none */
};

static void set_report(struct lsm_report *report, const char *text)
{
    if (report)
        snprintf(report->text, sizeof(report->text), "%s", text);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static void window_close(struct window *window)
{
    vfs_close(window->file);
    window->file = NULL;
    window->size = 0;
}

static void window_make_room(struct window *window)
{
    bool is_small = window->file_bytes > 0 && window->file_bytes < WINDOW_BYTES;
    size_t wanted = is_small ? (size_t)window->file_bytes : WINDOW_BYTES;
    if (wanted <= window->capacity)
        return;
    memory_free(window->data);
    window->data = memory_allocate(wanted);
    window->capacity = wanted;
}

static size_t next_read_bytes(struct window *window, size_t size)
{
    size_t wanted = window->read_bytes ? 2 * window->read_bytes : FIRST_READ_BYTES;
    if (wanted < size)
        wanted = size;
    if (wanted > window->capacity)
        wanted = window->capacity;
    window->read_bytes = wanted;
    return wanted;
}

/* At least `size` bytes at the file offset if the file has them; what there is, otherwise. */
static enum status window_get(struct window *window, uint64_t file_offset, size_t size,
                              struct slice *bytes)
{
    assert(size <= WINDOW_BYTES);
    if (file_offset < window->file_offset ||
        file_offset + size > window->file_offset + window->size) {
        size_t got = 0;
        window->size = 0;
        window_make_room(window);
        size_t wanted = next_read_bytes(window, size);
        enum status status = window->file->ops->read_at(window->file, file_offset, window->data,
                                                        wanted, false, &got);
        if (status != STATUS_OK)
            return status;
        /* A read that stops before the end of the file says nothing about the log. */
        if (got < wanted && file_offset + got < window->file_bytes)
            return STATUS_IO;
        window->file_offset = file_offset;
        window->size = got;
    }
    size_t skip = (size_t)(file_offset - window->file_offset);
    *bytes = slice_make(window->data + skip, skip < window->size ? window->size - skip : 0);
    return STATUS_OK;
}

/* Opens segment `index`. STATUS_CORRUPT when it is none of this log, with `stop` set. */
static enum status open_segment(struct scan *scan, size_t index)
{
    const struct wal_recovery *recovery = scan->recovery;
    char path[WAL_SEGMENT_PATH_MAX];
    const char *why = "";
    window_close(&scan->window);
    scan->index = index;
    wal_segment_path(recovery->directory, scan->bases[index], path, sizeof(path));
    enum status status = vfs_open(recovery->env->vfs, path, VFS_READ, &scan->window.file);
    if (status == STATUS_OK)
        status = wal_header_read(scan->window.file, scan->bases[index], recovery->store_id,
                                 &scan->header, &why);
    scan->window.file_offset = 0;
    scan->window.size = 0;
    scan->window.file_bytes = status == STATUS_OK ? scan->header.segment_bytes : 0;
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
        snprintf(scan->stop, sizeof(scan->stop), "%016" PRIx64 ".wal offset 0: %s",
                 scan->bases[index], why);
    return status;
}

/* Bytes from `lsn` to the end of the open segment, at most a whole frame's. */
static enum status frame_bytes(struct scan *scan, lsn_t lsn, struct slice *bytes)
{
    uint64_t rest = wal_header_end(&scan->header) - lsn;
    size_t head = rest < WAL_FRAME_HEAD_BYTES ? (size_t)rest : WAL_FRAME_HEAD_BYTES;
    uint64_t offset = wal_header_offset(&scan->header, lsn);
    struct wal_frame frame;
    enum status status = window_get(&scan->window, offset, head, bytes);
    if (status == STATUS_OK && bytes->size >= WAL_FRAME_HEAD_BYTES &&
        head == WAL_FRAME_HEAD_BYTES &&
        wal_frame_is_plausible(bytes->data, lsn, scan->epoch, &frame) &&
        WAL_FRAME_HEAD_BYTES + (uint64_t)frame.length <= rest)
        status =
            window_get(&scan->window, offset, WAL_FRAME_HEAD_BYTES + (size_t)frame.length, bytes);
    if (status == STATUS_OK && bytes->size > rest)
        bytes->size = (size_t)rest;
    return status;
}

/* ---- 1. Replay ----------------------------------------------------------------------------- */

/* The frame at `lsn` as far as the window has it, unchecked, and no group. */
static bool glance(const struct scan *scan, lsn_t lsn, struct slice *payload)
{
    const struct window *window = &scan->window;
    uint64_t skip = wal_header_offset(&scan->header, lsn) - window->file_offset;
    struct wal_frame frame;
    if (skip >= window->size || window->size - skip < WAL_FRAME_HEAD_BYTES)
        return false;
    struct slice bytes = slice_make(window->data + skip, window->size - (size_t)skip);
    if (!wal_frame_is_plausible(bytes.data, lsn, scan->epoch, &frame) ||
        (frame.flags & WAL_FRAME_COMPRESSED) || frame.length > bytes.size - WAL_FRAME_HEAD_BYTES)
        return false;
    *payload = slice_make(bytes.data + WAL_FRAME_HEAD_BYTES, frame.length);
    return true;
}

/* Shows the frames from scan->position on, of which the first has been read, to whom they are applied. */
static void foresee(struct scan *scan)
{
    const struct wal_recovery *recovery = scan->recovery;
    struct slice batches[FORESEEN_MAX];
    size_t count = 0;
    uint64_t bytes = 0;
    if (!recovery->foresee || scan->position < scan->foreseen_lsn)
        return;
    lsn_t at = scan->position;
    while (count < FORESEEN_MAX && bytes < FORESEEN_BYTES && glance(scan, at, &batches[count])) {
        at += WAL_FRAME_HEAD_BYTES + batches[count].size;
        bytes += batches[count++].size;
    }
    scan->foreseen_lsn = at;
    if (count > 0)
        recovery->foresee(recovery->context, batches, count);
}

static enum status apply_batch(struct scan *scan, lsn_t lsn, struct slice records, uint32_t count,
                               lsn_t end)
{
    const struct wal_recovery *recovery = scan->recovery;
    enum status status = STATUS_OK;
    bool is_within_group = lsn > scan->read_lsn;
    if (recovery->may_start && !is_within_group)
        recovery->may_start(recovery->context, lsn);
    if (recovery->apply)
        status = recovery->apply(recovery->context, lsn, records, count);
    if (status != STATUS_OK)
        return status;
    scan->tail.batches++;
    scan->tail.bytes += end - lsn;
    scan->tail.next_lsn = end;
    return STATUS_OK;
}

/* A frame that is out of place (a piece of no chain, a chain begun within one) is no frame. */
static bool continues_chain(const struct scan *scan, const struct wal_frame *frame)
{
    if (frame->flags & WAL_FRAME_SKIP)
        return scan->chain_lsn == 0;
    if (frame->flags & WAL_FRAME_FIRST)
        return scan->chain_lsn == 0;
    return scan->chain_lsn != 0 && frame->count == scan->chain_count &&
           scan->chain.size + frame->length <= WAL_BATCH_BYTES_MAX;
}

static enum status take_frame(struct scan *scan, const struct wal_frame *frame,
                              struct slice payload)
{
    lsn_t end = frame->lsn + frame->span;
    scan->epoch = frame->epoch;
    scan->position = end;
    if (frame->durable_lsn > scan->tail.durable_lsn)
        scan->tail.durable_lsn = frame->durable_lsn;
    if (frame->flags & WAL_FRAME_SKIP) {
        scan->position = scan->tail.next_lsn = wal_header_end(&scan->header);
        return STATUS_OK;
    }
    if ((frame->flags & WAL_FRAME_FIRST) && (frame->flags & WAL_FRAME_LAST))
        return apply_batch(scan, frame->lsn, payload, frame->count, end);
    if (frame->flags & WAL_FRAME_FIRST) {
        buffer_clear(&scan->chain);
        scan->chain_lsn = frame->lsn;
        scan->chain_count = frame->count;
    }
    enum status status = buffer_try_reserve(&scan->chain, payload.size);
    if (status != STATUS_OK)
        return status;
    buffer_append_slice(&scan->chain, payload);
    if (!(frame->flags & WAL_FRAME_LAST))
        return STATUS_OK;
    lsn_t lsn = scan->chain_lsn;
    scan->chain_lsn = 0;
    return apply_batch(scan, lsn, buffer_slice(&scan->chain), frame->count, end);
}

/* As foresee, of the frames of a group from `lsn` on. */
static void foresee_in_group(struct scan *scan, const struct wal_frame *group, struct slice frames,
                             lsn_t lsn)
{
    const struct wal_recovery *recovery = scan->recovery;
    struct slice batches[FORESEEN_MAX];
    struct wal_frame frame;
    size_t count = 0, bytes = 0;
    if (!recovery->foresee || lsn < scan->foreseen_lsn)
        return;
    while (count < FORESEEN_MAX && bytes < FORESEEN_BYTES &&
           wal_group_next(group, &frames, &lsn, &frame, &batches[count]))
        bytes += batches[count++].size;
    scan->foreseen_lsn = lsn;
    if (count > 0)
        recovery->foresee(recovery->context, batches, count);
}

/* Takes all of the frames that `group` was unpacked to. */
static enum status take_group(struct scan *scan, const struct wal_frame *group, struct slice frames)
{
    enum status status = STATUS_OK;
    lsn_t lsn = group->lsn;
    struct wal_frame frame;
    struct slice payload;
    do
        foresee_in_group(scan, group, frames, lsn);
    while (wal_group_next(group, &frames, &lsn, &frame, &payload) &&
           (status = take_frame(scan, &frame, payload)) == STATUS_OK);
    return status;
}

/* Unpacks `group`; *result: BAD if it does not hold frames that go on the log where it stands. */
static enum status unpack_group(struct scan *scan, const struct wal_frame *group,
                                struct slice *payload, enum wal_frame_result *result)
{
    buffer_clear(&scan->unpacked);
    enum status status = buffer_try_reserve(&scan->unpacked, group->span);
    if (status != STATUS_OK)
        return status;
    struct slice frames = {0}, ignored;
    struct wal_frame first;
    lsn_t lsn = group->lsn;
    bool fits = wal_group_unpack(group, *payload, scan->unpacked.data, &frames);
    struct slice rest = frames;
    if (!fits || !wal_group_next(group, &rest, &lsn, &first, &ignored) ||
        !continues_chain(scan, &first))
        *result = WAL_FRAME_BAD;
    *payload = frames;
    return STATUS_OK;
}

/* What lies at scan->position: a frame and its payload, or a group and its frames. */
static enum status read_frame(struct scan *scan, struct wal_frame *frame, struct slice *payload,
                              enum wal_frame_result *result)
{
    struct slice bytes;
    enum status status = frame_bytes(scan, scan->position, &bytes);
    if (status != STATUS_OK)
        return status;
    *result = wal_frame_decode(bytes, scan->position, scan->epoch, scan->seed, frame);
    if (*result != WAL_FRAME_VALID)
        return STATUS_OK;
    *payload = slice_make(bytes.data + WAL_FRAME_HEAD_BYTES, frame->length);
    if (frame->span > wal_header_end(&scan->header) - scan->position)
        *result = WAL_FRAME_BAD;
    else if (frame->flags & WAL_FRAME_COMPRESSED)
        return unpack_group(scan, frame, payload, result);
    else if (!continues_chain(scan, frame))
        *result = WAL_FRAME_BAD;
    return STATUS_OK;
}

/* Why there is no frame at `lsn` of the open segment. */
static void note_stop(struct scan *scan, lsn_t lsn, enum wal_frame_result result)
{
    snprintf(scan->stop, sizeof(scan->stop), "%016" PRIx64 ".wal offset %" PRIu64 ": %s",
             scan->header.base, wal_header_offset(&scan->header, lsn),
             result == WAL_FRAME_FOREIGN ? "a frame of a later format version" : "no valid frame");
}

/* Replays the open segment from scan->position. *ended: a position without a frame was met. */
static enum status replay_segment(struct scan *scan, bool *ended)
{
    lsn_t end = wal_header_end(&scan->header);
    while (end - scan->position > WAL_FRAME_HEAD_BYTES) {
        struct slice payload;
        struct wal_frame frame = {0};
        enum wal_frame_result result;
        enum status status = read_frame(scan, &frame, &payload, &result);
        if (status != STATUS_OK)
            return status;
        if (result != WAL_FRAME_VALID) {
            note_stop(scan, scan->position, result);
            *ended = true;
            return result == WAL_FRAME_FOREIGN ? STATUS_UNSUPPORTED : STATUS_OK;
        }
        scan->read_lsn = scan->position;
        foresee(scan); /* nothing, if it is a group */
        if (frame.flags & WAL_FRAME_COMPRESSED)
            status = take_group(scan, &frame, payload);
        else
            status = take_frame(scan, &frame, payload);
        if (status != STATUS_OK)
            return status;
    }
    if (scan->chain_lsn == 0 && scan->tail.next_lsn == scan->position)
        scan->tail.next_lsn = end;
    scan->position = end;
    return STATUS_OK;
}

static enum status replay(struct scan *scan)
{
    size_t index = 0;
    while (index + 1 < scan->base_count && scan->bases[index + 1] <= scan->position)
        index++;
    const size_t first = index;
    bool ended = false;
    for (; !ended; index++) {
        bool there = index < scan->base_count && scan->bases[index] <= scan->position;
        enum status status = STATUS_OK;
        if (there)
            status = open_segment(scan, index);
        if (status == STATUS_CORRUPT)
            return STATUS_OK;
        if (status != STATUS_OK)
            return status;
        if (!there || scan->position >= wal_header_end(&scan->header)) {
            scan->start_is_missing = index == first;
            snprintf(scan->stop, sizeof(scan->stop), "%016" PRIx64 ".wal is missing",
                     scan->position);
            return STATUS_OK;
        }
        if (scan->header.epoch > scan->epoch)
            scan->epoch = (uint32_t)scan->header.epoch;
        status = replay_segment(scan, &ended);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- 2. What lies behind ------------------------------------------------------------------- */

/* The bytes of a frame, or of a group, which are fewer than its positions. */
static void note_remains(struct scan *scan, const struct wal_frame *frame)
{
    lsn_t end = frame->lsn + WAL_FRAME_HEAD_BYTES + frame->length;
    if (end > scan->remains_end)
        scan->remains_end = end;
}

/* The first offset from `at` on, below `count`, where a frame would state the position it has there, `lsn` being
 * that of bytes[0]; count: none. What of a segment was never used is zeros. */
static size_t find_candidate(const uint8_t *bytes, size_t at, size_t count, lsn_t lsn)
{
    static const uint8_t zeros[ZEROS_BYTES];
    for (; at < count; at++) {
        const uint8_t *stated = bytes + at + 8;
        uint64_t number = le64_load(stated);
        if (number == lsn + at)
            return at;
        if (number == 0 && count - at >= ZEROS_BYTES && memcmp(stated, zeros, ZEROS_BYTES) == 0)
            at += ZEROS_BYTES - sizeof(number);
    }
    return count;
}

/* Looks at every offset of the open segment from `from` on for valid frames. STATUS_UNSUPPORTED: one of a
 * later version, which may belong to a log that this one must not cut. */
static enum status search_segment(struct scan *scan, lsn_t from, lsn_t *stated)
{
    lsn_t end = wal_header_end(&scan->header);
    while (end - from > WAL_FRAME_HEAD_BYTES) {
        struct slice bytes;
        struct wal_frame frame = {0};
        enum status status = window_get(&scan->window, wal_header_offset(&scan->header, from),
                                        WAL_FRAME_HEAD_BYTES, &bytes);
        if (status != STATUS_OK)
            return status;
        if (bytes.size > end - from)
            bytes.size = (size_t)(end - from);
        assert(bytes.size >= WAL_FRAME_HEAD_BYTES); /* the file has them, or it is STATUS_IO */
        size_t count = bytes.size - WAL_FRAME_HEAD_BYTES + 1;
        size_t i = find_candidate(bytes.data, 0, count, from);
        while (i < count && !wal_frame_is_plausible(bytes.data + i, from + i, scan->epoch, &frame))
            i = find_candidate(bytes.data, i + 1, count, from);
        from += i;
        if (i == count)
            continue;
        status = frame_bytes(scan, from, &bytes);
        if (status != STATUS_OK)
            return status;
        enum wal_frame_result result =
            wal_frame_decode(bytes, from, scan->epoch, scan->seed, &frame);
        if (result == WAL_FRAME_FOREIGN) {
            note_stop(scan, from, result);
            return STATUS_UNSUPPORTED;
        }
        if (result != WAL_FRAME_VALID || frame.span > end - from) {
            from++;
            continue;
        }
        note_remains(scan, &frame);
        if (frame.durable_lsn > *stated)
            *stated = frame.durable_lsn;
        from += frame.span;
    }
    return STATUS_OK;
}

/* A head that fits its place at the very end is that of a frame which was torn. */
static enum status note_torn_frame(struct scan *scan)
{
    struct slice bytes;
    struct wal_frame frame;
    enum status status = frame_bytes(scan, scan->position, &bytes);
    if (status == STATUS_OK && bytes.size >= WAL_FRAME_HEAD_BYTES &&
        wal_frame_is_plausible(bytes.data, scan->position, scan->epoch, &frame))
        note_remains(scan, &frame);
    return status;
}

/* Searches segment `index`. One with a damaged header is searched at the place that its name gives:
 * the frames in it may state that it was durable. */
static enum status search_behind_in(struct scan *scan, size_t index, lsn_t *stated)
{
    uint64_t file_bytes = 0;
    enum status status = open_segment(scan, index);
    if (status == STATUS_CORRUPT) {
        status = vfs_size(scan->window.file, &file_bytes);
        if (status != STATUS_OK || file_bytes <= WAL_HEADER_BYTES)
            return status;
        scan->header = (struct wal_header){.base = scan->bases[index], .segment_bytes = file_bytes};
        scan->window.file_bytes = file_bytes;
    }
    lsn_t end = wal_header_end(&scan->header);
    if (status != STATUS_OK || end <= scan->position)
        return status;
    if (scan->start_is_missing && scan->header.epoch > 0 && scan->header.base > *stated)
        *stated = scan->header.base;
    if (scan->header.epoch > scan->epoch)
        scan->epoch = (uint32_t)scan->header.epoch;
    if (scan->header.base > scan->position)
        return search_segment(scan, scan->header.base, stated);
    status = note_torn_frame(scan);
    return status == STATUS_OK ? search_segment(scan, scan->position, stated) : status;
}

/* The newest durable LSN that a frame behind scan->position states. */
static enum status search_behind(struct scan *scan, lsn_t *stated)
{
    enum status status = STATUS_OK;
    uint32_t epoch = scan->epoch;
    char stop[sizeof(scan->stop)];
    memcpy(stop, scan->stop, sizeof(stop));
    if (scan->chain_lsn)
        scan->remains_end = scan->position;
    for (size_t i = 0; status == STATUS_OK && i < scan->base_count; i++) {
        bool is_before = i + 1 < scan->base_count && scan->bases[i + 1] <= scan->position;
        if (!is_before)
            status = search_behind_in(scan, i, stated);
        scan->epoch = epoch;
    }
    if (status != STATUS_UNSUPPORTED)
        memcpy(scan->stop, stop, sizeof(stop));
    return status;
}

/* ---- 3. The verdict ------------------------------------------------------------------------ */

static enum status judge(struct scan *scan, lsn_t durable, struct lsm_report *report)
{
    const struct wal_recovery *recovery = scan->recovery;
    struct wal_tail *tail = &scan->tail;
    char text[sizeof(report->text)];
    bool damaged = durable > tail->next_lsn;
    if (scan->remains_end > tail->next_lsn)
        tail->cut_bytes = scan->remains_end - tail->next_lsn;
    if (damaged) {
        snprintf(text, sizeof(text),
                 "WAL: %s, but the log was durable up to LSN %" PRIu64
                 "; the data from LSN %" PRIu64 " on %s",
                 scan->stop, durable, tail->next_lsn,
                 recovery->repair ? "was cut off."
                                  : "is damaged. `cordwood repair` would cut it off.");
        set_report(report, text);
        if (!recovery->repair)
            return STATUS_CORRUPT;
    }
    tail->durable_lsn = durable < tail->next_lsn ? durable : tail->next_lsn;
    tail->epoch = scan->epoch;
    if (tail->cut_bytes > 0)
        env_log(recovery->env, LOG_NOTICE,
                "The write-ahead log ends at LSN %" PRIu64 " (%s); %" PRIu64
                " bytes of unfinished writes behind it are cut off.",
                tail->next_lsn, scan->stop, tail->cut_bytes);
    return STATUS_OK;
}

/* For failures that are not damage: at which file. */
static void report_failure(const struct scan *scan, enum status status, struct lsm_report *report)
{
    const char *directory = scan->recovery->directory;
    if (scan->window.file || scan->base_count)
        snprintf(report->text, sizeof(report->text), "%.400s/%016" PRIx64 ".wal: %s", directory,
                 scan->bases[scan->index], status_text(status));
    else
        snprintf(report->text, sizeof(report->text), "%.400s: %s", directory, status_text(status));
}

enum status wal_recover(const struct wal_recovery *recovery, struct wal_tail *tail,
                        struct lsm_report *report)
{
    struct scan scan = {.recovery = recovery, .seed = wal_frame_seed(recovery->store_id)};
    lsn_t durable = recovery->manifest_durable;
    scan.position = recovery->start > WAL_FIRST_LSN ? recovery->start : WAL_FIRST_LSN;
    scan.tail.next_lsn = scan.position;
    enum status status =
        wal_segment_list(recovery->env, recovery->directory, &scan.bases, &scan.base_count);
    if (status == STATUS_OK)
        status = replay(&scan);
    if (status != STATUS_OK)
        goto done;
    if (scan.tail.durable_lsn > durable)
        durable = scan.tail.durable_lsn;
    if (!recovery->clean || scan.tail.next_lsn != recovery->manifest_durable)
        status = search_behind(&scan, &durable);
    if (status == STATUS_OK)
        status = judge(&scan, durable, report);
    if (status == STATUS_OK)
        *tail = scan.tail;
done:
    if (status == STATUS_UNSUPPORTED)
        set_report(report, scan.stop);
    if (status != STATUS_OK && report && !report->text[0])
        report_failure(&scan, status, report);
    window_close(&scan.window);
    memory_free(scan.window.data);
    buffer_release(&scan.chain);
    buffer_release(&scan.unpacked);
    memory_free(scan.bases);
    return status;
}
