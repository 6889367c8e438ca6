/* SPDX-License-Identifier: MIT */
/* RocksDB, set up as its tuning guide says for these sizes: a block-based table with a full bloom filter,
 * an LRU cache, level compaction with level 1 as large as level 0 before it is merged, recycled logs (a
 * synced write then changes no metadata), pinned gets (no copy), bounds given to its iterators. */
#include "bench/engine/engine.h"

#include "base/memory.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITE_BUFFERS = 2, LEVEL_1_TABLES = 4, RECYCLED_LOGS = 2 };

struct engine_db {
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_writeoptions_t *plain, *synced;
    rocksdb_readoptions_t *read;
    rocksdb_t *inner;
};

struct engine_iter {
    rocksdb_iterator_t *iter;
};

struct engine_thread {
    struct engine_db *db;
    rocksdb_pinnableslice_t *pinned;
    rocksdb_writebatch_t *batch;
    rocksdb_readoptions_t *scan;
    struct engine_iter iter;
};

static void check(char *error, const char *call)
{
    if (error)
        engine_failed(&engine_rocksdb, call, error);
}

static const char *text(struct slice bytes)
{
    return (const char *)bytes.data;
}

/* Its C interface does not tell; the name of the library's file does: librocksdb.so.7.8.3. */
static void version(char *into, size_t capacity)
{
    static const char prefix[] = "librocksdb.so.";
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[1024];

    snprintf(into, capacity, "unknown");
    while (maps && fgets(line, sizeof line, maps)) {
        const char *found = strstr(line, prefix);
        if (!found)
            continue;
        found += sizeof prefix - 1;
        snprintf(into, capacity, "%.*s", (int)strcspn(found, " \n"), found);
        break;
    }
    if (maps)
        fclose(maps);
}

static void set_tables(struct engine_db *db, const struct engine_options *options)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

    db->cache = rocksdb_cache_create_lru(options->cache_bytes);
    rocksdb_block_based_options_set_block_cache(table, db->cache);
    rocksdb_block_based_options_set_block_size(table, options->block_bytes);
    if (options->bloom_bits)
        rocksdb_block_based_options_set_filter_policy(
            table, rocksdb_filterpolicy_create_bloom_full(options->bloom_bits));
    rocksdb_options_set_block_based_table_factory(db->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_options_set_compression(db->options, options->compress ? rocksdb_lz4_compression
                                                                   : rocksdb_no_compression);
    rocksdb_options_set_target_file_size_base(db->options, options->table_bytes);
    rocksdb_options_set_max_bytes_for_level_base(db->options,
                                                 LEVEL_1_TABLES * options->table_bytes);
}

static struct engine_db *open_db(const struct engine_options *options)
{
    struct engine_db *db = memory_zeroed(1, sizeof *db);
    char *error = NULL;

    db->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(db->options, 1);
    rocksdb_options_set_write_buffer_size(db->options, options->write_buffer_bytes);
    rocksdb_options_set_max_write_buffer_number(db->options, WRITE_BUFFERS);
    rocksdb_options_set_max_background_jobs(db->options, (int)options->background_threads);
    rocksdb_options_set_recycle_log_file_num(db->options, RECYCLED_LOGS);
    /* Not what is measured: what it writes about itself. */
    rocksdb_options_set_info_log_level(db->options, 3);
    rocksdb_options_set_stats_dump_period_sec(db->options, 0);
    rocksdb_options_set_stats_persist_period_sec(db->options, 0);
    set_tables(db, options);
    db->plain = rocksdb_writeoptions_create();
    db->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(db->synced, 1);
    db->read = rocksdb_readoptions_create();
    db->inner = rocksdb_open(db->options, options->directory, &error);
    check(error, "open");
    return db;
}

static void close_db(struct engine_db *db)
{
    rocksdb_close(db->inner);
    rocksdb_readoptions_destroy(db->read);
    rocksdb_writeoptions_destroy(db->synced);
    rocksdb_writeoptions_destroy(db->plain);
    rocksdb_options_destroy(db->options);
    rocksdb_cache_destroy(db->cache);
    memory_free(db);
}

static struct engine_thread *thread_create(struct engine_db *db)
{
    struct engine_thread *thread = memory_zeroed(1, sizeof *thread);

    thread->db = db;
    thread->batch = rocksdb_writebatch_create();
    thread->scan = rocksdb_readoptions_create();
    return thread;
}

static void thread_destroy(struct engine_thread *thread)
{
    rocksdb_writebatch_destroy(thread->batch);
    rocksdb_readoptions_destroy(thread->scan);
    memory_free(thread);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static const rocksdb_writeoptions_t *write_options(const struct engine_thread *thread, bool sync)
{
    return sync ? thread->db->synced : thread->db->plain;
}

static void put(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice value, bool sync)
{
    char *error = NULL;

    (void)tree;
    rocksdb_put(thread->db->inner, write_options(thread, sync), text(key), key.size, text(value),
                value.size, &error);
    check(error, "put");
}

static void remove_key(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                       bool sync)
{
    char *error = NULL;

    (void)tree;
    rocksdb_delete(thread->db->inner, write_options(thread, sync), text(key), key.size, &error);
    check(error, "delete");
}

static void put_many(struct engine_thread *thread, enum engine_tree tree,
                     const struct engine_pair *pairs, size_t count, bool sync)
{
    char *error = NULL;

    (void)tree;
    rocksdb_writebatch_clear(thread->batch);
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(thread->batch, text(pairs[i].key), pairs[i].key.size,
                               text(pairs[i].value), pairs[i].value.size);
    rocksdb_write(thread->db->inner, write_options(thread, sync), thread->batch, &error);
    check(error, "write");
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static bool get(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice *value)
{
    char *error = NULL;
    size_t size = 0;

    (void)tree;
    thread->pinned =
        rocksdb_get_pinned(thread->db->inner, thread->db->read, text(key), key.size, &error);
    check(error, "get");
    if (!thread->pinned)
        return false;
    const char *data = rocksdb_pinnableslice_value(thread->pinned, &size);
    *value = slice_make(data, size);
    return true;
}

static void get_end(struct engine_thread *thread)
{
    rocksdb_pinnableslice_destroy(thread->pinned);
    thread->pinned = NULL;
}

static struct engine_iter *iter_open(struct engine_thread *thread, enum engine_tree tree,
                                     const struct engine_range *range)
{
    (void)tree;
    rocksdb_readoptions_set_iterate_lower_bound(
        thread->scan, range->lower.size ? text(range->lower) : NULL, range->lower.size);
    rocksdb_readoptions_set_iterate_upper_bound(
        thread->scan, range->upper.size ? text(range->upper) : NULL, range->upper.size);
    rocksdb_readoptions_set_fill_cache(thread->scan, !range->keep_cache);
    thread->iter.iter = rocksdb_create_iterator(thread->db->inner, thread->scan);
    return &thread->iter;
}

static void iter_close(struct engine_iter *iter)
{
    char *error = NULL;

    rocksdb_iter_get_error(iter->iter, &error);
    check(error, "iterator");
    rocksdb_iter_destroy(iter->iter);
}

static void iter_first(struct engine_iter *iter)
{
    rocksdb_iter_seek_to_first(iter->iter);
}

static void iter_last(struct engine_iter *iter)
{
    rocksdb_iter_seek_to_last(iter->iter);
}

static void iter_seek(struct engine_iter *iter, struct slice key)
{
    rocksdb_iter_seek(iter->iter, text(key), key.size);
}

static void iter_next(struct engine_iter *iter)
{
    rocksdb_iter_next(iter->iter);
}

static void iter_prev(struct engine_iter *iter)
{
    rocksdb_iter_prev(iter->iter);
}

static bool iter_valid(struct engine_iter *iter)
{
    return rocksdb_iter_valid(iter->iter);
}

static struct slice iter_key(struct engine_iter *iter)
{
    size_t size;
    const char *data = rocksdb_iter_key(iter->iter, &size);

    return slice_make(data, size);
}

static struct slice iter_value(struct engine_iter *iter)
{
    size_t size;
    const char *data = rocksdb_iter_value(iter->iter, &size);

    return slice_make(data, size);
}

/* ---- Background -------------------------------------------------------------------------------- */

static void flush(struct engine_db *db)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *error = NULL;

    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush(db->inner, options, &error);
    check(error, "flush");
    rocksdb_flushoptions_destroy(options);
}

static void compact(struct engine_db *db)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

    rocksdb_compactoptions_set_bottommost_level_compaction(options, 2); /* kForce */
    rocksdb_compact_range_opt(db->inner, options, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(options);
}

static bool is_idle(struct engine_db *db)
{
    static const char *const works[] = {
        "rocksdb.num-running-flushes", "rocksdb.mem-table-flush-pending",
        "rocksdb.num-running-compactions", "rocksdb.compaction-pending"};
    uint64_t count;

    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        if (rocksdb_property_int(db->inner, works[i], &count) != 0)
            engine_failed(&engine_rocksdb, "property", works[i]);
        if (count)
            return false;
    }
    return true;
}

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .table_suffix = ".sst",
    .compression = "lz4",
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
