/* SPDX-License-Identifier: MIT */
/* The real file system. Calls that a signal interrupts go on; short reads and writes are completed. */
#include "vfs/vfs.h"

#include "base/memory.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

enum { POSIX_FILE_MODE = 0640, POSIX_DIRECTORY_MODE = 0750 };

struct posix_file {
    struct vfs_file base;
    int fd;
};

static enum status status_from_errno(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return STATUS_EXISTS;
    case EFBIG:
        return STATUS_TOO_LARGE;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    case EROFS:
        return STATUS_READ_ONLY;
    default:
        return STATUS_IO;
    }
}

static enum status status_from_result(int result)
{
    return result == 0 ? STATUS_OK : status_from_errno(errno);
}

static int posix_fd(struct vfs_file *file)
{
    return ((struct posix_file *)file)->fd;
}

static void posix_close(struct vfs_file *file)
{
    /* The error of close says nothing that sync has not said. */
    (void)close(posix_fd(file));
    memory_free(file);
}

static ssize_t posix_read_some(int fd, void *data, size_t size, uint64_t offset, bool nowait)
{
    if (!nowait)
        return pread(fd, data, size, (off_t)offset);
    struct iovec part = {.iov_base = data, .iov_len = size};
    return preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT);
}

static enum status posix_read_at(struct vfs_file *file, uint64_t offset, void *data, size_t size,
                                 bool nowait, size_t *got)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = posix_read_some(posix_fd(file), (uint8_t *)data + done, size - done,
                                        offset + done, nowait);
        if (count == 0)
            break;
        if (count > 0)
            done += (size_t)count;
        else if (nowait && (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS))
            return STATUS_WOULD_BLOCK; /* file systems that cannot tell are taken to block */
        else if (errno != EINTR)
            return status_from_errno(errno);
    }
    *got = done;
    return STATUS_OK;
}

static enum status posix_write_at(struct vfs_file *file, uint64_t offset, const void *data,
                                  size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t count = pwrite(posix_fd(file), at, size, (off_t)offset);
        if (count > 0) {
            at += count;
            size -= (size_t)count;
            offset += (uint64_t)count;
        } else if (count == 0) {
            return STATUS_NO_SPACE;
        } else if (errno != EINTR) {
            return status_from_errno(errno);
        }
    }
    return STATUS_OK;
}

static enum status posix_sync(struct vfs_file *file, const char *site)
{
    (void)site;
    int result;
    do {
        result = fdatasync(posix_fd(file));
    } while (result < 0 && errno == EINTR);
    return status_from_result(result);
}

static enum status posix_truncate(struct vfs_file *file, uint64_t size)
{
    int result;
    do {
        result = ftruncate(posix_fd(file), (off_t)size);
    } while (result < 0 && errno == EINTR);
    return status_from_result(result);
}

static enum status posix_size(struct vfs_file *file, uint64_t *size)
{
    struct stat info;
    if (fstat(posix_fd(file), &info) < 0)
        return status_from_errno(errno);
    *size = (uint64_t)info.st_size;
    return STATUS_OK;
}

static const struct vfs_file_ops posix_file_ops = {
    .close = posix_close,
    .read_at = posix_read_at,
    .write_at = posix_write_at,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .size = posix_size,
};

static int posix_open_fd(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, POSIX_FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static struct vfs_file *posix_file_create(int fd)
{
    struct posix_file *file = memory_zeroed(1, sizeof *file);
    file->base.ops = &posix_file_ops;
    file->fd = fd;
    return &file->base;
}

static enum status posix_open(struct vfs *vfs, const char *path, unsigned flags,
                              struct vfs_file **file)
{
    (void)vfs;
    assert(flags & (VFS_READ | VFS_WRITE));
    assert((flags & VFS_WRITE) || !(flags & (VFS_CREATE | VFS_TRUNCATE)));
    assert((flags & VFS_CREATE) || !(flags & VFS_EXCLUSIVE));
    int posix_flags = flags & VFS_WRITE ? O_RDWR : O_RDONLY;
    if (flags & VFS_CREATE)
        posix_flags |= O_CREAT;
    if (flags & VFS_EXCLUSIVE)
        posix_flags |= O_EXCL;
    if (flags & VFS_TRUNCATE)
        posix_flags |= O_TRUNC;
    int fd = posix_open_fd(path, posix_flags);
    if (fd < 0)
        return status_from_errno(errno);
    *file = posix_file_create(fd);
    return STATUS_OK;
}

static enum status posix_remove(struct vfs *vfs, const char *path)
{
    (void)vfs;
    return status_from_result(unlink(path));
}

static enum status posix_rename(struct vfs *vfs, const char *from, const char *to)
{
    (void)vfs;
    return status_from_result(rename(from, to));
}

static enum status posix_link(struct vfs *vfs, const char *from, const char *to)
{
    (void)vfs;
    return status_from_result(link(from, to));
}

static enum status posix_make_directory(struct vfs *vfs, const char *path)
{
    (void)vfs;
    return status_from_result(mkdir(path, POSIX_DIRECTORY_MODE));
}

static enum status posix_remove_directory(struct vfs *vfs, const char *path)
{
    (void)vfs;
    return status_from_result(rmdir(path));
}

static enum status posix_sync_directory(struct vfs *vfs, const char *path, const char *site)
{
    (void)vfs;
    (void)site;
    int fd = posix_open_fd(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return status_from_errno(errno);
    int result;
    do {
        result = fsync(fd);
    } while (result < 0 && errno == EINTR);
    enum status status = status_from_result(result);
    (void)close(fd); /* nothing was written through it */
    return status;
}

static enum status posix_list(struct vfs *vfs, const char *path,
                              void (*each)(void *context, const char *name), void *context)
{
    (void)vfs;
    DIR *directory = opendir(path);
    if (!directory)
        return status_from_errno(errno);
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(context, entry->d_name);
        /* `each` may set errno; the loop clears it before it reads again. */
    }
    enum status status = errno ? status_from_errno(errno) : STATUS_OK;
    (void)closedir(directory); /* only read */
    return status;
}

static enum status posix_exists(struct vfs *vfs, const char *path, bool *exists)
{
    (void)vfs;
    struct stat info;
    if (stat(path, &info) == 0) {
        *exists = true;
    } else if (errno == ENOENT || errno == ENOTDIR) {
        *exists = false;
    } else {
        return status_from_errno(errno);
    }
    return STATUS_OK;
}

/* flock and not fcntl: a second open in the same process is refused too, and closing some other
 * descriptor of the file does not drop it. */
static enum status posix_lock(struct vfs *vfs, const char *path, struct vfs_file **file)
{
    (void)vfs;
    int fd = posix_open_fd(path, O_RDWR | O_CREAT);
    if (fd < 0)
        return status_from_errno(errno);
    int result;
    do {
        result = flock(fd, LOCK_EX | LOCK_NB);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
        enum status status = errno == EWOULDBLOCK ? STATUS_BUSY : status_from_errno(errno);
        (void)close(fd); /* nothing was written through it */
        return status;
    }
    *file = posix_file_create(fd);
    return STATUS_OK;
}

static enum status posix_free_bytes(struct vfs *vfs, const char *path, uint64_t *bytes)
{
    (void)vfs;
    struct statvfs info;
    if (statvfs(path, &info) < 0)
        return status_from_errno(errno);
    *bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return STATUS_OK;
}

static void posix_destroy(struct vfs *vfs)
{
    memory_free(vfs);
}

struct vfs *vfs_posix_create(void)
{
    static const struct vfs_ops ops = {
        .open = posix_open,
        .remove = posix_remove,
        .rename = posix_rename,
        .link = posix_link,
        .make_directory = posix_make_directory,
        .remove_directory = posix_remove_directory,
        .sync_directory = posix_sync_directory,
        .list = posix_list,
        .exists = posix_exists,
        .lock = posix_lock,
        .free_bytes = posix_free_bytes,
        .destroy = posix_destroy,
    };
    struct vfs *vfs = memory_allocate(sizeof *vfs);
    vfs->ops = &ops;
    return vfs;
}
