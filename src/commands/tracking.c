/* SPDX-License-Identifier: MIT */
#include "commands/tracking.h"

#include "base/hash.h"
#include "base/memory.h"
#include "commands/service_state.h"

#include <assert.h>
#include <stdlib.h>

static const char invalidate_channel[] = "__redis__:invalidate";

struct tracked_key {
    struct tracked_key *next;
    uint64_t hash;
    uint64_t *ids; /* clients */
    size_t id_count, id_capacity;
    size_t key_size;
    uint8_t key[];
};

void tracking_init(struct tracking *tracking)
{
    memset(tracking, 0, sizeof *tracking);
    pthread_mutex_init(&tracking->mutex, NULL);
}

static void free_key(struct tracking *tracking, struct tracked_key *key)
{
    atomic_fetch_sub_explicit(&tracking->key_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&tracking->item_count, key->id_count, memory_order_relaxed);
    memory_free(key->ids);
    memory_free(key);
}

void tracking_release(struct tracking *tracking)
{
    assert(atomic_load(&tracking->client_count) == 0);
    for (size_t i = 0; tracking->buckets && i < TRACKING_BUCKETS; i++)
        while (tracking->buckets[i]) {
            struct tracked_key *key = tracking->buckets[i];
            tracking->buckets[i] = key->next;
            free_key(tracking, key);
        }
    memory_free(tracking->buckets);
    pthread_mutex_destroy(&tracking->mutex);
}

/* ---- Clients. The mutex is held ------------------------------------------------------------------ */

static struct tracker **tracker_place(struct tracking *tracking, uint64_t id)
{
    struct tracker **at = &tracking->trackers[id % TRACKING_CLIENT_BUCKETS];
    while (*at && (*at)->session->id != id)
        at = &(*at)->next;
    return at;
}

static void free_tracker(struct tracking *tracking, struct tracker *tracker)
{
    for (size_t i = 0; i < tracker->prefix_count; i++)
        memory_free((void *)(uintptr_t)tracker->prefixes[i].data);
    atomic_fetch_sub_explicit(&tracking->prefix_count, tracker->prefix_count, memory_order_relaxed);
    atomic_fetch_sub_explicit(&tracking->client_count, 1, memory_order_relaxed);
    memory_free(tracker->prefixes);
    memory_free(tracker);
}

static bool is_prefix(struct slice prefix, struct slice text)
{
    return prefix.size == 0 || slice_starts_with(text, prefix);
}

/* false: one prefix begins with another; the error is answered. */
static bool prefixes_are_apart(struct command_context *c, const struct tracker *tracker,
                               const struct slice *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; tracker && k < tracker->prefix_count; k++) {
            struct slice old = tracker->prefixes[k];
            if (slice_equal(old, prefixes[i]) ||
                !(is_prefix(old, prefixes[i]) || is_prefix(prefixes[i], old)))
                continue;
            reply_errorf(c,
                         "ERR Prefix '%.*s' overlaps with an existing prefix '%.*s'. Prefixes for "
                         "a single client must not overlap.",
                         slice_shown_bytes(prefixes[i], ERROR_ARGUMENT_BYTES_MAX),
                         (const char *)prefixes[i].data,
                         slice_shown_bytes(old, ERROR_ARGUMENT_BYTES_MAX), (const char *)old.data);
            return false;
        }
        for (size_t k = i + 1; k < count; k++) {
            if (!is_prefix(prefixes[i], prefixes[k]) && !is_prefix(prefixes[k], prefixes[i]))
                continue;
            reply_errorf(c,
                         "ERR Prefix '%.*s' overlaps with another provided prefix '%.*s'. Prefixes "
                         "for a single client must not overlap.",
                         slice_shown_bytes(prefixes[i], ERROR_ARGUMENT_BYTES_MAX),
                         (const char *)prefixes[i].data,
                         slice_shown_bytes(prefixes[k], ERROR_ARGUMENT_BYTES_MAX),
                         (const char *)prefixes[k].data);
            return false;
        }
    }
    return true;
}

static void add_prefix(struct tracking *tracking, struct tracker *tracker, struct slice prefix)
{
    for (size_t i = 0; i < tracker->prefix_count; i++)
        if (slice_equal(tracker->prefixes[i], prefix))
            return;
    tracker->prefixes =
        memory_resize(tracker->prefixes, (tracker->prefix_count + 1) * sizeof *tracker->prefixes);
    uint8_t *copy = memory_allocate(prefix.size + 1);
    if (prefix.size)
        memcpy(copy, prefix.data, prefix.size);
    size_t at = tracker->prefix_count++;
    for (; at > 0 && slice_compare(prefix, tracker->prefixes[at - 1]) < 0; at--)
        tracker->prefixes[at] = tracker->prefixes[at - 1];
    tracker->prefixes[at] = slice_make(copy, prefix.size);
    atomic_fetch_add_explicit(&tracking->prefix_count, 1, memory_order_relaxed);
}

static void turn_on(struct tracking *tracking, struct tracker **place, struct session *session,
                    const struct tracking_options *options, const struct slice *prefixes,
                    size_t prefix_count)
{
    if (!*place) {
        *place = memory_zeroed(1, sizeof **place);
        (*place)->session = session;
        atomic_fetch_add(&tracking->client_count, 1);
    }
    struct tracker *tracker = *place;
    tracker->options = *options;
    tracker->is_redirect_broken = false;
    for (size_t i = 0; i < prefix_count; i++)
        add_prefix(tracking, tracker, prefixes[i]);
    if (options->is_broadcast && tracker->prefix_count == 0)
        add_prefix(tracking, tracker, slice_make(NULL, 0));
    if (!tracking->buckets)
        tracking->buckets = memory_zeroed(TRACKING_BUCKETS, sizeof *tracking->buckets);
}

static void show(struct session *session, long long redirect, bool is_broadcast)
{
    atomic_store_explicit(&session->shown_redirect, redirect, memory_order_relaxed);
    atomic_store_explicit(&session->shown_broadcast, is_broadcast, memory_order_relaxed);
    atomic_store_explicit(&session->shown_redirect_broken, false, memory_order_relaxed);
}

bool tracking_turn_on(struct command_context *c, const struct tracking_options *options,
                      const struct slice *prefixes, size_t prefix_count)
{
    struct session *session = c->session;
    struct tracking *tracking = &c->service->tracking;
    pthread_mutex_lock(&tracking->mutex);
    struct tracker **place = tracker_place(tracking, session->id);
    const struct tracker *old = *place;
    bool ok = false;
    if (old && old->options.is_broadcast != options->is_broadcast)
        reply_error(c, "ERR You can't switch BCAST mode on/off before disabling tracking for this "
                       "client, and then re-enabling it with a different mode.");
    else if (old && ((old->options.is_optin && options->is_optout) ||
                     (old->options.is_optout && options->is_optin)))
        reply_error(c, "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this "
                       "client, and then re-enabling it with a different mode.");
    else if ((old ? old->prefix_count : 0) + prefix_count > TRACKING_PREFIXES_MAX)
        reply_error(c, "ERR too many prefixes");
    else
        ok = prefixes_are_apart(c, old, prefixes, prefix_count);
    if (ok)
        turn_on(tracking, place, session, options, prefixes, prefix_count);
    pthread_mutex_unlock(&tracking->mutex);
    if (ok)
        atomic_store_explicit(&session->is_tracking, true, memory_order_relaxed);
    if (ok)
        show(session, (long long)options->redirect_id, options->is_broadcast);
    return ok;
}

void tracking_turn_off(struct session *session)
{
    struct tracking *tracking = &session->service->tracking;
    if (!atomic_load_explicit(&session->is_tracking, memory_order_relaxed))
        return;
    pthread_mutex_lock(&tracking->mutex);
    struct tracker **place = tracker_place(tracking, session->id), *tracker = *place;
    *place = tracker->next;
    free_tracker(tracking, tracker);
    pthread_mutex_unlock(&tracking->mutex);
    atomic_store_explicit(&session->is_tracking, false, memory_order_relaxed);
    show(session, -1, false);
    session->caching = TRACKING_CACHING_DEFAULT;
}

bool tracking_of(struct session *session, struct tracker *copy)
{
    struct tracking *tracking = &session->service->tracking;
    if (!atomic_load_explicit(&session->is_tracking, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&tracking->mutex);
    *copy = **tracker_place(tracking, session->id);
    pthread_mutex_unlock(&tracking->mutex);
    return true;
}

/* ---- Telling. The mutex is held ------------------------------------------------------------------ */

/* An invalidation: of some keys, or of all (none is named). */
struct invalidation {
    struct service *service;
    const struct session *writer;
    lsn_t lsn;
    const struct slice *keys;
    size_t key_count;
    struct buffer push, message; /* for RESP3, and as a message of pub/sub; empty: not made yet */
};

static void append_keys(struct resp_writer *w, const struct invalidation *invalidation)
{
    if (invalidation->key_count == 0) {
        resp_null(w);
        return;
    }
    resp_array(w, invalidation->key_count);
    for (size_t i = 0; i < invalidation->key_count; i++)
        resp_bulk(w, invalidation->keys[i]);
}

static struct slice push_of(struct invalidation *invalidation)
{
    struct resp_writer w = {.out = &invalidation->push, .protocol = 3};
    if (invalidation->push.size == 0) {
        resp_push(&w, 2);
        resp_bulk_text(&w, "invalidate");
        append_keys(&w, invalidation);
    }
    return buffer_slice(&invalidation->push);
}

static struct slice message_of(struct invalidation *invalidation)
{
    struct resp_writer w = {.out = &invalidation->message, .protocol = 2};
    if (invalidation->message.size == 0) {
        resp_array(&w, 3);
        resp_bulk_text(&w, "message");
        resp_bulk_text(&w, invalidate_channel);
        append_keys(&w, invalidation);
    }
    return buffer_slice(&invalidation->message);
}

/* To a session by its id, under the clients mutex. */
struct redirection {
    uint64_t id;
    struct invalidation *invalidation;
    bool is_there;
};

static void give_redirected(void *context, struct session *session)
{
    struct redirection *redirection = context;
    struct invalidation *invalidation = redirection->invalidation;
    if (session->id != redirection->id)
        return;
    redirection->is_there = true;
    if (atomic_load_explicit(&session->protocol, memory_order_relaxed) >= 3)
        session_give(session, push_of(invalidation), invalidation->lsn);
    else if (pubsub_is_subscribed(session, PUBSUB_CHANNEL, slice_from(invalidate_channel)))
        session_give(session, message_of(invalidation), invalidation->lsn);
}

static void tell_broken(struct tracker *tracker)
{
    struct buffer push = {0};
    struct resp_writer w = {.out = &push, .protocol = 3};
    tracker->is_redirect_broken = true;
    atomic_store_explicit(&tracker->session->shown_redirect_broken, true, memory_order_relaxed);
    if (atomic_load_explicit(&tracker->session->protocol, memory_order_relaxed) < 3)
        return;
    resp_push(&w, 2);
    resp_bulk_text(&w, "tracking-redir-broken");
    resp_integer(&w, (int64_t)tracker->options.redirect_id);
    session_give(tracker->session, buffer_slice(&push), 0);
    buffer_release(&push);
}

static void tell(struct tracker *tracker, struct invalidation *invalidation)
{
    struct session *session = tracker->session;
    if (tracker->options.is_noloop && session == invalidation->writer)
        return;
    if (tracker->options.redirect_id) {
        struct redirection redirection = {tracker->options.redirect_id, invalidation, false};
        service_each_client(invalidation->service, give_redirected, &redirection);
        if (!redirection.is_there)
            tell_broken(tracker);
        return;
    }
    if (atomic_load_explicit(&session->protocol, memory_order_relaxed) >= 3)
        session_give(session, push_of(invalidation), invalidation->lsn);
}

static void end_invalidation(struct invalidation *invalidation)
{
    buffer_release(&invalidation->push);
    buffer_release(&invalidation->message);
}

/* ---- Keys. The mutex is held --------------------------------------------------------------------- */

static struct tracked_key **key_place(struct tracking *tracking, struct slice key, uint64_t hash)
{
    struct tracked_key **at = &tracking->buckets[hash % TRACKING_BUCKETS];
    while (*at &&
           !((*at)->hash == hash && slice_equal(slice_make((*at)->key, (*at)->key_size), key)))
        at = &(*at)->next;
    return at;
}

/* Tells those who have it, and forgets it. */
static void let_go(struct tracking *tracking, struct tracked_key **place,
                   struct invalidation *invalidation)
{
    struct tracked_key *key = *place;
    *place = key->next;
    for (size_t i = 0; i < key->id_count; i++) {
        struct tracker *tracker = *tracker_place(tracking, key->ids[i]);
        if (tracker && !tracker->options.is_broadcast)
            tell(tracker, invalidation);
    }
    free_key(tracking, key);
}

/* There are too many: the next one of the table goes, and who has it is told. */
static void make_room(struct service *service)
{
    struct tracking *tracking = &service->tracking;
    int64_t limit = config_integer(service->config, CONFIG_tracking_table_max_keys);
    while (limit > 0 && atomic_load(&tracking->key_count) > (size_t)limit) {
        struct tracked_key **place = &tracking->buckets[tracking->sweep];
        if (!*place) {
            tracking->sweep = (tracking->sweep + 1) % TRACKING_BUCKETS;
            continue;
        }
        struct slice key = slice_make((*place)->key, (*place)->key_size);
        struct invalidation invalidation = {.service = service, .keys = &key, .key_count = 1};
        let_go(tracking, place, &invalidation);
        end_invalidation(&invalidation);
    }
}

static void remember(struct tracking *tracking, struct slice name, uint64_t id)
{
    uint64_t hash = hash64(name, 0);
    struct tracked_key **place = key_place(tracking, name, hash), *key = *place;
    if (!key) {
        key = memory_zeroed(1, sizeof *key + name.size);
        key->hash = hash;
        key->key_size = name.size;
        if (name.size)
            memcpy(key->key, name.data, name.size);
        *place = key;
        atomic_fetch_add_explicit(&tracking->key_count, 1, memory_order_relaxed);
    }
    for (size_t i = 0; i < key->id_count; i++)
        if (key->ids[i] == id)
            return;
    if (key->id_count == key->id_capacity) {
        key->id_capacity = key->id_capacity ? 2 * key->id_capacity : 1;
        key->ids = memory_resize(key->ids, key->id_capacity * sizeof *key->ids);
    }
    key->ids[key->id_count++] = id;
    atomic_fetch_add_explicit(&tracking->item_count, 1, memory_order_relaxed);
}

struct noting {
    const struct command_context *c;
};

static void note_key(void *context, size_t index)
{
    const struct command_context *c = ((struct noting *)context)->c;
    if (c->arguments[index].size <= STORE_KEY_BYTES_MAX)
        remember(&c->service->tracking, c->arguments[index], c->session->id);
}

void tracking_note_keys(const struct command_context *c)
{
    struct tracking *tracking = &c->service->tracking;
    struct session *session = c->session;
    struct noting noting = {c};
    if (!atomic_load_explicit(&session->is_tracking, memory_order_relaxed) ||
        !(c->command->flags & COMMAND_READONLY))
        return;
    pthread_mutex_lock(&tracking->mutex);
    const struct tracking_options *options = &(*tracker_place(tracking, session->id))->options;
    bool is_wanted = !options->is_broadcast &&
                     (!options->is_optin || session->caching == TRACKING_CACHING_YES) &&
                     (!options->is_optout || session->caching != TRACKING_CACHING_NO);
    if (is_wanted) {
        (void)command_each_key(c->command, c->arguments, c->count, note_key, &noting);
        make_room(c->service);
    }
    pthread_mutex_unlock(&tracking->mutex);
}

/* ---- Changes ------------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice key_of(const struct access *access, const struct fact *fact)
{
    return slice_make(access->fact_bytes.data + fact->key_offset, fact->key_size);
}

/* What a batch touched: ascending, each key once. */
struct touched {
    struct slice *keys;
    size_t count;
};

/* false: there is no memory for it. */
static bool collect(const struct access *access, struct touched *touched)
{
    touched->keys = memory_try_allocate((access->fact_count + 1) * sizeof *touched->keys);
    if (!touched->keys)
        return false;
    size_t all = 0;
    for (size_t i = 0; i < access->fact_count; i++) {
        const struct fact *fact = &access->facts[i];
        if (fact->class_letter != 'm')
            touched->keys[all++] = key_of(access, fact);
    }
    qsort(touched->keys, all, sizeof *touched->keys, compare_keys);
    touched->count = 0;
    for (size_t i = 0; i < all; i++)
        if (i == 0 || !slice_equal(touched->keys[i], touched->keys[touched->count - 1]))
            touched->keys[touched->count++] = touched->keys[i];
    return true;
}

/* The first key that is not below the prefix. */
static size_t first_at(const struct touched *touched, struct slice prefix)
{
    size_t low = 0, high = touched->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(touched->keys[middle], prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A message for each prefix of the client that any of the keys begins with. The last one's text serves the next client too, if it
 * names the same keys. */
static void broadcast_to(struct tracker *tracker, const struct touched *touched,
                         struct invalidation *invalidation)
{
    for (size_t i = 0; i < tracker->prefix_count; i++) {
        size_t first = first_at(touched, tracker->prefixes[i]), end = first;
        while (end < touched->count && is_prefix(tracker->prefixes[i], touched->keys[end]))
            end++;
        if (end == first)
            continue;
        if (invalidation->keys != touched->keys + first || invalidation->key_count != end - first) {
            end_invalidation(invalidation);
            invalidation->keys = touched->keys + first;
            invalidation->key_count = end - first;
        }
        tell(tracker, invalidation);
    }
}

static void broadcast(struct tracking *tracking, const struct touched *touched,
                      struct invalidation *invalidation)
{
    for (size_t i = 0; i < TRACKING_CLIENT_BUCKETS; i++)
        for (struct tracker *at = tracking->trackers[i]; at; at = at->next)
            if (at->options.is_broadcast)
                broadcast_to(at, touched, invalidation);
}

void tracking_invalidate(struct service *service, const struct access *access,
                         const struct session *writer, lsn_t lsn)
{
    struct tracking *tracking = &service->tracking;
    struct touched touched = {0};
    if (atomic_load(&tracking->client_count) == 0)
        return;
    bool is_broadcast = atomic_load_explicit(&tracking->prefix_count, memory_order_relaxed) > 0;
    if (access->facts_are_lost || (is_broadcast && !collect(access, &touched))) {
        tracking_invalidate_all(service, lsn);
        return;
    }
    pthread_mutex_lock(&tracking->mutex);
    struct invalidation invalidation = {.service = service, .writer = writer, .lsn = lsn};
    for (size_t i = 0; i < access->fact_count && tracking->buckets; i++) {
        struct slice key = key_of(access, &access->facts[i]);
        struct tracked_key **place = key_place(tracking, key, hash64(key, 0));
        if (!*place || access->facts[i].class_letter == 'm')
            continue;
        invalidation.keys = &key;
        invalidation.key_count = 1;
        let_go(tracking, place, &invalidation);
        end_invalidation(&invalidation);
    }
    invalidation.keys = NULL;
    if (is_broadcast)
        broadcast(tracking, &touched, &invalidation);
    end_invalidation(&invalidation);
    pthread_mutex_unlock(&tracking->mutex);
    memory_free(touched.keys);
}

void tracking_invalidate_all(struct service *service, lsn_t lsn)
{
    struct tracking *tracking = &service->tracking;
    struct invalidation invalidation = {.service = service, .lsn = lsn}; /* of all */
    if (atomic_load(&tracking->client_count) == 0)
        return;
    pthread_mutex_lock(&tracking->mutex);
    for (size_t i = 0; i < TRACKING_CLIENT_BUCKETS; i++)
        for (struct tracker *at = tracking->trackers[i]; at; at = at->next)
            tell(at, &invalidation);
    for (size_t i = 0; i < TRACKING_BUCKETS; i++)
        while (tracking->buckets[i]) {
            struct tracked_key *key = tracking->buckets[i];
            tracking->buckets[i] = key->next;
            free_key(tracking, key);
        }
    pthread_mutex_unlock(&tracking->mutex);
    end_invalidation(&invalidation);
}
