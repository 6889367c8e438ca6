/* SPDX-License-Identifier: MIT */
/* COPY and MOVE. The parts of an object have its database's generation in their keys, so a key that moves to
 * another database is copied there and deleted here, in one batch. A large object is copied before that
 * batch, see command_build.h: a moved one must not have changed since; a copy may be that of a moment within
 * the command, if the source is written to so often that it never rests. */
#include "commands/command_build.h"
#include "types/object_copy.h"

static bool argument_database(struct command_context *c, size_t index, unsigned *database)
{
    int64_t number = 0;
    if (!argument_integer(c, index, &number))
        return false;
    if (number < INT32_MIN || number > INT32_MAX) {
        reply_error(c, "ERR value is out of range, value must between -2147483648 and 2147483647");
        return false;
    }
    if (number < 0 || (uint64_t)number >= store_database_count(service_store(c->service))) {
        reply_error(c, "ERR DB index is out of range");
        return false;
    }
    *database = (unsigned)number;
    return true;
}

static enum status reply_same(struct command_context *c)
{
    return reply_error(c, "ERR source and destination objects are the same");
}

/* ---- A large object: prepare ------------------------------------------------------------------- */

/* The source as it is at the snapshot, to the end of one batch after the other. */
static enum status copy_batches(struct command_context *c, struct object_copy *copy)
{
    enum status status = STATUS_OK;
    bool done = false;
    while (!status && !done) {
        access_begin_read_at(c->access, c->database, c->build->snapshot);
        status = object_copy_step(copy, c->access, &c->build->object, &done);
        access_end(c->access);
        if (!status && !done)
            status = command_build_spill(c->build);
    }
    return status;
}

/* What goes away meanwhile, the handler finds out. */
static enum status prepare_copy(struct command_context *c, unsigned database)
{
    struct command_build *build = command_build_again(c);
    struct object_copy copy = {0};
    struct object object;
    command_build_begin_read(build);
    enum status status = keyspace_find(c->access, c->arguments[1], &object);
    bool has_parts = !status && object.id != 0;
    if (has_parts) {
        build->type = object.type;
        buffer_append_slice(&build->body, object.body);
        object_copy_begin(&copy, c->access, &object);
        status = command_build_begin(build, c->access, database);
    }
    access_end(c->access);
    if (has_parts && !status)
        status = copy_batches(c, &copy);
    build->has_parts = has_parts;
    build->is_made = has_parts && !status;
    object_copy_release(&copy);
    return status == STATUS_NOT_FOUND || status == STATUS_CONFLICT ? STATUS_OK : status;
}

/* ---- The copy, within the handler ---------------------------------------------------------------- */

/* An object under arguments[1] of c->database, and where it goes. Until `link_copy` nothing is written. */
struct copying {
    unsigned database;
    bool replaces;
    bool must_be_fresh;
    enum status (*prepare)(struct command_context *c);
    struct object object;
    struct object_build small; /* not begun: the object has no parts, or c->build has them */
};

/* Reads the parts of a small object. STATUS_TOO_LARGE: it is none. */
static enum status read_small(struct command_context *c, struct copying *copying)
{
    struct object_copy copy;
    bool done = false;
    (void)access_select(c->access, c->database); /* cannot fail in a write access */
    object_copy_begin(&copy, c->access, &copying->object);
    (void)access_select(c->access, copying->database);
    object_build_begin(&copying->small, c->access, true);
    enum status status = object_copy_step(&copy, c->access, &copying->small, &done);
    if (!status && !done)
        status = STATUS_TOO_LARGE;
    if (status)
        object_build_release(&copying->small);
    object_copy_release(&copy);
    return status;
}

/* Whether the parts that prepare_copy has written are the object's still. */
static enum status check_prepared(struct command_context *c, const struct copying *copying)
{
    struct command_build *build = c->build;
    bool is_fresh = false;
    (void)access_select(c->access, c->database);
    enum status status = command_build_is_fresh(c, c->arguments[1], &is_fresh);
    (void)access_select(c->access, copying->database);
    if (status)
        return status;
    bool is_last = build->attempts == COMMAND_BUILD_ATTEMPTS_MAX;
    bool may_be_old = is_last && !copying->must_be_fresh;
    if (build->is_made && object_build_is_current(&build->object, c->access) &&
        (is_fresh || may_be_old))
        return STATUS_OK;
    if (!is_last)
        return command_prepare(c, copying->prepare);
    build->error =
        "ERR the key is written to too often, or its database is emptied or swapped: try "
        "again later";
    return STATUS_BUSY;
}

static enum status get_parts(struct command_context *c, struct copying *copying)
{
    if (copying->object.id == 0)
        return STATUS_OK;
    if (c->build)
        return check_prepared(c, copying);
    enum status status = read_small(c, copying);
    return status == STATUS_TOO_LARGE ? command_prepare(c, copying->prepare) : status;
}

/* All reads. *is_done: there is nothing to copy, or no place for it. The target's database is selected. */
static enum status begin_copy(struct command_context *c, struct slice to, struct copying *copying,
                              bool *is_done)
{
    struct object old;
    enum status status = keyspace_find(c->access, c->arguments[1], &copying->object);
    if (!copying->must_be_fresh)         /* MOVE looks for what it will change */
        (void)command_lookup(c, status); /* the same */
    *is_done = status == STATUS_NOT_FOUND;
    if (status)
        return *is_done ? STATUS_OK : status;
    (void)access_select(c->access, copying->database);
    status = keyspace_peek(c->access, to, &old);
    *is_done = status == STATUS_OK && !copying->replaces;
    if (*is_done || (status && status != STATUS_NOT_FOUND))
        return status;
    return get_parts(c, copying);
}

/* Writes parts and header; nothing fails any more but the look at what `to` held, which comes first. */
static enum status link_copy(struct command_context *c, struct slice to, struct copying *copying)
{
    struct object old, copied = copying->object;
    enum status status = keyspace_find(c->access, to, &old);
    bool is_new = status == STATUS_NOT_FOUND;
    if (is_new || !status) {
        if (copying->small.store)
            copied.id = object_build_link(&copying->small, c->access);
        else if (copied.id)
            command_build_link(c, &copied);
        keyspace_put(c->access, to, &copied, is_new ? NULL : &old);
        if (!is_new)
            access_fact_new(c->access, to);
    }
    object_build_release(&copying->small);
    return is_new ? STATUS_OK : status;
}

/* ---- COPY --------------------------------------------------------------------------------------- */

struct copy_request {
    unsigned database;
    bool replaces;
};

static bool parse_copy(struct command_context *c, struct copy_request *request)
{
    request->database = c->database;
    request->replaces = false;
    for (size_t i = 3; i < c->count; i++) {
        if (argument_is(c, i, "REPLACE")) {
            request->replaces = true;
        } else if (argument_is(c, i, "DB") && i + 1 < c->count) {
            if (!argument_database(c, ++i, &request->database))
                return false;
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

static enum status copy_prepare(struct command_context *c)
{
    struct copy_request request;
    (void)parse_copy(c, &request); /* has succeeded before */
    return prepare_copy(c, request.database);
}

enum status copy_command(struct command_context *c)
{
    struct copy_request request;
    struct slice from = c->arguments[1], to = c->arguments[2];
    bool is_done = false;
    if (!parse_copy(c, &request))
        return STATUS_OK;
    if (request.database == c->database && slice_equal(from, to))
        return reply_same(c);
    struct copying copying = {
        .database = request.database, .replaces = request.replaces, .prepare = copy_prepare};
    enum status status = begin_copy(c, to, &copying, &is_done);
    if (is_done)
        return reply_integer(c, 0);
    if (!status)
        status = link_copy(c, to, &copying);
    if (status)
        return status;
    access_fact(c->access, 'g', "copy_to", to);
    return reply_integer(c, 1);
}

/* ---- MOVE --------------------------------------------------------------------------------------- */

static enum status move_prepare(struct command_context *c)
{
    unsigned database = 0;
    (void)argument_database(c, 2, &database); /* has succeeded before */
    return prepare_copy(c, database);
}

enum status move_command(struct command_context *c)
{
    struct slice key = c->arguments[1];
    struct copying copying = {.must_be_fresh = true, .prepare = move_prepare};
    bool is_done = false;
    if (!argument_database(c, 2, &copying.database))
        return STATUS_OK;
    if (copying.database == c->database)
        return reply_same(c);
    enum status status = begin_copy(c, key, &copying, &is_done);
    if (is_done)
        return reply_integer(c, 0);
    if (!status)
        status = link_copy(c, key, &copying);
    if (status)
        return status;
    (void)access_select(c->access, c->database);
    keyspace_remove(c->access, key, &copying.object);
    access_fact(c->access, 'g', "move_from", key);
    (void)access_select(c->access, copying.database);
    access_fact(c->access, 'g', "move_to", key);
    return reply_integer(c, 1);
}
