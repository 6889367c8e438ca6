/* SPDX-License-Identifier: MIT */
/* The pubsub family. A reply of SUBSCRIBE and its like is one message for each channel. */
#include "commands/glob.h"
#include "commands/service_state.h"

static const struct {
    const char *subscribed, *unsubscribed;
} words[PUBSUB_KINDS] = {
    [PUBSUB_CHANNEL] = {"subscribe", "unsubscribe"},
    [PUBSUB_PATTERN] = {"psubscribe", "punsubscribe"},
    [PUBSUB_SHARD] = {"ssubscribe", "sunsubscribe"},
};

/* Channels and patterns are counted together, shard channels by themselves. */
static void answer(struct command_context *c, enum pubsub_kind kind, const char *word,
                   const struct slice *name)
{
    const struct session_subscriptions *own = c->session->subscriptions;
    size_t count = kind == PUBSUB_SHARD ? own[PUBSUB_SHARD].count
                                        : own[PUBSUB_CHANNEL].count + own[PUBSUB_PATTERN].count;
    resp_push(c->reply, 3);
    resp_bulk_text(c->reply, word);
    if (name)
        resp_bulk(c->reply, *name);
    else
        resp_null(c->reply);
    resp_integer(c->reply, (int64_t)count);
}

/* ---- Subscribing --------------------------------------------------------------------------------- */

static enum status subscribe(struct command_context *c, enum pubsub_kind kind)
{
    session_take_messages(c);
    for (size_t i = 1; i < c->count; i++) {
        if (c->arguments[i].size > PUBSUB_NAME_BYTES_MAX)
            return reply_error(c, "ERR channel name is longer than 512 KiB");
        enum status status = pubsub_subscribe(c->session, kind, c->arguments[i]);
        if (status == STATUS_TOO_LARGE)
            return reply_error(c, "ERR too many subscriptions");
        if (status)
            return status;
        answer(c, kind, words[kind].subscribed, &c->arguments[i]);
    }
    return STATUS_OK;
}

static enum status unsubscribe(struct command_context *c, enum pubsub_kind kind)
{
    const struct subscription *first = pubsub_first(c->session, kind);
    session_take_messages(c);
    for (size_t i = 1; i < c->count; i++) {
        if (c->arguments[i].size <= PUBSUB_NAME_BYTES_MAX)
            pubsub_unsubscribe(c->session, kind, c->arguments[i]);
        answer(c, kind, words[kind].unsubscribed, &c->arguments[i]);
    }
    if (c->count > 1)
        return STATUS_OK;
    if (!first)
        answer(c, kind, words[kind].unsubscribed, NULL);
    for (; first; first = pubsub_first(c->session, kind)) {
        struct buffer name = {0};
        buffer_append_slice(&name, subscription_name(first));
        pubsub_unsubscribe(c->session, kind, buffer_slice(&name));
        struct slice shown = buffer_slice(&name);
        answer(c, kind, words[kind].unsubscribed, &shown);
        buffer_release(&name);
    }
    return STATUS_OK;
}

enum status subscribe_command(struct command_context *c)
{
    return subscribe(c, PUBSUB_CHANNEL);
}

enum status psubscribe_command(struct command_context *c)
{
    return subscribe(c, PUBSUB_PATTERN);
}

enum status ssubscribe_command(struct command_context *c)
{
    return subscribe(c, PUBSUB_SHARD);
}

enum status unsubscribe_command(struct command_context *c)
{
    return unsubscribe(c, PUBSUB_CHANNEL);
}

enum status punsubscribe_command(struct command_context *c)
{
    return unsubscribe(c, PUBSUB_PATTERN);
}

enum status sunsubscribe_command(struct command_context *c)
{
    return unsubscribe(c, PUBSUB_SHARD);
}

/* ---- Publishing ---------------------------------------------------------------------------------- */

/* To oneself the message comes before the number of those who got it. */
static enum status publish(struct command_context *c, enum pubsub_kind kind)
{
    size_t receivers = pubsub_publish(c->service, kind, c->arguments[1], c->arguments[2], 0);
    session_take_messages(c);
    return reply_integer(c, (int64_t)receivers);
}

enum status publish_command(struct command_context *c)
{
    return publish(c, PUBSUB_CHANNEL);
}

enum status spublish_command(struct command_context *c)
{
    return publish(c, PUBSUB_SHARD);
}

/* ---- PUBSUB -------------------------------------------------------------------------------------- */

struct channel_list {
    struct command_context *c;
    size_t count;
};

static void list_channel(void *context, struct slice name)
{
    struct channel_list *list = context;
    const struct command_context *c = list->c;
    if (c->count == 3 && !glob_matches(c->arguments[2], name, false))
        return;
    resp_bulk(c->reply, name);
    list->count++;
}

static enum status channels(struct command_context *c, enum pubsub_kind kind)
{
    struct channel_list list = {.c = c};
    if (c->count > 3)
        return reply_errorf(c,
                            "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try "
                            "PUBSUB HELP.",
                            ARGUMENT_SHOWN(c, 1));
    size_t mark = resp_deferred(c->reply);
    pubsub_each(&c->service->pubsub, kind, list_channel, &list);
    resp_deferred_array(c->reply, mark, list.count);
    return STATUS_OK;
}

static enum status subscribers(struct command_context *c, enum pubsub_kind kind)
{
    resp_array(c->reply, 2 * (c->count - 2));
    for (size_t i = 2; i < c->count; i++) {
        resp_bulk(c->reply, c->arguments[i]);
        resp_integer(c->reply,
                     (int64_t)pubsub_subscribers(&c->service->pubsub, kind, c->arguments[i]));
    }
    return STATUS_OK;
}

enum status pubsub_channels_command(struct command_context *c)
{
    return channels(c, PUBSUB_CHANNEL);
}

enum status pubsub_shardchannels_command(struct command_context *c)
{
    return channels(c, PUBSUB_SHARD);
}

enum status pubsub_numsub_command(struct command_context *c)
{
    return subscribers(c, PUBSUB_CHANNEL);
}

enum status pubsub_shardnumsub_command(struct command_context *c)
{
    return subscribers(c, PUBSUB_SHARD);
}

enum status pubsub_numpat_command(struct command_context *c)
{
    return reply_integer(c, (int64_t)pubsub_count(&c->service->pubsub, PUBSUB_PATTERN));
}

enum status pubsub_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        NULL,
    };
    return reply_help(c, lines);
}
