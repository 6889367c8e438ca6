/* SPDX-License-Identifier: MIT */
/* The set of versions of an open database and its manifest.
 *
 * An edit counts once its record is synced. When that fails nobody can say whether the record is on
 * the medium; if it is, the tables that it names are there and it counts after all, or the caller
 * has removed them and the reader takes it for unfinished (manifest.c). Nothing is written behind
 * it: the next edit goes to a new manifest whose snapshot is the state before. The switch to a new
 * file changes nothing by itself, so it is of no consequence which file a crash in the middle of it
 * leaves current. Files are unlinked only after the edit that makes them superfluous is synced. */
#include "lsm/version_set.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    MANIFEST_BYTES_SMALL = 1 << 20, /* not rewritten below this size */
    MANIFEST_GROWTH = 4,            /* rewritten when this many times its snapshot */
    PATH_BYTES_MAX = 4096,
};

/* ---- Opening ------------------------------------------------------------------------------- */

static bool same_tree(const struct manifest_tree *tree, const struct lsm_tree_options *options)
{
    return strcmp(tree->name, options->name) == 0 && tree->compaction == options->compaction;
}

/* The manifest's trees must be the first of the options'. */
static enum status check_trees(const struct manifest_content *content,
                               const struct lsm_options *options, struct lsm_report *report)
{
    if (content->tree_count > options->tree_count) {
        snprintf(report->text, sizeof(report->text), "The database has %u trees, %u are known.",
                 content->tree_count, options->tree_count);
        return STATUS_INVALID;
    }
    for (unsigned i = 0; i < content->tree_count; i++) {
        const struct lsm_tree_options *tree = &options->trees[i];
        if (!same_tree(&content->trees[i], tree)) {
            snprintf(report->text, sizeof(report->text),
                     "Tree %u of the database is %s with another name or compaction than %s.", i,
                     content->trees[i].name, tree->name);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

/* All trees of the options are the database's from now on, those that it did not have too. */
static void adopt_trees(struct manifest_content *content, const struct lsm_options *options)
{
    for (unsigned i = 0; i < options->tree_count; i++) {
        const struct lsm_tree_options *tree = &options->trees[i];
        assert(strlen(tree->name) <= MANIFEST_TREE_NAME_MAX);
        strcpy(content->trees[i].name, tree->name);
        content->trees[i].compaction = tree->compaction;
    }
    content->tree_count = options->tree_count;
}

static enum status start_database(struct version_set *set, const struct lsm_options *options,
                                  const struct directory_files *files, struct lsm_report *report)
{
    if (files->table_count || files->has_wal) {
        snprintf(
            report->text, sizeof(report->text),
            "CURRENT is missing, but there are tables or WAL segments. `cordwood repair` looks "
            "for the newest manifest.");
        return STATUS_CORRUPT;
    }
    if (options->must_exist || options->read_only)
        return STATUS_NOT_FOUND;
    struct version_state *state = &set->log.state;
    while (state->store_id == 0)
        set->env->random_bytes(set->env->context, &state->store_id, sizeof(state->store_id));
    adopt_trees(&set->log, options);
    uint64_t number = 1;
    if (files->manifest_count)
        number = files->manifests[files->manifest_count - 1] + 1;
    state->next_number = number + 1;
    return manifest_create(set->env, set->directory, number, &set->log, &set->file);
}

static void raise_next_number(struct version_state *state, const struct directory_files *files)
{
    uint64_t newest = state->next_number - 1;
    if (files->table_count && files->tables[files->table_count - 1] > newest)
        newest = files->tables[files->table_count - 1];
    if (files->manifest_count && files->manifests[files->manifest_count - 1] > newest)
        newest = files->manifests[files->manifest_count - 1];
    state->next_number = newest + 1;
}

static enum status load_database(struct version_set *set, const struct lsm_options *options,
                                 const struct directory_files *files, struct lsm_report *report)
{
    enum status status = manifest_read(set->env, set->directory, files, &set->log, report);
    if (status != STATUS_OK)
        return status;
    unsigned trees_before = set->log.tree_count;
    status = check_trees(&set->log, options, report);
    if (status != STATUS_OK)
        return status;
    adopt_trees(&set->log, options);
    raise_next_number(&set->log.state, files);
    if (options->read_only || set->log.torn || trees_before != set->log.tree_count)
        return STATUS_OK; /* `file` stays NULL: a new manifest comes with the first edit */
    char path[PATH_BYTES_MAX];
    manifest_path(set->directory, set->log.number, path, sizeof(path));
    return vfs_open(set->env->vfs, path, VFS_WRITE, &set->file);
}

static bool is_live(const struct version *version, uint64_t number)
{
    for (unsigned tree = 0; tree < version->tree_count; tree++)
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
            for (size_t i = 0; i < version->trees[tree].levels[depth].count; i++)
                if (version->trees[tree].levels[depth].tables[i]->number == number)
                    return true;
    return false;
}

/* The manifest that was read may not be on the medium, nor the name CURRENT has now: the last run was killed,
 * or its last sync failed, and then no sync alone would bring it there. From here on it is relied upon: what
 * it does not name is removed, so that no older state could be gone back to. */
static enum status settle_manifest(struct version_set *set)
{
    char path[PATH_BYTES_MAX];
    struct vfs_file *file = NULL;
    struct vfs *vfs = set->env->vfs;
    manifest_path(set->directory, set->log.number, path, sizeof(path));
    enum status status = vfs_open(vfs, path, VFS_WRITE, &file);
    if (status == STATUS_OK)
        status = vfs_rewrite(file, 0, set->log.end);
    if (status == STATUS_OK)
        status = vfs_sync_at(file, "manifest.settle");
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(vfs, set->directory, "manifest.settle_name");
    vfs_close(file);
    return status;
}

/* What crashes and failed edits left behind. After a torn manifest the tables are kept: should the
 * WAL show that the torn edit had counted, they hold what is needed to repair. */
static void remove_leftovers(struct version_set *set, const struct directory_files *files)
{
    char path[PATH_BYTES_MAX];
    struct vfs *vfs = set->env->vfs;
    for (size_t at = 0; at < files->temporary.size;) {
        const char *name = (const char *)files->temporary.data + at;
        snprintf(path, sizeof(path), "%s/%s", set->directory, name);
        (void)vfs_remove(vfs, path); /* tried again at the next open */
        at += strlen(name) + 1;
    }
    for (size_t i = 0; i < files->manifest_count && !set->log.torn; i++) {
        manifest_path(set->directory, files->manifests[i], path, sizeof(path));
        if (files->manifests[i] != set->log.number)
            (void)vfs_remove(vfs, path); /* likewise */
    }
    for (size_t i = 0; i < files->table_count && !set->log.torn; i++) {
        table_path(set->directory, files->tables[i], path, sizeof(path));
        if (!is_live(set->current, files->tables[i]))
            (void)vfs_remove(vfs, path); /* likewise */
    }
}

enum status version_set_open(const struct env *env, const char *directory,
                             const struct lsm_options *options, struct block_cache *cache,
                             struct lsm_report *report, struct version_set **out, bool *created)
{
    struct lsm_report ignored;
    struct directory_files files = {0};
    struct version_set *set = memory_zeroed(1, sizeof(*set));
    report = report ? report : &ignored;
    report->text[0] = 0;
    set->env = env;
    set->directory = memory_copy(directory, strlen(directory) + 1);
    set->cache = cache;
    for (unsigned i = 0, count = 0; i < options->tree_count; i++) {
        if (options->trees[i].codec)
            set->codecs[count++] = options->trees[i].codec;
    }
    pthread_mutex_init(&set->apply_lock, NULL);
    pthread_mutex_init(&set->lock, NULL);
    for (int i = 0; i < TABLE_OPEN_LOCKS; i++)
        pthread_mutex_init(&set->table_locks[i], NULL);

    enum status status = directory_files_read(env, directory, &files);
    if (status != STATUS_OK)
        goto done;
    bool is_new = !files.has_current;
    status = is_new ? start_database(set, options, &files, report)
                    : load_database(set, options, &files, report);
    if (status == STATUS_OK)
        status = version_from_content(set, &set->log, report, &set->current);
    if (status == STATUS_OK && !is_new && !options->read_only)
        status = settle_manifest(set);
    if (status != STATUS_OK)
        goto done;
    pthread_mutex_lock(&set->lock);
    version_list(set->current);
    pthread_mutex_unlock(&set->lock);
    set->state = set->log.state;
    atomic_init(&set->next_number, set->state.next_number);
    if (!options->read_only)
        remove_leftovers(set, &files);
    *created = is_new;
    *out = set;
    set = NULL;
done:
    directory_files_release(&files);
    version_set_close(set);
    return status;
}

void version_set_close(struct version_set *set)
{
    if (!set)
        return;
    assert(!set->current || atomic_load(&set->current->references) == 1);
    version_unref(set->current);
    assert(!set->live);
    vfs_close(set->file);
    manifest_content_release(&set->log);
    for (int i = 0; i < TABLE_OPEN_LOCKS; i++)
        pthread_mutex_destroy(&set->table_locks[i]);
    pthread_mutex_destroy(&set->lock);
    pthread_mutex_destroy(&set->apply_lock);
    memory_free(set->directory);
    memory_free(set);
}

/* ---- Edits --------------------------------------------------------------------------------- */

/* The tables of the current version as a snapshot lists them; properties are borrowed. */
static void list_tables(const struct version *version, struct manifest_content *content)
{
    size_t count = 0;
    for (unsigned tree = 0; tree < version->tree_count; tree++)
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++)
            count += version->trees[tree].levels[depth].count;
    content->tables = memory_zeroed(count + 1, sizeof(*content->tables));
    for (unsigned tree = 0; tree < version->tree_count; tree++) {
        for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
            const struct version_level *level = &version->trees[tree].levels[depth];
            for (size_t i = 0; i < level->count; i++)
                content->tables[content->table_count++] =
                    (struct version_edit_table){.tree = tree,
                                                .level = depth,
                                                .number = level->tables[i]->number,
                                                .properties = level->tables[i]->properties};
        }
    }
}

void version_set_describe(struct version_set *set, struct version **version,
                          struct manifest_content *content)
{
    struct manifest_content found = {0};
    pthread_mutex_lock(&set->apply_lock);
    memcpy(found.trees, set->log.trees, sizeof(found.trees));
    found.tree_count = set->log.tree_count;
    found.state = set->log.state;
    *version = set->current;
    version_ref(*version);
    pthread_mutex_unlock(&set->apply_lock);
    found.state.next_number = atomic_load(&set->next_number);
    list_tables(*version, &found);
    *content = found;
}

/* A new manifest file that says what the old one says. The apply lock is held. */
static enum status start_manifest(struct version_set *set)
{
    char path[PATH_BYTES_MAX];
    uint64_t old_number = set->log.number;
    uint64_t number = version_set_next_number(set);
    struct vfs_file *file = NULL;
    set->log.state.next_number = atomic_load(&set->next_number);
    list_tables(set->current, &set->log);
    enum status status = manifest_create(set->env, set->directory, number, &set->log, &file);
    memory_free(set->log.tables);
    set->log.tables = NULL;
    set->log.table_count = 0;
    if (status != STATUS_OK)
        return status;
    vfs_close(set->file);
    set->file = file;
    manifest_path(set->directory, old_number, path, sizeof(path));
    (void)vfs_remove(set->env->vfs, path); /* a leftover goes at the next open */
    return STATUS_OK;
}

/* Every record states all LSNs anew, so that the loss of one record loses none of them. */
static void encode_edit(struct version_set *set, const struct version_edit *edit,
                        struct buffer *fields)
{
    const struct version_state *state = &set->log.state;
    struct version_edit full = *edit;
    full.flushed_lsn = edit->flushed_lsn ? edit->flushed_lsn : state->flushed_lsn;
    full.durable_lsn = edit->durable_lsn ? edit->durable_lsn : state->durable_lsn;
    full.epoch = edit->epoch ? edit->epoch : state->epoch;
    version_edit_encode(fields, &full);
    version_edit_encode_value(fields, VERSION_FIELD_NEXT_NUMBER, atomic_load(&set->next_number));
}

static enum status log_edit(struct version_set *set, const struct version_edit *edit)
{
    uint64_t limit = MANIFEST_GROWTH * set->log.snapshot_end;
    enum status status = STATUS_OK;
    if (!set->file || (set->log.end > MANIFEST_BYTES_SMALL && set->log.end > limit))
        status = start_manifest(set);
    if (status != STATUS_OK)
        return status;
    struct buffer fields = {0};
    encode_edit(set, edit, &fields);
    status = manifest_append(set->file, &set->log, buffer_slice(&fields));
    buffer_release(&fields);
    if (status != STATUS_OK) {
        vfs_close(set->file);
        set->file = NULL;
    }
    return status;
}

enum status version_set_apply(struct version_set *set, struct version_edit *edit)
{
    pthread_mutex_lock(&set->apply_lock);
    enum status status = log_edit(set, edit);
    if (status != STATUS_OK) {
        pthread_mutex_unlock(&set->apply_lock);
        return status;
    }
    struct version_state *state = &set->log.state;
    if (edit->flushed_lsn)
        state->flushed_lsn = edit->flushed_lsn;
    if (edit->durable_lsn)
        state->durable_lsn = edit->durable_lsn;
    if (edit->epoch)
        state->epoch = edit->epoch;
    state->clean = edit->clean;
    /* Tables are counted and the version is listed under one lock: see version_unlist. */
    pthread_mutex_lock(&set->lock);
    struct version *before = set->current;
    struct version *next = version_with_edit(before, edit);
    version_drop_removed(before, next, edit);
    version_list(next);
    set->current = next;
    set->state = *state;
    pthread_mutex_unlock(&set->lock);
    pthread_mutex_unlock(&set->apply_lock);
    version_unref(before);
    return STATUS_OK;
}

struct version *version_set_current(struct version_set *set)
{
    pthread_mutex_lock(&set->lock);
    struct version *version = set->current;
    version_ref(version);
    pthread_mutex_unlock(&set->lock);
    return version;
}

void version_set_state(struct version_set *set, struct version_state *state)
{
    pthread_mutex_lock(&set->lock);
    *state = set->state;
    pthread_mutex_unlock(&set->lock);
    state->next_number = atomic_load(&set->next_number);
}

uint64_t version_set_next_number(struct version_set *set)
{
    return atomic_fetch_add(&set->next_number, 1);
}

/* ---- Tables -------------------------------------------------------------------------------- */

enum status table_ref_open(struct version_set *set, struct table_ref *ref, bool nowait,
                           struct table **out)
{
    struct table *table = atomic_load_explicit(&ref->table, memory_order_acquire);
    if (table) {
        *out = table;
        return STATUS_OK;
    }
    pthread_mutex_t *lock = &set->table_locks[ref->number % TABLE_OPEN_LOCKS];
    if (!nowait)
        pthread_mutex_lock(lock);
    else if (pthread_mutex_trylock(lock) != 0)
        return STATUS_WOULD_BLOCK;
    enum status status = STATUS_OK;
    table = atomic_load(&ref->table);
    if (!table) {
        char path[PATH_BYTES_MAX];
        struct lsm_report report = {0};
        table_path(set->directory, ref->number, path, sizeof(path));
        status = table_open(set->env, path, ref->number, set->cache, set->codecs, nowait, &report,
                            &table);
        if (status == STATUS_OK)
            atomic_store_explicit(&ref->table, table, memory_order_release);
        else if (status != STATUS_WOULD_BLOCK)
            env_log(set->env, LOG_WARNING, "Table %06" PRIu64 ".cwt cannot be opened: %s (%s).",
                    ref->number, report.text, status_text(status));
    }
    pthread_mutex_unlock(lock);
    if (status == STATUS_OK)
        *out = table;
    return status;
}

void version_set_open_added(struct version_set *set, const struct version_edit *edit)
{
    struct version *version = version_set_current(set);
    for (size_t i = 0; i < edit->added_count; i++) {
        const struct version_edit_table *added = &edit->added[i];
        struct table_ref *ref =
            version_level_find(&version->trees[added->tree].levels[added->level], added->number);
        struct table *table;
        if (ref)
            (void)table_ref_open(set, ref, false, &table);
    }
    version_unref(version);
}
