/* SPDX-License-Identifier: MIT */
/* The transactions family: MULTI EXEC DISCARD WATCH UNWATCH. EXEC has the access that its requests need
 * (execute.c): none, one pinned moment, or one batch under the write lock. */
#include "base/memory.h"
#include "commands/service_state.h"
#include "types/keyspace.h"

#include <assert.h>

enum status multi_command(struct command_context *c)
{
    if (c->session->transaction.is_open)
        return reply_error(c, "ERR MULTI calls can not be nested");
    transaction_open(c->session);
    return reply_ok(c);
}

enum status discard_command(struct command_context *c)
{
    if (!c->session->transaction.is_open)
        return reply_error(c, "ERR DISCARD without MULTI");
    transaction_end(c->session);
    return reply_ok(c);
}

/* ---- WATCH --------------------------------------------------------------------------------------- */

static bool is_watched(const struct command_context *c, struct slice key)
{
    const struct watch *watch = c->session->transaction.watches;
    while (watch && !(watch->waiter.database == c->database && slice_equal(watch->waiter.key, key)))
        watch = watch->next;
    return watch != NULL;
}

/* Registered first, looked at then: what touches the key in between is noticed. */
static enum status watch_key(struct command_context *c, struct slice key)
{
    struct transaction *transaction = &c->session->transaction;
    struct object object;
    struct watch *watch = memory_ask_allocate(sizeof *watch + key.size);
    if (!watch)
        return STATUS_NO_MEMORY;
    if (key.size)
        memcpy(watch->key, key.data, key.size);
    atomic_init(&watch->is_flushed, false);
    watch->next = transaction->watches;
    transaction->watches = watch;
    transaction->watch_count++;
    transaction->bytes += sizeof *watch + key.size;
    waiters_add(&c->service->watchers, &watch->waiter, c->database,
                slice_make(watch->key, key.size), c->session);
    enum status status = keyspace_find(c->access, key, &object);
    watch->was_there = status == STATUS_OK;
    return status == STATUS_NOT_FOUND || status == STATUS_TOO_LARGE ? STATUS_OK : status;
}

/* Those of a run that did not end. */
static void forget_newest(struct command_context *c, size_t count)
{
    struct transaction *transaction = &c->session->transaction;
    while (transaction->watch_count > count) {
        struct watch *watch = transaction->watches;
        transaction->watches = watch->next;
        transaction->watch_count--;
        transaction->bytes -= sizeof *watch + watch->waiter.key.size;
        waiters_remove(&c->service->watchers, &watch->waiter);
        memory_free(watch);
    }
}

enum status watch_command(struct command_context *c)
{
    struct transaction *transaction = &c->session->transaction;
    size_t before = transaction->watch_count;
    enum status status = STATUS_OK;
    if (transaction->is_open)
        return reply_error(c, "ERR WATCH inside MULTI is not allowed");
    for (size_t i = 1; i < c->count && !status; i++)
        if (!is_watched(c, c->arguments[i]))
            status = watch_key(c, c->arguments[i]);
    if (status) {
        forget_newest(c, before);
        return status;
    }
    return reply_ok(c);
}

enum status unwatch_command(struct command_context *c)
{
    transaction_forget_watches(c->session);
    return reply_ok(c);
}

/* ---- EXEC ---------------------------------------------------------------------------------------- */

/* Nobody touched the watched keys; a time that is over, and an emptied database, are changes if the key was there, and
 * a key that came by SWAPDB is one too. */
static enum status check_watches(struct command_context *c, bool *hold)
{
    const struct transaction *transaction = &c->session->transaction;
    enum status status = STATUS_OK;
    bool is_whole = !atomic_load(&transaction->is_broken);
    for (const struct watch *watch = transaction->watches; watch && is_whole && !status;
         watch = watch->next) {
        struct object object;
        bool is_flushed = atomic_load(&watch->is_flushed);
        if (!watch->was_there && !is_flushed)
            continue;
        status = access_select(c->access, watch->waiter.database);
        if (!status)
            status = keyspace_find(c->access, watch->waiter.key, &object);
        bool is_there = status == STATUS_OK;
        if (status == STATUS_NOT_FOUND || status == STATUS_TOO_LARGE)
            status = STATUS_OK;
        is_whole = is_there == watch->was_there && !(is_flushed && watch->was_there);
    }
    *hold = is_whole;
    return status ? status : access_select(c->access, c->database);
}

/* STATUS_WOULD_BLOCK: nothing was written. Any other status is the request's own. */
static enum status run_request(struct command_context *c, const struct queued_request *request)
{
    struct command_context own = *c;
    own.command = request->command;
    own.arguments = (struct slice *)request->arguments;
    own.count = request->count;
    own.database = atomic_load_explicit(&c->session->database, memory_order_relaxed);
    own.resumed = own.may_block = false;
    own.reply_is_too_large = own.has_no_memory = false;
    own.prepare = NULL;
    own.build = NULL;
    if (!(own.command->flags & (COMMAND_WRITE | COMMAND_READONLY | COMMAND_READS)))
        own.access = NULL;
    size_t start = own.reply_start = c->reply->out->size;
    enum status status = own.access ? access_select(own.access, own.database) : STATUS_OK;
    if (own.access)
        own.nowait = c->nowait && own.access->nowait;
    tracking_note_keys(&own);
    uint64_t began_us = env_monotonic_us(c->service->env);
    if (!status)
        status = own.command->run(&own);
    if (own.prepare) { /* it would be built without the lock that this batch holds */
        c->reply->out->size = start;
        status = reply_error(
            &own,
            "ERR a value above 64 KiB is not copied, sorted or restored inside a transaction");
    }
    if (status == STATUS_WOULD_BLOCK)
        return status;
    struct service_thread *thread = service_thread(c->service);
    timing_record(&own, thread, env_monotonic_us(c->service->env) - began_us);
    monitor_feed(&own);
    if (!status && !(own.command->flags & COMMAND_WRITE) &&
        !command_reply_fits(&own, c->reply->out->size - c->reply_start))
        status = STATUS_TOO_LARGE; /* all of them are one reply */
    if (status) {
        c->reply->out->size = start;
        reply_status(&own, status);
    }
    command_count(&own, thread, start);
    return STATUS_OK;
}

static enum status run_requests(struct command_context *c)
{
    const struct transaction *transaction = &c->session->transaction;
    unsigned database = c->database;
    int protocol = c->reply->protocol;
    enum status status = STATUS_OK;
    resp_array(c->reply, transaction->count);
    for (size_t i = 0; i < transaction->count && !status; i++)
        status = run_request(c, transaction->requests[i]);
    if (status) { /* it will run again from its start */
        atomic_store_explicit(&c->session->database, database, memory_order_relaxed);
        atomic_store_explicit(&c->session->protocol, protocol, memory_order_relaxed);
        c->reply->protocol = protocol;
    }
    return status;
}

enum status exec_command(struct command_context *c)
{
    struct transaction *transaction = &c->session->transaction;
    bool hold = !atomic_load(&transaction->is_broken);
    enum status status = STATUS_OK;
    if (!transaction->is_open)
        return reply_error(c, "ERR EXEC without MULTI");
    if (transaction->is_refused) {
        transaction_end(c->session);
        return reply_error(c, "EXECABORT Transaction discarded because of previous errors.");
    }
    if (hold && transaction->watch_count > 0)
        status = check_watches(c, &hold);
    if (!status && hold)
        status = run_requests(c);
    else if (!status)
        resp_null_array(c->reply);
    if (status != STATUS_WOULD_BLOCK)
        transaction_end(c->session);
    return status;
}
