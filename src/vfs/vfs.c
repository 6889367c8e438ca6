/* SPDX-License-Identifier: MIT */
/* Helpers over any vfs, and the env of the real world. */
#include "vfs/vfs.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { VFS_PATH_BYTES_MAX = 4096, ENV_LOG_LINE_BYTES_MAX = 1024, COPY_BYTES = 1 << 20 };

enum status vfs_read_exactly(struct vfs_file *file, uint64_t offset, void *data, size_t size,
                             bool nowait)
{
    size_t got = 0;
    enum status status = file->ops->read_at(file, offset, data, size, nowait, &got);
    if (status != STATUS_OK)
        return status;
    assert(got <= size);
    if (got == size)
        return STATUS_OK;
    /* A device that gives less than there is has said nothing about the file: no damage. */
    uint64_t file_bytes = 0;
    status = vfs_size(file, &file_bytes);
    if (status != STATUS_OK)
        return status;
    return file_bytes >= offset + size ? STATUS_IO : STATUS_CORRUPT;
}

/* The bytes from offset `at` up to `end`. */
static enum status copy_range(struct vfs_file *from, struct vfs_file *to, uint64_t at, uint64_t end)
{
    uint8_t *bytes = memory_allocate(at + COPY_BYTES < end ? COPY_BYTES : (size_t)(end - at) + 1);
    enum status status = STATUS_OK;
    for (uint64_t part; status == STATUS_OK && at < end; at += part) {
        part = end - at < COPY_BYTES ? end - at : COPY_BYTES;
        status = vfs_read_exactly(from, at, bytes, (size_t)part, false);
        if (status == STATUS_OK)
            status = vfs_write_at(to, at, bytes, (size_t)part);
    }
    memory_free(bytes);
    return status;
}

enum status vfs_copy_bytes(struct vfs_file *from, struct vfs_file *to, uint64_t size)
{
    return copy_range(from, to, 0, size);
}

enum status vfs_rewrite(struct vfs_file *file, uint64_t from, uint64_t to)
{
    return copy_range(file, file, from, to);
}

enum status vfs_read_file(struct vfs *vfs, const char *path, size_t limit, struct buffer *into)
{
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    enum status status = vfs_open(vfs, path, VFS_READ, &file);
    if (status == STATUS_OK)
        status = vfs_size(file, &size);
    if (status != STATUS_OK)
        goto done;
    if (size > limit) {
        status = STATUS_TOO_LARGE;
        goto done;
    }
    status = buffer_try_reserve(into, (size_t)size);
    if (status == STATUS_OK && size > 0)
        status = vfs_read_exactly(file, 0, into->data + into->size, (size_t)size, false);
    if (status == STATUS_OK)
        into->size += (size_t)size;
done:
    vfs_close(file);
    return status;
}

static bool path_join(char *path, const char *directory, const char *name, const char *suffix)
{
    int length = snprintf(path, VFS_PATH_BYTES_MAX, "%s/%s%s", directory, name, suffix);
    return length >= 0 && length < VFS_PATH_BYTES_MAX;
}

static enum status vfs_write_new_file(struct vfs *vfs, const char *path, struct slice content)
{
    struct vfs_file *file = NULL;
    enum status status = vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file);
    if (status == STATUS_OK)
        status = vfs_write_at(file, 0, content.data, content.size);
    if (status == STATUS_OK)
        status = vfs_sync_at(file, "replace_file.content");
    vfs_close(file);
    return status;
}

enum status vfs_replace_file(struct vfs *vfs, const char *directory, const char *name,
                             struct slice content)
{
    char path[VFS_PATH_BYTES_MAX], new_path[VFS_PATH_BYTES_MAX];
    if (!path_join(path, directory, name, "") || !path_join(new_path, directory, name, ".tmp"))
        return STATUS_INVALID;
    enum status status = vfs_write_new_file(vfs, new_path, content);
    if (status == STATUS_OK)
        status = vfs_rename(vfs, new_path, path);
    if (status != STATUS_OK) {
        (void)vfs_remove(vfs, new_path); /* the first failure is the one to report */
        return status;
    }
    return vfs_sync_directory_at(vfs, directory, "replace_file.directory");
}

static uint64_t posix_wall_ms(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t posix_monotonic_us(void *context)
{
    (void)context;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void posix_random_bytes(void *context, void *data, size_t size)
{
    (void)context;
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0)
            continue; /* EINTR; nothing else can happen with these arguments */
        at += got;
        size -= (size_t)got;
    }
}

static void posix_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    static const char *const names[] = {"debug", "verbose", "notice", "warning"};
    fprintf(stderr, "%s: %s\n", names[level], line);
}

void env_init_posix(struct env *env, struct vfs *vfs)
{
    *env = (struct env){
        .vfs = vfs,
        .wall_ms = posix_wall_ms,
        .monotonic_us = posix_monotonic_us,
        .random_bytes = posix_random_bytes,
        .log = posix_log,
    };
}

void env_log(const struct env *env, enum log_level level, const char *format, ...)
{
    char line[ENV_LOG_LINE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    env->log(env->context, level, line);
}
