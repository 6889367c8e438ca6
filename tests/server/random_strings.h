/* SPDX-License-Identifier: MIT */
/* Random commands on strings; for test_random_commands.c alone. */
#ifndef SERVER_RANDOM_STRINGS_H
#define SERVER_RANDOM_STRINGS_H

/* Within the value, behind its end, where the header's and the pieces' ends are; now and then none. */
static void string_offset(struct world *world, struct command *command)
{
    static const unsigned edges[] = {0, 32768, 65536, 98304, 131072};

    if (one_in(world, 40))
        CHOOSE(world, command, "-1", "x", "536870912", "1.5", "9223372036854775807");
    else if (one_in(world, 3))
        word(command, "%u", edges[below(world, 5)] + (unsigned)below(world, 4));
    else
        word(command, "%u", (unsigned)below(world, one_in(world, 8) ? 150000 : 100));
}

static void string_index(struct world *world, struct command *command)
{
    if (one_in(world, 10))
        string_offset(world, command);
    else
        number(world, command);
}

static void append_command(struct world *world, struct command *command)
{
    word(command, "APPEND");
    key(world, command, 's');
    value(world, command);
    if (one_in(world, 15))
        command->large_bytes = below(world, 50000);
}

static void set_range_command(struct world *world, struct command *command)
{
    word(command, "SETRANGE");
    key(world, command, 's');
    string_offset(world, command);
    if (one_in(world, 10)) {
        word(command, "%s", "");
        return;
    }
    value(world, command);
    if (one_in(world, 15))
        command->large_bytes = below(world, 50000);
}

static void get_range_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "GETRANGE", "GETRANGE", "GETRANGE", "SUBSTR", "STRLEN");
    key(world, command, 's');
    if (command->words[0][1] == 'T')
        return;
    string_index(world, command);
    string_index(world, command);
}

#endif
