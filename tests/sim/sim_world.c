/* SPDX-License-Identifier: MIT */
/* The world of a run: clock, randomness, the host of a service, crashes that are armed, faults. */
#include "sim/sim_state.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- The world ------------------------------------------------------------------------------- */

static uint64_t sim_wall_ms(void *context)
{
    return ((struct sim *)context)->model.now_ms;
}

static uint64_t sim_monotonic_us(void *context)
{
    return ++((struct sim *)context)->monotonic_us;
}

static void sim_random_bytes(void *context, void *data, size_t size)
{
    struct sim *sim = context;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)random_next(&sim->entropy);
}

static void sim_log(void *context, enum log_level level, const char *line)
{
    struct sim *sim = context;
    (void)level;
    if (sim->options->trace)
        printf("    log: %s\n", line);
}

void sim_world_init(struct sim *sim, struct vfs *memory)
{
    sim->memory = memory;
    sim->vfs = vfs_fault_create(memory);
    vfs_fault_on_failed_sync(sim->vfs, vfs_memory_lose_unsynced);
    sim->env = (struct env){
        sim->vfs, sim_wall_ms, sim_monotonic_us, sim_random_bytes, sim_log, sim,
    };
}

static void strike_now(void *context, enum vfs_call call, const char *path, const char *site)
{
    struct strike *strike = context;
    (void)call;
    (void)path;
    (void)site;
    if (strike->countdown == 0 || --strike->countdown > 0)
        return;
    if (strike->sim)
        strike->promise = sim_promised_now(strike->sim);
    strike->world = vfs_memory_after_power_loss(strike->memory, strike->mode, strike->seed);
}

enum vfs_power_loss sim_pick_loss(struct sim *sim)
{
    static const enum vfs_power_loss modes[] = {VFS_KEEP_ALL, VFS_LOSE_UNSYNCED, VFS_TEAR,
                                                VFS_REORDER};
    return modes[below(sim, 4)];
}

void sim_strike_cancel(struct sim *sim)
{
    vfs_destroy(sim->strike.world);
    sim->strike = (struct strike){0};
    vfs_fault_watch(sim->vfs, 0, NULL, NULL);
}

void sim_strike_arm(struct sim *sim, uint64_t calls, bool serving)
{
    static const enum vfs_call rare[] = {VFS_CALL_SYNC_DIRECTORY, VFS_CALL_SYNC_DIRECTORY,
                                         VFS_CALL_SYNC,           VFS_CALL_RENAME,
                                         VFS_CALL_REMOVE,         VFS_CALL_TRUNCATE};
    sim_strike_cancel(sim);
    sim->strike = (struct strike){.memory = sim->memory,
                                  .countdown = 1 + below(sim, calls),
                                  .mode = sim_pick_loss(sim),
                                  .seed = random_next(&sim->random),
                                  .sim = serving ? sim : NULL};
    unsigned mask = VFS_CALLS_CHANGING;
    if (one_in(sim, 2)) /* just before a rare call, often enough */
        mask = 1u << rare[below(sim, sizeof rare / sizeof *rare)];
    if (mask != VFS_CALLS_CHANGING && calls > 3)
        sim->strike.countdown = 1 + sim->strike.countdown % 3;
    vfs_fault_watch(sim->vfs, mask, strike_now, &sim->strike);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

void sim_fault_disarm(struct sim *sim)
{
    sim->fault.armed = false;
    vfs_fault_fail(sim->vfs, 0, 0, STATUS_OK, false);
}

/* The n-th call from now on fails. */
static void arm(struct sim *sim, const struct fault *fault, uint64_t n, enum vfs_fault_form form)
{
    sim->fault = *fault;
    sim->fault.armed = true;
    vfs_fault_set_form(sim->vfs, form);
    count(sim, sim->fault.for_good ? SIM_FAULT_GOOD : SIM_FAULT_ONCE);
    vfs_fault_fail(sim->vfs, sim->fault.calls, n, sim->fault.error, sim->fault.for_good);
    sim_note(sim, "fault: calls %x, the %" PRIu64 "th, form %d, %s%s", sim->fault.calls, n,
             (int)form, status_text(sim->fault.error), sim->fault.for_good ? ", for good" : "");
}

void sim_fault_arm(struct sim *sim)
{
    static const enum vfs_call calls[] = {
        VFS_CALL_OPEN,   VFS_CALL_READ,     VFS_CALL_READ,           VFS_CALL_READ,
        VFS_CALL_WRITE,  VFS_CALL_WRITE,    VFS_CALL_WRITE,          VFS_CALL_SYNC,
        VFS_CALL_SYNC,   VFS_CALL_TRUNCATE, VFS_CALL_REMOVE,         VFS_CALL_RENAME,
        VFS_CALL_LINK,   VFS_CALL_LIST,     VFS_CALL_SYNC_DIRECTORY, VFS_CALL_SIZE,
        VFS_CALL_EXISTS, VFS_CALL_LOCK,     VFS_CALL_FREE_BYTES,
    };
    uint64_t n = 1 + below(sim, one_in(sim, 3) ? 40 : 8);
    const struct fault fault = {.for_good = one_in(sim, 3),
                                .calls = 1u << calls[below(sim, sizeof calls / sizeof *calls)],
                                .error = one_in(sim, 3) ? STATUS_NO_SPACE : STATUS_IO};
    arm(sim, &fault, n, (enum vfs_fault_form)below(sim, VFS_FAULT_ENDS + 1));
}

void sim_fault_arm_sync(struct sim *sim)
{
    /* The log's is the first; a flush of several trees ends with the manifest's, some syncs later. */
    const struct fault fault = {.calls = 1u << VFS_CALL_SYNC, .error = STATUS_IO};
    arm(sim, &fault, 1 + below(sim, one_in(sim, 2) ? 2 : 6), VFS_FAULT_NOTHING);
}

/* What only looks is not to be failed. */
void sim_fault_pause(struct sim *sim)
{
    vfs_fault_fail(sim->vfs, 0, 0, STATUS_OK, false);
}

void sim_fault_go_on(struct sim *sim)
{
    if (sim->fault.armed)
        vfs_fault_fail(sim->vfs, sim->fault.calls, sim->fault.for_good ? 1 : 1 + below(sim, 20),
                       sim->fault.error, sim->fault.for_good);
}

bool sim_engine_is_read_only(struct sim *sim)
{
    struct lsm_stats stats;
    lsm_get_stats(engine(sim), &stats);
    return stats.read_only;
}
