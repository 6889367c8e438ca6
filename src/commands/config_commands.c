/* SPDX-License-Identifier: MIT */
/* CONFIG: the table of config.h, as clients see it. */
#include "commands/glob.h"
#include "commands/service_state.h"

/* The first argument that is the name or a pattern that matches it. false: there is none. */
static bool is_asked(const struct command_context *c, struct slice name, struct slice *argument)
{
    for (size_t i = 2; i < c->count; i++) {
        *argument = c->arguments[i];
        if (glob_matches(*argument, name, true))
            return true;
    }
    return false;
}

/* Whether it was asked for, once however often. A name is shown as it was asked for, since clients look it up by that. */
static bool show(const struct command_context *c, const char *shown, enum config_name name)
{
    struct buffer value = {0};
    struct slice argument;
    if (!is_asked(c, slice_from(shown), &argument))
        return false;
    config_get_text(service_config(c->service), name, &value);
    resp_bulk(c->reply, slice_equal_nocase(argument, shown) ? argument : slice_from(shown));
    resp_bulk(c->reply, buffer_slice(&value));
    buffer_release(&value);
    return true;
}

enum status config_get_command(struct command_context *c)
{
    size_t count = 0, mark = resp_deferred(c->reply);
    for (int i = 0; i < CONFIG_COUNT; i++)
        count += show(c, config_name_text((enum config_name)i), (enum config_name)i);
    for (size_t i = 0; i < CONFIG_ALIAS_COUNT; i++) {
        enum config_name name;
        const char *alias = config_alias(i, &name);
        count += show(c, alias, name);
    }
    resp_deferred_map(c->reply, mark, count);
    return STATUS_OK;
}

enum status config_set_command(struct command_context *c)
{
    if (c->count % 2 != 0)
        return reply_wrong_arity(c);
    for (size_t i = 2; c->nowait && i < c->count; i += 2)
        if (config_is_applied(c->arguments[i]))
            return STATUS_WOULD_BLOCK;
    struct buffer error = {0};
    bool is_set =
        config_set_all(service_config(c->service), c->arguments + 2, c->count - 2, &error);
    if (!is_set)
        reply_errorf(c, "ERR %.*s", (int)error.size, (const char *)error.data);
    buffer_release(&error);
    if (!is_set)
        return STATUS_OK;
    for (size_t i = 2; i < c->count; i += 2)
        if (argument_is(c, i, config_name_text(CONFIG_maxmemory)))
            service_warn_of_memory(c->service);
    const struct service_host *host = &c->service->host;
    for (size_t i = 2; i < c->count && host->config_changed; i += 2) {
        enum config_name name;
        if (config_find(c->arguments[i], &name))
            host->config_changed(host->context, config_name_text(name));
    }
    return reply_ok(c);
}

enum status config_resetstat_command(struct command_context *c)
{
    service_reset_stats(c->service);
    return reply_ok(c);
}

enum status config_rewrite_command(struct command_context *c)
{
    if (c->nowait)
        return STATUS_WOULD_BLOCK;
    enum status status = config_rewrite(c->service->config, c->service->env->vfs);
    if (status == STATUS_NOT_FOUND)
        return reply_error(c, "ERR The server is running without a config file");
    if (status)
        return reply_errorf(c, "ERR Rewriting config file: %s", status_text(status));
    return reply_ok(c);
}

enum status config_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        NULL,
    };
    return reply_help(c, lines);
}
