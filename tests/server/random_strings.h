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

static void set_variant_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "SETNX", "GETSET", "SETEX", "PSETEX");
    key(world, command, 's');
    if (command->words[0][1] == 'S' || command->words[0][3] == 'E')
        word(command, "%u", 10000000 + 1000000 * (unsigned)below(world, 5));
    value(world, command);
}

static void get_variant_command(struct world *world, struct command *command)
{
    if (!world->gentle && one_in(world, 5))
        word(command, "GETDEL");
    else
        word(command, "GETEX");
    key(world, command, 's');
    if (command->words[0][3] == 'D' || one_in(world, 3))
        return;
    if (one_in(world, 2))
        CHOOSE(world, command, "PERSIST", "KEEPTTL", "NX", "EX");
    else if (!world->gentle && one_in(world, 10))
        word(command, "EXAT"), word(command, "%u", (unsigned)below(world, 3));
    else
        word(command, "EX"), word(command, "%u", 10000000 + 1000000 * (unsigned)below(world, 5));
}

static void many_strings_command(struct world *world, struct command *command)
{
    uint64_t left = 1 + below(world, 5);

    CHOOSE(world, command, "MGET", "MGET", "MSET", "MSETNX");
    for (; left > 0; left--) {
        key(world, command, 's');
        if (command->words[0][1] == 'S')
            value(world, command);
    }
    if (one_in(world, 30))
        key(world, command, 's'); /* MSET: one too many */
}

/* Keys of their own hold numbers, mostly. */
static void number_command(struct world *world, struct command *command)
{
    static const char *const floats[] = {"0.1", "-2.5", "1e3",  "3.0e-2", "7",     "1e17",
                                         "abc", "",     "-0.3", "inf",    "0x1p-3"};
    static const char *const integers[] = {"1", "-1", "9223372036854775807", "0", "x", "1.5"};

    CHOOSE(world, command, "INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT", "SET", "GET");
    key(world, command, 'n');
    if (strcmp(command->words[0], "INCRBYFLOAT") == 0)
        word(command, "%s", floats[below(world, sizeof floats / sizeof *floats)]);
    else if (command->words[0][0] == 'S' || (strlen(command->words[0]) == 6 && one_in(world, 5)))
        word(command, "%s", integers[below(world, sizeof integers / sizeof *integers)]);
    else if (strlen(command->words[0]) == 6)
        number(world, command);
}

static void bit_offset(struct world *world, struct command *command)
{
    static const unsigned edges[] = {0, 32768, 65536, 98304};

    if (one_in(world, 40))
        CHOOSE(world, command, "-1", "x", "4294967296");
    else if (one_in(world, 4))
        word(command, "%u", 8 * edges[below(world, 4)] + (unsigned)below(world, 20));
    else
        word(command, "%u", (unsigned)below(world, 500));
}

/* "[start [end [unit]]]" */
static void bit_range(struct world *world, struct command *command)
{
    uint64_t words = below(world, 4);

    if (words > 0)
        string_index(world, command);
    if (words > 1)
        string_index(world, command);
    if (words > 2)
        CHOOSE(world, command, "BYTE", "BIT", "BIT", "BITS");
}

static void bit_command(struct world *world, struct command *command)
{
    CHOOSE(world, command, "SETBIT", "GETBIT", "BITCOUNT", "BITPOS");
    key(world, command, 's');
    if (command->words[0][3] == 'B')
        bit_offset(world, command);
    if (command->words[0][0] == 'S' || command->words[0][3] == 'P')
        word(command, "%u", (unsigned)below(world, one_in(world, 20) ? 3 : 2));
    if (command->words[0][0] == 'B')
        bit_range(world, command);
}

static void combine_command(struct world *world, struct command *command)
{
    word(command, "BITOP");
    CHOOSE(world, command, "AND", "OR", "XOR", "NOT");
    key(world, command, 's');
    for (uint64_t left = command->words[1][0] == 'N' ? 1 : 1 + below(world, 3); left > 0; left--)
        key(world, command, 's');
}

static void field_command(struct world *world, struct command *command)
{
    static const char *const values[] = {
        "1", "-1", "100", "-129", "256", "9223372036854775807", "-4611686018427387904",
        "x"}; /* SAT of -2^63 is wrong in Redis */

    CHOOSE(world, command, "BITFIELD", "BITFIELD", "BITFIELD", "BITFIELD_RO");
    key(world, command, 's');
    for (uint64_t left = 1 + below(world, 3); left > 0; left--) {
        bool gets = command->words[0][8] == '_' || one_in(world, 2);
        if (!gets && one_in(world, 2)) {
            word(command, "OVERFLOW");
            if (world
                    ->is_watching) /* where FAIL makes a string longer, redis' WATCH passes it by */
                CHOOSE(world, command, "WRAP", "SAT");
            else
                CHOOSE(world, command, "WRAP", "SAT", "FAIL");
        }
        word(command, gets ? "GET" : one_in(world, 2) ? "SET" : "INCRBY");
        if (one_in(world, 2))
            word(command, "i%u", 1 + (unsigned)below(world, 64));
        else
            word(command, "u%u", 1 + (unsigned)below(world, 63));
        if (one_in(world, 3))
            word(command, "#%u", (unsigned)below(world, 10));
        else
            bit_offset(world, command);
        if (!gets)
            word(command, "%s",
                 values[below(world, sizeof values / sizeof *values - !one_in(world, 9))]);
    }
}

static void lcs_command(struct world *world, struct command *command)
{
    word(command, "LCS");
    key(world, command, one_in(world, 2) ? 'n' : 's');
    key(world, command, one_in(world, 2) ? 'n' : 's');
    for (uint64_t left = below(world, 4); left > 0; left--)
        CHOOSE(world, command, "LEN", "IDX", "IDX", "WITHMATCHLEN", "MINMATCHLEN", "2");
}

#endif
