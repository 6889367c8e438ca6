/* SPDX-License-Identifier: MIT */
/* A byte of a file below the durable LSN is flipped. Either it is detected: the open is refused or
 * a read says STATUS_CORRUPT, and the file is named by the report, the log or lsm_verify; or it is
 * harmless: everything reads as before. Wrong data is never served. FLIPS= sets how many bytes a
 * world; 0: every one. */
#include "lib/engine_run.h"
#include "lib/prefix_codec.h"
#include "lib/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FLIPS = 300, FILES_MAX = 256 };

struct file_list {
    char names[FILES_MAX][64];
    uint64_t sizes[FILES_MAX];
    unsigned count;
};

struct finding {
    const char *file; /* that was flipped */
    bool named;
    char last[300];
};

struct counts {
    uint64_t flips, refused, on_read, harmless;
};

static void note_file(void *context, const char *name)
{
    struct file_list *files = context;
    assert_true(files->count < FILES_MAX);
    snprintf(files->names[files->count++], sizeof(files->names[0]), "%s", name);
}

static void list_files(struct vfs *vfs, struct file_list *files)
{
    assert_int_equal(vfs->ops->list(vfs, ENGINE_DIRECTORY, note_file, files), STATUS_OK);
    for (unsigned i = 0; i < files->count; i++) {
        char path[128];
        struct vfs_file *file = NULL;
        snprintf(path, sizeof(path), ENGINE_DIRECTORY "/%s", files->names[i]);
        assert_int_equal(vfs_open(vfs, path, VFS_READ, &file), STATUS_OK);
        assert_int_equal(vfs_size(file, &files->sizes[i]), STATUS_OK);
        vfs_close(file);
    }
}

static void note_finding(void *context, const char *file, const char *finding)
{
    struct finding *note = context;
    if (!finding)
        return;
    snprintf(note->last, sizeof(note->last), "%s: %s", file, finding);
    note->named |= strstr(file, note->file) != NULL;
}

static bool verify_names(struct engine_run *run, const char *file)
{
    struct finding note = {.file = file};
    enum status status =
        lsm_verify(&run->env, ENGINE_DIRECTORY, prefix_codecs, note_finding, &note);
    if (status == STATUS_OK)
        return false;
    if (status != STATUS_CORRUPT)
        fail_msg("verify of a world with a flipped byte in %s: %s", file, status_text(status));
    return note.named;
}

/* true: detected. */
static bool flip_is_detected(struct vfs *world, const struct engine_history *history,
                             const char *file, uint64_t offset, uint8_t mask, struct counts *counts)
{
    struct engine_run run;
    struct engine_failure failure = {""};
    struct lsm_report report = {""};
    char path[128];
    size_t count;
    snprintf(path, sizeof(path), ENGINE_DIRECTORY "/%s", file);
    engine_run_init(&run, vfs_memory_after_power_loss(world, VFS_KEEP_ALL, 1), 1);
    run.is_damaged = true;
    assert_int_equal(vfs_memory_flip(run.memory, path, offset, mask), STATUS_OK);
    bool named = verify_names(&run, file);
    enum status status = engine_run_open(&run, &report);
    bool refused = status != STATUS_OK, detected = refused;
    if (refused) {
        if (status != STATUS_CORRUPT && status != STATUS_UNSUPPORTED)
            fail_msg("%s at %llu: open: %s", file, (unsigned long long)offset, status_text(status));
        named |= strstr(report.text, file) != NULL;
    } else if (!engine_holds_history(run.db, history, history->count, history->count, &count,
                                     &failure)) {
        if (failure.status != STATUS_CORRUPT)
            fail_msg("SEED=%llu: %s at %llu (mask %02x): wrong data is served: %s",
                     (unsigned long long)test_seed(), file, (unsigned long long)offset, mask,
                     failure.text);
        detected = true;
    }
    if (detected && !named)
        fail_msg("SEED=%llu: %s at %llu (mask %02x): detected, but nobody names the file: %s %s",
                 (unsigned long long)test_seed(), file, (unsigned long long)offset, mask,
                 report.text, failure.text);
    counts->refused += refused;
    counts->on_read += detected && !refused;
    counts->harmless += !detected;
    counts->flips++;
    engine_run_release(&run);
    return detected;
}

static void flip_everywhere(struct vfs *world, const struct engine_history *history)
{
    const char *given = getenv("FLIPS");
    uint64_t wanted = given ? strtoull(given, NULL, 10) : FLIPS, total = 0;
    struct file_list files = {.count = 0};
    struct random random;
    struct counts counts = {0};
    random_init(&random, test_seed());
    list_files(world, &files);
    for (unsigned i = 0; i < files.count; i++)
        total += files.sizes[i];
    uint64_t stride = wanted ? 2 * total / wanted + 1 : 1;
    for (unsigned i = 0; i < files.count; i++) {
        struct counts before = counts;
        uint64_t offset = 0;
        while (offset < files.sizes[i]) {
            uint8_t mask = (uint8_t)(1u << random_below(&random, 8));
            flip_is_detected(world, history, files.names[i], offset, mask, &counts);
            /* The heads and tails of files are where formats are densest. */
            bool dense = offset < 64 || offset + 64 > files.sizes[i];
            offset += wanted && !dense ? 1 + random_below(&random, stride) : 1;
        }
        printf("%-24s %8llu bytes: %llu flips, %llu refused, %llu on read, %llu harmless\n",
               files.names[i], (unsigned long long)files.sizes[i],
               (unsigned long long)(counts.flips - before.flips),
               (unsigned long long)(counts.refused - before.refused),
               (unsigned long long)(counts.on_read - before.on_read),
               (unsigned long long)(counts.harmless - before.harmless));
    }
    assert_true(counts.refused > 0);
    assert_true(counts.on_read > 0);
}

/* A world with tables of several levels, a log that still holds records, and a manifest that states
 * the log durable (the open after a kill does). */
static void build(struct engine_run *run)
{
    struct lsm_report report;
    engine_run_init(run, NULL, test_seed());
    run->policy = POLICY_ALWAYS;
    /* Small, so that a world has few bytes. */
    run->options.wal_segment_bytes = 16 << 10;
    assert_int_equal(engine_run_open(run, &report), STATUS_OK);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(engine_run_batch(run), STATUS_OK);
        if (i % 15 == 10)
            lsm_request_flush(run->db);
        if (i == 40)
            lsm_request_compact(run->db);
        engine_run_work(run);
    }
    assert_int_equal(engine_run_sync(run), STATUS_OK);
}

static void flipped_byte_is_detected_or_harmless_after_a_kill(void **state)
{
    (void)state;
    struct engine_run run, found;
    struct lsm_report report;
    build(&run);
    engine_run_init(&found, vfs_memory_after_power_loss(run.memory, VFS_KEEP_ALL, 1), 1);
    found.options = run.options;
    assert_int_equal(engine_run_open(&found, &report), STATUS_OK);
    struct vfs *world = vfs_memory_after_power_loss(found.memory, VFS_KEEP_ALL, 1);
    flip_everywhere(world, &run.history);
    vfs_destroy(world);
    engine_run_release(&found);
    engine_run_release(&run);
}

static void flipped_byte_is_detected_or_harmless_after_a_clean_stop(void **state)
{
    (void)state;
    struct engine_run run;
    build(&run);
    assert_int_equal(engine_run_close(&run), STATUS_OK);
    flip_everywhere(run.memory, &run.history);
    engine_run_release(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_byte_is_detected_or_harmless_after_a_kill),
        cmocka_unit_test(flipped_byte_is_detected_or_harmless_after_a_clean_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
