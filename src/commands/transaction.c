/* SPDX-License-Identifier: MIT */
#include "commands/transaction.h"

#include "base/memory.h"
#include "commands/service_state.h"
#include "types/keyspace.h"

#include <assert.h>
#include <stddef.h>

enum {
    QUICK_REQUESTS_MAX = 64,
    QUICK_BYTES_MAX = 64 * 1024,
    REQUESTS_FIRST = 16,
};

/* ---- The queue ----------------------------------------------------------------------------------- */

static bool is_executed_at_once(const struct command *command)
{
    command_handler *run = command->run;
    return run == multi_command || run == exec_command || run == discard_command ||
           run == watch_command || run == quit_command || run == reset_command;
}

static struct queued_request *copy_request(const struct command_context *c, size_t bytes)
{
    struct queued_request *request =
        memory_ask_allocate(sizeof *request + c->count * sizeof *request->arguments + bytes);
    if (!request)
        return NULL;
    request->command = c->command;
    request->count = c->count;
    uint8_t *at = (uint8_t *)(request->arguments + c->count);
    for (size_t i = 0; i < c->count; i++) {
        request->arguments[i] = slice_make(at, c->arguments[i].size);
        if (c->arguments[i].size)
            memcpy(at, c->arguments[i].data, c->arguments[i].size);
        at += c->arguments[i].size;
    }
    return request;
}

static bool grow_queue(struct transaction *transaction)
{
    size_t capacity = transaction->capacity ? 2 * transaction->capacity : REQUESTS_FIRST;
    struct queued_request **requests =
        memory_ask_resize(transaction->requests, capacity * sizeof *requests);
    if (!requests)
        return false;
    transaction->requests = requests;
    transaction->capacity = capacity;
    return true;
}

static void show(struct transaction *transaction)
{
    atomic_store_explicit(&transaction->shown, transaction->is_open ? (int)transaction->count : -1,
                          memory_order_relaxed);
}

void transaction_open(struct session *session)
{
    session->transaction.is_open = true;
    show(&session->transaction);
}

/* Why the request cannot be queued, NULL if it is. */
static const char *queue(struct command_context *c)
{
    struct transaction *transaction = &c->session->transaction;
    size_t limit = (size_t)config_integer(c->service->config, CONFIG_client_query_buffer_limit);
    size_t bytes = 0;
    if (c->command->flags & COMMAND_NO_MULTI)
        return "ERR Command not allowed inside a transaction";
    for (size_t i = 0; i < c->count; i++)
        bytes += c->arguments[i].size;
    if (transaction->bytes + bytes > limit)
        return "ERR transaction is larger than client-query-buffer-limit";
    if (transaction->count == transaction->capacity && !grow_queue(transaction))
        return "ERR out of memory";
    struct queued_request *request = copy_request(c, bytes);
    if (!request)
        return "ERR out of memory";
    transaction->requests[transaction->count++] = request;
    transaction->bytes += bytes + sizeof *request + c->count * sizeof *request->arguments;
    show(transaction);
    return NULL;
}

bool transaction_takes(struct command_context *c)
{
    struct transaction *transaction = &c->session->transaction;
    if (!transaction->is_open || is_executed_at_once(c->command))
        return false;
    const char *refusal = queue(c);
    if (refusal)
        resp_error(c->reply, refusal);
    else
        resp_simple(c->reply, "QUEUED");
    transaction->is_refused |= refusal != NULL;
    return true;
}

void transaction_reject(struct command_context *c, size_t reply_start)
{
    static const char code[] = "-ERR ";
    struct transaction *transaction = &c->session->transaction;
    struct buffer *out = c->reply->out;
    if (transaction->is_open)
        transaction->is_refused = true;
    if (!c->command || c->command->run != exec_command)
        return;
    struct slice error = slice_skip(buffer_slice(out), reply_start);
    bool is_plain = slice_starts_with(error, slice_make(code, sizeof code - 1));
    error = slice_skip(error, is_plain ? sizeof code - 1 : 1);
    struct buffer text = {0};
    buffer_printf(&text, "EXECABORT Transaction discarded because of: %.*s", (int)(error.size - 2),
                  (const char *)error.data); /* without the line's end */
    buffer_append_byte(&text, 0);
    out->size = reply_start;
    resp_error(c->reply, (const char *)text.data);
    buffer_release(&text);
    transaction_end(c->session);
}

void transaction_forget_watches(struct session *session)
{
    struct transaction *transaction = &session->transaction;
    while (transaction->watches) {
        struct watch *watch = transaction->watches;
        transaction->watches = watch->next;
        waiters_remove(&session->service->watchers, &watch->waiter);
        transaction->bytes -= sizeof *watch + watch->waiter.key.size;
        memory_free(watch);
    }
    transaction->watch_count = 0;
    atomic_store(&transaction->is_broken, false);
}

void transaction_end(struct session *session)
{
    struct transaction *transaction = &session->transaction;
    for (size_t i = 0; i < transaction->count; i++)
        memory_free(transaction->requests[i]);
    memory_free(transaction->requests);
    transaction->requests = NULL;
    transaction->count = transaction->capacity = 0;
    transaction->is_open = transaction->is_refused = false;
    transaction_forget_watches(session);
    transaction->bytes = 0;
    show(transaction);
}

/* ---- What EXEC needs ----------------------------------------------------------------------------- */

uint32_t transaction_flags(const struct session *session)
{
    const struct transaction *transaction = &session->transaction;
    uint32_t flags = transaction->watch_count > 0 ? COMMAND_WRITE : 0;
    bool denies_oom = false;
    if (!transaction->is_open || transaction->is_refused || atomic_load(&transaction->is_broken))
        return 0;
    for (size_t i = 0; i < transaction->count; i++) {
        uint32_t wants = transaction->requests[i]->command->flags;
        flags |= wants & (COMMAND_WRITE | COMMAND_READONLY | COMMAND_READS);
        denies_oom |= (wants & COMMAND_DENYOOM) != 0;
    }
    return flags | (denies_oom ? COMMAND_DENYOOM : 0);
}

bool transaction_adds_data(const struct session *session)
{
    const struct transaction *transaction = &session->transaction;
    for (size_t i = 0; i < transaction->count; i++)
        if (transaction->requests[i]->command->flags & COMMAND_DENYOOM)
            return true;
    return false;
}

/* Looks the keys of a request up. */
struct look {
    struct access *access;
    const struct queued_request *request;
    bool is_quick;
};

static void look_at_key(void *context, size_t index)
{
    struct look *look = context;
    struct object object;
    if (!look->is_quick)
        return;
    enum status status = keyspace_find(look->access, look->request->arguments[index], &object);
    look->is_quick = status == STATUS_NOT_FOUND || (status == STATUS_OK && object.id == 0);
}

bool transaction_is_quick(struct command_context *c, struct access *access)
{
    const struct transaction *transaction = &c->session->transaction;
    if (transaction->count > QUICK_REQUESTS_MAX || transaction->bytes > QUICK_BYTES_MAX)
        return false;
    struct look look = {.access = access, .is_quick = true};
    access_begin_read(access, c->database, true);
    for (size_t i = 0; i < transaction->count && look.is_quick; i++) {
        look.request = transaction->requests[i];
        const struct command *command = look.request->command;
        look.is_quick = (command->flags & COMMAND_FAST) || (command->flags & COMMAND_WRITE) ||
                        !(command->flags & (COMMAND_READONLY | COMMAND_READS));
        (void)command_each_key(command, look.request->arguments, look.request->count, look_at_key,
                               &look); /* arguments that do not fit are answered with an error */
    }
    access_end(access);
    return look.is_quick;
}

/* ---- Watchers ------------------------------------------------------------------------------------ */

void transaction_break(void *context, void *owner)
{
    struct session *session = owner;
    (void)context;
    atomic_store(&session->transaction.is_broken, true);
}

static bool is_touched(const struct touched_databases *touched, unsigned database)
{
    return touched->extent == TOUCHED_ALL ||
           (touched->extent >= TOUCHED_ONE && touched->numbers[0] == database) ||
           (touched->extent == TOUCHED_TWO && touched->numbers[1] == database);
}

void touched_databases_add(struct touched_databases *touched, unsigned database)
{
    if (is_touched(touched, database))
        return;
    if (touched->extent < TOUCHED_TWO)
        touched->numbers[touched->extent] = database;
    touched->extent++; /* a third one stands for all of them */
}

void transaction_flush(void *touched_databases, struct waiter *waiter)
{
    _Static_assert(offsetof(struct watch, waiter) == 0, "a watch is found by its waiter");
    if (is_touched(touched_databases, waiter->database))
        atomic_store(&((struct watch *)waiter)->is_flushed, true);
}
