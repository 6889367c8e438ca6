/* SPDX-License-Identifier: MIT */
#include "lib/store_run.h"

#include "base/hash.h"
#include "base/memory.h"
#include "lib/resp_client.h"
#include "lib/resp_reply.h"
#include "lib/soundness.h"
#include "types/store_check.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DATABASES = 3,
    KEYS = 8,
    VALUE_BYTES_MAX = 100 << 10, /* a string of so many lies in pieces */
    WORDS_MAX = 12,
    WORK_BYTES = 32 << 10,
    RECOVERY_CALLS_MAX = 24, /* the next power loss strikes within so many calls */
    LOSSES_MAX = 3,
    COMMANDS_AFTER_RECOVERY = 6,
};

#define BASE_MS 1700000000000u

static const unsigned STRUCK_CALLS =
    1u << VFS_CALL_OPEN | 1u << VFS_CALL_WRITE | 1u << VFS_CALL_SYNC | 1u << VFS_CALL_TRUNCATE |
    1u << VFS_CALL_REMOVE | 1u << VFS_CALL_RENAME | 1u << VFS_CALL_LINK | 1u << VFS_CALL_MKDIR |
    1u << VFS_CALL_SYNC_DIRECTORY;

/* ---- The world ----------------------------------------------------------------------------- */

static uint64_t run_wall_ms(void *context)
{
    struct store_run *run = context;
    return run->is_observing ? BASE_MS : BASE_MS + run->clock_us / 1000;
}

static uint64_t run_monotonic_us(void *context)
{
    return ++((struct store_run *)context)->clock_us;
}

static void run_random_bytes(void *context, void *data, size_t size)
{
    struct store_run *run = context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)random_next(&run->random);
}

static void run_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

static void host_owner(void *context, void *owner)
{
    (void)context;
    (void)owner;
}

static void host_shutdown(void *context, bool now)
{
    (void)context;
    (void)now;
}

void store_run_init(struct store_run *run, struct vfs *memory, enum engine_policy policy,
                    uint64_t seed)
{
    *run = (struct store_run){
        .memory = memory ? memory : vfs_memory_create(), .policy = policy, .seed = seed};
    run->fault = vfs_fault_create(run->memory);
    vfs_fault_on_failed_sync(run->fault, vfs_memory_lose_unsynced);
    random_init(&run->random, seed);
    run->env =
        (struct env){run->fault, run_wall_ms, run_monotonic_us, run_random_bytes, run_log, run};
    run->config = config_create();
    run->cold_compression = seed % 3 == 0 && lsm_has_zstd() ? LSM_ZSTD : LSM_LZ4;
}

static void let_go(struct store_run *run)
{
    session_destroy(run->client);
    session_destroy(run->observer);
    service_destroy(run->service);
    run->service = NULL;
}

void store_run_release(struct store_run *run)
{
    if (run->store) {
        if (!run->is_damaged)
            require_sound_store(run->store, "at the end of a run");
        let_go(run);
        (void)store_close(run->store); /* the world goes with it */
    }
    config_destroy(run->config);
    buffer_release(&run->command);
    memory_free(run->digests);
    memory_free(run->ends);
    memory_free(run->replies);
    vfs_destroy(run->fault);
    vfs_destroy(run->memory);
}

enum status store_run_open(struct store_run *run, struct lsm_report *report)
{
    const struct store_options options = {
        .databases = DATABASES,
        .memtable_bytes = 512 << 10,
        .block_cache_bytes = 256 << 10,
        .wal_segment_bytes = 160 << 10,
        .wal_compression = run->seed % 2 ? LSM_WAL_LZ4 : LSM_WAL_PLAIN,
        .wal_page_bytes = 1u << run->seed / 2 % 8,
        .cold_compression = run->cold_compression,
        .ack_durable = run->policy == POLICY_ALWAYS,
    };
    const struct session_options client = {.file_descriptor = -1, .is_local = true};
    enum status status = store_open(&run->env, "/data", &options, report, &run->store);
    if (status != STATUS_OK) {
        run->store = NULL;
        return status;
    }
    run->service = service_create(&run->env, run->store, run->config,
                                  &(struct service_host){.wake = host_owner,
                                                         .shutdown = host_shutdown,
                                                         .disconnect = host_owner});
    run->client = session_create(run->service, &client);
    run->observer = session_create(run->service, &client);
    return STATUS_OK;
}

static void settle(struct session *session)
{
    while (session_state(session) == SESSION_PARKED) {
        session_work(session);
        session_resume(session);
    }
}

/* ---- Observing ----------------------------------------------------------------------------- */

static uint64_t observe(struct store_run *run)
{
    static const char *const questions[] = {
        "TYPE %s\r\n",       "PTTL %s\r\n",         "GET %s\r\n",          "LRANGE %s 0 -1\r\n",
        "XRANGE %s - +\r\n", "XINFO STREAM %s\r\n", "LOG.RANGE %s - +\r\n"};
    uint64_t digest = 0;
    char line[64], key[8];
    run->is_observing = true;
    for (unsigned database = 0; database < DATABASES; database++) {
        for (unsigned i = 0; i <= KEYS; i++) {
            snprintf(key, sizeof key, "k%u", i);
            for (unsigned q = 0; q < (i < KEYS ? sizeof questions / sizeof *questions : 1); q++) {
                if (i < KEYS)
                    snprintf(line, sizeof line, questions[q], key);
                else
                    snprintf(line, sizeof line, "SELECT %u\r\nDBSIZE\r\n",
                             (database + 1) % DATABASES);
                session_feed(run->observer, slice_from(line));
                settle(run->observer);
                struct slice output = session_output(run->observer);
                digest = hash64(output, digest + 1);
                session_output_consume(run->observer, output.size);
            }
        }
    }
    run->is_observing = false;
    return digest;
}

static void note_command(struct store_run *run)
{
    if (run->count % 64 == 0) {
        run->digests = memory_resize(run->digests, (run->count + 64) * sizeof *run->digests);
        run->ends = memory_resize(run->ends, (run->count + 64) * sizeof *run->ends);
        run->replies = memory_resize(run->replies, (run->count + 64) * sizeof *run->replies);
    }
    run->digests[run->count] = observe(run);
    run->replies[run->count] = run->replies_due;
    run->ends[run->count++] = lsm_visible_lsn(store_engine(run->store));
}

static size_t count_ended(const struct store_run *run, lsn_t lsn)
{
    size_t count = 0;
    while (count < run->count && run->ends[count] <= lsn)
        count++;
    return count ? count - 1 : 0;
}

/* Lets replies through the gate, and sees what is safe now. */
static void take_replies(struct store_run *run)
{
    struct lsm *engine = store_engine(run->store);
    lsn_t durable = lsm_durable_lsn(engine), written = lsm_written_lsn(engine);
    size_t released =
        session_output_released(run->client, run->policy == POLICY_ALWAYS ? durable : written);
    struct slice output = slice_make(session_output(run->client).data, released);
    size_t used = 0, size;
    for (struct resp_reply reply = {0};
         resp_reply_read(slice_skip(output, used), &reply, &size) == REPLY_COMPLETE;
         reply = (struct resp_reply){0}) {
        resp_reply_release(&reply);
        used += size;
        run->replies_taken++;
    }
    for (size_t i = run->replied + 1; i < run->count; i++)
        if (run->replies[i] <= run->replies_taken && run->replies[i] > run->replies[i - 1] &&
            run->ends[i] > run->ends[i - 1])
            run->replied = i;
    session_output_consume(run->client, used);
    run->synced = count_ended(run, durable);
    run->written = count_ended(run, written);
}

/* ---- Commands ------------------------------------------------------------------------------ */

/* k a key, v a value, V a large one at times, n a small number, t a time, e a late time, i an index. */
static const char *const commands[] = {
    "SET k V",
    "SET k v PX t",
    "LPUSH k v v",
    "RPUSH k V v v",
    "LPOP k n",
    "RPOP k",
    "LTRIM k i i",
    "XADD k * f v g v",
    "XADD k MAXLEN n * f v",
    "XDEL k n-1 n-0",
    "XTRIM k MAXLEN n",
    "LOG.WRITE k TS e LEVEL warn -- v",
    "DEL k k k",
    "RENAME k k",
    "SWAPDB d d",
    "PEXPIRE k t",
    "XADD k n-* f v",
    "LOG.WRITE k LEVEL info -- v",
    "RPUSH k v v v v v v v",
    "FLUSHDB",
    "SELECT d",
    "PERSIST k",
};

static void add_value(struct store_run *run, bool is_large)
{
    size_t size = random_below(&run->random, 90);
    if (is_large && random_below(&run->random, 8) == 0)
        size = random_below(&run->random, VALUE_BYTES_MAX);
    buffer_clear(&run->command);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(&run->command, (uint8_t)('a' + random_below(&run->random, 26)));
}

/* One letter of the pattern stands for a word; others stand for themselves. */
static void fill_word(struct store_run *run, const char *pattern, size_t length)
{
    struct buffer *word = &run->command;
    uint64_t now_ms = run_wall_ms(run);
    buffer_clear(word);
    if (length == 1 && (*pattern == 'v' || *pattern == 'V')) {
        add_value(run, *pattern == 'V');
        return;
    }
    for (size_t i = 0; i < length; i++) {
        bool is_letter = length == 1 || pattern[i] == 'n';
        char c = is_letter ? pattern[i] : 0;
        if (c == 'k')
            buffer_printf(word, "k%u", (unsigned)random_below(&run->random, KEYS));
        else if (c == 'n')
            buffer_printf(word, "%u", 1 + (unsigned)random_below(&run->random, 9));
        else if (c == 'd')
            buffer_printf(word, "%u", (unsigned)random_below(&run->random, DATABASES));
        else if (c == 't')
            buffer_printf(word, "%u", 1 + (unsigned)random_below(&run->random, 3000));
        else if (c == 'i')
            buffer_printf(word, "%d", (int)random_below(&run->random, 12) - 4);
        else if (c == 'e')
            buffer_printf(word, "%llu",
                          (unsigned long long)(now_ms - random_below(&run->random, 5000)));
        else
            buffer_append_byte(word, (uint8_t)pattern[i]);
    }
}

static void feed_command(struct store_run *run)
{
    size_t number = random_below(&run->random, sizeof commands / sizeof *commands);
    if (number == 19 && random_below(&run->random, 4) != 0)
        number = 0; /* rarely FLUSHDB */
    struct slice words[WORDS_MAX];
    struct buffer all = {0}, encoded = {0};
    size_t offsets[WORDS_MAX + 1] = {0}, count = 0;
    for (const char *at = commands[number]; *at; count++) {
        size_t length = strcspn(at, " ");
        fill_word(run, at, length);
        buffer_append_slice(&all, buffer_slice(&run->command));
        offsets[count + 1] = all.size;
        at += length + (at[length] == ' ');
    }
    for (size_t i = 0; i < count; i++)
        words[i] = slice_make(all.data + offsets[i], offsets[i + 1] - offsets[i]);
    resp_client_encode(&encoded, words, count);
    session_feed(run->client, buffer_slice(&encoded));
    settle(run->client);
    run->replies_due++;
    note_command(run);
    run->clock_us += random_below(&run->random, 20000);
    buffer_release(&all);
    buffer_release(&encoded);
}

/* ---- Steps --------------------------------------------------------------------------------- */

static bool check_run(struct store_run *run, struct engine_failure *failure)
{
    struct lsm_report report = {""};
    if (lsm_check_invariants(store_engine(run->store), &report) != STATUS_OK ||
        store_check(run->store, &report) != STATUS_OK)
        return engine_fail(failure, STATUS_OK, "invariants: %.900s", report.text);
    if (run->count && observe(run) != run->digests[run->count - 1])
        return engine_fail(failure, STATUS_OK, "the state changed without a command");
    return true;
}

static bool reopen(struct store_run *run, struct engine_failure *failure)
{
    struct lsm_report report = {""};
    lsn_t durable = UINT64_MAX;
    let_go(run);
    enum status status = store_close(run->store);
    run->store = NULL;
    if (status != STATUS_OK)
        return engine_fail(failure, status, "close: %s", status_text(status));
    run->synced = run->written = count_ended(run, durable);
    run->replies_taken = run->replies_due; /* those of the old session do not come any more */
    status = store_run_open(run, &report);
    if (status != STATUS_OK)
        return engine_fail(failure, status, "open after a clean stop: %.900s", report.text);
    return check_run(run, failure);
}

static void work_all(struct lsm *engine)
{
    while (lsm_work(engine, WORK_BYTES))
        ;
}

bool store_run_step(struct store_run *run, struct engine_failure *failure)
{
    struct lsm *engine = store_engine(run->store);
    uint64_t choice = random_below(&run->random, 100);
    enum status status = STATUS_OK;
    if (choice < 80) {
        feed_command(run);
        if (random_below(&run->random, 3) != 0)
            status = run->policy == POLICY_ALWAYS ? lsm_wal_sync(engine) : lsm_wal_write(engine);
    } else if (choice < 85) {
        status = run->policy == POLICY_NO ? lsm_wal_write(engine) : lsm_wal_sync(engine);
    } else if (choice < 90) {
        (void)lsm_work(engine, WORK_BYTES); /* false: nothing to do */
    } else if (choice < 93) {
        /* The segments before are free after the flush, and used again. */
        status = lsm_wal_rotate(engine);
        feed_command(run);
        lsm_request_flush(engine);
        work_all(engine);
    } else if (choice < 95) {
        lsm_request_compact(engine);
        work_all(engine);
    } else if (choice < 96) {
        status = lsm_wal_rotate(engine);
    } else if (choice < 98) {
        run->clock_us += 1000000;
        (void)service_expire(run->service); /* one batch; true: more are due */
        note_command(run);
    } else if (choice < 99) {
        return reopen(run, failure);
    } else {
        return check_run(run, failure);
    }
    if (status != STATUS_OK)
        return engine_fail(failure, status, "step %u: %s", (unsigned)choice, status_text(status));
    take_replies(run);
    return true;
}

/* ---- Power loss ---------------------------------------------------------------------------- */

struct next_loss {
    struct vfs *memory, *world; /* world NULL: not so many calls were made */
    uint64_t countdown, seed;
    enum vfs_power_loss mode;
};

static void take_picture(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct next_loss *next = context;
    (void)call;
    (void)path;
    (void)site;
    if (next->countdown > 0 && --next->countdown == 0)
        next->world = vfs_memory_after_power_loss(next->memory, next->mode, next->seed);
}

static bool go_on(struct store_run *found, struct store_loss_counts *counts,
                  struct engine_failure *failure)
{
    counts->continued++;
    note_command(found); /* what was recovered is durable */
    for (int i = 0; i < COMMANDS_AFTER_RECOVERY; i++) {
        feed_command(found);
        enum status status = i % 3 == 2 ? lsm_wal_sync(store_engine(found->store)) : STATUS_OK;
        if (status != STATUS_OK)
            return engine_fail(failure, status, "going on: %s", status_text(status));
        take_replies(found);
    }
    return store_run_lose_power(found,
                                random_below(&found->random, 2) ? VFS_LOSE_UNSYNCED : VFS_TEAR,
                                random_next(&found->random), NULL, failure);
}

/* `digests[min .. max]` may be found. Takes the world over. `counts` NULL: this is all. `power_min`: after
 * a kill the oldest that a power loss within this recovery may leave; else SIZE_MAX, all is durable. */
static bool recover(const struct store_run *run, struct vfs *world, const uint64_t *digests,
                    size_t min, size_t max, size_t power_min, uint64_t seed, unsigned losses,
                    struct store_loss_counts *counts, struct engine_failure *failure)
{
    struct store_run found;
    struct lsm_report report = {""};
    store_run_init(&found, world, run->policy, seed);
    found.clock_us = run->clock_us;
    vfs_fault_skip_sync(found.fault, run->skipped_site);
    struct next_loss next = {.memory = found.memory,
                             .mode = random_below(&found.random, 2) ? VFS_LOSE_UNSYNCED : VFS_TEAR,
                             .seed = random_next(&found.random)};
    if (counts && losses < LOSSES_MAX && random_below(&found.random, 3) == 0)
        next.countdown = 1 + random_below(&found.random, RECOVERY_CALLS_MAX);
    vfs_fault_watch(found.fault, STRUCK_CALLS, take_picture, &next);
    enum status status = store_run_open(&found, &report);
    next.countdown = 0;
    size_t at = max + 1;
    bool agrees = status == STATUS_OK || engine_fail(failure, status, "open: %s (%.800s)",
                                                     status_text(status), report.text);
    if (agrees)
        agrees = check_run(&found, failure);
    if (agrees) {
        uint64_t digest = observe(&found);
        while (at > min && digests[at - 1] != digest)
            at--;
        agrees = at > min ||
                 engine_fail(failure, STATUS_OK,
                             "the state is not one of those after commands %zu to %zu", min, max);
    }
    if (agrees && next.world) {
        *(losses == 1 ? &counts->again : &counts->third) += 1;
        agrees = recover(run, next.world, digests, power_min < at - 1 ? power_min : at - 1, at - 1,
                         SIZE_MAX, next.seed, losses + 1, counts, failure);
        if (!agrees) {
            char why[sizeof failure->text];
            snprintf(why, sizeof why, "%s", failure->text);
            snprintf(failure->text, sizeof failure->text, "power loss number %u: %.800s",
                     losses + 1, why);
        }
    } else {
        vfs_destroy(next.world);
    }
    if (agrees && counts && losses == 1 && random_below(&found.random, 4) == 0)
        agrees = go_on(&found, counts, failure);
    found.is_damaged = !agrees || run->skipped_site;
    store_run_release(&found);
    return agrees;
}

bool store_run_lose_power(const struct store_run *run, enum vfs_power_loss mode, uint64_t seed,
                          struct store_loss_counts *counts, struct engine_failure *failure)
{
    static const char *const modes[] = {"unsynced is lost", "all is kept", "torn", "reordered"};
    size_t min = mode == VFS_KEEP_ALL ? run->written : run->synced;
    /* Replies that passed the gate: of `always` for good, of the others unless the power goes. */
    if ((run->policy == POLICY_ALWAYS || mode == VFS_KEEP_ALL) && run->replied > min)
        min = run->replied;
    if (counts)
        counts->losses++;
    struct vfs *world = vfs_memory_after_power_loss(run->memory, mode, seed);
    size_t power_min = run->policy == POLICY_ALWAYS && run->replied > run->synced ? run->replied
                                                                                  : run->synced;
    if (recover(run, world, run->digests, min, run->count - 1,
                mode == VFS_KEEP_ALL ? power_min : SIZE_MAX, seed, 1, counts, failure))
        return true;
    char why[sizeof failure->text];
    snprintf(why, sizeof why, "%s", failure->text);
    snprintf(failure->text, sizeof failure->text, "power loss, %s, seed %llu: %.800s", modes[mode],
             (unsigned long long)seed, why);
    return false;
}

/* ---- The storm ----------------------------------------------------------------------------- */

struct strikes {
    struct store_run *run;
    struct random random;
    struct store_loss_counts *counts;
    struct engine_failure *failure;
};

static void strike(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct strikes *strikes = context;
    if (strikes->failure->text[0])
        return;
    strikes->counts->points++;
    strikes->counts->recycled += call == VFS_CALL_RENAME && strstr(path, ".wal") != NULL;
    bool is_sync = call == VFS_CALL_SYNC || call == VFS_CALL_SYNC_DIRECTORY;
    bool survived = true;
    for (int mode = VFS_LOSE_UNSYNCED; survived && mode <= VFS_REORDER; mode++)
        if (is_sync || random_below(&strikes->random, 4) == 0)
            survived = store_run_lose_power(strikes->run, (enum vfs_power_loss)mode,
                                            random_next(&strikes->random), strikes->counts,
                                            strikes->failure);
    if (survived)
        return;
    char why[sizeof strikes->failure->text];
    snprintf(why, sizeof why, "%s", strikes->failure->text);
    snprintf(strikes->failure->text, sizeof strikes->failure->text,
             "before call %d on %.60s (site %.40s), commands %zu, synced %zu: %.700s", (int)call,
             path, site ? site : "-", strikes->run->count - 1, strikes->run->synced, why);
}

/* The state of a new store, known before the first open is struck. */
static uint64_t empty_digest(void)
{
    struct store_run run;
    struct lsm_report report = {""};
    store_run_init(&run, NULL, POLICY_NO, 1);
    if (store_run_open(&run, &report) != STATUS_OK)
        abort();
    uint64_t digest = observe(&run);
    store_run_release(&run);
    return digest;
}

void store_storm_run(const struct store_storm *storm, struct store_loss_counts *counts,
                     struct engine_failure *failure, struct lsm_stats *stats)
{
    struct store_run run;
    struct lsm_report report = {""};
    struct strikes strikes = {.run = &run, .counts = counts, .failure = failure};
    *counts = (struct store_loss_counts){0};
    random_init(&strikes.random, storm->seed + 1);
    store_run_init(&run, NULL, storm->policy, storm->seed);
    run.skipped_site = storm->skipped_site;
    run.is_damaged = storm->skipped_site != NULL;
    vfs_fault_skip_sync(run.fault, storm->skipped_site);
    run.digests = memory_zeroed(64, sizeof *run.digests);
    run.ends = memory_zeroed(64, sizeof *run.ends);
    run.replies = memory_zeroed(64, sizeof *run.replies);
    run.digests[run.count++] = empty_digest();
    vfs_fault_watch(run.fault, STRUCK_CALLS, strike, &strikes);
    bool going = store_run_open(&run, &report) == STATUS_OK ||
                 engine_fail(failure, STATUS_OK, "first open: %.900s", report.text);
    for (unsigned step = 0; going && step < storm->steps; step++)
        going = store_run_step(&run, failure) && !failure->text[0];
    if (run.store)
        lsm_get_stats(store_engine(run.store), stats);
    vfs_fault_watch(run.fault, 0, NULL, NULL);
    store_run_release(&run);
}
