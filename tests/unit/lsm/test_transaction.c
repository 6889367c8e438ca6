/* SPDX-License-Identifier: MIT */
/* Transactions inside the engine: the overlay in reads and iterators against a model, two trees, and what
 * flush and compaction between the snapshot and the commit do to the check. What users see:
 * tests/unit/lib/test_library_transaction.c. */
#include "lsm/lsm.h"

#include "base/random.h"
#include "lib/seed.h"
#include "lib/soundness.h"
#include "memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 40, STEPS = 400, ROUNDS = 60, TREES = 2 };

struct world {
    struct vfs *vfs;
    struct env env;
    struct lsm *db;
    struct lsm_reader *reader;
};

/* values[tree][key]: 0 is none. */
struct model {
    unsigned values[TREES][KEYS];
};

static int setup(void **state)
{
    static struct world world;
    const struct lsm_options options = {
        .trees = {{.name = "keys", .compaction = LSM_LEVELED, .block_bytes = 512},
                  {.name = "runs", .compaction = LSM_TIME_RUNS, .filter_bits_per_key = 10}},
        .tree_count = TREES,
        .memtable_bytes = 64 << 10,
        .wal_segment_bytes = 64 << 10,
    };
    world.vfs = vfs_memory_create();
    world.env = memory_env(world.vfs);
    assert_int_equal(lsm_open(&world.env, "db", &options, NULL, &world.db), STATUS_OK);
    world.reader = lsm_reader_create(world.db);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    lsm_reader_destroy(world->reader);
    require_sound_engine(world->db, "at the end");
    assert_int_equal(lsm_close(world->db), STATUS_OK);
    vfs_destroy(world->vfs);
    return 0;
}

static void work(struct world *world, bool compacts)
{
    lsm_request_flush(world->db);
    while (lsm_work(world->db, 1 << 20))
        ;
    if (compacts)
        lsm_request_compact(world->db);
    while (lsm_work(world->db, 1 << 20))
        ;
}

static struct slice key_of(unsigned key)
{
    static char text[4][8];
    static unsigned next;
    char *at = text[next++ % 4];
    snprintf(at, sizeof(text[0]), "k%03u", key);
    return slice_from(at);
}

static struct slice value_of(const unsigned *value)
{
    return slice_make(value, sizeof(*value));
}

/* One write of a random kind; the same in the model. */
static void write_one(struct lsm_transaction *transaction, struct random *random,
                      struct model *model)
{
    unsigned tree = (unsigned)random_below(random, TREES);
    unsigned key = (unsigned)random_below(random, KEYS);
    unsigned value = 1 + (unsigned)random_below(random, 1000000);
    unsigned end = key + (unsigned)random_below(random, 6);
    unsigned kind = (unsigned)random_below(random, 8);
    enum status status;
    if (kind == 0) {
        status = lsm_transaction_delete_range(transaction, tree, key_of(key), key_of(end));
        for (unsigned i = key; i < end && i < KEYS; i++)
            model->values[tree][i] = 0;
    } else if (kind < 3) {
        status = lsm_transaction_delete(transaction, tree, key_of(key));
        model->values[tree][key] = 0;
    } else {
        status = lsm_transaction_put(transaction, tree, key_of(key), value_of(&value));
        model->values[tree][key] = value;
    }
    assert_int_equal(status, STATUS_OK);
}

static void expect_key(struct lsm_reader *reader, unsigned tree, unsigned key, unsigned expected)
{
    struct slice value;
    enum status status = lsm_get(reader, tree, key_of(key), &value);
    assert_int_equal(status, expected ? STATUS_OK : STATUS_NOT_FOUND);
    if (expected)
        assert_memory_equal(value.data, &expected, sizeof(expected));
}

static void expect_entry(const struct lsm_iter *iter, unsigned key, unsigned value)
{
    assert_true(lsm_iter_valid(iter));
    assert_true(slice_equal(lsm_iter_key(iter), key_of(key)));
    assert_true(slice_equal(lsm_iter_value(iter), value_of(&value)));
}

static void expect_model(struct lsm_reader *reader, const struct model *model,
                         struct random *random)
{
    for (unsigned tree = 0; tree < TREES; tree++) {
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
        lsm_iter_seek_first(iter);
        for (unsigned key = 0; key < KEYS; key++) {
            expect_key(reader, tree, key, model->values[tree][key]);
            if (!model->values[tree][key])
                continue;
            expect_entry(iter, key, model->values[tree][key]);
            lsm_iter_next(iter);
        }
        assert_false(lsm_iter_valid(iter));
        lsm_iter_seek_last(iter);
        for (unsigned key = KEYS; key-- > 0;) {
            if (!model->values[tree][key])
                continue;
            expect_entry(iter, key, model->values[tree][key]);
            if (random_below(random, 3) == 0) { /* there and back */
                lsm_iter_next(iter);
                if (lsm_iter_valid(iter))
                    lsm_iter_prev(iter);
                else
                    lsm_iter_seek_last(iter);
                expect_entry(iter, key, model->values[tree][key]);
            }
            lsm_iter_prev(iter);
        }
        assert_false(lsm_iter_valid(iter));
        lsm_iter_close(iter);
    }
}

static void own_writes_are_laid_over_the_snapshot(void **state)
{
    struct world *world = *state;
    struct model committed = {0};
    struct random random;
    random_init(&random, test_seed());
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct model model = committed;
        lsn_t lsn = 0;
        struct lsm_transaction *transaction = lsm_transaction_create(
            world->db, &(struct lsm_transaction_options){.bytes_max = 1 << 20});
        for (unsigned i = 0; i < STEPS / ROUNDS * 5; i++)
            write_one(transaction, &random, &model);
        assert_true(lsm_transaction_bytes(transaction) > 0);
        lsm_read_begin_in(world->reader, transaction);
        expect_model(world->reader, &model, &random);
        lsm_read_end(world->reader);
        lsm_read_begin(world->reader);
        expect_model(world->reader, &committed, &random);
        lsm_read_end(world->reader);
        if (random_below(&random, 3)) {
            assert_int_equal(lsm_transaction_commit(transaction, world->reader, &lsn), STATUS_OK);
            assert_true(lsn > 0);
            committed = model;
        }
        lsm_transaction_destroy(transaction);
        lsm_read_begin(world->reader);
        expect_model(world->reader, &committed, &random);
        lsm_read_end(world->reader);
        if (random_below(&random, 4) == 0)
            work(world, random_below(&random, 2));
    }
    lsm_transaction_destroy(NULL);
    lsm_batch_destroy(NULL);
}

/* A tree of many tables: the check looks only into what came after the snapshot, and finds it. */
static void changes_are_found_in_tables_of_every_level(void **state)
{
    struct world *world = *state;
    for (unsigned tree = 0; tree < TREES; tree++) {
        for (unsigned round = 0; round < 12; round++) {
            struct lsm_transaction *transactions[3];
            lsn_t lsn;
            const enum status expected[3] = {STATUS_CONFLICT, STATUS_CONFLICT, STATUS_OK};
            for (unsigned i = 0; i < 3; i++)
                transactions[i] = lsm_transaction_create(
                    world->db,
                    &(struct lsm_transaction_options){.bytes_max = 1000, .serializable = true});
            unsigned value = 7;
            lsm_lock(world->db);
            struct lsm_writer *writer;
            assert_int_equal(lsm_write_begin(world->db, 1000, false, &writer), STATUS_OK);
            lsm_put(writer, tree, key_of(round), value_of(&value));
            lsm_put(writer, tree, key_of(round + 20), value_of(&value));
            lsm_write_end(writer);
            lsm_unlock(world->db);
            if (round % 3)
                work(world, round % 3 == 2);
            assert_int_equal(
                lsm_transaction_put(transactions[0], tree, key_of(round), value_of(&value)),
                STATUS_OK);
            assert_int_equal(lsm_transaction_note_range(transactions[1], tree, key_of(round + 20),
                                                        slice_make(NULL, 0)),
                             STATUS_OK);
            assert_int_equal(lsm_transaction_note_key(transactions[2], tree, key_of(round + 1)),
                             STATUS_OK);
            for (unsigned i = 1; i < 3; i++)
                assert_int_equal(
                    lsm_transaction_put(transactions[i], tree, slice_from("other"), value_of(&i)),
                    STATUS_OK);
            for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(lsm_transaction_commit(transactions[i], world->reader, &lsn),
                                 expected[i]);
                lsm_transaction_destroy(transactions[i]);
            }
        }
    }
}

static void write_large(struct world *world, unsigned key)
{
    static const uint8_t large[4000];
    struct lsm_writer *writer;
    lsm_lock(world->db);
    assert_int_equal(lsm_write_begin(world->db, 5000, false, &writer), STATUS_OK);
    lsm_put(writer, 0, key_of(key), slice_make(large, sizeof(large)));
    lsm_write_end(writer);
    lsm_unlock(world->db);
}

/* The same with memtables that nobody flushes: the frozen ones are older than the snapshot. */
static void changes_are_found_beside_frozen_memtables(void **state)
{
    struct world *world = *state;
    for (unsigned key = 0; key < 40; key++)
        write_large(world, key);
    for (int changes = 0; changes < 2; changes++) {
        lsn_t lsn;
        unsigned value = 7;
        struct lsm_transaction *transaction = lsm_transaction_create(
            world->db, &(struct lsm_transaction_options){.bytes_max = 1000, .serializable = true});
        assert_int_equal(lsm_transaction_note_range(transaction, 0, key_of(5), slice_make(NULL, 0)),
                         STATUS_OK);
        assert_int_equal(lsm_transaction_put(transaction, 1, slice_from("other"), value_of(&value)),
                         STATUS_OK);
        if (changes)
            write_large(world, 20);
        assert_int_equal(lsm_transaction_commit(transaction, world->reader, &lsn),
                         changes ? STATUS_CONFLICT : STATUS_OK);
        lsm_transaction_destroy(transaction);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_writes_are_laid_over_the_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_are_found_in_tables_of_every_level, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(changes_are_found_beside_frozen_memtables, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
