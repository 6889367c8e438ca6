/* SPDX-License-Identifier: MIT */
#include "lsm/block.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"

#include <assert.h>
#include <lz4.h>

enum {
    CHECKSUM_AT = 10,
    LZ4_GAIN_SHARE = 16, /* compressed blocks must be smaller by one n-th */
    LZ4_RATIO_MAX = 255, /* LZ4 cannot shrink further; bounds what a block may unfold to */
};

_Static_assert(BLOCK_RAW_BYTES_MAX < LZ4_MAX_INPUT_SIZE, "any block can be compressed");

static uint32_t block_checksum(const uint8_t *head, uint64_t offset, struct slice content)
{
    uint8_t place[8];
    le64_store(place, offset);
    uint32_t crc = crc32c(place, sizeof(place));
    crc = crc32c_extend(crc, head, CHECKSUM_AT);
    return crc32c_mask(crc32c_extend(crc, content.data, content.size));
}

/* Appends the compressed bytes; false, and nothing appended, when they are not worth it. */
static bool block_compress(struct buffer *out, struct slice raw)
{
    int bound = LZ4_compressBound((int)raw.size);
    if (!buffer_reserve(out, (size_t)bound)) {
        out->failed = false; /* plain it finds room */
        return false;
    }
    int size = LZ4_compress_default((const char *)raw.data, (char *)out->data + out->size,
                                    (int)raw.size, bound);
    if (size <= 0 || (size_t)size > raw.size - raw.size / LZ4_GAIN_SHARE - 1)
        return false;
    out->size += (size_t)size;
    return true;
}

/* `raw_bytes`: what the head says. */
static void seal(struct buffer *out, enum block_kind kind, bool compress, struct slice content,
                 size_t raw_bytes, uint64_t offset)
{
    assert(content.size > 0);
    assert(raw_bytes <= BLOCK_RAW_BYTES_MAX);
    static const uint8_t empty[BLOCK_HEAD_BYTES];
    size_t head_at = out->size;
    if (!buffer_reserve(out, BLOCK_HEAD_BYTES + content.size))
        return;
    buffer_append(out, empty, sizeof(empty));
    bool is_compressed = compress && block_compress(out, content);
    if (!is_compressed)
        buffer_append_slice(out, content);
    uint8_t *head = out->data + head_at;
    size_t stored_bytes = out->size - head_at - BLOCK_HEAD_BYTES;
    head[0] = (uint8_t)kind;
    head[1] = is_compressed ? COMPRESSION_LZ4 : COMPRESSION_PLAIN;
    le32_store(head + 2, (uint32_t)stored_bytes);
    le32_store(head + 6, (uint32_t)raw_bytes);
    le32_store(head + CHECKSUM_AT,
               block_checksum(head, offset, slice_make(head + BLOCK_HEAD_BYTES, stored_bytes)));
}

void block_seal(struct buffer *out, enum block_kind kind, bool compress, struct slice raw,
                uint64_t offset)
{
    assert(kind != BLOCK_ENCODED);
    seal(out, kind, compress, raw, raw.size, offset);
}

void block_seal_encoded(struct buffer *out, bool compress, struct slice content, size_t raw_bytes,
                        uint64_t offset)
{
    assert(content.size < raw_bytes);
    seal(out, BLOCK_ENCODED, compress, content, raw_bytes, offset);
}

/* Whether the sizes are such as block_seal makes them. */
static bool sizes_fit(const struct block_head *head)
{
    if (head->raw_bytes == 0 || head->raw_bytes > BLOCK_RAW_BYTES_MAX || head->stored_bytes == 0)
        return false;
    if (head->kind == BLOCK_ENCODED)
        return head->stored_bytes < head->raw_bytes;
    if (head->compression == COMPRESSION_PLAIN)
        return head->stored_bytes == head->raw_bytes;
    return head->stored_bytes < head->raw_bytes &&
           head->raw_bytes <= (uint64_t)head->stored_bytes * LZ4_RATIO_MAX;
}

bool block_head_parse(struct slice bytes, struct block_head *head)
{
    if (bytes.size < BLOCK_HEAD_BYTES)
        return false;
    struct block_head parsed = {
        .kind = bytes.data[0],
        .compression = bytes.data[1],
        .stored_bytes = le32_load(bytes.data + 2),
        .raw_bytes = le32_load(bytes.data + 6),
        .checksum = le32_load(bytes.data + CHECKSUM_AT),
    };
    if (parsed.kind < BLOCK_ROWS || parsed.kind > BLOCK_DICTIONARY ||
        parsed.compression > COMPRESSION_LZ4 || !sizes_fit(&parsed))
        return false;
    *head = parsed;
    return true;
}

/* The content as it was before it was compressed. */
static enum status unfold(const struct block_head *head, struct slice stored, uint8_t **raw,
                          size_t *raw_bytes)
{
    bool is_plain = head->compression == COMPRESSION_PLAIN;
    size_t size_max = is_plain ? stored.size : head->raw_bytes;
    if (size_max > (uint64_t)stored.size * LZ4_RATIO_MAX)
        size_max = stored.size * LZ4_RATIO_MAX;
    uint8_t *bytes = memory_try_allocate(size_max);
    if (!bytes)
        return STATUS_NO_MEMORY;
    int size = (int)stored.size;
    if (is_plain)
        memcpy(bytes, stored.data, stored.size);
    else
        size = LZ4_decompress_safe((const char *)stored.data, (char *)bytes, size, (int)size_max);
    bool fits = head->kind == BLOCK_ENCODED ? (size_t)size < head->raw_bytes
                                            : (size_t)size == head->raw_bytes;
    if (size <= 0 || !fits) {
        memory_free(bytes);
        return STATUS_CORRUPT;
    }
    *raw = bytes;
    *raw_bytes = (size_t)size;
    return STATUS_OK;
}

enum status block_unseal(struct slice stored, uint64_t offset, enum block_kind *kind, uint8_t **raw,
                         size_t *raw_bytes)
{
    struct block_head head;
    if (!block_head_parse(stored, &head))
        return STATUS_CORRUPT;
    struct slice content = slice_skip(stored, BLOCK_HEAD_BYTES);
    if (content.size != head.stored_bytes)
        return STATUS_CORRUPT;
    if (block_checksum(stored.data, offset, content) != head.checksum)
        return STATUS_CORRUPT;
    enum status status = unfold(&head, content, raw, raw_bytes);
    if (status == STATUS_OK)
        *kind = head.kind;
    return status;
}
