/* SPDX-License-Identifier: MIT */
/* Blocks and filters. The first byte chooses what the rest is: 0: a block of a file; 1: the stored
 * bytes of an LZ4 block, behind a head with a right checksum; 5: those of a frame of Zstandard; 2: the raw
 * content of a block, sealed and unsealed; 3: a filter; 4: keys of a filter. What unseals, seals and unseals
 * to the same; no memory is taken that the stored bytes could not fill. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "lsm/block.h"
#include "lsm/filter.h"

enum {
    RAW_BYTES_MAX = 64 << 20
}; /* of a frame: some kilobytes may unfold to more than a test has */

static struct compressor lz4 = {.compression = COMPRESSION_LZ4};
static struct compressor zstd = {.compression = COMPRESSION_ZSTD, .level = 1};

static void unseal(struct slice stored, uint64_t offset)
{
    struct block_head head;
    enum block_kind kind = 0;
    uint8_t *raw = NULL;
    size_t raw_bytes = 0;
    bool has_head = block_head_parse(stored, &head);
    bool is_encoded = has_head && head.kind == BLOCK_ENCODED;
    uint64_t ratio_max = has_head ? compression_ratio_max(head.compression) : 0;
    fuzz_require(!has_head || is_encoded ||
                 head.raw_bytes <= (uint64_t)head.stored_bytes * ratio_max);
    if (block_unseal(stored, offset, &kind, &raw, &raw_bytes) != STATUS_OK) {
        fuzz_require(!raw && raw_bytes == 0);
        return;
    }
    fuzz_require(has_head && kind == head.kind);
    fuzz_require(is_encoded ? raw_bytes < head.raw_bytes : raw_bytes == head.raw_bytes);
    fuzz_require(raw_bytes <= (uint64_t)head.stored_bytes * ratio_max);
    struct compressor *compressor = head.compression == COMPRESSION_ZSTD ? &zstd : &lz4;
    struct buffer sealed = {0};
    uint8_t *again = NULL;
    size_t again_bytes = 0;
    if (is_encoded)
        block_seal_encoded(&sealed, compressor, slice_make(raw, raw_bytes), NULL, head.raw_bytes,
                           offset + 1);
    else
        block_seal(&sealed, kind, compressor, slice_make(raw, raw_bytes), offset + 1);
    fuzz_require(block_unseal(buffer_slice(&sealed), offset, &kind, &again, &again_bytes) ==
                 STATUS_CORRUPT); /* it belongs elsewhere */
    fuzz_require(block_unseal(buffer_slice(&sealed), offset + 1, &kind, &again, &again_bytes) ==
                 STATUS_OK);
    fuzz_require(slice_equal(slice_make(raw, raw_bytes), slice_make(again, again_bytes)));
    memory_free(again);
    memory_free(raw);
    buffer_release(&sealed);
}

/* kind, raw bytes le32, stored bytes. */
static void unseal_compressed(struct slice input, enum block_compression compression)
{
    struct buffer block = {0};
    uint32_t raw_bytes;
    uint8_t kind = fuzz_byte(&input), place[8] = {0};
    if (!slice_take_le32(&input, &raw_bytes))
        return;
    if (compression == COMPRESSION_ZSTD && raw_bytes > RAW_BYTES_MAX)
        return;
    buffer_append_byte(&block, kind);
    buffer_append_byte(&block, compression);
    buffer_append_le32(&block, (uint32_t)input.size);
    buffer_append_le32(&block, raw_bytes);
    uint32_t crc = crc32c_extend(crc32c(place, sizeof place), block.data, block.size);
    buffer_append_le32(&block, crc32c_mask(crc32c_extend(crc, input.data, input.size)));
    buffer_append_slice(&block, input);
    unseal(buffer_slice(&block), 0);
    buffer_release(&block);
}

static void seal(struct slice input)
{
    struct buffer block = {0};
    enum block_kind kind = BLOCK_ROWS + fuzz_below(&input, BLOCK_PROPERTIES);
    uint8_t choice = fuzz_byte(&input);
    struct compressor *compressor = choice & 2 ? &zstd : choice & 1 ? &lz4 : NULL;
    uint64_t offset = fuzz_number(&input) >> 1;
    if (input.size == 0)
        return;
    block_seal(&block, kind, compressor, input, offset);
    struct slice stored = buffer_slice(&block);
    enum block_kind found;
    uint8_t *raw;
    size_t raw_bytes;
    fuzz_require(block_unseal(stored, offset, &found, &raw, &raw_bytes) == STATUS_OK);
    fuzz_require(found == kind && slice_equal(slice_make(raw, raw_bytes), input));
    memory_free(raw);
    raw = NULL;
    /* Any one changed byte is found. */
    size_t at = (size_t)(offset % stored.size);
    block.data[at] ^= 0x10;
    fuzz_require(block_unseal(stored, offset, &found, &raw, &raw_bytes) == STATUS_CORRUPT);
    block.data[at] ^= 0x10;
    stored.size--;
    fuzz_require(block_unseal(stored, offset, &found, &raw, &raw_bytes) == STATUS_CORRUPT);
    buffer_release(&block);
}

static void ask_filter(struct slice filter)
{
    if (!filter_is_sound(filter))
        return;
    for (uint32_t i = 0; i < 64; i++)
        (void)filter_may_contain(filter, filter_hash(slice_make(&i, sizeof i), 0));
}

static void build_filter(struct slice input)
{
    struct filter_builder builder = {0};
    struct buffer filter = {0};
    uint32_t bits = 1 + fuzz_below(&input, FILTER_BITS_PER_KEY_MAX);
    uint32_t prefix_bytes = fuzz_below(&input, 8);
    struct slice keys = input;
    while (keys.size > 0)
        filter_builder_add(&builder, filter_hash(fuzz_bytes(&keys), prefix_bytes));
    if (builder.count > 0) {
        filter_builder_finish(&builder, bits, &filter);
        fuzz_require(filter_is_sound(buffer_slice(&filter)));
        for (keys = input; keys.size > 0;)
            fuzz_require(filter_may_contain(buffer_slice(&filter),
                                            filter_hash(fuzz_bytes(&keys), prefix_bytes)));
    }
    filter_builder_release(&builder);
    buffer_release(&filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    uint8_t choice = fuzz_byte(&input);
    if (choice == 5) {
        unseal_compressed(input, COMPRESSION_ZSTD);
        return 0;
    }
    switch (choice % 5) {
    case 0:
        unseal(input, 0);
        break;
    case 1:
        unseal_compressed(input, COMPRESSION_LZ4);
        break;
    case 2:
        seal(input);
        break;
    case 3:
        ask_filter(input);
        break;
    default:
        build_filter(input);
    }
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct filter_builder builder = {0};
    struct slice text = slice_from("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb");
    if (index > 5)
        return false;
    buffer_append_byte(out, (uint8_t)index);
    if (index == 0) {
        struct buffer block = {0};
        block_seal(&block, BLOCK_ROWS, &lz4, text, 0);
        buffer_append_slice(out, buffer_slice(&block));
        buffer_release(&block);
    } else if (index == 1 || index == 5) {
        struct buffer block = {0};
        block_seal(&block, BLOCK_ROWS, index == 1 ? &lz4 : &zstd, text, 0);
        buffer_append_byte(out, BLOCK_ROWS);
        buffer_append_le32(out, (uint32_t)text.size);
        buffer_append_slice(out, slice_skip(buffer_slice(&block), BLOCK_HEAD_BYTES));
        buffer_release(&block);
    } else if (index == 2) {
        buffer_append_text(out, "\1\1\7");
        buffer_append_slice(out, text);
    } else if (index == 3) {
        filter_builder_add(&builder, 1);
        filter_builder_add(&builder, 2);
        filter_builder_finish(&builder, 10, out);
        filter_builder_release(&builder);
    } else {
        buffer_append_text(out, "\12\3\3abc\5apple\1x");
    }
    return true;
}
