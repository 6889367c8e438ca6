/* SPDX-License-Identifier: MIT */
/* Commands that take from the first of several lists that has something, LMPOP, or take from one list and
 * put into another, LMOVE RPOPLPUSH; and what waits until there is something, BLPOP BRPOP BLMPOP BLMOVE
 * BRPOPLPUSH. */
#include "commands/serving.h"
#include "types/list.h"

#include <assert.h>

static bool take_end(struct command_context *c, size_t index, enum list_end *end)
{
    bool is_left = argument_is(c, index, "LEFT");
    if (!is_left && !argument_is(c, index, "RIGHT")) {
        reply_syntax_error(c);
        return false;
    }
    *end = is_left ? LIST_LEFT : LIST_RIGHT;
    return true;
}

static void write_element(void *context, struct slice value)
{
    struct command_context *c = context;
    resp_bulk(c->reply, value);
}

static enum status check_reply(void *context)
{
    return command_reply_check(context);
}

/* ---- LMOVE ----------------------------------------------------------------------------------- */

/* From the list at arguments[1] to the one at arguments[2]. */
static enum status move(struct command_context *c, enum list_end from_end, enum list_end to_end)
{
    enum status status = list_move(
        c->access, c->arguments[1], from_end, c->arguments[2], to_end,
        &(struct list_visitor){.element = write_element, .context = c, .check = check_reply});
    return status == STATUS_NOT_FOUND ? reply_null(c) : status;
}

enum status lmove_command(struct command_context *c)
{
    enum list_end from_end, to_end;
    if (!take_end(c, 3, &from_end) || !take_end(c, 4, &to_end))
        return STATUS_OK;
    return move(c, from_end, to_end);
}

enum status rpoplpush_command(struct command_context *c)
{
    return move(c, LIST_RIGHT, LIST_LEFT);
}

/* ---- LMPOP ----------------------------------------------------------------------------------- */

struct many_pop {
    size_t first_key, key_count;
    enum list_end end;
    uint64_t count;
};

/* numkeys key [key ...] <LEFT | RIGHT> [COUNT count] from an argument on; false: the error is replied. */
static bool take_many_pop(struct command_context *c, size_t first, struct many_pop *taken)
{
    int64_t number = 0;
    if (!slice_parse_integer(c->arguments[first], &number) || number < 1) {
        reply_error(c, "ERR numkeys should be greater than 0");
        return false;
    }
    *taken = (struct many_pop){.first_key = first + 1, .key_count = (size_t)number, .count = 1};
    if (taken->key_count >= c->count - taken->first_key) {
        reply_syntax_error(c);
        return false;
    }
    size_t next = taken->first_key + taken->key_count;
    if (!take_end(c, next, &taken->end))
        return false;
    if (next + 1 == c->count)
        return true;
    if (next + 2 < c->count && argument_is(c, next + 1, "COUNT")) {
        if (!slice_parse_integer(c->arguments[next + 2], &number) || number < 1) {
            reply_error(c, "ERR count should be greater than 0");
            return false;
        }
        taken->count = (uint64_t)number;
        if (next + 3 == c->count)
            return true;
    }
    reply_syntax_error(c);
    return false;
}

/* Begins [key, [element ...]]. */
struct key_reply {
    struct command_context *c;
    struct slice key;
};

static void begin_key_reply(void *context, uint64_t count)
{
    struct key_reply *reply = context;
    resp_array(reply->c->reply, 2);
    resp_bulk(reply->c->reply, reply->key);
    resp_array(reply->c->reply, count);
}

static void write_key_element(void *context, struct slice value)
{
    struct key_reply *reply = context;
    resp_bulk(reply->c->reply, value);
}

static enum status check_key_reply(void *context)
{
    return command_reply_check(((struct key_reply *)context)->c);
}

/* Takes from one list and answers; STATUS_NOT_FOUND: there is none. */
static enum status pop_many(struct command_context *c, size_t key_index,
                            const struct many_pop *taken)
{
    struct key_reply reply = {.c = c, .key = c->arguments[key_index]};
    return list_pop(c->access, reply.key, taken->end, taken->count,
                    &(struct list_visitor){.begin = begin_key_reply,
                                           .element = write_key_element,
                                           .context = &reply,
                                           .check = check_key_reply});
}

enum status lmpop_command(struct command_context *c)
{
    struct many_pop taken;
    if (!take_many_pop(c, 1, &taken))
        return STATUS_OK;
    enum status status = STATUS_NOT_FOUND;
    for (size_t i = 0; i < taken.key_count && status == STATUS_NOT_FOUND; i++)
        status = pop_many(c, taken.first_key + i, &taken);
    if (status != STATUS_NOT_FOUND)
        return status;
    resp_null_array(c->reply);
    return STATUS_OK;
}

/* ---- What waits. ----------------------------------------------------------------------------- */

/* Who waits goes on waiting while the key is of another type. */
static enum status settle_awaited(const struct command_context *c, enum status status)
{
    return status == STATUS_WRONG_TYPE && c->resumed ? STATUS_NOT_FOUND : status;
}

/* Takes from the first key that has something and for which nobody came before; or waits for one of them. Where it
 * cannot wait, it says that there is nothing. */
static enum status pop_or_wait(struct command_context *c, const struct command_wait *wait,
                               void (*reply_nothing)(struct resp_writer *))
{
    for (size_t i = 0; i < wait->key_count; i++) {
        size_t key_index = wait->first_key + i;
        enum status status = STATUS_NOT_FOUND;
        if (serving_is_next(c, key_index))
            status = wait->serve(c, key_index);
        if (status != STATUS_NOT_FOUND)
            return status;
    }
    if (c->may_block)
        command_block(c, wait);
    else
        reply_nothing(c->reply);
    return STATUS_OK;
}

/* ---- BLPOP, BRPOP ---------------------------------------------------------------------------- */

static void begin_pair(void *context, uint64_t count)
{
    struct key_reply *reply = context;
    (void)count; /* one */
    resp_array(reply->c->reply, 2);
    resp_bulk(reply->c->reply, reply->key);
}

static enum status pop_one(struct command_context *c, size_t key_index, enum list_end end)
{
    struct key_reply reply = {.c = c, .key = c->arguments[key_index]};
    return settle_awaited(c, list_pop(c->access, reply.key, end, 1,
                                      &(struct list_visitor){.begin = begin_pair,
                                                             .element = write_key_element,
                                                             .context = &reply,
                                                             .check = check_key_reply}));
}

static enum status serve_left(struct command_context *c, size_t key_index)
{
    return pop_one(c, key_index, LIST_LEFT);
}

static enum status serve_right(struct command_context *c, size_t key_index)
{
    return pop_one(c, key_index, LIST_RIGHT);
}

static enum status blocking_pop(struct command_context *c,
                                enum status (*serve)(struct command_context *, size_t))
{
    struct command_wait wait = {.first_key = 1, .key_count = c->count - 2, .serve = serve};
    if (!argument_timeout_seconds(c, c->count - 1, &wait.timeout_ms))
        return STATUS_OK;
    return pop_or_wait(c, &wait, resp_null_array);
}

enum status blpop_command(struct command_context *c)
{
    return blocking_pop(c, serve_left);
}

enum status brpop_command(struct command_context *c)
{
    return blocking_pop(c, serve_right);
}

/* ---- BLMPOP ---------------------------------------------------------------------------------- */

static enum status serve_many(struct command_context *c, size_t key_index)
{
    struct many_pop taken;
    bool is_taken = take_many_pop(c, 2, &taken);
    assert(is_taken); /* it was before */
    return is_taken ? settle_awaited(c, pop_many(c, key_index, &taken)) : STATUS_OK;
}

enum status blmpop_command(struct command_context *c)
{
    struct many_pop taken;
    struct command_wait wait = {.serve = serve_many};
    if (!argument_timeout_seconds(c, 1, &wait.timeout_ms) || !take_many_pop(c, 2, &taken))
        return STATUS_OK;
    wait.first_key = taken.first_key;
    wait.key_count = taken.key_count;
    return pop_or_wait(c, &wait, resp_null_array);
}

/* ---- BLMOVE, BRPOPLPUSH ---------------------------------------------------------------------- */

/* An error of the other list ends the wait, the element stays. */
static enum status move_awaited(struct command_context *c, enum list_end from_end,
                                enum list_end to_end)
{
    uint64_t length;
    enum status status = settle_awaited(c, list_length(c->access, c->arguments[1], &length));
    if (!status)
        status = move(c, from_end, to_end);
    if (status != STATUS_WRONG_TYPE)
        return status;
    reply_status(c, status);
    return STATUS_OK;
}

static enum status serve_move(struct command_context *c, size_t key_index)
{
    enum list_end from_end, to_end;
    bool is_taken = take_end(c, 3, &from_end) && take_end(c, 4, &to_end);
    (void)key_index;
    assert(is_taken); /* it was before */
    return is_taken ? move_awaited(c, from_end, to_end) : STATUS_OK;
}

static enum status serve_right_to_left(struct command_context *c, size_t key_index)
{
    (void)key_index;
    return move_awaited(c, LIST_RIGHT, LIST_LEFT);
}

static enum status blocking_move(struct command_context *c, size_t timeout_index,
                                 enum status (*serve)(struct command_context *, size_t))
{
    struct command_wait wait = {.first_key = 1, .key_count = 1, .serve = serve};
    if (!argument_timeout_seconds(c, timeout_index, &wait.timeout_ms))
        return STATUS_OK;
    return pop_or_wait(c, &wait, resp_null);
}

enum status blmove_command(struct command_context *c)
{
    enum list_end end;
    if (!take_end(c, 3, &end) || !take_end(c, 4, &end))
        return STATUS_OK;
    return blocking_move(c, 5, serve_move);
}

enum status brpoplpush_command(struct command_context *c)
{
    return blocking_move(c, 3, serve_right_to_left);
}
