/* SPDX-License-Identifier: MIT */
#include "commands/serving.h"

#include "base/coding.h"
#include "commands/notify.h"
#include "commands/service_state.h"

#include <assert.h>

enum {
    SERVED_AT_ONCE_MAX = 1024, /* under one holding of the lock; the next one then goes on */
    REPLY_ROOM_BYTES = 1024,
};

static enum waiting state_of(const struct session *session)
{
    return (enum waiting)atomic_load(&session->waiting);
}

static bool move_state(struct session *session, enum waiting from, enum waiting to)
{
    int expected = (int)from;
    return atomic_compare_exchange_strong(&session->waiting, &expected, (int)to);
}

/* ---- The session's own side. ----------------------------------------------------------------- */

/* The state, once nobody serves it; then nobody does, unless it is SERVABLE. */
static enum waiting settled_state(struct session *session)
{
    struct service *service = session->service;
    enum waiting state = state_of(session);
    while (state == WAITING_SERVING) {
        pthread_mutex_lock(&service->serving_mutex);
        pthread_mutex_unlock(&service->serving_mutex);
        state = state_of(session);
    }
    return state;
}

enum waiting session_look(struct session *session)
{
    for (;;) {
        enum waiting state = settled_state(session);
        if ((state != WAITING_SERVABLE && state != WAITING_AGAIN) ||
            move_state(session, state, WAITING_LOOKS))
            return state;
    }
}

void session_found_nothing(struct session *session)
{
    (void)move_state(session, WAITING_LOOKS,
                     WAITING_SERVABLE); /* else there is reason not to sleep */
}

enum waiting session_stop_waiting(struct session *session)
{
    for (;;) {
        enum waiting state = settled_state(session);
        if (move_state(session, state, WAITING_NOT))
            return state;
    }
}

bool session_tell(struct session *session, enum waiting what)
{
    assert(what >= WAITING_TOLD_TIMEOUT);
    for (;;) {
        enum waiting state = state_of(session);
        if (state != WAITING_LOOKS && state != WAITING_AGAIN && state != WAITING_SERVABLE)
            return false;
        if (move_state(session, state, what))
            return true;
    }
}

/* ---- The line. ------------------------------------------------------------------------------- */

static bool is_in_its_place(const struct session *session)
{
    enum waiting state = state_of(session);
    return state == WAITING_LOOKS || state == WAITING_AGAIN || state == WAITING_SERVABLE ||
           state == WAITING_SERVING;
}

static bool accept_first(void *context, struct waiter *waiter)
{
    const struct session **first = context;
    if (!is_in_its_place(waiter->in_line))
        return false;
    *first = waiter->in_line;
    return true;
}

bool serving_is_next(const struct command_context *c, size_t key_index)
{
    struct waiters *waiters = &c->service->waiters;
    const struct session *first = NULL;
    if (!waiters_any_in_line(waiters) || !c->may_block)
        return true;
    waiters_walk_line(waiters, c->database, c->arguments[key_index], accept_first, &first);
    return !first || first == c->session;
}

static bool wake_first(void *context, struct waiter *waiter)
{
    struct service *service = context;
    struct session *session = waiter->in_line;
    if (!is_in_its_place(session))
        return false;
    if (!move_state(session, WAITING_SERVABLE, WAITING_AGAIN))
        (void)move_state(session, WAITING_LOOKS, WAITING_AGAIN);
    service->host.wake(service->host.context, waiter->owner);
    return true;
}

void serving_pass_on(struct session *session)
{
    struct service *service = session->service;
    unsigned database = atomic_load_explicit(&session->database, memory_order_relaxed);
    for (size_t i = 0; i < session->wait.key_count; i++)
        waiters_walk_line(&service->waiters, database,
                          session->request.arguments[session->wait.first_key + i], wake_first,
                          service);
}

/* ---- Serving. -------------------------------------------------------------------------------- */

struct claim {
    struct session *session; /* NULL: nobody is to be served */
    size_t key_index;        /* among its arguments */
    unsigned database;
};

/* Who looks for himself comes first all the same. */
static bool claim_first(void *context, struct waiter *waiter)
{
    struct claim *claim = context;
    struct session *session = waiter->in_line;
    if (!is_in_its_place(session))
        return false;
    if (move_state(session, WAITING_SERVABLE, WAITING_SERVING)) {
        claim->session = session;
        claim->database = waiter->database;
        claim->key_index = session->wait.first_key + (size_t)(waiter - session->waiters);
    }
    return is_in_its_place(session);
}

/* Its request, for one key, in a batch. STATUS_NOT_FOUND: there is nothing for it. */
static enum status run_for(struct service_thread *thread, const struct claim *claim, lsn_t *lsn)
{
    struct session *session = claim->session;
    struct access *access = service_thread_access(thread);
    const struct command *command =
        atomic_load_explicit(&session->last_command, memory_order_relaxed);
    struct resp_writer writer = {
        .out = &session->served,
        .protocol = atomic_load_explicit(&session->protocol, memory_order_relaxed)};
    struct command_context c = {.command = command,
                                .session = session,
                                .service = thread->service,
                                .access = access,
                                .reply = &writer,
                                .arguments = session->request.arguments,
                                .count = session->request.count,
                                .database = claim->database,
                                .nowait = true,
                                .resumed = true};
    if (!buffer_reserve(&session->served, REPLY_ROOM_BYTES))
        return STATUS_NO_MEMORY;
    enum status status = access_begin_write(access, claim->database, true,
                                            command_bytes_max(command, c.arguments, c.count),
                                            !(command->flags & COMMAND_DENYOOM));
    if (status)
        return status;
    c.now_ms = access->now_ms;
    notify_choose_facts(thread->service, access);
    status = session->wait.serve(&c, claim->key_index);
    *lsn = access_end(access);
    return status;
}

static void note_ready(struct service_thread *thread, unsigned database, struct slice key)
{
    buffer_append_varint(&thread->ready, database);
    buffer_append_sized(&thread->ready, key);
}

/* Keys that the batch has touched, but one. */
static void note_facts(struct service_thread *thread, const struct slice *except)
{
    const struct access *access = &thread->access;
    for (size_t i = 0; i < access->fact_count; i++) {
        const struct fact *fact = &access->facts[i];
        struct slice key = slice_make(access->fact_bytes.data + fact->key_offset, fact->key_size);
        if (!except || !slice_equal(key, *except))
            note_ready(thread, fact->database, key);
    }
}

/* false: nothing came of it, and those behind are not served either. */
static bool serve(struct service_thread *thread, const struct claim *claim)
{
    struct service *service = thread->service;
    struct session *session = claim->session;
    lsn_t lsn = 0;
    enum status status = run_for(thread, claim, &lsn);
    enum waiting next = WAITING_SERVED;
    if (!status) {
        struct slice key = session->request.arguments[claim->key_index];
        session->served_lsn = lsn;
        service_handle_facts(service, &thread->access, session, lsn);
        note_facts(thread, &key);
        atomic_store_explicit(&session->is_blocked, false, memory_order_relaxed);
    } else {
        session->served.failed = false;
        buffer_clear(&session->served);
        next = status == STATUS_NOT_FOUND ? WAITING_SERVABLE : WAITING_AGAIN;
    }
    /* Once it is not SERVING any more, it may be gone. */
    if (next != WAITING_SERVABLE)
        service->host.wake(service->host.context, session->owner);
    atomic_store(&session->waiting, (int)next);
    return !status;
}

static bool serve_first(struct service_thread *thread, unsigned database, struct slice key)
{
    struct service *service = thread->service;
    struct claim claim = {0};
    bool is_served = false;
    pthread_mutex_lock(&service->serving_mutex);
    waiters_walk_line(&service->waiters, database, key, claim_first, &claim);
    if (claim.session)
        is_served = serve(thread, &claim);
    pthread_mutex_unlock(&service->serving_mutex);
    return is_served;
}

static void note_waiter(void *context, struct waiter *waiter)
{
    note_ready(context, waiter->database, waiter->key);
}

static void wake_waiter(void *context, struct waiter *waiter)
{
    (void)wake_first(context, waiter);
}

void serving_after_batch(struct service_thread *thread, bool all)
{
    struct service *service = thread->service;
    struct buffer *ready = &thread->ready;
    size_t served = 0, at = 0;
    if (!waiters_any_in_line(&service->waiters))
        return;
    buffer_clear(ready);
    ready->may_fail = true;
    if (all || thread->access.facts_are_lost)
        waiters_each_in_line(&service->waiters, note_waiter, thread);
    else
        note_facts(thread, NULL);
    while (at < ready->size && !ready->failed && served < SERVED_AT_ONCE_MAX) {
        struct slice rest = slice_skip(buffer_slice(ready), at), key;
        uint64_t database = 0;
        bool is_key = slice_take_varint(&rest, &database) && slice_take_sized(&rest, &key);
        assert(is_key);
        /* Serving appends, and may move what `key` points to. */
        if (is_key && serve_first(thread, (unsigned)database, key))
            served++;
        else
            at = ready->size - rest.size;
    }
    if (ready->failed || at < ready->size) /* each looks for itself */
        waiters_each_in_line(&service->waiters, wake_waiter, service);
    ready->failed = false;
    buffer_clear(ready);
}
