/* SPDX-License-Identifier: MIT */
/* What the tests of strings' parts share: a store, a model of one string, counters, and verbs that run
 * where reads fail or may not wait. */
#ifndef UNIT_TYPES_STRING_FIXTURE_H
#define UNIT_TYPES_STRING_FIXTURE_H

#include "base/memory.h"
#include "base/random.h"
#include "lib/memory_store.h"
#include "lib/seed.h"
#include "types/store_check.h"
#include "types/string.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct memory_store ms;
static const struct slice key = {(const uint8_t *)"key", 3};

static int setup(void **state)
{
    (void)state;
    memory_store_open(&ms, &(struct store_options){.memtable_bytes = 4 << 20,
                                                   .wal_segment_bytes = 1 << 20,
                                                   .block_cache_bytes = 1 << 20});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_release(&ms);
    return 0;
}

/* ---- The string `key` and what it should be. --------------------------------------------------- */

static struct buffer model;

static inline void fill_pattern(struct buffer *into, size_t size)
{
    buffer_clear(into);
    buffer_reserve(into, size);
    for (size_t i = 0; i < size; i++)
        into->data[i] = (uint8_t)(i * 7 + i / 251);
    into->size = size;
}

/* NULL: missing. `object` is where it is found. */
static inline struct object *find(struct object *object)
{
    enum status status = keyspace_find(&ms.access, key, object);
    assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    return status ? NULL : object;
}

static inline void set_pattern(size_t size)
{
    struct object object;
    fill_pattern(&model, size);
    memory_store_write(&ms);
    assert_int_equal(access_reserve(&ms.access, size), STATUS_OK);
    string_set(&ms.access, key, buffer_slice(&model), find(&object),
               &(struct string_set_options){0});
    memory_store_end(&ms);
}

static inline void model_write(uint64_t offset, struct slice bytes)
{
    size_t end = (size_t)offset + bytes.size;
    if (end > model.size) {
        buffer_reserve(&model, end - model.size);
        memset(model.data + model.size, 0, end - model.size);
        model.size = end;
    }
    memcpy(model.data + offset, bytes.data, bytes.size);
}

/* The access is open. */
static inline void expect_model(void)
{
    struct slice value;
    assert_int_equal(string_get(&ms.access, key, &value), STATUS_OK);
    assert_int_equal(value.size, model.size);
    assert_true(slice_equal(value, buffer_slice(&model)));
}

static inline void expect_model_now(void)
{
    memory_store_read(&ms);
    expect_model();
    memory_store_end(&ms);
}

static inline void write_now(uint64_t offset, struct slice bytes)
{
    struct object object;
    memory_store_write(&ms);
    assert_int_equal(string_write(&ms.access, key, find(&object), offset, bytes, "setrange"),
                     STATUS_OK);
    memory_store_end(&ms);
    model_write(offset, bytes);
}

/* ---- Costs. ------------------------------------------------------------------------------------ */

struct cost {
    uint64_t blocks;       /* looked at, in the cache or not */
    uint64_t bytes_logged; /* of records, up to a frame's head */
};

static inline struct cost cost_now(void)
{
    struct lsm_stats stats;
    lsm_get_stats(store_engine(ms.store), &stats);
    return (struct cost){stats.block_reads + stats.cache_hits + stats.cache_misses,
                         stats.visible_lsn};
}

static inline struct cost cost_since(struct cost before)
{
    struct cost now = cost_now();
    return (struct cost){now.blocks - before.blocks, now.bytes_logged - before.bytes_logged};
}

/* ---- Verbs that cannot read. ------------------------------------------------------------------- */

struct verb {
    const char *name;
    enum status (*run)(const struct object *object);
    bool writes;
};

static inline enum status run_verb(const struct verb *verb)
{
    struct object object;
    enum status status = keyspace_find(&ms.access, key, &object);
    return status ? status : verb->run(&object);
}

static inline void begin_verb(const struct verb *verb)
{
    if (verb->writes)
        memory_store_write(&ms);
    else
        memory_store_read(&ms);
}

/* With every read of a table failing in turn until none does: it says so, and has written nothing. */
static inline void run_where_reads_fail(const struct verb *verb)
{
    for (uint64_t n = 1;; n++) {
        assert_true(n < 1000);
        memory_store_reopen(&ms);
        uint64_t before = vfs_fault_failed_count(ms.vfs);
        vfs_fault_fail(ms.vfs, 1u << VFS_CALL_READ, n, STATUS_IO, false);
        begin_verb(verb);
        enum status status = run_verb(verb);
        bool met = vfs_fault_failed_count(ms.vfs) > before;
        vfs_fault_fail(ms.vfs, 0, 0, STATUS_OK, false);
        if (status != (met ? STATUS_IO : STATUS_OK))
            fail_msg("%s, read %llu: %s", verb->name, (unsigned long long)n, status_text(status));
        if (met && verb->writes && !lsm_writer_is_empty(ms.access.writer))
            fail_msg("%s, read %llu: half done", verb->name, (unsigned long long)n);
        memory_store_end(&ms);
        if (!met && n > 1)
            return;
        assert_true(met);
    }
}

/* Without waiting: it gives up before it has written anything, and goes through when all that it missed
 * was fetched. Reads are held while it runs: one behind its first write would hang. Returns how often it
 * gave up. */
static inline int run_cold(const struct verb *verb)
{
    memory_store_reopen(&ms);
    for (int tries = 0;; tries++) {
        assert_true(tries < 1000);
        vfs_fault_hold(ms.vfs, 1u << VFS_CALL_READ, ".cwt");
        if (verb->writes) {
            lsm_lock(store_engine(ms.store));
            assert_int_equal(access_begin_write(&ms.access, 0, true, 1 << 20, false), STATUS_OK);
        } else {
            access_begin_read(&ms.access, 0, true);
        }
        enum status status = run_verb(verb);
        bool is_empty = !verb->writes || lsm_writer_is_empty(ms.access.writer);
        memory_store_end(&ms);
        vfs_fault_release(ms.vfs);
        if (status == STATUS_OK)
            return tries;
        if (status != STATUS_WOULD_BLOCK || !is_empty)
            fail_msg("%s: %s", verb->name, status_text(status));
        assert_int_equal(access_fetch_missing(&ms.access), STATUS_OK);
    }
}

#endif
