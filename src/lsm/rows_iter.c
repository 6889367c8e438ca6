/* SPDX-License-Identifier: MIT */
/* Moving over rows, whose grammar rows.c draws.
 *
 * A seek bisects the restarts and then compares rows as they lie; what it finds stands alone. A step from
 * there decodes rows up to the next restart, or from the last one, at once: they are the window, in which
 * further steps go from one to the next.
 *
 *      restart          row found by a seek             next restart
 *      |----------------|-----|-------------------------|
 *       window backward        window forward             window behind it
 */
#include "lsm/rows.h"

#include "base/memory.h"

enum {
    KIND_MASK = (1 << ROW_KIND_BITS) - 1,
    FIRST_ROWS_MAX = 4,    /* decoded behind what a seek found, as often few are wanted */
    PREFETCH_BYTES = 1024, /* a scan asks for its rows so far ahead */
    PREFETCH_BACK_BYTES_MAX = 4096,
    CACHE_LINE_BYTES = 64,
    SHORT_COPY_BYTES = 16, /* what is shorter is copied with what lies behind it: one move */
    KEY_SLACK_BYTES = 4 * SHORT_COPY_BYTES,
};

void rows_iter_init(struct rows_iter *iter)
{
    memset(iter, 0, offsetof(struct rows_iter, found));
    iter->key_bytes = iter->key_inline;
    iter->key_capacity = sizeof(iter->key_inline);
}

void rows_iter_release(struct rows_iter *iter)
{
    if (iter->key_bytes != iter->key_inline)
        memory_free(iter->key_bytes);
    iter->key_bytes = NULL;
    if (iter->window)
        memory_free(iter->window->keys);
    memory_free(iter->window);
    iter->window = NULL;
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

/* ---- One row ------------------------------------------------------------------------------- */

struct row_head {
    uint64_t shared, unshared, value_size, tag;
    const uint8_t *key_tail;
};

/* The head of a row of any sizes; see row_parse. */
__attribute__((noinline)) static bool row_parse_long(const uint8_t *in, const uint8_t *end,
                                                     struct row_head *head)
{
    if (!(in = varint_load(in, end, &head->shared)) ||
        !(in = varint_load(in, end, &head->unshared)) ||
        !(in = varint_load(in, end, &head->value_size)) || !(in = varint_load(in, end, &head->tag)))
        return false;
    head->key_tail = in;
    return head->shared <= LSM_KEY_BYTES_MAX &&
           head->unshared <= LSM_KEY_BYTES_MAX - head->shared &&
           head->unshared <= (size_t)(end - in) &&
           head->value_size <= (size_t)(end - in) - head->unshared;
}

/* Reads the head of the row at `in`, which is before `end`; false: malformed or leaving the content.
 * Inlined by force: it is most of what reading tables costs. Nearly always the sizes of the key take one
 * byte each, that of the value one or two, which is no branch since it changes from row to row. */
__attribute__((always_inline)) static inline bool row_parse(const uint8_t *in, const uint8_t *end,
                                                            struct row_head *head)
{
    uint64_t word = le64_load(in); /* behind the last row are a restart and a count: 8 bytes */
    uint64_t has_two = word >> 23 & 1;
    const uint8_t *at = in + 3 + has_two;
    head->shared = word & 0xff;
    head->unshared = word >> 8 & 0xff;
    head->value_size = (word >> 16 & 0x7f) | (word >> 17 & 0x3f80 & -has_two);
    bool is_short = !(word & (0x8080 | has_two << 31)) && head->value_size >> 7 >= has_two;
    if (is_short && at[0] < 0x80) {
        head->tag = *at++;
    } else if (is_short && (uint8_t)(at[1] - 1) < 0x7f) { /* neither 0 nor followed by another */
        head->tag = (at[0] & 0x7fu) | (uint64_t)at[1] << 7;
        at += 2;
    } else {
        unsigned used = is_short && at < end ? varint_of_word(le64_load(at), &head->tag) : 0;
        at += used;
        if (used == 0) {
            struct row_head other;
            if (!row_parse_long(in, end, &other))
                return false;
            *head = other;
            at = other.key_tail;
        }
    }
    head->key_tail = at;
    return (ptrdiff_t)(head->unshared + head->value_size) <= end - at &&
           (head->tag & KIND_MASK) <= ENTRY_DELETE_RANGE;
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
    if (head->shared > key_size)
        return false;
    *lsn = row_lsn(head, before);
    return *lsn <= ROWS_LSN_MAX;
}

static inline size_t row_end(const struct rows_iter *iter, const struct row_head *head)
{
    return (size_t)(head->key_tail - iter->entries.data) + head->unshared + head->value_size;
}

static void rows_set_restart(struct rows_iter *iter, uint32_t index)
{
    iter->restart_index = index;
    iter->restart_end =
        index + 1 < iter->restart_count ? rows_restart(iter, index + 1) : iter->entries.size;
}

/* ---- The window ---------------------------------------------------------------------------- */

/* Read before it is written: the two may overlap, in bytes that do not matter. */
static inline void copy_short(uint8_t *to, const uint8_t *from)
{
    struct {
        uint8_t bytes[SHORT_COPY_BYTES];
    } piece;
    memcpy(&piece, from, sizeof(piece));
    memcpy(to, &piece, sizeof(piece));
}

/* Puts the key of a row together behind the one before. May write KEY_SLACK_BYTES more than it has; `end` is that
 * of the rows. */
__attribute__((always_inline)) static inline void
join_key(uint8_t *key, const uint8_t *before, const uint8_t *end, const struct row_head *head)
{
    const uint8_t *tail = head->key_tail;
    if (head->shared <= 2 * SHORT_COPY_BYTES && head->unshared <= 2 * SHORT_COPY_BYTES &&
        end - tail >= 2 * SHORT_COPY_BYTES) {
        copy_short(key, before);
        copy_short(key + SHORT_COPY_BYTES, before + SHORT_COPY_BYTES);
        copy_short(key + head->shared, tail);
        if (head->unshared > SHORT_COPY_BYTES)
            copy_short(key + head->shared + SHORT_COPY_BYTES, tail + SHORT_COPY_BYTES);
    } else {
        memcpy(key, before, head->shared);
        memcpy(key + head->shared, tail, head->unshared);
    }
}

/* Decodes rows from `in` to `stop`, `row_max` at most, up to a damaged one and as long as there is room for their
 * keys. `key_size` and `lsn`: of the row before, whose key stands in front. Returns how many; *lacking is what the
 * keys take with the row that there was no room for, 0: there was. */
static size_t window_read(struct rows_window *window, uint32_t row_max, const uint8_t *in,
                          const uint8_t *stop, const uint8_t *end, size_t key_size, lsn_t lsn,
                          size_t *lacking)
{
    struct row_head head;
    struct entry *row = window->rows, *row_end = row + row_max;
    const uint8_t *asked = in + PREFETCH_BYTES; /* for what lies before it */
    uint8_t *key = window->keys, *keys_end = key + window->key_capacity - KEY_SLACK_BYTES;
    uint64_t not_plain = 0;
    *lacking = 0;
    do {
        for (; asked < in + PREFETCH_BYTES; asked += CACHE_LINE_BYTES)
            __builtin_prefetch(asked);
        if (!row_parse(in, end, &head) || head.shared > key_size)
            break;
        lsn = row_lsn(&head, lsn);
        if (lsn > ROWS_LSN_MAX)
            break;
        uint8_t *before = key;
        key += key_size;
        key_size = head.shared + head.unshared;
        if ((size_t)(keys_end - key) < key_size) {
            *lacking = (size_t)(key - window->keys) + key_size + KEY_SLACK_BYTES;
            break;
        }
        join_key(key, before, end, &head);
        not_plain |= (head.tag & KIND_MASK) ^ ENTRY_PUT;
        not_plain |= head.unshared == 0; /* as keys ascend, it is that of the row before */
        row->key = slice_make(key, key_size);
        row->value = slice_make(head.key_tail + head.unshared, head.value_size);
        row->lsn = lsn;
        row->kind = (enum entry_kind)(head.tag & KIND_MASK);
        in = row->value.data + row->value.size;
        row++;
    } while (in < stop && row < row_end);
    window->is_plain = !not_plain;
    return (size_t)(row - window->rows);
}

/* Makes room for keys of `needed` bytes, or of more. The key `before` comes to the front; it may lie there already,
 * somewhere. */
static void window_make_room(struct rows_window *window, struct slice before, size_t needed)
{
    uint8_t *old = window->keys;
    bool grows = window->key_capacity < needed;
    if (grows) {
        size_t capacity = 2 * window->key_capacity;
        if (capacity < ROWS_WINDOW_KEY_BYTES_MIN)
            capacity = ROWS_WINDOW_KEY_BYTES_MIN;
        if (capacity > ROWS_WINDOW_KEY_BYTES_MAX)
            capacity = ROWS_WINDOW_KEY_BYTES_MAX;
        window->key_capacity = capacity < needed ? needed : capacity;
        window->keys = memory_allocate(window->key_capacity);
    }
    if (before.size > 0)
        memmove(window->keys, before.data, before.size);
    if (grows)
        memory_free(old);
}

/* Decodes rows from `at` to `stop`, or fewer, but one at least, and stands on the first. `before` and
 * `lsn`: of the row before; at a restart an empty key and the base LSN. false: the first row is damaged. */
static bool window_fill(struct rows_iter *iter, size_t at, size_t stop, uint32_t row_max,
                        struct slice before, lsn_t lsn)
{
    struct rows_window *window = iter->window;
    const uint8_t *rows = iter->entries.data, *end = rows + iter->entries.size;
    size_t count = 0, needed = before.size + KEY_SLACK_BYTES, lacking = needed;
    if (needed < window->key_wanted && window->key_wanted <= ROWS_WINDOW_KEY_BYTES_MAX)
        needed = window->key_wanted;
    while (at < iter->entries.size && count == 0 && lacking > 0) {
        window_make_room(window, before, needed);
        count =
            window_read(window, row_max, rows + at, rows + stop, end, before.size, lsn, &lacking);
        window->key_wanted = needed = lacking;
        before.data = window->keys;
    }
    if (count == 0) {
        rows_iter_damaged(iter);
        return false;
    }
    iter->first = iter->row = window->rows;
    iter->last = window->rows + count - 1;
    iter->first_at = at;
    iter->row_max = row_max;
    iter->valid = true;
    return true;
}

static void rows_need_window(struct rows_iter *iter)
{
    struct rows_window *window = iter->window;
    if (window)
        return;
    window = iter->window = memory_allocate(sizeof(*window));
    window->keys = NULL;
    window->key_capacity = window->key_wanted = 0;
}

/* ---- Forward ------------------------------------------------------------------------------- */

static void rows_enter_restart(struct rows_iter *iter, uint32_t index, uint32_t row_max)
{
    rows_need_window(iter);
    rows_set_restart(iter, index);
    (void)window_fill(iter, rows_restart(iter, index), iter->restart_end, row_max,
                      slice_make(NULL, 0), iter->base_lsn); /* the outcome is in the iterator */
}

void rows_iter_first(struct rows_iter *iter)
{
    if (!iter->damaged)
        rows_enter_restart(iter, 0, ROWS_WINDOW_MAX);
}

void rows_iter_next_window(struct rows_iter *iter)
{
    const struct entry *row = iter->row;
    size_t at = rows_row_end(iter, row);
    uint32_t row_max = row == &iter->found ? FIRST_ROWS_MAX : 2 * iter->row_max;
    if (row_max > ROWS_WINDOW_MAX)
        row_max = ROWS_WINDOW_MAX;
    if (at < iter->restart_end) {
        rows_need_window(iter);
        (void)window_fill(iter, at, iter->restart_end, row_max, row->key, row->lsn); /* as above */
    } else if (at == iter->restart_end && at < iter->entries.size) {
        rows_enter_restart(iter, iter->restart_index + 1, row_max);
    } else {
        iter->valid = false;
        iter->damaged = at != iter->restart_end; /* a restart that no row has */
    }
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

/* Room for a key; keeps the first `keep` bytes of `from` at its front. */
static void rows_key_begin(struct rows_iter *iter, struct slice from, size_t keep, size_t size)
{
    uint8_t *bytes = iter->key_bytes;
    if (size > iter->key_capacity)
        bytes = memory_allocate(2 * size);
    memmove(bytes, from.data, keep);
    if (size <= iter->key_capacity)
        return;
    if (iter->key_bytes != iter->key_inline)
        memory_free(iter->key_bytes);
    iter->key_bytes = bytes;
    iter->key_capacity = 2 * size;
}

/* Stands on a row alone; what its key shares is the front of `target`. One that shares nothing is shown
 * where it lies. */
static void rows_show_found(struct rows_iter *iter, size_t at, struct slice target,
                            const struct row_head *head, lsn_t lsn)
{
    struct slice key = slice_make(head->key_tail, head->unshared);
    if (head->shared > 0) {
        key.size += head->shared;
        rows_key_begin(iter, target, head->shared, key.size);
        memcpy(iter->key_bytes + head->shared, head->key_tail, head->unshared);
        key.data = iter->key_bytes;
    }
    iter->found.key = key;
    iter->found.value = slice_make(head->key_tail + head->unshared, head->value_size);
    iter->found.lsn = lsn;
    iter->found.kind = (enum entry_kind)(head->tag & KIND_MASK);
    iter->row = iter->first = iter->last = &iter->found;
    iter->first_at = at;
    iter->valid = true;
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
                rows_show_found(iter, at, key, &head, found_lsn);
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

/* What lies before a window is wanted when that is decoded. */
static void rows_prefetch_before(const struct rows_iter *iter, size_t at, size_t size)
{
    const uint8_t *begin = iter->entries.data + at;
    if (size > PREFETCH_BACK_BYTES_MAX)
        size = PREFETCH_BACK_BYTES_MAX;
    if (size > at)
        size = at;
    for (size_t back = CACHE_LINE_BYTES; back <= size; back += CACHE_LINE_BYTES)
        __builtin_prefetch(begin - back);
}

/* Stands on the row behind which `target` begins, between a restart and the next. The window may be too
 * small for all before it: then it goes on behind its last one. */
static void rows_enter_before(struct rows_iter *iter, uint32_t restart, size_t target)
{
    size_t at = rows_restart(iter, restart);
    struct slice before = {NULL, 0};
    lsn_t lsn = iter->base_lsn;
    if (at >= target) {
        rows_iter_damaged(iter);
        return;
    }
    rows_need_window(iter);
    rows_set_restart(iter, restart);
    rows_prefetch_before(iter, at, target - at);
    do {
        if (!window_fill(iter, at, target, ROWS_WINDOW_MAX, before, lsn))
            return;
        iter->row = iter->last;
        before = iter->row->key;
        lsn = iter->row->lsn;
        at = rows_row_end(iter, iter->row);
    } while (at < target);
    if (at > target)
        rows_iter_damaged(iter);
}

void rows_iter_prev_window(struct rows_iter *iter)
{
    size_t target = iter->first_at;
    if (target == 0) {
        iter->valid = false;
        return;
    }
    uint32_t restart = iter->restart_index;
    while (restart > 0 && rows_restart(iter, restart) >= target)
        restart--;
    rows_enter_before(iter, restart, target);
}

void rows_iter_last(struct rows_iter *iter)
{
    if (!iter->damaged)
        rows_enter_before(iter, iter->restart_count - 1, iter->entries.size);
}
