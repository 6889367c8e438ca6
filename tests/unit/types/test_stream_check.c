/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

#include "types/header_check.h"
#include "types/store_check.h"
#include "types/stream_late.h"

static struct stream stream; /* as found before the damage */

static int setup_stream(void **state)
{
    setup(state);
    ms.is_damaged = true;
#ifdef CORDWOOD_DEBUG
    header_debug_is_off = true;
#endif
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

static void expect(const char *what)
{
    char expected[160];
    snprintf(expected, sizeof expected, "database 0, key 's': %s", what);
    assert_string_equal(finding(), expected);
}

static void a_missing_entry_is_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), NULL, 0);
    expect("the set of deletions does not name the ordinals that are missing");
    change(TREE_ENTRIES, entry_key("1000000-0"), NULL, 0);
    expect("the first entry is not the one of the header");
}

static void a_missing_last_entry_is_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-6"), NULL, 0);
    expect("entries are not as many as the header counts");
}

static void a_wrong_ordinal_and_damaged_fields_are_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\1\1\1f\1v", 7);
    expect("an entry's ordinal is out of order");
    change(TREE_ENTRIES, entry_key("1000000-3"), "\0\3\1\1f\1vx", 8);
    expect("an entry's fields are damaged");
    change(TREE_ENTRIES, entry_key("1000000-3"), "\xff", 1);
    expect("an entry is damaged");
}

static void a_damaged_header_is_found(void **state)
{
    struct object object;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(keyspace_find(&ms.access, slice_from("s"), &object), STATUS_OK);
    object.body = slice_make("\xff", 1);
    memory_store_plant(&ms, slice_from("s"), &object);
    memory_store_end(&ms);
    assert_string_equal(finding(), "database 0, key 's': its header is damaged");
}

static void a_wrong_set_of_deletions_is_found(void **state)
{
    (void)state;
    change(TREE_PARTS, part_key("D\0\0\0\0\0\0\0\0\0", 10), "\0\7", 2);
    expect("the set of deletions does not name the ordinals that are missing");
    change(TREE_PARTS, part_key("D\0\0\0\0\0\0\0\0\0", 10), "\0\2", 2); /* another one */
    expect("the set of deletions does not name the ordinals that are missing");
    change(TREE_PARTS, part_key("D\0\0\0\0\0\0\0\0\0", 10), "\0\4", 2);
    assert_string_equal(finding(), "");
    change(TREE_PARTS, part_key("D\5\0\0\0\0\0\0\0\0", 10), "\0\4", 2);
    expect("a part of the stream is none");
}

/* Key of the index of late entries: by time, or with `event_ms` 0 by ID. */
static struct slice late_key(char tag, uint64_t event_ms, const char *id)
{
    uint8_t key[1 + 8 + STREAM_ID_BYTES] = {(uint8_t)tag};
    be64_store(key + 1, event_ms);
    stream_id_store(key + (event_ms ? 9 : 1), make_id(id));
    return part_key((const char *)key, event_ms ? sizeof key : sizeof key - 8);
}

static void a_wrong_index_of_late_entries_is_found(void **state)
{
    (void)state;
    change(TREE_PARTS, late_key('L', 7, "1000000-5"), NULL, 0);
    expect("a late entry is indexed by ID, not by time");
    change(TREE_PARTS, late_key('I', 0, "1000000-5"), NULL, 0);
    expect("a late entry is not in the index of late entries");
    change(TREE_PARTS, late_key('L', 7, "1000000-4"), "", 0);
    expect("the index of late entries names none");
    change(TREE_PARTS, late_key('L', 7, "1000000-4"), NULL, 0);
    change(TREE_PARTS, late_key('L', 7, "1000000-5"), "", 0);
    expect("the index of late entries is not as large as the header counts");
    change(TREE_PARTS, late_key('I', 0, "1000000-5"), "\7", 1);
    assert_string_equal(finding(), "");
    change(TREE_PARTS, late_key('I', 0, "1000000-1"), "\7", 1);
    expect("the index of late entries begins before the header says");
    change(TREE_PARTS, late_key('I', 0, "1000000-1"), NULL, 0);
    change(TREE_PARTS, late_key('I', 0, "1000000-5"), "", 0);
    expect("a record of the index of late entries is damaged");
}

static void wrong_runs_of_late_entries_are_found(void **state)
{
    (void)state;
    char first[2 * VARINT_BYTES_MAX];
    size_t size = varint_store((uint8_t *)first, 1000000);
    first[size] = 0; /* 1000000-0 */
    change(TREE_PARTS, late_key('R', 0, "1000000-4"), first, size + 1);
    expect("an entry that is not late stands in a run of them");
    first[size] = 5;
    change(TREE_PARTS, late_key('R', 0, "1000000-4"), first, size + 1);
    expect("a run of late entries is damaged");
    change(TREE_PARTS, late_key('R', 0, "1000000-4"), NULL, 0);
    change(TREE_PARTS, late_key('R', 0, "1000000-5"), first, size + 1);
    expect("there are more runs of late entries than the header counts");
    first[size] = 4;
    change(TREE_PARTS, late_key('R', 0, "1000000-6"), first, size + 1);
    expect("runs of late entries overlap");
}

static void records_out_of_the_bounds_are_found(void **state)
{
    (void)state;
    change(TREE_ENTRIES, entry_key("1000001-0"), "\0\7\1\1f\1v", 7);
    expect("a record stands behind the last ID");
    change(TREE_ENTRIES, entry_key("1000001-0"), NULL, 0);
    change(TREE_ENTRIES, entry_key("999999-0"), "\0\7\1\1f\1v", 7);
    expect("records below the first entry will never be given back");
    change(TREE_ENTRIES, entry_key("999999-0"), NULL, 0);
    change(TREE_PARTS, part_key("Q", 1), "", 0);
    expect("a part of the stream is none");
}

/* Writes the header anew. */
static void change_header(const struct stream_header *header)
{
    uint8_t body[STREAM_HEADER_BYTES_MAX];
    struct object object = stream.found;
    object.body = slice_make(body, stream_header_encode(header, body));
    memory_store_write(&ms);
    memory_store_plant(&ms, slice_from("s"), &object);
    memory_store_end(&ms);
}

static void a_wrong_header_is_found(void **state)
{
    struct stream_header header = stream.header;
    (void)state;
    header.entries_added = 2;
    change_header(&header);
    expect("the header counts more entries than were added");
    header = stream.header;
    header.late.event_ms_min = header.late.event_ms_max = 8;
    change_header(&header);
    expect("a late entry's time lies outside of the header's bounds");
    header = stream.header;
    header.late.last_id = header.late.first_id = make_id("1000000-4");
    change_header(&header);
    expect("a late entry lies outside of the header's bounds of them");
    header = stream.header;
    header.late.run_count = 1;
    header.late.run_first_id = make_id("1000000-5");
    change_header(&header);
    expect("an entry that is not late stands in a run of them");
    header = stream.header;
    header.next_ordinal = 6;
    header.length--;
    change_header(&header);
    expect("an entry's ordinal is out of order");
    header = stream.header;
    header.last_id = make_id("1000000-5");
    change_header(&header);
    expect("entries are not as many as the header counts");
    change_header(&stream.header);
    assert_string_equal(finding(), "");
}

/* ---- What a repair leaves may contradict itself: writes are refused, not counted below nothing --- */

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
        TEST(a_missing_last_entry_is_found),
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
        TEST(wrong_runs_of_late_entries_are_found),
        TEST(records_out_of_the_bounds_are_found),
        TEST(a_wrong_header_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
