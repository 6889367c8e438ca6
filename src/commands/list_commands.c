/* SPDX-License-Identifier: MIT */
/* The list family: LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LINDEX LSET LRANGE LTRIM LPOS
 * LINSERT LREM. What takes from one list of many, or puts into another: list_move_commands.c. */
#include "commands/command.h"
#include "resp/resp_put.h"
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
    resp_append_bulk(c->reply, value);
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
    uint64_t length;
    struct slice value, key = c->arguments[1];
    bool is_number = slice_parse_integer(c->arguments[2], &index);
    /* What the key holds is asked first. */
    enum status status = command_lookup(c, is_number ? list_index(c->access, key, index, &value)
                                                     : list_length(c->access, key, &length));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (!status && !is_number)
        return reply_not_an_integer(c);
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

enum status lset_command(struct command_context *c)
{
    int64_t index = 0;
    bool is_number = slice_parse_integer(c->arguments[2], &index);
    /* What the key holds is asked first. */
    uint64_t length;
    enum status status = list_length(c->access, c->arguments[1], &length);
    if (!status && !is_number)
        return reply_not_an_integer(c);
    if (!status)
        status = list_set(c->access, c->arguments[1], index, c->arguments[3]);
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR no such key");
    if (status == STATUS_INVALID)
        return reply_error(c, "ERR index out of range");
    return status ? status : reply_ok(c);
}

/* ---- LPOS ------------------------------------------------------------------------------------ */

/* false: the error is replied. */
static bool take_rank(struct command_context *c, size_t index, int64_t *rank)
{
    int64_t number = 0;
    if (!argument_integer(c, index, &number))
        return false;
    if (number == INT64_MIN) {
        reply_error(c, "ERR value is out of range, value must between -9223372036854775807 and "
                       "9223372036854775807");
        return false;
    }
    if (number == 0) {
        reply_error(c, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                       "second ... or use negative to start from the end of the list");
        return false;
    }
    *rank = number;
    return true;
}

static bool take_limit(struct command_context *c, size_t index, const char *error, uint64_t *limit)
{
    int64_t number = 0;
    if (!slice_parse_integer(c->arguments[index], &number) || number < 0) {
        reply_error(c, error);
        return false;
    }
    *limit = (uint64_t)number;
    return true;
}

static bool take_search_options(struct command_context *c, struct list_search *search,
                                bool *has_count)
{
    for (size_t i = 3; i < c->count; i += 2) {
        bool is_taken = false, has_more = i + 1 < c->count;
        if (has_more && argument_is(c, i, "RANK"))
            is_taken = take_rank(c, i + 1, &search->rank);
        else if (has_more && argument_is(c, i, "COUNT"))
            is_taken = *has_count =
                take_limit(c, i + 1, "ERR COUNT can't be negative", &search->count_max);
        else if (has_more && argument_is(c, i, "MAXLEN"))
            is_taken = take_limit(c, i + 1, "ERR MAXLEN can't be negative", &search->looked_max);
        else
            reply_syntax_error(c);
        if (!is_taken)
            return false;
    }
    return true;
}

struct positions {
    struct command_context *c;
    uint64_t count;
};

static void write_position(void *context, uint64_t index)
{
    struct positions *positions = context;
    resp_integer(positions->c->reply, (int64_t)index);
    positions->count++;
}

static enum status check_search(void *context, uint64_t bytes)
{
    struct positions *positions = context;
    enum status status = command_work_check(positions->c, bytes);
    return status ? status : command_reply_check(positions->c);
}

enum status lpos_command(struct command_context *c)
{
    struct positions positions = {.c = c};
    struct list_search search = {.value = c->arguments[2],
                                 .rank = 1,
                                 .count_max = 1,
                                 .found = write_position,
                                 .context = &positions,
                                 .patience = {check_search, &positions}};
    bool has_count = false;
    if (!take_search_options(c, &search, &has_count))
        return STATUS_OK;
    size_t mark = has_count ? resp_deferred(c->reply) : 0;
    enum status status = command_lookup(c, list_find_elements(c->access, c->arguments[1], &search));
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (has_count)
        resp_deferred_array(c->reply, mark, positions.count);
    else if (positions.count == 0)
        resp_null(c->reply);
    return STATUS_OK;
}

/* ---- LINSERT, LREM --------------------------------------------------------------------------- */

static enum status check_work(void *context, uint64_t bytes)
{
    return command_work_check(context, bytes);
}

enum status linsert_command(struct command_context *c)
{
    struct list_insertion insertion = {.is_before = argument_is(c, 2, "BEFORE"),
                                       .pivot = c->arguments[3],
                                       .value = c->arguments[4],
                                       .patience = {check_work, c}};
    uint64_t length = 0;
    if (!insertion.is_before && !argument_is(c, 2, "AFTER"))
        return reply_syntax_error(c);
    enum status status = list_insert(c->access, c->arguments[1], &insertion, &length);
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, 0);
    if (status == STATUS_INVALID)
        return reply_error(c, "ERR too many elements were inserted at this place of the list, each "
                              "between the last two: write the list anew under another key");
    if (status)
        return status;
    return reply_integer(c, length ? (int64_t)length : -1);
}

enum status lrem_command(struct command_context *c)
{
    struct list_removal removal = {.value = c->arguments[3], .patience = {check_work, c}};
    uint64_t removed = 0;
    if (!argument_integer(c, 2, &removal.count))
        return STATUS_OK;
    enum status status = list_remove(c->access, c->arguments[1], &removal, &removed);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    return reply_integer(c, (int64_t)removed);
}
