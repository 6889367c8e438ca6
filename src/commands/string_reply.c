/* SPDX-License-Identifier: MIT */
#include "commands/string_reply.h"

#include "commands/command_build.h"
#include "resp/resp_put.h"

static bool append_bytes(void *context, struct slice bytes, uint64_t zeros)
{
    struct buffer *out = context; /* has room */
    buffer_append_slice(out, bytes);
    memset(out->data + out->size, 0, zeros);
    out->size += zeros;
    return true;
}

static enum status reply_in_pieces(struct command_context *c, const struct object *object,
                                   uint64_t offset, uint64_t size)
{
    struct buffer *out = c->reply->out;
    uint64_t bytes = out->size - c->reply_start + size;
    enum status status =
        bytes > REPLY_UNCHECKED_BYTES ? command_reply_check_slowly(c, bytes) : STATUS_OK;
    if (!status)
        status = command_reply_reserve(c, size + RESP_BULK_EXTRA_BYTES);
    if (status)
        return status;
    resp_finish(c->reply, resp_put_header(out->data + out->size, '$', size));
    status =
        string_visit(c->access, object, offset, size, &(struct string_visitor){append_bytes, out});
    if (!status)
        resp_finish(c->reply, resp_put_line_end(out->data + out->size));
    return status;
}

enum status reply_string_part(struct command_context *c, const struct object *object,
                              uint64_t offset, uint64_t size)
{
    if (object->id == 0)
        return reply_bulk(c, slice_make(object->body.data + offset, size));
    return reply_in_pieces(c, object, offset, size);
}

enum status reply_string(struct command_context *c, const struct object *object)
{
    uint64_t length;
    enum status status = string_length(object, &length);
    return status ? status : reply_string_part(c, object, 0, length);
}

/* ---- The old value of a write ------------------------------------------------------------------ */

/* The reply is cut off, and stays where it is: nothing is written there until it is taken again. */
static enum status prepare_old_string(struct command_context *c)
{
    struct command_build *build = command_build_again(c);
    struct object object;
    command_build_begin_read(build);
    enum status status = keyspace_find_type(c->access, c->arguments[1], OBJECT_STRING, &object);
    bool is_other = status == STATUS_NOT_FOUND || status == STATUS_WRONG_TYPE;
    if (!status)
        status = reply_string(c, &object);
    access_end(c->access);
    build->is_made = !status;
    build->reply_bytes = c->reply->out->size - c->reply_start;
    c->reply->out->size = c->reply_start;
    return is_other ? STATUS_OK : status; /* the handler finds out */
}

enum status reply_old_string(struct command_context *c, const struct object *object)
{
    bool is_fresh = false;
    if (object->id == 0 || c->nowait ||
        !c->may_block) /* a loop hands it to a worker, where it is cold */
        return reply_string(c, object);
    if (!c->build)
        return command_prepare(c, prepare_old_string);
    enum status status = command_build_is_fresh(c, c->arguments[1], &is_fresh);
    if (status)
        return status;
    if (is_fresh && c->build->is_made) {
        c->reply->out->size = c->reply_start + c->build->reply_bytes;
        return STATUS_OK;
    }
    if (c->build->attempts < COMMAND_BUILD_ATTEMPTS_MAX)
        return command_prepare(c, prepare_old_string);
    return reply_string(c, object); /* it is written to all the time */
}

/* ---- Strings that are found -------------------------------------------------------------------- */

enum status find_string(struct command_context *c, size_t index, struct object *object,
                        uint64_t *length, bool *found)
{
    enum status status = command_lookup(
        c, keyspace_find_type(c->access, c->arguments[index], OBJECT_STRING, object));
    *found = status == STATUS_OK;
    *length = 0;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    return status ? status : string_length(object, length);
}

enum status find_old_string(struct command_context *c, size_t index, struct object *object,
                            uint64_t *length, struct object **old)
{
    enum status status = keyspace_find_type(c->access, c->arguments[index], OBJECT_STRING, object);
    *old = status ? NULL : object;
    *length = 0;
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    return status ? status : string_length(object, length);
}

enum status check_string_end(struct command_context *c, uint64_t offset, uint64_t size)
{
    uint64_t limit =
        (uint64_t)config_integer(service_config(c->service), CONFIG_proto_max_bulk_len);
    return offset > limit || size > limit - offset ? STATUS_TOO_LARGE : STATUS_OK;
}
