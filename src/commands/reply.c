/* SPDX-License-Identifier: MIT */
/* Replies that many commands share, with Redis's texts. */
#include "commands/command.h"

#include <stdarg.h>
#include <stdio.h>

enum status reply_ok(struct command_context *c)
{
    resp_simple(c->reply, "OK");
    return STATUS_OK;
}

enum status reply_error(struct command_context *c, const char *text)
{
    resp_error(c->reply, text);
    return STATUS_OK;
}

enum status reply_errorf(struct command_context *c, const char *format, ...)
{
    struct buffer text = {0};
    va_list arguments;
    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    buffer_append_byte(&text, 0);
    resp_error(c->reply, (const char *)text.data);
    buffer_release(&text);
    return STATUS_OK;
}

enum status reply_syntax_error(struct command_context *c)
{
    return reply_error(c, "ERR syntax error");
}

enum status reply_not_an_integer(struct command_context *c)
{
    return reply_error(c, "ERR value is not an integer or out of range");
}

enum status reply_wrong_arity(struct command_context *c)
{
    return reply_errorf(c, "ERR wrong number of arguments for '%s' command", c->command->name);
}

enum status reply_integer(struct command_context *c, int64_t value)
{
    resp_integer(c->reply, value);
    return STATUS_OK;
}

enum status reply_bulk(struct command_context *c, struct slice value)
{
    resp_bulk(c->reply, value);
    return STATUS_OK;
}

enum status reply_null(struct command_context *c)
{
    resp_null(c->reply);
    return STATUS_OK;
}

enum status reply_help(struct command_context *c, const char *const *lines)
{
    size_t count = 0;
    while (lines[count])
        count++;
    char header[160], name[64];
    size_t size = strcspn(c->command->name, "|");
    for (size_t i = 0; i < size; i++) {
        char letter = c->command->name[i];
        name[i] = (char)(letter >= 'a' && letter <= 'z' ? letter - 32 : letter);
    }
    snprintf(header, sizeof header,
             "%.*s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", (int)size, name);
    resp_array(c->reply, count + 3);
    resp_simple(c->reply, header);
    for (size_t i = 0; i < count; i++)
        resp_simple(c->reply, lines[i]);
    resp_simple(c->reply, "HELP");
    resp_simple(c->reply, "    Prints this help.");
    return STATUS_OK;
}

void reply_status(struct command_context *c, enum status status)
{
    switch (status) {
    case STATUS_WRONG_TYPE:
        reply_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
        return;
    case STATUS_TOO_LARGE:
        reply_error(c, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return;
    case STATUS_NO_SPACE:
        reply_error(c, "MISCONF Errors writing to the AOF file: No space left on device");
        return;
    case STATUS_READ_ONLY:
        reply_error(c, "MISCONF Errors writing to the AOF file: Input/output error");
        return;
    default:
        reply_errorf(c, "ERR %s", status_text(status));
        return;
    }
}
