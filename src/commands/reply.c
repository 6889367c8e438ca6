/* SPDX-License-Identifier: MIT */
/* Replies that many commands share, with Redis's texts. */
#include "commands/service_state.h"

#include <stdarg.h>
#include <stdio.h>

/* More would be felt by the other clients of the loop. */
enum { REPLY_ON_A_LOOP_BYTES_MAX = 256 * 1024, WORK_ON_A_LOOP_BYTES_MAX = 1 << 20 };

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
    return c->reply->out->failed ? STATUS_NO_MEMORY : STATUS_OK;
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

/* What the client may get as one reply. *closes: more ends the connection, as Redis has it. */
static uint64_t reply_bytes_max(const struct command_context *c, bool *closes)
{
    struct config *config = service_config(c->service);
    uint64_t own = (uint64_t)config_integer(config, CONFIG_max_reply_size);
    uint64_t hard = config_output_limit(config, CONFIG_CLASS_NORMAL).hard_bytes;
    *closes = hard > 0 && (own == 0 || hard <= own);
    return *closes ? hard : own ? own : UINT64_MAX;
}

bool command_reply_fits(struct command_context *c, size_t bytes)
{
    bool closes;
    if (bytes <= reply_bytes_max(c, &closes))
        return true;
    c->reply_is_too_large = true;
    c->session->reply_over_limit = closes;
    return false;
}

enum status command_reply_check_slowly(struct command_context *c, size_t bytes)
{
    if (!command_reply_fits(c, bytes))
        return STATUS_TOO_LARGE;
    if (c->nowait)
        return bytes > REPLY_ON_A_LOOP_BYTES_MAX ? STATUS_WOULD_BLOCK : STATUS_OK;
    if (client_memory_build(c->session, c->work_bytes + bytes))
        return STATUS_OK;
    c->has_no_memory = true;
    return STATUS_TOO_LARGE;
}

enum status command_reply_reserve(struct command_context *c, size_t bytes)
{
    return buffer_reserve(c->reply->out, bytes) ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status command_work_check(const struct command_context *c, uint64_t bytes)
{
    return c->nowait && bytes > WORK_ON_A_LOOP_BYTES_MAX ? STATUS_WOULD_BLOCK : STATUS_OK;
}

void reply_status(struct command_context *c, enum status status)
{
    switch (status) {
    case STATUS_WRONG_TYPE:
        reply_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
        return;
    case STATUS_TOO_LARGE:
        if (c->has_no_memory) {
            reply_error(c, "ERR the memory for clients is used up for the moment (maxmemory-clients)");
            return;
        }
        if (c->reply_is_too_large) {
            reply_errorf(c,
                         "ERR the reply is larger than max-reply-size (%lld bytes): read it in "
                         "pages, with COUNT or a smaller range",
                         (long long)config_integer(service_config(c->service),
                                                   CONFIG_max_reply_size));
            return;
        }
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
