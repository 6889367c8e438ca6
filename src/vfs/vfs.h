/* SPDX-License-Identifier: MIT */
/* The door to the world: files, directories, clock, randomness and the log, behind tables of
 * functions. Everything below `server` takes a struct env and touches nothing else, so a test or a
 * simulation decides the whole run.
 *
 * Threads: a vfs and its files may be used from any thread at once; one file's write_at and sync may
 * overlap. All sizes and offsets are bytes. Paths are plain byte strings with '/'. */
#ifndef VFS_VFS_H
#define VFS_VFS_H

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

struct vfs;
struct vfs_file;

enum vfs_open_flags {
    VFS_READ = 1,       /* must exist */
    VFS_WRITE = 2,      /* read and write; must exist unless VFS_CREATE */
    VFS_CREATE = 4,     /* with VFS_WRITE: made if missing */
    VFS_EXCLUSIVE = 8,  /* with VFS_CREATE: STATUS_EXISTS if it is there */
    VFS_TRUNCATE = 16,  /* with VFS_WRITE: emptied */
};

struct vfs_file_ops {
    void (*close)(struct vfs_file *file);
    /* Fills *got with the bytes read: less than `size` only at the end of the file. With `nowait`,
     * STATUS_WOULD_BLOCK instead of waiting for a device. */
    enum status (*read_at)(struct vfs_file *file, uint64_t offset, void *data, size_t size,
                           bool nowait, size_t *got);
    /* All or an error; after an error the range holds anything. Extends the file as needed. */
    enum status (*write_at)(struct vfs_file *file, uint64_t offset, const void *data, size_t size);
    /* Data and size are on the medium. After an error nothing written since the last success may be
     * relied on, nor does a later success bring it there: what Linux could not write it takes for
     * written. Only bytes that are written again (vfs_rewrite) are synced again. `site` names the place
     * in the code that asks, for tests; a static text. */
    enum status (*sync)(struct vfs_file *file, const char *site);
    enum status (*truncate)(struct vfs_file *file, uint64_t size);
    enum status (*size)(struct vfs_file *file, uint64_t *size);
};

struct vfs_file {
    const struct vfs_file_ops *ops;
};

struct vfs_ops {
    enum status (*open)(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **file);
    enum status (*remove)(struct vfs *vfs, const char *path);
    enum status (*rename)(struct vfs *vfs, const char *from, const char *to); /* replaces `to` */
    enum status (*link)(struct vfs *vfs, const char *from, const char *to);   /* hard link */
    enum status (*make_directory)(struct vfs *vfs, const char *path);  /* STATUS_EXISTS if there */
    enum status (*remove_directory)(struct vfs *vfs, const char *path);
    /* Entries made, renamed or removed in the directory are on the medium. */
    enum status (*sync_directory)(struct vfs *vfs, const char *path, const char *site);
    /* Calls `each` for every name but . and ..; in no order. */
    enum status (*list)(struct vfs *vfs, const char *path,
                        void (*each)(void *context, const char *name), void *context);
    enum status (*exists)(struct vfs *vfs, const char *path, bool *exists);
    /* An exclusive lock that goes with the process; STATUS_BUSY if another holds it. Closing the
     * file releases it. */
    enum status (*lock)(struct vfs *vfs, const char *path, struct vfs_file **file);
    enum status (*free_bytes)(struct vfs *vfs, const char *path, uint64_t *bytes);
    void (*destroy)(struct vfs *vfs);
};

struct vfs {
    const struct vfs_ops *ops;
};

/* The real file system. */
struct vfs *vfs_posix_create(void);

/* Short forms; vfs_close accepts NULL. */
static inline enum status vfs_open(struct vfs *vfs, const char *path, unsigned flags,
                                   struct vfs_file **file)
{
    return vfs->ops->open(vfs, path, flags, file);
}
static inline void vfs_close(struct vfs_file *file)
{
    if (file)
        file->ops->close(file);
}
static inline enum status vfs_write_at(struct vfs_file *file, uint64_t offset, const void *data,
                                       size_t size)
{
    return file->ops->write_at(file, offset, data, size);
}
/* A sync has a site, a label by which a test leaves out one site's syncs (vfs_fault_skip_sync) and
 * shows that it is missed. Without a label it is the calling function's name; a function with two
 * syncs, or one that syncs for several callers, gives the label itself: "wal.segment". */
static inline enum status vfs_sync_at(struct vfs_file *file, const char *site)
{
    return file->ops->sync(file, site);
}
static inline enum status vfs_sync_directory_at(struct vfs *vfs, const char *path, const char *site)
{
    return vfs->ops->sync_directory(vfs, path, site);
}
#define vfs_sync(file) vfs_sync_at(file, __func__)
#define vfs_sync_directory(vfs, path) vfs_sync_directory_at(vfs, path, __func__)
static inline enum status vfs_truncate(struct vfs_file *file, uint64_t size)
{
    return file->ops->truncate(file, size);
}
static inline enum status vfs_remove(struct vfs *vfs, const char *path)
{
    return vfs->ops->remove(vfs, path);
}
static inline enum status vfs_rename(struct vfs *vfs, const char *from, const char *to)
{
    return vfs->ops->rename(vfs, from, to);
}
static inline enum status vfs_size(struct vfs_file *file, uint64_t *size)
{
    return file->ops->size(file, size);
}
static inline void vfs_destroy(struct vfs *vfs)
{
    if (vfs)
        vfs->ops->destroy(vfs);
}
/* Exactly `size` bytes; STATUS_CORRUPT when the file ends before, STATUS_IO when less was read although
 * the file has them. */
enum status vfs_read_exactly(struct vfs_file *file, uint64_t offset, void *data, size_t size,
                             bool nowait);
/* The first `size` bytes, a piece at a time; `to` is not synced. */
enum status vfs_copy_bytes(struct vfs_file *from, struct vfs_file *to, uint64_t size);
/* Writes the bytes from offset `from` up to `to` as they are read: the next sync brings them to the medium
 * even if an earlier one, perhaps of another process, has failed. */
enum status vfs_rewrite(struct vfs_file *file, uint64_t from, uint64_t to);
/* The whole file, at most `limit` bytes (else STATUS_TOO_LARGE), appended to `into`. */
enum status vfs_read_file(struct vfs *vfs, const char *path, size_t limit, struct buffer *into);
/* Writes a new file beside `path`, syncs it, renames it over `path`, syncs the directory. */
enum status vfs_replace_file(struct vfs *vfs, const char *directory, const char *name,
                             struct slice content);

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING };

/* What a layer may ask of the world. Owned by the host; outlives all users. */
struct env {
    struct vfs *vfs;
    uint64_t (*wall_ms)(void *context);      /* unix time, milliseconds */
    uint64_t (*monotonic_us)(void *context); /* never goes back */
    void (*random_bytes)(void *context, void *data, size_t size);
    void (*log)(void *context, enum log_level level, const char *line);
    void *context;
};

/* An env over the real world; `log` writes to stderr unless replaced. */
void env_init_posix(struct env *env, struct vfs *vfs);

static inline uint64_t env_wall_ms(const struct env *env)
{
    return env->wall_ms(env->context);
}
static inline uint64_t env_monotonic_us(const struct env *env)
{
    return env->monotonic_us(env->context);
}
void env_log(const struct env *env, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
