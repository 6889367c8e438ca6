/* SPDX-License-Identifier: MIT */
/* A small database with tables in several levels, a WAL with batches that no table has, and known
 * content, on a file system in memory; for the tests of verify and repair. Every test works on a
 * copy of it, so that each damage is the only one. */
#ifndef TESTS_UNIT_LSM_DAMAGE_FIXTURE_H
#define TESTS_UNIT_LSM_DAMAGE_FIXTURE_H

#include "base/memory.h"
#include "lib/prefix_codec.h"
#include "lib/soundness.h"
#include "lsm/lsm.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { DAMAGE_KEYS = 200, DAMAGE_ROUNDS = 6, DAMAGE_FILES_MAX = 64 };

struct damage_fixture {
    struct vfs *whole; /* the sound database */
    struct vfs *copy;  /* the one that a test damages */
    struct env env;    /* over the copy */
    struct lsm_options options;
    const struct block_codec *const *codecs; /* that verify and repair are handed */
    char names[DAMAGE_FILES_MAX][32];
    size_t name_count;
    size_t lines; /* told by verify or repair */
    size_t findings;
    char text[8192]; /* all of them */
};

static inline void damage_key(uint64_t i, char *key, size_t size)
{
    snprintf(key, size, "key%05d", (int)(i % DAMAGE_KEYS));
}

static inline void damage_collect(void *context, const char *name)
{
    struct damage_fixture *f = context;
    assert_true(f->name_count < DAMAGE_FILES_MAX);
    snprintf(f->names[f->name_count++], sizeof(f->names[0]), "%s", name);
}

static inline void damage_put(struct lsm *db, int i, int round)
{
    char key[32], value[96];
    struct lsm_writer *writer = NULL;
    damage_key((uint64_t)i * 37, key, sizeof(key));
    snprintf(value, sizeof(value), "%s round %d %d", key, round, i * 7919);
    lsm_lock(db);
    assert_int_equal(lsm_write_begin(db, 256, false, &writer), STATUS_OK);
    lsm_put(writer, 0, slice_from(key), slice_from(value));
    lsm_put(writer, 1, slice_from(key), slice_from(value));
    if (i % 10 == 9)
        lsm_delete(writer, 0, slice_from(key));
    lsm_write_end(writer);
    lsm_unlock(db);
}

/* Ends with a batch that changes nothing but states that all before was durable. */
static inline void damage_write(struct lsm *db, int round)
{
    for (int i = 0; i < DAMAGE_KEYS; i++)
        if (round == 0 || (i + round) % 3 != 0)
            damage_put(db, i, round);
    assert_int_equal(lsm_wal_sync(db), STATUS_OK);
    damage_put(db, DAMAGE_KEYS - round % 3 - 1, round);
    assert_int_equal(lsm_wal_sync(db), STATUS_OK);
}

static inline struct damage_fixture *damage_fixture_create(bool clean)
{
    struct damage_fixture *f = memory_zeroed(1, sizeof(*f));
    struct lsm_report report;
    struct lsm *db = NULL;
    struct vfs *vfs = vfs_memory_create();
    f->env = memory_env(vfs);
    f->codecs = prefix_codecs;
    f->options = (struct lsm_options){
        .trees = {{.name = "keys", .compaction = LSM_LEVELED, .filter_bits_per_key = 10},
                  {.name = "entries",
                   .compaction = LSM_TIME_RUNS,
                   .codec = &prefix_codec,
                   .cold_compression = lsm_has_zstd() ? LSM_ZSTD : LSM_LZ4}},
        .tree_count = 2,
        .memtable_bytes = 1 << 20,
        .wal_segment_bytes = 16384,
        .table_bytes_max = 16384,
    };
    assert_int_equal(lsm_open(&f->env, "db", &f->options, &report, &db), STATUS_OK);
    for (int round = 0; round < DAMAGE_ROUNDS; round++) {
        damage_write(db, round);
        if (round == DAMAGE_ROUNDS - 1)
            break; /* stays in the WAL */
        lsm_request_flush(db);
        if (round == DAMAGE_ROUNDS - 3)
            lsm_request_compact(db);
        while (lsm_work(db, 1 << 20))
            ;
    }
    require_sound_engine(db, "before the damage");
    if (clean)
        assert_int_equal(lsm_close(db), STATUS_OK);
    f->whole = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 0);
    if (!clean)
        assert_int_equal(lsm_close(db), STATUS_OK);
    vfs_destroy(vfs);
    assert_int_equal(f->whole->ops->list(f->whole, "db", damage_collect, f), STATUS_OK);
    f->env.vfs = NULL;
    return f;
}

static inline void damage_fixture_copy(struct damage_fixture *f)
{
    vfs_destroy(f->copy);
    f->copy = vfs_memory_after_power_loss(f->whole, VFS_KEEP_ALL, 0);
    f->env.vfs = f->copy;
}

static inline void damage_fixture_destroy(struct damage_fixture *f)
{
    vfs_destroy(f->copy);
    vfs_destroy(f->whole);
    memory_free(f);
}

static inline const char *damage_path(const char *name)
{
    static char path[64];
    snprintf(path, sizeof(path), "db/%.50s", name);
    return path;
}

static inline uint64_t damage_file_size(struct damage_fixture *f, const char *name)
{
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    assert_int_equal(vfs_open(f->whole, damage_path(name), VFS_READ, &file), STATUS_OK);
    assert_int_equal(vfs_size(file, &size), STATUS_OK);
    vfs_close(file);
    return size;
}

/* The first file whose name ends so; a test fails if there is none. */
static inline const char *damage_find(struct damage_fixture *f, const char *part)
{
    for (size_t i = 0; i < f->name_count; i++)
        if (strstr(f->names[i], part))
            return f->names[i];
    fail_msg("no file %s", part);
    return NULL;
}

static inline void damage_note(struct damage_fixture *f, const char *text)
{
    size_t used = strlen(f->text);
    snprintf(f->text + used, sizeof(f->text) - used, "%s\n", text);
    f->lines++;
}

static inline void damage_note_finding(void *context, const char *file, const char *finding)
{
    struct damage_fixture *f = context;
    f->findings += finding != NULL;
    damage_note(f, file);
    if (finding)
        damage_note(f, finding);
}

static inline void damage_note_line(void *context, const char *line)
{
    damage_note(context, line);
}

static inline enum status damage_verify(struct damage_fixture *f)
{
    f->text[0] = 0;
    f->lines = f->findings = 0;
    return lsm_verify(&f->env, "db", f->codecs, damage_note_finding, f);
}

static inline enum status damage_repair(struct damage_fixture *f)
{
    f->text[0] = 0;
    f->lines = 0;
    return lsm_repair(&f->env, "db", f->codecs, damage_note_line, f);
}

/* Reads everything. Appends "key=value" lines; every value must be one that its key was given. */
static inline enum status damage_read_all(struct damage_fixture *f, bool read_only,
                                          struct buffer *content)
{
    struct lsm_report report;
    struct lsm *db = NULL;
    struct lsm_options options = f->options;
    options.read_only = read_only;
    enum status status = lsm_open(&f->env, "db", &options, &report, &db);
    if (status != STATUS_OK) {
        assert_true(report.text[0] != 0);
        return status;
    }
    struct lsm_reader *reader = lsm_reader_create(db);
    for (unsigned tree = 0; tree < 2 && status == STATUS_OK; tree++) {
        lsm_read_begin(reader);
        struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
        for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
            struct slice key = lsm_iter_key(iter), value = lsm_iter_value(iter);
            assert_true(slice_starts_with(value, key));
            buffer_append_slice(content, key);
            buffer_append_text(content, "=");
            buffer_append_slice(content, value);
            buffer_append_text(content, "\n");
        }
        status = lsm_iter_status(iter);
        lsm_iter_close(iter);
        lsm_read_end(reader);
    }
    lsm_reader_destroy(reader);
    enum status closed = lsm_close(db);
    return status == STATUS_OK ? closed : status;
}

#endif
