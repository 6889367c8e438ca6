/* SPDX-License-Identifier: MIT */
#include "types/store_check.h"

#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct memory_store ms;

/* Three keys in database 0, one in 1. */
static int setup(void **state)
{
    uint64_t length;
    struct slice element = slice_from("element");
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 2});
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
    assert_non_null(strstr(report.text, text));
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
    (void)state;
    memory_store_write(&ms);
    find_string();
    expiry_key_encode(&ms.access.scratch_key, 5, buffer_slice(&ms.access.tree_key));
    access_put(&ms.access, TREE_PARTS, buffer_slice(&ms.access.scratch_key), slice_from(""));
    memory_store_end(&ms);
    expect_fault("the index of times has entries of no key");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_sound_store_passes_also_with_expired_keys_and_after_a_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_headers_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(an_id_that_was_not_given_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_at_a_wrong_position_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_not_counted_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(the_index_of_times_is_compared_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_of_the_tree_that_is_none_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
