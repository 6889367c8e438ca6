/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

static void messages_and_times_have_limits(void **state)
{
    const struct log_limits limits = {.message_bytes_max = 10, .future_ms_max = 600000};
    struct log_error error;
    (void)state;
    assert_true(log_check_message(&limits, slice_from("0123456789"), &error));
    assert_false(log_check_message(&limits, slice_from("0123456789a"), &error));
    assert_string_equal(error.text, "message too large, limit 10 bytes (log-max-message)");
    assert_true(log_check_time(&limits, 5, 1000000, &error));
    assert_true(log_check_time(&limits, 1600000, 1000000, &error));
    assert_false(log_check_time(&limits, 1600001, 1000000, &error));
    assert_string_equal(error.text, "time is 10 m in the future, limit 10 m (log-max-future)");
    assert_false(log_check_time(&limits, 1000000 + 3 * 3600000 + 5, 1000000, &error));
    assert_string_equal(error.text, "time is 3 h in the future, limit 10 m (log-max-future)");
    assert_false(log_check_time(&limits, UINT64_MAX, 0, &error));
}

static struct stream_entry only_entry(struct stream *stream, struct stream_range *entries)
{
    struct stream_entry entry;
    assert_int_equal(stream_find(&ms.access, slice_from("s"), stream), STATUS_OK);
    stream_range_open(&ms.access, stream, STREAM_ID_MIN, STREAM_ID_MAX, false, entries);
    assert_int_equal(stream_range_next(entries, &entry), STATUS_OK);
    return entry;
}

static void a_line_is_its_message_its_level_and_its_fields(void **state)
{
    struct log_writer writer;
    struct stream stream;
    struct stream_range entries;
    struct stream_field field;
    const struct slice fields[] = {slice_from("host"), slice_from("db1"), slice_from("n"),
                                   slice_from("5")};
    const uint8_t kinds[] = {STREAM_FIELD_BYTES, STREAM_FIELD_JSON};
    static const char *const expected[] = {"message", "disk full", "level", "warn",
                                           "host",    "db1",       "n",     "5"};
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 1, &writer), STATUS_OK);
    (void)log_write_line(&ms.access, &writer,
                         &(struct log_line){.message = slice_from("disk full"),
                                            .level = slice_from("warn"),
                                            .fields = fields,
                                            .field_count = 2,
                                            .kinds = kinds});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    assert_string_equal(memory_store_facts(&ms), "t xadd s");
    memory_store_read(&ms);
    struct stream_entry entry = only_entry(&stream, &entries);
    struct stream_fields next = stream_fields_begin(&entry);
    for (int i = 0; i < 4; i++) {
        assert_true(stream_fields_next(&next, &field));
        assert_true(slice_equal(field.name, slice_from(expected[2 * i])));
        assert_true(slice_equal(field.value, slice_from(expected[2 * i + 1])));
        assert_int_equal(field.kind, i == 3 ? STREAM_FIELD_JSON : STREAM_FIELD_BYTES);
    }
    assert_false(stream_fields_next(&next, &field));
    stream_range_close(&entries);
    memory_store_end(&ms);
}

static void a_line_may_have_many_fields(void **state)
{
    enum { COUNT = 1000 };
    struct log_writer writer;
    struct stream stream;
    struct stream_range entries;
    static struct slice fields[2 * COUNT];
    static uint8_t kinds[COUNT];
    (void)state;
    for (size_t i = 0; i < 2 * COUNT; i++)
        fields[i] = slice_from(i % 2 ? "value" : "name");
    memset(kinds, STREAM_FIELD_JSON, sizeof kinds);
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 1, &writer), STATUS_OK);
    (void)log_write_line(
        &ms.access, &writer,
        &(struct log_line){
            .message = slice_from("m"), .fields = fields, .field_count = COUNT, .kinds = kinds});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    memory_store_read(&ms);
    assert_int_equal(only_entry(&stream, &entries).field_count, COUNT + 1);
    stream_range_close(&entries);
    memory_store_end(&ms);
}

static void a_log_that_must_exist_is_not_made(void **state)
{
    struct log_writer writer;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), true, 1, &writer),
                     STATUS_NOT_FOUND);
    memory_store_end(&ms);
    assert_int_equal(header_now().next_ordinal, 0);
    write_line("m", 0);
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), true, 1, &writer), STATUS_OK);
    (void)log_write_line(&ms.access, &writer, &(struct log_line){.message = slice_from("n")});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    assert_int_equal(header_now().length, 2);
}

static void a_batch_needs_as_many_ids_as_it_has_lines(void **state)
{
    struct log_writer writer;
    (void)state;
    add("18446744073709551615-18446744073709551612");
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 4, &writer),
                     STATUS_TOO_LARGE);
    memory_store_end(&ms);
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 3, &writer), STATUS_OK);
    for (int i = 0; i < 3; i++)
        (void)log_write_line(&ms.access, &writer, &(struct log_line){.message = slice_from("m")});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    assert_int_equal(stream_id_compare(header_now().last_id, STREAM_ID_MAX), 0);
    assert_int_equal(header_now().length, 4);
}

static void the_sequence_of_a_millisecond_may_run_out(void **state)
{
    (void)state;
    add("1000000-18446744073709551615");
    assert_string_equal(write_line("same time", 1000000), "1000001-0");
    assert_string_equal(by_time("1000000", "1000000", false),
                        "1000000:1000000-18446744073709551615 1000000:1000001-0");
}

static void a_time_of_zero_is_a_time(void **state)
{
    struct log_writer writer;
    (void)state;
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, 1, &writer), STATUS_OK);
    (void)log_write_line(&ms.access, &writer,
                         &(struct log_line){.message = slice_from("m"), .has_time = true});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    assert_string_equal(by_time("-", "+", false), "0:0-1");
}

static void cursors_are_read_back(void **state)
{
    static const char *const bad[] = {"",     "1",       "1-2",   "1-2-",  "-1-2",
                                      "1--2", "1-2-3-4", "a-1-2", "1-2-x", "00"};
    char text[LOG_CURSOR_TEXT_MAX];
    struct stream_moment moment = {5, {7, 9}}, top = {UINT64_MAX, STREAM_ID_MAX};
    bool is_start = true;
    (void)state;
    size_t size = log_cursor_format(moment, text);
    assert_string_equal(text, "5-7-9");
    moment = (struct stream_moment){0};
    assert_true(log_cursor_parse(slice_make(text, size), &is_start, &moment));
    assert_false(is_start);
    assert_int_equal(moment.event_ms, 5);
    assert_int_equal(moment.id.ms, 7);
    assert_int_equal(moment.id.seq, 9);
    size = log_cursor_format(top, text);
    assert_true(log_cursor_parse(slice_make(text, size), &is_start, &moment));
    assert_int_equal(stream_moment_compare(moment, top), 0);
    assert_true(log_cursor_parse(slice_from("0"), &is_start, &moment));
    assert_true(is_start);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(log_cursor_parse(slice_from(bad[i]), &is_start, &moment));
}

/* A client may make up a cursor: its moment then is no entry's. */
static void moments_that_no_entry_can_have_are_bounds_like_others(void **state)
{
    (void)state;
    static const struct {
        struct stream_moment first, last;
        size_t count;
    } pages[] = {
        {{0, {0, 0}}, {1000001, {5, 5}}, 1}, /* before all of that time: 1000000-0 */
        {{0, {0, 0}}, {1000001, {1000001, 0}}, 2},
        {{1000000, {5, 5}}, {UINT64_MAX, STREAM_ID_MAX}, 2},
        {{1000000, {1000002, 5}}, {UINT64_MAX, STREAM_ID_MAX}, 1}, /* behind all of that time */
        {{1000001, {1000001, 1}}, {UINT64_MAX, STREAM_ID_MAX}, 0},
    };
    write_line("a", 0);
    ms.now_ms++;
    write_line("b", 0);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct stream stream;
        struct log_range entries;
        struct stream_entry entry;
        memory_store_read(&ms);
        assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
        for (int is_reverse = 0; is_reverse < 2; is_reverse++) {
            size_t count = 0;
            log_range_open(&ms.access, &stream, pages[i].first, pages[i].last, is_reverse,
                           &entries);
            while (log_range_next(&entries, &entry) == STATUS_OK)
                count++;
            log_range_close(&entries);
            assert_int_equal(count, pages[i].count);
        }
        memory_store_end(&ms);
    }
}

/* Reads by time while the log is in memory, in tables and in both. */
static void reads_by_time_find_entries_wherever_they_lie(void **state)
{
    (void)state;
    write_line("a", 0);
    write_line("b", 999000);
    memory_store_work(&ms, true);
    assert_string_equal(by_time("-", "999999", false), "999000:1000000-1");
    write_line("c", 998000);
    assert_string_equal(by_time("-", "+", false),
                        "998000:1000000-2 999000:1000000-1 1000000:1000000-0");
    memory_store_reopen(&ms);
    assert_string_equal(by_time("-", "+", true),
                        "1000000:1000000-0 999000:1000000-1 998000:1000000-2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(messages_and_times_have_limits),
        TEST(a_line_is_its_message_its_level_and_its_fields),
        TEST(a_line_may_have_many_fields),
        TEST(a_log_that_must_exist_is_not_made),
        TEST(a_batch_needs_as_many_ids_as_it_has_lines),
        TEST(the_sequence_of_a_millisecond_may_run_out),
        TEST(a_time_of_zero_is_a_time),
        TEST(cursors_are_read_back),
        TEST(moments_that_no_entry_can_have_are_bounds_like_others),
        TEST(reads_by_time_find_entries_wherever_they_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
