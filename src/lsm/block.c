/* SPDX-License-Identifier: MIT */
#include "lsm/block.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"

#include <assert.h>

enum { CHECKSUM_AT = 10 };

static uint32_t block_checksum(const uint8_t *head, uint64_t offset, struct slice content)
{
    uint8_t place[8];
    le64_store(place, offset);
    uint32_t crc = crc32c(place, sizeof(place));
    crc = crc32c_extend(crc, head, CHECKSUM_AT);
    return crc32c_mask(crc32c_extend(crc, content.data, content.size));
}

/* `raw_bytes`: what the head says. */
static enum block_compression seal(struct buffer *out, enum block_kind kind,
                                   struct compressor *compressor, struct slice content,
                                   const struct block_parts *parts, size_t raw_bytes,
                                   uint64_t offset)
{
    assert(content.size > 0);
    assert(raw_bytes <= BLOCK_RAW_BYTES_MAX);
    static const uint8_t empty[BLOCK_HEAD_BYTES];
    size_t head_at = out->size;
    enum block_compression compression = COMPRESSION_PLAIN;
    if (!buffer_reserve(out, BLOCK_HEAD_BYTES + content.size))
        return compression;
    buffer_append(out, empty, sizeof(empty));
    if (compressor)
        compression = compressor_append(compressor, content, parts, out);
    if (compression == COMPRESSION_PLAIN)
        buffer_append_slice(out, content);
    uint8_t *head = out->data + head_at;
    size_t stored_bytes = out->size - head_at - BLOCK_HEAD_BYTES;
    head[0] = (uint8_t)kind;
    head[1] = (uint8_t)compression;
    le32_store(head + 2, (uint32_t)stored_bytes);
    le32_store(head + 6, (uint32_t)raw_bytes);
    le32_store(head + CHECKSUM_AT,
               block_checksum(head, offset, slice_make(head + BLOCK_HEAD_BYTES, stored_bytes)));
    return compression;
}

enum block_compression block_seal(struct buffer *out, enum block_kind kind,
                                  struct compressor *compressor, struct slice raw, uint64_t offset)
{
    assert(kind != BLOCK_ENCODED);
    return seal(out, kind, compressor, raw, NULL, raw.size, offset);
}

enum block_compression block_seal_encoded(struct buffer *out, struct compressor *compressor,
                                          struct slice content, const struct block_parts *parts,
                                          size_t raw_bytes, uint64_t offset)
{
    assert(content.size < raw_bytes);
    return seal(out, BLOCK_ENCODED, compressor, content, parts, raw_bytes, offset);
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
           head->raw_bytes <=
               (uint64_t)head->stored_bytes * compression_ratio_max(head->compression);
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
        parsed.compression > COMPRESSION_ZSTD || !sizes_fit(&parsed))
        return false;
    *head = parsed;
    return true;
}

enum status block_check(struct slice stored, uint64_t offset, struct block_head *head)
{
    struct block_head parsed;
    if (!block_head_parse(stored, &parsed))
        return STATUS_CORRUPT;
    struct slice content = slice_skip(stored, BLOCK_HEAD_BYTES);
    if (content.size != parsed.stored_bytes)
        return STATUS_CORRUPT;
    if (block_checksum(stored.data, offset, content) != parsed.checksum)
        return STATUS_CORRUPT;
    *head = parsed;
    return STATUS_OK;
}

enum status block_unfold(const struct block_head *head, struct slice stored, uint8_t **raw,
                         size_t *raw_bytes)
{
    uint8_t *bytes;
    size_t size;
    enum status status = compression_unfold(head->compression, slice_skip(stored, BLOCK_HEAD_BYTES),
                                            head->raw_bytes, &bytes, &size);
    if (status != STATUS_OK)
        return status;
    bool fits = head->kind == BLOCK_ENCODED ? size < head->raw_bytes : size == head->raw_bytes;
    if (!fits) {
        memory_free(bytes);
        return STATUS_CORRUPT;
    }
    *raw = bytes;
    *raw_bytes = size;
    return STATUS_OK;
}

enum status block_unseal(struct slice stored, uint64_t offset, enum block_kind *kind, uint8_t **raw,
                         size_t *raw_bytes)
{
    struct block_head head;
    enum status status = block_check(stored, offset, &head);
    if (status == STATUS_OK)
        status = block_unfold(&head, stored, raw, raw_bytes);
    if (status == STATUS_OK)
        *kind = head.kind;
    return status;
}
