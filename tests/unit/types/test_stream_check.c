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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
