/* SPDX-License-Identifier: MIT */
#include "lib/prefix_codec.h"

#include "base/coding.h"
#include "base/memory.h"

enum { PREFIX_BYTES = 4, PREFIXES_MAX = 16, TAIL_BYTES_MAX = 15 };

struct prefixes {
    uint8_t bytes[PREFIXES_MAX][PREFIX_BYTES];
    unsigned count;
};

static void *prefix_create(void)
{
    return memory_zeroed(1, sizeof(struct prefixes));
}

/* The prefix's number, new or known; PREFIXES_MAX: there is no room. */
static unsigned prefix_number(struct prefixes *prefixes, struct slice key)
{
    unsigned number = 0;
    while (number < prefixes->count && memcmp(prefixes->bytes[number], key.data, PREFIX_BYTES) != 0)
        number++;
    if (number == prefixes->count && number < PREFIXES_MAX)
        memcpy(prefixes->bytes[prefixes->count++], key.data, PREFIX_BYTES);
    return number;
}

static bool prefix_encode(void *encoder, const struct block_codec_row *rows, size_t count,
                          struct buffer *out)
{
    size_t start = out->size, raw_bytes = 0;
    bool fits = true;
    for (size_t i = 0; i < count && fits; i++) {
        struct slice key = rows[i].key;
        fits = key.size >= PREFIX_BYTES && key.size - PREFIX_BYTES <= TAIL_BYTES_MAX;
        unsigned number = fits ? prefix_number(encoder, key) : PREFIXES_MAX;
        fits = number < PREFIXES_MAX;
        if (!fits)
            break;
        struct slice tail = slice_skip(key, PREFIX_BYTES);
        buffer_append_byte(out, (uint8_t)(number << 4 | tail.size));
        buffer_append_slice(out, tail);
        buffer_append_sized(out, rows[i].value);
        raw_bytes += key.size + rows[i].value.size;
    }
    fits = fits && out->size - start < raw_bytes;
    if (!fits)
        out->size = start;
    return fits;
}

static void prefix_finish(void *encoder, struct buffer *out)
{
    const struct prefixes *prefixes = encoder;
    buffer_append(out, prefixes->bytes, prefixes->count * (size_t)PREFIX_BYTES);
}

static enum status prefix_open(struct slice bytes, void **dictionary, size_t *memory_bytes)
{
    if (bytes.size % PREFIX_BYTES != 0 || bytes.size / PREFIX_BYTES > PREFIXES_MAX)
        return STATUS_CORRUPT;
    struct prefixes *prefixes = memory_try_allocate(sizeof(*prefixes));
    if (!prefixes)
        return STATUS_NO_MEMORY;
    memcpy(prefixes->bytes, bytes.data, bytes.size);
    prefixes->count = (unsigned)(bytes.size / PREFIX_BYTES);
    *dictionary = prefixes;
    *memory_bytes = sizeof(*prefixes);
    return STATUS_OK;
}

static enum status tell_rows(const void *dictionary, struct slice content, size_t raw_bytes_max,
                             size_t value_bytes_max,
                             void (*row)(void *context, struct slice key, struct slice value),
                             void *context)
{
    const struct prefixes *prefixes = dictionary;
    uint8_t key[PREFIX_BYTES + TAIL_BYTES_MAX];
    while (content.size > 0) {
        uint8_t head;
        struct slice tail, value;
        if (!slice_take_byte(&content, &head) || !prefixes || head >> 4 >= prefixes->count ||
            !slice_take(&content, head & TAIL_BYTES_MAX, &tail) ||
            !slice_take_sized(&content, &value))
            return STATUS_CORRUPT;
        size_t key_size = PREFIX_BYTES + tail.size;
        if (key_size > raw_bytes_max || value.size > raw_bytes_max - key_size)
            return STATUS_CORRUPT;
        raw_bytes_max -= key_size + value.size;
        memcpy(key, prefixes->bytes[head >> 4], PREFIX_BYTES);
        memcpy(key + PREFIX_BYTES, tail.data, tail.size);
        if (value.size > value_bytes_max)
            value.size = value_bytes_max;
        row(context, slice_make(key, key_size), value);
    }
    return STATUS_OK;
}

static enum status prefix_decode(const void *dictionary, struct slice content, size_t raw_bytes_max,
                                 void (*row)(void *context, struct slice key, struct slice value),
                                 void *context)
{
    return tell_rows(dictionary, content, raw_bytes_max, SIZE_MAX, row, context);
}

static enum status
prefix_decode_heads(const void *dictionary, struct slice content, size_t raw_bytes_max,
                    void (*row)(void *context, struct slice key, struct slice value), void *context)
{
    return tell_rows(dictionary, content, raw_bytes_max, PREFIX_HEAD_BYTES, row, context);
}

const struct block_codec prefix_codec = {
    .name = "prefix",
    .encoder_create = prefix_create,
    .encoder_destroy = memory_free,
    .encode = prefix_encode,
    .finish = prefix_finish,
    .dictionary_open = prefix_open,
    .dictionary_close = memory_free,
    .decode = prefix_decode,
    .decode_heads = prefix_decode_heads,
};

const struct block_codec *const prefix_codecs[] = {&prefix_codec, NULL};
