/* SPDX-License-Identifier: MIT */
/* CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO. */
#include "base/memory.h"
#include "commands/service_state.h"

struct search {
    uint64_t id;
    bool is_there;
};

static void look_for(void *context, struct session *session)
{
    struct search *search = context;
    search->is_there |= session->id == search->id;
}

struct tracking_arguments {
    struct tracking_options options;
    struct slice prefixes[TRACKING_PREFIXES_MAX];
    size_t prefix_count;
};

static bool parse_redirect(struct command_context *c, size_t index, uint64_t *id)
{
    struct search search = {0};
    int64_t number = 0;
    if (*id) {
        reply_error(c, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!argument_integer(c, index, &number))
        return false;
    search.id = (uint64_t)number;
    service_each_client(c->service, look_for, &search);
    if (!search.is_there || number <= 0) {
        reply_error(c, "ERR The client ID you want redirect to does not exist");
        return false;
    }
    *id = search.id;
    return true;
}

/* What follows ON or OFF. false: the error is answered. */
static bool parse_tracking(struct command_context *c, struct tracking_arguments *arguments)
{
    struct tracking_options *options = &arguments->options;
    for (size_t i = 3; i < c->count; i++) {
        bool has_more = i + 1 < c->count;
        if (argument_is(c, i, "REDIRECT") && has_more) {
            if (!parse_redirect(c, ++i, &options->redirect_id))
                return false;
        } else if (argument_is(c, i, "BCAST")) {
            options->is_broadcast = true;
        } else if (argument_is(c, i, "OPTIN")) {
            options->is_optin = true;
        } else if (argument_is(c, i, "OPTOUT")) {
            options->is_optout = true;
        } else if (argument_is(c, i, "NOLOOP")) {
            options->is_noloop = true;
        } else if (argument_is(c, i, "PREFIX") && has_more &&
                   arguments->prefix_count < TRACKING_PREFIXES_MAX) {
            arguments->prefixes[arguments->prefix_count++] = c->arguments[++i];
        } else {
            reply_syntax_error(c);
            return false;
        }
    }
    return true;
}

static enum status turn_on(struct command_context *c, struct tracking_arguments *arguments)
{
    const struct tracking_options *options = &arguments->options;
    if (!options->is_broadcast && arguments->prefix_count > 0)
        return reply_error(c, "ERR PREFIX option requires BCAST mode to be enabled");
    if (options->is_optin && options->is_optout)
        return reply_error(c, "ERR You can't specify both OPTIN mode and OPTOUT mode");
    if (options->is_broadcast && (options->is_optin || options->is_optout))
        return reply_error(c, "ERR OPTIN and OPTOUT are not compatible with BCAST");
    bool ok = tracking_turn_on(c, options, arguments->prefixes, arguments->prefix_count);
    return ok ? reply_ok(c) : STATUS_OK;
}

enum status client_tracking_command(struct command_context *c)
{
    struct tracking_arguments *arguments = memory_zeroed(1, sizeof *arguments);
    enum status status = STATUS_OK;
    if (parse_tracking(c, arguments)) {
        if (argument_is(c, 2, "ON")) {
            status = turn_on(c, arguments);
        } else if (argument_is(c, 2, "OFF")) {
            tracking_turn_off(c->session);
            reply_ok(c);
        } else {
            reply_syntax_error(c);
        }
    }
    memory_free(arguments);
    return status;
}

enum status client_caching_command(struct command_context *c)
{
    struct tracker own;
    if (!tracking_of(c->session, &own) || !(own.options.is_optin || own.options.is_optout))
        return reply_error(c,
                           "ERR CLIENT CACHING can be called only when the client is in tracking "
                           "mode with OPTIN or OPTOUT mode enabled");
    bool is_yes = argument_is(c, 2, "YES");
    if (!is_yes && !argument_is(c, 2, "NO"))
        return reply_syntax_error(c);
    if (is_yes && !own.options.is_optin)
        return reply_error(c, "ERR CLIENT CACHING YES is only valid when tracking is enabled in "
                              "OPTIN mode.");
    if (!is_yes && !own.options.is_optout)
        return reply_error(c, "ERR CLIENT CACHING NO is only valid when tracking is enabled in "
                              "OPTOUT mode.");
    c->session->caching = is_yes ? TRACKING_CACHING_YES : TRACKING_CACHING_NO;
    return reply_ok(c);
}

enum status client_getredir_command(struct command_context *c)
{
    struct tracker own;
    return reply_integer(c, tracking_of(c->session, &own) ? (int64_t)own.options.redirect_id : -1);
}

enum status client_trackinginfo_command(struct command_context *c)
{
    struct tracker own = {0};
    bool is_on = tracking_of(c->session, &own);
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {!is_on, "off"},
        {is_on, "on"},
        {own.options.is_broadcast, "bcast"},
        {own.options.is_optin, "optin"},
        {own.options.is_optin && c->session->caching == TRACKING_CACHING_YES, "caching-yes"},
        {own.options.is_optout, "optout"},
        {own.options.is_optout && c->session->caching == TRACKING_CACHING_NO, "caching-no"},
        {own.options.is_noloop, "noloop"},
        {own.is_redirect_broken, "broken_redirect"},
    };
    size_t count = 0;
    resp_map(c->reply, 3);
    resp_bulk_text(c->reply, "flags");
    size_t mark = resp_deferred(c->reply);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!flags[i].is_set)
            continue;
        resp_bulk_text(c->reply, flags[i].name);
        count++;
    }
    resp_deferred_set(c->reply, mark, count);
    resp_bulk_text(c->reply, "redirect");
    resp_integer(c->reply, is_on ? (int64_t)own.options.redirect_id : -1);
    resp_bulk_text(c->reply, "prefixes");
    resp_array(c->reply, own.prefix_count);
    for (size_t i = 0; i < own.prefix_count; i++)
        resp_bulk(c->reply, own.prefixes[i]);
    return STATUS_OK;
}
