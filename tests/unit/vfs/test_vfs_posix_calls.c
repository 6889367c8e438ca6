/* SPDX-License-Identifier: MIT */
/* What the kernel may answer: less than was asked for, EINTR, and errors. The system calls of
 * vfs_posix.c are wrapped by the linker (Makefile), so that each answers what the test has put down
 * for it and no disk, signal or limit has to be waited for. */
#include "vfs/vfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

/* After `skip` calls the next `count` fail with `error`; those that go through move at most `bytes`. */
static struct {
    int error;
    unsigned skip;
    unsigned count;
    size_t bytes;
    unsigned calls; /* made in all */
} script;

static void answer_after(unsigned skip, int error, unsigned count, size_t bytes)
{
    script.skip = skip;
    script.error = error;
    script.count = count;
    script.bytes = bytes;
    script.calls = 0;
}

static void answer(int error, unsigned count, size_t bytes)
{
    answer_after(0, error, count, bytes);
}

static bool refuses(void)
{
    script.calls++;
    if (script.count == 0 || (script.skip > 0 && script.skip--))
        return false;
    script.count--;
    errno = script.error;
    return true;
}

static size_t cut(size_t size)
{
    return size < script.bytes ? size : script.bytes;
}

#define WRAP(type, name, parameters, arguments)                \
    type __real_##name parameters;                             \
    type __wrap_##name parameters;                             \
    type __wrap_##name parameters                              \
    {                                                          \
        return refuses() ? (type)-1 : __real_##name arguments; \
    }

WRAP(ssize_t, pread, (int fd, void *data, size_t size, off_t offset), (fd, data, cut(size), offset))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t offset),
     (fd, data, cut(size), offset))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, flock, (int fd, int operation), (fd, operation))
WRAP(int, fstat, (int fd, struct stat *info), (fd, info))
WRAP(int, stat, (const char *path, struct stat *info), (path, info))
WRAP(int, statvfs, (const char *path, struct statvfs *info), (path, info))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, rmdir, (const char *path), (path))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return refuses() ? -1 : __real_open(path, flags, mode);
}

ssize_t __real_preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags);
ssize_t __wrap_preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    (void)flags; /* whether the page is in memory is the kernel's affair */
    assert_int_equal(count, 1);
    return refuses() ? -1 : __real_pread(fd, parts->iov_base, cut(parts->iov_len), offset);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    return refuses() ? NULL : __real_opendir(path);
}

struct dirent *__real_readdir(DIR *directory);
struct dirent *__wrap_readdir(DIR *directory);
struct dirent *__wrap_readdir(DIR *directory)
{
    return refuses() ? NULL : __real_readdir(directory);
}

struct world {
    struct vfs *vfs;
    struct vfs_file *file;
    char directory[64], path[96];
};

enum { NO_LIMIT = 1 << 30, FILE_BYTES = 1000 };

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    answer(0, 0, NO_LIMIT);
    strcpy(world->directory, "/tmp/test_vfs_calls.XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/file", world->directory);
    world->vfs = vfs_posix_create();
    assert_int_equal(vfs_open(world->vfs, world->path, VFS_WRITE | VFS_CREATE, &world->file),
                     STATUS_OK);
    uint8_t bytes[FILE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    assert_int_equal(vfs_write_at(world->file, 0, bytes, sizeof bytes), STATUS_OK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    answer(0, 0, NO_LIMIT);
    vfs_close(world->file);
    unlink(world->path);
    assert_int_equal(rmdir(world->directory), 0);
    vfs_destroy(world->vfs);
    free(world);
    return 0;
}

static bool is_pattern(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != (uint8_t)(i * 7))
            return false;
    }
    return true;
}

static void short_reads_are_gone_on_with(void **state)
{
    struct world *world = *state;
    for (int nowait = 0; nowait < 2; nowait++) {
        uint8_t bytes[FILE_BYTES + 100] = {0};
        size_t got = 0;
        answer(0, 0, 7);
        assert_int_equal(
            world->file->ops->read_at(world->file, 0, bytes, sizeof bytes, nowait, &got),
            STATUS_OK);
        assert_int_equal(got, FILE_BYTES); /* the end of the file, and only that, is short */
        assert_true(is_pattern(bytes, got));
        assert_int_equal(script.calls, (FILE_BYTES + 6) / 7 + 1);
    }
}

static void short_writes_are_gone_on_with(void **state)
{
    struct world *world = *state;
    uint8_t bytes[FILE_BYTES], back[FILE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    assert_int_equal(vfs_truncate(world->file, 0), STATUS_OK);
    answer(0, 0, 11);
    assert_int_equal(vfs_write_at(world->file, 0, bytes, sizeof bytes), STATUS_OK);
    assert_int_equal(script.calls, (FILE_BYTES + 10) / 11);
    answer(0, 0, NO_LIMIT);
    assert_int_equal(vfs_read_exactly(world->file, 0, back, sizeof back, false), STATUS_OK);
    assert_true(is_pattern(back, sizeof back));
    /* A write that moves nothing and says nothing does not go on for ever. */
    answer(0, 0, 0);
    assert_int_equal(vfs_write_at(world->file, 0, bytes, sizeof bytes), STATUS_NO_SPACE);
}

static void name_ignored(void *context, const char *name)
{
    (void)context;
    (void)name;
}

enum call {
    WRITE,
    READ,
    READ_NOWAIT,
    SYNC,
    TRUNCATE,
    SYNC_DIRECTORY,
    OPEN,
    LOCK, /* may be EINTR */
    SIZE,
    EXISTS,
    FREE_BYTES,
    LIST,
    LINK,
    RENAME,
    REMOVE,
    MKDIR,
    RMDIR,
    CALLS
};

static enum status make_call(struct world *world, enum call call)
{
    struct vfs *vfs = world->vfs;
    struct vfs_file *opened = NULL;
    enum status status = STATUS_INVALID;
    char other[128];
    uint8_t bytes[64];
    size_t got;
    uint64_t value;
    bool exists;
    snprintf(other, sizeof other, "%s/other", world->directory);
    switch (call) {
    case WRITE:
        return vfs_write_at(world->file, 0, "\0\7", 2);
    case READ:
    case READ_NOWAIT:
        return world->file->ops->read_at(world->file, 0, bytes, sizeof bytes, call == READ_NOWAIT,
                                         &got);
    case SYNC:
        return vfs_sync(world->file);
    case TRUNCATE:
        return vfs_truncate(world->file, FILE_BYTES);
    case SYNC_DIRECTORY:
        return vfs_sync_directory(vfs, world->directory);
    case OPEN:
        status = vfs_open(vfs, world->path, VFS_READ, &opened);
        break;
    case LOCK:
        status = vfs->ops->lock(vfs, world->path, &opened);
        break;
    case SIZE:
        return vfs_size(world->file, &value);
    case EXISTS:
        return vfs->ops->exists(vfs, world->path, &exists);
    case FREE_BYTES:
        return vfs->ops->free_bytes(vfs, world->directory, &value);
    case LIST:
        return vfs->ops->list(vfs, world->directory, name_ignored, NULL);
    case LINK:
        return vfs->ops->link(vfs, world->path, other);
    case RENAME: /* two names of one file: the other one stays */
        return vfs_rename(vfs, other, world->path);
    case REMOVE:
        return vfs_remove(vfs, other);
    case MKDIR:
        return vfs->ops->make_directory(vfs, other);
    case RMDIR:
        return vfs->ops->remove_directory(vfs, other);
    case CALLS:
        break;
    }
    assert_true(opened == NULL || status == STATUS_OK);
    vfs_close(opened);
    return status;
}

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void interrupted_calls_go_on(void **state)
{
    struct world *world = *state;
    for (enum call call = WRITE; call <= LOCK; call++) {
        for (unsigned times = 1; times <= 3; times++) {
            answer(EINTR, times, NO_LIMIT);
            assert_int_equal(make_call(world, call), STATUS_OK);
            assert_int_equal(script.count, 0);
        }
    }
}

static void errors_are_told_by_their_meaning(void **state)
{
    struct world *world = *state;
    static const struct {
        int error;
        enum status status;
    } errors[] = {
        {EIO, STATUS_IO},           {ENOSPC, STATUS_NO_SPACE},  {EDQUOT, STATUS_NO_SPACE},
        {EROFS, STATUS_READ_ONLY},  {ENOMEM, STATUS_NO_MEMORY}, {EFBIG, STATUS_TOO_LARGE},
        {EACCES, STATUS_IO},        {EMFILE, STATUS_IO},        {EEXIST, STATUS_EXISTS},
        {ENOTEMPTY, STATUS_EXISTS}, {ENAMETOOLONG, STATUS_IO},  {ESTALE, STATUS_IO},
    };
    unsigned open_before = open_files();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (enum call call = WRITE; call < CALLS; call++) {
            answer(errors[i].error, 1, NO_LIMIT);
            assert_int_equal(make_call(world, call), errors[i].status);
        }
    }
    answer(ENOENT, 1, NO_LIMIT);
    assert_int_equal(make_call(world, OPEN), STATUS_NOT_FOUND);
    answer(ENOENT, 1, NO_LIMIT);
    assert_int_equal(make_call(world, EXISTS), STATUS_OK); /* it does not: an answer */
    answer(EAGAIN, 1, NO_LIMIT);
    assert_int_equal(make_call(world, READ_NOWAIT), STATUS_WOULD_BLOCK);
    answer(0, 0, NO_LIMIT);
    for (enum call call = WRITE; call < CALLS; call++)
        assert_int_equal(make_call(world, call), STATUS_OK);
    assert_int_equal(open_files(), open_before);
}

/* The second call of lock, sync_directory and list fails: what the first has opened is closed. */
static void errors_behind_an_open_close_it(void **state)
{
    struct world *world = *state;
    static const enum call calls[] = {LOCK, SYNC_DIRECTORY, LIST};
    unsigned open_before = open_files();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (unsigned nth = 1; nth <= 2; nth++) {
            answer_after(nth - 1, EIO, 1, NO_LIMIT);
            assert_int_equal(make_call(world, calls[i]), STATUS_IO);
        }
    }
    answer_after(1, EWOULDBLOCK, 1, NO_LIMIT);
    assert_int_equal(make_call(world, LOCK), STATUS_BUSY);
    assert_int_equal(open_files(), open_before);
}

static void failed_write_leaves_a_prefix(void **state)
{
    struct world *world = *state;
    uint64_t size = 0;
    assert_int_equal(vfs_truncate(world->file, 0), STATUS_OK);
    answer_after(2, ENOSPC, 1, 10);
    assert_int_equal(vfs_write_at(world->file, 0, "0123456789012345678901234567", 28),
                     STATUS_NO_SPACE);
    answer(0, 0, NO_LIMIT);
    assert_int_equal(vfs_size(world->file, &size), STATUS_OK);
    assert_int_equal(size, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(short_reads_are_gone_on_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(short_writes_are_gone_on_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interrupted_calls_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_are_told_by_their_meaning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_behind_an_open_close_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_write_leaves_a_prefix, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
