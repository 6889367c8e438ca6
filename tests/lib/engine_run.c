/* SPDX-License-Identifier: MIT */
#include "lib/engine_run.h"

#include "base/memory.h"
#include "lib/soundness.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WORK_STEPS_MAX = 100000,
    WORK_BYTES = 16 << 10,
    BATCHES_AFTER_RECOVERY = 4,
    RECOVERY_CALLS_MAX = 24, /* the second power loss strikes within so many calls */
};

static uint64_t run_wall_ms(void *context)
{
    struct engine_run *run = context;
    return 1700000000000 + run->clock_us / 1000;
}

static uint64_t run_monotonic_us(void *context)
{
    struct engine_run *run = context;
    return run->clock_us += 10;
}

static void run_random_bytes(void *context, void *data, size_t size)
{
    struct engine_run *run = context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)random_next(&run->random);
}

static void run_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (getenv("VERBOSE"))
        fprintf(stderr, "engine: %s\n", line);
}

void engine_run_init(struct engine_run *run, struct vfs *memory, uint64_t seed)
{
    *run = (struct engine_run){.memory = memory ? memory : vfs_memory_create()};
    run->fault = vfs_fault_create(run->memory);
    vfs_fault_on_failed_sync(run->fault, vfs_memory_lose_unsynced);
    random_init(&run->random, seed);
    run->env = (struct env){
        .vfs = run->fault,
        .wall_ms = run_wall_ms,
        .monotonic_us = run_monotonic_us,
        .random_bytes = run_random_bytes,
        .log = run_log,
        .context = run,
    };
    engine_small_options(&run->options);
    engine_choose_log(&run->options, seed);
    if (seed % 3 == 0 && lsm_has_zstd())
        run->options.trees[2].cold_compression = LSM_ZSTD;
}

void engine_run_release(struct engine_run *run)
{
    if (run->db) {
        if (!run->is_damaged)
            require_sound_engine(run->db, "at the end of a run");
        (void)lsm_close(run->db); /* the world goes with it */
    }
    engine_history_release(&run->history);
    memory_free(run->lsns);
    vfs_destroy(run->fault);
    vfs_destroy(run->memory);
}

void engine_run_skip_sync(struct engine_run *run, const char *site)
{
    run->skipped_site = site;
    run->is_damaged |= site != NULL;
    vfs_fault_skip_sync(run->fault, site);
}

enum status engine_run_open(struct engine_run *run, struct lsm_report *report)
{
    assert(!run->db);
    enum status status = lsm_open(&run->env, ENGINE_DIRECTORY, &run->options, report, &run->db);
    if (status == STATUS_OK)
        lsm_set_ack_durable(run->db, run->policy == POLICY_ALWAYS);
    return status;
}

enum status engine_run_close(struct engine_run *run)
{
    struct lsm *db = run->db;
    if (!run->is_damaged)
        require_sound_engine(db, "before a close");
    run->db = NULL;
    enum status status = lsm_close(db);
    if (status == STATUS_OK)
        run->synced = run->written = run->history.count;
    return status;
}

static void note_batch(struct engine_run *run, uint64_t seed, lsn_t lsn)
{
    engine_history_add(&run->history, seed);
    run->lsns = memory_resize(run->lsns, run->history.count * sizeof(lsn_t));
    run->lsns[run->history.count - 1] = lsn;
}

enum status engine_run_batch(struct engine_run *run)
{
    uint64_t seed = random_next(&run->random);
    size_t index = run->history.count;
    struct lsm_writer *writer = NULL;
    lsm_lock(run->db);
    enum status status = lsm_write_begin(run->db, engine_batch_bytes(seed, index), false, &writer);
    if (status == STATUS_OK) {
        engine_batch_write(writer, seed, index);
        note_batch(run, seed, lsm_write_end(writer));
    }
    lsm_unlock(run->db);
    return status;
}

enum status engine_run_transaction(struct engine_run *run, int others)
{
    static const struct lsm_transaction_options options = {.bytes_max = 16 << 20,
                                                           .serializable = true};
    uint64_t seed = random_next(&run->random);
    size_t index = run->history.count;
    struct lsm_reader *reader = lsm_reader_create(run->db);
    struct lsm_transaction *transaction = lsm_transaction_create(run->db, &options);
    enum status status = STATUS_OK;
    lsn_t lsn = 0;
    for (unsigned tree = 0; tree < run->options.tree_count && status == STATUS_OK; tree++)
        status =
            lsm_transaction_note_range(transaction, tree, slice_make(NULL, 0), slice_make(NULL, 0));
    engine_transaction_write(transaction, seed, index);
    for (int i = 0; i < others && status == STATUS_OK; i++)
        status = engine_run_batch(run);
    if (others) {
        lsm_request_flush(run->db);
        engine_run_work(run);
    }
    if (status == STATUS_OK)
        status = lsm_transaction_commit(transaction, reader, &lsn);
    if (status == STATUS_OK)
        note_batch(run, seed, lsn);
    lsm_transaction_destroy(transaction);
    lsm_reader_destroy(reader);
    return status;
}

enum status engine_run_sync(struct engine_run *run)
{
    enum status status = lsm_wal_sync(run->db);
    if (status == STATUS_OK)
        run->synced = run->written = run->history.count;
    return status;
}

size_t engine_run_count_below(const struct engine_run *run, lsn_t lsn)
{
    size_t count = 0;
    while (count < run->history.count && run->lsns[count] < lsn)
        count++;
    return count;
}

enum status engine_run_write(struct engine_run *run)
{
    enum status status = lsm_wal_write(run->db);
    if (status == STATUS_OK)
        run->written = run->history.count;
    return status;
}

void engine_run_work(struct engine_run *run)
{
    unsigned steps = 0;
    while (lsm_work(run->db, WORK_BYTES) && steps++ < WORK_STEPS_MAX)
        ;
    assert(steps < WORK_STEPS_MAX);
}

void engine_run_flush(struct engine_run *run)
{
    struct lsm_stats before, now;
    lsm_get_stats(run->db, &before);
    lsm_request_flush(run->db);
    do {
        (void)lsm_work(run->db, SIZE_MAX); /* the counter says when it is done */
        lsm_get_stats(run->db, &now);
    } while (now.flush_count == before.flush_count);
}

static bool run_compare(struct engine_run *run, struct engine_failure *failure)
{
    size_t count;
    struct lsm_report report = {""};
    if (lsm_check_invariants(run->db, &report) != STATUS_OK)
        return engine_fail(failure, STATUS_OK, "invariants: %s", report.text);
    return engine_holds_history(run->db, &run->history, run->history.count, run->history.count,
                                &count, failure);
}

static bool run_reopen(struct engine_run *run, struct engine_failure *failure)
{
    struct lsm_report report = {""};
    enum status status = engine_run_close(run);
    if (status != STATUS_OK)
        return engine_fail(failure, status, "close: %s", status_text(status));
    status = engine_run_open(run, &report);
    if (status != STATUS_OK)
        return engine_fail(failure, status, "open after a clean stop: %s", report.text);
    return run_compare(run, failure);
}

static enum status run_batch_by_policy(struct engine_run *run)
{
    enum status status = engine_run_batch(run);
    if (status != STATUS_OK)
        return status;
    /* Several batches may share a sync or a write. */
    if (random_below(&run->random, 3) == 0)
        return STATUS_OK;
    return run->policy == POLICY_ALWAYS ? engine_run_sync(run) : engine_run_write(run);
}

bool engine_run_step(struct engine_run *run, struct engine_failure *failure)
{
    uint64_t choice = random_below(&run->random, 200);
    enum status status = STATUS_OK;
    if (choice < 160) {
        status = run_batch_by_policy(run);
    } else if (choice < 172) {
        status = run->policy == POLICY_NO ? engine_run_write(run) : engine_run_sync(run);
    } else if (choice < 186) {
        (void)lsm_work(run->db, WORK_BYTES); /* false: nothing to do */
    } else if (choice < 189) {
        lsm_request_flush(run->db);
        engine_run_work(run);
    } else if (choice < 191) {
        lsm_request_compact(run->db);
        engine_run_work(run);
    } else if (choice < 194) {
        status = lsm_wal_rotate(run->db);
    } else if (choice < 196) {
        return run_reopen(run, failure);
    } else {
        return run_compare(run, failure);
    }
    return status == STATUS_OK ||
           engine_fail(failure, status, "step %u: %s", (unsigned)choice, status_text(status));
}

/* ---- Power loss ---------------------------------------------------------------------------- */

/* Takes a picture of the world before the n-th changing call from now. */
struct second_loss {
    struct vfs *memory;
    uint64_t countdown;
    enum vfs_power_loss mode;
    uint64_t seed;
    struct vfs *world; /* NULL: not so many calls were made */
};

static void take_picture(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct second_loss *second = context;
    (void)call;
    (void)path;
    (void)site;
    if (second->countdown > 0 && --second->countdown == 0)
        second->world = vfs_memory_after_power_loss(second->memory, second->mode, second->seed);
}

/* Opens the world and compares. *count: batches found. The run stays open. */
static bool recover(struct engine_run *found, const struct engine_history *history, size_t min,
                    size_t max, size_t *count, struct engine_failure *failure)
{
    struct lsm_report report = {""};
    enum status status = engine_run_open(found, &report);
    if (status != STATUS_OK)
        return engine_fail(failure, status, "open: %s (%s)", status_text(status), report.text);
    if (lsm_check_invariants(found->db, &report) != STATUS_OK)
        return engine_fail(failure, STATUS_OK, "invariants: %s", report.text);
    return engine_holds_history(found->db, history, min, max, count, failure);
}

static bool lose_again(struct vfs *world, const struct engine_history *history, size_t min,
                       size_t max, uint64_t seed, struct engine_failure *failure)
{
    struct engine_run found;
    size_t again;
    engine_run_init(&found, world, seed);
    bool agrees = recover(&found, history, min, max, &again, failure);
    if (!agrees) {
        char why[sizeof(failure->text)];
        snprintf(why, sizeof(why), "%s", failure->text);
        snprintf(failure->text, sizeof(failure->text), "after a second power loss: %.900s", why);
        found.is_damaged = true;
    }
    engine_run_release(&found);
    return agrees;
}

/* What is written behind a recovered tail is there after the next power loss, and nothing of what
 * lay there before comes back. */
static bool write_on(struct engine_run *found, const struct engine_history *history, size_t count,
                     struct engine_failure *failure)
{
    engine_history_copy(history, count, &found->history);
    for (int i = 0; i < BATCHES_AFTER_RECOVERY; i++) {
        enum status status = engine_run_batch(found);
        if (status == STATUS_OK && (i == 1 || i == BATCHES_AFTER_RECOVERY - 1))
            status = engine_run_sync(found);
        if (status != STATUS_OK)
            return engine_fail(failure, status, "writing on: %s", status_text(status));
    }
    const struct power_loss next = {.mode = random_below(&found->random, 2) ? VFS_LOSE_UNSYNCED
                                                                            : VFS_TEAR,
                                    .seed = random_next(&found->random)};
    return power_loss_check(found, &next, failure);
}

bool power_loss_check(struct engine_run *run, const struct power_loss *loss,
                      struct engine_failure *failure)
{
    static const char *const modes[] = {"unsynced is lost", "all is kept", "torn", "reordered"};
    size_t min =
        loss->mode == VFS_KEEP_ALL && run->written > run->synced ? run->written : run->synced;
    /* After a kill, what was not synced is not durable before the recovery is done. */
    size_t again_min = loss->mode == VFS_KEEP_ALL ? run->synced : SIZE_MAX;
    size_t count = 0;
    struct engine_run found;
    engine_run_init(&found, vfs_memory_after_power_loss(run->memory, loss->mode, loss->seed),
                    loss->seed);
    found.policy = run->policy;
    found.options = run->options;
    engine_choose_log(&found.options, loss->seed);
    engine_run_skip_sync(&found, run->skipped_site);
    struct second_loss second = {
        .memory = found.memory,
        .countdown = loss->again ? 1 + random_below(&found.random, RECOVERY_CALLS_MAX) : 0,
        .mode = random_below(&found.random, 2) ? VFS_LOSE_UNSYNCED : VFS_TEAR,
        .seed = random_next(&found.random),
    };
    vfs_fault_watch(found.fault, VFS_CALLS_CHANGING, take_picture, &second);
    bool agrees = recover(&found, &run->history, min, run->history.count, &count, failure);
    second.countdown = 0;
    if (second.world && agrees)
        agrees = lose_again(second.world, &run->history, again_min < count ? again_min : count,
                            count, second.seed, failure);
    else
        vfs_destroy(second.world);
    if (agrees && loss->go_on)
        agrees = write_on(&found, &run->history, count, failure);
    if (!agrees) {
        char why[sizeof(failure->text)];
        snprintf(why, sizeof(why), "%s", failure->text);
        snprintf(failure->text, sizeof(failure->text), "power loss, %s, seed %llu: %.800s",
                 modes[loss->mode], (unsigned long long)loss->seed, why);
        found.is_damaged = true;
    }
    engine_run_release(&found);
    return agrees;
}
