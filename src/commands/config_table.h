/* SPDX-License-Identifier: MIT */
/* config.def as a table of constants; for config.c and config_document.c. */
#ifndef COMMANDS_CONFIG_TABLE_H
#define COMMANDS_CONFIG_TABLE_H

#include "commands/config.h"

enum config_kind {
    CONFIG_KIND_INTEGER, CONFIG_KIND_SIZE, CONFIG_KIND_DURATION, CONFIG_KIND_OCTAL,
    CONFIG_KIND_BOOLEAN, CONFIG_KIND_CHOICE, CONFIG_KIND_STRING, CONFIG_KIND_SAVE,
    CONFIG_KIND_LIMITS, CONFIG_KIND_EVENTS,
};

enum config_flag { CONFIG_FLAG_START, CONFIG_FLAG_MUTABLE, CONFIG_FLAG_APPLIED };

struct config_entry {
    const char *name;
    const char *default_text;
    const char *choices; /* words, of CONFIG_KIND_CHOICE */
    const char *help;
    int64_t minimum, maximum; /* of numbers, inclusive */
    enum config_kind kind;
    enum config_flag flag;
};

extern const struct config_entry config_table[CONFIG_COUNT];

/* Kinds whose value is kept as text. */
static inline bool config_kind_is_text(enum config_kind kind)
{
    return kind == CONFIG_KIND_STRING || kind == CONFIG_KIND_SAVE;
}

#endif
