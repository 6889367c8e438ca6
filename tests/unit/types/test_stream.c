/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

static void ids_grow_and_the_clock_may_stand_still(void **state)
{
    (void)state;
    assert_string_equal(add("*"), "1000000-0");
    assert_string_equal(add("*"), "1000000-1");
    ms.now_ms = 500;
    assert_string_equal(add("*"), "1000000-2");
    ms.now_ms = 1000001;
    assert_string_equal(add("*"), "1000001-0");
    assert_string_equal(add("1000001-*"), "1000001-1");
    assert_string_equal(add("1000002-*"), "1000002-0");
    assert_string_equal(add("1000003"), "1000003-0");
    assert_string_equal(add("1000003"), "");
    assert_string_equal(add("1000002-*"), "");
    assert_string_equal(range("-", "+", false),
                        "1000000-0 1000000-1 1000000-2 1000001-0 1000001-1 1000002-0 1000003-0");
}

static void the_first_id_of_zero_is_zero_one(void **state)
{
    (void)state;
    assert_string_equal(add("0-*"), "0-1");
    assert_string_equal(add("0-*"), "0-2");
}

static void behind_the_highest_id_nothing_is_added(void **state)
{
    struct stream_header header = {.last_id = STREAM_ID_MAX};
    struct stream_id id;
    (void)state;
    assert_int_equal(
        stream_next_id(&header, &(struct stream_id_spec){.kind = STREAM_ID_AUTO}, 1, &id),
        STREAM_ID_EXHAUSTED);
    header.last_id.ms = 5;
    struct stream_id_spec spec = {.kind = STREAM_ID_AUTO_SEQ, .id = {5, 0}};
    assert_int_equal(stream_next_id(&header, &spec, 1, &id), STREAM_ID_TOO_SMALL);
    assert_int_equal(
        stream_next_id(&header, &(struct stream_id_spec){.kind = STREAM_ID_AUTO}, 1, &id),
        STREAM_ID_OK);
    assert_int_equal(id.ms, 6);
    assert_int_equal(id.seq, 0);
}

static void ranges_go_both_ways_within_their_bounds(void **state)
{
    (void)state;
    for (const char *const *id = (const char *const[]){"1-1", "1-2", "3-0", "5-9", NULL}; *id; id++)
        add(*id);
    assert_string_equal(range("-", "+", true), "5-9 3-0 1-2 1-1");
    assert_string_equal(range("1-2", "3", false), "1-2 3-0");
    assert_string_equal(range("1-2", "3", true), "3-0 1-2");
    assert_string_equal(range("2", "2", false), "");
    assert_string_equal(range("5-9", "9", true), "5-9");
    assert_string_equal(range("6", "9", false), "");
    assert_string_equal(range("3", "1", false), "");
    assert_string_equal(range("0", "0", true), "");
}

static void everything_is_there_again_after_a_reopen_and_from_tables(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++)
        add("*");
    delete_id("1000000-7");
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    add("*");
    struct stream_header header = header_now();
    assert_int_equal(header.length, 300);
    assert_int_equal(header.entries_added, 301);
    assert_int_equal(header.next_ordinal, 301);
    assert_string_equal(range("1000000-5", "1000000-9", false),
                        "1000000-5 1000000-6 1000000-8 1000000-9");
    assert_string_equal(range("1000000-299", "+", true), "1000000-300 1000000-299");
    memory_store_crash(&ms, VFS_KEEP_ALL, 0);
    assert_int_equal(header_now().length, 300);
}

static void deleting_moves_bounds_and_remembers_the_highest(void **state)
{
    (void)state;
    for (int i = 1; i <= 6; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        add(text);
    }
    assert_int_equal(delete_id("9"), 0);
    assert_int_equal(delete_id("3"), 1);
    assert_int_equal(delete_id("3"), 0);
    assert_string_equal(memory_store_facts(&ms), "");
    assert_int_equal(delete_id("1"), 1);
    assert_string_equal(memory_store_facts(&ms), "t xdel s");
    assert_string_equal(range("-", "+", false), "2-0 4-0 5-0 6-0");
    struct stream_header header = header_now();
    assert_int_equal(header.first_id.ms, 2);
    assert_int_equal(header.first_ordinal, 1);
    assert_int_equal(header.max_deleted_id.ms, 3);
    /* The first and all behind it that were deleted before are passed at once. */
    assert_int_equal(delete_id("2"), 1);
    assert_int_equal(header_now().first_ordinal, 3);
    assert_int_equal(delete_id("6"), 1);
    header = header_now();
    assert_int_equal(header.last_id.ms, 6);
    assert_int_equal(header.max_deleted_id.ms, 6);
    assert_int_equal(header.length, 2);
    struct stream_id rest[] = {{5, 0}, {4, 0}, {5, 0}};
    assert_int_equal(delete_ids(rest, 3), 2);
    header = header_now();
    assert_int_equal(header.length, 0);
    assert_int_equal(header.first_ordinal, 6);
    assert_string_equal(range("-", "+", false), "");
    assert_string_equal(add("6"), "");
    assert_string_equal(add("7"), "7-0");
    assert_string_equal(range("-", "+", false), "7-0");
}

static void a_missing_stream_and_another_type_are_told_apart(void **state)
{
    struct stream stream;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_NOT_FOUND);
    struct object string = {.type = OBJECT_STRING, .body = slice_from("x")};
    keyspace_put(&ms.access, slice_from("t"), &string, NULL);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("t"), &stream), STATUS_WRONG_TYPE);
    assert_int_equal(stream_find_or_new(&ms.access, slice_from("t"), &stream), STATUS_WRONG_TYPE);
    memory_store_end(&ms);
}

static void a_stream_that_was_deleted_begins_anew(void **state)
{
    bool deleted;
    (void)state;
    add("5");
    add("6");
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, slice_from("s"), &deleted), STATUS_OK);
    memory_store_end(&ms);
    assert_true(deleted);
    assert_string_equal(add("1"), "1-0");
    assert_string_equal(range("-", "+", false), "1-0");
    assert_int_equal(header_now().entries_added, 1);
}

static void damaged_records_are_reported(void **state)
{
    struct stream stream;
    struct stream_range range_;
    struct stream_entry entry;
    uint8_t key[STREAM_ENTRY_KEY_BYTES];
    (void)state;
    add("1");
    add("2");
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    stream_entry_key_store(key, stream.prefix, (struct stream_id){2, 0});
    ms.is_damaged = true;
    access_put(&ms.access, TREE_ENTRIES, slice_make(key, sizeof key), slice_make("\xff", 1));
    memory_store_end(&ms);
    memory_store_read(&ms);
    stream_range_open(&ms.access, &stream, STREAM_ID_MIN, STREAM_ID_MAX, false, &range_);
    assert_int_equal(stream_range_next(&range_, &entry), STATUS_OK);
    assert_int_equal(stream_range_next(&range_, &entry), STATUS_CORRUPT);
    stream_range_close(&range_);
    assert_int_equal(stream_get(&ms.access, &stream, (struct stream_id){2, 0}, &entry),
                     STATUS_CORRUPT);
    memory_store_end(&ms);
    const struct stream_set set = {.last_id = {3, 0}};
    enum stream_set_verdict verdict;
    memory_store_write(&ms);
    assert_int_equal(stream_set_ids(&ms.access, &stream, &set, &verdict), STATUS_CORRUPT);
    memory_store_end(&ms);
}

/* How many versions a write puts into the memtable. */
static uint64_t versions_now(void)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(ms.store), &stats);
    return stats.memtable_versions;
}

static void adding_writes_an_entry_and_a_header(void **state)
{
    (void)state;
    add("1");
    for (int i = 0; i < 50; i++) {
        uint64_t before = versions_now();
        add("*");
        /* The old version of the header may be taken over by the new one. */
        assert_in_range(versions_now() - before, 1, 2);
    }
}

static void deleting_a_large_stream_is_constant(void **state)
{
    bool deleted;
    struct vfs_fault_counters before, after;
    (void)state;
    memory_store_write(&ms);
    struct log_writer writer;
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 20000, &writer),
                     STATUS_OK);
    for (int i = 0; i < 20000; i++)
        (void)log_write_line(&ms.access, &writer,
                             &(struct log_line){.message = slice_from("a line of some length")});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    memory_store_work(&ms, true);
    uint64_t versions = versions_now();
    vfs_fault_counters(ms.vfs, &before);
    memory_store_write(&ms);
    assert_int_equal(keyspace_delete(&ms.access, slice_from("s"), &deleted), STATUS_OK);
    memory_store_end(&ms);
    vfs_fault_counters(ms.vfs, &after);
    assert_true(deleted);
    assert_in_range(versions_now() - versions, 1, 6);
    assert_in_range(after.calls[VFS_CALL_READ] - before.calls[VFS_CALL_READ], 0, 8);
    assert_string_equal(range("-", "+", false), "");
}

/* ---- XSETID ------------------------------------------------------------------------------------ */

static enum stream_set_verdict set_ids(const char *last_id, const char *max_deleted, int64_t added)
{
    struct stream stream;
    enum stream_set_verdict verdict;
    struct stream_set set = {.last_id = make_id(last_id),
                             .has_entries_added = added >= 0,
                             .entries_added = (uint64_t)added,
                             .has_max_deleted_id = max_deleted != NULL};
    if (max_deleted)
        set.max_deleted_id = make_id(max_deleted);
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    assert_int_equal(stream_set_ids(&ms.access, &stream, &set, &verdict), STATUS_OK);
    memory_store_end(&ms);
    return verdict;
}

static void the_last_id_is_set_where_it_contradicts_nothing(void **state)
{
    (void)state;
    add("1-1");
    add("5-5");
    assert_int_equal(set_ids("5-4", NULL, -1), STREAM_SET_BELOW_ENTRIES);
    assert_int_equal(set_ids("5-5", NULL, 1), STREAM_SET_ADDED_TOO_FEW);
    assert_int_equal(set_ids("9-9", "7-7", 10), STREAM_SET_DONE);
    assert_string_equal(add("9-9"), "");
    assert_int_equal(set_ids("6-6", NULL, -1), STREAM_SET_BELOW_MAX_DELETED);
    assert_int_equal(set_ids("6-6", "2-2", -1), STREAM_SET_DONE);
    assert_string_equal(add("6-*"), "6-7");
    assert_string_equal(range("-", "+", false), "1-1 5-5 6-7");
    struct stream_header header = header_now();
    assert_int_equal(header.entries_added, 11);
    assert_int_equal(header.max_deleted_id.ms, 2);
    memory_store_reopen(&ms);
    assert_string_equal(range("-", "+", true), "6-7 5-5 1-1");
}

/* Entries that were trimmed may still lie there; no ID of theirs shows them again. */
static void an_empty_stream_that_goes_back_shows_nothing_of_before(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        add("*");
    trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 0});
    assert_int_equal(set_ids("1-0", NULL, -1), STREAM_SET_DONE);
    assert_string_equal(add("2-0"), "2-0");
    assert_string_equal(add("1000000-2"), "1000000-2");
    assert_string_equal(add("1000009-0"), "1000009-0");
    assert_string_equal(range("-", "+", false), "2-0 1000000-2 1000009-0");
    assert_int_equal(header_now().entries_added, 8);
    memory_store_reopen(&ms);
    assert_string_equal(range("-", "+", false), "2-0 1000000-2 1000009-0");
}

/* XDEL takes the newest entry; its ID is free again then. */
static void behind_deleted_entries_the_last_id_goes_back(void **state)
{
    (void)state;
    add("1-1");
    add("2-2");
    add("3-3");
    delete_id("3-3");
    assert_int_equal(set_ids("2-2", "1-0", -1), STREAM_SET_DONE);
    assert_string_equal(range("-", "+", false), "1-1 2-2");
    assert_string_equal(add("3-3"), "3-3");
    assert_string_equal(range("-", "+", false), "1-1 2-2 3-3");
    memory_store_reopen(&ms);
}

static void with_late_entries_the_last_id_does_not_go_back(void **state)
{
    (void)state;
    write_line("on time", 0);
    write_line("late", 1);
    struct stream_id last = header_now().last_id;
    char below[STREAM_ID_TEXT_MAX + 1] = {0}, above[STREAM_ID_TEXT_MAX + 1] = {0};
    (void)stream_id_format((struct stream_id){last.ms + 5, 0}, above);
    (void)stream_id_format((struct stream_id){last.ms + 4, 0}, below);
    assert_int_equal(set_ids(above, NULL, -1), STREAM_SET_DONE);
    assert_int_equal(set_ids(below, NULL, -1), STREAM_SET_BELOW_LATE);
    memory_store_reopen(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(ids_grow_and_the_clock_may_stand_still),
        TEST(the_first_id_of_zero_is_zero_one),
        TEST(behind_the_highest_id_nothing_is_added),
        TEST(ranges_go_both_ways_within_their_bounds),
        TEST(everything_is_there_again_after_a_reopen_and_from_tables),
        TEST(deleting_moves_bounds_and_remembers_the_highest),
        TEST(a_missing_stream_and_another_type_are_told_apart),
        TEST(a_stream_that_was_deleted_begins_anew),
        TEST(damaged_records_are_reported),
        TEST(adding_writes_an_entry_and_a_header),
        TEST(deleting_a_large_stream_is_constant),
        TEST(the_last_id_is_set_where_it_contradicts_nothing),
        TEST(an_empty_stream_that_goes_back_shows_nothing_of_before),
        TEST(behind_deleted_entries_the_last_id_goes_back),
        TEST(with_late_entries_the_last_id_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
