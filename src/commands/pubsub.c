/* SPDX-License-Identifier: MIT */
#include "commands/pubsub.h"

#include "base/hash.h"
#include "base/memory.h"
#include "commands/glob.h"
#include "commands/service_state.h"

#include <assert.h>

enum {
    INBOX_BYTES_MAX = 64 << 20, /* what a loop has not taken; with a smaller hard limit, that */
    INBOX_KEPT_BYTES = 16 * 1024,
};

struct channel {
    struct channel *next; /* in its bucket, or of the patterns */
    enum pubsub_kind kind;
    uint64_t hash;
    struct subscription *first, *last; /* never none */
    size_t count;
    size_t name_size;
    uint8_t name[];
};

static struct slice channel_name(const struct channel *channel)
{
    return slice_make(channel->name, channel->name_size);
}

struct slice subscription_name(const struct subscription *subscription)
{
    return channel_name(subscription->channel);
}

void pubsub_init(struct pubsub *pubsub)
{
    memset(pubsub, 0, sizeof *pubsub);
    pthread_mutex_init(&pubsub->mutex, NULL);
}

void pubsub_release(struct pubsub *pubsub)
{
    assert(!pubsub->patterns);
    pthread_mutex_destroy(&pubsub->mutex);
}

void inbox_init(struct inbox *inbox)
{
    pthread_mutex_init(&inbox->mutex, NULL);
    inbox->bytes.may_fail = true;
}

void inbox_release(struct inbox *inbox)
{
    buffer_release(&inbox->bytes);
    pthread_mutex_destroy(&inbox->mutex);
}

/* ---- Channels. The mutex is held ----------------------------------------------------------------- */

/* Where the pointer to the channel stands, or would. */
static struct channel **place_of(struct pubsub *pubsub, enum pubsub_kind kind, struct slice name,
                                 uint64_t hash)
{
    struct channel **at =
        kind == PUBSUB_PATTERN ? &pubsub->patterns : &pubsub->buckets[hash % PUBSUB_BUCKETS];
    while (*at &&
           !((*at)->hash == hash && (*at)->kind == kind && slice_equal(channel_name(*at), name)))
        at = &(*at)->next;
    return at;
}

static struct channel *add_channel(struct pubsub *pubsub, struct channel **place,
                                   enum pubsub_kind kind, struct slice name, uint64_t hash)
{
    struct channel *channel = memory_ask_allocate(sizeof *channel + name.size);
    if (!channel)
        return NULL;
    *channel = (struct channel){.kind = kind, .hash = hash, .name_size = name.size};
    if (name.size)
        memcpy(channel->name, name.data, name.size);
    assert(!*place);
    *place = channel;
    atomic_fetch_add_explicit(&pubsub->counts[kind], 1, memory_order_relaxed);
    return channel;
}

static void remove_channel(struct pubsub *pubsub, struct channel *channel)
{
    struct channel **place = place_of(pubsub, channel->kind, channel_name(channel), channel->hash);
    assert(*place == channel);
    *place = channel->next;
    atomic_fetch_sub_explicit(&pubsub->counts[channel->kind], 1, memory_order_relaxed);
    memory_free(channel);
}

/* ---- Subscriptions ------------------------------------------------------------------------------- */

static struct subscription *own_subscription(const struct session *session, enum pubsub_kind kind,
                                             struct slice name)
{
    struct subscription *own = session->subscriptions[kind].first;
    while (own && !slice_equal(subscription_name(own), name))
        own = own->next_own;
    return own;
}

/* Of the two lists the shorter one is searched. */
static struct subscription *find(const struct session *session, const struct channel *channel)
{
    struct subscription *own;
    if (!channel)
        return NULL;
    if (session->subscriptions[channel->kind].count < channel->count)
        return own_subscription(session, channel->kind, channel_name(channel));
    for (own = channel->first; own && own->session != session; own = own->next) {
    }
    return own;
}

static void show_count(struct session *session, enum pubsub_kind kind)
{
    atomic_store_explicit(&session->subscriptions[kind].shown, session->subscriptions[kind].count,
                          memory_order_relaxed);
}

static void link_subscription(struct session *session, struct channel *channel,
                              struct subscription *subscription)
{
    struct session_subscriptions *own = &session->subscriptions[channel->kind];
    *subscription = (struct subscription){.channel = channel,
                                          .session = session,
                                          .previous = channel->last,
                                          .previous_own = own->last};
    *(channel->last ? &channel->last->next : &channel->first) = subscription;
    channel->last = subscription;
    channel->count++;
    *(own->last ? &own->last->next_own : &own->first) = subscription;
    own->last = subscription;
    own->count++;
    show_count(session, channel->kind);
}

/* Frees the channel with its last one. The mutex is held. */
static void unlink_subscription(struct pubsub *pubsub, struct subscription *subscription)
{
    struct channel *channel = subscription->channel;
    struct session *session = subscription->session;
    struct session_subscriptions *own = &session->subscriptions[channel->kind];
    *(subscription->previous ? &subscription->previous->next : &channel->first) =
        subscription->next;
    *(subscription->next ? &subscription->next->previous : &channel->last) = subscription->previous;
    *(subscription->previous_own ? &subscription->previous_own->next_own : &own->first) =
        subscription->next_own;
    *(subscription->next_own ? &subscription->next_own->previous_own : &own->last) =
        subscription->previous_own;
    own->count--;
    show_count(session, channel->kind);
    memory_free(subscription);
    if (--channel->count == 0)
        remove_channel(pubsub, channel);
}

enum status pubsub_subscribe(struct session *session, enum pubsub_kind kind, struct slice name)
{
    struct pubsub *pubsub = &session->service->pubsub;
    uint64_t hash = hash64(name, kind);
    enum status status = STATUS_OK;
    assert(name.size <= PUBSUB_NAME_BYTES_MAX);
    if (session->subscriptions[kind].count >= PUBSUB_SUBSCRIPTIONS_MAX)
        return STATUS_TOO_LARGE;
    atomic_store_explicit(&pubsub->is_used, true, memory_order_relaxed);
    pthread_mutex_lock(&pubsub->mutex);
    struct channel **place = place_of(pubsub, kind, name, hash);
    if (!find(session, *place)) {
        struct subscription *subscription = memory_try_allocate(sizeof *subscription);
        struct channel *channel = *place;
        if (subscription && !channel)
            channel = add_channel(pubsub, place, kind, name, hash);
        if (channel && subscription)
            link_subscription(session, channel, subscription);
        else
            status = STATUS_NO_MEMORY;
        if (status)
            memory_free(subscription);
    }
    pthread_mutex_unlock(&pubsub->mutex);
    return status;
}

void pubsub_unsubscribe(struct session *session, enum pubsub_kind kind, struct slice name)
{
    struct pubsub *pubsub = &session->service->pubsub;
    pthread_mutex_lock(&pubsub->mutex);
    struct subscription *subscription =
        find(session, *place_of(pubsub, kind, name, hash64(name, kind)));
    if (subscription)
        unlink_subscription(pubsub, subscription);
    pthread_mutex_unlock(&pubsub->mutex);
}

bool pubsub_is_subscribed(struct session *session, enum pubsub_kind kind, struct slice name)
{
    struct pubsub *pubsub = &session->service->pubsub;
    pthread_mutex_lock(&pubsub->mutex);
    bool is_subscribed = find(session, *place_of(pubsub, kind, name, hash64(name, kind))) != NULL;
    pthread_mutex_unlock(&pubsub->mutex);
    return is_subscribed;
}

const struct subscription *pubsub_first(const struct session *session, enum pubsub_kind kind)
{
    return session->subscriptions[kind].first;
}

void pubsub_unsubscribe_all(struct session *session)
{
    struct pubsub *pubsub = &session->service->pubsub;
    if (!atomic_load_explicit(&pubsub->is_used, memory_order_relaxed))
        return;
    pthread_mutex_lock(&pubsub->mutex);
    for (int kind = 0; kind < PUBSUB_KINDS; kind++)
        while (session->subscriptions[kind].first)
            unlink_subscription(pubsub, session->subscriptions[kind].first);
    pthread_mutex_unlock(&pubsub->mutex);
}

/* ---- Messages ------------------------------------------------------------------------------------ */

/* A message as it is sent, for each protocol that somebody speaks. */
struct message {
    struct service *service;
    const char *word;   /* "message", "pmessage", "smessage" */
    struct slice bytes; /* data not NULL: sent as they are */
    struct slice pattern, channel, text;
    lsn_t lsn;
    struct buffer encoded[2]; /* RESP2, RESP3; empty: not yet */
    size_t receivers;
};

static struct slice encode(struct message *message, int protocol)
{
    struct buffer *into = &message->encoded[protocol >= 3];
    struct resp_writer writer = {.out = into, .protocol = protocol};
    if (message->bytes.data)
        return message->bytes;
    if (into->size == 0) {
        into->may_fail = true;
        resp_push(&writer, message->pattern.data ? 4 : 3);
        resp_bulk_text(&writer, message->word);
        if (message->pattern.data)
            resp_bulk(&writer, message->pattern);
        resp_bulk(&writer, message->channel);
        resp_bulk(&writer, message->text);
    }
    return into->failed ? slice_make(NULL, 0) : buffer_slice(into);
}

static size_t inbox_limit(struct service *service)
{
    struct config_output_limit limit = config_output_limit(service->config, CONFIG_CLASS_PUBSUB);
    return limit.hard_bytes && limit.hard_bytes < INBOX_BYTES_MAX ? limit.hard_bytes
                                                                  : INBOX_BYTES_MAX;
}

/* Wakes the loop with the first message that it has not taken. Empty bytes: there was no memory for them. */
void session_give(struct session *session, struct slice bytes, lsn_t lsn)
{
    struct service *service = session->service;
    struct inbox *inbox = &session->inbox;
    pthread_mutex_lock(&inbox->mutex);
    bool was_empty = inbox->bytes.size == 0 && !inbox->is_broken;
    if (bytes.size == 0 || inbox->bytes.size + bytes.size > inbox_limit(service))
        inbox->is_broken = true;
    else
        buffer_append_slice(&inbox->bytes, bytes);
    if (inbox->bytes.failed)
        inbox->is_broken = true;
    if (lsn > inbox->lsn)
        inbox->lsn = lsn;
    pthread_mutex_unlock(&inbox->mutex);
    if (was_empty && service->host.deliver)
        service->host.deliver(service->host.context, session->owner);
}

static void give(struct session *session, struct message *message)
{
    int protocol = atomic_load_explicit(&session->protocol, memory_order_relaxed);
    session_give(session, encode(message, protocol), message->lsn);
    message->receivers++;
}

static void give_all(const struct channel *channel, struct message *message)
{
    for (struct subscription *at = channel ? channel->first : NULL; at; at = at->next)
        give(at->session, message);
}

static void forget(struct message *message)
{
    buffer_release(&message->encoded[0]);
    buffer_release(&message->encoded[1]);
    message->encoded[0] = message->encoded[1] = (struct buffer){0};
}

static void publish_to_patterns(struct pubsub *pubsub, struct message *message)
{
    message->word = "pmessage";
    for (struct channel *at = pubsub->patterns; at; at = at->next) {
        if (!glob_matches(channel_name(at), message->channel, false))
            continue;
        message->pattern = channel_name(at);
        forget(message);
        give_all(at, message);
    }
}

size_t pubsub_publish(struct service *service, enum pubsub_kind kind, struct slice channel,
                      struct slice text, lsn_t lsn)
{
    struct pubsub *pubsub = &service->pubsub;
    struct message message = {.service = service,
                              .word = kind == PUBSUB_SHARD ? "smessage" : "message",
                              .channel = channel,
                              .text = text,
                              .lsn = lsn};
    assert(kind != PUBSUB_PATTERN);
    if (!atomic_load_explicit(&pubsub->is_used, memory_order_relaxed))
        return 0;
    pthread_mutex_lock(&pubsub->mutex);
    give_all(*place_of(pubsub, kind, channel, hash64(channel, kind)), &message);
    if (kind == PUBSUB_CHANNEL && pubsub->patterns)
        publish_to_patterns(pubsub, &message);
    pthread_mutex_unlock(&pubsub->mutex);
    forget(&message);
    return message.receivers;
}

void pubsub_publish_bytes(struct service *service, enum pubsub_kind kind, struct slice bytes)
{
    struct pubsub *pubsub = &service->pubsub;
    struct slice nameless = slice_make(NULL, 0);
    struct message message = {.service = service, .bytes = bytes};
    pthread_mutex_lock(&pubsub->mutex);
    give_all(*place_of(pubsub, kind, nameless, hash64(nameless, kind)), &message);
    pthread_mutex_unlock(&pubsub->mutex);
}

/* The mutex is held. */
static void empty(struct inbox *inbox)
{
    inbox->lsn = 0;
    if (inbox->bytes.capacity > INBOX_KEPT_BYTES)
        buffer_release(&inbox->bytes);
    buffer_clear(&inbox->bytes);
}

bool inbox_take(struct inbox *inbox, struct buffer *out, lsn_t *lsn)
{
    pthread_mutex_lock(&inbox->mutex);
    bool is_whole = !inbox->is_broken;
    buffer_append_slice(out, buffer_slice(&inbox->bytes));
    if (inbox->lsn > *lsn)
        *lsn = inbox->lsn;
    empty(inbox);
    pthread_mutex_unlock(&inbox->mutex);
    return is_whole;
}

bool inbox_send(struct inbox *inbox, lsn_t acked, size_t (*send)(void *context, struct slice bytes),
                void *context, size_t *sent)
{
    pthread_mutex_lock(&inbox->mutex);
    bool may_go = !inbox->is_broken && (inbox->lsn == 0 || inbox->lsn < acked);
    *sent = may_go ? send(context, buffer_slice(&inbox->bytes)) : 0;
    bool all = may_go && *sent == inbox->bytes.size;
    if (all)
        empty(inbox);
    else
        buffer_consume(&inbox->bytes, *sent);
    pthread_mutex_unlock(&inbox->mutex);
    return all;
}

/* ---- Introspection ------------------------------------------------------------------------------- */

void pubsub_each(struct pubsub *pubsub, enum pubsub_kind kind,
                 void (*each)(void *context, struct slice name), void *context)
{
    assert(kind != PUBSUB_PATTERN);
    pthread_mutex_lock(&pubsub->mutex);
    for (size_t i = 0; i < PUBSUB_BUCKETS && pubsub->counts[kind] > 0; i++)
        for (struct channel *at = pubsub->buckets[i]; at; at = at->next)
            if (at->kind == kind)
                each(context, channel_name(at));
    pthread_mutex_unlock(&pubsub->mutex);
}

size_t pubsub_subscribers(struct pubsub *pubsub, enum pubsub_kind kind, struct slice name)
{
    pthread_mutex_lock(&pubsub->mutex);
    const struct channel *channel = *place_of(pubsub, kind, name, hash64(name, kind));
    size_t count = channel ? channel->count : 0;
    pthread_mutex_unlock(&pubsub->mutex);
    return count;
}

size_t pubsub_count(struct pubsub *pubsub, enum pubsub_kind kind)
{
    return atomic_load_explicit(&pubsub->counts[kind], memory_order_relaxed);
}
