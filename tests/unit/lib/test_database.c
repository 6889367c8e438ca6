/* SPDX-License-Identifier: MIT */
/* The library as a program sees it: opening, writing, reading, iterators, snapshots, durability,
 * checkpoints, verification. Transactions: test_library_transaction.c. */
#include "library_fixture.h"

#include "base/memory.h"
#include "lsm/compression.h"
#include "lsm/db.h"
#include "lib/temp_directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static int setup(void **state)
{
    static struct library_world world;
    library_world_init(&world);
    library_world_open(&world);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    library_world_release(*state);
    return 0;
}

/* ---- Single writes and reads --------------------------------------------------------------- */

static void what_is_put_is_there_until_it_is_deleted(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    put(world->db, "a", "1");
    put(world->db, "a", "2");
    put(world->db, "b", "");
    put(world->db, "", "the empty key");
    library_world_work(world, true);
    assert_string_equal(get(world->db, "a"), "2");
    assert_string_equal(get(world->db, "b"), "");
    assert_string_equal(get(world->db, ""), "the empty key");
    assert_string_equal(get(world->db, "c"), "-");
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("a")), CORDWOOD_OK);
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("c")), CORDWOOD_OK);
    assert_int_equal(cordwood_get(world->db, 0, cordwood_text("a"), &buffer), CORDWOOD_NOT_FOUND);
    assert_null(buffer.data);
    library_world_close(world);
    library_world_open(world);
    assert_string_equal(get(world->db, "a"), "-");
    assert_string_equal(get(world->db, ""), "the empty key");
}

static void a_range_is_deleted_at_once(void **state)
{
    struct library_world *world = *state;
    for (char key[] = "a"; key[0] <= 'f'; key[0]++)
        put(world->db, key, key);
    assert_int_equal(cordwood_delete_range(world->db, 0, cordwood_text("b"), cordwood_text("e")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_delete_range(world->db, 0, cordwood_text("z"), cordwood_text("a")),
                     CORDWOOD_OK);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "a=a e=e f=f");
    library_world_work(world, true);
    assert_string_equal(walk(iterate(world->db, "", "", ""), true), "f=f e=e a=a");
}

static void a_buffer_is_used_again(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    put(world->db, "long", "a value of some length");
    put(world->db, "short", "x");
    assert_int_equal(cordwood_get(world->db, 0, cordwood_text("long"), &buffer), CORDWOOD_OK);
    void *data = buffer.data;
    assert_int_equal(cordwood_get(world->db, 0, cordwood_text("short"), &buffer), CORDWOOD_OK);
    assert_ptr_equal(buffer.data, data);
    assert_int_equal(buffer.size, 1);
    memory_fail_try(1, false);
    cordwood_buffer_release(&buffer);
    assert_int_equal(cordwood_get(world->db, 0, cordwood_text("long"), &buffer),
                     CORDWOOD_NO_MEMORY);
    assert_null(buffer.data);
}

static void arguments_that_cannot_be_are_refused(void **state)
{
    struct library_world *world = *state;
    struct cordwood *db = world->db;
    static char large[CORDWOOD_KEY_BYTES_MAX + 1];
    struct cordwood_slice key = cordwood_text("key"), none = cordwood_text("");
    struct cordwood_slice too_large = cordwood_slice(large, sizeof(large));
    struct cordwood_slice huge = cordwood_slice(large, world->options.batch_bytes_max + 1);
    struct cordwood_buffer buffer = {0};
    struct cordwood_iterator *iterator;
    struct cordwood_transaction *transaction = begin(db, false);
    struct cordwood_batch *batch = cordwood_batch_create(db);
    assert_int_equal(cordwood_put(db, 1, key, none), CORDWOOD_INVALID);
    assert_int_equal(cordwood_put(db, 0, too_large, none), CORDWOOD_INVALID);
    assert_int_equal(cordwood_delete(db, 0, too_large), CORDWOOD_INVALID);
    assert_int_equal(cordwood_delete_range(db, 0, key, too_large), CORDWOOD_INVALID);
    assert_int_equal(cordwood_get(db, 9, key, &buffer), CORDWOOD_INVALID);
    assert_int_equal(cordwood_iterator_open(db, 1, NULL, &iterator), CORDWOOD_INVALID);
    assert_int_equal(cordwood_batch_put(batch, 1, key, none), CORDWOOD_INVALID);
    assert_int_equal(cordwood_batch_delete(batch, 0, too_large), CORDWOOD_INVALID);
    assert_int_equal(cordwood_batch_delete_range(batch, 1, key, key), CORDWOOD_INVALID);
    assert_int_equal(cordwood_transaction_put(transaction, 1, key, none), CORDWOOD_INVALID);
    assert_int_equal(cordwood_transaction_get(transaction, 1, key, &buffer), CORDWOOD_INVALID);
    assert_int_equal(cordwood_transaction_delete(transaction, 1, key), CORDWOOD_INVALID);
    assert_int_equal(cordwood_transaction_delete_range(transaction, 0, key, too_large),
                     CORDWOOD_INVALID);
    huge.size = (size_t)65 << 20;
    assert_int_equal(cordwood_put(db, 0, key, huge), CORDWOOD_TOO_LARGE);
    assert_int_equal(cordwood_batch_put(batch, 0, key, huge), CORDWOOD_TOO_LARGE);
    assert_int_equal(cordwood_transaction_put(transaction, 0, key, huge), CORDWOOD_TOO_LARGE);
    cordwood_batch_destroy(batch);
    assert_int_equal(commit(transaction), CORDWOOD_OK);
    cordwood_batch_destroy(NULL);
    cordwood_transaction_destroy(NULL);
    cordwood_iterator_close(NULL);
    cordwood_snapshot_release(NULL);
    assert_int_equal(cordwood_close(NULL), CORDWOOD_OK);
    assert_string_equal(walk(iterate(db, "", "", ""), false), "");
}

static void structs_of_no_known_size_are_refused(void **state)
{
    struct library_world *world = *state;
    struct cordwood_iterator_options iterator_options = CORDWOOD_ITERATOR_OPTIONS;
    struct cordwood_transaction_options options = CORDWOOD_TRANSACTION_OPTIONS;
    struct cordwood_iterator *iterator;
    struct cordwood_transaction *transaction;
    iterator_options.struct_bytes++;
    assert_int_equal(cordwood_iterator_open(world->db, 0, &iterator_options, &iterator),
                     CORDWOOD_INVALID);
    options.struct_bytes = 1;
    assert_int_equal(cordwood_transaction_begin(world->db, &options, &transaction),
                     CORDWOOD_INVALID);
}

static void every_status_has_a_text_and_a_number(void **state)
{
    (void)state;
    for (int status = CORDWOOD_OK; status <= CORDWOOD_SNAPSHOT_EXPIRED; status++)
        assert_string_not_equal(cordwood_status_text((enum cordwood_status)status),
                                "unknown status");
    assert_string_equal(cordwood_status_text((enum cordwood_status)99), "unknown status");
    assert_int_equal(library_status(STATUS_CONFLICT), CORDWOOD_CONFLICT);
    assert_int_equal(library_status(STATUS_WOULD_BLOCK), CORDWOOD_IO);
    assert_true(strchr(cordwood_version(), '.') != NULL);
}

/* ---- Batches ------------------------------------------------------------------------------- */

static void a_batch_is_written_in_order_over_all_trees(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    const struct cordwood_tree_options trees[] = {
        {.name = "default", .filter_bits_per_key = 5},
        {.name = "index", .append_only = true, .filter_bits_per_key = UINT32_MAX}};
    library_world_close(world);
    world->options.trees = trees;
    world->options.tree_count = 2; /* a tree joins */
    library_world_open(world);
    put(world->db, "old", "1");
    struct cordwood_batch *batch = cordwood_batch_create(world->db);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK); /* nothing */
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("a"), cordwood_text("1")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_put(batch, 1, cordwood_text("x"), cordwood_text("a")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_delete_range(batch, 0, cordwood_text("a"), cordwood_text("p")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_delete_range(batch, 0, cordwood_text("p"), cordwood_text("a")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("b"), cordwood_text("2")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_delete(batch, 0, cordwood_text("c")), CORDWOOD_OK);
    assert_int_equal(cordwood_batch_count(batch), 5);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "b=2");
    assert_int_equal(cordwood_get(world->db, 1, cordwood_text("x"), &buffer), CORDWOOD_OK);
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("b")), CORDWOOD_OK);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK); /* once more */
    assert_string_equal(get(world->db, "b"), "2");
    cordwood_batch_clear(batch);
    assert_int_equal(cordwood_batch_count(batch), 0);
    cordwood_batch_destroy(batch);
    cordwood_buffer_release(&buffer);
    library_world_close(world);
    world->options.trees = NULL;
    world->options.tree_count = 0;
    struct cordwood_error error = {""};
    assert_int_equal(library_open(&world->env, "db", &world->options, &error, &world->db),
                     CORDWOOD_INVALID);
    assert_non_null(strstr(error.text, "trees"));
}

static void a_full_batch_takes_no_more_and_is_still_good(void **state)
{
    struct library_world *world = *state;
    static char bytes[512 << 10];
    library_world_close(world);
    world->options.batch_bytes_max = 1 << 20;
    library_world_open(world);
    struct cordwood_batch *batch = cordwood_batch_create(world->db);
    struct cordwood_slice value = cordwood_slice(bytes, sizeof(bytes));
    memory_fail_try(1, false);
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("a"), value), CORDWOOD_NO_MEMORY);
    assert_int_equal(cordwood_batch_count(batch), 0);
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("a"), value), CORDWOOD_OK);
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("b"), value), CORDWOOD_TOO_LARGE);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK);
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("b")), CORDWOOD_OK);
    cordwood_batch_clear(batch);
    assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text("b"), cordwood_text("2")),
                     CORDWOOD_OK);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK);
    assert_string_equal(get(world->db, "b"), "2");
    cordwood_batch_destroy(batch);
}

/* ---- Iterators and snapshots --------------------------------------------------------------- */

static void an_iterator_keeps_to_bounds_and_prefix(void **state)
{
    struct library_world *world = *state;
    static const char *const keys[] = {"a", "ab", "abc", "b", "ba", "bb", "c"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        put(world->db, keys[i], "");
    assert_string_equal(walk(iterate(world->db, "ab", "bb", ""), false), "ab= abc= b= ba=");
    assert_string_equal(walk(iterate(world->db, "", "", "ab"), true), "abc= ab=");
    assert_string_equal(walk(iterate(world->db, "abb", "", "ab"), false), "abc=");
    assert_string_equal(walk(iterate(world->db, "", "abb", "ab"), false), "ab=");
    assert_string_equal(walk(iterate(world->db, "b", "", "ab"), false), "");
    assert_string_equal(walk(iterate(world->db, "", "aa", "b"), false), "");
    put(world->db, "\xff\xff", "");
    put(world->db, "\xff\xffz", "");
    assert_string_equal(walk(iterate(world->db, "", "", "\xff\xff"), false),
                        "\xff\xff= \xff\xffz=");
    assert_string_equal(walk(iterate(world->db, "", "", "b\xff"), true), "");
}

static void an_iterator_moves_both_ways(void **state)
{
    struct library_world *world = *state;
    for (char key[] = "b"; key[0] <= 'h'; key[0] += 2)
        put(world->db, key, key);
    struct cordwood_iterator *iterator = iterate(world->db, "", "", "");
    assert_false(cordwood_iterator_valid(iterator));
    cordwood_iterator_next(iterator); /* nowhere */
    cordwood_iterator_prev(iterator);
    cordwood_iterator_seek(iterator, cordwood_text("c"));
    assert_memory_equal(cordwood_iterator_key(iterator).data, "d", 1);
    cordwood_iterator_prev(iterator);
    assert_memory_equal(cordwood_iterator_value(iterator).data, "b", 1);
    cordwood_iterator_seek_for_prev(iterator, cordwood_text("g"));
    assert_memory_equal(cordwood_iterator_key(iterator).data, "f", 1);
    cordwood_iterator_next(iterator);
    cordwood_iterator_next(iterator);
    assert_false(cordwood_iterator_valid(iterator));
    assert_int_equal(cordwood_iterator_status(iterator), CORDWOOD_OK);
    cordwood_iterator_close(iterator);
}

static uint64_t a_second_a_look(void *context)
{
    static uint64_t now_us;
    (void)context;
    return now_us += 1000000;
}

static void an_old_snapshot_says_so(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    struct cordwood_iterator *iterator;
    library_world_close(world);
    world->env.monotonic_us = a_second_a_look;
    world->options.snapshot_age_max_ms = 1000;
    library_world_open(world);
    put(world->db, "a", "1");
    struct cordwood_snapshot *snapshot = cordwood_snapshot_acquire(world->db);
    assert_int_equal(cordwood_snapshot_get(snapshot, 0, cordwood_text("a"), &buffer),
                     CORDWOOD_SNAPSHOT_EXPIRED);
    assert_int_equal(cordwood_snapshot_iterator_open(snapshot, 0, NULL, &iterator), CORDWOOD_OK);
    cordwood_iterator_seek_first(iterator);
    assert_false(cordwood_iterator_valid(iterator));
    assert_int_equal(cordwood_iterator_status(iterator), CORDWOOD_SNAPSHOT_EXPIRED);
    cordwood_iterator_close(iterator);
    assert_string_equal(cordwood_status_text(CORDWOOD_SNAPSHOT_EXPIRED),
                        "the snapshot is older than the limit");
    cordwood_snapshot_release(snapshot);
    cordwood_buffer_release(&buffer);
}

static void a_snapshot_shows_its_moment(void **state)
{
    struct library_world *world = *state;
    struct cordwood_buffer buffer = {0};
    struct cordwood_iterator *iterator;
    put(world->db, "a", "1");
    put(world->db, "b", "1");
    struct cordwood_snapshot *snapshot = cordwood_snapshot_acquire(world->db);
    struct cordwood_iterator *open = iterate(world->db, "", "", "");
    put(world->db, "a", "2");
    put(world->db, "c", "2");
    assert_int_equal(cordwood_delete(world->db, 0, cordwood_text("b")), CORDWOOD_OK);
    library_world_work(world, true);
    enum cordwood_status status = cordwood_snapshot_get(snapshot, 0, cordwood_text("b"), &buffer);
    assert_string_equal(value_text(status, &buffer), "1");
    assert_int_equal(cordwood_snapshot_iterator_open(snapshot, 0, NULL, &iterator), CORDWOOD_OK);
    assert_string_equal(walk(iterator, false), "a=1 b=1");
    assert_string_equal(walk(open, true), "b=1 a=1");
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "a=2 c=2");
    cordwood_snapshot_release(snapshot);
    cordwood_buffer_release(&buffer);
}

static void iterators_are_bounded(void **state)
{
    struct library_world *world = *state;
    static struct cordwood_iterator *iterators[CORDWOOD_ITERATORS_MAX];
    struct cordwood_iterator *one_more;
    put(world->db, "a", "1");
    for (unsigned i = 0; i < CORDWOOD_ITERATORS_MAX; i++)
        iterators[i] = iterate(world->db, "", "", "");
    assert_int_equal(cordwood_iterator_open(world->db, 0, NULL, &one_more), CORDWOOD_BUSY);
    assert_string_equal(get(world->db, "a"), "1"); /* reads go on */
    struct cordwood_statistics statistics;
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_int_equal(statistics.iterator_count, CORDWOOD_ITERATORS_MAX);
    for (unsigned i = 0; i < CORDWOOD_ITERATORS_MAX; i++)
        cordwood_iterator_close(iterators[i]);
    assert_string_equal(walk(iterate(world->db, "", "", ""), false), "a=1");
}

/* ---- Opening ------------------------------------------------------------------------------- */

static void expect_refused(struct library_world *world, const struct cordwood_options *options)
{
    struct cordwood_error error = {""};
    struct cordwood *db = NULL;
    assert_int_equal(library_open(&world->env, "other", options, &error, &db), CORDWOOD_INVALID);
    assert_null(db);
    assert_string_not_equal(error.text, "");
}

static void options_that_cannot_be_are_refused(void **state)
{
    struct library_world *world = *state;
    const struct cordwood_tree_options twice[] = {{.name = "a"}, {.name = "a"}};
    const struct cordwood_tree_options unnamed[] = {{.name = ""}};
    struct cordwood_options options = world->options;
    options.struct_bytes = 0;
    expect_refused(world, &options);
    options.struct_bytes = sizeof(options) + 8;
    expect_refused(world, &options);
    options = world->options;
    options.durability = (enum cordwood_durability)3;
    expect_refused(world, &options);
    options = world->options;
    options.background_threads = CORDWOOD_THREADS_MAX + 1;
    expect_refused(world, &options);
    options = world->options;
    options.log_segment_bytes = 1000;
    expect_refused(world, &options);
    options = world->options;
    options.batch_bytes_max = (size_t)CORDWOOD_BATCH_BYTES_MAX + 1;
    expect_refused(world, &options);
    options = world->options;
    options.cold_compression = (enum cordwood_compression)2;
    expect_refused(world, &options);
    options = world->options;
    options.tree_count = 1;
    expect_refused(world, &options);
    options.trees = unnamed;
    expect_refused(world, &options);
    options.trees = twice;
    options.tree_count = 2;
    expect_refused(world, &options);
    options.tree_count = CORDWOOD_TREES_MAX + 1;
    expect_refused(world, &options);
}

/* A program of an older header: its struct ends earlier. */
static void a_shorter_options_struct_gives_the_rest_its_defaults(void **state)
{
    struct library_world *world = *state;
    struct cordwood_options options = world->options, taken;
    options.struct_bytes = offsetof(struct cordwood_options, memtable_bytes);
    options.memtable_bytes = 1;
    assert_true(library_take_options(&options, &taken));
    assert_int_equal(taken.memtable_bytes, 64 << 20);
    assert_int_equal(taken.durability, CORDWOOD_SYNC_NONE);
    options.struct_bytes = offsetof(struct cordwood_options, cold_compression);
    options.cold_compression = CORDWOOD_ZSTD;
    assert_true(library_take_options(&options, &taken));
    assert_int_equal(taken.cold_compression, CORDWOOD_LZ4);
    assert_true(library_take_options(NULL, &taken));
    assert_int_equal(taken.background_threads, 1);
    assert_int_equal(taken.sync_interval_ms, 1000);
}

enum { COLD_ROWS = 2000 };

/* Hexadecimal digits: to LZ4 they are noise, to Zstandard half of it. */
static void put_digits(struct library_world *world, unsigned tree, unsigned first)
{
    for (unsigned i = first; i < first + COLD_ROWS; i++) {
        char key[16], value[81];
        snprintf(key, sizeof(key), "%08u", i);
        for (unsigned at = 0; at < sizeof(value) - 1; at += 8)
            snprintf(value + at, 9, "%08x", (i * 80 + at) * 2654435761u);
        assert_int_equal(cordwood_put(world->db, tree, cordwood_text(key), cordwood_text(value)),
                         CORDWOOD_OK);
    }
}

static uint64_t merged_bytes(struct library_world *world, enum cordwood_compression compression,
                             bool append_only)
{
    struct cordwood_statistics statistics;
    static const struct cordwood_tree_options trees[] = {
        {.name = "leveled"}, {.name = "appended", .append_only = true}};
    library_world_release(world);
    library_world_init(world);
    world->options.cold_compression = compression;
    world->options.trees = &trees[append_only];
    world->options.tree_count = 1;
    library_world_open(world);
    for (unsigned i = 0; i < 2; i++) {
        put_digits(world, 0, i * COLD_ROWS);
        library_world_work(world, i > 0);
    }
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_int_equal(statistics.entry_count, 2 * COLD_ROWS);
    return statistics.table_bytes;
}

static void cold_compression_makes_merged_appended_trees_smaller(void **state)
{
    struct library_world *world = *state;
    if (!lsm_has_zstd())
        skip();
    assert_true(merged_bytes(world, CORDWOOD_ZSTD, false) ==
                merged_bytes(world, CORDWOOD_LZ4, false));
    uint64_t lz4 = merged_bytes(world, CORDWOOD_LZ4, true);
    uint64_t zstd = merged_bytes(world, CORDWOOD_ZSTD, true);
    assert_true(zstd < lz4 * 3 / 4);
    library_world_close(world);
    world->options.cold_compression = CORDWOOD_LZ4;
    library_world_open(world);
    assert_int_equal(strlen(get(world->db, "00000077")), 80);
}

static void cold_compression_that_was_not_built_in_is_refused(void **state)
{
    struct library_world *world = *state;
    struct cordwood_options options = world->options;
    struct cordwood_error error = {""};
    struct cordwood *db = NULL;
    const struct cordwood_tree_options tree = {.name = "appended", .append_only = true};
    options.cold_compression = CORDWOOD_ZSTD;
    options.trees = &tree;
    options.tree_count = 1;
    compression_hide_zstd(true);
    enum cordwood_status status = library_open(&world->env, "other", &options, &error, &db);
    compression_hide_zstd(false);
    assert_int_equal(status, CORDWOOD_UNSUPPORTED);
    assert_null(db);
    assert_non_null(strstr(error.text, "compressed by Zstandard, which this program was built"));
}

static void a_database_is_not_made_where_it_must_exist(void **state)
{
    struct library_world *world = *state;
    struct cordwood_options options = world->options;
    struct cordwood_error error = {""};
    struct cordwood *db;
    options.must_exist = true;
    assert_int_equal(library_open(&world->env, "none", &options, &error, &db), CORDWOOD_NOT_FOUND);
    assert_non_null(strstr(error.text, "none"));
    assert_int_equal(library_open(&world->env, "db", &options, NULL, &db), CORDWOOD_BUSY);
}

static void a_read_only_database_is_looked_at(void **state)
{
    struct library_world *world = *state;
    struct cordwood_error error = {""};
    put(world->db, "a", "1");
    library_world_close(world);
    struct vfs_fault_counters before, after;
    vfs_fault_counters(world->fault, &before);
    world->options.read_only = true;
    world->options.background_threads = 1; /* none is started */
    library_world_open(world);
    struct cordwood *db = world->db;
    assert_string_equal(get(db, "a"), "1");
    struct cordwood_transaction *transaction = begin(db, false);
    put_in(transaction, "a", "2");
    assert_int_equal(commit(transaction), CORDWOOD_READ_ONLY);
    assert_int_equal(cordwood_put(db, 0, cordwood_text("a"), cordwood_text("2")),
                     CORDWOOD_READ_ONLY);
    assert_int_equal(cordwood_delete(db, 0, cordwood_text("a")), CORDWOOD_READ_ONLY);
    assert_int_equal(cordwood_delete_range(db, 0, cordwood_text("a"), cordwood_text("b")),
                     CORDWOOD_READ_ONLY);
    assert_int_equal(cordwood_sync(db), CORDWOOD_READ_ONLY);
    assert_int_equal(cordwood_checkpoint(db, "copy", &error), CORDWOOD_READ_ONLY);
    struct cordwood_batch *batch = cordwood_batch_create(db);
    assert_int_equal(cordwood_batch_delete(batch, 0, cordwood_text("a")), CORDWOOD_OK);
    assert_int_equal(cordwood_batch_write(batch), CORDWOOD_READ_ONLY);
    cordwood_batch_destroy(batch);
    cordwood_request_flush(db);
    cordwood_request_compact(db);
    assert_false(cordwood_work(db));
    assert_string_equal(walk(iterate(db, "", "", ""), false), "a=1");
    library_world_close(world);
    vfs_fault_counters(world->fault, &after);
    assert_int_equal(after.bytes_written, before.bytes_written);
}

/* ---- Durability and background work --------------------------------------------------------- */

static void a_commit_is_synced_when_it_returns(void **state)
{
    struct library_world *world = *state, after;
    library_world_close(world);
    world->options.durability = CORDWOOD_SYNC_COMMIT;
    library_world_open(world);
    put(world->db, "a", "1");
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "a"), "1");
    library_world_release(&after);
}

static void without_syncs_a_kill_loses_nothing(void **state)
{
    struct library_world *world = *state, after;
    put(world->db, "a", "1");
    library_world_open_after(world, VFS_KEEP_ALL, &after);
    assert_string_equal(get(after.db, "a"), "1");
    library_world_release(&after);
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "a"), "-");
    library_world_release(&after);
    assert_int_equal(cordwood_sync(world->db), CORDWOOD_OK);
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "a"), "1");
    library_world_release(&after);
}

static uint64_t clock_us;

static uint64_t test_clock(void *context)
{
    (void)context;
    return clock_us;
}

static void the_host_syncs_each_interval(void **state)
{
    struct library_world *world = *state, after;
    library_world_close(world);
    world->env.monotonic_us = test_clock;
    world->options.durability = CORDWOOD_SYNC_INTERVAL;
    world->options.sync_interval_ms = 10;
    library_world_open(world);
    put(world->db, "a", "1");
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "a"), "-");
    library_world_release(&after);
    clock_us += 10000;
    while (cordwood_work(world->db))
        ;
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "a"), "1");
    library_world_release(&after);
    clock_us += 10000;
    put(world->db, "b", "1"); /* a write notices too */
    library_world_open_after(world, VFS_LOSE_UNSYNCED, &after);
    assert_string_equal(get(after.db, "b"), "1");
    library_world_release(&after);
}

static void a_thread_syncs_each_interval(void **state)
{
    struct library_world *world = *state;
    library_world_close(world);
    world->options.durability = CORDWOOD_SYNC_INTERVAL;
    world->options.sync_interval_ms = 1;
    world->options.background_threads = 2;
    library_world_open(world);
    put(world->db, "a", "1");
    lsn_t visible = lsm_visible_lsn(world->db->engine);
    while (lsm_durable_lsn(world->db->engine) < visible)
        sched_yield();
    library_world_close(world);
}

static unsigned signals;

static void count_signal(void *context)
{
    assert_ptr_equal(context, &signals);
    signals++;
}

/* More than memtables hold: the host is told, and if it does nothing the writer works itself. */
static void a_host_without_threads_is_told_of_work(void **state)
{
    struct library_world *world = *state;
    static char bytes[8192];
    library_world_close(world);
    world->options.work_ready = count_signal;
    world->options.context = &signals;
    library_world_open(world);
    struct cordwood_statistics statistics;
    for (unsigned i = 0; i < 2000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", i * 7919 % 2000);
        assert_int_equal(
            cordwood_put(world->db, 0, cordwood_text(key), cordwood_slice(bytes, sizeof(bytes))),
            CORDWOOD_OK);
        assert_true(get(world->db, key) != NULL);
    }
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_true(signals > 0);
    assert_true(statistics.flush_count > 0);
    assert_true(statistics.memtable_bytes < 64 * world->options.memtable_bytes);
    library_world_work(world, true);
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_true(statistics.compaction_count > 0);
    assert_int_equal(statistics.entry_count, 2000);
    assert_true(statistics.table_bytes > 0);
    assert_int_equal(statistics.background_error, CORDWOOD_OK);
}

static void shorter_statistics_are_filled_as_far_as_they_go(void **state)
{
    struct library_world *world = *state;
    struct cordwood_statistics statistics = {.table_bytes = 77};
    cordwood_get_statistics(world->db, &statistics,
                            offsetof(struct cordwood_statistics, table_bytes));
    assert_int_equal(statistics.table_bytes, 77);
}

/* Readers that nobody uses do not keep memtables that are long in tables. */
static void idle_readers_let_old_memtables_go(void **state)
{
    struct library_world *world = *state;
    static char bytes[4096];
    put(world->db, "a", "1");
    assert_string_equal(get(world->db, "a"), "1"); /* this thread's reader has a view now */
    struct lsm_reader *reader = NULL;
    for (unsigned i = 0; i < KEEPER_READERS; i++)
        if (world->db->keeper.readers[i].reader)
            reader = world->db->keeper.readers[i].reader;
    assert_non_null(reader);
    assert_non_null(reader->view);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(
            cordwood_put(world->db, 0, cordwood_text("b"), cordwood_slice(bytes, sizeof(bytes))),
            CORDWOOD_OK);
    assert_null(reader->view);
}

static void *get_one(void *context)
{
    struct library_world *world = context;
    struct cordwood_buffer buffer = {0};
    enum cordwood_status status = cordwood_get(world->db, 0, cordwood_text("a"), &buffer);
    cordwood_buffer_release(&buffer);
    return status == CORDWOOD_OK ? NULL : world;
}

/* Writes do not wait for readers in use; a read for which none is left waits for one. */
static void more_reads_at_once_than_readers_wait(void **state)
{
    struct library_world *world = *state;
    static char bytes[128 << 10];
    struct keeper_reader *taken[KEEPER_READERS];
    pthread_t thread;
    void *failed;
    put(world->db, "a", "1");
    for (unsigned i = 0; i < KEEPER_READERS; i++)
        taken[i] = keeper_take_reader(&world->db->keeper);
    assert_int_equal(
        cordwood_put(world->db, 0, cordwood_text("b"), cordwood_slice(bytes, sizeof(bytes))),
        CORDWOOD_OK);
    assert_int_equal(pthread_create(&thread, NULL, get_one, world), 0);
    for (unsigned i = 0; i < KEEPER_READERS; i++) {
        sched_yield();
        keeper_give_reader(taken[i]);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

/* ---- Faults -------------------------------------------------------------------------------- */

static void a_full_disk_refuses_writes_and_they_go_on_later(void **state)
{
    struct library_world *world = *state;
    static char bytes[300 << 10];
    struct cordwood_slice value = cordwood_slice(bytes, sizeof(bytes));
    put(world->db, "a", "1");
    vfs_fault_set_free_bytes(world->fault, 0);
    enum cordwood_status status = CORDWOOD_OK;
    for (int i = 0; i < 10 && status == CORDWOOD_OK; i++)
        status = cordwood_put(world->db, 0, cordwood_text("b"), value);
    assert_int_equal(status, CORDWOOD_NO_SPACE);
    assert_string_equal(get(world->db, "a"), "1");
    vfs_fault_set_free_bytes(world->fault, UINT64_MAX);
    assert_int_equal(cordwood_put(world->db, 0, cordwood_text("b"), value), CORDWOOD_OK);
}

static void a_failed_sync_ends_writing_and_takes_the_write_back(void **state)
{
    struct library_world *world = *state;
    library_world_close(world);
    world->options.durability = CORDWOOD_SYNC_COMMIT;
    library_world_open(world);
    put(world->db, "a", "1");
    vfs_fault_fail(world->fault, 1u << VFS_CALL_SYNC, 1, STATUS_IO, false);
    enum cordwood_status status =
        cordwood_put(world->db, 0, cordwood_text("a"), cordwood_text("2"));
    assert_true(status == CORDWOOD_IO || status == CORDWOOD_READ_ONLY);
    assert_string_equal(get(world->db, "a"), "1");
    assert_int_equal(cordwood_put(world->db, 0, cordwood_text("a"), cordwood_text("3")),
                     CORDWOOD_READ_ONLY);
    struct cordwood_statistics statistics;
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_true(statistics.read_only);
    assert_int_not_equal(cordwood_close(world->db), CORDWOOD_OK);
    library_world_open(world);
    assert_int_equal(get(world->db, "a")[0] >= '1', true);
    put(world->db, "a", "4");
}

/* ---- Checkpoints, verification, repair, on a real file system ------------------------------- */

enum { PAIRS = 500 };

struct churn {
    struct cordwood *db;
    atomic_bool stop;
    atomic_uint batches;
};

/* a = b always, written together. */
static void *write_pairs(void *context)
{
    struct churn *churn = context;
    struct cordwood_batch *batch = cordwood_batch_create(churn->db);
    for (unsigned i = 0; !atomic_load(&churn->stop); i++) {
        char key[32], value[200];
        snprintf(value, sizeof(value), "%0180u", i);
        cordwood_batch_clear(batch);
        snprintf(key, sizeof(key), "a%u", i % PAIRS);
        assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text(key), cordwood_text(value)),
                         CORDWOOD_OK);
        key[0] = 'b';
        assert_int_equal(cordwood_batch_put(batch, 0, cordwood_text(key), cordwood_text(value)),
                         CORDWOOD_OK);
        assert_int_equal(cordwood_batch_write(batch), CORDWOOD_OK);
        atomic_store(&churn->batches, i + 1);
    }
    cordwood_batch_destroy(batch);
    return NULL;
}

static unsigned count_pairs(struct cordwood *db)
{
    unsigned count = 0;
    struct cordwood_buffer buffer = {0};
    struct cordwood_iterator *iterator = iterate(db, "", "", "a");
    for (cordwood_iterator_seek_first(iterator); cordwood_iterator_valid(iterator);
         cordwood_iterator_next(iterator)) {
        char key[32];
        struct cordwood_slice other = cordwood_iterator_key(iterator);
        struct cordwood_slice value = cordwood_iterator_value(iterator);
        snprintf(key, sizeof(key), "b%.*s", (int)other.size - 1, (const char *)other.data + 1);
        assert_int_equal(cordwood_get(db, 0, cordwood_text(key), &buffer), CORDWOOD_OK);
        assert_int_equal(buffer.size, value.size);
        assert_memory_equal(buffer.data, value.data, value.size);
        count++;
    }
    cordwood_iterator_close(iterator);
    cordwood_buffer_release(&buffer);
    return count;
}

static void count_sound(void *context, const char *file, const char *finding)
{
    (void)file;
    assert_null(finding);
    ++*(unsigned *)context;
}

static void checkpoints_open_and_verify_while_writes_go_on(void **state)
{
    (void)state;
    char directory[TEMP_DIRECTORY_BYTES], path[200], copy[200], again[200];
    struct cordwood_options options = CORDWOOD_OPTIONS;
    struct cordwood_error error = {""};
    struct churn churn = {NULL};
    pthread_t thread;
    temp_directory_make(directory);
    snprintf(path, sizeof(path), "%s/db", directory);
    options.durability = CORDWOOD_SYNC_NONE;
    options.memtable_bytes = 256 << 10;
    options.log_segment_bytes = 256 << 10;
    assert_int_equal(cordwood_open(path, &options, &error, &churn.db), CORDWOOD_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_pairs, &churn), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct cordwood *restored;
        unsigned files = 0;
        struct cordwood_statistics statistics;
        uint64_t flushed = 0;
        /* So that there is something to link, and every pair. */
        while (flushed < 2 * (i + 1) || atomic_load(&churn.batches) < PAIRS) {
            cordwood_get_statistics(churn.db, &statistics, sizeof(statistics));
            flushed = statistics.flush_count;
            sched_yield();
        }
        snprintf(copy, sizeof(copy), "%s/copy%u", directory, i);
        snprintf(again, sizeof(again), "%s/again%u", directory, i);
        if (cordwood_checkpoint(churn.db, copy, &error) != CORDWOOD_OK)
            fail_msg("%s", error.text);
        assert_int_equal(cordwood_checkpoint(churn.db, copy, &error), CORDWOOD_EXISTS);
        assert_int_equal(cordwood_verify(copy, count_sound, &files), CORDWOOD_OK);
        assert_true(files > 2);
        assert_int_equal(cordwood_open(copy, &options, &error, &restored), CORDWOOD_OK);
        unsigned pairs = count_pairs(restored);
        assert_int_equal(pairs, PAIRS);
        put(restored, "a of its own", "");
        assert_int_equal(cordwood_delete(restored, 0, cordwood_text("a of its own")), CORDWOOD_OK);
        assert_int_equal(cordwood_checkpoint(restored, again, NULL), CORDWOOD_OK);
        assert_int_equal(cordwood_close(restored), CORDWOOD_OK);
        assert_int_equal(cordwood_verify(again, NULL, NULL), CORDWOOD_OK);
    }
    atomic_store(&churn.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(count_pairs(churn.db), PAIRS);
    assert_int_equal(cordwood_close(churn.db), CORDWOOD_OK);
    temp_directory_remove(directory);
}

static void note_line(void *context, const char *line)
{
    assert_true(strlen(line) > 0);
    ++*(unsigned *)context;
}

static void damage_is_refused_found_and_repaired(void **state)
{
    (void)state;
    char directory[TEMP_DIRECTORY_BYTES], path[300], command[400];
    struct cordwood_options options = CORDWOOD_OPTIONS;
    struct cordwood_error error = {""};
    struct cordwood *db;
    unsigned lines = 0;
    temp_directory_make(directory);
    snprintf(path, sizeof(path), "%s/db", directory);
    options.log_segment_bytes = 256 << 10;
    assert_int_equal(cordwood_open(path, &options, &error, &db), CORDWOOD_OK);
    put(db, "a", "1");
    assert_int_equal(cordwood_close(db), CORDWOOD_OK);
    assert_int_equal(cordwood_verify(path, NULL, NULL), CORDWOOD_OK);
    snprintf(command, sizeof(command), "for f in %s/*.cwt; do : >\"$f\"; done", path);
    assert_int_equal(system(command), 0);
    assert_int_equal(cordwood_verify(path, NULL, NULL), CORDWOOD_CORRUPT);
    assert_int_equal(cordwood_repair(path, note_line, &lines), CORDWOOD_OK);
    assert_true(lines > 0);
    assert_int_equal(cordwood_repair(path, NULL, NULL), CORDWOOD_OK);
    assert_int_equal(cordwood_verify(path, NULL, NULL), CORDWOOD_OK);
    assert_int_equal(cordwood_open(path, NULL, &error, &db), CORDWOOD_OK);
    put(db, "b", "2");
    assert_string_equal(get(db, "b"), "2");
    assert_int_equal(cordwood_close(db), CORDWOOD_OK);
    temp_directory_remove(directory);
}

/* ---- Threads ------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 300 };

struct worker {
    struct cordwood *db;
    unsigned number;
};

static void *put_and_get(void *context)
{
    struct worker *worker = context;
    struct cordwood_buffer buffer = {0};
    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[32], value[32];
        snprintf(key, sizeof(key), "%u-%u", worker->number, i % 50);
        snprintf(value, sizeof(value), "%u", i);
        assert_int_equal(cordwood_put(worker->db, 0, cordwood_text(key), cordwood_text(value)),
                         CORDWOOD_OK);
        assert_int_equal(cordwood_get(worker->db, 0, cordwood_text(key), &buffer), CORDWOOD_OK);
        assert_int_equal(buffer.size, strlen(value));
        assert_memory_equal(buffer.data, value, buffer.size);
    }
    cordwood_buffer_release(&buffer);
    return NULL;
}

static void threads_share_a_database_and_its_syncs(void **state)
{
    struct library_world *world = *state;
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    library_world_close(world);
    world->options.durability = CORDWOOD_SYNC_COMMIT;
    world->options.background_threads = 2;
    library_world_open(world);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){world->db, i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct cordwood_statistics statistics;
    cordwood_get_statistics(world->db, &statistics, sizeof(statistics));
    assert_true(statistics.log_syncs <= THREADS * ROUNDS + 8);
    assert_string_equal(get(world->db, "7-49"), "299");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_there_until_it_is_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_is_deleted_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_buffer_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(structs_of_no_known_size_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(cold_compression_makes_merged_appended_trees_smaller, setup, teardown),
        cmocka_unit_test_setup_teardown(cold_compression_that_was_not_built_in_is_refused, setup, teardown),
        cmocka_unit_test(every_status_has_a_text_and_a_number),
        cmocka_unit_test_setup_teardown(a_batch_is_written_in_order_over_all_trees, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_batch_takes_no_more_and_is_still_good, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_iterator_keeps_to_bounds_and_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(an_iterator_moves_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_shows_its_moment, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_snapshot_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(iterators_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(options_that_cannot_be_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_shorter_options_struct_gives_the_rest_its_defaults, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_database_is_not_made_where_it_must_exist, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_read_only_database_is_looked_at, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_is_synced_when_it_returns, setup, teardown),
        cmocka_unit_test_setup_teardown(without_syncs_a_kill_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_host_syncs_each_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_syncs_each_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_without_threads_is_told_of_work, setup, teardown),
        cmocka_unit_test_setup_teardown(shorter_statistics_are_filled_as_far_as_they_go, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(idle_readers_let_old_memtables_go, setup, teardown),
        cmocka_unit_test_setup_teardown(more_reads_at_once_than_readers_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_refuses_writes_and_they_go_on_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_failed_sync_ends_writing_and_takes_the_write_back, setup,
                                        teardown),
        cmocka_unit_test(checkpoints_open_and_verify_while_writes_go_on),
        cmocka_unit_test(damage_is_refused_found_and_repaired),
        cmocka_unit_test_setup_teardown(threads_share_a_database_and_its_syncs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
