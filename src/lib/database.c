/* SPDX-License-Identifier: MIT */
/* A database: opening and closing, checkpoints, verification, statistics. */
#include "lib/library.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILTER_BITS_DEFAULT = 10 };

/* ---- Open and close ------------------------------------------------------------------------ */

static struct lsm_tree_options tree_options(const struct cordwood_tree_options *tree,
                                            const struct cordwood_options *options)
{
    uint32_t bits = tree->filter_bits_per_key;
    return (struct lsm_tree_options){
        .name = tree->name,
        .compaction = tree->append_only ? LSM_TIME_RUNS : LSM_LEVELED,
        .block_bytes = tree->block_bytes,
        .filter_bits_per_key = bits == 0            ? FILTER_BITS_DEFAULT
                               : bits == UINT32_MAX ? 0
                                                    : bits,
        .cold_compression = tree->append_only ? library_cold_compression(options) : LSM_LZ4,
    };
}

static struct lsm_options engine_options(const struct cordwood_options *options,
                                         struct keeper *keeper)
{
    static const struct cordwood_tree_options default_tree = {.name = "default"};
    struct lsm_options engine = {
        .tree_count = options->tree_count ? options->tree_count : 1,
        .memtable_bytes = options->memtable_bytes,
        .block_cache_bytes = options->block_cache_bytes,
        .wal_segment_bytes = options->log_segment_bytes,
        .snapshot_age_max_ms = options->snapshot_age_max_ms,
        .read_only = options->read_only,
        .must_exist = options->must_exist,
        .work_ready = keeper->runner ? keeper_work_ready : options->work_ready,
        .context = keeper->runner ? keeper : options->context,
    };
    engine.trees[0] = tree_options(&default_tree, options);
    for (unsigned i = 0; i < options->tree_count; i++)
        engine.trees[i] = tree_options(&options->trees[i], options);
    return engine;
}

static enum status open_engine(struct cordwood *db, const char *directory,
                               const struct cordwood_options *options, struct lsm_report *report)
{
    struct lsm_options engine = engine_options(options, &db->keeper);
    db->tree_count = engine.tree_count;
    db->batch_bytes_max = options->batch_bytes_max;
    enum status status = lsm_open(&db->keeper.env, directory, &engine, report, &db->engine);
    if (status != STATUS_OK)
        return status;
    status = keeper_start(&db->keeper, db->engine);
    if (status == STATUS_OK)
        return STATUS_OK;
    snprintf(report->text, sizeof(report->text), "no thread could be started");
    (void)lsm_close(db->engine); /* the first error is the one to tell */
    return status;
}

enum cordwood_status library_open(const struct env *env, const char *directory,
                                  const struct cordwood_options *given,
                                  struct cordwood_error *error, struct cordwood **out)
{
    struct cordwood_options options;
    struct lsm_report report = {"the options are not valid"};
    enum status status = STATUS_INVALID;
    if (directory && library_take_options(given, &options)) {
        struct cordwood *db = aligned_alloc(_Alignof(struct cordwood), sizeof(*db));
        if (!db)
            abort();
        memset(db, 0, sizeof(*db));
        keeper_init(&db->keeper, env, &options);
        status = open_engine(db, directory, &options, &report);
        if (status == STATUS_OK) {
            *out = db;
            return CORDWOOD_OK;
        }
        keeper_release(&db->keeper);
        free(db);
    }
    library_error(error, &report);
    return library_status(status);
}

enum cordwood_status cordwood_open(const char *directory, const struct cordwood_options *options,
                                   struct cordwood_error *error, struct cordwood **db)
{
    return library_open(NULL, directory, options, error, db);
}

enum cordwood_status cordwood_close(struct cordwood *db)
{
    if (!db)
        return CORDWOOD_OK;
    keeper_stop(&db->keeper);
    enum status status = lsm_close(db->engine);
    keeper_release(&db->keeper);
    free(db);
    return library_status(status);
}

/* ---- Checkpoints, verification, repair ----------------------------------------------------- */

enum cordwood_status cordwood_checkpoint(struct cordwood *db, const char *directory,
                                         struct cordwood_error *error)
{
    struct lsm_report report = {""};
    enum status status = lsm_checkpoint(db->engine, directory, &report);
    library_error(error, &report);
    return library_status(status);
}

enum cordwood_status
cordwood_verify(const char *directory,
                void (*each)(void *context, const char *file, const char *finding), void *context)
{
    struct env env;
    struct vfs *vfs = vfs_posix_create();
    env_init_posix(&env, vfs);
    enum status status = lsm_verify(&env, directory, library_codecs, each, context);
    vfs_destroy(vfs);
    return library_status(status);
}

enum cordwood_status cordwood_repair(const char *directory,
                                     void (*each)(void *context, const char *line), void *context)
{
    struct env env;
    struct vfs *vfs = vfs_posix_create();
    env_init_posix(&env, vfs);
    enum status status = lsm_repair(&env, directory, library_codecs, each, context);
    vfs_destroy(vfs);
    return library_status(status);
}

/* ---- Background work and statistics -------------------------------------------------------- */

bool cordwood_work(struct cordwood *db)
{
    return keeper_work(&db->keeper);
}

enum cordwood_status cordwood_sync(struct cordwood *db)
{
    return library_status(keeper_sync(&db->keeper));
}

void cordwood_request_flush(struct cordwood *db)
{
    if (!db->keeper.read_only)
        lsm_request_flush(db->engine);
}

void cordwood_request_compact(struct cordwood *db)
{
    if (!db->keeper.read_only)
        lsm_request_compact(db->engine);
}

static void sum_trees(const struct lsm_stats *stats, struct cordwood_statistics *all)
{
    for (unsigned i = 0; i < stats->tree_count; i++) {
        all->table_count += stats->trees[i].table_count;
        all->table_bytes += stats->trees[i].table_bytes;
        all->entry_count += stats->trees[i].entry_count;
    }
}

void cordwood_get_statistics(struct cordwood *db, struct cordwood_statistics *statistics,
                             size_t bytes)
{
    struct lsm_stats stats;
    lsm_get_stats(db->engine, &stats);
    struct cordwood_statistics all = {
        .memtable_bytes = stats.memtable_bytes,
        .memtable_keys = stats.memtable_nodes,
        .log_bytes_written = stats.wal_bytes_written,
        .log_syncs = stats.wal_syncs,
        .flush_count = stats.flush_count,
        .flush_bytes = stats.flush_bytes,
        .compaction_count = stats.compaction_count,
        .compaction_read_bytes = stats.compaction_read_bytes,
        .compaction_write_bytes = stats.compaction_write_bytes,
        .cache_bytes = stats.cache_bytes,
        .cache_hits = stats.cache_hits,
        .cache_misses = stats.cache_misses,
        .block_reads = stats.block_reads,
        .snapshot_count = stats.snapshot_count,
        .iterator_count = atomic_load(&db->keeper.lent_count),
        .recovered_batches = stats.recovered_batches,
        .recovery_us = stats.recovery_us,
        .was_clean = stats.was_clean,
        .read_only = stats.read_only,
        .background_error = library_status(stats.background_error),
    };
    sum_trees(&stats, &all);
    memcpy(statistics, &all, bytes < sizeof(all) ? bytes : sizeof(all));
}
