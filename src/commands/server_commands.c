/* SPDX-License-Identifier: MIT */
/* The server family: DBSIZE FLUSHDB FLUSHALL SWAPDB TIME SHUTDOWN. INFO, CONFIG, COMMAND and DEBUG
 * have files of their own. */
#include "commands/service_state.h"
#include "types/keyspace.h"

enum status dbsize_command(struct command_context *c)
{
    uint64_t keys = 0, expires = 0;
    enum status status = keyspace_count(c->access, &keys, &expires);
    return status ? status : reply_integer(c, (int64_t)keys);
}

/* ASYNC or SYNC: a flush takes the same short time either way. */
static bool parse_flush(struct command_context *c)
{
    if (c->count == 1 ||
        (c->count == 2 && (argument_is(c, 1, "ASYNC") || argument_is(c, 1, "SYNC"))))
        return true;
    reply_syntax_error(c);
    return false;
}

enum status flushdb_command(struct command_context *c)
{
    if (!parse_flush(c))
        return STATUS_OK;
    enum status status = keyspace_flush(c->access, c->database);
    if (status)
        return status;
    touched_databases_add(&c->session->touched, c->database);
    return reply_ok(c);
}

enum status flushall_command(struct command_context *c)
{
    if (!parse_flush(c))
        return STATUS_OK;
    enum status status = keyspace_flush_all(c->access);
    if (status)
        return status;
    c->session->touched.extent = TOUCHED_ALL;
    return reply_ok(c);
}

enum status swapdb_command(struct command_context *c)
{
    int64_t a = 0, b = 0, count = store_database_count(c->access->store);
    if (!slice_parse_integer(c->arguments[1], &a))
        return reply_error(c, "ERR invalid first DB index");
    if (!slice_parse_integer(c->arguments[2], &b))
        return reply_error(c, "ERR invalid second DB index");
    if (a < 0 || a >= count || b < 0 || b >= count)
        return reply_error(c, "ERR DB index is out of range");
    keyspace_swap(c->access, (unsigned)a, (unsigned)b);
    touched_databases_add(&c->session->touched, (unsigned)a);
    touched_databases_add(&c->session->touched, (unsigned)b);
    return reply_ok(c);
}

enum status time_command(struct command_context *c)
{
    uint64_t now_ms = env_wall_ms(c->service->env);
    resp_array(c->reply, 2);
    resp_bulk_u64(c->reply, now_ms / 1000);
    resp_bulk_u64(c->reply, now_ms % 1000 * 1000);
    return STATUS_OK;
}

/* Every acknowledged write is in the log, so SAVE and NOSAVE mean the same, and so does FORCE. */
enum status shutdown_command(struct command_context *c)
{
    bool save = false, nosave = false, now = false, force = false, abort_it = false;
    for (size_t i = 1; i < c->count; i++) {
        if (argument_is(c, i, "NOSAVE"))
            nosave = true;
        else if (argument_is(c, i, "SAVE"))
            save = true;
        else if (argument_is(c, i, "NOW"))
            now = true;
        else if (argument_is(c, i, "FORCE"))
            force = true;
        else if (argument_is(c, i, "ABORT"))
            abort_it = true;
        else
            return reply_syntax_error(c);
    }
    if ((abort_it && (now || force || save || nosave)) || (save && nosave))
        return reply_syntax_error(c);
    if (abort_it)
        return reply_error(c, "ERR No shutdown in progress.");
    c->session->closing = true;
    c->service->host.shutdown(c->service->host.context, now);
    return STATUS_OK;
}
