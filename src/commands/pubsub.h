/* SPDX-License-Identifier: MIT */
/* Channels, patterns and who subscribed to them; for src/commands alone.
 *
 *      PUBLISH on any thread --> inbox of each subscriber --wake--> its loop: inbox -> output, by LSN
 *
 * A message is put into the inboxes of its subscribers by the thread that publishes, under one mutex, so all
 * subscribers of two channels see the same order. The loop of a session moves its inbox behind the replies that
 * stand in its output (session_deliver). A message may carry an LSN: it then waits at the gate as a reply
 * does, so that a notification never tells of a write that a power loss takes back.
 *
 * Thread-safe. A session's own subscriptions are changed by the thread that executes for it. */
#ifndef COMMANDS_PUBSUB_H
#define COMMANDS_PUBSUB_H

#include "base/buffer.h"
#include "lsm/lsm.h"

#include <pthread.h>
#include <stdatomic.h>

struct session;
struct service;

enum pubsub_kind {
    PUBSUB_CHANNEL,
    PUBSUB_PATTERN,
    PUBSUB_SHARD,
    PUBSUB_MONITOR, /* one channel, the nameless; no messages but bytes as they are sent */
    PUBSUB_KINDS,
};

enum {
    PUBSUB_BUCKETS = 4096,
    PUBSUB_NAME_BYTES_MAX =
        512 * 1024, /* of a channel or pattern, asserted; callers refuse longer ones */
    PUBSUB_SUBSCRIPTIONS_MAX = 1024 * 1024, /* of a session */
};

struct channel;

/* One session's subscription to one channel. */
struct subscription {
    struct channel *channel;
    struct session *session;
    struct subscription *next, *previous; /* of the channel, oldest first; guarded by the mutex */
    struct subscription *next_own, *previous_own; /* of the session, oldest first */
};

struct pubsub {
    pthread_mutex_t mutex;                   /* guards the rest */
    struct channel *buckets[PUBSUB_BUCKETS]; /* channels and shard channels, by name */
    struct channel *patterns;                /* oldest first */
    atomic_size_t counts[PUBSUB_KINDS];      /* channels with subscribers; read by all */
    atomic_bool is_used;                     /* somebody has subscribed once */
};

/* What a session receives, until its loop takes it. */
struct inbox {
    pthread_mutex_t mutex;
    struct buffer bytes;
    lsn_t lsn;      /* the newest of what is in it; 0: none waits for anything */
    bool is_broken; /* there was no room: the client is closed */
};

void pubsub_init(struct pubsub *pubsub);
void pubsub_release(struct pubsub *pubsub); /* nobody is subscribed any more */
void inbox_init(struct inbox *inbox);
void inbox_release(struct inbox *inbox);

/* STATUS_OK also when it was subscribed before; STATUS_NO_MEMORY, _TOO_LARGE (too many). */
enum status pubsub_subscribe(struct session *session, enum pubsub_kind kind, struct slice name);
void pubsub_unsubscribe(struct session *session, enum pubsub_kind kind, struct slice name);
/* The session's oldest subscription of the kind; NULL: none. */
const struct subscription *pubsub_first(const struct session *session, enum pubsub_kind kind);
struct slice subscription_name(const struct subscription *subscription);
void pubsub_unsubscribe_all(struct session *session);

/* Gives the message to everybody who subscribed to the channel, and for PUBSUB_CHANNEL to those whose pattern it
 * matches; returns how many. It may be sent when `lsn` is acknowledged; 0: at once. */
size_t pubsub_publish(struct service *service, enum pubsub_kind kind, struct slice channel,
                      struct slice message, lsn_t lsn);

/* The same for bytes that need no form, to the nameless channel of the kind. */
void pubsub_publish_bytes(struct service *service, enum pubsub_kind kind, struct slice bytes);

/* Calls `each` for the channels of the kind that have subscribers, under the mutex. */
void pubsub_each(struct pubsub *pubsub, enum pubsub_kind kind,
                 void (*each)(void *context, struct slice name), void *context);
size_t pubsub_subscribers(struct pubsub *pubsub, enum pubsub_kind kind, struct slice name);
size_t pubsub_count(struct pubsub *pubsub, enum pubsub_kind kind);

bool pubsub_is_subscribed(struct session *session, enum pubsub_kind kind, struct slice name);
/* Puts bytes into the session's inbox and wakes its loop; they may be sent when `lsn` is acknowledged. The session
 * cannot end meanwhile: the caller holds a mutex that its end needs. */
void session_give(struct session *session, struct slice bytes, lsn_t lsn);

/* Moves what has come to `out`; raises *lsn. false: there was no room for it, and the client is to be closed. */
bool inbox_take(struct inbox *inbox, struct buffer *out, lsn_t *lsn);
/* Sends what has come, if it may go when `acked` is acknowledged: `send` returns how many bytes it has sent.
 * false: something is left, or all, because it waits or the client is to be closed. */
bool inbox_send(struct inbox *inbox, lsn_t acked, size_t (*send)(void *context, struct slice bytes),
                void *context, size_t *sent);

#endif
