/* SPDX-License-Identifier: MIT */
/* Blocks of entries from any bytes: two bytes of size, a dictionary of that size, then a block, as the
 * checksums would let them through. What is told are rows in the order of their keys, within what was
 * allowed; encoded and decoded again they are the same. Their heads are told of every block that is sound, and
 * in order of any other. */
#include "fuzz/fuzz.h"
#include "unit/types/entry_rows.h"

#include "base/coding.h"

enum { RAW_BYTES_MAX = 256 << 10 };

static struct entry_rows rows;

static void take_row(void *context, struct slice key, struct slice value)
{
    (void)context;
    fuzz_require(key.size == STREAM_ENTRY_KEY_BYTES);
    fuzz_require(value.size >= 3);
    fuzz_require(rows.count == 0 || slice_compare(rows.list[rows.count - 1].key, key) < 0);
    fuzz_require(rows.count < ENTRY_ROWS_MAX); /* 28 bytes of key each */
    entry_rows_add_raw(&rows, key, value);
    fuzz_require(rows.raw_bytes <= RAW_BYTES_MAX);
}

static void encode_again(void)
{
    struct buffer content = {0}, bytes = {0};
    void *encoder = entry_codec.encoder_create(), *dictionary = NULL;
    size_t memory_bytes;
    bool matches;
    for (int again = 0; again < 2; again++) {
        buffer_clear(&content);
        if (!entry_codec.encode(encoder, rows.list, rows.count, &content))
            break;
        fuzz_require(content.size < rows.raw_bytes);
        buffer_clear(&bytes);
        entry_codec.finish(encoder, &bytes);
        if (bytes.size)
            fuzz_require(entry_codec.dictionary_open(buffer_slice(&bytes), &dictionary,
                                                     &memory_bytes) == STATUS_OK);
        fuzz_require(entry_rows_decode(&rows, dictionary, buffer_slice(&content), rows.raw_bytes,
                                       &matches) == STATUS_OK);
        fuzz_require(matches);
        if (dictionary)
            entry_codec.dictionary_close(dictionary);
        dictionary = NULL;
    }
    entry_codec.encoder_destroy(encoder);
    buffer_release(&content);
    buffer_release(&bytes);
}

static void check_whole(const void *dictionary, struct slice input)
{
    bool matches;
    fuzz_require(entry_rows_decode_heads(&rows, dictionary, input, RAW_BYTES_MAX, &matches) ==
                 STATUS_OK);
    fuzz_require(matches);
    encode_again();
}

struct heads {
    uint8_t last[STREAM_ENTRY_KEY_BYTES];
    size_t count;
};

static void take_head(void *context, struct slice key, struct slice value)
{
    struct heads *heads = context;
    struct stream_entry entry;
    fuzz_require(key.size == STREAM_ENTRY_KEY_BYTES);
    fuzz_require(heads->count++ == 0 || memcmp(heads->last, key.data, key.size) < 0);
    memcpy(heads->last, key.data, key.size);
    if (stream_entry_decode_head(key, value, &entry) == STATUS_OK)
        fuzz_require(entry.field_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size), bytes;
    void *dictionary = NULL;
    struct heads heads = {.count = 0};
    size_t dictionary_bytes = fuzz_byte(&input), memory_bytes;
    dictionary_bytes |= (size_t)fuzz_byte(&input) << 8;
    if (dictionary_bytes > 0) {
        if (!slice_take(&input, dictionary_bytes, &bytes))
            return 0;
        uint8_t *exact = memory_copy(bytes.data, bytes.size);
        enum status opened =
            entry_codec.dictionary_open(slice_make(exact, bytes.size), &dictionary, &memory_bytes);
        memory_free(exact);
        if (opened != STATUS_OK)
            return 0;
        fuzz_require(memory_bytes < 64 * dictionary_bytes + 1024);
    }
    uint8_t *exact = memory_copy(input.data, input.size);
    if (entry_codec.decode(dictionary, slice_make(exact, input.size), RAW_BYTES_MAX, take_row,
                           NULL) == STATUS_OK)
        check_whole(dictionary, input);
    else
        (void)entry_codec.decode_heads(dictionary, slice_make(exact, input.size), RAW_BYTES_MAX,
                                       take_head, &heads);
    memory_free(exact);
    entry_rows_clear(&rows);
    if (dictionary)
        entry_codec.dictionary_close(dictionary);
    return 0;
}

/* Some rows of each kind, encoded until their skeletons are templates. */
static void seed_rows(size_t index)
{
    static const char *const levels[] = {"INFO", "WARN", "ERROR"};
    char line[96];
    for (unsigned i = 0; i < 12; i++) {
        snprintf(line, sizeof line, "2026-07-29 17:41:%02u,%03u user %x of 0x%x \1 10.0.0.%u", i,
                 i * 77, i * 0x9e3779b9u, i * 12345, i % 3);
        struct slice fields[] = {slice_from("message"), slice_from(line), slice_from("level"),
                                 slice_from(levels[i % 3])};
        struct stream_record record = {.ordinal = i, .fields = fields, .field_count = 1};
        if (index & 1)
            record.field_count = 1 + i % 2;
        if (index & 2 && i % 2) {
            record.late_ms = 100 + i;
            record.kinds = (const uint8_t *)"\0\1";
        }
        entry_rows_add(&rows, index & 2 ? 1 + i / 3 : 1, (struct stream_id){1000 + 10 * i, i % 4},
                       &record);
    }
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    struct buffer content = {0}, dictionary = {0};
    if (index >= 8)
        return false;
    void *encoder = entry_codec.encoder_create();
    seed_rows(index);
    for (size_t again = 0; again <= (index >> 2); again++) {
        buffer_clear(&content);
        fuzz_require(entry_codec.encode(encoder, rows.list, rows.count, &content));
    }
    entry_codec.finish(encoder, &dictionary);
    buffer_append_le16(out, (uint16_t)dictionary.size);
    buffer_append_slice(out, buffer_slice(&dictionary));
    buffer_append_slice(out, buffer_slice(&content));
    entry_codec.encoder_destroy(encoder);
    entry_rows_clear(&rows);
    buffer_release(&content);
    buffer_release(&dictionary);
    return true;
}
