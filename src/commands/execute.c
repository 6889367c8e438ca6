/* SPDX-License-Identifier: MIT */
/* Executes one request: finds the command, checks what Redis checks in Redis's order, gives the
 * handler the access that its flags ask for, and learns what the reply reveals.
 *
 * A write on a loop:
 *
 *      delayed? -> PARKED        lock busy for 1 ms? -> PARKED
 *      lock | begin batch | handler | end batch | wake waiters | next pipelined write ... | unlock
 *                            `- not in memory: end empty batch, unlock -> PARKED
 *
 * On a worker the same request takes its time: lock, try, unlock, fetch what was missing or do what the handler
 * asked for (command_prepare), again. */
#include "base/memory.h"
#include "commands/command_build.h"
#include "commands/notify.h"
#include "commands/service_state.h"
#include "commands/serving.h"
#include "commands/write_batch.h"

#include <assert.h>
#include <stdio.h>

enum {
    EXPANSION = 16, /* of COMMAND_EXPANDS */
    /* A larger request is run by a worker. */
    ARGUMENTS_ON_A_LOOP_MAX = 2048,
    BYTES_ON_A_LOOP_MAX = 256 * 1024,
    LINES_ON_A_LOOP_MAX = 64 * 1024, /* bytes, of what becomes many records */
    REPLY_ROOM_BYTES = 1024, /* made before a command runs: for an error, or what a write answers */
};
static const int64_t TIMEOUT_MS_MAX = INT64_C(1) << 48; /* longer is for ever */

/* One run of one request. */
struct run {
    struct session *session;
    struct service *service;
    struct service_thread *thread;
    struct command_context context;
    struct resp_writer writer;
    size_t start;   /* of the reply in the output */
    uint32_t flags; /* of what runs: the command's, for EXEC those of its requests */
    bool nowait;
    bool log_refused; /* the batch could not be begun: what failed is the log, not a read */
    lsn_t lsn;
};

/* ---- Access
 * -------------------------------------------------------------------------------------- */

static enum status call(struct run *run)
{
    struct command_context *c = &run->context;
    return c->command ? c->command->run(c) : json_request_run(run->thread->json, c);
}

static enum status run_plain(struct run *run)
{
    run->context.access = NULL;
    return call(run);
}

static void raise_lsn(struct run *run, lsn_t lsn)
{
    if (lsn > run->lsn)
        run->lsn = lsn;
}

static void begin_context(struct run *run, struct access *access)
{
    run->context.access = access;
    run->context.now_ms = access->now_ms;
}

static enum status run_read(struct run *run)
{
    service_thread_unlock(run->thread);
    struct access *access = service_thread_access(run->thread);
    access_begin_read(access, run->context.database, run->nowait);
    begin_context(run, access);
    enum status status = call(run);
    lsn_t lsn = access_end(access);
    raise_lsn(run, lsn);
    if (access->fact_count > 0 && status != STATUS_WOULD_BLOCK && !run->session->wait_asked)
        service_notify(run->service, access, lsn); /* keys that it missed */
    return status;
}

/* Flush and compaction want writers to be slower. A write's delay is mostly far shorter than a host's
 * timers can measure: what a session owes adds up until they can. */
static bool is_held_back(struct run *run)
{
    struct session *session = run->session;
    session->owed_us += lsm_write_delay_us(store_engine(run->service->store));
    if (session->owed_us < SESSION_DELAY_US_MIN)
        return false;
    session->delay_us = session->owed_us;
    session->owed_us = 0;
    return true;
}

/* By the clock as it was looked at last, if this is a feed's request. */
static uint64_t request_began_us(const struct run *run)
{
    uint64_t clock_us = run->thread->clock_us;
    return clock_us ? clock_us : env_monotonic_us(run->service->env);
}

/* Takes the write lock unless a write before this one left it. */
static bool take_lock(struct run *run)
{
    if (run->nowait && is_held_back(run)) {
        service_thread_unlock(run->thread);
        return false;
    }
    return write_lock_take(run->thread, run->nowait, request_began_us(run));
}

/* Of a command that names any number of keys up to its end, all of them. */
static size_t key_bytes_of(const struct command *command, const struct slice *arguments,
                           size_t count)
{
    const struct command_keys *keys = &command->keys;
    size_t bytes = 0;
    for (size_t i = (size_t)keys->first; i < count; i += (size_t)keys->step)
        bytes += arguments[i].size;
    return bytes;
}

size_t command_bytes_max(const struct command *command, const struct slice *arguments, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += arguments[i].size;
    size_t total = access_write_bytes(bytes, count);
    if (command->keys.last < 0)
        total += access_delete_bytes(key_bytes_of(command, arguments, count), count);
    if (command->flags & COMMAND_BUILDS)
        total += OBJECT_BUILD_INLINE_BYTES;
    return command->flags & COMMAND_EXPANDS ? total + bytes * EXPANSION : total;
}

/* Of all that EXEC will run. */
static size_t transaction_bytes_max(const struct transaction *transaction)
{
    size_t total = 0;
    for (size_t i = 0; i < transaction->count; i++) {
        const struct queued_request *request = transaction->requests[i];
        if (request->command->flags & COMMAND_WRITE)
            total += command_bytes_max(request->command, request->arguments, request->count);
    }
    return total;
}

/* They will be missed again. */
static void forget_misses(struct access *access, size_t facts_before)
{
    size_t kept = facts_before;
    for (size_t i = kept; i < access->fact_count; i++)
        if (access->facts[i].class_letter != 'm')
            access->facts[kept++] = access->facts[i];
    access->fact_count = kept;
}

/* Of a request that has waited before; what it takes now is not served to it as well. */
static enum status call_waiting(struct run *run)
{
    struct session *session = run->session;
    if (atomic_load(&session->waiting) >= WAITING_TOLD_TIMEOUT) {
        session->wait_asked = true; /* to be answered, or closed, when it is resumed */
        return STATUS_OK;
    }
    enum status status = call(run);
    if (!status && !session->wait_asked) {
        (void)session_stop_waiting(session);
        session->passes_on = true;
    }
    return status;
}

static enum status call_under_lock(struct run *run)
{
    return run->session->waiter_count > 0 ? call_waiting(run) : call(run);
}

/* Neither what runs many commands, nor what waits for others. */
static bool may_share_batch(const struct run *run)
{
    const struct command *command = run->context.command;
    bool is_simple =
        !command || (command->run != exec_command && !(command->flags & COMMAND_BLOCKING));
    return is_simple && run->session->waiter_count == 0;
}

/* JSON's writes append to a log, and to nothing else. */
static bool may_hold(const struct run *run)
{
    const struct command *command = run->context.command;
    return !command || (command->flags & COMMAND_HOLDS);
}

/* One try under the lock, which is held. */
static enum status try_write(struct run *run, bool nowait, size_t bytes_max)
{
    struct access *access = service_thread_access(run->thread);
    const struct write_batch_wish wish = {.session = run->session,
                                          .database = run->context.database,
                                          .bytes_max = bytes_max,
                                          .may_use_reserve = !(run->flags & COMMAND_DENYOOM),
                                          .nowait = nowait,
                                          .may_hold = may_hold(run),
                                          .may_share = run->nowait && may_share_batch(run)};
    enum status status = write_batch_begin(run->thread, &wish);
    run->log_refused = status != STATUS_OK;
    if (status)
        return status;
    begin_context(run, access);
    notify_choose_facts(run->service, access);
    size_t facts_before = access->fact_count;
    status = call_under_lock(run);
    if (status == STATUS_WOULD_BLOCK)
        forget_misses(access, facts_before);
    raise_lsn(run, write_batch_leave(run->thread, &wish));
    return status;
}

/* What a try lacked, without the lock. */
static enum status get_ready(struct run *run)
{
    struct command_context *c = &run->context;
    enum status (*prepare)(struct command_context *) = c->prepare;
    if (!prepare)
        return access_fetch_missing(&run->thread->access);
    c->prepare = NULL;
    return prepare(c);
}

static enum status run_write(struct run *run, size_t bytes_max)
{
    struct buffer *out = run->writer.out;
    for (unsigned fetches = 0;; fetches++) {
        if (!take_lock(run))
            return STATUS_WOULD_BLOCK;
        size_t link_bytes =
            run->context.build ? object_build_link_bytes(&run->context.build->object) : 0;
        enum status status =
            try_write(run, run->nowait || fetches < FETCHES_MAX, bytes_max + link_bytes);
        if (status != STATUS_WOULD_BLOCK) {
            write_lock_keep(run->thread, run->nowait);
            return status;
        }
        service_thread_unlock(run->thread);
        if (run->nowait)
            return status;
        out->size = run->start;
        status = get_ready(run);
        if (status)
            return status;
    }
}

static bool is_too_large_for_a_loop(const struct run *run, uint32_t flags)
{
    size_t bytes_max = flags & COMMAND_EXPANDS ? LINES_ON_A_LOOP_MAX : BYTES_ON_A_LOOP_MAX;
    return run->nowait &&
           (run->context.count > ARGUMENTS_ON_A_LOOP_MAX || run->session->raw.size > bytes_max);
}

static enum status run_command(struct run *run)
{
    const struct command_context *c = &run->context;
    bool is_exec = c->command->run == exec_command;
    uint32_t flags = is_exec ? transaction_flags(run->session) : c->command->flags;
    run->flags = flags;
    if (!(flags & (COMMAND_WRITE | COMMAND_READONLY | COMMAND_READS))) {
        service_thread_unlock(run->thread);
        return run_plain(run);
    }
    if (is_too_large_for_a_loop(run, flags))
        return STATUS_WOULD_BLOCK;
    if (!run->service->store) {
        resp_error(&run->writer, "LOADING Cordwood is loading the dataset from disk");
        return STATUS_OK;
    }
    bool stores = !(flags & COMMAND_STORES) || command_store_index(c->arguments, c->count) > 0;
    if (!(flags & COMMAND_WRITE) || !stores)
        return run_read(run);
    if (!is_exec)
        return run_write(run, command_bytes_max(c->command, c->arguments, c->count));
    if (run->nowait && !transaction_is_quick(&run->context, service_thread_access(run->thread)))
        return STATUS_WOULD_BLOCK;
    return run_write(run, transaction_bytes_max(&run->session->transaction));
}

static enum status run_json(struct run *run)
{
    if (is_too_large_for_a_loop(run, COMMAND_EXPANDS))
        return STATUS_WOULD_BLOCK;
    if (!run->thread->json)
        run->thread->json = json_request_create();
    run->context.access = NULL;
    run->context.now_ms = env_wall_ms(run->service->env);
    run->flags = COMMAND_DENYOOM;
    if (run->session->line_dropped) {
        json_reply_line_too_long(&run->context, session_line_bytes_max(run->session));
        return STATUS_OK;
    }
    switch (json_request_parse(run->thread->json, &run->context)) {
    case JSON_ACCESS_NONE:
        return STATUS_OK;
    case JSON_ACCESS_READ:
        return run->service->store ? run_read(run) : STATUS_READ_ONLY;
    case JSON_ACCESS_WRITE:
        if (service_is_out_of_memory(run->service)) {
            json_reply_out_of_memory(&run->context);
            return STATUS_OK;
        }
        return run->service->store ? run_write(run, json_request_bytes_max(run->thread->json))
                                   : STATUS_READ_ONLY;
    }
    return STATUS_INVALID;
}

/* ---- Checks before a command
 * ----------------------------------------------------------------------- */

static void reply_unknown_command(struct command_context *c)
{
    struct buffer words = {0};
    for (size_t i = 1; i < c->count && words.size < ERROR_ARGUMENT_BYTES_MAX; i++) {
        int size = slice_shown_bytes(c->arguments[i], ERROR_ARGUMENT_BYTES_MAX - words.size);
        buffer_printf(&words, "'%.*s' ", size, (const char *)c->arguments[i].data);
    }
    reply_errorf(c, "ERR unknown command '%.*s', with args beginning with: %.*s",
                 ARGUMENT_SHOWN(c, 0), (int)words.size, (const char *)words.data);
    buffer_release(&words);
}

static void reply_unknown_subcommand(struct command_context *c, const struct command *container)
{
    char name[64];
    size_t size = strlen(container->name);
    for (size_t i = 0; i <= size && i < sizeof name; i++) {
        char letter = container->name[i];
        name[i] = (char)(letter >= 'a' && letter <= 'z' ? letter - 32 : letter);
    }
    reply_errorf(c, "ERR unknown subcommand '%.*s'. Try %s HELP.", ARGUMENT_SHOWN(c, 1), name);
}

/* What a RESP2 client may send while messages come in between. */
static bool is_for_subscribers(const struct command *command)
{
    command_handler *run = command->run;
    return run == subscribe_command || run == psubscribe_command || run == ssubscribe_command ||
           run == unsubscribe_command || run == punsubscribe_command ||
           run == sunsubscribe_command || run == ping_command || run == quit_command ||
           run == reset_command;
}

/* Of a transaction's commands, those that make it smaller at once. */
static bool ends_transaction(const struct command *command)
{
    command_handler *run = command->run;
    return run == exec_command || run == discard_command || run == reset_command ||
           run == quit_command;
}

/* Above maxmemory: what adds data, and in a transaction all that goes on with it. */
static bool is_refused_for_memory(const struct run *run)
{
    const struct session *session = run->session;
    const struct command *command = run->context.command;
    if (!run->nowait || !service_is_out_of_memory(run->service)) /* a worker has begun with it */
        return false;
    if (session->transaction.is_open && !ends_transaction(command))
        return true;
    return (command->flags & COMMAND_DENYOOM) ||
           (command->run == exec_command && transaction_adds_data(session));
}

/* NULL: the error is answered. */
static const struct command *check_command(struct run *run)
{
    struct command_context *c = &run->context;
    bool has_subcommands = false;
    const struct command *top = command_find_top(c->arguments[0], &has_subcommands);
    if (!top) {
        reply_unknown_command(c);
        return NULL;
    }
    c->command = top;
    if (has_subcommands && c->count > 1) {
        const struct command *sub =
            c->arguments[1].size ? command_find(c->arguments[0], c->arguments[1]) : NULL;
        if (!sub) {
            reply_unknown_subcommand(c, top);
            return NULL;
        }
        c->command = sub;
    }
    int arity = c->command->arity;
    if (arity >= 0 ? c->count != (size_t)arity : c->count < (size_t)-arity) {
        reply_wrong_arity(c);
        return NULL;
    }
    if (!(c->command->flags & COMMAND_NO_AUTH) && !session_is_authenticated(run->session)) {
        resp_error(c->reply, "NOAUTH Authentication required.");
        return NULL;
    }
    if (is_refused_for_memory(run)) {
        resp_error(c->reply, "OOM command not allowed when used memory > 'maxmemory'.");
        return NULL;
    }
    if (c->reply->protocol == 2 && session_is_subscribed(run->session) &&
        !is_for_subscribers(c->command)) {
        reply_errorf(c,
                     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                     "/ RESET are allowed in this context",
                     c->command->name);
        return NULL;
    }
    assert(c->command->run);
    return c->command;
}

/* ---- A request
 * ------------------------------------------------------------------------------------- */

/* false: there is not even room for an error, and the session ends. */
static bool run_begin(struct run *run, struct session *session, struct service_thread *thread,
                      bool nowait, struct buffer *out)
{
    /* Field by field: an initializer becomes a slow clearing of the whole struct. */
    struct command_context *c = &run->context;
    run->session = c->session = session;
    run->service = c->service = session->service;
    run->thread = thread;
    run->writer.out = out;
    run->writer.protocol = atomic_load_explicit(&session->protocol, memory_order_relaxed);
    run->start = c->reply_start = out->size;
    run->nowait = c->nowait = nowait;
    run->log_refused = false;
    run->lsn = 0;
    c->command = NULL;
    c->access = NULL;
    c->reply = &run->writer;
    c->arguments = session->request.arguments;
    c->count = session->request.count;
    c->database = atomic_load_explicit(&session->database, memory_order_relaxed);
    c->now_ms = 0;
    c->resumed = session->resumed;
    c->may_block = true;
    c->reply_is_too_large = c->has_no_memory = false;
    c->work_bytes = 0;
    c->prepare = NULL;
    c->build = NULL;
    if (out->capacity - out->size >= REPLY_ROOM_BYTES || buffer_reserve(out, REPLY_ROOM_BYTES))
        return true;
    out->failed = false;
    session_lose_reply(session);
    return false;
}

/* false: there is no memory. */
static bool register_waiters(struct session *session, unsigned database)
{
    const struct command_wait *wait = &session->wait;
    session->waiters = memory_ask_allocate(wait->key_count * sizeof *session->waiters);
    if (!session->waiters)
        return false;
    session->waiter_count = wait->key_count;
    for (size_t i = 0; i < wait->key_count; i++) {
        struct waiter *waiter = &session->waiters[i];
        struct slice key = session->request.arguments[wait->first_key + i];
        if (wait->serve)
            waiters_add_in_line(&session->service->waiters, waiter, database, key, session->owner,
                                session);
        else
            waiters_add(&session->service->waiters, waiter, database, key, session->owner);
    }
    return true;
}

void command_count(const struct command_context *c, struct service_thread *thread,
                   size_t reply_start)
{
    const struct buffer *out = c->reply->out;
    size_t index = c->command ? (size_t)(c->command - command_table) : 0;
    counter_add(&thread->commands, 1);
    if (c->command)
        counter_add(&thread->calls[index], 1);
    if (out->size == reply_start || out->data[reply_start] != '-')
        return;
    if (c->command)
        counter_add(&thread->failed[index], 1);
    service_count_error(c->service, slice_make(out->data + reply_start, out->size - reply_start));
}

/* It was answered without being run. */
static void count_rejected(struct run *run)
{
    const struct command *command = run->context.command;
    const struct buffer *out = run->writer.out;
    counter_add(&run->thread->commands, 1);
    if (command)
        counter_add(&run->thread->rejected[command - command_table], 1);
    if (out->size > run->start)
        service_count_error(run->service,
                            slice_make(out->data + run->start, out->size - run->start));
}

static void count_result(struct run *run)
{
    const struct buffer *out = run->writer.out;
    if (run->session->json) {
        counter_add(&run->thread->commands, 1);
        static const char failed[] = "{\"status\":\"error\"";
        atomic_fetch_add_explicit(&run->service->stats.json_requests, 1, memory_order_relaxed);
        if (slice_starts_with(slice_make(out->data + run->start, out->size - run->start),
                              slice_make(failed, sizeof failed - 1)))
            atomic_fetch_add_explicit(&run->service->stats.json_errors, 1, memory_order_relaxed);
        return;
    }
    command_count(&run->context, run->thread, run->start);
}

static void answer_status(struct run *run, enum status status)
{
    run->writer.out->size = run->start;
    if (run->context.build && run->context.build->error)
        reply_error(&run->context, run->context.build->error);
    else if (run->session->json)
        json_reply_status(&run->context, status);
    else if (run->log_refused && status == STATUS_IO)
        reply_error(&run->context, "MISCONF Errors writing to the AOF file: Input/output error");
    else
        reply_status(&run->context, status);
}

/* What was written in vain must not stay as room while a worker does it again. */
static void cut_reply(struct buffer *out, size_t start)
{
    out->size = start;
    if (out->capacity <= start + OUTPUT_KEPT_BYTES)
        return;
    if (start == 0) {
        buffer_release(out);
        return;
    }
    uint8_t *smaller = memory_try_resize(out->data, start);
    if (!smaller)
        return;
    out->data = smaller;
    out->capacity = start;
}

/* The status of a run, with what became of its reply. */
static enum status reply_settled(struct run *run, enum status status)
{
    struct buffer *out = run->writer.out;
    if (out->failed) {
        out->failed = false;
        out->size = run->start;
        return status == STATUS_WOULD_BLOCK ? status : STATUS_NO_MEMORY;
    }
    /* Replies of one value; a write that has happened is answered. */
    if (!status && out->size - run->start > REPLY_UNCHECKED_BYTES && run->context.command &&
        !(run->flags & COMMAND_WRITE) && !command_reply_fits(&run->context, out->size - run->start))
        return STATUS_TOO_LARGE;
    return status;
}

/* Who waits in line has looked under the write lock; if the thread has kept it, nobody has written since. */
static bool has_looked_under_this_lock(const struct run *run)
{
    return run->session->wait.serve && run->thread->has_lock;
}

/* The handler found nothing and asked to wait. STATUS_WOULD_BLOCK: it waits; STATUS_OK: it looks once
 * more first; STATUS_NO_MEMORY. */
static enum status start_waiting(struct run *run)
{
    struct session *session = run->session;
    assert(run->writer.out->size == run->start);
    if (!session_hold_request(session))
        return STATUS_NO_MEMORY;
    bool has_keys = session->wait.key_count > 0;
    int state = atomic_load(&session->waiting);
    if (state == WAITING_NOT) {
        atomic_store(&session->waiting, has_keys ? WAITING_LOOKS : WAITING_SERVABLE);
        if (has_keys && !register_waiters(session, run->context.database))
            return STATUS_NO_MEMORY;
        if (has_keys && !has_looked_under_this_lock(run))
            return STATUS_OK;
        session_found_nothing(session);
        state = atomic_load(&session->waiting);
    }
    return state == WAITING_AGAIN ? STATUS_OK : STATUS_WOULD_BLOCK;
}

/* CLIENT CACHING is meant for the request behind it, other subcommands of CLIENT left out. */
static bool is_of_client(const struct command *command)
{
    return strncmp(command->name, "client|", 7) == 0;
}

/* CLIENT PAUSE: the request keeps its place and is tried again then. */
static bool is_paused(struct run *run)
{
    struct session *session = run->session;
    const struct command *command = run->context.command;
    uint64_t until_us;
    uint32_t flags = !command                       ? COMMAND_WRITE /* a JSON line may be one */
                     : command->run == exec_command ? transaction_flags(session)
                                                    : command->flags;
    if (!service_is_paused(run->service, flags, &until_us) || !session_hold_request(session))
        return false;
    session->waits_for_pause = true;
    session->deadline_us = until_us;
    return true;
}

/* Returns when the request has begun. One that may wait for the lock looks at the wall clock behind it. */
static uint64_t tell_time(struct run *run)
{
    struct service_thread *thread = run->thread;
    if (run->nowait && thread->clock_us)
        thread->access.told_ms = thread->feed_ms + (thread->clock_us - thread->feed_us) / 1000;
    return request_began_us(run);
}

static enum execution execute(struct session *session, struct service_thread *thread, bool nowait,
                              struct buffer *out, lsn_t *lsn)
{
    struct run run;
    session->delay_us = 0;
    session->reply_over_limit = false;
    if (!run_begin(&run, session, thread, nowait, out))
        return EXECUTION_DONE;
    run.flags = 0;
    if (!session->json && !check_command(&run)) {
        transaction_reject(&run.context, run.start);
        count_rejected(&run);
        return EXECUTION_DONE;
    }
    if (!session->json && transaction_takes(&run.context))
        return EXECUTION_DONE;
    session->taken_lsn = 0;
    if (nowait && !session->resumed && is_paused(&run))
        return EXECUTION_BLOCKED;
    atomic_store_explicit(&session->last_command, run.context.command, memory_order_relaxed);
    if (!session->json)
        tracking_note_keys(&run.context);
    uint64_t began_us = tell_time(&run);
    for (;;) {
        session->wait_asked = false;
        (void)session_look(session);
        enum status status = session->json ? run_json(&run) : run_command(&run);
        thread->access.told_ms = 0; /* who waits, or runs again, looks */
        if (session->json && thread->json)
            json_request_end(thread->json);
        status = reply_settled(&run, status);
        if (status == STATUS_WOULD_BLOCK && nowait) {
            if (session_hold_request(session)) {
                cut_reply(out, run.start);
                return EXECUTION_PARKED;
            }
            status = STATUS_NO_MEMORY;
        }
        if (!status && session->wait_asked) {
            status = start_waiting(&run);
            if (status == STATUS_WOULD_BLOCK)
                return EXECUTION_BLOCKED;
            if (!status)
                continue;
        }
        if (status)
            answer_status(&run, status);
        break;
    }
    if (!session->json && run.context.command->run == exec_command && session->transaction.is_open)
        transaction_end(session); /* it failed before its handler ran */
    command_build_destroy(run.context.build);
    raise_lsn(&run, *lsn);
    raise_lsn(&run, session->taken_lsn);
    *lsn = run.lsn;
    count_result(&run);
    thread->clock_us = env_monotonic_us(run.service->env);
    if (!session->json) {
        /* Of a transaction all commands are meant. */
        if (session->caching && !is_of_client(run.context.command) && !session->transaction.is_open)
            session->caching = TRACKING_CACHING_DEFAULT;
        timing_record(&run.context, thread, thread->clock_us - began_us);
        monitor_feed(&run.context);
    }
    return EXECUTION_DONE;
}

enum execution session_execute(struct session *session, struct service_thread *thread, bool nowait,
                               struct buffer *out, lsn_t *lsn)
{
    size_t start = out->size;
    enum execution execution = execute(session, thread, nowait, out, lsn);
    if (execution == EXECUTION_DONE && session->replies != SESSION_REPLIES_ON)
        session_drop_reply(session, out, start);
    return execution;
}

static void answer_served(struct run *run)
{
    struct session *session = run->session;
    struct buffer *out = run->writer.out;
    buffer_append_slice(out, buffer_slice(&session->served));
    if (out->failed) {
        out->size = run->start;
        session_lose_reply(session);
    }
    out->failed = false;
    raise_lsn(run, session->served_lsn);
}

void session_execute_end(struct session *session, struct service_thread *thread, enum waiting end,
                         struct buffer *out, lsn_t *lsn)
{
    struct run run;
    if (!run_begin(&run, session, thread, true, out))
        return;
    run.context.command = atomic_load_explicit(&session->last_command, memory_order_relaxed);
    if (end == WAITING_SERVED)
        answer_served(&run);
    else if (end == WAITING_TOLD_ERROR)
        reply_error(&run.context, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    else if (session->wait.timed_out)
        session->wait.timed_out(&run.context);
    else
        resp_null_array(&run.writer);
    raise_lsn(&run, *lsn);
    *lsn = run.lsn;
    count_result(&run);
    monitor_feed(&run.context);
    if (session->replies != SESSION_REPLIES_ON)
        session_drop_reply(session, out, run.start);
}

void session_execute_half_line(struct session *session, struct service_thread *thread,
                               struct buffer *out)
{
    struct run run;
    if (!run_begin(&run, session, thread, true, out))
        return;
    if (session->line_dropped)
        json_reply_line_too_long(&run.context, session_line_bytes_max(session));
    else
        json_reply_half_line(&run.context);
    count_result(&run);
}

void command_block(struct command_context *c, const struct command_wait *wait)
{
    struct session *session = c->session;
    assert(wait->key_count == 0 || wait->first_key + wait->key_count <= c->count);
    assert(c->may_block);
    session->wait = *wait;
    session->wait_asked = true;
    session_found_nothing(session);
    if (session->deadline_us == 0 && wait->timeout_ms > 0 && wait->timeout_ms < TIMEOUT_MS_MAX)
        session->deadline_us =
            env_monotonic_us(c->service->env) + (uint64_t)wait->timeout_ms * 1000;
}

enum status command_set_argument(struct command_context *c, size_t index, struct slice value)
{
    assert(index < c->count);
    uint8_t *copy = arena_try_copy(&c->session->set_arguments, value.data, value.size);
    if (!copy)
        return STATUS_NO_MEMORY;
    c->arguments[index] = slice_make(copy, value.size);
    return STATUS_OK;
}

enum status command_lookup(struct command_context *c, enum status status)
{
    struct service_thread *thread = service_thread(c->service);
    bool is_miss =
        status == STATUS_NOT_FOUND && c->access->missed.data; /* else what is within it */
    if (is_miss)
        notify_miss(c->service, c->access);
    if (c->build) /* it was counted before that was made */
        return status;
    if (is_miss)
        counter_add(&thread->misses, 1);
    else if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        counter_add(&thread->hits, 1);
    return status;
}
