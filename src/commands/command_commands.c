/* SPDX-License-Identifier: MIT */
/* COMMAND: the command table, told to clients. */
#include "commands/command.h"
#include "commands/command_syntax.h"
#include "commands/glob.h"

#include <ctype.h>

static bool is_subcommand(const struct command *command)
{
    return strchr(command->name, '|') != NULL;
}

/* The table holds a container's subcommands right behind it. */
static size_t subcommand_count(const struct command *command)
{
    size_t count = 0, size = strlen(command->name);
    const struct command *end = command_table + command_table_size;
    for (const struct command *next = command + 1; next < end; next++, count++)
        if (strncmp(next->name, command->name, size) != 0 || next->name[size] != '|')
            break;
    return count;
}

/* Words of a text with spaces between, as simple strings of a set. */
static void reply_words(struct resp_writer *w, const char *text)
{
    size_t count = 0, mark = resp_deferred(w);
    char word[64];
    while (text && *text) {
        size_t size = strcspn(text, " ");
        if (size > 0 && size < sizeof word) {
            memcpy(word, text, size);
            word[size] = '\0';
            resp_simple(w, word);
            count++;
        }
        text += size;
        text += strspn(text, " ");
    }
    resp_deferred_set(w, mark, count);
}

static void reply_flags(struct resp_writer *w, uint32_t flags)
{
    static const char *const names[] = {
        "write", "readonly", "denyoom", "admin",    "noscript",   "blocking",    "loading",
        "stale", "fast",     "no_auth", "no_multi", "allow_busy", "movablekeys",
    };
    size_t count = 0, mark = resp_deferred(w);
    if (flags & COMMAND_PUBSUB) {
        resp_simple(w, "pubsub");
        count++;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(flags & (uint32_t)1 << i))
            continue;
        resp_simple(w, names[i]);
        count++;
    }
    resp_deferred_set(w, mark, count);
}

static void reply_pair(struct resp_writer *w, const char *name, int64_t value)
{
    resp_bulk_text(w, name);
    resp_integer(w, value);
}

static void reply_begin_search(struct resp_writer *w, const struct command_keys *keys)
{
    bool is_keyword = keys->kind == KEYS_KEYWORD_KIND;
    resp_bulk_text(w, "begin_search");
    resp_map(w, 2);
    resp_bulk_text(w, "type");
    resp_bulk_text(w, is_keyword ? "keyword" : "index");
    resp_bulk_text(w, "spec");
    resp_map(w, is_keyword ? 2 : 1);
    if (is_keyword) {
        resp_bulk_text(w, "keyword");
        resp_bulk_text(w, keys->keyword);
        reply_pair(w, "startfrom", keys->first);
    } else {
        reply_pair(w, "index", keys->first);
    }
}

static void reply_find_keys(struct resp_writer *w, const struct command_keys *keys)
{
    bool is_counted = keys->kind == KEYS_COUNT_KIND;
    resp_bulk_text(w, "find_keys");
    resp_map(w, 2);
    resp_bulk_text(w, "type");
    resp_bulk_text(w, is_counted ? "keynum" : "range");
    resp_bulk_text(w, "spec");
    resp_map(w, 3);
    if (is_counted) {
        reply_pair(w, "keynumidx", 0);
        reply_pair(w, "firstkey", 1);
        reply_pair(w, "keystep", 1);
    } else {
        reply_pair(w, "lastkey", keys->last < 0 ? keys->last : keys->last - keys->first);
        reply_pair(w, "keystep", keys->step);
        reply_pair(w, "limit", keys->limit);
    }
}

static void reply_key_spec(struct resp_writer *w, const struct command_keys *keys)
{
    resp_map(w, 3);
    resp_bulk_text(w, "flags");
    reply_words(w, keys->flags);
    reply_begin_search(w, keys);
    reply_find_keys(w, keys);
}

/* Of keys that stand in no place that could be told. */
static void reply_unknown_spec(struct resp_writer *w, const char *flags)
{
    static const char *const steps[] = {"begin_search", "find_keys"};
    resp_map(w, 3);
    resp_bulk_text(w, "flags");
    reply_words(w, flags);
    for (size_t i = 0; i < 2; i++) {
        resp_bulk_text(w, steps[i]);
        resp_map(w, 2);
        resp_bulk_text(w, "type");
        resp_bulk_text(w, "unknown");
        resp_bulk_text(w, "spec");
        resp_map(w, 0);
    }
}

static void reply_key_specs(struct resp_writer *w, const struct command_keys *keys)
{
    struct command_keys one = *keys;
    bool has_second = keys->second_flags != NULL, is_sort = keys->kind == KEYS_SORT_KIND;
    resp_set(w, keys->kind == KEYS_NONE_KIND ? 0 : 1 + (size_t)is_sort + (size_t)has_second);
    if (keys->kind == KEYS_NONE_KIND)
        return;
    if (has_second)
        one.last = one.first;
    reply_key_spec(w, &one);
    if (is_sort)
        reply_unknown_spec(w, "RO access"); /* what BY and GET name */
    if (is_sort && has_second)
        reply_unknown_spec(w, keys->second_flags);
    if (is_sort || !has_second)
        return;
    one.first = keys->first + keys->step;
    one.last = keys->last;
    one.flags = keys->second_flags;
    reply_key_spec(w, &one);
}

static void reply_info(struct resp_writer *w, const struct command *command)
{
    bool has_range = command->keys.kind == KEYS_RANGE_KIND || command->keys.kind == KEYS_SORT_KIND;
    size_t subcommands = subcommand_count(command);
    resp_array(w, 10);
    resp_bulk_text(w, command->name);
    resp_integer(w, command->arity);
    reply_flags(w, command->flags);
    resp_integer(w, has_range ? command->keys.first : 0);
    resp_integer(w, has_range ? command->keys.last : 0);
    resp_integer(w, has_range ? command->keys.step : 0);
    reply_words(w, command->categories);
    resp_set(w, 0);
    reply_key_specs(w, &command->keys);
    resp_set(w, subcommands);
    for (size_t i = 1; i <= subcommands; i++)
        reply_info(w, command + i);
}

static size_t top_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < command_table_size; i++)
        count += !is_subcommand(&command_table[i]);
    return count;
}

/* "config|get" as COMMAND INFO takes it. */
static const struct command *find_by_full_name(struct slice name)
{
    const uint8_t *bar = memchr(name.data, '|', name.size);
    if (!bar)
        return command_find(name, slice_make(NULL, 0));
    size_t size = (size_t)(bar - name.data);
    struct slice sub = slice_skip(name, size + 1);
    bool has_subcommands = false;
    const struct command *top = command_find_top(slice_make(name.data, size), &has_subcommands);
    return top && has_subcommands && sub.size ? command_find(slice_make(name.data, size), sub)
                                              : NULL;
}

static void reply_all_infos(struct resp_writer *w)
{
    resp_array(w, top_count());
    for (size_t i = 0; i < command_table_size; i++)
        if (!is_subcommand(&command_table[i]))
            reply_info(w, &command_table[i]);
}

enum status command_command(struct command_context *c)
{
    reply_all_infos(c->reply);
    return STATUS_OK;
}

enum status command_count_command(struct command_context *c)
{
    return reply_integer(c, (int64_t)top_count());
}

enum status command_info_command(struct command_context *c)
{
    if (c->count == 2) {
        reply_all_infos(c->reply);
        return STATUS_OK;
    }
    resp_array(c->reply, c->count - 2);
    for (size_t i = 2; i < c->count; i++) {
        const struct command *command = find_by_full_name(c->arguments[i]);
        if (command)
            reply_info(c->reply, command);
        else
            resp_null(c->reply);
    }
    return STATUS_OK;
}

/* ---- DOCS
 * ---------------------------------------------------------------------------------------- */

static void reply_text(struct resp_writer *w, const char *name, const char *value)
{
    resp_bulk_text(w, name);
    resp_bulk_text(w, value);
}

static void reply_docs(struct resp_writer *w, const struct command *command)
{
    size_t subcommands = subcommand_count(command);
    bool has_arguments = command->syntax[0] != '\0';
    resp_bulk_text(w, command->name);
    resp_map(w, 4 + (size_t)has_arguments + (subcommands > 0));
    reply_text(w, "summary", command->summary);
    reply_text(w, "since", command->since);
    reply_text(w, "group", command->group);
    reply_text(w, "complexity", command->complexity);
    if (has_arguments) {
        resp_bulk_text(w, "arguments");
        command_syntax_reply(w, command->syntax);
    }
    if (subcommands > 0) {
        resp_bulk_text(w, "subcommands");
        resp_map(w, subcommands);
        for (size_t i = 1; i <= subcommands; i++)
            reply_docs(w, command + i);
    }
}

enum status command_docs_command(struct command_context *c)
{
    if (c->count == 2) {
        resp_map(c->reply, top_count());
        for (size_t i = 0; i < command_table_size; i++)
            if (!is_subcommand(&command_table[i]))
                reply_docs(c->reply, &command_table[i]);
        return STATUS_OK;
    }
    size_t count = 0, mark = resp_deferred(c->reply);
    for (size_t i = 2; i < c->count; i++) {
        const struct command *command = find_by_full_name(c->arguments[i]);
        if (!command)
            continue;
        reply_docs(c->reply, command);
        count++;
    }
    resp_deferred_map(c->reply, mark, count);
    return STATUS_OK;
}

/* ---- LIST, GETKEYS
 * ------------------------------------------------------------------------------- */

static bool has_category(const struct command *command, struct slice category)
{
    const char *text = command->categories;
    while (*text) {
        size_t size = strcspn(text, " ");
        if (size == category.size + 1) {
            size_t same = 0;
            while (same < category.size && tolower(text[same + 1]) == tolower(category.data[same]))
                same++;
            if (same == category.size)
                return true;
        }
        text += size;
        text += strspn(text, " ");
    }
    return false;
}

enum list_filter { LIST_ALL, LIST_MODULE, LIST_CATEGORY, LIST_PATTERN };

static bool filter_takes(enum list_filter filter, struct slice value, const struct command *command)
{
    switch (filter) {
    case LIST_ALL:
        return !is_subcommand(command);
    case LIST_MODULE:
        return false;
    case LIST_CATEGORY:
        return has_category(command, value);
    case LIST_PATTERN:
        return glob_matches(value, slice_from(command->name), true);
    }
    return false;
}

enum status command_list_command(struct command_context *c)
{
    enum list_filter filter = LIST_ALL;
    struct slice value = {0};
    if (c->count == 5 && argument_is(c, 2, "FILTERBY")) {
        value = c->arguments[4];
        if (argument_is(c, 3, "MODULE"))
            filter = LIST_MODULE;
        else if (argument_is(c, 3, "ACLCAT"))
            filter = LIST_CATEGORY;
        else if (argument_is(c, 3, "PATTERN"))
            filter = LIST_PATTERN;
    }
    if (c->count != 2 && filter == LIST_ALL)
        return reply_syntax_error(c);
    size_t count = 0, mark = resp_deferred(c->reply);
    for (size_t i = 0; i < command_table_size; i++) {
        if (!filter_takes(filter, value, &command_table[i]))
            continue;
        resp_bulk_text(c->reply, command_table[i].name);
        count++;
    }
    resp_deferred_set(c->reply, mark, count);
    return STATUS_OK;
}

struct key_list {
    struct command_context *c;
    const struct command *command;
    bool has_flags;
    size_t count;
};

/* A read if all it does is GET. */
static const char *flags_of_bitfield(const struct command_context *c)
{
    size_t i = 4; /* COMMAND GETKEYS... BITFIELD key */
    while (i < c->count) {
        size_t behind = c->count - i - 1;
        if (argument_is(c, i, "GET") && behind >= 2)
            i += 3;
        else if (argument_is(c, i, "OVERFLOW") && behind >= 1)
            i += 2;
        else
            return "RW access update";
    }
    return "RO access";
}

/* What the request wants of its next key. */
static const char *flags_of_next(const struct key_list *list)
{
    const struct command_keys *keys = &list->command->keys;
    const struct command_context *c = list->c;
    if (keys->second_flags && list->count > 0)
        return keys->second_flags;
    if (!strstr(keys->flags, "variable_flags"))
        return keys->flags;
    if (list->command->run == bitfield_command)
        return flags_of_bitfield(c);
    for (size_t i = 5; i < c->count; i++) /* SET */
        if (argument_is(c, i, "GET"))
            return "RW access update";
    return "OW update";
}

static void reply_key(void *context, size_t index)
{
    struct key_list *list = context;
    if (list->has_flags)
        resp_array(list->c->reply, 2);
    resp_bulk(list->c->reply, list->c->arguments[2 + index]);
    if (list->has_flags)
        reply_words(list->c->reply, flags_of_next(list));
    list->count++;
}

static enum status reply_keys(struct command_context *c, bool has_flags)
{
    struct slice second = c->count > 3 ? c->arguments[3] : slice_make(NULL, 0);
    const struct command *command = command_find(c->arguments[2], second);
    if (!command)
        return reply_error(c, "ERR Invalid command specified");
    if (command->keys.kind == KEYS_NONE_KIND)
        return reply_error(c, "ERR The command has no key arguments");
    size_t count = c->count - 2;
    if (command->arity >= 0 ? count != (size_t)command->arity : count < (size_t)-command->arity)
        return reply_error(c, "ERR Invalid number of arguments specified for command");
    struct key_list list = {.c = c, .command = command, .has_flags = has_flags};
    size_t start = c->reply->out->size, mark = resp_deferred(c->reply);
    if (!command_each_key(command, c->arguments + 2, count, reply_key, &list)) {
        c->reply->out->size = start;
        return reply_error(c, "ERR Invalid arguments specified for command");
    }
    resp_deferred_array(c->reply, mark, list.count);
    return STATUS_OK;
}

enum status command_getkeys_command(struct command_context *c)
{
    return reply_keys(c, false);
}

enum status command_getkeysandflags_command(struct command_context *c)
{
    return reply_keys(c, true);
}

enum status command_help_command(struct command_context *c)
{
    static const char *const lines[] = {
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
        NULL,
    };
    return reply_help(c, lines);
}
