/* SPDX-License-Identifier: MIT */
/* Our engine, as a host uses it: a runner's threads work in the background, writers keep to the delay
 * that the engine asks for. */
#include "bench/engine/engine.h"

#include "base/memory.h"
#include "lsm/lsm.h"
#include "runner/runner.h"

#include <stdio.h>
#include <time.h>

enum {
    PAIR_OVERHEAD_BYTES = 32,
    SLEEP_US_MIN = 500 /* shorter delays are added up: the system's sleep is not that exact */
};

struct engine_db {
    struct vfs *vfs;
    struct env env;
    struct runner *runner;
    struct lsm *lsm;
};

struct engine_iter {
    struct lsm_iter *iter;
    struct lsm_reader *reader;
};

struct engine_thread {
    struct engine_db *db;
    struct lsm_reader *reader;
    unsigned owed_us; /* of the delay */
    struct engine_iter iter;
};

static void check(enum status status, const char *call)
{
    if (status != STATUS_OK)
        engine_failed(&engine_cordwood, call, status_text(status));
}

static void version(char *text, size_t capacity)
{
    snprintf(text, capacity, "this tree");
}

static struct engine_db *open_db(const struct engine_options *options)
{
    struct engine_db *db = memory_zeroed(1, sizeof *db);
    struct lsm_report report = {""};

    db->vfs = vfs_posix_create();
    env_init_posix(&db->env, db->vfs);
    db->runner = runner_create(options->background_threads);
    const struct lsm_options inner_options = {
        .trees = {[ENGINE_KEYS] = {.name = "keys",
                                   .compaction = LSM_LEVELED,
                                   .block_bytes = options->block_bytes,
                                   .filter_bits_per_key = options->bloom_bits,
                                   .uncompressed = !options->compress},
                  [ENGINE_ENTRIES] = {.name = "entries",
                                      .compaction = LSM_TIME_RUNS,
                                      .block_bytes = options->block_bytes,
                                      .filter_bits_per_key = options->bloom_bits,
                                      .filter_prefix_bytes = ENGINE_STREAM_BYTES,
                                      .finger_prefix_bytes = ENGINE_STREAM_BYTES,
                                      .uncompressed = !options->compress}},
        .tree_count = 2,
        .memtable_bytes = 2 * options->write_buffer_bytes, /* it counts both, and flushes at half */
        .block_cache_bytes = options->cache_bytes,
        .wal_segment_bytes = options->write_buffer_bytes, /* the peers' logs: one for a memtable */
        .table_bytes_max = options->table_bytes,
        .work_ready = runner_wake,
        .context = db->runner,
    };
    enum status status = lsm_open(&db->env, options->directory, &inner_options, &report, &db->lsm);
    if (status != STATUS_OK)
        engine_failed(&engine_cordwood, "lsm_open", report.text);
    check(runner_start(db->runner, db->lsm), "runner_start");
    return db;
}

static void close_db(struct engine_db *db)
{
    runner_stop(db->runner);
    check(lsm_close(db->lsm), "lsm_close");
    runner_destroy(db->runner);
    vfs_destroy(db->vfs);
    memory_free(db);
}

static struct engine_thread *thread_create(struct engine_db *db)
{
    struct engine_thread *thread = memory_zeroed(1, sizeof *thread);

    thread->db = db;
    thread->reader = lsm_reader_create(db->lsm);
    return thread;
}

static void thread_destroy(struct engine_thread *thread)
{
    lsm_reader_destroy(thread->reader);
    memory_free(thread);
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static void hold_back(struct engine_thread *thread)
{
    thread->owed_us += lsm_write_delay_us(thread->db->lsm);
    if (thread->owed_us < SLEEP_US_MIN)
        return;
    const struct timespec pause = {thread->owed_us / 1000000, thread->owed_us % 1000000 * 1000};
    nanosleep(&pause, NULL);
    thread->owed_us = 0;
}

static struct lsm_writer *begin(struct engine_thread *thread, size_t bytes)
{
    struct lsm_writer *writer;

    hold_back(thread);
    lsm_lock(thread->db->lsm);
    check(lsm_write_begin(thread->db->lsm, bytes, false, &writer), "lsm_write_begin");
    return writer;
}

static void end(struct engine_thread *thread, struct lsm_writer *writer, bool sync)
{
    struct lsm *lsm = thread->db->lsm;

    lsm_write_end(writer);
    lsm_unlock(lsm);
    if (sync)
        check(lsm_wal_sync(lsm), "lsm_wal_sync");
    else
        check(lsm_wal_write(lsm), "lsm_wal_write");
}

static void put(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice value, bool sync)
{
    struct lsm_writer *writer = begin(thread, key.size + value.size + PAIR_OVERHEAD_BYTES);

    lsm_put(writer, tree, key, value);
    end(thread, writer, sync);
}

static void remove_key(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                       bool sync)
{
    struct lsm_writer *writer = begin(thread, key.size + PAIR_OVERHEAD_BYTES);

    lsm_delete(writer, tree, key);
    end(thread, writer, sync);
}

static void put_many(struct engine_thread *thread, enum engine_tree tree,
                     const struct engine_pair *pairs, size_t count, bool sync)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += pairs[i].key.size + pairs[i].value.size + PAIR_OVERHEAD_BYTES;
    struct lsm_writer *writer = begin(thread, bytes);
    for (size_t i = 0; i < count; i++)
        lsm_put(writer, tree, pairs[i].key, pairs[i].value);
    end(thread, writer, sync);
}

/* ---- Reading ----------------------------------------------------------------------------------- */

static bool get(struct engine_thread *thread, enum engine_tree tree, struct slice key,
                struct slice *value)
{
    lsm_read_begin(thread->reader);
    enum status status = lsm_get(thread->reader, tree, key, value);
    if (status != STATUS_NOT_FOUND)
        check(status, "lsm_get");
    return status == STATUS_OK;
}

static void get_end(struct engine_thread *thread)
{
    lsm_read_end(thread->reader);
}

static struct engine_iter *iter_open(struct engine_thread *thread, enum engine_tree tree,
                                     const struct engine_range *range)
{
    const struct lsm_iter_options options = {
        .lower = range->lower, .upper = range->upper, .keep_cache = range->keep_cache};

    lsm_read_begin(thread->reader);
    thread->iter =
        (struct engine_iter){lsm_iter_open(thread->reader, tree, &options), thread->reader};
    return &thread->iter;
}

static void iter_close(struct engine_iter *iter)
{
    check(lsm_iter_status(iter->iter), "lsm_iter");
    lsm_iter_close(iter->iter);
    lsm_read_end(iter->reader);
}

static void iter_first(struct engine_iter *iter)
{
    lsm_iter_seek_first(iter->iter);
}

static void iter_last(struct engine_iter *iter)
{
    lsm_iter_seek_last(iter->iter);
}

static void iter_seek(struct engine_iter *iter, struct slice key)
{
    lsm_iter_seek(iter->iter, key);
}

static void iter_next(struct engine_iter *iter)
{
    lsm_iter_next(iter->iter);
}

static void iter_prev(struct engine_iter *iter)
{
    lsm_iter_prev(iter->iter);
}

static bool iter_valid(struct engine_iter *iter)
{
    return lsm_iter_valid(iter->iter);
}

static struct slice iter_key(struct engine_iter *iter)
{
    return lsm_iter_key(iter->iter);
}

static struct slice iter_value(struct engine_iter *iter)
{
    return lsm_iter_value(iter->iter);
}

/* ---- Background -------------------------------------------------------------------------------- */

static void flush(struct engine_db *db)
{
    lsm_request_flush(db->lsm);
}

static void compact(struct engine_db *db)
{
    lsm_request_compact(db->lsm);
}

static bool is_idle(struct engine_db *db)
{
    return lsm_is_idle(db->lsm);
}

const struct engine engine_cordwood = {
    .name = "cordwood",
    .table_suffix = ".cwt",
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
