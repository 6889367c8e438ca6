/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

#include "types/store_check.h"
#include "types/stream_late.h"

static struct stream stream; /* as found before the damage */

static int setup_stream(void **state)
{
    setup(state);
    for (int i = 0; i < 5; i++)
        add("*");
    write_line("late", 7);
    add("*");
    delete_id("1000000-2");
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    memory_store_end(&ms);
    return 0;
}

static const char *finding(void)
{
    static struct lsm_report report;
    report.text[0] = 0;
    enum status status = store_check(ms.store, &report);
    assert_int_equal(status, report.text[0] ? STATUS_CORRUPT : STATUS_OK);
    return report.text;
}

static void change(enum store_tree tree, struct slice key, const char *value, size_t size)
{
    memory_store_write(&ms);
    if (value)
        access_put(&ms.access, tree, key, slice_make(value, size));
    else
        access_delete(&ms.access, tree, key);
    memory_store_end(&ms);
}

static struct slice entry_key(const char *id)
{
    static uint8_t key[STREAM_ENTRY_KEY_BYTES];
    stream_entry_key_store(key, stream.prefix, make_id(id));
    return slice_make(key, sizeof key);
}

static struct slice part_key(const char *tail, size_t size)
{
    static uint8_t key[64];
    memcpy(key, stream.prefix, OBJECT_PREFIX_BYTES);
    memcpy(key + OBJECT_PREFIX_BYTES, tail, size);
    return slice_make(key, OBJECT_PREFIX_BYTES + size);
}

static void a_sound_stream_passes(void **state)
{
    (void)state;
    assert_string_equal(finding(), "");
    memory_store_work(&ms, true);
    assert_string_equal(finding(), "");
}

static void a_missing_entry_is_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), NULL, 0);
    assert_string_equal(finding(),
                        "database 0, key 's': entries are not as many as the header counts");
    change(TREE_ENTRIES, entry_key("1000000-0"), NULL, 0);
    assert_string_equal(finding(),
                        "database 0, key 's': the first entry is not the one of the header");
}

static void a_wrong_ordinal_and_damaged_fields_are_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\1\1\1f\1v", 7);
    assert_string_equal(finding(), "database 0, key 's': an entry's ordinal is out of order");
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\3\1\1f\1vx", 8);
    assert_string_equal(finding(), "database 0, key 's': an entry's fields are damaged");
    change(TREE_ENTRIES, entry_key("1000000-3"), "\xff", 1);
    assert_string_equal(finding(), "database 0, key 's': an entry is damaged");
}

static void a_damaged_header_is_found(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("s"), &object), STATUS_OK);
    object.body = slice_make("\xff", 1);
    keyspace_put(&ms.access, slice_from("s"), &object, &object);
    memory_store_end(&ms);
    assert_string_equal(finding(), "database 0, key 's': its header is damaged");
}

static void a_wrong_set_of_deletions_is_found(void **state)
{
    (void)state;
    change(TREE_PARTS, part_key("D\0\0\0\0\0\0\0\0\0", 10), "\0\7", 2);
    assert_string_equal(
        finding(),
        "database 0, key 's': the set of deletions is not as large as the header counts");
}

static void a_wrong_index_of_late_entries_is_found(void **state)
{
    uint8_t key[1 + 8 + STREAM_ID_BYTES] = {'L'};
    (void)state;
    be64_store(key + 1, 7);
    stream_id_store(key + 9, make_id("1000000-5"));
    change(TREE_PARTS, part_key((const char *)key, sizeof key), NULL, 0);
    assert_string_equal(finding(),
                        "database 0, key 's': a late entry is not in the index of late entries");
    stream_id_store(key + 9, make_id("1000000-4"));
    change(TREE_PARTS, part_key((const char *)key, sizeof key), "", 0);
    assert_string_equal(finding(), "database 0, key 's': the index of late entries names none");
}

/* ---- What a repair leaves may contradict itself: writes are refused, not counted below nothing --- */

static void change_header(const struct stream_header *header)
{
    uint8_t bytes[STREAM_HEADER_BYTES_MAX];
    struct object object;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("s"), &object), STATUS_OK);
    struct object changed = object;
    changed.body = slice_make(bytes, stream_header_encode(header, bytes));
    keyspace_put(&ms.access, slice_from("s"), &changed, &object);
    memory_store_end(&ms);
}

static enum status try_delete(const char *id_text)
{
    struct stream found;
    struct stream_id id = make_id(id_text);
    uint64_t removed;
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &found), STATUS_OK);
    enum status status = stream_delete(&ms.access, &found, &id, 1, &removed);
    memory_store_end(&ms);
    return status;
}

static enum status try_trim(const struct stream_trim *trim)
{
    struct stream found;
    uint64_t removed;
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &found), STATUS_OK);
    enum status status = stream_trim(&ms.access, &found, trim, &removed);
    memory_store_end(&ms);
    return status;
}

static void deleting_a_late_entry_that_the_header_does_not_count_is_refused(void **state)
{
    struct stream_header header = stream.header;
    (void)state;
    header.late = (struct stream_late_info){0};
    change_header(&header);
    assert_int_equal(try_delete("1000000-5"), STATUS_CORRUPT);
    assert_int_equal(try_delete("1000000-4"), STATUS_OK);
}

static void deleting_an_entry_whose_ordinal_was_not_given_is_refused(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\x40\1\1f\1v", 7);
    assert_int_equal(try_delete("1000000-3"), STATUS_CORRUPT);
    change(TREE_ENTRIES, entry_key("1000000-1"), "\0\x40\1\1f\1v", 7);
    assert_int_equal(try_delete("1000000-0"), STATUS_CORRUPT); /* it would become the first */
}

static void trimming_to_an_entry_whose_ordinal_was_not_given_is_refused(void **state)
{
    const struct stream_trim trim = {.kind = STREAM_TRIM_MINID, .minid = make_id("1000000-3")};
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\x40\1\1f\1v", 7);
    assert_int_equal(try_trim(&trim), STATUS_CORRUPT);
}

static void trimming_past_more_deletions_than_the_header_counts_is_refused(void **state)
{
    const struct stream_trim trim = {.kind = STREAM_TRIM_MINID, .minid = make_id("1000000-3")};
    (void)state;
    change(TREE_PARTS, part_key("D\0\0\0\0\0\0\0\0\0", 10), "\0\6", 2);
    assert_int_equal(try_trim(&trim), STATUS_CORRUPT);
}

static void more_late_entries_than_the_header_counts_stop_a_write(void **state)
{
    struct stream found;
    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        (void)write_line("late, too", 8 + i);
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &found), STATUS_OK);
    memory_store_end(&ms);
    struct stream_header header = found.header;
    header.late.count = 2;
    change_header(&header);
    const struct stream_trim trim = {.kind = STREAM_TRIM_MAXLEN, .maxlen = 1};
    assert_int_equal(try_trim(&trim), STATUS_OK); /* the next write looks for what is dead */
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &found), STATUS_OK);
    assert_int_equal(stream_append_begin(&ms.access, &found), STATUS_CORRUPT);
    memory_store_end(&ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_stream, teardown)
        TEST(a_sound_stream_passes),
        TEST(a_missing_entry_is_found),
        TEST(a_wrong_ordinal_and_damaged_fields_are_found),
        TEST(a_damaged_header_is_found),
        TEST(a_wrong_set_of_deletions_is_found),
        TEST(a_wrong_index_of_late_entries_is_found),
        cmocka_unit_test_setup_teardown(
            deleting_a_late_entry_that_the_header_does_not_count_is_refused, setup_stream,
            teardown),
        cmocka_unit_test_setup_teardown(deleting_an_entry_whose_ordinal_was_not_given_is_refused,
                                        setup_stream, teardown),
        cmocka_unit_test_setup_teardown(trimming_to_an_entry_whose_ordinal_was_not_given_is_refused,
                                        setup_stream, teardown),
        cmocka_unit_test_setup_teardown(
            trimming_past_more_deletions_than_the_header_counts_is_refused, setup_stream, teardown),
        cmocka_unit_test_setup_teardown(more_late_entries_than_the_header_counts_stop_a_write,
                                        setup_stream, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
