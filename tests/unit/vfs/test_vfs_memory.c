/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "vfs/vfs_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct vfs *new_memory(void)
{
    struct vfs *vfs = vfs_memory_create();
    assert_int_equal(vfs->ops->make_directory(vfs, "/db"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/"), STATUS_OK);
    return vfs;
}

static struct vfs_file *create(struct vfs *vfs, const char *path)
{
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(vfs, path, VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    return file;
}

/* A file and its name, both durable. */
static struct vfs_file *create_durable(struct vfs *vfs, const char *path, const char *text)
{
    struct vfs_file *file = create(vfs, path);
    assert_int_equal(vfs_write_at(file, 0, text, strlen(text)), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    return file;
}

static bool has(struct vfs *vfs, const char *path)
{
    bool exists = false;
    assert_int_equal(vfs->ops->exists(vfs, path, &exists), STATUS_OK);
    return exists;
}

static bool holds(struct vfs *vfs, const char *path, const void *bytes, size_t size)
{
    struct buffer content = {0};
    enum status status = vfs_read_file(vfs, path, 1 << 24, &content);
    bool same = status == STATUS_OK && slice_equal(buffer_slice(&content), slice_make(bytes, size));
    buffer_release(&content);
    return same;
}

static bool holds_text(struct vfs *vfs, const char *path, const char *text)
{
    return holds(vfs, path, text, strlen(text));
}

static void synced_bytes_and_names_survive_every_power_loss(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "durable");
    for (int mode = VFS_LOSE_UNSYNCED; mode <= VFS_REORDER; mode++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct vfs *after = vfs_memory_after_power_loss(vfs, mode, seed);
            assert_true(holds_text(after, "/db/a", "durable"));
            vfs_destroy(after);
        }
    }
    vfs_close(file);
    vfs_destroy(vfs);
}

static void unsynced_bytes_sizes_and_names_are_lost(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *kept = create_durable(vfs, "/db/kept", "durable");
    assert_int_equal(vfs_write_at(kept, 0, "DUR", 3), STATUS_OK);
    assert_int_equal(vfs_write_at(kept, 7, " and more", 9), STATUS_OK);
    struct vfs_file *cut = create_durable(vfs, "/db/cut", "durable");
    assert_int_equal(vfs_truncate(cut, 2), STATUS_OK);
    struct vfs_file *nameless = create(vfs, "/db/nameless");
    assert_int_equal(vfs_write_at(nameless, 0, "x", 1), STATUS_OK);
    assert_int_equal(vfs_sync(nameless), STATUS_OK); /* the bytes, not the name */
    struct vfs_file *moved = create_durable(vfs, "/db/old", "moved");
    struct vfs_file *empty = create(vfs, "/db/empty");
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK); /* names, not the bytes */
    assert_int_equal(vfs_write_at(empty, 0, "x", 1), STATUS_OK);
    assert_int_equal(vfs_rename(vfs, "/db/old", "/db/new"), STATUS_OK);
    assert_int_equal(vfs_remove(vfs, "/db/cut"), STATUS_OK);
    assert_int_equal(vfs->ops->link(vfs, "/db/kept", "/db/second"), STATUS_OK);
    assert_int_equal(vfs->ops->make_directory(vfs, "/db/sub"), STATUS_OK);

    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(after, "/db/kept", "durable"));
    assert_true(holds_text(after, "/db/cut", "durable"));
    assert_true(holds_text(after, "/db/old", "moved"));
    assert_true(holds_text(after, "/db/empty", ""));
    assert_true(holds_text(after, "/db/nameless", "x")); /* a later directory sync took it along */
    assert_false(has(after, "/db/new"));
    assert_false(has(after, "/db/second"));
    assert_false(has(after, "/db/sub"));
    vfs_destroy(after);

    after = vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
    assert_true(holds_text(after, "/db/kept", "DURable and more"));
    assert_true(holds_text(after, "/db/second", "DURable and more"));
    assert_true(holds_text(after, "/db/new", "moved"));
    assert_true(holds_text(after, "/db/empty", "x"));
    assert_false(has(after, "/db/old"));
    assert_false(has(after, "/db/cut"));
    assert_true(has(after, "/db/sub"));
    vfs_destroy(after);
    vfs_close(kept);
    vfs_close(cut);
    vfs_close(nameless);
    vfs_close(moved);
    vfs_close(empty);
    vfs_destroy(vfs);
}

static void file_sync_does_not_make_its_name_durable(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create(vfs, "/db/a");
    assert_int_equal(vfs_write_at(file, 0, "x", 1), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_false(has(after, "/db/a"));
    vfs_destroy(after);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(after, "/db/a", "x"));
    vfs_destroy(after);
    vfs_close(file);
    vfs_destroy(vfs);
}

static void directory_that_was_never_synced_takes_its_files_along(void **state)
{
    (void)state;
    struct vfs *vfs = vfs_memory_create();
    assert_int_equal(vfs->ops->make_directory(vfs, "db"), STATUS_OK);
    struct vfs_file *file = create_durable(vfs, "./db/a", "x");
    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_false(has(after, "db"));
    vfs_destroy(after);
    assert_int_equal(vfs_sync_directory(vfs, "."), STATUS_OK);
    after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(after, "/db/a", "x"));
    vfs_destroy(after);
    vfs_close(file);
    vfs_destroy(vfs);
}

/* Every combination that a sector model allows turns up, and nothing else. */
static void torn_writes_leave_whole_sectors_in_any_combination(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    static uint8_t base[2048], overwrite[1024], found[2048];
    memset(base, 'o', sizeof base);
    memset(overwrite, 'n', sizeof overwrite);
    struct vfs_file *file = create(vfs, "/db/a");
    assert_int_equal(vfs_write_at(file, 0, base, sizeof base), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 256, overwrite, sizeof overwrite), STATUS_OK);
    unsigned seen[8] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_TEAR, seed);
        struct vfs_file *torn = NULL;
        assert_int_equal(vfs_open(after, "/db/a", VFS_READ, &torn), STATUS_OK);
        assert_int_equal(vfs_read_exactly(torn, 0, found, sizeof found, false), STATUS_OK);
        unsigned pattern = (found[256] == 'n') | (found[512] == 'n') << 1 |
                           (found[1024] == 'n') << 2;
        for (size_t i = 0; i < sizeof found; i++) {
            bool written = i >= 256 && i < 1280;
            bool survived = written && (pattern >> i / 512 & 1);
            assert_int_equal(found[i], survived ? 'n' : 'o');
        }
        seen[pattern]++;
        vfs_close(torn);
        vfs_destroy(after);
    }
    for (int i = 0; i < 8; i++)
        assert_true(seen[i] > 10);
    vfs_close(file);
    vfs_destroy(vfs);
}

/* Two writes to one sector: found as before, after the first, or after both; never the second alone. */
static void torn_sector_is_as_the_cache_once_held_it(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "....");
    assert_int_equal(vfs_write_at(file, 0, "1", 1), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 2, "2", 1), STATUS_OK);
    unsigned before = 0, first = 0, both = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_TEAR, seed);
        before += holds_text(after, "/db/a", "....");
        first += holds_text(after, "/db/a", "1...");
        both += holds_text(after, "/db/a", "1.2.");
        vfs_destroy(after);
    }
    assert_int_equal(before + first + both, 100);
    assert_true(before > 10);
    assert_true(first > 10);
    assert_true(both > 10);
    vfs_close(file);
    vfs_destroy(vfs);
}

static void reordered_writes_survive_each_by_itself(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    static uint8_t base[4096], write[1000], expected[4096];
    struct vfs_file *file = create(vfs, "/db/a");
    assert_int_equal(vfs_write_at(file, 0, base, sizeof base), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        memset(write, '1' + (int)i, sizeof write);
        assert_int_equal(vfs_write_at(file, i * 800, write, sizeof write), STATUS_OK);
    }
    unsigned seen[8] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_REORDER, seed);
        unsigned matches = 0;
        for (unsigned pattern = 0; pattern < 8; pattern++) {
            memset(expected, 0, sizeof expected);
            for (unsigned i = 0; i < 3; i++) {
                if (pattern >> i & 1)
                    memset(expected + i * 800, '1' + (int)i, sizeof write);
            }
            if (holds(after, "/db/a", expected, sizeof expected)) {
                seen[pattern]++;
                matches++;
            }
        }
        assert_int_equal(matches, 1);
        vfs_destroy(after);
    }
    for (int i = 0; i < 8; i++)
        assert_true(seen[i] > 10);
    vfs_close(file);
    vfs_destroy(vfs);
}

static void size_may_survive_without_the_bytes(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "");
    assert_int_equal(vfs_write_at(file, 0, "12345", 5), STATUS_OK);
    unsigned zeros = 0, empty = 0, whole = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_REORDER, seed);
        zeros += holds(after, "/db/a", "\0\0\0\0\0", 5);
        empty += holds_text(after, "/db/a", "");
        whole += holds_text(after, "/db/a", "12345");
        vfs_destroy(after);
    }
    assert_int_equal(zeros + empty + whole, 100);
    assert_true(zeros > 5);
    assert_true(empty > 5);
    assert_true(whole > 5);
    vfs_close(file);
    vfs_destroy(vfs);
}

/* The names change one by one, in any combination; a rename never leaves none or both of its names. */
static void renames_survive_whole_or_not_at_all(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *old = create_durable(vfs, "/db/CURRENT", "old");
    struct vfs_file *new = create_durable(vfs, "/db/CURRENT.tmp", "new");
    assert_int_equal(vfs_rename(vfs, "/db/CURRENT.tmp", "/db/CURRENT"), STATUS_OK);
    struct vfs_file *other = create(vfs, "/db/other");
    unsigned kept = 0, lost = 0, other_alone = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, seed % 2 ? VFS_TEAR : VFS_REORDER, seed);
        bool renamed = !has(after, "/db/CURRENT.tmp");
        assert_true(holds_text(after, "/db/CURRENT", renamed ? "new" : "old"));
        kept += renamed;
        lost += !renamed;
        other_alone += !renamed && has(after, "/db/other");
        vfs_destroy(after);
    }
    assert_true(kept > 20);
    assert_true(lost > 20);
    assert_true(other_alone > 10);
    vfs_close(old);
    vfs_close(new);
    vfs_close(other);
    vfs_destroy(vfs);
}

static void hard_links_are_one_file_after_power_loss_too(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "one");
    assert_int_equal(vfs->ops->link(vfs, "/db/a", "/db/b"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, "two", 3), STATUS_OK);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_TEAR, seed);
        const char *text = holds_text(after, "/db/a", "two") ? "two" : "one";
        assert_true(holds_text(after, "/db/a", text));
        assert_true(holds_text(after, "/db/b", text));
        struct vfs_file *again = create(after, "/db/a");
        assert_int_equal(vfs_write_at(again, 0, "six", 3), STATUS_OK);
        assert_true(holds_text(after, "/db/b", "six"));
        vfs_close(again);
        vfs_destroy(after);
    }
    vfs_close(file);
    vfs_destroy(vfs);
}

static void power_loss_leaves_the_old_world_as_it_was(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "one");
    assert_int_equal(vfs_write_at(file, 0, "two", 3), STATUS_OK);
    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    struct vfs_file *other = create(after, "/db/a");
    assert_int_equal(vfs_write_at(other, 0, "six", 3), STATUS_OK);
    assert_true(holds_text(vfs, "/db/a", "two"));
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(holds_text(after, "/db/a", "six"));
    struct vfs *second = vfs_memory_after_power_loss(after, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(second, "/db/a", "one")); /* what the first loss left is durable */
    vfs_close(file);
    vfs_close(other);
    vfs_destroy(vfs);
    vfs_destroy(after);
    vfs_destroy(second);
}

static void same_seed_same_loss(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, test_seed());
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "");
    static uint8_t bytes[3000];
    for (int i = 0; i < 60; i++) {
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)random_next(&random);
        assert_int_equal(vfs_write_at(file, random_below(&random, 9000), bytes,
                                      random_below(&random, sizeof bytes)),
                         STATUS_OK);
        if (random_below(&random, 10) == 0)
            assert_int_equal(vfs_truncate(file, random_below(&random, 9000)), STATUS_OK);
    }
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct buffer first = {0}, second = {0};
        for (int i = 0; i < 2; i++) {
            struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_TEAR, seed);
            assert_int_equal(vfs_read_file(after, "/db/a", 1 << 20, i ? &second : &first),
                             STATUS_OK);
            vfs_destroy(after);
        }
        assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        buffer_release(&first);
        buffer_release(&second);
    }
    vfs_close(file);
    vfs_destroy(vfs);
}

static void flip_changes_one_byte_for_good(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "abc");
    assert_int_equal(vfs_memory_flip(vfs, "/db/a", 1, 1), STATUS_OK);
    assert_true(holds_text(vfs, "/db/a", "acc"));
    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(after, "/db/a", "acc"));
    assert_int_equal(vfs_memory_flip(vfs, "/db/a", 3, 1), STATUS_INVALID);
    assert_int_equal(vfs_memory_flip(vfs, "/db/b", 0, 1), STATUS_NOT_FOUND);
    assert_int_equal(vfs_memory_flip(vfs, "/db", 0, 1), STATUS_NOT_FOUND);
    vfs_destroy(after);
    vfs_close(file);
    vfs_destroy(vfs);
}

static void syncs_are_counted(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    uint64_t before = vfs_memory_sync_count(vfs);
    struct vfs_file *file = create_durable(vfs, "/db/a", "abc");
    assert_int_equal(vfs_memory_sync_count(vfs), before + 2);
    assert_int_equal(vfs_memory_unsynced_bytes(vfs, "/db/a"), 0);
    assert_int_equal(vfs_write_at(file, 10, "12345", 5), STATUS_OK);
    assert_int_equal(vfs_memory_unsynced_bytes(vfs, "/db/a"), 5);
    assert_int_equal(vfs_memory_unsynced_bytes(vfs, "/db/b"), 0);
    assert_int_equal(vfs_sync_directory(vfs, "/no"), STATUS_NOT_FOUND);
    assert_int_equal(vfs_memory_sync_count(vfs), before + 2);
    vfs_close(file);
    vfs_destroy(vfs);
}

static void directories_are_no_files(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = NULL;
    const struct vfs_ops *ops = vfs->ops;
    vfs_close(create(vfs, "/db/a"));
    assert_int_equal(vfs_open(vfs, "/db", VFS_READ, &file), STATUS_IO);
    assert_int_equal(vfs_open(vfs, "/", VFS_READ, &file), STATUS_IO);
    assert_int_equal(vfs_remove(vfs, "/db"), STATUS_IO);
    assert_int_equal(vfs_remove(vfs, "/"), STATUS_NOT_FOUND);
    assert_int_equal(ops->remove_directory(vfs, "/db/a"), STATUS_IO);
    assert_int_equal(ops->link(vfs, "/db", "/db2"), STATUS_IO);
    assert_int_equal(ops->make_directory(vfs, "/"), STATUS_EXISTS);
    assert_int_equal(vfs_rename(vfs, "/db/a", "/db"), STATUS_EXISTS);
    assert_int_equal(vfs_sync_directory(vfs, "/db/a"), STATUS_IO);
    assert_int_equal(vfs_open(vfs, "/db/a/b", VFS_READ, &file), STATUS_NOT_FOUND);
    assert_int_equal(ops->make_directory(vfs, "/other"), STATUS_OK);
    assert_int_equal(vfs_rename(vfs, "/db/a", "/other/a"), STATUS_OK);
    assert_false(has(vfs, "/db/a"));
    assert_true(has(vfs, "/other/a"));
    vfs_destroy(vfs);
}

enum { THREADS = 4, WRITES = 500 };

static void *write_many(void *argument)
{
    struct vfs *vfs = argument;
    struct vfs_file *file = create(vfs, "/db/shared");
    for (int i = 0; i < WRITES; i++) {
        uint64_t size = 0;
        if (vfs_write_at(file, (uint64_t)i, "x", 1) != STATUS_OK || vfs_sync(file) != STATUS_OK ||
            vfs_size(file, &size) != STATUS_OK || size <= (uint64_t)i)
            return "failed";
    }
    vfs_close(file);
    return NULL;
}

static void threads_may_share_a_file(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, vfs), 0);
    for (int i = 0; i < 20; i++)
        vfs_destroy(vfs_memory_after_power_loss(vfs, VFS_TEAR, (uint64_t)i));
    for (int i = 0; i < THREADS; i++) {
        void *failure = NULL;
        pthread_join(threads[i], &failure);
        assert_null(failure);
    }
    vfs_destroy(vfs);
}

static void what_a_kill_leaves_unsynced_a_power_loss_still_takes(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "old");
    assert_int_equal(vfs_write_at(file, 0, "new!", 4), STATUS_OK);
    assert_int_equal(vfs_rename(vfs, "/db/a", "/db/b"), STATUS_OK);
    struct vfs *killed = vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
    assert_true(holds_text(killed, "/db/b", "new!"));
    assert_false(has(killed, "/db/a"));
    struct vfs *lost = vfs_memory_after_power_loss(killed, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(lost, "/db/a", "old"));
    assert_false(has(lost, "/db/b"));
    vfs_destroy(lost);
    /* Whoever goes on after the kill may still sync it. */
    struct vfs_file *again = NULL;
    assert_int_equal(vfs_open(killed, "/db/b", VFS_WRITE, &again), STATUS_OK);
    assert_int_equal(vfs_sync(again), STATUS_OK);
    assert_int_equal(vfs_sync_directory(killed, "/db"), STATUS_OK);
    lost = vfs_memory_after_power_loss(killed, VFS_LOSE_UNSYNCED, 1);
    assert_true(holds_text(lost, "/db/b", "new!"));
    vfs_close(again);
    vfs_close(file);
    vfs_destroy(lost);
    vfs_destroy(killed);
    vfs_destroy(vfs);
}

/* true: a power loss leaves this. */
static bool leaves(struct vfs *vfs, const char *bytes, size_t size)
{
    struct vfs *after = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 1);
    bool same = holds(after, "/db/a", bytes, size);
    vfs_destroy(after);
    return same;
}

static void what_a_failed_sync_lost_is_read_and_no_later_sync_brings_it_back(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "old old"), *again = NULL;
    assert_int_equal(vfs_write_at(file, 0, "new", 3), STATUS_OK);
    vfs_memory_lose_unsynced(file);
    assert_int_equal(vfs_memory_unsynced_bytes(vfs, "/db/a"), 0);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(holds_text(vfs, "/db/a", "new old"));
    assert_true(leaves(vfs, "old old", 7));
    /* What is written over it, or beside it, is not lost. */
    assert_int_equal(vfs_write_at(file, 2, "WW", 2), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(holds_text(vfs, "/db/a", "neWWold"));
    assert_true(leaves(vfs, "olWWold", 7));
    /* The next process reads it, too, and only writing makes it durable. */
    struct vfs *killed = vfs_memory_after_power_loss(vfs, VFS_KEEP_ALL, 1);
    assert_int_equal(vfs_open(killed, "/db/a", VFS_WRITE, &again), STATUS_OK);
    assert_true(holds_text(killed, "/db/a", "neWWold"));
    assert_int_equal(vfs_sync(again), STATUS_OK);
    assert_true(leaves(killed, "olWWold", 7));
    assert_int_equal(vfs_rewrite(again, 0, 7), STATUS_OK);
    assert_true(leaves(killed, "olWWold", 7));
    assert_int_equal(vfs_sync(again), STATUS_OK);
    assert_true(leaves(killed, "neWWold", 7));
    vfs_close(file);
    vfs_close(again);
    vfs_destroy(killed);
    vfs_destroy(vfs);
}

static void failed_sync_loses_the_bytes_that_made_a_file_longer_and_no_truncation(void **state)
{
    (void)state;
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create_durable(vfs, "/db/a", "abc");
    assert_int_equal(vfs_write_at(file, 3, "defg", 4), STATUS_OK);
    vfs_memory_lose_unsynced(file);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(leaves(vfs, "abc", 3));
    assert_int_equal(vfs_write_at(file, 7, "h", 1), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(leaves(vfs, "abc\0\0\0\0h", 8));
    assert_int_equal(vfs_truncate(file, 2), STATUS_OK);
    vfs_memory_lose_unsynced(file);
    assert_true(leaves(vfs, "abc\0\0\0\0h", 8));
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_true(leaves(vfs, "ab", 2));
    vfs_close(file);
    vfs_destroy(vfs);
}

/* old: 'o'; lost 'L' over all of it; then 'S' at 100, synced; then 'U' at 600, not synced. */
static void failed_sync_may_have_brought_some_of_it_to_the_medium(void **state)
{
    (void)state;
    static uint8_t bytes[1024], found[1024];
    struct vfs *vfs = new_memory();
    struct vfs_file *file = create(vfs, "/db/a"), *after_file = NULL;
    memset(bytes, 'o', sizeof bytes);
    assert_int_equal(vfs_write_at(file, 0, bytes, sizeof bytes), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_int_equal(vfs_sync_directory(vfs, "/db"), STATUS_OK);
    memset(bytes, 'L', sizeof bytes);
    assert_int_equal(vfs_write_at(file, 0, bytes, sizeof bytes), STATUS_OK);
    vfs_memory_lose_unsynced(file);
    assert_int_equal(vfs_write_at(file, 100, "SSSS", 4), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 600, "UUUU", 4), STATUS_OK);
    unsigned seen[2][8] = {{0}};
    for (uint64_t seed = 0; seed < 400; seed++) {
        bool torn = seed % 2;
        struct vfs *after = vfs_memory_after_power_loss(vfs, torn ? VFS_TEAR : VFS_REORDER, seed);
        assert_int_equal(vfs_open(after, "/db/a", VFS_READ, &after_file), STATUS_OK);
        assert_int_equal(vfs_read_exactly(after_file, 0, found, sizeof found, false), STATUS_OK);
        for (size_t i = 0; i < sizeof found; i++) {
            uint8_t below = i < 512 ? found[0] : found[512];
            assert_int_equal(found[i], i >= 100 && i < 104   ? 'S'
                                       : i >= 600 && i < 604 ? found[600]
                                                             : below);
        }
        assert_true(found[600] == 'U' || found[600] == found[512]);
        seen[torn][(found[0] == 'L') | (found[512] == 'L') << 1 | (found[600] == 'U') << 2]++;
        vfs_close(after_file);
        vfs_destroy(after);
    }
    for (int i = 0; i < 8; i++)
        assert_true(seen[1][i] > 5);
    assert_true(seen[0][0] > 10 && seen[0][3] > 10 && seen[0][4] > 10 && seen[0][7] > 10);
    assert_int_equal(seen[0][0] + seen[0][3] + seen[0][4] + seen[0][7], 200);
    vfs_close(file);
    vfs_destroy(vfs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_and_names_survive_every_power_loss),
        cmocka_unit_test(unsynced_bytes_sizes_and_names_are_lost),
        cmocka_unit_test(file_sync_does_not_make_its_name_durable),
        cmocka_unit_test(directory_that_was_never_synced_takes_its_files_along),
        cmocka_unit_test(torn_writes_leave_whole_sectors_in_any_combination),
        cmocka_unit_test(torn_sector_is_as_the_cache_once_held_it),
        cmocka_unit_test(reordered_writes_survive_each_by_itself),
        cmocka_unit_test(size_may_survive_without_the_bytes),
        cmocka_unit_test(renames_survive_whole_or_not_at_all),
        cmocka_unit_test(hard_links_are_one_file_after_power_loss_too),
        cmocka_unit_test(power_loss_leaves_the_old_world_as_it_was),
        cmocka_unit_test(what_a_kill_leaves_unsynced_a_power_loss_still_takes),
        cmocka_unit_test(what_a_failed_sync_lost_is_read_and_no_later_sync_brings_it_back),
        cmocka_unit_test(failed_sync_loses_the_bytes_that_made_a_file_longer_and_no_truncation),
        cmocka_unit_test(failed_sync_may_have_brought_some_of_it_to_the_medium),
        cmocka_unit_test(same_seed_same_loss),
        cmocka_unit_test(flip_changes_one_byte_for_good),
        cmocka_unit_test(syncs_are_counted),
        cmocka_unit_test(directories_are_no_files),
        cmocka_unit_test(threads_may_share_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
