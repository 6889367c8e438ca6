/* SPDX-License-Identifier: MIT */
/* What every file system promises, on each of them: the real one, the one in memory, and the faulty
 * one over each. */
#include "vfs/vfs.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum kind { ON_POSIX, ON_MEMORY, ON_FAULT_OVER_POSIX, ON_FAULT_OVER_MEMORY };

struct world {
    struct vfs *vfs, *below;
    char directory[64];
    char paths[4][96];
    unsigned path_next;
};

static const char *in(struct world *world, const char *name)
{
    char *path = world->paths[world->path_next++ % 4];
    snprintf(path, sizeof world->paths[0], "%s/%s", world->directory, name);
    return path;
}

static int set_up(void **state, enum kind kind)
{
    struct world *world = calloc(1, sizeof *world);
    bool posix = kind == ON_POSIX || kind == ON_FAULT_OVER_POSIX;
    struct vfs *plain = posix ? vfs_posix_create() : vfs_memory_create();
    strcpy(world->directory, posix ? "/tmp/test_vfs.XXXXXX" : "/db");
    if (posix)
        assert_non_null(mkdtemp(world->directory));
    else
        assert_int_equal(plain->ops->make_directory(plain, world->directory), STATUS_OK);
    bool fault = kind == ON_FAULT_OVER_POSIX || kind == ON_FAULT_OVER_MEMORY;
    world->below = fault ? plain : NULL;
    world->vfs = fault ? vfs_fault_create(plain) : plain;
    *state = world;
    return 0;
}

static int set_up_posix(void **state)
{
    return set_up(state, ON_POSIX);
}
static int set_up_memory(void **state)
{
    return set_up(state, ON_MEMORY);
}
static int set_up_fault_over_posix(void **state)
{
    return set_up(state, ON_FAULT_OVER_POSIX);
}
static int set_up_fault_over_memory(void **state)
{
    return set_up(state, ON_FAULT_OVER_MEMORY);
}

struct names {
    char text[10][64];
    unsigned count;
};

static void names_add(void *context, const char *name)
{
    struct names *names = context;
    assert_true(names->count < 10);
    snprintf(names->text[names->count++], sizeof names->text[0], "%s", name);
}

static bool names_have(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++) {
        if (strcmp(names->text[i], name) == 0)
            return true;
    }
    return false;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct names names = {0};
    assert_int_equal(world->vfs->ops->list(world->vfs, world->directory, names_add, &names),
                     STATUS_OK);
    for (unsigned i = 0; i < names.count; i++) {
        if (vfs_remove(world->vfs, in(world, names.text[i])) != STATUS_OK)
            assert_int_equal(
                world->vfs->ops->remove_directory(world->vfs, in(world, names.text[i])),
                STATUS_OK);
    }
    assert_int_equal(world->vfs->ops->remove_directory(world->vfs, world->directory), STATUS_OK);
    vfs_destroy(world->vfs);
    vfs_destroy(world->below);
    free(world);
    return 0;
}

static void write_file(struct world *world, const char *name, const char *text)
{
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(world->vfs, in(world, name), VFS_WRITE | VFS_CREATE | VFS_TRUNCATE,
                              &file),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, text, strlen(text)), STATUS_OK);
    vfs_close(file);
}

static void expect_file(struct world *world, const char *name, const char *text)
{
    struct buffer content = {0};
    assert_int_equal(vfs_read_file(world->vfs, in(world, name), 1000, &content), STATUS_OK);
    assert_true(slice_equal(buffer_slice(&content), slice_from(text)));
    buffer_release(&content);
}

static void file_gives_back_what_was_written(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    char bytes[16];
    size_t got = 99;
    uint64_t size = 0;
    assert_int_equal(
        vfs_open(world->vfs, in(world, "a"), VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file),
        STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, "hello", 5), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 8, "world", 5), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 100, "", 0), STATUS_OK);
    assert_int_equal(vfs_size(file, &size), STATUS_OK);
    assert_int_equal(size, 13);
    assert_int_equal(file->ops->read_at(file, 0, bytes, 16, false, &got), STATUS_OK);
    assert_int_equal(got, 13);
    assert_memory_equal(bytes, "hello\0\0\0world", 13);
    assert_int_equal(file->ops->read_at(file, 10, bytes, 2, false, &got), STATUS_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(bytes, "rl", 2);
    assert_int_equal(file->ops->read_at(file, 13, bytes, 2, false, &got), STATUS_OK);
    assert_int_equal(got, 0);
    assert_int_equal(file->ops->read_at(file, 5000, bytes, 2, false, &got), STATUS_OK);
    assert_int_equal(got, 0);
    assert_int_equal(vfs_read_exactly(file, 8, bytes, 5, false), STATUS_OK);
    assert_memory_equal(bytes, "world", 5);
    assert_int_equal(vfs_read_exactly(file, 8, bytes, 6, false), STATUS_CORRUPT);
    assert_int_equal(vfs_truncate(file, 3), STATUS_OK);
    assert_int_equal(vfs_truncate(file, 5), STATUS_OK);
    assert_int_equal(vfs_read_exactly(file, 0, bytes, 5, false), STATUS_OK);
    assert_memory_equal(bytes, "hel\0\0", 5);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    vfs_close(file);
    vfs_close(NULL);
}

static void open_flags_mean_what_they_say(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    bool exists = true;
    assert_int_equal(world->vfs->ops->exists(world->vfs, in(world, "a"), &exists), STATUS_OK);
    assert_false(exists);
    assert_int_equal(vfs_open(world->vfs, in(world, "a"), VFS_READ, &file), STATUS_NOT_FOUND);
    assert_int_equal(vfs_open(world->vfs, in(world, "a"), VFS_WRITE, &file), STATUS_NOT_FOUND);
    assert_int_equal(vfs_open(world->vfs, in(world, "no/a"), VFS_WRITE | VFS_CREATE, &file),
                     STATUS_NOT_FOUND);
    assert_null(file);
    write_file(world, "a", "text");
    assert_int_equal(world->vfs->ops->exists(world->vfs, in(world, "a"), &exists), STATUS_OK);
    assert_true(exists);
    assert_int_equal(
        vfs_open(world->vfs, in(world, "a"), VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file),
        STATUS_EXISTS);
    assert_int_equal(vfs_open(world->vfs, in(world, "a"), VFS_WRITE | VFS_CREATE, &file),
                     STATUS_OK);
    vfs_close(file);
    expect_file(world, "a", "text");
    write_file(world, "a", "x"); /* truncates */
    expect_file(world, "a", "x");
}

static void names_move_and_links_share_a_file(void **state)
{
    struct world *world = *state;
    const struct vfs_ops *ops = world->vfs->ops;
    write_file(world, "a", "one");
    write_file(world, "b", "two");
    assert_int_equal(ops->link(world->vfs, in(world, "a"), in(world, "c")), STATUS_OK);
    assert_int_equal(ops->link(world->vfs, in(world, "a"), in(world, "b")), STATUS_EXISTS);
    assert_int_equal(ops->link(world->vfs, in(world, "z"), in(world, "y")), STATUS_NOT_FOUND);
    assert_int_equal(vfs_rename(world->vfs, in(world, "a"), in(world, "b")), STATUS_OK);
    expect_file(world, "b", "one");
    assert_int_equal(vfs_rename(world->vfs, in(world, "a"), in(world, "b")), STATUS_NOT_FOUND);
    write_file(world, "c", "three");
    expect_file(world, "b", "three");
    assert_int_equal(vfs_remove(world->vfs, in(world, "b")), STATUS_OK);
    assert_int_equal(vfs_remove(world->vfs, in(world, "b")), STATUS_NOT_FOUND);
    expect_file(world, "c", "three");
    assert_int_equal(vfs_sync_directory(world->vfs, world->directory), STATUS_OK);
    assert_int_equal(vfs_sync_directory(world->vfs, in(world, "no")), STATUS_NOT_FOUND);
}

static void removed_file_stays_readable_while_it_is_open(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    char bytes[4];
    write_file(world, "a", "text");
    assert_int_equal(vfs_open(world->vfs, in(world, "a"), VFS_READ, &file), STATUS_OK);
    assert_int_equal(vfs_remove(world->vfs, in(world, "a")), STATUS_OK);
    assert_int_equal(vfs_read_exactly(file, 0, bytes, 4, false), STATUS_OK);
    assert_memory_equal(bytes, "text", 4);
    vfs_close(file);
}

static void directories_list_their_names(void **state)
{
    struct world *world = *state;
    const struct vfs_ops *ops = world->vfs->ops;
    struct names names = {0};
    assert_int_equal(ops->list(world->vfs, in(world, "no"), names_add, &names), STATUS_NOT_FOUND);
    assert_int_equal(ops->make_directory(world->vfs, in(world, "sub")), STATUS_OK);
    assert_int_equal(ops->make_directory(world->vfs, in(world, "sub")), STATUS_EXISTS);
    assert_int_equal(ops->make_directory(world->vfs, in(world, "no/sub")), STATUS_NOT_FOUND);
    write_file(world, "a", "");
    write_file(world, "sub/b", "");
    assert_int_equal(ops->list(world->vfs, world->directory, names_add, &names), STATUS_OK);
    assert_int_equal(names.count, 2);
    assert_true(names_have(&names, "a"));
    assert_true(names_have(&names, "sub"));
    assert_int_equal(ops->remove_directory(world->vfs, in(world, "sub")), STATUS_EXISTS);
    assert_int_equal(vfs_remove(world->vfs, in(world, "sub/b")), STATUS_OK);
    assert_int_equal(ops->remove_directory(world->vfs, in(world, "sub")), STATUS_OK);
    assert_int_equal(ops->remove_directory(world->vfs, in(world, "sub")), STATUS_NOT_FOUND);
}

static void lock_is_for_one_holder(void **state)
{
    struct world *world = *state;
    const struct vfs_ops *ops = world->vfs->ops;
    struct vfs_file *first = NULL, *second = NULL;
    assert_int_equal(ops->lock(world->vfs, in(world, "LOCK"), &first), STATUS_OK);
    assert_int_equal(ops->lock(world->vfs, in(world, "LOCK"), &second), STATUS_BUSY);
    assert_null(second);
    vfs_close(first);
    assert_int_equal(ops->lock(world->vfs, in(world, "LOCK"), &second), STATUS_OK);
    vfs_close(second);
    assert_int_equal(ops->lock(world->vfs, in(world, "no/LOCK"), &second), STATUS_NOT_FOUND);
}

static void read_file_bounds_the_size_and_appends(void **state)
{
    struct world *world = *state;
    struct buffer content = {0};
    buffer_append_text(&content, ">");
    write_file(world, "a", "12345");
    assert_int_equal(vfs_read_file(world->vfs, in(world, "a"), 4, &content), STATUS_TOO_LARGE);
    assert_int_equal(vfs_read_file(world->vfs, in(world, "b"), 4, &content), STATUS_NOT_FOUND);
    assert_int_equal(content.size, 1);
    assert_int_equal(vfs_read_file(world->vfs, in(world, "a"), 5, &content), STATUS_OK);
    assert_true(slice_equal(buffer_slice(&content), slice_from(">12345")));
    buffer_release(&content);
}

static void replace_file_leaves_the_new_content_and_nothing_else(void **state)
{
    struct world *world = *state;
    struct names names = {0};
    for (int i = 0; i < 2; i++) {
        const char *text = i ? "second" : "first and longer";
        assert_int_equal(
            vfs_replace_file(world->vfs, world->directory, "CURRENT", slice_from(text)), STATUS_OK);
        expect_file(world, "CURRENT", text);
    }
    assert_int_equal(world->vfs->ops->list(world->vfs, world->directory, names_add, &names),
                     STATUS_OK);
    assert_int_equal(names.count, 1);
    char long_name[5000];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(
        vfs_replace_file(world->vfs, world->directory, long_name, slice_from("text")),
        STATUS_INVALID);
}

static void rewriting_changes_no_byte(void **state)
{
    struct world *world = *state;
    enum { BYTES = (1 << 20) + 300 }; /* more than a piece */
    struct vfs_file *file = NULL;
    struct buffer written = {0}, found = {0};
    for (size_t i = 0; i < BYTES; i++)
        buffer_append_byte(&written, (uint8_t)(i * 31 + (i >> 8)));
    assert_int_equal(vfs_open(world->vfs, in(world, "a"), VFS_WRITE | VFS_CREATE, &file),
                     STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, written.data, BYTES), STATUS_OK);
    assert_int_equal(vfs_rewrite(file, 10, BYTES), STATUS_OK);
    assert_int_equal(vfs_rewrite(file, 200, 200), STATUS_OK);
    assert_int_equal(vfs_rewrite(file, 200, BYTES + 1), STATUS_CORRUPT); /* it is not made longer */
    vfs_close(file);
    assert_int_equal(vfs_read_file(world->vfs, in(world, "a"), 2 * BYTES, &found), STATUS_OK);
    assert_true(slice_equal(buffer_slice(&found), buffer_slice(&written)));
    buffer_release(&found);
    buffer_release(&written);
}

static void free_bytes_are_told(void **state)
{
    struct world *world = *state;
    uint64_t bytes = 0;
    assert_int_equal(world->vfs->ops->free_bytes(world->vfs, world->directory, &bytes), STATUS_OK);
    assert_true(bytes > 0);
}

#define ON_EACH(test)                                                                              \
    {#test " (posix)", test, set_up_posix, tear_down, NULL},                                       \
        {#test " (memory)", test, set_up_memory, tear_down, NULL},                                 \
        {#test " (fault over posix)", test, set_up_fault_over_posix, tear_down, NULL},             \
        {#test " (fault over memory)", test, set_up_fault_over_memory, tear_down, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_EACH(file_gives_back_what_was_written),
        ON_EACH(open_flags_mean_what_they_say),
        ON_EACH(names_move_and_links_share_a_file),
        ON_EACH(removed_file_stays_readable_while_it_is_open),
        ON_EACH(directories_list_their_names),
        ON_EACH(lock_is_for_one_holder),
        ON_EACH(read_file_bounds_the_size_and_appends),
        ON_EACH(replace_file_leaves_the_new_content_and_nothing_else),
        ON_EACH(rewriting_changes_no_byte),
        ON_EACH(free_bytes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
