/* SPDX-License-Identifier: MIT */
/* Encoded blocks of an open table. The dictionary is read with the first of them, opened by the
 * codec, and kept in the block cache under its own offset: it is charged there with what it takes,
 * evicted as blocks are, read again when it is missed, and dropped with the table. */
#include "lsm/table_reader.h"

#include "lsm/encoded_block.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

enum { NAME_SHOWN_MAX = 64 };

enum status table_check_compression(const struct table *table, uint32_t compression,
                                    struct lsm_report *report)
{
    if (compression_is_known(compression))
        return STATUS_OK;
    if (report && compression == COMPRESSION_ZSTD)
        snprintf(
            report->text, sizeof(report->text),
            "%.300s: its blocks are compressed by Zstandard, which this program was built without",
            table->path);
    else if (report)
        snprintf(report->text, sizeof(report->text),
                 "%.300s: its blocks are compressed by method %u, which this program does not know",
                 table->path, (unsigned)compression);
    return STATUS_UNSUPPORTED;
}

enum status table_choose_codec(struct table *table, struct slice name,
                               const struct block_codec *const *codecs, struct lsm_report *report)
{
    for (; codecs && *codecs; codecs++) {
        if (slice_equal(name, slice_from((*codecs)->name))) {
            table->codec = *codecs;
            return STATUS_OK;
        }
    }
    int shown = name.size < NAME_SHOWN_MAX ? (int)name.size : NAME_SHOWN_MAX;
    if (report)
        snprintf(report->text, sizeof(report->text),
                 "%.300s: its blocks are encoded by '%.*s', which this program does not know",
                 table->path, shown, (const char *)name.data);
    return STATUS_UNSUPPORTED;
}

/* Reads and opens the dictionary. */
static enum status read_dictionary(struct table *table, bool nowait, void **dictionary,
                                   size_t *memory_bytes)
{
    const struct block_handle handle = table->dictionary;
    enum block_kind kind;
    uint8_t *raw = NULL;
    size_t raw_bytes = 0;
    uint8_t *bytes = memory_try_allocate(handle.stored_bytes);
    if (!bytes)
        return STATUS_NO_MEMORY;
    struct slice stored = slice_make(bytes, handle.stored_bytes);
    enum status status =
        vfs_read_exactly(table->file, handle.offset, bytes, handle.stored_bytes, nowait);
    if (status == STATUS_OK) {
        status = block_unseal(stored, handle.offset, &kind, &raw, &raw_bytes);
        if (status == STATUS_CORRUPT)
            status = table_log_damage(table, handle.offset, "checksum of a block");
    }
    if (status == STATUS_OK && kind != BLOCK_DICTIONARY)
        status = table_log_damage(table, handle.offset, "a block of another kind");
    if (status == STATUS_OK) {
        status =
            table->codec->dictionary_open(slice_make(raw, raw_bytes), dictionary, memory_bytes);
        if (status == STATUS_CORRUPT)
            status = table_log_damage(table, handle.offset, "the dictionary is malformed");
    }
    memory_free(raw);
    memory_free(bytes);
    return status;
}

enum status table_pin_dictionary(struct table *table, bool nowait, struct block_pin *pin,
                                 const void **dictionary)
{
    struct slice found;
    if (table->dictionary.stored_bytes == 0) {
        *dictionary = NULL;
        return STATUS_OK;
    }
    if (!table->cache ||
        !block_cache_find(table->cache, table->number, table->dictionary.offset, pin, &found)) {
        struct cached_object object = {.destroy = table->codec->dictionary_close};
        enum status status = read_dictionary(table, nowait, &object.data, &object.bytes);
        if (status != STATUS_OK)
            return status;
        block_cache_insert_object(table->cache, table->number, table->dictionary.offset, object,
                                  table->cache != NULL, pin, &found);
    }
    *dictionary = found.data;
    return STATUS_OK;
}

enum status table_decode(const struct table *table, const void *dictionary, struct slice content,
                         size_t raw_bytes, bool heads, uint8_t **rows, size_t *rows_bytes)
{
    const struct encoded_block block = {
        .codec = table->codec,
        .dictionary = dictionary,
        .content = content,
        .raw_bytes = raw_bytes,
        .base_lsn = table->base_lsn,
        .heads = heads,
    };
    assert(table->codec);
    return encoded_block_decode(&block, rows, rows_bytes);
}
