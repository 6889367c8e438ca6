/* SPDX-License-Identifier: MIT */
/* The index of late entries. */
#include "types/stream_late.h"

#include "base/coding.h"

#include <assert.h>

enum {
    TAG = OBJECT_PREFIX_BYTES,
    BODY = TAG + 1,
    TIME_KEY_BYTES = BODY + 8 + STREAM_ID_BYTES,
    ID_KEY_BYTES = BODY + STREAM_ID_BYTES,
};

static struct slice time_key(uint8_t at[TIME_KEY_BYTES], const struct stream *stream,
                             struct stream_moment moment)
{
    memcpy(at, stream->prefix, OBJECT_PREFIX_BYTES);
    at[TAG] = 'L';
    be64_store(at + BODY, moment.event_ms);
    stream_id_store(at + BODY + 8, moment.id);
    return slice_make(at, TIME_KEY_BYTES);
}

/* Key under 'I' or 'R'. */
static struct slice id_key(uint8_t at[ID_KEY_BYTES], const struct stream *stream, char tag,
                           struct stream_id id)
{
    memcpy(at, stream->prefix, OBJECT_PREFIX_BYTES);
    at[TAG] = (uint8_t)tag;
    stream_id_store(at + BODY, id);
    return slice_make(at, ID_KEY_BYTES);
}

static struct slice tag_key(uint8_t at[BODY], const struct stream *stream, int tag)
{
    memcpy(at, stream->prefix, OBJECT_PREFIX_BYTES);
    at[TAG] = (uint8_t)tag;
    return slice_make(at, BODY);
}

static void delete_pair(struct access *access, const struct stream *stream, struct stream_id id,
                        uint64_t event_ms)
{
    uint8_t key[TIME_KEY_BYTES];
    access_delete(access, TREE_PARTS, time_key(key, stream, (struct stream_moment){event_ms, id}));
    access_delete(access, TREE_PARTS, id_key(key, stream, 'I', id));
}

/* ---- Reclaiming ----------------------------------------------------------------------------- */

static enum status dead_take(struct lsm_iter *iter, struct stream_id below,
                             struct stream_late_dead *dead)
{
    while (lsm_iter_valid(iter)) {
        struct slice key = lsm_iter_key(iter), value = lsm_iter_value(iter);
        uint64_t event_ms;
        if (key.size != ID_KEY_BYTES || !slice_take_varint(&value, &event_ms))
            return STATUS_CORRUPT;
        struct stream_id id = stream_id_load(key.data + BODY);
        dead->next_id = id;
        if (stream_id_compare(id, below) >= 0 || dead->count == STREAM_LATE_RECLAIM_MAX)
            return STATUS_OK;
        dead->ids[dead->count] = id;
        dead->event_ms[dead->count++] = event_ms;
        lsm_iter_next(iter);
    }
    return lsm_iter_status(iter);
}

enum status stream_late_find_dead(struct access *access, const struct stream *stream,
                                  struct stream_late_dead *dead)
{
    const struct stream_header *header = &stream->header;
    const struct stream_late_info *late = &header->late;
    *dead = (struct stream_late_dead){0};
    dead->all = late->count > 0 &&
                (header->length == 0 || stream_id_compare(late->last_id, header->first_id) < 0);
    if (late->count == 0 || dead->all || stream_id_compare(late->first_id, header->first_id) >= 0)
        return STATUS_OK;
    uint8_t lower[ID_KEY_BYTES], upper[BODY];
    dead->has_next = true;
    dead->next_id = header->first_id;
    struct lsm_iter *iter = lsm_iter_open(
        access->reader, TREE_PARTS,
        &(struct lsm_iter_options){.lower = id_key(lower, stream, 'I', late->first_id),
                                   .upper = tag_key(upper, stream, 'I' + 1)});
    lsm_iter_seek_first(iter);
    enum status status = dead_take(iter, header->first_id, dead);
    lsm_iter_close(iter);
    /* More than the header counts, or one behind the last: the records contradict each other. */
    if (!status && (dead->count > late->count ||
                    (dead->count < late->count &&
                     stream_id_compare(dead->next_id, late->last_id) > 0)))
        return STATUS_CORRUPT;
    return status;
}

static void remove_tag(struct access *access, const struct stream *stream, char tag)
{
    uint8_t from[BODY], to[BODY];
    access_delete_range(access, TREE_PARTS, tag_key(from, stream, tag),
                        tag_key(to, stream, tag + 1));
}

static void remove_all(struct access *access, struct stream *stream)
{
    struct stream_late_info *late = &stream->header.late;
    remove_tag(access, stream, 'L');
    remove_tag(access, stream, 'I');
    if (late->run_records > 0)
        remove_tag(access, stream, 'R');
    memset(late, 0, sizeof *late);
}

void stream_late_remove_dead(struct access *access, struct stream *stream,
                             const struct stream_late_dead *dead)
{
    struct stream_late_info *late = &stream->header.late;
    assert(dead->count <= late->count);
    if (late->count == 0)
        return;
    if (dead->all || dead->count == late->count) {
        remove_all(access, stream);
        return;
    }
    for (size_t i = 0; i < dead->count; i++)
        delete_pair(access, stream, dead->ids[i], dead->event_ms[i]);
    late->count -= dead->count;
    if (dead->has_next)
        late->first_id = dead->next_id;
}

/* ---- Adding and deleting -------------------------------------------------------------------- */

static void note_run(struct access *access, struct stream *stream)
{
    struct stream_late_info *late = &stream->header.late;
    if (late->run_count >= STREAM_LATE_RUN_MIN) {
        uint8_t key[ID_KEY_BYTES], value[2 * VARINT_BYTES_MAX];
        size_t size = varint_store(value, late->run_first_id.ms);
        size += varint_store(value + size, late->run_first_id.seq);
        access_put(access, TREE_PARTS, id_key(key, stream, 'R', late->last_id),
                   slice_make(value, size));
        late->run_records++;
    }
    late->run_count = 0;
    late->run_first_id = STREAM_ID_MIN;
}

void stream_late_note_add(struct access *access, struct stream *stream, struct stream_id id,
                          uint64_t event_ms)
{
    struct stream_late_info *late = &stream->header.late;
    if (event_ms == id.ms) {
        if (late->run_count > 0)
            note_run(access, stream);
        return;
    }
    assert(event_ms < id.ms);
    uint8_t key[TIME_KEY_BYTES], value[VARINT_BYTES_MAX];
    access_put(access, TREE_PARTS, time_key(key, stream, (struct stream_moment){event_ms, id}),
               slice_make(NULL, 0));
    access_put(access, TREE_PARTS, id_key(key, stream, 'I', id),
               slice_make(value, varint_store(value, event_ms)));
    if (late->count++ == 0) {
        late->first_id = id;
        late->event_ms_min = late->event_ms_max = event_ms;
    }
    if (event_ms < late->event_ms_min)
        late->event_ms_min = event_ms;
    if (event_ms > late->event_ms_max)
        late->event_ms_max = event_ms;
    if (late->run_count++ == 0)
        late->run_first_id = id;
    late->last_id = id;
}

void stream_late_note_delete(struct access *access, struct stream *stream, struct stream_id id,
                             uint64_t event_ms)
{
    struct stream_late_info *late = &stream->header.late;
    assert(late->count > 0);
    delete_pair(access, stream, id, event_ms);
    if (--late->count > 0)
        return;
    if (late->run_records > 0)
        remove_tag(access, stream, 'R');
    memset(late, 0, sizeof *late);
}

void stream_late_trim_runs(struct access *access, const struct stream *stream)
{
    uint8_t from[BODY], to[ID_KEY_BYTES];
    if (stream->header.late.run_records > 0)
        access_delete_range(access, TREE_PARTS, tag_key(from, stream, 'R'),
                            id_key(to, stream, 'R', stream->header.first_id));
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static enum status run_decode(struct slice key, struct slice value, struct stream_id *first,
                              struct stream_id *last)
{
    if (key.size != ID_KEY_BYTES || !slice_take_varint(&value, &first->ms) ||
        !slice_take_varint(&value, &first->seq) || value.size > 0)
        return STATUS_CORRUPT;
    *last = stream_id_load(key.data + BODY);
    return stream_id_compare(*first, *last) <= 0 ? STATUS_OK : STATUS_CORRUPT;
}

enum status stream_late_run(struct access *access, const struct stream *stream, struct stream_id id,
                            struct stream_id *first, struct stream_id *last)
{
    const struct stream_late_info *late = &stream->header.late;
    if (late->run_count > 0 && stream_id_compare(id, late->run_first_id) >= 0) {
        *first = late->run_first_id;
        *last = late->last_id;
        return STATUS_OK;
    }
    if (late->run_records == 0)
        return STATUS_NOT_FOUND;
    uint8_t lower[ID_KEY_BYTES], upper[BODY];
    struct stream_id run_first, run_last;
    struct lsm_iter *iter =
        lsm_iter_open(access->reader, TREE_PARTS,
                      &(struct lsm_iter_options){.lower = id_key(lower, stream, 'R', id),
                                                 .upper = tag_key(upper, stream, 'R' + 1)});
    lsm_iter_seek_first(iter);
    enum status status = lsm_iter_status(iter);
    if (!status)
        status = lsm_iter_valid(iter)
                     ? run_decode(lsm_iter_key(iter), lsm_iter_value(iter), &run_first, &run_last)
                     : STATUS_NOT_FOUND;
    lsm_iter_close(iter);
    if (!status && stream_id_compare(run_first, id) > 0)
        status = STATUS_NOT_FOUND;
    if (!status) {
        *first = run_first;
        *last = run_last;
    }
    return status;
}

/* ---- Reading by event time ------------------------------------------------------------------ */

void stream_late_range_open(struct access *access, const struct stream *stream,
                            struct stream_moment first, struct stream_moment last, bool is_reverse,
                            struct stream_late_range *range)
{
    const struct stream_late_info *late = &stream->header.late;
    *range = (struct stream_late_range){
        .stream = stream, .first = first, .last = last, .is_reverse = is_reverse};
    if (stream->header.length == 0 || late->count == 0 || first.event_ms > late->event_ms_max ||
        last.event_ms < late->event_ms_min || stream_moment_compare(first, last) > 0)
        return;
    uint8_t lower[TIME_KEY_BYTES], upper[BODY];
    range->iter =
        lsm_iter_open(access->reader, TREE_PARTS,
                      &(struct lsm_iter_options){.lower = time_key(lower, stream, first),
                                                 .upper = tag_key(upper, stream, 'L' + 1)});
}

static void late_range_step(struct stream_late_range *range)
{
    uint8_t key[TIME_KEY_BYTES];
    if (range->is_started)
        (range->is_reverse ? lsm_iter_prev : lsm_iter_next)(range->iter);
    else if (range->is_reverse)
        lsm_iter_seek_for_prev(range->iter, time_key(key, range->stream, range->last));
    else
        lsm_iter_seek_first(range->iter);
    range->is_started = true;
}

enum status stream_late_range_next(struct stream_late_range *range, struct stream_moment *moment)
{
    if (!range->iter)
        return STATUS_NOT_FOUND;
    for (;;) {
        late_range_step(range);
        if (!lsm_iter_valid(range->iter)) {
            enum status status = lsm_iter_status(range->iter);
            return status ? status : STATUS_NOT_FOUND;
        }
        struct slice key = lsm_iter_key(range->iter);
        if (key.size != TIME_KEY_BYTES)
            return STATUS_CORRUPT;
        struct stream_moment found = {be64_load(key.data + BODY),
                                      stream_id_load(key.data + BODY + 8)};
        if (stream_moment_compare(found, range->last) > 0)
            return STATUS_NOT_FOUND;
        if (!stream_header_covers(&range->stream->header, found.id))
            continue;
        *moment = found;
        return STATUS_OK;
    }
}

void stream_late_range_close(struct stream_late_range *range)
{
    if (range->iter)
        lsm_iter_close(range->iter);
    range->iter = NULL;
}
