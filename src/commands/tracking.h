/* SPDX-License-Identifier: MIT */
/* Client-side caching (CLIENT TRACKING): which clients have read which keys, and who is told when one changes; for src/commands
 * alone.
 *
 *      GET k by a tracking client: k -> {client}      somebody writes k: the client gets "invalidate k", k is forgotten
 *
 * A client is registered for a key *before* the command reads it, and invalidations reach it behind the replies of what
 * runs then (session_deliver). So a write is either seen by the read, or its invalidation follows the reply.
 * Invalidations carry the LSN of their batch and wait at the gate. Keys are not told apart by database, as in Redis.
 *
 * Thread-safe: one mutex; who has no tracking client pays a comparison. */
#ifndef COMMANDS_TRACKING_H
#define COMMANDS_TRACKING_H

#include "base/slice.h"
#include "lsm/lsm.h"

#include <pthread.h>
#include <stdatomic.h>

struct access;
struct command_context;
struct service;
struct session;

enum { TRACKING_BUCKETS = 1 << 16, TRACKING_CLIENT_BUCKETS = 256, TRACKING_PREFIXES_MAX = 1024 };

enum tracking_caching { TRACKING_CACHING_DEFAULT, TRACKING_CACHING_YES, TRACKING_CACHING_NO };

struct tracking_options {
    uint64_t redirect_id; /* 0: to the client itself */
    bool is_broadcast, is_optin, is_optout, is_noloop;
};

/* A client that tracks. */
struct tracker {
    struct tracker *next; /* in its bucket */
    struct session *session;
    struct tracking_options options;
    bool is_redirect_broken; /* the client it redirects to is gone, and it was told */
    struct slice
        *prefixes; /* of broadcasts, ascending, each a block of its own; at least an empty one */
    size_t prefix_count;
};

struct tracked_key;

struct tracking {
    pthread_mutex_t mutex;        /* guards all but the counters' reading */
    struct tracked_key **buckets; /* NULL: not used yet */
    size_t sweep; /* bucket from which the next key is let go when there are too many */
    struct tracker *trackers[TRACKING_CLIENT_BUCKETS]; /* by id */
    atomic_size_t client_count, key_count, item_count, prefix_count;
};

void tracking_init(struct tracking *tracking);
void tracking_release(struct tracking *tracking); /* nobody tracks any more */

/* On, or with other options. Prefixes are added to those there are. NULL, or the error that is answered, in `error`. */
bool tracking_turn_on(struct command_context *c, const struct tracking_options *options,
                      const struct slice *prefixes, size_t prefix_count);
void tracking_turn_off(struct session *session);
/* The running command may read the keys: the client wants to hear of them. Before it runs. */
void tracking_note_keys(const struct command_context *c);
/* After a batch, under the write lock: `writer` wrote it (NULL: nobody), its facts are still there. */
void tracking_invalidate(struct service *service, const struct access *access,
                         const struct session *writer, lsn_t lsn);
/* Whole databases were emptied or swapped. */
void tracking_invalidate_all(struct service *service, lsn_t lsn);

/* What a client is told of its own; false: off. Prefixes stay valid until it changes them. */
bool tracking_of(struct session *session, struct tracker *copy);

#endif
