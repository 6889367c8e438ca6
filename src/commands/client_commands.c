/* SPDX-License-Identifier: MIT */
/* CLIENT: what a client may know and say about itself, and the list of all. */
#include "commands/service_state.h"

#include <stdio.h>

bool session_is_valid_name(struct slice name)
{
    if (name.size > SESSION_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < '!' || name.data[i] > '~')
            return false;
    return true;
}

void session_set_name(struct session *session, struct buffer *field, struct slice name)
{
    pthread_mutex_lock(&session->service->clients_mutex);
    buffer_clear(field);
    buffer_append_slice(field, name);
    pthread_mutex_unlock(&session->service->clients_mutex);
}

enum status client_id_command(struct command_context *c)
{
    return reply_integer(c, (int64_t)c->session->id);
}

enum status client_getname_command(struct command_context *c)
{
    if (c->session->name.size == 0)
        return reply_null(c);
    return reply_bulk(c, buffer_slice(&c->session->name));
}

enum status client_setname_command(struct command_context *c)
{
    if (!session_is_valid_name(c->arguments[2]))
        return reply_error(
            c, "ERR Client names cannot contain spaces, newlines or special characters.");
    session_set_name(c->session, &c->session->name, c->arguments[2]);
    return reply_ok(c);
}

enum status client_setinfo_command(struct command_context *c)
{
    bool is_name = argument_is(c, 2, "lib-name");
    if (!is_name && !argument_is(c, 2, "lib-ver"))
        return reply_errorf(c, "ERR Unrecognized option '%.*s'", ARGUMENT_SHOWN(c, 2));
    if (!session_is_valid_name(c->arguments[3]))
        return reply_errorf(c, "ERR %s cannot contain spaces, newlines or special characters.",
                            is_name ? "lib-name" : "lib-ver");
    session_set_name(c->session, is_name ? &c->session->library_name : &c->session->library_version,
                     c->arguments[3]);
    return reply_ok(c);
}

/* ---- The list
 * ------------------------------------------------------------------------------------ */

struct client_list {
    struct buffer text;
    uint64_t now_ms;
    const struct slice *ids; /* NULL: all */
    size_t id_count;
    enum client_type type;
};

static uint64_t seconds_since(uint64_t now_ms, uint64_t then_ms)
{
    return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

enum { CLIENT_FLAGS_MAX = 12 };

static size_t shown_subscriptions(const struct session *session, enum pubsub_kind kind)
{
    return atomic_load_explicit(&session->subscriptions[kind].shown, memory_order_relaxed);
}

/* As Redis has them; N: none of the others. */
static void client_flags(const struct session *session, int queued, char flags[CLIENT_FLAGS_MAX])
{
    const struct {
        bool is_set;
        char letter;
    } all[] = {
        {session_is_subscribed(session), 'P'},
        {queued >= 0, 'x'},
        {atomic_load_explicit(&session->is_blocked, memory_order_relaxed), 'b'},
        {atomic_load_explicit(&session->is_tracking, memory_order_relaxed), 't'},
        {atomic_load_explicit(&session->shown_redirect_broken, memory_order_relaxed), 'R'},
        {atomic_load_explicit(&session->shown_broadcast, memory_order_relaxed), 'B'},
        {atomic_load_explicit(&session->transaction.is_broken, memory_order_relaxed), 'd'},
        {session->address[0] == '/', 'U'},
        {atomic_load_explicit(&session->is_kept, memory_order_relaxed), 'e'},
        {atomic_load_explicit(&session->is_no_touch, memory_order_relaxed), 'T'},
    };
    _Static_assert(sizeof all / sizeof *all < CLIENT_FLAGS_MAX, "and a NUL");
    char *at = flags;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].is_set)
            *at++ = all[i].letter;
    if (at == flags)
        *at++ = 'N';
    *at = 0;
}

/* One client's line, as Redis has it. Under the clients mutex. */
static void append_client(struct client_list *list, struct session *session)
{
    const struct command *command =
        atomic_load_explicit(&session->last_command, memory_order_relaxed);
    size_t input = atomic_load_explicit(&session->input_bytes, memory_order_relaxed);
    size_t output = atomic_load_explicit(&session->output_bytes, memory_order_relaxed);
    int queued = atomic_load_explicit(&session->transaction.shown, memory_order_relaxed);
    char flags[CLIENT_FLAGS_MAX];
    client_flags(session, queued, flags);
    buffer_printf(
        &list->text,
        "id=%llu addr=%s laddr=%s fd=%d name=%.*s age=%llu idle=%llu flags=%s db=%u sub=%zu "
        "psub=%zu "
        "ssub=%zu multi=%d qbuf=%zu qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=%zu oll=0 "
        "omem=%zu tot-mem=%zu events=%s cmd=%s user=default redir=%lld resp=%d lib-name=%.*s "
        "lib-ver=%.*s\n",
        (unsigned long long)session->id, session->address, session->local_address,
        session->file_descriptor, (int)session->name.size, (const char *)session->name.data,
        (unsigned long long)seconds_since(list->now_ms, session->created_ms),
        (unsigned long long)seconds_since(
            list->now_ms, atomic_load_explicit(&session->active_ms, memory_order_relaxed)),
        flags, atomic_load_explicit(&session->database, memory_order_relaxed),
        shown_subscriptions(session, PUBSUB_CHANNEL), shown_subscriptions(session, PUBSUB_PATTERN),
        shown_subscriptions(session, PUBSUB_SHARD), queued, input, output, output,
        sizeof *session + input + output, output ? "rw" : "r",
        command         ? command->name
        : session->json ? "json"
                        : "NULL",
        atomic_load_explicit(&session->shown_redirect, memory_order_relaxed),
        atomic_load_explicit(&session->protocol, memory_order_relaxed),
        (int)session->library_name.size, (const char *)session->library_name.data,
        (int)session->library_version.size, (const char *)session->library_version.data);
}

bool client_type_parse(struct command_context *c, size_t index, enum client_type *type)
{
    static const struct {
        const char *name;
        enum client_type type;
    } types[] = {{"normal", CLIENT_TYPE_NORMAL},
                 {"pubsub", CLIENT_TYPE_PUBSUB},
                 {"master", CLIENT_TYPE_NONE},
                 {"replica", CLIENT_TYPE_NONE},
                 {"slave", CLIENT_TYPE_NONE}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (argument_is(c, index, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    }
    reply_errorf(c, "ERR Unknown client type '%.*s'", ARGUMENT_SHOWN(c, index));
    return false;
}

bool client_is_of_type(const struct session *session, enum client_type type)
{
    if (type == CLIENT_TYPE_ANY || type == CLIENT_TYPE_NONE)
        return type == CLIENT_TYPE_ANY;
    return session_is_subscribed(session) == (type == CLIENT_TYPE_PUBSUB);
}

static void append_if_asked(void *context, struct session *session)
{
    struct client_list *list = context;
    bool is_asked = !list->ids && client_is_of_type(session, list->type);
    for (size_t i = 0; i < list->id_count && !is_asked; i++) {
        uint64_t id = 0;
        is_asked = slice_parse_unsigned(list->ids[i], &id) && id == session->id;
    }
    if (is_asked)
        append_client(list, session);
}

static enum status reply_list(struct command_context *c, struct client_list *list)
{
    enum status status = list->text.failed ? STATUS_NO_MEMORY : STATUS_OK;
    resp_verbatim(c->reply, "txt", buffer_slice(&list->text));
    buffer_release(&list->text);
    return status;
}

enum status client_info_command(struct command_context *c)
{
    struct client_list list = {.text.may_fail = true, .now_ms = env_wall_ms(c->service->env)};
    pthread_mutex_lock(&c->service->clients_mutex);
    append_client(&list, c->session);
    pthread_mutex_unlock(&c->service->clients_mutex);
    return reply_list(c, &list);
}

enum status client_list_command(struct command_context *c)
{
    struct client_list list = {.text.may_fail = true, .now_ms = env_wall_ms(c->service->env)};
    if (c->count == 4 && argument_is(c, 2, "TYPE")) {
        if (!client_type_parse(c, 3, &list.type))
            return STATUS_OK;
    } else if (c->count > 3 && argument_is(c, 2, "ID")) {
        for (size_t i = 3; i < c->count; i++) {
            int64_t id = 0;
            if (!slice_parse_integer(c->arguments[i], &id))
                return reply_error(c, "ERR Invalid client ID");
        }
        list.ids = c->arguments + 3;
        list.id_count = c->count - 3;
    } else if (c->count != 2) {
        return reply_syntax_error(c);
    }
    service_each_client(c->service, append_if_asked, &list);
    return reply_list(c, &list);
}

enum status client_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETNAME",
        "    Return the name of the current connection.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "    * ID <client id> [<client id> ...]",
        "      Return clients of specified IDs only.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.",
        "NO-TOUCH (ON|OFF)",
        "    Will not touch LRU/LFU stats when this mode is on.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "SETINFO <option> <value>",
        "    Set client meta attr. Options are:",
        "    * LIB-NAME: the client lib name.",
        "    * LIB-VER: the client lib version.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        NULL,
    };
    return reply_help(c, lines);
}
