/* SPDX-License-Identifier: MIT */
/* redis-compat.md from commands.def: every command that is there, and how it differs. */
#include "commands/command.h"
#include "commands/command_syntax.h"

#include <ctype.h>

static const struct {
    const char *group, *title;
} groups[] = {
    {"connection", "Connection"},
    {"server", "Server"},
    {"transactions", "Transactions"},
    {"pubsub", "Pub/Sub"},
    {"cluster", "Cluster"},
    {"scripting", "Scripting"},
    {"generic", "Keys of any type"},
    {"string", "Strings"},
    {"bitmap", "Bitmaps"},
    {"list", "Lists"},
    {"stream", "Streams"},
    {"log", "Logs"},
};

/* "client|id" as CLIENT ID; the bar of a table's cell needs a backslash. */
static void print_name(const struct command *command, struct buffer *out)
{
    for (const char *at = command->name; *at; at++)
        buffer_append_byte(out, *at == '|' ? ' ' : (uint8_t)toupper((unsigned char)*at));
}

static void print_cell(const char *text, struct buffer *out)
{
    for (const char *at = text; *at; at++) {
        if (*at == '|')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, (uint8_t)*at);
    }
}

static void print_row(const struct command *command, struct buffer *out)
{
    buffer_append_text(out, "| `");
    print_name(command, out);
    if (command->syntax[0])
        buffer_append_byte(out, ' ');
    print_cell(command->syntax, out);
    buffer_printf(out, "` | %s | ", command->since);
    print_cell(command->differences[0] ? command->differences : "as Redis", out);
    buffer_append_text(out, " |\n");
}

void command_print_document(struct buffer *out)
{
    buffer_append_text(
        out,
        "# Commands\n\n"
        "Generated from `src/commands/commands.def`; `make documents` writes it anew. What is "
        "listed works\n"
        "as in the Redis version named under *since*, replies and error texts included, but for "
        "the\n"
        "differences named. `cordwood` marks commands of our own. What is not listed is not there\n"
        "yet and answers `-ERR unknown command`.\n\n"
        "Differences that hold for all commands:\n\n"
        "- A reply is sent when what it reveals is as safe as `appendfsync` promises: with "
        "`always` a\n"
        "  client never sees what a power loss can take back, reads included.\n"
        "- A command that needs the disk does not hold up the other clients; its own client's "
        "later\n"
        "  commands wait behind it.\n"
        "- A key has at most 512 KiB.\n"
        "- The only user is `default`, with the password of `requirepass`.\n");
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        buffer_printf(out, "\n## %s\n\n| command | since | differences |\n| --- | --- | --- |\n",
                      groups[g].title);
        for (size_t i = 0; i < command_table_size; i++)
            if (strcmp(command_table[i].group, groups[g].group) == 0)
                print_row(&command_table[i], out);
    }
}
