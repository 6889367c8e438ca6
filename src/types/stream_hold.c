/* SPDX-License-Identifier: MIT */
#include "types/stream_hold.h"

#include "base/memory.h"
#include "types/expiry.h"

#include <assert.h>

enum { HELD_KEY_BYTES_MAX = 256 };

struct stream_hold {
    struct stream stream; /* without slices; its key is: */
    uint8_t key[HELD_KEY_BYTES_MAX];
    size_t key_size;
    unsigned database;
    uint32_t generation;
};

bool stream_hold_take(struct access *access, struct slice key, struct stream *stream)
{
    const struct stream_hold *hold = access->hold;
    if (!access->is_holding)
        return false;
    if (!slice_equal(key, slice_make(hold->key, hold->key_size)) ||
        expiry_is_due(hold->stream.object.expire_ms, access->now_ms)) {
        stream_hold_write(access);
        return false;
    }
    assert(hold->database == access->database && hold->generation == access->generation);
    *stream = hold->stream;
    stream->key = key;
    access->missed = slice_make(NULL, 0);
    return true;
}

bool stream_hold_keep(struct access *access, const struct stream *stream)
{
    struct stream_hold *hold = access->hold;
    if (!access->may_hold || !stream->exists || stream->key.size > HELD_KEY_BYTES_MAX)
        return false;
    if (!hold)
        hold = access->hold = memory_allocate(sizeof *hold);
    if (!access->is_holding) {
        memcpy(hold->key, stream->key.data, stream->key.size);
        hold->key_size = stream->key.size;
        hold->database = access->database;
        hold->generation = access->generation;
    }
    hold->stream = *stream;
    hold->stream.found.body = hold->stream.object.body = slice_make(NULL, 0);
    access->is_holding = true;
    return true;
}

void stream_hold_write(struct access *access)
{
    bool nowait = access->nowait;
    if (!access->is_holding)
        return;
    access->is_holding = false;
    struct stream_hold *hold = access->hold;
    hold->stream.key = slice_make(hold->key, hold->key_size);
    assert(hold->database == access->database && hold->generation == access->generation);
    stream_header_write(access, &hold->stream);
    access->nowait = nowait; /* that was the operation before this one */
    lsm_reader_set_nowait(access->reader, nowait);
}

void stream_hold_release(struct access *access)
{
    assert(!access->is_holding);
    memory_free(access->hold);
    access->hold = NULL;
}
