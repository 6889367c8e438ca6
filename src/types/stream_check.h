/* SPDX-License-Identifier: MIT */
/* The invariants of one stream: what its header says is what its records say. */
#ifndef TYPES_STREAM_CHECK_H
#define TYPES_STREAM_CHECK_H

#include "types/keyspace.h"

/* Reads all entries, waiting. STATUS_CORRUPT: *fault says what does not fit, static. */
enum status stream_check(struct access *access, const struct object *object, const char **fault);

#endif
