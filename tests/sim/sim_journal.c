/* SPDX-License-Identifier: MIT */
/* The states after every write, what of them is promised, and which one a store holds. */
#include "sim/sim_state.h"

#include "base/memory.h"
#include "types/store_check.h"

#include <inttypes.h>

/* ---- The journal ----------------------------------------------------------------------------- */

static void push_write(struct sim *sim, lsn_t end)
{
    if (sim->write_count == sim->write_capacity) {
        sim->write_capacity = 2 * sim->write_capacity + 64;
        sim->writes = memory_resize(sim->writes, sim->write_capacity * sizeof *sim->writes);
    }
    model_state_copy(&sim->model.state, &sim->writes[sim->write_count].state);
    sim->writes[sim->write_count++].end = end;
    sim->model.write_number = sim->write_count;
}

void sim_commit(struct sim *sim)
{
    if (sim->model.changed)
        push_write(sim, lsm_visible_lsn(engine(sim)));
    sim->model.changed = false;
}

void sim_become(struct sim *sim, size_t index)
{
    struct model_state state;
    model_state_copy(&sim->writes[index].state, &state);
    model_state_release(&sim->model.state);
    sim->model.state = state;
}

/* The state that the model is in becomes the first one. */
void sim_forget_writes(struct sim *sim)
{
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++)
            sim->model.state.slots[d][k].changed = 0;
    for (size_t i = 0; i < sim->write_count; i++)
        model_state_release(&sim->writes[i].state);
    sim->write_count = 0;
    sim->received_durable = sim->received_written = 0;
    push_write(sim, 0);
}

size_t sim_writes_below(const struct sim *sim, lsn_t lsn)
{
    size_t index = sim->write_count - 1;
    while (index > 0 && sim->writes[index].end > lsn)
        index--;
    return index;
}

/* What the engine says that is durable and written, and what replies have promised. */
static struct promise promised(const struct sim *sim, lsn_t durable, lsn_t written)
{
    size_t power = greater(sim_writes_below(sim, durable), sim->received_durable);
    size_t kill = greater(sim_writes_below(sim, written), sim->received_written);
    return (struct promise){greater(kill, power), power};
}

struct promise sim_promised_now(struct sim *sim)
{
    return promised(sim, lsm_durable_lsn(engine(sim)), lsm_written_lsn(engine(sim)));
}

/* ---- Looking at the whole store -------------------------------------------------------------- */

static void look(struct sim *sim, const char *when)
{
    struct sim_reason reason = {""};
    sim_fault_pause(sim);
    if (!observe(sim->store, &sim->observed, &reason))
        sim_fail(sim, "%s: %s", when, reason.text);
    sim_fault_go_on(sim);
}

/* The newest state from `min` to `max` that the store holds. */
size_t sim_find_state(struct sim *sim, size_t min, size_t max, const char *when)
{
    look(sim, when);
    for (size_t i = max + 1; i-- > min;)
        if (observed_is(&sim->observed, &sim->writes[i].state))
            return i;
    struct sim_reason reason = {""};
    for (size_t i = min; i-- > 0;)
        if (observed_is(&sim->observed, &sim->writes[i].state))
            sim_fail(
                sim,
                "%s: writes are lost: %zu were made, %zu must be there, %zu are (received: %" PRIu64
                " under always, %" PRIu64 " otherwise)",
                when, sim->write_count - 1, min, i, sim->received_durable, sim->received_written);
    observed_explain(&sim->observed, &sim->writes[max].state, &reason);
    sim_fail(sim,
             "%s: the store holds none of the states after write %zu to %zu; against the last: %s",
             when, min, max, reason.text);
}

void sim_check_state(struct sim *sim, const char *when)
{
    struct sim_reason reason = {""};
    count(sim, SIM_CHECKED);
    look(sim, when);
    if (observed_is(&sim->observed, &sim->model.state))
        return;
    observed_explain(&sim->observed, &sim->model.state, &reason);
    sim_fail(sim, "%s: %s", when, reason.text);
}

void sim_check_invariants(struct sim *sim)
{
    struct lsm_report report = {""};
    count(sim, SIM_INVARIANTS);
    sim_fault_pause(sim);
    if (lsm_check_invariants(engine(sim), &report) != STATUS_OK)
        sim_fail(sim, "the engine's invariants: %s", report.text);
    enum status status = store_check(sim->store, &report);
    if (status)
        sim_fail(sim, "the store's invariants: %s: %s", status_text(status), report.text);
    sim_fault_go_on(sim);
}

void sim_remove_if_gone(struct sim *sim, unsigned database, unsigned key)
{
    look(sim, "a key whose time is over");
    if (sim->observed.hashes[database][key] != 0)
        return;
    sim->model.changed = false;
    model_expire(&sim->model, database, key);
    sim_commit(sim);
}

/* A command was refused, or active expiry cut short: what it met and deleted before is found out. */
void sim_settle_doubt(struct sim *sim)
{
    sim->doubtful = false;
    look(sim, "after a refused command");
    for (unsigned d = 0; d < MODEL_DATABASES; d++)
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            const struct model_slot *slot = model_slot(&sim->model, d, k);
            bool due = slot->expire_ms && sim->model.now_ms > slot->expire_ms;
            if (slot->value && due && sim->observed.hashes[d][k] == 0)
                model_remove(&sim->model, d, k);
        }
    sim_commit(sim);
    sim_check_state(sim, "after a refused command");
}
