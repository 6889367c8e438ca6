/* SPDX-License-Identifier: MIT */
/* The builder, and the check of a whole content.
 *
 *   content = varint base LSN | row... | le32 offset of a restart... | le32 count of restarts
 *   row     = varint shared | varint unshared | varint value size | varint tag | key tail | value
 *   tag     = zigzag(LSN - LSN of the row before, or at a restart the base LSN) << 3 | kind
 *
 * `shared` bytes of the key are those of the row before; 0 at a restart. Offsets count from the
 * first row. */
#include "lsm/rows.h"

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

/* In cursor order behind the last row, with whose key it has `shared` bytes in common. */
static bool is_behind_last(const struct rows_builder *rows, struct slice key, lsn_t lsn,
                           size_t shared)
{
    struct slice last = buffer_slice(&rows->last_key);
    if (shared == key.size)
        return shared == last.size && lsn < rows->last_lsn;
    return shared == last.size || last.data[shared] < key.data[shared];
}

bool rows_builder_try_add(struct rows_builder *rows, struct slice key, lsn_t lsn,
                          enum entry_kind kind, struct slice value)
{
    assert(lsn <= ROWS_LSN_MAX);
    assert(kind <= ENTRY_DELETE_RANGE);
    size_t shared = 0;
    if (rows_builder_is_empty(rows)) {
        rows->base_lsn = lsn;
        buffer_append_varint(&rows->bytes, lsn);
        rows->entries_at = rows->bytes.size;
    } else {
        shared = shared_prefix(buffer_slice(&rows->last_key), key);
        if (!is_behind_last(rows, key, lsn, shared))
            return false;
    }
    bool restarts = rows->since_restart == 0;
    if (restarts)
        buffer_append_le32(&rows->restarts, (uint32_t)(rows->bytes.size - rows->entries_at));
    struct slice tail = slice_skip(key, shared), stored = restarts ? key : tail;
    lsn_t reference = restarts ? rows->base_lsn : rows->last_lsn;

    if (!buffer_reserve(&rows->bytes, 4 * VARINT_BYTES_MAX + key.size + value.size))
        return true; /* the buffer knows that it has failed */
    uint8_t *at = rows->bytes.data + rows->bytes.size;
    at += varint_store(at, key.size - stored.size);
    at += varint_store(at, stored.size);
    at += varint_store(at, value.size);
    at += varint_store(at,
                       zigzag_encode((int64_t)(lsn - reference)) << ROW_KIND_BITS | (uint64_t)kind);
    if (stored.size)
        memcpy(at, stored.data, stored.size);
    if (value.size)
        memcpy(at + stored.size, value.data, value.size);
    rows->bytes.size = (size_t)(at + stored.size + value.size - rows->bytes.data);

    rows->last_key.size = shared;
    buffer_append_slice(&rows->last_key, tail);
    rows->last_lsn = lsn;
    rows->since_restart = (rows->since_restart + 1) % rows->interval;
    return true;
}

void rows_builder_add(struct rows_builder *rows, struct slice key, lsn_t lsn, enum entry_kind kind,
                      struct slice value)
{
    bool is_added = rows_builder_try_add(rows, key, lsn, kind, value);
    assert(is_added);
    (void)is_added;
}

struct slice rows_builder_finish(struct rows_builder *rows)
{
    assert(!rows_builder_is_empty(rows));
    size_t restart_count = rows->restarts.size / sizeof(uint32_t);
    buffer_append_slice(&rows->bytes, buffer_slice(&rows->restarts));
    buffer_append_le32(&rows->bytes, (uint32_t)restart_count);
    return buffer_slice(&rows->bytes);
}

bool rows_check(struct slice content)
{
    struct rows_iter iter;
    struct buffer last_key = {0};
    lsn_t last_lsn = 0;
    uint32_t restarts_seen = 0;
    rows_iter_init(&iter);
    bool sound = rows_iter_attach(&iter, content) == STATUS_OK && rows_restart(&iter, 0) == 0;
    size_t at = 0;
    if (sound)
        rows_iter_first(&iter);
    while (sound && iter.valid) {
        if (at > 0)
            sound =
                entry_compare(buffer_slice(&last_key), last_lsn, iter.row->key, iter.row->lsn) < 0;
        if (at == rows_restart(&iter, iter.restart_index))
            restarts_seen++;
        buffer_clear(&last_key);
        buffer_append_slice(&last_key, iter.row->key);
        last_lsn = iter.row->lsn;
        at = rows_row_end(&iter, iter.row);
        rows_iter_next(&iter);
    }
    sound = sound && !iter.damaged && restarts_seen == iter.restart_count;
    rows_iter_release(&iter);
    buffer_release(&last_key);
    return sound;
}
