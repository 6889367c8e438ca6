/* SPDX-License-Identifier: MIT */
/* Verbs on a stream that lies in tables, none of it in memory, without waiting: each gives up
 * before it has written anything, and goes through at once when what it missed was fetched. Reads
 * are held while a verb runs, so a read that waits behind the first write would hang the test. */
#include "unit/types/stream_fixture.h"

enum { TRIES_MAX = 200 };

/* Another log, so that the blocks which opening the store reads hold nothing of "s". */
static void write_another_log(void)
{
    struct log_writer writer;
    memory_store_write(&ms);
    assert_int_equal(log_write_begin(&ms.access, slice_from("another"), false, 2000, &writer),
                     STATUS_OK);
    for (uint64_t i = 0; i < 2000; i++)
        (void)log_write_line(&ms.access, &writer,
                             &(struct log_line){.message = slice_from("a line of some length"),
                                                .has_time = true,
                                                .event_ms = 1000 + i % 7});
    log_write_end(&ms.access, &writer);
    memory_store_end(&ms);
}

static int setup_cold(void **state)
{
    setup(state);
    write_another_log();
    for (int i = 0; i < 2000; i++) {
        ms.now_ms += 3;
        write_line("a line of a usual length, give or take", i % 5 ? 0 : ms.now_ms - 5000);
    }
    struct stream_header header = header_now();
    struct stream_id ids[] = {header.first_id, {0}, {0}};
    for (int i = 1; i < 3; i++) { /* two more in the middle */
        ids[i] = header.last_id;
        ids[i].ms -= 999 * (uint64_t)i;
    }
    (void)delete_ids(ids, 3);
    /* Late entries below the first one wait to be reclaimed. */
    (void)trim_by(&(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 1800});
    memory_store_work(&ms, true);
    memory_store_reopen(&ms);
    return 0;
}

typedef enum status verb(struct stream *stream);

/* Runs it until it does not give up; returns how often it did. */
static int run_cold(verb *run)
{
    for (int tries = 0;; tries++) {
        struct stream stream;
        assert_true(tries < TRIES_MAX);
        vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, ".cwt");
        lsm_lock(store_engine(ms.store));
        assert_int_equal(access_begin_write(&ms.access, 0, true, 1 << 20, false), STATUS_OK);
        enum status status = stream_find(&ms.access, slice_from("s"), &stream);
        if (!status)
            status = run(&stream);
        bool is_empty = lsm_writer_is_empty(ms.access.writer);
        memory_store_end(&ms);
        vfs_fault_release(ms.vfs);
        if (status != STATUS_WOULD_BLOCK) {
            assert_int_equal(status, STATUS_OK);
            assert_false(is_empty);
            return tries;
        }
        assert_true(is_empty);
        assert_int_equal(access_fetch_missing(&ms.access), STATUS_OK);
    }
}

static const struct slice fields[] = {{(const uint8_t *)"f", 1}, {(const uint8_t *)"v", 1}};
static uint64_t removed;

static enum status add_with(struct stream *stream, const struct stream_trim *trim)
{
    struct stream_id id;
    struct stream_id_spec spec = {.kind = STREAM_ID_AUTO};
    assert_int_equal(stream_next_id(&stream->header, &spec, ms.now_ms, &id), STREAM_ID_OK);
    struct stream_input input = {.fields = fields, .field_count = 1, .event_ms = id.ms};
    return stream_add(&ms.access, stream, id, &input, trim);
}

static enum status add_and_trim_a_few(struct stream *stream)
{
    return add_with(stream, &(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 1795});
}

static enum status add_and_trim_many(struct stream *stream)
{
    return add_with(stream, &(struct stream_trim){.kind = STREAM_TRIM_MAXLEN, .maxlen = 700});
}

static enum status trim_to_an_id(struct stream *stream)
{
    struct stream_trim trim = {.kind = STREAM_TRIM_MINID, .minid = stream->header.last_id};
    trim.minid.ms -= 2000;
    return stream_trim(&ms.access, stream, &trim, &removed);
}

static enum status delete_the_first_and_others(struct stream *stream)
{
    struct stream_id ids[] = {stream->header.first_id, stream->header.last_id,
                              stream->header.last_id};
    ids[2].ms -= 300;
    return stream_delete(&ms.access, stream, ids, 3, &removed);
}

static enum status write_a_line(struct stream *stream)
{
    struct log_writer writer;
    (void)stream;
    enum status status = log_write_begin(&ms.access, slice_from("s"), true, 1, &writer);
    if (status)
        return status;
    (void)log_write_line(&ms.access, &writer, &(struct log_line){.message = slice_from("m")});
    log_write_end(&ms.access, &writer);
    return STATUS_OK;
}

static void adding_with_a_small_trim_reads_before_it_writes(void **state)
{
    (void)state;
    assert_in_range(run_cold(add_and_trim_a_few), 1, 20);
    assert_int_equal(header_now().length, 1795);
}

static void adding_with_a_large_trim_reads_before_it_writes(void **state)
{
    (void)state;
    assert_in_range(run_cold(add_and_trim_many), 2, 60);
    assert_int_equal(header_now().length, 700);
}

static void trimming_to_an_id_reads_before_it_writes(void **state)
{
    (void)state;
    assert_in_range(run_cold(trim_to_an_id), 2, 30);
    struct stream_header header = header_now();
    assert_int_equal(header.length + removed, 1800);
    assert_in_range(header.last_id.ms - header.first_id.ms, 1995, 2000);
}

static void deleting_reads_before_it_writes(void **state)
{
    (void)state;
    assert_in_range(run_cold(delete_the_first_and_others), 2, 30);
    assert_int_equal(removed, 3);
    assert_int_equal(header_now().length, 1797);
}

static void writing_a_line_reads_what_it_reclaims_before_it_writes(void **state)
{
    (void)state;
    struct stream_header before = header_now();
    assert_true(stream_id_compare(before.late.first_id, before.first_id) < 0);
    assert_in_range(run_cold(write_a_line), 1, 10);
    assert_int_equal(before.late.count - header_now().late.count, 16);
}

static void a_read_by_time_goes_on_when_what_it_missed_was_fetched(void **state)
{
    size_t count = 0;
    int tries = 0;
    enum status status;
    (void)state;
    do {
        struct stream stream;
        struct log_range entries;
        struct stream_entry entry;
        count = 0;
        vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, ".cwt");
        access_begin_read(&ms.access, 0, true);
        status = stream_find(&ms.access, slice_from("s"), &stream);
        if (!status) {
            log_range_open(&ms.access, &stream, (struct stream_moment){0},
                           (struct stream_moment){UINT64_MAX, STREAM_ID_MAX}, false, &entries);
            while ((status = log_range_next(&entries, &entry)) == STATUS_OK)
                count++;
            log_range_close(&entries);
        }
        memory_store_end(&ms);
        vfs_fault_release(ms.vfs);
        if (status == STATUS_WOULD_BLOCK)
            assert_int_equal(access_fetch_missing(&ms.access), STATUS_OK);
        assert_true(++tries < TRIES_MAX);
    } while (status == STATUS_WOULD_BLOCK);
    assert_int_equal(status, STATUS_NOT_FOUND);
    assert_int_equal(count, 1800);
    assert_true(tries > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_cold, teardown)
        TEST(adding_with_a_small_trim_reads_before_it_writes),
        TEST(adding_with_a_large_trim_reads_before_it_writes),
        TEST(trimming_to_an_id_reads_before_it_writes),
        TEST(deleting_reads_before_it_writes),
        TEST(writing_a_line_reads_what_it_reclaims_before_it_writes),
        TEST(a_read_by_time_goes_on_when_what_it_missed_was_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
