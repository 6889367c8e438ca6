/* SPDX-License-Identifier: MIT */
/* Answers for features that are not there, in the words that clients know from a Redis without them: no modules, no cluster, no
 * functions, no scripts. */
#include "commands/service_state.h"

static enum status reply_empty(struct command_context *c)
{
    resp_array(c->reply, 0);
    return STATUS_OK;
}

enum status module_list_command(struct command_context *c)
{
    return reply_empty(c);
}

/* CLUSTER and what belongs to it. */
enum status cluster_command(struct command_context *c)
{
    return reply_error(c, "ERR This instance has cluster support disabled");
}

static enum status reply_subcommand_arity(struct command_context *c, const char *container)
{
    return reply_errorf(
        c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
        ARGUMENT_SHOWN(c, 1), container);
}

enum status function_flush_command(struct command_context *c)
{
    if (c->count > 3)
        return reply_subcommand_arity(c, "FUNCTION");
    if (c->count == 3 && !argument_is(c, 2, "SYNC") && !argument_is(c, 2, "ASYNC"))
        return reply_error(c, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
    return reply_ok(c);
}

enum status function_list_command(struct command_context *c)
{
    bool has_name = false, has_code = false;
    for (size_t i = 2; i < c->count; i++) {
        if (!has_code && argument_is(c, i, "WITHCODE")) {
            has_code = true;
        } else if (!has_name && argument_is(c, i, "LIBRARYNAME")) {
            if (++i == c->count)
                return reply_error(c, "ERR library name argument was not given");
            has_name = true;
        } else {
            return reply_errorf(c, "ERR Unknown argument %.*s", ARGUMENT_SHOWN(c, i));
        }
    }
    return reply_empty(c);
}

enum status script_flush_command(struct command_context *c)
{
    if (c->count > 3 ||
        (c->count == 3 && !argument_is(c, 2, "SYNC") && !argument_is(c, 2, "ASYNC")))
        return reply_error(c, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    return reply_ok(c);
}

enum status script_exists_command(struct command_context *c)
{
    resp_array(c->reply, c->count - 2);
    for (size_t i = 2; i < c->count; i++)
        resp_integer(c->reply, 0);
    return STATUS_OK;
}

enum status lolwut_command(struct command_context *c)
{
    struct buffer text = {0};
    buffer_printf(
        &text,
        "      ___________\n     (@)________(@)\n    (@)(@)____(@)(@)\n   (@)(@)(@)(@)(@)(@)\n"
        "Cordwood ver. %s\n",
        CORDWOOD_VERSION);
    resp_verbatim(c->reply, "txt", buffer_slice(&text));
    buffer_release(&text);
    return STATUS_OK;
}
