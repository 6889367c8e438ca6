/* SPDX-License-Identifier: MIT */
#include "types/entry_codec.h"

#include "types/entry_reader.h"
#include "types/entry_writer.h"

#include <string.h>

static void *encoder_create(void)
{
    return entry_writer_create();
}

static void encoder_destroy(void *encoder)
{
    entry_writer_destroy(encoder);
}

static bool encode(void *encoder, const struct block_codec_row *rows, size_t count,
                   struct buffer *out)
{
    return entry_writer_encode(encoder, rows, count, out);
}

static void parts(const void *encoder, struct block_parts *parts)
{
    const struct entry_block_sizes sizes = entry_writer_sizes(encoder);
    _Static_assert(2 + SECTION_COUNT <= BLOCK_PARTS_MAX, "a part for each section");
    parts->sizes[0] = sizes.shape;
    parts->sizes[1] = sizes.ids;
    memcpy(parts->sizes + 2, sizes.columns, sizeof(sizes.columns));
    parts->count = 2 + SECTION_COUNT;
}

static void finish(void *encoder, struct buffer *out)
{
    entry_writer_finish(encoder, out);
}

static enum status dictionary_open(struct slice bytes, void **dictionary, size_t *memory_bytes)
{
    struct template_dictionary *opened;
    enum status status = template_dictionary_open(bytes, &opened, memory_bytes);
    if (status == STATUS_OK)
        *dictionary = opened;
    return status;
}

static void dictionary_close(void *dictionary)
{
    template_dictionary_close(dictionary);
}

static enum status decode(const void *dictionary, struct slice content, size_t raw_bytes_max,
                          void (*row)(void *context, struct slice key, struct slice value),
                          void *context)
{
    return entry_reader_decode(dictionary, content, raw_bytes_max, false, row, context);
}

static enum status decode_heads(const void *dictionary, struct slice content, size_t raw_bytes_max,
                                void (*row)(void *context, struct slice key, struct slice value),
                                void *context)
{
    return entry_reader_decode(dictionary, content, raw_bytes_max, true, row, context);
}

const struct block_codec entry_codec = {
    .name = "cordwood.entries.1",
    .encoder_create = encoder_create,
    .encoder_destroy = encoder_destroy,
    .encode = encode,
    .parts = parts,
    .finish = finish,
    .dictionary_open = dictionary_open,
    .dictionary_close = dictionary_close,
    .decode = decode,
    .decode_heads = decode_heads,
};
