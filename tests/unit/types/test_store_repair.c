/* SPDX-License-Identifier: MIT */
#include "types/store_repair.h"

#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/store_check.h"
#include "types/stream.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;
static struct buffer said, seen;

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 4});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    buffer_release(&said);
    buffer_release(&seen);
    return 0;
}

static void say_line(void *context, const char *line)
{
    (void)context;
    buffer_append_text(&said, line);
    buffer_append_byte(&said, '\n');
}

/* Closes, repairs and opens the store. */
static void repair_unchecked(void)
{
    struct lsm_report report = {""};
    buffer_clear(&said);
    access_release(&ms.access);
    lsm_reader_destroy(ms.reader);
    assert_int_equal(store_close(ms.store), STATUS_OK);
    assert_int_equal(store_repair(&ms.env, "/data", say_line, NULL), STATUS_OK);
    assert_int_equal(store_open(&ms.env, "/data", &ms.options, &report, &ms.store), STATUS_OK);
    ms.reader = lsm_reader_create(store_engine(ms.store));
    access_init(&ms.access, ms.store, ms.reader);
    buffer_append_byte(&said, 0);
}

/* Afterwards it is sound. */
static void repair(void)
{
    struct lsm_report report = {""};
    repair_unchecked();
    enum status status = store_check(ms.store, &report);
    if (status)
        print_error("%s\n", report.text);
    assert_int_equal(status, STATUS_OK);
}

static void set(const char *key, struct slice value, uint64_t expire_ms)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, slice_from(key), &old);
    string_set(&ms.access, slice_from(key), value, status ? NULL : &old,
               &(struct string_set_options){.expire_ms = expire_ms});
}

static uint64_t push(const char *key, struct slice value)
{
    uint64_t length;
    assert_int_equal(list_push(&ms.access, slice_from(key), LIST_RIGHT, &value, 1, false, &length),
                     STATUS_OK);
    return length;
}

static void see(void *context, struct slice value)
{
    (void)context;
    buffer_append(&seen, value.data, value.size < 4 ? value.size : 4);
    buffer_append_byte(&seen, ' ');
}

static void expect_list(const char *key, const char *elements)
{
    memory_store_read(&ms);
    buffer_clear(&seen);
    assert_int_equal(
        list_range(&ms.access, slice_from(key), 0, -1, &(struct list_visitor){.element = see}),
        STATUS_OK);
    buffer_append_byte(&seen, 0);
    assert_string_equal(seen.data, elements);
    memory_store_end(&ms);
}

/* Takes away a record of the object as a dropped table does. */
static void lose_part(const char *name, char tag, struct slice own_key)
{
    struct object object;
    struct buffer key = {0};
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from(name), &object), STATUS_OK);
    buffer_append_be32(&key, ms.access.generation);
    buffer_append_be64(&key, object.id);
    buffer_append_byte(&key, (uint8_t)tag);
    buffer_append_slice(&key, own_key);
    access_delete(&ms.access, TREE_PARTS, buffer_slice(&key));
    memory_store_end(&ms);
    buffer_release(&key);
}

static void lose_element(const char *name, uint64_t index)
{
    uint8_t position[8];
    be64_store(position, ((uint64_t)1 << 63) + index);
    lose_part(name, 'l', slice_make(position, sizeof position));
}

static void a_sound_store_is_left_as_it_is(void **state)
{
    struct buffer before = {0}, after = {0};
    (void)state;
    memory_store_write(&ms);
    set("a", slice_from("1"), ms.now_ms + 5000);
    for (int i = 0; i < 300; i++)
        push("list", slice_from("elem"));
    memory_store_end(&ms);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        memory_store_dump(&ms, tree, &before);
    repair();
    assert_string_equal(said.data, "");
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        memory_store_dump(&ms, tree, &after);
    /* The map's record is written even if it says what is known anyway. */
    assert_in_range(after.size, before.size, before.size + 40);
    buffer_release(&before);
    buffer_release(&after);
}

static void a_list_goes_on_without_its_lost_elements(void **state)
{
    static uint8_t large[200000];
    char text[16];
    (void)state;
    memset(large, 'L', sizeof large);
    memory_store_write(&ms);
    for (int i = 0; i < 130; i++) {
        snprintf(text, sizeof text, "%d", i);
        push("list", i % 50 == 49 ? slice_make(large, sizeof large) : slice_from(text));
    }
    list_trim(&ms.access, slice_from("list"), 0, 52);
    memory_store_end(&ms);
    for (uint64_t i = 0; i < 45; i++)
        lose_element("list", i);
    lose_element("list", 51);
    repair();
    assert_string_equal(said.data, "Database 0, key 'list': 46 elements of the list are lost, 7 "
                                   "are left.\n");
    expect_list("list", "45 46 47 48 LLLL 50 52 ");
    repair();
    assert_string_equal(said.data, "");
}

static void a_list_of_many_batches_is_copied_whole(void **state)
{
    static uint8_t bytes[30000];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        memset(bytes, 'a' + i % 26, sizeof bytes);
        memory_store_write(&ms);
        push("list", slice_make(bytes, sizeof bytes));
        memory_store_end(&ms);
    }
    lose_element("list", 1);
    repair();
    assert_non_null(strstr((char *)said.data, "1 elements of the list are lost, 999 are left"));
    memory_store_read(&ms);
    struct slice value;
    assert_int_equal(list_index(&ms.access, slice_from("list"), 1, &value), STATUS_OK);
    assert_int_equal(value.data[0], 'c');
    assert_int_equal(list_index(&ms.access, slice_from("list"), -1, &value), STATUS_OK);
    assert_int_equal(value.data[0], 'a' + 999 % 26);
    memory_store_end(&ms);
}

static void a_list_without_elements_is_removed(void **state)
{
    static uint8_t bytes[600];
    struct object object;
    (void)state;
    memory_store_write(&ms);
    push("list", slice_make(bytes, sizeof bytes));
    memory_store_end(&ms);
    lose_element("list", 0);
    repair();
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("list"), &object), STATUS_NOT_FOUND);
    memory_store_end(&ms);
}

static void lost_pieces_of_a_string_are_told(void **state)
{
    static uint8_t bytes[100000];
    (void)state;
    memory_store_write(&ms);
    set("s", slice_make(bytes, sizeof bytes), 0);
    memory_store_end(&ms);
    lose_part("s", 's', slice_make("\0\0\0\2", 4));
    repair();
    assert_string_equal(said.data, "Database 0, key 's': pieces of the string are lost, or were "
                                   "never written, and read as zeros.\n");
}

static void lost_entries_of_a_stream_are_told(void **state)
{
    struct stream stream;
    struct stream_id id = {5, 0};
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    (void)state;
    memory_store_write(&ms);
    const struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = 5};
    for (; id.seq < 4; id.seq++) {
        assert_int_equal(stream_find_or_new(&ms.access, slice_from("s"), &stream), STATUS_OK);
        assert_int_equal(stream_add(&ms.access, &stream, id, &input, &(struct stream_trim){0}),
                         STATUS_OK);
    }
    id.seq = 2;
    stream_entry_key_store(key, stream.prefix, id);
    access_delete(&ms.access, TREE_ENTRIES, slice_make(key, sizeof key));
    memory_store_end(&ms);
    ms.is_damaged = true;
    repair_unchecked();
    assert_string_equal(said.data,
                        "Database 0, key 's': the set of deletions does not name the ordinals that "
                        "are missing; the stream shows what is there, but XLEN and XTRIM go by its "
                        "header.\n");
}

/* Changes records in `keys` and `parts` without the counts. */
static void counts_and_times_are_mended(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(access_select(&ms.access, 3), STATUS_OK);
    set("lost", slice_from("v"), 0);
    access_delete(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key));
    set("timed and lost", slice_from("v"), ms.now_ms + 10);
    access_delete(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key));
    set("not in the index", slice_from("v"), ms.now_ms + 20);
    expiry_key_encode(&ms.access.scratch_key, ms.now_ms + 20, buffer_slice(&ms.access.tree_key));
    access_delete(&ms.access, TREE_PARTS, buffer_slice(&ms.access.scratch_key));
    memory_store_end(&ms);
    repair();
    assert_string_equal(said.data, "Database 3: 3 keys were counted, 1 are there.\n");
    ms.now_ms += 30;
    size_t expired;
    bool more;
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
    assert_int_equal(expired, 1);
    assert_int_equal(access_select(&ms.access, 3), STATUS_OK);
    assert_int_equal(keyspace_find(&ms.access, slice_from("lost"), &object), STATUS_NOT_FOUND);
    memory_store_end(&ms);
}

static void add_entry(const char *key)
{
    struct stream stream;
    struct slice fields[] = {slice_from("f"), slice_from("v")};
    struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = 5};
    assert_int_equal(stream_find_or_new(&ms.access, slice_from(key), &stream), STATUS_OK);
    assert_int_equal(
        stream_add(&ms.access, &stream, (struct stream_id){5, 0}, &input, &(struct stream_trim){0}),
        STATUS_OK);
}

static void streams_are_kept_and_those_whose_header_cannot_be_read_are_dropped(void **state)
{
    struct object object;
    struct stream stream;
    static const struct slice damaged[] = {
        {(const uint8_t *)"\x43\x01\xff", 3},   /* its body ends early */
        {(const uint8_t *)"\x03\0\0\0\0\0", 6}, /* no id */
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        memory_store_write(&ms);
        add_entry("sound");
        add_entry("damaged");
        assert_int_equal(keyspace_find(&ms.access, slice_from("damaged"), &object), STATUS_OK);
        access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), damaged[i]);
        memory_store_end(&ms);
        repair();
        assert_string_equal(
            said.data, "Database 0: 1 headers of keys could not be read and are dropped.\n"
                       "Database 0: the records of 1 objects belong to no key and are dropped.\n"
                       "Database 0: 2 keys were counted, 1 are there.\n");
        memory_store_write(&ms);
        assert_int_equal(stream_find(&ms.access, slice_from("damaged"), &stream), STATUS_NOT_FOUND);
        assert_int_equal(stream_find(&ms.access, slice_from("sound"), &stream), STATUS_OK);
        assert_int_equal(stream.header.length, 1);
        bool deleted;
        assert_int_equal(keyspace_delete(&ms.access, slice_from("sound"), &deleted), STATUS_OK);
        memory_store_end(&ms);
    }
}

static void a_list_with_gaps_whose_time_has_come_is_removed(void **state)
{
    static uint8_t bytes[600];
    struct object object;
    (void)state;
    memory_store_write(&ms);
    push("list", slice_make(bytes, sizeof bytes));
    push("list", slice_make(bytes, sizeof bytes));
    assert_int_equal(keyspace_find(&ms.access, slice_from("list"), &object), STATUS_OK);
    keyspace_set_expire(&ms.access, slice_from("list"), &object, ms.now_ms + 5);
    memory_store_end(&ms);
    lose_element("list", 0);
    ms.now_ms += 6;
    repair();
    assert_string_equal(said.data, "");
    memory_store_read(&ms);
    uint64_t keys, expires;
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
    assert_int_equal(keys, 0);
    memory_store_end(&ms);
}

static void headers_that_cannot_be_read_are_dropped_and_newer_ones_are_not(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("key", slice_from("v"), 0);
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), slice_from(""));
    set("list", slice_from("v"), 0);
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), slice_from("\x42\x01"));
    memory_store_end(&ms);
    repair();
    assert_string_equal(said.data,
                        "Database 0: 2 headers of keys could not be read and are dropped.\n"
                        "Database 0: 2 keys were counted, 0 are there.\n");
    memory_store_write(&ms);
    set("key", slice_from("v"), 0);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), slice_from("\x1f"));
    memory_store_end(&ms);
    access_release(&ms.access);
    lsm_reader_destroy(ms.reader);
    assert_int_equal(store_close(ms.store), STATUS_OK);
    assert_int_equal(store_repair(&ms.env, "/data", say_line, NULL), STATUS_UNSUPPORTED);
    struct lsm_report report;
    assert_int_equal(store_open(&ms.env, "/data", &ms.options, &report, &ms.store), STATUS_OK);
    ms.reader = lsm_reader_create(store_engine(ms.store));
    access_init(&ms.access, ms.store, ms.reader);
}

/* No store has given them, and none goes on from them. */
static void ids_beyond_reach_are_damage(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    push("list", slice_from("a"));
    for (int i = 0; i < 200; i++)
        push("list", slice_from("b"));
    assert_int_equal(keyspace_find(&ms.access, slice_from("list"), &object), STATUS_OK);
    uint64_t id = object.id;
    object.id = UINT64_MAX;
    memory_store_plant(&ms, slice_from("beyond"), &object);
    for (uint64_t i = 0; i < 3; i++) {
        uint8_t part[OBJECT_PREFIX_BYTES];
        object_prefix_store(part, ms.access.generation, UINT64_MAX - i);
        access_put(&ms.access, TREE_PARTS, slice_make(part, sizeof part), slice_from("x"));
        /* And what has no whole id. */
        access_put(&ms.access, TREE_PARTS, slice_make(part, sizeof part - 2 - i), slice_from("x"));
    }
    memory_store_end(&ms);
    repair();
    assert_string_equal(said.data,
                        "Database 0: 1 headers of keys could not be read and are dropped.\n"
                        "Database 0: the records of 6 objects belong to no key and are dropped.\n");
    memory_store_write(&ms);
    assert_true(access_new_id(&ms.access) < id + 5000);
    memory_store_end(&ms);
}

static void ids_and_generations_are_not_given_again(void **state)
{
    struct buffer value = {0};
    (void)state;
    memory_store_write(&ms);
    meta_ids_encode(&value, 1); /* what an old copy says */
    uint8_t key[META_KEY_BYTES_MAX], part[OBJECT_PREFIX_BYTES];
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_put(&ms.access, tree, meta_key(key, META_IDS, 0), buffer_slice(&value));
    object_prefix_store(part, ms.access.generation, 5000);
    access_put(&ms.access, TREE_ENTRIES, slice_make(part, sizeof part), slice_from("x"));
    object_prefix_store(part, 3000, 1);
    access_put(&ms.access, TREE_PARTS, slice_make(part, sizeof part), slice_from("x"));
    memory_store_end(&ms);
    memory_store_work(&ms,
                      true); /* into tables: a memtable's own deletions leave nothing to them */
    memory_store_write(&ms); /* given back, and not compacted yet */
    uint8_t all[OBJECT_PREFIX_BYTES];
    object_prefix_store(all, ms.access.generation, 1);
    memset(part, 0xff, sizeof part);
    access_delete_range(&ms.access, TREE_PARTS, slice_make(all, sizeof all),
                        slice_make(part, sizeof part));
    access_delete_range(&ms.access, TREE_ENTRIES, slice_make(all, sizeof all),
                        slice_make(part, sizeof part));
    memory_store_end(&ms);
    repair();
    memory_store_write(&ms);
    assert_true(access_new_id(&ms.access) > 5000);
    set("a", slice_from("1"), 0);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    assert_true(ms.access.generation > 3000);
    memory_store_end(&ms);
    buffer_release(&value);
}

static void what_is_no_store_is_told(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", slice_from("1"), 0);
    uint8_t key[META_KEY_BYTES_MAX];
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_delete(&ms.access, tree, meta_key(key, META_STORE, 0));
    memory_store_end(&ms);
    access_release(&ms.access);
    lsm_reader_destroy(ms.reader);
    assert_int_equal(store_close(ms.store), STATUS_OK);
    buffer_clear(&said);
    assert_int_equal(store_repair(&ms.env, "/data", say_line, NULL), STATUS_CORRUPT);
    assert_true(said.size > 1);
    vfs_destroy(ms.vfs);
    vfs_destroy(ms.memory);
    setup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_sound_store_is_left_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_goes_on_without_its_lost_elements, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_of_many_batches_is_copied_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_without_elements_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_pieces_of_a_string_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_entries_of_a_stream_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_and_times_are_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(
            headers_that_cannot_be_read_are_dropped_and_newer_ones_are_not, setup, teardown),
        cmocka_unit_test_setup_teardown(
            streams_are_kept_and_those_whose_header_cannot_be_read_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_with_gaps_whose_time_has_come_is_removed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(ids_beyond_reach_are_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_and_generations_are_not_given_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_store_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
