/* SPDX-License-Identifier: MIT */
#include "lib/resp_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 64 * 1024, ARGUMENTS_MAX = 256, TIMEOUT_MS = 10000, PAUSE_MS = 20 };

static bool open_address(struct resp_client *client, const struct sockaddr *address, socklen_t size)
{
    *client = (struct resp_client){.timeout_ms = TIMEOUT_MS};
    client->socket = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->socket < 0)
        return false;
    if (connect(client->socket, address, size) != 0) {
        resp_client_close(client);
        return false;
    }
    return true;
}

bool resp_client_open_unix(struct resp_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return open_address(client, (struct sockaddr *)&address, sizeof address);
}

bool resp_client_open_tcp(struct resp_client *client, const char *text, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    if (inet_pton(AF_INET, text, &address.sin_addr) != 1 ||
        !open_address(client, (struct sockaddr *)&address, sizeof address))
        return false;
    (void)setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* only speed */
    return true;
}

void resp_client_close(struct resp_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
    client->consumed = 0;
    buffer_release(&client->input);
}

bool resp_client_send(struct resp_client *client, struct slice bytes)
{
    while (bytes.size) {
        struct pollfd poll_out = {client->socket, POLLOUT, 0};
        if (poll(&poll_out, 1, client->timeout_ms) != 1)
            return false;
        ssize_t sent = send(client->socket, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0)
            bytes = slice_skip(bytes, (size_t)sent);
    }
    return true;
}

void resp_client_encode(struct buffer *out, const struct slice *arguments, size_t count)
{
    buffer_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_printf(out, "$%zu\r\n", arguments[i].size);
        buffer_append_slice(out, arguments[i]);
        buffer_append_text(out, "\r\n");
    }
}

bool resp_client_send_command(struct resp_client *client, const struct slice *arguments,
                              size_t count)
{
    struct buffer request = {0};

    resp_client_encode(&request, arguments, count);
    bool sent = resp_client_send(client, buffer_slice(&request));
    buffer_release(&request);
    return sent;
}

static bool has_input(const struct resp_client *client, int wait_ms)
{
    struct pollfd poll_in = {client->socket, POLLIN, 0};

    return poll(&poll_in, 1, wait_ms) == 1;
}

/* >0: so many bytes more; 0: closed; <0: timed out or failed. */
static ssize_t receive(struct resp_client *client)
{
    if (client->consumed > READ_BYTES || client->consumed == client->input.size) {
        buffer_consume(&client->input, client->consumed);
        client->consumed = 0;
    }
    if (!has_input(client, client->timeout_ms))
        return -1;
    buffer_reserve(&client->input, READ_BYTES);
    ssize_t got = recv(client->socket, client->input.data + client->input.size, READ_BYTES, 0);
    if (got > 0)
        client->input.size += (size_t)got;
    return got;
}

static struct slice unread(const struct resp_client *client)
{
    if (client->consumed == client->input.size)
        return slice_make(NULL, 0);
    return slice_skip(buffer_slice(&client->input), client->consumed);
}

bool resp_client_read(struct resp_client *client, struct resp_reply *reply)
{
    for (bool has_ended = false;;) {
        size_t size = 0;
        enum resp_reply_result result = resp_reply_read(unread(client), reply, &size);
        if (result == REPLY_COMPLETE)
            client->consumed += size;
        if (result != REPLY_PARTIAL || has_ended)
            return result == REPLY_COMPLETE;
        /* A large reply is tried again after a quarter more, not after each packet. */
        size_t wanted = unread(client).size + unread(client).size / 4 + 1;
        do {
            has_ended = receive(client) <= 0;
        } while (!has_ended && unread(client).size < wanted && has_input(client, PAUSE_MS));
    }
}

bool resp_client_read_line(struct resp_client *client, struct slice *line)
{
    for (;;) {
        struct slice bytes = unread(client);
        const uint8_t *end = bytes.size ? memchr(bytes.data, '\n', bytes.size) : NULL;
        if (end) {
            *line = slice_make(bytes.data, (size_t)(end - bytes.data));
            client->consumed += line->size + 1;
            return true;
        }
        if (receive(client) <= 0)
            return false;
    }
}

bool resp_client_sees_close(struct resp_client *client)
{
    if (unread(client).size)
        return false;
    ssize_t got = receive(client);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

bool resp_client_call_texts(struct resp_client *client, struct resp_reply *reply,
                            const char *const *texts)
{
    struct slice arguments[ARGUMENTS_MAX];
    size_t count = 0;

    while (count < ARGUMENTS_MAX && texts[count]) {
        arguments[count] = slice_from(texts[count]);
        count++;
    }
    *reply = (struct resp_reply){0};
    if (resp_client_send_command(client, arguments, count) && resp_client_read(client, reply))
        return true;
    reply->type = '!';
    return false;
}

const char *resp_client_ask_texts(struct resp_client *client, struct buffer *shown,
                                  const char *const *texts)
{
    struct resp_reply reply;

    buffer_clear(shown);
    if (resp_client_call_texts(client, &reply, texts))
        resp_reply_show(&reply, shown);
    else
        buffer_append_text(shown, "(no reply)");
    resp_reply_release(&reply);
    buffer_append_byte(shown, 0);
    return (const char *)shown->data;
}
