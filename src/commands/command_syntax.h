/* SPDX-License-Identifier: MIT */
/* The syntax column of commands.def as COMMAND DOCS's tree of arguments. */
#ifndef COMMANDS_COMMAND_SYNTAX_H
#define COMMANDS_COMMAND_SYNTAX_H

#include "resp/resp.h"

/* Writes the array of arguments, each a map: name, type, [token], [flags], [arguments]. */
void command_syntax_reply(struct resp_writer *writer, const char *syntax);
/* The syntax is well formed: brackets match. */
bool command_syntax_is_valid(const char *syntax);

#endif
