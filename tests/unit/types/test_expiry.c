/* SPDX-License-Identifier: MIT */
#include "lib/memory_store.h"
#include "types/encoding.h"
#include "types/expiry.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct memory_store ms;

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
    return 0;
}

/* A key that lives `ms_left` more milliseconds; 0: for ever. */
static void set(const char *key, uint64_t ms_left)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, slice_from(key), &old);
    string_set(&ms.access, slice_from(key), slice_from("v"), status ? NULL : &old,
               &(struct string_set_options){.expire_ms = ms_left ? ms.now_ms + ms_left : 0});
}

static enum status find(const char *key, struct object *object)
{
    return keyspace_find(&ms.access, slice_from(key), object);
}

static void expect_counts(uint64_t keys, uint64_t expires)
{
    uint64_t found_keys, found_expires;
    assert_int_equal(keyspace_count(&ms.access, &found_keys, &found_expires), STATUS_OK);
    assert_int_equal(found_keys, keys);
    assert_int_equal(found_expires, expires);
}

/* Expires up to `limit` in a batch of its own; returns how many. */
static size_t expire(size_t limit, bool expect_more)
{
    size_t expired;
    bool more;
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, limit, &expired, &more), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(more, expect_more);
    return expired;
}

static size_t index_lines(void)
{
    struct buffer dump = {0};
    size_t lines = 0;
    memory_store_dump(&ms, TREE_PARTS, &dump);
    for (size_t i = 0; i < dump.size; i++)
        lines += dump.data[i] == '\n';
    buffer_release(&dump);
    return lines;
}

static void a_key_is_hidden_from_the_millisecond_after_its_time_on(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    set("a", 100);
    memory_store_end(&ms);
    ms.now_ms += 100;
    memory_store_read(&ms);
    assert_int_equal(find("a", &object), STATUS_OK);
    memory_store_end(&ms);
    ms.now_ms++;
    memory_store_read(&ms);
    assert_int_equal(find("a", &object), STATUS_NOT_FOUND);
    expect_counts(1, 1); /* hidden, and not deleted by a reader */
    memory_store_end(&ms);
}

static void a_writer_that_meets_an_expired_key_deletes_it_first(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    set("a", 100);
    memory_store_end(&ms);
    ms.now_ms += 101;
    memory_store_write(&ms);
    assert_int_equal(find("a", &object), STATUS_NOT_FOUND);
    assert_false(lsm_writer_is_empty(ms.access.writer));
    expect_counts(0, 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "x expired a");
    assert_int_equal(index_lines(), 0);
}

static void a_time_can_be_set_moved_and_taken_away(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    set("a", 0);
    assert_int_equal(find("a", &object), STATUS_OK);
    keyspace_set_expire(&ms.access, slice_from("a"), &object, ms.now_ms + 50);
    expect_counts(1, 1);
    assert_int_equal(find("a", &object), STATUS_OK);
    assert_int_equal(object.expire_ms, ms.now_ms + 50);
    keyspace_set_expire(&ms.access, slice_from("a"), &object, ms.now_ms + 60);
    expect_counts(1, 1);
    memory_store_end(&ms);
    assert_int_equal(index_lines(), 1);
    memory_store_write(&ms);
    assert_int_equal(find("a", &object), STATUS_OK);
    assert_int_equal(object.expire_ms, ms.now_ms + 60);
    keyspace_set_expire(&ms.access, slice_from("a"), &object, object.expire_ms);
    assert_true(lsm_writer_is_empty(ms.access.writer)); /* nothing changed */
    keyspace_set_expire(&ms.access, slice_from("a"), &object, 0);
    expect_counts(1, 0);
    memory_store_end(&ms);
    assert_int_equal(index_lines(), 0);
    ms.now_ms += 1000;
    assert_int_equal(expire(10, false), 0);
}

static void due_keys_go_in_the_order_of_their_times_a_limit_at_a_time(void **state)
{
    char key[32];
    (void)state;
    memory_store_write(&ms);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        set(key, (uint64_t)(1000 - 10 * i));
    }
    set("stays", 0);
    set("later", 5000);
    memory_store_end(&ms);
    ms.now_ms += 1;
    assert_int_equal(expire(30, false), 0);
    ms.now_ms += 1000;
    assert_int_equal(expire(30, true), 30);
    assert_memory_equal(ms.access.fact_bytes.data, "key:99key:98", 12);
    assert_int_equal(expire(30, true), 30);
    assert_int_equal(expire(40, false), 40);
    assert_int_equal(expire(40, false), 0);
    memory_store_read(&ms);
    expect_counts(2, 1);
    memory_store_end(&ms);
    assert_int_equal(index_lines(), 1);
}

static void all_databases_expire_and_the_selection_stays(void **state)
{
    size_t expired;
    bool more;
    (void)state;
    memory_store_write(&ms);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(access_select(&ms.access, i), STATUS_OK);
        set("a", i + 1);
    }
    memory_store_end(&ms);
    ms.now_ms += 4; /* not the last one */
    memory_store_write(&ms);
    assert_int_equal(access_select(&ms.access, 2), STATUS_OK);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
    assert_int_equal(expired, 3);
    assert_int_equal(ms.access.database, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ms.access.facts[i].database, i);
    expect_counts(0, 0);
    assert_int_equal(access_select(&ms.access, 3), STATUS_OK);
    expect_counts(1, 1);
    memory_store_end(&ms);
}

static void times_are_found_again_after_a_kill(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", 10);
    set("b", 20);
    memory_store_end(&ms);
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    ms.now_ms += 15;
    assert_int_equal(expire(10, false), 1);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    ms.now_ms += 15;
    assert_int_equal(expire(10, false), 1);
    memory_store_read(&ms);
    expect_counts(0, 0);
    memory_store_end(&ms);
}

static void a_key_that_is_due_earlier_than_what_was_seen_is_not_missed(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("late", 1000);
    memory_store_end(&ms);
    ms.now_ms += 5;
    assert_int_equal(expire(10, false), 0); /* remembers the late one's time */
    memory_store_write(&ms);
    set("early", 10);
    memory_store_end(&ms);
    ms.now_ms += 20;
    assert_int_equal(expire(10, false), 1);
}

static void nothing_is_read_when_nothing_is_due(void **state)
{
    struct lsm_stats before, after;
    (void)state;
    memory_store_write(&ms);
    set("late", 1000000);
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    assert_int_equal(expire(10, false), 0);
    lsm_get_stats(store_engine(ms.store), &before);
    for (int i = 0; i < 100; i++)
        assert_int_equal(expire(10, false), 0);
    lsm_get_stats(store_engine(ms.store), &after);
    assert_int_equal(after.block_reads + after.cache_hits, before.block_reads + before.cache_hits);
}

static void an_entry_without_its_key_is_dropped(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("lost", 10);
    ms.is_damaged = true;
    access_delete(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key)); /* as by a repair */
    set("moved", 10);
    struct object object = {.type = OBJECT_STRING, .expire_ms = ms.now_ms + 99};
    header_encode(&ms.access.scratch_value, &object);
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key),
               buffer_slice(&ms.access.scratch_value));
    memory_store_end(&ms);
    ms.now_ms += 11;
    assert_int_equal(expire(10, false), 2);
    assert_int_equal(ms.access.fact_count, 0);
    assert_int_equal(index_lines(), 0);
    memory_store_read(&ms);
    assert_int_equal(find("moved", &object), STATUS_OK);
    memory_store_end(&ms);
}

static void a_damaged_index_entry_is_reported(void **state)
{
    uint8_t key[EXPIRY_KEY_PREFIX_BYTES];
    size_t expired = 7;
    bool more;
    (void)state;
    object_prefix_store(key, 1, 0);
    be64_store(key + OBJECT_PREFIX_BYTES, ms.now_ms + 5); /* and no key behind it */
    memory_store_write(&ms);
    set("a", 10);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_PARTS, slice_make(key, sizeof key), slice_make(NULL, 0));
    memory_store_end(&ms);
    memory_store_reopen(&ms);
    ms.now_ms += 20;
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_CORRUPT);
    assert_int_equal(expired, 7);
    memory_store_end(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_hidden_from_the_millisecond_after_its_time_on,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_writer_that_meets_an_expired_key_deletes_it_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_time_can_be_set_moved_and_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(due_keys_go_in_the_order_of_their_times_a_limit_at_a_time,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(all_databases_expire_and_the_selection_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(times_are_found_again_after_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_due_earlier_than_what_was_seen_is_not_missed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_read_when_nothing_is_due, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_without_its_key_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_index_entry_is_reported, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
