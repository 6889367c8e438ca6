/* SPDX-License-Identifier: MIT */
/* Who waits for an element (BLPOP, BLMPOP, BLMOVE), first come first served.
 *
 *      client B: RPUSH k v        the model: the push, a write; the pop for the first in line, another one
 *      client A: (waits for k)    its reply is kept until the host resumes A, and compared then
 *
 * The store may leave somebody to itself instead, where a block is not in memory or a call fails: that is seen in the
 * session's state, and those behind it wait. */
#include "sim/sim_state.h"

#include "base/hash.h"
#include "commands/service_state.h"
#include "commands/serving.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { READY_MAX = 512 };

/* ---- The line -------------------------------------------------------------------------------- */

static bool is_in_place(const struct client *client)
{
    return client->line && !client->is_served && !client->told;
}

/* Which of its keys that is; its count: none. */
static size_t index_of(const struct client *client, unsigned key)
{
    const struct model_command *command = &client->queue[0];
    size_t index = 0;
    while (index < model_awaited_keys(command) && command->keys[index] != key)
        index++;
    return index;
}

struct client *sim_line_pick(struct sim *sim)
{
    size_t first = below(sim, sim->client_count);
    for (size_t i = 0; i < sim->client_count; i++) {
        struct client *client = &sim->clients[(first + i) % sim->client_count];
        if (is_in_place(client) && session_state(client->session) == SESSION_BLOCKED)
            return client;
    }
    return NULL;
}

static struct client *first_in_line(struct sim *sim, unsigned database, unsigned key)
{
    struct client *first = NULL;
    for (size_t i = 0; i < sim->client_count; i++) {
        struct client *client = &sim->clients[i];
        if (is_in_place(client) && client->database == database &&
            index_of(client, key) < model_awaited_keys(&client->queue[0]) &&
            (!first || client->line < first->line))
            first = client;
    }
    return first;
}

/* Who looked for an element and found none has removed what was due. */
static void remove_due(struct sim *sim, struct model_place place)
{
    sim->model.changed = false;
    model_expire(&sim->model, place.database, place.key);
    sim_commit(sim);
}

void sim_line_join(struct sim *sim, struct client *client)
{
    if (session_state(client->session) != SESSION_BLOCKED || client->queue_count == 0)
        return;
    client->waits = true;
    if (model_awaited_keys(&client->queue[0]) == 0)
        return;
    if (client->line == 0)
        client->line = ++sim->line_count;
    sim_line_look(sim, client);
    for (size_t i = 0; i < model_awaited_keys(&client->queue[0]) && !client->told; i++)
        if (!(client->queue[0].behind & 1u << i))
            remove_due(sim, (struct model_place){client->database, client->queue[0].keys[i]});
}

void sim_line_leave(struct client *client)
{
    client->line = 0;
    client->waits = client->is_served = false;
    client->told = TOLD_NOTHING;
    buffer_clear(&client->served);
}

void sim_line_look(struct sim *sim, struct client *client)
{
    struct model_command *command = &client->queue[0];
    command->behind = 0;
    for (size_t i = 0; i < model_awaited_keys(command); i++) {
        struct client *first = first_in_line(sim, client->database, command->keys[i]);
        if (first && first != client)
            command->behind |= 1u << i;
    }
}

/* ---- Serving --------------------------------------------------------------------------------- */

struct ready {
    struct model_place places[READY_MAX];
    size_t count;
};

static void add_ready(struct sim *sim, struct ready *ready, struct model_place place)
{
    if (ready->count == READY_MAX)
        sim_fail(sim, "too many keys to be served");
    ready->places[ready->count++] = place;
}

/* false: nothing was to be served to anybody there. */
static bool serve_first(struct sim *sim, struct model_place place, struct ready *ready)
{
    struct model *model = &sim->model;
    struct client *first = first_in_line(sim, place.database, place.key);
    int state = first ? atomic_load(&first->session->waiting) : WAITING_NOT;
    if (state == WAITING_SERVABLE)
        remove_due(sim, place); /* somebody has looked for it */
    if (state != WAITING_SERVED)
        return false;
    buffer_clear(&first->served);
    if (!model_serve(model, place.database, &first->queue[0], index_of(first, place.key),
                     &first->served)) {
        sim_commit(sim);
        return false;
    }
    sim_watch_note(sim, &first->queue[0]);
    count(sim, SIM_SERVED);
    first->is_served = true;
    first->served_needs = model->changed ? sim->write_count : model->revealed;
    for (size_t i = 0; i < model->touched_count; i++)
        if (model->touched[i].database != place.database || model->touched[i].key != place.key)
            add_ready(sim, ready, model->touched[i]);
    sim_commit(sim);
    return true;
}

/* A waiter as the store finds it when whole databases have changed. */
struct awaited {
    uint64_t hash, line;
    struct model_place place;
};

static int compare_awaited(const void *left, const void *right)
{
    const struct awaited *a = left, *b = right;
    uint64_t keys[2][3] = {
        {a->hash % WAITER_SHARDS, a->hash / WAITER_SHARDS % WAITER_BUCKETS, a->line},
        {b->hash % WAITER_SHARDS, b->hash / WAITER_SHARDS % WAITER_BUCKETS, b->line}};
    for (int i = 0; i < 3; i++)
        if (keys[0][i] != keys[1][i])
            return keys[0][i] < keys[1][i] ? -1 : 1;
    return 0;
}

/* Everybody's keys, in the order of the store's table. */
static void add_all(struct sim *sim, struct ready *ready)
{
    struct awaited all[CLIENTS_MAX * MODEL_ARGUMENTS_MAX];
    size_t number = 0;
    for (size_t i = 0; i < sim->client_count; i++) {
        const struct client *client = &sim->clients[i];
        for (size_t k = 0; client->line && k < model_awaited_keys(&client->queue[0]); k++) {
            struct model_place place = {client->database, client->queue[0].keys[k]};
            all[number++] = (struct awaited){hash64(model_key_name(place.key), place.database),
                                             client->line * MODEL_ARGUMENTS_MAX + k, place};
        }
    }
    qsort(all, number, sizeof *all, compare_awaited);
    for (size_t i = 0; i < number; i++)
        add_ready(sim, ready, all[i].place);
}

static bool changes_databases(const struct model_command *command)
{
    bool changes = command->kind == MODEL_SWAPDB || command->kind == MODEL_FLUSHDB ||
                   command->kind == MODEL_FLUSHALL;
    for (size_t i = 0; i < command->queued_count && !changes; i++)
        changes = changes_databases(&command->queued[i]);
    return changes;
}

/* Of a write that left everything as it was, the store tells too. Nobody is served here whom the store has not
 * served. */
static void add_named(struct sim *sim, struct ready *ready, const struct model_command *command)
{
    for (size_t i = 0; i < command->queued_count; i++)
        add_named(sim, ready, &command->queued[i]);
    for (size_t i = 0; model_is_write(command->kind) && i < command->key_count; i++)
        for (unsigned database = 0; database < MODEL_DATABASES; database++)
            add_ready(sim, ready, (struct model_place){database, command->keys[i]});
}

void sim_line_serve(struct sim *sim, const struct model_command *command)
{
    struct ready ready = {.count = 0};
    const struct model *model = &sim->model;
    if (changes_databases(command)) {
        add_all(sim, &ready);
    } else {
        for (size_t i = 0; i < model->touched_count; i++)
            add_ready(sim, &ready, model->touched[i]);
        add_named(sim, &ready, command);
    }
    for (size_t i = 0; i < ready.count; i++)
        while (serve_first(sim, ready.places[i], &ready)) {
        }
}

uint64_t sim_line_end(struct sim *sim, struct client *client, struct slice reply)
{
    static const char *const texts[] = {[TOLD_TIMEOUT] = "*-1\r\n",
                                        [TOLD_ERROR] =
                                            "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"};
    struct slice expected =
        client->is_served ? buffer_slice(&client->served) : slice_from(texts[client->told]);
    if (!slice_equal(reply, expected))
        sim_fail(sim, "client %d waited, another reply than expected: %.*s\n  expected: %.*s",
                 (int)(client - sim->clients), (int)(reply.size < 300 ? reply.size : 300),
                 (const char *)reply.data, (int)(expected.size < 300 ? expected.size : 300),
                 (const char *)expected.data);
    return client->is_served ? client->served_needs : 0;
}

void sim_line_check(struct sim *sim, struct client *client)
{
    int state = atomic_load(&client->session->waiting);
    if (sim_is_faulty(sim) || !client->line || client->told)
        return;
    if (state == WAITING_SERVED && !client->is_served)
        sim_fail(sim, "client %d was served what is not there", (int)(client - sim->clients));
    if (client->is_served && state != WAITING_SERVED)
        sim_fail(sim, "client %d was not served what is there", (int)(client - sim->clients));
    if (client->woken || session_state(client->session) != SESSION_BLOCKED)
        return;
    const struct model_command *command = &client->queue[0];
    for (size_t i = 0; i < model_awaited_keys(command); i++)
        if (model_has_element(&sim->model, client->database, command->keys[i]) &&
            first_in_line(sim, client->database, command->keys[i]) == client)
            sim_fail(sim, "client %d waits although there is something for it",
                     (int)(client - sim->clients));
}

/* ---- CLIENT UNBLOCK -------------------------------------------------------------------------- */

bool sim_line_make_unblock(struct sim *sim, struct client *client, struct model_command *command)
{
    struct client *target = &sim->clients[below(sim, sim->client_count)];
    if (target == client || !target->session || !target->waits)
        return false;
    char id[24];
    int size = snprintf(id, sizeof id, "%" PRIu64, target->session->id);
    command->kind = MODEL_UNBLOCK;
    command->keys[0] = (unsigned)(target - sim->clients);
    command->time_ms = target->session->id;
    command->flags = one_in(sim, 2) ? MODEL_XX : 0; /* with an error */
    buffer_printf(&command->request, "*4\r\n$6\r\nCLIENT\r\n$7\r\nUNBLOCK\r\n$%d\r\n%s\r\n", size,
                  id);
    buffer_append_text(&command->request, command->flags ? "$5\r\nERROR\r\n" : "$7\r\nTIMEOUT\r\n");
    return true;
}

void sim_line_unblock(struct sim *sim, struct model_command *command)
{
    struct client *target = &sim->clients[command->keys[0]];
    bool is_found = target->session && target->session->id == command->time_ms && target->waits &&
                    !target->is_served && !target->told;
    command->first = is_found;
    if (!is_found)
        return;
    count(sim, SIM_TOLD);
    target->told = command->flags ? TOLD_ERROR : TOLD_TIMEOUT;
}
