/* SPDX-License-Identifier: MIT */
/* Rows of a block. The first byte chooses: an odd one: the rest is the content of a block, as the
 * checksums would let it through. An even one: the rest is a row of entries, sorted and given to the
 * builder. In both cases what is accepted is read by all moves and compared with a list made by
 * decoding the rows one after another, as FORMAT.md draws them. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/memory.h"
#include "lsm/rows.h"
#include "unit/lsm/array_cursor.h"

enum { ROWS_MAX = 300, MOVES_MAX = 4 * ROWS_MAX };

struct list {
    struct entry rows[ROWS_MAX];
    struct buffer keys[ROWS_MAX];
    size_t count;
};

static void list_release(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        buffer_release(&list->keys[i]);
    list->count = 0;
}

/* ---- Decoding by the grammar --------------------------------------------------------------- */

/* false: not as the grammar has it, or too many rows for the list. */
static bool decode_row(struct slice *rows, lsn_t before, struct list *list)
{
    struct buffer *key = &list->keys[list->count];
    uint64_t shared, unshared, value_size, tag;
    struct slice tail, value;
    if (list->count == ROWS_MAX || !slice_take_varint(rows, &shared) ||
        !slice_take_varint(rows, &unshared) || !slice_take_varint(rows, &value_size) ||
        !slice_take_varint(rows, &tag) || !slice_take(rows, (size_t)unshared, &tail) ||
        !slice_take(rows, (size_t)value_size, &value))
        return false;
    struct slice last = list->count ? list->rows[list->count - 1].key : (struct slice){0};
    if (shared > last.size || (tag & 7) > ENTRY_DELETE_RANGE)
        return false;
    *key = (struct buffer){0};
    buffer_append(key, last.data, (size_t)shared);
    buffer_append_slice(key, tail);
    list->rows[list->count++] = (struct entry){
        .key = buffer_slice(key),
        .value = value,
        .lsn = before + (uint64_t)zigzag_decode(tag >> 3),
        .kind = (enum entry_kind)(tag & 7),
    };
    return true;
}

static bool is_restart(const uint8_t *restarts, uint32_t count, size_t at)
{
    for (uint32_t i = 0; i < count; i++)
        if (le32_load(restarts + 4 * (size_t)i) == at)
            return true;
    return false;
}

static bool decode(struct slice content, struct list *list)
{
    lsn_t base;
    struct slice rows = content;
    if (content.size < 4)
        return false;
    uint32_t count = le32_load(content.data + content.size - 4);
    rows.size -= 4;
    if (rows.size / 4 < count)
        return false;
    rows.size -= 4 * (size_t)count;
    const uint8_t *restarts = content.data + rows.size;
    if (!slice_take_varint(&rows, &base))
        return false;
    const uint8_t *begin = rows.data;
    while (rows.size > 0) {
        bool restarted = is_restart(restarts, count, (size_t)(rows.data - begin));
        lsn_t before = restarted || list->count == 0 ? base : list->rows[list->count - 1].lsn;
        if (!decode_row(&rows, before, list))
            return false;
    }
    return list->count > 0;
}

/* ---- Comparing ----------------------------------------------------------------------------- */

static void require_at(const struct rows_iter *iter, const struct list *list, size_t at)
{
    fuzz_require(!iter->damaged);
    fuzz_require(iter->valid == (at < list->count));
    if (!iter->valid)
        return;
    const struct entry *row = &list->rows[at];
    fuzz_require(slice_equal(iter->row->key, row->key));
    fuzz_require(slice_equal(iter->row->value, row->value));
    fuzz_require(iter->row->lsn == row->lsn);
    fuzz_require(iter->row->kind == row->kind);
}

static size_t list_seek(const struct list *list, struct slice key, lsn_t lsn)
{
    size_t at = 0;
    while (at < list->count && entry_compare(list->rows[at].key, list->rows[at].lsn, key, lsn) < 0)
        at++;
    return at;
}

static void walk(struct rows_iter *iter, const struct list *list, size_t at, bool backward)
{
    require_at(iter, list, at);
    for (int moves = 0; iter->valid && moves < ROWS_MAX; moves++) {
        if (backward) {
            rows_iter_prev(iter);
            at = at ? at - 1 : list->count;
        } else {
            rows_iter_next(iter);
            at++;
        }
        require_at(iter, list, at);
    }
}

static void check_moves(struct slice content, const struct list *list, struct slice choices)
{
    struct rows_iter iter;
    rows_iter_init(&iter);
    fuzz_require(rows_iter_attach(&iter, content) == STATUS_OK);
    rows_iter_first(&iter);
    walk(&iter, list, 0, false);
    rows_iter_last(&iter);
    walk(&iter, list, list->count - 1, true);
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *row = &list->rows[i];
        rows_iter_seek(&iter, row->key, row->lsn);
        require_at(&iter, list, i);
        if (row->lsn > 0) {
            rows_iter_seek(&iter, row->key, row->lsn - 1);
            require_at(&iter, list, list_seek(list, row->key, row->lsn - 1));
        }
        rows_iter_seek(&iter, slice_make(row->key.data, row->key.size / 2), UINT64_MAX);
        require_at(&iter, list,
                   list_seek(list, slice_make(row->key.data, row->key.size / 2), UINT64_MAX));
    }
    /* Steps to and fro, which the windows of rows_iter_prev remember. */
    size_t at = list->count / 2;
    rows_iter_seek(&iter, list->rows[at].key, list->rows[at].lsn);
    for (size_t i = 0; i < choices.size && i < MOVES_MAX && iter.valid; i++) {
        for (int step = 0; step <= (choices.data[i] & 15) && iter.valid; step++) {
            if (choices.data[i] & 16) {
                rows_iter_prev(&iter);
                at = at ? at - 1 : list->count;
            } else {
                rows_iter_next(&iter);
                at++;
            }
            require_at(&iter, list, at);
        }
    }
    rows_iter_release(&iter);
}

/* Content that no builder wrote: all moves end, and stay within it. */
static void wander(struct slice content)
{
    struct rows_iter iter;
    rows_iter_init(&iter);
    if (rows_iter_attach(&iter, content) == STATUS_OK) {
        rows_iter_first(&iter);
        for (int i = 0; i < MOVES_MAX && iter.valid; i++)
            rows_iter_next(&iter);
        if (!iter.damaged) {
            rows_iter_last(&iter);
            for (int i = 0; i < MOVES_MAX && iter.valid; i++)
                rows_iter_prev(&iter);
        }
        if (!iter.damaged)
            rows_iter_seek(&iter, slice_from("key"), 1000);
        if (iter.valid)
            rows_iter_prev(&iter);
    }
    rows_iter_release(&iter);
}

/* ---- Building ------------------------------------------------------------------------------ */

static void draw_rows(struct slice *input, struct list *list)
{
    while (input->size > 0 && list->count < ROWS_MAX) {
        struct buffer *key = &list->keys[list->count];
        struct entry *row = &list->rows[list->count];
        size_t shared = fuzz_byte(input);
        struct slice tail = fuzz_bytes(input);
        *key = (struct buffer){0};
        if (list->count) {
            struct slice last = list->rows[list->count - 1].key;
            buffer_append(key, last.data, shared < last.size ? shared : last.size);
        }
        buffer_append_slice(key, tail);
        *row = (struct entry){.key = buffer_slice(key),
                              .lsn = fuzz_number(input) & ROWS_LSN_MAX,
                              .kind = fuzz_below(input, 3)};
        row->value = fuzz_bytes(input);
        list->count++;
    }
}

/* Sorts and leaves out those of one key and LSN; how many are left. */
static size_t sort_rows(struct list *list)
{
    size_t kept = 0;
    qsort(list->rows, list->count, sizeof list->rows[0], array_entry_compare);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || array_entry_compare(&list->rows[kept - 1], &list->rows[i]) != 0)
            list->rows[kept++] = list->rows[i];
    return kept;
}

static void build_and_check(struct slice input)
{
    static struct list drawn, decoded;
    struct rows_builder builder;
    rows_builder_init(&builder, fuzz_byte(&input) & 1 ? 4 : ROWS_RESTART_INTERVAL);
    struct slice choices = slice_make(input.data, input.size < 40 ? input.size : 40);
    draw_rows(&input, &drawn);
    size_t count = sort_rows(&drawn);
    for (size_t i = 0; i < count; i++) {
        const struct entry *row = &drawn.rows[i];
        rows_builder_add(&builder, row->key, row->lsn, row->kind, row->value);
    }
    if (count > 0) {
        size_t promised = rows_builder_size(&builder);
        struct slice content = rows_builder_finish(&builder);
        fuzz_require(content.size == promised);
        uint8_t *copy = memory_copy(content.data, content.size);
        content.data = copy;
        fuzz_require(rows_check(content));
        fuzz_require(decode(content, &decoded));
        fuzz_require(decoded.count == count);
        for (size_t i = 0; i < count; i++) {
            fuzz_require(array_entry_compare(&decoded.rows[i], &drawn.rows[i]) == 0);
            fuzz_require(decoded.rows[i].kind == drawn.rows[i].kind);
            fuzz_require(slice_equal(decoded.rows[i].value, drawn.rows[i].value));
        }
        check_moves(content, &decoded, choices);
        memory_free(copy);
    }
    rows_builder_release(&builder);
    list_release(&drawn);
    list_release(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct list list;
    struct slice input = slice_make(data, size);
    if (size == 0)
        return 0;
    if (!(fuzz_byte(&input) & 1)) {
        build_and_check(input);
        return 0;
    }
    wander(input);
    if (rows_check(input)) {
        bool is_decoded = decode(input, &list);
        fuzz_require(is_decoded || list.count == ROWS_MAX);
        if (is_decoded)
            check_moves(input, &list, slice_make(data, size < 40 ? size : 40));
    }
    list_release(&list);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct rows_builder builder;
    char key[16];
    if (index > 2)
        return false;
    if (index == 2) { /* shared, tail, LSN, kind, value */
        buffer_append_text(out, "00\2\2ab51\2vv\2\1c41\1w\1\2zz31\2xx");
        return true;
    }
    rows_builder_init(&builder, index ? 4 : ROWS_RESTART_INTERVAL);
    for (size_t i = 0; i < (index ? 9 : 40); i++) {
        snprintf(key, sizeof key, "key%03zu", i / 2);
        rows_builder_add(&builder, slice_from(key), 1000 - i, i % 3 ? ENTRY_PUT : ENTRY_DELETE,
                         i % 3 ? slice_from("value") : (struct slice){0});
    }
    buffer_append_byte(out, 1);
    buffer_append_slice(out, rows_builder_finish(&builder));
    rows_builder_release(&builder);
    return true;
}
