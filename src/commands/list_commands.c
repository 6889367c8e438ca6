/* SPDX-License-Identifier: MIT */
/* The list family: LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LINDEX LRANGE LTRIM. */
#include "commands/command.h"
#include "types/list.h"

static enum status push(struct command_context *c, enum list_end end, bool only_existing)
{
    uint64_t length = 0;
    enum status status = list_push(c->access, c->arguments[1], end, c->arguments + 2, c->count - 2,
                                   only_existing, &length);
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, 0);
    return status ? status : reply_integer(c, (int64_t)length);
}

enum status lpush_command(struct command_context *c)
{
    return push(c, LIST_LEFT, false);
}

enum status rpush_command(struct command_context *c)
{
    return push(c, LIST_RIGHT, false);
}

enum status lpushx_command(struct command_context *c)
{
    return push(c, LIST_LEFT, true);
}

enum status rpushx_command(struct command_context *c)
{
    return push(c, LIST_RIGHT, true);
}

static void begin_array(void *context, uint64_t count)
{
    struct command_context *c = context;
    resp_array(c->reply, count);
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

/* LPOP key 0: an empty array if there is a list. */
static enum status pop_nothing(struct command_context *c)
{
    uint64_t length = 0;
    enum status status = list_length(c->access, c->arguments[1], &length);
    if (status == STATUS_OK)
        resp_array(c->reply, 0);
    else if (status == STATUS_NOT_FOUND)
        resp_null_array(c->reply);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status pop(struct command_context *c, enum list_end end)
{
    int64_t count = 1;
    bool has_count = c->count == 3;
    if (c->count > 3)
        return reply_wrong_arity(c);
    if (has_count && !argument_count(c, 2, &count))
        return STATUS_OK;
    if (count == 0)
        return pop_nothing(c);
    struct list_visitor visitor = {.begin = has_count ? begin_array : NULL,
                                   .element = write_element,
                                   .context = c,
                                   .check = check_reply};
    enum status status = list_pop(c->access, c->arguments[1], end, (uint64_t)count, &visitor);
    if (status == STATUS_NOT_FOUND) {
        if (has_count)
            resp_null_array(c->reply);
        else
            resp_null(c->reply);
        return STATUS_OK;
    }
    return status;
}

enum status lpop_command(struct command_context *c)
{
    return pop(c, LIST_LEFT);
}

enum status rpop_command(struct command_context *c)
{
    return pop(c, LIST_RIGHT);
}

enum status llen_command(struct command_context *c)
{
    uint64_t length = 0;
    enum status status = command_lookup(c, list_length(c->access, c->arguments[1], &length));
    if (status && status != STATUS_NOT_FOUND)
        return status;
    return reply_integer(c, (int64_t)length);
}

enum status lindex_command(struct command_context *c)
{
    int64_t index = 0;
    struct slice value;
    if (!argument_integer(c, 2, &index))
        return STATUS_OK;
    enum status status = command_lookup(c, list_index(c->access, c->arguments[1], index, &value));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    return status ? status : reply_bulk(c, value);
}

enum status lrange_command(struct command_context *c)
{
    int64_t start = 0, stop = 0;
    if (!argument_integer(c, 2, &start) || !argument_integer(c, 3, &stop))
        return STATUS_OK;
    struct list_visitor visitor = {
        .begin = begin_array, .element = write_element, .context = c, .check = check_reply};
    enum status status =
        command_lookup(c, list_range(c->access, c->arguments[1], start, stop, &visitor));
    if (status == STATUS_NOT_FOUND) {
        resp_array(c->reply, 0);
        return STATUS_OK;
    }
    return status;
}

enum status ltrim_command(struct command_context *c)
{
    int64_t start = 0, stop = 0;
    if (!argument_integer(c, 2, &start) || !argument_integer(c, 3, &stop))
        return STATUS_OK;
    enum status status = list_trim(c->access, c->arguments[1], start, stop);
    return status ? status : reply_ok(c);
}
