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
#include "sim/simulation.h"

#include "base/hash.h"
#include "base/memory.h"
#include "commands/service.h"
#include "lib/resp_reply.h"
#include "sim/commands.h"
#include "sim/observe.h"
#include "types/store_check.h"
#include "vfs/vfs_fault.h"
#include "vfs/vfs_memory.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 5,
    QUEUE_MAX = 24,
    RECEIPTS_MAX = 4096,
    PICTURES_MAX = 3,
    RECENT_STEPS = 20,
    RECENT_BYTES = 160,
    RECOVERY_CALLS_MAX = 30, /* a second crash strikes within so many calls */
    WORK_ROUNDS_MAX = 20000,
};

static const uint64_t WALL_MS_AT_START = 1700000000000;
enum policy { ALWAYS, EVERYSEC, NO };
static const char *const policy_names[] = {"always", "everysec", "no"};

struct write {
    struct model_state state; /* after it */
    lsn_t end;                /* the log up to here holds it */
};

/* A reply in a session's output: when it has left, the write that it tells of must not be lost. */
struct receipt {
    size_t size;
    uint64_t needs;
};

struct client {
    struct session *session; /* NULL: not connected */
    bool json, woken;
    unsigned database;
    struct model_command queue[QUEUE_MAX]; /* sent and not answered */
    size_t queue_count;
    struct buffer unsent; /* of requests in the queue */
    size_t checked;       /* bytes of the session's output that were compared */
    struct receipt receipts[RECEIPTS_MAX];
    size_t receipt_first, receipt_count;
    size_t receipt_taken; /* bytes of the first one that have left */
};

/* The writes that must be there after a kill, and after a power loss. */
struct promise {
    size_t kill, power;
};

/* A crash that strikes before the n-th call from now that changes the disk. */
struct strike {
    struct vfs *memory;
    uint64_t countdown; /* 0: none */
    enum vfs_power_loss mode;
    uint64_t seed;
    struct vfs *world; /* NULL: it has not struck */
    struct sim *sim;   /* NULL: during a start */
    struct promise promise;
};

struct fault {
    bool armed, for_good;
    unsigned calls;
    enum status error;
};

struct sim {
    const struct sim_options *options;
    struct sim_counts *counts;
    struct random random, entropy; /* decisions; what the store asks for */
    uint64_t step, hash;
    char recent[RECENT_STEPS][RECENT_BYTES];

    struct vfs *memory, *vfs;
    struct env env;
    uint64_t monotonic_us;
    struct store_options store_options;
    struct store *store;
    struct config *config;
    struct service *service;
    enum policy policy;
    bool read_only; /* a write to the log has failed: nothing is written until a restart */
    struct fault fault;
    bool disk_is_full, doubtful; /* a command was refused: an expired key may be gone or not */
    uint64_t failed_before;      /* calls, before the call of a session that runs now */
    struct strike strike;

    struct model model;
    struct sim_mood mood;
    struct write *writes;
    size_t write_count, write_capacity;
    uint64_t received_durable, received_written; /* what replies need that have left under `always`,
                                                  * under the others */
    struct client clients[CLIENTS_MAX];
    size_t client_count;
    struct picture *pictures[PICTURES_MAX];
    struct observed observed;
    uint64_t flushes, compactions;
    unsigned weights[32];
};

/* ---- Saying what happens --------------------------------------------------------------------- */

static struct sim *current; /* for the signal handler */

static void hash_bytes(struct sim *sim, const void *data, size_t size)
{
    sim->hash = hash64(slice_make(data, size), sim->hash);
}

static void hash_number(struct sim *sim, uint64_t number)
{
    hash_bytes(sim, &number, sizeof number);
}

static void note(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct sim *sim, const char *format, ...)
{
    char *line = sim->recent[sim->step % RECENT_STEPS];
    size_t used = strlen(line);
    va_list arguments;
    if (used == 0)
        used = (size_t)snprintf(line, RECENT_BYTES, "%" PRIu64 ":", sim->step);
    if (used + 2 < RECENT_BYTES) {
        line[used++] = ' ';
        va_start(arguments, format);
        vsnprintf(line + used, RECENT_BYTES - used, format, arguments);
        va_end(arguments);
    }
}

static void say_how(struct sim *sim)
{
    fprintf(stderr, "SEED=%" PRIu64 " step %" PRIu64 "\n", sim->options->seed, sim->step);
    fprintf(stderr, "the last steps:\n");
    for (uint64_t i = 1; i <= RECENT_STEPS; i++) {
        const char *line = sim->recent[(sim->step + i) % RECENT_STEPS];
        if (line[0])
            fprintf(stderr, "  %s\n", line);
    }
    fprintf(stderr, "repeat: %s --seed %" PRIu64 " --step %" PRIu64 " --trace\n",
            sim->options->program, sim->options->seed, sim->step);
}

static void fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));
static void fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "FAILED: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    say_how(sim);
    _exit(1);
}

/* An assertion of the code under test: the seed is told before the process ends. */
static void on_signal(int number)
{
    if (current) {
        fprintf(stderr, "FAILED: signal %d\n", number);
        say_how(current);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void count(struct sim *sim, enum sim_event event)
{
    sim->counts->events[event]++;
}

static uint64_t below(struct sim *sim, uint64_t bound)
{
    return random_below(&sim->random, bound);
}

static bool one_in(struct sim *sim, uint64_t bound)
{
    return below(sim, bound) == 0;
}

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

static struct lsm *engine(struct sim *sim)
{
    return store_engine(sim->store);
}

static size_t writes_below(const struct sim *sim, lsn_t lsn)
{
    size_t index = sim->write_count - 1;
    while (index > 0 && sim->writes[index].end > lsn)
        index--;
    return index;
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What the engine says that is durable and written, and what replies have promised. */
static struct promise promised(const struct sim *sim, lsn_t durable, lsn_t written)
{
    size_t power = greater(writes_below(sim, durable), sim->received_durable);
    size_t kill = greater(writes_below(sim, written), sim->received_written);
    return (struct promise){greater(kill, power), power};
}

static struct promise promised_now(struct sim *sim)
{
    return promised(sim, lsm_durable_lsn(engine(sim)), lsm_written_lsn(engine(sim)));
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
        strike->promise = promised_now(strike->sim);
    strike->world = vfs_memory_after_power_loss(strike->memory, strike->mode, strike->seed);
}

static enum vfs_power_loss pick_loss(struct sim *sim)
{
    static const enum vfs_power_loss modes[] = {VFS_KEEP_ALL, VFS_LOSE_UNSYNCED, VFS_TEAR,
                                                VFS_REORDER};
    return modes[below(sim, 4)];
}

static void strike_cancel(struct sim *sim)
{
    vfs_destroy(sim->strike.world);
    sim->strike = (struct strike){0};
    vfs_fault_watch(sim->vfs, 0, NULL, NULL);
}

static void strike_arm(struct sim *sim, uint64_t calls, bool serving)
{
    static const enum vfs_call rare[] = {VFS_CALL_SYNC_DIRECTORY, VFS_CALL_SYNC_DIRECTORY,
                                         VFS_CALL_SYNC,           VFS_CALL_RENAME,
                                         VFS_CALL_REMOVE,         VFS_CALL_TRUNCATE};
    strike_cancel(sim);
    sim->strike = (struct strike){.memory = sim->memory,
                                  .countdown = 1 + below(sim, calls),
                                  .mode = pick_loss(sim),
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

static void fault_disarm(struct sim *sim)
{
    sim->fault.armed = false;
    vfs_fault_fail(sim->vfs, 0, 0, STATUS_OK, false);
}

static void fault_arm(struct sim *sim)
{
    static const enum vfs_call calls[] = {
        VFS_CALL_OPEN,   VFS_CALL_READ,     VFS_CALL_READ,           VFS_CALL_READ,
        VFS_CALL_WRITE,  VFS_CALL_WRITE,    VFS_CALL_WRITE,          VFS_CALL_SYNC,
        VFS_CALL_SYNC,   VFS_CALL_TRUNCATE, VFS_CALL_REMOVE,         VFS_CALL_RENAME,
        VFS_CALL_LINK,   VFS_CALL_LIST,     VFS_CALL_SYNC_DIRECTORY, VFS_CALL_SIZE,
        VFS_CALL_EXISTS, VFS_CALL_LOCK,     VFS_CALL_FREE_BYTES,
    };
    uint64_t n = 1 + below(sim, one_in(sim, 3) ? 40 : 8);
    sim->fault = (struct fault){.armed = true,
                                .for_good = one_in(sim, 3),
                                .calls = 1u << calls[below(sim, sizeof calls / sizeof *calls)],
                                .error = one_in(sim, 3) ? STATUS_NO_SPACE : STATUS_IO};
    enum vfs_fault_form form = (enum vfs_fault_form)below(sim, VFS_FAULT_ENDS + 1);
    vfs_fault_set_form(sim->vfs, form);
    count(sim, sim->fault.for_good ? SIM_FAULT_GOOD : SIM_FAULT_ONCE);
    vfs_fault_fail(sim->vfs, sim->fault.calls, n, sim->fault.error, sim->fault.for_good);
    note(sim, "fault: calls %x, the %" PRIu64 "th, form %d, %s%s", sim->fault.calls, n, (int)form,
         status_text(sim->fault.error), sim->fault.for_good ? ", for good" : "");
}

/* What only looks is not to be failed. */
static void fault_pause(struct sim *sim)
{
    vfs_fault_fail(sim->vfs, 0, 0, STATUS_OK, false);
}

static void fault_go_on(struct sim *sim)
{
    if (sim->fault.armed)
        vfs_fault_fail(sim->vfs, sim->fault.calls, sim->fault.for_good ? 1 : 1 + below(sim, 20),
                       sim->fault.error, sim->fault.for_good);
}

static bool engine_is_read_only(struct sim *sim)
{
    struct lsm_stats stats;
    lsm_get_stats(engine(sim), &stats);
    return stats.read_only;
}

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

static void commit(struct sim *sim)
{
    if (sim->model.changed)
        push_write(sim, lsm_visible_lsn(engine(sim)));
    sim->model.changed = false;
}

static void become(struct sim *sim, size_t index)
{
    struct model_state state;
    model_state_copy(&sim->writes[index].state, &state);
    model_state_release(&sim->model.state);
    sim->model.state = state;
}

/* The state that the model is in becomes the first one. */
static void forget_writes(struct sim *sim)
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

/* ---- Looking at the whole store -------------------------------------------------------------- */

static void look(struct sim *sim, const char *when)
{
    struct sim_reason reason = {""};
    fault_pause(sim);
    if (!observe(sim->store, &sim->observed, &reason))
        fail(sim, "%s: %s", when, reason.text);
    fault_go_on(sim);
}

/* The newest state from `min` to `max` that the store holds. */
static size_t find_state(struct sim *sim, size_t min, size_t max, const char *when)
{
    look(sim, when);
    for (size_t i = max + 1; i-- > min;)
        if (observed_is(&sim->observed, &sim->writes[i].state))
            return i;
    struct sim_reason reason = {""};
    for (size_t i = min; i-- > 0;)
        if (observed_is(&sim->observed, &sim->writes[i].state))
            fail(
                sim,
                "%s: writes are lost: %zu were made, %zu must be there, %zu are (received: %" PRIu64
                " under always, %" PRIu64 " otherwise)",
                when, sim->write_count - 1, min, i, sim->received_durable, sim->received_written);
    observed_explain(&sim->observed, &sim->writes[max].state, &reason);
    fail(sim, "%s: the store holds none of the states after write %zu to %zu; against the last: %s",
         when, min, max, reason.text);
}

static void check_state(struct sim *sim, const char *when)
{
    struct sim_reason reason = {""};
    count(sim, SIM_CHECKED);
    look(sim, when);
    if (observed_is(&sim->observed, &sim->model.state))
        return;
    observed_explain(&sim->observed, &sim->model.state, &reason);
    fail(sim, "%s: %s", when, reason.text);
}

static void check_invariants(struct sim *sim)
{
    struct lsm_report report = {""};
    count(sim, SIM_INVARIANTS);
    fault_pause(sim);
    if (lsm_check_invariants(engine(sim), &report) != STATUS_OK)
        fail(sim, "the engine's invariants: %s", report.text);
    enum status status = store_check(sim->store, &report);
    if (status)
        fail(sim, "the store's invariants: %s: %s", status_text(status), report.text);
    fault_go_on(sim);
}

/* A command was refused, or active expiry cut short: what it met and deleted before is found out. */
static void settle_doubt(struct sim *sim)
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
    commit(sim);
    check_state(sim, "after a refused command");
}

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
}

static void clients_leave(struct sim *sim)
{
    for (size_t i = 0; i < sim->client_count; i++)
        client_leave(&sim->clients[i]);
}

static void clients_join(struct sim *sim)
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
static bool is_faulty(struct sim *sim)
{
    return sim->read_only || sim->disk_is_full ||
           vfs_fault_failed_count(sim->vfs) > sim->failed_before || engine_is_read_only(sim);
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
    fail(
        sim,
        "client %d, database %u, another reply than expected (from byte %zu on):\n%.*s\n  got (%zu "
        "bytes): %.*s\n  expected (%zu bytes): %.*s",
        (int)(client - sim->clients), client->database, from,
        (int)(request.size < 300 ? request.size : 300), (const char *)request.data, reply.size,
        (int)(got.size < 300 ? got.size : 300), (const char *)got.data, expected.size,
        (int)(want.size < 300 ? want.size : 300), (const char *)want.data);
}

/* Compares one reply and does in the model what the command did. Returns the write that it tells of. */
static uint64_t check_reply(struct sim *sim, struct client *client, struct slice reply)
{
    struct model_command *command = &client->queue[0];
    struct buffer expected = {0};
    sim->counts->by_command[command->kind]++;
    sim->counts->commands++;
    note(sim, "%d:%s", (int)(client - sim->clients), model_command_names[command->kind]);
    if (is_refusal(reply) && is_faulty(sim)) {
        count(sim, SIM_REFUSED);
        sim->doubtful = true;
        return 0;
    }
    if (command->flags & MODEL_NEWEST)
        command->ids[0] = model_newest_id(&sim->model, client->database, command->keys[0]);
    /* In the middle of this call the store may have gone back to what is acknowledged. */
    bool unsure = !sim->read_only && engine_is_read_only(sim);
    enum model_reply how = model_run(&sim->model, &client->database, command, &expected);
    bool agrees = how == MODEL_EXACT     ? slice_equal(reply, buffer_slice(&expected))
                  : how == MODEL_KEY_SET ? is_key_set(reply, buffer_slice(&expected))
                                         : false;
    if (!agrees && !unsure)
        fail_reply(sim, client, reply, buffer_slice(&expected));
    buffer_release(&expected);
    bool wrote = sim->model.changed;
    uint64_t needs = wrote ? sim->write_count : sim->model.revealed;
    commit(sim);
    return needs;
}

/* The size of the reply at the start of `output`. */
static size_t reply_size(struct sim *sim, const struct client *client, struct slice output)
{
    if (client->json) {
        const uint8_t *end = memchr(output.data, '\n', output.size);
        if (!end)
            fail(sim, "half a line of JSON in the output");
        return (size_t)(end - output.data) + 1;
    }
    struct resp_reply reply = {0};
    size_t consumed = 0;
    if (resp_reply_read(output, &reply, &consumed) != REPLY_COMPLETE)
        fail(sim, "a reply that is not whole");
    resp_reply_release(&reply);
    return consumed;
}

static void check_blocked(struct sim *sim, struct client *client)
{
    if (session_state(client->session) != SESSION_BLOCKED)
        return;
    struct model_command *command = &client->queue[0];
    if (client->queue_count == 0 || command->kind != MODEL_XREAD ||
        !(command->flags & MODEL_BLOCKS))
        fail(sim, "client %d blocks without reason", (int)(client - sim->clients));
    if (command->flags & MODEL_NEWEST)
        command->ids[0] = model_newest_id(&sim->model, client->database, command->keys[0]);
    command->flags &= ~(unsigned)MODEL_NEWEST;
    if (!is_faulty(sim) && model_has_news(&sim->model, client->database, command) && !client->woken)
        fail(sim, "client %d blocks although there is something to read",
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
            fail(sim, "a reply to nothing: %.*s", (int)(size < 100 ? size : 100),
                 (const char *)rest.data);
        hash_bytes(sim, rest.data, size);
        uint64_t needs = check_reply(sim, client, slice_make(rest.data, size));
        if (client->receipt_first + client->receipt_count == RECEIPTS_MAX) {
            memmove(client->receipts, client->receipts + client->receipt_first,
                    client->receipt_count * sizeof *client->receipts);
            client->receipt_first = 0;
        }
        assert(client->receipt_count < RECEIPTS_MAX);
        client->receipts[client->receipt_first + client->receipt_count++] =
            (struct receipt){size, needs};
        queue_pop(client);
        client->checked += size;
    }
    check_blocked(sim, client);
}

static void before_call(struct sim *sim)
{
    sim->failed_before = vfs_fault_failed_count(sim->vfs);
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
    while (commands-- > 0 && client->queue_count < QUEUE_MAX) {
        struct model_command *command = &client->queue[client->queue_count++];
        sim_command_make(&sim->random, &sim->model, &sim->mood, client->database, client->json,
                         command);
        buffer_append_slice(&client->unsent, buffer_slice(&command->request));
    }
}

/* A parked request is worked off, and what follows it. */
static void client_work(struct sim *sim, struct client *client)
{
    before_call(sim);
    client->woken = false;
    session_work(client->session);
    (void)session_resume(client->session);
    check_output(sim, client);
}

static void client_wake(struct sim *sim, struct client *client)
{
    client->woken = false;
    client->queue[0].flags |= MODEL_ONLY_IF;
    count(sim, SIM_WOKEN);
    before_call(sim);
    (void)session_resume(client->session);
    check_output(sim, client);
}

static void client_time_out(struct sim *sim, struct client *client)
{
    client->queue[0].timed_out = true;
    client->woken = false;
    client->queue[0].flags |= MODEL_ONLY_IF;
    count(sim, SIM_TIMED_OUT);
    before_call(sim);
    (void)session_timeout(client->session);
    check_output(sim, client);
}

static void client_step(struct sim *sim, struct client *client)
{
    struct session *session = client->session;
    note(sim, "client %d", (int)(client - sim->clients));
    switch (session_state(session)) {
    case SESSION_PARKED:
        client_work(sim, client);
        break;
    case SESSION_BLOCKED: {
        uint64_t deadline_us = session_deadline_us(session);
        if (client->woken)
            client_wake(sim, client);
        else if (deadline_us && sim->monotonic_us + 1 >= deadline_us)
            client_time_out(sim, client);
        else if (one_in(sim, 40)) {
            count(sim, SIM_LEFT);
            client_leave(client);
            client->session = session_open(sim, client);
        }
        break;
    }
    case SESSION_READY:
        if (one_in(sim, 150)) {
            count(sim, SIM_LEFT);
            client_leave(client);
            client->session = session_open(sim, client);
        }
        if (client->unsent.size == 0)
            client_ask(sim, client);
        client_feed(sim, client);
        break;
    case SESSION_CLOSING:
        fail(sim, "a session closes by itself");
    }
}

/* ---- The gate -------------------------------------------------------------------------------- */

static lsn_t acked(struct sim *sim)
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

static void client_send(struct sim *sim, struct client *client, bool whole)
{
    struct session *session = client->session;
    size_t size = session_output_released(session, acked(sim));
    if (session_output_awaits(session))
        count(sim, SIM_HELD);
    if (size > 1 && !whole && one_in(sim, 6))
        size = 1 + below(sim, size - 1);
    take_receipts(sim, client, size);
    session_output_consume(session, size);
    client->checked -= size;
    if (session_is_over_limit(session))
        fail(sim, "a session is over its limit");
}

static void expect_log(struct sim *sim, enum status status, const char *what)
{
    if (status != STATUS_OK && !is_faulty(sim))
        fail(sim, "%s: %s", what, status_text(status));
}

static void step_send(struct sim *sim)
{
    note(sim, "send");
    before_call(sim);
    if (sim->policy != ALWAYS && lsm_written_lsn(engine(sim)) < lsm_visible_lsn(engine(sim))) {
        count(sim, SIM_WAL_WRITE);
        expect_log(sim, lsm_wal_write(engine(sim)), "writing the log");
    }
    if (engine_is_read_only(sim))
        return; /* replies that were held stay held */
    for (size_t i = 0; i < sim->client_count; i++)
        if (!one_in(sim, 4))
            client_send(sim, &sim->clients[i], false);
}

static void step_sync(struct sim *sim)
{
    note(sim, "sync");
    count(sim, SIM_WAL_SYNC);
    before_call(sim);
    expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
}

/* ---- Start and stop -------------------------------------------------------------------------- */

static void pictures_release(struct sim *sim)
{
    for (size_t i = 0; i < PICTURES_MAX; i++) {
        picture_release(sim->pictures[i]);
        sim->pictures[i] = NULL;
    }
}

static void pick_options(struct sim *sim)
{
    static const size_t memtables[] = {48 << 10, 96 << 10, 96 << 10, 256 << 10, 1 << 20};
    static const uint64_t segments[] = {32 << 10, 32 << 10, 64 << 10, 256 << 10};
    static const uint64_t tables[] = {8 << 10, 32 << 10, 32 << 10, 100 << 10};
    static const size_t caches[] = {16 << 10, 64 << 10, 256 << 10, 4 << 20};
    static const uint32_t blocks[] = {512, 1024, 1024, 4096, 16384};
    static const uint32_t filters[] = {1, 10, 10, 16};
    sim->store_options = (struct store_options){
        .databases = 4,
        .memtable_bytes = memtables[below(sim, 5)],
        .wal_segment_bytes = segments[below(sim, 4)],
        .table_bytes_max = tables[below(sim, 4)],
        .block_cache_bytes = caches[below(sim, 4)],
        .block_bytes = blocks[below(sim, 5)],
        .filter_bits_per_key = filters[below(sim, 4)],
    };
    sim->policy = (enum policy)below(sim, 3);
}

static enum status open_store(struct sim *sim, struct lsm_report *report)
{
    sim->store_options.ack_durable = sim->policy == ALWAYS;
    return store_open(&sim->env, "/db", &sim->store_options, report, &sim->store);
}

static void open_or_fail(struct sim *sim)
{
    struct lsm_report report = {""};
    before_call(sim);
    enum status status = open_store(sim, &report);
    if (status && sim->fault.armed && vfs_fault_failed_count(sim->vfs) > sim->failed_before) {
        count(sim, SIM_FAULT_OPEN);
        fault_disarm(sim);
        status = open_store(sim, &report);
    }
    if (status)
        fail(sim, "opening the store: %s: %s", status_text(status), report.text);
}

static void serve(struct sim *sim)
{
    sim->config = config_create();
    sim->service = service_create(&sim->env, sim->store, sim->config,
                                  &(struct service_host){.wake = host_wake,
                                                         .shutdown = host_shutdown,
                                                         .disconnect = host_disconnect,
                                                         .reload = host_reload,
                                                         .context = sim});
    sim->read_only = sim->doubtful = false;
    sim->flushes = sim->compactions = 0;
    clients_join(sim);
}

static enum status stop(struct sim *sim)
{
    clients_leave(sim);
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
    strike_cancel(sim);
    vfs_destroy(sim->vfs);
    vfs_destroy(sim->memory);
    sim->memory = world;
    sim->vfs = vfs_fault_create(world);
    sim->env.vfs = sim->vfs;
    sim->fault.armed = sim->disk_is_full = false;
}

/* Opens what a crash left, perhaps crashing again on the way. true: the power was lost then. */
static bool recover(struct sim *sim)
{
    bool lost_power = false;
    while (one_in(sim, 3)) {
        struct lsm_report report = {""};
        struct strike *strike = &sim->strike;
        strike_arm(sim, RECOVERY_CALLS_MAX, false);
        before_call(sim);
        enum status status = open_store(sim, &report);
        if (status && vfs_fault_failed_count(sim->vfs) > sim->failed_before) {
            count(sim, SIM_FAULT_OPEN);
            fault_disarm(sim);
            strike_cancel(sim);
            continue;
        }
        if (status)
            fail(sim, "opening the store after a crash: %s: %s", status_text(status), report.text);
        strike->countdown = 0;
        if (strike->world)
            count(sim, SIM_AGAIN);
        struct vfs *world = strike->world;
        strike->world = NULL;
        (void)store_close(sim->store);
        sim->store = NULL;
        if (!world)
            break; /* a clean stop right after the recovery */
        note(sim, "a crash in the recovery (mode %d)", (int)strike->mode);
        lost_power = lost_power || strike->mode != VFS_KEEP_ALL;
        enter_world(sim, world);
    }
    if (one_in(sim, 8))
        fault_arm(sim);
    open_or_fail(sim);
    fault_disarm(sim);
    strike_cancel(sim);
    return lost_power;
}

/* Opens and takes over whichever state is there. */
static void come_back(struct sim *sim, struct promise promise, bool lost_power, const char *when)
{
    lost_power = recover(sim) || lost_power;
    size_t found =
        find_state(sim, lost_power ? promise.power : promise.kill, sim->write_count - 1, when);
    if (found + 1 < sim->write_count)
        count(sim, SIM_LOST);
    note(sim, "back: write %zu of %zu", found, sim->write_count - 1);
    become(sim, found);
    forget_writes(sim);
    serve(sim);
}

static void crash_into(struct sim *sim, struct vfs *world, enum vfs_power_loss mode,
                       struct promise promise)
{
    static const enum sim_event events[] = {SIM_LOSE, SIM_KILL, SIM_TEAR, SIM_REORDER};
    static const char *const names[] = {"power loss, unsynced gone", "kill", "power loss, torn",
                                        "power loss, reordered"};
    note(sim, "%s", names[mode]);
    count(sim, events[mode]);
    (void)stop(sim); /* of the world that is gone */
    enter_world(sim, world);
    if (one_in(sim, 2))
        pick_options(sim);
    come_back(sim, promise, mode != VFS_KEEP_ALL, names[mode]);
}

/* The log ends where a segment begins, and nothing of its own is in that segment yet. */
static void end_log_at_segment(struct sim *sim)
{
    struct lsm_writer *writer = NULL;
    note(sim, "the log ends at a segment");
    count(sim, SIM_ROTATE);
    before_call(sim);
    if (lsm_wal_rotate(engine(sim)) != STATUS_OK)
        return;
    lsm_lock(engine(sim));
    if (lsm_write_begin(engine(sim), 16, false, &writer) == STATUS_OK)
        (void)lsm_write_end(writer); /* empty: no batch */
    lsm_unlock(engine(sim));
    expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
}

static void step_crash(struct sim *sim)
{
    if (one_in(sim, 4))
        end_log_at_segment(sim);
    enum vfs_power_loss mode = pick_loss(sim);
    struct promise promise = promised_now(sim);
    strike_cancel(sim);
    crash_into(sim, vfs_memory_after_power_loss(sim->memory, mode, random_next(&sim->random)), mode,
               promise);
}

/* The crash that was armed has struck inside the last step. */
static void crash_inside(struct sim *sim)
{
    struct strike strike = sim->strike;
    count(sim, SIM_INSIDE);
    sim->strike.world = NULL;
    crash_into(sim, strike.world, strike.mode, strike.promise);
}

static void step_restart(struct sim *sim)
{
    bool was_read_only = sim->read_only;
    struct promise promise = promised_now(sim);
    note(sim, "restart");
    count(sim, SIM_RESTART);
    strike_cancel(sim);
    before_call(sim);
    bool was_full = sim->disk_is_full;
    enum status status = stop(sim);
    bool failed = was_full || vfs_fault_failed_count(sim->vfs) > sim->failed_before;
    if (status && !was_read_only && !failed)
        fail(sim, "closing the store: %s", status_text(status));
    if (!status && !was_read_only && !failed)
        promise.kill = promise.power = sim->write_count - 1;
    if (one_in(sim, 2))
        fault_disarm(sim);
    if (one_in(sim, 2))
        pick_options(sim);
    vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
    sim->disk_is_full = false;
    come_back(sim, promise, false, "after a restart");
}

/* A write to the log has failed: what is not acknowledged is taken back, and nothing is written. */
static void go_read_only(struct sim *sim)
{
    note(sim, "read-only");
    count(sim, SIM_READ_ONLY);
    clients_leave(sim);
    pictures_release(sim);
    fault_disarm(sim);
    sim->read_only = true;
    sim->doubtful = false;
    size_t min = sim->received_durable;
    if (sim->policy != ALWAYS)
        min = greater(min, sim->received_written);
    /* Writes of one call of a session share their end, so which of them the log took is not known. */
    size_t max = writes_below(sim, acked(sim));
    lsn_t end = max + 1 < sim->write_count ? sim->writes[max + 1].end : 0;
    while (acked(sim) > sim->writes[max].end && max + 1 < sim->write_count &&
           sim->writes[max + 1].end == end)
        max++;
    become(sim, find_state(sim, min, max, "after a failure of the log"));
    clients_join(sim);
}

/* ---- Other steps ----------------------------------------------------------------------------- */

static void step_client(struct sim *sim)
{
    client_step(sim, &sim->clients[below(sim, sim->client_count)]);
}

static void note_progress(struct sim *sim)
{
    struct lsm_stats stats;
    lsm_get_stats(engine(sim), &stats);
    sim->counts->events[SIM_FLUSHED] += stats.flush_count - sim->flushes;
    sim->counts->events[SIM_COMPACTED] += stats.compaction_count - sim->compactions;
    sim->flushes = stats.flush_count;
    sim->compactions = stats.compaction_count;
}

static void step_work(struct sim *sim)
{
    size_t budget = (size_t)1 << below(sim, 18);
    uint64_t rounds = one_in(sim, 12) ? WORK_ROUNDS_MAX : 1 + below(sim, 4);
    note(sim, "work, budget %zu", budget);
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
        note(sim, "request a merge");
        count(sim, SIM_COMPACT_ASKED);
        lsm_request_compact(engine(sim));
    } else {
        note(sim, "request a flush");
        lsm_request_flush(engine(sim));
    }
}

static bool needs_after_step(struct sim *sim)
{
    return sim->strike.world || sim->doubtful || engine_is_read_only(sim);
}

static void step_rotate(struct sim *sim)
{
    end_log_at_segment(sim);
    if (one_in(sim, 2)) {
        lsm_request_flush(engine(sim));
        work_until_idle(sim);
    }
}

/* Each round leaves a segment behind that the flush gives back: after some of them the log comes to
 * one that it has used before, with its old frames in it, and then perhaps ends at its start. */
static void step_go_round(struct sim *sim)
{
    note(sim, "the log goes round");
    for (uint64_t left = 3 + below(sim, 5); left > 0; left--) {
        for (uint64_t i = 1 + below(sim, 4); i > 0; i--) {
            client_step(sim, &sim->clients[below(sim, sim->client_count)]);
            if (needs_after_step(sim))
                return;
        }
        step_rotate(sim);
        if (needs_after_step(sim))
            return;
    }
    if (one_in(sim, 2))
        step_crash(sim);
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
        note(sim, "clock -%" PRIu64, jump_ms);
        sim->model.now_ms -= jump_ms;
        wake_all(sim); /* a stream whose time was over is there again; nobody has to notice */
        return;
    }
    count(sim, SIM_FORWARDS);
    note(sim, "clock +%" PRIu64, jump_ms);
    sim->model.now_ms += jump_ms;
    sim->monotonic_us += jump_ms * 1000;
}

static void step_expire(struct sim *sim)
{
    unsigned rounds = 0;
    note(sim, "expire");
    count(sim, SIM_EXPIRE);
    before_call(sim);
    while (service_expire(sim->service) && rounds++ < 100)
        ;
    if (is_faulty(sim)) {
        sim->doubtful = true;
        return;
    }
    sim->model.changed = false;
    model_expire_all(&sim->model);
    commit(sim);
}

static void step_picture(struct sim *sim)
{
    struct sim_reason reason = {""};
    struct picture **picture = &sim->pictures[below(sim, PICTURES_MAX)];
    bool agrees = true;
    fault_pause(sim);
    if (!*picture) {
        note(sim, "take a picture");
        count(sim, SIM_PICTURE);
        if (one_in(sim, 3))
            check_state(sim, "before a snapshot");
        fault_pause(sim);
        *picture = picture_take(engine(sim), &reason);
        agrees = *picture != NULL;
    } else if (one_in(sim, 2)) {
        note(sim, "move an iterator");
        count(sim, SIM_MOVED);
        agrees = picture_move(*picture, &sim->random, &reason);
    } else {
        note(sim, "compare a picture of %zu records", picture_count(*picture));
        count(sim, SIM_COMPARED);
        agrees = picture_compare(*picture, &sim->random, &reason);
        if (agrees && one_in(sim, 3)) {
            picture_release(*picture);
            *picture = NULL;
        }
    }
    if (!agrees)
        fail(sim, "%s", reason.text);
    fault_go_on(sim);
}

/* Background work alone changes nothing that can be read. */
static void step_work_under_picture(struct sim *sim)
{
    struct sim_reason reason = {""};
    note(sim, "work under a picture");
    if (sim->read_only || sim->fault.armed || sim->disk_is_full)
        return;
    before_call(sim);
    expect_log(sim, lsm_wal_sync(engine(sim)), "syncing the log");
    struct picture *picture = picture_take(engine(sim), &reason);
    if (one_in(sim, 4))
        lsm_request_compact(engine(sim));
    else if (one_in(sim, 2))
        lsm_request_flush(engine(sim));
    work_until_idle(sim);
    count(sim, SIM_COMPARED);
    if (!picture || !picture_compare(picture, &sim->random, &reason))
        fail(sim, "after work: %s", reason.text);
    picture_release(picture);
}

static void step_check(struct sim *sim)
{
    note(sim, "check");
    check_state(sim, "in the middle of a run");
    if (one_in(sim, 3))
        check_invariants(sim);
}

static void step_strike(struct sim *sim)
{
    note(sim, "arm a crash");
    strike_arm(sim, one_in(sim, 2) ? 20 : 200, true);
}

static void step_fault(struct sim *sim)
{
    if (sim->fault.armed) {
        note(sim, "faults end");
        fault_disarm(sim);
    } else if (sim->disk_is_full) {
        note(sim, "room on the disk");
        vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
        sim->disk_is_full = false;
    } else if (one_in(sim, 4)) {
        uint64_t bytes = below(sim, 100000);
        note(sim, "%" PRIu64 " bytes left on the disk", bytes);
        count(sim, SIM_FULL);
        vfs_fault_set_free_bytes(sim->vfs, bytes);
        sim->disk_is_full = true;
    } else {
        fault_arm(sim);
    }
}

static void step_policy(struct sim *sim)
{
    if (sim->read_only)
        return;
    /* What the old policy let go has gone: it does not count as acknowledged by the new one. */
    for (size_t i = 0; i < sim->client_count; i++)
        client_send(sim, &sim->clients[i], true);
    sim->policy = (enum policy)below(sim, 3);
    note(sim, "policy %s", policy_names[sim->policy]);
    count(sim, SIM_POLICY);
    lsm_set_ack_durable(engine(sim), sim->policy == ALWAYS);
}

static void step_idle(struct sim *sim)
{
    note(sim, "idle");
    count(sim, SIM_IDLE);
    service_thread_idle(sim->service);
}

static void step_mood(struct sim *sim)
{
    sim->mood.gentle = !one_in(sim, 3);
    note(sim, "mood: %s", sim->mood.gentle ? "gentle" : "rough");
}

static const struct {
    void (*run)(struct sim *sim);
    unsigned weight; /* a share of steps */
    bool always;     /* in every seed */
} steps[] = {
    {step_client, 600, true},
    {step_send, 130, true},
    {step_sync, 40, false},
    {step_work, 70, true},
    {step_request, 12, false},
    {step_clock, 40, true},
    {step_expire, 12, false},
    {step_picture, 30, false},
    {step_check, 10, true},
    {step_restart, 5, false},
    {step_crash, 8, false},
    {step_strike, 8, false},
    {step_fault, 6, false},
    {step_policy, 3, false},
    {step_idle, 10, false},
    {step_mood, 4, true},
    {step_work_under_picture, 10, false},
    {step_rotate, 6, false},
    {step_go_round, 5, false},
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

/* What any step may have brought about. */
static void after_step(struct sim *sim)
{
    if (sim->strike.world) {
        crash_inside(sim);
        return;
    }
    if (!sim->read_only && engine_is_read_only(sim))
        go_read_only(sim);
    if (sim->doubtful)
        settle_doubt(sim);
    note_progress(sim);
    for (size_t i = 0; i < sim->client_count; i++)
        if (sim->clients[i].session)
            check_blocked(sim, &sim->clients[i]);
}

static void begin(struct sim *sim)
{
    random_init(&sim->random, sim->options->seed);
    random_init(&sim->entropy, sim->options->seed ^ 0x5eed);
    sim->memory = vfs_memory_create();
    sim->vfs = vfs_fault_create(sim->memory);
    sim->env =
        (struct env){sim->vfs, sim_wall_ms, sim_monotonic_us, sim_random_bytes, sim_log, sim};
    sim->model.now_ms = WALL_MS_AT_START;
    sim->client_count = 1 + below(sim, CLIENTS_MAX);
    for (size_t i = 0; i < sim->client_count; i++)
        sim->clients[i].json = i > 0 && one_in(sim, 4);
    sim->mood = (struct sim_mood){
        .gentle = true, .large = one_in(sim, 2), .keys = 3 + 3 * (unsigned)below(sim, 4)};
    pick_options(sim);
    pick_weights(sim);
    open_or_fail(sim);
    forget_writes(sim);
    serve(sim);
}

static void count_verify(void *context, const char *file, const char *finding)
{
    struct sim *sim = context;
    if (finding)
        fail(sim, "verify: %s: %s", file, finding);
}

static void end(struct sim *sim)
{
    note(sim, "the end");
    strike_cancel(sim);
    fault_disarm(sim);
    vfs_fault_set_free_bytes(sim->vfs, UINT64_MAX);
    sim->disk_is_full = false;
    if (sim->read_only)
        step_restart(sim);
    fault_disarm(sim);
    check_state(sim, "at the end");
    check_invariants(sim);
    note_progress(sim);
    enum status status = stop(sim);
    if (status)
        fail(sim, "the last stop: %s", status_text(status));
    status = lsm_verify(&sim->env, "/db", count_verify, sim);
    if (status)
        fail(sim, "verify: %s", status_text(status));
    count(sim, SIM_VERIFIED);
}

static void release(struct sim *sim)
{
    for (size_t i = 0; i < sim->write_count; i++)
        model_state_release(&sim->writes[i].state);
    memory_free(sim->writes);
    model_release(&sim->model);
    observed_release(&sim->observed);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        buffer_release(&sim->clients[i].unsent);
    vfs_destroy(sim->vfs);
    vfs_destroy(sim->memory);
    memory_free(sim);
}

uint64_t sim_run(const struct sim_options *options, struct sim_counts *counts)
{
    struct sim *sim = memory_zeroed(1, sizeof *sim);
    sim->options = options;
    sim->counts = counts;
    current = sim;
    signal(SIGABRT, on_signal);
    begin(sim);
    for (sim->step = 1; sim->step <= options->steps; sim->step++) {
        sim->recent[sim->step % RECENT_STEPS][0] = 0;
        uint64_t failed = vfs_fault_failed_count(sim->vfs);
        run_step(sim);
        after_step(sim);
        if (vfs_fault_failed_count(sim->vfs) > failed)
            sim->counts->events[SIM_FAULT_FIRED] += vfs_fault_failed_count(sim->vfs) - failed;
        const char *line = sim->recent[sim->step % RECENT_STEPS];
        hash_bytes(sim, line, strlen(line));
        hash_number(sim, lsm_visible_lsn(engine(sim)));
        hash_number(sim, lsm_durable_lsn(engine(sim)));
        hash_number(sim, sim->monotonic_us);
        if (options->trace)
            printf("%s  [%016" PRIx64 "]\n", line, sim->hash);
    }
    end(sim);
    counts->seeds++;
    counts->steps += options->steps;
    uint64_t hash = sim->hash;
    current = NULL;
    signal(SIGABRT, SIG_DFL);
    release(sim);
    return hash;
}

/* ---- Counts ---------------------------------------------------------------------------------- */

static const char *const event_texts[] = {
#define SIM_EVENT_TEXT(name, text) text,
    SIM_EVENTS(SIM_EVENT_TEXT)
#undef SIM_EVENT_TEXT
};

void sim_counts_print(const struct sim_counts *counts)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " steps, %" PRIu64 " commands\n", counts->seeds,
           counts->steps, counts->commands);
    for (size_t i = 0; i < SIM_EVENT_COUNT; i++)
        printf("%12" PRIu64 "  %s\n", counts->events[i], event_texts[i]);
    for (size_t i = 0; i < MODEL_COMMAND_COUNT; i++)
        printf("%s%s %" PRIu64,
               i % 6 ? ", "
               : i   ? "\n  "
                     : "  ",
               model_command_names[i], counts->by_command[i]);
    printf("\n");
}

const char *sim_counts_missing(const struct sim_counts *counts)
{
    for (size_t i = 0; i < SIM_EVENT_COUNT; i++)
        if (counts->events[i] == 0)
            return event_texts[i];
    for (size_t i = 0; i < MODEL_COMMAND_COUNT; i++)
        if (counts->by_command[i] == 0)
            return model_command_names[i];
    return NULL;
}
