/* SPDX-License-Identifier: MIT */
/* Patterns as KEYS and SCAN MATCH know them: * ? [abc] [^a-z] \x. */
#ifndef COMMANDS_GLOB_H
#define COMMANDS_GLOB_H

#include "base/slice.h"

/* At most O(pattern * text): only the newest * is tried again. */
bool glob_matches(struct slice pattern, struct slice text, bool nocase);

#endif
