/* SPDX-License-Identifier: MIT */
/* What the string and bitmap families share. */
#ifndef COMMANDS_STRING_REPLY_H
#define COMMANDS_STRING_REPLY_H

#include "commands/command.h"
#include "types/string.h"

/* A part of a found string as a bulk, piece by piece; all of it that is in the reply counts against the limits
 * first, as in command_reply_check. */
enum status reply_string_part(struct command_context *c, const struct object *object,
                              uint64_t offset, uint64_t size);
enum status reply_string(struct command_context *c, const struct object *object);
/* The value of arguments[1], found by a write that needs it for its reply alone: a large one is read before the
 * lock is taken. */
enum status reply_old_string(struct command_context *c, const struct object *object);

/* A string that a command reads: counts a hit or a miss. *length is 0 and *found false when the key is missing.
 * STATUS_WRONG_TYPE. */
enum status find_string(struct command_context *c, size_t index, struct object *object,
                        uint64_t *length, bool *found);
/* One that a command changes: *old is NULL when the key is missing, else `object`. */
enum status find_old_string(struct command_context *c, size_t index, struct object *object,
                            uint64_t *length, struct object **old);

/* STATUS_TOO_LARGE: a string that reaches up to offset + size is longer than proto-max-bulk-len. */
enum status check_string_end(struct command_context *c, uint64_t offset, uint64_t size);

#endif
