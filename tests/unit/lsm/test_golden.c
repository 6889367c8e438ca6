/* SPDX-License-Identifier: MIT */
/* Databases that earlier versions wrote (tests/golden/README.md) open, are sound, and read as they
 * did. `test_golden --write DIR` makes the files of a new format version. */
#include "base/coding.h"
#include "base/memory.h"
#include "lib/golden_files.h"
#include "lib/soundness.h"
#include "lsm/lsm.h"
#include "lsm/wal_frame.h"
#include "lsm/wal_segment.h"
#include "unit/lsm/memory_env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 60, BIG_BYTES = 9000 };

/* Databases of the engine alone; format-3 has groups in its log. */
static const struct golden {
    const char *directory, *text;
    bool is_compressed;
} GOLDEN[] = {
    {"tests/golden/format-1", "tests/golden/format-1.txt", false},
    {"tests/golden/format-3", "tests/golden/format-3.txt", true},
};

enum { GOLDEN_COUNT = sizeof(GOLDEN) / sizeof(GOLDEN[0]) };

static const struct lsm_options OPTIONS = {
    .trees = {{.name = "keys", .compaction = LSM_LEVELED, .filter_bits_per_key = 10},
              {.name = "entries",
               .compaction = LSM_TIME_RUNS,
               .filter_bits_per_key = 10,
               .filter_prefix_bytes = 4,
               .finger_prefix_bytes = 4}},
    .tree_count = 2,
    .memtable_bytes = 1 << 20,
    .wal_segment_bytes = 8192,
    .table_bytes_max = 2048,
};

/* ---- The generator ------------------------------------------------------------------------- */

static struct lsm_writer *begin(struct lsm *db)
{
    struct lsm_writer *writer = NULL;
    lsm_lock(db);
    assert_int_equal(lsm_write_begin(db, BIG_BYTES + 256, false, &writer), STATUS_OK);
    return writer;
}

static void end(struct lsm *db, struct lsm_writer *writer)
{
    lsm_write_end(writer);
    lsm_unlock(db);
}

/* One batch over both trees a key; keys go up in steps, values tell their round. */
static void write_round(struct lsm *db, int round)
{
    char key[32], entry[32], value[96];
    for (int i = round; i < KEYS; i += round + 1) {
        struct lsm_writer *writer = begin(db);
        snprintf(key, sizeof(key), "key-%03d", i);
        snprintf(entry, sizeof(entry), "log%d-%03d-%d", i % 3, i, round);
        snprintf(value, sizeof(value), "round %d of key %d and some words to compress: %d %d",
                 round, i, i * i, i * i);
        lsm_put(writer, 0, slice_from(key), slice_from(value));
        lsm_put(writer, 1, slice_from(entry), slice_from(value));
        end(db, writer);
    }
}

static void work_until_idle(struct lsm *db)
{
    while (lsm_work(db, 1 << 20))
        ;
}

static void write_content(struct lsm *db)
{
    uint8_t *big = memory_allocate(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        big[i] = (uint8_t)('a' + i * i % 23);
    for (int round = 0; round < 4; round++) {
        write_round(db, round);
        lsm_request_flush(db);
        work_until_idle(db);
    }
    lsm_request_compact(db);
    work_until_idle(db);
    struct lsm_writer *writer = begin(db);
    lsm_delete_range(writer, 1, slice_from("log1-"), slice_from("log1-030"));
    lsm_delete(writer, 0, slice_from("key-007"));
    end(db, writer);
    lsm_request_flush(db);
    work_until_idle(db);
    /* From here on it is in the WAL only; the large value is a chain of frames. */
    writer = begin(db);
    lsm_put(writer, 0, slice_from("key-big"), slice_make(big, BIG_BYTES));
    lsm_put(writer, 0, slice_from("key-empty"), (struct slice){0});
    end(db, writer);
    writer = begin(db);
    lsm_delete(writer, 0, slice_from("key-011"));
    lsm_delete_range(writer, 1, slice_from("log2-"), slice_from("log2-020"));
    end(db, writer);
    assert_int_equal(lsm_wal_sync(db), STATUS_OK);
    memory_free(big);
}

/* A database as a killed process leaves it. */
static struct vfs *generate(bool is_compressed)
{
    struct vfs *vfs = vfs_memory_create();
    struct env env = memory_env(vfs);
    struct lsm_options options = OPTIONS;
    struct lsm_report report;
    struct lsm *db = NULL;
    if (is_compressed) {
        options.wal_compression = LSM_WAL_LZ4;
        options.wal_page_bytes = 64;
    }
    assert_int_equal(lsm_open(&env, "db", &options, &report, &db), STATUS_OK);
    write_content(db);
    if (is_compressed) {
        write_round(db, 4); /* batches of one frame, written at once */
        assert_int_equal(lsm_wal_sync(db), STATUS_OK);
    }
    struct vfs *found = vfs_memory_after_power_loss(vfs, VFS_LOSE_UNSYNCED, 0);
    require_sound_engine(db, "before a close");
    assert_int_equal(lsm_close(db), STATUS_OK);
    vfs_destroy(vfs);
    return found;
}

/* ---- Reading ------------------------------------------------------------------------------- */

static void dump_tree(struct lsm_reader *reader, unsigned tree, struct buffer *text)
{
    lsm_read_begin(reader);
    struct lsm_iter *iter = lsm_iter_open(reader, tree, &(struct lsm_iter_options){0});
    for (lsm_iter_seek_first(iter); lsm_iter_valid(iter); lsm_iter_next(iter)) {
        struct slice key = lsm_iter_key(iter), value = lsm_iter_value(iter);
        buffer_printf(text, "%s %.*s = ", OPTIONS.trees[tree].name, (int)key.size,
                      (const char *)key.data);
        size_t shown = value.size < 100 ? value.size : 100;
        buffer_append(text, value.data, shown);
        if (shown < value.size)
            buffer_printf(text, "... %zu bytes, the last %c", value.size,
                          value.data[value.size - 1]);
        buffer_append_text(text, "\n");
    }
    assert_int_equal(lsm_iter_status(iter), STATUS_OK);
    lsm_iter_close(iter);
    lsm_read_end(reader);
}

static void dump(const struct env *env, struct buffer *text)
{
    struct lsm_report report;
    struct lsm *db = NULL;
    if (lsm_open(env, "db", &OPTIONS, &report, &db) != STATUS_OK)
        fail_msg("%s", report.text);
    struct lsm_reader *reader = lsm_reader_create(db);
    dump_tree(reader, 0, text);
    dump_tree(reader, 1, text);
    lsm_reader_destroy(reader);
    require_sound_engine(db, "before a close");
    assert_int_equal(lsm_close(db), STATUS_OK);
}

static void expect_text(const struct env *env, const struct golden *golden)
{
    struct buffer found = {0};
    dump(env, &found);
    golden_expect(golden->text, buffer_slice(&found));
    buffer_release(&found);
}

/* Groups in the log: of several batches, and of frames of chains. */
struct groups {
    unsigned batches, chained;
};

static void count_groups_in(struct vfs *vfs, const char *path, struct groups *groups)
{
    struct buffer file = {0};
    struct wal_header header;
    struct wal_frame frame;
    assert_int_equal(vfs_read_file(vfs, path, 1 << 20, &file), STATUS_OK);
    assert_int_equal(wal_header_decode(file.data, &header), STATUS_OK);
    for (size_t at = WAL_HEADER_BYTES; at < file.size; at++) {
        lsn_t lsn = header.base + at - WAL_HEADER_BYTES;
        if (wal_frame_decode(slice_skip(buffer_slice(&file), at), lsn, 0,
                             wal_frame_seed(header.store_id), &frame) != WAL_FRAME_VALID ||
            !(frame.flags & WAL_FRAME_COMPRESSED))
            continue;
        bool is_whole = (frame.flags & WAL_FRAME_FIRST) && (frame.flags & WAL_FRAME_LAST);
        groups->batches += is_whole && frame.count > 1;
        groups->chained += !is_whole;
    }
    buffer_release(&file);
}

static struct groups count_groups(const struct env *env)
{
    struct groups groups = {0};
    lsn_t *bases = NULL;
    size_t count = 0;
    char path[128];
    assert_int_equal(wal_segment_list(env, "db", &bases, &count), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        wal_segment_path("db", bases[i], path, sizeof(path));
        count_groups_in(env->vfs, path, &groups);
    }
    memory_free(bases);
    return groups;
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void golden_files_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct vfs *vfs = golden_load(GOLDEN[i].directory, "db");
        struct env env = memory_env(vfs);
        assert_int_equal(lsm_verify(&env, "db", NULL, NULL, NULL), STATUS_OK);
        struct groups groups = count_groups(&env);
        assert_int_equal(groups.batches > 0, GOLDEN[i].is_compressed);
        assert_int_equal(groups.chained > 0, GOLDEN[i].is_compressed);
        vfs_destroy(vfs);
    }
}

static void golden_files_read_as_they_did(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct vfs *vfs = golden_load(GOLDEN[i].directory, "db");
        struct env env = memory_env(vfs);
        expect_text(&env, &GOLDEN[i]); /* opens, replays, flushes at the close */
        expect_text(&env, &GOLDEN[i]);
        assert_int_equal(lsm_verify(&env, "db", NULL, NULL, NULL), STATUS_OK);
        vfs_destroy(vfs);
    }
}

static void what_is_written_today_reads_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct vfs *vfs = generate(GOLDEN[i].is_compressed);
        struct env env = memory_env(vfs);
        assert_int_equal(lsm_verify(&env, "db", NULL, NULL, NULL), STATUS_OK);
        expect_text(&env, &GOLDEN[i]);
        vfs_destroy(vfs);
    }
}

/* Of the newest of them. */
static int write_golden(const char *directory)
{
    struct vfs *memory = generate(GOLDEN[GOLDEN_COUNT - 1].is_compressed);
    struct env env = memory_env(memory);
    struct buffer text = {0};
    golden_write(memory, "db", directory);
    dump(&env, &text);
    golden_write_text(directory, buffer_slice(&text));
    buffer_release(&text);
    vfs_destroy(memory);
    return 0;
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_files_are_sound),
        cmocka_unit_test(golden_files_read_as_they_did),
        cmocka_unit_test(what_is_written_today_reads_the_same),
    };
    if (argument_count == 3 && strcmp(arguments[1], "--write") == 0)
        return write_golden(arguments[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
