/* SPDX-License-Identifier: MIT */
/* lsm_get_stats: the counters of a database and of its trees, put together. */
#include "lsm/db.h"

static void tree_stats(const struct version *version, unsigned tree, struct lsm_tree_stats *stats)
{
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &version->trees[tree].levels[depth];
        if (level->count)
            stats->levels = depth + 1;
        if (depth == 0)
            stats->l0_count = level->count;
        stats->table_count += level->count;
        for (size_t i = 0; i < level->count; i++) {
            const struct table_properties *p = &level->tables[i]->properties;
            stats->table_bytes += p->file_bytes;
            stats->entry_count += p->entry_count;
            stats->range_delete_count += p->range_delete_count;
        }
    }
}

static void work_stats(struct lsm *db, struct lsm_stats *stats)
{
    stats->flush_count = atomic_load(&db->flush_count);
    stats->compaction_count = atomic_load(&db->compaction_count);
    for (unsigned i = 0; i < stats->tree_count; i++) {
        struct tree_counters *counters = &db->counters[i];
        struct lsm_tree_stats *tree = &stats->trees[i];
        tree->flush_bytes = atomic_load(&counters->flush_bytes);
        tree->compaction_read_bytes = atomic_load(&counters->compaction_read_bytes);
        tree->compaction_write_bytes = atomic_load(&counters->compaction_write_bytes);
        tree->tables_moved = atomic_load(&counters->tables_moved);
        tree->tables_dropped_unread = atomic_load(&counters->tables_dropped_unread);
        stats->flush_bytes += tree->flush_bytes;
        stats->compaction_read_bytes += tree->compaction_read_bytes;
        stats->compaction_write_bytes += tree->compaction_write_bytes;
        stats->tables_moved += tree->tables_moved;
        stats->tables_dropped_unread += tree->tables_dropped_unread;
    }
}

static void memtable_stats(const struct view *view, struct lsm_stats *stats)
{
    for (unsigned i = 0; i <= view->flushing_count; i++) {
        const struct memtable_set *set = i ? view->flushing[i - 1] : view->active;
        stats->memtable_bytes += memtable_set_bytes(set);
        for (unsigned tree = 0; tree < set->tree_count; tree++) {
            stats->memtable_nodes += memtable_node_count(set->trees[tree]);
            stats->memtable_versions += memtable_version_count(set->trees[tree]);
        }
    }
}

void lsm_get_stats(struct lsm *db, struct lsm_stats *stats)
{
    *stats = (struct lsm_stats){.tree_count = db->options.tree_count};
    struct view *view = db_view(db);
    for (unsigned i = 0; i < stats->tree_count; i++) {
        stats->trees[i].name = db->options.trees[i].name;
        tree_stats(view->version, i, &stats->trees[i]);
    }
    memtable_stats(view, stats);
    view_unref(view);
    struct version_state state;
    version_set_state(db->versions, &state);
    stats->visible_lsn = lsm_visible_lsn(db);
    stats->written_lsn = lsm_written_lsn(db);
    stats->durable_lsn = lsm_durable_lsn(db);
    stats->flushed_lsn = state.flushed_lsn;
    stats->epoch = db->epoch;
    stats->read_only = db->options.read_only;
    if (db->wal) {
        struct wal_stats wal;
        wal_get_stats(db->wal, &wal);
        stats->wal_bytes_logged = wal.bytes_logged;
        stats->wal_bytes_written = wal.bytes_written;
        stats->wal_syncs = wal.sync_count;
        stats->wal_segments = wal.segment_count;
        stats->read_only = wal_is_poisoned(db->wal);
    }
    stats->recovered_batches = db->recovered.batches;
    stats->recovered_bytes = db->recovered.bytes;
    stats->recovery_cut_bytes = db->recovered.cut_bytes;
    stats->recovery_us = db->recovery_us;
    stats->was_clean = db->was_clean;
    work_stats(db, stats);
    stats->filter_checks = atomic_load(&db->filter_checks);
    stats->filter_negatives = atomic_load(&db->filter_negatives);
    for (unsigned i = 0; i < atomic_load(&db->slot_count); i++) {
        stats->filter_checks += atomic_load(&db->slots[i].filter_checks);
        stats->filter_negatives += atomic_load(&db->slots[i].filter_negatives);
    }
    stats->block_reads = atomic_load(&db->block_reads);
    struct block_cache_stats cache;
    block_cache_get_stats(db->cache, &cache);
    stats->cache_bytes = cache.bytes;
    stats->open_table_bytes = cache.charged_bytes;
    stats->cache_hits = cache.hits;
    stats->cache_misses = cache.misses;
    pthread_mutex_lock(&db->view_lock);
    stats->snapshot_count = db->snapshot_count;
    stats->reader_count = db->reader_count;
    pthread_mutex_unlock(&db->view_lock);
    pthread_mutex_lock(&db->work_lock);
    stats->background_error = db->flushing.error ? db->flushing.error : db->compacting.error;
    pthread_mutex_unlock(&db->work_lock);
}
