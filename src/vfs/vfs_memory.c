/* SPDX-License-Identifier: MIT */
/* Paths, files and directories of the file system in memory. As POSIX promises and no more: syncing
 * a file does not make its name durable, syncing a directory does not make its files' bytes
 * durable, and unsynced changes survive in any combination (vfs_power_loss.c). */
#include "vfs/vfs_memory.h"

#include "base/memory.h"
#include "vfs/memory_inode.h"

#include <assert.h>

enum { MEMORY_NAME_BYTES_MAX = 255 };

struct memory_file {
    struct vfs_file base;
    struct memory_vfs *vfs;
    struct memory_inode *inode;
    bool has_lock;
};

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
        struct memory_name *found = memory_names_find(&at->names, last);
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
    struct memory_name *found = memory_names_find(&parent->names, last);
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
    memory_inode_unref(file->inode);
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
    *got = memory_data_read(&file->inode->data, offset, data, size);
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static enum status memory_write_at(struct vfs_file *base, uint64_t offset, const void *data,
                                   size_t size)
{
    struct memory_file *file = memory_file_of(base);
    if (size == 0)
        return STATUS_OK;
    pthread_mutex_lock(&file->vfs->mutex);
    struct memory_change *change = memory_inode_add_change(file->inode, CHANGE_WRITE);
    change->offset = offset;
    memory_change_set_bytes(change, data, size);
    memory_data_apply(&file->inode->data, change);
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static enum status memory_sync(struct vfs_file *base, const char *site)
{
    (void)site;
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    memory_inode_sync(file->inode);
    file->vfs->sync_count++;
    pthread_mutex_unlock(&file->vfs->mutex);
    return STATUS_OK;
}

static void file_resize(struct memory_inode *inode, uint64_t size)
{
    struct memory_change *change = memory_inode_add_change(inode, CHANGE_TRUNCATE);
    change->offset = size;
    memory_data_apply(&inode->data, change);
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
    struct memory_name *found = memory_names_find(&parent->names, name);
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
    *inode = memory_inode_create(memory, false);
    memory_directory_change(parent, NULL, name, *inode);
    memory_inode_unref(*inode); /* the name holds it now */
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
    struct memory_name *found = parent ? memory_names_find(&parent->names, name) : NULL;
    if (!found)
        status = STATUS_NOT_FOUND;
    else if (found->inode->is_directory != directory)
        status = STATUS_IO;
    else if (directory && found->inode->names.count > 0)
        status = STATUS_EXISTS;
    else
        memory_directory_change(parent, name, NULL, NULL);
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
    struct memory_name *found =
        from_parent ? memory_names_find(&from_parent->names, from_name) : NULL;
    if (!found || !to_parent || to_name[0] == 0)
        goto done;
    status = STATUS_OK;
    struct memory_inode *inode = found->inode;
    struct memory_name *replaced = memory_names_find(&to_parent->names, to_name);
    if (replaced && replaced->inode == inode)
        goto done; /* POSIX: two names of one file, nothing happens */
    if (replaced && (replaced->inode->is_directory || inode->is_directory)) {
        status = STATUS_EXISTS;
        goto done;
    }
    if (from_parent == to_parent) {
        memory_directory_change(from_parent, from_name, to_name, inode);
    } else {
        memory_directory_change(to_parent, NULL, to_name, inode);
        memory_directory_change(from_parent, from_name, NULL, NULL);
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
    else if (name[0] == 0 || memory_names_find(&parent->names, name))
        status = STATUS_EXISTS;
    else
        memory_directory_change(parent, NULL, name, inode);
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
    } else if (name[0] == 0 || memory_names_find(&parent->names, name)) {
        status = STATUS_EXISTS;
    } else {
        struct memory_inode *made = memory_inode_create(memory, true);
        memory_directory_change(parent, NULL, name, made);
        memory_inode_unref(made); /* the name holds it now */
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
        memory_inode_sync(inode);
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
    enum status status = !inode ? STATUS_NOT_FOUND : inode->is_directory ? STATUS_OK : STATUS_IO;
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
    memory_inode_unref(memory->root);
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
    memory->root = memory_inode_create(memory, true);
    return &memory->base;
}

/* ---- For tests ----------------------------------------------------------------------------- */

uint64_t vfs_memory_sync_count(struct vfs *vfs)
{
    struct memory_vfs *memory = memory_of(vfs);
    pthread_mutex_lock(&memory->mutex);
    uint64_t count = memory->sync_count;
    pthread_mutex_unlock(&memory->mutex);
    return count;
}

unsigned vfs_memory_open_count(struct vfs *vfs)
{
    struct memory_vfs *memory = memory_of(vfs);
    pthread_mutex_lock(&memory->mutex);
    unsigned count = memory->open_count;
    pthread_mutex_unlock(&memory->mutex);
    return count;
}

void vfs_memory_lose_unsynced(struct vfs_file *base)
{
    assert(base->ops == &memory_file_ops);
    struct memory_file *file = memory_file_of(base);
    pthread_mutex_lock(&file->vfs->mutex);
    memory_inode_lose_unsynced(file->inode);
    pthread_mutex_unlock(&file->vfs->mutex);
}

uint64_t vfs_memory_unsynced_bytes(struct vfs *vfs, const char *path)
{
    struct memory_vfs *memory = memory_of(vfs);
    uint64_t bytes = 0;
    pthread_mutex_lock(&memory->mutex);
    struct memory_inode *inode = path_find(memory, path);
    for (size_t i = 0; inode && i < inode->change_count; i++) {
        if (inode->changes[i].state == CHANGE_UNSYNCED)
            bytes += inode->changes[i].size;
    }
    pthread_mutex_unlock(&memory->mutex);
    return bytes;
}

static void flip(struct memory_data *data, uint64_t offset, uint8_t mask)
{
    uint8_t byte = 0;
    (void)memory_data_read(data, offset, &byte, 1);
    byte ^= mask;
    memory_data_write(data, offset, &byte, 1);
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
        flip(&inode->data, offset, mask);
    if (status == STATUS_OK && offset < inode->durable_data.size)
        flip(&inode->durable_data, offset, mask);
    pthread_mutex_unlock(&memory->mutex);
    return status;
}
