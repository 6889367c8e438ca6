/* SPDX-License-Identifier: MIT */
/* Three iterators, one a floor: top index, leaf of the index, rows. The upper ones stand on the row
 * that names what the next one iterates over. A block of rows is held by a pin while the cursor is
 * in it. */
#include "lsm/table_reader.h"

#include "base/memory.h"

#include <assert.h>

/* Of the two floors that are loaded. */
struct floor {
    struct rows_iter iter;
    struct block_pin pin;
    uint64_t offset; /* of the loaded block; UINT64_MAX: none */
};

struct table_cursor {
    struct cursor base;
    struct table *table;
    struct table_read read;
    struct table_ahead ahead;
    struct rows_iter top;
    struct floor leaf, rows;
};

static void cursor_invalid(struct table_cursor *cursor, enum status status)
{
    cursor->base.valid = false;
    cursor->base.status = status;
}

/* Shows the row that the lowest iterator stands on. */
static void cursor_show(struct table_cursor *cursor)
{
    const struct entry *row = cursor->rows.iter.row;
    struct cursor *base = &cursor->base;
    if (cursor->rows.iter.damaged) {
        cursor_invalid(cursor,
                       table_log_damage(cursor->table, cursor->rows.offset, "rows of a block"));
        return;
    }
    assert(cursor->rows.iter.valid);
    base->valid = true;
    base->status = STATUS_OK;
    base->kind = row->kind;
    base->lsn = row->lsn;
    base->key = row->key;
    base->value = row->value;
}

static void floor_leave(struct floor *floor)
{
    floor->iter.valid = false;
    floor->offset = UINT64_MAX;
    block_unpin(&floor->pin);
}

/* Loads the block that `above` stands on into `floor`. false: failed; the cursor is invalid. */
static bool floor_enter(struct table_cursor *cursor, const struct rows_iter *above,
                        enum block_kind kind, struct floor *floor)
{
    struct block_handle handle;
    if (above->damaged ||
        !block_handle_decode(above->row->value, cursor->table->data_bytes, &handle)) {
        cursor_invalid(cursor, table_log_damage(cursor->table, 0, "a row of the index"));
        return false;
    }
    if (floor->offset == handle.offset && !floor->iter.damaged)
        return true;
    struct block_pin pin = {NULL};
    struct slice content;
    enum status status =
        table_load(cursor->table, handle, kind, &cursor->read, &cursor->ahead, &pin, &content);
    if (status != STATUS_OK) {
        cursor_invalid(cursor, status);
        return false;
    }
    floor_leave(floor);
    floor->pin = pin;
    if (rows_iter_attach(&floor->iter, content) != STATUS_OK) {
        cursor_invalid(cursor, table_log_damage(cursor->table, handle.offset, "frame of a block"));
        return false;
    }
    floor->offset = handle.offset;
    return true;
}

/* An iterator of a floor was moved; false: damaged, the cursor is invalid. */
static bool floor_check(struct table_cursor *cursor, const struct floor *floor)
{
    if (!floor->iter.damaged)
        return true;
    cursor_invalid(cursor, table_log_damage(cursor->table, floor->offset, "rows of a block"));
    return false;
}

/* The leaf stands on a row: goes to the first or last row of that block. */
static void enter_rows(struct table_cursor *cursor, bool at_last)
{
    if (!floor_enter(cursor, &cursor->leaf.iter, BLOCK_ROWS, &cursor->rows))
        return;
    if (at_last)
        rows_iter_last(&cursor->rows.iter);
    else
        rows_iter_first(&cursor->rows.iter);
    cursor_show(cursor);
}

/* The top stands on a row, or at its end: goes to the first or last row below. */
static void enter_leaf(struct table_cursor *cursor, bool at_last)
{
    if (!cursor->top.valid) {
        cursor_invalid(cursor, STATUS_OK);
        return;
    }
    if (!floor_enter(cursor, &cursor->top, BLOCK_INDEX, &cursor->leaf))
        return;
    if (at_last)
        rows_iter_last(&cursor->leaf.iter);
    else
        rows_iter_first(&cursor->leaf.iter);
    if (floor_check(cursor, &cursor->leaf))
        enter_rows(cursor, at_last);
}

static void next_block(struct table_cursor *cursor)
{
    rows_iter_next(&cursor->leaf.iter);
    if (!floor_check(cursor, &cursor->leaf))
        return;
    if (cursor->leaf.iter.valid) {
        enter_rows(cursor, false);
        return;
    }
    rows_iter_next(&cursor->top);
    enter_leaf(cursor, false);
}

static void prev_block(struct table_cursor *cursor)
{
    rows_iter_prev(&cursor->leaf.iter);
    if (!floor_check(cursor, &cursor->leaf))
        return;
    if (cursor->leaf.iter.valid) {
        enter_rows(cursor, true);
        return;
    }
    rows_iter_prev(&cursor->top);
    enter_leaf(cursor, true);
}

/* Places all three at the first row >= (key, lsn). Without one the cursor is invalid. */
static void table_cursor_seek(struct cursor *base, struct slice key, lsn_t lsn)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    cursor_invalid(cursor, STATUS_OK);
    if (cursor->table->top_index.size == 0)
        return;
    rows_iter_seek(&cursor->top, key, lsn);
    if (!cursor->top.valid || !floor_enter(cursor, &cursor->top, BLOCK_INDEX, &cursor->leaf))
        return;
    rows_iter_seek(&cursor->leaf.iter, key, lsn);
    if (!floor_check(cursor, &cursor->leaf))
        return;
    if (!cursor->leaf.iter.valid) { /* only in a file that no builder made */
        cursor_invalid(cursor, table_log_damage(cursor->table, cursor->leaf.offset, "separators"));
        return;
    }
    if (!floor_enter(cursor, &cursor->leaf.iter, BLOCK_ROWS, &cursor->rows))
        return;
    rows_iter_seek(&cursor->rows.iter, key, lsn);
    if (!floor_check(cursor, &cursor->rows))
        return;
    if (cursor->rows.iter.valid)
        cursor_show(cursor);
    else
        next_block(cursor); /* between the last row and the separator */
}

static void table_cursor_first(struct cursor *base)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    cursor_invalid(cursor, STATUS_OK);
    if (cursor->table->top_index.size == 0)
        return;
    rows_iter_first(&cursor->top);
    enter_leaf(cursor, false);
}

static void table_cursor_last(struct cursor *base)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    cursor_invalid(cursor, STATUS_OK);
    if (cursor->table->top_index.size == 0)
        return;
    rows_iter_last(&cursor->top);
    enter_leaf(cursor, true);
}

static void table_cursor_next(struct cursor *base)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    assert(base->valid);
    rows_iter_next(&cursor->rows.iter);
    if (cursor->rows.iter.valid || cursor->rows.iter.damaged)
        cursor_show(cursor);
    else
        next_block(cursor);
}

static void table_cursor_prev(struct cursor *base)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    assert(base->valid);
    rows_iter_prev(&cursor->rows.iter);
    if (cursor->rows.iter.valid || cursor->rows.iter.damaged)
        cursor_show(cursor);
    else
        prev_block(cursor);
}

static void table_cursor_seek_for_prev(struct cursor *base, struct slice key)
{
    table_cursor_seek(base, key, 0);
    if (base->valid)
        table_cursor_prev(base);
    else if (base->status == STATUS_OK)
        table_cursor_last(base);
}

static void table_cursor_destroy(struct cursor *base)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    floor_leave(&cursor->leaf);
    floor_leave(&cursor->rows);
    rows_iter_release(&cursor->top);
    rows_iter_release(&cursor->leaf.iter);
    rows_iter_release(&cursor->rows.iter);
    memory_free(cursor->ahead.bytes);
    memory_free(cursor);
}

static struct cursor_run table_cursor_run(struct cursor *base, bool backward)
{
    const struct table_cursor *cursor = (struct table_cursor *)base;
    const struct rows_iter *rows = &cursor->rows.iter;
    struct cursor_run run = {.first = rows->row, .lsn_max = cursor->table->lsn_max};
    if (!rows_iter_is_plain(rows))
        return run;
    /* Of the first key at hand there may be a newer version, decoded with what stands before. */
    run.count = (size_t)(backward ? rows->row - rows->first : rows->last - rows->row + 1);
    return run;
}

static void table_cursor_advance(struct cursor *base, ptrdiff_t steps)
{
    struct table_cursor *cursor = (struct table_cursor *)base;
    struct rows_iter *rows = &cursor->rows.iter;
    rows->row += steps;
    assert(rows->row >= rows->first);
    assert(rows->row <= rows->last);
    cursor_show(cursor);
}

static const struct cursor_ops table_cursor_ops = {
    .seek = table_cursor_seek,
    .seek_for_prev = table_cursor_seek_for_prev,
    .first = table_cursor_first,
    .last = table_cursor_last,
    .next = table_cursor_next,
    .prev = table_cursor_prev,
    .destroy = table_cursor_destroy,
    .run = table_cursor_run,
    .advance = table_cursor_advance,
};

struct cursor *table_cursor_create(struct table *table, const struct table_read *read)
{
    assert(!read->nowait || read->miss);
    struct table_cursor *cursor = memory_allocate(sizeof(*cursor));
    cursor->base = (struct cursor){.ops = &table_cursor_ops, .may_run = true};
    cursor->table = table;
    cursor->read = *read;
    cursor->ahead = (struct table_ahead){
        .last_begin = UINT64_MAX, .last_end = UINT64_MAX, .is_long = read->keep_cache};
    rows_iter_init(&cursor->top);
    rows_iter_init(&cursor->leaf.iter);
    rows_iter_init(&cursor->rows.iter);
    cursor->leaf.pin = cursor->rows.pin = (struct block_pin){NULL};
    cursor->leaf.offset = cursor->rows.offset = UINT64_MAX;
    /* table_open has checked the top index. */
    if (table->top_index.size > 0) {
        enum status status = rows_iter_attach(&cursor->top, table->top_index);
        assert(status == STATUS_OK);
        (void)status;
    }
    return &cursor->base;
}
