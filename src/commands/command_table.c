/* SPDX-License-Identifier: MIT */
/* commands.def as an array, found by name through an open hash that is filled once. */
#include "commands/command.h"

#include <assert.h>
#include <pthread.h>

/* commands.def names flags and keys without prefixes. */
enum {
    WRITE = COMMAND_WRITE,
    READONLY = COMMAND_READONLY,
    DENYOOM = COMMAND_DENYOOM,
    ADMIN = COMMAND_ADMIN,
    NOSCRIPT = COMMAND_NOSCRIPT,
    BLOCKING = COMMAND_BLOCKING,
    LOADING = COMMAND_LOADING,
    STALE = COMMAND_STALE,
    FAST = COMMAND_FAST,
    NO_AUTH = COMMAND_NO_AUTH,
    ALLOW_BUSY = COMMAND_ALLOW_BUSY,
    MOVABLE_KEYS = COMMAND_MOVABLE_KEYS,
    NO_MULTI = COMMAND_NO_MULTI,
    READS = COMMAND_READS,
    EXPANDS = COMMAND_EXPANDS,
};

#define KEYS_NONE                                                                                  \
    {                                                                                              \
        .kind = KEYS_NONE_KIND                                                                     \
    }
#define KEYS(first_, last_, step_, flags_)                                                         \
    {                                                                                              \
        .kind = KEYS_RANGE_KIND, .first = first_, .last = last_, .step = step_, .flags = flags_    \
    }
#define KEYS_KEYWORD(keyword_, first_, parts_, flags_)                                             \
    {                                                                                              \
        .kind = KEYS_KEYWORD_KIND, .keyword = keyword_, .first = first_, .last = -1, .step = 1,    \
        .limit = parts_, .flags = flags_                                                           \
    }
#define KEYS_COUNT(index_, flags_)                                                                 \
    {                                                                                              \
        .kind = KEYS_COUNT_KIND, .first = index_, .step = 1, .flags = flags_                       \
    }

#define COMMAND(name_, arity_, flags_, keys_, group_, categories_, since_, syntax_, summary_,        \
                complexity_, differences_, handler_)                                               \
    {.name = name_, .arity = arity_, .flags = flags_, .keys = keys_, .group = group_,              \
     .categories = categories_, .since = since_, .syntax = syntax_, .summary = summary_,           \
     .complexity = complexity_, .differences = differences_, .run = handler_},
#define CONTAINER(name_, arity_, flags_, group_, categories_, since_, summary_, complexity_,       \
                  differences_)                                                                    \
    {.name = name_, .arity = arity_, .flags = flags_, .keys = KEYS_NONE, .group = group_,          \
     .categories = categories_, .since = since_, .syntax = "", .summary = summary_,                \
     .complexity = complexity_, .differences = differences_, .run = NULL},

const struct command command_table[] = {
#include "commands/commands.def"
};
const size_t command_table_size = sizeof command_table / sizeof command_table[0];

/* ---- Finding ------------------------------------------------------------------------------------- */

enum { SLOTS = 512, NAME_BYTES_MAX = 40 };

/* Open hash with linear probing over names, subcommands under their full name. Filled once, read
 * without a lock afterwards. */
struct slot {
    const struct command *command; /* NULL: empty */
    size_t name_size;
    bool is_container; /* it has subcommands */
};
static struct slot slots[SLOTS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static uint32_t hash_name(const char *name, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return hash ^ hash >> 15;
}

/* The slot of the name, or the empty one where it would stand. */
static size_t find_slot(const char *name, size_t size)
{
    size_t slot = hash_name(name, size) % SLOTS;
    while (slots[slot].command && (slots[slot].name_size != size ||
                                   memcmp(slots[slot].command->name, name, size) != 0))
        slot = (slot + 1) % SLOTS;
    return slot;
}

static void fill(void)
{
    assert(command_table_size * 2 < SLOTS);
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        size_t size = strlen(command->name);
        assert(size < NAME_BYTES_MAX);
        size_t slot = find_slot(command->name, size);
        assert(!slots[slot].command);
        slots[slot].command = command;
        slots[slot].name_size = size;
        const char *bar = strchr(command->name, '|');
        if (bar) {
            size_t parent = find_slot(command->name, (size_t)(bar - command->name));
            assert(slots[parent].command);
            slots[parent].is_container = true;
        }
    }
}

/* Lower-cases into `name`; false when it cannot be a command's. */
static bool append_name(char name[NAME_BYTES_MAX], size_t *size, struct slice word)
{
    if (word.size == 0 || *size + word.size >= NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte == '\0' || byte == '|')
            return false;
        name[(*size)++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    return true;
}

const struct command *command_find_top(struct slice word, bool *has_subcommands)
{
    pthread_once(&filled, fill);
    char name[NAME_BYTES_MAX];
    size_t size = 0;
    if (!append_name(name, &size, word))
        return NULL;
    size_t slot = find_slot(name, size);
    *has_subcommands = slots[slot].is_container;
    return slots[slot].command;
}

const struct command *command_find(struct slice word, struct slice subcommand)
{
    bool has_subcommands = false;
    const struct command *command = command_find_top(word, &has_subcommands);
    if (!command || !has_subcommands || subcommand.size == 0)
        return command;
    char name[NAME_BYTES_MAX];
    size_t size = 0;
    if (!append_name(name, &size, word) || size + 1 >= NAME_BYTES_MAX)
        return NULL;
    name[size++] = '|';
    if (!append_name(name, &size, subcommand))
        return NULL;
    return slots[find_slot(name, size)].command;
}

/* ---- Keys ---------------------------------------------------------------------------------------- */

static bool each_in_range(size_t from, size_t end, size_t step,
                          void (*each)(void *context, size_t index), void *context)
{
    for (size_t i = from; i < end; i += step)
        each(context, i);
    return from < end;
}

bool command_each_key(const struct command *command, const struct slice *arguments, size_t count,
                      void (*each)(void *context, size_t index), void *context)
{
    const struct command_keys *keys = &command->keys;
    size_t first = (size_t)keys->first;
    switch (keys->kind) {
    case KEYS_NONE_KIND:
        return false;
    case KEYS_RANGE_KIND: {
        int64_t last = keys->last < 0 ? (int64_t)count + keys->last : keys->last;
        if (last >= (int64_t)count || last < keys->first)
            return false;
        return each_in_range(first, (size_t)last + 1, (size_t)keys->step, each, context);
    }
    case KEYS_KEYWORD_KIND:
        for (size_t i = first; i < count; i++) {
            if (!slice_equal_nocase(arguments[i], keys->keyword))
                continue;
            size_t behind = count - i - 1;
            size_t key_count = behind / (size_t)keys->limit;
            return each_in_range(i + 1, i + 1 + key_count, 1, each, context);
        }
        return false;
    case KEYS_COUNT_KIND: {
        uint64_t key_count = 0;
        if (first >= count || !slice_parse_unsigned(arguments[first], &key_count))
            return false;
        if (key_count > count - first - 1)
            return false;
        return each_in_range(first + 1, first + 1 + key_count, 1, each, context);
    }
    }
    return false;
}
