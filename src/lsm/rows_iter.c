/* SPDX-License-Identifier: MIT */
/* Moving over rows, whose grammar rows.c draws.
 *
 * Forward, a key is put together in one buffer, of which the part shared with the row before stays.
 * A seek bisects the restarts and then compares rows as they lie. Backward, all rows from a restart to
 * the next are decoded at once into the window, through which a step is one back. */
#include "lsm/rows.h"

#include "base/memory.h"

#include <assert.h>

enum {
    KIND_MASK = (1 << ROW_KIND_BITS) - 1,
    PREFETCH_BYTES = 512, /* a scan asks for its rows so far ahead */
    CACHE_LINE_BYTES = 64,
    SHORT_COPY_BYTES = 16, /* a shorter tail is copied with what lies behind it: one move */
};

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
    if (iter->window) {
        buffer_release(&iter->window->keys);
        memory_free(iter->window);
        iter->window = NULL;
    }
    iter->valid = false;
}

enum status rows_iter_attach(struct rows_iter *iter, struct slice content)
{
    iter->valid = false;
    iter->damaged = true;
    iter->entries = slice_make(NULL, 0);
    iter->restart_count = 0;
    if (iter->window)
        iter->window->restart = UINT32_MAX;
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

/* ---- One row ------------------------------------------------------------------------------- */

struct row_head {
    uint64_t shared, unshared, value_size, tag;
    const uint8_t *key_tail;
};

/* The sizes at the front of a row at `in`; the place behind them, NULL: malformed. Nearly all fit one
 * byte, many of values two. */
static inline const uint8_t *row_sizes(const uint8_t *in, const uint8_t *end, struct row_head *head)
{
    uint64_t word = le64_load(in); /* behind the last row are a restart and a count: 8 bytes */
    head->shared = word & 0xff;
    head->unshared = word >> 8 & 0xff;
    head->value_size = word >> 16 & 0xff;
    if (!(word & 0x808080))
        return in + 3;
    if (!(word & 0x80008080) && word >> 24 & 0xff) {
        head->value_size = (word >> 16 & 0x7f) | (word >> 17 & 0x3f80);
        return in + 4;
    }
    if (!(in = varint_load(in, end, &head->shared)) ||
        !(in = varint_load(in, end, &head->unshared)))
        return NULL;
    return varint_load(in, end, &head->value_size);
}

/* Reads the head of the row at `in`, which is before `end`; false: malformed or leaving the content.
 * Inlined by force: it is most of what reading tables costs. */
__attribute__((always_inline)) static inline bool row_parse(const uint8_t *in, const uint8_t *end,
                                                            struct row_head *head)
{
    if (!(in = row_sizes(in, end, head)) || in >= end)
        return false;
    if (*in < 0x80) {
        head->tag = *in++;
    } else {
        unsigned used = varint_of_word(le64_load(in), &head->tag);
        in += used;
        if (used == 0 && !(in = varint_load_long(in, end, &head->tag)))
            return false;
    }
    if (in > end || head->unshared > (size_t)(end - in) ||
        head->value_size > (size_t)(end - in) - head->unshared)
        return false;
    head->key_tail = in;
    return (head->tag & KIND_MASK) <= ENTRY_DELETE_RANGE;
}

static inline lsn_t row_lsn(const struct row_head *head, lsn_t before)
{
    return before + (uint64_t)zigzag_decode(head->tag >> ROW_KIND_BITS);
}

/* The same, in its place: behind a row with a key of `key_size` bytes and LSN `before`; a restart comes
 * behind one of 0 bytes and the base LSN. */
__attribute__((always_inline)) static inline bool
row_parse_behind(const struct rows_iter *iter, size_t at, size_t key_size, lsn_t before,
                 struct row_head *head, lsn_t *lsn)
{
    if (at >= iter->entries.size)
        return false;
    const uint8_t *rows = iter->entries.data;
    if (!row_parse(rows + at, rows + iter->entries.size, head))
        return false;
    if (head->shared > key_size || head->shared + head->unshared > LSM_KEY_BYTES_MAX)
        return false;
    *lsn = row_lsn(head, before);
    return *lsn <= ROWS_LSN_MAX;
}

static inline size_t row_end(const struct rows_iter *iter, const struct row_head *head)
{
    return (size_t)(head->key_tail - iter->entries.data) + head->unshared + head->value_size;
}

/* Room for a key; keeps the first `keep` bytes of the current one at its front. */
static void rows_key_grow(struct rows_iter *iter, size_t keep, size_t size)
{
    size_t capacity = 2 * size;
    uint8_t *bytes = memory_allocate(capacity);
    memcpy(bytes, iter->key.data, keep);
    if (iter->key_bytes != iter->key_inline)
        memory_free(iter->key_bytes);
    iter->key_bytes = bytes;
    iter->key_capacity = capacity;
}

/* The key of a row that shares something with iter->key. */
static inline void rows_key_join(struct rows_iter *iter, const struct row_head *head)
{
    size_t size = head->shared + head->unshared;
    const uint8_t *end = iter->entries.data + iter->entries.size;
    if (size > iter->key_capacity)
        rows_key_grow(iter, head->shared, size);
    else if (iter->key.data != iter->key_bytes)
        memmove(iter->key_bytes, iter->key.data, head->shared);
    uint8_t *to = iter->key_bytes + head->shared;
    if (head->unshared <= SHORT_COPY_BYTES && end - head->key_tail >= SHORT_COPY_BYTES &&
        iter->key_capacity - head->shared >= SHORT_COPY_BYTES)
        memcpy(to, head->key_tail, SHORT_COPY_BYTES);
    else
        memcpy(to, head->key_tail, head->unshared);
    iter->key = slice_make(iter->key_bytes, size);
}

/* Shows a row, whose key's shared part lies at the front of iter->key. A key that shares nothing is
 * shown where it lies. */
static inline void row_show(struct rows_iter *iter, size_t at, const struct row_head *head,
                            lsn_t lsn)
{
    if (head->shared == 0)
        iter->key = slice_make(head->key_tail, head->unshared);
    else
        rows_key_join(iter, head);
    iter->lsn = lsn;
    iter->kind = (enum entry_kind)(head->tag & KIND_MASK);
    iter->value = slice_make(head->key_tail + head->unshared, head->value_size);
    iter->at = at;
    iter->next_at = row_end(iter, head);
    iter->valid = true;
}

/* ---- Forward ------------------------------------------------------------------------------- */

static void rows_set_restart(struct rows_iter *iter, uint32_t index)
{
    iter->restart_index = index;
    iter->restart_end =
        index + 1 < iter->restart_count ? rows_restart(iter, index + 1) : iter->entries.size;
}

static bool rows_decode_restart(struct rows_iter *iter, uint32_t index)
{
    struct row_head head;
    lsn_t lsn;
    size_t at = rows_restart(iter, index);
    rows_set_restart(iter, index);
    if (!row_parse_behind(iter, at, 0, iter->base_lsn, &head, &lsn)) {
        rows_iter_damaged(iter);
        return false;
    }
    row_show(iter, at, &head, lsn);
    return true;
}

/* The row behind the current one; false at the end or when damaged. */
static bool rows_step(struct rows_iter *iter)
{
    struct row_head head;
    lsn_t lsn;
    size_t at = iter->next_at;
    if (at + PREFETCH_BYTES < iter->entries.size)
        __builtin_prefetch(iter->entries.data + at + PREFETCH_BYTES);
    if (at >= iter->restart_end) {
        if (at == iter->restart_end && at < iter->entries.size)
            return rows_decode_restart(iter, iter->restart_index + 1);
        iter->valid = false;
        iter->damaged = at != iter->restart_end; /* a restart that no row has */
        return false;
    }
    if (!row_parse_behind(iter, at, iter->key.size, iter->lsn, &head, &lsn)) {
        rows_iter_damaged(iter);
        return false;
    }
    row_show(iter, at, &head, lsn);
    return true;
}

void rows_iter_first(struct rows_iter *iter)
{
    if (iter->damaged)
        return;
    (void)rows_decode_restart(iter, 0); /* the outcome is in the iterator */
}

void rows_iter_next(struct rows_iter *iter)
{
    assert(iter->valid);
    (void)rows_step(iter); /* the outcome is in the iterator */
}

/* ---- Seeking ------------------------------------------------------------------------------- */

/* Either of two restarts may be looked at next: both are asked for while the one before is
 * compared. */
static inline void rows_prefetch_restart(const struct rows_iter *iter, uint32_t index)
{
    size_t at = rows_restart(iter, index);
    if (at < iter->entries.size)
        __builtin_prefetch(iter->entries.data + at);
}

/* Whether the row of a restart is before (key, lsn). false, too, if it is damaged: the scan from an
 * earlier one will meet it. Only one with this very key needs its LSN. */
static bool rows_restart_is_before(const struct rows_iter *iter, uint32_t index, struct slice key,
                                   lsn_t lsn)
{
    struct row_head head;
    size_t at = rows_restart(iter, index);
    const uint8_t *rows = iter->entries.data;
    if (at >= iter->entries.size || !row_parse(rows + at, rows + iter->entries.size, &head))
        return false;
    int order = slice_compare(slice_make(head.key_tail, head.unshared), key);
    return order < 0 || (order == 0 && row_lsn(&head, iter->base_lsn) > lsn);
}

/* The last restart before (key, lsn), or 0. */
static uint32_t rows_find_restart(const struct rows_iter *iter, struct slice key, lsn_t lsn)
{
    uint32_t low = 0, high = iter->restart_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        rows_prefetch_restart(iter, low + (middle - low) / 2);
        rows_prefetch_restart(iter, middle + (high - middle + 1) / 2);
        if (rows_restart_is_before(iter, middle, key, lsn))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* From a restart to the first row that is not before (key, lsn). Keys are compared as they lie: `match`
 * bytes of the row before, which is before the target, are the target's. A row that shares more with it
 * is on the same side of the target; of any other the shared bytes are the target's, too, and its tail
 * decides. */
static void rows_scan(struct rows_iter *iter, uint32_t restart, struct slice key, lsn_t lsn)
{
    struct row_head head;
    size_t match = 0, key_size = 0, at = rows_restart(iter, restart);
    lsn_t found_lsn = iter->base_lsn;
    rows_set_restart(iter, restart);
    do {
        bool is_misplaced = at > iter->restart_end; /* a restart that no row has */
        if (at == iter->restart_end) {
            rows_set_restart(iter, iter->restart_index + 1);
            key_size = 0;
            found_lsn = iter->base_lsn;
        }
        if (is_misplaced || !row_parse_behind(iter, at, key_size, found_lsn, &head, &found_lsn)) {
            rows_iter_damaged(iter);
            return;
        }
        if (head.shared <= match) {
            struct slice tail = slice_make(head.key_tail, head.unshared);
            struct slice rest = slice_skip(key, head.shared);
            size_t more = shared_prefix(tail, rest);
            bool is_before =
                entry_compare(slice_skip(tail, more), found_lsn, slice_skip(rest, more), lsn) < 0;
            if (!is_before) {
                iter->key = key;
                row_show(iter, at, &head, found_lsn);
                return;
            }
            match = head.shared + more;
        }
        key_size = head.shared + head.unshared;
        at = row_end(iter, &head);
    } while (at < iter->entries.size);
    iter->valid = false;
}

void rows_iter_seek(struct rows_iter *iter, struct slice key, lsn_t lsn)
{
    if (!iter->damaged)
        rows_scan(iter, rows_find_restart(iter, key, lsn), key, lsn);
}

/* ---- Backward ------------------------------------------------------------------------------ */

/* Puts a row behind the others; its shared part is the front of the last one's key. false: full. */
static bool window_add(struct rows_window *window, const struct row_head *head, size_t at,
                       lsn_t lsn)
{
    struct buffer *keys = &window->keys;
    size_t size = head->shared + head->unshared;
    if (window->count == ROWS_WINDOW_MAX || keys->size + size > ROWS_WINDOW_KEY_BYTES_MAX)
        return false;
    buffer_reserve(keys, size);
    uint32_t index = window->count++;
    uint8_t *key = keys->data + keys->size;
    if (head->shared > 0)
        memcpy(key, keys->data + window->rows[index - 1].key_at, head->shared);
    if (head->unshared > 0)
        memcpy(key + head->shared, head->key_tail, head->unshared);
    window->rows[index].at = (uint32_t)at;
    window->rows[index].key_at = (uint32_t)keys->size;
    window->rows[index].key_size = (uint32_t)size;
    window->rows[index].kind = (enum entry_kind)(head->tag & KIND_MASK);
    window->rows[index].lsn = lsn;
    window->rows[index].value = slice_make(head->key_tail + head->unshared, head->value_size);
    keys->size += size;
    return true;
}

/* Decodes the rows from a restart to the next one. false: damaged, or more than the window holds. */
static bool rows_fill_window(struct rows_iter *iter, uint32_t restart)
{
    struct rows_window *window = iter->window;
    struct row_head head;
    size_t at = rows_restart(iter, restart), key_size = 0;
    lsn_t lsn = iter->base_lsn;
    window->restart = UINT32_MAX;
    window->count = 0;
    buffer_clear(&window->keys);
    do {
        if (!row_parse_behind(iter, at, key_size, lsn, &head, &lsn) ||
            !window_add(window, &head, at, lsn))
            return false;
        key_size = head.shared + head.unshared;
        at = row_end(iter, &head);
    } while (at < iter->restart_end);
    window->restart = restart;
    window->index = window->count;
    return at == iter->restart_end;
}

static bool rows_open_window(struct rows_iter *iter, uint32_t restart)
{
    if (!iter->window) {
        iter->window = memory_zeroed(1, sizeof(*iter->window));
        iter->window->restart = UINT32_MAX;
    }
    rows_set_restart(iter, restart);
    return iter->window->restart == restart || rows_fill_window(iter, restart);
}

static void rows_show_in_window(struct rows_iter *iter, uint32_t index)
{
    struct rows_window *window = iter->window;
    const uint8_t *keys = window->keys.data;
    iter->key = slice_make(keys + window->rows[index].key_at, window->rows[index].key_size);
    iter->value = window->rows[index].value;
    iter->kind = window->rows[index].kind;
    iter->lsn = window->rows[index].lsn;
    iter->at = window->rows[index].at;
    iter->next_at = (size_t)(iter->value.data - iter->entries.data) + iter->value.size;
    iter->valid = true;
    window->index = index;
    /* What lies one window before is wanted when that window is decoded. */
    size_t window_bytes = iter->restart_end - window->rows[0].at;
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

/* The row behind which `target` begins; window->count: none. */
static uint32_t window_find(const struct rows_window *window, size_t target)
{
    uint32_t index = window->index;
    if (index == window->count || window->rows[index].at != target)
        index = window->count;
    while (index > 0 && window->rows[index - 1].at >= target)
        index--;
    return index > 0 ? index - 1 : window->count;
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
    if (!rows_open_window(iter, restart)) {
        rows_walk_to(iter, restart, target);
        return;
    }
    uint32_t index = window_find(iter->window, target);
    if (index < iter->window->count)
        rows_show_in_window(iter, index);
    if (index == iter->window->count || iter->next_at != target)
        rows_iter_damaged(iter);
}

void rows_iter_last(struct rows_iter *iter)
{
    if (iter->damaged)
        return;
    if (rows_open_window(iter, iter->restart_count - 1))
        rows_show_in_window(iter, iter->window->count - 1);
    else
        rows_walk_to(iter, iter->restart_count - 1, iter->entries.size);
}
