/* SPDX-License-Identifier: MIT */
/*   content = varint base LSN | row... | le32 offset of a restart... | le32 count of restarts
 *   row     = varint shared | varint unshared | varint value size | varint tag | key tail | value
 *   tag     = zigzag(LSN - LSN of the row before, or at a restart the base LSN) << 3 | kind
 *
 * `shared` bytes of the key are those of the row before; 0 at a restart. Offsets count from the
 * first row. */
#include "lsm/rows.h"

#include "base/coding.h"
#include "base/memory.h"

#include <assert.h>

enum {
    KIND_BITS = 3,
    KIND_MASK = (1 << KIND_BITS) - 1,
    PREFETCH_BYTES = 512, /* a scan asks for its rows so far ahead */
    CACHE_LINE_BYTES = 64,
};

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
    while (limit - shared >= sizeof(uint64_t)) {
        uint64_t left = le64_load(a.data + shared), right = le64_load(b.data + shared);
        if (left != right)
            return shared + (size_t)__builtin_ctzll(left ^ right) / 8;
        shared += sizeof(uint64_t);
    }
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
    memset(iter, 0, offsetof(struct rows_iter, window));
    iter->window_restart = UINT32_MAX;
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
    iter->window_restart = UINT32_MAX;
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

/* One varint; NULL: malformed. Most are one byte or two. */
static inline const uint8_t *row_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && at[0] < 0x80) {
        *value = at[0];
        return at + 1;
    }
    if (end - at >= 2 && at[1] > 0 && at[1] < 0x80) {
        *value = (at[0] & 0x7fu) | (uint64_t)at[1] << 7;
        return at + 2;
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
    if (!(in = row_varint(in, end, &head->shared)) ||
        !(in = row_varint(in, end, &head->unshared)) ||
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
        if (keep)
            memcpy(bytes, iter->key.data, keep);
        if (iter->key_bytes != iter->key_inline)
            memory_free(iter->key_bytes);
        iter->key_bytes = bytes;
        iter->key_capacity = capacity;
    } else if (keep && iter->key.data != iter->key_bytes) {
        memmove(iter->key_bytes, iter->key.data, keep);
    }
}

/* Parses the row at `at`, which follows a row of key_size bytes and `iter->lsn` unless it is
 * restart `restart_index`, and takes over its LSN. false: damaged. */
static bool row_enter(struct rows_iter *iter, size_t at, size_t key_size, struct row_head *head)
{
    bool is_restart = at == rows_restart(iter, iter->restart_index);
    if (!row_parse(iter, at, head) || head->shared > (is_restart ? 0 : key_size) ||
        head->shared + head->unshared > LSM_KEY_BYTES_MAX)
        return false;
    lsn_t reference = is_restart ? iter->base_lsn : iter->lsn;
    iter->lsn = reference + (uint64_t)zigzag_decode(head->tag >> KIND_BITS);
    return iter->lsn <= ROWS_LSN_MAX;
}

/* Shows a row, whose key's shared part lies at the front of iter->key. A key that shares nothing is
 * shown where it lies. */
static void row_show(struct rows_iter *iter, size_t at, const struct row_head *head)
{
    if (head->shared == 0) {
        iter->key = slice_make(head->key_tail, head->unshared);
    } else {
        size_t size = head->shared + head->unshared;
        rows_key_buffer(iter, head->shared, size);
        memcpy(iter->key_bytes + head->shared, head->key_tail, head->unshared);
        iter->key = slice_make(iter->key_bytes, size);
    }
    iter->kind = (enum entry_kind)(head->tag & KIND_MASK);
    iter->value = slice_make(head->key_tail + head->unshared, head->value_size);
    iter->at = at;
    iter->next_at = (size_t)(iter->value.data + iter->value.size - iter->entries.data);
    iter->valid = true;
}

/* Decodes the row at `at`. Unless that is restart `restart_index`, its predecessor is the current
 * row. */
static bool rows_decode(struct rows_iter *iter, size_t at)
{
    struct row_head head;
    if (!row_enter(iter, at, iter->key.size, &head)) {
        rows_iter_damaged(iter);
        return false;
    }
    row_show(iter, at, &head);
    return true;
}

static bool rows_decode_restart(struct rows_iter *iter, uint32_t index)
{
    iter->restart_index = index;
    iter->valid = false;
    return rows_decode(iter, rows_restart(iter, index));
}

/* The next row becomes the current one; it may be a restart. */
static void rows_cross_restart(struct rows_iter *iter)
{
    if (iter->restart_index + 1 < iter->restart_count &&
        rows_restart(iter, iter->restart_index + 1) <= iter->next_at)
        iter->restart_index++;
}

/* The row behind the current one; false at the end or when damaged. */
static bool rows_step(struct rows_iter *iter)
{
    if (iter->next_at >= iter->entries.size) {
        iter->valid = false;
        return false;
    }
    rows_cross_restart(iter);
    if (iter->next_at + PREFETCH_BYTES < iter->entries.size)
        __builtin_prefetch(iter->entries.data + iter->next_at + PREFETCH_BYTES);
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

/* Either of two restarts may be looked at next: both are asked for while the one before is
 * compared. */
static void rows_prefetch_restart(const struct rows_iter *iter, uint32_t index)
{
    size_t at = rows_restart(iter, index);
    if (at < iter->entries.size)
        __builtin_prefetch(iter->entries.data + at);
}

/* The last restart before (key, lsn), or 0. */
static bool rows_find_restart(struct rows_iter *iter, struct slice key, lsn_t lsn, uint32_t *found)
{
    uint32_t low = 0, high = iter->restart_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        rows_prefetch_restart(iter, low + (middle - low) / 2);
        rows_prefetch_restart(iter, middle + (high - middle + 1) / 2);
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

/* From the current row, which is before (key, lsn), to the first that is not. Keys are compared as
 * they lie: `match` bytes of the row before are the target's. A row that shares more with it is on
 * the same side of the target; of any other the shared bytes are the target's, too, and its tail
 * decides. */
static void rows_scan(struct rows_iter *iter, struct slice key, lsn_t lsn)
{
    size_t match = shared_prefix(iter->key, key), key_size = iter->key.size;
    iter->valid = false;
    while (iter->next_at < iter->entries.size) {
        struct row_head head;
        size_t at = iter->next_at;
        rows_cross_restart(iter);
        if (!row_enter(iter, at, key_size, &head)) {
            rows_iter_damaged(iter);
            return;
        }
        key_size = head.shared + head.unshared;
        iter->next_at =
            (size_t)(head.key_tail - iter->entries.data) + head.unshared + head.value_size;
        if (head.shared > match)
            continue;
        struct slice tail = slice_make(head.key_tail, head.unshared);
        struct slice rest = slice_skip(key, head.shared);
        if (entry_compare(tail, iter->lsn, rest, lsn) < 0) {
            match = head.shared + shared_prefix(tail, rest);
            continue;
        }
        iter->key = key;
        row_show(iter, at, &head);
        return;
    }
}

void rows_iter_seek(struct rows_iter *iter, struct slice key, lsn_t lsn)
{
    uint32_t restart;
    if (iter->damaged || !rows_find_restart(iter, key, lsn, &restart) ||
        !rows_decode_restart(iter, restart))
        return;
    if (entry_compare(iter->key, iter->lsn, key, lsn) < 0)
        rows_scan(iter, key, lsn);
}

void rows_iter_next(struct rows_iter *iter)
{
    assert(iter->valid);
    (void)rows_step(iter); /* the outcome is in the iterator */
}

/* Lists the rows from a restart to the next one. false: damaged, or more than the window holds. */
static bool rows_open_window(struct rows_iter *iter, uint32_t restart)
{
    if (iter->window_restart == restart)
        return true;
    size_t at = rows_restart(iter, restart), key_size = 0;
    size_t end =
        restart + 1 < iter->restart_count ? rows_restart(iter, restart + 1) : iter->entries.size;
    iter->window_restart = UINT32_MAX;
    iter->window_count = 0;
    iter->restart_index = restart;
    do {
        struct row_head head;
        if (iter->window_count == ROWS_WINDOW_MAX || !row_enter(iter, at, key_size, &head))
            return false;
        iter->window[iter->window_count].at = (uint32_t)at;
        iter->window[iter->window_count++].lsn = iter->lsn;
        key_size = head.shared + head.unshared;
        at = (size_t)(head.key_tail - iter->entries.data) + head.unshared + head.value_size;
    } while (at < end);
    iter->window_restart = restart;
    return at == end;
}

/* Puts bytes [keep, need) of a row's key into the key buffer: from the tails of the rows before
 * `index` in the window, each of which has a piece. */
static void rows_collect_key(struct rows_iter *iter, uint32_t index, size_t keep, size_t need)
{
    while (need > keep) {
        struct row_head head;
        assert(index > 0);
        (void)row_parse(iter, iter->window[--index].at, &head); /* the window was parsed before */
        if (head.shared >= need)
            continue;
        size_t from = head.shared > keep ? head.shared : keep;
        memcpy(iter->key_bytes + from, head.key_tail + (from - head.shared), need - from);
        need = from;
    }
}

/* Shows row `index` of the window. The first `keep` bytes of the current key are those of its
 * key. */
static void rows_show_in_window(struct rows_iter *iter, uint32_t index, size_t keep)
{
    struct row_head head;
    (void)row_parse(iter, iter->window[index].at, &head); /* the window was parsed before */
    if (head.shared > 0) {
        if (keep > head.shared)
            keep = head.shared;
        rows_key_buffer(iter, keep, head.shared + head.unshared);
        rows_collect_key(iter, index, keep, head.shared);
        iter->key = slice_make(iter->key_bytes, head.shared);
    }
    iter->lsn = iter->window[index].lsn;
    row_show(iter, iter->window[index].at, &head);
    /* What lies one window before is wanted when that window is listed. */
    size_t window_bytes = iter->window[iter->window_count - 1].at - iter->window[0].at;
    if (iter->at > window_bytes + CACHE_LINE_BYTES) {
        __builtin_prefetch(iter->entries.data + iter->at - window_bytes);
        __builtin_prefetch(iter->entries.data + iter->at - window_bytes - CACHE_LINE_BYTES);
    }
}

/* The row that ends at `target`, from a restart on: for windows that hold too little. */
static void rows_walk_to(struct rows_iter *iter, uint32_t restart, size_t target)
{
    if (!rows_decode_restart(iter, restart))
        return;
    while (iter->next_at < target) {
        if (!rows_step(iter))
            return;
    }
    if (iter->at >= target || iter->next_at != target)
        rows_iter_damaged(iter);
}

void rows_iter_prev(struct rows_iter *iter)
{
    assert(iter->valid);
    size_t target = iter->at, keep = 0;
    if (target == 0) {
        iter->valid = false;
        return;
    }
    struct row_head head;
    if (row_parse(iter, target, &head))
        keep = head.shared;
    uint32_t restart = iter->restart_index;
    while (restart > 0 && rows_restart(iter, restart) >= target)
        restart--;
    if (!rows_open_window(iter, restart)) {
        rows_walk_to(iter, restart, target);
        return;
    }
    uint32_t index = iter->window_count;
    while (index > 0 && iter->window[index - 1].at >= target)
        index--;
    if (index == 0) {
        rows_iter_damaged(iter);
        return;
    }
    iter->restart_index = restart;
    rows_show_in_window(iter, index - 1, keep);
    if (iter->next_at != target)
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
