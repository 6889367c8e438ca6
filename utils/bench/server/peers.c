/* SPDX-License-Identifier: MIT */
#include "bench/server/peers.h"

#include "base/memory.h"
#include "bench/server/server_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, EVENTS = 64, WAIT_MS = 20000 };

static void connect_one(struct peers *peers, struct peer *peer, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    int on = 1;

    peer->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (peer->socket < 0 ||
        connect(peer->socket, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(peer->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(peers->epoll, EPOLL_CTL_ADD, peer->socket, &event) != 0)
        bench_fail("connect");
}

void peers_connect(struct peers *peers, int port, size_t count)
{
    peers->all = memory_zeroed(count, sizeof *peers->all);
    peers->count = count;
    peers->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        peers->all[i].index = i;
        connect_one(peers, &peers->all[i], port);
    }
}

void peers_close(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        close(peers->all[i].socket);
        buffer_release(&peers->all[i].output);
        buffer_release(&peers->all[i].input);
    }
    close(peers->epoll);
    memory_free(peers->all);
    *peers = (struct peers){0};
}

void peer_say(struct peer *peer, const char *const *words, size_t count)
{
    buffer_printf(&peer->output, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&peer->output, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
}

void peer_send(struct peer *peer, const struct peers *peers)
{
    size_t sent = 0;

    while (sent < peer->output.size) {
        ssize_t count = send(peer->socket, peer->output.data + sent, peer->output.size - sent,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            bench_fail("send");
        if (count < 0)
            break;
        sent += (size_t)count;
    }
    buffer_consume(&peer->output, sent);
    bool awaits_room = peer->output.size > 0;
    if (awaits_room == peer->awaits_room)
        return;
    struct epoll_event event = {.events = EPOLLIN | (awaits_room ? EPOLLOUT : 0), .data.ptr = peer};
    if (epoll_ctl(peers->epoll, EPOLL_CTL_MOD, peer->socket, &event) != 0)
        bench_fail("epoll_ctl");
    peer->awaits_room = awaits_room;
}

/* false: nothing was there. */
static bool receive(struct peer *peer)
{
    buffer_reserve(&peer->input, READ_BYTES);
    ssize_t count =
        recv(peer->socket, peer->input.data + peer->input.size, READ_BYTES, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN))
        bench_fail("the server closed a connection");
    if (count > 0)
        peer->input.size += (size_t)count;
    return count > 0;
}

void peers_wait(struct peers *peers, size_t (*take)(void *context, struct peer *peer),
                void *context)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(peers->epoll, events, EVENTS, WAIT_MS);

    if (count <= 0)
        bench_fail("nothing has come for long");
    for (int i = 0; i < count; i++) {
        struct peer *peer = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            peer_send(peer, peers);
        if (receive(peer))
            buffer_consume(&peer->input, take(context, peer));
    }
}

static size_t count_lines(struct slice bytes)
{
    size_t lines = 0;

    for (size_t i = 0; i < bytes.size; i++)
        lines += bytes.data[i] == '\n';
    return lines;
}

void peer_await_lines(struct peer *peer, size_t lines)
{
    while (count_lines(buffer_slice(&peer->input)) < lines) {
        struct pollfd poll_for = {.fd = peer->socket, .events = POLLIN};
        if (poll(&poll_for, 1, WAIT_MS) <= 0 || !receive(peer))
            bench_fail("no reply");
    }
    if (peer->input.data[0] == '-')
        bench_fail("a request failed");
    buffer_clear(&peer->input);
}
