/* SPDX-License-Identifier: MIT */
/* Clients: what they send, what comes back and is compared, and what may leave through the gate. */
#include "sim/sim_state.h"

#include "lib/rdb_text.h"
#include "lib/resp_reply.h"

#include <assert.h>
#include <stdio.h>

enum { DUMP_BYTES_MAX = 200000 };

/* ---- Clients --------------------------------------------------------------------------------- */

static struct session *session_open(struct sim *sim, struct client *client)
{
    return session_create(sim->service, &(struct session_options){.address = "127.0.0.1:50000",
                                                                  .local_address = "127.0.0.1:6379",
                                                                  .file_descriptor = -1,
                                                                  .is_local = true,
                                                                  .json = client->json,
                                                                  .owner = client});
}

static void client_leave(struct client *client)
{
    if (client->session)
        session_destroy(client->session);
    client->session = NULL;
    for (size_t i = 0; i < client->queue_count; i++)
        model_command_release(&client->queue[i]);
    client->queue_count = 0;
    buffer_clear(&client->unsent);
    client->checked = client->receipt_first = client->receipt_count = client->receipt_taken = 0;
    client->woken = false;
    client->database = 0;
    client->watch_count = 0;
    sim_line_leave(client);
}

void sim_clients_leave(struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++)
        client_leave(&sim->clients[i]);
}

void sim_clients_join(struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++)
        if (!sim->clients[i].session)
            sim->clients[i].session = session_open(sim, &sim->clients[i]);
}

static void queue_pop(struct client *client)
{
    model_command_release(&client->queue[0]);
    client->queue_count--;
    memmove(&client->queue[0], &client->queue[1], client->queue_count * sizeof *client->queue);
    client->queue[client->queue_count] = (struct model_command){0};
}

static bool is_refusal(struct slice reply)
{
    static const char *const texts[] = {
        "-MISCONF",
        "-ERR input/output error",
        "-ERR damaged data", /* a read that brought too little */
        "-ERR no space left on the disk",
        "-EXECABORT", /* one of the above, when it was queued or before it ran */
        "{\"status\":\"error\",\"errcode\":\"storage_full\"",
        "{\"status\":\"error\",\"errcode\":\"read_only\"",
        "{\"status\":\"error\",\"errcode\":\"internal_error\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (slice_starts_with(reply, slice_from(texts[i])))
            return true;
    return false;
}

/* Whether commands may be refused now. */
bool sim_is_faulty(struct sim *sim)
{
    return sim->read_only || sim->disk_is_full ||
           vfs_fault_failed_count(sim->vfs) > sim->failed_before || sim_engine_is_read_only(sim);
}

/* SCAN: the keys in any order, each once. `expected`: their bulks in the table's order. */
static bool is_key_set(struct slice reply, struct slice expected)
{
    struct resp_reply parsed = {0};
    size_t consumed = 0, found = 0, bytes = 0;
    bool is_set = resp_reply_read(reply, &parsed, &consumed) == REPLY_COMPLETE &&
                  parsed.count == 2 && parsed.children[0].text.size == 1 &&
                  parsed.children[0].text.data[0] == '0';
    for (size_t i = 0; is_set && i < parsed.children[1].count; i++) {
        struct slice key = buffer_slice(&parsed.children[1].children[i].text);
        struct buffer bulk = {0};
        buffer_printf(&bulk, "$%zu\r\n%.*s\r\n", key.size, (int)key.size, (const char *)key.data);
        found += memmem(expected.data, expected.size, bulk.data, bulk.size) != NULL;
        bytes += bulk.size;
        buffer_release(&bulk);
        is_set = found == i + 1;
    }
    resp_reply_release(&parsed);
    return is_set && bytes == expected.size;
}

/* DUMP: a payload that says what the model says. It is kept for a later RESTORE. */
static bool is_dump(struct sim *sim, struct client *client, struct slice reply,
                    struct slice expected)
{
    struct resp_reply parsed = {0};
    struct rdb_text text = {.fail_after = 0};
    struct rdb_sink sink = rdb_text_sink(&text);
    struct slice value = {0};
    size_t consumed = 0;
    bool is_right = resp_reply_read(reply, &parsed, &consumed) == REPLY_COMPLETE &&
                    rdb_open(buffer_slice(&parsed.text), &value) == STATUS_OK &&
                    rdb_load(value, &sink) == STATUS_OK &&
                    slice_equal(buffer_slice(&text.text), expected);
    if (is_right && parsed.text.size < DUMP_BYTES_MAX)
        model_keep_dump(&sim->model, client->database, client->queue[0].keys[0],
                        buffer_slice(&parsed.text));
    buffer_release(&text.text);
    resp_reply_release(&parsed);
    return is_right;
}

static size_t resp_size(struct sim *sim, struct slice output)
{
    struct resp_reply reply = {0};
    size_t consumed = 0;
    if (resp_reply_read(output, &reply, &consumed) != REPLY_COMPLETE)
        sim_fail(sim, "a reply that is not whole");
    resp_reply_release(&reply);
    return consumed;
}

static void fail_reply(struct sim *sim, struct client *client, struct slice reply,
                       struct slice expected)
{
    struct slice request = buffer_slice(&client->queue[0].request);
    size_t at = 0;
    while (at < reply.size && at < expected.size && reply.data[at] == expected.data[at])
        at++;
    size_t from = at < 60 ? 0 : at - 60;
    struct slice got = slice_skip(reply, from < reply.size ? from : reply.size);
    struct slice want = slice_skip(expected, from < expected.size ? from : expected.size);
    sim_fail(
        sim,
        "client %d, database %u, another reply than expected (from byte %zu on):\n%.*s\n  got (%zu "
        "bytes): %.*s\n  expected (%zu bytes): %.*s",
        (int)(client - sim->clients), client->database, from,
        (int)(request.size < 300 ? request.size : 300), (const char *)request.data, reply.size,
        (int)(got.size < 300 ? got.size : 300), (const char *)got.data, expected.size,
        (int)(want.size < 300 ? want.size : 300), (const char *)want.data);
}

/* Of the commands in a transaction some may be refused, as each alone may be. */
static void note_refusals(struct sim *sim, struct model_command *exec, struct slice reply)
{
    const uint8_t *line_end = memchr(reply.data, '\n', reply.size);
    if (!line_end || reply.data[0] != '*')
        return;
    struct slice rest = slice_skip(reply, (size_t)(line_end + 1 - reply.data));
    for (size_t i = 0; i < exec->queued_count && rest.size > 0; i++) {
        size_t size = resp_size(sim, rest);
        sim->counts->by_command[exec->queued[i].kind]++;
        if (is_refusal(rest) && sim_is_faulty(sim)) {
            count(sim, SIM_REFUSED);
            sim->doubtful = true;
            exec->queued[i].refusal = slice_make(rest.data, size);
        }
        rest = slice_skip(rest, size);
    }
}

/* Compares one reply and does in the model what the command did. Returns the write that it tells of. */
static uint64_t check_reply(struct sim *sim, struct client *client, struct slice reply)
{
    struct model_command *command = &client->queue[0];
    struct buffer expected = {0};
    sim->counts->by_command[command->kind]++;
    sim->counts->commands++;
    sim_note(sim, "%d:%s", (int)(client - sim->clients), model_command_names[command->kind]);
    if (client->is_served || client->told)
        return sim_line_end(sim, client, reply);
    bool ends_watch = command->kind == MODEL_EXEC || command->kind == MODEL_DISCARD ||
                      command->kind == MODEL_UNWATCH;
    size_t watch_count = client->watch_count;
    if (is_refusal(reply) && sim_is_faulty(sim)) {
        count(sim, SIM_REFUSED);
        sim->doubtful = true;
        sim_watch_note(sim, NULL);
        client->watch_count = ends_watch ? 0 : watch_count;
        return 0;
    }
    bool is_broken = command->kind == MODEL_EXEC && sim_watch_is_broken(sim, client, reply);
    client->watch_count = ends_watch ? 0 : watch_count;
    if (is_broken)
        return 0;
    if (command->kind == MODEL_EXEC && watch_count > 0)
        command->flags |= MODEL_UNDER_WATCH;
    if (command->kind == MODEL_EXEC)
        note_refusals(sim, command, reply);
    if (command->kind == MODEL_UNBLOCK)
        sim_line_unblock(sim, command);
    sim_line_look(sim, client);
    if (command->flags & MODEL_NEWEST)
        command->ids[0] = model_newest_id(&sim->model, client->database, command->keys[0]);
    /* In the middle of this call the store may have gone back to what is acknowledged. */
    bool unsure = !sim->read_only && sim_engine_is_read_only(sim);
    enum model_reply how = model_run(&sim->model, &client->database, command, &expected);
    bool agrees = how == MODEL_EXACT       ? slice_equal(reply, buffer_slice(&expected))
                  : how == MODEL_DUMP_TEXT ? is_dump(sim, client, reply, buffer_slice(&expected))
                  : how == MODEL_KEY_SET   ? is_key_set(reply, buffer_slice(&expected))
                                           : false;
    if (!agrees && !unsure)
        fail_reply(sim, client, reply, buffer_slice(&expected));
    buffer_release(&expected);
    bool wrote = sim->model.changed;
    uint64_t needs = wrote ? sim->write_count : sim->model.revealed;
    sim_commit(sim);
    if (command->kind == MODEL_WATCH)
        sim_watch_add(sim, client, command);
    sim_watch_note(sim, command);
    sim_line_leave(client); /* its request has ended */
    sim_line_serve(sim, command);
    return needs;
}

/* The size of the reply at the start of `output`. */
static size_t reply_size(struct sim *sim, const struct client *client, struct slice output)
{
    if (client->json) {
        const uint8_t *end = memchr(output.data, '\n', output.size);
        if (!end)
            sim_fail(sim, "half a line of JSON in the output");
        return (size_t)(end - output.data) + 1;
    }
    return resp_size(sim, output);
}

void sim_check_blocked(struct sim *sim, struct client *client)
{
    if (session_state(client->session) != SESSION_BLOCKED)
        return;
    struct model_command *command = &client->queue[0];
    if (client->queue_count > 0 && model_awaited_keys(command) > 0) {
        sim_line_check(sim, client);
        return;
    }
    if (client->queue_count == 0 || command->kind != MODEL_XREAD ||
        !(command->flags & MODEL_BLOCKS))
        sim_fail(sim, "client %d blocks without reason", (int)(client - sim->clients));
    if (command->flags & MODEL_NEWEST)
        command->ids[0] = model_newest_id(&sim->model, client->database, command->keys[0]);
    command->flags &= ~(unsigned)MODEL_NEWEST;
    if (!sim_is_faulty(sim) && model_has_news(&sim->model, client->database, command) &&
        !client->woken)
        sim_fail(sim, "client %d blocks although there is something to read",
                 (int)(client - sim->clients));
}

/* After any call of the session: what came out of it. */
static void check_output(struct sim *sim, struct client *client)
{
    struct slice output = session_output(client->session);
    while (client->checked < output.size) {
        struct slice rest = slice_skip(output, client->checked);
        size_t size = reply_size(sim, client, rest);
        if (client->queue_count == 0)
            sim_fail(sim, "a reply to nothing: %.*s", (int)(size < 100 ? size : 100),
                     (const char *)rest.data);
        sim_hash_bytes(sim, rest.data, size);
        uint64_t needs = check_reply(sim, client, slice_make(rest.data, size));
        if (client->receipt_first + client->receipt_count == RECEIPTS_MAX) {
            memmove(client->receipts, client->receipts + client->receipt_first,
                    client->receipt_count * sizeof *client->receipts);
            client->receipt_first = 0;
        }
        assert(client->receipt_count < RECEIPTS_MAX);
        client->receipts[client->receipt_first + client->receipt_count++] =
            (struct receipt){size, needs};
        sim_line_leave(client);
        queue_pop(client);
        client->checked += size;
    }
    sim_line_join(sim, client);
    sim_check_blocked(sim, client);
}

/* Feeds some of what is not sent yet. */
static void client_feed(struct sim *sim, struct client *client)
{
    size_t size = client->unsent.size;
    if (size > 1 && one_in(sim, 4)) {
        size = 1 + below(sim, size - 1);
        count(sim, SIM_SPLIT);
    }
    if (one_in(sim, 3))
        vfs_fault_set_cold(sim->vfs, ".cwt");
    before_call(sim);
    client->woken = false; /* a wake that came too late for what it was for */
    (void)session_feed(client->session, slice_make(client->unsent.data, size));
    vfs_fault_set_cold(sim->vfs, NULL);
    buffer_consume(&client->unsent, size);
    count(sim, SIM_FEED);
    if (session_state(client->session) == SESSION_PARKED)
        count(sim, session_delay_us(client->session) ? SIM_DELAYED : SIM_PARKED);
    else if (session_state(client->session) == SESSION_BLOCKED)
        count(sim, SIM_BLOCKED);
    check_output(sim, client);
}

static void client_ask(struct sim *sim, struct client *client)
{
    size_t commands = one_in(sim, 3) ? 1 + below(sim, 12) : 1;
    size_t first = client->queue_count;
    while (commands-- > 0 && client->queue_count < QUEUE_MAX) {
        struct model_command *command = &client->queue[client->queue_count];
        size_t room = QUEUE_MAX - client->queue_count;
        if (!client->json && room > 2 && one_in(sim, 20)) {
            client->queue_count += sim_transaction_make(&sim->random, &sim->model, &sim->mood,
                                                        client->database, command, room);
            continue;
        }
        if (!client->json && one_in(sim, 40) && sim_line_make_unblock(sim, client, command)) {
            client->queue_count++;
            continue;
        }
        sim_command_make(&sim->random, &sim->model, &sim->mood, client->database, client->json,
                         command);
        client->queue_count++;
    }
    for (size_t i = first; i < client->queue_count; i++)
        buffer_append_slice(&client->unsent, buffer_slice(&client->queue[i].request));
}

bool sim_client_is_at_rest(const struct client *client)
{
    return client->session && !client->json && client->queue_count == 0 &&
           client->unsent.size == 0 && session_state(client->session) == SESSION_READY;
}

static void client_say(struct sim *sim, struct client *client, size_t requests)
{
    client->queue_count = requests;
    for (size_t i = 0; i < requests; i++)
        buffer_append_slice(&client->unsent, buffer_slice(&client->queue[i].request));
    client_feed(sim, client);
}

void sim_client_wait(struct sim *sim, struct client *client)
{
    assert(sim_client_is_at_rest(client));
    sim_wait_make(&sim->random, &sim->model, &sim->mood, client->database, &client->queue[0]);
    client_say(sim, client, 1);
}

void sim_client_push_for(struct sim *sim, struct client *client, const struct client *waiter)
{
    assert(sim_client_is_at_rest(client));
    sim_push_make(&sim->random, &sim->model, &sim->mood, waiter->queue[0].keys[0],
                  &client->queue[0]);
    client_say(sim, client, 1);
}

void sim_client_watch(struct sim *sim, struct client *client)
{
    assert(sim_client_is_at_rest(client));
    sim_watch_make(&sim->random, &sim->model, &sim->mood, client->database, &client->queue[0]);
    client_say(sim, client, 1);
}

void sim_client_transact(struct sim *sim, struct client *client)
{
    assert(sim_client_is_at_rest(client));
    size_t requests = sim_transaction_make(&sim->random, &sim->model, &sim->mood, client->database,
                                           &client->queue[0], QUEUE_MAX);
    client_say(sim, client, requests);
}

/* A parked request is worked off, and what follows it. */
static void client_work(struct sim *sim, struct client *client)
{
    before_call(sim);
    bool was_woken = client->woken;
    client->woken = false;
    session_work(client->session);
    (void)session_resume(client->session);
    /* A wake that came before may have been for what it only learns when it is resumed. */
    client->woken |= was_woken && session_state(client->session) == SESSION_BLOCKED;
    check_output(sim, client);
}

static void client_wake(struct sim *sim, struct client *client)
{
    client->woken = false;
    client->queue[0].flags |= MODEL_ONLY_IF | MODEL_WAITED;
    count(sim, SIM_WOKEN);
    before_call(sim);
    (void)session_resume(client->session);
    check_output(sim, client);
}

static void client_time_out(struct sim *sim, struct client *client)
{
    client->queue[0].timed_out = true;
    client->woken = false;
    client->queue[0].flags |= MODEL_ONLY_IF | MODEL_WAITED;
    count(sim, SIM_TIMED_OUT);
    before_call(sim);
    (void)session_timeout(client->session);
    check_output(sim, client);
}

void sim_client_reconnect(struct sim *sim, struct client *client)
{
    count(sim, SIM_LEFT);
    client_leave(client);
    client->session = session_open(sim, client);
}

void sim_client_step(struct sim *sim, struct client *client)
{
    struct session *session = client->session;
    sim_note(sim, "client %d", (int)(client - sim->clients));
    switch (session_state(session)) {
    case SESSION_PARKED:
        client_work(sim, client);
        break;
    case SESSION_BLOCKED: {
        uint64_t deadline_us = session_deadline_us(session);
        bool is_over = deadline_us && sim->monotonic_us + 1 >= deadline_us;
        if (is_over && (!client->woken || one_in(sim, 2))) /* timers may come first */
            client_time_out(sim, client);
        else if (client->woken)
            client_wake(sim, client);
        else if (one_in(sim, 40)) {
            sim_client_reconnect(sim, client);
        }
        break;
    }
    case SESSION_READY:
        if (one_in(sim, 150)) {
            sim_client_reconnect(sim, client);
        }
        if (client->unsent.size == 0)
            client_ask(sim, client);
        client_feed(sim, client);
        break;
    case SESSION_CLOSING:
        sim_fail(sim, "a session closes by itself");
    }
}

/* ---- The gate -------------------------------------------------------------------------------- */

lsn_t sim_acked(struct sim *sim)
{
    return sim->policy == ALWAYS ? lsm_durable_lsn(engine(sim)) : lsm_written_lsn(engine(sim));
}

/* `taken` bytes have left. */
static void take_receipts(struct sim *sim, struct client *client, size_t taken)
{
    uint64_t *received = sim->policy == ALWAYS ? &sim->received_durable : &sim->received_written;
    while (taken > 0) {
        struct receipt *receipt = &client->receipts[client->receipt_first];
        assert(client->receipt_count > 0);
        size_t part = receipt->size - client->receipt_taken;
        if (receipt->needs > *received)
            *received = receipt->needs;
        if (part > taken) {
            client->receipt_taken += taken;
            return;
        }
        taken -= part;
        client->receipt_taken = 0;
        client->receipt_first++;
        client->receipt_count--;
        count(sim, SIM_SENT);
    }
    if (client->receipt_count == 0)
        client->receipt_first = 0;
}

void sim_client_send(struct sim *sim, struct client *client, bool whole)
{
    struct session *session = client->session;
    size_t size = session_output_released(session, sim_acked(sim));
    if (session_output_awaits(session))
        count(sim, SIM_HELD);
    if (size > 1 && !whole && one_in(sim, 6))
        size = 1 + below(sim, size - 1);
    take_receipts(sim, client, size);
    session_output_consume(session, size);
    client->checked -= size;
    if (session_is_over_limit(session))
        sim_fail(sim, "a session is over its limit");
}

void sim_expect_log(struct sim *sim, enum status status, const char *what)
{
    if (status != STATUS_OK && !sim_is_faulty(sim))
        sim_fail(sim, "%s: %s", what, status_text(status));
}

void sim_step_send(struct sim *sim)
{
    sim_note(sim, "send");
    before_call(sim);
    if (sim->policy != ALWAYS && lsm_written_lsn(engine(sim)) < lsm_visible_lsn(engine(sim))) {
        count(sim, SIM_WAL_WRITE);
        sim_expect_log(sim, lsm_wal_write(engine(sim)), "writing the log");
    }
    if (sim_engine_is_read_only(sim))
        return; /* replies that were held stay held */
    for (size_t i = 0; i < sim->client_count; i++)
        if (!one_in(sim, 4))
            sim_client_send(sim, &sim->clients[i], false);
}

void sim_step_sync(struct sim *sim)
{
    sim_note(sim, "sync");
    count(sim, SIM_WAL_SYNC);
    before_call(sim);
    sim_expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
}
