/* SPDX-License-Identifier: MIT */
/* Checks a table block by block, from front to end: the blocks tile the file, checksums hold, rows
 * are in order, the index names every block under a fitting separator, the filter knows every key,
 * and the properties say what is there. */
#include "lsm/filter.h"
#include "lsm/table_reader.h"

#include "base/memory.h"

#include <assert.h>

/* A row's place in cursor order, copied. */
struct place {
    struct buffer key;
    lsn_t lsn;
};

static void place_set(struct place *place, struct slice key, lsn_t lsn)
{
    buffer_clear(&place->key);
    buffer_append_slice(&place->key, key);
    place->lsn = lsn;
}

/* What a leaf, or the top index, has to name next. */
struct named_block {
    struct block_handle handle;
    struct place first, last; /* rows; of a leaf: the first row under it, its last separator */
};

struct named_blocks {
    struct named_block *items;
    size_t count, capacity;
};

struct verify {
    struct table *table;
    struct lsm_report *report;
    uint64_t offset;      /* of the block that is looked at */
    struct block_pin pin; /* of the dictionary */
    const void *dictionary;
    struct named_blocks rows; /* since the last leaf */
    struct named_blocks leaves;
    struct place first;                /* row of the block */
    struct place last;                 /* row seen last */
    struct place separator;            /* seen last in an index */
    struct table_file_properties seen; /* counted */
};

static enum status verify_fail(struct verify *verify, const char *what)
{
    return table_damaged(verify->report, verify->table->path, verify->offset, what);
}

static void blocks_add(struct named_blocks *blocks, struct block_handle handle,
                       const struct place *first, const struct place *last)
{
    if (blocks->count == blocks->capacity) {
        blocks->capacity = blocks->capacity ? 2 * blocks->capacity : 64;
        blocks->items = memory_resize(blocks->items, blocks->capacity * sizeof(blocks->items[0]));
    }
    struct named_block *block = &blocks->items[blocks->count++];
    *block = (struct named_block){.handle = handle};
    place_set(&block->first, buffer_slice(&first->key), first->lsn);
    place_set(&block->last, buffer_slice(&last->key), last->lsn);
}

static void blocks_clear(struct named_blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) {
        buffer_release(&blocks->items[i].first.key);
        buffer_release(&blocks->items[i].last.key);
    }
    blocks->count = 0;
}

static void blocks_release(struct named_blocks *blocks)
{
    blocks_clear(blocks);
    memory_free(blocks->items);
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static const char *verify_row(struct verify *verify, const struct entry *row)
{
    struct table_properties *seen = &verify->seen.shared;
    if (row->lsn == 0)
        return "a row without an LSN";
    if (row->kind != ENTRY_PUT && (row->kind != ENTRY_DELETE || row->value.size > 0))
        return "a row of a wrong kind";
    if (seen->entry_count > 0 &&
        entry_compare(buffer_slice(&verify->last.key), verify->last.lsn, row->key, row->lsn) >= 0)
        return "rows out of order";
    if (!table_may_contain(verify->table, row->key))
        return "the filter does not know a key";
    if (seen->entry_count == 0) {
        buffer_append_slice(&seen->smallest, row->key);
        verify->seen.base_lsn = row->lsn;
    }
    place_set(&verify->last, row->key, row->lsn);
    seen->entry_count++;
    seen->delete_count += row->kind == ENTRY_DELETE;
    seen->raw_bytes += row->key.size + row->value.size;
    if (seen->lsn_min == 0 || row->lsn < seen->lsn_min)
        seen->lsn_min = row->lsn;
    if (row->lsn > seen->lsn_max)
        seen->lsn_max = row->lsn;
    return NULL;
}

static enum status verify_rows(struct verify *verify, struct block_handle handle,
                               struct slice content)
{
    const char *fault = rows_check(content) ? NULL : "rows are malformed";
    struct rows_iter row;
    rows_iter_init(&row);
    if (!fault && rows_iter_attach(&row, content) == STATUS_OK) {
        rows_iter_first(&row);
        place_set(&verify->first, row.row->key, row.row->lsn);
        for (; row.valid && !fault; rows_iter_next(&row))
            fault = verify_row(verify, row.row);
    }
    rows_iter_release(&row);
    if (fault)
        return verify_fail(verify, fault);
    blocks_add(&verify->rows, handle, &verify->first, &verify->last);
    verify->seen.block_count++;
    return STATUS_OK;
}

/* ---- Index --------------------------------------------------------------------------------- */

static const char *verify_index_row(struct verify *verify, const struct entry *row,
                                    const struct named_blocks *blocks, size_t index)
{
    struct block_handle handle;
    const struct place *before = &verify->separator;
    if (index == blocks->count)
        return "an index names too many blocks";
    if (row->kind != ENTRY_PUT ||
        !block_handle_decode(row->value, verify->table->data_bytes, &handle))
        return "a row of an index is malformed";
    const struct named_block *block = &blocks->items[index];
    if (handle.offset != block->handle.offset || handle.stored_bytes != block->handle.stored_bytes)
        return "an index names a wrong place";
    if (entry_compare(row->key, row->lsn, buffer_slice(&block->last.key), block->last.lsn) < 0)
        return "a separator before the end of its block";
    if (index > 0 && entry_compare(buffer_slice(&before->key), before->lsn,
                                   buffer_slice(&block->first.key), block->first.lsn) >= 0)
        return "a separator behind the start of the next block";
    place_set(&verify->separator, row->key, row->lsn);
    return NULL;
}

/* An index names exactly `blocks`, in order, under separators that lie between them. */
static enum status verify_index(struct verify *verify, struct slice content,
                                const struct named_blocks *blocks)
{
    const char *fault = rows_check(content) ? NULL : "an index is malformed";
    size_t index = 0;
    struct rows_iter row;
    rows_iter_init(&row);
    if (!fault && rows_iter_attach(&row, content) == STATUS_OK) {
        for (rows_iter_first(&row); row.valid && !fault; rows_iter_next(&row))
            fault = verify_index_row(verify, row.row, blocks, index++);
    }
    rows_iter_release(&row);
    if (!fault && index < blocks->count)
        fault = "an index does not name a block";
    return fault ? verify_fail(verify, fault) : STATUS_OK;
}

static enum status verify_leaf(struct verify *verify, struct block_handle handle,
                               struct slice content)
{
    enum status status = verify_index(verify, content, &verify->rows);
    if (status == STATUS_OK)
        blocks_add(&verify->leaves, handle, &verify->rows.items[0].first, &verify->separator);
    blocks_clear(&verify->rows);
    return status;
}

/* ---- The file ------------------------------------------------------------------------------ */

/* Decodes an encoded block that was read: it is a block of rows then. */
static enum status decode_block(struct verify *verify, const struct block_head *head,
                                enum block_kind *kind, uint8_t **raw, size_t *raw_bytes)
{
    uint8_t *rows = NULL;
    if (!verify->table->codec)
        return verify_fail(verify, "a block of another kind");
    enum status status =
        table_decode(verify->table, verify->dictionary, slice_make(*raw, *raw_bytes),
                     head->raw_bytes, false, &rows, raw_bytes);
    if (status == STATUS_CORRUPT)
        return verify_fail(verify, "an encoded block is malformed");
    if (status != STATUS_OK)
        return status;
    memory_free(*raw);
    *raw = rows;
    *kind = BLOCK_ROWS;
    return STATUS_OK;
}

/* Reads, unseals and decodes the block at verify->offset, which ends at or before `end`. *raw may be
 * set after a failure, too. */
static enum status read_block(struct verify *verify, uint64_t end, struct block_handle *handle,
                              enum block_kind *kind, uint8_t **raw, size_t *raw_bytes)
{
    uint8_t head_bytes[BLOCK_HEAD_BYTES];
    struct block_head head;
    struct vfs_file *file = verify->table->file;
    uint64_t left = end - verify->offset;
    if (left < BLOCK_HEAD_BYTES)
        return verify_fail(verify, "bytes that belong to no block");
    enum status status =
        vfs_read_exactly(file, verify->offset, head_bytes, sizeof(head_bytes), false);
    if (status != STATUS_OK)
        return status;
    if (!block_head_parse(slice_make(head_bytes, sizeof(head_bytes)), &head) ||
        head.stored_bytes > left - BLOCK_HEAD_BYTES)
        return verify_fail(verify, "head of a block");
    if (head.compression > COMPRESSION_LZ4)
        verify->seen.compression = head.compression;
    *handle = (struct block_handle){verify->offset, BLOCK_HEAD_BYTES + head.stored_bytes};
    uint8_t *stored = memory_try_allocate(handle->stored_bytes);
    if (!stored)
        return STATUS_NO_MEMORY;
    status = vfs_read_exactly(file, verify->offset, stored, handle->stored_bytes, false);
    if (status == STATUS_OK)
        status = block_unseal(slice_make(stored, handle->stored_bytes), verify->offset, kind, raw,
                              raw_bytes);
    if (status == STATUS_CORRUPT)
        status = verify_fail(verify, "checksum of a block");
    if (status == STATUS_OK && *kind == BLOCK_ENCODED)
        status = decode_block(verify, &head, kind, raw, raw_bytes);
    memory_free(stored);
    return status;
}

static enum status verify_dictionary(struct verify *verify)
{
    enum status status =
        table_pin_dictionary(verify->table, false, &verify->pin, &verify->dictionary);
    verify->offset = verify->table->dictionary.offset;
    if (status == STATUS_CORRUPT)
        return verify_fail(verify, "the dictionary is damaged");
    verify->offset = 0;
    return status;
}

static enum status verify_data_block(struct verify *verify, struct block_handle handle,
                                     enum block_kind kind, struct slice content)
{
    if (kind == BLOCK_ROWS)
        return verify_rows(verify, handle, content);
    if (kind == BLOCK_INDEX && verify->rows.count > 0)
        return verify_leaf(verify, handle, content);
    return verify_fail(verify, "a block of another kind");
}

/* Blocks of rows and leaves: the first data_bytes of the file. */
static enum status verify_data(struct verify *verify)
{
    enum status status = STATUS_OK;
    if (verify->table->data_bytes > 0 && verify->table->top_index.size == 0)
        return verify_fail(verify, "the top index is missing");
    while (status == STATUS_OK && verify->offset < verify->table->data_bytes) {
        struct block_handle handle;
        enum block_kind kind;
        uint8_t *raw = NULL;
        size_t raw_bytes;
        status = read_block(verify, verify->table->data_bytes, &handle, &kind, &raw, &raw_bytes);
        if (status == STATUS_OK)
            status = verify_data_block(verify, handle, kind, slice_make(raw, raw_bytes));
        if (status == STATUS_OK)
            verify->offset += handle.stored_bytes;
        memory_free(raw);
    }
    if (status == STATUS_OK && verify->rows.count > 0)
        status = verify_fail(verify, "blocks that no index names");
    return status;
}

/* The blocks behind the data come in this order, without gaps, and the footer ends the file. */
static enum status verify_layout(struct verify *verify, const struct table_footer *footer,
                                 uint64_t file_bytes)
{
    const struct block_handle *order[] = {&verify->table->dictionary, &footer->filter,
                                          &footer->top_index, &footer->range_deletes,
                                          &footer->properties};
    uint64_t at = verify->table->data_bytes;
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i]->stored_bytes && order[i]->offset != at)
            return verify_fail(verify, "bytes that belong to no block");
        at += order[i]->stored_bytes;
    }
    return at + TABLE_FOOTER_BYTES == file_bytes
               ? STATUS_OK
               : verify_fail(verify, "bytes that belong to no block");
}

static void see_ranges(struct verify *verify)
{
    struct table_properties *seen = &verify->seen.shared;
    if (seen->entry_count > 0)
        buffer_append_slice(&seen->largest, buffer_slice(&verify->last.key));
    for (size_t i = 0; i < verify->table->range_count; i++) {
        table_properties_see_range(seen, verify->table->ranges[i]);
        table_properties_see_lsn(seen, verify->table->ranges[i].lsn);
    }
}

static enum status verify_properties(struct verify *verify, struct slice content)
{
    struct table_file_properties said = {{0}};
    const struct table_properties *a = &said.shared, *b = &verify->seen.shared;
    enum status status = table_file_properties_decode(content, &said);
    see_ranges(verify);
    if (status == STATUS_OK &&
        (a->entry_count != b->entry_count || a->delete_count != b->delete_count ||
         a->range_delete_count != b->range_delete_count || a->raw_bytes != b->raw_bytes ||
         a->lsn_min != b->lsn_min || a->lsn_max != b->lsn_max ||
         !slice_equal(buffer_slice(&a->smallest), buffer_slice(&b->smallest)) ||
         !slice_equal(buffer_slice(&a->largest), buffer_slice(&b->largest)) ||
         a->largest_is_exclusive != b->largest_is_exclusive ||
         said.block_count != verify->seen.block_count ||
         (verify->seen.compression && said.compression != verify->seen.compression) ||
         (said.codec_name.size > 0 && said.base_lsn != verify->seen.base_lsn)))
        status = STATUS_CORRUPT;
    if (status != STATUS_OK)
        status = verify_fail(verify, "properties differ from the content");
    table_properties_release(&said.shared);
    return status;
}

/* The blocks that table_open has read, once more, against what was seen. */
static enum status verify_rest(struct verify *verify)
{
    uint64_t file_bytes;
    struct table_footer footer;
    uint8_t bytes[TABLE_FOOTER_BYTES];
    struct vfs_file *file = verify->table->file;
    enum status status = vfs_size(file, &file_bytes);
    if (status == STATUS_OK)
        status = vfs_read_exactly(file, file_bytes - sizeof(bytes), bytes, sizeof(bytes), false);
    if (status == STATUS_OK)
        status = table_footer_decode(bytes, file_bytes, &footer);
    if (status == STATUS_OK)
        status = verify_layout(verify, &footer, file_bytes);
    if (status != STATUS_OK)
        return status;
    verify->offset = footer.top_index.offset;
    if (verify->table->top_index.size > 0)
        status = verify_index(verify, verify->table->top_index, &verify->leaves);
    if (status != STATUS_OK)
        return status;
    verify->offset = footer.properties.offset;
    struct block_handle handle;
    enum block_kind kind;
    uint8_t *raw = NULL;
    size_t raw_bytes;
    status = read_block(verify, file_bytes - TABLE_FOOTER_BYTES, &handle, &kind, &raw, &raw_bytes);
    if (status == STATUS_OK)
        status = verify_properties(verify, slice_make(raw, raw_bytes));
    memory_free(raw);
    return status;
}

enum status table_verify(const struct env *env, const char *path,
                         const struct block_codec *const *codecs, struct lsm_report *report)
{
    struct verify verify = {.report = report};
    enum status status = table_open(env, path, 0, NULL, codecs, false, report, &verify.table);
    if (status != STATUS_OK)
        return status;
    status = verify_dictionary(&verify);
    if (status == STATUS_OK)
        status = verify_data(&verify);
    if (status == STATUS_OK)
        status = verify_rest(&verify);
    blocks_release(&verify.rows);
    blocks_release(&verify.leaves);
    buffer_release(&verify.first.key);
    buffer_release(&verify.last.key);
    buffer_release(&verify.separator.key);
    table_properties_release(&verify.seen.shared);
    block_unpin(&verify.pin);
    table_close(verify.table);
    return status;
}
