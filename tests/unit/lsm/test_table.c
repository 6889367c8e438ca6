/* SPDX-License-Identifier: MIT */
/* Builder, reader, cursor and verification of tables together, against an array; with blocks of rows
 * and with encoded ones, compressed by LZ4 and by Zstandard. */
#include "lsm/table.h"

#include "base/memory.h"
#include "base/random.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"
#include "lsm/table_format.h"
#include "unit/lsm/array_cursor.h"
#include "unit/lsm/format_example.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENTRIES_MAX = 3000, KEY_MAX = 24, CACHE_BYTES = 1 << 20 };
#define PATH "000007.cwt"

struct fixture {
    struct vfs *memory, *vfs; /* vfs: the fault-injecting one above */
    struct env env;
    struct block_cache *cache;
    const struct block_codec *codec; /* of the tables that are built; NULL: none */
    enum lsm_compression compression; /* likewise */
    struct random random;
    char keys[ENTRIES_MAX][KEY_MAX];
    uint8_t text[4096];
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

static int setup(void **state)
{
    struct fixture *fixture = memory_zeroed(1, sizeof(*fixture));
    fixture->memory = vfs_memory_create();
    fixture->vfs = vfs_fault_create(fixture->memory);
    fixture->env = memory_env(fixture->vfs);
    fixture->cache = block_cache_create(CACHE_BYTES);
    random_init(&fixture->random, test_seed());
    for (size_t i = 0; i < sizeof(fixture->text); i++)
        fixture->text[i] = (uint8_t)(i % 61 < 30 ? random_next(&fixture->random) : 'x');
    *state = fixture;
    return 0;
}

static int setup_encoded(void **state)
{
    setup(state);
    ((struct fixture *)*state)->codec = &prefix_codec;
    return 0;
}

/* A build without it tests LZ4 once more. */
static int setup_zstd(void **state)
{
    setup(state);
    ((struct fixture *)*state)->compression = lsm_has_zstd() ? LSM_ZSTD : LSM_LZ4;
    return 0;
}

static int setup_encoded_zstd(void **state)
{
    setup_zstd(state);
    ((struct fixture *)*state)->codec = &prefix_codec;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    block_cache_destroy(fixture->cache);
    vfs_destroy(fixture->vfs);
    vfs_destroy(fixture->memory);
    memory_free(fixture);
    return 0;
}

/* Random entries: `keys` different keys, so that some have many versions. */
static void make_entries(struct fixture *fixture, size_t count, uint64_t keys)
{
    struct random *random = &fixture->random;
    for (size_t i = 0; i < count; i++) {
        snprintf(fixture->keys[i], KEY_MAX, "key/%06llu",
                 (unsigned long long)random_below(random, keys) * 2);
        size_t size = random_below(random, random_below(random, 50) ? 60 : sizeof(fixture->text));
        bool is_put = random_below(random, 5) > 0;
        fixture->entries[i] = (struct entry){slice_from(fixture->keys[i]),
                                             slice_make(fixture->text, is_put ? size : 0),
                                             100000 + i * 37, is_put ? ENTRY_PUT : ENTRY_DELETE};
    }
    qsort(fixture->entries, count, sizeof(fixture->entries[0]), array_entry_compare);
    fixture->count = count;
}

static enum status build(struct fixture *fixture, const struct table_options *options,
                         const struct range_delete *ranges, size_t range_count,
                         struct table_properties *properties)
{
    struct table_builder *builder = NULL;
    struct table_options layout = *options;
    layout.codec = fixture->codec;
    layout.compression = fixture->compression;
    enum status status = table_builder_create(&fixture->env, PATH, &layout, &builder);
    for (size_t i = 0; i < range_count && status == STATUS_OK; i++)
        table_builder_add_range_delete(builder, ranges[i]);
    for (size_t i = 0; i < fixture->count && status == STATUS_OK; i++) {
        const struct entry *entry = &fixture->entries[i];
        status = table_builder_add(builder, entry->key, entry->lsn, entry->kind, entry->value);
    }
    if (status == STATUS_OK)
        status = table_builder_finish(builder, properties);
    table_builder_destroy(builder);
    return status;
}

static struct table *build_and_open(struct fixture *fixture, const struct table_options *options)
{
    struct table_properties properties = {0};
    struct table *table;
    struct lsm_report report = {""};
    assert_int_equal(build(fixture, options, NULL, 0, &properties), STATUS_OK);
    assert_int_equal(
        table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, false, &report, &table),
        STATUS_OK);
    assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_OK);
    assert_int_equal(properties.entry_count, fixture->count);
    assert_true(slice_equal(buffer_slice(&properties.smallest), fixture->entries[0].key));
    assert_true(
        slice_equal(buffer_slice(&properties.largest), fixture->entries[fixture->count - 1].key));
    table_properties_release(&properties);
    return table;
}

static void assert_same(const struct cursor *a, const struct cursor *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->valid, b->valid);
    if (!a->valid)
        return;
    assert_true(slice_equal(a->key, b->key));
    assert_true(slice_equal(a->value, b->value));
    assert_int_equal(a->lsn, b->lsn);
    assert_int_equal(a->kind, b->kind);
}

/* Also keys that are not there, shorter and longer ones. */
static struct slice random_key(struct fixture *fixture, char text[KEY_MAX], uint64_t keys)
{
    snprintf(text, KEY_MAX, "key/%06llu%s",
             (unsigned long long)random_below(&fixture->random, 2 * keys + 2),
             random_below(&fixture->random, 4) ? "" : "x");
    size_t size = strlen(text);
    return slice_make(
        text, random_below(&fixture->random, 5) ? size : random_below(&fixture->random, size + 1));
}

static void move_both(struct fixture *fixture, struct cursor *pair[2], uint64_t keys)
{
    char text[KEY_MAX];
    struct slice key = random_key(fixture, text, keys);
    lsn_t lsn = 100000 + random_below(&fixture->random, fixture->count * 37 + 10);
    uint64_t what = random_below(&fixture->random, 100);
    for (int i = 0; i < 2; i++) {
        struct cursor *cursor = pair[i];
        if (what < 10)
            cursor->ops->seek(cursor, key, lsn);
        else if (what < 20)
            cursor->ops->seek_for_prev(cursor, key);
        else if (what == 20 || (!cursor->valid && what < 60))
            cursor->ops->first(cursor);
        else if (what == 21 || !cursor->valid)
            cursor->ops->last(cursor);
        else if (what < 60)
            cursor->ops->next(cursor);
        else
            cursor->ops->prev(cursor);
    }
}

static void cursor_moves_like_an_array(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t key_counts[] = {1, 3, 50, 1000, 100000};
    static const uint32_t block_sizes[] = {64, 512, 4096};
    for (size_t k = 0; k < sizeof(key_counts) / sizeof(key_counts[0]); k++) {
        for (size_t b = 0; b < sizeof(block_sizes) / sizeof(block_sizes[0]); b++) {
            make_entries(fixture, 1 + random_below(&fixture->random, ENTRIES_MAX), key_counts[k]);
            const struct table_options options = {.block_bytes = block_sizes[b],
                                                  .filter_bits_per_key = 10};
            struct table *table = build_and_open(fixture, &options);
            const struct table_read read = {.keep_cache = b == 1};
            struct cursor *pair[2] = {table_cursor_create(table, &read),
                                      array_cursor_create(fixture->entries, fixture->count)};
            for (int step = 0; step < 2000; step++) {
                move_both(fixture, pair, key_counts[k]);
                assert_same(pair[0], pair[1]);
                if (!pair[0]->valid || random_below(&fixture->random, 3))
                    continue;
                assert_true(array_cursor_follow_run(pair[0], pair[1],
                                                    random_below(&fixture->random, 2),
                                                    random_below(&fixture->random, 20)));
                assert_same(pair[0], pair[1]);
            }
            pair[0]->ops->first(pair[0]);
            pair[1]->ops->first(pair[1]);
            for (; pair[0]->valid; pair[0]->ops->next(pair[0]), pair[1]->ops->next(pair[1]))
                assert_same(pair[0], pair[1]);
            assert_false(pair[1]->valid);
            pair[0]->ops->destroy(pair[0]);
            pair[1]->ops->destroy(pair[1]);
            table_close(table);
            block_cache_erase_table(fixture->cache, 7);
        }
    }
}

static void get_finds_the_newest_version_below(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t keys = 1; keys <= 10000; keys *= 10) {
        make_entries(fixture, ENTRIES_MAX, keys);
        const struct table_options options = {.block_bytes = 300, .filter_bits_per_key = 8};
        struct table *table = build_and_open(fixture, &options);
        const struct table_read read = {0};
        struct cursor *model = array_cursor_create(fixture->entries, fixture->count);
        for (int step = 0; step < 2000; step++) {
            char text[KEY_MAX];
            struct slice key = random_key(fixture, text, keys);
            lsn_t lsn = 100000 + random_below(&fixture->random, fixture->count * 37 + 10);
            enum entry_kind kind;
            lsn_t found;
            struct slice value;
            struct block_pin pin = {NULL};
            enum status status = table_get(table, key, lsn, &read, &kind, &found, &value, &pin);
            model->ops->seek(model, key, lsn);
            if (!model->valid || !slice_equal(model->key, key)) {
                assert_int_equal(status, STATUS_NOT_FOUND);
                assert_null(pin.block);
                continue;
            }
            assert_int_equal(status, STATUS_OK);
            assert_int_equal(kind, model->kind);
            assert_int_equal(found, model->lsn);
            assert_true(slice_equal(value, model->value));
            block_unpin(&pin);
        }
        model->ops->destroy(model);
        table_close(table);
        block_cache_erase_table(fixture->cache, 7);
    }
}

/* A random seek reads a leaf of the index and a block: two reads, not more. */
static void random_get_costs_two_reads_at_most(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 100};
    struct table *table = build_and_open(fixture, &options);
    for (int i = 0; i < 50; i++) {
        block_cache_erase_table(fixture->cache, 7);
        struct vfs_fault_counters before, after;
        const struct entry *entry =
            &fixture->entries[random_below(&fixture->random, fixture->count)];
        const struct table_read read = {0};
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        struct block_pin pin = {NULL};
        vfs_fault_counters(fixture->vfs, &before);
        assert_int_equal(
            table_get(table, entry->key, entry->lsn, &read, &kind, &found, &value, &pin),
            STATUS_OK);
        vfs_fault_counters(fixture->vfs, &after);
        assert_in_range(after.calls[VFS_CALL_READ] - before.calls[VFS_CALL_READ], 1, 2);
        block_unpin(&pin);
    }
    table_close(table);
}

static void prefix_filter_rules_out_other_objects(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 1000); /* keys "key/000000" to "key/001998" */
    const struct table_options options = {
        .block_bytes = 4096, .filter_bits_per_key = 16, .filter_prefix_bytes = 7};
    struct table *table = build_and_open(fixture, &options);
    assert_true(table_may_contain(table, slice_from("key/000")));
    assert_true(table_may_contain(table, slice_from("key/001whatever")));
    int wrong = 0;
    for (int i = 100; i < 1000; i++) {
        char text[KEY_MAX];
        snprintf(text, sizeof(text), "key/%03d123", i);
        wrong += table_may_contain(table, slice_from(text));
    }
    assert_true(wrong < 5);
    /* Two prefixes need one line of 64 bytes. */
    assert_true(table_memory_bytes(table) < 24 * 1024);
    table_close(table);
}

static void open_table_without_filter_is_small(void **state)
{
    struct fixture *fixture = *state;
    struct table_builder *builder;
    const struct table_options options = {0};
    struct table_properties properties = {0};
    assert_int_equal(table_builder_create(&fixture->env, PATH, &options, &builder), STATUS_OK);
    uint8_t noise[1000];
    for (uint64_t i = 0; i < 64 * 1024; i++) { /* 64 MiB */
        char key[32];
        snprintf(key, sizeof(key), "object:%016llx", (unsigned long long)i * 77);
        for (size_t n = 0; n < sizeof(noise); n += 8)
            memcpy(noise + n, &(uint64_t){random_next(&fixture->random)}, 8);
        assert_int_equal(table_builder_add(builder, slice_from(key), i + 1, ENTRY_PUT,
                                           slice_make(noise, sizeof(noise))),
                         STATUS_OK);
    }
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    table_properties_release(&properties);
    struct table *table;
    assert_int_equal(
        table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, false, NULL, &table),
        STATUS_OK);
    printf("an open table of 64 MiB takes %zu bytes\n", table_memory_bytes(table));
    assert_true(table_memory_bytes(table) <= 24 * 1024);
    table_close(table);
}

static void range_deletes_come_back_sorted(void **state)
{
    struct fixture *fixture = *state;
    fixture->count = 0;
    const struct range_delete ranges[] = {
        {slice_from("m"), slice_from("p"), 5},
        {slice_from("b"), slice_from("c"), 7},
        {slice_from("b"), slice_from("d"), 9},
        {slice_from("b"), slice_from("e"), 9},
    };
    const struct table_options options = {.filter_bits_per_key = 10};
    struct table_properties properties = {0};
    assert_int_equal(build(fixture, &options, ranges, 4, &properties), STATUS_OK);
    assert_int_equal(properties.range_delete_count, 3);
    assert_int_equal(properties.entry_count, 0);
    assert_int_equal(properties.lsn_min, 5);
    assert_int_equal(properties.lsn_max, 9);
    assert_true(slice_equal(buffer_slice(&properties.smallest), slice_from("b")));
    assert_true(slice_equal(buffer_slice(&properties.largest), slice_from("p")));
    assert_true(properties.largest_is_exclusive);
    table_properties_release(&properties);
    struct lsm_report report;
    assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_OK);
    struct table *table;
    assert_int_equal(
        table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, false, &report, &table),
        STATUS_OK);
    const struct range_delete *read;
    size_t count;
    table_range_deletes(table, &read, &count);
    assert_int_equal(count, 3);
    assert_int_equal(read[0].lsn, 9);
    assert_true(slice_equal(read[0].to, slice_from("e")));
    assert_int_equal(read[1].lsn, 7);
    assert_true(slice_equal(read[2].from, slice_from("m")));
    /* No entries: every way of looking for one ends quietly. */
    assert_false(table_may_contain(table, slice_from("b")));
    const struct table_read how = {0};
    struct cursor *cursor = table_cursor_create(table, &how);
    cursor->ops->first(cursor);
    assert_false(cursor->valid);
    cursor->ops->last(cursor);
    assert_false(cursor->valid);
    cursor->ops->seek_for_prev(cursor, slice_from("z"));
    assert_false(cursor->valid);
    assert_int_equal(cursor->status, STATUS_OK);
    cursor->ops->destroy(cursor);
    table_close(table);
}

static void ranges_widen_the_key_range(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, 10, 10);
    const struct range_delete inside = {slice_from("key/000001"), slice_from("key/000002"), 1};
    const struct range_delete around = {slice_from("a"), slice_from("z"), 1};
    const struct table_options options = {0};
    struct table_properties properties = {0};
    assert_int_equal(build(fixture, &options, &around, 1, &properties), STATUS_OK);
    assert_true(slice_equal(buffer_slice(&properties.smallest), slice_from("a")));
    assert_true(slice_equal(buffer_slice(&properties.largest), slice_from("z")));
    assert_true(properties.largest_is_exclusive);
    assert_int_equal(properties.lsn_min, 1);
    table_properties_release(&properties);
    properties = (struct table_properties){0};
    make_entries(fixture, ENTRIES_MAX, 500);
    assert_int_equal(build(fixture, &options, &inside, 1, &properties), STATUS_OK);
    assert_true(
        slice_equal(buffer_slice(&properties.largest), fixture->entries[fixture->count - 1].key));
    assert_false(properties.largest_is_exclusive);
    table_properties_release(&properties);
}

static void large_value_has_a_block_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    enum { LARGE = 3 << 20 };
    uint8_t *value = memory_allocate(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        value[i] = (uint8_t)random_next(&fixture->random);
    fixture->count = 3;
    fixture->entries[0] = (struct entry){slice_from("a"), slice_from("small"), 3, ENTRY_PUT};
    fixture->entries[1] = (struct entry){slice_from("b"), slice_make(value, LARGE), 4, ENTRY_PUT};
    fixture->entries[2] = (struct entry){slice_from("c"), slice_from("small"), 5, ENTRY_PUT};
    const struct table_options options = {0};
    struct table *table = build_and_open(fixture, &options);
    const struct table_read read = {0};
    struct vfs_fault_counters before, after;
    enum entry_kind kind;
    lsn_t found;
    struct slice got;
    struct block_pin pin = {NULL};
    vfs_fault_counters(fixture->vfs, &before);
    assert_int_equal(table_get(table, slice_from("c"), 9, &read, &kind, &found, &got, &pin),
                     STATUS_OK);
    vfs_fault_counters(fixture->vfs, &after);
    assert_true(after.bytes_read - before.bytes_read < 1000);
    block_unpin(&pin);
    assert_int_equal(table_get(table, slice_from("b"), 9, &read, &kind, &found, &got, &pin),
                     STATUS_OK);
    assert_int_equal(got.size, LARGE);
    assert_memory_equal(got.data, value, LARGE);
    block_unpin(&pin);
    table_close(table);
    memory_free(value);
}

/* ---- Reading without waiting ---------------------------------------------------------------- */

/* Repeats a nowait read with fetches until it succeeds. */
static enum status get_with_fetches(struct table *table, struct slice key, unsigned *fetches)
{
    struct table_miss miss;
    struct block_pin pins[4] = {{NULL}};
    const struct table_read read = {.nowait = true, .miss = &miss};
    enum entry_kind kind;
    lsn_t found;
    struct slice value;
    struct block_pin pin = {NULL};
    enum status status;
    for (*fetches = 0; *fetches < 4; ++*fetches) {
        status = table_get(table, key, UINT64_MAX, &read, &kind, &found, &value, &pin);
        if (status != STATUS_WOULD_BLOCK)
            break;
        assert_ptr_equal(miss.table, table);
        assert_int_equal(table_fetch(&miss, &pins[*fetches]), STATUS_OK);
    }
    block_unpin(&pin);
    for (int i = 0; i < 4; i++)
        block_unpin(&pins[i]);
    return status;
}

/* While reads of the file are held, nowait reads get STATUS_WOULD_BLOCK; a fetch lets them
 * through. */
static void hold(struct fixture *fixture)
{
    vfs_fault_hold(fixture->vfs, 1u << VFS_CALL_READ, PATH);
}

static void nowait_get_misses_and_succeeds_after_fetches(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 200};
    struct table *table = build_and_open(fixture, &options);
    block_cache_set_capacity(fixture->cache, 0); /* pins alone keep what was fetched */
    struct slice key = fixture->entries[ENTRIES_MAX / 2].key;
    struct table_miss miss = {0};
    const struct table_read read = {.nowait = true, .miss = &miss};
    enum entry_kind kind;
    lsn_t found;
    struct slice value;
    struct block_pin pin = {NULL}, kept[3] = {{NULL}};
    unsigned fetches = 0;
    for (;;) {
        hold(fixture);
        enum status status = table_get(table, key, UINT64_MAX, &read, &kind, &found, &value, &pin);
        vfs_fault_release(fixture->vfs);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_WOULD_BLOCK);
        assert_true(fetches < 2);
        assert_int_equal(table_fetch(&miss, &kept[fetches++]), STATUS_OK);
    }
    assert_int_equal(fetches, 2);
    block_unpin(&pin);
    for (int i = 0; i < 3; i++)
        block_unpin(&kept[i]);
    assert_int_equal(get_with_fetches(table, key, &fetches), STATUS_OK);
    table_close(table);
}

static void nowait_cursor_is_placed_again_after_each_fetch(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 2000};
    struct table *table = build_and_open(fixture, &options);
    struct table_miss miss = {0};
    const struct table_read read = {.nowait = true, .miss = &miss};
    struct cursor *cursor = table_cursor_create(table, &read);
    struct buffer at = {0};
    lsn_t at_lsn = 0;
    unsigned fetches = 0;
    hold(fixture);
    for (size_t i = 0; i < fixture->count;) {
        if (i == 0)
            cursor->ops->first(cursor);
        else if (cursor->valid)
            cursor->ops->next(cursor);
        if (cursor->status == STATUS_WOULD_BLOCK) {
            assert_false(cursor->valid);
            vfs_fault_release(fixture->vfs);
            assert_int_equal(table_fetch(&miss, NULL), STATUS_OK);
            fetches++;
            hold(fixture);
            if (i > 0)
                cursor->ops->seek(cursor, buffer_slice(&at), at_lsn);
            continue;
        }
        assert_true(cursor->valid);
        assert_true(slice_equal(cursor->key, fixture->entries[i].key));
        assert_int_equal(cursor->lsn, fixture->entries[i].lsn);
        buffer_clear(&at);
        buffer_append_slice(&at, cursor->key);
        at_lsn = cursor->lsn;
        i++;
    }
    vfs_fault_release(fixture->vfs);
    /* Reading ahead makes fetches fewer than blocks (about 200 here). */
    assert_true(fetches > 2);
    assert_true(fetches < 60);
    buffer_release(&at);
    cursor->ops->destroy(cursor);
    table_close(table);
}

static void nowait_open_would_block(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, 100, 100);
    const struct table_options options = {.filter_bits_per_key = 10};
    table_close(build_and_open(fixture, &options));
    struct table *table;
    hold(fixture);
    assert_int_equal(
        table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, true, NULL, &table),
        STATUS_WOULD_BLOCK);
    vfs_fault_release(fixture->vfs);
}

static void an_open_table_is_charged_to_the_cache(void **state)
{
    struct fixture *fixture = *state;
    const struct table_options options = {.filter_bits_per_key = 10};
    struct block_cache_stats stats;
    make_entries(fixture, 1000, 100000);
    struct table *table = build_and_open(fixture, &options);
    block_cache_get_stats(fixture->cache, &stats);
    assert_int_equal(stats.charged_bytes, table_memory_bytes(table));
    assert_in_range(stats.charged_bytes, 1000, 1 << 16); /* the filter is 10 bits a key */
    table_close(table);
    block_cache_get_stats(fixture->cache, &stats);
    assert_int_equal(stats.charged_bytes, 0);
}

static void scan_that_keeps_the_cache_inserts_nothing(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 500};
    struct table *table = build_and_open(fixture, &options);
    struct block_cache_stats before, after;
    struct vfs_fault_counters reads_before, reads_after;
    block_cache_get_stats(fixture->cache, &before);
    vfs_fault_counters(fixture->vfs, &reads_before);
    const struct table_read read = {.keep_cache = true};
    struct cursor *cursor = table_cursor_create(table, &read);
    size_t count = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor))
        count++;
    assert_int_equal(count, fixture->count);
    block_cache_get_stats(fixture->cache, &after);
    vfs_fault_counters(fixture->vfs, &reads_after);
    assert_int_equal(after.inserts, before.inserts);
    /* The index's leaves lie between the blocks, so a scan is one sequential read in large
     * pieces. */
    assert_true(reads_after.calls[VFS_CALL_READ] - reads_before.calls[VFS_CALL_READ] < 20);
    cursor->ops->destroy(cursor);
    table_close(table);
}

/* 1200 rows of 1000 bytes, 16 or 17 to a block, not compressed. */
static struct table *build_wide_rows(struct fixture *fixture)
{
    const struct table_options options = {.uncompressed = true};
    fixture->count = 1200;
    for (size_t i = 0; i < fixture->count; i++) {
        snprintf(fixture->keys[i], KEY_MAX, "key/%06u", (unsigned)i);
        fixture->entries[i] = (struct entry){slice_from(fixture->keys[i]),
                                             slice_make(fixture->text, 1000), i + 1, ENTRY_PUT};
    }
    return build_and_open(fixture, &options);
}

enum { WIDE_BLOCK_BYTES = 17 * 1024 };

struct scan_cost {
    uint64_t reads, bytes;
};

static struct scan_cost cost_since(struct fixture *fixture, const struct vfs_fault_counters *before)
{
    struct vfs_fault_counters now;
    vfs_fault_counters(fixture->vfs, &now);
    return (struct scan_cost){now.calls[VFS_CALL_READ] - before->calls[VFS_CALL_READ],
                              now.bytes_read - before->bytes_read};
}

/* Steps over `count` rows more, or to the end, from where the cursor stands; returns what that read. */
static struct scan_cost step(struct fixture *fixture, struct cursor *cursor, bool backward,
                             size_t *at, size_t count)
{
    struct vfs_fault_counters before;
    vfs_fault_counters(fixture->vfs, &before);
    for (; count > 0 && *at < fixture->count; count--) {
        if (*at == 0)
            backward ? cursor->ops->last(cursor) : cursor->ops->first(cursor);
        else
            backward ? cursor->ops->prev(cursor) : cursor->ops->next(cursor);
        const struct entry *entry = &fixture->entries[backward ? fixture->count - 1 - *at : *at];
        assert_true(cursor->valid);
        assert_true(slice_equal(cursor->key, entry->key));
        assert_true(slice_equal(cursor->value, entry->value));
        ++*at;
    }
    return cost_since(fixture, &before);
}

static void check_a_scan_that_goes_on(struct fixture *fixture, struct table *table, bool backward)
{
    const struct table_read read = {0};
    struct cursor *cursor = table_cursor_create(table, &read);
    size_t at = 0;
    struct scan_cost cost = step(fixture, cursor, backward, &at, 1);
    assert_int_equal(cost.reads, 2); /* a leaf of the index, a block */
    assert_true(cost.bytes < 2 * WIDE_BLOCK_BYTES);
    /* Into the second block, which is read with the third. */
    while ((cost = step(fixture, cursor, backward, &at, 1)).reads == 0)
        assert_true(at < 20);
    assert_int_equal(cost.reads, 1);
    assert_in_range(cost.bytes, 2 * 1000 * 16, 5 * WIDE_BLOCK_BYTES / 2);
    assert_int_equal(step(fixture, cursor, backward, &at, 20).reads, 0);
    assert_int_equal(step(fixture, cursor, backward, &at, 20).reads, 1);
    /* About 75 blocks: fewer and fewer reads, and never much more than the rest. */
    cost = step(fixture, cursor, backward, &at, fixture->count);
    assert_in_range(cost.reads, 4, 25);
    assert_true(cost.bytes < 75 * WIDE_BLOCK_BYTES * 3 / 2);
    cursor->ops->destroy(cursor);
    block_cache_erase_table(fixture->cache, 7);
}

static void a_scan_reads_one_block_then_several_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_wide_rows(fixture);
    check_a_scan_that_goes_on(fixture, table, false);
    check_a_scan_that_goes_on(fixture, table, true);
    table_close(table);
}

static void a_scan_of_all_reads_large_pieces_in_both_directions(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_wide_rows(fixture);
    const struct table_read read = {.keep_cache = true};
    for (int backward = 0; backward < 2; backward++) {
        struct cursor *cursor = table_cursor_create(table, &read);
        size_t at = 0;
        struct scan_cost cost = step(fixture, cursor, backward, &at, fixture->count);
        assert_in_range(cost.reads, 4, 8);
        cursor->ops->destroy(cursor);
    }
    table_close(table);
}

/* A step back from the second block finds the first in the cache, one to the third reads from there on. */
static void a_scan_that_turns_reads_on_from_where_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_wide_rows(fixture);
    const struct table_read read = {0};
    struct cursor *cursor = table_cursor_create(table, &read);
    size_t place = 500;
    cursor->ops->seek(cursor, fixture->entries[place].key, UINT64_MAX);
    for (int turn = 0; turn < 6; turn++) {
        for (int i = 0; i < 30 * (turn + 1); i++) {
            turn % 2 ? cursor->ops->prev(cursor) : cursor->ops->next(cursor);
            place += turn % 2 ? (size_t)-1 : 1;
            assert_true(cursor->valid);
            assert_true(slice_equal(cursor->key, fixture->entries[place].key));
        }
    }
    cursor->ops->destroy(cursor);
    table_close(table);
}

/* The n-th read, or the n-th large piece of memory, of a scan fails; it is tried again and goes on. */
static void check_a_scan_that_fails_once(struct fixture *fixture, struct table *table,
                                         bool backward, bool lacks_memory)
{
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        const struct table_read read = {.keep_cache = n % 2};
        struct cursor *cursor = table_cursor_create(table, &read);
        failed = false;
        if (lacks_memory)
            memory_fail_try(n, false);
        else
            vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        for (size_t at = 0; at < fixture->count; at++) {
            const struct entry *entry = &fixture->entries[backward ? fixture->count - 1 - at : at];
            if (at == 0)
                backward ? cursor->ops->last(cursor) : cursor->ops->first(cursor);
            else
                backward ? cursor->ops->prev(cursor) : cursor->ops->next(cursor);
            if (!cursor->valid) {
                assert_false(failed);
                failed = true;
                assert_int_equal(cursor->status, lacks_memory ? STATUS_NO_MEMORY : STATUS_IO);
                cursor->ops->seek(cursor, entry->key, UINT64_MAX);
            }
            assert_true(cursor->valid);
            assert_true(slice_equal(cursor->key, entry->key));
            assert_true(slice_equal(cursor->value, entry->value));
        }
        cursor->ops->destroy(cursor);
        block_cache_erase_table(fixture->cache, 7);
    }
    memory_fail_try(0, false);
    vfs_fault_fail(fixture->vfs, 0, 0, STATUS_OK, false);
    assert_true(n > 4);
}

static void a_scan_that_fails_says_so_and_goes_on_when_placed_again(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_wide_rows(fixture);
    for (int kind = 0; kind < 4; kind++)
        check_a_scan_that_fails_once(fixture, table, kind % 2, kind / 2);
    table_close(table);
}

/* What is neither compressed nor encoded lies in the cache as it was read. */
static void a_plain_block_is_read_into_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct table *table = build_wide_rows(fixture);
    for (int keep_cache = 0; keep_cache < 2; keep_cache++) {
        const struct table_read read = {.keep_cache = keep_cache};
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        struct block_pin pin = {NULL};
        uint64_t tries = memory_try_count();
        assert_int_equal(table_get(table, fixture->entries[600].key, UINT64_MAX, &read, &kind,
                                   &found, &value, &pin),
                         STATUS_OK);
        assert_int_equal(memory_try_count() - tries, 2); /* the leaf, the block */
        assert_true(slice_equal(value, fixture->entries[600].value));
        block_unpin(&pin);
        block_cache_erase_table(fixture->cache, 7);
    }
    table_close(table);
}

/* ---- Damage -------------------------------------------------------------------------------- */

/* Opens and reads everything through the reader; whatever it shows must be right. */
static void read_all_or_fail(struct fixture *fixture)
{
    struct lsm_report report = {""};
    struct table *table;
    if (table_open(&fixture->env, PATH, 7, NULL, prefix_codecs, false, &report, &table) !=
        STATUS_OK)
        return;
    const struct table_read read = {0};
    struct cursor *cursor = table_cursor_create(table, &read);
    size_t i = 0;
    for (cursor->ops->first(cursor); cursor->valid; cursor->ops->next(cursor), i++) {
        assert_true(i < fixture->count);
        assert_true(slice_equal(cursor->key, fixture->entries[i].key));
        assert_true(slice_equal(cursor->value, fixture->entries[i].value));
        assert_int_equal(cursor->lsn, fixture->entries[i].lsn);
    }
    assert_true(i == fixture->count || cursor->status == STATUS_CORRUPT);
    cursor->ops->destroy(cursor);
    for (i = 0; i < fixture->count; i++) {
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        struct block_pin pin = {NULL};
        enum status status = table_get(table, fixture->entries[i].key, fixture->entries[i].lsn,
                                       &read, &kind, &found, &value, &pin);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        if (status == STATUS_OK)
            assert_true(slice_equal(value, fixture->entries[i].value));
        block_unpin(&pin);
    }
    table_close(table);
}

static uint64_t make_small_table(struct fixture *fixture)
{
    make_entries(fixture, 60, 40);
    for (size_t i = 0; i < fixture->count; i++)
        if (fixture->entries[i].value.size > 100)
            fixture->entries[i].value.size = 100;
    const struct range_delete range = {slice_from("key/000010"), slice_from("key/000020"), 50};
    const struct table_options options = {.block_bytes = 500, .filter_bits_per_key = 10};
    struct table_properties properties = {0};
    assert_int_equal(build(fixture, &options, &range, 1, &properties), STATUS_OK);
    uint64_t size = properties.file_bytes;
    table_properties_release(&properties);
    struct lsm_report report;
    assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_OK);
    return size;
}

static void every_flipped_byte_is_detected(void **state)
{
    struct fixture *fixture = *state;
    uint64_t size = make_small_table(fixture);
    for (uint64_t at = 0; at < size; at++) {
        uint8_t mask = (uint8_t)(1 + random_below(&fixture->random, 255));
        struct lsm_report report = {""};
        assert_int_equal(vfs_memory_flip(fixture->memory, PATH, at, mask), STATUS_OK);
        enum status status = table_verify(&fixture->env, PATH, prefix_codecs, &report);
        assert_true(status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
        assert_non_null(strstr(report.text, PATH));
        assert_non_null(strstr(report.text, "offset"));
        read_all_or_fail(fixture);
        assert_int_equal(vfs_memory_flip(fixture->memory, PATH, at, mask), STATUS_OK);
    }
}

static void every_truncation_is_detected(void **state)
{
    struct fixture *fixture = *state;
    uint64_t size = make_small_table(fixture);
    for (uint64_t kept = size; kept-- > 0;) {
        struct vfs_file *file;
        assert_int_equal(vfs_open(fixture->vfs, PATH, VFS_READ | VFS_WRITE, &file), STATUS_OK);
        assert_int_equal(vfs_truncate(file, kept), STATUS_OK);
        vfs_close(file);
        struct lsm_report report = {""};
        assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_CORRUPT);
        assert_non_null(strstr(report.text, PATH));
        read_all_or_fail(fixture);
    }
}

static void block_at_the_wrong_place_is_detected(void **state)
{
    struct fixture *fixture = *state;
    make_small_table(fixture);
    /* A sound block, but sealed for another place. */
    struct buffer file_bytes = {0};
    assert_int_equal(vfs_read_file(fixture->vfs, PATH, 1 << 20, &file_bytes), STATUS_OK);
    struct block_head head;
    assert_true(block_head_parse(buffer_slice(&file_bytes), &head));
    struct vfs_file *file;
    size_t size = BLOCK_HEAD_BYTES + head.stored_bytes;
    struct buffer stored = {0};
    uint8_t *raw;
    size_t raw_bytes;
    enum block_kind kind;
    assert_int_equal(block_unseal(slice_make(file_bytes.data, size), 0, &kind, &raw, &raw_bytes),
                     STATUS_OK);
    struct compressor compressor = {.compression = COMPRESSION_LZ4};
    block_seal(&stored, kind, &compressor, slice_make(raw, raw_bytes), 4096);
    assert_int_equal(stored.size, size);
    memory_free(raw);
    assert_int_equal(vfs_open(fixture->vfs, PATH, VFS_READ | VFS_WRITE, &file), STATUS_OK);
    assert_int_equal(vfs_write_at(file, 0, stored.data, stored.size), STATUS_OK);
    vfs_close(file);
    struct lsm_report report;
    assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_CORRUPT);
    buffer_release(&stored);
    buffer_release(&file_bytes);
}

static void failing_calls_fail_the_build_and_leave_no_file(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.filter_bits_per_key = 10};
    const unsigned calls = 1u << VFS_CALL_OPEN | 1u << VFS_CALL_WRITE | 1u << VFS_CALL_SYNC;
    uint64_t n = 1;
    for (;; n++) {
        struct table_properties properties = {0};
        vfs_fault_fail(fixture->vfs, calls, n, STATUS_NO_SPACE, false);
        enum status status = build(fixture, &options, NULL, 0, &properties);
        vfs_fault_fail(fixture->vfs, calls, 0, STATUS_OK, false);
        if (status == STATUS_OK) {
            table_properties_release(&properties);
            break;
        }
        assert_int_equal(status, STATUS_NO_SPACE);
        bool exists;
        assert_int_equal(fixture->vfs->ops->exists(fixture->vfs, PATH, &exists), STATUS_OK);
        assert_false(exists);
    }
    assert_true(n > 3);
}

static void failing_reads_are_told(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 1000, .filter_bits_per_key = 10};
    table_close(build_and_open(fixture, &options));
    const unsigned calls = 1u << VFS_CALL_OPEN | 1u << VFS_CALL_READ;
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        struct table *table = NULL;
        const struct table_read read = {0};
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        struct block_pin pin = {NULL};
        vfs_fault_fail(fixture->vfs, calls, n, STATUS_IO, false);
        enum status status =
            table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, false, NULL, &table);
        if (status == STATUS_OK)
            status = table_get(table, fixture->entries[9].key, UINT64_MAX, &read, &kind, &found,
                               &value, &pin);
        failed = status != STATUS_OK;
        assert_true(!failed || status == STATUS_IO);
        vfs_fault_fail(fixture->vfs, calls, 0, STATUS_OK, false);
        block_unpin(&pin);
        table_close(table);
        block_cache_erase_table(fixture->cache, 7);
    }
    assert_true(n > 4);
}

/* Blocks and what is made of them have sizes that the file states: that there is no memory for them is
 * told, and taken for no damage. */
static void missing_memory_is_told_and_is_no_damage(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 100000);
    const struct table_options options = {.block_bytes = 1000, .filter_bits_per_key = 10};
    table_close(build_and_open(fixture, &options));
    uint64_t n = 1;
    for (bool failed = true; failed; n++) {
        struct table *table = NULL;
        struct lsm_report report = {""};
        const struct table_read read = {0};
        enum entry_kind kind;
        lsn_t found;
        struct slice value;
        struct block_pin pin = {NULL};
        memory_fail_try(n, n % 2 == 0);
        enum status status = table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs,
                                        false, &report, &table);
        if (status == STATUS_OK)
            status = table_get(table, fixture->entries[9].key, UINT64_MAX, &read, &kind, &found,
                               &value, &pin);
        failed = status != STATUS_OK;
        assert_true(!failed || status == STATUS_NO_MEMORY);
        memory_fail_try(0, false);
        block_unpin(&pin);
        table_close(table);
        if (failed) {
            assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_OK);
            memory_fail_try(n, false);
            status = table_verify(&fixture->env, PATH, prefix_codecs, &report);
            assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
            memory_fail_try(0, false);
        }
        block_cache_erase_table(fixture->cache, 7);
    }
    assert_true(n > 6);
}

/* A block of a large value, compressed or not, and what is written of it. */
static void a_build_without_memory_is_told(void **state)
{
    struct fixture *fixture = *state;
    enum { LARGE = 300 << 10 };
    uint8_t *value = memory_zeroed(1, LARGE);
    uint64_t failures[2] = {0};
    fixture->count = 2;
    fixture->entries[0] = (struct entry){slice_from("a"), slice_from("small"), 3, ENTRY_PUT};
    fixture->entries[1] = (struct entry){slice_from("b"), slice_make(value, LARGE), 4, ENTRY_PUT};
    for (int uncompressed = 0; uncompressed < 2; uncompressed++) {
        const struct table_options options = {.uncompressed = uncompressed};
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            struct table_properties properties = {0};
            uint64_t before = memory_failed_try_count();
            memory_fail_try(n, n % 2 == 0);
            enum status status = build(fixture, &options, NULL, 0, &properties);
            memory_fail_try(0, false);
            failed = memory_failed_try_count() > before;
            failures[uncompressed] += status != STATUS_OK;
            assert_true(status == STATUS_OK || (failed && status == STATUS_NO_MEMORY));
            table_properties_release(&properties);
            if (status == STATUS_OK) /* compression alone may do without */
                assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, NULL), STATUS_OK);
        }
    }
    assert_true(failures[0] >= 2);
    assert_true(failures[1] >= 2);
    table_close(build_and_open(fixture, &(struct table_options){0}));
    memory_free(value);
}

static void unfinished_build_leaves_no_file(void **state)
{
    struct fixture *fixture = *state;
    struct table_builder *builder;
    const struct table_options options = {0};
    assert_int_equal(table_builder_create(&fixture->env, PATH, &options, &builder), STATUS_OK);
    assert_true(table_builder_is_empty(builder));
    assert_int_equal(table_builder_add(builder, slice_from("a"), 1, ENTRY_PUT, slice_from("b")),
                     STATUS_OK);
    assert_false(table_builder_is_empty(builder));
    table_builder_destroy(builder);
    bool exists;
    assert_int_equal(fixture->vfs->ops->exists(fixture->vfs, PATH, &exists), STATUS_OK);
    assert_false(exists);
}

static void example_of_the_document_is_reproduced(void **state)
{
    struct fixture *fixture = *state;
    struct buffer expected = {0}, built = {0};
    struct table_properties properties = {0};
    const struct table_options options = {.filter_bits_per_key = 10};
    const struct range_delete range = {slice_from("b"), slice_from("c"), 1060};
    const struct entry entries[] = {
        {slice_from("apple"), slice_from("red"), 1000, ENTRY_PUT},
        {slice_from("apricot"), slice_from(""), 1042, ENTRY_DELETE},
        {slice_from("apricot"), slice_from("orange"), 1003, ENTRY_PUT},
    };
    memcpy(fixture->entries, entries, sizeof(entries));
    fixture->count = 3;
    format_example_read("### Example: a table", &expected);
    assert_int_equal(build(fixture, &options, &range, 1, &properties), STATUS_OK);
    assert_int_equal(vfs_read_file(fixture->vfs, PATH, 1 << 20, &built), STATUS_OK);
    assert_int_equal(built.size, expected.size);
    assert_memory_equal(built.data, expected.data, expected.size);
    table_properties_release(&properties);
    buffer_release(&expected);
    buffer_release(&built);
}

#define table_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define encoded_test(name)                                     \
    {                                                          \
#name ", encoded", name, setup_encoded, teardown, NULL \
    }
#define zstd_test(name)                                    \
    {                                                      \
#name " (zstd)", name, setup_zstd, teardown, NULL, \
    }
#define encoded_zstd_test(name)                                             \
    {                                                                       \
#name " (encoded, zstd)", name, setup_encoded_zstd, teardown, NULL, \
    }

static void a_value_beyond_all_bounds_is_refused_and_a_large_one_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct table_options options = {.block_bytes = 512, .filter_bits_per_key = 10};
    struct table_properties properties = {0};
    struct table_builder *builder = NULL;
    struct table *table;
    struct lsm_report report = {""};
    size_t size = 5 << 20;
    uint8_t *large = memory_allocate(size);
    memset(large, 'x', size);
    assert_int_equal(table_builder_create(&fixture->env, PATH, &options, &builder), STATUS_OK);
    assert_int_equal(table_builder_add(builder, slice_from("a"), 5, ENTRY_PUT,
                                       slice_make(large, (size_t)1 << 30)), /* not looked at */
                     STATUS_TOO_LARGE);
    for (char key = 'b'; key < 'e'; key++)
        assert_int_equal(table_builder_add(builder, slice_make(&key, 1), 5, ENTRY_PUT,
                                           slice_make(large, key == 'c' ? size : 3)),
                         STATUS_OK);
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    assert_int_equal(properties.entry_count, 3);
    assert_true(slice_equal(buffer_slice(&properties.smallest), slice_from("b")));
    assert_int_equal(table_verify(&fixture->env, PATH, prefix_codecs, &report), STATUS_OK);
    assert_int_equal(
        table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs, false, &report, &table),
        STATUS_OK);
    const struct table_read read = {0};
    enum entry_kind kind;
    lsn_t lsn;
    struct slice value;
    struct block_pin pin = {NULL};
    assert_int_equal(table_get(table, slice_from("c"), 9, &read, &kind, &lsn, &value, &pin),
                     STATUS_OK);
    assert_true(slice_equal(value, slice_make(large, size)));
    block_unpin(&pin);
    table_close(table);
    block_cache_erase_table(fixture->cache, 7);
    table_properties_release(&properties);
    memory_free(large);
}

/* Its filter is larger than what an open reads at once from the end of the file. */
static void a_table_with_a_large_tail_opens_or_says_why_not(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 30000 };
    const struct table_options options = {.block_bytes = 4096, .filter_bits_per_key = 10};
    struct table_properties properties = {0};
    struct table_builder *builder = NULL;
    struct lsm_report report = {""};
    char key[24];
    assert_int_equal(table_builder_create(&fixture->env, PATH, &options, &builder), STATUS_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "%06u", i);
        assert_int_equal(
            table_builder_add(builder, slice_from(key), 5, ENTRY_PUT, slice_from("value")),
            STATUS_OK);
    }
    assert_int_equal(table_builder_finish(builder, &properties), STATUS_OK);
    table_builder_destroy(builder);
    uint64_t n = 1;
    for (;; n++) {
        struct table *table = NULL;
        vfs_fault_fail(fixture->vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        enum status status = table_open(&fixture->env, PATH, 7, fixture->cache, prefix_codecs,
                                        false, &report, &table);
        vfs_fault_fail(fixture->vfs, 0, 0, STATUS_OK, false);
        if (status == STATUS_OK) {
            assert_true(table_memory_bytes(table) > COUNT);
            assert_true(table_may_contain(table, slice_from("000777")));
            table_close(table);
            break;
        }
        assert_int_equal(status, STATUS_IO);
    }
    assert_true(n > 2);
    table_properties_release(&properties);
}

/* What is fetched for a read that lacked it is checked as if it was read now. */
static void a_fetch_from_a_wrong_place_is_damage(void **state)
{
    struct fixture *fixture = *state;
    make_entries(fixture, ENTRIES_MAX, 1000);
    const struct table_options options = {.block_bytes = 200};
    struct table *table = build_and_open(fixture, &options);
    struct block_pin pin = {NULL};
    struct table_miss miss = {.table = table, .offset = 0, .stored_bytes = 100};
    /* A piece of the first block only. */
    assert_int_equal(table_fetch(&(struct table_miss){.table = table, .stored_bytes = 20}, &pin),
                     STATUS_CORRUPT);
    miss.offset = 5;
    assert_int_equal(table_fetch(&miss, &pin), STATUS_CORRUPT);
    assert_null(pin.block);
    table_close(table);
    block_cache_erase_table(fixture->cache, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        table_test(cursor_moves_like_an_array),
        encoded_test(cursor_moves_like_an_array),
        zstd_test(cursor_moves_like_an_array),
        encoded_zstd_test(cursor_moves_like_an_array),
        table_test(get_finds_the_newest_version_below),
        encoded_test(get_finds_the_newest_version_below),
        encoded_zstd_test(get_finds_the_newest_version_below),
        table_test(random_get_costs_two_reads_at_most),
        table_test(prefix_filter_rules_out_other_objects),
        table_test(open_table_without_filter_is_small),
        table_test(range_deletes_come_back_sorted),
        table_test(ranges_widen_the_key_range),
        encoded_test(ranges_widen_the_key_range),
        table_test(large_value_has_a_block_of_its_own),
        encoded_test(large_value_has_a_block_of_its_own),
        encoded_zstd_test(large_value_has_a_block_of_its_own),
        table_test(a_table_with_a_large_tail_opens_or_says_why_not),
        table_test(a_fetch_from_a_wrong_place_is_damage),
        encoded_test(a_fetch_from_a_wrong_place_is_damage),
        table_test(a_value_beyond_all_bounds_is_refused_and_a_large_one_is_not_kept),
        table_test(nowait_get_misses_and_succeeds_after_fetches),
        encoded_test(nowait_get_misses_and_succeeds_after_fetches),
        encoded_zstd_test(nowait_get_misses_and_succeeds_after_fetches),
        table_test(nowait_cursor_is_placed_again_after_each_fetch),
        encoded_test(nowait_cursor_is_placed_again_after_each_fetch),
        encoded_zstd_test(nowait_cursor_is_placed_again_after_each_fetch),
        table_test(nowait_open_would_block),
        table_test(an_open_table_is_charged_to_the_cache),
        table_test(scan_that_keeps_the_cache_inserts_nothing),
        table_test(a_scan_reads_one_block_then_several_at_once),
        table_test(a_scan_of_all_reads_large_pieces_in_both_directions),
        table_test(a_scan_that_turns_reads_on_from_where_it_is),
        table_test(a_scan_that_fails_says_so_and_goes_on_when_placed_again),
        table_test(a_plain_block_is_read_into_its_place),
        table_test(every_flipped_byte_is_detected),
        encoded_test(every_flipped_byte_is_detected),
        zstd_test(every_flipped_byte_is_detected),
        encoded_zstd_test(every_flipped_byte_is_detected),
        table_test(every_truncation_is_detected),
        encoded_test(every_truncation_is_detected),
        encoded_zstd_test(every_truncation_is_detected),
        table_test(block_at_the_wrong_place_is_detected),
        table_test(failing_calls_fail_the_build_and_leave_no_file),
        encoded_test(failing_calls_fail_the_build_and_leave_no_file),
        encoded_zstd_test(failing_calls_fail_the_build_and_leave_no_file),
        table_test(failing_reads_are_told),
        encoded_test(failing_reads_are_told),
        encoded_zstd_test(failing_reads_are_told),
        table_test(missing_memory_is_told_and_is_no_damage),
        encoded_test(missing_memory_is_told_and_is_no_damage),
        zstd_test(missing_memory_is_told_and_is_no_damage),
        encoded_zstd_test(missing_memory_is_told_and_is_no_damage),
        table_test(a_build_without_memory_is_told),
        encoded_test(a_build_without_memory_is_told),
        encoded_zstd_test(a_build_without_memory_is_told),
        table_test(unfinished_build_leaves_no_file),
        table_test(example_of_the_document_is_reproduced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
