/* SPDX-License-Identifier: MIT */
#include "types/rdb_stream.h"

#include "base/coding.h"
#include "types/rdb_format.h"

#include <assert.h>

enum {
    NODE_ENTRIES_MAX = 100, /* written; Redis's defaults */
    NODE_BYTES_MAX = 4096,
    ENTRY_BYTES_MAX = 1 << 30, /* what Redis's listpacks can hold */
    ENTRY_PARTS = 4,           /* flags, two differences, the number of parts */
};

/* ---- Reading: nodes. ------------------------------------------------------------------------- */

struct stream_load {
    struct rdb_reader *reader;
    const struct rdb_sink *sink;
    uint64_t length; /* entries so far */
    struct stream_id last_id;

    /* The node at hand. */
    struct listpack_reader listpack;
    struct stream_id master_id;
    struct buffer names; /* of the master entry, sized */
    int64_t name_count;
};

/* A count of values still to come: each of them is two bytes at least. */
static bool is_count(const struct stream_load *load, int64_t count)
{
    return count >= 0 && (uint64_t)count <= load->listpack.left.size / 2;
}

/* *entries: how many entries follow, deleted ones too. */
static enum status take_master(struct stream_load *load, int64_t *entries, int64_t *deleted)
{
    struct listpack_value value;
    struct listpack_reader *listpack = &load->listpack;
    int64_t end, count;
    if (listpack_next_number(listpack, &count) || listpack_next_number(listpack, deleted) ||
        listpack_next_number(listpack, &load->name_count) || !is_count(load, count) ||
        !is_count(load, *deleted) || !is_count(load, load->name_count))
        return STATUS_INVALID;
    *entries = count + *deleted;
    buffer_clear(&load->names);
    for (int64_t i = 0; i < load->name_count; i++) {
        if (listpack_next(listpack, &value))
            return STATUS_INVALID;
        if (buffer_try_reserve(&load->names, VARINT_BYTES_MAX + value.bytes.size))
            return STATUS_NO_MEMORY;
        buffer_append_sized(&load->names, value.bytes);
    }
    return listpack_next_number(listpack, &end) || end != 0 ? STATUS_INVALID : STATUS_OK;
}

/* Behind the flags: the ID, above all before it. */
static enum status take_id(struct stream_load *load, bool is_deleted, struct stream_id *id)
{
    int64_t ms, seq;
    if (listpack_next_number(&load->listpack, &ms) || listpack_next_number(&load->listpack, &seq))
        return STATUS_INVALID;
    id->ms = load->master_id.ms + (uint64_t)ms;
    id->seq = load->master_id.seq + (uint64_t)seq;
    if (is_deleted)
        return STATUS_OK;
    if (stream_id_compare(*id, load->last_id) <= 0)
        return STATUS_INVALID;
    load->last_id = *id;
    return STATUS_OK;
}

/* `names`: of the master entry; NULL: each stands before its value. */
static enum status take_fields(struct stream_load *load, int64_t count, struct slice *names,
                               bool is_deleted)
{
    struct listpack_value name, value;
    enum status status = STATUS_OK;
    for (int64_t i = 0; i < count && !status; i++) {
        if (names)
            (void)slice_take_sized(names, &name.bytes); /* there are so many */
        else if (listpack_next(&load->listpack, &name))
            return STATUS_INVALID;
        if (listpack_next(&load->listpack, &value))
            return STATUS_INVALID;
        if (!is_deleted)
            status = load->sink->field(load->sink->context, name.bytes, value.bytes);
    }
    return status;
}

static enum status take_entry(struct stream_load *load, bool *is_deleted)
{
    int64_t flags, count = load->name_count, parts;
    struct stream_id id;
    struct slice names = buffer_slice(&load->names);
    if (listpack_next_number(&load->listpack, &flags) ||
        (flags & ~(RDB_ENTRY_DELETED | RDB_ENTRY_SAME_FIELDS)))
        return STATUS_INVALID;
    bool is_same = flags & RDB_ENTRY_SAME_FIELDS;
    *is_deleted = flags & RDB_ENTRY_DELETED;
    enum status status = take_id(load, *is_deleted, &id);
    if (!status && !is_same)
        status = listpack_next_number(&load->listpack, &count);
    if (!status && (!is_count(load, count) || count == 0))
        status = STATUS_INVALID;
    if (!status && !*is_deleted)
        status = load->sink->entry(load->sink->context, id, (uint64_t)count);
    if (!status)
        status = take_fields(load, count, is_same ? &names : NULL, *is_deleted);
    if (!status && (listpack_next_number(&load->listpack, &parts) ||
                    parts != (is_same ? ENTRY_PARTS - 1 + count : ENTRY_PARTS + 2 * count)))
        status = STATUS_INVALID;
    if (status || *is_deleted)
        return status;
    load->length++;
    return load->sink->entry_end(load->sink->context);
}

static enum status load_node(struct stream_load *load)
{
    struct slice bytes;
    struct listpack_value value;
    int64_t entries = 0, deleted = 0;
    enum status status = rdb_take_string(load->reader, &bytes);
    if (!status && bytes.size != STREAM_ID_BYTES)
        status = STATUS_INVALID;
    if (status)
        return status;
    load->master_id = stream_id_load(bytes.data);
    status = rdb_take_string(load->reader, &bytes);
    if (!status)
        status = listpack_open(bytes, &load->listpack);
    if (!status)
        status = take_master(load, &entries, &deleted);
    for (int64_t i = 0; i < entries && !status; i++) {
        bool is_deleted = false;
        status = take_entry(load, &is_deleted);
        deleted -= is_deleted;
    }
    if (status)
        return status;
    return deleted == 0 && listpack_next(&load->listpack, &value) == STATUS_NOT_FOUND
               ? STATUS_OK
               : STATUS_INVALID;
}

/* ---- Reading: what follows the nodes. -------------------------------------------------------- */

static enum status take_id_lengths(struct rdb_reader *reader, struct stream_id *id)
{
    enum status status = rdb_take_length(reader, &id->ms);
    return status ? status : rdb_take_length(reader, &id->seq);
}

/* So many parts of so many bytes each, passed by. */
static enum status pass_records(struct rdb_reader *reader, size_t bytes, bool has_length)
{
    struct slice record;
    uint64_t count, length;
    enum status status = rdb_take_length(reader, &count);
    for (uint64_t i = 0; !status && i < count; i++) {
        status = rdb_take_bytes(reader, bytes, &record);
        if (!status && has_length)
            status = rdb_take_length(reader, &length);
    }
    return status;
}

static enum status pass_consumer(struct rdb_reader *reader, uint8_t type)
{
    struct slice passed;
    enum status status = rdb_take_string(reader, &passed);
    if (!status)
        status = rdb_take_bytes(reader, type == RDB_TYPE_STREAM_LISTPACKS_3 ? 16 : 8, &passed);
    return status ? status : pass_records(reader, STREAM_ID_BYTES, false);
}

static enum status pass_group(struct rdb_reader *reader, uint8_t type)
{
    struct slice name;
    struct stream_id last_id;
    uint64_t number, consumers = 0;
    enum status status = rdb_take_string(reader, &name);
    if (!status)
        status = take_id_lengths(reader, &last_id);
    if (!status && type != RDB_TYPE_STREAM_LISTPACKS)
        status = rdb_take_length(reader, &number); /* entries read */
    if (!status)
        status = pass_records(reader, STREAM_ID_BYTES + 8, true);
    if (!status)
        status = rdb_take_length(reader, &consumers);
    for (uint64_t i = 0; !status && i < consumers; i++)
        status = pass_consumer(reader, type);
    return status;
}

static enum status take_end(struct rdb_reader *reader, uint8_t type, struct rdb_stream *stream)
{
    struct stream_id first_id;
    enum status status = rdb_take_length(reader, &stream->length);
    if (!status)
        status = take_id_lengths(reader, &stream->last_id);
    stream->entries_added = stream->length;
    if (!status && type != RDB_TYPE_STREAM_LISTPACKS) {
        status = take_id_lengths(reader, &first_id);
        if (!status)
            status = take_id_lengths(reader, &stream->max_deleted_id);
        if (!status)
            status = rdb_take_length(reader, &stream->entries_added);
    }
    if (!status)
        status = rdb_take_length(reader, &stream->group_count);
    for (uint64_t i = 0; !status && i < stream->group_count; i++)
        status = pass_group(reader, type);
    return status;
}

/* What our headers hold: IDs up to the last one, counts that fit each other. */
static bool is_sound(const struct stream_load *load, const struct rdb_stream *stream)
{
    return stream->length == load->length && stream->entries_added >= stream->length &&
           stream_id_compare(load->last_id, stream->last_id) <= 0 &&
           stream_id_compare(stream->max_deleted_id, stream->last_id) <= 0;
}

enum status rdb_load_stream(struct rdb_reader *reader, uint8_t type, const struct rdb_sink *sink)
{
    struct stream_load load = {.reader = reader, .sink = sink};
    struct rdb_stream stream = {0};
    uint64_t nodes = 0;
    enum status status = rdb_take_length(reader, &nodes);
    for (uint64_t i = 0; !status && i < nodes; i++)
        status = load_node(&load);
    if (!status)
        status = take_end(reader, type, &stream);
    if (!status && !is_sound(&load, &stream))
        status = STATUS_INVALID;
    buffer_release(&load.names);
    return status ? status : sink->stream(sink->context, &stream);
}

/* ---- Writing. -------------------------------------------------------------------------------- */

void rdb_stream_begin(struct rdb_stream_writer *writer, struct buffer *out)
{
    *writer = (struct rdb_stream_writer){.out = out,
                                         .node_count_offset = rdb_put_later_length(out),
                                         .node.entries.may_fail = true,
                                         .names.may_fail = true};
}

void rdb_stream_release(struct rdb_stream_writer *writer)
{
    listpack_release(&writer->node);
    buffer_release(&writer->names);
}

/* What could not be kept cannot be written. */
static void fail_with(struct rdb_stream_writer *writer)
{
    if (writer->node.entries.failed || writer->names.failed)
        writer->out->failed = true;
}

static void put_node(struct rdb_stream_writer *writer)
{
    uint8_t id[STREAM_ID_BYTES];
    struct listpack_writer whole = {.entries.may_fail = true};
    struct slice names = buffer_slice(&writer->names), name;
    if (writer->entry_count == 0)
        return;
    listpack_put_number(&whole, (int64_t)writer->entry_count);
    listpack_put_number(&whole, 0);
    listpack_put_number(&whole, (int64_t)writer->name_count);
    while (slice_take_sized(&names, &name))
        listpack_put(&whole, name);
    listpack_put_number(&whole, 0);
    buffer_append_slice(&whole.entries, buffer_slice(&writer->node.entries));
    whole.count += writer->node.count;
    stream_id_store(id, writer->master_id);
    rdb_put_string(writer->out, slice_make(id, sizeof id));
    listpack_put_as_string(&whole, writer->out);
    writer->out->failed |= whole.entries.failed;
    listpack_release(&whole);
    listpack_clear(&writer->node);
    writer->entry_count = 0;
    writer->node_count++;
}

/* Whether the entry's names are the master's; its size in a listpack at most. */
static enum status compare_names(const struct rdb_stream_writer *writer,
                                 const struct stream_entry *entry, bool *is_same, uint64_t *bytes)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    struct slice names = buffer_slice(&writer->names), name;
    *is_same = entry->field_count == writer->name_count;
    *bytes = 0;
    while (stream_fields_next(&fields, &field)) {
        *bytes +=
            listpack_entry_bytes_max(field.name.size) + listpack_entry_bytes_max(field.value.size);
        if (*is_same)
            *is_same = slice_take_sized(&names, &name) && slice_equal(name, field.name);
    }
    return fields.is_corrupt ? STATUS_CORRUPT : STATUS_OK;
}

/* The entry becomes the master of a new node. */
static void begin_node(struct rdb_stream_writer *writer, const struct stream_entry *entry)
{
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    put_node(writer);
    writer->master_id = entry->id;
    writer->name_count = entry->field_count;
    buffer_clear(&writer->names);
    while (stream_fields_next(&fields, &field))
        buffer_append_sized(&writer->names, field.name);
}

static void put_entry(struct rdb_stream_writer *writer, const struct stream_entry *entry,
                      bool is_same)
{
    struct listpack_writer *node = &writer->node;
    struct stream_fields fields = stream_fields_begin(entry);
    struct stream_field field;
    int64_t count = (int64_t)entry->field_count;
    listpack_put_number(node, is_same ? RDB_ENTRY_SAME_FIELDS : 0);
    listpack_put_number(node, (int64_t)(entry->id.ms - writer->master_id.ms));
    listpack_put_number(node, (int64_t)(entry->id.seq - writer->master_id.seq));
    if (!is_same)
        listpack_put_number(node, count);
    while (stream_fields_next(&fields, &field)) {
        if (!is_same)
            listpack_put(node, field.name);
        listpack_put(node, field.value);
    }
    listpack_put_number(node, is_same ? ENTRY_PARTS - 1 + count : ENTRY_PARTS + 2 * count);
    writer->entry_count++;
}

enum status rdb_stream_put(struct rdb_stream_writer *writer, const struct stream_entry *entry)
{
    bool is_same = false;
    uint64_t bytes;
    enum status status = compare_names(writer, entry, &is_same, &bytes);
    if (status)
        return status;
    if (bytes > ENTRY_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (writer->entry_count == 0 || writer->entry_count == NODE_ENTRIES_MAX ||
        listpack_bytes(&writer->node) + bytes > NODE_BYTES_MAX) {
        begin_node(writer, entry);
        is_same = true;
    }
    put_entry(writer, entry, is_same);
    fail_with(writer);
    return STATUS_OK;
}

static void put_id_lengths(struct buffer *out, struct stream_id id)
{
    rdb_put_length(out, id.ms);
    rdb_put_length(out, id.seq);
}

void rdb_stream_end(struct rdb_stream_writer *writer, const struct stream_header *header)
{
    struct buffer *out = writer->out;
    put_node(writer);
    rdb_set_length(out, writer->node_count_offset, writer->node_count);
    rdb_put_length(out, header->length);
    put_id_lengths(out, header->last_id);
    put_id_lengths(out, header->first_id);
    put_id_lengths(out, header->max_deleted_id);
    rdb_put_length(out, header->entries_added);
    rdb_put_length(out, 0); /* groups */
    rdb_stream_release(writer);
}
