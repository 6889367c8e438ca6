/* SPDX-License-Identifier: MIT */
/* Reading: into the loop's shared buffer, straight into session_feed. The socket is read as long as
 * the session executes what it gets; see may_read.
 *
 * Sending: from the session's output, without a copy, straight to the socket; when the socket takes no more,
 * the rest (at most CONNECTION_SEND_BYTES_MAX) is copied to `sending`, which lives until uv_write's
 * callback. Nothing else is sent meanwhile. Small replies that wait for a sync go to the outbox, and the rest
 * of a parcel that the socket did not take goes the same way.
 *
 * With TLS, records stand between the socket and the session: what comes is opened into the loop's buffer, and
 * fed from there; what the gate lets go is put into records when it is sent, in pieces, as long as the socket
 * takes them. So replies that are held are plaintext, and their records are few. */
#include "server/connection.h"

#include "base/memory.h"
#include "commands/session.h"
#include "server/server.h"
#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum connection_phase { CONNECTION_OPEN, CONNECTION_FINISHING, CONNECTION_CLOSING };
enum event {
    EVENT_WAKE = 1,
    EVENT_DISCONNECT = 2,
    EVENT_WORK_DONE = 4,
    EVENT_EVICT = 8,
    EVENT_DELIVER = 16,
    EVENT_PARCEL_LEFT = 32
};

struct connection {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    uv_timer_t timer; /* BLOCKED: the deadline; PARKED: the delay of a held-back write */
    uv_write_t write;
    struct loop *loop;
    struct session *session;
    struct tls_session *tls;    /* NULL: none, or it could not be made */
    struct link all_link, link; /* in loop.connections; in loop.dirty or loop.held */
    struct link waiting_link;   /* in loop.waiting while its session has given way */
    struct buffer sending;      /* owned by uv_write while `is_writing`; with TLS, records */
    struct parcel parcel;       /* while it is out nothing else is sent */
    enum connection_phase phase;
    bool is_reading, is_writing;
    bool is_at_work; /* a worker has, or will get, the session */
    bool was_woken;  /* a wake came while a worker was at it, which may have looked too early */
    bool has_ended;  /* the peer sends no more */
    bool was_paused; /* session_is_paused, when it was last given something to do */
    bool is_offered; /* other loops may send it messages (reach_for_messages) */
    bool is_cut; /* one of them has sent a part; guarded by the loop's lock while it is offered */
    int file_descriptor;
    unsigned open_handles;
    uint64_t opened_ms;    /* uv_now */
    uint64_t active_ms;    /* uv_now of the last byte */
    uint64_t read_round;   /* of the loop, in which it read last */
    struct loop_task task; /* its events: enum event */
    struct worker_job job;
    char address[128];
};

struct connection *connection_of_link(struct link *link)
{
    return LINK_OWNER(link, struct connection, link);
}

struct connection *connection_of_parcel(struct parcel *parcel)
{
    return LINK_OWNER(parcel, struct connection, parcel);
}

struct connection *connection_of_waiting_link(struct link *link)
{
    return LINK_OWNER(link, struct connection, waiting_link);
}

struct connection *connection_of_all_link(struct link *link)
{
    return LINK_OWNER(link, struct connection, all_link);
}

static struct server *server_of(const struct connection *connection)
{
    return connection->loop->server;
}

/* What was taken from the session's output is not with the client yet. */
static bool is_sending(const struct connection *connection)
{
    return connection->is_writing || connection->parcel.is_out;
}

/* Straight to the socket: libuv makes a request of it first, and calls write(2), which looks for a file position.
 * Nothing is on its way already. 0: it takes nothing now, -1: it is broken. */
static ssize_t send_now(const struct connection *connection, struct slice bytes)
{
    ssize_t sent =
        send(connection->file_descriptor, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? 0 : -1;
}

/* Not before the handshake of TLS is complete. */
static bool may_talk(const struct connection *connection)
{
    return !connection->tls || tls_session_was_open(connection->tls);
}

/* ---- Messages that other loops send ------------------------------------------------------------ */

/* A subscriber that has nothing to do and was sent everything is offered to the other loops: one that has messages
 * for it alone sends them itself, instead of waking this loop for that. The offer ends before anything else is
 * done with the connection. */

static size_t send_message(void *context, struct slice bytes)
{
    ssize_t sent = send_now(context, bytes);
    return sent > 0 ? (size_t)sent : 0; /* what has failed fails again on its own loop */
}

static bool reach_for_messages(struct loop_task *task, unsigned events)
{
    struct connection *connection = LINK_OWNER(task, struct connection, task);
    if (events != EVENT_DELIVER)
        return false;
    size_t sent = 0;
    bool all = session_send_messages(connection->session, gate_acked(server_of(connection)->gate),
                                     send_message, connection, &sent);
    connection->is_cut = !all && (sent > 0 || connection->is_cut);
    return all;
}

static void offer(struct connection *connection)
{
    if (connection->is_offered || server_of(connection)->loop_count == 1 || connection->tls ||
        connection->phase != CONNECTION_OPEN || connection->has_ended || connection->is_at_work ||
        session_state(connection->session) != SESSION_READY ||
        session_has_given_way(connection->session) || !session_is_subscribed(connection->session))
        return;
    connection->is_offered = true;
    loop_set_reach(connection->loop, &connection->task, reach_for_messages);
}

static void take_back(struct connection *connection)
{
    if (!connection->is_offered)
        return;
    connection->is_offered = false;
    loop_set_reach(connection->loop, &connection->task, NULL);
    if (!connection->is_cut)
        return;
    connection->is_cut = false;
    session_deliver(connection->session); /* the rest, before any reply */
    link_append(&connection->loop->dirty, &connection->link);
}

/* ---- The end ---------------------------------------------------------------------------------- */

static void free_if_done(struct connection *connection)
{
    if (connection->open_handles > 0 || connection->is_at_work)
        return;
    loop_cancel(connection->loop, &connection->task);
    link_remove(&connection->all_link);
    connection->loop->connection_count--;
    atomic_fetch_sub(&server_of(connection)->client_count, 1);
    buffer_release(&connection->sending);
    parcel_release(&connection->parcel);
    tls_session_destroy(connection->tls);
    memory_free(connection);
}

/* While the session exists, other threads may wake it; after it, nobody knows the connection. */
static void destroy_session(struct connection *connection)
{
    if (connection->session && !connection->is_at_work) {
        session_destroy(connection->session);
        connection->session = NULL;
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    connection->open_handles--;
    free_if_done(connection);
}

static void close_now(struct connection *connection)
{
    if (connection->phase == CONNECTION_CLOSING)
        return;
    take_back(connection);
    outbox_take_back(&connection->loop->outbox, &connection->parcel);
    connection->phase = CONNECTION_CLOSING;
    if (uv_is_active((uv_handle_t *)&connection->timer))
        connection->is_at_work = false; /* its delay was not over: no worker has it */
    destroy_session(connection);
    link_remove(&connection->link);
    link_remove(&connection->waiting_link);
    connection->is_reading = false;
    uv_close(&connection->handle, on_closed);
    uv_close((uv_handle_t *)&connection->timer, on_closed);
}

/* Sends what there is first. */
static void finish(struct connection *connection)
{
    if (connection->phase == CONNECTION_OPEN)
        connection->phase = CONNECTION_FINISHING;
}

/* ---- What follows from the session's state ---------------------------------------------------- */

static void on_readable(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);
static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer);
static void on_timer(uv_timer_t *timer);

static size_t unsent_records_bytes(const struct connection *connection)
{
    return connection->sending.size +
           (connection->tls ? tls_session_output(connection->tls)->size : 0);
}

static bool may_read(const struct connection *connection)
{
    /* A handshake goes on whatever the session has to say: a refusal is sent behind it. */
    if (!may_talk(connection))
        return connection->phase != CONNECTION_CLOSING && !connection->has_ended &&
               unsent_records_bytes(connection) <= CONNECTION_OUTPUT_HELD_MAX;
    if (connection->phase != CONNECTION_OPEN || connection->has_ended ||
        session_is_paused(connection->session) || session_has_given_way(connection->session))
        return false;
    bool is_waiting = session_state(connection->session) != SESSION_READY;
    if (is_waiting && session_input_bytes(connection->session) > CONNECTION_INPUT_KEPT_MAX)
        return false;
    return session_output(connection->session).size + unsent_records_bytes(connection) <=
           CONNECTION_OUTPUT_HELD_MAX;
}

static void update_reading(struct connection *connection)
{
    bool may = may_read(connection);
    if (may == connection->is_reading)
        return;
    connection->is_reading = may;
    if (may)
        (void)uv_read_start(&connection->stream, on_allocate, on_readable); /* an open stream */
    else
        uv_read_stop(&connection->stream);
}

static void run_job(struct worker_job *job)
{
    struct connection *connection = LINK_OWNER(job, struct connection, job);
    session_work(connection->session);
    loop_post(connection->loop, &connection->task, EVENT_WORK_DONE);
}

static void start_timer(struct connection *connection, uint64_t delay_us)
{
    uint64_t delay_ms = (delay_us + 999) / 1000;
    /* uv_timer counts from the iteration's start. */
    uv_update_time(&connection->loop->uv);
    uv_timer_start(&connection->timer, on_timer, delay_ms ? delay_ms : 1, 0);
}

static void start_work(struct connection *connection)
{
    unsigned delay_us = session_delay_us(connection->session);
    connection->is_at_work = true;
    if (delay_us > 0)
        start_timer(connection, delay_us);
    else
        workers_submit(server_of(connection)->workers, &connection->job);
}

static void start_waiting(struct connection *connection)
{
    uint64_t deadline_us = session_deadline_us(connection->session);
    if (deadline_us == 0)
        return;
    uint64_t now_us = env_monotonic_us(server_of(connection)->env);
    start_timer(connection, deadline_us > now_us ? deadline_us - now_us : 0);
}

/* After every call that may have changed the session. */
static void advance(struct connection *connection, enum session_state state)
{
    loop_send_wakes(connection->loop);
    if (state == SESSION_PARKED && !connection->is_at_work)
        start_work(connection);
    else if (state == SESSION_CLOSING || (state == SESSION_BLOCKED && connection->has_ended))
        finish(connection);
    else if (state == SESSION_BLOCKED)
        start_waiting(connection);
    if (session_is_over_limit(connection->session)) {
        close_now(connection);
        return;
    }
    connection->was_paused = session_is_paused(connection->session);
    if (session_has_given_way(connection->session))
        link_append(&connection->loop->waiting, &connection->waiting_link);
    if (session_output(connection->session).size > 0 || connection->phase == CONNECTION_FINISHING)
        link_append(&connection->loop->dirty, &connection->link);
    update_reading(connection);
}

/* ---- Reading ---------------------------------------------------------------------------------- */

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct connection *connection = handle->data;
    struct loop *loop = connection->loop;
    loop_enter(loop);
    /* libuv would read up to 32 times as long as there is something: a client that floods would hold up
     * the others. One read a round; no room makes libuv come back with the next iteration. */
    size_t size = loop_read_bytes(loop, &connection->read_round);
    *buffer = uv_buf_init(size ? (char *)loop->read_buffer : NULL, (unsigned)size);
}

/* The peer has sent its last byte: who waits for something to come does not wait for it any more. */
static void end_input(struct connection *connection)
{
    connection->has_ended = true;
    if (session_state(connection->session) == SESSION_BLOCKED)
        close_now(connection);
    else
        advance(connection, session_end_input(connection->session));
}

static void give_up_tls(struct connection *connection)
{
    env_log(server_of(connection)->env, LOG_VERBOSE, "TLS with the client %s has failed: %s",
            connection->address, tls_session_failure(connection->tls));
    struct buffer *alert = tls_session_output(connection->tls);
    if (alert->size > 0 && !connection->is_writing)
        (void)send_now(connection, buffer_slice(alert)); /* it closes in any case */
    close_now(connection);
}

static void take_records(struct connection *connection, struct slice records)
{
    struct buffer *plaintext = &connection->loop->plaintext;
    buffer_clear(plaintext);
    enum tls_state state = tls_session_feed(connection->tls, records, plaintext);
    if (plaintext->size > 0 && connection->phase == CONNECTION_OPEN)
        advance(connection, session_feed(connection->session, buffer_slice(plaintext)));
    if (connection->phase == CONNECTION_CLOSING)
        return;
    if (state == TLS_FAILED) {
        give_up_tls(connection);
        return;
    }
    if (state == TLS_ENDED)
        end_input(connection);
    if (connection->phase == CONNECTION_CLOSING)
        return;
    /* Answers of TLS; or the handshake is complete, and replies or an end have waited for that. */
    if (tls_session_output(connection->tls)->size > 0 ||
        session_output(connection->session).size > 0)
        link_append(&connection->loop->dirty, &connection->link);
    update_reading(connection);
}

/* Large replies are sent as soon as they are made, while they are in the processor's caches and before those of
 * others push them out, if nothing of them must wait. The session goes on where it was paused. */
static void send_early(struct connection *connection)
{
    uint64_t end_ns = connection->loop->looked_ns + CONNECTION_EARLY_NS;
    while (connection->phase == CONNECTION_OPEN && !is_sending(connection) && !connection->tls) {
        size_t size = session_output(connection->session).size;
        if (size < CONNECTION_EARLY_BYTES)
            return;
        lsn_t acked = gate_acked(server_of(connection)->gate);
        if (session_output_released(connection->session, acked) < size)
            return;
        link_remove(&connection->link);
        connection_flush(connection, acked);
        if (uv_hrtime() > end_ns)
            return;
    }
}

static void on_readable(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    take_back(connection);
    if (count > 0) {
        struct slice bytes = slice_make(buffer->base, (size_t)count);
        connection->active_ms = uv_now(&connection->loop->uv);
        if (connection->tls)
            take_records(connection, bytes);
        else
            advance(connection, session_feed(connection->session, bytes));
        send_early(connection);
    } else if (count == UV_EOF && may_talk(connection)) {
        end_input(connection);
    } else if (count == UV_EOF) {
        close_now(connection);
    } else if (count < 0 && count != UV_ENOBUFS) { /* that is on_allocate's */
        close_now(connection);
    }
}

/* ---- Sending ---------------------------------------------------------------------------------- */

static void on_written(uv_write_t *write, int error)
{
    struct connection *connection = write->data;
    loop_enter(connection->loop);
    connection->is_writing = false;
    connection->sending.size = 0;
    if (connection->phase == CONNECTION_CLOSING)
        return;
    if (error) {
        close_now(connection);
        return;
    }
    buffer_release(&connection->sending); /* slow clients are few; do not keep a mebibyte each */
    session_set_unsent(connection->session, 0);
    connection->active_ms = uv_now(&connection->loop->uv);
    link_append(&connection->loop->dirty, &connection->link);
}

/* Hands the front of `rest` to libuv; returns the bytes taken, -1 after a failure. */
static ssize_t send_later(struct connection *connection, struct slice rest)
{
    size_t size = rest.size < CONNECTION_SEND_BYTES_MAX ? rest.size : CONNECTION_SEND_BYTES_MAX;
    buffer_append(&connection->sending, rest.data, size);
    uv_buf_t buffer = uv_buf_init((char *)connection->sending.data, (unsigned)size);
    if (uv_write(&connection->write, &connection->stream, &buffer, 1, on_written) != 0)
        return -1;
    connection->is_writing = true;
    return (ssize_t)size;
}

/* Sends up to `count` bytes of the output. false: the connection is broken. */
static bool send_output(struct connection *connection, size_t count)
{
    ssize_t sent =
        send_now(connection, slice_make(session_output(connection->session).data, count));
    if (sent < 0)
        return false;
    if ((size_t)sent < count) {
        const uint8_t *data = session_output(connection->session).data;
        ssize_t later = send_later(connection, slice_make(data + sent, count - (size_t)sent));
        if (later < 0)
            return false;
        sent += later;
        session_set_unsent(connection->session, (size_t)later);
    }
    session_output_consume(connection->session, (size_t)sent);
    return true;
}

/* The records that the socket has left; they are few, and all of them go. false: the connection
 * is broken. */
static bool send_records_later(struct connection *connection, size_t sent)
{
    struct buffer *records = tls_session_output(connection->tls);
    assert(connection->sending.size == 0 && !connection->is_writing);
    buffer_release(&connection->sending);
    connection->sending = *records;
    *records = (struct buffer){0};
    size_t rest = connection->sending.size - sent;
    uv_buf_t buffer = uv_buf_init((char *)connection->sending.data + sent, (unsigned)rest);
    if (uv_write(&connection->write, &connection->stream, &buffer, 1, on_written) != 0)
        return false;
    connection->is_writing = true;
    session_set_unsent(connection->session, rest);
    return true;
}

/* Puts up to `count` bytes of the output into records, and sends these and what TLS itself has to
 * say, until the socket takes no more. false: the connection is broken. */
static bool send_records(struct connection *connection, size_t count)
{
    struct buffer *records = tls_session_output(connection->tls);
    const uint8_t *data = session_output(connection->session).data;
    size_t limit = count < CONNECTION_SEND_BYTES_MAX ? count : CONNECTION_SEND_BYTES_MAX, done = 0;
    bool ok = true;
    while (ok && !connection->is_writing) {
        size_t size =
            limit - done < CONNECTION_RECORDS_BYTES ? limit - done : CONNECTION_RECORDS_BYTES;
        if (size > 0 && !tls_session_send(connection->tls, slice_make(data + done, size)))
            return false;
        done += size;
        if (records->size == 0)
            break;
        ssize_t sent = send_now(connection, buffer_slice(records));
        if (sent == (ssize_t)records->size)
            buffer_clear(records);
        else
            ok = sent >= 0 && send_records_later(connection, (size_t)sent);
    }
    if (records->capacity > CONNECTION_RECORDS_KEPT_MAX && records->size == 0)
        buffer_release(records);
    if (done > 0)
        session_output_consume(connection->session, done);
    if (ok && done < count && !connection->is_writing)
        link_append(&connection->loop->dirty, &connection->link);
    return ok;
}

/* Sends up to `count` bytes, what the gate lets go. false: the connection is broken. */
static bool send_released(struct connection *connection, size_t count)
{
    if (is_sending(connection))
        return true;
    if (connection->tls)
        return send_records(connection, may_talk(connection) ? count : 0);
    return count == 0 || send_output(connection, count);
}

/* All was sent, and TLS tells the peer so. false: that word has to wait for the socket. */
static bool has_said_end(struct connection *connection)
{
    if (!connection->tls)
        return true;
    tls_session_finish(connection->tls);
    return !send_records(connection, 0) || !connection->is_writing;
}

/* ---- Parcels ----------------------------------------------------------------------------------- */

static void on_parcel_left(struct parcel *parcel)
{
    struct connection *connection = connection_of_parcel(parcel);
    loop_post(connection->loop, &connection->task, EVENT_PARCEL_LEFT);
}

/* false: no, it is too large, or there is no memory. */
static bool put_into_outbox(struct connection *connection)
{
    struct slice output = session_output(connection->session);
    struct loop *loop = connection->loop;
    if (connection->tls || connection->phase != CONNECTION_OPEN ||
        output.size > PARCEL_BYTES_MAX ||
        !outbox_put(&loop->outbox, &connection->parcel, output,
                    session_output_awaits_all(connection->session)))
        return false;
    loop->has_parcels = true;
    session_output_consume(connection->session, output.size);
    session_set_unsent(connection->session, output.size);
    return true;
}

/* What outbox_collect has said. false: the connection is broken. */
static bool end_parcel(struct connection *connection, enum parcel_state state)
{
    const struct parcel *parcel = &connection->parcel;
    ssize_t later = 0;
    if (state == PARCEL_LEFT)
        later = send_later(connection, slice_skip(buffer_slice(&parcel->bytes), parcel->sent));
    if (state == PARCEL_LEFT || state == PARCEL_SENT)
        session_set_unsent(connection->session, later > 0 ? (size_t)later : 0);
    return later >= 0;
}

/* Nothing of the output may go now, or it is the others' turn first. Who has more to send, or to close, behind a
 * parcel looks at it again when the gate has moved. */
static void after_flush(struct connection *connection)
{
    bool is_empty = session_output(connection->session).size == 0;
    bool is_out = connection->parcel.is_out;
    bool ends = connection->phase == CONNECTION_FINISHING && !connection->is_at_work &&
                !session_has_given_way(connection->session);
    if (connection->is_writing || !link_is_alone(&connection->link) ||
        (!is_empty && !may_talk(connection)))
        return;
    if (is_empty && !is_out) {
        if (ends && has_said_end(connection))
            close_now(connection);
        else
            offer(connection);
    } else if (gate_has_failed(server_of(connection)->gate)) {
        close_now(connection);
    } else if (is_out ? !is_empty || ends : !put_into_outbox(connection)) {
        link_append(&connection->loop->held, &connection->link);
    }
}

void connection_flush(struct connection *connection, lsn_t acked)
{
    assert(connection->phase != CONNECTION_CLOSING);
    struct outbox *outbox = &connection->loop->outbox;
    bool is_whole = end_parcel(connection, outbox_collect(outbox, &connection->parcel, false));
    size_t released = session_output_released(connection->session, acked);
    if (!is_whole || session_is_over_limit(connection->session) ||
        !send_released(connection, released)) {
        if (connection->tls && tls_session_state(connection->tls) == TLS_FAILED)
            give_up_tls(connection);
        else
            close_now(connection);
        return;
    }
    after_flush(connection);
    if (connection->phase != CONNECTION_OPEN || session_has_given_way(connection->session))
        return;
    if (connection->was_paused && !session_is_paused(connection->session)) {
        take_back(connection);
        advance(connection, session_feed(connection->session, slice_make(NULL, 0)));
    } else {
        update_reading(connection);
    }
}

void connection_go_on(struct connection *connection)
{
    assert(connection->phase != CONNECTION_CLOSING);
    if (session_has_given_way(connection->session))
        advance(connection, session_feed(connection->session, slice_make(NULL, 0)));
}

/* ---- Time, other threads ---------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    loop_enter(connection->loop);
    if (connection->is_at_work) {
        workers_submit(server_of(connection)->workers, &connection->job);
        return;
    }
    if (session_state(connection->session) != SESSION_BLOCKED)
        return;
    uint64_t deadline_us = session_deadline_us(connection->session);
    if (deadline_us > env_monotonic_us(server_of(connection)->env))
        start_waiting(connection);
    else if (deadline_us > 0)
        advance(connection, session_timeout(connection->session));
}

void connection_tick(struct connection *connection, bool force)
{
    if (connection->phase == CONNECTION_CLOSING)
        return;
    if (force) {
        close_now(connection);
        return;
    }
    if (is_sending(connection)) /* the soft output limit goes by time; a parcel may have gone */
        link_append(&connection->loop->dirty, &connection->link);
    uint64_t handshake_ms_max =
        (uint64_t)config_integer(server_of(connection)->config, CONFIG_tls_handshake_timeout);
    if (!may_talk(connection) &&
        uv_now(&connection->loop->uv) - connection->opened_ms > handshake_ms_max) {
        env_log(server_of(connection)->env, LOG_VERBOSE,
                "TLS with the client %s has failed: its handshake has taken too long",
                connection->address);
        close_now(connection);
        return;
    }
    uint64_t limit_ms =
        (uint64_t)config_integer(server_of(connection)->config, CONFIG_timeout) * 1000;
    uint64_t idle_ms = uv_now(&connection->loop->uv) - connection->active_ms;
    if (limit_ms == 0 || idle_ms <= limit_ms || connection->is_at_work ||
        session_state(connection->session) == SESSION_BLOCKED ||
        session_is_subscribed(connection->session))
        return;
    env_log(server_of(connection)->env, LOG_VERBOSE, "Closing idle client %s", connection->address);
    close_now(connection);
}

void connection_drop(struct connection *connection)
{
    close_now(connection);
}

void connection_finish(struct connection *connection)
{
    if (connection->phase == CONNECTION_CLOSING)
        return;
    take_back(connection);
    finish(connection);
    if (!connection->is_at_work && session_state(connection->session) == SESSION_BLOCKED) {
        close_now(connection);
        return;
    }
    link_append(&connection->loop->dirty, &connection->link);
    update_reading(connection);
}

/* After work or a wake. */
static void resume(struct connection *connection)
{
    uv_timer_stop(&connection->timer);
    enum session_state state = session_resume(connection->session);
    if (connection->was_woken && state == SESSION_BLOCKED)
        state = session_resume(connection->session);
    connection->was_woken = false;
    advance(connection, state);
}

static void on_events(struct loop_task *task, unsigned events)
{
    struct connection *connection = LINK_OWNER(task, struct connection, task);
    take_back(connection);
    if (events & EVENT_WORK_DONE)
        connection->is_at_work = false;
    if (connection->phase == CONNECTION_CLOSING) {
        destroy_session(connection);
        free_if_done(connection);
        return;
    }
    if (events & EVENT_EVICT) {
        close_now(connection);
        return;
    }
    if (events & EVENT_DISCONNECT) {
        connection_finish(connection);
        if (connection->phase == CONNECTION_CLOSING)
            return;
    }
    if ((events & EVENT_PARCEL_LEFT) &&
        !end_parcel(connection,
                    outbox_collect(&connection->loop->outbox, &connection->parcel, true))) {
        close_now(connection);
        return;
    }
    if (events & EVENT_DELIVER) {
        session_deliver(connection->session);
        connection->active_ms = uv_now(&connection->loop->uv);
        link_append(&connection->loop->dirty, &connection->link);
    }
    connection->was_woken |= (events & EVENT_WAKE) != 0;
    bool is_blocked =
        !connection->is_at_work && session_state(connection->session) == SESSION_BLOCKED;
    if ((events & EVENT_WORK_DONE) || (connection->was_woken && is_blocked))
        resume(connection);
}

void connection_wake(struct connection *connection)
{
    loop_post_soon(connection->loop, &connection->task, EVENT_WAKE);
}

void connection_disconnect(struct connection *connection)
{
    loop_post(connection->loop, &connection->task, EVENT_DISCONNECT);
}

void connection_deliver(struct connection *connection)
{
    loop_post_soon(connection->loop, &connection->task, EVENT_DELIVER);
}

void connection_evict(struct connection *connection)
{
    loop_post(connection->loop, &connection->task, EVENT_EVICT);
}

/* ---- The beginning ---------------------------------------------------------------------------- */

static void set_socket_options(const struct server *server, int fd)
{
    /* A socket that refuses one of these still works. */
    int yes = 1, seconds = (int)config_integer(server->config, CONFIG_tcp_keepalive);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (seconds == 0)
        return;
    int interval = seconds / 3 ? seconds / 3 : 1, count = 3;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
#ifdef TCP_KEEPIDLE
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
#else
    (void)interval;
    (void)count;
#endif
}

static int open_handle(struct connection *connection, const struct connection_socket *socket)
{
    uv_loop_t *uv = &connection->loop->uv;
    if (socket->is_unix) {
        uv_pipe_init(uv, &connection->pipe, 0);
        return uv_pipe_open(&connection->pipe, socket->file_descriptor);
    }
    set_socket_options(server_of(connection), socket->file_descriptor);
    uv_tcp_init(uv, &connection->tcp);
    return uv_tcp_open(&connection->tcp, socket->file_descriptor);
}

void connection_open(struct loop *loop, const struct connection_socket *socket)
{
    struct connection *connection = memory_zeroed(1, sizeof(*connection));
    connection->loop = loop;
    connection->opened_ms = connection->active_ms = uv_now(&loop->uv);
    connection->job.run = run_job;
    connection->file_descriptor = socket->file_descriptor;
    memcpy(connection->address, socket->address, sizeof(connection->address));
    loop_task_init(&connection->task, on_events);
    link_init(&connection->link);
    link_init(&connection->waiting_link);
    link_init(&connection->all_link);
    link_append(&loop->connections, &connection->all_link);
    loop->connection_count++;
    connection->open_handles = 2;
    int error = open_handle(connection, socket);
    uv_timer_init(&loop->uv, &connection->timer);
    parcel_init(&connection->parcel, socket->file_descriptor, on_parcel_left);
    connection->handle.data = connection->timer.data = connection->write.data = connection;
    const struct session_options options = {
        .address = socket->address,
        .local_address = socket->local_address,
        .file_descriptor = socket->file_descriptor,
        .is_local = socket->is_local,
        .json = socket->json,
        .owner = connection,
    };
    connection->session = session_create(loop->server->service, &options);
    if (socket->tls)
        connection->tls = tls_keeper_meet(loop->server->tls_keeper);
    bool lacks_tls = socket->tls && !connection->tls;
    if (error || lacks_tls || loop_is_stopping(loop)) {
        if (error)
            close(socket->file_descriptor);
        close_now(connection);
        return;
    }
    advance(connection, session_state(connection->session));
}
