/* SPDX-License-Identifier: MIT */
/* Starts, stops, crashes, and what must be there afterwards. */
#include "sim/sim_state.h"

#include "base/memory.h"

enum { RECOVERY_CALLS_MAX = 30 }; /* a second crash strikes within so many calls */

/* ---- Start and stop -------------------------------------------------------------------------- */

static void pictures_release(struct sim *sim)
{
    for (size_t i = 0; i < PICTURES_MAX; i++) {
        picture_release(sim->pictures[i]);
        sim->pictures[i] = NULL;
    }
}

void sim_pick_options(struct sim *sim)
{
    static const size_t memtables[] = {48 << 10, 96 << 10, 96 << 10, 256 << 10, 1 << 20};
    static const uint64_t segments[] = {32 << 10, 32 << 10, 64 << 10, 256 << 10};
    static const uint64_t tables[] = {8 << 10, 32 << 10, 32 << 10, 100 << 10};
    static const size_t caches[] = {16 << 10, 64 << 10, 256 << 10, 4 << 20};
    static const uint32_t blocks[] = {512, 1024, 1024, 4096, 16384};
    static const uint32_t filters[] = {1, 10, 10, 16};
    static const uint32_t builds[] = {1000, 5000, 40000, 0};
    sim->store_options = (struct store_options){
        .databases = 4,
        .memtable_bytes = memtables[below(sim, 5)],
        .wal_segment_bytes = segments[below(sim, 4)],
        .table_bytes_max = tables[below(sim, 4)],
        .block_cache_bytes = caches[below(sim, 4)],
        .block_bytes = blocks[below(sim, 5)],
        .filter_bits_per_key = filters[below(sim, 4)],
        .wal_compression = random_below(&sim->log, 2) ? LSM_WAL_LZ4 : LSM_WAL_PLAIN,
        .wal_page_bytes = 1u << random_below(&sim->log, 13),
        .cold_block_bytes = blocks[below(sim, 5)],
        .cold_level = 1 + (int)below(sim, 4),
        .build_bytes_max = builds[below(sim, 4)],
    };
    if (below(sim, 3) == 0 && lsm_has_zstd())
        sim->store_options.cold_compression = LSM_ZSTD;
    sim->policy = (enum policy)below(sim, 3);
}

static enum status open_store(struct sim *sim, struct lsm_report *report)
{
    sim->store_options.ack_durable = sim->policy == ALWAYS;
    return store_open(&sim->env, "/db", &sim->store_options, report, &sim->store);
}

void sim_open_or_fail(struct sim *sim)
{
    struct lsm_report report = {""};
    before_call(sim);
    enum status status = open_store(sim, &report);
    if (status && sim->fault.armed && vfs_fault_failed_count(sim->vfs) > sim->failed_before) {
        count(sim, SIM_FAULT_OPEN);
        sim_fault_disarm(sim);
        status = open_store(sim, &report);
    }
    if (status)
        sim_fail(sim, "opening the store: %s: %s", status_text(status), report.text);
}

static void host_wake(void *context, void *owner)
{
    (void)context;
    ((struct client *)owner)->woken = true;
}

static void host_shutdown(void *context, bool now)
{
    (void)context;
    (void)now;
}

static void host_disconnect(void *context, void *owner)
{
    (void)context;
    (void)owner;
}

static bool host_reload(void *context, struct lsm_report *report)
{
    (void)context;
    (void)report;
    return false;
}

void sim_serve(struct sim *sim)
{
    sim->config = config_create();
    sim->service = service_create(&sim->env, sim->store, sim->config,
                                  &(struct service_host){.wake = host_wake,
                                                         .shutdown = host_shutdown,
                                                         .disconnect = host_disconnect,
                                                         .reload = host_reload,
                                                         .context = sim});
    sim->read_only = sim->doubtful = false;
    sim->acked_floor = 0;
    sim->flushes = sim->compactions = 0;
    sim_clients_join(sim);
}

enum status sim_stop(struct sim *sim)
{
    sim_clients_leave(sim);
    pictures_release(sim);
    service_destroy(sim->service);
    config_destroy(sim->config);
    struct store *store = sim->store;
    sim->store = NULL;
    sim->strike.sim = NULL;
    return store_close(store);
}

/* The world as a crash left it takes the place of the old one. */
static void enter_world(struct sim *sim, struct vfs *world)
{
    sim_strike_cancel(sim);
    vfs_destroy(sim->vfs);
    vfs_destroy(sim->memory);
    sim_world_init(sim, world);
    sim->fault.armed = sim->disk_is_full = false;
}

/* Opens what a crash left, perhaps crashing again on the way. true: the power was lost then. */
static bool recover(struct sim *sim)
{
    bool lost_power = false;
    while (one_in(sim, 3)) {
        struct lsm_report report = {""};
        struct strike *strike = &sim->strike;
        sim_strike_arm(sim, RECOVERY_CALLS_MAX, false);
        before_call(sim);
        enum status status = open_store(sim, &report);
        if (status && vfs_fault_failed_count(sim->vfs) > sim->failed_before) {
            count(sim, SIM_FAULT_OPEN);
            sim_fault_disarm(sim);
            sim_strike_cancel(sim);
            continue;
        }
        if (status)
            sim_fail(sim, "opening the store after a crash: %s: %s", status_text(status),
                     report.text);
        strike->countdown = 0;
        if (strike->world)
            count(sim, SIM_AGAIN);
        struct vfs *world = strike->world;
        strike->world = NULL;
        (void)store_close(sim->store);
        sim->store = NULL;
        if (!world)
            break; /* a clean stop right after the recovery */
        sim_note(sim, "a crash in the recovery (mode %d)", (int)strike->mode);
        lost_power = lost_power || strike->mode != VFS_KEEP_ALL;
        enter_world(sim, world);
    }
    if (one_in(sim, 8))
        sim_fault_arm(sim);
    sim_open_or_fail(sim);
    sim_fault_disarm(sim);
    sim_strike_cancel(sim);
    return lost_power;
}

/* Opens and takes over whichever state is there. */
static void come_back(struct sim *sim, struct promise promise, bool lost_power, const char *when)
{
    lost_power = recover(sim) || lost_power;
    size_t found =
        sim_find_state(sim, lost_power ? promise.power : promise.kill, sim->write_count - 1, when);
    if (found + 1 < sim->write_count)
        count(sim, SIM_LOST);
    sim_note(sim, "back: write %zu of %zu", found, sim->write_count - 1);
    sim_become(sim, found);
    sim_forget_writes(sim);
    sim_serve(sim);
}

static void crash_into(struct sim *sim, struct vfs *world, enum vfs_power_loss mode,
                       struct promise promise)
{
    static const enum sim_event events[] = {SIM_LOSE, SIM_KILL, SIM_TEAR, SIM_REORDER};
    static const char *const names[] = {"power loss, unsynced gone", "kill", "power loss, torn",
                                        "power loss, reordered"};
    sim_note(sim, "%s", names[mode]);
    count(sim, events[mode]);
    (void)sim_stop(sim); /* of the world that is gone */
    enter_world(sim, world);
    if (one_in(sim, 2))
        sim_pick_options(sim);
    come_back(sim, promise, mode != VFS_KEEP_ALL, names[mode]);
}

/* The log ends where a segment begins, and nothing of its own is in that segment yet. */
void sim_end_log_at_segment(struct sim *sim)
{
    struct lsm_writer *writer = NULL;
    sim_note(sim, "the log ends at a segment");
    count(sim, SIM_ROTATE);
    before_call(sim);
    if (lsm_wal_rotate(engine(sim)) != STATUS_OK)
        return;
    lsm_lock(engine(sim));
    if (lsm_write_begin(engine(sim), 16, false, &writer) == STATUS_OK)
        (void)lsm_write_end(writer); /* empty: no batch */
    lsm_unlock(engine(sim));
    sim_expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
}

void sim_step_crash(struct sim *sim)
{
    if (one_in(sim, 4))
        sim_end_log_at_segment(sim);
    sim_crash(sim, sim_pick_loss(sim));
}

void sim_crash(struct sim *sim, enum vfs_power_loss mode)
{
    struct promise promise = sim_promised_now(sim);
    sim_strike_cancel(sim);
    crash_into(sim, vfs_memory_after_power_loss(sim->memory, mode, random_next(&sim->random)), mode,
               promise);
}

/* The crash that was armed has struck inside the last step. */
void sim_crash_inside(struct sim *sim)
{
    struct strike strike = sim->strike;
    count(sim, SIM_INSIDE);
    sim->strike.world = NULL;
    crash_into(sim, strike.world, strike.mode, strike.promise);
}

void sim_step_restart(struct sim *sim)
{
    bool was_read_only = sim->read_only;
    struct promise promise = sim_promised_now(sim);
    sim_note(sim, "restart");
    count(sim, SIM_RESTART);
    sim_strike_cancel(sim);
    before_call(sim);
    bool was_full = sim->disk_is_full;
    enum status status = sim_stop(sim);
    bool failed = was_full || vfs_fault_failed_count(sim->vfs) > sim->failed_before;
    if (status && !was_read_only && !failed)
        sim_fail(sim, "closing the store: %s", status_text(status));
    if (!status && !was_read_only && !failed)
        promise.kill = promise.power = sim->write_count - 1;
    if (one_in(sim, 2))
        sim_fault_disarm(sim);
    if (one_in(sim, 2))
        sim_pick_options(sim);
    vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
    sim->disk_is_full = false;
    come_back(sim, promise, false, "after a restart");
}

/* A write to the log has failed: what is not acknowledged is taken back, and nothing is written. */
void sim_go_read_only(struct sim *sim)
{
    sim_note(sim, "read-only");
    count(sim, SIM_READ_ONLY);
    sim_clients_leave(sim);
    pictures_release(sim);
    sim_fault_disarm(sim);
    sim->read_only = true;
    sim->doubtful = false;
    size_t min = greater(sim->received_durable, sim->received_written);
    lsn_t acked = sim_acked(sim);
    acked = acked > sim->acked_floor ? acked : sim->acked_floor;
    /* Writes of one call of a session share their end, so which of them the log took is not known. */
    size_t max = sim_writes_below(sim, acked);
    lsn_t end = max + 1 < sim->write_count ? sim->writes[max + 1].end : 0;
    while (acked > sim->writes[max].end && max + 1 < sim->write_count &&
           sim->writes[max + 1].end == end)
        max++;
    sim_become(sim, sim_find_state(sim, min, max, "after a failure of the log"));
    sim_clients_join(sim);
}
