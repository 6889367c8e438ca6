/* SPDX-License-Identifier: MIT */
/* A service on a store in memory, and sessions on it without sockets: requests as redis-cli's text,
 * replies as lib/resp_reply.h shows them. The gate is open unless a test looks at it. */
#ifndef UNIT_COMMANDS_SESSION_FIXTURE_H
#define UNIT_COMMANDS_SESSION_FIXTURE_H

#include "commands/service.h"
#include "lib/memory_store.h"
#include "lib/resp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { FIXTURE_WAKES_MAX = 64 };

struct session_fixture {
    struct memory_store ms;
    struct config *config;
    struct service *service;
    struct session *a, *b; /* local clients */
    void *woken[FIXTURE_WAKES_MAX];
    size_t wake_count;
    unsigned shutdowns, reloads;
    struct buffer shown;
};

static inline void fixture_wake(void *context, void *owner)
{
    struct session_fixture *f = context;
    if (f->wake_count < FIXTURE_WAKES_MAX)
        f->woken[f->wake_count++] = owner;
}

static inline void fixture_shutdown(void *context, bool now)
{
    (void)now;
    ((struct session_fixture *)context)->shutdowns++;
}

static inline void fixture_disconnect(void *context, void *owner)
{
    (void)context;
    (void)owner;
}

/* The store is closed and opened again, as the server does it. */
static inline bool fixture_reload(void *context, struct lsm_report *report)
{
    struct session_fixture *f = context;
    (void)report;
    f->reloads++;
    service_set_store(f->service, NULL);
    memory_store_reopen(&f->ms);
    service_set_store(f->service, f->ms.store);
    return true;
}

static inline void fixture_set(struct session_fixture *f, const char *name, const char *value)
{
    struct buffer error = {0};
    assert_true(config_set(f->config, slice_from(name), slice_from(value), true, &error));
    buffer_release(&error);
}

static inline struct session *fixture_session(struct session_fixture *f, bool is_local, bool json,
                                              void *owner)
{
    return session_create(f->service, &(struct session_options){.address = "127.0.0.1:50000",
                                                                .local_address = "127.0.0.1:6379",
                                                                .file_descriptor = 7,
                                                                .is_local = is_local,
                                                                .json = json,
                                                                .owner = owner});
}

static inline void fixture_open(struct session_fixture *f, const struct store_options *options)
{
    static int owner_a, owner_b;
    *f = (struct session_fixture){0};
    memory_store_open(&f->ms, options);
    f->config = config_create();
    f->service = service_create(&f->ms.env, f->ms.store, f->config,
                                &(struct service_host){.wake = fixture_wake,
                                                       .shutdown = fixture_shutdown,
                                                       .disconnect = fixture_disconnect,
                                                       .reload = fixture_reload,
                                                       .context = f});
    f->a = fixture_session(f, true, false, &owner_a);
    f->b = fixture_session(f, true, false, &owner_b);
}

static inline void fixture_close(struct session_fixture *f)
{
    session_destroy(f->a);
    session_destroy(f->b);
    service_destroy(f->service);
    config_destroy(f->config);
    memory_store_release(&f->ms);
    buffer_release(&f->shown);
}

static inline int fixture_setup(void **state)
{
    static struct session_fixture fixture;
    /* Small segments: filling them with zeros is what a fixture costs. */
    fixture_open(&fixture, &(struct store_options){.wal_segment_bytes = 2 << 20});
    *state = &fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_close(*state);
    return 0;
}

/* Does what a parked session waits for, here and now. */
static inline enum session_state fixture_settle(struct session *session)
{
    while (session_state(session) == SESSION_PARKED) {
        session_work(session);
        session_resume(session);
    }
    return session_state(session);
}

/* All output as bytes, NUL-terminated; it is consumed. */
static inline const char *fixture_take(struct session_fixture *f, struct session *session)
{
    struct slice output = session_output(session);
    buffer_clear(&f->shown);
    buffer_append_slice(&f->shown, output);
    buffer_append_byte(&f->shown, 0);
    session_output_consume(session, output.size);
    return (const char *)f->shown.data;
}

static inline void fixture_feed(struct session *session, const char *text)
{
    session_feed(session, slice_from(text));
}

/* Sends a line (an inline request) and returns all replies, shown, with spaces between. */
static inline const char *fixture_ask(struct session_fixture *f, struct session *session,
                                      const char *line)
{
    fixture_feed(session, line);
    fixture_feed(session, "\r\n");
    fixture_settle(session);
    struct slice output = session_output(session);
    size_t used = 0;
    buffer_clear(&f->shown);
    while (used < output.size) {
        struct resp_reply reply = {0};
        size_t consumed = 0;
        assert_int_equal(resp_reply_read(slice_skip(output, used), &reply, &consumed),
                         REPLY_COMPLETE);
        if (f->shown.size > 0)
            buffer_append_byte(&f->shown, ' ');
        resp_reply_show(&reply, &f->shown);
        resp_reply_release(&reply);
        used += consumed;
    }
    session_output_consume(session, used);
    buffer_append_byte(&f->shown, 0);
    return (const char *)f->shown.data;
}

#define assert_reply(f, session, line, reply) \
    assert_string_equal(fixture_ask(f, session, line), reply)

#endif
