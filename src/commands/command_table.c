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
    PUBSUB = COMMAND_PUBSUB,
    READS = COMMAND_READS,
    HOLDS = COMMAND_HOLDS,
    EXPANDS = COMMAND_EXPANDS,
    BUILDS = COMMAND_BUILDS,
    STORES = COMMAND_STORES,
};

#define KEYS_NONE              \
    {                          \
        .kind = KEYS_NONE_KIND \
    }
#define KEYS(first_, last_, step_, flags_)                                                      \
    {                                                                                           \
        .kind = KEYS_RANGE_KIND, .first = first_, .last = last_, .step = step_, .flags = flags_ \
    }
#define KEYS_KEYWORD(keyword_, first_, parts_, flags_)                                          \
    {                                                                                           \
        .kind = KEYS_KEYWORD_KIND, .keyword = keyword_, .first = first_, .last = -1, .step = 1, \
        .limit = parts_, .flags = flags_                                                        \
    }
#define KEYS_COUNT(index_, flags_)                                           \
    {                                                                        \
        .kind = KEYS_COUNT_KIND, .first = index_, .step = 1, .flags = flags_ \
    }

/* Other things are wanted of the first key than of those behind it. */
#define KEYS_THEN(first_, last_, flags_, second_flags_)                                      \
    {                                                                                        \
        .kind = KEYS_RANGE_KIND, .first = first_, .last = last_, .step = 1, .flags = flags_, \
        .second_flags = second_flags_                                                        \
    }
#define KEYS_TWO(flags_, second_flags_) KEYS_THEN(1, 2, flags_, second_flags_)
#define KEYS_SORT(flags_, second_flags_)                                           \
    {                                                                              \
        .kind = KEYS_SORT_KIND, .first = 1, .last = 1, .step = 1, .flags = flags_, \
        .second_flags = second_flags_                                              \
    }

#define COMMAND(name_, arity_, flags_, keys_, group_, categories_, since_, syntax_, summary_, \
                complexity_, differences_, handler_)                                          \
    {.name = name_,                                                                           \
     .arity = arity_,                                                                         \
     .flags = flags_,                                                                         \
     .keys = keys_,                                                                           \
     .group = group_,                                                                         \
     .categories = categories_,                                                               \
     .since = since_,                                                                         \
     .syntax = syntax_,                                                                       \
     .summary = summary_,                                                                     \
     .complexity = complexity_,                                                               \
     .differences = differences_,                                                             \
     .run = handler_},
#define CONTAINER(name_, arity_, flags_, group_, categories_, since_, summary_, complexity_, \
                  differences_)                                                              \
    {.name = name_,                                                                          \
     .arity = arity_,                                                                        \
     .flags = flags_,                                                                        \
     .keys = KEYS_NONE,                                                                      \
     .group = group_,                                                                        \
     .categories = categories_,                                                              \
     .since = since_,                                                                        \
     .syntax = "",                                                                           \
     .summary = summary_,                                                                    \
     .complexity = complexity_,                                                              \
     .differences = differences_,                                                            \
     .run = NULL},

const struct command command_table[] = {
#include "commands/commands.def"
};
const size_t command_table_size = sizeof command_table / sizeof command_table[0];

/* ---- Finding
 * ------------------------------------------------------------------------------------- */

enum { SLOTS = 512, NAME_WORDS = 5, NAME_BYTES_MAX = NAME_WORDS * 8 };

/* A name, lower-case and filled up with zeros, so that names compare by words. */
struct name {
    union {
        char text[NAME_BYTES_MAX];
        uint64_t words[NAME_WORDS];
    };
    size_t size;
};

/* Open hash with linear probing over names, subcommands under their full name. Filled once, read
 * without a lock afterwards. */
struct slot {
    const struct command *command; /* NULL: empty */
    struct name name;
    bool is_container; /* it has subcommands */
};
static struct slot slots[SLOTS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static bool name_equal(const struct name *a, const struct name *b)
{
    for (size_t i = 0; i * 8 < a->size; i++)
        if (a->words[i] != b->words[i])
            return false;
    return a->size == b->size;
}

static size_t hash_name(const struct name *name)
{
    uint64_t hash = name->size;
    for (size_t i = 0; i * 8 < name->size; i++)
        hash = (hash ^ name->words[i]) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    return (size_t)(hash >> 48);
}

/* The slot of the name, or the empty one where it would stand. */
static struct slot *find_slot(const struct name *name)
{
    size_t slot = hash_name(name) % SLOTS;
    while (slots[slot].command && !name_equal(&slots[slot].name, name))
        slot = (slot + 1) % SLOTS;
    return &slots[slot];
}

/* Appends the word in lower case; false when it cannot be a command's. `name` starts zeroed. */
static bool append_name(struct name *name, struct slice word)
{
    if (word.size == 0 || name->size + word.size >= NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte == '\0' || byte == '|')
            return false;
        name->text[name->size++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    return true;
}

static void fill(void)
{
    assert(command_table_size * 2 < SLOTS);
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        struct name name = {.size = strlen(command->name)};
        assert(name.size < NAME_BYTES_MAX);
        memcpy(name.text, command->name, name.size);
        struct slot *slot = find_slot(&name);
        assert(!slot->command);
        slot->command = command;
        slot->name = name;
        const char *bar = strchr(command->name, '|');
        if (bar) {
            struct name parent = {.size = 0};
            bool fits =
                append_name(&parent, slice_make(command->name, (size_t)(bar - command->name)));
            assert(fits);
            (void)fits; /* only asserted */
            assert(find_slot(&parent)->command);
            find_slot(&parent)->is_container = true;
        }
    }
}

/* Words as clients have spelled them, and their slots: a pipeline says the same few again and again. */
enum { SPELLINGS = 16, SPELLING_BYTES_MAX = 16 };
struct spelling {
    uint8_t word[SPELLING_BYTES_MAX];
    size_t size; /* 0: none */
    const struct slot *slot;
};
static _Thread_local struct spelling spellings[SPELLINGS];

static struct spelling *spelling_of(struct slice word)
{
    return &spellings[(word.size ^ word.data[0] ^ 2 * word.data[word.size - 1]) % SPELLINGS];
}

const struct command *command_find_top(struct slice word, bool *has_subcommands)
{
    bool is_short = word.size > 0 && word.size <= SPELLING_BYTES_MAX;
    struct spelling *spelling = is_short ? spelling_of(word) : NULL;
    if (spelling && spelling->size == word.size &&
        memcmp(spelling->word, word.data, word.size) == 0) {
        *has_subcommands = spelling->slot->is_container;
        return spelling->slot->command;
    }
    pthread_once(&filled, fill);
    struct name name = {.size = 0};
    if (!append_name(&name, word))
        return NULL;
    const struct slot *slot = find_slot(&name);
    if (spelling && slot->command) {
        memcpy(spelling->word, word.data, word.size);
        spelling->size = word.size;
        spelling->slot = slot;
    }
    *has_subcommands = slot->is_container;
    return slot->command;
}

const struct command *command_find(struct slice word, struct slice subcommand)
{
    bool has_subcommands = false;
    const struct command *command = command_find_top(word, &has_subcommands);
    if (!command || !has_subcommands || subcommand.size == 0)
        return command;
    struct name name = {.size = 0};
    if (!append_name(&name, word) || name.size + 1 >= NAME_BYTES_MAX)
        return NULL;
    name.text[name.size++] = '|';
    return append_name(&name, subcommand) ? find_slot(&name)->command : NULL;
}

/* ---- Keys
 * ---------------------------------------------------------------------------------------- */

static bool each_in_range(size_t from, size_t end, size_t step,
                          void (*each)(void *context, size_t index), void *context)
{
    for (size_t i = from; i < end; i += step)
        each(context, i);
    return from < end;
}

size_t command_store_index(const struct slice *arguments, size_t count)
{
    size_t found = 0;
    for (size_t i = 2; i < count; i++) {
        if (slice_equal_nocase(arguments[i], "LIMIT"))
            i += 2;
        else if (slice_equal_nocase(arguments[i], "GET") || slice_equal_nocase(arguments[i], "BY"))
            i++;
        else if (slice_equal_nocase(arguments[i], "STORE") && i + 1 < count)
            found = ++i;
    }
    return found;
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
    case KEYS_SORT_KIND: {
        size_t store = keys->second_flags ? command_store_index(arguments, count) : 0;
        each(context, first);
        if (store)
            each(context, store);
        return true;
    }
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
