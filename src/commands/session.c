/* SPDX-License-Identifier: MIT */
/* The life of a session: bytes in, requests executed one after another, replies kept behind the
 * gate. What a request does is execute.c's business. */
#include "commands/session.h"

#include "base/memory.h"
#include "commands/service_state.h"
#include "commands/serving.h"

#include <assert.h>

enum {
    INLINE_BYTES_MAX = 64 * 1024,
    ARGUMENTS_MAX = 1024 * 1024,
    ARGUMENTS_KEPT_MAX = 1024,          /* as resp_request_reset has it */
    LINE_BYTES_MAX = 64 * 1024 * 1024,  /* JSON; a line may carry many entries */
    LINE_BYTES_MAX_UNKNOWN = 16 * 1024, /* before auth */
    JOIN_BYTES = 1024,                  /* copied at once to a partial request of unknown length */
    SET_ARGUMENT_CHUNK_BYTES = 256,
};

static const char denied_text[] =
    "DENIED Redis is running in protected mode because protected mode is enabled and no password "
    "is "
    "set for the default user. In this mode connections are only accepted from the loopback "
    "interface. If you want to connect from external computers to Redis you may adopt one of the "
    "following solutions: 1) Just disable protected mode sending the command 'CONFIG SET "
    "protected-mode no' from the loopback interface by connecting to Redis from the same host the "
    "server is running, however MAKE SURE Redis is not publicly accessible from internet if you do "
    "so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable "
    "the "
    "protected mode by editing the Redis configuration file, and setting the protected mode option "
    "to 'no', and then restarting the server. 3) If you started the server manually just for "
    "testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication "
    "password for the default user. NOTE: You only need to do one of the above things in order for "
    "the server to start accepting connections from the outside.";

/* ---- Life
 * ---------------------------------------------------------------------------------------- */

static void deny(struct session *session)
{
    session->state = SESSION_CLOSING;
    if (session->json)
        return;
    struct resp_writer writer = {.out = &session->output, .protocol = 2};
    resp_error(&writer, denied_text);
}

struct session *session_create(struct service *service, const struct session_options *options)
{
    struct session *session = memory_zeroed(1, sizeof *session);
    session->service = service;
    session->owner = options->owner;
    session->is_local = options->is_local;
    session->json = options->json;
    session->file_descriptor = options->file_descriptor;
    const char *address = options->address ? options->address : "";
    const char *local = options->local_address ? options->local_address : "";
    session->address = memory_copy(address, strlen(address) + 1);
    session->local_address = memory_copy(local, strlen(local) + 1);
    session->created_ms = env_wall_ms(service->env);
    atomic_init(&session->active_ms, session->created_ms);
    atomic_init(&session->protocol, 2);
    atomic_init(&session->transaction.shown, -1);
    atomic_init(&session->shown_redirect, -1);
    inbox_init(&session->inbox);
    session->authenticated = config_integer(service->config, CONFIG_requirepass) == 0;
    arena_init(&session->set_arguments, SET_ARGUMENT_CHUNK_BYTES);
    session->output.may_fail = session->work_output.may_fail = session->held.may_fail = true;
    session->served.may_fail = true;
    service_add_client(service, session);
    if (!session->is_local && session->authenticated &&
        config_integer(service->config, CONFIG_protected_mode))
        deny(session);
    return session;
}

/* Whoever is behind it in line is told, unless it was served or nothing was there for it. */
static void end_waiting(struct session *session)
{
    enum waiting state = session_stop_waiting(session);
    bool passes_on = session->passes_on ||
                     (state != WAITING_NOT && state != WAITING_SERVABLE && state != WAITING_SERVED);
    for (size_t i = 0; i < session->waiter_count; i++)
        waiters_remove(&session->service->waiters, &session->waiters[i]);
    if (passes_on && session->waiter_count > 0 && session->wait.serve)
        serving_pass_on(session);
    memory_free(session->waiters);
    session->waiters = NULL;
    session->waiter_count = 0;
    session->passes_on = false;
    if (session->served.capacity > 0)
        service_release_buffer(session->service, &session->served);
}

void session_request_end(struct session *session)
{
    if (atomic_load(&session->waiting) != WAITING_NOT || session->waiter_count > 0)
        end_waiting(session);
    session->resumed = false;
    session->deadline_us = 0;
    if (session->set_arguments.chunks)
        arena_release(&session->set_arguments);
    if (session->held.capacity > 0)
        service_release_buffer(session->service, &session->held);
    session->raw = slice_make(NULL, 0);
    if (session->request.capacity > ARGUMENTS_KEPT_MAX)
        resp_request_reset(&session->request);
}

void session_destroy(struct session *session)
{
    if (!session)
        return;
    session_request_end(session);
    transaction_end(session);
    pubsub_unsubscribe_all(session);
    tracking_turn_off(session);
    inbox_release(&session->inbox);
    service_remove_client(session->service, session);
    client_memory_forget(session);
    arena_release(&session->set_arguments);
    resp_request_release(&session->request);
    service_release_buffer(session->service, &session->input);
    service_release_buffer(session->service, &session->work_output);
    service_release_buffer(session->service, &session->output);
    buffer_release(&session->name);
    buffer_release(&session->library_name);
    buffer_release(&session->library_version);
    memory_free(session->marks);
    memory_free(session->address);
    memory_free(session->local_address);
    memory_free(session);
}

void *session_owner(const struct session *session)
{
    return session->owner;
}

enum session_state session_state(const struct session *session)
{
    return session->state;
}

bool session_is_authenticated(const struct session *session)
{
    return session->authenticated ||
           config_integer(session->service->config, CONFIG_requirepass) == 0;
}

/* ---- Parsing
 * ------------------------------------------------------------------------------------- */

size_t session_line_bytes_max(const struct session *session)
{
    return session_is_authenticated(session) ? LINE_BYTES_MAX : LINE_BYTES_MAX_UNKNOWN;
}

static struct slice trim_line(struct slice line)
{
    while (line.size > 0 && strchr(" \t\r\n", line.data[line.size - 1]) &&
           line.data[line.size - 1] != 0)
        line.size--;
    while (line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = slice_skip(line, 1);
    return line;
}

static void set_line(struct session *session, struct slice line)
{
    struct resp_request *request = &session->request;
    if (request->capacity == 0) {
        request->arguments = memory_allocate(sizeof *request->arguments);
        request->capacity = 1;
    }
    request->arguments[0] = line;
    request->count = line.size > 0 || session->line_dropped ? 1 : 0;
}

/* A browser's POST does not begin with {. */
static bool is_json_client(struct session *session, struct slice line)
{
    if (session->line_seen || line.size == 0)
        return true;
    session->line_seen = line.data[0] == '{';
    return session->line_seen;
}

static enum resp_result parse_line(struct session *session, struct slice input, size_t *consumed)
{
    session->request.error = NULL;
    if (!is_json_client(session, trim_line(input)))
        return RESP_BAD;
    size_t from = session->line_scanned < input.size ? session->line_scanned : input.size;
    const uint8_t *end =
        input.size > from ? memchr(input.data + from, '\n', input.size - from) : NULL;
    size_t size = end ? (size_t)(end - input.data) : input.size;
    session->line_dropped = size > session_line_bytes_max(session);
    if (!end) {
        session->line_scanned = input.size;
        return RESP_PARTIAL;
    }
    session->line_scanned = 0;
    *consumed = size + 1;
    set_line(session, session->line_dropped ? slice_make(input.data, 0)
                                            : trim_line(slice_make(input.data, size)));
    return RESP_CONSUMED;
}

static enum resp_result parse_request(struct session *session, struct slice input, size_t *consumed)
{
    if (session->json)
        return parse_line(session, input, consumed);
    struct resp_limits limits = {
        .bulk_bytes_max =
            (size_t)config_integer(session->service->config, CONFIG_proto_max_bulk_len),
        .inline_bytes_max = INLINE_BYTES_MAX,
        .arguments_max = ARGUMENTS_MAX,
        .authenticated = session_is_authenticated(session),
    };
    return resp_parse(input, &limits, &session->request, consumed);
}

/* A request that cannot be parsed, or not kept (RESP_NO_MEMORY): what follows it has no meaning. */
static void refuse_request(struct session *session, enum resp_result result)
{
    bool is_known = result == RESP_NO_MEMORY || session->request.error;
    size_t start = session->output.size;
    struct resp_writer writer = {.out = &session->output, .protocol = 2};
    session->state = SESSION_CLOSING;
    if (!is_known)
        return;
    if (result == RESP_NO_MEMORY)
        resp_error(&writer, "ERR out of memory");
    else
        resp_errorf(&writer, "ERR Protocol error: %s", session->request.error);
    if (session->output.failed)
        session->output.size = start;
    session->output.failed = false;
    service_count_error(session->service, slice_from("-ERR"));
}

/* ---- Running
 * ------------------------------------------------------------------------------------- */

bool session_hold_request(struct session *session)
{
    struct slice raw = session->raw;
    if (session->held.size > 0)
        return true;
    assert(raw.size > 0);
    if (session->input_is_partial && raw.data == session->input.data) {
        /* It was completed there, and nothing of value stands behind it (join_partial). */
        session->held = session->input;
        session->held.size = raw.size;
        session->held.may_fail = true;
        session->input = (struct buffer){0};
        session->raw = raw;
        return true;
    }
    buffer_append_slice(&session->held, raw);
    if (session->held.failed) {
        session->held.failed = false;
        return false;
    }
    struct resp_request *request = &session->request;
    for (size_t i = 0; i < request->count; i++) {
        const uint8_t *data = request->arguments[i].data;
        if (data >= raw.data && data <= raw.data + raw.size)
            request->arguments[i].data = session->held.data + (data - raw.data);
    }
    session->raw = buffer_slice(&session->held);
    return true;
}

/* After a request has ended, or has not. */
static void settle(struct session *session, enum execution execution)
{
    switch (execution) {
    case EXECUTION_PARKED:
        session->state = SESSION_PARKED;
        session->work_done = false;
        break;
    case EXECUTION_BLOCKED:
        session->state = SESSION_BLOCKED;
        break;
    case EXECUTION_DONE:
        session->state = session->closing ? SESSION_CLOSING : SESSION_READY;
        session->line_dropped = false;
        session_request_end(session);
        if (session->reply_over_limit) {
            session_over_output_limit(session);
            session->state = SESSION_CLOSING;
        }
        break;
    }
    atomic_store_explicit(&session->is_blocked, session->state == SESSION_BLOCKED,
                          memory_order_relaxed);
}

/* What one feed or resume executes. */
struct feed {
    struct service_thread *thread;
    lsn_t lsn; /* the newest that its replies reveal */
};

/* By the clock as the last request has left it: no look of its own. */
static bool is_turn_over(const struct session *session, const struct feed *feed)
{
    uint64_t turn_us_max = session->service->host.turn_ms_max * UINT64_C(1000);
    return turn_us_max > 0 && feed->thread->clock_us - feed->thread->feed_us >= turn_us_max;
}

static void execute_parsed(struct session *session, struct feed *feed, struct slice raw)
{
    if (session->request.count == 0)
        return;
    session->raw = raw;
    session_output_prepare(session);
    settle(session, session_execute(session, feed->thread, true, &session->output, &feed->lsn));
}

/* The partial request at the start of `rest` needs more bytes, unless it is thrown away. */
static size_t keep_partial(struct session *session, struct slice rest)
{
    session->input_is_partial = !session->line_dropped;
    return session->line_dropped ? rest.size : 0;
}

/* Executes the complete requests at the start of `input`; returns how many bytes are used up. */
static size_t execute_all(struct session *session, struct feed *feed, struct slice input)
{
    size_t used = 0, looked_until = 0;
    session->input_is_partial = false;
    while (session->state == SESSION_READY && used < input.size &&
           !session_output_is_full(session)) {
        if (is_turn_over(session, feed)) {
            session->has_given_way = true;
            break;
        }
        struct slice rest = slice_skip(input, used);
        if (used > 0 && used >= looked_until)
            looked_until = used + session_look_ahead(session, feed->thread, rest);
        size_t consumed = 0;
        enum resp_result result = parse_request(session, rest, &consumed);
        switch (result) {
        case RESP_PARTIAL:
            return used + keep_partial(session, rest);
        case RESP_BAD:
        case RESP_NO_MEMORY:
            refuse_request(session, result);
            return input.size;
        case RESP_CONSUMED:
            used += consumed;
            execute_parsed(session, feed, slice_make(rest.data, consumed));
            break;
        }
    }
    return used;
}

/* How much of the new bytes to put behind the partial request: what it lacks, if that is known. */
static size_t join_size(const struct session *session, struct slice bytes)
{
    size_t size = JOIN_BYTES;
    if (session->json) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
        size = end ? (size_t)(end - bytes.data) + 1 : bytes.size;
    } else if (session->request.bytes_needed > session->input.size) {
        size = session->request.bytes_needed - session->input.size;
    }
    return size < bytes.size ? size : bytes.size;
}

static void clear_input(struct session *session)
{
    buffer_clear(&session->input);
    session->input_is_partial = false;
    if (session->input.capacity > INPUT_KEPT_BYTES)
        service_release_buffer(session->service, &session->input);
}

/* client-query-buffer-limit; false: the session ends. */
static bool may_keep(struct session *session, size_t more)
{
    size_t limit =
        (size_t)config_integer(session->service->config, CONFIG_client_query_buffer_limit);
    bool fits = session->input.size + more <= limit;
    if (fits && buffer_try_reserve(&session->input, more) == STATUS_OK)
        return true;
    env_log(session->service->env, LOG_WARNING, "Closing client %s: id=%llu addr=%s",
            fits ? "whose query buffer finds no memory" : "that reached max query buffer length",
            (unsigned long long)session->id, session->address);
    session->is_over_limit = true;
    if (session->state == SESSION_READY)
        session->state = SESSION_CLOSING;
    return false;
}

/* Completes the partial request in `input` with the start of the bytes and executes it, so that the
 * bytes behind it need no copy. Returns how many are used up; all of them when it is still partial.
 */
static size_t join_partial(struct session *session, struct feed *feed, struct slice bytes)
{
    struct buffer *input = &session->input;
    size_t kept = input->size, used = 0;
    while (used < bytes.size) {
        struct slice rest = slice_skip(bytes, used);
        size_t size = join_size(session, rest);
        if (!may_keep(session, size)) {
            clear_input(session);
            return bytes.size;
        }
        buffer_append(input, rest.data, size);
        used += size;
        size_t consumed = 0;
        enum resp_result result = parse_request(session, buffer_slice(input), &consumed);
        switch (result) {
        case RESP_PARTIAL:
            if (keep_partial(session, rest) > 0) {
                clear_input(session);
                return bytes.size;
            }
            break;
        case RESP_BAD:
        case RESP_NO_MEMORY:
            refuse_request(session, result);
            clear_input(session);
            return bytes.size;
        case RESP_CONSUMED:
            assert(consumed >= kept);
            execute_parsed(session, feed, slice_make(input->data, consumed));
            clear_input(session);
            return consumed - kept;
        }
    }
    return used;
}

/* The rest of a JSON line over the limit is thrown away; its end brings the error reply. */
static size_t drop_line(struct session *session, struct feed *feed, struct slice bytes)
{
    const uint8_t *end = bytes.size ? memchr(bytes.data, '\n', bytes.size) : NULL;
    if (!end)
        return bytes.size;
    set_line(session, slice_make(bytes.data, 0));
    session->line_scanned = 0;
    execute_parsed(session, feed, slice_make(NULL, 0));
    return (size_t)(end - bytes.data) + 1;
}

static void keep_input(struct session *session, struct slice bytes)
{
    if (bytes.size > 0 && session->state != SESSION_CLOSING && may_keep(session, bytes.size))
        buffer_append_slice(&session->input, bytes);
}

static void feed_bytes(struct session *session, struct feed *feed, struct slice bytes)
{
    session->has_given_way = false;
    if (session->input.size > 0 && !session->input_is_partial) {
        keep_input(session, bytes);
        size_t used = execute_all(session, feed, buffer_slice(&session->input));
        if (used == session->input.size)
            buffer_clear(&session->input);
        else
            buffer_consume(&session->input, used);
        return;
    }
    size_t used = 0;
    if (session->line_dropped)
        used = drop_line(session, feed, bytes);
    else if (session->input.size > 0)
        used = join_partial(session, feed, bytes);
    if (session->state == SESSION_READY && session->input.size == 0)
        used += execute_all(session, feed, slice_skip(bytes, used));
    keep_input(session, slice_skip(bytes, used));
}

/* When the peer has ended and everything whole is executed. */
static void end_if_finished(struct session *session, struct feed *feed)
{
    bool has_rest = session->input.size > 0 || session->line_dropped;
    if (!session->input_ended || session->state != SESSION_READY ||
        (session->input.size > 0 && !session->input_is_partial))
        return;
    if (session->json && has_rest)
        session_execute_half_line(session, feed->thread, &session->output);
    session->state = SESSION_CLOSING;
}

static enum session_state feed_end(struct session *session, struct feed *feed)
{
    end_if_finished(session, feed);
    service_thread_unlock(feed->thread);
    feed->thread->clock_us = 0;
    session_mark_output(session, feed->lsn);
    atomic_store_explicit(&session->input_bytes, session->input.size, memory_order_relaxed);
    client_memory_count(session);
    return session->state;
}

/* ---- The door
 * ------------------------------------------------------------------------------------ */

static struct feed feed_begin(struct session *session)
{
    struct service *service = session->service;
    struct service_thread *thread = service_thread(service);
    thread->feed_ms = env_wall_ms(service->env);
    thread->feed_us = thread->clock_us = env_monotonic_us(service->env);
    return (struct feed){.thread = thread};
}

enum session_state session_feed(struct session *session, struct slice bytes)
{
    struct feed feed = feed_begin(session);
    if (bytes.size > 0) {
        struct service_stats *stats = &session->service->stats;
        atomic_fetch_add_explicit(&stats->net_input_bytes, bytes.size, memory_order_relaxed);
        atomic_fetch_add_explicit(&stats->reads, 1, memory_order_relaxed);
        atomic_store_explicit(&session->active_ms, feed.thread->feed_ms, memory_order_relaxed);
    }
    if (session->state != SESSION_READY) {
        feed.thread->clock_us = 0;
        keep_input(session, bytes);
        client_memory_count(session);
        return session->state;
    }
    feed_bytes(session, &feed, bytes);
    return feed_end(session, &feed);
}

void session_work(struct session *session)
{
    assert(session->state == SESSION_PARKED);
    assert(!atomic_load(&session->work_done));
    struct service_thread *thread = service_thread(session->service);
    session->work_lsn = 0;
    session->work_result =
        session_execute(session, thread, false, &session->work_output, &session->work_lsn);
    service_thread_unlock(thread);
    thread->clock_us = 0;
    assert(session->work_result != EXECUTION_PARKED);
    atomic_store_explicit(&session->work_done, true, memory_order_release);
}

static void take_work(struct session *session)
{
    if (session->output.size == 0) {
        struct buffer empty = session->output;
        session->output = session->work_output;
        session->work_output = empty;
    } else {
        buffer_append_slice(&session->output, buffer_slice(&session->work_output));
        buffer_clear(&session->work_output);
        if (session->output.failed)
            session_lose_reply(session);
        session->output.failed = false;
    }
    service_release_buffer(session->service, &session->work_output);
    (void)client_memory_build(session, 0); /* there is always room for less */
    session_mark_output(session, session->work_lsn);
    settle(session, session->work_result);
}

/* A request that waits ends with what has come of it, or the time being over. */
static void end_blocked(struct session *session, struct feed *feed, enum waiting end)
{
    if (end == WAITING_KILLED)
        session->closing = true;
    else
        session_execute_end(session, feed->thread, end, &session->output, &feed->lsn);
    settle(session, EXECUTION_DONE);
}

/* It was woken. */
static void go_on(struct session *session, struct feed *feed)
{
    enum waiting state = WAITING_NOT;
    if (session->waits_for_pause)
        session->deadline_us = 0;
    else
        state = session_look(session);
    if (state == WAITING_SERVED || state >= WAITING_TOLD_TIMEOUT) {
        end_blocked(session, feed, state);
        return;
    }
    session->resumed = !session->waits_for_pause;
    session->waits_for_pause = false;
    settle(session, session_execute(session, feed->thread, true, &session->output, &feed->lsn));
}

enum session_state session_resume(struct session *session)
{
    struct feed feed = feed_begin(session);
    if (session->state == SESSION_PARKED) {
        if (!atomic_load_explicit(&session->work_done, memory_order_acquire))
            return session->state;
        take_work(session);
    } else if (session->state == SESSION_BLOCKED) {
        go_on(session, &feed);
    }
    if (session->state == SESSION_READY)
        feed_bytes(session, &feed, slice_make(NULL, 0));
    return feed_end(session, &feed);
}

void session_deliver(struct session *session)
{
    lsn_t lsn = 0;
    /* An invalidation must not pass the reply that a worker makes now. */
    bool waits = session->state == SESSION_PARKED &&
                 atomic_load_explicit(&session->is_tracking, memory_order_relaxed);
    if (session->state == SESSION_CLOSING || waits)
        return;
    if (!inbox_take(&session->inbox, &session->output, &lsn) || session->output.failed)
        session_over_output_limit(session);
    session->output.failed = false;
    session_mark_output(session, lsn);
    client_memory_count(session);
}

bool session_send_messages(struct session *session, lsn_t acked,
                           size_t (*send)(void *context, struct slice bytes), void *context,
                           size_t *sent)
{
    bool all = inbox_send(&session->inbox, acked, send, context, sent);
    if (*sent > 0)
        session_count_sent(session, *sent);
    return all;
}

void session_take_messages(struct command_context *c)
{
    struct session *session = c->session;
    if (session_subscription_count(session) > 0 &&
        !inbox_take(&session->inbox, c->reply->out, &session->taken_lsn))
        session_over_output_limit(session);
}

void session_drop_reply(struct session *session, struct buffer *out, size_t start)
{
    if (session->replies == SESSION_REPLIES_SKIP) {
        out->size = start; /* of the SKIP itself: nothing */
        session->replies = SESSION_REPLIES_SKIPS;
        return;
    }
    out->size = start;
    if (session->replies == SESSION_REPLIES_SKIPS)
        session->replies = SESSION_REPLIES_ON;
}

size_t session_subscription_count(const struct session *session)
{
    size_t count = 0;
    for (int kind = 0; kind < PUBSUB_MONITOR; kind++)
        count += atomic_load_explicit(&session->subscriptions[kind].shown, memory_order_relaxed);
    return count;
}

bool session_is_subscribed(const struct session *session)
{
    return session_subscription_count(session) > 0;
}

enum session_state session_end_input(struct session *session)
{
    session->input_ended = true;
    struct feed feed = {.thread = service_thread(session->service)};
    return feed_end(session, &feed);
}

size_t session_input_bytes(const struct session *session)
{
    return session->input.size;
}

uint64_t session_deadline_us(const struct session *session)
{
    return session->state == SESSION_BLOCKED ? session->deadline_us : 0;
}

enum session_state session_timeout(struct session *session)
{
    if (session->state != SESSION_BLOCKED || session->deadline_us == 0 ||
        env_monotonic_us(session->service->env) < session->deadline_us)
        return session->state;
    if (session->waits_for_pause)
        return session_resume(session);
    struct feed feed = feed_begin(session);
    enum waiting state = session_stop_waiting(session);
    bool has_end = state == WAITING_SERVED || state >= WAITING_TOLD_TIMEOUT;
    session->passes_on =
        state == WAITING_LOOKS || state == WAITING_AGAIN || state >= WAITING_TOLD_TIMEOUT;
    end_blocked(session, &feed, has_end ? state : WAITING_TOLD_TIMEOUT);
    if (session->state == SESSION_READY)
        feed_bytes(session, &feed, slice_make(NULL, 0));
    return feed_end(session, &feed);
}

unsigned session_delay_us(const struct session *session)
{
    return session->state == SESSION_PARKED ? session->delay_us : 0;
}
