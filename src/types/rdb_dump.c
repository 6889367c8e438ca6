/* SPDX-License-Identifier: MIT */
#include "types/rdb_dump.h"

#include "base/coding.h"
#include "base/crc64.h"
#include "types/list.h"
#include "types/rdb_format.h"
#include "types/rdb_stream.h"
#include "types/stream.h"
#include "types/string.h"

enum { NODE_BYTES_MAX = 8192 }; /* of a list's listpack; Redis's default */

struct dump {
    struct buffer *out;
    struct listpack_writer node; /* of a list */
    uint64_t node_count;
    enum status (*check)(void *context);
    void *context;
};

/* ---- Strings. -------------------------------------------------------------------------------- */

static bool append_bytes(void *context, struct slice bytes, uint64_t zeros)
{
    struct buffer *out = context;
    buffer_append_slice(out, bytes);
    if (zeros > 0 && buffer_reserve(out, zeros)) {
        memset(out->data + out->size, 0, zeros);
        out->size += zeros;
    }
    return !out->failed;
}

static enum status dump_string(struct access *access, const struct object *object,
                               struct buffer *out)
{
    const struct string_visitor visitor = {.visit = append_bytes, .context = out};
    uint64_t length;
    enum status status = string_length(object, &length);
    if (status)
        return status;
    buffer_append_byte(out, RDB_TYPE_STRING);
    rdb_put_length(out, length);
    if (length == 0 || !buffer_reserve(out, length))
        return STATUS_OK;
    return string_visit(access, object, 0, length, &visitor);
}

/* ---- Lists. ---------------------------------------------------------------------------------- */

static void put_node(struct dump *dump)
{
    if (dump->node.count == 0)
        return;
    rdb_put_length(dump->out, RDB_CONTAINER_PACKED);
    listpack_put_as_string(&dump->node, dump->out);
    dump->out->failed |= dump->node.entries.failed;
    listpack_clear(&dump->node);
    dump->node_count++;
}

static void put_element(void *context, struct slice value)
{
    struct dump *dump = context;
    if (listpack_bytes(&dump->node) + listpack_entry_bytes_max(value.size) > NODE_BYTES_MAX)
        put_node(dump);
    listpack_put(&dump->node, value);
}

static enum status check_element(void *context)
{
    struct dump *dump = context;
    return dump->check(dump->context);
}

static enum status dump_list(struct access *access, const struct object *object, struct dump *dump)
{
    const struct list_visitor visitor = {
        .element = put_element, .context = dump, .check = check_element};
    buffer_append_byte(dump->out, RDB_TYPE_LIST_QUICKLIST_2);
    size_t count_offset = rdb_put_later_length(dump->out);
    enum status status = list_object_visit(access, object, &visitor);
    put_node(dump);
    rdb_set_length(dump->out, count_offset, dump->node_count);
    listpack_release(&dump->node);
    return status;
}

/* ---- Streams. -------------------------------------------------------------------------------- */

static enum status dump_entries(struct access *access, const struct stream *stream,
                                struct rdb_stream_writer *writer, struct dump *dump)
{
    struct stream_range range;
    struct stream_entry entry;
    enum status status = STATUS_OK;
    stream_range_open(access, stream, STREAM_ID_MIN, STREAM_ID_MAX, false, &range);
    while (!status && (status = stream_range_next(&range, &entry)) == STATUS_OK) {
        status = rdb_stream_put(writer, &entry);
        if (!status)
            status = dump->check(dump->context);
    }
    stream_range_close(&range);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status dump_stream(struct access *access, struct slice key, struct dump *dump)
{
    struct stream stream;
    struct rdb_stream_writer writer;
    enum status status = stream_find(access, key, &stream);
    if (status)
        return status;
    buffer_append_byte(dump->out, RDB_TYPE_STREAM_LISTPACKS_2);
    rdb_stream_begin(&writer, dump->out);
    status = dump_entries(access, &stream, &writer, dump);
    rdb_stream_end(&writer, &stream.header);
    return status;
}

enum status rdb_dump(struct access *access, struct slice key, const struct object *object,
                     struct buffer *out, enum status (*check)(void *context), void *context)
{
    struct dump dump = {
        .out = out, .node.entries.may_fail = true, .check = check, .context = context};
    size_t start = out->size;
    enum status status = STATUS_OK;
    switch (object->type) {
    case OBJECT_STRING:
        status = dump_string(access, object, out);
        break;
    case OBJECT_LIST:
        status = dump_list(access, object, &dump);
        break;
    case OBJECT_STREAM:
        status = dump_stream(access, key, &dump);
        break;
    }
    buffer_append_le16(out, RDB_VERSION_WRITTEN);
    if (!out->failed)
        buffer_append_le64(out, crc64_extend(0, out->data + start, out->size - start));
    return !status && out->failed ? STATUS_NO_MEMORY : status;
}
