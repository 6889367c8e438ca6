/* SPDX-License-Identifier: MIT */
/* LevelDB. It has one background thread, Snappy or no compression, no bounds for iterators (compared
 * here, as every user of it must), and checks block checksums only when told; the others always do. */
#include "bench/engine/engine.h"

#include "base/memory.h"

#include <leveldb/c.h>
#include <stdio.h>

enum { OPEN_FILES = 10000, TABLE_BYTES_MAX = 8 << 20 /* its level 1 holds 10 MiB */ };

struct engine_db {
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_writeoptions_t *plain, *synced;
    leveldb_readoptions_t *read, *scan;
    leveldb_t *inner;
};

struct engine_iter {
    leveldb_iterator_t *iter;
    struct slice lower, upper;
};

struct engine_thread {
    struct engine_db *db;
    char *found;
    leveldb_writebatch_t *batch;
    struct engine_iter iter;
};

static void check(char *error, const char *call)
{
    if (error)
        engine_failed(&engine_leveldb, call, error);
}

static const char *text(struct slice bytes)
{
    return (const char *)bytes.data;
}

static void version(char *into, size_t capacity)
{
    snprintf(into, capacity, "%d.%d", leveldb_major_version(), leveldb_minor_version());
}

static leveldb_readoptions_t *read_options(bool fill_cache)
{
    leveldb_readoptions_t *options = leveldb_readoptions_create();

    leveldb_readoptions_set_verify_checksums(options, 1);
    leveldb_readoptions_set_fill_cache(options, fill_cache);
    return options;
}

static struct engine_db *open_db(const struct engine_options *options)
{
    struct engine_db *db = memory_zeroed(1, sizeof *db);
    char *error = NULL;

    db->options = leveldb_options_create();
    db->cache = leveldb_cache_create_lru(options->cache_bytes);
    leveldb_options_set_create_if_missing(db->options, 1);
    leveldb_options_set_write_buffer_size(db->options, options->write_buffer_bytes);
    leveldb_options_set_cache(db->options, db->cache);
    leveldb_options_set_block_size(db->options, options->block_bytes);
    leveldb_options_set_max_file_size(db->options, options->table_bytes < TABLE_BYTES_MAX
                                                       ? options->table_bytes
                                                       : TABLE_BYTES_MAX);
    leveldb_options_set_max_open_files(db->options, OPEN_FILES);
    leveldb_options_set_compression(db->options, options->compress ? leveldb_snappy_compression
                                                                   : leveldb_no_compression);
    if (options->bloom_bits) {
        db->filter = leveldb_filterpolicy_create_bloom((int)options->bloom_bits);
        leveldb_options_set_filter_policy(db->options, db->filter);
    }
    db->plain = leveldb_writeoptions_create();
    db->synced = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(db->synced, 1);
    db->read = read_options(true);
    db->scan = read_options(false);
    db->inner = leveldb_open(db->options, options->directory, &error);
    check(error, "open");
    return db;
}

static void close_db(struct engine_db *db)
{
    leveldb_close(db->inner);
    leveldb_readoptions_destroy(db->read);
    leveldb_readoptions_destroy(db->scan);
    leveldb_writeoptions_destroy(db->synced);
    leveldb_writeoptions_destroy(db->plain);
    leveldb_options_destroy(db->options);
    if (db->filter)
        leveldb_filterpolicy_destroy(db->filter);
    leveldb_cache_destroy(db->cache);
    memory_free(db);
}

static struct engine_thread *thread_create(struct engine_db *db)
{
    struct engine_thread *thread = memory_zeroed(1, sizeof *thread);

    thread->db = db;
    thread->batch = leveldb_writebatch_create();
    return thread;
}

static void thread_destroy(struct engine_thread *thread)
{
    leveldb_writebatch_destroy(thread->batch);
    memory_free(thread);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static const leveldb_writeoptions_t *write_options(const struct engine_thread *thread, bool sync)
{
    return sync ? thread->db->synced : thread->db->plain;
}

static void put(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice value, bool sync)
{
    char *error = NULL;

    (void)tree;
    leveldb_put(thread->db->inner, write_options(thread, sync), text(key), key.size, text(value),
                value.size, &error);
    check(error, "put");
}

static void remove_key(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                       bool sync)
{
    char *error = NULL;

    (void)tree;
    leveldb_delete(thread->db->inner, write_options(thread, sync), text(key), key.size, &error);
    check(error, "delete");
}

static void put_many(struct engine_thread *thread, enum engine_tree tree,
                     const struct engine_pair *pairs, size_t count, bool sync)
{
    char *error = NULL;

    (void)tree;
    leveldb_writebatch_clear(thread->batch);
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(thread->batch, text(pairs[i].key), pairs[i].key.size,
                               text(pairs[i].value), pairs[i].value.size);
    leveldb_write(thread->db->inner, write_options(thread, sync), thread->batch, &error);
    check(error, "write");
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static bool get(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice *value)
{
    char *error = NULL;
    size_t size = 0;

    (void)tree;
    thread->found =
        leveldb_get(thread->db->inner, thread->db->read, text(key), key.size, &size, &error);
    check(error, "get");
    *value = slice_make(thread->found, size);
    return thread->found != NULL;
}

static void get_end(struct engine_thread *thread)
{
    leveldb_free(thread->found);
    thread->found = NULL;
}

static struct engine_iter *iter_open(struct engine_thread *thread, enum engine_tree tree,
                                     const struct engine_range *range)
{
    struct engine_db *db = thread->db;

    (void)tree;
    thread->iter = (struct engine_iter){
        leveldb_create_iterator(db->inner, range->keep_cache ? db->scan : db->read), range->lower,
        range->upper};
    return &thread->iter;
}

static void iter_close(struct engine_iter *iter)
{
    char *error = NULL;

    leveldb_iter_get_error(iter->iter, &error);
    check(error, "iterator");
    leveldb_iter_destroy(iter->iter);
}

static void iter_first(struct engine_iter *iter)
{
    if (iter->lower.size)
        leveldb_iter_seek(iter->iter, text(iter->lower), iter->lower.size);
    else
        leveldb_iter_seek_to_first(iter->iter);
}

static void iter_last(struct engine_iter *iter)
{
    if (iter->upper.size)
        leveldb_iter_seek(iter->iter, text(iter->upper), iter->upper.size);
    if (iter->upper.size && leveldb_iter_valid(iter->iter))
        leveldb_iter_prev(iter->iter);
    else
        leveldb_iter_seek_to_last(iter->iter);
}

static void iter_seek(struct engine_iter *iter, struct slice key)
{
    leveldb_iter_seek(iter->iter, text(key), key.size);
}

static void iter_next(struct engine_iter *iter)
{
    leveldb_iter_next(iter->iter);
}

static void iter_prev(struct engine_iter *iter)
{
    leveldb_iter_prev(iter->iter);
}

static struct slice iter_key(struct engine_iter *iter)
{
    size_t size;
    const char *data = leveldb_iter_key(iter->iter, &size);

    return slice_make(data, size);
}

static bool iter_valid(struct engine_iter *iter)
{
    if (!leveldb_iter_valid(iter->iter))
        return false;
    if (iter->upper.size && slice_compare(iter_key(iter), iter->upper) >= 0)
        return false;
    return !iter->lower.size || slice_compare(iter_key(iter), iter->lower) >= 0;
}

static struct slice iter_value(struct engine_iter *iter)
{
    size_t size;
    const char *data = leveldb_iter_value(iter->iter, &size);

    return slice_make(data, size);
}

/* ---- Background -------------------------------------------------------------------------------- */

/* Compacting a range that holds nothing flushes the memtable first, and then finds nothing to do. */
static void flush(struct engine_db *db)
{
    static const char from[] = "\xff\xff\xff\xff\xff\xff\xff\xfe";
    static const char to[] = "\xff\xff\xff\xff\xff\xff\xff\xff";

    leveldb_compact_range(db->inner, from, sizeof from - 1, to, sizeof to - 1);
}

static void compact(struct engine_db *db)
{
    leveldb_compact_range(db->inner, NULL, 0, NULL, 0);
}

static bool is_idle(struct engine_db *db)
{
    (void)db;
    return true; /* it does not tell; the caller looks at the process's work as well */
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .table_suffix = ".ldb",
    .compression = "snappy",
    .version = version,
    .open = open_db,
    .close = close_db,
    .thread_create = thread_create,
    .thread_destroy = thread_destroy,
    .put = put,
    .remove = remove_key,
    .put_many = put_many,
    .get = get,
    .get_end = get_end,
    .iter_open = iter_open,
    .iter_close = iter_close,
    .iter_first = iter_first,
    .iter_last = iter_last,
    .iter_seek = iter_seek,
    .iter_next = iter_next,
    .iter_prev = iter_prev,
    .iter_valid = iter_valid,
    .iter_key = iter_key,
    .iter_value = iter_value,
    .flush = flush,
    .compact = compact,
    .is_idle = is_idle,
};
