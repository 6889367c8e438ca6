/* SPDX-License-Identifier: MIT */
/* The listening descriptor is ours and libuv only polls it: uv_accept would tie the accepted socket to
 * this loop. */
#include "server/listener.h"

#include "base/memory.h"
#include "server/connection.h"
#include "server/metrics_port.h"
#include "server/server.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ACCEPTS_AT_ONCE = 64, RETRY_MS = 100 };

struct listener {
    uv_poll_t poll;
    uv_timer_t retry; /* runs while accept has no descriptor left */
    struct loop *loop;
    struct listener *next;
    int file_descriptor;
    bool json, tls, is_unix;
    struct metrics_port *metrics; /* or NULL */
    unsigned open_handles;
    char name[128];
};

/* A socket on its way to its loop. */
struct arrival {
    struct loop_task task;
    struct loop *loop;
    struct connection_socket socket;
};

const char *listener_name(const struct listener *listener)
{
    return listener->name;
}

const char *listener_protocol(const struct listener *listener)
{
    if (listener->metrics)
        return "HTTP, /metrics";
    if (listener->tls)
        return listener->json ? "JSON lines over TLS" : "Redis protocol over TLS";
    return listener->json ? "JSON lines" : "Redis protocol";
}

struct listener *listener_next(const struct listener *listener)
{
    return listener->next;
}

void listener_set_next(struct listener *listener, struct listener *next)
{
    listener->next = next;
}

/* ---- Accepting -------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    const struct sockaddr_in6 *in6 = (const void *)address;
    return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127);
}

static void address_text(const struct sockaddr_storage *address, socklen_t size, char *text,
                         size_t text_size)
{
    char host[64], port[16];
    if (getnameinfo((const void *)address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, text_size, "?:0");
        return;
    }
    const char *form = address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s";
    snprintf(text, text_size, form, host, port);
}

static void describe(const struct listener *listener, struct connection_socket *socket,
                     const struct sockaddr_storage *peer, socklen_t peer_size)
{
    socket->json = listener->json;
    socket->tls = listener->tls;
    socket->is_unix = listener->is_unix;
    if (listener->is_unix) {
        socket->is_local = true;
        snprintf(socket->address, sizeof(socket->address), "%.120s:0", listener->name);
        memcpy(socket->local_address, socket->address, sizeof(socket->address));
        return;
    }
    socket->is_local = is_loopback(peer);
    address_text(peer, peer_size, socket->address, sizeof(socket->address));
    struct sockaddr_storage local = {0};
    socklen_t local_size = sizeof(local);
    if (getsockname(socket->file_descriptor, (void *)&local, &local_size) == 0)
        address_text(&local, local_size, socket->local_address, sizeof(socket->local_address));
}

static void on_arrival(struct loop_task *task, unsigned events)
{
    (void)events;
    struct arrival *arrival = LINK_OWNER(task, struct arrival, task);
    connection_open(arrival->loop, &arrival->socket);
    memory_free(arrival);
}

/* The refusal goes into the empty socket buffer of a new connection; if not, the close says it. It would take a
 * handshake to say it over TLS. */
static void refuse(struct server *server, const struct connection_socket *socket)
{
    static const char resp[] = "-ERR max number of clients reached\r\n";
    static const char json[] = "{\"status\":\"error\",\"errcode\":\"too_many_clients\",\"detail\":"
                               "{\"message\":\"max number of clients reached (maxclients)\"}}\n";
    if (!socket->tls)
        (void)!send(socket->file_descriptor, socket->json ? json : resp,
                    socket->json ? sizeof(json) - 1 : sizeof(resp) - 1,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    close(socket->file_descriptor);
    atomic_fetch_add(&service_stats(server->service)->connections_rejected, 1);
}

static void deal(struct listener *listener, const struct connection_socket *socket)
{
    struct server *server = listener->loop->server;
    int64_t clients_max = config_integer(server->config, CONFIG_maxclients);
    if ((int64_t)atomic_load(&server->client_count) >= clients_max) {
        refuse(server, socket);
        return;
    }
    atomic_fetch_add(&server->client_count, 1);
    atomic_fetch_add(&service_stats(server->service)->connections_received, 1);
    struct loop *loop = &server->loops[server->next_loop++ % server->loop_count];
    if (loop == listener->loop) {
        connection_open(loop, socket);
        return;
    }
    struct arrival *arrival = memory_zeroed(1, sizeof(*arrival));
    loop_task_init(&arrival->task, on_arrival);
    arrival->loop = loop;
    arrival->socket = *socket;
    loop_post(loop, &arrival->task, 0);
}

static void on_connectable(uv_poll_t *poll, int status, int events);

static void on_retry(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_connectable); /* an open handle */
}

/* No descriptor is left: asking again at once would only spin. */
static void pause_accepting(struct listener *listener, int error)
{
    env_log(listener->loop->server->env, LOG_WARNING, "Cannot accept a client on %s: %s",
            listener->name, strerror(error));
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->retry, on_retry, RETRY_MS, 0);
}

static void on_connectable(uv_poll_t *poll, int status, int events)
{
    (void)status; /* accept tells more */
    (void)events;
    struct listener *listener = poll->data;
    loop_enter(listener->loop);
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t peer_size = sizeof(peer);
        struct connection_socket socket = {
            .file_descriptor = accept4(listener->file_descriptor, (void *)&peer, &peer_size,
                                       SOCK_NONBLOCK | SOCK_CLOEXEC),
        };
        if (socket.file_descriptor < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(listener, errno);
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            return;
        }
        if (listener->metrics) {
            metrics_port_accept(listener->metrics, socket.file_descriptor);
            continue;
        }
        describe(listener, &socket, &peer, peer_size);
        deal(listener, &socket);
    }
}

/* ---- Opening ---------------------------------------------------------------------------------- */

static enum listener_result explain(const char *name, int error, bool is_unix, struct buffer *text)
{
    if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT || error == EPROTONOSUPPORT) {
        buffer_printf(text, "Cannot listen on %s: this machine does not have the address (bind)",
                      name);
        return LISTENER_NO_ADDRESS;
    }
    if (error == EADDRINUSE && is_unix)
        buffer_printf(text, "Cannot listen on %s: another server is using it, or it is not a socket",
                      name);
    else if (error == EADDRINUSE)
        buffer_printf(text,
                      "Cannot listen on %s: the port is in use, perhaps by another server; stop "
                      "that one, or choose another port (--port, --tls-port, --json-port, "
                      "--json-tls-port, --metrics-port)",
                      name);
    else if (error == EACCES)
        buffer_printf(text, "Cannot listen on %s: permission denied", name);
    else
        buffer_printf(text, "Cannot listen on %s: %s", name, strerror(error));
    return LISTENER_FAILED;
}

/* A socket file that nobody listens on is left over from a server that was killed. */
static bool remove_stale_socket(const char *path, const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return true;
    if (!S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = fd >= 0 && connect(fd, (const void *)address, sizeof(*address)) == 0;
    if (fd >= 0)
        close(fd);
    return !is_alive && unlink(path) == 0;
}

/* A listening descriptor, or the negative errno. */
static int listen_unix(const struct listener_options *options)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(options->path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, options->path, strlen(options->path));
    if (!remove_stale_socket(options->path, &address))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    bool ok = bind(fd, (const void *)&address, sizeof(address)) == 0 &&
              (options->permissions == 0 || chmod(options->path, options->permissions) == 0) &&
              listen(fd, options->backlog) == 0;
    if (ok)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int listen_address(const struct addrinfo *info, int backlog)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0)
        return -errno;
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)); /* only a convenience */
    bool ok = (info->ai_family != AF_INET6 ||
               setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) == 0) &&
              bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, backlog) == 0;
    if (ok)
        return fd;
    int error = errno;
    close(fd);
    return -error;
}

static int listen_tcp(const struct listener_options *options)
{
    const char *host = options->address;
    if (strcmp(host, "*") == 0)
        host = "0.0.0.0";
    else if (strcmp(host, "::*") == 0)
        host = "::";
    char port[16];
    snprintf(port, sizeof(port), "%u", options->port);
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    int fd = listen_address(found, options->backlog);
    freeaddrinfo(found);
    return fd;
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    if (--listener->open_handles > 0)
        return;
    close(listener->file_descriptor);
    memory_free(listener);
}

enum listener_result listener_open(const struct listener_options *options,
                                   struct listener **result, struct buffer *error)
{
    char name[128];
    if (options->path)
        snprintf(name, sizeof(name), "%s", options->path);
    else
        snprintf(name, sizeof(name), strchr(options->address, ':') ? "[%s]:%u" : "%s:%u",
                 options->address, options->port);
    int fd = options->path ? listen_unix(options) : listen_tcp(options);
    if (fd < 0)
        return explain(name, -fd, options->path != NULL, error);
    struct listener *listener = memory_zeroed(1, sizeof(*listener));
    listener->loop = options->loop;
    listener->file_descriptor = fd;
    listener->json = options->json;
    listener->tls = options->tls;
    listener->metrics = options->metrics;
    listener->is_unix = options->path != NULL;
    memcpy(listener->name, name, sizeof(name));
    int failed = uv_poll_init(&options->loop->uv, &listener->poll, fd);
    if (failed) {
        close(fd);
        memory_free(listener);
        return explain(name, -failed, options->path != NULL, error);
    }
    uv_timer_init(&options->loop->uv, &listener->retry);
    listener->open_handles = 2;
    listener->poll.data = listener->retry.data = listener;
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_connectable); /* an open handle */
    *result = listener;
    return LISTENER_OK;
}

void listener_close(struct listener *listener)
{
    if (listener->is_unix)
        (void)unlink(listener->name); /* gone already is as good */
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    uv_close((uv_handle_t *)&listener->retry, on_closed);
}
