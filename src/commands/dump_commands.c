/* SPDX-License-Identifier: MIT */
/* DUMP and RESTORE: values as bytes that another server takes. A payload of up to 64 KiB whose value is small too
 * is restored under the lock; others are built before (command_build.h). */
#include "commands/command_build.h"
#include "commands/service_state.h"
#include "types/rdb_dump.h"
#include "types/rdb_load.h"
#include "types/rdb_restore.h"
#include "types/string.h"

enum {
    LOCKED_PAYLOAD_BYTES_MAX = 64 * 1024,
    BULK_HEAD_BYTES = 32, /* "$", digits, the line's end; more than enough */
    FREQ_MAX = 255,
    EXPANSION_MAX = 1000, /* of a payload */
    EXPANSION_BYTES_FREE = 1 << 20,
};

static const char bad_footer[] = "ERR DUMP payload version or checksum are wrong";
static const char bad_data[] = "ERR Bad data format";
static const char other_type[] =
    "ERR the payload is a set, a hash, a sorted set or a module's value: only strings, lists and "
    "streams are restored here";

/* ---- DUMP --------------------------------------------------------------------------------------- */

static enum status check_reply(void *context)
{
    return command_reply_check(context);
}

/* The head of a bulk is known when all of it is there: then it takes its place in front. */
static enum status reply_dump(struct command_context *c, const struct object *object)
{
    struct buffer *out = c->reply->out;
    uint8_t gap[BULK_HEAD_BYTES] = {0};
    struct buffer head = {0};
    size_t start = out->size;
    buffer_append(out, gap, sizeof gap);
    enum status status = rdb_dump(c->access, c->arguments[1], object, out, check_reply, c);
    if (status)
        return status;
    size_t size = out->size - start - sizeof gap;
    buffer_printf(&head, "$%zu\r\n", size);
    memcpy(out->data + start, head.data, head.size);
    memmove(out->data + start + head.size, out->data + start + sizeof gap, size);
    out->size = start + head.size + size;
    buffer_append_text(out, "\r\n");
    buffer_release(&head);
    return STATUS_OK;
}

enum status dump_command(struct command_context *c)
{
    struct object object;
    uint64_t length = 0;
    enum status status = command_lookup(c, keyspace_find(c->access, c->arguments[1], &object));
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (!status && object.type == OBJECT_STRING)
        status = string_length(&object, &length);
    if (!status && length > REPLY_UNCHECKED_BYTES)
        status = command_reply_check_slowly(c, length); /* before it is put together */
    return status ? status : reply_dump(c, &object);
}

/* ---- RESTORE ------------------------------------------------------------------------------------ */

struct restore_request {
    bool replaces, is_absolute;
    bool has_idletime, has_freq;
    uint64_t expire_ms; /* 0: never */
    bool is_over;       /* the time has come already */
};

static bool parse_number_option(struct command_context *c, size_t index, int64_t maximum,
                                const char *error)
{
    int64_t number = 0;
    if (!argument_integer(c, index, &number))
        return false;
    if (number >= 0 && number <= maximum)
        return true;
    reply_error(c, error);
    return false;
}

/* false: the error is answered. */
static bool parse_restore(struct command_context *c, struct restore_request *request)
{
    *request = (struct restore_request){0};
    for (size_t i = 4; i < c->count; i++) {
        bool has_value = i + 1 < c->count;
        if (argument_is(c, i, "REPLACE")) {
            request->replaces = true;
        } else if (argument_is(c, i, "ABSTTL")) {
            request->is_absolute = true;
        } else if (argument_is(c, i, "IDLETIME") && has_value && !request->has_freq) {
            request->has_idletime = true;
            if (!parse_number_option(c, ++i, INT64_MAX, "ERR Invalid IDLETIME value, must be >= 0"))
                return false;
        } else if (argument_is(c, i, "FREQ") && has_value && !request->has_idletime) {
            request->has_freq = true;
            if (!parse_number_option(c, ++i, FREQ_MAX,
                                     "ERR Invalid FREQ value, must be >= 0 and <= 255"))
                return false;
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

/* A time beyond all times wraps around in Redis and is over; so it is here. */
static bool parse_restore_time(struct command_context *c, struct restore_request *request)
{
    int64_t time = 0;
    if (!argument_integer(c, 2, &time))
        return false;
    if (time < 0) {
        reply_error(c, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    if (time == 0)
        return true;
    uint64_t when = (uint64_t)time + (request->is_absolute ? 0 : c->now_ms);
    request->is_over = when <= c->now_ms || when > INT64_MAX;
    request->expire_ms = when;
    return true;
}

/* A status that the payload is to blame for, as an error; NULL: it is another one. */
static const char *payload_error(enum status status)
{
    switch (status) {
    case STATUS_CORRUPT:
        return bad_footer;
    case STATUS_INVALID:
        return bad_data;
    case STATUS_WRONG_TYPE:
        return other_type;
    default:
        return NULL;
    }
}

static enum status restore_into(struct command_context *c, struct object_build *object,
                                struct rdb_restored *restored)
{
    struct slice value = {0};
    enum status status = rdb_open(c->arguments[3], &value);
    uint64_t bytes_max = EXPANSION_BYTES_FREE + (uint64_t)EXPANSION_MAX * value.size;
    if (!status)
        status = rdb_restore(value, bytes_max, object, restored);
    if (!status && restored->groups_left_out > 0)
        env_log(c->service->env, LOG_NOTICE,
                "RESTORE: a stream comes without its %llu consumer groups, which are not there yet",
                (unsigned long long)restored->groups_left_out);
    return status;
}

static enum status restore_prepare(struct command_context *c)
{
    struct command_build *build = command_build_again(c);
    struct rdb_restored restored = {0};
    access_begin_read(c->access, c->database, false);
    enum status status = command_build_begin(build, c->access, c->database);
    access_end(c->access);
    if (!status)
        status = restore_into(c, &build->object, &restored);
    if (!status) {
        build->type = restored.type;
        build->has_parts = restored.has_parts;
        build->body = restored.body;
        restored.body = (struct buffer){0};
        build->is_made = true;
    }
    rdb_restored_release(&restored);
    if (payload_error(status))
        build->error = payload_error(status);
    return status == STATUS_CONFLICT ? STATUS_OK : status;
}

/* What was restored, in c->build or here. */
struct restoring {
    struct object_build small; /* not begun: c->build has it */
    struct rdb_restored restored;
};

/* STATUS_TOO_LARGE: it is to be prepared. */
static enum status restore_small(struct command_context *c, struct restoring *restoring)
{
    if (c->arguments[3].size > LOCKED_PAYLOAD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    object_build_begin(&restoring->small, c->access, true);
    return restore_into(c, &restoring->small, &restoring->restored);
}

static enum status check_restored(struct command_context *c)
{
    struct command_build *build = c->build;
    if (build->is_made && object_build_is_current(&build->object, c->access))
        return STATUS_OK;
    if (build->attempts < COMMAND_BUILD_ATTEMPTS_MAX)
        return command_prepare(c, restore_prepare);
    build->error = "ERR the database is emptied or swapped again and again: try again later";
    return STATUS_BUSY;
}

/* Takes the key's place; nothing fails behind the look at what is there. */
static enum status link_restored(struct command_context *c, struct restoring *restoring,
                                 const struct restore_request *request)
{
    struct slice key = c->arguments[1];
    struct object old, object = {.type = restoring->restored.type};
    enum status status = keyspace_find(c->access, key, &old);
    bool is_new = status == STATUS_NOT_FOUND;
    if (status && !is_new)
        return status;
    if (request->is_over) {
        if (is_new)
            return STATUS_OK;
        keyspace_remove(c->access, key, &old);
        access_fact(c->access, 'g', "del", key);
        return STATUS_OK;
    }
    if (restoring->small.store) {
        object.body = buffer_slice(&restoring->restored.body);
        if (restoring->restored.has_parts)
            object.id = object_build_link(&restoring->small, c->access);
    } else {
        command_build_link(c, &object);
    }
    object.expire_ms = request->expire_ms;
    keyspace_put(c->access, key, &object, is_new ? NULL : &old);
    if (!is_new)
        access_fact_new(c->access, key);
    access_fact(c->access, 'g', "restore", key);
    return STATUS_OK;
}

/* Redis's order: the options, whether the key is free, the time, the payload. */
enum status restore_command(struct command_context *c)
{
    struct restore_request request;
    struct restoring restoring = {0};
    struct object old;
    if (!parse_restore(c, &request))
        return STATUS_OK;
    enum status status = keyspace_peek(c->access, c->arguments[1], &old);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (!status && !request.replaces)
        return reply_error(c, "BUSYKEY Target key name already exists.");
    if (!parse_restore_time(c, &request))
        return STATUS_OK;
    status = c->build ? check_restored(c) : restore_small(c, &restoring);
    const char *error = c->build ? NULL : payload_error(status);
    if (status == STATUS_TOO_LARGE && !c->build)
        status = command_prepare(c, restore_prepare);
    if (!status)
        status = link_restored(c, &restoring, &request);
    object_build_release(&restoring.small);
    rdb_restored_release(&restoring.restored);
    if (error)
        return reply_error(c, error);
    return status ? status : reply_ok(c);
}
