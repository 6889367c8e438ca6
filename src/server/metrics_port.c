/* SPDX-License-Identifier: MIT */
#include "server/metrics_port.h"

#include "base/memory.h"
#include "commands/metrics.h"
#include "server/http_request.h"
#include "server/server.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DRAIN_BYTES = 4096 };

enum exchange_state {
    EXCHANGE_READING,
    EXCHANGE_ASKED,
    EXCHANGE_SENDING,
    EXCHANGE_DRAINING,
    EXCHANGE_CLOSING
};

/* One connection: a request and its response. */
struct exchange {
    struct metrics_port *port;
    struct link link; /* in port.exchanges; until it is freed */
    enum exchange_state state;
    bool head_only; /* HEAD */
    bool in_job;    /* ASKED: the job that is at work makes its page */
    bool has_ended; /* the peer sends no more, and may still listen */
    unsigned open_handles;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct buffer response;
    size_t head_bytes; /* of `head` */
    uint8_t head[HTTP_HEAD_BYTES_MAX];
};

struct metrics_port {
    struct server *server;
    struct loop *loop;
    struct link exchanges;
    unsigned count; /* of them */
    bool is_stopping;

    bool is_at_work; /* the job is submitted, and its task has not run yet */
    struct worker_job job;
    struct loop_task task;
    enum status status; /* this and `page`: the job's, then the task's */
    struct buffer page;
};

/* ---- Closing ------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct exchange *exchange = handle->data;
    if (--exchange->open_handles > 0)
        return;
    exchange->port->count--;
    exchange->port->loop->connection_count--;
    link_remove(&exchange->link);
    buffer_release(&exchange->response);
    memory_free(exchange);
}

static void close_exchange(struct exchange *exchange)
{
    if (exchange->state == EXCHANGE_CLOSING)
        return;
    exchange->state = EXCHANGE_CLOSING;
    uv_close((uv_handle_t *)&exchange->tcp, on_closed);
    uv_close((uv_handle_t *)&exchange->timer, on_closed);
}

static void on_time_over(uv_timer_t *timer)
{
    close_exchange(timer->data);
}

/* ---- Responses ---------------------------------------------------------------------------------- */

/* The response ends with the end of the stream; who does not read on is closed by the timer. */
static void on_sent(uv_write_t *write, int status)
{
    struct exchange *exchange = write->data;
    if (exchange->state == EXCHANGE_CLOSING)
        return;
    exchange->state = EXCHANGE_DRAINING;
    if (status != 0 || exchange->has_ended ||
        uv_shutdown(&exchange->shutdown, (uv_stream_t *)&exchange->tcp, NULL) != 0)
        close_exchange(exchange);
}

static void respond(struct exchange *exchange, const char *status, const char *more,
                    const char *type, struct slice body)
{
    struct buffer *out = &exchange->response;
    buffer_printf(out,
                  "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: "
                  "close\r\n\r\n",
                  status, type, body.size, more);
    if (!exchange->head_only)
        buffer_append_slice(out, body);
    exchange->state = EXCHANGE_SENDING;
    uv_buf_t bytes = uv_buf_init((char *)out->data, (unsigned)out->size);
    if (uv_write(&exchange->write, (uv_stream_t *)&exchange->tcp, &bytes, 1, on_sent) != 0)
        close_exchange(exchange);
}

static void respond_text(struct exchange *exchange, const char *status, const char *more,
                         const char *text)
{
    respond(exchange, status, more, "text/plain; charset=utf-8", slice_from(text));
}

/* ---- The page ----------------------------------------------------------------------------------- */

static void start_job(struct metrics_port *port);

static void respond_page(struct metrics_port *port, struct exchange *exchange)
{
    if (port->status)
        respond_text(exchange, "500 Internal Server Error", "",
                     "The figures could not be read; INFO keyspace and the log say more\n");
    else
        respond(exchange, "200 OK", "", "text/plain; version=0.0.4; charset=utf-8",
                buffer_slice(&port->page));
}

static void on_page(struct loop_task *task, unsigned events)
{
    (void)events;
    struct metrics_port *port = LINK_OWNER(task, struct metrics_port, task);
    bool is_wanted = false;
    port->is_at_work = false;
    port->loop->connection_count--;
    for (struct link *link = port->exchanges.next; link != &port->exchanges; link = link->next) {
        struct exchange *exchange = LINK_OWNER(link, struct exchange, link);
        if (exchange->state != EXCHANGE_ASKED)
            continue;
        if (exchange->in_job)
            respond_page(port, exchange);
        else
            is_wanted = true;
    }
    buffer_release(&port->page);
    if (is_wanted)
        start_job(port);
}

static void run_job(struct worker_job *job)
{
    struct metrics_port *port = LINK_OWNER(job, struct metrics_port, job);
    port->status = metrics_page(port->server->service, &port->page);
    loop_post(port->loop, &port->task, 0);
}

/* For all that wait. */
static void start_job(struct metrics_port *port)
{
    assert(!port->is_at_work);
    for (struct link *link = port->exchanges.next; link != &port->exchanges; link = link->next) {
        struct exchange *exchange = LINK_OWNER(link, struct exchange, link);
        exchange->in_job = exchange->state == EXCHANGE_ASKED;
    }
    port->is_at_work = true;
    port->loop->connection_count++;
    port->job = (struct worker_job){.run = run_job};
    workers_submit(port->server->workers, &port->job);
}

/* ---- Requests ----------------------------------------------------------------------------------- */

static void answer(struct exchange *exchange, const struct http_request *request)
{
    bool is_get = slice_equal(request->method, slice_from("GET"));
    exchange->head_only = slice_equal(request->method, slice_from("HEAD"));
    if (!slice_equal(request->path, slice_from("/metrics"))) {
        respond_text(exchange, "404 Not Found", "", "There is only /metrics\n");
    } else if (!is_get && !exchange->head_only) {
        respond_text(exchange, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
                     "Only GET and HEAD\n");
    } else {
        exchange->state = EXCHANGE_ASKED;
        if (!exchange->port->is_at_work)
            start_job(exchange->port);
    }
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    struct exchange *exchange = handle->data;
    (void)suggested;
    if (exchange->state == EXCHANGE_READING) {
        size_t room = HTTP_HEAD_BYTES_MAX - exchange->head_bytes;
        *bytes = uv_buf_init((char *)exchange->head + exchange->head_bytes, (unsigned)room);
    } else { /* what nobody looks at: the head is answered */
        *bytes = uv_buf_init((char *)exchange->head, DRAIN_BYTES);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
    struct exchange *exchange = stream->data;
    (void)bytes;
    loop_enter(exchange->port->loop);
    if (count == UV_EOF &&
        (exchange->state == EXCHANGE_ASKED || exchange->state == EXCHANGE_SENDING)) {
        exchange->has_ended = true;
        (void)uv_read_stop(stream); /* always 0 */
    } else if (count < 0) {
        close_exchange(exchange);
    } else if (exchange->state == EXCHANGE_READING) {
        struct http_request request;
        exchange->head_bytes += (size_t)count;
        enum http_result result =
            http_request_parse(slice_make(exchange->head, exchange->head_bytes), &request);
        if (result == HTTP_COMPLETE)
            answer(exchange, &request);
        else if (result == HTTP_BAD)
            respond_text(exchange, "400 Bad Request", "",
                         "Not an HTTP/1 request, or its head is longer than 8 KiB\n");
    }
}

/* Into the empty socket buffer of a new connection; if not, the close says it. */
static void refuse(int file_descriptor)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    (void)!send(file_descriptor, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(file_descriptor);
}

void metrics_port_accept(struct metrics_port *port, int file_descriptor)
{
    if (port->is_stopping || port->count >= METRICS_CONNECTIONS_MAX) {
        refuse(file_descriptor);
        return;
    }
    struct exchange *exchange = memory_zeroed(1, sizeof(*exchange));
    exchange->port = port;
    exchange->open_handles = 2;
    link_init(&exchange->link);
    link_append(&port->exchanges, &exchange->link);
    port->count++;
    port->loop->connection_count++;
    uv_tcp_init(&port->loop->uv, &exchange->tcp);
    uv_timer_init(&port->loop->uv, &exchange->timer);
    exchange->tcp.data = exchange->timer.data = exchange->write.data = exchange;
    uv_timer_start(&exchange->timer, on_time_over, METRICS_TIME_MS_MAX, 0);
    bool is_open = uv_tcp_open(&exchange->tcp, file_descriptor) == 0;
    if (!is_open)
        close(file_descriptor);
    if (!is_open || uv_read_start((uv_stream_t *)&exchange->tcp, allocate, on_read) != 0)
        close_exchange(exchange);
}

/* ---- Life --------------------------------------------------------------------------------------- */

struct metrics_port *metrics_port_create(struct server *server)
{
    struct metrics_port *port = memory_zeroed(1, sizeof(*port));
    port->server = server;
    port->loop = &server->loops[0];
    link_init(&port->exchanges);
    loop_task_init(&port->task, on_page);
    return port;
}

void metrics_port_stop(struct metrics_port *port)
{
    port->is_stopping = true;
    for (struct link *link = port->exchanges.next; link != &port->exchanges; link = link->next)
        close_exchange(LINK_OWNER(link, struct exchange, link));
}

void metrics_port_destroy(struct metrics_port *port)
{
    if (!port)
        return;
    assert(port->count == 0);
    assert(!port->is_at_work);
    buffer_release(&port->page);
    memory_free(port);
}
