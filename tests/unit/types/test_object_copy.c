/* SPDX-License-Identifier: MIT */
/* A copy has the records that its object has, whatever type it is of, and no others. */
#include "unit/types/stream_fixture.h"

#include "base/memory.h"
#include "types/list.h"
#include "types/object_copy.h"
#include "types/store_check.h"
#include "types/store_state.h"
#include "types/string.h"

enum { ENTRIES = 20000 };

/* ---- Objects of every type ------------------------------------------------------------------- */

static void push_elements(const char *key, int count, size_t bytes)
{
    static char element[70000];
    uint64_t length;
    struct slice value = slice_make(element, bytes);
    memory_store_write(&ms);
    for (int i = 0; i < count; i++) {
        memset(element, 'a' + i % 26, bytes);
        assert_int_equal(
            list_push(&ms.access, slice_from(key), LIST_RIGHT, &value, 1, false, &length),
            STATUS_OK);
    }
    memory_store_end(&ms);
}

static void ignore(void *context, struct slice value)
{
    (void)context;
    (void)value;
}

static void pop_elements(const char *key, uint64_t count)
{
    const struct list_visitor visitor = {.element = ignore};
    memory_store_write(&ms);
    assert_int_equal(list_pop(&ms.access, slice_from(key), LIST_LEFT, count, &visitor), STATUS_OK);
    memory_store_end(&ms);
}

static void set_string(const char *key, size_t bytes)
{
    static uint8_t value[3 << 20];
    memory_store_write(&ms);
    for (size_t i = 0; i < bytes; i++)
        value[i] = (uint8_t)(i * i >> 3);
    string_set(&ms.access, slice_from(key), slice_make(value, bytes), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 5000});
    memory_store_end(&ms);
}

/* Late entries, deletions, garbage below the first one. */
static void fill_stream(void)
{
    struct stream_id ids[100];
    struct stream stream;
    struct slice fields[] = {slice_from("f"),
                             slice_from("a value of a usual length, more or less")};
    for (uint64_t i = 0; i < 300; i++) {
        ms.now_ms += 3;
        write_line("a line of a usual length, give or take", i % 100 < 50 ? 5000 + i : 0);
    }
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_append_begin(&ms.access, &stream), STATUS_OK);
    for (size_t i = 0; i < ENTRIES; i++) {
        struct stream_id id = {ms.now_ms + 1 + i, 0};
        stream_append(
            &ms.access, &stream, id,
            &(struct stream_input){.fields = fields, .field_count = 1, .event_ms = id.ms});
        if (i % (ENTRIES / 100) == 7)
            ids[i / (ENTRIES / 100)] = id;
    }
    stream_append_end(&ms.access, &stream);
    memory_store_end(&ms);
    assert_int_equal(delete_ids(ids, 100), 100);
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = ENTRIES - 1600});
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = ENTRIES - 1605});
}

/* ---- Copying --------------------------------------------------------------------------------- */

static enum status spill(void *context, struct object_build *build)
{
    (void)context;
    return object_build_spill(build);
}

/* As COPY does it with a large one; returns in how many steps. */
static int copy_large(const char *from, const char *to, bool is_disturbed)
{
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(store_engine(ms.store));
    struct object_copy copy;
    struct object_build build;
    struct object object, old;
    struct buffer body = {0};
    bool done = false, changed;
    int steps = 0;
    access_begin_read_at(&ms.access, 0, snapshot);
    assert_int_equal(keyspace_find(&ms.access, slice_from(from), &object), STATUS_OK);
    object_copy_begin(&copy, &ms.access, &object);
    object_build_begin(&build, &ms.access, false);
    build.full = spill;
    buffer_append_slice(&body, object.body);
    memory_store_end(&ms);
    for (; !done; steps++) {
        access_begin_read_at(&ms.access, 1, snapshot);
        assert_int_equal(object_copy_step(&copy, &ms.access, &build, &done), STATUS_OK);
        memory_store_end(&ms);
        if (!done)
            assert_int_equal(object_build_spill(&build), STATUS_OK);
        if (is_disturbed && steps == 0) {
            memory_store_write(&ms);
            assert_int_equal(keyspace_delete(&ms.access, slice_from(from), &changed), STATUS_OK);
            memory_store_end(&ms);
            memory_store_work(&ms, true);
        }
    }
    memory_store_write(&ms);
    if (!is_disturbed) {
        assert_int_equal(keyspace_find(&ms.access, slice_from(from), &old), STATUS_OK);
        assert_int_equal(
            keyspace_changed(&ms.access, slice_from(from), lsm_snapshot_lsn(snapshot), &changed),
            STATUS_OK);
        assert_false(changed);
    }
    assert_int_equal(keyspace_find(&ms.access, slice_from(to), &old), STATUS_NOT_FOUND);
    object.id = object_build_link(&build, &ms.access);
    object.body = buffer_slice(&body);
    keyspace_put(&ms.access, slice_from(to), &object, NULL);
    memory_store_end(&ms);
    lsm_snapshot_release(snapshot);
    object_copy_release(&copy);
    object_build_release(&build);
    buffer_release(&body);
    return steps;
}

/* What no range deletion covers under an id, without it. */
static void append_records(const char *key, struct buffer *into)
{
    uint8_t from[OBJECT_PREFIX_BYTES], to[OBJECT_PREFIX_BYTES];
    struct object object;
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(key), &object), STATUS_OK);
    object_prefix_store(from, ms.access.generation, object.id);
    object_prefix_store(to, ms.access.generation, object.id + 1);
    buffer_append_slice(into, object.body);
    memory_store_end(&ms);
    struct lsm_reader *reader = lsm_reader_create(store_engine(ms.store));
    lsm_read_begin(reader);
    for (unsigned tree = TREE_PARTS; tree <= TREE_ENTRIES; tree++) {
        struct lsm_iter *iter = lsm_iter_open(
            reader, tree,
            &(struct lsm_iter_options){.lower = slice_make(from, 12), .upper = slice_make(to, 12)});
        for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
            buffer_append_sized(into, slice_skip(lsm_iter_key(iter), 12));
            buffer_append_sized(into, lsm_iter_value(iter));
        }
        lsm_iter_close(iter);
    }
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
}

static void expect_sound(void)
{
    struct lsm_report report = {""};
    if (store_check(ms.store, &report))
        fail_msg("%s", report.text);
}

static void expect_copied(const char *from, const char *to, int steps_min, int steps_max)
{
    struct buffer first = {0}, second = {0};
    assert_in_range(copy_large(from, to, false), steps_min, steps_max);
    append_records(from, &first);
    append_records(to, &second);
    assert_true(slice_equal(buffer_slice(&first), buffer_slice(&second)));
    buffer_release(&first);
    buffer_release(&second);
    expect_sound();
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void a_copy_has_the_records_of_its_object(void **state)
{
    (void)state;
    for (int in_tables = 0; in_tables < 2; in_tables++) {
        set_string("string", 3 << 20);
        push_elements("list", 3000, 600);
        push_elements("list", 20, 70000);
        pop_elements("list", 1100); /* so many that they were given back */
        pop_elements("list", 5);    /* these were not */
        push_elements("short", 129, 1);
        fill_stream();
        if (in_tables)
            memory_store_work(&ms, true);
        expect_copied("string", "string2", 3, 5);
        expect_copied("list", "list2", 2, 5);
        expect_copied("short", "short2", 1, 1);
        expect_copied("s", "s2", 2, 6);
        teardown(NULL);
        setup(NULL);
    }
}

static void what_is_deleted_meanwhile_is_copied_from_the_snapshot(void **state)
{
    struct buffer before = {0}, after = {0};
    (void)state;
    fill_stream();
    append_records("s", &before);
    assert_true(copy_large("s", "copy", true) > 1);
    append_records("copy", &after);
    assert_true(slice_equal(buffer_slice(&before), buffer_slice(&after)));
    expect_sound();
    buffer_release(&before);
    buffer_release(&after);
}

static void a_change_of_the_object_is_seen(void **state)
{
    bool changed = true;
    (void)state;
    push_elements("list", 2, 600);
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(store_engine(ms.store));
    lsn_t moment = lsm_snapshot_lsn(snapshot);
    for (int i = 0; i < 2; i++) {
        memory_store_read(&ms);
        assert_int_equal(keyspace_changed(&ms.access, slice_from("list"), moment, &changed),
                         STATUS_OK);
        assert_int_equal(changed, i);
        assert_int_equal(keyspace_changed(&ms.access, slice_from("none"), moment, &changed),
                         STATUS_NOT_FOUND);
        memory_store_end(&ms);
        push_elements("list", 1, 1);
        memory_store_work(&ms, i == 0);
    }
    lsm_snapshot_release(snapshot);
}

static void a_small_object_must_fit(void **state)
{
    struct object_copy copy;
    struct object_build build;
    struct object object;
    bool done = true;
    (void)state;
    set_string("string", 70000);
    push_elements("list", 10, 600);
    memory_store_write(&ms);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keyspace_find(&ms.access, slice_from(i ? "list" : "string"), &object),
                         STATUS_OK);
        object_copy_begin(&copy, &ms.access, &object);
        object_build_begin(&build, &ms.access, true);
        assert_int_equal(object_copy_step(&copy, &ms.access, &build, &done), STATUS_OK);
        assert_int_equal(done, i);
        object_build_release(&build);
        object_copy_release(&copy);
    }
    memory_store_end(&ms);
}

static void without_memory_or_a_disk_that_reads_a_copy_says_so(void **state)
{
    struct object_copy copy;
    struct object_build build;
    struct object object;
    bool done = true;
    (void)state;
    set_string("string", 1 << 20);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    for (int i = 0; i < 2; i++) {
        memory_store_read(&ms);
        assert_int_equal(keyspace_find(&ms.access, slice_from("string"), &object), STATUS_OK);
        object_copy_begin(&copy, &ms.access, &object);
        object_build_begin(&build, &ms.access, false);
        if (i == 0)
            vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, 3, STATUS_IO, false);
        else
            memory_fail_try(1, false);
        assert_int_equal(object_copy_step(&copy, &ms.access, &build, &done),
                         i ? STATUS_NO_MEMORY : STATUS_IO);
        assert_false(done);
        vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
        memory_fail_try(0, false);
        memory_store_end(&ms);
        object_build_release(&build);
        object_copy_release(&copy);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_copy_has_the_records_of_its_object),
        TEST(what_is_deleted_meanwhile_is_copied_from_the_snapshot),
        TEST(a_change_of_the_object_is_seen),
        TEST(a_small_object_must_fit),
        TEST(without_memory_or_a_disk_that_reads_a_copy_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
