/* SPDX-License-Identifier: MIT */
#include "vfs/memory_data.h"

#include "base/memory.h"

#include <string.h>

enum { CHUNK_BYTES = 16 * 1024 };

/* The part of a range that lies in one chunk. */
struct part {
    size_t chunk, offset, size;
};

static struct part part_at(uint64_t offset, uint64_t left)
{
    struct part part = {(size_t)(offset / CHUNK_BYTES), (size_t)(offset % CHUNK_BYTES), 0};
    part.size = left < CHUNK_BYTES - part.offset ? (size_t)left : CHUNK_BYTES - part.offset;
    return part;
}

bool memory_is_zeros(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

void memory_data_release(struct memory_data *data)
{
    for (size_t i = 0; i < data->chunk_count; i++)
        memory_free(data->chunks[i]);
    memory_free(data->chunks);
    *data = (struct memory_data){0};
}

void memory_data_resize(struct memory_data *data, uint64_t size)
{
    size_t count = (size_t)((size + CHUNK_BYTES - 1) / CHUNK_BYTES);
    if (size < data->size && size % CHUNK_BYTES && data->chunks[count - 1])
        memset(data->chunks[count - 1] + size % CHUNK_BYTES, 0, CHUNK_BYTES - size % CHUNK_BYTES);
    for (size_t i = count; i < data->chunk_count; i++)
        memory_free(data->chunks[i]);
    if (count > data->chunk_count) {
        data->chunks = memory_resize(data->chunks, count * sizeof *data->chunks);
        memset(data->chunks + data->chunk_count, 0,
               (count - data->chunk_count) * sizeof *data->chunks);
    }
    data->chunk_count = count;
    data->size = size;
}

static void chunk_write(uint8_t **chunk, struct part part, const uint8_t *bytes)
{
    if (!bytes || (!*chunk && memory_is_zeros(bytes, part.size))) {
        if (*chunk)
            memset(*chunk + part.offset, 0, part.size);
        return;
    }
    if (!*chunk)
        *chunk = memory_zeroed(1, CHUNK_BYTES);
    memcpy(*chunk + part.offset, bytes, part.size);
}

void memory_data_write(struct memory_data *data, uint64_t offset, const uint8_t *bytes, size_t size)
{
    if (size && data->size < offset + size)
        memory_data_resize(data, offset + size);
    for (size_t done = 0; done < size;) {
        struct part part = part_at(offset + done, size - done);
        chunk_write(&data->chunks[part.chunk], part, bytes ? bytes + done : NULL);
        done += part.size;
    }
}

size_t memory_data_read(const struct memory_data *data, uint64_t offset, void *bytes, size_t size)
{
    uint64_t left = offset < data->size ? data->size - offset : 0;
    size_t count = size < left ? size : (size_t)left;
    for (size_t done = 0; done < count;) {
        struct part part = part_at(offset + done, count - done);
        uint8_t *to = (uint8_t *)bytes + done;
        if (data->chunks[part.chunk])
            memcpy(to, data->chunks[part.chunk] + part.offset, part.size);
        else
            memset(to, 0, part.size);
        done += part.size;
    }
    return count;
}

void memory_data_copy(const struct memory_data *from, struct memory_data *to)
{
    memory_data_resize(to, from->size);
    for (size_t i = 0; i < from->chunk_count; i++) {
        if (from->chunks[i])
            to->chunks[i] = memory_copy(from->chunks[i], CHUNK_BYTES);
    }
}
