/* SPDX-License-Identifier: MIT */
#include "lsm/level_cursor.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/seed.h"
#include "unit/lsm/array_cursor.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 300 };

/* Level 1 of a tree: tables of some keys each; now and then one with a range deletion only. */
struct fixture {
    struct vfs *memory, *vfs;
    struct env env;
    struct block_cache *cache;
    struct lsm_options options;
    struct version_set *set;
    struct random random;
    char keys[KEYS][16];
    struct entry entries[KEYS];
    size_t count;
};

static void add_table(struct fixture *fixture, struct version_edit *edit, size_t first, size_t end,
                      const struct range_delete *range)
{
    char path[64];
    uint64_t number = version_set_next_number(fixture->set);
    const struct table_options options = {.block_bytes = 100};
    struct table_builder *builder;
    struct table_properties properties = {0};
    table_path("db", number, path, sizeof(path));
    assert_int_equal(table_builder_create(&fixture->env, path, &options, &builder), STATUS_OK);
    for (size_t i = first; i < end; i++)
        assert_int_equal(table_builder_add(builder, fixture->entries[i].key,
                                           fixture->entries[i].lsn, ENTRY_PUT,
                                           fixture->entries[i].value),
                         STATUS_OK);
    if (range)
        table_builder_add_range_delete(builder, *range);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    version_edit_add(edit, 0, 1, number, &properties);
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
    fixture->options = (struct lsm_options){.trees = {{.name = "tree", .compaction = LSM_LEVELED}},
                                            .tree_count = 1};
    assert_int_equal(fixture->vfs->ops->make_directory(fixture->vfs, "db"), STATUS_OK);
    assert_int_equal(version_set_open(&fixture->env, "db", &fixture->options, fixture->cache, NULL,
                                      &fixture->set, &created),
                     STATUS_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    version_set_close(fixture->set);
    block_cache_destroy(fixture->cache);
    vfs_destroy(fixture->vfs);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
    return 0;
}

/* Keys 10, 20, 30 ...; between two tables there may be one of a deletion over keys of neither. */
static void fill(struct fixture *fixture)
{
    struct version_edit edit = {0};
    for (size_t i = 0; i < KEYS; i++) {
        snprintf(fixture->keys[i], sizeof(fixture->keys[i]), "%05u", (unsigned)(i + 1) * 10);
        fixture->entries[i] = (struct entry){slice_from(fixture->keys[i]),
                                             slice_from(fixture->keys[i]), 5 + i, ENTRY_PUT};
    }
    fixture->count = KEYS;
    for (size_t first = 0; first < KEYS;) {
        size_t end = first + 1 + random_below(&fixture->random, 40);
        if (end > KEYS)
            end = KEYS;
        add_table(fixture, &edit, first, end, NULL);
        if (random_below(&fixture->random, 3) == 0) {
            char from[24], to[24];
            snprintf(from, sizeof(from), "%05u", (unsigned)end * 10 + 3);
            snprintf(to, sizeof(to), "%05u", (unsigned)end * 10 + 10); /* the next key, exclusive */
            const struct range_delete range = {slice_from(from), slice_from(to), 900};
            add_table(fixture, &edit, 0, 0, &range);
        }
        first = end;
    }
    assert_int_equal(version_set_apply(fixture->set, &edit), STATUS_OK);
    version_edit_release(&edit);
}

static void move_both(struct fixture *fixture, struct cursor *pair[2])
{
    char text[24];
    snprintf(text, sizeof(text), "%05u",
             (unsigned)random_below(&fixture->random, 10 * KEYS + 20) / 5 * 5);
    struct slice key = slice_from(text);
    lsn_t lsn = random_below(&fixture->random, KEYS + 10);
    uint64_t what = random_below(&fixture->random, 30);
    for (int i = 0; i < 2; i++) {
        struct cursor *cursor = pair[i];
        if (what < 4)
            cursor->ops->seek(cursor, key, lsn);
        else if (what < 8)
            cursor->ops->seek_for_prev(cursor, key);
        else if (what == 8 || (!cursor->valid && what < 20))
            cursor->ops->first(cursor);
        else if (what == 9 || !cursor->valid)
            cursor->ops->last(cursor);
        else if (what < 20)
            cursor->ops->next(cursor);
        else
            cursor->ops->prev(cursor);
    }
}

static void level_moves_like_one_array(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    struct version *version = version_set_current(fixture->set);
    const struct version_level *level = &version->trees[0].levels[1];
    const struct table_read read = {0};
    struct cursor *pair[2] = {level_cursor_create(fixture->set, level->tables, level->count, &read),
                              array_cursor_create(fixture->entries, fixture->count)};
    for (int step = 0; step < 20000; step++) {
        move_both(fixture, pair);
        assert_int_equal(pair[0]->status, STATUS_OK);
        assert_int_equal(pair[0]->valid, pair[1]->valid);
        if (!pair[0]->valid)
            continue;
        assert_true(slice_equal(pair[0]->key, pair[1]->key));
        assert_true(slice_equal(pair[0]->value, pair[1]->value));
        assert_int_equal(pair[0]->lsn, pair[1]->lsn);
        assert_true(array_cursor_follow_run(pair[0], pair[1], random_below(&fixture->random, 2),
                                            random_below(&fixture->random, 20)));
        assert_true(slice_equal(pair[0]->key, pair[1]->key));
    }
    pair[0]->ops->destroy(pair[0]);
    pair[1]->ops->destroy(pair[1]);
    version_unref(version);
}

static void empty_level_has_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct table_read read = {0};
    struct cursor *cursor = level_cursor_create(fixture->set, NULL, 0, &read);
    cursor->ops->first(cursor);
    assert_false(cursor->valid);
    cursor->ops->last(cursor);
    assert_false(cursor->valid);
    cursor->ops->seek(cursor, slice_from("a"), 1);
    assert_false(cursor->valid);
    cursor->ops->seek_for_prev(cursor, slice_from("a"));
    assert_false(cursor->valid);
    assert_int_equal(cursor->status, STATUS_OK);
    cursor->ops->destroy(cursor);
}

/* Every table on the way is missed once when it is not open, then blocks are. */
static void nowait_cursor_names_the_table_to_open(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    struct version *version = version_set_current(fixture->set);
    const struct version_level *level = &version->trees[0].levels[1];
    struct table_miss miss;
    const struct table_read read = {.nowait = true, .miss = &miss};
    struct cursor *cursor = level_cursor_create(fixture->set, level->tables, level->count, &read);
    size_t opened = 0, fetched = 0, seen = 0;
    struct slice at = slice_from("");
    while (seen < fixture->count) {
        vfs_fault_hold(fixture->vfs, 1u << VFS_CALL_READ, ".cwt");
        miss = (struct table_miss){0};
        if (cursor->valid)
            cursor->ops->next(cursor);
        else
            cursor->ops->seek(cursor, at, UINT64_MAX);
        vfs_fault_release(fixture->vfs);
        if (cursor->status == STATUS_WOULD_BLOCK && miss.ref) {
            struct table *table;
            assert_int_equal(table_ref_open(fixture->set, miss.ref, false, &table), STATUS_OK);
            opened++;
            /* Placed anew; the entry seen last is shown again. */
        } else if (cursor->status == STATUS_WOULD_BLOCK) {
            assert_int_equal(table_fetch(&miss, NULL), STATUS_OK);
            fetched++;
        } else {
            assert_true(cursor->valid);
            if (seen > 0 && slice_equal(cursor->key, fixture->entries[seen - 1].key))
                continue;
            assert_true(slice_equal(cursor->key, fixture->entries[seen].key));
            at = fixture->entries[seen++].key;
        }
    }
    /* A table without entries at the end of the level need not be entered. */
    assert_in_range(opened, level->count - 1, level->count);
    assert_true(fetched > opened);
    cursor->ops->destroy(cursor);
    version_unref(version);
}

static void first(struct cursor *cursor)
{
    cursor->ops->first(cursor);
}
static void last(struct cursor *cursor)
{
    cursor->ops->last(cursor);
}
static void seek(struct cursor *cursor)
{
    cursor->ops->seek(cursor, slice_from("01000"), UINT64_MAX);
}
static void seek_for_prev(struct cursor *cursor)
{
    cursor->ops->seek_for_prev(cursor, slice_from("02000"));
}

/* Each goes to another table, which nobody has opened yet. */
static void a_place_in_a_table_that_does_not_open_is_none(void **state)
{
    static const struct {
        void (*move)(struct cursor *cursor);
        const char *key;
    } moves[] = {{first, "00010"}, {last, "03000"}, {seek, "01000"}, {seek_for_prev, "02000"}};
    struct fixture *fixture = *state;
    fill(fixture);
    struct version *version = version_set_current(fixture->set);
    const struct version_level *level = &version->trees[0].levels[1];
    const struct table_read read = {0};
    struct cursor *cursor = level_cursor_create(fixture->set, level->tables, level->count, &read);
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_OPEN, 1, STATUS_IO, false);
        moves[i].move(cursor);
        assert_int_equal(vfs_fault_failed_count(fixture->vfs), i + 1);
        assert_false(cursor->valid);
        assert_int_equal(cursor->status, STATUS_IO);
        moves[i].move(cursor);
        assert_int_equal(cursor->status, STATUS_OK);
        assert_true(cursor->valid);
        assert_true(slice_equal(cursor->key, slice_from(moves[i].key)));
    }
    cursor->ops->destroy(cursor);
    version_unref(version);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(level_moves_like_one_array, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_level_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(nowait_cursor_names_the_table_to_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_place_in_a_table_that_does_not_open_is_none, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
