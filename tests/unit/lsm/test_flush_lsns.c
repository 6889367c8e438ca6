/* SPDX-License-Identifier: MIT */
/* A flush gives versions LSNs that are not their own (lsn_intervals.h). Nobody can tell: random puts,
 * deletions and range deletions, with snapshots taken and released between flushes and compactions,
 * beside an array of what each moment showed; and every version is on the same side of each snapshot
 * as when it was written. */
#include "base/memory.h"
#include "base/random.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"
#include "lib/soundness.h"
#include "lsm/lsm.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { TREES = 2, KEYS = 40, SNAPSHOTS = 6, STEPS = 1500 };

/* What a key holds, and since when. */
struct cell {
    unsigned value; /* 0: nothing */
    lsn_t lsn;      /* of the put */
};

struct moment {
    struct lsm_snapshot *snapshot; /* NULL: none is held */
    struct cell cells[TREES][KEYS];
};

struct world {
    struct vfs *vfs;
    struct env env;
    struct lsm_options options;
    struct lsm *db;
    struct lsm_reader *reader;
    struct random random;
    struct cell cells[TREES][KEYS];
    struct moment moments[SNAPSHOTS];
    unsigned next_value;
    uint64_t moved; /* versions that were seen with an LSN that is not their own */
};

static void world_open(struct world *world)
{
    struct lsm_report report;
    if (lsm_open(&world->env, "db", &world->options, &report, &world->db) != STATUS_OK)
        fail_msg("%s", report.text);
    world->reader = lsm_reader_create(world->db);
}

static void world_close(struct world *world)
{
    for (int i = 0; i < SNAPSHOTS; i++) {
        lsm_snapshot_release(world->moments[i].snapshot);
        world->moments[i].snapshot = NULL;
    }
    lsm_reader_destroy(world->reader);
    require_sound_engine(world->db, "at a close");
    assert_int_equal(lsm_close(world->db), STATUS_OK);
}

static void world_init(struct world *world, uint64_t seed, enum lsm_compaction compaction)
{
    *world = (struct world){.vfs = vfs_memory_create()};
    world->env = memory_env(world->vfs);
    random_init(&world->random, seed);
    world->options = (struct lsm_options){
        .trees = {{.name = "rows", .compaction = compaction, .block_bytes = 256},
                  {.name = "encoded",
                   .compaction = compaction,
                   .block_bytes = 256,
                   .codec = &prefix_codec}},
        .tree_count = TREES,
        .table_bytes_max = 4096,
    };
    world_open(world);
}

static void world_release(struct world *world)
{
    world_close(world);
    assert_int_equal(lsm_verify(&world->env, "db", prefix_codecs, NULL, NULL), STATUS_OK);
    vfs_destroy(world->vfs);
}

static struct slice key_of(unsigned key, char text[16])
{
    snprintf(text, 16, "key:%04u", key % 10000);
    return slice_make(text, 8);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static void write_one(struct world *world, struct lsm_writer *writer, lsn_t lsn)
{
    char text[16], end[16], value[16];
    struct random *random = &world->random;
    unsigned tree = (unsigned)random_below(random, TREES);
    unsigned key = (unsigned)random_below(random, KEYS);
    uint64_t choice = random_below(random, 10);
    if (choice < 6) {
        unsigned number = ++world->next_value;
        snprintf(value, sizeof(value), "%u", number);
        lsm_put(writer, tree, key_of(key, text), slice_from(value));
        world->cells[tree][key] = (struct cell){number, lsn};
    } else if (choice < 8) {
        lsm_delete(writer, tree, key_of(key, text));
        world->cells[tree][key] = (struct cell){0};
    } else {
        unsigned to = key + 1 + (unsigned)random_below(random, 15);
        lsm_delete_range(writer, tree, key_of(key, text), key_of(to, end));
        for (unsigned i = key; i < to && i < KEYS; i++)
            world->cells[tree][i] = (struct cell){0};
    }
}

static void write_batch(struct world *world)
{
    struct lsm_writer *writer;
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, 4096, false, &writer), STATUS_OK);
    for (uint64_t i = 1 + random_below(&world->random, 5); i > 0; i--)
        write_one(world, writer, lsm_writer_lsn(writer));
    lsm_write_end(writer);
    lsm_unlock(world->db);
}

/* ---- Comparing ----------------------------------------------------------------------------- */

/* A version's LSN is not above its own, and no snapshot lies between the two. */
static void check_lsn(struct world *world, const struct cell *cell, lsn_t lsn)
{
    assert_true(lsn <= cell->lsn);
    world->moved += lsn < cell->lsn;
    for (int i = 0; i < SNAPSHOTS; i++) {
        const struct lsm_snapshot *snapshot = world->moments[i].snapshot;
        if (snapshot)
            assert_int_equal(lsn > lsm_snapshot_lsn(snapshot),
                             cell->lsn > lsm_snapshot_lsn(snapshot));
    }
}

static void check_key(struct world *world, const struct cell *cell, unsigned tree, unsigned key)
{
    char text[16], expected[16];
    struct slice value;
    lsn_t lsn = 0;
    enum status status = lsm_get_lsn(world->reader, tree, key_of(key, text), &value, &lsn);
    if (status != (cell->value ? STATUS_OK : STATUS_NOT_FOUND))
        fail_msg("SEED=%llu: tree %u, key %u: %s", (unsigned long long)test_seed(), tree, key,
                 status_text(status));
    if (status != STATUS_OK)
        return;
    snprintf(expected, sizeof(expected), "%u", cell->value);
    if (!slice_equal(value, slice_from(expected)))
        fail_msg("SEED=%llu: tree %u, key %u: %.*s, not %s", (unsigned long long)test_seed(), tree,
                 key, (int)value.size, (const char *)value.data, expected);
    check_lsn(world, cell, lsn);
}

static void check_order(struct world *world, struct cell cells[KEYS], unsigned tree)
{
    struct lsm_iter *iter = lsm_iter_open(world->reader, tree, &(struct lsm_iter_options){0});
    lsm_iter_seek_first(iter);
    for (unsigned key = 0; key < KEYS; key++) {
        char text[16];
        if (!cells[key].value)
            continue;
        assert_true(lsm_iter_valid(iter));
        assert_true(slice_equal(lsm_iter_key(iter), key_of(key, text)));
        lsm_iter_next(iter);
    }
    assert_false(lsm_iter_valid(iter));
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    lsm_iter_close(iter);
}

static void check_moment(struct world *world, struct cell cells[TREES][KEYS],
                         struct lsm_snapshot *snapshot)
{
    if (snapshot)
        lsm_read_begin_at(world->reader, snapshot);
    else
        lsm_read_begin(world->reader);
    for (unsigned tree = 0; tree < TREES; tree++) {
        for (unsigned key = 0; key < KEYS; key++)
            check_key(world, &cells[tree][key], tree, key);
        check_order(world, cells[tree], tree);
    }
    lsm_read_end(world->reader);
}

static void check_all(struct world *world)
{
    check_moment(world, world->cells, NULL);
    for (int i = 0; i < SNAPSHOTS; i++)
        if (world->moments[i].snapshot)
            check_moment(world, world->moments[i].cells, world->moments[i].snapshot);
}

static void work(struct world *world)
{
    for (int i = 0; i < 10000 && !lsm_is_idle(world->db); i++)
        lsm_work(world->db, 1 << 20);
    assert_true(lsm_is_idle(world->db));
}

static void change_snapshots(struct world *world)
{
    struct moment *moment = &world->moments[random_below(&world->random, SNAPSHOTS)];
    if (moment->snapshot) {
        lsm_snapshot_release(moment->snapshot);
        moment->snapshot = NULL;
        return;
    }
    moment->snapshot = lsm_snapshot_acquire(world->db);
    memcpy(moment->cells, world->cells, sizeof(world->cells));
}

static void run(enum lsm_compaction compaction)
{
    struct world world;
    world_init(&world, test_seed() + compaction, compaction);
    for (int step = 0; step < STEPS; step++) {
        uint64_t choice = random_below(&world.random, 200);
        write_batch(&world);
        if (choice < 40)
            change_snapshots(&world);
        if (choice % 10 == 0) {
            lsm_request_flush(world.db);
            if (choice < 20)
                lsm_request_compact(world.db);
            work(&world);
            check_all(&world);
        }
        if (choice == 199) {
            world_close(&world);
            world_open(&world);
            check_all(&world);
        }
    }
    lsm_request_compact(world.db);
    work(&world);
    check_all(&world);
    assert_true(world.moved > 1000);
    world_release(&world);
}

static void nobody_sees_it_in_a_leveled_tree(void **state)
{
    (void)state;
    run(LSM_LEVELED);
}

static void nobody_sees_it_in_time_runs(void **state)
{
    (void)state;
    run(LSM_TIME_RUNS);
}

static lsn_t lsn_of(struct world *world, unsigned key)
{
    char text[16];
    struct slice value;
    lsn_t lsn = 0;
    lsm_read_begin(world->reader);
    assert_int_equal(lsm_get_lsn(world->reader, 0, key_of(key, text), &value, &lsn), STATUS_OK);
    lsm_read_end(world->reader);
    return lsn;
}

static lsn_t put(struct world *world, unsigned key)
{
    struct lsm_writer *writer;
    char text[16];
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, 100, false, &writer), STATUS_OK);
    lsm_put(writer, 0, key_of(key, text), slice_from("value"));
    lsn_t lsn = lsm_write_end(writer);
    lsm_unlock(world->db);
    return lsn;
}

/* In words: what the flush of a few batches makes of their LSNs. */
static void a_flush_leaves_one_lsn_an_interval(void **state)
{
    (void)state;
    struct world world;
    struct lsm_writer *writer;
    char text[16], end[16];
    world_init(&world, 1, LSM_LEVELED);
    put(&world, 1);
    put(&world, 2);
    struct lsm_snapshot *snapshot = lsm_snapshot_acquire(world.db);
    put(&world, 3);
    put(&world, 4);
    lsm_lock(world.db);
    assert_int_equal(lsm_write_begin(world.db, 100, false, &writer), STATUS_OK);
    lsm_delete_range(writer, 0, key_of(30, text), key_of(31, end));
    lsn_t deletion = lsm_write_end(writer);
    lsm_unlock(world.db);
    put(&world, 5);
    put(&world, 6);
    lsm_request_flush(world.db);
    work(&world);
    lsn_t own = put(&world, 7);
    assert_int_equal(lsn_of(&world, 1), lsn_of(&world, 2));
    assert_true(lsn_of(&world, 2) <= lsm_snapshot_lsn(snapshot));
    assert_int_equal(lsn_of(&world, 3), lsm_snapshot_lsn(snapshot) + 1);
    assert_int_equal(lsn_of(&world, 4), lsm_snapshot_lsn(snapshot) + 1);
    assert_int_equal(lsn_of(&world, 5), deletion);
    assert_int_equal(lsn_of(&world, 6), deletion);
    assert_int_equal(lsn_of(&world, 7), own); /* a memtable's is its own */
    lsm_snapshot_release(snapshot);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_it_in_a_leveled_tree),
        cmocka_unit_test(nobody_sees_it_in_time_runs),
        cmocka_unit_test(a_flush_leaves_one_lsn_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
