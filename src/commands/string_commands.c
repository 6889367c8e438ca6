/* SPDX-License-Identifier: MIT */
/* The string family: SET and GET. */
#include "commands/string_reply.h"

enum set_condition { SET_ALWAYS, SET_IF_MISSING, SET_IF_EXISTING };

struct set_request {
    enum set_condition condition;
    bool keep_ttl, get;
    size_t expire_index; /* of the time's argument; 0: none */
    bool in_seconds, is_absolute;
};

/* One option at *i; false: it does not fit what came before. */
static bool parse_set_option(const struct command_context *c, size_t *i,
                             struct set_request *request)
{
    bool has_time = request->expire_index > 0 || request->keep_ttl;
    if (argument_is(c, *i, "NX") && request->condition != SET_IF_EXISTING) {
        request->condition = SET_IF_MISSING;
    } else if (argument_is(c, *i, "XX") && request->condition != SET_IF_MISSING) {
        request->condition = SET_IF_EXISTING;
    } else if (argument_is(c, *i, "GET")) {
        request->get = true;
    } else if (argument_is(c, *i, "KEEPTTL") && request->expire_index == 0) {
        request->keep_ttl = true;
    } else if (*i + 1 < c->count && !has_time &&
               (argument_is(c, *i, "EX") || argument_is(c, *i, "PX") ||
                argument_is(c, *i, "EXAT") || argument_is(c, *i, "PXAT"))) {
        request->in_seconds = c->arguments[*i].data[0] == 'E' || c->arguments[*i].data[0] == 'e';
        request->is_absolute = c->arguments[*i].size == 4;
        request->expire_index = ++*i;
    } else {
        return false;
    }
    return true;
}

/* The time in unix milliseconds; false: the error is answered. */
static bool parse_set_time(struct command_context *c, const struct set_request *request,
                           uint64_t *expire_ms)
{
    int64_t time = 0;
    if (!argument_integer(c, request->expire_index, &time))
        return false;
    bool is_valid = time > 0 && !(request->in_seconds && time > INT64_MAX / 1000);
    if (is_valid && request->in_seconds)
        time *= 1000;
    int64_t base = request->is_absolute ? 0 : (int64_t)c->now_ms;
    if (!is_valid || time > INT64_MAX - base) {
        reply_error(c, "ERR invalid expire time in 'set' command");
        return false;
    }
    *expire_ms = (uint64_t)(time + base);
    return true;
}

/* SET ... GET: the old value, before anything is written. */
static enum status reply_old_value(struct command_context *c, const struct object *old)
{
    if (!old)
        return reply_null(c);
    return old->type == OBJECT_STRING ? reply_string(c, old) : STATUS_WRONG_TYPE;
}

enum status set_command(struct command_context *c)
{
    struct set_request request = {0};
    struct string_set_options options = {0};
    for (size_t i = 3; i < c->count; i++)
        if (!parse_set_option(c, &i, &request))
            return reply_syntax_error(c);
    if (request.expire_index > 0 && !parse_set_time(c, &request, &options.expire_ms))
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
