/* SPDX-License-Identifier: MIT */
#include "vfs/vfs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct vfs *vfs;
    char directory[64], path[96];
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    strcpy(world->directory, "/tmp/test_vfs_posix.XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/file", world->directory);
    world->vfs = vfs_posix_create();
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    unlink(world->path);
    assert_int_equal(rmdir(world->directory), 0);
    vfs_destroy(world->vfs);
    free(world);
    return 0;
}

static void full_device_is_no_space(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(world->vfs, "/dev/full", VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, "x", 1), STATUS_NO_SPACE);
    vfs_close(file);
}

/* A short write (the limit is inside it) is gone on with, and then the error is told. */
static void file_beyond_the_limit_is_too_large(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    struct rlimit before, limit;
    static char bytes[3000];
    assert_int_equal(vfs_open(world->vfs, world->path, VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 2000;
    setrlimit(RLIMIT_FSIZE, &limit);
    enum status status = vfs_write_at(file, 0, bytes, sizeof bytes);
    enum status longer = vfs_truncate(file, 5000);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, STATUS_TOO_LARGE);
    assert_int_equal(longer, STATUS_TOO_LARGE);
    uint64_t size = 0;
    assert_int_equal(vfs_size(file, &size), STATUS_OK);
    assert_int_equal(size, 2000);
    vfs_close(file);
}

static void what_the_system_refuses_is_an_io_error(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    bool exists;
    assert_int_equal(vfs_open(world->vfs, world->directory, VFS_WRITE, &file), STATUS_IO);
    assert_null(file);
    assert_int_equal(vfs_open(world->vfs, world->directory, VFS_READ, &file), STATUS_OK);
    char byte;
    size_t got;
    assert_int_equal(file->ops->read_at(file, 0, &byte, 1, false, &got), STATUS_IO);
    assert_int_equal(vfs_write_at(file, 0, "x", 1), STATUS_IO);
    assert_int_equal(vfs_truncate(file, 1), STATUS_IO);
    vfs_close(file);
    assert_int_equal(vfs_open(world->vfs, "/proc/self/cmdline", VFS_READ, &file), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_IO);
    vfs_close(file);
    char long_path[5000];
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    assert_int_equal(world->vfs->ops->exists(world->vfs, long_path, &exists), STATUS_IO);
    uint64_t bytes;
    assert_int_equal(world->vfs->ops->free_bytes(world->vfs, "/no/such", &bytes), STATUS_NOT_FOUND);
}

/* What was just written is in the page cache; what was dropped from it is not. */
static void nowait_reads_what_is_in_memory_and_says_so_otherwise(void **state)
{
    struct world *world = *state;
    enum { BYTES = 1 << 20 };
    static char bytes[BYTES];
    struct vfs_file *file = NULL;
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(vfs_open(world->vfs, world->path, VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, bytes, BYTES), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    enum status cached = vfs_read_exactly(file, 0, bytes, BYTES, true);
    assert_true(cached == STATUS_OK || cached == STATUS_WOULD_BLOCK);
    if (cached == STATUS_OK) { /* the file system can tell */
        assert_int_equal(vfs_read_exactly(file, BYTES - 1, bytes, 2, true), STATUS_CORRUPT);
        int fd = open(world->path, O_RDONLY | O_CLOEXEC);
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        close(fd);
        cached = vfs_read_exactly(file, 0, bytes, BYTES, true);
        assert_true(cached == STATUS_OK || cached == STATUS_WOULD_BLOCK);
    }
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(vfs_read_exactly(file, 0, bytes, BYTES, false), STATUS_OK);
    assert_int_equal(bytes[BYTES - 1], 'x');
    vfs_close(file);
}

static void lock_goes_with_the_process(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    int ready[2], end[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(end[1]);
        bool locked = world->vfs->ops->lock(world->vfs, world->path, &file) == STATUS_OK;
        byte = locked;
        if (write(ready[1], &byte, 1) == 1)
            (void)!read(end[0], &byte, 1);
        _exit(0);
    }
    close(end[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    assert_int_equal(world->vfs->ops->lock(world->vfs, world->path, &file), STATUS_BUSY);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(end[1]);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(world->vfs->ops->lock(world->vfs, world->path, &file), STATUS_OK);
    vfs_close(file);
}

static char logged[2000];
static enum log_level logged_level;

static void log_note(void *context, enum log_level level, const char *line)
{
    (void)context;
    logged_level = level;
    snprintf(logged, sizeof logged, "%s", line);
}

static void env_of_the_real_world_works(void **state)
{
    struct world *world = *state;
    struct env env;
    env_init_posix(&env, world->vfs);
    assert_ptr_equal(env.vfs, world->vfs);
    assert_true(env_wall_ms(&env) > 1700000000000u);
    uint64_t before = env_monotonic_us(&env);
    assert_true(env_monotonic_us(&env) >= before);
    uint8_t a[1000] = {0}, b[1000] = {0};
    env.random_bytes(env.context, a, sizeof a);
    env.random_bytes(env.context, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    env.log = log_note;
    env_log(&env, LOG_WARNING, "%s at %d", "damage", 17);
    assert_string_equal(logged, "damage at 17");
    assert_int_equal(logged_level, LOG_WARNING);
    char long_text[3000];
    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    env_log(&env, LOG_NOTICE, "%s", long_text); /* cut, not overrun */
    assert_in_range(strlen(logged), 500, 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_device_is_no_space, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_beyond_the_limit_is_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_system_refuses_is_an_io_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nowait_reads_what_is_in_memory_and_says_so_otherwise,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lock_goes_with_the_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(env_of_the_real_world_works, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
