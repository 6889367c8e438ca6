/* SPDX-License-Identifier: MIT */
/* What changes how clients are served: CLIENT KILL, UNBLOCK, PAUSE, UNPAUSE, REPLY, NO-EVICT, NO-TOUCH. */
#include "commands/service_state.h"
#include "commands/serving.h"

/* ---- CLIENT KILL --------------------------------------------------------------------------------- */

struct kill {
    struct command_context *c;
    uint64_t id;                         /* 0: any */
    struct slice address, local_address; /* data NULL: any */
    enum client_type type;
    bool skips_me, kills_me;
    int64_t count;
};

static bool kill_matches(const struct kill *kill, const struct session *session)
{
    return (kill->id == 0 || kill->id == session->id) &&
           (!kill->address.data || slice_equal(kill->address, slice_from(session->address))) &&
           (!kill->local_address.data ||
            slice_equal(kill->local_address, slice_from(session->local_address))) &&
           client_is_of_type(session, kill->type) &&
           !(kill->skips_me && session == kill->c->session);
}

/* Under the clients mutex. The own session ends behind its reply. */
static void kill_if_asked(void *context, struct session *session)
{
    struct kill *kill = context;
    struct service *service = kill->c->service;
    if (!kill_matches(kill, session))
        return;
    kill->count++;
    if (session == kill->c->session) {
        kill->kills_me = true;
        return;
    }
    service->host.disconnect(service->host.context, session->owner);
    if (session_tell(session, WAITING_KILLED)) /* from now on nothing is taken for it */
        service->host.wake(service->host.context, session->owner);
}

/* Pairs of a name and a value. false: the error is answered. */
static bool parse_kill(struct command_context *c, struct kill *kill)
{
    for (size_t i = 2; i < c->count; i += 2) {
        if (i + 1 == c->count) {
            reply_syntax_error(c);
            return false;
        }
        struct slice value = c->arguments[i + 1];
        if (argument_is(c, i, "ID")) {
            int64_t id = 0;
            if (!slice_parse_integer(value, &id) || id < 1) {
                reply_error(c, "ERR client-id should be greater than 0");
                return false;
            }
            kill->id = (uint64_t)id;
        } else if (argument_is(c, i, "TYPE")) {
            if (!client_type_parse(c, i + 1, &kill->type))
                return false;
        } else if (argument_is(c, i, "ADDR")) {
            kill->address = value;
        } else if (argument_is(c, i, "LADDR")) {
            kill->local_address = value;
        } else if (argument_is(c, i, "USER")) {
            if (!slice_equal(value, slice_from("default"))) {
                reply_errorf(c, "ERR No such user '%.*s'", ARGUMENT_SHOWN(c, i + 1));
                return false;
            }
        } else if (argument_is(c, i, "SKIPME") && argument_is(c, i + 1, "YES")) {
            kill->skips_me = true;
        } else if (argument_is(c, i, "SKIPME") && argument_is(c, i + 1, "NO")) {
            kill->skips_me = false;
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

enum status client_kill_command(struct command_context *c)
{
    struct kill kill = {.c = c, .skips_me = true};
    bool is_old_form = c->count == 3;
    if (is_old_form) {
        kill.address = c->arguments[2];
        kill.skips_me = false;
    } else if (!parse_kill(c, &kill)) {
        return STATUS_OK;
    }
    service_each_client(c->service, kill_if_asked, &kill);
    c->session->closing |= kill.kills_me;
    if (!is_old_form)
        return reply_integer(c, kill.count);
    return kill.count > 0 ? reply_ok(c) : reply_error(c, "ERR No such client");
}

/* ---- CLIENT UNBLOCK ------------------------------------------------------------------------------ */

struct unblock {
    struct service *service;
    uint64_t id;
    enum waiting what;
    bool is_done;
};

static void unblock_if_asked(void *context, struct session *session)
{
    struct unblock *unblock = context;
    struct service *service = unblock->service;
    if (session->id != unblock->id || !session_tell(session, unblock->what))
        return;
    atomic_store_explicit(&session->is_blocked, false, memory_order_relaxed);
    service->host.wake(service->host.context, session->owner);
    unblock->is_done = true;
}

enum status client_unblock_command(struct command_context *c)
{
    int64_t id = 0;
    struct unblock unblock = {.service = c->service, .what = WAITING_TOLD_TIMEOUT};
    if (c->count > 4)
        return reply_errorf(c,
                            "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try "
                            "CLIENT HELP.",
                            ARGUMENT_SHOWN(c, 1));
    if (argument_is(c, 3, "ERROR"))
        unblock.what = WAITING_TOLD_ERROR;
    else if (c->count == 4 && !argument_is(c, 3, "TIMEOUT"))
        return reply_error(c, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    if (!argument_integer(c, 2, &id))
        return STATUS_OK;
    unblock.id = (uint64_t)id;
    service_each_client(c->service, unblock_if_asked, &unblock);
    return reply_integer(c, unblock.is_done);
}

/* ---- CLIENT PAUSE -------------------------------------------------------------------------------- */

/* What waits holds its place and is tried again: after the time, or when it is told. */
bool service_is_paused(struct service *service, uint32_t flags, uint64_t *until_us)
{
    uint64_t until = atomic_load_explicit(&service->pause_until_us, memory_order_relaxed);
    if (until == 0)
        return false;
    *until_us = until;
    return ((flags & COMMAND_WRITE) ||
            atomic_load_explicit(&service->pause_is_total, memory_order_relaxed)) &&
           env_monotonic_us(service->env) < until;
}

enum status client_pause_command(struct command_context *c)
{
    struct service *service = c->service;
    int64_t timeout_ms = 0;
    bool is_total = true;
    if (c->count > 4)
        return reply_errorf(
            c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
            ARGUMENT_SHOWN(c, 1));
    if (c->count == 4) {
        is_total = argument_is(c, 3, "ALL");
        if (!is_total && !argument_is(c, 3, "WRITE"))
            return reply_error(c, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
    if (!argument_timeout_ms(c, 2, &timeout_ms))
        return STATUS_OK;
    uint64_t until = env_monotonic_us(service->env) + (uint64_t)timeout_ms * 1000;
    if (until > atomic_load(&service->pause_until_us)) /* a pause is not shortened by another */
        atomic_store(&service->pause_until_us, until);
    atomic_store(&service->pause_is_total,
                 is_total || (atomic_load(&service->pause_is_total) &&
                              atomic_load(&service->pause_until_us) > until));
    return reply_ok(c);
}

static void wake_client(void *context, struct session *session)
{
    struct service *service = context;
    service->host.wake(service->host.context, session->owner);
}

enum status client_unpause_command(struct command_context *c)
{
    atomic_store(&c->service->pause_until_us, 0);
    atomic_store(&c->service->pause_is_total, false);
    service_each_client(c->service, wake_client, c->service);
    return reply_ok(c);
}

/* ---- The client's own ---------------------------------------------------------------------------- */

enum status client_reply_command(struct command_context *c)
{
    struct session *session = c->session;
    if (argument_is(c, 2, "ON")) {
        session->replies = SESSION_REPLIES_ON;
        return reply_ok(c);
    }
    if (argument_is(c, 2, "OFF"))
        session->replies = SESSION_REPLIES_OFF;
    else if (argument_is(c, 2, "SKIP"))
        session->replies =
            session->replies == SESSION_REPLIES_OFF ? SESSION_REPLIES_OFF : SESSION_REPLIES_SKIP;
    else
        return reply_syntax_error(c);
    return STATUS_OK;
}

static bool parse_switch(struct command_context *c, bool *is_on)
{
    *is_on = argument_is(c, 2, "ON");
    if (*is_on || argument_is(c, 2, "OFF"))
        return true;
    reply_syntax_error(c);
    return false;
}

enum status client_no_evict_command(struct command_context *c)
{
    bool is_on;
    if (!parse_switch(c, &is_on))
        return STATUS_OK;
    atomic_store(&c->session->is_kept, is_on);
    return reply_ok(c);
}

/* Reads do not change what OBJECT says of a key anyway. */
enum status client_no_touch_command(struct command_context *c)
{
    bool is_on;
    if (!parse_switch(c, &is_on))
        return STATUS_OK;
    atomic_store(&c->session->is_no_touch, is_on);
    return reply_ok(c);
}
