/* SPDX-License-Identifier: MIT */
/* Inodes and directories in memory, each with what is durable and what is not.
 *
 *   file       current bytes  = durable bytes  + changes since the last sync, in order
 *   directory  current names  = durable names  + changes since the last sync, in order
 *
 * A sync applies the changes to the durable side. A power loss makes a new file system of the durable
 * side and of those changes that the mode and the seed let survive. As POSIX promises and no more:
 * syncing a file does not make its name durable, syncing a directory does not make its files' bytes
 * durable, and unsynced changes survive in any combination. A rename within a directory survives whole
 * or not at all; one between two directories is a change of each.
 *
 * One mutex a file system guards everything below it; inodes are counted, since names, changes and
 * open files share them. */
#include "vfs/vfs_memory.h"

#include "base/memory.h"
#include "base/random.h"

#include <assert.h>
#include <pthread.h>

enum { SECTOR_BYTES = 512, MEMORY_NAME_BYTES_MAX = 255 };

struct memory_inode;

/* Names of a directory; in no order. A name's inode is referenced. */
struct memory_name {
    char *name;
    struct memory_inode *inode;
};
struct memory_names {
    struct memory_name *list;
    size_t count, capacity;
};

enum memory_change_kind {
    CHANGE_WRITE,    /* offset, bytes */
    CHANGE_TRUNCATE, /* offset = the new size */
    CHANGE_NAME,     /* `removed` goes (if not NULL), then `name` means `inode` (if not NULL) */
};
struct memory_change {
    enum memory_change_kind kind;
    uint64_t offset;
    struct buffer bytes;
    char *removed, *name;
    struct memory_inode *inode;
};

struct memory_inode {
    uint64_t id; /* in order of creation, so that a seed decides the same in every run */
    unsigned references;
    bool is_directory, is_locked;
    struct buffer data, durable_data;           /* of a file */
    struct memory_names names, durable_names;   /* of a directory */
    struct memory_change *changes;
    size_t change_count, change_capacity;
};

struct memory_vfs {
    struct vfs base;
    pthread_mutex_t mutex; /* guards all inodes and the fields below */
    struct memory_inode *root;
    uint64_t next_inode_id;
    uint64_t sync_count;
    unsigned open_count;
};

struct memory_file {
    struct vfs_file base;
    struct memory_vfs *vfs;
    struct memory_inode *inode;
    bool has_lock;
};

/* ---- Inodes and names ---------------------------------------------------------------------- */

static struct memory_inode *inode_create(struct memory_vfs *memory, bool is_directory)
{
    struct memory_inode *inode = memory_zeroed(1, sizeof *inode);
    inode->id = memory->next_inode_id++;
    inode->references = 1;
    inode->is_directory = is_directory;
    return inode;
}

static void inode_unref(struct memory_inode *inode);

static char *text_copy(const char *text)
{
    return text ? memory_copy(text, strlen(text) + 1) : NULL;
}

static struct memory_name *names_find(const struct memory_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].name, name) == 0)
            return &names->list[i];
    }
    return NULL;
}

static void names_remove(struct memory_names *names, const char *name)
{
    struct memory_name *found = names_find(names, name);
    if (!found)
        return;
    memory_free(found->name);
    inode_unref(found->inode);
    *found = names->list[--names->count];
}

static void names_set(struct memory_names *names, const char *name, struct memory_inode *inode)
{
    inode->references++;
    names_remove(names, name);
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? names->capacity * 2 : 8;
        names->list = memory_resize(names->list, names->capacity * sizeof *names->list);
    }
    names->list[names->count++] = (struct memory_name){text_copy(name), inode};
}

static void names_release(struct memory_names *names)
{
    while (names->count > 0)
        names_remove(names, names->list[names->count - 1].name);
    memory_free(names->list);
}

static void names_apply(struct memory_names *names, const struct memory_change *change)
{
    assert(change->kind == CHANGE_NAME);
    if (change->removed)
        names_remove(names, change->removed);
    if (change->name)
        names_set(names, change->name, change->inode);
}

/* ---- Bytes --------------------------------------------------------------------------------- */

static void data_resize(struct buffer *data, uint64_t size)
{
    if (size > data->size) {
        buffer_reserve(data, (size_t)size - data->size);
        memset(data->data + data->size, 0, (size_t)size - data->size);
    }
    data->size = (size_t)size;
}

static void data_write(struct buffer *data, uint64_t offset, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    if (data->size < offset + size)
        data_resize(data, offset + size);
    memcpy(data->data + offset, bytes, size);
}

static void data_apply(struct buffer *data, const struct memory_change *change)
{
    assert(change->kind == CHANGE_WRITE || change->kind == CHANGE_TRUNCATE);
    if (change->kind == CHANGE_WRITE)
        data_write(data, change->offset, change->bytes.data, change->bytes.size);
    else
        data_resize(data, change->offset);
}

/* ---- Changes ------------------------------------------------------------------------------- */

/* A change to fill in. The caller has applied it to the current side, or does so next. */
static struct memory_change *inode_add_change(struct memory_inode *inode,
                                              enum memory_change_kind kind)
{
    if (inode->change_count == inode->change_capacity) {
        inode->change_capacity = inode->change_capacity ? inode->change_capacity * 2 : 8;
        inode->changes =
            memory_resize(inode->changes, inode->change_capacity * sizeof *inode->changes);
    }
    struct memory_change *change = &inode->changes[inode->change_count++];
    *change = (struct memory_change){.kind = kind};
    return change;
}

static void directory_change(struct memory_inode *directory, const char *removed, const char *name,
                             struct memory_inode *inode)
{
    assert(directory->is_directory);
    struct memory_change *change = inode_add_change(directory, CHANGE_NAME);
    change->removed = text_copy(removed);
    change->name = text_copy(name);
    change->inode = inode;
    if (inode)
        inode->references++;
    names_apply(&directory->names, change);
}

static void inode_forget_changes(struct memory_inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        struct memory_change *change = &inode->changes[i];
        buffer_release(&change->bytes);
        memory_free(change->removed);
        memory_free(change->name);
        if (change->inode)
            inode_unref(change->inode);
    }
    inode->change_count = 0;
}

static void inode_sync(struct memory_inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        if (inode->is_directory)
            names_apply(&inode->durable_names, &inode->changes[i]);
        else
            data_apply(&inode->durable_data, &inode->changes[i]);
    }
    inode_forget_changes(inode);
}

static void inode_unref(struct memory_inode *inode)
{
    assert(inode->references > 0);
    if (--inode->references > 0)
        return;
    inode_forget_changes(inode);
    memory_free(inode->changes);
    names_release(&inode->names);
    names_release(&inode->durable_names);
    buffer_release(&inode->data);
    buffer_release(&inode->durable_data);
    memory_free(inode);
}

/* ---- Paths --------------------------------------------------------------------------------- */

/* Takes the next name off *path; false at the end. Empty names and "." are skipped. */
static bool path_next(const char **path, char *name)
{
    for (;;) {
        *path += strspn(*path, "/");
        size_t length = strcspn(*path, "/");
        if (length == 0)
            return false;
        assert(length <= MEMORY_NAME_BYTES_MAX);
        const char *at = *path;
        *path += length;
        if (length == 1 && *at == '.')
            continue;
        memcpy(name, at, length);
        name[length] = 0;
        return true;
    }
}

/* The directory that holds the path's last name, and that name ("" for the root); NULL: missing. */
static struct memory_inode *path_parent(struct memory_vfs *memory, const char *path, char *last)
{
    struct memory_inode *at = memory->root;
    char next[MEMORY_NAME_BYTES_MAX + 1];
    last[0] = 0;
    if (!path_next(&path, last))
        return at;
    while (path_next(&path, next)) {
        struct memory_name *found = names_find(&at->names, last);
        if (!found || !found->inode->is_directory)
            return NULL;
        at = found->inode;
        strcpy(last, next);
    }
    return at;
}

static struct memory_inode *path_find(struct memory_vfs *memory, const char *path)
{
    char last[MEMORY_NAME_BYTES_MAX + 1];
    struct memory_inode *parent = path_parent(memory, path, last);
    if (!parent || last[0] == 0)
        return parent;
    struct memory_name *found = names_find(&parent->names, last);
    return found ? found->inode : NULL;
}

/* ---- Files --------------------------------------------------------------------------------- */

static struct memory_file *memory_file_of(struct vfs_file *file)
{
    return (struct memory_file *)file;
}

static void memory_close(struct vfs_file *base)
{
    struct memory_file *file = memory_file_of(base);
    struct memory_vfs *memory = file->vfs;
    pthread_mutex_lock(&memory->mutex);
    if (file->has_lock)
        file->inode->is_locked = false;
    inode_unref(file->inode);
    assert(memory->open_count > 0);
    memory->open_count--;
    pthread_mutex_unlock(&memory->mutex);
    memory_free(file);
}

static enum status memory_read_at(struct vfs_file *base, uint64_t offset, void *data, size_t size,
                                  bool nowait, size_t *got)
{
    (void)nowait; /* memory is no device */
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    const struct buffer *bytes = &file->inode->data;
    size_t left = offset < bytes->size ? bytes->size - (size_t)offset : 0;
    size_t count = size < left ? size : left;
    if (count)
        memcpy(data, bytes->data + offset, count);
    pthread_mutex_unlock(&file->vfs->mutex);
    *got = count;
    return STATUS_OK;
}

static enum status memory_write_at(struct vfs_file *base, uint64_t offset, const void *data,
                                   size_t size)
{
    struct memory_file *file = memory_file_of(base);
    if (size == 0)
        return STATUS_OK;
    pthread_mutex_lock(&file->vfs->mutex);
    struct memory_change *change = inode_add_change(file->inode, CHANGE_WRITE);
    change->offset = offset;
    buffer_append(&change->bytes, data, size);
    data_apply(&file->inode->data, change);
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static enum status memory_sync(struct vfs_file *base, const char *site)
{
    (void)site;
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    inode_sync(file->inode);
    file->vfs->sync_count++;
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static void file_resize(struct memory_inode *inode, uint64_t size)
{
    struct memory_change *change = inode_add_change(inode, CHANGE_TRUNCATE);
    change->offset = size;
    data_apply(&inode->data, change);
}

static enum status memory_truncate(struct vfs_file *base, uint64_t size)
{
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    file_resize(file->inode, size);
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static enum status memory_size(struct vfs_file *base, uint64_t *size)
{
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    *size = file->inode->data.size;
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static const struct vfs_file_ops memory_file_ops = {
    .close = memory_close,
    .read_at = memory_read_at,
    .write_at = memory_write_at,
    .sync = memory_sync,
    .truncate = memory_truncate,
    .size = memory_size,
};

/* ---- Directories --------------------------------------------------------------------------- */

static struct memory_vfs *memory_of(struct vfs *vfs)
{
    return (struct memory_vfs *)vfs;
}

static struct memory_file *memory_file_create(struct memory_vfs *memory, struct memory_inode *inode)
{
    struct memory_file *file = memory_zeroed(1, sizeof *file);
    file->base.ops = &memory_file_ops;
    file->vfs = memory;
    file->inode = inode;
    inode->references++;
    memory->open_count++;
    return file;
}

static enum status memory_find_or_make(struct memory_vfs *memory, const char *path, unsigned flags,
                                       struct memory_inode **inode)
{
    char name[MEMORY_NAME_BYTES_MAX + 1];
    struct memory_inode *parent = path_parent(memory, path, name);
    if (!parent)
        return STATUS_NOT_FOUND;
    if (name[0] == 0)
        return STATUS_IO; /* the root is no file */
    struct memory_name *found = names_find(&parent->names, name);
    if (found) {
        if (flags & VFS_EXCLUSIVE)
            return STATUS_EXISTS;
        if (found->inode->is_directory)
            return STATUS_IO;
        *inode = found->inode;
        return STATUS_OK;
    }
    if (!(flags & VFS_CREATE))
        return STATUS_NOT_FOUND;
    *inode = inode_create(memory, false);
    directory_change(parent, NULL, name, *inode);
    inode_unref(*inode); /* the name holds it now */
    return STATUS_OK;
}

static enum status memory_open(struct vfs *vfs, const char *path, unsigned flags,
                               struct vfs_file **file)
{
    assert(flags & (VFS_READ | VFS_WRITE));
    assert((flags & VFS_WRITE) || !(flags & (VFS_CREATE | VFS_TRUNCATE)));
    struct memory_vfs *memory = memory_of(vfs);
    struct memory_inode *inode = NULL;
    pthread_mutex_lock(&memory->mutex);
    enum status status = memory_find_or_make(memory, path, flags, &inode);
    if (status == STATUS_OK) {
        if ((flags & VFS_TRUNCATE) && inode->data.size > 0)
            file_resize(inode, 0);
        *file = &memory_file_create(memory, inode)->base;
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_remove_kind(struct vfs *vfs, const char *path, bool directory)
{
    struct memory_vfs *memory = memory_of(vfs);
    char name[MEMORY_NAME_BYTES_MAX + 1];
    enum status status = STATUS_OK;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *parent = path_parent(memory, path, name);
    struct memory_name *found = parent ? names_find(&parent->names, name) : NULL;
    if (!found)
        status = STATUS_NOT_FOUND;
    else if (found->inode->is_directory != directory)
        status = STATUS_IO;
    else if (directory && found->inode->names.count > 0)
        status = STATUS_EXISTS;
    else
        directory_change(parent, name, NULL, NULL);
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_remove(struct vfs *vfs, const char *path)
{
    return memory_remove_kind(vfs, path, false);
}

static enum status memory_remove_directory(struct vfs *vfs, const char *path)
{
    return memory_remove_kind(vfs, path, true);
}

static enum status memory_rename(struct vfs *vfs, const char *from, const char *to)
{
    struct memory_vfs *memory = memory_of(vfs);
    char from_name[MEMORY_NAME_BYTES_MAX + 1], to_name[MEMORY_NAME_BYTES_MAX + 1];
    enum status status = STATUS_NOT_FOUND;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *from_parent = path_parent(memory, from, from_name);
    struct memory_inode *to_parent = path_parent(memory, to, to_name);
    struct memory_name *found = from_parent ? names_find(&from_parent->names, from_name) : NULL;
    if (!found || !to_parent || to_name[0] == 0)
        goto done;
    status = STATUS_OK;
    struct memory_inode *inode = found->inode;
    struct memory_name *replaced = names_find(&to_parent->names, to_name);
    if (replaced && replaced->inode == inode)
        goto done; /* POSIX: two names of one file, nothing happens */
    if (replaced && (replaced->inode->is_directory || inode->is_directory)) {
        status = STATUS_EXISTS;
        goto done;
    }
    if (from_parent == to_parent) {
        directory_change(from_parent, from_name, to_name, inode);
    } else {
        directory_change(to_parent, NULL, to_name, inode);
        directory_change(from_parent, from_name, NULL, NULL);
    }
done:
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_link(struct vfs *vfs, const char *from, const char *to)
{
    struct memory_vfs *memory = memory_of(vfs);
    char name[MEMORY_NAME_BYTES_MAX + 1];
    enum status status = STATUS_OK;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, from);
    struct memory_inode *parent = path_parent(memory, to, name);
    if (!inode || !parent)
        status = STATUS_NOT_FOUND;
    else if (inode->is_directory)
        status = STATUS_IO;
    else if (name[0] == 0 || names_find(&parent->names, name))
        status = STATUS_EXISTS;
    else
        directory_change(parent, NULL, name, inode);
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_make_directory(struct vfs *vfs, const char *path)
{
    struct memory_vfs *memory = memory_of(vfs);
    char name[MEMORY_NAME_BYTES_MAX + 1];
    enum status status = STATUS_OK;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *parent = path_parent(memory, path, name);
    if (!parent) {
        status = STATUS_NOT_FOUND;
    } else if (name[0] == 0 || names_find(&parent->names, name)) {
        status = STATUS_EXISTS;
    } else {
        struct memory_inode *made = inode_create(memory, true);
        directory_change(parent, NULL, name, made);
        inode_unref(made); /* the name holds it now */
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_sync_directory(struct vfs *vfs, const char *path, const char *site)
{
    (void)site;
    struct memory_vfs *memory = memory_of(vfs);
    enum status status = STATUS_OK;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, path);
    if (!inode) {
        status = STATUS_NOT_FOUND;
    } else if (!inode->is_directory) {
        status = STATUS_IO;
    } else {
        inode_sync(inode);
        memory->sync_count++;
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

/* The names are copied first, so that `each` may call this file system. */
static enum status memory_list(struct vfs *vfs, const char *path,
                               void (*each)(void *context, const char *name), void *context)
{
    struct memory_vfs *memory = memory_of(vfs);
    struct buffer names = {0};
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, path);
    if (inode && inode->is_directory) {
        for (size_t i = 0; i < inode->names.count; i++) {
            const char *name = inode->names.list[i].name;
            buffer_append(&names, name, strlen(name) + 1);
        }
    }
    enum status status = !inode                ? STATUS_NOT_FOUND
                         : inode->is_directory ? STATUS_OK
                                               : STATUS_IO;
    pthread_mutex_unlock(&memory->mutex);
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1)
        each(context, (const char *)names.data + at);
    buffer_release(&names);
    return status;
}

static enum status memory_exists(struct vfs *vfs, const char *path, bool *exists)
{
    struct memory_vfs *memory = memory_of(vfs);
    pthread_mutex_lock(&memory->mutex);
    *exists = path_find(memory, path) != NULL;
    pthread_mutex_unlock(&memory->mutex);
    return STATUS_OK;
}

static enum status memory_lock(struct vfs *vfs, const char *path, struct vfs_file **out)
{
    struct memory_vfs *memory = memory_of(vfs);
    struct memory_inode *inode = NULL;
    pthread_mutex_lock(&memory->mutex);
    enum status status = memory_find_or_make(memory, path, VFS_WRITE | VFS_CREATE, &inode);
    if (status == STATUS_OK && inode->is_locked)
        status = STATUS_BUSY;
    if (status == STATUS_OK) {
        struct memory_file *file = memory_file_create(memory, inode);
        file->has_lock = true;
        inode->is_locked = true;
        *out = &file->base;
    }
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

static enum status memory_free_bytes(struct vfs *vfs, const char *path, uint64_t *bytes)
{
    (void)vfs;
    (void)path;
    *bytes = UINT64_MAX; /* a limit is vfs_fault's business */
    return STATUS_OK;
}

/* A name, current or durable, may stand for a directory that lists its own directory's changes; no
 * cycle exists, since directories have one name and are never renamed into themselves. */
static void memory_destroy(struct vfs *vfs)
{
    struct memory_vfs *memory = memory_of(vfs);
    assert(memory->open_count == 0);
    inode_unref(memory->root);
    pthread_mutex_destroy(&memory->mutex);
    memory_free(memory);
}

struct vfs *vfs_memory_create(void)
{
    static const struct vfs_ops ops = {
        .open = memory_open,
        .remove = memory_remove,
        .rename = memory_rename,
        .link = memory_link,
        .make_directory = memory_make_directory,
        .remove_directory = memory_remove_directory,
        .sync_directory = memory_sync_directory,
        .list = memory_list,
        .exists = memory_exists,
        .lock = memory_lock,
        .free_bytes = memory_free_bytes,
        .destroy = memory_destroy,
    };
    struct memory_vfs *memory = memory_zeroed(1, sizeof *memory);
    memory->base.ops = &ops;
    pthread_mutex_init(&memory->mutex, NULL);
    memory->root = inode_create(memory, true);
    return &memory->base;
}

/* ---- Power loss ---------------------------------------------------------------------------- */

/* Which inode of the old file system became which of the new one: hard links stay links. */
struct power_loss {
    enum vfs_power_loss mode;
    uint64_t seed;
    struct memory_vfs *after;
    struct {
        const struct memory_inode *old;
        struct memory_inode *new;
    } *copies;
    size_t copy_count;
};

/* The same choices for an inode whatever else there is. */
static void power_loss_random(const struct power_loss *loss, const struct memory_inode *inode,
                              struct random *random)
{
    random_init(random, loss->seed * 0x9e3779b97f4a7c15u + inode->id);
}

static bool power_loss_survives(const struct power_loss *loss, struct random *random)
{
    switch (loss->mode) {
    case VFS_LOSE_UNSYNCED:
        return false;
    case VFS_KEEP_ALL:
        return true;
    case VFS_TEAR:
    case VFS_REORDER:
        break;
    }
    return random_below(random, 2) == 1;
}

static uint64_t data_sector_count(const struct memory_inode *file)
{
    uint64_t end = 0;
    for (size_t i = 0; i < file->change_count; i++) {
        uint64_t change_end = file->changes[i].offset + file->changes[i].bytes.size;
        end = change_end > end ? change_end : end;
    }
    return end / SECTOR_BYTES + 1;
}

/* A device writes whole sectors as the cache holds them at that moment: each sector is found as it was
 * after some number of the unsynced writes that touch it. */
static void power_loss_tear(const struct memory_inode *file, struct random *random,
                            struct buffer *data)
{
    uint64_t sector_count = data_sector_count(file);
    uint32_t *left = memory_zeroed(sector_count, sizeof *left);
    for (size_t i = 0; i < file->change_count; i++) {
        const struct memory_change *change = &file->changes[i];
        uint64_t end = change->offset + change->bytes.size;
        for (uint64_t at = change->offset; at < end; at = (at / SECTOR_BYTES + 1) * SECTOR_BYTES)
            left[at / SECTOR_BYTES]++;
    }
    for (uint64_t s = 0; s < sector_count; s++)
        left[s] = (uint32_t)random_below(random, left[s] + 1u);
    for (size_t i = 0; i < file->change_count; i++) {
        const struct memory_change *change = &file->changes[i];
        if (change->kind == CHANGE_TRUNCATE) {
            if (random_below(random, 2) == 1)
                data_resize(data, change->offset);
            continue;
        }
        uint64_t end = change->offset + change->bytes.size, next;
        for (uint64_t at = change->offset; at < end; at = next) {
            next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            next = next < end ? next : end;
            if (left[at / SECTOR_BYTES] == 0)
                continue;
            left[at / SECTOR_BYTES]--;
            data_write(data, at, change->bytes.data + (at - change->offset), (size_t)(next - at));
        }
    }
    memory_free(left);
}

static void power_loss_file(const struct power_loss *loss, const struct memory_inode *old,
                            struct buffer *data)
{
    struct random random;
    power_loss_random(loss, old, &random);
    buffer_append(data, old->durable_data.data, old->durable_data.size);
    if (loss->mode == VFS_TEAR) {
        power_loss_tear(old, &random, data);
    } else {
        for (size_t i = 0; i < old->change_count; i++) {
            if (power_loss_survives(loss, &random))
                data_apply(data, &old->changes[i]);
        }
    }
    /* The size may have reached the medium without the bytes; then zeros stand there. */
    if (data->size < old->data.size && power_loss_survives(loss, &random))
        data_resize(data, old->data.size);
}

static struct memory_inode *power_loss_copy(struct power_loss *loss,
                                            const struct memory_inode *old);

static void power_loss_directory(struct power_loss *loss, const struct memory_inode *old,
                                 struct memory_names *names)
{
    struct memory_names survivors = {0};
    struct random random;
    power_loss_random(loss, old, &random);
    for (size_t i = 0; i < old->durable_names.count; i++)
        names_set(&survivors, old->durable_names.list[i].name, old->durable_names.list[i].inode);
    for (size_t i = 0; i < old->change_count; i++) {
        if (power_loss_survives(loss, &random))
            names_apply(&survivors, &old->changes[i]);
    }
    for (size_t i = 0; i < survivors.count; i++)
        names_set(names, survivors.list[i].name, power_loss_copy(loss, survivors.list[i].inode));
    names_release(&survivors);
}

static void names_copy(const struct memory_names *from, struct memory_names *to)
{
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->list[i].name, from->list[i].inode);
}

/* The new inode belongs to loss->copies; names add their own references. */
static struct memory_inode *power_loss_copy(struct power_loss *loss, const struct memory_inode *old)
{
    for (size_t i = 0; i < loss->copy_count; i++) {
        if (loss->copies[i].old == old)
            return loss->copies[i].new;
    }
    struct memory_inode *new = inode_create(loss->after, old->is_directory);
    loss->copies = memory_resize(loss->copies, (loss->copy_count + 1) * sizeof *loss->copies);
    loss->copies[loss->copy_count].old = old;
    loss->copies[loss->copy_count].new = new;
    loss->copy_count++;
    if (old->is_directory) {
        power_loss_directory(loss, old, &new->names);
        names_copy(&new->names, &new->durable_names);
    } else {
        power_loss_file(loss, old, &new->data);
        buffer_append(&new->durable_data, new->data.data, new->data.size);
    }
    return new;
}

struct vfs *vfs_memory_after_power_loss(struct vfs *vfs, enum vfs_power_loss mode, uint64_t seed)
{
    struct memory_vfs *before = memory_of(vfs);
    struct memory_vfs *after = memory_of(vfs_memory_create());
    struct power_loss loss = {.mode = mode, .seed = seed, .after = after};
    inode_unref(after->root);
    pthread_mutex_lock(&before->mutex);
    after->root = power_loss_copy(&loss, before->root);
    pthread_mutex_unlock(&before->mutex);
    for (size_t i = 0; i < loss.copy_count; i++) {
        if (loss.copies[i].new != after->root)
            inode_unref(loss.copies[i].new); /* names hold it now */
    }
    memory_free(loss.copies);
    return &after->base;
}

uint64_t vfs_memory_sync_count(struct vfs *vfs)
{
    struct memory_vfs *memory = memory_of(vfs);
    pthread_mutex_lock(&memory->mutex);
    uint64_t count = memory->sync_count;
    pthread_mutex_unlock(&memory->mutex);
    return count;
}

uint64_t vfs_memory_unsynced_bytes(struct vfs *vfs, const char *path)
{
    struct memory_vfs *memory = memory_of(vfs);
    uint64_t bytes = 0;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, path);
    for (size_t i = 0; inode && i < inode->change_count; i++)
        bytes += inode->changes[i].bytes.size;
    pthread_mutex_unlock(&memory->mutex);
    return bytes;
}

enum status vfs_memory_flip(struct vfs *vfs, const char *path, uint64_t offset, uint8_t mask)
{
    struct memory_vfs *memory = memory_of(vfs);
    enum status status = STATUS_OK;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, path);
    if (!inode || inode->is_directory)
        status = STATUS_NOT_FOUND;
    else if (offset >= inode->data.size)
        status = STATUS_INVALID;
    else
        inode->data.data[offset] ^= mask;
    if (status == STATUS_OK && offset < inode->durable_data.size)
        inode->durable_data.data[offset] ^= mask;
    pthread_mutex_unlock(&memory->mutex);
    return status;
}
