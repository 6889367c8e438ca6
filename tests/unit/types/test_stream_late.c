/* SPDX-License-Identifier: MIT */
#include "unit/types/stream_fixture.h"

/* Records of the late index (tags L, I, R). */
static const char *index_records(void)
{
    struct buffer dump = {0};
    unsigned times = 0, ids = 0, runs = 0;
    static char text[64];
    memory_store_dump(&ms, TREE_PARTS, &dump);
    buffer_append_byte(&dump, 0);
    for (char *line = strtok((char *)dump.data, "\n"); line; line = strtok(NULL, "\n")) {
        const char *tag = line + (size_t)2 * OBJECT_PREFIX_BYTES;
        times += strncmp(tag, "4c", 2) == 0;
        ids += strncmp(tag, "49", 2) == 0;
        runs += strncmp(tag, "52", 2) == 0;
    }
    buffer_release(&dump);
    snprintf(text, sizeof text, "%u times, %u ids, %u runs", times, ids, runs);
    return text;
}

static uint64_t maxlen(uint64_t length)
{
    return trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = length});
}

static void a_late_entry_gets_the_next_id_and_keeps_its_time(void **state)
{
    (void)state;
    assert_string_equal(write_line("a", 0), "1000000-0");
    assert_string_equal(write_line("b", 999000), "1000000-1");
    assert_string_equal(write_line("c", 1000000), "1000000-2");
    assert_string_equal(write_line("d", 1000500), "1000500-0");
    assert_string_equal(write_line("e", 5), "1000500-1");
    assert_string_equal(range("-", "+", false),
                        "1000000-0 1000000-1 1000000-2 1000500-0 1000500-1");
    assert_string_equal(by_time("-", "+", false),
                        "5:1000500-1 999000:1000000-1 1000000:1000000-0 1000000:1000000-2 "
                        "1000500:1000500-0");
    assert_string_equal(by_time("-", "+", true),
                        "1000500:1000500-0 1000000:1000000-2 1000000:1000000-0 999000:1000000-1 "
                        "5:1000500-1");
    assert_string_equal(by_time("6", "999999", false), "999000:1000000-1");
    assert_string_equal(by_time("(999000", "(1000500", false),
                        "1000000:1000000-0 1000000:1000000-2");
    assert_string_equal(by_time("1000000-1", "+", false), "1000000:1000000-2 1000500:1000500-0");
    assert_string_equal(index_records(), "2 times, 2 ids, 0 runs");
}

static void deleting_a_late_entry_deletes_its_index_records(void **state)
{
    (void)state;
    write_line("a", 0);
    write_line("b", 10);
    write_line("c", 20);
    assert_int_equal(delete_id("1000000-1"), 1);
    assert_string_equal(index_records(), "1 times, 1 ids, 0 runs");
    assert_string_equal(by_time("-", "+", false), "20:1000000-2 1000000:1000000-0");
    assert_int_equal(delete_id("1000000-2"), 1);
    assert_string_equal(index_records(), "0 times, 0 ids, 0 runs");
    assert_int_equal(header_now().late.count, 0);
}

static void trimmed_late_entries_are_not_shown_and_are_reclaimed_in_bounded_steps(void **state)
{
    (void)state;
    write_line("a", 0);
    for (int i = 0; i < 100; i++)
        write_line("late", 100 + (uint64_t)i);
    for (int i = 0; i < 20; i++) {
        ms.now_ms++;
        write_line("b", 0);
    }
    write_line("late", 50);
    assert_int_equal(maxlen(2), 120);
    assert_string_equal(by_time("-", "+", false), "50:1000020-1 1000020:1000020-0");
    assert_string_equal(index_records(), "101 times, 101 ids, 0 runs");
    for (int i = 0; i < 6; i++)
        write_line("b", 0);
    assert_string_equal(index_records(), "5 times, 5 ids, 0 runs");
    write_line("b", 0);
    assert_string_equal(index_records(), "1 times, 1 ids, 0 runs");
    write_line("b", 0);
    assert_string_equal(index_records(), "1 times, 1 ids, 0 runs");
}

static void when_all_late_entries_are_gone_the_index_goes_at_once(void **state)
{
    (void)state;
    write_line("a", 0);
    for (int i = 0; i < 100; i++)
        write_line("late", 100 + (uint64_t)i);
    ms.now_ms++;
    write_line("b", 0);
    assert_int_equal(maxlen(1), 101);
    assert_string_equal(index_records(), "100 times, 100 ids, 0 runs");
    write_line("b", 0);
    assert_string_equal(index_records(), "0 times, 0 ids, 0 runs");
    write_line("late", 7);
    assert_string_equal(by_time("-", "1000", false), "7:1000001-2");
    assert_int_equal(header_now().late.count, 1);
}

/* Puts a record of the index by hand: tag, then `tail`. */
static void put_index(char tag, const void *tail, size_t tail_size, const char *value, size_t size)
{
    struct stream stream;
    uint8_t key[64];
    memory_store_write(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    memcpy(key, stream.prefix, OBJECT_PREFIX_BYTES);
    key[OBJECT_PREFIX_BYTES] = (uint8_t)tag;
    memcpy(key + OBJECT_PREFIX_BYTES + 1, tail, tail_size);
    ms.is_damaged = true;
    access_put(&ms.access, TREE_PARTS, slice_make(key, OBJECT_PREFIX_BYTES + 1 + tail_size),
               slice_make(value, size));
    memory_store_end(&ms);
}

/* Reads all by time; the status at the end. */
static enum status read_by_time(bool is_reverse, size_t *count)
{
    struct stream stream;
    struct log_range entries;
    struct stream_entry entry;
    enum status status;
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    log_range_open(&ms.access, &stream, (struct stream_moment){0},
                   (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, is_reverse, &entries);
    for (*count = 0; (status = log_range_next(&entries, &entry)) == STATUS_OK;)
        ++*count;
    log_range_close(&entries);
    memory_store_end(&ms);
    return status;
}

static void damaged_records_of_the_index_are_reported(void **state)
{
    size_t count;
    (void)state;
    write_line("a", 0);
    write_line("b", 10);
    put_index('L', "\0\0\0\0\0\0\0\5", 8, "", 0); /* a time without an ID */
    struct stream stream;
    struct log_range entries;
    struct stream_entry entry;
    memory_store_read(&ms);
    assert_int_equal(stream_find(&ms.access, slice_from("s"), &stream), STATUS_OK);
    log_range_open(&ms.access, &stream, (struct stream_moment){0},
                   (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, true, &entries);
    enum status status;
    while ((status = log_range_next(&entries, &entry)) == STATUS_OK)
        ;
    assert_int_equal(status, STATUS_CORRUPT);
    log_range_close(&entries);
    memory_store_end(&ms);
    put_index('I', "\0", 1, "", 0);
    assert_int_equal(maxlen(1), 1);
    ms.now_ms++;
    memory_store_write(&ms);
    struct log_writer writer;
    /* The first record of 'I' at or behind the first late ID is sound; the damaged one is below. */
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), true, 1, &writer), STATUS_OK);
    (void)log_write_line(&ms.access, &writer, &(struct log_line){.message = slice_from("m")});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
    assert_int_equal(read_by_time(false, &count), STATUS_CORRUPT);
}

static void a_damaged_record_of_a_run_is_reported(void **state)
{
    static const struct slice damaged[] = {
        {(const uint8_t *)"", 0},                       /* no first ID */
        {(const uint8_t *)"\5\0\0", 3},                 /* something behind it */
        {(const uint8_t *)"\xff\xff\xff\xff\x7f\0", 6}, /* it begins behind its end */
    };
    uint8_t last[STREAM_ID_BYTES];
    size_t count;
    (void)state;
    write_line("a", 0);
    for (int i = 0; i < 40; i++)
        write_line("late", 100);
    ms.now_ms++;
    write_line("b", 0);
    assert_string_equal(index_records(), "40 times, 40 ids, 1 runs");
    stream_id_store(last, make_id("1000000-40"));
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        put_index('R', last, sizeof last, (const char *)damaged[i].data, damaged[i].size);
        assert_int_equal(read_by_time(false, &count), STATUS_CORRUPT);
        assert_int_equal(read_by_time(true, &count), STATUS_CORRUPT);
    }
}

static void late_entries_behind_the_last_run_are_stepped_through(void **state)
{
    size_t count;
    (void)state;
    /* 31 late ones between two that are not: no run is noted. The 32nd in a row that a reader
     * passes is asked for in vain, since deletions have joined two short runs. */
    for (int i = 0; i < 3; i++) {
        ms.now_ms++;
        write_line("on time", 0);
        for (int j = 0; j < 31; j++)
            write_line("late", 100);
    }
    ms.now_ms++;
    write_line("on time", 0);
    assert_string_equal(index_records(), "93 times, 93 ids, 0 runs");
    assert_int_equal(delete_id("1000002-0"), 1);
    assert_int_equal(delete_id("1000003-0"), 1);
    assert_int_equal(read_by_time(false, &count), STATUS_NOT_FOUND);
    assert_int_equal(count, 95);
    assert_int_equal(read_by_time(true, &count), STATUS_NOT_FOUND);
    assert_int_equal(count, 95);
    assert_string_equal(by_time("1000000", "+", false), "1000001:1000001-0 1000004:1000004-0");
}

static void a_record_of_an_entry_that_is_gone_is_passed_over(void **state)
{
    uint8_t tail[8 + STREAM_ID_BYTES] = {0};
    (void)state;
    write_line("a", 0);
    write_line("b", 10);
    ms.now_ms++;
    write_line("c", 0);
    tail[7] = 11; /* late by so much, an ID between two entries */
    stream_id_store(tail + 8, make_id("1000000-7"));
    put_index('L', tail, sizeof tail, "", 0);
    /* The header's highest late time still is 10; a later late entry opens the range. */
    write_line("d", 12);
    assert_string_equal(by_time("-", "+", false),
                        "10:1000000-1 12:1000001-1 1000000:1000000-0 1000001:1000001-0");
    assert_string_equal(by_time("-", "+", true),
                        "1000001:1000001-0 1000000:1000000-0 12:1000001-1 10:1000000-1");
}

/* Cost of a page in entries passed: with tables only and a cache of the smallest size, blocks read.
 */
static uint64_t block_reads(void)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(ms.store), &stats);
    return stats.block_reads + stats.cache_hits;
}

static void write_many_lines(unsigned count, uint64_t event_ms)
{
    struct log_writer writer;
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("s"), false, count, &writer),
                     STATUS_OK);
    for (unsigned i = 0; i < count; i++)
        (void)log_write_line(&ms.access, &writer,
                             &(struct log_line){.message = slice_from("a line of usual length"),
                                                .has_time = true,
                                                .event_ms = event_ms});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
}

static void a_long_run_of_late_entries_is_jumped_over(void **state)
{
    (void)state;
    write_line("first", 999990);
    write_many_lines(20000, 77);
    write_line("second", 999999);
    write_many_lines(20000, 88);
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    (void)header_now();
    uint64_t before = block_reads();
    assert_string_equal(by_time("999990", "+", false), "999990:999990-0 999999:999999-0");
    assert_string_equal(by_time("999990", "+", true), "999999:999999-0 999990:999990-0");
    assert_in_range(block_reads() - before, 1, 60);
}

static void clocks_that_are_a_little_apart_do_not_make_everything_late(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        ms.now_ms += 10;
        write_line("host a", ms.now_ms - 3);
        write_line("host b", ms.now_ms - 1);
    }
    assert_int_equal(header_now().late.count, 0);
    for (int i = 0; i < 100; i++) {
        ms.now_ms += 10;
        write_line("host b", ms.now_ms - 1);
        write_line("host a", ms.now_ms - 3);
    }
    assert_int_equal(header_now().late.count, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_late_entry_gets_the_next_id_and_keeps_its_time),
        TEST(deleting_a_late_entry_deletes_its_index_records),
        TEST(trimmed_late_entries_are_not_shown_and_are_reclaimed_in_bounded_steps),
        TEST(when_all_late_entries_are_gone_the_index_goes_at_once),
        TEST(a_long_run_of_late_entries_is_jumped_over),
        TEST(damaged_records_of_the_index_are_reported),
        TEST(a_damaged_record_of_a_run_is_reported),
        TEST(late_entries_behind_the_last_run_are_stepped_through),
        TEST(a_record_of_an_entry_that_is_gone_is_passed_over),
        TEST(clocks_that_are_a_little_apart_do_not_make_everything_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
