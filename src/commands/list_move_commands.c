/* SPDX-License-Identifier: MIT */
/* Commands that take from the first of several lists that has something, LMPOP, or take from one list and
 * put into another, LMOVE RPOPLPUSH. */
#include "commands/command.h"
#include "types/list.h"

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

enum status lmpop_command(struct command_context *c)
{
    struct many_pop taken;
    if (!take_many_pop(c, 1, &taken))
        return STATUS_OK;
    enum status status = STATUS_NOT_FOUND;
    for (size_t i = 0; i < taken.key_count && status == STATUS_NOT_FOUND; i++) {
        struct key_reply reply = {.c = c, .key = c->arguments[taken.first_key + i]};
        status = list_pop(c->access, reply.key, taken.end, taken.count,
                          &(struct list_visitor){.begin = begin_key_reply,
                                                 .element = write_key_element,
                                                 .context = &reply,
                                                 .check = check_key_reply});
    }
    if (status != STATUS_NOT_FOUND)
        return status;
    resp_null_array(c->reply);
    return STATUS_OK;
}
