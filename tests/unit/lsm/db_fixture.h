/* SPDX-License-Identifier: MIT */
/* A database in a memory file system below a faulty one, with a clock that the test moves: tree 0 is
 * leveled, tree 1 of time runs. For tests of the parts of struct lsm. */
#ifndef TESTS_UNIT_LSM_DB_FIXTURE_H
#define TESTS_UNIT_LSM_DB_FIXTURE_H

#include "lib/soundness.h"
#include "lsm/lsm.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct db_fixture {
    struct vfs *memory, *fault;
    struct env env;
    uint64_t clock_us;
    struct lsm_options options;
    struct lsm_report report; /* of the last open */
    struct lsm *db;           /* NULL: closed */
    struct lsm_reader *reader;
};

static inline uint64_t db_fixture_clock(void *context)
{
    return ((struct db_fixture *)context)->clock_us;
}

static inline void db_fixture_random(void *context, void *data, size_t size)
{
    (void)context;
    memset(data, 7, size);
}

static inline void db_fixture_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

/* Over this file system, which it takes over. */
static inline void db_fixture_attach(struct db_fixture *f, struct vfs *memory)
{
    f->memory = memory;
    f->fault = vfs_fault_create(memory);
    f->env = (struct env){.vfs = f->fault,
                          .wall_ms = db_fixture_clock,
                          .monotonic_us = db_fixture_clock,
                          .random_bytes = db_fixture_random,
                          .log = db_fixture_log,
                          .context = f};
}

static inline enum status db_fixture_try_open(struct db_fixture *f)
{
    enum status status = lsm_open(&f->env, "db", &f->options, &f->report, &f->db);
    if (status == STATUS_OK)
        f->reader = lsm_reader_create(f->db);
    else
        f->db = NULL;
    return status;
}

static inline void db_fixture_open(struct db_fixture *f)
{
    if (db_fixture_try_open(f) != STATUS_OK)
        fail_msg("%s", f->report.text);
}

static inline enum status db_fixture_close(struct db_fixture *f)
{
    struct lsm *db = f->db;
    lsm_reader_destroy(f->reader);
    f->db = NULL;
    require_sound_engine(db, "before a close");
    return lsm_close(db);
}

/* Closes and opens: no table is open then. */
static inline void db_fixture_reopen(struct db_fixture *f)
{
    assert_int_equal(db_fixture_close(f), STATUS_OK);
    db_fixture_open(f);
}

/* The process ends; power may go too. Leaves the database closed. */
static inline void db_fixture_crash(struct db_fixture *f, enum vfs_power_loss mode)
{
    struct vfs *after = vfs_memory_after_power_loss(f->memory, mode, 1);
    (void)db_fixture_close(f); /* in a world that is gone */
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    db_fixture_attach(f, after);
}

static inline int db_fixture_setup(void **state)
{
    static struct db_fixture fixture;
    fixture = (struct db_fixture){
        .clock_us = 1000000,
        .options = {.trees = {{.name = "keys",
                               .compaction = LSM_LEVELED,
                               .block_bytes = 512,
                               .filter_bits_per_key = 10},
                              {.name = "entries", .compaction = LSM_TIME_RUNS, .block_bytes = 512}},
                    .tree_count = 2,
                    .memtable_bytes = 8 << 20,
                    .wal_segment_bytes = 64 << 10}};
    db_fixture_attach(&fixture, vfs_memory_create());
    db_fixture_open(&fixture);
    *state = &fixture;
    return 0;
}

static inline int db_fixture_teardown(void **state)
{
    struct db_fixture *f = *state;
    if (f->db)
        (void)db_fixture_close(f); /* the world goes with it */
    vfs_destroy(f->fault);
    vfs_destroy(f->memory);
    return 0;
}

/* ---- Batches of one operation --------------------------------------------------------------- */

static inline struct lsm_writer *db_fixture_begin(struct db_fixture *f)
{
    struct lsm_writer *writer = NULL;
    lsm_lock(f->db);
    assert_int_equal(lsm_write_begin(f->db, 1024, false, &writer), STATUS_OK);
    return writer;
}

static inline void db_fixture_end(struct db_fixture *f, struct lsm_writer *writer)
{
    assert_true(lsm_write_end(writer) > 0);
    lsm_unlock(f->db);
}

static inline void db_fixture_put(struct db_fixture *f, unsigned tree, const char *key,
                                  const char *value)
{
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_put(writer, tree, slice_from(key), slice_from(value));
    db_fixture_end(f, writer);
}

static inline void db_fixture_delete_range(struct db_fixture *f, unsigned tree, const char *from,
                                           const char *to)
{
    struct lsm_writer *writer = db_fixture_begin(f);
    lsm_delete_range(writer, tree, slice_from(from), slice_from(to));
    db_fixture_end(f, writer);
}

/* All memtables become tables; `compact`: which are merged, or moved, to the last level. */
static inline void db_fixture_work(struct db_fixture *f, bool compact)
{
    lsm_request_flush(f->db);
    if (compact)
        lsm_request_compact(f->db);
    while (lsm_work(f->db, 1 << 20))
        ;
    assert_true(lsm_is_idle(f->db));
}

/* The reader reads: the value as text, or what the engine says instead. Static. */
static inline const char *db_fixture_get(struct db_fixture *f, unsigned tree, const char *key)
{
    static char text[64];
    struct slice value;
    enum status status = lsm_get(f->reader, tree, slice_from(key), &value);
    if (status == STATUS_OK)
        snprintf(text, sizeof(text), "%.*s", (int)value.size, (const char *)value.data);
    else
        snprintf(text, sizeof(text), "(%s)", status_text(status));
    return text;
}

/* At the newest moment. */
static inline const char *db_fixture_get_now(struct db_fixture *f, unsigned tree, const char *key)
{
    lsm_read_begin(f->reader);
    const char *text = db_fixture_get(f, tree, key);
    lsm_read_end(f->reader);
    return text;
}

#endif
