/* SPDX-License-Identifier: MIT */
/* One writer, readers, background threads and a log thread at once. Each batch writes the same number
 * to a group of keys in both trees, so a reader that sees two numbers in one moment has seen half a
 * batch. For ThreadSanitizer as well as for the results. */
#include "lib/prefix_codec.h"
#include "lsm/lsm.h"
#include "vfs/vfs_memory.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

enum { GROUP = 20, BATCHES = 4000, READERS = 2 };

struct shared {
    struct lsm *db;
    atomic_bool stop;
    atomic_uint faults;
    _Atomic uint64_t written; /* the number of the last batch that has ended */
};

static void silent(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static struct slice key_of(unsigned index, char text[24])
{
    snprintf(text, 24, "key-%04u", index);
    return slice_from(text);
}

static void check_tree(struct shared *shared, struct lsm_reader *reader, unsigned tree,
                       uint64_t *number)
{
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
    unsigned count = 0;
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
        uint64_t value;
        memcpy(&value, lsm_iter_value(iter).data, 8);
        if (*number == 0)
            *number = value;
        if (value != *number)
            atomic_fetch_add(&shared->faults, 1);
        count++;
    }
    if (lsm_iter_status(iter) != STATUS_OK || (count != 0 && count != GROUP))
        atomic_fetch_add(&shared->faults, 1);
    lsm_iter_close(iter);
}

static void *read_moments(void *context)
{
    struct shared *shared = context;
    struct lsm_reader *reader = lsm_reader_create(shared->db);
    uint64_t last = 0;
    while (!atomic_load(&shared->stop)) {
        uint64_t known = atomic_load(&shared->written);
        lsm_read_begin(reader);
        uint64_t number = 0;
        check_tree(shared, reader, 0, &number);
        check_tree(shared, reader, 1, &number);
        struct slice value;
        char text[24];
        enum status status = lsm_get(reader, 0, key_of(3, text), &value);
        if (number && (status != STATUS_OK || memcmp(value.data, &number, 8) != 0))
            atomic_fetch_add(&shared->faults, 1);
        lsm_read_end(reader);
        if (number < last || number < known) /* time never goes back; what has ended is visible */
            atomic_fetch_add(&shared->faults, 1);
        last = number;
    }
    lsm_reader_destroy(reader);
    return NULL;
}

static void *work(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->stop))
        (void)lsm_work(shared->db, 10000);
    return NULL;
}

static void *sync_log(void *context)
{
    struct shared *shared = context;
    while (!atomic_load(&shared->stop)) {
        lsn_t visible = lsm_visible_lsn(shared->db);
        if (lsm_wal_sync(shared->db) != STATUS_OK || lsm_durable_lsn(shared->db) < visible)
            atomic_fetch_add(&shared->faults, 1);
    }
    return NULL;
}

static void write_all(struct shared *shared)
{
    char text[24], value[400] = {0};
    for (uint64_t number = 1; number <= BATCHES; number++) {
        struct lsm_writer *writer;
        lsm_lock(shared->db);
        assert_int_equal(lsm_write_begin(shared->db, 2 * GROUP * 450, false, &writer), STATUS_OK);
        memcpy(value, &number, 8);
        for (unsigned i = 0; i < GROUP; i++) {
            lsm_put(writer, 0, key_of(i, text), slice_make(value, 8 + number * 7 % 300));
            lsm_put(writer, 1, key_of(i, text), slice_make(value, 8));
        }
        lsm_write_end(writer);
        lsm_unlock(shared->db);
        atomic_store(&shared->written, number);
        if (number % 500 == 0)
            lsm_request_flush(shared->db);
    }
}

static void readers_see_whole_batches_while_everything_runs(void **state)
{
    (void)state;
    struct vfs *vfs = vfs_memory_create();
    struct env env;
    env_init_posix(&env, vfs);
    env.log = silent;
    struct lsm_options options = {
        .trees = {{.name = "a",
                   .compaction = LSM_LEVELED,
                   .block_bytes = 1024,
                   .filter_bits_per_key = 10},
                  {.name = "b",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = 1024,
                   .codec = &prefix_codec}},
        .tree_count = 2,
        .memtable_bytes = 1 << 20,
        .block_cache_bytes = 64 << 10,
        .wal_segment_bytes = 256 << 10,
    };
    struct lsm_report report;
    struct shared shared = {0};
    assert_int_equal(lsm_open(&env, "db", &options, &report, &shared.db), STATUS_OK);
    pthread_t threads[READERS + 3];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_moments, &shared), 0);
    assert_int_equal(pthread_create(&threads[READERS], NULL, work, &shared), 0);
    assert_int_equal(pthread_create(&threads[READERS + 1], NULL, work, &shared), 0);
    assert_int_equal(pthread_create(&threads[READERS + 2], NULL, sync_log, &shared), 0);
    write_all(&shared);
    atomic_store(&shared.stop, true);
    for (int i = 0; i < READERS + 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&shared.faults), 0);
    struct lsm_stats stats;
    lsm_get_stats(shared.db, &stats);
    assert_true(stats.flush_count > 0);
    assert_int_equal(lsm_check_invariants(shared.db, &report), STATUS_OK);
    assert_int_equal(lsm_close(shared.db), STATUS_OK);
    vfs_destroy(vfs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_whole_batches_while_everything_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
