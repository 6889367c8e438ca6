/* SPDX-License-Identifier: MIT */
/* Objects that are built beside the keys, and what is left of those that are never linked: nothing. */
#include "types/object_build.h"

#include "base/memory.h"
#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/store_check.h"
#include "types/store_state.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { PIECES = 100, LENGTH = PIECES * STRING_PIECE_BYTES };

static struct memory_store ms;
static uint8_t piece[STRING_PIECE_BYTES];

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 4});
    memset(piece, 'p', sizeof piece);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

/* ---- Short forms. ---------------------------------------------------------------------------- */

static void begin(struct object_build *build, bool is_small)
{
    memory_store_read(&ms);
    object_build_begin(build, &ms.access, is_small);
    memory_store_end(&ms);
}

static enum status put_piece(struct object_build *build, uint32_t index)
{
    uint8_t key[5] = {'s'};
    be32_store(key + 1, index);
    return object_build_put(build, TREE_PARTS, slice_make(key, sizeof key),
                            slice_make(piece, sizeof piece));
}

static unsigned spills;

static enum status spill(void *context, struct object_build *build)
{
    assert_null(context);
    spills++;
    return object_build_spill(build);
}

/* A string of LENGTH bytes, all but the end of it in the store. */
static unsigned build_string(struct object_build *build)
{
    spills = 0;
    begin(build, false);
    build->full = spill;
    for (uint32_t i = 0; i < PIECES; i++)
        assert_int_equal(put_piece(build, i), STATUS_OK);
    return spills;
}

static void link_string(struct object_build *build, const char *key)
{
    uint8_t body[VARINT_BYTES_MAX];
    struct object object = {.type = OBJECT_STRING};
    lsm_lock(store_engine(ms.store));
    assert_int_equal(
        access_begin_write(&ms.access, 0, false, object_build_link_bytes(build), false), STATUS_OK);
    assert_true(object_build_is_current(build, &ms.access));
    struct object old;
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &old), STATUS_NOT_FOUND);
    object.id = object_build_link(build, &ms.access);
    object.body = slice_make(body, varint_store(body, LENGTH));
    keyspace_put(&ms.access, slice_from(key), &object, NULL);
    memory_store_end(&ms);
}

static void check_string(const char *key)
{
    struct slice value;
    memory_store_read(&ms);
    assert_int_equal(string_get(&ms.access, slice_from(key), &value), STATUS_OK);
    assert_int_equal(value.size, LENGTH);
    for (size_t i = 0; i < PIECES; i++)
        assert_memory_equal(value.data + i * sizeof piece, piece, sizeof piece);
    memory_store_end(&ms);
}

static void expect_sound(void)
{
    struct lsm_report report = {""};
    if (store_check(ms.store, &report))
        fail_msg("%s", report.text);
}

static size_t count_parts(void)
{
    struct buffer dump = {0};
    size_t count = 0;
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        count += dump.data[i] == '\n';
    buffer_release(&dump);
    return count;
}

static bool has_list(void)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct slice record;
    memory_store_read(&ms);
    enum status status = access_get(&ms.access, TREE_KEYS, meta_key(key, META_BUILDS, 0), &record);
    memory_store_end(&ms);
    return status == STATUS_OK;
}

/* ---- Tests. ---------------------------------------------------------------------------------- */

static void a_large_object_is_seen_when_it_is_linked_and_not_before(void **state)
{
    struct object_build build;
    struct slice value;
    (void)state;
    assert_true(build_string(&build) >= 2);
    assert_true(has_list());
    assert_true(count_parts() > PIECES / 2);
    memory_store_read(&ms);
    assert_int_equal(string_get(&ms.access, slice_from("k"), &value), STATUS_NOT_FOUND);
    memory_store_end(&ms);
    expect_sound();
    memory_store_work(&ms, true);
    link_string(&build, "k");
    object_build_release(&build);
    assert_false(has_list());
    assert_int_equal(count_parts(), PIECES);
    check_string("k");
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    check_string("k");
}

static void no_batch_is_larger_than_its_bound(void **state)
{
    struct object_build build;
    (void)state;
    begin(&build, false);
    build.full = spill;
    for (uint32_t i = 0; i < PIECES; i++) {
        assert_int_equal(put_piece(&build, i), STATUS_OK);
        assert_true(build.bytes <= OBJECT_BUILD_BATCH_BYTES);
        assert_true(object_build_link_bytes(&build) <= OBJECT_BUILD_BATCH_BYTES + 64 * 1024);
    }
    object_build_release(&build);
}

static void a_record_above_the_bound_has_a_batch_for_itself(void **state)
{
    static uint8_t large[OBJECT_BUILD_BATCH_BYTES + 1];
    struct object_build build;
    spills = 0;
    struct slice value = slice_make(large, sizeof large);
    (void)state;
    begin(&build, false);
    build.full = spill;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(put_piece(&build, (uint32_t)i), STATUS_OK);
        assert_false(object_build_fits(&build, slice_from("sxxxx"), value));
        assert_int_equal(object_build_put(&build, TREE_PARTS, slice_from("sxxxx"), value),
                         STATUS_OK);
    }
    assert_int_equal(spills, 5);
    object_build_release(&build);
    assert_int_equal(count_parts(), 0);
}

static void a_small_object_is_written_with_its_header(void **state)
{
    struct object_build build;
    (void)state;
    begin(&build, true);
    assert_int_equal(put_piece(&build, 0), STATUS_OK);
    assert_int_equal(put_piece(&build, 1), STATUS_TOO_LARGE);
    assert_int_equal(object_build_link_bytes(&build), build.bytes);
    assert_int_equal(count_parts(), 0);
    assert_false(has_list());
    memory_store_write(&ms);
    (void)object_build_link(&build, &ms.access);
    memory_store_end(&ms);
    ms.is_damaged = true; /* no header names it */
    assert_int_equal(count_parts(), 1);
    object_build_release(&build);
    object_build_release(&build); /* of a zeroed one: nothing */
}

static void what_is_not_linked_is_given_back(void **state)
{
    struct object_build build;
    (void)state;
    (void)build_string(&build);
    object_build_release(&build);
    assert_false(has_list());
    assert_int_equal(count_parts(), 0);
}

static void what_a_crash_leaves_unlinked_is_given_back_at_the_start(void **state)
{
    struct object_build builds[2];
    (void)state;
    (void)build_string(&builds[0]);
    (void)build_string(&builds[1]);
    assert_int_equal(lsm_wal_write(store_engine(ms.store)), STATUS_OK);
    struct vfs *killed = vfs_memory_after_power_loss(ms.memory, VFS_KEEP_ALL, 1);
    object_build_release(&builds[0]);
    object_build_release(&builds[1]);
    memory_store_release(&ms);
    memory_store_open_in(&ms, killed, &(struct store_options){.databases = 4});
    assert_false(has_list());
    assert_int_equal(count_parts(), 0);
    assert_int_equal(ms.store->build_count, 0);
    expect_sound();
    memory_store_reopen(&ms);
    assert_int_equal(count_parts(), 0);
}

static void a_database_that_is_emptied_or_swapped_takes_no_build(void **state)
{
    struct object_build build;
    struct object old;
    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        memory_store_write(&ms);
        enum status status = keyspace_find(&ms.access, slice_from("k"), &old);
        string_set(&ms.access, slice_from("k"), slice_from("v"), status ? NULL : &old,
                   &(struct string_set_options){0});
        memory_store_end(&ms);
        (void)build_string(&build);
        memory_store_write(&ms);
        assert_true(object_build_is_current(&build, &ms.access));
        if (swap)
            keyspace_swap(&ms.access, 0, 1);
        else
            assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
        assert_false(object_build_is_current(&build, &ms.access));
        memory_store_end(&ms);
        assert_int_equal(object_build_spill(&build), STATUS_CONFLICT);
        expect_sound();
        object_build_release(&build);
        assert_int_equal(count_parts(), 0);
        expect_sound();
    }
}

/* So full that not even what only deletes finds room. */
static void fill_disk(void)
{
    enum status status;
    vfs_fault_set_free_bytes(ms.vfs, 0);
    do {
        lsm_lock(store_engine(ms.store));
        status = access_begin_write(&ms.access, 0, false, 64 * 1024, true);
        if (!status) {
            access_put(&ms.access, TREE_PARTS, slice_make("\0\0\0\0\4", 5),
                       slice_make(piece, 30000));
            access_end(&ms.access);
        }
        lsm_unlock(store_engine(ms.store));
    } while (!status);
    assert_int_equal(status, STATUS_NO_SPACE);
}

static void free_disk(void)
{
    vfs_fault_set_free_bytes(ms.vfs, UINT64_MAX);
    memory_store_write(&ms);
    access_delete(&ms.access, TREE_PARTS, slice_make("\0\0\0\0\4", 5));
    memory_store_end(&ms);
}

/* While the disk is full nothing can be given back; the next build does it, or the next start. */
static void what_finds_no_room_to_be_given_back_goes_later(void **state)
{
    struct object_build build;
    (void)state;
    for (int by_start = 0; by_start < 2; by_start++) {
        (void)build_string(&build);
        fill_disk();
        object_build_release(&build);
        free_disk();
        assert_true(count_parts() > 0);
        assert_int_equal(ms.store->build_count, 1);
        expect_sound();
        if (by_start) {
            memory_store_reopen(&ms);
            assert_int_equal(count_parts(), 0);
        } else {
            (void)build_string(&build);
            assert_int_equal(ms.store->build_count, 1);
            object_build_release(&build);
        }
        assert_int_equal(count_parts(), 0);
    }
}

static void builds_end_in_any_order(void **state)
{
    struct object_build builds[3];
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        begin(&builds[i], false);
        assert_int_equal(put_piece(&builds[i], i), STATUS_OK);
        assert_int_equal(object_build_spill(&builds[i]), STATUS_OK);
    }
    assert_int_equal(count_parts(), 3);
    for (int i = 2; i >= 0; i--) {
        object_build_release(&builds[i]);
        assert_int_equal(ms.store->build_count, i);
        assert_int_equal(count_parts(), i);
        expect_sound();
    }
    assert_false(has_list());
}

static void there_are_so_many_builds_at_once_and_no_more(void **state)
{
    static struct object_build builds[STORE_BUILDS_MAX + 1];
    (void)state;
    for (size_t i = 0; i <= STORE_BUILDS_MAX; i++) {
        begin(&builds[i], false);
        assert_int_equal(put_piece(&builds[i], 0), STATUS_OK);
        assert_int_equal(object_build_spill(&builds[i]),
                         i < STORE_BUILDS_MAX ? STATUS_OK : STATUS_BUSY);
    }
    expect_sound();
    assert_int_equal(count_parts(), STORE_BUILDS_MAX);
    for (size_t i = 0; i <= STORE_BUILDS_MAX; i++)
        object_build_release(&builds[i]);
    assert_int_equal(count_parts(), 0);
}

static void without_memory_nothing_is_put(void **state)
{
    struct object_build build;
    (void)state;
    begin(&build, false);
    memory_fail_try(1, false);
    assert_int_equal(put_piece(&build, 0), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    assert_int_equal(build.bytes, 0);
    assert_int_equal(put_piece(&build, 0), STATUS_OK);
    memory_fail_try(1, false);
    build.bytes = 2 << 20; /* so that more must be made ready than there is */
    assert_int_equal(object_build_spill(&build), STATUS_NO_MEMORY);
    memory_fail_try(0, false);
    object_build_release(&build);
}

static void what_a_full_batch_runs_into_is_said(void **state)
{
    struct object_build build;
    spills = 0;
    enum status status = STATUS_OK;
    (void)state;
    begin(&build, false);
    build.full = spill;
    memory_store_write(&ms);
    keyspace_swap(&ms.access, 0, 1);
    memory_store_end(&ms);
    for (uint32_t i = 0; i < PIECES && !status; i++)
        status = put_piece(&build, i);
    assert_int_equal(status, STATUS_CONFLICT);
    assert_int_equal(spills, 1);
    object_build_release(&build);
}

static void a_record_of_builds_that_cannot_be_read_stops_the_start(void **state)
{
    uint8_t key[META_KEY_BYTES_MAX];
    struct lsm_report report = {""};
    struct store *store;
    (void)state;
    memory_store_write(&ms);
    access_put(&ms.access, TREE_KEYS, meta_key(key, META_BUILDS, 0), slice_from("\x01"));
    memory_store_end(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_CORRUPT);
    assert_non_null(strstr(report.text, "record of the builds"));
    assert_int_equal(lsm_wal_write(store_engine(ms.store)), STATUS_OK);
    struct vfs *copy = vfs_memory_after_power_loss(ms.memory, VFS_KEEP_ALL, 1);
    struct env env = ms.env;
    env.vfs = copy;
    assert_int_equal(
        store_open(&env, "/data", &(struct store_options){.databases = 4}, &report, &store),
        STATUS_CORRUPT);
    vfs_destroy(copy);
    memory_store_write(&ms);
    access_delete(&ms.access, TREE_KEYS, meta_key(key, META_BUILDS, 0));
    memory_store_end(&ms);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_large_object_is_seen_when_it_is_linked_and_not_before),
        TEST(no_batch_is_larger_than_its_bound),
        TEST(a_record_above_the_bound_has_a_batch_for_itself),
        TEST(a_small_object_is_written_with_its_header),
        TEST(what_is_not_linked_is_given_back),
        TEST(what_a_crash_leaves_unlinked_is_given_back_at_the_start),
        TEST(a_database_that_is_emptied_or_swapped_takes_no_build),
        TEST(what_finds_no_room_to_be_given_back_goes_later),
        TEST(builds_end_in_any_order),
        TEST(there_are_so_many_builds_at_once_and_no_more),
        TEST(without_memory_nothing_is_put),
        TEST(what_a_full_batch_runs_into_is_said),
        TEST(a_record_of_builds_that_cannot_be_read_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
