/* SPDX-License-Identifier: MIT */
#include "types/rdb_load.h"

#include "base/coding.h"
#include "base/crc64.h"
#include "types/rdb_format.h"
#include "types/rdb_stream.h"
#include "types/rdb_ziplist.h"

enum status rdb_open(struct slice payload, struct slice *value)
{
    uint16_t version;
    uint64_t crc;
    if (payload.size < RDB_FOOTER_BYTES)
        return STATUS_CORRUPT;
    struct slice footer = slice_skip(payload, payload.size - RDB_FOOTER_BYTES);
    (void)slice_take_le16(&footer, &version); /* there are so many bytes */
    (void)slice_take_le64(&footer, &crc);
    if (version > RDB_VERSION_MAX || crc64_extend(0, payload.data, payload.size - 8) != crc)
        return STATUS_CORRUPT;
    *value = slice_make(payload.data, payload.size - RDB_FOOTER_BYTES);
    return STATUS_OK;
}

enum status rdb_type(struct slice value, enum object_type *type)
{
    uint8_t first;
    if (!slice_take_byte(&value, &first))
        return STATUS_INVALID;
    switch (first) {
    case RDB_TYPE_STRING:
        *type = OBJECT_STRING;
        return STATUS_OK;
    case RDB_TYPE_LIST:
    case RDB_TYPE_LIST_ZIPLIST:
    case RDB_TYPE_LIST_QUICKLIST:
    case RDB_TYPE_LIST_QUICKLIST_2:
        *type = OBJECT_LIST;
        return STATUS_OK;
    case RDB_TYPE_STREAM_LISTPACKS:
    case RDB_TYPE_STREAM_LISTPACKS_2:
    case RDB_TYPE_STREAM_LISTPACKS_3:
        *type = OBJECT_STREAM;
        return STATUS_OK;
    default: /* 8 never was */
        return first <= RDB_TYPE_LAST && first != 8 ? STATUS_WRONG_TYPE : STATUS_INVALID;
    }
}

/* ---- Strings and lists. ---------------------------------------------------------------------- */

struct load {
    struct rdb_reader reader;
    const struct rdb_sink *sink;
    uint64_t elements; /* of a list, so far */
};

static enum status load_string(struct load *load)
{
    struct slice string;
    enum status status = rdb_take_string(&load->reader, &string);
    return status ? status : load->sink->string(load->sink->context, string);
}

static enum status emit_element(struct load *load, struct slice element)
{
    load->elements++;
    return load->sink->element(load->sink->context, element);
}

static enum status load_element(struct load *load)
{
    struct slice string;
    enum status status = rdb_take_string(&load->reader, &string);
    return status ? status : emit_element(load, string);
}

static enum status load_ziplist(struct load *load)
{
    struct ziplist_reader ziplist;
    struct listpack_value value;
    struct slice bytes;
    enum status status = rdb_take_string(&load->reader, &bytes);
    if (!status)
        status = ziplist_open(bytes, &ziplist);
    while (!status && (status = ziplist_next(&ziplist, &value)) == STATUS_OK)
        status = emit_element(load, value.bytes);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status load_listpack(struct load *load)
{
    struct listpack_reader listpack;
    struct listpack_value value;
    struct slice bytes;
    enum status status = rdb_take_string(&load->reader, &bytes);
    if (!status)
        status = listpack_open(bytes, &listpack);
    while (!status && (status = listpack_next(&listpack, &value)) == STATUS_OK)
        status = emit_element(load, value.bytes);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status load_container(struct load *load)
{
    uint64_t container;
    enum status status = rdb_take_length(&load->reader, &container);
    if (status)
        return status;
    if (container == RDB_CONTAINER_PLAIN)
        return load_element(load);
    return container == RDB_CONTAINER_PACKED ? load_listpack(load) : STATUS_INVALID;
}

/* Each of so many parts is at least a byte. */
static enum status load_parts(struct load *load, enum status (*part)(struct load *load))
{
    uint64_t count;
    enum status status = rdb_take_length(&load->reader, &count);
    if (!status && count > load->reader.input.size)
        status = STATUS_INVALID;
    for (uint64_t i = 0; !status && i < count; i++)
        status = part(load);
    return status;
}

static enum status load_list(struct load *load, uint8_t type)
{
    enum status status = type == RDB_TYPE_LIST             ? load_parts(load, load_element)
                         : type == RDB_TYPE_LIST_ZIPLIST   ? load_ziplist(load)
                         : type == RDB_TYPE_LIST_QUICKLIST ? load_parts(load, load_ziplist)
                                                           : load_parts(load, load_container);
    return !status && load->elements == 0 ? STATUS_INVALID : status;
}

enum status rdb_load(struct slice value, const struct rdb_sink *sink)
{
    struct load load = {.reader.input = value, .sink = sink};
    enum object_type type;
    enum status status = rdb_type(value, &type);
    if (status)
        return status;
    uint8_t first = value.data[0];
    load.reader.input = slice_skip(value, 1);
    if (type == OBJECT_STRING)
        status = load_string(&load);
    else if (type == OBJECT_LIST)
        status = load_list(&load, first);
    else
        status = rdb_load_stream(&load.reader, first, sink);
    if (!status && load.reader.input.size > 0)
        status = STATUS_INVALID;
    rdb_reader_release(&load.reader);
    return status;
}
