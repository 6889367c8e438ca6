/* SPDX-License-Identifier: MIT */
/* The canary of the power-loss tests: with the syncs of any one site left out, they must fail; so
 * they would notice if one were forgotten. The list of sites is complete: it is compared with the
 * source. */
#include "lib/power_storm.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"
#include "unit/lsm/wal_fixture.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define AHEAD        "wal_segment.create"
#define RECYCLE_NAME "wal_segment.recycle_name"

enum { REPAIR = STORM_OF_FAILED_EDITS + 1 };
enum { SEEDS_MAX = 12, SOURCE_BYTES_MAX = 1 << 20 };

struct canary {
    const char *site;
    unsigned kind;
    unsigned steps;
};

/* Each with the kind of run that needs the site. AHEAD: a sync that loses nothing when it is left
 * out, but keeps its work from the syncs that clients wait for. RECYCLE_NAME: needed by a log that
 * does not keep a segment's room ahead, as the engine's does; shown on the log alone. Without a
 * run: what a segment promises by itself, shown in tests/unit/lsm/test_wal_segment.c, and a checkpoint
 * in test_checkpoint.c. */
static const struct canary canaries[] = {
    {AHEAD},
    {"db.parent", STORM_OF_STEPS, 260},
    {"wal.frames", STORM_OF_STEPS, 260},
    {"wal_segment.create_name", STORM_OF_STEPS, 260},
    {RECYCLE_NAME},
    {"wal_segment.recycle"},
    {"wal_segment.epoch"},
    {"wal_segment.erase"},
    {"repair.lost", REPAIR},
    {"repair.lost_names", REPAIR},
    {"repair.copy", REPAIR},
    {"table_builder.finish", STORM_OF_STEPS, 260},
    {"flush.directory", STORM_OF_STEPS, 260},
    {"compaction.directory", STORM_OF_STEPS, 260},
    {"manifest.snapshot", STORM_OF_STEPS, 260},
    {"manifest.name", STORM_OF_STEPS, 260},
    {"manifest.edit", STORM_OF_STEPS, 260},
    {"manifest.settle", STORM_OF_STEPS, 260},
    {"manifest.settle_name", STORM_OF_FAILED_EDITS, 260},
    {"replace_file.content", STORM_OF_STEPS, 260},
    {"replace_file.directory", STORM_OF_STEPS, 260},
    {"checkpoint.segment"},
    {"checkpoint.parent"},
};

enum { CANARY_COUNT = sizeof(canaries) / sizeof(canaries[0]) };

/* The seeds are fixed: that a canary is found must not be luck. */
static void expect_failure_without(const struct canary *canary)
{
    struct power_storm_result result;
    for (unsigned i = 0; i < SEEDS_MAX; i++) {
        const struct power_storm storm = {
            .kind = (enum power_storm_kind)canary->kind,
            .policy = i % 2 ? POLICY_EVERYSEC : POLICY_ALWAYS,
            .seed = 1 + i,
            .steps = canary->steps,
            .skipped_site = canary->site,
        };
        power_storm_run(&storm, &result, NULL, NULL);
        if (!result.failure.text[0])
            continue;
        printf("without %s: run %u, %llu losses: %.300s\n", canary->site, i + 1,
               (unsigned long long)result.losses, result.failure.text);
        return;
    }
    fail_msg("the syncs of %s are not missed", canary->site);
}

static void power_loss_is_noticed_without_any_one_site(void **state)
{
    (void)state;
    const char *only = getenv("SITE");
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        if (canaries[i].steps > 0 && (!only || strcmp(only, canaries[i].site) == 0))
            expect_failure_without(&canaries[i]);
    }
}

struct sync_sizes {
    struct engine_run *run;
    uint64_t largest;
};

static void note_unsynced(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct sync_sizes *sizes = context;
    char name[256];
    (void)call;
    if (strcmp(site, "wal.frames") != 0)
        return;
    /* Told is the name under which a segment was made. */
    snprintf(name, sizeof(name), "%.*s", (int)(strstr(path, ".wal") + 4 - path), path);
    uint64_t bytes = vfs_memory_unsynced_bytes(sizes->run->memory, name);
    if (bytes > sizes->largest)
        sizes->largest = bytes;
}

/* The most that a sync of frames had to write while every batch was synced. */
static uint64_t largest_sync(const char *skipped_site)
{
    enum { BATCHES = 200 };
    struct engine_run run;
    struct sync_sizes sizes = {.run = &run};
    struct lsm_report report;
    engine_run_init(&run, NULL, 1);
    run.options.wal_segment_bytes = 1 << 20;
    engine_run_skip_sync(&run, skipped_site);
    vfs_fault_watch(run.fault, 1u << VFS_CALL_SYNC, note_unsynced, &sizes);
    assert_int_equal(engine_run_open(&run, &report), STATUS_OK);
    for (int i = 0; i < BATCHES; i++) {
        assert_int_equal(engine_run_batch(&run), STATUS_OK);
        assert_int_equal(engine_run_sync(&run), STATUS_OK);
    }
    engine_run_release(&run);
    return sizes.largest;
}

static void acknowledged_sync_writes_frames_and_no_zeros(void **state)
{
    (void)state;
    assert_in_range(largest_sync(NULL), 1000, 200000); /* one batch of at most a few large values */
    assert_true(largest_sync(AHEAD) >= 1 << 20);
}

/* ---- Recycled names ------------------------------------------------------------------------ */

/* true: frames that were synced in a recycled segment are there after a power loss. */
static bool recycled_frames_survive(const char *skipped_site)
{
    enum { BATCHES = 32, RELEASE_AT = 20, BATCH_BYTES = 700 };
    struct wal_fixture *f = fixture_create(8192);
    fixture_start(f);
    vfs_fault_skip_sync(f->fault, skipped_site);
    uint64_t released = 1, number = 0;
    lsn_t start = 0;
    for (; number < BATCHES; number++) {
        lsn_t lsn = fixture_append(f, number, BATCH_BYTES);
        assert_int_equal(wal_sync(f->wal), STATUS_OK);
        if (number == RELEASE_AT) { /* all before is flushed, say */
            assert_int_equal(wal_release_below(f->wal, lsn), STATUS_OK);
            released = number;
            start = lsn;
        }
    }
    lsn_t durable = wal_durable_lsn(f->wal);
    fixture_crash(f, VFS_LOSE_UNSYNCED, 1);
    bool survive = fixture_recover(f, start, durable, false, false) == STATUS_OK &&
                   f->count == number - released;
    fixture_destroy(f);
    return survive;
}

static void recycled_names_are_missed(void **state)
{
    (void)state;
    assert_true(recycled_frames_survive(NULL));
    assert_false(recycled_frames_survive(RECYCLE_NAME));
}

/* ---- Repair -------------------------------------------------------------------------------- */

enum { KEPT_MAX = 2, NAMES_MAX = 64 };

struct file_names {
    const char *suffix;
    char names[NAMES_MAX][64];
    unsigned count;
};

static void note_name(void *context, const char *name)
{
    struct file_names *names = context;
    if (!strstr(name, names->suffix))
        return;
    assert_true(names->count < NAMES_MAX);
    snprintf(names->names[names->count++], sizeof(names->names[0]), "%s", name);
}

/* A damaged database, and what of it a repair must not lose. */
struct repair_run {
    struct engine_run run;
    char names[KEPT_MAX][64];
    struct buffer bytes[KEPT_MAX];
    struct engine_failure failure;
};

static bool file_is(struct vfs *vfs, const char *path, struct slice bytes)
{
    struct buffer content = {0};
    bool same = vfs_read_file(vfs, path, 1 << 24, &content) == STATUS_OK &&
                slice_equal(buffer_slice(&content), bytes);
    buffer_release(&content);
    return same;
}

static bool is_kept(struct vfs *vfs, const char *name, struct slice bytes)
{
    char path[128];
    snprintf(path, sizeof(path), ENGINE_DIRECTORY "/%s", name);
    if (file_is(vfs, path, bytes))
        return true;
    snprintf(path, sizeof(path), ENGINE_DIRECTORY "/lost/%s", name);
    if (file_is(vfs, path, bytes))
        return true;
    snprintf(path, sizeof(path), ENGINE_DIRECTORY "/lost/%s.1",
             name); /* of an interrupted repair */
    return file_is(vfs, path, bytes);
}

static void expect_kept(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct repair_run *repair = context;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct vfs *after = vfs_memory_after_power_loss(repair->run.memory, seed % 4, seed);
        for (int i = 0; i < KEPT_MAX; i++) {
            if (!is_kept(after, repair->names[i], buffer_slice(&repair->bytes[i])))
                engine_fail(&repair->failure, STATUS_OK, "%s is lost before call %d on %s (%s)",
                            repair->names[i], (int)call, path, site ? site : "-");
        }
        vfs_destroy(after);
    }
}

static bool opens(struct vfs *world)
{
    struct engine_run run;
    struct lsm_report report;
    engine_run_init(&run, vfs_memory_after_power_loss(world, VFS_KEEP_ALL, 1), 5);
    run.is_damaged = true;
    bool opened = engine_run_open(&run, &report) == STATUS_OK;
    engine_run_release(&run);
    return opened;
}

/* Flips a byte, from `offset` on, of a file with this suffix; with `refused` one without which no
 * open succeeds. */
static void damage(struct repair_run *repair, int number, const char *suffix, uint64_t offset,
                   bool refused)
{
    enum { STEP_BYTES = 499, TRIES = 1000 };
    struct file_names names = {.suffix = suffix};
    struct vfs *memory = repair->run.memory;
    char path[128];
    unsigned i = 0;
    bool found = false;
    assert_int_equal(memory->ops->list(memory, ENGINE_DIRECTORY, note_name, &names), STATUS_OK);
    assert_true(names.count > 0);
    for (int tries = 0; !found && tries < TRIES; tries++) {
        i = (unsigned)tries % names.count;
        uint64_t at = offset + (unsigned)tries / names.count * STEP_BYTES;
        snprintf(path, sizeof(path), ENGINE_DIRECTORY "/%s", names.names[i]);
        if (vfs_memory_flip(memory, path, at, 0x40) != STATUS_OK)
            continue; /* behind its end */
        found = !refused || !opens(memory);
        if (!found)
            assert_int_equal(vfs_memory_flip(memory, path, at, 0x40), STATUS_OK);
    }
    assert_true(found);
    snprintf(repair->names[number], sizeof(repair->names[0]), "%s", names.names[i]);
    assert_int_equal(vfs_read_file(memory, path, 1 << 24, &repair->bytes[number]), STATUS_OK);
}

static void build_damaged(struct repair_run *repair)
{
    struct engine_run *run = &repair->run, before;
    struct lsm_report report;
    engine_run_init(&before, NULL, 3);
    assert_int_equal(engine_run_open(&before, &report), STATUS_OK);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(engine_run_batch(&before), STATUS_OK);
        if (i == 15)
            lsm_request_flush(before.db);
        engine_run_work(&before);
    }
    assert_int_equal(engine_run_sync(&before), STATUS_OK);
    engine_run_init(run, vfs_memory_after_power_loss(before.memory, VFS_KEEP_ALL, 1), 3);
    engine_run_release(&before);
    /* An open after a kill states the log durable; then another kill. */
    assert_int_equal(engine_run_open(run, &report), STATUS_OK);
    struct vfs *killed = vfs_memory_after_power_loss(run->memory, VFS_KEEP_ALL, 1);
    engine_run_release(run);
    engine_run_init(run, killed, 4);
    run->is_damaged = true;
    damage(repair, 0, ".wal", WAL_HEADER_BYTES + 30, true);
    damage(repair, 1, ".cwt", 700, false);
}

static void repair_losing_power(struct engine_failure *failure, const char *skipped_site)
{
    struct repair_run repair = {.failure = {""}};
    struct lsm_report report = {""};
    build_damaged(&repair);
    struct engine_run *run = &repair.run;
    engine_run_skip_sync(run, skipped_site);
    vfs_fault_watch(run->fault, VFS_CALLS_CHANGING, expect_kept, &repair);
    assert_int_equal(lsm_repair(&run->env, ENGINE_DIRECTORY, prefix_codecs, NULL, NULL), STATUS_OK);
    assert_int_equal(engine_run_open(run, &report), STATUS_OK);
    assert_int_equal(engine_run_batch(run), STATUS_OK);
    assert_int_equal(engine_run_sync(run), STATUS_OK);
    vfs_fault_watch(run->fault, 0, NULL, NULL);
    expect_kept(&repair, VFS_CALL_COUNT, "all", NULL);
    *failure = repair.failure;
    for (int i = 0; i < KEPT_MAX; i++)
        buffer_release(&repair.bytes[i]);
    engine_run_release(run);
}

static void repair_that_loses_power_keeps_what_was_damaged(void **state)
{
    (void)state;
    struct engine_failure failure;
    repair_losing_power(&failure, NULL);
    if (failure.text[0])
        fail_msg("%s", failure.text);
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        if (canaries[i].kind != REPAIR)
            continue;
        repair_losing_power(&failure, canaries[i].site);
        if (!failure.text[0])
            fail_msg("the syncs of %s are not missed", canaries[i].site);
        printf("without %s: %.200s\n", canaries[i].site, failure.text);
    }
}

/* ---- All sites ----------------------------------------------------------------------------- */

/* The same runs with all syncs find nothing. */
static void runs_of_the_canary_lose_nothing_with_all_sites(void **state)
{
    (void)state;
    static const struct power_storm storms[] = {
        {.kind = STORM_OF_STEPS, .steps = 80},
        {.kind = STORM_OF_RECYCLING, .steps = 200},
        {.kind = STORM_OF_FAILED_EDITS, .steps = 80},
    };
    for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
        struct power_storm storm = storms[i];
        struct power_storm_result result;
        storm.seed = test_seed() + 100 + i;
        power_storm_run(&storm, &result, NULL, NULL);
        if (result.failure.text[0])
            fail_msg("SEED=%llu, kind %d: %s", (unsigned long long)test_seed(), (int)storm.kind,
                     result.failure.text);
    }
}

/* ---- The list is complete ------------------------------------------------------------------ */

static size_t canary_number(struct slice site)
{
    size_t i = 0;
    while (i < CANARY_COUNT && !slice_equal(site, slice_from(canaries[i].site)))
        i++;
    return i;
}

/* Every vfs_sync... in the text is a call whose last argument is a label of the list. */
static void note_sites(const char *path, const char *text, bool found[CANARY_COUNT])
{
    for (const char *at = text; (at = strstr(at, "vfs_sync"));) {
        const char *end = strchr(at, ';'), *open = strchr(at, '"');
        const char *close = open ? strchr(open + 1, '"') : NULL;
        if (!end || !close || close > end)
            fail_msg("%s: a sync without a label of its own: %.60s", path, at);
        struct slice site = slice_make(open + 1, (size_t)(close - open - 1));
        size_t number = canary_number(site);
        if (number == CANARY_COUNT)
            fail_msg("%s: the site %.*s has no canary", path, (int)site.size, site.data);
        if (found[number])
            fail_msg("%s: two syncs are labelled %.*s", path, (int)site.size, site.data);
        found[number] = true;
        at = end;
    }
}

static void every_sync_in_the_source_has_a_canary(void **state)
{
    (void)state;
    bool found[CANARY_COUNT] = {false};
    struct vfs *posix = vfs_posix_create();
    struct buffer text = {0};
    glob_t paths;
    assert_int_equal(glob("src/lsm/*.c", 0, NULL, &paths), 0);
    assert_int_equal(glob("src/vfs/vfs.c", GLOB_APPEND, NULL, &paths), 0);
    for (size_t i = 0; i < paths.gl_pathc; i++) {
        buffer_clear(&text);
        assert_int_equal(vfs_read_file(posix, paths.gl_pathv[i], SOURCE_BYTES_MAX, &text),
                         STATUS_OK);
        buffer_append_byte(&text, 0);
        note_sites(paths.gl_pathv[i], (const char *)text.data, found);
    }
    for (size_t i = 0; i < CANARY_COUNT; i++) {
        if (!found[i])
            fail_msg("no sync is labelled %s", canaries[i].site);
    }
    globfree(&paths);
    buffer_release(&text);
    vfs_destroy(posix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sync_in_the_source_has_a_canary),
        cmocka_unit_test(acknowledged_sync_writes_frames_and_no_zeros),
        cmocka_unit_test(recycled_names_are_missed),
        cmocka_unit_test(repair_that_loses_power_keeps_what_was_damaged),
        cmocka_unit_test(runs_of_the_canary_lose_nothing_with_all_sites),
        cmocka_unit_test(power_loss_is_noticed_without_any_one_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
