/* SPDX-License-Identifier: MIT */
/* A block is written in two passes: the first takes the records apart and notes which column each value
 * belongs to, the second writes column after column. */
#include "types/entry_writer.h"

#include "base/coding.h"
#include "base/hash.h"
#include "base/memory.h"
#include "types/entry_codec.h"
#include "types/entry_ids.h"

#include <assert.h>

enum { ROW_COST_MIN = 8 }; /* what a row takes besides its value, at least */

struct field_value {
    struct slice bytes;
    uint32_t column; /* of fields, from 0 on */
};

struct entry_writer {
    struct template_learner templates;
    struct column_writer columns;
    /* Of the block: */
    struct string_table names, schemas; /* of the columns; as they are stored */
    struct buffer shape, ids, schema_indexes;
    struct entry_id before;
    uint64_t late_before;
    uint32_t schema_before;
    size_t row_count;
    struct field_value *values; /* in the order of rows */
    size_t value_count, value_capacity;
    struct buffer schema;  /* of the row at hand */
    struct slice *sorted;  /* values by column */
    uint32_t *column_ends; /* in `sorted` */
    size_t sorted_capacity, column_capacity;
};

struct entry_writer *entry_writer_create(void)
{
    struct entry_writer *writer = memory_zeroed(1, sizeof(*writer));
    template_learner_init(&writer->templates);
    column_writer_init(&writer->columns, &writer->templates);
    return writer;
}

void entry_writer_destroy(struct entry_writer *writer)
{
    template_learner_release(&writer->templates);
    column_writer_release(&writer->columns);
    string_table_release(&writer->names);
    string_table_release(&writer->schemas);
    buffer_release(&writer->shape);
    buffer_release(&writer->ids);
    buffer_release(&writer->schema_indexes);
    buffer_release(&writer->schema);
    memory_free(writer->values);
    memory_free(writer->sorted);
    memory_free(writer->column_ends);
    memory_free(writer);
}

void entry_writer_finish(struct entry_writer *writer, struct buffer *out)
{
    template_learner_finish(&writer->templates, out);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static uint32_t number_of(struct string_table *table, struct slice string)
{
    uint32_t hash = (uint32_t)hash64(string, 0);
    uint32_t number = string_table_find(table, string, hash);
    return number != STRING_NONE ? number : string_table_add(table, string, hash);
}

/* The column of a field; most rows have the fields of the row before, whose columns *guess goes
 * through. */
static uint32_t column_of(struct entry_writer *writer, struct slice name,
                          const struct field_value **guess)
{
    const struct field_value *likely = (*guess)++;
    if (likely < writer->values + writer->value_count &&
        slice_equal(string_table_get(&writer->names, likely->column), name))
        return likely->column;
    return number_of(&writer->names, name);
}

static void reserve_values(struct entry_writer *writer, size_t more)
{
    size_t needed = writer->value_count + more;
    if (needed <= writer->value_capacity)
        return;
    writer->value_capacity = 2 * needed;
    writer->values =
        memory_resize(writer->values, writer->value_capacity * sizeof(writer->values[0]));
}

/* Names and values of `count` fields; false: they are not what `input` holds exactly. */
static bool add_fields(struct entry_writer *writer, struct slice input, size_t count)
{
    size_t before = writer->value_count;
    reserve_values(writer, count);
    const struct field_value *guess = writer->values;
    if (before >= count)
        guess += before - count;
    for (size_t i = 0; i < count; i++) {
        struct slice name, value;
        if (!slice_take_sized(&input, &name) || !slice_take_sized(&input, &value))
            return false;
        uint32_t column = column_of(writer, name, &guess);
        writer->values[writer->value_count + i] = (struct field_value){value, column};
        buffer_append_varint(&writer->schema, column);
    }
    writer->value_count += count;
    return input.size == 0;
}

static void add_schema(struct entry_writer *writer)
{
    struct slice schema = buffer_slice(&writer->schema);
    if (writer->row_count == 0 ||
        !slice_equal(string_table_get(&writer->schemas, writer->schema_before), schema))
        writer->schema_before = number_of(&writer->schemas, schema);
    buffer_append_varint(&writer->schema_indexes, writer->schema_before);
}

/* Takes a row apart; false: it is none of an entry. */
static bool add_row(struct entry_writer *writer, const struct block_codec_row *row)
{
    struct slice rest = row->value, kinds = {0};
    uint8_t flags;
    uint64_t ordinal, late_ms = 0, field_count;
    if (row->key.size != STREAM_ENTRY_KEY_BYTES || !slice_take_byte(&rest, &flags) ||
        (flags & ~ENTRY_FLAGS_KNOWN) || !slice_take_varint(&rest, &ordinal) ||
        ((flags & ENTRY_LATE) && !slice_take_varint(&rest, &late_ms)) ||
        !slice_take_varint(&rest, &field_count) || field_count > rest.size / 2 ||
        ((flags & ENTRY_KINDS) && !slice_take(&rest, (size_t)field_count, &kinds)))
        return false;
    struct entry_id id = entry_id_make(row->key.data, ordinal);
    entry_id_write(&writer->ids, &writer->before, &id);
    if (flags & ENTRY_LATE) {
        buffer_append_varint(&writer->ids, zigzag_encode((int64_t)(late_ms - writer->late_before)));
        writer->late_before = late_ms;
    }
    buffer_clear(&writer->schema);
    buffer_append_byte(&writer->schema, flags);
    buffer_append_varint(&writer->schema, field_count);
    if (!add_fields(writer, rest, (size_t)field_count))
        return false;
    buffer_append_slice(&writer->schema, kinds);
    add_schema(writer);
    writer->row_count++;
    return true;
}

static void begin_block(struct entry_writer *writer)
{
    column_writer_begin(&writer->columns);
    string_table_clear(&writer->names);
    string_table_clear(&writer->schemas);
    buffer_clear(&writer->shape);
    buffer_clear(&writer->ids);
    buffer_clear(&writer->schema_indexes);
    writer->before = (struct entry_id){0};
    writer->late_before = 0;
    writer->row_count = writer->value_count = 0;
}

/* ---- Columns --------------------------------------------------------------------------------- */

static void reserve_sorted(struct entry_writer *writer)
{
    size_t columns = writer->names.count;
    size_t needed = writer->value_count > columns ? writer->value_count : columns;
    if (needed > writer->sorted_capacity) {
        memory_free(writer->sorted);
        writer->sorted_capacity = 2 * needed;
        writer->sorted = memory_allocate(writer->sorted_capacity * sizeof(writer->sorted[0]));
    }
    if (columns > writer->column_capacity) {
        memory_free(writer->column_ends);
        writer->column_capacity = 2 * columns;
        writer->column_ends =
            memory_allocate(writer->column_capacity * sizeof(writer->column_ends[0]));
    }
}

/* By counting: the values of column 0 in the order of rows, then those of column 1 ... */
static void sort_values(struct entry_writer *writer)
{
    uint32_t *ends = writer->column_ends, sum = 0;
    memset(ends, 0, writer->names.count * sizeof(ends[0]));
    for (size_t i = 0; i < writer->value_count; i++)
        ends[writer->values[i].column]++;
    for (uint32_t i = 0; i < writer->names.count; i++) {
        uint32_t count = ends[i];
        ends[i] = sum;
        sum += count;
    }
    for (size_t i = 0; i < writer->value_count; i++)
        writer->sorted[ends[writer->values[i].column]++] = writer->values[i].bytes;
}

static void add_column(struct entry_writer *writer, uint32_t index, const struct slice *values,
                       size_t count)
{
    buffer_append_byte(&writer->shape,
                       (uint8_t)column_write(&writer->columns, index, values, count));
}

/* The names are column 0, the fields follow. */
static void add_columns(struct entry_writer *writer)
{
    reserve_sorted(writer);
    for (uint32_t i = 0; i < writer->names.count; i++)
        writer->sorted[i] = string_table_get(&writer->names, i);
    add_column(writer, 0, writer->sorted, writer->names.count);
    sort_values(writer);
    for (uint32_t i = 0, from = 0; i < writer->names.count; from = writer->column_ends[i++])
        add_column(writer, i + 1, writer->sorted + from, writer->column_ends[i] - from);
}

/* ---- The block ------------------------------------------------------------------------------- */

static void put_block(struct entry_writer *writer, struct buffer *out)
{
    const struct buffer *columns = writer->columns.sections;
    buffer_append_slice(&writer->shape, buffer_slice(&writer->schemas.bytes));
    if (writer->schemas.count > 1)
        buffer_append_slice(&writer->shape, buffer_slice(&writer->schema_indexes));
    buffer_append_byte(out, ENTRY_BLOCK_FORMAT);
    buffer_append_varint(out, writer->row_count);
    buffer_append_varint(out, writer->names.count);
    buffer_append_varint(out, writer->schemas.count);
    buffer_append_varint(out, writer->shape.size);
    buffer_append_varint(out, writer->ids.size);
    for (int i = 0; i < SECTION_COUNT - 1; i++)
        buffer_append_varint(out, columns[i].size);
    buffer_append_slice(out, buffer_slice(&writer->shape));
    buffer_append_slice(out, buffer_slice(&writer->ids));
    for (int i = 0; i < SECTION_COUNT; i++)
        buffer_append_slice(out, buffer_slice(&columns[i]));
}

bool entry_writer_encode(struct entry_writer *writer, const struct block_codec_row *rows,
                         size_t count, struct buffer *out)
{
    size_t out_at = out->size, total = 0, worth = 0;
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        total += rows[i].key.size + rows[i].value.size;
        worth += rows[i].value.size + ROW_COST_MIN;
    }
    if (total > ENTRY_BLOCK_BYTES_MAX)
        return false;
    begin_block(writer);
    for (size_t i = 0; i < count; i++)
        if (!add_row(writer, &rows[i]))
            return false;
    add_columns(writer);
    put_block(writer, out);
    if (out->size - out_at < worth)
        return true;
    out->size = out_at;
    return false;
}

struct entry_block_sizes entry_writer_sizes(const struct entry_writer *writer)
{
    struct entry_block_sizes sizes = {.shape = writer->shape.size, .ids = writer->ids.size};
    for (int i = 0; i < SECTION_COUNT; i++)
        sizes.columns[i] = writer->columns.sections[i].size;
    return sizes;
}
