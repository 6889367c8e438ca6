/* SPDX-License-Identifier: MIT */
/* Values of the configuration: parsing one from text, keeping it, showing it.
 *
 * numbers[] and limits[] are read without a lock by every thread; texts[] and the order of changes are
 * guarded by `lock`. A change is parsed completely before anything is stored. What the host then refuses to take over
 * is put back; nobody else changes anything meanwhile (`change_lock`, taken before `lock`). */
#include "commands/config.h"

#include "base/memory.h"
#include "commands/config_lines.h"
#include "commands/config_table.h"
#include "commands/notify.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum { CLASS_COUNT = 3, LIMIT_FIELDS = 3, TEXT_BYTES_MAX = 64 * 1024 };

struct config {
    pthread_mutex_t change_lock; /* CONFIG SET, one at a time */
    bool (*apply)(void *context, struct buffer *error);
    void *apply_context;
    pthread_mutex_t lock; /* guards texts; held while values are stored */
    _Atomic int64_t numbers[CONFIG_COUNT];
    struct buffer texts[CONFIG_COUNT];
    struct buffer path;                                 /* of the file; guarded by the lock */
    _Atomic uint64_t limits[CLASS_COUNT][LIMIT_FIELDS]; /* hard, soft, seconds */
};

/* A parsed value, before it is stored. */
struct value {
    enum config_name name;
    int64_t number;
    struct slice text;
    uint64_t limits[CLASS_COUNT][LIMIT_FIELDS];
};

const struct config_entry config_table[CONFIG_COUNT] = {
#define CONFIG_ENTRY(id, name, kind, default_text, minimum, maximum, flags, choices, help) \
    {name, default_text, choices, help, minimum, maximum, CONFIG_KIND_##kind, CONFIG_FLAG_##flags},
#include "commands/config.def"
};

static const struct {
    const char *alias;
    enum config_name name;
} aliases[CONFIG_ALIAS_COUNT] = {
#define CONFIG_ALIAS(alias, id) {alias, CONFIG_##id},
#include "commands/config.def"
};

static const char *const class_names[CLASS_COUNT] = {"normal", "slave", "pubsub"};

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit size_units[] = {
    {"", 1},          {"b", 1},          {"k", 1000},      {"kb", 1u << 10}, {"m", 1000000},
    {"mb", 1u << 20}, {"g", 1000000000}, {"gb", 1u << 30}, {NULL, 0},
};
static const struct unit duration_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

/* ---- Parsing --------------------------------------------------------------------------------- */

static struct slice take_word(struct slice *rest)
{
    while (rest->size > 0 && rest->data[0] == ' ')
        *rest = slice_skip(*rest, 1);
    size_t size = 0;
    while (size < rest->size && rest->data[size] != ' ')
        size++;
    struct slice word = slice_make(rest->data, size);
    *rest = slice_skip(*rest, size);
    return word;
}

/* Digits at the front of *text. false: none, or more than an int64_t holds. */
static bool take_digits(struct slice *text, unsigned base, int64_t *number)
{
    uint64_t value = 0;
    size_t size = 0;
    for (; size < text->size; size++) {
        unsigned digit = text->data[size] - (unsigned)'0';
        if (digit >= base)
            break;
        if (value > ((uint64_t)INT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    if (size == 0)
        return false;
    *text = slice_skip(*text, size);
    *number = (int64_t)value;
    return true;
}

static bool parse_integer(struct slice text, unsigned base, int64_t *number)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative)
        text = slice_skip(text, 1);
    if (!take_digits(&text, base, number) || text.size > 0)
        return false;
    if (negative)
        *number = -*number;
    return true;
}

static bool parse_with_unit(struct slice text, const struct unit *units, int64_t *number)
{
    int64_t count;
    if (!take_digits(&text, 10, &count))
        return false;
    for (; units->name; units++) {
        if (!slice_equal_nocase(text, units->name))
            continue;
        if ((uint64_t)count > (uint64_t)INT64_MAX / units->factor)
            return false;
        *number = count * (int64_t)units->factor;
        return true;
    }
    return false;
}

static bool parse_choice(const char *choices, struct slice text, int64_t *number)
{
    struct slice rest = slice_from(choices);
    for (int64_t index = 0; rest.size > 0; index++) {
        struct slice word = take_word(&rest);
        if (word.size == text.size &&
            strncasecmp((const char *)word.data, (const char *)text.data, word.size) == 0) {
            *number = index;
            return true;
        }
    }
    return false;
}

static void choices_append(const char *choices, struct buffer *reason)
{
    buffer_append_text(reason, "argument(s) must be one of the following: ");
    struct slice rest = slice_from(choices);
    while (rest.size > 0) {
        buffer_append_slice(reason, take_word(&rest));
        if (rest.size > 0)
            buffer_append_text(reason, ", ");
    }
}

/* "" or "seconds changes ...". */
static bool save_is_valid(struct slice text)
{
    size_t count = 0;
    for (struct slice rest = text;;) {
        struct slice word = take_word(&rest);
        if (word.size == 0)
            return count % 2 == 0;
        int64_t number;
        if (!parse_integer(word, 10, &number) || number < 0 || (count % 2 == 0 && number == 0))
            return false;
        count++;
    }
}

static int class_from_name(struct slice name)
{
    if (slice_equal_nocase(name, "replica"))
        return CONFIG_CLASS_SLAVE;
    for (int i = 0; i < CLASS_COUNT; i++)
        if (slice_equal_nocase(name, class_names[i]))
            return i;
    return -1;
}

/* Groups of four words; classes that are not named keep what they have. */
static bool parse_limits(struct slice text, struct value *value, struct buffer *reason)
{
    for (struct slice rest = text;;) {
        struct slice words[1 + LIMIT_FIELDS];
        size_t count = 0;
        while (count < 1 + LIMIT_FIELDS && (words[count] = take_word(&rest)).size > 0)
            count++;
        if (count == 0)
            return true;
        if (count < 1 + LIMIT_FIELDS) {
            buffer_append_text(reason, "Wrong number of arguments in buffer limit configuration.");
            return false;
        }
        int row = class_from_name(words[0]);
        if (row < 0) {
            buffer_append_text(reason,
                               "Invalid client class specified in buffer limit configuration.");
            return false;
        }
        for (int i = 0; i < LIMIT_FIELDS; i++) {
            int64_t number;
            if (!parse_with_unit(words[1 + i], size_units, &number)) {
                buffer_append_text(reason, "Error in hard, soft or soft_seconds setting in buffer "
                                           "limit configuration.");
                return false;
            }
            value->limits[row][i] = (uint64_t)number;
        }
    }
}

static bool parse_text(const struct config_entry *entry, struct slice text, struct value *value,
                       struct buffer *reason)
{
    bool has_zero = text.size > 0 && memchr(text.data, 0, text.size);
    if (entry->flag != CONFIG_FLAG_MUTABLE && has_zero) {
        buffer_append_text(reason, "argument must not contain zero bytes");
        return false;
    }
    if (text.size > TEXT_BYTES_MAX) {
        buffer_printf(reason, "argument must not be longer than %d bytes", TEXT_BYTES_MAX);
        return false;
    }
    value->text = text;
    value->number = (int64_t)text.size;
    return true;
}

/* Numbers of all kinds: what the text means, or why it means nothing. */
static bool parse_number(const struct config_entry *entry, struct slice text, int64_t *number,
                         struct buffer *reason)
{
    const char *failure = NULL;
    switch (entry->kind) {
    case CONFIG_KIND_SIZE:
        if (!parse_with_unit(text, size_units, number))
            failure = "argument must be a memory value";
        break;
    case CONFIG_KIND_DURATION:
        if (!parse_with_unit(text, duration_units, number))
            failure = "argument must be a time with a unit (ms s m h d)";
        break;
    case CONFIG_KIND_OCTAL:
        if (!parse_integer(text, 8, number))
            failure = "argument couldn't be parsed as an octal number";
        break;
    case CONFIG_KIND_BOOLEAN:
        if (!parse_choice("no yes", text, number))
            failure = "argument must be 'yes' or 'no'";
        break;
    default:
        if (!parse_integer(text, 10, number))
            failure = "argument couldn't be parsed into an integer";
    }
    if (failure) {
        buffer_append_text(reason, failure);
        return false;
    }
    if (*number >= entry->minimum && *number <= entry->maximum)
        return true;
    buffer_printf(reason,
                  entry->kind == CONFIG_KIND_OCTAL
                      ? "argument must be between %" PRIo64 " and %" PRIo64 " inclusive"
                      : "argument must be between %" PRId64 " and %" PRId64 " inclusive",
                  entry->minimum, entry->maximum);
    return false;
}

/* value->name and, for limits, the present limits are filled by the caller. */
static bool parse_value(struct slice text, struct value *value, struct buffer *reason)
{
    const struct config_entry *entry = &config_table[value->name];
    switch (entry->kind) {
    case CONFIG_KIND_STRING:
        return parse_text(entry, text, value, reason);
    case CONFIG_KIND_SAVE:
        if (save_is_valid(text))
            return parse_text(entry, text, value, reason);
        buffer_append_text(reason, "Invalid save parameters");
        return false;
    case CONFIG_KIND_LIMITS:
        return parse_limits(text, value, reason);
    case CONFIG_KIND_EVENTS:
        if (notify_classes_parse(text, &value->number))
            return true;
        buffer_append_text(reason, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        return false;
    case CONFIG_KIND_CHOICE:
        if (parse_choice(entry->choices, text, &value->number))
            return true;
        choices_append(entry->choices, reason);
        return false;
    default:
        return parse_number(entry, text, &value->number, reason);
    }
}

/* ---- Setting --------------------------------------------------------------------------------- */

bool config_find(struct slice name, enum config_name *found)
{
    for (int i = 0; i < CONFIG_COUNT; i++) {
        if (slice_equal_nocase(name, config_table[i].name)) {
            *found = (enum config_name)i;
            return true;
        }
    }
    for (size_t i = 0; i < CONFIG_ALIAS_COUNT; i++) {
        if (slice_equal_nocase(name, aliases[i].alias)) {
            *found = aliases[i].name;
            return true;
        }
    }
    return false;
}

static void limits_load(const struct config *config, struct value *value)
{
    for (int row = 0; row < CLASS_COUNT; row++)
        for (int i = 0; i < LIMIT_FIELDS; i++)
            value->limits[row][i] =
                atomic_load_explicit(&config->limits[row][i], memory_order_relaxed);
}

static void store(struct config *config, const struct value *value)
{
    enum config_name name = value->name;
    if (config_table[name].kind == CONFIG_KIND_LIMITS) {
        for (int row = 0; row < CLASS_COUNT; row++)
            for (int i = 0; i < LIMIT_FIELDS; i++)
                atomic_store_explicit(&config->limits[row][i], value->limits[row][i],
                                      memory_order_relaxed);
        return;
    }
    if (config_kind_is_text(config_table[name].kind)) {
        buffer_clear(&config->texts[name]);
        buffer_append_slice(&config->texts[name], value->text);
    }
    atomic_store_explicit(&config->numbers[name], value->number, memory_order_relaxed);
}

/* Parses a pair into *value; `reason` gets why not. */
static bool prepare(struct config *config, enum config_name name, struct slice text, bool at_start,
                    struct value *value, struct buffer *reason)
{
    if (!at_start && config_table[name].flag == CONFIG_FLAG_START) {
        buffer_append_text(reason, "can't set immutable config");
        return false;
    }
    *value = (struct value){.name = name};
    limits_load(config, value);
    return parse_value(text, value, reason);
}

bool config_set(struct config *config, struct slice name, struct slice value, bool at_start,
                struct buffer *error)
{
    if (!at_start) {
        struct slice words[2] = {name, value};
        return config_set_all(config, words, 2, error);
    }
    enum config_name found;
    if (!config_find(name, &found)) {
        buffer_printf(error, "'%.*s': no such name", (int)(name.size > 128 ? 128 : name.size),
                      (const char *)name.data);
        return false;
    }
    struct buffer reason = {0};
    struct value parsed;
    bool ok = prepare(config, found, value, true, &parsed, &reason);
    if (ok) {
        pthread_mutex_lock(&config->lock);
        store(config, &parsed);
        pthread_mutex_unlock(&config->lock);
    } else {
        buffer_printf(error, "'%s': ", config_table[found].name);
        buffer_append_slice(error, buffer_slice(&reason));
    }
    buffer_release(&reason);
    return ok;
}

/* values[i] from words[2i], words[2i + 1]; *error gets CONFIG SET's answer. */
static bool prepare_all(struct config *config, const struct slice *words, size_t pairs,
                        struct value *values, struct buffer *error)
{
    bool named[CONFIG_COUNT] = {false};
    struct buffer reason = {0};
    for (size_t i = 0; i < pairs; i++) {
        struct slice word = words[2 * i];
        enum config_name name;
        if (!config_find(word, &name)) {
            buffer_append_text(error, "Unknown option or number of arguments for CONFIG SET - '");
            buffer_append(error, word.data, word.size > 128 ? 128 : word.size);
            buffer_append_byte(error, '\'');
            break;
        }
        if (named[name])
            buffer_append_text(&reason, "duplicate parameter");
        else if (prepare(config, name, words[2 * i + 1], false, &values[i], &reason))
            named[name] = true;
        if (reason.size > 0) {
            buffer_printf(error, "CONFIG SET failed (possibly related to argument '%s') - ",
                          config_table[name].name);
            buffer_append_slice(error, buffer_slice(&reason));
            break;
        }
    }
    buffer_release(&reason);
    return error->size == 0;
}

void config_on_apply(struct config *config, bool (*apply)(void *context, struct buffer *error),
                     void *context)
{
    config->apply = apply;
    config->apply_context = context;
}

bool config_is_applied(struct slice name)
{
    enum config_name found;
    return config_find(name, &found) && config_table[found].flag == CONFIG_FLAG_APPLIED;
}

static void store_all(struct config *config, const struct value *values, size_t pairs)
{
    pthread_mutex_lock(&config->lock);
    for (size_t i = 0; i < pairs; i++)
        store(config, &values[i]);
    pthread_mutex_unlock(&config->lock);
}

/* Any value reads back from its own text. */
static void put_back(struct config *config, const struct value *values, size_t pairs,
                     struct buffer *olds)
{
    struct buffer none = {0};
    for (size_t i = 0; i < pairs; i++) {
        bool ok = config_set(config, slice_from(config_table[values[i].name].name),
                             buffer_slice(&olds[i]), true, &none);
        assert(ok);
        (void)ok;
    }
    buffer_release(&none);
}

/* As store_all, if the host takes it over. */
static bool store_applied(struct config *config, const struct value *values, size_t pairs,
                          enum config_name applied, struct buffer *error)
{
    struct buffer reason = {0};
    struct buffer *olds = memory_zeroed(pairs, sizeof(*olds));
    for (size_t i = 0; i < pairs; i++)
        config_get_text(config, values[i].name, &olds[i]);
    store_all(config, values, pairs);
    bool ok = config->apply(config->apply_context, &reason);
    if (!ok) {
        put_back(config, values, pairs, olds);
        buffer_printf(error, "CONFIG SET failed (possibly related to argument '%s') - ",
                      config_table[applied].name);
        buffer_append_slice(error, buffer_slice(&reason));
    }
    for (size_t i = 0; i < pairs; i++)
        buffer_release(&olds[i]);
    memory_free(olds);
    buffer_release(&reason);
    return ok;
}

bool config_set_all(struct config *config, const struct slice *words, size_t count,
                    struct buffer *error)
{
    assert(count % 2 == 0);
    assert(error->size == 0);
    /* More pairs than names must hold a duplicate or an unknown name: it is found in time. */
    struct value *values = memory_zeroed(CONFIG_COUNT + 1, sizeof(*values));
    size_t pairs = count / 2 < CONFIG_COUNT + 1 ? count / 2 : CONFIG_COUNT + 1;
    pthread_mutex_lock(&config->change_lock);
    bool ok = prepare_all(config, words, pairs, values, error);
    size_t first = 0;
    while (ok && first < pairs && config_table[values[first].name].flag != CONFIG_FLAG_APPLIED)
        first++;
    if (ok && first < pairs && config->apply)
        ok = store_applied(config, values, pairs, values[first].name, error);
    else if (ok)
        store_all(config, values, pairs);
    pthread_mutex_unlock(&config->change_lock);
    memory_free(values);
    return ok;
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct config *config_create(void)
{
    struct config *config = memory_zeroed(1, sizeof(*config));
    pthread_mutex_init(&config->change_lock, NULL);
    pthread_mutex_init(&config->lock, NULL);
    struct buffer error = {0};
    for (int i = 0; i < CONFIG_COUNT; i++) {
        bool ok = config_set(config, slice_from(config_table[i].name),
                             slice_from(config_table[i].default_text), true, &error);
        assert(ok);
        (void)ok; /* the table's own defaults are valid: test_config */
    }
    buffer_release(&error);
    return config;
}

void config_path(struct config *config, struct buffer *path)
{
    pthread_mutex_lock(&config->lock);
    buffer_append_slice(path, buffer_slice(&config->path));
    pthread_mutex_unlock(&config->lock);
}

void config_set_path(struct config *config, const char *path)
{
    pthread_mutex_lock(&config->lock);
    buffer_clear(&config->path);
    buffer_append_text(&config->path, path);
    pthread_mutex_unlock(&config->lock);
}

void config_hold_changes(struct config *config)
{
    pthread_mutex_lock(&config->change_lock);
}

void config_release_changes(struct config *config)
{
    pthread_mutex_unlock(&config->change_lock);
}

void config_destroy(struct config *config)
{
    if (!config)
        return;
    for (int i = 0; i < CONFIG_COUNT; i++)
        buffer_release(&config->texts[i]);
    buffer_release(&config->path);
    pthread_mutex_destroy(&config->lock);
    pthread_mutex_destroy(&config->change_lock);
    memory_free(config);
}

/* ---- Getting --------------------------------------------------------------------------------- */

const char *config_name_text(enum config_name name)
{
    assert((unsigned)name < CONFIG_COUNT);
    return config_table[name].name;
}

const char *config_alias(size_t index, enum config_name *name)
{
    assert(index < CONFIG_ALIAS_COUNT);
    *name = aliases[index].name;
    return aliases[index].alias;
}

int64_t config_integer(const struct config *config, enum config_name name)
{
    assert((unsigned)name < CONFIG_COUNT);
    return atomic_load_explicit(&config->numbers[name], memory_order_relaxed);
}

int config_choice(const struct config *config, enum config_name name)
{
    assert(config_table[name].kind == CONFIG_KIND_CHOICE);
    return (int)config_integer(config, name);
}

void config_string(struct config *config, enum config_name name, struct buffer *value)
{
    assert(config_kind_is_text(config_table[name].kind));
    pthread_mutex_lock(&config->lock);
    buffer_append_slice(value, buffer_slice(&config->texts[name]));
    pthread_mutex_unlock(&config->lock);
}

struct config_output_limit config_output_limit(const struct config *config,
                                               enum config_client_class client_class)
{
    const _Atomic uint64_t *limit = config->limits[client_class];
    return (struct config_output_limit){
        .hard_bytes = atomic_load_explicit(&limit[0], memory_order_relaxed),
        .soft_bytes = atomic_load_explicit(&limit[1], memory_order_relaxed),
        .soft_seconds = atomic_load_explicit(&limit[2], memory_order_relaxed),
    };
}

static void append_choice(const char *choices, int64_t index, struct buffer *value)
{
    struct slice rest = slice_from(choices);
    struct slice word = take_word(&rest);
    for (; index > 0; index--)
        word = take_word(&rest);
    buffer_append_slice(value, word);
}

static void append_limits(const struct config *config, struct buffer *value)
{
    for (int row = 0; row < CLASS_COUNT; row++) {
        struct config_output_limit limit = config_output_limit(config, row);
        buffer_printf(value, "%s%s %" PRIu64 " %" PRIu64 " %" PRIu64, row ? " " : "",
                      class_names[row], limit.hard_bytes, limit.soft_bytes, limit.soft_seconds);
    }
}

static void append_duration(int64_t ms, struct buffer *value)
{
    const struct unit *best = &duration_units[1];
    for (const struct unit *unit = best; unit->name; unit++)
        if (ms > 0 && ms % (int64_t)unit->factor == 0)
            best = unit;
    buffer_printf(value, "%" PRId64 "%s", ms / (int64_t)best->factor, best->name);
}

void config_get_text(struct config *config, enum config_name name, struct buffer *value)
{
    const struct config_entry *entry = &config_table[name];
    int64_t number = config_integer(config, name);
    switch (entry->kind) {
    case CONFIG_KIND_STRING:
    case CONFIG_KIND_SAVE:
        config_string(config, name, value);
        break;
    case CONFIG_KIND_LIMITS:
        append_limits(config, value);
        break;
    case CONFIG_KIND_EVENTS:
        notify_classes_append(number, value);
        break;
    case CONFIG_KIND_CHOICE:
        append_choice(entry->choices, number, value);
        break;
    case CONFIG_KIND_BOOLEAN:
        buffer_append_text(value, number ? "yes" : "no");
        break;
    case CONFIG_KIND_OCTAL:
        buffer_printf(value, "%" PRIo64, number);
        break;
    case CONFIG_KIND_DURATION:
        append_duration(number, value);
        break;
    default:
        buffer_printf(value, "%" PRId64, number);
    }
}

bool config_get(struct config *config, struct slice name, struct buffer *value)
{
    enum config_name found;
    if (!config_find(name, &found))
        return false;
    config_get_text(config, found, value);
    return true;
}
