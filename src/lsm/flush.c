/* SPDX-License-Identifier: MIT */
/* Flush: the oldest frozen memtables become one table a tree, in pieces.
 *
 *   1. build a table a tree from all versions that somebody may still read, and that no range
 *      deletion of the same memtable hides; LSNs that nobody can tell
 *      apart become one (lsn_intervals.h)
 *   2. sync the directory, sync the WAL up to here: tables never run ahead of the log
 *   3. one manifest edit: the tables, and `flushed_lsn`
 *   4. a new view without the memtables; WAL segments below flushed_lsn are free */
#include "lsm/db.h"
#include "lsm/lsn_intervals.h"
#include "lsm/range_map.h"
#include "lsm/version_filter.h"

#include "base/memory.h"

#include <assert.h>

struct flush_job {
    struct view *view; /* keeps the set */
    struct memtable_set *set;
    unsigned tree;
    struct cursor *cursor;
    struct table_builder *builder;
    uint64_t number;
    struct version_filter filter;
    struct lsn_intervals intervals; /* of the tree's LSNs */
    struct range_map map;           /* of the tree's range deletions that everybody sees */
    size_t map_hint;
    struct version_edit edit;
};

static struct flush_job *flush_job_create(struct lsm *db)
{
    struct view *view = db_view(db);
    if (view->flushing_count == 0) {
        view_unref(view);
        return NULL;
    }
    struct flush_job *job = memory_zeroed(1, sizeof(struct flush_job));
    job->view = view;
    job->set = view->flushing[view->flushing_count - 1];
    lsn_t *lsns;
    size_t count;
    db_read_lsns(db, &lsns, &count);
    version_filter_init(&job->filter, lsns, count);
    return job;
}

/* Removes what was built unless it was installed. */
static void flush_job_destroy(struct lsm *db, struct flush_job *job, bool installed)
{
    if (!job)
        return;
    if (job->cursor)
        job->cursor->ops->destroy(job->cursor);
    table_builder_destroy(job->builder);
    for (size_t i = 0; i < job->edit.added_count && !installed; i++) {
        char path[4096];
        table_path(db->directory, job->edit.added[i].number, path, sizeof(path));
        (void)db->env.vfs->ops->remove(db->env.vfs, path); /* the next open removes it otherwise */
    }
    version_edit_release(&job->edit);
    version_filter_release(&job->filter);
    lsn_intervals_release(&job->intervals);
    range_map_release(&job->map);
    view_unref(job->view);
    memory_free(job);
}

/* A new database's first memtables begin at LSN 0, which no row may have. */
static void find_intervals(struct flush_job *job, const struct memtable_range *ranges)
{
    lsn_intervals_begin(&job->intervals, job->set->first_lsn ? job->set->first_lsn : 1);
    for (size_t i = 0; i < job->filter.read_count; i++)
        lsn_intervals_cut(&job->intervals, job->filter.read_lsns[i] + 1);
    for (; ranges; ranges = ranges->next)
        lsn_intervals_cut(&job->intervals, ranges->range.lsn);
    lsn_intervals_finish(&job->intervals);
}

/* What the memtable itself has deleted since need not reach a table; the WAL is durable up to there before
 * the table counts. */
static void map_ranges(struct flush_job *job, const struct memtable_range *ranges)
{
    size_t count = 0, i = 0;
    for (const struct memtable_range *range = ranges; range; range = range->next)
        count++;
    struct range_delete *all = memory_allocate((count + 1) * sizeof(*all));
    for (const struct memtable_range *range = ranges; range; range = range->next)
        all[i++] = range->range;
    range_map_release(&job->map);
    range_map_init(&job->map, all, count, version_filter_oldest_read(&job->filter));
    job->map_hint = 0;
    memory_free(all);
}

static enum status begin_tree(struct lsm *db, struct flush_job *job)
{
    struct memtable *table = job->set->trees[job->tree];
    const struct table_options options = table_options_of(&db->options.trees[job->tree]);
    char path[4096];
    job->number = version_set_next_number(db->versions);
    table_path(db->directory, job->number, path, sizeof(path));
    enum status status = table_builder_create(&db->env, path, &options, &job->builder);
    if (status != STATUS_OK)
        return status;
    for (const struct memtable_range *range = memtable_ranges(table); range; range = range->next)
        table_builder_add_range_delete(job->builder, range->range);
    job->cursor = memtable_cursor_create_all(table);
    job->cursor->ops->first(job->cursor);
    version_filter_restart(&job->filter);
    find_intervals(job, memtable_ranges(table));
    map_ranges(job, memtable_ranges(table));
    return STATUS_OK;
}

static enum status finish_tree(struct lsm *db, struct flush_job *job)
{
    struct table_properties properties = {0};
    enum status status = table_builder_finish(job->builder, &properties);
    if (status != STATUS_OK)
        return status;
    atomic_fetch_add(&db->counters[job->tree].flush_bytes, properties.file_bytes);
    properties.old_count = version_filter_take_old_count(&job->filter);
    version_edit_add(&job->edit, job->tree, 0, job->number, &properties);
    table_builder_destroy(job->builder);
    job->builder = NULL;
    job->cursor->ops->destroy(job->cursor);
    job->cursor = NULL;
    job->tree++;
    return STATUS_OK;
}

static enum status build_some(struct flush_job *job, size_t *budget)
{
    struct cursor *cursor = job->cursor;
    while (cursor->valid && *budget > 0) {
        lsn_t covered = range_map_find(&job->map, cursor->key, &job->map_hint);
        if (version_filter_keeps(&job->filter, cursor->key, cursor->lsn) &&
            covered <= cursor->lsn) {
            lsn_t lsn = lsn_intervals_start(&job->intervals, cursor->lsn);
            enum status status =
                table_builder_add(job->builder, cursor->key, lsn, cursor->kind, cursor->value);
            if (status != STATUS_OK)
                return status;
        }
        size_t bytes = cursor->key.size + cursor->value.size + 16;
        *budget -= bytes < *budget ? bytes : *budget;
        cursor->ops->next(cursor);
    }
    return cursor->status;
}

static enum status install(struct lsm *db, struct flush_job *job)
{
    enum status status =
        vfs_sync_directory_at(db->env.vfs, db->directory, "flush.directory");
    if (status != STATUS_OK)
        return status;
    status = lsm_wal_sync(db);
    if (status != STATUS_OK)
        return status;
    assert(wal_durable_lsn(db->wal) >= job->set->end_lsn);
    job->edit.flushed_lsn = job->set->end_lsn;
    job->edit.durable_lsn = wal_durable_lsn(db->wal);
    status = version_set_apply(db->versions, &job->edit);
    if (status != STATUS_OK)
        return status;
    db_install_view(db, NULL, job->set);
    db_debug_install(db, "after a flush");
    version_set_open_added(db->versions, &job->edit);
    atomic_fetch_add(&db->flush_count, 1);
    /* Segments that stay by an error are found by the next flush or open. */
    (void)wal_release_below(db->wal, job->set->end_lsn);
    return STATUS_OK;
}

enum status flush_step(struct lsm *db, size_t budget, bool *finished)
{
    enum status status = STATUS_OK;
    *finished = false;
    if (!db->flush)
        db->flush = flush_job_create(db);
    struct flush_job *job = db->flush;
    while (job && status == STATUS_OK && budget > 0 && job->tree < job->set->tree_count) {
        if (!job->builder && memtable_is_empty(job->set->trees[job->tree])) {
            job->tree++;
            continue;
        }
        if (!job->builder)
            status = begin_tree(db, job);
        if (status == STATUS_OK)
            status = build_some(job, &budget);
        if (status == STATUS_OK && !job->cursor->valid)
            status = finish_tree(db, job);
    }
    bool built = job && status == STATUS_OK && job->tree == job->set->tree_count;
    if (built)
        status = install(db, job);
    if (built || status != STATUS_OK) {
        flush_job_destroy(db, job, built && status == STATUS_OK);
        db->flush = NULL;
    }
    *finished = !job || (built && status == STATUS_OK);
    return status;
}

void flush_abandon(struct lsm *db)
{
    flush_job_destroy(db, db->flush, false);
    db->flush = NULL;
}
