/* SPDX-License-Identifier: MIT */
/* The configuration: one table (config.def) yields parsing of files and flags, CONFIG GET and SET and
 * the documented default file. Names are redis.conf's where Redis has the thing. Thread-safe: values
 * are read under a lock or through atomics by the getters. */
#ifndef COMMANDS_CONFIG_H
#define COMMANDS_CONFIG_H

#include "base/buffer.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

/* One enumerator a line of config.def: CONFIG_port, CONFIG_appendfsync, ... */
enum config_name {
#define CONFIG_ENTRY(id, name, kind, default_text, minimum, maximum, flags, choices, help) CONFIG_##id,
#include "commands/config.def"
#undef CONFIG_ENTRY
    CONFIG_COUNT
};

struct config *config_create(void); /* defaults */
void config_destroy(struct config *config);
/* "name value" lines, # comments, "quoted values", include. false: *error is one sentence with the
 * line's number. */
bool config_load_file(struct config *config, const char *path, struct buffer *error);
/* One value from text, as a file, a flag or CONFIG SET gives it. `at_start`: also what cannot change
 * later. The error text is what CONFIG SET answers, without "-ERR ". */
bool config_set(struct config *config, struct slice name, struct slice value, bool at_start,
                struct buffer *error);
/* The value as CONFIG GET shows it, appended; false: no such name. */
bool config_get(struct config *config, struct slice name, struct buffer *value);
const char *config_name_text(enum config_name name); /* "proto-max-bulk-len" */

int64_t config_integer(struct config *config, enum config_name name); /* numbers, sizes, booleans */
/* An enumerated value's index in its choices, e.g. appendfsync: 0 always, 1 everysec, 2 no. */
int config_choice(struct config *config, enum config_name name);
/* A copy of a text value, appended. */
void config_string(struct config *config, enum config_name name, struct buffer *value);

#endif
