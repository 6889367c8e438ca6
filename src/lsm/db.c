/* SPDX-License-Identifier: MIT */
/* Opening and closing a database, its views. The rest of struct lsm: writer.c, reader.c, iter.c,
 * flush.c, work.c, db_stats.c.
 *
 * Open:  1. LOCK            one process
 *        2. manifest        which tables, up to which LSN they hold everything, last epoch
 *        3. WAL             replay what is newer into memtables
 *        4. unclean stop    a new epoch is sealed into the WAL, and the manifest says so
 * No table is opened, no data scanned.
 * Close: flush, sync the WAL, an edit that says `clean`. */
#include "lsm/compression.h"
#include "lsm/db.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MEMTABLE_BYTES_DEFAULT = 64 << 20,
    CACHE_BYTES_DEFAULT = 64 << 20,
    SEGMENT_BYTES_DEFAULT = 32 << 20,
    TABLE_BYTES_DEFAULT = 64 << 20,
    BLOCK_BYTES_DEFAULT = 16 << 10,
    WAL_BYTES_PER_SET_MIN = 64 << 20, /* an overwritten hot key fills the WAL, not the memtable */
};

static void set_defaults(struct lsm_options *options)
{
    if (!options->memtable_bytes)
        options->memtable_bytes = MEMTABLE_BYTES_DEFAULT;
    if (!options->block_cache_bytes)
        options->block_cache_bytes = CACHE_BYTES_DEFAULT;
    if (!options->wal_segment_bytes)
        options->wal_segment_bytes = SEGMENT_BYTES_DEFAULT;
    if (!options->table_bytes_max)
        options->table_bytes_max = TABLE_BYTES_DEFAULT;
    for (unsigned i = 0; i < options->tree_count; i++) {
        if (!options->trees[i].block_bytes)
            options->trees[i].block_bytes = BLOCK_BYTES_DEFAULT;
    }
}

/* ---- Memtable sets and views --------------------------------------------------------------- */

struct memtable_set *memtable_set_create(struct lsm *db, lsn_t first_lsn)
{
    struct memtable_set *set = memory_zeroed(1, sizeof(struct memtable_set));
    atomic_init(&set->references, 1);
    set->tree_count = db->options.tree_count;
    set->first_lsn = first_lsn;
    for (unsigned i = 0; i < set->tree_count; i++) {
        const struct lsm_tree_options *tree = &db->options.trees[i];
        set->trees[i] = memtable_create(&(struct memtable_options){
            .bytes_expected = db->options.memtable_bytes / 2,
            .finger_prefix_bytes = tree->finger_prefix_bytes,
            .has_hash = tree->compaction == LSM_LEVELED,
            .safe_lsn = db_safe_lsn,
            .context = db,
            .spare = &db->writer.spare,
            .chunks = &db->chunks,
        });
    }
    return set;
}

static void memtable_set_destroy(struct memtable_set *set)
{
    for (unsigned i = 0; i < set->tree_count; i++)
        memtable_destroy(set->trees[i]);
    spare_blocks_release(set->spares);
    memory_free(set);
}

size_t memtable_set_bytes(const struct memtable_set *set)
{
    size_t bytes = atomic_load_explicit(&set->spare_bytes, memory_order_relaxed);
    for (unsigned i = 0; i < set->tree_count; i++)
        bytes += memtable_bytes(set->trees[i]);
    return bytes;
}

bool memtable_set_is_empty(const struct memtable_set *set)
{
    for (unsigned i = 0; i < set->tree_count; i++) {
        if (!memtable_is_empty(set->trees[i]))
            return false;
    }
    return true;
}

struct view *db_view(struct lsm *db)
{
    pthread_mutex_lock(&db->view_lock);
    struct view *view = db->view;
    atomic_fetch_add(&view->references, 1);
    pthread_mutex_unlock(&db->view_lock);
    return view;
}

/* Out of the list, and its memtables with it: under the lock they count as many references as listed
 * views hold them. Those that nobody holds any more stay in it, as `flushing`. */
static void view_unlist(struct lsm *db, struct view *view)
{
    unsigned waiting = view->flushing_count;
    *(view->newer ? &view->newer->older : &db->live_views) = view->older;
    if (view->older)
        view->older->newer = view->newer;
    view->flushing_count = 0;
    for (unsigned i = 0; i < waiting; i++)
        if (atomic_fetch_sub(&view->flushing[i]->references, 1) == 1)
            view->flushing[view->flushing_count++] = view->flushing[i];
    if (atomic_fetch_sub(&view->active->references, 1) != 1)
        view->active = NULL;
}

void view_unref(struct view *view)
{
    if (!view || atomic_fetch_sub(&view->references, 1) != 1)
        return;
    struct lsm *db = view->db;
    pthread_mutex_lock(&db->view_lock);
    view_unlist(db, view);
    view->older = atomic_load(&db->remains);
    atomic_store(&db->remains, view);
    pthread_mutex_unlock(&db->view_lock);
    db_work_ready(db);
}

bool db_free_remains(struct lsm *db)
{
    if (!atomic_load(&db->remains))
        return false;
    pthread_mutex_lock(&db->view_lock);
    struct view *view = atomic_exchange(&db->remains, NULL);
    pthread_mutex_unlock(&db->view_lock);
    bool any = view != NULL;
    while (view) {
        struct view *next = view->older;
        version_unref(view->version);
        if (view->active)
            memtable_set_destroy(view->active);
        for (unsigned i = 0; i < view->flushing_count; i++)
            memtable_set_destroy(view->flushing[i]);
        memory_free(view);
        view = next;
    }
    return any;
}

/* The view lock is held. */
static void view_list(struct lsm *db, struct view *view)
{
    view->db = db;
    view->older = db->live_views;
    if (view->older)
        view->older->newer = view;
    db->live_views = view;
}

static void view_add_flushing(struct view *view, struct memtable_set *set)
{
    assert(view->flushing_count < FLUSHING_MAX);
    atomic_fetch_add(&set->references, 1);
    view->flushing[view->flushing_count++] = set;
}

void db_install_view(struct lsm *db, struct memtable_set *active, struct memtable_set *flushed)
{
    struct view *view = memory_zeroed(1, sizeof(struct view));
    atomic_init(&view->references, 1);
    pthread_mutex_lock(&db->view_lock);
    struct view *old = db->view;
    view->number = atomic_load(&db->view_number) + 1;
    view->active = active ? active : old->active;
    if (!active)
        atomic_fetch_add(&view->active->references, 1);
    if (active && old)
        view_add_flushing(view, old->active);
    for (unsigned i = 0; old && i < old->flushing_count; i++) {
        if (old->flushing[i] != flushed)
            view_add_flushing(view, old->flushing[i]);
    }
    view->version = version_set_current(db->versions);
    db->view = view;
    view_list(db, view);
    atomic_store(&db->view_number, view->number);
    pthread_mutex_unlock(&db->view_lock);
    view_unref(old);
}

static bool active_is_full(const struct lsm *db, const struct memtable_set *active, lsn_t next_lsn)
{
    uint64_t wal_bytes_max = 4 * (uint64_t)db->options.memtable_bytes;
    if (wal_bytes_max < WAL_BYTES_PER_SET_MIN)
        wal_bytes_max = WAL_BYTES_PER_SET_MIN;
    return memtable_set_bytes(active) >= db->options.memtable_bytes / 2 ||
           next_lsn - active->first_lsn >= wal_bytes_max;
}

/* Freezes the active memtables, whose batches all lie below `next_lsn`. */
static void switch_at(struct lsm *db, struct memtable_set *active, lsn_t next_lsn)
{
    active->end_lsn = next_lsn;
    for (unsigned i = 0; i < active->tree_count; i++)
        memtable_freeze(active->trees[i]);
    db_debug_freeze(db, active);
    db_install_view(db, memtable_set_create(db, next_lsn), NULL);
}

void db_switch_memtables(struct lsm *db, bool always)
{
    reader_refresh_view(&db->writer.reader);
    const struct view *view = db->writer.reader.view;
    lsn_t next_lsn = wal_next_lsn(db->wal);
    if (view->flushing_count == FLUSHING_MAX)
        return;
    if (!active_is_full(db, view->active, next_lsn) &&
        !(always && !memtable_set_is_empty(view->active)))
        return;
    switch_at(db, view->active, wal_fence(db->wal)); /* a recovery starts where what is flushed ends */
    db_work_ready(db);
}

lsn_t db_acked_bound(struct lsm *db)
{
    if (!db->wal)
        return atomic_load(&db->visible_bound);
    lsn_t written = wal_written_lsn(db->wal); /* before the flag: lsm_set_ack_durable */
    if (!atomic_load(&db->ack_durable))
        return written;
    lsn_t durable = wal_durable_lsn(db->wal), floor = atomic_load(&db->acked_floor);
    return durable > floor ? durable : floor;
}

void db_poison(struct lsm *db)
{
    lsn_t acked = db_acked_bound(db);
    lsn_t cap = atomic_load(&db->read_cap);
    while (acked < cap && !atomic_compare_exchange_weak(&db->read_cap, &cap, acked))
        ;
}

void db_work_ready(struct lsm *db)
{
    if (db->options.work_ready)
        db->options.work_ready(db->options.context);
}

/* ---- Open ---------------------------------------------------------------------------------- */

/* Nobody reads before the end of the recovery: until then keys need not be in order. */
static void defer_order(const struct memtable_set *set)
{
    for (unsigned i = 0; i < set->tree_count; i++)
        memtable_order_defer(set->trees[i]);
}

static void end_order(const struct memtable_set *set)
{
    for (unsigned i = 0; i < set->tree_count; i++)
        memtable_order_end(set->trees[i]);
}

/* What is flushed ends where a recovery may start. */
static void replay_from(void *context, lsn_t lsn)
{
    struct lsm *db = context;
    if (!active_is_full(db, db->view->active, lsn) || db->view->flushing_count == FLUSHING_MAX)
        return;
    end_order(db->view->active);
    switch_at(db, db->view->active, lsn);
    defer_order(db->view->active);
}

static enum status replay_batch(void *context, lsn_t lsn, struct slice records, uint64_t count)
{
    struct lsm *db = context;
    struct slice all = records;
    struct wal_record record;
    bool bad = false;
    struct memtable_set *set = db->view->active;
    const uint8_t *at = all.data; /* where the record begins */
    if (!spare_try_fill(&db->writer.spare, records.size + count * MEMTABLE_RECORD_BYTES))
        return STATUS_NO_MEMORY;
    while (wal_record_next(&records, &record, &bad)) {
        if (record.tree >= db->options.tree_count)
            return STATUS_CORRUPT;
        if (record.kind == ENTRY_DELETE_RANGE)
            db_apply_range_delete(set, record.tree,
                                  (struct range_delete){record.key, record.value, lsn},
                                  slice_make(all.data, (size_t)(at - all.data)));
        else
            memtable_put(set->trees[record.tree], record.key, lsn, record.kind, record.value);
        at = records.data;
    }
    db_spare_settle(db, set);
    atomic_store(&db->visible_bound, lsn + 1);
    return bad ? STATUS_CORRUPT : STATUS_OK;
}

/* Without it, a put into a memtable that no cache of the processor holds waits for memory a few times. */
static void replay_foresee(void *context, const struct slice *batches, size_t count)
{
    struct lsm *db = context;
    struct memtable_set *set = db->view->active;
    struct slice keys[LSM_TREES_MAX][MEMTABLE_PREFETCH_MAX];
    size_t key_counts[LSM_TREES_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        struct slice records = batches[i];
        struct wal_record record;
        bool bad = false;
        while (wal_record_next(&records, &record, &bad)) {
            if (record.tree >= set->tree_count)
                return;
            keys[record.tree][key_counts[record.tree]++] = record.key;
            if (key_counts[record.tree] < MEMTABLE_PREFETCH_MAX)
                continue;
            memtable_prefetch(set->trees[record.tree], keys[record.tree], MEMTABLE_PREFETCH_MAX);
            key_counts[record.tree] = 0;
        }
    }
    for (unsigned tree = 0; tree < set->tree_count; tree++)
        memtable_prefetch(set->trees[tree], keys[tree], key_counts[tree]);
}

static enum status recover_wal(struct lsm *db, const struct version_state *state,
                               struct lsm_report *report)
{
    uint64_t began_us = env_monotonic_us(&db->env);
    const struct wal_recovery recovery = {
        .env = &db->env,
        .directory = db->directory,
        .start = state->flushed_lsn,
        .manifest_durable = state->durable_lsn,
        .store_id = state->store_id,
        .clean = state->clean,
        .may_start = replay_from,
        .apply = replay_batch,
        .foresee = replay_foresee,
        .context = db,
    };
    db_install_view(db, memtable_set_create(db, state->flushed_lsn), NULL);
    defer_order(db->view->active);
    enum status status = wal_recover(&recovery, &db->recovered, report);
    end_order(db->view->active);
    spare_release(&db->writer.spare);
    db->recovery_us = env_monotonic_us(&db->env) - began_us;
    atomic_store(&db->visible_bound, db->recovered.next_lsn);
    return status;
}

/* From here on the log is written to: after an unclean stop under a new, sealed epoch. */
static enum status start_writing(struct lsm *db, const struct version_state *state, bool created)
{
    uint64_t newest = state->epoch > db->recovered.epoch ? state->epoch : db->recovered.epoch;
    db->was_clean = state->clean && db->recovered.next_lsn == state->durable_lsn;
    db->epoch = created ? 1 : db->was_clean ? newest : newest + 1;
    const struct wal_options options = {
        .segment_bytes = db->options.wal_segment_bytes,
        .reserve_bytes = db->options.wal_segment_bytes,
        .is_compressed = db->options.wal_compression == LSM_WAL_LZ4,
        .page_bytes = db->options.wal_page_bytes,
    };
    enum status status = wal_open(&db->env, db->directory, &options, state->store_id, &db->recovered,
                                  db->epoch, &db->wal);
    if (status != STATUS_OK)
        return status;
    if (!created && !db->was_clean) {
        status = wal_reserve(db->wal, 0, true);
        if (status != STATUS_OK)
            return status;
        wal_append(db->wal, slice_make(NULL, 0), 0);
        status = wal_sync(db->wal);
        if (status != STATUS_OK)
            return wal_status_cause(db->wal, status);
    }
    atomic_store(&db->visible_bound, wal_next_lsn(db->wal));
    struct version_edit edit = {.durable_lsn = wal_durable_lsn(db->wal), .epoch = db->epoch};
    status = version_set_apply(db->versions, &edit);
    version_edit_release(&edit);
    return status;
}

static struct lsm *allocate(const struct env *env, const char *directory,
                            const struct lsm_options *options)
{
    struct lsm *db = aligned_alloc(_Alignof(struct lsm), sizeof(struct lsm));
    if (!db)
        abort();
    memset(db, 0, sizeof(*db));
    db->env = *env;
    db->options = *options;
    set_defaults(&db->options);
    db->directory = memory_copy(directory, strlen(directory) + 1);
    pthread_mutex_init(&db->write_lock, NULL);
    pthread_mutex_init(&db->view_lock, NULL);
    pthread_mutex_init(&db->work_lock, NULL);
    pthread_cond_init(&db->work_done, NULL);
    for (unsigned i = 0; i < LSM_READERS_MAX; i++)
        atomic_init(&db->slots[i].lsn, IDLE_LSN);
    db->snapshots.next = db->snapshots.previous = &db->snapshots;
    atomic_init(&db->oldest_snapshot, IDLE_LSN);
    atomic_init(&db->read_cap, IDLE_LSN);
    atomic_init(&db->visible_bound, 1);
    arena_pool_init(&db->chunks, memtable_chunk_bytes(db->options.memtable_bytes / 2),
                    db->options.memtable_bytes);
    db->writer.db = db;
    reader_bind_writer(&db->writer.reader, db);
    return db;
}

static void release(struct lsm *db)
{
    assert(!db->writer.open);
    assert(db->snapshot_count == 0);
    assert(db->reader_count == 0);
    flush_abandon(db);
    compaction_abandon(db);
    reader_release(&db->writer.reader);
    buffer_release(&db->writer.payload);
    spare_release(&db->writer.spare);
    view_unref(db->view);
    (void)db_free_remains(db);
    assert(!db->live_views);
    arena_pool_release(&db->chunks);
    wal_close(db->wal);
    version_set_close(db->versions);
    block_cache_destroy(db->cache);
    vfs_close(db->lock_file);
    pthread_mutex_destroy(&db->write_lock);
    pthread_mutex_destroy(&db->view_lock);
    pthread_mutex_destroy(&db->work_lock);
    pthread_cond_destroy(&db->work_done);
    memory_free(db->directory);
    free(db);
}

/* Before anything in a new database is relied on, the name of its directory is on the medium; also when
 * an earlier open has made the directory and came no further. */
static enum status make_directory(struct lsm *db)
{
    struct vfs *vfs = db->env.vfs;
    char path[4096];
    bool exists = false;
    snprintf(path, sizeof(path), "%s/CURRENT", db->directory);
    enum status status = vfs->ops->exists(vfs, path, &exists);
    if (status != STATUS_OK || exists)
        return status;
    status = vfs->ops->make_directory(vfs, db->directory);
    if (status != STATUS_OK && status != STATUS_EXISTS)
        return status;
    size_t end = strlen(db->directory);
    while (end > 1 && db->directory[end - 1] == '/')
        end--;
    const char *slash = memrchr(db->directory, '/', end);
    size_t length = slash ? (size_t)(slash - db->directory) : 0;
    char *parent = memory_zeroed(1, length + 2);
    parent[0] = slash ? '/' : '.';
    memcpy(parent, db->directory, length);
    status = vfs_sync_directory_at(vfs, parent, "db.parent");
    memory_free(parent);
    return status;
}

static enum status take_lock(struct lsm *db, struct lsm_report *report)
{
    char path[4096];
    enum status status = STATUS_OK;
    bool exists;
    struct vfs *vfs = db->env.vfs;
    if (!db->options.must_exist && !db->options.read_only)
        status = make_directory(db);
    if (status == STATUS_OK && (db->options.must_exist || db->options.read_only)) {
        snprintf(path, sizeof(path), "%s/CURRENT", db->directory);
        status = vfs->ops->exists(vfs, path, &exists);
        if (status == STATUS_OK && !exists)
            status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK && !db->options.read_only) {
        snprintf(path, sizeof(path), "%s/LOCK", db->directory);
        status = vfs->ops->lock(vfs, path, &db->lock_file);
    }
    if (status == STATUS_BUSY)
        snprintf(report->text, sizeof(report->text),
                 "%.400s is in use by another process (it holds LOCK there)", db->directory);
    else if (status != STATUS_OK)
        snprintf(report->text, sizeof(report->text), "%.400s: %s", db->directory,
                 status_text(status));
    return status;
}

bool lsm_has_zstd(void)
{
    return compression_is_known(COMPRESSION_ZSTD);
}

static enum status check_compression(const struct lsm_options *options, struct lsm_report *report)
{
    for (unsigned i = 0; i < options->tree_count; i++) {
        if (options->trees[i].cold_compression != LSM_ZSTD || lsm_has_zstd())
            continue;
        snprintf(report->text, sizeof(report->text),
                 "tree %s is to be compressed by Zstandard, which this program was built without",
                 options->trees[i].name);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

enum status lsm_open(const struct env *env, const char *directory, const struct lsm_options *options,
                     struct lsm_report *report, struct lsm **out)
{
    assert(options->tree_count > 0);
    assert(options->tree_count <= LSM_TREES_MAX);
    struct lsm_report ignored;
    if (!report)
        report = &ignored;
    report->text[0] = 0;
    struct lsm *db = allocate(env, directory, options);
    struct version_state state;
    bool created = false;
    enum status status = check_compression(options, report);
    if (status == STATUS_OK)
        status = take_lock(db, report);
    if (status != STATUS_OK)
        goto done;
    db->cache = block_cache_create(db->options.block_cache_bytes);
    status = version_set_open(&db->env, directory, &db->options, db->cache, report, &db->versions,
                              &created);
    if (status != STATUS_OK)
        goto done;
    version_set_state(db->versions, &state);
    status = recover_wal(db, &state, report);
    if (status != STATUS_OK)
        goto done; /* the report names the segment */
    if (!db->options.read_only)
        status = start_writing(db, &state, created);
    if (status != STATUS_OK && !report->text[0])
        snprintf(report->text, sizeof(report->text), "%.400s: the log cannot be written to: %s",
                 directory, status_text(status));
done:
    if (status == STATUS_OK && db->wal)
        wal_leave_free(db->wal, db->options.memtable_bytes);
    db->pace = (struct log_pace){.looked_us = env_monotonic_us(env), .visible = lsm_visible_lsn(db)};
    if (status != STATUS_OK) {
        if (!report->text[0])
            snprintf(report->text, sizeof(report->text), "%.400s: %s", directory,
                     status_text(status));
        release(db);
        return status;
    }
    *out = db;
    if (db->view->flushing_count)
        db_work_ready(db);
    return STATUS_OK;
}

/* ---- Close --------------------------------------------------------------------------------- */

enum status lsm_close(struct lsm *db)
{
    enum status status = STATUS_OK;
    if (!db->options.read_only) {
        lsm_lock(db);
        db_switch_memtables(db, true);
        lsm_unlock(db);
        bool finished = true;
        while (status == STATUS_OK && db->view->flushing_count)
            status = flush_step(db, SIZE_MAX, &finished);
        enum status synced = wal_sync(db->wal);
        if (synced == STATUS_OK) {
            /* What could not be flushed stays in the WAL. */
            struct version_edit edit = {
                .durable_lsn = wal_durable_lsn(db->wal), .epoch = db->epoch, .clean = true};
            status = version_set_apply(db->versions, &edit);
            version_edit_release(&edit);
        } else {
            status = synced;
        }
    }
    release(db);
    return status;
}
