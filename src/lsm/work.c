/* SPDX-License-Identifier: MIT */
/* lsm_work: who calls it lends his thread for one piece. At most one flush and one compaction exist;
 * each is worked on by one caller at a time, so two callers can do both at once. */
#include "lsm/compaction_garbage.h"
#include "lsm/compaction_run.h"
#include "lsm/db.h"

#include "base/memory.h"

enum {
    RETRY_AFTER_ERROR_US = 1000000,
    LOOK_AGAIN_US = 1000000,
    QUIET_SHARE = 64, /* of memtable_bytes: more than this in a second is not quiet */
    DELETIONS_FLUSHED_AGAIN_US = 60000000,
    SEEKS_LOOKED_AT = 4096, /* that many more may pay for a merge */
};

/* ---- Holding writers back ------------------------------------------------------------------ */

/* A curve from 0 at `start` percent over 1 ms at 100 to 100 ms at 200 and behind. */
static unsigned delay_of(uint64_t percent, uint64_t start)
{
    if (percent <= start)
        return 0;
    if (percent <= 100)
        return (unsigned)((percent - start) * (percent - start) * 1000 /
                          ((100 - start) * (100 - start)));
    uint64_t over = percent < 200 ? percent - 100 : 100;
    return (unsigned)(1000 + over * over * 10);
}

void db_update_delay(struct lsm *db)
{
    struct view *view = db_view(db);
    size_t bytes = memtable_set_bytes(view->active);
    for (unsigned i = 0; i < view->flushing_count; i++)
        bytes += memtable_set_bytes(view->flushing[i]);
    unsigned debt = compaction_debt_percent(view->version, &db->options);
    view_unref(view);
    unsigned by_memory = delay_of((uint64_t)bytes * 100 / db->options.memtable_bytes, 75);
    unsigned by_debt = delay_of(debt, 50);
    atomic_store(&db->delay_us, by_memory > by_debt ? by_memory : by_debt);
}

unsigned lsm_write_delay_us(struct lsm *db)
{
    return atomic_load_explicit(&db->delay_us, memory_order_relaxed);
}

/* ---- Compaction ---------------------------------------------------------------------------- */

void db_note_extra_seeks(struct lsm *db, unsigned tree, uint64_t count)
{
    uint64_t before =
        atomic_fetch_add_explicit(&db->extra_seeks[tree], count, memory_order_relaxed);
    if (before / SEEKS_LOOKED_AT != (before + count) / SEEKS_LOOKED_AT)
        db_work_ready(db);
}

/* The range deletions in a tree's tables; slices into open tables of the version. */
static enum status collect_ranges(struct lsm *db, const struct version_tree *tree,
                                  struct range_delete **all, size_t *all_count)
{
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        for (size_t i = 0; i < tree->levels[depth].count; i++) {
            struct table_ref *ref = tree->levels[depth].tables[i];
            struct table *table;
            const struct range_delete *ranges;
            size_t count;
            if (ref->properties.range_delete_count == 0)
                continue;
            enum status status = table_ref_open(db->versions, ref, false, &table);
            if (status != STATUS_OK)
                return status;
            table_range_deletes(table, &ranges, &count);
            *all = memory_resize(*all, (*all_count + count) * sizeof(struct range_delete));
            memcpy(*all + *all_count, ranges, count * sizeof(struct range_delete));
            *all_count += count;
        }
    }
    return STATUS_OK;
}

/* ---- Giving room back when little is written ------------------------------------------------ */

static void look_at_pace(struct lsm *db)
{
    struct log_pace *pace = &db->pace;
    uint64_t now_us = env_monotonic_us(&db->env);
    if (now_us - pace->looked_us < LOOK_AGAIN_US)
        return;
    lsn_t visible = lsm_visible_lsn(db);
    pace->is_quiet = visible - pace->visible < db->options.memtable_bytes / QUIET_SHARE;
    pace->visible = visible;
    pace->looked_us = now_us;
}

static bool hides_tables(const struct memtable *memtable, const struct version_tree *tree)
{
    for (const struct memtable_range *r = memtable_ranges(memtable); r; r = r->next) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            for (size_t i = 0; i < tree->levels[depth].count; i++) {
                const struct table_properties *table = &tree->levels[depth].tables[i]->properties;
                if (slice_compare(r->range.from, buffer_slice(&table->largest)) <= 0 &&
                    slice_compare(buffer_slice(&table->smallest), r->range.to) < 0)
                    return true;
            }
        }
    }
    return false;
}

/* Deletions give room back only once they are flushed. */
static bool holds_deletions(struct lsm *db)
{
    struct view *view = db_view(db);
    bool holds = false;
    for (unsigned tree = 0; tree < db->options.tree_count && !holds; tree++)
        holds = hides_tables(view->active->trees[tree], &view->version->trees[tree]) ||
                compaction_deletions_are_many(&view->version->trees[tree],
                                              memtable_delete_count(view->active->trees[tree]));
    view_unref(view);
    return holds;
}

/* Has the memtables flushed for the sake of their deletions. false: no need, or not again so soon. */
static bool flush_deletions(struct lsm *db)
{
    struct log_pace *pace = &db->pace;
    if (!pace->is_quiet || pace->looked_us < pace->may_flush_us || !holds_deletions(db))
        return false;
    pace->may_flush_us = pace->looked_us + DELETIONS_FLUSHED_AGAIN_US;
    atomic_store(&db->flush_requested, true);
    return true;
}

/* A compaction leaves the room that a flush needs: without flushes no deletion counts, and no room
 * comes back. */
static enum status check_room(struct lsm *db, const struct compaction_pick *pick)
{
    uint64_t free_bytes = 0, wanted_bytes = db->options.memtable_bytes;
    if (pick->kind != COMPACTION_MERGE)
        return STATUS_OK;
    for (size_t i = 0; i < pick->input_count; i++)
        wanted_bytes += pick->inputs[i].table->properties.file_bytes;
    enum status status = db->env.vfs->ops->free_bytes(db->env.vfs, db->directory, &free_bytes);
    return status == STATUS_OK && free_bytes < wanted_bytes ? STATUS_NO_SPACE : status;
}

/* *compaction stays NULL when none is due. */
static enum status start_compaction(struct lsm *db, struct compaction **compaction)
{
    struct range_delete *ranges[LSM_TREES_MAX] = {NULL};
    struct view *view = db_view(db);
    lsn_t *lsns;
    size_t count;
    lsn_t durable = wal_durable_lsn(db->wal);
    db_read_lsns(db, &lsns, &count);
    struct compaction_request request = {
        .options = &db->options,
        .everything = atomic_load(&db->compact_requested),
        .quiet = db->pace.is_quiet,
        .oldest_read = count ? lsns[0] : UINT64_MAX,
        .durable = durable,
        .dead_percent = compaction_dead_percent,
        .context = db->versions,
        .memory = &db->compaction_memory,
    };
    enum status status = STATUS_OK;
    for (unsigned tree = 0; tree < db->options.tree_count && status == STATUS_OK; tree++) {
        status = collect_ranges(db, &view->version->trees[tree], &ranges[tree],
                                &request.range_counts[tree]);
        request.ranges[tree] = ranges[tree];
        request.extra_seeks[tree] =
            atomic_load_explicit(&db->extra_seeks[tree], memory_order_relaxed);
    }
    struct compaction_pick *pick =
        status == STATUS_OK ? compaction_pick_create(view->version, &request) : NULL;
    if (pick)
        status = check_room(db, pick);
    if (pick && status == STATUS_OK) {
        const struct compaction_host host = {&db->env, db->directory, &db->options, db->versions};
        if (pick->kind == COMPACTION_MERGE)
            atomic_store_explicit(&db->extra_seeks[pick->tree], 0, memory_order_relaxed);
        *compaction = compaction_create(&host, view->version, pick, lsns, count, durable);
    } else {
        memory_free(lsns);
        compaction_pick_destroy(pick);
        if (status == STATUS_OK && view->flushing_count == 0 && !atomic_load(&db->flush_requested))
            atomic_store(&db->compact_requested, false);
    }
    for (unsigned tree = 0; tree < LSM_TREES_MAX; tree++)
        memory_free(ranges[tree]);
    view_unref(view);
    return status;
}

static enum status install_compaction(struct lsm *db, struct compaction *compaction)
{
    enum status status = version_set_apply(db->versions, compaction_edit(compaction));
    if (status != STATUS_OK)
        return status;
    db_install_view(db, NULL, NULL);
    db_debug_install(db, "after a compaction");
    version_set_open_added(db->versions, compaction_edit(compaction));
    struct compaction_counts counts;
    compaction_get_counts(compaction, &counts);
    atomic_fetch_add(&db->compaction_count, 1);
    struct tree_counters *counters = &db->counters[counts.tree];
    atomic_fetch_add(&counters->compaction_read_bytes, counts.read_bytes);
    atomic_fetch_add(&counters->compaction_write_bytes, counts.write_bytes);
    atomic_fetch_add(&counters->tables_moved, counts.tables_moved);
    atomic_fetch_add(&counters->tables_dropped_unread, counts.tables_dropped_unread);
    return STATUS_OK;
}

/* *idle: no compaction is due. */
static enum status compaction_work(struct lsm *db, size_t budget, bool *idle)
{
    enum status status = STATUS_OK;
    look_at_pace(db);
    if (!db->compaction)
        status = start_compaction(db, &db->compaction);
    *idle = !db->compaction && !db->compaction_memory.is_asking && !flush_deletions(db);
    if (!db->compaction)
        return status;
    bool finished = false;
    status = compaction_step(db->compaction, budget, &finished);
    if (status == STATUS_OK && !finished)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = install_compaction(db, db->compaction);
    compaction_destroy(db->compaction, status == STATUS_OK);
    db->compaction = NULL;
    return status;
}

void compaction_abandon(struct lsm *db)
{
    compaction_destroy(db->compaction, false);
    db->compaction = NULL;
    compaction_memory_release(&db->compaction_memory);
}

/* ---- The door ------------------------------------------------------------------------------ */

static bool is_flush_due(struct lsm *db)
{
    struct view *view = db_view(db);
    bool due = view->flushing_count > 0;
    view_unref(view);
    return due;
}

static void switch_if_requested(struct lsm *db)
{
    if (!atomic_exchange(&db->flush_requested, false))
        return;
    lsm_lock(db);
    db_switch_memtables(db, true);
    lsm_unlock(db);
}

/* How long the job rests from now on. The work lock is held. */
static uint64_t rest_of(struct lsm *db, const struct background_job *job)
{
    uint64_t now_us = env_monotonic_us(&db->env);
    bool gives_way = job->error == STATUS_OK && lsm_write_delay_us(db) > 0;
    return job->rest_us > now_us && !gives_way ? job->rest_us - now_us : 0;
}

uint64_t lsm_work_pause_us(struct lsm *db)
{
    pthread_mutex_lock(&db->work_lock);
    uint64_t pause_us = db->compacting.error == STATUS_OK ? rest_of(db, &db->compacting) : 0;
    pthread_mutex_unlock(&db->work_lock);
    return pause_us;
}

/* Takes the right to work on a job; false: somebody else does, or it rests. The work lock is held. */
static bool claim(struct lsm *db, struct background_job *job)
{
    if (job->busy || rest_of(db, job) > 0)
        return false;
    job->busy = true;
    return true;
}

/* The right to compact is held. */
static void keep_to_limit(struct lsm *db, size_t budget)
{
    uint64_t bytes_per_second = db->options.compaction_bytes_per_second;
    if (!bytes_per_second ||
        !db->compaction) /* a finished one, or none, has read next to nothing */
        return;
    pthread_mutex_lock(&db->work_lock);
    db->compacting.rest_us =
        env_monotonic_us(&db->env) + (uint64_t)budget * 1000000 / bytes_per_second;
    pthread_mutex_unlock(&db->work_lock);
}

static void finish(struct lsm *db, struct background_job *job, const char *what, enum status status)
{
    pthread_mutex_lock(&db->work_lock);
    job->busy = false;
    bool is_new = status != STATUS_OK && job->error != status;
    job->error = status;
    if (status != STATUS_OK)
        job->rest_us = env_monotonic_us(&db->env) + RETRY_AFTER_ERROR_US;
    pthread_mutex_unlock(&db->work_lock);
    db_update_delay(db);
    if (is_new)
        env_log(&db->env, LOG_WARNING, "%s failed: %s; it is tried again", what,
                status_text(status));
}

/* The writer keeps the view of its last batch, and with it memtables that are flushed and tables that are
 * replaced by now. A writer at work renews it itself. */
static void let_writer_forget(struct lsm *db)
{
    struct lsm_reader *reader = &db->writer.reader;
    if (!lsm_try_lock(db, 0))
        return;
    if (reader->view && reader->view->number != atomic_load(&db->view_number))
        lsm_reader_idle(reader);
    lsm_unlock(db);
}

bool lsm_work(struct lsm *db, size_t budget)
{
    if (db->options.read_only)
        return false;
    switch_if_requested(db);
    db_expire_snapshots(db); /* what begins below goes without them */
    /* First: a writer that runs out of prepared log waits for it under its lock. */
    bool worked = wal_work(db->wal);
    worked |= db_free_remains(db);
    bool flush_due = is_flush_due(db);
    pthread_mutex_lock(&db->work_lock);
    bool flushes = flush_due && claim(db, &db->flushing);
    bool compacts = !flushes && claim(db, &db->compacting);
    pthread_mutex_unlock(&db->work_lock);
    if (flushes) {
        bool finished;
        enum status status = flush_step(db, budget, &finished);
        finish(db, &db->flushing, "flush", status);
        return worked || status == STATUS_OK;
    }
    if (compacts) {
        bool idle;
        enum status status = compaction_work(db, budget, &idle);
        keep_to_limit(db, budget);
        finish(db, &db->compacting, "compaction", status);
        worked = worked || (status == STATUS_OK && !idle);
    }
    if (!worked) {
        let_writer_forget(db);
        worked = db_free_remains(db);
    }
    return worked;
}

void lsm_request_flush(struct lsm *db)
{
    atomic_store(&db->flush_requested, true);
    db_work_ready(db);
}

void lsm_request_compact(struct lsm *db)
{
    atomic_store(&db->flush_requested, true);
    atomic_store(&db->compact_requested, true);
    db_work_ready(db);
}

bool lsm_is_idle(struct lsm *db)
{
    if (atomic_load(&db->flush_requested) || atomic_load(&db->compact_requested) ||
        is_flush_due(db))
        return false;
    pthread_mutex_lock(&db->work_lock);
    bool busy = db->flushing.busy || db->compacting.busy || db->compaction;
    pthread_mutex_unlock(&db->work_lock);
    return !busy;
}
