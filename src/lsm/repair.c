/* SPDX-License-Identifier: MIT */
/* lsm_repair: makes a database whose start was refused open again, and says what that costs.
 *
 *   1. the manifest: as it is, or what can be read of it
 *   2. tables that are missing, damaged or not as stated, and tables that overlap: dropped
 *   3. the WAL: cut before the damage
 *   4. a new manifest that says the rest, and CURRENT switched to it
 *
 * What is dropped or cut goes to lost/ first. A repair that is interrupted is done again from the
 * start: nothing counts as repaired before step 4. */
#include "lsm/inspect.h"

#include "base/memory.h"
#include "lsm/wal_segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    PATH_BYTES_MAX = 4096,
    NAME_BYTES_MAX = 64,
    LINE_BYTES_MAX = 1024,
    COPIES_MAX = 1000, /* of one name in lost/ */
    SEGMENT_BYTES_DEFAULT = 32 << 20,
};

static const size_t MANIFEST_BYTES_MAX = (size_t)1 << 32;

struct repair {
    const struct env *env;
    const char *directory;
    const struct block_codec *const *codecs;
    void (*each)(void *context, const char *line);
    void *context;
    struct directory_files files;
    struct manifest_content content;
    bool changed; /* a new manifest is needed */
    bool manifest_is_damaged;
    bool lost_is_made;
};

static void say(struct repair *repair, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct repair *repair, const char *format, ...)
{
    char line[LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (repair->each)
        repair->each(repair->context, line);
}

static enum status path_join(char *path, size_t size, const char *directory, const char *name)
{
    int length = snprintf(path, size, "%s/%s", directory, name);
    return length >= 0 && (size_t)length < size ? STATUS_OK : STATUS_INVALID;
}

/* ---- lost/ ----------------------------------------------------------------------------------- */

/* A path in lost/ that is free for this name. */
static enum status lost_path(struct repair *repair, const char *name, char *path, size_t size)
{
    struct vfs *vfs = repair->env->vfs;
    char lost[PATH_BYTES_MAX], numbered[NAME_BYTES_MAX];
    enum status status = path_join(lost, sizeof(lost), repair->directory, "lost");
    if (status == STATUS_OK && !repair->lost_is_made) {
        status = vfs->ops->make_directory(vfs, lost);
        if (status == STATUS_EXISTS)
            status = STATUS_OK;
        /* lost/ must not vanish while what it took is gone from where it was. */
        if (status == STATUS_OK)
            status = vfs_sync_directory_at(vfs, repair->directory, "repair.lost");
        repair->lost_is_made = status == STATUS_OK;
    }
    for (int i = 0; status == STATUS_OK && i < COPIES_MAX; i++) {
        bool exists = true;
        if (i == 0)
            snprintf(numbered, sizeof(numbered), "%s", name);
        else
            snprintf(numbered, sizeof(numbered), "%.40s.%d", name, i);
        status = path_join(path, size, lost, numbered);
        if (status == STATUS_OK)
            status = vfs->ops->exists(vfs, path, &exists);
        if (status == STATUS_OK && !exists)
            return STATUS_OK;
    }
    return status == STATUS_OK ? STATUS_EXISTS : status;
}

/* The names in lost/ are there whatever happens next. */
static enum status sync_lost(struct repair *repair)
{
    char lost[PATH_BYTES_MAX];
    enum status status = path_join(lost, sizeof(lost), repair->directory, "lost");
    if (status == STATUS_OK && repair->lost_is_made)
        status = vfs_sync_directory_at(repair->env->vfs, lost, "repair.lost_names");
    return status;
}

/* Moves a file to lost/; nothing happens if it is not there. By a second name and not by a rename,
 * of which a power loss might keep only the half that removes. */
static enum status keep_lost(struct repair *repair, const char *name)
{
    struct vfs *vfs = repair->env->vfs;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    bool exists = false;
    enum status status = path_join(from, sizeof(from), repair->directory, name);
    if (status == STATUS_OK)
        status = vfs->ops->exists(vfs, from, &exists);
    if (status != STATUS_OK || !exists)
        return status;
    status = lost_path(repair, name, to, sizeof(to));
    if (status == STATUS_OK)
        status = vfs->ops->link(vfs, from, to);
    if (status == STATUS_OK)
        status = sync_lost(repair);
    if (status == STATUS_OK)
        status = vfs_remove(vfs, from);
    return status;
}

/* Keeps a copy in lost/ of a file that stays in use. */
static enum status copy_lost(struct repair *repair, const char *name)
{
    struct vfs *vfs = repair->env->vfs;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    struct vfs_file *source = NULL, *copy = NULL;
    uint64_t size = 0;
    enum status status = path_join(from, sizeof(from), repair->directory, name);
    if (status == STATUS_OK)
        status = lost_path(repair, name, to, sizeof(to));
    if (status == STATUS_OK)
        status = vfs_open(vfs, from, VFS_READ, &source);
    if (status == STATUS_OK)
        status = vfs_open(vfs, to, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &copy);
    if (status == STATUS_OK)
        status = vfs_size(source, &size);
    if (status == STATUS_OK)
        status = vfs_copy_bytes(source, copy, size);
    if (status == STATUS_OK)
        status = vfs_sync_at(copy, "repair.copy");
    if (status != STATUS_OK && copy)
        (void)vfs_remove(vfs, to); /* a part of a copy tells nothing; the first failure is told */
    vfs_close(copy);
    vfs_close(source);
    return status;
}

/* ---- 1. The manifest ---------------------------------------------------------------------------
 */

/* The store's id, from the first sound segment of the WAL; a new one if there is none. */
static enum status find_store_id(struct repair *repair)
{
    lsn_t *bases = NULL;
    size_t count = 0;
    uint64_t *store_id = &repair->content.state.store_id;
    enum status status = wal_segment_list(repair->env, repair->directory, &bases, &count);
    for (size_t i = 0; status == STATUS_OK && i < count && *store_id == 0; i++) {
        char path[PATH_BYTES_MAX];
        uint8_t page[WAL_HEADER_BYTES];
        struct wal_header header;
        struct vfs_file *file = NULL;
        wal_segment_path(repair->directory, bases[i], path, sizeof(path));
        status = vfs_open(repair->env->vfs, path, VFS_READ, &file);
        if (status == STATUS_OK)
            status = vfs_read_exactly(file, 0, page, sizeof(page), false);
        if (status == STATUS_OK)
            status = wal_header_decode(page, &header);
        if (status == STATUS_OK)
            *store_id = header.store_id;
        if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
            status = STATUS_OK; /* the next one */
        vfs_close(file);
    }
    while (status == STATUS_OK && *store_id == 0)
        repair->env->random_bytes(repair->env->context, store_id, sizeof(*store_id));
    memory_free(bases);
    return status;
}

static enum status salvage_manifest(struct repair *repair)
{
    char path[PATH_BYTES_MAX];
    struct lsm_report place = {0};
    struct buffer bytes = {0};
    const struct directory_files *files = &repair->files;
    uint64_t number = 0;
    enum status status = manifest_current(repair->env, repair->directory, &number, NULL);
    if (status != STATUS_OK && status != STATUS_CORRUPT && status != STATUS_NOT_FOUND)
        return status;
    if (status != STATUS_OK || !directory_files_has_manifest(files, number))
        number = files->manifest_count ? files->manifests[files->manifest_count - 1] : 0;
    if (number == 0) {
        say(repair, "No manifest is left, so nothing says to which tree a table belongs.");
        return STATUS_CORRUPT;
    }
    manifest_path(repair->directory, number, path, sizeof(path));
    status = vfs_read_file(repair->env->vfs, path, MANIFEST_BYTES_MAX, &bytes);
    if (status == STATUS_OK)
        status = manifest_parse(buffer_slice(&bytes), true, &repair->content, &place);
    buffer_release(&bytes);
    if (status == STATUS_OK && repair->content.tree_count == 0)
        status = STATUS_CORRUPT;
    if (status != STATUS_OK) {
        say(repair, "MANIFEST-%06" PRIu64 " cannot be used: %s.", number,
            place.text[0] ? place.text : status_text(status));
        return status;
    }
    repair->content.number = number;
    say(repair, "MANIFEST-%06" PRIu64 " is used as far as it can be read%s%s.", number,
        place.text[0] ? "; first damage: " : "", place.text);
    return repair->content.state.store_id ? STATUS_OK : find_store_id(repair);
}

static enum status load_manifest(struct repair *repair)
{
    struct lsm_report report = {0};
    const struct directory_files *files = &repair->files;
    enum status status = STATUS_CORRUPT;
    if (files->has_current)
        status = manifest_read(repair->env, repair->directory, files, &repair->content, &report);
    else if (files->manifest_count == 0 && files->table_count == 0 && !files->has_wal)
        return STATUS_NOT_FOUND;
    else
        snprintf(report.text, sizeof(report.text), "CURRENT is missing.");
    if (status != STATUS_CORRUPT) {
        if (status != STATUS_OK)
            say(repair, "%s", report.text[0] ? report.text : status_text(status));
        return status;
    }
    say(repair, "%s", report.text);
    repair->changed = repair->manifest_is_damaged = true;
    return salvage_manifest(repair);
}

/* ---- 2. Tables ---------------------------------------------------------------------------------
 */

static enum status drop_table(struct repair *repair, size_t index, const char *reason)
{
    struct manifest_content *content = &repair->content;
    struct version_edit_table *table = &content->tables[index];
    char name[NAME_BYTES_MAX];
    snprintf(name, sizeof(name), "%06" PRIu64 ".cwt", table->number);
    say(repair,
        "Table %s of tree %s, level %u, is dropped with its %" PRIu64 " entries and %" PRIu64
        " range deletions of LSN %" PRIu64 " to %" PRIu64 ": %s.",
        name, content->trees[table->tree].name, table->level, table->properties.entry_count,
        table->properties.range_delete_count, table->properties.lsn_min, table->properties.lsn_max,
        reason);
    enum status status = keep_lost(repair, name);
    if (status != STATUS_OK)
        return status;
    table_properties_release(&table->properties);
    *table = content->tables[--content->table_count];
    repair->changed = true;
    return STATUS_OK;
}

static enum status check_tables(struct repair *repair)
{
    struct manifest_content *content = &repair->content;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < content->table_count;) {
        struct lsm_report report;
        status = inspect_table(repair->env, repair->directory, repair->codecs, &content->tables[i],
                               &report);
        if (status == STATUS_OK)
            i++;
        else if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
            status = drop_table(repair, i, report.text);
        else
            say(repair, "%s", report.text);
    }
    size_t index;
    while (status == STATUS_OK && (index = inspect_overlap(content)) < content->table_count)
        status = drop_table(repair, index, "a newer table of its level covers its keys");
    return status;
}

/* Tables that only damaged edits had named would go as leftovers at the next open. */
static enum status keep_orphans(struct repair *repair)
{
    const struct manifest_content *content = &repair->content;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < repair->files.table_count; i++) {
        uint64_t number = repair->files.tables[i];
        char name[NAME_BYTES_MAX], path[PATH_BYTES_MAX];
        bool known = false, exists = false;
        for (size_t k = 0; k < content->table_count && !known; k++)
            known = content->tables[k].number == number;
        table_path(repair->directory, number, path, sizeof(path));
        if (!known)
            status = repair->env->vfs->ops->exists(repair->env->vfs, path, &exists);
        if (known || !exists || status != STATUS_OK)
            continue; /* dropped ones have moved already */
        snprintf(name, sizeof(name), "%06" PRIu64 ".cwt", number);
        say(repair, "Table %s is in no readable part of the manifest.", name);
        status = keep_lost(repair, name);
    }
    return status;
}

/* ---- 3. The WAL --------------------------------------------------------------------------------
 */

/* Damaged and later segments go to lost/; the one that the log goes on in stays, as a copy does. */
static enum status keep_lost_segments(struct repair *repair, lsn_t cut, uint64_t *segment_bytes)
{
    lsn_t *bases = NULL;
    size_t count = 0;
    enum status status = wal_segment_list(repair->env, repair->directory, &bases, &count);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        char name[NAME_BYTES_MAX];
        struct wal_segment *segment = NULL;
        bool before = i + 1 < count && bases[i + 1] <= cut;
        if (before)
            continue;
        snprintf(name, sizeof(name), "%016" PRIx64 ".wal", bases[i]);
        status = wal_segment_open(repair->env, repair->directory, bases[i],
                                  repair->content.state.store_id, &segment);
        if (status != STATUS_OK && status != STATUS_CORRUPT && status != STATUS_UNSUPPORTED)
            break; /* that it cannot be read now is no damage */
        if (segment)
            *segment_bytes = segment->header.segment_bytes;
        bool stays = segment && bases[i] <= cut;
        wal_segment_close(segment);
        status = stays ? copy_lost(repair, name) : keep_lost(repair, name);
    }
    memory_free(bases);
    return status;
}

/* Opens the log at the cut under a new epoch and seals it: what was behind never counts again. */
static enum status cut_wal(struct repair *repair, struct wal_tail *tail)
{
    struct version_state *state = &repair->content.state;
    struct wal_options options = {.segment_bytes = SEGMENT_BYTES_DEFAULT};
    struct wal *wal = NULL;
    enum status status = keep_lost_segments(repair, tail->next_lsn, &options.segment_bytes);
    uint64_t epoch = (state->epoch > tail->epoch ? state->epoch : tail->epoch) + 1;
    if (status == STATUS_OK)
        status =
            wal_open(repair->env, repair->directory, &options, state->store_id, tail, epoch, &wal);
    if (status == STATUS_OK)
        status = wal_reserve(wal, 0, true);
    if (status == STATUS_OK) {
        wal_append(wal, (struct slice){0}, 0);
        status = wal_status_cause(wal, wal_sync(wal));
    }
    if (status == STATUS_OK) {
        state->durable_lsn = wal_durable_lsn(wal);
        state->epoch = epoch;
        repair->changed = true;
    }
    wal_close(wal);
    return status;
}

static enum status check_wal(struct repair *repair)
{
    struct lsm_report report;
    struct wal_tail tail;
    enum status status =
        inspect_wal(repair->env, repair->directory, &repair->content, true, &tail, &report);
    if (report.text[0])
        say(repair, "%s", report.text);
    if (status != STATUS_OK || !report.text[0])
        return status;
    return cut_wal(repair, &tail);
}

/* ---- 4. The new manifest
 * ------------------------------------------------------------------------- */

static enum status write_manifest(struct repair *repair)
{
    const struct directory_files *files = &repair->files;
    struct manifest_content *content = &repair->content;
    struct vfs_file *file = NULL;
    uint64_t old_number = content->number, number = content->state.next_number;
    if (files->manifest_count && number <= files->manifests[files->manifest_count - 1])
        number = files->manifests[files->manifest_count - 1] + 1;
    if (files->table_count && number <= files->tables[files->table_count - 1])
        number = files->tables[files->table_count - 1] + 1;
    content->state.next_number = number + 1;
    content->state.clean = false;
    enum status status = sync_lost(repair);
    if (status == STATUS_OK)
        status = manifest_create(repair->env, repair->directory, number, content, &file);
    vfs_close(file);
    if (status != STATUS_OK)
        return status;
    char name[NAME_BYTES_MAX];
    snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, old_number);
    status = keep_lost(repair, name);
    if (status == STATUS_OK)
        say(repair, "MANIFEST-%06" PRIu64 " says what is left; the old one is in lost/.", number);
    return status;
}

static enum status repair_database(struct repair *repair)
{
    enum status status = directory_files_read(repair->env, repair->directory, &repair->files);
    if (status == STATUS_OK)
        status = load_manifest(repair);
    if (status == STATUS_OK)
        status = check_tables(repair);
    if (status == STATUS_OK && repair->manifest_is_damaged)
        status = keep_orphans(repair);
    if (status == STATUS_OK)
        status = check_wal(repair);
    if (status == STATUS_OK && repair->changed)
        status = write_manifest(repair);
    else if (status == STATUS_OK)
        say(repair, "Nothing is damaged; nothing was changed.");
    return status;
}

enum status lsm_repair(const struct env *env, const char *directory,
                       const struct block_codec *const *codecs,
                       void (*each)(void *context, const char *line), void *context)
{
    struct repair repair = {
        .env = env, .directory = directory, .codecs = codecs, .each = each, .context = context};
    struct vfs_file *lock = NULL;
    enum status status = inspect_lock(env, directory, &lock);
    if (status == STATUS_OK)
        status = repair_database(&repair);
    manifest_content_release(&repair.content);
    directory_files_release(&repair.files);
    vfs_close(lock);
    return status;
}
