/* SPDX-License-Identifier: MIT */
/* Writes a table from front to end:
 *
 *   rows | rows | ... | leaf of the index | rows | ... | leaf | dictionary | filter | top index
 *   | range deletes | properties | footer
 *
 * A leaf of the index follows the blocks that it names, so the builder holds one block, one leaf
 * and the top index, besides the filter's hashes (8 bytes a key) and what a codec keeps for its
 * dictionary. With a codec the rows of a block are collected; when the block is cut they are
 * encoded, or, where the codec does not want them, put into a block of rows. */
#include "lsm/table_format.h"

#include "base/memory.h"
#include "lsm/encoded_block.h"
#include "lsm/filter.h"

#include <assert.h>
#include <stdlib.h>

enum {
    WRITE_BYTES = 256 * 1024, /* collected before a write */
    INDEX_RESTART_INTERVAL = 4,
    ZSTD_BLOCK_BYTES_DEFAULT = 128 * 1024,
    ZSTD_LEVEL_DEFAULT = 3,
};

/* Owned bytes of a range deletion: `from` and `to` lie in builder->range_bytes. */
struct held_range {
    size_t from_at, from_size, to_size; /* `to` follows `from` */
    lsn_t lsn;
};

struct table_builder {
    const struct env *env;
    char *path;
    struct vfs_file *file;
    enum status status; /* the first failure; sticky */
    bool is_finished;

    struct buffer pending; /* not written yet; begins at file offset `written` */
    uint64_t written;

    struct rows_builder rows, leaf, top;
    bool has_handle; /* a block was written that the index does not name yet */
    struct block_handle handle;
    struct buffer last_key;
    lsn_t last_lsn;

    struct compressor compressor; /* of blocks of rows and the dictionary */
    struct compressor fast;       /* of all others */
    void *encoder;                /* of options.codec; NULL: none */
    struct collected_rows collected;
    struct buffer encoded;

    struct filter_builder filter;
    struct held_range *ranges;
    size_t range_count, range_capacity;
    struct buffer range_bytes;

    struct table_file_properties properties;
};

struct table_options table_options_of(const struct lsm_tree_options *tree)
{
    return (struct table_options){
        .block_bytes = tree->block_bytes,
        .filter_bits_per_key = tree->filter_bits_per_key,
        .filter_prefix_bytes = tree->filter_prefix_bytes,
        .uncompressed = tree->uncompressed,
        .codec = tree->codec,
    };
}

struct table_options table_options_of_cold(const struct lsm_tree_options *tree)
{
    struct table_options options = table_options_of(tree);
    if (tree->cold_block_bytes)
        options.block_bytes = tree->cold_block_bytes;
    else if (tree->cold_compression == LSM_ZSTD)
        options.block_bytes = ZSTD_BLOCK_BYTES_DEFAULT;
    options.compression = tree->cold_compression;
    options.compression_level = tree->cold_level;
    return options;
}

static void set_compressors(struct table_builder *builder, const struct table_options *options)
{
    bool is_zstd = options->compression == LSM_ZSTD;
    assert(options->compression_level >= 0);
    assert(options->compression_level <= LSM_ZSTD_LEVEL_MAX);
    if (options->uncompressed)
        return;
    builder->fast.compression = COMPRESSION_LZ4;
    builder->compressor = (struct compressor){
        .compression = is_zstd ? COMPRESSION_ZSTD : COMPRESSION_LZ4,
        .level = options->compression_level ? options->compression_level : ZSTD_LEVEL_DEFAULT,
    };
}

enum status table_builder_create(const struct env *env, const char *path,
                                 const struct table_options *options,
                                 struct table_builder **builder)
{
    struct vfs_file *file;
    enum status status =
        vfs_open(env->vfs, path, VFS_READ | VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file);
    if (status != STATUS_OK)
        return status;
    struct table_builder *made = memory_zeroed(1, sizeof(*made));
    made->env = env;
    made->path = memory_copy(path, strlen(path) + 1);
    made->file = file;
    rows_builder_init(&made->rows, ROWS_RESTART_INTERVAL);
    rows_builder_init(&made->leaf, INDEX_RESTART_INTERVAL);
    rows_builder_init(&made->top, INDEX_RESTART_INTERVAL);
    made->rows.bytes.may_fail = made->collected.bytes.may_fail = made->pending.may_fail =
        true; /* a client decides how large values are */
    made->properties.options = *options;
    if (made->properties.options.block_bytes == 0)
        made->properties.options.block_bytes = TABLE_BLOCK_BYTES_DEFAULT;
    assert(made->properties.options.block_bytes <= TABLE_BLOCK_BYTES_MAX);
    set_compressors(made, options);
    if (options->codec)
        made->encoder = options->codec->encoder_create();
    *builder = made;
    return STATUS_OK;
}

void table_builder_destroy(struct table_builder *builder)
{
    if (!builder)
        return;
    vfs_close(builder->file);
    if (!builder->is_finished)
        (void)builder->env->vfs->ops->remove(builder->env->vfs, builder->path); /* best effort: the
                                             next open removes leftovers */
    rows_builder_release(&builder->rows);
    rows_builder_release(&builder->leaf);
    rows_builder_release(&builder->top);
    if (builder->encoder)
        builder->properties.options.codec->encoder_destroy(builder->encoder);
    collected_rows_release(&builder->collected);
    buffer_release(&builder->encoded);
    compressor_release(&builder->compressor);
    filter_builder_release(&builder->filter);
    buffer_release(&builder->pending);
    buffer_release(&builder->last_key);
    buffer_release(&builder->range_bytes);
    table_properties_release(&builder->properties.shared);
    memory_free(builder->ranges);
    memory_free(builder->path);
    memory_free(builder);
}

/* ---- Blocks -------------------------------------------------------------------------------- */

static uint64_t builder_offset(const struct table_builder *builder)
{
    return builder->written + builder->pending.size;
}

static void builder_write_out(struct table_builder *builder)
{
    if (builder->rows.bytes.failed || builder->pending.failed)
        builder->status = STATUS_NO_MEMORY;
    if (builder->status != STATUS_OK)
        return;
    builder->status =
        vfs_write_at(builder->file, builder->written, builder->pending.data, builder->pending.size);
    builder->written += builder->pending.size;
    buffer_clear(&builder->pending);
    if (builder->pending.capacity > 4 * WRITE_BYTES)
        buffer_release(&builder->pending);
}

/* A block was appended to the pending bytes at file offset `offset`. */
static struct block_handle builder_end_block(struct table_builder *builder, uint64_t offset,
                                             enum block_compression compression)
{
    if (compression > COMPRESSION_LZ4)
        builder->properties.compression = compression;
    struct block_handle handle = {offset, (uint32_t)(builder_offset(builder) - offset)};
    if (builder->pending.size >= WRITE_BYTES || builder->pending.failed)
        builder_write_out(builder);
    return handle;
}

static struct block_handle builder_put_block(struct table_builder *builder, enum block_kind kind,
                                             struct compressor *compressor, struct slice raw)
{
    uint64_t offset = builder_offset(builder);
    enum block_compression compression =
        block_seal(&builder->pending, kind, compressor, raw, offset);
    return builder_end_block(builder, offset, compression);
}

static struct block_handle builder_put_rows(struct table_builder *builder, enum block_kind kind,
                                            struct rows_builder *rows)
{
    struct compressor *compressor = kind == BLOCK_ROWS ? &builder->compressor : &builder->fast;
    struct block_handle handle =
        builder_put_block(builder, kind, compressor, rows_builder_finish(rows));
    rows_builder_clear(rows);
    if (rows->bytes.capacity > 4 * TABLE_BLOCK_BYTES_MAX)
        buffer_release(&rows->bytes); /* a large value has passed */
    return handle;
}

static void index_add(struct rows_builder *index, struct slice key, lsn_t lsn,
                      struct block_handle handle)
{
    uint8_t value[TABLE_HANDLE_BYTES_MAX];
    rows_builder_add(index, key, lsn, ENTRY_PUT,
                     slice_make(value, block_handle_encode(handle, value)));
}

/* Of the encoded content: what the engine has put in front joins the codec's first part. */
static struct block_parts encoded_parts(const struct table_builder *builder)
{
    const struct block_codec *codec = builder->properties.options.codec;
    struct block_parts parts = {.count = 0};
    size_t rest = builder->encoded.size;
    if (codec->parts)
        codec->parts(builder->encoder, &parts);
    for (size_t i = 1; i < parts.count; i++) {
        assert(parts.sizes[i] <= rest);
        rest -= parts.sizes[i];
    }
    parts.sizes[0] = rest;
    return parts;
}

/* The collected rows become an encoded block; false: they are put into builder->rows. */
static bool builder_encode_block(struct table_builder *builder)
{
    const struct table_options *options = &builder->properties.options;
    struct collected_rows *rows = &builder->collected;
    if (rows->count == 0)
        return false;
    buffer_clear(&builder->encoded);
    bool is_encoded = encoded_block_append(options->codec, builder->encoder, rows,
                                           builder->properties.base_lsn, &builder->encoded);
    if (is_encoded) {
        uint64_t offset = builder_offset(builder);
        const struct block_parts parts = encoded_parts(builder);
        enum block_compression compression =
            block_seal_encoded(&builder->pending, &builder->compressor,
                               buffer_slice(&builder->encoded), &parts, rows->bytes.size, offset);
        builder->handle = builder_end_block(builder, offset, compression);
        builder->properties.codec_name = slice_from(options->codec->name);
    } else {
        collected_rows_copy(rows, &builder->rows);
    }
    collected_rows_clear(rows);
    return is_encoded;
}

static void builder_cut_block(struct table_builder *builder)
{
    assert(!builder->has_handle);
    if (!builder_encode_block(builder)) {
        if (rows_builder_is_empty(&builder->rows))
            return;
        builder->handle = builder_put_rows(builder, BLOCK_ROWS, &builder->rows);
    }
    builder->has_handle = true;
    builder->properties.block_count++;
}

/* Names the last block in the index, under a separator before `next`; NULL: it is the last one. */
static void builder_index_block(struct table_builder *builder, const struct slice *next)
{
    if (!builder->has_handle)
        return;
    struct slice separator = buffer_slice(&builder->last_key);
    lsn_t lsn = 0;
    if (next)
        separator = table_separator(separator, builder->last_lsn, *next, &lsn);
    index_add(&builder->leaf, separator, lsn, builder->handle);
    builder->has_handle = false;
    if (next && rows_builder_size(&builder->leaf) < TABLE_INDEX_BYTES)
        return;
    struct block_handle leaf = builder_put_rows(builder, BLOCK_INDEX, &builder->leaf);
    index_add(&builder->top, separator, lsn, leaf);
}

/* ---- Adding -------------------------------------------------------------------------------- */

/* Raw bytes of the block that is not cut yet. */
static size_t builder_block_bytes(const struct table_builder *builder)
{
    return builder->encoder ? builder->collected.bytes.size : rows_builder_size(&builder->rows);
}

static void buffer_assign(struct buffer *buffer, struct slice value)
{
    buffer_clear(buffer);
    buffer_append_slice(buffer, value);
}

enum status table_builder_add(struct table_builder *builder, struct slice key, lsn_t lsn,
                              enum entry_kind kind, struct slice value)
{
    assert(!builder->is_finished);
    assert(kind == ENTRY_PUT || (kind == ENTRY_DELETE && value.size == 0));
    assert(key.size <= LSM_KEY_BYTES_MAX);
    struct table_properties *shared = &builder->properties.shared;
    const struct table_options *options = &builder->properties.options;
    if (key.size + value.size > BLOCK_RAW_BYTES_MAX - LSM_KEY_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (shared->entry_count == 0) {
        buffer_assign(&shared->smallest, key);
        builder->properties.base_lsn = lsn;
    }

    /* A block ends before it grows over its size, so a large value has a block of its own. */
    if (builder_block_bytes(builder) + key.size + value.size > options->block_bytes)
        builder_cut_block(builder);
    builder_index_block(builder, &key);
    if (builder->encoder)
        collected_rows_add(&builder->collected, key, lsn, kind, value);
    else
        rows_builder_add(&builder->rows, key, lsn, kind, value);
    if (options->filter_bits_per_key > 0)
        filter_builder_add(&builder->filter, filter_hash(key, options->filter_prefix_bytes));

    buffer_assign(&builder->last_key, key);
    builder->last_lsn = lsn;
    table_properties_see_lsn(shared, lsn);
    shared->entry_count++;
    shared->delete_count += kind == ENTRY_DELETE;
    shared->raw_bytes += key.size + value.size;
    if (builder->rows.bytes.failed || builder->collected.bytes.failed)
        builder->status = STATUS_NO_MEMORY;
    return builder->status;
}

void table_builder_add_range_delete(struct table_builder *builder, struct range_delete range)
{
    assert(!builder->is_finished);
    assert(slice_compare(range.from, range.to) < 0);
    table_properties_see_lsn(&builder->properties.shared, range.lsn);
    if (builder->range_count == builder->range_capacity) {
        builder->range_capacity = builder->range_capacity ? 2 * builder->range_capacity : 16;
        builder->ranges =
            memory_resize(builder->ranges, builder->range_capacity * sizeof(builder->ranges[0]));
    }
    builder->ranges[builder->range_count++] =
        (struct held_range){builder->range_bytes.size, range.from.size, range.to.size, range.lsn};
    buffer_append_slice(&builder->range_bytes, range.from);
    buffer_append_slice(&builder->range_bytes, range.to);
}

uint64_t table_builder_file_bytes(const struct table_builder *builder)
{
    return builder_offset(builder) + builder_block_bytes(builder) / 2 + builder->range_bytes.size +
           builder->filter.count * 3 / 2;
}

bool table_builder_is_empty(const struct table_builder *builder)
{
    return builder->properties.shared.entry_count == 0 && builder->range_count == 0;
}

/* ---- Finish -------------------------------------------------------------------------------- */

static struct range_delete held_range_get(const struct held_range *held, const uint8_t *bytes)
{
    return (struct range_delete){slice_make(bytes + held->from_at, held->from_size),
                                 slice_make(bytes + held->from_at + held->from_size, held->to_size),
                                 held->lsn};
}

static int held_range_compare(const void *left, const void *right, void *bytes)
{
    struct range_delete a = held_range_get(left, bytes), b = held_range_get(right, bytes);
    int order = entry_compare(a.from, a.lsn, b.from, b.lsn);
    return order ? order : -slice_compare(a.to, b.to);
}

/* Of deletions with one `from` and one LSN the widest is enough. */
static struct block_handle builder_put_range_deletes(struct table_builder *builder)
{
    if (builder->range_count == 0)
        return (struct block_handle){0};
    const uint8_t *bytes = builder->range_bytes.data;
    qsort_r(builder->ranges, builder->range_count, sizeof(builder->ranges[0]), held_range_compare,
            builder->range_bytes.data);
    struct rows_builder rows;
    struct range_delete last = {.lsn = 0};
    rows_builder_init(&rows, ROWS_RESTART_INTERVAL);
    for (size_t i = 0; i < builder->range_count; i++) {
        struct range_delete range = held_range_get(&builder->ranges[i], bytes);
        if (last.lsn > 0 && entry_compare(last.from, last.lsn, range.from, range.lsn) == 0)
            continue;
        rows_builder_add(&rows, range.from, range.lsn, ENTRY_DELETE_RANGE, range.to);
        table_properties_see_range(&builder->properties.shared, range);
        last = range;
    }
    struct block_handle handle = builder_put_rows(builder, BLOCK_RANGE_DELETES, &rows);
    rows_builder_release(&rows);
    return handle;
}

static struct block_handle builder_put_filter(struct table_builder *builder)
{
    if (builder->filter.count == 0)
        return (struct block_handle){0};
    struct buffer filter = {0};
    filter_builder_finish(&builder->filter, builder->properties.options.filter_bits_per_key,
                          &filter);
    struct block_handle handle =
        builder_put_block(builder, BLOCK_FILTER, NULL, buffer_slice(&filter));
    buffer_release(&filter);
    return handle;
}

static struct block_handle builder_put_dictionary(struct table_builder *builder)
{
    struct block_handle handle = {0};
    if (builder->properties.codec_name.size == 0)
        return handle;
    struct buffer content = {0};
    builder->properties.options.codec->finish(builder->encoder, &content);
    if (content.size > 0)
        handle = builder_put_block(builder, BLOCK_DICTIONARY, &builder->compressor,
                                   buffer_slice(&content));
    buffer_release(&content);
    return handle;
}

static struct block_handle builder_put_properties(struct table_builder *builder)
{
    struct buffer content = {0};
    table_file_properties_encode(&builder->properties, &content);
    struct block_handle handle =
        builder_put_block(builder, BLOCK_PROPERTIES, NULL, buffer_slice(&content));
    buffer_release(&content);
    return handle;
}

enum status table_builder_finish(struct table_builder *builder, struct table_properties *properties)
{
    assert(!builder->is_finished);
    assert(!table_builder_is_empty(builder));
    struct table_properties *shared = &builder->properties.shared;
    struct table_footer footer = {{0}};
    builder_cut_block(builder);
    builder_index_block(builder, NULL);
    builder->properties.data_bytes = builder_offset(builder);
    buffer_assign(&shared->largest, buffer_slice(&builder->last_key));

    builder->properties.dictionary = builder_put_dictionary(builder);
    footer.filter = builder_put_filter(builder);
    if (!rows_builder_is_empty(&builder->top))
        footer.top_index = builder_put_rows(builder, BLOCK_INDEX, &builder->top);
    footer.range_deletes = builder_put_range_deletes(builder);
    footer.properties = builder_put_properties(builder);
    footer.version = builder->properties.compression           ? TABLE_VERSION_COMPRESSED
                     : builder->properties.codec_name.size > 0 ? TABLE_VERSION_ENCODED
                                                               : TABLE_VERSION;
    if (buffer_reserve(&builder->pending, TABLE_FOOTER_BYTES)) {
        table_footer_encode(&footer, builder->pending.data + builder->pending.size);
        builder->pending.size += TABLE_FOOTER_BYTES;
    }
    builder_write_out(builder);
    if (builder->status == STATUS_OK)
        builder->status = vfs_sync_at(builder->file, "table_builder.finish");
    if (builder->status != STATUS_OK)
        return builder->status;
    builder->is_finished = true;
    shared->file_bytes = builder->written;
    *properties = *shared;
    *shared = (struct table_properties){0};
    return STATUS_OK;
}
