/* SPDX-License-Identifier: MIT */
/* A database for tests of what work writes, and of what it leaves on the disk, by counters. Tree 0:
 * keys of 8 digits, leveled; trees 1 and 2: entries of streams, 4 digits and 8 more, in time runs,
 * and leveled. Values do not compress. The clock stands where the test puts it. */
#ifndef TESTS_SPACE_FIXTURE_H
#define TESTS_SPACE_FIXTURE_H

#include "base/random.h"
#include "lib/soundness.h"
#include "lsm/lsm.h"
#include "unit/lsm/memory_env.h"
#include "vfs/vfs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    SPACE_KEYS,
    SPACE_ENTRIES,
    SPACE_PARTS,
    SPACE_VALUE_BYTES = 100,
    SPACE_TABLE_BYTES = 64 << 10
};

struct space {
    struct vfs *memory, *vfs; /* vfs: the faulty one over memory */
    struct env env;
    struct lsm_options options;
    struct lsm *db;
    struct random random;
    uint64_t now_us;
};

static inline uint64_t space_now_us(void *context)
{
    return ((struct space *)context)->now_us;
}

static inline void space_open(struct space *space)
{
    assert_int_equal(lsm_open(&space->env, "db", &space->options, NULL, &space->db), STATUS_OK);
}

/* `change`, if any, changes the options before the open. */
static inline void space_init(struct space *space, void (*change)(struct lsm_options *))
{
    *space = (struct space){.memory = vfs_memory_create(), .now_us = 1000000};
    space->vfs = vfs_fault_create(space->memory);
    space->env = memory_env(space->vfs);
    space->env.monotonic_us = space_now_us;
    space->env.context = space;
    random_init(&space->random, 1);
    space->options = (struct lsm_options){
        .trees = {{.name = "keys",
                   .compaction = LSM_LEVELED,
                   .block_bytes = 1024,
                   .filter_bits_per_key = 10},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .block_bytes = 1024,
                   .filter_bits_per_key = 10,
                   .filter_prefix_bytes = 4,
                   .finger_prefix_bytes = 4},
                  {.name = "parts",
                   .compaction = LSM_LEVELED,
                   .block_bytes = 1024,
                   .filter_bits_per_key = 10,
                   .filter_prefix_bytes = 4,
                   .finger_prefix_bytes = 4}},
        .tree_count = 3,
        .memtable_bytes = 64 << 20,
        .block_cache_bytes = 64 << 10,
        .wal_segment_bytes = 256 << 10,
        .table_bytes_max = SPACE_TABLE_BYTES,
    };
    if (change)
        change(&space->options);
    space_open(space);
}

static inline void space_release(struct space *space)
{
    require_sound_engine(space->db, "before a close");
    assert_int_equal(lsm_close(space->db), STATUS_OK);
    vfs_destroy(space->vfs);
    vfs_destroy(space->memory);
}

static inline struct slice space_key(unsigned number, char text[24])
{
    snprintf(text, 24, "%08u", number);
    return slice_from(text);
}

static inline struct slice space_entry(unsigned stream, unsigned number, char text[24])
{
    snprintf(text, 24, "%04u%08u", stream, number);
    return slice_from(text);
}

static inline struct lsm_writer *space_begin(struct space *space)
{
    struct lsm_writer *writer;
    lsm_lock(space->db);
    assert_int_equal(lsm_write_begin(space->db, 1000, false, &writer), STATUS_OK);
    return writer;
}

static inline void space_end(struct space *space, struct lsm_writer *writer)
{
    lsm_write_end(writer);
    lsm_unlock(space->db);
}

static inline void space_put(struct space *space, unsigned tree, struct slice key)
{
    uint8_t value[SPACE_VALUE_BYTES];
    for (size_t i = 0; i < sizeof(value); i++)
        value[i] = (uint8_t)random_next(&space->random);
    struct lsm_writer *writer = space_begin(space);
    lsm_put(writer, tree, key, slice_make(value, sizeof(value)));
    space_end(space, writer);
}

static inline void space_put_keys(struct space *space, unsigned from, unsigned to)
{
    char text[24];
    for (unsigned number = from; number < to; number++)
        space_put(space, SPACE_KEYS, space_key(number, text));
}

static inline void space_put_entries(struct space *space, unsigned stream, unsigned from,
                                     unsigned to)
{
    char text[24];
    for (unsigned number = from; number < to; number++)
        space_put(space, SPACE_ENTRIES, space_entry(stream, number, text));
}

static inline void space_delete_range(struct space *space, unsigned tree, struct slice from,
                                      struct slice to)
{
    struct lsm_writer *writer = space_begin(space);
    lsm_delete_range(writer, tree, from, to);
    space_end(space, writer);
}

static inline void space_delete_keys(struct space *space, unsigned from, unsigned to)
{
    char text[24];
    for (unsigned number = from; number < to; number++) {
        struct lsm_writer *writer = space_begin(space);
        lsm_delete(writer, SPACE_KEYS, space_key(number, text));
        space_end(space, writer);
    }
}

static inline void space_work(struct space *space)
{
    while (lsm_work(space->db, 64 << 10))
        continue;
}

static inline void space_flush(struct space *space)
{
    lsm_request_flush(space->db);
    space_work(space);
}

/* Nothing is written for some seconds. */
static inline void space_rest(struct space *space)
{
    for (int second = 0; second < 3; second++) {
        space->now_us += 1000000;
        space_work(space);
    }
}

static inline struct lsm_tree_stats space_tree(struct space *space, unsigned tree)
{
    struct lsm_stats stats;
    lsm_get_stats(space->db, &stats);
    return stats.trees[tree];
}

/* Bytes written into the tree's tables for 100 that were flushed. */
static inline unsigned space_write_percent(struct space *space, unsigned tree)
{
    struct lsm_tree_stats stats = space_tree(space, tree);
    assert_true(stats.flush_bytes > 0);
    return (unsigned)((stats.flush_bytes + stats.compaction_write_bytes) * 100 / stats.flush_bytes);
}

#endif
