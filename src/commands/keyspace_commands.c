/* SPDX-License-Identifier: MIT */
/* The family of keys, whatever they hold: DEL UNLINK EXISTS TOUCH TYPE EXPIRE... TTL... PERSIST RENAME
 * RENAMENX SCAN KEYS RANDOMKEY. */
#include "types/keyspace.h"

#include "commands/glob.h"
#include "commands/service_state.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum {
    SCAN_COUNT_DEFAULT = 10,
    SCAN_COUNT_MAX = 1 << 20,
    CURSOR_BYTES_MAX = 64,
    KEYS_ON_A_LOOP_MAX = 10000, /* KEYS over more keys than this goes to a worker */
};

/* ---- DEL, EXISTS, TOUCH, TYPE, RENAME
 * ---------------------------------------------------------------- */

enum status del_command(struct command_context *c)
{
    uint64_t count = 0;
    bool deleted = false;
    if (c->count > 2) {
        enum status status =
            keyspace_delete_many(c->access, c->arguments + 1, c->count - 1, &count);
        return status ? status : reply_integer(c, (int64_t)count);
    }
    enum status status = keyspace_delete(c->access, c->arguments[1], &deleted);
    return status ? status : reply_integer(c, deleted);
}

enum status exists_command(struct command_context *c)
{
    int64_t count = 0;
    struct object object;
    for (size_t i = 1; i < c->count; i++) {
        enum status status = command_lookup(c, keyspace_find(c->access, c->arguments[i], &object));
        if (status && status != STATUS_NOT_FOUND)
            return status;
        count += status == STATUS_OK;
    }
    return reply_integer(c, count);
}

/* No access is noted anywhere: what remains of TOUCH is the count. */
enum status touch_command(struct command_context *c)
{
    return exists_command(c);
}

static const char *type_name(enum object_type type)
{
    switch (type) {
    case OBJECT_STRING:
        return "string";
    case OBJECT_LIST:
        return "list";
    case OBJECT_STREAM:
        return "stream";
    }
    return "none";
}

enum status type_command(struct command_context *c)
{
    struct object object;
    enum status status = command_lookup(c, keyspace_find(c->access, c->arguments[1], &object));
    if (status && status != STATUS_NOT_FOUND)
        return status;
    resp_simple(c->reply, status ? "none" : type_name(object.type));
    return STATUS_OK;
}

enum status rename_command(struct command_context *c)
{
    enum status status = keyspace_rename(c->access, c->arguments[1], c->arguments[2]);
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR no such key");
    return status ? status : reply_ok(c);
}

enum status renamenx_command(struct command_context *c)
{
    struct object object, target;
    enum status status = keyspace_find(c->access, c->arguments[1], &object);
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR no such key");
    if (!status)
        status = keyspace_find(c->access, c->arguments[2], &target);
    if (status == STATUS_NOT_FOUND)
        status = keyspace_rename(c->access, c->arguments[1], c->arguments[2]);
    else if (!status)
        return reply_integer(c, 0);
    return status ? status : reply_integer(c, 1);
}

/* ---- Time to live
 * -------------------------------------------------------------------------------- */

struct expire_condition {
    bool nx, xx, gt, lt;
};

static bool parse_expire_condition(struct command_context *c, struct expire_condition *condition)
{
    for (size_t i = 3; i < c->count; i++) {
        if (argument_is(c, i, "NX")) {
            condition->nx = true;
        } else if (argument_is(c, i, "XX")) {
            condition->xx = true;
        } else if (argument_is(c, i, "GT")) {
            condition->gt = true;
        } else if (argument_is(c, i, "LT")) {
            condition->lt = true;
        } else {
            reply_errorf(c, "ERR Unsupported option %.*s", ARGUMENT_SHOWN(c, i));
            return false;
        }
    }
    if (condition->nx && (condition->xx || condition->gt || condition->lt)) {
        reply_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (condition->gt && condition->lt) {
        reply_error(c, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* A key without a time lives for ever, which is later than any time. */
static bool expire_condition_holds(const struct expire_condition *condition,
                                   const struct object *object, int64_t when)
{
    bool has_time = object->expire_ms > 0;
    if ((condition->nx && has_time) || (condition->xx && !has_time))
        return false;
    if (condition->gt && (!has_time || when <= (int64_t)object->expire_ms))
        return false;
    return !(condition->lt && has_time && when >= (int64_t)object->expire_ms);
}

static enum status expire(struct command_context *c, bool in_seconds, bool is_absolute)
{
    struct expire_condition condition = {0};
    int64_t when = 0, base = is_absolute ? 0 : (int64_t)c->now_ms;
    if (!parse_expire_condition(c, &condition) || !argument_integer(c, 2, &when))
        return STATUS_OK;
    bool is_valid = !in_seconds || (when <= INT64_MAX / 1000 && when >= INT64_MIN / 1000);
    if (is_valid && in_seconds)
        when *= 1000;
    if (!is_valid || when > INT64_MAX - base)
        return reply_errorf(c, "ERR invalid expire time in '%s' command", c->command->name);
    when += base;

    struct object object;
    enum status status = keyspace_find(c->access, c->arguments[1], &object);
    if (status)
        return status == STATUS_NOT_FOUND ? reply_integer(c, 0) : status;
    if (!expire_condition_holds(&condition, &object, when))
        return reply_integer(c, 0);
    if (when <= (int64_t)c->now_ms) {
        keyspace_remove(c->access, c->arguments[1], &object);
        access_fact(c->access, 'g', "del", c->arguments[1]);
    } else {
        keyspace_set_expire(c->access, c->arguments[1], &object, (uint64_t)when);
        access_fact(c->access, 'g', "expire", c->arguments[1]);
    }
    return reply_integer(c, 1);
}

enum status expire_command(struct command_context *c)
{
    return expire(c, true, false);
}

enum status pexpire_command(struct command_context *c)
{
    return expire(c, false, false);
}

enum status expireat_command(struct command_context *c)
{
    return expire(c, true, true);
}

enum status pexpireat_command(struct command_context *c)
{
    return expire(c, false, true);
}

/* TTL and its kin: what is left, or when it is over. */
static enum status reply_time(struct command_context *c, bool in_seconds, bool is_absolute)
{
    struct object object;
    enum status status = command_lookup(c, keyspace_find(c->access, c->arguments[1], &object));
    if (status == STATUS_NOT_FOUND)
        return reply_integer(c, -2);
    if (status)
        return status;
    if (object.expire_ms == 0)
        return reply_integer(c, -1);
    uint64_t time = object.expire_ms; /* not before now: it would not be found */
    if (!is_absolute)
        time -= c->now_ms;
    return reply_integer(c, (int64_t)(in_seconds ? (time + 500) / 1000 : time));
}

enum status ttl_command(struct command_context *c)
{
    return reply_time(c, true, false);
}

enum status pttl_command(struct command_context *c)
{
    return reply_time(c, false, false);
}

enum status expiretime_command(struct command_context *c)
{
    return reply_time(c, true, true);
}

enum status pexpiretime_command(struct command_context *c)
{
    return reply_time(c, false, true);
}

enum status persist_command(struct command_context *c)
{
    struct object object;
    enum status status = keyspace_find(c->access, c->arguments[1], &object);
    if (status && status != STATUS_NOT_FOUND)
        return status;
    if (status == STATUS_NOT_FOUND || object.expire_ms == 0)
        return reply_integer(c, 0);
    keyspace_set_expire(c->access, c->arguments[1], &object, 0);
    access_fact(c->access, 'g', "persist", c->arguments[1]);
    return reply_integer(c, 1);
}

/* ---- SCAN, KEYS, RANDOMKEY
 * ----------------------------------------------------------------------- */

struct scan {
    struct command_context *c;
    struct resp_writer *reply;
    size_t start;         /* of the keys in the writer's buffer */
    enum status status;   /* of command_reply_check; nothing is shown any more */
    struct slice pattern; /* data NULL: all */
    struct slice type;    /* data NULL: any */
    size_t found;
};

static void scan_key(void *context, struct slice key, const struct object *object)
{
    struct scan *scan = context;
    if (scan->status)
        return;
    if (scan->type.data && !slice_equal_nocase(scan->type, type_name(object->type)))
        return;
    if (scan->pattern.data && !glob_matches(scan->pattern, key, false))
        return;
    resp_bulk(scan->reply, key);
    scan->found++;
    size_t bytes = scan->reply->out->size - scan->start;
    if (scan->reply->out->failed)
        scan->status = STATUS_NO_MEMORY;
    else if (bytes > REPLY_UNCHECKED_BYTES)
        scan->status = command_reply_check_slowly(scan->c, bytes);
}

/* As Redis: whatever strtoul takes. */
static bool parse_cursor(struct slice text, uint64_t *cursor)
{
    char copy[CURSOR_BYTES_MAX];
    char *end = NULL;
    if (text.size >= sizeof copy || (text.size > 0 && isspace(text.data[0])))
        return false;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    errno = 0;
    *cursor = strtoull(copy, &end, 10);
    return end == copy + text.size && errno == 0;
}

/* The options behind the cursor; false: the error is answered. */
static bool parse_scan(struct command_context *c, struct scan *scan, int64_t *count)
{
    for (size_t i = 2; i < c->count; i += 2) {
        bool has_value = i + 1 < c->count;
        if (argument_is(c, i, "COUNT") && has_value) {
            if (!argument_integer(c, i + 1, count))
                return false;
            if (*count < 1) {
                reply_syntax_error(c);
                return false;
            }
        } else if (argument_is(c, i, "MATCH") && has_value) {
            scan->pattern = c->arguments[i + 1];
        } else if (argument_is(c, i, "TYPE") && has_value) {
            scan->type = c->arguments[i + 1];
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

enum status scan_command(struct command_context *c)
{
    uint64_t cursor = 0, next = 0;
    int64_t count = SCAN_COUNT_DEFAULT;
    struct scan scan = {.c = c};
    if (!parse_cursor(c->arguments[1], &cursor))
        return reply_error(c, "ERR invalid cursor");
    if (!parse_scan(c, &scan, &count))
        return STATUS_OK;
    if (c->nowait && count > KEYS_ON_A_LOOP_MAX)
        return STATUS_WOULD_BLOCK;

    struct buffer keys = {.may_fail = true};
    struct resp_writer writer = {.out = &keys, .protocol = c->reply->protocol};
    scan.reply = &writer;
    size_t limit = count < SCAN_COUNT_MAX ? (size_t)count : SCAN_COUNT_MAX;
    enum status status = keyspace_scan(c->access, cursor, limit, &next, scan_key, &scan);
    if (status == STATUS_OK)
        status = scan.status;
    if (status == STATUS_OK) {
        resp_array(c->reply, 2);
        resp_bulk_u64(c->reply, next);
        resp_array(c->reply, scan.found);
        buffer_append_slice(c->reply->out, buffer_slice(&keys));
    }
    buffer_release(&keys);
    return status;
}

enum status keys_command(struct command_context *c)
{
    uint64_t key_count = 0, expires = 0, cursor = 0;
    enum status status = keyspace_count(c->access, &key_count, &expires);
    if (status)
        return status;
    if (c->nowait && key_count > KEYS_ON_A_LOOP_MAX)
        return STATUS_WOULD_BLOCK;
    struct scan scan = {
        .c = c, .reply = c->reply, .start = c->reply_start, .pattern = c->arguments[1]};
    size_t mark = resp_deferred_expecting(c->reply, key_count);
    do {
        status = keyspace_scan(c->access, cursor, SCAN_COUNT_MAX, &cursor, scan_key, &scan);
        if (!status)
            status = scan.status;
        if (status)
            return status;
    } while (cursor != 0);
    resp_deferred_array(c->reply, mark, scan.found);
    return STATUS_OK;
}

static void reply_key(void *context, struct slice key, const struct object *object)
{
    struct command_context *c = context;
    (void)object;
    resp_bulk(c->reply, key);
}

enum status randomkey_command(struct command_context *c)
{
    const struct env *env = c->service->env;
    uint64_t random[2];
    env->random_bytes(env->context, random, sizeof random);
    enum status status = keyspace_random(c->access, random, reply_key, c);
    return status == STATUS_NOT_FOUND ? reply_null(c) : status;
}
