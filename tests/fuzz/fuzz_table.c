/* SPDX-License-Identifier: MIT */
/* Any bytes as a table. The first byte chooses: 0: the rest is the file. Else the rest is a row of
 * contents (varint size, bytes), sealed into blocks with good checksums and named by a good footer,
 * so that what lies behind the checksums is reached; 2: and the blocks of rows among them are encoded
 * ones, whose contents begin with the size of their rows as a varint (0: rows after all); 3: as 2,
 * compressed by Zstandard. Whatever opens is read in every way, and a table
 * that verify finds sound is the same list of versions in every direction, by every seek and read. */
#include "fuzz/fuzz.h"

#include "base/coding.h"
#include "base/memory.h"
#include "lib/prefix_codec.h"
#include "lsm/rows.h"
#include "lsm/table_format.h"
#include "unit/lsm/memory_env.h"

#include <assert.h>

enum { CONTENTS_MAX = 64, MOVES_MAX = 2000, VERSIONS_MAX = 200 };

static const char path[] = "1.cwt";

/* ---- Files --------------------------------------------------------------------------------- */

/* Kinds of the last contents. Of those before every fourth, counted from there, is a leaf. */
enum { TAIL_MAX = 5 };
static const enum block_kind tail_kinds[TAIL_MAX] = {BLOCK_PROPERTIES, BLOCK_RANGE_DELETES,
                                                     BLOCK_INDEX, BLOCK_FILTER, BLOCK_DICTIONARY};

static struct compressor lz4 = {.compression = COMPRESSION_LZ4};
static struct compressor zstd = {.compression = COMPRESSION_ZSTD, .level = 1};
static struct compressor *data_compressor; /* of blocks of rows and the dictionary */

static struct block_handle seal_content(struct buffer *file, enum block_kind kind,
                                        struct slice content)
{
    uint64_t offset = file->size, raw_bytes;
    if (kind == BLOCK_ENCODED) {
        if (!slice_take_varint(&content, &raw_bytes) || raw_bytes > BLOCK_RAW_BYTES_MAX ||
            content.size == 0 || (raw_bytes > 0 && content.size >= raw_bytes))
            return (struct block_handle){0};
        if (raw_bytes > 0)
            block_seal_encoded(file, data_compressor, content, NULL, raw_bytes, offset);
        else
            block_seal(file, BLOCK_ROWS, data_compressor, content, offset);
    } else {
        struct compressor *compressor = kind == BLOCK_FILTER || kind == BLOCK_PROPERTIES ? NULL
                                        : kind == BLOCK_ROWS || kind == BLOCK_DICTIONARY
                                            ? data_compressor
                                            : &lz4; /* as the builder */
        block_seal(file, kind, compressor, content, offset);
    }
    return (struct block_handle){offset, (uint32_t)(file->size - offset)};
}

/* The properties with what is known of an encoded table. */
static struct block_handle seal_encoded_properties(struct buffer *file, struct slice content,
                                                   uint64_t data_bytes,
                                                   struct block_handle dictionary)
{
    struct table_file_properties properties = {{0}};
    struct buffer encoded = {0};
    (void)table_file_properties_decode(content, &properties); /* as far as it goes */
    properties.codec_name = slice_from(prefix_codec.name);
    properties.compression = data_compressor == &zstd ? COMPRESSION_ZSTD : 0;
    properties.dictionary = dictionary;
    properties.data_bytes = data_bytes;
    table_file_properties_encode(&properties, &encoded);
    struct block_handle handle = seal_content(file, BLOCK_PROPERTIES, buffer_slice(&encoded));
    table_properties_release(&properties.shared);
    buffer_release(&encoded);
    return handle;
}

static void seal_contents(struct slice input, bool is_encoded, struct buffer *file)
{
    struct slice contents[CONTENTS_MAX];
    size_t count = 0, tail = is_encoded ? TAIL_MAX : TAIL_MAX - 1;
    uint64_t data_bytes = 0;
    while (count < CONTENTS_MAX && slice_take_sized(&input, &contents[count]))
        count++;
    struct block_handle handles[TAIL_MAX] = {{0}};
    for (size_t i = 0; i < count; i++) {
        size_t left = count - 1 - i;
        enum block_kind kind = left < tail              ? tail_kinds[left]
                               : (left - tail) % 4 == 0 ? BLOCK_INDEX
                               : is_encoded             ? BLOCK_ENCODED
                                                        : BLOCK_ROWS;
        if (left == tail - 1)
            data_bytes = file->size;
        if (contents[i].size == 0)
            continue;
        struct block_handle handle =
            kind == BLOCK_PROPERTIES && is_encoded
                ? seal_encoded_properties(file, contents[i], data_bytes, handles[TAIL_MAX - 1])
                : seal_content(file, kind, contents[i]);
        if (left < tail)
            handles[left] = handle;
    }
    const struct table_footer footer = {.filter = handles[3],
                                        .top_index = handles[2],
                                        .range_deletes = handles[1],
                                        .properties = handles[0],
                                        .version = data_compressor == &zstd
                                                       ? TABLE_VERSION_COMPRESSED
                                                   : is_encoded ? TABLE_VERSION_ENCODED
                                                                : TABLE_VERSION};
    buffer_reserve(file, TABLE_FOOTER_BYTES);
    table_footer_encode(&footer, file->data + file->size);
    file->size += TABLE_FOOTER_BYTES;
}

static void write_file(struct vfs *vfs, struct slice bytes)
{
    struct vfs_file *file;
    enum status status = vfs_open(vfs, path, VFS_READ | VFS_WRITE | VFS_CREATE, &file);
    assert(status == STATUS_OK);
    status = vfs_write_at(file, 0, bytes.data, bytes.size);
    assert(status == STATUS_OK);
    vfs_close(file);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static void touch(struct slice bytes)
{
    static volatile uint8_t sum;
    for (size_t i = 0; i < bytes.size; i++)
        sum ^= bytes.data[i];
}

static void walk(struct cursor *cursor, bool backward)
{
    for (int i = 0; i < MOVES_MAX && cursor->valid; i++) {
        touch(cursor->key);
        touch(cursor->value);
        if (backward)
            cursor->ops->prev(cursor);
        else
            cursor->ops->next(cursor);
    }
}

/* ---- A sound table is one list ------------------------------------------------------------- */

struct versions {
    struct buffer keys[VERSIONS_MAX], values[VERSIONS_MAX];
    lsn_t lsns[VERSIONS_MAX];
    enum entry_kind kinds[VERSIONS_MAX];
    size_t count;
};

static void require_at(const struct cursor *cursor, const struct versions *versions, size_t at)
{
    fuzz_require(cursor->status == STATUS_OK);
    fuzz_require(cursor->valid == (at < versions->count));
    if (!cursor->valid)
        return;
    fuzz_require(slice_equal(cursor->key, buffer_slice(&versions->keys[at])));
    fuzz_require(slice_equal(cursor->value, buffer_slice(&versions->values[at])));
    fuzz_require(cursor->lsn == versions->lsns[at] && cursor->kind == versions->kinds[at]);
}

static size_t list_versions(struct cursor *cursor, struct versions *versions)
{
    size_t all = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor), all++) {
        size_t at = versions->count;
        if (at == VERSIONS_MAX)
            continue;
        buffer_clear(&versions->keys[at]);
        buffer_clear(&versions->values[at]);
        buffer_append_slice(&versions->keys[at], cursor->key);
        buffer_append_slice(&versions->values[at], cursor->value);
        versions->lsns[at] = cursor->lsn;
        versions->kinds[at] = cursor->kind;
        if (at > 0)
            fuzz_require(entry_compare(buffer_slice(&versions->keys[at - 1]),
                                       versions->lsns[at - 1], cursor->key, cursor->lsn) < 0);
        versions->count++;
    }
    fuzz_require(cursor->status == STATUS_OK);
    return all;
}

static void check_get(struct table *table, const struct versions *versions, size_t at)
{
    const struct table_read read = {0};
    struct slice key = buffer_slice(&versions->keys[at]), value;
    struct block_pin pin = {NULL};
    enum entry_kind kind;
    lsn_t lsn;
    fuzz_require(table_may_contain(table, key));
    fuzz_require(table_get(table, key, versions->lsns[at], &read, &kind, &lsn, &value, &pin) ==
                 STATUS_OK);
    fuzz_require(kind == versions->kinds[at] && lsn == versions->lsns[at]);
    fuzz_require(slice_equal(value, buffer_slice(&versions->values[at])));
    block_unpin(&pin);
}

static void check_sound(const struct env *env)
{
    static struct versions versions;
    const struct table_read read = {0};
    struct lsm_report report;
    struct table *table;
    struct block_cache *cache = block_cache_create(1 << 16);
    fuzz_require(table_open(env, path, 1, cache, prefix_codecs, false, &report, &table) ==
                 STATUS_OK);
    struct cursor *cursor = table_cursor_create(table, &read);
    versions.count = 0;
    if (list_versions(cursor, &versions) == versions.count) {
        size_t at = versions.count ? versions.count - 1 : 0;
        for (cursor->ops->last(cursor); cursor->valid; cursor->ops->prev(cursor)) {
            require_at(cursor, &versions, at);
            at = at ? at - 1 : versions.count;
        }
        fuzz_require(cursor->status == STATUS_OK && at == versions.count);
        for (at = 0; at < versions.count; at++) {
            cursor->ops->seek(cursor, buffer_slice(&versions.keys[at]), versions.lsns[at]);
            require_at(cursor, &versions, at);
            if (at % 3 == 0 && cursor->valid) {
                cursor->ops->prev(cursor);
                require_at(cursor, &versions, at ? at - 1 : versions.count);
            }
            cursor->ops->seek_for_prev(cursor, buffer_slice(&versions.keys[at]));
            fuzz_require(cursor->valid &&
                         slice_equal(cursor->key, buffer_slice(&versions.keys[at])));
            check_get(table, &versions, at);
        }
    }
    cursor->ops->destroy(cursor);
    table_close(table);
    block_cache_destroy(cache);
}

static void read_in_every_way(const struct env *env)
{
    struct lsm_report report = {""};
    struct table *table;
    struct block_cache *cache = block_cache_create(1 << 16);
    if (table_open(env, path, 1, cache, prefix_codecs, false, &report, &table) == STATUS_OK) {
        const struct table_read read = {0};
        struct cursor *cursor = table_cursor_create(table, &read);
        cursor->ops->first(cursor);
        walk(cursor, false);
        cursor->ops->last(cursor);
        walk(cursor, true);
        cursor->ops->seek(cursor, slice_from("apricot"), 1010);
        walk(cursor, true);
        cursor->ops->seek_for_prev(cursor, slice_from("apricot"));
        walk(cursor, false);
        cursor->ops->destroy(cursor);
        enum entry_kind kind;
        lsn_t lsn;
        struct slice value;
        struct block_pin pin = {NULL};
        if (table_get(table, slice_from("apple"), 2000, &read, &kind, &lsn, &value, &pin) ==
            STATUS_OK)
            touch(value);
        block_unpin(&pin);
        const struct range_delete *ranges;
        size_t count;
        table_range_deletes(table, &ranges, &count);
        for (size_t i = 0; i < count; i++) {
            touch(ranges[i].from);
            touch(ranges[i].to);
        }
        table_close(table);
    }
    block_cache_destroy(cache);
    report.text[0] = 0;
    enum status status = table_verify(env, path, prefix_codecs, &report);
    fuzz_require(status == STATUS_OK || report.text[0]);
    if (status == STATUS_OK)
        check_sound(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct buffer file = {0};
    data_compressor = data[0] == 3 && lsm_has_zstd() ? &zstd : &lz4;
    if (data[0] == 0)
        buffer_append(&file, data + 1, size - 1);
    else
        seal_contents(slice_make(data + 1, size - 1), data[0] == 2 || data[0] == 3, &file);
    write_file(vfs, buffer_slice(&file));
    read_in_every_way(&env);
    buffer_release(&file);
    vfs_destroy(vfs);
    return 0;
}

/* ---- Seeds: a small table, as a file and as contents, of rows and encoded -------------------- */

static void build_seed(const struct block_codec *codec, enum lsm_compression compression,
                       struct buffer *file)
{
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct table_builder *builder;
    struct table_properties properties = {0};
    const struct table_options options = {
        .block_bytes = 64, .filter_bits_per_key = 8, .codec = codec, .compression = compression};
    enum status status = table_builder_create(&env, path, &options, &builder);
    static const char *const keys[] = {"apple", "apricot", "banana"};
    for (size_t i = 0; i < 3 && status == STATUS_OK; i++)
        status = table_builder_add(builder, slice_from(keys[i]), codec ? 1000 : 1000 + i, ENTRY_PUT,
                                   slice_from("a value, a value, a value, a value, a value"));
    const struct range_delete range = {slice_from("a"), slice_from("b"), 1500};
    if (status == STATUS_OK)
        table_builder_add_range_delete(builder, range);
    if (status == STATUS_OK)
        status = table_builder_finish(builder, &properties);
    assert(status == STATUS_OK);
    table_builder_destroy(builder);
    table_properties_release(&properties);
    status = vfs_read_file(vfs, path, 1 << 20, file);
    assert(status == STATUS_OK);
    vfs_destroy(vfs);
}

static void append_contents(struct slice file, struct buffer *out)
{
    struct block_head head;
    uint64_t offset = 0;
    while (file.size > TABLE_FOOTER_BYTES && block_head_parse(file, &head)) {
        size_t size = BLOCK_HEAD_BYTES + (size_t)head.stored_bytes;
        bool is_encoded = head.kind == BLOCK_ENCODED;
        enum block_kind kind;
        uint8_t *raw;
        size_t raw_bytes;
        enum status status =
            block_unseal(slice_make(file.data, size), offset, &kind, &raw, &raw_bytes);
        assert(status == STATUS_OK);
        buffer_append_varint(out, raw_bytes + (is_encoded ? varint_size(head.raw_bytes) : 0));
        if (is_encoded)
            buffer_append_varint(out, head.raw_bytes);
        buffer_append(out, raw, raw_bytes);
        memory_free(raw);
        offset += size;
        file = slice_skip(file, size);
    }
}

bool fuzz_seed(size_t index, struct buffer *out)
{
    static const struct {
        uint8_t first;
        const struct block_codec *codec;
        enum lsm_compression compression;
    } seeds[] = {{0, NULL},
                 {1, NULL},
                 {0, &prefix_codec},
                 {2, &prefix_codec},
                 {0, &prefix_codec, LSM_ZSTD},
                 {3, &prefix_codec, LSM_ZSTD}};
    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return false;
    struct buffer file = {0};
    build_seed(seeds[index].codec, seeds[index].compression, &file);
    buffer_append_byte(out, seeds[index].first);
    if (seeds[index].first == 0)
        buffer_append_slice(out, buffer_slice(&file));
    else
        append_contents(buffer_slice(&file), out);
    buffer_release(&file);
    return true;
}
