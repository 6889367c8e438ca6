/* SPDX-License-Identifier: MIT */
/* The engine as a whole, on the file system in memory, against a model too simple to be wrong: an
 * array of values for each moment that a snapshot holds. */
#include "lsm/lsm.h"
#include "vfs/vfs_memory.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/soundness.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

enum { KEYS = 300, TREES = 2, SNAPSHOTS = 4 };

struct model {
    uint32_t value[TREES][KEYS]; /* 0: absent */
};

struct world {
    struct vfs *vfs;
    struct env env;
    struct lsm *db;
    struct lsm_reader *reader;
    struct lsm_options options;
    struct model now;
    struct lsm_snapshot *snapshots[SNAPSHOTS];
    struct model at_snapshot[SNAPSHOTS];
    struct random random;
};

static void silent(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void open_world(struct world *world)
{
    struct lsm_report report;
    enum status status = lsm_open(&world->env, "db", &world->options, &report, &world->db);
    if (status != STATUS_OK)
        print_error("%s\n", report.text);
    assert_int_equal(status, STATUS_OK);
    world->reader = lsm_reader_create(world->db);
}

static void setup(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    random_init(&world->random, seed);
    world->vfs = vfs_memory_create();
    env_init_posix(&world->env, world->vfs);
    world->env.log = silent;
    world->options = (struct lsm_options){
        .trees = {{.name = "keys",
                   .compaction = LSM_LEVELED,
                   .block_bytes = 512,
                   .filter_bits_per_key = 10},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = 512,
                   .filter_bits_per_key = 10,
                   .filter_prefix_bytes = 3,
                   .finger_prefix_bytes = 3}},
        .tree_count = TREES,
        .memtable_bytes = 256 << 10,
        .block_cache_bytes = 64 << 10,
        .wal_segment_bytes = 32 << 10,
        .wal_compression = seed % 2 ? LSM_WAL_LZ4 : LSM_WAL_PLAIN,
        .wal_page_bytes = 64,
        .table_bytes_max = 16 << 10,
    };
    open_world(world);
}

static void close_world(struct world *world)
{
    for (int i = 0; i < SNAPSHOTS; i++) {
        lsm_snapshot_release(world->snapshots[i]);
        world->snapshots[i] = NULL;
    }
    lsm_reader_destroy(world->reader);
    require_sound_engine(world->db, "before a close");
    assert_int_equal(lsm_close(world->db), STATUS_OK);
}

static void teardown(struct world *world)
{
    close_world(world);
    vfs_destroy(world->vfs);
}

static struct slice key_of(unsigned key, char text[24])
{
    snprintf(text, 24, "k%02u/%03u", key / 25, key);
    return slice_from(text);
}

static struct slice value_of(uint32_t value, char text[200])
{
    int size = snprintf(text, 200, "%u:%.*s", value, (int)(value % 100),
                        "the quick brown fox jumps over the lazy dog and comes back to sleep for "
                        "a hundred years or more");
    return slice_make(text, (size_t)size);
}

static void write_batch(struct world *world, unsigned operations)
{
    struct lsm_writer *writer;
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, operations * 300, false, &writer), STATUS_OK);
    for (unsigned i = 0; i < operations; i++) {
        unsigned tree = (unsigned)random_below(&world->random, TREES);
        unsigned key = (unsigned)random_below(&world->random, KEYS);
        char key_text[24], to_text[24], value_text[200];
        uint32_t *value = world->now.value[tree];
        unsigned what = (unsigned)random_below(&world->random, 20);
        if (what == 0) {
            unsigned to = key + (unsigned)random_below(&world->random, 40);
            if (to >= KEYS)
                to = KEYS - 1;
            lsm_delete_range(writer, tree, key_of(key, key_text), key_of(to, to_text));
            for (unsigned k = key; k < to; k++)
                value[k] = 0;
        } else if (what < 5) {
            lsm_delete(writer, tree, key_of(key, key_text));
            value[key] = 0;
        } else {
            value[key] = (uint32_t)random_next(&world->random) | 1;
            lsm_put(writer, tree, key_of(key, key_text), value_of(value[key], value_text));
        }
        if (what == 7) { /* a batch sees its own writes */
            struct slice found;
            enum status status =
                lsm_get(lsm_writer_reader(writer), tree, key_of(key, key_text), &found);
            assert_int_equal(status, value[key] ? STATUS_OK : STATUS_NOT_FOUND);
        }
    }
    lsm_write_end(writer);
    lsm_unlock(world->db);
}

static void check_forward(struct world *world, const struct model *model, unsigned tree,
                          unsigned from, unsigned to)
{
    char from_text[24], to_text[24], value_text[200], key_text[24];
    struct lsm_iter_options options = {.lower = key_of(from, from_text),
                                       .upper = key_of(to, to_text)};
    struct lsm_iter *iter = lsm_iter_open(world->reader, tree, &options);
    lsm_iter_seek_first(iter);
    for (unsigned key = from; key < to; key++) {
        if (!model->value[tree][key])
            continue;
        assert_int_equal(lsm_iter_status(iter), STATUS_OK);
        assert_true(lsm_iter_valid(iter));
        assert_true(slice_equal(lsm_iter_key(iter), key_of(key, key_text)));
        assert_true(
            slice_equal(lsm_iter_value(iter), value_of(model->value[tree][key], value_text)));
        lsm_iter_next(iter);
    }
    assert_false(lsm_iter_valid(iter));
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    lsm_iter_close(iter);
}

static void check_backward(struct world *world, const struct model *model, unsigned tree,
                           unsigned from, unsigned to)
{
    char from_text[24], to_text[24], value_text[200], key_text[24];
    struct lsm_iter_options options = {.lower = key_of(from, from_text),
                                       .upper = key_of(to, to_text)};
    struct lsm_iter *iter = lsm_iter_open(world->reader, tree, &options);
    lsm_iter_seek_last(iter);
    for (unsigned key = to; key-- > from;) {
        if (!model->value[tree][key])
            continue;
        assert_true(lsm_iter_valid(iter));
        assert_true(slice_equal(lsm_iter_key(iter), key_of(key, key_text)));
        assert_true(
            slice_equal(lsm_iter_value(iter), value_of(model->value[tree][key], value_text)));
        lsm_iter_prev(iter);
    }
    assert_false(lsm_iter_valid(iter));
    lsm_iter_close(iter);
}

/* Steps to and fro, as a cursor that changes its mind. */
static void check_zigzag(struct world *world, const struct model *model, unsigned tree)
{
    struct lsm_iter *iter = lsm_iter_open(world->reader, tree, &(struct lsm_iter_options){0});
    char text[24];
    int at = (int)random_below(&world->random, KEYS);
    lsm_iter_seek(iter, key_of((unsigned)at, text));
    while (at < KEYS && !model->value[tree][at])
        at++;
    for (int step = 0; step < 40 && at >= 0 && at < KEYS; step++) {
        assert_true(lsm_iter_valid(iter));
        assert_true(slice_equal(lsm_iter_key(iter), key_of((unsigned)at, text)));
        int direction = random_below(&world->random, 2) ? 1 : -1;
        do
            at += direction;
        while (at >= 0 && at < KEYS && !model->value[tree][at]);
        if (direction > 0)
            lsm_iter_next(iter);
        else
            lsm_iter_prev(iter);
    }
    assert_int_equal(lsm_iter_valid(iter), at >= 0 && at < KEYS);
    lsm_iter_close(iter);
}

static void check_moment(struct world *world, const struct model *model)
{
    for (unsigned tree = 0; tree < TREES; tree++) {
        for (int i = 0; i < 30; i++) {
            unsigned key = (unsigned)random_below(&world->random, KEYS);
            char key_text[24], value_text[200];
            struct slice value;
            enum status status = lsm_get(world->reader, tree, key_of(key, key_text), &value);
            assert_int_equal(status, model->value[tree][key] ? STATUS_OK : STATUS_NOT_FOUND);
            if (status == STATUS_OK)
                assert_true(slice_equal(value, value_of(model->value[tree][key], value_text)));
        }
        unsigned from = (unsigned)random_below(&world->random, KEYS);
        unsigned to = from + (unsigned)random_below(&world->random, KEYS - from);
        check_forward(world, model, tree, from, to);
        check_backward(world, model, tree, from, to);
        check_zigzag(world, model, tree);
    }
}

static void check_all(struct world *world)
{
    lsm_read_begin(world->reader);
    check_moment(world, &world->now);
    lsm_read_end(world->reader);
    for (int i = 0; i < SNAPSHOTS; i++) {
        if (!world->snapshots[i])
            continue;
        lsm_read_begin_at(world->reader, world->snapshots[i]);
        check_moment(world, &world->at_snapshot[i]);
        lsm_read_end(world->reader);
    }
    struct lsm_report report;
    if (lsm_check_invariants(world->db, &report) != STATUS_OK)
        fail_msg("%s", report.text);
}

static void step(struct world *world)
{
    switch (random_below(&world->random, 12)) {
    case 0:
        lsm_request_flush(world->db);
        break;
    case 1:
        while (lsm_work(world->db, 4096))
            ;
        break;
    case 2: {
        int i = (int)random_below(&world->random, SNAPSHOTS);
        lsm_snapshot_release(world->snapshots[i]);
        world->snapshots[i] = lsm_snapshot_acquire(world->db);
        world->at_snapshot[i] = world->now;
        break;
    }
    case 3: {
        int i = (int)random_below(&world->random, SNAPSHOTS);
        lsm_snapshot_release(world->snapshots[i]);
        world->snapshots[i] = NULL;
        break;
    }
    case 4:
        if (random_below(&world->random, 8) == 0) {
            close_world(world);
            open_world(world);
        } else if (random_below(&world->random, 8) == 0) {
            lsm_request_compact(world->db);
        }
        break;
    case 5:
        (void)lsm_work(world->db, 1 + random_below(&world->random, 20000));
        break;
    default:
        write_batch(world, 1 + (unsigned)random_below(&world->random, 60));
    }
}

static uint64_t test_seed(void)
{
    const char *text = getenv("SEED");
    return text ? strtoull(text, NULL, 10) : 0;
}

static void random_work_agrees_with_a_model(void **state)
{
    (void)state;
    uint64_t fixed = test_seed();
    for (uint64_t seed = fixed ? fixed : 1; seed <= (fixed ? fixed : 12); seed++) {
        printf("SEED=%llu\n", (unsigned long long)seed);
        struct world world;
        setup(&world, seed);
        for (int i = 0; i < 400; i++) {
            step(&world);
            if (i % 4 == 0)
                check_all(&world);
        }
        while (lsm_work(world.db, 1 << 20))
            ;
        check_all(&world);
        teardown(&world);
    }
}

static void what_was_written_is_there_after_a_clean_stop(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 5);
    for (int i = 0; i < 20; i++)
        write_batch(&world, 50);
    close_world(&world);
    open_world(&world);
    struct lsm_stats stats;
    lsm_get_stats(world.db, &stats);
    assert_true(stats.was_clean);
    assert_int_equal(stats.recovered_batches, 0);
    check_all(&world);
    teardown(&world);
}

static void what_was_written_is_there_after_a_kill(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 6);
    for (int i = 0; i < 20; i++)
        write_batch(&world, 50);
    assert_int_equal(lsm_wal_write(world.db), STATUS_OK);
    struct vfs *after = vfs_memory_after_power_loss(world.vfs, VFS_KEEP_ALL, 1);
    struct model model = world.now;
    teardown(&world);
    world.vfs = after;
    world.env.vfs = after;
    open_world(&world);
    world.now = model;
    struct lsm_stats stats;
    lsm_get_stats(world.db, &stats);
    assert_false(stats.was_clean);
    assert_true(stats.recovered_batches > 0);
    check_all(&world);
    teardown(&world);
}

static void a_second_open_of_the_same_directory_is_refused(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 7);
    struct lsm_report report;
    struct lsm *second = NULL;
    assert_int_equal(lsm_open(&world.env, "db", &world.options, &report, &second), STATUS_BUSY);
    assert_non_null(strstr(report.text, "in use by another process"));
    teardown(&world);
}

static void a_directory_may_end_with_slashes_and_a_report_be_missing(void **state)
{
    (void)state;
    struct world world;
    struct lsm *db = NULL;
    setup(&world, 9);
    close_world(&world);
    assert_int_equal(lsm_open(&world.env, "new//", &world.options, NULL, &db), STATUS_OK);
    assert_int_equal(lsm_close(db), STATUS_OK);
    assert_int_equal(lsm_open(&world.env, "new", &world.options, NULL, &db), STATUS_OK);
    struct lsm *second = NULL;
    assert_int_equal(lsm_open(&world.env, "new/", &world.options, NULL, &second), STATUS_BUSY);
    assert_int_equal(lsm_close(db), STATUS_OK);
    open_world(&world);
    teardown(&world);
}

static void a_database_that_must_exist_is_not_made(void **state)
{
    (void)state;
    struct world world;
    struct lsm *db = NULL;
    struct lsm_report report;
    setup(&world, 10);
    close_world(&world);
    for (int read_only = 0; read_only < 2; read_only++) {
        struct lsm_options options = world.options;
        bool exists = true;
        options.must_exist = !read_only;
        options.read_only = read_only;
        assert_int_equal(lsm_open(&world.env, "none", &options, &report, &db), STATUS_NOT_FOUND);
        assert_non_null(strstr(report.text, "none"));
        assert_int_equal(world.vfs->ops->exists(world.vfs, "none", &exists), STATUS_OK);
        assert_false(exists);
        assert_int_equal(lsm_open(&world.env, "db", &options, &report, &db), STATUS_OK);
        assert_int_equal(lsm_close(db), STATUS_OK);
    }
    open_world(&world);
    teardown(&world);
}

/* Nobody does the background work: memtables are frozen as long as there is a place for one, and the
 * active one goes on growing. Nothing is lost, and the work is made up for. */
static void writers_go_on_while_no_flush_is_done(void **state)
{
    (void)state;
    struct world world;
    struct lsm_stats stats;
    setup(&world, 11);
    close_world(&world);
    world.options.memtable_bytes = 8 << 10;
    open_world(&world);
    for (int i = 0; i < 400; i++)
        write_batch(&world, 20);
    lsm_get_stats(world.db, &stats);
    assert_int_equal(stats.flush_count, 0);
    assert_true(stats.memtable_bytes > 60 * world.options.memtable_bytes / 2);
    assert_true(lsm_write_delay_us(world.db) > 0);
    check_all(&world);
    while (lsm_work(world.db, 1 << 20))
        ;
    lsm_get_stats(world.db, &stats);
    assert_true(stats.flush_count > 60);
    check_all(&world);
    close_world(&world);
    open_world(&world);
    check_all(&world);
    teardown(&world);
}

static void a_snapshot_says_at_which_lsn_it_reads(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 12);
    write_batch(&world, 5);
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(world.db);
    assert_int_equal(lsm_snapshot_lsn(snapshot), lsm_visible_lsn(world.db) - 1);
    lsn_t at = lsm_snapshot_lsn(snapshot);
    write_batch(&world, 5);
    lsm_read_begin_at(world.reader, snapshot);
    assert_int_equal(lsm_reader_lsn(world.reader), at);
    lsm_read_end(world.reader);
    lsm_snapshot_release(snapshot);
    teardown(&world);
}

static void a_lock_that_another_holds_is_not_waited_for_with_no_time(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 13);
    lsm_lock(world.db);
    assert_false(lsm_try_lock(world.db, 0));
    assert_false(lsm_try_lock(world.db, 1000));
    lsm_unlock(world.db);
    assert_true(lsm_try_lock(world.db, 0));
    lsm_unlock(world.db);
    teardown(&world);
}

static void a_reader_that_missed_nothing_has_nothing_to_fetch(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 14);
    assert_int_equal(lsm_reader_fetch_missing(world.reader), STATUS_OK);
    teardown(&world);
}

static void a_reply_waits_for_the_newest_lsn_that_it_reveals(void **state)
{
    (void)state;
    struct world world;
    setup(&world, 8);
    struct lsm_writer *writer;
    lsn_t lsns[3];
    for (int i = 0; i < 3; i++) {
        lsm_lock(world.db);
        assert_int_equal(lsm_write_begin(world.db, 100, false, &writer), STATUS_OK);
        if (i < 2)
            lsm_put(writer, 0, slice_from(i ? "b" : "a"), slice_from("value"));
        else
            lsm_delete(writer, 0, slice_from("a"));
        lsns[i] = lsm_write_end(writer);
        lsm_unlock(world.db);
    }
    struct slice value;
    lsm_read_begin(world.reader);
    lsm_reader_reset_revealed(world.reader);
    assert_int_equal(lsm_get(world.reader, 0, slice_from("b"), &value), STATUS_OK);
    assert_int_equal(lsm_reader_revealed(world.reader), lsns[1]);
    assert_int_equal(lsm_get(world.reader, 0, slice_from("a"), &value), STATUS_NOT_FOUND);
    assert_int_equal(lsm_reader_revealed(world.reader), lsns[2]);
    lsm_reader_reset_revealed(world.reader);
    assert_int_equal(lsm_get(world.reader, 0, slice_from("c"), &value), STATUS_NOT_FOUND);
    assert_int_equal(lsm_reader_revealed(world.reader), 0);
    lsm_read_end(world.reader);
    teardown(&world);
}

/* Compaction cuts the range deletion where it cuts its outputs: each part ends, exclusively, at the
 * first key of the next table. */
/* Zeros in both trees, by a flush and by a compaction. */
static void an_uncompressed_tree_stores_its_bytes_as_they_are(void **state)
{
    enum { ENTRIES = 100, VALUE_BYTES = 400 };
    static const uint8_t zeros[VALUE_BYTES];
    struct world world;
    struct lsm_stats stats;
    (void)state;
    setup(&world, 1);
    close_world(&world);
    world.options.trees[1].uncompressed = true;
    open_world(&world);
    for (int pass = 0; pass < 2; pass++) {
        struct lsm_writer *writer;
        lsm_lock(world.db);
        assert_int_equal(lsm_write_begin(world.db, 2 * ENTRIES * 500, false, &writer), STATUS_OK);
        for (unsigned i = 0; i < 2 * ENTRIES; i++) {
            char text[24];
            lsm_put(writer, i % 2, key_of(i / 2, text), slice_make(zeros, VALUE_BYTES));
        }
        lsm_write_end(writer);
        lsm_unlock(world.db);
        if (pass == 0)
            lsm_request_flush(world.db);
        else
            lsm_request_compact(world.db);
        while (lsm_work(world.db, 1 << 20))
            ;
        lsm_get_stats(world.db, &stats);
        assert_int_equal(stats.trees[1].entry_count, ENTRIES);
        assert_true(stats.trees[0].table_bytes < ENTRIES * VALUE_BYTES / 4);
        assert_true(stats.trees[1].table_bytes > ENTRIES * VALUE_BYTES);
    }
    teardown(&world);
}

static void count_table(void *context, const char *name)
{
    size_t *count = context;
    *count += strstr(name, ".cwt") != NULL;
}

/* Nobody writes or reads any more: what a compaction has replaced is given back. */
static void replaced_tables_are_removed_without_another_write(void **state)
{
    struct world world;
    struct lsm_stats stats;
    size_t files = 0;
    (void)state;
    setup(&world, 3);
    for (int i = 0; i < 5; i++) {
        write_batch(&world, 50);
        lsm_request_flush(world.db);
        while (lsm_work(world.db, 1 << 20))
            ;
    }
    lsm_request_compact(world.db);
    while (lsm_work(world.db, 1 << 20))
        ;
    lsm_get_stats(world.db, &stats);
    assert_true(stats.compaction_count > 0);
    assert_int_equal(world.vfs->ops->list(world.vfs, "db", count_table, &files), STATUS_OK);
    assert_int_equal(files, stats.trees[0].table_count + stats.trees[1].table_count);
    teardown(&world);
}

static void a_snapshot_sees_what_a_cut_range_deletion_hides(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    struct world world;
    char text[24], value_text[64];
    struct lsm_writer *writer;
    setup(&world, 9);
    lsm_lock(world.db);
    assert_int_equal(lsm_write_begin(world.db, COUNT * 100, false, &writer), STATUS_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "%05u", i);
        snprintf(value_text, sizeof(value_text), "%u %u %u", i * 7919, i * 104729, i * 1299709);
        lsm_put(writer, 0, slice_from(text), slice_from(value_text));
    }
    lsm_write_end(writer);
    lsm_unlock(world.db);
    world.snapshots[0] = lsm_snapshot_acquire(world.db);
    lsm_lock(world.db);
    assert_int_equal(lsm_write_begin(world.db, 100, false, &writer), STATUS_OK);
    lsm_delete_range(writer, 0, slice_from("0"), slice_from("9"));
    lsm_write_end(writer);
    lsm_unlock(world.db);
    lsm_request_compact(world.db);
    while (lsm_work(world.db, 1000))
        continue;
    struct lsm_stats stats;
    lsm_get_stats(world.db, &stats);
    assert_true(stats.trees[0].table_count > 2);
    assert_true(stats.trees[0].range_delete_count > 2);
    for (unsigned i = 0; i < COUNT; i++) {
        struct slice value;
        snprintf(text, sizeof(text), "%05u", i);
        lsm_read_begin_at(world.reader, world.snapshots[0]);
        assert_int_equal(lsm_get(world.reader, 0, slice_from(text), &value), STATUS_OK);
        lsm_read_end(world.reader);
        lsm_read_begin(world.reader);
        assert_int_equal(lsm_get(world.reader, 0, slice_from(text), &value), STATUS_NOT_FOUND);
        lsm_read_end(world.reader);
    }
    teardown(&world);
}

enum { FAT_BYTES = 3 << 20 };

/* A value of FAT_BYTES and many small ones, to which later parts of the test add nothing. */
static void put_fat(struct lsm_writer *writer, const uint8_t *fat)
{
    lsm_put(writer, 0, slice_from("fat"), slice_make(fat, FAT_BYTES));
    for (unsigned i = 0; i < 2000; i++) {
        char text[24];
        lsm_put(writer, 1, key_of(i, text), slice_make(fat, i));
    }
    lsm_delete(writer, 0, slice_from("fat too"));
    lsm_delete_range(writer, 1, slice_from("x"), slice_from("y"));
}

static void expect_fat(struct world *world, const uint8_t *fat)
{
    struct slice value;
    lsm_read_begin(world->reader);
    assert_int_equal(lsm_get(world->reader, 0, slice_from("fat"), &value), STATUS_OK);
    assert_true(slice_equal(value, slice_make(fat, FAT_BYTES)));
    for (unsigned i = 0; i < 2000; i++) {
        char text[24];
        assert_int_equal(lsm_get(world->reader, 1, key_of(i, text), &value), STATUS_OK);
        assert_int_equal(value.size, i);
    }
    lsm_read_end(world->reader);
}

static void a_batch_without_memory_is_refused_one_that_is_begun_needs_none(void **state)
{
    (void)state;
    const size_t bytes = FAT_BYTES + 2000 * (1000 + 100);
    uint8_t *fat = memory_zeroed(1, FAT_BYTES);
    struct lsm_writer *writer = NULL;
    struct world world;
    setup(&world, 5);
    memset(fat, 'f', FAT_BYTES);
    lsm_lock(world.db);
    for (uint64_t n = 1; n <= 3; n++) { /* the payload, what memtables may take, the log's bytes */
        memory_fail_try(n, n % 2 == 0);
        assert_int_equal(lsm_write_begin(world.db, bytes, false, &writer), STATUS_NO_MEMORY);
        memory_fail_try(0, false);
    }
    assert_int_equal(lsm_write_begin(world.db, bytes, false, &writer), STATUS_OK);
    assert_int_equal(lsm_write_end(writer), 0); /* nothing came: it is given back */
    uint64_t tried = memory_try_count();
    assert_int_equal(lsm_write_begin(world.db, bytes, false, &writer), STATUS_OK);
    assert_int_equal(memory_try_count() - tried, 3);
    memory_fail_try(1, true);
    put_fat(writer, fat);
    lsm_write_end(writer);
    memory_fail_try(0, false);
    lsm_unlock(world.db);
    expect_fat(&world, fat);
    require_sound_engine(world.db, "after a batch without memory");
    assert_int_equal(lsm_wal_sync(world.db), STATUS_OK);
    close_world(&world);
    open_world(&world); /* its tables, of the same bytes */
    expect_fat(&world, fat);
    teardown(&world);
    memory_free(fat);
}

static void a_batch_above_a_gibibyte_is_refused(void **state)
{
    (void)state;
    struct world world;
    struct lsm_writer *writer = NULL;
    setup(&world, 5);
    lsm_lock(world.db);
    assert_int_equal(lsm_write_begin(world.db, (size_t)8 << 30, false, &writer), STATUS_TOO_LARGE);
    lsm_unlock(world.db);
    write_batch(&world, 5);
    teardown(&world);
}

/* The log's end is then a segment's start, above the end of the newest batch. */
static void a_log_moved_to_a_new_segment_breaks_no_invariant(void **state)
{
    struct world world;
    struct lsm_report report = {""};
    (void)state;
    setup(&world, 3);
    write_batch(&world, 5);
    assert_int_equal(lsm_wal_rotate(world.db), STATUS_OK);
    struct lsm_writer *writer = NULL;
    lsm_lock(world.db);
    assert_int_equal(lsm_write_begin(world.db, 100, false, &writer), STATUS_OK);
    assert_int_equal(lsm_write_end(writer), 0); /* nothing was put: no batch */
    lsm_unlock(world.db);
    assert_int_equal(lsm_wal_sync(world.db), STATUS_OK);
    assert_true(lsm_durable_lsn(world.db) > lsm_visible_lsn(world.db));
    if (lsm_check_invariants(world.db, &report) != STATUS_OK)
        fail_msg("%s", report.text);
    teardown(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_there_after_a_clean_stop),
        cmocka_unit_test(what_was_written_is_there_after_a_kill),
        cmocka_unit_test(a_second_open_of_the_same_directory_is_refused),
        cmocka_unit_test(a_directory_may_end_with_slashes_and_a_report_be_missing),
        cmocka_unit_test(a_database_that_must_exist_is_not_made),
        cmocka_unit_test(writers_go_on_while_no_flush_is_done),
        cmocka_unit_test(a_snapshot_says_at_which_lsn_it_reads),
        cmocka_unit_test(a_lock_that_another_holds_is_not_waited_for_with_no_time),
        cmocka_unit_test(a_reader_that_missed_nothing_has_nothing_to_fetch),
        cmocka_unit_test(a_reply_waits_for_the_newest_lsn_that_it_reveals),
        cmocka_unit_test(an_uncompressed_tree_stores_its_bytes_as_they_are),
        cmocka_unit_test(replaced_tables_are_removed_without_another_write),
        cmocka_unit_test(a_snapshot_sees_what_a_cut_range_deletion_hides),
        cmocka_unit_test(a_log_moved_to_a_new_segment_breaks_no_invariant),
        cmocka_unit_test(a_batch_without_memory_is_refused_one_that_is_begun_needs_none),
        cmocka_unit_test(a_batch_above_a_gibibyte_is_refused),
        cmocka_unit_test(random_work_agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
