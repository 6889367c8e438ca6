/* SPDX-License-Identifier: MIT */
#include "types/store_check.h"

#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/parts_check.h"
#include "types/string.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct memory_store ms;

/* Three keys in database 0, one in 1. */
static int setup(void **state)
{
    uint64_t length;
    struct slice element = slice_from("element");
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 2});
    ms.is_damaged = true;
    memory_store_write(&ms);
    string_set(&ms.access, slice_from("timed"), slice_from("v"), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 100});
    string_set(&ms.access, slice_from("string"), slice_from("v"), NULL,
               &(struct string_set_options){0});
    assert_int_equal(
        list_push(&ms.access, slice_from("list"), LIST_LEFT, &element, 1, false, &length),
        STATUS_OK);
    assert_int_equal(access_select(&ms.access, 1), STATUS_OK);
    string_set(&ms.access, slice_from("string"), slice_from("v"), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 100});
    memory_store_end(&ms);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

static void expect_fault(const char *text)
{
    struct lsm_report report = {""};
    assert_int_equal(store_check(ms.store, &report), STATUS_CORRUPT);
    if (!strstr(report.text, text))
        fail_msg("'%s' does not say '%s'", report.text, text);
}

/* Leaves the tree key of "string" in database 0 in the access. */
static void find_string(void)
{
    struct object object;
    (void)keyspace_find(&ms.access, slice_from("string"), &object); /* it may be damaged by now */
}

static void a_sound_store_passes_also_with_expired_keys_and_after_a_flush(void **state)
{
    struct lsm_report report;
    (void)state;
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    ms.now_ms += 1000;
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

static void put_record(struct slice record)
{
    memory_store_write(&ms);
    find_string();
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), record);
    memory_store_end(&ms);
}

static void damaged_headers_are_named(void **state)
{
    (void)state;
    put_record(slice_from(""));
    expect_fault("database 0, key 'string': its header is damaged");
    put_record(slice_make("\x42\x01\x01", 3)); /* a list whose body ends early */
    expect_fault("its header is damaged");
    put_record(slice_make("\x03", 1)); /* a stream without an id */
    expect_fault("its header is damaged");
}

static void a_short_string_in_pieces_is_named(void **state)
{
    static uint8_t large[100000];
    uint8_t length[] = {9};
    struct object object;
    (void)state;
    memory_store_write(&ms);
    string_set(&ms.access, slice_from("large"), slice_make(large, sizeof large), NULL,
               &(struct string_set_options){0});
    assert_int_equal(keyspace_find(&ms.access, slice_from("large"), &object), STATUS_OK);
    object.body = slice_make(length, sizeof length);
    memory_store_plant(&ms, slice_from("large"), &object);
    memory_store_end(&ms);
    expect_fault("database 0, key 'large': a string in pieces is short enough for its header");
}

/* Which every start reads, and has forgotten when enough other blocks were read. */
static void a_check_that_cannot_read_the_first_record_says_so(void **state)
{
    enum { FORGOTTEN_BY = 200 };
    char key[16], text[500] = "";
    struct slice value;
    struct lsm_report report = {""};
    (void)state;
    ms.options.block_cache_bytes = 1; /* a block stays until the next one of its shard is read */
    ms.options.block_bytes = 512;
    memory_store_reopen(&ms);
    memset(text, 'x', sizeof text - 1);
    memory_store_write(&ms);
    for (int i = 0; i < FORGOTTEN_BY; i++) {
        snprintf(key, sizeof key, "key%d", i);
        string_set(&ms.access, slice_from(key), slice_from(text), NULL,
                   &(struct string_set_options){0});
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    memory_store_read(&ms);
    for (int i = 0; i < FORGOTTEN_BY; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(string_get(&ms.access, slice_from(key), &value), STATUS_OK);
    }
    memory_store_end(&ms);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, 1, STATUS_IO, false);
    assert_int_equal(store_check(ms.store, &report), STATUS_IO);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

/* Those who check headers first never come here with one. */
static void parts_under_a_damaged_header_are_not_looked_at(void **state)
{
    const char *fault = NULL;
    struct object object = {.type = OBJECT_LIST, .id = 1, .body = slice_from("\xff")};
    (void)state;
    memory_store_read(&ms);
    assert_int_equal(list_check(&ms.access, &object, &fault), STATUS_CORRUPT);
    assert_string_equal(fault, "its header is damaged");
    object.type = OBJECT_STRING;
    fault = NULL;
    assert_int_equal(string_check(&ms.access, &object, &fault), STATUS_CORRUPT);
    assert_string_equal(fault, "its header is damaged");
    memory_store_end(&ms);
}

static void put_everywhere(enum meta_tag tag, struct slice record)
{
    uint8_t key[META_KEY_BYTES_MAX];
    memory_store_write(&ms);
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_put(&ms.access, tree, meta_key(key, tag, 0), record);
    memory_store_end(&ms);
}

/* In all copies alike. */
static void records_of_the_store_that_cannot_be_read_are_named(void **state)
{
    uint32_t next = generation_default(STORE_DATABASES_MAX), generations[STORE_DATABASES_MAX];
    struct buffer record = {0};
    (void)state;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    generations[0] = next; /* which was not given yet */
    meta_map_encode(&record, next, generations);
    put_everywhere(META_MAP, buffer_slice(&record));
    expect_fault("the record of the databases is damaged");
    generations[0] = generation_default(0);
    meta_map_encode(&record, next, generations);
    put_everywhere(META_MAP, buffer_slice(&record));
    assert_int_equal(store_check(ms.store, &(struct lsm_report){""}), STATUS_OK);
    put_everywhere(META_IDS, slice_from(""));
    expect_fault("the record of the ids is damaged");
    buffer_release(&record);
}

static void an_id_that_was_not_given_is_named(void **state)
{
    (void)state;
    put_record(slice_make("\x43\x01", 2));
    expect_fault("its id was not given yet");
}

static void a_key_at_a_wrong_position_is_named(void **state)
{
    (void)state;
    memory_store_write(&ms);
    find_string();
    ms.access.tree_key.data[TREE_KEY_PREFIX_BYTES - 1] ^= 1;
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), slice_from("\x01"));
    buffer_clear(&ms.access.tree_key);
    memory_store_end(&ms);
    expect_fault("not at its position");
}

static void a_key_that_is_not_counted_is_found(void **state)
{
    (void)state;
    memory_store_write(&ms);
    find_string();
    access_delete(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key));
    memory_store_end(&ms);
    expect_fault("keys are not as many as are counted");
}

static void the_index_of_times_is_compared_both_ways(void **state)
{
    struct buffer key = {0};
    (void)state;
    memory_store_write(&ms);
    find_string();
    expiry_key_encode(&ms.access.scratch_key, 5, buffer_slice(&ms.access.tree_key));
    buffer_append_slice(&key, buffer_slice(&ms.access.scratch_key));
    access_put(&ms.access, TREE_PARTS, buffer_slice(&key), slice_from(""));
    memory_store_end(&ms);
    expect_fault("database 0, key 'string': the index of times has it under another time");
    memory_store_write(&ms);
    access_delete(&ms.access, TREE_PARTS, buffer_slice(&key));
    tree_key_encode(&ms.access.scratch_value, ms.access.generation, 7, slice_from("none"));
    expiry_key_encode(&ms.access.scratch_key, 5, buffer_slice(&ms.access.scratch_value));
    buffer_clear(&key);
    buffer_append_slice(&key, buffer_slice(&ms.access.scratch_key));
    access_put(&ms.access, TREE_PARTS, buffer_slice(&key), slice_from(""));
    memory_store_end(&ms);
    expect_fault("database 0, key 'none': the index of times has it, and it is not there");
    memory_store_write(&ms);
    access_put(&ms.access, TREE_PARTS, buffer_slice(&key), slice_from("more"));
    memory_store_end(&ms);
    expect_fault("not a key of the index of times");
    memory_store_write(&ms);
    access_delete(&ms.access, TREE_PARTS, buffer_slice(&key));
    memory_store_end(&ms);
    buffer_release(&key);
    put_record(slice_make("\x21\x06v", 3)); /* a time that stands nowhere else */
    expect_fault("its time is not in the index");
}

static void a_key_of_the_tree_that_is_none_is_named(void **state)
{
    (void)state;
    memory_store_write(&ms);
    access_put(&ms.access, TREE_KEYS, slice_make("\0\0\0\1short", 9), slice_from("\x01"));
    memory_store_end(&ms);
    expect_fault("not a key of the tree");
}

/* ---- Parts. ---------------------------------------------------------------------------------- */

static void put_part(struct slice key, struct slice value)
{
    memory_store_write(&ms);
    if (value.data)
        access_put(&ms.access, TREE_PARTS, key, value);
    else
        access_delete(&ms.access, TREE_PARTS, key);
    memory_store_end(&ms);
}

/* prefix of `id` | tag | number (4 or 8 bytes) [| 0 | piece (4)]; piece < 0: none. */
static struct slice part_key(uint64_t id, char tag, uint64_t number, int piece)
{
    static uint8_t key[OBJECT_PREFIX_BYTES + 1 + 8 + 5];
    object_prefix_store(key, generation_default(0), id);
    uint8_t *at = key + OBJECT_PREFIX_BYTES;
    *at++ = (uint8_t)tag;
    if (tag == 's') {
        be32_store(at, (uint32_t)number);
        return slice_make(key, OBJECT_PREFIX_BYTES + 5);
    }
    be64_store(at, number);
    if (piece < 0)
        return slice_make(key, OBJECT_PREFIX_BYTES + 9);
    at[8] = 0;
    be32_store(at + 9, (uint32_t)piece);
    return slice_make(key, sizeof key);
}

static uint8_t large[STRING_INLINE_BYTES_MAX + 1000];

/* A string in three pieces, id 1. */
static void parts_of_strings_are_compared(void **state)
{
    struct lsm_report report;
    (void)state;
    memory_store_write(&ms);
    string_set(&ms.access, slice_from("large"), slice_make(large, sizeof large), NULL,
               &(struct string_set_options){0});
    memory_store_end(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    put_part(part_key(1, 's', 2, -1), slice_make(large, 1001));
    expect_fault("database 0, key 'large': a piece is longer than its place");
    put_part(part_key(1, 's', 2, -1), slice_make(large, 1000));
    put_part(part_key(1, 's', 3, -1), slice_make(large, 1));
    expect_fault("a piece lies behind the string's end");
    put_part(part_key(1, 's', 3, -1), (struct slice){0});
    put_part(part_key(1, 'l', 3, -1), slice_make(large, 1));
    expect_fault("database 0, key 'large': a part of the string is none");
    put_part(part_key(1, 'l', 3, -1), (struct slice){0});
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

/* A list by position, id 1: its second element lies in two pieces. */
static void parts_of_lists_are_compared(void **state)
{
    const uint64_t first = (uint64_t)1 << 63;
    struct slice values[] = {slice_make(large, 600), slice_make(large, 40000), slice_from("last")};
    uint64_t length;
    struct lsm_report report;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(
        list_push(&ms.access, slice_from("dense"), LIST_RIGHT, values, 3, false, &length),
        STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    put_part(part_key(1, 'l', first + 1, 1), (struct slice){0});
    expect_fault("database 0, key 'dense': an element lacks pieces");
    put_part(part_key(1, 'l', first + 1, 1), slice_make(large, 40000 - LIST_PIECE_BYTES));
    put_part(part_key(1, 'l', first + 2, -1), (struct slice){0});
    expect_fault("an element is missing");
    put_part(part_key(1, 'l', first + 2, -1), slice_from("?"));
    expect_fault("an element's record is damaged");
    put_part(part_key(1, 'l', first + 2, -1), slice_make("\0x", 2));
    put_part(part_key(1, 'l', first + 3, -1), slice_make("\0x", 2));
    expect_fault("elements outside of its bounds will never be given back");
    put_part(part_key(1, 'l', first + 3, -1), (struct slice){0});
    put_part(part_key(1, 'l', first - 1, -1), slice_make("\0x", 2));
    expect_fault("elements outside of its bounds will never be given back");
    put_part(part_key(1, 'l', first - 1, -1), (struct slice){0});
    put_part(part_key(1, 'm', first, -1), slice_make("\0x", 2));
    expect_fault("a part of the list is none");
    put_part(part_key(1, 'm', first, -1), (struct slice){0});
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
    put_part(part_key(1, 'l', first + 1, 1), slice_make(large, 1));
    expect_fault("an element lacks pieces");
    put_part(part_key(1, 'l', first + 1, 1), slice_make(large, 40000 - LIST_PIECE_BYTES));
    put_part(part_key(1, 'l', first + 2, -1), slice_make("\1\5", 2));
    expect_fault("an element's record is damaged");
    put_part(part_key(1, 'l', first + 2, -1), slice_make("\1\300\270\2", 4)); /* 40,000 bytes */
    expect_fault("an element lacks pieces");
    put_part(part_key(1, 'l', first + 2, -1), slice_make("\0x", 2));
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

static void pieces_of_a_list_without_any_are_found(void **state)
{
    const uint64_t first = (uint64_t)1 << 63;
    struct slice values[] = {slice_make(large, 600), slice_make(large, 600)};
    uint64_t length;
    struct lsm_report report;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(
        list_push(&ms.access, slice_from("whole"), LIST_RIGHT, values, 2, false, &length),
        STATUS_OK);
    memory_store_end(&ms);
    put_part(part_key(1, 'l', first + 1, 0), slice_make(large, 9));
    expect_fault("database 0, key 'whole': pieces of elements that the header does not know of");
    put_part(part_key(1, 'l', first + 1, 0), (struct slice){0});
    put_part(part_key(1, 'l', first + 1, -1), slice_make("\1\300\270\2", 4));
    expect_fault("an element lies in pieces and the header does not say so");
    put_part(part_key(1, 'l', first + 1, -1), slice_make("\0x", 2));
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

static void records_of_no_key_are_found(void **state)
{
    struct lsm_report report;
    (void)state;
    put_part(part_key(5, 's', 0, -1), slice_from("x"));
    expect_fault("database 0, id 5: records that belong to no key");
    put_part(part_key(5, 's', 0, -1), (struct slice){0});
    uint8_t key[OBJECT_PREFIX_BYTES];
    object_prefix_store(key, 2000, 0);
    put_part(slice_make(key, sizeof key), slice_from("x"));
    expect_fault("tree parts, generation 2000: records that no database has");
    memory_store_write(&ms); /* given back */
    uint8_t end[OBJECT_PREFIX_BYTES];
    object_prefix_store(end, 2001, 0);
    access_delete_range(&ms.access, TREE_PARTS, slice_make(key, sizeof key),
                        slice_make(end, sizeof end));
    memory_store_end(&ms);
    assert_int_equal(store_check(ms.store, &report), STATUS_OK);
}

static void an_id_of_two_keys_is_found(void **state)
{
    (void)state;
    memory_store_write(&ms);
    string_set(&ms.access, slice_from("large"), slice_make(large, sizeof large), NULL,
               &(struct string_set_options){0});
    memory_store_end(&ms);
    put_record(slice_make("\x41\x01\xe8\x87\x04", 5)); /* a string of as many bytes with id 1 */
    expect_fault("database 0, id 1: two keys have it");
}

static void wrong_records_of_the_store_are_found(void **state)
{
    struct buffer value = {0};
    uint8_t key[META_KEY_BYTES_MAX];
    (void)state;
    put_part(slice_make("\0\0\0\0\7", 5), slice_from("x"));
    expect_fault("tree parts, generation 0: a record that is none");
    put_part(slice_make("\0\0\0\0\7", 5), (struct slice){0});
    memory_store_write(&ms);
    access_put(&ms.access, TREE_KEYS, meta_key(key, META_COUNTS, 3000), slice_make("\1\0", 2));
    memory_store_end(&ms);
    expect_fault("tree keys, generation 3000: its keys are counted, and no database has it");
    memory_store_write(&ms);
    access_delete(&ms.access, TREE_KEYS, meta_key(key, META_COUNTS, 3000));
    memory_store_end(&ms);
    meta_ids_encode(&value, 77);
    put_part(meta_key(key, META_IDS, 0), buffer_slice(&value));
    expect_fault("tree parts, generation 0: a record of the store differs from its copy");
    buffer_release(&value);
}

#ifdef CORDWOOD_DEBUG
/* The debug build: in a child, which a header that nobody could read ends. */
static void the_types_themselves_stop_at_a_damaged_header(void **state)
{
    const struct object damaged[] = {
        {.type = OBJECT_LIST, .body = slice_from("?")},
        {.type = OBJECT_STREAM},
        {.type = OBJECT_STRING, .id = 77, .body = slice_make("\x80\x80\x08", 3)},
    };
    int status;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            fclose(stderr);
            memory_store_write(&ms);
            keyspace_put(&ms.access, slice_from("new"), &damaged[i], NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_sound_store_passes_also_with_expired_keys_and_after_a_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_headers_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_string_in_pieces_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_check_that_cannot_read_the_first_record_says_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(parts_under_a_damaged_header_are_not_looked_at, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_of_the_store_that_cannot_be_read_are_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_id_that_was_not_given_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_at_a_wrong_position_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_not_counted_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_index_of_times_is_compared_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_of_the_tree_that_is_none_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_strings_are_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_lists_are_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_of_a_list_without_any_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(records_of_no_key_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_of_two_keys_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_records_of_the_store_are_found, setup, teardown),
#ifdef CORDWOOD_DEBUG
        cmocka_unit_test_setup_teardown(the_types_themselves_stop_at_a_damaged_header, setup,
                                        teardown),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
