/* SPDX-License-Identifier: MIT */
/* What lsm_repair leaves may be half of what belonged together: a header without some of its parts,
 * counts of keys that are gone. This makes a store of it again. */
#ifndef TYPES_STORE_REPAIR_H
#define TYPES_STORE_REPAIR_H

#include "types/store.h"

/* On a closed, sound database, after lsm_repair: counts keys anew, mends the index of times and the
 * copies of the store's records, takes care that no generation and no id is given again, drops
 * headers that cannot be read, and closes the gaps in lists; lost pieces of strings and entries of
 * streams are told and left (reads go on). What that costs is told to `each`, a
 * sentence a line; nothing is said and no data changed where all fits together. May be done again
 * when it was interrupted. A failing open is told by its report as a line. */
enum status store_repair(const struct env *env, const char *directory,
                         void (*each)(void *context, const char *line), void *context);

#endif
