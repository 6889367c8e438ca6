/* SPDX-License-Identifier: MIT */
/* A step is one thing that the host of a store does: it feeds a session, sends what may be sent, syncs
 * the log, lends the engine a moment, loses power.
 *
 *      journal   [0] base   [1] after the first write   [2] ...             [n] now
 *                              ^ received: replies that left need this one
 *                                           ^ durable: the engine says it is synced
 *
 * After a crash the store must hold one of the states from the later of these two on; whichever it
 * is becomes the new base. */
#include "sim/sim_state.h"

#include "base/memory.h"
#include "types/store_check.h"

#include <inttypes.h>
#include <stdio.h>

static const uint64_t WALL_MS_AT_START = 1700000000000;
static const char *const policy_names[] = {"always", "everysec", "no"};

/* ---- Other steps ----------------------------------------------------------------------------- */

static void step_client(struct sim *sim)
{
    sim_client_step(sim, &sim->clients[below(sim, sim->client_count)]);
}

static void note_progress(struct sim *sim)
{
    struct lsm_stats stats;
    lsm_get_stats(engine(sim), &stats);
    sim->counts->events[SIM_FLUSHED] += stats.flush_count - sim->flushes;
    sim->counts->events[SIM_COMPACTED] += stats.compaction_count - sim->compactions;
    if (stats.wal_bytes_written < stats.wal_bytes_logged)
        count(sim, SIM_COMPRESSED);
    sim->flushes = stats.flush_count;
    sim->compactions = stats.compaction_count;
}

static void step_work(struct sim *sim)
{
    size_t budget = (size_t)1 << below(sim, 18);
    uint64_t rounds = one_in(sim, 12) ? WORK_ROUNDS_MAX : 1 + below(sim, 4);
    sim_note(sim, "work, budget %zu", budget);
    for (uint64_t i = 0; i < rounds && lsm_work(engine(sim), budget); i++)
        count(sim, SIM_WORK);
}

static void work_until_idle(struct sim *sim)
{
    for (uint64_t i = 0; i < WORK_ROUNDS_MAX && lsm_work(engine(sim), 1 << 16); i++)
        count(sim, SIM_WORK);
}

static void step_request(struct sim *sim)
{
    if (one_in(sim, 4)) {
        sim_note(sim, "request a merge");
        count(sim, SIM_COMPACT_ASKED);
        lsm_request_compact(engine(sim));
    } else {
        sim_note(sim, "request a flush");
        lsm_request_flush(engine(sim));
    }
}

/* What any step may have brought about. */
static void after_step(struct sim *sim)
{
    if (sim->strike.world) {
        sim_crash_inside(sim);
        return;
    }
    if (!sim->read_only && sim_engine_is_read_only(sim))
        sim_go_read_only(sim);
    if (sim->doubtful)
        sim_settle_doubt(sim);
    note_progress(sim);
    for (size_t i = 0; i < sim->client_count; i++)
        if (sim->clients[i].session)
            sim_check_blocked(sim, &sim->clients[i]);
}

static bool needs_after_step(struct sim *sim)
{
    return sim->strike.world || sim->doubtful || sim_engine_is_read_only(sim);
}

static void step_rotate(struct sim *sim)
{
    sim_end_log_at_segment(sim);
    if (one_in(sim, 2)) {
        lsm_request_flush(engine(sim));
        work_until_idle(sim);
    }
}

/* Each round leaves a segment behind that the flush gives back: after some of them the log comes to
 * one that it has used before, with its old frames in it, and then perhaps ends at its start. */
static void step_go_round(struct sim *sim)
{
    sim_note(sim, "the log goes round");
    for (uint64_t left = 3 + below(sim, 5); left > 0; left--) {
        for (uint64_t i = 1 + below(sim, 4); i > 0; i--) {
            sim_client_step(sim, &sim->clients[below(sim, sim->client_count)]);
            if (needs_after_step(sim))
                return;
        }
        step_rotate(sim);
        if (needs_after_step(sim))
            return;
    }
    if (one_in(sim, 2))
        sim_step_crash(sim);
}

/* A sync fails, of the log or of what background work makes. Then the process may end, and the next one
 * finds in the system's memory what is not on the medium and never will be; then the power goes. */
static void step_failed_sync(struct sim *sim)
{
    sim_note(sim, "a sync is to fail");
    if (sim->read_only || sim->fault.armed || sim->disk_is_full)
        return;
    count(sim, SIM_FAILED_SYNC);
    sim_fault_arm_sync(sim);
    for (uint64_t i = 1 + below(sim, 4); i > 0 && !needs_after_step(sim); i--)
        step_client(sim);
    if (!needs_after_step(sim) && one_in(sim, 2)) {
        lsm_request_flush(engine(sim));
        work_until_idle(sim);
    } else if (!needs_after_step(sim)) {
        sim_step_sync(sim);
    }
    after_step(sim);
    uint64_t end = below(sim, 3);
    if (end == 0)
        sim_crash(sim, VFS_KEEP_ALL);
    else if (end == 1)
        sim_step_restart(sim);
    for (uint64_t i = below(sim, 4); i > 0 && !needs_after_step(sim); i--)
        step_client(sim);
    after_step(sim);
    if (one_in(sim, 2))
        sim_step_crash(sim);
}

static void wake_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++)
        if (sim->clients[i].session && session_state(sim->clients[i].session) == SESSION_BLOCKED)
            sim->clients[i].woken = true;
}

static void step_clock(struct sim *sim)
{
    static const uint64_t jumps[] = {1, 3, 20, 100, 100, 1500, 20000, 60000};
    uint64_t jump_ms = 1 + below(sim, jumps[below(sim, 8)]);
    if (one_in(sim, 6) && sim->model.now_ms > WALL_MS_AT_START + 60000) {
        count(sim, SIM_BACKWARDS);
        sim_note(sim, "clock -%" PRIu64, jump_ms);
        sim->model.now_ms -= jump_ms;
        wake_all(sim); /* a stream whose time was over is there again; nobody has to notice */
        return;
    }
    count(sim, SIM_FORWARDS);
    sim_note(sim, "clock +%" PRIu64, jump_ms);
    sim->model.now_ms += jump_ms;
    sim->monotonic_us += jump_ms * 1000;
}

/* One at rest, of a database (MODEL_DATABASES: of any); else one that waits, and not in line, leaves and comes again. */
static struct client *client_at_rest(struct sim *sim, unsigned database)
{
    struct client *found = NULL;
    for (size_t i = 0; i < sim->client_count; i++) {
        struct client *client = &sim->clients[i];
        if ((database == MODEL_DATABASES || client->database == database) &&
            sim_client_is_at_rest(client))
            return client;
        if (!client->json && !client->line && session_state(client->session) == SESSION_BLOCKED)
            found = client;
    }
    if (!found || (database != MODEL_DATABASES && database != 0))
        return NULL;
    sim_client_reconnect(sim, found);
    return found;
}

/* Somebody gets what he waits for, in time or too late to hear of it before his time is over; his reply leaves, or
 * does not; then the power may go. */
static void step_hand_over(struct sim *sim)
{
    struct client *waiter = sim_line_pick(sim), *next = NULL;
    sim_note(sim, "hand over");
    if (!waiter && (next = client_at_rest(sim, MODEL_DATABASES))) {
        sim_client_wait(sim, next);
        waiter = needs_after_step(sim) ? NULL : sim_line_pick(sim);
    }
    struct client *pusher = waiter ? client_at_rest(sim, waiter->database) : NULL;
    if (!pusher)
        return;
    if (one_in(sim, 2)) { /* nothing older is held back then */
        sim_step_sync(sim);
        sim_step_send(sim);
    }
    if (needs_after_step(sim))
        return;
    sim_client_push_for(sim, pusher, waiter);
    if (needs_after_step(sim))
        return;
    uint64_t deadline_us = session_deadline_us(waiter->session);
    if (deadline_us > sim->monotonic_us && one_in(sim, 3)) {
        uint64_t jump_ms = (deadline_us - sim->monotonic_us) / 1000 + 1;
        sim->model.now_ms += jump_ms;
        sim->monotonic_us += jump_ms * 1000;
    }
    if (!one_in(sim, 4))
        sim_client_step(sim, waiter);
    if (!needs_after_step(sim) && !one_in(sim, 4))
        sim_step_send(sim);
    if (!needs_after_step(sim) && one_in(sim, sim->policy == ALWAYS ? 2 : 20))
        sim_step_crash(sim);
}

/* Somebody watches keys, others do what they do, and he ends a transaction. */
static void step_watch(struct sim *sim)
{
    struct client *client = client_at_rest(sim, MODEL_DATABASES);
    sim_note(sim, "watch");
    if (!client)
        return;
    sim_client_watch(sim, client);
    for (uint64_t i = below(sim, 4); i > 0 && !needs_after_step(sim); i--) {
        struct client *other = &sim->clients[below(sim, sim->client_count)];
        if (other != client)
            sim_client_step(sim, other);
    }
    if (!needs_after_step(sim) && sim_client_is_at_rest(client))
        sim_client_transact(sim, client);
}

static void step_expire(struct sim *sim)
{
    unsigned rounds = 0;
    sim_note(sim, "expire");
    count(sim, SIM_EXPIRE);
    before_call(sim);
    while (service_expire(sim->service) && rounds++ < 100)
        ;
    if (sim_is_faulty(sim)) {
        sim->doubtful = true;
        return;
    }
    sim->model.changed = false;
    model_expire_all(&sim->model);
    sim_commit(sim);
}

static void step_picture(struct sim *sim)
{
    struct sim_reason reason = {""};
    struct picture **picture = &sim->pictures[below(sim, PICTURES_MAX)];
    bool agrees = true;
    sim_fault_pause(sim);
    if (!*picture) {
        sim_note(sim, "take a picture");
        count(sim, SIM_PICTURE);
        if (one_in(sim, 3))
            sim_check_state(sim, "before a snapshot");
        sim_fault_pause(sim);
        *picture = picture_take(engine(sim), &reason);
        agrees = *picture != NULL;
    } else if (one_in(sim, 2)) {
        sim_note(sim, "move an iterator");
        count(sim, SIM_MOVED);
        agrees = picture_move(*picture, &sim->random, &reason);
    } else {
        sim_note(sim, "compare a picture of %zu records", picture_count(*picture));
        count(sim, SIM_COMPARED);
        agrees = picture_compare(*picture, &sim->random, &reason);
        if (agrees && one_in(sim, 3)) {
            picture_release(*picture);
            *picture = NULL;
        }
    }
    if (!agrees)
        sim_fail(sim, "%s", reason.text);
    sim_fault_go_on(sim);
}

/* Background work alone changes nothing that can be read. */
static void step_work_under_picture(struct sim *sim)
{
    struct sim_reason reason = {""};
    sim_note(sim, "work under a picture");
    if (sim->read_only || sim->fault.armed || sim->disk_is_full)
        return;
    before_call(sim);
    sim_expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
    struct picture *picture = picture_take(engine(sim), &reason);
    if (one_in(sim, 4))
        lsm_request_compact(engine(sim));
    else if (one_in(sim, 2))
        lsm_request_flush(engine(sim));
    work_until_idle(sim);
    count(sim, SIM_COMPARED);
    if (!picture || !picture_compare(picture, &sim->random, &reason))
        sim_fail(sim, "after work: %s", reason.text);
    picture_release(picture);
}

static void step_check(struct sim *sim)
{
    sim_note(sim, "check");
    sim_check_state(sim, "in the middle of a run");
    if (one_in(sim, 3))
        sim_check_invariants(sim);
}

static void step_strike(struct sim *sim)
{
    sim_note(sim, "arm a crash");
    sim_strike_arm(sim, one_in(sim, 2) ? 20 : 200, true);
}

static void step_fault(struct sim *sim)
{
    if (sim->fault.armed) {
        sim_note(sim, "faults end");
        sim_fault_disarm(sim);
    } else if (sim->disk_is_full) {
        sim_note(sim, "room on the disk");
        vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
        sim->disk_is_full = false;
    } else if (one_in(sim, 4)) {
        uint64_t bytes = below(sim, 100000);
        sim_note(sim, "%" PRIu64 " bytes left on the disk", bytes);
        count(sim, SIM_FULL);
        vfs_fault_set_free_bytes(sim->vfs, bytes);
        sim->disk_is_full = true;
    } else {
        sim_fault_arm(sim);
    }
}

static void step_policy(struct sim *sim)
{
    if (sim->read_only)
        return;
    /* What the old policy let go has gone: it does not count as acknowledged by the new one. */
    for (size_t i = 0; i < sim->client_count; i++)
        sim_client_send(sim, &sim->clients[i], true);
    enum policy before = sim->policy;
    sim->policy = (enum policy)below(sim, 3);
    if (sim->policy == ALWAYS && before != ALWAYS)
        sim->acked_floor = lsm_written_lsn(engine(sim));
    sim_note(sim, "policy %s", policy_names[sim->policy]);
    count(sim, SIM_POLICY);
    lsm_set_ack_durable(engine(sim), sim->policy == ALWAYS);
}

static void step_idle(struct sim *sim)
{
    sim_note(sim, "idle");
    count(sim, SIM_IDLE);
    service_thread_idle(sim->service);
}

static void step_mood(struct sim *sim)
{
    sim->mood.gentle = !one_in(sim, 3);
    sim_note(sim, "mood: %s", sim->mood.gentle ? "gentle" : "rough");
}

static void note_name(void *context, const char *name)
{
    struct buffer *names = context;
    buffer_append(names, name, strlen(name) + 1);
}

static void remove_directory(struct sim *sim, const char *directory)
{
    struct vfs *vfs = sim->vfs;
    struct buffer names = {0};
    char path[512];
    if (vfs->ops->list(vfs, directory, note_name, &names) != STATUS_OK)
        sim_fail(sim, "listing %s", directory);
    for (size_t at = 0; at < names.size; at += strlen((const char *)names.data + at) + 1) {
        snprintf(path, sizeof path, "%s/%s", directory, (const char *)names.data + at);
        (void)vfs_remove(vfs, path); /* what stays is in nobody's way */
    }
    (void)vfs->ops->remove_directory(vfs, directory); /* the same */
    buffer_release(&names);
}

/* A checkpoint is a store of its own that holds what the model holds. */
static void check_checkpoint(struct sim *sim, const char *directory)
{
    struct store *store = NULL;
    struct lsm_report report = {""};
    struct sim_reason reason = {""};
    enum status status = store_open(&sim->env, directory, &sim->store_options, &report, &store);
    if (status)
        sim_fail(sim, "opening a checkpoint: %s: %s", status_text(status), report.text);
    if (!observe(store, &sim->observed, &reason))
        sim_fail(sim, "a checkpoint: %s", reason.text);
    if (!observed_is(&sim->observed, &sim->model.state)) {
        observed_explain(&sim->observed, &sim->model.state, &reason);
        sim_fail(sim, "a checkpoint: %s", reason.text);
    }
    status = lsm_check_invariants(store_engine(store), &report);
    if (!status)
        status = store_check(store, &report);
    if (status)
        sim_fail(sim, "a checkpoint's invariants: %s", report.text);
    status = store_close(store);
    if (!status)
        status = lsm_verify(&sim->env, directory, store_codecs, NULL, NULL);
    if (status)
        sim_fail(sim, "closing and verifying a checkpoint: %s", status_text(status));
}

static void step_checkpoint(struct sim *sim)
{
    char directory[64];
    struct lsm_report report = {""};
    snprintf(directory, sizeof directory, "/checkpoint-%" PRIu64, sim->step);
    sim_note(sim, "checkpoint");
    before_call(sim);
    enum status status = lsm_checkpoint(engine(sim), directory, &report);
    if (status && !sim_is_faulty(sim))
        sim_fail(sim, "a checkpoint: %s: %s", status_text(status), report.text);
    if (status || sim->disk_is_full)
        return;
    count(sim, SIM_CHECKPOINT);
    sim_fault_pause(sim);
    check_checkpoint(sim, directory);
    remove_directory(sim, directory);
    sim_fault_go_on(sim);
}

static const struct {
    void (*run)(struct sim *sim);
    unsigned weight; /* a share of steps */
    bool always;     /* in every seed */
} steps[] = {
    {step_client, 600, true},
    {sim_step_send, 130, true},
    {sim_step_sync, 40, false},
    {step_work, 70, true},
    {step_request, 12, false},
    {step_clock, 40, true},
    {step_hand_over, 60, true},
    {step_watch, 15, true},
    {step_expire, 12, false},
    {step_picture, 30, false},
    {step_check, 10, true},
    {sim_step_restart, 5, false},
    {sim_step_crash, 8, false},
    {step_strike, 8, false},
    {step_fault, 6, false},
    {step_failed_sync, 4, false},
    {step_policy, 3, false},
    {step_idle, 10, false},
    {step_mood, 4, true},
    {step_work_under_picture, 10, false},
    {step_rotate, 6, false},
    {step_checkpoint, 3, false},
    {step_go_round, 10, false},
};
enum { STEP_KINDS = sizeof steps / sizeof *steps };

/* ---- A run ----------------------------------------------------------------------------------- */

/* Seeds differ in what happens in them at all, and how often. */
static void pick_weights(struct sim *sim)
{
    for (unsigned i = 0; i < STEP_KINDS; i++) {
        static const unsigned factors[] = {0, 1, 1, 4};
        unsigned factor = factors[below(sim, 4)];
        sim->weights[i] = steps[i].weight * (steps[i].always ? 1 : factor);
    }
}

static void run_step(struct sim *sim)
{
    unsigned total = 0, kind = 0;
    for (unsigned i = 0; i < STEP_KINDS; i++)
        total += sim->weights[i];
    uint64_t choice = below(sim, total);
    while (choice >= sim->weights[kind])
        choice -= sim->weights[kind++];
    steps[kind].run(sim);
}

static void begin(struct sim *sim)
{
    random_init(&sim->random, sim->options->seed);
    random_init(&sim->entropy, sim->options->seed ^ 0x5eed);
    random_init(&sim->log, sim->options->seed ^ 0x109);
    sim_world_init(sim, vfs_memory_create());
    sim->model.now_ms = WALL_MS_AT_START;
    sim->client_count = 1 + below(sim, CLIENTS_MAX);
    for (size_t i = 0; i < sim->client_count; i++)
        sim->clients[i].json = i > 0 && one_in(sim, 4);
    sim->mood = (struct sim_mood){
        .gentle = true, .large = one_in(sim, 2), .keys = 3 + 3 * (unsigned)below(sim, 4)};
    sim_pick_options(sim);
    pick_weights(sim);
    sim_open_or_fail(sim);
    sim_forget_writes(sim);
    sim_serve(sim);
}

static void count_verify(void *context, const char *file, const char *finding)
{
    struct sim *sim = context;
    if (finding)
        sim_fail(sim, "verify: %s: %s", file, finding);
}

static void end(struct sim *sim)
{
    sim_note(sim, "the end");
    sim_strike_cancel(sim);
    sim_fault_disarm(sim);
    vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
    sim->disk_is_full = false;
    if (sim->read_only)
        sim_step_restart(sim);
    sim_fault_disarm(sim);
    sim_check_state(sim, "at the end");
    sim_check_invariants(sim);
    note_progress(sim);
    enum status status = sim_stop(sim);
    if (status)
        sim_fail(sim, "the last stop: %s", status_text(status));
    status = lsm_verify(&sim->env, "/db", store_codecs, count_verify, sim);
    if (status)
        sim_fail(sim, "verify: %s", status_text(status));
    count(sim, SIM_VERIFIED);
}

static void release(struct sim *sim)
{
    for (size_t i = 0; i < sim->write_count; i++)
        model_state_release(&sim->writes[i].state);
    memory_free(sim->writes);
    model_release(&sim->model);
    observed_release(&sim->observed);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        buffer_release(&sim->clients[i].unsent);
        buffer_release(&sim->clients[i].served);
    }
    vfs_destroy(sim->vfs);
    vfs_destroy(sim->memory);
    memory_free(sim);
}

uint64_t sim_run(const struct sim_options *options, struct sim_counts *counts)
{
    struct sim *sim = memory_zeroed(1, sizeof *sim);
    sim->options = options;
    sim->counts = counts;
    sim_report_begin(sim);
    begin(sim);
    for (sim->step = 1; sim->step <= options->steps; sim->step++) {
        sim->recent[sim->step % RECENT_STEPS][0] = 0;
        uint64_t failed = vfs_fault_failed_count(sim->vfs);
        run_step(sim);
        after_step(sim);
        if (vfs_fault_failed_count(sim->vfs) > failed)
            sim->counts->events[SIM_FAULT_FIRED] += vfs_fault_failed_count(sim->vfs) - failed;
        const char *line = sim->recent[sim->step % RECENT_STEPS];
        sim_hash_bytes(sim, line, strlen(line));
        sim_hash_number(sim, lsm_visible_lsn(engine(sim)));
        sim_hash_number(sim, lsm_durable_lsn(engine(sim)));
        sim_hash_number(sim, sim->monotonic_us);
        if (options->trace)
            printf("%s  [%016" PRIx64 "]\n", line, sim->hash);
    }
    end(sim);
    counts->seeds++;
    counts->steps += options->steps;
    uint64_t hash = sim->hash;
    sim_report_end();
    release(sim);
    return hash;
}
