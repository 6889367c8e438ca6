/* SPDX-License-Identifier: MIT */
#include "bench/server/ceiling.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,
    READY_REPLIES = 64, /* sent by one call at most: the longest pipeline */
    EVENTS = 64,
    BACKLOG = 512,
};

struct client {
    int socket;
    size_t counted; /* bytes of the request that is not complete */
    size_t owed;    /* bytes of replies that are to be sent */
    bool waits;     /* until the socket takes more of them */
};

struct server {
    int epoll, listener;
    size_t request_bytes, reply_bytes;
    uint8_t *replies; /* READY_REPLIES of them */
    uint8_t input[READ_BYTES];
};

static void add(struct server *server, int socket, void *pointer)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};

    (void)epoll_ctl(server->epoll, EPOLL_CTL_ADD, socket,
                    &event); /* the load would wait and say so */
}

static void accept_one(struct server *server)
{
    struct client *client = memory_zeroed(1, sizeof *client);
    int on = 1;

    client->socket = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    (void)setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    add(server, client->socket, client);
}

/* Whole replies stand one behind the other: what is owed begins in the middle of one. */
static void send_owed(struct server *server, struct client *client)
{
    bool waited = client->waits;

    while (client->owed > 0) {
        size_t sent_of_one =
            (server->reply_bytes - client->owed % server->reply_bytes) % server->reply_bytes;
        size_t ready = READY_REPLIES * server->reply_bytes - sent_of_one;
        ssize_t count = send(client->socket, server->replies + sent_of_one,
                             client->owed < ready ? client->owed : ready, MSG_NOSIGNAL);
        if (count <= 0)
            break;
        client->owed -= (size_t)count;
    }
    client->waits = client->owed > 0;
    struct epoll_event event = {.events = EPOLLIN | (client->waits ? EPOLLOUT : 0),
                                .data.ptr = client};
    if (client->waits != waited)
        (void)epoll_ctl(server->epoll, EPOLL_CTL_MOD, client->socket, &event); /* an open socket */
}

static void serve(struct server *server, struct client *client, uint32_t events)
{
    if (events & EPOLLIN) {
        ssize_t count = read(client->socket, server->input, READ_BYTES);
        if (count == 0 || (count < 0 && errno != EAGAIN)) {
            close(client->socket);
            memory_free(client);
            return;
        }
        client->counted += count > 0 ? (size_t)count : 0;
        client->owed += client->counted / server->request_bytes * server->reply_bytes;
        client->counted %= server->request_bytes;
    }
    if (client->owed > 0)
        send_owed(server, client);
}

static _Noreturn void run(struct server *server)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(server->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve(server, events[i].data.ptr, events[i].events);
            else
                accept_one(server);
        }
    }
}

static bool listen_anywhere(struct server *server, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&address, size) != 0 ||
        listen(server->listener, BACKLOG) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) != 0) {
        perror("bench: the ceiling's socket");
        if (server->listener >= 0)
            close(server->listener);
        return false;
    }
    *port = ntohs(address.sin_port);
    return true;
}

bool ceiling_start(struct ceiling *ceiling, size_t request_bytes, struct slice reply)
{
    struct server *server = memory_zeroed(1, sizeof *server);
    bool ok = listen_anywhere(server, &ceiling->port);

    server->request_bytes = request_bytes;
    server->reply_bytes = reply.size;
    ceiling->pid = ok ? fork() : -1;
    if (ceiling->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        server->replies = memory_allocate(READY_REPLIES * reply.size);
        for (size_t i = 0; i < READY_REPLIES; i++)
            memcpy(server->replies + i * reply.size, reply.data, reply.size);
        server->epoll = epoll_create1(EPOLL_CLOEXEC);
        add(server, server->listener, NULL);
        run(server);
    }
    if (ok)
        close(server->listener);
    memory_free(server);
    if (ceiling->pid > 0)
        return true;
    ceiling->pid = 0;
    return false;
}

void ceiling_stop(struct ceiling *ceiling)
{
    if (ceiling->pid <= 0)
        return;
    kill(ceiling->pid, SIGKILL);
    waitpid(ceiling->pid, NULL, 0);
    ceiling->pid = 0;
}

double ceiling_cpu_seconds(const struct ceiling *ceiling)
{
    clockid_t clock;
    struct timespec time = {0};

    if (clock_getcpuclockid(ceiling->pid, &clock) == 0)
        clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
