/* SPDX-License-Identifier: MIT */
/* Reading entries in the order of their IDs, in place. */
#include "types/stream.h"

#include <assert.h>

/* The first key behind the entry of this ID. */
static struct slice key_behind(uint8_t at[STREAM_ENTRY_KEY_BYTES + 1],
                               const uint8_t prefix[OBJECT_PREFIX_BYTES], struct stream_id id)
{
    stream_entry_key_store(at, prefix, id);
    at[STREAM_ENTRY_KEY_BYTES] = 0;
    return slice_make(at, STREAM_ENTRY_KEY_BYTES + 1);
}

static struct slice key_of(uint8_t at[STREAM_ENTRY_KEY_BYTES + 1],
                           const uint8_t prefix[OBJECT_PREFIX_BYTES], struct stream_id id)
{
    stream_entry_key_store(at, prefix, id);
    return slice_make(at, STREAM_ENTRY_KEY_BYTES);
}

void stream_range_open(struct access *access, const struct stream *stream, struct stream_id first,
                       struct stream_id last, bool is_reverse, struct stream_range *range)
{
    const struct stream_header *header = &stream->header;
    *range = (struct stream_range){.first = first, .last = last, .is_reverse = is_reverse};
    if (header->length == 0)
        return;
    if (stream_id_compare(first, header->first_id) < 0)
        range->first = header->first_id;
    if (stream_id_compare(last, header->last_id) > 0)
        range->last = header->last_id;
    if (stream_id_compare(range->first, range->last) > 0)
        return;
    uint8_t lower[STREAM_ENTRY_KEY_BYTES + 1], upper[STREAM_ENTRY_KEY_BYTES + 1];
    range->iter = lsm_iter_open(
        access->reader, TREE_ENTRIES,
        &(struct lsm_iter_options){.lower = key_of(lower, stream->prefix, range->first),
                                   .upper = key_behind(upper, stream->prefix, range->last),
                                   .ignore_range_deletes = true});
}

static void range_step(struct stream_range *range)
{
    if (range->place == RANGE_ON_ENTRY)
        (range->is_reverse ? lsm_iter_prev : lsm_iter_next)(range->iter);
    else if (range->place == RANGE_BEGINS)
        (range->is_reverse ? lsm_iter_seek_last : lsm_iter_seek_first)(range->iter);
    range->place = RANGE_ON_ENTRY;
}

enum status stream_range_next(struct stream_range *range, struct stream_entry *entry)
{
    if (!range->iter)
        return STATUS_NOT_FOUND;
    range_step(range);
    if (!lsm_iter_valid(range->iter)) {
        enum status status = lsm_iter_status(range->iter);
        return status ? status : STATUS_NOT_FOUND;
    }
    return stream_entry_decode(lsm_iter_key(range->iter), lsm_iter_value(range->iter), entry);
}

void stream_range_skip(struct stream_range *range, const struct stream *stream, struct stream_id id)
{
    assert(range->iter);
    uint8_t key[STREAM_ENTRY_KEY_BYTES + 1];
    bool is_more = range->is_reverse ? stream_id_decrement(&id) : stream_id_increment(&id);
    bool is_inside = range->is_reverse ? stream_id_compare(id, range->first) >= 0
                                       : stream_id_compare(id, range->last) <= 0;
    if (!is_more || !is_inside)
        stream_range_close(range);
    else if (range->is_reverse)
        lsm_iter_seek_for_prev(range->iter, key_of(key, stream->prefix, id));
    else
        lsm_iter_seek(range->iter, key_of(key, stream->prefix, id));
    range->place = RANGE_BEFORE_ENTRY;
}

void stream_range_close(struct stream_range *range)
{
    if (range->iter)
        lsm_iter_close(range->iter);
    range->iter = NULL;
}

enum status stream_get(struct access *access, const struct stream *stream, struct stream_id id,
                       struct stream_entry *entry)
{
    if (!stream_header_covers(&stream->header, id))
        return STATUS_NOT_FOUND;
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    struct slice value;
    stream_entry_key_store(key, stream->prefix, id);
    enum status status = access_get(access, TREE_ENTRIES, slice_make(key, sizeof key), &value);
    return status ? status : stream_entry_decode(slice_make(key, sizeof key), value, entry);
}

enum status stream_last(struct access *access, const struct stream *stream,
                        struct stream_range *range, struct stream_entry *entry)
{
    stream_range_open(access, stream, STREAM_ID_MIN, STREAM_ID_MAX, true, range);
    return stream_range_next(range, entry);
}
