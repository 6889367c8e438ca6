/* SPDX-License-Identifier: MIT */
#include "lib/golden_files.h"

#include "base/buffer.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { FILE_BYTES_MAX = 1 << 20 };

struct copy {
    struct vfs *from, *to;
    const char *from_directory, *to_directory;
};

/* WAL segments that are only prepared need not be kept. */
static bool is_unused(const char *name, struct slice bytes)
{
    size_t at = 4096;
    if (!strstr(name, ".wal"))
        return strcmp(name, "LOCK") == 0;
    while (at < bytes.size && bytes.data[at] == 0)
        at++;
    return at == bytes.size;
}

static void copy_file(void *context, const char *name)
{
    const struct copy *copy = context;
    char path[512];
    struct buffer bytes = {0};
    struct vfs_file *file = NULL;
    snprintf(path, sizeof(path), "%s/%s", copy->from_directory, name);
    assert_int_equal(vfs_read_file(copy->from, path, FILE_BYTES_MAX, &bytes), STATUS_OK);
    if (is_unused(name, buffer_slice(&bytes)))
        goto done;
    snprintf(path, sizeof(path), "%s/%s", copy->to_directory, name);
    assert_int_equal(vfs_open(copy->to, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, bytes.data, bytes.size), STATUS_OK);
done:
    vfs_close(file);
    buffer_release(&bytes);
}

static void copy_directory(struct copy copy)
{
    assert_int_equal(copy.to->ops->make_directory(copy.to, copy.to_directory), STATUS_OK);
    assert_int_equal(copy.from->ops->list(copy.from, copy.from_directory, copy_file, &copy),
                     STATUS_OK);
}

struct vfs *golden_load(const char *golden, const char *directory)
{
    struct vfs *disk = vfs_posix_create(), *memory = vfs_memory_create();
    copy_directory((struct copy){disk, memory, golden, directory});
    vfs_destroy(disk);
    return memory;
}

void golden_expect(const char *path, struct slice text)
{
    struct buffer expected = {0};
    struct vfs *disk = vfs_posix_create();
    assert_int_equal(vfs_read_file(disk, path, FILE_BYTES_MAX, &expected), STATUS_OK);
    assert_int_equal(text.size, expected.size);
    assert_memory_equal(text.data, expected.data, text.size);
    buffer_release(&expected);
    vfs_destroy(disk);
}

void golden_write(struct vfs *from, const char *directory, const char *golden)
{
    struct vfs *disk = vfs_posix_create();
    copy_directory((struct copy){from, disk, directory, golden});
    vfs_destroy(disk);
}

void golden_write_text(const char *golden, struct slice text)
{
    char path[512];
    snprintf(path, sizeof(path), "%s.txt", golden);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}
