/* SPDX-License-Identifier: MIT */
/*   content = varint base LSN | row... | le32 offset of a restart... | le32 count of restarts
 *   row     = varint shared | varint unshared | varint value size | varint tag | key tail | value
 *   tag     = zigzag(LSN - LSN of the row before, or at a restart the base LSN) << 3 | kind
 *
 * `shared` bytes of the key are those of the row before; 0 at a restart. Offsets count from the first
 * row. */
#include "lsm/rows.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum { KIND_BITS = 3, KIND_MASK = (1 << KIND_BITS) - 1 };

/* ---- Builder ------------------------------------------------------------------------------- */

void rows_builder_init(struct rows_builder *rows, unsigned restart_interval)
{
    assert(restart_interval > 0);
    *rows = (struct rows_builder){.interval = restart_interval};
}

void rows_builder_release(struct rows_builder *rows)
{
    buffer_release(&rows->bytes);
    buffer_release(&rows->restarts);
    buffer_release(&rows->last_key);
}

void rows_builder_clear(struct rows_builder *rows)
{
    buffer_clear(&rows->bytes);
    buffer_clear(&rows->restarts);
    buffer_clear(&rows->last_key);
    rows->since_restart = 0;
}

bool rows_builder_is_empty(const struct rows_builder *rows)
{
    return rows->bytes.size == 0;
}

size_t rows_builder_size(const struct rows_builder *rows)
{
    return rows->bytes.size + rows->restarts.size + sizeof(uint32_t);
}

static size_t shared_prefix(struct slice a, struct slice b)
{
    size_t limit = a.size < b.size ? a.size : b.size;
    size_t shared = 0;
    while (shared < limit && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

void rows_builder_add(struct rows_builder *rows, struct slice key, lsn_t lsn, enum entry_kind kind,
                      struct slice value)
{
    assert(lsn <= ROWS_LSN_MAX);
    assert(kind <= ENTRY_DELETE_RANGE);
    if (rows_builder_is_empty(rows)) {
        rows->base_lsn = lsn;
        buffer_append_varint(&rows->bytes, lsn);
        rows->entries_at = rows->bytes.size;
    } else {
        assert(entry_compare(buffer_slice(&rows->last_key), rows->last_lsn, key, lsn) < 0);
    }
    bool restarts = rows->since_restart == 0;
    if (restarts)
        buffer_append_le32(&rows->restarts, (uint32_t)(rows->bytes.size - rows->entries_at));
    size_t shared = restarts ? 0 : shared_prefix(buffer_slice(&rows->last_key), key);
    lsn_t reference = restarts ? rows->base_lsn : rows->last_lsn;

    buffer_reserve(&rows->bytes, 4 * VARINT_BYTES_MAX + key.size + value.size);
    uint8_t *at = rows->bytes.data + rows->bytes.size;
    at += varint_store(at, shared);
    at += varint_store(at, key.size - shared);
    at += varint_store(at, value.size);
    at += varint_store(at, zigzag_encode((int64_t)(lsn - reference)) << KIND_BITS | (uint64_t)kind);
    rows->bytes.size = (size_t)(at - rows->bytes.data);
    buffer_append_slice(&rows->bytes, slice_skip(key, shared));
    buffer_append_slice(&rows->bytes, value);

    rows->last_key.size = shared;
    buffer_append_slice(&rows->last_key, slice_skip(key, shared));
    if (restarts) {
        buffer_clear(&rows->last_key);
        buffer_append_slice(&rows->last_key, key);
    }
    rows->last_lsn = lsn;
    rows->since_restart = (rows->since_restart + 1) % rows->interval;
}

struct slice rows_builder_finish(struct rows_builder *rows)
{
    assert(!rows_builder_is_empty(rows));
    size_t restart_count = rows->restarts.size / sizeof(uint32_t);
    buffer_append_slice(&rows->bytes, buffer_slice(&rows->restarts));
    buffer_append_le32(&rows->bytes, (uint32_t)restart_count);
    return buffer_slice(&rows->bytes);
}

/* ---- Iterator ------------------------------------------------------------------------------ */

void rows_iter_init(struct rows_iter *iter)
{
    memset(iter, 0, offsetof(struct rows_iter, key_inline));
    iter->key_bytes = iter->key_inline;
    iter->key_capacity = sizeof(iter->key_inline);
}

void rows_iter_release(struct rows_iter *iter)
{
    if (iter->key_bytes != iter->key_inline)
        memory_free(iter->key_bytes);
    iter->key_bytes = NULL;
    iter->valid = false;
}

enum status rows_iter_attach(struct rows_iter *iter, struct slice content)
{
    iter->valid = false;
    iter->damaged = true;
    iter->entries = slice_make(NULL, 0);
    iter->restart_count = 0;
    uint64_t base_lsn;
    if (content.size < sizeof(uint32_t))
        return STATUS_CORRUPT;
    struct slice rest = slice_make(content.data, content.size - sizeof(uint32_t));
    uint32_t count = le32_load(content.data + rest.size);
    if (!slice_take_varint(&rest, &base_lsn) || base_lsn > ROWS_LSN_MAX)
        return STATUS_CORRUPT;
    if (count == 0 || count > rest.size / sizeof(uint32_t))
        return STATUS_CORRUPT;
    size_t entries_size = rest.size - count * sizeof(uint32_t);
    if (entries_size == 0)
        return STATUS_CORRUPT;
    iter->entries = slice_make(rest.data, entries_size);
    iter->restarts = rest.data + entries_size;
    iter->restart_count = count;
    iter->base_lsn = base_lsn;
    iter->damaged = false;
    return STATUS_OK;
}

static void rows_iter_damaged(struct rows_iter *iter)
{
    iter->valid = false;
    iter->damaged = true;
}

static size_t rows_restart(const struct rows_iter *iter, uint32_t index)
{
    return le32_load(iter->restarts + index * sizeof(uint32_t));
}

struct row_head {
    uint64_t shared, unshared, value_size, tag;
    const uint8_t *key_tail;
};

/* One varint; NULL: malformed. Most are one byte. */
static inline const uint8_t *row_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    struct slice rest = slice_make(at, (size_t)(end - at));
    return slice_take_varint(&rest, value) ? rest.data : NULL;
}

/* Reads the head of the row at `at`; false: malformed or leaving the content. */
static bool row_parse(const struct rows_iter *iter, size_t at, struct row_head *head)
{
    if (at >= iter->entries.size)
        return false;
    const uint8_t *end = iter->entries.data + iter->entries.size;
    const uint8_t *in = iter->entries.data + at;
    if (!(in = row_varint(in, end, &head->shared)) || !(in = row_varint(in, end, &head->unshared)) ||
        !(in = row_varint(in, end, &head->value_size)) || !(in = row_varint(in, end, &head->tag)))
        return false;
    size_t left = (size_t)(end - in);
    if (head->unshared > left || head->value_size > left - head->unshared)
        return false;
    if (head->shared > LSM_KEY_BYTES_MAX || head->unshared > LSM_KEY_BYTES_MAX)
        return false;
    head->key_tail = in;
    return (head->tag & KIND_MASK) <= ENTRY_DELETE_RANGE;
}

/* Room for a key; keeps the first `keep` bytes of the current one at its front. */
static void rows_key_buffer(struct rows_iter *iter, size_t keep, size_t size)
{
    if (size > iter->key_capacity) {
        size_t capacity = 2 * size;
        uint8_t *bytes = memory_allocate(capacity);
        memcpy(bytes, iter->key.data, keep);
        if (iter->key_bytes != iter->key_inline)
            memory_free(iter->key_bytes);
        iter->key_bytes = bytes;
        iter->key_capacity = capacity;
    } else if (iter->key.data != iter->key_bytes) {
        memcpy(iter->key_bytes, iter->key.data, keep);
    }
}

/* Decodes the row at `at`. Unless that is restart `restart_index`, its predecessor is the current row.
 * A key that shares nothing is shown where it lies. */
static bool rows_decode(struct rows_iter *iter, size_t at)
{
    bool is_restart = at == rows_restart(iter, iter->restart_index);
    struct row_head head;
    if (!row_parse(iter, at, &head) || (is_restart && head.shared > 0) ||
        (head.shared > 0 && head.shared > iter->key.size)) {
        rows_iter_damaged(iter);
        return false;
    }
    if (head.shared == 0) {
        iter->key = slice_make(head.key_tail, head.unshared);
    } else {
        size_t size = head.shared + head.unshared;
        rows_key_buffer(iter, head.shared, size);
        memcpy(iter->key_bytes + head.shared, head.key_tail, head.unshared);
        iter->key = slice_make(iter->key_bytes, size);
    }
    lsn_t reference = is_restart ? iter->base_lsn : iter->lsn;
    iter->lsn = reference + (uint64_t)zigzag_decode(head.tag >> KIND_BITS);
    iter->kind = (enum entry_kind)(head.tag & KIND_MASK);
    iter->value = slice_make(head.key_tail + head.unshared, head.value_size);
    iter->at = at;
    iter->next_at = (size_t)(iter->value.data + iter->value.size - iter->entries.data);
    iter->valid = iter->lsn <= ROWS_LSN_MAX && iter->key.size <= LSM_KEY_BYTES_MAX;
    iter->damaged = !iter->valid;
    return iter->valid;
}

static bool rows_decode_restart(struct rows_iter *iter, uint32_t index)
{
    iter->restart_index = index;
    iter->valid = false;
    return rows_decode(iter, rows_restart(iter, index));
}

/* The row behind the current one; false at the end or when damaged. */
static bool rows_step(struct rows_iter *iter)
{
    if (iter->next_at >= iter->entries.size) {
        iter->valid = false;
        return false;
    }
    if (iter->restart_index + 1 < iter->restart_count &&
        rows_restart(iter, iter->restart_index + 1) <= iter->next_at)
        iter->restart_index++;
    return rows_decode(iter, iter->next_at);
}

void rows_iter_first(struct rows_iter *iter)
{
    if (iter->damaged)
        return;
    (void)rows_decode_restart(iter, 0); /* the outcome is in the iterator */
}

void rows_iter_last(struct rows_iter *iter)
{
    if (iter->damaged || !rows_decode_restart(iter, iter->restart_count - 1))
        return;
    while (iter->next_at < iter->entries.size) {
        if (!rows_step(iter))
            return;
    }
}

/* The last restart before (key, lsn), or 0. */
static bool rows_find_restart(struct rows_iter *iter, struct slice key, lsn_t lsn, uint32_t *found)
{
    uint32_t low = 0, high = iter->restart_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (!rows_decode_restart(iter, middle))
            return false;
        if (entry_compare(iter->key, iter->lsn, key, lsn) < 0)
            low = middle;
        else
            high = middle - 1;
    }
    *found = low;
    return true;
}

void rows_iter_seek(struct rows_iter *iter, struct slice key, lsn_t lsn)
{
    uint32_t restart;
    if (iter->damaged || !rows_find_restart(iter, key, lsn, &restart) ||
        !rows_decode_restart(iter, restart))
        return;
    while (entry_compare(iter->key, iter->lsn, key, lsn) < 0) {
        if (!rows_step(iter))
            return;
    }
}

void rows_iter_next(struct rows_iter *iter)
{
    assert(iter->valid);
    (void)rows_step(iter); /* the outcome is in the iterator */
}

void rows_iter_prev(struct rows_iter *iter)
{
    assert(iter->valid);
    size_t target = iter->at;
    if (target == 0) {
        iter->valid = false;
        return;
    }
    uint32_t restart = iter->restart_index;
    while (restart > 0 && rows_restart(iter, restart) >= target)
        restart--;
    if (!rows_decode_restart(iter, restart))
        return;
    while (iter->next_at < target) {
        if (!rows_step(iter))
            return;
    }
    if (iter->at >= target || iter->next_at != target)
        rows_iter_damaged(iter);
}

bool rows_check(struct slice content)
{
    struct rows_iter iter;
    struct buffer last_key = {0};
    lsn_t last_lsn = 0;
    uint32_t restarts_seen = 0;
    rows_iter_init(&iter);
    bool sound = rows_iter_attach(&iter, content) == STATUS_OK && rows_restart(&iter, 0) == 0;
    if (sound)
        rows_iter_first(&iter);
    for (bool is_first = true; sound && iter.valid; is_first = false) {
        if (!is_first)
            sound = entry_compare(buffer_slice(&last_key), last_lsn, iter.key, iter.lsn) < 0;
        if (iter.at == rows_restart(&iter, iter.restart_index))
            restarts_seen++;
        buffer_clear(&last_key);
        buffer_append_slice(&last_key, iter.key);
        last_lsn = iter.lsn;
        rows_iter_next(&iter);
    }
    sound = sound && !iter.damaged && restarts_seen == iter.restart_count;
    rows_iter_release(&iter);
    buffer_release(&last_key);
    return sound;
}
