/* SPDX-License-Identifier: MIT */
/* The debug build: every header that is written must be one that readers take. */
#ifndef TYPES_HEADER_CHECK_H
#define TYPES_HEADER_CHECK_H

#include "types/keyspace.h"

#ifdef CORDWOOD_DEBUG
/* Aborts with a sentence when the object could not be found again as it is. */
void header_debug_check(const struct access *access, struct slice key, const struct object *object);
/* For tests that damage headers below the checks, which a RENAME then writes as they are. */
extern bool header_debug_is_off;
#else
static inline void header_debug_check(const struct access *access, struct slice key,
                                      const struct object *object)
{
    (void)access;
    (void)key;
    (void)object;
}
#endif

#endif
