/* SPDX-License-Identifier: MIT */
/* Size and speed of the blocks of entries by themselves (src/types/entry_codec.h), without the engine:
 * rows are cut into blocks, encoded, compressed; decompressed, decoded and compared.
 *
 *   bench_codec FILE...      a line an entry; the other inputs are made of these lines
 *
 * BENCH_BLOCK (bytes of keys and values a block, 16384), BENCH_TABLE_MIB (of them, that share a
 * dictionary, 64), BENCH_ZSTD (a level of Zstandard; 0: LZ4), BENCH_PARTS (0: a block is compressed as one part),
 * BENCH_ONLY (names of cases), BENCH_ONCE (for callgrind: nothing but an encode and a decode of each
 * block). */
#include "bench/codec/codec_cases.h"

#include "base/memory.h"
#include "base/random.h"
#include "lsm/compression.h"
#include "types/entry_codec.h"
#include "types/entry_writer.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    BLOCK_OVERHEAD_BYTES = 14 + 1 + 25, /* head, the engine's part, entry in the index */
    PAGE_ENTRIES = 100,
    PAGES = 200,
    LZ4_BLOCK_BYTES = 64 << 10, /* as lz4 -1 -B4 -BI */
    SECTIONS = 2 + SECTION_COUNT,
};

struct block {
    size_t at, stored_bytes, content_bytes; /* in table.stored */
    size_t first_row, row_count, row_bytes;
    enum block_compression compression;
    bool is_rows; /* the codec would rather not */
};

/* Blocks that share a dictionary. */
struct table {
    struct buffer stored;
    struct block *blocks;
    size_t block_count, block_capacity;
    void *dictionary;
    size_t dictionary_stored, dictionary_memory;
};

struct results {
    size_t stored, dictionaries, blocks, rows_blocks, dictionary_memory, pages;
    size_t sections[SECTIONS], sections_packed[SECTIONS];
    double encode_ns, decode_ns, page_ns;
};

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

static size_t option(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_codec: %s\n", what);
    exit(1);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static size_t lz4_append(struct buffer *out, struct slice raw)
{
    int bound = LZ4_compressBound((int)raw.size);
    buffer_reserve(out, (size_t)bound);
    int size = LZ4_compress_default((const char *)raw.data, (char *)out->data + out->size,
                                    (int)raw.size, bound);
    out->size += (size_t)size;
    return (size_t)size;
}

static struct compressor compressor;

/* As the engine seals it: plain where compressing gains nothing. */
static enum block_compression pack(struct buffer *out, struct slice raw,
                                   const struct block_parts *parts)
{
    enum block_compression compression = compressor_append(&compressor, raw, parts, out);
    if (compression == COMPRESSION_PLAIN)
        buffer_append_slice(out, raw);
    return compression;
}

/* What each section of the last block takes, and would take compressed alone. */
static void measure_sections(void *encoder, struct slice content, struct results *results)
{
    struct entry_block_sizes sizes = entry_writer_sizes(encoder);
    size_t each[SECTIONS] = {sizes.shape, sizes.ids}, at = content.size;
    struct buffer scratch = {0};
    memcpy(each + 2, sizes.columns, sizeof(sizes.columns));
    for (int i = SECTIONS - 1; i >= 0; i--) {
        at -= each[i];
        buffer_clear(&scratch);
        pack(&scratch, slice_make(content.data + at, each[i]), NULL);
        results->sections[i] += each[i];
        results->sections_packed[i] += scratch.size;
    }
    buffer_release(&scratch);
}

static void put_block(struct table *table, const struct codec_rows *rows, struct block block,
                      void *encoder, struct results *sections)
{
    static struct buffer content;
    struct block_parts parts = {.count = 0};
    buffer_clear(&content);
    block.is_rows =
        !entry_codec.encode(encoder, rows->list + block.first_row, block.row_count, &content);
    if (block.is_rows)
        for (size_t i = block.first_row; i < block.first_row + block.row_count; i++)
            buffer_append_slice(&content, rows->list[i].value);
    else if (sections)
        measure_sections(encoder, buffer_slice(&content), sections);
    if (!block.is_rows && option("BENCH_PARTS", 1))
        entry_codec.parts(encoder, &parts);
    block.at = table->stored.size;
    block.content_bytes = content.size;
    block.compression = pack(&table->stored, buffer_slice(&content), &parts);
    block.stored_bytes = table->stored.size - block.at;
    if (table->block_count == table->block_capacity) {
        table->block_capacity = table->block_capacity ? 2 * table->block_capacity : 1024;
        table->blocks = memory_resize(table->blocks, table->block_capacity * sizeof(block));
    }
    table->blocks[table->block_count++] = block;
}

static struct block cut_block(const struct codec_rows *rows, size_t first, size_t block_bytes)
{
    struct block block = {.first_row = first};
    for (size_t i = first; i < rows->count; i++, block.row_count++) {
        size_t size = rows->list[i].key.size + rows->list[i].value.size;
        if (block.row_count > 0 && block.row_bytes + size > block_bytes)
            break;
        block.row_bytes += size;
    }
    return block;
}

static void finish_table(struct table *table, void *encoder)
{
    struct buffer dictionary = {0}, stored = {0};
    entry_codec.finish(encoder, &dictionary);
    if (dictionary.size > 0) {
        pack(&stored, buffer_slice(&dictionary), NULL);
        table->dictionary_stored = stored.size;
        if (entry_codec.dictionary_open(buffer_slice(&dictionary), &table->dictionary,
                                        &table->dictionary_memory))
            die("a dictionary is not what was written");
    }
    buffer_release(&dictionary);
    buffer_release(&stored);
}

/* A table of the rows from `first` on; the first row behind it. */
static size_t write_table(struct table *table, const struct codec_rows *rows, size_t first,
                          struct results *sections)
{
    size_t block_bytes = option("BENCH_BLOCK", 16384), bytes = 0;
    size_t table_bytes = option("BENCH_TABLE_MIB", 64) << 20;
    void *encoder = entry_codec.encoder_create();
    while (first < rows->count && bytes < table_bytes) {
        struct block block = cut_block(rows, first, block_bytes);
        put_block(table, rows, block, encoder, sections);
        first += block.row_count;
        bytes += block.row_bytes;
    }
    finish_table(table, encoder);
    entry_codec.encoder_destroy(encoder);
    return first;
}

static void table_release(struct table *table)
{
    if (table->dictionary)
        entry_codec.dictionary_close(table->dictionary);
    buffer_release(&table->stored);
    memory_free(table->blocks);
    *table = (struct table){0};
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct sink {
    const struct block_codec_row *next;
    struct buffer copy; /* as a cache keeps the rows */
    bool compares;
};

static void take_row(void *context, struct slice key, struct slice value)
{
    struct sink *sink = context;
    buffer_append_slice(&sink->copy, key);
    buffer_append_slice(&sink->copy, value);
    if (sink->compares &&
        (!slice_equal(key, sink->next->key) || !slice_equal(value, sink->next->value)))
        die("a row is not what was encoded");
    sink->next++;
}

static void read_block(const struct table *table, const struct codec_rows *rows, size_t index,
                       bool compares)
{
    static struct sink sink;
    const struct block *block = &table->blocks[index];
    struct slice stored = slice_make(table->stored.data + block->at, block->stored_bytes);
    uint8_t *content;
    size_t content_bytes;
    if (compression_unfold(block->compression, stored, block->content_bytes, &content,
                           &content_bytes) != STATUS_OK ||
        content_bytes != block->content_bytes)
        die("a block is not what was compressed");
    sink.next = rows->list + block->first_row;
    sink.compares = compares;
    buffer_clear(&sink.copy);
    if (!block->is_rows &&
        (entry_codec.decode(table->dictionary, slice_make(content, content_bytes), block->row_bytes,
                            take_row, &sink) != STATUS_OK ||
         sink.next != rows->list + block->first_row + block->row_count))
        die("a block is not what was encoded");
    memory_free(content);
}

/* 100 entries at a random place: the blocks that hold them. */
static void read_page(const struct table *table, const struct codec_rows *rows,
                      struct random *random)
{
    size_t index = random_below(random, table->block_count);
    const struct block *block = &table->blocks[index];
    size_t end = block->first_row + random_below(random, block->row_count) + PAGE_ENTRIES;
    for (; index < table->block_count && table->blocks[index].first_row < end; index++)
        read_block(table, rows, index, false);
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static size_t measure_table(const struct codec_rows *rows, size_t first, struct results *results)
{
    struct table table = {0};
    struct random random;
    bool once = option("BENCH_ONCE", 0) != 0;
    random_init(&random, 7);
    /* Twice: from the first the heap learns what to keep, and the second takes it from the system. */
    for (unsigned i = 0; i < 2 && !once; i++) {
        (void)write_table(&table, rows, first,
                          i ? NULL : results); /* where it ends is known below */
        table_release(&table);
    }
    double begin = now_ns();
    size_t end = write_table(&table, rows, first, NULL);
    results->encode_ns += now_ns() - begin;
    for (size_t i = 0; i < table.block_count && !once; i++)
        read_block(&table, rows, i, true);
    begin = now_ns();
    for (size_t i = 0; i < table.block_count; i++)
        read_block(&table, rows, i, false);
    results->decode_ns += now_ns() - begin;
    begin = now_ns();
    for (size_t i = 0; i < PAGES && !once; i++, results->pages++)
        read_page(&table, rows, &random);
    results->page_ns += now_ns() - begin;
    results->stored += table.stored.size;
    results->dictionaries += table.dictionary_stored;
    if (results->dictionary_memory < table.dictionary_memory)
        results->dictionary_memory = table.dictionary_memory;
    results->blocks += table.block_count;
    for (size_t i = 0; i < table.block_count; i++)
        results->rows_blocks += table.blocks[i].is_rows;
    table_release(&table);
    return end;
}

static double text_lz4_bytes(struct slice text)
{
    struct buffer stored = {0};
    size_t total = 0;
    while (text.size > 0) {
        size_t size = text.size < LZ4_BLOCK_BYTES ? text.size : LZ4_BLOCK_BYTES;
        buffer_clear(&stored);
        total += lz4_append(&stored, slice_make(text.data, size));
        text = slice_skip(text, size);
    }
    buffer_release(&stored);
    return (double)total;
}

static void print_case(const char *name, const struct codec_rows *rows,
                       const struct results *results)
{
    double n = (double)rows->count;
    double overhead = (double)results->blocks * BLOCK_OVERHEAD_BYTES;
    printf("| %s | %.1f | %.1f | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f | %.1f | %zu |", name,
           (double)rows->text.size / n, text_lz4_bytes(buffer_slice(&rows->text)) / n,
           ((double)(results->stored + results->dictionaries) + overhead) / n,
           (double)results->stored / n, (double)results->dictionaries / n, overhead / n,
           results->encode_ns / n, results->decode_ns / n,
           results->pages ? results->page_ns / 1000 / (double)results->pages : 0,
           results->dictionary_memory >> 10);
    for (int i = 0; i < SECTIONS; i++)
        printf(" %.2f > %.2f |", (double)results->sections[i] / n,
               (double)results->sections_packed[i] / n);
    printf(" %zu of %zu |\n", results->rows_blocks, results->blocks);
}

static void read_file(const char *path, struct buffer *into)
{
    FILE *file = fopen(path, "rb");
    size_t got;
    if (!file)
        die(path);
    do {
        buffer_reserve(into, 1 << 20);
        got = fread(into->data + into->size, 1, 1 << 20, file);
        into->size += got;
    } while (got > 0);
    fclose(file);
}

int main(int count, char **paths)
{
    const char *only = getenv("BENCH_ONLY");
    struct buffer lines = {0};
    for (int i = 1; i < count; i++)
        read_file(paths[i], &lines);
    compressor = (struct compressor){
        .compression = option("BENCH_ZSTD", 0) ? COMPRESSION_ZSTD : COMPRESSION_LZ4,
        .level = (int)option("BENCH_ZSTD", 0),
    };
    if (!compression_is_known(compressor.compression))
        die("built without Zstandard");
    printf("\n%s, blocks of %zu KiB; bytes an entry; times in ns an entry, compressed, a cold page "
           "of 100 in "
           "us; dictionary's memory in KiB; sections before > after, each alone\n\n"
           "| input | text | lz4 -1 | all | blocks | dictionary | heads, index | encode | decode | "
           "page | memory | shape | ids | codes | payload | templates | text | rows' blocks |\n"
           "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|---|---|---|---|---|\n",
           compressor.level ? "Zstandard" : "LZ4", option("BENCH_BLOCK", 16384) >> 10);
    for (size_t i = 0; i < codec_case_count; i++) {
        struct codec_rows rows;
        struct results results = {0};
        if (only && !strstr(only, codec_cases[i].name))
            continue;
        codec_rows_make(&rows, &codec_cases[i], buffer_slice(&lines));
        for (size_t at = 0; at < rows.count;)
            at = measure_table(&rows, at, &results);
        print_case(codec_cases[i].name, &rows, &results);
        codec_rows_release(&rows);
    }
    buffer_release(&lines);
    compressor_release(&compressor);
    return 0;
}
