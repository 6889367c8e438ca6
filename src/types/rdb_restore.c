/* SPDX-License-Identifier: MIT */
#include "types/rdb_restore.h"

#include "types/list_build.h"
#include "types/rdb_load.h"
#include "types/stream_build.h"
#include "types/string.h"

struct restore {
    struct object_build *object;
    struct rdb_restored *restored;
    uint64_t bytes_left; /* that the value may still have */
    struct list_build list;
    struct stream_build stream;
};

static enum status charge(struct restore *restore, size_t bytes)
{
    if (bytes > restore->bytes_left)
        return STATUS_INVALID;
    restore->bytes_left -= bytes;
    return STATUS_OK;
}

/* ---- Strings. -------------------------------------------------------------------------------- */

static enum status put_string_pieces(struct object_build *object, struct slice value)
{
    enum { TAG_STRING = 's' };
    uint8_t key[1 + 4] = {TAG_STRING};
    enum status status = STATUS_OK;
    for (uint32_t index = 0; value.size > 0 && !status; index++) {
        size_t size = value.size < STRING_PIECE_BYTES ? value.size : STRING_PIECE_BYTES;
        be32_store(key + 1, index);
        status = object_build_put(object, TREE_PARTS, slice_make(key, sizeof key),
                                  slice_make(value.data, size));
        value = slice_skip(value, size);
    }
    return status;
}

static enum status restore_string(void *context, struct slice value)
{
    struct restore *restore = context;
    struct rdb_restored *restored = restore->restored;
    if (value.size > STRING_BYTES_MAX)
        return STATUS_INVALID;
    if (value.size <= STRING_INLINE_BYTES_MAX) {
        if (buffer_try_reserve(&restored->body, value.size))
            return STATUS_NO_MEMORY;
        buffer_append_slice(&restored->body, value);
        return STATUS_OK;
    }
    restored->has_parts = true;
    buffer_append_varint(&restored->body, value.size);
    return put_string_pieces(restore->object, value);
}

/* ---- Lists and streams. ---------------------------------------------------------------------- */

static enum status restore_element(void *context, struct slice value)
{
    struct restore *restore = context;
    enum status status = charge(restore, 1 + value.size);
    if (!status && value.size > LIST_ELEMENT_BYTES_MAX)
        status = STATUS_INVALID;
    return status ? status : list_build_add(&restore->list, value);
}

static enum status restore_entry(void *context, struct stream_id id, uint64_t count)
{
    struct restore *restore = context;
    stream_build_entry(&restore->stream, id, count);
    return charge(restore, STREAM_ID_BYTES);
}

static enum status restore_field(void *context, struct slice name, struct slice value)
{
    struct restore *restore = context;
    enum status status = charge(restore, 2 + name.size + value.size);
    return status ? status : stream_build_field(&restore->stream, name, value);
}

static enum status restore_entry_end(void *context)
{
    struct restore *restore = context;
    return stream_build_entry_end(&restore->stream);
}

static enum status restore_stream(void *context, const struct rdb_stream *stream)
{
    struct restore *restore = context;
    restore->restored->has_parts = true;
    restore->restored->groups_left_out = stream->group_count;
    stream_build_end(&restore->stream, stream->last_id, stream->max_deleted_id,
                     stream->entries_added, &restore->restored->body);
    return STATUS_OK;
}

enum status rdb_restore(struct slice value, uint64_t bytes_max, struct object_build *object,
                        struct rdb_restored *restored)
{
    struct restore restore = {.object = object, .restored = restored, .bytes_left = bytes_max};
    const struct rdb_sink sink = {.string = restore_string,
                                  .element = restore_element,
                                  .entry = restore_entry,
                                  .field = restore_field,
                                  .entry_end = restore_entry_end,
                                  .stream = restore_stream,
                                  .context = &restore};
    *restored = (struct rdb_restored){0};
    list_build_begin(&restore.list, object);
    stream_build_begin(&restore.stream, object);
    enum status status = rdb_type(value, &restored->type);
    if (!status)
        status = rdb_load(value, &sink);
    if (!status && restored->type == OBJECT_LIST) {
        list_build_end(&restore.list);
        restored->has_parts = restore.list.has_parts;
        buffer_append_slice(&restored->body, buffer_slice(&restore.list.body));
    }
    list_build_release(&restore.list);
    stream_build_release(&restore.stream);
    return status;
}

void rdb_restored_release(struct rdb_restored *restored)
{
    buffer_release(&restored->body);
}
