/* SPDX-License-Identifier: MIT */
/* One epoll loop. Replies are not built but counted: an element that is awaited is `open`; an array
 * of n closes one and opens n. */
#include "bench/server/load.h"

#include "base/memory.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024, LINE_BYTES = 512, EVENTS = 64, WAIT_MS = 20000 };

struct connection {
    int socket;
    struct slice output;      /* in the pool, not sent yet */
    size_t awaited;           /* replies */
    int64_t open;             /* elements of the reply that is being read */
    size_t skip;              /* bytes of a bulk that are still to come */
    uint8_t line[LINE_BYTES]; /* the beginning of a header that was cut */
    size_t line_size;
    uint64_t began_ns;
    bool awaits_room; /* of the socket, for the rest of the output */
};

struct state {
    const struct load *load;
    struct load_result *result;
    struct connection *connections;
    struct random random;
    int epoll;
    uint8_t *input;
    size_t busy; /* connections with awaited replies */
    size_t next; /* request of the pool, when each is sent once */
    uint64_t run_began_ns, deadline_ns;
};

/* What was appended to the bytes is a request. */
static void end_request(struct load_pool *pool)
{
    if (pool->count == pool->capacity) {
        pool->capacity = pool->capacity ? 2 * pool->capacity : 1024;
        pool->ends = memory_resize(pool->ends, pool->capacity * sizeof *pool->ends);
    }
    pool->ends[pool->count++] = pool->bytes.size;
}

void load_pool_add(struct load_pool *pool, const char *const *words, size_t count)
{
    buffer_printf(&pool->bytes, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&pool->bytes, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    end_request(pool);
}

void load_pool_add_bytes(struct load_pool *pool, struct slice request)
{
    buffer_append_slice(&pool->bytes, request);
    end_request(pool);
}

void load_pool_clear(struct load_pool *pool)
{
    pool->count = 0;
    buffer_clear(&pool->bytes);
}

void load_pool_release(struct load_pool *pool)
{
    memory_free(pool->ends);
    buffer_release(&pool->bytes);
    *pool = (struct load_pool){0};
}

static bool failed(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    return false;
}

static bool connect_one(struct state *state, struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)state->load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;

    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 ||
        connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(state->epoll, EPOLL_CTL_ADD, connection->socket, &event) != 0)
        return failed("connect");
    return true;
}

static bool send_more(struct state *state, struct connection *connection)
{
    while (connection->output.size) {
        ssize_t count = send(connection->socket, connection->output.data, connection->output.size,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            return failed("send");
        if (count < 0)
            break;
        connection->output = slice_skip(connection->output, (size_t)count);
    }
    bool awaits_room = connection->output.size > 0;
    if (awaits_room == connection->awaits_room)
        return true;
    connection->awaits_room = awaits_room;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (awaits_room)
        event.events |= EPOLLOUT;
    return epoll_ctl(state->epoll, EPOLL_CTL_MOD, connection->socket, &event) == 0 ||
           failed("epoll_ctl");
}

/* Sends the next pipeline, unless the run is over. */
static bool begin_pipeline(struct state *state, struct connection *connection)
{
    const struct load *load = state->load;
    const struct load_pool *pool = load->pool;
    size_t left = load->once ? pool->count - state->next : pool->count;
    size_t count = load->pipeline < left ? load->pipeline : left;
    size_t first = load->once ? state->next : random_below(&state->random, left - count + 1);

    connection->began_ns = latency_clock();
    if (count == 0 || (!load->once && connection->began_ns >= state->deadline_ns))
        return true;
    size_t start = first ? pool->ends[first - 1] : 0;
    connection->output =
        slice_make(pool->bytes.data + start, pool->ends[first + count - 1] - start);
    state->next += count;
    state->busy++;
    connection->awaited = count;
    connection->open = 1;
    return send_more(state, connection);
}

static void note_second(const struct state *state, uint64_t now_ns, uint64_t took_ns)
{
    uint64_t second = (now_ns - state->run_began_ns) / 1000000000;

    if (second >= state->load->timeline_seconds)
        return;
    struct load_second *noted = &state->load->timeline[second];
    noted->requests += state->load->pipeline;
    if (took_ns > noted->max_ns)
        noted->max_ns = took_ns;
}

static bool end_pipeline(struct state *state, struct connection *connection)
{
    uint64_t now_ns = latency_clock(), took_ns = now_ns - connection->began_ns;

    latency_record(&state->result->latency, took_ns);
    if (state->load->timeline)
        note_second(state, now_ns, took_ns);
    state->busy--;
    return begin_pipeline(state, connection);
}

/* The number of a header, which ends with a character that is no digit. Negative ones count as none. */
static size_t length_of(const uint8_t *digits)
{
    size_t length = 0;
    for (; *digits >= '0' && *digits <= '9'; digits++)
        length = 10 * length + (size_t)(*digits - '0');
    return length;
}

/* One header line, e.g. "$5" or "*100" or ":1". */
static void take_header(struct state *state, struct connection *connection, const uint8_t *line)
{
    connection->open--;
    switch (line[0]) {
    case '-':
        state->result->errors++;
        break;
    case '$':
    case '=':
        if (line[1] != '-')
            connection->skip = length_of(line + 1) + 2;
        break;
    case '*':
    case '~':
    case '>':
        connection->open += (int64_t)length_of(line + 1);
        break;
    case '%':
        connection->open += 2 * (int64_t)length_of(line + 1);
        break;
    default:
        break;
    }
}

/* The part of a header that has come, to be gone on with. */
static void keep_line(struct connection *connection, const uint8_t *at, size_t size)
{
    size_t room = LINE_BYTES - 1 - connection->line_size;
    size_t part = size < room ? size : room; /* a long error; its first byte counts */
    memcpy(connection->line + connection->line_size, at, part);
    connection->line_size += part;
    connection->line[connection->line_size] = 0;
}

/* Goes over what came; true: at least as much as is awaited is complete. */
static bool take_replies(struct state *state, struct connection *connection, const uint8_t *at,
                         size_t size)
{
    const uint8_t *end = at + size;

    for (;;) {
        size_t skipped =
            connection->skip < (size_t)(end - at) ? connection->skip : (size_t)(end - at);
        connection->skip -= skipped;
        at += skipped;
        if (connection->open == 0 && connection->skip == 0) {
            state->result->requests++;
            connection->open = 1;
            if (--connection->awaited == 0)
                return true;
        }
        if (at == end)
            return false;
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *line = at;
        if (connection->line_size > 0 || !newline) {
            keep_line(connection, at, (size_t)((newline ? newline : end) - at));
            line = connection->line;
        }
        if (!newline)
            return false;
        connection->line_size = 0;
        at = newline + 1;
        take_header(state, connection, line);
    }
}

static bool serve(struct state *state, struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT)
        return send_more(state, connection);
    ssize_t count = recv(connection->socket, state->input, READ_BYTES, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return true;
    if (count <= 0)
        return failed("the server closed a connection");
    if (take_replies(state, connection, state->input, (size_t)count))
        return end_pipeline(state, connection);
    return true;
}

static bool run_loop(struct state *state)
{
    struct epoll_event events[EVENTS];

    for (size_t i = 0; i < state->load->connections; i++)
        if (!begin_pipeline(state, &state->connections[i]))
            return false;
    while (state->busy) {
        int count = epoll_wait(state->epoll, events, EVENTS, WAIT_MS);
        if (count == 0)
            errno = ETIMEDOUT;
        if (count <= 0)
            return failed("wait for replies");
        for (int i = 0; i < count; i++)
            if (!serve(state, events[i].data.ptr, events[i].events))
                return false;
    }
    return true;
}

bool load_run(const struct load *load, struct load_result *result)
{
    struct state state = {.load = load, .result = result, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    bool ok = state.epoll >= 0 || failed("epoll");

    *result = (struct load_result){0};
    state.connections = memory_zeroed(load->connections, sizeof *state.connections);
    state.input = memory_allocate(READ_BYTES);
    random_init(&state.random, 1);
    for (size_t i = 0; i < load->connections; i++)
        state.connections[i].socket = -1;
    for (size_t i = 0; ok && i < load->connections; i++)
        ok = connect_one(&state, &state.connections[i]);
    uint64_t began_ns = state.run_began_ns = latency_clock();
    state.deadline_ns = began_ns + (uint64_t)(load->seconds * 1e9);
    ok = ok && run_loop(&state);
    result->seconds = (double)(latency_clock() - began_ns) * 1e-9;
    for (size_t i = 0; i < load->connections; i++) {
        if (state.connections[i].socket >= 0)
            close(state.connections[i].socket);
    }
    if (state.epoll >= 0)
        close(state.epoll);
    memory_free(state.connections);
    memory_free(state.input);
    return ok;
}
