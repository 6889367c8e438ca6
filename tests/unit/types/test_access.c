/* SPDX-License-Identifier: MIT */
#include "lib/memory_store.h"
#include "lib/soundness.h"
#include "types/string.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct memory_store ms;

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.databases = 4, .ack_durable = true});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

static void set(const char *key, const char *value)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, slice_from(key), &old);
    string_set(&ms.access, slice_from(key), slice_from(value), status ? NULL : &old,
               &(struct string_set_options){0});
}

static enum status get(struct access *access, const char *key, struct slice *value)
{
    return string_get(access, slice_from(key), value);
}

static enum status begin_write(bool nowait)
{
    lsm_lock(store_engine(ms.store));
    enum status status = access_begin_write(&ms.access, 0, nowait, 1000, false);
    if (status)
        lsm_unlock(store_engine(ms.store));
    return status;
}

/* The pieces of the string "cold" lie in a table, and nothing of it is in memory. */
static void make_cold(void)
{
    static char large[70000];
    memset(large, 'x', sizeof large - 1);
    memory_store_write(&ms);
    set("cold", large);
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
}

static void a_write_returns_its_lsn_and_reads_reveal_it(void **state)
{
    struct slice value;
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    lsn_t first = memory_store_end(&ms);
    assert_true(first > 0);
    memory_store_write(&ms);
    set("b", "2");
    lsn_t second = memory_store_end(&ms);
    assert_true(second > first);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_OK);
    assert_int_equal(memory_store_end(&ms), first);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "none", &value), STATUS_NOT_FOUND);
    assert_int_equal(memory_store_end(&ms), 0);
    memory_store_write(&ms); /* a write access that only looked */
    assert_int_equal(get(&ms.access, "b", &value), STATUS_OK);
    assert_int_equal(memory_store_end(&ms), second);
    memory_store_write(&ms); /* what a deletion hides is revealed too */
    bool deleted;
    assert_int_equal(keyspace_delete(&ms.access, slice_from("a"), &deleted), STATUS_OK);
    lsn_t third = memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_NOT_FOUND);
    assert_int_equal(memory_store_end(&ms), third);
}

static void a_reader_stays_at_its_moment(void **state)
{
    struct access other;
    struct slice value;
    struct lsm_reader *reader = lsm_reader_create(store_engine(ms.store));
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    memory_store_end(&ms);
    access_init(&other, ms.store, reader);
    access_begin_read(&other, 0, false);
    memory_store_write(&ms);
    set("a", "2");
    memory_store_end(&ms);
    assert_int_equal(get(&other, "a", &value), STATUS_OK);
    assert_true(slice_equal(value, slice_from("1")));
    access_end(&other);
    access_begin_read(&other, 0, false);
    assert_int_equal(get(&other, "a", &value), STATUS_OK);
    assert_true(slice_equal(value, slice_from("2")));
    access_end(&other);
    access_release(&other);
    lsm_reader_destroy(reader);
}

static void a_read_that_does_not_wait_is_fetched_and_tried_again(void **state)
{
    struct slice value;
    int tries = 0;
    enum status status;
    (void)state;
    make_cold();
    vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, "/data");
    do {
        access_begin_read(&ms.access, 0, true);
        status = get(&ms.access, "cold", &value);
        bool right = !status && value.size == 69999;
        access_end(&ms.access);
        vfs_fault_release(ms.vfs);
        if (status == STATUS_WOULD_BLOCK)
            assert_int_equal(access_fetch_missing(&ms.access), STATUS_OK);
        else
            assert_true(right);
        vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, "/data");
        assert_true(++tries < 10);
    } while (status == STATUS_WOULD_BLOCK);
    assert_true(tries > 1);
    vfs_fault_release(ms.vfs);
}

static void a_write_that_does_not_wait_gives_up_before_it_wrote_anything(void **state)
{
    struct slice value;
    int tries = 0;
    enum status status;
    (void)state;
    make_cold();
    vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, "/data");
    do {
        assert_int_equal(begin_write(true), STATUS_OK);
        status = get(&ms.access, "cold", &value);
        assert_true(lsm_writer_is_empty(ms.access.writer));
        memory_store_end(&ms);
        vfs_fault_release(ms.vfs);
        if (status == STATUS_WOULD_BLOCK)
            assert_int_equal(access_fetch_missing(&ms.access), STATUS_OK);
        vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, "/data");
        assert_true(++tries < 10);
    } while (status == STATUS_WOULD_BLOCK);
    assert_int_equal(status, STATUS_OK);
    assert_true(tries > 1);
    vfs_fault_release(ms.vfs);
}

static void *release_when_held(void *context)
{
    struct vfs *vfs = context;
    while (vfs_fault_held_count(vfs) == 0)
        sched_yield();
    vfs_fault_release(vfs);
    return NULL;
}

static void after_its_first_write_a_batch_waits_for_what_it_reads(void **state)
{
    struct slice value;
    pthread_t thread;
    (void)state;
    make_cold();
    vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, "/data");
    assert_int_equal(pthread_create(&thread, NULL, release_when_held, ms.vfs), 0);
    assert_int_equal(begin_write(true), STATUS_OK);
    assert_true(ms.access.nowait);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_PARTS, slice_from("a part"), slice_from(""));
    assert_false(ms.access.nowait);
    assert_int_equal(get(&ms.access, "cold", &value), STATUS_OK);
    memory_store_end(&ms);
    pthread_join(thread, NULL);
}

static void facts_stay_until_the_next_begin(void **state)
{
    (void)state;
    memory_store_write(&ms);
    for (int i = 0; i < 20; i++)
        access_fact(&ms.access, 'g', "del", slice_make("0123456789abcdefghij", (size_t)i));
    memory_store_end(&ms);
    assert_int_equal(ms.access.fact_count, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(ms.access.facts[i].key_size, i);
        assert_memory_equal(ms.access.fact_bytes.data + ms.access.facts[i].key_offset,
                            "0123456789abcdefghij", i);
    }
    memory_store_read(&ms);
    assert_int_equal(ms.access.fact_count, 0);
    memory_store_end(&ms);
}

static void a_batch_is_declined_when_the_disk_is_full(void **state)
{
    (void)state;
    vfs_fault_set_free_bytes(ms.vfs, 0);
    lsm_lock(store_engine(ms.store));
    assert_int_equal(access_begin_write(&ms.access, 0, false, 300 << 20, false), STATUS_NO_SPACE);
    lsm_unlock(store_engine(ms.store));
    vfs_fault_set_free_bytes(ms.vfs, UINT64_MAX);
    memory_store_write(&ms);
    set("a", "1");
    memory_store_end(&ms);
}

/* What the process knew is not what the disk knows: a store that failed does not close well. */
static void end_failed_store(void)
{
    vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
    require_sound_store(ms.store, "after a failed sync");
    access_release(&ms.access);
    lsm_reader_destroy(ms.reader);
    assert_int_not_equal(store_close(ms.store), STATUS_OK);
    vfs_destroy(ms.vfs);
    vfs_destroy(ms.memory);
    setup(NULL);
}

/* Policy `always`: a FLUSHDB whose sync failed is taken back from readers, the map with it. */
static void after_a_failed_sync_readers_go_back_to_the_acknowledged_map(void **state)
{
    struct slice value;
    uint64_t keys, expires;
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    memory_store_end(&ms);
    assert_int_equal(lsm_wal_sync(store_engine(ms.store)), STATUS_OK);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    memory_store_end(&ms);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
    assert_int_not_equal(lsm_wal_sync(store_engine(ms.store)), STATUS_OK);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_OK);
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
    assert_int_equal(keys, 1);
    assert_int_equal(access_select(&ms.access, 1), STATUS_OK);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_NOT_FOUND);
    assert_int_equal(access_select(&ms.access, 0), STATUS_OK);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(begin_write(false), STATUS_READ_ONLY);
    end_failed_store();
}

static void see_no_key(void *context, struct slice key, const struct object *object)
{
    (void)context;
    fail_msg("key %.*s of type %d", (int)key.size, (const char *)key.data, object->type);
}

/* The acknowledged map lies in a table then: that it cannot be read now is told, and no key of another
 * generation shown. */
static void a_map_to_go_back_to_that_cannot_be_read_is_told_by_every_verb(void **state)
{
    struct slice value;
    enum { FORGOTTEN_BY = 200 };
    uint64_t keys, expires, next;
    char key[16], text[500] = "";
    (void)state;
    ms.options.block_cache_bytes = 1; /* a block stays until the next one of its shard is read */
    ms.options.block_bytes = 512;
    memory_store_reopen(&ms);
    memory_store_write(&ms);
    set("a", "1");
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < FORGOTTEN_BY; i++) {
        snprintf(key, sizeof key, "key%d", i);
        set(key, text);
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    memory_store_read(&ms);
    for (int i = 0; i < FORGOTTEN_BY; i++) {
        snprintf(key, sizeof key, "key%d", i);
        assert_int_equal(get(&ms.access, key, &value), STATUS_OK);
    }
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    set("b", "2");
    memory_store_end(&ms);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_SYNC, 1, STATUS_IO, true);
    assert_int_not_equal(lsm_wal_sync(store_engine(ms.store)), STATUS_OK);
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, 1, STATUS_IO, true);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_IO);
    assert_int_equal(get(&ms.access, "b", &value), STATUS_IO);
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_IO);
    assert_int_equal(keyspace_scan(&ms.access, 0, 10, &next, see_no_key, NULL), STATUS_IO);
    assert_int_equal(keyspace_random(&ms.access, (const uint64_t[2]){1, 2}, see_no_key, NULL),
                     STATUS_IO);
    assert_int_equal(access_select(&ms.access, 1), STATUS_IO);
    memory_store_end(&ms);
    vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
    memory_store_read(&ms);
    assert_int_equal(get(&ms.access, "a", &value), STATUS_OK);
    assert_int_equal(get(&ms.access, "b", &value), STATUS_NOT_FOUND);
    memory_store_end(&ms);
    end_failed_store();
}

/* ---- Threads. -------------------------------------------------------------------------------- */

static atomic_bool stop;

/* Database 0 holds an even number, 1 the odd one above it; every batch swaps them and writes both.
 */
static void *watch_pair(void *context)
{
    struct access access;
    struct lsm_reader *reader = lsm_reader_create(store_engine(ms.store));
    uint64_t *wrong = context;
    int last = 0;
    access_init(&access, ms.store, reader);
    for (bool again = true; again;) {
        struct slice even, odd;
        again = !atomic_load(&stop);
        access_begin_read(&access, 0, false);
        enum status first = get(&access, "n", &even);
        enum status select = access_select(&access, 1);
        enum status second = get(&access, "n", &odd);
        if (first || select || second) {
            *wrong += 1;
        } else {
            int low = atoi((const char *)even.data), high = atoi((const char *)odd.data);
            *wrong += low % 2 != 0 || high != low + 1 || low < last;
            last = low;
        }
        access_end(&access);
    }
    access_release(&access);
    lsm_reader_destroy(reader);
    return NULL;
}

static void write_pair(int i)
{
    char text[16];
    memory_store_write(&ms);
    keyspace_swap(&ms.access, 0, 1);
    if (i % 16 == 7) /* a new generation, too */
        assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    for (int database = 0; database < 2; database++) {
        assert_int_equal(access_select(&ms.access, (unsigned)database), STATUS_OK);
        struct object old;
        enum status status = keyspace_find(&ms.access, slice_from("n"), &old);
        int size = snprintf(text, sizeof text, "%d", 2 * i + database);
        string_set(&ms.access, slice_from("n"), slice_make(text, (size_t)size + 1),
                   status ? NULL : &old, &(struct string_set_options){0});
    }
    memory_store_end(&ms);
}

static void readers_never_see_half_of_a_swap_or_a_flush(void **state)
{
    pthread_t threads[2];
    uint64_t wrong[2] = {0};
    (void)state;
    atomic_store(&stop, false);
    write_pair(0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, watch_pair, &wrong[i]), 0);
    for (int i = 1; i < 600; i++)
        write_pair(i);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong[0] + wrong[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_returns_its_lsn_and_reads_reveal_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reader_stays_at_its_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_that_does_not_wait_is_fetched_and_tried_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_write_that_does_not_wait_gives_up_before_it_wrote_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(after_its_first_write_a_batch_waits_for_what_it_reads,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(facts_stay_until_the_next_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_declined_when_the_disk_is_full, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_failed_sync_readers_go_back_to_the_acknowledged_map,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_map_to_go_back_to_that_cannot_be_read_is_told_by_every_verb, setup, teardown),
        cmocka_unit_test_setup_teardown(readers_never_see_half_of_a_swap_or_a_flush, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
