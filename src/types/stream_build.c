/* SPDX-License-Identifier: MIT */
#include "types/stream_build.h"

#include "base/coding.h"

#include <assert.h>

void stream_build_begin(struct stream_build *build, struct object_build *object)
{
    *build = (struct stream_build){.object = object};
}

/* A record as stream_record_encode makes it, of an entry that is not late and has no kinds. */
void stream_build_entry(struct stream_build *build, struct stream_id id, uint64_t count)
{
    struct buffer *record = &build->record;
    struct stream_header *header = &build->header;
    assert(count > 0);
    assert(header->length == 0 || stream_id_compare(id, header->last_id) > 0);
    if (header->length == 0)
        header->first_id = header->garbage_id = id;
    build->id = header->last_id = id;
    buffer_clear(record);
    buffer_append_byte(record, 0); /* flags */
    buffer_append_varint(record, header->next_ordinal);
    buffer_append_varint(record, count);
    header->next_ordinal = ++header->length;
}

enum status stream_build_field(struct stream_build *build, struct slice name, struct slice value)
{
    struct buffer *record = &build->record;
    if (buffer_try_reserve(record, 2 * VARINT_BYTES_MAX + name.size + value.size))
        return STATUS_NO_MEMORY;
    buffer_append_sized(record, name);
    buffer_append_sized(record, value);
    return STATUS_OK;
}

enum status stream_build_entry_end(struct stream_build *build)
{
    uint8_t key[STREAM_ID_BYTES];
    stream_id_store(key, build->id);
    return object_build_put(build->object, TREE_ENTRIES, slice_make(key, sizeof key),
                            buffer_slice(&build->record));
}

void stream_build_end(struct stream_build *build, struct stream_id last_id,
                      struct stream_id max_deleted_id, uint64_t entries_added, struct buffer *body)
{
    struct stream_header *header = &build->header;
    uint8_t bytes[STREAM_HEADER_BYTES_MAX];
    assert(stream_id_compare(header->last_id, last_id) <= 0);
    assert(stream_id_compare(max_deleted_id, last_id) <= 0);
    assert(entries_added >= header->length);
    header->last_id = last_id;
    header->max_deleted_id = max_deleted_id;
    header->entries_added = entries_added;
    buffer_append(body, bytes, stream_header_encode(header, bytes));
}

void stream_build_release(struct stream_build *build)
{
    buffer_release(&build->record);
}
