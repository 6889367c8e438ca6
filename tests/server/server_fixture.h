/* SPDX-License-Identifier: MIT */
/* For tests of one server each: the server, not started, and a client. setup and teardown are cmocka's. */
#ifndef SERVER_SERVER_FIXTURE_H
#define SERVER_SERVER_FIXTURE_H

#include "lib/test_server.h"

struct fixture {
    struct test_server server;
    struct resp_client client;
    struct buffer shown;
};

static inline int setup(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.client.socket = -1};
    test_server_init(&fixture.server, SERVER_CORDWOOD);
    *state = &fixture;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->client.socket >= 0)
        resp_client_close(&f->client);
    test_server_release(&f->server);
    buffer_release(&f->shown);
    return 0;
}

/* Starts the server with these flags and connects the client. */
static inline void start(struct fixture *f, const char *const *flags)
{
    test_server_start(&f->server, flags);
    test_server_connect(&f->server, &f->client);
}

/* What the server has logged; valid until the next call. */
static inline const char *log_text(struct fixture *f)
{
    buffer_clear(&f->shown);
    test_server_read_log(&f->server, &f->shown);
    buffer_append_byte(&f->shown, 0);
    return (const char *)f->shown.data;
}

#endif
