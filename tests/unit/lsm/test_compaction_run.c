/* SPDX-License-Identifier: MIT */
/* Compactions over a real version set in memory. The model keeps every version and range deletion
 * ever written; what each snapshot sees must be the same before and after each compaction. */
#include "lsm/compaction_run.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/compaction_garbage.h"
#include "unit/lsm/array_cursor.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 60, VERSIONS_MAX = 20000, RANGES_MAX = 2000, SNAPSHOTS_MAX = 5 };

struct fixture {
    struct vfs *memory, *vfs;
    struct env env;
    struct block_cache *cache;
    struct lsm_options options;
    struct version_set *set;
    struct compaction_memory turns;
    struct random random;
    lsn_t next_lsn;
    char keys[KEYS + 1][16];
    char values[VERSIONS_MAX][24];
    struct entry versions[VERSIONS_MAX]; /* ascending LSN */
    size_t version_count;
    struct range_delete ranges[RANGES_MAX];
    size_t range_count;
    lsn_t snapshots[SNAPSHOTS_MAX]; /* ascending */
    size_t snapshot_count;
    struct compaction_counts counts; /* of all compactions */
};

static void open_set(struct fixture *fixture, enum lsm_compaction kind)
{
    bool created;
    fixture->options = (struct lsm_options){
        .trees = {{.name = "tree",
                   .compaction = kind,
                   .block_bytes = 128,
                   .filter_bits_per_key = 10,
                   .filter_prefix_bytes = 3}}, /* objects of ten keys */
        .tree_count = 1,
        .table_bytes_max = 600,
    };
    assert_int_equal(version_set_open(&fixture->env, "db", &fixture->options, fixture->cache, NULL,
                                      &fixture->set, &created),
                     STATUS_OK);
}

static struct fixture *fixture_create(enum lsm_compaction kind)
{
    struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
    fixture->memory = vfs_memory_create();
    fixture->vfs = vfs_fault_create(fixture->memory);
    fixture->env = memory_env(fixture->vfs);
    fixture->cache = block_cache_create(1 << 20);
    fixture->next_lsn = 100;
    random_init(&fixture->random, test_seed());
    for (int i = 0; i <= KEYS; i++)
        snprintf(fixture->keys[i], sizeof(fixture->keys[i]), "k%03d", i);
    assert_int_equal(fixture->vfs->ops->make_directory(fixture->vfs, "db"), STATUS_OK);
    open_set(fixture, kind);
    return fixture;
}

static void fixture_destroy(struct fixture *fixture)
{
    version_set_close(fixture->set);
    compaction_memory_release(&fixture->turns);
    block_cache_destroy(fixture->cache);
    vfs_destroy(fixture->vfs);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
}

/* ---- The model ----------------------------------------------------------------------------- */

/* The value at an LSN; an empty slice: none. */
static struct slice model_get(const struct fixture *fixture, struct slice key, lsn_t lsn)
{
    const struct entry *newest = NULL;
    for (size_t i = 0; i < fixture->version_count && fixture->versions[i].lsn <= lsn; i++) {
        if (slice_equal(fixture->versions[i].key, key))
            newest = &fixture->versions[i];
    }
    if (!newest || newest->kind == ENTRY_DELETE)
        return slice_make(NULL, 0);
    for (size_t i = 0; i < fixture->range_count; i++) {
        const struct range_delete *range = &fixture->ranges[i];
        if (range->lsn > newest->lsn && range->lsn <= lsn && slice_compare(range->from, key) <= 0 &&
            slice_compare(key, range->to) < 0)
            return slice_make(NULL, 0);
    }
    return newest->value;
}

/* The same, out of the tables: the newest of all that they hold, and their range deletions. */
static void see_table(struct fixture *fixture, struct table_ref *ref, struct slice key, lsn_t lsn,
                      struct entry *newest, struct block_pin *newest_pin, lsn_t *hidden)
{
    struct table *table;
    const struct table_read read = {0};
    struct entry found;
    struct block_pin pin = {NULL};
    assert_int_equal(table_ref_open(fixture->set, ref, false, &table), STATUS_OK);
    enum status status =
        table_get(table, key, lsn, &read, &found.kind, &found.lsn, &found.value, &pin);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    if (status == STATUS_OK && found.lsn > newest->lsn) {
        *newest = found;
        block_unpin(newest_pin);
        *newest_pin = pin;
    } else {
        block_unpin(&pin);
    }
    const struct range_delete *ranges;
    size_t count;
    table_range_deletes(table, &ranges, &count);
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].lsn <= lsn && ranges[i].lsn > *hidden &&
            slice_compare(ranges[i].from, key) <= 0 && slice_compare(key, ranges[i].to) < 0)
            *hidden = ranges[i].lsn;
    }
}

static void assert_key_at(struct fixture *fixture, const struct version *version, struct slice key,
                          lsn_t lsn)
{
    struct entry newest = {.lsn = 0};
    struct block_pin pin = {NULL};
    lsn_t hidden = 0;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &version->trees[0].levels[depth];
        for (size_t i = 0; i < level->count; i++)
            see_table(fixture, level->tables[i], key, lsn, &newest, &pin, &hidden);
    }
    bool is_there = newest.lsn > 0 && newest.kind == ENTRY_PUT && hidden <= newest.lsn;
    struct slice expected = model_get(fixture, key, lsn);
    if (is_there)
        assert_true(slice_equal(newest.value, expected));
    else
        assert_int_equal(expected.size, 0);
    block_unpin(&pin);
}

static void assert_all_snapshots(struct fixture *fixture)
{
    struct version *version = version_set_current(fixture->set);
    for (int key = 0; key < KEYS; key++) {
        for (size_t i = 0; i < fixture->snapshot_count; i++)
            assert_key_at(fixture, version, slice_from(fixture->keys[key]), fixture->snapshots[i]);
        assert_key_at(fixture, version, slice_from(fixture->keys[key]), fixture->next_lsn);
    }
    version_unref(version);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static void write_version(struct fixture *fixture, int key, enum entry_kind kind)
{
    size_t i = fixture->version_count++;
    assert_true(i < VERSIONS_MAX);
    snprintf(fixture->values[i], sizeof(fixture->values[i]), "value %u", (unsigned)i);
    fixture->versions[i] = (struct entry){slice_from(fixture->keys[key]),
                                                kind == ENTRY_PUT ? slice_from(fixture->values[i])
                                                                  : slice_make(NULL, 0),
                                                fixture->next_lsn, kind};
    fixture->next_lsn += 1 + random_below(&fixture->random, 20);
}

static void write_range(struct fixture *fixture, int from, int to)
{
    assert_true(fixture->range_count < RANGES_MAX);
    fixture->ranges[fixture->range_count++] = (struct range_delete){
        slice_from(fixture->keys[from]), slice_from(fixture->keys[to]), fixture->next_lsn};
    fixture->next_lsn += 1 + random_below(&fixture->random, 20);
}

/* Versions and ranges written from these counts on become a table of level 0. */
static void flush(struct fixture *fixture, size_t first_version, size_t first_range)
{
    size_t count = fixture->version_count - first_version;
    struct entry *sorted =
        memory_copy(fixture->versions + first_version, (count + 1) * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), array_entry_compare);
    char path[64];
    uint64_t number = version_set_next_number(fixture->set);
    const struct table_options options = {.block_bytes = 128, .filter_bits_per_key = 10};
    struct table_builder *builder;
    struct table_properties properties = {0};
    struct version_edit edit = {0};
    table_path("db", number, path, sizeof(path));
    assert_int_equal(table_builder_create(&fixture->env, path, &options, &builder), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(table_builder_add(builder, sorted[i].key, sorted[i].lsn, sorted[i].kind,
                                           sorted[i].value),
                         STATUS_OK);
    for (size_t i = first_range; i < fixture->range_count; i++)
        table_builder_add_range_delete(builder, fixture->ranges[i]);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    version_edit_add(&edit, 0, 0, number, &properties);
    assert_int_equal(version_set_apply(fixture->set, &edit), STATUS_OK);
    version_edit_release(&edit);
    memory_free(sorted);
}

static void write_and_flush_some(struct fixture *fixture)
{
    size_t first_version = fixture->version_count, first_range = fixture->range_count;
    uint64_t count = 1 + random_below(&fixture->random, 80);
    for (uint64_t i = 0; i < count; i++) {
        int key = (int)random_below(&fixture->random, KEYS);
        uint64_t what = random_below(&fixture->random, 40);
        if (what == 0)
            write_range(fixture, key, key + 1 + (int)random_below(&fixture->random, KEYS - key));
        else
            write_version(fixture, key, what < 12 ? ENTRY_DELETE : ENTRY_PUT);
    }
    flush(fixture, first_version, first_range);
}

static void change_snapshots(struct fixture *fixture)
{
    uint64_t what = random_below(&fixture->random, 4);
    if (what == 0 && fixture->snapshot_count < SNAPSHOTS_MAX &&
        (fixture->snapshot_count == 0 ||
         fixture->snapshots[fixture->snapshot_count - 1] < fixture->next_lsn - 1))
        fixture->snapshots[fixture->snapshot_count++] = fixture->next_lsn - 1;
    if (what == 1 && fixture->snapshot_count > 0) {
        size_t at = random_below(&fixture->random, fixture->snapshot_count);
        memmove(fixture->snapshots + at, fixture->snapshots + at + 1,
                (--fixture->snapshot_count - at) * sizeof(fixture->snapshots[0]));
    }
}

/* ---- Compacting ---------------------------------------------------------------------------- */

static struct compaction *start(struct fixture *fixture, struct version *version, bool everything,
                                lsn_t durable)
{
    struct range_delete ranges[RANGES_MAX];
    size_t range_count = 0;
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &version->trees[0].levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            struct table *table;
            const struct range_delete *some;
            size_t count;
            assert_int_equal(table_ref_open(fixture->set, level->tables[i], false, &table),
                             STATUS_OK);
            table_range_deletes(table, &some, &count);
            assert_true(range_count + count <= RANGES_MAX);
            for (size_t n = 0; n < count; n++)
                ranges[range_count + n] = some[n];
            range_count += count;
        }
    }
    const struct compaction_request request = {
        .options = &fixture->options,
        .everything = everything,
        .oldest_read = fixture->snapshot_count ? fixture->snapshots[0] : UINT64_MAX,
        .durable = durable,
        .ranges = {ranges},
        .range_counts = {range_count},
        .dead_percent = compaction_dead_percent,
        .context = fixture->set,
        .memory = &fixture->turns,
    };
    struct compaction_pick *pick = compaction_pick_create(version, &request);
    if (!pick)
        return NULL;
    const struct compaction_host host = {&fixture->env, "db", &fixture->options, fixture->set};
    lsn_t *lsns = memory_copy(fixture->snapshots, sizeof(fixture->snapshots));
    return compaction_create(&host, version, pick, lsns, fixture->snapshot_count, durable);
}

/* *done: there was nothing to do. */
static enum status compact_once(struct fixture *fixture, bool everything, lsn_t durable,
                                size_t budget, bool *done)
{
    struct version *version = version_set_current(fixture->set);
    struct compaction *compaction = start(fixture, version, everything, durable);
    version_unref(version);
    *done = !compaction;
    if (!compaction)
        return STATUS_OK;
    enum status status = STATUS_OK;
    bool finished = false;
    while (status == STATUS_OK && !finished)
        status = compaction_step(compaction, budget, &finished);
    if (status == STATUS_OK)
        status = version_set_apply(fixture->set, compaction_edit(compaction));
    struct compaction_counts counts;
    compaction_get_counts(compaction, &counts);
    fixture->counts.tables_dropped_unread += counts.tables_dropped_unread;
    fixture->counts.read_bytes += counts.read_bytes;
    fixture->counts.write_bytes += counts.write_bytes;
    compaction_destroy(compaction, status == STATUS_OK);
    return status;
}

static void compact_all(struct fixture *fixture, bool everything)
{
    bool done = false;
    for (int i = 0; !done; i++) {
        assert_true(i < 1000);
        assert_int_equal(compact_once(fixture, everything, UINT64_MAX, 500, &done), STATUS_OK);
    }
}

struct table_sums {
    uint64_t tables, entries, deletes, range_deletes;
};

static struct table_sums sums_of(struct fixture *fixture)
{
    struct version *version = version_set_current(fixture->set);
    struct table_sums sums = {0};
    for (unsigned depth = 0; depth < LSM_LEVELS_MAX; depth++) {
        const struct version_level *level = &version->trees[0].levels[depth];
        for (size_t i = 0; i < level->count; i++) {
            sums.tables++;
            sums.entries += level->tables[i]->properties.entry_count;
            sums.deletes += level->tables[i]->properties.delete_count;
            sums.range_deletes += level->tables[i]->properties.range_delete_count;
        }
    }
    version_unref(version);
    return sums;
}

static void verify_file(void *context, const char *name)
{
    struct fixture *fixture = context;
    if (!strstr(name, ".cwt"))
        return;
    char path[300];
    struct lsm_report report;
    snprintf(path, sizeof(path), "db/%s", name);
    assert_int_equal(table_verify(&fixture->env, path, NULL, &report), STATUS_OK);
}

static void random_work(enum lsm_compaction kind)
{
    struct fixture *fixture = fixture_create(kind);
    for (int round = 0; round < 150; round++) {
        write_and_flush_some(fixture);
        change_snapshots(fixture);
        bool done;
        /* Now and then the newest range deletions are not durable yet. */
        lsn_t durable = random_below(&fixture->random, 4) ? UINT64_MAX : fixture->next_lsn - 300;
        size_t budget = 1 + random_below(&fixture->random, 3000);
        bool everything = random_below(&fixture->random, 20) == 0;
        assert_int_equal(compact_once(fixture, everything, durable, budget, &done), STATUS_OK);
        if (round % 5 == 0)
            assert_all_snapshots(fixture);
    }
    compact_all(fixture, false);
    assert_all_snapshots(fixture);
    compact_all(fixture, true);
    assert_all_snapshots(fixture);
    assert_int_equal(fixture->vfs->ops->list(fixture->vfs, "db", verify_file, fixture), STATUS_OK);

    /* Without snapshots nothing is left but what is alive. */
    fixture->snapshot_count = 0;
    write_and_flush_some(fixture);
    compact_all(fixture, true);
    assert_all_snapshots(fixture);
    uint64_t alive = 0;
    for (int key = 0; key < KEYS; key++)
        alive += model_get(fixture, slice_from(fixture->keys[key]), UINT64_MAX).size > 0;
    struct table_sums sums = sums_of(fixture);
    assert_int_equal(sums.entries, alive);
    assert_int_equal(sums.deletes, 0);
    assert_int_equal(sums.range_deletes, 0);
    fixture_destroy(fixture);
}

static void leveled_compaction_keeps_what_snapshots_see(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        random_work(LSM_LEVELED);
}

static void merged_time_runs_keep_what_snapshots_see(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        random_work(LSM_TIME_RUNS);
}

/* ---- Small cases --------------------------------------------------------------------------- */

static void runs_under_a_range_deletion_are_never_read(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_TIME_RUNS);
    for (int table = 0; table < 5; table++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < 10; key++)
            write_version(fixture, 10 * table + key, ENTRY_PUT);
        flush(fixture, first, fixture->range_count);
    }
    /* Three deletions that follow each other cover the first four tables together. */
    size_t ranges = fixture->range_count;
    write_range(fixture, 0, 15);
    write_range(fixture, 15, 16);
    write_range(fixture, 16, 40);
    flush(fixture, fixture->version_count, ranges);
    /* A snapshot from before keeps them. */
    fixture->snapshots[0] = fixture->ranges[0].lsn - 1;
    fixture->snapshot_count = 1;
    compact_all(fixture, false);
    assert_int_equal(sums_of(fixture).tables, 6);
    fixture->snapshot_count = 0;
    struct vfs_fault_counters before, after;
    vfs_fault_counters(fixture->vfs, &before);
    compact_all(fixture, false);
    vfs_fault_counters(fixture->vfs, &after);
    assert_int_equal(sums_of(fixture).tables, 2);
    assert_int_equal(fixture->counts.tables_dropped_unread, 4);
    assert_int_equal(fixture->counts.read_bytes, 0);
    assert_int_equal(after.calls[VFS_CALL_READ], before.calls[VFS_CALL_READ]);
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

/* Most of a merged run is deleted, but not its ends: it is written again, without reading what
 * lies under the deletion. */
static void mostly_dead_run_is_written_again(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_TIME_RUNS);
    fixture->options.table_bytes_max = 1 << 20;
    for (int key = 0; key < KEYS; key++)
        write_version(fixture, key, ENTRY_PUT);
    flush(fixture, 0, 0);
    compact_all(fixture, true);
    struct version *version = version_set_current(fixture->set);
    struct table_ref *run = version->trees[0].levels[2].tables[0];
    struct range_map map = {.pieces = &(struct range_delete){slice_from(fixture->keys[4]),
                                                             slice_from(fixture->keys[57]),
                                                             fixture->next_lsn},
                            .count = 1};
    assert_in_range(compaction_dead_percent(fixture->set, run, &map), 60, 90);
    map.pieces->lsn = run->properties.lsn_max;
    assert_int_equal(compaction_dead_percent(fixture->set, run, &map), 0);
    version_unref(version);
    write_range(fixture, 4, 57);
    flush(fixture, fixture->version_count, 0);
    compact_all(fixture, false);
    assert_int_equal(sums_of(fixture).tables, 2);
    assert_int_equal(sums_of(fixture).entries, KEYS - 53);
    assert_all_snapshots(fixture);
    compact_all(fixture, true);
    assert_int_equal(sums_of(fixture).tables, 1);
    assert_int_equal(sums_of(fixture).range_deletes, 0);
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

/* Each object has less than a block, and what deletes one does not reach the next: the index alone
 * cannot tell that all are dead. */
static void run_of_small_dead_objects_goes(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_TIME_RUNS);
    fixture->options.table_bytes_max = 1 << 20;
    for (int key = 0; key < KEYS; key++) {
        if (key % 3 < 2)
            write_version(fixture, key, ENTRY_PUT);
    }
    flush(fixture, 0, 0);
    compact_all(fixture, true);
    for (int key = 0; key < KEYS; key += 3)
        write_range(fixture, key, key + 2);
    flush(fixture, fixture->version_count, 0);
    compact_all(fixture, false);
    assert_int_equal(sums_of(fixture).tables, 0);
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

static size_t level_count(struct fixture *fixture, unsigned depth)
{
    struct version *version = version_set_current(fixture->set);
    size_t count = version->trees[0].levels[depth].count;
    version_unref(version);
    return count;
}

/* The next compaction moves tables from one level to the next: it reads and writes none, and they are
 * the same files under the new level, also after the set is opened again. */
static void expect_move(struct fixture *fixture, unsigned from, size_t moved)
{
    struct vfs_fault_counters before, after;
    size_t above = level_count(fixture, from), below = level_count(fixture, from + 1);
    struct compaction_counts counts = fixture->counts;
    bool done;
    assert_all_snapshots(fixture); /* opens the tables, so that picking reads nothing */
    vfs_fault_counters(fixture->vfs, &before);
    assert_int_equal(compact_once(fixture, false, UINT64_MAX, 500, &done), STATUS_OK);
    vfs_fault_counters(fixture->vfs, &after);
    assert_false(done);
    assert_int_equal(level_count(fixture, from), above - moved);
    assert_int_equal(level_count(fixture, from + 1), below + moved);
    assert_int_equal(fixture->counts.read_bytes, counts.read_bytes);
    assert_int_equal(fixture->counts.write_bytes, counts.write_bytes);
    assert_int_equal(after.calls[VFS_CALL_READ], before.calls[VFS_CALL_READ]);
    assert_int_equal(after.calls[VFS_CALL_WRITE], before.calls[VFS_CALL_WRITE] + 1); /* the edit */
    assert_all_snapshots(fixture);
    version_set_close(fixture->set);
    open_set(fixture, fixture->options.trees[0].compaction);
    assert_int_equal(level_count(fixture, from + 1), below + moved);
    assert_all_snapshots(fixture);
}

static void tables_with_nothing_below_them_are_moved(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_LEVELED);
    fixture->options.table_bytes_max = 300;
    for (int table = 0; table < 4; table++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < KEYS; key++)
            write_version(fixture, key, ENTRY_PUT);
        flush(fixture, first, 0);
    }
    bool done;
    assert_int_equal(compact_once(fixture, false, UINT64_MAX, 1 << 20, &done), STATUS_OK);
    assert_int_equal(level_count(fixture, 0), 0);
    assert_true(level_count(fixture, 1) > 2);
    expect_move(fixture, 1, 1);
    assert_int_equal(level_count(fixture, 2), 1);
    fixture_destroy(fixture);
}

/* The manifest says more than the file has: the deletions are those of the file. */
static void a_table_without_the_range_deletions_it_is_said_to_have_is_merged(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_LEVELED);
    for (int table = 0; table < 4; table++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < KEYS; key++)
            write_version(fixture, key, ENTRY_PUT);
        flush(fixture, first, 0);
    }
    struct version *version = version_set_current(fixture->set);
    version->trees[0].levels[0].tables[1]->properties.range_delete_count = 2;
    version_unref(version);
    compact_all(fixture, true);
    assert_int_equal(sums_of(fixture).range_deletes, 0);
    assert_int_equal(sums_of(fixture).entries, KEYS);
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

static void large_runs_that_follow_each_other_are_moved(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_TIME_RUNS);
    for (int table = 0; table < 8; table++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < KEYS / 8; key++)
            write_version(fixture, KEYS / 8 * table + key, ENTRY_PUT);
        flush(fixture, first, 0);
    }
    expect_move(fixture, 0, 8);
    fixture_destroy(fixture);
}

static void deletion_stays_while_an_older_version_may_exist(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_TIME_RUNS);
    for (int key = 0; key < KEYS; key++)
        write_version(fixture, key, ENTRY_PUT);
    flush(fixture, 0, 0);
    compact_all(fixture, true); /* now at the last level */
    for (int table = 0; table < 8; table++) {
        size_t first = fixture->version_count, range = fixture->range_count;
        write_version(fixture, table, ENTRY_DELETE);
        if (table == 0)
            write_range(fixture, 20, 30);
        flush(fixture, first, range);
    }
    compact_all(fixture, false);
    assert_int_equal(sums_of(fixture).deletes, 8);
    assert_int_equal(sums_of(fixture).range_deletes, 1);
    assert_all_snapshots(fixture);
    compact_all(fixture, true);
    assert_int_equal(sums_of(fixture).deletes, 0);
    assert_int_equal(sums_of(fixture).range_deletes, 0);
    assert_int_equal(sums_of(fixture).entries, KEYS - 8 - 10);
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

static void versions_of_a_key_stay_in_one_table(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_LEVELED);
    for (int table = 0; table < 4; table++) {
        size_t first = fixture->version_count;
        for (int i = 0; i < 100; i++)
            write_version(fixture, 7 + i / 60, ENTRY_PUT);
        flush(fixture, first, 0);
    }
    /* Somebody reads everywhere; the versions of one key are larger than a table. */
    struct version *version = version_set_current(fixture->set);
    const struct compaction_request request = {.options = &fixture->options,
                                               .oldest_read = 1,
                                               .durable = UINT64_MAX,
                                               .memory = &fixture->turns};
    const struct compaction_host host = {&fixture->env, "db", &fixture->options, fixture->set};
    lsn_t *lsns = memory_allocate(fixture->next_lsn * sizeof(lsn_t));
    for (lsn_t lsn = 1; lsn <= fixture->next_lsn; lsn++)
        lsns[lsn - 1] = lsn;
    struct compaction *compaction =
        compaction_create(&host, version, compaction_pick_create(version, &request), lsns,
                          fixture->next_lsn, UINT64_MAX);
    version_unref(version);
    bool finished = false;
    while (!finished)
        assert_int_equal(compaction_step(compaction, 1000, &finished), STATUS_OK);
    assert_int_equal(compaction_edit(compaction)->added_count, 2);
    assert_int_equal(version_set_apply(fixture->set, compaction_edit(compaction)), STATUS_OK);
    compaction_destroy(compaction, true);
    assert_int_equal(sums_of(fixture).entries, 400);
    fixture->snapshots[0] = 150;
    fixture->snapshots[1] = 1500;
    fixture->snapshot_count = 2;
    assert_all_snapshots(fixture);
    fixture_destroy(fixture);
}

static void count_table(void *context, const char *name)
{
    *(uint64_t *)context += strstr(name, ".cwt") != NULL;
}

static void fail_every_call(enum lsm_compaction kind)
{
    const unsigned calls = 1u << VFS_CALL_OPEN | 1u << VFS_CALL_READ | 1u << VFS_CALL_WRITE |
                           1u << VFS_CALL_SYNC | 1u << VFS_CALL_SYNC_DIRECTORY;
    struct fixture *fixture = fixture_create(kind);
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < KEYS; key++)
            write_version(fixture, key, ENTRY_PUT);
        flush(fixture, first, 0);
        uint64_t files = 0;
        bool done;
        assert_all_snapshots(fixture); /* opens the tables, so that picking reads nothing */
        vfs_fault_fail(fixture->vfs, calls, n, STATUS_IO, false);
        failed = compact_once(fixture, true, UINT64_MAX, 300, &done) != STATUS_OK;
        vfs_fault_fail(fixture->vfs, calls, 0, STATUS_OK, false);
        assert_false(done);
        assert_int_equal(fixture->vfs->ops->list(fixture->vfs, "db", count_table, &files),
                         STATUS_OK);
        assert_int_equal(files, sums_of(fixture).tables);
        assert_all_snapshots(fixture);
    }
    assert_true(n > 10);
    fixture_destroy(fixture);
}

static void every_failing_call_leaves_the_old_version_and_no_file(void **state)
{
    (void)state;
    fail_every_call(LSM_LEVELED);
    fail_every_call(LSM_TIME_RUNS);
}

static void abandoned_compaction_leaves_no_file(void **state)
{
    (void)state;
    struct fixture *fixture = fixture_create(LSM_LEVELED);
    for (int i = 0; i < 6; i++) {
        size_t first = fixture->version_count;
        for (int key = 0; key < KEYS; key++)
            write_version(fixture, key, ENTRY_PUT);
        flush(fixture, first, 0);
    }
    uint64_t before = 0, after = 0;
    assert_int_equal(fixture->vfs->ops->list(fixture->vfs, "db", count_table, &before), STATUS_OK);
    struct version *version = version_set_current(fixture->set);
    struct compaction *compaction = start(fixture, version, true, UINT64_MAX);
    version_unref(version);
    bool finished;
    assert_int_equal(compaction_step(compaction, 9000, &finished), STATUS_OK);
    assert_false(finished);
    assert_true(compaction_edit(compaction)->added_count > 0);
    compaction_destroy(compaction, false);
    assert_int_equal(fixture->vfs->ops->list(fixture->vfs, "db", count_table, &after), STATUS_OK);
    assert_int_equal(before, after);
    compaction_destroy(NULL, false);
    fixture_destroy(fixture);
}

/* With range deletions that a snapshot keeps, on tables that are not open yet. */
static enum status merge_all(struct fixture *fixture)
{
    struct version *version = version_set_current(fixture->set);
    const struct compaction_request request = {.options = &fixture->options,
                                               .everything = true,
                                               .oldest_read = fixture->snapshots[0],
                                               .durable = UINT64_MAX,
                                               .memory = &fixture->turns};
    const struct compaction_host host = {&fixture->env, "db", &fixture->options, fixture->set};
    lsn_t *lsns = memory_copy(fixture->snapshots, sizeof(fixture->snapshots));
    struct compaction *compaction =
        compaction_create(&host, version, compaction_pick_create(version, &request), lsns,
                          fixture->snapshot_count, UINT64_MAX);
    version_unref(version);
    enum status status = STATUS_OK;
    bool finished = false;
    while (status == STATUS_OK && !finished)
        status = compaction_step(compaction, 300, &finished);
    if (status == STATUS_OK)
        status = version_set_apply(fixture->set, compaction_edit(compaction));
    compaction_destroy(compaction, status == STATUS_OK);
    return status;
}

static void every_failing_call_over_range_deletions_is_told(void **state)
{
    (void)state;
    const unsigned calls = 1u << VFS_CALL_OPEN | 1u << VFS_CALL_READ | 1u << VFS_CALL_WRITE |
                           1u << VFS_CALL_SYNC | 1u << VFS_CALL_SYNC_DIRECTORY;
    struct fixture *fixture = fixture_create(LSM_LEVELED);
    for (int table = 0; table < 3; table++) {
        size_t first = fixture->version_count, range = fixture->range_count;
        for (int key = 0; key < KEYS; key++)
            write_version(fixture, key, ENTRY_PUT);
        if (table == 0)
            fixture->snapshots[fixture->snapshot_count++] = fixture->next_lsn - 1;
        write_range(fixture, 10 * table, 10 * table + 25);
        flush(fixture, first, range);
    }
    size_t first = fixture->version_count, range = fixture->range_count;
    write_range(fixture, 5, 55);
    flush(fixture, first, range); /* a table of a deletion alone */
    uint64_t n = 1;
    for (enum status status = STATUS_IO; status != STATUS_OK; n++) {
        uint64_t files = 0;
        version_set_close(fixture->set);
        open_set(fixture, LSM_LEVELED);
        vfs_fault_fail(fixture->vfs, calls, n, STATUS_IO, false);
        status = merge_all(fixture);
        vfs_fault_fail(fixture->vfs, calls, 0, STATUS_OK, false);
        assert_true(status == STATUS_OK || status == STATUS_IO);
        assert_int_equal(fixture->vfs->ops->list(fixture->vfs, "db", count_table, &files),
                         STATUS_OK);
        assert_int_equal(files, sums_of(fixture).tables);
        assert_all_snapshots(fixture);
    }
    assert_true(n > 10);
    printf("ran: %u failed calls of a compaction\n", (unsigned)n - 2);
    fixture_destroy(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_call_over_range_deletions_is_told),
        cmocka_unit_test(leveled_compaction_keeps_what_snapshots_see),
        cmocka_unit_test(merged_time_runs_keep_what_snapshots_see),
        cmocka_unit_test(runs_under_a_range_deletion_are_never_read),
        cmocka_unit_test(mostly_dead_run_is_written_again),
        cmocka_unit_test(run_of_small_dead_objects_goes),
        cmocka_unit_test(tables_with_nothing_below_them_are_moved),
        cmocka_unit_test(a_table_without_the_range_deletions_it_is_said_to_have_is_merged),
        cmocka_unit_test(large_runs_that_follow_each_other_are_moved),
        cmocka_unit_test(deletion_stays_while_an_older_version_may_exist),
        cmocka_unit_test(versions_of_a_key_stay_in_one_table),
        cmocka_unit_test(every_failing_call_leaves_the_old_version_and_no_file),
        cmocka_unit_test(abandoned_compaction_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
