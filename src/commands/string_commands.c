/* SPDX-License-Identifier: MIT */
/* Strings as a whole: SET SETNX SETEX PSETEX GET GETSET GETDEL GETEX MGET MSET MSETNX. */
#include "commands/string_reply.h"

/* ---- Times to live ----------------------------------------------------------------------------- */

/* EX PX EXAT PXAT. */
struct time_request {
    size_t index; /* of the time's argument; 0: none */
    bool in_seconds, is_absolute;
};

/* The same option may come again: the last one counts. */
static bool parse_time_option(const struct command_context *c, size_t *i,
                              struct time_request *request)
{
    bool is_absolute = argument_is(c, *i, "EXAT") || argument_is(c, *i, "PXAT");
    if (*i + 1 >= c->count ||
        !(is_absolute || argument_is(c, *i, "EX") || argument_is(c, *i, "PX")))
        return false;
    bool in_seconds = c->arguments[*i].data[0] == 'E' || c->arguments[*i].data[0] == 'e';
    if (request->index > 0 &&
        (request->in_seconds != in_seconds || request->is_absolute != is_absolute))
        return false;
    *request = (struct time_request){*i + 1, in_seconds, is_absolute};
    ++*i;
    return true;
}

/* The time in unix milliseconds; false: the error is answered. */
static bool read_time(struct command_context *c, const struct time_request *request,
                      uint64_t *expire_ms)
{
    int64_t time = 0;
    if (!argument_integer(c, request->index, &time))
        return false;
    bool is_valid = time > 0 && !(request->in_seconds && time > INT64_MAX / 1000);
    if (is_valid && request->in_seconds)
        time *= 1000;
    int64_t base = request->is_absolute ? 0 : (int64_t)c->now_ms;
    if (!is_valid || time > INT64_MAX - base) {
        reply_errorf(c, "ERR invalid expire time in '%s' command", c->command->name);
        return false;
    }
    *expire_ms = (uint64_t)(time + base);
    return true;
}

/* ---- One key ----------------------------------------------------------------------------------- */

enum set_condition { SET_ALWAYS, SET_IF_MISSING, SET_IF_EXISTING };

struct set_request {
    enum set_condition condition;
    bool keep_ttl, get;
    struct time_request time;
};

/* One option at *i; false: it does not fit what came before. */
static bool parse_set_option(const struct command_context *c, size_t *i,
                             struct set_request *request)
{
    if (argument_is(c, *i, "NX") && request->condition != SET_IF_EXISTING)
        request->condition = SET_IF_MISSING;
    else if (argument_is(c, *i, "XX") && request->condition != SET_IF_MISSING)
        request->condition = SET_IF_EXISTING;
    else if (argument_is(c, *i, "GET"))
        request->get = true;
    else if (argument_is(c, *i, "KEEPTTL") && request->time.index == 0)
        request->keep_ttl = true;
    else
        return !request->keep_ttl && parse_time_option(c, i, &request->time);
    return true;
}

/* SET ... GET: the old value, before anything is written. */
static enum status reply_old_value(struct command_context *c, const struct object *old)
{
    if (!old)
        return reply_null(c);
    return old->type == OBJECT_STRING ? reply_old_string(c, old) : STATUS_WRONG_TYPE;
}

enum status set_command(struct command_context *c)
{
    struct set_request request = {0};
    struct string_set_options options = {0};
    for (size_t i = 3; i < c->count; i++)
        if (!parse_set_option(c, &i, &request))
            return reply_syntax_error(c);
    if (request.time.index > 0 && !read_time(c, &request.time, &options.expire_ms))
        return STATUS_OK;
    options.keep_ttl = request.keep_ttl;
    if (c->arguments[2].size > STRING_BYTES_MAX)
        return STATUS_TOO_LARGE;

    struct object object;
    enum status status = keyspace_find(c->access, c->arguments[1], &object);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    struct object *old = status == STATUS_OK ? &object : NULL;
    if (request.get) {
        (void)command_lookup(c, status); /* the same */
        status = reply_old_value(c, old);
        if (status)
            return status;
    }
    if ((request.condition == SET_IF_MISSING && old) ||
        (request.condition == SET_IF_EXISTING && !old))
        return request.get ? STATUS_OK : reply_null(c);
    string_set(c->access, c->arguments[1], c->arguments[2], old, &options);
    return request.get ? STATUS_OK : reply_ok(c);
}

enum status get_command(struct command_context *c)
{
    struct object object;
    enum status status =
        command_lookup(c, keyspace_find_type(c->access, c->arguments[1], OBJECT_STRING, &object));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    return status ? status : reply_string(c, &object);
}

static enum status set_for_a_time(struct command_context *c, bool in_seconds)
{
    struct time_request time = {.index = 2, .in_seconds = in_seconds};
    struct string_set_options options = {0};
    struct object old;
    if (!read_time(c, &time, &options.expire_ms))
        return STATUS_OK;
    enum status status = keyspace_find(c->access, c->arguments[1], &old);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    string_set(c->access, c->arguments[1], c->arguments[3], status ? NULL : &old, &options);
    return reply_ok(c);
}

enum status setex_command(struct command_context *c)
{
    return set_for_a_time(c, true);
}

enum status psetex_command(struct command_context *c)
{
    return set_for_a_time(c, false);
}

enum status setnx_command(struct command_context *c)
{
    struct object old;
    enum status status = keyspace_find(c->access, c->arguments[1], &old);
    if (status != STATUS_NOT_FOUND)
        return status ? status : reply_integer(c, 0);
    string_set(c->access, c->arguments[1], c->arguments[2], NULL, &(struct string_set_options){0});
    return reply_integer(c, 1);
}

enum status getset_command(struct command_context *c)
{
    struct object object;
    enum status status =
        command_lookup(c, keyspace_find_type(c->access, c->arguments[1], OBJECT_STRING, &object));
    struct object *old = status ? NULL : &object;
    if (!status || status == STATUS_NOT_FOUND)
        status = reply_old_value(c, old);
    if (status)
        return status;
    string_set(c->access, c->arguments[1], c->arguments[2], old, &(struct string_set_options){0});
    return STATUS_OK;
}

static void delete_string(struct command_context *c, const struct object *object)
{
    keyspace_remove(c->access, c->arguments[1], object);
    access_fact(c->access, 'g', "del", c->arguments[1]);
}

enum status getdel_command(struct command_context *c)
{
    struct object object;
    enum status status =
        command_lookup(c, keyspace_find_type(c->access, c->arguments[1], OBJECT_STRING, &object));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (!status)
        status = reply_old_string(c, &object);
    if (!status)
        delete_string(c, &object);
    return status;
}

/* What GETEX does to the time: `expire_ms` 0 is PERSIST. One that is over is in the past already. */
static void change_time(struct command_context *c, const struct object *object, bool is_absolute,
                        uint64_t expire_ms)
{
    struct slice key = c->arguments[1];
    if (is_absolute && expire_ms <= c->now_ms) {
        delete_string(c, object);
    } else if (expire_ms > 0 || object->expire_ms > 0) {
        keyspace_set_expire(c->access, key, object, expire_ms);
        access_fact(c->access, 'g', expire_ms ? "expire" : "persist", key);
    }
}

enum status getex_command(struct command_context *c)
{
    struct time_request time = {0};
    bool persists = false;
    uint64_t expire_ms = 0;
    struct object object;
    for (size_t i = 2; i < c->count; i++) {
        if (!persists && parse_time_option(c, &i, &time))
            continue;
        if (time.index > 0 || !argument_is(c, i, "PERSIST"))
            return reply_syntax_error(c);
        persists = true;
    }
    enum status status =
        command_lookup(c, keyspace_find_type(c->access, c->arguments[1], OBJECT_STRING, &object));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (status)
        return status;
    if (time.index > 0 && !read_time(c, &time, &expire_ms))
        return STATUS_OK;
    status = reply_old_string(c, &object);
    if (!status && (persists || time.index > 0))
        change_time(c, &object, time.is_absolute, expire_ms);
    return status;
}

/* ---- Many keys --------------------------------------------------------------------------------- */

static void prefetch_some(struct command_context *c, size_t first)
{
    size_t left = c->count - first;
    if (left > 1)
        keyspace_prefetch_own(c->access, c->arguments + first,
                              left < KEYSPACE_PREFETCH_MAX ? left : KEYSPACE_PREFETCH_MAX);
}

enum status mget_command(struct command_context *c)
{
    resp_array(c->reply, c->count - 1);
    for (size_t i = 1; i < c->count; i++) {
        struct object object;
        if (i % KEYSPACE_PREFETCH_MAX == 1)
            prefetch_some(c, i);
        enum status status = command_lookup(
            c, keyspace_find_type(c->access, c->arguments[i], OBJECT_STRING, &object));
        if (status == STATUS_NOT_FOUND || status == STATUS_WRONG_TYPE)
            status = reply_null(c);
        else if (!status)
            status = reply_string(c, &object);
        if (!status)
            status = command_reply_check(c);
        if (status)
            return status;
        access_forget(c->access);
    }
    return STATUS_OK;
}

/* STATUS_OK and a negative *written: the error is answered. */
static enum status set_many(struct command_context *c, bool only_new, int *written)
{
    bool are_written = false;
    *written = -1;
    if (c->count % 2 == 0)
        return reply_wrong_arity(c);
    enum status status =
        string_set_many(c->access, c->arguments + 1, (c->count - 1) / 2, only_new, &are_written);
    if (!status)
        *written = are_written;
    return status;
}

enum status mset_command(struct command_context *c)
{
    int written;
    enum status status = set_many(c, false, &written);
    return status || written < 0 ? status : reply_ok(c);
}

enum status msetnx_command(struct command_context *c)
{
    int written;
    enum status status = set_many(c, true, &written);
    return status || written < 0 ? status : reply_integer(c, written);
}
