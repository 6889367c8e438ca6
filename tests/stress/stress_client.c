/* SPDX-License-Identifier: MIT */
#include "stress/stress_client.h"

#include "base/memory.h"

#include <time.h>

enum {
    PIPELINE_BYTES_MAX =
        48 * 1024, /* what the sockets hold, so that sending never waits for reading */
    TIMEOUT_MS = 60000,
    BATCHES_A_CONNECTION = 200,
    TRANSACTION_ONE_IN = 12,
};

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void stress_client_init(struct stress_client *client, unsigned id, uint64_t seed,
                        struct stress_life *life)
{
    *client = (struct stress_client){.life = life, .model.client = id};
    client->next_tag = (uint64_t)(id + 1) << 40 | 1;
    random_init(&client->random, seed);
}

void stress_client_release(struct stress_client *client)
{
    model_release(&client->model);
    buffer_release(&client->failure);
}

/* ---- Connections ----------------------------------------------------------------------------- */

static bool authenticate(struct stress_life *life, bool json, struct resp_client *connection)
{
    struct resp_reply reply;
    struct slice line;
    if (!life->password)
        return true;
    if (json) {
        struct buffer request = {0};
        buffer_printf(&request, "{\"action\":\"auth\",\"user\":\"default\",\"password\":\"%s\"}\n",
                      life->password);
        bool is_fine = resp_client_send(connection, buffer_slice(&request)) &&
                       resp_client_read_line(connection, &line) &&
                       slice_equal(line, slice_from("{\"status\":\"ok\"}"));
        buffer_release(&request);
        return is_fine;
    }
    bool is_fine = resp_client_call(connection, &reply, "AUTH", life->password) &&
                   resp_reply_is(&reply, "+OK");
    resp_reply_release(&reply);
    return is_fine;
}

bool stress_connect(struct stress_life *life, bool json, bool resp3, struct resp_client *connection)
{
    struct resp_reply reply = {0};
    if (!resp_client_open_unix(connection, json ? life->json_socket : life->socket)) {
        connection->socket = -1;
        return false;
    }
    connection->timeout_ms = TIMEOUT_MS;
    bool is_fine = authenticate(life, json, connection);
    if (is_fine && resp3) {
        is_fine = resp_client_call(connection, &reply, "HELLO", "3") && reply.type == '%';
        resp_reply_release(&reply);
    }
    if (!is_fine)
        resp_client_close(connection);
    return is_fine;
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void fail(struct stress_client *client, const char *what)
{
    client->has_failed = true;
    atomic_store(&client->life->has_failed, true);
    buffer_printf(&client->failure, "client %u: %s\n", client->model.client, what);
}

/* The connection broke; that is a failure unless the server was to end. */
static bool lost(struct stress_client *client)
{
    if (!atomic_load(&client->life->is_ending))
        fail(client, "the connection is lost, or there was no reply in time");
    return false;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void append(struct stress_client *client, const struct operation *operation, enum wire wire,
                   struct buffer *request)
{
    atomic_fetch_add_explicit(&client->life->sent[operation->kind], 1, memory_order_relaxed);
    operation_encode(&client->model, operation, wire, request);
    client->pending[client->pending_count++] = *operation;
}

/* `*db` is the database selected on the connection. */
static void append_with_select(struct stress_client *client, const struct operation *operation,
                               enum wire wire, unsigned *db, struct buffer *request)
{
    if (wire != WIRE_JSON && operation->db != *db && operation->kind != OP_SWAPDB) {
        append(client, &(struct operation){.kind = OP_SELECT, .db = operation->db}, wire, request);
        *db = operation->db;
    }
    append(client, operation, wire, request);
}

static void append_transaction(struct stress_client *client, enum wire wire, unsigned *db,
                               struct buffer *request)
{
    struct operation operations[TRANSACTION_OPERATIONS_MAX];
    size_t count =
        transaction_choose(&client->model, &client->random, wire, &client->next_tag, operations);
    for (size_t i = 0; i < count; i++)
        append_with_select(client, &operations[i], wire, db, request);
}

static void make_batch(struct stress_client *client, enum wire wire, unsigned *db,
                       struct buffer *request)
{
    struct operation operation;
    size_t count = random_below(&client->random, 3)
                       ? 1
                       : 1 + random_below(&client->random, CLIENT_PIPELINE_MAX);
    client->pending_count = client->answered = 0;
    for (size_t i = 0; i < count && request->size < PIPELINE_BYTES_MAX &&
                       client->pending_count < 2 * CLIENT_PIPELINE_MAX - 1;
         i++) {
        if (wire != WIRE_JSON && random_below(&client->random, TRANSACTION_ONE_IN) == 0) {
            append_transaction(client, wire, db, request);
            continue;
        }
        operation_choose(&client->model, &client->random, wire, i == 0, &client->next_tag,
                         &operation);
        append_with_select(client, &operation, wire, db, request);
        if (operation_is_solo(&operation))
            break;
    }
    int64_t now_ms = wall_ms();
    for (size_t i = 0; i < client->pending_count; i++)
        client->pending[i].sent_ms = now_ms;
}

/* In one piece, or cut anywhere. */
static bool send_batch(struct stress_client *client, struct resp_client *connection,
                       struct slice request)
{
    bool is_cut = random_below(&client->random, 8) == 0;
    while (request.size) {
        size_t size = is_cut ? 1 + random_below(&client->random, request.size) : request.size;
        if (!resp_client_send(connection, slice_make(request.data, size)))
            return false;
        request = slice_skip(request, size);
    }
    return true;
}

/* Compares one reply, and carries its operation out on the model. */
static bool take_reply(struct stress_client *client, const struct resp_reply *reply,
                       struct slice line)
{
    struct operation *operation = &client->pending[client->answered];
    struct buffer error = {0};
    operation->received_ms = wall_ms();
    bool is_fine = operation_apply(&client->model, operation, reply, line, &error);
    if (!is_fine) {
        fail(client, "a wrong reply");
        buffer_printf(&client->failure,
                      "%s of key %u in its database %u: ", operation_name(operation->kind),
                      operation->keys[0], operation->db);
        buffer_append_slice(&client->failure, buffer_slice(&error));
    }
    buffer_release(&error);
    client->answered++;
    client->operations++;
    return is_fine;
}

static bool take_replies(struct stress_client *client, enum wire wire,
                         struct resp_client *connection)
{
    while (client->answered < client->pending_count) {
        struct resp_reply reply = {0};
        struct slice line = {0};
        bool has_come = wire == WIRE_JSON ? resp_client_read_line(connection, &line)
                                          : resp_client_read(connection, &reply);
        if (!has_come)
            return lost(client);
        bool is_fine = take_reply(client, wire == WIRE_JSON ? NULL : &reply, line);
        resp_reply_release(&reply);
        if (!is_fine)
            return false;
    }
    return true;
}

/* The cursor's whole way; *names gets all keys as one array. */
static bool scan(struct stress_client *client, struct resp_client *connection,
                 struct resp_reply *names)
{
    char cursor[32] = "0", count[16];
    snprintf(count, sizeof(count), "%u", 1 + (unsigned)random_below(&client->random, 30));
    *names = (struct resp_reply){.type = '*'};
    do {
        struct resp_reply reply;
        if (!resp_client_call(connection, &reply, "SCAN", cursor, "COUNT", count) ||
            reply.count != 2 || reply.children[0].text.size >= sizeof(cursor)) {
            resp_reply_release(&reply);
            return false;
        }
        snprintf(cursor, sizeof(cursor), "%.*s", (int)reply.children[0].text.size,
                 (const char *)reply.children[0].text.data);
        struct resp_reply *page = &reply.children[1];
        names->children = memory_resize(names->children, (names->count + page->count + 1) *
                                                             sizeof(*names->children));
        if (page->count)
            memcpy(names->children + names->count, page->children,
                   page->count * sizeof(*page->children));
        names->count += page->count;
        page->count = 0; /* they are moved */
        resp_reply_release(&reply);
    } while (strcmp(cursor, "0") != 0);
    return true;
}

static bool run_scan(struct stress_client *client, struct resp_client *connection)
{
    struct resp_reply names;
    bool is_fine = scan(client, connection, &names) || lost(client);
    if (is_fine)
        is_fine = take_reply(client, &names, slice_make(NULL, 0));
    else
        client->answered = client->pending_count; /* nothing that a scan could have changed */
    resp_reply_release(&names);
    return is_fine;
}

/* A SCAN is many requests; what stands before it in the pipeline is a SELECT. */
static bool run_batch(struct stress_client *client, enum wire wire, struct resp_client *connection,
                      unsigned *db)
{
    struct buffer request = {0};
    make_batch(client, wire, db, &request);
    bool is_scan = client->pending[client->pending_count - 1].kind == OP_SCAN;
    if (is_scan) {
        struct operation scan_operation = client->pending[--client->pending_count];
        buffer_clear(&request);
        if (client->pending_count)
            operation_encode(&client->model, &client->pending[0], wire, &request);
        bool is_fine = (send_batch(client, connection, buffer_slice(&request)) || lost(client)) &&
                       take_replies(client, wire, connection);
        buffer_release(&request);
        if (!is_fine)
            return false;
        client->pending[client->pending_count++] = scan_operation;
        return run_scan(client, connection);
    }
    bool is_fine = (send_batch(client, connection, buffer_slice(&request)) || lost(client)) &&
                   take_replies(client, wire, connection);
    buffer_release(&request);
    return is_fine;
}

static bool run_connection(struct stress_client *client)
{
    struct resp_client connection;
    enum wire wire = (enum wire)random_below(&client->random, WIRE_COUNT);
    unsigned db = MODEL_SHARED;
    client->pending_count = client->answered = 0;
    if (!stress_connect(client->life, wire == WIRE_JSON, wire == WIRE_RESP3, &connection))
        return lost(client);
    client->connections[wire]++;
    uint64_t batches = 1 + random_below(&client->random, BATCHES_A_CONNECTION);
    bool is_fine = true;
    while (is_fine && batches-- > 0 && !atomic_load(&client->life->must_stop))
        is_fine = run_batch(client, wire, &connection, &db);
    resp_client_close(&connection);
    return is_fine;
}

void *stress_client_run(void *context)
{
    struct stress_client *client = context;
    while (!atomic_load(&client->life->must_stop) && run_connection(client))
        ;
    return NULL;
}

bool stress_client_check(struct stress_client *client, size_t *in_flight, size_t *happened)
{
    struct resp_client connection;
    struct buffer error = {0};
    *in_flight = client->pending_count - client->answered;
    *happened = 0;
    bool is_fine = stress_connect(client->life, false, false, &connection);
    if (is_fine)
        is_fine = model_compare(&client->model, &connection, client->pending + client->answered,
                                *in_flight, happened, &error);
    if (!is_fine) {
        fail(client, "its keys are not what they must be");
        buffer_printf(&client->failure,
                      "%zu operations were under way; the first difference when none, "
                      "one, two ... of them had happened:\n",
                      *in_flight);
        buffer_append_slice(&client->failure, buffer_slice(&error));
    }
    resp_client_close(&connection);
    buffer_release(&error);
    if (is_fine)
        client->pending_count = client->answered = 0;
    return is_fine;
}
