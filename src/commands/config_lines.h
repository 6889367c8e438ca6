/* SPDX-License-Identifier: MIT */
/* Lines of a configuration file; shared by config_file.c, which reads them, and config_rewrite.c. */
#ifndef COMMANDS_CONFIG_LINES_H
#define COMMANDS_CONFIG_LINES_H

#include "base/buffer.h"
#include "commands/config.h"

enum { CONFIG_WORDS_MAX = 64 };

/* The words of one line, unescaped, one after another in `bytes`. */
struct config_words {
    struct buffer bytes;
    size_t starts[CONFIG_WORDS_MAX + 1]; /* word i is bytes[starts[i] .. starts[i + 1]) */
    size_t count;
};

/* NULL, or what is wrong. */
const char *config_split_line(struct slice line, struct config_words *words);
struct slice config_word(const struct config_words *words, size_t index);

/* The file that the configuration came from, appended; absolute; empty: none. */
void config_path(struct config *config, struct buffer *path);
void config_set_path(struct config *config, const char *path);
/* Between the two no value changes, nor is one there that the host may still refuse. */
void config_hold_changes(struct config *config);
void config_release_changes(struct config *config);

#endif
