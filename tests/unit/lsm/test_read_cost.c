/* SPDX-License-Identifier: MIT */
/* What reading costs, counted in calls of the file system: pages of a log ten times the block cache, forward and
 * backward; scans beside a set of blocks that is in use; what index and filter take of a table. */
#include "lsm/lsm.h"

#include "base/coding.h"
#include "base/random.h"
#include "lib/seed.h"
#include "lsm/block.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    KEYS, /* the trees */
    ENTRIES,
    PREFIX_BYTES = 8,
    KEY_BYTES = 2 * PREFIX_BYTES,
    VALUE_BYTES = 130,
    CACHE_BYTES = 1 << 20,
    COUNT = 10 * CACHE_BYTES / (KEY_BYTES + VALUE_BYTES), /* entries: ten times the cache */
    BATCH = 100,
    PAGE = 100,
};

struct fixture {
    struct vfs *memory, *vfs;
    struct env env;
    struct lsm *db;
    struct lsm_reader *reader;
    struct random random;
};

/* Half of a value is text, half is not to be compressed. */
static struct slice value_of(struct fixture *f, uint8_t at[VALUE_BYTES])
{
    memset(at, 'x', VALUE_BYTES);
    for (int i = 0; i < VALUE_BYTES / 2; i++)
        at[i] = (uint8_t)random_next(&f->random);
    return slice_make(at, VALUE_BYTES);
}

static struct slice key_of(uint8_t at[KEY_BYTES], uint64_t object, uint64_t number)
{
    be64_store(at, object);
    be64_store(at + PREFIX_BYTES, number);
    return slice_make(at, KEY_BYTES);
}

static void work(struct fixture *f)
{
    while (lsm_work(f->db, 1 << 20))
        ;
}

/* Puts numbers [first, end) of an object. */
static void fill(struct fixture *f, unsigned tree, uint64_t object, uint64_t first, uint64_t end)
{
    uint8_t key[KEY_BYTES], value[VALUE_BYTES];
    for (uint64_t i = first; i < end; i += BATCH) {
        struct lsm_writer *writer;
        lsm_lock(f->db);
        assert_int_equal(lsm_write_begin(f->db, BATCH * 200, false, &writer), STATUS_OK);
        for (uint64_t n = i; n < i + BATCH; n++)
            lsm_put(writer, tree, key_of(key, object, n), value_of(f, value));
        lsm_write_end(writer);
        lsm_unlock(f->db);
        work(f);
    }
}

static void flush(struct fixture *f)
{
    assert_int_equal(lsm_wal_sync(f->db), STATUS_OK);
    lsm_request_flush(f->db);
    work(f);
}

static int open_with_cache(void **state, size_t cache_bytes)
{
    static struct fixture fixture;
    struct fixture *f = *state = &fixture;
    const struct lsm_options options = {
        .trees = {[KEYS] = {.name = "keys",
                            .compaction = LSM_LEVELED,
                            .block_bytes = 16384,
                            .filter_bits_per_key = 10},
                  [ENTRIES] = {.name = "entries",
                               .compaction = LSM_TIME_RUNS,
                               .block_bytes = 16384,
                               .filter_bits_per_key = 10,
                               .filter_prefix_bytes = PREFIX_BYTES}},
        .tree_count = 2,
        .memtable_bytes = 1 << 20,
        .block_cache_bytes = cache_bytes,
        .wal_segment_bytes = 1 << 20,
        .table_bytes_max = 1 << 20,
    };
    struct lsm_report report = {""};
    random_init(&f->random, test_seed());
    f->memory = vfs_memory_create();
    f->vfs = vfs_fault_create(f->memory);
    f->env = memory_env(f->vfs);
    assert_int_equal(lsm_open(&f->env, "db", &options, &report, &f->db), STATUS_OK);
    f->reader = lsm_reader_create(f->db);
    return 0;
}

static int set_up(void **state)
{
    return open_with_cache(state, CACHE_BYTES);
}

/* Each of its shards holds 16 blocks; what is scanned is still more than twice as much. */
static int set_up_wide(void **state)
{
    return open_with_cache(state, 4 * CACHE_BYTES);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    lsm_reader_destroy(f->reader);
    assert_int_equal(lsm_close(f->db), STATUS_OK);
    vfs_destroy(f->vfs);
    vfs_destroy(f->memory);
    return 0;
}

static uint64_t reads(struct fixture *f)
{
    struct vfs_fault_counters counters;
    vfs_fault_counters(f->vfs, &counters);
    return counters.calls[VFS_CALL_READ];
}

/* ---- Pages --------------------------------------------------------------------------------- */

/* The `count` numbers from `first` on, in the direction of the page, are there and in order. */
static void read_page(struct fixture *f, uint64_t object, uint64_t first, bool is_backward)
{
    uint8_t low[KEY_BYTES], high[KEY_BYTES];
    const struct lsm_iter_options options = {
        .lower = key_of(low, object, is_backward ? 0 : first),
        .upper = key_of(high, object, is_backward ? first + 1 : UINT64_MAX),
    };
    lsm_read_begin(f->reader);
    struct lsm_iter *iter = lsm_iter_open(f->reader, ENTRIES, &options);
    (is_backward ? lsm_iter_seek_last : lsm_iter_seek_first)(iter);
    for (uint64_t i = 0; i < PAGE; i++) {
        assert_true(lsm_iter_valid(iter));
        assert_int_equal(be64_load(lsm_iter_key(iter).data + PREFIX_BYTES),
                         is_backward ? first - i : first + i);
        if (i + 1 < PAGE)
            (is_backward ? lsm_iter_prev : lsm_iter_next)(iter);
    }
    lsm_iter_close(iter);
    lsm_read_end(f->reader);
}

/* The same as a server reads it: nothing that waits but one fetch after the other. */
static unsigned fetch_page(struct fixture *f, uint64_t object, uint64_t first)
{
    uint8_t low[KEY_BYTES], high[KEY_BYTES];
    const struct lsm_iter_options options = {.lower = key_of(low, object, first),
                                             .upper = key_of(high, object, UINT64_MAX)};
    lsm_reader_set_nowait(f->reader, true);
    for (unsigned fetches = 0;; fetches++) {
        lsm_read_begin(f->reader);
        struct lsm_iter *iter = lsm_iter_open(f->reader, ENTRIES, &options);
        lsm_iter_seek_first(iter);
        for (uint64_t i = 1; i < PAGE && lsm_iter_valid(iter); i++)
            lsm_iter_next(iter);
        bool is_whole = lsm_iter_valid(iter);
        enum status status = lsm_iter_status(iter);
        lsm_iter_close(iter);
        lsm_read_end(f->reader);
        if (is_whole) {
            lsm_reader_set_nowait(f->reader, false);
            return fetches;
        }
        assert_int_equal(status, STATUS_WOULD_BLOCK);
        assert_int_equal(lsm_reader_fetch_missing(f->reader), STATUS_OK);
    }
}

/* Every table is open after this. */
static void open_tables(struct fixture *f)
{
    for (uint64_t first = 0; first + PAGE <= COUNT; first += 1000)
        read_page(f, 7, first, false);
}

static void expect_pages(struct fixture *f, const char *what, bool is_backward)
{
    enum { PAGES = 500 };
    uint64_t most = 0, all = 0;
    for (int i = 0; i < PAGES; i++) {
        uint64_t first = random_below(&f->random, COUNT - 2 * PAGE) + PAGE;
        uint64_t before = reads(f);
        read_page(f, 7, first, is_backward);
        uint64_t cost = reads(f) - before;
        most = cost > most ? cost : most;
        all += cost;
    }
    printf("%s: %.2f reads a page, at most %llu\n", what, (double)all / PAGES,
           (unsigned long long)most);
    assert_true(all <= 2 * PAGES);
    assert_true(most <= 5); /* the indexes and three blocks of two tables */
}

static void a_random_page_of_a_log_costs_two_reads(void **state)
{
    struct fixture *f = *state;
    fill(f, ENTRIES, 7, 0, COUNT);
    flush(f);
    open_tables(f);
    expect_pages(f, "forward, as flushed", false);
    expect_pages(f, "backward, as flushed", true);
    lsm_request_compact(f->db);
    work(f);
    open_tables(f);
    expect_pages(f, "forward, merged", false);
    expect_pages(f, "backward, merged", true);
}

static void a_random_page_is_fetched_by_two_reads(void **state)
{
    enum { PAGES = 500 };
    struct fixture *f = *state;
    fill(f, ENTRIES, 7, 0, COUNT);
    flush(f);
    open_tables(f);
    unsigned all = 0;
    vfs_fault_set_cold(f->vfs, ".cwt");
    for (int i = 0; i < PAGES; i++)
        all += fetch_page(f, 7, random_below(&f->random, COUNT - PAGE));
    vfs_fault_set_cold(f->vfs, NULL);
    printf("without waiting: %.2f fetches a page\n", (double)all / PAGES);
    assert_true(all <= 2 * PAGES);
}

/* ---- The cache ----------------------------------------------------------------------------- */

static void get_all(struct fixture *f, uint64_t object, uint64_t count)
{
    uint8_t key[KEY_BYTES];
    for (uint64_t i = 0; i < count; i++) {
        struct slice value;
        lsm_read_begin(f->reader);
        assert_int_equal(lsm_get(f->reader, KEYS, key_of(key, object, i), &value), STATUS_OK);
        lsm_read_end(f->reader);
    }
}

static void scan(struct fixture *f, bool keep_cache)
{
    uint64_t seen = 0;
    lsm_read_begin(f->reader);
    struct lsm_iter *iter =
        lsm_iter_open(f->reader, ENTRIES, &(struct lsm_iter_options){.keep_cache = keep_cache});
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter))
        seen++;
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    assert_int_equal(seen, COUNT / BATCH * BATCH + (COUNT % BATCH ? BATCH : 0));
    lsm_iter_close(iter);
    lsm_read_end(f->reader);
}

/* A sixteenth of the cache is in use; then 2.5 times the cache is scanned. */
static void a_scan_leaves_the_blocks_that_are_in_use(void **state)
{
    enum { HOT = CACHE_BYTES / 4 / (KEY_BYTES + VALUE_BYTES) / BATCH * BATCH };
    struct fixture *f = *state;
    fill(f, KEYS, 1, 0, HOT);
    fill(f, ENTRIES, 7, 0, COUNT);
    flush(f);
    get_all(f, 1, HOT);
    for (int keep_cache = 1; keep_cache >= 0; keep_cache--) {
        get_all(f, 1, HOT);
        scan(f, keep_cache);
        uint64_t before = reads(f);
        get_all(f, 1, HOT);
        printf("%u reads of what was in use, after a scan %s\n", (unsigned)(reads(f) - before),
               keep_cache ? "that keeps the cache" : "through the cache");
        assert_int_equal(reads(f), before);
    }
}

/* ---- Overhead ------------------------------------------------------------------------------ */

struct share {
    struct fixture *f;
    uint64_t bytes[BLOCK_PROPERTIES + 1], all;
};

/* Adds the blocks of a table by their kinds; they follow each other up to the footer. */
static void add_table(void *context, const char *name)
{
    struct share *share = context;
    struct buffer bytes = {0};
    char path[64];
    if (!strstr(name, ".cwt"))
        return;
    snprintf(path, sizeof path, "db/%s", name);
    assert_int_equal(vfs_read_file(share->f->vfs, path, 64 << 20, &bytes), STATUS_OK);
    struct block_head head;
    for (struct slice rest = buffer_slice(&bytes); block_head_parse(rest, &head);
         rest = slice_skip(rest, BLOCK_HEAD_BYTES + head.stored_bytes))
        share->bytes[head.kind] += BLOCK_HEAD_BYTES + head.stored_bytes;
    share->all += bytes.size;
    buffer_release(&bytes);
}

static void index_and_filter_are_a_small_part_of_a_table(void **state)
{
    struct fixture *f = *state;
    struct share keys = {.f = f}, entries = {.f = f};
    fill(f, KEYS, 1, 0, COUNT);
    flush(f);
    lsm_request_compact(f->db);
    work(f);
    assert_int_equal(f->vfs->ops->list(f->vfs, "db", add_table, &keys), STATUS_OK);
    fill(f, ENTRIES, 7, 0, COUNT);
    flush(f);
    lsm_request_compact(f->db);
    work(f);
    assert_int_equal(f->vfs->ops->list(f->vfs, "db", add_table, &entries), STATUS_OK);
    entries.all -= keys.all;
    for (unsigned kind = BLOCK_ROWS; kind <= BLOCK_PROPERTIES; kind++)
        entries.bytes[kind] -= keys.bytes[kind];
    const struct share *shares[] = {&keys, &entries};
    for (int i = 0; i < 2; i++) {
        double data = (double)shares[i]->bytes[BLOCK_ROWS];
        double index = 100 * (double)shares[i]->bytes[BLOCK_INDEX] / data;
        double filter = 100 * (double)shares[i]->bytes[BLOCK_FILTER] / data;
        printf("%s: index %.2f%%, filter %.2f%% of the data\n", i ? "entries" : "keys", index,
               filter);
        assert_true(data > 0.9 * (double)shares[i]->all);
        assert_true(index > 0 && index < 0.5);
        assert_true(filter > 0 && filter < (i ? 0.1 : 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_random_page_of_a_log_costs_two_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_random_page_is_fetched_by_two_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_scan_leaves_the_blocks_that_are_in_use, set_up_wide,
                                        tear_down),
        cmocka_unit_test_setup_teardown(index_and_filter_are_a_small_part_of_a_table, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
