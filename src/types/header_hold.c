/* SPDX-License-Identifier: MIT */
#include "types/header_hold.h"

#include "base/memory.h"
#include "types/expiry.h"

#include <assert.h>

enum { HELD_KEY_BYTES_MAX = 256 };

struct header_hold {
    const struct header_hold_kind *kind;
    uint64_t expire_ms;
    size_t key_size;
    unsigned database;
    uint32_t generation;
    uint8_t key[HELD_KEY_BYTES_MAX];
    _Alignas(max_align_t) uint8_t decoded[HEADER_HOLD_BYTES_MAX];
};

bool header_hold_take(struct access *access, struct slice key, const struct header_hold_kind *kind,
                      void *decoded)
{
    const struct header_hold *hold = access->hold;
    if (!access->is_holding)
        return false;
    if (hold->kind != kind || !slice_equal(key, slice_make(hold->key, hold->key_size)) ||
        expiry_is_due(hold->expire_ms, access->now_ms)) {
        header_hold_write(access);
        return false;
    }
    assert(hold->database == access->database && hold->generation == access->generation);
    memcpy(decoded, hold->decoded, kind->bytes);
    access->missed = slice_make(NULL, 0);
    return true;
}

bool header_hold_keep(struct access *access, struct slice key, const struct header_hold_kind *kind,
                      uint64_t expire_ms, const void *decoded)
{
    struct header_hold *hold = access->hold;
    assert(kind->bytes <= HEADER_HOLD_BYTES_MAX);
    if (!access->may_hold || key.size > HELD_KEY_BYTES_MAX)
        return false;
    if (!hold)
        hold = access->hold = memory_allocate(sizeof *hold);
    if (!access->is_holding) {
        memcpy(hold->key, key.data, key.size);
        hold->key_size = key.size;
        hold->database = access->database;
        hold->generation = access->generation;
    }
    hold->kind = kind;
    hold->expire_ms = expire_ms;
    memcpy(hold->decoded, decoded, kind->bytes);
    access->is_holding = true;
    return true;
}

void header_hold_drop(struct access *access)
{
    access->is_holding = false;
}

void header_hold_write(struct access *access)
{
    bool nowait = access->nowait;
    struct header_hold *hold = access->hold;
    if (!access->is_holding)
        return;
    access->is_holding = false;
    assert(hold->database == access->database && hold->generation == access->generation);
    hold->kind->write(access, slice_make(hold->key, hold->key_size), hold->decoded);
    access->nowait = nowait; /* that was the operation before this one */
    lsm_reader_set_nowait(access->reader, nowait);
}

void header_hold_release(struct access *access)
{
    assert(!access->is_holding);
    memory_free(access->hold);
    access->hold = NULL;
}
