/* SPDX-License-Identifier: MIT */
#include "lsm/table_reader.h"

#include "base/memory.h"
#include "lsm/filter.h"

#include <assert.h>

enum {
    TAIL_BYTES = 16 * 1024, /* read at once at open: footer and most of what it names */
    AHEAD_BLOCKS_MIN = 2,   /* read at once when a scan goes on to the next block */
    AHEAD_SHARE = 2,        /* later one n-th of those it has passed: so many may be for nothing */
    AHEAD_SLACK_SHARE = 8,  /* of a block: the next ones may be so much larger */
    AHEAD_BYTES_MIN = 16 * 1024,
    AHEAD_BYTES_MAX = 256 * 1024,
};

enum status table_log_damage(const struct table *table, uint64_t offset, const char *what)
{
    struct lsm_report report;
    enum status status = table_damaged(&report, table->path, offset, what);
    env_log(table->env, LOG_WARNING, "%s", report.text);
    return status;
}

/* ---- Open ---------------------------------------------------------------------------------- */

/* The end of the file, read at once. */
struct file_tail {
    uint8_t *bytes;
    size_t size;
    uint64_t offset;
};

/* Reads a block that the footer names and checks its kind. *raw is allocated. */
static enum status open_block(struct table *table, const struct file_tail *tail,
                              struct block_handle handle, enum block_kind kind, bool nowait,
                              struct lsm_report *report, uint8_t **raw, size_t *raw_bytes)
{
    uint8_t *bytes = NULL;
    struct slice stored;
    enum block_kind found;
    if (handle.offset >= tail->offset) {
        stored = slice_make(tail->bytes + (handle.offset - tail->offset), handle.stored_bytes);
    } else {
        bytes = memory_try_allocate(handle.stored_bytes);
        if (!bytes)
            return STATUS_NO_MEMORY;
        stored = slice_make(bytes, handle.stored_bytes);
        enum status status =
            vfs_read_exactly(table->file, handle.offset, bytes, handle.stored_bytes, nowait);
        if (status != STATUS_OK) {
            memory_free(bytes);
            return status;
        }
    }
    enum status status = block_unseal(stored, handle.offset, &found, raw, raw_bytes);
    if (status == STATUS_CORRUPT)
        status = table_damaged(report, table->path, handle.offset, "checksum of a block");
    else if (status == STATUS_OK && found != kind) {
        memory_free(*raw);
        *raw = NULL;
        status = table_damaged(report, table->path, handle.offset, "a block of another kind");
    }
    memory_free(bytes);
    return status;
}

/* What the properties say of places in the file lies in the file; a codec and a compression are named if
 * the footer's version says so. */
static bool properties_fit(const struct table_file_properties *properties, uint32_t version,
                           uint64_t file_bytes)
{
    struct block_handle dictionary = properties->dictionary;
    bool is_encoded = properties->codec_name.size > 0;
    if (properties->data_bytes > file_bytes ||
        (properties->compression > COMPRESSION_LZ4) != (version == TABLE_VERSION_COMPRESSED))
        return false;
    if (version != TABLE_VERSION_COMPRESSED && is_encoded != (version == TABLE_VERSION_ENCODED))
        return false;
    return dictionary.stored_bytes == 0 ||
           (is_encoded && dictionary.offset >= properties->data_bytes &&
            dictionary.offset <= file_bytes &&
            dictionary.stored_bytes <= file_bytes - dictionary.offset);
}

static enum status open_properties(struct table *table, const struct file_tail *tail,
                                   const struct table_footer *footer,
                                   const struct block_codec *const *codecs, bool nowait,
                                   struct lsm_report *report)
{
    uint8_t *raw;
    size_t size;
    uint64_t offset = footer->properties.offset;
    enum status status =
        open_block(table, tail, footer->properties, BLOCK_PROPERTIES, nowait, report, &raw, &size);
    if (status != STATUS_OK)
        return status;
    struct table_file_properties properties = {{0}};
    status = table_file_properties_decode(slice_make(raw, size), &properties);
    if (status != STATUS_OK ||
        !properties_fit(&properties, footer->version, tail->offset + tail->size))
        status = table_damaged(report, table->path, offset, "properties are malformed");
    else
        status = table_check_compression(table, properties.compression, report);
    if (status == STATUS_OK && properties.codec_name.size > 0)
        status = table_choose_codec(table, properties.codec_name, codecs, report);
    table->data_bytes = properties.data_bytes;
    table->filter_prefix_bytes = properties.options.filter_prefix_bytes;
    table->dictionary = properties.dictionary;
    table->base_lsn = properties.base_lsn;
    table->lsn_max = properties.shared.lsn_max;
    table_properties_release(&properties.shared);
    memory_free(raw);
    return status;
}

static enum status open_top_index(struct table *table, const struct file_tail *tail,
                                  struct block_handle handle, bool nowait,
                                  struct lsm_report *report)
{
    size_t size;
    enum status status =
        open_block(table, tail, handle, BLOCK_INDEX, nowait, report, &table->top_memory, &size);
    if (status != STATUS_OK)
        return status;
    table->top_index = slice_make(table->top_memory, size);
    table->memory_bytes += size;
    if (!rows_check(table->top_index))
        return table_damaged(report, table->path, handle.offset, "the top index is malformed");
    return STATUS_OK;
}

/* The filter's lines begin on cache lines. */
static enum status open_filter(struct table *table, const struct file_tail *tail,
                               struct block_handle handle, bool nowait, struct lsm_report *report)
{
    uint8_t *raw;
    size_t size;
    enum status status = open_block(table, tail, handle, BLOCK_FILTER, nowait, report, &raw, &size);
    if (status != STATUS_OK)
        return status;
    if (!filter_is_sound(slice_make(raw, size))) {
        memory_free(raw);
        return table_damaged(report, table->path, handle.offset, "the filter is malformed");
    }
    table->filter_memory = memory_try_allocate(size + FILTER_LINE_BYTES);
    if (!table->filter_memory) {
        memory_free(raw);
        return STATUS_NO_MEMORY;
    }
    size_t misplaced = (uintptr_t)table->filter_memory % FILTER_LINE_BYTES;
    uint8_t *aligned = table->filter_memory + (misplaced ? FILTER_LINE_BYTES - misplaced : 0);
    memcpy(aligned, raw, size);
    memory_free(raw);
    table->filter = slice_make(aligned, size);
    table->memory_bytes += size + FILTER_LINE_BYTES;
    return STATUS_OK;
}

/* Turns rows into an array; keys and values are copied behind each other into range_memory. */
static enum status parse_ranges(struct table *table, struct slice content)
{
    enum status status = STATUS_CORRUPT;
    size_t count = 0, bytes = 0;
    struct rows_iter iter;
    rows_iter_init(&iter);
    bool sound = rows_check(content) && rows_iter_attach(&iter, content) == STATUS_OK;
    if (sound) {
        for (rows_iter_first(&iter); iter.valid; rows_iter_next(&iter)) {
            const struct entry *row = iter.row;
            sound = sound && row->kind == ENTRY_DELETE_RANGE && row->lsn > 0 &&
                    slice_compare(row->key, row->value) < 0;
            count++;
            bytes += row->key.size + row->value.size;
        }
    }
    if (sound) {
        table->ranges = memory_try_allocate(count * sizeof(table->ranges[0]));
        table->range_memory = memory_try_allocate(bytes);
        status = table->ranges && table->range_memory ? STATUS_OK : STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        uint8_t *at = table->range_memory;
        for (rows_iter_first(&iter); iter.valid; rows_iter_next(&iter)) {
            struct slice from = iter.row->key, to = iter.row->value;
            memcpy(at, from.data, from.size);
            memcpy(at + from.size, to.data, to.size);
            table->ranges[table->range_count++] = (struct range_delete){
                slice_make(at, from.size), slice_make(at + from.size, to.size), iter.row->lsn};
            at += from.size + to.size;
        }
        table->memory_bytes += count * sizeof(table->ranges[0]) + bytes;
    }
    rows_iter_release(&iter);
    return status;
}

static enum status open_range_deletes(struct table *table, const struct file_tail *tail,
                                      struct block_handle handle, bool nowait,
                                      struct lsm_report *report)
{
    uint8_t *raw;
    size_t size;
    enum status status =
        open_block(table, tail, handle, BLOCK_RANGE_DELETES, nowait, report, &raw, &size);
    if (status != STATUS_OK)
        return status;
    status = parse_ranges(table, slice_make(raw, size));
    if (status == STATUS_CORRUPT)
        status = table_damaged(report, table->path, handle.offset, "range deletions are malformed");
    memory_free(raw);
    return status;
}

/* Reads the tail of the file and the footer in it. */
static enum status open_tail(struct table *table, bool nowait, struct lsm_report *report,
                             struct file_tail *tail, struct table_footer *footer)
{
    uint64_t file_bytes;
    enum status status = vfs_size(table->file, &file_bytes);
    if (status != STATUS_OK)
        return status;
    if (file_bytes < TABLE_FOOTER_BYTES)
        return table_damaged(report, table->path, file_bytes, "too short for a table");
    tail->size = file_bytes < TAIL_BYTES ? (size_t)file_bytes : TAIL_BYTES;
    tail->offset = file_bytes - tail->size;
    tail->bytes = memory_try_allocate(tail->size);
    if (!tail->bytes)
        return STATUS_NO_MEMORY;
    status = vfs_read_exactly(table->file, tail->offset, tail->bytes, tail->size, nowait);
    if (status != STATUS_OK)
        return status;
    status = table_footer_decode(tail->bytes + tail->size - TABLE_FOOTER_BYTES, file_bytes, footer);
    if (status == STATUS_OK)
        return STATUS_OK;
    (void)table_damaged(report, table->path, file_bytes - TABLE_FOOTER_BYTES,
                        status == STATUS_UNSUPPORTED ? "a format version of the future"
                                                     : "the footer is damaged"); /* for its text */
    return status;
}

static enum status open_parts(struct table *table, const struct block_codec *const *codecs,
                              bool nowait, struct lsm_report *report)
{
    struct file_tail tail = {0};
    struct table_footer footer;
    enum status status = open_tail(table, nowait, report, &tail, &footer);
    if (status == STATUS_OK)
        status = open_properties(table, &tail, &footer, codecs, nowait, report);
    if (status == STATUS_OK && footer.top_index.stored_bytes)
        status = open_top_index(table, &tail, footer.top_index, nowait, report);
    if (status == STATUS_OK && footer.filter.stored_bytes)
        status = open_filter(table, &tail, footer.filter, nowait, report);
    if (status == STATUS_OK && footer.range_deletes.stored_bytes)
        status = open_range_deletes(table, &tail, footer.range_deletes, nowait, report);
    memory_free(tail.bytes);
    return status;
}

enum status table_open(const struct env *env, const char *path, uint64_t number,
                       struct block_cache *cache, const struct block_codec *const *codecs,
                       bool nowait, struct lsm_report *report, struct table **table)
{
    struct vfs_file *file;
    enum status status = vfs_open(env->vfs, path, VFS_READ, &file);
    if (status != STATUS_OK)
        return status;
    size_t path_size = strlen(path) + 1;
    struct table *opened = memory_zeroed(1, sizeof(*opened) + path_size);
    memcpy(opened->path, path, path_size);
    opened->env = env;
    opened->file = file;
    opened->cache = cache;
    opened->number = number;
    opened->memory_bytes = sizeof(*opened) + path_size;
    status = open_parts(opened, codecs, nowait, report);
    if (status != STATUS_OK) {
        table_close(opened);
        return status;
    }
    if (cache) {
        opened->charged_bytes = opened->memory_bytes;
        block_cache_charge(cache, opened->charged_bytes);
    }
    *table = opened;
    return STATUS_OK;
}

void table_close(struct table *table)
{
    if (!table)
        return;
    if (table->charged_bytes)
        block_cache_discharge(table->cache, table->charged_bytes);
    vfs_close(table->file);
    memory_free(table->top_memory);
    memory_free(table->filter_memory);
    memory_free(table->range_memory);
    memory_free(table->ranges);
    memory_free(table);
}

size_t table_memory_bytes(const struct table *table)
{
    return table->memory_bytes;
}

void table_range_deletes(const struct table *table, const struct range_delete **ranges,
                         size_t *count)
{
    *ranges = table->ranges;
    *count = table->range_count;
}

/* ---- Blocks -------------------------------------------------------------------------------- */

/* A block of which only the heads are decoded is kept beside the whole one, under a name that no offset has. */
static const uint64_t HEADS_NAME = UINT64_C(1) << 63;

static bool takes_heads(const struct table *table, const struct table_read *read)
{
    return read->heads && table->codec && table->codec->decode_heads;
}

/* Puts decoded rows in the place of an encoded block's content. */
static enum status load_decoded(struct table *table, uint64_t offset, size_t raw_bytes,
                                const struct table_read *read, uint8_t **content,
                                size_t *content_bytes)
{
    struct block_pin pin = {NULL};
    const void *dictionary;
    uint8_t *rows = NULL;
    enum status status = table_pin_dictionary(table, read->nowait, &pin, &dictionary);
    if (status != STATUS_OK)
        return status;
    status = table_decode(table, dictionary, slice_make(*content, *content_bytes), raw_bytes,
                          takes_heads(table, read), &rows, content_bytes);
    block_unpin(&pin);
    if (status == STATUS_CORRUPT)
        return table_log_damage(table, offset, "an encoded block is malformed");
    if (status != STATUS_OK)
        return status;
    memory_free(*content);
    *content = rows;
    return STATUS_OK;
}

static void free_behind_head(void *content)
{
    memory_free((uint8_t *)content - BLOCK_HEAD_BYTES);
}

/* Checks, unfolds and decodes a block that was read and gives it to the cache, or only wraps it. Encoded
 * blocks are of the kind of rows here. STATUS_WOULD_BLOCK with nowait: the dictionary is missing. `owned`
 * (NULL: it is somebody else's) is the memory that has `stored` at its front: a content that needs neither
 * stays there, and *owned is NULL then. */
static enum status load_bytes(struct table *table, struct block_handle handle, enum block_kind kind,
                              struct slice stored, uint8_t **owned, const struct table_read *read,
                              struct block_pin *pin, struct slice *content)
{
    struct block_head head;
    struct cached_object object = {.destroy = memory_free};
    uint64_t name = handle.offset;
    uint8_t *raw = NULL;
    enum status status = block_check(stored, handle.offset, &head);
    bool is_ready =
        status == STATUS_OK && owned && head.kind == kind && head.compression == COMPRESSION_PLAIN;
    if (status == STATUS_OK && !is_ready)
        status = block_unfold(&head, stored, &raw, &object.bytes);
    if (status == STATUS_CORRUPT)
        return table_log_damage(table, handle.offset, "checksum of a block");
    if (status != STATUS_OK)
        return status;
    if (is_ready) {
        object =
            (struct cached_object){*owned + BLOCK_HEAD_BYTES, head.raw_bytes, free_behind_head};
        *owned = NULL;
    } else {
        if (head.kind == BLOCK_ENCODED && kind == BLOCK_ROWS && table->codec) {
            status = load_decoded(table, handle.offset, head.raw_bytes, read, &raw, &object.bytes);
            if (takes_heads(table, read))
                name |= HEADS_NAME;
        } else if (head.kind != kind) {
            status = table_log_damage(table, handle.offset, "a block of another kind");
        }
        object.data = raw;
    }
    if (status != STATUS_OK) {
        memory_free(raw);
        return status;
    }
    block_cache_insert_object(table->cache, table->number, name, object,
                              !read->keep_cache && table->cache, pin, content);
    return STATUS_OK;
}

static bool ahead_has(const struct table_ahead *ahead, struct block_handle handle)
{
    return handle.offset >= ahead->offset &&
           handle.offset + handle.stored_bytes <= ahead->offset + ahead->size;
}

static enum status load_single(struct table *table, struct block_handle handle,
                               enum block_kind kind, const struct table_read *read,
                               struct block_pin *pin, struct slice *content)
{
    uint8_t *bytes = memory_try_allocate(handle.stored_bytes);
    if (!bytes)
        return STATUS_NO_MEMORY;
    enum status status =
        vfs_read_exactly(table->file, handle.offset, bytes, handle.stored_bytes, read->nowait);
    if (status == STATUS_OK)
        status = load_bytes(table, handle, kind, slice_make(bytes, handle.stored_bytes), &bytes,
                            read, pin, content);
    if (status == STATUS_WOULD_BLOCK)
        *read->miss = (struct table_miss){
            .table = table, .offset = handle.offset, .stored_bytes = handle.stored_bytes};
    memory_free(bytes);
    return status;
}

/* Reads the block and a piece of the file behind it, or before it. */
static enum status ahead_fill(struct table *table, struct table_ahead *ahead,
                              struct block_handle handle, bool backward, size_t window_bytes)
{
    uint64_t end = handle.offset + handle.stored_bytes, offset = handle.offset;
    uint64_t left = backward ? end : table->data_bytes - offset;
    uint64_t size = window_bytes < left ? window_bytes : left;
    if (backward)
        offset = end - size;
    ahead->size = 0;
    if (size > ahead->capacity) {
        memory_free(ahead->bytes);
        ahead->bytes = memory_try_allocate((size_t)size);
        ahead->capacity = ahead->bytes ? (size_t)size : 0;
        if (!ahead->bytes)
            return STATUS_NO_MEMORY;
    }
    enum status status = vfs_read_exactly(table->file, offset, ahead->bytes, (size_t)size, false);
    if (status != STATUS_OK)
        return status;
    ahead->offset = offset;
    ahead->size = (size_t)size;
    return STATUS_OK;
}

/* A block is loaded: whether it begins where the one before ended. */
static bool ahead_note(struct table_ahead *ahead, struct block_handle handle)
{
    bool follows = handle.offset == ahead->last_end;
    ahead->last_begin = handle.offset;
    ahead->last_end = handle.offset + handle.stored_bytes;
    return follows;
}

/* How much to read at once of blocks that are about as large as this one. */
static size_t ahead_window(const struct table_ahead *ahead, size_t block_bytes)
{
    uint64_t blocks = ahead->passed / AHEAD_SHARE;
    if (blocks < AHEAD_BLOCKS_MIN)
        blocks = AHEAD_BLOCKS_MIN;
    uint64_t bytes = blocks * block_bytes + block_bytes / AHEAD_SLACK_SHARE;
    if (bytes < AHEAD_BYTES_MIN)
        bytes = AHEAD_BYTES_MIN;
    return ahead->is_long || bytes > AHEAD_BYTES_MAX ? AHEAD_BYTES_MAX : (size_t)bytes;
}

static enum status load_ahead(struct table *table, struct block_handle handle, enum block_kind kind,
                              const struct table_read *read, struct table_ahead *ahead,
                              struct block_pin *pin, struct slice *content)
{
    bool is_sequential = false, backward = false;
    if (kind != BLOCK_INDEX) {
        backward = handle.offset + handle.stored_bytes == ahead->last_begin;
        is_sequential = ahead_note(ahead, handle) || backward;
        ahead->passed = is_sequential ? ahead->passed + 1 : 0;
    }
    if (!ahead_has(ahead, handle)) {
        size_t window_bytes = ahead_window(ahead, handle.stored_bytes);
        if (!is_sequential || window_bytes < 2 * (size_t)handle.stored_bytes)
            return load_single(table, handle, kind, read, pin, content);
        enum status status = ahead_fill(table, ahead, handle, backward, window_bytes);
        if (status != STATUS_OK)
            return status;
    }
    struct slice stored =
        slice_make(ahead->bytes + (handle.offset - ahead->offset), handle.stored_bytes);
    return load_bytes(table, handle, kind, stored, NULL, read, pin, content);
}

static bool find_cached(struct table *table, uint64_t offset, enum block_kind kind,
                        const struct table_read *read, struct block_pin *pin, struct slice *content)
{
    if (!table->cache)
        return false;
    if (kind != BLOCK_ROWS || !takes_heads(table, read))
        return block_cache_find(table->cache, table->number, offset, pin, content);
    return block_cache_find_first(table->cache, table->number, offset, pin, content) ||
           block_cache_find(table->cache, table->number, offset | HEADS_NAME, pin, content);
}

enum status table_load(struct table *table, struct block_handle handle, enum block_kind kind,
                       const struct table_read *read, struct table_ahead *ahead,
                       struct block_pin *pin, struct slice *content)
{
    assert(handle.offset + handle.stored_bytes <= table->data_bytes);
    if (find_cached(table, handle.offset, kind, read, pin, content))
        return STATUS_OK;
    if (ahead && !read->nowait)
        return load_ahead(table, handle, kind, read, ahead, pin, content);
    enum status status = load_single(table, handle, kind, read, pin, content);
    if (status == STATUS_WOULD_BLOCK && ahead) {
        bool is_sequential = handle.offset == ahead->last_end;
        read->miss->ahead_bytes = is_sequential ? AHEAD_BYTES_MAX / 2 : AHEAD_BYTES_MIN;
    }
    if (ahead)
        (void)ahead_note(ahead, handle); /* it was looked at above */
    return status;
}

/* Puts the whole blocks found in `bytes` into the cache; the first one, at `offset`, is pinned. */
static enum status fetch_blocks(struct table *table, uint64_t offset, struct slice bytes,
                                struct block_pin *pin)
{
    static const struct table_read read = {0};
    struct block_head head;
    enum status status = STATUS_OK;
    for (bool is_first = true; block_head_parse(bytes, &head); is_first = false) {
        size_t size = BLOCK_HEAD_BYTES + (size_t)head.stored_bytes;
        if (size > bytes.size)
            break;
        struct block_pin loaded = {NULL};
        struct slice content;
        enum status one = load_bytes(table, (struct block_handle){offset, (uint32_t)size},
                                     head.kind == BLOCK_ENCODED ? BLOCK_ROWS : head.kind,
                                     slice_make(bytes.data, size), NULL, &read, &loaded, &content);
        if (is_first && one == STATUS_OK) {
            block_unpin(pin);
            *pin = loaded;
        } else {
            block_unpin(&loaded);
        }
        if (is_first)
            status = one;
        if (one != STATUS_OK)
            break; /* behind the first block this is only haste: whoever wants it will see */
        offset += size;
        bytes = slice_skip(bytes, size);
    }
    return status;
}

enum status table_fetch(const struct table_miss *miss, struct block_pin *pin)
{
    struct table *table = miss->table;
    assert(!miss->ref);
    assert(miss->offset + miss->stored_bytes <= table->data_bytes);
    uint64_t size = table->data_bytes - miss->offset;
    if (size > (uint64_t)miss->stored_bytes + miss->ahead_bytes)
        size = (uint64_t)miss->stored_bytes + miss->ahead_bytes;
    uint8_t *bytes = memory_try_allocate((size_t)size);
    if (!bytes)
        return STATUS_NO_MEMORY;
    struct block_pin held = {NULL};
    enum status status = vfs_read_exactly(table->file, miss->offset, bytes, (size_t)size, false);
    if (status == STATUS_OK)
        status = fetch_blocks(table, miss->offset, slice_make(bytes, (size_t)size), &held);
    if (status == STATUS_OK && !held.block)
        status = table_log_damage(table, miss->offset, "head of a block");
    memory_free(bytes);
    if (pin && status == STATUS_OK)
        *pin = held;
    else
        block_unpin(&held);
    return status;
}

/* ---- Point reads --------------------------------------------------------------------------- */

bool table_may_contain(struct table *table, struct slice key)
{
    if (table->top_index.size == 0)
        return false;
    return table->filter.size == 0 ||
           filter_may_contain(table->filter, filter_hash(key, table->filter_prefix_bytes));
}

/* The handle under the row of an index; damage is logged. */
static enum status index_handle(const struct table *table, const struct rows_iter *index,
                                struct block_handle *handle)
{
    if (index->damaged || !block_handle_decode(index->row->value, table->data_bytes, handle))
        return table_log_damage(table, 0, "a row of the index");
    return STATUS_OK;
}

/* Seeks in a block's content. STATUS_NOT_FOUND: all rows are before (key, lsn). */
static enum status rows_place(const struct table *table, struct rows_iter *rows,
                              struct slice content, struct slice key, lsn_t lsn,
                              struct block_handle at)
{
    if (rows_iter_attach(rows, content) == STATUS_OK)
        rows_iter_seek(rows, key, lsn);
    if (rows->damaged)
        return table_log_damage(table, at.offset, "rows of a block");
    return rows->valid ? STATUS_OK : STATUS_NOT_FOUND;
}

/* One step down: from a placed index row to the block that it names, pinned, and the place in
 * it. */
static enum status get_descend(struct table *table, const struct rows_iter *index,
                               enum block_kind kind, struct slice key, lsn_t lsn,
                               const struct table_read *read, struct rows_iter *rows,
                               struct block_pin *pin)
{
    struct block_handle handle;
    struct slice content;
    enum status status = index_handle(table, index, &handle);
    if (status == STATUS_OK)
        status = table_load(table, handle, kind, read, NULL, pin, &content);
    if (status == STATUS_OK)
        status = rows_place(table, rows, content, key, lsn, handle);
    return status;
}

enum status table_get(struct table *table, struct slice key, lsn_t lsn,
                      const struct table_read *read, enum entry_kind *kind, lsn_t *found_lsn,
                      struct slice *value, struct block_pin *pin)
{
    if (table->top_index.size == 0)
        return STATUS_NOT_FOUND;
    struct rows_iter top, leaf, rows;
    struct block_pin leaf_pin = {NULL}, rows_pin = {NULL};
    rows_iter_init(&top);
    rows_iter_init(&leaf);
    rows_iter_init(&rows);
    /* A separator covers its block in cursor order, so a miss below means that the table has no
     * such version: the next block begins behind the separator, with a larger key or, when the
     * versions of one key go on there, with exactly what the seek then finds. */
    enum status status =
        rows_place(table, &top, table->top_index, key, lsn, (struct block_handle){0});
    if (status == STATUS_OK)
        status = get_descend(table, &top, BLOCK_INDEX, key, lsn, read, &leaf, &leaf_pin);
    if (status == STATUS_OK)
        status = get_descend(table, &leaf, BLOCK_ROWS, key, lsn, read, &rows, &rows_pin);
    if (status == STATUS_OK && !slice_equal(rows.row->key, key))
        status = STATUS_NOT_FOUND;
    if (status == STATUS_OK) {
        *kind = rows.row->kind;
        *found_lsn = rows.row->lsn;
        *value = rows.row->value;
        *pin = rows_pin;
        rows_pin.block = NULL;
    }
    block_unpin(&rows_pin);
    block_unpin(&leaf_pin);
    rows_iter_release(&rows);
    rows_iter_release(&leaf);
    rows_iter_release(&top);
    return status;
}

/* ---- Index --------------------------------------------------------------------------------- */

static enum status walk_leaf(struct table *table, struct block_handle handle,
                             void (*each)(void *context, struct slice key, uint32_t stored_bytes),
                             void *context)
{
    const struct table_read read = {.keep_cache = true};
    struct block_pin pin = {NULL};
    struct slice content;
    enum status status = table_load(table, handle, BLOCK_INDEX, &read, NULL, &pin, &content);
    if (status != STATUS_OK)
        return status;
    struct rows_iter leaf;
    rows_iter_init(&leaf);
    if (rows_iter_attach(&leaf, content) == STATUS_OK)
        rows_iter_first(&leaf);
    while (leaf.valid && status == STATUS_OK) {
        struct block_handle block;
        status = index_handle(table, &leaf, &block);
        if (status == STATUS_OK) {
            each(context, leaf.row->key, block.stored_bytes);
            rows_iter_next(&leaf);
        }
    }
    if (status == STATUS_OK && leaf.damaged)
        status = table_log_damage(table, handle.offset, "rows of an index");
    rows_iter_release(&leaf);
    block_unpin(&pin);
    return status;
}

enum status table_walk_index(struct table *table,
                             void (*each)(void *context, struct slice key, uint32_t stored_bytes),
                             void *context)
{
    enum status status = STATUS_OK;
    struct rows_iter top;
    if (table->top_index.size == 0)
        return STATUS_OK;
    rows_iter_init(&top);
    status = rows_iter_attach(&top, table->top_index);
    if (status == STATUS_OK)
        rows_iter_first(&top);
    while (top.valid && status == STATUS_OK) {
        struct block_handle handle;
        status = index_handle(table, &top, &handle);
        if (status == STATUS_OK)
            status = walk_leaf(table, handle, each, context);
        if (status == STATUS_OK)
            rows_iter_next(&top);
    }
    rows_iter_release(&top);
    return status;
}
