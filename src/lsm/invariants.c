/* SPDX-License-Identifier: MIT */
/* lsm_check_invariants: the structure of an open database, part by part. Nobody is stopped but the
 * writer; counts of references may be between two steps of another thread, so they are looked at
 * again before they are called wrong. */
#include "lsm/db.h"

#include "base/memory.h"
#include "lsm/finding.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { REFERENCE_LOOKS = 2000 };

/* ---- Memtables ----------------------------------------------------------------------------- */

static lsn_t end_of_log(const struct lsm *db)
{
    return db->wal ? wal_next_lsn(db->wal) : atomic_load(&db->visible_bound);
}

static enum status check_set(struct lsm *db, const struct memtable_set *set, lsn_t end,
                             struct lsm_report *report)
{
    struct lsm_report of_tree;
    if (set->tree_count != db->options.tree_count || set->first_lsn > end)
        return finding(report, "memtables of LSN %" PRIx64 " end at %" PRIx64 " and have %u trees",
                       set->first_lsn, end, set->tree_count);
    for (unsigned tree = 0; tree < set->tree_count; tree++)
        if (memtable_check(set->trees[tree], set->first_lsn, end, &of_tree) != STATUS_OK)
            return finding(report, "tree %s: %.900s", db->options.trees[tree].name, of_tree.text);
    return STATUS_OK;
}

/* Newest first, and each begins where the next one ends. */
static enum status check_memtables(struct lsm *db, const struct view *view,
                                   struct lsm_report *report)
{
    const struct memtable_set *newer = view->active;
    if (newer->end_lsn != 0)
        return finding(report, "the active memtables are frozen at LSN %" PRIx64, newer->end_lsn);
    enum status status = check_set(db, newer, end_of_log(db), report);
    for (unsigned i = 0; i < view->flushing_count && status == STATUS_OK; i++) {
        const struct memtable_set *set = view->flushing[i];
        if (set->end_lsn != newer->first_lsn)
            return finding(report, "memtables end at LSN %" PRIx64 ", newer ones begin at %" PRIx64,
                           set->end_lsn, newer->first_lsn);
        status = check_set(db, set, set->end_lsn, report);
        newer = set;
    }
    return status;
}

/* ---- LSNs ---------------------------------------------------------------------------------- */

/* Where the tables end, the memtables begin; a flush that was installed may still be in the view. */
static enum status check_flushed(struct lsm *db, const struct view *view,
                                 const struct version_state *state, struct lsm_report *report)
{
    const struct memtable_set *oldest =
        view->flushing_count ? view->flushing[view->flushing_count - 1] : view->active;
    if (state->flushed_lsn != oldest->first_lsn && state->flushed_lsn != oldest->end_lsn)
        return finding(report, "tables end at LSN %" PRIx64 ", memtables begin at %" PRIx64,
                       state->flushed_lsn, oldest->first_lsn);
    for (unsigned tree = 0; tree < view->version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            const struct version_level *level = &view->version->trees[tree].levels[depth];
            for (size_t i = 0; i < level->count; i++)
                if (level->tables[i]->properties.lsn_max >= state->flushed_lsn)
                    return finding(report,
                                   "table %06" PRIu64 ": it holds LSN %" PRIx64
                                   ", but tables end at %" PRIx64,
                                   level->tables[i]->number, level->tables[i]->properties.lsn_max,
                                   state->flushed_lsn);
        }
    }
    (void)db;
    return STATUS_OK;
}

static enum status check_lsns(struct lsm *db, const struct view *view,
                              const struct version_state *state, struct lsm_report *report)
{
    enum status status = check_flushed(db, view, state, report);
    if (status != STATUS_OK || !db->wal)
        return status;
    if (state->epoch != db->epoch || state->store_id == 0 || state->clean)
        return finding(report,
                       "the manifest has epoch %" PRIu64 "%s, the log is written under %" PRIu64,
                       state->epoch, state->clean ? " and a clean stop" : "", db->epoch);
    if (state->durable_lsn > wal_durable_lsn(db->wal))
        return finding(report, "the manifest says durable %" PRIx64 ", the log %" PRIx64,
                       state->durable_lsn, wal_durable_lsn(db->wal));
    lsn_t visible = lsm_visible_lsn(db);
    if (visible > wal_next_lsn(db->wal))
        return finding(report, "visible up to LSN %" PRIx64 ", the log ends at %" PRIx64, visible,
                       wal_next_lsn(db->wal));
    return wal_check(db->wal, state->flushed_lsn, report);
}

/* ---- Readers and snapshots ----------------------------------------------------------------- */

static enum status check_snapshots(struct lsm *db, struct lsm_report *report)
{
    uint64_t count = 0;
    lsn_t visible = lsm_visible_lsn(db), oldest = IDLE_LSN;
    for (const struct lsm_snapshot *s = db->snapshots.next; s != &db->snapshots; s = s->next) {
        if (s->next->previous != s || s->db != db)
            return finding(report, "the snapshot of LSN %" PRIx64 ": its links are wrong", s->lsn);
        if (s->lsn >= visible)
            return finding(report, "the snapshot of LSN %" PRIx64 " is above what is visible",
                           s->lsn);
        count++;
        if (oldest == IDLE_LSN && !atomic_load(&s->expired))
            oldest = s->lsn;
    }
    if (count != db->snapshot_count)
        return finding(report, "%" PRIu64 " snapshots are counted, there are %" PRIu64,
                       db->snapshot_count, count);
    if (atomic_load(&db->oldest_snapshot) != oldest)
        return finding(report, "the oldest snapshot is said to have LSN %" PRIx64 ", not %" PRIx64,
                       atomic_load(&db->oldest_snapshot), oldest);
    return STATUS_OK;
}

static enum status check_slots(struct lsm *db, struct lsm_report *report)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < LSM_READERS_MAX; i++) {
        count += db->slots[i].in_use;
        if (db->slots[i].in_use ? i >= atomic_load(&db->slot_count)
                                : atomic_load(&db->slots[i].lsn) != IDLE_LSN)
            return finding(report, "the reader's slot %u is used and not counted", i);
    }
    if (count != db->reader_count)
        return finding(report, "%" PRIu64 " readers are counted, there are %" PRIu64,
                       db->reader_count, count);
    return STATUS_OK;
}

/* ---- References ---------------------------------------------------------------------------- */

static int compare_pointers(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    return (x > y) - (x < y);
}

/* The list has a set once for each view that holds it. */
static enum status check_set_references(const struct memtable_set **sets, size_t count,
                                        struct lsm_report *report)
{
    qsort(sets, count, sizeof(*sets), compare_pointers);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && sets[end] == sets[i];)
            end++;
        unsigned references = atomic_load(&sets[i]->references);
        if (references != end - i)
            return finding(report,
                           "memtables of LSN %" PRIx64 ": %zu views hold them, they count %u",
                           sets[i]->first_lsn, end - i, references);
    }
    return STATUS_OK;
}

/* The view lock is held. */
static enum status look_at_references(struct lsm *db, struct lsm_report *report)
{
    const struct memtable_set **sets = NULL;
    const struct version **versions = NULL;
    size_t set_count = 0, view_count = 0;
    enum status status = STATUS_OK;
    bool has_current = false;
    for (struct view *view = db->live_views; view && status == STATUS_OK; view = view->older) {
        sets = memory_resize(sets, (set_count + FLUSHING_MAX + 1) * sizeof(*sets));
        versions = memory_resize(versions, (view_count + 1) * sizeof(*versions));
        sets[set_count++] = view->active;
        for (unsigned i = 0; i < view->flushing_count; i++)
            sets[set_count++] = view->flushing[i];
        versions[view_count++] = view->version;
        has_current |= view == db->view;
        /* An older one that counts 0 is about to leave the list. */
        if ((view == db->view && atomic_load(&view->references) == 0) ||
            (view->older && view->older->number >= view->number))
            status = finding(report, "view %" PRIu64 ": nobody holds it, or it is out of order",
                             view->number);
    }
    for (struct view *view = atomic_load(&db->remains); view; view = view->older) {
        versions = memory_resize(versions, (view_count + 1) * sizeof(*versions));
        versions[view_count++] = view->version;
    }
    if (status == STATUS_OK && (!has_current || db->view->number != atomic_load(&db->view_number)))
        status = finding(report, "the current view, %" PRIu64 ", is not the newest of the list",
                         db->view->number);
    if (status == STATUS_OK)
        status = check_set_references(sets, set_count, report);
    if (status == STATUS_OK)
        status = version_set_check(db->versions, versions, view_count, report);
    memory_free(sets);
    memory_free(versions);
    return status;
}

static enum status check_references(struct lsm *db, struct lsm_report *report)
{
    enum status status = STATUS_CORRUPT;
    for (int look = 0; look < REFERENCE_LOOKS && status != STATUS_OK; look++) {
        if (look > 0)
            sched_yield();
        pthread_mutex_lock(&db->view_lock);
        status = look_at_references(db, report);
        pthread_mutex_unlock(&db->view_lock);
    }
    return status;
}

/* ---- All ----------------------------------------------------------------------------------- */

/* Flushes go on: what one of them moved between two looks is looked at again. The write lock is held,
 * so there are at most FLUSHING_MAX of them. */
static bool has_flushed(struct lsm *db, const struct version_state *before)
{
    struct version_state now;
    version_set_state(db->versions, &now);
    return now.flushed_lsn != before->flushed_lsn;
}

static enum status check_flushing_side(struct lsm *db, struct lsm_report *report)
{
    struct version_state state;
    enum status status;
    do {
        version_set_state(db->versions, &state);
        struct view *view = db_view(db);
        status = check_memtables(db, view, report);
        if (status == STATUS_OK)
            status = check_lsns(db, view, &state, report);
        view_unref(view);
    } while (status != STATUS_OK && has_flushed(db, &state));
    return status;
}

/* The write lock is held. */
static enum status check_writer_side(struct lsm *db, struct lsm_report *report)
{
    enum status status = check_flushing_side(db, report);
    pthread_mutex_lock(&db->view_lock);
    if (status == STATUS_OK)
        status = check_snapshots(db, report);
    if (status == STATUS_OK)
        status = check_slots(db, report);
    pthread_mutex_unlock(&db->view_lock);
    return status;
}

enum status lsm_check_invariants(struct lsm *db, struct lsm_report *report)
{
    report->text[0] = 0;
    lsm_lock(db);
    enum status status = check_writer_side(db, report);
    struct view *view = db_view(db);
    lsm_unlock(db);
    if (status == STATUS_OK)
        status = check_references(db, report);
    if (status == STATUS_OK)
        status = block_cache_check(db->cache, report);
    if (status == STATUS_OK)
        status = version_check_files(view->version, report);
    view_unref(view);
    return status;
}

/* ---- The debug build ----------------------------------------------------------------------- */

#ifdef CORDWOOD_DEBUG

static void require(enum status status, const struct lsm_report *report, const char *moment)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "%s: %s\n", moment, report->text);
    abort();
}

void db_debug_batch(struct lsm *db)
{
    struct lsm_report report;
    struct version_state state;
    enum status status;
    do {
        version_set_state(db->versions, &state);
        status = wal_check(db->wal, state.flushed_lsn, &report);
    } while (status != STATUS_OK && has_flushed(db, &state));
    require(status, &report, "after a batch");
}

void db_debug_freeze(struct lsm *db, const struct memtable_set *set)
{
    struct lsm_report report;
    require(check_set(db, set, set->end_lsn, &report), &report, "freezing memtables");
}

void db_debug_install(struct lsm *db, const char *moment)
{
    struct lsm_report report;
    require(check_references(db, &report), &report, moment);
    require(block_cache_check(db->cache, &report), &report, moment);
}

#endif
