/* SPDX-License-Identifier: MIT */
/* The configuration: one table (config.def) yields parsing of files and flags, CONFIG GET and SET, the
 * documented default file and the reference. Names are redis.conf's where Redis has the thing.
 *
 * Thread-safe: numbers are read through atomics, texts under a lock. */
#ifndef COMMANDS_CONFIG_H
#define COMMANDS_CONFIG_H

#include "base/buffer.h"
#include "base/slice.h"
#include "vfs/vfs.h"

#include <stdbool.h>
#include <stdint.h>

struct config;

/* One enumerator a line of config.def: CONFIG_port, CONFIG_appendfsync, ... */
enum config_name {
#define CONFIG_ENTRY(id, name, kind, default_text, minimum, maximum, flags, choices, help) \
    CONFIG_##id,
#include "commands/config.def"
    CONFIG_COUNT
};

/* Older names of some of them, which mean the same; CONFIG GET shows both. */
enum {
    CONFIG_ALIAS_COUNT = 0
#define CONFIG_ALIAS(alias, id) +1
#include "commands/config.def"
};

enum { CONFIG_FILE_BYTES_MAX = 1 << 20, CONFIG_INCLUDE_DEPTH_MAX = 8 };

struct config *config_create(void); /* defaults */
void config_destroy(struct config *config);

/* ---- Parsing. Errors are appended to *error; one sentence, without "-ERR ". ------------------- */

/* "name value" lines, # comments, "quoted values", include. false: *error names file and line; what
 * came before the bad line is set. */
bool config_load_file(struct config *config, struct vfs *vfs, const char *path,
                      struct buffer *error);
/* The same from memory; `name` stands in errors. vfs NULL: `include` is refused. */
bool config_load_text(struct config *config, struct vfs *vfs, const char *name, struct slice text,
                      struct buffer *error);
/* The command line without the program's name: an optional path of a file, then --name value ...
 * (words up to the next -- belong to the value). Flags win over the file. */
bool config_load_flags(struct config *config, struct vfs *vfs, int count, char *const *words,
                       struct buffer *error);
/* One value from text. `at_start`: as a file or a flag gives it, also what cannot change later; the
 * error reads "'name': reason". Otherwise it is what CONFIG SET answers. */
bool config_set(struct config *config, struct slice name, struct slice value, bool at_start,
                struct buffer *error);
/* CONFIG SET name value [name value ...]: `count` words, an even number. All of it or nothing. */
bool config_set_all(struct config *config, const struct slice *words, size_t count,
                    struct buffer *error);
/* The host takes over what is APPLIED in config.def: `apply` runs within config_set_all, when the new values can be
 * read, to the old text too, and by one thread at a time. false: it has appended why not, took nothing over, and all
 * values are put back. It may wait for files. NULL: there is nobody to ask; then nobody is calling config_set_all. */
void config_on_apply(struct config *config, bool (*apply)(void *context, struct buffer *error),
                     void *context);
bool config_is_applied(struct slice name); /* CONFIG SET of it asks the host */

/* Writes the values of now into the file that the flags named. STATUS_NOT_FOUND: they named none. */
enum status config_rewrite(struct config *config, struct vfs *vfs);

/* ---- Values --------------------------------------------------------------------------------- */

/* The value as CONFIG GET shows it, appended; false: no such name. */
bool config_get(struct config *config, struct slice name, struct buffer *value);
void config_get_text(struct config *config, enum config_name name, struct buffer *value);
const char *config_name_text(enum config_name name);            /* "proto-max-bulk-len" */
bool config_find(struct slice name, enum config_name *found);   /* by a name or an alias */
const char *config_alias(size_t index, enum config_name *name); /* below CONFIG_ALIAS_COUNT */

/* Numbers, sizes (bytes), durations (milliseconds), booleans (0, 1), indexes of choices; of a text
 * the count of its bytes, so that "is a password set" needs no lock. */
int64_t config_integer(const struct config *config, enum config_name name);
/* An enumerated value's index in its choices, e.g. appendfsync: 0 always, 1 everysec, 2 no. */
int config_choice(const struct config *config, enum config_name name);
/* A copy of a text value, appended. */
void config_string(struct config *config, enum config_name name, struct buffer *value);

/* client-output-buffer-limit; 0: no limit. */
enum config_client_class { CONFIG_CLASS_NORMAL, CONFIG_CLASS_SLAVE, CONFIG_CLASS_PUBSUB };
struct config_output_limit {
    uint64_t hard_bytes, soft_bytes, soft_seconds;
};
struct config_output_limit config_output_limit(const struct config *config,
                                               enum config_client_class client_class);

/* ---- Documents, generated from the table ---------------------------------------------------- */

void config_print_file(struct buffer *out); /* utils/cordwood.conf: every name with its default */
void config_print_reference(struct buffer *out); /* CONFIGURATION.md */

#endif
