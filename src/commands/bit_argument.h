/* SPDX-License-Identifier: MIT */
#ifndef COMMANDS_BIT_ARGUMENT_H
#define COMMANDS_BIT_ARGUMENT_H

#include "commands/command.h"

/* The position of a bit in a string; with `field_bits` also "#n", that of the n-th field of so many bits. "ERR bit offset
 * is not an integer or out of range". */
bool argument_bit_offset(struct command_context *c, size_t index, unsigned field_bits,
                         uint64_t *offset);

#endif
