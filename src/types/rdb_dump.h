/* SPDX-License-Identifier: MIT */
/* DUMP: a value as a payload that RESTORE takes, ours and Redis's from 7.0 on (rdb_format.h). What Redis has no
 * place for is left out: the event times of late entries, and the kinds of JSON values. */
#ifndef TYPES_RDB_DUMP_H
#define TYPES_RDB_DUMP_H

#include "types/keyspace.h"

/* Appends the payload of what keyspace_find returned for the key to `out`, which may fail (buffer.h). `check` is asked
 * now and then; another status of it ends the dump. STATUS_CORRUPT, and what reading returns; STATUS_TOO_LARGE: an
 * entry that no listpack can hold. */
enum status rdb_dump(struct access *access, struct slice key, const struct object *object,
                     struct buffer *out, enum status (*check)(void *context), void *context);

#endif
