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
    buffer_reserve(out, (size_t)bound);
    int size = LZ4_compress_default((const char *)raw.data, (char *)out->data + out->size,
                                    (int)raw.size, bound);
    if (size <= 0 || (size_t)size > raw.size - raw.size / LZ4_GAIN_SHARE - 1)
        return false;
    out->size += (size_t)size;
    return true;
}

void block_seal(struct buffer *out, enum block_kind kind, bool compress, struct slice raw,
                uint64_t offset)
{
    assert(raw.size > 0);
    assert(raw.size <= BLOCK_RAW_BYTES_MAX);
    static const uint8_t empty[BLOCK_HEAD_BYTES];
    size_t head_at = out->size;
    buffer_append(out, empty, sizeof(empty));
    bool is_compressed = compress && block_compress(out, raw);
    if (!is_compressed)
        buffer_append_slice(out, raw);
    uint8_t *head = out->data + head_at;
    size_t stored_bytes = out->size - head_at - BLOCK_HEAD_BYTES;
    head[0] = (uint8_t)kind;
    head[1] = is_compressed ? CODEC_LZ4 : CODEC_PLAIN;
    le32_store(head + 2, (uint32_t)stored_bytes);
    le32_store(head + 6, (uint32_t)raw.size);
    le32_store(head + CHECKSUM_AT,
               block_checksum(head, offset, slice_make(head + BLOCK_HEAD_BYTES, stored_bytes)));
}

bool block_head_parse(struct slice bytes, struct block_head *head)
{
    if (bytes.size < BLOCK_HEAD_BYTES)
        return false;
    struct block_head parsed = {
        .kind = bytes.data[0],
        .codec = bytes.data[1],
        .stored_bytes = le32_load(bytes.data + 2),
        .raw_bytes = le32_load(bytes.data + 6),
        .checksum = le32_load(bytes.data + CHECKSUM_AT),
    };
    if (parsed.kind < BLOCK_ROWS || parsed.kind > BLOCK_PROPERTIES)
        return false;
    if (parsed.raw_bytes == 0 || parsed.raw_bytes > BLOCK_RAW_BYTES_MAX)
        return false;
    if (parsed.codec == CODEC_PLAIN && parsed.stored_bytes != parsed.raw_bytes)
        return false;
    if (parsed.codec == CODEC_LZ4 &&
        (parsed.stored_bytes >= parsed.raw_bytes ||
         parsed.raw_bytes > (uint64_t)parsed.stored_bytes * LZ4_RATIO_MAX))
        return false;
    if (parsed.codec > CODEC_LZ4)
        return false;
    *head = parsed;
    return true;
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
    uint8_t *bytes = memory_try_allocate(head.raw_bytes);
    if (!bytes)
        return STATUS_NO_MEMORY;
    if (head.codec == CODEC_PLAIN) {
        memcpy(bytes, content.data, content.size);
    } else if (LZ4_decompress_safe((const char *)content.data, (char *)bytes, (int)content.size,
                                   (int)head.raw_bytes) != (int)head.raw_bytes) {
        memory_free(bytes);
        return STATUS_CORRUPT;
    }
    *kind = head.kind;
    *raw = bytes;
    *raw_bytes = head.raw_bytes;
    return STATUS_OK;
}
