/* SPDX-License-Identifier: MIT */
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct vfs *memory, *fault;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->memory = vfs_memory_create();
    world->fault = vfs_fault_create(world->memory);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    vfs_destroy(world->fault);
    vfs_destroy(world->memory);
    free(world);
    return 0;
}

static struct vfs_file *create(struct world *world, const char *path)
{
    struct vfs_file *file = NULL;
    assert_int_equal(vfs_open(world->fault, path, VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    return file;
}

static uint64_t size_of(struct vfs_file *file)
{
    uint64_t size = 0;
    assert_int_equal(vfs_size(file, &size), STATUS_OK);
    return size;
}

static void name_ignored(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* Makes one call of each kind, the n-th of which is the n-th kind here; the first failure is returned. */
static enum status call_everything(struct world *world, unsigned *made)
{
    struct vfs *vfs = world->fault;
    struct vfs_file *file = NULL, *lock = NULL;
    char bytes[4];
    size_t got;
    uint64_t number;
    bool exists;
    *made = 0;
    enum status status = vfs_open(vfs, "/a", VFS_WRITE | VFS_CREATE, &file);
#define STEP(call)                                                                                 \
    if (status == STATUS_OK) {                                                                     \
        ++*made;                                                                                   \
        status = (call);                                                                           \
    }
    STEP(vfs_write_at(file, 0, "text", 4));
    STEP(file->ops->read_at(file, 0, bytes, 4, false, &got));
    STEP(vfs_sync(file));
    STEP(vfs_truncate(file, 2));
    STEP(vfs_size(file, &number));
    STEP(vfs->ops->exists(vfs, "/a", &exists));
    STEP(vfs->ops->free_bytes(vfs, "/", &number));
    STEP(vfs->ops->link(vfs, "/a", "/b"));
    STEP(vfs_rename(vfs, "/b", "/c"));
    STEP(vfs_remove(vfs, "/c"));
    STEP(vfs->ops->make_directory(vfs, "/d"));
    STEP(vfs_sync_directory(vfs, "/"));
    STEP(vfs->ops->list(vfs, "/", name_ignored, NULL));
    STEP(vfs->ops->remove_directory(vfs, "/d"));
    STEP(vfs->ops->lock(vfs, "/lock", &lock));
#undef STEP
    *made += status == STATUS_OK;
    vfs_close(file);
    vfs_close(lock);
    return status;
}

static void nth_call_of_any_kind_fails(void **state)
{
    (void)state;
    unsigned n = 1;
    for (;; n++) {
        void *fresh = NULL;
        set_up(&fresh);
        struct world *world = fresh;
        unsigned made = 0;
        vfs_fault_fail(world->fault, ~0u, n, STATUS_IO, false);
        enum status status = call_everything(world, &made);
        uint64_t failed = vfs_fault_failed_count(world->fault);
        assert_int_equal(status, failed ? STATUS_IO : STATUS_OK);
        assert_int_equal(made, failed ? n - 1 : VFS_CALL_COUNT);
        tear_down(&fresh);
        if (!failed)
            break;
    }
    assert_int_equal(n, VFS_CALL_COUNT + 1);
}

static void only_chosen_kinds_fail_and_for_good_if_told(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = create(world, "/a");
    vfs_fault_fail(world->fault, 1u << VFS_CALL_SYNC, 2, STATUS_IO, true);
    assert_int_equal(vfs_write_at(file, 0, "x", 1), STATUS_OK);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vfs_sync(file), STATUS_IO);
    assert_int_equal(vfs_write_at(file, 1, "x", 1), STATUS_OK);
    assert_int_equal(vfs_fault_failed_count(world->fault), 3);
    vfs_fault_fail(world->fault, 0, 0, STATUS_OK, false);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    vfs_fault_fail(world->fault, 1u << VFS_CALL_SYNC, 1, STATUS_NO_SPACE, false);
    assert_int_equal(vfs_sync(file), STATUS_NO_SPACE);
    assert_int_equal(vfs_sync(file), STATUS_OK);
    vfs_close(file);
}

static void failed_write_leaves_a_prefix_and_failed_sync_nothing(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = create(world, "/a");
    assert_int_equal(vfs_sync_directory(world->fault, "/"), STATUS_OK);
    vfs_fault_fail(world->fault, 1u << VFS_CALL_WRITE | 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
    assert_int_equal(vfs_write_at(file, 0, "12345678", 8), STATUS_IO);
    assert_int_equal(size_of(file), 4);
    assert_int_equal(vfs_sync(file), STATUS_IO);
    struct vfs *after = vfs_memory_after_power_loss(world->memory, VFS_LOSE_UNSYNCED, 1);
    struct buffer content = {0};
    assert_int_equal(vfs_read_file(after, "/a", 10, &content), STATUS_OK);
    assert_int_equal(content.size, 0);
    buffer_release(&content);
    vfs_destroy(after);
    vfs_close(file);
}

static void fail_next(struct world *world, enum vfs_call call, enum vfs_fault_form form)
{
    vfs_fault_set_form(world->fault, form);
    vfs_fault_fail(world->fault, 1u << call, 1, STATUS_IO, false);
}

static void failed_reads_and_writes_come_short_in_every_form(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = create(world, "/a");
    char bytes[8] = "--------";
    size_t got = 77;
    fail_next(world, VFS_CALL_WRITE, VFS_FAULT_NOTHING);
    assert_int_equal(vfs_write_at(file, 0, "12345678", 8), STATUS_IO);
    assert_int_equal(size_of(file), 0);
    fail_next(world, VFS_CALL_WRITE, VFS_FAULT_ENDS);
    assert_int_equal(vfs_write_at(file, 0, "12345678", 8), STATUS_IO);
    assert_int_equal(size_of(file), 4);
    fail_next(world, VFS_CALL_WRITE, VFS_FAULT_DONE);
    assert_int_equal(vfs_write_at(file, 0, "12345678", 8), STATUS_IO);
    assert_int_equal(size_of(file), 8);

    fail_next(world, VFS_CALL_READ, VFS_FAULT_NOTHING);
    assert_int_equal(file->ops->read_at(file, 0, bytes, 8, false, &got), STATUS_IO);
    assert_memory_equal(bytes, "--------", 8);
    fail_next(world, VFS_CALL_READ, VFS_FAULT_HALF);
    assert_int_equal(file->ops->read_at(file, 0, bytes, 8, false, &got), STATUS_IO);
    assert_memory_equal(bytes, "1234\xa5\xa5\xa5\xa5", 8);
    assert_int_equal(got, 77); /* untouched by failures */
    fail_next(world, VFS_CALL_READ, VFS_FAULT_ENDS);
    assert_int_equal(file->ops->read_at(file, 2, bytes, 6, false, &got), STATUS_OK);
    assert_int_equal(got, 3);
    assert_memory_equal(bytes, "345", 3);
    fail_next(world, VFS_CALL_READ, VFS_FAULT_ENDS); /* half of what is there, not of what is asked */
    assert_int_equal(file->ops->read_at(file, 6, bytes, 8, false, &got), STATUS_OK);
    assert_int_equal(got, 1);
    fail_next(world, VFS_CALL_READ, VFS_FAULT_ENDS);
    assert_int_equal(vfs_read_exactly(file, 0, bytes, 8, false), STATUS_IO);
    assert_int_equal(vfs_read_exactly(file, 1, bytes, 8, false), STATUS_CORRUPT); /* it is shorter */
    assert_int_equal(vfs_read_exactly(file, 0, bytes, 8, false), STATUS_OK);
    vfs_close(file);
}

/* The error comes although all was done, as after a link that the network has lost the answer of. */
static void error_may_come_after_the_deed(void **state)
{
    struct world *world = *state;
    struct vfs *vfs = world->fault;
    struct vfs_file *file = NULL;
    bool exists = false;
    fail_next(world, VFS_CALL_OPEN, VFS_FAULT_DONE);
    assert_int_equal(vfs_open(vfs, "/a", VFS_WRITE | VFS_CREATE, &file), STATUS_IO);
    assert_null(file);
    fail_next(world, VFS_CALL_LOCK, VFS_FAULT_DONE);
    assert_int_equal(vfs->ops->lock(vfs, "/lock", &file), STATUS_IO);
    assert_null(file);
    assert_int_equal(vfs_memory_open_count(world->memory), 0);
    fail_next(world, VFS_CALL_RENAME, VFS_FAULT_DONE);
    assert_int_equal(vfs_rename(vfs, "/a", "/b"), STATUS_IO);
    fail_next(world, VFS_CALL_EXISTS, VFS_FAULT_DONE);
    assert_int_equal(vfs->ops->exists(vfs, "/b", &exists), STATUS_IO);
    assert_false(exists);
    assert_int_equal(vfs->ops->exists(vfs, "/b", &exists), STATUS_OK);
    assert_true(exists);
    fail_next(world, VFS_CALL_REMOVE, VFS_FAULT_DONE);
    assert_int_equal(vfs_remove(vfs, "/b"), STATUS_IO);
    assert_int_equal(vfs_remove(vfs, "/b"), STATUS_NOT_FOUND);
    /* HALF of what has no halves is nothing. */
    fail_next(world, VFS_CALL_MKDIR, VFS_FAULT_HALF);
    assert_int_equal(vfs->ops->make_directory(vfs, "/d"), STATUS_IO);
    assert_int_equal(vfs->ops->make_directory(vfs, "/d"), STATUS_OK);
    fail_next(world, VFS_CALL_RMDIR, VFS_FAULT_ENDS);
    assert_int_equal(vfs->ops->remove_directory(vfs, "/d"), STATUS_IO);
    assert_int_equal(vfs->ops->remove_directory(vfs, "/d"), STATUS_OK);
}

static void calls_and_bytes_are_counted(void **state)
{
    struct world *world = *state;
    struct vfs_fault_counters counters;
    unsigned made = 0;
    assert_int_equal(call_everything(world, &made), STATUS_OK);
    vfs_fault_counters(world->fault, &counters);
    for (int i = 0; i < VFS_CALL_COUNT; i++)
        assert_int_equal(counters.calls[i], 1);
    assert_int_equal(counters.bytes_read, 4);
    assert_int_equal(counters.bytes_written, 4);
}

static void full_disk_takes_what_fits_and_gives_room_back(void **state)
{
    struct world *world = *state;
    uint64_t bytes = 0;
    struct vfs_file *file = create(world, "/a");
    assert_int_equal(vfs_write_at(file, 0, "0123456789", 10), STATUS_OK);
    vfs_fault_set_free_bytes(world->fault, 5);
    assert_int_equal(vfs_write_at(file, 0, "abcdefghij", 10), STATUS_OK); /* in place */
    assert_int_equal(vfs_write_at(file, 8, "0123456789", 10), STATUS_NO_SPACE);
    assert_int_equal(size_of(file), 15);
    assert_int_equal(world->fault->ops->free_bytes(world->fault, "/", &bytes), STATUS_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(vfs_write_at(file, 100, "x", 1), STATUS_NO_SPACE); /* a hole is room too */
    assert_int_equal(size_of(file), 15);

    assert_int_equal(vfs_truncate(file, 12), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 12, "012", 3), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 15, "0", 1), STATUS_NO_SPACE);
    vfs_close(file);

    struct vfs_file *other = create(world, "/b");
    assert_int_equal(vfs_write_at(other, 0, "0", 1), STATUS_NO_SPACE);
    assert_int_equal(vfs_remove(world->fault, "/a"), STATUS_OK);
    assert_int_equal(vfs_write_at(other, 0, "0123456789abcde", 15), STATUS_OK);
    assert_int_equal(vfs_write_at(other, 15, "0", 1), STATUS_NO_SPACE);
    vfs_close(other);

    struct vfs_file *third = create(world, "/c");
    assert_int_equal(vfs_rename(world->fault, "/c", "/b"), STATUS_OK); /* /b's bytes go */
    assert_int_equal(vfs_write_at(third, 0, "0123456789", 10), STATUS_OK);
    vfs_close(third);
    assert_int_equal(vfs_open(world->fault, "/b", VFS_WRITE | VFS_TRUNCATE, &third), STATUS_OK);
    assert_int_equal(vfs_write_at(third, 0, "0123456789abcde", 15), STATUS_OK);
    vfs_fault_set_free_bytes(world->fault, UINT64_MAX);
    assert_int_equal(vfs_write_at(third, 0, "0123456789abcdefgh", 18), STATUS_OK);
    vfs_close(third);
}

struct reading {
    struct vfs_file *file;
    char bytes[4];
    enum status status;
};

static void *read_held(void *argument)
{
    struct reading *reading = argument;
    reading->status = vfs_read_exactly(reading->file, 0, reading->bytes, 4, false);
    return NULL;
}

static void held_calls_wait_and_nowait_reads_do_not(void **state)
{
    struct world *world = *state;
    struct vfs_file *held = create(world, "/table"), *other = create(world, "/wal");
    assert_int_equal(vfs_write_at(held, 0, "text", 4), STATUS_OK);
    assert_int_equal(vfs_write_at(other, 0, "else", 4), STATUS_OK);
    vfs_fault_hold(world->fault, 1u << VFS_CALL_READ, "table");
    char bytes[4];
    assert_int_equal(vfs_read_exactly(held, 0, bytes, 4, true), STATUS_WOULD_BLOCK);
    assert_int_equal(vfs_read_exactly(other, 0, bytes, 4, false), STATUS_OK);
    assert_int_equal(vfs_write_at(held, 0, "TEXT", 4), STATUS_OK);
    assert_int_equal(vfs_fault_held_count(world->fault), 0);

    struct reading reading = {.file = held, .status = STATUS_INVALID};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_held, &reading), 0);
    while (vfs_fault_held_count(world->fault) == 0)
        sched_yield();
    vfs_fault_release(world->fault);
    pthread_join(thread, NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_memory_equal(reading.bytes, "TEXT", 4);
    assert_int_equal(vfs_fault_held_count(world->fault), 0);
    assert_int_equal(vfs_read_exactly(held, 0, bytes, 4, true), STATUS_OK);
    vfs_close(held);
    vfs_close(other);
}

struct site_notes {
    const char *names[4];
    uint64_t calls[4];
    unsigned count;
};

static void note_site(void *context, const char *site, uint64_t calls)
{
    struct site_notes *notes = context;
    assert_true(notes->count < 4);
    notes->names[notes->count] = site;
    notes->calls[notes->count++] = calls;
}

static void skipped_site_says_ok_and_makes_nothing_durable(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = create(world, "/a");
    vfs_fault_skip_sync(world->fault, "data");
    assert_int_equal(vfs_write_at(file, 0, "text", 4), STATUS_OK);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    assert_int_equal(vfs_sync_directory_at(world->fault, "/", "names"), STATUS_OK);
    assert_int_equal(vfs_sync_directory(world->fault, "/"), STATUS_OK);
    assert_int_equal(vfs_fault_skipped_count(world->fault), 2);
    struct buffer content = {0};
    struct vfs *after = vfs_memory_after_power_loss(world->memory, VFS_LOSE_UNSYNCED, 1);
    assert_int_equal(vfs_read_file(after, "/a", 10, &content), STATUS_OK);
    assert_int_equal(content.size, 0);
    vfs_destroy(after);

    struct site_notes notes = {.count = 0};
    vfs_fault_sync_sites(world->fault, note_site, &notes);
    assert_int_equal(notes.count, 3);
    assert_string_equal(notes.names[0], "data");
    assert_int_equal(notes.calls[0], 2);
    assert_string_equal(notes.names[1], "names");
    assert_string_equal(notes.names[2], __func__); /* without a label: the caller's name */

    vfs_fault_skip_sync(world->fault, NULL);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    after = vfs_memory_after_power_loss(world->memory, VFS_LOSE_UNSYNCED, 1);
    assert_int_equal(vfs_read_file(after, "/a", 10, &content), STATUS_OK);
    assert_int_equal(content.size, 4);
    vfs_destroy(after);
    buffer_release(&content);
    vfs_close(file);
}

struct watch_notes {
    struct world *world;
    unsigned calls;
    size_t durable_bytes;
};

/* Looks at what a power loss just before the call would leave. */
static void look_before(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct watch_notes *notes = context;
    struct buffer content = {0};
    assert_int_equal(call, VFS_CALL_SYNC);
    assert_string_equal(path, "/a");
    assert_string_equal(site, "data");
    struct vfs *after = vfs_memory_after_power_loss(notes->world->memory, VFS_LOSE_UNSYNCED, 1);
    assert_int_equal(vfs_read_file(after, "/a", 10, &content), STATUS_OK);
    notes->durable_bytes = content.size;
    notes->calls++;
    buffer_release(&content);
    vfs_destroy(after);
}

static void watcher_sees_the_world_before_each_call(void **state)
{
    struct world *world = *state;
    struct watch_notes notes = {.world = world};
    struct vfs_file *file = create(world, "/a");
    assert_int_equal(vfs_sync_directory(world->fault, "/"), STATUS_OK);
    vfs_fault_watch(world->fault, 1u << VFS_CALL_SYNC, look_before, &notes);
    assert_int_equal(vfs_write_at(file, 0, "text", 4), STATUS_OK);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    assert_int_equal(notes.durable_bytes, 0);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    assert_int_equal(notes.durable_bytes, 4);
    assert_int_equal(notes.calls, 2);
    vfs_fault_watch(world->fault, 0, NULL, NULL);
    assert_int_equal(vfs_sync_at(file, "data"), STATUS_OK);
    assert_int_equal(notes.calls, 2);
    vfs_close(file);
}

static void cold_files_are_read_by_those_who_wait(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = NULL;
    char data[4];
    size_t got = 0;
    assert_int_equal(vfs_open(world->fault, "/data.cwt", VFS_WRITE | VFS_CREATE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, "text", 4), STATUS_OK);
    vfs_fault_set_cold(world->fault, ".cwt");
    assert_int_equal(file->ops->read_at(file, 0, data, 4, true, &got), STATUS_WOULD_BLOCK);
    assert_int_equal(file->ops->read_at(file, 0, data, 4, false, &got), STATUS_OK);
    vfs_fault_set_cold(world->fault, ".wal");
    assert_int_equal(file->ops->read_at(file, 0, data, 4, true, &got), STATUS_OK);
    vfs_fault_set_cold(world->fault, NULL);
    vfs_close(file);
}

static unsigned told_count;

static void note_failed_sync(struct vfs_file *below)
{
    told_count++;
    vfs_memory_lose_unsynced(below);
}

/* Bytes of the file that a power loss leaves. */
static uint64_t bytes_left(struct world *world)
{
    struct buffer found = {0};
    struct vfs *after = vfs_memory_after_power_loss(world->memory, VFS_LOSE_UNSYNCED, 1);
    assert_int_equal(vfs_read_file(after, "/a", 100, &found), STATUS_OK);
    uint64_t size = found.size;
    buffer_release(&found);
    vfs_destroy(after);
    return size;
}

static void sync_that_fails_undone_is_told(void **state)
{
    struct world *world = *state;
    struct vfs_file *file = create(world, "/a");
    assert_int_equal(vfs_sync_directory(world->fault, "/"), STATUS_OK);
    vfs_fault_on_failed_sync(world->fault, note_failed_sync);
    told_count = 0;
    uint64_t size = 0, left = 0;
    for (enum vfs_fault_form form = VFS_FAULT_HALF; form <= VFS_FAULT_ENDS; form++) {
        unsigned before = told_count;
        assert_int_equal(vfs_write_at(file, size++, "x", 1), STATUS_OK);
        fail_next(world, VFS_CALL_SYNC, form);
        assert_int_equal(vfs_sync(file), STATUS_IO);
        assert_int_equal(told_count, before + (form != VFS_FAULT_DONE));
        assert_int_equal(vfs_sync(file), STATUS_OK); /* believes in nothing that was lost */
        left = form == VFS_FAULT_DONE ? size : left;
        assert_int_equal(bytes_left(world), left);
    }
    fail_next(world, VFS_CALL_SYNC_DIRECTORY, VFS_FAULT_NOTHING);
    assert_int_equal(vfs_sync_directory(world->fault, "/"), STATUS_IO);
    vfs_fault_on_failed_sync(world->fault, NULL);
    fail_next(world, VFS_CALL_SYNC, VFS_FAULT_NOTHING);
    assert_int_equal(vfs_sync(file), STATUS_IO);
    assert_int_equal(told_count, 3);
    vfs_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nth_call_of_any_kind_fails),
        cmocka_unit_test_setup_teardown(only_chosen_kinds_fail_and_for_good_if_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(failed_write_leaves_a_prefix_and_failed_sync_nothing,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_reads_and_writes_come_short_in_every_form, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(error_may_come_after_the_deed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_and_bytes_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_takes_what_fits_and_gives_room_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(held_calls_wait_and_nowait_reads_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(skipped_site_says_ok_and_makes_nothing_durable, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(watcher_sees_the_world_before_each_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sync_that_fails_undone_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cold_files_are_read_by_those_who_wait, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
