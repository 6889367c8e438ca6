/* SPDX-License-Identifier: MIT */
/* The connection family: PING ECHO HELLO AUTH SELECT QUIT RESET. */
#include "commands/service_state.h"

enum status ping_command(struct command_context *c)
{
    if (c->count > 2)
        return reply_wrong_arity(c);
    if (c->reply->protocol == 2 && session_is_subscribed(c->session)) {
        resp_array(c->reply, 2);
        resp_bulk_text(c->reply, "pong");
        return reply_bulk(c, c->count == 2 ? c->arguments[1] : slice_make(NULL, 0));
    }
    if (c->count == 2)
        return reply_bulk(c, c->arguments[1]);
    resp_simple(c->reply, "PONG");
    return STATUS_OK;
}

enum status echo_command(struct command_context *c)
{
    return reply_bulk(c, c->arguments[1]);
}

enum status quit_command(struct command_context *c)
{
    c->session->closing = true;
    return reply_ok(c);
}

enum status select_command(struct command_context *c)
{
    int64_t database = 0;
    if (!argument_integer(c, 1, &database))
        return STATUS_OK;
    if (database < 0 || database >= config_integer(service_config(c->service), CONFIG_databases))
        return reply_error(c, "ERR DB index is out of range");
    atomic_store_explicit(&c->session->database, (unsigned)database, memory_order_relaxed);
    return reply_ok(c);
}

/* Takes the same time wherever the difference is. */
static bool is_same_secret(struct slice a, struct slice b)
{
    uint8_t difference = a.size != b.size;
    for (size_t i = 0; i < a.size; i++)
        difference |= (uint8_t)(a.data[i] ^ (b.size ? b.data[i % b.size] : 0));
    return difference == 0;
}

bool session_authenticate(struct session *session, struct slice user, struct slice password)
{
    struct buffer expected = {0};
    config_string(session->service->config, CONFIG_requirepass, &expected);
    bool is_right = slice_equal(user, slice_from("default")) &&
                    (expected.size == 0 || is_same_secret(password, buffer_slice(&expected)));
    buffer_release(&expected);
    if (is_right)
        session->authenticated = true;
    return is_right;
}

static const char wrong_pass[] = "WRONGPASS invalid username-password pair or user is disabled.";

enum status auth_command(struct command_context *c)
{
    if (c->count > 3)
        return reply_syntax_error(c);
    struct slice user = c->count == 3 ? c->arguments[1] : slice_from("default");
    if (c->count == 2 && config_integer(service_config(c->service), CONFIG_requirepass) == 0)
        return reply_error(c, "ERR AUTH <password> called without any password configured for the "
                              "default user. Are you sure your configuration is correct?");
    if (!session_authenticate(c->session, user, c->arguments[c->count - 1]))
        return reply_error(c, wrong_pass);
    return reply_ok(c);
}

static void set_protocol(struct command_context *c, int protocol)
{
    atomic_store_explicit(&c->session->protocol, protocol, memory_order_relaxed);
    c->reply->protocol = protocol;
}

enum status reset_command(struct command_context *c)
{
    struct session *session = c->session;
    transaction_end(session);
    pubsub_unsubscribe_all(session);
    tracking_turn_off(session);
    session->replies = SESSION_REPLIES_ON;
    atomic_store(&session->is_kept, false);
    atomic_store(&session->is_no_touch, false);
    set_protocol(c, 2);
    atomic_store_explicit(&session->database, 0, memory_order_relaxed);
    pthread_mutex_lock(&c->service->clients_mutex);
    buffer_release(&session->name);
    pthread_mutex_unlock(&c->service->clients_mutex);
    session->authenticated = config_integer(service_config(c->service), CONFIG_requirepass) == 0;
    resp_simple(c->reply, "RESET");
    return STATUS_OK;
}

/* HELLO's options behind the version. false: the error is answered. */
struct hello {
    struct slice user, password, name;
    bool has_auth, has_name;
};

static bool parse_hello(struct command_context *c, struct hello *hello)
{
    for (size_t i = 2; i < c->count; i++) {
        size_t left = c->count - i - 1;
        if (argument_is(c, i, "AUTH") && left >= 2) {
            hello->has_auth = true;
            hello->user = c->arguments[i + 1];
            hello->password = c->arguments[i + 2];
            i += 2;
        } else if (argument_is(c, i, "SETNAME") && left >= 1) {
            hello->has_name = true;
            hello->name = c->arguments[++i];
            if (!session_is_valid_name(hello->name)) {
                reply_error(c, "ERR Client names cannot contain spaces, newlines or special "
                               "characters.");
                return false;
            }
        } else {
            reply_errorf(c, "ERR Syntax error in HELLO option '%.*s'", ARGUMENT_SHOWN(c, i));
            return false;
        }
    }
    return true;
}

static void reply_hello(struct command_context *c)
{
    struct resp_writer *w = c->reply;
    resp_map(w, 7);
    resp_bulk_text(w, "server");
    resp_bulk_text(w, "redis");
    resp_bulk_text(w, "version");
    resp_bulk_text(w, REDIS_VERSION);
    resp_bulk_text(w, "proto");
    resp_integer(w, w->protocol);
    resp_bulk_text(w, "id");
    resp_integer(w, (int64_t)c->session->id);
    resp_bulk_text(w, "mode");
    resp_bulk_text(w, "standalone");
    resp_bulk_text(w, "role");
    resp_bulk_text(w, "master");
    resp_bulk_text(w, "modules");
    resp_array(w, 0);
}

enum status hello_command(struct command_context *c)
{
    int64_t protocol = c->reply->protocol;
    struct hello hello = {0};
    if (c->count > 1) {
        if (!slice_parse_integer(c->arguments[1], &protocol))
            return reply_error(c, "ERR Protocol version is not an integer or out of range");
        if (protocol < 2 || protocol > 3)
            return reply_error(c, "NOPROTO unsupported protocol version");
    }
    if (!parse_hello(c, &hello))
        return STATUS_OK;
    if (hello.has_auth && !session_authenticate(c->session, hello.user, hello.password))
        return reply_error(c, wrong_pass);
    if (!session_is_authenticated(c->session))
        return reply_error(c,
                           "NOAUTH HELLO must be called with the client already authenticated, "
                           "otherwise the HELLO <proto> AUTH <user> <pass> option can be used to "
                           "authenticate the client and select the RESP protocol version at the "
                           "same time");
    if (hello.has_name)
        session_set_name(c->session, &c->session->name, hello.name);
    set_protocol(c, (int)protocol);
    reply_hello(c);
    return STATUS_OK;
}
