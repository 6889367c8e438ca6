/* SPDX-License-Identifier: MIT */
/* WATCH. What changed a key is known, so EXEC must not be executed then; where no command that writes has named it,
 * EXEC must be. Between them are commands that write what was there, which may count or not. */
#include "sim/sim_state.h"

#include <assert.h>

void sim_watch_add(struct sim *sim, struct client *client, const struct model_command *command)
{
    for (size_t i = 0; i < command->key_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < client->watch_count; k++)
            is_known |= client->watches[k].database == client->database &&
                        client->watches[k].key == command->keys[i];
        if (is_known)
            continue;
        assert(client->watch_count < WATCHES_MAX);
        client->watches[client->watch_count++] = (struct sim_watch){
            .database = client->database,
            .key = command->keys[i],
            .since = sim->model.write_number,
            .was_there = model_is_there(&sim->model, client->database, command->keys[i])};
    }
}

static bool may_touch(const struct model_command *command, unsigned key)
{
    if (!command || command->kind == MODEL_SWAPDB || command->kind == MODEL_FLUSHDB ||
        command->kind == MODEL_FLUSHALL)
        return true;
    if (command->kind == MODEL_EXEC) {
        for (size_t i = 0; i < command->queued_count; i++)
            if (may_touch(&command->queued[i], key))
                return true;
        return false;
    }
    for (size_t i = 0; model_is_write(command->kind) && i < command->key_count; i++)
        if (command->keys[i] == key)
            return true;
    return false;
}

void sim_watch_note(struct sim *sim, const struct model_command *command)
{
    for (size_t i = 0; i < sim->client_count; i++)
        for (size_t k = 0; k < sim->clients[i].watch_count; k++) {
            struct sim_watch *watch = &sim->clients[i].watches[k];
            watch->is_unsure = watch->is_unsure || may_touch(command, watch->key);
        }
}

bool sim_watch_is_broken(struct sim *sim, struct client *client, struct slice reply)
{
    bool must = false, may = false, is_nothing = slice_equal(reply, slice_from("*-1\r\n"));
    for (size_t i = 0; i < client->watch_count; i++) {
        const struct sim_watch *watch = &client->watches[i];
        bool is_changed =
            model_slot(&sim->model, watch->database, watch->key)->changed >= watch->since;
        bool is_there = model_is_there(&sim->model, watch->database, watch->key);
        may = may || is_changed || watch->is_unsure || is_there != watch->was_there;
        must = must || (is_changed && (is_there || watch->was_there)) ||
               (watch->was_there && !is_there);
    }
    bool is_sure = !sim_is_faulty(sim);
    if (must && !is_nothing && is_sure)
        sim_fail(sim, "client %d: EXEC was executed although a watched key had changed",
                 (int)(client - sim->clients));
    if (is_nothing && !may && is_sure)
        sim_fail(sim, "client %d: EXEC was not executed although no watched key was named",
                 (int)(client - sim->clients));
    for (size_t i = 0; i < client->watch_count; i++) {
        const struct sim_watch *watch = &client->watches[i];
        /* EXEC looks at those that were there, or that a flush or a swap has met, until one is not as it was. What
         * else is gone now was removed by a command of the transaction, not before them all. */
        if ((watch->was_there || watch->is_unsure) &&
            model_slot(&sim->model, watch->database, watch->key)->value &&
            !model_is_there(&sim->model, watch->database, watch->key))
            sim_remove_if_gone(sim, watch->database, watch->key);
    }
    if (client->watch_count > 0)
        count(sim, is_nothing ? SIM_BROKEN : SIM_UNBROKEN);
    return is_nothing;
}
