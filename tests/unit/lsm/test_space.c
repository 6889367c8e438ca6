/* SPDX-License-Identifier: MIT */
/* What background work writes and leaves on the disk, by the counters of lsm_get_stats. */
#include "unit/lsm/space_fixture.h"

/* Keys in order, in as many tables as there are flushes: nothing is ever written twice. */
static void keys_in_order_are_written_once(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    for (unsigned i = 0; i < 40; i++) {
        space_put_keys(&space, i * 200, (i + 1) * 200);
        space_flush(&space);
    }
    struct lsm_tree_stats stats = space_tree(&space, SPACE_KEYS);
    assert_int_equal(stats.compaction_write_bytes, 0);
    assert_int_equal(stats.compaction_read_bytes, 0);
    assert_true(stats.tables_moved >= 40);
    assert_true(stats.l0_count < 4);
    assert_int_equal(stats.entry_count, 40 * 200);
    space_release(&space);
}

/* A table that is small is merged, so that the tables do not become many. */
static void small_tables_in_order_are_merged(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    for (unsigned i = 0; i < 40; i++) {
        space_put_keys(&space, i * 20, (i + 1) * 20);
        space_flush(&space);
    }
    struct lsm_tree_stats stats = space_tree(&space, SPACE_KEYS);
    assert_true(stats.compaction_write_bytes > 0);
    assert_true(stats.table_count < 14);
    space_release(&space);
}

/* A list that grows at its low end, from a record on that is before it, and beside another. */
static void a_list_that_grows_downward_is_moved(void **state)
{
    enum { PASSES = 60, A_PASS = 100 };
    (void)state;
    struct space space;
    char text[24];
    space_init(&space, NULL);
    space_put(&space, SPACE_PARTS, slice_from("0000"));
    for (unsigned i = 0; i < 20; i++)
        space_put(&space, SPACE_PARTS, space_entry(3, i, text));
    for (unsigned pass = 0; pass < PASSES; pass++) {
        for (unsigned i = 0; i < A_PASS; i++)
            space_put(&space, SPACE_PARTS, space_entry(5, 1000000 - pass * A_PASS - i, text));
        space_flush(&space);
    }
    struct lsm_tree_stats stats = space_tree(&space, SPACE_PARTS);
    assert_true(space_write_percent(&space, SPACE_PARTS) <= 115);
    assert_true(stats.tables_moved >= PASSES - 8);
    space_release(&space);
}

/* ---- Logs ---------------------------------------------------------------------------------- */

enum { FLUSHES = 192, FAST_A_FLUSH = 300, SLOW_STREAMS = 20, EQUAL_STREAMS = 50 };
enum { RUNS_A_MERGE = 8, PAGE = 100 };

static void allow_larger_tables(struct lsm_options *options)
{
    options->table_bytes_max = 1 << 20;
}

/* Stream 500 is fast; some slow ones are before it, some behind. */
static unsigned slow_stream(unsigned i)
{
    return i % 2 ? i : 1000 + i;
}

static void append_fast_and_slow(struct space *space, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        space_put_entries(space, 500, i * FAST_A_FLUSH, (i + 1) * FAST_A_FLUSH);
        for (unsigned stream = 0; stream < SLOW_STREAMS; stream++)
            space_put_entries(space, slow_stream(stream), i, i + 1);
        space_flush(space);
    }
}

static void append_equal(struct space *space, unsigned streams)
{
    for (unsigned i = 0; i < FLUSHES; i++) {
        for (unsigned stream = 0; stream < streams; stream++)
            space_put_entries(space, stream, i * (FAST_A_FLUSH / streams),
                              (i + 1) * (FAST_A_FLUSH / streams));
        space_flush(space);
    }
}

static void appended_logs_are_written_twice_at_most(void **state)
{
    (void)state;
    for (unsigned streams = 1; streams <= EQUAL_STREAMS; streams += EQUAL_STREAMS - 1) {
        struct space space;
        space_init(&space, allow_larger_tables);
        append_equal(&space, streams);
        assert_true(space_write_percent(&space, SPACE_ENTRIES) <= 200);
        space_release(&space);
    }
}

/* Large runs that follow each other are not even merged. */
static void a_lone_fast_log_is_written_once(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    append_equal(&space, 1);
    assert_int_equal(space_write_percent(&space, SPACE_ENTRIES), 100);
    assert_true(space_tree(&space, SPACE_ENTRIES).tables_moved >= FLUSHES - RUNS_A_MERGE);
    space_release(&space);
}

static void allow_larger_tables_of_a_small_memtable(struct lsm_options *options)
{
    allow_larger_tables(options);
    options->memtable_bytes = 1 << 20;
}

/* A flush a second is load; then those that are small are joined, once. */
static void a_lone_fast_log_is_joined_when_little_is_written(void **state)
{
    enum { SECONDS = 60 };
    (void)state;
    struct space space;
    space_init(&space, allow_larger_tables_of_a_small_memtable);
    for (unsigned i = 0; i < SECONDS; i++) {
        space_put_entries(&space, 0, i * FAST_A_FLUSH, (i + 1) * FAST_A_FLUSH);
        space.now_us += 1000000;
        space_flush(&space);
    }
    assert_int_equal(space_tree(&space, SPACE_ENTRIES).table_count, SECONDS);
    assert_int_equal(space_write_percent(&space, SPACE_ENTRIES), 100);
    space_rest(&space);
    struct lsm_tree_stats stats = space_tree(&space, SPACE_ENTRIES);
    assert_true(stats.table_count < SECONDS / 4);
    assert_true(space_write_percent(&space, SPACE_ENTRIES) <= 200);
    assert_int_equal(stats.entry_count, SECONDS * FAST_A_FLUSH);
    space_release(&space);
}

/* The slow ones alone go through a third table. */
static void slow_streams_beside_a_fast_one_cost_their_share(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, allow_larger_tables);
    append_fast_and_slow(&space, 0, FLUSHES);
    unsigned slow_percent = 100 * SLOW_STREAMS / (FAST_A_FLUSH + SLOW_STREAMS) + 1;
    assert_true(space_write_percent(&space, SPACE_ENTRIES) <= 200 + slow_percent);
    assert_int_equal(space_tree(&space, SPACE_ENTRIES).levels, 3);
    space_release(&space);
}

/* Blocks that a page of a stream, from number `from` on, reads when nothing is cached. */
static unsigned blocks_of_page(struct space *space, unsigned stream, unsigned from)
{
    char lower[24], upper[24], expected[24];
    struct lsm_stats before, after;
    assert_int_equal(lsm_close(space->db), STATUS_OK);
    space_open(space);
    struct lsm_reader *reader = lsm_reader_create(space->db);
    const struct lsm_iter_options options = {.lower = space_entry(stream, from, lower),
                                             .upper = space_entry(stream + 1, 0, upper)};
    lsm_get_stats(space->db, &before);
    lsm_read_begin(reader);
    struct lsm_iter *iter = lsm_iter_open(reader, SPACE_ENTRIES, &options);
    lsm_iter_seek_first(iter);
    for (unsigned i = 0; i < PAGE; i++) {
        assert_true(lsm_iter_valid(iter));
        assert_true(slice_equal(lsm_iter_key(iter), space_entry(stream, from + i, expected)));
        lsm_iter_next(iter);
    }
    lsm_iter_close(iter);
    lsm_read_end(reader);
    lsm_reader_destroy(reader);
    lsm_get_stats(space->db, &after);
    return (unsigned)(after.cache_misses - before.cache_misses);
}

/* The bound of src/README.md: a leaf of the index and a block of rows for each run that holds the
 * stream, and both for each block of the page. */
static void assert_few_blocks(struct space *space, unsigned runs)
{
    unsigned page_blocks = PAGE * (SPACE_VALUE_BYTES + 12) / 1024 + 1;
    for (unsigned stream = 0; stream < SLOW_STREAMS; stream += 7)
        assert_true(blocks_of_page(space, slow_stream(stream), 50) <= 2 * (runs + page_blocks));
}

static void a_page_of_a_slow_stream_beside_a_fast_one_reads_few_blocks(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, allow_larger_tables);
    append_fast_and_slow(&space, 0, FLUSHES);
    assert_few_blocks(&space, FLUSHES / RUNS_A_MERGE / RUNS_A_MERGE);
    /* The longest that the levels get. */
    append_fast_and_slow(&space, FLUSHES, FLUSHES + RUNS_A_MERGE * RUNS_A_MERGE - 1);
    assert_int_equal(space_tree(&space, SPACE_ENTRIES).l0_count, RUNS_A_MERGE - 1);
    assert_few_blocks(&space, FLUSHES / RUNS_A_MERGE / RUNS_A_MERGE + 2 * (RUNS_A_MERGE - 1));
    space_release(&space);
}

/* ---- Room given back ------------------------------------------------------------------------ */

enum { LOADS = 12, STREAMS = 100, KEYS_A_LOAD = 300 };

/* Entries of streams [0, streams), from number `from` of the LOADS * 4 of each on, and keys. */
static void load(struct space *space, unsigned streams, unsigned from, unsigned keys)
{
    for (unsigned i = 0; i < LOADS; i++) {
        for (unsigned stream = 0; stream < streams; stream++)
            for (unsigned number = 4 * i; number < 4 * (i + 1); number++)
                if (number >= from)
                    space_put_entries(space, stream * (STREAMS / streams), number, number + 1);
        space_put_keys(space, i * KEYS_A_LOAD, i * KEYS_A_LOAD + keys);
        space_flush(space);
    }
}

static uint64_t bytes_of_fresh_load(unsigned tree, unsigned streams, unsigned from, unsigned keys)
{
    struct space space;
    space_init(&space, NULL);
    load(&space, streams, from, keys);
    space_rest(&space);
    uint64_t bytes = space_tree(&space, tree).table_bytes;
    space_release(&space);
    return bytes;
}

static void assert_small(struct space *space, unsigned tree, uint64_t fresh)
{
    uint64_t bytes = space_tree(space, tree).table_bytes;
    if (bytes > fresh * 3 / 2)
        fail_msg("tree %u: %llu bytes, of a fresh load %llu", tree, (unsigned long long)bytes,
                 (unsigned long long)fresh);
}

static void deleted_streams_leave_the_disk_without_another_write(void **state)
{
    (void)state;
    struct space space;
    char from[24], to[24];
    space_init(&space, NULL);
    load(&space, STREAMS, 0, 0);
    for (unsigned stream = 0; stream < STREAMS; stream++)
        if (stream % 10)
            space_delete_range(&space, SPACE_ENTRIES, space_entry(stream, 0, from),
                               space_entry(stream + 1, 0, to));
    space_rest(&space);
    assert_small(&space, SPACE_ENTRIES, bytes_of_fresh_load(SPACE_ENTRIES, STREAMS / 10, 0, 0));
    space_release(&space);
}

/* Unless somebody reads at a moment before. */
static void what_was_deleted_in_memory_reaches_no_table(void **state)
{
    (void)state;
    for (int is_read = 0; is_read < 2; is_read++) {
        struct space space;
        char from[24], to[24];
        space_init(&space, NULL);
        space_put_entries(&space, 1, 0, 100);
        space_put_entries(&space, 3, 0, 100);
        struct lsm_snapshot *snapshot = is_read ? lsm_snapshot_acquire(space.db) : NULL;
        space_delete_range(&space, SPACE_ENTRIES, space_entry(1, 0, from), space_entry(1, 90, to));
        space_put_entries(&space, 1, 50, 55); /* anew */
        space_flush(&space);
        struct lsm_tree_stats stats = space_tree(&space, SPACE_ENTRIES);
        assert_int_equal(stats.entry_count, is_read ? 205 : 115);
        assert_int_equal(stats.range_delete_count, 1);
        lsm_snapshot_release(snapshot);
        space_release(&space);
    }
}

static void trimmed_streams_leave_the_disk_without_another_write(void **state)
{
    (void)state;
    struct space space;
    char from[24], to[24];
    space_init(&space, NULL);
    load(&space, STREAMS, 0, 0);
    for (unsigned stream = 0; stream < STREAMS; stream++)
        space_delete_range(&space, SPACE_ENTRIES, space_entry(stream, 0, from),
                           space_entry(stream, 43, to));
    space_rest(&space);
    assert_small(&space, SPACE_ENTRIES, bytes_of_fresh_load(SPACE_ENTRIES, STREAMS, 43, 0));
    space_release(&space);
}

static void deleted_keys_leave_the_disk_without_another_write(void **state)
{
    (void)state;
    struct space space;
    space_init(&space, NULL);
    load(&space, 1, 0, KEYS_A_LOAD);
    for (unsigned i = 0; i < LOADS; i++)
        space_delete_keys(&space, i * KEYS_A_LOAD + KEYS_A_LOAD / 10, (i + 1) * KEYS_A_LOAD);
    space_rest(&space);
    assert_small(&space, SPACE_KEYS, bytes_of_fresh_load(SPACE_KEYS, 1, 0, KEYS_A_LOAD / 10));
    assert_int_equal(space_tree(&space, SPACE_KEYS).entry_count, LOADS * KEYS_A_LOAD / 10);
    space_release(&space);
}

/* As lists trimmed: ranges in a leveled tree. */
static void trimmed_ranges_of_keys_leave_the_disk_without_another_write(void **state)
{
    (void)state;
    struct space space;
    char from[24], to[24];
    space_init(&space, NULL);
    load(&space, 1, 0, KEYS_A_LOAD);
    for (unsigned i = 0; i < LOADS; i++)
        space_delete_range(&space, SPACE_KEYS, space_key(i * KEYS_A_LOAD + KEYS_A_LOAD / 10, from),
                           space_key((i + 1) * KEYS_A_LOAD, to));
    space_rest(&space);
    assert_small(&space, SPACE_KEYS, bytes_of_fresh_load(SPACE_KEYS, 1, 0, KEYS_A_LOAD / 10));
    space_release(&space);
}

static void all_deleted_leaves_no_table(void **state)
{
    (void)state;
    struct space space;
    struct lsm_stats stats;
    space_init(&space, NULL);
    load(&space, STREAMS, 0, KEYS_A_LOAD);
    lsm_get_stats(space.db, &stats);
    uint64_t read_bytes = stats.compaction_read_bytes;
    for (unsigned tree = 0; tree < 2; tree++)
        space_delete_range(&space, tree, slice_from("0"), slice_from("9"));
    space_rest(&space);
    lsm_get_stats(space.db, &stats);
    assert_int_equal(stats.trees[0].table_count + stats.trees[1].table_count, 0);
    assert_int_equal(stats.compaction_read_bytes, read_bytes); /* unread */
    space_release(&space);
}

static void overwritten_keys_leave_the_disk_without_another_write(void **state)
{
    (void)state;
    struct space space;
    uint64_t fresh = bytes_of_fresh_load(SPACE_KEYS, 1, 0, KEYS_A_LOAD);
    space_init(&space, NULL);
    for (unsigned pass = 0; pass < 5; pass++) {
        load(&space, 1, 0, KEYS_A_LOAD);
        /* Without a rest: level 0 may be full. */
        assert_true(space_tree(&space, SPACE_KEYS).table_bytes < 3 * fresh);
    }
    space_rest(&space);
    assert_small(&space, SPACE_KEYS, fresh);
    space_release(&space);
}

/* ---- Sustained load ------------------------------------------------------------------------- */

enum { WRITE_US = 5, WORK_US = 200, WORK_BYTES = 2048, WRITES = 60000 };

static void use_small_memtables(struct lsm_options *options)
{
    options->memtable_bytes = 512 << 10;
}

/* A writer that keeps to the delay, but would be far faster than the background work, which gets WORK_BYTES
 * each WORK_US. */
static void writers_are_slowed_down_and_never_stopped(void **state)
{
    (void)state;
    struct space space;
    struct lsm_stats stats;
    unsigned longest_us = 0, largest_step_us = 0, before_us = 0;
    space_init(&space, use_small_memtables);
    uint64_t worked_us = space.now_us, bytes_max = 0;
    for (unsigned i = 0; i < WRITES; i++) {
        char text[24];
        space_put(&space, SPACE_KEYS,
                  space_key((unsigned)random_below(&space.random, 20000), text));
        unsigned delay_us = lsm_write_delay_us(space.db);
        space.now_us += WRITE_US + delay_us;
        for (; worked_us < space.now_us; worked_us += WORK_US)
            (void)lsm_work(space.db, WORK_BYTES); /* false: then there is nothing to do */
        if (delay_us > before_us + largest_step_us)
            largest_step_us = delay_us - before_us;
        longest_us = delay_us > longest_us ? delay_us : longest_us;
        before_us = delay_us;
        lsm_get_stats(space.db, &stats);
        bytes_max = stats.memtable_bytes > bytes_max ? stats.memtable_bytes : bytes_max;
    }
    assert_in_range(longest_us, 1, 1000);
    assert_in_range(largest_step_us, 1, 200);
    assert_true(bytes_max <= space.options.memtable_bytes);
    space_release(&space);
}

enum { RATE = 256 << 10, STEP_BYTES = 4 << 10, SECONDS = 3 };

static void limit_compactions(struct lsm_options *options)
{
    options->compaction_bytes_per_second = RATE;
}

static uint64_t work_for(struct space *space, unsigned seconds)
{
    uint64_t steps = 0, until_us = space->now_us + seconds * 1000000;
    while (space->now_us < until_us) {
        while (lsm_work(space->db, STEP_BYTES))
            steps++;
        uint64_t pause_us = lsm_work_pause_us(space->db);
        space->now_us += pause_us ? pause_us : 1000000;
    }
    return steps * STEP_BYTES;
}

static void compactions_keep_to_their_limit_until_writers_wait(void **state)
{
    (void)state;
    struct space space;
    struct lsm_stats stats;
    space_init(&space, limit_compactions);
    /* The fourth flush makes a merge of 2 MB due: too much for SECONDS. */
    for (unsigned i = 0; i < 4; i++) {
        space_put_keys(&space, 0, 5000);
        lsm_request_flush(space.db);
        while (lsm_work(space.db, STEP_BYTES))
            continue;
    }
    assert_in_range(work_for(&space, SECONDS), SECONDS * RATE / 2, SECONDS * RATE * 11 / 10);
    lsm_get_stats(space.db, &stats);
    assert_int_equal(stats.trees[SPACE_KEYS].l0_count, 4);
    assert_false(lsm_is_idle(space.db));
    /* Level 0 is half full now: no limit. */
    for (unsigned i = 0; i < 6; i++) {
        space_put_keys(&space, 0, 100);
        lsm_request_flush(space.db);
        while (lsm_work(space.db, STEP_BYTES))
            continue;
    }
    lsm_get_stats(space.db, &stats);
    assert_true(stats.trees[SPACE_KEYS].l0_count < 10);
    assert_true(stats.compaction_count > 0);
    space_release(&space);
}

/* ---- A full disk ---------------------------------------------------------------------------- */

static uint64_t free_bytes(struct space *space)
{
    uint64_t bytes = 0;
    assert_int_equal(space->vfs->ops->free_bytes(space->vfs, "db", &bytes), STATUS_OK);
    return bytes;
}

static enum status try_put(struct space *space, unsigned number)
{
    char text[24];
    struct lsm_writer *writer;
    lsm_lock(space->db);
    enum status status = lsm_write_begin(space->db, 1000, false, &writer);
    if (status == STATUS_OK) {
        lsm_put(writer, SPACE_KEYS, space_key(number, text), slice_from("value"));
        lsm_write_end(writer);
    }
    lsm_unlock(space->db);
    return status;
}

/* The log and compaction leave room for the flush that makes deletions count. */
static void a_full_disk_is_freed_by_deletions(void **state)
{
    (void)state;
    struct space space;
    struct lsm_stats stats;
    struct lsm_writer *writer;
    space_init(&space, use_small_memtables);
    load(&space, STREAMS, 0, KEYS_A_LOAD);
    vfs_fault_set_free_bytes(space.vfs, 900 << 10);
    lsm_request_compact(space.db);
    space_work(&space);
    lsm_get_stats(space.db, &stats);
    assert_int_equal(stats.background_error, STATUS_NO_SPACE);
    unsigned number = 0;
    while (try_put(&space, number) == STATUS_OK)
        number++;
    assert_true(free_bytes(&space) >= 512 << 10);
    lsm_lock(space.db);
    assert_int_equal(lsm_write_begin(space.db, 1000, true, &writer), STATUS_OK);
    lsm_delete_range(writer, SPACE_ENTRIES, slice_from("0"), slice_from("9"));
    lsm_write_end(writer);
    lsm_unlock(space.db);
    space_flush(&space); /* while compaction rests */
    lsm_get_stats(space.db, &stats);
    assert_int_equal(stats.background_error, STATUS_NO_SPACE);
    space_rest(&space);
    lsm_get_stats(space.db, &stats);
    assert_int_equal(stats.background_error, STATUS_OK);
    assert_int_equal(stats.trees[SPACE_ENTRIES].table_count, 0);
    assert_int_equal(try_put(&space, number), STATUS_OK);
    space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_in_order_are_written_once),
        cmocka_unit_test(small_tables_in_order_are_merged),
        cmocka_unit_test(a_list_that_grows_downward_is_moved),
        cmocka_unit_test(appended_logs_are_written_twice_at_most),
        cmocka_unit_test(a_lone_fast_log_is_written_once),
        cmocka_unit_test(a_lone_fast_log_is_joined_when_little_is_written),
        cmocka_unit_test(slow_streams_beside_a_fast_one_cost_their_share),
        cmocka_unit_test(a_page_of_a_slow_stream_beside_a_fast_one_reads_few_blocks),
        cmocka_unit_test(deleted_streams_leave_the_disk_without_another_write),
        cmocka_unit_test(what_was_deleted_in_memory_reaches_no_table),
        cmocka_unit_test(trimmed_streams_leave_the_disk_without_another_write),
        cmocka_unit_test(deleted_keys_leave_the_disk_without_another_write),
        cmocka_unit_test(trimmed_ranges_of_keys_leave_the_disk_without_another_write),
        cmocka_unit_test(all_deleted_leaves_no_table),
        cmocka_unit_test(writers_are_slowed_down_and_never_stopped),
        cmocka_unit_test(compactions_keep_to_their_limit_until_writers_wait),
        cmocka_unit_test(a_full_disk_is_freed_by_deletions),
        cmocka_unit_test(overwritten_keys_leave_the_disk_without_another_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
