/* SPDX-License-Identifier: MIT */
/* Rows into blocks of entries and back. The input chooses rows: their IDs, ordinals, schemas, and
 * values made of pieces that splitting cares about; some are no entries at all. What is encoded comes
 * back the same, from every block of a table, with the table's one dictionary. */
#include "fuzz/fuzz.h"
#include "unit/types/entry_rows.h"

enum { BLOCKS_MAX = 4, ROWS_A_BLOCK = 60, FIELDS_MAX = 6 };

struct block {
    struct entry_rows rows;
    struct buffer content;
    bool is_encoded;
};

static struct block blocks[BLOCKS_MAX];

static void append_piece(struct slice *input, struct buffer *value)
{
    static const char *const words[] = {"",     " ",  "user ",    "0x", "00",
                                        "INFO", "f",  "a1b2",     "FF", "-",
                                        "z",    "\1", "\xc3\xa4", ".",  "12345678901234567890",
                                        "x"};
    unsigned choice = fuzz_byte(input);
    if (choice < 0x80)
        buffer_append_text(value, words[choice & 15]);
    else if (choice < 0xc0)
        buffer_printf(value, choice & 1 ? "%llu" : "%llx", (unsigned long long)fuzz_number(input));
    else if (choice < 0xd0)
        buffer_printf(value, "%0*u", choice & 15, (unsigned)fuzz_byte(input));
    else if (choice < 0xe0)
        buffer_append_slice(value, fuzz_bytes(input));
    else
        buffer_append_byte(value, fuzz_byte(input));
}

/* A value; often the one that this field had before. */
static struct slice draw_value(struct slice *input, struct buffer *value)
{
    unsigned pieces = fuzz_below(input, 12);
    if (pieces == 0)
        return buffer_slice(value);
    buffer_clear(value);
    for (; pieces > 0; pieces--)
        append_piece(input, value);
    return buffer_slice(value);
}

static void draw_record(struct slice *input, struct buffer *values, struct entry_rows *rows,
                        struct stream_id id, uint64_t object, uint64_t ordinal)
{
    static const char *const names[] = {"message", "level", "", "n", "host 17", "trace", "m", "n"};
    struct slice fields[2 * FIELDS_MAX];
    uint8_t kinds[FIELDS_MAX];
    unsigned form = fuzz_byte(input);
    struct stream_record record = {.ordinal = ordinal, .fields = fields};
    record.field_count = 1 + form % FIELDS_MAX;
    record.kinds = form & 0x40 ? kinds : NULL;
    record.late_ms = form & 0x80 ? fuzz_number(input) : 0;
    for (size_t i = 0; i < record.field_count; i++) {
        unsigned name = (form & 0x20 ? fuzz_byte(input) : (unsigned)i) & 7;
        fields[2 * i] = slice_from(names[name]);
        fields[2 * i + 1] = draw_value(input, &values[i]);
        kinds[i] = form & 0x40 ? fuzz_byte(input) & 3 : 0;
    }
    entry_rows_add(rows, object, id, &record);
}

static void draw_block(struct slice *input, struct block *block)
{
    struct buffer values[FIELDS_MAX] = {{0}};
    struct stream_id id = {fuzz_number(input), 0};
    uint64_t object = 1, ordinal = 0;
    while (input->size > 0 && block->rows.count < ROWS_A_BLOCK) {
        unsigned step = fuzz_byte(input);
        if (step == 0xff)
            break;
        ordinal++;
        if (step >= 0xf0)
            ordinal = fuzz_number(input);
        uint64_t before = id.ms;
        if (step & 1) {
            id.ms += 1 + (step & 2 ? fuzz_number(input) : step >> 4);
            id.seq = step & 4 ? fuzz_number(input) : 0;
        } else {
            id.seq++;
        }
        if (step & 8 || id.ms < before || (id.ms == before && id.seq == 0)) {
            object += 1 + (step >> 4);
            ordinal = 0;
        }
        draw_record(input, values, &block->rows, id, object, ordinal);
    }
    if (input->size % 7 == 1) /* none of an entry */
        entry_rows_add_raw(&block->rows, slice_from("\xff"), fuzz_bytes(input));
    for (int i = 0; i < FIELDS_MAX; i++)
        buffer_release(&values[i]);
}

static void check_block(struct block *block, const void *dictionary)
{
    bool matches;
    struct slice content = buffer_slice(&block->content);
    size_t raw_bytes = block->rows.raw_bytes;
    if (!block->is_encoded)
        return;
    fuzz_require(entry_rows_decode(&block->rows, dictionary, content, raw_bytes, &matches) ==
                 STATUS_OK);
    fuzz_require(matches);
    fuzz_require(entry_rows_decode(&block->rows, dictionary, content, raw_bytes - 1, &matches) ==
                 STATUS_CORRUPT);
    fuzz_require(entry_rows_decode(&block->rows, dictionary,
                                   slice_make(content.data, content.size - 1), raw_bytes,
                                   &matches) == STATUS_CORRUPT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_make(data, size);
    void *encoder = entry_codec.encoder_create(), *dictionary = NULL;
    struct buffer bytes = {0};
    size_t memory_bytes;
    for (int i = 0; i < BLOCKS_MAX; i++) {
        struct block *block = &blocks[i];
        struct slice again = input;
        draw_block(&input, block);
        if (i % 2 == 0 && size % 2)
            input = again; /* the same block twice: its skeletons are templates then */
        if (block->rows.count == 0)
            continue;
        block->is_encoded =
            entry_codec.encode(encoder, block->rows.list, block->rows.count, &block->content);
        fuzz_require(block->is_encoded || block->content.size == 0);
        fuzz_require(block->content.size < block->rows.raw_bytes);
    }
    entry_codec.finish(encoder, &bytes);
    if (bytes.size)
        fuzz_require(entry_codec.dictionary_open(buffer_slice(&bytes), &dictionary,
                                                 &memory_bytes) == STATUS_OK);
    for (int i = 0; i < BLOCKS_MAX; i++) {
        check_block(&blocks[i], dictionary);
        entry_rows_clear(&blocks[i].rows);
        buffer_release(&blocks[i].content);
        blocks[i].is_encoded = false;
    }
    if (dictionary)
        entry_codec.dictionary_close(dictionary);
    entry_codec.encoder_destroy(encoder);
    buffer_release(&bytes);
    return 0;
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const char *const texts[] = {
        "\5\1\2\5\2\x90\5\3\4\x91\4\1\2\5\1\6",
        "\5\1\1\4\2\x90\5\3\4\1\1\0\0\1\1\5\2\x90\7\3\4\1\1\1\5\5\5\5\5\xff\5\1\2\5\2\x90\5\3\4",
        "\5\1\xc1\5\3\2\x80\3\1\x41\4\1\1\2\1\5\xd0\5hello\1\2\xe1q\x0f\1\1\4\1\2\3\4",
        "\5\1\4\3\6\6\7\5\4\x0e\1\2\x81\x30\1\2\x81\x30\3\3\6\6\7\5\4\x0e\1\2\x81\x30\1\2\x81\x30",
    };
    return fuzz_seed_text(texts, sizeof texts / sizeof texts[0], index, out);
}
