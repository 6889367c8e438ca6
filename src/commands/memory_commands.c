/* SPDX-License-Identifier: MIT */
/* MEMORY USAGE: values are on disk, so it tells the bytes of their records. */
#include "commands/command.h"
#include "types/object_size.h"

enum { SAMPLES_DEFAULT = 5 };

/* false: the error is answered. */
static bool parse_samples(struct command_context *c, uint64_t *samples)
{
    int64_t number = SAMPLES_DEFAULT;
    for (size_t i = 3; i < c->count; i += 2) {
        bool is_option = argument_is(c, i, "SAMPLES") && i + 1 < c->count;
        if (is_option && !argument_integer(c, i + 1, &number))
            return false;
        if (!is_option || number < 0) {
            reply_syntax_error(c);
            return false;
        }
    }
    *samples = (uint64_t)number;
    return true;
}

static enum status check_work(void *context, uint64_t bytes)
{
    return command_work_check(context, bytes);
}

enum status memory_usage_command(struct command_context *c)
{
    struct object_size_options options = {.check = check_work, .context = c};
    struct object object;
    uint64_t bytes = 0;
    if (!parse_samples(c, &options.samples))
        return STATUS_OK;
    enum status status = keyspace_find(c->access, c->arguments[2], &object);
    if (status == STATUS_NOT_FOUND)
        return reply_null(c);
    if (!status)
        status = object_size(c->access, c->arguments[2], &object, &options, &bytes);
    return status ? status : reply_integer(c, (int64_t)bytes);
}

enum status memory_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).", NULL};
    return reply_help(c, lines);
}
