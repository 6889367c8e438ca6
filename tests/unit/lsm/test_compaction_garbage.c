/* SPDX-License-Identifier: MIT */
#include "lsm/compaction_garbage.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 2000, RANGES_MAX = 40, LSN = 10, VALUE_BYTES = 50 };

/* One table at level 1, keys 00000 to 01999, each with a value of noise. */
struct fixture {
    struct vfs *memory, *vfs;
    struct env env;
    struct block_cache *cache;
    struct lsm_options options;
    struct version_set *set;
    struct version *version;
    struct table_ref *table;
    struct random random;
};

static void add_table(struct fixture *fixture)
{
    char path[64], key[16];
    uint8_t value[VALUE_BYTES];
    struct table_builder *builder;
    struct table_properties properties = {0};
    struct version_edit edit = {0};
    const struct table_options options = {.block_bytes = 300};
    uint64_t number = version_set_next_number(fixture->set);
    table_path("db", number, path, sizeof(path));
    assert_int_equal(table_builder_create(&fixture->env, path, &options, &builder), STATUS_OK);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "%05u", i);
        for (int n = 0; n < VALUE_BYTES; n++)
            value[n] = (uint8_t)random_next(&fixture->random);
        assert_int_equal(table_builder_add(builder, slice_from(key), LSN, ENTRY_PUT,
                                           slice_make(value, sizeof(value))),
                         STATUS_OK);
    }
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    version_edit_add(&edit, 0, 1, number, &properties);
    assert_int_equal(version_set_apply(fixture->set, &edit), STATUS_OK);
    version_edit_release(&edit);
}

static int setup(void **state)
{
    bool created;
    struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
    fixture->memory = vfs_memory_create();
    fixture->vfs = vfs_fault_create(fixture->memory);
    fixture->env = memory_env(fixture->vfs);
    fixture->cache = block_cache_create(1 << 20);
    random_init(&fixture->random, test_seed());
    fixture->options = (struct lsm_options){
        .trees = {{.name = "tree", .compaction = LSM_TIME_RUNS}}, .tree_count = 1};
    assert_int_equal(fixture->vfs->ops->make_directory(fixture->vfs, "db"), STATUS_OK);
    assert_int_equal(version_set_open(&fixture->env, "db", &fixture->options, fixture->cache, NULL,
                                      &fixture->set, &created),
                     STATUS_OK);
    add_table(fixture);
    fixture->version = version_set_current(fixture->set);
    fixture->table = fixture->version->trees[0].levels[1].tables[0];
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    version_unref(fixture->version);
    version_set_close(fixture->set);
    block_cache_destroy(fixture->cache);
    vfs_destroy(fixture->vfs);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
    return 0;
}

/* Half of the keys and more, in pieces of random sizes, some smaller than a block: at least as much
 * is said to be dead as needed to write the table again, and never more than is. */
static void never_more_than_is_dead_is_said(void **state)
{
    struct fixture *fixture = *state;
    int worthwhile = 0;
    for (int round = 0; round < 300; round++) {
        char keys[2 * RANGES_MAX][16];
        struct range_delete ranges[RANGES_MAX];
        size_t count = 0;
        unsigned dead = 0, step = 1 + (unsigned)random_below(&fixture->random, 400);
        for (unsigned at = 0; at < KEYS && count < RANGES_MAX;) {
            unsigned from = at + (unsigned)random_below(&fixture->random, step);
            unsigned to = from + 1 + (unsigned)random_below(&fixture->random, 2 * step);
            if (to > KEYS)
                break;
            snprintf(keys[2 * count], sizeof(keys[0]), "%05u", from);
            snprintf(keys[2 * count + 1], sizeof(keys[0]), "%05u", to);
            ranges[count] = (struct range_delete){slice_from(keys[2 * count]),
                                                  slice_from(keys[2 * count + 1]), LSN + 1};
            count++;
            dead += to - from;
            at = to + 1;
        }
        struct range_map map;
        range_map_init(&map, ranges, count, UINT64_MAX);
        unsigned said = compaction_dead_percent(fixture->set, fixture->table, &map);
        range_map_release(&map);
        assert_true(said <= dead * 100 / KEYS + 1);
        if (dead * 100 / KEYS > 52)
            assert_true(said >= 50);
        worthwhile += said >= 50;
    }
    assert_true(worthwhile > 20);
}

static void deletion_that_is_not_newer_counts_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct range_delete range = {slice_from("0"), slice_from("9"), LSN};
    struct range_map map;
    range_map_init(&map, &range, 1, UINT64_MAX);
    assert_int_equal(compaction_dead_percent(fixture->set, fixture->table, &map), 0);
    range_map_release(&map);
    range.lsn = LSN + 1;
    range_map_init(&map, &range, 1, UINT64_MAX);
    assert_int_equal(compaction_dead_percent(fixture->set, fixture->table, &map), 100);
    range_map_release(&map);
}

/* 100 keys dead, 20 alive, and so on: only rows tell. */
static void table_that_cannot_be_read_counts_nothing(void **state)
{
    struct fixture *fixture = *state;
    char keys[34][16];
    struct range_delete ranges[17];
    for (unsigned i = 0; i < 17; i++) {
        snprintf(keys[2 * i], sizeof(keys[0]), "%05u", i * 120);
        snprintf(keys[2 * i + 1], sizeof(keys[0]), "%05u", i * 120 + 100 - 40 * (i % 2));
        ranges[i] = (struct range_delete){slice_from(keys[2 * i]), slice_from(keys[2 * i + 1]), 90};
    }
    struct range_map map;
    range_map_init(&map, ranges, 17, UINT64_MAX);
    unsigned said = 0;
    for (uint64_t n = 1; said == 0; n++) {
        assert_true(n < 1000);
        vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_OPEN | 1u << VFS_CALL_READ, n, STATUS_IO,
                       false);
        said = compaction_dead_percent(fixture->set, fixture->table, &map);
        vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_OPEN, 0, STATUS_OK, false);
        assert_true(said == 0 || n > 3);
    }
    assert_in_range(said, 50, 70);
    range_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(never_more_than_is_dead_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(deletion_that_is_not_newer_counts_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(table_that_cannot_be_read_counts_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
