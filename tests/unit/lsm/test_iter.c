/* SPDX-License-Identifier: MIT */
/* Iterators between bounds, over memtables and tables of both kinds of trees, move like an index into a
 * sorted array of what is alive. Keys are made of few bytes, 00 and ff among them, so that bounds often
 * lie at the edges of a filter's prefix. */
#include "lsm/lsm.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LETTERS = 5, KEY_BYTES = 3, KEYS = LETTERS * LETTERS * LETTERS, TREES = 2, PREFIX = 2 };

static const uint8_t letters[LETTERS] = {0x00, 0x01, 0x7f, 0xfe, 0xff};

struct world {
    struct vfs *vfs;
    struct env env;
    struct lsm *db;
    struct lsm_reader *reader;
    struct random random;
    uint32_t now[TREES][KEYS];     /* the value; 0: absent */
    struct lsm_snapshot *snapshot; /* or NULL */
    uint32_t then[TREES][KEYS];    /* what it shows */
    uint32_t next_value;
};

static struct slice key_of(size_t index, uint8_t at[KEY_BYTES])
{
    at[0] = letters[index / LETTERS / LETTERS];
    at[1] = letters[index / LETTERS % LETTERS];
    at[2] = letters[index % LETTERS];
    return slice_make(at, KEY_BYTES);
}

/* With blocks of several windows of rows, or of a row or two each. */
static struct world *create(uint32_t block_bytes)
{
    static struct world world;
    struct lsm_report report;
    const struct lsm_options options = {
        .trees = {{.name = "keys",
                   .compaction = LSM_LEVELED,
                   .block_bytes = block_bytes,
                   .filter_bits_per_key = 12,
                   .filter_prefix_bytes = PREFIX},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = block_bytes,
                   .filter_bits_per_key = 12,
                   .filter_prefix_bytes = PREFIX,
                   .finger_prefix_bytes = PREFIX}},
        .tree_count = TREES,
        .memtable_bytes = 1 << 20,
        .wal_segment_bytes = 64 << 10,
        .table_bytes_max = 6 * block_bytes,
    };
    memset(&world, 0, sizeof(world));
    random_init(&world.random, test_seed());
    world.vfs = vfs_memory_create();
    world.env = memory_env(world.vfs);
    assert_int_equal(lsm_open(&world.env, "db", &options, &report, &world.db), STATUS_OK);
    world.reader = lsm_reader_create(world.db);
    return &world;
}

static void destroy(struct world *world)
{
    lsm_snapshot_release(world->snapshot);
    lsm_reader_destroy(world->reader);
    assert_int_equal(lsm_close(world->db), STATUS_OK);
    vfs_destroy(world->vfs);
}

static void write_some(struct world *world)
{
    struct lsm_writer *writer;
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, 16384, false, &writer), STATUS_OK);
    for (int i = 0; i < 40; i++) {
        unsigned tree = (unsigned)random_below(&world->random, TREES);
        size_t key = random_below(&world->random, KEYS);
        uint64_t what = random_below(&world->random, 12);
        uint8_t at[KEY_BYTES], to[KEY_BYTES];
        if (what == 0) {
            size_t end = key + random_below(&world->random, KEYS - key);
            if (end == key)
                continue;
            lsm_delete_range(writer, tree, key_of(key, at), key_of(end, to));
            memset(world->now[tree] + key, 0, (end - key) * sizeof(world->now[tree][0]));
        } else if (what < 4) {
            lsm_delete(writer, tree, key_of(key, at));
            world->now[tree][key] = 0;
        } else {
            uint32_t value = ++world->next_value;
            lsm_put(writer, tree, key_of(key, at), slice_make(&value, sizeof(value)));
            world->now[tree][key] = value;
        }
    }
    lsm_write_end(writer);
    lsm_unlock(world->db);
}

static void work(struct world *world, bool everything)
{
    assert_int_equal(lsm_wal_sync(world->db), STATUS_OK);
    lsm_request_flush(world->db);
    if (everything)
        lsm_request_compact(world->db);
    while (lsm_work(world->db, 1 << 20))
        ;
}

/* A bound or the key of a seek: of any length, empty too. */
static struct slice random_key(struct world *world, uint8_t at[KEY_BYTES + 1])
{
    size_t size = random_below(&world->random, KEY_BYTES + 2);
    for (size_t i = 0; i < size; i++)
        at[i] = letters[random_below(&world->random, LETTERS)];
    return slice_make(at, size);
}

struct model {
    size_t alive[KEYS], count;
    size_t at; /* count: at an end */
};

static void model_fill(struct model *model, const uint32_t *now, struct slice lower,
                       struct slice upper)
{
    uint8_t at[KEY_BYTES];
    model->count = 0;
    for (size_t key = 0; key < KEYS; key++) {
        struct slice slice = key_of(key, at);
        if (now[key] && slice_compare(slice, lower) >= 0 &&
            (upper.size == 0 || slice_compare(slice, upper) < 0))
            model->alive[model->count++] = key;
    }
    model->at = model->count;
}

static void model_seek(struct model *model, struct slice wanted)
{
    uint8_t at[KEY_BYTES];
    model->at = 0;
    while (model->at < model->count &&
           slice_compare(key_of(model->alive[model->at], at), wanted) < 0)
        model->at++;
}

static void model_seek_for_prev(struct model *model, struct slice wanted)
{
    uint8_t at[KEY_BYTES];
    size_t below = 0;
    while (below < model->count && slice_compare(key_of(model->alive[below], at), wanted) <= 0)
        below++;
    model->at = below ? below - 1 : model->count;
}

static void move_both(struct world *world, struct lsm_iter *iter, struct model *model)
{
    uint8_t at[KEY_BYTES + 1];
    struct slice key = random_key(world, at);
    bool valid = model->at < model->count;
    switch (random_below(&world->random, valid ? 10 : 4)) {
    case 0:
        lsm_iter_seek_first(iter);
        model->at = 0;
        break;
    case 1:
        lsm_iter_seek_last(iter);
        model->at = model->count ? model->count - 1 : 0;
        break;
    case 2:
        lsm_iter_seek(iter, key);
        model_seek(model, key);
        break;
    case 3:
        lsm_iter_seek_for_prev(iter, key);
        model_seek_for_prev(model, key);
        break;
    case 4:
    case 5:
    case 6:
        lsm_iter_next(iter);
        model->at++;
        break;
    default:
        lsm_iter_prev(iter);
        model->at = model->at ? model->at - 1 : model->count;
    }
}

static void compare(const uint32_t *values, const struct lsm_iter *iter, const struct model *model)
{
    uint8_t at[KEY_BYTES];
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    assert_int_equal(lsm_iter_valid(iter), model->at < model->count);
    if (!lsm_iter_valid(iter))
        return;
    size_t key = model->alive[model->at];
    assert_true(slice_equal(lsm_iter_key(iter), key_of(key, at)));
    assert_int_equal(lsm_iter_value(iter).size, sizeof(uint32_t));
    assert_memory_equal(lsm_iter_value(iter).data, &values[key], sizeof(uint32_t));
}

/* Far in one direction, so that whole runs are passed. */
static void walk(struct world *world, const uint32_t *values, struct lsm_iter *iter,
                 struct model *model)
{
    bool backward = random_below(&world->random, 2);
    while (model->at < model->count && random_below(&world->random, 50)) {
        (backward ? lsm_iter_prev : lsm_iter_next)(iter);
        model->at += backward ? (size_t)-1 : 1;
        if (model->at > model->count)
            model->at = model->count;
        compare(values, iter, model);
    }
}

static void walk_between_random_bounds(struct world *world)
{
    uint8_t low[KEY_BYTES + 1], high[KEY_BYTES + 1];
    struct slice lower = random_key(world, low), upper = random_key(world, high);
    unsigned tree = (unsigned)random_below(&world->random, TREES);
    struct model model;
    if (random_below(&world->random, 4) == 0 && lower.size >= PREFIX) { /* one prefix, to its end */
        memcpy(high, low, PREFIX);
        size_t last = PREFIX;
        while (last > 0 && high[last - 1] == 0xff)
            high[--last] = 0;
        if (last > 0)
            high[last - 1]++;
        upper = slice_make(high, last ? PREFIX : 0);
    }
    bool is_then = world->snapshot && random_below(&world->random, 4) == 0;
    const uint32_t *values = is_then ? world->then[tree] : world->now[tree];
    model_fill(&model, values, lower, upper);
    if (is_then)
        lsm_read_begin_at(world->reader, world->snapshot);
    else
        lsm_read_begin(world->reader);
    struct lsm_iter *iter = lsm_iter_open(
        world->reader, tree, &(struct lsm_iter_options){.lower = lower, .upper = upper});
    for (int step = 0; step < 12; step++) {
        move_both(world, iter, &model);
        compare(values, iter, &model);
    }
    walk(world, values, iter, &model);
    lsm_iter_close(iter);
    lsm_read_end(world->reader);
}

static void move_iterators(struct world *world)
{
    for (int round = 0; round < 40; round++) {
        write_some(world);
        if (round % 8 == 3) {
            lsm_snapshot_release(world->snapshot);
            world->snapshot = lsm_snapshot_acquire(world->db);
            memcpy(world->then, world->now, sizeof(world->then));
        }
        if (round % 3 == 2)
            work(world, round % 12 == 11);
        for (int i = 0; i < 60; i++)
            walk_between_random_bounds(world);
    }
}

static void iterators_move_like_an_index_into_a_sorted_array(void **state)
{
    (void)state;
    for (uint32_t block_bytes = 64; block_bytes <= 4096; block_bytes *= 8) {
        struct world *world = create(block_bytes);
        move_iterators(world);
        destroy(world);
    }
}

static void closing_no_iterator_is_nothing(void **state)
{
    (void)state;
    lsm_iter_close(NULL);
    lsm_reader_destroy(NULL);
    lsm_snapshot_release(NULL);
}

/* Going backward, where a key may come more than once, a value is copied; each point read pins a block. */
static void reads_without_memory_say_so(void **state)
{
    (void)state;
    enum { LARGE = 200 << 10, READS = 20000 };
    struct world *world = create(64);
    struct lsm_writer *writer;
    uint8_t *large = memory_zeroed(1, LARGE);
    struct slice value;
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, LARGE + 100, false, &writer), STATUS_OK);
    lsm_put(writer, 0, slice_from("a"), slice_from("small"));
    lsm_put(writer, 0, slice_from("b"), slice_make(large, LARGE));
    lsm_write_end(writer);
    lsm_unlock(world->db);
    lsm_request_flush(world->db);
    while (lsm_work(world->db, 1 << 20))
        continue;
    lsm_lock(world->db); /* a newer version in the memtable: keys are not unique */
    assert_int_equal(lsm_write_begin(world->db, 100, false, &writer), STATUS_OK);
    lsm_put(writer, 0, slice_from("a"), slice_from("newer"));
    lsm_write_end(writer);
    lsm_unlock(world->db);

    lsm_read_begin(world->reader);
    struct lsm_iter *iter = lsm_iter_open(world->reader, 0, &(struct lsm_iter_options){0});
    for (int fails = 1; fails >= 0; fails--) {
        lsm_iter_seek_last(iter); /* reads the block: that memory is there */
        assert_true(lsm_iter_valid(iter));
        lsm_iter_close(iter);
        iter = lsm_iter_open(world->reader, 0, &(struct lsm_iter_options){0});
        memory_fail_try((uint64_t)fails, true);
        lsm_iter_seek_last(iter);
        memory_fail_try(0, false);
        assert_int_equal(lsm_iter_valid(iter), !fails);
        assert_int_equal(lsm_iter_status(iter), fails ? STATUS_NO_MEMORY : STATUS_OK);
    }
    assert_int_equal(lsm_iter_value(iter).size, LARGE);
    lsm_iter_close(iter);

    enum status status = STATUS_OK;
    memory_fail_try(1, true);
    for (int i = 0; i < READS && !status; i++)
        status = lsm_get(world->reader, 0, slice_from("b"), &value);
    memory_fail_try(0, false);
    assert_int_equal(status, STATUS_NO_MEMORY);
    lsm_read_end(world->reader);
    lsm_read_begin(world->reader);
    assert_int_equal(lsm_get(world->reader, 0, slice_from("b"), &value), STATUS_OK);
    assert_int_equal(value.size, LARGE);
    lsm_read_end(world->reader);
    memory_free(large);
    destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iterators_move_like_an_index_into_a_sorted_array),
        cmocka_unit_test(closing_no_iterator_is_nothing),
        cmocka_unit_test(reads_without_memory_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
