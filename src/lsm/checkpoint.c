/* SPDX-License-Identifier: MIT */
/* lsm_checkpoint: a database of its own, made of this one while it goes on.
 *
 *   1. directory.tmp     made, or taken over from an attempt that was cut short and emptied; its LOCK
 *                        keeps a second checkpoint out
 *   2. hold the WAL      no segment is recycled until the end
 *   3. pin a version     its tables stay; they hold everything below flushed_lsn
 *   4. sync the WAL      up to the last batch that was appended: its end is the checkpoint's LSN, and
 *                        flushed_lsn is not above it
 *   5. tables            hard links
 *   6. WAL               the segments from flushed_lsn to the LSN, copied up to it, zeros behind
 *   7. manifest          the version, flushed_lsn, the LSN as durable, `clean`: nothing lies behind it;
 *                        CURRENT last
 *   8. rename            directory.tmp -> directory, when all in it is synced; then the parent is
 *
 * Steps 2 and 3 in this order: what a flush releases after the hold lies below the flushed_lsn of the
 * version that is pinned then, or stays. */
#include "lsm/db.h"
#include "lsm/manifest.h"
#include "lsm/wal_segment.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { PATH_BYTES_MAX = 4096 };

struct checkpoint {
    struct lsm *db;
    struct vfs *vfs;
    const char *directory;
    struct lsm_report *report;
    char temporary[PATH_BYTES_MAX], parent[PATH_BYTES_MAX];
    struct vfs_file *lock; /* of the temporary directory; NULL: it is not ours */
    struct version *version;
    struct manifest_content content; /* tables borrowed from the version */
};

/* Says once at which file it failed. */
static enum status failed_at(struct checkpoint *checkpoint, const char *path, enum status status)
{
    struct lsm_report *report = checkpoint->report;
    if (status != STATUS_OK && !report->text[0])
        snprintf(report->text, sizeof(report->text), "%.440s: %s", path, status_text(status));
    return status;
}

static enum status path_join(struct checkpoint *checkpoint, char *path, const char *directory,
                             const char *name)
{
    int length = snprintf(path, PATH_BYTES_MAX, "%s/%s", directory, name);
    bool fits = length >= 0 && length < PATH_BYTES_MAX;
    return fits ? STATUS_OK : failed_at(checkpoint, directory, STATUS_INVALID);
}

/* directory.tmp and the directory that both are in. */
static enum status name_paths(struct checkpoint *checkpoint)
{
    const char *directory = checkpoint->directory;
    size_t end = strlen(directory);
    while (end > 1 && directory[end - 1] == '/')
        end--;
    const char *slash = memrchr(directory, '/', end);
    size_t parent = slash ? (size_t)(slash - directory) : 0;
    /* A table's name, with its slash, is shorter than this. */
    if (end == 0 || end + 64 > PATH_BYTES_MAX)
        return failed_at(checkpoint, directory, STATUS_INVALID);
    snprintf(checkpoint->temporary, PATH_BYTES_MAX, "%.*s.tmp", (int)end, directory);
    if (slash)
        snprintf(checkpoint->parent, PATH_BYTES_MAX, "%.*s", parent ? (int)parent : 1, directory);
    else
        snprintf(checkpoint->parent, PATH_BYTES_MAX, ".");
    return STATUS_OK;
}

/* ---- The temporary directory --------------------------------------------------------------- */

static void collect_name(void *context, const char *name)
{
    buffer_append(context, name, strlen(name) + 1);
}

/* Removes all files of the directory but LOCK, which is the last to go. */
static enum status empty_directory(struct checkpoint *checkpoint)
{
    char path[PATH_BYTES_MAX];
    struct buffer names = {0};
    enum status status =
        checkpoint->vfs->ops->list(checkpoint->vfs, checkpoint->temporary, collect_name, &names);
    failed_at(checkpoint, checkpoint->temporary, status);
    for (size_t at = 0; status == STATUS_OK && at < names.size;) {
        const char *name = (const char *)names.data + at;
        at += strlen(name) + 1;
        status = path_join(checkpoint, path, checkpoint->temporary, name);
        if (status == STATUS_OK && strcmp(name, "LOCK") != 0)
            status = failed_at(checkpoint, path, vfs_remove(checkpoint->vfs, path));
    }
    buffer_release(&names);
    return status;
}

static enum status begin_directory(struct checkpoint *checkpoint)
{
    struct vfs *vfs = checkpoint->vfs;
    char path[PATH_BYTES_MAX];
    bool exists = false;
    enum status status = vfs->ops->exists(vfs, checkpoint->directory, &exists);
    if (status == STATUS_OK && exists)
        status = STATUS_EXISTS;
    if (status != STATUS_OK)
        return failed_at(checkpoint, checkpoint->directory, status);
    status = vfs->ops->make_directory(vfs, checkpoint->temporary);
    bool is_left_over = status == STATUS_EXISTS;
    if (status != STATUS_OK && !is_left_over)
        return failed_at(checkpoint, checkpoint->temporary, status);
    status = path_join(checkpoint, path, checkpoint->temporary, "LOCK");
    if (status == STATUS_OK)
        status = failed_at(checkpoint, path, vfs->ops->lock(vfs, path, &checkpoint->lock));
    if (status == STATUS_OK && is_left_over)
        status = empty_directory(checkpoint);
    if (status != STATUS_OK && !checkpoint->lock && !is_left_over)
        (void)vfs->ops->remove_directory(vfs,
                                         checkpoint->temporary); /* else the next one does it */
    return status;
}

/* After a failure. What cannot be removed now is swept by the next checkpoint of this name. */
static void remove_all(struct checkpoint *checkpoint)
{
    struct vfs *vfs = checkpoint->vfs;
    char path[PATH_BYTES_MAX];
    bool is_temporary = false, is_there = false;
    if (!checkpoint->lock)
        return;
    /* A rename can have happened although it was said to have failed, or be what cannot be relied
     * on: then the directory goes back to its temporary name first. */
    if (vfs->ops->exists(vfs, checkpoint->temporary, &is_temporary) == STATUS_OK && !is_temporary &&
        vfs->ops->exists(vfs, checkpoint->directory, &is_there) == STATUS_OK && is_there)
        (void)vfs_rename(vfs, checkpoint->directory, checkpoint->temporary);
    if (empty_directory(checkpoint) != STATUS_OK ||
        path_join(checkpoint, path, checkpoint->temporary, "LOCK") != STATUS_OK)
        return;
    if (vfs_remove(vfs, path) == STATUS_OK)
        (void)vfs->ops->remove_directory(vfs, checkpoint->temporary);
}

/* ---- Its content --------------------------------------------------------------------------- */

static enum status link_tables(struct checkpoint *checkpoint)
{
    const struct manifest_content *content = &checkpoint->content;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < content->table_count; i++) {
        char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
        table_path(checkpoint->db->directory, content->tables[i].number, from, sizeof(from));
        table_path(checkpoint->temporary, content->tables[i].number, to, sizeof(to));
        status = checkpoint->vfs->ops->link(checkpoint->vfs, from, to);
        failed_at(checkpoint, to, status);
    }
    return status;
}

/* The bytes below `end`, which never change again, and zeros: the log can be gone on with there. */
static enum status copy_segment(struct checkpoint *checkpoint, const struct wal_header *header,
                                lsn_t end)
{
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    struct vfs_file *source = NULL, *copy = NULL;
    struct vfs *vfs = checkpoint->vfs;
    uint64_t size =
        end < wal_header_end(header) ? wal_header_offset(header, end) : header->segment_bytes;
    wal_segment_path(checkpoint->db->directory, header->base, from, sizeof(from));
    wal_segment_path(checkpoint->temporary, header->base, to, sizeof(to));
    enum status status = failed_at(checkpoint, from, vfs_open(vfs, from, VFS_READ, &source));
    if (status == STATUS_OK)
        status = vfs_open(vfs, to, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &copy);
    if (status == STATUS_OK)
        status = vfs_copy_bytes(source, copy, size);
    if (status == STATUS_OK)
        status = wal_segment_fill(copy, size, header->segment_bytes);
    if (status == STATUS_OK)
        status = vfs_sync_at(copy, "checkpoint.segment");
    vfs_close(source);
    vfs_close(copy);
    return failed_at(checkpoint, to, status);
}

static enum status copy_wal(struct checkpoint *checkpoint)
{
    const struct version_state *state = &checkpoint->content.state;
    struct wal_header *headers = NULL;
    size_t count = 0;
    enum status status = STATUS_OK;
    wal_headers_between(checkpoint->db->wal, state->flushed_lsn, state->durable_lsn, &headers,
                        &count);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = copy_segment(checkpoint, &headers[i], state->durable_lsn);
    memory_free(headers);
    return status;
}

static enum status write_manifest(struct checkpoint *checkpoint)
{
    struct vfs_file *file = NULL;
    struct manifest_content *content = &checkpoint->content;
    uint64_t number = content->state.next_number++;
    enum status status =
        manifest_create(&checkpoint->db->env, checkpoint->temporary, number, content, &file);
    vfs_close(file);
    return failed_at(checkpoint, checkpoint->temporary, status);
}

static enum status fill_directory(struct checkpoint *checkpoint)
{
    struct lsm *db = checkpoint->db;
    version_set_describe(db->versions, &checkpoint->version, &checkpoint->content);
    struct version_state *state = &checkpoint->content.state;
    state->durable_lsn = wal_fence(db->wal);
    state->clean = true;
    assert(state->flushed_lsn <= state->durable_lsn);
    enum status status = failed_at(checkpoint, db->directory, lsm_wal_sync(db));
    if (status != STATUS_OK)
        return status;
    assert(state->durable_lsn <= wal_durable_lsn(db->wal));
    status = link_tables(checkpoint);
    if (status == STATUS_OK)
        status = copy_wal(checkpoint);
    return status == STATUS_OK ? write_manifest(checkpoint) : status;
}

/* The directory's own entries were synced behind CURRENT. */
static enum status publish(struct checkpoint *checkpoint)
{
    enum status status = vfs_rename(checkpoint->vfs, checkpoint->temporary, checkpoint->directory);
    if (status == STATUS_OK)
        status = vfs_sync_directory_at(checkpoint->vfs, checkpoint->parent, "checkpoint.parent");
    return failed_at(checkpoint, checkpoint->directory, status);
}

enum status lsm_checkpoint(struct lsm *db, const char *directory, struct lsm_report *report)
{
    struct lsm_report ignored;
    struct checkpoint checkpoint = {
        .db = db,
        .vfs = db->env.vfs,
        .directory = directory,
        .report = report ? report : &ignored,
    };
    checkpoint.report->text[0] = 0;
    if (db->options.read_only)
        return failed_at(&checkpoint, db->directory, STATUS_READ_ONLY);
    enum status status = name_paths(&checkpoint);
    if (status == STATUS_OK)
        status = begin_directory(&checkpoint);
    if (status == STATUS_OK) {
        wal_hold(db->wal);
        status = fill_directory(&checkpoint);
        wal_unhold(db->wal);
    }
    if (status == STATUS_OK)
        status = publish(&checkpoint);
    if (status != STATUS_OK)
        remove_all(&checkpoint);
    memory_free(checkpoint.content.tables);
    version_unref(checkpoint.version);
    vfs_close(checkpoint.lock);
    return status;
}
