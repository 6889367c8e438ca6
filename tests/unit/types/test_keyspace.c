/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "base/random.h"
#include "lib/memory_store.h"
#include "lib/seed.h"
#include "types/encoding.h"
#include "types/list.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---- Short forms within an access. ----------------------------------------------------------- */

static void set_until(const char *key, const char *value, uint64_t expire_ms)
{
    struct object old;
    enum status status = keyspace_find(&ms.access, slice_from(key), &old);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    string_set(&ms.access, slice_from(key), slice_from(value), status ? NULL : &old,
               &(struct string_set_options){.expire_ms = expire_ms});
}

static void set(const char *key, const char *value)
{
    set_until(key, value, 0);
}

static void push(const char *key, const char *value)
{
    uint64_t length;
    struct slice element = slice_from(value);
    assert_int_equal(
        list_push(&ms.access, slice_from(key), LIST_RIGHT, &element, 1, false, &length), STATUS_OK);
}

static void expect(const char *key, const char *value)
{
    struct slice found;
    enum status status = string_get(&ms.access, slice_from(key), &found);
    assert_int_equal(status, value ? STATUS_OK : STATUS_NOT_FOUND);
    if (value)
        assert_true(slice_equal(found, slice_from(value)));
}

static void expect_counts(uint64_t keys, uint64_t expires)
{
    uint64_t found_keys, found_expires;
    assert_int_equal(keyspace_count(&ms.access, &found_keys, &found_expires), STATUS_OK);
    assert_int_equal(found_keys, keys);
    assert_int_equal(found_expires, expires);
}

static bool del(const char *key)
{
    bool deleted;
    assert_int_equal(keyspace_delete(&ms.access, slice_from(key), &deleted), STATUS_OK);
    return deleted;
}

static enum status rename_key(const char *from, const char *to)
{
    return keyspace_rename(&ms.access, slice_from(from), slice_from(to));
}

/* ---- Keys and counts. ------------------------------------------------------------------------ */

static void what_was_set_is_found_counted_and_deleted(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    set("b", "2");
    set("a", "3");
    expect("a", "3");
    expect_counts(2, 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set a, $ set b, $ set a");
    memory_store_read(&ms);
    expect("a", "3");
    expect("c", NULL);
    expect_counts(2, 0);
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_true(del("a"));
    assert_false(del("a"));
    expect_counts(1, 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "g del a");
    memory_store_read(&ms);
    expect("a", NULL);
    expect_counts(1, 0);
    memory_store_end(&ms);
}

static void many_keys_are_deleted_in_order_and_each_once(void **state)
{
    const struct slice keys[] = {slice_from("b"), slice_from("none"), slice_from("a"),
                                 slice_from("b"), slice_from("a")};
    uint64_t deleted = 9;
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    set("b", "2");
    set("c", "3");
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete_many(&ms.access, keys, 5, &deleted), STATUS_OK);
    assert_int_equal(deleted, 2);
    assert_int_equal(keyspace_delete_many(&ms.access, keys, 5, &deleted), STATUS_OK);
    assert_int_equal(deleted, 0);
    expect_counts(1, 0);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "g del b, g del a");
}

static void without_memory_no_key_of_many_is_deleted(void **state)
{
    const struct slice keys[] = {slice_from("a"), slice_from("b")};
    uint64_t deleted;
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    set("b", "2");
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_try(n, false);
        assert_int_equal(keyspace_delete_many(&ms.access, keys, 2, &deleted), STATUS_NO_MEMORY);
        memory_fail_try(0, false);
        expect_counts(2, 0);
    }
    assert_int_equal(keyspace_delete_many(&ms.access, keys, 2, &deleted), STATUS_OK);
    memory_store_end(&ms);
}

static void the_empty_key_and_binary_keys_are_keys(void **state)
{
    struct slice binary = slice_make("\0\xff\n", 3), found;
    (void)state;
    memory_store_write(&ms);
    set("", "empty");
    string_set(&ms.access, binary, slice_from("binary"), NULL, &(struct string_set_options){0});
    memory_store_end(&ms);
    memory_store_read(&ms);
    expect("", "empty");
    assert_int_equal(string_get(&ms.access, binary, &found), STATUS_OK);
    assert_true(slice_equal(found, slice_from("binary")));
    memory_store_end(&ms);
}

static void a_key_may_have_512_kib_and_no_more(void **state)
{
    struct object object;
    uint8_t *bytes = calloc(1, STORE_KEY_BYTES_MAX + 1);
    bool deleted;
    (void)state;
    memory_store_write(&ms);
    struct slice key = slice_make(bytes, STORE_KEY_BYTES_MAX);
    string_set(&ms.access, key, slice_from("long"), NULL,
               &(struct string_set_options){.expire_ms = ms.now_ms + 5});
    assert_int_equal(keyspace_find(&ms.access, key, &object), STATUS_OK);
    key.size++;
    assert_int_equal(keyspace_find(&ms.access, key, &object), STATUS_TOO_LARGE);
    assert_int_equal(keyspace_delete(&ms.access, key, &deleted), STATUS_TOO_LARGE);
    assert_int_equal(keyspace_rename(&ms.access, slice_make(bytes, 9), key), STATUS_NOT_FOUND);
    key.size--;
    assert_int_equal(keyspace_delete(&ms.access, key, &deleted), STATUS_OK);
    assert_true(deleted);
    memory_store_end(&ms);
    free(bytes);
}

static void another_type_is_said_to_be_one(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    push("list", "x");
    assert_int_equal(keyspace_find_type(&ms.access, slice_from("list"), OBJECT_STRING, &object),
                     STATUS_WRONG_TYPE);
    assert_int_equal(object.type, OBJECT_LIST);
    set("list", "a string now");
    expect("list", "a string now");
    expect_counts(1, 0);
    memory_store_end(&ms);
}

static void counts_are_exact_after_a_kill(void **state)
{
    char key[32];
    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        memory_store_write(&ms);
        set_until(key, "v", i % 3 ? 0 : ms.now_ms + 1000);
        if (i % 5 == 0)
            del(key);
        memory_store_end(&ms);
        if (i % 100 == 50)
            memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    }
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    memory_store_read(&ms);
    expect_counts(240, 80);
    memory_store_end(&ms);
    memory_store_write(&ms); /* the writer's copy is the same */
    expect_counts(240, 80);
    memory_store_end(&ms);
}

/* ---- RENAME. --------------------------------------------------------------------------------- */

static void a_renamed_key_keeps_its_time_and_its_parts(void **state)
{
    struct object before, after;
    char *large = malloc(100001);
    (void)state;
    memset(large, 'x', 100000);
    large[100000] = 0;
    memory_store_write(&ms);
    set_until("from", large, ms.now_ms + 500);
    set_until("to", "old", ms.now_ms + 100);
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("from"), &before), STATUS_OK);
    assert_int_equal(rename_key("from", "to"), STATUS_OK);
    assert_int_equal(keyspace_find(&ms.access, slice_from("to"), &after), STATUS_OK);
    assert_int_equal(after.id, before.id);
    assert_int_equal(after.expire_ms, ms.now_ms + 500);
    expect("from", NULL);
    expect("to", large);
    expect_counts(1, 1);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "g rename_from from, g rename_to to");
    memory_store_reopen(&ms);
    memory_store_read(&ms);
    expect("to", large);
    expect_counts(1, 1);
    memory_store_end(&ms);
    ms.now_ms += 501;
    size_t expired;
    bool more;
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
    expect_counts(0, 0);
    memory_store_end(&ms);
    assert_int_equal(expired, 1); /* one entry in the index, not three */
    free(large);
}

static void new_keys_are_told_of_when_that_is_wanted(void **state)
{
    (void)state;
    memory_store_write(&ms);
    ms.access.tells_new = true;
    set("a", "1");
    set("a", "2");
    push("l", "x");
    assert_int_equal(rename_key("a", "b"), STATUS_OK);
    assert_int_equal(rename_key("l", "b"), STATUS_OK);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms),
                        "n new a, $ set a, $ set a, n new l, l rpush l, n new b, "
                        "g rename_from a, g rename_to b, n new b, g rename_from l, g rename_to b");
    memory_store_write(&ms);
    set("c", "1");
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "$ set c");
}

static void a_read_says_which_key_it_has_missed(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    set_until("a", "1", ms.now_ms + 1);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("none"), &object), STATUS_NOT_FOUND);
    assert_true(slice_equal(ms.access.missed, slice_from("none")));
    assert_int_equal(keyspace_find(&ms.access, slice_from("a"), &object), STATUS_OK);
    assert_null(ms.access.missed.data);
    memory_store_end(&ms);
    ms.now_ms += 2;
    memory_store_read(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("a"), &object), STATUS_NOT_FOUND);
    assert_true(slice_equal(ms.access.missed, slice_from("a")));
    access_fact(&ms.access, 'm', "keymiss", ms.access.missed);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "m keymiss a");
}

static void a_missing_key_is_not_renamed_and_one_to_itself_stays(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    assert_int_equal(rename_key("b", "c"), STATUS_NOT_FOUND);
    assert_int_equal(rename_key("b", "b"), STATUS_NOT_FOUND);
    assert_int_equal(rename_key("a", "a"), STATUS_OK);
    expect("a", "1");
    expect_counts(1, 0);
    memory_store_end(&ms);
}

/* ---- Whole databases. ------------------------------------------------------------------------ */

static void select_database(unsigned database)
{
    assert_int_equal(access_select(&ms.access, database), STATUS_OK);
}

static void databases_do_not_see_each_other(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", "zero");
    select_database(3);
    expect("a", NULL);
    set("a", "three");
    assert_int_equal(ms.access.facts[1].database, 3);
    memory_store_end(&ms);
    memory_store_read(&ms);
    expect("a", "zero");
    select_database(3);
    expect("a", "three");
    expect_counts(1, 0);
    memory_store_end(&ms);
}

static void a_flushed_database_is_empty_and_stays_so(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set_until("a", "1", ms.now_ms + 10);
    push("list", "x");
    select_database(1);
    set("b", "2");
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    expect("a", NULL);
    expect_counts(0, 0);
    set("new", "3");
    memory_store_end(&ms);
    for (int round = 0; round < 2; round++) {
        memory_store_read(&ms);
        expect("a", NULL);
        expect("new", "3");
        expect_counts(1, 0);
        select_database(1);
        expect("b", "2");
        memory_store_end(&ms);
        memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    }
}

static void flushing_everything_leaves_no_record_of_a_key(void **state)
{
    struct buffer dump = {0};
    (void)state;
    memory_store_write(&ms);
    set_until("a", "1", ms.now_ms + 10);
    for (int i = 0; i < 200; i++)
        push("list", "a long element of a list that will not stay inline");
    select_database(2);
    set("b", "2");
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush_all(&ms.access), STATUS_OK);
    memory_store_end(&ms);
    memory_store_dump(&ms, TREE_PARTS, &dump);
    memory_store_dump(&ms, TREE_ENTRIES, &dump);
    assert_int_equal(dump.size, 0);
    memory_store_read(&ms);
    expect_counts(0, 0);
    select_database(2);
    expect_counts(0, 0);
    memory_store_end(&ms);
    buffer_release(&dump);
}

static void flushing_an_empty_database_writes_nothing(void **state)
{
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 2), STATUS_OK);
    assert_int_equal(keyspace_flush_all(&ms.access), STATUS_OK);
    assert_true(lsm_writer_is_empty(ms.access.writer));
    memory_store_end(&ms);
}

static void swapped_databases_exchange_keys_counts_and_times(void **state)
{
    size_t expired;
    bool more;
    (void)state;
    memory_store_write(&ms);
    set_until("a", "zero", ms.now_ms + 10);
    set("b", "zero");
    select_database(1);
    set("a", "one");
    keyspace_swap(&ms.access, 0, 1); /* with counts that this batch has changed */
    expect("a", "zero");
    expect_counts(2, 1);
    select_database(0);
    expect("a", "one");
    memory_store_end(&ms);
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    memory_store_read(&ms);
    expect("a", "one");
    expect_counts(1, 0);
    select_database(1);
    expect("a", "zero");
    expect_counts(2, 1);
    memory_store_end(&ms);
    ms.now_ms += 11;
    memory_store_write(&ms);
    assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
    assert_int_equal(expired, 1);
    assert_int_equal(ms.access.facts[0].database, 1);
    keyspace_swap(&ms.access, 1, 0);
    keyspace_swap(&ms.access, 2, 2);
    expect("b", "zero");
    expect_counts(1, 0);
    memory_store_end(&ms);
}

static void a_reader_keeps_the_moment_that_it_pinned_over_flush_and_swap(void **state)
{
    struct access other;
    struct lsm_reader *reader = lsm_reader_create(store_engine(ms.store));
    struct slice found;
    (void)state;
    access_init(&other, ms.store, reader);
    memory_store_write(&ms);
    set("a", "old");
    select_database(1);
    set("a", "other");
    memory_store_end(&ms);
    access_begin_read(&other, 0, false);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    keyspace_swap(&ms.access, 0, 1);
    memory_store_end(&ms);
    assert_int_equal(string_get(&other, slice_from("a"), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_from("old")));
    assert_int_equal(access_select(&other, 1), STATUS_OK);
    assert_int_equal(string_get(&other, slice_from("a"), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_from("other")));
    assert_int_equal(access_select(&other, 0), STATUS_OK);
    assert_int_equal(string_get(&other, slice_from("a"), &found), STATUS_OK);
    access_end(&other);
    access_begin_read(&other, 0, false);
    assert_int_equal(string_get(&other, slice_from("a"), &found), STATUS_OK);
    assert_true(slice_equal(found, slice_from("other")));
    access_end(&other);
    access_release(&other);
    lsm_reader_destroy(reader);
}

static void an_empty_reply_after_a_flush_waits_for_the_flush(void **state)
{
    (void)state;
    memory_store_write(&ms);
    set("a", "1");
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    lsn_t flushed = memory_store_end(&ms);
    memory_store_read(&ms);
    expect("a", NULL);
    assert_true(memory_store_end(&ms) >= flushed);
}

/* ---- Constant work. -------------------------------------------------------------------------- */

static uint64_t logged_bytes(void)
{
    struct lsm_stats stats;
    assert_int_equal(lsm_wal_write(store_engine(ms.store)), STATUS_OK);
    lsm_get_stats(store_engine(ms.store), &stats);
    return stats.visible_lsn; /* a byte position of the log */
}

enum { CHANGE_DELETE, CHANGE_TRIM, CHANGE_RENAME, CHANGE_EXPIRE, CHANGE_FLUSH, CHANGE_COUNT };

/* The log's bytes of the change on a list of so many elements. */
static uint64_t cost_of(int change, int elements)
{
    size_t expired;
    bool more;
    struct object object;
    memory_store_write(&ms);
    for (int i = 0; i < elements; i++)
        push("list", "an element that is not the smallest, so the list is soon not inline");
    assert_int_equal(keyspace_find(&ms.access, slice_from("list"), &object), STATUS_OK);
    keyspace_set_expire(&ms.access, slice_from("list"), &object, ms.now_ms + 5);
    memory_store_end(&ms);
    uint64_t before = logged_bytes();
    if (change == CHANGE_EXPIRE)
        ms.now_ms += 10;
    memory_store_write(&ms);
    switch (change) {
    case CHANGE_DELETE:
        assert_true(del("list"));
        break;
    case CHANGE_TRIM:
        assert_int_equal(list_trim(&ms.access, slice_from("list"), 5, -5), STATUS_OK);
        break;
    case CHANGE_RENAME:
        assert_int_equal(rename_key("list", "tsil"), STATUS_OK);
        break;
    case CHANGE_EXPIRE:
        assert_int_equal(keyspace_expire_due(&ms.access, 10, &expired, &more), STATUS_OK);
        break;
    default:
        assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_OK);
    }
    memory_store_end(&ms);
    memory_store_write(&ms); /* so that the visible LSN is the end of the one before */
    set("mark", "");
    memory_store_end(&ms);
    return logged_bytes() - before;
}

static void deleting_trimming_renaming_expiring_and_flushing_do_not_depend_on_size(void **state)
{
    (void)state;
    for (int change = 0; change < CHANGE_COUNT; change++) {
        teardown(NULL);
        setup(NULL);
        uint64_t small = cost_of(change, 20);
        teardown(NULL);
        setup(NULL);
        uint64_t large = cost_of(change, 9000);
        assert_true(large <= small + 64); /* a few varints are longer */
    }
}

/* ---- SCAN. ----------------------------------------------------------------------------------- */

struct seen {
    unsigned char times[3000];
    size_t count;
};

static void see(void *context, struct slice key, const struct object *object)
{
    struct seen *seen = context;
    char text[32] = "";
    memcpy(text, key.data, key.size);
    assert_int_equal(object->type, OBJECT_STRING);
    seen->times[atoi(text + 4)]++;
    seen->count++;
}

static void a_scan_gives_every_key_once_also_when_others_come_and_go(void **state)
{
    static struct seen seen;
    char key[32];
    uint64_t cursor = 0;
    size_t calls = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        memory_store_write(&ms);
        set(key, "value");
        memory_store_end(&ms);
    }
    seen = (struct seen){0};
    do {
        memory_store_write(&ms);
        snprintf(key, sizeof key, "key:%zu", 2000 + calls % 900);
        if (calls % 2)
            del(key);
        else
            set(key, "comes and goes");
        memory_store_end(&ms);
        if (calls == 100)
            memory_store_work(&ms, true);
        memory_store_read(&ms);
        assert_int_equal(keyspace_scan(&ms.access, cursor, 10, &cursor, see, &seen), STATUS_OK);
        memory_store_end(&ms);
        assert_true(cursor < (uint64_t)1 << 52);
        calls++;
    } while (cursor);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(seen.times[i], 1);
    assert_true(calls <= 200 + 50);
}

static void a_scan_skips_expired_keys_and_ends_behind_the_last_cursor(void **state)
{
    static struct seen seen;
    uint64_t next = 77;
    (void)state;
    seen = (struct seen){0};
    memory_store_write(&ms);
    set_until("key:1", "v", ms.now_ms + 1);
    set("key:2", "v");
    memory_store_end(&ms);
    ms.now_ms += 2;
    memory_store_read(&ms);
    assert_int_equal(keyspace_scan(&ms.access, 0, 100, &next, see, &seen), STATUS_OK);
    assert_int_equal(next, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.times[2], 1);
    next = 77;
    assert_int_equal(keyspace_scan(&ms.access, (uint64_t)1 << 52, 100, &next, see, &seen),
                     STATUS_OK);
    assert_int_equal(next, 0);
    assert_int_equal(keyspace_scan(&ms.access, UINT64_MAX, 100, &next, see, &seen), STATUS_OK);
    assert_int_equal(seen.count, 1);
    memory_store_end(&ms);
}

/* ---- RANDOMKEY. ------------------------------------------------------------------------------ */

enum { DRAWN_KEYS = 300, DRAWS_A_KEY = 60 };

static void count_draw(void *context, struct slice key, const struct object *object)
{
    int *times = context;
    char text[32] = "";
    (void)object;
    memcpy(text, key.data, key.size);
    times[atoi(text + 4)]++;
}

/* Keys of a name of four letters and a number. Each has a chance between a half and one and a half of the
 * mean, with few exceptions, and none is left out. */
static void expect_nearly_uniform_draws(const char *format)
{
    int times[DRAWN_KEYS] = {0}, usual = 0;
    char key[32];
    struct random random;
    random_init(&random, test_seed());
    memory_store_write(&ms);
    for (int i = 0; i < DRAWN_KEYS; i++) {
        snprintf(key, sizeof key, format, i);
        set(key, "value");
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_read(&ms);
    for (int i = 0; i < DRAWS_A_KEY * DRAWN_KEYS; i++) {
        uint64_t bits[2] = {random_next(&random), random_next(&random)};
        assert_int_equal(keyspace_random(&ms.access, bits, count_draw, times), STATUS_OK);
    }
    memory_store_end(&ms);
    for (int i = 0; i < DRAWN_KEYS; i++) {
        assert_in_range(times[i], DRAWS_A_KEY / 5, DRAWS_A_KEY * 3);
        usual += times[i] >= DRAWS_A_KEY / 2 && times[i] <= DRAWS_A_KEY * 3 / 2;
    }
    assert_true(usual > DRAWN_KEYS * 8 / 10);
}

static void every_key_comes_up_at_random_nearly_as_often_as_others(void **state)
{
    (void)state;
    expect_nearly_uniform_draws("key:%d");
}

static void so_do_keys_that_share_a_tag_and_thereby_a_slot(void **state)
{
    (void)state;
    expect_nearly_uniform_draws("{t}:%d");
}

static void the_only_key_comes_up_whatever_the_bits_are(void **state)
{
    static struct seen seen;
    static const uint64_t bits[][2] = {
        {0, 0}, {UINT64_MAX, UINT64_MAX}, {0, UINT64_MAX}, {UINT64_MAX, 0}, {(uint64_t)1 << 63, 7}};
    (void)state;
    seen = (struct seen){0};
    memory_store_read(&ms);
    assert_int_equal(keyspace_random(&ms.access, bits[0], see, &seen), STATUS_NOT_FOUND);
    memory_store_end(&ms);
    memory_store_write(&ms);
    set("key:1", "v");
    memory_store_end(&ms);
    memory_store_read(&ms);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        assert_int_equal(keyspace_random(&ms.access, bits[i], see, &seen), STATUS_OK);
    memory_store_end(&ms);
    assert_int_equal(seen.times[1], sizeof bits / sizeof *bits);
}

/* 1500 of them are more than a loop passes by; wherever one begins, one comes around to key 0. */
static void expired_keys_do_not_come_up(void **state)
{
    static struct seen seen;
    struct random random;
    char key[32];
    (void)state;
    random_init(&random, test_seed());
    seen = (struct seen){0};
    memory_store_write(&ms);
    for (int i = 1; i <= 1500; i++) {
        snprintf(key, sizeof key, "key:%d", i);
        set_until(key, "v", ms.now_ms + 1);
    }
    memory_store_end(&ms);
    ms.now_ms += 2;
    for (int alive = 0; alive < 2; alive++) {
        memory_store_read(&ms);
        for (int i = 0; i < 20; i++) {
            uint64_t bits[2] = {random_next(&random), random_next(&random)};
            assert_int_equal(keyspace_random(&ms.access, bits, see, &seen),
                             alive ? STATUS_OK : STATUS_NOT_FOUND);
        }
        memory_store_end(&ms);
        access_begin_read(&ms.access, 0, true);
        uint64_t bits[2] = {0, 0};
        if (!alive)
            assert_int_equal(keyspace_random(&ms.access, bits, see, &seen), STATUS_WOULD_BLOCK);
        memory_store_end(&ms);
        memory_store_write(&ms);
        set("key:0", "v");
        memory_store_end(&ms);
    }
    assert_int_equal(seen.times[0], 20);
    assert_int_equal(seen.count, 20);
}

/* A cache of one byte holds a block until the next one: other keys are looked up before. */
static void counts_that_cannot_be_read_are_said(void **state)
{
    enum { KEYS = 200 };
    uint64_t keys = 77, expires;
    char key[16], value[500] = "";
    (void)state;
    ms.options.block_cache_bytes = 1;
    ms.options.block_bytes = 512;
    memset(value, 'v', sizeof value - 1);
    memory_store_reopen(&ms);
    memory_store_write(&ms);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%d", i);
        set(key, value);
    }
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    memory_store_read(&ms);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%d", i);
        expect(key, value);
    }
    vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, 1, STATUS_IO, true);
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_IO);
    assert_int_equal(keys, 77);
    vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
    assert_int_equal(keyspace_count(&ms.access, &keys, &expires), STATUS_OK);
    assert_int_equal(keys, KEYS);
    memory_store_end(&ms);
}

static void a_damaged_header_is_found_and_named(void **state)
{
    struct object object;
    uint64_t next;
    static struct seen seen;
    (void)state;
    memory_store_write(&ms);
    set("key:1", "v");
    ms.is_damaged = true;
    access_put(&ms.access, TREE_KEYS, buffer_slice(&ms.access.tree_key), slice_make("\x21", 1));
    assert_int_equal(keyspace_find(&ms.access, slice_from("key:1"), &object), STATUS_CORRUPT);
    assert_int_equal(keyspace_scan(&ms.access, 0, 10, &next, see, &seen), STATUS_CORRUPT);
    assert_int_equal(keyspace_random(&ms.access, (uint64_t[2]){0}, see, &seen), STATUS_CORRUPT);
    assert_int_equal(rename_key("key:1", "x"), STATUS_CORRUPT);
    set("x", "v");
    assert_int_equal(rename_key("x", "key:1"), STATUS_CORRUPT);
    memory_store_end(&ms);
}

static void a_scan_over_what_is_no_key_of_a_database_says_so(void **state)
{
    static struct seen seen;
    uint64_t next = 77;
    uint8_t key[5] = {0, 0, 0, 0, 1}; /* too short for a position */
    (void)state;
    memory_store_write(&ms);
    be32_store(key, ms.access.generation);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_KEYS, slice_make(key, sizeof key), slice_from("\x01"));
    assert_int_equal(keyspace_scan(&ms.access, 0, 10, &next, see, &seen), STATUS_CORRUPT);
    assert_int_equal(next, 77);
    assert_int_equal(keyspace_random(&ms.access, (uint64_t[2]){0}, see, &seen), STATUS_CORRUPT);
    memory_store_end(&ms);
}

static void a_store_without_numbers_left_refuses_to_flush(void **state)
{
    struct buffer value = {0};
    uint32_t generations[STORE_DATABASES_MAX];
    uint8_t key[META_KEY_BYTES_MAX];
    (void)state;
    for (unsigned i = 0; i < STORE_DATABASES_MAX; i++)
        generations[i] = generation_default(i);
    memory_store_write(&ms);
    set("a", "v");
    meta_map_encode(&value, UINT32_MAX, generations);
    ms.is_damaged = true;
    for (unsigned tree = 0; tree < TREE_COUNT; tree++)
        access_put(&ms.access, tree, meta_key(key, META_MAP, 0), buffer_slice(&value));
    memory_store_end(&ms);
    memory_store_reopen(&ms);
    memory_store_write(&ms);
    assert_int_equal(keyspace_flush(&ms.access, 0), STATUS_TOO_LARGE);
    assert_int_equal(keyspace_flush_all(&ms.access), STATUS_TOO_LARGE);
    expect("a", "v");
    memory_store_end(&ms);
    buffer_release(&value);
}

static void hints_change_nothing(void **state)
{
    static char long_name[1000];
    struct slice keys[KEYSPACE_PREFETCH_MAX];
    (void)state;
    memset(long_name, 'k', sizeof long_name - 1);
    for (size_t i = 0; i < KEYSPACE_PREFETCH_MAX; i++)
        keys[i] = slice_from(i == 0 ? "" : i == 1 ? long_name : i % 2 ? "here" : "missing");
    keyspace_prefetch(&ms.access, 0, false, keys, KEYSPACE_PREFETCH_MAX);
    memory_store_write(&ms);
    keyspace_prefetch_own(&ms.access, keys, KEYSPACE_PREFETCH_MAX);
    set("here", "1");
    set(long_name, "2");
    set("", "3");
    keyspace_prefetch_own(&ms.access, keys, KEYSPACE_PREFETCH_MAX);
    expect("here", "1");
    memory_store_end(&ms);
    for (int is_in_table = 0; is_in_table < 2; is_in_table++) {
        keyspace_prefetch(&ms.access, 0, false, keys, KEYSPACE_PREFETCH_MAX);
        memory_store_read(&ms);
        keyspace_prefetch_own(&ms.access, keys, KEYSPACE_PREFETCH_MAX);
        keyspace_prefetch_own(&ms.access, keys, 0);
        expect("here", "1");
        expect("missing", NULL);
        expect(long_name, "2");
        expect("", "3");
        memory_store_end(&ms);
        lsm_lock(store_engine(ms.store));
        keyspace_prefetch(&ms.access, 0, true, keys, KEYSPACE_PREFETCH_MAX);
        lsm_unlock(store_engine(ms.store));
        memory_store_work(&ms, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hints_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_set_is_found_counted_and_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(many_keys_are_deleted_in_order_and_each_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_memory_no_key_of_many_is_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(the_empty_key_and_binary_keys_are_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_may_have_512_kib_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(another_type_is_said_to_be_one, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_are_exact_after_a_kill, setup, teardown),
        cmocka_unit_test_setup_teardown(a_renamed_key_keeps_its_time_and_its_parts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(new_keys_are_told_of_when_that_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_says_which_key_it_has_missed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_key_is_not_renamed_and_one_to_itself_stays, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(databases_do_not_see_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flushed_database_is_empty_and_stays_so, setup, teardown),
        cmocka_unit_test_setup_teardown(flushing_everything_leaves_no_record_of_a_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(flushing_an_empty_database_writes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(swapped_databases_exchange_keys_counts_and_times, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_reader_keeps_the_moment_that_it_pinned_over_flush_and_swap, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_reply_after_a_flush_waits_for_the_flush, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            deleting_trimming_renaming_expiring_and_flushing_do_not_depend_on_size, setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_scan_gives_every_key_once_also_when_others_come_and_go,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_skips_expired_keys_and_ends_behind_the_last_cursor,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(every_key_comes_up_at_random_nearly_as_often_as_others,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(so_do_keys_that_share_a_tag_and_thereby_a_slot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_only_key_comes_up_whatever_the_bits_are, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(expired_keys_do_not_come_up, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_that_cannot_be_read_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_header_is_found_and_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_scan_over_what_is_no_key_of_a_database_says_so, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_store_without_numbers_left_refuses_to_flush, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
