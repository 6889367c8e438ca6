/* SPDX-License-Identifier: MIT */
/* A block is read in two passes, as it was written: first all columns, one after another, into one
 * buffer; then the rows are put together from them. Whatever is counted or allocated has been bounded by
 * the block's own size before; texts are bounded by what the caller allows. */
#include "types/entry_reader.h"

#include "base/coding.h"
#include "base/memory.h"
#include "types/entry_codec.h"
#include "types/entry_columns.h"
#include "types/entry_ids.h"
#include "types/entry_writer.h"

#include <assert.h>

/* What the rows of one schema have in common. */
struct schema {
    struct slice kinds;
    const uint32_t *columns; /* of each field */
    uint32_t field_count;
    uint32_t row_count;
    uint8_t flags;
};

/* A column of fields: its name, and the values that no row has taken yet. */
struct column {
    struct slice name;
    const uint8_t *text;
    const uint32_t *sizes;
    size_t value_count;
};

struct reader {
    struct column_reader columns;
    struct slice shape, ids; /* what is left of these sections */
    struct slice indexes;    /* of schemas; empty: there is only one */
    uint32_t row_count, column_count, schema_count;
    const uint8_t *forms; /* of the names, then of each column */
    struct schema *schemas;
    struct column *column_list;
    uint32_t *sizes;     /* of the names, then of the values of each column */
    struct buffer value; /* of the row at hand */
    size_t raw_bytes, raw_bytes_max;
};

static void reader_release(struct reader *reader)
{
    buffer_release(&reader->columns.texts);
    buffer_release(&reader->value);
    memory_free(reader->schemas);
    memory_free(reader->column_list);
    memory_free(reader->sizes);
}

/* ---- Head and shape -------------------------------------------------------------------------- */

/* A count that is at most `max`. */
static bool take_count(struct slice *input, size_t max, uint32_t *count)
{
    uint64_t found;
    if (!slice_take_varint(input, &found) || found > max)
        return false;
    *count = (uint32_t)found;
    return true;
}

/* Counts and sections; a row takes a byte of ids at least, a column and a schema one of shape. */
static bool take_head(struct reader *reader, struct slice content)
{
    uint32_t sizes[SECTION_COUNT + 1]; /* shape, ids, columns but the last */
    struct slice found;
    uint8_t format;
    if (content.size > ENTRY_BLOCK_BYTES_MAX || !slice_take_byte(&content, &format) ||
        format != ENTRY_BLOCK_FORMAT || !take_count(&content, content.size, &reader->row_count) ||
        !take_count(&content, content.size, &reader->column_count) ||
        !take_count(&content, content.size, &reader->schema_count) || reader->row_count == 0 ||
        reader->schema_count == 0)
        return false;
    for (int i = 0; i < SECTION_COUNT + 1; i++)
        if (!take_count(&content, content.size, &sizes[i]))
            return false;
    if (!slice_take(&content, sizes[0], &reader->shape) ||
        !slice_take(&content, sizes[1], &reader->ids))
        return false;
    reader->columns.content_end = content.data + content.size;
    for (int i = 0; i < SECTION_COUNT; i++) {
        size_t size = i < SECTION_COUNT - 1 ? sizes[i + 2] : content.size;
        if (!slice_take(&content, size, &found))
            return false;
        reader->columns.sections[i] =
            (struct column_section_reader){found.data, found.data + found.size};
    }
    return reader->row_count <= reader->ids.size && reader->column_count < reader->shape.size &&
           reader->schema_count < reader->shape.size;
}

/* `columns` has room for all that the section can name. */
static bool take_schema(struct reader *reader, struct schema *schema, uint32_t *columns)
{
    *schema = (struct schema){.columns = columns};
    if (!slice_take_byte(&reader->shape, &schema->flags) || schema->flags & ~ENTRY_FLAGS_KNOWN ||
        !take_count(&reader->shape, reader->shape.size, &schema->field_count))
        return false;
    for (uint32_t i = 0; i < schema->field_count; i++)
        if (!take_count(&reader->shape, (size_t)reader->column_count, &columns[i]) ||
            columns[i] == reader->column_count)
            return false;
    return !(schema->flags & ENTRY_KINDS) ||
           slice_take(&reader->shape, schema->field_count, &schema->kinds);
}

/* How many rows have each schema. */
static bool count_rows(struct reader *reader)
{
    uint32_t index;
    if (reader->schema_count == 1) {
        reader->schemas[0].row_count = reader->row_count;
        return reader->shape.size == 0;
    }
    reader->indexes = reader->shape;
    for (uint32_t i = 0; i < reader->row_count; i++) {
        if (!take_count(&reader->shape, reader->schema_count - 1, &index))
            return false;
        reader->schemas[index].row_count++;
    }
    return reader->shape.size == 0;
}

/* How many values each column has; a value takes a byte of the templates' section at least. */
static bool count_values(struct reader *reader, size_t *total)
{
    const struct column_section_reader *section = &reader->columns.sections[SECTION_TEMPLATES];
    uint64_t max = (uint64_t)(section->end - section->at), count = reader->column_count;
    for (uint32_t i = 0; i < reader->schema_count; i++) {
        const struct schema *schema = &reader->schemas[i];
        count += (uint64_t)schema->row_count * schema->field_count;
        if (count > max)
            return false;
        for (uint32_t field = 0; field < schema->field_count; field++)
            reader->column_list[schema->columns[field]].value_count += schema->row_count;
    }
    *total = (size_t)count;
    return count <= max;
}

static enum status take_shape(struct reader *reader)
{
    size_t total;
    reader->forms = reader->shape.data; /* names and columns: fewer than the section's bytes */
    reader->shape = slice_skip(reader->shape, reader->column_count + 1);
    size_t field_bytes = reader->shape.size * sizeof(uint32_t);
    reader->schemas =
        memory_try_allocate(reader->schema_count * sizeof(struct schema) + field_bytes);
    reader->column_list = memory_try_allocate((reader->column_count + 1) * sizeof(struct column));
    if (!reader->schemas || !reader->column_list)
        return STATUS_NO_MEMORY;
    memset(reader->column_list, 0, reader->column_count * sizeof(struct column));
    uint32_t *fields = (uint32_t *)(reader->schemas + reader->schema_count);
    for (uint32_t i = 0; i < reader->schema_count; i++) {
        if (!take_schema(reader, &reader->schemas[i], fields))
            return STATUS_CORRUPT;
        fields += reader->schemas[i].field_count;
    }
    if (!count_rows(reader) || !count_values(reader, &total))
        return STATUS_CORRUPT;
    reader->sizes = memory_try_allocate((total + 1) * sizeof(reader->sizes[0]));
    return reader->sizes ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- Columns --------------------------------------------------------------------------------- */

static enum status read_column(struct reader *reader, uint32_t index, size_t count, uint32_t *sizes)
{
    if (reader->forms[index] > COLUMN_PLAIN)
        return STATUS_CORRUPT;
    return column_read(&reader->columns, (enum column_form)reader->forms[index], index, count,
                       sizes);
}

/* The buffer moves as it grows, so places in it are noted at the end. */
static void place_columns(struct reader *reader)
{
    const uint8_t *text = reader->columns.texts.data;
    const uint32_t *sizes = reader->sizes;
    for (uint32_t i = 0; i < reader->column_count; i++) {
        reader->column_list[i].name = slice_make(text, *sizes);
        text += *sizes++;
    }
    for (uint32_t i = 0; i < reader->column_count; i++) {
        struct column *column = &reader->column_list[i];
        column->text = text;
        column->sizes = sizes;
        for (size_t value = 0; value < column->value_count; value++)
            text += *sizes++;
    }
}

static enum status read_columns(struct reader *reader)
{
    uint32_t *sizes = reader->sizes;
    reader->columns.text_bytes_max = reader->raw_bytes_max;
    enum status status = read_column(reader, 0, reader->column_count, sizes);
    sizes += reader->column_count;
    for (uint32_t i = 0; i < reader->column_count && status == STATUS_OK; i++) {
        status = read_column(reader, i + 1, reader->column_list[i].value_count, sizes);
        sizes += reader->column_list[i].value_count;
    }
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < SECTION_COUNT; i++)
        if (reader->columns.sections[i].at != reader->columns.sections[i].end)
            return STATUS_CORRUPT;
    place_columns(reader);
    return STATUS_OK;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Room for `more` bytes of the row's value. */
static inline enum status reserve_value(struct reader *reader, size_t more)
{
    if (reader->value.size + more > reader->raw_bytes_max + 4 * VARINT_BYTES_MAX)
        return STATUS_CORRUPT;
    return buffer_try_reserve(&reader->value, more);
}

static enum status put_fields(struct reader *reader, const struct schema *schema)
{
    struct buffer *value = &reader->value;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        struct column *column = &reader->column_list[schema->columns[i]];
        size_t size = *column->sizes++;
        enum status status = reserve_value(reader, 2 * VARINT_BYTES_MAX + column->name.size + size);
        if (status != STATUS_OK)
            return status;
        uint8_t *at = value->data + value->size;
        at += varint_store(at, column->name.size);
        memcpy(at, column->name.data, column->name.size);
        at += column->name.size;
        at += varint_store(at, size);
        memcpy(at, column->text, size);
        column->text += size;
        value->size = (size_t)(at + size - value->data);
    }
    return STATUS_OK;
}

static enum status put_head(struct reader *reader, const struct schema *schema,
                            const struct entry_id *id, uint64_t late_ms)
{
    struct buffer *value = &reader->value;
    buffer_clear(value);
    enum status status = reserve_value(reader, 1 + 3 * VARINT_BYTES_MAX + schema->kinds.size);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = value->data;
    *at++ = schema->flags;
    at += varint_store(at, id->ordinal);
    if (schema->flags & ENTRY_LATE)
        at += varint_store(at, late_ms);
    at += varint_store(at, schema->field_count);
    if (schema->kinds.size)
        memcpy(at, schema->kinds.data, schema->kinds.size);
    value->size = (size_t)(at - value->data) + schema->kinds.size;
    return STATUS_OK;
}

static enum status tell_rows(struct reader *reader, bool heads,
                             void (*row)(void *context, struct slice key, struct slice value),
                             void *context)
{
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    struct entry_id id = {0};
    uint64_t late_ms = 0, late_step;
    for (uint32_t i = 0; i < reader->row_count; i++) {
        uint32_t index = 0;
        if (reader->indexes.size)
            (void)take_count(&reader->indexes, reader->schema_count, &index); /* looked at before */
        const struct schema *schema = &reader->schemas[index];
        if (!entry_id_read(&reader->ids, &id))
            return STATUS_CORRUPT;
        if (schema->flags & ENTRY_LATE) {
            if (!slice_take_varint(&reader->ids, &late_step))
                return STATUS_CORRUPT;
            late_ms += (uint64_t)zigzag_decode(late_step);
        }
        enum status status = put_head(reader, schema, &id, late_ms);
        if (status == STATUS_OK && !heads)
            status = put_fields(reader, schema);
        if (status != STATUS_OK)
            return status;
        reader->raw_bytes += sizeof(key) + reader->value.size;
        if (reader->raw_bytes > reader->raw_bytes_max)
            return STATUS_CORRUPT;
        entry_id_store_key(&id, key);
        row(context, slice_make(key, sizeof(key)), buffer_slice(&reader->value));
    }
    return reader->ids.size ? STATUS_CORRUPT : STATUS_OK;
}

enum status entry_reader_decode(const struct template_dictionary *dictionary, struct slice content,
                                size_t raw_bytes_max, bool heads,
                                void (*row)(void *context, struct slice key, struct slice value),
                                void *context)
{
    struct reader reader = {.columns.dictionary = dictionary};
    reader.raw_bytes_max =
        raw_bytes_max < ENTRY_BLOCK_BYTES_MAX ? raw_bytes_max : ENTRY_BLOCK_BYTES_MAX;
    enum status status = take_head(&reader, content) ? STATUS_OK : STATUS_CORRUPT;
    if (status == STATUS_OK)
        status = take_shape(&reader);
    if (status == STATUS_OK && !heads)
        status = read_columns(&reader);
    if (status == STATUS_OK)
        status = tell_rows(&reader, heads, row, context);
    reader_release(&reader);
    return status;
}
